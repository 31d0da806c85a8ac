use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::packet::encode;
use super::send::{FIRST_PAUSE, longer};
use super::*;
use crate::MAX_DATAGRAM;

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

/// The next packet on a stream: its chunks.
async fn next_packet(stream: &mut TcpStream) -> Vec<(u16, Vec<u8>)> {
    let mut packet = vec![0; 6];
    let whole = async {
        stream.read_exact(&mut packet).await.unwrap();
        let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        packet.resize(length, 0);
        stream.read_exact(&mut packet[6..]).await.unwrap();
    };
    timeout(Duration::from_secs(10), whole).await.unwrap();
    chunks(&packet)
}

/// Shows the tap a message of this text.
fn pass(tap: &mut HepTap, text: &str) {
    let at = addr("192.0.2.1:5060");
    tap.message(Tapped::sent(Instant::now(), Transport::Udp, at, at, text.as_bytes()));
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let packet = next_packet(stream).await;
    assert_eq!(value(&packet, 0x0f), Some(text.as_bytes()), "{text}");
}

#[tokio::test]
async fn a_collector_over_tcp_gets_everything_over_one_connection_in_order() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tap = HepTap::new(HepCollector::Tcp(collector.local_addr().unwrap()), 7).unwrap();
    let stats = tap.stats();
    let texts: Vec<String> = (0..200).map(|i| format!("{i}{}", "x".repeat(i * 40))).collect();
    for text in &texts {
        pass(&mut tap, text);
    }
    let (mut stream, _) = collector.accept().await.unwrap();
    for text in &texts {
        expect(&mut stream, text).await;
    }
    // The last that is sent is said before the connection ends.
    pass(&mut tap, "last");
    drop(tap);
    expect(&mut stream, "last").await;
    let end = timeout(Duration::from_secs(10), stream.read(&mut [0; 1])).await.unwrap();
    assert_eq!((end.unwrap(), stats.sent(), stats.dropped()), (0, 201, 0));
    assert_eq!(stats.connections(), 1);
}

#[tokio::test]
async fn a_collector_that_is_away_is_connected_to_again_and_told_what_waited() {
    // Nobody listens there yet; the number stays taken.
    let place = tokio::net::TcpSocket::new_v4().unwrap();
    place.bind(addr("127.0.0.1:0")).unwrap();
    let at = place.local_addr().unwrap();
    let mut tap = HepTap::new(HepCollector::Tcp(at), 7).unwrap();
    let stats = tap.stats();
    pass(&mut tap, "before it came");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(stats.connections(), 0);
    let collector = place.listen(8).unwrap();
    let (mut stream, _) = collector.accept().await.unwrap();
    expect(&mut stream, "before it came").await;
    // It closes, which is seen before anything is written to where nobody reads.
    drop(stream);
    tokio::time::sleep(Duration::from_millis(20)).await;
    pass(&mut tap, "after it went");
    let (mut stream, _) = collector.accept().await.unwrap();
    expect(&mut stream, "after it went").await;
    assert_eq!((stats.connections(), stats.dropped()), (2, 0));
}

#[tokio::test]
async fn a_packet_that_was_cut_short_is_sent_again_whole() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tap = HepTap::new(HepCollector::Tcp(collector.local_addr().unwrap()), 7).unwrap();
    let stats = tap.stats();
    let large = "x".repeat(60_000);
    // More than the system takes for a reader that reads nothing, and it is reset in the middle.
    let (first, _) = collector.accept().await.unwrap();
    while stats.dropped() == 0 {
        pass(&mut tap, &large);
        tokio::task::yield_now().await;
    }
    drop(first);
    let (mut stream, _) = collector.accept().await.unwrap();
    pass(&mut tap, "last");
    loop {
        let packet = next_packet(&mut stream).await;
        match value(&packet, 0x0f) {
            Some(b"last") => break,
            payload => assert_eq!(payload.map(<[u8]>::len), Some(large.len())),
        }
    }
    assert_eq!(stats.connections(), 2);
}

#[tokio::test]
async fn a_collector_that_never_comes_costs_a_bounded_queue() {
    let place = tokio::net::TcpSocket::new_v4().unwrap();
    place.bind(addr("127.0.0.1:0")).unwrap();
    let mut tap = HepTap::new(HepCollector::Tcp(place.local_addr().unwrap()), 7).unwrap();
    let stats = tap.stats();
    for _ in 0..100 {
        pass(&mut tap, &"x".repeat(60_000));
    }
    let held = QUEUE_BYTES / (60_000 + size_of::<Seen>());
    assert_eq!(stats.dropped(), 100 - u64::try_from(held).unwrap());
    // The tap gone, one more attempt is made; then all that waited is lost and counted.
    drop(tap);
    let all_counted = async {
        while stats.dropped() < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), all_counted).await.unwrap();
}

// The clock is turned forward whenever nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_collector_that_takes_nothing_is_given_up() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tap = HepTap::new(HepCollector::Tcp(collector.local_addr().unwrap()), 7).unwrap();
    let stats = tap.stats();
    let (_open_and_not_read, _) = collector.accept().await.unwrap();
    while stats.dropped() == 0 {
        pass(&mut tap, &"x".repeat(60_000));
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    let (mut stream, _) = collector.accept().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    let packet = next_packet(&mut stream).await;
    assert_eq!(value(&packet, 0x0f).map(<[u8]>::len), Some(60_000));
}

#[test]
fn pauses_between_connections_grow_to_half_a_minute() {
    let pauses = std::iter::successors(Some(FIRST_PAUSE), |&pause| Some(longer(pause)));
    let millis: Vec<u128> = pauses.take(8).map(|pause| pause.as_millis()).collect();
    assert_eq!(millis, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn a_collector_in_text() {
    let (v4, v6) = (addr("192.0.2.9:9060"), addr("[2001:db8::9]:9060"));
    for (text, collector) in [
        ("192.0.2.9:9060", HepCollector::Udp(v4)),
        ("udp:192.0.2.9:9060", HepCollector::Udp(v4)),
        ("tcp:192.0.2.9:9060", HepCollector::Tcp(v4)),
        ("tcp:[2001:db8::9]:9060", HepCollector::Tcp(v6)),
        ("[2001:db8::9]:9060", HepCollector::Udp(v6)),
    ] {
        let read: HepCollector = text.parse().unwrap();
        assert_eq!(read, collector, "{text}");
        assert_eq!(read.to_string().parse(), Ok(collector));
    }
    for text in ["", "tcp:", "tls:192.0.2.9:9060", "tcp:192.0.2.9", "tcp:host:9060"] {
        assert_eq!(text.parse::<HepCollector>(), Err(HepCollectorError), "{text}");
    }
}
