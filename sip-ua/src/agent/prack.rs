//! Provisional responses that are sent reliably, and the PRACKs that acknowledge them (RFC 3262).
//!
//! ```text
//!  callee:  ring() --> Outstanding --PRACK: 200--> the next that waits, then the 2xx that waits
//!                       |  ^  |
//!                       +--+  | TimerKind::Reliable: 64*T1
//!                     again   +--> 504, the call is over
//!
//!  caller:  1xx, the next in order --> PRACK
//!                     | with an offer
//!                     |    +--> owed --answer_early()--> PRACK with the answer
//!                     |          | TimerKind::Answer: PRACK that refuses every stream, and the call is cancelled
//!                     | with the answer, where PRACKs wait
//!                     +--> held --offer_early()--> PRACK with a new offer
//!                           | TimerKind::Answer, answer_early() without a body: PRACK without
//! ```
//!
//! What is kept of it is in the [`Exchange`](super::modify::Exchange) of the call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sip_dialog::{
    Carrier, DialogKey, Meaning, OfferAnswer, ReliableSender, RepeatStep, Unsendable, ends_dialog,
};
use sip_dialog::{Received as InOrder, Rejection};
use sip_message::{CSeq, HeaderName, Headers, Method, RAck, RSeq, Request, Response, StatusCode};
use sip_transaction::{ServerKey, TimerKey, Transactions};
use sip_transport::TransportError;

use super::call::{Call, Caller, Phase, Said};
use super::compose::draw;
use super::offer::{declined, describes_session, is_description};
use super::outgoing::cseq;
use super::preconditions::{self, are_mandatory};
use super::table::TimerKind;
use super::{Agent, Received, ServerUse};
use crate::{
    AgentError, Body, CallKey, CallUpdate, EarlyId, EndReason, Reliability, RequestFailure,
};

/// How many provisional responses may wait for the PRACK of the one before.
const MAX_WAITING: usize = 8;

/// Whether the caller takes provisional responses that are sent reliably, as its INVITE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerReliability {
    No,
    Supported,
    Required,
}

impl PeerReliability {
    pub(crate) fn of(invite: &Request) -> Self {
        let headers = invite.headers();
        if lists(headers, HeaderName::Require, "100rel") {
            Self::Required
        } else if lists(headers, HeaderName::Supported, "100rel") {
            Self::Supported
        } else {
            Self::No
        }
    }
}

/// What a callee keeps of its reliable provisional responses.
pub(crate) struct Reliable {
    server: ServerKey,
    sender: ReliableSender,
    /// The one that is outstanding, to be sent again.
    response: Option<Response>,
    timer: Option<TimerKey>,
    /// Those that wait for its PRACK.
    waiting: VecDeque<Said>,
    /// The 2xx that waits for it.
    accept: Option<Accept>,
}

/// What the call is to be accepted with.
struct Accept {
    body: Option<Body>,
    headers: Vec<(String, String)>,
}

/// A PRACK that waits for the application.
pub(crate) struct OwedPrack {
    dialog: DialogKey,
    early: Option<EarlyId>,
    rack: RAck,
    timer: TimerKey,
    until: Instant,
    wants: Wants,
}

/// What it waits for.
enum Wants {
    /// The answer to the offer in a reliable provisional response; what goes in its place if the call ends first.
    Answer { refusal: Option<Body> },
    /// A new offer, or word that there is none: the response held the answer.
    Offer,
}

/// A PRACK of ours.
#[derive(Clone, Copy)]
pub(crate) struct PrackSent {
    pub(crate) dialog: DialogKey,
    /// It belongs to an offer/answer exchange.
    described: bool,
    /// It offers, and acknowledges the response with this RSeq to the INVITE with this CSeq.
    offers: Option<(RSeq, u32)>,
}

impl PrackSent {
    fn new(dialog: DialogKey, described: bool) -> Self {
        Self { dialog, described, offers: None }
    }
}

impl Reliable {
    fn new(server: ServerKey, invite: &Request) -> Self {
        Self {
            server,
            sender: ReliableSender::new(cseq(invite)),
            response: None,
            timer: None,
            waiting: VecDeque::new(),
            accept: None,
        }
    }

    /// The call is accepted, as soon as a PRACK comes.
    pub(crate) fn accepts(&self) -> bool {
        self.accept.is_some()
    }

    fn is_busy(&self) -> bool {
        self.sender.is_outstanding() || !self.waiting.is_empty()
    }

    /// Sends nothing any more.
    fn stop(&mut self, tx: &mut Transactions) {
        self.sender.final_sent();
        self.response = None;
        self.waiting = VecDeque::new();
        self.accept = None;
        if let Some(timer) = self.timer.take() {
            tx.disarm(timer);
        }
    }
}

impl Agent {
    /// The exchange of one dialog of a call.
    pub(super) fn offer_answer_mut(
        &mut self,
        key: CallKey,
        dialog: DialogKey,
    ) -> Option<&mut OfferAnswer> {
        let call = self.calls.get_mut(key)?;
        if call.dialog == Some(dialog) {
            return Some(&mut call.offer_answer);
        }
        let forks = &mut call.caller.as_mut()?.forks;
        forks.iter_mut().find(|fork| fork.dialog == dialog).map(|fork| &mut fork.offer_answer)
    }

    // The callee.

    /// Whether a provisional response is to be sent reliably.
    pub(super) fn rings_reliably(&self, peer: PeerReliability, described: bool) -> bool {
        match (self.config.reliable, peer) {
            // RFC 3262 §3: "If the request did not include either a Supported or Require header
            // field indicating this feature, the UAS MUST NOT send the provisional
            // response reliably."
            (Reliability::Never, _) | (_, PeerReliability::No) => false,
            // RFC 3262 §3: "The UAS MUST send any non-100 provisional response reliably if the
            // initial request contained a Require header field with the option tag
            // 100rel."
            (_, PeerReliability::Required) => true,
            // RFC 6337 §3.1.1: "a UAS should send an SDP answer reliably (if possible)
            // before it starts sending media."
            (Reliability::Supported, PeerReliability::Supported) => described,
            (Reliability::Required, PeerReliability::Supported) => true,
        }
    }

    /// Sends a provisional response reliably, at once or when the one before has its PRACK.
    pub(super) fn ring_reliably(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        said: Said,
    ) -> Result<(), AgentError> {
        let call = self.calls.get_mut(key).ok_or(AgentError::Gone)?;
        let Phase::Invited(invited) = &call.phase else { return Err(call.wrong_state("ring")) };
        let exchange = call.exchange.get_or_insert_default();
        let reliable = exchange
            .reliable
            .get_or_insert_with(|| Box::new(Reliable::new(invited.server, &invited.request)));
        if !reliable.is_busy() {
            return self.send_reliably(now, tx, key, &said);
        }
        if reliable.waiting.len() >= MAX_WAITING {
            return Err(AgentError::Full { what: "provisional responses" });
        }
        reliable.waiting.push_back(said);
        Ok(())
    }

    fn send_reliably(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        said: &Said,
    ) -> Result<(), AgentError> {
        let (status, body) = (said.status, said.body.as_ref());
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let (Phase::Invited(invited), Some(mut sender)) = (&call.phase, reliable(call)) else {
            return Err(call.wrong_state("ring"));
        };
        let server = invited.server;
        let mut exchange = call.offer_answer;
        let mut required = "100rel".to_owned();
        let body = match exchange.sends(Carrier::Reliable, body.is_some_and(is_description)) {
            Ok(Meaning::Offer) if body.is_some_and(|body| are_mandatory(&body.bytes)) => {
                required += ", ";
                required += preconditions::TAG;
                body
            }
            Ok(_) => body,
            Err(Unsendable::NoPlace) => None,
            Err(error) => return Err(error.into()),
        };
        let t1 = tx.config().t1;
        let (rseq, delay) = sender
            .send(t1, |range| draw(tx, range))
            .ok_or(AgentError::Full { what: "provisional responses" })?;
        // RFC 3262 §3: "In addition, it MUST contain a Require header field containing the
        // option tag 100rel, and MUST include an RSeq header field."
        let fields = [("Require", required), ("RSeq", rseq.0.to_string())]
            .map(|(name, value)| (name.to_owned(), value));
        let fields = [&fields[..], &said.headers].concat();
        let response = self.session_response(tx, call, &invited.request, status, body, &fields)?;
        if tx.respond(now, server, response.clone()).is_err() {
            self.end_call(now, tx, key, EndReason::TransportError(TransportError::Closed));
            return Err(AgentError::Gone);
        }
        let timer = tx.arm(now, delay, TimerKind::Reliable.token(key));
        let Some(call) = self.calls.get_mut(key) else { return Err(AgentError::Gone) };
        call.offer_answer = exchange;
        if let Phase::Invited(invited) = &mut call.phase {
            invited.provisional = Some(Said { body: None, ..said.clone() });
        }
        if let Some(reliable) = call.exchange.as_mut().and_then(|it| it.reliable.as_mut()) {
            reliable.sender = sender;
            reliable.response = Some(response);
            reliable.timer = Some(timer);
        }
        Ok(())
    }

    /// Our reliable provisional response has no PRACK yet.
    pub(super) fn reliable_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(reliable) = call.exchange.as_mut().and_then(|it| it.reliable.as_mut()) else {
            return;
        };
        match (reliable.sender.fired(), &reliable.response) {
            (RepeatStep::Again { next }, Some(response)) => {
                reliable.timer = Some(tx.arm(now, next, TimerKind::Reliable.token(key)));
                // A loss is mended by the next one.
                let _ = tx.respond(now, reliable.server, response.clone());
            }
            (RepeatStep::Again { .. } | RepeatStep::GiveUp, _) => {
                reliable.timer = None;
                let Phase::Invited(invited) = &call.phase else { return };
                let (server, request) = (invited.server, Arc::clone(&invited.request));
                let status = StatusCode::SERVER_TIMEOUT;
                self.refuse_invite(now, tx, key, server, &request, status);
                self.end_call(now, tx, key, EndReason::NoPrack);
            }
        }
    }

    /// Whether the 2xx has to wait for a PRACK; it is then kept, and sent when that came.
    pub(super) fn holds_accept(
        &mut self,
        key: CallKey,
        body: Option<&Body>,
        headers: &crate::ExtraHeaders,
    ) -> Result<bool, AgentError> {
        let Some(call) = self.calls.get_mut(key) else { return Ok(false) };
        if !matches!(call.phase, Phase::Invited(_)) {
            return Err(call.wrong_state("accept"));
        }
        let modifies = call.exchange.as_ref().is_some_and(|exchange| exchange.theirs.is_some());
        let may_accept = call.offer_answer.may_accept();
        let Some(reliable) = call.exchange.as_mut().and_then(|it| it.reliable.as_mut()) else {
            return Ok(false);
        };
        if reliable.accept.is_some() {
            return Err(call.wrong_state("accept"));
        }
        if may_accept && reliable.waiting.is_empty() && !modifies {
            return Ok(false);
        }
        reliable.accept = Some(Accept { body: body.cloned(), headers: headers.to_vec() });
        Ok(true)
    }

    /// The 2xx went out: no provisional response does any more.
    pub(super) fn rung_enough(&mut self, tx: &mut Transactions, key: CallKey) {
        let exchange = self.calls.get_mut(key).and_then(|call| call.exchange.as_mut());
        if let Some(reliable) = exchange.and_then(|exchange| exchange.reliable.as_mut()) {
            reliable.stop(tx);
        }
    }

    /// A PRACK of the peer, in order.
    pub(super) fn prack_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        Received { server, request, .. }: Received,
    ) {
        let Ok(Some(rack)) = request.get::<RAck>() else {
            return self.answer(now, tx, server, &request, StatusCode::BAD_REQUEST);
        };
        let gone = Rejection::no_such_dialog();
        let Some(call) = self.calls.get(key).filter(|call| call.dialog == Some(dialog)) else {
            return self.refuse(now, tx, server, &request, gone);
        };
        let Some(sender) = reliable(call) else {
            return self.refuse(now, tx, server, &request, gone);
        };
        if let Err(rejection) = sender.matches(&rack) {
            return self.refuse(now, tx, server, &request, rejection);
        }
        let described = describes_session(request.headers(), request.body());
        let mut exchange = call.offer_answer;
        // One that is refused may come again without its offer: the response stays outstanding.
        let meaning = match exchange.receives(Carrier::Prack, described, |range| draw(tx, range)) {
            Ok(meaning) => meaning,
            Err(rejection) => return self.refuse(now, tx, server, &request, rejection),
        };
        let over = matches!(call.phase, Phase::Over);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.offer_answer = exchange;
        if let Some(reliable) = call.exchange.as_mut().and_then(|it| it.reliable.as_mut()) {
            // It has matched.
            let _ = reliable.sender.acknowledge(&rack);
            reliable.response = None;
            if let Some(timer) = reliable.timer.take() {
                tx.disarm(timer);
            }
        }
        if meaning == Meaning::Offer && !over {
            return self.ask_to_modify(now, tx, key, dialog, server, request);
        }
        // RFC 3262 §3: "If the PRACK does match an
        // unacknowledged reliable provisional response, it MUST be responded to
        // with a 2xx response."
        let answered = exchange.sends(Carrier::PrackOk, false);
        debug_assert!(answered.is_ok(), "without a body it is always in order");
        if let Some(call) = self.calls.get_mut(key) {
            call.offer_answer = exchange;
        }
        self.answer(now, tx, server, &request, StatusCode::OK);
        let prack = (!request.body().is_empty()).then_some(request);
        self.update(key, CallUpdate::Acknowledged { prack });
        self.ring_on(now, tx, key);
    }

    /// We have refused the offer in a PRACK, which may come again without.
    pub(super) fn prack_refused(&mut self, key: CallKey) {
        let exchange = self.calls.get_mut(key).and_then(|call| call.exchange.as_mut());
        if let Some(reliable) = exchange.and_then(|exchange| exchange.reliable.as_mut()) {
            reliable.sender.prack_refused();
        }
    }

    /// The way is clear for what waits for a PRACK, or for the answer to the offer in one.
    pub(super) fn ring_on(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        loop {
            let Some(call) = self.calls.get_mut(key) else { return };
            if !matches!(call.phase, Phase::Invited(_)) {
                return;
            }
            let Some(exchange) = &mut call.exchange else { return };
            let (modifies, Some(reliable)) = (exchange.theirs.is_some(), &mut exchange.reliable)
            else {
                return;
            };
            if reliable.sender.is_outstanding() {
                return;
            }
            if let Some(said) = reliable.waiting.pop_front() {
                // One that cannot be sent is left out; the next is tried.
                if let Err(error) = self.send_reliably(now, tx, key, &said) {
                    tracing::debug!(%error, "a provisional response that waited was not sent");
                }
                continue;
            }
            if modifies {
                return;
            }
            let Some(accept) = reliable.accept.take() else { return };
            if let Err(error) = self.accept(now, tx, key, accept.body.as_ref(), &accept.headers) {
                tracing::debug!(%error, "a 2xx that waited was not sent");
                // The application takes the call for accepted: it must end.
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                let _ = self.reject(now, tx, key, status, &[]);
            }
            return;
        }
    }

    /// The call is over. While a PRACK may come it is kept, as long as the transaction of the INVITE.
    pub(super) fn stop_ringing(&mut self, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(exchange) = &mut call.exchange else { return };
        for owed in exchange.owed.drain(..) {
            tx.disarm(owed.timer);
        }
        let Some(reliable) = &mut exchange.reliable else { return };
        reliable.stop(tx);
        let server = reliable.server;
        if reliable.sender.is_outstanding()
            && let Some(served) = self.servers.get_mut(&server)
        {
            served.usage = ServerUse::Ended(key);
            call.transactions = call.transactions.saturating_add(1);
        }
    }

    /// The transaction is over for which a call that has ended was kept.
    pub(super) fn call_left(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(key) {
            call.transactions = call.transactions.saturating_sub(1);
        }
        self.release(key);
    }

    // The caller.

    /// A provisional response in one of the dialogs of a call: whether it is to be told, and what is wanted of the
    /// application.
    pub(super) fn provisional_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        dialog: DialogKey,
        early: Option<EarlyId>,
        response: &Response,
    ) -> Option<Provisional> {
        let headers = response.headers();
        let described = describes_session(headers, response.body());
        let is_reliable = lists(headers, HeaderName::Require, "100rel");
        if !is_reliable {
            let exchange = self.offer_answer_mut(key, dialog)?;
            // A response is never refused.
            let _ = exchange.receives(Carrier::Unreliable, described, |range| *range.start());
            return Some(Provisional::Done);
        }
        // Without a number, or with one that is none, nobody can acknowledge it: whoever sent it sends it
        // again, and gives up.
        let rseq = response.get::<RSeq>().ok()??;
        let number = headers.cseq()?.number;
        let rack = RAck::new(rseq, CSeq::new(number, Method::Invite).ok()?);
        match self.receiver_mut(key, dialog)?.receive(rseq) {
            InOrder::New => {}
            InOrder::Repeat | InOrder::Gap => return None,
        }
        let exchange = self.offer_answer_mut(key, dialog)?;
        let meaning = exchange.receives(Carrier::Reliable, described, |range| *range.start());
        let meaning = meaning.unwrap_or(Meaning::Nothing);
        let call = self.calls.get(key)?;
        let wanted = !matches!(call.phase, Phase::Cancelling | Phase::Over);
        let holds = call.caller.as_ref().is_some_and(|caller| caller.holds_pracks);
        let wants = match meaning {
            Meaning::Offer => Some(Wants::Answer { refusal: declined(response.body()) }),
            // Only an INVITE makes early dialogs: a re-INVITE is not the application's to be asked about.
            Meaning::Answer if holds && wanted && early.is_some() => Some(Wants::Offer),
            _ => None,
        };
        if let Some(wants) = wants {
            let timer = self.arm_answer(now, tx, key);
            let until = now + self.answer_guard(tx);
            let owed = OwedPrack { dialog, early, rack, timer, until, wants };
            self.calls.get_mut(key)?.exchange.get_or_insert_default().owed.push(owed);
            if !wanted {
                self.prack_unanswered(now, tx, key);
            }
            return Some(match meaning {
                Meaning::Offer => Provisional::AnswerOwed,
                _ => Provisional::PrackHeld,
            });
        }
        // RFC 3262 §4: "Assuming the response is to be transmitted reliably, the UAC MUST
        // create a new request with method PRACK.  This request is sent within
        // the dialog associated with the provisional response"
        let prack = PrackSent::new(dialog, meaning == Meaning::Answer);
        if let Err(error) = self.send_prack(now, tx, key, prack, &rack, None) {
            tracing::debug!(%error, "a PRACK was not sent");
        }
        Some(Provisional::Done)
    }

    fn receiver_mut(
        &mut self,
        key: CallKey,
        dialog: DialogKey,
    ) -> Option<&mut sip_dialog::ReliableReceiver> {
        let Call { phase, caller, exchange, .. } = self.calls.get_mut(key)?;
        match (phase, caller) {
            (Phase::Calling | Phase::Cancelling, Some(caller)) => {
                let mut forks = caller.forks.iter_mut();
                forks.find(|fork| fork.dialog == dialog).map(|fork| &mut fork.received)
            }
            _ => exchange.as_mut()?.receiver_mut(),
        }
    }

    /// Answers the offer in a reliable provisional response to an INVITE of ours that had none
    /// ([`CallUpdate::Progress`] and [`CallUpdate::Ringing`] say whether it is owed): the answer goes in the PRACK. Of
    /// several callees `early` says which; `None` is the one that has waited longest. Who does not like the offer answers it
    /// all the same, and then hangs up.
    ///
    /// # Errors
    /// [`AgentError::NoOffer`] if no answer is owed; [`AgentError::Build`] if the PRACK cannot be built, and then the
    /// answer is still owed.
    pub fn answer_early(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        early: Option<EarlyId>,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let owed = call.exchange.as_ref().ok_or(AgentError::NoOffer)?.owed.iter();
        // Without a body nothing is offered: that is what a PRACK that is held may wait for as well.
        let fits = |owed: &OwedPrack| match owed.wants {
            Wants::Answer { .. } => true,
            Wants::Offer => body.is_none(),
        };
        let place = owed
            .enumerate()
            .find(|(_, owed)| fits(owed) && (early.is_none() || owed.early == early))
            .map(|(place, _)| place);
        self.send_owed(now, tx, key, place.ok_or(AgentError::NoOffer)?, body).map(|_| ())
    }

    /// Makes a new offer in the PRACK to the provisional response that held the answer to our last, where the call was
    /// placed to [hold PRACKs](crate::OutgoingCall::hold_pracks) and [`CallUpdate::PrackHeld`] has said that one waits.
    /// [`CallUpdate::Modified`] brings the peer's answer, or [`CallUpdate::ModificationFailed`] says that there is none:
    /// the session is then as it was. Of several callees `early` says which; `None` is the one that has waited longest.
    ///
    /// Offer so only what the callee is expected to accept (RFC 6337 §4.1); else use UPDATE.
    ///
    /// # Errors
    /// [`AgentError::NoOffer`] if no PRACK waits for an offer; [`AgentError::Offer`] while an UPDATE is in progress;
    /// [`AgentError::Build`] if the PRACK cannot be built, and then it still waits.
    // RFC 3262 §5: "If the UAC receives a reliable provisional response with an answer, it MAY generate an
    // additional offer in the PRACK."
    pub fn offer_early(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        early: Option<EarlyId>,
        body: &Body,
    ) -> Result<(), AgentError> {
        let key = call;
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let owed = call.exchange.as_ref().ok_or(AgentError::NoOffer)?.owed.iter();
        let fits = |owed: &&OwedPrack| matches!(owed.wants, Wants::Offer);
        let place = owed
            .enumerate()
            .find(|(_, owed)| fits(owed) && (early.is_none() || owed.early == early))
            .map(|(place, _)| place);
        self.send_owed(now, tx, key, place.ok_or(AgentError::NoOffer)?, Some(body))
    }

    /// Sends a PRACK that has waited.
    fn send_owed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        place: usize,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let owed = call.exchange.as_ref().and_then(|exchange| exchange.owed.get(place));
        let owed = owed.ok_or(AgentError::NoOffer)?;
        let (dialog, rack) = (owed.dialog, owed.rack.clone());
        let mut prack = PrackSent::new(dialog, true);
        if let Some(mut exchange) = call.exchange_in(dialog) {
            let sent = exchange.sends(Carrier::Prack, body.is_some_and(is_description))?;
            if sent == Meaning::Offer {
                prack.offers = Some((rack.rseq(), rack.cseq().number()));
            }
            self.send_prack(now, tx, key, prack, &rack, body)?;
            if let Some(state) = self.offer_answer_mut(key, dialog) {
                *state = exchange;
            }
        }
        if let Some(exchange) = self.calls.get_mut(key).and_then(|call| call.exchange.as_mut()) {
            let owed = exchange.owed.remove(place);
            tx.disarm(owed.timer);
        }
        Ok(())
    }

    /// The call ends, or is given up: PRACKs that still wait go as they can, with answers that refuse every stream.
    // RFC 3262 §5: "it MUST generate an answer in the PRACK."
    pub(super) fn prack_unanswered(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        while let Some(exchange) = self.calls.get_mut(key).and_then(|call| call.exchange.as_mut())
            && let Some(owed) = exchange.owed.first_mut()
        {
            let refusal = match &mut owed.wants {
                Wants::Answer { refusal } => refusal.take(),
                Wants::Offer => None,
            };
            if self.send_owed(now, tx, key, 0, refusal.as_ref()).is_err() {
                return; // The rest is given up with the call.
            }
        }
    }

    /// The application has not answered the offer in a reliable provisional response: whether that is so.
    pub(super) fn early_answer_missed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
    ) -> bool {
        let Some(call) = self.calls.get_mut(key) else { return false };
        let Some(exchange) = &mut call.exchange else { return false };
        let due = exchange.owed.iter().position(|owed| owed.until <= now);
        let Some(due) = due else { return false };
        if exchange.owed.get(due).is_some_and(|owed| matches!(owed.wants, Wants::Offer)) {
            // There is none.
            let _ = self.send_owed(now, tx, key, due, None);
            return true;
        }
        if let Some(Caller { rang_out, .. }) = call.caller.as_deref_mut() {
            *rang_out = true;
        }
        match call.phase {
            Phase::Calling => self.cancel(now, tx, key),
            Phase::Established => self.bye_and_end(now, tx, key, EndReason::TimedOut),
            Phase::Cancelling | Phase::Invited(_) | Phase::Accepted(_) | Phase::Over => {}
        }
        true
    }

    /// A final response to a PRACK of ours, or why there is none.
    pub(super) fn prack_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        prack: PrackSent,
        result: Result<Response, RequestFailure>,
    ) {
        if !prack.described {
            return;
        }
        let Some(exchange) = self.offer_answer_mut(key, prack.dialog) else { return };
        let failure = match result {
            Ok(response) if response.status().is_success() => {
                let described = describes_session(response.headers(), response.body());
                let meaning =
                    exchange.receives(Carrier::PrackOk, described, |range| *range.start());
                debug_assert!(meaning.is_ok(), "a response is never refused");
                if prack.offers.is_some() {
                    self.update(key, CallUpdate::Modified { response, answer_owed: false });
                }
                return;
            }
            Ok(response) => RequestFailure::Refused(Arc::new(response)),
            Err(failure) => failure,
        };
        // The INVITE goes on, and its final response says what becomes of the call.
        exchange.failed(Carrier::Prack);
        let Some((rseq, number)) = prack.offers else { return };
        // RFC 6337 §2.3: "In that case, UAC may send again a PRACK
        // request without an offer"
        if let RequestFailure::Refused(response) = &failure
            && !ends_dialog(response.status())
            && let Ok(cseq) = CSeq::new(number, Method::Invite)
        {
            let plain = PrackSent::new(prack.dialog, true);
            if let Err(error) = self.send_prack(now, tx, key, plain, &RAck::new(rseq, cseq), None) {
                tracing::debug!(%error, "a PRACK was not sent again");
            }
        }
        self.update(key, CallUpdate::ModificationFailed { failure });
    }
}

/// What a provisional response wants of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provisional {
    /// Nothing: what had to be sent has been.
    Done,
    /// The answer to the offer in it.
    AnswerOwed,
    /// A new offer for the PRACK, or word that there is none.
    PrackHeld,
}

/// How far the reliable provisional responses of a callee have come.
fn reliable(call: &Call) -> Option<ReliableSender> {
    call.exchange.as_ref()?.reliable.as_ref().map(|reliable| reliable.sender)
}

/// Whether a header field that lists tokens lists this one.
pub(crate) fn lists(headers: &Headers, name: HeaderName<'static>, token: &str) -> bool {
    headers.raw_all(name).any(|value| {
        value
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}
