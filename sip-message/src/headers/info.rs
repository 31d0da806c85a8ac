//! The headers that point at more: to hear, to see, to read.

use alloc::borrow::Cow;

use super::bracketed::bracketed_header;
use super::rule::Rule;

bracketed_header!(AlertInfo, true, &[],
/// One Alert-Info value: a ring tone, or in a 180 a ringback tone (RFC 3261 §20.4); or, by a
/// `urn:alert` (RFC 7462), what the alert is about.
///
/// ```
/// use sip_message::{AlertInfo, Header};
/// let tone = AlertInfo::parse(b"<http://www.example.com/sounds/moo.wav>")?;
/// assert_eq!(tone.uri().as_str(), "http://www.example.com/sounds/moo.wav");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

bracketed_header!(CallInfo, true, &[Rule::token("purpose")],
/// One Call-Info value: more about the caller or the callee (RFC 3261 §20.9).
///
/// ```
/// use sip_message::{CallInfo, values};
/// let field = b"<http://wwww.example.com/alice/photo.jpg> ;purpose=icon,\r\n \
///     <http://www.example.com/alice/> ;purpose=info";
/// let last = values::<CallInfo>(field).last().expect("two values")?;
/// assert_eq!(last.purpose().as_deref(), Some("info"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl CallInfo<'_> {
    /// What the URI is for: `icon`, `info`, `card`, or another token.
    pub fn purpose(&self) -> Option<Cow<'_, str>> {
        self.param("purpose")?.value()
    }
}

bracketed_header!(ErrorInfo, true, &[],
/// One Error-Info value: more about an error response, such as an announcement (RFC 3261 §20.18).
///
/// ```
/// use sip_message::{ErrorInfo, Header};
/// let info = ErrorInfo::parse(b"<sip:not-in-service-recording@atlanta.com>")?;
/// assert!(info.uri().is_sip());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
