//! What becomes of the routing information of a request (RFC 3261 §16.4, §16.6 items 6 and 7).

use sip_message::{HeaderName, Host, Request, Route, Transport, Uri};
use sip_transaction::NextHop;
use sip_transport::{Flow, Local, Locals};

use crate::TlsRoute;
use crate::edge::{Edge, Leads, NoFlow};

/// Who a proxy is: its listeners, and the names by which others reach it or which it serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) locals: &'a Locals,
    pub(crate) domains: &'a [Box<str>],
}

impl Names<'_> {
    /// Whether a URI of a Route, or a Request-URI that a strict router made of one, leads to one of the listeners.
    pub(crate) fn is_listener(&self, uri: &Uri<'_>) -> bool {
        let Some(host) = uri.host() else { return false };
        self.locals.iter().any(|local| {
            let port = uri.port().unwrap_or_else(|| default_port(uri, local));
            // By the name that it gives itself, or, from its own side of a NAT box, by its address.
            is_named(local, &host) && port == port_of(local)
                || has_ip(local, &host) && port == local.addr.port()
        }) || (uri.lr() && uri.user().is_none() && self.serves(uri))
    }

    /// Whether the domain of a URI is one that this proxy is responsible for.
    pub(crate) fn serves(&self, uri: &Uri<'_>) -> bool {
        let Some(host) = uri.host_str() else { return false };
        self.is_domain(host)
    }

    fn is_domain(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }
}

fn default_port(uri: &Uri<'_>, local: &Local) -> u16 {
    if uri.is_secure() { Transport::Tls.default_port() } else { local.transport.default_port() }
}

fn is_named(local: &Local, host: &Host<'_>) -> bool {
    let named = split(&local.sent_by).0;
    match host {
        Host::Name(name) => named.eq_ignore_ascii_case(name),
        Host::V4(ip) => named == ip.to_string(),
        Host::V6(ip) => named == format!("[{ip}]"),
    }
}

fn has_ip(local: &Local, host: &Host<'_>) -> bool {
    host.ip().is_some_and(|ip| local.has_ip(ip))
}

fn port_of(local: &Local) -> u16 {
    split(&local.sent_by).1.unwrap_or_else(|| local.transport.default_port())
}

fn split(sent_by: &str) -> (&str, Option<u16>) {
    match sent_by.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (sent_by, None),
    }
}

/// Prepares the routing information of a request that came in over `flow` (RFC 3261 §16.4), and says where it goes
/// if a flow token does (RFC 5626 §5.3).
pub(crate) fn preprocess(
    request: &mut Request,
    flow: &Flow,
    names: Names<'_>,
    edge: Option<&Edge>,
) -> Result<Option<NextHop>, NoFlow> {
    let mut over = None;
    // RFC 3261 §16.4: "If the
    // Request-URI of the request contains a value this proxy previously
    // placed into a Record-Route header field (see Section 16.6 item 4),
    // the proxy MUST replace the Request-URI in the request with the last
    // value from the Route header field, and remove that value from the
    // Route header field."
    let is_ours = |uri: &Uri<'_>| {
        uri.is_sip() && (names.is_listener(uri) || edge.is_some() && is_token_for(uri, names))
    };
    let read = |uri: &Uri<'_>| match edge {
        Some(edge) => edge.read(uri, flow, names.locals),
        None => Ok(Leads::On),
    };
    if let Some(own) = request.uri().ok().filter(|uri| uri.lr() && is_ours(uri)) {
        if let Leads::By(hop) | Leads::To(hop) = read(&own)? {
            over = Some(hop);
        }
        let mut routes = routes_of(request);
        if let Some(last) = routes.pop() {
            request.set_uri(&last.uri().to_request_uri());
            set_routes(request, &routes);
        }
    }
    // RFC 3261 §16.4: "If the Request-URI has a maddr
    // parameter with a value the proxy is responsible for, and the request
    // was received using the port and transport indicated (explicitly or by
    // default) in the Request-URI, the proxy MUST strip the maddr and any
    // non-default port or transport parameter and continue processing as if
    // those values had not been present in the request."
    if let Some(stripped) = without_own_maddr(request, flow, names) {
        request.set_uri(&stripped);
    }
    // RFC 3261 §16.4: "If the first value in the Route header field indicates this proxy,
    // the proxy MUST remove that value from the request."
    // A proxy that recorded two routes (RFC 5658) finds both; one that spirals, only its own.
    while over.is_none() {
        let Some(Ok(first)) = request.get_all::<Route<'_>>().next() else { break };
        if !is_ours(&first.uri()) {
            break;
        }
        match read(&first.uri())? {
            Leads::On => {}
            Leads::By(hop) => over = Some(hop),
            // Whoever made the token reads it.
            Leads::To(hop) => return Ok(Some(hop)),
        }
        // RFC 5626 §5.3.1: "the proxy removes the Route header field value and forwards
        // the request over the 'logical flow' identified by the flow token,
        // that is known to deliver data to the specific target UA instance."
        request.headers_mut().pop_front(HeaderName::Route);
    }
    Ok(over)
}

/// Whether this is a flow token under a name that the nodes of a cluster share.
fn is_token_for(uri: &Uri<'_>, names: Names<'_>) -> bool {
    uri.lr() && uri.user().is_some_and(Edge::is_token) && names.serves(uri)
}

fn without_own_maddr(request: &Request, flow: &Flow, names: Names<'_>) -> Option<Uri<'static>> {
    let uri = request.uri().ok()?;
    let maddr = uri.maddr()?;
    let local = names.locals.get(flow.listener)?;
    let transport = uri.transport().unwrap_or(Transport::Udp);
    let port = uri.port().unwrap_or_else(|| transport.default_port());
    // RFC 3261 §16.4: "If the Request-URI contains a maddr parameter, the proxy MUST check
    // to see if its value is in the set of addresses or domains the proxy
    // is configured to be responsible for."
    let is_ours = names.locals.iter().any(|local| is_named(local, &maddr) || has_ip(local, &maddr))
        || matches!(&maddr, Host::Name(name) if names.is_domain(name));
    if !is_ours || port != port_of(local) || transport != flow.transport {
        return None;
    }
    let stripped = uri.without_param("maddr").ok()?;
    stripped.without_param("transport").ok()?.with_port(None).ok()
}

/// Makes the request fit for its next hop, and says where that is (RFC 3261 §16.6, items 6 and 7).
pub(crate) fn postprocess(request: &mut Request) -> Option<Uri<'static>> {
    let secure = request.uri().is_ok_and(|uri| uri.is_secure());
    let first = match request.get_all::<Route<'_>>().next() {
        Some(route) => Some(route.ok()?.uri().to_static()),
        None => None,
    };
    let hop = match first {
        // RFC 3261 §16.6: "If that URI does not
        // contain an lr parameter, the proxy MUST modify the copy as
        // follows:"
        Some(first) if !first.lr() => {
            // RFC 3261 §16.6: "The proxy MUST place the Request-URI into the Route header
            // field as the last value."
            let last = Route::new(&request.uri().ok()?);
            request.headers_mut().push(&last);
            // RFC 3261 §16.6: "The proxy MUST then place the first Route header field value
            // into the Request-URI and remove that value from the Route
            // header field."
            request.headers_mut().pop_front(HeaderName::Route);
            request.set_uri(&first.to_request_uri());
            // RFC 3261 §16.6: "If the proxy has reformatted the
            // request to send to a strict-routing element as described in
            // step 6 above, the proxy MUST apply those procedures to the
            // Request-URI of the request."
            first
        }
        // RFC 3261 §16.6: "Otherwise, the proxy MUST apply
        // the procedures to the first value in the Route header field, if
        // present, else the Request-URI."
        Some(first) => first,
        None => request.uri().ok()?.to_static(),
    };
    // RFC 3261 §16.6: "Independently of which URI is being used as input to the
    // procedures of [4], if the Request-URI specifies a SIPS
    // resource, the proxy MUST follow the procedures of [4] as if the
    // input URI were a SIPS URI."
    if secure && !hop.is_secure() && hop.is_sip() {
        return Uri::sips(hop.host_str()?, hop.port()).ok();
    }
    Some(hop)
}

/// A loose route that leads to a listener of ours, with this user part.
pub(crate) fn own_uri(local: &Local, is_secure: bool, user: Option<&str>) -> Option<Uri<'static>> {
    // RFC 3261 §16.6: "The URI placed in the Record-Route header field value MUST be a
    // SIP or SIPS URI.  This URI MUST contain an lr parameter (see
    // Section 19.1.1)."
    written(local, is_secure, user, ";lr")
}

/// The Contact of a listener of ours.
#[cfg(feature = "tokio")]
pub(crate) fn listener_uri(local: &Local, is_secure: bool) -> Option<Uri<'static>> {
    written(local, is_secure, None, "")
}

fn written(local: &Local, is_secure: bool, user: Option<&str>, end: &str) -> Option<Uri<'static>> {
    let scheme = if is_secure { "sips" } else { "sip" };
    let transport = match local.transport {
        Transport::Tcp => ";transport=tcp",
        Transport::Tls if !is_secure => ";transport=tls",
        // RFC 7118 §5.2: "This document defines the value "ws" as the transport parameter value
        // for a SIP URI [RFC3986] to be contacted using the SIP WebSocket
        // subprotocol as transport."
        Transport::Ws | Transport::Wss => ";transport=ws",
        _ => "",
    };
    // That of `sip` and `ws` would be 80.
    let is_bare = local.transport == Transport::Wss && split(&local.sent_by).1.is_none();
    let port = if is_bare && !is_secure { ":443" } else { "" };
    let (user, at) = user.map_or(("", ""), |user| (user, "@"));
    format!("{scheme}:{user}{at}{}{port}{transport}{end}", local.sent_by).parse().ok()
}

/// The same for a Record-Route.
// RFC 5658 §6.2: "When TLS is used on the
// transport on either side of the proxy, the URI placed in the Record-
// Route header field MUST encode a next-hop that will be reached using
// TLS."
pub(crate) fn recorded_uri(
    local: &Local,
    is_secure: bool,
    user: Option<&str>,
    by: TlsRoute,
) -> Option<Uri<'static>> {
    match (local.transport, by) {
        (Transport::Tls, TlsRoute::Sips) => own_uri(local, true, user),
        (Transport::Tls, TlsRoute::Name) if !is_secure => {
            let uri = own_uri(local, false, user)?;
            uri.without_param("transport").ok()?.with_port(None).ok()
        }
        (_, TlsRoute::Parameter | TlsRoute::Sips | TlsRoute::Name) => {
            own_uri(local, is_secure, user)
        }
    }
}

/// Puts these URIs before all Route values (RFC 3261 §16.6 item 6; the Path of a binding, RFC 3327 §5.3).
pub(crate) fn push_routes(request: &mut Request, routes: &[Uri<'static>]) {
    for uri in routes.iter().rev() {
        request.headers_mut().push_front(&Route::new(uri));
    }
}

fn routes_of(request: &Request) -> Vec<Route<'static>> {
    request.get_all::<Route<'_>>().flatten().map(Route::into_owned).collect()
}

fn set_routes(request: &mut Request, routes: &[Route<'_>]) {
    request.headers_mut().remove(HeaderName::Route);
    for route in routes {
        request.headers_mut().push(route);
    }
}

#[cfg(test)]
mod tests;
