use alloc::borrow::Cow;

use bytes::BytesMut;

use super::single;
use crate::scan::{self, Cursor, Fault, Span, VISIBLE};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Call-ID: the name of a call, or of a client's registrations (RFC 3261 §20.8).
///
/// Compared byte by byte. Anything visible without white space is taken: more than `word`, for the
/// peers that put a base64 `=` into it.
///
/// ```
/// use sip_message::{CallId, Header};
/// assert_eq!(CallId::parse(b"f81d4fae@foo.bar.com")?.as_str(), "f81d4fae@foo.bar.com");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct CallId<'a> {
    text: Cow<'a, [u8]>,
}

impl CallId<'_> {
    /// This Call-ID.
    ///
    /// # Errors
    /// It must not be empty, and visible ASCII throughout, of at most 65,535 bytes.
    pub fn new(text: &str) -> Result<CallId<'_>, HeaderError> {
        if !scan::all(text.as_bytes(), VISIBLE) {
            return Err(HeaderError::new(HeaderName::CallId, HeaderErrorKind::Character, 0));
        }
        if text.len() > scan::MAX_TEXT {
            return Err(HeaderError::new(
                HeaderName::CallId,
                HeaderErrorKind::TooLong,
                scan::MAX_TEXT,
            ));
        }
        Ok(CallId { text: Cow::Borrowed(text.as_bytes()) })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        scan::ascii(&self.text)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> CallId<'static> {
        CallId { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> CallId<'static> {
        self.clone().into_owned()
    }
}

/// Takes a Call-ID where more may follow: up to the `;` or `,`, which `word` of RFC 3261 §25.1 does
/// not have.
pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let start = cursor.at();
    let rest = cursor.rest();
    let ends = |byte: u8| matches!(byte, b';' | b',') || !scan::is(byte, VISIBLE);
    let len = rest.iter().position(|&byte| ends(byte)).unwrap_or(rest.len());
    if len == 0 {
        return Err(cursor.fault(HeaderErrorKind::Character));
    }
    cursor.skip(len);
    Ok(Span::new(start, cursor.at()))
}

/// Whether `text` is all of a Call-ID as [`take`] takes it.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text.as_bytes())?;
    take(&mut cursor)?;
    if cursor.is_end() { Ok(()) } else { Err(cursor.fault(HeaderErrorKind::Character)) }
}

crate::header::text_traits!(CallId);

impl<'a> Header<'a> for CallId<'a> {
    const NAME: HeaderName<'static> = HeaderName::CallId;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let id = cursor.some(VISIBLE, HeaderErrorKind::Character)?;
            Ok(Self { text: Cow::Borrowed(id.of(text)) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
