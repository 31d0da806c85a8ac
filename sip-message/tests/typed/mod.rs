//! Every typed header at once: a header field's value read by the type of its name, and written
//! again.

#[path = "../../src/headers/tests/list.rs"]
mod list;

use bytes::BytesMut;
use sip_message::{Header, HeaderError, HeaderName, RequestBuilder, ResponseBuilder, values};

/// One value of a field as its type writes it.
pub(crate) type Written = Vec<u8>;

macro_rules! typed {
    (; $($header:ident),* $(,)?) => {
        /// The names of the typed headers.
        pub(crate) const NAMES: &[HeaderName<'static>] =
            &[$(<sip_message::$header as Header>::NAME,)*];

        /// Each value of a field, read by the type of that name and written; `None` if the name has
        /// no type. What is written reads again as what it was written from.
        pub(crate) fn rewrite(
            name: HeaderName<'_>,
            field: &[u8],
        ) -> Option<Result<Vec<Written>, HeaderError>> {
            $(if name == <sip_message::$header as Header>::NAME {
                return Some(values::<sip_message::$header>(field).map(|value| {
                    let value = value?;
                    let mut out = BytesMut::new();
                    value.write(&mut out);
                    assert_eq!(sip_message::$header::parse(&out).as_ref(), Ok(&value));
                    Ok(out.to_vec())
                }).collect());
            })*
            None
        }

        /// The builder with each value of a field by the type of that name; the builder as it was
        /// if the name has no type, or the type refuses a value.
        pub(crate) fn append<B: Builder>(
            builder: B,
            name: HeaderName<'_>,
            field: &[u8],
        ) -> Result<B, B> {
            $(if name == <sip_message::$header as Header>::NAME {
                let values: Result<Vec<_>, _> = values::<sip_message::$header>(field).collect();
                return match values {
                    Ok(values) => Ok(values.iter().fold(builder, |builder, v| builder.with(v))),
                    Err(_) => Err(builder),
                };
            })*
            Err(builder)
        }
    };
}

/// A builder of requests or of responses.
pub(crate) trait Builder: Sized {
    fn with<'h>(self, header: &impl Header<'h>) -> Self;
}

impl Builder for RequestBuilder {
    fn with<'h>(self, header: &impl Header<'h>) -> Self {
        self.header(header)
    }
}

impl Builder for ResponseBuilder {
    fn with<'h>(self, header: &impl Header<'h>) -> Self {
        self.header(header)
    }
}

list::every_header! { typed!() }

/// Whoever adds a typed header adds it to the list.
#[test]
fn the_list_is_complete() {
    let exported = include_str!("../../src/lib.rs");
    let list = exported.split("pub use headers::{").nth(1).unwrap().split("};").next().unwrap();
    for exported in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let name = spelt(exported);
        if let Some(name) = HeaderName::from_bytes(name.as_bytes())
            && !matches!(name, HeaderName::Other(_))
        {
            assert!(NAMES.contains(&name), "{exported} is not among the typed headers");
        }
    }
    assert!(NAMES.len() > 90);
}

/// `CallId` as `Call-Id`.
fn spelt(name: &str) -> String {
    let irregular = ["CSeq", "RSeq", "RAck", "SipEtag"];
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() && !irregular.contains(&name) {
            out.push('-');
        }
        out.push(letter);
    }
    if name == "SipEtag" { "SIP-ETag".into() } else { out }
}
