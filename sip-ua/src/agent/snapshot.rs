//! Calls that outlive a restart: what is kept of one, and how it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{Dialog, DialogSnapshot, OfferAnswer, Session, TimerSnapshot};
use sip_transaction::Transactions;

use super::Agent;
use super::call::{Call, Phase};
use super::compose::listener_towards;
use super::session_timer::Timing;
use super::usages::Usage;
use crate::{Account, AgentError, Body, CallKey};

/// An established call as plain data, to be stored and taken up by another [`Agent`] after a restart: its dialog,
/// the session timer with the time that was left, and our last session description. With the feature `serde` it can
/// be written and read.
///
/// Not in it: credentials (the account that takes it up has them), requests under way, subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CallSnapshot {
    dialog: DialogSnapshot,
    timer: Option<TimerSnapshot>,
    /// The type and the bytes.
    local: Option<(String, Vec<u8>)>,
}

impl Agent {
    /// What is needed to go on with a call after a restart. Take it when the call is established, and anew after
    /// each change.
    ///
    /// # Errors
    /// [`AgentError::State`] unless the call is established, [`AgentError::Busy`] while a re-INVITE is in progress.
    pub fn snapshot(&self, now: Instant, call: CallKey) -> Result<CallSnapshot, AgentError> {
        let call = self.calls.get(call).ok_or(AgentError::Gone)?;
        if !matches!(call.phase, Phase::Established) {
            return Err(call.wrong_state("take a snapshot of it"));
        }
        call.session.may_invite().map_err(|_| AgentError::Busy)?;
        let dialog = call.dialog.and_then(|dialog| self.dialogs.get(dialog));
        let (dialog, _) = dialog.ok_or(AgentError::Gone)?;
        let timing = call.timing.as_deref();
        let local = timing.and_then(Timing::local);
        Ok(CallSnapshot {
            dialog: dialog.snapshot().ok_or(AgentError::Gone)?,
            timer: timing.and_then(|timing| timing.snapshot(now)),
            local: local.map(|body| (body.content_type.to_string(), body.bytes.to_vec())),
        })
    }

    /// Goes on with a call of which `snapshot` was taken `passed` ago, as who it was placed or taken: it is
    /// established, can be hung up, changed and referred, is refreshed when it is time, and the peer's requests in it
    /// are served. If its session has expired meanwhile, it ends at once, by BYE.
    ///
    /// # Errors
    /// [`AgentError::Full`] if there are too many calls, or this one is there already; [`AgentError::Address`] if the
    /// snapshot is not what [`snapshot`](Self::snapshot) made.
    pub fn restore(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        account: &Arc<Account>,
        snapshot: &CallSnapshot,
        passed: Duration,
    ) -> Result<CallKey, AgentError> {
        if self.calls.len() >= self.config.max_calls {
            return Err(AgentError::Full { what: "calls" });
        }
        let dialog = Dialog::restored(&snapshot.dialog).map_err(|_| AgentError::Address)?;
        let session = Session::restored(dialog.role());
        let account = Some(Arc::clone(account));
        let mut call = Call::new(Phase::Established, session, OfferAnswer::restored(), account);
        call.listener = listener_towards(tx, dialog.next_hop()).map(|local| local.id);
        call.timing = self.config.session_timer.zip(snapshot.timer).map(|(policy, timer)| {
            let local = snapshot.local.as_ref();
            let local = local.map(|(kind, bytes)| Body::new(kind.clone(), bytes.clone()));
            Timing::restored(policy, &timer, passed, now, local)
        });
        let dialogs = &mut self.dialogs;
        let mut inserted = None;
        let key = self.calls.insert_with(|raw| {
            inserted = dialogs.insert(dialog, Usage::Call(raw.into()).into()).ok();
            call.dialog = inserted;
            call
        });
        let key = CallKey::from(key.ok_or(AgentError::Full { what: "calls" })?);
        if inserted.is_none() {
            self.calls.remove(key);
            return Err(AgentError::Full { what: "dialogs" });
        }
        self.active_calls += 1;
        self.arm_session_timer(now, tx, key);
        Ok(key)
    }
}
