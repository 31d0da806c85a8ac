//! `im-iscomposing` (RFC 3994): whether somebody is writing a message.
//!
//! ```text
//!  Composer            composing: "active" is sent                 Watcher            "active" came
//!     idle ─────────────────────────────────► active                 idle ──────────────────────────► active
//!      ▲     nothing done for 15 s: "idle"    │   ▲ refresh:           ▲      "idle" or a message came, │
//!      └──────── or the message is sent ──────┘   └ "active"           └── or no refresh in time ───────┘
//! ```

use std::time::Duration;

use crate::BodyError;
use crate::xml::{Element, Writer};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:im-iscomposing";
/// After so long without a key the composer is idle (RFC 3994 §3.2).
const IDLE_AFTER: Duration = Duration::from_secs(15);
/// How long an "active" holds that does not say it (RFC 3994 §3.3).
const DEFAULT_REFRESH: Duration = Duration::from_secs(120);
/// How often it may be said again at most (RFC 3994 §3.2).
const LEAST_REFRESH: Duration = Duration::from_secs(60);
/// What a peer says is believed for a day at most.
const MOST_REFRESH: Duration = Duration::from_secs(86_400);

/// A status message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsComposing {
    /// Whether a message is being written.
    pub active: bool,
    /// When something was last done, as RFC 3339 writes it.
    pub last_active: Option<String>,
    /// The type of what is written: `text/plain`, `audio`.
    pub content_type: Option<String>,
    /// In how many seconds it is said again, if it goes on.
    pub refresh: Option<u32>,
}

impl IsComposing {
    /// The type of the body.
    pub const CONTENT_TYPE: &'static str = "application/im-iscomposing+xml";

    /// Reads a body. A state of another name counts as idle (RFC 3994 §3.4).
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document(body, NAMESPACE, "isComposing")?;
        let text = |name| root.child_text(name).map(str::to_owned);
        let state = root.child_text("state").ok_or(BodyError::Missing("state"))?;
        let refresh = root.child_text("refresh").map(str::parse);
        Ok(Self {
            active: state == "active",
            last_active: text("lastactive"),
            content_type: text("contenttype"),
            refresh: refresh.transpose().map_err(|_| BodyError::Invalid("refresh"))?,
        })
    }

    /// Writes a body.
    pub fn render(&self) -> String {
        let mut writer = Writer::new();
        writer.begin("isComposing", &[("xmlns", Some(NAMESPACE))]);
        writer.leaf("state", &[], if self.active { "active" } else { "idle" });
        writer.leaf_if("lastactive", self.last_active.as_deref());
        writer.leaf_if("contenttype", self.content_type.as_deref());
        let refresh = self.refresh.map(|seconds| seconds.to_string());
        writer.leaf_if("refresh", refresh.as_deref());
        writer.finish()
    }
}

/// Who writes: says when the peer is to be told so. All times are those since one moment, always the same, that its
/// owner chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composer {
    refresh: Duration,
    active: Option<Active>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Active {
    idle_at: Duration,
    refresh_at: Duration,
}

impl Default for Composer {
    fn default() -> Self {
        Self::new(DEFAULT_REFRESH)
    }
}

impl Composer {
    /// One that says each so often that it still writes: a minute at least.
    pub fn new(refresh: Duration) -> Self {
        Self { refresh: refresh.clamp(LEAST_REFRESH, MOST_REFRESH), active: None }
    }

    /// A key was pressed; gives the status message that is to be sent, if one is.
    pub fn composing(&mut self, now: Duration) -> Option<IsComposing> {
        let idle_at = now.saturating_add(IDLE_AFTER);
        if let Some(active) = &mut self.active {
            active.idle_at = idle_at;
            return None;
        }
        self.active = Some(Active { idle_at, refresh_at: now.saturating_add(self.refresh) });
        Some(self.status(true))
    }

    /// The message was sent: that says enough.
    pub fn sent(&mut self) {
        self.active = None;
    }

    /// What was written was thrown away; gives the status message that is to be sent, if one is.
    pub fn discarded(&mut self) -> Option<IsComposing> {
        self.active.take().map(|_| self.status(false))
    }

    /// When [`timer`](Self::timer) is due.
    pub fn deadline(&self) -> Option<Duration> {
        self.active.map(|active| active.idle_at.min(active.refresh_at))
    }

    /// The deadline has passed; gives the status message that is to be sent, if one is.
    pub fn timer(&mut self, now: Duration) -> Option<IsComposing> {
        let active = self.active.as_mut()?;
        if active.idle_at <= now {
            return self.discarded();
        }
        if active.refresh_at <= now {
            active.refresh_at = now.saturating_add(self.refresh);
            return Some(self.status(true));
        }
        None
    }

    fn status(&self, active: bool) -> IsComposing {
        let refresh = u32::try_from(self.refresh.as_secs()).unwrap_or(u32::MAX);
        IsComposing { active, refresh: active.then_some(refresh), ..IsComposing::default() }
    }
}

/// Whose peer writes: says whether to show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watcher {
    active_until: Option<Duration>,
}

impl Watcher {
    /// A status message came; gives whether the peer writes.
    pub fn status(&mut self, now: Duration, status: &IsComposing) -> bool {
        let refresh = status.refresh.map(|seconds| Duration::from_secs(seconds.into()));
        let refresh = refresh.unwrap_or(DEFAULT_REFRESH).min(MOST_REFRESH);
        self.active_until = status.active.then(|| now.saturating_add(refresh));
        status.active
    }

    /// A message came: it is written.
    pub fn message(&mut self) {
        self.active_until = None;
    }

    /// When [`timer`](Self::timer) is due.
    pub fn deadline(&self) -> Option<Duration> {
        self.active_until
    }

    /// The deadline has passed: the peer counts as idle.
    pub fn timer(&mut self, now: Duration) {
        self.active_until = self.active_until.filter(|until| *until > now);
    }

    /// Whether the peer writes.
    pub fn is_composing(&self) -> bool {
        self.active_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // RFC 3994 §3.2
    #[test]
    fn who_writes() {
        let mut composer = Composer::new(at(10));
        assert_eq!(composer.timer(at(0)), None);
        let active = composer.composing(at(0)).unwrap();
        assert_eq!((active.active, active.refresh), (true, Some(60)), "no more than once a minute");
        assert_eq!(composer.composing(at(10)), None);
        assert_eq!(composer.deadline(), Some(at(25)));
        assert_eq!(composer.timer(at(24)), None);
        for second in [24, 38, 52] {
            assert_eq!(composer.composing(at(second)), None);
        }
        assert_eq!(composer.deadline(), Some(at(60)));
        assert!(composer.timer(at(60)).unwrap().active, "said again");
        let idle = composer.timer(at(67)).unwrap();
        assert_eq!((idle.active, idle.refresh), (false, None));
        assert_eq!((composer.deadline(), composer.timer(at(200))), (None, None));
        assert!(composer.composing(at(300)).is_some());
        composer.sent();
        assert_eq!((composer.deadline(), composer.discarded()), (None, None));
        assert!(composer.composing(at(301)).is_some());
        assert!(!composer.discarded().unwrap().active);
    }

    // RFC 3994 §3.3
    #[test]
    fn who_is_told() {
        let mut watcher = Watcher::default();
        let active = IsComposing { active: true, ..IsComposing::default() };
        assert!(watcher.status(at(0), &active) && watcher.is_composing());
        watcher.timer(at(119));
        assert!(watcher.is_composing());
        watcher.timer(at(120));
        assert!(!watcher.is_composing() && watcher.deadline().is_none());
        watcher.status(at(200), &IsComposing { refresh: Some(90), ..active.clone() });
        assert_eq!(watcher.deadline(), Some(at(290)));
        assert!(!watcher.status(at(210), &IsComposing::default()) && !watcher.is_composing());
        watcher.status(at(220), &IsComposing { refresh: Some(u32::MAX), ..active });
        assert_eq!(watcher.deadline(), Some(at(220 + 86_400)));
        watcher.message();
        assert!(!watcher.is_composing());
    }

    #[test]
    fn read_and_written() {
        let body = format!(
            "<?xml version='1.0' encoding='UTF-8'?><isComposing xmlns='{NAMESPACE}'>
             <state>active</state><contenttype>text/plain</contenttype><refresh>90</refresh>
             <lastactive>2003-01-27T10:43:00Z</lastactive></isComposing>"
        );
        let status = IsComposing::parse(body.as_bytes()).unwrap();
        assert_eq!((status.active, status.refresh), (true, Some(90)));
        assert_eq!(status.last_active.as_deref(), Some("2003-01-27T10:43:00Z"));
        assert_eq!(IsComposing::parse(status.render().as_bytes()), Ok(status));
        let wrap = |inner: &str| format!("<isComposing xmlns='{NAMESPACE}'>{inner}</isComposing>");
        let read = |inner: &str| IsComposing::parse(wrap(inner).as_bytes());
        assert!(!read("<state>asleep</state>").unwrap().active);
        assert_eq!(read(""), Err(BodyError::Missing("state")));
        let odd = "<state>idle</state><refresh>-1</refresh>";
        assert_eq!(read(odd), Err(BodyError::Invalid("refresh")));
    }
}
