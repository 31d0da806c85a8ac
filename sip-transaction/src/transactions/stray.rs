//! Responses without a transaction that cannot go back the way that their request came (RFC 3263 §5): the
//! refusals that leave no state, and the final responses that ended their transaction when they were sent.
//!
//! Nothing is kept of them while they are under way: the transport gives back what it could not send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::Transport;
use sip_transport::{Destination, Target, Transmit, TransportError};

use super::locate::Purpose;
use super::way_back::is_fatal;
use super::{Expiry, Transactions};
use crate::machine::Interval;
use crate::{Output, TimerKey};

/// How many may seek another way at a time. One more is lost: whoever asked asks again, or gives up.
const MAX_STRAYS: usize = 1_000;

/// Names a response without a transaction; what [`Transmit::token`] says of it. The tokens of transactions are
/// larger: they have a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StrayNumber(u32);

impl StrayNumber {
    /// One that went the way that its request came.
    pub(super) const NEW: Self = Self(1);

    pub(super) fn token(self) -> u64 {
        self.0.into()
    }

    pub(super) fn from_token(token: u64) -> Option<Self> {
        u32::try_from(token).ok().map(Self)
    }
}

/// Those that seek another way or were sent by one.
#[derive(Debug, Default)]
pub(super) struct Strays {
    by_number: HashMap<StrayNumber, Stray>,
    last: u32,
}

#[derive(Debug)]
struct Stray {
    /// Where it could not be sent.
    tried: Target,
    /// The targets that are left, the next one last.
    left: Vec<Target>,
    domain: Option<Arc<str>>,
    running: TimerKey,
}

impl Strays {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn forget(&mut self, number: StrayNumber) {
        self.by_number.remove(&number);
    }

    fn next(&mut self) -> StrayNumber {
        loop {
            self.last = self.last.wrapping_add(1);
            let number = StrayNumber(self.last);
            if number.0 > StrayNumber::NEW.0 && !self.by_number.contains_key(&number) {
                return number;
            }
        }
    }
}

impl Transactions {
    /// A response without a transaction could not be sent.
    pub(super) fn stray_failed(
        &mut self,
        now: Instant,
        number: StrayNumber,
        target: Target,
        error: TransportError,
        payload: Bytes,
    ) {
        if number != StrayNumber::NEW {
            // RFC 3263 §5: "If that results in a failure, the next entry on the list is tried."
            return self.send_stray(number, payload);
        }
        // Nobody listens at the other end of a WebSocket.
        let is_web = matches!(target.transport, Transport::Ws | Transport::Wss);
        if is_web || !is_fatal(error) || self.strays.len() >= MAX_STRAYS {
            return;
        }
        // RFC 3263 §5: "In these cases, the server examines the value of the sent-by construction in the
        // topmost Via header."
        let Some(locator) = self.locator_of(&payload) else { return };
        let number = self.strays.next();
        let lifetime = Interval::Lifetime.list(&self.config);
        let running = self.timers.arm_nth(now, lifetime, Expiry::Stray(number));
        let stray = Stray { tried: target, left: Vec::new(), domain: None, running };
        self.strays.by_number.insert(number, stray);
        let lookup = self.look_up(now, Purpose::Stray(number, payload), Box::new(locator));
        self.settle(now, lookup);
    }

    /// The Via of such a response was looked up.
    pub(super) fn found_stray_way(
        &mut self,
        number: StrayNumber,
        payload: Bytes,
        mut targets: Vec<Target>,
        domain: Option<Arc<str>>,
    ) {
        let Some(stray) = self.strays.by_number.get_mut(&number) else { return };
        let tried = stray.tried;
        targets.retain(|it| it.remote != tried.remote || it.transport != tried.transport);
        stray.left = targets;
        stray.domain = domain;
        self.send_stray(number, payload);
    }

    /// Sends it to the next target; without one it is lost.
    fn send_stray(&mut self, number: StrayNumber, payload: Bytes) {
        let Some(stray) = self.strays.by_number.get_mut(&number) else { return };
        let Some(next) = stray.left.pop() else {
            tracing::debug!(remote = %stray.tried.remote, "a response leads nowhere");
            self.timers.cancel(stray.running);
            self.strays.forget(number);
            return;
        };
        self.stats.responses_sent += 1;
        self.outputs.push_back(Output::Transmit(Transmit {
            destination: Destination::Target(next),
            fallback: None,
            payload,
            domain: stray.domain.clone(),
            token: number.token(),
        }));
    }
}
