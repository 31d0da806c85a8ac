//! The proxy core of one shard: requests in, branches out, responses back (RFC 3261 §16).
//!
//! ```text
//!   request --> checks (§16.3) --> preprocess (§16.4) --> targets (§16.5) --> forward (§16.6)
//!                 | not fit           a Route is left, or another's domain: the Request-URI
//!                 v                   one of ours: the Router
//!              refused
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sip_message::{
    HeaderName, MaxBreadth, MaxForwards, Method, ProxyRequire, RecordRoute, Request, Response,
    ResponseBuilder, StatusCode, Transport, Uri,
};
use sip_transaction::{
    ClientKey, Event, Key, KeyMap, Load, LoopMark, NextHop, RequestError, ServerKey, TimerKey,
    TransactionUser, Transactions,
};
use sip_transport::{Flow, TransportError};

use crate::context::{Action, BranchId, Input, ResponseContext};
use crate::overload::{self, Overload};
use crate::route::{Names, postprocess, preprocess, push_routes};
use crate::{ProxyConfig, Reply, Route, RouteTarget, Router};

/// RFC 3261 §16.6: "If the copy does not contain a Max-Forwards header field, the
/// proxy MUST add one with a field value, which SHOULD be 70."
const MAX_FORWARDS: u8 = 70;

/// The proxy core of one shard: a [`TransactionUser`] that forwards requests and gathers their responses.
///
/// An [`Endpoint`](sip_transaction::Endpoint) feeds it. It keeps no dialog: what comes within one goes where its
/// Route and Request-URI say, and only the requests of the proxy's own domains are asked of the [`Router`].
pub struct Proxy<R> {
    config: ProxyConfig,
    router: R,
    contexts: KeyMap<ServerKey, Context>,
    branches: KeyMap<ClientKey, Branch>,
    events: VecDeque<ProxyEvent>,
    overload: Overload,
}

/// What the proxy tells those above.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyEvent {
    /// The [`Router`] said [`Route::Later`]: decide by [`Proxy::routed`].
    Routing {
        /// The request that waits.
        key: ServerKey,
        /// It, with its routing information prepared.
        request: Arc<Request>,
        /// Where it came from.
        flow: Flow,
    },
}

/// One request that is being proxied.
struct Context {
    /// The request with its routing information prepared; gone when it has its final response.
    request: Option<Arc<Request>>,
    flow: Flow,
    mark: LoopMark,
    responses: ResponseContext<RouteTarget>,
    /// The client transactions by the numbers of their branches; none where nothing could be sent.
    clients: Vec<Option<ClientKey>>,
    /// How many of them live.
    open: usize,
    /// The limit of the wait for a decision.
    waiting: Option<TimerKey>,
}

/// A client transaction of the proxy.
struct Branch {
    server: ServerKey,
    id: BranchId,
    timer_c: Option<TimerKey>,
    /// Its time is limited as a whole, so that Timer C is never started anew.
    is_limited: bool,
}

/// Why a request is not forwarded (RFC 3261 §16.3).
enum Unfit {
    Malformed,
    Scheme,
    TooManyHops,
    Loop,
    Breadth,
    Extension(String),
    Full,
}

/// How much lives in a [`Proxy`]: all zero when nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyLive {
    /// Requests whose transactions are not all over.
    pub contexts: usize,
    /// Client transactions of theirs.
    pub branches: usize,
}

impl<R: Router> Proxy<R> {
    /// A proxy at rest.
    pub fn new(config: ProxyConfig, router: R) -> Self {
        Self {
            overload: Overload::new(config.overload.clone()),
            config,
            router,
            contexts: KeyMap::default(),
            branches: KeyMap::default(),
            events: VecDeque::new(),
        }
    }

    /// Who decides.
    pub fn router(&mut self) -> &mut R {
        &mut self.router
    }

    /// How much lives now.
    pub fn live(&self) -> ProxyLive {
        ProxyLive { contexts: self.contexts.len(), branches: self.branches.len() }
    }

    /// Takes in how loaded the shard was, about ten times a second: by that the proxy asks those before it for fewer
    /// requests ([`Transactions::demand_loss`]), and turns away some of those who do not obey. Never told, it
    /// holds itself for idle.
    pub fn sample(&mut self, now: Instant, tx: &mut Transactions, load: Load) {
        let fill = self.contexts.len() as f64 / self.config.max_contexts.max(1) as f64;
        self.overload.sample(now, tx, load, fill);
    }

    /// Whether a request is served though the shard is loaded, for those that the proxy is not given, such as
    /// REGISTER; the proxy asks for its own.
    ///
    /// # Errors
    /// What it is answered instead.
    pub fn relieve(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
    ) -> Result<(), Reply> {
        self.overload.admit(now, tx, key, request)
    }

    /// How many requests were turned away because the shard was loaded.
    pub fn rejected(&self) -> u64 {
        self.overload.rejected()
    }

    /// Decides what becomes of a request that waits ([`ProxyEvent::Routing`]). Nothing happens when it does not
    /// wait any more: it was cancelled, or the wait was too long. [`Route::Later`] lets it wait on.
    pub fn routed(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey, route: Route) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        if matches!(route, Route::Later) {
            return;
        }
        let Some(timer) = context.waiting.take() else { return };
        tx.disarm(timer);
        self.decided(now, tx, key, route);
    }

    fn request_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        mut request: Request,
        flow: Flow,
    ) {
        let mark = mark_of(tx, &request);
        if let Err(unfit) = self.check(tx, &request, mark) {
            return self.refuse(now, tx, key, &request, unfit);
        }
        if let Err(reply) = self.overload.admit(now, tx, key, &request) {
            return say(now, tx, key, &request, &reply);
        }
        // RFC 3261 §16.3: "If an element requires credentials before forwarding a request,
        // the request MUST be inspected as described in Section 22.3."
        if let Err(reply) = self.router.admit(now, &request, &flow, tx) {
            return say(now, tx, key, &request, &reply);
        }
        let breadth = match request.get::<MaxBreadth>() {
            // RFC 5393 §5.3.3: "If this maximum is exceeded in a
            // received request, the proxy MUST overwrite it with a value that
            // SHOULD be no greater than its allowable maximum."
            Ok(Some(MaxBreadth(breadth))) => breadth.min(self.config.max_breadth),
            // RFC 5393 §5.3.3: "If a SIP proxy receives a request with no Max-Breadth header field
            // value, it MUST add one, with a value that is RECOMMENDED to be 60."
            Ok(None) | Err(_) => self.config.max_breadth,
        };
        preprocess(&mut request, &flow, names(&self.config, tx));
        let route = self.route(now, tx, &request, &flow);
        let is_invite = *request.method() == Method::Invite;
        let (groups, later) = match route {
            Route::Proxy(groups) => (groups, None),
            other => (Vec::new(), Some(other)),
        };
        let context = Context {
            request: Some(Arc::new(request)),
            flow,
            mark,
            responses: ResponseContext::new(is_invite, groups, breadth),
            clients: Vec::new(),
            open: 0,
            waiting: None,
        };
        self.contexts.insert(key, context);
        match later {
            None => self.start(now, tx, key),
            Some(Route::Later) => self.wait(now, tx, key),
            Some(route) => return self.decided(now, tx, key, route),
        }
        self.trying(now, tx, key);
    }

    // RFC 3261 §16.2: "The proxy core
    // MUST behave as a UAS with respect to sending an immediate provisional
    // on that server transaction (such as 100 Trying) as described in
    // Section 8.2.6.  Thus, a stateful proxy SHOULD NOT generate 100
    // (Trying) responses to non-INVITE requests."
    fn trying(&self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        if let Some(Context { request: Some(request), responses, .. }) = self.contexts.get(&key)
            && responses.is_invite()
        {
            respond(now, tx, key, Response::to_request(request, StatusCode::TRYING));
        }
    }

    /// RFC 3261 §16.3.
    fn check(&self, tx: &Transactions, request: &Request, mark: LoopMark) -> Result<(), Unfit> {
        // RFC 3261 §16.3: "Any components involved in the remainder of these
        // Request Validation steps or the Request Forwarding section MUST be
        // well-formed."
        if request.get_all::<sip_message::Route<'_>>().any(|route| route.is_err()) {
            return Err(Unfit::Malformed);
        }
        // RFC 3261 §16.3: "If the Request-URI has a URI whose scheme is not understood by the
        // proxy, the proxy SHOULD reject the request with a 416 (Unsupported
        // URI Scheme) response."
        if !request.uri().is_ok_and(|uri| uri.is_sip() || is_tel(&uri)) {
            return Err(Unfit::Scheme);
        }
        // RFC 3261 §16.3: "If the request contains a Max-Forwards header field with a field
        // value of zero (0), the element MUST NOT forward the request."
        if request.headers().max_forwards() == Some(0) {
            return Err(Unfit::TooManyHops);
        }
        // RFC 5393 §4.2.2: "If these values are equal,
        // the request has looped and the proxy MUST reject the request with a
        // 482 (Loop Detected) response."
        if tx.has_looped(request, mark) {
            return Err(Unfit::Loop);
        }
        // RFC 3261 §16.3: "If the request contains a Proxy-Require header field (Section
        // 20.29) with one or more option-tags this element does not
        // understand, the element MUST return a 420 (Bad Extension)
        // response."
        let mut unknown = String::new();
        for required in request.get_all::<ProxyRequire<'_>>().flatten() {
            for tag in required.iter() {
                if !self.config.proxy_require.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
                    unknown.push_str(if unknown.is_empty() { "" } else { ", " });
                    unknown.push_str(tag);
                }
            }
        }
        if !unknown.is_empty() {
            return Err(Unfit::Extension(unknown));
        }
        // RFC 5393 §5.3.3: "If a SIP proxy determines a response context has insufficient
        // Incoming Max-Breadth to carry out a desired parallel fork, and the
        // proxy is unwilling/unable to compensate by forking serially or
        // sending a redirect, that proxy MUST return a 440 (Max-Breadth
        // Exceeded) response."
        if matches!(request.get::<MaxBreadth>(), Ok(Some(MaxBreadth(0)))) {
            return Err(Unfit::Breadth);
        }
        if self.contexts.len() >= self.config.max_contexts
            && self.contexts.len()
                >= overload::room(self.config.max_contexts, overload::category(tx, request))
        {
            return Err(Unfit::Full);
        }
        Ok(())
    }

    fn refuse(
        &self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
        unfit: Unfit,
    ) {
        let reply = |status| Response::to_request(request, status).to_tag(&tx.local_tag(key));
        let builder = match unfit {
            Unfit::Malformed => reply(StatusCode::BAD_REQUEST).reason("Malformed Route"),
            Unfit::Scheme => reply(StatusCode::UNSUPPORTED_URI_SCHEME),
            // RFC 3261 §16.3: "Otherwise, the element MUST
            // return a 483 (Too many hops) response."
            Unfit::TooManyHops => reply(StatusCode::TOO_MANY_HOPS),
            Unfit::Loop => reply(StatusCode::LOOP_DETECTED),
            Unfit::Breadth => reply(StatusCode::MAX_BREADTH_EXCEEDED),
            // RFC 3261 §16.3: "The response MUST include an Unsupported (Section
            // 20.40) header field listing those option-tags the element did not
            // understand."
            Unfit::Extension(tags) => {
                reply(StatusCode::BAD_EXTENSION).raw(HeaderName::Unsupported, tags)
            }
            Unfit::Full => reply(StatusCode::SERVICE_UNAVAILABLE)
                .raw(HeaderName::RetryAfter, self.config.retry_after.to_string()),
        };
        respond(now, tx, key, builder);
    }

    /// RFC 3261 §16.5.
    fn route(&mut self, now: Instant, tx: &Transactions, request: &Request, flow: &Flow) -> Route {
        let Ok(uri) = request.uri() else { return Route::reply(StatusCode::BAD_REQUEST) };
        let names = names(&self.config, tx);
        let is_ours = !uri.is_sip() || names.serves(&uri) || names.is_listener(&uri);
        // RFC 3261 §16.5: "If the Request-URI of the request contains an maddr parameter, the
        // Request-URI MUST be placed into the target set as the only target
        // URI, and the proxy MUST proceed to Section 16.6."
        // RFC 3261 §16.5: "If the domain of the Request-URI indicates a domain this element is
        // not responsible for, the Request-URI MUST be placed into the target
        // set as the only target, and the element MUST proceed to the task of
        // Request Forwarding (Section 16.6)."
        // A Route that is left leads elsewhere first: whoever it names decides.
        let is_routed = request.headers().contains(HeaderName::Route);
        if is_routed || uri.maddr().is_some() || !is_ours {
            return Route::to(uri.to_static());
        }
        self.router.route(now, request, flow, tx)
    }

    fn wait(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        let Some(request) = &context.request else { return };
        let token = Key::Server(key).as_u64();
        context.waiting = Some(tx.arm(now, self.config.routing_limit, token));
        let (request, flow) = (Arc::clone(request), context.flow);
        self.events.push_back(ProxyEvent::Routing { key, request, flow });
    }

    fn decided(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey, route: Route) {
        match route {
            Route::Proxy(groups) => {
                if let Some(context) = self.contexts.get_mut(&key) {
                    context.responses.set_targets(groups);
                }
                self.start(now, tx, key);
            }
            Route::Reply(reply) => self.reply(now, tx, key, &reply),
            Route::Later => {}
        }
    }

    /// Answers a request that has no branches.
    fn reply(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey, reply: &Reply) {
        if let Some(Context { request: Some(request), .. }) = self.contexts.remove(&key) {
            say(now, tx, key, &request, reply);
        }
    }

    fn start(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        let mut actions = Vec::new();
        if let Some(context) = self.contexts.get_mut(&key) {
            context.responses.start(&mut actions);
        }
        self.carry_out(now, tx, key, actions);
    }

    fn handle_branch(&mut self, now: Instant, tx: &mut Transactions, key: ClientKey, input: Input) {
        let Some(branch) = self.branches.get_mut(&key) else { return };
        let is_final = match &input {
            Input::Response(response) => response.status().is_final(),
            Input::Timeout | Input::Unreachable | Input::Throttled | Input::TimerC => true,
        };
        if is_final && let Some(timer) = branch.timer_c.take() {
            tx.disarm(timer);
        }
        let (server, id) = (branch.server, branch.id);
        let mut actions = Vec::new();
        if let Some(context) = self.contexts.get_mut(&server) {
            context.responses.handle(id, input, &mut actions);
        }
        self.carry_out(now, tx, server, actions);
    }

    fn carry_out(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        actions: Vec<Action<RouteTarget>>,
    ) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let Some(context) = self.contexts.get_mut(&key) else { return };
            match action {
                Action::Forward { branch, target, breadth } => {
                    let patience = target.patience;
                    match context.forward(now, tx, &self.config, target, breadth) {
                        Ok(client) => {
                            context.clients.push(Some(client));
                            context.open += 1;
                            let timer_c = context.responses.is_invite().then(|| {
                                let token = Key::Client(client).as_u64();
                                tx.arm(now, patience.unwrap_or(self.config.timer_c), token)
                            });
                            let is_limited = patience.is_some();
                            let branch = Branch { server: key, id: branch, timer_c, is_limited };
                            self.branches.insert(client, branch);
                        }
                        Err(input) => {
                            context.clients.push(None);
                            let mut more = Vec::new();
                            context.responses.handle(branch, input, &mut more);
                            actions.extend(more);
                        }
                    }
                }
                // RFC 3261 §16.7: "The proxy MUST pass the response to the server transaction
                // associated with the response context."
                // One that is gone needs no answer:
                // RFC 6026 §7.3: "When receiving any SIP response, a transaction-stateful proxy MUST compare the
                // transaction identifier in that response against its existing transaction state machines."
                Action::Relay(response) => {
                    let _ = tx.respond(now, key, response);
                }
                Action::Reply(status) => {
                    if let Some(request) = &context.request {
                        let tag = tx.local_tag(key);
                        respond(now, tx, key, Response::to_request(request, status).to_tag(&tag));
                    }
                }
                Action::Cancel(branch) => {
                    let client = context.clients.get(usize::from(branch.0)).copied().flatten();
                    if let Some(client) = client {
                        tx.cancel(now, client);
                    }
                }
                Action::RestartTimerC(branch) => {
                    let client = context.clients.get(usize::from(branch.0)).copied().flatten();
                    if let Some(client) = client
                        && let Some(branch) = self.branches.get_mut(&client)
                        && !branch.is_limited
                    {
                        if let Some(timer) = branch.timer_c.take() {
                            tx.disarm(timer);
                        }
                        let token = Key::Client(client).as_u64();
                        branch.timer_c = Some(tx.arm(now, self.config.timer_c, token));
                    }
                }
            }
        }
        self.release(key);
    }

    /// Forgets what is no longer needed of a request.
    fn release(&mut self, key: ServerKey) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        if !context.responses.is_answered() {
            return;
        }
        context.request = None;
        // RFC 3261 §16.7: "The proxy MUST maintain the response context until all of its
        // associated transactions have been terminated, even after
        // forwarding a final response."
        if context.open == 0 {
            self.contexts.remove(&key);
        }
    }

    fn client_terminated(&mut self, now: Instant, tx: &mut Transactions, key: ClientKey) {
        // Without a final response, which the transaction layer does not do: still not stuck.
        self.handle_branch(now, tx, key, Input::Timeout);
        let Some(branch) = self.branches.remove(&key) else { return };
        if let Some(context) = self.contexts.get_mut(&branch.server) {
            context.open = context.open.saturating_sub(1);
        }
        self.release(branch.server);
    }

    /// An ACK to a 2xx, which has no transaction: it goes where it says.
    fn forward_ack(&self, now: Instant, tx: &mut Transactions, mut ack: Request, flow: &Flow) {
        let well_formed = ack.get_all::<sip_message::Route<'_>>().all(|route| route.is_ok());
        if !well_formed || ack.headers().max_forwards() == Some(0) {
            return;
        }
        let names = names(&self.config, tx);
        preprocess(&mut ack, flow, names);
        // One for a name of ours leads to no user agent: an ACK goes to a Contact.
        let is_ours = ack.uri().is_ok_and(|uri| names.serves(&uri) || names.is_listener(&uri));
        if is_ours && !ack.headers().contains(HeaderName::Route) {
            return;
        }
        count_hop(&mut ack);
        if let Some(hop) = postprocess(&mut ack) {
            // Nobody can be told of a failure: the 2xx comes again, and its ACK.
            let _ = tx.send_request(now, ack, NextHop::Uri(hop));
        }
    }

    fn timer(&mut self, now: Instant, tx: &mut Transactions, token: u64) {
        match Key::from_u64(token) {
            Key::Client(client) => {
                if let Some(branch) = self.branches.get_mut(&client) {
                    branch.timer_c = None;
                    self.handle_branch(now, tx, client, Input::TimerC);
                }
            }
            Key::Server(server) => {
                if self.contexts.get(&server).is_some_and(|context| context.waiting.is_some()) {
                    self.reply(now, tx, server, &Reply::new(StatusCode::SERVER_INTERNAL_ERROR));
                }
            }
        }
    }

    fn cancelled(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        let Some(context) = self.contexts.get_mut(&key) else { return };
        if let Some(timer) = context.waiting.take() {
            tx.disarm(timer);
            return self.reply(now, tx, key, &Reply::new(StatusCode::REQUEST_TERMINATED));
        }
        let mut actions = Vec::new();
        context.responses.cancelled(&mut actions);
        self.carry_out(now, tx, key, actions);
    }
}

impl Context {
    /// Forwards the request to a target (RFC 3261 §16.6).
    fn forward(
        &self,
        now: Instant,
        tx: &mut Transactions,
        config: &ProxyConfig,
        target: RouteTarget,
        breadth: u32,
    ) -> Result<ClientKey, Input> {
        // RFC 3261 §16.6: "The proxy starts with a copy of the received request."
        let mut copy = Request::clone(self.request.as_deref().ok_or(Input::Unreachable)?);
        // RFC 3261 §16.6: "The Request-URI in the copy's start line MUST be replaced with
        // the URI for this target.  If the URI contains any parameters
        // not allowed in a Request-URI, they MUST be removed."
        if copy.uri_bytes() != target.uri.as_bytes() {
            copy.set_uri(&target.uri.to_request_uri());
        }
        count_hop(&mut copy);
        // RFC 5393 §5.3.3: "All proxied requests MUST contain a single Max-Breadth header field
        // value."
        copy.headers_mut().set(&MaxBreadth(breadth));
        push_routes(&mut copy, &target.route);
        let uri = postprocess(&mut copy).ok_or(Input::Unreachable)?;
        let hop = target.hop.unwrap_or(NextHop::Uri(uri));
        if config.record_route && makes_dialog(copy.method()) {
            record_route(&mut copy, tx, &self.flow, &hop);
        }
        // RFC 3261 §16.6: "If the request will be sent to the next hop using a stream-
        // based transport and the copy contains no Content-Length header
        // field, the proxy MUST insert one with the correct value for the
        // body of the request (see Section 20.14)."
        copy.headers_mut().ensure_content_length();
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

/// What a branch comes to whose request was not sent.
fn not_sent(error: TransportError) -> Input {
    match error {
        TransportError::Throttled => Input::Throttled,
        _ => Input::Unreachable,
    }
}

/// RFC 3261 §16.6: "If the copy contains a Max-Forwards header field, the proxy
/// MUST decrement its value by one (1)."
fn count_hop(request: &mut Request) {
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
fn makes_dialog(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Subscribe | Method::Refer | Method::Notify | Method::Other(_)
    )
}

/// Puts the proxy into the path of the dialog: by the listener that the request came to, and, where it leaves by
/// another transport, by one of that as well (RFC 5658 §5).
fn record_route(copy: &mut Request, tx: &Transactions, flow: &Flow, hop: &NextHop) {
    // RFC 3261 §16.6: "If the
    // Request-URI contains a SIPS URI, or the topmost Route header
    // field value (after the post processing of bullet 6) contains a
    // SIPS URI, the URI placed into the Record-Route header field
    // MUST be a SIPS URI."
    let first = copy.get_all::<sip_message::Route<'_>>().next();
    let secure = copy.uri().is_ok_and(|uri| uri.is_secure())
        || first.is_some_and(|route| route.is_ok_and(|route| route.uri().is_secure()));
    let leaves_by = match hop {
        NextHop::Target(target) => target.transport,
        NextHop::Flow(flow) => flow.transport,
        NextHop::Uri(uri) if uri.is_secure() => Transport::Tls,
        NextHop::Uri(uri) => uri.transport().unwrap_or(Transport::Udp),
        _ => flow.transport,
    };
    let locals = tx.locals();
    let came_by = locals.get(flow.listener);
    let other = locals.first(leaves_by).filter(|_| leaves_by != flow.transport);
    for local in came_by.into_iter().chain(other) {
        // RFC 3261 §16.6: "The URI placed in the Record-Route header field value MUST be a
        // SIP or SIPS URI.  This URI MUST contain an lr parameter (see
        // Section 19.1.1)."
        let scheme = if secure { "sips" } else { "sip" };
        let transport = match local.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls if secure => "",
            Transport::Tls => ";transport=tls",
            Transport::Ws => ";transport=ws",
            Transport::Wss => ";transport=wss",
            _ => "",
        };
        let text = format!("{scheme}:{}{transport};lr", local.sent_by);
        if let Ok(uri) = text.parse::<Uri<'static>>() {
            copy.headers_mut().push_front(&RecordRoute::new(&uri));
        }
    }
}

/// All that decides where a request goes, for the detection of loops.
fn mark_of(tx: &Transactions, request: &Request) -> LoopMark {
    let headers = request.headers();
    let number = headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
    let mut parts: smallvec::SmallVec<[&[u8]; 8]> = smallvec::SmallVec::new();
    // RFC 5393 §4.2.1: "Hence, the
    // second part MUST depend at least on the received Request-URI and any
    // Route header field values used when processing the received request."
    parts.push(request.uri_bytes());
    parts.push(headers.call_id().unwrap_or_default().as_bytes());
    parts.push(headers.from_tag().unwrap_or_default().as_bytes());
    parts.push(headers.to_tag().unwrap_or_default().as_bytes());
    parts.push(&number);
    parts.extend(headers.raw_all(HeaderName::Route));
    parts.extend(headers.raw_all(HeaderName::ProxyAuthorization));
    tx.loop_mark(&parts)
}

fn is_tel(uri: &Uri<'_>) -> bool {
    matches!(uri.scheme(), sip_message::Scheme::Tel)
}

fn names<'a>(config: &'a ProxyConfig, tx: &'a Transactions) -> Names<'a> {
    Names { locals: tx.locals(), domains: &config.domains }
}

/// Answers as the router wants; by a bare 500 if that cannot be written.
fn say(now: Instant, tx: &mut Transactions, key: ServerKey, request: &Request, reply: &Reply) {
    let tag = tx.local_tag(key);
    let mut builder = Response::to_request(request, reply.status).to_tag(&tag);
    for (name, value) in &reply.headers {
        let known = HeaderName::from_bytes(name.as_bytes());
        builder = builder.raw(known.unwrap_or(HeaderName::Other(name)), value.as_bytes());
    }
    if !respond(now, tx, key, builder) {
        let bare = Response::to_request(request, StatusCode::SERVER_INTERNAL_ERROR);
        respond(now, tx, key, bare.to_tag(&tag));
    }
}

/// Whether the response could be built.
fn respond(now: Instant, tx: &mut Transactions, key: ServerKey, builder: ResponseBuilder) -> bool {
    let Ok(response) = builder.build() else { return false };
    // A transaction that is gone needs no answer.
    let _ = tx.respond(now, key, response);
    true
}

impl<R: Router> TransactionUser for Proxy<R> {
    type Event = ProxyEvent;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        match event {
            Event::Request { key, request, flow } => {
                self.request_received(now, tx, key, request, flow);
            }
            Event::Ack { request, flow, .. } => self.forward_ack(now, tx, request, &flow),
            Event::Cancelled { key, .. } => self.cancelled(now, tx, key),
            Event::Response { key, mut response, .. } => {
                // RFC 3261 §16.7: "The proxy removes the topmost Via header field value from the
                // response."
                response.headers_mut().pop_front(HeaderName::Via);
                // RFC 3261 §16.7: "If no Via header field values remain in the response, the
                // response was meant for this element and MUST NOT be forwarded."
                if response.headers().contains(HeaderName::Via) {
                    self.handle_branch(now, tx, key, Input::Response(response));
                }
            }
            Event::Timeout { key } => self.handle_branch(now, tx, key, Input::Timeout),
            Event::TransportError { key: Key::Client(key), error } => {
                self.handle_branch(now, tx, key, not_sent(error));
            }
            // RFC 3261 §16.9: "If the proxy is notified of an error when forwarding a response, it
            // drops the response."
            Event::TransportError { key: Key::Server(_), .. } => {}
            Event::Terminated { key: Key::Client(key) } => self.client_terminated(now, tx, key),
            // Its branches may still have something to say, to nobody.
            Event::Terminated { key: Key::Server(_) } => {}
            Event::Timer { token } => self.timer(now, tx, token),
            // What is about hops and not about requests.
            Event::Confirmed { .. }
            | Event::NoAck { .. }
            | Event::Pong { .. }
            | Event::Binding { .. }
            | Event::Closed { .. } => {}
            // An event that a later version of the layer below has and this does not know.
            _ => {}
        }
    }

    fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }
}
