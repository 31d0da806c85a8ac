//! Requests and responses: one buffer each, read and edited in place (RFC 3261 §7).

use alloc::boxed::Box;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Content, Header, HeaderError, HeaderName, Limits, Method, ParseError, Refusal, StatusCode, Uri,
    UriError,
};

mod build;
mod edit;
mod fields;
mod fragment;
mod frame;
mod from_uri;
mod headers;
mod parse;
mod routing;
#[cfg(test)]
mod tests;
mod validate;

pub use build::{RequestBuilder, ResponseBuilder};
pub(crate) use edit::check_raw;
pub(crate) use fields::{Fields, write_field};
pub use fragment::{FragmentBuilder, SipFrag};
pub use frame::{Frame, FrameError, KeepAlive, StreamFramer};
pub use headers::{CSeqRef, HeaderField, Headers};
use parse::Version;

/// A request or a response.
///
/// Equal are messages that are the same bytes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Reads the one message of a datagram, or a message that [`StreamFramer`] framed.
    ///
    /// Reading is liberal: whatever has a start line becomes a message, and what is wrong with it
    /// is said by [`Request::validate`] or [`Response::validate`], which see. Line ends before the
    /// message and bytes after its body are not part of it (RFC 3261 §7.5, §18.3). The message is
    /// one allocation beside its buffer, and another only if the method is unknown, or there are
    /// more than 32 header fields, or something is wrong.
    ///
    /// # Errors
    /// The bytes are no SIP message, so that nothing is owed to them.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        parse::parse(bytes, limits)
    }

    /// The request, if it is one.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        match self {
            Self::Request(request) => Some(request),
            Self::Response(_) => None,
        }
    }

    /// The response, if it is one.
    #[must_use]
    pub fn into_response(self) -> Option<Response> {
        match self {
            Self::Response(response) => Some(response),
            Self::Request(_) => None,
        }
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.parts.headers,
            Self::Response(response) => &response.parts.headers,
        }
    }

    /// The header fields, to be edited.
    #[must_use]
    pub fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Self::Request(request) => &mut request.parts.headers,
            Self::Response(response) => &mut response.parts.headers,
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.headers().body()
    }

    /// The body with what the header fields say of it: its parts, its session description.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        self.headers().content()
    }

    /// See [`Request::validate`] and [`Response::validate`].
    ///
    /// # Errors
    /// What is wrong with the message, and the status owed if it is a request.
    pub fn validate(&self) -> Result<(), Refusal> {
        match self {
            Self::Request(request) => request.validate(),
            Self::Response(response) => response.validate(),
        }
    }

    /// The message as it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

/// A request (RFC 3261 §7.1).
///
/// It is as large as a pointer, so that it costs little to hand on.
#[derive(Clone)]
pub struct Request {
    parts: Box<RequestParts>,
}

#[derive(Clone)]
struct RequestParts {
    method: Method,
    headers: Headers,
    /// Where the Request-URI is in the buffer, unless it was edited.
    uri: (u32, u32),
    version: Version,
    /// What reading it found wrong.
    problem: Option<Box<Refusal>>,
}

impl Request {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The Request-URI.
    ///
    /// # Errors
    /// It is none; [`validate`](Self::validate) refuses such a request with 400.
    pub fn uri(&self) -> Result<Uri<'_>, UriError> {
        Uri::parse(self.uri_bytes())
    }

    /// The Request-URI as it came.
    #[must_use]
    pub fn uri_bytes(&self) -> &[u8] {
        let edited = self.parts.headers.overlay.as_ref().and_then(|overlay| overlay.uri());
        let (from, to) = self.parts.uri;
        edited
            .or_else(|| self.parts.headers.bytes.get(from as usize..to as usize))
            .unwrap_or_default()
    }

    /// Puts another Request-URI in place (RFC 3261 §16.6 step 2).
    pub fn set_uri(&mut self, uri: &Uri<'_>) {
        self.parts.headers.overlay_mut().set_uri(uri.as_bytes());
    }

    /// The SIP version's major and minor number: 2 and 0, if the request is any good.
    #[must_use]
    pub fn version(&self) -> (u16, u16) {
        (self.parts.version.major, self.parts.version.minor)
    }

    /// A builder of a request of that method to that Request-URI.
    pub fn builder(method: Method, uri: &Uri<'_>) -> RequestBuilder {
        RequestBuilder::new(method, uri)
    }

    /// The bytes of the start line, its line end included.
    fn write_start_line(&self, out: &mut BytesMut) {
        match self.parts.headers.overlay.as_ref().and_then(|overlay| overlay.uri()) {
            Some(uri) => {
                out.put_slice(self.parts.method.as_str().as_bytes());
                out.put_u8(b' ');
                out.put_slice(uri);
                out.put_slice(b" SIP/2.0\r\n");
            }
            None => self.parts.headers.write_original_start_line(out),
        }
    }

    fn start_line_len(&self) -> usize {
        match self.parts.headers.overlay.as_ref().and_then(|overlay| overlay.uri()) {
            Some(uri) => self
                .method()
                .as_str()
                .len()
                .saturating_add(uri.len())
                .saturating_add("  SIP/2.0\r\n".len()),
            None => self.parts.headers.original_start_line_len(),
        }
    }
}

/// A response (RFC 3261 §7.2).
///
/// It is as large as a pointer, so that it costs little to hand on.
#[derive(Clone)]
pub struct Response {
    parts: Box<ResponseParts>,
}

#[derive(Clone)]
struct ResponseParts {
    status: StatusCode,
    headers: Headers,
    /// Where the reason phrase is in the buffer.
    reason: (u32, u32),
    version: Version,
    /// What reading it found wrong.
    problem: Option<Box<Refusal>>,
}

impl Response {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// The reason phrase as it came; it may be empty, and it may be anything (RFC 4475 §3.1.1.12).
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        let (from, to) = self.parts.reason;
        self.parts.headers.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    /// A builder of a response from nothing; see [`to_request`](Self::to_request) for an answer.
    pub fn builder(status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::new(status)
    }

    /// A builder of the response to a request: with its Via header fields in order, its From, To,
    /// Call-ID and CSeq, and for a 100 its Timestamp, all as they came (RFC 3261 §8.2.6).
    pub fn to_request(request: &Request, status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::to_request(request, status)
    }

    fn write_start_line(&self, out: &mut BytesMut) {
        self.parts.headers.write_original_start_line(out);
    }

    fn start_line_len(&self) -> usize {
        self.parts.headers.original_start_line_len()
    }
}

macro_rules! shared {
    ($message:ident) => {
        impl $message {
            /// The header fields.
            #[must_use]
            pub fn headers(&self) -> &Headers {
                &self.parts.headers
            }

            /// The header fields, to be edited.
            #[must_use]
            pub fn headers_mut(&mut self) -> &mut Headers {
                &mut self.parts.headers
            }

            /// See [`Headers::get`].
            ///
            /// # Errors
            /// The first value is not what the RFC says it must be.
            pub fn get<'a, H: Header<'a>>(&'a self) -> Result<Option<H>, HeaderError> {
                self.parts.headers.get()
            }

            /// See [`Headers::get_all`].
            pub fn get_all<'a, H: Header<'a>>(
                &'a self,
            ) -> impl Iterator<Item = Result<H, HeaderError>> + use<'a, H> {
                self.parts.headers.get_all()
            }

            /// See [`Headers::raw`].
            #[must_use]
            pub fn raw(&self, name: HeaderName<'_>) -> Option<&[u8]> {
                self.parts.headers.raw(name)
            }

            /// The body; empty if there is none.
            #[must_use]
            pub fn body(&self) -> &[u8] {
                self.parts.headers.body()
            }

            /// The body with what the header fields say of it: its parts, its session description.
            #[must_use]
            pub fn content(&self) -> Content<'_> {
                self.parts.headers.content()
            }

            /// The body, sharing the message's buffer. What lives long should copy it instead, for
            /// it keeps the whole message in memory.
            #[must_use]
            pub fn body_bytes(&self) -> Bytes {
                self.parts.headers.body_bytes()
            }

            /// Puts another body in place and sets Content-Length. Its Content-Type is the
            /// caller's to set.
            pub fn set_body(&mut self, body: impl Into<Bytes>) {
                self.parts.headers.set_body(body.into());
            }

            /// The message as it goes on the wire: the very bytes that came or were built, if
            /// nothing was edited, and a copy otherwise.
            #[must_use]
            pub fn to_bytes(&self) -> Bytes {
                if self.parts.headers.overlay.is_none() {
                    return self.parts.headers.bytes.clone();
                }
                let mut out = BytesMut::with_capacity(self.wire_len());
                self.write_to(&mut out);
                out.freeze()
            }

            /// Writes the message as it goes on the wire.
            pub fn write_to(&self, out: &mut BytesMut) {
                if self.parts.headers.overlay.is_none() {
                    out.put_slice(&self.parts.headers.bytes);
                    return;
                }
                self.write_start_line(out);
                self.parts.headers.write_to(out);
            }

            /// How many bytes [`to_bytes`](Self::to_bytes) has.
            #[must_use]
            pub fn wire_len(&self) -> usize {
                self.parts.headers.wire_len(self.start_line_len())
            }
        }

        impl PartialEq for $message {
            fn eq(&self, other: &Self) -> bool {
                self.to_bytes() == other.to_bytes()
            }
        }

        impl Eq for $message {}

        impl core::fmt::Debug for $message {
            /// The start line and the header fields; of the body only its length.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let mut start = BytesMut::new();
                self.write_start_line(&mut start);
                writeln!(f, "{}", start.trim_ascii().escape_ascii())?;
                for field in self.parts.headers.iter() {
                    writeln!(f, "{field:?}")?;
                }
                write!(f, "({} bytes of body)", self.body().len())
            }
        }
    };
}

shared!(Request);
shared!(Response);
