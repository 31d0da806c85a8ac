//! Session timers wired up (RFC 4028): refreshing a session, and ending one that was not refreshed.
//!
//! The rules are in [`SessionTimer`](sip_dialog::SessionTimer). What is kept here for them is made by the first 2xx
//! that has an interval, so that a call without a timer costs nothing:
//!
//! | what               | for                                                                              |
//! | ------------------ | ---------------------------------------------------------------------------------- |
//! | the timer          | when, and by whom                                                                  |
//! | our last session   | a refresh by re-INVITE offers it again, unchanged; a re-INVITE that changes nothing  |
//! | description        | is answered by it, and the application is not asked                                 |
//! | a hash of the last | to know a re-INVITE that changes nothing                                            |
//! | one of the peer    |                                                                                    |

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_dialog::{
    SessionTimer, SessionTimerPolicy, TimerAction, TimerFields, TimerInput, TimerSnapshot,
    ends_dialog,
};
use sip_message::{
    HeaderName, Headers, Method, Request, RequestBuilder, Response, ResponseBuilder, RetryAfter,
    StatusCode,
};
use sip_transaction::{TimerKey, Transactions};

use super::Agent;
use super::call::{Call, Phase};
use super::incoming::LONGEST_WAIT;
use super::modify::Purpose;
use super::offer::describes_session;
use super::table::TimerKind;
use crate::{Body, CallKey, EndReason, RequestFailure};

/// How long a refresh waits for a re-INVITE that is under way.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// The session timer of a call, and what a refresh is made from.
pub(crate) struct Timing {
    timer: SessionTimer,
    /// What the times of the timer are counted from.
    since: Instant,
    armed: Option<TimerKey>,
    local: Option<Body>,
    remote: Option<u64>,
}

impl Timing {
    fn new(timer: SessionTimer, since: Instant) -> Box<Self> {
        Box::new(Self { timer, since, armed: None, local: None, remote: None })
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Option<TimerSnapshot> {
        self.timer.snapshot(now.saturating_duration_since(self.since))
    }

    /// That of a call that was taken up `passed` after the snapshot.
    pub(crate) fn restored(
        policy: SessionTimerPolicy,
        snapshot: &TimerSnapshot,
        passed: Duration,
        now: Instant,
        local: Option<Body>,
    ) -> Box<Self> {
        let timer = SessionTimer::restored(policy, snapshot).counted_from(passed);
        let mut timing = Self::new(timer, now);
        timing.local = local;
        timing
    }

    /// Our last session description.
    pub(crate) fn local(&self) -> Option<&Body> {
        self.local.as_ref()
    }

    fn note_local(&mut self, body: Option<&Body>) {
        if body.is_some() {
            self.local = body.cloned();
        }
    }

    fn note_remote(&mut self, headers: &Headers, body: &[u8]) {
        if describes_session(headers, body) {
            self.remote = Some(hash(body));
        }
    }
}

impl Call {
    /// Whether the timer waits for the outcome of a refresh.
    pub(crate) fn is_refreshing(&self) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.timer.is_refreshing())
    }
}

/// We sent this session description.
pub(crate) fn note_local(call: &mut Call, body: Option<&Body>) {
    if let Some(timing) = &mut call.timing {
        timing.note_local(body);
    }
}

/// The peer's ACK may hold its answer.
pub(crate) fn note_answer(call: &mut Call, ack: &Request) {
    if let Some(timing) = &mut call.timing {
        timing.note_remote(ack.headers(), ack.body());
    }
}

/// A request of ours was accepted: what both said of the session.
pub(crate) fn note_exchange(
    timing: &mut Option<Box<Timing>>,
    request: &Request,
    response: &Response,
) {
    let Some(timing) = timing else { return };
    if describes_session(request.headers(), request.body()) {
        let is_the_same = |local: &Body| local.bytes == request.body();
        // The request would pin more than its body, and is a copy as a rule.
        if !timing.local.as_ref().is_some_and(is_the_same) {
            timing.local = description(request);
        }
    }
    timing.note_remote(response.headers(), response.body());
}

/// The session description of a request of ours.
fn description(request: &Request) -> Option<Body> {
    let headers = request.headers();
    describes_session(headers, request.body()).then(|| {
        let bytes = Bytes::copy_from_slice(request.body());
        let kind = headers.raw(HeaderName::ContentType).unwrap_or_default();
        match kind {
            b"application/sdp" => Body::sdp(bytes),
            kind => Body::new(String::from_utf8_lossy(kind).into_owned(), bytes),
        }
    })
}

/// Byte by byte: there are peers that change a session and not its version.
fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

impl Agent {
    /// What the INVITE of a new call says.
    pub(crate) fn ask_for_session_timer(&self, mut builder: RequestBuilder) -> RequestBuilder {
        if let Some(policy) = self.config.session_timer {
            for (name, value) in policy.ask().lines() {
                builder = builder.raw(name, value);
            }
        }
        builder
    }

    /// What a re-INVITE or UPDATE of ours says, whatever it is sent for.
    pub(crate) fn ask_to_refresh(&self, builder: RequestBuilder, call: &Call) -> RequestBuilder {
        match &call.timing {
            Some(timing) => timing
                .timer
                .ask()
                .lines()
                .fold(builder, |builder, (name, value)| builder.raw(name, value)),
            None => self.ask_for_session_timer(builder),
        }
    }

    /// Says it anew in a re-INVITE that is sent again: roles and interval may have changed.
    pub(crate) fn ask_to_refresh_again(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(timing) = &call.timing
            && let Some(request) =
                call.exchange.as_mut().and_then(|exchange| exchange.our_request())
        {
            write(&timing.timer.ask(), request);
        }
    }

    /// The Min-SE of the 422 that a request for too short a session is owed.
    pub(crate) fn interval_too_small(&self, request: &Request) -> Option<u32> {
        let policy = self.config.session_timer?;
        // In other requests it means nothing.
        let carries = matches!(request.method(), Method::Invite | Method::Update);
        carries.then(|| policy.too_small(&TimerFields::of(request.headers())))?
    }

    /// What our 2xx to an INVITE or UPDATE says.
    pub(crate) fn answer_session_timer(
        &self,
        mut builder: ResponseBuilder,
        call: &Call,
        request: &Request,
    ) -> ResponseBuilder {
        if let Some(answer) = self.session_timer_answer(call, &TimerFields::of(request.headers())) {
            for (name, value) in answer.lines() {
                builder = builder.raw(name, value);
            }
        }
        builder
    }

    fn session_timer_answer(&self, call: &Call, asked: &TimerFields) -> Option<TimerFields> {
        let policy = self.config.session_timer?;
        Some(match &call.timing {
            Some(timing) => timing.timer.answer(asked),
            None => SessionTimer::new(policy).answer(asked),
        })
    }

    /// The 2xx to our INVITE is there.
    pub(crate) fn session_begun(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        response: &Response,
    ) {
        let Some(policy) = self.config.session_timer else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(caller) = &call.caller else { return };
        let asked = TimerFields::of(caller.invite.headers());
        let answer = TimerFields::of(response.headers());
        let mut timing = Timing::new(SessionTimer::new(policy), now);
        timing.timer.handle(Duration::ZERO, TimerInput::Accepted { asked, answer });
        if timing.timer.deadline().is_some() {
            timing.local = description(&caller.invite);
            timing.note_remote(response.headers(), response.body());
            call.timing = Some(timing);
            self.arm_session_timer(now, tx, key);
        }
    }

    /// We sent a 2xx to an INVITE or UPDATE of the peer, with this body.
    pub(crate) fn session_accepted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        request: &Request,
        body: Option<&Body>,
    ) {
        let Some(policy) = self.config.session_timer else { return };
        let asked = TimerFields::of(request.headers());
        let Some(call) = self.calls.get(key) else { return };
        let Some(answer) = self.session_timer_answer(call, &asked) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.timing.is_none() && answer.session_expires.is_some() {
            call.timing = Some(Timing::new(SessionTimer::new(policy), now));
        }
        if let Some(timing) = &mut call.timing {
            timing.note_local(body);
            timing.note_remote(request.headers(), request.body());
        }
        self.session_refreshed(now, tx, key, TimerInput::Answered { asked, answer });
    }

    /// A 2xx passed, in either direction.
    pub(crate) fn session_refreshed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        input: TimerInput,
    ) {
        if let Some(policy) = self.config.session_timer
            && let TimerInput::Accepted { answer, .. } = &input
            && answer.session_expires.is_some()
            && let Some(call) = self.calls.get_mut(key)
        {
            call.timing.get_or_insert_with(|| Timing::new(SessionTimer::new(policy), now));
        }
        self.feed_session_timer(now, tx, key, input);
    }

    /// Our refresh came to nothing.
    pub(crate) fn refresh_refused(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        failure: &RequestFailure,
    ) {
        // Who was told has ended the call for it.
        if ends_dialog(failure.as_status()) {
            return;
        }
        let (min_se, retry_after) = match failure {
            RequestFailure::Refused(response) => (
                TimerFields::of(response.headers()).min_se,
                response.headers().get::<RetryAfter<'_>>().ok().flatten(),
            ),
            _ => (None, None),
        };
        let retry_after = retry_after.map(|after| Duration::from_secs(after.seconds().into()));
        let input = TimerInput::Refused { status: failure.as_status(), min_se, retry_after };
        self.feed_session_timer(now, tx, key, input);
    }

    /// A 422 to our INVITE or re-INVITE: the next one asks for what it wants. False if that changes nothing.
    pub(crate) fn raise_interval(&mut self, key: CallKey, response: &Response) -> bool {
        if response.status() != StatusCode::SESSION_INTERVAL_TOO_SMALL {
            return false;
        }
        let min_se = TimerFields::of(response.headers()).min_se;
        let Some(call) = self.calls.get_mut(key) else { return false };
        if matches!(call.phase, Phase::Established) {
            // RFC 4028 §7.4: "The UAC MUST insert the Min-SE header field into a session refresh
            // request for a particular dialog if it has ever received a 422
            // response to a previous session refresh request on the same dialog"
            let Some(timing) = &mut call.timing else { return false };
            return timing.timer.raise(min_se);
        }
        let Some(caller) = &mut call.caller else { return false };
        let asked = TimerFields::of(caller.invite.headers());
        let Some(raised) = min_se.and_then(|least| asked.raised(least)) else { return false };
        write(&raised, &mut caller.invite);
        true
    }

    /// A re-INVITE that offers what the peer offered or answered last is answered by what we did. True if it was.
    // RFC 4028 §7.4: "The same is true for an answer exchanged as a
    // result of a session refresh request; if it has not changed, that MUST
    // be indicated."
    pub(crate) fn answer_unchanged(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        request: &Arc<Request>,
    ) -> bool {
        let Some(timing) = self.calls.get(key).and_then(|call| call.timing.as_ref()) else {
            return false;
        };
        let unchanged = timing.remote == Some(hash(request.body()))
            && describes_session(request.headers(), request.body());
        match timing.local.clone() {
            Some(body) if unchanged => {
                self.answer_modification(now, tx, key, StatusCode::OK, Some(&body)).is_ok()
            }
            _ => false,
        }
    }

    /// The time has come for what the timer waits for.
    pub(crate) fn session_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        if let Some(timing) = self.calls.get_mut(key).and_then(|call| call.timing.as_mut()) {
            timing.armed = None;
        }
        self.feed_session_timer(now, tx, key, TimerInput::Timer);
    }

    /// The call is over.
    pub(crate) fn end_session_timer(&mut self, tx: &mut Transactions, key: CallKey) {
        let Some(timing) = self.calls.get_mut(key).and_then(|call| call.timing.take()) else {
            return;
        };
        if let Some(armed) = timing.armed {
            tx.disarm(armed);
        }
    }

    fn feed_session_timer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: CallKey,
        input: TimerInput,
    ) {
        let Some(timing) = self.calls.get_mut(key).and_then(|call| call.timing.as_mut()) else {
            return;
        };
        let action = timing.timer.handle(now.saturating_duration_since(timing.since), input);
        self.arm_session_timer(now, tx, key);
        match action {
            Some(TimerAction::Refresh) => self.refresh_session(now, tx, key),
            Some(TimerAction::Bye) => self.bye_and_end(now, tx, key, EndReason::Expired),
            None => {}
        }
    }

    pub(crate) fn arm_session_timer(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(timing) = self.calls.get_mut(key).and_then(|call| call.timing.as_mut()) else {
            return;
        };
        if let Some(armed) = timing.armed.take() {
            tx.disarm(armed);
        }
        if let Some(deadline) = timing.timer.deadline() {
            let wait = deadline.saturating_sub(now.saturating_duration_since(timing.since));
            let wait = wait.min(LONGEST_WAIT);
            timing.armed = Some(tx.arm(now, wait, TimerKind::Session.token(key)));
        }
    }

    /// Sends a refresh.
    // RFC 4028 §7.4: "In that case, the offer MUST
    // indicate that it has not changed."
    fn refresh_session(&mut self, now: Instant, tx: &mut Transactions, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(timing) = &call.timing else { return };
        // RFC 4028 §7.4: "If
        // a UAC knows that its peer supports the UPDATE method, it is
        // RECOMMENDED that UPDATE be used instead of a re-INVITE."
        // RFC 4028 §7.4: "It is RECOMMENDED that the UPDATE request not contain an
        // offer [4], but a re-INVITE SHOULD contain one, even if the details of
        // the session have not changed."
        let sent = match call.dialog.filter(|_| call.peer_updates) {
            Some(dialog) => {
                let (method, purpose) = (Method::Update, Purpose::Refresh);
                self.begin_modification(now, tx, key, dialog, method, None, purpose)
            }
            None => {
                let offer = timing.local.clone();
                self.start_modification(now, tx, key, offer.as_ref(), Purpose::Refresh)
            }
        };
        if sent.is_err() {
            // Another re-INVITE is under way, or there is no room: soon again.
            let status = StatusCode::REQUEST_PENDING;
            let retry_after = Some(BUSY_PAUSE);
            let input = TimerInput::Refused { status, min_se: None, retry_after };
            self.feed_session_timer(now, tx, key, input);
        }
    }
}

/// Writes into a request that was built what it says of session timers.
fn write(fields: &TimerFields, request: &mut Request) {
    for (name, value) in fields.lines() {
        // A number and a word: it cannot be refused.
        let _ = request.headers_mut().set_raw(name, value.as_bytes());
    }
}
