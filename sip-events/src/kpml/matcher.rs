//! What presses of keys lead to (RFC 4730 §3): a machine without clock.
//!
//! ```text
//!            load                       matched, nothing longer possible
//!   Idle ───────────► Collecting ─────────────────────────────► report, then by `persist`
//!    ▲                 │      ▲                                    OneShot       Over
//!    │ SingleNotify,   │ key  │ inter-digit, critical or           Persist       Collecting
//!    │ unload          └──────┘ extra timer, enter key             SingleNotify  Idle, which keeps keys
//! ```
//!
//! What was collected is looked at anew with each key, from its beginning: at most 64 keys by at most 1,024
//! positions.

use std::collections::VecDeque;
use std::time::Duration;

use super::dregex::{DRegex, KeyPress, States};
use super::{KpmlRequest, KpmlResponse, Persist};
use crate::BodyError;

/// How many keys are kept, collected or waiting for a request. More push out the oldest.
const MAX_KEYS: usize = 64;

/// Who matches keys for one subscription. All times are those since one moment, always the same, that its owner
/// chooses.
///
/// ```
/// use std::time::Duration;
/// use sip_events::{KeyPress, KpmlMatcher, KpmlRequest};
///
/// let mut matcher = KpmlMatcher::new();
/// let none = matcher.load(Duration::ZERO, KpmlRequest::one("*6[179#]")?)?;
/// assert!(none.is_empty());
/// let short = Duration::from_millis(100);
/// let press = |key| KeyPress::new(key, short).unwrap();
/// assert!(matcher.press(short, press('*')).is_empty());
/// assert!(matcher.press(short, press('6')).is_empty());
/// let reports = matcher.press(short, press('7'));
/// assert_eq!((reports[0].code, reports[0].digits.as_str()), (200, "*67"));
/// assert!(matcher.is_over());
/// # Ok::<(), sip_events::BodyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KpmlMatcher {
    request: Option<Box<Loaded>>,
    /// Those of the request that is being matched, or that wait for one.
    keys: VecDeque<KeyPress>,
    /// Keys were lost since the last report.
    lost: bool,
    /// A key came while the peer was not to hear it.
    suppressed: bool,
    deadline: Option<Duration>,
    over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Loaded {
    request: KpmlRequest,
    expressions: Vec<Expression>,
    /// The keys for which long and short presses are told apart.
    told_apart: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    /// With what comes before it.
    whole: DRegex,
    /// How many positions of it are to be heard.
    pre: usize,
}

/// How what was collected reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    /// The longest beginning of it that matches, and the first expression that does.
    best: Option<(usize, usize)>,
    /// The expressions for which more keys could follow: how many, and the first.
    open: usize,
    first_open: usize,
    /// The peer is not to hear what comes.
    suppresses: bool,
}

impl KpmlMatcher {
    /// One without a request: keys are kept for the first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the request of a SUBSCRIBE, in place of the one before; with keys that wait for it there may be
    /// reports at once.
    ///
    /// # Errors
    /// [`BodyError::TooMany`] if an expression has more than 127 positions with what comes before it: 501 is to be
    /// reported. The request before is gone all the same.
    pub fn load(
        &mut self,
        now: Duration,
        request: KpmlRequest,
    ) -> Result<Vec<KpmlResponse>, BodyError> {
        self.unload();
        let expressions = request.expressions.iter().map(|expression| {
            let (whole, pre) = match &expression.pre {
                None => (expression.keys.clone(), 0),
                Some(pre) => (pre.followed_by(&expression.keys)?, pre.positions()),
            };
            Ok(Expression { whole, pre })
        });
        let expressions = expressions.collect::<Result<Vec<_>, BodyError>>()?;
        let told_apart = expressions.iter().fold(0, |keys, it| keys | it.whole.long_keys());
        // RFC 4730 §3.5: "If the next document indicates
        // a buffer flush, then the interpreter MUST flush all collected User
        // Input from consideration"
        if request.flush {
            self.keys.clear();
            self.lost = false;
        }
        self.over = false;
        let waiting = std::mem::take(&mut self.keys);
        self.request = Some(Box::new(Loaded { request, expressions, told_apart }));
        Ok(self.feed(now, None, waiting))
    }

    /// Takes the request away: keys are kept for the next.
    pub fn unload(&mut self) {
        self.request = None;
        self.deadline = None;
        self.suppressed = false;
    }

    /// A key was pressed, and let go; gives what is to be reported: little more than once, with `persist` perhaps
    /// several matches that the key has parted.
    pub fn press(&mut self, now: Duration, key: KeyPress) -> Vec<KpmlResponse> {
        if self.over {
            return Vec::new();
        }
        self.suppressed |= self.suppresses();
        if self.request.is_none() {
            self.keep(key);
            return Vec::new();
        }
        self.feed(now, None, VecDeque::from([key]))
    }

    /// The deadline has passed; gives what is to be reported.
    pub fn timer(&mut self, now: Duration) -> Vec<KpmlResponse> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        self.deadline = None;
        let reading = self.read(self.keys.len());
        if reading.best.is_some() {
            let report = self.take_match(reading);
            return self.feed(now, report, VecDeque::new());
        }
        let silent = self.request.as_ref().is_none_or(|loaded| loaded.request.no_partial);
        if silent {
            self.forget();
            return Vec::new();
        }
        // RFC 4730 §3.4: "If the interdigittimer expires,
        // the User Interface MUST issue a time-out report"
        let report = self.report(423, self.keys.len(), None);
        self.keys.clear();
        self.feed(now, Some(report), VecDeque::new())
    }

    /// The subscription runs out, or is ended without another request: the last report.
    ///
    /// RFC 4730 §4.7: "The
    /// report also includes the User Input collected up to the time the
    /// expires timer expired or when the subscription with expires equal to
    /// zero was processed.  This could be the null string."
    pub fn expired(&mut self) -> KpmlResponse {
        let report = self.report(487, self.keys.len(), None);
        self.forget();
        self.unload();
        self.over = true;
        report
    }

    /// When [`timer`](Self::timer) is due. It changes with each key.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether the next key is not to be sent to the peer (RFC 4730 §3.4). When it is no more so without a match, the
    /// keys that were held back are to be sent.
    pub fn suppresses(&self) -> bool {
        self.request.is_some() && self.read(self.keys.len()).suppresses
    }

    /// Whether the last report was the last: the subscription is to be ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Makes this report, and takes these keys.
    fn feed(
        &mut self,
        now: Duration,
        mut report: Option<KpmlResponse>,
        mut keys: VecDeque<KeyPress>,
    ) -> Vec<KpmlResponse> {
        let mut reports = Vec::new();
        loop {
            if let Some(report) = report.take() {
                reports.push(report);
                (self.deadline, self.lost, self.suppressed) = (None, false, false);
                // What followed the match is looked at anew, if at all.
                let mut rest = std::mem::take(&mut self.keys);
                rest.append(&mut keys);
                keys = rest;
                match self.request.as_ref().map_or(Persist::OneShot, |it| it.request.persist) {
                    Persist::Persist => {}
                    // RFC 4730 §4.8: "If the
                    // subscription does not have a persistence indicator, the User Interface MUST set
                    // the state of the subscription to "terminated" in the NOTIFY report."
                    Persist::OneShot => {
                        self.unload();
                        self.over = true;
                        return reports;
                    }
                    Persist::SingleNotify => {
                        self.unload();
                        self.keys = keys;
                        return reports;
                    }
                }
            }
            let Some(key) = keys.pop_front() else { return reports };
            self.keep(key);
            report = self.look(now);
        }
    }

    /// Keeps a key.
    fn keep(&mut self, key: KeyPress) {
        // RFC 4730 §3.5: "the User Interface MAY discard the oldest User Input from the buffer.
        // If the User Interface discards digits, when the User Interface issues
        // a KPML notification, it MUST set the forced_flush attribute of the
        // <response> tag to "true"."
        if self.keys.len() >= MAX_KEYS {
            self.keys.pop_front();
            self.lost = true;
        }
        self.keys.push_back(key);
    }

    /// Looks at what was collected after one more key; what is reported is taken out.
    fn look(&mut self, now: Duration) -> Option<KpmlResponse> {
        let enter = self.request.as_ref()?.request.enter_key.clone();
        if !enter.is_empty() && self.ends_with(&enter) {
            return Some(self.entered(enter.len()));
        }
        // The beginning of an enter key may be no part of a match.
        let begun = (1..enter.len()).rev().find(|length| self.ends_with(&enter[..*length]));
        let reading = self.read(self.keys.len());
        let loaded = self.request.as_ref()?;
        let request = &loaded.request;
        let complete = reading.best.is_some_and(|(length, _)| length == self.keys.len());
        let before = begun.map(|length| self.read(self.keys.len().saturating_sub(length)));
        let awaits_enter = before.is_some_and(|before| before.open > 0 || before.best.is_some());
        let wait = match (complete, reading.open) {
            // RFC 4730 §3.2: "The critical timer is the time to wait for another digit if the
            // collected digits can match more than one potential pattern."
            // RFC 4730 §3.2: "The extra timer is the time to wait for another digit if the
            // collected digits can only match one potential pattern, but a
            // longer match for this pattern is possible."
            (true, 1) if reading.best.map(|(_, it)| it) == Some(reading.first_open) => {
                request.extra_digit
            }
            (true, 0) if enter.is_empty() => return self.take_match(reading),
            (true, 0) => request.extra_digit,
            (true, _) => request.critical_digit,
            // RFC 4730 §3.2: "The inter-digit timer is the maximum time to wait between digits."
            (false, 1..) => request.inter_digit,
            (false, 0) if awaits_enter => request.inter_digit,
            (false, 0) if reading.best.is_some() => return self.take_match(reading),
            (false, 0) if request.no_partial => return self.roll(now),
            (false, 0) => {
                // RFC 4730 §3.5: "If the user presses a key that cannot match any pattern within a
                // <regex> tag, the User Interface MUST discard all buffered key presses
                // up to and including the current key press from consideration
                // against the current or future KPML documents on a given dialog."
                self.forget();
                return None;
            }
        };
        self.deadline = Some(now.saturating_add(wait));
        None
    }

    /// RFC 4730 §3.5: "In this case, the User Interface
    /// attempts to match a rolling window over the collected User
    /// input."
    fn roll(&mut self, now: Duration) -> Option<KpmlResponse> {
        self.deadline = None;
        while self.keys.pop_front().is_some() {
            let reading = self.read(self.keys.len());
            if reading.open > 0 || reading.best.is_some() {
                return self.look(now);
            }
        }
        None
    }

    /// The enter key was pressed: what stands before it matches, or does not.
    fn entered(&mut self, enter: usize) -> KpmlResponse {
        let length = self.keys.len().saturating_sub(enter);
        self.keys.truncate(length);
        match self.read(length).best {
            Some((matched, expression)) if matched == length => self.matched(expression),
            // RFC 4730 §3.3: "KPML indicates a terminated nomatch with a KPML
            // status code 402."
            _ => {
                let report = self.report(402, length, None);
                self.keys.clear();
                report
            }
        }
    }

    /// Reports the longest match; what follows it stays.
    fn take_match(&mut self, reading: Reading) -> Option<KpmlResponse> {
        let (length, expression) = reading.best?;
        let rest = self.keys.split_off(length);
        let report = self.matched(expression);
        self.keys = rest;
        Some(report)
    }

    /// All that is collected matches this expression; takes it out.
    fn matched(&mut self, expression: usize) -> KpmlResponse {
        let report = self.report(200, self.keys.len(), Some(expression));
        self.keys.clear();
        report
    }

    /// A report on the first keys that were collected.
    fn report(&self, code: u16, length: usize, expression: Option<usize>) -> KpmlResponse {
        let found = self
            .request
            .as_ref()
            .zip(expression)
            .and_then(|(loaded, expression)| loaded.request.expressions.get(expression));
        KpmlResponse {
            digits: self.keys.iter().take(length).map(|key| key.key()).collect(),
            tag: found.and_then(|expression| expression.tag.clone()),
            // RFC 4730 §3.4: "If the User Interface suppressed stimulus, it MUST indicate this by
            // including the attribute "suppressed" with a value of "true" in the
            // notification."
            suppressed: self.suppressed && found.is_none_or(|expression| expression.pre.is_some()),
            forced_flush: self.lost,
            ..KpmlResponse::of(code)
        }
    }

    fn forget(&mut self) {
        self.keys.clear();
        self.deadline = None;
        self.suppressed = false;
    }

    fn ends_with(&self, tail: &str) -> bool {
        let keys = self.keys.iter().rev().map(|key| key.key());
        self.keys.len() >= tail.len()
            && keys.zip(tail.chars().rev()).all(|(one, other)| one == other)
    }

    /// How the first keys that were collected read.
    fn read(&self, length: usize) -> Reading {
        let mut reading = Reading::default();
        let Some(loaded) = &self.request else { return reading };
        for (place, expression) in loaded.expressions.iter().enumerate() {
            let whole = &expression.whole;
            let mut states: States = whole.begin();
            for (count, key) in (1..=length).zip(&self.keys) {
                let is_long = key.held() >= loaded.request.long;
                states = whole.step(states, key.bit(), is_long, loaded.told_apart);
                if states.are_dead() {
                    break;
                }
                // RFC 4730 §3.3: "In the case of multiple
                // matches, the User Interface MUST choose the longest match in the KPML
                // document.  If multiple matches match the same length, the User
                // Interface MUST choose the first expression listed in the subscription
                // KPML document based on KPML document order."
                if whole.accepts(states) && reading.best.is_none_or(|(best, _)| count > best) {
                    reading.best = Some((count, place));
                }
            }
            if whole.goes_on(states) {
                if reading.open == 0 {
                    reading.first_open = place;
                }
                reading.open = reading.open.saturating_add(1);
            }
            if length > 0 && expression.pre > 0 && whole.goes_on(states) {
                reading.suppresses |= states.are_past(expression.pre);
            }
        }
        reading
    }
}
