//! Why a handle could not do what it was asked.

use std::io;

use crate::{AgentError, EndReason, RegistrationFailure, RequestFailure};

/// The user agent has shut down: nothing can be asked of it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user agent has shut down")]
pub struct Stopped;

/// Why a user agent did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    #[error("cannot listen")]
    Listen(#[from] io::Error),
    /// A setting of the transaction layer makes no sense.
    #[error("a setting makes no sense")]
    Config(#[from] sip_transaction::ConfigError),
}

/// Why something could not be done with a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call is over, for this reason.
    #[error("the call is over: {0}")]
    Ended(EndReason),
    /// The agent refused: its error names the state or the limit.
    #[error(transparent)]
    Refused(#[from] AgentError),
    /// The user agent has shut down.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a request has no answer to hand over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The call in which it was to be sent is over, for this reason.
    #[error("the call is over: {0}")]
    Ended(EndReason),
    /// It was sent and failed.
    #[error(transparent)]
    Failed(#[from] RequestFailure),
    /// The agent did not send it: its error names the state or the limit.
    #[error(transparent)]
    Refused(#[from] AgentError),
    /// The user agent has shut down.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The registrar refused, or did not answer.
    #[error(transparent)]
    Failed(#[from] RegistrationFailure),
    /// The agent did not send it: its error names the limit.
    #[error(transparent)]
    Refused(#[from] AgentError),
    /// The user agent has shut down.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
