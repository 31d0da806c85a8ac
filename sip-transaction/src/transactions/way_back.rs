//! Where a response goes when it cannot go back the way its request came (RFC 3263 §5).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::{Message, Transport};
use sip_transport::locate::Locator;
use sip_transport::{Destination, Target, Transmit, TransportError};

use super::Transactions;
use super::locate::Purpose;
use super::server::Kept;
use crate::{Key, Output, ServerKey, construct};

/// How far a server transaction is with it. Those whose responses go the way that the request came, or to the
/// address that it came from, have none.
#[derive(Debug)]
pub(super) enum WayBack {
    /// That failed for a 2xx to an INVITE, which is not kept here: another way is sought when the user
    /// repeats it.
    Lost(Failed),
    /// Its Via is being looked up.
    Sought(Failed),
    /// Found. These are left to try, the next one last.
    Found(Vec<Target>, Option<Arc<str>>),
}

/// The attempt that failed last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    target: Target,
    error: TransportError,
}

impl Transactions {
    /// A response could not be sent: whether it goes another way, so that the user need not know.
    pub(super) fn seeks_another_way_back(
        &mut self,
        now: Instant,
        key: ServerKey,
        target: Target,
        error: TransportError,
    ) -> bool {
        let Some(server) = self.servers.get_mut(key.0) else { return false };
        match self.ways_back.get_mut(&key) {
            Some(WayBack::Sought(_)) => return true,
            Some(WayBack::Lost(_)) => return false,
            Some(WayBack::Found(left, _)) => {
                if server.destination.remote() != target.remote {
                    // News of an attempt before.
                    return true;
                }
                // RFC 3263 §5: "If that results in a failure, the next entry on the list is tried."
                let Some(next) = left.pop() else { return false };
                server.destination = Destination::Target(next);
                if let Kept::Response(response) = &server.kept {
                    let response = response.clone();
                    self.pass_on(now, key, &response);
                }
                return true;
            }
            None => {}
        }
        // RFC 3263 §5: ""Fails" is defined as any closure of the transport connection the request came in on
        // before the response can be sent, or communication of a fatal error from the transport layer."
        // Nobody listens at the other end of a WebSocket.
        let is_web = matches!(target.transport, Transport::Ws | Transport::Wss);
        if is_web || !is_fatal(error) {
            return false;
        }
        let failed = Failed { target, error };
        match &server.kept {
            Kept::Response(response) => {
                let response = response.clone();
                self.seek_way_back(now, key, response, failed);
            }
            Kept::Nothing => {
                self.ways_back.insert(key, WayBack::Lost(failed));
                return false;
            }
            // Nothing was sent yet that could fail.
            Kept::Request(_) => return false,
        }
        true
    }

    /// Passes a response to the transport, when the way back is known.
    pub(super) fn pass_on(&mut self, now: Instant, key: ServerKey, response: &Bytes) {
        let Some(server) = self.servers.get(key.0) else { return };
        let domain = match self.ways_back.get(&key) {
            None => None,
            Some(WayBack::Found(_, domain)) => domain.clone(),
            Some(WayBack::Sought(_)) => return,
            Some(WayBack::Lost(failed)) => {
                let failed = *failed;
                self.seek_way_back(now, key, response.clone(), failed);
                return;
            }
        };
        self.stats.responses_sent += 1;
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: server.destination,
            fallback: server.fallback,
            payload: response.clone(),
            domain,
            token: Key::Server(key).as_u64(),
        }));
    }

    fn seek_way_back(&mut self, now: Instant, key: ServerKey, payload: Bytes, failed: Failed) {
        self.ways_back.insert(key, WayBack::Sought(failed));
        let Some(locator) = self.locator_of(&payload) else {
            self.found_way_back(now, key, payload, Vec::new(), None);
            return;
        };
        let lookup = self.look_up(now, Purpose::Response(key, payload), Box::new(locator));
        self.settle(now, lookup);
    }

    /// RFC 3263 §5: "In these cases, the server examines the value of the sent-by construction in the topmost
    /// Via header."
    pub(super) fn locator_of(&self, payload: &Bytes) -> Option<Locator> {
        let message = Message::parse(payload.clone(), &self.config.message);
        let Ok(Message::Response(response)) = message else { return None };
        let via = response.headers().top_via()?;
        let seed = construct::lot(self.config.seed, response.headers());
        Locator::for_response(&via, self.preferences.clone(), seed).ok()
    }

    /// Sends a response to the last of the targets; without one the failure is told that led here.
    pub(super) fn found_way_back(
        &mut self,
        now: Instant,
        key: ServerKey,
        payload: Bytes,
        mut targets: Vec<Target>,
        domain: Option<Arc<str>>,
    ) {
        let Some(server) = self.servers.get_mut(key.0) else { return };
        let Some(WayBack::Sought(failed)) = self.ways_back.get(&key) else { return };
        let Failed { target: tried, error } = *failed;
        // That is where it could not be sent.
        targets.retain(|it| it.remote != tried.remote || it.transport != tried.transport);
        let next = targets.pop();
        self.ways_back.insert(key, WayBack::Found(targets, domain));
        let Some(next) = next else {
            self.fail_server(now, key, error);
            return;
        };
        server.destination = Destination::Target(next);
        server.fallback = None;
        // A newer one may have come meanwhile.
        let response = match &server.kept {
            Kept::Response(newest) => newest.clone(),
            Kept::Request(_) | Kept::Nothing => payload,
        };
        self.pass_on(now, key, &response);
    }
}

/// Whether it is the way that failed, and not the message or we.
pub(super) const fn is_fatal(error: TransportError) -> bool {
    matches!(
        error,
        TransportError::Refused
            | TransportError::ProtocolUnsupported
            | TransportError::ConnectTimeout
            | TransportError::Unreachable
            | TransportError::Closed
            | TransportError::Idle
    )
}
