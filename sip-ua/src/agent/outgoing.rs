//! Calls that we place: the caller's side of RFC 3261 §13.2, and CANCEL (§9.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_auth::{Authenticator, Credentials};
use sip_dialog::{
    Carrier, Dialog, DialogId, DialogKey, Meaning, OfferAnswer, ReliableReceiver, Role, Session,
};
use sip_message::{
    Contact, Expires, HeaderName, Method, Request, Response, StatusCode, Transport, Uri,
};
use sip_transaction::{ClientKey, NextHop, Transactions};
use smallvec::SmallVec;

use super::call::{Call, Caller, Fork, Phase, SentAck};
use super::compose::{FirstHop, Initial, listener_towards};
use super::offer::{OwedAnswer, declined, describes_session};
use super::prack::{Provisional, lists};
use super::requests::MAX_CHALLENGES;
use super::retry::Retry;
use super::session_id::heard_again;
use super::table::TimerKind;
use super::usages::{Usage, leave};
use super::{Agent, ClientUse};
use crate::{Account, AgentError, CallKey, CallUpdate, EarlyId, EndReason, OutgoingCall};

/// How many Contacts of a 3xx are handed up at most.
const MAX_CONTACTS: usize = 16;

impl Fork {
    fn new(early: EarlyId, dialog: DialogKey, offer_answer: OfferAnswer) -> Self {
        let received = ReliableReceiver::new();
        Self { early, dialog, offer_answer, received, updates: false, ack: None }
    }
}

impl Agent {
    /// Places a call: sends an INVITE. Everything else is told by events: [`CallUpdate::Ringing`],
    /// [`CallUpdate::Answered`], and [`CallUpdate::Ended`] at last.
    ///
    /// An INVITE without a session description leaves the offer to the callee, and the application then owes the
    /// answer: [`Agent::acknowledge`], or [`Agent::answer_early`] if the offer came in a provisional response.
    ///
    /// # Errors
    /// The call is not placed if one of the limits is reached, or if the INVITE cannot be built or sent.
    pub fn call(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        call: OutgoingCall,
    ) -> Result<CallKey, AgentError> {
        if self.calls.len() >= self.config.max_calls {
            return Err(AgentError::Full { what: "calls" });
        }
        self.gruus.tick(now);
        let hop = FirstHop::of(account, &call.to);
        let initial = Initial {
            account,
            method: Method::Invite,
            to: &call.to,
            hop: &hop,
            body: call.body.as_ref(),
            headers: &call.headers,
        };
        let reliable =
            call.reliable.or_else(|| account.reliability()).unwrap_or(self.config.reliable);
        let invite = self.initial_request_with(tx, &initial, reliable)?;
        let listener = listener_towards(tx, &hop.uri).map(|local| local.id);
        let keep = account.offers_keep();
        let client = tx.request_with_keep(now, invite.clone(), hop.next_hop(), keep)?;

        let session = Session::new(Role::Uac, cseq(&invite));
        let (retry, holds_pracks) = (Retry::of(&call), call.hold_pracks);
        let offered = describes_session(invite.headers(), invite.body());
        let offer_answer = OfferAnswer::new(Role::Uac, offered);
        let account = Some(Arc::clone(account));
        let mut call = Call::new(Phase::Calling, session, offer_answer, account);
        call.listener = listener;
        call.transactions = 1;
        call.caller = Some(Box::new(Caller {
            client,
            invite,
            hop: hop.next_hop(),
            forks: SmallVec::new(),
            counted: 0,
            timer: None,
            challenges: 0,
            owed: None,
            holds_pracks,
            answered: false,
            retry,
            rang_out: false,
            replaced: false,
            reports: None,
        }));
        let Some(key) = self.calls.insert_with(|_| call) else {
            return Err(AgentError::Full { what: "calls" });
        };
        let key = CallKey::from(key);
        self.active_calls += 1;
        self.clients.insert(client, ClientUse::Invite(key));
        // RFC 3261 §13.2.1: "If the time indicated in the Expires
        // header field is reached and no final answer for the INVITE has been
        // received, the UAC core SHOULD generate a CANCEL request for the
        // INVITE, as per Section 9."
        if let Some(Call { caller: Some(caller), .. }) = self.calls.get_mut(key)
            && let Ok(Some(expires)) = caller.invite.headers().get::<Expires>()
        {
            let after = Duration::from_secs(expires.0.into()).min(self.config.ringing_limit);
            caller.timer = Some(tx.arm(now, after, TimerKind::Calling.token(key)));
        }
        Ok(key)
    }

    /// Gives up the INVITE.
    pub(crate) fn cancel(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        if self.calls.get(key).is_some_and(|call| matches!(call.phase, Phase::Calling)) {
            self.prack_unanswered(now, tx, key);
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        let (Phase::Calling, Some(caller)) = (&call.phase, &mut call.caller) else { return };
        if let Some(timer) = caller.timer.take() {
            tx.disarm(timer);
        }
        if caller.retry.as_ref().is_some_and(|retry| retry.refused().is_some()) {
            // Nothing is out: it waits to be placed again.
            let reason = self.given_up(key);
            return self.end_call(now, tx, key, reason);
        }
        // The transaction layer does the waiting, before and after:
        // RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST
        // NOT be sent; rather, the client MUST wait for the arrival of a
        // provisional response before sending the request."
        // RFC 3261 §9.1: "If there is no final response
        // for the original request in 64*T1 seconds (T1 is defined in Section
        // 17.1.1.1), the client SHOULD then consider the original transaction
        // cancelled and SHOULD destroy the client transaction handling the
        // original request."
        match self.reasons.get(&key) {
            Some(reason) => tx.cancel_with(now, caller.client, reason.as_bytes().to_vec()),
            None => tx.cancel(now, caller.client),
        }
        call.phase = Phase::Cancelling;
    }

    /// The callee has been ringing for long enough.
    pub(crate) fn ringing_limit(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        if let Some(caller) = self.calls.get_mut(key).and_then(|call| call.caller.as_mut()) {
            caller.timer = None;
            caller.rang_out = true;
        }
        self.cancel(now, tx, key);
    }

    /// A response to the INVITE of a call.
    pub(crate) fn invite_response(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        response: Response,
    ) {
        let status = response.status();
        if status.is_provisional() {
            self.invite_progress(now, tx, key, response);
        } else if status.is_success() {
            self.invite_accepted(now, tx, key, response);
        } else {
            self.invite_refused(now, tx, client, key, response);
        }
    }

    fn invite_progress(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        response: Response,
    ) {
        let limit = self.config.ringing_limit;
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller) = &mut call.caller else { return };
        let cancelling = match call.phase {
            Phase::Calling => false,
            Phase::Cancelling => true,
            Phase::Invited(_) | Phase::Accepted(_) | Phase::Established | Phase::Over => return,
        };
        // From here on no timer of the transaction ends it.
        if caller.timer.is_none() && !cancelling {
            caller.timer = Some(tx.arm(now, limit, TimerKind::Calling.token(key)));
        }
        // RFC 3262 §4: "If the response is
        // a 100 (Trying) (as opposed to 101 to 199), this option tag MUST be
        // ignored, and the procedures below MUST NOT be used."
        if response.status() == StatusCode::TRYING {
            return;
        }
        let is_reliable = lists(response.headers(), HeaderName::Require, "100rel");
        let ends = response.status() == StatusCode::EARLY_DIALOG_TERMINATED;
        // RFC 6228 §4: "If a UAC receives an unreliably sent 199 response on a dialog that
        // has not previously been established (this can happen if a 199
        // response reaches the client before the 18x response that would
        // establish the early dialog) it SHALL discard the 199 response."
        if (ends || cancelling) && !is_reliable && self.fork_of(key, &response).is_none() {
            return;
        }
        let early = self.early_dialog(key, &response);
        let place = self.fork_of(key, &response).map(|(place, _)| place);
        let mut wanted = Provisional::Done;
        if let Some(call) = self.calls.get_mut(key)
            && let Some(caller) = &mut call.caller
            && let Some(fork) = place.and_then(|place| caller.forks.get_mut(place))
        {
            // RFC 3311 §4: "If the response contains an Allow header field containing the value
            // "UPDATE", the UAC knows that the callee supports UPDATE"
            fork.updates |= lists(response.headers(), HeaderName::Allow, "UPDATE");
            let dialog = fork.dialog;
            match self.provisional_received(now, tx, key, dialog, Some(early), &response) {
                Some(more) => wanted = more,
                None => return,
            }
        }
        if ends {
            self.early_dialog_ended(key, early);
            return self.update(key, CallUpdate::EarlyEnded { early, response });
        }
        if cancelling {
            return;
        }
        self.call_came_to(now, tx, key, response.status());
        let answer_owed = wanted == Provisional::AnswerOwed;
        // RFC 3261 §8.1.3.2: "A UAC MUST be able to process 100 and 183 responses."
        self.update(
            key,
            match response.status() {
                StatusCode::RINGING => CallUpdate::Ringing { early, response, answer_owed },
                // RFC 3261 §8.1.3.2: "A
                // UAC MUST treat any provisional response different than 100 that it
                // does not recognize as 183 (Session Progress)."
                _ => CallUpdate::Progress { early, response, answer_owed },
            },
        );
        if wanted == Provisional::PrackHeld {
            self.update(key, CallUpdate::PrackHeld { early });
        }
    }

    /// A 199 came: nothing more is sent to this callee, and it has no part any more in what is.
    fn early_dialog_ended(&mut self, key: CallKey, early: EarlyId) {
        // RFC 6228 §7: "A UAC that receives a 199 response for an
        // early dialog MUST NOT send any further requests on that dialog,
        // except for requests that acknowledge reliable responses."
        let Some(caller) = self.calls.get_mut(key).and_then(|call| call.caller.as_mut()) else {
            return;
        };
        if let Some(fork) = caller.forks.iter_mut().find(|fork| fork.early == early) {
            fork.updates = false;
        }
    }

    /// The callee that sent this provisional response, and the early dialog with it if there is to be one.
    fn early_dialog(&mut self, key: CallKey, response: &Response) -> EarlyId {
        if let Some((_, early)) = self.fork_of(key, response) {
            return early;
        }
        let Some(call) = self.calls.get_mut(key) else { return EarlyId::default() };
        let Some(caller) = &mut call.caller else { return EarlyId::default() };
        // RFC 3261 §13.2.2.1: "Zero, one or multiple provisional responses may arrive before one or
        // more final responses are received.  Provisional responses for an
        // INVITE request can create "early dialogs".  If a provisional response
        // has a tag in the To field, and if the dialog ID of the response does
        // not match an existing dialog, one is constructed using the procedures
        // defined in Section 12.1.2."
        if caller.forks.len() >= usize::from(self.config.max_forks) {
            return EarlyId(caller.counted);
        }
        let Ok(dialog) = Dialog::uac(&caller.invite, response, transport_of(&caller.hop)) else {
            return EarlyId::default();
        };
        let usages = Usage::Call(key).into();
        let Ok(dialog) = self.dialogs.insert(dialog, usages) else { return EarlyId::default() };
        let early = EarlyId(caller.counted);
        caller.counted = caller.counted.saturating_add(1);
        let offer_answer = call.offer_answer;
        caller.forks.push(Fork::new(early, dialog, offer_answer));
        early
    }

    /// Which callee this response is from: its place in the list.
    fn fork_of(&self, key: CallKey, response: &Response) -> Option<(usize, EarlyId)> {
        let id = DialogId::of_response(response)?;
        let caller = self.calls.get(key)?.caller.as_ref()?;
        let of_id = |fork: &Fork| {
            self.dialogs
                .get(fork.dialog)
                .is_some_and(|(dialog, _)| dialog.id().remote_tag == id.remote_tag)
        };
        let place = caller.forks.iter().position(of_id)?;
        Some((place, caller.forks.get(place)?.early))
    }

    /// A 2xx: the first, another of a forked INVITE, or a repeat.
    fn invite_accepted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        response: Response,
    ) {
        let known = self.fork_of(key, &response);
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller) = &mut call.caller else { return };
        let first = !caller.answered;
        if first && let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            confirm(auth, account.all_credentials(), &response);
        }
        caller.answered = true;
        if let Some(timer) = caller.timer.take() {
            tx.disarm(timer);
        }
        let place = match known {
            Some((place, _)) => place,
            None => {
                // RFC 3261 §13.2.2.4: "Otherwise, a new dialog in the "confirmed" state MUST be
                // constructed using the procedures of Section 12.1.2."
                match self.confirmed_dialog(key, &response) {
                    Some(place) => place,
                    None if first => return self.end_call(now, tx, key, EndReason::Failed),
                    None => return,
                }
            }
        };
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller) = &mut call.caller else { return };
        let Some(fork) = caller.forks.get_mut(place) else { return };
        if let Some(ack) = &fork.ack {
            return ack.send(now, tx);
        }
        let dialog = fork.dialog;
        if caller.owed.is_some() && call.dialog == Some(dialog) {
            return; // A repeat: the ACK waits for the answer.
        }
        let Some((state, _)) = self.dialogs.get_mut(dialog) else { return };
        // RFC 3261 §13.2.2.4: "the dialog MUST be transitioned to
        // the "confirmed" state, and the route set for the dialog MUST be
        // recomputed based on the 2xx response"
        // With a Record-Route that cannot be read the one of the provisional response stays in force.
        let _ = state.confirm(&response);
        let cseq = cseq(&caller.invite);
        let described = describes_session(response.headers(), response.body());
        // A response is never refused.
        let meaning = fork.offer_answer.receives(Carrier::Ok, described, |range| *range.start());
        let offers = meaning == Ok(Meaning::Offer);
        if matches!(call.phase, Phase::Calling) && offers {
            call.peer_updates = lists(response.headers(), HeaderName::Allow, "UPDATE");
            call.offer_answer = fork.offer_answer;
            call.session.answered(cseq, response.status(), |range| *range.start());
            call.dialog = Some(dialog);
            call.phase = Phase::Established;
            self.session_begun(now, tx, key, &response);
            let timer = self.arm_answer(now, tx, key);
            let refusal = declined(response.body());
            if let Some(Call { caller: Some(caller), .. }) = self.calls.get_mut(key) {
                caller.owed = Some(Box::new(OwedAnswer { timer, refusal }));
            }
            self.call_came_to(now, tx, key, response.status());
            self.note_packages(key, response.headers());
            self.note_from_change(key, response.headers());
            self.update(key, CallUpdate::Answered { response, answer_owed: true });
            return self.tell_relocated(key);
        }
        // RFC 3261 §13.2.2.4: "The UAC core MUST generate an ACK request for each 2xx received from
        // the transaction layer."
        // Where another callee offers, or one that was cancelled, nothing of it is wanted: its BYE follows.
        // RFC 3261 §13.2.2.4: "If the offer in the 2xx response is not acceptable, the UAC core
        // MUST generate a valid answer in the ACK and then send a BYE
        // immediately."
        let mut builder = state.ack_to(&caller.invite);
        let answer = offers.then(|| declined(response.body())).flatten();
        let _ = fork.offer_answer.sends(Carrier::Ack, answer.is_some());
        if let Some(answer) = answer {
            builder = builder.body(answer.content_type.as_bytes(), answer.bytes);
        }
        let hop = self.ways_back.hop(call.flow, state.next_hop());
        let Ok(request) = builder.build() else {
            return self.end_call(now, tx, key, EndReason::Failed);
        };
        let ack = SentAck { request, hop };
        ack.send(now, tx);
        fork.ack = Some(ack);

        match &call.phase {
            Phase::Calling => {
                call.session.answered(cseq, response.status(), |range| *range.start());
                call.session.ack_sent(cseq);
                call.offer_answer = fork.offer_answer;
                call.peer_updates = lists(response.headers(), HeaderName::Allow, "UPDATE");
                call.dialog = Some(dialog);
                call.phase = Phase::Established;
                self.session_begun(now, tx, key, &response);
                self.call_came_to(now, tx, key, response.status());
                self.note_packages(key, response.headers());
                self.note_from_change(key, response.headers());
                self.update(key, CallUpdate::Answered { response, answer_owed: false });
                self.tell_relocated(key);
            }
            // RFC 3261 §15: "If the INVITE results in 2xx final response(s)
            // to the INVITE, this means that a UAS accepted the invitation while
            // the CANCEL was in progress.  The UAC MAY continue with the sessions
            // established by any 2xx responses, or MAY terminate them with BYE."
            Phase::Cancelling => {
                let reason = self.given_up(key);
                self.send_bye(now, tx, key, dialog, 0);
                self.end_call(now, tx, key, reason);
            }
            // Another callee than the one we have a call with, or had.
            // RFC 3261 §13.2.2.4: "If, after acknowledging any 2xx response to an INVITE, the UAC does
            // not want to continue with that dialog, then the UAC MUST terminate
            // the dialog by sending a BYE request as described in Section 15."
            Phase::Established | Phase::Over => self.send_bye(now, tx, key, dialog, 0),
            // Phases of a callee.
            Phase::Invited(_) | Phase::Accepted(_) => {}
        }
    }

    /// A 2xx from a callee that had no early dialog: its place in the list.
    fn confirmed_dialog(&mut self, key: CallKey, response: &Response) -> Option<usize> {
        let call = self.calls.get_mut(key)?;
        let (chosen, begins) = (call.dialog, call.begins());
        let caller = call.caller.as_mut()?;
        let dialog = Dialog::uac(&caller.invite, response, transport_of(&caller.hop)).ok()?;
        if caller.forks.len() >= usize::from(self.config.max_forks.max(1)) {
            // A callee that has answered is worth more than one that rings.
            let rings = |fork: &Fork| fork.ack.is_none() && chosen != Some(fork.dialog);
            let ringing = caller.forks.iter().position(rings)?;
            let lost = caller.forks.remove(ringing).dialog;
            leave(&mut self.dialogs, lost, Usage::Call(key));
        }
        let dialog = self.dialogs.insert(dialog, Usage::Call(key).into()).ok()?;
        let early = EarlyId(caller.counted);
        caller.counted = caller.counted.saturating_add(1);
        caller.forks.push(Fork::new(early, dialog, begins));
        caller.forks.len().checked_sub(1)
    }

    fn invite_refused(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        response: Response,
    ) {
        // RFC 3261 §13.2.2.3: "Subsequent final responses (which would only arrive
        // under error conditions) MUST be ignored."
        // The transaction absorbs them, and nothing here waits for it any more after this one.
        self.drop_early_dialogs(key);
        let cancelling =
            self.calls.get(key).is_some_and(|call| matches!(call.phase, Phase::Cancelling));
        if !cancelling && self.invite_again(now, tx, key, &response) {
            return self.client_done(client, key);
        }
        let reason = match response.status() {
            // The peer's own refusal crossed our CANCEL, and is the truth of how it ended.
            status if cancelling && is_cancelled_by(status) => self.given_up(key),
            // RFC 3261 §21.3.5: "The alternative services are described in the message body of
            // the response."
            StatusCode::ALTERNATIVE_SERVICE => EndReason::Rejected(Arc::new(response)),
            status if status.is_redirection() => EndReason::Redirected(contacts(&response)),
            _ => EndReason::Rejected(Arc::new(response)),
        };
        self.end_call(now, tx, key, reason);
        self.client_done(client, key);
    }

    /// Sends the INVITE once more with the change that the refusal asks for, or to another address. False if that is
    /// not possible.
    fn invite_again(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        response: &Response,
    ) -> bool {
        let tried = self.calls.get(key).and_then(|call| call.caller.as_ref());
        let Some(challenges) = tried.map(|caller| caller.challenges) else { return false };
        let mended = challenges < MAX_CHALLENGES && self.mend(key, response);
        if let Some(Call { caller: Some(caller), .. }) = self.calls.get_mut(key)
            && mended
        {
            heard_again(&mut caller.invite, response);
        }
        if mended || self.turn_elsewhere(tx, key, Some(response)) {
            return self.resend_invite(now, tx, key);
        }
        self.wait_for_it(now, tx, key, response)
    }

    /// Sends the INVITE that is kept once more.
    pub(super) fn resend_invite(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) -> bool {
        let contact = self.contact_again(tx, key);
        let Some(call) = self.calls.get_mut(key) else { return false };
        let (Some(caller), Some(account)) = (&mut call.caller, &call.account) else { return false };
        // RFC 3261 §22.2: "When a UAC resubmits a request with its credentials after receiving a
        // 401 (Unauthorized) or 407 (Proxy Authentication Required) response,
        // it MUST increment the CSeq header field value as it would normally
        // when sending an updated request."
        let number = cseq(&caller.invite).saturating_add(1);
        set_cseq(&mut caller.invite, number);
        if let Some(contact) = contact {
            // Made as the one before it was, which could be written.
            let _ = caller.invite.headers_mut().set_raw(HeaderName::Contact, contact.as_bytes());
        }
        if let Some(auth) = &mut call.auth {
            let draw = || tx.random().next_u64();
            auth.authorize(&mut caller.invite, account.all_credentials(), draw);
        }
        let (invite, hop) = (caller.invite.clone(), caller.hop.clone());
        let sent = tx.request_with_keep(now, invite, hop, account.offers_keep());
        let Ok(client) = sent else { return false };
        caller.client = client;
        caller.challenges += 1;
        call.session.invite_resent(number);
        call.transactions += 1;
        self.clients.insert(client, ClientUse::Invite(key));
        true
    }

    /// No final response came to the INVITE, or it could not be sent.
    pub(crate) fn invite_failed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        reason: EndReason,
    ) {
        self.drop_early_dialogs(key);
        let call = self.calls.get(key);
        let reason = match call.map(|call| &call.phase) {
            Some(Phase::Cancelling) => self.given_up(key),
            _ => reason,
        };
        let answered =
            call.and_then(|call| call.caller.as_ref()).is_some_and(|caller| caller.answered);
        let calling = matches!(call.map(|call| &call.phase), Some(Phase::Calling));
        let elsewhere = calling
            && !answered
            && self.turn_elsewhere(tx, key, None)
            && self.resend_invite(now, tx, key);
        if !answered && !elsewhere {
            self.end_call(now, tx, key, reason);
        }
        self.client_done(client, key);
    }

    /// The client transaction of the INVITE is over: no 2xx comes any more.
    pub(crate) fn invite_terminated(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
    ) {
        // RFC 3261 §13.2.2.4: "The UAC core considers the INVITE transaction completed 64*T1 seconds
        // after the reception of the first 2xx response.  At this point all the
        // early dialogs that have not transitioned to established dialogs are
        // terminated.  Once the INVITE transaction is considered completed by
        // the UAC core, no more new 2xx responses are expected to arrive."
        self.invite_failed(now, tx, client, key, EndReason::TimedOut);
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller) = call.caller.take() else { return };
        // The dialogs that lost to another have had their BYE by now, with the same 64*T1 to complete it.
        for fork in caller.forks {
            if call.dialog != Some(fork.dialog) {
                leave(&mut self.dialogs, fork.dialog, Usage::Call(key));
            }
        }
    }

    // RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the
    // non-2xx final response."
    fn drop_early_dialogs(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (chosen, Some(caller)) = (call.dialog, &mut call.caller) else { return };
        let dialogs = &mut self.dialogs;
        caller.forks.retain(|fork| {
            let keep = fork.ack.is_some() || chosen == Some(fork.dialog);
            if !keep {
                leave(dialogs, fork.dialog, Usage::Call(key));
            }
            keep
        });
    }

    /// Why a call that is being cancelled ends.
    fn given_up(&self, key: CallKey) -> EndReason {
        match self.calls.get(key).and_then(|call| call.caller.as_ref()) {
            Some(caller) if caller.replaced => EndReason::Replaced,
            Some(caller) if caller.rang_out => EndReason::TimedOut,
            _ => EndReason::Cancelled,
        }
    }

    /// Takes in the challenges of a 401 or 407 in a call. True if the request is worth another try.
    pub(crate) fn challenge_call(&mut self, key: CallKey, response: &Response) -> bool {
        if !is_challenge(response.status()) {
            return false;
        }
        let Some(call) = self.calls.get_mut(key) else { return false };
        let Some(account) = &call.account else { return false };
        call.auth.get_or_insert_default().challenged(response, account.all_credentials()).is_ok()
    }
}

/// Takes in what a 2xx says of the server. A wrong proof changes nothing: what was asked for has been done,
/// and elements on the way that change messages are more common than impostors.
pub(crate) fn confirm(auth: &mut Authenticator, credentials: &[Credentials], response: &Response) {
    if response.status().is_success()
        && let Err(error) = auth.confirmed(response, credentials)
    {
        tracing::debug!(%error, "the proof in a 2xx is wrong");
    }
}

/// 401 and 407.
pub(crate) fn is_challenge(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

/// Whether this answer to an INVITE that was cancelled says no more than that: 487, what asks for another
/// try, or that it took too long.
fn is_cancelled_by(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TERMINATED
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_redirection()
        || is_challenge(status)
}

/// RFC 3261 §8.1.3.4: the addresses of a 3xx, the most wanted first.
pub(crate) fn contacts(response: &Response) -> Arc<[Uri<'static>]> {
    let mut contacts: Vec<(u16, Uri<'static>)> = response
        .headers()
        .get_all::<Contact<'_>>()
        .map_while(Result::ok)
        .filter_map(|contact| {
            let q = contact.q().map_or(1000, |q| q.thousandths());
            Some((q, contact.uri()?.to_static()))
        })
        .take(MAX_CONTACTS)
        .collect();
    // A stable sort: the order of the response decides among equals.
    contacts.sort_by_key(|(q, _)| core::cmp::Reverse(*q));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}

/// The CSeq number of a request that we built.
pub(crate) fn cseq(request: &Request) -> u32 {
    request.headers().cseq().map_or(0, |cseq| cseq.number)
}

/// Gives a request that we built another CSeq number.
pub(crate) fn set_cseq(request: &mut Request, number: u32) {
    let value = format!("{number} {}", request.method().as_str());
    // Digits, a space and a method that was parsed or built before: it cannot be refused.
    let _ = request.headers_mut().set_raw(HeaderName::CSeq, value.as_bytes());
}

/// The transport a request goes by as far as its next hop tells, for the secure flag of the dialog.
pub(crate) fn transport_of(hop: &NextHop) -> Transport {
    match hop {
        NextHop::Uri(uri) if uri.is_secure() => Transport::Tls,
        NextHop::Uri(uri) => uri.transport().unwrap_or(Transport::Udp),
        NextHop::Target(target) => target.transport,
        NextHop::Flow(flow) | NextHop::FlowFor { flow, .. } => flow.transport,
        // A kind of hop that a later version has and this agent does not make.
        _ => Transport::Udp,
    }
}
