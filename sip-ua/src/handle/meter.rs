//! What the calls and registrations of a user agent come to, told to the `metrics` facade:
//! `docs/metrics.md` lists the names.
//!
//! The agent knows nothing of it: here is seen what passes between the agent and the handles, a few things for
//! each call.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use metrics::{counter, gauge, histogram};

use crate::{CallKey, CallUpdate, EndReason, Live, RegistrationEvent, RegistrationKey};

/// The calls that are under way, and what was told of what lives.
#[derive(Debug, Default)]
pub(super) struct Meter {
    calls: HashMap<CallKey, Metered>,
    answered: usize,
    registered: HashSet<RegistrationKey>,
    told: [f64; GAUGES.len()],
}

#[derive(Debug)]
struct Metered {
    direction: &'static str,
    begun: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Begun,
    Alerting,
    Answered,
}

/// What is, each with its labels.
const GAUGES: [(&str, &[(&str, &str)]); 7] = [
    ("sip_calls", &[("state", "early")]),
    ("sip_calls", &[("state", "answered")]),
    ("sip_dialogs", &[]),
    ("sip_registrations", &[("state", "registered")]),
    ("sip_registrations", &[("state", "unregistered")]),
    ("sip_requests_waiting", &[]),
    ("sip_queue_fill_ratio", &[("queue", "incoming")]),
];

impl Meter {
    /// We call somebody.
    pub(super) fn calls(&mut self, now: Instant, call: CallKey) {
        self.begin(now, call, "outgoing");
    }

    /// Somebody calls us.
    pub(super) fn is_called(&mut self, now: Instant, call: CallKey) {
        self.begin(now, call, "incoming");
    }

    fn begin(&mut self, now: Instant, call: CallKey, direction: &'static str) {
        counter!("sip_calls_started_total", "direction" => direction).increment(1);
        self.calls.insert(call, Metered { direction, begun: now, stage: Stage::Begun });
    }

    /// We accepted a call.
    pub(super) fn accepted(&mut self, now: Instant, call: CallKey) {
        self.reached(now, call, Stage::Answered);
    }

    /// A call moved on.
    pub(super) fn update(&mut self, now: Instant, call: CallKey, update: &CallUpdate) {
        match update {
            CallUpdate::Ringing { .. } | CallUpdate::Progress { .. } => {
                self.reached(now, call, Stage::Alerting);
            }
            CallUpdate::Answered { .. } => self.reached(now, call, Stage::Answered),
            CallUpdate::Ended(reason) => self.ended(call, reason),
            _ => {}
        }
    }

    fn reached(&mut self, now: Instant, call: CallKey, stage: Stage) {
        let Some(metered) = self.calls.get_mut(&call).filter(|call| call.stage < stage) else {
            return;
        };
        metered.stage = stage;
        let until = match stage {
            Stage::Answered => {
                self.answered = self.answered.saturating_add(1);
                "answer"
            }
            Stage::Begun | Stage::Alerting => "alerting",
        };
        let labels = [("direction", metered.direction), ("until", until)];
        let took = now.saturating_duration_since(metered.begun);
        histogram!("sip_call_setup_seconds", &labels).record(took);
    }

    fn ended(&mut self, call: CallKey, reason: &EndReason) {
        let Some(metered) = self.calls.remove(&call) else { return };
        if metered.stage == Stage::Answered {
            self.answered = self.answered.saturating_sub(1);
        }
        let reason = match reason.status().map(|status| status.as_u16() / 100) {
            Some(4) => "rejected_4xx",
            Some(5) => "rejected_5xx",
            Some(6) => "rejected_6xx",
            _ => reason.name(),
        };
        let labels = [("direction", metered.direction), ("reason", reason)];
        counter!("sip_calls_ended_total", &labels).increment(1);
    }

    /// A registration moved on.
    pub(super) fn registration(&mut self, key: RegistrationKey, event: &RegistrationEvent) {
        let outcome = match event {
            RegistrationEvent::Registered { .. } => "registered",
            RegistrationEvent::Failed { reason, .. } => reason.name(),
            RegistrationEvent::Unregistered { .. } => "unregistered",
        };
        if let RegistrationEvent::Registered { .. } = event {
            self.registered.insert(key);
        } else {
            self.registered.remove(&key);
        }
        counter!("sip_registrations_total", "outcome" => outcome).increment(1);
    }

    /// Tells what is. `waiting` is how many calls and requests wait for the application, and how many may.
    pub(super) fn tell(&mut self, live: Live, waiting: (usize, usize)) {
        let registered = self.registered.len();
        let (used, room) = (exact(waiting.0), exact(waiting.1.max(1)));
        self.say([
            exact(self.calls.len().saturating_sub(self.answered)),
            exact(self.answered),
            exact(live.dialogs),
            exact(registered),
            exact(live.registrations.saturating_sub(registered)),
            exact(live.requests),
            used / room,
        ]);
    }

    /// The difference, so that what several user agents have adds up.
    fn say(&mut self, now: [f64; GAUGES.len()]) {
        for (((name, labels), now), then) in GAUGES.into_iter().zip(now).zip(self.told) {
            gauge!(name, labels).increment(now - then);
        }
        self.told = now;
    }
}

/// What is gone has nothing any more.
impl Drop for Meter {
    fn drop(&mut self) {
        self.say([0.0; GAUGES.len()]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn exact(count: usize) -> f64 {
    count as f64
}
