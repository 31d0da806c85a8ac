//! `kpml` (RFC 4730): keys that are pressed, told to who asked for a pattern of them.

mod dregex;
mod matcher;

use std::time::Duration;

pub use dregex::{DRegex, KeyPress};
pub use matcher::KpmlMatcher;

use crate::xml::{Element, Writer};
use crate::{BodyError, EventPackage};

const REQUEST: &str = "urn:ietf:params:xml:ns:kpml-request";
const RESPONSE: &str = "urn:ietf:params:xml:ns:kpml-response";
/// How many expressions a request may have.
const MAX_EXPRESSIONS: usize = 64;
/// How many positions they may have together: what one key costs.
const MAX_POSITIONS: usize = 1_024;
/// How long an enter key may be.
const MAX_ENTER_KEY: usize = 8;

/// What an application asks for: the body of a SUBSCRIBE for `kpml` (RFC 4730 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KpmlRequest {
    /// Whether the keys that are sent to us are meant, and not those that we send (RFC 4730 §3.7).
    pub reverse: bool,
    /// Whether the keys that were pressed before are to be forgotten.
    pub flush: bool,
    /// What follows a report.
    pub persist: Persist,
    /// How long to wait for another key when no expression matches yet. Default 4 s.
    pub inter_digit: Duration,
    /// How long when one matches, and another could match more. Default 1 s.
    pub critical_digit: Duration,
    /// How long when one matches, and only that could match more, or the enter key could follow. Default 0.5 s.
    pub extra_digit: Duration,
    /// How long a long press is, at least. Default 2.5 s.
    pub long: Duration,
    /// Whether keys pressed several times may count as long. It is read, and not obeyed.
    pub long_repeat: bool,
    /// Whether to report complete matches alone, wherever they begin.
    pub no_partial: bool,
    /// The keys that end the input at once, if there are such.
    pub enter_key: String,
    /// The expressions, the first of which goes before the others.
    pub expressions: Vec<KpmlExpression>,
}

/// One expression of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KpmlExpression {
    /// What the report is to say of it.
    pub tag: Option<String>,
    /// After these keys the rest is not to be heard by the peer (RFC 4730 §3.4).
    pub pre: Option<DRegex>,
    /// What is to be matched, after `pre`.
    pub keys: DRegex,
}

/// What follows a report (RFC 4730 §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Persist {
    /// The subscription ends.
    #[default]
    OneShot,
    /// The next match is reported as well.
    Persist,
    /// Keys are kept for the next request.
    SingleNotify,
}

impl KpmlRequest {
    /// The type of the body.
    pub const CONTENT_TYPE: &'static str = "application/kpml-request+xml";

    /// A request for one expression, all else as the RFC has it by default.
    ///
    /// # Errors
    /// Says what is wrong with the expression.
    pub fn one(expression: &str) -> Result<Self, BodyError> {
        let keys = DRegex::parse(expression)?;
        Ok(Self::of(vec![KpmlExpression { tag: None, pre: None, keys }]))
    }

    fn of(expressions: Vec<KpmlExpression>) -> Self {
        Self {
            reverse: false,
            flush: false,
            persist: Persist::OneShot,
            // RFC 4730 §3.2: "The default is 4000 milliseconds."
            inter_digit: Duration::from_millis(4000),
            // RFC 4730 §3.2: "The default is 1000 milliseconds."
            critical_digit: Duration::from_millis(1000),
            // RFC 4730 §3.2: "The
            // default is 500 milliseconds."
            extra_digit: Duration::from_millis(500),
            // RFC 4730 §3.3: "The
            // default length of the long attribute is 2500 milliseconds."
            long: Duration::from_millis(2500),
            long_repeat: false,
            no_partial: false,
            enter_key: String::new(),
            expressions,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// Says what is wrong with it: 501 is to be reported (RFC 4730 §4.7), for more than 64 expressions 534.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document(body, REQUEST, "kpml-request")?;
        root.required("version")?;
        let pattern = root.child("pattern").ok_or(BodyError::Missing("pattern"))?;
        let mut expressions = Vec::new();
        for regex in pattern.all("regex") {
            if expressions.len() >= MAX_EXPRESSIONS {
                return Err(BodyError::TooMany("expressions"));
            }
            let mut pres = regex.all("pre");
            let pre = pres.next().map(|pre| DRegex::parse(pre.text())).transpose()?;
            // RFC 4730 §3.4: "There MUST NOT be more than one <pre> tag in any given
            // <regex> tag."
            if pres.next().is_some() {
                return Err(BodyError::Invalid("pre"));
            }
            let tag = regex.attribute("tag").map(str::to_owned);
            expressions.push(KpmlExpression { tag, pre, keys: DRegex::parse(regex.text())? });
        }
        if expressions.is_empty() {
            return Err(BodyError::Missing("regex"));
        }
        let positions = expressions.iter().map(|it| {
            it.keys.positions().saturating_add(it.pre.as_ref().map_or(0, DRegex::positions))
        });
        if positions.sum::<usize>() > MAX_POSITIONS {
            return Err(BodyError::TooMany("repetitions"));
        }
        let enter_key = pattern.attribute("enterkey").unwrap_or_default();
        if enter_key.len() > MAX_ENTER_KEY || !enter_key.chars().all(dregex::is_key) {
            return Err(BodyError::Invalid("enterkey"));
        }
        let default = Self::of(expressions);
        Ok(Self {
            reverse: root.child("stream").is_some_and(|it| it.child("reverse").is_some()),
            // RFC 4730 §3.5: "If the User Interface receives a string it does not understand, it MUST
            // treat the string as a no-op."
            flush: pattern.child_text("flush") == Some("yes"),
            // RFC 4730 §3.3: "Any other value, including "one-shot", indicates
            // the request is a one-shot subscription."
            persist: match pattern.attribute("persist") {
                Some("persist") => Persist::Persist,
                Some("single-notify") => Persist::SingleNotify,
                Some(_) | None => Persist::OneShot,
            },
            inter_digit: millis(pattern, "interdigittimer")?.unwrap_or(default.inter_digit),
            critical_digit: millis(pattern, "criticaldigittimer")?
                .unwrap_or(default.critical_digit),
            extra_digit: millis(pattern, "extradigittimer")?.unwrap_or(default.extra_digit),
            long: millis(pattern, "long")?.unwrap_or(default.long),
            long_repeat: truth(pattern, "longrepeat")?,
            no_partial: truth(pattern, "nopartial")?,
            enter_key: enter_key.to_ascii_uppercase(),
            ..default
        })
    }

    /// Writes it. What is as by default is left out.
    pub fn render(&self) -> String {
        let mut writer = Writer::new();
        writer.begin("kpml-request", &[("xmlns", Some(REQUEST)), ("version", Some("1.0"))]);
        if self.reverse {
            writer.begin("stream", &[]);
            writer.leaf("reverse", &[], "");
            writer.end();
        }
        let default = Self::of(Vec::new());
        let timer = |value: Duration, default: Duration| {
            (value != default).then(|| value.as_millis().to_string())
        };
        let inter = timer(self.inter_digit, default.inter_digit);
        let critical = timer(self.critical_digit, default.critical_digit);
        let extra = timer(self.extra_digit, default.extra_digit);
        let long = timer(self.long, default.long);
        let persist = match self.persist {
            Persist::OneShot => None,
            Persist::Persist => Some("persist"),
            Persist::SingleNotify => Some("single-notify"),
        };
        let enter_key = Some(self.enter_key.as_str()).filter(|key| !key.is_empty());
        writer.begin(
            "pattern",
            &[
                ("persist", persist),
                ("interdigittimer", inter.as_deref()),
                ("criticaldigittimer", critical.as_deref()),
                ("extradigittimer", extra.as_deref()),
                ("long", long.as_deref()),
                ("longrepeat", self.long_repeat.then_some("true")),
                ("nopartial", self.no_partial.then_some("true")),
                ("enterkey", enter_key),
            ],
        );
        writer.leaf_if("flush", self.flush.then_some("yes"));
        for expression in &self.expressions {
            let tag = [("tag", expression.tag.as_deref())];
            let keys = expression.keys.to_string();
            match &expression.pre {
                None => writer.leaf("regex", &tag, &keys),
                Some(pre) => {
                    writer.begin("regex", &tag);
                    writer.leaf("pre", &[], &pre.to_string());
                    writer.text(&keys);
                    writer.end();
                }
            }
        }
        writer.finish()
    }
}

/// What is reported: the body of a NOTIFY for `kpml` (RFC 4730 §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KpmlResponse {
    /// What became of it (RFC 4730 §6): 200 for a match. Of codes that one does not know the first digit says it.
    pub code: u16,
    /// The same for people.
    pub text: String,
    /// The keys.
    pub digits: String,
    /// The tag of the expression that matched, if it has one.
    pub tag: Option<String>,
    /// Whether the peer did not hear keys that were to be suppressed.
    pub suppressed: bool,
    /// Whether keys were lost before for want of room.
    pub forced_flush: bool,
}

impl KpmlResponse {
    /// One of a code of RFC 4730 §6, with the text that stands there.
    pub fn of(code: u16) -> Self {
        let text = match code {
            200 => "OK",
            402 => "User Terminated without Match",
            423 => "Timer Expired",
            481 => "Dialog Not Found",
            487 => "Subscription Expired",
            501 => "Bad Document",
            502 => "Namespace Not Supported",
            531 => "Persistent Subscriptions Not Supported",
            532 => "Multiple Regular Expressions Not Supported",
            533 => "Multiple Subscriptions on a Dialog Not Supported",
            534 => "Too Many Regular Expressions",
            _ => "",
        };
        Self { code, text: text.to_owned(), ..Self::default() }
    }
}

impl EventPackage for KpmlResponse {
    const NAME: &'static str = "kpml";
    // RFC 4730 §4.4: "The default subscription duration for this event
    // package is 7200 seconds."
    const DEFAULT_EXPIRES: u32 = 7200;
    const CONTENT_TYPE: &'static str = "application/kpml-response+xml";
    const LEAST_INTERVAL: Option<Duration> = None;
    const FORKS: bool = false;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        // Its own example misspells the namespace (RFC 4730 §9.2): nobody else does.
        let root = Element::document(body, RESPONSE, "kpml-response")?;
        root.required("version")?;
        let code = root.required("code")?.trim();
        let code = code.parse().map_err(|_| BodyError::Invalid("code"))?;
        let forced = root.attribute("forced_flush").unwrap_or_default().trim();
        Ok(Self {
            code,
            text: root.required("text")?.to_owned(),
            digits: root.attribute("digits").unwrap_or_default().to_owned(),
            tag: root.attribute("tag").map(str::to_owned),
            suppressed: truth(&root, "suppressed")?,
            // RFC 4730 §3.5: "For future use, the Application MUST
            // consider any non-null value, other than "false", that it does not
            // understand to be the same as "true"."
            forced_flush: !matches!(forced, "" | "false"),
        })
    }

    fn render(&self) -> String {
        let mut writer = Writer::new();
        let code = self.code.to_string();
        writer.leaf(
            "kpml-response",
            &[
                ("xmlns", Some(RESPONSE)),
                ("version", Some("1.0")),
                // RFC 4730 §4.8: "KPML reports have two mandatory attributes, code and text."
                ("code", Some(&code)),
                ("text", Some(&self.text)),
                ("suppressed", self.suppressed.then_some("true")),
                ("forced_flush", self.forced_flush.then_some("true")),
                ("digits", Some(self.digits.as_str()).filter(|digits| !digits.is_empty())),
                ("tag", self.tag.as_deref()),
            ],
            "",
        );
        writer.finish()
    }
}

fn millis(element: &Element, name: &'static str) -> Result<Option<Duration>, BodyError> {
    Ok(element.number(name)?.map(|millis| Duration::from_millis(millis.into())))
}

fn truth(element: &Element, name: &'static str) -> Result<bool, BodyError> {
    match element.attribute(name).map(str::trim) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(BodyError::Invalid(name)),
    }
}

#[cfg(test)]
mod tests;
