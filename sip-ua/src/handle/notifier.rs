//! Subscriptions of peers: one that asks, and the handle of one that was accepted.

use std::future::poll_fn;
use std::sync::Arc;

use sip_message::{Event, Request, StatusCode};

use super::command::{Command, Line, Release};
use super::mailbox::{Letter, Mailbox};
use super::{IncomingRequest, RequestError, Stopped};
use crate::{
    Body, Grant, NotifierConfig, NotifierEnd, NotifierKey, NotifierUpdate, Sender,
    TerminationReason,
};

/// What a notifier's handle shares with the shard.
#[derive(Debug)]
pub(super) struct NotifierBox {
    key: NotifierKey,
    mail: Mailbox<NotifierUpdate, NotifierEnd>,
}

impl NotifierBox {
    pub(super) fn new(key: NotifierKey) -> Arc<Self> {
        Arc::new(Self { key, mail: Mailbox::new() })
    }

    /// Posts an update; gives whether it is the last.
    pub(super) fn post(&self, update: NotifierUpdate) -> bool {
        match update {
            NotifierUpdate::Ended(end) => self.mail.end(end),
            NotifierUpdate::Refreshed => self.mail.push_latest(update),
        }
        matches!(update, NotifierUpdate::Ended(_))
    }
}

/// Someone subscribes to a state of ours: one of
/// [`AgentConfig::event_packages`](crate::AgentConfig::event_packages).
///
/// It must be answered at once: RFC 6665 §4.2.1.1 lets no user be asked. Who has to ask one
/// [accepts it as pending](Self::accept_pending). After
/// [`AgentConfig::reply_guard`](crate::AgentConfig::reply_guard) it is refused.
///
/// **Dropping it refuses** by 480.
#[derive(Debug)]
pub struct SubscriptionRequest {
    inner: IncomingRequest,
}

impl SubscriptionRequest {
    pub(super) fn new(inner: IncomingRequest) -> Self {
        Self { inner }
    }

    /// The SUBSCRIBE.
    pub fn request(&self) -> &Request {
        self.inner.request()
    }

    /// Who sent it, whatever it says: from where, and who proved to be there.
    pub fn sender(&self) -> &Sender {
        self.inner.sender()
    }

    /// The event type: `presence`, say.
    pub fn event_type(&self) -> String {
        // The agent has answered 489 where there is none.
        let event = self.request().get::<Event<'_>>().ok().flatten();
        event.map(|event| event.event_type().to_owned()).unwrap_or_default()
    }

    /// Grants it, and tells the state. `terms` are those of the event package.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if it was too late, or the agent had to refuse it: 423 if it was for too short
    /// a time, 503 for want of room.
    pub async fn accept(
        self,
        terms: NotifierConfig,
        state: Option<Body>,
    ) -> Result<Notifier, RequestError> {
        self.accept_with(Grant::active(terms, state)).await
    }

    /// Accepts it without granting it yet: the subscriber is told so, and nothing of the state before
    /// [`Notifier::grant`].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub async fn accept_pending(
        self,
        terms: NotifierConfig,
        state: Option<Body>,
    ) -> Result<Notifier, RequestError> {
        self.accept_with(Grant::pending(terms, state)).await
    }

    /// Accepts it like this.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub async fn accept_with(mut self, grant: Grant) -> Result<Notifier, RequestError> {
        let request = self.inner.key();
        let line = self.inner.take_line().ok_or(Stopped)?;
        let grant = Box::new(grant);
        Ok(line.ask(|accepted| Command::AcceptSubscription { request, grant, accepted }).await??)
    }

    /// Refuses it: 403 where the subscriber may not know, 404 where there is nothing to know.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn reject(self, status: StatusCode) -> Result<(), Stopped> {
        self.inner.reply(status).await
    }
}

/// A subscription of a peer, whom we tell of a state.
///
/// Its end, when it runs out or the subscriber goes, comes by itself, whether or not anyone asks
/// for [updates](Self::next).
///
/// **Dropping it ends the subscription** with the reason `probation`: the subscriber may come back later.
#[derive(Debug)]
pub struct Notifier {
    notifier: Arc<NotifierBox>,
    line: Arc<Line>,
}

impl Notifier {
    pub(super) fn new(notifier: Arc<NotifierBox>, line: Arc<Line>) -> Self {
        Self { notifier, line }
    }

    /// The next update; `None` after [`NotifierUpdate::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<NotifierUpdate> {
        match poll_fn(|cx| self.notifier.mail.poll_next(cx)).await? {
            Letter::Event(update) => Some(update),
            Letter::End(end) => Some(NotifierUpdate::Ended(end)),
        }
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<NotifierEnd> {
        self.notifier.mail.ended()
    }

    /// Tells the state, which has changed: the whole of it, for while a notification is on its way, or the
    /// subscriber wants to be told less often, a newer state takes the place of one that waits.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down. Of a subscription that is over nothing comes.
    pub async fn notify(&self, state: Body) -> Result<(), Stopped> {
        self.notify_tagged(state, None).await
    }

    /// The same with the entity-tag of the state: a subscriber that says it has that state already is not told it
    /// again (RFC 5839).
    ///
    /// # Errors
    ///
    /// As [`notify`](Self::notify).
    pub async fn notify_tagged(
        &self,
        state: Body,
        entity_tag: Option<String>,
    ) -> Result<(), Stopped> {
        let notifier = self.notifier.key;
        self.give(Command::Notify { notifier, state, entity_tag }).await
    }

    /// Grants a subscription that was accepted as pending, and tells the state.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn grant(&self) -> Result<(), Stopped> {
        self.give(Command::Grant { notifier: self.notifier.key }).await
    }

    /// Ends the subscription and tells why; with `probation` and `giveup`, in how many seconds the subscriber may
    /// come back. [`NotifierUpdate::Ended`] follows.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn terminate(
        &self,
        reason: TerminationReason,
        retry_after: Option<u32>,
    ) -> Result<(), Stopped> {
        let notifier = self.notifier.key;
        self.give(Command::Terminate { notifier, reason, retry_after }).await
    }

    async fn give(&self, command: Command) -> Result<(), Stopped> {
        match self.line.send(command)? {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.line.release(Release::Notifier(self.notifier.key));
    }
}
