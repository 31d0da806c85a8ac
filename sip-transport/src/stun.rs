//! STUN on the SIP port: Binding requests and their answers, nothing more (RFC 5626 §8, RFC 8489).
//!
//! RFC 5626 §8: "The only STUN messages required by this usage are Binding Requests, Binding
//! Responses, and Binding Error Responses."
//!
//! None of them is authenticated, and XOR-MAPPED-ADDRESS is the one attribute that means anything. So
//! the codec is this page, and no crate: those for the whole of STUN bring hashes and key derivation along for
//! one message of twenty bytes and its answer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use crate::StunId;

/// RFC 8489 §5: "The Magic Cookie field MUST contain the fixed value 0x2112A442 in network byte order."
const COOKIE: u32 = 0x2112_A442;
const HEADER: usize = 20;

const REQUEST: u16 = 0x0001;
const INDICATION: u16 = 0x0011;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Attributes that need not be understood (RFC 8489 §14): the upper half of the numbers.
const OPTIONAL: u16 = 0x8000;

/// Attributes that are known by name and mean nothing in an exchange without authentication:
/// MAPPED-ADDRESS, USERNAME, MESSAGE-INTEGRITY, REALM, NONCE and the other two of RFC 8489.
const PASSED_OVER: [u16; 7] = [0x0001, 0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001D];

/// How many attributes that we do not understand are named in the answer.
const MAX_UNKNOWN: usize = 16;

/// A STUN message, as far as it concerns a SIP endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stun {
    /// A Binding request.
    Request {
        /// Its transaction.
        id: StunId,
        /// The attributes that must be understood and are not, the first few of them.
        unknown: Vec<u16>,
    },
    /// A Binding success response.
    Success {
        /// The transaction of the request.
        id: StunId,
        /// Where the request came from, as its receiver saw it.
        mapped: SocketAddr,
    },
    /// A Binding error response, or a success response that says nothing that can be used.
    Failure {
        /// The transaction of the request.
        id: StunId,
    },
    /// A Binding indication: it wants nothing.
    Indication,
}

/// Whether a datagram is STUN, and not SIP.
///
/// RFC 5626 §8: "It is easy to distinguish STUN and SIP packets sent over
/// UDP, because the first octet of a STUN Binding method has a value
/// of 0 or 1, while the first octet of a SIP message is never a 0 or
/// 1."
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0 | 1))
        && datagram.get(4..8).is_some_and(|cookie| cookie == COOKIE.to_be_bytes())
}

impl Stun {
    /// Reads a datagram; `None` if it is no well-formed STUN message of the Binding method.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        if !is_stun(datagram) {
            return None;
        }
        let kind = number(datagram, 0)?;
        let id: StunId = datagram.get(8..HEADER)?.try_into().ok()?;
        let attributes = datagram.get(HEADER..)?;
        // RFC 8489 §5: "The message length MUST contain the size of the message in bytes, not
        // including the 20-byte STUN header."
        // RFC 8489 §6.3: "It checks that the first two
        // bits are 0, that the Magic Cookie field has the correct value, that
        // the message length is sensible, and that the method value is a
        // supported method."
        if usize::from(number(datagram, 2)?) != attributes.len() || attributes.len() % 4 != 0 {
            return None;
        }
        let mut unknown = Vec::new();
        let mut mapped = None;
        let mut rest = attributes;
        while !rest.is_empty() {
            let (name, len) = (number(rest, 0)?, usize::from(number(rest, 2)?));
            let value = rest.get(4..4_usize.checked_add(len)?)?;
            match name {
                // RFC 8489 §14: "only the first occurrence needs to be processed by a receiver, and
                // any duplicates MAY be ignored by a receiver."
                XOR_MAPPED_ADDRESS if mapped.is_none() => mapped = mapped_address(value, &id),
                XOR_MAPPED_ADDRESS | ERROR_CODE | UNKNOWN_ATTRIBUTES => {}
                name if name >= OPTIONAL || PASSED_OVER.contains(&name) => {}
                name if unknown.len() < MAX_UNKNOWN => unknown.push(name),
                _ => {}
            }
            // Each begins at a multiple of four bytes.
            rest = rest.get(4_usize.checked_add(len.next_multiple_of(4))?..)?;
        }
        match kind {
            REQUEST => Some(Self::Request { id, unknown }),
            INDICATION => Some(Self::Indication),
            ERROR => Some(Self::Failure { id }),
            // RFC 8489 §6.3.3: "If the success response contains unknown comprehension-required
            // attributes, the response is discarded and the transaction is considered to have failed."
            SUCCESS => match mapped.filter(|_| unknown.is_empty()) {
                Some(mapped) => Some(Self::Success { id, mapped }),
                None => Some(Self::Failure { id }),
            },
            _ => None,
        }
    }

    /// A Binding request without attributes, as a keep-alive of RFC 5626 is.
    pub fn request(id: StunId) -> Bytes {
        message(REQUEST, id, &[])
    }

    /// The answer to a request that came from `source`; `None` if there is none to give.
    pub fn answer(&self, source: SocketAddr) -> Option<Bytes> {
        let Self::Request { id, unknown } = self else { return None };
        if unknown.is_empty() {
            // RFC 5626 §8: "The UAS, proxy, or
            // registrar responds to a valid Binding Request with a Binding Response
            // that MUST include the XOR-MAPPED-ADDRESS attribute."
            return Some(message(SUCCESS, *id, &attribute(XOR_MAPPED_ADDRESS, &xored(source, id))));
        }
        // RFC 8489 §6.3.1: "If the request contains one or more unknown comprehension-required
        // attributes, the server replies with an error response with an error
        // code of 420 (Unknown Attribute) and includes an UNKNOWN-ATTRIBUTES
        // attribute in the response that lists the unknown comprehension-
        // required attributes."
        let mut code = vec![0, 0, 4, 20];
        code.extend_from_slice(b"Unknown Attribute");
        let names: Vec<u8> = unknown.iter().flat_map(|name| name.to_be_bytes()).collect();
        let attributes = [attribute(ERROR_CODE, &code), attribute(UNKNOWN_ATTRIBUTES, &names)];
        Some(message(ERROR, *id, &attributes.concat()))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(two.try_into().ok()?))
}

fn message(kind: u16, id: StunId, attributes: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER.saturating_add(attributes.len()));
    bytes.put_u16(kind);
    // At most the 420 above, far below 64 KiB.
    bytes.put_u16(u16::try_from(attributes.len()).unwrap_or(u16::MAX));
    bytes.put_u32(COOKIE);
    bytes.put_slice(&id);
    bytes.put_slice(attributes);
    bytes.freeze()
}

fn attribute(name: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// What an address is combined with (RFC 8489 §14.2): the cookie, and for IPv6 the transaction too.
fn mask(id: &StunId) -> [u8; 16] {
    let mut mask = [0; 16];
    let bytes = COOKIE.to_be_bytes().into_iter().chain(*id);
    mask.iter_mut().zip(bytes).for_each(|(mask, byte)| *mask = byte);
    mask
}

/// The value of XOR-MAPPED-ADDRESS.
fn xored(address: SocketAddr, id: &StunId) -> Vec<u8> {
    let (family, octets) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = address.port() ^ (COOKIE >> 16) as u16;
    let octets = octets.iter().zip(mask(id)).map(|(octet, mask)| octet ^ mask);
    [0, family].into_iter().chain(port.to_be_bytes()).chain(octets).collect()
}

fn mapped_address(value: &[u8], id: &StunId) -> Option<SocketAddr> {
    let (family, octets) = (*value.get(1)?, value.get(4..)?);
    let port = number(value, 2)? ^ (COOKIE >> 16) as u16;
    let mut clear = [0_u8; 16];
    let bytes = octets.iter().zip(mask(id)).map(|(octet, mask)| octet ^ mask);
    clear.iter_mut().zip(bytes).for_each(|(clear, byte)| *clear = byte);
    let ip = match (family, octets.len()) {
        (1, 4) => IpAddr::V4(Ipv4Addr::from(*clear.first_chunk::<4>()?)),
        (2, 16) => IpAddr::V6(Ipv6Addr::from(clear)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests;
