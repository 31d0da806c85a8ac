//! One subscription, as its subscriber sees it (RFC 6665 §4.1): a machine without clock or socket.
//!
//! ```text
//!              start
//!     Idle ────────────► NotifyWait ──────────────────────────────┐
//!                         │      │   Timer N, refusal,            │
//!            NOTIFY,      │      │   NOTIFY terminated            │
//!            active       │      │ NOTIFY, pending                │
//!               ┌─────────┘      ▼                                ▼
//!               │              Pending ─────────────────────► Terminated ──► Over
//!               │                │ NOTIFY,   Timer N, refusal,   │    ▲
//!               │                ▼ active    NOTIFY terminated,  │    │ nothing is to follow
//!               └──────────► Active ───────► or run out ─────────┘    │
//!                                                                     │
//!     NotifyWait ◄──────────── Waiting ◄── what follows (§4.1.3) ─────┘
//!               the wait is over
//! ```
//!
//! `Terminated` is passed through: either the machine waits for its next try, or it is over. In each state but
//! the first and the last a deadline stands or a SUBSCRIBE is out, whose transaction ends; they go out one at a
//! time.

mod reason;

use core::ops::RangeInclusive;
use core::time::Duration;

use sip_message::{
    Event, Expires, HeaderName, MinExpires, Request, Response, RetryAfter, StatusCode,
    SubscriptionState,
};
use smallvec::SmallVec;

pub use self::reason::{Resubscribe, TerminationReason};

use crate::{Effect, Rejection};

/// How often one SUBSCRIBE follows a 423 that asks for a longer life.
const MAX_INTERVAL_CHANGES: u8 = 3;

/// The first wait before a subscription is tried again where no one says how long; it doubles with each failure.
const BASE_WAIT: Duration = Duration::from_secs(30);

/// The longest such wait, and the most that Retry-After can ask for.
const MAX_WAIT: Duration = Duration::from_secs(1800);

/// The least time between the end of a refresh that failed and the next one.
const LEAST_RETRY: Duration = Duration::from_secs(5);

/// No notifier grants more: what a number of seconds is cut to.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// What a subscription is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberConfig {
    /// How many seconds to ask for; 0 fetches the state once (RFC 6665 §4.4.3).
    pub expires: u32,
    /// Whether to subscribe anew when the notifier ends the subscription and RFC 6665 §4.1.3 allows for it.
    pub resubscribe: bool,
    /// T1 of the transaction layer, of which Timer N is 64.
    pub t1: Duration,
}

impl SubscriberConfig {
    /// Asks for so many seconds, subscribes anew where that is allowed, T1 is 500 ms.
    pub fn new(expires: u32) -> SubscriberConfig {
        SubscriberConfig { expires, resubscribe: true, t1: Duration::from_millis(500) }
    }

    /// Sets [`SubscriberConfig::resubscribe`].
    #[must_use]
    pub fn resubscribe(self, resubscribe: bool) -> SubscriberConfig {
        SubscriberConfig { resubscribe, ..self }
    }

    /// Sets [`SubscriberConfig::t1`].
    #[must_use]
    pub fn t1(self, t1: Duration) -> SubscriberConfig {
        SubscriberConfig { t1, ..self }
    }
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubscriberInput<'a> {
    /// The user wants the subscription. For an implicit one nothing is sent: see [`Subscriber::implicit`].
    Start,
    /// The user wants to be told the state now.
    Refresh,
    /// The user wants no more of it.
    Stop,
    /// A final response to the SUBSCRIBE. One that asks for credentials comes here only if there are none.
    Response(&'a Response),
    /// The transaction of the SUBSCRIBE ended without a final response, or it could not be sent.
    NoResponse,
    /// A NOTIFY of this subscription that [`notification`] found fit.
    Notify(&'a SubscriptionState<'a>),
    /// The deadline has passed.
    Timer,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriberAction {
    /// Send a SUBSCRIBE that asks for so many seconds.
    Subscribe {
        /// What Expires says.
        expires: u32,
        /// It begins a new subscription: outside of any dialog, with a new Call-ID and a new From tag. What is
        /// left of the dialog of the old one goes. Otherwise it is sent within the dialog, or, if there is none
        /// yet, it is the request that was sent before with this Expires and the next CSeq number.
        anew: bool,
    },
    /// Tell the user.
    Event(SubscriptionEvent),
}

/// What the user of a subscription is told besides the states that the NOTIFYs bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionEvent {
    /// The notifier has the subscription and does not know yet whether it grants it.
    Pending,
    /// The notifier has granted the subscription.
    Active,
    /// The subscription is over, or was refused.
    Ended {
        /// Why.
        reason: SubscriptionEnd,
        /// When it is tried again; `None` if it is not.
        retry_in: Option<Duration>,
    },
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionEnd {
    /// The user ended it, or fetched the state once.
    Unsubscribed,
    /// The notifier ended it: `terminated` in a NOTIFY.
    Terminated(TerminationReason),
    /// This response refused it.
    Refused(StatusCode),
    /// No NOTIFY came within 64*T1 of the SUBSCRIBE (Timer N).
    NoNotify,
    /// It ran out: no refresh succeeded in time.
    Expired,
}

/// One subscription: see the module.
///
/// It holds no message and no dialog: keep the dialog beside it. All times are those since one moment, always the
/// same, that its owner chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    config: SubscriberConfig,
    state: State,
    /// A SUBSCRIBE is out.
    asking: bool,
    /// Another one, that fetches the state, is to follow it.
    again: bool,
    /// The subscription is to be ended as soon as that can be said to the notifier.
    stop: bool,
    /// That was said, or nothing else was asked for: Expires was 0.
    leaving: bool,
    interval_changes: u8,
    /// How many tries failed, or ended shortly, since the last that lasted.
    failures: u8,
    /// What is asked for: what the user wants, or more if the notifier insisted.
    asked: u32,
    /// Timer N.
    timer_n: Option<Duration>,
    /// When to refresh, or to try again.
    next: Option<Duration>,
    /// When the subscription runs out.
    expires_at: Option<Duration>,
    /// When this try began.
    began: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not begun.
    Idle,
    /// No NOTIFY has come.
    NotifyWait,
    Pending,
    Active,
    /// There is no subscription, and there will be one.
    Waiting,
    /// Nothing more comes.
    Over,
}

type Actions = SmallVec<[SubscriberAction; 2]>;

/// Draws a number from a range, by chance.
type Draw<'a> = &'a mut dyn FnMut(RangeInclusive<u32>) -> u32;

impl Subscriber {
    /// A subscription that begins by [`SubscriberInput::Start`].
    pub fn new(config: SubscriberConfig) -> Subscriber {
        Subscriber {
            config,
            state: State::Idle,
            asking: false,
            again: false,
            stop: false,
            leaving: false,
            interval_changes: 0,
            failures: 0,
            asked: config.expires,
            timer_n: None,
            next: None,
            expires_at: None,
            began: Duration::ZERO,
        }
    }

    /// The subscription that a request of ours other than SUBSCRIBE makes when it is accepted: a REFER
    /// (RFC 3515 §2.4.4). It waits for its NOTIFY from `now`, is refreshed as any other, and is never begun anew.
    pub fn implicit(config: SubscriberConfig, now: Duration) -> Subscriber {
        let timer_n = now.saturating_add(config.t1.saturating_mul(64));
        Subscriber {
            state: State::NotifyWait,
            timer_n: Some(timer_n),
            began: now,
            ..Subscriber::new(config.resubscribe(false))
        }
    }

    /// The subscription with another notifier that a NOTIFY from there makes: a proxy forked our SUBSCRIBE
    /// (RFC 6665 §4.1.4). `None` if it is too late for that; 481 is then owed.
    ///
    /// It waits for its NOTIFY, which is the next input, and is not begun anew when it ends.
    pub fn fork(&self, now: Duration) -> Option<Subscriber> {
        // RFC 6665 §4.1.2.4: "Until Timer N expires, several NOTIFY requests may arrive from
        // different destinations (see Section 4.4.1).  Each of these requests
        // establishes a new dialog usage and a new subscription.  After the
        // expiration of Timer N, the subscriber SHOULD reject any such NOTIFY
        // requests that would otherwise establish a new dialog usage with a 481
        // (Subscription does not exist) response code."
        let until = self.began.saturating_add(self.config.t1.saturating_mul(64));
        let begun = !matches!(self.state, State::Idle | State::Waiting | State::Over);
        (begun && now < until).then(|| Subscriber {
            state: State::NotifyWait,
            timer_n: Some(until),
            asked: self.asked,
            began: self.began,
            stop: self.stop,
            leaving: self.leaving,
            ..Subscriber::new(self.config.resubscribe(false))
        })
    }

    /// Whether nothing more will come: it can be dropped.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether a SUBSCRIBE is out.
    pub fn is_asking(&self) -> bool {
        self.asking
    }

    /// Whether a NOTIFY has made the subscription, and it has not ended.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Pending | State::Active)
    }

    /// When [`SubscriberInput::Timer`] is due. It changes with each input.
    pub fn deadline(&self) -> Option<Duration> {
        [self.timer_n, self.next, self.expires_at].into_iter().flatten().min()
    }

    /// Takes an input and says what is to be done. `draw` gives a random number within the range it is handed.
    pub fn handle(
        &mut self,
        now: Duration,
        input: SubscriberInput<'_>,
        draw: Draw<'_>,
    ) -> SmallVec<[SubscriberAction; 2]> {
        use SubscriberInput as Input;
        let mut out = Actions::new();
        match (self.state, input) {
            (State::Idle, Input::Start) => self.begin(now, &mut out),
            (State::Idle, Input::Stop) => {
                self.end(now, SubscriptionEnd::Unsubscribed, Resubscribe::Never, draw, &mut out);
            }
            (
                State::Idle,
                Input::Refresh
                | Input::Response(_)
                | Input::NoResponse
                | Input::Notify(_)
                | Input::Timer,
            ) => {}

            // Without a NOTIFY there is no dialog to say it in: when one comes, or Timer N.
            (State::NotifyWait, Input::Stop) => self.stop = true,
            (State::NotifyWait, Input::Start | Input::Refresh) => {} // It is being asked for.
            (State::NotifyWait, Input::Response(response)) => {
                self.asking = false;
                self.first_answer(now, response, draw, &mut out);
            }
            (State::NotifyWait, Input::NoResponse) => {
                let end = SubscriptionEnd::Refused(StatusCode::REQUEST_TIMEOUT);
                self.end(now, end, Resubscribe::Later, draw, &mut out);
            }

            (State::Pending | State::Active, Input::Stop) => {
                self.stop = true;
                self.subscribe_if_due(now, &mut out);
            }
            (State::Pending | State::Active, Input::Refresh) => {
                self.again = true;
                self.subscribe_if_due(now, &mut out);
            }
            (State::Pending | State::Active, Input::Start) => {}
            (State::Pending | State::Active, Input::Response(response)) => {
                if self.asking {
                    self.asking = false;
                    self.refresh_answered(now, response, draw, &mut out);
                }
            }
            (State::Pending | State::Active, Input::NoResponse) => {
                self.asking = false;
                match self.timer_n {
                    // A time-out: Timer N says the same.
                    Some(timer_n) if timer_n <= now => {}
                    // It could not be sent.
                    Some(_) if self.leaving => {
                        let end = SubscriptionEnd::Unsubscribed;
                        self.end(now, end, Resubscribe::Never, draw, &mut out);
                    }
                    // The same, or all is well but for the answer.
                    Some(_) | None => {
                        self.timer_n = None;
                        self.refresh_later(now, None);
                        self.subscribe_if_due(now, &mut out);
                    }
                }
            }

            // RFC 6665 §4.1.2.4: "Due to the potential for out-of-order messages, packet loss, and
            // forking, the subscriber MUST be prepared to receive NOTIFY requests
            // before the SUBSCRIBE transaction has completed."
            (State::NotifyWait | State::Pending | State::Active, Input::Notify(state)) => {
                self.notified(now, state, draw, &mut out);
            }
            (State::NotifyWait | State::Pending | State::Active, Input::Timer) => {
                self.timer(now, draw, &mut out);
            }

            (State::Waiting, Input::Timer) => {
                if self.next.is_some_and(|next| next <= now) {
                    self.begin(now, &mut out);
                }
            }
            (State::Waiting, Input::Start | Input::Refresh) => self.begin(now, &mut out),
            (State::Waiting, Input::Stop) => {
                self.end(now, SubscriptionEnd::Unsubscribed, Resubscribe::Never, draw, &mut out);
            }
            // Of the subscription that was.
            (State::Waiting, Input::Response(_) | Input::NoResponse | Input::Notify(_)) => {}

            (
                State::Over,
                Input::Start
                | Input::Refresh
                | Input::Stop
                | Input::Response(_)
                | Input::NoResponse
                | Input::Notify(_)
                | Input::Timer,
            ) => {}
        }
        out
    }

    /// The SUBSCRIBE of a new subscription.
    fn begin(&mut self, now: Duration, out: &mut Actions) {
        self.state = State::NotifyWait;
        self.began = now;
        self.next = None;
        self.expires_at = None;
        self.again = false;
        self.interval_changes = 0;
        self.subscribe(now, self.asked, true, out);
    }

    fn subscribe(&mut self, now: Duration, expires: u32, anew: bool, out: &mut Actions) {
        // RFC 6665 §4.1.2.4: "a subscriber starts a Timer N, set to
        // 64*T1, when it sends a SUBSCRIBE request."
        self.timer_n = Some(now.saturating_add(self.config.t1.saturating_mul(64)));
        self.next = None;
        self.asking = true;
        self.leaving = expires == 0;
        out.push(SubscriberAction::Subscribe { expires, anew });
    }

    /// Sends the SUBSCRIBE that the user waits for, one at a time.
    fn subscribe_if_due(&mut self, now: Duration, out: &mut Actions) {
        if self.asking || self.leaving {
            return;
        }
        if self.stop {
            // RFC 6665 §4.1.2.3: "Unsubscribing is handled in the same way as refreshing of a
            // subscription, with the "Expires" header field set to "0"."
            self.subscribe(now, 0, false, out);
        } else if self.again {
            self.again = false;
            self.subscribe(now, self.asked, false, out);
        }
    }

    /// The answer to the SUBSCRIBE that begins the subscription, before any NOTIFY.
    fn first_answer(
        &mut self,
        now: Duration,
        response: &Response,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        let status = response.status();
        // RFC 6665 §8.3.1: "Implementations conformant with the current specification MUST treat an
        // incoming 202 response as identical to a 200 response"
        if status.is_success() {
            self.granted(now, response, draw);
            return;
        }
        if self.longer(response) {
            // Nothing was made: it is the same beginning.
            return self.subscribe(now, self.asked, false, out);
        }
        // RFC 6665 §4.1.2.1: "Non-200-class final responses indicate that no subscription or new
        // dialog usage has been created, and no subsequent NOTIFY request will
        // be sent."
        let next = match (Effect::of(status), retry_after(response)) {
            (_, Some(wait)) => Resubscribe::After(wait),
            (Effect::Transaction, None) => match status {
                StatusCode::UNAUTHORIZED
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_ACCEPTABLE
                | StatusCode::BAD_REQUEST
                | StatusCode::DECLINE => Resubscribe::Never,
                _ => Resubscribe::Later,
            },
            (Effect::Usage, None)
                if status == StatusCode::TEMPORARILY_UNAVAILABLE
                    || status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST =>
            {
                Resubscribe::Later
            }
            (Effect::Usage | Effect::Dialog, None) => Resubscribe::Never,
        };
        self.end(now, SubscriptionEnd::Refused(status), next, draw, out);
    }

    /// The answer to a SUBSCRIBE of a subscription that is.
    fn refresh_answered(
        &mut self,
        now: Duration,
        response: &Response,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        let status = response.status();
        if status.is_success() {
            if status == StatusCode::NO_NOTIFICATION {
                // RFC 6665 §4.1.2.2: "If the subscriber receives a success
                // response to the SUBSCRIBE request that indicates that no NOTIFY
                // request will be generated -- such as the 204 response defined for use
                // with the optional extension described in [RFC5839] -- then it MUST
                // cancel Timer N."
                self.timer_n = None;
                if self.leaving {
                    // RFC 5839 §5.7: "a 204 (No
                    // Notification) response, which concludes the subscription"
                    let end = SubscriptionEnd::Unsubscribed;
                    return self.end(now, end, Resubscribe::Never, draw, out);
                }
            }
            if !self.leaving {
                self.granted(now, response, draw);
            }
            return self.subscribe_if_due(now, out);
        }
        // No NOTIFY follows.
        self.timer_n = None;
        // RFC 6665 §4.1.2.2: "If a SUBSCRIBE request to refresh a subscription receives a 404, 405,
        // 410, 416, 480-485, 489, 501, or 604 response, the subscriber MUST
        // consider the subscription terminated."
        let ends = status != StatusCode::BAD_GATEWAY && Effect::of(status) != Effect::Transaction;
        if ends || self.leaving {
            let (end, next) = match self.stop {
                true => (SubscriptionEnd::Unsubscribed, Resubscribe::Never),
                // The notifier has lost it: begun anew it is there again.
                false if status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST => {
                    (SubscriptionEnd::Refused(status), Resubscribe::Now)
                }
                false => {
                    let wait = retry_after(response);
                    let next = wait.map_or(Resubscribe::Later, Resubscribe::After);
                    (SubscriptionEnd::Refused(status), next)
                }
            };
            return self.end(now, end, next, draw, out);
        }
        if self.longer(response) {
            return self.subscribe(now, self.asked, false, out);
        }
        // RFC 6665 §4.1.2.2: "If a SUBSCRIBE request to refresh a subscription fails with any error
        // code other than those listed above, the original subscription is
        // still considered valid for the duration of the most recently known
        // "Expires" value"
        self.refresh_later(now, retry_after(response));
        self.subscribe_if_due(now, out);
    }

    /// Whether a 423 asks for a longer life, and may have it.
    fn longer(&mut self, response: &Response) -> bool {
        if response.status() != StatusCode::INTERVAL_TOO_BRIEF
            || self.interval_changes >= MAX_INTERVAL_CHANGES
            || self.asked == 0
        {
            return false;
        }
        match response.get::<MinExpires>() {
            Ok(Some(least)) if least.0 > self.asked => {
                self.interval_changes += 1;
                self.asked = least.0;
                true
            }
            _ => false,
        }
    }

    /// A 2xx says how long the subscription lasts.
    fn granted(&mut self, now: Duration, response: &Response, draw: Draw<'_>) {
        // RFC 6665 §3.1.1: "The period of time in the response MAY be shorter but MUST NOT be longer
        // than specified in the request."
        let given =
            response.get::<Expires>().ok().flatten().map_or(self.asked, |expires| expires.0);
        self.lasts(now, given.min(self.asked), draw);
    }

    fn lasts(&mut self, now: Duration, seconds: u32, draw: Draw<'_>) {
        if self.leaving {
            return; // It ends by a NOTIFY, or by Timer N.
        }
        self.expires_at = Some(now.saturating_add(Duration::from_secs(seconds.into())));
        self.next = Some(now.saturating_add(refresh_in(seconds, draw)));
    }

    /// A refresh failed and the subscription still is: once more before it runs out.
    fn refresh_later(&mut self, now: Duration, at_least: Option<Duration>) {
        // When it has run out already, that is what comes next.
        let left = self.expires_at.get_or_insert(now).saturating_sub(now);
        let wait = (left / 2).max(LEAST_RETRY).max(at_least.unwrap_or_default());
        // What is due after the end is not due at all.
        self.next = Some(now.saturating_add(wait)).filter(|_| wait < left);
    }

    fn notified(
        &mut self,
        now: Duration,
        state: &SubscriptionState<'_>,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        if state.is("terminated") {
            // RFC 6665 §4.1.3: "If the "Subscription-State" value is "terminated", the subscriber
            // MUST consider the subscription terminated."
            let reason = TerminationReason::of(state.reason());
            let asked_to = self.stop || self.config.expires == 0;
            let (end, next) = match reason {
                TerminationReason::Timeout | TerminationReason::Other if asked_to => {
                    (SubscriptionEnd::Unsubscribed, Resubscribe::Never)
                }
                _ => (SubscriptionEnd::Terminated(reason), reason.what_next(state.retry_after())),
            };
            return self.end(now, end, next, draw, out);
        }
        if !self.leaving {
            self.timer_n = None; // Otherwise it is the last NOTIFY that is awaited.
        }
        // RFC 6665 §4.1.3: "If the header field also contains an "expires"
        // parameter, the subscriber SHOULD take it as the authoritative
        // subscription duration and adjust accordingly."
        match state.expires() {
            Some(seconds) => self.lasts(now, seconds, draw),
            None if self.expires_at.is_none() => self.lasts(now, self.asked, draw),
            None if self.next.is_none() && !self.asking => self.refresh_later(now, None),
            None => {}
        }
        // A state that later specifications have and this does not is no grant.
        let to = if state.is("active") { State::Active } else { State::Pending };
        let before = core::mem::replace(&mut self.state, to);
        if before != to {
            out.push(SubscriberAction::Event(match to {
                State::Active => SubscriptionEvent::Active,
                _ => SubscriptionEvent::Pending,
            }));
        }
        if before == State::NotifyWait && self.stop {
            self.subscribe_if_due(now, out);
        }
    }

    fn timer(&mut self, now: Duration, draw: Draw<'_>, out: &mut Actions) {
        let due = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.timer_n) {
            // RFC 6665 §4.1.2.2: "If this Timer N expires
            // prior to the receipt of a NOTIFY request, the subscriber considers
            // the subscription terminated."
            let (end, next) = match self.stop {
                true => (SubscriptionEnd::Unsubscribed, Resubscribe::Never),
                false => (SubscriptionEnd::NoNotify, Resubscribe::Later),
            };
            return self.end(now, end, next, draw, out);
        }
        if due(self.expires_at) && !self.asking {
            let (end, next) = match self.stop {
                true => (SubscriptionEnd::Unsubscribed, Resubscribe::Never),
                false => (SubscriptionEnd::Expired, Resubscribe::Now),
            };
            return self.end(now, end, next, draw, out);
        }
        if due(self.expires_at) {
            self.expires_at = None; // The answer, or Timer N, will tell.
        }
        if due(self.next) {
            self.next = None;
            if self.state != State::NotifyWait {
                self.again = true;
                self.subscribe_if_due(now, out);
            }
        }
    }

    /// The next wait of those that double.
    fn back_off(&mut self, draw: Draw<'_>) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures.into()).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let most = BASE_WAIT.saturating_mul(doubled).min(MAX_WAIT).as_millis();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Duration::from_millis(draw(most / 2..=most).clamp(most / 2, most).into())
    }

    /// The subscription is no more.
    fn end(
        &mut self,
        now: Duration,
        reason: SubscriptionEnd,
        next: Resubscribe,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        let lasted = now.saturating_sub(self.began);
        let wanted = self.config.resubscribe && !self.stop && self.config.expires > 0;
        if lasted >= MAX_WAIT {
            self.failures = 0;
        }
        let wait = match next {
            _ if !wanted => None,
            Resubscribe::Never => None,
            Resubscribe::Later => Some(self.back_off(draw)),
            Resubscribe::After(wait) => Some(wait.min(LONGEST)),
            // A notifier that sends us away each time is not asked without end.
            Resubscribe::Now if lasted < BASE_WAIT => Some(match self.failures {
                0 => {
                    self.failures = 1;
                    Duration::ZERO
                }
                _ => self.back_off(draw),
            }),
            Resubscribe::Now => Some(Duration::ZERO),
        };
        (self.timer_n, self.expires_at, self.next) = (None, None, None);
        (self.asking, self.again) = (false, false);
        out.push(SubscriberAction::Event(SubscriptionEvent::Ended { reason, retry_in: wait }));
        match wait {
            Some(Duration::ZERO) => self.begin(now, out),
            Some(wait) => {
                self.state = State::Waiting;
                self.next = Some(now.saturating_add(wait));
            }
            None => self.state = State::Over,
        }
    }
}

/// What a NOTIFY says of the subscription to `event` (the value of Event in our SUBSCRIBE).
///
/// # Errors
/// The answer owed: 489 for another event, or a malformed one; 400 without a readable Subscription-State. Neither
/// changes anything.
pub fn notification<'a>(
    notify: &'a Request,
    event: &Event<'_>,
) -> Result<SubscriptionState<'a>, Rejection> {
    // RFC 6665 §4.1.3: "If, for some reason, the event package designated in the "Event"
    // header field of the NOTIFY request is not supported, the subscriber
    // will respond with a 489 (Bad Event) response."
    match notify.get::<Event<'_>>() {
        Ok(Some(told)) if told.matches(event) => {}
        _ => return Err(Rejection::new(StatusCode::BAD_EVENT)),
    }
    // RFC 6665 §4.1.3: "NOTIFY requests MUST contain "Subscription-State" header fields that
    // indicate the status of the subscription."
    if !notify.headers().contains(HeaderName::SubscriptionState) {
        return Err(Rejection::new(StatusCode::BAD_REQUEST));
    }
    match notify.get::<SubscriptionState<'a>>() {
        Ok(Some(state)) => Ok(state),
        _ => Err(Rejection::new(StatusCode::BAD_REQUEST)),
    }
}

/// When to refresh what lasts so many seconds: between half and nine tenths of it, by chance, so that the
/// subscriptions that were made together are not refreshed together.
pub(crate) fn refresh_in(seconds: u32, draw: Draw<'_>) -> Duration {
    // In the rest of a short life a request may have to be repeated (64*T1 is 32 s).
    let percent =
        if seconds >= 120 { draw(75..=90).clamp(75, 90) } else { draw(50..=75).clamp(50, 75) };
    Duration::from_millis(u64::from(seconds) * 10 * u64::from(percent))
}

/// What Retry-After of a response says, within reason.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.get::<RetryAfter>().ok().flatten()?;
    Some(Duration::from_secs(header.seconds().into()).min(MAX_WAIT))
}

#[cfg(test)]
mod tests;
