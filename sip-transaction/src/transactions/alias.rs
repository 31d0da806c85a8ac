//! Connections of others by which requests may go back to them (RFC 5923).

use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

use sip_message::{Transport, Via};
use sip_transport::{ConnectionId, Flow, Local, Target};

use super::Transactions;
use crate::ConnectionReuse;

/// The alias table: one advertised address for each connection, that of the last request which had `alias`. So
/// it is no larger than the table of connections.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    by_connection: HashMap<ConnectionId, Advertised>,
    /// Several have one address where each is of another domain. The newest last.
    by_address: HashMap<Advertised, Vec<Flow>>,
}

/// What a client said that it is reached by.
type Advertised = (Transport, SocketAddr);

impl Aliases {
    fn insert(&mut self, flow: Flow, advertised: Advertised) {
        let Some(connection) = flow.connection else { return };
        if self.by_connection.get(&connection) == Some(&advertised) {
            return;
        }
        self.remove(connection);
        self.by_connection.insert(connection, advertised);
        self.by_address.entry(advertised).or_default().push(flow);
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) {
        let Some(advertised) = self.by_connection.remove(&connection) else { return };
        if let Some(flows) = self.by_address.get_mut(&advertised) {
            flows.retain(|flow| flow.connection != Some(connection));
            if flows.is_empty() {
                self.by_address.remove(&advertised);
            }
        }
    }

    fn of(&self, advertised: &Advertised) -> impl Iterator<Item = &Flow> {
        self.by_address.get(advertised).into_iter().flatten().rev()
    }
}

impl Transactions {
    /// A request came over the flow, with that on top.
    pub(super) fn note_alias(&mut self, flow: &Flow, via: &Via<'_>) {
        let Some(connection) = flow.connection else { return };
        if !self.config.connection_reuse.covers(flow.transport)
            || via.param("alias").is_none()
            || via.transport() != Some(flow.transport)
        {
            return;
        }
        // RFC 5923 §9.2: "If the client does not present a certificate, the server MUST proceed as if the
        // "alias" header field parameter was not present in the topmost Via header.  In this case, the server
        // MUST NOT update the alias table."
        if flow.transport.is_secure() && !self.peers.contains_key(&connection) {
            return;
        }
        // RFC 5923 §8.2: "The server also populates the destination IP address, port, and transport in the
        // alias table from the topmost Via header field (using the ";received" parameter for the destination
        // IP address).  If the port number is omitted, a default port number of 5061 is to be used."
        let port = via.port().unwrap_or_else(|| flow.transport.default_port());
        // Where the address says on which link it is, that stays.
        let mut address = flow.remote;
        address.set_port(port);
        if let ip @ IpAddr::V4(_) = address.ip().to_canonical() {
            address.set_ip(ip);
        }
        self.aliases.insert(*flow, (flow.transport, address));
    }

    /// The target by the connection that its far end opened, if there is one and it may be used.
    pub(super) fn by_alias(&self, target: Target, domain: Option<&str>) -> Target {
        if target.connection.is_some() || self.aliases.by_address.is_empty() {
            return target;
        }
        // RFC 5923 §8.2: "The server, which acts as a client for this transaction, uses the RFC3263
        // resolution process on a URI and arrives at a resolved address contained in the alias table, and"
        // RFC 5923 §8.2: "The URI used for RFC3263 server resolution matches one of the identities stored in
        // the alias table row corresponding to that resolved address."
        let is_of_the_domain = |flow: &&Flow| {
            !flow.transport.is_secure()
                || domain
                    .is_some_and(|domain| self.peer(flow).is_some_and(|peer| peer.is_of(domain)))
        };
        let is_asked_for = |flow: &&Flow| target.listener.is_none_or(|id| id == flow.listener);
        let advertised = (target.transport, target.remote);
        let mut flows = self.aliases.of(&advertised);
        match flows.find(|flow| is_of_the_domain(flow) && is_asked_for(flow)) {
            // RFC 5923 §8.2: "Servers MUST be prepared to deal with the case that the aliased connection no
            // longer exist when they are ready to send a subsequent request over it."
            // The transport opens one then.
            Some(Flow { connection: Some(connection), listener, .. }) => {
                target.with_connection(*connection).with_listener(*listener)
            }
            Some(_) | None => target,
        }
    }

    /// Whether our requests from that address ask for requests back over their connection.
    pub(super) fn offers_alias(&self, local: &Local) -> bool {
        // RFC 5923 §8.1: "Clients MUST continue receiving requests on their default port."
        // So it is nothing for who listens nowhere: that is RFC 5626's case.
        local.listens && self.config.connection_reuse.covers(local.transport)
    }
}

impl ConnectionReuse {
    const fn covers(self, transport: Transport) -> bool {
        match self {
            Self::Off => false,
            Self::Authenticated => matches!(transport, Transport::Tls),
            Self::Any => matches!(transport, Transport::Tls | Transport::Tcp),
        }
    }
}
