//! What comes of a registration, as its user is told.

use std::time::Duration;

use sip_auth::AuthError;
use sip_message::StatusCode;
use sip_transport::TransportError;

/// What the user of a registration is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistrationEvent {
    /// The registrar holds the binding, anew or still. It is refreshed in time without further ado.
    Registered {
        /// How long the registrar keeps it unless refreshed.
        expires: Duration,
    },
    /// An attempt failed.
    Failed {
        /// Why.
        reason: RegistrationFailure,
        /// When the next attempt is made; `None` if none is: the registration is over.
        retry_in: Option<Duration>,
    },
    /// The registration is over, as asked.
    Unregistered {
        /// Whether the registrar said so, or there was nothing to remove. If not, the binding runs out by itself.
        confirmed: bool,
    },
}

/// Why an attempt to register failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationFailure {
    /// The registrar refused with this status.
    #[error("the registrar answered {0}")]
    Status(StatusCode),
    /// The registrar's challenge could not be answered.
    #[error("{0}")]
    Authentication(AuthError),
    /// No answer came in time.
    #[error("the registrar did not answer")]
    TimedOut,
    /// The registrar cannot be reached.
    #[error("the registrar cannot be reached: {0}")]
    TransportError(TransportError),
    /// The flow to the registrar has failed: no keep-alive is answered, the connection is gone, or a NAT on
    /// the way has given us another address.
    #[error("the flow to the registrar has failed")]
    FlowFailed,
    /// The registrar answered 2xx but keeps no binding of ours.
    #[error("the registrar keeps no binding")]
    NoBinding,
    /// The REGISTER cannot be made: what it was configured with does not make a request.
    #[error("the REGISTER cannot be made: {0}")]
    Build(String),
}

impl RegistrationFailure {
    /// A short name that stays the same through versions: what counters are labelled with.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "refused",
            Self::Authentication(_) => "authentication",
            Self::TimedOut => "timed_out",
            Self::TransportError(_) => "transport_error",
            Self::FlowFailed => "flow_failed",
            Self::NoBinding => "no_binding",
            Self::Build(_) => "not_sent",
        }
    }
}
