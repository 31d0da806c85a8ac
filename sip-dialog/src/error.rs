//! Why a dialog cannot be made or used.

use sip_message::{HeaderError, HeaderName, StatusCode, UriError};

use crate::Rejection;

/// Why a dialog could not be made of a message, or a request not be made in a dialog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialogError {
    /// The response makes no dialog: it is a 100 or a final response other than 2xx.
    #[error("the response makes no dialog")]
    NoDialog,
    /// A provisional response without a To tag makes no dialog.
    #[error("a provisional response without a To tag makes no dialog")]
    NoTag,
    /// A header field is missing (a Contact also when it is no SIP or SIPS URI).
    #[error("{} is missing or unfit", .0.as_str())]
    Missing(HeaderName<'static>),
    /// A header field is malformed.
    #[error("{0}")]
    Header(HeaderError),
    /// The Request-URI is malformed.
    #[error("the Request-URI: {0}")]
    RequestUri(UriError),
    /// ACK and CANCEL carry the CSeq number of another request.
    #[error("ACK and CANCEL carry the CSeq number of another request")]
    NoOwnCSeq,
    /// The CSeq numbers of the dialog have run out (2^31 - 1): no more requests can be sent in it.
    #[error("the CSeq numbers of the dialog have run out")]
    CSeqExhausted,
}

impl DialogError {
    /// The answer owed to a request that [`Dialog::uas`](crate::Dialog::uas) refused.
    pub fn rejection(&self) -> Rejection {
        Rejection::new(match self {
            DialogError::Missing(_) | DialogError::Header(_) | DialogError::RequestUri(_) => {
                StatusCode::BAD_REQUEST
            }
            DialogError::NoDialog
            | DialogError::NoTag
            | DialogError::NoOwnCSeq
            | DialogError::CSeqExhausted => StatusCode::SERVER_INTERNAL_ERROR,
        })
    }
}

impl From<HeaderError> for DialogError {
    fn from(error: HeaderError) -> DialogError {
        DialogError::Header(error)
    }
}

impl From<UriError> for DialogError {
    fn from(error: UriError) -> DialogError {
        DialogError::RequestUri(error)
    }
}
