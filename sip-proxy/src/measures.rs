//! How long registrations and sessions take, as RFC 6076 measures them: a function of the messages that pass.
//!
//! It looks at one side, that from which requests come: those that were received, and the responses sent to them.
//! There it measures what the RFC has the originating user agent measure, without the way between the two.
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use sip_message::{Limits, Message};
//! use sip_proxy::{Measure, Measures};
//!
//! # let register = Message::parse(b"REGISTER sip:b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n"[..].into(), &Limits::default())?;
//! # let ok = Message::parse(b"SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n"[..].into(), &Limits::default())?;
//! # let now = Instant::now();
//! let mut measures = Measures::new(10_000);
//! measures.received(now, &register.into_request().unwrap());
//! measures.sent(now + Duration::from_millis(3), &ok.into_response().unwrap());
//! assert_eq!(measures.poll(), Some(Measure::RegistrationDelay(Duration::from_millis(3))));
//! # Ok::<(), sip_message::ParseError>(())
//! ```

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use sip_message::{Method, Request, Response, StatusCode};

/// Something that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// From the first REGISTER to the 200, the challenge between them included (RFC 6076 §4.1).
    RegistrationDelay(Duration),
    /// A registration that failed (RFC 6076 §4.2).
    RegistrationIneffective,
    /// From the INVITE to the first response that says something of the callee (RFC 6076 §4.3), of a session
    /// that came about or of one that did not.
    RequestDelay {
        /// How long.
        delay: Duration,
        /// Whether the session came about.
        successful: bool,
    },
    /// What became of an INVITE.
    Attempt(Attempt),
    /// From the BYE to its 200 (RFC 6076 §4.4).
    DisconnectDelay(Duration),
    /// From the 200 to the BYE (RFC 6076 §4.5).
    SessionDuration(Duration),
}

/// What became of an INVITE that begins a session (RFC 6076 §4.6 to §4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// It was answered.
    Established,
    /// It was sent elsewhere: it counts for no ratio.
    Redirected,
    /// It failed for the server or the network: 408, 500, 503, 504.
    Ineffective,
    /// It failed otherwise.
    Failed,
}

/// Measures registrations and sessions by their messages. See the module.
#[derive(Debug)]
pub struct Measures {
    /// By Call-ID.
    under_way: HashMap<Box<str>, UnderWay>,
    limit: usize,
    swept: Option<Instant>,
    missed: u64,
    found: VecDeque<Measure>,
}

#[derive(Debug)]
enum UnderWay {
    Registration {
        since: Instant,
    },
    /// `first` is the delay of the first response that says something.
    Calling {
        since: Instant,
        first: Option<Duration>,
    },
    Answered {
        since: Instant,
    },
    Ending {
        since: Instant,
    },
}

/// What has no answer after so long gets none: a phone rings no longer.
const LONGEST: Duration = Duration::from_secs(300);

/// How many measures wait to be taken.
const MOST: usize = 1_024;

impl Measures {
    /// For so many registrations and sessions at a time; those beyond are not measured.
    pub fn new(limit: usize) -> Self {
        let (under_way, found) = (HashMap::new(), VecDeque::new());
        Self { under_way, limit, swept: None, missed: 0, found }
    }

    /// The next measure.
    pub fn poll(&mut self) -> Option<Measure> {
        self.found.pop_front()
    }

    /// How many registrations and sessions are under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// How many were not measured for want of room.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// A request came.
    pub fn received(&mut self, now: Instant, request: &Request) {
        let headers = request.headers();
        let Some(call_id) = headers.call_id() else { return };
        let begins = match request.method() {
            Method::Register => UnderWay::Registration { since: now },
            Method::Invite if headers.to_tag().is_none() => {
                UnderWay::Calling { since: now, first: None }
            }
            Method::Bye => {
                if let Some(session) = self.under_way.get_mut(call_id)
                    && let UnderWay::Answered { since } = *session
                {
                    *session = UnderWay::Ending { since: now };
                    let lasted = now.saturating_duration_since(since);
                    self.tell(Measure::SessionDuration(lasted));
                }
                return;
            }
            _ => return,
        };
        // RFC 6076 §4.2: "Subsequent REGISTER retries are identified
        // by the same transaction identifier (the same topmost Via header field
        // branch parameter value) and MUST be ignored for purposes of metric
        // calculation."
        // So is the request that answers a challenge: the clock runs from the first.
        if self.under_way.contains_key(call_id) {
            return;
        }
        if self.has_room(now) {
            self.under_way.insert(call_id.into(), begins);
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// A response was sent.
    pub fn sent(&mut self, now: Instant, response: &Response) {
        let headers = response.headers();
        let (Some(call_id), Some(cseq)) = (headers.call_id(), headers.cseq()) else { return };
        let status = response.status();
        let Some(under_way) = self.under_way.get_mut(call_id) else { return };
        match under_way {
            UnderWay::Registration { since } if cseq.is(&Method::Register) => {
                if status.is_provisional() || is_challenge(status) {
                    return;
                }
                let delay = now.saturating_duration_since(*since);
                self.under_way.remove(call_id);
                if status.is_success() {
                    self.tell(Measure::RegistrationDelay(delay));
                } else if status.as_u16() >= 400 {
                    self.tell(Measure::RegistrationIneffective);
                }
            }
            UnderWay::Calling { since, first } if cseq.is(&Method::Invite) => {
                let delay = now.saturating_duration_since(*since);
                if status.is_provisional() {
                    if status != StatusCode::TRYING {
                        first.get_or_insert(delay);
                    }
                    return;
                }
                if is_challenge(status) {
                    return;
                }
                let delay = first.unwrap_or(delay);
                let attempt = attempt(status);
                if attempt == Attempt::Established {
                    *under_way = UnderWay::Answered { since: now };
                } else {
                    self.under_way.remove(call_id);
                }
                // RFC 6076 §4.3: "SRD for
                // session requests ending in a failure MUST NOT be combined in the same
                // result with successful requests."
                if attempt != Attempt::Redirected {
                    let successful = attempt == Attempt::Established;
                    self.tell(Measure::RequestDelay { delay, successful });
                }
                self.tell(Measure::Attempt(attempt));
            }
            UnderWay::Ending { since } if cseq.is(&Method::Bye) && status.is_final() => {
                let delay = now.saturating_duration_since(*since);
                self.under_way.remove(call_id);
                if status.is_success() {
                    self.tell(Measure::DisconnectDelay(delay));
                }
            }
            UnderWay::Registration { .. }
            | UnderWay::Calling { .. }
            | UnderWay::Answered { .. }
            | UnderWay::Ending { .. } => {}
        }
    }

    fn tell(&mut self, measure: Measure) {
        if self.found.len() < MOST {
            self.found.push_back(measure);
        }
    }

    /// Whether there is room for one more; what was never answered makes some, at most once a second.
    fn has_room(&mut self, now: Instant) -> bool {
        let is_full = self.under_way.len() >= self.limit;
        let swept = |then| now.saturating_duration_since(then) < Duration::from_secs(1);
        if is_full && !self.swept.is_some_and(swept) {
            self.swept = Some(now);
            self.under_way.retain(|_, it| match it {
                UnderWay::Answered { .. } => true,
                UnderWay::Registration { since }
                | UnderWay::Calling { since, .. }
                | UnderWay::Ending { since } => now.saturating_duration_since(*since) < LONGEST,
            });
        }
        self.under_way.len() < self.limit
    }
}

/// RFC 6076 §4.2: "A failure response is described as a 4XX (excluding 401, 402,
/// and 407 non-failure challenge response codes), 5XX, or possible 6XX
/// message."
fn is_challenge(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 402 | 407)
}

fn attempt(status: StatusCode) -> Attempt {
    match status.as_u16() {
        ..300 => Attempt::Established,
        300..400 => Attempt::Redirected,
        408 | 500 | 503 | 504 => Attempt::Ineffective,
        _ => Attempt::Failed,
    }
}

#[cfg(test)]
mod tests;
