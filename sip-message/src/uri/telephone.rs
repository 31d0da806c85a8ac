//! Telephone numbers: `tel` URIs, and the user part of SIP URIs with `user=phone` (RFC 3966,
//! RFC 3261 §19.1.6).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::parse::{SchemeKind, check_escapes};
use super::{Uri, UriError, UriErrorKind, UriParam, UriParams, build, compare, escape};
use crate::Host;
use crate::scan::{self, OPAQUE, Span, URI_PARAM_BUILT, USER_BUILT};

/// The most parameters that a telephone number may have: each is compared with each.
const MAX_PARAMS: usize = 32;

/// The parameters that RFC 3966 defines, in the order in which they must stand.
const EXT: &str = "ext";
const ISUB: &str = "isub";
const PHONE_CONTEXT: &str = "phone-context";

/// A telephone number with its parameters: `telephone-subscriber` of RFC 3966 §3, which is what
/// follows `tel:`, and what the user part of a SIP URI with `user=phone` holds.
///
/// ```
/// use sip_message::{PhoneContext, Uri};
///
/// let uri = Uri::parse(b"tel:863-1234;phone-context=+1-914-555")?;
/// let number = uri.telephone_subscriber()?.expect("a tel URI");
/// assert_eq!(number.digits(), "8631234");
/// assert_eq!(number.phone_context(), Some(PhoneContext::Global("+1-914-555")));
/// // RFC 3261 §19.1.6: to a SIP URI, and back.
/// let sip = Uri::sip("gw.example.com", None)?.with_telephone_subscriber(&number)?;
/// assert_eq!(
///     sip.as_str(),
///     "sip:863-1234;phone-context=+1-914-555@gw.example.com;user=phone"
/// );
/// assert_eq!(sip.telephone_subscriber()?, Some(number));
/// # Ok::<(), sip_message::UriError>(())
/// ```
///
/// Reading refuses what can be taken in two ways: a parameter that stands twice, an extension beside
/// a subaddress. A local number without its `phone-context` is read, since much of what is dialled
/// comes so; it means something only where it was dialled. Escapes are read wherever a SIP URI may
/// need them, also among the digits (`%23` for `#`).
///
/// Two numbers are `==` when they are equivalent by RFC 3966 §4: visual separators, case and the
/// order of parameters do not count.
#[derive(Clone)]
pub struct TelephoneSubscriber<'a> {
    text: Cow<'a, [u8]>,
    /// From the first `;` on.
    params: Span,
}

/// Where a local telephone number is valid: the `phone-context` of RFC 3966 §5.1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneContext<'a> {
    /// The first digits of global numbers, such as `+1-914-555`.
    Global(&'a str),
    /// A domain name.
    Domain(&'a str),
}

impl<'a> TelephoneSubscriber<'a> {
    /// Reads what takes up all of `text`: of a `tel` URI what follows its colon, of a SIP URI its
    /// user part as it is written.
    ///
    /// # Errors
    /// What is wrong and where. Text longer than 65,535 bytes and more than 32 parameters are
    /// refused.
    pub fn parse(text: &'a [u8]) -> Result<Self, UriError> {
        let params = read(text)?;
        Ok(Self { text: Cow::Borrowed(text), params })
    }

    /// A global number, such as `+1-201-555-0123`: `+`, digits, and separators to the eye.
    ///
    /// # Errors
    /// [`UriErrorKind::Number`] if it is none.
    pub fn global(number: &str) -> Result<TelephoneSubscriber<'static>, UriError> {
        if !number.starts_with('+') {
            return Err(UriError::new(UriErrorKind::Number, 0));
        }
        Self::number_alone(number)
    }

    /// A local number with the context that it is valid in: a domain name, or the first digits of
    /// global numbers (RFC 3966 §5.1.5).
    ///
    /// # Errors
    /// [`UriErrorKind::Number`] if `number` is none or is global, [`UriErrorKind::Parameter`] if
    /// `context` is none.
    // RFC 3966 §5.1.5: "Local numbers MUST have a 'phone-context' parameter that identifies the
    // scope of their validity."
    pub fn local(number: &str, context: &str) -> Result<TelephoneSubscriber<'static>, UriError> {
        if number.starts_with('+') {
            return Err(UriError::new(UriErrorKind::Number, 0));
        }
        let number = Self::number_alone(number)?;
        number.with_raw_param(PHONE_CONTEXT, Some(context.as_bytes()))
    }

    fn number_alone(number: &str) -> Result<TelephoneSubscriber<'static>, UriError> {
        match memchr::memchr2(b';', b'%', number.as_bytes()) {
            Some(at) => Err(UriError::new(UriErrorKind::Number, at)),
            None => Self::from_vec(number.as_bytes().to_vec()),
        }
    }

    fn from_vec(text: Vec<u8>) -> Result<TelephoneSubscriber<'static>, UriError> {
        let params = read(&text)?;
        Ok(TelephoneSubscriber { text: Cow::Owned(text), params })
    }

    /// With this extension, digits and separators, in place of one there may be (RFC 3966 §5.3).
    ///
    /// # Errors
    /// [`UriErrorKind::Parameter`] if it is none, or if there is an ISDN subaddress.
    pub fn with_extension(
        &self,
        extension: &str,
    ) -> Result<TelephoneSubscriber<'static>, UriError> {
        self.with_raw_param(EXT, Some(extension.as_bytes()))
    }

    /// With this ISDN subaddress, escaped where it needs it, in place of one there may be
    /// (RFC 3966 §5.2).
    ///
    /// # Errors
    /// [`UriErrorKind::Parameter`] if it is empty, or if there is an extension.
    pub fn with_isdn_subaddress(
        &self,
        subaddress: &str,
    ) -> Result<TelephoneSubscriber<'static>, UriError> {
        self.with_param(ISUB, Some(subaddress))
    }

    /// With this parameter, escaped where it needs it, in place of the one of its name; in
    /// [`canonical`](Self::canonical) form.
    ///
    /// # Errors
    /// [`UriErrorKind::Parameter`] if the name is not made of letters, digits and `-`, or the value
    /// is empty or not what that parameter's must be; and for more than 32 parameters.
    pub fn with_param(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<TelephoneSubscriber<'static>, UriError> {
        if name.eq_ignore_ascii_case(PHONE_CONTEXT) || name.eq_ignore_ascii_case(EXT) {
            return self.with_raw_param(name, value.map(str::as_bytes));
        }
        let escaped = value.map(|value| {
            let mut out = Vec::new();
            // RFC 3966 §3: "If the reserved characters "+", ";", "=", and "?" are used as
            // delimiters between components of the "tel" URI, they MUST NOT be percent encoded.
            // These characters MUST be percent encoded if they appear in tel URI parameter values."
            for part in value.split_inclusive('+') {
                let text = part.strip_suffix('+').unwrap_or(part);
                escape::encode(&mut out, text, URI_PARAM_BUILT);
                if text.len() != part.len() {
                    out.extend_from_slice(b"%2B");
                }
            }
            out
        });
        self.with_raw_param(name, escaped.as_deref())
    }

    fn with_raw_param(
        &self,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<TelephoneSubscriber<'static>, UriError> {
        let mut out = self.number_bytes().to_vec();
        for param in self.params().filter(|param| !param.is(name)) {
            build::raw_item(&mut out, b';', param);
        }
        let at = out.len();
        if !is_name(name.as_bytes()) || value.is_some_and(|value| value.contains(&b';')) {
            return Err(UriError::new(UriErrorKind::Parameter, at));
        }
        build::raw_item(&mut out, b';', UriParam { raw_name: name.as_bytes(), raw_value: value });
        Ok(TelephoneSubscriber::from_vec(out)?.canonical())
    }

    /// Whether this is a global number: one that begins with `+`.
    pub fn is_global(&self) -> bool {
        self.text.first() == Some(&b'+')
    }

    /// The number as it is written, visual separators and all.
    pub fn number(&self) -> &str {
        scan::ascii(self.number_bytes())
    }

    fn number_bytes(&self) -> &[u8] {
        self.text.get(..self.params.start.into()).unwrap_or_default()
    }

    /// The number without visual separators and escapes; a global one with its `+`.
    pub fn digits(&self) -> Cow<'_, str> {
        let number = self.number_bytes();
        if number.iter().all(|&byte| byte != b'%' && !is_separator(byte)) {
            return Cow::Borrowed(scan::ascii(number));
        }
        Cow::Owned(significant_digits(number).map(char::from).collect())
    }

    /// The parameters in order.
    pub fn params(&self) -> UriParams<'_> {
        UriParams { rest: self.params.of(&self.text), separator: b';' }
    }

    /// The parameter of that name, compared without regard to case.
    pub fn param(&self, name: &str) -> Option<UriParam<'_>> {
        self.params().find(|param| param.is(name))
    }

    /// The context that a local number is valid in.
    pub fn phone_context(&self) -> Option<PhoneContext<'_>> {
        let value = self.param(PHONE_CONTEXT)?.value()?;
        Some(match value.starts_with('+') {
            true => PhoneContext::Global(value),
            false => PhoneContext::Domain(value),
        })
    }

    /// The extension as it is written (RFC 3966 §5.3).
    pub fn extension(&self) -> Option<&str> {
        self.param(EXT)?.value()
    }

    /// The ISDN subaddress without its escapes (RFC 3966 §5.2).
    pub fn isdn_subaddress(&self) -> Option<Cow<'_, str>> {
        self.param(ISUB)?.value_decoded()
    }

    /// The mandatory parameters besides `phone-context`: a number with one that is not understood
    /// must not be used.
    // RFC 3966 §5.4: "An implementation MAY ignore optional parameters and MUST NOT use the URI if
    // it contains unknown mandatory parameters."
    pub fn mandatory_params(&self) -> impl Iterator<Item = UriParam<'_>> {
        // RFC 3966 §5.4: "Mandatory parameters start with "m-"."
        self.params().filter(|param| {
            param.raw_name.split_at_checked(2).is_some_and(|(m, _)| scan::same(m, b"m-"))
        })
    }

    /// The same number in the one form that equivalent numbers share but for their visual
    /// separators: in lower case, without needless escapes, and the parameters in their order.
    pub fn canonical(&self) -> TelephoneSubscriber<'static> {
        let mut params: Vec<(u8, String, UriParam<'_>)> = self
            .params()
            .map(|param| {
                let name = param.name_decoded().to_ascii_lowercase();
                // RFC 3966 §3: "The 'isdn-subaddress' or 'extension' MUST appear first, if present,
                // followed by the 'context' parameter, if present, followed by any other parameters
                // in lexicographical order."
                let rank = match &*name {
                    ISUB | EXT => 0,
                    PHONE_CONTEXT => 1,
                    _ => 2,
                };
                (rank, name, param)
            })
            .collect();
        params.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut out = Vec::with_capacity(self.text.len());
        // `#` is a digit there, but must be escaped in a SIP URI.
        write_folded(&mut out, self.number_bytes(), b"#");
        let start = out.len();
        for (_, name, param) in params {
            out.push(b';');
            out.extend_from_slice(name.as_bytes());
            if let Some(value) = param.raw_value {
                out.push(b'=');
                write_folded(&mut out, value, b"");
            }
        }
        // Never longer than what was read.
        let params = Span::new(start, out.len());
        TelephoneSubscriber { text: Cow::Owned(out), params }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        scan::ascii(&self.text)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> TelephoneSubscriber<'static> {
        TelephoneSubscriber { text: Cow::Owned(self.text.into_owned()), params: self.params }
    }

    /// A copy with a text of its own.
    pub fn to_static(&self) -> TelephoneSubscriber<'static> {
        self.clone().into_owned()
    }
}

impl Uri<'_> {
    /// The telephone number that this is: of a `tel` URI, or of a `sip` or `sips` URI with
    /// `user=phone`; `None` for all others.
    ///
    /// Without `user=phone` a user part may be a number too, where the one who made the URI names
    /// users so: [`TelephoneSubscriber::parse`] reads it.
    ///
    /// # Errors
    /// What is wrong with the number and where: bytes from the start of the URI.
    pub fn telephone_subscriber(&self) -> Result<Option<TelephoneSubscriber<'_>>, UriError> {
        let (text, start) = match self.parts.scheme {
            SchemeKind::Tel => {
                (self.opaque().as_bytes(), usize::from(self.parts.colon).saturating_add(1))
            }
            SchemeKind::Sip | SchemeKind::Sips => {
                let phone = |value: Cow<'_, str>| value.eq_ignore_ascii_case("phone");
                match self.parts.user.filter(|_| self.user_param().is_some_and(phone)) {
                    Some(user) => (user.of(&self.text), user.start.into()),
                    None => return Ok(None),
                }
            }
            SchemeKind::Other => return Ok(None),
        };
        let at =
            |error: UriError| UriError::new(error.kind(), error.offset().saturating_add(start));
        TelephoneSubscriber::parse(text).map(Some).map_err(at)
    }

    /// The `tel` URI of that number, in [canonical](TelephoneSubscriber::canonical) form.
    ///
    /// # Errors
    /// [`UriErrorKind::TooLong`].
    pub fn tel(number: &TelephoneSubscriber<'_>) -> Result<Uri<'static>, UriError> {
        Uri::from_vec([b"tel:", &number.canonical().text[..]].concat())
    }

    /// With that number, in [canonical](TelephoneSubscriber::canonical) form, in place of user and
    /// password, and `user=phone`: how a `tel` URI becomes a SIP URI (RFC 3261 §19.1.6).
    ///
    /// # Errors
    /// For URIs other than `sip` and `sips`, and what grows too long.
    // RFC 3261 §19.1.6: "the entire telephone-subscriber portion of the tel URL, including any
    // parameters, is placed into the userinfo part of the SIP or SIPS URI."
    //
    // RFC 3261 §19.1.6: "elements constructing telephone-subscriber fields to place in the userinfo
    // part of a SIP or SIPS URI SHOULD fold any case-insensitive portion of telephone-subscriber to
    // lower case, and order the telephone-subscriber parameters lexically by parameter name,
    // excepting isdn-subaddress and post-dial, which occur first and in that order."
    //
    // Where the two RFCs differ on the order, RFC 3966 is the later one: it has no post-dial.
    pub fn with_telephone_subscriber(
        &self,
        number: &TelephoneSubscriber<'_>,
    ) -> Result<Uri<'static>, UriError> {
        let mut user = Vec::new();
        // RFC 3261 §19.1.2: "Any characters occurring in a telephone-subscriber that do not appear
        // in an expansion of the BNF for the user rule MUST be escaped."
        escape::encode_rest(&mut user, &number.canonical().text, USER_BUILT);
        self.with_raw_user(user)?.with_password(None)?.with_param("user", Some("phone"))
    }
}

/// Reads all of `text`; where its parameters are.
fn read(text: &[u8]) -> Result<Span, UriError> {
    let error = |kind, at| Err(UriError::new(kind, at));
    if text.len() > scan::MAX_TEXT {
        return error(UriErrorKind::TooLong, scan::MAX_TEXT);
    }
    let odd = scan::after(text, OPAQUE).len();
    if odd != 0 {
        return error(UriErrorKind::Character, text.len().saturating_sub(odd));
    }
    check_escapes(text, Span::new(0, text.len()))?;
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    let number = text.get(..end).unwrap_or_default();
    let digits = number.strip_prefix(b"+").unwrap_or(number);
    let lead = number.len().saturating_sub(digits.len());
    if let Some(at) = bad_digit(digits, lead != 0) {
        return error(UriErrorKind::Number, lead.saturating_add(at));
    }
    if significant_digits(digits).next().is_none() {
        return error(UriErrorKind::Number, end);
    }
    let span = Span::new(end, text.len());
    let params = UriParams { rest: span.of(text), separator: b';' };
    let mut at = end.saturating_add(1);
    for (index, param) in params.clone().enumerate() {
        let mut before = params.clone().take(index);
        // RFC 3966 §3: "Each parameter name ("pname"), the ISDN subaddress, the 'extension', and
        // the 'context' MUST NOT appear more than once."
        //
        // RFC 3966 §5.3: "At most, one of the 'isdn-subaddress' and 'extension' parameters can
        // appear in a "tel" URI"
        let station = |param: &UriParam<'_>| param.is(EXT) || param.is(ISUB);
        let clashes =
            |other: UriParam<'_>| other.is(param.name()) || (station(&param) && station(&other));
        if index >= MAX_PARAMS || !is_well_formed(&param) || before.any(clashes) {
            return error(UriErrorKind::Parameter, at);
        }
        let value = param.raw_value.map_or(0, |value| value.len().saturating_add(1));
        at = at.saturating_add(param.raw_name.len()).saturating_add(value).saturating_add(1);
    }
    Ok(span)
}

/// `pname ["=" pvalue]`, and what the parameters of RFC 3966 must hold.
fn is_well_formed(param: &UriParam<'_>) -> bool {
    let value = param.raw_value;
    let valued = if param.is(PHONE_CONTEXT) {
        value.is_some_and(is_context)
    } else if param.is(EXT) {
        value.is_some_and(is_phone_digits)
    } else if param.is(ISUB) {
        value.is_some_and(|value| !value.is_empty())
    } else {
        value != Some(b"")
    };
    is_name(param.raw_name) && valued
}

/// `pname`
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `descriptor`: a domain name, or the first digits of global numbers.
fn is_context(value: &[u8]) -> bool {
    match value {
        [b'+', digits @ ..] => is_phone_digits(digits),
        name => matches!(Host::from_bytes(name), Some(Host::Name(_))),
    }
}

/// `*phonedigit DIGIT *phonedigit`
fn is_phone_digits(text: &[u8]) -> bool {
    bad_digit(text, true).is_none() && significant_digits(text).next().is_some()
}

/// Where the first byte is that is no digit of such a number and no visual separator.
fn bad_digit(text: &[u8], global: bool) -> Option<usize> {
    let mut at = 0usize;
    for (byte, escaped) in escape::bytes(text) {
        let digit = byte.is_ascii_digit()
            || is_separator(byte)
            || (!global && (byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#')));
        if !digit {
            return Some(at);
        }
        at = at.saturating_add(if escaped { 3 } else { 1 });
    }
    None
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// The digits that count, a leading `+` with them.
fn significant_digits(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    escape::bytes(text).map(|(byte, _)| byte).filter(|&byte| !is_separator(byte))
}

/// Writes `text` in lower case, without the escapes that mean nothing.
fn write_folded(out: &mut Vec<u8>, text: &[u8], dialled: &[u8]) {
    for (byte, escaped) in escape::bytes(text) {
        if escaped && !compare::is_unreserved(byte) && !dialled.contains(&byte) {
            escape::push(out, byte);
        } else {
            out.push(byte.to_ascii_lowercase());
        }
    }
}

impl PartialEq for TelephoneSubscriber<'_> {
    /// RFC 3966 §4.
    fn eq(&self, other: &TelephoneSubscriber<'_>) -> bool {
        // RFC 3966 §4: "Both must be either a 'local-number' or a 'global-number', i.e., start with
        // a '+'."
        // RFC 3966 §4: "The 'global-number-digits' and the 'local-number-digits' must be equal,
        // after removing all visual separators."
        same_digits(self.number_bytes(), other.number_bytes())
            // RFC 3966 §4: "If one URI has a parameter name not found in the other, the two URIs
            // are not equal."
            && self.params().count() == other.params().count()
            && self.params().all(|param| {
                other.param(param.name()).is_some_and(|found| same_value(&param, &found))
            })
    }
}

impl Eq for TelephoneSubscriber<'_> {}

// RFC 3966 §4: "URI comparisons are case-insensitive."
fn same_digits(a: &[u8], b: &[u8]) -> bool {
    let fold = |byte: u8| byte.to_ascii_lowercase();
    significant_digits(a).map(fold).eq(significant_digits(b).map(fold))
}

// RFC 3966 §4: "the 'phone-context' parameter value is compared as a host name if it is a
// 'domainname' or digit by digit if it is 'global-number-digits'."
fn same_value(a: &UriParam<'_>, b: &UriParam<'_>) -> bool {
    let (Some(left), Some(right)) = (a.raw_value, b.raw_value) else {
        return a.raw_value == b.raw_value;
    };
    let digits =
        a.is(EXT) || (left.starts_with(b"+") && right.starts_with(b"+") && a.is(PHONE_CONTEXT));
    if digits { same_digits(left, right) } else { compare::same_in_any_case(left, right) }
}

impl fmt::Display for TelephoneSubscriber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TelephoneSubscriber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TelephoneSubscriber({self})")
    }
}
