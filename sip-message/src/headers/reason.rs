use alloc::borrow::Cow;

use super::rule::Rule;
use super::word::{token, word_header};
use crate::{HeaderError, HeaderName, StatusCode, params, scan};

word_header!(Reason, true, token,
&[Rule::number("cause"), Rule::new("text", |value| value.is_some()), Rule::token("location")],
/// One Reason value: why a request was sent or a response is what it is (RFC 3326 §2).
///
/// A message may have several, of different protocols; of the same one only where the protocol says
/// what that means (RFC 9366).
///
/// ```
/// use sip_message::{Header, Reason};
/// let reason = Reason::parse(b"Q.850;cause=16;text=\"Terminated\";location=LN")?;
/// assert_eq!((reason.protocol(), reason.cause()), ("Q.850", Some(16)));
/// assert_eq!(reason.text().as_deref(), Some("Terminated"));
/// assert_eq!(reason.location().map(|location| location.as_str()), Some("LN"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Reason<'_> {
    /// Of this protocol, without a cause.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(protocol: &str) -> Result<Reason<'static>, HeaderError> {
        Self::from_word(protocol)
    }

    /// `SIP;cause=status`
    ///
    /// ```
    /// use sip_message::{Reason, StatusCode};
    /// let reason = Reason::sip(StatusCode::OK).with_text("Call completed elsewhere")?;
    /// assert_eq!(reason.to_string(), "SIP;cause=200;text=\"Call completed elsewhere\"");
    /// # Ok::<(), sip_message::HeaderError>(())
    /// ```
    pub fn sip(status: StatusCode) -> Reason<'static> {
        Self::of("SIP", status.as_u16())
    }

    /// `Q.850;cause=cause`
    pub fn q850(cause: u8) -> Reason<'static> {
        Self::of("Q.850", cause.into())
    }

    fn of(protocol: &str, cause: u16) -> Reason<'static> {
        let text = alloc::format!("{protocol};cause={cause}").into_bytes();
        let (word, end) = (protocol.len(), text.len());
        Reason {
            text: Cow::Owned(text),
            word: scan::Span::new(0, word),
            params: scan::Span::new(word, end),
        }
    }

    /// With this cause in place of the one it had.
    ///
    /// # Errors
    /// What grows too long.
    pub fn with_cause(&self, cause: u32) -> Result<Reason<'static>, HeaderError> {
        self.with_param("cause", Some(&alloc::format!("{cause}")))
    }

    /// With this text for people, in quotes, in place of the one it had.
    ///
    /// # Errors
    /// The text must be without CR and LF.
    pub fn with_text(&self, text: &str) -> Result<Reason<'static>, HeaderError> {
        let text = params::with_quoted_param(&self.text, self.params, "text", text);
        Self::from_vec(text.map_err(|fault| HeaderError::from_fault(HeaderName::Reason, fault))?)
    }

    /// With the place where an ISUP call was released, which only `Q.850` reasons should have.
    ///
    /// # Errors
    /// What grows too long.
    pub fn with_location(&self, location: IsupLocation) -> Result<Reason<'static>, HeaderError> {
        self.with_param("location", Some(location.as_str()))
    }

    /// The protocol as it is written: `SIP`, `Q.850` or another.
    pub fn protocol(&self) -> &str {
        self.word()
    }

    /// Whether this is the protocol, without regard to case.
    pub fn is(&self, protocol: &str) -> bool {
        self.word().eq_ignore_ascii_case(protocol)
    }

    /// The cause, of which the protocol says what it means.
    pub fn cause(&self) -> Option<u32> {
        scan::whole_number(self.param("cause")?.raw_value()?)
    }

    /// The cause as a status, if the protocol is SIP.
    pub fn status(&self) -> Option<StatusCode> {
        let cause = u16::try_from(self.cause()?).ok()?;
        StatusCode::new(cause).filter(|_| self.is("SIP"))
    }

    /// What it says for people.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.param("text")?.value()
    }

    /// Where an ISUP call was released, if the protocol is `Q.850` (RFC 8606 §4).
    // RFC 8606 §4: "The use of the location parameter is restricted to Q.850 cause values. Other
    // values MUST be ignored if present."
    pub fn location(&self) -> Option<IsupLocation> {
        let location = self.param("location").filter(|_| self.is("Q.850"))?;
        IsupLocation::of(&location.value()?)
    }
}

/// Where an ISUP call was released: the location of Q.850, four bits (RFC 8606 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IsupLocation(u8);

/// As RFC 8606 §4 writes them, each at the place of its value.
static LOCATIONS: [&str; 16] = [
    "U", "LPN", "LN", "TN", "RLN", "RPN", "LOC-6", "INTL", "LOC-8", "LOC-9", "BI", "LOC-11",
    "LOC-12", "LOC-13", "LOC-14", "LOC-15",
];

impl IsupLocation {
    /// The location of this value; `None` above 15.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 16 { Some(Self(value)) } else { None }
    }

    /// The value of Q.850, 0 to 15.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// As it is written: `U`, `LPN`, `LN` and so on.
    pub fn as_str(self) -> &'static str {
        LOCATIONS.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    fn of(text: &str) -> Option<Self> {
        let place = LOCATIONS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        u8::try_from(place).ok().and_then(Self::new)
    }
}
