//! Modifying a session: re-INVITE and, with the file `update.rs`, UPDATE, both ways (RFC 3261 §14, RFC 3311).
//!
//! ```text
//!   ours:    reinvite() --> Pending --2xx: ACK--> done      theirs:  INVITE --> Unanswered --2xx--> Accepted --ACK--> done
//!                          |   ^                                               |                    | no ACK: BYE
//!                      491 v   | back-off over                                 | not 2xx            v
//!                         Waiting                                              +--> Refused --ACK--> done
//! ```
//!
//! UPDATE, and PRACK with an offer, go the same way and are done with their final response.
//!
//! | state             | what ends it when nobody does anything                                     |
//! | ----------------- | --------------------------------------------------------------------------- |
//! | ours: Pending     | Timer B; after a provisional response `TimerKind::OurModification` cancels        |
//! | ours: owes answer | `TimerKind::Answer`, see `offer.rs`                                          |
//! | ours: Waiting     | `TimerKind::OurModification`: the back-off; the number of tries is limited        |
//! | theirs: Unanswered| `TimerKind::TheirModification`: the guard of the configuration, then a refusal    |
//! | theirs: Accepted  | `TimerKind::TheirModification`: 64*T1 without ACK, then BYE                       |
//! | theirs: Refused   | Timer H of the server transaction                                            |

mod theirs;

use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{
    Answer, Carrier, DialogKey, Meaning, ReliableReceiver, Repeat2xx, TimerFields, TimerInput,
    ends_dialog,
};
use sip_message::{HeaderName, Method, Request, Response, StatusCode};
use sip_transaction::{ClientKey, ServerKey, TimerKey, Transactions};

use super::call::{Call, Phase, SentAck};
use super::compose::{draw, listener_of, over_this_flow};
use super::incoming::user_of;
use super::offer::{declined, describes_session, is_description};
use super::outgoing::{confirm, cseq, set_cseq};
use super::prack::{OwedPrack, Provisional, Reliable};
use super::requests::MAX_CHALLENGES;
use super::session_timer::note_exchange;
use super::table::TimerKind;
use super::{Agent, ClientUse};
use crate::{AgentError, Body, CallKey, CallUpdate, EarlyId, EndReason, RequestFailure};

/// How many ACKs to 2xx of re-INVITEs are kept for repeats at most. Each is kept for 64*T1.
const MAX_ACKS: usize = 8;

/// What modifies the session of a call, and its reliable provisional responses, while there is anything of them.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) ours: Option<Ours>,
    pub(crate) theirs: Option<Theirs>,
    /// The ACKs to 2xx of our re-INVITEs, while repeats of those may come.
    acks: Vec<(ClientKey, SentAck)>,
    /// Those of a callee: see `prack.rs`.
    pub(crate) reliable: Option<Box<Reliable>>,
    /// The answers to offers in those of callees, which the application owes.
    pub(crate) owed: Vec<OwedPrack>,
}

pub(crate) struct Ours {
    pub(crate) dialog: DialogKey,
    /// The reliable provisional responses to it.
    received: ReliableReceiver,
    /// The transaction; none while waiting after a 491.
    client: Option<ClientKey>,
    /// As it was sent last, without Via.
    request: Request,
    timer: Option<TimerKey>,
    challenges: u8,
    glares: u8,
    /// The 2xx came with an offer, and its ACK waits for the application's answer. The timer is then
    /// that of `TimerKind::Answer`.
    owes_answer: bool,
    /// What goes in its place if the call ends first.
    refusal: Option<Body>,
    /// For whom it is sent.
    pub(super) purpose: Purpose,
}

/// Who wants to know what became of a re-INVITE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The application: it changes the session.
    Change,
    /// The session timer: it changes nothing.
    Refresh,
    /// Nobody: it says who we are.
    Identity,
}

pub(crate) struct Theirs {
    server: ServerKey,
    dialog: DialogKey,
    request: Arc<Request>,
    state: TheirState,
}

enum TheirState {
    Unanswered { timer: TimerKey },
    Accepted { response: Response, repeat: Repeat2xx, timer: TimerKey },
    Refused,
}

impl Exchange {
    /// Whether there is nothing in it.
    fn is_idle(&self) -> bool {
        self.ours.is_none()
            && self.theirs.is_none()
            && self.acks.is_empty()
            && self.reliable.is_none()
            && self.owed.is_empty()
    }

    /// The call is accepted, as soon as a PRACK comes.
    pub(crate) fn accepts(&self) -> bool {
        self.reliable.as_ref().is_some_and(|reliable| reliable.accepts())
    }

    /// The reliable provisional responses to our re-INVITE.
    pub(crate) fn receiver_mut(&mut self) -> Option<&mut ReliableReceiver> {
        self.ours.as_mut().map(|ours| &mut ours.received)
    }

    /// Our re-INVITE, if the ACK to its 2xx waits for the application's answer.
    pub(crate) fn owing(&self) -> Option<&Request> {
        self.ours.as_ref().filter(|ours| ours.owes_answer).map(|ours| &ours.request)
    }

    /// The answer that ends it if the application has given none.
    pub(crate) fn refusal(&mut self) -> Option<Body> {
        self.ours.as_mut()?.refusal.take()
    }

    /// Our re-INVITE, to be changed before it is sent again.
    pub(crate) fn our_request(&mut self) -> Option<&mut Request> {
        self.ours.as_mut().map(|ours| &mut ours.request)
    }

    /// Our re-INVITE has its ACK: that is kept for repeats of the 2xx. Gives the timer that still runs.
    pub(crate) fn acknowledged(&mut self, ack: SentAck) -> Option<TimerKey> {
        let ours = self.ours.take()?;
        if let Some(client) = ours.client {
            if self.acks.len() >= MAX_ACKS {
                self.acks.remove(0);
            }
            self.acks.push((client, ack));
        }
        ours.timer
    }
}

impl Agent {
    /// Asks the peer to change the session: hold, resume, another offer. The outcome comes as
    /// [`CallUpdate::Modified`] or [`CallUpdate::ModificationFailed`]. When it collides with a re-INVITE of
    /// the peer it is tried again after a while by itself.
    ///
    /// Without a session description it asks for the peer's offer, and the application then owes the answer:
    /// [`Agent::acknowledge`].
    ///
    /// # Errors
    /// [`AgentError::State`] unless the call is established, [`AgentError::Busy`] while another re-INVITE is in
    /// progress.
    pub fn reinvite(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        self.start_modification(now, tx, call, body, Purpose::Change)
    }

    /// Takes back a re-INVITE of ours that the peer has not answered yet, by CANCEL (RFC 3261 §9.1). What comes of it is
    /// told all the same: [`CallUpdate::ModificationFailed`] as a rule, with its 487, or [`CallUpdate::Modified`] if the
    /// peer was faster. One that waits for its next try after a 491 is not sent again.
    ///
    /// # Errors
    /// [`AgentError::State`] if there is none, or it is an UPDATE: that cannot be cancelled.
    pub fn withdraw_modification(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let ours = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut());
        let withdrawable = |ours: &&mut Ours| {
            carrier(&ours.request) == Carrier::Invite
                && !ours.owes_answer
                && ours.purpose == Purpose::Change
        };
        let Some(ours) = ours.filter(withdrawable) else {
            return Err(call.wrong_state("withdraw a re-INVITE"));
        };
        if let Some(client) = ours.client {
            tx.cancel(now, client);
            return Ok(());
        }
        if let Some(timer) = ours.timer.take() {
            tx.disarm(timer);
        }
        self.modification_failed(now, tx, key, RequestFailure::Glare);
        Ok(())
    }

    pub(crate) fn start_modification(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        body: Option<&Body>,
        purpose: Purpose,
    ) -> Result<(), AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        if !matches!(call.phase, Phase::Established) {
            return Err(call.wrong_state("change the session"));
        }
        if call.session.may_invite().is_err() || call.offer_answer.may_offer().is_err() {
            return Err(AgentError::Busy);
        }
        let dialog = call.dialog.ok_or(AgentError::Gone)?;
        self.begin_modification(now, tx, key, dialog, Method::Invite, body, purpose)
    }

    /// Builds a request that modifies the session, and sends it.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the request")]
    pub(super) fn begin_modification(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        method: Method,
        body: Option<&Body>,
        purpose: Purpose,
    ) -> Result<(), AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        if call.exchange.as_ref().is_some_and(|exchange| exchange.ours.is_some()) {
            return Err(AgentError::Busy);
        }
        let in_dialog = dialog;
        // RFC 3261 §12.2.1.1: the numbers are contiguous, so this is asked before one is used up for nothing.
        let carrier = if method == Method::Update { Carrier::Update } else { Carrier::Invite };
        let described = body.is_some_and(is_description);
        call.exchange_in(dialog).ok_or(AgentError::Gone)?.sends(carrier, described)?;
        let contact = self.contact_in(tx, key, dialog).ok_or(AgentError::Gone)?;
        let (dialog, _) = self.dialogs.get_mut(dialog).ok_or(AgentError::Gone)?;
        // RFC 3261 §14.1: "The To, From, Call-ID, CSeq, and Request-URI of a re-INVITE are set
        // following the same rules as for regular requests within an existing
        // dialog, described in Section 12."
        let builder = dialog
            .request(method.clone())
            .map_err(|_| AgentError::Full { what: "requests in the dialog" })?;
        // RFC 3261 §12.2.1.1: "A UAC SHOULD include a Contact header field in any target refresh
        // requests within a dialog"
        let builder = builder.raw(HeaderName::Contact, contact.as_bytes());
        // An early session has no timer yet.
        let builder = match call.phase {
            Phase::Established => self.ask_to_refresh(builder, call),
            _ => builder,
        };
        let request = self.finish_request(builder, &method, body, &[])?;
        let ours = Ours {
            dialog: in_dialog,
            received: ReliableReceiver::new(),
            client: None,
            request,
            timer: None,
            challenges: 0,
            glares: 0,
            owes_answer: false,
            refusal: None,
            purpose,
        };
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        call.exchange.get_or_insert_default().ours = Some(ours);
        self.send_modification(now, tx, key).inspect_err(|_| {
            self.take_ours(key);
        })
    }

    /// Sends the re-INVITE or UPDATE that is kept, for the first time or again.
    fn send_modification(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) -> Result<(), AgentError> {
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let ours = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut());
        let ours = ours.ok_or(AgentError::Gone)?;
        let in_dialog = ours.dialog;
        let (dialog, _) = self.dialogs.get(in_dialog).ok_or(AgentError::Gone)?;
        let carrier = carrier(&ours.request);
        if carrier == Carrier::Invite {
            call.session.may_invite().map_err(|_| AgentError::Busy)?;
        }
        let described = describes_session(ours.request.headers(), ours.request.body());
        let mut exchange = call.exchange_in(in_dialog).ok_or(AgentError::Gone)?;
        exchange.sends(carrier, described)?;
        let ours = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut());
        let ours = ours.ok_or(AgentError::Gone)?;
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            let draw = || tx.random().next_u64();
            auth.authorize(&mut ours.request, account.all_credentials(), draw);
        }
        let hop = self.ways_back.hop(call.flow, dialog.next_hop());
        // RFC 6223 §4.3: "Once a SIP entity has negotiated the sending of keep-alives
        // associated with a dialog towards an adjacent SIP entity, it MUST NOT
        // insert a "keep" parameter in any subsequent SIP requests associated
        // with that dialog towards that adjacent SIP entity."
        let offers = call.account.as_ref().is_some_and(|account| account.offers_keep());
        let keep = offers && !self.kept_calls.has(key);
        let client = tx.request_with_keep(now, ours.request.clone(), hop, keep)?;
        ours.client = Some(client);
        if carrier == Carrier::Invite {
            // The check above has asked the same question.
            let _ = call.session.invite_sent(cseq(&ours.request));
        }
        call.transactions += 1;
        if let Some(sent) = self.offer_answer_mut(key, in_dialog) {
            *sent = exchange;
        }
        self.clients.insert(client, ClientUse::Modification(key));
        Ok(())
    }

    /// A response to a re-INVITE of ours; `None` if there will be none.
    pub(crate) fn modification_response(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        response: Result<Response, RequestFailure>,
    ) {
        match response {
            Ok(response) if response.status().is_provisional() => {
                let Some(ours) = self.ours_of(key, client) else { return };
                let (dialog, carrier) = (ours.dialog, carrier(&ours.request));
                if carrier != Carrier::Invite {
                    return;
                }
                // An offer in it wants an answer, and nothing else is told of it.
                if response.status() != StatusCode::TRYING
                    && self.provisional_received(now, tx, key, dialog, None, &response)
                        == Some(Provisional::AnswerOwed)
                {
                    let early = EarlyId::default();
                    let update = CallUpdate::Progress { early, response, answer_owed: true };
                    self.update(key, update);
                }
                let guard = self.config.modification_guard;
                if let Some(ours) = self.ours_of(key, client)
                    && ours.timer.is_none()
                {
                    ours.timer = Some(tx.arm(now, guard, TimerKind::OurModification.token(key)));
                }
            }
            Ok(response) if response.status().is_success() => {
                if self
                    .ours_of(key, client)
                    .is_some_and(|ours| carrier(&ours.request) == Carrier::Update)
                {
                    self.update_accepted(now, tx, client, key, response);
                    return self.client_done(client, key);
                }
                self.reinvite_accepted(now, tx, client, key, response);
            }
            Ok(response) => {
                self.modification_refused(now, tx, key, client, Ok(response));
                self.client_done(client, key);
            }
            Err(failure) => {
                self.modification_refused(now, tx, key, client, Err(failure));
                self.client_done(client, key);
            }
        }
    }

    pub(super) fn ours_of(&mut self, key: CallKey, client: ClientKey) -> Option<&mut Ours> {
        let ours = self.calls.get_mut(key)?.exchange.as_mut()?.ours.as_mut()?;
        (ours.client == Some(client)).then_some(ours)
    }

    /// Our re-INVITE is done with.
    pub(super) fn take_ours(&mut self, key: CallKey) -> Option<Ours> {
        let call = self.calls.get_mut(key)?;
        let exchange = call.exchange.as_mut()?;
        let ours = exchange.ours.take();
        if exchange.is_idle() {
            call.exchange = None;
        }
        ours
    }

    fn reinvite_accepted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
        response: Response,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(exchange) = &mut call.exchange else { return };
        // RFC 3261 §14.1: "The rules for transmitting a re-INVITE and for generating an ACK for
        // a 2xx response to re-INVITE are the same as for the initial INVITE
        // (Section 13.2.1)."
        if let Some((_, ack)) = exchange.acks.iter().find(|(of, _)| *of == client) {
            return ack.send(now, tx);
        }
        let Some(ours) = &mut exchange.ours else { return };
        // A repeat whose ACK waits for the answer, or one of a re-INVITE that is forgotten.
        if ours.owes_answer || ours.client != Some(client) {
            return;
        }
        if let Some(timer) = ours.timer.take() {
            tx.disarm(timer);
        }
        if let (Some(auth), Some(account)) = (&mut call.auth, &call.account) {
            confirm(auth, account.all_credentials(), &response);
        }
        let Some((dialog, _)) = call.dialog.and_then(|key| self.dialogs.get_mut(key)) else {
            return;
        };
        dialog.refresh(&response);
        let number = cseq(&ours.request);
        call.session.answered(number, response.status(), |range| *range.start());
        let refresh = ours.purpose == Purpose::Refresh;
        let asked = TimerFields::of(ours.request.headers());
        note_exchange(&mut call.timing, &ours.request, &response);
        let described = describes_session(response.headers(), response.body());
        // A response is never refused.
        let meaning = call.offer_answer.receives(Carrier::Ok, described, |range| *range.start());
        let offers = meaning == Ok(Meaning::Offer);
        let answer_owed = matches!(call.phase, Phase::Established) && !refresh && offers;
        if answer_owed {
            ours.owes_answer = true;
            ours.refusal = declined(response.body());
            let timer = self.arm_answer(now, tx, key);
            if let Some(ours) = self.ours_of(key, client) {
                ours.timer = Some(timer);
            }
        } else {
            let mut builder = dialog.ack_to(&ours.request);
            // A refresh without an offer was sent for want of one, and answers none but with what we had.
            if refresh
                && offers
                && let Some(body) = call.timing.as_ref().and_then(|timing| timing.local())
            {
                builder = builder.body(body.content_type.as_bytes(), body.bytes.clone());
            }
            let Ok(request) = builder.build() else { return };
            let answered = describes_session(request.headers(), request.body());
            let ack = SentAck { request, hop: self.ways_back.hop(call.flow, dialog.next_hop()) };
            ack.send(now, tx);
            exchange.acknowledged(ack);
            call.session.ack_sent(number);
            let _ = call.offer_answer.sends(Carrier::Ack, answered);
        }
        let answer = TimerFields::of(response.headers());
        if !refresh {
            self.update(key, CallUpdate::Modified { response, answer_owed });
        }
        if self.calls.get(key).is_some_and(|call| matches!(call.phase, Phase::Established)) {
            self.session_refreshed(now, tx, key, TimerInput::Accepted { asked, answer });
        }
    }

    fn modification_refused(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        client: ClientKey,
        response: Result<Response, RequestFailure>,
    ) {
        let Some(ours) = self.ours_of(key, client) else { return };
        ours.client = None;
        if let Some(timer) = ours.timer.take() {
            tx.disarm(timer);
        }
        let number = cseq(&ours.request);
        let (challenges, glares) = (ours.challenges, ours.glares);
        let (carrier, dialog) = (carrier(&ours.request), ours.dialog);
        let status = match &response {
            Ok(response) => response.status(),
            Err(failure) => failure.as_status(),
        };
        let challenged = match &response {
            Ok(response) => {
                challenges < MAX_CHALLENGES
                    && (self.challenge_call(key, response) || self.raise_interval(key, response))
            }
            Err(_) => false,
        };
        if let Some(exchange) = self.offer_answer_mut(key, dialog) {
            exchange.failed(carrier);
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        let answer = if carrier == Carrier::Invite {
            call.session.answered(number, status, |range| draw(tx, range))
        } else if status == StatusCode::REQUEST_PENDING {
            // RFC 3311 §5.3: "If a UAC receives a 491 response to a UPDATE, it SHOULD start a timer
            // with a value T chosen as follows"
            Answer::Glare { wait: call.session.glare_wait(|range| draw(tx, range)) }
        } else if ends_dialog(status) && matches!(call.phase, Phase::Established) {
            Answer::Terminated
        } else {
            Answer::Refused
        };
        if matches!(call.phase, Phase::Over) {
            self.take_ours(key);
            return;
        }
        if challenged {
            if let Some(ours) = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut()) {
                ours.challenges += 1;
            }
            if self.modify_again(now, tx, key).is_ok() {
                return;
            }
        }
        let failure = match response {
            Ok(response) => RequestFailure::Refused(Arc::new(response)),
            Err(failure) => failure,
        };
        match answer {
            Answer::Glare { .. } if glares >= self.config.glare_retries => {
                self.modification_failed(now, tx, key, RequestFailure::Glare);
            }
            // RFC 3261 §14.1: "If a UAC receives a 491 response to a re-INVITE, it SHOULD start a
            // timer with a value T chosen as follows"
            Answer::Glare { wait } => {
                let Some(call) = self.calls.get_mut(key) else { return };
                if let Some(ours) =
                    call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut())
                {
                    ours.glares += 1;
                    ours.timer = Some(tx.arm(now, wait, TimerKind::OurModification.token(key)));
                }
            }
            Answer::Terminated => {
                self.modification_failed(now, tx, key, failure);
                self.bye_and_end(now, tx, key, EndReason::PeerLost);
            }
            Answer::Refused | Answer::Accepted | Answer::Ignored | _ => {
                self.modification_failed(now, tx, key, failure);
            }
        }
    }

    /// Nothing came of our re-INVITE.
    fn modification_failed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        failure: RequestFailure,
    ) {
        match self.take_ours(key).map(|ours| ours.purpose) {
            Some(Purpose::Change) => self.update(key, CallUpdate::ModificationFailed { failure }),
            Some(Purpose::Refresh) => self.refresh_refused(now, tx, key, &failure),
            // RFC 4916 §4.4.1: "SHOULD take no action in the case of any
            // other request."
            Some(Purpose::Identity) | None => {}
        }
    }

    /// Our Contact in a target refresh request of a call, as the networks are now.
    fn contact_in(&self, tx: &Transactions, key: CallKey, dialog: DialogKey) -> Option<String> {
        let call = self.calls.get(key)?;
        let (dialog, _) = self.dialogs.get(dialog)?;
        let account = call.account.as_deref();
        let listener = call.listener.and_then(|listener| listener_of(tx, listener));
        let (user, secure) = (user_of(dialog.local_party()), dialog.is_secure());
        let contact = self.own_contact(listener, dialog.next_hop(), account, user, secure);
        Some(over_this_flow(contact, account))
    }

    /// Sends it under the next CSeq number, to where the peer is by now and from where we are.
    fn modify_again(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) -> Result<(), AgentError> {
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let ours = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut());
        let ours = ours.ok_or(AgentError::Gone)?;
        // Asked before a number is used up for nothing.
        let in_dialog = ours.dialog;
        let carrier = carrier(&ours.request);
        let described = describes_session(ours.request.headers(), ours.request.body());
        if carrier == Carrier::Invite {
            call.session.may_invite().map_err(|_| AgentError::Busy)?;
        }
        call.exchange_in(in_dialog).ok_or(AgentError::Gone)?.sends(carrier, described)?;
        let contact = self.contact_in(tx, key, in_dialog).ok_or(AgentError::Gone)?;
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let ours = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut());
        let ours = ours.ok_or(AgentError::Gone)?;
        ours.request.headers_mut().set_raw(HeaderName::Contact, contact.as_bytes())?;
        let (dialog, _) = self.dialogs.get_mut(in_dialog).ok_or(AgentError::Gone)?;
        let fresh = dialog
            .request(ours.request.method().clone())
            .map_err(|_| AgentError::Full { what: "requests in the dialog" })?
            .build()?;
        if let Ok(uri) = fresh.uri() {
            ours.request.set_uri(&uri);
        }
        set_cseq(&mut ours.request, cseq(&fresh));
        self.ask_to_refresh_again(key);
        self.send_modification(now, tx, key)
    }

    /// The back-off after a 491 is over, or our re-INVITE hung in provisional responses for too long.
    pub(crate) fn our_modification_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(ours) = call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut()) else {
            return;
        };
        ours.timer = None;
        if let Some(client) = ours.client {
            // Its end comes as a response or as a time-out of the transaction.
            return tx.cancel(now, client);
        }
        let moot = ours.purpose == Purpose::Refresh && !call.is_refreshing();
        if matches!(call.phase, Phase::Over) || moot {
            self.take_ours(key);
            return;
        }
        // RFC 3261 §14.1: "When the timer fires, the UAC SHOULD attempt the re-INVITE once more,
        // if it still desires for that session modification to take place."
        match self.modify_again(now, tx, key) {
            Ok(()) => {}
            // The peer's own re-INVITE is being served: one more round.
            Err(AgentError::Busy | AgentError::Offer(_)) => {
                let t1 = tx.config().t1;
                let limit = self.config.glare_retries;
                let Some(call) = self.calls.get_mut(key) else { return };
                if let Some(ours) =
                    call.exchange.as_mut().and_then(|exchange| exchange.ours.as_mut())
                    && ours.glares < limit
                {
                    ours.glares += 1;
                    ours.timer = Some(tx.arm(now, t1 * 4, TimerKind::OurModification.token(key)));
                    return;
                }
                self.modification_failed(now, tx, key, RequestFailure::Glare);
            }
            Err(_) => {
                self.modification_failed(now, tx, key, RequestFailure::Full);
            }
        }
    }

    /// The client transaction of a re-INVITE is over.
    pub(crate) fn modification_terminated(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: CallKey,
    ) {
        if let Some(call) = self.calls.get_mut(key)
            && let Some(exchange) = &mut call.exchange
        {
            exchange.acks.retain(|(of, _)| *of != client);
            if exchange.is_idle() {
                call.exchange = None;
            }
        }
        // Without a final response, which the transaction layer does not do: still not stuck.
        self.modification_refused(now, tx, key, client, Err(RequestFailure::TimedOut));
        self.client_done(client, key);
    }

    /// The call is over: what of its re-INVITEs cannot go on.
    pub(crate) fn end_exchange(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        if let Some(theirs) = self.take_theirs(key) {
            match theirs.state {
                TheirState::Unanswered { timer } => {
                    tx.disarm(timer);
                    // RFC 3261 §15.1.2: "The UAS MUST still respond to any pending requests received for
                    // that dialog.  It is RECOMMENDED that a 487 (Request Terminated) response
                    // be generated to those pending requests."
                    let status = StatusCode::REQUEST_TERMINATED;
                    self.refuse_invite(now, tx, key, theirs.server, &theirs.request, status);
                }
                TheirState::Accepted { timer, .. } => {
                    tx.disarm(timer);
                }
                TheirState::Refused => {}
            }
        }
        let Some(Call { exchange: Some(exchange), .. }) = self.calls.get_mut(key) else { return };
        let waiting = match &mut exchange.ours {
            Some(Ours { client: None, timer, .. }) => {
                if let Some(timer) = timer.take() {
                    tx.disarm(timer);
                }
                true
            }
            // A 2xx may still come, and then wants its ACK; the guard stays.
            Some(Ours { client: Some(_), .. }) | None => false,
        };
        if waiting {
            self.take_ours(key);
        }
    }
}

impl Ours {
    pub(super) fn into_parts(self) -> (Request, Option<TimerKey>) {
        (self.request, self.timer)
    }
}

/// What the request is in offer/answer.
fn carrier(request: &Request) -> Carrier {
    match request.method() {
        Method::Update => Carrier::Update,
        Method::Prack => Carrier::Prack,
        _ => Carrier::Invite,
    }
}
