//! Feature parameters: what a user agent or proxy can do, or what a caller wants of one
//! (RFC 3840 §9, RFC 6809 §6.3).

use alloc::borrow::Cow;

use crate::params::{Param, Params};

/// One feature parameter, such as `audio`, `mobility="mobile"` or `+sip.newparam`.
///
/// ```
/// use sip_message::{AcceptContact, FeatureKind, Header};
/// let wanted = AcceptContact::parse(b"*;video;methods=\"INVITE,!MESSAGE\";+a.b=\"#<=5\";q=0.3")?;
/// let methods = wanted.feature("methods").expect("it has one");
/// let values: Vec<_> = methods.values().map(|v| (v.is_negated(), v.kind())).collect();
/// assert_eq!(values, [(false, FeatureKind::Token("INVITE")), (true, FeatureKind::Token("MESSAGE"))]);
/// assert_eq!(wanted.features().count(), 3); // `q` is no feature
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature<'a> {
    name: &'a str,
    value: Option<Cow<'a, str>>,
}

/// The feature tags that are written without a plus (`base-tags`, RFC 3840 §9).
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

impl<'a> Feature<'a> {
    /// Of a parameter; `None` if its name is no feature tag.
    pub(super) fn of(param: Param<'a>) -> Option<Self> {
        let base = BASE_TAGS.iter().any(|tag| param.is(tag));
        (base || param.name().starts_with('+'))
            .then(|| Self { name: param.name(), value: param.value() })
    }

    /// The tag as it is written: `audio`, `+sip.newparam`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Whether this is the tag, as it is written in a message, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// What stands in the quotes; `None` if there is no value, which means true.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The values in order: one of them must hold. A tag without any is true.
    pub fn values(&self) -> FeatureValues<'_> {
        FeatureValues { rest: Some(self.value.as_deref().unwrap_or("TRUE")) }
    }
}

/// The features among `params`.
pub(super) fn features(params: Params<'_>) -> impl Iterator<Item = Feature<'_>> {
    params.filter_map(Feature::of)
}

/// The values of one [`Feature`], in order.
#[derive(Clone, Debug)]
pub struct FeatureValues<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for FeatureValues<'a> {
    type Item = FeatureValue<'a>;

    fn next(&mut self) -> Option<FeatureValue<'a>> {
        let rest = self.rest.take()?;
        if let Some(text) = rest.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            // One string; its commas are its own.
            return Some(FeatureValue { negated: false, kind: FeatureKind::String(text) });
        }
        let (first, more) = match rest.split_once(',') {
            Some((first, more)) => (first, Some(more)),
            None => (rest, None),
        };
        self.rest = more;
        let first = first.trim();
        let (negated, text) = match first.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, first),
        };
        Some(FeatureValue { negated, kind: FeatureKind::of(text) })
    }
}

/// One value of a [`Feature`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureValue<'a> {
    negated: bool,
    kind: FeatureKind<'a>,
}

impl<'a> FeatureValue<'a> {
    /// Whether it stands for all values but this one: `!`.
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// The value.
    pub fn kind(&self) -> FeatureKind<'a> {
        self.kind
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
    /// `<…>`: a string, compared as it is.
    String(&'a str),
    /// `#=5`
    Equal(f64),
    /// `#>=5`
    AtLeast(f64),
    /// `#<=5`
    AtMost(f64),
    /// `#-4:+5.125`: from the one to the other, both included.
    Between(f64, f64),
}

impl<'a> FeatureKind<'a> {
    fn of(text: &'a str) -> Self {
        if text.eq_ignore_ascii_case("TRUE") {
            Self::Boolean(true)
        } else if text.eq_ignore_ascii_case("FALSE") {
            Self::Boolean(false)
        } else {
            text.strip_prefix('#').and_then(Self::numeric).unwrap_or(Self::Token(text))
        }
    }

    /// `numeric` without its `#`.
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
        let (from, to) = text.split_once(':')?;
        Some(Self::Between(number(from)?, number(to)?))
    }
}

// RFC 3840 §9: "number          =  [ "+" / "-" ] 1*DIGIT ["." 0*DIGIT]"
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number =
        !whole.is_empty() && whole.bytes().chain(decimals.bytes()).all(|b| b.is_ascii_digit());
    // RFC 3840 §9: "Any numbers present in a feature parameter MUST be representable using an
    // ANSI C double."
    if is_number { text.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}
