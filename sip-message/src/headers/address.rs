//! The headers that are one address with parameters.
//!
//! `address_header!(Name, header, list, form, /// docs)`: `list` says whether commas part values.

use crate::header::HeaderError;
use crate::name_addr::Form;
use crate::{HeaderErrorKind, HeaderName};

macro_rules! address_header {
    ($name:ident, $header:expr, $list:literal, $form:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<'a>(crate::NameAddr<'a>);

        impl<'a> $name<'a> {
            /// `<uri>` without display name and parameters.
            pub fn new(uri: &crate::Uri<'_>) -> $name<'static> {
                $name(crate::NameAddr::new(uri))
            }

            /// The address with its parameters.
            pub fn as_name_addr(&self) -> &crate::NameAddr<'a> {
                &self.0
            }

            /// The address with its parameters.
            pub fn into_name_addr(self) -> crate::NameAddr<'a> {
                self.0
            }

            /// With this display name, quoted and escaped; without one if it is empty.
            ///
            /// # Errors
            /// A CR or LF in the name cannot be written.
            pub fn with_display_name(
                &self,
                name: &str,
            ) -> Result<$name<'static>, crate::HeaderError> {
                crate::headers::address::built($header, self.0.with_display_name(name)).map($name)
            }

            /// With this header parameter in place of the first of its name, or at the end.
            ///
            /// # Errors
            /// The name must be a token, the value without CR and LF.
            pub fn with_param(
                &self,
                name: &str,
                value: Option<&str>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                crate::headers::address::built($header, self.0.with_param(name, value)).map($name)
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                $name(self.0.into_owned())
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                $name(self.0.to_static())
            }
        }

        impl<'a> core::ops::Deref for $name<'a> {
            type Target = crate::NameAddr<'a>;

            fn deref(&self) -> &crate::NameAddr<'a> {
                &self.0
            }
        }

        impl<'a> core::convert::From<crate::NameAddr<'a>> for $name<'a> {
            fn from(address: crate::NameAddr<'a>) -> Self {
                let brackets = $form == crate::name_addr::Form::NameAddr;
                Self(if brackets { address.bracketed() } else { address })
            }
        }

        impl core::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'a> crate::Header<'a> for $name<'a> {
            const NAME: crate::HeaderName<'static> = $header;
            const LIST: bool = $list;

            #[inline(always)]
            fn parse_first(
                field: &'a [u8],
            ) -> Result<(Self, Option<usize>), crate::HeaderError> {
                let found = crate::NameAddr::parse_first(field, $form);
                crate::headers::only_if_list(Self::NAME, $list, found)
                    .map(|(address, next)| (Self(address), next))
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(self.0.as_bytes());
            }
        }
    };
}
pub(super) use address_header;

address_header!(From, HeaderName::From, false, Form::Any,
/// From: who initiates the request (RFC 3261 §20.20).
///
/// ```
/// use sip_message::{From, Uri};
/// let from = From::new(&"sip:a@example.com".parse()?).with_display_name("A \"B\"")?.with_tag("x1")?;
/// assert_eq!(from.to_string(), "\"A \\\"B\\\"\" <sip:a@example.com>;tag=x1");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
);

address_header!(To, HeaderName::To, false, Form::Any,
/// To: whom the request is for, not where it goes (RFC 3261 §20.39).
///
/// ```
/// use sip_message::{Header, To};
/// assert_eq!(To::parse(b"The Operator<sip:operator@cs.columbia.edu>;tag=287447")?.tag(), Some("287447"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(ReplyTo, HeaderName::ReplyTo, false, Form::Any,
/// Reply-To: where a call back should go (RFC 3261 §20.31).
///
/// ```
/// use sip_message::{Header, ReplyTo};
/// assert_eq!(ReplyTo::parse(b"Bob <sip:bob@biloxi.com>")?.uri().as_str(), "sip:bob@biloxi.com");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(ReferTo, HeaderName::ReferTo, false, Form::Any,
/// Refer-To: what a REFER asks to be contacted (RFC 3515 §2.1).
///
/// ```
/// use sip_message::{Header, ReferTo};
/// assert_eq!(ReferTo::parse(b"<sip:dave@denver.example.org?Replaces=1%40x>")?.uri().headers().count(), 1);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(Route, HeaderName::Route, true, Form::NameAddr,
/// One Route value: a proxy that the request is to pass (RFC 3261 §20.34).
///
/// ```
/// use sip_message::{Header, Route};
/// assert!(Route::parse(b"<sip:bigbox3.site3.atlanta.com;lr>")?.uri().lr());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(RecordRoute, HeaderName::RecordRoute, true, Form::NameAddr,
/// One Record-Route value: a proxy that wants to stay in the path of the dialog (RFC 3261 §20.30).
///
/// ```
/// use sip_message::{Header, RecordRoute, Route};
/// let recorded = RecordRoute::parse(b"<sip:p1.example.com;lr>")?;
/// assert_eq!(Route::from(recorded.into_name_addr()).to_string(), "<sip:p1.example.com;lr>");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(Path, HeaderName::Path, true, Form::NameAddr,
/// One Path value: a proxy that requests to a registered contact are to pass (RFC 3327 §4).
///
/// ```
/// use sip_message::{Header, Path};
/// assert!(Path::parse(b"<sip:P1.EXAMPLEVISITED.COM;lr>")?.uri().lr());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(ServiceRoute, HeaderName::ServiceRoute, true, Form::NameAddr,
/// One Service-Route value: a proxy that requests of a registered user are to pass
/// (RFC 3608 §5).
///
/// ```
/// use sip_message::{Header, ServiceRoute};
/// let route = ServiceRoute::parse(b"<sip:HSP.HOME.EXAMPLE.COM;lr>")?;
/// assert_eq!(route.uri().host_str(), Some("HSP.HOME.EXAMPLE.COM"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

macro_rules! tagged {
    ($name:ident, $header:expr) => {
        impl $name<'_> {
            /// With this tag in place of the one it had.
            ///
            /// # Errors
            /// The tag must be a token.
            pub fn with_tag(&self, tag: &str) -> Result<$name<'static>, HeaderError> {
                built($header, self.0.with_tag(tag)).map($name)
            }
        }
    };
}

tagged!(From, HeaderName::From);
tagged!(To, HeaderName::To);

/// Names the header in an error of building.
pub(super) fn built<T>(
    header: HeaderName<'static>,
    result: Result<T, HeaderErrorKind>,
) -> Result<T, HeaderError> {
    result.map_err(|kind| HeaderError::new(header, kind, 0))
}
