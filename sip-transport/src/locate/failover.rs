//! What follows when a target fails (RFC 3263 §4.3), and which targets failed lately.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

use sip_message::Transport;

use crate::{Target, TransportError};

/// How the attempt at one target ended, if not by an answer of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It answered 503, with this Retry-After if it had one.
    Unavailable(Option<Duration>),
    /// The request could not be sent.
    Transport(TransportError),
    /// No final response came in time.
    Timeout {
        /// A provisional response did come.
        was_heard: bool,
    },
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A new transaction, with a new branch, to the next target.
    Target,
    /// The failure is reported to whoever sent the request.
    Report,
}

/// What follows a failure when so many targets are left.
///
/// | failure | cancelled | targets left | next |
/// |---|---|---|---|
/// | any | any | no | report |
/// | any | yes | yes | report |
/// | 503 | no | yes | target |
/// | transport error | no | yes | target |
/// | transport error that the message is to blame for | no | yes | report |
/// | time-out, nothing heard | no | yes | target |
/// | time-out after a provisional response | no | yes | report |
pub const fn next(failure: Failure, is_cancelled: bool, targets_left: usize) -> Next {
    // RFC 3263 §4: "a CANCEL for a particular SIP request MUST be sent to the same SIP server that the SIP
    // request was delivered to."
    // Who cancelled does not want the request to start anew elsewhere.
    if targets_left == 0 || is_cancelled {
        return Next::Report;
    }
    match failure {
        // RFC 3263 §4.3: "For SIP requests, failure occurs if the transaction layer reports a 503 error
        // response or a transport failure of some sort (generally, due to fatal ICMP errors in UDP or
        // connection failures in TCP)."
        Failure::Unavailable(_) => Next::Target,
        // No target takes a message that is too large.
        Failure::Transport(TransportError::TooLarge) => Next::Report,
        Failure::Transport(_) => Next::Target,
        // RFC 3263 §4.3: "Failure also occurs if the transaction layer times out without ever having received
        // any response, provisional or final (i.e., timer B or timer F in RFC 3261 [1] fires)."
        Failure::Timeout { was_heard: false } => Next::Target,
        Failure::Timeout { was_heard: true } => Next::Report,
    }
}

/// How long a target that could not be reached is tried last.
pub const BAD_FOR: Duration = Duration::from_secs(60);

/// The longest that a Retry-After is believed.
pub const BAD_FOR_AT_MOST: Duration = Duration::from_secs(3600);

/// Targets that are remembered at most.
const CAPACITY: usize = 256;

impl Failure {
    /// How long the target is to be tried last.
    const fn bad_for(self) -> Option<Duration> {
        match self {
            // RFC 3261 §21.5.4: "It SHOULD NOT forward any other requests to that server for the duration
            // specified in the Retry-After header field, if present."
            Self::Unavailable(Some(duration)) => {
                let is_longer = duration.as_secs() > BAD_FOR_AT_MOST.as_secs();
                Some(if is_longer { BAD_FOR_AT_MOST } else { duration })
            }
            Self::Unavailable(None) => None,
            // The far end is to blame for these.
            Self::Transport(
                TransportError::Refused
                | TransportError::ProtocolUnsupported
                | TransportError::ConnectTimeout
                | TransportError::Unreachable,
            )
            | Self::Timeout { was_heard: false } => Some(BAD_FOR),
            Self::Transport(_) | Self::Timeout { was_heard: true } => None,
        }
    }
}

/// The targets that failed lately. They are tried last, not never: all may have failed.
///
/// It holds 256; beyond it the one that would be forgotten first makes room.
#[derive(Clone, Debug, Default)]
pub struct BadTargets {
    /// Until when each is tried last.
    until: BTreeMap<(SocketAddr, Transport), Instant>,
}

impl BadTargets {
    /// Remembers a failure, for as long as its kind says.
    pub fn note(&mut self, now: Instant, target: &Target, failure: Failure) {
        let Some(until) = failure.bad_for().and_then(|time| now.checked_add(time)) else { return };
        if self.until.len() >= CAPACITY && !self.until.contains_key(&key(target)) {
            self.make_room(now);
        }
        self.until.insert(key(target), until);
    }

    fn make_room(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= CAPACITY {
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(key, _)| *key) {
                self.until.remove(&first);
            }
        }
    }

    /// Forgets a target that answered.
    pub fn forget(&mut self, target: &Target) {
        self.until.remove(&key(target));
    }

    /// Whether a target failed lately.
    pub fn contains(&self, now: Instant, target: &Target) -> bool {
        self.until.get(&key(target)).is_some_and(|until| *until > now)
    }

    /// Puts those that failed lately behind the others; the order is kept among either.
    pub fn put_last(&self, now: Instant, targets: &mut [Target]) {
        if !self.until.is_empty() {
            targets.sort_by_key(|target| self.contains(now, target));
        }
    }

    /// How many are remembered, those included whose time is over.
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

fn key(target: &Target) -> (SocketAddr, Transport) {
    (target.remote, target.transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16) -> Target {
        Target::new(Transport::Udp, SocketAddr::from(([192, 0, 2, 1], port)))
    }

    const SILENCE: Failure = Failure::Timeout { was_heard: false };

    #[test]
    fn the_table_of_failures() {
        let unavailable = Failure::Unavailable(None);
        let retry_after = Failure::Unavailable(Some(Duration::from_secs(9)));
        let refused = Failure::Transport(TransportError::Refused);
        let too_large = Failure::Transport(TransportError::TooLarge);
        let heard = Failure::Timeout { was_heard: true };
        let rows = [
            (unavailable, Next::Target),
            (retry_after, Next::Target),
            (refused, Next::Target),
            (Failure::Transport(TransportError::ConnectTimeout), Next::Target),
            (Failure::Transport(TransportError::Closed), Next::Target),
            (Failure::Transport(TransportError::NoListener), Next::Target),
            (too_large, Next::Report),
            (SILENCE, Next::Target),
            (heard, Next::Report),
        ];
        for (failure, expected) in rows {
            assert_eq!(next(failure, false, 1), expected, "{failure:?}");
            assert_eq!(next(failure, false, 7), expected, "{failure:?}");
            assert_eq!(next(failure, true, 1), Next::Report, "{failure:?}, cancelled");
            assert_eq!(next(failure, false, 0), Next::Report, "{failure:?}, the last");
        }
    }

    #[test]
    fn a_target_is_bad_for_a_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let rows = [
            (SILENCE, 60),
            (Failure::Transport(TransportError::Refused), 60),
            (Failure::Transport(TransportError::Unreachable), 60),
            (Failure::Transport(TransportError::ConnectTimeout), 60),
            (Failure::Transport(TransportError::ProtocolUnsupported), 60),
            (Failure::Unavailable(Some(Duration::from_secs(7))), 7),
            (Failure::Unavailable(Some(Duration::from_secs(1 << 40))), 3600),
        ];
        for (failure, seconds) in rows {
            let mut bad = BadTargets::default();
            bad.note(start, &target(1), failure);
            assert!(bad.contains(at(seconds - 1), &target(1)), "{failure:?}");
            assert!(!bad.contains(at(seconds), &target(1)), "{failure:?}");
            assert!(!bad.contains(start, &target(2)));
        }
        let harmless = [
            Failure::Unavailable(None),
            Failure::Timeout { was_heard: true },
            Failure::Transport(TransportError::Closed),
            Failure::Transport(TransportError::QueueFull),
            Failure::Transport(TransportError::TooLarge),
        ];
        for failure in harmless {
            let mut bad = BadTargets::default();
            bad.note(start, &target(1), failure);
            assert!(bad.is_empty(), "{failure:?}");
        }
    }

    #[test]
    fn bad_targets_come_last_and_one_that_answers_is_good_again() {
        let start = Instant::now();
        let mut bad = BadTargets::default();
        let ports = |bad: &BadTargets, now| {
            let mut targets: Vec<_> = (1..=4).map(target).collect();
            bad.put_last(now, &mut targets);
            targets.iter().map(|target| target.remote.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(&bad, start), [1, 2, 3, 4]);
        bad.note(start, &target(1), SILENCE);
        bad.note(start, &target(3), SILENCE);
        assert_eq!(ports(&bad, start), [2, 4, 1, 3]);
        let tcp = Target { transport: Transport::Tcp, ..target(1) };
        assert!(!bad.contains(start, &tcp), "another transport is another target");
        bad.forget(&target(1));
        assert_eq!(ports(&bad, start), [1, 2, 4, 3]);
        assert_eq!(ports(&bad, start + BAD_FOR), [1, 2, 3, 4]);
        for port in 1..=4 {
            bad.note(start, &target(port), SILENCE);
        }
        assert_eq!(ports(&bad, start), [1, 2, 3, 4], "all are bad: none is left out");
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_makes_room() {
        let start = Instant::now();
        let mut bad = BadTargets::default();
        for port in 1..=300 {
            bad.note(start + Duration::from_millis(u64::from(port)), &target(port), SILENCE);
        }
        assert_eq!(bad.len(), CAPACITY);
        let now = start + Duration::from_millis(300);
        assert!(!bad.contains(now, &target(44)));
        assert!(bad.contains(now, &target(45)) && bad.contains(now, &target(300)));
        // Noted again it is not there twice, and what is over is cleared away.
        bad.note(now, &target(300), SILENCE);
        assert_eq!(bad.len(), CAPACITY);
        bad.note(now + BAD_FOR, &target(1), SILENCE);
        assert_eq!(bad.len(), 1);
        bad.forget(&target(1));
        assert!(bad.is_empty());
    }
}
