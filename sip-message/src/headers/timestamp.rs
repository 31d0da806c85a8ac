use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;

use bytes::BytesMut;

use super::single;
use crate::scan::{self, Cursor, Fault, Span};
use crate::{Header, HeaderError, HeaderErrorKind, HeaderName};

/// Timestamp: when the client sent the request, by its own clock, and how long the server held it
/// (RFC 3261 §20.38).
///
/// ```
/// use core::time::Duration;
/// use sip_message::{Header, Timestamp};
/// let timestamp = Timestamp::parse(b"54.2 0.030")?;
/// assert_eq!((timestamp.time(), timestamp.delay()), ("54.2", Some(Duration::from_millis(30))));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct Timestamp<'a> {
    text: Cow<'a, [u8]>,
    time: Span,
    delay: Option<Span>,
}

impl Timestamp<'_> {
    /// A client's time, to the millisecond: since when, is the client's affair.
    pub fn new(time: Duration) -> Timestamp<'static> {
        let mut text = String::new();
        write_seconds(&mut text, time);
        let time = Span::new(0, text.len());
        Timestamp { text: Cow::Owned(text.into_bytes()), time, delay: None }
    }

    /// With how long the server held the request, to the millisecond, in place of what was said of
    /// it (RFC 3261 §8.2.6.1).
    pub fn with_delay(&self, delay: Duration) -> Timestamp<'static> {
        let mut text = String::from(self.time());
        let time = Span::new(0, text.len());
        text.push(' ');
        let start = text.len();
        write_seconds(&mut text, delay);
        let end = text.len();
        match end <= scan::MAX_TEXT {
            true => Timestamp {
                text: Cow::Owned(text.into_bytes()),
                time,
                delay: Some(Span::new(start, end)),
            },
            // A time of 65,000 digits leaves no room to say more.
            false => self.clone().into_owned(),
        }
    }

    /// The client's time as it is written: only the client knows its unit and its beginning.
    pub fn time(&self) -> &str {
        self.time.str(&self.text)
    }

    /// How long the server held the request before it answered.
    pub fn delay(&self) -> Option<Duration> {
        seconds(self.delay?.of(&self.text))
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> Timestamp<'static> {
        Timestamp { text: Cow::Owned(self.text.into_owned()), ..self }
    }
}

crate::header::text_traits!(Timestamp);

impl<'a> Header<'a> for Timestamp<'a> {
    const NAME: HeaderName<'static> = HeaderName::Timestamp;
    const LIST: bool = false;

    fn parse_first(field: &'a [u8]) -> Result<(Self, Option<usize>), HeaderError> {
        single(Self::NAME, field, |text, cursor| {
            if cursor.is_end() {
                return Err(cursor.fault(HeaderErrorKind::Empty));
            }
            let time = decimal(cursor)?;
            if !time.of(text).first().is_some_and(u8::is_ascii_digit) {
                return Err(Fault { kind: HeaderErrorKind::Number, at: time.start.into() });
            }
            let end = cursor.at();
            cursor.skip_lws();
            let delay =
                if cursor.is_end() || cursor.at() == end { None } else { Some(decimal(cursor)?) };
            Ok(Self { text: Cow::Borrowed(text), time, delay })
        })
    }

    fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.text);
    }
}

/// `*(DIGIT) [ "." *(DIGIT) ]`, but not nothing.
fn decimal(cursor: &mut Cursor<'_>) -> Result<Span, Fault> {
    let (start, fault) = (cursor.at(), cursor.fault(HeaderErrorKind::Number));
    let digits = |cursor: &mut Cursor<'_>| {
        while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
            cursor.skip(1);
        }
    };
    digits(cursor);
    if cursor.eat(b'.') {
        digits(cursor);
    }
    if cursor.at() == start { Err(fault) } else { Ok(Span::new(start, cursor.at())) }
}

fn write_seconds(out: &mut String, time: Duration) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis());
}

/// Seconds with up to nine decimals; more are cut off.
fn seconds(text: &[u8]) -> Option<Duration> {
    let text = scan::ascii(text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos: u32 = 0;
    for at in 0..9 {
        let digit = decimals.as_bytes().get(at).copied().unwrap_or(b'0').wrapping_sub(b'0');
        nanos = nanos.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(Duration::new(whole, nanos))
}
