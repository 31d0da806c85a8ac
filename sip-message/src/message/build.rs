//! Builders: a message is written straight into its one buffer, its slots as it goes.

use alloc::boxed::Box;

use bytes::{BufMut, Bytes, BytesMut};

use super::edit::{check_raw, put_number, put_odd_lines, write_line};
use super::headers::{HeaderField, Headers, OVERLAID, Slot};
use super::parse::Version;
use super::routing::CORE_FIELDS;
use super::{Request, RequestParts, Response, ResponseParts};
use crate::header_name::Id;
use crate::{BuildError, CSeq, Header, HeaderName, Method, StatusCode, Uri, scan};

/// Makes a [`Request`]: start line, header fields in the order given, then Max-Forwards if there is
/// none, Content-Type if there is a body, and Content-Length.
///
/// ```
/// use sip_message::{Method, HeaderName, Request, Uri};
///
/// let uri = Uri::parse(b"sip:bob@example.com").unwrap();
/// let request = Request::builder(Method::Options, &uri)
///     .raw(HeaderName::From, "<sip:alice@example.com>;tag=88sja8x")
///     .raw(HeaderName::To, "<sip:bob@example.com>")
///     .raw(HeaderName::CallId, "a84b4c76e66710")
///     .raw(HeaderName::CSeq, "63104 OPTIONS")
///     .build()
///     .unwrap();
/// assert!(request.to_bytes().ends_with(b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
/// ```
#[must_use = "a builder makes nothing until it is built"]
pub struct RequestBuilder {
    parts: Box<RequestParts>,
    draft: Draft,
}

/// Makes a [`Response`]: status line, header fields in the order given, Content-Type if there is a
/// body, and Content-Length.
///
/// ```
/// use sip_message::{Limits, Message, Response, StatusCode};
///
/// let invite = b"INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
///     From: <sip:a@h>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 7\r\nCSeq: 1 INVITE\r\n\r\n";
/// let invite = Message::parse(invite[..].into(), &Limits::default()).unwrap();
/// let response = Response::to_request(&invite.into_request().unwrap(), StatusCode::RINGING)
///     .to_tag("a6c85cf")
///     .build()
///     .unwrap();
/// assert_eq!(response.headers().to_tag(), Some("a6c85cf"));
/// ```
#[must_use = "a builder makes nothing until it is built"]
pub struct ResponseBuilder {
    parts: Box<ResponseParts>,
    draft: Draft,
}

/// What both builders write into, small for a builder is handed on with each call.
struct Draft {
    /// The message up to here; the slots are in the message's parts already.
    text: BytesMut,
    body: Option<Box<Body>>,
    /// The first thing that was wrong, said when the message is built.
    error: Option<Box<BuildError>>,
}

struct Body {
    content_type: Bytes,
    bytes: Bytes,
}

/// Room for what is commonly added to the header fields of a response.
const ROOM: usize = 256;
const TAG: &[u8] = b";tag=";
/// Room for a request without its body.
const REQUEST_ROOM: usize = 640;

impl RequestBuilder {
    pub(super) fn new(method: Method, uri: &Uri<'_>) -> Self {
        let mut text = BytesMut::with_capacity(REQUEST_ROOM);
        text.put_slice(method.as_str().as_bytes());
        text.put_u8(b' ');
        let from = text.len();
        text.put_slice(uri.as_bytes());
        let to = text.len();
        text.put_slice(b" SIP/2.0\r\n");
        let parts = Box::new(RequestParts {
            method,
            headers: Headers::new(Bytes::new(), text.len()),
            uri: (scan::place(from), scan::place(to)),
            version: Version::SIP_2_0,
            problem: None,
        });
        let mut draft = Draft::new(text);
        if uri.as_bytes().is_empty() || uri.as_bytes().iter().any(|&b| scan::is(b, scan::LWS)) {
            draft.fail(BuildError::RequestUri);
        }
        Self { parts, draft }
    }

    /// The request.
    ///
    /// # Errors
    /// The first argument that makes no message; or From, To, Call-ID or CSeq is missing, or
    /// repeated, or CSeq names another method (RFC 3261 §8.1.1). Via is the transaction's to add.
    pub fn build(mut self) -> Result<Request, BuildError> {
        // RFC 3261 §8.1.1.6: "A UAC MUST insert a Max-Forwards header field into each request it
        // originates with a value that SHOULD be 70."
        if !self.parts.headers.contains(HeaderName::MaxForwards) {
            self.draft.line(&mut self.parts.headers, HeaderName::MaxForwards, |out| {
                out.put_slice(b"70");
            });
        }
        self.draft.finish(&mut self.parts.headers)?;
        let headers = &self.parts.headers;
        // RFC 3261 §8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the
        // following header fields: To, From, CSeq, Call-ID, Max-Forwards, and Via"
        for name in [HeaderName::To, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            if !headers.contains(name) {
                return Err(BuildError::Missing(name));
            }
        }
        match headers.cseq() {
            Some(cseq) if cseq.is(&self.parts.method) => {}
            Some(_) => return Err(BuildError::MethodMismatch),
            None => {
                headers.get::<CSeq>()?;
                return Err(BuildError::Missing(HeaderName::CSeq));
            }
        }
        Ok(Request { parts: self.parts })
    }
}

impl ResponseBuilder {
    pub(super) fn new(status: StatusCode) -> Self {
        Self::with_capacity(status, ROOM)
    }

    fn with_capacity(status: StatusCode, capacity: usize) -> Self {
        let mut text = BytesMut::with_capacity(capacity);
        text.put_slice(b"SIP/2.0 ");
        put_number(&mut text, usize::from(status.as_u16()));
        text.put_u8(b' ');
        let from = text.len();
        text.put_slice(status.reason().as_bytes());
        let to = text.len();
        text.put_slice(b"\r\n");
        let parts = Box::new(ResponseParts {
            status,
            headers: Headers::new(Bytes::new(), text.len()),
            reason: (scan::place(from), scan::place(to)),
            version: Version::SIP_2_0,
            problem: None,
        });
        Self { parts, draft: Draft::new(text) }
    }

    pub(super) fn to_request(request: &Request, status: StatusCode) -> Self {
        let headers = request.headers();
        // RFC 3261 §8.2.6.1: "When a 100 (Trying) response is generated, any Timestamp header field
        // present in the request MUST be copied into this 100 (Trying) response."
        let timestamp = status == StatusCode::TRYING;
        // RFC 3261 §8.2.6.2: "The From field of the response MUST equal the From header field of
        // the request. The Call-ID header field of the response MUST equal the Call-ID header field
        // of the request. The CSeq header field of the response MUST equal the CSeq field of the
        // request. The Via header field values in the response MUST equal the Via header field
        // values in the request and MUST maintain the same ordering."
        let copied = |index: usize, id: Id| match id {
            Id::Via => true,
            // Of a field that may stand once, the first: a 400 may answer a request with two.
            Id::From | Id::To | Id::CallId | Id::CSeq => headers.core.first(id) == Some(index),
            Id::Timestamp => timestamp,
            _ => false,
        };
        let slots = headers.slots.iter().enumerate();
        let room = slots.filter(|(index, slot)| copied(*index, slot.id)).map(|(_, slot)| slot.end);
        let room = room.fold(ROOM, |room, line| room.saturating_add(line as usize));
        let mut builder = Self::with_capacity(status, room);
        builder.draft.copy(&mut builder.parts.headers, headers, copied);
        builder
    }

    /// Gives To a tag, if there is a To without one (RFC 3261 §8.2.6.2).
    pub fn to_tag(mut self, tag: &str) -> Self {
        if !scan::all(tag.as_bytes(), scan::TOKEN) {
            self.draft.fail(BuildError::Tag);
            return self;
        }
        self.draft.add_to_tag(&mut self.parts.headers, tag.as_bytes());
        self
    }

    /// Puts another reason phrase in place of the standard one.
    pub fn reason(mut self, reason: &str) -> Self {
        if reason.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
            self.draft.fail(BuildError::LineBreak);
            return self;
        }
        let (from, to) = self.parts.reason;
        let (from, to) = (from as usize, to as usize);
        self.draft.replace(&mut self.parts.headers, from, to, reason.as_bytes());
        self.parts.reason.1 = scan::place(from.saturating_add(reason.len()));
        self
    }

    /// Copies every header field of that name from the request, as it came; such as Record-Route
    /// (RFC 3261 §12.1.1).
    pub fn copy(mut self, request: &super::Request, name: HeaderName<'_>) -> Self {
        if name.id() == Id::ContentLength {
            self.draft.fail(BuildError::ContentLength);
            return self;
        }
        let headers = request.headers();
        self.draft.copy(&mut self.parts.headers, headers, |index, id| {
            let slot = headers.slots.get(index).filter(|_| id == name.id());
            slot.is_some_and(|slot| headers.field(slot).is(name))
        });
        self
    }

    /// The response.
    ///
    /// # Errors
    /// The first argument that makes no message, or a header field that stands twice and may not.
    pub fn build(mut self) -> Result<Response, BuildError> {
        self.draft.finish(&mut self.parts.headers)?;
        Ok(Response { parts: self.parts })
    }
}

macro_rules! shared {
    ($builder:ident) => {
        impl $builder {
            /// Adds a header field.
            pub fn header<'h>(mut self, header: &impl Header<'h>) -> Self {
                self.draft.header(&mut self.parts.headers, header);
                self
            }

            /// Adds a header field with a raw value.
            ///
            /// A name that is no token, Content-Length, and a value with a CR or LF are errors that
            /// [`build`](Self::build) says.
            pub fn raw(mut self, name: HeaderName<'_>, value: impl AsRef<[u8]>) -> Self {
                self.draft.raw(&mut self.parts.headers, name, value.as_ref());
                self
            }

            /// Gives the message a body, and the Content-Type that says what it is.
            pub fn body(mut self, content_type: impl AsRef<[u8]>, body: impl Into<Bytes>) -> Self {
                let content_type = Bytes::copy_from_slice(content_type.as_ref());
                self.draft.body = Some(Box::new(Body { content_type, bytes: body.into() }));
                self
            }
        }

        impl core::fmt::Debug for $builder {
            /// What is written so far.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($builder), "({})"), self.draft.text.escape_ascii())
            }
        }
    };
}

shared!(RequestBuilder);
shared!(ResponseBuilder);

impl Draft {
    fn new(text: BytesMut) -> Self {
        Self { text, body: None, error: None }
    }

    #[cold]
    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert_with(|| Box::new(error));
    }

    fn header<'h, H: Header<'h>>(&mut self, headers: &mut Headers, header: &H) {
        if H::NAME.id() == Id::ContentLength {
            return self.fail(BuildError::ContentLength);
        }
        self.line(headers, H::NAME, |out| header.write(out));
    }

    fn raw(&mut self, headers: &mut Headers, name: HeaderName<'_>, value: &[u8]) {
        match check_raw(name, value) {
            Ok(()) => self.line(headers, name, |out| out.put_slice(value)),
            Err(error) => self.fail(error),
        }
    }

    fn line(
        &mut self,
        headers: &mut Headers,
        name: HeaderName<'_>,
        value: impl FnOnce(&mut BytesMut),
    ) {
        let slot = write_line(&mut self.text, name, value);
        headers.core.note(headers.slots.len(), slot.id);
        headers.slots.push(slot);
    }

    /// Copies the header fields that are wanted as they came, and what is known of them; those that
    /// stand side by side as one slice.
    fn copy(&mut self, headers: &mut Headers, from: &Headers, wanted: impl Fn(usize, Id) -> bool) {
        if !from.crlf {
            return self.copy_odd_lines(headers, from, wanted);
        }
        let (mut start, mut end) = (0, 0);
        let mut copy_at = self.text.len();
        for (index, slot) in from.slots.iter().enumerate() {
            if !wanted(index, slot.id) {
                continue;
            }
            if slot.start != end {
                from.put_run(&mut self.text, start, end);
                copy_at = self.text.len();
                start = slot.start;
            }
            end = slot.start.saturating_add(slot.end);
            let place = (slot.start.saturating_sub(start) as usize).saturating_add(copy_at);
            let copy = Slot { start: scan::place(place), ..*slot };
            headers.core.copy(headers.slots.len(), slot.id, (index, &from.core));
            headers.slots.push(copy);
        }
        from.put_run(&mut self.text, start, end);
    }

    /// The same where lines do not all end in CRLF: each field is written with CRLFs and read anew.
    #[cold]
    fn copy_odd_lines(
        &mut self,
        headers: &mut Headers,
        from: &Headers,
        wanted: impl Fn(usize, Id) -> bool,
    ) {
        for (index, field) in from.iter().enumerate() {
            if !wanted(index, field.slot.id) {
                continue;
            }
            let start = self.text.len();
            put_odd_lines(&mut self.text, field.line());
            let line = self.text.get(start..).unwrap_or_default();
            match HeaderField::read(line, scan::place(start)) {
                Some(copy) => {
                    headers.core.note(headers.slots.len(), copy.slot.id);
                    headers.slots.push(copy.slot);
                }
                // Never: what was a header field still is one.
                None => self.text.truncate(start),
            }
        }
    }

    /// Adds a tag to a To that has none.
    fn add_to_tag(&mut self, headers: &mut Headers, tag: &[u8]) {
        let Some(index) = headers.core.first(Id::To) else { return };
        let Some(slot) = headers.slots.get_mut(index) else { return };
        let to = HeaderField::new(&self.text, *slot);
        if headers.core.tag(&to).len != 0 {
            return;
        }
        let value = usize::from(slot.value).saturating_add(to.value().len());
        let at = (slot.start as usize).saturating_add(value);
        let added = TAG.len().saturating_add(tag.len());
        slot.end = slot.end.saturating_add(scan::place(added));
        let slot = *slot;
        for other in headers.slots.iter_mut().filter(|other| other.start as usize >= at) {
            other.start = other.start.saturating_add(scan::place(added));
        }
        // The tag is put at the end, and what belongs behind it turned to there.
        self.text.put_slice(TAG);
        self.text.put_slice(tag);
        if let Some(tail) = self.text.get_mut(at..) {
            tail.rotate_right(added);
        }
        headers.core.add_to_tag(&HeaderField::new(&self.text, slot), tag.len());
    }

    /// Puts `new` in place of what stands between two places, and moves the slots behind it.
    fn replace(&mut self, headers: &mut Headers, from: usize, to: usize, new: &[u8]) {
        let tail = self.text.get(to..).map(Bytes::copy_from_slice).unwrap_or_default();
        self.text.truncate(from);
        self.text.put_slice(new);
        let moved = self.text.len();
        self.text.put_slice(&tail);
        let shift =
            |start: u32| scan::place((start as usize).saturating_sub(to).saturating_add(moved));
        for slot in headers.slots.iter_mut().filter(|slot| slot.start as usize >= to) {
            slot.start = shift(slot.start);
        }
        if headers.fields_start as usize >= to {
            headers.fields_start = shift(headers.fields_start);
        }
    }

    fn finish(mut self, headers: &mut Headers) -> Result<(), BuildError> {
        let body = self.body.take();
        if let Some(body) = &body {
            self.raw(headers, HeaderName::ContentType, &body.content_type);
        }
        let body = body.map(|body| body.bytes).unwrap_or_default();
        // RFC 3261 §20.14: "If no body is present in a message, then the Content-Length header
        // field value MUST be set to zero."
        self.line(headers, HeaderName::ContentLength, |out| put_number(out, body.len()));
        self.text.put_slice(b"\r\n");
        let body_start = self.text.len();
        self.text.put_slice(&body);
        if let Some(error) = self.error {
            return Err(*error);
        }
        if headers.slots.len() >= usize::from(u16::MAX) || self.text.len() >= OVERLAID as usize {
            return Err(BuildError::TooLarge);
        }
        headers.bytes = self.text.freeze();
        headers.body_start = scan::place(body_start);
        let once = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
            HeaderName::MaxForwards,
            HeaderName::ContentType,
        ];
        debug_assert!(once.iter().all(|name| name.id().index() < CORE_FIELDS));
        match once.into_iter().find(|name| headers.core.is_repeated(name.id())) {
            Some(name) => Err(BuildError::Repeated(name)),
            None => Ok(()),
        }
    }
}
