//! The connections over which the peers of calls were heard, where no other may lead to them.

use std::collections::HashMap;

use sip_message::{Transport, Uri};
use sip_transaction::NextHop;
use sip_transport::locate::is_invalid;
use sip_transport::{ConnectionId, Flow};

/// Those that are open.
///
/// A browser takes no connections: what it says in Contact leads nowhere, and the connection that it opened
/// is the only way to it. And `transport=ws` in a URI does not say whether TLS is below (RFC 7118 §5.2): the
/// connection that is there does. Neither does a client of TLS without a certificate take any.
#[derive(Default)]
pub(crate) struct WaysBack {
    // The numbers are our own, though a peer may open a thousand: the map's usual hash stays.
    open: HashMap<ConnectionId, Flow>,
}

impl WaysBack {
    /// Remembers a flow if it is over WebSocket or TLS, and names it.
    pub(crate) fn note(&mut self, flow: Flow) -> Option<ConnectionId> {
        let connection = flow.connection.filter(|_| may_be_the_only_way(flow.transport))?;
        self.open.insert(connection, flow);
        Some(connection)
    }

    pub(crate) fn closed(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.open.remove(&connection);
        }
    }

    /// Where a request within a dialog goes: over the flow to a peer that is to be reached by WebSocket, or
    /// by TLS at the address at which the flow ends; else where the URI says.
    // RFC 7118 §B.2: "If it did not do this, in-dialog requests would fail since SIP WebSocket Clients make use
    // of their SIP WebSocket Server in order to send and receive SIP messages."
    pub(crate) fn hop(&self, flow: Option<ConnectionId>, uri: &Uri<'static>) -> NextHop {
        let flow = flow.and_then(|connection| self.open.get(&connection));
        match flow {
            Some(flow) if leads_over(uri, flow) => {
                NextHop::FlowFor { flow: *flow, uri: uri.clone() }
            }
            _ => NextHop::Uri(uri.clone()),
        }
    }
}

fn may_be_the_only_way(transport: Transport) -> bool {
    transport.is_websocket() || transport == Transport::Tls
}

fn leads_over(uri: &Uri<'_>, flow: &Flow) -> bool {
    let named = uri.transport();
    if flow.transport.is_websocket() {
        return named.is_some_and(|transport| transport.is_websocket())
            || uri.host().is_some_and(|host| is_invalid(&host.to_string()));
    }
    let by_tls = match named {
        Some(named) => named == Transport::Tls || (named == Transport::Tcp && uri.is_secure()),
        None => uri.is_secure(),
    };
    by_tls && uri.ip() == Some(flow.remote.ip().to_canonical())
}
