//! A SIP user agent: accounts, registrations, incoming and outgoing calls (RFC 3261 §8, §10, §13-§15)
#![forbid(unsafe_code)]

mod ladder;
mod recorder;

pub use ladder::Ladder;
pub use recorder::{Recorded, Recorder, RecorderTap};
