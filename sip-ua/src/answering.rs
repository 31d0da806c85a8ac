//! Whether a call is answered without its user (RFC 5373): what the caller asks for, and may ask for.

use sip_message::{AnswerMode, Header, PrivAnswerMode, Request};

/// What a caller is authorized to ask for, by the policy of the application: who the caller is, proven by digest
/// ([`Sender::user`](crate::Sender::user)), by a certificate or asserted by a trusted network
/// ([`Caller::asserted`](crate::Caller::asserted)), and how the session would touch the privacy of the user. By default
/// nothing.
///
/// RFC 5373 §7.4 has no session with outbound media answered without explicit acceptance, whoever calls.
// RFC 5373 §4.1: "The
// default policy SHOULD be to refuse requests containing Priv-Answer-
// Mode header fields unless the requester is authenticated and
// specifically authorized to make Priv-Answer-Mode requests."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRights {
    /// To be answered automatically, by Answer-Mode.
    pub automatic: bool,
    /// The same by Priv-Answer-Mode.
    pub privileged: bool,
    /// Whether there is a user to answer: not at a gateway or a voice mail.
    pub attended: bool,
}

impl AnswerRights {
    /// Those of somebody who is not known, calling a user.
    pub const NONE: AnswerRights =
        AnswerRights { automatic: false, privileged: false, attended: true };
}

impl Default for AnswerRights {
    fn default() -> Self {
        Self::NONE
    }
}

/// How a call is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Nothing is asked for: as the user agent does with all calls.
    Free,
    /// Without waiting for the user.
    Automatic,
    /// When the user says so.
    Manual,
    /// Not at all, but refused by 403: the caller wants no other way than one that is not granted.
    Forbidden,
}

impl Answering {
    /// How the call of this INVITE is to be answered, whose caller may ask for so much. What cannot be read, or is no
    /// mode that is known, is as good as not there.
    ///
    /// ```
    /// # use sip_ua::{AnswerRights, Answering};
    /// # fn decide(invite: &sip_message::Request, is_dispatcher: bool) {
    /// let rights = AnswerRights { privileged: is_dispatcher, ..AnswerRights::NONE };
    /// match Answering::of(invite, rights) {
    ///     Answering::Automatic => { /* accept */ }
    ///     Answering::Forbidden => { /* reject by 403 */ }
    ///     Answering::Free | Answering::Manual => { /* ring */ }
    /// }
    /// # }
    /// ```
    pub fn of(invite: &Request, rights: AnswerRights) -> Self {
        let usual = asked_by(invite, |mode: AnswerMode<'_>| {
            Asked::of(mode.is_auto(), mode.is_manual(), mode.require())
        });
        let privileged = asked_by(invite, |mode: PrivAnswerMode<'_>| {
            Asked::of(mode.is_auto(), mode.is_manual(), mode.require())
        });
        // RFC 5373 §4.1: "If both are present, the
        // UAS will first test the authorization of the requester for Priv-
        // Answer-Mode and, if authorized, process the request as if only Priv-
        // Answer-Mode had been included.  If the requester is not authorized
        // for Priv-Answer-Mode, then the UAS will process the request as if
        // only Answer-Mode had been included."
        let (asked, granted) = match (privileged, usual) {
            (Some(privileged), _) if rights.privileged => (privileged, true),
            (_, Some(usual)) => (usual, rights.automatic),
            (Some(privileged), None) => (privileged, false),
            (None, None) => return Self::Free,
        };
        match asked {
            Asked { automatic: true, .. } if granted || !rights.attended => Self::Automatic,
            // RFC 5373 §4.5.1: "The UAS MUST NOT allow "manual" answer of this request, but
            // MAY reject it.  If, for whatever reason, the UAS chooses not to
            // accept the request automatically, the UAS MUST reject the request,
            // SHOULD do so with a "403 (Forbidden)" response"
            Asked { automatic: true, require: true } => Self::Forbidden,
            // RFC 5373 §4.5.1: "If the UAS is not capable of answering the request in this
            // "Manual" mode or is unwilling to do so, it MUST reject the request,
            // SHOULD do so with a "403 (Forbidden)" response"
            Asked { automatic: false, require: true } if !rights.attended => Self::Forbidden,
            Asked { .. } if rights.attended => Self::Manual,
            // RFC 5373 §4.5.1: "an auto-attendant or Public Switched Telephone Network
            // (PSTN) gateway system that always answers automatically would go
            // ahead and answer, despite the presence of the "Manual" Answer-Mode
            // header field value."
            Asked { .. } => Self::Free,
        }
    }
}

#[derive(Clone, Copy)]
struct Asked {
    automatic: bool,
    require: bool,
}

impl Asked {
    // RFC 5373 §2: "implementations MUST ignore unknown values."
    fn of(is_auto: bool, is_manual: bool, require: bool) -> Option<Self> {
        (is_auto || is_manual).then_some(Self { automatic: is_auto, require })
    }
}

fn asked_by<'a, H: Header<'a>>(
    invite: &'a Request,
    read: impl FnOnce(H) -> Option<Asked>,
) -> Option<Asked> {
    invite.headers().get::<H>().ok().flatten().and_then(read)
}

#[cfg(test)]
mod tests;
