//! Provisional responses that arrive for certain (RFC 3262): RSeq, RAck, and when to send again.
//!
//! ```text
//!  callee (ReliableSender)                                 caller (ReliableReceiver)
//!
//!      send(): RSeq n        +-------------+                RSeq of the first      New: send PRACK
//!  Idle -------------------->| Outstanding |--+ fired():    the last and one more  New: send PRACK
//!   ^                        +-------------+  | send again  the last or less       Repeat: ignore
//!   | acknowledge(n)            |    |   ^     | T1, 2*T1 …  any other              Gap: ignore, it comes again
//!   +---------------------------+    |   +----+
//!                                    | 64*T1: GiveUp, refuse the INVITE with 5xx
//!                                    V
//! ```

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

use sip_message::{Method, RAck, RSeq, StatusCode};

use crate::{Rejection, RepeatStep};

/// The first RSeq is drawn from these.
///
/// RFC 3262 §3: "The value
/// of the header field for the first reliable provisional response in a
/// transaction MUST be between 1 and 2**31 - 1.  It is RECOMMENDED that
/// it be chosen uniformly in this range."
const FIRST: RangeInclusive<u32> = 1..=(1 << 31) - 1;

/// The reliable provisional responses to one INVITE at its callee: one is outstanding at a time.
///
/// It holds no clock: [`send`](Self::send) gives the delay to arm; whenever that timer fires,
/// [`fired`](Self::fired) says what to do and what to arm next.
///
/// ```
/// # use std::time::Duration;
/// use sip_dialog::{ReliableSender, RepeatStep};
/// use sip_message::{CSeq, Method, RAck};
///
/// let mut sender = ReliableSender::new(7);
/// let (rseq, first) = sender.send(Duration::from_millis(500), |_| 4711).unwrap();
/// assert_eq!((rseq.0.get(), first), (4711, Duration::from_millis(500)));
/// assert!(sender.send(Duration::from_millis(500), |_| 1).is_none());
/// assert_eq!(sender.fired(), RepeatStep::Again { next: Duration::from_secs(1) });
/// let rack = RAck::new(rseq, CSeq::new(7, Method::Invite)?);
/// assert!(sender.acknowledge(&rack).is_ok());
/// assert!(sender.acknowledge(&rack).is_err()); // 481
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReliableSender {
    /// The CSeq number of the INVITE.
    invite: u32,
    /// What was sent last.
    last: Option<NonZeroU32>,
    outstanding: Option<Outstanding>,
    /// The PRACK that came last was refused.
    refused: bool,
    /// A final response went out.
    over: bool,
}

/// A response without its PRACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outstanding {
    /// The delay that is armed now.
    armed: Duration,
    /// What is left of the 64*T1 when it has passed.
    left: Duration,
}

impl ReliableSender {
    /// The sender for the INVITE with this CSeq number.
    pub fn new(invite: u32) -> ReliableSender {
        ReliableSender { invite, last: None, outstanding: None, refused: false, over: false }
    }

    /// Another reliable provisional response goes out: its RSeq, and the delay to arm. `None` while one is
    /// outstanding, after the final response, and when the numbers have run out. `draw` gives a random number within
    /// the range it is handed; it is called for the first one.
    pub fn send(
        &mut self,
        t1: Duration,
        draw: impl FnOnce(RangeInclusive<u32>) -> u32,
    ) -> Option<(RSeq, Duration)> {
        // RFC 3262 §3: "The UAS MUST NOT send a second reliable provisional
        // response until the first is acknowledged.  After the first, it is
        // RECOMMENDED that the UAS not send an additional reliable provisional
        // response until the previous is acknowledged."
        // RFC 3262 §3: "A UAS MUST NOT send new
        // reliable provisional responses (as opposed to retransmissions of
        // unacknowledged ones) after sending a final response to a request."
        if self.outstanding.is_some() || self.over {
            return None;
        }
        let next = match self.last {
            None => NonZeroU32::new(draw(FIRST).clamp(*FIRST.start(), *FIRST.end()))?,
            // RFC 3262 §3: "The value of the RSeq in each subsequent reliable provisional
            // response for the same request MUST be greater by exactly one.  RSeq
            // numbers MUST NOT wrap around."
            Some(last) => last.checked_add(1)?,
        };
        self.last = Some(next);
        self.refused = false;
        self.outstanding =
            Some(Outstanding { armed: t1, left: t1.saturating_mul(64).saturating_sub(t1) });
        Some((RSeq(next), t1))
    }

    /// The timer fired: send the response again and arm anew, or give up.
    pub fn fired(&mut self) -> RepeatStep {
        let Some(outstanding) = &mut self.outstanding else { return RepeatStep::GiveUp };
        // RFC 3262 §3: "If a reliable provisional response is retransmitted for 64*T1 seconds
        // without reception of a corresponding PRACK, the UAS SHOULD reject the
        // original request with a 5xx response."
        if outstanding.left.is_zero() {
            return RepeatStep::GiveUp;
        }
        // RFC 3262 §3: "The reliable provisional response is passed to the transaction layer
        // periodically with an interval that starts at T1 seconds and doubles
        // for each retransmission"
        let next = outstanding.armed.saturating_mul(2).min(outstanding.left);
        outstanding.armed = next;
        outstanding.left = outstanding.left.saturating_sub(next);
        RepeatStep::Again { next }
    }

    /// Whether a PRACK with this RAck would acknowledge the response that is outstanding.
    ///
    /// # Errors
    /// 481, the answer owed if not.
    pub fn matches(&self, rack: &RAck) -> Result<(), Rejection> {
        // RFC 3262 §3: "A matching
        // PRACK is defined as one within the same dialog as the response, and
        // whose method, CSeq-num, and response-num in the RAck header field
        // match, respectively, the method from the CSeq, the sequence number
        // from the CSeq, and the sequence number from the RSeq of the reliable
        // provisional response."
        let matches = (self.outstanding.is_some() || self.refused)
            && self.last == Some(rack.rseq().0)
            && rack.cseq().number() == self.invite
            && *rack.cseq().method() == Method::Invite;
        // RFC 3262 §3: "If a PRACK request is received by the UA core that does not match any
        // unacknowledged reliable provisional response, the UAS MUST respond to
        // the PRACK with a 481 response."
        if matches {
            Ok(())
        } else {
            Err(Rejection::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST))
        }
    }

    /// A PRACK with this RAck came: the response is no longer outstanding. It is to be answered with a 2xx.
    ///
    /// # Errors
    /// As [`matches`](Self::matches); nothing is changed then.
    pub fn acknowledge(&mut self, rack: &RAck) -> Result<(), Rejection> {
        self.matches(rack)?;
        // RFC 3262 §3: "It SHOULD cease
        // retransmissions of the reliable provisional response, and MUST remove
        // it from the list of unacknowledged provisional responses."
        self.outstanding = None;
        self.refused = false;
        Ok(())
    }

    /// The PRACK that came last was answered by a refusal, for its offer was not acceptable: it may come again without
    /// one, and is then in order.
    // RFC 6337 §2.3: "In that case, UAC may send again a PRACK
    // request without an offer"
    pub fn prack_refused(&mut self) {
        self.refused = self.outstanding.is_none() && self.last.is_some();
    }

    /// A final response went out: nothing is sent again, and the PRACK of what is outstanding is still taken.
    pub fn final_sent(&mut self) {
        // RFC 3262 §3: "If the UAS does send a
        // final response when reliable responses are still unacknowledged, it
        // SHOULD NOT continue to retransmit the unacknowledged reliable
        // provisional responses, but it MUST be prepared to process PRACK
        // requests for those outstanding responses."
        self.over = true;
    }

    /// Whether a response has no PRACK yet.
    pub fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }
}

/// The reliable provisional responses from one callee of an INVITE, at its caller: one for each early dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReliableReceiver {
    /// RFC 3262 §4: "The UAC
    /// MUST maintain a sequence number that indicates the most recently
    /// received in-order reliable provisional response for the initial
    /// request."
    last: Option<NonZeroU32>,
}

/// What a reliable provisional response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The next in order: it is to be acknowledged by a PRACK.
    New,
    /// It was acknowledged before, and is to be dropped.
    Repeat,
    /// One before it is missing: it is to be dropped, and comes again.
    Gap,
}

impl ReliableReceiver {
    /// Nothing came yet.
    pub fn new() -> ReliableReceiver {
        ReliableReceiver::default()
    }

    /// A response with this RSeq came.
    pub fn receive(&mut self, rseq: RSeq) -> Received {
        let received = match self.last {
            // RFC 3262 §4: "Its value MUST be
            // initialized to the RSeq header field in the first reliable
            // provisional response received for the initial request."
            None => Received::New,
            Some(last) if last.checked_add(1) == Some(rseq.0) => Received::New,
            // RFC 3262 §4: "Once a reliable provisional response is received, retransmissions of
            // that response MUST be discarded."
            Some(last) if rseq.0 <= last => Received::Repeat,
            // RFC 3262 §4: "if the UAC receives another reliable provisional
            // response to the same request, and its RSeq value is not one higher
            // than the value of the sequence number, that response MUST NOT be
            // acknowledged with a PRACK, and MUST NOT be processed further by the
            // UAC."
            Some(_last) => Received::Gap,
        };
        if received == Received::New {
            self.last = Some(rseq.0);
        }
        received
    }
}

#[cfg(test)]
mod tests;
