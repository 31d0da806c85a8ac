use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::{Tokens, single};
use crate::scan::{self, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Privacy: what of the sender a privacy service is to hide (RFC 3323 §4.2).
///
/// The values are `header`, `session`, `user`, `none` and `critical`, `id` (RFC 3325 §9.3) and
/// `history` (RFC 7044 §10.1); others may come. They are told apart without regard to case.
///
/// ```
/// use sip_message::{Header, Privacy};
/// let privacy = Privacy::parse(b"id; critical")?;
/// assert!(privacy.contains("id") && privacy.is_critical() && !privacy.is_none());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Privacy<'a> {
    text: Cow<'a, [u8]>,
}

impl Privacy<'_> {
    /// These values.
    ///
    /// # Errors
    /// There must be one at least; each must be a token.
    pub fn new<T: AsRef<str>>(
        values: impl IntoIterator<Item = T>,
    ) -> Result<Privacy<'static>, HeaderError> {
        let mut text = Vec::new();
        for value in values {
            if !text.is_empty() {
                text.push(b';');
            }
            let value = value.as_ref().as_bytes();
            if !scan::all(value, TOKEN) {
                let (kind, at) = (HeaderErrorKind::Token, text.len());
                return Err(HeaderError::new(HeaderName::Privacy, kind, at));
            }
            text.extend_from_slice(value);
        }
        Privacy::parse(&text)?;
        Ok(Privacy { text: Cow::Owned(text) })
    }

    /// The values in order.
    pub fn iter(&self) -> Tokens<'_> {
        Tokens::new(&self.text)
    }

    /// Whether this value is among them.
    pub fn contains(&self, value: &str) -> bool {
        self.iter().any(|found| found.eq_ignore_ascii_case(value))
    }

    /// Whether nothing may be hidden: `none`.
    // RFC 3323 §4.2: "An intermediary MUST NOT modify the Privacy header in any way if the 'none'
    // priv-value is already specified."
    pub fn is_none(&self) -> bool {
        self.contains("none")
    }

    /// Whether the request is to fail if what it asks for cannot be done: `critical`.
    pub fn is_critical(&self) -> bool {
        self.contains("critical")
    }

    /// Without this value, as a privacy service leaves it that has done what the value asks for;
    /// `None` if nothing is left but `critical`, and the header field is to go.
    // RFC 3323 §5: "When the last priv-value (not counting 'critical') has been removed from the
    // Privacy header, the entire Privacy header MUST be removed from a message."
    pub fn without(&self, value: &str) -> Option<Privacy<'static>> {
        let left = || self.iter().filter(|found| !found.eq_ignore_ascii_case(value));
        if left().all(|found| found.eq_ignore_ascii_case("critical")) {
            return None;
        }
        Privacy::new(left()).ok()
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Privacy<'static> {
        Privacy { text: Cow::Owned(self.text.into_owned()) }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> Privacy<'static> {
        self.clone().into_owned()
    }
}

crate::header::text_traits!(Privacy);

impl<'a> Header<'a> for Privacy<'a> {
    const NAME: HeaderName<'static> = HeaderName::Privacy;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            loop {
                cursor.skip_lws();
                cursor.some(TOKEN, HeaderErrorKind::Token)?;
                cursor.skip_lws();
                // A comma is not the grammar's, but some write one, and to hide nothing because of it
                // would be worse.
                if !cursor.eat(b';') && !cursor.eat(b',') {
                    return Ok(Self { text: Cow::Borrowed(text) });
                }
            }
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
