//! Subscriptions of peers: the machine of RFC 6665 §4.2 wired to transactions, dialogs and timers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{
    Dialog, DialogKey, Notification, Notifier, NotifierAction, NotifierConfig, NotifierEnd,
    NotifierInput, RefusedSubscribe, Rejection, TerminationReason, TooBrief, establishing_response,
    told_event, wants_sips_contact,
};
use sip_message::{Event, HeaderName, Method, Request, StatusCode, Uri};
use sip_transaction::{ClientKey, ServerKey, TimerKey, Transactions};
use sip_transport::{ConnectionId, ListenerId};

use super::asker::Asker;
use super::compose::{contact, listener_of};
use super::incoming::user_of;
use super::key::{RawKey, Slab};
use super::table::TimerKind;
use super::usages::Usage;
use super::{Agent, ClientUse, Outcome, Received, ServerUse};
use crate::{AgentError, AgentEvent, Body, NotifierKey};

/// A subscription of a peer moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierUpdate {
    /// The subscriber has refreshed it, or asked for the state: that was told again.
    Refreshed,
    /// It is over. The last update.
    Ended(NotifierEnd),
}

/// One subscriber.
pub(crate) struct Notifying {
    machine: Notifier,
    asker: Asker,
    dialog: DialogKey,
    timer: Option<(Duration, TimerKey)>,
    /// What Event of each NOTIFY says.
    event: Box<str>,
    /// The state as it was told last by the application.
    body: Option<Body>,
    /// Whether the subscriber may know the state.
    granted: bool,
    /// Who counts for the limit of one peer.
    peer: Arc<str>,
    listener: ListenerId,
    flow: Option<ConnectionId>,
}

/// All subscribers.
pub(crate) struct Notifiers {
    all: Slab<Notifying>,
    /// How many each peer has. Peers choose the names: the map's usual hash is keyed.
    of_peer: HashMap<Arc<str>, u32>,
}

impl Notifiers {
    pub(crate) fn new() -> Self {
        Self { all: Slab::new(), of_peer: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    fn left(&mut self, peer: &str) {
        if let Some(count) = self.of_peer.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_peer.remove(peer);
            }
        }
    }
}

/// What to do with a SUBSCRIBE: [`Agent::accept_subscription`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// How long, how often: what the package says, and the application's own limits.
    pub terms: NotifierConfig,
    /// Granted, or not decided yet: then the subscriber is told no state till [`Agent::grant`].
    pub granted: bool,
    /// The state.
    pub state: Option<Body>,
    /// Its entity-tag, if it has one (RFC 5839).
    pub entity_tag: Option<String>,
}

impl Grant {
    /// Granted, with this state.
    pub fn active(terms: NotifierConfig, state: Option<Body>) -> Self {
        Self { terms, granted: true, state, entity_tag: None }
    }

    /// Not decided yet. The state is told when it is granted.
    pub fn pending(terms: NotifierConfig, state: Option<Body>) -> Self {
        Self { terms, granted: false, state, entity_tag: None }
    }
}

impl Agent {
    /// A SUBSCRIBE outside of any dialog that passed the checks of RFC 3261 §8.2.
    pub(crate) fn subscription_requested(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: Received,
    ) {
        let Received { server, request, flow } = &received;
        let server = *server;
        let event = request.get::<Event<'_>>().ok().flatten();
        // RFC 6665 §4.2.1.1: "The notifier SHOULD check that the event package specified in the
        // "Event" header field is understood.  If not, the notifier SHOULD
        // return a 489 (Bad Event) response to indicate that the specified
        // event/event class is not understood."
        // RFC 6665 §4.2.3: "If
        // a notifier does not support PINT, it SHOULD return 489 (Bad Event) to
        // any SUBSCRIBE requests without an "Event" header field."
        let known = event.is_some_and(|event| {
            self.config.event_packages.iter().any(|package| package == event.event_type())
        });
        if !known {
            return self.bad_event(now, tx, server, request);
        }
        if let Err(error) = Dialog::uas(request, "", flow.transport) {
            return self.refuse(now, tx, server, request, error.rejection());
        }
        let of_peer = self.notifiers.of_peer.get(peer_of(request)).copied().unwrap_or(0);
        if self.notifiers.len() >= self.config.max_notifiers
            || of_peer >= self.config.max_notifiers_per_peer
        {
            return self.refuse_for_now(now, tx, server, request);
        }
        self.ask_application(now, tx, None, received);
    }

    /// 489, with what we know.
    fn bad_event(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
    ) {
        let tag = tx.local_tag(server);
        let mut builder = self.response(request, StatusCode::BAD_EVENT, &tag);
        // RFC 6665 §8.3.2: the events that are understood stand in Allow-Events.
        if let Some(events) = &self.capabilities.allow_events {
            builder = builder.raw(HeaderName::AllowEvents, events.as_bytes());
        }
        self.respond(now, tx, server, request, builder);
    }

    /// Accepts a SUBSCRIBE that came by [`AgentEvent::Subscribe`]: answers it, and tells the state. To refuse it,
    /// [`reply`](Self::reply).
    ///
    /// # Errors
    /// [`AgentError::Gone`] if it was answered before, or took so long that the agent has answered it;
    /// [`AgentError::Status`] with the status by which the agent had to refuse it: 423 for too few seconds, 503
    /// for want of room.
    pub fn accept_subscription(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        grant: Grant,
    ) -> Result<NotifierKey, AgentError> {
        let Some(ServerUse::Owed(raw)) = self.servers.get(&key).map(|served| served.usage) else {
            return Err(AgentError::Gone);
        };
        let owed = self.owed.get(raw).filter(|owed| *owed.request.method() == Method::Subscribe);
        let owed = owed.ok_or(AgentError::Gone)?;
        let (request, flow) = (Arc::clone(&owed.request), owed.flow);
        self.settle(tx, raw);
        let at = self.since_start(now);
        let tag = tx.local_tag(key);
        let Grant { terms, granted, state, entity_tag } = grant;
        let accepted = Notifier::accept(terms, &request, granted, entity_tag.as_deref(), at);
        let (machine, actions) = match accepted {
            Ok(accepted) => accepted,
            Err(brief) => {
                self.too_brief(now, tx, key, &request, brief);
                return Err(AgentError::Status(StatusCode::INTERVAL_TOO_BRIEF));
            }
        };
        let event = request.get::<Event<'_>>().ok().flatten();
        let (Ok(mut dialog), Some(event)) = (Dialog::uas(&request, &tag, flow.transport), event)
        else {
            self.answer(now, tx, key, &request, StatusCode::BAD_REQUEST); // Checked before.
            return Err(AgentError::Status(StatusCode::BAD_REQUEST));
        };
        self.identify(&mut dialog, &request);
        dialog.accepted(&request);
        let known = self.notifiers.of_peer.get_key_value(peer_of(&request));
        let peer = known.map_or_else(|| peer_of(&request).into(), |(peer, _)| Arc::clone(peer));
        let asker = Asker::new(self.account.clone());
        let heard_over = self.ways_back.note(flow);
        let dialogs = &mut self.dialogs;
        let mut inserted = None;
        let notifier = self.notifiers.all.insert_with(|raw| {
            let usage = Usage::Notifier(NotifierKey::from(raw));
            inserted = dialogs.insert(dialog, usage.into()).ok();
            Notifying {
                machine,
                asker,
                // One that was not inserted is removed below.
                dialog: inserted.unwrap_or(DialogKey::from_u64(u64::MAX)),
                timer: None,
                event: told_event(&event).into(),
                body: state,
                granted,
                peer: Arc::clone(&peer),
                listener: flow.listener,
                flow: heard_over,
            }
        });
        let Some(notifier) = notifier.filter(|_| inserted.is_some()).map(NotifierKey::from) else {
            if let Some(notifier) = notifier {
                self.notifiers.all.remove(notifier);
            }
            self.refuse_for_now(now, tx, key, &request);
            return Err(AgentError::Status(StatusCode::SERVICE_UNAVAILABLE));
        };
        let count = self.notifiers.of_peer.entry(peer).or_insert(0);
        *count = count.saturating_add(1);
        self.perform(now, tx, notifier, actions, Some((key, &request)));
        Ok(notifier)
    }

    /// The state has changed: tells the subscriber, as soon as the rates allow for it. The NOTIFY carries the whole
    /// body; a newer one takes the place of one that waits.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the subscription is over.
    pub fn notify(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        notifier: NotifierKey,
        state: Option<Body>,
        entity_tag: Option<&str>,
    ) -> Result<(), AgentError> {
        let notifying = self.notifiers.all.get_mut(notifier).ok_or(AgentError::Gone)?;
        notifying.body = state;
        self.drive_notifier(now, tx, notifier, NotifierInput::Changed { entity_tag });
        Ok(())
    }

    /// Grants a subscription that is pending, and tells its state.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the subscription is over.
    pub fn grant(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        notifier: NotifierKey,
    ) -> Result<(), AgentError> {
        let notifying = self.notifiers.all.get_mut(notifier).ok_or(AgentError::Gone)?;
        notifying.granted = true;
        self.drive_notifier(now, tx, notifier, NotifierInput::Grant);
        Ok(())
    }

    /// Ends a subscription, and tells why; `retry_after`, in seconds, goes with the reasons that RFC 6665 §4.1.3
    /// names. [`NotifierUpdate::Ended`] follows.
    ///
    /// # Errors
    /// [`AgentError::Gone`] if the subscription is over.
    pub fn terminate(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        notifier: NotifierKey,
        reason: TerminationReason,
        retry_after: Option<u32>,
    ) -> Result<(), AgentError> {
        self.notifiers.all.get(notifier).ok_or(AgentError::Gone)?;
        let input = NotifierInput::Terminate { reason, retry_after };
        self.drive_notifier(now, tx, notifier, input);
        Ok(())
    }

    /// A SUBSCRIBE in a dialog that we know.
    pub(crate) fn resubscribed(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        dialog: DialogKey,
        received: Received,
    ) {
        let Received { server, request, flow } = received;
        let Some((state, usages)) = self.dialogs.get_mut(dialog) else { return };
        let event = request.get::<Event<'_>>().ok().flatten();
        let (mut found, mut shared) = (None, false);
        for usage in usages.iter() {
            match usage {
                Usage::Notifier(key) => {
                    let told = self.notifiers.all.get(key).map(|notifying| &notifying.event);
                    let fits = event
                        .as_ref()
                        .zip(told)
                        .is_some_and(|(event, told)| told_event(event).as_str() == &**told);
                    found = found.or(fits.then_some(key));
                }
                _ => shared = true,
            }
        }
        let Some(key) = found else {
            // RFC 6665 §4.5.2: "Alternately, it may choose to fail the SUBSCRIBE request
            // with a 403 (Forbidden) response.  The error text of such 403
            // responses SHOULD indicate that dialog sharing is not supported."
            if shared {
                let tag = tx.local_tag(server);
                let builder = self.response(&request, StatusCode::FORBIDDEN, &tag);
                let builder = builder.reason("Dialog Sharing Not Supported");
                return self.respond(now, tx, server, &request, builder);
            }
            return self.refuse(now, tx, server, &request, Rejection::no_such_dialog());
        };
        state.accepted(&request);
        let heard_over = self.ways_back.note(flow);
        let at = self.since_start(now);
        let Some(notifying) = self.notifiers.all.get_mut(key) else { return };
        notifying.flow = heard_over;
        let actions = notifying.machine.handle(at, NotifierInput::Subscribe(&request));
        let refreshed =
            matches!(actions.first(), Some(NotifierAction::Answer { expires, .. }) if *expires > 0);
        if refreshed {
            let update = NotifierUpdate::Refreshed;
            self.events.push_back(AgentEvent::Notifier { notifier: key, update });
        }
        self.perform(now, tx, key, actions, Some((server, &request)));
    }

    /// What became of a NOTIFY.
    pub(super) fn notify_answered(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        key: NotifierKey,
        outcome: &Outcome,
    ) {
        self.clients.remove(&client);
        let Some(notifying) = self.notifiers.all.get_mut(key) else { return };
        let response = match outcome {
            Outcome::Response(response, _) => response,
            Outcome::Timeout | Outcome::Terminated => {
                return self.drive_notifier(now, tx, key, NotifierInput::TimedOut);
            }
            Outcome::TransportError(_) => {
                return self.drive_notifier(now, tx, key, NotifierInput::Unsent);
            }
        };
        let (dialog, dialogs) = (notifying.dialog, &mut self.dialogs);
        let again = notifying
            .asker
            .again(now, tx, response, |_| dialogs.get_mut(dialog)?.0.next_cseq().ok());
        if let Some(client) = again {
            self.clients.insert(client, ClientUse::Event(Usage::Notifier(key)));
            return;
        }
        notifying.asker.answered(response);
        notifying.asker.forget();
        if let Some((dialog, _)) = self.dialogs.get_mut(dialog) {
            dialog.refresh(response);
        }
        self.drive_notifier(now, tx, key, NotifierInput::Response(response));
    }

    pub(crate) fn notifier_timer(&mut self, now: Instant, tx: &mut Transactions, raw: RawKey) {
        let key = NotifierKey::from(raw);
        if let Some(notifying) = self.notifiers.all.get_mut(key) {
            notifying.timer = None;
        }
        self.drive_notifier(now, tx, key, NotifierInput::Timer);
    }

    fn drive_notifier(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: NotifierKey,
        input: NotifierInput<'_>,
    ) {
        let at = self.since_start(now);
        let Some(notifying) = self.notifiers.all.get_mut(key) else { return };
        let actions = notifying.machine.handle(at, input);
        self.perform(now, tx, key, actions, None);
    }

    /// Does what the machine asks for. `subscribe` is the SUBSCRIBE that it answers, if it does.
    fn perform(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: NotifierKey,
        actions: impl IntoIterator<Item = NotifierAction>,
        subscribe: Option<(ServerKey, &Request)>,
    ) {
        let mut unsent = false;
        for action in actions {
            match (action, subscribe) {
                (NotifierAction::Answer { status, expires }, Some((server, request))) => {
                    self.answer_subscribe(now, tx, key, server, request, (status, expires));
                }
                (
                    NotifierAction::Refuse(RefusedSubscribe::TooBrief(brief)),
                    Some((server, request)),
                ) => self.too_brief(now, tx, server, request, brief),
                (NotifierAction::Refuse(_), Some((server, request))) => {
                    self.refuse(now, tx, server, request, Rejection::no_such_dialog());
                }
                (NotifierAction::Notify(told), _) => {
                    if let Err(error) = self.send_notify(now, tx, key, &told) {
                        tracing::debug!(%error, "a NOTIFY was not sent");
                        unsent = true;
                    }
                }
                (NotifierAction::Over(end), _) => {
                    let update = NotifierUpdate::Ended(end);
                    self.events.push_back(AgentEvent::Notifier { notifier: key, update });
                }
                // A SUBSCRIBE is there whenever it is answered; and what a later version asks for.
                _ => {}
            }
        }
        if unsent {
            // The machine waits then, or is over: it asks for no other NOTIFY.
            return self.drive_notifier(now, tx, key, NotifierInput::Unsent);
        }
        self.settle_notifier(now, tx, key);
    }

    fn settle_notifier(&mut self, now: Instant, tx: &mut Transactions, key: NotifierKey) {
        let at = self.since_start(now);
        let Some(notifying) = self.notifiers.all.get_mut(key) else { return };
        let deadline = notifying.machine.deadline();
        if notifying.timer.map(|(armed, _)| armed) != deadline {
            if let Some((_, timer)) = notifying.timer.take() {
                tx.disarm(timer);
            }
            notifying.timer = deadline.map(|deadline| {
                let wait = deadline.saturating_sub(at);
                (deadline, tx.arm(now, wait, TimerKind::Notifier.token(key)))
            });
        }
        if notifying.machine.is_over()
            && let Some(notifying) = self.notifiers.all.remove(key)
        {
            self.notifiers.left(&notifying.peer);
            self.leave_dialog(notifying.dialog, Usage::Notifier(key));
        }
    }

    fn answer_subscribe(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: NotifierKey,
        server: ServerKey,
        request: &Request,
        (status, expires): (StatusCode, u32),
    ) {
        let Some(notifying) = self.notifiers.all.get(key) else { return };
        let Some((dialog, _)) = self.dialogs.get(notifying.dialog) else { return };
        let listener = listener_of(tx, notifying.listener);
        let secure = wants_sips_contact(request) || dialog.is_secure();
        let contact = contact(listener, user_of(dialog.local_party()), secure);
        let Ok(contact) = contact.trim_matches(['<', '>']).parse::<Uri<'static>>() else { return };
        let tag = dialog.id().local_tag;
        let mut builder = establishing_response(request, status, tag, &contact);
        // RFC 6665 §3.1.1: "200-class responses to SUBSCRIBE requests also MUST contain an "Expires"
        // header field."
        builder = builder.raw(HeaderName::Expires, expires.to_string().as_bytes());
        if let Some(name) = &self.capabilities.user_agent {
            builder = builder.raw(HeaderName::Server, name.as_bytes());
        }
        self.respond(now, tx, server, request, builder);
    }

    /// 423.
    fn too_brief(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
        brief: TooBrief,
    ) {
        let tag = tx.local_tag(server);
        let builder =
            self.response(request, StatusCode::INTERVAL_TOO_BRIEF, &tag).header(&brief.header());
        self.respond(now, tx, server, request, builder);
    }

    fn send_notify(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: NotifierKey,
        told: &Notification,
    ) -> Result<(), AgentError> {
        let notifying = self.notifiers.all.get(key).ok_or(AgentError::Gone)?;
        let listener = listener_of(tx, notifying.listener);
        let (dialog, _) = self.dialogs.get_mut(notifying.dialog).ok_or(AgentError::Gone)?;
        let contact = contact(listener, user_of(dialog.local_party()), dialog.is_secure());
        let mut builder = dialog
            .request(Method::Notify)
            .map_err(|_| AgentError::Full { what: "requests in the dialog" })?
            .raw(HeaderName::Contact, contact.as_bytes())
            // RFC 6665 §3.2.1: "The package name in the "Event" header field MUST match
            // the "Event" header field in the corresponding SUBSCRIBE request."
            .raw(HeaderName::Event, notifying.event.as_bytes())
            .raw(HeaderName::SubscriptionState, told.to_string().as_bytes());
        // RFC 5839 §6.1: "A notifier MUST generate entity-tags for event notifications of all
        // resources for which it is responsible."
        // Where the application gives none, there is none, and no SUBSCRIBE is answered by 204.
        if let Some(tag) = notifying.machine.entity_tag() {
            builder = builder.raw(HeaderName::SipEtag, tag.as_bytes());
        }
        let hop = self.ways_back.hop(notifying.flow, dialog.next_hop());
        // Who is not granted the subscription is not told the state (RFC 6665 §6.2).
        let shows = told.has_body() && notifying.granted;
        let body = notifying.body.as_ref().filter(|_| shows);
        let request = self.finish_request(builder, &Method::Notify, body, &[])?;
        let notifying = self.notifiers.all.get_mut(key).ok_or(AgentError::Gone)?;
        let client = notifying.asker.send(now, tx, request, hop)?;
        self.clients.insert(client, ClientUse::Event(Usage::Notifier(key)));
        Ok(())
    }
}

/// Who a subscriber counts as: the URI of From, which is also who was authenticated, if anybody had to be.
fn peer_of(request: &Request) -> &str {
    let from = request.headers().raw(HeaderName::From).unwrap_or_default();
    let from = core::str::from_utf8(from).unwrap_or_default();
    match from.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((uri, _)) => uri,
        None => from.split(';').next().unwrap_or_default().trim(),
    }
}
