//! The transaction user of a server: REGISTERs for the registrar, everything else for the proxy core.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_auth::{LookedUp, PendingLookup, Waiting};
use sip_message::{
    HeaderName, Method, Request, Require, Response, ResponseBuilder, StatusCode, To, Uri,
};
use sip_transaction::{Event, KeyMap, Load, ServerKey, TransactionUser, Transactions};
use sip_transport::Flow;

use super::door::{Asks, Door, Entry, is_from};
use super::reginfo::Known;
use super::routing::{Asked, Routing};
use super::watchers::{Feed, Moment, Subscribe, Watchers, is_about_registrations};
use super::{Pending, ServerLive, at_once, unavailable};
use crate::location::{self, Commit, RegisterError, Store, StoreError, Watched};
use crate::route::{Names, preprocess};
use crate::{
    Admission, Aor, BindingChange, Proxy, ProxyEvent, Register, Registrar, Reply, Route, Router,
};

/// How many registrations may wait for the store; what is beyond is answered 503.
const MAX_REGISTERING: usize = 10_000;

/// How often bindings are taken out again because others of the same address-of-record changed meanwhile.
const MAX_CONFLICTS: usize = 16;

/// The extensions that the registrar knows (RFC 3327, RFC 5626, RFC 5627).
const EXTENSIONS: [&str; 3] = ["path", "outbound", "gruu"];

pub(super) struct Service<S, R> {
    proxy: Proxy<Gateway<R>>,
    registrar: Arc<Registrar>,
    store: Arc<S>,
    /// Registrations that wait for the store.
    registering: usize,
    /// The lease of this node is being given back.
    leaving: bool,
    /// Requests whose senders are being looked up, and of which some were given up meanwhile.
    held: KeyMap<ServerKey, Held>,
    /// Requests that the routing is about to answer itself; nothing of those that were cancelled meanwhile.
    processing: KeyMap<ServerKey, Option<Arc<Request>>>,
    /// Who is told of registrations, if somebody is.
    watchers: Option<Box<Watchers>>,
    work: VecDeque<Work>,
}

/// A request whose sender is being looked up.
struct Held {
    waiting: Waiting,
    request: Arc<Request>,
    /// For a REGISTER: where it came from, and what it is about.
    register: Option<(Flow, Aor)>,
}

/// What takes time, to be done beside the shard.
pub(super) enum Work {
    LookUp(ServerKey, PendingLookup),
    Route(ServerKey, Pending<Route>),
    Register(ServerKey, Pending<Option<Response>>),
    Answer(ServerKey, Pending<Option<Response>>),
    Forget(Pending<()>),
    Load(Pending<(Aor, Result<Known, StoreError>)>),
    Watch(Feed),
    Leave(Pending<()>),
}

/// What stands between the proxy core and the application's routing.
pub(super) struct Gateway<R> {
    pub(super) routing: Arc<R>,
    pub(super) domains: Vec<Box<str>>,
    pub(super) door: Option<Door>,
    /// One moment by both clocks.
    pub(super) epoch: (Instant, Duration),
    pub(super) draining: bool,
    pub(super) retry_after: u32,
    /// Who sent the request that is about to be routed.
    pub(super) user: Option<Arc<str>>,
    /// Whether subscriptions to registrations are served here.
    pub(super) tells_registrations: bool,
    /// Who sent the SUBSCRIBE to a registration that was just taken for ours.
    pub(super) watching: Option<Option<Arc<str>>>,
    /// How many requests the routing may be about to answer itself.
    pub(super) max_processing: usize,
    /// How many more senders may be looked up.
    pub(super) lookups: usize,
    /// The lookup that was begun last, of whoever sent the request that is to wait for it.
    pub(super) asking: Option<(Waiting, PendingLookup)>,
    /// The decision that was begun last, and is not made yet.
    pub(super) deciding: Option<Pending<Route>>,
}

impl<R> Gateway<R> {
    fn unix(&self, now: Instant) -> Duration {
        self.epoch.1.saturating_add(now.saturating_duration_since(self.epoch.0))
    }

    fn serves(&self, uri: &Uri<'_>) -> bool {
        uri.host_str()
            .is_some_and(|host| self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host)))
    }

    /// Whether something new is to be begun by this request though the server is to end.
    fn stays_out(&self, request: &Request) -> bool {
        self.draining && request.headers().to_tag().is_none()
    }

    fn later(&self) -> Reply {
        unavailable(self.retry_after)
    }

    /// Whether a request may go on to be forwarded, by what the door says of it.
    fn entering(&mut self, entry: Entry) -> Admission {
        match entry {
            Entry::Open(user) => {
                self.user = user;
                Admission::Admitted
            }
            Entry::Shut(reply) => Admission::Refused(reply),
            Entry::Waits(..) if self.lookups == 0 => Admission::Refused(self.later()),
            Entry::Waits(waiting, pending) => {
                self.lookups = self.lookups.saturating_sub(1);
                self.asking = Some((waiting, pending));
                Admission::Later
            }
        }
    }
}

impl<R: Routing> Router for Gateway<R> {
    fn admit(
        &mut self,
        now: Instant,
        request: &Request,
        _: &Flow,
        tx: &mut Transactions,
    ) -> Admission {
        self.user = None;
        if self.stays_out(request) {
            return Admission::Refused(self.later());
        }
        // Whoever is in a dialog has passed here with the request that made it; what is within it goes where the
        // dialog says.
        let headers = request.headers();
        if headers.to_tag().is_some() && headers.contains(HeaderName::Route) {
            return Admission::Admitted;
        }
        if is_from(request, |uri| self.serves(uri)) {
            let at = (self.unix(now), tx.random().next_u64());
            let Some(door) = &mut self.door else { return Admission::Admitted };
            let entry = door.check(request, Asks::Forward, at);
            return self.entering(entry);
        }
        // Strangers reach those who live here, and nobody else through us.
        let locals = tx.locals();
        let is_for_us = request.uri().is_ok_and(|uri| {
            !uri.is_sip()
                || self.serves(&uri)
                || Names { locals, domains: &self.domains }.is_listener(&uri)
        });
        if is_for_us || self.door.is_none() {
            Admission::Admitted
        } else {
            let refusal = Reply::new(StatusCode::FORBIDDEN);
            Admission::Refused(refusal.header("Warning", "399 proxy \"no relay\""))
        }
    }

    fn consume(&mut self, request: &mut Request) {
        if let Some(door) = &self.door {
            door.consume(request);
        }
    }

    fn route(&mut self, now: Instant, request: &Request, flow: &Flow, _: &Transactions) -> Route {
        if self.tells_registrations && is_about_registrations(request) {
            self.watching = Some(self.user.take());
            return Route::Process;
        }
        let asked = Asked {
            request: Arc::new(request.clone()),
            flow: *flow,
            user: self.user.take(),
            now: self.unix(now),
        };
        let routing = Arc::clone(&self.routing);
        at_once(async move { routing.route(&asked).await }).unwrap_or_else(|deciding| {
            self.deciding = Some(deciding);
            Route::Later
        })
    }
}

impl<S: Store, R: Routing> Service<S, R> {
    pub(super) fn new(proxy: Proxy<Gateway<R>>, registrar: Registrar, store: Arc<S>) -> Self {
        let registrar = Arc::new(registrar);
        Self {
            proxy,
            registrar,
            store,
            registering: 0,
            leaving: false,
            held: KeyMap::default(),
            processing: KeyMap::default(),
            watchers: None,
            work: VecDeque::new(),
        }
    }

    /// Tells of registrations.
    pub(super) fn telling(self, watchers: Watchers) -> Self {
        Self { watchers: Some(Box::new(watchers)), ..self }
    }

    /// Lets in nothing new, and lets other nodes send nothing here. What they have sent, and what has been let in by
    /// them, is carried on.
    pub(super) fn drain(&mut self) {
        if core::mem::replace(&mut self.proxy.router().draining, true) {
            return;
        }
        let store = Arc::clone(&self.store);
        let leaving = async move {
            if store.leave().await.is_err() {
                tracing::warn!("the lease could not be given back: it runs out by itself");
            }
        };
        if let Err(work) = at_once(leaving) {
            self.leaving = true;
            self.work.push_back(Work::Leave(work));
        }
    }

    pub(super) fn left(&mut self) {
        self.leaving = false;
    }

    pub(super) fn live(&self, tx: &Transactions) -> ServerLive {
        ServerLive {
            contexts: self.proxy.live().contexts,
            transactions: tx.unfinished(),
            registrations: self.registering,
            subscriptions: self.watchers.as_ref().map_or(0, |watchers| watchers.len()),
            leaving: self.leaving,
            lookups: self.held.len(),
            processing: self.processing.len(),
        }
    }

    pub(super) fn sample(&mut self, now: Instant, tx: &mut Transactions, load: Load) {
        self.proxy.sample(now, tx, load);
    }

    pub(super) fn routed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        route: Route,
    ) {
        self.proxy.routed(now, tx, key, route);
        self.look_at_proxy(now, tx);
    }

    pub(super) fn registered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        response: Option<Response>,
    ) {
        self.registering = self.registering.saturating_sub(1);
        answer(now, tx, key, response);
    }

    /// Whether a REGISTER is for the registrar here and not for one elsewhere. A Route that named this server is taken
    /// off.
    fn is_ours(&mut self, request: &mut Request, flow: &Flow, tx: &Transactions) -> bool {
        if *request.method() != Method::Register {
            return false;
        }
        let domains = &self.proxy.router().domains;
        let names = Names { locals: tx.locals(), domains };
        // A flow token means nothing to a REGISTER.
        let _ = preprocess(request, flow, names, None);
        let names = Names { locals: tx.locals(), domains };
        !request.headers().contains(HeaderName::Route)
            && request.uri().is_ok_and(|uri| {
                uri.user().is_none() && (names.serves(&uri) || names.is_listener(&uri))
            })
    }

    fn register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Request,
        flow: Flow,
    ) {
        let aor = match self.may_register(now, tx, key, &request) {
            Ok(aor) => aor,
            Err(reply) => return say(now, tx, key, &request, &reply),
        };
        // RFC 3261 §10.3: "A registrar SHOULD authenticate the UAC."
        let gateway = self.proxy.router();
        let at = (gateway.unix(now), tx.random().next_u64());
        let entry = match &mut gateway.door {
            Some(door) => door.check(&request, Asks::Register(&aor), at),
            None => Entry::Open(None),
        };
        match gateway.entering(entry) {
            Admission::Admitted => self.bind(now, tx, key, request, &flow),
            Admission::Refused(reply) => say(now, tx, key, &request, &reply),
            Admission::Later => self.hold(key, Arc::new(request), Some((flow, aor))),
        }
    }

    /// Keeps a request until its sender is looked up.
    fn hold(&mut self, key: ServerKey, request: Arc<Request>, register: Option<(Flow, Aor)>) {
        if let Some((waiting, pending)) = self.proxy.router().asking.take() {
            self.held.insert(key, Held { waiting, request, register });
            self.work.push_back(Work::LookUp(key, pending));
        }
    }

    /// The sender of a request is looked up: it goes on, is refused, or waits for something else.
    pub(super) fn looked_up(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        found: LookedUp,
    ) {
        let Some(Held { waiting, request, register }) = self.held.remove(&key) else { return };
        let gateway = self.proxy.router();
        gateway.lookups = gateway.lookups.saturating_add(1);
        let at = (gateway.unix(now), tx.random().next_u64());
        let Some(door) = &mut gateway.door else { return };
        let asks = register.as_ref().map_or(Asks::Forward, |(_, aor)| Asks::Register(aor));
        let entry = door.resume((waiting, found), &request, asks, at);
        match (gateway.entering(entry), register) {
            (Admission::Later, register) => self.hold(key, request, register),
            (Admission::Admitted, Some((flow, _))) => {
                self.bind(now, tx, key, Arc::unwrap_or_clone(request), &flow);
            }
            (Admission::Refused(reply), Some(_)) => say(now, tx, key, &request, &reply),
            (admission, None) => {
                // The proxy has the other handle on it.
                drop(request);
                self.proxy.admitted(now, tx, key, admission);
                self.look_at_proxy(now, tx);
            }
        }
    }

    /// Carries a REGISTER out that may be.
    fn bind(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Request,
        flow: &Flow,
    ) {
        let (store, registrar) = (Arc::clone(&self.store), Arc::clone(&self.registrar));
        let over = self.proxy.edge_mut().and_then(|edge| {
            let path = edge.path(&request, flow, tx)?;
            Some((path, flow.connection.is_some()))
        });
        let (tag, dice) = (tx.local_tag(key), tx.random().next_u64() as u32);
        let gateway = self.proxy.router();
        let (unix, retry_after) = (gateway.unix(now), gateway.retry_after);
        let work = at_once(async move {
            let by = By { over, now: unix, dice, retry_after };
            let builder = registered(&*store, &registrar, &request, by).await;
            builder.to_tag(&tag).build().ok()
        });
        match work {
            Ok(response) => answer(now, tx, key, response),
            Err(work) => {
                self.registering = self.registering.saturating_add(1);
                self.work.push_back(Work::Register(key, work));
            }
        }
    }

    /// RFC 3261 §10.3 steps 2 and 5, and what keeps a server alive: what the REGISTER is about.
    fn may_register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
    ) -> Result<Aor, Reply> {
        self.proxy.relieve(now, tx, key, request)?;
        let room = self.registering < MAX_REGISTERING;
        let gateway = self.proxy.router();
        if gateway.draining || !room {
            return Err(gateway.later());
        }
        // RFC 3261 §10.3: "To guarantee that the registrar supports any necessary
        // extensions, the registrar MUST process the Require header field
        // values as described for UASs in Section 8.2.2."
        let mut unknown = Vec::new();
        for required in request.get_all::<Require<'_>>().flatten() {
            let foreign =
                |tag: &&str| !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(tag));
            unknown.extend(required.iter().filter(foreign).map(str::to_owned));
        }
        if !unknown.is_empty() {
            let reply = Reply::new(StatusCode::BAD_EXTENSION);
            return Err(reply.header("Unsupported", &unknown.join(", ")));
        }
        let to = request.get::<To<'_>>().ok().flatten();
        let Some(to) = to else { return Err(Reply::new(StatusCode::BAD_REQUEST)) };
        // RFC 3261 §10.3: "If the address-of-record is not valid for the domain in the
        // Request-URI, the registrar MUST send a 404 (Not Found) response
        // and skip the remaining steps."
        // It is checked first: there is nothing to be proven about what is not here.
        let aor = Aor::of(&to.uri()).filter(|_| gateway.serves(&to.uri()));
        aor.ok_or_else(|| Reply::new(StatusCode::NOT_FOUND))
    }

    /// Answers what the routing wants to answer itself.
    fn process(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Arc<Request>,
        flow: Flow,
    ) {
        let gateway = self.proxy.router();
        if self.processing.len() >= gateway.max_processing {
            let later = gateway.later();
            return say(now, tx, key, &request, &later);
        }
        let asked =
            Asked { request: Arc::clone(&request), flow, user: None, now: gateway.unix(now) };
        let routing = Arc::clone(&gateway.routing);
        let tag = tx.local_tag(key);
        let work = at_once(async move {
            routing.process(&asked).await.to(&asked.request).to_tag(&tag).build().ok()
        });
        match work {
            Ok(response) => answer(now, tx, key, response),
            Err(work) => {
                self.processing.insert(key, Some(request));
                self.work.push_back(Work::Answer(key, work));
            }
        }
    }

    /// What the routing answers came after all.
    pub(super) fn processed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        response: Option<Response>,
    ) {
        // One that was cancelled meanwhile is answered.
        if self.processing.remove(&key).flatten().is_some() {
            answer(now, tx, key, response);
        }
    }

    fn look_at_proxy(&mut self, now: Instant, tx: &mut Transactions) {
        while let Some(event) = self.proxy.poll_event() {
            match event {
                ProxyEvent::Admitting { key, request, .. } => self.hold(key, request, None),
                ProxyEvent::Routing { key, .. } => {
                    if let Some(deciding) = self.proxy.router().deciding.take() {
                        self.work.push_back(Work::Route(key, deciding));
                    }
                }
                ProxyEvent::Process { key, request, flow } => {
                    match self.proxy.router().watching.take() {
                        Some(user) => self.subscribe(now, tx, (key, request, flow), user),
                        None => self.process(now, tx, key, request, flow),
                    }
                }
                ProxyEvent::FlowClosed { aors, token } => {
                    if let Some(watchers) = &mut self.watchers {
                        watchers.flow_closed(&aors, &token);
                    }
                    let now = self.proxy.router().unix(now);
                    let work = forgotten(Arc::clone(&self.store), aors, token, now);
                    if let Err(work) = at_once(work) {
                        self.work.push_back(Work::Forget(work));
                    }
                }
                ProxyEvent::Cancelled { key } => {
                    if let Some(request) = self.processing.get_mut(&key).and_then(Option::take) {
                        let terminated = Reply::new(StatusCode::REQUEST_TERMINATED);
                        say(now, tx, key, &request, &terminated);
                    }
                }
            }
        }
    }
}

impl<S: Store, R: Routing> Service<S, R> {
    /// A SUBSCRIBE to a registration.
    fn subscribe(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        (key, request, flow): (ServerKey, Arc<Request>, Flow),
        user: Option<Arc<str>>,
    ) {
        let edge = self.proxy.edge();
        let is_over_flow = edge.is_some_and(|edge| edge.assists(&request, &flow, tx));
        let gateway = self.proxy.router();
        let (unix, is_open) = (gateway.unix(now), gateway.door.is_none());
        if let Some(watchers) = &mut self.watchers {
            let subscribe = Subscribe { key, request, flow, user, is_open, is_over_flow };
            watchers.subscribe(&mut Moment { now, unix, tx }, subscribe);
        }
        self.load(now, tx);
    }

    /// Finds out what is bound to those that are watched, where it is asked for.
    fn load(&mut self, now: Instant, tx: &mut Transactions) {
        let unix = self.proxy.router().unix(now);
        let Some(watchers) = &mut self.watchers else { return };
        // From before it is loaded, so that no change is missed.
        self.work.extend(watchers.feed(|| self.store.watch()).map(Work::Watch));
        while let Some(aor) = watchers.poll_load() {
            let store = Arc::clone(&self.store);
            let work = at_once(async move {
                let known = store.load(&aor).await.map(|located| {
                    let is_stranded = |node| !store.is_alive(node);
                    let bindings = located.bindings.iter();
                    let stranded = bindings.map(|it| it.node().is_some_and(is_stranded)).collect();
                    Known { bindings: Arc::clone(&located.bindings), stranded }
                });
                (aor, known)
            });
            match work {
                Ok((aor, known)) => watchers.loaded(&mut Moment { now, unix, tx }, &aor, known),
                Err(work) => self.work.push_back(Work::Load(work)),
            }
        }
    }

    pub(super) fn loaded(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        aor: &Aor,
        known: Result<Known, StoreError>,
    ) {
        let unix = self.proxy.router().unix(now);
        if let Some(watchers) = &mut self.watchers {
            watchers.loaded(&mut Moment { now, unix, tx }, aor, known);
        }
        self.load(now, tx);
    }

    /// The store tells of a change.
    pub(super) fn changed(&mut self, now: Instant, tx: &mut Transactions, told: &Watched) {
        if let Some(watchers) = &mut self.watchers {
            watchers.changed(told);
        }
        self.load(now, tx);
    }

    /// Sends all who watch away.
    pub(super) fn end_subscriptions(&mut self, now: Instant, tx: &mut Transactions) {
        let unix = self.proxy.router().unix(now);
        if let Some(watchers) = &mut self.watchers {
            watchers.end(&mut Moment { now, unix, tx });
        }
    }
}

/// What a REGISTER came with, beside what it says.
struct By {
    /// The first element of its path, and whether a connection leads there.
    over: Option<(Uri<'static>, bool)>,
    now: Duration,
    dice: u32,
    retry_after: u32,
}

/// The answer to a REGISTER that may be carried out.
async fn registered<S: Store>(
    store: &S,
    registrar: &Registrar,
    request: &Request,
    by: By,
) -> ResponseBuilder {
    let By { over, now, dice, retry_after } = by;
    let register = match Register::read(request) {
        Ok(register) => register,
        Err(refused) => return refused.answer(request),
    };
    let register = match (&over, store.node()) {
        // A connection is lost with the node that has it.
        (Some((path, true)), Some(node)) => register.over(path).held_by(node),
        (Some((path, _)), _) => register.over(path),
        (None, _) => register,
    };
    match location::register(store, registrar, &register, now, dice).await {
        Ok(change) => change.answer(request, now),
        Err(RegisterError::Refused(refused)) => refused.answer(request),
        Err(RegisterError::Store(error)) => Response::to_request(request, error.status())
            .raw(HeaderName::RetryAfter, retry_after.to_string()),
    }
}

/// Takes the bindings out that were reached over a flow that is gone.
async fn forgotten<S: Store>(store: Arc<S>, aors: Vec<Aor>, token: String, now: Duration) {
    for aor in aors {
        for _ in 0..MAX_CONFLICTS {
            let Ok(located) = store.load(&aor).await else { break };
            let change = BindingChange::without_flow(&located.bindings, &token, now);
            if change.is_empty() {
                break;
            }
            // What cannot be taken out now is not routed to, and ends by itself.
            match store.commit(&aor, change.bindings.clone(), located.version).await {
                Ok(Commit::Conflict) => {}
                Ok(Commit::Done(_)) | Err(_) => break,
            }
        }
    }
}

pub(super) fn say(
    now: Instant,
    tx: &mut Transactions,
    key: ServerKey,
    request: &Request,
    reply: &Reply,
) {
    let builder = reply.to(request).to_tag(&tx.local_tag(key));
    answer(now, tx, key, builder.build().ok());
}

pub(super) fn answer(
    now: Instant,
    tx: &mut Transactions,
    key: ServerKey,
    response: Option<Response>,
) {
    // What cannot be built is not sent: the client's timer ends it. A transaction that is gone needs no answer.
    if let Some(response) = response {
        let _ = tx.respond(now, key, response);
    }
}

impl<S: Store, R: Routing> TransactionUser for Service<S, R> {
    type Event = Work;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        match event {
            Event::Request { key, mut request, flow } => {
                if self.is_ours(&mut request, &flow, tx) {
                    return self.register(now, tx, key, request, flow);
                }
                self.proxy.handle(now, Event::Request { key, request, flow }, tx);
                self.look_at_proxy(now, tx);
            }
            event => {
                if let Some(watchers) = &mut self.watchers
                    && watchers.wants(&event)
                {
                    let unix = self.proxy.router().unix(now);
                    watchers.handle(&mut Moment { now, unix, tx }, &event);
                    return self.load(now, tx);
                }
                self.proxy.handle(now, event, tx);
                self.look_at_proxy(now, tx);
            }
        }
    }

    fn poll_event(&mut self) -> Option<Work> {
        self.work.pop_front()
    }
}
