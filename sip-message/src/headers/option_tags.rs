//! The headers that list tokens: option tags and methods. One value stands for a whole line.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::single;
use crate::scan::{self, Cursor, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

macro_rules! token_header {
    ($name:ident, $same:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        ///
        /// Stands for all tokens of one line; a message may have several such lines. Empty elements
        /// are passed over.
        #[derive(Clone)]
        pub struct $name<'a> {
            text: Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// These tokens.
            ///
            /// # Errors
            /// Each must be a token.
            pub fn new<T: AsRef<str>>(
                tokens: impl IntoIterator<Item = T>,
            ) -> Result<$name<'static>, HeaderError> {
                let text = write_tokens(HeaderName::$name, tokens)?;
                Ok($name { text: Cow::Owned(text) })
            }

            /// The tokens in order.
            pub fn iter(&self) -> Tokens<'_> {
                Tokens { cursor: Cursor::new(&self.text).ok(), text: &self.text }
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
                $name { text: Cow::Owned(self.text.into_owned()) }
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                self.clone().into_owned()
            }
        }

        crate::header::text_traits!($name);

        impl<'a> Header<'a> for $name<'a> {
            const NAME: HeaderName<'static> = HeaderName::$name;
            const LIST: bool = false;

            fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
                single(Self::NAME, field, |text, cursor| {
                    loop {
                        cursor.skip_lws();
                        cursor.take(TOKEN);
                        cursor.skip_lws();
                        if !cursor.eat(b',') {
                            break;
                        }
                    }
                    if !cursor.is_end() {
                        return Err(cursor.fault(HeaderErrorKind::Token));
                    }
                    Ok(Self { text: Cow::Borrowed(text) })
                })
            }

            fn write(&self, out: &mut BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}

/// Method names are told apart by case, option tags are not.
const EXACTLY: fn(&str, &str) -> bool = |a, b| a == b;
const IN_ANY_CASE: fn(&str, &str) -> bool = str::eq_ignore_ascii_case;

token_header!(Allow, EXACTLY,
/// Allow: the methods that its sender supports (RFC 3261 §20.5).
///
/// ```
/// use sip_message::{Allow, Header, Method};
/// assert!(Allow::parse(b"INVITE, ACK, OPTIONS")?.contains(Method::Options.as_str()));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(Supported, IN_ANY_CASE,
/// Supported: the extensions that its sender supports; may be empty (RFC 3261 §20.37).
///
/// ```
/// use sip_message::Supported;
/// assert_eq!(Supported::new(["100rel", "timer"])?.to_string(), "100rel, timer");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(Require, IN_ANY_CASE,
/// Require: the extensions that the UAS must support (RFC 3261 §20.32).
///
/// ```
/// use sip_message::{Header, Require};
/// assert!(Require::parse(b"100rel")?.contains("100rel"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(ProxyRequire, IN_ANY_CASE,
/// Proxy-Require: the extensions that each proxy must support (RFC 3261 §20.29).
///
/// ```
/// use sip_message::{Header, ProxyRequire};
/// assert_eq!(ProxyRequire::parse(b"foo, bar")?.iter().last(), Some("bar"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(Unsupported, IN_ANY_CASE,
/// Unsupported: the extensions that a 420 refuses (RFC 3261 §20.40).
///
/// ```
/// use sip_message::{Header, Unsupported};
/// assert!(!Unsupported::parse(b"foo")?.is_empty());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// The tokens of a list, in order.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a [u8],
    cursor: Option<Cursor<'a>>,
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
            if !cursor.eat(b',') {
                return None;
            }
        }
    }
}

fn write_tokens<T: AsRef<str>>(
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
