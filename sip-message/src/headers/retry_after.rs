use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;

use bytes::BytesMut;

use super::single;
use crate::params::{Param, Params, with_param};
use crate::scan::{self, Cursor, Fault, Span};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Retry-After: when to try again (RFC 3261 §20.33).
///
/// ```
/// use sip_message::{Header, RetryAfter};
/// let retry = RetryAfter::parse(b"120 (I'm in a meeting);duration=60")?;
/// assert_eq!((retry.seconds(), retry.duration()), (120, Some(60)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct RetryAfter<'a> {
    text: Cow<'a, [u8]>,
    seconds: u32,
    /// With its parentheses.
    comment: Option<Span>,
    params: Span,
}

impl RetryAfter<'_> {
    /// After this many seconds.
    pub fn new(seconds: u32) -> RetryAfter<'static> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{seconds}");
        let end = Span::new(text.len(), text.len());
        RetryAfter { text: Cow::Owned(text.into_bytes()), seconds, comment: None, params: end }
    }

    /// With this parameter in place of the first of its name, or at the end; quoted if needed.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF.
    pub fn with_param(&self, name: &str, value: &str) -> Result<RetryAfter<'static>, HeaderError> {
        let text = with_param(&self.text, self.params, name, Some(value))
            .map_err(|fault| HeaderError::from_fault(HeaderName::RetryAfter, fault))?;
        let RetryAfter { seconds, comment, params, .. } = RetryAfter::parse(&text)?;
        Ok(RetryAfter { text: Cow::Owned(text), seconds, comment, params })
    }

    /// Seconds to wait.
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// The comment without its outer parentheses, as it is written.
    pub fn comment(&self) -> Option<Cow<'_, str>> {
        let [b'(', inner @ .., b')'] = self.comment?.of(&self.text) else { return None };
        Some(String::from_utf8_lossy(inner))
    }

    /// How many seconds the callee will be there, from then on.
    pub fn duration(&self) -> Option<u32> {
        scan::whole_number(self.param("duration")?.raw_value()?)
    }

    /// The parameters in order.
    pub fn params(&self) -> Params<'_> {
        Params::new(self.params.of(&self.text))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> RetryAfter<'static> {
        RetryAfter { text: Cow::Owned(self.text.into_owned()), ..self }
    }
}

crate::header::text_traits!(RetryAfter);

impl<'a> Header<'a> for RetryAfter<'a> {
    const NAME: HeaderName<'static> = HeaderName::RetryAfter;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let seconds = cursor.number()?;
            let end = *cursor;
            cursor.skip_lws();
            let comment = if cursor.peek() == Some(b'(') {
                Some(comment(cursor)?)
            } else {
                *cursor = end;
                None
            };
            let params = cursor.params(|_| Ok(()))?;
            Ok(Self { text: Cow::Borrowed(text), seconds, comment, params })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}

/// A comment that begins here, those within it included. `single` has looked at the line ends.
fn comment(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let (start, open) = (cursor.at(), cursor.fault(HeaderErrorKind::Comment));
    let mut depth: u32 = 0;
    while let Some(byte) = cursor.peek() {
        cursor.skip(1);
        match byte {
            b'\\' => cursor.skip(1),
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Ok(Span::new(start, cursor.at()));
        }
    }
    Err(open)
}
