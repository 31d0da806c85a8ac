//! Parts of messages: the media type `message/sipfrag` (RFC 3420).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::edit::put_odd_lines;
use super::headers::Headers;
use super::parse::Problem;
use super::{Fields, Message, Request, Response};
use crate::{
    CSeq, CallId, Contact, From, HeaderName, Limits, MaxForwards, Method, ParseError,
    ParseErrorKind, RecordRoute, Refusal, RefusalKind, Route, StatusCode, To, Via,
};

/// A part of a message, as a body of type `message/sipfrag` has it: a start line, header fields and
/// a body, each of which may be missing (RFC 3420 §2).
///
/// ```
/// use sip_message::{Limits, SipFrag, StatusCode};
///
/// // What the NOTIFY of a REFER says (RFC 3515 §2.4.5).
/// let body = SipFrag::status_line(StatusCode::RINGING);
/// assert_eq!(&body[..], b"SIP/2.0 180 Ringing\r\n");
/// let fragment = SipFrag::parse(body, &Limits::default())?;
/// assert_eq!(fragment.status(), Some(StatusCode::RINGING));
/// # Ok::<(), sip_message::ParseError>(())
/// ```
///
/// Reading is as liberal as that of a [`Message`]; [`validate`](Self::validate) is strict.
#[derive(Clone, Debug)]
pub struct SipFrag {
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    /// With a start line.
    Message(Message),
    /// Without one.
    Fields(Box<Headers>, Option<Box<Refusal>>),
}

impl SipFrag {
    /// The media type.
    pub const CONTENT_TYPE: &str = "message/sipfrag";

    /// Reads a fragment that is all of `bytes`.
    ///
    /// # Errors
    /// The first line is neither a start line nor a header field.
    // RFC 3420 §2: "sipfrag = [ start-line ] *message-header [ CRLF [ message-body ] ]"
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        let error = match Message::parse(bytes.clone(), limits) {
            Ok(message) => return Ok(Self { part: Part::Message(message) }),
            Err(error) => error,
        };
        if error.kind() == ParseErrorKind::TooLarge {
            return Err(error);
        }
        if !matches!(Fields::new(&bytes).next(), Some(Ok(_))) {
            return Err(error);
        }
        let mut headers = Box::new(Headers::new(bytes, 0));
        let mut problem = Problem(None);
        headers.read(limits, &mut problem);
        Ok(Self { part: Part::Fields(headers, problem.0) })
    }

    /// The fragment that is a status line alone: what a NOTIFY says of the response to a referred
    /// request (RFC 3515 §2.4.5).
    #[must_use]
    pub fn status_line(status: StatusCode) -> Bytes {
        alloc::format!("SIP/2.0 {} {}\r\n", status.as_u16(), status.reason()).into()
    }

    /// The request or response, if the fragment has a start line; it may lack any header field.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.part {
            Part::Message(message) => Some(message),
            Part::Fields(..) => None,
        }
    }

    /// The status code, if the fragment begins with a status line.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.message()? {
            Message::Response(response) => Some(response.status()),
            Message::Request(_) => None,
        }
    }

    /// The method, if the fragment begins with a request line.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        match self.message()? {
            Message::Request(request) => Some(request.method()),
            Message::Response(_) => None,
        }
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match &self.part {
            Part::Message(message) => message.headers(),
            Part::Fields(headers, _) => headers,
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.headers().body()
    }

    /// Whether this is what could be left of a valid message: what there is must be right, nothing
    /// need be there.
    ///
    /// # Errors
    /// The first thing that is wrong.
    // RFC 3420 §2: "A valid message/sipfrag part is one that could be obtained by starting with some
    // valid SIP message and deleting any of the following:"
    pub fn validate(&self) -> Result<(), Refusal> {
        let problem = match &self.part {
            Part::Message(message) => message.check_start_line()?,
            Part::Fields(_, problem) => problem.as_deref(),
        };
        let headers = self.headers();
        match problem {
            // A fragment may end anywhere, and its body may be gone while Content-Length is not.
            Some(problem) if problem.kind == RefusalKind::HeadNotEnded => {}
            Some(problem)
                if problem.kind == RefusalKind::BodyTooShort && headers.body().is_empty() => {}
            Some(problem) => return Err(*problem),
            None => {}
        }
        for name in [
            HeaderName::To,
            HeaderName::From,
            HeaderName::CallId,
            HeaderName::CSeq,
            HeaderName::MaxForwards,
            HeaderName::ContentType,
        ] {
            headers.once(name)?;
        }
        headers.validate_each::<To<'_>>()?;
        headers.validate_each::<From<'_>>()?;
        headers.validate_each::<CallId<'_>>()?;
        headers.validate_each::<CSeq>()?;
        headers.validate_each::<Via<'_>>()?;
        headers.validate_each::<MaxForwards>()?;
        headers.validate_each::<Contact<'_>>()?;
        headers.validate_each::<Route<'_>>()?;
        headers.validate_each::<RecordRoute<'_>>()?;
        match (self.method(), headers.cseq()) {
            (Some(method), Some(cseq)) if !cseq.is(method) => {
                let at = headers.offset(HeaderName::CSeq);
                return Err(Refusal::of(HeaderName::CSeq, RefusalKind::MethodMismatch, at));
            }
            _ => {}
        }
        // RFC 3420 §2: "If the message/sipfrag part contains a body, it MUST also contain the
        // appropriate header fields describing that body"
        if !headers.body().is_empty() && !headers.contains(HeaderName::ContentType) {
            let at = headers.body_start as usize;
            return Err(Refusal::of(HeaderName::ContentType, RefusalKind::Missing, at));
        }
        Ok(())
    }
}

/// Makes a `message/sipfrag` out of a message: its start line, and what is asked for besides.
///
/// ```
/// use sip_message::{HeaderName, Limits, Message};
///
/// let response = b"SIP/2.0 400 Bad Request\r\nCall-ID: secret\r\n\
///     Warning: 399 atlanta.com Your Event header field was malformed\r\n\r\n";
/// let response = Message::parse(response[..].into(), &Limits::default()).unwrap();
/// let fragment = response.into_response().unwrap().fragment().header(HeaderName::Warning).build();
/// assert_eq!(
///     &fragment[..],
///     b"SIP/2.0 400 Bad Request\r\n\
///       Warning: 399 atlanta.com Your Event header field was malformed\r\n"
/// );
/// ```
///
/// RFC 3420 §4: what is not needed is better left out, for whom it is sent to may have no right to
/// see it.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until it is built"]
pub struct FragmentBuilder<'a> {
    headers: &'a Headers,
    start_line: Option<BytesMut>,
    names: Vec<HeaderName<'a>>,
    all: bool,
    body: bool,
}

impl Request {
    /// A builder of a `message/sipfrag` of this request; its start line alone, to begin with.
    pub fn fragment(&self) -> FragmentBuilder<'_> {
        FragmentBuilder::new(self.headers(), |out| self.write_start_line(out))
    }
}

impl Response {
    /// A builder of a `message/sipfrag` of this response; its start line alone, to begin with.
    pub fn fragment(&self) -> FragmentBuilder<'_> {
        FragmentBuilder::new(self.headers(), |out| self.write_start_line(out))
    }
}

impl<'a> FragmentBuilder<'a> {
    fn new(headers: &'a Headers, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut line = BytesMut::new();
        write(&mut line);
        Self { headers, start_line: Some(line), names: Vec::new(), all: false, body: false }
    }

    /// Without the start line.
    pub fn without_start_line(mut self) -> Self {
        self.start_line = None;
        self
    }

    /// With every header field of that name.
    pub fn header(mut self, name: HeaderName<'a>) -> Self {
        self.names.push(name);
        self
    }

    /// With all header fields.
    pub fn all_headers(mut self) -> Self {
        self.all = true;
        self
    }

    /// With the body and the header fields that describe it.
    pub fn body(mut self) -> Self {
        self.body = true;
        self
    }

    /// The fragment: what was asked for, in the order and the form in which it came.
    #[must_use]
    pub fn build(self) -> Bytes {
        let mut out = self.start_line.unwrap_or_default();
        for field in self.headers.iter() {
            let described = self.body && DESCRIBES.contains(&field.name());
            if self.all || described || self.names.contains(&field.name()) {
                put_odd_lines(&mut out, field.line());
            }
        }
        if self.body {
            out.put_slice(b"\r\n");
            out.put_slice(self.headers.body());
        }
        out.freeze()
    }
}

/// What says of a body what it is (RFC 3261 §7.4).
const DESCRIBES: [HeaderName<'_>; 6] = [
    HeaderName::ContentType,
    HeaderName::ContentLength,
    HeaderName::ContentEncoding,
    HeaderName::ContentLanguage,
    HeaderName::ContentDisposition,
    HeaderName::MimeVersion,
];
