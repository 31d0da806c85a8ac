//! One subscription, as its notifier sees it (RFC 6665 §4.2): a machine without clock or socket.
//!
//! ```text
//!      SUBSCRIBE, accepted: 200, NOTIFY
//!         │                   │
//!         ▼      granted      ▼
//!      Pending ───────────► Active
//!         │                   │
//!         └────────┬──────────┘
//!                  │ run out, unsubscribed, ended by us: NOTIFY terminated
//!                  ▼
//!               Ending ── its answer, or none ──► Over
//!                                                  ▲
//!      from each: the answer to a NOTIFY ends it ──┘
//! ```
//!
//! The `resp_wait` of the RFC's figure is the owner's: it decides before there is a machine. NOTIFY requests go out
//! one at a time, so that none overtakes another; what changes meanwhile is told by the next, which carries the
//! state as it is then. In each state a deadline or the end of a transaction is to come.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write};
use core::time::Duration;

use sip_message::{Event, Expires, MinExpires, Request, Response, StatusCode, SuppressIfMatch};
use smallvec::{SmallVec, smallvec};

use crate::rate::{Rate, Rates};
use crate::subscriber::retry_after;
use crate::{Effect, TerminationReason};

/// How long after a NOTIFY that could not be sent the next one is tried.
const RETRY: Duration = Duration::from_secs(30);

/// RFC 6446 §7.4: "RECOMMENDED that the notifier choose a "period"
/// parameter several times larger than reciprocal value of the
/// "adaptive-min-rate" parameter"
const PERIODS: f64 = 10.0;

/// What a notifier grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotifierConfig {
    /// The life of a subscription whose SUBSCRIBE says nothing, in seconds; event packages define it.
    pub default_expires: u32,
    /// The longest life that is granted, in seconds. Default a day.
    pub max_expires: u32,
    /// The shortest life that is granted, in seconds, at most an hour; below, the answer is 423. Default 60.
    pub min_expires: u32,
    /// At most so many notifications a second go out for changes, whatever the subscriber wants.
    pub max_rate: Option<Rate>,
}

impl NotifierConfig {
    /// Grants so many seconds where nothing is said, a minute at least, a day at most.
    pub fn new(default_expires: u32) -> NotifierConfig {
        NotifierConfig { default_expires, max_expires: 86_400, min_expires: 60, max_rate: None }
    }

    /// Sets [`NotifierConfig::max_expires`].
    #[must_use]
    pub fn max_expires(self, seconds: u32) -> NotifierConfig {
        NotifierConfig { max_expires: seconds, ..self }
    }

    /// Sets [`NotifierConfig::min_expires`].
    #[must_use]
    pub fn min_expires(self, seconds: u32) -> NotifierConfig {
        NotifierConfig { min_expires: seconds, ..self }
    }

    /// Sets [`NotifierConfig::max_rate`].
    #[must_use]
    pub fn max_rate(self, rate: Rate) -> NotifierConfig {
        NotifierConfig { max_rate: Some(rate), ..self }
    }

    /// How many seconds a SUBSCRIBE is granted.
    ///
    /// # Errors
    /// [`TooBrief`] if it asks for too few.
    pub fn grant(&self, subscribe: &Request) -> Result<u32, TooBrief> {
        // RFC 6665 §3.1.1: "If no "Expires" header field is present in a SUBSCRIBE request, the implied
        // default MUST be defined by the event package being used."
        let asked = match subscribe.get::<Expires>() {
            Ok(Some(expires)) => expires.0,
            Ok(None) | Err(_) => self.default_expires,
        };
        // RFC 6665 §4.2.1.1: "If and only if the expiration interval is
        // greater than zero AND smaller than one hour AND less than a notifier-
        // configured minimum, the notifier MAY return a 423 (Interval Too
        // Brief) error that contains a "Min-Expires" header field."
        if asked > 0 && asked < 3600 && asked < self.min_expires {
            return Err(TooBrief { min_expires: self.min_expires });
        }
        // RFC 6665 §4.2.1.1: "the server MAY
        // shorten the interval but MUST NOT lengthen it."
        Ok(asked.min(self.max_expires))
    }
}

/// 423 is owed, with Min-Expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the interval is too brief: {min_expires} seconds are the least")]
pub struct TooBrief {
    /// What Min-Expires says, in seconds.
    pub min_expires: u32,
}

impl TooBrief {
    /// The header field of the 423.
    pub fn header(self) -> MinExpires {
        MinExpires(self.min_expires)
    }
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotifierInput<'a> {
    /// A SUBSCRIBE of this subscription arrived: a refresh, or its end.
    Subscribe(&'a Request),
    /// The subscription is granted: from pending to active.
    Grant,
    /// The state has changed; this is its entity-tag from now on, if it has one (RFC 5839).
    Changed {
        /// The entity-tag.
        entity_tag: Option<&'a str>,
    },
    /// We end the subscription.
    Terminate {
        /// Why.
        reason: TerminationReason,
        /// When the subscriber may come back, in seconds.
        retry_after: Option<u32>,
    },
    /// A final response to the NOTIFY. One that asks for credentials comes here only if there are none.
    Response(&'a Response),
    /// The transaction of the NOTIFY ended without a final response.
    TimedOut,
    /// The NOTIFY could not be sent.
    Unsent,
    /// The deadline has passed.
    Timer,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierAction {
    /// Answer the SUBSCRIBE with this 2xx and Expires.
    Answer {
        /// 200, or 204 if no NOTIFY follows.
        status: StatusCode,
        /// What Expires says.
        expires: u32,
    },
    /// Refuse the SUBSCRIBE, which changes nothing.
    Refuse(RefusedSubscribe),
    /// Send a NOTIFY.
    Notify(Notification),
    /// The subscription is over. Nothing more comes.
    Over(NotifierEnd),
}

/// Why a SUBSCRIBE within a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedSubscribe {
    /// 423.
    TooBrief(TooBrief),
    /// 481: the subscription has ended, and its last NOTIFY is on its way.
    Ended,
}

/// What a NOTIFY says of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    state: Told,
    rates: Rates,
    body: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Pending { expires: u32 },
    Active { expires: u32 },
    Terminated { reason: TerminationReason, retry_after: Option<u32> },
}

impl Notification {
    /// Whether it carries the state of the resource; if not, the subscriber has it already (RFC 5839).
    pub fn has_body(&self) -> bool {
        self.body
    }

    /// Whether it is the last one.
    pub fn is_last(&self) -> bool {
        matches!(self.state, Told::Terminated { .. })
    }

    /// Whether the subscription is not granted yet, so that the state told must not be the true one
    /// (RFC 6665 §6.2).
    pub fn is_pending(&self) -> bool {
        matches!(self.state, Told::Pending { .. })
    }
}

/// The value of Subscription-State.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 6665 §4.2.2: "NOTIFY requests MUST contain a "Subscription-State" header field with
        // a value of "active", "pending", or "terminated"."
        // RFC 6665 §4.2.2: "If the value of the "Subscription-State" header field is "active" or
        // "pending", the notifier MUST also include in the "Subscription-State"
        // header field an "expires" parameter that indicates the time remaining
        // on the subscription."
        match self.state {
            Told::Pending { expires } => write!(f, "pending;expires={expires}")?,
            Told::Active { expires } => write!(f, "active;expires={expires}")?,
            // RFC 6665 §4.2.2: "If the value of the "Subscription-State" header field is
            // "terminated", the notifier SHOULD also include a "reason" parameter."
            Told::Terminated { reason, retry_after } => {
                f.write_str("terminated")?;
                if reason != TerminationReason::Other {
                    write!(f, ";reason={}", reason.as_str())?;
                }
                return match retry_after {
                    Some(seconds) => write!(f, ";retry-after={seconds}"),
                    None => Ok(()),
                };
            }
        }
        // RFC 6446 §4.2: "The notifier MUST reflect back the possibly adjusted
        // rate control values in a "max-rate", "min-rate", or "adaptive-min-
        // rate" Subscription-State header field parameter of the subsequent
        // NOTIFY requests."
        self.rates.write(f)
    }
}

/// Why a subscription of a peer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierEnd {
    /// The subscriber ended it, or fetched the state once.
    Unsubscribed,
    /// It was not refreshed in time.
    Expired,
    /// We ended it.
    Terminated,
    /// The subscriber answered a NOTIFY with this: it does not want or know it any more.
    Refused(StatusCode),
    /// The subscriber did not answer a NOTIFY, or the last one could not be sent.
    Lost,
}

/// One subscription of a peer: see the module.
///
/// It holds no message, no body and no dialog: keep them beside it. All times are those since one moment, always
/// the same, that its owner chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Notifier {
    config: NotifierConfig,
    state: State,
    /// A NOTIFY is out.
    telling: bool,
    /// Another one is to follow it: as soon as the rates allow for it, or whatever they say.
    wanted: Wanted,
    expires_at: Duration,
    /// When the rates allow for the next notification of a change.
    held_until: Option<Duration>,
    /// When the rates ask for one, changed or not.
    forced_at: Option<Duration>,
    last_sent: Duration,
    /// Most subscribers ask for no rates.
    paced: Option<Box<Paced>>,
    /// The entity-tag of the state.
    entity_tag: Option<Box<str>>,
    /// The entity-tag of the state that the subscriber has, or `*`.
    suppress: Option<Box<str>>,
}

/// The rates that a subscriber asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Paced {
    rates: Rates,
    /// How many notifications went out in the last period (RFC 6446 §7.4).
    count: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Active,
    /// The last NOTIFY is out, or waits for the one before it.
    Ending {
        reason: TerminationReason,
        retry_after: Option<u32>,
        end: NotifierEnd,
        told: bool,
    },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Nothing,
    Change,
    AtOnce,
}

type Actions = SmallVec<[NotifierAction; 2]>;

impl Notifier {
    /// Accepts a SUBSCRIBE outside of any subscription: granted (`active`), or until someone has decided
    /// (pending). `entity_tag` is that of the state, if it has one. The actions are the 200 and the first NOTIFY.
    ///
    /// # Errors
    /// [`TooBrief`] if the SUBSCRIBE asks for too few seconds.
    pub fn accept(
        config: NotifierConfig,
        subscribe: &Request,
        active: bool,
        entity_tag: Option<&str>,
        now: Duration,
    ) -> Result<(Notifier, SmallVec<[NotifierAction; 2]>), TooBrief> {
        let expires = config.grant(subscribe)?;
        let mut notifier = Notifier::begin(config, expires, active, now);
        notifier.entity_tag = entity_tag.map(Into::into);
        notifier.read(subscribe);
        let mut out: Actions =
            smallvec![NotifierAction::Answer { status: StatusCode::OK, expires }];
        if expires == 0 {
            notifier.end_by(
                now,
                TerminationReason::Timeout,
                None,
                NotifierEnd::Unsubscribed,
                &mut out,
            );
        } else {
            // RFC 6665 §4.2.1.2: "Upon successfully accepting or refreshing a subscription, notifiers
            // MUST send a NOTIFY request immediately to communicate the current
            // resource state to the subscriber."
            notifier.send(now, &mut out);
        }
        Ok((notifier, out))
    }

    /// The subscription that we make by accepting a request other than SUBSCRIBE: a REFER (RFC 3515 §2.4.4), for
    /// so many seconds. The actions are the first NOTIFY.
    pub fn implicit(
        config: NotifierConfig,
        expires: u32,
        now: Duration,
    ) -> (Notifier, SmallVec<[NotifierAction; 2]>) {
        let mut notifier = Notifier::begin(config, expires.max(1), true, now);
        let mut out = Actions::new();
        notifier.send(now, &mut out);
        (notifier, out)
    }

    fn begin(config: NotifierConfig, expires: u32, active: bool, now: Duration) -> Notifier {
        Notifier {
            config,
            state: if active { State::Active } else { State::Pending },
            telling: false,
            wanted: Wanted::Nothing,
            expires_at: now.saturating_add(Duration::from_secs(expires.into())),
            held_until: None,
            forced_at: None,
            last_sent: now,
            paced: None,
            entity_tag: None,
            suppress: None,
        }
    }

    /// What a SUBSCRIBE asks for besides its interval.
    fn read(&mut self, subscribe: &Request) {
        // RFC 6446 §5.1: "A subscriber that wishes to remove the maximum rate control from
        // notifications MUST indicate so by not including a "max-rate" Event
        // header field parameter in a subsequent SUBSCRIBE request"
        if let Ok(Some(event)) = subscribe.get::<Event<'_>>() {
            self.pace_by(Rates::of(&event));
        }
        let condition = subscribe.get::<SuppressIfMatch<'_>>().ok().flatten();
        self.suppress = condition.map(|condition| condition.as_str().into());
    }

    /// Whether nothing more will come: it can be dropped.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the subscription is granted and has not ended.
    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// The entity-tag of the state: the SIP-ETag of each NOTIFY.
    pub fn entity_tag(&self) -> Option<&str> {
        self.entity_tag.as_deref()
    }

    /// The bytes that it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        [&self.entity_tag, &self.suppress].into_iter().flatten().map(|tag| tag.len()).sum()
    }

    /// When [`NotifierInput::Timer`] is due. It changes with each input.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Pending | State::Active => {
                let paced = if self.telling {
                    None
                } else {
                    [self.held_until, self.forced_at].into_iter().flatten().min()
                };
                Some(paced.map_or(self.expires_at, |paced| paced.min(self.expires_at)))
            }
            // The end of the transaction is to come.
            State::Ending { .. } | State::Over => None,
        }
    }

    /// Takes an input and says what is to be done.
    pub fn handle(
        &mut self,
        now: Duration,
        input: NotifierInput<'_>,
    ) -> SmallVec<[NotifierAction; 2]> {
        use NotifierInput as Input;
        let mut out = Actions::new();
        match (self.state, input) {
            (State::Pending | State::Active, Input::Subscribe(request)) => {
                self.subscribed(now, request, &mut out);
            }
            (State::Pending, Input::Grant) => {
                self.state = State::Active;
                self.want(now, Wanted::AtOnce, &mut out);
            }
            (State::Active, Input::Grant) => {}
            (State::Pending | State::Active, Input::Changed { entity_tag }) => {
                self.entity_tag = entity_tag.map(Into::into);
                // Who waits for a decision is not told each change meanwhile.
                if self.state == State::Active && !self.is_suppressed() {
                    self.want(now, Wanted::Change, &mut out);
                }
            }
            (State::Pending | State::Active, Input::Terminate { reason, retry_after }) => {
                self.end_by(now, reason, retry_after, NotifierEnd::Terminated, &mut out);
            }
            (State::Pending | State::Active, Input::Response(response)) => {
                self.telling = false;
                self.answered(now, response, &mut out);
            }
            // RFC 6665 §4.2.2: "If the NOTIFY request fails due to expiration of SIP Timer F
            // (transaction timeout), the notifier SHOULD remove the subscription."
            (State::Pending | State::Active, Input::TimedOut) => {
                self.over(NotifierEnd::Lost, &mut out);
            }
            (State::Pending | State::Active, Input::Unsent) => {
                self.telling = false;
                self.hold(now.saturating_add(RETRY));
            }
            (State::Pending | State::Active, Input::Timer) => self.timer(now, &mut out),

            (State::Ending { told: true, end, .. }, Input::Response(_)) => self.over(end, &mut out),
            (State::Ending { told: true, .. }, Input::TimedOut | Input::Unsent) => {
                self.over(NotifierEnd::Lost, &mut out);
            }
            (State::Ending { told: false, .. }, Input::Response(response)) => {
                self.telling = false;
                self.answered(now, response, &mut out);
            }
            (State::Ending { told: false, .. }, Input::TimedOut) => {
                self.over(NotifierEnd::Lost, &mut out);
            }
            (State::Ending { told: false, .. }, Input::Unsent) => {
                self.telling = false;
                self.send(now, &mut out);
            }
            (State::Ending { .. }, Input::Subscribe(_)) => {
                out.push(NotifierAction::Refuse(RefusedSubscribe::Ended));
            }
            (
                State::Ending { .. },
                Input::Grant | Input::Changed { .. } | Input::Terminate { .. } | Input::Timer,
            ) => {}

            (State::Over, Input::Subscribe(_)) => {
                out.push(NotifierAction::Refuse(RefusedSubscribe::Ended));
            }
            (
                State::Over,
                Input::Grant
                | Input::Changed { .. }
                | Input::Terminate { .. }
                | Input::Response(_)
                | Input::TimedOut
                | Input::Unsent
                | Input::Timer,
            ) => {}
        }
        out
    }

    /// A SUBSCRIBE within the subscription.
    fn subscribed(&mut self, now: Duration, request: &Request, out: &mut Actions) {
        let expires = match self.config.grant(request) {
            Ok(expires) => expires,
            // RFC 6665 §4.2.1.4: "If the duration specified in a SUBSCRIBE
            // request is unacceptably short, the notifier SHOULD respond with a 423
            // (Interval Too Brief) response."
            Err(brief) => {
                return out.push(NotifierAction::Refuse(RefusedSubscribe::TooBrief(brief)));
            }
        };
        self.read(request);
        let suppressed = self.is_suppressed();
        // RFC 5839 §6.4: "then the notifier MUST suppress the
        // resulting NOTIFY request, and generate a 204 (No Notification)
        // response."
        let status = if suppressed { StatusCode::NO_NOTIFICATION } else { StatusCode::OK };
        out.push(NotifierAction::Answer { status, expires });
        if expires > 0 {
            // RFC 5839 §6.4: "A successful conditional SUBSCRIBE request MUST extend the
            // subscription expiry time."
            self.expires_at = now.saturating_add(Duration::from_secs(expires.into()));
            return match suppressed {
                true => self.pace(),
                false => self.want(now, Wanted::AtOnce, out),
            };
        }
        // RFC 6665 §4.2.1.4: "they send a NOTIFY request containing a
        // "Subscription-State" of "terminated", with a reason code of
        // "timeout.""
        match suppressed {
            true => self.over(NotifierEnd::Unsubscribed, out),
            false => {
                let reason = TerminationReason::Timeout;
                self.end_by(now, reason, None, NotifierEnd::Unsubscribed, out);
            }
        }
    }

    /// Whether the subscriber has the state already, and said so.
    fn is_suppressed(&self) -> bool {
        // RFC 5839 §6.4: "value of "*" MUST always evaluate to true."
        self.suppress.as_deref().is_some_and(|has| has == "*" || Some(has) == self.entity_tag())
    }

    /// The answer to a NOTIFY that was not the last.
    fn answered(&mut self, now: Duration, response: &Response, out: &mut Actions) {
        let status = response.status();
        // RFC 6665 §4.2.2: "If the NOTIFY transaction fails due to the receipt of a 404, 405,
        // 410, 416, 480-485, 489, 501, or 604 response to the NOTIFY request,
        // the notifier MUST remove the corresponding subscription."
        if status != StatusCode::BAD_GATEWAY && Effect::of(status) != Effect::Transaction {
            return self.over(NotifierEnd::Refused(status), out);
        }
        if status.is_success() {
            // RFC 6446 §9.3: "MUST
            // include all desired values for the "max-rate", "min-rate", and
            // "adaptive-min-rate" parameters in an Event header field of the 2xx
            // response to a NOTIFY request."
            if let Ok(Some(event)) = response.get::<Event<'_>>() {
                self.pace_by(Rates::of(&event));
            }
        }
        match (self.state, self.wanted) {
            (State::Ending { .. }, _) | (_, Wanted::AtOnce) => self.send(now, out),
            (_, Wanted::Change) => self.want(now, Wanted::Change, out),
            (_, Wanted::Nothing) => match retry_after(response) {
                Some(wait) if !status.is_success() => self.hold(now.saturating_add(wait)),
                _ => self.pace(),
            },
        }
    }

    fn timer(&mut self, now: Duration, out: &mut Actions) {
        if now >= self.expires_at {
            // RFC 6665 §4.2.1.4: "When removing a
            // subscription, the notifier SHOULD send a NOTIFY request with a
            // "Subscription-State" value of "terminated" to inform it that the
            // subscription is being removed.  If such a request is sent, the
            // "Subscription-State" header field SHOULD contain a "reason=timeout"
            // parameter."
            return self.end_by(now, TerminationReason::Timeout, None, NotifierEnd::Expired, out);
        }
        let due = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        if !self.telling && (due(self.held_until) || due(self.forced_at)) {
            self.held_until = None;
            if self.is_suppressed() {
                self.last_sent = now;
                return self.pace();
            }
            self.send(now, out);
        }
    }

    /// Something is to be told: now, or when it may be.
    fn want(&mut self, now: Duration, wanted: Wanted, out: &mut Actions) {
        if self.telling {
            self.wanted = self.wanted.max(wanted);
            return;
        }
        // RFC 6446 §5.2: "A compliant notifier MUST NOT generate a notification if the interval
        // since the most recent notification is less than the reciprocal value
        // of the "max-rate" parameter, except when generating the notification
        // either upon receipt of a SUBSCRIBE request, when the subscription
        // state is changing from "pending" to "active" state, or upon
        // termination of the subscription (the last notification)."
        match self.least_interval().map(|least| self.last_sent.saturating_add(least)) {
            Some(earliest) if wanted == Wanted::Change && now < earliest => self.hold(earliest),
            _ => self.send(now, out),
        }
    }

    fn hold(&mut self, until: Duration) {
        self.wanted = Wanted::Nothing;
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// The time that has to pass between two notifications of changes.
    fn least_interval(&self) -> Option<Duration> {
        let asked = self.effective().max.map(Rate::interval);
        asked.max(self.config.max_rate.map(Rate::interval))
    }

    /// Takes in what the subscriber asks for.
    fn pace_by(&mut self, rates: Rates) {
        match &mut self.paced {
            _ if rates == Rates::default() => self.paced = None,
            Some(paced) => paced.rates = rates,
            // RFC 6446 §7.2: "The "count"
            // parameter is initialized to contain a history of having sent a
            // "period * adaptive-min-rate" number of notifications for the
            // "period"."
            None => self.paced = Some(Box::new(Paced { rates, count: PERIODS })),
        }
    }

    /// The rates as they are followed, and told.
    fn effective(&self) -> Rates {
        let left = self.expires_at.saturating_sub(self.last_sent);
        // RFC 6446 §5.3: "If the subscriber
        // requests a maximum rate that would result in no notification before
        // the subscription expiration, the notifier MUST increase the maximum
        // rate and set it to the reciprocal value of the remaining subscription
        // expiration time."
        let asked = self.paced.as_ref().map(|paced| paced.rates).unwrap_or_default();
        let max = asked.max.map(|rate| rate.max(Rate::once_in(left)));
        // No more often than may be.
        let cap = |rate: Rate| max.into_iter().chain(self.config.max_rate).fold(rate, Rate::min);
        Rates { max, min: asked.min.map(cap), adaptive_min: asked.adaptive_min }
    }

    /// Sends a NOTIFY, whatever the rates say.
    fn send(&mut self, now: Duration, out: &mut Actions) {
        let left = self.expires_at.saturating_sub(now).as_secs();
        // RFC 6665 §4.2.2: "this mechanism MUST NOT be used to lengthen
        // a subscription."
        let expires = u32::try_from(left).unwrap_or(u32::MAX);
        let state = match &mut self.state {
            State::Pending => Told::Pending { expires },
            State::Active => Told::Active { expires },
            State::Ending { reason, retry_after, told, .. } => {
                *told = true;
                Told::Terminated { reason: *reason, retry_after: *retry_after }
            }
            State::Over => return,
        };
        let since = now.saturating_sub(self.last_sent).as_secs_f64();
        self.telling = true;
        self.wanted = Wanted::Nothing;
        self.held_until = None;
        self.last_sent = now;
        if let Some(paced) = &mut self.paced
            && let Some(rate) = paced.rates.adaptive_min
        {
            // Those of the last period, as if they had come evenly.
            let period = PERIODS / rate.per_second();
            paced.count = paced.count * (1.0 - since / period).max(0.0) + 1.0;
        }
        self.pace();
        let (rates, body) = (self.effective(), !self.is_suppressed());
        out.push(NotifierAction::Notify(Notification { state, rates, body }));
    }

    /// When the next notification is due though nothing changes.
    fn pace(&mut self) {
        let rates = self.effective();
        let min = rates.min.map(Rate::interval);
        // RFC 6446 §7.4: "timeout = MAX[(1/max-rate), count/((adaptive-min-rate ^ 2)*period)] (2)"
        let adaptive = rates.adaptive_min.map(|rate| {
            let count = self.paced.as_ref().map_or(PERIODS, |paced| paced.count);
            let seconds = count / (rate.per_second() * PERIODS);
            let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            timeout.max(rates.max.map_or(Duration::ZERO, Rate::interval))
        });
        let next = min.into_iter().chain(adaptive).min();
        // RFC 6446 §6.2: "A compliant notifier MUST generate notifications when state changes
        // occur or when the time since the most recent notification exceeds the
        // reciprocal value of the "min-rate" parameter."
        self.forced_at = next
            .filter(|_| self.state == State::Active)
            .map(|next| self.last_sent.saturating_add(next));
    }

    /// The subscription ends, and its subscriber is told.
    fn end_by(
        &mut self,
        now: Duration,
        reason: TerminationReason,
        retry_after: Option<u32>,
        end: NotifierEnd,
        out: &mut Actions,
    ) {
        self.state = State::Ending { reason, retry_after, end, told: false };
        if !self.telling {
            self.send(now, out);
        }
    }

    fn over(&mut self, end: NotifierEnd, out: &mut Actions) {
        self.state = State::Over;
        self.telling = false;
        out.push(NotifierAction::Over(end));
    }
}

/// The value of Event in the NOTIFYs to a SUBSCRIBE with this one.
pub fn told_event(asked: &Event<'_>) -> String {
    let mut text = String::from(asked.event_type());
    // RFC 6665 §4.5.2: "If an "id" parameter is present in the SUBSCRIBE request used to
    // establish a subscription, that "id" parameter MUST also be present
    // in all corresponding NOTIFY requests."
    if let Some(id) = asked.id() {
        let _ = write!(text, ";id={id}");
    }
    text
}

#[cfg(test)]
mod tests;
