//! The headers that are text for people.
//!
//! `text_header!(Name, /// docs)`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::HeaderErrorKind;
use crate::scan::{self, Fault};

macro_rules! text_header {
    ($name:ident, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// This text.
            ///
            /// # Errors
            /// Control characters, CR and LF among them, cannot be written, nor more than 65,535 bytes.
            pub fn new(text: &str) -> Result<$name<'_>, crate::HeaderError> {
                crate::headers::text::check(text)
                    .map_err(|f| crate::HeaderError::from_fault(crate::HeaderName::$name, f))?;
                let text = crate::scan::trim(text.as_bytes()).0;
                Ok($name { text: alloc::borrow::Cow::Borrowed(text) })
            }

            /// The text, each fold as one space. Bytes that are no UTF-8 are replaced.
            pub fn text(&self) -> alloc::borrow::Cow<'_, str> {
                crate::headers::text::unfold(&self.text)
            }

            /// As it is written.
            pub fn as_bytes(&self) -> &[u8] {
                &self.text
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                $name { text: alloc::borrow::Cow::Owned(self.text.into_owned()) }
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
                    cursor.skip(text.len());
                    Ok(Self { text: alloc::borrow::Cow::Borrowed(text) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}

text_header!(Subject,
/// Subject: what the call is about; may be empty (RFC 3261 §20.36).
///
/// ```
/// use sip_message::{Header, Subject};
/// assert_eq!(Subject::parse(b"I know\r\n you're there")?.text(), "I know you're there");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

text_header!(UserAgent,
/// User-Agent: the software that the request is from (RFC 3261 §20.41).
///
/// ```
/// use sip_message::{Header, UserAgent};
/// assert_eq!(UserAgent::parse(b"Softphone Beta1.5")?.text(), "Softphone Beta1.5");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

text_header!(Server,
/// Server: the software that the response is from (RFC 3261 §20.35).
///
/// ```
/// use sip_message::{Header, Server};
/// assert_eq!(Server::new("HomeServer/2 (test)")?.to_string(), "HomeServer/2 (test)");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

text_header!(Organization,
/// Organization: whom the sender belongs to; may be empty (RFC 3261 §20.25).
///
/// ```
/// use sip_message::{Header, Organization};
/// assert_eq!(Organization::parse(b"Boxes by Bob")?.text(), "Boxes by Bob");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// Whether `text` can be written.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    if text.len() > scan::MAX_TEXT {
        return Err(Fault { kind: HeaderErrorKind::TooLong, at: scan::MAX_TEXT });
    }
    match text.bytes().position(|b| b.is_ascii_control() && b != b'\t') {
        Some(at) => Err(Fault { kind: HeaderErrorKind::Character, at }),
        None => Ok(()),
    }
}

// RFC 3261 §25.1: "It is expected that the folding LWS will be replaced with a single SP before
// interpretation"
pub(super) fn unfold(text: &[u8]) -> Cow<'_, str> {
    if memchr::memchr2(b'\r', b'\n', text).is_none() {
        return scan::text(text);
    }
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if !matches!(first, b'\r' | b'\n') {
            out.push(first);
            continue;
        }
        while matches!(out.last(), Some(b' ' | b'\t')) {
            out.pop();
        }
        out.push(b' ');
        while let [b' ' | b'\t' | b'\r' | b'\n', tail @ ..] = rest {
            rest = tail;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}
