//! The peer's wish to modify the session: its re-INVITE or UPDATE, the application's answer, and the ACK.

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{Carrier, DialogKey, Repeat2xx, RepeatStep};
use sip_message::{Method, Request, StatusCode};
use sip_transaction::{ServerKey, TimerKey, Transactions};

use crate::agent::call::Phase;
use crate::agent::compose::draw;
use crate::agent::offer::describes_session;
use crate::agent::outgoing::cseq;
use crate::agent::table::TimerKind;
use crate::agent::{Agent, Received, ServerUse};
use crate::registration::keep_of;
use crate::{AgentError, Body, CallKey, CallUpdate, EndReason};

use super::{TheirState, Theirs, carrier};

impl Agent {
    /// A re-INVITE of the peer, in order.
    pub(crate) fn reinvited(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        Received { server, request, .. }: Received,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        // That the peer sends another one proves that it has our refusal of the last.
        let theirs = call.exchange.as_ref().and_then(|exchange| exchange.theirs.as_ref());
        if matches!(theirs, Some(Theirs { state: TheirState::Refused, .. })) {
            call.session.ack_missed();
        }
        let described = describes_session(request.headers(), request.body());
        let (mut session, mut exchange) = (call.session, call.offer_answer);
        let owed = session
            .receive_invite(cseq(&request), |range| draw(tx, range))
            .and_then(|()| exchange.receives(Carrier::Invite, described, |range| draw(tx, range)));
        if let Err(rejection) = owed {
            return self.refuse(now, tx, server, &request, rejection);
        }
        (call.session, call.offer_answer) = (session, exchange);
        self.ask_to_modify(now, tx, key, dialog, server, request);
    }

    /// Asks the application for its answer to a request that modifies the session.
    pub(crate) fn ask_to_modify(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        server: ServerKey,
        request: Request,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let forks = call.caller.iter().flat_map(|caller| &caller.forks);
        let early = match call.phase {
            Phase::Calling => {
                forks.into_iter().find(|fork| fork.dialog == dialog).map(|fork| fork.early)
            }
            _ => None,
        };
        let guard = self.config.modification_guard;
        let timer = tx.arm(now, guard, TimerKind::TheirModification.token(key));
        let request = Arc::new(request);
        let kept = Arc::clone(&request);
        let state = TheirState::Unanswered { timer };
        call.exchange.get_or_insert_default().theirs =
            Some(Theirs { server, dialog, request: kept, state });
        self.served(server).usage = ServerUse::Modification(key);
        if *request.method() != Method::Prack && self.answer_unchanged(now, tx, key, &request) {
            return;
        }
        self.update(key, CallUpdate::Modification { early, request });
    }

    /// Answers the peer's wish to modify the session ([`CallUpdate::Modification`]): 200 with a body, or a refusal such
    /// as 488, which leaves the session as it was.
    ///
    /// # Errors
    /// [`AgentError::Status`] unless the status is a final one; [`AgentError::State`] when there is none to
    /// answer.
    pub fn answer_modification(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let key = call;
        if !status.is_final() {
            return Err(AgentError::Status(status));
        }
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let theirs = call.exchange.as_ref().and_then(|exchange| exchange.theirs.as_ref());
        let Some(Theirs { server, dialog, request, state: TheirState::Unanswered { .. } }) = theirs
        else {
            return Err(call.wrong_state("answer a re-INVITE"));
        };
        let (server, dialog, request) = (*server, *dialog, Arc::clone(request));
        let carrier = carrier(&request);
        let response = if status.is_success() && carrier != Carrier::Prack {
            self.session_response_in(tx, call, Some(dialog), &request, status, body, &[])?
        } else {
            Self::finish_response(self.response(&request, status, self.local_tag(call)), body, &[])?
        };
        let response = self.proven(server, response);
        // When the transaction is gone the peer has lost interest; the timer below finds out.
        let _ = tx.respond(now, server, response.clone());
        let Some(call) = self.calls.get_mut(key) else { return Err(AgentError::Gone) };
        call.keep_agreed |= keep_of(&response).is_some();
        if carrier != Carrier::Invite {
            self.update_answered(now, tx, key, dialog, &request, status, body);
            return Ok(());
        }
        let described = describes_session(response.headers(), response.body());
        if status.is_success() {
            // What has no place in it was not asked for, and the peer ignores it.
            let _ = call.offer_answer.sends(Carrier::Ok, described);
        } else {
            call.offer_answer.refuses(Carrier::Invite);
        }
        call.session.final_sent(status);
        let Some(theirs) = call.exchange.as_mut().and_then(|exchange| exchange.theirs.as_mut())
        else {
            return Err(AgentError::Gone);
        };
        if let TheirState::Unanswered { timer } = theirs.state {
            tx.disarm(timer);
        }
        theirs.state = TheirState::Refused;
        if status.is_success() {
            if let Some((dialog, _)) = call.dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
                dialog.accepted(&request);
            }
            let (repeat, first) = Repeat2xx::start(tx.config().t1, tx.config().t2);
            let timer = tx.arm(now, first, TimerKind::TheirModification.token(key));
            theirs.state = TheirState::Accepted { response, repeat, timer };
            self.session_accepted(now, tx, key, &request, body);
            self.connected(key, dialog, &request);
        }
        Ok(())
    }

    /// The application did not answer the re-INVITE, or our 2xx to it has no ACK.
    pub(crate) fn their_modification_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(theirs) = call.exchange.as_mut().and_then(|exchange| exchange.theirs.as_mut())
        else {
            return;
        };
        match &mut theirs.state {
            TheirState::Unanswered { .. } => {
                let status = match theirs.request.method() {
                    // RFC 3311 §5.2: "If the UAS cannot change
                    // the session parameters without prompting the user, it SHOULD reject
                    // the request with a 504 response."
                    Method::Update => StatusCode::SERVER_TIMEOUT,
                    Method::Prack => StatusCode::NOT_ACCEPTABLE_HERE,
                    _ => StatusCode::SERVER_INTERNAL_ERROR,
                };
                // A refusal without a body can be built, and the state is the right one.
                let _ = self.answer_modification(now, tx, key, status, None);
            }
            TheirState::Accepted { response, repeat, timer } => match repeat.fired() {
                RepeatStep::Again { next } => {
                    *timer = tx.arm(now, next, TimerKind::TheirModification.token(key));
                    let _ = tx.respond(now, theirs.server, response.clone());
                }
                // RFC 3261 §14.2: "If a UAS generates a 2xx response and never receives an ACK, it
                // SHOULD generate a BYE to terminate the dialog."
                RepeatStep::GiveUp => {
                    call.session.ack_missed();
                    call.offer_answer.ack_missed();
                    self.bye_and_end(now, tx, key, EndReason::NoAck);
                }
            },
            TheirState::Refused => {}
        }
    }

    /// The ACK to our 2xx to the peer's re-INVITE.
    pub(crate) fn reinvite_confirmed(&mut self, tx: &mut Transactions, key: CallKey) {
        if let Some(Theirs { server, state: TheirState::Accepted { timer, .. }, .. }) =
            self.take_theirs(key)
        {
            tx.disarm(timer);
            self.server_answered(server);
        }
    }

    pub(crate) fn take_theirs(&mut self, key: CallKey) -> Option<Theirs> {
        let call = self.calls.get_mut(key)?;
        let exchange = call.exchange.as_mut()?;
        let theirs = exchange.theirs.take();
        if exchange.is_idle() {
            call.exchange = None;
        }
        theirs
    }

    /// The peer cancelled its re-INVITE.
    pub(crate) fn modification_cancelled(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) {
        let theirs = self.calls.get(key).and_then(|call| call.exchange.as_ref()?.theirs.as_ref());
        if theirs.is_none_or(|theirs| *theirs.request.method() != Method::Invite) {
            return;
        }
        let status = StatusCode::REQUEST_TERMINATED;
        if self.answer_modification(now, tx, key, status, None).is_ok() {
            self.update(key, CallUpdate::ModificationWithdrawn);
        }
    }

    /// The ACK to our refusal of the peer's re-INVITE is there, or will not come: the server transaction is
    /// confirmed or over.
    pub(crate) fn refusal_over(&mut self, key: CallKey, server: ServerKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let theirs = call.exchange.as_ref().and_then(|exchange| exchange.theirs.as_ref());
        if let Some(Theirs { server: of, state: TheirState::Refused, .. }) = theirs
            && *of == server
        {
            // RFC 3261 §14.1: "If there is an ongoing INVITE server transaction, the TU MUST
            // wait until the transaction reaches the confirmed or terminated
            // state before initiating the new INVITE."
            call.session.ack_missed();
            self.take_theirs(key);
        }
    }
}

impl Theirs {
    /// The timer of one that is not answered.
    pub(crate) fn unanswered(&self) -> Option<(ServerKey, TimerKey)> {
        match self.state {
            TheirState::Unanswered { timer } => Some((self.server, timer)),
            TheirState::Accepted { .. } | TheirState::Refused => None,
        }
    }
}
