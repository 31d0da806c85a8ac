//! What the parties of a flow do: call, answer, hold, refer, subscribe.

use std::sync::Arc;

use sip_events::{DialogInfo, DialogState, EventPackage, WatchedDialog};
use sip_message::{Header, Replaces, Request, Response, StatusCode, TargetDialog, Uri};
use sip_ua::{
    AgentEvent, Body, CallKey, CallUpdate, EndReason, ExtraHeaders, Grant, NotifierConfig,
    NotifierKey, OutgoingCall, ReferKey, ReferOutcome, ReferUpdate, RegistrationKey,
    SubscriberConfig, SubscriptionKey, SubscriptionUpdate, SubscriptionWish,
};

use super::stage::{Done, Stage, said, uri};

/// A call, at one of its ends.
pub(super) type Leg<'a> = (&'a str, CallKey);

/// Calls.
impl Stage {
    pub(super) fn call(&mut self, name: &str, to: &str, body: Option<Body>) -> Done<CallKey> {
        let mut outgoing = OutgoingCall::to(uri(to)?);
        outgoing.body = body;
        self.place(name, outgoing)
    }

    /// Places a call that has more to it than an address and a body.
    pub(super) fn place(&mut self, name: &str, call: OutgoingCall) -> Done<CallKey> {
        let account = self.account(name)?;
        self.with(name, |now, agent, tx| agent.call(now, tx, &account, call))?.map_err(said)
    }

    /// Calls an address that asks for header fields: Replaces, say.
    pub(super) fn call_link(&mut self, name: &str, link: &Uri<'_>) -> Done<CallKey> {
        let mut call = OutgoingCall::to(link.without_headers().map_err(said)?).body(sdp());
        call.headers = link.honoured_headers();
        self.place(name, call)
    }

    /// The call that comes in at a phone.
    pub(super) fn invited(&mut self, name: &str) -> Done<CallKey> {
        self.invitation(name).map(|(call, _)| call)
    }

    /// The same with its INVITE.
    pub(super) fn invitation(&mut self, name: &str) -> Done<(CallKey, Arc<Request>)> {
        self.wait(name, "a call", |event| match event {
            AgentEvent::Invitation { call, request, .. } => Some((call, request)),
            _ => None,
        })
    }

    pub(super) fn ring(&mut self, name: &str, call: CallKey) -> Done {
        let ringing = StatusCode::RINGING;
        self.with(name, |now, agent, tx| agent.ring(now, tx, call, ringing, None))?.map_err(said)
    }

    pub(super) fn accept(&mut self, name: &str, call: CallKey) -> Done {
        self.accept_with(name, call, Some(&sdp()))
    }

    pub(super) fn accept_with(&mut self, name: &str, call: CallKey, body: Option<&Body>) -> Done {
        self.with(name, |now, agent, tx| agent.accept(now, tx, call, body, &[]))?.map_err(said)
    }

    pub(super) fn reject(&mut self, name: &str, call: CallKey, status: StatusCode) -> Done {
        self.with(name, |now, agent, tx| agent.reject(now, tx, call, status, &[]))?.map_err(said)
    }

    pub(super) fn hang_up(&mut self, name: &str, call: CallKey) -> Done {
        self.with(name, |now, agent, tx| agent.hang_up(now, tx, call))?.map_err(said)
    }

    /// One end hangs up, and the other hears of it.
    pub(super) fn bye(&mut self, (who, call): Leg<'_>, peer: &str) -> Done {
        self.hang_up(who, call)?;
        self.ended(peer)?;
        self.settle();
        Ok(())
    }

    /// Someone calls an address, where a phone rings and is answered: the call at either end.
    pub(super) fn talk(&mut self, from: &str, address: &str, to: &str) -> Done<(CallKey, CallKey)> {
        let at_from = self.call(from, address, Some(sdp()))?;
        Ok((at_from, self.picks_up(to, from)?))
    }

    /// The same, where nobody is told that it rings.
    pub(super) fn meet(&mut self, from: &str, address: &str, to: &str) -> Done<(CallKey, CallKey)> {
        let at_from = self.call(from, address, Some(sdp()))?;
        Ok((at_from, self.answers(to, from)?))
    }

    /// A phone rings and is answered.
    pub(super) fn picks_up(&mut self, name: &str, caller: &str) -> Done<CallKey> {
        let call = self.invited(name)?;
        self.ring(name, call)?;
        self.ringing(caller)?;
        self.accepts((name, call), caller)?;
        Ok(call)
    }

    /// A call is answered at once.
    pub(super) fn answers(&mut self, name: &str, caller: &str) -> Done<CallKey> {
        let call = self.invited(name)?;
        self.accepts((name, call), caller)?;
        Ok(call)
    }

    /// A call is answered; then what that brings about has time to pass.
    pub(super) fn accepts(&mut self, (name, call): Leg<'_>, caller: &str) -> Done {
        self.accept(name, call)?;
        self.answered(caller)?;
        self.confirmed(name)?;
        self.settle();
        Ok(())
    }

    /// What a phone is told of a call of its own.
    pub(super) fn updated<T>(
        &mut self,
        name: &str,
        what: &str,
        mut pick: impl FnMut(CallUpdate) -> Option<T>,
    ) -> Done<T> {
        self.wait(name, what, |event| match event {
            AgentEvent::Call { update, .. } => pick(update),
            _ => None,
        })
    }

    pub(super) fn ringing(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Ringing { .. }).then_some(());
        self.updated(name, "ringing", is)
    }

    pub(super) fn answered(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Answered { .. }).then_some(());
        self.updated(name, "the answer", is)
    }

    pub(super) fn confirmed(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Confirmed { .. }).then_some(());
        self.updated(name, "the ACK", is)
    }

    pub(super) fn ended(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Ended(_)).then_some(());
        self.updated(name, "the end", is)
    }

    /// The response that refuses a call.
    pub(super) fn refused(&mut self, name: &str) -> Done<Arc<Response>> {
        self.updated(name, "the refusal", |update| match update {
            CallUpdate::Ended(EndReason::Rejected(response)) => Some(response),
            _ => None,
        })
    }

    /// One end offers another direction of the media, and the other agrees.
    pub(super) fn modify(
        &mut self,
        (who, call): Leg<'_>,
        (peer, peers_call): Leg<'_>,
        direction: &str,
        answer: &str,
    ) -> Done {
        let offer = sdp_of(direction);
        self.with(who, |now, agent, tx| agent.reinvite(now, tx, call, Some(&offer)))?
            .map_err(said)?;
        self.agrees((peer, peers_call), Some(&sdp_of(answer)))?;
        self.modified(who)?;
        // The ACK arrives.
        self.settle();
        Ok(())
    }

    /// A phone agrees to what its peer wants to change.
    pub(super) fn agrees(&mut self, (who, call): Leg<'_>, answer: Option<&Body>) -> Done {
        self.updated(who, "another offer", |update| {
            matches!(update, CallUpdate::Modification { .. }).then_some(())
        })?;
        let ok = StatusCode::OK;
        self.with(who, |now, agent, tx| agent.answer_modification(now, tx, call, ok, answer))?
            .map_err(said)
    }

    pub(super) fn modified(&mut self, name: &str) -> Done {
        self.updated(name, "the answer to another offer", |update| {
            matches!(update, CallUpdate::Modified { .. }).then_some(())
        })
    }

    /// Puts the peer on hold.
    pub(super) fn hold(&mut self, leg: Leg<'_>, peer: Leg<'_>) -> Done {
        self.modify(leg, peer, "sendonly", "recvonly")
    }

    /// Takes the peer back.
    pub(super) fn unhold(&mut self, leg: Leg<'_>, peer: Leg<'_>) -> Done {
        self.modify(leg, peer, "sendrecv", "sendrecv")
    }

    pub(super) fn register(&mut self, name: &str) -> Done<RegistrationKey> {
        let account = self.account(name)?;
        self.with(name, |now, agent, tx| agent.register(now, tx, &account))?.map_err(said)
    }
}

/// References.
impl Stage {
    /// Asks the peer of a call to call someone else.
    pub(super) fn refer(&mut self, (who, call): Leg<'_>, target: &Uri<'_>) -> Done<ReferKey> {
        self.refer_with((who, call), target, &[])
    }

    pub(super) fn refer_with(
        &mut self,
        (who, call): Leg<'_>,
        target: &Uri<'_>,
        headers: &ExtraHeaders,
    ) -> Done<ReferKey> {
        self.with(who, |now, agent, tx| agent.refer(now, tx, call, target, headers))?.map_err(said)
    }

    /// Where someone is to call who is to take this phone's place in a call.
    pub(super) fn place_in(&mut self, (who, call): Leg<'_>) -> Done<Uri<'static>> {
        self.with(who, |_, agent, _| agent.place_in(call))?.map_err(said)
    }

    /// Who is referred says that it tries; then that has time to arrive.
    pub(super) fn heeds(&mut self, name: &str) -> Done<ReferKey> {
        let refer = self.referred(name)?;
        let trying = StatusCode::TRYING;
        self.with(name, |now, agent, tx| agent.report(now, tx, refer, trying))?.map_err(said)?;
        self.settle();
        Ok(refer)
    }

    /// Who is referred calls.
    pub(super) fn pursues(&mut self, name: &str, refer: ReferKey) -> Done<CallKey> {
        let (account, body) = (self.account(name)?, Some(sdp()));
        self.with(name, |now, agent, tx| agent.follow(now, tx, refer, Some(&account), body, &[]))?
            .map_err(said)
    }

    /// Who is referred says that it tries, and calls.
    pub(super) fn follows(&mut self, name: &str) -> Done<CallKey> {
        let refer = self.heeds(name)?;
        self.pursues(name, refer)
    }

    pub(super) fn referred(&mut self, name: &str) -> Done<ReferKey> {
        self.wait(name, "a REFER", |event| match event {
            AgentEvent::Referred { refer, .. } => Some(refer),
            _ => None,
        })
    }

    /// A reference came to a call.
    pub(super) fn succeeds(&mut self, name: &str) -> Done {
        match self.reported(name)? {
            outcome if outcome.is_success() => Ok(()),
            outcome => Err(format!("the reference came to {outcome:?}")),
        }
    }

    /// Asks someone at this address, outside of any dialog, to call someone else.
    pub(super) fn refer_to(
        &mut self,
        who: &str,
        to: &str,
        target: &Uri<'_>,
        headers: &ExtraHeaders,
    ) -> Done<ReferKey> {
        let (account, to) = (self.account(who)?, uri(to)?);
        self.with(who, |now, agent, tx| agent.refer_to(now, tx, &account, &to, target, headers))?
            .map_err(said)
    }

    /// The same of the peer of a call, which is named.
    pub(super) fn refer_of(
        &mut self,
        (who, call): Leg<'_>,
        to: &str,
        target: &Uri<'_>,
    ) -> Done<ReferKey> {
        let named = self.with(who, |_, agent, _| agent.target_dialog(call))?.map_err(said)?;
        self.refer_to(who, to, target, &[named])
    }

    /// What came of a reference.
    pub(super) fn reported(&mut self, name: &str) -> Done<ReferOutcome> {
        self.wait(name, "what came of the REFER", |event| match event {
            AgentEvent::Refer { update: ReferUpdate::Ended(outcome), .. } => Some(outcome),
            _ => None,
        })
    }
}

/// Subscriptions.
impl Stage {
    /// Subscribes for so many seconds; for none, the state is fetched once.
    pub(super) fn subscribe(
        &mut self,
        name: &str,
        to: &str,
        event: &str,
        expires: u32,
    ) -> Done<SubscriptionKey> {
        let account = self.account(name)?;
        let mut wish = SubscriptionWish::new(uri(to)?, event);
        wish.terms = SubscriberConfig::new(expires).resubscribe(false);
        self.with(name, |now, agent, tx| agent.subscribe(now, tx, &account, wish))?.map_err(said)
    }

    /// Grants a subscription, and tells the state.
    pub(super) fn grants(&mut self, name: &str, state: Body) -> Done<NotifierKey> {
        let key = self.wait(name, "a SUBSCRIBE", |event| match event {
            AgentEvent::Subscribe { key, .. } => Some(key),
            _ => None,
        })?;
        let grant = Grant::active(NotifierConfig::new(3600), Some(state));
        self.with(name, |now, agent, tx| agent.accept_subscription(now, tx, key, grant))?
            .map_err(said)
    }

    /// Tells a new state.
    pub(super) fn notify(&mut self, name: &str, to: NotifierKey, state: Body) -> Done {
        self.with(name, |now, agent, tx| agent.notify(now, tx, to, Some(state), None))?
            .map_err(said)
    }

    /// The state that a subscriber is told; then the answer has time to arrive.
    pub(super) fn notified(&mut self, name: &str) -> Done<Arc<Request>> {
        let request = self.wait(name, "a NOTIFY", |event| match event {
            AgentEvent::Subscription { update: SubscriptionUpdate::Notify(request), .. } => {
                Some(request)
            }
            _ => None,
        })?;
        self.settle();
        Ok(request)
    }

    /// The identifiers of a call's dialog, as its peer sees them.
    pub(super) fn identifiers(&mut self, (who, call): Leg<'_>) -> Done<TargetDialog<'static>> {
        let (_, value) = self.with(who, |_, agent, _| agent.target_dialog(call))?.map_err(said)?;
        TargetDialog::parse(value.as_bytes()).map(TargetDialog::into_owned).map_err(said)
    }

    /// What a phone tells of a call of its own: RFC 4235.
    pub(super) fn dialog_info(
        &mut self,
        leg: Leg<'_>,
        state: DialogState,
        peer: &str,
    ) -> Done<Body> {
        let id = self.identifiers(leg)?;
        let mut dialog = WatchedDialog { id: "1".into(), state, ..WatchedDialog::default() };
        dialog.call_id = Some(id.call_id().to_owned());
        dialog.local_tag = id.remote_tag().map(str::to_owned);
        dialog.remote_tag = id.local_tag().map(str::to_owned);
        dialog.remote.target = Some(peer.to_owned());
        Ok(self.dialogs(leg.0, vec![dialog]))
    }

    /// What a phone tells of its calls.
    pub(super) fn dialogs(&mut self, who: &str, dialogs: Vec<WatchedDialog>) -> Body {
        let entity = format!("sip:{}@example.com", who.to_ascii_lowercase());
        let info = DialogInfo { version: 0, full: true, entity, dialogs };
        Body::new(DialogInfo::CONTENT_TYPE, info.render())
    }
}

/// Where to call who is to take the place of the phone that told of this call.
pub(super) fn taking_place(notify: &Request, more: &str) -> Done<Uri<'static>> {
    let info = DialogInfo::parse(notify.body()).map_err(said)?;
    let dialog = info.dialogs.into_iter().next().ok_or("no call is told of")?;
    let (call_id, local, remote, target) =
        match (dialog.call_id, dialog.local_tag, dialog.remote_tag, dialog.remote.target) {
            (Some(call_id), Some(local), Some(remote), Some(target)) => {
                (call_id, local, remote, target)
            }
            _ => return Err("the call has no identifiers".into()),
        };
    let replaces = Replaces::new(&call_id, &remote, &local).map_err(said)?;
    uri(&target)?.with_header("Replaces", &format!("{replaces}{more}")).map_err(said)
}

pub(super) fn sdp() -> Body {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                m=audio 49172 RTP/AVP 0\r\n";
    Body::sdp(text)
}

/// The same with a direction.
pub(super) fn sdp_of(direction: &str) -> Body {
    let text = String::from_utf8_lossy(&sdp().bytes).into_owned();
    Body::sdp(format!("{text}a={direction}\r\n"))
}
