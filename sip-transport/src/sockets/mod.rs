//! UDP and TCP sockets on tokio, and what lies above TCP, all owned by one task: the shard.

mod bind;
mod connection;
#[cfg_attr(
    not(any(feature = "ws", feature = "tls")),
    allow(dead_code, reason = "nothing lies above TCP in this build")
)]
mod layered;
#[cfg(feature = "tls")]
mod octets;
mod stats;
mod table;
#[cfg(feature = "tls")]
mod tls;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::admission::Admission;
use crate::{
    Config, ConnectionId, Destination, Entry, Flow, Gate, Input, ListenAddr, ListenerId, Locals,
    MAX_DATAGRAM, ReadySet, Target, Transmit, TransportError,
};
use bind::bind_all;
use connection::{Origin, Report, Reported, Signals, Task, Terms};
use layered::{Layer, Pipe};
#[cfg(feature = "ws")]
pub(crate) use layered::{Layered, Read};
pub use stats::{ByReason, ByTransport, SocketStats};
use table::{Connection, Outgoing, Outlet, Table};
use udp::{Datagram, Udp};

/// What a queued message counts beyond its bytes, so that many small ones are bounded too.
const QUEUE_OVERHEAD: usize = 64;

/// How long to wait before the next attempt when the system refuses to accept a connection, for
/// example because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait in the system to be accepted.
const BACKLOG: i32 = 1024;

/// Reports of streams taken in one turn.
const REPORTS: usize = 64;

/// The answer to a keep-alive.
const PONG: &[u8] = b"\r\n";

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
    terms: Arc<Terms>,
    table: Table,
    reports: mpsc::Receiver<Reported>,
    reports_sender: mpsc::Sender<Reported>,
    taken: Vec<Reported>,
    /// Inputs that arose while sending.
    arisen: Vec<Input>,
    buffer: Box<[u8]>,
    admission: Admission,
    stats: SocketStats,
}

// RFC 3261 §18: "All SIP elements MUST implement UDP and TCP."
#[derive(Debug)]
enum Listener {
    Udp(Udp),
    /// TCP, and all that lies above it.
    Tcp {
        listener: TcpListener,
        pause: Option<Pin<Box<Sleep>>>,
    },
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
        let (reports_sender, reports) = mpsc::channel(config.inbound_queue.max(1));
        let (listeners, locals) = bind_all(addrs, &config)?;
        Ok(Self {
            sources: ReadySet::new(listeners.len() + 1),
            listeners,
            locals,
            terms: Arc::new(Terms::of(&config)),
            table: Table::default(),
            reports,
            reports_sender,
            taken: Vec::with_capacity(REPORTS),
            arisen: Vec::new(),
            buffer: vec![0; MAX_DATAGRAM + 1].into_boxed_slice(),
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
        self.table.len()
    }

    /// What was turned away, opened and closed so far, and what waits now.
    pub fn stats(&self) -> SocketStats {
        let udp = self.listeners.iter().filter_map(|listener| match listener {
            Listener::Udp(udp) => Some(udp.queued_bytes()),
            Listener::Tcp { .. } | Listener::DialOnly(_) => None,
        });
        SocketStats {
            live_connections: self.table.len(),
            live_inbound: self.reports.len(),
            inbound_queue: self.reports.max_capacity(),
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
        self.table.tick();
        loop {
            self.table.flush();
            self.sources.begin(cx);
            let mut progress = self.poll_listeners(inputs);
            progress |= self.poll_reports(inputs);
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
        match destination.transport() {
            Transport::Udp => self.send_datagram(destination.into(), payload, token),
            Transport::Tcp => {
                self.send_stream(destination, None, Outgoing::new(payload, token, fallback))
            }
            other if Layer::of(other, &self.config).is_some() => self.send_stream(
                destination,
                domain.map(lower_case),
                Outgoing::new(payload, token, fallback),
            ),
            _ => self.fail(destination.into(), token, TransportError::ProtocolUnsupported, payload),
        }
    }

    /// Closes a connection, after what is queued for it is written. [`Input::Closed`] follows.
    pub fn close(&mut self, connection: ConnectionId) {
        self.table.close(connection);
    }

    fn fail(&mut self, target: Target, token: u64, error: TransportError, payload: Bytes) {
        tracing::debug!(remote = %target.remote, %error, "not sent");
        if token != 0 {
            self.arisen.push(Input::SendFailed { token, target, error, payload });
        }
    }

    fn send_datagram(&mut self, target: Target, payload: Bytes, token: u64) {
        let id = target
            .listener
            .or_else(|| self.locals.select(target.transport, &target.remote).map(|local| local.id));
        let limit = self.config.udp_queue_bytes;
        let listener = id.and_then(|id| self.listeners.get_mut(usize::from(id.index())));
        let result = match listener {
            Some(Listener::Udp(udp)) => {
                let Target { remote, ttl, .. } = target;
                let sent = udp.send(Datagram { remote, payload, ttl, token }, limit);
                if udp.has_queued()
                    && let Some(id) = id
                {
                    self.sources.mark(usize::from(id.index()));
                }
                sent
            }
            _ => Err((TransportError::NoListener, payload)),
        };
        if let Err((error, payload)) = result {
            self.fail(target, token, error, payload);
        }
    }

    fn send_stream(
        &mut self,
        destination: Destination,
        domain: Option<Arc<str>>,
        outgoing: Outgoing,
    ) {
        let target = Target::from(destination);
        let named =
            target.connection.filter(|&id| self.table.open(id, &outgoing.payload).is_some());
        let id = match (named, destination) {
            (Some(id), _) => Ok(id),
            // RFC 3261 §18.2.2: "If that connection is no longer open, the server SHOULD open a
            // connection to the IP address in the "received" parameter, if present, using the port
            // in the "sent-by" value, or the default port for that transport, if no port is
            // specified."
            (None, Destination::Flow(_)) => {
                return match outgoing.diverted() {
                    (Some(fallback), outgoing) => self.send_stream_to(fallback, domain, outgoing),
                    (None, Outgoing { token, payload, .. }) => {
                        self.fail(target, token, TransportError::Closed, payload)
                    }
                };
            }
            (None, Destination::Target(target)) if self.is_unreachable(&target) => {
                Err(TransportError::Closed)
            }
            (None, Destination::Target(target)) => self.connection_to(target, domain),
        };
        self.queue(id, target, outgoing);
    }

    /// Whether a connection that is gone was the only way: a client over WebSocket, a browser for one, takes
    /// no connections. Those that we opened start from where none are accepted.
    fn is_unreachable(&self, target: &Target) -> bool {
        let listens =
            || target.listener.and_then(|id| self.locals.get(id)).is_some_and(|l| l.listens);
        target.transport.is_websocket() && target.connection.is_some() && listens()
    }

    fn send_stream_to(&mut self, target: Target, domain: Option<Arc<str>>, outgoing: Outgoing) {
        let id = self.connection_to(target, domain);
        self.queue(id, target, outgoing);
    }

    fn queue(&mut self, id: Result<ConnectionId, TransportError>, target: Target, out: Outgoing) {
        let limit = self.config.write_queue_bytes;
        let (error, Outgoing { token, payload, .. }) = match id {
            Ok(id) => match self.table.open(id, &out.payload) {
                Some(connection) => match connection.push(out, limit) {
                    Ok(()) => return self.table.mark(id),
                    Err(out) => (TransportError::QueueFull, out),
                },
                None => (TransportError::Closed, out),
            },
            Err(error) => (error, out),
        };
        self.fail(target, token, error, payload);
    }

    /// A connection that is open to the target, or a new one.
    fn connection_to(
        &mut self,
        target: Target,
        domain: Option<Arc<str>>,
    ) -> Result<ConnectionId, TransportError> {
        // RFC 3261 §18.1.1: "If a request is destined to an IP address, port, and transport to
        // which an existing connection is open, it is RECOMMENDED that this connection be used to
        // send the request, but another connection MAY be opened and used."
        if let Some(id) = self.table.to(target.transport, target.remote, domain.clone()) {
            return Ok(id);
        }
        let local = target
            .listener
            .and_then(|id| self.locals.get(id))
            .filter(|local| local.transport == target.transport)
            .or_else(|| self.locals.select(target.transport, &target.remote));
        let (listener, from) = match local {
            Some(local) if local.addr.is_ipv4() == target.remote.is_ipv4() => {
                (local.id, local.addr)
            }
            _ => return Err(TransportError::NoListener),
        };
        self.admit(target.remote)?;
        let Target { transport, remote, .. } = target;
        Ok(self.start(transport, listener, remote, Origin::Open { from, to: remote, domain }))
    }

    /// Whether one more connection with this far end is within the limits, if need be in the place of
    /// one that is idle.
    fn admit(&mut self, remote: SocketAddr) -> Result<(), TransportError> {
        let Config { connections, connections_per_peer, spare_after, .. } = self.config;
        if self.table.of_peer(remote.ip()) >= connections_per_peer {
            return Err(TransportError::TooManyConnections);
        }
        if self.table.len() >= connections {
            let spare = self.table.spare(spare_after).ok_or(TransportError::TooManyConnections)?;
            tracing::debug!(connection = spare.number(), "closed for another: idle");
            self.stats.spared_connections += 1;
            let mut inputs = std::mem::take(&mut self.arisen);
            self.ended(spare, Some(TransportError::Idle), &mut inputs);
            inputs.append(&mut self.arisen);
            self.arisen = inputs;
        }
        Ok(())
    }

    /// Starts the task of a connection.
    fn start(
        &mut self,
        transport: Transport,
        listener: ListenerId,
        remote: SocketAddr,
        origin: Origin,
    ) -> ConnectionId {
        let id = self.table.next_id();
        let signals = Arc::new(Signals::default());
        let task = Task {
            id,
            signals: Arc::clone(&signals),
            reports: self.reports_sender.clone(),
            share: self.table.share(remote.ip(), self.config.inbound_per_peer),
            terms: Arc::clone(&self.terms),
        };
        let (domain, is_ours) = match &origin {
            Origin::Open { domain, .. } => (domain.clone(), true),
            Origin::Accepted(_) => (None, false),
        };
        let (outlet, task) = match (Layer::of(transport, &self.config), origin) {
            (Some(layer), origin) => {
                let pipe = Arc::new(Pipe::default());
                let task = layered::run(task, origin, layer, Arc::clone(&pipe));
                (Outlet::Layered(pipe), tokio::spawn(task))
            }
            (None, Origin::Accepted(stream)) => {
                let stream = Arc::new(stream);
                let task = task.run_accepted(Arc::clone(&stream));
                (Outlet::Tcp(stream), tokio::spawn(task))
            }
            (None, Origin::Open { from, to, .. }) => {
                (Outlet::Opening, tokio::spawn(task.run_opened(from, to)))
            }
        };
        let flow = table::flow(transport, listener, id, remote);
        let connection =
            Connection::new(flow, outlet, domain, signals, task.abort_handle(), is_ours);
        if connection.is_open {
            self.stats.opened(transport, is_ours);
        }
        self.table.insert(id, connection);
        id
    }

    /// Whether any listener had anything.
    fn poll_listeners(&mut self, inputs: &mut Vec<Input>) -> bool {
        let batch = self.config.receive_batch.max(1);
        let mut progress = false;
        for index in 0..self.listeners.len() {
            let listener = ListenerId::new(u16::try_from(index).unwrap_or(u16::MAX));
            match self.listeners.get_mut(index) {
                Some(Listener::Udp(udp)) => {
                    let failed = &mut self.arisen;
                    let failed = |Datagram { remote, token, payload, .. }, error| {
                        if token != 0 {
                            let target =
                                Target::new(Transport::Udp, remote).with_listener(listener);
                            failed.push(Input::SendFailed { token, target, error, payload });
                        }
                    };
                    let limit = self.config.message_limits.message_bytes;
                    let (admission, stats) = (&mut self.admission, &mut self.stats);
                    let local = self.locals.get(listener).map(|local| local.addr);
                    let take = |remote, bytes: &[u8]| {
                        let Some(local) = local else { return };
                        if let Err(refused) = admission.admit(now, Transport::Udp, local, remote) {
                            return stats.refused(refused);
                        }
                        // What is too large is dropped, and so is an empty datagram or a bare line
                        // end, which some send to keep a NAT binding.
                        if bytes.len() > limit || bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                            tracing::debug!(%remote, len = bytes.len(), "datagram dropped");
                            stats.dropped_too_large += u64::from(bytes.len() > limit);
                            return;
                        }
                        let transport = Transport::Udp;
                        let flow = Flow { transport, listener, connection: None, remote };
                        let payload = Bytes::copy_from_slice(bytes);
                        inputs.push(Input::Datagram { flow, payload });
                    };
                    let received = self.sources.poll(index, |cx| {
                        udp.flush(cx, failed);
                        udp.poll_recv(cx, &mut self.buffer, batch, take)
                    });
                    progress |= received.is_ready();
                }
                Some(Listener::Tcp { .. }) => {
                    for _ in 0..batch {
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

    fn accept(&mut self, index: usize) -> Poll<(TcpStream, SocketAddr)> {
        match self.listeners.get_mut(index) {
            Some(Listener::Tcp { listener, pause }) => {
                self.sources.poll(index, |cx| poll_accept(cx, listener, pause))
            }
            _ => Poll::Pending,
        }
    }

    fn accepted(&mut self, listener: ListenerId, stream: TcpStream, remote: SocketAddr) {
        let Some(local) = self.locals.get(listener) else { return };
        let transport = local.transport;
        let entry = match self.admission.admit(now, transport, local.addr, remote) {
            Ok(entry) => entry,
            Err(refused) => return self.stats.refused(refused),
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "connection gone before it was accepted");
            return;
        }
        if let Err(error) = self.admit(remote) {
            tracing::debug!(%remote, %error, "connection not accepted");
            self.stats.refused_connections += 1;
            return;
        }
        let id = self.start(transport, listener, remote, Origin::Accepted(stream));
        if let Some(connection) = self.table.get_mut(id) {
            connection.is_rationed = entry == Entry::Rationed;
        }
        if transport != Transport::Tcp
            && let Some(oldest) = self.table.shakes_hands(id, self.config.handshakes)
        {
            tracing::debug!(connection = oldest.number(), "closed amid its handshake: too many");
            self.table.remove(oldest);
            self.stats.ended(false, Some(TransportError::TooManyConnections));
        }
    }

    /// Whether any connection had anything to report.
    fn poll_reports(&mut self, inputs: &mut Vec<Input>) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        let reports = self.listeners.len();
        let polled =
            self.sources.poll(reports, |cx| self.reports.poll_recv_many(cx, &mut taken, REPORTS));
        let progress = polled.is_ready();
        for reported in taken.drain(..) {
            self.take_report(reported.report, inputs);
        }
        self.taken = taken;
        progress
    }

    fn take_report(&mut self, report: Report, inputs: &mut Vec<Input>) {
        match report {
            Report::Opened { id, stream, peer } => {
                let Some(connection) = self.table.opened(id, stream) else { return };
                self.stats.opened(connection.flow.transport, connection.is_ours);
                if let Some(peer) = peer {
                    inputs.push(Input::Authenticated { flow: connection.flow, peer });
                }
            }
            Report::Message { id, payload } => {
                if let Some(connection) = self.table.received(id, &payload) {
                    if connection.is_rationed
                        && let Some(pause) = self.admission.take(now, connection.flow.remote.ip())
                    {
                        self.stats.paused_over_rate += 1;
                        connection.signals.pause(pause);
                    }
                    inputs.push(Input::Message { flow: connection.flow, payload });
                }
            }
            // RFC 5626 §5.4: "When a server receives a double CRLF sequence between SIP messages on
            // a connection-oriented transport such as TCP or SCTP, it MUST immediately respond with
            // a single CRLF over the same connection."
            Report::Ping { id, count } => {
                let pongs = match count {
                    1 => Bytes::from_static(PONG),
                    _ => PONG.repeat(count).into(),
                };
                let pong = Outgoing::new(pongs, 0, None);
                self.table.used(id);
                if let Some(connection) = self.table.open(id, PONG) {
                    let target = connection.flow.into();
                    self.queue(Ok(id), target, pong);
                }
            }
            Report::Pong { id } => {
                if let Some(connection) = self.table.get_mut(id) {
                    inputs.push(Input::Pong { flow: connection.flow });
                }
            }
            Report::Malformed { id, payload, error } => {
                if let Some(connection) = self.table.get_mut(id) {
                    inputs.push(Input::Malformed { flow: connection.flow, payload, error });
                }
            }
            Report::Writable { id } => {
                if let Some(connection) = self.table.get_mut(id) {
                    connection.unblock();
                    self.table.settle(id);
                }
            }
            // RFC 3261 §18.2.2: "the response MUST be sent using the existing connection to the
            // source of the original request that created the transaction, if that connection is
            // still open."
            Report::HalfClosed { id } => {
                let Some(flow) = self.table.get_mut(id).map(|connection| connection.flow) else {
                    return;
                };
                for token in self.table.half_close(id) {
                    inputs.push(unanswered(token, flow.into(), TransportError::Closed));
                }
            }
            Report::Ended { id, error } => self.ended(id, error, inputs),
        }
    }

    fn ended(&mut self, id: ConnectionId, error: Option<TransportError>, inputs: &mut Vec<Input>) {
        let Some(mut connection) = self.table.remove(id) else { return };
        let flow = connection.flow;
        let target = Target::from(flow);
        let reason = error.unwrap_or(TransportError::Closed);
        let (was_open, domain) = (connection.is_open, connection.domain().cloned());
        self.stats.ended(was_open, error);
        let (unread, requests) = connection.undelivered(error.is_some());
        for token in requests {
            inputs.push(unanswered(token, target, reason));
        }
        for outgoing in unread {
            match outgoing.diverted() {
                (Some(fallback), outgoing) => {
                    self.send_stream_to(fallback, domain.clone(), outgoing);
                }
                (None, Outgoing { token, payload, .. }) => {
                    self.fail(target, token, reason, payload)
                }
            }
        }
        if was_open {
            inputs.push(Input::Closed { flow, error });
        }
    }
}

/// A request that was written to a connection, over which no answer comes any more.
fn unanswered(token: u64, target: Target, error: TransportError) -> Input {
    Input::SendFailed { token, target, error, payload: Bytes::new() }
}

/// The clock of the runtime, which tests may stop and turn.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// One connection that waits to be accepted.
fn poll_accept(
    cx: &mut Context<'_>,
    listener: &TcpListener,
    pause: &mut Option<Pin<Box<Sleep>>>,
) -> Poll<(TcpStream, SocketAddr)> {
    loop {
        if let Some(sleep) = pause {
            ready!(sleep.as_mut().poll(cx));
            *pause = None;
        }
        match ready!(listener.poll_accept(cx)) {
            Ok(accepted) => return Poll::Ready(accepted),
            // That connection is gone already; the next one may be there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Most likely the process has no descriptor left. The connections wait in the system's
            // backlog till some are closed; nothing is gained by asking at once.
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for the moment");
                *pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
            }
        }
    }
}

/// Domains are compared so, and connections found by them.
fn lower_case(domain: Arc<str>) -> Arc<str> {
    if domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        domain.to_ascii_lowercase().into()
    } else {
        domain
    }
}
