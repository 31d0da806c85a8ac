//! What networks need to know of a call to charge for it (RFC 7315).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::first_of;
use crate::params::{self, Param, Params};
use crate::scan::{self, Cursor, Fault, Span};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, Host};

/// `params_header!(Name, list, check, /// docs)`: parameters and nothing else, the first without a
/// semicolon. `check` gets the text and the name of the first.
macro_rules! params_header {
    ($name:ident, $list:literal, $check:expr, $(#[$doc:meta])+) => {
        $(#[$doc])+
        #[derive(Clone)]
        pub struct $name<'a> {
            text: Cow<'a, [u8]>,
        }

        impl $name<'_> {
            /// The parameters in order.
            pub fn params(&self) -> Params<'_> {
                Params::bare(&self.text)
            }

            /// The first parameter of that name, compared without regard to case.
            pub fn param(&self, name: &str) -> Option<Param<'_>> {
                self.params().find(|param| param.is(name))
            }

            fn value(&self, name: &str) -> Option<Cow<'_, str>> {
                self.param(name)?.value()
            }

            /// With this parameter in place of the first of its name, or at the end; quoted if it is
            /// neither a token nor a host.
            ///
            /// # Errors
            /// The name must be a token, the value without CR and LF.
            pub fn with_param(
                &self,
                name: &str,
                value: Option<&str>,
            ) -> Result<$name<'static>, HeaderError> {
                Self::from_vec(with_param(HeaderName::$name, &self.text, name, value)?)
            }

            fn from_vec(text: Vec<u8>) -> Result<$name<'static>, HeaderError> {
                <$name<'_> as Header>::parse(&text)?;
                Ok($name { text: Cow::Owned(text) })
            }

            /// As it is written.
            pub fn as_bytes(&self) -> &[u8] {
                &self.text
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
            const LIST: bool = $list;

            fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
                first_of(Self::NAME, $list, field, |text, cursor| {
                    let first = cursor.bare_param()?;
                    let check: fn(&[u8], scan::RawParam) -> Result<(), Fault> = $check;
                    check(text, first)?;
                    let Span { start, end } = cursor.params(|_| Ok(()))?;
                    let end = if start == end { first.end } else { end.into() };
                    Ok(Self { text: Cow::Borrowed(text.get(..end).unwrap_or_default()) })
                })
            }

            fn write(&self, out: &mut bytes::BytesMut) {
                out.extend_from_slice(&self.text);
            }
        }
    };
}

/// `text` is parameters, of which the first has no semicolon.
fn with_param(
    header: HeaderName<'static>,
    text: &[u8],
    name: &str,
    value: Option<&str>,
) -> Result<Vec<u8>, HeaderError> {
    let with_semicolon = [b";", text].concat();
    let build = || {
        // Refuses what is too long for a span.
        Cursor::new(&with_semicolon)?;
        let all = Span::new(0, with_semicolon.len());
        params::with_param(&with_semicolon, all, name, value)
    };
    let mut text = build().map_err(|fault| HeaderError::from_fault(header, fault))?;
    text.remove(0);
    Ok(text)
}

params_header!(PChargingVector, false,
    // RFC 7315 §5.6: "P-Charging-Vector  = "P-Charging-Vector" HCOLON icid-value *(SEMI
    // charge-params)"
    |text, first| match scan::same(first.name.of(text), b"icid-value") && first.value.is_some_and(|value| !value.is_empty()) {
        true => Ok(()),
        false => Err(Fault { kind: HeaderErrorKind::Parameter, at: first.name.start.into() }),
    },
/// P-Charging-Vector: what the charging records of one call have in common (RFC 7315 §4.6, §5.6).
///
/// ```
/// use sip_message::{Header, PChargingVector};
/// let vector = PChargingVector::parse(
///     b"icid-value=1234bc9876e; icid-generated-at=192.0.6.8; orig-ioi=home1.net",
/// )?;
/// assert_eq!(vector.icid_value(), "1234bc9876e");
/// assert_eq!(vector.orig_ioi().as_deref(), Some("home1.net"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl PChargingVector<'_> {
    /// `icid-value=icid`
    ///
    /// # Errors
    /// The value must be without CR and LF.
    pub fn new(icid: &str) -> Result<PChargingVector<'static>, HeaderError> {
        let mut text = Vec::new();
        params::write_param(&mut text, "icid-value", Some(icid))
            .map_err(|fault| HeaderError::from_fault(HeaderName::PChargingVector, fault))?;
        Self::from_vec(text)
    }

    /// `icid-value`: the name of the call in the charging records.
    pub fn icid_value(&self) -> Cow<'_, str> {
        // The first parameter: checked when it was parsed.
        self.value("icid-value").unwrap_or_default()
    }

    /// `icid-generated-at`: the proxy that gave the call its name; `None` also if it is no host.
    pub fn icid_generated_at(&self) -> Option<Host<'_>> {
        Host::from_bytes(self.param("icid-generated-at")?.raw_value()?)
    }

    /// `orig-ioi`: the operator that the call comes from.
    pub fn orig_ioi(&self) -> Option<Cow<'_, str>> {
        self.value("orig-ioi")
    }

    /// `term-ioi`: the operator that the call goes to.
    pub fn term_ioi(&self) -> Option<Cow<'_, str>> {
        self.value("term-ioi")
    }

    /// `transit-ioi`: the operators between them as a list, `name.index` or `void` each.
    pub fn transit_ioi(&self) -> Option<Cow<'_, str>> {
        self.value("transit-ioi")
    }

    /// `related-icid`: the name of another call leg that belongs to this one.
    pub fn related_icid(&self) -> Option<Cow<'_, str>> {
        self.value("related-icid")
    }

    /// `related-icid-generated-at`: the proxy that gave that leg its name; `None` also if it is no
    /// host.
    pub fn related_icid_generated_at(&self) -> Option<Host<'_>> {
        Host::from_bytes(self.param("related-icid-generated-at")?.raw_value()?)
    }
}

params_header!(PChargingFunctionAddresses, true, |_, _| Ok(()),
/// One P-Charging-Function-Addresses value: who collects the charging records
/// (RFC 7315 §4.5, §5.5).
///
/// ```
/// use sip_message::{Header, PChargingFunctionAddresses};
/// let collectors = PChargingFunctionAddresses::parse(b"ccf=192.0.8.1; ecf=192.0.8.3")?;
/// assert_eq!(collectors.ccf().as_deref(), Some("192.0.8.1"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl PChargingFunctionAddresses<'_> {
    /// One parameter, such as `ccf=address`.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF.
    pub fn new(
        name: &str,
        address: &str,
    ) -> Result<PChargingFunctionAddresses<'static>, HeaderError> {
        let mut text = Vec::new();
        let error = |fault| HeaderError::from_fault(HeaderName::PChargingFunctionAddresses, fault);
        params::write_param(&mut text, name, Some(address)).map_err(error)?;
        Self::from_vec(text)
    }

    /// `ccf`: the charging collection function, for offline charging.
    pub fn ccf(&self) -> Option<Cow<'_, str>> {
        self.value("ccf")
    }

    /// `ecf`: the event charging function, for online charging.
    pub fn ecf(&self) -> Option<Cow<'_, str>> {
        self.value("ecf")
    }

    /// `ccf-2`: the collection function to use when the first does not answer.
    pub fn ccf_2(&self) -> Option<Cow<'_, str>> {
        self.value("ccf-2")
    }

    /// `ecf-2`: the event charging function to use when the first does not answer.
    pub fn ecf_2(&self) -> Option<Cow<'_, str>> {
        self.value("ecf-2")
    }
}
