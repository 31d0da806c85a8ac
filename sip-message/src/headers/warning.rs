use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::BytesMut;

use crate::params::{unquote, write_quoted};
use crate::scan::{self, Span, VALUE};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// One Warning value: more about the status of a response (RFC 3261 §20.43).
///
/// ```
/// use sip_message::{Header, Warning};
/// let warning = Warning::parse(b"307 isi.edu \"Session parameter 'foo' not understood\"")?;
/// assert_eq!((warning.code(), warning.agent()), (307, "isi.edu"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Warning<'a> {
    text: Cow<'a, [u8]>,
    code: u16,
    agent: Span,
    /// With its quotes.
    message: Span,
}

impl Warning<'_> {
    /// A code, who warns (a host with or without a port, or a pseudonym), and a text.
    ///
    /// # Errors
    /// The code must have three digits, the agent be without white space and separators, the text
    /// without CR and LF.
    pub fn new(code: u16, agent: &str, text: &str) -> Result<Warning<'static>, HeaderError> {
        let mut head = String::new();
        // Writing to a String cannot fail.
        let _ = write!(head, "{code} {agent} ");
        let mut out: Vec<u8> = head.into_bytes();
        let error = |fault| HeaderError::from_fault(HeaderName::Warning, fault);
        write_quoted(&mut out, text).map_err(error)?;
        let Warning { code, agent: found, message, .. } = Warning::parse(&out)?;
        if found.str(&out) != agent {
            return Err(HeaderError::new(HeaderName::Warning, HeaderErrorKind::Host, 4));
        }
        Ok(Warning { text: Cow::Owned(out), code, agent: found, message })
    }

    /// The code: 300 to 399 in SIP.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Who warns.
    pub fn agent(&self) -> &str {
        self.agent.str(&self.text)
    }

    /// What it says, without quotes and escapes.
    pub fn text(&self) -> Cow<'_, str> {
        unquote(self.message.of(&self.text))
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Warning<'static> {
        Warning { text: Cow::Owned(self.text.into_owned()), ..self }
    }
}

crate::header::text_traits!(Warning);

impl<'a> Header<'a> for Warning<'a> {
    const NAME: HeaderName<'static> = HeaderName::Warning;
    const LIST: bool = true;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        scan::first_value(field, |text, cursor| {
            let at = cursor.fault(HeaderErrorKind::Number);
            let code = match cursor.number()? {
                code @ 100..=999 if cursor.at() == 3 => u16::try_from(code).unwrap_or_default(),
                _ => return Err(at),
            };
            cursor.skip_lws();
            let agent = cursor.some(VALUE, HeaderErrorKind::Host)?;
            if agent.start == 3 {
                return Err(cursor.fault(HeaderErrorKind::Number));
            }
            cursor.skip_lws();
            let message = cursor.quoted()?;
            let text = text.get(..message.end.into()).unwrap_or_default();
            Ok(Self { text: Cow::Borrowed(text), code, agent, message })
        })
        .map_err(|fault| HeaderError::from_fault(Self::NAME, fault))
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}
