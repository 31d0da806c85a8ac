//! What requests and responses of the agent have in common: who it says it is and what it can do.

use core::fmt::Write;
use core::ops::RangeInclusive;

use sip_message::{
    HeaderName, Method, NameAddr, Request, RequestBuilder, Response, ResponseBuilder, StatusCode,
    Transport, Uri,
};
use sip_transaction::{NextHop, Transactions};
use sip_transport::{ListenerId, Local};

use super::{Agent, history, preconditions};
use crate::{Account, AgentConfig, AgentError, Body, ExtraHeaders, Reliability};

/// The values of header fields that are the same in every message, written once.
pub(crate) struct Capabilities {
    pub(crate) allow: Box<str>,
    /// `None` if there is nothing to list.
    pub(crate) supported: Option<Box<str>>,
    /// What an INVITE and the answers to it list besides: `199`, and `100rel` before that.
    of_invite: Box<str>,
    pub(crate) accept: Box<str>,
    /// `None` if there is nothing to list.
    pub(crate) allow_events: Option<Box<str>>,
    pub(crate) user_agent: Option<Box<str>>,
}

impl Capabilities {
    pub(crate) fn new(config: &AgentConfig) -> Self {
        let mut allow = String::from("INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY");
        if !config.event_packages.is_empty() {
            allow.push_str(", SUBSCRIBE");
        }
        for method in &config.methods {
            if !is_own(method)
                && !matches!(method, Method::Subscribe | Method::Prack | Method::Update)
            {
                let _ = write!(allow, ", {}", method.as_str());
            }
        }
        if config.reliable != Reliability::Never {
            allow.push_str(", PRACK");
        }
        allow.push_str(", UPDATE");
        let tags: Vec<&str> = config.option_tags().collect();
        let mut of_invite = String::from("100rel, 199");
        for tag in &tags {
            let _ = write!(of_invite, ", {tag}");
        }
        Self {
            allow: allow.into(),
            supported: (!tags.is_empty()).then(|| tags.join(", ").into()),
            of_invite: of_invite.into(),
            accept: config.accept.join(", ").into(),
            allow_events: (!config.event_packages.is_empty())
                .then(|| config.event_packages.join(", ").into()),
            user_agent: config.user_agent.as_deref().map(Into::into),
        }
    }
}

impl Capabilities {
    /// What Supported lists in an INVITE and in what answers one.
    pub(crate) fn of_invite(&self, reliable: Reliability) -> &str {
        let without = || self.of_invite.strip_prefix("100rel, ");
        match reliable {
            Reliability::Never => without().unwrap_or(&self.of_invite),
            // RFC 3262 §4: "The UAC SHOULD include this in all INVITE
            // requests."
            // RFC 6228 §4: "it MUST insert a "199" option-tag
            // in the Supported header field [RFC3261] of the request."
            Reliability::Supported | Reliability::Required => &self.of_invite,
        }
    }
}

/// The methods that the agent handles whatever the application does.
///
/// RFC 3261 §13.1: "A UA that supports INVITE MUST also support ACK, CANCEL and BYE."
///
/// RFC 3261 §11: "All UAs MUST support the OPTIONS method."
pub(crate) fn is_own(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite
            | Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Options
            | Method::Notify
    )
}

/// Where a request outside of a dialog goes, and the Route it needs to get there.
pub(crate) struct FirstHop {
    pub(crate) uri: Uri<'static>,
    route: Option<Box<str>>,
}

impl FirstHop {
    // RFC 3261 §8.1.2: "a pre-existing
    // route set with a single URI SHOULD be used instead."
    pub(crate) fn of(account: &Account, to: &Uri<'static>) -> Self {
        match account.outbound_proxy_uri() {
            None => Self { uri: to.clone(), route: None },
            Some(proxy) => Self::by_way_of(proxy),
        }
    }

    /// By way of a proxy that is not the account's.
    pub(crate) fn by_way_of(proxy: &Uri<'static>) -> Self {
        let lr = if proxy.lr() { "" } else { ";lr" };
        Self { uri: proxy.clone(), route: Some(format!("<{proxy}{lr}>").into()) }
    }

    pub(crate) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    pub(crate) fn next_hop(&self) -> NextHop {
        NextHop::Uri(self.uri.clone())
    }
}

/// The parts of a request outside of a dialog that stay the same when it is sent again.
pub(crate) struct Initial<'a> {
    pub(crate) account: &'a Account,
    pub(crate) method: Method,
    pub(crate) to: &'a Uri<'static>,
    pub(crate) hop: &'a FirstHop,
    pub(crate) body: Option<&'a Body>,
    pub(crate) headers: &'a ExtraHeaders,
}

impl Agent {
    /// A request outside of a dialog (RFC 3261 §8.1.1). The transaction layer adds Via.
    pub(crate) fn initial_request(
        &self,
        tx: &mut Transactions,
        initial: &Initial<'_>,
    ) -> Result<Request, AgentError> {
        self.initial_request_with(tx, initial, self.config.reliable)
    }

    /// The same, where provisional responses are to be sent reliably or not.
    pub(crate) fn initial_request_with(
        &self,
        tx: &mut Transactions,
        initial: &Initial<'_>,
        reliable: Reliability,
    ) -> Result<Request, AgentError> {
        let Initial { account, method, to, hop, body, headers } = initial;
        // RFC 3261 §8.1.1.1: "The initial Request-URI of the message SHOULD be set to the value of
        // the URI in the To field."
        let uri = if to.headers().next().is_some() {
            to.without_headers().map_err(|_| AgentError::Address)?
        } else {
            (*to).clone()
        };
        let mut builder = Request::builder(method.clone(), &uri);
        if let Some(route) = &hop.route {
            builder = builder.raw(HeaderName::Route, route.as_bytes());
        }
        let mut text = String::with_capacity(128);
        // Who hands a request on gives what is left of it (RFC 7332 §5).
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Max-Forwards")) {
            let _ = write!(text, "{}", self.config.max_forwards);
            builder = builder.raw(HeaderName::MaxForwards, text.as_bytes());
        }

        let mut from = NameAddr::new(account.identity());
        if let Some(name) = account.shown_name() {
            from = from.with_display_name(name).map_err(|_| AgentError::Address)?;
        }
        let mut from = from.to_string();
        if let Some(privacy) = account.asks_privacy() {
            // RFC 3323 §4.1.1.3: "The full recommended form of the From
            // header for anonymity is (note that this From header, like all others,
            // MUST contain a valid and unique 'tag=' parameter)"
            ANONYMOUS.clone_into(&mut from);
            let privacy = history::privacy(privacy, headers);
            builder = builder.raw(HeaderName::Privacy, privacy.as_bytes());
        }
        for (name, value) in account.own_headers() {
            builder = builder.raw(header_name(name), value.as_bytes());
        }
        // RFC 3261 §8.1.1.3: "The From field MUST contain a new "tag" parameter, chosen by the UAC."
        text.clear();
        let tag = tx.random().token(TAG_BITS);
        let _ = write!(text, "{from};tag={tag}");
        builder = builder.raw(HeaderName::From, text.as_bytes());

        // RFC 3261 §8.1.1.2: "A request outside of a dialog MUST NOT contain a To tag; the tag in
        // the To field of a request identifies the peer of the dialog."
        text.clear();
        let _ = write!(text, "<{uri}>");
        builder = builder.raw(HeaderName::To, text.as_bytes());

        // RFC 3261 §8.1.1.4: "In a new request created by a UAC outside of any dialog, the Call-ID
        // header field MUST be selected by the UAC as a globally unique
        // identifier over space and time unless overridden by method-specific
        // behavior."
        let call_id = tx.random().token(CALL_ID_BITS);
        builder = builder.raw(HeaderName::CallId, call_id.as_bytes());
        let own = [account.own_headers(), headers];
        builder = self.begin_session(builder, &own, (&call_id, &tag));

        // RFC 3261 §8.1.1.5: "The method MUST match that of the
        // request."
        text.clear();
        let _ = write!(text, "1 {}", method.as_str());
        builder = builder.raw(HeaderName::CSeq, text.as_bytes());

        // RFC 3261 §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or
        // SIPS URI in any request that can result in the establishment of a
        // dialog."
        if matches!(method, Method::Invite | Method::Subscribe | Method::Refer) {
            let listener = listener_towards(tx, &hop.uri);
            // RFC 3261 §8.1.1.8: "If the Request-URI or top Route header field value contains a SIPS
            // URI, the Contact header field MUST contain a SIPS URI as well."
            let secure = uri.is_secure() || hop.uri.is_secure();
            let user = account.contact_user();
            let contact = self.own_contact(listener, &hop.uri, Some(account), user, secure);
            let contact = over_this_flow(contact, Some(account));
            builder = builder.raw(HeaderName::Contact, contact.as_bytes());
        }
        if *method == Method::Invite {
            builder = self.ask_for_session_timer(builder);
        }
        if *method == Method::Invite && reliable == Reliability::Required {
            // RFC 3262 §4: "To do that, it
            // inserts a Require header field with the option tag 100rel into the
            // request."
            builder = builder.raw(HeaderName::Require, b"100rel");
        }
        self.finish_request_with(builder, method, reliable, *body, headers)
    }

    /// The part of a request that is the same within and outside of dialogs: what we can do, what the
    /// application adds, the body.
    pub(crate) fn finish_request(
        &self,
        builder: RequestBuilder,
        method: &Method,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<Request, AgentError> {
        self.finish_request_with(builder, method, self.config.reliable, body, headers)
    }

    fn finish_request_with(
        &self,
        mut builder: RequestBuilder,
        method: &Method,
        reliable: Reliability,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<Request, AgentError> {
        if matches!(method, Method::Invite | Method::Options | Method::Update) {
            // RFC 3261 §13.2.1: "An Allow header field (Section 20.5) SHOULD be present in the INVITE."
            builder = builder.raw(HeaderName::Allow, self.capabilities.allow.as_bytes());
            // RFC 6665 §4.4.4: "Any user agent that can act as a notifier for one or more event
            // packages SHOULD include an appropriate "Allow-Events" header field
            // indicating all supported events in all methods which initiate dialogs
            // and their responses (such as INVITE) and OPTIONS responses."
            if let Some(events) = &self.capabilities.allow_events {
                builder = builder.raw(HeaderName::AllowEvents, events.as_bytes());
            }
        }
        if *method == Method::Invite
            && let Some(packages) = self.recv_info()
        {
            builder = builder.raw(HeaderName::RecvInfo, packages.as_bytes());
        }
        if *method == Method::Options {
            // RFC 3261 §11.1: "An Accept header field SHOULD be included to indicate the type of
            // message body the UAC wishes to receive in the response."
            builder = builder.raw(HeaderName::Accept, self.capabilities.accept.as_bytes());
        }
        // RFC 3261 §8.1.1.9: "If the UAC supports extensions to SIP that can be applied by the
        // server to the response, the UAC SHOULD include a Supported header
        // field in the request listing the option tags (Section 19.2) for those
        // extensions."
        match (method, &self.capabilities.supported) {
            (Method::Invite, _) => {
                let supported = self.capabilities.of_invite(reliable);
                builder = builder.raw(HeaderName::Supported, supported.as_bytes());
            }
            (Method::Ack, _) | (_, None) => {}
            (_, Some(supported)) => {
                builder = builder.raw(HeaderName::Supported, supported.as_bytes());
            }
        }
        if let Some(name) = &self.capabilities.user_agent {
            builder = builder.raw(HeaderName::UserAgent, name.as_bytes());
        }
        if matches!(method, Method::Invite | Method::Update | Method::Prack)
            && let Some(field) = body.and_then(|body| self.precondition_field(body))
        {
            builder = builder.raw(field, preconditions::TAG.as_bytes());
        }
        for (name, value) in headers {
            builder = builder.raw(header_name(name), value.as_bytes());
        }
        if let Some(body) = body {
            builder = builder.body(body.content_type.as_bytes(), body.bytes.clone());
        }
        Ok(builder.build()?)
    }

    /// A response with what every response of ours says. The tag may be empty when the request has a To tag.
    pub(crate) fn response(
        &self,
        request: &Request,
        status: StatusCode,
        to_tag: &str,
    ) -> ResponseBuilder {
        let mut builder = Response::to_request(request, status);
        if !to_tag.is_empty() {
            builder = builder.to_tag(to_tag);
        }
        builder = self.answer_session(builder, request, to_tag);
        builder = self.answer_history(builder, request, status);
        match &self.capabilities.user_agent {
            Some(name) => builder.raw(HeaderName::Server, name.as_bytes()),
            None => builder,
        }
    }

    /// Adds what the application gave, and builds.
    pub(crate) fn finish_response(
        mut builder: ResponseBuilder,
        body: Option<&Body>,
        headers: &ExtraHeaders,
    ) -> Result<Response, AgentError> {
        for (name, value) in headers {
            builder = builder.raw(header_name(name), value.as_bytes());
        }
        if let Some(body) = body {
            builder = builder.body(body.content_type.as_bytes(), body.bytes.clone());
        }
        Ok(builder.build()?)
    }
}

/// Whom a private request is from.
pub(crate) const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// RFC 3261 §19.3: "When a tag is generated by a UA for insertion into a request or
/// response, it MUST be globally unique and cryptographically random
/// with at least 32 bits of randomness."
pub(crate) const TAG_BITS: u32 = 60;
pub(crate) const CALL_ID_BITS: u32 = 120;

/// The value of our Contact: where the peer's requests within the dialog reach us.
pub(crate) fn contact(local: Option<&Local>, user: Option<&str>, secure: bool) -> String {
    let scheme = if secure { "sips" } else { "sip" };
    let (user, at) = user.map_or(("", ""), |user| (user, "@"));
    // Without a listener nothing can be sent or received: the text only has to be well-formed.
    let sent_by = local.map_or("localhost", |local| &local.sent_by);
    let transport = match local.map_or(Transport::Udp, |local| local.transport) {
        // UDP is what a SIP URI means without the parameter, TLS over TCP what a SIPS URI means.
        Transport::Udp => "",
        Transport::Tls | Transport::Tcp if secure => "",
        // RFC 5630 §3.1.4: "This specification does not make use of the transport=tls parameter."
        // But no other says of a SIP URI that TLS is spoken at that port, and all stacks read it so.
        Transport::Tls => ";transport=tls",
        Transport::Tcp => ";transport=tcp",
        Transport::Sctp => ";transport=sctp",
        Transport::Ws | Transport::Wss => ";transport=ws",
        _ => "",
    };
    let mut text =
        String::with_capacity(scheme.len() + user.len() + sent_by.len() + transport.len() + 4);
    text.push('<');
    text.push_str(scheme);
    text.push(':');
    text.push_str(user);
    text.push_str(at);
    text.push_str(sent_by);
    text.push_str(transport);
    text.push('>');
    text
}

/// Our Contact as it asks for the requests of the peer to come over the flow that ours went by.
///
/// RFC 5626 §4.3: "If the UAC is not using
/// such a GRUU, then the UAC adds an "ob" parameter to its Contact
/// header field value."
pub(crate) fn over_this_flow(mut contact: String, account: Option<&Account>) -> String {
    let is_gruu = contact.contains(";gr>") || contact.contains(";gr=") || contact.contains(";gr;");
    if !is_gruu && account.is_some_and(|account| account.outbound_flow().is_some()) {
        contact.truncate(contact.trim_end_matches('>').len());
        contact.push_str(";ob>");
    }
    contact
}

/// The listener from which a request to this URI will most likely go, for its Contact.
pub(crate) fn listener_towards<'a>(tx: &'a Transactions, uri: &Uri<'_>) -> Option<&'a Local> {
    let locals = tx.locals();
    let transport = match (uri.transport(), uri.is_secure()) {
        (Some(Transport::Ws | Transport::Wss), true) => Transport::Wss,
        (_, true) => Transport::Tls,
        (Some(transport), false) => transport,
        (None, false) => Transport::Udp,
    };
    let port = uri.port().unwrap_or_else(|| transport.default_port());
    uri.ip()
        .and_then(|ip| locals.select(transport, &(ip, port).into()))
        .or_else(|| locals.first(transport))
        .or_else(|| locals.iter().next())
}

/// The listener that a message came by.
pub(crate) fn listener_of(tx: &Transactions, listener: ListenerId) -> Option<&Local> {
    tx.locals().get(listener)
}

/// A random number from a range.
pub(crate) fn draw(tx: &mut Transactions, range: RangeInclusive<u32>) -> u32 {
    let (start, end) = range.into_inner();
    match end.saturating_sub(start).checked_add(1) {
        Some(many) => start + tx.random().below(many),
        None => tx.random().next_u64() as u32,
    }
}

/// The name of a header field that the application adds. One that is no name at all is refused when the message
/// is built.
fn header_name(name: &str) -> HeaderName<'_> {
    HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::Other(name))
}
