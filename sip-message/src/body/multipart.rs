//! `multipart` bodies, part by part (RFC 2046 §5.1).

use super::{BodyError, BodyErrorKind, Content, Described};
use crate::message::Fields;

/// The longest boundary (RFC 2046 §5.1.1).
pub(super) const MAX_BOUNDARY: usize = 70;
/// What stands before it where it parts.
const DASHES: usize = 2;

/// The parts of a `multipart` body, in order; from [`Content::parts`].
///
/// A part ends before the line end before the next boundary: that is the boundary's. A line that
/// begins with the boundary and goes on is none (so that `b` may hold a nested `b2`); white space
/// may follow it. Line ends are CRLF, unless the first boundary's line ends with a bare LF: then LF
/// will do all through the body.
///
/// A part that cannot be read is an error, after which the next one follows. A body that ends before
/// its last boundary gives what is there as its last part, and then
/// [`BodyErrorKind::Unterminated`].
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    text: &'a [u8],
    /// Where `text` begins in the body of the message.
    at: usize,
    boundary: Boundary,
    /// Whether a bare LF ends a line.
    bare_lf: bool,
    preamble: &'a [u8],
    next: Next,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// A part begins here.
    Part(usize),
    /// The body ended within the last part.
    Unterminated,
    /// After the last boundary, what follows begins here.
    End(usize),
}

/// `--boundary`
#[derive(Clone, Copy)]
struct Boundary {
    text: [u8; MAX_BOUNDARY + DASHES],
    len: u8,
}

/// A line that parts.
struct Delimiter {
    /// Where the part before it ends.
    start: usize,
    /// Where the line after it begins.
    end: usize,
    /// Whether it is the last one.
    last: bool,
}

impl<'a> Parts<'a> {
    /// Of `text`, which stands at an offset in the body of the message.
    pub(super) fn new(boundary: &str, text: &'a [u8], at: usize) -> Result<Self, BodyError> {
        let error = |kind| BodyError::new(kind, at);
        let boundary = Boundary::new(boundary).ok_or_else(|| error(BodyErrorKind::Boundary))?;
        // Until the first boundary is found, either line end will do.
        let mut parts =
            Self { text, at, boundary, bare_lf: true, preamble: text, next: Next::End(0) };
        match parts.delimiter(0) {
            Some(Delimiter { last: true, .. }) | None => Err(error(BodyErrorKind::NoPart)),
            Some(first) => {
                let line = text.get(..first.end).unwrap_or_default();
                parts.bare_lf = !line.ends_with(b"\r\n");
                parts.preamble = text.get(..first.start).unwrap_or_default();
                parts.next = Next::Part(first.end);
                Ok(parts)
            }
        }
    }

    /// What stands before the first boundary: for no one to act upon.
    #[must_use]
    pub fn preamble(&self) -> &'a [u8] {
        self.preamble
    }

    /// What stands after the last boundary, once all parts have been read: for no one to act upon.
    #[must_use]
    pub fn epilogue(&self) -> Option<&'a [u8]> {
        match self.next {
            Next::End(at) => self.text.get(at..),
            Next::Part(_) | Next::Unterminated => None,
        }
    }

    /// The first line at `from` or later that parts.
    fn delimiter(&self, from: usize) -> Option<Delimiter> {
        let dashes = self.boundary.text.get(..usize::from(self.boundary.len))?;
        let mut from = from;
        loop {
            let rest = self.text.get(from..)?;
            let found = from.saturating_add(memchr::memmem::find(rest, dashes)?);
            from = found.saturating_add(dashes.len());
            let (before, after) = (self.text.get(..found)?, self.text.get(from..)?);
            let start = match before {
                [] => Some(0),
                [.., b'\r', b'\n'] => found.checked_sub(2),
                [.., b'\n'] if self.bare_lf => found.checked_sub(1),
                _ => None,
            };
            let Some(start) = start else { continue };
            let (last, after) = match after.strip_prefix(b"--") {
                Some(after) => (true, after),
                None => (false, after),
            };
            let blank = after.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count();
            let end = match after.get(blank..)? {
                [b'\r', b'\n', ..] => 2usize,
                [b'\n', ..] if self.bare_lf => 1,
                [] if last => 0,
                _ => continue,
            };
            let tail = after.len().saturating_sub(blank).saturating_sub(end);
            return Some(Delimiter { start, end: self.text.len().saturating_sub(tail), last });
        }
    }

    /// The part that `text` between two boundaries is.
    fn part(&self, start: usize, end: usize) -> Result<Content<'a>, BodyError> {
        let text = self.text.get(start..end).unwrap_or_default();
        let at = self.at.saturating_add(start);
        let mut fields = Fields::new(text);
        if let Some(bad) = fields.by_ref().find_map(Result::err) {
            return Err(BodyError::new(BodyErrorKind::FieldLine, at.saturating_add(bad)));
        }
        let bytes = fields.rest();
        let head = text.len().saturating_sub(bytes.len());
        let described = Described::Part(text.get(..head).unwrap_or_default());
        Ok(Content { described, bytes, at: at.saturating_add(head) })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Content<'a>, BodyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = match self.next {
            Next::Part(start) => start,
            Next::Unterminated => {
                let end = self.text.len();
                self.next = Next::End(end);
                let at = self.at.saturating_add(end);
                return Some(Err(BodyError::new(BodyErrorKind::Unterminated, at)));
            }
            Next::End(_) => return None,
        };
        // The line end before a part may be the one before the next boundary as well.
        let after = self.delimiter(start);
        let end = match after {
            Some(Delimiter { last: true, end, .. }) => Next::End(end),
            Some(Delimiter { end, .. }) => Next::Part(end),
            None => Next::Unterminated,
        };
        self.next = end;
        let end = after.map_or(self.text.len(), |delimiter| delimiter.start.max(start));
        Some(self.part(start, end))
    }
}

impl core::iter::FusedIterator for Parts<'_> {}

impl Boundary {
    fn new(boundary: &str) -> Option<Self> {
        let bytes = boundary.as_bytes();
        if bytes.is_empty() || bytes.ends_with(b" ") || bytes.iter().any(u8::is_ascii_control) {
            return None;
        }
        let mut text = [b'-'; MAX_BOUNDARY + DASHES];
        let len = bytes.len().checked_add(DASHES)?;
        text.get_mut(DASHES..len)?.copy_from_slice(bytes);
        Some(Self { text, len: u8::try_from(len).ok()? })
    }
}

impl core::fmt::Debug for Boundary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = self.text.get(..usize::from(self.len)).unwrap_or_default();
        write!(f, "{}", text.escape_ascii())
    }
}
