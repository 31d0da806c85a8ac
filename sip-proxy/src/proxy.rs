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

use sip_message::{HeaderName, MaxBreadth, Method, Request, Response, ResponseBuilder, StatusCode};
use sip_transaction::{
    ClientKey, Event, Key, KeyMap, Load, LoopMark, ServerKey, TimerKey, TransactionUser,
    Transactions,
};
use sip_transport::Flow;

use crate::config::SHORTEST_TIMER_C;
use crate::context::{BranchId, Input, ResponseContext};
use crate::edge::Edge;
use crate::overload::Overload;
use crate::route::{Names, preprocess};
use crate::{Admission, Aor, ProxyConfig, ProxyOptions, Reply, Route, RouteTarget, Router};

use self::admission::Held;
use self::forward::{Marks, not_sent};
use self::recursion::Recursion;
use self::stateless::Passing;

mod admission;
mod branches;
mod check;
mod early;
mod flows;
mod forward;
mod recursion;
mod stateless;

/// RFC 3261 §16.6: "If the copy does not contain a Max-Forwards header field, the
/// proxy MUST add one with a field value, which SHOULD be 70."
const MAX_FORWARDS: u8 = 70;

/// How many targets of one request are compared with those after them.
const MAX_COMPARED: usize = 64;

/// The proxy core of one shard: a [`TransactionUser`] that forwards requests and gathers their responses.
///
/// An [`Endpoint`](sip_transaction::Endpoint) feeds it. It keeps no dialog: what comes within one goes where its
/// Route and Request-URI say, and only the requests of the proxy's own domains are asked of the [`Router`].
pub struct Proxy<R> {
    config: ProxyConfig,
    router: R,
    /// Requests of which it is not known yet whether they are served.
    held: KeyMap<ServerKey, Held>,
    contexts: KeyMap<ServerKey, Context>,
    branches: KeyMap<ClientKey, Branch>,
    events: VecDeque<ProxyEvent>,
    overload: Overload,
    edge: Option<Box<Edge>>,
    /// Some request was forwarded without a transaction: so may have been what an ACK or a CANCEL is for.
    is_stateless: bool,
}

/// What the proxy tells those above.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyEvent {
    /// The [`Router`] said [`Admission::Later`]: tell by [`Proxy::admitted`].
    Admitting {
        /// The request that waits.
        key: ServerKey,
        /// It, as it came.
        request: Arc<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// The [`Router`] said [`Route::Later`]: decide by [`Proxy::routed`].
    Routing {
        /// The request that waits.
        key: ServerKey,
        /// It, with its routing information prepared.
        request: Arc<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// The [`Router`] said [`Route::Process`]: whoever stands above answers it
    /// ([`Transactions::respond`]).
    Process {
        /// The request's transaction, which the proxy knows no more.
        key: ServerKey,
        /// The request, with its routing information prepared.
        request: Arc<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// A connection is closed over which REGISTERs came: what is bound over it is not routed to any more, and
    /// [`BindingChange::without_flow`](crate::BindingChange::without_flow) takes it out of the bindings. Or another edge
    /// has said that a flow of its failed (430).
    FlowClosed {
        /// The addresses-of-record that were registered over it, or that the request was for.
        aors: Vec<Aor>,
        /// Its token, which the paths of those bindings begin with.
        token: String,
    },
    /// An INVITE that was given away by [`Process`](Self::Process) was cancelled: it is owed a 487.
    Cancelled {
        /// The INVITE's transaction.
        key: ServerKey,
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
    options: ProxyOptions,
    /// Where redirections may lead; none if they go back to the caller.
    recursion: Option<Box<Recursion>>,
}

/// A client transaction of the proxy.
struct Branch {
    server: ServerKey,
    id: BranchId,
    timer_c: Option<TimerKey>,
    /// Its time is limited as a whole, so that Timer C is never started anew.
    is_limited: bool,
    way: flows::Way,
}

/// How much lives in a [`Proxy`]: all zero when nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyLive {
    /// Requests of which it is not known yet whether they are served.
    pub held: usize,
    /// Requests whose transactions are not all over.
    pub contexts: usize,
    /// Client transactions of theirs.
    pub branches: usize,
}

impl<R: Router> Proxy<R> {
    /// A proxy at rest.
    pub fn new(mut config: ProxyConfig, router: R) -> Self {
        config.timer_c = config.timer_c.max(SHORTEST_TIMER_C);
        Self {
            overload: Overload::new(config.overload.clone()),
            config,
            router,
            held: KeyMap::default(),
            contexts: KeyMap::default(),
            branches: KeyMap::default(),
            events: VecDeque::new(),
            edge: None,
            is_stateless: false,
        }
    }

    /// The same, which is an edge as well.
    #[must_use]
    pub fn with_edge(mut self, edge: Edge) -> Self {
        self.edge = Some(Box::new(edge));
        self
    }

    /// What makes it an edge.
    pub fn edge(&self) -> Option<&Edge> {
        self.edge.as_deref()
    }

    /// What makes it an edge, to note flows and to change keys.
    pub fn edge_mut(&mut self) -> Option<&mut Edge> {
        self.edge.as_deref_mut()
    }

    /// Who decides.
    pub fn router(&mut self) -> &mut R {
        &mut self.router
    }

    /// How much lives now.
    pub fn live(&self) -> ProxyLive {
        ProxyLive {
            held: self.held.len(),
            contexts: self.contexts.len(),
            branches: self.branches.len(),
        }
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
        request: Request,
        flow: Flow,
    ) {
        tx.take_stray_cancels();
        let marks = Marks::of(tx, &request);
        if let Err(unfit) = self.check(tx, &request, marks) {
            return self.refuse(now, tx, key, &request, unfit);
        }
        if let Err(reply) = self.overload.admit(now, tx, key, &request) {
            return say(now, tx, key, &request, &reply);
        }
        // RFC 3261 §16.3: "If an element requires credentials before forwarding a request,
        // the request MUST be inspected as described in Section 22.3."
        // Another node of the cluster did so: who sent it is not at hand to prove it twice.
        if self.edge.as_ref().is_some_and(|edge| edge.is_vouched(&request)) {
            return self.serve(now, tx, key, request, flow, marks);
        }
        match self.router.admit(now, &request, &flow, tx) {
            Admission::Admitted => self.serve(now, tx, key, request, flow, marks),
            Admission::Refused(reply) => say(now, tx, key, &request, &reply),
            Admission::Later => self.hold(now, tx, key, request, flow, marks),
        }
    }

    /// What becomes of a request that is served.
    fn serve(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        mut request: Request,
        flow: Flow,
        marks: Marks,
    ) {
        self.router.consume(&mut request);
        let breadth = match request.get::<MaxBreadth>() {
            // RFC 5393 §5.3.3: "If this maximum is exceeded in a
            // received request, the proxy MUST overwrite it with a value that
            // SHOULD be no greater than its allowable maximum."
            Ok(Some(MaxBreadth(breadth))) => breadth.min(self.config.max_breadth),
            // RFC 5393 §5.3.3: "If a SIP proxy receives a request with no Max-Breadth header field
            // value, it MUST add one, with a value that is RECOMMENDED to be 60."
            Ok(None) | Err(_) => self.config.max_breadth,
        };
        let names = names(&self.config, tx);
        let route = match preprocess(&mut request, &flow, names, self.edge.as_deref()) {
            Ok(None) => self.route(now, tx, &request, &flow),
            Ok(Some(hop)) => flows::over(&request, hop),
            Err(no_flow) => Route::reply(no_flow.status()),
        };
        match &route {
            Route::Proxy { targets, options }
                if options.stateless && tx.has_stateless_branch(&request) =>
            {
                let target = targets.iter().flatten().next().cloned();
                let how = Passing { options: *options, mark: marks.steady, breadth };
                return self.forward_statelessly(now, tx, key, request, target, &flow, how);
            }
            Route::Proxy { .. } | Route::Later => {}
            Route::Process | Route::Redirect(_) | Route::Reply(_) | Route::Drop => {
                return self.finish(now, tx, key, Arc::new(request), flow, route);
            }
        }
        let is_invite = *request.method() == Method::Invite;
        let context = Context {
            request: Some(Arc::new(request)),
            flow,
            mark: marks.full,
            responses: ResponseContext::new(is_invite, [], breadth),
            clients: Vec::new(),
            open: 0,
            waiting: None,
            options: ProxyOptions::default(),
            recursion: None,
        };
        self.contexts.insert(key, context);
        match route {
            Route::Proxy { targets, options } => self.proxy(now, tx, key, targets, options),
            _ => self.wait(now, tx, key),
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
        // But whom a GRUU stands for only this element knows.
        // RFC 5627 §6.1: "This is the case for both out-of-dialog
        // requests targeted to the GRUU, and mid-dialog requests targeted to
        // the GRUU"
        let is_routed = request.headers().contains(HeaderName::Route) && uri.gruu().is_none();
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
        if let Route::Proxy { targets, options } = route {
            return self.proxy(now, tx, key, targets, options);
        }
        if let Some(Context { request: Some(request), flow, .. }) = self.contexts.remove(&key) {
            self.finish(now, tx, key, request, flow, route);
        }
    }

    /// Does with a request that has no context what is not forwarding it.
    fn finish(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Arc<Request>,
        flow: Flow,
        route: Route,
    ) {
        match route {
            Route::Process => {
                self.events.push_back(ProxyEvent::Process { key, request, flow });
            }
            Route::Redirect(contacts) => {
                say(now, tx, key, &request, &Reply::redirect(&contacts));
            }
            Route::Reply(reply) => say(now, tx, key, &request, &reply),
            Route::Drop => tx.discard(key),
            Route::Proxy { .. } | Route::Later => {}
        }
    }

    /// Answers a request that has no branches.
    fn reply(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey, reply: &Reply) {
        if let Some(Context { request: Some(request), .. }) = self.contexts.remove(&key) {
            say(now, tx, key, &request, reply);
        }
    }

    fn proxy(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        targets: Vec<Vec<RouteTarget>>,
        options: ProxyOptions,
    ) {
        if let Err(reply) = self.stay_in_path(tx, key) {
            return self.reply(now, tx, key, &reply);
        }
        let targets = match &self.edge {
            Some(edge) => edge.resolve(targets),
            None => targets,
        };
        let targets = without_repeats(targets);
        let mut actions = Vec::new();
        if let Some(context) = self.contexts.get_mut(&key) {
            context.options = options;
            let timer_c = options.timer_c.map(|timer_c| timer_c.max(SHORTEST_TIMER_C));
            context.options.timer_c = timer_c;
            if let Some(request) = &context.request {
                let names = names(&self.config, tx);
                context.recursion = Recursion::new(&self.config, names, options, request, &targets);
                context.responses.watch_early_dialogs(early::wants_199(request));
            }
            context.responses.set_targets(targets);
            context.responses.start(&mut actions);
        }
        self.carry_out(now, tx, key, actions);
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
                if self.held.contains_key(&server) {
                    return self.held_too_long(now, tx, server);
                }
                if self.contexts.get(&server).is_some_and(|context| context.waiting.is_some()) {
                    self.reply(now, tx, server, &Reply::new(StatusCode::SERVER_INTERNAL_ERROR));
                }
            }
        }
    }

    fn cancelled(&mut self, now: Instant, tx: &mut Transactions, key: ServerKey) {
        if self.held.contains_key(&key) {
            let gone = Reply::new(StatusCode::REQUEST_TERMINATED);
            return self.admitted(now, tx, key, Admission::Refused(gone));
        }
        let Some(context) = self.contexts.get_mut(&key) else {
            return self.events.push_back(ProxyEvent::Cancelled { key });
        };
        if let Some(timer) = context.waiting.take() {
            tx.disarm(timer);
            return self.reply(now, tx, key, &Reply::new(StatusCode::REQUEST_TERMINATED));
        }
        let mut actions = Vec::new();
        context.responses.cancelled(&mut actions);
        self.carry_out(now, tx, key, actions);
    }
}

fn names<'a>(config: &'a ProxyConfig, tx: &'a Transactions) -> Names<'a> {
    Names { locals: tx.locals(), domains: &config.domains }
}

/// The targets, each once: of two that are the same the first.
// RFC 3261 §16.5: "If a target URI is already
// present in the set (based on the definition of equality for the URI
// type), it MUST NOT be added again."
// Two that are reached by other ways are two, though they have one name: as phones behind two NAT boxes have.
fn without_repeats(mut groups: Vec<Vec<RouteTarget>>) -> Vec<Vec<RouteTarget>> {
    if groups.iter().map(Vec::len).sum::<usize>() < 2 {
        return groups;
    }
    let known: Vec<&RouteTarget> = groups.iter().flatten().take(MAX_COMPARED).collect();
    let is_new = |(at, target): (usize, &RouteTarget)| {
        !known.iter().take(at).any(|known| known.is_same(target))
    };
    let mut is_kept: Vec<bool> = groups.iter().flatten().enumerate().map(is_new).collect();
    is_kept.reverse();
    for group in &mut groups {
        group.retain(|_| is_kept.pop().unwrap_or(true));
    }
    groups
}

/// Answers as the router wants; by a bare 500 if that cannot be written.
fn say(now: Instant, tx: &mut Transactions, key: ServerKey, request: &Request, reply: &Reply) {
    let tag = tx.local_tag(key);
    let builder = reply.to(request).to_tag(&tag);
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
            Event::Cancel { request, flow } => self.forward_cancel(now, tx, request, &flow),
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
            | Event::Binding { .. } => {}
            Event::Closed { flow, .. } => self.flow_closed(&flow),
            // An event that a later version of the layer below has and this does not know.
            _ => {}
        }
    }

    fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }
}
