//! The headers that are one number.

use core::fmt;

use bytes::BytesMut;

use super::{single, write_display};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

macro_rules! number_header {
    ($name:ident, $int:ty, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'a> Header<'a> for $name {
            const NAME: HeaderName<'static> = HeaderName::$name;
            const LIST: bool = false;

            fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
                single(Self::NAME, field, |_, cursor| {
                    if cursor.is_end() {
                        return Err(cursor.fault(HeaderErrorKind::Empty));
                    }
                    let fault = cursor.fault(HeaderErrorKind::Number);
                    <$int>::try_from(cursor.number()?).map(Self).map_err(|_| fault)
                })
            }

            fn write(&self, out: &mut BytesMut) {
                write_display(self, out);
            }
        }
    };
}

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
