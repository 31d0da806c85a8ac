//! REFERs that are followed here: the one who asked leaves, and another takes its leg (RFC 7092 §3.1.2, RFC 5589).
//!
//! ```text
//!   referrer --A--[ bridge ]--B-- referee          REFER on A: the third is called
//!                                                  while it rings, A and B talk on
//!   third    --A--[ bridge ]--B-- referee          it answers: A is its leg, and the referrer is hung up
//! ```
//!
//! If the REFER names another call of a bridge of ours (Replaces), the third is there already, behind it: the two
//! bridges become one.

use sip_message::{Reason, Request, StatusCode, Uri};

use super::table::{Tied, Turn};
use super::{BridgeCore, BridgeUpdate, Bridges, Leg};
use crate::{AgentError, BridgeKey, CallKey, CallUpdate, EndReason, ReferKey};

/// A call that is to take a leg when it is answered.
#[derive(Clone, Copy)]
pub(super) struct Third {
    /// Who has asked for it.
    pub(super) by: Leg,
    pub(super) call: CallKey,
    /// It has offered a session before it answered, and was given none.
    put_off: bool,
}

impl Bridges {
    /// Does what a REFER on one leg asks for.
    pub(super) fn follow(
        &mut self,
        turn: &mut Turn<'_>,
        (key, leg): (BridgeKey, Leg),
        refer: ReferKey,
        target: &Uri<'_>,
    ) {
        let Some(tied) = self.bridges.get(key) else { return };
        if !tied.bridge.is_established() || tied.third.is_some() {
            return turn.decline(refer, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        match self.call_behind(turn, target) {
            Some(behind) => self.meet(turn, (key, leg), behind, refer),
            None => self.call_third(turn, (key, leg), refer),
        }
    }

    fn call_third(&mut self, turn: &mut Turn<'_>, (key, by): (BridgeKey, Leg), refer: ReferKey) {
        let Some(tied) = self.bridges.get_mut(key) else { return };
        let account = tied.bridge.options.account.clone();
        // Without an offer: the third makes one, which the referee gets in a re-INVITE.
        match turn.agent.follow(turn.now, turn.tx, refer, account.as_ref(), None, &[]) {
            Ok(call) => {
                tied.third = Some(Third { by, call, put_off: false });
                self.thirds.insert(call, key);
            }
            Err(AgentError::Address) => turn.decline(refer, StatusCode::BAD_REQUEST),
            // It is accepted, and reported to have failed.
            Err(_) => {}
        }
    }

    /// The referee and the one behind the call that the REFER names are tied together; their bridges were two.
    fn meet(
        &mut self,
        turn: &mut Turn<'_>,
        (key, leg): (BridgeKey, Leg),
        (other, named): (BridgeKey, Leg),
        refer: ReferKey,
    ) {
        let is_ready = |bridges: &Self, key| {
            let tied: Option<&Tied> = bridges.bridges.get(key);
            tied.is_some_and(|tied| tied.bridge.is_established() && tied.third.is_none())
        };
        if other == key || !is_ready(self, other) {
            return turn.decline(refer, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        let Some(theirs) = self.bridges.remove(other) else { return };
        let Some(tied) = self.bridges.get_mut(key) else { return };
        let (Some(left), Some(third)) = (theirs.call(named), theirs.call(named.other())) else {
            return;
        };
        let old = tied.replace(leg, third);
        let mut orders = Vec::new();
        tied.bridge = BridgeCore::of_established(tied.bridge.options.clone(), &mut orders);
        if let Err(error) = turn.agent.report(turn.now, turn.tx, refer, StatusCode::OK) {
            super::table::log(&error);
        }
        self.legs.insert(third, (key, leg));
        for call in old.into_iter().chain([left]) {
            self.leave(turn, call);
        }
        self.updates.push_back((key, BridgeUpdate::Transferred { leg }));
        let ended = BridgeUpdate::Ended { leg: named, reason: EndReason::Replaced };
        self.updates.push_back((other, ended));
        self.carry_out(turn, key, orders);
        self.look_at(key);
    }

    /// A third that is not in the bridge yet moved on.
    pub(super) fn third_moved(
        &mut self,
        turn: &mut Turn<'_>,
        key: BridgeKey,
        call: CallKey,
        update: CallUpdate,
    ) {
        match update {
            CallUpdate::Answered { .. } => {
                let Some(leg) = self.take_third(turn, key) else { return };
                self.updates.push_back((key, BridgeUpdate::Transferred { leg }));
                self.update(turn, key, leg, call, update);
            }
            CallUpdate::Ringing { early, response, answer_owed: true }
            | CallUpdate::Progress { early, response, answer_owed: true } => {
                // Nobody hears it yet; when it answers the session is agreed on anew.
                if let Some(Tied { third: Some(third), .. }) = self.bridges.get_mut(key) {
                    third.put_off = true;
                }
                let body = crate::agent::declined(response.body());
                let (now, tx) = (turn.now, &mut *turn.tx);
                if let Err(error) =
                    turn.agent.answer_early(now, tx, call, Some(early), body.as_ref())
                {
                    super::table::log(&error);
                }
            }
            // The referrer hears of it, and the two go on.
            CallUpdate::Ended(_) => {
                self.thirds.remove(&call);
                if let Some(tied) = self.bridges.get_mut(key) {
                    tied.third = None;
                }
            }
            _ => {}
        }
    }

    /// The third takes the leg of who has asked for it, who is hung up if still there.
    pub(super) fn take_third(&mut self, turn: &mut Turn<'_>, key: BridgeKey) -> Option<Leg> {
        let tied = self.bridges.get_mut(key)?;
        let Third { by, call, put_off } = tied.third.take()?;
        let old = tied.replace(by, call);
        tied.bridge = BridgeCore::of_transfer(tied.bridge.options.clone(), by);
        if put_off {
            tied.bridge.agree_anew(by);
        }
        self.thirds.remove(&call);
        self.legs.insert(call, (key, by));
        if let Some(old) = old {
            self.leave(turn, old);
        }
        Some(by)
    }

    /// The third is of no use any more.
    pub(super) fn drop_third(&mut self, turn: &mut Turn<'_>, key: BridgeKey) {
        let third = self.bridges.get_mut(key).and_then(|tied| tied.third.take());
        if let Some(Third { call, .. }) = third {
            self.thirds.remove(&call);
            self.leave(turn, call);
        }
    }

    /// Hangs up a call that belongs to no bridge any more. Its end interests nobody.
    fn leave(&mut self, turn: &mut Turn<'_>, call: CallKey) {
        let reasons: [Reason<'static>; 0] = [];
        self.legs.remove(&call);
        if turn.agent.hang_up_for(turn.now, turn.tx, call, &reasons).is_ok() {
            self.leaving.insert(call);
        }
    }

    /// The leg of a bridge that a URI with Replaces leads to.
    pub(super) fn call_behind(
        &self,
        turn: &Turn<'_>,
        target: &Uri<'_>,
    ) -> Option<(BridgeKey, Leg)> {
        let replaces = super::table::replaces_in(target)?;
        self.of_call(turn.agent.call_in_place(&replaces)?)
    }

    /// Whether the REFER is one that asks for a call.
    pub(super) fn target_of(request: &Request) -> Option<Uri<'static>> {
        let target = request.get::<sip_message::ReferTo<'_>>().ok().flatten()?;
        Some(target.uri().to_static())
    }
}
