use core::fmt;

use bytes::BytesMut;

use super::{single, write_display};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// MIME-Version: the version of MIME that the body is of; 1.0 is the only one (RFC 3261 §20.24).
///
/// ```
/// use sip_message::{Header, MimeVersion};
/// assert_eq!(MimeVersion::parse(b"1.0")?, MimeVersion::V1_0);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MimeVersion {
    /// Before the dot.
    pub major: u32,
    /// After the dot.
    pub minor: u32,
}

impl MimeVersion {
    /// `1.0`
    pub const V1_0: Self = Self { major: 1, minor: 0 };
}

impl fmt::Display for MimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl<'a> Header<'a> for MimeVersion {
    const NAME: HeaderName<'static> = HeaderName::MimeVersion;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |_, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let major = cursor.number()?;
            if !cursor.eat(b'.') {
                return Err(cursor.fault(HeaderErrorKind::Number));
            }
            Ok(Self { major, minor: cursor.number()? })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        write_display(self, out);
    }
}
