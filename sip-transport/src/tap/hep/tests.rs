use std::time::Duration;

use super::*;

const OPTIONS: &[u8] =
    b"OPTIONS sip:b@example.com SIP/2.0\r\nCall-ID: 7@a\r\nContent-Length: 0\r\n\r\n";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The chunks of a packet by their types.
fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!((&packet[..4], usize::from(number(4))), (&b"HEP3"[..], packet.len()));
    let mut chunks = Vec::new();
    let mut at = 6;
    while at < packet.len() {
        assert_eq!(number(at), 0, "the vendor");
        let length = usize::from(number(at + 4));
        chunks.push((number(at + 2), packet[at + 6..at + length].to_vec()));
        at += length;
    }
    chunks
}

fn value(chunks: &[(u16, Vec<u8>)], kind: u16) -> Option<&[u8]> {
    chunks.iter().find(|chunk| chunk.0 == kind).map(|chunk| &*chunk.1)
}

#[test]
fn every_chunk_says_what_the_message_was() {
    let (from, to) = (addr("192.0.2.1:5060"), addr("192.0.2.2:5062"));
    let wall = Wall::now();
    let bytes = Bytes::from_static(OPTIONS);
    let seen = Seen { at: Instant::now(), transport: Transport::Udp, from, to, bytes };
    let chunks = chunks(&encode(&seen, wall, 2001));
    let expected: [(u16, &[u8]); 10] = [
        (0x01, &[2]),
        (0x02, &[17]),
        (0x03, &[192, 0, 2, 1]),
        (0x04, &[192, 0, 2, 2]),
        (0x07, &[0x13, 0xc4]),
        (0x08, &[0x13, 0xc6]),
        (0x0b, &[1]),
        (0x0c, &[0, 0, 0x07, 0xd1]),
        (0x11, b"7@a"),
        (0x0f, OPTIONS),
    ];
    for (kind, expected) in expected {
        assert_eq!(value(&chunks, kind), Some(expected), "{kind:#x}");
    }
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seconds = u32::from_be_bytes(value(&chunks, 0x09).unwrap().try_into().unwrap());
    assert!(time.as_secs().abs_diff(seconds.into()) < 10);
    let microseconds = u32::from_be_bytes(value(&chunks, 0x0a).unwrap().try_into().unwrap());
    assert!(microseconds < 1_000_000);
    assert_eq!(chunks.len(), 12);
}

#[test]
fn ipv6_and_what_is_no_sip() {
    let (from, to) = (addr("[2001:db8::1]:5060"), addr("[2001:db8::2]:5061"));
    let bytes = Bytes::from_static(b"hello");
    let seen = Seen { at: Instant::now(), transport: Transport::Tls, from, to, bytes };
    let chunks = chunks(&encode(&seen, Wall::now(), 1));
    assert_eq!(value(&chunks, 0x01), Some(&[10][..]));
    assert_eq!(value(&chunks, 0x02), Some(&[6][..]));
    let ip: std::net::Ipv6Addr = "2001:db8::2".parse().unwrap();
    assert_eq!(value(&chunks, 0x06), Some(&ip.octets()[..]));
    assert_eq!((value(&chunks, 0x03), value(&chunks, 0x11)), (None, None));
    assert_eq!(value(&chunks, 0x0f), Some(&b"hello"[..]));
}

#[tokio::test]
async fn the_collector_gets_what_passes_in_order_with_its_direction() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut tap = HepTap::new(collector.local_addr().unwrap(), 7).unwrap();
    let stats = tap.stats();
    let (local, remote) = (addr("192.0.2.1:5060"), addr("192.0.2.2:5062"));
    let now = Instant::now();
    tap.message(Tapped::sent(now, Transport::Udp, local, remote, OPTIONS));
    tap.message(Tapped::received(now, Transport::Tcp, local, remote, b"hello"));
    let mut buffer = vec![0; 65_536];
    for (bytes, source) in [(OPTIONS, [192, 0, 2, 1]), (b"hello", [192, 0, 2, 2])] {
        let received = tokio::time::timeout(Duration::from_secs(10), collector.recv(&mut buffer));
        let len = received.await.unwrap().unwrap();
        let chunks = chunks(&buffer[..len]);
        assert_eq!(value(&chunks, 0x0f), Some(bytes));
        assert_eq!(value(&chunks, 0x03), Some(&source[..]));
    }
    while stats.sent() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stats.dropped(), 0);
}

#[tokio::test]
async fn what_the_queue_does_not_hold_is_dropped_and_counted() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut tap = HepTap::new(collector.local_addr().unwrap(), 7).unwrap();
    let stats = tap.stats();
    let at = addr("192.0.2.1:5060");
    // The task has no turn before we wait for something.
    let large = vec![b'x'; 60_000];
    for _ in 0..100 {
        tap.message(Tapped::sent(Instant::now(), Transport::Udp, at, at, &large));
    }
    let held = QUEUE_BYTES / (large.len() + size_of::<Seen>());
    assert_eq!(stats.dropped(), 100 - u64::try_from(held).unwrap());
    // What is larger than a datagram is never sent.
    while stats.sent() + stats.dropped() < 100 {
        tokio::task::yield_now().await;
    }
    let dropped = stats.dropped();
    tap.message(Tapped::sent(Instant::now(), Transport::Tcp, at, at, &[b'x'; MAX_DATAGRAM]));
    while stats.dropped() == dropped {
        tokio::task::yield_now().await;
    }
}
