use core::fmt;

use crate::StatusCode;

/// Why a body cannot be taken apart or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError {
    kind: BodyErrorKind,
    offset: usize,
}

impl BodyError {
    pub(super) fn new(kind: BodyErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> BodyErrorKind {
        self.kind
    }

    /// Where: bytes from the start of the message's body.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The status that a request with such a body is owed: 415 for a transfer encoding, 513 beyond
    /// a limit, 400 for all else.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            BodyErrorKind::TransferEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyErrorKind::TooManyParts | BodyErrorKind::TooDeep => StatusCode::MESSAGE_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "body at byte {}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for BodyError {}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyErrorKind {
    /// The Content-Type is malformed.
    ContentType,
    /// A `multipart` without a boundary, or with one longer than 70 bytes, with a line end in it or
    /// a space at its end (RFC 2046 §5.1.1).
    Boundary,
    /// The boundary stands nowhere, or no part is between the first and the last.
    NoPart,
    /// The body ends before the boundary that ends a `multipart`.
    Unterminated,
    /// A line before a part's empty line that is no header field.
    FieldLine,
    /// More parts than [`Limits::body_parts`](crate::Limits::body_parts).
    TooManyParts,
    /// Parts within parts deeper than [`Limits::body_depth`](crate::Limits::body_depth).
    TooDeep,
    /// A transfer encoding that is not known here, or that the bytes are not of.
    TransferEncoding,
}

impl fmt::Display for BodyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "not a media type",
            Self::Boundary => "no boundary, or one that cannot be",
            Self::NoPart => "a multipart without a part",
            Self::Unterminated => "the last part does not end",
            Self::FieldLine => "this line is no header field",
            Self::TooManyParts => "too many parts",
            Self::TooDeep => "parts within parts too deep",
            Self::TransferEncoding => "not of a transfer encoding that is known",
        })
    }
}
