use super::address::address_header;
use crate::HeaderName;
use crate::name_addr::Form;

address_header!(PCalledPartyId, HeaderName::PCalledPartyId, false, Form::NameAddr,
/// P-Called-Party-ID: the address that was called, where the Request-URI was replaced on the way by
/// a contact of the callee's (RFC 7315 §4.2, §5.2).
///
/// ```
/// use sip_message::{Header, PCalledPartyId};
/// let called = PCalledPartyId::parse(b"<sip:user1-business@example.com>")?;
/// assert_eq!(called.uri().user(), Some("user1-business"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
