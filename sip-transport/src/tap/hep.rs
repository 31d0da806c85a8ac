//! A tap that tells a collector: HEP version 3, which Homer, Kamailio and others read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use sip_message::{Limits, Message, Transport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::wall::Wall;
use crate::{MAX_DATAGRAM, Tap, Tapped};

#[cfg(test)]
mod tests;

/// Sends every message to a collector over UDP, in the Homer encapsulation protocol, version 3.
///
/// The messages are copied into a queue of bounded size that a task of its own works off, so that the
/// path of the messages never waits for the collector. What does not fit is dropped and counted
/// ([`HepStats`]).
#[derive(Debug)]
pub struct HepTap {
    queue: mpsc::UnboundedSender<Seen>,
    shared: Arc<Shared>,
    wall: Wall,
}

/// What a [`HepTap`] sent and did not send. A handle that outlives the tap.
#[derive(Clone, Debug)]
pub struct HepStats {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait, each message with some more than it has.
    queued: AtomicUsize,
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// One message that waits.
#[derive(Debug)]
struct Seen {
    at: Instant,
    transport: Transport,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

impl Seen {
    fn weight(&self) -> usize {
        self.bytes.len().saturating_add(size_of::<Self>())
    }
}

/// Bytes that wait for the task; beyond it messages are dropped.
const QUEUE_BYTES: usize = 1024 * 1024;

impl HepTap {
    /// Sends to the collector at that address, as the capture agent of that number.
    ///
    /// Must be called within a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// The system's error if no socket can be had.
    pub fn new(collector: SocketAddr, agent: u32) -> io::Result<Self> {
        let any: IpAddr = match collector {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect(collector)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let (queue, waiting) = mpsc::unbounded_channel();
        let tap = Self { queue, shared: Arc::default(), wall: Wall::now() };
        tokio::spawn(send_all(waiting, socket, Arc::clone(&tap.shared), tap.wall, agent));
        Ok(tap)
    }

    /// What becomes of the messages, now and later.
    pub fn stats(&self) -> HepStats {
        HepStats { shared: Arc::clone(&self.shared) }
    }
}

impl HepStats {
    /// Messages given to the system to send.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Messages that were not sent: the queue was full, or the system refused to send.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Tap for HepTap {
    fn message(&mut self, tapped: Tapped<'_>) {
        let (from, to) =
            if tapped.sent { (tapped.local, tapped.remote) } else { (tapped.remote, tapped.local) };
        let Tapped { at, transport, bytes, .. } = tapped;
        let shared = &self.shared;
        let weight = bytes.len().saturating_add(size_of::<Seen>());
        if shared.queued.fetch_add(weight, Ordering::Relaxed).saturating_add(weight) > QUEUE_BYTES {
            shared.queued.fetch_sub(weight, Ordering::Relaxed);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let seen = Seen { at, transport, from, to, bytes: Bytes::copy_from_slice(bytes) };
        if self.queue.send(seen).is_err() {
            shared.dropped.fetch_add(1, Ordering::Relaxed); // the runtime is shutting down
        }
    }
}

async fn send_all(
    mut waiting: mpsc::UnboundedReceiver<Seen>,
    socket: UdpSocket,
    shared: Arc<Shared>,
    wall: Wall,
    agent: u32,
) {
    while let Some(seen) = waiting.recv().await {
        let packet = encode(&seen, wall, agent);
        let result = match packet.len() <= MAX_DATAGRAM {
            true => socket.send(&packet).await.map(|_| ()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        match result {
            Ok(()) => shared.sent.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                tracing::debug!(%error, "not sent to the collector");
                shared.dropped.fetch_add(1, Ordering::Relaxed)
            }
        };
        shared.queued.fetch_sub(seen.weight(), Ordering::Relaxed);
    }
}

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
fn encode(seen: &Seen, wall: Wall, agent: u32) -> Vec<u8> {
    let mut packet = Vec::with_capacity(seen.bytes.len() + 256);
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
