//! The task of one TCP connection: connects if need be, reads, frames, watches for the moment when
//! the connection can be written again, and closes it when idle, on an error or when told to.
//!
//! The shard writes; this task never does, so that nothing need be locked:
//!
//! - the task reports messages and events through one bounded channel that all connections share, of which
//!   those of one far end have a share; when that is used up, or the channel full, the task waits and so does
//!   not read, and TCP slows the far end down;
//! - the shard tells the task what it wants by [`Signals`].

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use sip_message::{Frame, FrameError, KeepAlive, Limits, StreamFramer};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};

use crate::tls::Peer;
use crate::{Config, ConnectionId, TransportError};

/// A report on its way to the shard, with the place in the share of its far end that it takes up till it is
/// there.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) report: Report,
    _place: Option<OwnedSemaphorePermit>,
}

/// What the task tells the shard.
#[derive(Debug)]
pub(super) enum Report {
    /// The connection is open, its handshakes are done; with the stream if the shard writes to it
    /// itself.
    Opened { id: ConnectionId, stream: Option<Arc<TcpStream>>, peer: Option<Arc<Peer>> },
    /// A whole message.
    Message { id: ConnectionId, payload: Bytes },
    /// So many keep-alives that want their answers.
    Ping { id: ConnectionId, count: usize },
    /// An answer to a keep-alive, or several in one read.
    Pong { id: ConnectionId },
    /// What cannot be framed; the connection closes within the linger time.
    Malformed { id: ConnectionId, payload: Bytes, error: FrameError },
    /// The far end will send no more, and may still read.
    HalfClosed { id: ConnectionId },
    /// The stream takes bytes again, after [`Signals::watch_writable`].
    Writable { id: ConnectionId },
    /// The task is done; always the last.
    Ended { id: ConnectionId, error: Option<TransportError> },
}

/// What the shard tells the task.
#[derive(Debug, Default)]
pub(super) struct Signals {
    flags: AtomicU8,
    notify: Notify,
    /// Milliseconds to wait before more is read.
    pause: AtomicU32,
}

const WATCH_WRITABLE: u8 = 1;
const CLOSE: u8 = 2;
const WROTE_ALL: u8 = 4;
const ACTIVE: u8 = 8;

impl Signals {
    /// The stream was full: report when it can be written.
    pub(super) fn watch_writable(&self) {
        self.raise(WATCH_WRITABLE);
    }

    /// No more is wanted of this connection; it may linger until all is written.
    pub(super) fn close(&self) {
        self.raise(CLOSE);
    }

    /// All that was to be written before closing is written.
    pub(super) fn wrote_all(&self) {
        self.raise(WROTE_ALL);
    }

    /// Something was written: not idle.
    pub(super) fn active(&self) {
        self.flags.fetch_or(ACTIVE, Ordering::Relaxed);
    }

    /// There is something to write for a task that writes itself.
    pub(super) fn to_write(&self) {
        self.raise(ACTIVE);
    }

    /// The far end has used up its ration: nothing more is read of it for so long.
    pub(super) fn pause(&self, time: Duration) {
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self.pause.store(time, Ordering::Relaxed);
    }

    /// A signal.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }

    /// Whether anything was written, or is to be, since this was asked last.
    pub(super) fn take_active(&self) -> bool {
        self.take(ACTIVE)
    }

    /// Whether [`Self::close`] was called.
    pub(super) fn is_closing(&self) -> bool {
        self.has(CLOSE)
    }

    fn raise(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::Release);
        self.notify.notify_one();
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    fn take(&self, flag: u8) -> bool {
        self.flags.fetch_and(!flag, Ordering::AcqRel) & flag != 0
    }
}

/// The times and limits that a task needs.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    /// What an address may have in the channel at once.
    pub(super) places: usize,
    pub(super) idle: Duration,
    pub(super) message: Duration,
    pub(super) stall: Duration,
    pub(super) connect: Duration,
    pub(super) handshake: Duration,
    pub(super) linger: Duration,
}

impl Terms {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            limits: config.message_limits.clone(),
            places: config.inbound_per_peer,
            idle: config.idle_timeout,
            message: config.message_timeout,
            stall: config.stall_timeout,
            connect: config.connect_timeout,
            handshake: config.handshake_timeout,
            linger: config.linger,
        }
    }
}

/// How the connection comes to be.
#[derive(Debug)]
pub(super) enum Origin {
    Accepted(TcpStream),
    Open { from: SocketAddr, to: SocketAddr, domain: Option<Arc<str>> },
}

/// The task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: ConnectionId,
    pub(super) signals: Arc<Signals>,
    pub(super) reports: mpsc::Sender<Reported>,
    /// What its far end may have in the channel at once, over all its connections.
    pub(super) share: Arc<Semaphore>,
    pub(super) terms: Arc<Terms>,
}

/// Room for at least this much is made before each read.
const READ_CHUNK: usize = 8 * 1024;

/// The shard does not listen any more: the whole endpoint is gone.
#[derive(Debug)]
pub(super) struct ShardGone;

impl Task {
    /// Runs a connection that was accepted to its end.
    pub(super) async fn run_accepted(self, stream: Arc<TcpStream>) {
        if let Ok(error) = self.serve(&stream).await {
            let _ = self.report(Report::Ended { id: self.id, error }).await;
        }
    }

    /// Opens a connection and runs it to its end.
    pub(super) async fn run_opened(self, from: SocketAddr, to: SocketAddr) {
        let error = match self.open(from, to).await {
            Ok(stream) => {
                let stream = Arc::new(stream);
                let opened =
                    Report::Opened { id: self.id, stream: Some(Arc::clone(&stream)), peer: None };
                if self.report(opened).await.is_err() {
                    return;
                }
                match self.serve(&stream).await {
                    Ok(error) => error,
                    Err(ShardGone) => return,
                }
            }
            Err(error) => Some(error),
        };
        let _ = self.report(Report::Ended { id: self.id, error }).await;
    }

    /// Reports what happened to the connection.
    pub(super) async fn report(&self, report: Report) -> Result<(), ShardGone> {
        self.reports.send(Reported { report, _place: None }).await.map_err(|_| ShardGone)
    }

    /// Reports what the far end sent, when it is its turn: others with the same address may be before it.
    pub(super) async fn heard(&self, report: Report) -> Result<(), ShardGone> {
        let place = Arc::clone(&self.share).acquire_owned().await.map_err(|_| ShardGone)?;
        let reported = Reported { report, _place: Some(place) };
        self.reports.send(reported).await.map_err(|_| ShardGone)?;
        if self.share.available_permits() < self.terms.places / 2 {
            // Those of one address take turns when it comes to waiting.
            tokio::task::yield_now().await;
        }
        match self.signals.pause.swap(0, Ordering::Relaxed) {
            0 => {}
            pause => tokio::time::sleep(Duration::from_millis(pause.into())).await,
        }
        Ok(())
    }

    /// Connects, within the time for it.
    pub(super) async fn open(
        &self,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<TcpStream, TransportError> {
        let attempt = async {
            let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if !from.ip().is_unspecified() {
                // From the address that Via names, because a response may come over a connection
                // to it:
                // RFC 3261 §18.1.1: "To handle this case, the transport layer MUST also be prepared
                // to receive an incoming connection on the source IP address from which the request
                // was sent and port number in the "sent-by" field."
                socket.bind(SocketAddr::new(from.ip(), 0))?;
            }
            let stream = socket.connect(to).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        match tokio::time::timeout(self.terms.connect, attempt).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(connect_error(&error)),
            Err(_) => Err(TransportError::ConnectTimeout),
        }
    }

    /// Serves the open connection to its end, in the same way whoever opened it.
    // RFC 3261 §18.1.1: "Therefore, the client transport MUST be prepared to receive the response on
    // the same connection used to send the request."
    async fn serve(&self, stream: &TcpStream) -> Result<Option<TransportError>, ShardGone> {
        let mut buffer = BytesMut::new();
        let mut framer = StreamFramer::new(self.terms.limits.clone());
        let mut idle_from = Instant::now();
        let mut begun: Option<Instant> = None;
        let mut stalled_from: Option<Instant> = None;
        let mut sleep = pin!(tokio::time::sleep_until(idle_from + self.terms.idle));
        loop {
            let mut signal = pin!(self.signals.notify.notified());
            let wake = std::future::poll_fn(|cx| {
                if signal.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Wake::Signal);
                }
                if stream.poll_read_ready(cx).is_ready() {
                    return Poll::Ready(Wake::Readable);
                }
                if stalled_from.is_some() && stream.poll_write_ready(cx).is_ready() {
                    return Poll::Ready(Wake::Writable);
                }
                sleep.as_mut().poll(cx).map(|()| Wake::Time)
            })
            .await;
            match wake {
                Wake::Signal => {
                    if self.signals.has(CLOSE) {
                        return Ok(Box::pin(self.close(stream)).await);
                    }
                    if self.signals.take(WATCH_WRITABLE) {
                        let now = Instant::now();
                        stalled_from = Some(now);
                        earlier(sleep.as_mut(), now + self.terms.stall);
                    }
                }
                Wake::Writable => {
                    stalled_from = None;
                    self.report(Report::Writable { id: self.id }).await?;
                }
                Wake::Readable => {
                    buffer.reserve(READ_CHUNK);
                    match stream.try_read_buf(&mut buffer) {
                        Ok(0) if buffer.is_empty() => {
                            return Box::pin(self.serve_half(stream)).await;
                        }
                        Ok(0) => return Ok(Some(TransportError::Closed)),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if buffer.is_empty() {
                                buffer = BytesMut::new(); // an idle connection holds no buffer
                            }
                            continue;
                        }
                        Err(error) => return Ok(Some((&error).into())),
                    }
                    idle_from = Instant::now();
                    let taken = match self.frame(&mut framer, &mut buffer).await? {
                        Ok(taken) => taken,
                        Err(error) => return Box::pin(self.refuse(stream, &buffer, error)).await,
                    };
                    if buffer.is_empty() {
                        buffer = BytesMut::new(); // an idle connection holds no buffer
                        begun = None;
                    } else if taken || begun.is_none() {
                        begun = Some(idle_from);
                        earlier(sleep.as_mut(), idle_from + self.terms.message);
                    }
                }
                Wake::Time => {
                    let now = Instant::now();
                    if self.signals.take(ACTIVE) {
                        idle_from = now;
                    }
                    let idle_end = idle_from + self.terms.idle;
                    let message_end = begun.map(|begun| begun + self.terms.message);
                    let stall_end = stalled_from.map(|from| from + self.terms.stall);
                    if message_end.is_some_and(|end| end <= now) {
                        return Ok(Some(TransportError::Incomplete));
                    }
                    if stall_end.is_some_and(|end| end <= now) {
                        return Ok(Some(TransportError::Stalled));
                    }
                    if idle_end <= now {
                        return Ok(Some(TransportError::Idle));
                    }
                    let next =
                        [message_end, stall_end].into_iter().flatten().fold(idle_end, Instant::min);
                    sleep.as_mut().reset(next);
                }
                Wake::Broken => {} // not asked for: reading shows it
            }
        }
    }

    /// Serves a connection whose far end sends no more, till the shard closes it because nothing is
    /// owed on it, or the stream breaks: the end of what the far end sends looks the same whether it
    /// still reads or is gone, and only writing tells.
    async fn serve_half(&self, stream: &TcpStream) -> Result<Option<TransportError>, ShardGone> {
        self.signals.take(ACTIVE);
        self.report(Report::HalfClosed { id: self.id }).await?;
        let mut sleep = pin!(tokio::time::sleep(self.terms.idle));
        let mut watching = false;
        loop {
            let mut signal = pin!(self.signals.notify.notified());
            let mut broken = pin!(stream.ready(Interest::ERROR));
            let wake = std::future::poll_fn(|cx| {
                if signal.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Wake::Signal);
                }
                if broken.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Wake::Broken);
                }
                if watching && stream.poll_write_ready(cx).is_ready() {
                    return Poll::Ready(Wake::Writable);
                }
                sleep.as_mut().poll(cx).map(|()| Wake::Time)
            })
            .await;
            match wake {
                Wake::Signal if self.signals.has(CLOSE) => {
                    return Ok(self.close_half(stream).await);
                }
                Wake::Signal => watching |= self.signals.take(WATCH_WRITABLE),
                Wake::Writable => {
                    watching = false;
                    self.report(Report::Writable { id: self.id }).await?;
                }
                Wake::Readable => {} // not asked for
                Wake::Broken => return Ok(Some(TransportError::Closed)),
                Wake::Time => return Ok(Some(TransportError::Idle)),
            }
        }
    }

    /// Reports each message that the buffer holds whole, and takes it out. True if anything was
    /// taken out.
    async fn frame(
        &self,
        framer: &mut StreamFramer,
        buffer: &mut BytesMut,
    ) -> Result<Result<bool, FrameError>, ShardGone> {
        let (mut taken, mut pings, mut ponged) = (false, 0_usize, false);
        let framed = loop {
            let len = match framer.next(buffer) {
                Ok(Frame::NeedMore) => break Ok(taken),
                Ok(Frame::KeepAlive { kind: KeepAlive::Ping, len }) => {
                    pings = pings.saturating_add(1);
                    len
                }
                Ok(Frame::KeepAlive { kind: KeepAlive::Pong, len }) => {
                    ponged = true;
                    len
                }
                Ok(Frame::Message { len }) => {
                    let payload = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
                    self.heard(Report::Message { id: self.id, payload }).await?;
                    len
                }
                Err(error) => break Err(error),
            };
            // Only moves the start, so that many messages in one read cost no more than their
            // bytes.
            buffer.advance(len.min(buffer.len()));
            taken = true;
        };
        // One report for all of a read: who sends nothing but line ends shall not fill the channel.
        if pings > 0 {
            self.heard(Report::Ping { id: self.id, count: pings }).await?;
        }
        if ponged {
            self.heard(Report::Pong { id: self.id }).await?;
        }
        Ok(framed)
    }

    /// Reports what cannot be framed, leaves time for one answer, and closes.
    async fn refuse(
        &self,
        stream: &TcpStream,
        buffer: &[u8],
        error: FrameError,
    ) -> Result<Option<TransportError>, ShardGone> {
        let payload = shown_of_malformed(buffer, &error);
        self.heard(Report::Malformed { id: self.id, payload, error }).await?;
        let told_to_close = async {
            while !self.signals.has(CLOSE) {
                self.signals.notify.notified().await;
            }
        };
        let _ = tokio::time::timeout(self.terms.linger, told_to_close).await;
        self.close(stream).await;
        Ok(Some(TransportError::Malformed))
    }

    /// Closes in order: what is queued is written, then our side ends, then the far end has a
    /// moment to end its own, so that a reset does not destroy what is still on its way to it.
    async fn close(&self, stream: &TcpStream) -> Option<TransportError> {
        let in_order = async {
            self.write_rest(stream).await?;
            let mut scrap = [0; 256];
            loop {
                stream.readable().await.ok()?;
                match stream.try_read(&mut scrap) {
                    Ok(0) => return None::<()>,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return None,
                }
            }
        };
        let _ = tokio::time::timeout(self.terms.linger, in_order).await;
        None
    }

    /// Closes a connection whose far end has ended its side, and sees whether that resets it, since
    /// it did not read what was written then.
    async fn close_half(&self, stream: &TcpStream) -> Option<TransportError> {
        let reset = async {
            if self.write_rest(stream).await.is_some() {
                if !self.signals.has(ACTIVE) {
                    return false; // nothing was written
                }
                let _ = stream.ready(Interest::ERROR).await;
            }
            true
        };
        let reset = tokio::time::timeout(self.terms.linger, reset).await;
        (reset == Ok(true)).then_some(TransportError::Closed)
    }

    /// Sees what is queued written, and ends our side; None if the stream broke.
    async fn write_rest(&self, stream: &TcpStream) -> Option<()> {
        while !self.signals.has(WROTE_ALL) {
            if self.signals.take(WATCH_WRITABLE) {
                stream.writable().await.ok()?;
                self.report(Report::Writable { id: self.id }).await.ok()?;
            }
            self.signals.notify.notified().await;
        }
        SockRef::from(stream).shutdown(Shutdown::Write).ok()
    }
}

/// Lets the sleep end by then at the latest.
fn earlier(sleep: Pin<&mut Sleep>, deadline: Instant) {
    if deadline < sleep.deadline() {
        sleep.reset(deadline);
    }
}

/// What made the task go on.
enum Wake {
    Signal,
    Readable,
    Writable,
    Broken,
    Time,
}

/// Bytes that are shown of what has no head.
const SHOWN_OF_MALFORMED: usize = 4096;

/// What is shown of a stream's bytes that cannot be framed.
pub(super) fn shown_of_malformed(buffer: &[u8], error: &FrameError) -> Bytes {
    let shown = match error.head_len() {
        0 => buffer.len().min(SHOWN_OF_MALFORMED),
        head_len => head_len,
    };
    Bytes::copy_from_slice(buffer.get(..shown).unwrap_or_default())
}

/// A reset to the attempt to connect is a refusal; RFC 3261 §18.1.1 makes no difference either.
fn connect_error(error: &io::Error) -> TransportError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            TransportError::Refused
        }
        io::ErrorKind::Unsupported => TransportError::ProtocolUnsupported,
        _ => error.into(),
    }
}
