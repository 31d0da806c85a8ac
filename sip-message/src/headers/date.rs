use core::fmt;

use bytes::BytesMut;

use super::{single, write_display};
use crate::scan::{Cursor, Fault};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Date: when the message was first sent, in GMT (RFC 3261 §20.17).
///
/// Civil fields, no clock: to and from seconds of the Unix epoch by
/// [`from_unix`](Self::from_unix) and [`unix`](Self::unix).
///
/// ```
/// use sip_message::{Date, Header};
/// let date = Date::parse(b"Sat, 13 Nov 2010 23:29:00 GMT")?;
/// assert_eq!(date.unix(), 1_289_690_940);
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    weekday: Weekday,
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY: u64 = 86_400;

impl Date {
    /// The second that is so many after 1970-01-01 00:00:00 GMT; `None` after the year 9999.
    pub fn from_unix(seconds: u64) -> Option<Self> {
        let (mut days, clock) = (seconds / DAY, seconds % DAY);
        // 1970-01-01 was a Thursday.
        let weekday = days.checked_add(3)? % 7;
        let (_, weekday) = *WEEKDAYS.get(usize::try_from(weekday).ok()?)?;
        let mut year: u16 = 1970;
        // Whole cycles of 400 years at once, then at most 400 steps.
        let cycles = days / DAYS_OF_400_YEARS;
        year = u16::try_from(cycles.checked_mul(400)?).ok()?.checked_add(year)?;
        days %= DAYS_OF_400_YEARS;
        while days >= days_of_year(year) {
            days = days.checked_sub(days_of_year(year))?;
            year = year.checked_add(1)?;
        }
        let mut month: u8 = 1;
        while days >= u64::from(days_of_month(year, month)) {
            days = days.checked_sub(u64::from(days_of_month(year, month)))?;
            month = month.checked_add(1)?;
        }
        if year > 9999 {
            return None;
        }
        let day = u8::try_from(days.checked_add(1)?).ok()?;
        let part = |n: u64| u8::try_from(n).ok();
        let (hour, minute, second) =
            (part(clock / 3600)?, part(clock / 60 % 60)?, part(clock % 60)?);
        Some(Self { weekday, year, month, day, hour, minute, second })
    }

    /// Seconds after 1970-01-01 00:00:00 GMT; 0 for what is before. The weekday plays no part.
    pub fn unix(&self) -> u64 {
        let years: u64 = (1970..self.year).map(days_of_year).sum();
        if self.year < 1970 {
            return 0;
        }
        let months: u64 = (1..self.month).map(|m| u64::from(days_of_month(self.year, m))).sum();
        let days =
            years.saturating_add(months).saturating_add(u64::from(self.day).saturating_sub(1));
        let hours = days.saturating_mul(24).saturating_add(self.hour.into());
        let minutes = hours.saturating_mul(60).saturating_add(self.minute.into());
        minutes.saturating_mul(60).saturating_add(self.second.into())
    }

    /// The day of the week, as it is written; nothing holds it to the date.
    pub fn weekday(&self) -> Weekday {
        self.weekday
    }

    /// The year, 0 to 9999.
    pub fn year(&self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub fn month(&self) -> u8 {
        self.month
    }

    /// The day of the month, from 1 on.
    pub fn day(&self) -> u8 {
        self.day
    }

    /// The hour, 0 to 23.
    pub fn hour(&self) -> u8 {
        self.hour
    }

    /// The minute, 0 to 59.
    pub fn minute(&self) -> u8 {
        self.minute
    }

    /// The second, 0 to 59, or 60 in a leap second.
    pub fn second(&self) -> u8 {
        self.second
    }
}

const DAYS_OF_400_YEARS: u64 = 146_097;

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weekday =
            WEEKDAYS.iter().find(|(_, day)| *day == self.weekday).map_or("", |(name, _)| name);
        let month =
            MONTHS.get(usize::from(self.month).saturating_sub(1)).copied().unwrap_or_default();
        let Self { year, day, hour, minute, second, .. } = self;
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

impl<'a> Header<'a> for Date {
    const NAME: HeaderName<'static> = HeaderName::Date;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |_, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            date(cursor)
        })
    }

    fn write(&self, out: &mut BytesMut) {
        write_display(self, out);
    }
}

/// `rfc1123-date`. Where the grammar has a space, any white space will do.
fn date(cursor: &mut Cursor<'_>) -> Result<Date, Fault> {
    let weekday = name(cursor, |text| {
        WEEKDAYS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes())).map(|d| d.1)
    })?;
    mark(cursor, b',')?;
    space(cursor)?;
    let day = digits(cursor, 2, 31)?;
    space(cursor)?;
    let at_month = cursor.fault(HeaderErrorKind::Date);
    let month = name(cursor, |text| {
        MONTHS.iter().position(|name| text.eq_ignore_ascii_case(name.as_bytes()))
    })?;
    let month = u8::try_from(month).unwrap_or(0).saturating_add(1);
    space(cursor)?;
    let year = digits(cursor, 4, 9999)?;
    if day == 0 || day > days_of_month(year, month) {
        return Err(at_month);
    }
    space(cursor)?;
    let hour = digits(cursor, 2, 23)?;
    mark(cursor, b':')?;
    let minute = digits(cursor, 2, 59)?;
    mark(cursor, b':')?;
    let second = digits(cursor, 2, 60)?;
    space(cursor)?;
    // RFC 3261 §20.17: "SIP restricts the time zone in SIP-date to "GMT""
    name(cursor, |text| text.eq_ignore_ascii_case(b"GMT").then_some(()))?;
    Ok(Date { weekday, year, month, day, hour, minute, second })
}

/// Three letters with a meaning.
fn name<T>(cursor: &mut Cursor<'_>, meaning: impl Fn(&[u8]) -> Option<T>) -> Result<T, Fault> {
    let fault = cursor.fault(HeaderErrorKind::Date);
    let found = cursor.rest().get(..3).and_then(meaning).ok_or(fault)?;
    cursor.skip(3);
    Ok(found)
}

fn mark(cursor: &mut Cursor<'_>, byte: u8) -> Result<(), Fault> {
    if cursor.eat(byte) { Ok(()) } else { Err(cursor.fault(HeaderErrorKind::Date)) }
}

fn space(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let start = cursor.at();
    cursor.skip_lws();
    if cursor.at() == start { Err(cursor.fault(HeaderErrorKind::Date)) } else { Ok(()) }
}

/// A number of exactly `count` digits up to `max`.
fn digits<T: TryFrom<u32>>(cursor: &mut Cursor<'_>, count: usize, max: u32) -> Result<T, Fault> {
    let (start, fault) = (cursor.at(), cursor.fault(HeaderErrorKind::Date));
    let number = cursor.number().map_err(|_| fault)?;
    if cursor.at().saturating_sub(start) != count || number > max {
        return Err(fault);
    }
    T::try_from(number).map_err(|_| fault)
}
