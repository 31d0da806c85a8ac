//! Flow tokens (RFC 5626 §5.2): a flow, written so that it can be read back by who made it and changed by nobody.
//!
//! What is sealed, by [`EdgeKeys`]:
//!
//! ```text
//!   shape 1 | listener 2 | port 2 | address 4 or 16 | scope 0 or 4 | connection and epoch 0 or 8 | name of the node
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::num::NonZeroU32;

use sip_message::Transport;
use sip_transport::{ConnectionId, Flow, ListenerId};

use super::seal::{EdgeKeys, Purpose};

/// What a user part that is a flow token begins with, so that another user part in a Route of ours is not taken
/// for a forged one.
const PREFIX: &str = "f~";

/// The transports by their numbers in a token; a new one goes to the end.
const TRANSPORTS: [Transport; 6] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
    Transport::Sctp,
];

const IS_V6: u8 = 0x08;
const HAS_CONNECTION: u8 = 0x10;
const HAS_SCOPE: u8 = 0x20;

/// The longest name of a node, in bytes.
const MAX_NODE: usize = 32;

/// Makes and reads the flow tokens of one node.
// RFC 5626 §5.2: "A proxy can use any algorithm
// it wants as long as the flow token is unique to a flow, the flow can
// be recovered from the token, and the token cannot be modified by
// attackers."
#[derive(Clone, Debug)]
pub struct FlowTokens {
    node: Box<str>,
    epoch: u32,
    keys: EdgeKeys,
}

/// A name of a node that is empty or longer than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a node has 1 to 32 bytes")]
pub struct BadNodeName;

/// A flow token that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlowToken {
    /// A flow of this node. Whether its connection is still open is not known.
    Here(Flow),
    /// A connection that this node had before it was started anew: it is gone.
    Gone,
    /// A flow of the node of that name, with which this one shares a key.
    At(Box<str>),
}

/// A flow token that was not made here or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the flow token is forged")]
pub struct Forged;

impl FlowTokens {
    /// Of the node of this name, which no other that shares the keys has: a shard is a node of its own. `epoch` is
    /// another number each time the node is started, the time in seconds say: connections are counted anew then.
    ///
    /// # Errors
    /// The name is empty, or longer than 32 bytes.
    pub fn new(node: &str, epoch: u32, keys: EdgeKeys) -> Result<Self, BadNodeName> {
        if node.is_empty() || node.len() > MAX_NODE {
            return Err(BadNodeName);
        }
        Ok(Self { node: node.into(), epoch, keys })
    }

    /// The name of this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The keys.
    pub fn keys(&self) -> &EdgeKeys {
        &self.keys
    }

    /// Changes the keys.
    pub fn set_keys(&mut self, keys: EdgeKeys) {
        self.keys = keys;
    }

    /// The token of a flow, fit for the user part of a URI: always the same for one flow and key.
    // RFC 5626 §5.1: "The flow token MUST be an identifier
    // that is unique to this network flow.  The flow token MAY be placed in
    // the userpart of the URI."
    pub fn make(&self, flow: &Flow) -> String {
        let transport = TRANSPORTS.iter().position(|known| *known == flow.transport);
        let mut shape = transport.and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
        let mut plain = Vec::with_capacity(64);
        plain.push(0);
        plain.extend_from_slice(&flow.listener.index().to_be_bytes());
        plain.extend_from_slice(&flow.remote.port().to_be_bytes());
        match flow.remote {
            SocketAddr::V4(remote) => plain.extend_from_slice(&remote.ip().octets()),
            SocketAddr::V6(remote) => {
                shape |= IS_V6;
                plain.extend_from_slice(&remote.ip().octets());
                if remote.scope_id() != 0 {
                    shape |= HAS_SCOPE;
                    plain.extend_from_slice(&remote.scope_id().to_be_bytes());
                }
            }
        }
        if let Some(connection) = flow.connection {
            shape |= HAS_CONNECTION;
            plain.extend_from_slice(&connection.number().to_be_bytes());
            plain.extend_from_slice(&self.epoch.to_be_bytes());
        }
        plain.extend_from_slice(self.node.as_bytes());
        if let Some(first) = plain.first_mut() {
            *first = shape;
        }
        format!("{PREFIX}{}", self.keys.seal(Purpose::Flow, &plain))
    }

    /// Whether the user part of a URI is meant to be a token.
    pub(crate) fn is_one(user: &str) -> bool {
        user.starts_with(PREFIX)
    }

    /// What the user part of a URI says, if it is a token at all.
    ///
    /// # Errors
    /// It looks like a token, and was not made with a key that is known here.
    pub fn read(&self, user: &str) -> Result<Option<FlowToken>, Forged> {
        let Some(text) = user.strip_prefix(PREFIX) else { return Ok(None) };
        let plain = self.keys.open(Purpose::Flow, text).ok_or(Forged)?;
        let read = Read::of(&plain).ok_or(Forged)?;
        if *read.node != *self.node {
            return Ok(Some(FlowToken::At(read.node.into())));
        }
        let is_gone = read.epoch.is_some_and(|epoch| epoch != self.epoch);
        Ok(Some(if is_gone { FlowToken::Gone } else { FlowToken::Here(read.flow) }))
    }
}

struct Read<'a> {
    flow: Flow,
    /// Of the connection, if it is one.
    epoch: Option<u32>,
    node: &'a str,
}

impl<'a> Read<'a> {
    /// What a token that is no forgery says; `None` for one of a later version.
    fn of(mut plain: &'a [u8]) -> Option<Self> {
        let [shape] = take(&mut plain)?;
        let transport = TRANSPORTS.get(usize::from(shape & 0x07)).copied()?;
        if shape & !(0x07 | IS_V6 | HAS_CONNECTION | HAS_SCOPE) != 0 {
            return None;
        }
        let listener = ListenerId::new(u16::from_be_bytes(take(&mut plain)?));
        let port = u16::from_be_bytes(take(&mut plain)?);
        let remote = if shape & IS_V6 == 0 {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::from(take::<4>(&mut plain)?)), port)
        } else {
            let ip = Ipv6Addr::from(take::<16>(&mut plain)?);
            let scope =
                if shape & HAS_SCOPE == 0 { 0 } else { u32::from_be_bytes(take(&mut plain)?) };
            SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))
        };
        let (connection, epoch) = if shape & HAS_CONNECTION == 0 {
            (None, None)
        } else {
            let number = NonZeroU32::new(u32::from_be_bytes(take(&mut plain)?))?;
            (Some(ConnectionId::new(number)), Some(u32::from_be_bytes(take(&mut plain)?)))
        };
        let flow = Flow { transport, listener, connection, remote };
        Some(Self { flow, epoch, node: core::str::from_utf8(plain).ok()? })
    }
}

fn take<const N: usize>(plain: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = plain.split_first_chunk::<N>()?;
    *plain = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::super::seal::EdgeKey;
    use super::*;

    fn tokens(node: &str, epoch: u32, key: u8) -> FlowTokens {
        let keys = EdgeKeys::new(EdgeKey::new(&[key; 32]).unwrap());
        FlowTokens::new(node, epoch, keys).unwrap()
    }

    fn flow(transport: Transport, connection: u32, remote: &str) -> Flow {
        Flow {
            transport,
            listener: ListenerId::new(3),
            connection: NonZeroU32::new(connection).map(ConnectionId::new),
            remote: remote.parse().unwrap(),
        }
    }

    fn flows() -> Vec<Flow> {
        let mut flows = Vec::new();
        for (transport, connections) in [
            (Transport::Udp, vec![0]),
            (Transport::Tcp, vec![1, 2]),
            (Transport::Tls, vec![1]),
            (Transport::Ws, vec![1]),
            (Transport::Wss, vec![1, u32::MAX]),
        ] {
            for connection in connections {
                for remote in [
                    "192.0.2.2:5060",
                    "192.0.2.2:5061",
                    "192.0.2.3:5060",
                    "[2001:db8::1]:5060",
                    "[fe80::1%4]:5060",
                ] {
                    flows.push(flow(transport, connection, remote));
                }
            }
        }
        flows
    }

    #[test]
    fn a_flow_is_recovered_from_its_token_and_no_other_has_it() {
        let tokens = tokens("edge-1", 7, 1);
        let mut seen = std::collections::HashSet::new();
        for flow in flows() {
            let token = tokens.make(&flow);
            assert_eq!(tokens.read(&token), Ok(Some(FlowToken::Here(flow))), "{flow:?}");
            assert!(seen.insert(token.clone()), "{flow:?}");
            // Fit for a URI as it is, and no longer than it must be.
            let uri: sip_message::Uri<'_> =
                format!("sip:{token}@ep1.example.com;lr;ob").parse().unwrap();
            assert_eq!(uri.user(), Some(token.as_str()));
            assert!(token.len() <= 71, "{}", token.len());
        }
        let udp = flow(Transport::Udp, 0, "192.0.2.2:5060");
        assert_eq!(tokens.make(&udp).len(), 38);
    }

    #[test]
    fn who_made_it_and_when() {
        let (tcp, udp) =
            (flow(Transport::Tcp, 1, "192.0.2.2:5060"), flow(Transport::Udp, 0, "192.0.2.2:5060"));
        let (old, new) = (tokens("edge-1", 7, 1), tokens("edge-1", 8, 1));
        // A connection of the life before has its number given to another; a UDP flow is what it was.
        assert_eq!(new.read(&old.make(&tcp)), Ok(Some(FlowToken::Gone)));
        assert_eq!(new.read(&old.make(&udp)), Ok(Some(FlowToken::Here(udp))));
        let other = tokens("edge-2", 7, 1);
        assert_eq!(other.read(&old.make(&tcp)), Ok(Some(FlowToken::At("edge-1".into()))));
        assert_eq!(tokens("edge-1", 7, 2).read(&old.make(&tcp)), Err(Forged));
        let keys = EdgeKeys::new(EdgeKey::new(&[1; 32]).unwrap());
        assert_eq!(FlowTokens::new("", 1, keys.clone()).unwrap_err(), BadNodeName);
        assert_eq!(FlowTokens::new(&"x".repeat(33), 1, keys).unwrap_err(), BadNodeName);
    }

    #[test]
    fn what_is_no_token_and_what_pretends_to_be_one() {
        let tokens = tokens("edge-1", 7, 1);
        for user in ["", "alice", "orig", "f", "F~AAAA"] {
            assert_eq!(tokens.read(user), Ok(None), "{user}");
        }
        let token = tokens.make(&flow(Transport::Tcp, 1, "192.0.2.2:5060"));
        for forged in
            ["f~", "f~AAAA", "f~%41", &token[..token.len() - 1], &token[..20], &format!("{token}A")]
        {
            assert_eq!(tokens.read(forged), Err(Forged), "{forged}");
        }
        // Sealed with the key, for something else.
        let gruu = tokens.keys.seal(Purpose::Gruu, b"whatever it may be");
        assert_eq!(tokens.read(&format!("f~{gruu}")), Err(Forged));
        // Of a version to come.
        let later = tokens.keys.seal(Purpose::Flow, &[0x80; 40]);
        assert_eq!(tokens.read(&format!("f~{later}")), Err(Forged));
    }
}
