//! Calls that come in: the callee's side of RFC 3261 §13.3, and CANCEL (§9.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{
    Carrier, Dialog, DialogKey, Meaning, OfferAnswer, Repeat2xx, RepeatStep, Role, Session,
    Unsendable,
};
use sip_message::{Expires, HeaderName, Method, Request, Response, StatusCode};
use sip_transaction::{ServerKey, Transactions};
use sip_transport::TransportError;

use super::call::{Accepted, Call, Invited, Phase, Said};
use super::compose::{contact, listener_of};
use super::offer::{describes_session, is_description};
use super::outgoing::cseq;
use super::prack::{PeerReliability, lists};
use super::session_timer::note_answer;
use super::table::TimerKind;
use super::usages::Usage;
use super::{Agent, Received, ServerUse};
use crate::registration::keep_of;
use crate::{
    AgentError, AgentEvent, Body, CallKey, CallUpdate, EndReason, ExtraHeaders, Reliability,
};

/// RFC 3261 §13.3.1.1: "To
/// prevent cancellation, the UAS MUST send a non-100 provisional
/// response at every minute, to handle the possibility of lost
/// provisional responses."
const PROVISIONAL_EVERY: Duration = Duration::from_secs(60);

/// The same where they are sent reliably.
const RELIABLY_EVERY: Duration = Duration::from_secs(150);

/// What an unlimited ringing limit comes to: a time that can be added to any other.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

impl Agent {
    /// An INVITE outside of any dialog that passed the checks of RFC 3261 §8.2.
    pub(crate) fn invitation(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        Received { server, request, flow }: Received,
    ) {
        // RFC 3261 §21.5.4: "The server is temporarily unable to process the request due to a
        // temporary overloading or maintenance of the server.  The server MAY
        // indicate when the client should retry the request in a Retry-After
        // header field."
        if self.calls.len() >= self.config.max_calls {
            return self.refuse_for_now(now, tx, server, &request);
        }
        let reliable = PeerReliability::of(&request);
        if self.config.reliable == Reliability::Required && reliable == PeerReliability::No {
            // RFC 3261 §21.4.16: "The UAS needs a particular extension to process the request, but this
            // extension is not listed in a Supported header field in the request.
            // Responses with this status code MUST contain a Require header field
            // listing the required extensions."
            let tag = tx.local_tag(server);
            let builder = self.response(&request, StatusCode::EXTENSION_REQUIRED, &tag);
            let builder = builder.raw(HeaderName::Require, b"100rel");
            return self.respond(now, tx, server, &request, builder);
        }
        let pointer = match self.pointer_of(&request) {
            Ok(pointer) => pointer,
            Err(rejection) => return self.refuse(now, tx, server, &request, rejection),
        };
        // RFC 3261 §8.2.6.2: "The
        // same tag MUST be used for all responses to that request, both final
        // and provisional (again excepting the 100 (Trying))."
        let tag = tx.local_tag(server);
        let mut dialog = match Dialog::uas(&request, &tag, flow.transport) {
            Ok(dialog) => dialog,
            Err(error) => return self.refuse(now, tx, server, &request, error.rejection()),
        };
        self.identify(&mut dialog, &request);
        // RFC 3261 §13.3.1: "If the request is an INVITE that contains an Expires header field, the
        // UAS core sets a timer for the number of seconds indicated in the
        // header field value."
        let expires = match request.headers().get::<Expires>() {
            Ok(Some(expires)) => Duration::from_secs(expires.0.into()),
            // RFC 3261 §8.2.2: "A UAS SHOULD ignore any malformed
            // header fields that are not necessary for processing requests."
            Ok(None) | Err(_) => Duration::MAX,
        };
        let limit = expires.min(self.config.ringing_limit).min(LONGEST_WAIT);

        let session = Session::new(Role::Uas, cseq(&request));
        let offered = describes_session(request.headers(), request.body());
        let offer_answer = OfferAnswer::new(Role::Uas, offered);
        let request = Arc::new(request);
        let kept = Arc::clone(&request);
        let heard_over = self.ways_back.note(flow);
        let (account, dialogs) = (self.account.clone(), &mut self.dialogs);
        let mut inserted = None;
        let key = self.calls.insert_with(|raw| {
            let key = CallKey::from(raw);
            inserted = dialogs.insert(dialog, Usage::Call(key).into()).ok();
            let timer = tx.arm(now, limit.min(PROVISIONAL_EVERY), TimerKind::Invited.token(key));
            let invited = Invited {
                server,
                request: kept,
                provisional: None,
                early_over: false,
                expires_at: now + limit,
                timer,
                reliable,
                pointer,
            };
            let phase = Phase::Invited(Box::new(invited));
            let mut call = Call::new(phase, session, offer_answer, account);
            call.dialog = inserted;
            call.listener = Some(flow.listener);
            call.flow = heard_over;
            call
        });
        let Some(key) = key.map(CallKey::from) else {
            return self.refuse_for_now(now, tx, server, &request);
        };
        if inserted.is_none() {
            if let Some(Call { phase: Phase::Invited(invited), .. }) = self.calls.remove(key) {
                tx.disarm(invited.timer);
            }
            return self.refuse_for_now(now, tx, server, &request);
        }
        self.active_calls += 1;
        self.served(server).usage = ServerUse::Invite(key);
        self.note_packages(key, request.headers());
        self.note_from_change(key, request.headers());
        let sender = self.sender(tx, server, flow);
        self.events.push_back(AgentEvent::Invitation { call: key, request, sender });
    }

    /// Tells the caller how it goes: 180 that the user is alerted, 183 and others with early media, say. It
    /// makes the early dialog, and is repeated every minute.
    ///
    /// As [`Reliability`] has it, it is sent reliably: then it waits until the one before was acknowledged. A session
    /// description that has no place in it, since the caller's offer is answered, is left out.
    ///
    /// # Errors
    /// [`AgentError::Status`] unless the status is from 101 to 198; [`AgentError::State`] when the call is not
    /// waiting for our answer; [`AgentError::Offer`] if it is sent reliably and has to hold an offer;
    /// [`AgentError::Full`] if eight others wait.
    pub fn ring(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        self.ring_with(now, tx, call, status, body, &[])
    }

    /// The same with more header fields: Alert-Info, P-Early-Media (RFC 5009), Reason.
    ///
    /// # Errors
    /// As [`ring`](Self::ring).
    #[allow(clippy::too_many_arguments, reason = "each is another part of the response")]
    pub fn ring_with(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<(), AgentError> {
        // RFC 6228 §5: "it SHOULD
        // NOT send a 199 response on an early dialog associated with the
        // request before it sends a non-2xx final response."
        if !status.is_provisional()
            || status == StatusCode::TRYING
            || status == StatusCode::EARLY_DIALOG_TERMINATED
        {
            return Err(AgentError::Status(status));
        }
        let said = Said { status, body: body.cloned(), headers: headers.to_vec() };
        self.say(now, tx, call, said)
    }

    /// Sends a provisional response, reliably or not as it is to be.
    pub(super) fn say(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        said: Said,
    ) -> Result<(), AgentError> {
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let Phase::Invited(invited) = &call.phase else { return Err(call.wrong_state("ring")) };
        let accepts = call.exchange.as_ref().is_some_and(|exchange| exchange.accepts());
        if accepts || invited.early_over {
            return Err(call.wrong_state("ring"));
        }
        let Said { status, body, headers } = &said;
        let (status, body) = (*status, body.as_ref());
        let (server, peer) = (invited.server, invited.reliable);
        let described = body.is_some_and(is_description);
        if self.rings_reliably(peer, described) {
            return self.ring_reliably(now, tx, key, said);
        }
        let mut exchange = call.offer_answer;
        let body = match exchange.sends(Carrier::Unreliable, described) {
            Ok(_) => body,
            Err(_) => None,
        };
        // RFC 3261 §13.3.1.1: "Each of these MUST indicate the same dialog ID."
        let response = self.session_response(tx, call, &invited.request, status, body, headers)?;
        if tx.respond(now, server, response).is_err() {
            self.end_call(now, tx, key, EndReason::TransportError(TransportError::Closed));
            return Err(AgentError::Gone);
        }
        if let Some(Call { phase: Phase::Invited(invited), .. }) = self.calls.get_mut(key) {
            // What had no place in it is not to be sent with the next either.
            let body = body.cloned();
            invited.provisional = Some(Said { body, ..said });
        }
        Ok(())
    }

    /// Accepts the call by 200; where a provisional response with a session description has to be acknowledged first,
    /// when it was. A session description that has no place in it, since the caller's offer is answered, is left out.
    /// [`CallUpdate::Confirmed`] follows when the ACK is there; until then the 200 is
    /// repeated, and if it never comes the call ends by BYE and [`EndReason::NoAck`].
    ///
    /// # Errors
    /// [`AgentError::State`] when the call is not waiting for our answer.
    pub fn accept(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<(), AgentError> {
        let key = call;
        self.may_accept(now, tx, key)?;
        if self.holds_accept(key, body, headers)? {
            return Ok(());
        }
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let Phase::Invited(invited) = &call.phase else { return Err(call.wrong_state("accept")) };
        if invited.early_over {
            return Err(call.wrong_state("accept"));
        }
        let (server, request) = (invited.server, Arc::clone(&invited.request));
        let pointer = invited.pointer;
        let ok = StatusCode::OK;
        let mut response = self.session_response(tx, call, &request, ok, body, headers)?;
        let mut exchange = call.offer_answer;
        let described = describes_session(response.headers(), response.body());
        if exchange.sends(Carrier::Ok, described) == Err(Unsendable::NoPlace) {
            response = self.session_response(tx, call, &request, ok, None, headers)?;
        }
        let response = self.proven(server, response);
        if tx.respond(now, server, response.clone()).is_err() {
            self.end_call(now, tx, key, EndReason::TransportError(TransportError::Closed));
            return Err(AgentError::Gone);
        }
        // RFC 6026 keeps the transaction, which passes the repeats on.
        // RFC 3261 §13.3.1.4: "Once the response has been constructed, it is passed to the INVITE
        // server transaction.  Note, however, that the INVITE server
        // transaction will be destroyed as soon as it receives this final
        // response and passes it to the transport.  Therefore, it is necessary
        // to periodically pass the response directly to the transport until the
        // ACK arrives."
        let (repeat, first) = Repeat2xx::start(tx.config().t1, tx.config().t2);
        let timer = tx.arm(now, first, TimerKind::Accepted.token(key));
        let is_kept = keep_of(&response).is_some();
        let accepted = Accepted { server, response, repeat, timer, hang_up: None };
        let mut early = None;
        if let Some(call) = self.calls.get_mut(key) {
            call.keep_agreed |= is_kept;
            call.session.final_sent(StatusCode::OK);
            call.offer_answer = exchange;
            call.peer_updates = lists(request.headers(), HeaderName::Allow, "UPDATE");
            let before = core::mem::replace(&mut call.phase, Phase::Accepted(Box::new(accepted)));
            if let Phase::Invited(invited) = before {
                tx.disarm(invited.timer);
                early = invited.provisional.and_then(|said| said.body);
            }
            if let Some((dialog, _)) = call.dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
                dialog.accepted(&request);
            }
        }
        self.server_answered(server);
        self.rung_enough(tx, key);
        self.replace(now, tx, pointer);
        self.session_accepted(now, tx, key, &request, body.or(early.as_ref()));
        Ok(())
    }

    /// Refuses the call, or redirects it: a 3xx with Contact among the headers. Ends it with
    /// [`EndReason::Local`].
    ///
    /// # Errors
    /// [`AgentError::Status`] unless the status is from 300 to 699; [`AgentError::State`] when the call is not
    /// waiting for our answer.
    pub fn reject(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
        headers: &ExtraHeaders,
    ) -> Result<(), AgentError> {
        self.reject_with(now, tx, call, status, None, headers)
    }

    /// The same with a body: what cannot be met of a 580 (RFC 3312 §8), what can be done of a 488.
    ///
    /// # Errors
    /// As [`reject`](Self::reject).
    #[allow(clippy::too_many_arguments, reason = "each is another part of the response")]
    pub fn reject_with(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<(), AgentError> {
        let key = call;
        if !status.is_final() || status.is_success() {
            return Err(AgentError::Status(status));
        }
        let call = self.calls.get(key).ok_or(AgentError::Gone)?;
        let Phase::Invited(invited) = &call.phase else { return Err(call.wrong_state("reject")) };
        let server = invited.server;
        let builder = self.response(&invited.request, status, self.local_tag(call));
        let response = Self::finish_response(builder, body, headers)?;
        let sent = tx.respond(now, server, response);
        self.server_answered(server);
        let reason = if sent.is_ok() {
            EndReason::Local
        } else {
            EndReason::TransportError(TransportError::Closed)
        };
        self.end_call(now, tx, key, reason);
        Ok(())
    }

    /// Sends a final response that refuses an INVITE of this call, with the tag that its dialog has.
    pub(crate) fn refuse_invite(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        server: ServerKey,
        request: &Request,
        status: StatusCode,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let builder = self.response(request, status, self.local_tag(call));
        self.respond(now, tx, server, request, builder);
        self.server_answered(server);
    }

    /// A response to an INVITE that makes or changes a session: with Contact, and the rest of what
    /// RFC 3261 §12.1.1 and §13.3.1.4 want in it.
    pub(crate) fn session_response(
        &self,
        tx: &Transactions,
        call: &Call,
        request: &Request,
        status: StatusCode,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<Response, AgentError> {
        self.session_response_in(tx, call, call.dialog, request, status, body, headers)
    }

    /// The same in one dialog of the call.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the response")]
    pub(crate) fn session_response_in(
        &self,
        tx: &Transactions,
        call: &Call,
        dialog: Option<DialogKey>,
        request: &Request,
        status: StatusCode,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<Response, AgentError> {
        let dialog = dialog.and_then(|dialog| self.dialogs.get(dialog));
        let (tag, party, secure) = match dialog {
            Some((dialog, _)) => (dialog.id().local_tag, dialog.local_party(), dialog.is_secure()),
            None => ("", "", false),
        };
        // RFC 3261 §12.1.1: "When a UAS responds to a request with a response that establishes a
        // dialog (such as a 2xx to INVITE), the UAS MUST copy all Record-Route
        // header field values from the request into the response (including the
        // URIs, URI parameters, and any Record-Route header field parameters,
        // whether they are known or unknown to the UAS) and MUST maintain the
        // order of those values."
        let mut builder =
            self.response(request, status, tag).copy(request, HeaderName::RecordRoute);
        // RFC 3261 §12.1.1: "The UAS MUST add
        // a Contact header field to the response."
        let listener = call.listener.and_then(|listener| listener_of(tx, listener));
        let account = call.account.as_deref();
        let contact = match dialog {
            Some((dialog, _)) => {
                self.own_contact(listener, dialog.next_hop(), account, user_of(party), secure)
            }
            None => contact(listener, user_of(party), secure),
        };
        builder = builder.raw(HeaderName::Contact, contact.as_bytes());
        let reliable = headers.iter().any(|(name, _)| name == "RSeq");
        if status.is_success() || reliable {
            // RFC 3261 §13.3.1.4: "A 2xx response to an INVITE SHOULD contain the Allow header
            // field and the Supported header field, and MAY contain the Accept
            // header field."
            builder = builder.raw(HeaderName::Allow, self.capabilities.allow.as_bytes());
            if let Some(events) = &self.capabilities.allow_events {
                builder = builder.raw(HeaderName::AllowEvents, events.as_bytes());
            }
            // RFC 3311 §4: "When a UAS compliant to this specification receives an INVITE request
            // for a new dialog, and generates a reliable provisional response
            // containing SDP, that response SHOULD contain an Allow header field
            // that lists the UPDATE method."
            // RFC 6228 §5: "The UAS MUST NOT insert a "199" option-tag in the Supported, Require, or
            // Proxy-Require header field of the 199 response."
            if status != StatusCode::EARLY_DIALOG_TERMINATED {
                let supported = self.capabilities.of_invite(self.config.reliable);
                builder = builder.raw(HeaderName::Supported, supported.as_bytes());
            }
            if let Some(packages) = self.recv_info() {
                builder = builder.raw(HeaderName::RecvInfo, packages.as_bytes());
            }
        }
        // An early session has no timer yet: that begins with the 2xx to the INVITE.
        let up = matches!(call.phase, Phase::Accepted(_) | Phase::Established);
        if status.is_success() && (up || *request.method() == Method::Invite) {
            builder = self.answer_session_timer(builder, call, request);
        }
        let mut response = Self::finish_response(builder, body, headers)?;
        if !call.keep_agreed {
            self.agree_to_keep(&mut response);
        }
        Ok(response)
    }

    /// Our tag in the dialog of the call.
    pub(crate) fn local_tag(&self, call: &Call) -> &str {
        match call.dialog.and_then(|dialog| self.dialogs.get(dialog)) {
            Some((dialog, _)) => dialog.id().local_tag,
            None => "",
        }
    }

    /// The minute is over, or the time for an answer.
    pub(crate) fn invited_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let Phase::Invited(invited) = &call.phase else { return };
        let (server, request) = (invited.server, Arc::clone(&invited.request));
        if now >= invited.expires_at {
            // For our own limit 480 says it better.
            // RFC 3261 §13.3.1: "If the invitation expires before the UAS has
            // generated a final response, a 487 (Request Terminated) response
            // SHOULD be generated."
            let status = match request.headers().get::<Expires>() {
                Ok(Some(_)) => StatusCode::REQUEST_TERMINATED,
                Ok(None) | Err(_) => StatusCode::TEMPORARILY_UNAVAILABLE,
            };
            self.refuse_invite(now, tx, key, server, &request, status);
            return self.end_call(now, tx, key, EndReason::TimedOut);
        }
        let left = invited.expires_at - now;
        let was_reliable =
            call.exchange.as_ref().is_some_and(|exchange| exchange.reliable.is_some());
        if let Some(said) = invited.provisional.clone() {
            // If it cannot be sent, the transaction says so by an event.
            let _ = self.say(now, tx, key, said);
        }
        // RFC 3262 §3: "in
        // which case the UAS SHOULD send provisional responses once every two
        // and a half minutes."
        let every = if was_reliable { RELIABLY_EVERY } else { PROVISIONAL_EVERY };
        let wait = left.min(every);
        if !self.calls.get(key).is_some_and(|call| matches!(call.phase, Phase::Invited(_))) {
            return;
        }
        let timer = tx.arm(now, wait, TimerKind::Invited.token(key));
        if let Some(Call { phase: Phase::Invited(invited), .. }) = self.calls.get_mut(key) {
            invited.timer = timer;
        }
    }

    /// Our 2xx has no ACK yet.
    pub(crate) fn accepted_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Phase::Accepted(accepted) = &mut call.phase else { return };
        match accepted.repeat.fired() {
            RepeatStep::Again { next } => {
                accepted.timer = tx.arm(now, next, TimerKind::Accepted.token(key));
                // A loss is mended by the next repeat.
                let _ = tx.respond(now, accepted.server, accepted.response.clone());
            }
            // RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without
            // receiving an ACK, the dialog is confirmed, but the session SHOULD be
            // terminated.  This is accomplished with a BYE, as described in Section
            // 15."
            RepeatStep::GiveUp => {
                let reason = accepted.hang_up.take().unwrap_or(EndReason::NoAck);
                call.session.ack_missed();
                call.offer_answer.ack_missed();
                call.phase = Phase::Established;
                self.bye_and_end(now, tx, key, reason);
            }
        }
    }

    /// The ACK to a 2xx of ours.
    pub(crate) fn ack_received(&mut self, now: Instant, tx: &mut Transactions, request: Request) {
        let sip_dialog::Found::Dialog(dialog) = self.dialogs.find(&request) else { return };
        let Some(key) = self.dialogs.get(dialog).and_then(|(_, usages)| usages.call()) else {
            return;
        };
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.session.ack_received(cseq(&request)) {
            return;
        }
        if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
            dialog.heard_from(&request);
        }
        note_answer(call, &request);
        let described = describes_session(request.headers(), request.body());
        // What is no request that wants an answer is never refused.
        let meaning = call.offer_answer.receives(Carrier::Ack, described, |range| *range.start());
        if !matches!(call.phase, Phase::Accepted(_)) {
            self.reinvite_confirmed(tx, key);
            // Nothing is new in an ACK unless our 2xx had the offer.
            if let Ok(Meaning::Answer | Meaning::Missing) = meaning {
                let ack = described.then_some(request);
                self.update(key, CallUpdate::ModificationConfirmed { ack });
            }
            return;
        }
        let before = core::mem::replace(&mut call.phase, Phase::Established);
        if let Phase::Accepted(accepted) = before {
            tx.disarm(accepted.timer);
            if let Some(reason) = accepted.hang_up {
                return self.bye_and_end(now, tx, key, reason);
            }
        }
        let ack = (!request.body().is_empty()).then_some(request);
        self.update(key, CallUpdate::Confirmed { ack });
        self.tell_relocated(key);
        self.tell_who_answered(now, tx, key);
    }

    /// The peer cancelled an INVITE; the transaction layer has answered the CANCEL.
    pub(crate) fn cancelled(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        cancel: &Request,
    ) {
        // RFC 3261 §9.2: "the behavior of the UAS on
        // receiving a CANCEL request depends on whether it has already sent a
        // final response for the original request.  If it has, the CANCEL
        // request has no effect on the processing of the original request, no
        // effect on any session state, and no effect on the responses generated
        // for the original request."
        let usage = self.servers.get(&server).map(|served| served.usage);
        match usage {
            // RFC 3261 §9.2: "If the original request was an
            // INVITE, the UAS SHOULD immediately respond to the INVITE with a 487
            // (Request Terminated)."
            Some(ServerUse::Invite(key)) => {
                let Some(call) = self.calls.get(key) else { return };
                let Phase::Invited(invited) = &call.phase else { return };
                let request = Arc::clone(&invited.request);
                self.refuse_invite(now, tx, key, server, &request, StatusCode::REQUEST_TERMINATED);
                self.tell_reasons(key, cancel.headers());
                self.end_call(now, tx, key, EndReason::CancelledByPeer);
            }
            Some(ServerUse::Modification(key)) => self.modification_cancelled(now, tx, key),
            Some(ServerUse::Held(raw)) => self.held_cancelled(now, tx, raw),
            // RFC 3261 §9.2: "A CANCEL
            // request has no impact on the processing of
            // transactions with any other method defined in this specification."
            Some(
                ServerUse::Owed(_)
                | ServerUse::Referral(_)
                | ServerUse::Ended(_)
                | ServerUse::Answered,
            )
            | None => {}
        }
    }

    /// The transaction of an INVITE that we have not answered is of no use any more.
    pub(crate) fn invite_server_lost(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(Call { phase: Phase::Invited(invited), .. }) = self.calls.get(key) else { return };
        let (server, request) = (invited.server, Arc::clone(&invited.request));
        // If the transaction still is, it needs a final response to end by, sent or not.
        let status = StatusCode::SERVER_INTERNAL_ERROR;
        self.refuse_invite(now, tx, key, server, &request, status);
        self.end_call(now, tx, key, EndReason::TransportError(TransportError::Closed));
    }
}

/// The user part of the URI in `"Name" <sip:user@host>`.
pub(crate) fn user_of(party: &str) -> Option<&str> {
    let uri = party.rsplit_once('<').map_or(party, |(_, uri)| uri);
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:"))?;
    let (user, _) = rest.split_once('@')?;
    let user = user.split_once(':').map_or(user, |(user, _password)| user);
    (!user.is_empty()).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_party() {
        for (party, user) in [
            ("<sip:alice@example.com>", Some("alice")),
            ("\"A <b> @\" <sips:alice;x=1@example.com;lr>", Some("alice;x=1")),
            ("sip:alice:secret@example.com", Some("alice")),
            ("<sip:example.com>", None),
            ("<tel:+1-201-555-0123>", None),
            ("", None),
        ] {
            assert_eq!(user_of(party), user, "{party}");
        }
    }
}
