//! The headers that list tokens: option tags, methods and their like. One value stands for a whole
//! line.
//!
//! `token_list_header!(Name, same, /// docs)`: `same` compares tokens, [`EXACTLY`] or
//! [`IN_ANY_CASE`].

use alloc::vec::Vec;

use crate::scan::{self, Cursor, Fault, TOKEN};
use crate::{HeaderError, HeaderErrorKind, HeaderName};

macro_rules! token_list_header {
    ($name:ident, $same:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        ///
        /// Stands for all tokens of one line; a message may have several such lines. Empty elements
        /// are passed over.
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// These tokens.
            ///
            /// # Errors
            /// Each must be a token.
            pub fn new<T: AsRef<str>>(
                tokens: impl IntoIterator<Item = T>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                let name = crate::HeaderName::$name;
                let text = crate::headers::option_tags::write_tokens(name, tokens)?;
                Ok($name { text: alloc::borrow::Cow::Owned(text) })
            }

            /// The tokens in order.
            pub fn iter(&self) -> crate::headers::Tokens<'_> {
                crate::headers::Tokens::new(&self.text)
            }

            /// Whether `token` is among them.
            pub fn contains(&self, token: &str) -> bool {
                let same: fn(&str, &str) -> bool = $same;
                self.iter().any(|t| same(t, token))
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.iter().next().is_none()
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
                crate::headers::single(Self::NAME, field, |text, cursor| {
                    crate::headers::option_tags::read_tokens(cursor)?;
                    Ok(Self { text: alloc::borrow::Cow::Borrowed(text) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}
pub(super) use token_list_header;

/// Method names are told apart by case, option tags are not.
pub(super) const EXACTLY: fn(&str, &str) -> bool = |a, b| a == b;
pub(super) const IN_ANY_CASE: fn(&str, &str) -> bool = str::eq_ignore_ascii_case;

token_list_header!(Allow, EXACTLY,
/// Allow: the methods that its sender supports (RFC 3261 §20.5).
///
/// ```
/// use sip_message::{Allow, Header, Method};
/// assert!(Allow::parse(b"INVITE, ACK, OPTIONS")?.contains(Method::Options.as_str()));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(Supported, IN_ANY_CASE,
/// Supported: the extensions that its sender supports; may be empty (RFC 3261 §20.37).
///
/// ```
/// use sip_message::Supported;
/// assert_eq!(Supported::new(["100rel", "timer"])?.to_string(), "100rel, timer");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(Require, IN_ANY_CASE,
/// Require: the extensions that the UAS must support (RFC 3261 §20.32).
///
/// ```
/// use sip_message::{Header, Require};
/// assert!(Require::parse(b"100rel")?.contains("100rel"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(ProxyRequire, IN_ANY_CASE,
/// Proxy-Require: the extensions that each proxy must support (RFC 3261 §20.29).
///
/// ```
/// use sip_message::{Header, ProxyRequire};
/// assert_eq!(ProxyRequire::parse(b"foo, bar")?.iter().last(), Some("bar"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(Unsupported, IN_ANY_CASE,
/// Unsupported: the extensions that a 420 refuses (RFC 3261 §20.40).
///
/// ```
/// use sip_message::{Header, Unsupported};
/// assert!(!Unsupported::parse(b"foo")?.is_empty());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(ContentEncoding, IN_ANY_CASE,
/// Content-Encoding: the codings that were applied to the body, in the order in which they were
/// (RFC 3261 §20.12).
///
/// ```
/// use sip_message::{ContentEncoding, Header};
/// assert!(ContentEncoding::parse(b"gzip")?.contains("GZip"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_list_header!(ContentLanguage, IN_ANY_CASE,
/// Content-Language: the language tags of the body (RFC 3261 §20.13).
///
/// ```
/// use sip_message::{ContentLanguage, Header};
/// assert_eq!(ContentLanguage::parse(b"fr")?.iter().next(), Some("fr"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// The tokens of a list, in order.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a [u8],
    cursor: Option<Cursor<'a>>,
}

impl<'a> Tokens<'a> {
    /// Of a text that was parsed before.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, cursor: Cursor::new(text).ok() }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let cursor = self.cursor.as_mut()?;
        loop {
            cursor.skip_lws();
            let token = cursor.take(TOKEN);
            if !token.is_empty() {
                return Some(token.str(self.text));
            }
            // Privacy parts its tokens by semicolons.
            if !cursor.eat(b',') && !cursor.eat(b';') {
                return None;
            }
        }
    }
}

/// Tokens to the end of the field, any of them missing.
pub(super) fn read_tokens(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    loop {
        cursor.skip_lws();
        cursor.take(TOKEN);
        cursor.skip_lws();
        if !cursor.eat(b',') {
            break;
        }
    }
    if cursor.is_end() { Ok(()) } else { Err(cursor.fault(HeaderErrorKind::Token)) }
}

/// `tokens` with commas between them.
pub(super) fn write_tokens<T: AsRef<str>>(
    header: HeaderName<'static>,
    tokens: impl IntoIterator<Item = T>,
) -> Result<Vec<u8>, HeaderError> {
    let mut text = Vec::new();
    for token in tokens {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        let token = token.as_ref().as_bytes();
        if !scan::all(token, TOKEN) {
            return Err(HeaderError::new(header, HeaderErrorKind::Token, text.len()));
        }
        text.extend_from_slice(token);
    }
    if text.len() > scan::MAX_TEXT {
        return Err(HeaderError::new(header, HeaderErrorKind::TooLong, scan::MAX_TEXT));
    }
    Ok(text)
}
