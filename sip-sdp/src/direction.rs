use core::fmt;

/// Which way the media of a stream flows, as the one says it who writes the description (RFC 3264 §5.1,
/// RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; also what is meant if nothing is said.
    #[default]
    SendRecv,
    /// Only from who says this.
    SendOnly,
    /// Only to who says this.
    RecvOnly,
    /// Neither way. RTCP goes on.
    Inactive,
}

impl Direction {
    /// As the attribute says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether the one who says this sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the one who says this receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same seen from the other side.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// What is left of this when the peer wants `theirs`: the answer to an offer of `theirs` by one who
    /// wants `self`.
    ///
    /// ```
    /// use sip_sdp::Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    /// assert_eq!(SendRecv.answering(SendOnly), RecvOnly);
    /// assert_eq!(SendOnly.answering(SendOnly), Inactive); // Both hold.
    /// ```
    #[must_use]
    pub const fn answering(self, theirs: Self) -> Self {
        // RFC 3264 §6.1: "If a stream is offered as sendonly, the corresponding stream MUST be marked
        // as recvonly or inactive in the answer. If a media stream is listed as recvonly in the offer,
        // the answer MUST be marked as sendonly or inactive in the answer. … If an offered media stream is
        // listed as inactive, it MUST be marked as inactive in the answer."
        Self::of(self.sends() && theirs.receives(), self.receives() && theirs.sends())
    }

    /// This without receiving: what who holds the other says.
    pub(crate) const fn held(self) -> Self {
        Self::of(self.sends(), false)
    }

    const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == name)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
