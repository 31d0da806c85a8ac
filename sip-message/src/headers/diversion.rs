use alloc::borrow::Cow;

use super::address::address_header;
use crate::HeaderName;
use crate::name_addr::Form;
use crate::scan;

address_header!(Diversion, HeaderName::Diversion, true, Form::NameAddr,
/// One Diversion value: from whom a call was diverted, and why; the last diversion comes first
/// (RFC 5806 §4).
///
/// ```
/// use sip_message::{Diversion, Header};
/// let from = Diversion::parse(b"<tel:+19195551004>;reason=user-busy;privacy=\"full\";counter=4")?;
/// assert_eq!((from.reason().as_deref(), from.counter()), (Some("user-busy"), Some(4)));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Diversion<'_> {
    /// Why the call was diverted: `user-busy`, `no-answer`, `unconditional` and so on.
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        self.param("reason")?.value()
    }

    /// How many diversions this value stands for; `None` also if it is no number.
    pub fn counter(&self) -> Option<u32> {
        scan::whole_number(self.param("counter")?.raw_value()?)
    }

    /// How many more diversions are allowed; `None` also if it is no number.
    pub fn limit(&self) -> Option<u32> {
        scan::whole_number(self.param("limit")?.raw_value()?)
    }

    /// What of the address is to be kept from the users: `full`, `name`, `uri` or `off`.
    pub fn privacy(&self) -> Option<Cow<'_, str>> {
        self.param("privacy")?.value()
    }

    /// Whether a network has checked the address: `yes` or `no`.
    pub fn screen(&self) -> Option<Cow<'_, str>> {
        self.param("screen")?.value()
    }
}
