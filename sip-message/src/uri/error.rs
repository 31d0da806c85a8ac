use core::fmt;

/// Why a URI was refused, or could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriError {
    kind: UriErrorKind,
    offset: usize,
}

impl UriError {
    pub(crate) fn new(kind: UriErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    pub fn kind(&self) -> UriErrorKind {
        self.kind
    }

    /// Where: bytes from the start of the URI.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "URI at byte {}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for UriError {}

/// What is wrong with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriErrorKind {
    /// Longer than 65,535 bytes.
    TooLong,
    /// No scheme and colon at the start.
    Scheme,
    /// A user part that is empty or holds a byte that may not stand in it.
    User,
    /// A `%` without two hexadecimal digits after it.
    Escape,
    /// No host where one is due, or an IPv6 address that is none or has no brackets.
    Host,
    /// A port that is not a number up to 65,535.
    Port,
    /// A parameter without a name, or a byte that may not stand in one.
    Parameter,
    /// A header without a name or without `=`, or a byte that may not stand in one.
    Header,
    /// Not a telephone number (RFC 3966 §3).
    Number,
    /// Not a service URN (RFC 5031 §3).
    Urn,
    /// A byte that may not stand here, such as white space.
    Character,
    /// The URI's scheme does not have such a part (building only).
    NotSip,
}

impl fmt::Display for UriErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 65535 bytes",
            Self::Scheme => "no scheme",
            Self::User => "not a user part",
            Self::Escape => "% without two hexadecimal digits",
            Self::Host => "not a host",
            Self::Port => "not a port",
            Self::Parameter => "a malformed parameter",
            Self::Header => "a malformed header",
            Self::Number => "not a telephone number",
            Self::Urn => "not a service URN",
            Self::Character => "this byte may not stand here",
            Self::NotSip => "only sip and sips URIs have this part",
        })
    }
}
