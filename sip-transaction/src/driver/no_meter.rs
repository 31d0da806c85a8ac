//! In place of `meter.rs` without the feature `metrics`: nothing is counted, and nothing is left of it.

use std::time::Instant;

use sip_transport::{Input, SocketStats, Transmit};

use crate::Stats;

/// Counts nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {}

impl Meter {
    pub(super) const fn input(&self, _: &Input) {}

    pub(super) const fn transmit(&self, _: &Transmit) {}

    pub(super) const fn turn(&self, _: Instant) -> bool {
        false
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        None
    }

    pub(super) const fn tell(&self, _: Stats, _: SocketStats, _: (usize, usize)) {}
}
