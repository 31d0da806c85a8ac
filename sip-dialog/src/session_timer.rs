//! The session timer of a dialog (RFC 4028): who refreshes the session, when, and when it is over.
//!
//! ```text
//!                             +-----+
//!      2xx without an --------| Off |------- 2xx: the peer refreshes
//!      interval leads here    +-----+                       |
//!      from every state          | 2xx: we refresh          |
//!                                v                          v
//!    2xx: once more   +----------------------+        +----------+
//!        +----------->|       Waiting        |<------>| Watching |<---+ 2xx: once more
//!        |            +----------------------+  2xx   +----------+----+
//!        |               |               ^    swaps     |  the peer was silent until shortly before
//!        |    half of it |               |    roles     |  the expiry: BYE
//!        |     is over:  |       refused |              v
//!        |       refresh v       (later) |          +------+
//!        |            +----------------------+      |      |
//!        +------------|      Refreshing      |----->| Over |
//!                     +----------------------+      +------+
//!                               408, 481, or the expiry: BYE
//! ```
//!
//! A 2xx is one to an INVITE or UPDATE, in either direction: each one settles interval and roles anew. Times are
//! counted from an origin of the caller's choice, the same for all calls on one timer.

use core::time::Duration;

use alloc::string::{String, ToString as _};

use sip_message::{
    Header as _, HeaderName, Headers, MinSe, Refresher, Require, SessionExpires, StatusCode,
    Supported,
};

use crate::ends_dialog;
use crate::snapshot::TimerSnapshot;

/// The option tag of RFC 4028.
const TAG: &str = "timer";

// RFC 4028 §4: "The absolute minimum for the Session-Expires header field is 90 seconds."
const LEAST: u32 = SessionExpires::MIN;

// RFC 4028 §4: "However, 1800 seconds (30
// minutes) is RECOMMENDED as the value for the Session-Expires header
// field."
const RECOMMENDED: u32 = 1800;

/// How long a refresh may take until it has failed: 64*T1.
const TRANSACTION: Duration = Duration::from_secs(32);

/// The least time between two refreshes of which the first failed.
const LEAST_PAUSE: Duration = Duration::from_secs(2);

/// How often a refresh is raised and sent again at once after 422.
const MAX_RAISES: u8 = 4;

/// One of the two ends of a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This end.
    Local,
    /// The peer.
    Remote,
}

/// What this end wants of session timers. That it has one at all means that it supports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionTimerPolicy {
    /// The session interval to ask for, in seconds, and the longest that is agreed to; at least
    /// [`min_se`](Self::min_se). `None` leaves it to the peer and the proxies whether there is a timer, and how
    /// long it is. Default 1800.
    pub interval: Option<u32>,
    /// The shortest session interval that is agreed to, in seconds; what is below 90 counts as 90, the default.
    pub min_se: u32,
    /// Who is to refresh, where that is ours to say: as the caller then asked for, as the callee chosen if the
    /// caller did not. Default `None`: the callee chooses, and we as the callee choose the caller, whose way to
    /// us is known to work.
    pub refresher: Option<Side>,
    /// Whether to refresh, with an interval of our own, towards a peer that knows nothing of session timers: it
    /// shows whether the peer still is there. Default yes.
    pub without_support: bool,
}

impl Default for SessionTimerPolicy {
    fn default() -> Self {
        Self { interval: Some(RECOMMENDED), min_se: LEAST, refresher: None, without_support: true }
    }
}

impl SessionTimerPolicy {
    /// Sets [`interval`](Self::interval).
    #[must_use]
    pub fn interval(mut self, seconds: Option<u32>) -> Self {
        self.interval = seconds;
        self
    }

    /// Sets [`min_se`](Self::min_se).
    #[must_use]
    pub fn min_se(mut self, seconds: u32) -> Self {
        self.min_se = seconds;
        self
    }

    /// Sets [`refresher`](Self::refresher).
    #[must_use]
    pub fn refresher(mut self, side: Option<Side>) -> Self {
        self.refresher = side;
        self
    }

    /// Sets [`without_support`](Self::without_support).
    #[must_use]
    pub fn without_support(mut self, refresh: bool) -> Self {
        self.without_support = refresh;
        self
    }

    fn least(&self) -> u32 {
        // RFC 4028 §9: "This minimum interval MUST
        // NOT be lower than 90 seconds."
        self.min_se.max(LEAST)
    }

    /// What the INVITE that is to make the dialog says.
    pub fn ask(&self) -> TimerFields {
        TimerFields {
            // RFC 4028 §7.1: "A UAC that supports the session timer extension defined here MUST
            // include a Supported header field in each request (except ACK),
            // listing the option tag 'timer' [2]."
            supported: true,
            required: false,
            // RFC 4028 §7.1: "If a Min-SE header is included in the
            // initial session refresh request, the value of the Session-Expires
            // MUST be greater than or equal to the value in Min-SE."
            session_expires: self.interval.map(|interval| interval.max(self.least())),
            // RFC 4028 §7.1: "The UAC MAY include the refresher parameter with value 'uac' if it
            // wants to perform the refreshes.  However, it is RECOMMENDED that the
            // parameter be omitted so that it can be selected by the negotiation
            // mechanisms described below."
            refresher: self.interval.and(self.refresher).map(as_uac),
            // RFC 4028 §7.1: "A UAC MAY include the Min-SE header field in the initial INVITE
            // request."
            min_se: Some(self.least()).filter(|least| *least > LEAST),
        }
    }

    /// Whether a request for a session, or to refresh one, is to be refused by 422, and with which Min-SE.
    pub fn too_small(&self, request: &TimerFields) -> Option<u32> {
        // RFC 4028 §9: "If an incoming request contains a Supported header field with a value
        // 'timer' and a Session Expires header field, the UAS MAY reject the
        // INVITE request with a 422 (Session Interval Too Small) response if
        // the session interval in the Session-Expires header field is smaller
        // than the minimum interval defined by the UAS' local policy.  When
        // sending the 422 response, the UAS MUST include a Min-SE header field
        // with the value of its minimum interval."
        let interval = request.session_expires.filter(|_| request.supported)?;
        (interval < self.least()).then_some(self.least())
    }
}

/// What a message says of session timers: read from one, or to be written into one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimerFields {
    /// Supported lists `timer`.
    pub supported: bool,
    /// Require lists `timer`.
    pub required: bool,
    /// The seconds of Session-Expires.
    pub session_expires: Option<u32>,
    /// Its refresher parameter: [`Refresher::Uac`] is the sender of the request.
    pub refresher: Option<Refresher>,
    /// The seconds of Min-SE.
    pub min_se: Option<u32>,
}

impl TimerFields {
    /// Those of a message. What cannot be read is not there: without it a session goes on for as long as it likes,
    /// which is better than none.
    pub fn of(headers: &Headers) -> Self {
        let expires = headers.get::<SessionExpires<'_>>().ok().flatten();
        Self {
            supported: headers.get_all::<Supported<'_>>().flatten().any(|tags| tags.contains(TAG)),
            required: headers.get_all::<Require<'_>>().flatten().any(|tags| tags.contains(TAG)),
            session_expires: expires.as_ref().map(SessionExpires::seconds),
            refresher: expires.as_ref().and_then(SessionExpires::refresher),
            min_se: headers.get::<MinSe<'_>>().ok().flatten().map(|least| least.seconds()),
        }
    }

    /// The header fields to write, without Supported, which lists more than this.
    pub fn lines(&self) -> impl Iterator<Item = (HeaderName<'static>, String)> + use<> {
        let expires = self.session_expires.map(|seconds| {
            let mut text = seconds.to_string();
            if let Some(refresher) = self.refresher {
                text.push_str(";refresher=");
                text.push_str(refresher.as_str());
            }
            (SessionExpires::NAME, text)
        });
        let least = self.min_se.map(|seconds| (MinSe::NAME, seconds.to_string()));
        let required = self.required.then(|| (Require::NAME, TAG.to_string()));
        [expires, least, required].into_iter().flatten()
    }

    /// What to ask for after the request that said this was refused by a 422 with this Min-SE, before there is
    /// a dialog. `None` if asking again would change nothing.
    pub fn raised(&self, min_se: u32) -> Option<TimerFields> {
        // RFC 4028 §7.4: "If
        // no dialog has been established, the Min-SE header field value is set
        // to the largest value among all Min-SE header field values returned in
        // all 422 responses for an INVITE request with the same Call-ID."
        let least = min_se.max(self.min_se.unwrap_or(LEAST));
        let asked = self.session_expires?;
        let raised = Self { session_expires: Some(asked.max(least)), min_se: Some(least), ..*self };
        (asked < least).then_some(raised)
    }
}

/// The role of a side in the transactions whose requests we send.
fn as_uac(side: Side) -> Refresher {
    match side {
        Side::Local => Refresher::Uac,
        Side::Remote => Refresher::Uas,
    }
}

/// The same in those whose requests the peer sends.
fn as_uas(side: Side) -> Refresher {
    match side {
        Side::Local => Refresher::Uas,
        Side::Remote => Refresher::Uac,
    }
}

/// The session timer of one dialog. See the module's diagram.
///
/// ```
/// use core::time::Duration;
/// use sip_dialog::{SessionTimer, SessionTimerPolicy, TimerAction, TimerFields, TimerInput};
///
/// let policy = SessionTimerPolicy::default();
/// let asked = policy.ask();
/// let answer = TimerFields { session_expires: Some(1800), refresher: Some(sip_message::Refresher::Uac), ..asked };
/// let mut timer = SessionTimer::new(policy);
/// timer.handle(Duration::ZERO, TimerInput::Accepted { asked, answer });
/// let due = timer.deadline().unwrap();
/// assert_eq!(due, Duration::from_secs(900));
/// assert_eq!(timer.handle(due, TimerInput::Timer), Some(TimerAction::Refresh));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    policy: SessionTimerPolicy,
    state: State,
    /// In seconds; of no meaning while there is no timer.
    interval: u32,
    /// The largest Min-SE of this dialog: of 422s to our requests, and of the peer's requests.
    min_se: Option<u32>,
    /// How often our refresh was raised and sent again since the last that was accepted.
    raises: u8,
    /// Nobody but us asked for the timer: we refresh for ourselves.
    one_sided: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no timer.
    Off,
    /// We refresh, at `next`; if that is the expiry, no more.
    Waiting { next: Duration, expires: Duration },
    /// Our refresh is on its way.
    Refreshing { expires: Duration },
    /// The peer refreshes.
    Watching { expires: Duration },
    /// The session is over.
    Over,
}

/// What happens to a session timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerInput {
    /// A 2xx came to an INVITE or UPDATE of ours, sent to refresh or for another purpose.
    Accepted {
        /// What the request said.
        asked: TimerFields,
        /// What the 2xx says.
        answer: TimerFields,
    },
    /// We sent a 2xx to an INVITE or UPDATE of the peer.
    Answered {
        /// What the request said.
        asked: TimerFields,
        /// What our 2xx says: [`SessionTimer::answer`].
        answer: TimerFields,
    },
    /// The refresh that was asked for by [`TimerAction::Refresh`] was refused; or could not be sent, and then the
    /// status is what stands for that. A time-out is 408.
    Refused {
        /// The status.
        status: StatusCode,
        /// Min-SE of a 422.
        min_se: Option<u32>,
        /// How long to wait before the next try, if the response says.
        retry_after: Option<Duration>,
    },
    /// [`SessionTimer::deadline`] has come, or it has not: a timer that is early does no harm.
    Timer,
    /// The session ended.
    Ended,
}

/// What is to be done for a session timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerAction {
    /// Send an UPDATE or re-INVITE that says what [`SessionTimer::ask`] gives.
    Refresh,
    /// Nobody refreshed the session in time: end it by BYE.
    Bye,
}

impl SessionTimer {
    /// The timer of a dialog that is being made.
    pub fn new(policy: SessionTimerPolicy) -> Self {
        Self { policy, state: State::Off, interval: 0, min_se: None, raises: 0, one_sided: false }
    }

    /// Who refreshes the session; `None` while there is no timer.
    pub fn refresher(&self) -> Option<Side> {
        match self.state {
            State::Waiting { .. } | State::Refreshing { .. } => Some(Side::Local),
            State::Watching { .. } => Some(Side::Remote),
            State::Off | State::Over => None,
        }
    }

    /// Whether a refresh of ours is on its way.
    pub fn is_refreshing(&self) -> bool {
        matches!(self.state, State::Refreshing { .. })
    }

    /// The session interval; `None` while there is no timer.
    pub fn interval(&self) -> Option<Duration> {
        self.refresher().map(|_| Duration::from_secs(self.interval.into()))
    }

    /// When to call [`handle`](Self::handle) with [`TimerInput::Timer`].
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { next, .. } => Some(next),
            State::Refreshing { expires } => Some(expires),
            State::Watching { expires } => Some(expires.saturating_sub(self.margin())),
            State::Off | State::Over => None,
        }
    }

    /// What an INVITE or UPDATE of ours within the dialog says, for whatever purpose it is sent.
    pub fn ask(&self) -> TimerFields {
        let least = self.policy.least();
        // RFC 4028 §7.4: "The value of the Min-SE header field present in a session refresh
        // request MUST be the largest value among all Min-SE header field
        // values returned in all 422 responses or received in session refresh
        // requests, on the same dialog, if a dialog has been established."
        // RFC 4028 §7.4: "In that case, if the value above is too small, the UAC MAY increase
        // it."
        let min_se = self.min_se.map(|seen| seen.max(least));
        let Some(side) = self.refresher() else {
            let first = self.policy.ask();
            let interval = first.session_expires.map(|interval| interval.max(min_se.unwrap_or(0)));
            return TimerFields {
                session_expires: interval,
                min_se: min_se.or(first.min_se),
                ..first
            };
        };
        TimerFields {
            supported: true,
            required: false,
            // RFC 4028 §7.4: "When present, it SHOULD be equal to the maximum of the Min-SE header
            // field (recall that its default value when not present is 90 seconds)
            // and the current session interval."
            session_expires: Some(self.interval.max(min_se.unwrap_or(LEAST))),
            // RFC 4028 §7.4: "it is
            // RECOMMENDED that the refresher parameter be set to 'uac' if the
            // element sending the request is currently performing refreshes, and to
            // 'uas' if its peer is performing the refreshes."
            refresher: Some(as_uac(side)),
            min_se: min_se.or(Some(least).filter(|least| *least > LEAST)),
        }
    }

    /// What our 2xx to an INVITE or UPDATE of the peer says, which [`SessionTimerPolicy::too_small`] let pass. Tell
    /// [`TimerInput::Answered`] when it is sent.
    pub fn answer(&self, asked: &TimerFields) -> TimerFields {
        // RFC 4028 §9: "The value MUST NOT be set
        // to a duration lower than the value in the Min-SE header field in the
        // request, if it is present."
        let floor = asked.min_se.unwrap_or(LEAST).max(self.policy.least());
        let running = self.refresher().map(|_| self.interval);
        let interval = match asked.session_expires {
            // Too short, from a caller whom no 422 would help. No timer is what the proxy that asked for it gets
            // from a callee without the extension.
            Some(interval) if interval < LEAST => None,
            // RFC 4028 §9: "The UAS response MAY reduce its value but MUST NOT set it to a
            // duration lower than the value in the Min-SE header field in the
            // request, if it is present"
            // RFC 4028 §9: "The UAS MUST
            // NOT increase the value of the Session-Expires header field."
            Some(interval) => {
                Some(self.policy.interval.map_or(interval, |ours| interval.min(ours.max(floor))))
            }
            // RFC 4028 §9: "The UAS may request a session timer in the 2XX response by
            // including a Session-Expires header field."
            None if asked.supported => {
                running.or(self.policy.interval).map(|interval| interval.max(floor))
            }
            None => None,
        };
        if interval.is_none() {
            return TimerFields { supported: true, ..TimerFields::default() };
        }
        // RFC 4028 §9: "the UAS cannot override the UAC's choice of refresher, if
        // it made one."
        let refresher = match (asked.supported, asked.refresher) {
            (false, _) => Refresher::Uas,
            (true, Some(chosen)) => chosen,
            (true, None) => {
                as_uas(self.refresher().or(self.policy.refresher).unwrap_or(Side::Remote))
            }
        };
        TimerFields {
            supported: true,
            // RFC 4028 §9: "If the refresher parameter in the Session-Expires header field in the
            // 2xx response has a value of 'uac', the UAS MUST place a Require
            // header field into the response with the value 'timer'."
            // RFC 4028 §9: "If the refresher parameter in
            // the 2xx response has a value of 'uas' and the Supported header field
            // in the request contained the value 'timer', the UAS SHOULD place a
            // Require header field into the response with the value 'timer'."
            required: asked.supported,
            session_expires: interval,
            // RFC 4028 §9: "The UAS MUST set the value of the refresher parameter in the
            // Session-Expires header field in the 2xx response."
            refresher: Some(refresher),
            // RFC 4028 §5: "The Min-SE header field MUST NOT be used in responses except for
            // those with a 422 response code."
            min_se: None,
        }
    }

    /// Something happened at `now`. Afterwards [`deadline`](Self::deadline) may be another.
    pub fn handle(&mut self, now: Duration, input: TimerInput) -> Option<TimerAction> {
        match (self.state, input) {
            // RFC 4028 §7.2: "Similarly, a re-INVITE or UPDATE request sent within a dialog for
            // purposes other than session refreshes will also have the effect of
            // refreshing the session"
            (
                State::Off
                | State::Waiting { .. }
                | State::Refreshing { .. }
                | State::Watching { .. },
                TimerInput::Accepted { asked, answer },
            ) => self.accepted(now, &asked, &answer),
            (
                State::Off
                | State::Waiting { .. }
                | State::Refreshing { .. }
                | State::Watching { .. },
                TimerInput::Answered { asked, answer },
            ) => self.answered(now, &asked, &answer),

            (State::Waiting { next, expires }, TimerInput::Timer) => {
                if now >= expires {
                    return self.over();
                }
                if now >= next {
                    self.raises = 0;
                    self.state = State::Refreshing { expires };
                    return Some(TimerAction::Refresh);
                }
            }
            // RFC 4028 §10: "Note that only a 2xx response to a session
            // refresh request extends the session expiration."
            (State::Refreshing { expires }, TimerInput::Timer) => {
                if now >= expires {
                    return self.over();
                }
            }
            // RFC 4028 §10: "Similarly, if the side not performing refreshes does not receive a
            // session refresh request before the session expiration, it SHOULD send
            // a BYE to terminate the session, slightly before the session
            // expiration."
            (State::Watching { expires }, TimerInput::Timer) => {
                if now >= expires.saturating_sub(self.margin()) {
                    return self.over();
                }
            }

            (
                State::Refreshing { expires },
                TimerInput::Refused { status, min_se, retry_after },
            ) => {
                return self.refused(now, expires, status, min_se, retry_after);
            }
            // A refresh that was overtaken by another 2xx, of ours or of the peer. What ends the dialog still does.
            (
                State::Off | State::Waiting { .. } | State::Watching { .. },
                TimerInput::Refused { status, min_se, .. },
            ) => {
                self.min_se = self.min_se.max(min_se);
                if ends_dialog(status) {
                    return self.over();
                }
            }

            (State::Off, TimerInput::Timer) => {}
            (_, TimerInput::Ended) => self.state = State::Over,
            (
                State::Over,
                TimerInput::Accepted { .. }
                | TimerInput::Answered { .. }
                | TimerInput::Refused { .. }
                | TimerInput::Timer,
            ) => {}
        }
        None
    }

    /// A request of ours was refused by 422 with this Min-SE: whether sending it once more, with what
    /// [`ask`](Self::ask) then gives, is worth the while.
    pub fn raise(&mut self, min_se: Option<u32>) -> bool {
        let asked = self.ask().session_expires;
        self.min_se = self.min_se.max(min_se);
        let more = self.ask().session_expires > asked && self.raises < MAX_RAISES;
        self.raises = self.raises.saturating_add(u8::from(more));
        more
    }

    /// The timer as plain data, whose times count from `now`; `None` while there is none.
    pub fn snapshot(&self, now: Duration) -> Option<TimerSnapshot> {
        let (next, expires) = match self.counted_from(now).state {
            State::Waiting { next, expires } => (next, expires),
            State::Watching { expires } => (expires, expires),
            State::Refreshing { .. } | State::Off | State::Over => return None,
        };
        Some(TimerSnapshot {
            interval: self.interval,
            min_se: self.min_se,
            is_refresher: self.refresher() == Some(Side::Local),
            one_sided: self.one_sided,
            next,
            expires,
        })
    }

    /// The timer that a snapshot was taken of, counted from when that was.
    pub fn restored(policy: SessionTimerPolicy, snapshot: &TimerSnapshot) -> Self {
        let (next, expires) = (snapshot.next, snapshot.expires);
        let state = match snapshot.side() {
            Side::Local => State::Waiting { next, expires },
            Side::Remote => State::Watching { expires },
        };
        Self {
            policy,
            state,
            interval: snapshot.interval.max(LEAST),
            min_se: snapshot.min_se,
            raises: 0,
            one_sided: snapshot.one_sided,
        }
    }

    /// The same timer counted from another origin: what was `now` is zero. What has passed by then is due at once.
    #[must_use]
    pub fn counted_from(mut self, now: Duration) -> Self {
        match &mut self.state {
            State::Waiting { next, expires } => {
                *next = next.saturating_sub(now);
                *expires = expires.saturating_sub(now);
            }
            // Whether it arrived nobody knows any more: once more.
            State::Refreshing { expires } => {
                let expires = expires.saturating_sub(now);
                self.state = State::Waiting { next: Duration::ZERO, expires };
            }
            State::Watching { expires } => *expires = expires.saturating_sub(now),
            State::Off | State::Over => {}
        }
        self
    }

    fn accepted(&mut self, now: Duration, asked: &TimerFields, answer: &TimerFields) {
        self.one_sided = false;
        match (answer.session_expires, asked.session_expires) {
            // RFC 4028 §7.2: "The UAC MUST set the
            // identity of the refresher to the value of this parameter.  If the
            // parameter contains the value 'uac', the UAC will perform them."
            // It is always there, says the RFC; if it is not, it is safe that we do.
            (Some(interval), _) => {
                let side = match answer.refresher {
                    Some(Refresher::Uas) => Side::Remote,
                    Some(Refresher::Uac) | None => Side::Local,
                };
                self.run(now, interval, side);
            }
            // RFC 4028 §7.2: "In this case, if the UAC still wishes to use the
            // session timer (which is purely for its benefit alone), it has to
            // perform them.  To do this, the UAC follows the procedures defined in
            // this specification as if the Session-Expires header field were in the
            // 2xx response, and its value was the same as that in the request, but
            // with a refresher parameter of 'uac'."
            (None, Some(interval))
                if self.policy.without_support && !answer.supported && !answer.required =>
            {
                self.one_sided = true;
                self.run(now, interval, Side::Local);
            }
            // RFC 4028 §7.2: "This means that the session
            // timer can be 'turned-off' in mid dialog by receiving a response
            // without a Session-Expires header field."
            (None, Some(_) | None) => self.state = State::Off,
        }
    }

    fn answered(&mut self, now: Duration, asked: &TimerFields, answer: &TimerFields) {
        self.min_se = self.min_se.max(asked.min_se);
        match (answer.session_expires, answer.refresher) {
            (Some(interval), Some(Refresher::Uac)) => self.run(now, interval, Side::Remote),
            (Some(interval), Some(Refresher::Uas) | None) => {
                self.one_sided = false;
                self.run(now, interval, Side::Local);
            }
            // The peer still knows nothing of it, but has shown that it is there.
            (None, _) if self.one_sided && !asked.supported && self.refresher().is_some() => {
                self.run(now, self.interval, Side::Local);
            }
            // RFC 4028 §9: "If the
            // most recent 2xx response had no Session-Expires header field, there
            // is no session expiration, and no refreshes have to be performed."
            (None, _) => self.state = State::Off,
        }
    }

    /// The session was refreshed at `now`.
    fn run(&mut self, now: Duration, interval: u32, side: Side) {
        // A peer that answers by less makes us refresh no more often for it.
        self.interval = interval.max(LEAST);
        self.raises = 0;
        let interval = Duration::from_secs(self.interval.into());
        let expires = now.saturating_add(interval);
        self.state = match side {
            // RFC 4028 §7.2: "It is
            // RECOMMENDED that this refresh be sent once half the session interval
            // has elapsed."
            Side::Local => State::Waiting { next: now.saturating_add(interval / 2), expires },
            Side::Remote => {
                self.one_sided = false;
                State::Watching { expires }
            }
        };
    }

    fn refused(
        &mut self,
        now: Duration,
        expires: Duration,
        status: StatusCode,
        min_se: Option<u32>,
        retry_after: Option<Duration>,
    ) -> Option<TimerAction> {
        // RFC 4028 §10: "If the session refresh request transaction times out or generates a
        // 408 or 481 response, then the UAC sends a BYE request as per Section
        // 12.2.1.2 of RFC 3261 [2]."
        if ends_dialog(status) {
            return self.over();
        }
        // RFC 4028 §10: "The UA will still have to send a session refresh
        // request before the session expiration (which has not changed), even
        // though this request will contain a value of the Session-Expires that
        // is much larger than the current session interval."
        if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && self.raise(min_se) {
            return Some(TimerAction::Refresh);
        }
        // It knows of no expiry, and was there to refuse.
        if self.one_sided {
            self.run(now, self.interval, Side::Local);
            return None;
        }
        // RFC 4028 §10: "the UAC
        // SHOULD follow the rules specific to that response code and retry if
        // possible."
        // RFC 4028 §10: "However, the UAC SHOULD NOT
        // continuously retry the request if the server indicates the same error
        // response."
        let left = expires.saturating_sub(now);
        let pause = retry_after.unwrap_or(left / 2).max(LEAST_PAUSE);
        let last = expires.saturating_sub(TRANSACTION);
        let next = now.saturating_add(pause).min(last);
        let next = if next > now { next } else { expires };
        self.state = State::Waiting { next, expires };
        None
    }

    fn over(&mut self) -> Option<TimerAction> {
        self.state = State::Over;
        Some(TimerAction::Bye)
    }

    /// How long before the expiry a watching side gives up.
    fn margin(&self) -> Duration {
        // RFC 4028 §10: "The minimum of 32 seconds and one third of the session
        // interval is RECOMMENDED."
        TRANSACTION.min(Duration::from_secs(self.interval.into()) / 3)
    }
}

#[cfg(test)]
mod tests;
