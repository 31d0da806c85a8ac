//! What is wrong with a description, and what is owed for it.

use sip_message::StatusCode;

/// Why there is no offer or no answer, or why one was not taken. Nothing of the session has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// It is no session description (RFC 8866): 400 is owed.
    #[error("line {line}: {fault}")]
    Malformed {
        /// The line, counted from 1; 0 for what is missing as a whole.
        line: u32,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It is larger than the [`Limits`](crate::Limits) allow: 413 is owed for its size, 488 for the rest.
    #[error("line {line}: more than the limit of {limit}")]
    TooLarge {
        /// The line with which the limit is passed; 0 for the size of the whole.
        line: u32,
        /// The limit, by its name in [`Limits`](crate::Limits).
        limit: &'static str,
    },
    /// It breaks the rules of offers and answers (RFC 3264): 488 is owed for an offer.
    #[error("line {line}: {breach}")]
    Illegal {
        /// The line.
        line: u32,
        /// The rule that it breaks.
        breach: Breach,
    },
    /// It is right, but nothing in it is what we can do: 488 is owed, with a Warning.
    #[error("line {line}: {reason}")]
    Unacceptable {
        /// The line of the first stream that was refused.
        line: u32,
        /// Why it was.
        reason: Reason,
    },
    /// An offer has come while ours waits for its answer: glare, 491 is owed.
    #[error("an offer of ours waits for its answer")]
    Glare,
    /// The caller asked for what makes no sense now.
    #[error("{0}")]
    Misuse(Misuse),
}

/// What makes a text no session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what it is in its message")]
pub enum Fault {
    #[error("not a line of a type, = and a value")]
    Line,
    #[error("does not begin with v=0")]
    Version,
    #[error("o= is missing")]
    NoOrigin,
    #[error("o= is not a name, a number, a version of at most 63 bits and an address")]
    Origin,
    #[error("a line that may be there once is there twice")]
    Repeated,
    #[error("c= is not a network, a kind of address and an address")]
    Connection,
    #[error("m= without an address: neither it nor the session has a c=")]
    NoConnection,
    #[error("m= is not a medium, a port, a protocol and formats")]
    Media,
    #[error("a payload type is not a number up to 127, or is listed twice")]
    PayloadType,
    #[error("b= is not a modifier and a number")]
    Bandwidth,
    #[error("the name of an attribute is not a token")]
    AttributeName,
    #[error("a=rtpmap is not a payload type, a name and a clock rate")]
    RtpMap,
    #[error("two directions for one stream")]
    Directions,
    #[error("a=ptime or a=maxptime is not a positive number")]
    PacketTime,
    #[error("a=mid is not a token, or is that of another stream")]
    Mid,
    #[error("a=crypto is not a tag, a suite and a key, or repeats a tag")]
    Crypto,
    #[error("a=setup is none of active, passive, actpass and holdconn")]
    Setup,
    #[error("a value is missing or wrong")]
    Value,
}

/// The rules of RFC 3264 that a peer may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what it is in its message")]
pub enum Breach {
    #[error("an answer with another number of m= lines than the offer (RFC 3264 §6)")]
    Count,
    #[error("an offer with fewer m= lines than the session has (RFC 3264 §8)")]
    Shrunk,
    #[error("an answer with another kind of medium than the offer (RFC 3264 §6.1)")]
    Kind,
    #[error("an answer with another transport protocol than the offer (RFC 3264 §6)")]
    Protocol,
    #[error("an answer that takes a stream which the offer had ended (RFC 3264 §8.2)")]
    Revived,
    #[error("an answer whose direction does not fit the offer's (RFC 3264 §6.1)")]
    Direction,
    #[error("an answer without one format of the offer (RFC 3264 §6.1)")]
    Formats,
    #[error(
        "an answer of multicast to an offer of unicast, or the other way (RFC 3264 §6.1, §6.2)"
    )]
    Multicast,
    #[error("an answer without the key that the offer asks for (RFC 4568 §5.1.3, RFC 5763 §5)")]
    Keying,
    #[error("a changed description whose version is not one more (RFC 3264 §8)")]
    Version,
    #[error("an o= line that is another session's (RFC 3264 §8)")]
    Origin,
    #[error("a payload type that stood for another codec (RFC 3264 §8.3.2)")]
    Rebound,
    #[error("an answer that groups what the offer did not (RFC 5888 §9.2)")]
    Group,
}

/// Why a stream of an offer is refused; as the reason for all of them it becomes a Warning (RFC 3261 §20.43).
/// The further down, the closer it was to being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what it is in its message")]
pub enum Reason {
    #[error("Media type not available")]
    MediaType,
    #[error("Incompatible transport protocol")]
    Transport,
    #[error("Multicast not available")]
    Multicast,
    #[error("Incompatible network protocol")]
    Network,
    #[error("Incompatible network address formats")]
    AddressFormat,
    #[error("Attribute not understood")]
    Attribute,
    #[error("Incompatible media format")]
    Format,
    #[error("Insufficient bandwidth")]
    Bandwidth,
    #[error("Refused by the user")]
    Declined,
}

impl Reason {
    /// The warn-code.
    #[must_use]
    pub const fn code(self) -> u16 {
        // RFC 3261 §20.43: "Warnings 300 through 329 are reserved for indicating problems with keywords in
        // the session description"
        match self {
            Self::Network => 300,
            Self::AddressFormat => 301,
            Self::Transport => 302,
            Self::MediaType => 304,
            Self::Format => 305,
            Self::Attribute => 306,
            Self::Multicast => 330,
            Self::Bandwidth => 370,
            Self::Declined => 399,
        }
    }
}

/// What the caller may not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each says what it is in its message")]
pub enum Misuse {
    #[error("an answer has come, but no offer of ours waits for one")]
    NoOffer,
    #[error("an offer of ours waits for its answer already")]
    OfferWaits,
    #[error("the session has no such stream")]
    NoStream,
    #[error("no payload type is left for another codec")]
    NoPayloadType,
    #[error("the session has no room for another stream")]
    NoRoom,
}

impl SdpError {
    /// The status that the request with the offer is owed; for an answer there is nobody to tell, and what is
    /// left is to end the session.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { limit: "size", .. } => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            Self::TooLarge { .. } | Self::Illegal { .. } | Self::Unacceptable { .. } => {
                StatusCode::NOT_ACCEPTABLE_HERE
            }
            Self::Glare => StatusCode::REQUEST_PENDING,
            Self::Misuse(_) => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }

    /// The same for who knows that no other place of the user would take the offer: 606 for 488.
    #[must_use]
    pub fn status_everywhere(&self) -> StatusCode {
        match self.status() {
            // RFC 3261 §21.4.26: "The response has the same meaning as 606 (Not Acceptable), but only applies
            // to the specific resource addressed by the Request-URI"
            StatusCode::NOT_ACCEPTABLE_HERE => StatusCode::NOT_ACCEPTABLE_ANYWHERE,
            other => other,
        }
    }

    /// The warn-code and text that go with the status (RFC 3261 §20.43), for
    /// [`sip_message::Warning::new`]; `None` where the status says all.
    #[must_use]
    pub fn warning(&self) -> Option<(u16, String)> {
        match self {
            Self::Unacceptable { reason, .. } => Some((reason.code(), reason.to_string())),
            Self::Malformed { .. } | Self::TooLarge { .. } | Self::Illegal { .. } => {
                Some((399, self.to_string()))
            }
            Self::Glare | Self::Misuse(_) => None,
        }
    }

    /// The line that it is about, counted from 1, if it is about one.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Malformed { line, .. }
            | Self::TooLarge { line, .. }
            | Self::Illegal { line, .. }
            | Self::Unacceptable { line, .. } => Some(*line).filter(|line| *line > 0),
            Self::Glare | Self::Misuse(_) => None,
        }
    }
}

impl From<Misuse> for SdpError {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}
