//! `im` and `pres` URIs: an instant inbox or a presentity by its mailbox (RFC 3860 §A.2, RFC 3859
//! §A.2).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Scheme, Uri, UriError, UriErrorKind, UriParams, build, escape};
use crate::Host;
use crate::scan::{self, URI_HEADER_BUILT};

/// The mailbox of an `im` or `pres` URI, and the headers after it.
///
/// ```
/// use sip_message::Uri;
/// let uri = Uri::parse(b"im:fred%20b@Example.com?subject=hi")?;
/// let mailbox = uri.mailbox()?.expect("it has one");
/// assert_eq!((&*mailbox.local_part(), mailbox.domain()), ("fred b", "Example.com"));
/// assert_eq!(mailbox.headers().next().and_then(|header| header.value()), Some("hi"));
/// # Ok::<(), sip_message::UriError>(())
/// ```
///
/// Two are `==` when they name the same mailbox and have the same headers: the domain is compared
/// without regard to case, the rest byte by byte but for escapes.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox<'a> {
    local: &'a [u8],
    domain: &'a [u8],
    /// From the `?` on.
    headers: &'a [u8],
}

impl<'a> Mailbox<'a> {
    /// What stands before the `@`, without its escapes.
    pub fn local_part(&self) -> Cow<'a, str> {
        escape::decode(self.local)
    }

    /// The domain as it is written.
    pub fn domain(&self) -> &'a str {
        scan::ascii(self.domain)
    }

    /// The headers in order.
    pub fn headers(&self) -> UriParams<'a> {
        UriParams { rest: self.headers, separator: b'&' }
    }
}

impl Uri<'_> {
    /// The mailbox of an `im` or `pres` URI; `None` for others, and for one without a mailbox.
    ///
    /// # Errors
    /// [`UriErrorKind::User`] and [`UriErrorKind::Host`] for a mailbox that is none,
    /// [`UriErrorKind::Escape`] for a `%` that is no escape; and where, in bytes from the start of
    /// the URI.
    pub fn mailbox(&self) -> Result<Option<Mailbox<'_>>, UriError> {
        if !matches!(self.scheme(), Scheme::Im | Scheme::Pres) {
            return Ok(None);
        }
        let start = usize::from(self.parts.colon).saturating_add(1);
        let error = |kind, at: usize| Err(UriError::new(kind, start.saturating_add(at)));
        let text = self.opaque().as_bytes();
        super::parse::check_escapes(&self.text, scan::Span::new(start, self.text.len()))?;
        let end = memchr::memchr(b'?', text).unwrap_or(text.len());
        let (mailbox, headers) = text.split_at_checked(end).unwrap_or_default();
        if mailbox.is_empty() {
            return Ok(None);
        }
        let at = memchr::memrchr(b'@', mailbox).unwrap_or(end);
        let local = mailbox.get(..at).unwrap_or_default();
        if local.is_empty() || memchr::memchr(b'@', local).is_some() {
            return error(UriErrorKind::User, 0);
        }
        let domain = mailbox.get(at.saturating_add(1)..).unwrap_or_default();
        if Host::from_bytes(domain).is_none() {
            return error(UriErrorKind::Host, at.saturating_add(1).min(end));
        }
        Ok(Some(Mailbox { local, domain, headers }))
    }

    /// `im:local@domain`, escaped where it needs it.
    ///
    /// # Errors
    /// [`UriErrorKind::User`] for an empty local part, [`UriErrorKind::Host`] if `domain` is none.
    pub fn im(local: &str, domain: &str) -> Result<Uri<'static>, UriError> {
        at_domain("im:", local, domain)
    }

    /// `pres:local@domain`; see [`im`](Self::im).
    ///
    /// # Errors
    /// As there.
    pub fn pres(local: &str, domain: &str) -> Result<Uri<'static>, UriError> {
        at_domain("pres:", local, domain)
    }
}

fn at_domain(scheme: &str, local: &str, domain: &str) -> Result<Uri<'static>, UriError> {
    let mut out: Vec<u8> = scheme.as_bytes().to_vec();
    if local.is_empty() {
        return Err(UriError::new(UriErrorKind::User, out.len()));
    }
    escape::encode(&mut out, local, URI_HEADER_BUILT);
    out.push(b'@');
    build::write_host(&mut out, domain)?;
    Uri::from_vec(out)
}

impl PartialEq for Mailbox<'_> {
    fn eq(&self, other: &Mailbox<'_>) -> bool {
        let same = super::compare::same;
        same(self.local, other.local)
            && Host::from_bytes(self.domain) == Host::from_bytes(other.domain)
            && same(self.headers, other.headers)
    }
}

impl Eq for Mailbox<'_> {}
