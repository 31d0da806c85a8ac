//! Which header fields cross a bridge.
//!
//! | kind        | which                                                                                       |
//! | ----------- | -------------------------------------------------------------------------------------------- |
//! | own         | what belongs to one dialog, one hop or one agent: each leg has its own, and none ever crosses |
//! | identity    | who the network says the caller is: from those in our trust domain only (RFC 3325)            |
//! | passed      | what is on the list                                                                          |
//! | the rest    | stays behind, unless everything is let through                                               |

use std::borrow::Cow;

use sip_message::{HeaderName, Headers, Privacy};

/// Which header fields cross a bridge, in requests and responses: a list of names. The default lets those through that
/// speak of the call and its people, and keeps what speaks of one leg, of machines, or is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPass {
    /// Those beside the standard ones.
    more: Vec<Box<str>>,
    less: Vec<Box<str>>,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Nothing,
    Standard,
    Everything,
}

/// The name is none, or one of a header field that each leg writes itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no header field that can cross a bridge")]
pub struct BadHeaderName(String);

impl Default for HeaderPass {
    fn default() -> Self {
        Self { more: Vec::new(), less: Vec::new(), scope: Scope::Standard }
    }
}

impl HeaderPass {
    /// None at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self { scope: Scope::Nothing, ..Self::default() }
    }

    /// All, unknown ones as well, but for those that each leg writes itself, and identities that nobody vouches for.
    #[must_use]
    pub fn everything() -> Self {
        Self { scope: Scope::Everything, ..Self::default() }
    }

    /// The same and this one.
    ///
    /// # Errors
    /// [`BadHeaderName`] if it is no name, or never crosses.
    pub fn and(mut self, name: &str) -> Result<Self, BadHeaderName> {
        let known = HeaderName::from_bytes(name.as_bytes());
        if known.is_none_or(|name| is_own(name) || is_identity(name)) {
            return Err(BadHeaderName(name.to_owned()));
        }
        self.less.retain(|other| !other.eq_ignore_ascii_case(name));
        self.more.push(name.into());
        Ok(self)
    }

    /// The same without this one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.more.retain(|other| !other.eq_ignore_ascii_case(name));
        self.less.push(name.into());
        self
    }

    /// Whether a header field of this name crosses. `trusted` says whether who sent it and who gets it are in our trust
    /// domain.
    pub fn crosses(&self, name: HeaderName<'_>, trusted: bool) -> bool {
        let named = |list: &[Box<str>]| {
            list.iter().any(|other| HeaderName::from_bytes(other.as_bytes()) == Some(name))
        };
        if is_own(name) || named(&self.less) {
            return false;
        }
        if is_identity(name) {
            return trusted && self.scope != Scope::Nothing;
        }
        match self.scope {
            Scope::Nothing => named(&self.more),
            Scope::Standard => is_standard(name) || named(&self.more),
            Scope::Everything => true,
        }
    }

    /// Those of a message that cross.
    pub(super) fn of(&self, headers: &Headers, trusted: bool) -> Vec<(String, String)> {
        let fields = headers.iter().filter(|field| self.crosses(field.name(), trusted));
        fields.map(|field| (field.name().as_str().to_owned(), text(field.value()))).collect()
    }
}

/// Whether who gets an INVITE may hear of identities that its sender asserts.
// RFC 3325 §5: "If it
// does not trust the element, then the proxy MUST examine the Privacy
// header field (if present) to determine if the user requested that
// asserted identity information be kept private."
pub(super) fn may_know(headers: &Headers, trusts_sender: bool, trusts_target: bool) -> bool {
    let privacy = headers.get::<Privacy<'_>>().ok().flatten();
    let hidden = privacy.is_some_and(|privacy| !privacy.is_none());
    trusts_sender && (trusts_target || !hidden)
}

/// A value on one line.
fn text(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let value: Cow<'_, str> = match value.contains(['\r', '\n']) {
        true => value.split(['\r', '\n']).map(str::trim).collect::<Vec<_>>().join(" ").into(),
        false => value,
    };
    value.into_owned()
}

/// What belongs to one dialog, one hop or one agent.
fn is_own(name: HeaderName<'_>) -> bool {
    use HeaderName as H;
    matches!(
        name,
        // The dialog, and the way to the next hop.
        H::Via | H::From | H::To | H::CallId | H::CSeq | H::MaxForwards | H::MaxBreadth
        | H::Route | H::RecordRoute | H::Contact | H::Path | H::ServiceRoute | H::FlowTimer
        // The body, which is written anew.
        | H::ContentLength | H::ContentType | H::ContentEncoding | H::MimeVersion
        // Who proves what to whom.
        | H::Authorization | H::ProxyAuthorization | H::WwwAuthenticate | H::ProxyAuthenticate
        | H::AuthenticationInfo | H::Identity | H::SecurityClient | H::SecurityServer
        | H::SecurityVerify
        // What an agent can do and wants.
        | H::Allow | H::AllowEvents | H::Supported | H::Require | H::ProxyRequire
        | H::Unsupported | H::Accept | H::AcceptEncoding | H::UserAgent | H::Server
        // Machines that run on each leg.
        | H::RSeq | H::RAck | H::SessionExpires | H::MinSe | H::Expires | H::MinExpires
        | H::Timestamp | H::Event | H::SubscriptionState | H::SipEtag | H::SipIfMatch
        | H::SuppressIfMatch
            | H::SessionId
        // What names dialogs and is translated, or done here.
        | H::Replaces | H::Join | H::TargetDialog | H::ReferTo | H::ReferSub | H::ReferEventsAt
        // The business of one network with its own.
        | H::PPreferredIdentity | H::PAccessNetworkInfo | H::PChargingVector
        | H::PChargingFunctionAddresses | H::PVisitedNetworkId | H::PAssociatedUri
        | H::PCalledPartyId | H::PServedUser | H::PPrivateNetworkIndication
    )
}

/// What the network says of people, which nobody outside of our trust domain is believed.
fn is_identity(name: HeaderName<'_>) -> bool {
    use HeaderName as H;
    matches!(name, H::PAssertedIdentity | H::HistoryInfo | H::Diversion)
}

/// What speaks of the call and its people.
fn is_standard(name: HeaderName<'_>) -> bool {
    use HeaderName as H;
    matches!(
        name,
        H::Subject
            | H::Priority
            | H::Organization
            | H::AlertInfo
            | H::CallInfo
            | H::InReplyTo
            | H::AcceptLanguage
            | H::ContentDisposition
            | H::ContentLanguage
            | H::Privacy
            | H::Reason
            | H::Warning
            | H::RetryAfter
            | H::ErrorInfo
            | H::UserToUser
            | H::AcceptContact
            | H::RejectContact
            | H::RequestDisposition
            | H::ResourcePriority
            | H::AcceptResourcePriority
            | H::AnswerMode
            | H::PrivAnswerMode
            | H::PEarlyMedia
            | H::InfoPackage
            | H::RecvInfo
            | H::ReferredBy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses() {
        let standard = HeaderPass::default();
        let more = HeaderPass::default().and("x-tenant").unwrap().without("Subject");
        let (all, none) =
            (HeaderPass::everything(), HeaderPass::nothing().and("X-Tenant").unwrap());
        for (name, crosses) in [
            //                    standard, more,  all,   none
            ("Subject", [true, false, true, false]),
            ("User-to-User", [true, true, true, false]),
            ("X-Tenant", [false, true, true, true]),
            ("X-Other", [false, false, true, false]),
            ("Via", [false; 4]),
            ("v", [false; 4]),
            ("Contact", [false; 4]),
            ("Proxy-Authorization", [false; 4]),
            ("Session-Expires", [false; 4]),
            ("P-Asserted-Identity", [false; 4]),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let got = [&standard, &more, &all, &none].map(|pass| pass.crosses(name, false));
            assert_eq!(got, crosses, "{name:?}");
        }
        assert!(standard.crosses(HeaderName::PAssertedIdentity, true));
        assert!(!none.crosses(HeaderName::PAssertedIdentity, true));
    }

    #[test]
    fn what_cannot_be_let_through() {
        for name in ["Via", "v", "Route", "Proxy-Authorization", "Diversion", "no name", ""] {
            assert!(HeaderPass::default().and(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folded_value_crosses_on_one_line() {
        assert_eq!(text(b"one\r\n two\r\n\tthree"), "one  two  three");
        assert_eq!(text(b"one"), "one");
    }
}
