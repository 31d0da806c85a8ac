//! Response status codes: RFC 3261 §7.2 and §21, and those of the extension RFCs.

use core::fmt;

#[cfg(test)]
mod tests;

/// The status code of a response: 100 to 699.
///
/// ```
/// use sip_message::StatusCode;
///
/// assert_eq!(StatusCode::new(486), Some(StatusCode::BUSY_HERE));
/// assert_eq!(StatusCode::BUSY_HERE.to_string(), "486 Busy Here");
/// assert_eq!(StatusCode::new(700), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u16);

impl StatusCode {
    /// The status code of that number; `None` outside 100 to 699.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            100..=699 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// 1xx: the request was received and is being worked on (RFC 3261 §7.2).
    #[must_use]
    pub const fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// 200 or above: the last response to its request (RFC 3261 §7.2).
    // RFC 3261 §7.2: "SIP/2.0 allows six values for the first digit"
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.0 >= 200
    }

    /// 2xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=299)
    }

    /// 3xx.
    #[must_use]
    pub const fn is_redirection(self) -> bool {
        matches!(self.0, 300..=399)
    }

    /// 4xx.
    #[must_use]
    pub const fn is_client_error(self) -> bool {
        matches!(self.0, 400..=499)
    }

    /// 5xx.
    #[must_use]
    pub const fn is_server_error(self) -> bool {
        matches!(self.0, 500..=599)
    }

    /// 6xx.
    #[must_use]
    pub const fn is_global_failure(self) -> bool {
        self.0 >= 600
    }

    /// The class's `x00` code, as which an unknown code is to be treated.
    // RFC 3261 §8.1.3.2: "A UAC MUST treat any final response it does not recognize as being
    // equivalent to the x00 response code of that class"
    #[must_use]
    pub const fn class(self) -> Self {
        Self(match self.0 {
            ..200 => 100,
            200..300 => 200,
            300..400 => 300,
            400..500 => 400,
            500..600 => 500,
            600.. => 600,
        })
    }
}

impl fmt::Display for StatusCode {
    /// The number and the standard reason phrase: `486 Busy Here`; for an unknown code the
    /// number alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.0),
            reason => write!(f, "{} {reason}", self.0),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:literal $name:ident $reason:literal,)*) => {
        impl StatusCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The standard reason phrase, empty for a code without one.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }

        /// Every named code with its phrase.
        #[cfg(test)]
        const NAMED: &[(StatusCode, u16, &str)] = &[$((StatusCode::$name, $code, $reason),)*];
    };
}

codes! {
    /// 100 Trying, RFC 3261 §21.1.
    100 TRYING "Trying",
    /// 180 Ringing, RFC 3261 §21.1.
    180 RINGING "Ringing",
    /// 181 Call Is Being Forwarded, RFC 3261 §21.1.
    181 CALL_IS_BEING_FORWARDED "Call Is Being Forwarded",
    /// 182 Queued, RFC 3261 §21.1.
    182 QUEUED "Queued",
    /// 183 Session Progress, RFC 3261 §21.1.
    183 SESSION_PROGRESS "Session Progress",
    /// 199 Early Dialog Terminated, RFC 6228.
    199 EARLY_DIALOG_TERMINATED "Early Dialog Terminated",
    /// 200 OK, RFC 3261 §21.2.
    200 OK "OK",
    /// 202 Accepted, RFC 6665 §8.3.1.
    202 ACCEPTED "Accepted",
    /// 204 No Notification, RFC 5839.
    204 NO_NOTIFICATION "No Notification",
    /// 300 Multiple Choices, RFC 3261 §21.3.
    300 MULTIPLE_CHOICES "Multiple Choices",
    /// 301 Moved Permanently, RFC 3261 §21.3.
    301 MOVED_PERMANENTLY "Moved Permanently",
    /// 302 Moved Temporarily, RFC 3261 §21.3.
    302 MOVED_TEMPORARILY "Moved Temporarily",
    /// 305 Use Proxy, RFC 3261 §21.3.
    305 USE_PROXY "Use Proxy",
    /// 380 Alternative Service, RFC 3261 §21.3.
    380 ALTERNATIVE_SERVICE "Alternative Service",
    /// 400 Bad Request, RFC 3261 §21.4.
    400 BAD_REQUEST "Bad Request",
    /// 401 Unauthorized, RFC 3261 §21.4.
    401 UNAUTHORIZED "Unauthorized",
    /// 402 Payment Required, RFC 3261 §21.4.
    402 PAYMENT_REQUIRED "Payment Required",
    /// 403 Forbidden, RFC 3261 §21.4.
    403 FORBIDDEN "Forbidden",
    /// 404 Not Found, RFC 3261 §21.4.
    404 NOT_FOUND "Not Found",
    /// 405 Method Not Allowed, RFC 3261 §21.4.
    405 METHOD_NOT_ALLOWED "Method Not Allowed",
    /// 406 Not Acceptable, RFC 3261 §21.4.
    406 NOT_ACCEPTABLE "Not Acceptable",
    /// 407 Proxy Authentication Required, RFC 3261 §21.4.
    407 PROXY_AUTHENTICATION_REQUIRED "Proxy Authentication Required",
    /// 408 Request Timeout, RFC 3261 §21.4.
    408 REQUEST_TIMEOUT "Request Timeout",
    /// 410 Gone, RFC 3261 §21.4.
    410 GONE "Gone",
    /// 412 Conditional Request Failed, RFC 3903.
    412 CONDITIONAL_REQUEST_FAILED "Conditional Request Failed",
    /// 413 Request Entity Too Large, RFC 3261 §21.4.
    413 REQUEST_ENTITY_TOO_LARGE "Request Entity Too Large",
    /// 414 Request-URI Too Long, RFC 3261 §21.4.
    414 REQUEST_URI_TOO_LONG "Request-URI Too Long",
    /// 415 Unsupported Media Type, RFC 3261 §21.4.
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type",
    /// 416 Unsupported URI Scheme, RFC 3261 §21.4.
    416 UNSUPPORTED_URI_SCHEME "Unsupported URI Scheme",
    /// 417 Unknown Resource-Priority, RFC 4412.
    417 UNKNOWN_RESOURCE_PRIORITY "Unknown Resource-Priority",
    /// 420 Bad Extension, RFC 3261 §21.4.
    420 BAD_EXTENSION "Bad Extension",
    /// 421 Extension Required, RFC 3261 §21.4.
    421 EXTENSION_REQUIRED "Extension Required",
    /// 422 Session Interval Too Small, RFC 4028.
    422 SESSION_INTERVAL_TOO_SMALL "Session Interval Too Small",
    /// 423 Interval Too Brief, RFC 3261 §21.4.
    423 INTERVAL_TOO_BRIEF "Interval Too Brief",
    /// 424 Bad Location Information, RFC 6442.
    424 BAD_LOCATION_INFORMATION "Bad Location Information",
    /// 425 Bad Alert Message, RFC 7462.
    425 BAD_ALERT_MESSAGE "Bad Alert Message",
    /// 428 Use Identity Header, RFC 8224.
    428 USE_IDENTITY_HEADER "Use Identity Header",
    /// 429 Provide Referrer Identity, RFC 3892.
    429 PROVIDE_REFERRER_IDENTITY "Provide Referrer Identity",
    /// 430 Flow Failed, RFC 5626.
    430 FLOW_FAILED "Flow Failed",
    /// 433 Anonymity Disallowed, RFC 5079.
    433 ANONYMITY_DISALLOWED "Anonymity Disallowed",
    /// 436 Bad Identity Info, RFC 8224.
    436 BAD_IDENTITY_INFO "Bad Identity Info",
    /// 437 Unsupported Credential, RFC 8224.
    437 UNSUPPORTED_CREDENTIAL "Unsupported Credential",
    /// 438 Invalid Identity Header, RFC 8224.
    438 INVALID_IDENTITY_HEADER "Invalid Identity Header",
    /// 439 First Hop Lacks Outbound Support, RFC 5626.
    439 FIRST_HOP_LACKS_OUTBOUND_SUPPORT "First Hop Lacks Outbound Support",
    /// 440 Max-Breadth Exceeded, RFC 5393.
    440 MAX_BREADTH_EXCEEDED "Max-Breadth Exceeded",
    /// 469 Bad Info Package, RFC 6086.
    469 BAD_INFO_PACKAGE "Bad Info Package",
    /// 470 Consent Needed, RFC 5360.
    470 CONSENT_NEEDED "Consent Needed",
    /// 480 Temporarily Unavailable, RFC 3261 §21.4.
    480 TEMPORARILY_UNAVAILABLE "Temporarily Unavailable",
    /// 481 Call/Transaction Does Not Exist, RFC 3261 §21.4.
    481 CALL_OR_TRANSACTION_DOES_NOT_EXIST "Call/Transaction Does Not Exist",
    /// 482 Loop Detected, RFC 3261 §21.4.
    482 LOOP_DETECTED "Loop Detected",
    /// 483 Too Many Hops, RFC 3261 §21.4.
    483 TOO_MANY_HOPS "Too Many Hops",
    /// 484 Address Incomplete, RFC 3261 §21.4.
    484 ADDRESS_INCOMPLETE "Address Incomplete",
    /// 485 Ambiguous, RFC 3261 §21.4.
    485 AMBIGUOUS "Ambiguous",
    /// 486 Busy Here, RFC 3261 §21.4.
    486 BUSY_HERE "Busy Here",
    /// 487 Request Terminated, RFC 3261 §21.4.
    487 REQUEST_TERMINATED "Request Terminated",
    /// 488 Not Acceptable Here, RFC 3261 §21.4.
    488 NOT_ACCEPTABLE_HERE "Not Acceptable Here",
    /// 489 Bad Event, RFC 6665.
    489 BAD_EVENT "Bad Event",
    /// 491 Request Pending, RFC 3261 §21.4.
    491 REQUEST_PENDING "Request Pending",
    /// 493 Undecipherable, RFC 3261 §21.4.
    493 UNDECIPHERABLE "Undecipherable",
    /// 494 Security Agreement Required, RFC 3329.
    494 SECURITY_AGREEMENT_REQUIRED "Security Agreement Required",
    /// 500 Server Internal Error, RFC 3261 §21.5.
    500 SERVER_INTERNAL_ERROR "Server Internal Error",
    /// 501 Not Implemented, RFC 3261 §21.5.
    501 NOT_IMPLEMENTED "Not Implemented",
    /// 502 Bad Gateway, RFC 3261 §21.5.
    502 BAD_GATEWAY "Bad Gateway",
    /// 503 Service Unavailable, RFC 3261 §21.5.
    503 SERVICE_UNAVAILABLE "Service Unavailable",
    /// 504 Server Time-out, RFC 3261 §21.5.
    504 SERVER_TIMEOUT "Server Time-out",
    /// 505 Version Not Supported, RFC 3261 §21.5.
    505 VERSION_NOT_SUPPORTED "Version Not Supported",
    /// 513 Message Too Large, RFC 3261 §21.5.
    513 MESSAGE_TOO_LARGE "Message Too Large",
    /// 555 Push Notification Service Not Supported, RFC 8599.
    555 PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED "Push Notification Service Not Supported",
    /// 580 Precondition Failure, RFC 3312.
    580 PRECONDITION_FAILURE "Precondition Failure",
    /// 600 Busy Everywhere, RFC 3261 §21.6.
    600 BUSY_EVERYWHERE "Busy Everywhere",
    /// 603 Decline, RFC 3261 §21.6.
    603 DECLINE "Decline",
    /// 604 Does Not Exist Anywhere, RFC 3261 §21.6.
    604 DOES_NOT_EXIST_ANYWHERE "Does Not Exist Anywhere",
    /// 606 Not Acceptable, RFC 3261 §21.6.
    606 NOT_ACCEPTABLE_ANYWHERE "Not Acceptable",
    /// 607 Unwanted, RFC 8197.
    607 UNWANTED "Unwanted",
    /// 608 Rejected, RFC 8688.
    608 REJECTED "Rejected",
}
