//! In place of `meter.rs` without the feature `metrics`: nothing is counted, and nothing is left of it.

use std::time::Instant;

use crate::{CallKey, CallUpdate, Live, RegistrationEvent, RegistrationKey};

/// Counts nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {}

impl Meter {
    pub(super) const fn calls(&self, _: Instant, _: CallKey) {}

    pub(super) const fn is_called(&self, _: Instant, _: CallKey) {}

    pub(super) const fn accepted(&self, _: Instant, _: CallKey) {}

    pub(super) const fn update(&self, _: Instant, _: CallKey, _: &CallUpdate) {}

    pub(super) const fn registration(&self, _: RegistrationKey, _: &RegistrationEvent) {}

    pub(super) const fn tell(&self, _: Live, _: (usize, usize)) {}
}
