//! Hosts of URIs and of Via: names, IPv4 and IPv6 addresses (RFC 3261 §25.1, RFC 5118).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::HeaderErrorKind;
use crate::scan::{self, Cursor, Fault, HOST, Span};

/// A host as URIs and Via give it.
///
/// Names compare without regard to case; an address never equals a name.
///
/// ```
/// use sip_message::Host;
/// assert!(matches!(Host::parse("[2001:db8::1]"), Some(Host::V6(_))));
/// assert_eq!(Host::parse("Example.COM"), Host::parse("example.com"));
/// ```
#[derive(Clone, Copy, Debug, Eq)]
pub enum Host<'a> {
    /// A domain name.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; printed in brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// A name, an IPv4 address, or an IPv6 address with or without its brackets; `None` if it is
    /// none of them.
    pub fn parse(text: &'a str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    pub(crate) fn from_bytes(text: &'a [u8]) -> Option<Self> {
        match text {
            [b'[', inner @ .., b']'] => ipv6(inner).map(Self::V6),
            _ if text.contains(&b':') => ipv6(text).map(Self::V6),
            [first, ..] if scan::all(text, HOST) => {
                let text = scan::ascii(text);
                let address =
                    if first.is_ascii_digit() { Ipv4Addr::from_str(text).ok() } else { None };
                Some(address.map_or(Self::Name(text), Self::V4))
            }
            _ => None,
        }
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl core::hash::Hash for Host<'_> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Name(name) => name.bytes().for_each(|b| state.write_u8(b.to_ascii_lowercase())),
            Self::V4(address) => address.hash(state),
            Self::V6(address) => address.hash(state),
        }
    }
}

impl From<IpAddr> for Host<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// An IP address as `received` gives it: IPv6 with or without brackets.
pub(crate) fn ip(text: &[u8]) -> Option<IpAddr> {
    Host::from_bytes(text)?.ip()
}

/// Takes a host; IPv6 addresses must stand in brackets here, since a port may follow.
#[inline]
pub(crate) fn take(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    if cursor.peek() != Some(b'[') {
        return cursor.some(HOST, HeaderErrorKind::Host);
    }
    let (start, fault) = (cursor.at(), cursor.fault(HeaderErrorKind::Host));
    // The longest IPv6 address in text, an IPv4 one at its end, and one colon too many.
    let window = cursor.rest().get(..64).unwrap_or(cursor.rest());
    let end = memchr::memchr(b']', window).ok_or(fault)?;
    ipv6(window.get(1..end).unwrap_or_default()).ok_or(fault)?;
    cursor.skip(end.saturating_add(1));
    Ok(Span::new(start, cursor.at()))
}

/// Takes `1*DIGIT` up to 65,535.
#[inline]
pub(crate) fn take_port(cursor: &mut Cursor<'_>) -> Result<u16, Fault> {
    let fault = cursor.fault(HeaderErrorKind::Port);
    cursor.number().ok().and_then(|port| u16::try_from(port).ok()).ok_or(fault)
}

/// An IPv6 address without brackets.
fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let text = core::str::from_utf8(text).ok()?;
    Ipv6Addr::from_str(text).ok().or_else(|| ipv6_three_colons(text))
}

/// The address that RFC 3261's own grammar makes of `2001:db8::192.0.2.1`: with a third colon.
// RFC 5118 §4.10: "following the Robustness Principle [RFC1122], an implementation must tolerate both
// of the above constructs"
fn ipv6_three_colons(text: &str) -> Option<Ipv6Addr> {
    let (before, after) = text.split_once(":::")?;
    let mut buffer = [0; 64];
    let mut len = 0;
    for &byte in before.as_bytes().iter().chain(b"::").chain(after.as_bytes()) {
        *buffer.get_mut(len)? = byte;
        len = len.checked_add(1)?;
    }
    Ipv6Addr::from_str(core::str::from_utf8(buffer.get(..len)?).ok()?).ok()
}

#[cfg(test)]
mod tests;
