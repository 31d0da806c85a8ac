//! Who sends a request, within a network whose elements trust each other.

use super::address::address_header;
use crate::HeaderName;
use crate::name_addr::Form;

address_header!(PAssertedIdentity, HeaderName::PAssertedIdentity, true, Form::Any,
/// One P-Asserted-Identity value: who the sender is, as the network has found (RFC 3325 §9.1).
///
/// There may be two, a `sip` or `sips` URI and a `tel` URI; how many there are is not checked here.
///
/// ```
/// use sip_message::{Header, PAssertedIdentity};
/// let who = PAssertedIdentity::parse(b"\"Cullen Jennings\" <sip:fluffy@cisco.com>")?;
/// assert_eq!(who.uri().user(), Some("fluffy"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

address_header!(PPreferredIdentity, HeaderName::PPreferredIdentity, true, Form::Any,
/// One P-Preferred-Identity value: which of its identities the sender would have the network assert
/// (RFC 3325 §9.2).
///
/// ```
/// use sip_message::{Header, PPreferredIdentity};
/// let who = PPreferredIdentity::parse(b"tel:+14085264000")?;
/// assert_eq!(who.uri().as_str(), "tel:+14085264000");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
