//! The headers that are a URI in angle brackets with parameters: `LAQUOT absoluteURI RAQUOT
//! *(SEMI generic-param)`, without a display name.

use super::rule::{self, Rule};
use crate::scan::{Cursor, Fault, Span};
use crate::uri::UriParts;
use crate::{HeaderErrorKind, Uri, UriErrorKind};

/// `bracketed_header!(Name, list, rules, /// docs)`: the type, its URI and parameters, and its
/// `Header`. `list`: whether commas part values. `rules`: a `&[Rule]` for the parameters that the
/// grammar names. With `Sip` after the rules, the URI must be `sip` or `sips`.
macro_rules! bracketed_header {
    ($name:ident, $list:literal, $rules:expr, $(#[$doc:meta])+) => {
        crate::headers::bracketed::bracketed_header!($name, $list, $rules, Any, $(#[$doc])+);
    };
    ($name:ident, $list:literal, $rules:expr, $schemes:ident, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
            parts: crate::headers::bracketed::Parts,
        }

        impl $name<'_> {
            /// `<uri>` without parameters.
            ///
            /// # Errors
            /// The URI must be of a scheme that the grammar allows, and take at most 65,535 bytes
            /// with its brackets.
            pub fn new(uri: &crate::Uri<'_>) -> Result<$name<'static>, crate::HeaderError> {
                Self::from_vec([b"<", uri.as_bytes(), b">"].concat())
            }

            fn from_vec(
                text: alloc::vec::Vec<u8>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                let parts = <$name<'_> as crate::Header>::parse(&text)?.parts;
                Ok($name { text: alloc::borrow::Cow::Owned(text), parts })
            }

            /// The URI.
            pub fn uri(&self) -> crate::Uri<'_> {
                self.parts.uri(&self.text)
            }

            /// The parameters in order.
            pub fn params(&self) -> crate::Params<'_> {
                crate::Params::new(self.parts.params.of(&self.text))
            }

            /// The first parameter of that name, compared without regard to case.
            pub fn param(&self, name: &str) -> Option<crate::Param<'_>> {
                self.params().find(|param| param.is(name))
            }

            /// With this parameter in place of the first of its name, or at the end; quoted if the
            /// grammar says so, or if it is neither a token nor a host.
            ///
            /// # Errors
            /// The name must be a token, the value without CR and LF and fit for the name.
            pub fn with_param(
                &self,
                name: &str,
                value: Option<&str>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                let (text, span) = (&self.text, self.parts.params);
                let text = crate::headers::rule::with_param(text, span, $rules, name, value);
                Self::from_vec(text.map_err(|fault| {
                    crate::HeaderError::from_fault(<$name<'_> as crate::Header>::NAME, fault)
                })?)
            }

            /// As it is written.
            pub fn as_bytes(&self) -> &[u8] {
                &self.text
            }

            /// The same with a text of its own.
            pub fn into_owned(self) -> $name<'static> {
                let text = alloc::borrow::Cow::Owned(self.text.into_owned());
                $name { text, parts: self.parts }
            }

            /// A copy with a text of its own.
            pub fn to_static(&self) -> $name<'static> {
                self.clone().into_owned()
            }
        }

        crate::header::text_traits!($name);

        impl<'a> crate::Header<'a> for $name<'a> {
            const NAME: crate::HeaderName<'static> = crate::HeaderName::$name;
            const LIST: bool = $list;

            fn parse_first(
                field: &'a [u8],
            ) -> Result<(Self, Option<usize>), crate::HeaderError> {
                crate::headers::first_of(Self::NAME, $list, field, |text, cursor| {
                    let schemes = crate::headers::bracketed::Schemes::$schemes;
                    let parts =
                        crate::headers::bracketed::Parts::read(text, cursor, schemes, $rules)?;
                    let text = text.get(..parts.params.end.into()).unwrap_or_default();
                    Ok(Self { text: alloc::borrow::Cow::Borrowed(text), parts })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}
pub(super) use bracketed_header;

/// Which URIs a header allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Schemes {
    Any,
    /// `sip` and `sips`.
    Sip,
}

/// Where the parts are in the text.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    uri: Span,
    uri_parts: UriParts,
    /// From the first `;` on.
    pub(super) params: Span,
}

impl Parts {
    pub(super) fn read(
        text: &[u8],
        cursor: &mut Cursor<'_>,
        schemes: Schemes,
        rules: &[Rule],
    ) -> Result<Self, Fault> {
        let open = cursor.fault(HeaderErrorKind::AngleBrackets);
        if !cursor.eat(b'<') {
            return Err(open);
        }
        let start = cursor.at();
        let len = memchr::memchr(b'>', cursor.rest()).ok_or(open)?;
        cursor.skip(len);
        let uri = Span::new(start, cursor.at());
        let uri_parts = UriParts::parse(uri.of(text)).map_err(|error| Fault {
            kind: HeaderErrorKind::Uri(error.kind()),
            at: start.saturating_add(error.offset()),
        })?;
        if schemes == Schemes::Sip && !Uri::from_parts(uri.of(text), uri_parts).is_sip() {
            return Err(Fault { kind: HeaderErrorKind::Uri(UriErrorKind::NotSip), at: start });
        }
        cursor.skip(1);
        let params = rule::params(text, cursor, rules)?;
        Ok(Self { uri, uri_parts, params })
    }

    pub(super) fn uri<'t>(&self, text: &'t [u8]) -> Uri<'t> {
        Uri::from_parts(self.uri.of(text), self.uri_parts)
    }
}
