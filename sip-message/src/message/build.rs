//! Builders: a message is written straight into its one buffer, its slots as it goes.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::edit::{check_raw, put_number, write_line};
use super::headers::{CORE_FIELDS, Core, Headers, OVERLAID, Slot};
use super::parse::Version;
use super::{Request, Response};
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
#[derive(Debug)]
#[must_use = "a builder makes nothing until it is built"]
pub struct RequestBuilder {
    method: Method,
    uri: (u32, u32),
    fields: Fields,
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
#[derive(Debug)]
#[must_use = "a builder makes nothing until it is built"]
pub struct ResponseBuilder {
    status: StatusCode,
    reason: (usize, usize),
    fields: Fields,
}

/// What both builders write into.
#[derive(Debug)]
struct Fields {
    text: BytesMut,
    slots: SmallVec<[Slot; 32]>,
    core: Core,
    fields_start: usize,
    content_type: Option<Bytes>,
    body: Bytes,
    /// The first thing that was wrong, said when the message is built.
    error: Option<BuildError>,
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
        let mut fields = Fields::new(text);
        if uri.as_bytes().is_empty() || uri.as_bytes().iter().any(|&b| scan::is(b, scan::LWS)) {
            fields.fail(BuildError::RequestUri);
        }
        Self { method, uri: (from as u32, to as u32), fields }
    }

    /// The request.
    ///
    /// # Errors
    /// The first argument that makes no message; or From, To, Call-ID or CSeq is missing, or
    /// repeated, or CSeq names another method (RFC 3261 §8.1.1). Via is the transaction's to add.
    pub fn build(mut self) -> Result<Request, BuildError> {
        // RFC 3261 §8.1.1.6: "A UAC MUST insert a Max-Forwards header field into each request it
        // originates with a value that SHOULD be 70."
        if !self.fields.slots.iter().any(|slot| slot.id == Id::MaxForwards) {
            self.fields.line(HeaderName::MaxForwards, |out| out.put_slice(b"70"));
        }
        let headers = self.fields.finish()?;
        // RFC 3261 §8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the
        // following header fields: To, From, CSeq, Call-ID, Max-Forwards, and Via"
        for name in [HeaderName::To, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            if !headers.contains(name) {
                return Err(BuildError::Missing(name));
            }
        }
        match headers.cseq() {
            Some(cseq) if cseq.is(&self.method) => {}
            Some(_) => return Err(BuildError::MethodMismatch),
            None => {
                headers.get::<CSeq>()?;
                return Err(BuildError::Missing(HeaderName::CSeq));
            }
        }
        let Self { method, uri, .. } = self;
        Ok(Request { method, headers, uri, version: Version::SIP_2_0, problem: None })
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
        Self { status, reason: (from, to), fields: Fields::new(text) }
    }

    pub(super) fn to_request(request: &Request, status: StatusCode) -> Self {
        let headers = &request.headers;
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
        builder.fields.copy(headers, copied);
        builder
    }

    /// Gives To a tag, if there is a To without one (RFC 3261 §8.2.6.2).
    pub fn to_tag(mut self, tag: &str) -> Self {
        if !scan::all(tag.as_bytes(), scan::TOKEN) {
            self.fields.fail(BuildError::Tag);
            return self;
        }
        self.fields.add_to_tag(tag.as_bytes());
        self
    }

    /// Puts another reason phrase in place of the standard one.
    pub fn reason(mut self, reason: &str) -> Self {
        if reason.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
            self.fields.fail(BuildError::LineBreak);
            return self;
        }
        let (from, to) = self.reason;
        self.fields.replace(from, to, &[reason.as_bytes()]);
        self.reason.1 = from.saturating_add(reason.len());
        self
    }

    /// Copies every header field of that name from the request, as it came; such as Record-Route
    /// (RFC 3261 §12.1.1).
    pub fn copy(mut self, request: &super::Request, name: HeaderName<'_>) -> Self {
        if name.id() == Id::ContentLength {
            self.fields.fail(BuildError::ContentLength);
            return self;
        }
        let headers = &request.headers;
        self.fields.copy(headers, |index, id| {
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
        let (from, to) = self.reason;
        let headers = self.fields.finish()?;
        let reason = (from as u32, to as u32);
        let version = Version::SIP_2_0;
        Ok(Response { status: self.status, headers, reason, version, problem: None })
    }
}

macro_rules! shared {
    ($builder:ident) => {
        impl $builder {
            /// Adds a header field.
            pub fn header<'h>(mut self, header: &impl Header<'h>) -> Self {
                self.fields.header(header);
                self
            }

            /// Adds a header field with a raw value.
            ///
            /// A name that is no token, Content-Length, and a value with a CR or LF are errors that
            /// [`build`](Self::build) says.
            pub fn raw(mut self, name: HeaderName<'_>, value: impl AsRef<[u8]>) -> Self {
                self.fields.raw(name, value.as_ref());
                self
            }

            /// Gives the message a body, and the Content-Type that says what it is.
            pub fn body(mut self, content_type: impl AsRef<[u8]>, body: impl Into<Bytes>) -> Self {
                self.fields.content_type = Some(Bytes::copy_from_slice(content_type.as_ref()));
                self.fields.body = body.into();
                self
            }
        }
    };
}

shared!(RequestBuilder);
shared!(ResponseBuilder);

impl Fields {
    fn new(text: BytesMut) -> Self {
        let fields_start = text.len();
        Self {
            text,
            slots: SmallVec::new(),
            core: Core::default(),
            fields_start,
            content_type: None,
            body: Bytes::new(),
            error: None,
        }
    }

    #[cold]
    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }

    fn header<'h, H: Header<'h>>(&mut self, header: &H) {
        if H::NAME.id() == Id::ContentLength {
            return self.fail(BuildError::ContentLength);
        }
        self.line(H::NAME, |out| header.write(out));
    }

    fn raw(&mut self, name: HeaderName<'_>, value: &[u8]) {
        match check_raw(name, value) {
            Ok(()) => self.line(name, |out| out.put_slice(value)),
            Err(error) => self.fail(error),
        }
    }

    fn line(&mut self, name: HeaderName<'_>, value: impl FnOnce(&mut BytesMut)) {
        let slot = write_line(&mut self.text, name, value);
        let line = self.text.get(slot.start as usize..).unwrap_or_default();
        self.core.read(self.slots.len(), &slot, line);
        self.slots.push(slot);
    }

    /// Copies the header fields that are wanted as they came, and what is known of them; those that
    /// stand side by side as one slice.
    fn copy(&mut self, headers: &Headers, wanted: impl Fn(usize, Id) -> bool) {
        let (mut start, mut end) = (0, 0);
        let mut copy_at = self.text.len();
        for (index, slot) in headers.slots.iter().enumerate() {
            if !wanted(index, slot.id) {
                continue;
            }
            if slot.start != end {
                self.put_run(headers, start, end);
                copy_at = self.text.len();
                start = slot.start;
            }
            end = slot.start.saturating_add(slot.end);
            let place = (slot.start.saturating_sub(start) as usize).saturating_add(copy_at);
            let copy = Slot { start: place as u32, ..*slot };
            self.core.copy(self.slots.len(), (index, headers), slot);
            self.slots.push(copy);
        }
        self.put_run(headers, start, end);
    }

    fn put_run(&mut self, headers: &Headers, start: u32, end: u32) {
        let added = headers.put_run(&mut self.text, start, end);
        if let Some(last) = self.slots.last_mut() {
            last.end = last.end.saturating_add(added);
        }
    }

    /// Adds a tag to a To that has none.
    fn add_to_tag(&mut self, tag: &[u8]) {
        let Some(index) = self.core.first(Id::To).filter(|_| !self.core.has_to_tag()) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let line = self.text.get(slot.start as usize..).unwrap_or_default();
        let line = line.get(..slot.end as usize).unwrap_or_default();
        let value = usize::from(slot.value).saturating_add(slot.value_of(line).len());
        let at = (slot.start as usize).saturating_add(value);
        let added = TAG.len().saturating_add(tag.len());
        slot.end = slot.end.saturating_add(added as u32);
        let slot = *slot;
        for other in self.slots.iter_mut().filter(|other| other.start as usize >= at) {
            other.start = other.start.saturating_add(added as u32);
        }
        self.text.put_bytes(0, added);
        if let Some(tail) = self.text.get_mut(at..) {
            tail.copy_within(..tail.len().saturating_sub(added), added);
            let new = TAG.iter().chain(tag);
            tail.iter_mut().zip(new).for_each(|(to, from)| *to = *from);
        }
        let line = self.text.get(slot.start as usize..).unwrap_or_default();
        let line = line.get(..slot.end as usize).unwrap_or_default();
        self.core.add_to_tag(index, &slot, line, tag.len());
    }

    /// Puts `new` in place of what stands between two places, and moves the slots behind it.
    fn replace(&mut self, from: usize, to: usize, new: &[&[u8]]) {
        let tail = self.text.get(to..).map(Bytes::copy_from_slice).unwrap_or_default();
        self.text.truncate(from);
        new.iter().for_each(|part| self.text.put_slice(part));
        let moved = self.text.len();
        self.text.put_slice(&tail);
        let shift = |start: u32| (start as usize).saturating_sub(to).saturating_add(moved) as u32;
        for slot in self.slots.iter_mut().filter(|slot| slot.start as usize >= to) {
            slot.start = shift(slot.start);
        }
        if self.fields_start >= to {
            self.fields_start = shift(self.fields_start as u32) as usize;
        }
    }

    fn finish(&mut self) -> Result<Headers, BuildError> {
        if let Some(content_type) = self.content_type.take() {
            self.raw(HeaderName::ContentType, &content_type);
        }
        // RFC 3261 §20.14: "If no body is present in a message, then the Content-Length header
        // field value MUST be set to zero."
        let length = self.body.len();
        self.line(HeaderName::ContentLength, |out| put_number(out, length));
        self.text.put_slice(b"\r\n");
        let body_start = self.text.len();
        self.text.put_slice(&self.body);
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.slots.len() >= usize::from(u16::MAX) || self.text.len() >= OVERLAID as usize {
            return Err(BuildError::TooLarge);
        }
        let headers = Headers {
            bytes: core::mem::take(&mut self.text).freeze(),
            slots: core::mem::take(&mut self.slots),
            fields_start: self.fields_start as u32,
            body_start: body_start as u32,
            core: core::mem::take(&mut self.core),
            overlay: None,
        };
        let once = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
            HeaderName::MaxForwards,
            HeaderName::ContentType,
        ];
        debug_assert!(once.iter().all(|name| name.id().index() < CORE_FIELDS));
        match once.into_iter().find(|name| headers.is_repeated(name.id())) {
            Some(name) => Err(BuildError::Repeated(name)),
            None => Ok(headers),
        }
    }
}
