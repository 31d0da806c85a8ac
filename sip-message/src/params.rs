//! Parameters of header field values: `;name` and `;name=value` (`generic-param`, RFC 3261 §25.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::scan::{self, Cursor, Fault, RawParam, Span, TOKEN};
use crate::{Feature, HeaderErrorKind};

/// A parameter of a header field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Param<'a> {
    pub(crate) fn new(text: &'a [u8], raw: RawParam) -> Self {
        Self { name: raw.name.of(text), value: raw.value.map(|value| value.of(text)) }
    }

    /// The name as it is written.
    pub fn name(&self) -> &'a str {
        scan::ascii(self.name)
    }

    /// Whether this is the name, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value: without quotes and escapes if it was quoted; `None` if there is no `=`. Bytes
    /// that are no UTF-8 are replaced.
    pub fn value(&self) -> Option<Cow<'a, str>> {
        self.value.map(unquote)
    }

    /// The value as it is written, with its quotes if it has them.
    pub fn raw_value(&self) -> Option<&'a [u8]> {
        self.value
    }
}

/// Parameters in order. See [`Param`].
#[derive(Clone, Debug)]
pub struct Params<'a> {
    text: &'a [u8],
    cursor: Option<Cursor<'a>>,
    /// Whether the next one has no semicolon before it.
    bare: bool,
}

impl<'a> Params<'a> {
    /// Of a text that was parsed before.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, cursor: Cursor::new(text).ok(), bare: false }
    }

    /// Of a text that was parsed before and that begins with a parameter.
    pub(crate) fn bare(text: &'a [u8]) -> Self {
        Self { bare: true, ..Self::new(text) }
    }

    /// The feature parameters among those that are left (RFC 3840 §9): what a user agent can do, in
    /// a Contact; what it should, in an Accept-Contact; what is on the path, in a Feature-Caps.
    pub fn features(self) -> impl Iterator<Item = Feature<'a>> {
        self.filter_map(Feature::new)
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.cursor.as_mut()?;
        let raw = match core::mem::take(&mut self.bare) {
            true => cursor.bare_param().ok()?,
            false => cursor.param().ok()??,
        };
        Some(Param::new(self.text, raw))
    }
}

/// The text that a token, a host or a quoted string stands for.
///
/// Folds inside quoted strings become one space, as they are read.
pub(crate) fn unquote(raw: &[u8]) -> Cow<'_, str> {
    let [b'"', inner @ .., b'"'] = raw else { return scan::text(raw) };
    if memchr::memchr3(b'\\', b'\r', b'\n', inner).is_none() {
        return scan::text(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'\\' => {
                if let Some((&escaped, tail)) = rest.split_first() {
                    out.push(escaped);
                    rest = tail;
                }
            }
            b'\r' | b'\n' => {
                out.push(b' ');
                let (_, folded) =
                    rest.split_at(rest.iter().take_while(|&&b| scan::is(b, scan::LWS)).count());
                rest = folded;
            }
            _ => out.push(first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Writes `text` as a quoted string.
///
/// # Errors
/// CR and LF cannot be written, not even escaped.
pub(crate) fn write_quoted(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    if memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
        return Err(Fault { kind: HeaderErrorKind::Character, at: out.len() });
    }
    // RFC 3261 §25.1: "In quoted strings, quotation marks (") and
    // backslashes (\) need to be escaped."
    let is_special =
        |byte: u8| matches!(byte, b'"' | b'\\') || (byte.is_ascii_control() && byte != b'\t');
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        let (first, after) = special.split_at(1);
        out.extend_from_slice(first);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
    Ok(())
}

/// Writes `name`, or `name=value` with the value in quotes if it is neither a token nor a host.
pub(crate) fn write_param(out: &mut Vec<u8>, name: &str, value: Option<&str>) -> Result<(), Fault> {
    if !scan::all(name.as_bytes(), TOKEN) {
        return Err(Fault { kind: HeaderErrorKind::Parameter, at: out.len() });
    }
    out.extend_from_slice(name.as_bytes());
    if let Some(value) = value {
        out.push(b'=');
        let token = scan::all(value.as_bytes(), TOKEN);
        if token || crate::Host::parse(value).is_some() {
            out.extend_from_slice(value.as_bytes());
        } else {
            write_quoted(out, value)?;
        }
    }
    Ok(())
}

/// `text` with this parameter in place of the first of its name, or after the last. `params` is
/// what the parameters of `text` span.
pub(crate) fn with_param(
    text: &[u8],
    params: Span,
    name: &str,
    value: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let mut added = Vec::new();
    write_param(&mut added, name, value)?;
    place_param(text, params, name, &added)
}

/// The same with the value in quotes whatever it is, where the grammar wants a quoted string.
pub(crate) fn with_quoted_param(
    text: &[u8],
    params: Span,
    name: &str,
    value: &str,
) -> Result<Vec<u8>, Fault> {
    let mut added = Vec::new();
    write_param(&mut added, name, None)?;
    added.push(b'=');
    write_quoted(&mut added, value)?;
    place_param(text, params, name, &added)
}

/// `text` with `added` in place of the first parameter of that name, or after the last.
fn place_param(text: &[u8], params: Span, name: &str, added: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(text.len().saturating_add(added.len()).saturating_add(1));
    let mut cursor = Cursor::new(text)?;
    cursor.skip(params.start.into());
    while let Some(param) = cursor.param()? {
        if param.name.of(text).eq_ignore_ascii_case(name.as_bytes()) {
            out.extend_from_slice(text.get(..param.name.start.into()).unwrap_or_default());
            out.extend_from_slice(added);
            out.extend_from_slice(text.get(param.end..).unwrap_or_default());
            return Ok(out);
        }
    }
    let end = usize::from(params.end);
    out.extend_from_slice(text.get(..end).unwrap_or_default());
    out.push(b';');
    out.extend_from_slice(added);
    out.extend_from_slice(text.get(end..).unwrap_or_default());
    Ok(out)
}
