//! What a REGISTER asks for.

use std::borrow::Cow;

use sip_message::{Contact, Expires, HeaderName, Path, Request, Scheme, Supported, To, Uri, Via};
use smallvec::SmallVec;

use super::{Aor, RegisterRefused};

/// A REGISTER that was read: whose bindings it is about, and what it asks for.
#[derive(Debug)]
pub struct Register<'a> {
    aor: Aor,
    pub(super) contacts: Contacts<'a>,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    /// The values of Path with commas between them.
    pub(super) path: String,
    node: &'a str,
    /// Whether others are in it than this element.
    pub(super) has_path: bool,
    pub(super) knows_path: bool,
    pub(super) knows_gruu: bool,
    knows_outbound: bool,
    /// Whether the way it came allows a binding by flow.
    pub(super) takes_outbound: bool,
}

#[derive(Debug)]
pub(super) enum Contacts<'a> {
    None,
    Star,
    List(SmallVec<[Asked<'a>; 2]>),
}

/// One Contact of a REGISTER.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) contact: Contact<'a>,
    /// In seconds, if it is said.
    pub(super) expires: Option<u32>,
}

impl Asked<'_> {
    /// The instance and the flow, if both are named and flows count.
    // RFC 5626 §6: "If the registrar processes a Contact header field value
    // with a reg-id but no instance-id, it simply ignores the reg-id
    // parameter."
    pub(super) fn flow(&self, takes_outbound: bool) -> Option<(Cow<'_, str>, u32)> {
        let flow = self.contact.instance().zip(self.contact.reg_id());
        flow.filter(|_| takes_outbound)
    }
}

impl<'a> Register<'a> {
    /// Reads a request that came straight from its user agent, or by others.
    ///
    /// # Errors
    /// What is malformed or contradicts itself.
    pub fn read(request: &'a Request) -> Result<Self, RegisterRefused> {
        let headers = request.headers();
        let to = headers
            .get::<To<'_>>()
            .ok()
            .flatten()
            .ok_or(RegisterRefused::Malformed(HeaderName::To))?;
        let aor = Aor::of(&to.uri()).ok_or(RegisterRefused::NotFound)?;
        let call_id = headers.call_id().ok_or(RegisterRefused::Malformed(HeaderName::CallId))?;
        let cseq = headers.cseq().ok_or(RegisterRefused::Malformed(HeaderName::CSeq))?.number;
        // RFC 3261 §20.19 and RFC 4475 §3.3.6: a date, as RFC 2543 had it, counts as no value.
        let expires = headers.get::<Expires>().ok().flatten().map(|expires| expires.0);
        let supported: SmallVec<[Supported<'_>; 1]> =
            headers.get_all().filter_map(Result::ok).collect();
        let knows = |tag: &str| supported.iter().any(|tags| tags.contains(tag));

        let mut path = String::new();
        let mut first_is_ob = None;
        for value in headers.get_all::<Path<'_>>() {
            let value = value.map_err(|_| RegisterRefused::Malformed(HeaderName::Path))?;
            first_is_ob.get_or_insert(value.uri().ob());
            if !path.is_empty() {
                path.push_str(", ");
            }
            path.push_str(&value.to_string());
        }
        // RFC 5626 §6: "the registrar MUST check from its
        // Via header field if the registrar is the first hop or not.  If the
        // registrar is not the first hop, it MUST examine the Path header of
        // the request."
        let direct = headers.get_all::<Via<'_>>().nth(1).is_none();

        let contacts = contacts(request, expires)?;
        let register = Self {
            aor,
            contacts,
            call_id,
            cseq,
            has_path: !path.is_empty(),
            path,
            node: "",
            knows_path: knows("path"),
            knows_gruu: knows("gruu"),
            knows_outbound: knows("outbound"),
            takes_outbound: first_is_ob.unwrap_or(direct),
        };
        register.check(request)?;
        Ok(register)
    }

    /// Whose bindings it is about.
    #[must_use]
    pub fn aor(&self) -> &Aor {
        &self.aor
    }

    /// Whether it asks what there is, and changes nothing.
    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(self.contacts, Contacts::None)
    }

    /// With one more element that requests to these bindings must visit, before those that Path names: this one,
    /// with a token for the flow by which the request came.
    // RFC 5626 §6: "The registrar MAY store this information by adding
    // itself to the Path header field with an appropriate flow token."
    #[must_use]
    pub fn over(mut self, element: &Uri<'_>) -> Self {
        let rest = if self.path.is_empty() { String::new() } else { format!(", {}", self.path) };
        self.path = format!("<{element}>{rest}");
        self
    }

    /// Reached only by a connection that this node has: when the node's lease ends, nothing is routed there any
    /// more ([`Located::reachable`](crate::location::Located::reachable)). For what came by a stream to one of several nodes that share
    /// a store.
    #[must_use]
    pub fn held_by(mut self, node: &'a str) -> Self {
        self.node = node;
        self
    }

    pub(super) fn node(&self) -> &str {
        self.node
    }

    /// Whether a binding by flow is asked for.
    pub(super) fn wants_outbound(&self) -> bool {
        self.knows_outbound && self.list().any(|asked| asked.flow(true).is_some())
    }

    /// Whether a binding by flow is asked for and given.
    pub(super) fn is_outbound(&self) -> bool {
        self.takes_outbound && self.wants_outbound()
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &Asked<'a>> {
        match &self.contacts {
            Contacts::List(list) => list.iter(),
            Contacts::None | Contacts::Star => [].iter(),
        }
    }

    fn check(&self, request: &Request) -> Result<(), RegisterRefused> {
        let bound = || self.list().filter(|asked| asked.expires != Some(0));
        // RFC 5626 §6: "if the Contact header field contains
        // more than one header field value with a non-zero expiration and any
        // of these header field values contain a "reg-id" Contact header field
        // parameter, the entire registration SHOULD be rejected with a 400 (Bad
        // Request) response."
        if bound().nth(1).is_some() && bound().any(|asked| asked.contact.reg_id().is_some()) {
            return Err(RegisterRefused::ManyFlows);
        }
        for asked in bound() {
            let Some(uri) = asked.contact.uri() else { continue };
            // RFC 5627 §5.1: "If the contact URI is equivalent (based on URI equivalence in RFC
            // 3261 [1]) to the AOR, the registrar MUST reject the request with a
            // 403, since this would cause a routing loop."
            //
            // It would, whether or not the contact asks for a GRUU.
            if self.aor.is_of(&uri) {
                return Err(RegisterRefused::Loop);
            }
            // RFC 5627 §5.1: "If the contact is not a SIP URI, the REGISTER request MUST be
            // rejected with a 403."
            if asked.contact.instance().is_some() && !uri.is_sip() {
                return Err(RegisterRefused::NotSip);
            }
            // RFC 5630 §5.2: "A registrar MUST accept a binding to a SIPS Contact header field only
            // if all the appropriate URIs are of the SIPS scheme"
            let secure = || {
                request.uri().is_ok_and(|uri| uri.is_secure())
                    && sip_message::values::<Path<'_>>(self.path.as_bytes())
                        .all(|value| value.is_ok_and(|value| value.uri().is_secure()))
            };
            if uri.scheme() == Scheme::Sips && !secure() {
                return Err(RegisterRefused::NotSecure);
            }
        }
        Ok(())
    }
}

fn contacts(request: &Request, expires: Option<u32>) -> Result<Contacts<'_>, RegisterRefused> {
    let mut list = SmallVec::new();
    let mut star = false;
    for contact in request.headers().get_all::<Contact<'_>>() {
        let contact = contact.map_err(|_| RegisterRefused::Malformed(HeaderName::Contact))?;
        if contact.is_star() {
            star = true;
        } else {
            // RFC 3261 §10.3: "If the field value has an "expires" parameter, that value
            // MUST be taken as the requested expiration."
            let expires = contact.expires().or(expires);
            list.push(Asked { contact, expires });
        }
    }
    // RFC 3261 §10.3: "If the request has additional Contact
    // fields or an expiration time other than zero, the request is
    // invalid, and the server MUST return a 400 (Invalid Request) and
    // skip the remaining steps."
    match (star, list.is_empty()) {
        (true, true) if expires == Some(0) => Ok(Contacts::Star),
        (true, _) => Err(RegisterRefused::Star),
        (false, true) => Ok(Contacts::None),
        (false, false) => Ok(Contacts::List(list)),
    }
}
