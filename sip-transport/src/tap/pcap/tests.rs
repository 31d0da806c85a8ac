use std::time::Instant;

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The blocks of a capture: their types and what stands between the lengths.
fn blocks(mut capture: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    while !capture.is_empty() {
        let length = u32_at(capture, 4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(u32_at(capture, length - 4) as usize, length, "the length stands at both ends");
        blocks.push((u32_at(capture, 0), &capture[8..length - 4]));
        capture = &capture[length..];
    }
    blocks
}

fn packets(capture: &[u8]) -> Vec<&[u8]> {
    let packets = blocks(capture).into_iter().skip(2).map(|(kind, block)| {
        assert_eq!(kind, ENHANCED_PACKET);
        let length = u32_at(block, 12) as usize;
        &block[20..20 + length]
    });
    packets.collect()
}

#[test]
fn a_capture_begins_with_its_section_and_its_interface() {
    let mut capture = Vec::new();
    PcapTap::new(&mut capture).unwrap();
    let blocks = blocks(&capture);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].0, u32_at(blocks[0].1, 0)), (0x0A0D_0D0A, 0x1A2B_3C4D));
    assert_eq!((blocks[1].0, u32_at(blocks[1].1, 0)), (1, 101));
}

#[test]
fn a_datagram_has_its_addresses_its_time_and_its_direction() {
    let mut capture = Vec::new();
    let mut tap = PcapTap::new(&mut capture).unwrap();
    let (local, remote) = (addr("192.0.2.1:5060"), addr("192.0.2.2:5062"));
    tap.message(Tapped::sent(Instant::now(), Transport::Udp, local, remote, b"hello"));
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let blocks = blocks(&capture);
    let block = blocks[2].1;
    let at = u64::from(u32_at(block, 4)) << 32 | u64::from(u32_at(block, 8));
    assert!(time.as_micros().abs_diff(at.into()) < 10_000_000);
    let packet = &block[20..];
    assert_eq!(packet[0], 0x45);
    assert_eq!((&packet[12..16], &packet[16..20]), (&[192, 0, 2, 1][..], &[192, 0, 2, 2][..]));
    assert_eq!(&packet[20..24], [5060_u16.to_be_bytes(), 5062_u16.to_be_bytes()].concat());
    assert_eq!(&packet[28..33], b"hello");
    let (flags, end) = (&block[36 + 20..], &block[block.len() - 4..]);
    assert_eq!((&flags[..4], u32_at(flags, 4)), (&[2, 0, 4, 0][..], OUTBOUND));
    assert_eq!(end, [0; 4]);
}

#[test]
fn the_segments_of_a_stream_follow_each_other_both_ways() {
    let mut capture = Vec::new();
    let mut tap = PcapTap::new(&mut capture).unwrap();
    let (local, remote) = (addr("[::1]:5060"), addr("[::1]:40000"));
    let long = vec![b'x'; SEGMENT + 10];
    let now = Instant::now();
    tap.message(Tapped::sent(now, Transport::Tcp, local, remote, &long));
    tap.message(Tapped::received(now, Transport::Tcp, local, remote, b"hello"));
    tap.message(Tapped::sent(now, Transport::Tcp, local, remote, b"again"));
    let number = |packet: &[u8], at| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
    let seen: Vec<_> = packets(&capture)
        .into_iter()
        .map(|packet| (packet.len() - 60, number(packet, 44), number(packet, 48)))
        .collect();
    let len = super::number(long.len());
    assert_eq!(
        seen,
        [(SEGMENT, 0, 0), (10, len - 10, 0), (5, 0, len), (5, len, 5)],
        "bytes, sequence number, acknowledgement"
    );
}

#[test]
fn what_was_wrapped_is_shown_as_datagrams_with_a_comment() {
    let mut capture = Vec::new();
    let mut tap = PcapTap::new(&mut capture).unwrap();
    let (local, remote) = (addr("192.0.2.1:5061"), addr("192.0.2.2:40000"));
    let large = vec![b'x'; 70_000];
    tap.message(Tapped::received(Instant::now(), Transport::Tls, local, remote, &large));
    let packet = packets(&capture)[0];
    assert_eq!((packet[9], packet.len()), (17, 28 + MAX_DATAGRAM), "as much as a datagram holds");
    assert!(capture.windows(3).any(|bytes| bytes == b"TLS"));
}

#[test]
fn the_table_of_streams_is_bounded_and_numbers_only_grow() {
    let mut streams = Streams::default();
    let far = addr("192.0.2.2:5060");
    let mut last = 0;
    for number in 0..100_000_u32 {
        let [high, mid, low] = [number >> 16, number >> 8, number].map(|n| n.to_le_bytes()[0]);
        let near = SocketAddr::from(([10, high, mid, low], 5060));
        let (sequence, _) = streams.next(near, far, 10);
        assert!(sequence >= last);
        last = sequence;
        assert!(streams.sent.len() <= DIRECTIONS + 1);
    }
}

/// Takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_capture_and_nothing_else() {
    assert!(PcapTap::new(Full(10)).is_err());
    let mut tap = PcapTap::new(Full(200)).unwrap();
    let at = addr("192.0.2.1:5060");
    for _ in 0..10 {
        tap.message(Tapped::sent(Instant::now(), Transport::Udp, at, at, &[b'x'; 50]));
    }
    assert!(tap.out.is_none());
}
