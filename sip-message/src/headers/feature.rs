use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::HeaderErrorKind;
use crate::params::Param;
use crate::scan::{self, TOKEN};

/// A parameter that tells a capability: `audio`, `methods="INVITE,BYE"`, `+sip.instance="<urn:…>"`
/// (RFC 3840 §9).
///
/// ```
/// use sip_message::{AcceptContact, Header};
/// let contact = AcceptContact::parse(br#"*;audio;methods="INVITE,!REFER";actor="attendant";q=1"#)?;
/// let methods = contact.feature("methods").expect("it is there");
/// assert!(methods.allows("INVITE") && !methods.allows("REFER") && !methods.allows("INFO"));
/// assert!(contact.feature("audio").is_some_and(|audio| audio.is_true()));
/// assert_eq!(contact.params().features().count(), 3);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Feature<'a> {
    param: Param<'a>,
}

impl<'a> Feature<'a> {
    pub(crate) fn new(param: Param<'a>) -> Option<Self> {
        is_feature(param.name()).then_some(Self { param })
    }

    /// The name as it is written, with its `+` if it has one.
    pub fn name(&self) -> &'a str {
        self.param.name()
    }

    /// Whether this is the name, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.param.is(name)
    }

    /// The value without quotes and escapes; `None` if there is no `=`.
    pub fn value(&self) -> Option<Cow<'a, str>> {
        self.param.value()
    }

    /// Whether it is said to hold: no value, or one of `TRUE`.
    pub fn is_true(&self) -> bool {
        self.param.raw_value().is_none() || self.allows("TRUE")
    }

    /// The values of a list, in order; none of a string value.
    pub fn values(&self) -> impl Iterator<Item = FeatureValue<'a>> {
        let raw = match self.param.raw_value().unwrap_or_default() {
            [b'"', inner @ .., b'"'] => inner,
            unquoted => unquoted,
        };
        let list = if raw.first() == Some(&b'<') { &[][..] } else { raw };
        list.split(|&byte| byte == b',').filter_map(FeatureValue::new)
    }

    /// Whether `value` is in the list and not negated, without regard to case.
    pub fn allows(&self, value: &str) -> bool {
        let mut values = self.values();
        values.any(|listed| !listed.is_negated() && listed.as_str().eq_ignore_ascii_case(value))
    }

    /// The string value, without its angle brackets and escapes; `None` if it is none.
    pub fn string(&self) -> Option<Cow<'a, str>> {
        match self.value()? {
            Cow::Borrowed(text) => bracketed(text).map(Cow::Borrowed),
            Cow::Owned(text) => bracketed(&text).map(String::from).map(Cow::Owned),
        }
    }
}

impl fmt::Debug for Feature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "Feature({}={value:?})", self.name()),
            None => write!(f, "Feature({})", self.name()),
        }
    }
}

/// One value in the list of a [`Feature`]: a token, `TRUE`, `FALSE`, or a number such as `#>=5`, with
/// or without a `!` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureValue<'a> {
    negated: bool,
    text: &'a str,
}

impl<'a> FeatureValue<'a> {
    fn new(text: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(text.trim_ascii()).ok()?;
        let (negated, text) = match text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, text),
        };
        (!text.is_empty()).then_some(Self { negated, text })
    }

    /// Whether a `!` stands before it: anything but this.
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// The value as it is written, without its `!`.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// What the value is.
    ///
    /// ```
    /// use sip_message::{FeatureKind, Header, RejectContact};
    /// let slow = RejectContact::parse(br##"*;+sip.speed="#<=-0.5""##)?;
    /// let speed = slow.feature("+sip.speed").expect("it is there");
    /// assert_eq!(speed.values().next().map(|v| v.kind()), Some(FeatureKind::AtMost(-0.5)));
    /// # Ok::<(), sip_message::HeaderError>(())
    /// ```
    pub fn kind(&self) -> FeatureKind<'a> {
        if self.text.eq_ignore_ascii_case("TRUE") {
            FeatureKind::Boolean(true)
        } else if self.text.eq_ignore_ascii_case("FALSE") {
            FeatureKind::Boolean(false)
        } else {
            let numeric = self.text.strip_prefix('#').and_then(FeatureKind::numeric);
            numeric.unwrap_or(FeatureKind::Token(self.text))
        }
    }
}

/// What a [`FeatureValue`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FeatureKind<'a> {
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// A token, compared without regard to case; also what is none of the others.
    Token(&'a str),
    /// `#=5`
    Equal(f64),
    /// `#>=5`
    AtLeast(f64),
    /// `#<=5`
    AtMost(f64),
    /// `#-4:+5.125`: from the one to the other, both included.
    Between(f64, f64),
}

impl FeatureKind<'_> {
    /// `numeric-relation number`
    fn numeric(text: &str) -> Option<Self> {
        if let Some(text) = text.strip_prefix(">=") {
            return number(text).map(Self::AtLeast);
        }
        if let Some(text) = text.strip_prefix("<=") {
            return number(text).map(Self::AtMost);
        }
        if let Some(text) = text.strip_prefix('=') {
            return number(text).map(Self::Equal);
        }
        let (low, high) = text.split_once(':')?;
        Some(Self::Between(number(low)?, number(high)?))
    }
}

/// `base-tags`: those that have no `+`.
// RFC 3840 §9: "Feature parameters are identifiable because they either belong to the well known set
// of base feature tags, or they begin with a plus sign."
const BASE_TAGS: [&str; 20] = [
    "audio",
    "automata",
    "class",
    "duplex",
    "data",
    "control",
    "mobility",
    "description",
    "events",
    "priority",
    "methods",
    "schemes",
    "application",
    "video",
    "language",
    "type",
    "isfocus",
    "actor",
    "text",
    "extensions",
];

fn is_feature(name: &str) -> bool {
    name.starts_with('+') || BASE_TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name))
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

/// The text of a list of `values`, which belongs in quotes; `None` if there are none. Refuses a name
/// that is no feature tag's, and values that are none.
pub(super) fn list(name: &str, values: &[&str]) -> Result<Option<String>, HeaderErrorKind> {
    let fits = match name.strip_prefix('+') {
        Some(name) => name.starts_with(|first: char| first.is_ascii_alphabetic()),
        None => is_feature(name),
    };
    if !fits || !values.iter().all(|value| is_tag_value(value)) {
        return Err(HeaderErrorKind::Parameter);
    }
    Ok(if values.is_empty() { None } else { Some(values.join(",")) })
}

/// `["!"] (token-nobang / boolean / numeric)`
fn is_tag_value(value: &str) -> bool {
    let value = value.strip_prefix('!').unwrap_or(value);
    match value.strip_prefix('#') {
        Some(numeric) => FeatureKind::numeric(numeric).is_some(),
        None => scan::all(value.as_bytes(), TOKEN) && !value.contains('!'),
    }
}

// RFC 3840 §9: "number          =  [ "+" / "-" ] 1*DIGIT ["." 0*DIGIT]"
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = whole.bytes().chain(part.bytes());
    if whole.is_empty() || !all.all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // RFC 3840 §9: "Any numbers present in a feature parameter MUST be representable using an
    // ANSI C double."
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
