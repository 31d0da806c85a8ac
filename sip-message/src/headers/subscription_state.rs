use super::rule::Rule;
use super::word::{token, word_header};
use crate::{HeaderError, scan};

word_header!(SubscriptionState, false, token,
&[Rule::token("reason"), Rule::number("expires"), Rule::number("retry-after")],
/// Subscription-State: how a subscription stands, in a NOTIFY (RFC 6665 §8.2.3).
///
/// ```
/// use sip_message::{Header, SubscriptionState};
/// let state = SubscriptionState::parse(b"terminated;reason=probation;retry-after=60")?;
/// assert!(state.is("terminated"));
/// assert_eq!((state.reason(), state.retry_after()), (Some("probation"), Some(60)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl SubscriptionState<'_> {
    /// This state: `active`, `pending`, `terminated`, or another token.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(substate: &str) -> Result<SubscriptionState<'static>, HeaderError> {
        Self::from_word(substate)
    }

    /// The state as it is written.
    pub fn substate(&self) -> &str {
        self.word()
    }

    /// Whether this is the state, without regard to case.
    pub fn is(&self, substate: &str) -> bool {
        self.word().eq_ignore_ascii_case(substate)
    }

    /// How many seconds the subscription lasts yet. It means nothing where the state is
    /// `terminated`, and is `None` there.
    // RFC 6665 §4.1.3: "The "expires" parameter has no semantics for "terminated" … subscribers MUST
    // ignore any such parameter, if present."
    pub fn expires(&self) -> Option<u32> {
        if self.is("terminated") { None } else { self.number("expires") }
    }

    /// Why it was terminated: `deactivated`, `probation`, `rejected`, `timeout`, `giveup`,
    /// `noresource`, `invariant`, or another token.
    pub fn reason(&self) -> Option<&str> {
        self.param("reason")?.raw_value().map(scan::ascii)
    }

    /// How many seconds to wait before a new subscription. Whether it means something depends on
    /// the reason (RFC 6665 §4.1.3).
    pub fn retry_after(&self) -> Option<u32> {
        self.number("retry-after")
    }

    fn number(&self, name: &str) -> Option<u32> {
        scan::whole_number(self.param(name)?.raw_value()?)
    }
}
