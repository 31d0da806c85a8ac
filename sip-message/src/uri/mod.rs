//! URIs: SIP and SIPS in full (RFC 3261 §19.1); all others as text with a scheme, with views of
//! what `tel`, `urn:service`, `im` and `pres` say.

mod build;
mod compare;
mod error;
pub(crate) mod escape;
mod mailbox;
mod parse;
mod service;
mod telephone;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

pub use error::{UriError, UriErrorKind};
pub use mailbox::Mailbox;
use parse::SchemeKind;
pub(crate) use parse::UriParts;
pub use service::ServiceUrn;
pub use telephone::{PhoneContext, TelephoneSubscriber};

use crate::scan::{self, Span};
use crate::{Host, Transport};

/// A URI (RFC 3261 §19.1).
///
/// Parsing is one pass and allocates nothing; the text is kept as it came and printed so. A URI of
/// a scheme other than `sip` and `sips` is kept whole: it has a scheme, an [`opaque`](Self::opaque)
/// part, for `tel` also parameters, and nothing else. What some of them hold is read when it is
/// asked for: [`telephone_subscriber`](Self::telephone_subscriber), [`service`](Self::service),
/// [`mailbox`](Self::mailbox).
///
/// ```
/// use sip_message::{Transport, Uri};
/// let uri = Uri::parse(b"sip:alice%20b@Example.com:5070;transport=tcp;lr?Subject=hi")?;
/// assert_eq!(uri.user_decoded().as_deref(), Some("alice b"));
/// assert_eq!((uri.host_str(), uri.port()), (Some("Example.com"), Some(5070)));
/// assert_eq!((uri.transport(), uri.lr()), (Some(Transport::Tcp), true));
/// # Ok::<(), sip_message::UriError>(())
/// ```
///
/// Two URIs are `==` when they are written alike; [`is_equivalent`](Self::is_equivalent) compares
/// as RFC 3261 §19.1.4 says.
#[derive(Clone)]
pub struct Uri<'a> {
    text: Cow<'a, [u8]>,
    parts: UriParts,
}

/// The scheme of a [`Uri`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme<'a> {
    /// `sip`.
    Sip,
    /// `sips`.
    Sips,
    /// `tel` (RFC 3966).
    Tel,
    /// `urn` (RFC 8141), such as `urn:service:sos`.
    Urn,
    /// `im` (RFC 3860).
    Im,
    /// `pres` (RFC 3859).
    Pres,
    /// Any other, as it is written.
    Other(&'a str),
}

impl<'a> Uri<'a> {
    /// Reads a URI that takes up all of `text`.
    ///
    /// More liberal than the grammar where nothing can be misread: `#` in user parts, `_` in host
    /// names, `=`, `,` and `#` in parameters, `@` in them if there is a user part, empty parameter values, and the third colon of
    /// RFC 5118 §4.10.
    ///
    /// # Errors
    /// What is wrong and where. Text longer than 65,535 bytes is refused.
    pub fn parse(text: &'a [u8]) -> Result<Self, UriError> {
        Ok(Self { text: Cow::Borrowed(text), parts: UriParts::parse(text)? })
    }

    /// The same for text that the URI then owns.
    pub(crate) fn from_vec(text: Vec<u8>) -> Result<Uri<'static>, UriError> {
        let parts = UriParts::parse(&text)?;
        Ok(Uri { text: Cow::Owned(text), parts })
    }

    /// A part of a text that was parsed before.
    pub(crate) fn from_parts(text: &'a [u8], parts: UriParts) -> Self {
        Self { text: Cow::Borrowed(text), parts }
    }

    /// Where the parts are, for a text that holds this one.
    pub(crate) fn parts(&self) -> UriParts {
        self.parts
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme<'_> {
        match self.parts.scheme {
            SchemeKind::Sip => Scheme::Sip,
            SchemeKind::Sips => Scheme::Sips,
            SchemeKind::Tel => Scheme::Tel,
            SchemeKind::Other => {
                let text = Span { start: 0, end: self.parts.colon }.str(&self.text);
                match text.as_bytes() {
                    urn if scan::same(urn, b"urn") => Scheme::Urn,
                    im if scan::same(im, b"im") => Scheme::Im,
                    pres if scan::same(pres, b"pres") => Scheme::Pres,
                    _ => Scheme::Other(text),
                }
            }
        }
    }

    /// Whether this is a `sip` or `sips` URI.
    pub fn is_sip(&self) -> bool {
        matches!(self.parts.scheme, SchemeKind::Sip | SchemeKind::Sips)
    }

    /// Whether this is a `sips` URI.
    pub fn is_secure(&self) -> bool {
        self.parts.scheme == SchemeKind::Sips
    }

    /// What follows `scheme:`, for all schemes.
    pub fn opaque(&self) -> &str {
        let start = usize::from(self.parts.colon).saturating_add(1);
        scan::ascii(self.text.get(start..).unwrap_or_default())
    }

    /// The user part as it is written, escapes and all.
    pub fn user(&self) -> Option<&str> {
        self.parts.user.map(|span| span.str(&self.text))
    }

    /// The user part without its escapes. Bytes that are no UTF-8 are replaced.
    pub fn user_decoded(&self) -> Option<Cow<'_, str>> {
        self.parts.user.map(|span| escape::decode(span.of(&self.text)))
    }

    /// The password as it is written; RFC 3261 §19.1.1 advises against having one.
    pub fn password(&self) -> Option<&str> {
        self.parts.password.map(|span| span.str(&self.text))
    }

    /// The host; `None` for schemes other than `sip` and `sips`.
    pub fn host(&self) -> Option<Host<'_>> {
        if self.is_sip() { Host::from_bytes(self.parts.host.of(&self.text)) } else { None }
    }

    /// The host as it is written, IPv6 addresses in their brackets; `None` for schemes other than
    /// `sip` and `sips`.
    pub fn host_str(&self) -> Option<&str> {
        if self.is_sip() { Some(self.parts.host.str(&self.text)) } else { None }
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The parameters in order, of `sip`, `sips` and `tel` URIs.
    pub fn params(&self) -> UriParams<'_> {
        UriParams { rest: self.parts.params.of(&self.text), separator: b';' }
    }

    /// The first parameter of that name, compared without regard to case and escapes.
    pub fn param(&self, name: &str) -> Option<UriParam<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// Whether the URI carries the `lr` parameter: the element it names is a loose router.
    pub fn lr(&self) -> bool {
        self.param("lr").is_some()
    }

    /// The `transport` parameter, if it names one that is known here.
    pub fn transport(&self) -> Option<Transport> {
        Transport::from_bytes(self.param("transport")?.value_decoded()?.as_bytes())
    }

    /// The `maddr` parameter, if it is a host.
    pub fn maddr(&self) -> Option<Host<'_>> {
        Host::from_bytes(self.param("maddr")?.raw_value?)
    }

    /// The `ttl` parameter, if it is a number up to 255.
    pub fn ttl(&self) -> Option<u8> {
        self.param("ttl")?.value()?.parse().ok()
    }

    /// The `user` parameter, such as `phone`.
    pub fn user_param(&self) -> Option<Cow<'_, str>> {
        self.param("user")?.value_decoded()
    }

    /// The `method` parameter.
    pub fn method_param(&self) -> Option<Cow<'_, str>> {
        self.param("method")?.value_decoded()
    }

    /// The `gr` parameter, which makes the URI a GRUU (RFC 5627 §9).
    pub fn gruu(&self) -> Option<Gruu<'_>> {
        self.param("gr").map(|gr| gr.value_decoded().map_or(Gruu::Temporary, Gruu::Public))
    }

    /// Whether the URI carries the `ob` parameter of SIP outbound (RFC 5626 §11.2).
    pub fn ob(&self) -> bool {
        self.param("ob").is_some()
    }

    /// The push notification service, `pn-provider` (RFC 8599 §8.7): outer `None` if there is no
    /// such parameter, inner `None` if it has no value.
    pub fn pn_provider(&self) -> Option<Option<Cow<'_, str>>> {
        Some(self.param("pn-provider")?.value_decoded())
    }

    /// What the push notification service needs besides, `pn-param` (RFC 8599 §8.7).
    pub fn pn_param(&self) -> Option<Cow<'_, str>> {
        self.param("pn-param")?.value_decoded()
    }

    /// Whom the push notification service is to wake, `pn-prid` (RFC 8599 §8.7).
    pub fn pn_prid(&self) -> Option<Cow<'_, str>> {
        self.param("pn-prid")?.value_decoded()
    }

    /// What a mid-dialog request finds its binding by, `pn-purr` (RFC 8599 §8.7).
    pub fn pn_purr(&self) -> Option<Cow<'_, str>> {
        self.param("pn-purr")?.value_decoded()
    }

    /// The first header of that name, compared without regard to case and escapes.
    pub fn header(&self, name: &str) -> Option<UriParam<'_>> {
        self.headers().find(|header| header.is(name))
    }

    /// The headers in order: what follows `?`.
    pub fn headers(&self) -> UriParams<'_> {
        UriParams { rest: self.parts.headers.of(&self.text), separator: b'&' }
    }

    /// The URI as it is written.
    pub fn as_str(&self) -> &str {
        scan::ascii(&self.text)
    }

    /// The URI as it is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The same URI with a text of its own.
    pub fn into_owned(self) -> Uri<'static> {
        Uri { text: Cow::Owned(self.text.into_owned()), parts: self.parts }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> Uri<'static> {
        Uri { text: Cow::Owned(self.text.to_vec()), parts: self.parts }
    }

    /// The address that the host is, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host()?.ip()
    }
}

/// What the `gr` parameter of a [`Uri`] says (RFC 5627 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gruu<'a> {
    /// With a value: a public GRUU, the value naming the instance; without it, the URI is the
    /// address-of-record.
    Public(Cow<'a, str>),
    /// Without a value: a temporary GRUU, whose user part tells nothing.
    Temporary,
}

/// A parameter or a header of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriParam<'a> {
    raw_name: &'a [u8],
    raw_value: Option<&'a [u8]>,
}

impl<'a> UriParam<'a> {
    /// The name as it is written.
    pub fn name(&self) -> &'a str {
        scan::ascii(self.raw_name)
    }

    /// Whether this is the name, without regard to case and escapes.
    pub fn is(&self, name: &str) -> bool {
        escape::eq_ignore_case(self.raw_name, name.as_bytes())
    }

    /// The name without its escapes.
    pub fn name_decoded(&self) -> Cow<'a, str> {
        escape::decode(self.raw_name)
    }

    /// The value as it is written; `None` if there is no `=`.
    pub fn value(&self) -> Option<&'a str> {
        self.raw_value.map(scan::ascii)
    }

    /// The value without its escapes. Bytes that are no UTF-8 are replaced.
    pub fn value_decoded(&self) -> Option<Cow<'a, str>> {
        self.raw_value.map(escape::decode)
    }
}

/// The parameters or the headers of a [`Uri`], in order.
#[derive(Clone, Debug)]
pub struct UriParams<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for UriParams<'a> {
    type Item = UriParam<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // Both lists begin with their separator (`?` for headers).
        let (_, text) = self.rest.split_first()?;
        let end = memchr::memchr(self.separator, text).unwrap_or(text.len());
        let (item, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        Some(match memchr::memchr(b'=', item).and_then(|at| item.split_at_checked(at)) {
            Some((name, value)) => {
                UriParam { raw_name: name, raw_value: Some(value.get(1..).unwrap_or_default()) }
            }
            None => UriParam { raw_name: item, raw_value: None },
        })
    }
}

impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Uri<'_>) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri<'_> {}

impl core::hash::Hash for Uri<'_> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.as_str())
    }
}

impl FromStr for Uri<'static> {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Uri::from_vec(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests;
