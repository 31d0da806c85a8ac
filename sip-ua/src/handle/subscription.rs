//! Subscriptions of ours: how one is made, and its handle.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sip_message::Uri;

use super::command::{Command, Line, Release};
use super::mailbox::{Letter, Mailbox};
use super::{RequestError, Stopped};
use crate::{
    Account, Body, Rates, SubscriptionEnd, SubscriptionEvent, SubscriptionKey, SubscriptionUpdate,
    SubscriptionWish,
};

/// What a subscription's handle shares with the shard.
#[derive(Debug)]
pub(super) struct SubscriptionBox {
    key: SubscriptionKey,
    active: AtomicBool,
    mail: Mailbox<SubscriptionUpdate, SubscriptionUpdate>,
}

impl SubscriptionBox {
    pub(super) fn new(key: SubscriptionKey) -> Arc<Self> {
        Arc::new(Self { key, active: AtomicBool::new(false), mail: Mailbox::new() })
    }

    /// Posts an update of the notifier with this number; gives whether it is the last.
    pub(super) fn post(&self, notifier: u16, update: SubscriptionUpdate) -> bool {
        let SubscriptionUpdate::State(state) = update else {
            // Who has not looked for long wants to know how it is, not how it was.
            self.mail.push_latest(update);
            return false;
        };
        if notifier > 0 {
            return false; // The state of the subscription is that of the first.
        }
        self.active.store(state == SubscriptionEvent::Active, Ordering::Relaxed);
        let last = matches!(state, SubscriptionEvent::Ended { retry_in: None, .. });
        if last {
            self.mail.end(update);
        } else {
            self.mail.push_latest(update);
        }
        last
    }

    /// The shard has ended.
    pub(super) fn stop(&self) {
        let reason = SubscriptionEnd::Unsubscribed;
        let end = SubscriptionEvent::Ended { reason, retry_in: None };
        self.post(0, SubscriptionUpdate::State(end));
    }
}

/// A subscription about to be made: see [`UserAgent::subscribe`](crate::UserAgent::subscribe).
#[derive(Debug)]
#[must_use = "nothing is sent before `start`"]
pub struct SubscriptionBuilder {
    line: Arc<Line>,
    account: Arc<Account>,
    wish: Box<SubscriptionWish>,
}

impl SubscriptionBuilder {
    pub(super) fn new(
        line: Arc<Line>,
        account: Arc<Account>,
        to: Uri<'static>,
        event: String,
    ) -> Self {
        Self { line, account, wish: Box::new(SubscriptionWish::new(to, event)) }
    }

    /// The types of body that the application reads, as Accept lists them. Without it the notifier sends the
    /// default type of the package.
    pub fn accept(mut self, types: impl Into<String>) -> Self {
        self.wish.accept = types.into();
        self
    }

    /// How long to ask for, in whole seconds; it is refreshed in time. Zero fetches the state once. Default an
    /// hour.
    pub fn expires(mut self, expires: Duration) -> Self {
        self.wish.terms.expires = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// Whether to subscribe anew when the notifier ends the subscription, or does not answer, and RFC 6665 §4.1.3
    /// allows for it. Default yes.
    pub fn resubscribe(mut self, resubscribe: bool) -> Self {
        self.wish.terms.resubscribe = resubscribe;
        self
    }

    /// Takes the notifications of several notifiers, where a proxy forks the SUBSCRIBE: for packages that say so
    /// (RFC 6665 §5.4.9). Which one it is the From tag of the NOTIFY tells. Default no.
    pub fn forks(mut self, forks: bool) -> Self {
        self.wish.forks = forks;
        self
    }

    /// How often to be told (RFC 6446).
    pub fn rates(mut self, rates: Rates) -> Self {
        self.wish.rates = rates;
        self
    }

    /// The body of the SUBSCRIBE: a filter, say.
    pub fn body(mut self, body: Body) -> Self {
        self.wish.body = Some(body);
        self
    }

    /// One more header field of each SUBSCRIBE.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.wish.headers.push((name.into(), value.into()));
        self
    }

    /// The account that subscribes, if it is not the user agent's own.
    pub fn account(mut self, account: &Arc<Account>) -> Self {
        self.account = Arc::clone(account);
        self
    }

    /// Sends the SUBSCRIBE and does not wait for its answer: the handle tells how it goes.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] if a limit is reached or the event type is none,
    /// [`RequestError::Stopped`] if the user agent has shut down.
    pub async fn start(self) -> Result<Subscription, RequestError> {
        let Self { line, account, wish } = self;
        Ok(line.ask(|begun| Command::Subscribe { account, wish, begun }).await??)
    }
}

/// A subscription to a state, which notifications tell: see
/// [`UserAgent::subscribe`](crate::UserAgent::subscribe).
///
/// It is refreshed before it expires, and begun anew where that is allowed, whether or not anyone asks for
/// updates; each NOTIFY is answered when it comes. At most 64 updates wait; then the oldest go, and
/// [`missed`](Self::missed) counts them: whoever merges partial states asks for the whole by
/// [`refresh`](Self::refresh) then.
///
/// **Dropping it unsubscribes**, in the background.
#[derive(Debug)]
pub struct Subscription {
    subscription: Arc<SubscriptionBox>,
    line: Arc<Line>,
}

impl Subscription {
    pub(super) fn new(subscription: Arc<SubscriptionBox>, line: Arc<Line>) -> Self {
        Self { subscription, line }
    }

    /// The next update; `None` after the last, which is an end that is not tried again. Cancel safe.
    pub async fn next(&mut self) -> Option<SubscriptionUpdate> {
        match poll_fn(|cx| self.subscription.mail.poll_next(cx)).await? {
            Letter::Event(update) | Letter::End(update) => Some(update),
        }
    }

    /// Whether the notifier had granted it at last report.
    pub fn is_active(&self) -> bool {
        self.subscription.active.load(Ordering::Relaxed)
    }

    /// How many updates were dropped because nobody took them.
    pub fn missed(&self) -> u32 {
        self.subscription.mail.dropped()
    }

    /// Asks for the state now: a SUBSCRIBE, and the notification that follows.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn refresh(&self) -> Result<(), Stopped> {
        let subscription = self.subscription.key;
        match self.line.send(Command::RefreshSubscription { subscription })? {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }

    /// Ends it, and waits until that is done: the notifier has told so, or says nothing for 64*T1.
    pub async fn unsubscribe(mut self) {
        self.line.release(Release::Unsubscribe(self.subscription.key));
        while self.next().await.is_some() {}
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.line.release(Release::Subscription(self.subscription.key));
    }
}
