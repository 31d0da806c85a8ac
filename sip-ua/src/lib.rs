//! A SIP user agent: accounts, registrations, incoming and outgoing calls (RFC 3261 §8, §10, §13-§15)
#![forbid(unsafe_code)]

mod account;
mod ladder;
mod recorder;

pub use account::{Account, Body, Credentials, ExtraHeaders, OutgoingCall};
pub use ladder::Ladder;
pub use recorder::{Recorded, Recorder, RecorderTap};
