//! What is printed of a message.

use std::fmt::Display;
use std::io::{self, Write};

use bytes::Bytes;
use sip_message::{Frame, Limits, Message, Refusal, RefusalKind, StreamFramer};

/// Prints a line for each message to `out`, and for a refused one where it is at fault if `carets`.
pub(crate) struct Report<W> {
    pub(crate) carets: bool,
    pub(crate) out: W,
}

impl<W: Write> Report<W> {
    /// One message, as a datagram brings it.
    pub(crate) fn message(&mut self, name: &dyn Display, bytes: &[u8]) -> io::Result<()> {
        // Offsets count from the start of the message, and line ends before it are none of it.
        let lead = bytes.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = if lead == bytes.len() { bytes } else { bytes.split_at(lead).1 };
        let message = match Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()) {
            Ok(message) => message,
            Err(error) => {
                let status = error.status().map(|status| status.as_u16());
                return self.rejected(name, status, &error, Some(error.offset()), bytes);
            }
        };
        match (message.validate(), &message) {
            (Ok(()), Message::Request(request)) => {
                writeln!(self.out, "{name}\tok\trequest {}", request.method())
            }
            (Ok(()), Message::Response(response)) => {
                writeln!(self.out, "{name}\tok\tresponse {}", response.status().as_u16())
            }
            (Err(refusal), _) => {
                // A request is answered with the status, a response is dropped.
                let status = match message {
                    Message::Request(_) => Some(refusal.status().as_u16()),
                    Message::Response(_) => None,
                };
                self.rejected(name, status, &refusal, place(&refusal), bytes)
            }
        }
    }

    /// Message after message, as TCP brings them, until the end or until nobody can tell where the
    /// next one begins.
    pub(crate) fn stream(&mut self, name: &dyn Display, mut bytes: &[u8]) -> io::Result<()> {
        let mut framer = StreamFramer::new(Limits::default());
        while !bytes.is_empty() {
            let length = match framer.next(bytes) {
                Ok(Frame::Message { len }) => {
                    self.message(name, bytes.get(..len).unwrap_or(bytes))?;
                    len
                }
                Ok(Frame::KeepAlive { len, .. }) => len,
                Ok(Frame::NeedMore) => {
                    let length = bytes.len();
                    let why = format!("the stream ends inside a message, {length} bytes into it");
                    return self.rejected(name, None, &why, None, bytes);
                }
                Err(error) => {
                    let refusal = error.refusal();
                    // Only a head that is whole can be answered, and only if it is a request's.
                    let head = bytes.get(..error.head_len()).unwrap_or_default();
                    let request = Message::parse(Bytes::copy_from_slice(head), &Limits::default())
                        .ok()
                        .and_then(Message::into_request);
                    let status = request.map(|_| refusal.status().as_u16());
                    return self.rejected(name, status, refusal, place(refusal), bytes);
                }
            };
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn rejected(
        &mut self,
        name: &dyn Display,
        status: Option<u16>,
        why: &dyn Display,
        place: Option<usize>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let status = status.map_or_else(|| "discard".to_owned(), |status| status.to_string());
        writeln!(self.out, "{name}\treject\t{status}\t{why}")?;
        if let Some(offset) = place.filter(|&offset| self.carets && offset < bytes.len()) {
            let (line, column) = line_around(bytes, offset);
            writeln!(self.out, "    {line}\n    {:column$}^", "")?;
        }
        Ok(())
    }
}

/// Where to point; what is missing has no place.
fn place(refusal: &Refusal) -> Option<usize> {
    (refusal.kind() != RefusalKind::Missing).then(|| refusal.offset())
}

/// What is shown of a line before the place at fault, and behind it: it must not wrap.
const BEFORE: usize = 50;
const BEHIND: usize = 40;

/// The line that holds the byte at `offset`, printable and cut to what fits a terminal, and the
/// column of that byte in it.
fn line_around(bytes: &[u8], offset: usize) -> (String, usize) {
    let (before, after) = bytes.split_at(offset.min(bytes.len()));
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let before = printable(before.get(start..).unwrap_or_default());
    let after = after.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let after = printable(after.strip_suffix(b"\r").unwrap_or(after));
    let mut line = String::new();
    let mut column = before.len();
    if column > BEFORE {
        line.push('…');
        line.extend(before.iter().skip(column - BEFORE));
        column = BEFORE + 1;
    } else {
        line.extend(before);
    }
    line.extend(after.iter().take(BEHIND));
    if after.len() > BEHIND {
        line.push('…');
    }
    (line, column)
}

/// One column a character: what might move the caret or the cursor, or be wider or narrower, is a
/// dot.
fn printable(bytes: &[u8]) -> Vec<char> {
    let narrow = |c: char| matches!(c, ' '..='~' | '\u{a1}'..='\u{24f}' | '\u{384}'..='\u{482}');
    let shown = |c: char| if narrow(c) && c != '\u{ad}' { c } else { '·' };
    String::from_utf8_lossy(bytes).chars().map(shown).collect()
}
