//! A tap that tells a collector: HEP version 3, which Homer, Kamailio and others read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use sip_message::Transport;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use self::send::Sender;
use super::wall::Wall;
use crate::{Tap, Tapped};

pub use self::collector::{HepCollector, HepCollectorError};

mod collector;
mod packet;
mod send;
#[cfg(test)]
mod tests;

/// Sends every message to a collector over UDP or TCP, in the Homer encapsulation protocol, version 3.
///
/// The messages are copied into a queue of bounded size (1 MiB) that a task of its own works off, so that
/// the path of the messages never waits for the collector. What does not fit is dropped and counted
/// ([`HepStats`]).
///
/// Over TCP all go over one connection. When it ends or cannot be opened, the task tries again after half a
/// second, then after twice as long each time, up to 30 s, and what waits goes over the next one. What
/// the system had taken of a connection that broke may be lost without being counted, for a collector
/// acknowledges nothing.
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
    connections: AtomicU64,
}

impl Shared {
    /// The message waits no more.
    fn leave(&self, seen: &Seen) {
        self.queued.fetch_sub(seen.weight(), Ordering::Relaxed);
    }
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
    /// Sends to that collector, as the capture agent of that number.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled. A collector that cannot be
    /// connected to is no error: it may come.
    ///
    /// # Errors
    ///
    /// The system's error if no socket can be had for UDP.
    pub fn new(collector: impl Into<HepCollector>, agent: u32) -> io::Result<Self> {
        let (queue, waiting) = mpsc::unbounded_channel();
        let tap = Self { queue, shared: Arc::default(), wall: Wall::now() };
        let sender = Sender { waiting, shared: Arc::clone(&tap.shared), wall: tap.wall, agent };
        match collector.into() {
            HepCollector::Udp(collector) => {
                let any: IpAddr = match collector {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = std::net::UdpSocket::bind((any, 0))?;
                socket.connect(collector)?;
                socket.set_nonblocking(true)?;
                tokio::spawn(sender.by_datagrams(UdpSocket::from_std(socket)?));
            }
            HepCollector::Tcp(collector) => {
                tokio::spawn(sender.by_connections(collector));
            }
        }
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

    /// Connections that were opened to a collector over TCP.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Messages that were not sent: the queue was full, the message is longer than a packet may be, or the
    /// system refused to send.
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
