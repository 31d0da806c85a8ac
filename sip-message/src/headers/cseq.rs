use core::fmt;

use bytes::BytesMut;

use crate::scan::{Cursor, Fault, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, Method};

/// CSeq: the request's number within its dialog, and its method (RFC 3261 §20.16).
///
/// ```
/// use sip_message::{CSeq, Header, Method};
/// assert_eq!(CSeq::parse(b"4711 INVITE")?, CSeq::new(4711, Method::Invite)?);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    number: u32,
    method: Method,
}

impl CSeq {
    /// The highest number.
    // RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned
    // integer and MUST be less than 2**31."
    pub const MAX: u32 = (1 << 31) - 1;

    /// A number and a method.
    ///
    /// # Errors
    /// [`HeaderErrorKind::Number`] above [`MAX`](Self::MAX).
    pub fn new(number: u32, method: Method) -> Result<Self, HeaderError> {
        if number > Self::MAX {
            return Err(HeaderError::new(HeaderName::CSeq, HeaderErrorKind::Number, 0));
        }
        Ok(Self { number, method })
    }

    /// `1*DIGIT LWS Method`
    pub(super) fn read(text: &[u8], cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let fault = cursor.fault(HeaderErrorKind::Number);
        let number = cursor.number()?;
        if number > Self::MAX {
            return Err(fault);
        }
        let end = cursor.at();
        cursor.skip_lws();
        let fault = cursor.fault(HeaderErrorKind::Method);
        if cursor.at() == end {
            return Err(fault);
        }
        let method = cursor.some(TOKEN, HeaderErrorKind::Method)?;
        let method = Method::from_bytes(method.of(text)).ok_or(fault)?;
        Ok(Self { number, method })
    }

    /// The number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

impl<'a> Header<'a> for CSeq {
    const NAME: HeaderName<'static> = HeaderName::CSeq;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        super::single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            Self::read(text, cursor)
        })
    }

    fn write(&self, out: &mut BytesMut) {
        super::write_display(self, out);
    }
}
