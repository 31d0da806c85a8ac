//! A tap that writes a capture file: pcapng, as Wireshark and sngrep read it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use sip_message::Transport;

use super::wall::Wall;
use crate::{MAX_DATAGRAM, Tap, Tapped};

#[cfg(test)]
mod tests;

/// Writes every message into a capture in the format pcapng (draft-ietf-opsawg-pcapng).
///
/// The packets are made up: each message gets the IP and transport headers that it would have had in a
/// packet of its own. What was sent over TCP is shown as TCP, however large; everything else as UDP, also
/// what went over TLS or WebSocket, so that a reader sees SIP and not what it was wrapped in. The
/// packet's comment names such a transport.
///
/// Each message is handed to `W` at once, in one piece. When that fails nothing more is written, and the
/// stack goes on.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let tap = sip_transport::PcapTap::create("calls.pcapng")?; // give it to `UserAgentBuilder::tap`
/// # drop(tap);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PcapTap<W> {
    /// `None` after it failed.
    out: Option<W>,
    wall: Wall,
    streams: Streams,
    packet: Vec<u8>,
    blocks: Vec<u8>,
}

impl PcapTap<File> {
    /// Writes into a new file of that name, in place of one that is there.
    ///
    /// # Errors
    ///
    /// If it cannot be created or written.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(File::create(path)?)
    }
}

impl<W: Write + Send> PcapTap<W> {
    /// Writes to `out`, beginning with the head of a capture.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&head())?;
        Ok(Self {
            out: Some(out),
            wall: Wall::now(),
            streams: Streams::default(),
            packet: Vec::new(),
            blocks: Vec::new(),
        })
    }

    fn write(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let (from, to) =
            if tapped.sent { (tapped.local, tapped.remote) } else { (tapped.remote, tapped.local) };
        self.blocks.clear();
        if tapped.transport == Transport::Tcp {
            let (mut sequence, acknowledged) = self.streams.next(from, to, tapped.bytes.len());
            for segment in tapped.bytes.chunks(SEGMENT) {
                self.packet.clear();
                ip(from, to)
                    .tcp(from.port(), to.port(), sequence, WINDOW)
                    .ack(acknowledged)
                    .psh()
                    .write(&mut self.packet, segment)
                    .map_err(io::Error::other)?;
                self.enhanced_packet(tapped);
                sequence = sequence.wrapping_add(number(segment.len()));
            }
        } else {
            // What came over a stream may be larger than a datagram: then its end is not shown.
            let shown = tapped.bytes.get(..MAX_DATAGRAM).unwrap_or(tapped.bytes);
            self.packet.clear();
            ip(from, to)
                .udp(from.port(), to.port())
                .write(&mut self.packet, shown)
                .map_err(io::Error::other)?;
            self.enhanced_packet(tapped);
        }
        match &mut self.out {
            Some(out) => out.write_all(&self.blocks),
            None => Ok(()),
        }
    }

    /// A block with the packet.
    fn enhanced_packet(&mut self, tapped: &Tapped<'_>) {
        let at = u64::try_from(self.wall.at(tapped.at).as_micros()).unwrap_or(u64::MAX);
        let at = at.to_le_bytes();
        let (low, high) = at.split_at(4);
        let length = number(self.packet.len()).to_le_bytes();
        block(&mut self.blocks, ENHANCED_PACKET, |block| {
            block.extend_from_slice(&INTERFACE.to_le_bytes());
            block.extend_from_slice(high);
            block.extend_from_slice(low);
            block.extend_from_slice(&length);
            block.extend_from_slice(&length);
            block.extend_from_slice(&self.packet);
            pad(block);
            if !matches!(tapped.transport, Transport::Udp | Transport::Tcp) {
                option(block, COMMENT, tapped.transport.as_str().as_bytes());
            }
            let direction = if tapped.sent { OUTBOUND } else { INBOUND };
            option(block, PACKET_FLAGS, &direction.to_le_bytes());
            option(block, END, &[]);
        });
    }
}

impl<W: Write + Send> Tap for PcapTap<W> {
    fn message(&mut self, tapped: Tapped<'_>) {
        if self.out.is_none() {
            return;
        }
        if let Err(error) = self.write(&tapped) {
            tracing::warn!(%error, "the capture ends here");
            self.out = None;
        }
    }
}

/// Bytes of a message in one TCP segment: a whole message, as far as an IP packet goes.
const SEGMENT: usize = 60_000;

/// The window that made-up TCP headers show.
const WINDOW: u16 = u16::MAX;

/// The link type of packets that begin with their IP header.
const LINKTYPE_RAW: u16 = 101;

/// The number of the one interface.
const INTERFACE: u32 = 0;

// The types of blocks (draft-ietf-opsawg-pcapng §4).
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

// The options that are written, and the directions of the flags.
const END: u16 = 0;
const COMMENT: u16 = 1;
const PACKET_FLAGS: u16 = 2;
const APPLICATION: u16 = 4;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// The time to live that made-up IP headers show.
const HOPS: u8 = 64;

fn ip(from: SocketAddr, to: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    let v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOPS),
        (from, to) => PacketBuilder::ipv6(v6(from), v6(to), HOPS),
    }
}

/// What begins a capture: who writes it, and that packets begin with their IP header.
fn head() -> Vec<u8> {
    let mut head = Vec::new();
    block(&mut head, SECTION_HEADER, |block| {
        block.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes()); // the byte order
        block.extend_from_slice(&1_u16.to_le_bytes()); // version 1.0
        block.extend_from_slice(&0_u16.to_le_bytes());
        block.extend_from_slice(&u64::MAX.to_le_bytes()); // of unknown length
        option(block, APPLICATION, concat!("sip-transport ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(block, END, &[]);
    });
    block(&mut head, INTERFACE_DESCRIPTION, |block| {
        block.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        block.extend_from_slice(&0_u16.to_le_bytes());
        block.extend_from_slice(&0_u32.to_le_bytes()); // packets of any length, whole
    });
    head
}

/// Appends a block: its type and length, what `fill` appends, its length again.
fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = number(out.len().saturating_sub(start).saturating_add(4)).to_le_bytes();
    out.extend_from_slice(&length);
    let place = out.get_mut(start..).and_then(|block| block.get_mut(4..8));
    if let Some(place) = place {
        place.copy_from_slice(&length);
    }
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend_from_slice(&code.to_le_bytes());
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    block.extend_from_slice(&length.to_le_bytes());
    block.extend_from_slice(value);
    pad(block);
}

/// As the formats have lengths; no packet is so long that it does not fit.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Everything begins at a multiple of four bytes; a block does, so its parts do.
fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

/// How far each stream has come, so that a reader can put the segments together.
#[derive(Debug, Default)]
struct Streams {
    /// Bytes sent from the first to the second.
    sent: HashMap<(SocketAddr, SocketAddr), u32>,
    /// Bytes of all streams.
    total: u32,
}

/// Directions of streams kept. With more than these all begin anew, at a number that none has reached: a
/// reader takes it for a gap.
const DIRECTIONS: usize = 32_768;

impl Streams {
    /// The sequence number of the next `len` bytes, and the number that acknowledges what went the other
    /// way.
    fn next(&mut self, from: SocketAddr, to: SocketAddr, len: usize) -> (u32, u32) {
        if self.sent.len() >= DIRECTIONS && !self.sent.contains_key(&(from, to)) {
            self.sent.clear();
        }
        let start = self.total;
        self.total = self.total.wrapping_add(number(len));
        let acknowledged = *self.sent.entry((to, from)).or_insert(start);
        let sequence = self.sent.entry((from, to)).or_insert(start);
        let first = *sequence;
        *sequence = sequence.wrapping_add(number(len));
        (first, acknowledged)
    }
}
