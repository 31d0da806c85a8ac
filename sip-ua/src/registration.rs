//! Keeping one binding at a registrar (RFC 3261 §10.2): a machine without clock or socket.
//!
//! ```text
//!                 start                          2xx
//!       Idle ───────────────► Asking ───────────────────────► Registered
//!                             ▲    ▲ │                          │    │
//!                     timer   │    │ │ refused, timed out       │    │ stop
//!                    (refresh)│    │ ▼                    timer │    ▼
//!                             │   Waiting  (back-off)           │  Leaving ───────► Over
//!                             └──────────────────────────────── ┘            any
//! ```
//!
//! A stop while a REGISTER is out waits for its answer and then leaves: two are never out at once. From every
//! state either a REGISTER is out (and its transaction ends), or a timer is armed, or the user was told that it
//! is over.

mod outcome;
mod terms;

use std::ops::RangeInclusive;
use std::time::Duration;

use sip_auth::{AuthError, Authenticator};
use sip_message::{
    BuildError, Contact, Expires, HeaderName, Method, MinExpires, Request, Response, RetryAfter,
    StatusCode, Uri,
};
use sip_transport::TransportError;
use smallvec::SmallVec;

pub use self::outcome::{RegistrationEvent, RegistrationFailure};
pub(crate) use self::terms::{FlowTerms, keep_of};

use crate::Credentials;
use crate::account::Outbound;
use crate::agent::confirm;

/// The base of the waits after failures, which double (RFC 5626 §4.5): when no other flow is alive, and when
/// one is.
pub(crate) const BASE_WAIT: Duration = Duration::from_secs(30);
pub(crate) const BASE_WAIT_BESIDE_OTHERS: Duration = Duration::from_secs(90);

/// The longest wait between two attempts (RFC 5626 §4.5), and the most that Retry-After can ask for.
const MAX_WAIT: Duration = Duration::from_secs(1800);

/// How often one attempt follows a 423 that asks for a longer life of the binding.
const MAX_INTERVAL_CHANGES: u8 = 3;

/// How often one attempt follows an address that was learned from its 2xx: behind a box that changes its mind
/// with every request this must end.
const MAX_MOVES: u8 = 1;

/// How many addresses before the one of now are remembered for removal; older ones run out.
const MAX_FORMER: usize = 4;

/// How often one attempt follows a 3xx.
const MAX_REDIRECTS: u8 = 5;

/// What one registration says in its REGISTER requests.
#[derive(Debug, Clone)]
pub(crate) struct RegistrationConfig {
    /// Where the REGISTER goes: the domain, without a user.
    pub(crate) registrar: Uri<'static>,
    /// The address-of-record with its display name, as From and To say it: `"Alice" <sip:alice@example.com>`.
    pub(crate) aor: String,
    /// Where this user agent is reached.
    pub(crate) contact: Uri<'static>,
    /// The life of the binding that is asked for, in seconds.
    pub(crate) expires: u32,
    /// The instance, where it is no part of `outbound`.
    pub(crate) instance: Option<Box<str>>,
    /// RFC 5626: the instance, and which of its flows this is.
    pub(crate) outbound: Option<Outbound>,
    /// The Call-ID and From tag of all requests of this registration.
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    /// Header fields to add: Route, User-Agent, Allow, Supported and such.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) credentials: Vec<Credentials>,
    /// The registrar must prove that it knows the secret.
    pub(crate) require_proof: bool,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// The user wants the binding.
    Start,
    /// The user wants no binding any more.
    Stop,
    /// The user wants it refreshed now: the network has changed, say.
    Refresh,
    /// A final response to the REGISTER (provisional ones are ignored).
    Response(&'a Response),
    /// The transaction ended without a final response.
    Timeout,
    /// The REGISTER could not be sent.
    TransportError(TransportError),
    /// The flow over which we are registered has failed. `proven`: it had worked.
    FlowFailed { proven: bool },
    /// The timer that [`Action::Arm`] asked for fired.
    Timer,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send this REGISTER in a client transaction (Via is still missing).
    Send(Request),
    /// Arm the one timer, in place of what it was armed with.
    Arm(Duration),
    /// Disarm the timer.
    Disarm,
    /// Tell the user.
    Event(RegistrationEvent),
}

/// One binding at one registrar.
#[derive(Debug)]
pub(crate) struct Registration {
    config: RegistrationConfig,
    state: State,
    authenticator: Authenticator,
    cseq: u32,
    /// The life that is asked for: what the user wants, or more if the registrar insisted.
    asked: u32,
    /// Where a 3xx has sent us.
    redirected: Option<Uri<'static>>,
    /// How many attempts failed since the last success.
    failures: u32,
    /// How many there were before the last success, till its flow has proven to work.
    failures_before: u32,
    base_wait: Duration,
    /// Whether outbound behaviour is asked for: not after a 439.
    asks_outbound: bool,
    /// Whether the registrar may hold a binding of ours.
    bound: bool,
    interval_changes: u8,
    redirects: u8,
    /// Where others see us, to be bound with the next REGISTER in place of what is bound.
    learned: Option<Learned>,
    has_learned: bool,
    moves: u8,
    /// The addresses that the registrar may hold of us beside that of now.
    former: Vec<Uri<'static>>,
}

/// An address to be bound in place of the one that is.
#[derive(Debug)]
struct Learned {
    contact: Uri<'static>,
    /// Whether others see it, and we do not listen there.
    is_far_end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not begun.
    Idle,
    /// A REGISTER is out. `stop`: leave when it is answered; `again`: send another one then.
    Asking { stop: bool, again: bool },
    /// Bound; the refresh timer is armed.
    Registered,
    /// An attempt failed; the back-off timer is armed.
    Waiting,
    /// The REGISTER that removes the binding is out.
    Leaving,
    /// Nothing more comes.
    Over,
}

type Actions = SmallVec<[Action; 3]>;

/// Draws a number from a range, by chance.
pub(crate) type Draw<'a> = &'a mut dyn FnMut(RangeInclusive<u32>) -> u32;

impl Registration {
    pub(crate) fn new(config: RegistrationConfig) -> Registration {
        Registration {
            asked: config.expires.max(1),
            asks_outbound: config.outbound.is_some(),
            config,
            state: State::Idle,
            authenticator: Authenticator::default(),
            cseq: 0,
            redirected: None,
            failures: 0,
            failures_before: 0,
            base_wait: BASE_WAIT,
            bound: false,
            interval_changes: 0,
            redirects: 0,
            learned: None,
            has_learned: false,
            moves: 0,
            former: Vec::new(),
        }
    }

    /// The address that is bound.
    pub(crate) fn contact_uri(&self) -> &Uri<'static> {
        &self.config.contact
    }

    /// Whether what is bound was learned, and not what we were told to bind.
    pub(crate) fn is_far_end_bound(&self) -> bool {
        self.has_learned
    }

    /// Others see us at this address: it is bound with the next REGISTER, which a 2xx that comes now causes.
    pub(crate) fn learn(&mut self, contact: Uri<'static>) {
        let is_news = !contact.is_equivalent(&self.config.contact);
        self.learned = is_news.then_some(Learned { contact, is_far_end: true });
    }

    /// We listen elsewhere: that is bound with the next REGISTER.
    pub(crate) fn relocate(&mut self, contact: Uri<'static>) {
        self.has_learned = false;
        let is_news = !contact.is_equivalent(&self.config.contact);
        self.learned = is_news.then_some(Learned { contact, is_far_end: false });
    }

    /// Whether nothing more will come: the registration can be dropped.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the registrar holds the binding, as far as we know.
    pub(crate) fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    /// Whether a REGISTER is out.
    pub(crate) fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking { .. } | State::Leaving)
    }

    /// The address-of-record.
    pub(crate) fn aor(&self) -> &str {
        &self.config.aor
    }

    /// Whether this is one of the flows of an instance.
    pub(crate) fn asks_outbound(&self) -> bool {
        self.asks_outbound
    }

    /// Sets the base of the waits after failures.
    pub(crate) fn set_base_wait(&mut self, base_wait: Duration) {
        self.base_wait = base_wait;
    }

    /// The flow over which we are registered works.
    pub(crate) fn flow_proven(&mut self) {
        self.failures_before = 0;
    }

    /// Where the next REGISTER goes, unless a Route says otherwise.
    pub(crate) fn registrar(&self) -> &Uri<'static> {
        self.redirected.as_ref().unwrap_or(&self.config.registrar)
    }

    /// Takes an input and says what is to be done.
    pub(crate) fn handle(&mut self, input: Input<'_>, draw: Draw<'_>) -> Actions {
        let mut out = Actions::new();
        match (self.state, input) {
            (State::Idle, Input::Start) => self.attempt(draw, &mut out),
            (State::Idle, Input::Stop) => self.over(true, &mut out),
            (
                State::Idle,
                Input::Refresh
                | Input::Response(_)
                | Input::Timeout
                | Input::TransportError(_)
                | Input::FlowFailed { .. }
                | Input::Timer,
            ) => {}

            // RFC 3261 §10.2: "UAs MUST NOT send a new registration (that is, containing new Contact
            // header field values, as opposed to a retransmission) until they have
            // received a final response from the registrar for the previous one or
            // the previous REGISTER request has timed out."
            (State::Asking { again, .. }, Input::Stop) => {
                self.state = State::Asking { stop: true, again };
            }
            (State::Asking { stop, .. }, Input::Refresh) => {
                self.state = State::Asking { stop, again: true };
            }
            (State::Asking { stop: true, .. }, Input::Start) => {
                self.state = State::Asking { stop: false, again: false };
            }
            (State::Asking { stop: false, .. }, Input::Start) => {}
            (State::Asking { .. }, Input::Response(response)) => {
                if response.status().is_final() {
                    self.answered(response, draw, &mut out);
                }
            }
            // The networks have changed since it was sent.
            (
                State::Asking { stop: false, again: true },
                Input::Timeout | Input::TransportError(_),
            ) => {
                self.bound = true;
                self.attempt(draw, &mut out);
            }
            (State::Asking { .. }, Input::Timeout) => {
                // It may have been the answer that was lost.
                self.bound = true;
                if self.stops() {
                    // It would not answer the removal either.
                    self.over(false, &mut out);
                } else {
                    let reason = RegistrationFailure::TimedOut;
                    self.failed(reason, Retry::BackOff(None), draw, &mut out);
                }
            }
            (State::Asking { .. }, Input::TransportError(error)) => {
                let reason = RegistrationFailure::TransportError(error);
                self.failed(reason, Retry::BackOff(None), draw, &mut out);
            }
            (State::Asking { .. }, Input::Timer) => {} // Disarmed; it was on its way.
            // The answer, or its absence, will tell.
            (State::Asking { .. }, Input::FlowFailed { .. }) => {}

            // RFC 3261 §10.2.4: "The UA then issues a REGISTER request for each
            // of its bindings before the expiration interval has elapsed."
            (State::Registered | State::Waiting, Input::Timer) => self.attempt(draw, &mut out),
            // RFC 5626 §4.5: "When a flow used for registration (through a particular URI in the
            // outbound-proxy-set) fails, the UA needs to form a new flow to replace
            // the old flow and replace any registrations that were previously sent
            // over this flow."
            (State::Registered, Input::FlowFailed { proven }) => {
                out.push(Action::Disarm);
                let reason = RegistrationFailure::FlowFailed;
                if proven {
                    let retry_in = Some(Duration::ZERO);
                    out.push(Action::Event(RegistrationEvent::Failed { reason, retry_in }));
                    self.attempt(draw, &mut out);
                } else {
                    // It never worked: as if the attempt had failed.
                    self.failures = self.failures_before;
                    self.failed(reason, Retry::BackOff(None), draw, &mut out);
                }
            }
            (State::Waiting, Input::FlowFailed { .. }) => {}
            (State::Registered | State::Waiting, Input::Refresh) => {
                out.push(Action::Disarm);
                self.attempt(draw, &mut out);
            }
            (State::Registered | State::Waiting, Input::Stop) => {
                out.push(Action::Disarm);
                self.leave(draw, &mut out);
            }
            (
                State::Registered | State::Waiting,
                Input::Start | Input::Response(_) | Input::Timeout | Input::TransportError(_),
            ) => {}

            (State::Leaving, Input::Response(response)) => {
                if response.status().is_final() {
                    self.left(response, draw, &mut out);
                }
            }
            (State::Leaving, Input::Timeout | Input::TransportError(_)) => {
                self.over(false, &mut out)
            }
            (
                State::Leaving,
                Input::Start
                | Input::Stop
                | Input::Refresh
                | Input::FlowFailed { .. }
                | Input::Timer,
            ) => {}

            (
                State::Over,
                Input::Start
                | Input::Stop
                | Input::Refresh
                | Input::Response(_)
                | Input::Timeout
                | Input::TransportError(_)
                | Input::FlowFailed { .. }
                | Input::Timer,
            ) => {}
        }
        out
    }

    /// Begins a new attempt.
    fn attempt(&mut self, draw: Draw<'_>, out: &mut Actions) {
        self.interval_changes = 0;
        self.redirects = 0;
        self.moves = 0;
        self.state = State::Asking { stop: false, again: false };
        self.send(self.asked, draw, out);
    }

    /// Removes the binding, if there may be one.
    fn leave(&mut self, draw: Draw<'_>, out: &mut Actions) {
        if !self.bound {
            return self.over(true, out);
        }
        self.state = State::Leaving;
        // RFC 3261 §10.2.2: "A UA requests the immediate removal of a binding by
        // specifying an expiration interval of "0" for that contact address in
        // a REGISTER request."
        self.send(0, draw, out);
    }

    fn over(&mut self, confirmed: bool, out: &mut Actions) {
        self.state = State::Over;
        out.push(Action::Event(RegistrationEvent::Unregistered { confirmed }));
    }

    /// The answer to a REGISTER that asks for a binding.
    fn answered(&mut self, response: &Response, draw: Draw<'_>, out: &mut Actions) {
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                match self.authenticator.challenged(response, &self.config.credentials) {
                    Ok(()) if self.stops() => self.leave(draw, out),
                    Ok(()) => self.send(self.asked, draw, out),
                    Err(error) => {
                        // Without credentials no later attempt can end better. With wrong ones it can, once
                        // the registrar learns of them; but it is not to be asked often.
                        let retry = match error {
                            AuthError::NoCredentials { .. } | AuthError::Unsupported => {
                                Retry::Never
                            }
                            _ => Retry::Seldom,
                        };
                        // The next attempt begins without what was refused.
                        self.authenticator = Authenticator::default();
                        let reason = RegistrationFailure::Authentication(error);
                        self.failed(reason, retry, draw, out);
                    }
                }
            }
            // RFC 5626 §4.2.1: "If the registering UA receives a 439 (First Hop Lacks Outbound
            // Support) response to a REGISTER request, it MAY re-attempt
            // registration without using the outbound mechanism (subject to local
            // policy at the client)."
            StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT if self.asks_outbound => {
                self.asks_outbound = false;
                if self.stops() {
                    self.leave(draw, out);
                } else {
                    self.send(self.asked, draw, out);
                }
            }
            StatusCode::INTERVAL_TOO_BRIEF => {
                // RFC 3261 §10.2.8: "If a UA receives a 423 (Interval Too Brief) response, it MAY retry
                // the registration after making the expiration interval of all contact
                // addresses in the REGISTER request equal to or greater than the
                // expiration interval within the Min-Expires header field of the 423
                // (Interval Too Brief) response."
                let least = response.get::<MinExpires>().ok().flatten().map(|least| least.0);
                match least {
                    Some(least)
                        if least > self.asked && self.interval_changes < MAX_INTERVAL_CHANGES =>
                    {
                        self.interval_changes += 1;
                        self.asked = least;
                        if self.stops() {
                            self.leave(draw, out);
                        } else {
                            self.send(self.asked, draw, out);
                        }
                    }
                    _ => self.refused(response, draw, out),
                }
            }
            status if status.is_success() => {
                if let Err(error) = self.judge_proof(response) {
                    // Whoever it was may hold a binding now: it is removed at the end.
                    self.bound = true;
                    self.authenticator = Authenticator::default();
                    let reason = RegistrationFailure::Authentication(error);
                    return self.failed(reason, Retry::Seldom, draw, out);
                }
                match self.granted(response) {
                    0 => {
                        self.bound = false;
                        let reason = RegistrationFailure::NoBinding;
                        self.failed(reason, Retry::BackOff(retry_after(response)), draw, out);
                    }
                    seconds => self.registered(seconds, draw, out),
                }
            }
            status if status.is_redirection() => {
                let to = response
                    .get::<Contact>()
                    .ok()
                    .flatten()
                    .and_then(|to| Some(to.uri()?.to_static()));
                match to {
                    Some(to) if to.is_sip() && self.redirects < MAX_REDIRECTS => {
                        self.redirects += 1;
                        self.redirected = Some(without_user(to));
                        if self.stops() {
                            self.leave(draw, out);
                        } else {
                            self.send(self.asked, draw, out);
                        }
                    }
                    _ => self.refused(response, draw, out),
                }
            }
            _ => self.refused(response, draw, out),
        }
    }

    /// What a 2xx says of the registrar. A wrong proof matters to those only who demand one.
    fn judge_proof(&mut self, response: &Response) -> Result<(), AuthError> {
        let credentials = &self.config.credentials;
        if !self.config.require_proof {
            confirm(&mut self.authenticator, credentials, response);
            return Ok(());
        }
        self.authenticator.confirmed(response, credentials)?.required()
    }

    /// The registrar holds the binding for so many seconds.
    fn registered(&mut self, seconds: u32, draw: Draw<'_>, out: &mut Actions) {
        self.bound = true;
        self.failures_before = self.failures;
        self.failures = 0;
        let State::Asking { stop, again } = self.state else { return };
        self.former.clear();
        if stop {
            return self.leave(draw, out);
        }
        if self.learned.is_some() && self.moves < MAX_MOVES {
            self.moves += 1;
            // Whoever wanted another REGISTER gets it by this one.
            self.state = State::Asking { stop: false, again: false };
            return self.send(self.asked, draw, out);
        }
        out.push(Action::Event(RegistrationEvent::Registered {
            expires: Duration::from_secs(seconds.into()),
        }));
        if again {
            return self.attempt(draw, out);
        }
        self.state = State::Registered;
        out.push(Action::Arm(refresh_in(seconds, draw)));
    }

    /// A final response that is no success and asks for nothing that we can do.
    fn refused(&mut self, response: &Response, draw: Draw<'_>, out: &mut Actions) {
        let retry = match response.status() {
            // The registrar has understood and does not want us: ask again, but seldom.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Retry::Seldom,
            _ => Retry::BackOff(retry_after(response)),
        };
        self.failed(RegistrationFailure::Status(response.status()), retry, draw, out);
    }

    /// An attempt failed: wait, or end.
    fn failed(
        &mut self,
        reason: RegistrationFailure,
        retry: Retry,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        if self.stops() {
            return self.leave(draw, out);
        }
        self.redirected = None;
        // RFC 3261 §10.2.7: "If the transaction layer returns a timeout error because the REGISTER
        // yielded no response, the UAC SHOULD NOT immediately re-attempt a
        // registration to the same registrar."
        let wait = match retry {
            Retry::Never => None,
            Retry::Seldom => Some(between_half_and_all(MAX_WAIT, draw)),
            Retry::BackOff(at_least) => {
                // RFC 5626 §4.5: "W = min (max-time, (base-time * (2 ^ consecutive-failures)))"
                // where the first failure waits for 30 to 60 seconds: it counts as one.
                self.failures = self.failures.saturating_add(1);
                let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
                let most = self.base_wait.saturating_mul(doubled.max(1)).min(MAX_WAIT);
                let wait = between_half_and_all(most, draw);
                // RFC 5626 §4.5: "(a
                // 503 response to an earlier failed registration attempt with a Retry-
                // After header field value may cause the UA to wait longer)"
                Some(wait.max(at_least.unwrap_or_default().min(MAX_WAIT)))
            }
        };
        out.push(Action::Event(RegistrationEvent::Failed { reason, retry_in: wait }));
        match wait {
            Some(wait) => {
                self.state = State::Waiting;
                out.push(Action::Arm(wait));
            }
            None => self.state = State::Over,
        }
    }

    /// The answer to the REGISTER that removes the binding.
    fn left(&mut self, response: &Response, draw: Draw<'_>, out: &mut Actions) {
        let status = response.status();
        let challenge =
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        if challenge && self.authenticator.challenged(response, &self.config.credentials).is_ok() {
            return self.send(0, draw, out);
        }
        self.over(status.is_success(), out);
    }

    /// Whether the user has asked to stop while the REGISTER was out.
    fn stops(&self) -> bool {
        matches!(self.state, State::Asking { stop: true, .. })
    }

    /// The life of our binding according to a 2xx, in seconds; 0 if the registrar keeps none.
    fn granted(&self, response: &Response) -> u32 {
        // RFC 3261 §10.2.4: "The UA compares each
        // contact address to see if it created the contact address, using
        // comparison rules in Section 19.1.4.  If so, it updates the expiration
        // time interval according to the expires parameter or, if absent, the
        // Expires field value."
        let general = response.get::<Expires>().ok().flatten().map(|expires| expires.0);
        let mut only = None;
        let mut count = 0_usize;
        for contact in response.get_all::<Contact>().flatten() {
            let Some(uri) = contact.uri() else { continue };
            let expires = contact.expires().or(general);
            // The flows of one instance have one address.
            let is_other_flow = self.asks_outbound
                && self.config.outbound.as_ref().is_some_and(|ours| {
                    contact.reg_id().is_some_and(|reg_id| reg_id != ours.reg_id)
                });
            if is_other_flow {
                continue;
            }
            if uri.is_equivalent(&self.config.contact) {
                return expires.unwrap_or(self.asked);
            }
            count += 1;
            only = expires;
        }
        match count {
            // A registrar that lists nothing, or one binding that something on the way has rewritten.
            0 => general.unwrap_or(self.asked),
            1 => only.unwrap_or(self.asked),
            // Ours is there in a form that we do not know.
            _ => general.unwrap_or(self.asked),
        }
    }

    /// Makes and sends a REGISTER that asks for a life of so many seconds.
    fn send(&mut self, expires: u32, draw: Draw<'_>, out: &mut Actions) {
        // RFC 3261 §10.2: "A UA MUST increment the CSeq value by one for each
        // REGISTER request with the same Call-ID."
        // RFC 3261 §22.2: "When a UAC resubmits a request with its credentials after receiving a
        // 401 (Unauthorized) or 407 (Proxy Authentication Required) response,
        // it MUST increment the CSeq header field value as it would normally
        // when sending an updated request."
        self.cseq = if self.cseq >= (1 << 31) - 1 { 1 } else { self.cseq + 1 };
        if let Some(Learned { contact, is_far_end }) = self.learned.take() {
            self.has_learned = is_far_end;
            let before = std::mem::replace(&mut self.config.contact, contact);
            // RFC 5626 §6: with outbound the same instance and flow are the same binding, whose removal this
            // would be.
            let is_other = !self.asks_outbound;
            if is_other && self.bound && self.former.len() < MAX_FORMER {
                self.former.push(before);
            }
        }
        match self.build(expires) {
            Ok(mut request) => {
                self.authenticator.authorize(&mut request, &self.config.credentials, || {
                    (0..4).fold(0, |bits, _| (bits << 16) | u64::from(draw(0..=0xffff)))
                });
                out.push(Action::Send(request));
            }
            Err(error) => {
                self.state = State::Over;
                out.push(Action::Event(RegistrationEvent::Failed {
                    reason: RegistrationFailure::Build(error.to_string()),
                    retry_in: None,
                }));
            }
        }
    }

    /// The value of Contact: as long as it is the same, it names the same binding.
    fn contact(&self, contact: &Uri<'static>, expires: u32) -> String {
        let mut text = format!("<{contact}>;expires={expires}");
        // RFC 5626 §4.2.2: "Registrations for refreshing a binding and for removing a binding use
        // the same instance-id and reg-id values as the corresponding initial
        // registration where the binding was added."
        if let Some(Outbound { instance, reg_id }) = &self.config.outbound {
            text.push_str(&format!(";+sip.instance=\"<{instance}>\""));
            if self.asks_outbound {
                text.push_str(&format!(";reg-id={reg_id}"));
            }
        } else if let Some(instance) = &self.config.instance {
            // RFC 5627 §4.1: "for each contact for which the UA desires to obtain a
            // GRUU, the UA MUST include a "sip.instance" media feature tag"
            text.push_str(&format!(";+sip.instance=\"<{instance}>\""));
        }
        text
    }

    fn build(&self, expires: u32) -> Result<Request, BuildError> {
        let RegistrationConfig { aor, contact, call_id, from_tag, headers, .. } = &self.config;
        // RFC 3261 §10.2: "The following header fields, except Contact, MUST be included in a
        // REGISTER request."
        // These are Request-URI, To, From, Call-ID and CSeq. Route comes of the configuration alone:
        // RFC 3261 §10.2: "In particular, the UAC MUST NOT create a new route set
        // based on the presence or absence of a Record-Route header field in
        // any response to a REGISTER request."
        // RFC 3261 §10.2: "The "userinfo" and "@" components of the SIP URI MUST NOT be present."
        let registrar = without_user(self.registrar().clone());
        let mut builder = Request::builder(Method::Register, &registrar)
            .raw(HeaderName::MaxForwards, b"70")
            .raw(HeaderName::From, format!("{aor};tag={from_tag}").as_bytes())
            .raw(HeaderName::To, aor.as_bytes())
            // RFC 3261 §10.2.4: "A UA SHOULD use the same Call-ID for all registrations during a
            // single boot cycle."
            // RFC 5627 §4.1: "Consequently, if a UA wishes its previously obtained
            // temporary GRUUs to remain valid, it MUST utilize the same Call-ID in
            // REGISTER refreshes."
            .raw(HeaderName::CallId, call_id.as_bytes())
            .raw(HeaderName::CSeq, format!("{} REGISTER", self.cseq).as_bytes())
            .raw(HeaderName::Contact, self.contact(contact, expires).as_bytes());
        // RFC 3261 §10.2.2: "A UA requests the immediate removal of a binding by
        // specifying an expiration interval of "0" for that contact address in
        // a REGISTER request."
        for former in &self.former {
            builder = builder.raw(HeaderName::Contact, self.contact(former, 0).as_bytes());
        }
        builder = builder.raw(HeaderName::Expires, expires.to_string().as_bytes());
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::Other(name));
            builder = builder.raw(name, value.as_bytes());
        }
        builder.build()
    }
}

/// Whether and when another attempt follows a failure.
enum Retry {
    /// Never: it could only end the same way.
    Never,
    /// At the longest interval.
    Seldom,
    /// After a wait that doubles with each failure, and not before what Retry-After says.
    BackOff(Option<Duration>),
}

/// When to refresh a binding that lasts for so many seconds.
///
/// Long ones at 75 to 90 % of their life; short ones at 50 to 75 %, for in the rest of it a request may have to
/// be repeated (64*T1 is 32 s).
fn refresh_in(seconds: u32, draw: Draw<'_>) -> Duration {
    let percent =
        if seconds >= 120 { draw(75..=90).clamp(75, 90) } else { draw(50..=75).clamp(50, 75) };
    Duration::from_millis(u64::from(seconds) * 10 * u64::from(percent))
}

/// RFC 5626 §4.5: "a
/// uniform random time between 50 and 100% of the upper-bound wait time"
fn between_half_and_all(most: Duration, draw: Draw<'_>) -> Duration {
    let most = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(draw(most / 2..=most).clamp(most / 2, most).into())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.get::<RetryAfter>().ok().flatten()?;
    Some(Duration::from_secs(header.seconds().into()))
}

/// The URI without user and password.
fn without_user(uri: Uri<'static>) -> Uri<'static> {
    if uri.user().is_none() {
        return uri;
    }
    uri.with_user("").unwrap_or(uri)
}

#[cfg(test)]
mod tests;
