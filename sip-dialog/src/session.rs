//! The INVITE usage of a dialog: which INVITE is under way, whose turn it is, and whether a BYE may go.
//!
//! ```text
//!                 ours (we send INVITE)                 theirs (we receive INVITE)
//!
//!   invite_sent   | Idle ──► Pending                    receive_invite   | Idle ──► Pending
//!   answered 2xx  | Pending ──► AckOwed                 final_sent 2xx   | Pending ──► AwaitingAck
//!   answered else | Pending ──► Idle                    final_sent else  | Pending ──► AwaitingAck
//!   ack_sent      | AckOwed ──► Idle                    ack_received     | AwaitingAck ──► Idle
//!                                                       ack_missed       | AwaitingAck ──► Idle
//! ```
//!
//! At most one of the two sides is away from `Idle`: that is the rule which glare (RFC 3261 §14) breaks
//! and [`Session::receive_invite`] restores.

use core::ops::RangeInclusive;
use core::time::Duration;

use sip_message::StatusCode;

use crate::Rejection;
use crate::dialog::Role;

/// The state of the INVITE usage of one dialog (RFC 3261 §13-§15). It holds no dialog: keep one beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Who generated the Call-ID: the UAC of the request that made the dialog.
    role: Role,
    ours: Ours,
    theirs: Theirs,
    progress: Progress,
}

/// The INVITE that we sent in this dialog, if one is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    Idle,
    /// Sent; no final response yet.
    Pending {
        cseq: u32,
    },
    /// A 2xx came; our ACK has not gone out.
    AckOwed {
        cseq: u32,
    },
}

/// The INVITE that the peer sent in this dialog, if one is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theirs {
    Idle,
    /// Received; we have sent no final response.
    Pending {
        cseq: u32,
    },
    /// We sent the final response; its ACK has not come.
    AwaitingAck {
        cseq: u32,
    },
}

/// How far the session as a whole has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The initial INVITE has no 2xx yet: an early dialog.
    Early,
    /// We accepted the initial INVITE and its ACK has not come.
    Accepted,
    /// A 2xx and (at the callee) its ACK or the end of the wait for it are behind us.
    Established,
    /// Over: a BYE was sent or received, or the initial INVITE was refused.
    Ended,
}

/// Why a new INVITE may not be sent now ([`Session::may_invite`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// Our own INVITE has no final response, or its 2xx is not acknowledged by us yet.
    #[error("an INVITE of ours is in progress in this dialog")]
    OurInvite,
    /// The peer's INVITE has no final response from us, or its ACK has not come.
    #[error("an INVITE of the peer is in progress in this dialog")]
    TheirInvite,
    /// The session is over.
    #[error("the session has ended")]
    Ended,
}

/// What the final response to our INVITE means for the session ([`Session::answered`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// 2xx: the session is established or changed. An ACK is owed; tell [`Session::ack_sent`].
    Accepted,
    /// Our re-INVITE collided with the peer's: try it again after this long, if it is still wanted.
    Glare {
        /// 0 to 2 s, or 2.1 to 4 s for the owner of the Call-ID; a multiple of 10 ms.
        wait: Duration,
    },
    /// Refused; the session stays as it was before the INVITE.
    Refused,
    /// The dialog is gone: the initial INVITE was refused, or the peer no longer knows the dialog.
    /// For a dialog that was established, send a BYE.
    Terminated,
    /// It answers no INVITE that is in progress: a repeat, to be ignored (a repeated 2xx is acknowledged again).
    Ignored,
}

/// Whether a BYE may be sent ([`Session::may_bye`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bye {
    /// Send it now.
    Now,
    /// Not before the ACK to our 2xx has come or the wait for it has ended: remember the wish, and ask
    /// again after [`Session::ack_received`] or [`Session::ack_missed`].
    AfterAck,
    /// Our ACK to the peer's 2xx goes first, then the BYE.
    AckFirst,
    /// Never on this dialog: the callee refuses an early dialog with a final response to the INVITE.
    Refuse,
    /// The session is over already.
    Ended,
}

impl Session {
    /// The session of the dialog that an initial INVITE makes: at the caller ([`Role::Uac`]) our INVITE
    /// with this CSeq is in progress, at the callee ([`Role::Uas`]) the peer's.
    pub fn new(role: Role, cseq: u32) -> Session {
        let (ours, theirs) = match role {
            Role::Uac => (Ours::Pending { cseq }, Theirs::Idle),
            Role::Uas => (Ours::Idle, Theirs::Pending { cseq }),
        };
        Session { role, ours, theirs, progress: Progress::Early }
    }

    /// The session of a dialog that was established before a restart, with no INVITE under way.
    pub fn restored(role: Role) -> Session {
        Session { role, ours: Ours::Idle, theirs: Theirs::Idle, progress: Progress::Established }
    }

    /// Whether an INVITE may be sent in the dialog now.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn may_invite(&self) -> Result<(), Busy> {
        if self.progress == Progress::Ended {
            return Err(Busy::Ended);
        }
        // RFC 3261 §14.1: "Note that a UAC MUST NOT initiate a new INVITE transaction within a
        // dialog while another INVITE transaction is in progress in either direction."
        match (self.ours, self.theirs) {
            (Ours::Idle, Theirs::Idle) => Ok(()),
            // RFC 3261 §14.1: "If there is an ongoing INVITE client transaction, the TU MUST
            // wait until the transaction reaches the completed or terminated
            // state before initiating the new INVITE."
            (Ours::Pending { .. } | Ours::AckOwed { .. }, _) => Err(Busy::OurInvite),
            // RFC 3261 §14.1: "If there is an ongoing INVITE server transaction, the TU MUST
            // wait until the transaction reaches the confirmed or terminated
            // state before initiating the new INVITE."
            (Ours::Idle, Theirs::Pending { .. } | Theirs::AwaitingAck { .. }) => {
                Err(Busy::TheirInvite)
            }
        }
    }

    /// An INVITE with this CSeq goes out (also one sent again with credentials, after [`Session::answered`]).
    ///
    /// # Errors
    /// As [`Session::may_invite`]; the state is then unchanged and the INVITE must not be sent.
    pub fn invite_sent(&mut self, cseq: u32) -> Result<(), Busy> {
        self.may_invite()?;
        self.ours = Ours::Pending { cseq };
        Ok(())
    }

    /// The initial INVITE is sent again (credentials, Session-Expires, …) under a new CSeq before any dialog
    /// came of it, or a re-INVITE is: the number that answers are matched with changes.
    pub fn invite_resent(&mut self, cseq: u32) {
        if self.progress != Progress::Ended {
            self.ours = Ours::Pending { cseq };
        }
    }

    /// A final response to our INVITE with this CSeq came; a time-out counts as
    /// [`StatusCode::REQUEST_TIMEOUT`].
    ///
    /// `draw` gives a random number within the range it is handed; it is called for a 491 only.
    pub fn answered(
        &mut self,
        cseq: u32,
        status: StatusCode,
        draw: impl FnOnce(RangeInclusive<u32>) -> u32,
    ) -> Answer {
        if self.ours != (Ours::Pending { cseq }) || !status.is_final() {
            return Answer::Ignored;
        }
        if status.is_success() {
            self.ours = Ours::AckOwed { cseq };
            if self.progress == Progress::Early {
                self.progress = Progress::Established;
            }
            return Answer::Accepted;
        }
        // The transaction layer acknowledges what is not a 2xx.
        self.ours = Ours::Idle;
        if self.progress != Progress::Established {
            // RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the
            // non-2xx final response."
            self.progress = Progress::Ended;
            return Answer::Terminated;
        }
        // RFC 3261 §14.1: "if the non-2xx final response is a 481 (Call/Transaction Does Not Exist), or a 408
        // (Request Timeout), or no response at all is received for the re-INVITE (that is, a timeout is
        // returned by the INVITE client transaction), the UAC will terminate the dialog."
        if ends_dialog(status) {
            return Answer::Terminated;
        }
        if status == StatusCode::REQUEST_PENDING {
            return Answer::Glare { wait: glare_wait(self.role, draw) };
        }
        // RFC 3261 §14.1: "If a UA receives a non-2xx final response to a re-INVITE, the session
        // parameters MUST remain unchanged, as if no re-INVITE had been issued."
        Answer::Refused
    }

    /// The ACK to the 2xx of our INVITE went out.
    pub fn ack_sent(&mut self, cseq: u32) {
        if self.ours == (Ours::AckOwed { cseq }) {
            self.ours = Ours::Idle;
        }
    }

    /// An INVITE of the peer arrived in the dialog, in order ([`Dialog::receive`](crate::Dialog::receive)
    /// comes first). `draw` gives a random number within the range it is handed, for Retry-After.
    ///
    /// # Errors
    /// The answer owed when it collides with an INVITE in progress; nothing is changed then.
    pub fn receive_invite(
        &mut self,
        cseq: u32,
        draw: impl FnOnce(RangeInclusive<u32>) -> u32,
    ) -> Result<(), Rejection> {
        if self.progress == Progress::Ended {
            return Err(Rejection::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        }
        // RFC 3261 §14.2: "A UAS that receives a second INVITE before it sends the final
        // response to a first INVITE with a lower CSeq sequence number on the
        // same dialog MUST return a 500 (Server Internal Error) response to the
        // second INVITE and MUST include a Retry-After header field with a
        // randomly chosen value of between 0 and 10 seconds."
        if let Theirs::Pending { .. } = self.theirs {
            let seconds = draw(0..=10).min(10);
            return Err(Rejection::new(StatusCode::SERVER_INTERNAL_ERROR).with_retry_after(seconds));
        }
        // RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent
        // on that dialog is in progress MUST return a 491 (Request Pending)
        // response to the received INVITE."
        if let Ours::Pending { .. } | Ours::AckOwed { .. } = self.ours {
            return Err(Rejection::new(StatusCode::REQUEST_PENDING));
        }
        // The re-INVITE overtook the ACK to our last 2xx, which is lost or late. While that ACK may hold
        // the answer to our offer no new offer can be taken, and 491 is right for every case:
        // RFC 5407 §3.1.4: "a 491 response can also lead to the same outcome, so either response can be used."
        if let Theirs::AwaitingAck { .. } = self.theirs {
            return Err(Rejection::new(StatusCode::REQUEST_PENDING));
        }
        self.theirs = Theirs::Pending { cseq };
        Ok(())
    }

    /// We sent a final response to the peer's INVITE.
    pub fn final_sent(&mut self, status: StatusCode) {
        let Theirs::Pending { cseq } = self.theirs else { return };
        if !status.is_final() {
            return;
        }
        self.theirs = Theirs::AwaitingAck { cseq };
        if self.progress == Progress::Early {
            self.progress = if status.is_success() { Progress::Accepted } else { Progress::Ended };
        }
    }

    /// An ACK came for the peer's INVITE with this CSeq. True if it is the one that was awaited: the
    /// repeats of the 2xx stop.
    pub fn ack_received(&mut self, cseq: u32) -> bool {
        let awaited = self.theirs == (Theirs::AwaitingAck { cseq });
        if awaited {
            self.ack_wait_over();
        }
        awaited
    }

    /// No ACK came within 64*T1 ([`Repeat2xx`](crate::Repeat2xx) gave up, or the server transaction of a
    /// refusal ended). After a 2xx the session should be ended with a BYE, which is now allowed.
    pub fn ack_missed(&mut self) {
        if let Theirs::AwaitingAck { .. } = self.theirs {
            self.ack_wait_over();
        }
    }

    fn ack_wait_over(&mut self) {
        self.theirs = Theirs::Idle;
        if self.progress == Progress::Accepted {
            self.progress = Progress::Established;
        }
    }

    /// How long to wait after a 491 to another request of ours that offers, an UPDATE: RFC 3311 §5.3 has the times of
    /// RFC 3261 §14.1. `draw` gives a random number within the range it is handed.
    pub fn glare_wait(&self, draw: impl FnOnce(RangeInclusive<u32>) -> u32) -> Duration {
        glare_wait(self.role, draw)
    }

    /// Whether a BYE may be sent in the dialog now.
    pub fn may_bye(&self) -> Bye {
        match (self.progress, self.role) {
            (Progress::Ended, _) => Bye::Ended,
            // RFC 3261 §15: "The caller's UA MAY send a BYE for either
            // confirmed or early dialogs, and the callee's UA MAY send a BYE on
            // confirmed dialogs, but MUST NOT send a BYE on early dialogs."
            (Progress::Early, Role::Uac) => Bye::Now,
            (Progress::Early, Role::Uas) => Bye::Refuse,
            // RFC 3261 §15: "However, the callee's UA MUST NOT send a BYE on a confirmed dialog
            // until it has received an ACK for its 2xx response or until the server
            // transaction times out."
            (Progress::Accepted, _) => Bye::AfterAck,
            (Progress::Established, _) => match self.ours {
                Ours::AckOwed { .. } => Bye::AckFirst,
                Ours::Idle | Ours::Pending { .. } => Bye::Now,
            },
        }
    }

    /// A BYE was sent or received: the session is over. True if it was not before.
    ///
    /// An INVITE of the peer that is still unanswered wants a 487; [`Session::unanswered`] says so.
    pub fn end(&mut self) -> bool {
        // RFC 3261 §15.1.1: "The UAC MUST
        // consider the session terminated (and therefore stop sending or
        // listening for media) as soon as the BYE request is passed to the
        // client transaction."
        core::mem::replace(&mut self.progress, Progress::Ended) != Progress::Ended
    }

    /// The CSeq of the peer's INVITE that has no final response from us yet.
    pub fn unanswered(&self) -> Option<u32> {
        match self.theirs {
            Theirs::Pending { cseq } => Some(cseq),
            Theirs::Idle | Theirs::AwaitingAck { .. } => None,
        }
    }

    /// The CSeq of the peer's INVITE whose ACK is still awaited.
    pub fn awaiting_ack(&self) -> Option<u32> {
        match self.theirs {
            Theirs::AwaitingAck { cseq } => Some(cseq),
            Theirs::Idle | Theirs::Pending { .. } => None,
        }
    }

    /// Whether a 2xx has established the session and it has not ended.
    pub fn is_established(&self) -> bool {
        matches!(self.progress, Progress::Accepted | Progress::Established)
    }

    /// Whether the session is over.
    pub fn is_ended(&self) -> bool {
        self.progress == Progress::Ended
    }
}

/// Whether a final response with this status to a request within a dialog means that the dialog is gone
/// (RFC 3261 §12.2.1.2). A time-out of the client transaction counts as [`StatusCode::REQUEST_TIMEOUT`].
pub fn ends_dialog(status: StatusCode) -> bool {
    // RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481
    // (Call/Transaction Does Not Exist) or a 408 (Request Timeout), the UAC
    // SHOULD terminate the dialog."
    status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
        || status == StatusCode::REQUEST_TIMEOUT
}

/// RFC 3261 §14.1: how long to wait after a 491, in units of 10 ms.
fn glare_wait(role: Role, draw: impl FnOnce(RangeInclusive<u32>) -> u32) -> Duration {
    let range = match role {
        // RFC 3261 §14.1: "If the UAC is the owner of the Call-ID of the dialog ID
        // (meaning it generated the value), T has a randomly chosen value
        // between 2.1 and 4 seconds in units of 10 ms."
        Role::Uac => 210..=400,
        // RFC 3261 §14.1: "If the UAC is not the owner of the Call-ID of the dialog ID, T
        // has a randomly chosen value of between 0 and 2 seconds in units
        // of 10 ms."
        Role::Uas => 0..=200,
    };
    let units = draw(range.clone()).clamp(*range.start(), *range.end());
    Duration::from_millis(u64::from(units) * 10)
}

#[cfg(test)]
mod tests;
