//! The headers that are one token.

/// `token_header!(Name, /// docs)`: the type, `new`, `as_str`, `is`, and its `Header`.
macro_rules! token_header {
    ($name:ident, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// This token.
            ///
            /// # Errors
            /// It must be a token of at most 65,535 bytes.
            pub fn new(token: &str) -> Result<$name<'_>, crate::HeaderError> {
                let this = <$name<'_> as crate::Header>::parse(token.as_bytes())?;
                if this.text.len() == token.len() {
                    return Ok(this);
                }
                let (name, kind) =
                    (<$name<'_> as crate::Header>::NAME, crate::HeaderErrorKind::Token);
                Err(crate::HeaderError::new(name, kind, 0))
            }

            /// As it is written.
            pub fn as_str(&self) -> &str {
                crate::scan::ascii(&self.text)
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                $name { text: alloc::borrow::Cow::Owned(self.text.into_owned()) }
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                self.clone().into_owned()
            }
        }

        crate::header::text_traits!($name);

        impl<'a> crate::Header<'a> for $name<'a> {
            const NAME: crate::HeaderName<'static> = crate::HeaderName::$name;
            const LIST: bool = false;

            fn parse_first(
                field: &'a [u8],
            ) -> Result<(Self, Option<usize>), crate::HeaderError> {
                crate::headers::first_of(Self::NAME, false, field, |text, cursor| {
                    let token = crate::headers::word::token(cursor)?;
                    Ok(Self { text: alloc::borrow::Cow::Borrowed(token.of(text)) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}
pub(super) use token_header;

token_header!(Priority,
/// Priority: how urgent the request is to its receiver: `emergency`, `urgent`, `normal`,
/// `non-urgent`, or another token (RFC 3261 §20.26).
///
/// ```
/// use sip_message::{Header, Priority};
/// assert!(Priority::parse(b"Emergency")?.is("emergency"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Priority<'_> {
    /// Whether this is the priority, without regard to case.
    pub fn is(&self, priority: &str) -> bool {
        self.as_str().eq_ignore_ascii_case(priority)
    }
}
