//! Request methods: RFC 3261 §7.1 and the methods of the extension RFCs.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use crate::scan;

#[cfg(test)]
mod tests;

/// The method of a request: a standard one, or any other token.
///
/// Methods are case-sensitive: `invite` is not [`Method::Invite`] but an unknown method.
///
/// ```
/// use sip_message::Method;
///
/// assert_eq!(Method::from_bytes(b"INVITE"), Some(Method::Invite));
/// assert_eq!("FLY".parse::<Method>().unwrap().as_str(), "FLY");
/// assert_eq!(Method::from_bytes(b"NOT A TOKEN"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// INVITE, RFC 3261 §13.
    Invite,
    /// ACK, RFC 3261 §13 and §17.
    Ack,
    /// CANCEL, RFC 3261 §9.
    Cancel,
    /// BYE, RFC 3261 §15.
    Bye,
    /// OPTIONS, RFC 3261 §11.
    Options,
    /// REGISTER, RFC 3261 §10.
    Register,
    /// PRACK, RFC 3262.
    Prack,
    /// UPDATE, RFC 3311.
    Update,
    /// INFO, RFC 6086.
    Info,
    /// MESSAGE, RFC 3428.
    Message,
    /// SUBSCRIBE, RFC 6665.
    Subscribe,
    /// NOTIFY, RFC 6665.
    Notify,
    /// REFER, RFC 3515.
    Refer,
    /// PUBLISH, RFC 3903.
    Publish,
    /// A method this crate knows no rule for; a token, kept as it came.
    Other(Box<str>),
}

impl Method {
    /// The method's name as it stands in a start line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Cancel => "CANCEL",
            Self::Bye => "BYE",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Refer => "REFER",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }

    /// The method of that name; `None` when `name` is not a token (RFC 3261 §25.1).
    // RFC 3261 §20.16: "The method part of CSeq is case-sensitive."
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"CANCEL" => Self::Cancel,
            b"BYE" => Self::Bye,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"INFO" => Self::Info,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"REFER" => Self::Refer,
            b"PUBLISH" => Self::Publish,
            other if scan::all(other, scan::TOKEN) => Self::Other(scan::ascii(other).into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Method {
    type Err = InvalidMethod;

    fn from_str(name: &str) -> Result<Self, InvalidMethod> {
        Self::from_bytes(name.as_bytes()).ok_or(InvalidMethod)
    }
}

/// The text is not a token, so it cannot be a method (RFC 3261 §25.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidMethod;

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a method must be a token")
    }
}

impl core::error::Error for InvalidMethod {}
