//! How many notifications a second there may be, or are to be (RFC 6446).

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;
use core::time::Duration;

use sip_message::{Event, SubscriptionState};

/// Parts of one notification: the least that the grammar can say.
const PARTS: u64 = 10_000_000_000;

/// A number of notifications per second: 0.0000000001 to 99.9999999999 (RFC 6446 §9.2).
///
/// ```
/// use core::time::Duration;
/// use sip_dialog::Rate;
/// let rate: Rate = "0.05".parse()?;
/// assert_eq!((rate.interval(), rate.to_string()), (Duration::from_secs(20), "0.05".into()));
/// # Ok::<(), sip_dialog::NoRate>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

/// A text that is no [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no number of notifications from 0.0000000001 to 99.9999999999")]
pub struct NoRate;

impl Rate {
    /// One notification in each such time; cut to what can be said.
    pub fn once_in(interval: Duration) -> Rate {
        let nanos = interval.as_nanos().max(1);
        let parts = u128::from(PARTS) * 1_000_000_000 / nanos;
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).min(100 * PARTS - 1);
        Rate(NonZeroU64::new(parts).unwrap_or(NonZeroU64::MIN))
    }

    /// The time between two notifications at this rate.
    pub fn interval(self) -> Duration {
        let nanos = u128::from(PARTS) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// As a number.
    pub fn per_second(self) -> f64 {
        self.0.get() as f64 / PARTS as f64
    }
}

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Rate, NoRate> {
        // RFC 6446 §9.2: `1*2DIGIT ["." 1*10DIGIT]`
        let (whole, part) = match text.split_once('.') {
            Some((whole, part)) if (1..=10).contains(&part.len()) => (whole, part),
            None => (text, "0"),
            Some(_) => return Err(NoRate),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(1..=2).contains(&whole.len()) || !digits(whole) || !digits(part) {
            return Err(NoRate);
        }
        let whole: u64 = whole.parse().map_err(|_| NoRate)?;
        let places = 10_u64.pow(10_u32.saturating_sub(part.len() as u32));
        let part = part.parse::<u64>().map_err(|_| NoRate)?.saturating_mul(places);
        // RFC 6446 §5.1: "Zero is not an allowed
        // value."
        let rate = NonZeroU64::new(whole.saturating_mul(PARTS).saturating_add(part));
        rate.map(Rate).ok_or(NoRate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut part, mut places) = (self.0.get() / PARTS, self.0.get() % PARTS, 10);
        if part == 0 {
            return write!(f, "{whole}");
        }
        while part % 10 == 0 {
            (part, places) = (part / 10, places - 1);
        }
        write!(f, "{whole}.{part:0places$}")
    }
}

/// The rates of one subscription, each of which may be there or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// At most so many notifications a second (RFC 6446 §5).
    pub max: Option<Rate>,
    /// At least so many, whether or not there is news (RFC 6446 §6).
    pub min: Option<Rate>,
    /// At least so many on the average (RFC 6446 §7).
    pub adaptive_min: Option<Rate>,
}

impl Rates {
    /// What the Event header field of a SUBSCRIBE, or of a 2xx to a NOTIFY, asks for. What is malformed is as if
    /// it were not there.
    pub fn of(event: &Event<'_>) -> Rates {
        let rate = |name: &str| {
            let param = event.param(name)?;
            core::str::from_utf8(param.raw_value()?).ok()?.parse().ok()
        };
        Rates {
            max: rate("max-rate"),
            min: rate("min-rate"),
            adaptive_min: rate("adaptive-min-rate"),
        }
    }

    /// Sets [`Rates::max`].
    #[must_use]
    pub fn max(self, rate: Rate) -> Rates {
        Rates { max: Some(rate), ..self }
    }

    /// Sets [`Rates::min`].
    #[must_use]
    pub fn min(self, rate: Rate) -> Rates {
        Rates { min: Some(rate), ..self }
    }

    /// Sets [`Rates::adaptive_min`].
    #[must_use]
    pub fn adaptive_min(self, rate: Rate) -> Rates {
        Rates { adaptive_min: Some(rate), ..self }
    }

    /// The names and values of those that are there, as Event and Subscription-State carry them.
    pub fn params(self) -> impl Iterator<Item = (&'static str, Rate)> {
        [("max-rate", self.max), ("min-rate", self.min), ("adaptive-min-rate", self.adaptive_min)]
            .into_iter()
            .filter_map(|(name, rate)| Some((name, rate?)))
    }

    /// Writes them after the value of a header field.
    pub fn write(self, out: &mut impl fmt::Write) -> fmt::Result {
        self.params().try_for_each(|(name, rate)| write!(out, ";{name}={rate}"))
    }
}

/// What the notifier made of our wishes: the rates in the Subscription-State of a NOTIFY. None of them says that it
/// knows nothing of rates.
impl From<&SubscriptionState<'_>> for Rates {
    fn from(state: &SubscriptionState<'_>) -> Rates {
        let rate = |name: &str| {
            let param = state.param(name)?;
            core::str::from_utf8(param.raw_value()?).ok()?.parse().ok()
        };
        Rates {
            max: rate("max-rate"),
            min: rate("min-rate"),
            adaptive_min: rate("adaptive-min-rate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use sip_message::Header;

    use super::*;

    // RFC 6446 §9.2
    #[test]
    fn numbers() {
        for (text, shown, interval) in [
            ("1", "1", 1_000_000_000),
            ("0.05", "0.05", 20_000_000_000),
            ("99.9999999999", "99.9999999999", 10_000_000),
            ("00.50", "0.5", 2_000_000_000),
            ("0.0000000001", "0.0000000001", 10_000_000_000_000_000_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), shown);
            assert_eq!(rate.interval(), Duration::from_nanos(interval), "{text}");
        }
        for text in ["", "0", "0.0", "100", "1.", ".5", "1.12345678901", "-1", "1e3", "1,5"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!(Rate::once_in(Duration::from_secs(20)).to_string(), "0.05");
        assert_eq!(Rate::once_in(Duration::ZERO).to_string(), "99.9999999999");
        assert_eq!(Rate::once_in(Duration::MAX).to_string(), "0.0000000001");
    }

    // RFC 6446 §9.2
    #[test]
    fn in_header_fields() {
        let event = Event::parse(b"presence;max-rate=0.05;min-rate=x;adaptive-min-rate=0.01");
        let rates = Rates::of(&event.unwrap());
        assert_eq!(
            rates,
            Rates::default().max("0.05".parse().unwrap()).adaptive_min("0.01".parse().unwrap())
        );
        let mut text = alloc::string::String::from("active;expires=60");
        rates.write(&mut text).unwrap();
        assert_eq!(text, "active;expires=60;max-rate=0.05;adaptive-min-rate=0.01");
        let state = SubscriptionState::parse(text.as_bytes()).unwrap();
        assert_eq!(Rates::from(&state), rates);
    }
}
