//! Where handles and agent meet: the part of the shard that turns commands into calls of the agent, and
//! what the agent tells into mail for the handles.

mod bridges;
mod publications;
mod subscriptions;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Instant;

use sip_message::{Reason, Request, StatusCode, Uri};
use sip_transaction::{Application, Endpoint, ServerKey, Transactions};
use sip_transport::Local;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use self::bridges::Bridged;
use self::publications::Publications;
use self::subscriptions::Subscriptions;
use super::call::{CallBox, CallLetter};
use super::command::{Answer, Command, Fields, Line, ReferTarget, Release, Releases, SendFailure};
use super::meter::Meter;
use super::refer::ReferBox;
use super::registration::RegistrationBox;
use super::{
    Call, Incoming, IncomingRequest, Invitation, LiveCounts, Reference, Referral, Registration,
};
use crate::{
    Agent, AgentError, AgentEvent, CallKey, CallState, CallUpdate, EndReason, PendingLookup,
    ReferKey, ReferOutcome, ReferUpdate, RegistrationKey, RequestFailure, RequestKey, Sender,
};

/// The application side of the shard.
#[derive(Debug)]
pub(super) struct Desk {
    /// Weak, so that the shard does not keep itself alive.
    line: Weak<Line>,
    releases: Arc<Releases>,
    incoming: mpsc::Sender<Incoming>,
    /// The calls that a handle stands for. Their keys come from our own counter, yet who has a
    /// thousand calls open chooses which of them end, so the map's usual hash stays.
    calls: HashMap<CallKey, Arc<CallBox>>,
    registrations: HashMap<RegistrationKey, Arc<RegistrationBox>>,
    subscriptions: Subscriptions,
    publications: Publications,
    bridged: Bridged,
    /// Who waits for the outcome of a change of the session.
    modifications: HashMap<CallKey, Answer>,
    /// Who waits for the response to a request.
    requests: HashMap<RequestKey, Answer>,
    /// The references that a handle stands for.
    references: HashMap<ReferKey, Arc<ReferBox>>,
    /// References that wait for the end of the call that rings at the one they are to lead to.
    postponed: HashMap<CallKey, Postponed>,
    /// REFERs of peers that were handed out and not answered.
    referrals: HashSet<ReferKey>,
    /// Who waits to hear what is lost by a change of networks.
    rebinding: Vec<oneshot::Sender<Vec<Local>>>,
    /// Requests that were handed out and not answered.
    owed: HashSet<ServerKey>,
    closing: bool,
    meter: Meter,
    /// Closes with the desk: the shard has ended.
    _alive: watch::Sender<()>,
}

impl Application for Desk {
    type User = Agent;
    type Command = Command;

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint<Agent>, command: Command) {
        if let Command::Live { counts } = command {
            let (agent, stats) = (endpoint.user(), endpoint.stats());
            let _ = counts.send(LiveCounts {
                agent: agent.live(),
                under_way: agent.under_way(),
                transactions: stats.live_clients + stats.live_servers,
                timers: stats.live_timers,
            });
            return;
        }
        endpoint.with(now, |agent, transactions| {
            let mut turn = Turn { now, agent, transactions };
            self.obey(&mut turn, command);
            self.look_at_releases(&mut turn);
        });
    }

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint<Agent>, event: AgentEvent) {
        endpoint.with(now, |agent, transactions| {
            let mut turn = Turn { now, agent, transactions };
            self.tell(&mut turn, event);
            self.look_at_releases(&mut turn);
        });
    }

    fn closed(&mut self, now: Instant, endpoint: &mut Endpoint<Agent>) {
        endpoint.with(now, |agent, transactions| {
            let mut turn = Turn { now, agent, transactions };
            self.look_at_releases(&mut turn);
            self.close(&mut turn);
        });
    }

    fn measured(&mut self, endpoint: &Endpoint<Agent>) {
        let room = self.incoming.max_capacity();
        let waiting = room.saturating_sub(self.incoming.capacity());
        self.meter.tell(endpoint.user().live(), (waiting, room));
    }

    fn is_done(&self, endpoint: &Endpoint<Agent>) -> bool {
        // The transactions first: that is a number, and the agent looks at every call.
        let finished = endpoint.transactions().unfinished() == 0;
        self.closing && finished && endpoint.user().under_way() == 0
    }
}

/// Who waits for a reference to be begun.
type Begun = oneshot::Sender<Result<Reference, AgentError>>;

/// A reference that waits.
#[derive(Debug)]
struct Postponed {
    call: CallKey,
    target: Uri<'static>,
    headers: Fields,
    begun: Begun,
}

/// What a command needs: the time and the machine.
struct Turn<'a> {
    now: Instant,
    agent: &'a mut Agent,
    transactions: &'a mut Transactions,
}

impl Desk {
    pub(super) fn new(
        line: &Arc<Line>,
        releases: Arc<Releases>,
        incoming: mpsc::Sender<Incoming>,
        alive: watch::Sender<()>,
    ) -> Self {
        Self {
            line: Arc::downgrade(line),
            releases,
            incoming,
            calls: HashMap::new(),
            registrations: HashMap::new(),
            subscriptions: Subscriptions::default(),
            publications: Publications::default(),
            bridged: Bridged::default(),
            modifications: HashMap::new(),
            requests: HashMap::new(),
            references: HashMap::new(),
            postponed: HashMap::new(),
            referrals: HashSet::new(),
            rebinding: Vec::new(),
            owed: HashSet::new(),
            closing: false,
            meter: Meter::default(),
            _alive: alive,
        }
    }

    fn obey(&mut self, turn: &mut Turn<'_>, command: Command) {
        let Turn { now, agent, transactions: tx } = turn;
        let now = *now;
        // Where a result is dropped here, the call or request is over and its handle is told so by the
        // last word in its mailbox, or the status makes no sense and `refused` logs it.
        match command {
            Command::Call { account, call, placed } => {
                let call = if self.closing {
                    Err(AgentError::Gone)
                } else {
                    agent.call(now, tx, &account, *call)
                };
                if let Ok(call) = call {
                    self.meter.calls(now, call);
                }
                // A call whose caller no longer waits is dropped here, which hangs it up.
                let _ = placed.send(call.and_then(|call| self.open(call).ok_or(AgentError::Gone)));
            }
            Command::Restore { account, snapshot, passed, placed } => {
                let call = if self.closing {
                    Err(AgentError::Gone)
                } else {
                    agent.restore(now, tx, &account, &snapshot, passed)
                };
                let _ = placed.send(call.and_then(|call| self.open(call).ok_or(AgentError::Gone)));
            }
            Command::Snapshot { call, taken } => {
                let _ = taken.send(agent.snapshot(now, call)); // who asked may have gone
            }
            Command::SessionId { call, told } => {
                let _ = told.send(agent.session_id(call)); // who asked may have gone
            }
            Command::ChangeIdentity { call, identity, sent } => {
                let _ = sent.send(agent.change_identity(now, tx, call, &identity)); // who asked may have gone
            }
            Command::Ring { call, status, body, headers } => {
                log_refused(agent.ring_with(now, tx, call, status, body.as_ref(), &headers));
            }
            Command::Accept { call, body, headers } => {
                if let Err(error) = agent.accept(now, tx, call, body.as_ref(), &headers) {
                    // The user holds a Call by now: it must end. (A stale key has ended already.)
                    log_refused(Err(error));
                    log_refused(agent.hang_up(now, tx, call));
                } else {
                    self.meter.accepted(now, call);
                }
            }
            Command::Reject { call, status, body, headers } => {
                let refused = agent.reject_with(now, tx, call, status, body.as_ref(), &headers);
                if let Err(error) = refused {
                    // A field that cannot be sent, a status that is none: the caller gets an answer.
                    log_refused(Err(error));
                    log_refused(agent.hang_up(now, tx, call));
                }
                self.calls.remove(&call);
            }
            Command::Acknowledge { call, body, sent } => {
                // Who does not wait for the outcome has said what is to be sent all the same.
                let _ = sent.send(agent.acknowledge(now, tx, call, body.as_ref()));
            }
            Command::Reinvite { call, body, answer } => {
                let begun = agent.reinvite(now, tx, call, body.as_ref());
                self.modifying(call, begun, answer);
            }
            Command::Modify { call, body, answer } => {
                let begun = agent.modify(now, tx, call, body.as_ref());
                self.modifying(call, begun, answer);
            }
            Command::Update { call, early, body, answer } => {
                let begun = agent.update_session(now, tx, call, early, body.as_ref());
                self.modifying(call, begun, answer);
            }
            Command::OfferEarly { call, early, body, answer } => {
                let begun = agent.offer_early(now, tx, call, early, &body);
                self.modifying(call, begun, answer);
            }
            Command::AnswerEarly { call, early, body, sent } => {
                let _ = sent.send(agent.answer_early(now, tx, call, early, body.as_ref()));
            }
            Command::AnswerModification { call, status, body } => {
                log_refused(agent.answer_modification(now, tx, call, status, body.as_ref()));
            }
            Command::Send { call, request, answer } => {
                let body = request.body.as_ref();
                match agent.send(now, tx, call, request.method, body, &request.headers) {
                    Ok(key) => {
                        self.requests.insert(key, answer);
                    }
                    Err(error) => refuse(answer, error),
                }
            }
            Command::Info { call, package, body, answer } => {
                match agent.info(now, tx, call, &package, body.as_ref()) {
                    Ok(key) => {
                        self.requests.insert(key, answer);
                    }
                    Err(error) => refuse(answer, error),
                }
            }
            Command::Reply { request, status, body, headers } => {
                self.owed.remove(&request);
                log_refused(agent.reply(now, tx, request, status, body.as_ref(), &headers));
            }
            Command::Request { account, to, request, answer } => {
                let body = request.body.as_ref();
                match agent.request(now, tx, &account, request.method, &to, body, &request.headers)
                {
                    Ok(key) => {
                        self.requests.insert(key, answer);
                    }
                    Err(error) => refuse(answer, error),
                }
            }
            Command::Refer { call, target, headers, begun } => {
                self.refer(turn, call, target, headers, begun);
            }
            Command::ReferTo { account, to, target, begun } => {
                let key = agent.refer_to(now, tx, &account, &to, &target, &[]);
                self.hand_out(key, begun);
            }
            Command::Bindings { account, answer } => match agent.bindings(now, tx, &account) {
                Ok(key) => {
                    self.requests.insert(key, answer);
                }
                Err(error) => refuse(answer, error),
            },
            Command::Follow { refer, account, body, placed } => {
                let call = agent.follow(now, tx, refer, account.as_ref(), body, &[]);
                if call.is_ok() {
                    self.referrals.remove(&refer);
                }
                let _ = placed.send(call.and_then(|call| self.open(call).ok_or(AgentError::Gone)));
            }
            Command::Report { refer, status } => {
                if status.is_final() {
                    self.referrals.remove(&refer);
                }
                log_refused(agent.report(now, tx, refer, status));
            }
            Command::Decline { refer, status } => {
                self.referrals.remove(&refer);
                log_refused(agent.decline(now, tx, refer, status));
            }
            Command::Tie { ends, account, options, tied } => {
                // A bridge that nobody waits for is dropped here, which hangs it up.
                let _ = tied.send(self.tie(turn, *ends, &account, &options));
            }
            Command::Register { account, begun } => {
                let registration = if self.closing {
                    Err(AgentError::Gone)
                } else {
                    agent.register(now, tx, &account)
                };
                let handle = registration.and_then(|key| {
                    let registration = RegistrationBox::new(key);
                    self.registrations.insert(key, Arc::clone(&registration));
                    let line = self.line.upgrade().ok_or(AgentError::Gone)?;
                    Ok(Registration::new(registration, line))
                });
                // A registration that nobody waits for is dropped here, which un-registers it.
                let _ = begun.send(handle);
            }
            Command::Refresh { registration } => {
                log_refused(agent.refresh(now, tx, registration));
            }
            Command::Publish { account, wish, begun } => {
                self.publish(turn, &account, *wish, begun);
            }
            Command::ModifyPublication { publication, state } => {
                log_refused(agent.modify_publication(now, tx, publication, state));
            }
            Command::LookedUp { request, found } => agent.looked_up(now, tx, request, found),
            Command::NetworkChanged { lost } => {
                self.rebinding.push(lost);
                agent.network_changed(tx);
            }
            Command::Subscribe { .. }
            | Command::RefreshSubscription { .. }
            | Command::AcceptSubscription { .. }
            | Command::Notify { .. }
            | Command::Grant { .. }
            | Command::Terminate { .. } => self.obey_subscription(turn, command),
            Command::Live { .. } => {} // answered above
            Command::Released => {}    // looked at after every command
        }
    }

    fn modifying(&mut self, call: CallKey, begun: Result<(), AgentError>, answer: Answer) {
        match begun {
            Ok(()) => {
                self.modifications.insert(call, answer);
            }
            Err(error) => refuse(answer, error),
        }
    }

    fn tell(&mut self, turn: &mut Turn<'_>, event: AgentEvent) {
        let Some(event) = self.past_bridges(turn, event) else { return };
        match event {
            AgentEvent::Invitation { call, request, sender } => {
                self.meter.is_called(turn.now, call);
                self.invite(turn, call, request, sender);
            }
            AgentEvent::Call { call, update } => {
                self.meter.update(turn.now, call, &update);
                self.update(turn, call, update);
            }
            AgentEvent::Request { key, call, request, sender } => {
                self.request(turn, key, call, request, sender);
            }
            AgentEvent::Referred { refer, call, request, sender } => {
                self.referred(turn, refer, call, (request, sender));
            }
            AgentEvent::Refer { refer, update } => {
                if self.references.get(&refer).is_some_and(|known| known.post(update)) {
                    self.references.remove(&refer);
                }
            }
            AgentEvent::Lookup { key, pending } => self.look_up(key, pending),
            AgentEvent::NetworkChanged { lost } => {
                let locals = turn.transactions.locals();
                let lost: Vec<Local> =
                    lost.iter().filter_map(|id| locals.get(*id).cloned()).collect();
                for waiting in self.rebinding.drain(..) {
                    let _ = waiting.send(lost.clone());
                }
            }
            AgentEvent::Response { key, result } => {
                if let Some(answer) = self.requests.remove(&key) {
                    // Who asked may have gone: then nobody wants it.
                    let _ = answer.send(result.map_err(SendFailure::Failed));
                }
            }
            AgentEvent::Subscribe { key, request, sender } => {
                self.subscribed(turn, key, request, sender);
            }
            AgentEvent::Subscription { subscription, notifier, update } => {
                self.subscription_moved(subscription, notifier, update);
            }
            AgentEvent::Notifier { notifier, update } => self.notifier_moved(notifier, update),
            AgentEvent::Publication { publication, event } => {
                self.publication_moved(publication, event);
            }
            AgentEvent::Registration { registration, event } => {
                self.meter.registration(registration, &event);
                let known = self.registrations.get(&registration);
                if known.is_some_and(|known| known.post(event)) {
                    self.registrations.remove(&registration);
                }
            }
        }
    }

    /// Waits for a lookup in a task of its own. There are no more of them than the agent holds requests.
    fn look_up(&self, request: ServerKey, pending: PendingLookup) {
        let line = self.line.clone();
        tokio::spawn(async move {
            let found = pending.await;
            // Without a line the shard winds up, and has answered.
            if let Some(line) = line.upgrade()
                && let Ok(Some(room)) = line.send(Command::LookedUp { request, found })
            {
                let _ = room.await;
            }
        });
    }

    fn invite(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallKey,
        request: Arc<Request>,
        sender: Sender,
    ) {
        let place =
            if self.closing { Err(TrySendError::Closed(())) } else { self.incoming.try_reserve() };
        match (place, self.line.upgrade()) {
            (Ok(place), Some(line)) => {
                let mailbox = CallBox::new(call);
                self.calls.insert(call, Arc::clone(&mailbox));
                let related = turn.agent.related(call);
                let invitation = Invitation::new(mailbox, request, sender, related, line);
                place.send(Incoming::Invitation(invitation));
            }
            (Err(TrySendError::Full(())), _) => {
                let headers = turn.retry_after();
                turn.reject(call, StatusCode::SERVICE_UNAVAILABLE, &headers);
            }
            // The application takes no more calls.
            _ => turn.reject(call, StatusCode::TEMPORARILY_UNAVAILABLE, &[]),
        }
    }

    fn update(&mut self, turn: &mut Turn<'_>, call: CallKey, update: CallUpdate) {
        match update {
            CallUpdate::Modified { response, .. } => {
                if let Some(answer) = self.modifications.remove(&call) {
                    let _ = answer.send(Ok(response));
                }
                return;
            }
            CallUpdate::ModificationFailed { failure } => {
                if let Some(answer) = self.modifications.remove(&call) {
                    let _ = answer.send(Err(SendFailure::Failed(failure)));
                }
                return;
            }
            CallUpdate::Ended(reason) => {
                self.refer_postponed(turn, call);
                if let Some(known) = self.calls.remove(&call) {
                    known.mail.end(reason);
                }
                if let Some(answer) = self.modifications.remove(&call) {
                    let _ = answer.send(Err(SendFailure::Failed(RequestFailure::CallEnded)));
                }
                return;
            }
            CallUpdate::Ringing { .. }
            | CallUpdate::Progress { .. }
            | CallUpdate::Redirected { .. }
            | CallUpdate::Reason { .. }
            | CallUpdate::EarlyEnded { .. }
            | CallUpdate::Acknowledged { .. }
            | CallUpdate::Answered { .. }
            | CallUpdate::Confirmed { .. }
            | CallUpdate::Modification { .. }
            | CallUpdate::PrackHeld { .. }
            | CallUpdate::ModificationConfirmed { .. }
            | CallUpdate::ModificationWithdrawn
            | CallUpdate::Connected { .. }
            | CallUpdate::Postponed { .. }
            | CallUpdate::NetworkChanged => {}
        }
        // Without a handle the call is being hung up: then nobody wants to know.
        let Some(known) = self.calls.get(&call) else { return };
        match update {
            CallUpdate::Answered { .. }
            | CallUpdate::Confirmed { .. }
            | CallUpdate::ModificationConfirmed { .. } => {
                known.mail.push(CallLetter::Update(update));
            }
            CallUpdate::Modification { .. } => {
                if known.mail.offer(CallLetter::Update(update)).is_err() {
                    turn.refuse_modification(call, StatusCode::SERVER_INTERNAL_ERROR);
                }
            }
            update => {
                let _ = known.mail.offer(CallLetter::Update(update)); // counted there
            }
        }
    }

    fn request(
        &mut self,
        turn: &mut Turn<'_>,
        key: ServerKey,
        call: Option<CallKey>,
        request: Arc<Request>,
        sender: Sender,
    ) {
        let taken = match call {
            Some(call) => match self.calls.get(&call) {
                Some(known) => {
                    let letter = CallLetter::Request { key, request, sender };
                    known.mail.offer(letter).map_err(|_| TrySendError::Full(()))
                }
                None => Err(TrySendError::Closed(())),
            },
            None if self.closing => Err(TrySendError::Closed(())),
            None => self.incoming.try_reserve().and_then(|place| {
                let line = self.line.upgrade().ok_or(TrySendError::Closed(()))?;
                place.send(Incoming::Request(IncomingRequest::new(key, request, sender, line)));
                Ok(())
            }),
        };
        self.note_owed(turn, key, taken);
    }

    /// A request was handed out, or there was nobody to take it.
    fn note_owed(
        &mut self,
        turn: &mut Turn<'_>,
        key: ServerKey,
        taken: Result<(), TrySendError<()>>,
    ) {
        match taken {
            Ok(()) => {
                self.owed.insert(key);
            }
            Err(TrySendError::Full(())) => {
                let headers = turn.retry_after();
                turn.reply(key, StatusCode::SERVICE_UNAVAILABLE, &headers);
            }
            Err(TrySendError::Closed(())) => {
                turn.reply(key, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
            }
        }
    }

    fn referred(
        &mut self,
        turn: &mut Turn<'_>,
        refer: ReferKey,
        call: Option<CallKey>,
        (request, sender): (Arc<Request>, Sender),
    ) {
        let known = call.and_then(|call| self.calls.get(&call));
        let taken = match (known, self.incoming.try_reserve(), self.line.upgrade()) {
            (Some(known), ..) => {
                known.mail.offer(CallLetter::Referred { refer, request, sender }).is_ok()
            }
            (None, Ok(place), Some(line)) if call.is_none() && !self.closing => {
                place.send(Incoming::Referral(Referral::new(refer, request, sender, line)));
                true
            }
            _ => false,
        };
        if taken {
            self.referrals.insert(refer);
        } else {
            turn.decline(refer, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
    }

    fn refer(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallKey,
        target: ReferTarget,
        headers: Fields,
        begun: Begun,
    ) {
        let Turn { now, agent, transactions: tx } = turn;
        let target = match target {
            ReferTarget::Uri(uri) => Ok(*uri),
            ReferTarget::PeerOf(other) => match agent.state(other) {
                // RFC 5589 §7.6: "the Transferor may decide to terminate its attempt to contact the
                // Transfer Target before that session is established."
                Some(CallState::Calling | CallState::Cancelling) => {
                    let target = agent.address_of_peer(other);
                    match target.and_then(|to| agent.hang_up(*now, tx, other).map(|()| to)) {
                        Ok(target) => {
                            let postponed = Postponed { call, target, headers, begun };
                            self.postponed.insert(other, postponed);
                        }
                        Err(error) => drop(begun.send(Err(error))),
                    }
                    return;
                }
                _ => agent.place_in(other),
            },
        };
        let key = target.and_then(|to| agent.refer(*now, tx, call, &to, &headers));
        self.hand_out(key, begun);
    }

    /// A REFER was sent, or not: who asked for it gets its handle.
    fn hand_out(&mut self, key: Result<ReferKey, AgentError>, begun: Begun) {
        let reference = key.and_then(|key| {
            let known = ReferBox::new(key);
            self.references.insert(key, Arc::clone(&known));
            Ok(Reference::new(known, self.line.upgrade().ok_or(AgentError::Gone)?))
        });
        // Who no longer waits drops it, which means nothing.
        let _ = begun.send(reference);
    }

    /// The call that rang is over: now the one whose peer is to ring there can refer to it.
    fn refer_postponed(&mut self, turn: &mut Turn<'_>, ended: CallKey) {
        if let Some(Postponed { call, target, headers, begun }) = self.postponed.remove(&ended) {
            self.refer(turn, call, ReferTarget::Uri(Box::new(target)), headers, begun);
        }
    }

    fn look_at_releases(&mut self, turn: &mut Turn<'_>) {
        for release in self.releases.take() {
            match release {
                Release::Invitation(call) => {
                    self.calls.remove(&call);
                    turn.reject(call, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
                }
                Release::HangUp(call) => turn.hang_up(call),
                Release::HangUpWith(call, reason) => turn.hang_up_with(call, &reason),
                Release::Call(call) => {
                    let unread = self.calls.remove(&call).map(|known| known.mail.take_all());
                    for letter in unread.into_iter().flatten() {
                        match letter {
                            CallLetter::Request { key, .. } => {
                                self.owed.remove(&key);
                                turn.reply(key, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
                            }
                            CallLetter::Referred { refer, .. } => {
                                self.referrals.remove(&refer);
                                turn.decline(refer, StatusCode::DECLINE);
                            }
                            CallLetter::Update(_) => {}
                        }
                    }
                    if !self.is_bridged(call) {
                        turn.hang_up(call);
                    }
                }
                Release::HangUpBridge(key) => self.hang_up_bridge(turn, key),
                Release::Bridge(key) => {
                    self.leave_bridge(key);
                    self.hang_up_bridge(turn, key);
                }
                Release::LeaveBridge(key) => self.leave_bridge(key),
                Release::Modification(call) => {
                    turn.refuse_modification(call, StatusCode::NOT_ACCEPTABLE_HERE);
                }
                Release::Request(key) => {
                    self.owed.remove(&key);
                    turn.reply(key, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
                }
                Release::Referral(refer, status) => {
                    self.referrals.remove(&refer);
                    turn.decline(refer, status);
                }
                Release::Reference(refer) => {
                    self.references.remove(&refer);
                }
                Release::Unregister(registration) => turn.unregister(registration),
                Release::Registration(registration) => {
                    self.registrations.remove(&registration);
                    turn.unregister(registration);
                }
                Release::Unsubscribe(key) => turn.unsubscribe(key),
                Release::Subscription(key) => self.drop_subscription(turn, key),
                Release::Notifier(key) => self.drop_notifier(turn, key),
                Release::Unpublish(key) => turn.unpublish(key),
                Release::Publication(key) => self.drop_publication(turn, key),
                Release::Leave(registration) => {
                    self.registrations.remove(&registration);
                    turn.agent.abandon(turn.transactions, registration);
                }
            }
        }
    }

    /// Winds everything up: no new work, and an end to all there is. No command comes any more.
    fn close(&mut self, turn: &mut Turn<'_>) {
        self.closing = true;
        turn.agent.end_lookups(turn.now, turn.transactions);
        for key in self.owed.drain() {
            turn.reply(key, StatusCode::TEMPORARILY_UNAVAILABLE, &[]);
        }
        for refer in self.referrals.drain() {
            turn.decline(refer, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        for call in self.calls.keys() {
            turn.hang_up(*call);
        }
        for registration in self.registrations.keys() {
            turn.unregister(*registration);
        }
        self.close_subscriptions(turn);
        self.close_publications(turn);
        self.close_bridges(turn);
    }

    /// A handle on a new call.
    fn open(&mut self, call: CallKey) -> Option<Call> {
        let mailbox = CallBox::new(call);
        self.calls.insert(call, Arc::clone(&mailbox));
        Some(Call::new(mailbox, self.line.upgrade()?))
    }
}

impl Drop for Desk {
    /// The shard has ended, in order or not: whoever waits for a last word gets one.
    fn drop(&mut self) {
        for call in self.calls.values() {
            call.mail.end(EndReason::Failed);
        }
        for reference in self.references.values() {
            reference.post(ReferUpdate::Ended(ReferOutcome::Unreported));
        }
        for registration in self.registrations.values() {
            registration.stop();
        }
    }
}

impl Turn<'_> {
    fn reject(&mut self, call: CallKey, status: StatusCode, headers: &[(String, String)]) {
        log_refused(self.agent.reject(self.now, self.transactions, call, status, headers));
    }

    fn hang_up_with(&mut self, call: CallKey, reason: &Reason<'_>) {
        log_refused(self.agent.hang_up_with(self.now, self.transactions, call, reason));
    }

    fn hang_up(&mut self, call: CallKey) {
        log_refused(self.agent.hang_up(self.now, self.transactions, call));
    }

    fn refuse_modification(&mut self, call: CallKey, status: StatusCode) {
        log_refused(self.agent.answer_modification(
            self.now,
            self.transactions,
            call,
            status,
            None,
        ));
    }

    fn reply(&mut self, key: ServerKey, status: StatusCode, headers: &[(String, String)]) {
        log_refused(self.agent.reply(self.now, self.transactions, key, status, None, headers));
    }

    fn decline(&mut self, refer: ReferKey, status: StatusCode) {
        log_refused(self.agent.decline(self.now, self.transactions, refer, status));
    }

    fn unregister(&mut self, registration: RegistrationKey) {
        log_refused(self.agent.unregister(self.now, self.transactions, registration));
    }

    fn retry_after(&self) -> [(String, String); 1] {
        [("Retry-After".to_owned(), self.agent.config().retry_after.to_string())]
    }
}

/// Tells who waits that the request was not sent. They may have gone.
fn refuse(answer: Answer, error: AgentError) {
    let _ = answer.send(Err(SendFailure::Refused(error)));
}

/// A handle acts on what it last heard, so it may be late: the call was over, the re-INVITE withdrawn. The
/// mailbox says so; here it is worth a line for who looks for a lost command.
fn log_refused(outcome: Result<(), AgentError>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a command came too late or made no sense");
    }
}
