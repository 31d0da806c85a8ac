//! The time of day of what a tap sees.

use std::time::{Duration, Instant, SystemTime};

/// Turns the clock of the stack, which never jumps, into the time of day as it was when the tap was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    began: Instant,
    /// Since 1970.
    time: Duration,
}

impl Wall {
    pub(super) fn now() -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), time }
    }

    /// Since 1970.
    pub(super) fn at(&self, at: Instant) -> Duration {
        self.time + at.saturating_duration_since(self.began)
    }
}
