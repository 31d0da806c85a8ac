//! One SIP message a WebSocket message (RFC 7118 §5).

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, protocol::CloseFrame};

use crate::TransportError;
use crate::sockets::{Layered, Read};

/// What asks whether the other end lives, and the answer (RFC 5626 §3.5.1).
const PING: &[u8] = b"\r\n\r\n";

/// An open WebSocket.
pub(crate) struct Frames<S> {
    stream: WebSocketStream<Metered<S>>,
    /// What the close frame says, if we close.
    code: CloseCode,
    /// The close frame is sent, or none can be.
    closed: bool,
    /// What comes can no longer be read as frames.
    broken: bool,
    /// Bytes came after the last message and the last control frame.
    amid_message: bool,
    ping: Option<Ping>,
}

/// When to ask for a sign of life.
struct Ping {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Anything came since the clock was set.
    heard: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Over a stream on which the handshake is done; with pings after so much silence.
    pub(super) fn new(stream: WebSocketStream<Metered<S>>, ping: Option<Duration>) -> Self {
        let ping = ping.map(|after| Ping {
            after,
            sleep: Box::pin(tokio::time::sleep(after)),
            heard: false,
        });
        let (closed, broken, amid_message) = (false, false, false);
        Self { stream, code: CloseCode::Away, closed, broken, amid_message, ping }
    }

    /// What comes next as frames.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let message = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                self.broken = true;
                return Poll::Ready(self.failed(&error));
            }
            None => {
                (self.broken, self.closed) = (true, true);
                return Poll::Ready(Read::End(None));
            }
        };
        self.stream.get_mut().fresh = false;
        self.amid_message = false;
        // RFC 7118 §4.2: "Therefore, SIP WebSocket Clients and SIP WebSocket Servers MUST accept both
        // text and binary frames."
        let payload = match message {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
            // The answer to a ping goes out with the next look.
            Message::Ping(_) => return Poll::Ready(Read::Part),
            Message::Pong(_) => return Poll::Ready(Read::Pong),
            // So does the answer to this, and that look finds the end.
            Message::Close(_) | Message::Frame(_) => {
                self.closed = true;
                return Poll::Ready(Read::Part);
            }
        };
        // RFC 7118 §6: "The indication and use of the CRLF NAT keep-alive mechanism defined for SIP
        // connection-oriented transports in [RFC5626], Section 3.5.1 or [RFC6223] are, of course, usable
        // over the transport defined in this specification."
        Poll::Ready(match &*payload {
            PING => Read::Ping,
            line_ends if line_ends.iter().all(|b| matches!(b, b'\r' | b'\n')) => Read::Pong,
            // RFC 7118 §5: "Each SIP message MUST be carried within a single WebSocket message, and a
            // WebSocket message MUST NOT contain more than one SIP message."
            message => Read::Message(Bytes::copy_from_slice(message)),
        })
    }

    /// Asks the other end for a sign of life when it is time.
    fn poll_ping(&mut self, cx: &mut Context<'_>) {
        let Some(ping) = &mut self.ping else { return };
        while ping.sleep.as_mut().poll(cx).is_ready() {
            let due = !core::mem::take(&mut ping.heard);
            ping.sleep.as_mut().reset(Instant::now() + ping.after);
            let mut stream = Pin::new(&mut self.stream);
            // While something waits to be written, nobody reads there who could answer.
            let free = matches!(stream.as_mut().poll_ready(cx), Poll::Ready(Ok(())));
            if due && free && !self.closed {
                // An error shows when reading, too.
                let _ = stream.as_mut().start_send(Message::Ping(Bytes::new()));
                let _ = stream.poll_flush(cx);
            }
        }
    }

    /// What comes after the last frame that can be read: it is passed over.
    fn poll_scrap(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let mut scrap = [0; 1024];
        let mut scrap = ReadBuf::new(&mut scrap);
        let read = ready!(Pin::new(self.stream.get_mut()).poll_read(cx, &mut scrap));
        Poll::Ready(if read.is_err() || scrap.filled().is_empty() {
            Read::End(None)
        } else {
            Read::Part
        })
    }

    fn failed(&mut self, error: &Error) -> Read {
        tracing::debug!(%error, "WebSocket");
        let (code, error) = match error {
            Error::Capacity(_) => (CloseCode::Size, TransportError::TooLarge),
            Error::Utf8(_) => (CloseCode::Invalid, TransportError::Malformed),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                self.closed = true;
                return Read::End(Some(TransportError::Closed));
            }
            Error::Protocol(_) => (CloseCode::Protocol, TransportError::Malformed),
            Error::Io(error) => {
                self.closed = true;
                return Read::End(Some(error.into()));
            }
            _ => (CloseCode::Error, TransportError::Malformed),
        };
        self.code = code;
        Read::Refused(error)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Layered for Frames<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if self.broken {
            return self.poll_scrap(cx);
        }
        let read = self.poll_frame(cx);
        let part = core::mem::take(&mut self.stream.get_mut().fresh);
        if let Some(ping) = &mut self.ping {
            ping.heard |= part || read.is_ready();
        }
        if read.is_pending() && part {
            self.amid_message = true;
            return Poll::Ready(Read::Part);
        }
        if read.is_pending() {
            self.poll_ping(cx);
        }
        read
    }

    fn is_amid_message(&self) -> bool {
        self.amid_message
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Bytes,
    ) -> Poll<Result<(), TransportError>> {
        let mut stream = Pin::new(&mut self.stream);
        ready!(stream.as_mut().poll_ready(cx)).map_err(|error| write_error(&error))?;
        let payload = core::mem::take(message);
        let frame = if *payload == *PING {
            // Every WebSocket answers this one.
            Message::Ping(Bytes::new())
        } else {
            // RFC 7118 §4.2: "If there is at least one non-UTF-8 symbol in the whole SIP message (including
            // headers and the body), then the whole message MUST be sent within a WebSocket binary
            // message."
            match Utf8Bytes::try_from(payload.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(payload),
            }
        };
        Poll::Ready(stream.start_send(frame).map_err(|error| write_error(&error)))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|error| write_error(&error))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut stream = Pin::new(&mut self.stream);
        if !self.closed {
            ready!(stream.as_mut().poll_ready(cx)).map_err(|error| write_error(&error))?;
            self.closed = true;
            let frame = CloseFrame { code: self.code, reason: Utf8Bytes::default() };
            let sent = stream.as_mut().start_send(Message::Close(Some(frame)));
            sent.map_err(|error| write_error(&error))?;
        }
        ready!(stream.as_mut().poll_flush(cx)).map_err(|error| write_error(&error))?;
        if self.broken {
            // Its answer cannot be read: it is not waited for.
            let ended = ready!(Pin::new(self.stream.get_mut()).poll_shutdown(cx));
            return Poll::Ready(ended.map_err(|error| (&error).into()));
        }
        Poll::Ready(Ok(()))
    }
}

fn write_error(error: &Error) -> TransportError {
    match error {
        Error::Io(error) => error.into(),
        _ => TransportError::Closed,
    }
}

/// A stream that tells whether anything came since it was asked last.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    fresh: bool,
}

impl<S> Metered<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, fresh: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.fresh |= buffer.filled().len() > before;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
