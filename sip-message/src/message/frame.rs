//! Where a message begins and ends on a stream (RFC 3261 §7.5, §18.3; RFC 5626 §3.5.1).

use core::fmt;

use memchr::memchr;

use super::headers::Slot;
use super::parse::{ContentLength, StartLine};
use crate::header_name::Id;
use crate::{HeaderName, Limits, ParseErrorKind, Refusal, RefusalKind, StatusCode};

/// What stands next on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Nothing whole yet: read more and ask again with all of it.
    NeedMore,
    /// A keep-alive of `len` bytes: take them off, and answer a ping with a pong.
    KeepAlive {
        /// Which.
        kind: KeepAlive,
        /// Bytes to take off.
        len: usize,
    },
    /// A whole message: the next `len` bytes, for [`Message::parse`](crate::Message::parse).
    Message {
        /// Bytes to take off.
        len: usize,
    },
}

/// The keep-alives of RFC 5626 §3.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Two line ends: `CRLF CRLF` is owed a [`Pong`](Self::Pong).
    Ping,
    /// One line end: the answer to a ping (or the first half of a ping, which is no harm).
    Pong,
}

/// Why no message can be framed any more: the stream is to be closed, for nobody knows where the
/// next message would begin.
///
/// If [`head_len`](Self::head_len) is not 0, that many bytes are a head from which
/// [`Message::parse`](crate::Message::parse) can make the request that the status is owed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameError {
    refusal: Refusal,
    head_len: usize,
}

impl FrameError {
    /// What is wrong, where, and the status that a request is owed.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Bytes of the head, if it is all there; otherwise 0, and nothing can be answered.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head_len
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl core::error::Error for FrameError {}

/// Finds the messages of one stream.
///
/// It keeps no bytes, only how far it has looked at them, so that many small reads cost no more
/// than one large one. A message is reported when it is all there; a message that the [`Limits`]
/// forbid is refused as soon as its head says so.
///
/// ```
/// use sip_message::{Frame, Limits, StreamFramer};
///
/// let mut framer = StreamFramer::new(Limits::default());
/// let mut bytes = b"OPTIONS sip:b@example.com SIP/2.0\r\nl: 2\r\n".to_vec();
/// assert_eq!(framer.next(&bytes), Ok(Frame::NeedMore));
/// bytes.extend_from_slice(b"\r\nhiOPTIONS");
/// assert_eq!(framer.next(&bytes), Ok(Frame::Message { len: 45 }));
/// ```
#[derive(Debug, Clone)]
pub struct StreamFramer {
    limits: Limits,
    state: State,
    /// A single CRLF was the last thing taken off: another one makes it a ping.
    half_ping: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the head.
    Head {
        /// Where the line begins that is not yet looked at.
        line: usize,
        /// How far its end was looked for.
        scanned: usize,
        length: ContentLength,
    },
    /// After the head.
    Body {
        len: usize,
    },
    Failed(FrameError),
}

impl State {
    const START: Self = Self::Head { line: 0, scanned: 0, length: ContentLength::Absent };
}

impl StreamFramer {
    /// A framer for a new stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::START, half_ping: false }
    }

    /// What stands at the start of `buffer`, which holds all bytes of the stream that were not
    /// taken off. After [`Frame::Message`] and [`Frame::KeepAlive`] the caller takes `len` bytes
    /// off before it asks again.
    ///
    /// # Errors
    /// The stream cannot be framed; every further call says the same.
    pub fn next(&mut self, buffer: &[u8]) -> Result<Frame, FrameError> {
        loop {
            match self.state {
                State::Head { line: 0, .. } if matches!(buffer.first(), Some(b'\r' | b'\n')) => {
                    return Ok(self.line_end(buffer));
                }
                State::Head { line, scanned, length } => {
                    self.state = match self.read_line(buffer, line, scanned, length) {
                        Ok(Some(state)) => state,
                        Ok(None) => return Ok(Frame::NeedMore),
                        Err(error) => State::Failed(error),
                    }
                }
                State::Body { len } if buffer.len() < len => return Ok(Frame::NeedMore),
                State::Body { len } => {
                    self.state = State::START;
                    self.half_ping = false;
                    return Ok(Frame::Message { len });
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// A line end where a message might begin.
    // RFC 3261 §7.5: "Implementations processing SIP messages over stream-oriented transports MUST
    // ignore any CRLF appearing before the start-line"
    fn line_end(&mut self, buffer: &[u8]) -> Frame {
        let (kind, len) = match buffer {
            [b'\r', b'\n', b'\r', b'\n', ..] if !self.half_ping => (KeepAlive::Ping, 4),
            [b'\r', b'\n', ..] if self.half_ping => (KeepAlive::Ping, 2),
            [b'\r', b'\n', ..] => (KeepAlive::Pong, 2),
            [b'\r'] => return Frame::NeedMore,
            _ => (KeepAlive::Pong, 1),
        };
        self.half_ping = kind == KeepAlive::Pong && len == 2;
        Frame::KeepAlive { kind, len }
    }

    /// Looks at one more line of the head; `None` if it is not all there.
    fn read_line(
        &mut self,
        buffer: &[u8],
        line: usize,
        scanned: usize,
        length: ContentLength,
    ) -> Result<Option<State>, FrameError> {
        let mut from = scanned;
        let end = loop {
            let rest = buffer.get(from..).unwrap_or_default();
            let Some(found) = memchr(b'\n', rest) else {
                self.check_head(buffer.len())?;
                self.state = State::Head { line, scanned: buffer.len(), length };
                return Ok(None);
            };
            let end = from.saturating_add(found).saturating_add(1);
            self.check_head(end)?;
            let text = buffer.get(line..end).unwrap_or_default();
            if matches!(text, b"\n" | b"\r\n") {
                return self.head_end(end, length).map(Some);
            }
            match buffer.get(end) {
                // The next line may continue this one; the start line has no continuation.
                Some(b' ' | b'\t') if line > 0 => from = end,
                None if line > 0 => {
                    self.state = State::Head { line, scanned: from, length };
                    return Ok(None);
                }
                _ => break end,
            }
        };
        let text = buffer.get(line..end).unwrap_or_default();
        let mut length = length;
        if line == 0 {
            let start = text.strip_suffix(b"\n").unwrap_or(text);
            let read = StartLine::read(start.strip_suffix(b"\r").unwrap_or(start));
            // A response of no status is framed, to be dropped alone:
            // RFC 4475 §3.1.2.19: "This response has a response code larger than 699.  An element
            // receiving this response should simply drop it."
            if let Err((ParseErrorKind::StartLine, _)) = read {
                let kind = RefusalKind::StartLine;
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, kind, 0);
                return Err(FrameError { refusal, head_len: 0 });
            }
        } else if matches!(text.first(), Some(b'C' | b'c' | b'L' | b'l'))
            && let Some(slot) = Slot::read(text, 0)
            && slot.id == Id::ContentLength
        {
            length = length.and(slot.value_of(text), line);
        }
        Ok(Some(State::Head { line: end, scanned: end, length }))
    }

    /// The empty line was found: what the body's length is.
    fn head_end(&self, end: usize, length: ContentLength) -> Result<State, FrameError> {
        let refusal = match length {
            ContentLength::Is(length, at) => {
                let len = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(end);
                if len <= self.limits.message_bytes {
                    return Ok(State::Body { len });
                }
                Refusal {
                    status: StatusCode::MESSAGE_TOO_LARGE,
                    ..Refusal::of(HeaderName::ContentLength, RefusalKind::MessageTooLarge, at)
                }
            }
            // RFC 3261 §18.3: "The Content-Length header field MUST be used with stream oriented
            // transports."
            ContentLength::Absent => {
                Refusal::of(HeaderName::ContentLength, RefusalKind::Missing, end)
            }
            ContentLength::Bad(refusal) => refusal,
        };
        Err(FrameError { refusal, head_len: end })
    }

    fn check_head(&self, len: usize) -> Result<(), FrameError> {
        let limit = self.limits.head_bytes.min(self.limits.message_bytes);
        if len <= limit {
            return Ok(());
        }
        let status = StatusCode::MESSAGE_TOO_LARGE;
        let refusal = Refusal::new(status, RefusalKind::HeadTooLarge, limit);
        Err(FrameError { refusal, head_len: 0 })
    }
}
