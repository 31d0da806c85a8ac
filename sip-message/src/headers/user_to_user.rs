use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::rule::Rule;
use super::word::word_header;
use crate::scan::{Cursor, Fault, Span, TOKEN};
use crate::uri::escape;
use crate::{HeaderError, HeaderErrorKind, HeaderName, params};

word_header!(UserToUser, true, data,
&[Rule::token("purpose"), Rule::token("content"), Rule::token("encoding")],
/// One User-to-User value: data that one application hands to another with the call
/// (RFC 7433 §4.1).
///
/// ```
/// use sip_message::{Header, UserToUser};
/// let uui = UserToUser::parse(b"56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar")?;
/// assert_eq!((uui.purpose(), uui.content()), ("foo", Some("bar")));
/// assert_eq!(uui.decoded().as_deref(), Some(&b"\x56\xa3\x90\xf3\xd2\xb7\x31\x00\x23\xa2"[..]));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// `token / quoted-string`
pub(super) fn data(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    match cursor.peek() {
        Some(b'"') => cursor.quoted(),
        _ => cursor.some(TOKEN, HeaderErrorKind::Token),
    }
}

impl UserToUser<'_> {
    /// This text, in quotes if it is no token, for packages that do not encode their data.
    ///
    /// # Errors
    /// The text must be without CR and LF.
    pub fn new(data: &str) -> Result<UserToUser<'static>, HeaderError> {
        Self::from_vec(written(HeaderName::UserToUser, data)?)
    }

    /// `data` in hexadecimal, with `encoding=hex`.
    ///
    /// # Errors
    /// [`HeaderErrorKind::TooLong`] above some 32,000 bytes, [`HeaderErrorKind::Token`] for none.
    // RFC 7433 §4.2: "If a canonicalized version of a normally case-insensitive hex encoded UUI data
    // object is needed for a digital signature or integrity checking, then the base16 encoding with
    // all upper case MUST be used."
    pub fn hex(data: &[u8]) -> Result<UserToUser<'static>, HeaderError> {
        let mut text = String::with_capacity(data.len().saturating_mul(2).saturating_add(13));
        for byte in data {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
        }
        text.push_str(";encoding=hex");
        Self::from_vec(text.into_bytes())
    }

    /// The data as they stand there, without quotes and escapes.
    pub fn data(&self) -> Cow<'_, str> {
        params::unquote(self.word.of(&self.text))
    }

    /// The data that the hexadecimal digits stand for; `None` if they are not hexadecimal, or are
    /// not said to be: by `encoding=hex`, or by the default of the package `isdn-uui`.
    // RFC 7434 §9: "The default and only encoding defined for this package is "hex"."
    pub fn decoded(&self) -> Option<Vec<u8>> {
        let hex = match self.encoding() {
            Some(encoding) => encoding.eq_ignore_ascii_case("hex"),
            None => self.purpose().eq_ignore_ascii_case("isdn-uui"),
        };
        if !hex {
            return None;
        }
        let data = self.data();
        let (pairs, rest) = data.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| escape::unescape(*high, *low);
        if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
    }

    /// `encoding`: how the data are encoded, such as `hex`.
    pub fn encoding(&self) -> Option<&str> {
        self.token("encoding")
    }

    /// `content`: what the data are.
    pub fn content(&self) -> Option<&str> {
        self.token("content")
    }

    /// `purpose`: the package that the data belong to; `isdn-uui` if none is said.
    // RFC 7433 §4: "If the "purpose" header field parameter is not present, the ISDN UUI MUST be
    // used."
    pub fn purpose(&self) -> &str {
        self.token("purpose").unwrap_or("isdn-uui")
    }

    fn token(&self, name: &str) -> Option<&str> {
        self.param(name)?.raw_value().map(crate::scan::ascii)
    }
}

/// `text` as it is if it is a token, else in quotes.
pub(super) fn written(header: HeaderName<'static>, text: &str) -> Result<Vec<u8>, HeaderError> {
    if crate::scan::all(text.as_bytes(), TOKEN) {
        return Ok(text.as_bytes().to_vec());
    }
    let mut out = Vec::new();
    params::write_quoted(&mut out, text).map_err(|fault| HeaderError::from_fault(header, fault))?;
    Ok(out)
}
