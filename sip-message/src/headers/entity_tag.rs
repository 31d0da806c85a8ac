//! Entity-tags: which version of a state is meant (RFC 3903, RFC 5839).

use alloc::borrow::Cow;

use super::token::token_header;

token_header!(SipEtag,
/// SIP-ETag: the entity-tag that the state agent gave a publication (RFC 3903 §11.3.1). Compared
/// byte by byte.
///
/// ```
/// use sip_message::{Header, SipEtag};
/// assert_eq!(SipEtag::parse(b"dx200xyz")?.as_str(), "dx200xyz");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(SipIfMatch,
/// SIP-If-Match: the entity-tag of the publication that a PUBLISH refreshes, changes or removes
/// (RFC 3903 §11.3.2). Compared byte by byte.
///
/// ```
/// use sip_message::SipIfMatch;
/// assert_eq!(SipIfMatch::new("dx200xyz")?.to_string(), "dx200xyz");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

token_header!(SuppressIfMatch,
/// Suppress-If-Match: the entity-tag of the state that the subscriber has already, or `*` for any
/// (RFC 5839 §7.2).
///
/// ```
/// use sip_message::{Header, SuppressIfMatch};
/// assert!(SuppressIfMatch::parse(b"*")?.is_any());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl SuppressIfMatch<'_> {
    /// `*`
    pub const ANY: SuppressIfMatch<'static> = SuppressIfMatch { text: Cow::Borrowed(b"*") };

    /// Whether this is `*`: whatever the state is.
    pub fn is_any(&self) -> bool {
        self.as_str() == "*"
    }
}
