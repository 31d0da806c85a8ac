//! Reading a message off its buffer: liberal, in one pass, without allocation.
//!
//! Whatever can be split into a start line and header fields becomes a message. What is wrong with
//! it is noted ([`Refusal`]) and left to `validate`, so that an answer can be built from the rest.

use alloc::boxed::Box;

use bytes::Bytes;
use memchr::memchr;

use super::headers::{Headers, Slot, number};
use super::{Message, Request, RequestParts, Response, ResponseParts};
use crate::header_name::Id;
use crate::{
    HeaderName, Limits, Method, ParseError, ParseErrorKind, Refusal, RefusalKind, StatusCode, scan,
};

/// Reads the one message of a datagram, or one message that was framed off a stream.
pub(super) fn parse(mut bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    // RFC 3261 §7.5: "Implementations processing SIP messages over stream-oriented transports MUST
    // ignore any CRLF appearing before the start-line [H4.1]."
    let lead = bytes.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
    bytes::Buf::advance(&mut bytes, lead);
    let refuse = |kind, at: usize| Err(ParseError { kind, offset: at.saturating_add(lead) });
    if bytes.is_empty() {
        return refuse(ParseErrorKind::Empty, 0);
    }
    if u32::try_from(bytes.len()).map_or(true, |len| len >= super::headers::OVERLAID) {
        return refuse(ParseErrorKind::TooLarge, 0);
    }
    let (line, fields_start) = match memchr(b'\n', &bytes) {
        Some(end) => (bytes.get(..end).unwrap_or_default(), end.saturating_add(1)),
        None => (&bytes[..], bytes.len()),
    };
    let start = match StartLine::read(line.strip_suffix(b"\r").unwrap_or(line)) {
        Ok(start) => start,
        Err((kind, at)) => return refuse(kind, at),
    };
    let mut problem = Problem(None);
    if bytes.len() > limits.message_bytes {
        problem.note(Refusal::new(
            StatusCode::MESSAGE_TOO_LARGE,
            RefusalKind::MessageTooLarge,
            limits.message_bytes,
        ));
    }
    Ok(match start {
        StartLine::Request { method, uri, version, spaced } => {
            let (from, to) = uri;
            let mut parts = Box::new(RequestParts {
                method,
                headers: Headers::new(bytes, fields_start),
                uri: (scan::place(from), scan::place(to)),
                version,
                problem: None,
            });
            parts.headers.read(limits, &mut problem);
            if to.saturating_sub(from) > limits.uri_bytes {
                problem.note_first(Refusal::new(
                    StatusCode::REQUEST_URI_TOO_LONG,
                    RefusalKind::RequestUriTooLong,
                    from,
                ));
            }
            if let Some(at) = spaced {
                problem.note_first(space(at));
            }
            parts.problem = problem.0;
            Message::Request(Request { parts })
        }
        StartLine::Response { status, reason, version, spaced } => {
            let mut parts = Box::new(ResponseParts {
                status,
                headers: Headers::new(bytes, fields_start),
                reason: (scan::place(reason.0), scan::place(reason.1)),
                version,
                problem: None,
            });
            parts.headers.read(limits, &mut problem);
            if let Some(at) = spaced {
                problem.note_first(space(at));
            }
            parts.problem = problem.0;
            Message::Response(Response { parts })
        }
    })
}

/// The first thing found wrong; most messages have none.
pub(super) struct Problem(pub(super) Option<Box<Refusal>>);

impl Problem {
    #[cold]
    fn note(&mut self, refusal: Refusal) {
        self.0.get_or_insert_with(|| Box::new(refusal));
    }

    /// For what stands before everything noted so far.
    #[cold]
    fn note_first(&mut self, refusal: Refusal) {
        self.0 = Some(Box::new(refusal));
    }
}

fn space(at: usize) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, RefusalKind::StartLineSpace, at)
}

/// A start line as far as it can be told what it is: places are offsets into the line.
pub(super) enum StartLine {
    Request { method: Method, uri: (usize, usize), version: Version, spaced: Option<usize> },
    Response { status: StatusCode, reason: (usize, usize), version: Version, spaced: Option<usize> },
}

/// The major and minor number of a SIP-Version (RFC 3261 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u16,
    pub(crate) minor: u16,
}

impl Version {
    /// The only one that this crate speaks.
    pub(crate) const SIP_2_0: Self = Self { major: 2, minor: 0 };

    fn read(text: &[u8]) -> Option<Self> {
        // RFC 3261 §7.1: "The SIP-Version string is case-insensitive, but implementations MUST
        // send upper-case."
        let (sip, numbers) = text.split_at_checked(4)?;
        if numbers == b"2.0" && sip == b"SIP/" {
            return Some(Self::SIP_2_0);
        }
        let dot = memchr(b'.', numbers)?;
        let part = |digits: &[u8]| number(digits).map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        let (major, minor) =
            (part(numbers.get(..dot)?)?, part(numbers.get(dot.checked_add(1)?..)?)?);
        sip.eq_ignore_ascii_case(b"SIP/").then_some(Self { major, minor })
    }
}

impl StartLine {
    pub(super) fn read(line: &[u8]) -> Result<Self, (ParseErrorKind, usize)> {
        let first_end = line.iter().position(|&byte| byte == b' ');
        let first_end = first_end.ok_or((ParseErrorKind::StartLine, 0))?;
        let first = line.get(..first_end).unwrap_or_default();
        // No method has a slash.
        if first.contains(&b'/')
            && let Some(version) = Version::read(first)
        {
            return Self::read_status(line, first_end, version);
        }
        let method = Method::from_bytes(first).ok_or((ParseErrorKind::StartLine, 0))?;
        Self::read_request(line, method, first_end).ok_or((ParseErrorKind::StartLine, first_end))
    }

    // RFC 3261 §7.1: "Request-Line  =  Method SP Request-URI SP SIP-Version CRLF"
    fn read_request(line: &[u8], method: Method, method_end: usize) -> Option<Self> {
        let from = method_end.checked_add(1)?;
        if let Some(uri) = line.get(from..).and_then(|rest| rest.strip_suffix(b" SIP/2.0"))
            && !uri.is_empty()
            && memchr::memchr2(b' ', b'\t', uri).is_none()
        {
            let uri = (from, from.saturating_add(uri.len()));
            return Some(Self::Request { method, uri, version: Version::SIP_2_0, spaced: None });
        }
        Self::read_odd_request(line, method, method_end)
    }

    /// A Request-Line with more white space than it should have, or of another version.
    #[cold]
    fn read_odd_request(line: &[u8], method: Method, method_end: usize) -> Option<Self> {
        let blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let end = line.iter().rposition(|&byte| !blank(byte))?.checked_add(1)?;
        let space = line.get(..end)?.iter().rposition(|&byte| blank(byte))?;
        let version = Version::read(line.get(space.checked_add(1)?..end)?)?;
        // What stands between the first and the last white space is the Request-URI; more white
        // space than the two single spaces is noted.
        let middle = line.get(method_end..space.checked_add(1)?)?;
        let (from, to) = match middle.iter().position(|&byte| !blank(byte)) {
            Some(from) => (from, middle.iter().rposition(|&byte| !blank(byte))?.checked_add(1)?),
            None => (0, 0),
        };
        let uri = (method_end.checked_add(from)?, method_end.checked_add(to)?);
        let inside = line.get(uri.0..uri.1)?.iter().position(|&byte| blank(byte));
        let spaced = if uri.0 != method_end.checked_add(1)? {
            Some(method_end)
        } else if let Some(inside) = inside {
            Some(uri.0.checked_add(inside)?)
        } else if uri.1 != space {
            Some(uri.1)
        } else {
            (end != line.len()).then_some(end)
        };
        Some(Self::Request { method, uri, version, spaced })
    }

    // RFC 3261 §7.2: "Status-Line  =  SIP-Version SP Status-Code SP Reason-Phrase CRLF"
    fn read_status(
        line: &[u8],
        version_end: usize,
        version: Version,
    ) -> Result<Self, (ParseErrorKind, usize)> {
        let rest = line.get(version_end..).unwrap_or_default();
        let blanks = rest.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count();
        let from = version_end.saturating_add(blanks);
        let code = line.get(from..).unwrap_or_default();
        let digits = code.iter().take_while(|&&byte| byte.is_ascii_digit()).count();
        let status = match code.get(..digits) {
            Some(code @ [_, _, _]) => {
                number(code).and_then(|n| u16::try_from(n).ok()).and_then(StatusCode::new)
            }
            _ => None,
        };
        let status = status.ok_or((ParseErrorKind::StatusCode, from))?;
        // An empty reason phrase may come without the space that belongs before it.
        let at = from.saturating_add(digits);
        let reason = match line.get(at) {
            Some(b' ') => at.saturating_add(1),
            None => at,
            Some(_) => return Err((ParseErrorKind::StatusCode, from)),
        };
        let spaced = (blanks != 1).then_some(version_end);
        Ok(Self::Response { status, reason: (reason, line.len()), version, spaced })
    }
}

impl Headers {
    /// Splits the head into header fields, and frames the body.
    pub(super) fn read(&mut self, limits: &Limits, problem: &mut Problem) {
        let text = &self.bytes[..];
        let mut length = ContentLength::Absent;
        let mut lines = Lines::new(text, self.fields_start as usize);
        let max_fields = limits.header_fields.min(usize::from(u16::MAX).saturating_sub(1));
        let refuse = |status, kind, at| Refusal::new(status, kind, at);
        let mut count = 0usize;
        let body_start = loop {
            let start = lines.at();
            let line = match lines.next() {
                Line::Field(line) => line,
                Line::HeadEnd => break lines.at(),
                Line::End => {
                    let status = StatusCode::BAD_REQUEST;
                    problem.note(refuse(status, RefusalKind::HeadNotEnded, start));
                    break start;
                }
            };
            if line.len() > limits.header_bytes {
                let status = StatusCode::MESSAGE_TOO_LARGE;
                problem.note(refuse(status, RefusalKind::FieldTooLong, start));
                continue;
            }
            let Some(slot) = Slot::read(line, scan::place(start)) else {
                let status = StatusCode::BAD_REQUEST;
                problem.note(refuse(status, RefusalKind::FieldLine, start));
                continue;
            };
            if count >= max_fields {
                let status = StatusCode::MESSAGE_TOO_LARGE;
                problem.note(refuse(status, RefusalKind::TooManyFields, start));
                // Where the head ends is still to be found, at one look a line.
                continue;
            }
            if slot.id == Id::ContentLength {
                length = length.and(slot.value_of(line), start);
            }
            self.core.note(count, slot.id);
            self.slots.push(slot);
            count = count.wrapping_add(1);
        };
        let start_line = text.get(..self.fields_start as usize).unwrap_or_default();
        self.crlf = lines.crlf && (start_line.is_empty() || start_line.ends_with(b"\r\n"));
        if let Some(at) = lines.bare_cr {
            problem.note(refuse(StatusCode::BAD_REQUEST, RefusalKind::BareCr, at));
        }
        if body_start > limits.head_bytes {
            let status = StatusCode::MESSAGE_TOO_LARGE;
            problem.note(refuse(status, RefusalKind::HeadTooLarge, limits.head_bytes));
        }
        let present = text.len().saturating_sub(body_start);
        let wanted = length.of_body(present, problem);
        // RFC 3261 §18.3: "If there are additional bytes in the transport packet beyond the end of
        // the body, they MUST be discarded."
        if wanted < present {
            self.bytes.truncate(body_start.saturating_add(wanted));
        }
        self.body_start = scan::place(body_start);
    }
}

/// What Content-Length says: one decision for datagrams and streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum ContentLength {
    Absent,
    /// So many bytes, and where the field stands.
    Is(u64, usize),
    Bad(Refusal),
}

impl ContentLength {
    /// Takes in a Content-Length header field that stands at `at`.
    pub(super) fn and(self, value: &[u8], at: usize) -> Self {
        match self {
            Self::Absent => match number(value) {
                Some(length) => Self::Is(length, at),
                None => {
                    let kind = RefusalKind::ContentLength;
                    Self::Bad(Refusal::of(HeaderName::ContentLength, kind, at))
                }
            },
            // Two that are equal are refused as well: who sends one twice cannot be trusted to
            // mean where the message ends.
            Self::Is(..) => {
                Self::Bad(Refusal::of(HeaderName::ContentLength, RefusalKind::Repeated, at))
            }
            Self::Bad(_) => self,
        }
    }

    /// How many bytes of those present are the body's; or more, if not all of it is there.
    // RFC 3261 §18.3: "In the case of message-oriented transports (such as UDP), if the message has
    // a Content-Length header field, the message body is assumed to contain that many bytes."
    fn of_body(self, present: usize, problem: &mut Problem) -> usize {
        match self {
            // RFC 3261 §18.3: "If the message has no Content-Length header field, the message body
            // is assumed to end at the end of the transport packet."
            Self::Absent => present,
            Self::Is(wanted, at) => {
                // RFC 3261 §18.3: "If the transport packet ends before the end of the message body,
                // this is considered an error."
                if wanted > present as u64 {
                    let kind = RefusalKind::BodyTooShort;
                    problem.note(Refusal::of(HeaderName::ContentLength, kind, at));
                }
                usize::try_from(wanted).unwrap_or(present)
            }
            Self::Bad(refusal) => {
                problem.note(refusal);
                present
            }
        }
    }
}

/// The lines of a head, continuation lines joined to what they continue.
pub(super) struct Lines<'a> {
    /// The length of the whole text.
    len: usize,
    /// What was not looked at yet.
    rest: &'a [u8],
    /// Where the first CR is that ends no line.
    bare_cr: Option<usize>,
    /// Whether each line so far ended in CRLF.
    crlf: bool,
}

pub(super) enum Line<'a> {
    /// A header field's line, its line end included.
    Field(&'a [u8]),
    /// The empty line.
    HeadEnd,
    /// The text ends before the empty line.
    End,
}

impl<'a> Lines<'a> {
    /// From a place in `text` on.
    pub(super) fn new(text: &'a [u8], from: usize) -> Self {
        let rest = text.get(from..).unwrap_or_default();
        Self { len: text.len(), rest, bare_cr: None, crlf: true }
    }

    /// Where the next line begins.
    #[inline]
    pub(super) fn at(&self) -> usize {
        // What is left is a part of the whole.
        self.len.wrapping_sub(self.rest.len())
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    // RFC 3261 §7: "The start-line, each message-header line, and the empty line MUST be terminated
    // by a carriage-return line-feed sequence (CRLF)."
    //
    // A bare LF is read as one too, as HTTP allows (RFC 9112 §2.2) and others do; a bare CR is not.
    #[inline]
    pub(super) fn next(&mut self) -> Line<'a> {
        let start = self.rest;
        let mut rest = match start {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => {
                self.rest = after;
                return Line::HeadEnd;
            }
            [] => {
                self.crlf = false;
                return Line::End;
            }
            rest => rest,
        };
        loop {
            let after = match rest.get(scan::until_control(rest)..).unwrap_or_default() {
                [b'\r', b'\n', after @ ..] => after,
                [b'\n', after @ ..] => {
                    self.crlf = false;
                    after
                }
                [b'\r', after @ ..] => {
                    let at = self.len.wrapping_sub(after.len()).wrapping_sub(1);
                    self.bare_cr.get_or_insert(at);
                    rest = after;
                    continue;
                }
                [_, after @ ..] => {
                    rest = after;
                    continue;
                }
                [] => break rest = &[],
            };
            rest = after;
            // RFC 3261 §7.3.1: "Header fields can be extended over multiple lines by preceding each
            // extra line with at least one SP or horizontal tab (HT)."
            if !matches!(rest, [b' ' | b'\t', ..]) {
                break;
            }
        }
        self.rest = rest;
        let len = start.len().wrapping_sub(rest.len());
        Line::Field(start.get(..len).unwrap_or_default())
    }
}
