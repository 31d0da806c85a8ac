//! The headers that are one number.
//!
//! `number_header!(Name, int, /// docs)`: `int` is the type of the number, `u32` or smaller.

macro_rules! number_header {
    ($name:ident, $int:ty, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'a> crate::Header<'a> for $name {
            const NAME: crate::HeaderName<'static> = crate::HeaderName::$name;
            const LIST: bool = false;

            #[inline]
            fn parse_first(
                field: &'a [u8],
            ) -> Result<(Self, Option<usize>), crate::HeaderError> {
                // As nearly everybody writes it: digits and nothing else.
                let plain = crate::scan::whole_number(field).map(<$int>::try_from);
                if let Some(Ok(number)) = plain {
                    return Ok((Self(number), None));
                }
                crate::headers::single(Self::NAME, field, |_, cursor| {
                    if cursor.is_end() {
                        return Err(cursor.fault(crate::HeaderErrorKind::Empty));
                    }
                    let fault = cursor.fault(crate::HeaderErrorKind::Number);
                    <$int>::try_from(cursor.number()?).map(Self).map_err(|_| fault)
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                crate::headers::write_display(self, out);
            }
        }
    };
}
pub(super) use number_header;

number_header!(MaxForwards, u8,
/// Max-Forwards: how many more hops the request may take, 0 to 255 (RFC 3261 §20.22).
///
/// ```
/// use sip_message::{Header, MaxForwards};
/// assert_eq!(MaxForwards::parse(b"0068")?, MaxForwards(68));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

number_header!(ContentLength, u32,
/// Content-Length: bytes of the body (RFC 3261 §20.14).
///
/// ```
/// use sip_message::{ContentLength, Header};
/// assert!(ContentLength::parse(b"-999").is_err());
/// ```
);

number_header!(Expires, u32,
/// Expires: seconds (RFC 3261 §20.19).
///
/// ```
/// use sip_message::{Expires, Header};
/// assert_eq!(Expires::parse(b"3600")?, Expires(3600));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

number_header!(MinExpires, u32,
/// Min-Expires: the least seconds that the registrar grants, in a 423 (RFC 3261 §20.23).
///
/// ```
/// use sip_message::{Header, MinExpires};
/// assert_eq!(MinExpires::parse(b"60")?, MinExpires(60));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

number_header!(FlowTimer, u32,
/// Flow-Timer: after how many seconds without a keep-alive the server takes a flow for dead
/// (RFC 5626 §10).
///
/// ```
/// use sip_message::{FlowTimer, Header};
/// assert_eq!(FlowTimer::parse(b"126")?, FlowTimer(126));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

number_header!(MaxBreadth, u32,
/// Max-Breadth: how many branches of the request may run at a time (RFC 5393 §5.3.1).
///
/// ```
/// use sip_message::{Header, MaxBreadth};
/// assert_eq!(MaxBreadth::parse(b"60")?, MaxBreadth(60));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
