//! Why a request is not served, and what is owed to it.

use alloc::string::String;
use alloc::vec::Vec;

use sip_message::{Challenge, HeaderName, StatusCode};

use crate::nonce::Bad;

/// Why a request is not served: [`Authority::answer`](crate::Authority::answer) says what is owed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are none for this realm.
    #[error("there are no credentials for this realm")]
    NoCredentials,
    /// The nonce was not made here, or not for this algorithm, call or source.
    #[error("the nonce is of another server, algorithm, call or source")]
    ForeignNonce,
    /// The nonce has run out.
    #[error("the nonce has run out")]
    OldNonce,
    /// The nonce was used with this count before: a replay, or a client that does not count.
    #[error("the nonce was used with this count before")]
    Repeated,
    /// The session began with a client's nonce that is not remembered here.
    #[error("the session is not known here")]
    OtherSession,
    /// The secret is wrong, or there is no such user.
    #[error("username or secret are wrong")]
    Wrong,
    /// A parameter is improper or missing.
    #[error("the credentials are malformed: {0}")]
    Malformed(&'static str),
    /// They were computed for another URI.
    #[error("the credentials are for another URI")]
    OtherUri,
}

impl From<Bad> for Refusal {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Foreign => Self::ForeignNonce,
            Bad::Old => Self::OldNonce,
        }
    }
}

impl Refusal {
    /// Whether the client is told to try again without asking its user.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::ForeignNonce | Self::OldNonce | Self::Repeated | Self::OtherSession)
    }

    /// Of several, the one with the highest is told.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::NoCredentials => 0,
            Self::ForeignNonce => 1,
            Self::OldNonce | Self::Repeated | Self::OtherSession => 2,
            Self::Wrong | Self::Malformed(_) | Self::OtherUri => 3,
        }
    }
}

/// What is owed to a request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 401, 407, 403 or 400.
    pub status: StatusCode,
    /// One for each algorithm, the strongest first; none in a 403 or 400.
    pub challenges: Vec<Challenge<'static>>,
    pub(super) header: HeaderName<'static>,
}

impl Answer {
    /// The header fields of the response.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName<'static>, String)> {
        use alloc::string::ToString;
        self.challenges.iter().map(|challenge| (self.header, challenge.to_string()))
    }
}
