//! The answer that a request in a dialog is owed when it cannot be served.

use sip_message::{Request, Response, ResponseBuilder, RetryAfter, StatusCode};

/// A final response that is owed to a request: its status, and Retry-After where the RFC asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is owed the response {status}")]
#[non_exhaustive]
pub struct Rejection {
    /// The status.
    pub status: StatusCode,
    /// The value of Retry-After, in seconds.
    pub retry_after: Option<u32>,
}

impl Rejection {
    /// A rejection with this status.
    pub fn new(status: StatusCode) -> Rejection {
        Rejection { status, retry_after: None }
    }

    /// The same with Retry-After, in seconds.
    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Rejection {
        Rejection { retry_after: Some(seconds), ..self }
    }

    /// 481, for a request within a dialog that does not exist.
    pub fn no_such_dialog() -> Rejection {
        // RFC 3261 §12.2.2: "If the UAS wishes to reject the request because it does not wish to
        // recreate the dialog, it MUST respond to the request with a 481
        // (Call/Transaction Does Not Exist) status code and pass that to the
        // server transaction."
        Rejection::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)
    }

    /// The response to `request`, for the caller to complete (a To tag, say) and build.
    pub fn response(&self, request: &Request) -> ResponseBuilder {
        let response = Response::to_request(request, self.status);
        match self.retry_after {
            Some(seconds) => response.header(&RetryAfter::new(seconds)),
            None => response,
        }
    }
}
