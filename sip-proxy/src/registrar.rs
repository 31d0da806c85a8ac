//! What a REGISTER makes of the bindings of an address-of-record (RFC 3261 §10.3, RFC 3327, RFC 5626 §6), as a
//! function without a store, a clock or a socket.
//!
//! ```text
//! REGISTER --Register::read--> Register --+
//!                                         +-- Registrar::apply --> BindingChange --answer--> 200
//! bindings of its AOR, from a store ------+         |
//!                                                   +------------> RegisterRefused --answer--> 400, 403, 420, 423 …
//! ```
//!
//! The caller does what needs the outside: it finds out who asks and whether they may
//! ([`RegisterRefused::Forbidden`]), loads the bindings, and commits [`BindingChange::bindings`] before it answers.
//! A [`BindingChange`] is all or nothing, and follows from what it was given alone: who commits under a version and
//! loses the race loads and applies again.
//!
//! ```
//! use core::time::Duration;
//! use sip_message::{Limits, Message};
//! use sip_proxy::{Register, Registrar};
//!
//! let request = b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
//!     From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@192.0.2.7\r\nCSeq: 1 REGISTER\r\n\
//!     Contact: <sip:bob@192.0.2.7>\r\nExpires: 600\r\n\r\n";
//! let request = Message::parse(request[..].into(), &Limits::default()).unwrap().into_request().unwrap();
//! let registrar = Registrar::default();
//! let now = Duration::from_secs(1_800_000_000);
//!
//! let register = Register::read(&request).unwrap();
//! assert_eq!(register.aor().as_str(), "bob@example.com");
//! let change = registrar.apply(&[], &register, now, 0).unwrap();
//! let answer = change.answer(&request, now).build().unwrap();
//! assert_eq!(answer.raw(sip_message::HeaderName::Contact), Some(&b"<sip:bob@192.0.2.7>;expires=600"[..]));
//! ```

mod binding;
mod change;
mod register;

use core::time::Duration;

pub use binding::{Aor, Binding};
pub use change::{BindingChange, BindingEvent, RegisterRefused};
pub use register::Register;

use sip_message::Uri;

use crate::edge::{Addressed, Gruus};
use register::{Asked, Contacts};

/// The rules of a registrar, and what they leave to who runs it. Plain values with setters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Registrar {
    /// How long a binding lives if the request does not say, in seconds. Default 3600.
    pub default_expires: u32,
    /// The longest that a binding is granted, in seconds. Default 7200.
    pub max_expires: u32,
    /// What is shorter is refused by 423; no more than an hour has any effect. Default 60.
    pub min_expires: u32,
    /// By how many of a hundred parts a granted time is shortened at most, by chance, so that those that came at
    /// one moment do not all come back at one. Default 10, at most 50.
    pub jitter: u32,
    /// How many bindings an address-of-record may have. Default 10.
    pub max_bindings: usize,
    /// What becomes of one more. Default [`AtLimit::Refuse`].
    pub at_limit: AtLimit,
    /// How many bytes Contact, Path, Call-ID and instance of a binding may have in all. Default 2,048.
    pub max_binding_bytes: usize,
    /// Whether a Path is taken from a user agent that does not say that it knows what that is. Default no: it is
    /// answered 420 (RFC 3327 §5.3).
    pub path_from_anyone: bool,
    /// Whether a REGISTER with the Call-ID of a binding and a lower CSeq counts: phones are known that begin again
    /// with both when they restart. Default no: it is answered 500. A REGISTER that the network delays may then
    /// bring an older binding back.
    pub restarted_phones: bool,
    /// What a flow of a user agent that keeps it alive is told as Flow-Timer, in seconds (RFC 5626 §6); 0 for
    /// nothing. Default 0.
    pub flow_timer: u32,
    /// Who makes GRUUs, for user agents that understand them (RFC 5627). Default none: no GRUU is given.
    pub gruus: Option<Gruus>,
    /// What the user agents are told to send their requests by, in order: loose routes (RFC 3608). Default none.
    pub service_route: Vec<Uri<'static>>,
}

/// What becomes of a binding for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtLimit {
    /// The request is refused by 403.
    Refuse,
    /// The binding that was refreshed longest ago goes.
    ReplaceOldest,
}

impl Default for Registrar {
    fn default() -> Self {
        Self {
            default_expires: 3600,
            max_expires: 7200,
            min_expires: 60,
            jitter: 10,
            max_bindings: 10,
            at_limit: AtLimit::Refuse,
            max_binding_bytes: 2048,
            path_from_anyone: false,
            restarted_phones: false,
            flow_timer: 0,
            gruus: None,
            service_route: Vec::new(),
        }
    }
}

impl Registrar {
    /// Sets the longest that a binding is granted, in seconds.
    #[must_use]
    pub fn max_expires(mut self, seconds: u32) -> Self {
        self.max_expires = seconds;
        self
    }

    /// Sets below how many seconds a binding is refused.
    #[must_use]
    pub fn min_expires(mut self, seconds: u32) -> Self {
        self.min_expires = seconds;
        self
    }

    /// Sets by how many of a hundred parts a granted time is shortened at most.
    #[must_use]
    pub fn jitter(mut self, percent: u32) -> Self {
        self.jitter = percent.min(50);
        self
    }

    /// Sets how many bindings an address-of-record may have, and what becomes of one more.
    #[must_use]
    pub fn max_bindings(mut self, bindings: usize, at_limit: AtLimit) -> Self {
        self.max_bindings = bindings;
        self.at_limit = at_limit;
        self
    }

    /// Sets whether a Path is taken from a user agent that does not say that it knows what that is.
    #[must_use]
    pub fn path_from_anyone(mut self, taken: bool) -> Self {
        self.path_from_anyone = taken;
        self
    }

    /// Sets whether a lower CSeq of the same Call-ID counts.
    #[must_use]
    pub fn restarted_phones(mut self, counts: bool) -> Self {
        self.restarted_phones = counts;
        self
    }

    /// Sets who makes GRUUs.
    #[must_use]
    pub fn gruus(mut self, gruus: Gruus) -> Self {
        self.gruus = Some(gruus);
        self
    }

    /// Adds a loose route by which user agents are to send their requests, after those that were added before. One
    /// without `lr` gets it.
    // RFC 3608 §6.3: "such route elements MUST include the loose-routing indicator
    // parameter ";lr" for full compliance with [3]."
    #[must_use]
    pub fn service_route(mut self, uri: Uri<'static>) -> Self {
        self.service_route.push(uri.with_param("lr", None).unwrap_or(uri));
        self
    }

    /// What this request makes of those bindings, at a moment since the Unix epoch. `dice` is a random number.
    ///
    /// Bindings that are over are left out whatever the request says. A request without a Contact changes nothing
    /// else: its answer lists what there is.
    ///
    /// # Errors
    /// What the request is refused for; nothing is changed then.
    // RFC 3261 §10.3: "REGISTER requests MUST also be processed atomically, meaning that a
    // particular REGISTER request is either processed completely or not at
    // all."
    pub fn apply(
        &self,
        bindings: &[Binding],
        register: &Register<'_>,
        now: Duration,
        dice: u32,
    ) -> Result<BindingChange, RegisterRefused> {
        let mut change = BindingChange::of(bindings, now);
        self.may_come_by(register)?;
        match &register.contacts {
            Contacts::None => {}
            Contacts::Star => self.remove_all(&mut change, register)?,
            Contacts::List(list) => {
                for asked in list {
                    self.bind(&mut change, asked, register, now, dice)?;
                }
                self.fit(&mut change)?;
            }
        }
        change.answered_by(self, register, dice);
        Ok(change)
    }

    /// Whether the way by which the request came is one that bindings may be reached by.
    fn may_come_by(&self, register: &Register<'_>) -> Result<(), RegisterRefused> {
        // RFC 3327 §5.3: "The recommended
        // policy is for the registrar to reject the request with a 420 "Bad
        // Extension" response indicating the Path extension."
        if register.has_path && !register.knows_path && !self.path_from_anyone {
            return Err(RegisterRefused::PathNotSupported);
        }
        // RFC 5626 §6: "if the REGISTER request contains
        // the reg-id and the outbound option tag in a Supported header field,
        // then the registrar MUST respond to the REGISTER request with a 439
        // (First Hop Lacks Outbound Support) response"
        if register.wants_outbound() && !register.takes_outbound {
            return Err(RegisterRefused::FirstHopLacksOutbound);
        }
        // RFC 5627 §5.1: "If the contact URI is a
        // GRUU for the AOR in the To header field of the REGISTER request, the
        // registrar MUST reject the request with a 403, for the same reason."
        let is_own = |asked: &Asked<'_>| {
            let gruu = asked.contact.uri().filter(|uri| uri.gruu().is_some());
            let of = gruu.and_then(|uri| Addressed::of(&uri, self.gruus.as_ref()));
            of.is_some_and(|of| of.instance().is_some() && of.aor() == register.aor())
        };
        if register.list().any(is_own) {
            return Err(RegisterRefused::Gruu);
        }
        Ok(())
    }

    fn remove_all(
        &self,
        change: &mut BindingChange,
        register: &Register<'_>,
    ) -> Result<(), RegisterRefused> {
        for at in (0..change.bindings.len()).rev() {
            self.in_order(change.bindings.get(at), register)?;
            change.remove(at, BindingEvent::Unregistered);
        }
        Ok(())
    }

    /// RFC 3261 §10.3 step 7, for one Contact.
    fn bind(
        &self,
        change: &mut BindingChange,
        asked: &Asked<'_>,
        register: &Register<'_>,
        now: Duration,
        dice: u32,
    ) -> Result<(), RegisterRefused> {
        let found = change.position(asked, register.takes_outbound);
        // A Contact that this request names twice is bound as it is named last.
        if !found.is_some_and(|at| change.is_of_this_request(at)) {
            self.in_order(found.and_then(|at| change.bindings.get(at)), register)?;
        }
        let seconds = self.granted(asked.expires.unwrap_or(self.default_expires), dice)?;
        if seconds == 0 {
            if let Some(at) = found {
                change.remove(at, BindingEvent::Unregistered);
            }
            return Ok(());
        }
        let mut binding = Binding::new(asked, register, now, seconds)
            .filter(|binding| binding.bytes() <= self.max_binding_bytes)
            .ok_or(RegisterRefused::TooLarge)?;
        binding.set_gruus_since(change.renew_gruus(asked, register, now));
        change.put(found, binding);
        Ok(())
    }

    /// Whether the request is younger than what made this binding.
    // RFC 3261 §10.3: "If they are
    // the same, the registrar compares the CSeq value.  If the value
    // is higher than that of the existing binding, it MUST update or
    // remove the binding as above.  If not, the update MUST be
    // aborted and the request fails."
    fn in_order(
        &self,
        binding: Option<&Binding>,
        register: &Register<'_>,
    ) -> Result<(), RegisterRefused> {
        match binding {
            Some(binding)
                if binding.call_id() == register.call_id
                    && register.cseq <= binding.cseq()
                    && !(self.restarted_phones && register.cseq < binding.cseq()) =>
            {
                Err(RegisterRefused::OutOfOrder)
            }
            _ => Ok(()),
        }
    }

    /// How long a binding lives that asks for so many seconds.
    fn granted(&self, seconds: u32, dice: u32) -> Result<u32, RegisterRefused> {
        // RFC 3261 §10.3: "If and only if the requested expiration
        // interval is greater than zero AND smaller than one hour AND
        // less than a registrar-configured minimum, the registrar MAY
        // reject the registration with a response of 423 (Interval Too
        // Brief)."
        if seconds > 0 && seconds < self.min_expires.min(3600) {
            return Err(RegisterRefused::TooBrief { min: self.min_expires.min(3600) });
        }
        // RFC 3261 §10.3: "The registrar MAY choose an expiration less than the requested
        // expiration interval."
        let longest = seconds.min(self.max_expires);
        let spread = longest / 100 * self.jitter.min(50);
        let shorter =
            longest.saturating_sub(dice.checked_rem(spread.saturating_add(1)).unwrap_or(0));
        Ok(shorter.max(longest.min(self.min_expires)))
    }

    fn fit(&self, change: &mut BindingChange) -> Result<(), RegisterRefused> {
        while change.bindings.len() > self.max_bindings {
            match self.at_limit {
                AtLimit::Refuse => return Err(RegisterRefused::TooMany { max: self.max_bindings }),
                AtLimit::ReplaceOldest => {
                    let Some(oldest) = change.oldest() else {
                        return Err(RegisterRefused::TooMany { max: self.max_bindings });
                    };
                    change.remove(oldest, BindingEvent::Deactivated);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
