//! UPDATE, both ways (RFC 3311), and what it has in common with a PRACK that offers: see `modify.rs`.

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{Carrier, DialogKey, Meaning, Rejection, TimerFields, TimerInput};
use sip_message::{Method, Request, Response, StatusCode};
use sip_transaction::{ClientKey, Transactions};

use super::call::{Caller, Phase};
use super::compose::draw;
use super::modify::Purpose;
use super::offer::{describes_session, is_description};
use super::outgoing::confirm;
use super::session_timer::note_exchange;
use super::{Agent, Received};
use crate::{AgentError, Body, CallKey, CallUpdate, EarlyId, RequestFailure};

impl Agent {
    /// Asks the peer to modify the session, in the way that fits: by a re-INVITE once the call is answered, by an UPDATE
    /// before, if the peer allows it. The outcome comes as [`CallUpdate::Modified`] or
    /// [`CallUpdate::ModificationFailed`].
    ///
    /// # Errors
    /// As [`Agent::reinvite`] and [`Agent::update_session`].
    // RFC 3311 §5.1: "Although UPDATE can be used on confirmed
    // dialogs, it is RECOMMENDED that a re-INVITE be used instead."
    pub fn modify(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        match self.calls.get(call).ok_or(AgentError::Gone)?.phase {
            Phase::Calling | Phase::Invited(_) => self.update_session(now, tx, call, None, body),
            _ => self.reinvite(now, tx, call, body),
        }
    }

    /// Sends an UPDATE: a new offer in an early dialog or a confirmed one, or without a session description no more
    /// than our Contact. The outcome comes as [`CallUpdate::Modified`] or [`CallUpdate::ModificationFailed`]; one that
    /// collides with the peer's is tried again after a while by itself.
    ///
    /// Of several callees that ring `early` says which; `None` is the first that can take it.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`] if the peer has not listed UPDATE in an Allow; [`AgentError::Offer`] if the last
    /// offer is not answered; [`AgentError::Busy`] while another request of ours modifies the session;
    /// [`AgentError::State`] if the call has no dialog yet or is being answered or cancelled.
    pub fn update_session(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        early: Option<EarlyId>,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let wrong = || call.wrong_state("send an UPDATE");
        let (dialog, allows) = match (&call.phase, &call.caller) {
            (Phase::Established, _) => (call.dialog.ok_or(AgentError::Gone)?, call.peer_updates),
            (Phase::Invited(invited), _) if invited.provisional.is_some() => {
                let dialog = call.dialog.ok_or(AgentError::Gone)?;
                let allow = sip_message::HeaderName::Allow;
                (dialog, super::prack::lists(invited.request.headers(), allow, "UPDATE"))
            }
            (Phase::Calling, Some(caller)) => {
                let Caller { forks, .. } = &**caller;
                let wanted =
                    |fork: &&super::call::Fork| early.is_none_or(|early| fork.early == early);
                let ready = forks
                    .iter()
                    .filter(wanted)
                    .find(|fork| fork.updates && fork.offer_answer.may_offer().is_ok());
                let fork = ready.or_else(|| forks.iter().find(wanted)).ok_or_else(wrong)?;
                (fork.dialog, fork.updates)
            }
            // Its ACK is on the way: that is soon over.
            (Phase::Accepted(_), _) => return Err(AgentError::Busy),
            (Phase::Calling | Phase::Cancelling | Phase::Invited(_) | Phase::Over, _) => {
                return Err(wrong());
            }
        };
        if !allows {
            return Err(AgentError::NotAllowed(Method::Update));
        }
        let purpose = Purpose::Change;
        self.begin_modification(now, tx, key, dialog, Method::Update, body, purpose)
    }

    /// A 2xx to our UPDATE.
    pub(super) fn update_accepted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        response: Response,
    ) {
        let Some(ours) = self.ours_of(key, client) else { return };
        let (dialog, purpose) = (ours.dialog, ours.purpose);
        let Some((request, timer)) = self.take_ours(key).map(|ours| ours.into_parts()) else {
            return;
        };
        if let Some(timer) = timer {
            tx.disarm(timer);
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            confirm(auth, account.all_credentials(), &response);
        }
        let lost = call.dialog.is_some_and(|chosen| chosen != dialog);
        let asked = TimerFields::of(request.headers());
        let answer = TimerFields::of(response.headers());
        let up = matches!(call.phase, Phase::Established) && !lost;
        if up {
            note_exchange(&mut call.timing, &request, &response);
        }
        if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
            dialog.refresh(&response);
        }
        let described = describes_session(response.headers(), response.body());
        if let Some(exchange) = self.offer_answer_mut(key, dialog) {
            // A response is never refused.
            let _ = exchange.receives(Carrier::UpdateOk, described, |range| *range.start());
        }
        let update = if lost {
            // Another callee has answered the call meanwhile.
            CallUpdate::ModificationFailed { failure: RequestFailure::CallEnded }
        } else {
            CallUpdate::Modified { response, answer_owed: false }
        };
        if purpose == Purpose::Change {
            self.update(key, update);
        }
        if up {
            self.session_refreshed(now, tx, key, TimerInput::Accepted { asked, answer });
        }
    }

    /// An UPDATE of the peer, in order.
    pub(super) fn update_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        Received { server, request, .. }: Received,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        if matches!(call.phase, Phase::Cancelling) {
            return self.answer(now, tx, server, &request, StatusCode::REQUEST_TERMINATED);
        }
        if let Phase::Invited(invited) = &call.phase
            && invited.early_over
        {
            // RFC 6228 §7: "If such a request is received by a UA, it MUST act in the same way as if
            // it had received the request after sending the final non-2xx response
            // to the INVITE request, as specified in RFC 3261."
            return self.refuse(now, tx, server, &request, Rejection::no_such_dialog());
        }
        let described = describes_session(request.headers(), request.body());
        // One at a time in all early dialogs of a call.
        let busy = call.exchange.as_ref().is_some_and(|exchange| exchange.theirs.is_some());
        let Some(mut exchange) = call.exchange_in(dialog) else {
            return self.refuse(now, tx, server, &request, Rejection::no_such_dialog());
        };
        let owed = exchange.receives(Carrier::Update, described, |range| draw(tx, range));
        let meaning = match owed {
            Ok(Meaning::Offer) if busy => Err(Rejection::new(StatusCode::SERVER_INTERNAL_ERROR)
                .with_retry_after(draw(tx, 0..=10))),
            owed => owed,
        };
        match meaning {
            Err(rejection) => self.refuse(now, tx, server, &request, rejection),
            Ok(Meaning::Offer) => {
                if let Some(state) = self.offer_answer_mut(key, dialog) {
                    *state = exchange;
                }
                self.ask_to_modify(now, tx, key, dialog, server, request);
            }
            // It offers nothing: all that it can change is where requests go, or how long the session lasts.
            Ok(_) => {
                let ok = StatusCode::OK;
                let Some(call) = self.calls.get(key) else { return };
                let response =
                    self.session_response_in(tx, call, Some(dialog), &request, ok, None, &[]);
                match response {
                    Ok(response) => {
                        // A transaction that is gone needs no answer.
                        let _ = tx.respond(now, server, self.proven(server, response));
                    }
                    Err(_) => {
                        let status = StatusCode::SERVER_INTERNAL_ERROR;
                        return self.answer(now, tx, server, &request, status);
                    }
                }
                if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
                    dialog.accepted(&request);
                }
                self.connected(key, dialog, &request);
                if self.is_up(key) {
                    self.session_accepted(now, tx, key, &request, None);
                }
            }
        }
    }

    /// Whether the call is answered, so that its session may have a timer.
    fn is_up(&self, key: CallKey) -> bool {
        let call = self.calls.get(key);
        call.is_some_and(|call| matches!(call.phase, Phase::Accepted(_) | Phase::Established))
    }

    /// The application has answered an UPDATE, or a PRACK with an offer, and the response is on its way.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the answer")]
    pub(super) fn update_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        request: &Arc<Request>,
        status: StatusCode,
        body: Option<&Body>,
    ) {
        let (asked, ok) = match request.method() {
            Method::Prack => (Carrier::Prack, Carrier::PrackOk),
            _ => (Carrier::Update, Carrier::UpdateOk),
        };
        if let Some(exchange) = self.offer_answer_mut(key, dialog) {
            if status.is_success() {
                // The answer is owed: it is in order.
                let _ = exchange.sends(ok, body.is_some_and(is_description));
            } else {
                exchange.refuses(asked);
            }
        }
        let in_dialog = dialog;
        if status.is_success()
            && let Some((dialog, _)) = self.dialogs.get_mut(dialog)
        {
            dialog.accepted(request);
            self.connected(key, in_dialog, request);
        }
        if !status.is_success() && asked == Carrier::Prack {
            self.prack_refused(key);
        }
        if let Some((server, timer)) = self.take_theirs(key).and_then(|theirs| theirs.unanswered())
        {
            tx.disarm(timer);
            self.server_answered(server);
        }
        if status.is_success() && asked == Carrier::Update && self.is_up(key) {
            self.session_accepted(now, tx, key, request, body);
        }
        self.ring_on(now, tx, key);
    }
}
