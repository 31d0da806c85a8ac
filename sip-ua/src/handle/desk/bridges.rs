//! The desk's part in bridges.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Desk, Turn};
use crate::handle::Bridge;
use crate::handle::bridge::{BridgeBox, Ends};
use crate::{
    Account, AgentError, AgentEvent, BridgeKey, BridgeOptions, BridgeUpdate, Bridges, CallKey,
};

/// The bridges, and who hears of which.
#[derive(Default)]
pub(super) struct Bridged {
    table: Bridges,
    boxes: HashMap<BridgeKey, Arc<BridgeBox>>,
}

impl std::fmt::Debug for Bridged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridged").field("boxes", &self.boxes).finish_non_exhaustive()
    }
}

impl Drop for Bridged {
    /// The shard has ended: whoever waits for a last word gets one.
    fn drop(&mut self) {
        for bridge in self.boxes.values() {
            bridge.stop();
        }
    }
}

impl Desk {
    pub(super) fn tie(
        &mut self,
        turn: &mut Turn<'_>,
        ends: Ends,
        account: &Arc<Account>,
        options: &Arc<BridgeOptions>,
    ) -> Result<Bridge, AgentError> {
        let line = self.line.upgrade().filter(|_| !self.closing).ok_or(AgentError::Gone)?;
        let Turn { now, agent, transactions: tx } = turn;
        let (now, table) = (*now, &mut self.bridged.table);
        let key = match ends {
            Ends::Invitation { call, request, sender, target } => {
                let from = (&*request, &sender);
                table.bridge(now, agent, tx, call, from, target, account, options)?
            }
            Ends::Outgoing(calls) => {
                let [first, second] = *calls;
                table.dial(now, agent, tx, first, second, account, options)?
            }
            Ends::Established(calls) => table.join(now, agent, tx, calls, options)?,
        };
        // From here on they are nobody's but the bridge's.
        for call in table.calls(key).into_iter().flatten().flatten() {
            if self.calls.remove(&call).is_none() {
                self.meter.calls(now, call);
            }
        }
        let known = BridgeBox::new(key);
        self.bridged.boxes.insert(key, Arc::clone(&known));
        self.tell_bridges(turn);
        Ok(Bridge::new(known, line))
    }

    /// What the agent tells, but for that which concerns bridges.
    pub(super) fn past_bridges(
        &mut self,
        turn: &mut Turn<'_>,
        event: AgentEvent,
    ) -> Option<AgentEvent> {
        if self.bridged.table.is_idle() {
            return Some(event);
        }
        if let AgentEvent::Call { call, update } = &event
            && self.is_bridged(*call)
        {
            self.meter.update(turn.now, *call, update);
        }
        let Turn { now, agent, transactions: tx } = turn;
        let event = self.bridged.table.handle(*now, agent, tx, event);
        self.tell_bridges(turn);
        event
    }

    pub(super) fn is_bridged(&self, call: CallKey) -> bool {
        self.bridged.table.of_call(call).is_some()
    }

    pub(super) fn hang_up_bridge(&mut self, turn: &mut Turn<'_>, key: BridgeKey) {
        let Turn { now, agent, transactions: tx } = turn;
        self.bridged.table.hang_up(*now, agent, tx, key);
        self.tell_bridges(turn);
    }

    /// Nobody wants to hear of it any more.
    pub(super) fn leave_bridge(&mut self, key: BridgeKey) {
        self.bridged.boxes.remove(&key);
    }

    pub(super) fn close_bridges(&mut self, turn: &mut Turn<'_>) {
        let Turn { now, agent, transactions: tx } = turn;
        self.bridged.table.hang_up_all(*now, agent, tx);
        self.tell_bridges(turn);
    }

    fn tell_bridges(&mut self, turn: &Turn<'_>) {
        while let Some((key, update)) = self.bridged.table.poll_update() {
            if let (BridgeUpdate::Answered, Some([Some(call), _])) =
                (&update, self.bridged.table.calls(key))
            {
                self.meter.accepted(turn.now, call);
            }
            if self.bridged.boxes.get(&key).is_some_and(|known| known.post(update)) {
                self.bridged.boxes.remove(&key);
            }
        }
    }
}
