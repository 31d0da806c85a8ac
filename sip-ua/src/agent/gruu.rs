//! Globally routable URIs of this user agent (RFC 5627): learned from 2xx to REGISTER, named by Contact in calls and
//! subscriptions, so that whoever has it reaches this very device from anywhere, also outside of the dialog.
//!
//! [`AgentConfig::gruu`](crate::AgentConfig::gruu) asks for them, for accounts that have an
//! [instance](crate::Account::instance).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sip_message::{Contact, Expires, Response, Uri};

use super::Agent;
use crate::{Account, RegistrationKey};

/// The GRUUs of all accounts that are registered.
#[derive(Default)]
pub(super) struct Gruus {
    of: HashMap<Owner, Gruu>,
    /// The time of the last event or command: what is checked against it.
    now: Option<Instant>,
}

/// An address-of-record and an instance.
#[derive(PartialEq, Eq, Hash)]
struct Owner(Box<str>, Box<str>);

struct Gruu {
    registration: RegistrationKey,
    /// The same as long as the registrar remembers the instance, as a rule.
    public: Option<Uri<'static>>,
    /// The newest of those that say nothing of whom they belong to.
    temporary: Option<Uri<'static>>,
    /// When the binding lapses, unless it is refreshed.
    until: Instant,
}

impl Owner {
    fn of(account: &Account) -> Option<Self> {
        let instance = account.instance_id()?;
        Some(Self(account.identity().as_str().into(), instance.into()))
    }
}

impl Gruus {
    /// It is so late now.
    pub(super) fn tick(&mut self, now: Instant) {
        if !self.of.is_empty() {
            self.now = Some(now);
        }
    }

    /// Our Contact where it is a GRUU.
    // RFC 5627 §4.4: "A UA SHOULD use a GRUU when populating the Contact header field of
    // dialog-forming and target refresh requests and responses."
    pub(super) fn contact(&self, account: Option<&Account>, secure: bool) -> Option<String> {
        let gruu = self.named(account?)?;
        // RFC 3261 §8.1.1.8: "the Contact header field MUST contain a SIPS URI as well."
        // RFC 5627 §4.2: "The user and host parts of the GRUU learned by the UA in the REGISTER
        // response MUST be treated opaquely by the UA.  That is, the UA MUST
        // NOT modify them in any way.  A UA MUST NOT modify or remove URI
        // parameters it does not recognize."
        (!secure || gruu.is_secure()).then(|| format!("<{gruu}>"))
    }

    /// The one to be named by it.
    // RFC 5627 §4.4: "When using a GRUU obtained through registrations, a UA MUST have an
    // active registration prior to using a GRUU, and MUST use a GRUU
    // learned through that registration.  It MUST NOT reuse a GRUU learned
    // through a previous registration that has lapsed"
    fn named(&self, account: &Account) -> Option<&Uri<'static>> {
        if self.of.is_empty() {
            return None;
        }
        let gruu = self.of.get(&Owner::of(account)?)?;
        if self.now.is_some_and(|now| now >= gruu.until) {
            return None;
        }
        // RFC 5627 §4.4: "When a UA wishes to
        // construct an anonymous request as described in RFC 3323 [15], it
        // SHOULD use a temporary GRUU."
        // The public one would tell who it is.
        if account.asks_privacy().is_some() {
            return gruu.temporary.as_ref();
        }
        gruu.public.as_ref().or(gruu.temporary.as_ref())
    }
}

impl Agent {
    /// Notes what a 2xx to a REGISTER gives.
    // RFC 5627 §4.2: "A UA MUST be prepared for a
    // Contact header field to contain just a "pub-gruu", just a "temp-
    // gruu", neither, or both."
    pub(super) fn note_gruu(&mut self, now: Instant, key: RegistrationKey, response: &Response) {
        let Some(registering) = self.registrations.get(key) else { return };
        let Some(owner) = Owner::of(&registering.account).filter(|_| self.config.gruu) else {
            return;
        };
        let mut found = None;
        for contact in response.get_all::<Contact<'_>>().flatten() {
            if contact.instance().is_some_and(|instance| is_instance(&instance, &owner.1)) {
                let (public, temporary) = (contact.pub_gruu(), contact.temp_gruu());
                if public.is_some() || temporary.is_some() {
                    let seconds = contact.expires();
                    let static_of = |uri: Option<Uri<'_>>| uri.map(|uri| uri.to_static());
                    found = Some((static_of(public), static_of(temporary), seconds));
                }
            }
        }
        // RFC 5627 §4.2: "However, a UA MUST be prepared for
        // the public GRUU to change from a previous one, since the persistence
        // property is not guaranteed with complete certainty."
        let Some((public, temporary, seconds)) = found else {
            self.gruus.of.remove(&owner);
            return;
        };
        let general = || response.get::<Expires>().ok().flatten().map(|expires| expires.0);
        let seconds = seconds.or_else(general).unwrap_or(0);
        let until = now + Duration::from_secs(seconds.into());
        self.gruus.of.insert(owner, Gruu { registration: key, public, temporary, until });
        self.gruus.tick(now);
    }

    /// A registration begins for this account, under a Call-ID of its own.
    // RFC 5627 §4.4: "A UA MUST NOT use a temporary GRUU learned in a REGISTER
    // response whose Call-ID differs from the one in the most recent
    // REGISTER request generated by the UA for the same AOR and instance ID"
    pub(super) fn forget_temporary_gruu(&mut self, account: &Account) {
        if let Some(gruu) = Owner::of(account).and_then(|owner| self.gruus.of.get_mut(&owner)) {
            gruu.temporary = None;
        }
    }

    /// A registration is over.
    pub(super) fn forget_gruu(&mut self, key: RegistrationKey) {
        self.gruus.of.retain(|_, gruu| gruu.registration != key);
    }
}

/// Whether `+sip.instance` names this URN.
fn is_instance(said: &str, instance: &str) -> bool {
    said.trim_matches(['<', '>']).eq_ignore_ascii_case(instance)
}
