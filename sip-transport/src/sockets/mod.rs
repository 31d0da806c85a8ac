//! UDP and TCP sockets on tokio, all owned by one task: the shard.

mod connection;
mod table;
mod udp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::{
    Config, ConnectionId, Destination, Flow, Input, ListenAddr, ListenerId, Local, Locals,
    MAX_DATAGRAM, ReadySet, Target, Transmit, TransportError,
};
use connection::{Origin, Report, Signals, Task, Terms};
use table::{Connection, Outgoing, Table};
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
    reports: mpsc::Receiver<Report>,
    reports_sender: mpsc::Sender<Report>,
    taken: Vec<Report>,
    /// Inputs that arose while sending.
    arisen: Vec<Input>,
    buffer: Box<[u8]>,
}

// RFC 3261 §18: "All SIP elements MUST implement UDP and TCP."
#[derive(Debug)]
enum Listener {
    Udp(Udp),
    Tcp { listener: TcpListener, pause: Option<Pin<Box<Sleep>>> },
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
            terms: Arc::new(Terms {
                limits: config.message_limits.clone(),
                idle: config.idle_timeout,
                message: config.message_timeout,
                connect: config.connect_timeout,
                linger: config.linger,
            }),
            table: Table::default(),
            reports,
            reports_sender,
            taken: Vec::with_capacity(REPORTS),
            arisen: Vec::new(),
            buffer: vec![0; MAX_DATAGRAM + 1].into_boxed_slice(),
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

    /// Writes what was sent since the last call, and appends what came in, a bounded amount of it
    /// from each source. Pending, with the waker registered, when nothing came.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, inputs: &mut Vec<Input>) -> Poll<()> {
        let before = inputs.len();
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
        let Transmit { destination, fallback, payload, token } = transmit;
        match destination.transport() {
            Transport::Udp => self.send_datagram(destination.into(), payload, token),
            Transport::Tcp => self.send_stream(destination, fallback, payload, token),
            _ => self.fail(destination.into(), token, TransportError::ProtocolUnsupported),
        }
    }

    /// Closes a connection, after what is queued for it is written. [`Input::Closed`] follows.
    pub fn close(&mut self, connection: ConnectionId) {
        self.table.close(connection);
    }

    fn fail(&mut self, target: Target, token: u64, error: TransportError) {
        tracing::debug!(remote = %target.remote, %error, "not sent");
        if token != 0 {
            self.arisen.push(Input::SendFailed { token, target, error });
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
            _ => Err(TransportError::NoListener),
        };
        if let Err(error) = result {
            self.fail(target, token, error);
        }
    }

    fn send_stream(
        &mut self,
        destination: Destination,
        fallback: Option<Target>,
        payload: Bytes,
        token: u64,
    ) {
        let target = Target::from(destination);
        let named = target.connection.filter(|&id| self.table.open(id, &payload).is_some());
        let id = match (named, destination) {
            (Some(id), _) => Ok(id),
            // RFC 3261 §18.2.2: "If that connection is no longer open, the server SHOULD open a
            // connection to the IP address in the "received" parameter, if present, using the port
            // in the "sent-by" value, or the default port for that transport, if no port is
            // specified."
            (None, Destination::Flow(_)) => match fallback {
                Some(fallback) => return self.send_stream_to(fallback, payload, token),
                None => Err(TransportError::Closed),
            },
            (None, Destination::Target(target)) => self.connection_to(target),
        };
        self.queue(id, target, Outgoing::new(payload, token, fallback));
    }

    fn send_stream_to(&mut self, target: Target, payload: Bytes, token: u64) {
        let id = self.connection_to(target);
        self.queue(id, target, Outgoing::new(payload, token, None));
    }

    fn queue(&mut self, id: Result<ConnectionId, TransportError>, target: Target, out: Outgoing) {
        let limit = self.config.write_queue_bytes;
        let token = out.token;
        let error = match id {
            Ok(id) => match self.table.open(id, &out.payload) {
                Some(connection) => match connection.push(out, limit) {
                    Ok(()) => return self.table.mark(id),
                    Err(_) => TransportError::QueueFull,
                },
                None => TransportError::Closed,
            },
            Err(error) => error,
        };
        self.fail(target, token, error);
    }

    /// A connection that is open to the target, or a new one.
    fn connection_to(&mut self, target: Target) -> Result<ConnectionId, TransportError> {
        // RFC 3261 §18.1.1: "If a request is destined to an IP address, port, and transport to
        // which an existing connection is open, it is RECOMMENDED that this connection be used to
        // send the request, but another connection MAY be opened and used."
        if let Some(id) = self.table.to(target.transport, target.remote) {
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
        let id = self.table.next_id();
        self.start(id, listener, target.remote, Origin::Open { from, to: target.remote });
        Ok(id)
    }

    fn admit(&self, remote: SocketAddr) -> Result<(), TransportError> {
        let Config { connections, connections_per_peer, .. } = self.config;
        self.table.admits(remote.ip(), connections, connections_per_peer)
    }

    fn start(
        &mut self,
        id: ConnectionId,
        listener: ListenerId,
        remote: SocketAddr,
        origin: Origin,
    ) {
        let signals = Arc::new(Signals::default());
        let stream = match &origin {
            Origin::Accepted(stream) => Some(Arc::clone(stream)),
            Origin::Open { .. } => None,
        };
        let task = Task {
            id,
            signals: Arc::clone(&signals),
            reports: self.reports_sender.clone(),
            terms: Arc::clone(&self.terms),
        };
        let task = tokio::spawn(task.run(origin)).abort_handle();
        let flow = table::flow(listener, id, remote);
        self.table.insert(id, Connection::new(flow, stream, signals, task));
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
                    let failed = |Datagram { remote, token, .. }, error| {
                        if token != 0 {
                            let target =
                                Target::new(Transport::Udp, remote).with_listener(listener);
                            failed.push(Input::SendFailed { token, target, error });
                        }
                    };
                    let limit = self.config.message_limits.message_bytes;
                    let take = |remote, bytes: &[u8]| {
                        // What is too large is dropped, and so is an empty datagram or a bare line
                        // end, which some send to keep a NAT binding.
                        if bytes.len() > limit || bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                            tracing::debug!(%remote, len = bytes.len(), "datagram dropped");
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
                None => {}
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
        if let Err(error) = self.admit(remote) {
            tracing::debug!(%remote, %error, "connection not accepted");
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "connection gone before it was accepted");
            return;
        }
        let id = self.table.next_id();
        self.start(id, listener, remote, Origin::Accepted(Arc::new(stream)));
    }

    /// Whether any connection had anything to report.
    fn poll_reports(&mut self, inputs: &mut Vec<Input>) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        let reports = self.listeners.len();
        let polled =
            self.sources.poll(reports, |cx| self.reports.poll_recv_many(cx, &mut taken, REPORTS));
        let progress = polled.is_ready();
        for report in taken.drain(..) {
            self.take_report(report, inputs);
        }
        self.taken = taken;
        progress
    }

    fn take_report(&mut self, report: Report, inputs: &mut Vec<Input>) {
        match report {
            Report::Connected { id, stream } => {
                if let Some(connection) = self.table.get_mut(id) {
                    connection.connected(stream);
                }
            }
            Report::Message { id, payload } => {
                if let Some(connection) = self.table.get_mut(id) {
                    connection.received(&payload);
                    inputs.push(Input::Message { flow: connection.flow, payload });
                }
            }
            // RFC 5626 §5.4: "When a server receives a double CRLF sequence between SIP messages on
            // a connection-oriented transport such as TCP or SCTP, it MUST immediately respond with
            // a single CRLF over the same connection."
            Report::Ping { id } => {
                let pong = Outgoing::new(Bytes::from_static(PONG), 0, None);
                if let Some(connection) = self.table.open(id, PONG) {
                    let target = connection.flow.into();
                    self.queue(Ok(id), target, pong);
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
                    let error = TransportError::Closed;
                    inputs.push(Input::SendFailed { token, target: flow.into(), error });
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
        let was_open = connection.stream.is_some();
        let (unread, requests) = connection.undelivered(error.is_some());
        for token in requests {
            inputs.push(Input::SendFailed { token, target, error: reason });
        }
        for Outgoing { payload, token, fallback, .. } in unread {
            match fallback {
                Some(fallback) => self.send_stream_to(fallback, payload, token),
                None => self.fail(target, token, reason),
            }
        }
        if was_open {
            inputs.push(Input::Closed { flow, error });
        }
    }
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

/// Binds every address, and the TCP listeners that belong beside the UDP ones.
fn bind_all(addrs: &[ListenAddr], config: &Config) -> io::Result<(Vec<Listener>, Locals)> {
    let mut listeners = Vec::new();
    let mut locals = Vec::new();
    let mut beside = Vec::new();
    for addr in addrs {
        let (listener, partner) = match addr.transport() {
            Transport::Udp => bind_udp(addr, addrs, config)?,
            Transport::Tcp => (bind_beside(addr, &locals)?, None),
            other => {
                let text = format!("cannot listen on {addr}: no {} here", other.as_str());
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        locals.push(local(addr, &listener)?);
        listeners.push(listener);
        beside.extend(partner);
    }
    for (addr, listener) in beside {
        locals.push(local(&addr, &listener)?);
        listeners.push(listener);
    }
    Ok((listeners, Locals::new(locals)))
}

type Bound = (Listener, Option<(ListenAddr, Listener)>);

/// Binds UDP, and TCP on the same port unless that is in the list itself.
fn bind_udp(addr: &ListenAddr, addrs: &[ListenAddr], config: &Config) -> io::Result<Bound> {
    // RFC 3261 §18.2.1: "For any port and interface that a server listens on for UDP, it MUST
    // listen on that same port and interface for TCP."
    let listed =
        |other: &ListenAddr| other.transport() == Transport::Tcp && other.addr() == addr.addr();
    let beside = config.tcp_beside_udp && !addrs.iter().any(listed);
    // A port that the system chose for UDP may be taken for TCP: then it chooses again.
    let attempts = if addr.addr().port() == 0 { PORT_ATTEMPTS } else { 1 };
    let mut attempt = 1;
    loop {
        let udp = Udp::bind(addr.addr(), config).map_err(|error| bind_error(addr, &error))?;
        if !beside {
            return Ok((Listener::Udp(udp), None));
        }
        let tcp = retarget(addr, Transport::Tcp, udp.local_addr()?);
        match bind_tcp(&tcp) {
            Ok(listener) => return Ok((Listener::Udp(udp), Some((tcp, listener)))),
            Err(_) if attempt < attempts => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Attempts to find a port that is free for UDP and for TCP.
const PORT_ATTEMPTS: u32 = 16;

/// Binds TCP; where the system chooses the port, on that of a UDP listener of the same address if
/// it is free, so that RFC 3261 §18.2.1 holds for these too.
fn bind_beside(addr: &ListenAddr, locals: &[Local]) -> io::Result<Listener> {
    let partner = locals
        .iter()
        .find(|local| local.transport == Transport::Udp && local.addr.ip() == addr.addr().ip());
    if addr.addr().port() == 0
        && let Some(partner) = partner
        && let Ok(listener) = bind_tcp(&retarget(addr, Transport::Tcp, partner.addr))
    {
        return Ok(listener);
    }
    bind_tcp(addr)
}

fn bind_tcp(addr: &ListenAddr) -> io::Result<Listener> {
    let bind = || {
        let domain = Domain::for_address(addr.addr());
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if addr.addr().is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // So that a restart need not wait for old connections to time out.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.addr().into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    let listener = bind().map_err(|error| bind_error(addr, &error))?;
    Ok(Listener::Tcp { listener, pause: None })
}

fn bind_error(addr: &ListenAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"))
}

fn retarget(addr: &ListenAddr, transport: Transport, to: SocketAddr) -> ListenAddr {
    let other = ListenAddr::new(transport, to);
    match addr.advertised() {
        Some(advertised) => other.clone().with_advertised(advertised).unwrap_or(other),
        None => other,
    }
}

fn local(addr: &ListenAddr, listener: &Listener) -> io::Result<Local> {
    let bound = match listener {
        Listener::Udp(udp) => udp.local_addr(),
        Listener::Tcp { listener, .. } => listener.local_addr(),
    }?;
    let local = Local::new(ListenerId::new(0), addr.transport(), bound);
    Ok(match addr.advertised() {
        Some(advertised) => local.with_sent_by(advertised),
        // An address and a port by which every server that follows the rules comes back to us:
        // RFC 3261 §18.1.1: "It also MUST be prepared to receive incoming connections on any address
        // and port that would be selected by a server based on the procedures described in Section 5
        // of [4]."
        // RFC 3261 §18.1.1: "The client MUST be prepared to receive responses on any address and port
        // that would be selected by a server based on the procedures described in Section 5 of [4]."
        None => {
            let named = SocketAddr::new(reachable_ip(bound.ip()), bound.port());
            local.with_sent_by(&named.to_string())
        }
    })
}

/// The address by which others reach a listener bound to `ip`: for the unspecified address the one
/// from which the system would send to the Internet, or loopback if it has no route.
fn reachable_ip(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    // Addresses for documentation (RFC 5737, RFC 3849): connecting a UDP socket asks for a route
    // and sends nothing.
    let (any, far, loopback) = match ip {
        IpAddr::V4(_) => (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ),
        IpAddr::V6(_) => (
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ),
    };
    let routed = || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect((far, 5060))?;
        Ok::<_, io::Error>(socket.local_addr()?.ip())
    };
    match routed() {
        Ok(ip) if !ip.is_unspecified() => ip,
        _ => loopback,
    }
}
