//! Reliable provisional responses (RFC 3262).

use core::fmt;
use core::num::NonZeroU32;

use bytes::BytesMut;

use super::numbers::number_header;
use super::{single, write_display};
use crate::{CSeq, Header, HeaderError, HeaderErrorKind, HeaderName};

number_header!(RSeq, NonZeroU32,
/// RSeq: the number of a provisional response that is sent reliably, 1 or more (RFC 3262 §7.1).
///
/// ```
/// use sip_message::{Header, RSeq};
/// assert_eq!(RSeq::parse(b"988789")?.0.get(), 988789);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// RAck: which provisional response a PRACK acknowledges (RFC 3262 §7.2).
///
/// ```
/// use core::num::NonZeroU32;
/// use sip_message::{CSeq, Header, Method, RAck, RSeq};
/// let rack = RAck::parse(b"776656 1 INVITE")?;
/// let rseq = RSeq(NonZeroU32::new(776656).expect("not 0"));
/// assert_eq!(rack, RAck::new(rseq, CSeq::new(1, Method::Invite)?));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    rseq: RSeq,
    cseq: CSeq,
}

impl RAck {
    /// The RSeq and the CSeq of the response.
    pub fn new(rseq: RSeq, cseq: CSeq) -> Self {
        Self { rseq, cseq }
    }

    /// The RSeq of the response.
    pub fn rseq(&self) -> RSeq {
        self.rseq
    }

    /// The CSeq of the response.
    pub fn cseq(&self) -> &CSeq {
        &self.cseq
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

impl<'a> Header<'a> for RAck {
    const NAME: HeaderName<'static> = HeaderName::RAck;
    const LIST: bool = false;

    // RFC 3262 §10: "RAck = "RAck" HCOLON response-num LWS CSeq-num LWS Method"
    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let fault = cursor.fault(HeaderErrorKind::Number);
            let rseq = NonZeroU32::new(cursor.number()?).map(RSeq).ok_or(fault)?;
            let end = cursor.at();
            cursor.skip_lws();
            if cursor.at() == end {
                return Err(cursor.fault(HeaderErrorKind::Number));
            }
            Ok(Self { rseq, cseq: CSeq::read(text, cursor)? })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        write_display(self, out);
    }
}
