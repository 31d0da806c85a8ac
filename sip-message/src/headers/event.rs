//! Which state a subscription is about (RFC 6665).

use super::option_tags::{EXACTLY, token_list_header};
use super::rule::Rule;
use super::word::{token, word_header};
use crate::HeaderError;

word_header!(Event, false, token, &[Rule::token("id")],
/// Event: the kind of state that a SUBSCRIBE asks for or a NOTIFY tells (RFC 6665 §8.2.1).
///
/// [`matches`](Self::matches) compares as the RFC says; `==` the text.
///
/// ```
/// use sip_message::{Event, Header};
/// let event = Event::parse(b"presence.winfo;id=4")?;
/// assert_eq!((event.package(), event.templates().next(), event.id()), ("presence", Some("winfo"), Some("4")));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Event<'_> {
    /// This event type, such as `presence` or `presence.winfo`.
    ///
    /// # Errors
    /// It must be a token.
    pub fn new(event_type: &str) -> Result<Event<'static>, HeaderError> {
        Self::from_word(event_type)
    }

    /// The event type: the package with its templates.
    pub fn event_type(&self) -> &str {
        self.word()
    }

    /// The event package: the event type up to its first dot.
    pub fn package(&self) -> &str {
        self.word().split('.').next().unwrap_or_default()
    }

    /// The templates that are applied to the package, the innermost first.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.word().split('.').skip(1)
    }

    /// The `id` parameter, which parts subscriptions of one dialog and package.
    pub fn id(&self) -> Option<&str> {
        self.param("id")?.raw_value().map(crate::scan::ascii)
    }

    /// Whether a NOTIFY with the one belongs to a SUBSCRIBE with the other.
    // RFC 6665 §8.2.1: "the event-type portion of the "Event" header field is compared byte
    // by byte, and the "id" parameter token (if present) is compared byte by byte. An "Event"
    // header field containing an "id" parameter never matches an "Event" header field without an
    // "id" parameter. No other parameters are considered when performing a comparison."
    pub fn matches(&self, other: &Event<'_>) -> bool {
        (self.event_type(), self.id()) == (other.event_type(), other.id())
    }
}

token_list_header!(AllowEvents, EXACTLY,
/// Allow-Events: the event types that its sender supports (RFC 6665 §8.2.2).
///
/// ```
/// use sip_message::{AllowEvents, Header};
/// assert!(AllowEvents::parse(b"spirits-INDPs, presence")?.contains("presence"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
