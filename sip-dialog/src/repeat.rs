//! When the 2xx to an INVITE is sent again until its ACK comes (RFC 3261 §13.3.1.4).

use core::time::Duration;

/// The schedule by which a 2xx to INVITE is repeated until its ACK arrives.
///
/// It holds no clock: [`Repeat2xx::start`] gives the delay to arm when the 2xx is sent first; whenever that
/// timer fires, [`Repeat2xx::fired`] says what to do and what to arm next. Drop it when the ACK arrives.
///
/// ```
/// # use std::time::Duration;
/// use sip_dialog::{Repeat2xx, RepeatStep};
///
/// let (mut repeat, first) = Repeat2xx::start(Duration::from_millis(500), Duration::from_secs(4));
/// assert_eq!(first, Duration::from_millis(500));
/// assert_eq!(repeat.fired(), RepeatStep::Again { next: Duration::from_secs(1) });
/// assert_eq!(repeat.fired(), RepeatStep::Again { next: Duration::from_secs(2) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat2xx {
    /// The delay that is armed now.
    armed: Duration,
    /// The regular interval before it was cut to the time that is left.
    interval: Duration,
    /// What is left of the 64*T1 when the armed delay has passed.
    left: Duration,
    t2: Duration,
}

/// What to do when the timer of a [`Repeat2xx`] fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatStep {
    /// Send the 2xx again and arm the timer with `next`.
    Again {
        /// The delay until the next step.
        next: Duration,
    },
    /// 64*T1 have passed: the ACK is missing. The session should be ended with a BYE.
    GiveUp,
}

impl Repeat2xx {
    /// The 2xx has just been sent: the schedule, and the delay to arm first.
    pub fn start(t1: Duration, t2: Duration) -> (Repeat2xx, Duration) {
        // RFC 3261 §13.3.1.4: "The 2xx response is passed to the transport with an
        // interval that starts at T1 seconds and doubles for each
        // retransmission until it reaches T2 seconds"
        let interval = t1.min(t2);
        let left = t1.saturating_mul(64).saturating_sub(interval);
        (Repeat2xx { armed: interval, interval, left, t2 }, interval)
    }

    /// The timer fired: repeat the 2xx and arm again, or give up.
    pub fn fired(&mut self) -> RepeatStep {
        // RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without
        // receiving an ACK, the dialog is confirmed, but the session SHOULD be
        // terminated."
        if self.left.is_zero() {
            return RepeatStep::GiveUp;
        }
        self.interval = self.interval.saturating_mul(2).min(self.t2);
        self.armed = self.interval.min(self.left);
        self.left -= self.armed;
        RepeatStep::Again { next: self.armed }
    }
}

#[cfg(test)]
mod tests;
