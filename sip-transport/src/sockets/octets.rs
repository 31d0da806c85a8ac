//! A layer that carries a stream of octets, as TLS does: messages are framed as on TCP.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use sip_message::{Frame, KeepAlive, Limits, StreamFramer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::shown_of_malformed;
use super::layered::{Layered, Read};
use crate::TransportError;

/// Read at once, into the stack: a connection that waits holds no buffer for it.
const CHUNK: usize = 8 * 1024;

/// Messages on a stream of octets.
pub(super) struct Octets<S> {
    stream: S,
    /// None after what cannot be framed: what follows is read and passed over.
    framer: Option<StreamFramer>,
    /// What was read of messages that were not taken yet.
    buffer: BytesMut,
}

impl<S> Octets<S> {
    pub(super) fn new(stream: S, limits: Limits) -> Self {
        Self { stream, framer: Some(StreamFramer::new(limits)), buffer: BytesMut::new() }
    }

    /// The next frame in the buffer, if it is whole.
    fn next(&mut self) -> Option<Read> {
        let Some(framer) = &mut self.framer else {
            self.buffer = BytesMut::new();
            return None;
        };
        if self.buffer.is_empty() {
            return None;
        }
        let (read, len) = match framer.next(&self.buffer) {
            Ok(Frame::NeedMore) => return None,
            Ok(Frame::KeepAlive { kind: KeepAlive::Ping, len }) => (Read::Ping, len),
            Ok(Frame::KeepAlive { kind: KeepAlive::Pong, len }) => (Read::Pong, len),
            Ok(Frame::Message { len }) => {
                let message = self.buffer.get(..len).unwrap_or_default();
                (Read::Message(Bytes::copy_from_slice(message)), len)
            }
            Err(error) => {
                let payload = shown_of_malformed(&self.buffer, &error);
                self.framer = None;
                return Some(Read::Malformed { payload, error });
            }
        };
        self.buffer.advance(len.min(self.buffer.len()));
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new(); // an idle connection holds no buffer
        }
        Some(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Layered for Octets<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if let Some(read) = self.next() {
            return Poll::Ready(read);
        }
        let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk)) {
            // TLS 1.3 would let us go on writing, but nobody would read it: who says good-bye waits for
            // nothing. What is owed goes over another connection, as RFC 3261 §18.2.2 has it.
            // RFC 5923 §8.3: "Before closing a TLS connection, the initiator of the closure MUST either wait
            // for any outstanding SIP transactions to complete, or explicitly abandon them."
            // RFC 5923 §8.3: "After the initiator of the close has sent a closure alert, it MUST discard any
            // TLS messages until it has received a similar alert from its peer."
            Ok(()) if chunk.filled().is_empty() => return Poll::Ready(Read::End(None)),
            Ok(()) => self.buffer.extend_from_slice(chunk.filled()),
            // Who ends a stream of messages, each with its length, between two of them cuts nothing off,
            // with or without a good-bye of the layer.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Poll::Ready(Read::End(None));
            }
            Err(error) => return Poll::Ready(Read::End(Some((&error).into()))),
        }
        Poll::Ready(self.next().unwrap_or(Read::Part))
    }

    fn is_amid_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Bytes,
    ) -> Poll<Result<(), TransportError>> {
        while !message.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, message)) {
                Ok(0) => return Poll::Ready(Err(TransportError::Closed)),
                Ok(len) => message.advance(len.min(message.len())),
                Err(error) => return Poll::Ready(Err((&error).into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|error| (&error).into())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(|error| (&error).into())
    }
}
