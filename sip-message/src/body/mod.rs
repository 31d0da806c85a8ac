//! Message bodies and their parts: what each is and is for, `multipart` taken apart and put
//! together (RFC 3261 §7.4, RFC 5621, RFC 2046 §5.1).
//!
//! Everything that is read borrows from the message; nothing is decoded before it is asked for.

mod build;
mod error;
mod multipart;
mod transfer;

use alloc::borrow::Cow;

pub use build::{MultipartBuilder, PartBuilder};
pub use error::{BodyError, BodyErrorKind};
pub use multipart::Parts;
pub use transfer::TransferEncoding;

use crate::message::Fields;
use crate::uri::escape;
use crate::{
    ContentDisposition, ContentType, Header, HeaderError, HeaderField, HeaderName, Headers, Limits,
    Scheme, Uri, scan,
};

/// The body of a message, or a part of one, with the header fields that describe it.
///
/// ```
/// use sip_message::{Limits, Message};
///
/// let message = Message::parse(b"INVITE sip:conf@example.com SIP/2.0\r\n\
///     Content-Type: multipart/mixed;boundary=\"b1\"\r\n\r\n\
///     --b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n\
///     --b1\r\nContent-Type: application/resource-lists+xml\r\n\
///     Content-Disposition: recipient-list\r\n\r\n<?xml version=\"1.0\"?>\r\n\
///     --b1--\r\n"[..].into(), &Limits::default())?;
///
/// let sdp = message.content().session_description(&Limits::default())?.expect("the first part");
/// assert_eq!(sdp.bytes(), b"v=0\r\n");
/// for part in message.content().parts()?.expect("a multipart") {
///     let part = part?;
///     assert!(part.is_disposition("session") || part.is_disposition("recipient-list"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    described: Described<'a>,
    bytes: &'a [u8],
    /// Where `bytes` begins in the body of the message.
    at: usize,
}

/// Where the header fields are that describe a body.
#[derive(Clone, Copy)]
enum Described<'a> {
    Message(&'a Headers),
    /// The lines before the empty line of a part.
    Part(&'a [u8]),
}

impl Headers {
    /// The body with what these header fields say of it.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        Content { described: Described::Message(self), bytes: self.body(), at: 0 }
    }
}

impl<'a> Content<'a> {
    /// The bytes as they came; [`decoded`](Self::decoded) undoes a transfer encoding.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where [`bytes`](Self::bytes) begin in the body of the message.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Whether there is neither a body nor a Content-Type.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.raw(HeaderName::ContentType).is_none()
    }

    /// The header fields of a part; of a message, all of its own.
    pub fn headers(&self) -> impl Iterator<Item = HeaderField<'a>> + use<'a> {
        let (message, part) = match self.described {
            Described::Message(headers) => (Some(headers.iter()), None),
            Described::Part(head) => (None, Some(Fields::new(head).flatten())),
        };
        message.into_iter().flatten().chain(part.into_iter().flatten())
    }

    /// The first header field of that name, as it came.
    #[must_use]
    pub fn raw(&self, name: HeaderName<'_>) -> Option<&'a [u8]> {
        match self.described {
            Described::Message(headers) => headers.raw(name),
            Described::Part(head) => {
                Fields::new(head).flatten().find(|field| field.is(name)).map(|field| field.value())
            }
        }
    }

    /// The first value of that type; `None` if there is no such header field.
    ///
    /// # Errors
    /// The value is not what the RFC says it must be.
    pub fn get<H: Header<'a>>(&self) -> Result<Option<H>, HeaderError> {
        match self.raw(H::NAME) {
            Some(value) if H::LIST => Ok(Some(H::parse_first(value)?.0)),
            Some(value) => Ok(Some(H::parse(value)?)),
            None => Ok(None),
        }
    }

    /// The media type. Without one, a part is plain text (RFC 2046 §5.1), or a message in a
    /// `multipart/digest`.
    ///
    /// # Errors
    /// The Content-Type is malformed.
    pub fn content_type(&self) -> Result<Option<ContentType<'a>>, HeaderError> {
        self.get()
    }

    /// Whether the media type is this, without regard to case.
    #[must_use]
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        matches!(self.content_type(), Ok(Some(found)) if found.is(kind, subtype))
    }

    /// What the body is for: Content-Disposition, or what the media type implies.
    ///
    /// # Errors
    /// The Content-Disposition is malformed.
    pub fn disposition(&self) -> Result<ContentDisposition<'a>, HeaderError> {
        if let Some(disposition) = self.get()? {
            return Ok(disposition);
        }
        // RFC 3261 §20.11: "if the Content-Disposition header field is missing, the server SHOULD
        // assume bodies of Content-Type application/sdp are the disposition "session", while other
        // content types are "render"."
        let implied = if self.is("application", "sdp") { &b"session"[..] } else { b"render" };
        ContentDisposition::parse(implied)
    }

    /// Whether the body is for this, without regard to case; of a malformed disposition it is not
    /// known what it is for.
    #[must_use]
    pub fn is_disposition(&self, disposition_type: &str) -> bool {
        self.disposition().is_ok_and(|disposition| disposition.is(disposition_type))
    }

    /// Whether a receiver that does not understand the body must refuse the message: unless a
    /// disposition says `handling=optional`.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.disposition().map_or(true, |disposition| disposition.is_required())
    }

    /// The Content-ID, without its angle brackets (RFC 2392, RFC 8262 §3).
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        let value = self.raw(HeaderName::from_bytes(b"Content-ID")?)?;
        let inner = value.strip_prefix(b"<")?.strip_suffix(b">")?;
        scan::all(inner, scan::VISIBLE).then(|| scan::ascii(inner))
    }

    /// Whether this is what a `cid` URI points to (RFC 2392).
    #[must_use]
    pub fn is_referenced_by(&self, uri: &Uri<'_>) -> bool {
        matches!(uri.scheme(), Scheme::Other(scheme) if scheme.eq_ignore_ascii_case("cid"))
            && self.id().is_some_and(|id| escape::decode(uri.opaque().as_bytes()) == id)
    }

    /// The Content-Transfer-Encoding (RFC 2045 §6).
    #[must_use]
    pub fn transfer_encoding(&self) -> TransferEncoding<'a> {
        let name = HeaderName::from_bytes(b"Content-Transfer-Encoding");
        let value = name.and_then(|name| self.raw(name));
        value.map_or(TransferEncoding::Identity, TransferEncoding::read)
    }

    /// The bytes without their transfer encoding: `7bit`, `8bit` and `binary` are as they came,
    /// `base64` and `quoted-printable` are decoded. Content-Encoding is left alone.
    ///
    /// # Errors
    /// [`BodyErrorKind::TransferEncoding`] if it is another, or the bytes are not of it.
    pub fn decoded(&self) -> Result<Cow<'a, [u8]>, BodyError> {
        transfer::decode(self.bytes, self.transfer_encoding())
            .map_err(|at| self.error(BodyErrorKind::TransferEncoding, at))
    }

    /// The parts of a `multipart` body, each one level deep; `None` if it is of another type, or if
    /// its Content-Encoding has to be undone first.
    ///
    /// # Errors
    /// [`BodyErrorKind::ContentType`] if a `multipart` is malformed there, [`BodyErrorKind::Boundary`]
    /// if it has no boundary or one that cannot be, [`BodyErrorKind::NoPart`] if the boundary does not stand
    /// in the body, [`BodyErrorKind::TransferEncoding`] if the whole is encoded.
    pub fn parts(&self) -> Result<Option<Parts<'a>>, BodyError> {
        let content_type = match self.content_type() {
            Ok(Some(found)) if found.kind().eq_ignore_ascii_case("multipart") => found,
            Err(_) if self.looks_multipart() => {
                return Err(self.error(BodyErrorKind::ContentType, 0));
            }
            _ => return Ok(None),
        };
        if self.is_encoded() {
            return Ok(None);
        }
        if self.transfer_encoding() != TransferEncoding::Identity {
            return Err(self.error(BodyErrorKind::TransferEncoding, 0));
        }
        let boundary = content_type.param("boundary").and_then(|boundary| boundary.value());
        Parts::new(boundary.as_deref().unwrap_or_default(), self.bytes, self.at).map(Some)
    }

    /// Whether a Content-Type that is malformed begins as that of a `multipart` does.
    fn looks_multipart(&self) -> bool {
        let value = self.raw(HeaderName::ContentType).unwrap_or_default();
        value.split_at_checked(9).is_some_and(|(kind, _)| scan::same(kind, b"multipart"))
    }

    /// The first body that is `wanted`, outer before inner and in order; of a
    /// `multipart/alternative` the last, which is the best.
    ///
    /// # Errors
    /// A `multipart` on the way is malformed, or exceeds [`Limits::body_parts`] or
    /// [`Limits::body_depth`].
    pub fn find(
        &self,
        limits: &Limits,
        wanted: impl Fn(&Content<'a>) -> bool,
    ) -> Result<Option<Content<'a>>, BodyError> {
        self.find_within(&mut Budget(limits.body_parts), limits.body_depth, &wanted)
    }

    /// The session description: what has the disposition `session` and is `application/sdp`, in
    /// the body or in a part of it. Its text is handed over as it is; [`decoded`](Self::decoded)
    /// undoes a transfer encoding.
    ///
    /// ```
    /// use sip_message::{Limits, Message};
    /// let message = b"SIP/2.0 200 OK\r\nc: application/sdp\r\n\r\nv=0\r\n"[..].into();
    /// let message = Message::parse(message, &Limits::default()).unwrap();
    /// let sdp = message.content().session_description(&Limits::default()).unwrap();
    /// assert_eq!(sdp.map(|sdp| sdp.bytes()), Some(&b"v=0\r\n"[..]));
    /// ```
    ///
    /// # Errors
    /// See [`find`](Self::find).
    pub fn session_description(&self, limits: &Limits) -> Result<Option<Content<'a>>, BodyError> {
        self.find(limits, |content| {
            let sdp = content.is("application", "sdp") && !content.bytes.is_empty();
            sdp && content.is_disposition("session") && !content.is_encoded()
        })
    }

    /// Whether a Content-Encoding says that the body is compressed or the like.
    fn is_encoded(&self) -> bool {
        let identity = |value: &[u8]| value.is_empty() || scan::same(value, b"identity");
        !self.raw(HeaderName::ContentEncoding).is_none_or(identity)
    }

    /// What a 415 (Unsupported Media Type) is owed for: the first body whose handling is required
    /// and that is not one that `supports` knows what to do with, by its media type, its
    /// disposition and what else describes it; `None` if the message can be worked on.
    ///
    /// `supports` is not asked of a `multipart` itself, only of what is in it (unless a
    /// Content-Encoding has to be undone first).
    ///
    /// ```
    /// use sip_message::{Limits, Message};
    /// let message = b"MESSAGE sip:b@c SIP/2.0\r\nContent-Type: text/html\r\n\r\n<p>"[..].into();
    /// let message = Message::parse(message, &Limits::default()).unwrap();
    /// let plain = |content: &sip_message::Content<'_>| content.is("text", "plain");
    /// let refused = message.content().unsupported(&Limits::default(), plain).unwrap();
    /// assert!(refused.is_some_and(|html| html.is("text", "html")));
    /// ```
    ///
    /// # Errors
    /// A `multipart` that must be handled is malformed, or exceeds [`Limits::body_parts`] or
    /// [`Limits::body_depth`].
    // RFC 5621 §8.4: "If a UAS cannot process a request because, in the given context, the UAS does
    // not support the content type or the disposition type of a body part whose handling is
    // required, the UAS SHOULD return a 415 (Unsupported Media Type) response"
    pub fn unsupported(
        &self,
        limits: &Limits,
        supports: impl Fn(&Content<'a>) -> bool,
    ) -> Result<Option<Content<'a>>, BodyError> {
        // A message without a body asks for nothing.
        if self.is_empty() || !self.is_required() {
            return Ok(None);
        }
        self.unsupported_within(&mut Budget(limits.body_parts), limits.body_depth, &supports)
    }

    fn find_within(
        &self,
        budget: &mut Budget,
        depth: usize,
        wanted: &impl Fn(&Content<'a>) -> bool,
    ) -> Result<Option<Content<'a>>, BodyError> {
        if wanted(self) {
            return Ok(Some(*self));
        }
        let Some(parts) = self.parts()? else { return Ok(None) };
        // RFC 5621 §6.1: "The recipient of a 'multipart/alternative' body chooses the last body part
        // it understands."
        let last = self.is("multipart", "alternative");
        let mut found = None;
        let depth = self.deeper(depth)?;
        for part in parts {
            let here = budget.take(part?)?.find_within(budget, depth, wanted)?;
            if here.is_some() && !last {
                return Ok(here);
            }
            found = here.or(found);
        }
        Ok(found)
    }

    /// The same for what is required.
    fn unsupported_within(
        &self,
        budget: &mut Budget,
        depth: usize,
        supports: &impl Fn(&Content<'a>) -> bool,
    ) -> Result<Option<Content<'a>>, BodyError> {
        let Some(parts) = self.parts()? else {
            return Ok((!supports(self)).then_some(*self));
        };
        let alternative = self.is("multipart", "alternative");
        let depth = self.deeper(depth)?;
        for part in parts {
            let part = budget.take(part?)?;
            // RFC 5621 §8.3: "The receiver SHOULD ignore the handling parameters of the body
            // parts"
            if !alternative && !part.is_required() {
                continue;
            }
            match part.unsupported_within(budget, depth, supports)? {
                // Of alternatives one will do.
                None if alternative => return Ok(None),
                refused @ Some(_) if !alternative => return Ok(refused),
                _ => {}
            }
        }
        Ok(alternative.then_some(*self))
    }

    /// How deep the parts of a part of this may still be nested.
    fn deeper(&self, depth: usize) -> Result<usize, BodyError> {
        depth.checked_sub(1).ok_or_else(|| self.error(BodyErrorKind::TooDeep, 0))
    }

    fn error(&self, kind: BodyErrorKind, at: usize) -> BodyError {
        BodyError::new(kind, self.at.saturating_add(at))
    }
}

/// How many parts a walk through nested bodies may still take.
struct Budget(usize);

impl Budget {
    fn take<'a>(&mut self, part: Content<'a>) -> Result<Content<'a>, BodyError> {
        let left = self.0.checked_sub(1);
        self.0 = left.ok_or_else(|| part.error(BodyErrorKind::TooManyParts, 0))?;
        Ok(part)
    }
}

impl core::fmt::Debug for Described<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Message(_) => f.write_str("the message"),
            Self::Part(head) => write!(f, "{}", head.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests;
