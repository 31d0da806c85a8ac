//! The SIP domains that a certificate is of (RFC 5922 §7.1 and §7.2).
//!
//! Only what this takes is read of the certificate, and it is read strictly: what cannot be read names
//! nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sip_message::{Host, Uri};

use super::TlsError;

#[cfg(test)]
mod tests;

/// The names in a certificate that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Identities {
    /// In lower case.
    domains: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
    has_nul: bool,
}

impl Identities {
    /// Those of a certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Self {
        let mut identities = Self::default();
        let Some(names) = names(certificate) else { return identities };
        match names.alternative {
            Some(alternative) => identities.take_alternative(alternative),
            // RFC 5922 §7.1: "If and only if the subjectAltName does not appear in the certificate, the
            // implementation MAY examine the CN field of the certificate. If a valid DNS name is found
            // there, the implementation MAY accept this value as a SIP domain identity."
            None => {
                if let Some(name) = names.subject.and_then(common_name) {
                    identities.has_nul = name.contains(&0);
                    identities.domains.extend(dns_name(name).filter(|name| !name.contains('*')));
                }
            }
        }
        identities
    }

    fn take_alternative(&mut self, alternative: &[u8]) {
        let names = || Elements(alternative);
        self.has_nul =
            names().any(|(tag, value)| matches!(tag, DNS_NAME | URI) && value.contains(&0));
        // RFC 5922 §7.1: "If the scheme of the URI is not "sip", then the implementation MUST NOT accept
        // the value as a SIP domain identity."
        // RFC 5922 §7.1: "If the scheme of the URI value is "sip", and the URI value that contains a
        // userpart (there is an '@'), the implementation MUST NOT accept the value as a SIP domain identity"
        // RFC 5922 §7.1: "If the scheme of the URI value is "sip", and there is no userinfo component in
        // the URI (there is no '@'), then the implementation MUST accept the hostpart as a SIP domain
        // identity."
        let mut is_sip = false;
        for (_, uri) in names().filter(|(tag, _)| *tag == URI) {
            match host_of_sip_uri(uri) {
                Some(UriHost::Domain(domain)) => self.domains.push(domain),
                Some(UriHost::Address(address)) => self.addresses.push(address),
                None => continue,
            }
            is_sip = true;
        }
        if is_sip {
            return;
        }
        // RFC 5922 §7.1: "An implementation MUST accept a domain name system identifier as a SIP domain
        // identity if and only if no other identity is found that matches the "sip" URI type described
        // above."
        for (tag, value) in names() {
            match tag {
                DNS_NAME => self.domains.extend(dns_name(value)),
                // No domain, so not of RFC 5922: but who asks for an address may be shown that address.
                IP_ADDRESS => self.addresses.extend(ip_address(value)),
                _ => {}
            }
        }
    }

    /// The domains, without those that are patterns.
    pub(super) fn into_domains(self) -> impl Iterator<Item = Box<str>> {
        self.domains.into_iter().filter(|domain| !domain.contains('*'))
    }

    /// Whether the certificate is of the domain, or of the address, that was asked for.
    pub(super) fn prove(&self, asked_for: &str) -> Result<(), TlsError> {
        if self.has_nul {
            return Err(TlsError::NulInName);
        }
        if self.domains.is_empty() && self.addresses.is_empty() {
            return Err(TlsError::NoIdentity);
        }
        let is_asked_for = match asked_for.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address.to_canonical()),
            Err(_) => self.domains.iter().any(|domain| is_same(domain, asked_for)),
        };
        if is_asked_for {
            return Ok(());
        }
        // RFC 5922 §7.2: "Implementations MUST NOT match any form of wildcard, such as a leading "." or
        // "*." with any other DNS label or sequence of labels."
        let rest = asked_for.split_once('.').map_or("", |(_, rest)| rest);
        let by_wildcard = |domain: &str| {
            domain
                .strip_prefix('*')
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|suffix| is_same(suffix, rest))
        };
        Err(if self.domains.iter().any(|domain| by_wildcard(domain)) {
            TlsError::Wildcard
        } else {
            TlsError::WrongDomain
        })
    }
}

// RFC 5922 §7.2: "Implementations MUST match the values in their entirety:"
// RFC 5922 §7.2: "Implementations MUST compare the values as DNS names, which means that the comparison
// is case insensitive as specified by RFC 4343"
fn is_same(one: &str, other: &str) -> bool {
    let whole = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    whole(one) == whole(other)
}

enum UriHost {
    Domain(Box<str>),
    Address(IpAddr),
}

fn host_of_sip_uri(uri: &[u8]) -> Option<UriHost> {
    let text = core::str::from_utf8(uri).ok()?;
    let (scheme, _) = text.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || text.contains('@') {
        return None;
    }
    let uri = Uri::parse(uri).ok()?;
    Some(match uri.host()? {
        Host::Name(name) => UriHost::Domain(dns_name(name.as_bytes())?),
        host => UriHost::Address(host.ip()?.to_canonical()),
    })
}

/// A name of letters, digits, hyphens and dots; the first label may be a wildcard, which fits nothing.
fn dns_name(name: &[u8]) -> Option<Box<str>> {
    let text = core::str::from_utf8(name).ok()?;
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
    if text.is_empty() || text.len() > 255 || !text.chars().all(is_of_a_name) {
        return None;
    }
    Some(text.to_ascii_lowercase().into())
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)).to_canonical())
}

// ---- The certificate: RFC 5280 §4.1 in the encoding of X.690 ----

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

struct Names<'a> {
    subject: Option<&'a [u8]>,
    alternative: Option<&'a [u8]>,
}

/// The elements of a constructed value: tag and contents of each, till one cannot be read.
#[derive(Clone)]
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if octets.is_empty() || octets.len() > 4 {
                return None;
            }
            let len = octets.iter().fold(0_u64, |len, &octet| len << 8 | u64::from(octet));
            (usize::try_from(len).ok()?, rest)
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, value))
    }
}

/// The contents of the only element.
fn only(tag: u8, text: &[u8]) -> Option<&[u8]> {
    Elements(text).next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
}

fn names(certificate: &[u8]) -> Option<Names<'_>> {
    let to_be_signed = only(SEQUENCE, only(SEQUENCE, certificate)?)?;
    let mut fields = Elements(to_be_signed).filter(|(tag, _)| *tag != VERSION).peekable();
    fields.next_if(|(tag, _)| *tag == INTEGER)?; // the serial number
    let mut sequences = fields.clone().filter(|(tag, _)| *tag == SEQUENCE);
    // signature, issuer, validity, subject
    let subject = sequences.nth(3).map(|(_, subject)| subject);
    let extensions = fields
        .find(|(tag, _)| *tag == EXTENSIONS)
        .and_then(|(_, extensions)| only(SEQUENCE, extensions))
        .unwrap_or_default();
    let alternative = Elements(extensions).find_map(|(_, extension)| {
        let mut parts = Elements(extension);
        let (tag, id) = parts.next()?;
        if tag != OBJECT_IDENTIFIER || id != SUBJECT_ALTERNATIVE_NAME {
            return None;
        }
        // What is there and cannot be read is there all the same.
        let value = parts.find(|(tag, _)| *tag == OCTET_STRING).map(|(_, value)| value);
        Some(value.and_then(|value| only(SEQUENCE, value)).unwrap_or_default())
    });
    Some(Names { subject, alternative })
}

/// The last, which is the most specific one.
fn common_name(subject: &[u8]) -> Option<&[u8]> {
    Elements(subject)
        .filter(|(tag, _)| *tag == SET)
        .flat_map(|(_, set)| Elements(set))
        .filter_map(|(_, attribute)| {
            let mut parts = Elements(attribute);
            let id = parts.next().filter(|part| *part == (OBJECT_IDENTIFIER, COMMON_NAME));
            id.and(parts.next()).map(|(_, value)| value)
        })
        .last()
}
