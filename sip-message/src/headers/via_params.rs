//! Via parameters of extensions: connection reuse (RFC 5923), keep-alives (RFC 6223), overload
//! control (RFC 7339).

use alloc::format;
use core::fmt;
use core::time::Duration;

use crate::params::Param;
use crate::scan;
use crate::{HeaderError, HeaderErrorKind, HeaderName, Via};

impl Via<'_> {
    /// `alias`: requests back may take the connection that this one came over (RFC 5923 §7).
    pub fn is_alias(&self) -> bool {
        self.param("alias").is_some()
    }

    /// With `alias`.
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_alias(&self) -> Result<Via<'static>, HeaderError> {
        self.with_param("alias", None)
    }

    /// `keep` (RFC 6223): `Some(None)` offers to send keep-alives; `Some(Some(seconds))` accepts
    /// them, at least that often, or with 0 as often as the sender sees fit. `None` also for a value
    /// that is no number.
    pub fn keep(&self) -> Option<Option<u32>> {
        self.number("keep")
    }

    /// With `keep`; see [`keep`](Self::keep).
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_keep(&self, seconds: Option<u32>) -> Result<Via<'static>, HeaderError> {
        self.with_number("keep", seconds)
    }

    /// `oc` (RFC 7339 §4.1): `Some(None)` says that overload control is understood; `Some(Some(_))`
    /// is the server's demand, such as how many percent of the requests to keep back. `None` also
    /// for a value that is no number.
    pub fn oc(&self) -> Option<Option<u32>> {
        self.number("oc")
    }

    /// With `oc`; see [`oc`](Self::oc).
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_oc(&self, value: Option<u32>) -> Result<Via<'static>, HeaderError> {
        self.with_number("oc", value)
    }

    /// `oc-algo` (RFC 7339 §4.2): the algorithms that the client supports, the preferred ones first;
    /// in a response, the one that the server chose.
    pub fn oc_algo(&self) -> impl Iterator<Item = &str> {
        let raw = self.param("oc-algo").and_then(|param| param.raw_value()).unwrap_or_default();
        let list = match raw {
            [b'"', inner @ .., b'"'] => inner,
            unquoted => unquoted,
        };
        let names = list.split(|&byte| byte == b',').map(|name| scan::ascii(scan::trim(name).0));
        names.filter(|name| !name.is_empty())
    }

    /// With `oc-algo`.
    ///
    /// # Errors
    /// There must be one, and each of ASCII letters and digits.
    pub fn with_oc_algo(&self, algorithms: &[&str]) -> Result<Via<'static>, HeaderError> {
        let fits =
            |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if algorithms.is_empty() || !algorithms.iter().all(fits) {
            return Err(HeaderError::new(HeaderName::Via, HeaderErrorKind::Parameter, 0));
        }
        self.with_quoted_param("oc-algo", &algorithms.join(","))
    }

    /// `oc-validity` (RFC 7339 §4.3): how long the server's demand holds: 500 ms where it is not
    /// said, and `None` where nothing is demanded.
    pub fn oc_validity(&self) -> Option<Duration> {
        let demanded = matches!(self.oc(), Some(Some(_)));
        let millis = match self.number("oc-validity") {
            // RFC 7339 §4.3: "A SIP client MUST discard a non-zero value of the "oc-validity"
            // parameter if the client receives it in a response without the corresponding "oc"
            // parameter being present as well."
            Some(Some(millis)) if demanded || millis == 0 => millis,
            // RFC 7339 §4.3: "The default value of the "oc-validity" parameter is 500"
            _ if demanded => 500,
            _ => return None,
        };
        Some(Duration::from_millis(millis.into()))
    }

    /// With `oc-validity`, in whole milliseconds of 32 bits at most.
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_oc_validity(&self, validity: Duration) -> Result<Via<'static>, HeaderError> {
        let millis = u32::try_from(validity.as_millis()).unwrap_or(u32::MAX);
        self.with_number("oc-validity", Some(millis))
    }

    /// `oc-seq` (RFC 7339 §4.4): which of the server's demands is the newer; `None` also if it is
    /// malformed.
    pub fn oc_seq(&self) -> Option<OcSeq> {
        OcSeq::parse(self.param("oc-seq")?.raw_value()?)
    }

    /// With `oc-seq`.
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_oc_seq(&self, seq: OcSeq) -> Result<Via<'static>, HeaderError> {
        self.with_param("oc-seq", Some(&format!("{seq}")))
    }

    /// Whether it has any parameter of overload control.
    pub fn has_oc(&self) -> bool {
        self.params().any(|param| is_oc(&param))
    }

    /// Without `oc`, `oc-algo`, `oc-validity` and `oc-seq`.
    pub fn without_oc(&self) -> Via<'static> {
        // What is left of what was read can be read.
        self.with_instead(is_oc, "").unwrap_or_else(|_| self.to_static())
    }

    /// With what a server demands by the algorithm `loss`, in place of what was said of overload control: how many
    /// percent of the requests to keep back, for how long, and the number of the demand (RFC 7339 §5.2).
    ///
    /// # Errors
    /// What grows longer than 65,535 bytes.
    pub fn with_oc_demand(
        &self,
        loss: u32,
        validity: Duration,
        seq: OcSeq,
    ) -> Result<Via<'static>, HeaderError> {
        let millis = u32::try_from(validity.as_millis()).unwrap_or(u32::MAX);
        let demand = format!(";oc={loss};oc-algo=\"loss\";oc-validity={millis};oc-seq={seq}");
        self.with_instead(is_oc, &demand)
    }

    fn number(&self, name: &str) -> Option<Option<u32>> {
        match self.param(name)?.raw_value() {
            Some(value) => scan::whole_number(value).map(Some),
            None => Some(None),
        }
    }

    fn with_number(&self, name: &str, value: Option<u32>) -> Result<Via<'static>, HeaderError> {
        match value {
            Some(value) => self.with_param(name, Some(&format!("{value}"))),
            None => self.with_param(name, None),
        }
    }
}

fn is_oc(param: &Param<'_>) -> bool {
    ["oc", "oc-algo", "oc-validity", "oc-seq"].iter().any(|name| param.is(name))
}

/// The `oc-seq` of a [`Via`]: up to 12 digits, a dot, and up to 5 digits, such as a Unix time
/// (RFC 7339 §4.4). Ordered as a decimal number.
///
/// ```
/// use sip_message::{Header, OcSeq, Via};
/// let via = Via::parse(b"SIP/2.0/UDP h;oc=20;oc-seq=1282321615.782")?;
/// assert!(via.oc_seq() > OcSeq::new(1282321615, 0));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OcSeq {
    whole: u64,
    /// In 100,000ths.
    part: u32,
}

impl OcSeq {
    /// A whole number and 100,000ths; `None` above 12 and 5 digits.
    pub const fn new(whole: u64, part: u32) -> Option<Self> {
        if whole < 1_000_000_000_000 && part < 100_000 { Some(Self { whole, part }) } else { None }
    }

    /// `1*12DIGIT "." 1*5DIGIT`
    fn parse(text: &[u8]) -> Option<Self> {
        let (whole, part) = scan::ascii(text).split_once('.')?;
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 12) || !digits(part, 5) {
            return None;
        }
        let scale = 10u32.checked_pow(5u32.checked_sub(part.len().try_into().ok()?)?)?;
        let part = part.parse::<u32>().ok()?.checked_mul(scale)?;
        Some(Self { whole: whole.parse().ok()?, part })
    }
}

impl fmt::Display for OcSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:05}", self.whole, self.part)
    }
}
