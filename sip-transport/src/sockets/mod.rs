//! UDP and TCP sockets on tokio, and what lies above TCP, all owned by one task: the shard.
//!
//! Each is a feature: `datagrams.rs` is of `udp`, `streams.rs` of `tcp`. Without both there is nothing to bind.
#![cfg_attr(
    not(any(feature = "udp", feature = "tcp")),
    allow(unused, reason = "there is nothing to bind")
)]

mod bind;
#[cfg(feature = "tcp")]
mod connection;
#[cfg(feature = "udp")]
mod datagrams;
#[cfg(feature = "tcp")]
#[cfg_attr(
    not(any(feature = "ws", feature = "tls")),
    allow(dead_code, reason = "nothing lies above TCP in this build")
)]
mod layered;
#[cfg(feature = "tls")]
mod octets;
mod stats;
#[cfg(feature = "tcp")]
mod streams;
#[cfg(feature = "tcp")]
mod table;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "udp")]
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "tcp")]
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use sip_message::Transport;
#[cfg(feature = "tcp")]
use tokio::net::TcpListener;
#[cfg(feature = "tcp")]
use tokio::time::Sleep;

use crate::admission::Admission;
use crate::{
    Config, ConnectionId, Gate, Input, ListenAddr, ListenerId, Locals, ReadySet, Target, Transmit,
    TransportError,
};
use bind::{bind_all, rebound};
#[cfg(feature = "tcp")]
use layered::Layer;
#[cfg(feature = "ws")]
pub(crate) use layered::{Layered, Read};
pub use stats::{ByReason, ByTransport, SocketStats};
#[cfg(feature = "tcp")]
use streams::Streams;
#[cfg(feature = "tcp")]
use table::Outgoing;
#[cfg(feature = "udp")]
use udp::Udp;

/// What a queued message counts beyond its bytes, so that many small ones are bounded too.
const QUEUE_OVERHEAD: usize = 64;

/// Connections that wait in the system to be accepted.
#[cfg(feature = "tcp")]
const BACKLOG: i32 = 1024;

/// The sockets of one endpoint: those it listens on, and every connection.
///
/// They are owned by one task, which alternates between [`poll_recv`](Self::poll_recv), what it
/// makes of the inputs, and [`send`](Self::send). Nothing here blocks and every queue is bounded
/// ([`Config`]).
#[derive(Debug)]
pub struct Sockets {
    listeners: Vec<Listener>,
    /// The listeners by their index, then the reports.
    sources: ReadySet,
    locals: Locals,
    config: Config,
    #[cfg(feature = "tcp")]
    streams: Streams,
    /// Inputs that arose while sending.
    arisen: Vec<Input>,
    #[cfg(feature = "udp")]
    buffer: Box<[u8]>,
    admission: Admission,
    stats: SocketStats,
}

// RFC 3261 §18: "All SIP elements MUST implement UDP and TCP."
#[derive(Debug)]
enum Listener {
    #[cfg(feature = "udp")]
    Udp(Udp),
    /// TCP, and all that lies above it.
    #[cfg(feature = "tcp")]
    Tcp { listener: TcpListener, pause: Option<Pin<Box<Sleep>>> },
    /// Connections are only opened from here.
    DialOnly(SocketAddr),
}

impl Sockets {
    /// Binds all of `addrs`, in order; the index of each is its [`ListenerId`]. The TCP listeners
    /// that [`Config::tcp_beside_udp`] adds come after them.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// The system's error for the first address that cannot be bound, whose text names the address.
    pub fn bind(addrs: &[ListenAddr], config: Config) -> io::Result<Self> {
        let (listeners, locals) = bind_all(addrs, &config)?;
        Ok(Self {
            sources: ReadySet::new(listeners.len() + 1),
            listeners,
            locals,
            #[cfg(feature = "tcp")]
            streams: Streams::new(&config),
            arisen: Vec::new(),
            #[cfg(feature = "udp")]
            buffer: vec![0; crate::MAX_DATAGRAM + 1].into_boxed_slice(),
            admission: Admission::new(config.source_rate, config.bad_message_weight, now()),
            stats: SocketStats::default(),
            config,
        })
    }

    /// The addresses listened on, with the real ports.
    pub fn locals(&self) -> &Locals {
        &self.locals
    }

    /// How many connections are open, opening or closing.
    pub fn connections(&self) -> usize {
        #[cfg(feature = "tcp")]
        return self.streams.table.len();
        #[cfg(not(feature = "tcp"))]
        0
    }

    /// What was turned away, opened and closed so far, and what waits now.
    pub fn stats(&self) -> SocketStats {
        let udp = self.listeners.iter().filter_map(|listener| match listener {
            #[cfg(feature = "udp")]
            Listener::Udp(udp) => Some(udp.queued_bytes()),
            #[cfg(feature = "tcp")]
            Listener::Tcp { .. } => None,
            Listener::DialOnly(_) => None::<usize>,
        });
        SocketStats {
            live_connections: self.connections(),
            #[cfg(feature = "tcp")]
            live_inbound: self.streams.inbound().0,
            #[cfg(feature = "tcp")]
            inbound_queue: self.streams.inbound().1,
            live_udp_bytes: udp.max().unwrap_or(0),
            udp_queue_bytes: self.config.udp_queue_bytes,
            ..self.stats
        }
    }

    /// Asks this gate from now on about whatever arrives.
    pub fn set_gate(&mut self, gate: impl Gate + 'static) {
        self.admission.set_gate(Box::new(gate));
    }

    /// Charges a source for a message that was no SIP, or that had to be refused as malformed
    /// ([`Config::bad_message_weight`]).
    pub fn blame(&mut self, source: IpAddr) {
        self.admission.blame(now(), source);
    }

    /// Writes what was sent since the last call, and appends what came in, a bounded amount of it
    /// from each source. Pending, with the waker registered, when nothing came.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, inputs: &mut Vec<Input>) -> Poll<()> {
        let before = inputs.len();
        #[cfg(feature = "tcp")]
        self.streams.table.tick();
        loop {
            #[cfg(feature = "tcp")]
            self.streams.table.flush();
            self.sources.begin(cx);
            let progress = self.poll_listeners(inputs);
            #[cfg(feature = "tcp")]
            let progress = self.poll_reports(inputs) || progress;
            inputs.append(&mut self.arisen);
            if inputs.len() > before {
                return Poll::Ready(());
            }
            // A source that had something (a connection, a keep-alive) has not registered the waker.
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Sends one message: a datagram at once, to a stream with the next
    /// [`poll_recv`](Self::poll_recv), together with all else that goes there. If it cannot be
    /// sent, [`Input::SendFailed`] says so then or later.
    pub fn send(&mut self, transmit: Transmit) {
        let Transmit { destination, fallback, payload, token, domain } = transmit;
        let _ = (&fallback, &domain);
        match destination.transport() {
            #[cfg(feature = "udp")]
            Transport::Udp => self.send_datagram(destination.into(), payload, token),
            #[cfg(feature = "tcp")]
            Transport::Tcp => {
                self.send_stream(destination, None, Outgoing::new(payload, token, fallback))
            }
            #[cfg(feature = "tcp")]
            other if Layer::of(other, &self.config).is_some() => self.send_stream(
                destination,
                domain.map(streams::lower_case),
                Outgoing::new(payload, token, fallback),
            ),
            _ => self.fail(destination.into(), token, TransportError::ProtocolUnsupported, payload),
        }
    }

    /// Closes a connection, after what is queued for it is written. [`Input::Closed`] follows.
    pub fn close(&mut self, connection: ConnectionId) {
        #[cfg(feature = "tcp")]
        self.streams.table.close(connection);
        #[cfg(not(feature = "tcp"))]
        let _ = connection;
    }

    /// Looks at the addresses of this machine anew, after its networks have changed; what comes of it is said
    /// by [`Input::Rebound`].
    ///
    /// All connections are dropped: each leads from an address that may be gone, and would be found dead
    /// only after minutes. Sockets stay: one that listens on all addresses serves the new ones as well,
    /// and is named anew in Via and Contact unless its name was [given](ListenAddr::with_advertised). One that
    /// listens on an address that is gone is reported, and works again when the address is back.
    pub fn rebind(&mut self) {
        #[cfg(feature = "tcp")]
        self.drop_streams();
        let (locals, lost) = rebound(&self.locals);
        self.locals = locals.clone();
        let mut inputs = std::mem::take(&mut self.arisen);
        inputs.push(Input::Rebound { locals, lost });
        // What opens new connections is to know their addresses first; the order within each part stays.
        inputs.sort_by_key(|input| match input {
            Input::Closed { .. } => 2,
            Input::Rebound { .. } => 1,
            _ => 0,
        });
        self.arisen = inputs;
    }

    fn fail(&mut self, target: Target, token: u64, error: TransportError, payload: Bytes) {
        tracing::debug!(remote = %target.remote, %error, "not sent");
        if token != 0 {
            self.arisen.push(Input::SendFailed { token, target, error, payload });
        }
    }

    /// Whether any listener had anything.
    fn poll_listeners(&mut self, inputs: &mut Vec<Input>) -> bool {
        let mut progress = false;
        let _ = &inputs;
        for index in 0..self.listeners.len() {
            let listener = ListenerId::new(u16::try_from(index).unwrap_or(u16::MAX));
            match self.listeners.get_mut(index) {
                #[cfg(feature = "udp")]
                Some(Listener::Udp(_)) => progress |= self.poll_datagrams(index, listener, inputs),
                #[cfg(feature = "tcp")]
                Some(Listener::Tcp { .. }) => {
                    for _ in 0..self.config.receive_batch.max(1) {
                        let Poll::Ready((stream, remote)) = self.accept(index) else { break };
                        self.accepted(listener, stream, remote);
                        progress = true;
                    }
                }
                Some(Listener::DialOnly(_)) | None => {}
            }
        }
        progress
    }
}

/// The clock of the runtime, which tests may stop and turn.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
