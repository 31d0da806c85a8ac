//! Who sent a request: what the application decides by whether it is served.

use std::sync::Arc;

use sip_transaction::{ServerKey, Transactions};
use sip_transport::Flow;
use sip_transport::tls::Peer;

use super::Agent;

/// Who sent a request, as far as it is known by other means than what the request says: where it came
/// from, and who proved to be there.
///
/// A trunk is let in by its certificate (RFC 5922 §7.4) or by its address:
///
/// ```
/// # use sip_ua::Sender;
/// fn is_our_trunk(sender: &Sender) -> bool {
///     sender.peer().is_some_and(|peer| peer.is_of("trunk.example.net"))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    flow: Flow,
    peer: Option<Arc<Peer>>,
    user: Option<Box<str>>,
    trusted: bool,
}

impl Sender {
    /// What it came over: the transport, our listener, the far end's address.
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Who proved to be at the other end of the connection, by a certificate that leads to a root we trust. It
    /// is who connected: a proxy perhaps, and not who is in From. Nobody without TLS, if no certificate was
    /// asked for or shown, or if the connection was closed before the request was handed out.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// Whether it came from an element of our trust domain, by [`AgentConfig::trust`](crate::AgentConfig::trust).
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The username that was proven by digest, where
    /// [`UserAgentBuilder::authentication`](crate::UserAgentBuilder::authentication) or
    /// [`Agent::set_authentication`](crate::Agent::set_authentication) asks for that.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

impl Agent {
    /// Who sent the request of that transaction.
    pub(super) fn sender(&self, tx: &Transactions, server: ServerKey, flow: Flow) -> Sender {
        let proven = self.servers.get(&server).and_then(|served| served.sender.as_ref());
        let mut sender = Sender {
            flow,
            peer: tx.peer(&flow).cloned(),
            user: proven.and_then(|proven| proven.username()).map(Box::from),
            trusted: false,
        };
        sender.trusted = self.config.trust.is_some_and(|trusts| trusts(&sender));
        sender
    }
}
