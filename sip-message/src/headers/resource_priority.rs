//! How much a request's call for resources weighs (RFC 4412).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::option_tags::Tokens;
use super::{single, word_list};
use crate::scan::{Cursor, Fault, TOKEN};
use crate::{HeaderError, HeaderErrorKind};

/// `resource_header!(Name, may_be_empty, /// docs)`: a list of values.
macro_rules! resource_header {
    ($name:ident, $may_be_empty:literal, $(#[$doc:meta])+) => {
        $(#[$doc])+
        ///
        /// Stands for all values of one line. Two are equal if they hold the same values, in any
        /// order and in upper or lower case.
        #[derive(Clone)]
        pub struct $name<'a> {
            text: Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// These values, each `namespace.priority`.
            ///
            /// # Errors
            /// Each must be two tokens without dots, parted by one.
            pub fn new<T: AsRef<str>>(
                values: impl IntoIterator<Item = T>,
            ) -> Result<$name<'static>, HeaderError> {
                let text = word_list::join(values);
                <$name<'_> as crate::Header>::parse(&text)?;
                Ok($name { text: Cow::Owned(text) })
            }

            /// The values in order, each a namespace and a priority.
            pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
                Tokens::new(&self.text).filter_map(|value| value.split_once('.'))
            }

            /// The priority in this namespace; both are told apart without regard to case.
            pub fn priority(&self, namespace: &str) -> Option<&str> {
                let mut values = self.values();
                values.find(|(found, _)| found.eq_ignore_ascii_case(namespace)).map(|(_, it)| it)
            }

            /// Whether this value, such as `dsn.flash`, is among them, in any case.
            pub fn contains(&self, value: &str) -> bool {
                Tokens::new(&self.text).any(|found| found.eq_ignore_ascii_case(value))
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                $name { text: Cow::Owned(self.text.into_owned()) }
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                self.clone().into_owned()
            }
        }

        crate::header::text_display!($name);

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &$name<'_>) -> bool {
                self.text == other.text || sorted(&self.text) == sorted(&other.text)
            }
        }

        impl Eq for $name<'_> {}

        impl<'a> crate::Header<'a> for $name<'a> {
            const NAME: crate::HeaderName<'static> = crate::HeaderName::$name;
            const LIST: bool = false;

            fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
                single(Self::NAME, field, |text, cursor| {
                    let mut is_empty = true;
                    word_list::each(cursor, |cursor| {
                        is_empty = false;
                        value(text, cursor)
                    })?;
                    if is_empty && !$may_be_empty {
                        return Err(cursor.fault(HeaderErrorKind::Empty));
                    }
                    Ok(Self { text: Cow::Borrowed(text) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}

resource_header!(ResourcePriority, false,
/// Resource-Priority: how urgently the request needs resources such as lines and gateways, in one or
/// more namespaces (RFC 4412 §3.1).
///
/// ```
/// use sip_message::{Header, ResourcePriority};
/// let priority = ResourcePriority::parse(b"dsn.flash, wps.3")?;
/// assert_eq!(priority.priority("WPS"), Some("3"));
/// assert_eq!(priority, ResourcePriority::new(["wps.3", "DSN.Flash"])?);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

resource_header!(AcceptResourcePriority, true,
/// Accept-Resource-Priority: the values of Resource-Priority that the server processes; may be empty
/// (RFC 4412 §3.2).
///
/// ```
/// use sip_message::{AcceptResourcePriority, Header};
/// assert!(AcceptResourcePriority::parse(b"dsn.flash, dsn.routine")?.contains("dsn.routine"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

// RFC 4412 §3.1: "r-value            = namespace "." r-priority"
fn value(text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let fault = cursor.fault(HeaderErrorKind::Token);
    let value = cursor.some(TOKEN, HeaderErrorKind::Token)?.of(text);
    let mut parts = value.split(|&byte| byte == b'.');
    let full = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty());
    if full(parts.next()) && full(parts.next()) && parts.next().is_none() {
        Ok(())
    } else {
        Err(fault)
    }
}

// RFC 4412 §3.1: "The ordering of 'r-values' within the header field has no significance."
fn sorted(text: &[u8]) -> Vec<Vec<u8>> {
    let mut values: Vec<_> =
        Tokens::new(text).map(|value| value.as_bytes().to_ascii_lowercase()).collect();
    values.sort_unstable();
    values
}
