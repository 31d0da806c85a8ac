//! Subscriptions of the application: the machine of RFC 6665 §4.1 wired to transactions, dialogs and timers.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{
    Dialog, DialogKey, Rates, Rejection, Subscriber, SubscriberAction, SubscriberConfig,
    SubscriberInput, SubscriptionEvent, notification,
};
use sip_message::{
    Event, Header, HeaderName, Method, Request, SipEtag, StatusCode, SubscriptionState, Uri,
};
use sip_transaction::{ClientKey, NextHop, TimerKey, Transactions};
use sip_transport::{ConnectionId, ListenerId};

use super::asker::Asker;
use super::compose::{
    FirstHop, Initial, contact, draw, listener_of, listener_towards, over_this_flow,
};
use super::incoming::user_of;
use super::key::{RawKey, Slab};
use super::outgoing::{cseq, set_cseq};
use super::table::TimerKind;
use super::usages::Usage;
use super::{Agent, ClientUse, Outcome, Received};
use crate::{Account, AgentError, AgentEvent, SubscriptionKey};

/// How many notifiers one subscription may have by forking.
const MAX_FORKS: u16 = 8;

/// What a subscription is to be: [`Agent::subscribe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionWish {
    /// Whose state.
    pub to: Uri<'static>,
    /// The event type: `presence`, `message-summary`, with an `id` parameter if there is one.
    pub event: String,
    /// The types of body that the application reads: the value of Accept. Empty leaves it out, and the notifier
    /// sends the default type of the package.
    pub accept: String,
    /// How long, and whether it is begun anew when the notifier ends it. `t1` is the agent's to set.
    pub terms: SubscriberConfig,
    /// How often to be told (RFC 6446).
    pub rates: Rates,
    /// Whether a proxy that forks the SUBSCRIBE may bring several notifiers; the package says so
    /// (RFC 6665 §5.4.9). At most 8 then.
    pub forks: bool,
    /// More header fields of each SUBSCRIBE.
    pub headers: Vec<(String, String)>,
    /// The body of the SUBSCRIBE, a filter, say. Only the first of a subscription carries it.
    pub body: Option<crate::Body>,
}

impl SubscriptionWish {
    /// The state of `to` that the event type names, for an hour at a time.
    pub fn new(to: Uri<'static>, event: impl Into<String>) -> Self {
        Self {
            to,
            event: event.into(),
            accept: String::new(),
            terms: SubscriberConfig::new(3600),
            rates: Rates::default(),
            forks: false,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A subscription of ours moved on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubscriptionUpdate {
    /// The notifier told the state; it has its 200 already.
    Notify(Arc<Request>),
    /// Pending, active, over: over and not tried again is the last update.
    State(SubscriptionEvent),
}

/// What is kept of a wish: there may be very many, and most say no more than whose state it is.
struct Wished {
    to: Uri<'static>,
    event: Box<str>,
    forks: bool,
    more: Option<Box<More>>,
}

/// What a wish may say besides.
struct More {
    accept: String,
    rates: Rates,
    headers: Vec<(String, String)>,
    body: Option<crate::Body>,
}

impl From<SubscriptionWish> for Wished {
    fn from(wish: SubscriptionWish) -> Self {
        let SubscriptionWish { to, event, accept, rates, forks, headers, body, terms: _ } = wish;
        let plain =
            accept.is_empty() && rates == Rates::default() && headers.is_empty() && body.is_none();
        let more = (!plain).then(|| Box::new(More { accept, rates, headers, body }));
        Self { to, event: event.into(), forks, more }
    }
}

/// One subscription at one notifier.
pub(crate) struct Subscribed {
    machine: Subscriber,
    wish: Arc<Wished>,
    asker: Asker,
    dialog: Option<DialogKey>,
    timer: Option<(Duration, TimerKey)>,
    /// The Call-ID and the tag of the SUBSCRIBE that began it: what its first NOTIFY says. Not needed when no other
    /// may come.
    began: Option<Box<(String, String)>>,
    /// The entity-tag of the state that was told last.
    entity_tag: Option<Box<str>>,
    /// The next SUBSCRIBE is to bring the state, known or not.
    wants_state: bool,
    /// Whose fork it is.
    parent: Option<SubscriptionKey>,
    /// Which of the notifiers: 0 is the first; and how many there were.
    notifier: u16,
    forks: u16,
    /// The CSeq number of the SUBSCRIBE that began it.
    number: u32,
    listener: Option<ListenerId>,
    flow: Option<ConnectionId>,
}

/// All subscriptions of the application.
pub(crate) struct Subscriptions {
    all: Slab<Subscribed>,
    /// By the Call-ID of the SUBSCRIBE that began it. They are our own: the map's usual hash will do.
    awaited: HashMap<String, SubscriptionKey>,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self { all: Slab::new(), awaited: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Agent {
    /// Subscribes to a state. What comes of it is told by [`AgentEvent::Subscription`], until it is over.
    ///
    /// # Errors
    /// When there are as many subscriptions as the configuration allows, or the address or event type is none.
    pub fn subscribe(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        mut wish: SubscriptionWish,
    ) -> Result<SubscriptionKey, AgentError> {
        if self.subscriptions.len() >= self.config.max_subscriptions {
            return Err(AgentError::Full { what: "subscriptions" });
        }
        Event::parse(wish.event.as_bytes()).map_err(|_| AgentError::Address)?;
        wish.terms = wish.terms.t1(tx.config().t1);
        let subscribed = Subscribed {
            machine: Subscriber::new(wish.terms),
            wish: Arc::new(Wished::from(wish)),
            asker: Asker::new(Some(Arc::clone(account))),
            dialog: None,
            timer: None,
            began: None,
            entity_tag: None,
            wants_state: false,
            parent: None,
            notifier: 0,
            forks: 1,
            number: 1,
            listener: None,
            flow: None,
        };
        let key = self.subscriptions.all.insert_with(|_| subscribed);
        let key = key.ok_or(AgentError::Full { what: "subscriptions" })?.into();
        self.drive_subscription(now, tx, key, SubscriberInput::Start);
        Ok(key)
    }

    /// Asks to be told the state now, with a SUBSCRIBE.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the subscription is over.
    pub fn refresh_subscription(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        subscription: SubscriptionKey,
    ) -> Result<(), AgentError> {
        for key in self.with_forks(subscription)? {
            if let Some(subscribed) = self.subscriptions.all.get_mut(key) {
                subscribed.wants_state = true;
            }
            self.drive_subscription(now, tx, key, SubscriberInput::Refresh);
        }
        Ok(())
    }

    /// Ends the subscription, with its forks. The last [`SubscriptionEvent::Ended`] follows.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if it is over.
    pub fn unsubscribe(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        subscription: SubscriptionKey,
    ) -> Result<(), AgentError> {
        for key in self.with_forks(subscription)? {
            self.drive_subscription(now, tx, key, SubscriberInput::Stop);
        }
        Ok(())
    }

    /// The subscription and those that forks made of it.
    fn with_forks(&self, key: SubscriptionKey) -> Result<Vec<SubscriptionKey>, AgentError> {
        let first = self.subscriptions.all.get(key).ok_or(AgentError::Gone)?;
        let mut keys = vec![key];
        if first.forks > 1 {
            let of_it = |(_, other): &(RawKey, &Subscribed)| other.parent == Some(key);
            let forks = self.subscriptions.all.iter().filter(of_it);
            keys.extend(forks.map(|(fork, _)| SubscriptionKey::from(fork)));
        }
        Ok(keys)
    }

    /// A NOTIFY: in this dialog, or in none that we know.
    pub(crate) fn notified(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        dialog: Option<DialogKey>,
        received: Received,
    ) {
        let Received { server, request, flow } = received;
        let (key, dialog) = match self.subscription_of(dialog, &request) {
            Ok(found) => found,
            Err(rejection) => return self.refuse(now, tx, server, &request, rejection),
        };
        let Some(subscribed) = self.subscriptions.all.get(key) else { return };
        let fits = Event::parse(subscribed.wish.event.as_bytes())
            .map_err(|_| Rejection::new(StatusCode::BAD_EVENT))
            .and_then(|event| notification(&request, &event).map(|_| ()));
        if let Err(rejection) = fits {
            return self.refuse(now, tx, server, &request, rejection);
        }
        let key = match dialog {
            Some(dialog) => {
                if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
                    dialog.accepted(&request);
                }
                key
            }
            None => match self.first_notify(now, key, &request, flow.transport) {
                Ok(key) => key,
                Err(rejection) => return self.refuse(now, tx, server, &request, rejection),
            },
        };
        let heard_over = self.ways_back.note(flow);
        let Some(subscribed) = self.subscriptions.all.get_mut(key) else { return };
        subscribed.flow = heard_over;
        subscribed.listener = Some(flow.listener);
        if !subscribed.machine.is_asking() {
            subscribed.asker.forget();
        }
        // RFC 5839 §5.3: "When a subscriber receives a NOTIFY request that contains a SIP-ETag
        // header field, it MUST store the entity-tag if it wishes to make use
        // of the conditional notification mechanism."
        subscribed.entity_tag =
            request.get::<SipEtag<'_>>().ok().flatten().map(|tag| tag.as_str().into());
        // RFC 6665 §4.1.3: "In
        // particular, subscribers MUST NOT wait for a user response before
        // returning a final response to a NOTIFY request."
        self.answer(now, tx, server, &request, StatusCode::OK);
        let request = Arc::new(request);
        self.tell_subscriber(key, SubscriptionUpdate::Notify(Arc::clone(&request)));
        if let Ok(Some(state)) = request.get::<SubscriptionState<'_>>() {
            self.drive_subscription(now, tx, key, SubscriberInput::Notify(&state));
        }
    }

    /// The subscription that a NOTIFY is for, and the dialog if it is not the first from there.
    fn subscription_of(
        &self,
        dialog: Option<DialogKey>,
        request: &Request,
    ) -> Result<(SubscriptionKey, Option<DialogKey>), Rejection> {
        // RFC 6665 §4.1.3: "Upon receiving a NOTIFY request, the subscriber should check that it
        // matches at least one of its outstanding subscriptions; if not, it
        // MUST return a 481 (Subscription does not exist) response unless
        // another 400- or 500-class response is more appropriate."
        let none = Rejection::no_such_dialog();
        let Some(dialog) = dialog else {
            // RFC 6665 §4.4.1: "NOTIFY requests are matched to such SUBSCRIBE requests if they
            // contain the same "Call-ID", a "To" header field "tag" parameter that
            // matches the "From" header field "tag" parameter of the SUBSCRIBE
            // request, and the same "Event" header field."
            let (call_id, tag) = (request.headers().call_id(), request.headers().to_tag());
            let key = call_id.and_then(|id| self.subscriptions.awaited.get(id)).ok_or(none)?;
            let subscribed = self.subscriptions.all.get(*key).ok_or(none)?;
            let ours = subscribed.began.as_ref().map(|began| began.1.as_str());
            return if ours == tag { Ok((*key, None)) } else { Err(none) };
        };
        let (_, usages) = self.dialogs.get(dialog).ok_or(none)?;
        let told = request.get::<Event<'_>>().ok().flatten();
        let (mut any, mut fits) = (None, None);
        for usage in usages.iter() {
            let Usage::Subscription(key) = usage else { continue };
            any = Some(key);
            let event = self.subscriptions.all.get(key).map(|subscribed| &subscribed.wish.event);
            let event = event.and_then(|event| Event::parse(event.as_bytes()).ok());
            if told.as_ref().zip(event).is_some_and(|(told, event)| told.matches(&event)) {
                fits = Some(key);
            }
        }
        // What fits none is judged by any of them: 489.
        fits.or(any).map(|key| (key, Some(dialog))).ok_or(none)
    }

    /// The first NOTIFY from a notifier makes the dialog, and a subscription of its own if there is one already.
    fn first_notify(
        &mut self,
        now: Instant,
        key: SubscriptionKey,
        request: &Request,
        transport: sip_message::Transport,
    ) -> Result<SubscriptionKey, Rejection> {
        let at = self.since_start(now);
        let none = Rejection::no_such_dialog();
        let number = self.subscriptions.all.get(key).ok_or(none)?.number;
        let mut dialog =
            Dialog::subscribed(request, number, transport).map_err(|error| error.rejection())?;
        self.identify(&mut dialog, request);
        let subscribed = self.subscriptions.all.get_mut(key).ok_or(none)?;
        let is_first = subscribed.dialog.is_none() && !subscribed.machine.is_established();
        let key = if is_first {
            key
        } else {
            // RFC 6665 §5.4.9: "If such behavior is not allowed, the first potential dialog-
            // establishing message will create a dialog.  All subsequent NOTIFY
            // requests that correspond to the SUBSCRIBE request … but that do not match the dialog would be
            // rejected with a 481 response."
            if !subscribed.wish.forks || subscribed.forks >= MAX_FORKS {
                return Err(none);
            }
            let machine = subscribed.machine.fork(at).ok_or(none)?;
            let fork = Subscribed {
                machine,
                wish: Arc::clone(&subscribed.wish),
                asker: Asker::new(subscribed.asker.account().cloned()),
                dialog: None,
                timer: None,
                began: None,
                entity_tag: None,
                wants_state: false,
                parent: Some(key),
                notifier: subscribed.forks,
                forks: 0,
                number: subscribed.number,
                listener: subscribed.listener,
                flow: None,
            };
            let full = Rejection::new(StatusCode::SERVICE_UNAVAILABLE);
            if self.subscriptions.len() >= self.config.max_subscriptions {
                return Err(full);
            }
            let fork = self.subscriptions.all.insert_with(|_| fork).ok_or(full)?;
            if let Some(subscribed) = self.subscriptions.all.get_mut(key) {
                subscribed.forks += 1;
            }
            fork.into()
        };
        match self.dialogs.insert(dialog, Usage::Subscription(key).into()) {
            Ok(dialog) => {
                if let Some(subscribed) = self.subscriptions.all.get_mut(key) {
                    subscribed.dialog = Some(dialog);
                    // No other notifier may answer: nobody asks for this any more.
                    if !subscribed.wish.forks
                        && let Some(began) = subscribed.began.take()
                    {
                        self.subscriptions.awaited.remove(&began.0);
                    }
                }
                Ok(key)
            }
            Err(_) => {
                if !is_first {
                    self.subscriptions.all.remove(key);
                }
                Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }

    /// What became of a SUBSCRIBE.
    pub(super) fn subscribe_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: SubscriptionKey,
        outcome: &Outcome,
    ) {
        self.clients.remove(&client);
        let Some(subscribed) = self.subscriptions.all.get_mut(key) else { return };
        let Outcome::Response(response, _) = outcome else {
            return self.drive_subscription(now, tx, key, SubscriberInput::NoResponse);
        };
        let (dialog, dialogs) = (subscribed.dialog, &mut self.dialogs);
        let again = subscribed.asker.again(now, tx, response, |last| match dialog {
            Some(dialog) => dialogs.get_mut(dialog)?.0.next_cseq().ok(),
            None => cseq(last).checked_add(1),
        });
        if let Some(client) = again {
            if let (None, Some((last, _))) = (dialog, subscribed.asker.last()) {
                subscribed.number = cseq(last);
            }
            self.clients.insert(client, ClientUse::Event(Usage::Subscription(key)));
            return;
        }
        subscribed.asker.answered(response);
        if let Some((dialog, _)) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            // One from another fork is of another dialog.
            if response.headers().to_tag() == Some(dialog.id().remote_tag) {
                dialog.refresh(response);
            }
            subscribed.asker.forget();
        }
        self.drive_subscription(now, tx, key, SubscriberInput::Response(response));
    }

    pub(crate) fn subscription_timer(&mut self, now: Instant, tx: &mut Transactions, raw: RawKey) {
        let key = SubscriptionKey::from(raw);
        if let Some(subscribed) = self.subscriptions.all.get_mut(key) {
            subscribed.timer = None;
        }
        self.drive_subscription(now, tx, key, SubscriberInput::Timer);
    }

    /// Hands an input to the machine and does what it asks for.
    fn drive_subscription(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: SubscriptionKey,
        input: SubscriberInput<'_>,
    ) {
        let at = self.since_start(now);
        let mut next = Some(input);
        // A SUBSCRIBE that cannot be sent is one more input; the machine then waits or ends.
        while let Some(input) = next.take() {
            let Some(subscribed) = self.subscriptions.all.get_mut(key) else { return };
            for action in subscribed.machine.handle(at, input, &mut |range| draw(tx, range)) {
                match action {
                    SubscriberAction::Subscribe { expires, anew } => {
                        if let Err(error) = self.send_subscribe(now, tx, key, expires, anew) {
                            tracing::debug!(%error, "a SUBSCRIBE was not sent");
                            next = Some(SubscriberInput::NoResponse);
                        }
                    }
                    SubscriberAction::Event(event) => {
                        self.tell_subscriber(key, SubscriptionUpdate::State(event));
                    }
                    // What a later version of the machine asks for.
                    _ => {}
                }
            }
        }
        self.settle_subscription(now, tx, key);
    }

    /// Arms the timer for the machine's deadline, and removes what is over.
    fn settle_subscription(&mut self, now: Instant, tx: &mut Transactions, key: SubscriptionKey) {
        let at = self.since_start(now);
        let Some(subscribed) = self.subscriptions.all.get_mut(key) else { return };
        let deadline = subscribed.machine.deadline();
        if subscribed.timer.map(|(armed, _)| armed) != deadline {
            if let Some((_, timer)) = subscribed.timer.take() {
                tx.disarm(timer);
            }
            subscribed.timer = deadline.map(|deadline| {
                let wait = deadline.saturating_sub(at);
                (deadline, tx.arm(now, wait, TimerKind::Subscription.token(key)))
            });
        }
        if subscribed.machine.is_over() {
            self.forget_dialog(key);
            self.subscriptions.all.remove(key);
        }
    }

    /// The dialog of the subscription, or the wait for one, is over.
    fn forget_dialog(&mut self, key: SubscriptionKey) {
        let Some(subscribed) = self.subscriptions.all.get_mut(key) else { return };
        if let Some(began) = subscribed.began.take() {
            self.subscriptions.awaited.remove(&began.0);
        }
        if let Some(dialog) = subscribed.dialog.take() {
            self.leave_dialog(dialog, Usage::Subscription(key));
        }
    }

    fn send_subscribe(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: SubscriptionKey,
        expires: u32,
        anew: bool,
    ) -> Result<(), AgentError> {
        if anew {
            self.forget_dialog(key);
        }
        let subscribed = self.subscriptions.all.get_mut(key).ok_or(AgentError::Gone)?;
        let wish = Arc::clone(&subscribed.wish);
        let headers = subscribed.headers(expires);
        subscribed.wants_state = false;
        let (request, hop) = match (subscribed.dialog, subscribed.asker.last()) {
            (Some(dialog), _) => {
                let listener = subscribed.listener.and_then(|listener| listener_of(tx, listener));
                let (dialog, _) = self.dialogs.get_mut(dialog).ok_or(AgentError::Gone)?;
                let builder = dialog
                    .request(Method::Subscribe)
                    .map_err(|_| AgentError::Full { what: "requests in the dialog" })?;
                let secure = dialog.is_secure();
                let contact = contact(listener, user_of(dialog.local_party()), secure);
                let account = subscribed.asker.account().map(AsRef::as_ref);
                let contact = over_this_flow(contact, account);
                let builder = builder.raw(HeaderName::Contact, contact.as_bytes());
                let hop = self.ways_back.hop(subscribed.flow, dialog.next_hop());
                (self.finish_request(builder, &Method::Subscribe, None, &headers)?, hop)
            }
            // The same beginning, for a longer time.
            (None, Some((last, hop))) if !anew => {
                let (mut request, hop) = (last.clone(), NextHop::clone(hop));
                let number = cseq(&request).saturating_add(1);
                set_cseq(&mut request, number);
                request
                    .headers_mut()
                    .set_raw(HeaderName::Expires, expires.to_string().as_bytes())?;
                (request, hop)
            }
            (None, _) => {
                let account = subscribed.asker.account().cloned().ok_or(AgentError::Gone)?;
                let hop = FirstHop::of(&account, &wish.to);
                let initial = Initial {
                    account: &account,
                    method: Method::Subscribe,
                    to: &wish.to,
                    hop: &hop,
                    body: wish.more.as_ref().and_then(|more| more.body.as_ref()),
                    headers: &headers,
                };
                let request = self.initial_request(tx, &initial)?;
                let listener = listener_towards(tx, &hop.uri).map(|local| local.id);
                let began = (
                    request.headers().call_id().unwrap_or_default().to_owned(),
                    request.headers().from_tag().unwrap_or_default().to_owned(),
                );
                self.subscriptions.awaited.insert(began.0.clone(), key);
                let subscribed = self.subscriptions.all.get_mut(key).ok_or(AgentError::Gone)?;
                subscribed.began = Some(Box::new(began));
                subscribed.listener = listener;
                (request, hop.next_hop())
            }
        };
        let subscribed = self.subscriptions.all.get_mut(key).ok_or(AgentError::Gone)?;
        if subscribed.dialog.is_none() {
            subscribed.number = cseq(&request);
        }
        let client = subscribed.asker.send(now, tx, request, hop)?;
        self.clients.insert(client, ClientUse::Event(Usage::Subscription(key)));
        Ok(())
    }

    fn tell_subscriber(&mut self, key: SubscriptionKey, update: SubscriptionUpdate) {
        let Some(subscribed) = self.subscriptions.all.get(key) else { return };
        let (subscription, notifier) = (subscribed.parent.unwrap_or(key), subscribed.notifier);
        self.events.push_back(AgentEvent::Subscription { subscription, notifier, update });
    }
}

impl Subscribed {
    /// What each SUBSCRIBE says of the subscription.
    fn headers(&self, expires: u32) -> Vec<(String, String)> {
        let wish = &self.wish;
        let mut event = String::from(&*wish.event);
        let more = wish.more.as_deref();
        // RFC 6446 §4.1: "A subscriber that wants to have a maximum, minimum, or adaptive
        // minimum rate of event notifications in a specific event subscription
        // does so by including a "max-rate", "min-rate", or "adaptive-min-rate"
        // Event header field parameter(s) as part of the SUBSCRIBE request."
        if let Some(more) = more {
            // Writing to a String does not fail.
            let _ = more.rates.write(&mut event);
        }
        let headers = more.map_or(&[][..], |more| &more.headers);
        let mut fields: Vec<(String, String)> = Vec::with_capacity(4 + headers.len());
        // RFC 6665 §3.1.2: "Subscribers MUST include exactly one "Event" header field in SUBSCRIBE
        // requests, indicating to which event or class of events they are
        // subscribing."
        fields.push(("Event".into(), event));
        let mut seconds = String::new();
        let _ = write!(seconds, "{expires}");
        fields.push(("Expires".into(), seconds));
        if let Some(more) = more.filter(|more| !more.accept.is_empty()) {
            fields.push(("Accept".into(), more.accept.clone()));
        }
        // Who has sent an entity-tag knows what to do with it.
        if let Some(tag) = self.entity_tag.as_deref().filter(|_| !self.wants_state) {
            fields.push(("Suppress-If-Match".into(), tag.to_owned()));
        }
        fields.extend(headers.iter().cloned());
        fields
    }
}
