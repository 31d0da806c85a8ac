use super::bracketed::bracketed_header;

// RFC 7614 §4.8: "Note that this rule does not allow a full addr-spec as defined in RFC 3261, and it
// mandates the use of the angle brackets."
bracketed_header!(ReferEventsAt, false, &[], Sip,
/// Refer-Events-At: where to subscribe to what a REFER brings about (RFC 7614 §4.8), a `sip` or
/// `sips` URI.
///
/// ```
/// use sip_message::{Header, ReferEventsAt};
/// let events = ReferEventsAt::parse(b"<sips:vPT3izGmo8NTxaPADRZvEAY22BKx@example.com;gr>")?;
/// assert!(events.uri().is_secure());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
