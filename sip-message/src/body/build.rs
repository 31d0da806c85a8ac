//! Building `multipart` bodies.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use crate::message::{check_raw, write_field};
use crate::scan::{self, TOKEN};
use crate::{BuildError, ContentType, Header, HeaderName};

/// Makes a `multipart` body out of parts.
///
/// ```
/// use sip_message::{ContentDisposition, MultipartBuilder, PartBuilder};
///
/// let (content_type, body) = MultipartBuilder::mixed()
///     .part(PartBuilder::new("application/sdp", "v=0\r\n"))
///     .part(
///         PartBuilder::new("text/plain", "hello")
///             .header(&ContentDisposition::new("render")?.with_handling(false)?),
///     )
///     .build()?;
/// assert_eq!(content_type.to_string(), "multipart/mixed;boundary=boundary-0000");
/// assert!(body.starts_with(b"--boundary-0000\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The boundary is one that stands nowhere in the parts; the same parts have the same boundary.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until it is built"]
pub struct MultipartBuilder {
    subtype: String,
    parts: Vec<PartBuilder>,
}

/// Makes one part of a `multipart` body.
#[derive(Clone, Debug)]
#[must_use = "a part is made for a MultipartBuilder"]
pub struct PartBuilder {
    head: BytesMut,
    body: Bytes,
    /// The first thing that was wrong, said when the whole is built.
    error: Option<BuildError>,
}

/// What every boundary made here begins with; four digits follow, or more.
const BOUNDARY: &str = "boundary-";
const DIGITS: usize = 4;

impl MultipartBuilder {
    /// `multipart/mixed`: parts that are handled each by itself.
    pub fn mixed() -> Self {
        Self::new("mixed")
    }

    /// `multipart/alternative`: parts that say the same, the best one last.
    pub fn alternative() -> Self {
        Self::new("alternative")
    }

    /// `multipart/` and another subtype.
    pub fn new(subtype: &str) -> Self {
        Self { subtype: subtype.into(), parts: Vec::new() }
    }

    /// Adds a part.
    pub fn part(mut self, part: PartBuilder) -> Self {
        self.parts.push(part);
        self
    }

    /// The body, and the Content-Type that says what it is.
    ///
    /// # Errors
    /// The first argument that makes no part; a subtype that is no token; no part at all.
    pub fn build(self) -> Result<(ContentType<'static>, Bytes), BuildError> {
        if !scan::all(self.subtype.as_bytes(), TOKEN) {
            return Err(BuildError::Name);
        }
        if self.parts.is_empty() {
            return Err(BuildError::NoPart);
        }
        let boundary = self.boundary();
        let mut out = BytesMut::new();
        for part in self.parts {
            if let Some(error) = part.error {
                return Err(error);
            }
            for piece in [b"--", boundary.as_bytes(), b"\r\n", &part.head, b"\r\n", &part.body] {
                out.put_slice(piece);
            }
            out.put_slice(b"\r\n");
        }
        for piece in [b"--", boundary.as_bytes(), b"--\r\n"] {
            out.put_slice(piece);
        }
        let content_type = ContentType::new("multipart", &self.subtype)?;
        Ok((content_type.with_param("boundary", &boundary)?, out.freeze()))
    }

    /// The first boundary of its kind that stands nowhere in the parts, found in one pass.
    fn boundary(&self) -> String {
        let mut taken = BTreeSet::new();
        for text in self.parts.iter().flat_map(|part| [&part.head[..], &part.body]) {
            for at in memchr::memmem::find_iter(text, BOUNDARY) {
                let number = text.get(at.saturating_add(BOUNDARY.len())..).unwrap_or_default();
                let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
                // Whatever begins with a boundary may be taken for it.
                for len in DIGITS..=digits.min(MAX_DIGITS) {
                    let digits = scan::ascii(number.get(..len).unwrap_or_default());
                    taken.extend(digits.parse::<u64>());
                }
            }
        }
        // There are fewer than taken places before the first that is free.
        let free = (0u64..).zip(&taken).take_while(|(number, taken)| number == *taken).count();
        alloc::format!("{BOUNDARY}{free:0DIGITS$}")
    }
}

/// More digits than the number of any boundary that a body has room for.
const MAX_DIGITS: usize = 12;

impl PartBuilder {
    /// A part of this media type.
    pub fn new(content_type: impl AsRef<[u8]>, body: impl Into<Bytes>) -> Self {
        let part = Self { head: BytesMut::new(), body: body.into(), error: None };
        part.raw(HeaderName::ContentType, content_type)
    }

    /// A part that is a `multipart` itself.
    ///
    /// # Errors
    /// See [`MultipartBuilder::build`].
    pub fn nested(multipart: MultipartBuilder) -> Result<Self, BuildError> {
        let (content_type, body) = multipart.build()?;
        let part = Self { head: BytesMut::new(), body, error: None };
        Ok(part.header(&content_type))
    }

    /// Adds a header field.
    pub fn header<'h, H: Header<'h>>(mut self, header: &H) -> Self {
        write_field(&mut self.head, H::NAME, |out| header.write(out));
        self
    }

    /// Adds a header field with a raw value, such as Content-ID.
    ///
    /// A name that is no token, Content-Length, and a value with a CR or LF are errors that
    /// [`MultipartBuilder::build`] says.
    pub fn raw(mut self, name: HeaderName<'_>, value: impl AsRef<[u8]>) -> Self {
        match check_raw(name, value.as_ref()) {
            Ok(()) => {
                write_field(&mut self.head, name, |out| out.put_slice(value.as_ref()));
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }
}
