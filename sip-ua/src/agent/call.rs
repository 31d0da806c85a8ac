//! What the agent keeps of one call, and how a call ends.
//!
//! ```text
//!      call()                                   INVITE arrives
//!         |                                          |
//!    +---------+  hang_up()   +------------+    +---------+
//!    | Calling |------------->| Cancelling |    | Invited |
//!    +---------+              +------------+    +---------+
//!       |    | not 2xx           | any final     |     | accept()
//!       |    |                   |        reject,|  +----------+
//!       |    +----------------+  |        CANCEL |  | Accepted |
//!       | 2xx: ACK (*)        |  |               |  +----------+
//!       v                     v  v               |     | ACK     | none in 64*T1: BYE
//!  +-------------+  BYE   +------------+         |     |         |
//!  | Established |------->|    Over    |<--------+-----|---------+
//!  +-------------+        +------------+               |
//!         ^--------------------------------------------+
//! ```
//!
//! (*) If the INVITE had no offer, when the application has answered that of the 2xx: see `offer.rs`.
//!
//! No state is without a way out:
//!
//! | state       | what ends it when nobody does anything                                            |
//! | ----------- | --------------------------------------------------------------------------------- |
//! | Calling     | Timer B of the INVITE; after a provisional response `TimerKind::Calling` cancels    |
//! | Cancelling  | the final response, which the transaction layer waits for 64*T1 after its CANCEL    |
//! | Invited     | `TimerKind::Invited`: Expires of the INVITE or the ringing limit                    |
//! | Accepted    | `TimerKind::Accepted`: 64*T1 without ACK                                            |
//! | Established | the peer, the application or the session timer, unless that is off.               |
//! |             | While the application owes an answer, `TimerKind::Answer` ends it                   |
//! | Over        | the ends of the client transactions it still has: BYE (Timer F), INVITE (Timer M)   |

use std::sync::Arc;
use std::time::Instant;

use sip_auth::Authenticator;
use sip_dialog::{DialogKey, OfferAnswer, ReliableReceiver, Repeat2xx, Role, Session};
use sip_message::{Request, Response, StatusCode};
use sip_transaction::{ClientKey, NextHop, ServerKey, TimerKey, Transactions};
use sip_transport::{ConnectionId, ListenerId};
use smallvec::SmallVec;

use super::messages::Packages;
use super::modify::Exchange;
use super::offer::{OwedAnswer, describes_session};
use super::prack::PeerReliability;
use super::replaces::Pointer;
use super::retry::Retry;
use super::session_timer::Timing;
use super::usages::Usage;
use super::{Agent, ServerUse};
use crate::{
    Account, AgentError, AgentEvent, Body, CallKey, CallState, CallUpdate, EarlyId, EndReason,
    ReferKey,
};

/// One call.
///
/// What only some phases need is boxed, so that an established call is small.
pub(crate) struct Call {
    pub(crate) phase: Phase,
    pub(crate) session: Session,
    /// The offer/answer exchange of `dialog`; without one, as that of each callee begins.
    pub(crate) offer_answer: OfferAnswer,
    /// The dialog of the call: at the callee from the start, at the caller from the first 2xx.
    pub(crate) dialog: Option<DialogKey>,
    /// Whose secrets answer challenges.
    pub(crate) account: Option<Arc<Account>>,
    /// The challenges that were answered in this call.
    pub(crate) auth: Option<Box<Authenticator>>,
    /// At the caller, while the transaction of the INVITE lives.
    pub(crate) caller: Option<Box<Caller>>,
    /// What modifies the session, and what reliable provisional responses left behind.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// What keeps the session from lasting for ever.
    pub(crate) timing: Option<Box<Timing>>,
    /// The address of ours that the INVITE came by or went out from, which our Contact names.
    pub(crate) listener: Option<ListenerId>,
    /// The connection over which the peer was heard, where no other may lead to it: see `way_back.rs`.
    pub(crate) flow: Option<ConnectionId>,
    /// How many client transactions refer to this call; it is removed when it is over and there are none.
    pub(crate) transactions: u16,
    /// How many requests of the peer wait for the application's reply.
    pub(crate) owed_replies: u8,
    /// The INFO packages that the peer wants.
    pub(crate) packages: Option<Packages>,
    /// The peer has sent a REFER before.
    pub(crate) referred: bool,
    /// Whether the peer takes UPDATE, as its Allow said.
    pub(crate) peer_updates: bool,
    /// Whether the peer is ready for another From in the dialog (RFC 4916).
    pub(crate) from_change: bool,
    /// Whether keep-alives over its flow are agreed on, whichever side sends them (RFC 6223).
    pub(crate) keep_agreed: bool,
    /// The networks have changed since the peer was told where we are, and the application does not know yet.
    pub(crate) is_relocated: bool,
}

pub(crate) enum Phase {
    Calling,
    Cancelling,
    Invited(Box<Invited>),
    Accepted(Box<Accepted>),
    Established,
    Over,
}

/// An INVITE that came in and has no final response.
pub(crate) struct Invited {
    pub(crate) server: ServerKey,
    pub(crate) request: Arc<Request>,
    /// The last provisional response that we sent, to be sent again every minute.
    pub(crate) provisional: Option<Said>,
    /// A 199 has ended its early dialog: only the final response, no 2xx, is still to come.
    pub(crate) early_over: bool,
    pub(crate) expires_at: Instant,
    pub(crate) timer: TimerKey,
    /// Whether the caller takes provisional responses that are sent reliably.
    pub(crate) reliable: PeerReliability,
    /// The other call that it points at.
    pub(crate) pointer: Option<Pointer>,
}

/// A provisional response of ours.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Body>,
    pub(crate) headers: Vec<(String, String)>,
}

/// A 2xx of ours that has no ACK.
pub(crate) struct Accepted {
    pub(crate) server: ServerKey,
    pub(crate) response: Response,
    pub(crate) repeat: Repeat2xx,
    pub(crate) timer: TimerKey,
    /// The call is to end by BYE as soon as one is allowed, and why.
    pub(crate) hang_up: Option<EndReason>,
}

/// The INVITE that we sent.
pub(crate) struct Caller {
    pub(crate) client: ClientKey,
    /// As it was sent last, without Via.
    pub(crate) invite: Request,
    pub(crate) hop: NextHop,
    /// One for each callee that answered.
    pub(crate) forks: SmallVec<[Fork; 1]>,
    /// How many callees answered so far.
    pub(crate) counted: u16,
    /// The limit of ringing, armed by the first provisional response.
    pub(crate) timer: Option<TimerKey>,
    /// How often it was sent again with credentials.
    pub(crate) challenges: u8,
    /// The ACK to the 2xx that made the call waits for the application's answer, at most so long.
    pub(crate) owed: Option<Box<OwedAnswer>>,
    /// PRACKs wait for the application, which may put a new offer in.
    pub(crate) holds_pracks: bool,
    /// The final response came, so that only repeated and forked 2xx may still come.
    pub(crate) answered: bool,
    /// What may be tried when it is refused.
    pub(crate) retry: Option<Box<Retry>>,
    /// Nobody picked up within the limit, so that the agent cancels and not the application.
    pub(crate) rang_out: bool,
    /// Another call takes the place of this one, so that it is cancelled.
    pub(crate) replaced: bool,
    /// Someone asked for this call by a REFER, and is told how it goes.
    pub(crate) reports: Option<ReferKey>,
}

/// One callee of a forked INVITE.
pub(crate) struct Fork {
    pub(crate) early: EarlyId,
    pub(crate) dialog: DialogKey,
    pub(crate) offer_answer: OfferAnswer,
    pub(crate) received: ReliableReceiver,
    pub(crate) updates: bool,
    /// The ACK to its 2xx, to be sent again with each repeat of that. Without one it rings, or the application
    /// owes an answer.
    pub(crate) ack: Option<SentAck>,
}

/// An ACK to a 2xx and where it went.
pub(crate) struct SentAck {
    pub(crate) request: Request,
    pub(crate) hop: NextHop,
}

impl SentAck {
    // RFC 3261 §13.2.2.4: "The
    // ACK MUST be passed to the client transport every time a
    // retransmission of the 2xx final response that triggered the ACK
    // arrives."
    pub(crate) fn send(&self, now: Instant, tx: &mut Transactions) {
        // A failure is mended by the next repeat of the 2xx.
        let _ = tx.send_request(now, self.request.clone(), self.hop.clone());
    }
}

impl Call {
    pub(crate) fn new(
        phase: Phase,
        session: Session,
        offer_answer: OfferAnswer,
        account: Option<Arc<Account>>,
    ) -> Self {
        Self {
            phase,
            session,
            offer_answer,
            dialog: None,
            account,
            auth: None,
            caller: None,
            exchange: None,
            timing: None,
            listener: None,
            flow: None,
            transactions: 0,
            owed_replies: 0,
            packages: None,
            referred: false,
            peer_updates: false,
            from_change: false,
            keep_agreed: false,
            is_relocated: false,
        }
    }

    /// The exchange as it begins with each callee of ours.
    pub(crate) fn begins(&self) -> OfferAnswer {
        match &self.caller {
            Some(caller) => OfferAnswer::new(
                Role::Uac,
                describes_session(caller.invite.headers(), caller.invite.body()),
            ),
            None => self.offer_answer,
        }
    }

    /// The exchange of one of its dialogs.
    pub(crate) fn exchange_in(&self, dialog: DialogKey) -> Option<OfferAnswer> {
        if self.dialog == Some(dialog) {
            return Some(self.offer_answer);
        }
        let mut forks = self.caller.as_ref()?.forks.iter();
        forks.find(|fork| fork.dialog == dialog).map(|fork| fork.offer_answer)
    }

    pub(crate) fn state(&self) -> CallState {
        match self.phase {
            Phase::Calling => CallState::Calling,
            Phase::Cancelling => CallState::Cancelling,
            Phase::Invited(_) => CallState::Invited,
            Phase::Accepted(_) => CallState::Accepted,
            Phase::Established => CallState::Established,
            Phase::Over => CallState::Over,
        }
    }

    /// The error of a command that this state does not allow.
    pub(crate) fn wrong_state(&self, action: &'static str) -> AgentError {
        match self.state() {
            CallState::Over => AgentError::Gone,
            state => AgentError::State { state, action },
        }
    }
}

impl Agent {
    /// Where a call stands; `None` when there is nothing left of it.
    pub fn state(&self, call: CallKey) -> Option<CallState> {
        self.calls.get(call).map(Call::state)
    }

    /// Hangs up, however far the call has come: cancels an INVITE of ours that is not answered, refuses one of
    /// the peer's by 480, ends an established call by BYE. [`CallUpdate::Ended`] follows: at once, or when
    /// the peer's answer to the cancelled INVITE is there, or the ACK to our 2xx. Of a call that is over
    /// already it changes nothing.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if nothing is left of the call.
    pub fn hang_up(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        match &mut call.phase {
            Phase::Calling => self.cancel(now, tx, key),
            Phase::Cancelling => {}
            Phase::Invited(_) => {
                return self.reject(now, tx, key, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
            }
            // RFC 3261 §15: "However, the callee's UA MUST NOT send a BYE on a confirmed dialog
            // until it has received an ACK for its 2xx response or until the server
            // transaction times out."
            Phase::Accepted(accepted) => accepted.hang_up = Some(EndReason::Local),
            Phase::Established => self.bye_and_end(now, tx, key, EndReason::Local),
            Phase::Over => {}
        }
        Ok(())
    }

    /// Tells the application, unless the call is over for it.
    pub(crate) fn update(&mut self, call: CallKey, update: CallUpdate) {
        if self.calls.get(call).is_some_and(|call| !matches!(call.phase, Phase::Over)) {
            self.events.push_back(AgentEvent::Call { call, update });
        }
    }

    /// The call is over: the one place that says so. What is owed to the peer has been sent, or is sent here.
    pub(crate) fn end_call(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        reason: EndReason,
    ) {
        self.acknowledge_unanswered(now, tx, key);
        let Some(call) = self.calls.get_mut(key) else { return };
        match core::mem::replace(&mut call.phase, Phase::Over) {
            Phase::Over => return,
            Phase::Invited(invited) => {
                tx.disarm(invited.timer);
            }
            Phase::Accepted(accepted) => {
                tx.disarm(accepted.timer);
            }
            Phase::Calling | Phase::Cancelling | Phase::Established => {}
        }
        self.active_calls = self.active_calls.saturating_sub(1);
        call.session.end();
        self.call_came_to_end(now, tx, key, &reason);
        self.referrers_hurry(now, tx, key);
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(timer) = call.caller.as_mut().and_then(|caller| caller.timer.take()) {
            tx.disarm(timer);
        }
        self.end_session_timer(tx, key);
        self.stop_ringing(tx, key);
        self.end_exchange(now, tx, key);
        self.kept_calls.leave(tx, key);
        let update = CallUpdate::Ended(reason);
        self.events.push_back(AgentEvent::Call { call: key, update });
        self.release(key);
    }

    /// Removes a call that is over and has nothing more to wait for.
    pub(crate) fn release(&mut self, key: CallKey) {
        let done = |call: &Call| matches!(call.phase, Phase::Over) && call.transactions == 0;
        if !self.calls.get(key).is_some_and(done) {
            return;
        }
        let Some(call) = self.calls.remove(key) else { return };
        self.reasons.remove(&key);
        if let Some(dialog) = call.dialog {
            self.leave_dialog(dialog, Usage::Call(key));
        }
        for fork in call.caller.iter().flat_map(|caller| &caller.forks) {
            self.leave_dialog(fork.dialog, Usage::Call(key));
        }
    }

    /// A client transaction that referred to the call is done.
    pub(crate) fn client_done(&mut self, client: ClientKey, key: CallKey) {
        if self.clients.remove(&client).is_some()
            && let Some(call) = self.calls.get_mut(key)
        {
            call.transactions = call.transactions.saturating_sub(1);
        }
        self.release(key);
    }

    /// The server transaction of an INVITE no longer means anything to a call.
    pub(crate) fn server_answered(&mut self, server: ServerKey) {
        if let Some(served) = self.servers.get_mut(&server) {
            served.usage = ServerUse::Answered;
        }
    }
}
