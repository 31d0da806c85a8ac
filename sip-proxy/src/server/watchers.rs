//! Who is told of the registrations of an address-of-record: the notifier of the `reg` event package (RFC 3680, RFC
//! 5628) over the machine of RFC 6665 §4.2.
//!
//! ```text
//! SUBSCRIBE --- may it? ---> load the bindings ---> 200, NOTIFY with all of them
//! a change of the store ---> load the bindings ---> NOTIFY with what is new, at most every 5 s
//! a binding's end ------------------------------^
//! ```
//!
//! One list of bindings is kept of each address-of-record that is watched, and what each subscriber has been told:
//! the difference is the next document. A change that comes while bindings are loaded loads them once more, so that
//! there is one load of an address-of-record at a time, however fast it changes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use sip_dialog::{
    Dialog, DialogKey, Dialogs, Found, Notification, Notifier, NotifierAction, NotifierConfig,
    NotifierInput, Rate, RefusedSubscribe, TerminationReason, TooBrief, establishing_response,
    told_event, wants_sips_contact,
};
use sip_events::{EventPackage, RegInfo};
use sip_message::{Accept, Event, HeaderName, Method, Request, StatusCode, Uri};
use sip_transaction::{
    ClientKey, Event as Happened, Key, KeyMap, NextHop, ServerKey, TimerKey, Transactions,
};
use sip_transport::{Flow, ListenerId};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::reginfo::{Known, Told};
use super::service::{answer, say};
use crate::location::{StoreError, Watch, Watched};
use crate::route::listener_uri;
use crate::{Aor, Reply};

/// The token of the timer: no key of a transaction is 0.
const TIMER: u64 = 0;

/// When bindings are asked for again that the store could not give.
const RETRY: Duration = Duration::from_secs(5);

/// Who may watch whose registrations.
type May = Arc<dyn Fn(Option<&str>, &Aor) -> bool + Send + Sync>;

/// What a server tells of registrations by the event package `reg` (RFC 3680). Plain values with setters.
#[derive(Clone)]
#[non_exhaustive]
pub struct RegEventsConfig {
    /// How many subscriptions there may be; what is beyond is answered 503 with Retry-After. Default 10,000.
    pub max_subscriptions: usize,
    /// How many there may be to one address-of-record; what is beyond is answered 503 with Retry-After. Default 32.
    pub max_per_aor: usize,
    /// The shortest subscription that is granted, in seconds: 423 to what is shorter. Default 60.
    pub min_expires: u32,
    /// The longest, in seconds. Default a day.
    pub max_expires: u32,
    /// How long has to pass between two notifications of changes to one subscriber. Default 5 s (RFC 3680 §4.10).
    pub least_interval: Duration,
    may: Option<May>,
}

impl Default for RegEventsConfig {
    fn default() -> Self {
        Self {
            max_subscriptions: 10_000,
            max_per_aor: 32,
            min_expires: 60,
            max_expires: 86_400,
            least_interval: RegInfo::LEAST_INTERVAL.unwrap_or_default(),
            may: None,
        }
    }
}

impl RegEventsConfig {
    /// Sets [`max_subscriptions`](Self::max_subscriptions).
    #[must_use]
    pub fn max_subscriptions(self, max_subscriptions: usize) -> Self {
        Self { max_subscriptions, ..self }
    }

    /// Sets [`max_per_aor`](Self::max_per_aor).
    #[must_use]
    pub fn max_per_aor(self, max_per_aor: usize) -> Self {
        Self { max_per_aor, ..self }
    }

    /// Sets [`min_expires`](Self::min_expires).
    #[must_use]
    pub fn min_expires(self, min_expires: u32) -> Self {
        Self { min_expires, ..self }
    }

    /// Sets [`max_expires`](Self::max_expires).
    #[must_use]
    pub fn max_expires(self, max_expires: u32) -> Self {
        Self { max_expires, ..self }
    }

    /// Sets [`least_interval`](Self::least_interval).
    #[must_use]
    pub fn least_interval(self, least_interval: Duration) -> Self {
        Self { least_interval, ..self }
    }

    /// Lets those watch an address-of-record of whom this says so: it is given the user who has proven to have sent
    /// the SUBSCRIBE, if that was asked. By default users watch their own, and everybody everything where a server
    /// has no users. It must not block.
    #[must_use]
    pub fn may(self, may: impl Fn(Option<&str>, &Aor) -> bool + Send + Sync + 'static) -> Self {
        Self { may: Some(Arc::new(may)), ..self }
    }

    fn allows(&self, user: Option<&str>, aor: &Aor, is_open: bool) -> bool {
        match &self.may {
            Some(may) => may(user, aor),
            None => is_open || user.is_some() && user == aor.user(),
        }
    }

    fn terms(&self) -> NotifierConfig {
        let terms = NotifierConfig::new(RegInfo::DEFAULT_EXPIRES)
            .min_expires(self.min_expires)
            .max_expires(self.max_expires);
        // RFC 3680 §4.10: "it is RECOMMENDED
        // that the server not generate notifications for a single subscriber at
        // a rate faster than once every 5 seconds."
        match self.least_interval.is_zero() {
            true => terms,
            false => terms.max_rate(Rate::once_in(self.least_interval)),
        }
    }
}

impl std::fmt::Debug for RegEventsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegEventsConfig")
            .field("max_subscriptions", &self.max_subscriptions)
            .field("max_per_aor", &self.max_per_aor)
            .finish_non_exhaustive()
    }
}

/// Whether a request is about the registrations of somebody.
pub(super) fn is_about_registrations(request: &Request) -> bool {
    *request.method() == Method::Subscribe
        && request
            .get::<Event<'_>>()
            .ok()
            .flatten()
            .is_some_and(|event| event.event_type().eq_ignore_ascii_case(RegInfo::NAME))
}

/// When something happens, by both clocks.
pub(super) struct Moment<'a> {
    pub(super) now: Instant,
    /// Since the Unix epoch.
    pub(super) unix: Duration,
    pub(super) tx: &'a mut Transactions,
}

/// A SUBSCRIBE that is to be served.
pub(super) struct Subscribe {
    pub(super) key: ServerKey,
    pub(super) request: Arc<Request>,
    pub(super) flow: Flow,
    /// Who has proven to have sent it.
    pub(super) user: Option<Arc<str>>,
    /// Nobody is asked who it is.
    pub(super) is_open: bool,
    /// Who sent it is reached by the way it came.
    pub(super) is_over_flow: bool,
}

/// One subscriber.
struct Watcher {
    machine: Notifier,
    aor: Aor,
    told: Told,
    /// What Event of each NOTIFY says.
    event: Box<str>,
    listener: ListenerId,
    /// What a NOTIFY goes over, if the subscriber is not found by its Contact.
    flow: Option<Flow>,
    deadline: Option<Duration>,
}

/// An address-of-record that is watched.
#[derive(Default)]
struct Registration {
    /// As the store had it last; nothing before it was asked.
    known: Option<Known>,
    watchers: SmallVec<[DialogKey; 2]>,
    /// Those who wait for the first answer of the store.
    waiting: Vec<Subscribe>,
    loading: Loading,
    /// When the next binding ends, or the store is asked again.
    deadline: Option<Duration>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Loading {
    #[default]
    No,
    Yes,
    /// It has changed since it was asked for.
    Stale,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Watcher(DialogKey),
    Registration(Aor),
}

/// All who watch registrations.
pub(super) struct Watchers {
    config: RegEventsConfig,
    has_gruus: bool,
    retry_after: u32,
    dialogs: Dialogs<Box<Watcher>>,
    /// The NOTIFYs that are out.
    clients: KeyMap<ClientKey, DialogKey>,
    registrations: HashMap<Aor, Registration>,
    waiting: usize,
    deadlines: BTreeSet<(Duration, Due)>,
    timer: Option<(Duration, TimerKey)>,
    /// Whose bindings are to be loaded.
    loads: VecDeque<Aor>,
    filter: Filter,
    /// Ends the feed.
    feeding: Option<oneshot::Sender<()>>,
}

/// Which addresses-of-record are watched.
type Filter = Arc<Mutex<HashSet<Aor>>>;

/// The changes of a store that somebody watches.
pub(super) struct Feed {
    watch: Watch,
    filter: Filter,
    ended: oneshot::Receiver<()>,
}

impl Feed {
    /// The next change; `None` when nobody wants any more.
    pub(super) async fn next(&mut self) -> Option<Watched> {
        poll_fn(|context| {
            use std::future::Future as _;
            if std::pin::Pin::new(&mut self.ended).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            loop {
                match self.watch.poll_next(context) {
                    Poll::Ready(Some(Watched::Changed(aor))) if !is_watched(&self.filter, &aor) => {
                    }
                    other => return other,
                }
            }
        })
        .await
    }
}

fn is_watched(filter: &Filter, aor: &Aor) -> bool {
    filter.lock().unwrap_or_else(PoisonError::into_inner).contains(aor)
}

impl Watchers {
    pub(super) fn new(
        config: RegEventsConfig,
        has_gruus: bool,
        retry_after: u32,
        seed: [u64; 2],
    ) -> Self {
        Self {
            dialogs: Dialogs::new(seed, config.max_subscriptions),
            config,
            has_gruus,
            retry_after,
            clients: KeyMap::default(),
            registrations: HashMap::new(),
            waiting: 0,
            deadlines: BTreeSet::new(),
            timer: None,
            loads: VecDeque::new(),
            filter: Filter::default(),
            feeding: None,
        }
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.dialogs.len()
    }

    /// What tells of changes, when somebody begins to watch.
    pub(super) fn feed(&mut self, watch: impl FnOnce() -> Watch) -> Option<Feed> {
        if self.feeding.is_some() || self.loads.is_empty() {
            return None;
        }
        let (sender, ended) = oneshot::channel();
        self.feeding = Some(sender);
        Some(Feed { watch: watch(), filter: Arc::clone(&self.filter), ended })
    }

    /// Whose bindings are to be loaded next, for [`loaded`](Self::loaded).
    pub(super) fn poll_load(&mut self) -> Option<Aor> {
        self.loads.pop_front()
    }

    /// A SUBSCRIBE for `reg` at this server.
    pub(super) fn subscribe(&mut self, at: &mut Moment<'_>, subscribe: Subscribe) {
        let (key, request) = (subscribe.key, Arc::clone(&subscribe.request));
        let outcome = match self.dialogs.find(&request) {
            Found::Dialog(dialog) => self.resubscribe(at, dialog, &subscribe),
            Found::NoSuchDialog => Err(gone()),
            Found::Outside => self.begin(subscribe),
        };
        if let Err(reply) = outcome {
            say(at.now, at.tx, key, &request, &reply);
        }
        self.rearm(at);
    }

    /// Lets a subscriber wait for the bindings.
    fn begin(&mut self, subscribe: Subscribe) -> Result<(), Reply> {
        let request = &subscribe.request;
        let uri = request.uri().map_err(|_| Reply::new(StatusCode::BAD_REQUEST))?;
        let aor = Aor::of(&uri).ok_or(Reply::new(StatusCode::NOT_FOUND))?;
        // RFC 3680 §4.6: "Registration state can be sensitive information.  Therefore, all
        // subscriptions to it SHOULD be authenticated and authorized before
        // approval."
        // RFC 3680 §4.6: "It is RECOMMENDED that a user be allowed to subscribe to their own
        // registration state."
        if !self.config.allows(subscribe.user.as_deref(), &aor, subscribe.is_open) {
            return Err(Reply::new(StatusCode::FORBIDDEN));
        }
        // RFC 3680 §4.5: "the notifications generated by the server MUST be in one
        // of the formats specified in the Accept header field in the SUBSCRIBE
        // request."
        if let Ok(Some(accept)) = request.get::<Accept<'_>>()
            && !accept.accepts("application", "reginfo+xml")
        {
            let reply = Reply::new(StatusCode::NOT_ACCEPTABLE);
            return Err(reply.header("Accept", RegInfo::CONTENT_TYPE));
        }
        let all = self.dialogs.len().saturating_add(self.waiting);
        let of_aor = self.registrations.get(&aor);
        let of_aor = of_aor.map_or(0, |it| it.watchers.len().saturating_add(it.waiting.len()));
        if all >= self.config.max_subscriptions || of_aor >= self.config.max_per_aor {
            return Err(later(self.retry_after));
        }
        if of_aor == 0 {
            self.filter().insert(aor.clone());
        }
        let registration = self.registrations.entry(aor.clone()).or_default();
        registration.waiting.push(subscribe);
        self.waiting = self.waiting.saturating_add(1);
        // Who subscribes is told what is so now.
        self.load(&aor);
        Ok(())
    }

    /// A SUBSCRIBE within a subscription.
    fn resubscribe(
        &mut self,
        at: &mut Moment<'_>,
        key: DialogKey,
        subscribe: &Subscribe,
    ) -> Result<(), Reply> {
        let request = &*subscribe.request;
        let Some((dialog, watcher)) = self.dialogs.get_mut(key) else { return Err(gone()) };
        dialog.receive(request).map_err(|rejection| Reply::new(rejection.status))?;
        let event = request.get::<Event<'_>>().ok().flatten();
        if event.is_none_or(|event| told_event(&event) != *watcher.event) {
            return Err(gone());
        }
        dialog.accepted(request);
        watcher.flow = over(dialog, subscribe);
        // RFC 3680 §5.2: "the
        // subscriber SHOULD generate a refresh request to trigger a full state
        // notification."
        watcher.told.tell_all();
        let actions = watcher.machine.handle(at.unix, NotifierInput::Subscribe(request));
        self.perform(at, key, actions, Some((subscribe.key, request)));
        Ok(())
    }

    /// What the store has of an address-of-record that was to be loaded.
    pub(super) fn loaded(
        &mut self,
        at: &mut Moment<'_>,
        aor: &Aor,
        loaded: Result<Known, StoreError>,
    ) {
        let Some(registration) = self.registrations.get_mut(aor) else { return };
        let is_stale = registration.loading == Loading::Stale;
        registration.loading = Loading::No;
        let waiting = std::mem::take(&mut registration.waiting);
        self.waiting = self.waiting.saturating_sub(waiting.len());
        match loaded {
            Ok(known) => {
                registration.known = Some(known);
                for subscribe in waiting {
                    self.accept(at, aor, &subscribe);
                }
                self.tell(at, aor);
            }
            Err(error) => {
                for Subscribe { key, request, .. } in waiting {
                    let reply = Reply::new(error.status());
                    let reply = reply.header("Retry-After", &self.retry_after.to_string());
                    say(at.now, at.tx, key, &request, &reply);
                }
                self.schedule(aor, Some(at.unix.saturating_add(RETRY)));
            }
        }
        if is_stale {
            self.load(aor);
        }
        self.leave(aor, None);
        self.rearm(at);
    }

    /// The store has changed.
    pub(super) fn changed(&mut self, told: &Watched) {
        match told {
            Watched::Changed(aor) => self.load(aor),
            Watched::Missed => {
                let all: Vec<Aor> = self.registrations.keys().cloned().collect();
                for aor in all {
                    self.load(&aor);
                }
            }
        }
    }

    /// A flow of this node is gone, and soon what was bound over it.
    pub(super) fn flow_closed(&mut self, aors: &[Aor], token: &str) {
        for aor in aors {
            let Some(registration) = self.registrations.get(aor) else { continue };
            for key in &registration.watchers {
                if let Some((_, watcher)) = self.dialogs.get_mut(*key) {
                    watcher.told.flow_closed(token);
                }
            }
        }
    }

    /// Ends all subscriptions: another node may take them over.
    // RFC 6665 §4.2.2: "The subscription has been terminated, but the subscriber
    // SHOULD retry immediately with a new subscription."
    pub(super) fn end(&mut self, at: &mut Moment<'_>) {
        let keys: Vec<DialogKey> = self.dialogs.iter().map(|(key, _, _)| key).collect();
        for key in keys {
            let reason = TerminationReason::Deactivated;
            self.drive(at, key, NotifierInput::Terminate { reason, retry_after: None });
        }
        self.rearm(at);
    }

    /// Whether an event is about a NOTIFY or the time.
    pub(super) fn wants(&self, event: &Happened) -> bool {
        match event {
            Happened::Timer { token } => *token == TIMER,
            Happened::Response { key, .. }
            | Happened::Timeout { key }
            | Happened::TransportError { key: Key::Client(key), .. } => {
                self.clients.contains_key(key)
            }
            _ => false,
        }
    }

    /// Takes such an event in.
    pub(super) fn handle(&mut self, at: &mut Moment<'_>, event: &Happened) {
        let mut over = |key: &ClientKey| self.clients.remove(key);
        match event {
            Happened::Timer { .. } => self.time_passed(at),
            Happened::Response { key, response, .. } => {
                if response.status().is_provisional() {
                    return;
                }
                let Some(dialog) = over(key) else { return };
                if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
                    dialog.refresh(response);
                }
                self.drive(at, dialog, NotifierInput::Response(response));
            }
            Happened::Timeout { key } => {
                let Some(dialog) = over(key) else { return };
                self.drive(at, dialog, NotifierInput::TimedOut);
            }
            Happened::TransportError { key: Key::Client(key), .. } => {
                let Some(dialog) = over(key) else { return };
                self.unsent(at, dialog);
            }
            _ => {}
        }
        self.rearm(at);
    }

    fn time_passed(&mut self, at: &mut Moment<'_>) {
        self.timer = None;
        while let Some((due, _)) = self.deadlines.first()
            && *due <= at.unix
            && let Some((_, of)) = self.deadlines.pop_first()
        {
            match of {
                Due::Watcher(key) => {
                    if let Some((_, watcher)) = self.dialogs.get_mut(key) {
                        watcher.deadline = None;
                    }
                    self.drive(at, key, NotifierInput::Timer);
                }
                Due::Registration(aor) => {
                    let Some(registration) = self.registrations.get_mut(&aor) else { continue };
                    registration.deadline = None;
                    // Bindings are over, or could not be loaded before.
                    self.load(&aor);
                }
            }
        }
    }

    /// Begins a subscription.
    fn accept(&mut self, at: &mut Moment<'_>, aor: &Aor, subscribe: &Subscribe) {
        let Subscribe { key, request, flow, .. } = subscribe;
        let tag = at.tx.local_tag(*key);
        let event = request.get::<Event<'_>>().ok().flatten();
        let dialog = Dialog::uas(request, &tag, flow.transport);
        let (Ok(mut dialog), Some(event)) = (dialog, event) else {
            return say(at.now, at.tx, *key, request, &Reply::new(StatusCode::BAD_REQUEST));
        };
        let accepted = Notifier::accept(self.config.terms(), request, true, None, at.unix);
        let (machine, actions) = match accepted {
            Ok(accepted) => accepted,
            Err(brief) => return say(at.now, at.tx, *key, request, &too_brief(brief)),
        };
        dialog.accepted(request);
        let watcher = Watcher {
            machine,
            aor: aor.clone(),
            told: Told::new(aor, self.has_gruus),
            event: told_event(&event).into(),
            listener: flow.listener,
            flow: over(&dialog, subscribe),
            deadline: None,
        };
        let Ok(watching) = self.dialogs.insert(dialog, Box::new(watcher)) else {
            return say(at.now, at.tx, *key, request, &later(self.retry_after));
        };
        if let Some(registration) = self.registrations.get_mut(aor) {
            registration.watchers.push(watching);
        }
        self.perform(at, watching, actions, Some((*key, request)));
    }

    /// Tells those who watch what they do not know, and takes note of when the next binding ends.
    fn tell(&mut self, at: &mut Moment<'_>, aor: &Aor) {
        let Some(registration) = self.registrations.get(aor) else { return };
        let Some(known) = &registration.known else { return };
        let next = known.next_end(at.unix);
        let is_news = |key: &&DialogKey| {
            let watcher = self.dialogs.get(**key).map(|(_, watcher)| watcher);
            watcher.is_some_and(|watcher| !watcher.told.is_current(known, at.unix))
        };
        let behind: Vec<DialogKey> =
            registration.watchers.iter().filter(is_news).copied().collect();
        for key in behind {
            self.drive(at, key, NotifierInput::Changed { entity_tag: None });
        }
        self.schedule(aor, next);
    }

    fn load(&mut self, aor: &Aor) {
        let Some(registration) = self.registrations.get_mut(aor) else { return };
        registration.loading = match registration.loading {
            Loading::No => {
                self.loads.push_back(aor.clone());
                Loading::Yes
            }
            Loading::Yes | Loading::Stale => Loading::Stale,
        };
    }

    fn drive(&mut self, at: &mut Moment<'_>, key: DialogKey, input: NotifierInput<'_>) {
        let Some((_, watcher)) = self.dialogs.get_mut(key) else { return };
        let actions = watcher.machine.handle(at.unix, input);
        self.perform(at, key, actions, None);
    }

    /// Does what the machine asks for. `subscribe` is the SUBSCRIBE that it answers, if it does.
    fn perform(
        &mut self,
        at: &mut Moment<'_>,
        key: DialogKey,
        actions: impl IntoIterator<Item = NotifierAction>,
        subscribe: Option<(ServerKey, &Request)>,
    ) {
        let mut is_unsent = false;
        for action in actions {
            match (action, subscribe) {
                (NotifierAction::Answer { status, expires }, Some(to)) => {
                    self.answer(at, key, to, status, expires);
                }
                (NotifierAction::Refuse(refused), Some((server, request))) => {
                    let reply = match refused {
                        RefusedSubscribe::TooBrief(brief) => too_brief(brief),
                        _ => gone(),
                    };
                    say(at.now, at.tx, server, request, &reply);
                }
                (NotifierAction::Notify(told), _) => {
                    is_unsent |= self.notify(at, key, &told).is_none();
                }
                // A SUBSCRIBE is there whenever it is answered. Who is over is taken out below.
                _ => {}
            }
        }
        if is_unsent {
            return self.unsent(at, key);
        }
        self.settle(key);
    }

    /// A NOTIFY did not go out: the next tries the other way, and tells all.
    fn unsent(&mut self, at: &mut Moment<'_>, key: DialogKey) {
        if let Some((_, watcher)) = self.dialogs.get_mut(key) {
            watcher.flow = None;
            watcher.told.tell_all();
        }
        self.drive(at, key, NotifierInput::Unsent);
    }

    fn settle(&mut self, key: DialogKey) {
        let Some((_, watcher)) = self.dialogs.get_mut(key) else { return };
        let deadline = watcher.machine.deadline().filter(|_| !watcher.machine.is_over());
        if watcher.deadline != deadline {
            if let Some(before) = std::mem::replace(&mut watcher.deadline, deadline) {
                self.deadlines.remove(&(before, Due::Watcher(key)));
            }
            self.deadlines.extend(deadline.map(|due| (due, Due::Watcher(key))));
        }
        if watcher.machine.is_over()
            && let Some((_, watcher)) = self.dialogs.remove(key)
        {
            self.leave(&watcher.aor, Some(key));
        }
    }

    /// Forgets an address-of-record that nobody watches any more.
    fn leave(&mut self, aor: &Aor, watcher: Option<DialogKey>) {
        let Some(registration) = self.registrations.get_mut(aor) else { return };
        registration.watchers.retain(|key| Some(*key) != watcher);
        if !registration.watchers.is_empty() || !registration.waiting.is_empty() {
            return;
        }
        self.schedule(aor, None);
        self.registrations.remove(aor);
        self.filter().remove(aor);
        if self.registrations.is_empty() {
            self.feeding = None;
        }
    }

    /// When an address-of-record is looked at again.
    fn schedule(&mut self, aor: &Aor, deadline: Option<Duration>) {
        let Some(registration) = self.registrations.get_mut(aor) else { return };
        let due = || Due::Registration(aor.clone());
        if let Some(before) = std::mem::replace(&mut registration.deadline, deadline) {
            self.deadlines.remove(&(before, due()));
        }
        self.deadlines.extend(deadline.map(|deadline| (deadline, due())));
    }

    /// One timer for all.
    fn rearm(&mut self, at: &mut Moment<'_>) {
        let next = self.deadlines.first().map(|(due, _)| *due);
        if self.timer.map(|(due, _)| due) == next {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            at.tx.disarm(timer);
        }
        self.timer = next.map(|due| {
            let after = due.saturating_sub(at.unix);
            (due, at.tx.arm(at.now, after, TIMER))
        });
    }

    fn filter(&self) -> std::sync::MutexGuard<'_, HashSet<Aor>> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(
        &self,
        at: &mut Moment<'_>,
        key: DialogKey,
        (server, request): (ServerKey, &Request),
        status: StatusCode,
        expires: u32,
    ) {
        let Some((dialog, watcher)) = self.dialogs.get(key) else { return };
        let is_secure = wants_sips_contact(request) || dialog.is_secure();
        let Some(contact) = contact(at.tx, watcher.listener, is_secure) else { return };
        let tag = dialog.id().local_tag;
        let builder = establishing_response(request, status, tag, &contact);
        // RFC 6665 §3.1.1: "200-class responses to SUBSCRIBE requests also MUST contain an "Expires"
        // header field."
        let builder = builder.raw(HeaderName::Expires, expires.to_string());
        answer(at.now, at.tx, server, builder.build().ok());
    }

    /// Sends a NOTIFY; `None` if it cannot be sent.
    fn notify(&mut self, at: &mut Moment<'_>, key: DialogKey, told: &Notification) -> Option<()> {
        let (dialog, watcher) = self.dialogs.get_mut(key)?;
        let known = self.registrations.get(&watcher.aor)?.known.as_ref()?;
        let contact = contact(at.tx, watcher.listener, dialog.is_secure())?;
        let builder = dialog
            .request(Method::Notify)
            .ok()?
            .header(&sip_message::Contact::new(&contact))
            .raw(HeaderName::Event, watcher.event.as_bytes())
            .raw(HeaderName::SubscriptionState, told.to_string());
        let builder = match told.has_body() {
            true => {
                let document = watcher.told.next(known, at.unix).render();
                builder.body(RegInfo::CONTENT_TYPE, document)
            }
            false => builder,
        };
        let hop = match watcher.flow {
            Some(flow) => NextHop::Over(flow),
            None => NextHop::Uri(dialog.next_hop().clone()),
        };
        let client = at.tx.request(at.now, builder.build().ok()?, hop).ok()?;
        self.clients.insert(client, key);
        Some(())
    }
}

/// What a NOTIFY goes over, if the subscriber opened it or is behind it, and nobody is in between.
fn over(dialog: &Dialog, subscribe: &Subscribe) -> Option<Flow> {
    let is_direct = dialog.route_set().is_empty();
    let is_meant = subscribe.is_over_flow || subscribe.flow.connection.is_some();
    (is_direct && is_meant).then_some(subscribe.flow)
}

/// Where this server is reached in a dialog.
fn contact(tx: &Transactions, listener: ListenerId, is_secure: bool) -> Option<Uri<'static>> {
    listener_uri(tx.locals().get(listener)?, is_secure)
}

fn gone() -> Reply {
    Reply::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)
}

fn later(seconds: u32) -> Reply {
    Reply::new(StatusCode::SERVICE_UNAVAILABLE).header("Retry-After", &seconds.to_string())
}

fn too_brief(brief: TooBrief) -> Reply {
    let reply = Reply::new(StatusCode::INTERVAL_TOO_BRIEF);
    reply.header("Min-Expires", &brief.min_expires.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_the_package() {
        let terms = RegEventsConfig::default().terms();
        // RFC 3680 §4.4 and §4.10
        assert_eq!((terms.default_expires, terms.min_expires), (3761, 60));
        assert_eq!(terms.max_expires, 86_400);
        assert_eq!(terms.max_rate.map(Rate::interval), Some(Duration::from_secs(5)));
        let eager = RegEventsConfig::default().least_interval(Duration::ZERO).terms();
        assert_eq!(eager.max_rate, None);
    }
}
