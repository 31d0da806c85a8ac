//! A REFER that comes in (RFC 3515 §2.4.2): the application decides, and the agent reports how it goes.
//!
//! ```text
//!   Asked ── accepted, or nobody decides in time: 200, NOTIFY 100 ──► Reporter ──► final NOTIFY answered
//!     └──── declined, or the transaction is lost ──► gone
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{Dialog, DialogKey, Effect, Report, ReportState, Reporter, ReporterInput};
use sip_message::{
    Expires, HeaderName, Method, ReferSub, ReferTo, Request, Response, SipFrag, StatusCode, Uri,
};
use sip_transaction::{ServerKey, Transactions};

use super::call::Call;
use super::compose::listener_of;
use super::incoming::user_of;
use super::outgoing::cseq;
use super::refer::{End, Refer};
use super::requests::{Owner, Place};
use super::table::TimerKind;
use super::usages::Usage;
use super::{Agent, Received, ServerUse};
use crate::{
    Account, AgentError, AgentEvent, Body, CallKey, EndReason, ExtraHeaders, OutgoingCall,
    ReferKey, RequestFailure,
};

/// A REFER that nobody has decided about.
pub(crate) struct Waiting {
    server: ServerKey,
    request: Arc<Request>,
    transport: sip_message::Transport,
    /// It is not the first in its dialog.
    later: bool,
}

/// A REFER that was accepted.
pub(crate) struct Reporting {
    /// None if no reports are wanted.
    reporter: Option<Reporter>,
    began: Instant,
    request: Arc<Request>,
    later: bool,
    /// What it asks for has not been begun.
    idle: bool,
}

impl Agent {
    /// A REFER, in the dialog of a call or outside of any. One outside that knows the dialog of a call
    /// (Target-Dialog) is told as one of that call.
    pub(super) fn referred(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        dialog: Option<DialogKey>,
        call: Option<CallKey>,
        received: Received,
    ) {
        let Received { server, request, flow } = received;
        // RFC 3515 §2.4.2: "An agent responding to a REFER method MUST return a 400 (Bad Request)
        // if the request contained zero or more than one Refer-To header field
        // values."
        let mut targets = request.get_all::<ReferTo<'_>>();
        if !matches!((targets.next(), targets.next()), (Some(Ok(_)), None)) {
            drop(targets);
            return self.answer(now, tx, server, &request, StatusCode::BAD_REQUEST);
        }
        drop(targets);
        // One that is to be reported about makes a dialog (RFC 3515 §2.2: it has a Contact), or is no good.
        if dialog.is_none()
            && !wants_no_reports(&request)
            && let Err(error) = Dialog::uas(&request, "", flow.transport)
        {
            return self.refuse(now, tx, server, &request, error.rejection());
        }
        if self.refers.len() >= self.config.max_refers {
            return self.refuse_for_now(now, tx, server, &request);
        }
        let call = call.or_else(|| {
            let (_, usages) = self.dialogs.get(self.dialogs.target_dialog(&request)?)?;
            usages.call()
        });
        let of_call = dialog.and(call).and_then(|call| self.calls.get_mut(call));
        let (mut later, mut way) = (false, self.ways_back.note(flow));
        if let Some(Call { referred, flow: of_call, .. }) = of_call {
            later = std::mem::replace(referred, true);
            way = way.or(*of_call);
        }
        let (id, guard) = (cseq(&request), self.config.reply_guard);
        let request = Arc::new(request);
        let waiting =
            Waiting { server, request: Arc::clone(&request), transport: flow.transport, later };
        let raw = self.refers.insert_with(|raw| Refer {
            dialog,
            call_id: None,
            id,
            listener: Some(flow.listener),
            flow: way,
            timer: Some(tx.arm(now, guard, TimerKind::Refer.token(raw))),
            end: End::Asked(Box::new(waiting)),
        });
        let Some(raw) = raw else { return self.refuse_for_now(now, tx, server, &request) };
        if let Some((_, usages)) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            usages.add(Usage::Refer(raw.into()));
        }
        self.served(server).usage = ServerUse::Referral(raw.into());
        let sender = self.sender(tx, server, flow);
        self.events.push_back(AgentEvent::Referred { refer: raw.into(), call, request, sender });
    }

    /// Does what a REFER asks: accepts it, calls whom it names with this session description, and reports by
    /// itself how that goes. Without an account the agent's own calls. Header fields in the Refer-To URI (Replaces above all) and Referred-By are passed
    /// on.
    ///
    /// # Errors
    /// [`AgentError::Address`] if the REFER asks for something else than a call to a SIP URI: nothing has
    /// happened then, and [`report`](Self::report) is for that. Where the call cannot be placed, the REFER is
    /// accepted and reported to have failed.
    pub fn follow(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        refer: ReferKey,
        account: Option<&Arc<Account>>,
        body: Option<Body>,
        headers: &ExtraHeaders,
    ) -> Result<CallKey, AgentError> {
        let request = Arc::clone(self.reference(refer)?);
        let mut call = reference_of(&request)?;
        call.body = body;
        call.headers.extend_from_slice(headers);
        let known = self.dialogs.target_dialog(&request);
        self.keep_session(
            known.or(self.refers.get(refer).and_then(|refer| refer.dialog)),
            &mut call,
        );
        self.admit_reference(now, tx, refer, true)?;
        let account = account.or(self.account.as_ref()).cloned();
        let account = account.unwrap_or_else(|| Arc::new(Account::anonymous()));
        match self.call(now, tx, &account, call) {
            Ok(call) => {
                if let Some(Call { caller: Some(caller), .. }) = self.calls.get_mut(call) {
                    caller.reports = Some(refer);
                }
                Ok(call)
            }
            Err(error) => {
                let status = match error {
                    AgentError::Build(_) | AgentError::Address => StatusCode::BAD_REQUEST,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                self.reference_came_to(now, tx, refer, status);
                Err(error)
            }
        }
    }

    /// Says how far what a REFER asks for has come, where the application does it itself; accepts the REFER
    /// first if that was not done. A final status is the last word.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if a final status was reported, or the referrer no longer wants to know.
    pub fn report(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        refer: ReferKey,
        status: StatusCode,
    ) -> Result<(), AgentError> {
        self.reference(refer)?;
        self.admit_reference(now, tx, refer, true)?;
        self.reference_came_to(now, tx, refer, status);
        Ok(())
    }

    /// Does not do what a REFER asks. One that waited too long for this was accepted by then: its referrer is
    /// told by a NOTIFY.
    ///
    /// # Errors
    /// [`AgentError::Status`] unless the status is from 300 to 699; [`AgentError::Gone`] if the REFER was
    /// followed, or is over.
    pub fn decline(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        refer: ReferKey,
        status: StatusCode,
    ) -> Result<(), AgentError> {
        if !status.is_final() || status.is_success() {
            return Err(AgentError::Status(status));
        }
        self.reference(refer)?;
        match self.refers.get(refer).map(|refer| &refer.end) {
            Some(End::Asked(waiting)) => {
                let (server, request) = (waiting.server, Arc::clone(&waiting.request));
                self.answer(now, tx, server, &request, status);
                self.server_answered(server);
                self.drop_refer(tx, refer);
            }
            // RFC 3515 §2.4.5: "if the REFER request was accepted before approval to follow the
            // reference could be obtained and that approval was subsequently denied"
            _ => self.reference_came_to(now, tx, refer, status),
        }
        Ok(())
    }

    /// The REFER, if what it asks for is yet to be begun.
    fn reference(&self, key: ReferKey) -> Result<&Arc<Request>, AgentError> {
        match &self.refers.get(key).ok_or(AgentError::Gone)?.end {
            End::Asked(waiting) => Ok(&waiting.request),
            End::Reporter(reporting) if reporting.idle => Ok(&reporting.request),
            End::Reporter(_) | End::Referrer(_) => Err(AgentError::Gone),
        }
    }

    /// Accepts a REFER, if that was not done.
    fn admit_reference(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        allowed: bool,
    ) -> Result<(), AgentError> {
        let refer = self.refers.get_mut(key).ok_or(AgentError::Gone)?;
        let waiting = match &mut refer.end {
            End::Asked(waiting) => waiting,
            End::Reporter(reporting) => {
                if let Some(reporter) = &mut reporting.reporter {
                    reporter.allow();
                }
                return Ok(());
            }
            End::Referrer(_) => return Err(AgentError::Gone),
        };
        let (server, request) = (waiting.server, Arc::clone(&waiting.request));
        let (later, transport) = (waiting.later, waiting.transport);
        let (listener, dialog) = (refer.listener, refer.dialog);
        if let Some(timer) = refer.timer.take() {
            tx.disarm(timer);
        }
        let silent = wants_no_reports(&request);
        let tag = tx.local_tag(server);
        let mut dialog = dialog;
        if dialog.is_none() && !silent {
            let mut made =
                Dialog::uas(&request, &tag, transport).map_err(|_| AgentError::Address)?;
            self.identify(&mut made, &request);
            let usages = Usage::Refer(key).into();
            let made = self.dialogs.insert(made, usages);
            dialog = Some(made.map_err(|_| AgentError::Full { what: "dialogs" })?);
        }
        // RFC 7647 §5: "an element accepting a REFER request MUST NOT reply with a 202"
        let to_tag = if request.headers().to_tag().is_some() { "" } else { &*tag };
        let mut builder =
            self.response(&request, StatusCode::OK, to_tag).copy(&request, HeaderName::RecordRoute);
        if let Some((state, _)) = dialog.and_then(|dialog| self.dialogs.get(dialog)) {
            let local = listener.and_then(|listener| listener_of(tx, listener));
            let (user, secure) = (user_of(state.local_party()), state.is_secure());
            let account = self.account.as_deref();
            let contact = self.own_contact(local, state.next_hop(), account, user, secure);
            builder = builder.raw(HeaderName::Contact, contact.as_bytes());
        }
        if silent && request.headers().contains(HeaderName::ReferSub) {
            // RFC 4488 §4: "it MUST insert the "Refer-Sub" header field set to
            // "false" in the 2xx response to the REFER-Issuer."
            builder = builder.raw(HeaderName::ReferSub, b"false");
        }
        self.respond(now, tx, server, &request, builder);
        self.server_answered(server);
        if let Some((state, _)) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            state.accepted(&request);
        }
        // RFC 3515 §3.4: "The duration
        // SHOULD be chosen to be longer than the time the referenced request
        // will be given to complete."
        let lasts = self.config.ringing_limit.saturating_add(tx.config().t1.saturating_mul(128));
        let (reporter, first) = if silent {
            (None, None)
        } else {
            let (reporter, first) = Reporter::new(Duration::ZERO, lasts, allowed);
            (Some(reporter), Some(first))
        };
        let Some(refer) = self.refers.get_mut(key) else { return Err(AgentError::Gone) };
        refer.dialog = dialog;
        refer.timer = Some(tx.arm(now, lasts, TimerKind::Refer.token(key)));
        refer.end =
            End::Reporter(Box::new(Reporting { reporter, began: now, request, later, idle: true }));
        if let Some(first) = first {
            self.send_report(now, tx, key, first);
        }
        Ok(())
    }

    /// The reference has come so far.
    fn reference_came_to(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        status: StatusCode,
    ) {
        let Some(End::Reporter(reporting)) = self.refers.get_mut(key).map(|refer| &mut refer.end)
        else {
            return;
        };
        reporting.idle = reporting.idle && !status.is_final();
        if reporting.reporter.is_none() && status.is_final() {
            return self.drop_refer(tx, key);
        }
        self.reporter(now, tx, key, ReporterInput::Status(status));
    }

    /// A call that we placed because of a REFER has come so far.
    pub(super) fn call_came_to(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        status: StatusCode,
    ) {
        let Some(Call { caller: Some(caller), .. }) = self.calls.get_mut(call) else { return };
        let Some(refer) = caller.reports else { return };
        if status.is_final() {
            caller.reports = None;
        }
        if let Some(End::Reporter(reporting)) = self.refers.get_mut(refer).map(|r| &mut r.end) {
            reporting.idle = false;
        }
        self.reference_came_to(now, tx, refer, status);
    }

    /// A call that we placed because of a REFER has ended.
    pub(super) fn call_came_to_end(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        reason: &EndReason,
    ) {
        self.call_came_to(now, tx, call, reason.as_status());
    }

    fn reporter(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        input: ReporterInput,
    ) {
        let Some(refer) = self.refers.get_mut(key) else { return };
        let End::Reporter(reporting) = &mut refer.end else { return };
        let since = now.saturating_duration_since(reporting.began);
        let Some(reporter) = &mut reporting.reporter else { return };
        let report = reporter.handle(since, input);
        if reporter.is_over() {
            return self.drop_refer(tx, key);
        }
        if let Some(report) = report {
            self.send_report(now, tx, key, report);
        }
    }

    fn send_report(&mut self, now: Instant, tx: &mut Transactions, key: ReferKey, report: Report) {
        if self.notify_referrer(now, tx, key, report).is_err() {
            self.reporter(now, tx, key, ReporterInput::Lost);
        }
    }

    fn notify_referrer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        report: Report,
    ) -> Result<(), AgentError> {
        let refer = self.refers.get(key).ok_or(AgentError::Gone)?;
        let End::Reporter(reporting) = &refer.end else { return Err(AgentError::Gone) };
        let (id, listener, flow) = (refer.id, refer.listener, refer.flow);
        // RFC 3515 §2.4.6: "Thus, for the second and subsequent REFER requests a UA receives in a
        // given dialog, it MUST include an id parameter[2] in the Event header
        // field of each NOTIFY containing the sequence number (the number from
        // the CSeq header field value) of the REFER this NOTIFY is associated
        // with."
        let event = if reporting.later { format!("refer;id={id}") } else { "refer".to_owned() };
        let state = match report.state {
            ReportState::Pending(left) => format!("pending;expires={}", left.as_secs()),
            ReportState::Active(left) => format!("active;expires={}", left.as_secs()),
            ReportState::Done => "terminated;reason=noresource".to_owned(),
            ReportState::Expired => "terminated;reason=timeout".to_owned(),
        };
        let dialog_key = refer.dialog.ok_or(AgentError::Gone)?;
        let (dialog, _) = self.dialogs.get(dialog_key).ok_or(AgentError::Gone)?;
        let local = listener.and_then(|listener| listener_of(tx, listener));
        let (user, secure) = (user_of(dialog.local_party()), dialog.is_secure());
        let account = self.account.as_deref();
        let contact = self.own_contact(local, dialog.next_hop(), account, user, secure);
        let (dialog, _) = self.dialogs.get_mut(dialog_key).ok_or(AgentError::Gone)?;
        // RFC 3515 §2.4.4: "The dialog
        // identifiers (To, From, and Call-ID) of each NOTIFY must match those
        // of the REFER as they would if the REFER had been a SUBSCRIBE request."
        let full = |_| AgentError::Full { what: "requests in the dialog" };
        let builder = dialog.request(Method::Notify).map_err(full)?;
        let hop = self.ways_back.hop(flow, dialog.next_hop());
        let builder = builder
            .raw(HeaderName::Contact, contact.as_bytes())
            .raw(HeaderName::Event, event.as_bytes())
            .raw(HeaderName::SubscriptionState, state.as_bytes());
        let body = Body::new(SipFrag::CONTENT_TYPE, SipFrag::status_line(report.status));
        let request = self.finish_request(builder, &Method::Notify, Some(&body), &[])?;
        let (place, owner) = (Place::InDialog(dialog_key), Owner::Reporter(key));
        let account = self.account.clone();
        self.ask(now, tx, place, owner, request, hop, account)?;
        Ok(())
    }

    /// A final response to a NOTIFY of ours, or none.
    pub(super) fn report_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        result: &Result<Response, RequestFailure>,
    ) {
        let input = match result {
            Ok(response) if response.status().is_success() => ReporterInput::Heard,
            Ok(response) if Effect::of(response.status()) == Effect::Transaction => {
                ReporterInput::Heard
            }
            Ok(_) | Err(_) => ReporterInput::Lost,
        };
        self.reporter(now, tx, key, input);
    }

    /// A SUBSCRIBE within the subscription of a REFER that we accepted.
    pub(super) fn refer_subscribed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ReferKey,
        server: ServerKey,
        request: &Request,
    ) {
        let most = self.config.ringing_limit.saturating_add(tx.config().t1.saturating_mul(128));
        let asked = match request.get::<Expires>() {
            Ok(Some(expires)) => Duration::from_secs(expires.0.into()).min(most),
            Ok(None) => most,
            Err(_) => return self.answer(now, tx, server, request, StatusCode::BAD_REQUEST),
        };
        let builder = self
            .response(request, StatusCode::OK, "")
            .raw(HeaderName::Expires, asked.as_secs().to_string().as_bytes());
        self.respond(now, tx, server, request, builder);
        if let Some(refer) = self.refers.get_mut(key)
            && let Some(before) =
                refer.timer.replace(tx.arm(now, asked, TimerKind::Refer.token(key)))
        {
            tx.disarm(before);
        }
        self.reporter(now, tx, key, ReporterInput::Subscribe(asked));
    }

    /// Nobody has decided in time, or the subscription has run out.
    pub(super) fn referral_timer(&mut self, now: Instant, tx: &mut Transactions, key: ReferKey) {
        match self.refers.get(key).map(|refer| &refer.end) {
            // RFC 3515 §2.4.2: "If no final response has been generated according to the rules above,
            // the UA MUST return a 202 Accepted response before the REFER
            // transaction expires."
            Some(End::Asked(waiting)) => {
                let (server, request) = (waiting.server, Arc::clone(&waiting.request));
                if self.admit_reference(now, tx, key, false).is_err() {
                    let status = StatusCode::SERVER_INTERNAL_ERROR;
                    self.answer(now, tx, server, &request, status);
                    self.server_answered(server);
                    self.drop_refer(tx, key);
                }
            }
            Some(End::Reporter(reporting)) if reporting.reporter.is_none() => {
                self.drop_refer(tx, key);
            }
            Some(End::Reporter(_)) => self.reporter(now, tx, key, ReporterInput::Timer),
            Some(End::Referrer(_)) | None => {}
        }
    }

    /// The transaction of a REFER that nobody has decided about is gone.
    pub(super) fn referral_lost(&mut self, tx: &mut Transactions, key: ReferKey) {
        if matches!(self.refers.get(key), Some(Refer { end: End::Asked(_), .. })) {
            self.drop_refer(tx, key);
        }
    }
}

/// The call that a REFER asks for.
fn reference_of(request: &Request) -> Result<OutgoingCall, AgentError> {
    let target = request.get::<ReferTo<'_>>().ok().flatten().ok_or(AgentError::Address)?;
    let uri = target.uri();
    let invites = uri.method_param().is_none_or(|method| method.eq_ignore_ascii_case("INVITE"));
    if !uri.is_sip() || !invites {
        return Err(AgentError::Address);
    }
    let bare = uri.without_headers().and_then(|uri| uri.without_param("method"));
    let mut call = OutgoingCall::to(bare.map_err(|_| AgentError::Address)?);
    call.headers = Uri::honoured_headers(&uri);
    // RFC 3892 §2.2: "MUST copy any Referred-By header field
    // value and token into the referenced request without modification."
    // Of the value, that is: a token would have to share the body with the session description.
    if let Some(by) = request.headers().raw(HeaderName::ReferredBy) {
        let by = String::from_utf8_lossy(by).split_whitespace().collect::<Vec<_>>().join(" ");
        call.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Referred-By"));
        call.headers.push(("Referred-By".to_owned(), by));
    }
    Ok(call)
}

/// Whether a REFER asks for no subscription: RFC 4488 §4, RFC 7614 §5.
fn wants_no_reports(request: &Request) -> bool {
    let nosub = request.headers().raw_all(HeaderName::Require).any(|tags| {
        tags.split(|byte| *byte == b',').any(|tag| tag.trim_ascii().eq_ignore_ascii_case(b"nosub"))
    });
    let unwanted = request.get::<ReferSub<'_>>().ok().flatten();
    nosub || unwanted.is_some_and(|sub| !sub.subscribes())
}
