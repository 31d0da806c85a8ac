//! The connection table: every TCP connection by number and by far end, with what waits to be
//! written to it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use sip_message::Transport;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::QUEUE_OVERHEAD;
use super::connection::Signals;
use crate::{ConnectionId, Flow, ListenerId, Target, TransportError};

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

    fn weight(&self) -> usize {
        self.payload.len().saturating_add(QUEUE_OVERHEAD)
    }

    fn left(&self) -> &[u8] {
        self.payload.get(self.written..).unwrap_or_default()
    }

    fn is_request(&self) -> bool {
        !self.payload.starts_with(b"SIP/2.0 ")
    }
}

/// One connection, as the shard sees it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) flow: Flow,
    /// None while it is being opened.
    pub(super) stream: Option<Arc<TcpStream>>,
    pub(super) signals: Arc<Signals>,
    task: AbortHandle,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// The stream is full; the task watches for room.
    blocked: bool,
    closing: bool,
    /// In the list of those to flush.
    dirty: bool,
    /// The tokens of the requests that were written since the far end last said anything: when
    /// the connection ends now, nobody knows whether it read them, and no answer will come over it.
    unheard: VecDeque<u64>,
}

/// Tokens kept for a connection that says nothing; older ones are taken to be heard.
const UNHEARD: usize = 64;

/// Messages in one system call.
const SLICES: usize = 32;

impl Connection {
    pub(super) fn new(
        flow: Flow,
        stream: Option<Arc<TcpStream>>,
        signals: Arc<Signals>,
        task: AbortHandle,
    ) -> Self {
        Self {
            flow,
            stream,
            signals,
            task,
            queue: VecDeque::new(),
            queued_bytes: 0,
            blocked: false,
            closing: false,
            dirty: false,
            unheard: VecDeque::new(),
        }
    }

    /// Queues a message behind what waits already.
    pub(super) fn push(&mut self, outgoing: Outgoing, limit: usize) -> Result<(), Outgoing> {
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
        let Some(stream) = &self.stream else { return };
        if self.blocked || self.queue.is_empty() {
            return;
        }
        self.signals.active();
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, outgoing) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(outgoing.left());
                count += 1;
            }
            let result = stream.try_write_vectored(slices.get(..count).unwrap_or_default());
            match result {
                Ok(written) => {
                    Self::written(
                        &mut self.queue,
                        &mut self.queued_bytes,
                        &mut self.unheard,
                        written,
                    );
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

    fn written(
        queue: &mut VecDeque<Outgoing>,
        queued_bytes: &mut usize,
        unheard: &mut VecDeque<u64>,
        mut written: usize,
    ) {
        while let Some(outgoing) = queue.front_mut() {
            let left = outgoing.left().len();
            if written < left {
                outgoing.written += written;
                return;
            }
            written -= left;
            *queued_bytes = queued_bytes.saturating_sub(outgoing.weight());
            if outgoing.token != 0 && outgoing.is_request() {
                if unheard.len() == UNHEARD {
                    unheard.pop_front();
                }
                unheard.push_back(outgoing.token);
            }
            queue.pop_front();
        }
    }

    /// The stream is open.
    pub(super) fn connected(&mut self, stream: Arc<TcpStream>) {
        self.stream = Some(stream);
        self.flush();
    }

    /// The stream has room again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
        self.flush();
    }

    /// The far end said something, so it lives and reads.
    pub(super) fn heard(&mut self) {
        self.unheard.clear();
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

    /// What was not written, and the tokens of what was written and perhaps not read.
    pub(super) fn undelivered(&mut self) -> (VecDeque<Outgoing>, VecDeque<u64>) {
        (std::mem::take(&mut self.queue), std::mem::take(&mut self.unheard))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // When the whole endpoint goes: what waits is offered once to the system.
        self.flush();
        self.task.abort();
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_id: HashMap<ConnectionId, Connection>,
    // The far end chooses these: std's keyed hash.
    by_remote: HashMap<(Transport, SocketAddr), ConnectionId>,
    by_peer: HashMap<IpAddr, usize>,
    dirty: Vec<ConnectionId>,
    last: u32,
}

impl Table {
    /// Whether one more connection with this peer is within the limits.
    pub(super) fn admits(
        &self,
        peer: IpAddr,
        limit: usize,
        limit_per_peer: usize,
    ) -> Result<(), TransportError> {
        let of_peer = self.by_peer.get(&peer).copied().unwrap_or(0);
        if self.by_id.len() >= limit || of_peer >= limit_per_peer {
            return Err(TransportError::TooManyConnections);
        }
        Ok(())
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
        let Flow { transport, remote, .. } = connection.flow;
        *self.by_peer.entry(remote.ip()).or_default() += 1;
        self.by_remote.insert((transport, remote), id);
        self.by_id.insert(id, connection);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        self.forget_remote(id, connection.flow);
        let peer = connection.flow.remote.ip();
        if let Some(count) = self.by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&peer);
            }
        }
        Some(connection)
    }

    /// The connection, also one that closes.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    /// The connection that a message may go over: that of this number.
    pub(super) fn open(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id).filter(|connection| !connection.closing)
    }

    /// The number of the connection with this far end, open or opening.
    pub(super) fn to(&self, transport: Transport, remote: SocketAddr) -> Option<ConnectionId> {
        self.by_remote.get(&(transport, remote)).copied()
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id) {
            connection.close();
            let flow = connection.flow;
            self.forget_remote(id, flow);
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
        for id in self.dirty.drain(..) {
            if let Some(connection) = self.by_id.get_mut(&id) {
                connection.dirty = false;
                connection.flush();
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn forget_remote(&mut self, id: ConnectionId, flow: Flow) {
        let key = (flow.transport, flow.remote);
        if self.by_remote.get(&key) == Some(&id) {
            self.by_remote.remove(&key);
        }
    }
}

/// The flow of a connection.
pub(super) const fn flow(listener: ListenerId, id: ConnectionId, remote: SocketAddr) -> Flow {
    Flow { transport: Transport::Tcp, listener, connection: Some(id), remote }
}
