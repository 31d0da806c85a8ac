//! Expressions over keys: DRegex (RFC 4730 §3.6, §5.1), matched by all their states at once, so that no expression
//! takes more than its length for a key.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::BodyError;

/// The keys, each a bit of a set at its place here.
const KEYS: &str = "0123456789ABCD*#R";
/// 0 to 9.
const DIGITS: u32 = (1 << 10) - 1;
/// How many positions an expression may have, its repetitions written out: they are the bits of a state.
const MAX_POSITIONS: usize = 127;

/// Whether it is a key.
pub(super) fn is_key(key: char) -> bool {
    bit(key).is_some()
}

fn bit(key: char) -> Option<u32> {
    let place = KEYS.find(key.to_ascii_uppercase())?;
    u32::try_from(place).ok().map(|place| 1 << place)
}

/// A key that was pressed, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyPress {
    key: char,
    held: Duration,
}

impl KeyPress {
    /// A key: `0` to `9`, `A` to `D`, `*`, `#`, or `R` for the register recall, in either case. `None` for another.
    pub fn new(key: char, held: Duration) -> Option<Self> {
        is_key(key).then(|| Self { key: key.to_ascii_uppercase(), held })
    }

    /// Which key.
    pub fn key(self) -> char {
        self.key
    }

    /// How long it was held.
    pub fn held(self) -> Duration {
        self.held
    }

    pub(super) fn bit(self) -> u32 {
        bit(self.key).unwrap_or_default()
    }
}

/// An expression over keys.
///
/// ```
/// use sip_events::DRegex;
/// let international: DRegex = "011x{7,15}".parse()?;
/// assert!(international.matches("0114930123456"));
/// assert!(!international.matches("0114930"));
/// # Ok::<(), sip_events::BodyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DRegex {
    items: Vec<Item>,
    /// The items, with their repetitions written out.
    positions: Vec<Position>,
}

/// One symbol or set, as often as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    keys: u32,
    long: bool,
    least: u8,
    most: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    keys: u32,
    long: bool,
    times: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    AtMostOnce,
    AnyNumber,
}

/// Where in an expression the input may be: a bit for each position that would be next, and one for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct States(u128);

impl States {
    /// Nothing that follows can match.
    pub(super) fn are_dead(self) -> bool {
        self.0 == 0
    }

    /// Whether the input is past this many positions, in each way to read it.
    pub(super) fn are_past(self, positions: usize) -> bool {
        !self.are_dead() && self.0.trailing_zeros() as usize >= positions
    }
}

impl DRegex {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`BodyError::Invalid`] for what is none, [`BodyError::TooMany`] for more than 127 positions, repetitions
    /// written out.
    pub fn parse(text: &str) -> Result<Self, BodyError> {
        // RFC 4730 §3.6.2: "White space is removed before parsing DRegex."
        let text: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).take(4_096).collect();
        let mut rest = text.as_slice();
        let mut items = Vec::new();
        while !rest.is_empty() {
            items.push(Item::take(&mut rest)?);
            if items.len() > MAX_POSITIONS {
                return Err(BodyError::TooMany("repetitions"));
            }
        }
        if items.is_empty() {
            return Err(BodyError::Missing("regex"));
        }
        let mut positions = Vec::with_capacity(items.len());
        for Item { keys, long, least, most } in &items {
            let position = |times| Position { keys: *keys, long: *long, times };
            positions.extend((0..*least).map(|_| position(Times::Once)));
            match most {
                Some(most) => {
                    let more = most.saturating_sub(*least);
                    positions.extend((0..more).map(|_| position(Times::AtMostOnce)));
                }
                None => positions.push(position(Times::AnyNumber)),
            }
            if positions.len() > MAX_POSITIONS {
                return Err(BodyError::TooMany("repetitions"));
            }
        }
        Ok(Self { items, positions })
    }

    /// Whether it matches all of these keys, none of them held for long.
    pub fn matches(&self, keys: &str) -> bool {
        let mut states = self.begin();
        for key in keys.chars() {
            let Some(bit) = bit(key) else { return false };
            states = self.step(states, bit, false, 0);
        }
        self.accepts(states)
    }

    pub(super) fn positions(&self) -> usize {
        self.positions.len()
    }

    /// The expression that matches what this matches, followed by what that does. Its parts were bounded.
    pub(super) fn followed_by(&self, that: &Self) -> Result<Self, BodyError> {
        let mut both = self.clone();
        both.items.extend_from_slice(&that.items);
        both.positions.extend_from_slice(&that.positions);
        if both.positions.len() > MAX_POSITIONS {
            return Err(BodyError::TooMany("repetitions"));
        }
        Ok(both)
    }

    /// The keys for which long and short presses are told apart.
    pub(super) fn long_keys(&self) -> u32 {
        self.items.iter().filter(|item| item.long).fold(0, |keys, item| keys | item.keys)
    }

    pub(super) fn begin(&self) -> States {
        self.settle(1)
    }

    pub(super) fn accepts(&self, states: States) -> bool {
        states.0 & self.end() != 0
    }

    /// Whether more keys could follow.
    pub(super) fn goes_on(&self, states: States) -> bool {
        states.0 & !self.end() != 0
    }

    /// After one more key. `told_apart` are the keys that somebody wants long: only they must not be so elsewhere.
    pub(super) fn step(&self, states: States, key: u32, is_long: bool, told_apart: u32) -> States {
        let mut next = 0;
        for (place, position) in self.positions.iter().enumerate() {
            let here = 1_u128 << place;
            let as_long = if position.long { is_long } else { !is_long || key & told_apart == 0 };
            if states.0 & here != 0 && position.keys & key != 0 && as_long {
                next |= match position.times {
                    Times::AnyNumber => here,
                    Times::Once | Times::AtMostOnce => here << 1,
                };
            }
        }
        self.settle(next)
    }

    /// Adds what is reached without a key.
    fn settle(&self, mut states: u128) -> States {
        for (place, position) in self.positions.iter().enumerate() {
            let here = 1_u128 << place;
            if states & here != 0 && position.times != Times::Once {
                states |= here << 1;
            }
        }
        States(states)
    }

    fn end(&self) -> u128 {
        1 << self.positions.len()
    }
}

impl Item {
    /// RFC 4730 §5.1: `DRegexPosition [ RepeatCount ]`; and `x`, which its grammar forgets.
    fn take(rest: &mut &[char]) -> Result<Self, BodyError> {
        let invalid = BodyError::Invalid("regex");
        let long = matches!(rest, ['L' | 'l', ..]);
        if let (true, [_, after @ ..]) = (long, *rest) {
            *rest = after;
        }
        let keys = match *rest {
            ['[', after @ ..] if !long => {
                let end = after.iter().position(|c| *c == ']').ok_or(invalid.clone())?;
                let (set, after) = after.split_at(end);
                *rest = after.get(1..).unwrap_or_default();
                read_set(set)?
            }
            ['x' | 'X', after @ ..] if !long => {
                *rest = after;
                DIGITS
            }
            [key, after @ ..] => {
                *rest = after;
                bit(*key).ok_or(invalid.clone())?
            }
            [] => return Err(invalid),
        };
        let (least, most) = match *rest {
            ['.', after @ ..] => {
                *rest = after;
                (0, None)
            }
            ['{', after @ ..] => {
                let end = after.iter().position(|c| *c == '}').ok_or(invalid)?;
                let (range, after) = after.split_at(end);
                *rest = after.get(1..).unwrap_or_default();
                read_range(&range.iter().collect::<String>())?
            }
            _ => (1, Some(1)),
        };
        Ok(Self { keys, long, least, most })
    }
}

fn read_set(set: &[char]) -> Result<u32, BodyError> {
    let invalid = BodyError::Invalid("regex");
    let (mut rest, negated) = match set {
        ['^', rest @ ..] => (rest, true),
        rest => (rest, false),
    };
    if rest.is_empty() {
        return Err(invalid);
    }
    let mut keys = 0;
    while let [first, after @ ..] = rest {
        if matches!(first, 'x' | 'X') {
            keys |= DIGITS;
            rest = after;
        } else if let ['-', last, after @ ..] = after {
            let (low, high) = bit(*first)
                .zip(bit(*last))
                .filter(|(low, high)| low <= high)
                .ok_or(invalid.clone())?;
            // RFC 4730 §3.6.2: "For ranges, the A-D characters are disjoint from the 0-9 characters."
            let range = (high | (high - 1)) & !(low - 1);
            let letters = ((1 << 14) - 1) & !DIGITS;
            if range & !DIGITS != 0 && range & !letters != 0 {
                return Err(invalid);
            }
            keys |= range;
            rest = after;
        } else {
            keys |= bit(*first).ok_or(invalid.clone())?;
            rest = after;
        }
    }
    // RFC 4730 §3.6.1: "the negation operator inside a character
    // class only operates on numbers."
    Ok(if negated { DIGITS & !keys } else { keys })
}

fn read_range(range: &str) -> Result<(u8, Option<u8>), BodyError> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = digits.then(|| text.parse::<u32>().unwrap_or(u32::MAX));
        let value = value.ok_or(BodyError::Invalid("regex"))?;
        u8::try_from(value)
            .ok()
            .filter(|value| usize::from(*value) <= MAX_POSITIONS)
            .ok_or(BodyError::TooMany("repetitions"))
    };
    match range.split_once(',') {
        None => number(range).map(|count| (count, Some(count))),
        Some((least, "")) => Ok((number(least)?, None)),
        Some(("", most)) => Ok((0, Some(number(most)?))),
        Some((least, most)) => match (number(least)?, number(most)?) {
            (least, most) if least <= most => Ok((least, Some(most))),
            _ => Err(BodyError::Invalid("regex")),
        },
    }
}

impl FromStr for DRegex {
    type Err = BodyError;

    fn from_str(text: &str) -> Result<Self, BodyError> {
        Self::parse(text)
    }
}

/// As it is read again: ranges and `x` written in one way.
impl fmt::Display for DRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Item { keys, long, least, most } in &self.items {
            if *long {
                f.write_str("L")?;
            }
            let of_set = KEYS.chars().enumerate().filter(|(place, _)| keys >> place & 1 == 1);
            if *keys == DIGITS {
                f.write_str("x")?;
            } else if keys.count_ones() == 1 {
                of_set.map(|(_, key)| key).try_for_each(|key| write!(f, "{key}"))?;
            } else if *keys == 0 {
                f.write_str("[^x]")?; // No key at all.
            } else {
                f.write_str("[")?;
                of_set.map(|(_, key)| key).try_for_each(|key| write!(f, "{key}"))?;
                f.write_str("]")?;
            }
            match (least, most) {
                (1, Some(1)) => {}
                (0, None) => f.write_str(".")?,
                (least, None) => write!(f, "{{{least},}}")?,
                (least, Some(most)) if least == most => write!(f, "{{{least}}}")?,
                (least, Some(most)) => write!(f, "{{{least},{most}}}")?,
            }
        }
        Ok(())
    }
}
