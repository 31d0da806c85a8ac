//! The headers that are one word with parameters, `word *(SEMI generic-param)`: a token mostly, but
//! also a number or a Call-ID.

use super::rule::{self, Rule};
use crate::scan::{Cursor, Fault, Span, TOKEN};
use crate::{HeaderError, HeaderErrorKind, HeaderName};

/// `word_header!(Name, list, read, rules, /// docs)`: the type, how it is kept and printed, its
/// parameters and its `Header`. What the word is called and how one is built is the header's own:
/// the private `word` and `from_word` are for that.
///
/// `list`: whether commas part values. `read`: takes the word, such as [`token`]. `rules`: a
/// `&[Rule]` for the parameters that the grammar names.
macro_rules! word_header {
    ($name:ident, $list:literal, $read:expr, $rules:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
            word: crate::scan::Span,
            params: crate::scan::Span,
        }

        #[allow(dead_code, reason = "what each header makes its own of")]
        impl $name<'_> {
            /// The word as it is written.
            fn word(&self) -> &str {
                self.word.str(&self.text)
            }

            /// This word, without parameters.
            #[allow(dead_code, reason = "some words are built otherwise")]
            fn from_word(word: &str) -> Result<$name<'static>, crate::HeaderError> {
                let this = Self::from_vec(word.as_bytes().to_vec())?;
                if this.word().len() == word.len() {
                    return Ok(this);
                }
                // Something of it was read as something else.
                let (kind, at) = (crate::HeaderErrorKind::Trailing, this.word.end.into());
                Err(crate::HeaderError::new(<$name<'_> as crate::Header>::NAME, kind, at))
            }

            fn from_vec(
                text: alloc::vec::Vec<u8>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                let $name { word, params, .. } = crate::Header::parse(&text)?;
                Ok($name { text: alloc::borrow::Cow::Owned(text), word, params })
            }
        }

        impl $name<'_> {
            /// The parameters in order.
            pub fn params(&self) -> crate::Params<'_> {
                crate::Params::new(self.params.of(&self.text))
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
                let (text, rules) = (&self.text, $rules);
                let text = crate::headers::rule::with_param(text, self.params, rules, name, value);
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
                $name { text, ..self }
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
                crate::headers::word::parse_first(Self::NAME, $list, field, $read, $rules).map(
                    |((text, word, params), next)| {
                        (Self { text: alloc::borrow::Cow::Borrowed(text), word, params }, next)
                    },
                )
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}
pub(super) use word_header;

/// A text, and where its word and its parameters are.
pub(super) type Parts<'a> = (&'a [u8], Span, Span);

/// The first value of a field, and where the next one begins.
pub(super) fn parse_first<'a>(
    header: HeaderName<'static>,
    list: bool,
    field: &'a [u8],
    read: fn(&mut Cursor<'_>) -> Result<Span, Fault>,
    rules: &[Rule],
) -> Result<(Parts<'a>, Option<usize>), HeaderError> {
    super::first_of(header, list, field, |text, cursor| {
        let word = read(cursor)?;
        let params = rule::params(text, cursor, rules)?;
        Ok((text.get(..params.end.into()).unwrap_or_default(), word, params))
    })
}

/// A token.
pub(super) fn token(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    cursor.some(TOKEN, HeaderErrorKind::Token)
}

/// `1*DIGIT` of 32 bits at most.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let start = cursor.at();
    cursor.number()?;
    Ok(Span::new(start, cursor.at()))
}
