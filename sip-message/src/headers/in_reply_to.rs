use alloc::borrow::Cow;

use bytes::BytesMut;

use super::{call_id, single, word_list};
use crate::scan::{self, Cursor};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// In-Reply-To: the Call-IDs of the calls that this one references or returns (RFC 3261 §20.21).
///
/// Stands for all Call-IDs of one line; a message may have several such lines. Empty elements are
/// passed over.
///
/// ```
/// use sip_message::{Header, InReplyTo};
/// let calls = InReplyTo::parse(b"70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com")?;
/// assert!(calls.contains("17320@saturn.bell-tel.com"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct InReplyTo<'a> {
    text: Cow<'a, [u8]>,
}

impl InReplyTo<'_> {
    /// These Call-IDs.
    ///
    /// # Errors
    /// Each must be visible ASCII without `;` and `,`, all together at most 65,535 bytes.
    pub fn new<T: AsRef<str>>(
        call_ids: impl IntoIterator<Item = T>,
    ) -> Result<InReplyTo<'static>, HeaderError> {
        let text = word_list::join(call_ids);
        InReplyTo::parse(&text)?;
        Ok(InReplyTo { text: Cow::Owned(text) })
    }

    /// The Call-IDs in order.
    pub fn call_ids(&self) -> impl Iterator<Item = &str> {
        let mut cursor = Cursor::new(&self.text).ok();
        core::iter::from_fn(move || {
            let cursor = cursor.as_mut()?;
            word_list::to_next(cursor);
            Some(scan::ascii(call_id::take(cursor).ok()?.of(&self.text)))
        })
    }

    /// Whether this Call-ID is among them, byte by byte.
    pub fn contains(&self, call_id: &str) -> bool {
        self.call_ids().any(|id| id == call_id)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> InReplyTo<'static> {
        InReplyTo { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> InReplyTo<'static> {
        self.clone().into_owned()
    }
}

crate::header::text_traits!(InReplyTo);

impl<'a> Header<'a> for InReplyTo<'a> {
    const NAME: HeaderName<'static> = HeaderName::InReplyTo;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            word_list::each(cursor, |cursor| call_id::take(cursor).map(|_| ()))?;
            Ok(Self { text: Cow::Borrowed(text) })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
