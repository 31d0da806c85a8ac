//! Comparison of URIs by RFC 3261 §19.1.4.

use super::{Scheme, Uri, UriParam, escape};
use crate::scan;

/// The most parameters, and the most headers, that are compared by the rules.
const MAX_COMPARED: usize = 32;

impl Uri<'_> {
    /// Whether the two are equivalent by RFC 3261 §19.1.4.
    ///
    /// `sip` and `sips` URIs are compared by the rules of that section (not transitive, as it says),
    /// `tel` URIs by RFC 3966 §4, URNs by RFC 8141 §3.1 and what their namespaces add, `im` and
    /// `pres` URIs by mailbox, all others byte by byte but for the case of the scheme.
    ///
    /// ```
    /// use sip_message::Uri;
    /// let a = Uri::parse(b"sip:%61lice@atlanta.com;transport=TCP")?;
    /// let b = Uri::parse(b"sip:alice@AtLanTa.CoM;Transport=tcp")?;
    /// assert!(a.is_equivalent(&b));
    /// # Ok::<(), sip_message::UriError>(())
    /// ```
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        if self.text == other.text {
            return true;
        }
        // Each of one is sought among all of the other: a hostile URI must not make that costly.
        let many = |uri: &Uri<'_>| {
            uri.params().nth(MAX_COMPARED).is_some() || uri.headers().nth(MAX_COMPARED).is_some()
        };
        if many(self) || many(other) {
            return false;
        }
        // RFC 3261 §19.1.4: "A SIP and SIPS URI are never equivalent."
        if self.parts.scheme != other.parts.scheme {
            return false;
        }
        if !self.is_sip() {
            return self.scheme_str().eq_ignore_ascii_case(other.scheme_str())
                && (self.opaque() == other.opaque() || self.is_alike(other));
        }
        // RFC 3261 §19.1.4: "Comparison of the userinfo of SIP and SIPS URIs is case-
        // sensitive."
        same_option(self.user(), other.user(), |a, b| same(a.as_bytes(), b.as_bytes()))
            && same_option(self.password(), other.password(), |a, b| same(a.as_bytes(), b.as_bytes()))
            && self.host() == other.host()
            // RFC 3261 §19.1.4: "A URI omitting any component with a default value will not
            // match a URI explicitly containing that component with its default value."
            && self.port() == other.port()
            && self.params_cover(other)
            && other.params_cover(self)
            && self.headers_cover(other)
            && other.headers_cover(self)
    }

    /// Whether two URIs of the same scheme, other than `sip` and `sips`, are alike by the rules of
    /// that scheme.
    fn is_alike(&self, other: &Uri<'_>) -> bool {
        match self.scheme() {
            Scheme::Tel => {
                matches!((self.telephone_subscriber(), other.telephone_subscriber()),
                    (Ok(Some(a)), Ok(Some(b))) if a == b)
            }
            Scheme::Im | Scheme::Pres => {
                matches!((self.mailbox(), other.mailbox()), (Ok(Some(a)), Ok(Some(b))) if a == b)
            }
            Scheme::Urn => same_urn(self.opaque().as_bytes(), other.opaque().as_bytes()),
            _ => false,
        }
    }

    fn scheme_str(&self) -> &str {
        scan::ascii(self.text.get(..usize::from(self.parts.colon)).unwrap_or_default())
    }

    /// Whether each parameter here has its match there, or may do without.
    fn params_cover(&self, other: &Uri<'_>) -> bool {
        self.params().all(|param| match other.params().find(|o| same_name(&param, o)) {
            // RFC 3261 §19.1.4: "Any uri-parameter appearing in both URIs must match."
            Some(found) => same_option(param.raw_value, found.raw_value, same_in_any_case),
            // RFC 3261 §19.1.4: "A user, ttl, or method uri-parameter appearing in only one
            // URI never matches, even if it contains the default value."
            // RFC 3261 §19.1.4: "A URI that includes an maddr parameter will not match a URI
            // that contains no maddr parameter."
            //
            // transport is in the list of components with a default value above.
            None => {
                !["user", "ttl", "method", "maddr", "transport"].iter().any(|name| param.is(name))
            }
        })
    }

    /// Whether each header here has its match there.
    // RFC 3261 §19.1.4: "URI header components are never ignored.  Any present header
    // component MUST be present in both URIs and match for the URIs to match."
    fn headers_cover(&self, other: &Uri<'_>) -> bool {
        let count = |uri: &Uri<'_>, header: &UriParam<'_>| {
            uri.headers().filter(|h| same_name(header, h) && same_header_value(header, h)).count()
        };
        self.headers().all(|header| count(self, &header) == count(other, &header))
    }
}

fn same_name(a: &UriParam<'_>, b: &UriParam<'_>) -> bool {
    escape::eq_ignore_case(a.raw_name, b.raw_name)
}

/// Whether two URNs, without their scheme, are equivalent (RFC 8141 §3.1).
fn same_urn(a: &[u8], b: &[u8]) -> bool {
    let (Some((namespace, a)), Some((other, b))) = (urn_parts(a), urn_parts(b)) else {
        return false;
    };
    if !namespace.eq_ignore_ascii_case(other) {
        return false;
    }
    // RFC 5031 §3 for services; RFC 9562 §4 for UUIDs, which name the instances of GRUUs.
    let any_case = [&b"service"[..], b"uuid"];
    if any_case.iter().any(|insensitive| namespace.eq_ignore_ascii_case(insensitive)) {
        return a.eq_ignore_ascii_case(b);
    }
    // RFC 8141 §3.1: "Percent-encoded characters MUST NOT be decoded"
    escape::bytes(a).eq(escape::bytes(b))
}

/// The namespace of a URN and what it names there.
fn urn_parts(urn: &[u8]) -> Option<(&[u8], &[u8])> {
    // RFC 8141 §3.1: "If an r-component, q-component, or f-component (or any combination thereof)
    // is included in a URN, it MUST be ignored for purposes of determining URN-equivalence."
    let end = memchr::memchr2(b'?', b'#', urn).unwrap_or(urn.len());
    let name = urn.get(..end)?;
    name.split_at_checked(memchr::memchr(b':', name)?)
}

fn same_option<T>(a: Option<T>, b: Option<T>, same: impl Fn(T, T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Header values are compared byte by byte but for needless escapes: for more, each header's own
/// rules would have to be known, and a false "different" only costs a second binding.
fn same_header_value(a: &UriParam<'_>, b: &UriParam<'_>) -> bool {
    same(a.raw_value.unwrap_or_default(), b.raw_value.unwrap_or_default())
}

/// Whether two texts are alike but for needless escapes.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || significant(a).eq(significant(b))
}

/// The same without regard to case.
pub(super) fn same_in_any_case(a: &[u8], b: &[u8]) -> bool {
    let lower = |(byte, escaped): (u8, bool)| (byte.to_ascii_lowercase(), escaped);
    significant(a).map(lower).eq(significant(b).map(lower))
}

/// The bytes of `text`, each with whether its escape means something.
// RFC 3261 §19.1.4: "Characters other than those in the "reserved" set (see RFC 2396
// [5]) are equivalent to their ""%" HEX HEX" encoding."
fn significant(text: &[u8]) -> impl Iterator<Item = (u8, bool)> + '_ {
    escape::bytes(text).map(|(byte, escaped)| (byte, escaped && is_reserved(byte)))
}

/// `reserved` of RFC 3261 §25.1.
fn is_reserved(byte: u8) -> bool {
    b";/?:@&=+$,".contains(&byte)
}

/// `unreserved` of RFC 3261 §25.1: what need not be escaped anywhere.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}
