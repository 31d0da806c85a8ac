//! What a header's grammar says of the parameters that it names.

use alloc::vec::Vec;

use crate::HeaderErrorKind;
use crate::scan::{self, Cursor, Fault, Span, TOKEN};

/// One parameter that a header names: it may stand once, and its value is of a kind. All other
/// parameters are `generic-param`s and are taken as they come.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// In lower case.
    name: &'static str,
    /// Whether what stands after `=` will do; `None` if there is no `=`.
    fits: fn(Option<&[u8]>) -> bool,
    quoted: bool,
    required: bool,
}

impl Rule {
    /// A parameter whose value `fits`; it gets the value as it is written, quotes and all.
    pub(super) const fn new(name: &'static str, fits: fn(Option<&[u8]>) -> bool) -> Self {
        Self { name, fits, quoted: false, required: false }
    }

    /// `name`, without a value.
    pub(super) const fn flag(name: &'static str) -> Self {
        Self::new(name, |value| value.is_none())
    }

    /// `name=token`
    pub(super) const fn token(name: &'static str) -> Self {
        Self::new(name, |value| value.is_some_and(|value| scan::all(value, TOKEN)))
    }

    /// `name=1*DIGIT`, of 32 bits at most.
    pub(super) const fn number(name: &'static str) -> Self {
        Self::new(name, |value| value.is_some_and(|value| scan::whole_number(value).is_some()))
    }

    /// `name="quoted string"`
    pub(super) const fn quoted(name: &'static str) -> Self {
        let fits: fn(Option<&[u8]>) -> bool =
            |value| value.is_some_and(|v| v.first() == Some(&b'"'));
        Self { quoted: true, ..Self::new(name, fits) }
    }

    /// The same, and the header is nothing without it.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// All that is left of a value: parameters, held to `rules` (at most 32). What they span.
pub(super) fn params(text: &[u8], cursor: &mut Cursor<'_>, rules: &[Rule]) -> Result<Span, Fault> {
    let mut seen: u32 = 0;
    let span = cursor.params(|param| {
        let name = param.name.of(text);
        let same = |rule: &Rule| name.eq_ignore_ascii_case(rule.name.as_bytes());
        let Some((place, rule)) = rules.iter().enumerate().find(|(_, rule)| same(rule)) else {
            return Ok(());
        };
        let at = param.name.start.into();
        // RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once"
        if seen & bit(place) != 0 {
            return Err(Fault { kind: HeaderErrorKind::DuplicateParameter, at });
        }
        seen |= bit(place);
        if (rule.fits)(param.value.map(|value| value.of(text))) {
            Ok(())
        } else {
            Err(Fault { kind: HeaderErrorKind::Parameter, at })
        }
    })?;
    let missing = |(place, rule): (usize, &Rule)| rule.required && seen & bit(place) == 0;
    // Where something else follows, that is what is wrong.
    let ends = matches!(cursor.peek(), None | Some(b','));
    if ends && rules.iter().enumerate().any(missing) {
        return Err(Fault { kind: HeaderErrorKind::Parameter, at: span.end.into() });
    }
    Ok(span)
}

/// `text` with this parameter in place of the first of its name, or after the last: in quotes if
/// `rules` say so, or if it is neither a token nor a host. `span` is what the parameters of `text`
/// span.
pub(super) fn with_param(
    text: &[u8],
    span: Span,
    rules: &[Rule],
    name: &str,
    value: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let quoted = rules.iter().any(|rule| rule.quoted && rule.name.eq_ignore_ascii_case(name));
    match value {
        Some(value) if quoted => crate::params::with_quoted_param(text, span, name, value),
        value => crate::params::with_param(text, span, name, value),
    }
}

/// One bit for each rule.
#[expect(clippy::cast_possible_truncation, reason = "a header has a handful of rules")]
fn bit(place: usize) -> u32 {
    1u32.wrapping_shl(place as u32)
}
