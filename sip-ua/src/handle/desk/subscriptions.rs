//! The desk's part in subscriptions, ours and those of peers.

use std::collections::HashMap;
use std::sync::Arc;

use sip_message::Request;
use sip_transaction::ServerKey;
use tokio::sync::mpsc::error::TrySendError;

use super::{Desk, Turn, log_refused};
use crate::handle::command::Command;
use crate::handle::notifier::NotifierBox;
use crate::handle::subscription::SubscriptionBox;
use crate::handle::{Incoming, IncomingRequest, Notifier, Subscription, SubscriptionRequest};
use crate::{
    AgentError, NotifierEnd, NotifierKey, NotifierUpdate, Sender, SubscriptionKey,
    SubscriptionUpdate, TerminationReason,
};

/// Who hears of which subscription.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    ours: HashMap<SubscriptionKey, Arc<SubscriptionBox>>,
    of_peers: HashMap<NotifierKey, Arc<NotifierBox>>,
}

impl Drop for Subscriptions {
    /// The shard has ended: whoever waits for a last word gets one.
    fn drop(&mut self) {
        for subscription in self.ours.values() {
            subscription.stop();
        }
        for notifier in self.of_peers.values() {
            notifier.post(NotifierUpdate::Ended(NotifierEnd::Lost));
        }
    }
}

impl Desk {
    /// Obeys a command about subscriptions.
    pub(super) fn obey_subscription(&mut self, turn: &mut Turn<'_>, command: Command) {
        let Turn { now, agent, transactions: tx } = turn;
        let now = *now;
        match command {
            Command::Subscribe { account, wish, begun } => {
                let subscription = if self.closing {
                    Err(AgentError::Gone)
                } else {
                    agent.subscribe(now, tx, &account, *wish)
                };
                let handle = subscription.and_then(|key| {
                    let subscription = SubscriptionBox::new(key);
                    self.subscriptions.ours.insert(key, Arc::clone(&subscription));
                    let line = self.line.upgrade().ok_or(AgentError::Gone)?;
                    Ok(Subscription::new(subscription, line))
                });
                // A subscription that nobody waits for is dropped here, which ends it.
                let _ = begun.send(handle);
            }
            Command::RefreshSubscription { subscription } => {
                log_refused(agent.refresh_subscription(now, tx, subscription));
            }
            Command::AcceptSubscription { request, grant, accepted } => {
                self.owed.remove(&request);
                let notifier = agent.accept_subscription(now, tx, request, *grant);
                let handle = notifier.and_then(|key| {
                    let notifier = NotifierBox::new(key);
                    self.subscriptions.of_peers.insert(key, Arc::clone(&notifier));
                    let line = self.line.upgrade().ok_or(AgentError::Gone)?;
                    Ok(Notifier::new(notifier, line))
                });
                let _ = accepted.send(handle);
            }
            Command::Notify { notifier, state, entity_tag } => {
                let tag = entity_tag.as_deref();
                log_refused(agent.notify(now, tx, notifier, Some(state), tag));
            }
            Command::Grant { notifier } => log_refused(agent.grant(now, tx, notifier)),
            Command::Terminate { notifier, reason, retry_after } => {
                log_refused(agent.terminate(now, tx, notifier, reason, retry_after));
            }
            _ => {} // The others are obeyed elsewhere.
        }
    }

    /// Hands a SUBSCRIBE to the application.
    pub(super) fn subscribed(
        &mut self,
        turn: &mut Turn<'_>,
        key: ServerKey,
        request: Arc<Request>,
        sender: Sender,
    ) {
        let place =
            if self.closing { Err(TrySendError::Closed(())) } else { self.incoming.try_reserve() };
        let taken = place.and_then(|place| {
            let line = self.line.upgrade().ok_or(TrySendError::Closed(()))?;
            let inner = IncomingRequest::new(key, request, sender, line);
            place.send(Incoming::Subscription(SubscriptionRequest::new(inner)));
            Ok(())
        });
        self.note_owed(turn, key, taken);
    }

    pub(super) fn subscription_moved(
        &mut self,
        key: SubscriptionKey,
        notifier: u16,
        update: SubscriptionUpdate,
    ) {
        let known = self.subscriptions.ours.get(&key);
        if known.is_some_and(|known| known.post(notifier, update)) {
            self.subscriptions.ours.remove(&key);
        }
    }

    pub(super) fn notifier_moved(&mut self, key: NotifierKey, update: NotifierUpdate) {
        let known = self.subscriptions.of_peers.get(&key);
        if known.is_some_and(|known| known.post(update)) {
            self.subscriptions.of_peers.remove(&key);
        }
    }

    /// The handle of a subscription of ours is gone.
    pub(super) fn drop_subscription(&mut self, turn: &mut Turn<'_>, key: SubscriptionKey) {
        self.subscriptions.ours.remove(&key);
        turn.unsubscribe(key);
    }

    /// The handle of a subscription of a peer is gone.
    pub(super) fn drop_notifier(&mut self, turn: &mut Turn<'_>, key: NotifierKey) {
        self.subscriptions.of_peers.remove(&key);
        turn.send_away(key);
    }

    /// Ends them all.
    pub(super) fn close_subscriptions(&self, turn: &mut Turn<'_>) {
        for key in self.subscriptions.ours.keys() {
            turn.unsubscribe(*key);
        }
        for key in self.subscriptions.of_peers.keys() {
            turn.send_away(*key);
        }
    }
}

impl Turn<'_> {
    pub(super) fn unsubscribe(&mut self, key: SubscriptionKey) {
        log_refused(self.agent.unsubscribe(self.now, self.transactions, key));
    }

    fn send_away(&mut self, key: NotifierKey) {
        let reason = TerminationReason::Probation;
        log_refused(self.agent.terminate(self.now, self.transactions, key, reason, None));
    }
}
