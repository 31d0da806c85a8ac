//! What a REFER brings about (RFC 3515): the two ends of its implicit subscription, without clock or socket.
//!
//! ```text
//!   Referrer:  Asked ──2xx──► Accepted ──NOTIFY──► Told ──► Over
//!                │                │  (provisional: it goes on; final: the outcome)
//!                └─ refused       └─ no NOTIFY in 64*T1, or none for too long
//!
//!   Reporter:  NOTIFY 100 ──► NOTIFY 180 … ──► NOTIFY 200, terminated ──► Over
//!              (one at a time: what comes while one is out follows its answer, the latest only)
//! ```
//!
//! Neither refreshes: the subscription lasts as long as the reference may take, and RFC 3515 §2.4.4 asks no more.

use core::time::Duration;

use sip_message::StatusCode;

/// How long a referrer waits for news at least: what the referee says of the duration is often too short for a
/// phone that rings, and is not meant.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long it waits at most.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What became of a REFER of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferOutcome {
    /// The referee did as it was asked, and this final status came of it: a 2xx if it was successful.
    Reported(StatusCode),
    /// The referee accepted, and said nothing of the outcome: it was told not to, or its reports ended early.
    Unreported,
    /// The referee did not accept, by this status; 408 if it did not answer.
    Refused(StatusCode),
}

impl ReferOutcome {
    /// Whether the referee did as it was asked with success. Of [`ReferOutcome::Unreported`] nobody knows.
    pub fn is_success(self) -> bool {
        matches!(self, ReferOutcome::Reported(status) if status.is_success())
    }
}

/// What a referrer hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferrerInput {
    /// A final response to the REFER; whether its Refer-Sub leaves a subscription (RFC 4488).
    Response {
        /// The status.
        status: StatusCode,
        /// Whether reports are to come.
        subscribed: bool,
    },
    /// A NOTIFY of the subscription.
    Notify {
        /// What its `message/sipfrag` says of the reference; `None` if it cannot be read.
        status: Option<StatusCode>,
        /// How long the subscription lasts yet; `None` if this was the last of it.
        left: Option<Duration>,
    },
    /// The wait is over.
    Timer,
}

/// What a referrer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferrerAction {
    /// Nothing.
    None,
    /// Tell the user this provisional status.
    Progress(StatusCode),
    /// Tell the user the outcome.
    Outcome(ReferOutcome),
}

/// Who sent a REFER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    state: Referring,
    t1: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Referring {
    /// There is no response.
    Asked,
    /// There is no NOTIFY.
    Accepted,
    /// There is one, and no outcome.
    Told,
    /// The outcome is known; the last NOTIFY may yet come, and is to find someone.
    Done,
    Over,
}

impl Referrer {
    /// A REFER was sent. `t1` is that of the transaction layer.
    pub fn new(t1: Duration) -> Referrer {
        Referrer { state: Referring::Asked, t1 }
    }

    /// Whether nothing more is to come, so that NOTIFYs find no subscription.
    pub fn is_over(&self) -> bool {
        self.state == Referring::Over
    }

    /// Takes an input in; gives what to do, and how long to wait for more: `None` leaves the wait as it is.
    pub fn handle(&mut self, input: ReferrerInput) -> (ReferrerAction, Option<Duration>) {
        use Referring::{Accepted, Asked, Done, Over, Told};
        let outcome = |outcome| ReferrerAction::Outcome(outcome);
        // Timer N of RFC 6665 §4.1.2.4.
        let timer_n = self.t1.saturating_mul(64);
        let (next, action, wait) = match (self.state, input) {
            // RFC 3515 §2.4.4: "the agent that issued the REFER MUST be prepared to
            // receive a NOTIFY before the REFER transaction completes."
            (Asked | Accepted | Told, ReferrerInput::Notify { status, left }) => {
                match (status.filter(|status| status.is_final()), left) {
                    (Some(last), None) => (Over, outcome(ReferOutcome::Reported(last)), None),
                    (Some(last), Some(_)) => {
                        (Done, outcome(ReferOutcome::Reported(last)), Some(timer_n))
                    }
                    (None, None) => (Over, outcome(ReferOutcome::Unreported), None),
                    (None, Some(left)) => {
                        let action = status.map_or(ReferrerAction::None, ReferrerAction::Progress);
                        (Told, action, Some(left.clamp(PATIENCE, LONGEST)))
                    }
                }
            }
            (Asked, ReferrerInput::Response { status, subscribed: true })
                if status.is_success() =>
            {
                (Accepted, ReferrerAction::None, Some(timer_n))
            }
            // RFC 4488 §4: "In this case, no
            // implicit subscription is created."
            (Asked, ReferrerInput::Response { status, .. }) if status.is_success() => {
                (Over, outcome(ReferOutcome::Unreported), None)
            }
            (Told, ReferrerInput::Response { status, .. }) if status.is_success() => {
                (Told, ReferrerAction::None, None)
            }
            (Asked | Told, ReferrerInput::Response { status, .. }) => {
                (Over, outcome(ReferOutcome::Refused(status)), None)
            }
            (Accepted | Told, ReferrerInput::Timer) => {
                (Over, outcome(ReferOutcome::Unreported), None)
            }
            (Done, ReferrerInput::Notify { left: None, .. } | ReferrerInput::Timer) => {
                (Over, ReferrerAction::None, None)
            }
            (
                Done,
                ReferrerInput::Notify { left: Some(_), .. } | ReferrerInput::Response { .. },
            ) => (Done, ReferrerAction::None, None),
            // One final response, and no timer before it.
            (Accepted, ReferrerInput::Response { .. }) | (Asked, ReferrerInput::Timer) => {
                (self.state, ReferrerAction::None, None)
            }
            (Over, _) => (Over, ReferrerAction::None, None),
        };
        self.state = next;
        (action, wait)
    }
}

/// What happens to a reporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReporterInput {
    /// The reference has come so far: a final status is the last.
    Status(StatusCode),
    /// The NOTIFY was answered by a 2xx.
    Heard,
    /// The NOTIFY failed in a way that ends the subscription, or was not answered.
    Lost,
    /// A SUBSCRIBE came within the subscription: it is to last so long from now on; zero ends it.
    Subscribe(Duration),
    /// The subscription has lasted as long as it was to.
    Timer,
}

/// A NOTIFY that a reporter is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What its `message/sipfrag` says.
    pub status: StatusCode,
    /// How Subscription-State goes on.
    pub state: ReportState,
}

/// What Subscription-State says in a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportState {
    /// Nobody has allowed it yet: `pending`, for so much longer.
    Pending(Duration),
    /// `active`, for so much longer.
    Active(Duration),
    /// `terminated` by `noresource`: the reference is done.
    Done,
    /// `terminated` by `timeout`: the referrer ended it, or did not refresh it.
    Expired,
}

/// Who accepted a REFER, and says how it goes. All times are those since one moment, always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The latest status, said or not.
    latest: StatusCode,
    allowed: bool,
    /// A NOTIFY is out.
    in_flight: bool,
    /// There is something to say after it.
    news: bool,
    /// The next NOTIFY is the last, and says this.
    last: Option<ReportState>,
    /// The last one is out.
    saying_goodbye: bool,
    over: bool,
    expires_at: Duration,
}

impl Reporter {
    /// A REFER was accepted, with a subscription that ends at `expires_at`, whether or not it is `allowed` yet
    /// to do as it asks; and the NOTIFY that is due at once.
    pub fn new(now: Duration, expires_at: Duration, allowed: bool) -> (Reporter, Report) {
        let mut reporter = Reporter {
            latest: StatusCode::TRYING,
            allowed,
            in_flight: true,
            news: false,
            last: None,
            saying_goodbye: false,
            over: false,
            expires_at,
        };
        // RFC 3515 §2.4.4: "The creation of a subscription as defined by [2] always results in an
        // immediate NOTIFY."
        let first = reporter.report(now);
        (reporter, first)
    }

    /// Whether there is nothing more to say, and nobody to say it to.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When the subscription ends.
    pub fn expires_at(&self) -> Duration {
        self.expires_at
    }

    /// It is allowed now to do what the REFER asks.
    pub fn allow(&mut self) {
        self.allowed = true;
    }

    /// Takes an input in; gives the NOTIFY to send now, if one is.
    pub fn handle(&mut self, now: Duration, input: ReporterInput) -> Option<Report> {
        if self.over {
            return None;
        }
        match input {
            // What came of the reference is known once.
            ReporterInput::Status(_) if self.latest.is_final() => return None,
            ReporterInput::Status(status) => {
                self.news |= status != self.latest;
                self.latest = status;
                // RFC 3515 §2.4.7: "The final NOTIFY sent in response to a REFER MUST indicate
                // the subscription has been "terminated" with a reason of "noresource"."
                if status.is_final() && self.last.is_none() {
                    self.last = Some(ReportState::Done);
                }
            }
            ReporterInput::Heard => {
                self.in_flight = false;
                self.over = self.saying_goodbye;
            }
            ReporterInput::Lost => self.over = true,
            ReporterInput::Subscribe(duration) => {
                self.news = true;
                if duration.is_zero() {
                    self.last.get_or_insert(ReportState::Expired);
                } else {
                    self.expires_at = now.saturating_add(duration);
                }
            }
            ReporterInput::Timer => {
                self.news = true;
                self.last.get_or_insert(ReportState::Expired);
            }
        }
        let idle = !self.in_flight && !self.over && !self.saying_goodbye;
        if !idle || !(self.news || self.last.is_some()) {
            return None;
        }
        self.in_flight = true;
        self.news = false;
        Some(self.report(now))
    }

    fn report(&mut self, now: Duration) -> Report {
        let left = self.expires_at.saturating_sub(now);
        let state = match self.last {
            Some(last) => {
                self.saying_goodbye = true;
                last
            }
            // RFC 3515 §2.4.5: "If a NOTIFY is generated when the subscription state is pending, its
            // body should consist only of a status line containing a response code
            // of 100."
            None if self.allowed => ReportState::Active(left),
            None => ReportState::Pending(left),
        };
        Report { status: self.latest, state }
    }
}

#[cfg(test)]
mod tests;
