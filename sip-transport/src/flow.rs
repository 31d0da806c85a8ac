//! What the layers above say to a transport and hear from it: who the ends are (listeners,
//! connections, flows), where a message goes, and what came in. Nothing here touches a socket.

use core::net::SocketAddr;
use core::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use sip_message::{FrameError, Transport};

use crate::locate::{Answer, LookupError, QuestionNumber};
use crate::tls::Peer;
use crate::{Locals, TransportError};

/// One of the addresses an endpoint listens on: the index into its [`Locals`](crate::Locals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(u16);

impl ListenerId {
    /// The listener at `index` of the endpoint's list, counted from 0.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The place in the endpoint's list, counted from 0.
    pub const fn index(self) -> u16 {
        self.0
    }
}

/// One connection of a stream transport. A number is not given again before 2^32 others were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(NonZeroU32);

impl ConnectionId {
    /// The connection numbered `number`, as counted by whoever owns the connection table.
    pub const fn new(number: NonZeroU32) -> Self {
        Self(number)
    }

    /// The number, for logs.
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

/// The 96 bits by which the answer to a STUN Binding request finds it.
pub type StunId = [u8; 12];

/// The path a message came by, and by which one may go back: RFC 5626 calls it a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The protocol below SIP.
    pub transport: Transport,
    /// The address of ours that it came to, or that the connection was opened from.
    pub listener: ListenerId,
    /// The connection, for a stream transport.
    pub connection: Option<ConnectionId>,
    /// The far end.
    pub remote: SocketAddr,
}

/// Where a request goes, after its URI was resolved.
///
/// Built with [`Target::new`]; more fields may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Target {
    /// The protocol below SIP.
    pub transport: Transport,
    /// The far end.
    pub remote: SocketAddr,
    /// The connection to use while it is open; without it, or when it is gone, one that is open
    /// to `remote`, and else a new one.
    pub connection: Option<ConnectionId>,
    /// The address of ours to send from; without it the first that fits
    /// ([`Locals::select`](crate::Locals::select)).
    pub listener: Option<ListenerId>,
    /// The time to live of a multicast datagram; 1 if absent. No meaning for unicast.
    pub ttl: Option<u8>,
    /// Whether `connection` is the only way there: when it is gone, no other is looked for or opened. Of no
    /// meaning for UDP, but that a long request does not leave for TCP.
    pub is_only_way: bool,
}

impl Target {
    /// To `remote` by `transport`, from the first address of ours that fits.
    pub const fn new(transport: Transport, remote: SocketAddr) -> Self {
        Self { transport, remote, connection: None, listener: None, ttl: None, is_only_way: false }
    }

    /// The same, sent from that address of ours.
    pub const fn with_listener(mut self, listener: ListenerId) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The same, over that connection while it is open.
    pub const fn with_connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The same, by no other way.
    pub const fn only(mut self) -> Self {
        self.is_only_way = true;
        self
    }

    /// The same, with that time to live if `remote` is a multicast group.
    pub const fn with_ttl(mut self, ttl: u8) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl From<Flow> for Target {
    /// Back over the flow: its connection while it is open, else a new one to the same far end; to a
    /// client over WebSocket, no other way.
    fn from(flow: Flow) -> Self {
        Self {
            transport: flow.transport,
            remote: flow.remote,
            connection: flow.connection,
            listener: Some(flow.listener),
            ttl: None,
            is_only_way: false,
        }
    }
}

/// Where one message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Over this flow and no other; if its connection is gone, to [`Transmit::fallback`].
    Flow(Flow),
    /// To this address, over a connection that is open to it or over a new one.
    Target(Target),
}

impl Destination {
    /// The far end.
    pub const fn remote(&self) -> SocketAddr {
        match self {
            Self::Flow(flow) => flow.remote,
            Self::Target(target) => target.remote,
        }
    }

    /// The protocol below SIP.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Flow(flow) => flow.transport,
            Self::Target(target) => target.transport,
        }
    }
}

impl From<Destination> for Target {
    fn from(destination: Destination) -> Self {
        match destination {
            Destination::Flow(flow) => flow.into(),
            Destination::Target(target) => target,
        }
    }
}

/// One message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub destination: Destination,
    /// Where it goes when the connection of `destination` is gone (RFC 3261 §18.2.2).
    pub fallback: Option<Target>,
    /// The whole message.
    pub payload: Bytes,
    /// The host of the URI that led here, before anything was looked up: the domain that the far end
    /// of a TLS connection must prove to be of, and the name that a WebSocket handshake asks for. Of
    /// no meaning where a connection is open and named.
    pub domain: Option<Arc<str>>,
    /// Comes back in [`Input::SendFailed`] when the message could not be sent. With 0 nothing is
    /// said.
    pub token: u64,
}

/// What a transport tells the machine above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A datagram arrived. It may hold anything.
    Datagram {
        /// Whence, and to which of our addresses.
        flow: Flow,
        /// An exact-size copy of it.
        payload: Bytes,
    },
    /// A stream held a message: what framing cut out of it, start line to end of body.
    Message {
        /// Whence, over which connection.
        flow: Flow,
        /// An exact-size copy of it.
        payload: Bytes,
    },
    /// A stream held what cannot be framed, so nothing after it can be read. The connection closes
    /// by itself soon after this; at most one response (400) may be sent on the flow before.
    Malformed {
        /// Whence, over which connection.
        flow: Flow,
        /// What had arrived of it, at most the longest head that the limits allow.
        payload: Bytes,
        /// Why it is no message.
        error: FrameError,
    },
    /// A connection is open whose far end proved who it is, by a certificate. It is said before anything
    /// else is said of the connection, and holds until it is closed.
    Authenticated {
        /// The flow that it is.
        flow: Flow,
        /// Who is at its far end.
        peer: Arc<Peer>,
    },
    /// A stream held the answer to a keep-alive (RFC 5626 §3.5.1).
    Pong {
        /// Over which connection.
        flow: Flow,
    },
    /// A connection is gone. Each connection that was named in an input is closed once, and is
    /// named in none after this.
    Closed {
        /// The flow that ended; `remote` may be reached over a new connection.
        flow: Flow,
        /// Why, unless the far end closed it in order or we did.
        error: Option<TransportError>,
    },
    /// The addresses of this machine were looked at anew ([`Sockets::rebind`](https://docs.rs/sip-transport/latest/sip_transport/struct.Sockets.html#method.rebind)).
    /// What was sent over connections and waits for an answer was said to have failed before this; that the
    /// connections are closed is said after it.
    Rebound {
        /// The addresses listened on, as many as before and in the same order, with the names that they
        /// have now.
        locals: Locals,
        /// Those that this machine does not have any more.
        lost: Vec<ListenerId>,
    },
    /// A message was not sent: the answer to the [`Transmit`] that had this token.
    ///
    /// RFC 3261 §18.4: "If the transport user asks for a request to be sent over a reliable
    /// transport, and the result is a connection failure, the transport layer SHOULD inform the
    /// transport user of a failure in sending."
    SendFailed {
        /// The token of the message.
        token: u64,
        /// Where it was to go, at last (the fall-back if that was tried).
        target: Target,
        /// Why not.
        error: TransportError,
        /// The message, for who kept none: a response may go another way (RFC 3263 §5). Empty for a request
        /// that was written and that nobody will answer.
        payload: Bytes,
    },
    /// The answer to a question of [`locate`](crate::locate).
    Resolved {
        /// The number that the lookup had.
        id: u64,
        /// Which of its questions is answered.
        number: QuestionNumber,
        /// The records, or why there is no answer.
        result: Result<Answer, LookupError>,
    },
}
