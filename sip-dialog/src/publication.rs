//! One publication of event state, as who publishes it sees it (RFC 3903 §4, §5): a machine without clock or socket.
//!
//! ```text
//!            publish                2xx
//!     Idle ──────────► Asking ────────────► Published
//!                      ▲   ▲ │                │   │
//!              timer,  │   │ │ refused        │   │ remove
//!              publish │   │ ▼                │   ▼
//!                      │  Waiting       timer,│  Removing ──► Over
//!                      └──────────────publish─┘           any
//! ```
//!
//! One PUBLISH is out at a time; what changes meanwhile goes with the next. In each state but the first and the
//! last a deadline stands or a PUBLISH is out.

use alloc::boxed::Box;
use core::ops::RangeInclusive;
use core::time::Duration;

use sip_message::{Expires, MinExpires, Response, SipEtag, StatusCode};
use smallvec::SmallVec;

use crate::subscriber::{refresh_in, retry_after};

/// How often one PUBLISH follows a 423 that asks for a longer life.
const MAX_INTERVAL_CHANGES: u8 = 3;
/// The first wait after a failure, which doubles, and the longest.
const BASE_WAIT: Duration = Duration::from_secs(30);
const MAX_WAIT: Duration = Duration::from_secs(1800);

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublicationInput<'a> {
    /// There is a state to publish, the first or a new one.
    Publish,
    /// The state is to be removed.
    Remove,
    /// A final response to the PUBLISH. One that asks for credentials comes here only if there are none.
    Response(&'a Response),
    /// The transaction of the PUBLISH ended without a final response, or it could not be sent.
    NoResponse,
    /// The deadline has passed.
    Timer,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicationAction {
    /// Send a PUBLISH, with [`Publication::entity_tag`] as SIP-If-Match if there is one.
    Publish {
        /// What Expires says.
        expires: u32,
        /// Whether it carries the state, as it is now.
        body: bool,
    },
    /// Tell the user.
    Event(PublicationEvent),
}

/// What the user of a publication is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicationEvent {
    /// The state is published, anew or still.
    Published {
        /// For how long, unless refreshed.
        expires: Duration,
    },
    /// A try failed.
    Failed {
        /// By this response; `None` if none came.
        status: Option<StatusCode>,
        /// When it is tried again; `None` if it is not: the publication is over.
        retry_in: Option<Duration>,
    },
    /// The publication is over, as asked.
    Removed {
        /// Whether the compositor said so, or there was nothing to remove. If not, the state runs out by itself.
        confirmed: bool,
    },
}

/// One publication: see the module.
///
/// It holds no body: keep that beside it. All times are those since one moment, always the same, that its owner
/// chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    state: State,
    /// Which the compositor gave us last.
    entity_tag: Option<Box<str>>,
    /// What is asked for: what the user wants, or more if the compositor insisted.
    asked: u32,
    /// The state that is published is not the latest.
    changed: bool,
    remove: bool,
    interval_changes: u8,
    failures: u8,
    /// A PUBLISH had no answer: it may have been obeyed.
    unanswered: bool,
    deadline: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asking,
    Published,
    Waiting,
    Removing,
    Over,
}

type Actions = SmallVec<[PublicationAction; 2]>;
type Draw<'a> = &'a mut dyn FnMut(RangeInclusive<u32>) -> u32;

impl Publication {
    /// A publication for so many seconds at a time, at least one.
    pub fn new(expires: u32) -> Publication {
        Publication {
            state: State::Idle,
            entity_tag: None,
            asked: expires.max(1),
            changed: false,
            remove: false,
            interval_changes: 0,
            failures: 0,
            unanswered: false,
            deadline: None,
        }
    }

    /// What SIP-If-Match of the next PUBLISH says.
    pub fn entity_tag(&self) -> Option<&str> {
        self.entity_tag.as_deref()
    }

    /// Whether nothing more will come: it can be dropped.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether a PUBLISH is out, or was asked for.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking | State::Removing)
    }

    /// When [`PublicationInput::Timer`] is due. It changes with each input.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Takes an input and says what is to be done. `draw` gives a random number within the range it is handed.
    pub fn handle(
        &mut self,
        now: Duration,
        input: PublicationInput<'_>,
        draw: Draw<'_>,
    ) -> SmallVec<[PublicationAction; 2]> {
        use PublicationInput as Input;
        let mut out = Actions::new();
        match (self.state, input) {
            (State::Idle | State::Published | State::Waiting, Input::Publish) => {
                self.changed = true;
                self.publish(&mut out);
            }
            // RFC 3903 §4: "EPAs MUST NOT send a new PUBLISH request (not a re-transmission) for
            // the same Request-URI, until they have received a final response from
            // the ESC for the previous one or the previous PUBLISH request has
            // timed out."
            (State::Asking, Input::Publish) => self.changed = true,
            (State::Asking, Input::Remove) => self.remove = true,
            (State::Published | State::Waiting, Input::Remove) => self.remove_now(&mut out),
            (State::Idle, Input::Remove) => self.over(true, &mut out),
            (State::Asking, Input::Response(response)) => {
                self.answered(now, response, draw, &mut out);
            }
            (State::Asking, Input::NoResponse) => self.failed(now, None, None, draw, &mut out),
            (State::Published | State::Waiting, Input::Timer) => {
                if self.deadline.is_some_and(|deadline| deadline <= now) {
                    self.publish(&mut out);
                }
            }
            (State::Removing, Input::Response(response)) => {
                // What is not there needs no removal.
                let gone = response.status() == StatusCode::CONDITIONAL_REQUEST_FAILED;
                self.over(gone || response.status().is_success(), &mut out);
            }
            (State::Removing, Input::NoResponse) => self.over(false, &mut out),
            (State::Removing, Input::Publish | Input::Remove | Input::Timer) => {}
            (State::Asking, Input::Timer) => {}
            (State::Idle, Input::Response(_) | Input::NoResponse | Input::Timer) => {}
            (State::Published | State::Waiting, Input::Response(_) | Input::NoResponse) => {}
            (
                State::Over,
                Input::Publish
                | Input::Remove
                | Input::Response(_)
                | Input::NoResponse
                | Input::Timer,
            ) => {}
        }
        out
    }

    /// Sends what the state asks for (RFC 3903 §4.1, table 1).
    fn publish(&mut self, out: &mut Actions) {
        // RFC 3903 §4.2: "An initial PUBLISH request MUST contain a body that contains the
        // published event state."
        // RFC 3903 §4.3: "Therefore, a PUBLISH request that refreshes event state
        // MUST NOT have a body."
        // RFC 3903 §4.4: "A PUBLISH request that modifies
        // event state MUST contain a body that includes the modified event
        // state."
        let body = self.changed || self.entity_tag.is_none();
        self.changed = false;
        self.state = State::Asking;
        self.deadline = None;
        out.push(PublicationAction::Publish { expires: self.asked, body });
    }

    fn remove_now(&mut self, out: &mut Actions) {
        self.deadline = None;
        if self.entity_tag.is_none() {
            return self.over(!self.unanswered, out);
        }
        self.state = State::Removing;
        // RFC 3903 §4.5: "Therefore, a PUBLISH request
        // that removes event state MUST NOT contain a body."
        out.push(PublicationAction::Publish { expires: 0, body: false });
    }

    fn answered(&mut self, now: Duration, response: &Response, draw: Draw<'_>, out: &mut Actions) {
        let status = response.status();
        if status.is_success() {
            // RFC 3903 §4.3: "The EPA MUST store this entity-tag, replacing
            // any existing entity-tag for the refreshed event state."
            let tag = response.get::<SipEtag<'_>>().ok().flatten();
            self.entity_tag = tag.map(|tag| tag.as_str().into());
            let given = response.get::<Expires>().ok().flatten();
            // RFC 3903 §4.2: "The ESC may lower the suggested lifetime of the publication, but it
            // will never extend it."
            let seconds = given.map_or(self.asked, |expires| expires.0.min(self.asked));
            (self.failures, self.interval_changes, self.unanswered) = (0, 0, false);
            if self.remove {
                return self.remove_now(out);
            }
            let expires = Duration::from_secs(seconds.into());
            out.push(PublicationAction::Event(PublicationEvent::Published { expires }));
            if self.changed {
                return self.publish(out);
            }
            self.state = State::Published;
            // A life of nothing is asked for again after a while all the same.
            self.deadline = Some(now.saturating_add(refresh_in(seconds.max(2), draw)));
            return;
        }
        // RFC 3903 §5: "If an EPA receives a 412 (Conditional Request Failed) response, it
        // MUST NOT reattempt the PUBLISH request.  Instead, to publish event
        // state, the EPA SHOULD perform an initial publication, i.e., a PUBLISH
        // request without a SIP-If-Match header field, as described in Section
        // 4.2.  The EPA MUST also discard the entity-tag that produced this
        // error response."
        if status == StatusCode::CONDITIONAL_REQUEST_FAILED && self.entity_tag.take().is_some() {
            // What it named is gone.
            self.unanswered = false;
            return if self.remove { self.over(true, out) } else { self.publish(out) };
        }
        if status == StatusCode::INTERVAL_TOO_BRIEF
            && self.interval_changes < MAX_INTERVAL_CHANGES
            && let Ok(Some(least)) = response.get::<MinExpires>()
            && least.0 > self.asked
        {
            // RFC 3903 §5: "it MAY retry the publication after changing the expiration
            // interval in the Expires header field to be equal to or greater than
            // the expiration interval within the Min-Expires header field"
            self.interval_changes += 1;
            self.asked = least.0;
            self.changed = true; // What the refused one carried is not published.
            return if self.remove { self.remove_now(out) } else { self.publish(out) };
        }
        self.failed(now, Some(status), retry_after(response), draw, out);
    }

    fn failed(
        &mut self,
        now: Duration,
        status: Option<StatusCode>,
        at_least: Option<Duration>,
        draw: Draw<'_>,
        out: &mut Actions,
    ) {
        self.unanswered |= status.is_none();
        if self.remove {
            return self.remove_now(out);
        }
        // Whether it was taken nobody knows: the next one carries the state.
        self.changed = true;
        let never = status.is_some_and(|status| {
            matches!(status.as_u16(), 401 | 403 | 404 | 405 | 407 | 415 | 416 | 489 | 501 | 604)
        });
        let wait = (!never).then(|| {
            let doubled = 1_u32.checked_shl(self.failures.into()).unwrap_or(u32::MAX);
            self.failures = self.failures.saturating_add(1);
            let most = BASE_WAIT.saturating_mul(doubled).min(MAX_WAIT).as_millis();
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let wait = Duration::from_millis(draw(most / 2..=most).clamp(most / 2, most).into());
            wait.max(at_least.unwrap_or_default())
        });
        let event = PublicationEvent::Failed { status, retry_in: wait };
        out.push(PublicationAction::Event(event));
        self.deadline = wait.map(|wait| now.saturating_add(wait));
        self.state = if wait.is_some() { State::Waiting } else { State::Over };
    }

    fn over(&mut self, confirmed: bool, out: &mut Actions) {
        self.state = State::Over;
        self.deadline = None;
        out.push(PublicationAction::Event(PublicationEvent::Removed { confirmed }));
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;
    use std::format;

    use super::*;
    use crate::test_support::response;

    struct Script {
        machine: Publication,
        now: Duration,
    }

    impl Script {
        fn new() -> Script {
            let mut script = Script { machine: Publication::new(3600), now: Duration::ZERO };
            script.input(PublicationInput::Publish, &["PUBLISH 3600 state"]);
            script
        }

        #[track_caller]
        fn input(&mut self, input: PublicationInput<'_>, expected: &[&str]) {
            let actions = self.machine.handle(self.now, input, &mut |range| *range.start());
            let done: Vec<String> = actions
                .iter()
                .map(|action| match action {
                    PublicationAction::Publish { expires, body } => {
                        let tag =
                            self.machine.entity_tag().map_or(String::new(), |t| format!(" {t}"));
                        let state = if *body { " state" } else { "" };
                        format!("PUBLISH {expires}{tag}{state}")
                    }
                    PublicationAction::Event(PublicationEvent::Published { expires }) => {
                        format!("published {}", expires.as_secs())
                    }
                    PublicationAction::Event(PublicationEvent::Failed { status, retry_in }) => {
                        let status = status.map_or(0, StatusCode::as_u16);
                        format!("failed {status} {:?}", retry_in.map(|wait| wait.as_secs()))
                    }
                    PublicationAction::Event(event) => format!("{event:?}"),
                })
                .collect();
            assert_eq!(done, expected);
        }

        #[track_caller]
        fn answer(&mut self, status: u16, more: &str, expected: &[&str]) {
            let response = response(&format!(
                "SIP/2.0 {status} X
                 Via: SIP/2.0/UDP a;branch=z9hG4bK1
                 From: <sip:a@example.com>;tag=a
                 To: <sip:a@example.com>;tag=b
                 Call-ID: 1
                 CSeq: 1 PUBLISH
                 {more}"
            ));
            self.input(PublicationInput::Response(&response), expected);
        }

        #[track_caller]
        fn timer_at(&mut self, seconds: u64, expected: &[&str]) {
            assert_eq!(self.machine.deadline(), Some(Duration::from_secs(seconds)));
            self.now = Duration::from_secs(seconds);
            self.input(PublicationInput::Timer, expected);
        }
    }

    // RFC 3903 §15: M5 to M12 of the example, and the removal.
    #[test]
    fn the_rfcs_example() {
        let mut script = Script::new();
        script.answer(200, "SIP-ETag: dx200xyz\nExpires: 1800", &["published 1800"]);
        script.timer_at(1350, &["PUBLISH 3600 dx200xyz"]);
        script.answer(200, "SIP-ETag: kwj449x\nExpires: 1800", &["published 1800"]);
        script.input(PublicationInput::Publish, &["PUBLISH 3600 kwj449x state"]);
        script.answer(200, "SIP-ETag: qwi982ks\nExpires: 3600", &["published 3600"]);
        script.input(PublicationInput::Remove, &["PUBLISH 0 qwi982ks"]);
        script.answer(200, "SIP-ETag: x\nExpires: 0", &["Removed { confirmed: true }"]);
        assert!(script.machine.is_over() && script.machine.deadline().is_none());
    }

    // RFC 3903 §5
    #[test]
    fn what_answers_mean() {
        let mut script = Script::new();
        script.answer(423, "Min-Expires: 7200", &["PUBLISH 7200 state"]);
        script.answer(200, "SIP-ETag: a\nExpires: 7200", &["published 7200"]);
        script.timer_at(5400, &["PUBLISH 7200 a"]);
        // It has run out at the compositor: once more from the start, with the state.
        script.answer(412, "", &["PUBLISH 7200 state"]);
        script.answer(412, "", &["failed 412 Some(15)"]);
        script.timer_at(5415, &["PUBLISH 7200 state"]);
        script.input(PublicationInput::NoResponse, &["failed 0 Some(30)"]);
        script.timer_at(5445, &["PUBLISH 7200 state"]);
        script.answer(503, "Retry-After: 100", &["failed 503 Some(100)"]);
        script.input(PublicationInput::Publish, &["PUBLISH 7200 state"]);
        script.answer(403, "", &["failed 403 None"]);
        assert!(script.machine.is_over());
        for status in [401, 404, 405, 415, 489, 501] {
            Script::new().answer(status, "", &[&format!("failed {status} None")]);
        }
    }

    #[test]
    fn one_publish_at_a_time() {
        let mut script = Script::new();
        script.input(PublicationInput::Publish, &[]);
        script.input(PublicationInput::Publish, &[]);
        let answer = "SIP-ETag: a\nExpires: 60";
        script.answer(200, answer, &["published 60", "PUBLISH 3600 a state"]);
        script.input(PublicationInput::Remove, &[]);
        script.answer(200, "SIP-ETag: b\nExpires: 60", &["PUBLISH 0 b"]);
        script.input(PublicationInput::NoResponse, &["Removed { confirmed: false }"]);
        // Nothing was published: nothing is to be removed.
        let mut script = Script::new();
        script.answer(500, "", &["failed 500 Some(15)"]);
        script.input(PublicationInput::Remove, &["Removed { confirmed: true }"]);
        // What had no answer may be.
        let mut script = Script::new();
        script.input(PublicationInput::Remove, &[]);
        script.input(PublicationInput::NoResponse, &["Removed { confirmed: false }"]);
        let mut script = Script::new();
        script.input(PublicationInput::NoResponse, &["failed 0 Some(15)"]);
        script.input(PublicationInput::Remove, &["Removed { confirmed: false }"]);
        let mut script = Script::new();
        script.answer(200, answer, &["published 60"]);
        script.input(PublicationInput::Remove, &["PUBLISH 0 a"]);
        script.answer(412, "", &["Removed { confirmed: true }"]);
    }
}
