//! `name-addr` and `addr-spec` with header parameters: what From, To, Contact, Route and their like
//! are made of (RFC 3261 §20, §25.1).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::params::{self, Param, Params};
use crate::scan::{self, ADDR_SPEC, Cursor, DISPLAY, Fault, Span, TOKEN};
use crate::uri::UriParts;
use crate::{HeaderErrorKind, Uri, UriError, UriErrorKind};

/// A URI with a display name before it and parameters after it.
///
/// ```
/// use sip_message::{From, Header};
/// let from = From::parse(b"\"A. \\\"B\\\" C\" <sip:alice@example.com;lr>;tag=88sja8x")?;
/// assert_eq!(from.display_name().as_deref(), Some("A. \"B\" C"));
/// assert_eq!(from.uri().as_str(), "sip:alice@example.com;lr");
/// assert_eq!(from.tag(), Some("88sja8x"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct NameAddr<'a> {
    text: Cow<'a, [u8]>,
    parts: Parts,
}

/// Where the parts are in the text.
#[derive(Clone, Copy)]
struct Parts {
    /// With its quotes; empty if there is none.
    display: Span,
    uri: Span,
    uri_parts: UriParts,
    /// From the first `;` on.
    params: Span,
    tag: Option<Span>,
}

/// Which forms a header allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `name-addr / addr-spec`
    Any,
    /// `name-addr` only: Route and Record-Route.
    NameAddr,
}

impl<'a> NameAddr<'a> {
    /// The first address of a field and where the next one begins.
    #[inline(always)]
    pub(crate) fn parse_first(field: &'a [u8], form: Form) -> Result<(Self, Option<usize>), Fault> {
        scan::first_value(field, |text, cursor| {
            let parts = Parts::read(text, cursor, form)?;
            let text = text.get(..parts.params.end.into()).unwrap_or_default();
            Ok(Self { text: Cow::Borrowed(text), parts })
        })
    }

    /// Where the tag is in a field that is one well-formed address, if there is a tag.
    pub(crate) fn tag_of(field: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
        let (tag, next) = scan::first_value(field, |text, cursor| {
            let lead = field.len().saturating_sub(text.len());
            let tag = Parts::read(text, cursor, Form::Any)?.tag;
            Ok(tag.map(|tag| tag.place(lead)))
        })?;
        match next {
            None => Ok(tag),
            Some(at) => Err(Fault { kind: HeaderErrorKind::Trailing, at }),
        }
    }

    pub(crate) fn from_vec(text: Vec<u8>, form: Form) -> Result<NameAddr<'static>, Fault> {
        let (parsed, next) = NameAddr::parse_first(&text, form)?;
        if let Some(at) = next {
            return Err(Fault { kind: HeaderErrorKind::Trailing, at });
        }
        let parts = parsed.parts;
        Ok(NameAddr { text: Cow::Owned(text), parts })
    }

    /// `<uri>`
    pub fn new(uri: &Uri<'_>) -> NameAddr<'static> {
        let mut text = Vec::with_capacity(uri.as_bytes().len().saturating_add(2));
        text.push(b'<');
        text.extend_from_slice(uri.as_bytes());
        text.push(b'>');
        let uri_span = Span::new(1, text.len().saturating_sub(1));
        let end = Span::new(text.len(), text.len());
        let parts = Parts {
            display: Span::default(),
            uri: uri_span,
            uri_parts: uri.parts(),
            params: end,
            tag: None,
        };
        NameAddr { text: Cow::Owned(text), parts }
    }

    /// The display name without its quotes and escapes; `None` if there is none. Bytes that are no
    /// UTF-8 are replaced.
    pub fn display_name(&self) -> Option<Cow<'_, str>> {
        let raw = self.parts.display.of(&self.text);
        if raw.is_empty() { None } else { Some(params::unquote(raw)) }
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'_> {
        Uri::from_parts(self.parts.uri.of(&self.text), self.parts.uri_parts)
    }

    /// The header parameters, those after the URI, in order.
    pub fn params(&self) -> Params<'_> {
        Params::new(self.parts.params.of(&self.text))
    }

    /// The first header parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// The `tag` parameter of From and To.
    pub fn tag(&self) -> Option<&str> {
        self.parts.tag.map(|span| span.str(&self.text))
    }

    /// With this display name, quoted and escaped, in place of the one it had; without one if it is
    /// empty.
    ///
    /// # Errors
    /// A CR or LF in the name cannot be written; nor can what grows too long.
    pub fn with_display_name(&self, name: &str) -> Result<NameAddr<'static>, HeaderErrorKind> {
        let mut text = Vec::new();
        if !name.is_empty() {
            params::write_quoted(&mut text, name).map_err(|fault| fault.kind)?;
            text.push(b' ');
        }
        text.push(b'<');
        text.extend_from_slice(self.parts.uri.of(&self.text));
        text.push(b'>');
        text.extend_from_slice(self.parts.params.of(&self.text));
        NameAddr::from_vec(text, Form::Any).map_err(|fault| fault.kind)
    }

    /// With this header parameter in place of the first of its name, or at the end. The value is
    /// quoted if it is neither a token nor a host.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF.
    pub fn with_param(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<NameAddr<'static>, HeaderErrorKind> {
        let text = params::with_param(&self.text, self.parts.params, name, value);
        text.and_then(|text| NameAddr::from_vec(text, Form::Any)).map_err(|fault| fault.kind)
    }

    /// With this header parameter, in quotes whatever the value is.
    pub(crate) fn with_quoted_param(
        &self,
        name: &str,
        value: &str,
    ) -> Result<NameAddr<'static>, HeaderErrorKind> {
        let text = params::with_quoted_param(&self.text, self.parts.params, name, value);
        text.and_then(|text| NameAddr::from_vec(text, Form::Any)).map_err(|fault| fault.kind)
    }

    /// With this tag; see [`with_param`](Self::with_param).
    ///
    /// # Errors
    /// The tag must be a token.
    pub fn with_tag(&self, tag: &str) -> Result<NameAddr<'static>, HeaderErrorKind> {
        if !scan::all(tag.as_bytes(), TOKEN) {
            return Err(HeaderErrorKind::Token);
        }
        self.with_param("tag", Some(tag))
    }

    /// Display name and URI as they are written, without the header parameters.
    pub fn address_bytes(&self) -> &[u8] {
        let end = usize::from(self.parts.params.start);
        self.text.get(..end).unwrap_or_default().trim_ascii_end()
    }

    /// Without header parameters: display name and URI.
    pub fn without_params(&self) -> NameAddr<'static> {
        let end = self.parts.params.start;
        let text = self.text.get(..end.into()).unwrap_or_default();
        let parts = Parts { params: Span { start: end, end }, tag: None, ..self.parts };
        NameAddr { text: Cow::Owned(text.to_vec()), parts }
    }

    /// The same with the URI in angle brackets.
    pub(crate) fn bracketed(self) -> Self {
        let plain = self.parts.uri.start == 0;
        if plain { NameAddr::new(&self.uri()).with_params_of(&self).unwrap_or(self) } else { self }
    }

    /// With the header parameters of `other` after its own.
    pub(crate) fn with_params_of(self, other: &NameAddr<'_>) -> Result<NameAddr<'static>, Fault> {
        let mut text = self.text.into_owned();
        text.extend_from_slice(other.parts.params.of(&other.text));
        NameAddr::from_vec(text, Form::NameAddr)
    }

    /// As it is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> NameAddr<'static> {
        NameAddr { text: Cow::Owned(self.text.into_owned()), parts: self.parts }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> NameAddr<'static> {
        self.clone().into_owned()
    }
}

impl Parts {
    #[inline(never)]
    fn read(text: &[u8], cursor: &mut Cursor<'_>, form: Form) -> Result<Self, Fault> {
        // A copy, for registers.
        let mut here = *cursor;
        let mut parts = Self::address(text, &mut here, form)?;
        parts.parameters(text, &mut here)?;
        *cursor = here;
        Ok(parts)
    }

    /// Display name and URI; the parameters are still to come.
    #[inline(always)]
    fn address(field: &[u8], cursor: &mut Cursor<'_>, form: Form) -> Result<Self, Fault> {
        let start = cursor.at();
        let mut display = Span::new(start, start);
        match cursor.peek() {
            Some(b'<') => {}
            Some(b'"') => {
                display = cursor.quoted()?;
                cursor.skip_lws();
            }
            Some(_) => {
                let first = cursor.take(DISPLAY);
                let stopped = *cursor;
                cursor.skip_lws();
                let text = first.of(field);
                // A display name need have no LWS before the bracket; a URI has a colon.
                if cursor.peek() != Some(b'<') && memchr::memchr(b':', text).is_some() {
                    *cursor = stopped;
                    return Self::addr_spec(field, cursor, first, form);
                }
                display = first;
                while cursor.peek() != Some(b'<') {
                    if !display.is_empty() && matches!(cursor.peek(), None | Some(b';')) {
                        // `To: bob`: what was taken for a name should have been a URI.
                        let kind = HeaderErrorKind::Uri(UriErrorKind::Scheme);
                        return Err(Fault { kind, at: start });
                    }
                    let more = cursor.some(DISPLAY, HeaderErrorKind::DisplayName)?;
                    display.end = more.end;
                    cursor.skip_lws();
                }
            }
            None => return Err(cursor.fault(HeaderErrorKind::Empty)),
        }
        if !cursor.eat(b'<') {
            return Err(cursor.fault(HeaderErrorKind::AngleBrackets));
        }
        let open = cursor.at();
        let rest = cursor.rest();
        // Mostly a URI ends just before the bracket; if it does not, the bracket's place says what
        // is wrong.
        if let Ok((uri_parts, len)) = UriParts::parse_start(rest)
            && rest.get(len) == Some(&b'>')
        {
            cursor.skip(len);
            let uri = Span::new(open, cursor.at());
            cursor.skip(1);
            let params = Span::new(cursor.at(), cursor.at());
            return Ok(Self { display, uri, uri_parts, params, tag: None });
        }
        let Some(len) = memchr::memchr(b'>', rest) else {
            let at = open.saturating_sub(1);
            return Err(Fault { kind: HeaderErrorKind::AngleBrackets, at });
        };
        cursor.skip(len);
        let uri = Span::new(open, cursor.at());
        cursor.skip(1);
        Self::with_uri(field, display, uri, cursor)
    }

    /// An `addr-spec` without brackets: `;`, `,` and `?` are not the URI's.
    // RFC 3261 §20.10: "Even if the "display-name" is empty, the "name-addr" form MUST be
    // used if the "addr-spec" contains a comma, semicolon, or question mark."
    fn addr_spec(
        field: &[u8],
        cursor: &mut Cursor<'_>,
        uri: Span,
        form: Form,
    ) -> Result<Self, Fault> {
        let at = usize::from(uri.start);
        if form == Form::NameAddr {
            return Err(Fault { kind: HeaderErrorKind::AngleBrackets, at });
        }
        if let Some(bad) = uri.of(field).iter().position(|&b| !scan::is(b, ADDR_SPEC)) {
            let kind = HeaderErrorKind::AngleBrackets;
            return Err(Fault { kind, at: at.saturating_add(bad) });
        }
        Self::with_uri(field, Span { end: uri.start, ..uri }, uri, cursor)
    }

    fn with_uri(
        field: &[u8],
        display: Span,
        uri: Span,
        cursor: &Cursor<'_>,
    ) -> Result<Self, Fault> {
        let fault = |error: UriError| Fault {
            kind: HeaderErrorKind::Uri(error.kind()),
            at: usize::from(uri.start).saturating_add(error.offset()),
        };
        let uri_parts = UriParts::parse(uri.of(field)).map_err(fault)?;
        let params = Span::new(cursor.at(), cursor.at());
        Ok(Self { display, uri, uri_parts, params, tag: None })
    }

    #[inline]
    fn parameters(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let mut tag = None;
        self.params = cursor.params(|param| {
            if scan::same(param.name.of(text), b"tag") {
                let at = param.name.start.into();
                // RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once"
                if tag.is_some() {
                    return Err(Fault { kind: HeaderErrorKind::DuplicateParameter, at });
                }
                tag = param.unquoted(text);
                if tag.is_none() {
                    return Err(Fault { kind: HeaderErrorKind::Parameter, at });
                }
            }
            Ok(())
        })?;
        self.tag = tag;
        Ok(())
    }
}

impl PartialEq for NameAddr<'_> {
    fn eq(&self, other: &NameAddr<'_>) -> bool {
        self.text == other.text
    }
}

impl Eq for NameAddr<'_> {}

impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::header::fmt_bytes(&self.text, f)
    }
}

impl fmt::Debug for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameAddr({self})")
    }
}

#[cfg(test)]
mod tests;
