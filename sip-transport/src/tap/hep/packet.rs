//! One message as a collector reads it.

use std::net::IpAddr;

use sip_message::{Limits, Message, Transport};

use super::Seen;
use crate::tap::wall::Wall;

// The chunks of vendor 0 (HEP3 network protocol specification, rev. 36, "Generic chunk types").
const IP_FAMILY: u16 = 0x01;
const IP_PROTOCOL: u16 = 0x02;
const IPV4_SOURCE: u16 = 0x03;
const IPV4_DESTINATION: u16 = 0x04;
const IPV6_SOURCE: u16 = 0x05;
const IPV6_DESTINATION: u16 = 0x06;
const SOURCE_PORT: u16 = 0x07;
const DESTINATION_PORT: u16 = 0x08;
const SECONDS: u16 = 0x09;
const MICROSECONDS: u16 = 0x0a;
const PROTOCOL: u16 = 0x0b;
const AGENT: u16 = 0x0c;
const PAYLOAD: u16 = 0x0f;
const CORRELATION: u16 = 0x11;

/// The protocol type of SIP.
const SIP: u8 = 1;

/// One message as the collector reads it.
pub(super) fn encode(seen: &Seen, wall: Wall, agent: u32) -> Vec<u8> {
    let mut packet = Vec::with_capacity(seen.bytes.len().saturating_add(256));
    packet.extend_from_slice(b"HEP3\0\0");
    // The family as in sockets of old: 2 is IPv4, 10 IPv6.
    match (seen.from.ip(), seen.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(&mut packet, IP_FAMILY, &[2]);
            chunk(&mut packet, IPV4_SOURCE, &from.octets());
            chunk(&mut packet, IPV4_DESTINATION, &to.octets());
        }
        (from, to) => {
            let v6 = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            chunk(&mut packet, IP_FAMILY, &[10]);
            chunk(&mut packet, IPV6_SOURCE, &v6(from));
            chunk(&mut packet, IPV6_DESTINATION, &v6(to));
        }
    }
    let protocol = match seen.transport {
        Transport::Udp => 17,
        Transport::Sctp => 132,
        _ => 6,
    };
    chunk(&mut packet, IP_PROTOCOL, &[protocol]);
    chunk(&mut packet, SOURCE_PORT, &seen.from.port().to_be_bytes());
    chunk(&mut packet, DESTINATION_PORT, &seen.to.port().to_be_bytes());
    let time = wall.at(seen.at);
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    chunk(&mut packet, SECONDS, &seconds.to_be_bytes());
    chunk(&mut packet, MICROSECONDS, &time.subsec_micros().to_be_bytes());
    chunk(&mut packet, PROTOCOL, &[SIP]);
    chunk(&mut packet, AGENT, &agent.to_be_bytes());
    if let Ok(message) = Message::parse(seen.bytes.clone(), &Limits::default())
        && let Some(call_id) = message.headers().call_id()
    {
        chunk(&mut packet, CORRELATION, call_id.as_bytes());
    }
    chunk(&mut packet, PAYLOAD, &seen.bytes);
    // What is longer than this says is not sent.
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = packet.get_mut(4..6) {
        place.copy_from_slice(&length);
    }
    packet
}

/// Appends a chunk: vendor, type, its whole length, its value.
fn chunk(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len().saturating_add(6)).unwrap_or(u16::MAX);
    packet.extend_from_slice(&0_u16.to_be_bytes());
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(value);
}
