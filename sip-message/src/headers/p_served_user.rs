use super::address::address_header;
use crate::HeaderName;
use crate::name_addr::Form;

address_header!(PServedUser, HeaderName::PServedUser, false, Form::Any,
/// P-Served-User: the user that an application server acts for (RFC 5502 §6, RFC 8498 §6.2).
///
/// ```
/// use sip_message::{Header, PServedUser, SessionCase};
/// let served = PServedUser::parse(b"<sip:user@example.com>; sescase=orig; regstate=reg")?;
/// assert_eq!(served.session_case(), Some(SessionCase::Originating));
/// assert_eq!(served.is_registered(), Some(true));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// On which side of the request the served user of a [`PServedUser`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionCase {
    /// `sescase=orig`: the request comes from the user.
    Originating,
    /// `sescase=term`: the request is for the user.
    Terminating,
    /// `orig-cdiv`: the user has diverted the request, which goes out anew (RFC 8498).
    OriginatingDiverted,
}

impl PServedUser<'_> {
    /// Which side the user is on; `None` also for a value that is not known here.
    pub fn session_case(&self) -> Option<SessionCase> {
        if self.param("orig-cdiv").is_some() {
            return Some(SessionCase::OriginatingDiverted);
        }
        let value = self.param("sescase")?.value()?;
        if value.eq_ignore_ascii_case("orig") {
            Some(SessionCase::Originating)
        } else {
            value.eq_ignore_ascii_case("term").then_some(SessionCase::Terminating)
        }
    }

    /// Whether the user is registered (`regstate`); `None` also for a value that is not known here.
    pub fn is_registered(&self) -> Option<bool> {
        let value = self.param("regstate")?.value()?;
        if value.eq_ignore_ascii_case("reg") {
            Some(true)
        } else {
            value.eq_ignore_ascii_case("unreg").then_some(false)
        }
    }
}
