use core::fmt;

use bytes::BytesMut;

use super::address::built;
use crate::name_addr::Form;
use crate::params::{Param, Params};
use crate::scan::{self, Cursor};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName, NameAddr, Uri};

/// One Contact value: where its sender can be reached, or `*` (RFC 3261 §20.10).
///
/// ```
/// use sip_message::{Contact, Header};
/// let contact = Contact::parse(b"\"Mr. Watson\" <sip:watson@example.com>;q=0.7;expires=3600")?;
/// assert_eq!((contact.q().map(|q| q.thousandths()), contact.expires()), (Some(700), Some(3600)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact<'a>(Option<NameAddr<'a>>);

impl<'a> Contact<'a> {
    /// `*`: all bindings of a registration (RFC 3261 §10.2.2).
    pub const STAR: Contact<'static> = Contact(None);

    /// `<uri>` without display name and parameters.
    pub fn new(uri: &Uri<'_>) -> Contact<'static> {
        Contact(Some(NameAddr::new(uri)))
    }

    /// Whether this is `*`.
    pub fn is_star(&self) -> bool {
        self.0.is_none()
    }

    /// The address with its parameters; `None` for `*`.
    pub fn as_name_addr(&self) -> Option<&NameAddr<'a>> {
        self.0.as_ref()
    }

    /// The address with its parameters; `None` for `*`.
    pub fn into_name_addr(self) -> Option<NameAddr<'a>> {
        self.0
    }

    /// The URI; `None` for `*`.
    pub fn uri(&self) -> Option<Uri<'_>> {
        self.0.as_ref().map(NameAddr::uri)
    }

    /// The parameters in order.
    pub fn params(&self) -> Params<'_> {
        self.0.as_ref().map_or(Params::new(b""), NameAddr::params)
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// The preference; `None` also if it is malformed.
    pub fn q(&self) -> Option<QValue> {
        QValue::of(self.params())
    }

    /// The `expires` parameter in seconds, `None` if there is none. One that is malformed or above
    /// 32 bits counts as 3600.
    // RFC 3261 §10.2.1.1: "Malformed values SHOULD be treated as equivalent to 3600."
    pub fn expires(&self) -> Option<u32> {
        let value = self.param("expires")?.raw_value().unwrap_or_default();
        Some(scan::whole_number(value).unwrap_or(3600))
    }

    /// With this parameter in place of the first of its name, or at the end.
    ///
    /// # Errors
    /// The name must be a token, the value without CR and LF; `*` takes no parameters.
    pub fn with_param(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Contact<'static>, HeaderError> {
        self.edited(|address| address.with_param(name, value))
    }

    /// With an address that `edit` makes of this one; `*` has none.
    pub(super) fn edited(
        &self,
        edit: impl FnOnce(&NameAddr<'_>) -> Result<NameAddr<'static>, HeaderErrorKind>,
    ) -> Result<Contact<'static>, HeaderError> {
        let edited = self.0.as_ref().ok_or(HeaderErrorKind::Trailing).and_then(edit);
        built(HeaderName::Contact, edited).map(|address| Contact(Some(address)))
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Contact<'static> {
        Contact(self.0.map(NameAddr::into_owned))
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> Contact<'static> {
        self.clone().into_owned()
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(b"*", |address| address.as_bytes())
    }
}

impl<'a> From<NameAddr<'a>> for Contact<'a> {
    fn from(address: NameAddr<'a>) -> Self {
        Self(Some(address))
    }
}

impl fmt::Display for Contact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::header::fmt_bytes(self.as_bytes(), f)
    }
}

impl<'a> Header<'a> for Contact<'a> {
    const NAME: HeaderName<'static> = HeaderName::Contact;
    const LIST: bool = true;

    #[inline(always)]
    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        let parse = || {
            let mut cursor = Cursor::new(field)?;
            cursor.skip_lws();
            if cursor.eat(b'*') {
                let after = cursor;
                cursor.skip_lws();
                if cursor.is_end() {
                    return Ok((Self(None), None));
                }
                // `*bob <sip:…>` is a display name; a list or parameters `*` cannot have.
                if matches!(cursor.peek(), Some(b',' | b';')) {
                    return Err(after.fault(HeaderErrorKind::Trailing));
                }
            }
            let (address, next) = NameAddr::parse_first(field, Form::Any)?;
            Ok((Self(Some(address)), next))
        };
        parse().map_err(|fault| HeaderError::from_fault(Self::NAME, fault))
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.as_bytes());
    }
}

/// A preference from 0 to 1 in steps of a thousandth (`qvalue`, RFC 3261 §25.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QValue(u16);

impl QValue {
    /// 1: where nothing is said.
    pub const ONE: Self = Self(1000);

    /// From thousandths; `None` above 1000.
    pub const fn new(thousandths: u16) -> Option<Self> {
        if thousandths <= 1000 { Some(Self(thousandths)) } else { None }
    }

    /// In thousandths: 0 to 1000.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// The `q` parameter, if it is there and well-formed.
    pub(super) fn of(mut params: Params<'_>) -> Option<Self> {
        Self::parse(params.find(|param| param.is("q"))?.raw_value()?)
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (whole, decimals) = match text {
            [b'0'] => return Some(Self(0)),
            [b'1'] => return Some(Self::ONE),
            [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => {
                (u16::from(*whole == b'1'), decimals)
            }
            _ => return None,
        };
        let mut thousandths = whole;
        for at in 0..3 {
            let digit = decimals.get(at).copied().unwrap_or(b'0');
            if !digit.is_ascii_digit() {
                return None;
            }
            let digit = u16::from(digit.wrapping_sub(b'0'));
            thousandths = thousandths.checked_mul(10)?.checked_add(digit)?;
        }
        Self::new(thousandths)
    }
}

impl fmt::Display for QValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) => {
                let mut digits = [b'0'; 3];
                let mut left = part;
                for digit in digits.iter_mut().rev() {
                    *digit = b'0'.wrapping_add(u8::try_from(left % 10).unwrap_or(0));
                    left /= 10;
                }
                write!(f, "{whole}.{}", scan::ascii(&digits).trim_end_matches('0'))
            }
        }
    }
}
