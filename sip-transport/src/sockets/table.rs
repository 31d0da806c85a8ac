//! The connection table: every TCP connection by number and by far end, with what waits to be
//! written to it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::QUEUE_OVERHEAD;
use super::connection::Signals;
use super::layered::Pipe;
use crate::{ConnectionId, Flow, ListenerId, Target};

/// One message on its way to a connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) payload: Bytes,
    /// Bytes of it that are written.
    written: usize,
    pub(super) token: u64,
    pub(super) fallback: Option<Target>,
}

impl Outgoing {
    pub(super) const fn new(payload: Bytes, token: u64, fallback: Option<Target>) -> Self {
        Self { payload, written: 0, token, fallback }
    }

    /// The same from its start, to its fall-back, which it has no more then.
    pub(super) fn diverted(self) -> (Option<Target>, Self) {
        let Self { payload, token, fallback, .. } = self;
        (fallback, Self::new(payload, token, None))
    }

    /// Bytes that it counts while it waits.
    pub(super) fn weight(&self) -> usize {
        self.payload.len().saturating_add(QUEUE_OVERHEAD)
    }

    fn left(&self) -> &[u8] {
        self.payload.get(self.written..).unwrap_or_default()
    }

    fn is_response(&self) -> bool {
        is_response(&self.payload)
    }

    fn is_final_response(&self) -> bool {
        is_response(&self.payload) && self.payload.get(STATUS) != Some(&b'1')
    }
}

/// Whether a message is a response.
pub(super) fn is_response(payload: &[u8]) -> bool {
    payload.starts_with(b"SIP/2.0 ")
}

/// Where the status of a response stands.
const STATUS: usize = b"SIP/2.0 ".len();

/// How the messages of a connection get to it.
#[derive(Debug)]
pub(super) enum Outlet {
    /// They wait: it is being opened.
    Opening,
    /// The shard writes them.
    Tcp(Arc<TcpStream>),
    /// Its task takes them out of the pipe and writes them, when it is open.
    Layered(Arc<Pipe>),
}

/// One connection, as the shard sees it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) flow: Flow,
    pub(super) outlet: Outlet,
    /// Its handshakes are done.
    pub(super) is_open: bool,
    /// The place among the accepted ones whose handshakes are under way.
    half_open: Option<u64>,
    /// The domain that it was opened for, if the far end had to prove that it is of it.
    domain: Option<Arc<str>>,
    pub(super) signals: Arc<Signals>,
    task: AbortHandle,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// The stream is full; the task watches for room.
    blocked: bool,
    closing: bool,
    /// In the list of those to flush.
    dirty: bool,
    /// The tokens of the requests that were written last, the newest at the end. When the
    /// connection ends, no answer comes over it to those that have none yet; which these are, whoever
    /// gave the tokens knows.
    requests: VecDeque<u64>,
    /// Requests that came and have no final response yet, as far as counting tells: a response that
    /// is sent again counts twice.
    owed: usize,
    /// The far end sends no more, and may be gone altogether.
    half_closed: bool,
    /// The last responses written since then: if the stream breaks, the far end did not read them.
    unsure: VecDeque<Outgoing>,
    /// When something was sent or received last.
    used: Instant,
    /// A message came over it, or it is ours.
    is_known: bool,
    /// What comes over it counts on the ration of its source: it was accepted, and nobody vouches for it.
    pub(super) is_rationed: bool,
    /// It was opened from here.
    pub(super) is_ours: bool,
}

/// Tokens of requests and unsure responses kept for a connection. With more than these on their way
/// at once, the oldest requests end by their timers, and the oldest responses are lost with their peer.
const KEPT: usize = 64;

/// Messages in one system call.
const SLICES: usize = 32;

impl Connection {
    pub(super) fn new(
        flow: Flow,
        outlet: Outlet,
        domain: Option<Arc<str>>,
        signals: Arc<Signals>,
        task: AbortHandle,
        is_ours: bool,
    ) -> Self {
        Self {
            flow,
            is_open: matches!(outlet, Outlet::Tcp(_)),
            is_known: is_ours,
            is_rationed: false,
            is_ours,
            used: Instant::now(),
            outlet,
            half_open: None,
            domain,
            signals,
            task,
            queue: VecDeque::new(),
            queued_bytes: 0,
            blocked: false,
            closing: false,
            dirty: false,
            requests: VecDeque::new(),
            owed: 0,
            half_closed: false,
            unsure: VecDeque::new(),
        }
    }

    /// Queues a message behind what waits already.
    pub(super) fn push(&mut self, outgoing: Outgoing, limit: usize) -> Result<(), Outgoing> {
        if let Outlet::Layered(pipe) = &self.outlet {
            let (token, is_request) = (outgoing.token, !outgoing.is_response());
            let is_final = outgoing.is_final_response();
            pipe.push(outgoing, limit)?;
            if is_request && token != 0 {
                keep(&mut self.requests, token);
            }
            if is_final {
                self.owed = self.owed.saturating_sub(1);
            }
            return Ok(());
        }
        let queued_bytes = self.queued_bytes.saturating_add(outgoing.weight());
        if queued_bytes > limit {
            return Err(outgoing);
        }
        self.queued_bytes = queued_bytes;
        self.queue.push_back(outgoing);
        Ok(())
    }

    /// Writes what is queued, many messages in one call, as far as the stream takes it. On an error
    /// the queue stays: the task will see the same error and end the connection.
    pub(super) fn flush(&mut self) {
        match &self.outlet {
            Outlet::Tcp(_) if !self.blocked && !self.queue.is_empty() => self.signals.active(),
            Outlet::Layered(_) => return self.signals.to_write(),
            Outlet::Tcp(_) | Outlet::Opening => return,
        }
        while !self.queue.is_empty() {
            let Outlet::Tcp(stream) = &self.outlet else { return };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, outgoing) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(outgoing.left());
                count += 1;
            }
            let result = stream.try_write_vectored(slices.get(..count).unwrap_or_default());
            match result {
                Ok(written) => {
                    self.written(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.signals.watch_writable();
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, remote = %self.flow.remote, "TCP write");
                    self.blocked = true;
                    return;
                }
            }
        }
        self.queue = VecDeque::new(); // an idle connection holds no queue
        if self.closing {
            self.signals.wrote_all();
        }
    }

    /// Takes what is written wholly out of the queue.
    fn written(&mut self, mut written: usize) {
        while let Some(outgoing) = self.queue.front_mut() {
            let left = outgoing.left().len();
            if written < left {
                outgoing.written += written;
                return;
            }
            written -= left;
            let Some(outgoing) = self.queue.pop_front() else { return };
            self.queued_bytes = self.queued_bytes.saturating_sub(outgoing.weight());
            if outgoing.is_final_response() {
                self.owed = self.owed.saturating_sub(1);
            }
            if outgoing.is_response() {
                if self.half_closed {
                    keep(&mut self.unsure, Outgoing { written: 0, ..outgoing });
                }
            } else if outgoing.token != 0 {
                keep(&mut self.requests, outgoing.token);
            }
        }
    }

    /// The connection is open.
    pub(super) fn opened(&mut self, stream: Option<Arc<TcpStream>>) {
        self.is_open = true;
        if let Some(stream) = stream {
            self.outlet = Outlet::Tcp(stream);
        }
        self.flush();
    }

    /// The stream has room again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
        self.flush();
    }

    /// The domain that the far end had to prove.
    pub(super) const fn domain(&self) -> Option<&Arc<str>> {
        self.domain.as_ref()
    }

    fn remote(&self) -> Remote {
        (self.flow.transport, self.flow.remote, self.domain.clone())
    }

    /// A message came.
    fn received(&mut self, payload: &[u8]) {
        self.is_known = true;
        if !is_response(payload) && !payload.starts_with(b"ACK ") {
            self.owed = self.owed.saturating_add(1);
        }
    }

    /// Whether the far end sends no more and all that it asked for is written.
    fn is_settled(&self) -> bool {
        self.half_closed && self.owed == 0 && self.queue.is_empty()
    }

    /// Whether nobody would miss it just now.
    fn is_spare(&self) -> bool {
        self.is_open && !self.closing && self.owed == 0 && self.queue.is_empty()
    }

    /// No more is sent; what is queued is written as far as the linger time lasts.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.flush();
        self.signals.close();
        if self.queue.is_empty() {
            self.signals.wrote_all();
        }
    }

    /// What was not written, or was written and surely not read; and the tokens of the requests that
    /// were written.
    pub(super) fn undelivered(
        &mut self,
        broken: bool,
    ) -> (impl Iterator<Item = Outgoing> + use<>, VecDeque<u64>) {
        let mut unsure = std::mem::take(&mut self.unsure);
        if !broken {
            unsure.clear();
        }
        let mut requests = std::mem::take(&mut self.requests);
        let waiting = match &self.outlet {
            Outlet::Layered(pipe) => pipe.take(),
            Outlet::Tcp(_) | Outlet::Opening => std::mem::take(&mut self.queue),
        };
        // These were noted when they went into the pipe.
        requests.retain(|token| waiting.iter().all(|outgoing| outgoing.token != *token));
        (unsure.into_iter().chain(waiting), requests)
    }
}

/// Keeps the last few.
fn keep<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(one);
}

impl Drop for Connection {
    fn drop(&mut self) {
        // When the whole endpoint goes: what waits is offered once to the system.
        self.flush();
        self.task.abort();
    }
}

/// A far end: its protocol, its address and, where it had to prove it, its domain. A server that
/// has two domains on one address proves them on two connections.
type Remote = (Transport, SocketAddr, Option<Arc<str>>);

/// One address at the far end.
#[derive(Debug)]
struct Peer {
    connections: usize,
    /// The places of all its connections in the queue of what comes in.
    share: Arc<Semaphore>,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_id: HashMap<ConnectionId, Connection>,
    // The far end chooses these: std's keyed hash.
    by_remote: HashMap<Remote, ConnectionId>,
    by_peer: HashMap<IpAddr, Peer>,
    /// The accepted connections whose handshakes are under way, the oldest first.
    half_open: BTreeMap<u64, ConnectionId>,
    last_half_open: u64,
    dirty: Vec<ConnectionId>,
    last: u32,
    /// The time of this turn, while there are connections.
    now: Option<Instant>,
    /// The connections that never carried a message, and those that did, about in the order in which
    /// they were used last.
    strangers: Idlest,
    known: Idlest,
}

/// Connections with a time when each was surely in use. They stand in the order of these times; that
/// a connection was used since then is seen when its turn comes, so that using one costs nothing.
type Idlest = VecDeque<(ConnectionId, Instant)>;

/// How long one that came in has, at least, to send its first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);

/// Connections looked at for one that can be spared.
const LOOKS: usize = 64;

impl Table {
    /// Begins a turn: all that happens in it happens at one time.
    pub(super) fn tick(&mut self) {
        if !self.by_id.is_empty() {
            self.now = Some(Instant::now());
        }
    }

    /// How many connections there are with this peer.
    pub(super) fn of_peer(&self, peer: IpAddr) -> usize {
        self.by_peer.get(&peer).map_or(0, |peer| peer.connections)
    }

    /// The share of what comes in that a peer has, of whom a connection is to be inserted.
    pub(super) fn share(&mut self, peer: IpAddr, places: usize) -> Arc<Semaphore> {
        let share = || Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        let peer =
            self.by_peer.entry(peer).or_insert_with(|| Peer { connections: 0, share: share() });
        Arc::clone(&peer.share)
    }

    /// One that another may take the place of: the oldest of those that never carried a message, else
    /// the one that has been idle the longest, if that is at least `idle`.
    pub(super) fn spare(&mut self, idle: Duration) -> Option<ConnectionId> {
        let now = self.now?;
        self.spare_stranger(now).or_else(|| self.spare_known(now, idle))
    }

    fn spare_stranger(&mut self, now: Instant) -> Option<ConnectionId> {
        for _ in 0..LOOKS {
            let &(id, since) = self.strangers.front()?;
            match self.by_id.get(&id) {
                Some(connection) if connection.is_known => {
                    self.known.push_back((id, connection.used));
                }
                // One that shakes hands has a limit of its own.
                Some(connection) if !connection.is_spare() => self.strangers.push_back((id, now)),
                Some(_) if now.saturating_duration_since(since) < FIRST_MESSAGE => return None,
                Some(_) => return Some(id),
                None => {}
            }
            self.strangers.pop_front();
        }
        None
    }

    fn spare_known(&mut self, now: Instant, idle: Duration) -> Option<ConnectionId> {
        for _ in 0..LOOKS {
            let &(id, since) = self.known.front()?;
            match self.by_id.get(&id) {
                Some(connection) if connection.used > since => {
                    self.known.push_back((id, connection.used));
                }
                Some(connection) if !connection.is_spare() => self.known.push_back((id, now)),
                Some(_) if now.saturating_duration_since(since) < idle => return None,
                Some(_) => return Some(id),
                None => {}
            }
            self.known.pop_front();
        }
        None
    }

    /// Something came over the connection.
    pub(super) fn used(&mut self, id: ConnectionId) {
        if let (Some(connection), Some(now)) = (self.by_id.get_mut(&id), self.now) {
            connection.used = now;
        }
    }

    /// A message came over the connection.
    pub(super) fn received(&mut self, id: ConnectionId, payload: &[u8]) -> Option<&Connection> {
        let connection = self.by_id.get_mut(&id)?;
        connection.used = self.now.unwrap_or(connection.used);
        connection.received(payload);
        Some(connection)
    }

    /// A number that no connection has.
    pub(super) fn next_id(&mut self) -> ConnectionId {
        loop {
            self.last = self.last.wrapping_add(1);
            if let Some(id) = NonZeroU32::new(self.last).map(ConnectionId::new)
                && !self.by_id.contains_key(&id)
            {
                return id;
            }
        }
    }

    // RFC 3261 §18: "These connections are indexed by the tuple formed from the address, port, and
    // transport protocol at the far end of the connection."
    pub(super) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        self.now.get_or_insert(connection.used);
        self.strangers.push_back((id, connection.used));
        if let Some(peer) = self.by_peer.get_mut(&connection.flow.remote.ip()) {
            peer.connections += 1;
        }
        self.by_remote.insert(connection.remote(), id);
        self.by_id.insert(id, connection);
    }

    /// Notes that an accepted connection shakes hands. If more than `limit` do, gives the oldest of
    /// them, which is to go: who answers at once is through before its turn comes, and who is silent
    /// is not worth a place.
    pub(super) fn shakes_hands(&mut self, id: ConnectionId, limit: usize) -> Option<ConnectionId> {
        let connection = self.by_id.get_mut(&id)?;
        self.last_half_open = self.last_half_open.wrapping_add(1);
        connection.half_open = Some(self.last_half_open);
        self.half_open.insert(self.last_half_open, id);
        if self.half_open.len() <= limit {
            return None;
        }
        self.half_open.first_key_value().map(|(_, &oldest)| oldest)
    }

    /// Notes that the connection is open.
    pub(super) fn opened(
        &mut self,
        id: ConnectionId,
        stream: Option<Arc<TcpStream>>,
    ) -> Option<&Connection> {
        let connection = self.by_id.get_mut(&id)?;
        if let Some(place) = connection.half_open.take() {
            self.half_open.remove(&place);
        }
        connection.opened(stream);
        Some(connection)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        for idlest in [&mut self.strangers, &mut self.known] {
            // Those that are gone make up no more than half of it.
            if idlest.len() > 2 * self.by_id.len() + LOOKS {
                idlest.retain(|(id, _)| self.by_id.contains_key(id));
            }
        }
        self.forget_remote(id, &connection.remote());
        if let Some(place) = connection.half_open {
            self.half_open.remove(&place);
        }
        let peer = connection.flow.remote.ip();
        if let Entry::Occupied(mut entry) = self.by_peer.entry(peer) {
            entry.get_mut().connections -= 1;
            if entry.get().connections == 0 {
                entry.remove();
            }
        }
        Some(connection)
    }

    /// The connection, also one that closes.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    /// The connection of this number, if such a message may go over it.
    pub(super) fn open(&mut self, id: ConnectionId, payload: &[u8]) -> Option<&mut Connection> {
        let connection = self.by_id.get_mut(&id)?;
        // Who sends no more cannot answer a request.
        let may = !connection.closing && (!connection.half_closed || is_response(payload));
        may.then_some(connection)
    }

    /// The number of the connection with this far end, open or opening.
    pub(super) fn to(
        &self,
        transport: Transport,
        remote: SocketAddr,
        domain: Option<Arc<str>>,
    ) -> Option<ConnectionId> {
        self.by_remote.get(&(transport, remote, domain)).copied()
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id) {
            connection.close();
            let remote = connection.remote();
            self.forget_remote(id, &remote);
        }
    }

    /// Notes that the far end of the connection sends no more: it stays for what is owed, and is
    /// closed when that is written. Gives the tokens of the requests that it answers no more.
    pub(super) fn half_close(&mut self, id: ConnectionId) -> VecDeque<u64> {
        let Some(connection) = self.by_id.get_mut(&id) else { return VecDeque::new() };
        connection.half_closed = true;
        let requests = std::mem::take(&mut connection.requests);
        let remote = connection.remote();
        self.forget_remote(id, &remote);
        self.settle(id);
        requests
    }

    /// Closes a half-closed connection when nothing is owed on it.
    pub(super) fn settle(&mut self, id: ConnectionId) {
        if self.by_id.get(&id).is_some_and(|connection| connection.is_settled()) {
            self.close(id);
        }
    }

    /// Notes that the connection has something to write, for [`Self::flush`].
    pub(super) fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Writes what was queued since the last time.
    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            if let Some(connection) = self.by_id.get_mut(&id) {
                connection.dirty = false;
                connection.used = self.now.unwrap_or(connection.used);
                connection.flush();
                if connection.half_closed {
                    self.settle(id);
                }
            }
        }
        self.dirty = dirty;
    }

    /// The numbers of all connections.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.by_id.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn forget_remote(&mut self, id: ConnectionId, remote: &Remote) {
        if self.by_remote.get(remote) == Some(&id) {
            self.by_remote.remove(remote);
        }
    }
}

/// The flow of a connection.
pub(super) const fn flow(
    transport: Transport,
    listener: ListenerId,
    id: ConnectionId,
    remote: SocketAddr,
) -> Flow {
    Flow { transport, listener, connection: Some(id), remote }
}
