//! What becomes of a REGISTER.

use core::time::Duration;

use sip_message::{
    Contact, Date, FlowTimer, HeaderName, MinExpires, Request, Response, ResponseBuilder,
    ServiceRoute, StatusCode, Uri,
};

use super::register::{Asked, Register};
use super::{Aor, Binding, Registrar};
use crate::edge::{self, Gruus};

/// What a REGISTER makes of the bindings of its address-of-record.
#[derive(Clone, Debug)]
pub struct BindingChange {
    /// All that there are from now on; to be committed before the request is answered.
    pub bindings: Vec<Binding>,
    /// What happened to which, in order: what those who watch the registration are told (RFC 3680).
    pub events: Vec<(BindingEvent, Binding)>,
    /// Of `bindings`, which are of this request.
    fresh: Vec<bool>,
    outbound: bool,
    flow_timer: u32,
    /// What GRUUs are made of for the answer, if there are any.
    gruus: Option<(Gruus, Aor, u32)>,
    service_route: Vec<Uri<'static>>,
}

/// What happened to a binding (RFC 3680 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingEvent {
    /// It was made by a REGISTER.
    Registered,
    /// It was refreshed.
    Refreshed,
    /// It ends sooner than it did before.
    Shortened,
    /// Its time was over.
    Expired,
    /// The registrar removed it.
    Deactivated,
    /// A REGISTER removed it.
    Unregistered,
}

impl BindingChange {
    /// No change but what the time has brought.
    pub(super) fn of(bindings: &[Binding], now: Duration) -> Self {
        let (live, over): (Vec<_>, Vec<_>) =
            bindings.iter().cloned().partition(|binding| binding.until() > now);
        let fresh = vec![false; live.len()];
        let events = over.into_iter().map(|binding| (BindingEvent::Expired, binding)).collect();
        Self {
            bindings: live,
            events,
            fresh,
            outbound: false,
            flow_timer: 0,
            gruus: None,
            service_route: Vec::new(),
        }
    }

    /// What is left of these bindings when a flow is gone: without those whose path begins with its token.
    // RFC 5626 §7: "If a proxy or registrar receives information from the network that
    // indicates that no future messages will be delivered on a specific
    // flow, then the proxy MUST invalidate all the bindings in the target
    // set that use that flow (regardless of AOR)."
    #[must_use]
    pub fn without_flow(bindings: &[Binding], token: &str, now: Duration) -> Self {
        let mut change = Self::of(bindings, now);
        for at in (0..change.bindings.len()).rev() {
            let is_over = change.bindings.get(at).is_some_and(|binding| {
                binding.path().first().is_some_and(|first| first.user() == Some(token))
            });
            if is_over {
                change.remove(at, BindingEvent::Deactivated);
            }
        }
        change
    }

    /// Whether there is something to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The binding that a Contact is about.
    // RFC 5626 §6: "the corresponding binding is between an AOR and the
    // combination of the instance-id (from the "+sip.instance" Contact
    // header parameter) and the value of "reg-id" Contact header field
    // parameter parameter."
    pub(super) fn position(&self, asked: &Asked<'_>, takes_outbound: bool) -> Option<usize> {
        if let Some((instance, reg_id)) = asked.flow(takes_outbound) {
            return self.bindings.iter().position(|binding| {
                binding
                    .flow()
                    .is_some_and(|(of, id)| id == reg_id && of.eq_ignore_ascii_case(&instance))
            });
        }
        // RFC 3261 §10.3: "For each address, the registrar then searches the list of
        // current bindings using the URI comparison rules."
        let uri = asked.contact.uri()?;
        self.bindings.iter().position(|binding| {
            binding.flow().is_none()
                && binding.contact().uri().is_some_and(|of| of.is_equivalent(&uri))
        })
    }

    pub(super) fn is_of_this_request(&self, at: usize) -> bool {
        self.fresh.get(at).copied().unwrap_or(false)
    }

    /// Takes a binding in: in the place of another, or as one more.
    pub(super) fn put(&mut self, at: Option<usize>, binding: Binding) {
        let old = at.and_then(|at| self.bindings.get_mut(at));
        let event = match &old {
            None => BindingEvent::Registered,
            Some(old) if binding.until() < old.until() => BindingEvent::Shortened,
            Some(_) => BindingEvent::Refreshed,
        };
        self.events.push((event, binding.clone()));
        match (old, at.and_then(|at| self.fresh.get_mut(at))) {
            (Some(old), Some(fresh)) => {
                *old = binding;
                *fresh = true;
            }
            _ => {
                self.bindings.push(binding);
                self.fresh.push(true);
            }
        }
    }

    pub(super) fn remove(&mut self, at: usize, event: BindingEvent) {
        if at < self.bindings.len() {
            self.fresh.remove(at);
            let binding = self.bindings.remove(at);
            self.events.push((event, binding));
        }
    }

    /// The one that was refreshed longest ago and is not of this request.
    pub(super) fn oldest(&self) -> Option<usize> {
        let old =
            self.bindings.iter().zip(&self.fresh).enumerate().filter(|(_, (_, fresh))| !**fresh);
        old.min_by_key(|(_, (binding, _))| binding.refreshed()).map(|(at, _)| at)
    }

    /// What the answer says beside the bindings.
    pub(super) fn answered_by(
        &mut self,
        registrar: &Registrar,
        register: &Register<'_>,
        salt: u32,
    ) {
        self.outbound = register.is_outbound();
        self.flow_timer = registrar.flow_timer;
        let gruus = registrar.gruus.as_ref().filter(|_| register.knows_gruu);
        self.gruus = gruus.map(|gruus| (gruus.clone(), register.aor().clone(), salt));
        self.service_route.clone_from(&registrar.service_route);
    }

    /// Since when temporary GRUUs of an instance count that is about to be bound; from now on those of all its
    /// bindings do.
    pub(super) fn renew_gruus(
        &mut self,
        asked: &Asked<'_>,
        register: &Register<'_>,
        now: Duration,
    ) -> Duration {
        let Some(instance) = asked.contact.instance() else { return now };
        let is_of = |binding: &Binding| {
            binding.instance().is_some_and(|of| of.eq_ignore_ascii_case(&instance))
        };
        let reg_id = asked.flow(register.takes_outbound).map(|(_, reg_id)| reg_id);
        let of_instance = || self.bindings.iter().filter(|binding| is_of(binding));
        // RFC 5627 §5.1: "Next, the registrar checks for any existing contacts registered to
        // the same AOR, instance ID, and if the contact in the REGISTER request
        // is registering a flow [14], reg-id.  If there is at least one, the
        // registrar finds the one that was most recently registered, and
        // examines the Call-ID value associated with that registered contact."
        let last = of_instance()
            .filter(|binding| reg_id.is_none() || binding.flow().map(|(_, id)| id) == reg_id)
            .max_by_key(|binding| binding.refreshed());
        let since = of_instance().map(Binding::gruus_since).max();
        // RFC 5627 §5.1: "If it differs from the one in the REGISTER request, the registrar
        // MUST invalidate all previously generated temporary GRUUs for the AOR
        // and instance ID."
        let is_another = last.is_some_and(|last| last.call_id() != register.call_id);
        let since = since.filter(|_| !is_another).unwrap_or(now);
        for binding in self.bindings.iter_mut().filter(|binding| is_of(binding)) {
            binding.set_gruus_since(since);
        }
        since
    }

    /// The 200 to the request, without a To tag; once the change is committed.
    // RFC 3261 §10.3: "The response MUST
    // contain Contact header field values enumerating all current
    // bindings.  Each Contact value MUST feature an "expires"
    // parameter indicating its expiration interval chosen by the
    // registrar.  The response SHOULD include a Date header field."
    pub fn answer(&self, request: &Request, now: Duration) -> ResponseBuilder {
        let mut answer = Response::to_request(request, StatusCode::OK);
        for binding in &self.bindings {
            let left = binding.until().saturating_sub(now);
            // What is left of a second is one: 0 would say that there is no such binding.
            let seconds = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
            if let Ok(contact) = binding.contact().with_param("expires", Some(&seconds.to_string()))
            {
                answer = answer.header(&self.with_gruus(contact, binding, now));
            }
        }
        for uri in &self.service_route {
            // RFC 3608 §6.3: "When a registrar receives a successful REGISTER request, it MAY
            // choose to return one or more Service-Route header field(s) in the 200
            // class response."
            answer = answer.header(&ServiceRoute::new(uri));
        }
        // RFC 3327 §5.3: "The registrar copies the Path
        // header field values into a Path header field in the successful (200
        // class) REGISTER response."
        answer = answer.copy(request, HeaderName::Path);
        if self.outbound {
            // RFC 5626 §6: "Provided that the UAC had included an outbound
            // option-tag (defined in Section 11.4) in a Supported header field
            // value in the REGISTER request, the registrar MUST include the
            // outbound option-tag in a Require header field value in its response
            // to that REGISTER request."
            answer = answer.raw(HeaderName::Require, "outbound");
            // RFC 5626 §6: "Registrars with a direct flow with a UA MAY include a
            // Flow-Timer header in a 2xx class registration response that includes
            // the outbound option-tag in the Require header."
            if self.flow_timer > 0 {
                answer = answer.header(&FlowTimer(self.flow_timer));
            }
        }
        match Date::from_unix(now.as_secs()) {
            Some(date) => answer.header(&date),
            None => answer,
        }
    }
}

impl BindingChange {
    /// The Contact of a binding with the GRUUs of its instance, for who understands them.
    // RFC 5627 §5.2: "If the REGISTER request contained a Supported header
    // field that included the "gruu" option tag, and the registrar has at
    // least one temporary GRUU assigned to the instance ID and AOR, the
    // registrar MUST add a "temp-gruu" Contact header field parameter to
    // that Contact header field.  The value of the "temp-gruu" parameter is
    // a quoted string, and MUST contain the most recently created temporary
    // GRUU for that AOR and instance ID."
    fn with_gruus<'a>(
        &'a self,
        contact: Contact<'a>,
        binding: &'a Binding,
        now: Duration,
    ) -> Contact<'a> {
        // RFC 5627 §5.1: "A UA cannot suggest or otherwise provide a temporary GRUU
        // to the registrar."
        let is_given = |name: &str| contact.param(name).is_some();
        let contact = match is_given("pub-gruu") || is_given("temp-gruu") {
            true => without_gruus(&contact),
            false => contact,
        };
        let (Some((gruus, aor, salt)), Some(instance)) = (&self.gruus, binding.instance()) else {
            return contact;
        };
        // RFC 5630 §5.2.1: "If the Contact header field in the REGISTER request contains a
        // SIP URI, the registrar MUST return the SIP version of the GRUU."
        let is_secure = contact.uri().is_some_and(|uri| uri.is_secure());
        // Another server's clock may be ahead of this one's.
        let made = now.max(binding.gruus_since());
        let public = edge::public_gruu(aor, instance, is_secure);
        let temporary = gruus.temporary(aor, instance, made, *salt, is_secure);
        let contact = public.and_then(|uri| contact.with_pub_gruu(&uri).ok()).unwrap_or(contact);
        temporary.and_then(|uri| contact.with_temp_gruu(&uri).ok()).unwrap_or(contact)
    }
}

fn without_gruus(contact: &Contact<'_>) -> Contact<'static> {
    let Some(address) = contact.as_name_addr() else { return contact.to_static() };
    let mut bare = address.without_params();
    for param in contact.params().filter(|it| !it.is("pub-gruu") && !it.is("temp-gruu")) {
        if let Ok(with) = bare.with_param(param.name(), param.value().as_deref()) {
            bare = with;
        }
    }
    bare.into()
}

/// Why a REGISTER is refused, with nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterRefused {
    /// A header field is missing or malformed: 400.
    #[error("{0} is missing or malformed")]
    Malformed(HeaderName<'static>),
    /// `*` beside another Contact, or without `Expires: 0`: 400.
    #[error("a Contact of * wants Expires: 0 and no other Contact")]
    Star,
    /// Several bindings at once, one of them by a flow: 400 (RFC 5626 §6).
    #[error("a flow is registered by itself")]
    ManyFlows,
    /// A SIPS Contact where the Request-URI or Path is not: 400 (RFC 5630 §5.2).
    #[error("a sips Contact wants a sips Request-URI and Path")]
    NotSecure,
    /// Contact, Path and Call-ID are longer than allowed: 400.
    #[error("the binding is too large")]
    TooLarge,
    /// The Contact is the address-of-record itself: 403.
    #[error("a Contact is the address-of-record itself")]
    Loop,
    /// The Contact is a GRUU of the address-of-record itself: 403.
    #[error("a Contact is a GRUU of the address-of-record")]
    Gruu,
    /// The Contact of an instance is no SIP URI: 403 (RFC 5627 §5.1).
    #[error("the Contact of an instance is a SIP URI")]
    NotSip,
    /// Whoever asks may not change these bindings: 403. For the caller to say: the rules here do not know who asks.
    #[error("this user may not register here")]
    Forbidden,
    /// There are as many bindings as there may be: 403.
    #[error("no more than {max} bindings")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// No such address-of-record in this domain: 404. For the caller to say, but for what is no SIP URI.
    #[error("no such address-of-record")]
    NotFound,
    /// There is a Path, and the user agent does not know what that is: 420 (RFC 3327 §5.3).
    #[error("Path, and no support for it")]
    PathNotSupported,
    /// So short a time is not worth a binding: 423.
    #[error("no binding for less than {min} s")]
    TooBrief {
        /// The shortest that is granted, in seconds.
        min: u32,
    },
    /// A flow is asked for, and the first hop does not keep it: 439 (RFC 5626 §6).
    #[error("the first hop does not support outbound")]
    FirstHopLacksOutbound,
    /// A younger request of the same Call-ID was here before: 500.
    #[error("a request with a higher CSeq was here before")]
    OutOfOrder,
}

impl RegisterRefused {
    /// The status that is owed.
    // RFC 3261 §10.3: "A registrar MUST not generate 6xx responses."
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::Star
            | Self::ManyFlows
            | Self::NotSecure
            | Self::TooLarge => StatusCode::BAD_REQUEST,
            Self::Loop | Self::Gruu | Self::NotSip | Self::Forbidden | Self::TooMany { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::PathNotSupported => StatusCode::BAD_EXTENSION,
            Self::TooBrief { .. } => StatusCode::INTERVAL_TOO_BRIEF,
            Self::FirstHopLacksOutbound => StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT,
            // RFC 3261 §10.3: "If any one of them fails (for
            // example, because the back-end database commit failed), the
            // request MUST fail with a 500 (Server Error) response and all
            // tentative binding updates MUST be removed."
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }

    /// The response to the request, without a To tag.
    pub fn answer(&self, request: &Request) -> ResponseBuilder {
        let answer = Response::to_request(request, self.status());
        match self {
            // RFC 3261 §10.3: "This response MUST contain a Min-Expires header field
            // that states the minimum expiration interval the registrar is
            // willing to honor."
            Self::TooBrief { min } => answer.header(&MinExpires(*min)),
            Self::PathNotSupported => answer.raw(HeaderName::Unsupported, "path"),
            // Who reads a trace should see which of several reasons it was.
            Self::Malformed(_)
            | Self::Star
            | Self::ManyFlows
            | Self::NotSecure
            | Self::TooLarge => answer.reason(&format!("Bad Request: {self}")),
            _ => answer,
        }
    }
}
