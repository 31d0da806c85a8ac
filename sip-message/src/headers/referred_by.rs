use alloc::borrow::Cow;

use super::address::address_header;
use crate::HeaderName;
use crate::name_addr::Form;

address_header!(ReferredBy, HeaderName::ReferredBy, false, Form::Any,
/// Referred-By: who sent the REFER that this request comes of (RFC 3892 §3).
///
/// ```
/// use sip_message::{Header, ReferredBy};
/// let by = ReferredBy::parse(br#"<sip:r@ref.example>;cid="20398823.2UWQFN309shb3@ref.example""#)?;
/// assert_eq!(by.cid().as_deref(), Some("20398823.2UWQFN309shb3@ref.example"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl ReferredBy<'_> {
    /// The Content-ID, without its brackets, of the body part that vouches for the referrer.
    pub fn cid(&self) -> Option<Cow<'_, str>> {
        self.param("cid")?.value()
    }
}
