//! Making the copy of a request that goes to a target (RFC 3261 §16.6), and passing on an ACK.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sip_message::{
    HeaderName, Host, MaxBreadth, MaxForwards, Method, RecordRoute, Request, Transport,
};
use sip_transaction::{ClientKey, LoopMark, NextHop, RequestError, Transactions};
use sip_transport::{Flow, Local, Locals, TransportError};

use super::{Context, MAX_FORWARDS, Proxy, names};
use crate::context::Input;
use crate::edge::Edge;
use crate::route::{postprocess, preprocess, push_routes, recorded_uri};
use crate::{ProxyConfig, Route, RouteTarget, Router, TlsRoute};

impl<R: Router> Proxy<R> {
    /// An ACK to a 2xx, which has no transaction: it goes where it says.
    pub(super) fn forward_ack(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        mut ack: Request,
        flow: &Flow,
    ) {
        let well_formed = ack.get_all::<sip_message::Route<'_>>().all(|route| route.is_ok());
        let marks = Marks::of(tx, &ack);
        // Nobody is told that it goes in a circle: it ends here.
        if !well_formed || ack.headers().max_forwards() == Some(0) || marks.are_known(tx, &ack) {
            return;
        }
        let names = names(&self.config, tx);
        let Ok(over) = preprocess(&mut ack, flow, names, self.edge.as_deref()) else { return };
        // One for a name of ours leads to no user agent: an ACK goes to a Contact.
        let is_ours = ack.uri().is_ok_and(|uri| names.serves(&uri) || names.is_listener(&uri));
        if is_ours && over.is_none() && ack.uri().is_ok_and(|uri| uri.gruu().is_some()) {
            return self.forward_ack_to_gruu(now, tx, &ack, flow, marks.full);
        }
        if is_ours && over.is_none() && !ack.headers().contains(HeaderName::Route) {
            return self.forward_ack_statelessly(now, tx, &ack, flow, marks.steady);
        }
        count_hop(&mut ack);
        if let Some(hop) = postprocess(&mut ack) {
            // Nobody can be told of a failure: the 2xx comes again, and its ACK.
            let _ = tx.forward_ack(now, ack, over.unwrap_or(NextHop::Uri(hop)), marks.full);
        }
    }
}

impl<R: Router> Proxy<R> {
    /// An ACK to a Contact that is a GRUU of ours goes where its INVITE went: to the instance. A decision that takes
    /// its time comes too late for it; the 2xx comes again.
    fn forward_ack_to_gruu(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        ack: &Request,
        flow: &Flow,
        mark: LoopMark,
    ) {
        let Route::Proxy { targets, .. } = self.router.route(now, ack, flow, tx) else { return };
        let targets = match &self.edge {
            Some(edge) => edge.resolve(targets),
            None => targets,
        };
        let edge = self.edge.as_deref();
        if let Some(target) = targets.into_iter().flatten().next()
            && let Some((copy, hop)) = copy_for(ack, target, flow, tx, edge, Stay::default(), None)
        {
            let _ = tx.forward_ack(now, copy, hop, mark);
        }
    }
}

impl Context {
    /// Forwards the request to a target (RFC 3261 §16.6).
    pub(super) fn forward(
        &self,
        now: Instant,
        tx: &mut Transactions,
        config: &ProxyConfig,
        edge: Option<&Edge>,
        target: RouteTarget,
        breadth: u32,
    ) -> Result<ClientKey, Input> {
        let request = self.request.as_deref().ok_or(Input::Unreachable)?;
        let records = self.options.record_route.unwrap_or(config.record_route);
        let stay = Stay { records, tls_route: config.tls_route };
        let (copy, hop) = copy_for(request, target, &self.flow, tx, edge, stay, Some(breadth))
            .ok_or(Input::Unreachable)?;
        // RFC 3261 §16.6: "A stateful proxy MUST create a new client transaction for this
        // request as described in Section 17.1 and instructs the
        // transaction to send the request using the address, port and
        // transport determined in step 7."
        tx.forward(now, copy, hop, self.mark)
            .inspect_err(|error| tracing::debug!(%error, "not forwarded"))
            .map_err(|error| match error {
                RequestError::Transport(error) => not_sent(error),
                _ => Input::Unreachable,
            })
    }
}

/// Whether and how the proxy stays in the path of dialogs.
#[derive(Clone, Copy, Default)]
pub(super) struct Stay {
    pub(super) records: bool,
    pub(super) tls_route: TlsRoute,
}

/// The copy of a request that goes to a target, and where that is (RFC 3261 §16.6); `None` if it cannot go there. Of
/// an ACK and a CANCEL the breadth stays as it is: they reach no more than their request did.
pub(super) fn copy_for(
    request: &Request,
    target: RouteTarget,
    flow: &Flow,
    tx: &Transactions,
    edge: Option<&Edge>,
    stay: Stay,
    breadth: Option<u32>,
) -> Option<(Request, NextHop)> {
    // RFC 3261 §16.6: "The proxy starts with a copy of the received request."
    let mut copy = request.clone();
    // RFC 3261 §16.6: "The Request-URI in the copy's start line MUST be replaced with
    // the URI for this target.  If the URI contains any parameters
    // not allowed in a Request-URI, they MUST be removed."
    let is_odd = target.uri.headers().next().is_some() || target.uri.param("method").is_some();
    if is_odd || copy.uri_bytes() != target.uri.as_bytes() {
        copy.set_uri(&target.uri.to_request_uri());
    }
    count_hop(&mut copy);
    // RFC 5393 §5.3.3: "All proxied requests MUST contain a single Max-Breadth header field
    // value."
    if let Some(breadth) = breadth {
        copy.headers_mut().set(&MaxBreadth(breadth));
    }
    // RFC 5627 §6.1: "If the received
    // request has Route header field values beyond the one pointing to the
    // authoritative proxy itself (this will happen when the request is a
    // mid-dialog request), the Path URI MUST be discarded."
    let (mut path, hop) = match target.is_registered && copy.headers().contains(HeaderName::Route) {
        true => (Vec::new(), None),
        false => (target.route, target.hop),
    };
    if let (Some(edge), Some(first)) = (edge, path.first_mut())
        && let Some(vouched) = edge.vouch(&copy, first)
    {
        *first = vouched;
    }
    push_routes(&mut copy, &path);
    let uri = postprocess(&mut copy)?;
    let hop = hop.unwrap_or(NextHop::Uri(uri));
    // RFC 3261 §26.2.2: what is for a SIPS URI leaves by nothing that is not secure.
    if copy.uri().is_ok_and(|uri| uri.is_secure())
        && leaves_by(&hop).is_some_and(|it| !it.is_secure())
    {
        return None;
    }
    if makes_dialog(copy.method()) {
        // RFC 5627 §6.2: "the registration contain Path URI,"
        // RFC 5627 §6.2: "then the authoritative proxy MUST record-route."
        let records = stay.records || target.is_registered && !path.is_empty();
        record_route(&mut copy, tx, flow, &hop, edge, Stay { records, ..stay });
    }
    // RFC 3261 §16.6: "If the request will be sent to the next hop using a stream-
    // based transport and the copy contains no Content-Length header
    // field, the proxy MUST insert one with the correct value for the
    // body of the request (see Section 20.14)."
    copy.headers_mut().ensure_content_length();
    Some((copy, hop))
}

/// The transport of a hop, if that is certain.
fn leaves_by(hop: &NextHop) -> Option<Transport> {
    match hop {
        NextHop::Target(target) => Some(target.transport),
        NextHop::Flow(flow) | NextHop::Over(flow) => Some(flow.transport),
        _ => None,
    }
}

/// What a branch comes to whose request was not sent.
pub(super) fn not_sent(error: TransportError) -> Input {
    match error {
        TransportError::Throttled => Input::Throttled,
        _ => Input::Unreachable,
    }
}

/// RFC 3261 §16.6: "If the copy contains a Max-Forwards header field, the proxy
/// MUST decrement its value by one (1)."
pub(super) fn count_hop(request: &mut Request) {
    let left = match request.headers().max_forwards() {
        Some(hops) => hops.saturating_sub(1),
        None => MAX_FORWARDS,
    };
    request.headers_mut().set(&MaxForwards(left));
}

/// Whether a request may make a dialog, or one that is not known might.
///
/// RFC 3261 §16.6: "If a proxy needs to be in the path of any type of dialog (such
/// as one straddling a firewall), it SHOULD add a Record-Route
/// header field value to every request with a method it does not
/// understand since that method may have dialog semantics."
pub(super) fn makes_dialog(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Subscribe | Method::Refer | Method::Notify | Method::Other(_)
    )
}

/// Puts the proxy into the path of the dialog: by the listener that the request came to, and, where it leaves by
/// another transport, by one of that as well (RFC 5658 §5). Whoever is reached over a flow alone has the token of that
/// flow in the value of their side; for them it is done whether the proxy records otherwise or not.
pub(super) fn record_route(
    copy: &mut Request,
    tx: &Transactions,
    flow: &Flow,
    hop: &NextHop,
    edge: Option<&Edge>,
    stay: Stay,
) {
    // RFC 3261 §16.6: "If the
    // Request-URI contains a SIPS URI, or the topmost Route header
    // field value (after the post processing of bullet 6) contains a
    // SIPS URI, the URI placed into the Record-Route header field
    // MUST be a SIPS URI."
    let first = copy.get_all::<sip_message::Route<'_>>().next();
    let secure = copy.uri().is_ok_and(|uri| uri.is_secure())
        || first.is_some_and(|route| route.is_ok_and(|route| route.uri().is_secure()));
    let locals = tx.locals();
    let token = |flow: &Flow| edge.map(|edge| edge.tokens().make(flow));
    let of_caller = edge.filter(|edge| edge.assists(copy, flow, tx)).and_then(|_| token(flow));
    // RFC 5626 §5.3.1: "the proxy needs to
    // adjust the route set to ensure that subsequent requests in the dialog can be
    // delivered over a valid flow to the UA instance identified by the flow
    // token."
    let of_callee = match hop {
        NextHop::Over(flow) => token(flow),
        _ => None,
    };
    let came_by = locals.get(flow.listener);
    let came_secure = came_by.is_some_and(|local| local.transport.is_secure());
    // RFC 3261 §16.6: "Furthermore, if
    // the request was not received over TLS, the proxy MUST insert a
    // Record-Route header field."
    // RFC 3261 §16.6: "In a similar fashion, a proxy that
    // receives a request over TLS, but generates a request without a
    // SIPS URI in the Request-URI or topmost Route header field value
    // (after the post processing of bullet 6), MUST insert a Record-
    // Route header field that is not a SIPS URI."
    let must_record = secure != came_secure;
    if !stay.records && !must_record && of_caller.is_none() && of_callee.is_none() {
        return;
    }
    // A SIPS URI leads to a listener that is secure.
    let came_by = match came_by {
        Some(_) if secure && !came_secure => {
            locals.iter().find(|local| local.listens && local.transport == Transport::Tls)
        }
        other => other,
    };
    let leaves_by = local_for(locals, hop);
    // RFC 5658 §5: two values where what is before the proxy and what is behind it do not understand one another.
    let differs = |other: &Local| {
        let is_v4 = |local: &Local| local.addr.ip().to_canonical().is_ipv4();
        came_by.is_none_or(|it| other.transport != it.transport || is_v4(other) != is_v4(it))
    };
    let is_same = leaves_by.is_none_or(|other| !differs(other));
    // One value does for both sides where one token does.
    let came_by = came_by.filter(|_| !is_same || of_caller.is_some() || of_callee.is_none());
    let leaves_by = leaves_by.filter(|_| !is_same || of_callee.is_some());
    for (local, token) in
        came_by.map(|it| (it, of_caller)).into_iter().chain(leaves_by.map(|it| (it, of_callee)))
    {
        if let Some(uri) = recorded_uri(local, secure, token.as_deref(), stay.tls_route) {
            copy.headers_mut().push_front(&RecordRoute::new(&uri));
        }
    }
}

/// The listener by which a request leaves for this hop, as far as that is known before its name is looked up.
fn local_for<'a>(locals: &'a Locals, hop: &NextHop) -> Option<&'a Local> {
    let to = |transport, remote| locals.select(transport, remote);
    match hop {
        NextHop::Target(target) => target
            .listener
            .and_then(|id| locals.get(id))
            .or_else(|| to(target.transport, &target.remote)),
        NextHop::Flow(flow) | NextHop::Over(flow) => locals.get(flow.listener),
        NextHop::Uri(uri) => {
            let transport = match uri.transport() {
                _ if uri.is_secure() => Transport::Tls,
                transport => transport.unwrap_or(Transport::Udp),
            };
            let ip = match uri.host() {
                Some(Host::V4(ip)) => Some(IpAddr::V4(ip)),
                Some(Host::V6(ip)) => Some(IpAddr::V6(ip)),
                _ => None,
            };
            match ip {
                Some(ip) => to(transport, &SocketAddr::new(ip, transport.default_port())),
                None => locals.first(transport),
            }
        }
        _ => None,
    }
}

/// By what a request is known again that comes back in a circle (RFC 5393 §4.2.1).
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// Of all that decides where it goes.
    pub(super) full: LoopMark,
    /// The same without what its ACK and its CANCEL may not have: of what is forwarded without a transaction.
    pub(super) steady: LoopMark,
}

impl Marks {
    pub(super) fn of(tx: &Transactions, request: &Request) -> Self {
        let headers = request.headers();
        let number = headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
        let mut parts: smallvec::SmallVec<[&[u8]; 8]> = smallvec::SmallVec::new();
        // RFC 5393 §4.2.1: "Hence, the
        // second part MUST depend at least on the received Request-URI and any
        // Route header field values used when processing the received request."
        // RFC 5393 §4.2.1: "This second part MUST NOT vary with
        // the request method."
        parts.push(request.uri_bytes());
        parts.push(headers.call_id().unwrap_or_default().as_bytes());
        parts.push(headers.from_tag().unwrap_or_default().as_bytes());
        parts.push(&number);
        parts.extend(headers.raw_all(HeaderName::Route));
        let steady = tx.loop_mark(&parts);
        parts.push(headers.to_tag().unwrap_or_default().as_bytes());
        parts.extend(headers.raw_all(HeaderName::ProxyAuthorization));
        Self { full: tx.loop_mark(&parts), steady }
    }

    /// Whether the request was forwarded from here before, with or without a transaction.
    pub(super) fn are_known(self, tx: &Transactions, request: &Request) -> bool {
        tx.has_looped(request, &[self.full, self.steady])
    }
}
