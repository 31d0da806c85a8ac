//! The bridges of one agent: which call belongs to which, and the orders carried out.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use sip_message::{
    From, Header, HeaderName, MaxBreadth, Replaces, Request, Require, Response, SessionId,
    StatusCode, Supported, Uri,
};
use sip_transaction::{KeyMap, ServerKey, Transactions};

use super::headers::may_know;
use super::transfer::Third;
use super::{
    Action, BridgeCore, BridgeIdentity, BridgeOptions, BridgeRefer, Leg, Order, copied, status,
};
use crate::agent::Slab;
use crate::{
    Account, Agent, AgentError, AgentEvent, Body, BridgeKey, CallKey, CallState, CallUpdate,
    EndReason, OutgoingCall, ReferKey, ReferOutcome, ReferUpdate, Reliability, RequestFailure,
    RequestKey, Sender,
};

/// RFC 5393 §5.3.3: what is said where nothing was.
const MAX_BREADTH: u32 = 60;

/// All bridges of an [`Agent`].
///
/// What the agent tells goes through [`handle`](Self::handle): what concerns no bridge comes back out, and is the
/// application's. So this runs wherever an agent does, in a simulated network as well; [`UserAgent::bridge`] and its
/// like have one inside.
///
/// [`UserAgent::bridge`]: crate::UserAgent::bridge
#[derive(Default)]
pub struct Bridges {
    pub(super) bridges: Slab<Tied>,
    pub(super) legs: KeyMap<CallKey, (BridgeKey, Leg)>,
    /// The calls that are to take a leg.
    pub(super) thirds: KeyMap<CallKey, BridgeKey>,
    /// Those that have left their bridge, and are being hung up.
    pub(super) leaving: HashSet<CallKey>,
    /// The requests that cross, and what waits for their answers. The agent bounds them.
    requests: KeyMap<RequestKey, (ServerKey, Arc<BridgeOptions>)>,
    /// The REFERs that cross: ours, and the one of the peer it was made of.
    refers: KeyMap<ReferKey, ReferKey>,
    pub(super) updates: VecDeque<(BridgeKey, BridgeUpdate)>,
}

/// A bridge and its calls.
pub(super) struct Tied {
    pub(super) bridge: BridgeCore,
    /// A call that is to take one of its legs.
    pub(super) third: Option<Third>,
    calls: [Option<CallKey>; 2],
    /// Those that are yet to be placed.
    unplaced: Option<Box<Unplaced>>,
    answered: bool,
}

struct Unplaced {
    account: Arc<Account>,
    calls: [Option<OutgoingCall>; 2],
}

/// A bridge moved on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BridgeUpdate {
    /// Both calls are established.
    Answered,
    /// Another call has taken the place of this one, for its peer has asked for that (REFER).
    Transferred {
        /// Which.
        leg: Leg,
    },
    /// Both are over. This is the last.
    Ended {
        /// Which ended first.
        leg: Leg,
        /// Why.
        reason: EndReason,
    },
}

/// What everything needs: the time and the machine.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) agent: &'a mut Agent,
    pub(super) tx: &'a mut Transactions,
}

impl Bridges {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bridges.len()
    }

    /// Whether no event can concern any.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_idle(&self) -> bool {
        self.is_empty()
            && self.leaving.is_empty()
            && self.requests.is_empty()
            && self.refers.is_empty()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The calls of a bridge: those that were placed, over or not.
    pub fn calls(&self, bridge: BridgeKey) -> Option<[Option<CallKey>; 2]> {
        self.bridges.get(bridge).map(|tied| tied.calls)
    }

    /// The bridge that a call belongs to, and which leg of it that is.
    pub fn of_call(&self, call: CallKey) -> Option<(BridgeKey, Leg)> {
        self.legs.get(&call).copied()
    }

    /// What happened to a bridge.
    pub fn poll_update(&mut self) -> Option<(BridgeKey, BridgeUpdate)> {
        self.updates.pop_front()
    }

    /// Ties a call that has come in ([`AgentEvent::Invitation`]) and is not answered to one that is placed to `target`
    /// now. Whatever comes of that, the caller is told, and the end comes by [`BridgeUpdate::Ended`].
    ///
    /// # Errors
    /// [`AgentError::Gone`] or [`AgentError::State`] if the call does not wait for an answer, or belongs to another
    /// bridge.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the bridge")]
    pub fn bridge(
        &mut self,
        now: Instant,
        agent: &mut Agent,
        tx: &mut Transactions,
        call: CallKey,
        (invite, sender): (&Request, &Sender),
        target: Uri<'static>,
        account: &Arc<Account>,
        options: &Arc<BridgeOptions>,
    ) -> Result<BridgeKey, AgentError> {
        let mut turn = Turn { now, agent, tx };
        turn.is_free(self, call, &[CallState::Invited])?;
        let mut orders = Vec::new();
        let account = options.account.as_ref().unwrap_or(account);
        let (bridge, unplaced) = match forwarded(invite, sender, target, options) {
            Ok(outgoing) => {
                let account = caller_account(invite, account, options);
                let unplaced = Unplaced { account, calls: [None, Some(outgoing)] };
                let bridge = BridgeCore::of_invitation(Arc::clone(options), invite, &mut orders);
                (bridge, Some(Box::new(unplaced)))
            }
            Err(status) => {
                let bridge = BridgeCore::refusing(Arc::clone(options), status, &mut orders);
                (bridge, None)
            }
        };
        let tied =
            Tied { bridge, calls: [Some(call), None], unplaced, third: None, answered: false };
        self.begin(&mut turn, tied, orders)
    }

    /// Calls two and ties them together (RFC 3725): the second is called when the first has answered. If neither call
    /// holds a body, the first makes an offer, and its user hears nothing until the second has answered it (flow I:
    /// where the second is a machine that answers at once). If the first has a body without media, the second
    /// makes the offer when it answers (flow IV: where people are called).
    ///
    /// # Errors
    /// [`AgentError`] says why the first is not called.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the bridge")]
    pub fn dial(
        &mut self,
        now: Instant,
        agent: &mut Agent,
        tx: &mut Transactions,
        first: OutgoingCall,
        second: OutgoingCall,
        account: &Arc<Account>,
        options: &Arc<BridgeOptions>,
    ) -> Result<BridgeKey, AgentError> {
        let mut turn = Turn { now, agent, tx };
        let account = Arc::clone(options.account.as_ref().unwrap_or(account));
        let (mut orders, body) = (Vec::new(), first.body.clone());
        let bridge = BridgeCore::of_two(Arc::clone(options), body, &mut orders);
        let unplaced = Some(Box::new(Unplaced { account, calls: [Some(first), Some(second)] }));
        let tied = Tied { bridge, calls: [None, None], unplaced, third: None, answered: false };
        self.begin(&mut turn, tied, orders)
    }

    /// Ties two established calls together: the first is asked for an offer, which the second answers.
    ///
    /// # Errors
    /// [`AgentError::Gone`] or [`AgentError::State`] unless both are established, and belong to no bridge.
    pub fn join(
        &mut self,
        now: Instant,
        agent: &mut Agent,
        tx: &mut Transactions,
        calls: [CallKey; 2],
        options: &Arc<BridgeOptions>,
    ) -> Result<BridgeKey, AgentError> {
        let mut turn = Turn { now, agent, tx };
        for call in calls {
            turn.is_free(self, call, &[CallState::Established])?;
        }
        let mut orders = Vec::new();
        let bridge = BridgeCore::of_established(Arc::clone(options), &mut orders);
        let calls = calls.map(Some);
        self.begin(
            &mut turn,
            Tied { bridge, calls, unplaced: None, third: None, answered: false },
            orders,
        )
    }

    /// Ends both calls of a bridge. Of one that is over it changes nothing.
    pub fn hang_up(
        &mut self,
        now: Instant,
        agent: &mut Agent,
        tx: &mut Transactions,
        bridge: BridgeKey,
    ) {
        let mut turn = Turn { now, agent, tx };
        self.drop_third(&mut turn, bridge);
        let Some(tied) = self.bridges.get_mut(bridge) else { return };
        let mut orders = Vec::new();
        tied.bridge.hang_up(&[], &mut orders);
        self.carry_out(&mut turn, bridge, orders);
        self.look_at(bridge);
    }

    /// Ends them all.
    pub fn hang_up_all(&mut self, now: Instant, agent: &mut Agent, tx: &mut Transactions) {
        let keys: Vec<BridgeKey> = self.bridges.iter().map(|(raw, _)| raw.into()).collect();
        for key in keys {
            self.hang_up(now, agent, tx, key);
        }
    }

    /// Takes what the agent tells. Gives back what concerns no bridge.
    pub fn handle(
        &mut self,
        now: Instant,
        agent: &mut Agent,
        tx: &mut Transactions,
        event: AgentEvent,
    ) -> Option<AgentEvent> {
        let mut turn = Turn { now, agent, tx };
        match event {
            AgentEvent::Call { call, update } => match self.of_call(call) {
                Some((key, leg)) => {
                    self.update(&mut turn, key, leg, call, update);
                    None
                }
                None => {
                    if let Some(key) = self.thirds.get(&call).copied() {
                        self.third_moved(&mut turn, key, call, update);
                        return None;
                    }
                    if self.leaving.contains(&call) {
                        if let CallUpdate::Ended(_) = update {
                            self.leaving.remove(&call);
                        }
                        return None;
                    }
                    Some(AgentEvent::Call { call, update })
                }
            },
            AgentEvent::Request { key, call: Some(call), request, sender } => {
                match self.of_call(call) {
                    Some((bridge, leg)) => {
                        self.relay(&mut turn, (bridge, leg), key, &request, &sender);
                        None
                    }
                    None => Some(AgentEvent::Request { key, call: Some(call), request, sender }),
                }
            }
            AgentEvent::Response { key, result } => match self.requests.remove(&key) {
                Some((server, options)) => {
                    turn.relay_response(server, &options, result);
                    None
                }
                None => Some(AgentEvent::Response { key, result }),
            },
            AgentEvent::Referred { refer, call: Some(call), request, sender } => {
                match self.of_call(call) {
                    Some(place) => {
                        self.referred(&mut turn, place, refer, &request);
                        None
                    }
                    None => {
                        let call = Some(call);
                        Some(AgentEvent::Referred { refer, call, request, sender })
                    }
                }
            }
            AgentEvent::Refer { refer, update } => match self.refers.get(&refer).copied() {
                Some(theirs) => {
                    if let ReferUpdate::Ended(_) = update {
                        self.refers.remove(&refer);
                    }
                    turn.relay_report(theirs, update);
                    None
                }
                None => Some(AgentEvent::Refer { refer, update }),
            },
            other => Some(other),
        }
    }

    fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        tied: Tied,
        orders: Vec<Order>,
    ) -> Result<BridgeKey, AgentError> {
        let calls = tied.calls;
        let key = self.bridges.insert_with(|_| tied).map(BridgeKey::from);
        let key = key.ok_or(AgentError::Full { what: "bridges" })?;
        for (call, leg) in calls.into_iter().zip([Leg::A, Leg::B]) {
            if let Some(call) = call {
                self.legs.insert(call, (key, leg));
            }
        }
        self.carry_out(turn, key, orders);
        self.look_at(key);
        Ok(key)
    }

    pub(super) fn update(
        &mut self,
        turn: &mut Turn<'_>,
        key: BridgeKey,
        leg: Leg,
        call: CallKey,
        update: CallUpdate,
    ) {
        if matches!(update, CallUpdate::Ended(_)) {
            self.legs.remove(&call);
            match self.bridges.get(key).and_then(|tied| tied.third) {
                // Who has asked for the third does not wait for it: that is not the end of the other one's call.
                Some(third) if third.by == leg => {
                    self.take_third(turn, key);
                    return;
                }
                Some(_) => self.drop_third(turn, key),
                None => {}
            }
        }
        let Some(tied) = self.bridges.get_mut(key) else { return };
        if let CallUpdate::Ringing { response, .. }
        | CallUpdate::Progress { response, .. }
        | CallUpdate::Answered { response, .. } = &update
            && let Some(session) = response.get::<SessionId<'_>>().ok().flatten()
            && let Some(other) = tied.call(leg.other())
        {
            // The leg speaks for the callee's end of the session; one without a dialog will say it when it is placed.
            let _ = turn.agent.set_session_uuid(other, session.local());
        }
        let mut orders = Vec::new();
        tied.bridge.handle(leg, update, &mut orders);
        self.carry_out(turn, key, orders);
        self.look_at(key);
    }

    /// Tells what a bridge has come to, and drops one that is over.
    pub(super) fn look_at(&mut self, key: BridgeKey) {
        let Some(tied) = self.bridges.get_mut(key) else { return };
        if tied.bridge.is_established() && !tied.answered {
            tied.answered = true;
            self.updates.push_back((key, BridgeUpdate::Answered));
        }
        if tied.bridge.is_over() {
            let end = tied.bridge.end().map(|(leg, reason)| (leg, reason.clone()));
            let (leg, reason) = end.unwrap_or((Leg::A, EndReason::Local));
            self.bridges.remove(key);
            self.updates.push_back((key, BridgeUpdate::Ended { leg, reason }));
        }
    }

    /// Does what the bridge wants, and what it wants of that.
    pub(super) fn carry_out(&mut self, turn: &mut Turn<'_>, key: BridgeKey, orders: Vec<Order>) {
        let mut orders = VecDeque::from(orders);
        let mut more = Vec::new();
        while let Some(Order { leg, action }) = orders.pop_front() {
            let Some(tied) = self.bridges.get_mut(key) else { return };
            match action {
                Action::Call { body } => match turn.place(tied, leg, body) {
                    Ok(call) => {
                        self.legs.insert(call, (key, leg));
                    }
                    Err(error) => {
                        log(&error);
                        let update = CallUpdate::Ended(EndReason::Failed);
                        tied.bridge.handle(leg, update, &mut more);
                    }
                },
                action => {
                    let Some(call) = tied.call(leg) else { continue };
                    if let Err(status) = turn.perform(call, action) {
                        tied.bridge.refused(leg, status, &mut more);
                    }
                }
            }
            orders.extend(more.drain(..));
        }
    }

    /// Hands a REFER of one leg to the other, or refuses it.
    fn referred(
        &mut self,
        turn: &mut Turn<'_>,
        (key, leg): (BridgeKey, Leg),
        refer: ReferKey,
        request: &Request,
    ) {
        let tied = self.bridges.get(key);
        let to = tied.and_then(|tied| Some((tied.call(leg.other())?, &tied.bridge.options)));
        let (Some((to, options)), Some(target)) = (to, Self::target_of(request)) else {
            return turn.decline(refer, StatusCode::BAD_REQUEST);
        };
        match options.refer {
            BridgeRefer::Relay => {}
            BridgeRefer::Follow => return self.follow(turn, (key, leg), refer, &target),
            BridgeRefer::Refuse => return turn.decline(refer, StatusCode::FORBIDDEN),
        }
        let target = match self.translated(turn, &target) {
            Ok(target) => target,
            Err(error) => return turn.decline(refer, of_error(&error)),
        };
        let mut headers = options.pass.of(request.headers(), false);
        if let Some(sub) = request.headers().raw(HeaderName::ReferSub) {
            headers.push(("Refer-Sub".to_owned(), String::from_utf8_lossy(sub).into_owned()));
        }
        match turn.agent.refer(turn.now, turn.tx, to, &target, &headers) {
            Ok(ours) => {
                self.refers.insert(ours, refer);
            }
            Err(error) => {
                log(&error);
                turn.decline(refer, of_error(&error));
            }
        }
    }

    /// Where a REFER leads to, for the other side: a call with us whose place is to be taken is the call behind it.
    fn translated(&self, turn: &Turn<'_>, target: &Uri<'_>) -> Result<Uri<'static>, AgentError> {
        let behind = self
            .call_behind(turn, target)
            .and_then(|(key, leg)| self.bridges.get(key).and_then(|tied| tied.call(leg.other())));
        match behind {
            Some(call) => turn.agent.place_in(call),
            None => Ok(target.to_static()),
        }
    }

    /// Hands a request of one leg to the other.
    fn relay(
        &mut self,
        turn: &mut Turn<'_>,
        (key, leg): (BridgeKey, Leg),
        server: ServerKey,
        request: &Request,
        sender: &Sender,
    ) {
        let tied = self.bridges.get(key);
        let to = tied.and_then(|tied| Some((tied.call(leg.other())?, &tied.bridge.options)));
        let Some((to, options)) = to else {
            return turn.reply(server, StatusCode::TEMPORARILY_UNAVAILABLE);
        };
        let trusted = may_know(request.headers(), sender.is_trusted(), options.trusts_target);
        let headers = options.pass.of(request.headers(), trusted);
        let body = copied(request.headers(), request.body());
        let method = request.method().clone();
        let sent = turn.agent.send(turn.now, turn.tx, to, method, body.as_ref(), &headers);
        match sent {
            Ok(request) => {
                self.requests.insert(request, (server, Arc::clone(options)));
            }
            Err(error) => {
                log(&error);
                turn.reply(server, of_error(&error));
            }
        }
    }
}

impl Tied {
    /// Another call is this leg now. Gives the one that was, if there was one.
    pub(super) fn replace(&mut self, leg: Leg, call: CallKey) -> Option<CallKey> {
        let [a, b] = &mut self.calls;
        match leg {
            Leg::A => a.replace(call),
            Leg::B => b.replace(call),
        }
    }

    pub(super) fn call(&self, leg: Leg) -> Option<CallKey> {
        let [a, b] = self.calls;
        match leg {
            Leg::A => a,
            Leg::B => b,
        }
    }
}

impl Turn<'_> {
    fn is_free(
        &self,
        bridges: &Bridges,
        call: CallKey,
        states: &[CallState],
    ) -> Result<(), AgentError> {
        let state = self.agent.state(call).ok_or(AgentError::Gone)?;
        if !states.contains(&state) || bridges.of_call(call).is_some() {
            return Err(AgentError::State { state, action: "tie it to another" });
        }
        Ok(())
    }

    fn place(
        &mut self,
        tied: &mut Tied,
        leg: Leg,
        body: Option<Body>,
    ) -> Result<CallKey, AgentError> {
        let Tied { unplaced, calls: [a, b], .. } = tied;
        let waiting = unplaced.as_mut().ok_or(AgentError::Gone)?;
        let [first, second] = &mut waiting.calls;
        let (outgoing, call) = match leg {
            Leg::A => (first.take(), a),
            Leg::B => (second.take(), b),
        };
        let mut outgoing = outgoing.ok_or(AgentError::Gone)?;
        outgoing.body = body;
        let placed = self.agent.call(self.now, self.tx, &waiting.account, outgoing)?;
        *call = Some(placed);
        if waiting.calls.iter().all(Option::is_none) {
            *unplaced = None;
        }
        Ok(placed)
    }

    /// Gives a command. An error is one that the bridge has to know; the others mean that the call is over, and its end
    /// is on the way.
    fn perform(&mut self, call: CallKey, action: Action) -> Result<(), StatusCode> {
        let (now, tx, agent) = (self.now, &mut *self.tx, &mut *self.agent);
        let done = match action {
            Action::Call { .. } => Ok(()),
            Action::Ring { status, body } => agent.ring(now, tx, call, status, body.as_ref()),
            Action::Accept { body, headers } => {
                let accepted = agent.accept(now, tx, call, body.as_ref(), &headers);
                // With a header field that cannot be sent it goes without.
                accepted
                    .or_else(|_| agent.accept(now, tx, call, body.as_ref(), &[]))
                    .or_else(|error| agent.hang_up(now, tx, call).and(Err(error)))
            }
            Action::Reject { status, headers } => {
                let rejected = agent.reject(now, tx, call, status, &headers);
                rejected.or_else(|_| agent.reject(now, tx, call, status, &[])).or_else(|error| {
                    // Accepted meanwhile, though that waits for a PRACK.
                    agent.hang_up(now, tx, call).and(Err(error))
                })
            }
            Action::HangUp { reasons } => agent.hang_up_for(now, tx, call, &reasons),
            Action::Acknowledge { body } => agent.acknowledge(now, tx, call, body.as_ref()),
            Action::AnswerEarly { early, body } => {
                agent.answer_early(now, tx, call, Some(early), body.as_ref())
            }
            Action::AnswerModification { status, body } => {
                agent.answer_modification(now, tx, call, status, body.as_ref())
            }
            Action::Modify { update, body } => {
                return self.modify(call, update, body.as_ref()).map_err(|error| {
                    log(&error);
                    of_error(&error)
                });
            }
        };
        if let Err(error) = done {
            log(&error);
        }
        Ok(())
    }

    fn modify(
        &mut self,
        call: CallKey,
        update: bool,
        body: Option<&Body>,
    ) -> Result<(), AgentError> {
        let (now, tx, agent) = (self.now, &mut *self.tx, &mut *self.agent);
        if !update {
            return agent.reinvite(now, tx, call, body);
        }
        match agent.update_session(now, tx, call, None, body) {
            Err(AgentError::NotAllowed(_)) if agent.state(call) == Some(CallState::Established) => {
                agent.reinvite(now, tx, call, body)
            }
            done => done,
        }
    }

    fn relay_response(
        &mut self,
        server: ServerKey,
        options: &BridgeOptions,
        result: Result<Response, RequestFailure>,
    ) {
        let (status, body, headers) = match &result {
            Ok(response) => {
                let status = response.status();
                let told = if status.is_success() { status } else { status::within_dialog(status) };
                let headers = response.headers();
                (told, copied(headers, response.body()), options.pass.of(headers, false))
            }
            Err(failure) => (status::within_dialog(failure.as_status()), None, Vec::new()),
        };
        let (now, tx, agent) = (self.now, &mut *self.tx, &mut *self.agent);
        if agent.reply(now, tx, server, status, body.as_ref(), &headers).is_err() {
            self.reply(server, status);
        }
    }

    fn relay_report(&mut self, theirs: ReferKey, update: ReferUpdate) {
        let (now, tx, agent) = (self.now, &mut *self.tx, &mut *self.agent);
        let done = match update {
            ReferUpdate::Progress(status) => agent.report(now, tx, theirs, status),
            ReferUpdate::Ended(ReferOutcome::Reported(status)) => {
                agent.report(now, tx, theirs, status)
            }
            ReferUpdate::Ended(ReferOutcome::Refused(status)) => {
                return self.decline(theirs, status::within_dialog(status));
            }
            // Whether it has come about nobody says.
            ReferUpdate::Ended(ReferOutcome::Unreported | _) => {
                agent.report(now, tx, theirs, StatusCode::OK)
            }
        };
        if let Err(error) = done {
            log(&error);
        }
    }

    pub(super) fn decline(&mut self, refer: ReferKey, status: StatusCode) {
        if let Err(error) = self.agent.decline(self.now, self.tx, refer, status) {
            log(&error);
        }
    }

    fn reply(&mut self, server: ServerKey, status: StatusCode) {
        // One that is gone needs no answer.
        let _ = self.agent.reply(self.now, self.tx, server, status, None, &[]);
    }
}

/// What the leg that asked is told of a command that was not carried out on the other one.
fn of_error(error: &AgentError) -> StatusCode {
    use sip_dialog::Unsendable;
    match error {
        // RFC 3311 §5.2: "If the UAS cannot change
        // the session parameters without prompting the user, it SHOULD reject
        // the request with a 504 response."
        // Here it is the user's answer to the call that is in the way.
        AgentError::Offer(Unsendable::OfferReceived) => StatusCode::SERVER_TIMEOUT,
        // In a moment it may be possible.
        AgentError::Busy | AgentError::State { .. } | AgentError::Offer(_) => {
            StatusCode::REQUEST_PENDING
        }
        AgentError::NotAllowed(_) => StatusCode::NOT_ACCEPTABLE_HERE,
        AgentError::Method(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::SERVER_INTERNAL_ERROR,
    }
}

/// What the Replaces in a URI says.
pub(super) fn replaces_in(target: &Uri<'_>) -> Option<Replaces<'static>> {
    let mut headers = target.headers();
    let replaces = headers.find(|header| header.name_decoded().eq_ignore_ascii_case("Replaces"))?;
    let value = replaces.value_decoded()?.into_owned();
    Replaces::parse(value.as_bytes()).ok().map(Replaces::into_owned)
}

/// A command that came too late, or that the other side does not allow.
pub(super) fn log(error: &AgentError) {
    tracing::debug!(%error, "a bridge could not do what it wanted");
}

/// The call that goes on where another came in; or the status that it is refused with.
fn forwarded(
    invite: &Request,
    sender: &Sender,
    target: Uri<'static>,
    options: &BridgeOptions,
) -> Result<OutgoingCall, StatusCode> {
    let headers = invite.headers();
    let mut call = OutgoingCall::to(target).follow_redirects(options.redirects);
    let trusted = may_know(headers, sender.is_trusted(), options.trusts_target);
    call.headers = options.pass.of(headers, trusted);
    call.headers.extend(options.headers.iter().cloned());
    // RFC 7332 §5: "All B2BUA types MUST copy the received Max-Forwards header field from
    // the received SIP request on their UAS side, to any request(s) they
    // generate on their UAC side, and decrement the value, as if they were
    // a proxy following the requirements described in [RFC3261]."
    if let Some(left) = headers.max_forwards() {
        // RFC 7332 §5: "Being a UAS, B2BUAs MUST also check the received Max-Forwards header
        // field and reject or respond to the request if the value is zero, as
        // defined in [RFC3261]."
        let left = left.checked_sub(1).ok_or(StatusCode::TOO_MANY_HOPS)?;
        call.headers.push(("Max-Forwards".to_owned(), left.to_string()));
    }
    // RFC 5393 §5.3.3: "If a SIP proxy receives a request with no Max-Breadth header field
    // value, it MUST add one, with a value that is RECOMMENDED to be 60."
    // RFC 7332 §6: "All B2BUA types MUST copy the received Max-Breadth header field from
    // the received SIP request on their UAS side, to any request(s) they
    // generate on their UAC side, as if they were a proxy following the
    // requirements described in [RFC5393]."
    let breadth = match invite.get::<MaxBreadth>() {
        Ok(Some(MaxBreadth(0))) => return Err(StatusCode::MAX_BREADTH_EXCEEDED),
        Ok(Some(MaxBreadth(breadth))) => breadth.min(MAX_BREADTH),
        Ok(None) | Err(_) => MAX_BREADTH,
    };
    call.headers.push(("Max-Breadth".to_owned(), breadth.to_string()));
    // The leg speaks for the caller's end of the session (RFC 7989).
    if let Some(session) = invite.get::<SessionId<'_>>().ok().flatten() {
        call = call.session_uuid(session.local());
    }
    // What is sent reliably to us has to go on reliably.
    let mut required = headers.get_all::<Require<'_>>().flatten();
    let mut supported = headers.get_all::<Supported<'_>>().flatten();
    let (required, supported) = (
        required.any(|line| line.contains("100rel")),
        supported.any(|line| line.contains("100rel")),
    );
    call.reliable = match (required, supported) {
        (true, _) => Some(Reliability::Required),
        (false, true) => None,
        (false, false) => Some(Reliability::Never),
    };
    Ok(call)
}

/// In whose name the second leg is called.
fn caller_account(
    invite: &Request,
    account: &Arc<Account>,
    options: &BridgeOptions,
) -> Arc<Account> {
    let from = invite.get::<From<'_>>().ok().flatten().map(From::into_name_addr);
    match (options.identity, from) {
        (BridgeIdentity::Caller, Some(from)) => {
            let name = from.display_name().map(|name| name.into_owned());
            Arc::new(account.speaking_for(from.uri().to_static(), name))
        }
        _ => Arc::clone(account),
    }
}
