//! Any bytes, as a datagram that may be STUN: what is read of it, and what is answered.
//!
//! The first 18 bytes make an address and a port too, which must come back from an answer as they went in.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use sip_transport::{Stun, is_stun};

fuzz_target!(|data: &[u8]| {
    let source = address(data);
    let Some(message) = Stun::parse(data) else { return };
    assert!(is_stun(data), "only STUN is read as STUN");
    let answer = message.answer(source);
    let Stun::Request { id, unknown } = message else {
        assert_eq!(answer, None, "only requests are answered");
        return;
    };
    let answer = answer.expect("a request is answered");
    assert!(answer.len() <= 128, "an answer of {} bytes amplifies", answer.len());
    let expected = if unknown.is_empty() {
        Stun::Success { id, mapped: SocketAddr::new(source.ip().to_canonical(), source.port()) }
    } else {
        Stun::Failure { id }
    };
    assert_eq!(Stun::parse(&answer), Some(expected));
});

fn address(data: &[u8]) -> SocketAddr {
    let port = data.first_chunk::<2>().map_or(0, |port| u16::from_be_bytes(*port));
    let ip = data.get(2..).unwrap_or_default();
    match (ip.first_chunk::<16>(), ip.first_chunk::<4>()) {
        (Some(ip), _) => (Ipv6Addr::from(*ip), port).into(),
        (None, Some(ip)) => (Ipv4Addr::from(*ip), port).into(),
        (None, None) => (Ipv4Addr::LOCALHOST, port).into(),
    }
}
