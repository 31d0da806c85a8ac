//! Edits of a message: new lines go to an overlay's text, slots point into it, and what was not
//! touched is copied as slices when the message is printed.

use alloc::boxed::Box;

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::{Headers, OVERLAID, Slot};
use crate::header_name::Id;
use crate::{BuildError, Header, HeaderName, scan};

/// What was edited in a message.
#[derive(Debug, Clone)]
pub(super) struct Overlay {
    /// The lines that were written, and the Request-URI.
    pub(super) text: BytesMut,
    uri: Option<(usize, usize)>,
    body: Option<Bytes>,
}

/// Room for what a proxy writes: a Via, Max-Forwards and a Request-URI.
const ROOM: usize = 256;

impl Overlay {
    fn new() -> Self {
        Self { text: BytesMut::with_capacity(ROOM), uri: None, body: None }
    }

    pub(super) fn uri(&self) -> Option<&[u8]> {
        self.uri.and_then(|(from, to)| self.text.get(from..to))
    }

    pub(super) fn set_uri(&mut self, uri: &[u8]) {
        let from = self.text.len();
        self.text.put_slice(uri);
        self.uri = Some((from, self.text.len()));
    }
}

/// Writes one header field line at the end of `text`; the slot's start is its place in `text`.
///
/// A CR or LF in the value becomes a space: the only ones that a typed value can hold are those of
/// a fold, and a fold means a space (RFC 3261 §7.3.1).
pub(super) fn write_line(
    text: &mut BytesMut,
    name: HeaderName<'_>,
    value: impl FnOnce(&mut BytesMut),
) -> Slot {
    let start = text.len();
    text.put_slice(name.as_str().as_bytes());
    text.put_slice(b": ");
    let from = text.len();
    value(text);
    if let Some(value) = text.get_mut(from..)
        && memchr::memchr2(b'\r', b'\n', value).is_some()
    {
        for byte in value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
    }
    text.put_slice(b"\r\n");
    let relative = |at: usize| at.saturating_sub(start);
    Slot {
        start: scan::place(start),
        end: scan::place(relative(text.len())),
        // A name is at most 255 bytes long: a standard one, or one that `raw_name` passed.
        value: scan::short(relative(from)),
        name_len: u8::try_from(name.as_str().len()).unwrap_or(u8::MAX),
        id: name.id(),
    }
}

/// A name and a value that can be written as they are.
pub(crate) fn check_raw(name: HeaderName<'_>, value: &[u8]) -> Result<(), BuildError> {
    let text = name.as_str().as_bytes();
    if name.id() == Id::ContentLength || Id::lookup(text) == Id::ContentLength {
        return Err(BuildError::ContentLength);
    }
    if !scan::all(text, scan::TOKEN) || text.len() > usize::from(u8::MAX) {
        return Err(BuildError::Name);
    }
    match memchr::memchr2(b'\r', b'\n', value) {
        Some(_) => Err(BuildError::LineBreak),
        None => Ok(()),
    }
}

/// Whether a header field may hold several values that [`Headers::pop_front`] takes one by one.
fn is_list(id: Id) -> bool {
    matches!(
        id,
        Id::Via
            | Id::Route
            | Id::RecordRoute
            | Id::Contact
            | Id::Path
            | Id::ServiceRoute
            | Id::Supported
            | Id::Require
            | Id::ProxyRequire
            | Id::HistoryInfo
            | Id::Diversion
            | Id::PAssertedIdentity
    )
}

/// Edits. Content-Length is the message's own: it follows the body, and what is done to it here has
/// no effect.
impl Headers {
    /// Puts the header field in place of all of its name, where the first of them stood; or at the
    /// end, if there is none.
    pub fn set<'h, H: Header<'h>>(&mut self, header: &H) {
        self.set_line(H::NAME, |out| header.write(out));
    }

    /// Puts a raw value in place of all header fields of that name, where the first of them stood;
    /// or at the end, if there is none.
    ///
    /// # Errors
    /// The name is no token, or is Content-Length; or the value holds a CR or LF.
    pub fn set_raw(&mut self, name: HeaderName<'_>, value: &[u8]) -> Result<(), BuildError> {
        check_raw(name, value)?;
        self.set_line(name, |out| out.put_slice(value));
        Ok(())
    }

    /// Puts the header field after the last of its name; or at the end, if there is none.
    pub fn push<'h, H: Header<'h>>(&mut self, header: &H) {
        self.push_line(H::NAME, |out| header.write(out));
    }

    /// Puts a raw value after the last header field of that name; or at the end, if there is none.
    ///
    /// # Errors
    /// The name is no token, or is Content-Length; or the value holds a CR or LF.
    pub fn push_raw(&mut self, name: HeaderName<'_>, value: &[u8]) -> Result<(), BuildError> {
        check_raw(name, value)?;
        self.push_line(name, |out| out.put_slice(value));
        Ok(())
    }

    /// Puts the header field before the first of its name; or at the top, if there is none.
    pub fn push_front<'h, H: Header<'h>>(&mut self, header: &H) {
        if H::NAME.id() != Id::ContentLength {
            let at = self.position(H::NAME).unwrap_or(0);
            let slot = self.write_slot(H::NAME, |out| header.write(out));
            self.insert(at, slot);
        }
    }

    /// Takes off the first value of that name: of a list such as Via or Route, one value of the
    /// line (RFC 3261 §7.3.1); otherwise the line. Says whether there was one.
    pub fn pop_front(&mut self, name: HeaderName<'_>) -> bool {
        let Some(at) = self.position(name).filter(|_| name.id() != Id::ContentLength) else {
            return false;
        };
        let value = self.slots.get(at).map(|slot| self.field(slot).value()).unwrap_or_default();
        let comma = if is_list(name.id()) { scan::first_comma(value) } else { None };
        let rest = comma.and_then(|comma| value.get(comma.saturating_add(1)..));
        match rest.map(|rest| scan::trim(rest).0).filter(|rest| !rest.is_empty()) {
            Some(rest) => {
                let rest = Bytes::copy_from_slice(rest);
                let slot = self.write_slot(name, |out| out.put_slice(&rest));
                self.replace(at, slot);
            }
            None => self.remove_at(at),
        }
        true
    }

    /// Takes off every header field of that name, and says how many there were.
    pub fn remove(&mut self, name: HeaderName<'_>) -> usize {
        if name.id() == Id::ContentLength {
            return 0;
        }
        let mut count = 0usize;
        while let Some(at) = self.position(name) {
            self.remove_at(at);
            count = count.saturating_add(1);
        }
        count
    }

    /// Adds the Content-Length that a message on a stream must have, if there is none (RFC 3261
    /// §16.6 step 9, §18.3).
    pub fn ensure_content_length(&mut self) {
        if self.core.first(Id::ContentLength).is_none() {
            self.write_content_length();
        }
    }

    pub(crate) fn body(&self) -> &[u8] {
        match self.overlay.as_ref().and_then(|overlay| overlay.body.as_ref()) {
            Some(body) => body,
            None => self.bytes.get(self.body_start as usize..).unwrap_or_default(),
        }
    }

    pub(super) fn body_bytes(&self) -> Bytes {
        match self.overlay.as_ref().and_then(|overlay| overlay.body.as_ref()) {
            Some(body) => body.clone(),
            // Never beyond the end: the body begins in the message or at its end.
            None => self.bytes.slice((self.body_start as usize).min(self.bytes.len())..),
        }
    }

    pub(super) fn set_body(&mut self, body: Bytes) {
        self.overlay_mut().body = Some(body);
        self.write_content_length();
    }

    fn write_content_length(&mut self) {
        let length = self.body().len();
        let slot = self.write_slot(HeaderName::ContentLength, |out| put_number(out, length));
        match self.core.first(Id::ContentLength) {
            Some(at) => {
                self.replace(at, slot);
                self.keep_first(HeaderName::ContentLength, at);
            }
            None => self.insert(self.slots.len(), slot),
        }
    }

    pub(super) fn overlay_mut(&mut self) -> &mut Overlay {
        self.overlay.get_or_insert_with(|| Box::new(Overlay::new()))
    }

    fn set_line(&mut self, name: HeaderName<'_>, value: impl FnOnce(&mut BytesMut)) {
        match self.position(name) {
            _ if name.id() == Id::ContentLength => {}
            Some(at) => {
                let slot = self.write_slot(name, value);
                self.replace(at, slot);
                self.keep_first(name, at);
            }
            None => self.push_line(name, value),
        }
    }

    fn push_line(&mut self, name: HeaderName<'_>, value: impl FnOnce(&mut BytesMut)) {
        if name.id() == Id::ContentLength {
            return;
        }
        let last = self.slots.iter().rposition(|slot| self.field(slot).is(name));
        let at = last.map_or(self.end(), |last| last.saturating_add(1));
        let slot = self.write_slot(name, value);
        self.insert(at, slot);
    }

    /// Where a new header field goes: at the end, but before a Content-Length that stands last.
    fn end(&self) -> usize {
        let last = self.slots.last().filter(|slot| slot.id == Id::ContentLength);
        self.slots.len().saturating_sub(usize::from(last.is_some()))
    }

    fn write_slot(&mut self, name: HeaderName<'_>, value: impl FnOnce(&mut BytesMut)) -> Slot {
        let mut slot = write_line(&mut self.overlay_mut().text, name, value);
        slot.start |= OVERLAID;
        slot
    }

    /// Takes off every header field of that name but the one at `at`, which is the first.
    fn keep_first(&mut self, name: HeaderName<'_>, at: usize) {
        if self.is_once(name.id()) {
            return;
        }
        let mut index = self.slots.len();
        while index > at.saturating_add(1) {
            index = index.saturating_sub(1);
            if self.slots.get(index).is_some_and(|slot| self.field(slot).is(name)) {
                self.remove_at(index);
            }
        }
    }

    fn insert(&mut self, at: usize, slot: Slot) {
        self.slots.insert(at.min(self.slots.len()), slot);
        self.core.changed(slot.id, &self.slots);
    }

    fn replace(&mut self, at: usize, slot: Slot) {
        if let Some(old) = self.slots.get_mut(at) {
            *old = slot;
            self.core.changed(slot.id, &self.slots);
        }
    }

    fn remove_at(&mut self, at: usize) {
        self.overlay_mut();
        let slot = self.slots.remove(at);
        self.core.changed(slot.id, &self.slots);
    }
}

/// Printing.
impl Headers {
    pub(super) fn write_original_start_line(&self, out: &mut BytesMut) {
        self.put_lines(out, self.original_start_line());
    }

    /// Writes the header fields, the empty line and the body: lines that stand side by side in
    /// their buffer as one slice.
    pub(super) fn write_to(&self, out: &mut BytesMut) {
        let (mut start, mut end) = (0, 0);
        for slot in &self.slots {
            if slot.start != end {
                self.put_run(out, start, end);
                start = slot.start;
            }
            end = slot.start.saturating_add(slot.end);
        }
        self.put_run(out, start, end);
        out.put_slice(b"\r\n");
        out.put_slice(self.body());
    }

    /// Writes lines that stand side by side.
    pub(super) fn put_run(&self, out: &mut BytesMut, start: u32, end: u32) {
        let text = match (start & OVERLAID, &self.overlay) {
            (0, _) => &self.bytes[..],
            (_, Some(overlay)) => &overlay.text[..],
            (_, None) => &[],
        };
        let range = (start & !OVERLAID) as usize..(end & !OVERLAID) as usize;
        self.put_lines(out, text.get(range).unwrap_or_default());
    }

    // RFC 3261 §7: "The start-line, each message-header line, and the empty line MUST be terminated
    // by a carriage-return line-feed sequence (CRLF)."
    fn put_lines(&self, out: &mut BytesMut, lines: &[u8]) {
        if self.crlf {
            out.extend_from_slice(lines);
        } else {
            put_odd_lines(out, lines);
        }
    }

    /// How many bytes the message has on the wire, if its start line has `start_line`.
    pub(super) fn wire_len(&self, start_line: usize) -> usize {
        if self.overlay.is_none() {
            return self.bytes.len();
        }
        let empty_line = 2usize;
        let fields = match self.crlf {
            true => self.slots.iter().map(|slot| slot.end as usize).sum::<usize>(),
            false => self.iter().map(|field| self.lines_len(field.line())).sum(),
        };
        start_line
            .saturating_add(fields)
            .saturating_add(empty_line)
            .saturating_add(self.body().len())
    }

    pub(super) fn original_start_line_len(&self) -> usize {
        self.lines_len(self.original_start_line())
    }

    fn original_start_line(&self) -> &[u8] {
        self.bytes.get(..self.fields_start as usize).unwrap_or_default()
    }

    /// The length of lines as [`put_lines`](Self::put_lines) writes them.
    fn lines_len(&self, lines: &[u8]) -> usize {
        if self.crlf {
            return lines.len();
        }
        odd_lines(lines).fold(0, |len, line| len.saturating_add(line.len()).saturating_add(2))
    }
}

/// Writes lines of which one may end in a bare LF, folds too, or without a line end at the end of a
/// cut message: each gets its CRLF.
#[cold]
pub(super) fn put_odd_lines(out: &mut BytesMut, lines: &[u8]) {
    for line in odd_lines(lines) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}

/// Lines without their line ends, whatever these are.
fn odd_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// Writes a number in decimal.
pub(super) fn put_number(out: &mut BytesMut, number: usize) {
    // 2^64 has twenty digits.
    let mut digits = [b'0'; 20];
    let (mut left, mut first) = (number, digits.len());
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(left % 10).unwrap_or(0));
        first = at;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}
