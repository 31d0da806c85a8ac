//! What all typed header fields share: the trait, and the error that says what is wrong where.

use core::fmt;

use bytes::BytesMut;

use crate::scan;
use crate::scan::Fault;
use crate::{HeaderName, UriErrorKind};

/// A typed header field value.
///
/// A value borrows the text it was parsed from and allocates nothing; `into_owned` makes it
/// independent of that text. What was parsed is printed as it came, white space and all.
///
/// ```
/// use sip_message::{Header, MaxForwards};
/// assert_eq!(MaxForwards::parse(b"70")?, MaxForwards(70));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
pub trait Header<'a>: Sized {
    /// The name of the field.
    const NAME: HeaderName<'static>;

    /// Whether one field line may hold several values parted by commas (RFC 3261 §7.3.1).
    ///
    /// False also for the types that stand for all of a line's elements at once, such as
    /// [`Supported`](crate::Supported).
    const LIST: bool;

    /// The first value of a field, and where in `field` the next one begins if there is one.
    ///
    /// # Errors
    /// What is wrong with the value and where.
    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError>;

    /// The only value of a field, or one value of a list.
    ///
    /// # Errors
    /// What is wrong with the value and where; [`HeaderErrorKind::Trailing`] if there is a second.
    #[inline]
    fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        match Self::parse_first(value)? {
            (this, None) => Ok(this),
            (_, Some(next)) => {
                // Not 0: a comma stands before the next value.
                let offset = next.saturating_sub(1);
                Err(HeaderError::new(Self::NAME, HeaderErrorKind::Trailing, offset))
            }
        }
    }

    /// Writes the value, without the name and without a line end.
    fn write(&self, out: &mut BytesMut);
}

/// Every value of one field line, in order. Ends after the first error.
///
/// ```
/// use sip_message::{Contact, values};
/// let contacts = values::<Contact>(b"<sip:a@192.0.2.1>, \"B, b\" <sip:b@192.0.2.2>");
/// assert_eq!(contacts.count(), 2);
/// ```
pub fn values<'a, H: Header<'a>>(field: &'a [u8]) -> Values<'a, H> {
    Values { field, next: Some(0), header: core::marker::PhantomData }
}

/// See [`values`].
#[derive(Clone, Debug)]
pub struct Values<'a, H> {
    field: &'a [u8],
    next: Option<usize>,
    header: core::marker::PhantomData<H>,
}

impl<'a, H: Header<'a>> Iterator for Values<'a, H> {
    type Item = Result<H, HeaderError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        let rest = self.field.get(start..).unwrap_or_default();
        Some(match H::parse_first(rest) {
            Ok((value, next)) => {
                self.next = next.map(|next| start.saturating_add(next));
                Ok(value)
            }
            Err(mut error) => {
                error.offset = error.offset.saturating_add(start);
                Err(error)
            }
        })
    }
}

/// Why a header field value was refused, or could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    header: HeaderName<'static>,
    kind: HeaderErrorKind,
    offset: usize,
}

impl HeaderError {
    pub(crate) fn new(header: HeaderName<'static>, kind: HeaderErrorKind, offset: usize) -> Self {
        Self { header, kind, offset }
    }

    pub(crate) fn from_fault(header: HeaderName<'static>, fault: Fault) -> Self {
        Self { header, kind: fault.kind, offset: fault.at }
    }

    /// The header field.
    pub fn header(&self) -> HeaderName<'static> {
        self.header
    }

    /// What is wrong.
    pub fn kind(&self) -> HeaderErrorKind {
        self.kind
    }

    /// Where: bytes from the start of the field's value (for an error of building, of the value
    /// that would have been built).
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The rule that the value breaks: where the header field, or what it breaks of all header
    /// fields, is defined.
    pub fn rule(&self) -> Option<&'static str> {
        self.kind.rule(self.header)
    }
}

impl fmt::Display for HeaderError {
    /// `CSeq at byte 0: not a number, or one out of range (RFC 3261 §20.16)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.header.as_str(), self.offset, self.kind)?;
        fmt_rule(self.rule(), f)
    }
}

/// Names the rule that is broken, in parentheses.
pub(crate) fn fmt_rule(rule: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match rule {
        Some(rule) => write!(f, " ({rule})"),
        None => Ok(()),
    }
}

impl core::error::Error for HeaderError {}

/// Prints text as it came; bytes that are no UTF-8 are replaced.
pub(crate) fn fmt_bytes(text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&scan::text(text))
}

/// Display and Debug of a type that is its `text`.
macro_rules! text_display {
    ($name:ident) => {
        impl core::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                crate::header::fmt_bytes(&self.text, f)
            }
        }

        impl core::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
pub(crate) use text_display;

/// Display, Debug and equality of a type that is its `text`.
macro_rules! text_traits {
    ($name:ident) => {
        crate::header::text_display!($name);

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &$name<'_>) -> bool {
                self.text == other.text
            }
        }

        impl Eq for $name<'_> {}
    };
}
pub(crate) use text_traits;

/// What is wrong with a header field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderErrorKind {
    /// There is nothing where a value is due.
    Empty,
    /// The value is longer than 65,535 bytes.
    TooLong,
    /// A byte that may not stand here, such as a CR or LF that folds no line.
    Character,
    /// Something other than a `token` (RFC 3261 §25.1).
    Token,
    /// A quoted string that does not end, or a value that should be one.
    QuotedString,
    /// A `<` without its `>`, or a URI that must stand in angle brackets and does not.
    AngleBrackets,
    /// A display name that needs quotes and has none.
    DisplayName,
    /// A URI that is none.
    Uri(UriErrorKind),
    /// A host that is neither a name nor an address.
    Host,
    /// A port that is not a number up to 65,535.
    Port,
    /// A parameter without a name, or with a value that its name does not allow.
    Parameter,
    /// A parameter that may stand once and stands twice.
    DuplicateParameter,
    /// Not a number, or one out of its range.
    Number,
    /// Not a method name.
    Method,
    /// Not a protocol, a version and a transport, parted by `/`.
    Protocol,
    /// Not a media type or range.
    MediaType,
    /// Not a date of RFC 1123 in GMT.
    Date,
    /// A comment that does not end.
    Comment,
    /// Not 32 lower-case hexadecimal digits.
    Uuid,
    /// Not Base64.
    Base64,
    /// Something after the end of the value.
    Trailing,
}

impl HeaderErrorKind {
    /// The rule that a value of this header field breaks.
    pub(crate) fn rule(self, header: HeaderName<'_>) -> Option<&'static str> {
        match self {
            Self::DuplicateParameter => Some("RFC 3261 §7.3.1"),
            // A limit of ours.
            Self::TooLong => None,
            _ => header.defined_in(),
        }
    }
}

impl core::error::Error for HeaderErrorKind {}

impl fmt::Display for HeaderErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the value is missing",
            Self::TooLong => "longer than 65535 bytes",
            Self::Character => "this byte may not stand here",
            Self::Token => "a token is due here",
            Self::QuotedString => "a quoted string is due here, or does not end",
            Self::AngleBrackets => "angle brackets are missing or do not close",
            Self::DisplayName => "this display name needs quotes",
            Self::Uri(kind) => return write!(f, "URI: {kind}"),
            Self::Host => "a host is due here",
            Self::Port => "not a port",
            Self::Parameter => "a malformed parameter",
            Self::DuplicateParameter => "a parameter for the second time",
            Self::Number => "not a number, or one out of range",
            Self::Method => "not a method",
            Self::Protocol => "not a protocol, a version and a transport",
            Self::MediaType => "not a media type",
            Self::Date => "not an RFC 1123 date in GMT",
            Self::Comment => "the comment does not end",
            Self::Uuid => "not 32 lower-case hexadecimal digits",
            Self::Base64 => "Base64 is due here",
            Self::Trailing => "more follows where the value should end",
        })
    }
}
