//! The task of one connection that has a layer above TCP: TLS records, WebSocket frames.
//!
//! Unlike with plain TCP the task does all: it connects, shakes hands, reads and writes, since every
//! byte goes through the layer's state, and since a handshake costs milliseconds that the shard must
//! not lose. The shard puts what it sends into the [`Pipe`]; reports and signals are those of a TCP
//! connection.

use std::collections::VecDeque;
#[cfg(feature = "ws")]
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use sip_message::{FrameError, Limits, Transport};
#[cfg(feature = "ws")]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connection::{Origin, Report, ShardGone, Task};
#[cfg(feature = "tls")]
use super::octets::Octets;
use super::table::Outgoing;
#[cfg(feature = "tls")]
use super::tls;
use crate::tls::Peer;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{Config, TransportError};
#[cfg(feature = "ws")]
use crate::{WsConfig, ws};

#[cfg(test)]
mod tests;

/// What lies above TCP, with all that a handshake needs.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    #[cfg(feature = "ws")]
    Ws(WsConfig),
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss(WsConfig, Tls),
    #[cfg(feature = "tls")]
    Tls(Tls),
}

impl Layer {
    /// That of a transport, if this build and the configuration have it.
    pub(super) fn of(transport: Transport, config: &Config) -> Option<Self> {
        let _ = config;
        match transport {
            #[cfg(feature = "ws")]
            Transport::Ws => Some(Self::Ws(config.ws.clone())),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Transport::Wss => config.tls.clone().map(|tls| Self::Wss(config.ws.clone(), tls)),
            #[cfg(feature = "tls")]
            Transport::Tls => config.tls.clone().map(Self::Tls),
            _ => None,
        }
    }
}

/// What the far end sent.
#[derive(Debug)]
pub(crate) enum Read {
    /// A part of a message.
    Part,
    /// A whole message.
    Message(Bytes),
    /// A keep-alive that the shard answers.
    Ping,
    /// The answer to a keep-alive.
    Pong,
    /// What cannot be framed.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "frames are framed already"))]
    Malformed { payload: Bytes, error: FrameError },
    /// What breaks the rules of the layer or the limits. Nothing after it can be read.
    #[cfg_attr(not(feature = "ws"), expect(dead_code, reason = "TLS says what is wrong itself"))]
    Refused(TransportError),
    /// The end: nothing can be read or written any more.
    End(Option<TransportError>),
}

/// A connection whose handshakes are done.
///
/// Nothing in it may wait without limit: the task sees to the times.
pub(crate) trait Layered: Send {
    /// What the far end sends next.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read>;

    /// Whether a message was begun and is not whole.
    fn is_amid_message(&self) -> bool;

    /// Takes a message for writing, by and by: ready when it has all of it. The same message is given
    /// again until then.
    ///
    /// A message that is nothing but line ends is a keep-alive (RFC 5626 §3.5.1).
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Bytes,
    ) -> Poll<Result<(), TransportError>>;

    /// Sees what was taken handed to the system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Says the layer's good-bye and ends our side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;
}

/// Which side of the handshake is ours.
#[derive(Debug)]
pub(super) enum Side {
    Server,
    /// The domain that was asked for.
    Client(Option<Arc<str>>),
}

/// A connection with its handshakes behind it.
pub(super) struct Established {
    pub(super) layered: Box<dyn Layered>,
    /// Who is at the far end, if that was shown.
    pub(super) peer: Option<Arc<Peer>>,
}

/// What waits to be written to one connection: the shard puts in, the task takes out.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    // Held for a few instructions, by two parties.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Outgoing>,
    /// With that of the message that is being written.
    bytes: usize,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message, unless more than `limit` bytes would wait.
    pub(super) fn push(&self, outgoing: Outgoing, limit: usize) -> Result<(), Outgoing> {
        let mut waiting = self.lock();
        let bytes = waiting.bytes.saturating_add(outgoing.weight());
        if bytes > limit {
            return Err(outgoing);
        }
        waiting.bytes = bytes;
        waiting.queue.push_back(outgoing);
        Ok(())
    }

    /// All that was not written.
    pub(super) fn take(&self) -> VecDeque<Outgoing> {
        std::mem::take(&mut *self.lock()).queue
    }

    fn pop(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        let outgoing = waiting.queue.pop_front();
        if outgoing.is_none() {
            waiting.queue = VecDeque::new(); // an idle connection holds no queue
        }
        outgoing
    }

    fn put_back(&self, outgoing: Outgoing) {
        self.lock().queue.push_front(outgoing);
    }

    fn written(&self, outgoing: &Outgoing) {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_sub(outgoing.weight());
    }
}

/// Runs the connection to its end.
pub(super) async fn run(task: Task, origin: Origin, layer: Layer, pipe: Arc<Pipe>) {
    // In a box of its own, so that the memory of the handshake is free when it is over.
    let established = Box::pin(establish(&task, origin, layer)).await;
    let error = match established {
        Ok(Established { mut layered, peer }) => {
            let opened = Report::Opened { id: task.id, stream: None, peer };
            if task.report(opened).await.is_err() {
                return;
            }
            match serve(&task, layered.as_mut(), &pipe).await {
                Ok(error) => error,
                Err(ShardGone) => return,
            }
        }
        Err(error) => Some(error),
    };
    let _ = task.report(Report::Ended { id: task.id, error }).await;
}

async fn establish(
    task: &Task,
    origin: Origin,
    layer: Layer,
) -> Result<Established, TransportError> {
    let (stream, side) = match origin {
        Origin::Accepted(stream) => (stream, Side::Server),
        Origin::Open { from, to, domain } => (task.open(from, to).await?, Side::Client(domain)),
    };
    let handshake = shake_hands(stream, layer, side, &task.terms.limits);
    match tokio::time::timeout(task.terms.handshake, handshake).await {
        Ok(result) => result,
        Err(_) => Err(TransportError::HandshakeTimeout),
    }
}

async fn shake_hands(
    stream: TcpStream,
    layer: Layer,
    side: Side,
    limits: &Limits,
) -> Result<Established, TransportError> {
    let remote = stream.peer_addr().map_err(|error| TransportError::from(&error))?;
    let _ = (remote, &side, limits);
    match layer {
        #[cfg(feature = "ws")]
        Layer::Ws(config) => {
            let layered =
                ask_or_grant(stream, remote, &config, &side, Transport::Ws, limits).await?;
            Ok(Established { layered, peer: None })
        }
        #[cfg(all(feature = "ws", feature = "tls"))]
        Layer::Wss(config, tls) => {
            let (stream, peer) = tls::shake_hands(stream, &tls, &side).await?;
            let layered =
                ask_or_grant(stream, remote, &config, &side, Transport::Wss, limits).await?;
            Ok(Established { layered, peer })
        }
        #[cfg(feature = "tls")]
        Layer::Tls(tls) => {
            let (stream, peer) = tls::shake_hands(stream, &tls, &side).await?;
            let layered = Box::new(Octets::new(stream, limits.clone()));
            Ok(Established { layered, peer })
        }
    }
}

/// The handshake of WebSocket, on either side.
#[cfg(feature = "ws")]
async fn ask_or_grant<S>(
    stream: S,
    remote: SocketAddr,
    config: &WsConfig,
    side: &Side,
    transport: Transport,
    limits: &Limits,
) -> Result<Box<dyn Layered>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let frames = match side {
        Side::Server => ws::accept(stream, remote, config, limits).await,
        Side::Client(domain) => {
            let host = ws::authority(domain.as_deref(), remote, transport);
            ws::dial(stream, &host, config, limits).await
        }
    };
    Ok(Box::new(frames?))
}

/// Serves the open connection to its end.
async fn serve(
    task: &Task,
    layered: &mut dyn Layered,
    pipe: &Pipe,
) -> Result<Option<TransportError>, ShardGone> {
    let mut writer = Writer::new(pipe);
    let terms = &task.terms;
    let mut idle_from = Instant::now();
    let mut begun: Option<Instant> = None;
    // Since when nothing was written of what waits, and how far it was then.
    let mut stalled: Option<(Instant, usize)> = None;
    let mut sleep = pin!(tokio::time::sleep_until(idle_from + terms.idle));
    loop {
        let mut signal = pin!(task.signals.notified());
        let wake = std::future::poll_fn(|cx| {
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Wake::Signal);
            }
            match writer.poll(layered, cx) {
                Poll::Ready(Ok(())) => stalled = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Wake::Read(Read::End(Some(error)))),
                Poll::Pending if stalled.is_some_and(|(_, written)| written == writer.written) => {}
                Poll::Pending => {
                    let now = Instant::now();
                    stalled = Some((now, writer.written));
                    if now + terms.stall < sleep.deadline() {
                        sleep.as_mut().reset(now + terms.stall);
                    }
                }
            }
            if let Poll::Ready(read) = layered.poll_read(cx) {
                return Poll::Ready(Wake::Read(read));
            }
            sleep.as_mut().poll(cx).map(|()| Wake::Time)
        })
        .await;
        let whole = !matches!(wake, Wake::Read(Read::Part));
        match wake {
            Wake::Signal if task.signals.is_closing() => {
                close(task, layered, &mut writer).await;
                return Ok(None);
            }
            // There is something to write.
            Wake::Signal => {
                task.signals.take_active();
                idle_from = Instant::now();
                continue;
            }
            Wake::Read(read) => match read {
                Read::Part => {}
                Read::Message(payload) => {
                    task.heard(Report::Message { id: task.id, payload }).await?;
                }
                Read::Ping => task.heard(Report::Ping { id: task.id, count: 1 }).await?,
                Read::Pong => task.heard(Report::Pong { id: task.id }).await?,
                Read::Malformed { payload, error } => {
                    task.heard(Report::Malformed { id: task.id, payload, error }).await?;
                    refuse(task, layered, &mut writer).await;
                    return Ok(Some(TransportError::Malformed));
                }
                Read::Refused(error) => {
                    close(task, layered, &mut writer).await;
                    return Ok(Some(error));
                }
                Read::End(error) if error.is_none() && begun.is_some() => {
                    return Ok(Some(TransportError::Closed));
                }
                Read::End(error) => return Ok(error),
            },
            Wake::Time => {
                let now = Instant::now();
                let idle_end = idle_from + terms.idle;
                let message_end = begun.map(|begun| begun + terms.message);
                let stall_end = stalled.map(|(from, _)| from + terms.stall);
                if message_end.is_some_and(|end| end <= now) {
                    return Ok(Some(TransportError::Incomplete));
                }
                if stall_end.is_some_and(|end| end <= now) {
                    return Ok(Some(TransportError::Stalled));
                }
                if idle_end <= now {
                    close(task, layered, &mut writer).await;
                    return Ok(Some(TransportError::Idle));
                }
                let next =
                    [message_end, stall_end].into_iter().flatten().fold(idle_end, Instant::min);
                sleep.as_mut().reset(next);
                continue;
            }
        }
        idle_from = Instant::now();
        if !layered.is_amid_message() {
            begun = None;
        } else if whole || begun.is_none() {
            begun = Some(idle_from);
            let deadline = idle_from + terms.message;
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
        }
    }
}

/// What made the task go on.
enum Wake {
    Signal,
    Read(Read),
    Time,
}

/// Leaves time for one answer to what cannot be framed, and closes.
async fn refuse(task: &Task, layered: &mut dyn Layered, writer: &mut Writer<'_>) {
    let told_to_close = async {
        while !task.signals.is_closing() {
            let mut signal = pin!(task.signals.notified());
            std::future::poll_fn(|cx| {
                let _ = writer.poll(layered, cx);
                signal.as_mut().poll(cx)
            })
            .await;
        }
    };
    let _ = tokio::time::timeout(task.terms.linger, told_to_close).await;
    close(task, layered, writer).await;
}

/// Closes in order: what is queued is written, then our side ends, then the far end has a moment to
/// end its own, so that a reset does not destroy what is still on its way to it.
async fn close(task: &Task, layered: &mut dyn Layered, writer: &mut Writer<'_>) {
    let in_order = async {
        let sent = std::future::poll_fn(|cx| writer.poll(layered, cx)).await;
        let ended = std::future::poll_fn(|cx| layered.poll_close(cx)).await;
        if sent.is_err() || ended.is_err() {
            return;
        }
        while !matches!(std::future::poll_fn(|cx| layered.poll_read(cx)).await, Read::End(_)) {}
    };
    let _ = tokio::time::timeout(task.terms.linger, in_order).await;
}

/// Takes one message after the other out of the pipe and writes it.
struct Writer<'a> {
    pipe: &'a Pipe,
    /// The message that is being written, and what is left of it.
    current: Option<(Outgoing, Bytes)>,
    flushed: bool,
    /// Bytes that the layer took so far, to tell whether it takes any.
    written: usize,
}

impl<'a> Writer<'a> {
    const fn new(pipe: &'a Pipe) -> Self {
        Self { pipe, current: None, flushed: true, written: 0 }
    }

    /// Ready when all is written.
    fn poll(
        &mut self,
        layered: &mut dyn Layered,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>> {
        loop {
            if self.current.is_none() {
                self.current = self.pipe.pop().map(|outgoing| {
                    let rest = outgoing.payload.clone();
                    (outgoing, rest)
                });
            }
            let Some((outgoing, rest)) = &mut self.current else { break };
            let left = rest.len();
            let sent = layered.poll_send(cx, rest);
            self.written = self.written.wrapping_add(left.saturating_sub(rest.len()));
            std::task::ready!(sent)?;
            self.flushed = false;
            self.pipe.written(outgoing);
            self.current = None;
        }
        if !self.flushed {
            std::task::ready!(layered.poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer<'_> {
    /// What was not written wholly counts as not written.
    fn drop(&mut self) {
        if let Some((outgoing, _)) = self.current.take() {
            self.pipe.put_back(outgoing);
        }
    }
}
