//! States that are published: how one is, and its handle; and how a PUBLISH that comes in is composed.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sip_message::Uri;

use super::command::{Command, Line, Release};
use super::mailbox::{Letter, Mailbox};
use super::{IncomingRequest, RequestError, Stopped};
use crate::{Account, Body, Compositor, PublicationEvent, PublicationKey, PublicationWish};

/// What a publication's handle shares with the shard.
#[derive(Debug)]
pub(super) struct PublicationBox {
    key: PublicationKey,
    published: AtomicBool,
    mail: Mailbox<PublicationEvent, PublicationEvent>,
}

impl PublicationBox {
    pub(super) fn new(key: PublicationKey) -> Arc<Self> {
        Arc::new(Self { key, published: AtomicBool::new(false), mail: Mailbox::new() })
    }

    /// Posts an event; gives whether it is the last.
    pub(super) fn post(&self, event: PublicationEvent) -> bool {
        let published = matches!(event, PublicationEvent::Published { .. });
        self.published.store(published, Ordering::Relaxed);
        let last = match event {
            PublicationEvent::Failed { retry_in, .. } => retry_in.is_none(),
            PublicationEvent::Removed { .. } => true,
            _ => false,
        };
        if last {
            self.mail.end(event);
        } else {
            // Who has not looked for days wants to know how it is, not how it was.
            self.mail.push_latest(event);
        }
        last
    }

    /// The shard has ended.
    pub(super) fn stop(&self) {
        self.post(PublicationEvent::Removed { confirmed: false });
    }
}

/// A publication about to be made: see [`UserAgent::publish`](crate::UserAgent::publish).
#[derive(Debug)]
#[must_use = "nothing is sent before `start`"]
pub struct PublicationBuilder {
    line: Arc<Line>,
    account: Arc<Account>,
    wish: Box<PublicationWish>,
}

impl PublicationBuilder {
    pub(super) fn new(
        line: Arc<Line>,
        account: Arc<Account>,
        (to, event, state): (Uri<'static>, String, Body),
    ) -> Self {
        Self { line, account, wish: Box::new(PublicationWish::new(to, event, state)) }
    }

    /// For how long to publish it at a time, in whole seconds; it is refreshed in time. Default an hour.
    pub fn expires(mut self, expires: Duration) -> Self {
        self.wish.expires = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// One more header field of each PUBLISH.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.wish.headers.push((name.into(), value.into()));
        self
    }

    /// The account that publishes, if it is not the user agent's own.
    pub fn account(mut self, account: &Arc<Account>) -> Self {
        self.account = Arc::clone(account);
        self
    }

    /// Sends the PUBLISH and does not wait for its answer: the handle tells how it goes.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if a limit is reached or the event type is none,
    /// [`RequestError::Stopped`] if the user agent has shut down.
    pub async fn start(self) -> Result<Publication, RequestError> {
        let Self { line, account, wish } = self;
        Ok(line.ask(|begun| Command::Publish { account, wish, begun }).await??)
    }
}

/// A state that is published and kept so: see [`UserAgent::publish`](crate::UserAgent::publish).
///
/// It is refreshed before it expires, published anew when the server has lost it, and tried again with growing
/// pauses when an attempt fails, whether or not anyone asks for events. At most 64 events wait; then the oldest go.
///
/// **Dropping it removes the state**, in the background.
#[derive(Debug)]
pub struct Publication {
    publication: Arc<PublicationBox>,
    line: Arc<Line>,
}

impl Publication {
    pub(super) fn new(publication: Arc<PublicationBox>, line: Arc<Line>) -> Self {
        Self { publication, line }
    }

    /// The next event; `None` after the last, which is `Removed` or a `Failed` that is not tried again. Cancel
    /// safe.
    pub async fn next(&mut self) -> Option<PublicationEvent> {
        match poll_fn(|cx| self.publication.mail.poll_next(cx)).await? {
            Letter::Event(event) | Letter::End(event) => Some(event),
        }
    }

    /// Whether the server held it at last report.
    pub fn is_published(&self) -> bool {
        self.publication.published.load(Ordering::Relaxed)
    }

    /// Publishes another state in the place of this one.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down. Of a publication that is over nothing comes.
    pub async fn modify(&self, state: Body) -> Result<(), Stopped> {
        let publication = self.publication.key;
        match self.line.send(Command::ModifyPublication { publication, state })? {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }

    /// Removes it and waits until that is done. Gives whether the server confirmed it; if not, it runs out by
    /// itself.
    pub async fn remove(mut self) -> bool {
        self.line.release(Release::Unpublish(self.publication.key));
        let mut confirmed = false;
        while let Some(event) = self.next().await {
            confirmed = matches!(event, PublicationEvent::Removed { confirmed: true });
        }
        confirmed
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.line.release(Release::Publication(self.publication.key));
    }
}

impl IncomingRequest {
    /// Hands a PUBLISH to the compositor, and replies as that says. Gives whether it changed the state of `resource`,
    /// so that the subscribers of that are to be told. `at` is the time by the compositor's count, and `resource` the
    /// name of what the Request-URI means: who keeps only some has replied 404 before, and 403 to who may not publish.
    ///
    /// PUBLISH comes as [`Incoming::Request`](crate::Incoming::Request) where
    /// [`AgentConfig::methods`](crate::AgentConfig::methods) lists it and
    /// [`accept`](crate::AgentConfig::accept) the types of the documents.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down. What was published is then all the same.
    pub async fn publish_in(
        self,
        compositor: &mut Compositor,
        at: Duration,
        resource: &str,
    ) -> Result<bool, Stopped> {
        let answer = compositor.publish(at, resource, self.request());
        let headers: Vec<(&str, &str)> =
            answer.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.reply_with(answer.status, None, &headers).await?;
        Ok(answer.changed)
    }
}
