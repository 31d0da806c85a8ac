//! Why the agent did not do what it was asked.

use core::fmt;

use sip_message::StatusCode;

/// Why a command to the [`Agent`](crate::Agent) was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The call, request or registration is over: its key is stale.
    #[error("it is over already")]
    Gone,
    /// The call is in a state in which this cannot be done.
    #[error("the call is {state}, so it is not possible to {action}")]
    State {
        /// The state the call is in.
        state: CallState,
        /// What was asked for.
        action: &'static str,
    },
    /// The session is being modified by either side: ask again when that is done.
    #[error("the session is being modified")]
    Busy,
    /// The message may not hold an offer or an answer now, or has to (RFC 3264, RFC 6337).
    #[error("the offer or answer is not in order: {0}")]
    Offer(#[from] sip_dialog::Unsendable),
    /// The peer has not said that it takes this method (Allow).
    #[error("the peer does not allow {0}")]
    NotAllowed(sip_message::Method),
    /// The peer has not said that it is ready for another From (`from-change`, RFC 4916), or we do not say it.
    #[error("the peer does not take another identity in the call")]
    NoFromChange,
    /// No answer is owed: our INVITE held the offer, its 2xx held none, or it has been acknowledged.
    #[error("there is no offer to answer")]
    NoOffer,
    /// One of the limits of [`AgentConfig`](crate::AgentConfig) or of the transaction layer is reached.
    #[error("too many {what}")]
    Full {
        /// Of what there are too many.
        what: &'static str,
    },
    /// The status is not one that this command can send.
    #[error("{} cannot be sent here", .0.as_u16())]
    Status(StatusCode),
    /// The method is not one that this command can send.
    #[error("{0} cannot be sent by this command")]
    Method(sip_message::Method),
    /// The peer of the call has not said that it wants INFOs of this package.
    #[error("the peer does not take this package")]
    Package,
    /// A MESSAGE to the same address, or in the same call, has no answer yet (RFC 3428 §8).
    #[error("the message before has no answer yet")]
    MessagePending,
    /// A MESSAGE outside of a call is larger than [`AgentConfig::max_message`](crate::AgentConfig::max_message).
    #[error("a message of {size} bytes, and {limit} are allowed")]
    TooLarge {
        /// What it would come to, in bytes.
        size: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// An address or display name of the account, or the address to call, cannot stand where it has to.
    #[error("the address cannot be used in a SIP message")]
    Address,
    /// The message cannot be built: a header field or the address is not what SIP allows.
    #[error("the message cannot be built")]
    Build(#[from] sip_message::BuildError),
    /// The request was not taken by the transaction layer.
    #[error("the request was not sent")]
    Request(#[from] sip_transaction::RequestError),
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallState {
    /// We sent an INVITE and have no final response.
    Calling,
    /// We are giving up an INVITE that has no final response.
    Cancelling,
    /// We received an INVITE and have not answered it.
    Invited,
    /// We accepted and wait for the ACK.
    Accepted,
    /// Both sides are in the session.
    Established,
    /// The call is over; its last transactions are being completed.
    Over,
}

impl fmt::Display for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calling => "being placed",
            Self::Cancelling => "being cancelled",
            Self::Invited => "waiting for our answer",
            Self::Accepted => "waiting for the ACK",
            Self::Established => "established",
            Self::Over => "over",
        })
    }
}
