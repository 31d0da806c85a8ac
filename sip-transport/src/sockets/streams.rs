//! The connections: opening and accepting them, what is sent over them and what comes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::connection::{Origin, Report, Reported, Signals, Task, Terms};
use super::layered::{self, Layer, Pipe};
use super::table::{self, Connection, Outgoing, Outlet, Table};
use super::{Listener, Sockets, now};
use crate::{Config, ConnectionId, Destination, Entry, Input, ListenerId, Target, TransportError};

/// How long to wait before the next attempt when the system refuses to accept a connection, for
/// example because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Reports of streams taken in one turn.
const REPORTS: usize = 64;

/// The answer to a keep-alive.
const PONG: &[u8] = b"\r\n";

/// Every connection, and what its task has to say.
#[derive(Debug)]
pub(super) struct Streams {
    terms: Arc<Terms>,
    pub(super) table: Table,
    reports: mpsc::Receiver<Reported>,
    reports_sender: mpsc::Sender<Reported>,
    taken: Vec<Reported>,
}

impl Streams {
    pub(super) fn new(config: &Config) -> Self {
        let (reports_sender, reports) = mpsc::channel(config.inbound_queue.max(1));
        Self {
            terms: Arc::new(Terms::of(config)),
            table: Table::default(),
            reports,
            reports_sender,
            taken: Vec::with_capacity(REPORTS),
        }
    }

    /// How many reports wait, and how many may.
    pub(super) fn inbound(&self) -> (usize, usize) {
        (self.reports.len(), self.reports.max_capacity())
    }
}

impl Sockets {
    pub(super) fn send_stream(
        &mut self,
        destination: Destination,
        domain: Option<Arc<str>>,
        outgoing: Outgoing,
    ) {
        let target = Target::from(destination);
        let named = target
            .connection
            .filter(|&id| self.streams.table.open(id, &outgoing.payload).is_some());
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

    /// Whether a connection that is gone was the only way: by what was asked for, or since a client over WebSocket, a browser for one, takes
    /// no connections. Those that we opened start from where none are accepted.
    fn is_unreachable(&self, target: &Target) -> bool {
        let listens =
            || target.listener.and_then(|id| self.locals.get(id)).is_some_and(|l| l.listens);
        target.is_only_way
            || target.transport.is_websocket() && target.connection.is_some() && listens()
    }

    fn send_stream_to(&mut self, target: Target, domain: Option<Arc<str>>, outgoing: Outgoing) {
        let id = self.connection_to(target, domain);
        self.queue(id, target, outgoing);
    }

    fn queue(&mut self, id: Result<ConnectionId, TransportError>, target: Target, out: Outgoing) {
        let limit = self.config.write_queue_bytes;
        let (error, Outgoing { token, payload, .. }) = match id {
            Ok(id) => match self.streams.table.open(id, &out.payload) {
                Some(connection) => match connection.push(out, limit) {
                    Ok(()) => return self.streams.table.mark(id),
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
        if let Some(id) = self.streams.table.to(target.transport, target.remote, domain.clone()) {
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
        if self.streams.table.of_peer(remote.ip()) >= connections_per_peer {
            return Err(TransportError::TooManyConnections);
        }
        if self.streams.table.len() >= connections {
            let spare =
                self.streams.table.spare(spare_after).ok_or(TransportError::TooManyConnections)?;
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
        let id = self.streams.table.next_id();
        let signals = Arc::new(Signals::default());
        let task = Task {
            id,
            signals: Arc::clone(&signals),
            reports: self.streams.reports_sender.clone(),
            share: self.streams.table.share(remote.ip(), self.config.inbound_per_peer),
            terms: Arc::clone(&self.streams.terms),
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
        self.streams.table.insert(id, connection);
        id
    }

    pub(super) fn accept(&mut self, index: usize) -> Poll<(TcpStream, SocketAddr)> {
        match self.listeners.get_mut(index) {
            Some(Listener::Tcp { listener, pause }) => {
                self.sources.poll(index, |cx| poll_accept(cx, listener, pause))
            }
            _ => Poll::Pending,
        }
    }

    pub(super) fn accepted(&mut self, listener: ListenerId, stream: TcpStream, remote: SocketAddr) {
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
        if let Some(connection) = self.streams.table.get_mut(id) {
            connection.is_rationed = entry == Entry::Rationed;
        }
        if transport != Transport::Tcp
            && let Some(oldest) = self.streams.table.shakes_hands(id, self.config.handshakes)
        {
            tracing::debug!(connection = oldest.number(), "closed amid its handshake: too many");
            self.streams.table.remove(oldest);
            self.stats.ended(false, Some(TransportError::TooManyConnections));
        }
    }

    /// Whether any connection had anything to report.
    pub(super) fn poll_reports(&mut self, inputs: &mut Vec<Input>) -> bool {
        let mut taken = std::mem::take(&mut self.streams.taken);
        let reports = self.listeners.len();
        let polled = self
            .sources
            .poll(reports, |cx| self.streams.reports.poll_recv_many(cx, &mut taken, REPORTS));
        let progress = polled.is_ready();
        for reported in taken.drain(..) {
            self.take_report(reported.report, inputs);
        }
        self.streams.taken = taken;
        progress
    }

    fn take_report(&mut self, report: Report, inputs: &mut Vec<Input>) {
        match report {
            Report::Opened { id, stream, peer } => {
                let Some(connection) = self.streams.table.opened(id, stream) else { return };
                self.stats.opened(connection.flow.transport, connection.is_ours);
                if let Some(peer) = peer {
                    inputs.push(Input::Authenticated { flow: connection.flow, peer });
                }
            }
            Report::Message { id, payload } => {
                if let Some(connection) = self.streams.table.received(id, &payload) {
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
                self.streams.table.used(id);
                if let Some(connection) = self.streams.table.open(id, PONG) {
                    let target = connection.flow.into();
                    self.queue(Ok(id), target, pong);
                }
            }
            Report::Pong { id } => {
                if let Some(connection) = self.streams.table.get_mut(id) {
                    inputs.push(Input::Pong { flow: connection.flow });
                }
            }
            Report::Malformed { id, payload, error } => {
                if let Some(connection) = self.streams.table.get_mut(id) {
                    inputs.push(Input::Malformed { flow: connection.flow, payload, error });
                }
            }
            Report::Writable { id } => {
                if let Some(connection) = self.streams.table.get_mut(id) {
                    connection.unblock();
                    self.streams.table.settle(id);
                }
            }
            // RFC 3261 §18.2.2: "the response MUST be sent using the existing connection to the
            // source of the original request that created the transaction, if that connection is
            // still open."
            Report::HalfClosed { id } => {
                let Some(flow) = self.streams.table.get_mut(id).map(|connection| connection.flow)
                else {
                    return;
                };
                for token in self.streams.table.half_close(id) {
                    inputs.push(unanswered(token, flow.into(), TransportError::Closed));
                }
            }
            Report::Ended { id, error } => self.ended(id, error, inputs),
        }
    }

    /// Drops all connections at once: the networks that they went over have changed.
    pub(super) fn drop_streams(&mut self) {
        let mut inputs = std::mem::take(&mut self.arisen);
        for id in self.streams.table.ids() {
            self.ended(id, Some(TransportError::Closed), &mut inputs);
        }
        inputs.append(&mut self.arisen);
        self.arisen = inputs;
    }

    fn ended(&mut self, id: ConnectionId, error: Option<TransportError>, inputs: &mut Vec<Input>) {
        let Some(mut connection) = self.streams.table.remove(id) else { return };
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
pub(super) fn lower_case(domain: Arc<str>) -> Arc<str> {
    if domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        domain.to_ascii_lowercase().into()
    } else {
        domain
    }
}
