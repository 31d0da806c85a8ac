//! What is wrong with a message as a whole: bytes that are none, a message that is owed a refusal,
//! and a builder's arguments that make none. (For one header field: [`HeaderError`].)

use core::fmt;

use crate::header::fmt_rule;
use crate::{HeaderErrorKind, HeaderName, StatusCode, UriErrorKind};

/// Why bytes are no SIP message. No answer is owed to them: there is nobody to address it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    pub(crate) kind: ParseErrorKind,
    pub(crate) offset: usize,
}

/// What is wrong with bytes that are no SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but line ends, as a keep-alive has it (RFC 5626 §3.5.1).
    Empty,
    /// The first line is neither a Request-Line nor a Status-Line (RFC 3261 §7.1, §7.2).
    StartLine,
    /// The status code is none of 100 to 699 (RFC 3261 §7.2).
    StatusCode,
    /// 2 GiB or more.
    TooLarge,
}

impl ParseError {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the input.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The rule that is broken, if it is one of the RFC's.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        match self.kind {
            ParseErrorKind::Empty | ParseErrorKind::StartLine => Some("RFC 3261 §7"),
            ParseErrorKind::StatusCode => Some("RFC 3261 §7.2"),
            ParseErrorKind::TooLarge => None,
        }
    }

    /// The status that a request of this kind is owed: 513 for one that is too large, otherwise
    /// none, since what is no request is dropped.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind {
            ParseErrorKind::TooLarge => Some(StatusCode::MESSAGE_TOO_LARGE),
            _ => None,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ParseErrorKind::Empty => "no message, only line ends",
            ParseErrorKind::StartLine => "neither a Request-Line nor a Status-Line",
            ParseErrorKind::StatusCode => "a status code outside 100 to 699",
            ParseErrorKind::TooLarge => "2 GiB or more",
        };
        write!(f, "not SIP at byte {}: {what}", self.offset)?;
        fmt_rule(self.rule(), f)
    }
}

impl core::error::Error for ParseError {}

/// Why a message that could be read is not acceptable.
///
/// A request is answered with [`status`](Self::status); a response is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) header: Option<HeaderName<'static>>,
    pub(crate) offset: usize,
    pub(crate) kind: RefusalKind,
}

/// What is wrong with a message that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// White space in the start line other than the two single spaces (RFC 3261 §7.1).
    StartLineSpace,
    /// The Request-URI is none.
    RequestUri(UriErrorKind),
    /// The Request-URI has header fields (RFC 3261 §19.1.1, table 1).
    RequestUriHeaders,
    /// The Request-URI is longer than [`Limits::uri_bytes`](crate::Limits::uri_bytes).
    RequestUriTooLong,
    /// The version is not SIP/2.0.
    Version,
    /// A line of the head that is no header field: no name, no colon.
    FieldLine,
    /// A CR in the head that ends no line.
    BareCr,
    /// The message ends before the empty line that ends the head.
    HeadNotEnded,
    /// A header field longer than [`Limits::header_bytes`](crate::Limits::header_bytes).
    FieldTooLong,
    /// More header fields than [`Limits::header_fields`](crate::Limits::header_fields).
    TooManyFields,
    /// A head longer than [`Limits::head_bytes`](crate::Limits::head_bytes).
    HeadTooLarge,
    /// A message longer than [`Limits::message_bytes`](crate::Limits::message_bytes).
    MessageTooLarge,
    /// A header field that every such message must have is missing (RFC 3261 §8.1.1).
    Missing,
    /// A header field that may stand once stands twice (RFC 3261 §7.3.1).
    Repeated,
    /// A header field's value is wrong.
    Value(HeaderErrorKind),
    /// The method of CSeq is not that of the request (RFC 3261 §8.1.1.5).
    MethodMismatch,
    /// Content-Length is not a number.
    ContentLength,
    /// The body is shorter than Content-Length says (RFC 3261 §18.3).
    BodyTooShort,
    /// The first line off a stream is no start line of SIP.
    StartLine,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, kind: RefusalKind, offset: usize) -> Self {
        Self { status, header: None, offset, kind }
    }

    pub(crate) const fn of(header: HeaderName<'static>, kind: RefusalKind, offset: usize) -> Self {
        Self { status: StatusCode::BAD_REQUEST, header: Some(header), offset, kind }
    }

    /// The status that is owed to a request.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header field at fault, if it is one.
    #[must_use]
    pub fn header(&self) -> Option<HeaderName<'static>> {
        self.header
    }

    /// Where, in bytes from the start of the message as it came; for what is missing, the end of
    /// its head.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// What is wrong, where, in ASCII: `CSeq at byte 312: not a number, or one out of range`.
    ///
    /// Fit for the response's reason phrase, which RFC 3261 §21.4.1 wants to say more than "Bad
    /// Request".
    #[must_use]
    pub fn detail(&self) -> impl fmt::Display + use<> {
        Detail(*self)
    }

    /// The rule that is broken, if it is one of the RFC's and no limit of ours.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        Some(match self.kind {
            RefusalKind::StartLineSpace | RefusalKind::StartLine => "RFC 3261 §7",
            RefusalKind::RequestUri(_) => "RFC 3261 §7.1",
            RefusalKind::RequestUriHeaders => "RFC 3261 §19.1.1",
            RefusalKind::Version => "RFC 3261 §7.1",
            RefusalKind::FieldLine | RefusalKind::Repeated => "RFC 3261 §7.3.1",
            RefusalKind::BareCr | RefusalKind::HeadNotEnded => "RFC 3261 §7",
            RefusalKind::MethodMismatch => "RFC 3261 §8.1.1.5",
            RefusalKind::ContentLength => "RFC 3261 §20.14",
            RefusalKind::BodyTooShort => "RFC 3261 §18.3",
            // On a stream, where a datagram may do without.
            RefusalKind::Missing if self.header == Some(HeaderName::ContentLength) => {
                "RFC 3261 §18.3"
            }
            RefusalKind::Missing => "RFC 3261 §8.1.1",
            RefusalKind::Value(kind) => return kind.rule(self.header?),
            RefusalKind::RequestUriTooLong
            | RefusalKind::FieldTooLong
            | RefusalKind::TooManyFields
            | RefusalKind::HeadTooLarge
            | RefusalKind::MessageTooLarge => return None,
        })
    }
}

impl fmt::Display for Refusal {
    /// `400 Bad Request: CSeq at byte 312: not a number, or one out of range (RFC 3261 §20.16)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail())?;
        fmt_rule(self.rule(), f)
    }
}

/// See [`Refusal::detail`].
struct Detail(Refusal);

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { header, offset, kind, .. } = self.0;
        match (header, kind) {
            (Some(header), RefusalKind::Missing) => return write!(f, "{header} is missing"),
            (Some(header), _) => write!(f, "{header} at byte {offset}: ")?,
            (None, _) => write!(f, "byte {offset}: ")?,
        }
        write!(f, "{kind}")
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLineSpace => "the start line has white space where none may be",
            Self::RequestUri(kind) => return write!(f, "Request-URI: {kind}"),
            Self::RequestUriHeaders => "a Request-URI cannot have header fields",
            Self::RequestUriTooLong => "the Request-URI is too long",
            Self::Version => "the version is not SIP/2.0",
            Self::FieldLine => "this line is no header field",
            Self::BareCr => "a CR that ends no line",
            Self::HeadNotEnded => "no empty line after the header fields",
            Self::FieldTooLong => "the header field is too long",
            Self::TooManyFields => "too many header fields",
            Self::HeadTooLarge => "the header fields are too long together",
            Self::MessageTooLarge => "the message is too large",
            Self::Missing => "missing",
            Self::Repeated => "stands for the second time",
            Self::Value(kind) => return write!(f, "{kind}"),
            Self::MethodMismatch => "the method is not that of the request",
            Self::ContentLength => "not a number of bytes",
            Self::BodyTooShort => "the body is shorter than this says",
            Self::StartLine => "neither a Request-Line nor a Status-Line",
        })
    }
}

impl core::error::Error for Refusal {}

/// Why a builder's arguments make no message, or an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A header field that every such message must have was not given (RFC 3261 §8.1.1).
    Missing(HeaderName<'static>),
    /// A header field that may stand once was given twice.
    Repeated(HeaderName<'static>),
    /// A header field's value is wrong.
    Header(crate::HeaderError),
    /// The CSeq header field names another method than the request's.
    MethodMismatch,
    /// A header field name that is no token.
    Name,
    /// A raw value with a CR or LF, which would begin another line.
    LineBreak,
    /// Content-Length, which the message itself keeps right.
    ContentLength,
    /// A Request-URI that is empty or holds white space.
    RequestUri,
    /// A method that is no token.
    Method,
    /// A tag that is no token.
    Tag,
    /// A `multipart` body without a part.
    NoPart,
    /// More than 65,534 header fields, or 2 GiB.
    TooLarge,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Repeated(name) => write!(f, "{name} may stand once only"),
            Self::Header(error) => write!(f, "{error}"),
            Self::MethodMismatch => f.write_str("CSeq names another method than the request"),
            Self::Name => f.write_str("a header field name must be a token"),
            Self::LineBreak => f.write_str("a line end inside a value or a reason phrase"),
            Self::ContentLength => f.write_str("Content-Length is written by the message itself"),
            Self::RequestUri => f.write_str("no Request-URI: empty, or white space in it"),
            Self::Method => f.write_str("a method must be a token"),
            Self::Tag => f.write_str("a tag must be a token"),
            Self::NoPart => f.write_str("a multipart body without a part"),
            Self::TooLarge => f.write_str("too large for a message"),
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}

impl From<crate::HeaderError> for BuildError {
    fn from(error: crate::HeaderError) -> Self {
        Self::Header(error)
    }
}
