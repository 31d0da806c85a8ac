//! The headers that list tokens, each with parameters: `#( token *(SEMI generic-param) )`. One value
//! stands for a whole line.

use alloc::vec::Vec;

use super::QValue;
use super::rule::{self, Rule};
use crate::HeaderErrorKind;
use crate::params::{Param, Params};
use crate::scan::{Cursor, Fault, Span, TOKEN};

/// `word_list_header!(Name, rules, /// docs)`: the type, its elements, and its `Header`. `rules`: a
/// `&[Rule]` for the parameters that the grammar names.
macro_rules! word_list_header {
    ($name:ident, $rules:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        ///
        /// Stands for all elements of one line; a message may have several such lines. Empty
        /// elements are passed over.
        #[derive(Clone)]
        pub struct $name<'a> {
            text: alloc::borrow::Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// These elements, each a token with or without parameters.
            ///
            /// # Errors
            /// Each must be that, and all together at most 65,535 bytes.
            pub fn new<T: AsRef<str>>(
                elements: impl IntoIterator<Item = T>,
            ) -> Result<$name<'static>, crate::HeaderError> {
                let text = crate::headers::word_list::join(elements);
                <$name<'_> as crate::Header>::parse(&text)?;
                Ok($name { text: alloc::borrow::Cow::Owned(text) })
            }

            /// The elements in order.
            pub fn elements(&self) -> crate::headers::Elements<'_> {
                crate::headers::Elements::new(&self.text)
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.elements().next().is_none()
            }

            /// As it is written.
            pub fn as_bytes(&self) -> &[u8] {
                &self.text
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
                    crate::headers::word_list::each(cursor, |cursor| {
                        crate::headers::word_list::Element::read(text, cursor, $rules).map(|_| ())
                    })?;
                    Ok(Self { text: alloc::borrow::Cow::Borrowed(text) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}
pub(super) use word_list_header;

/// One element of a list: a token with parameters.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    text: &'a [u8],
    token: Span,
    params: Span,
}

impl<'a> Element<'a> {
    pub(super) fn read(
        text: &'a [u8],
        cursor: &mut Cursor<'a>,
        rules: &[Rule],
    ) -> Result<Self, Fault> {
        let token = cursor.some(TOKEN, HeaderErrorKind::Token)?;
        let params = rule::params(text, cursor, rules)?;
        Ok(Self { text, token, params })
    }

    /// The token as it is written.
    pub fn token(&self) -> &'a str {
        self.token.str(self.text)
    }

    /// Whether this is the token, without regard to case.
    pub fn is(&self, token: &str) -> bool {
        self.token().eq_ignore_ascii_case(token)
    }

    /// The parameters in order, `q` among them.
    pub fn params(&self) -> Params<'a> {
        Params::new(self.params.of(self.text))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'a>> {
        self.params().find(|param| param.is(name))
    }

    /// The `q` parameter, 1 if there is none or a malformed one.
    pub fn q(&self) -> QValue {
        QValue::of(self.params()).unwrap_or(QValue::ONE)
    }
}

impl core::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (start, end) = (self.token.start, self.params.end);
        f.write_str("Element(")?;
        crate::header::fmt_bytes(Span { start, end }.of(self.text), f)?;
        f.write_str(")")
    }
}

/// The elements of a list, in order. See [`Element`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a [u8],
    cursor: Option<Cursor<'a>>,
}

impl<'a> Elements<'a> {
    /// Of a text that was parsed before.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, cursor: Cursor::new(text).ok() }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let cursor = self.cursor.as_mut()?;
        to_next(cursor);
        Element::read(self.text, cursor, &[]).ok()
    }
}

/// Passes empty elements.
pub(super) fn to_next(cursor: &mut Cursor<'_>) {
    loop {
        cursor.skip_lws();
        if !cursor.eat(b',') {
            return;
        }
    }
}

/// Reads a list to its end, each element by `read`.
pub(super) fn each<'a>(
    cursor: &mut Cursor<'a>,
    mut read: impl FnMut(&mut Cursor<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    loop {
        to_next(cursor);
        if cursor.is_end() {
            return Ok(());
        }
        read(cursor)?;
        cursor.skip_lws();
        if !matches!(cursor.peek(), None | Some(b',')) {
            return Err(cursor.fault(HeaderErrorKind::Trailing));
        }
    }
}

/// `elements` with commas between them.
pub(super) fn join<T: AsRef<str>>(elements: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut text = Vec::new();
    for element in elements {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(element.as_ref().as_bytes());
    }
    text
}
