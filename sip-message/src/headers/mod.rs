//! The typed header fields, one file each or one for each kind.

mod accept;
mod address;
mod auth;
mod call_id;
mod contact;
mod content_type;
mod cseq;
mod date;
mod numbers;
mod option_tags;
mod retry_after;
mod text;
mod timestamp;
mod via;
mod warning;

pub use accept::{Accept, MediaRange};
pub use address::{From, RecordRoute, ReferTo, ReplyTo, Route, To};
pub use auth::{
    AuthParam, AuthParams, Authorization, Challenge, Credentials, DigestChallenge, DigestResponse,
    ProxyAuthenticate, ProxyAuthorization, WwwAuthenticate,
};
pub use call_id::CallId;
pub use contact::{Contact, QValue};
pub use content_type::ContentType;
pub use cseq::CSeq;
pub use date::{Date, Weekday};
pub use numbers::{ContentLength, Expires, MaxForwards, MinExpires};
pub use option_tags::{Allow, ProxyRequire, Require, Supported, Tokens, Unsupported};
pub use retry_after::RetryAfter;
pub use text::{Organization, Server, Subject, UserAgent};
pub use timestamp::Timestamp;
pub use via::Via;
pub use warning::Warning;

use core::fmt::{self, Write as _};

use bytes::BytesMut;

use crate::scan::{Cursor, Fault};
use crate::{HeaderError, HeaderErrorKind, HeaderName};

/// Reads a field that holds one value: `read` gets the text without the white space around it and
/// must leave nothing over.
fn single<'a, T>(
    header: HeaderName<'static>,
    field: &'a [u8],
    read: impl FnOnce(&'a [u8], &mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<(T, Option<usize>), HeaderError> {
    let error = |Fault { kind, at }| HeaderError::new(header, kind, at);
    crate::scan::folds_only(field).map_err(error)?;
    let (text, lead) = crate::scan::trim(field);
    let parse = || {
        let mut cursor = Cursor::new(text)?;
        let value = read(text, &mut cursor)?;
        cursor.skip_lws();
        if cursor.is_end() { Ok(value) } else { Err(cursor.fault(HeaderErrorKind::Trailing)) }
    };
    match parse() {
        Ok(value) => Ok((value, None)),
        Err(Fault { kind, at }) => Err(error(Fault { kind, at: at.saturating_add(lead) })),
    }
}

/// Writes what `value` displays.
fn write_display(value: &impl fmt::Display, out: &mut BytesMut) {
    // Writing to a BytesMut fails only at 2^64 bytes.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests;
