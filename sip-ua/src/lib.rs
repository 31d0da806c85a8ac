//! A SIP user agent: accounts, registrations, incoming and outgoing calls (RFC 3261 §8, §10, §13-§15)
#![forbid(unsafe_code)]

mod account;
mod agent;
mod auth;
mod ladder;
mod recorder;
mod registration;

pub use account::{Account, Body, Credentials, ExtraHeaders, OutgoingCall};
pub use agent::{
    Agent, AgentConfig, AgentError, AgentEvent, CallKey, CallState, CallUpdate, EarlyId, EndReason,
    Live, RegistrationKey, RequestFailure, RequestKey,
};
pub use auth::AuthError;
pub use ladder::Ladder;
pub use recorder::{Recorded, Recorder, RecorderTap};
pub use registration::{RegistrationEvent, RegistrationFailure};
