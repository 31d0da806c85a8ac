//! The user agent's handle.

use std::sync::Arc;
use std::time::Duration;

use sip_message::{Method, Response, Uri};
use sip_transaction::Stopper;
use sip_transport::{Local, Locals};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

use super::command::{Command, Line};
use super::{
    Call, CallBuilder, CallError, IncomingRequest, Invitation, PublicationBuilder, Reference,
    Referral, RegisterError, Registration, RequestBuilder, RequestError, Stopped,
    SubscriptionBuilder, SubscriptionRequest, UserAgentBuilder,
};
use crate::{Account, Body, CallSnapshot, Live};

/// A SIP user agent: places calls and takes them, registers, sends and takes requests.
///
/// A handle on a task that owns the sockets and all protocol state; clones are more handles on the same.
///
/// **Dropping the last clone** refuses what waits in [`incoming`](Self::incoming) and everything that comes
/// later. Calls and registrations go on as long as their handles live. When the last handle of any kind
/// is gone, what was begun is brought to its end and the task ends.
#[derive(Clone, Debug)]
pub struct UserAgent {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    line: Arc<Line>,
    account: Arc<Account>,
    locals: Locals,
    incoming: Mutex<mpsc::Receiver<Incoming>>,
    stopper: Stopper,
    /// Closes when the shard has ended.
    ended: watch::Receiver<()>,
    shutdown_limit: Duration,
}

/// What comes in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// Someone calls.
    Invitation(Invitation),
    /// A request outside of any call: MESSAGE, and OPTIONS if the agent does not answer that itself.
    Request(IncomingRequest),
    /// Someone asks us to call someone else (REFER), outside of any call that we know.
    Referral(Referral),
    /// Someone subscribes to a state of ours: one of
    /// [`AgentConfig::event_packages`](crate::AgentConfig::event_packages).
    Subscription(SubscriptionRequest),
}

/// How much of everything lives: all zero at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveCounts {
    /// What the agent keeps.
    pub agent: Live,
    /// How much of that is under way, so that somebody waits for it: see
    /// [`Agent::under_way`](crate::Agent::under_way).
    pub under_way: usize,
    /// Transactions, client and server.
    pub transactions: usize,
    /// Timers armed.
    pub timers: usize,
}

impl UserAgent {
    /// Says where to listen and what to be; then [`start`](UserAgentBuilder::start).
    pub fn builder() -> UserAgentBuilder {
        UserAgentBuilder::new()
    }

    pub(super) fn new(
        line: Arc<Line>,
        account: Arc<Account>,
        locals: Locals,
        incoming: mpsc::Receiver<Incoming>,
        stopper: Stopper,
        ended: watch::Receiver<()>,
        shutdown_limit: Duration,
    ) -> Self {
        let incoming = Mutex::new(incoming);
        let inner = Inner { line, account, locals, incoming, stopper, ended, shutdown_limit };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.inner.line
    }

    /// The account that calls, registers and sends, where no other is named.
    pub fn account(&self) -> &Arc<Account> {
        &self.inner.account
    }

    /// The addresses it listens on, with their real ports, and with the names that they had at the start.
    pub fn locals(&self) -> &Locals {
        &self.inner.locals
    }

    /// Begins a call to `to`; [`CallBuilder::start`] places it.
    pub fn call(&self, to: Uri<'static>) -> CallBuilder {
        CallBuilder::new(Arc::clone(&self.inner.line), Arc::clone(&self.inner.account), to)
    }

    /// Goes on with a call that another user agent had before a restart, `passed` after its
    /// [snapshot](crate::CallControl::snapshot) was taken, as the user agent's own account. Media is the application's
    /// business, and so is that requests of the peer arrive where they did.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`](crate::CallError::Refused) if there are too many calls, or the call is there already.
    pub async fn restore(
        &self,
        snapshot: CallSnapshot,
        passed: Duration,
    ) -> Result<Call, CallError> {
        let (account, snapshot) = (Arc::clone(&self.inner.account), Box::new(snapshot));
        let restored = |placed| Command::Restore { account, snapshot, passed, placed };
        Ok(self.inner.line.ask(restored).await??)
    }

    /// Begins a request outside of any call; [`RequestBuilder::send`] sends it.
    pub fn request(&self, method: Method, to: Uri<'static>) -> RequestBuilder {
        let (line, account) = (Arc::clone(&self.inner.line), Arc::clone(&self.inner.account));
        RequestBuilder::new(line, account, method, to)
    }

    /// Asks what the other end can do (RFC 3261 §11).
    pub fn options(&self, to: Uri<'static>) -> RequestBuilder {
        self.request(Method::Options, to)
    }

    /// Sends a text (RFC 3428).
    pub fn message(&self, to: Uri<'static>, text: impl Into<String>) -> RequestBuilder {
        self.request(Method::Message, to).body(Body::text(text))
    }

    /// Asks someone at `to`, with whom no call is needed, to call `target` (REFER), and to report how that goes: a phone of
    /// one's own that is to dial, say (RFC 5359 §2.18), or a server that is to take one's place in a call.
    ///
    /// # Errors
    ///
    /// When the request cannot be built or sent.
    pub async fn refer(
        &self,
        to: Uri<'static>,
        target: Uri<'static>,
    ) -> Result<Reference, CallError> {
        let (account, to, target) =
            (Arc::clone(&self.inner.account), Box::new(to), Box::new(target));
        let refer = |begun| Command::ReferTo { account, to, target, begun };
        Ok(self.inner.line.ask(refer).await??)
    }

    /// Asks the registrar for all bindings of the account's address of record (RFC 3261 §10.2.3): a 2xx lists them in its
    /// Contacts.
    ///
    /// # Errors
    ///
    /// When the request cannot be built or sent, or gets no final response.
    pub async fn bindings(&self) -> Result<Response, RequestError> {
        let account = Arc::clone(&self.inner.account);
        let bindings = |answer| Command::Bindings { account, answer };
        Ok(self.inner.line.ask(bindings).await??)
    }

    /// Begins a subscription to the state of `to` that `event` names: `presence`, `message-summary`, `dialog`;
    /// [`SubscriptionBuilder::start`] sends it.
    pub fn subscribe(&self, to: Uri<'static>, event: impl Into<String>) -> SubscriptionBuilder {
        let (line, account) = (Arc::clone(&self.inner.line), Arc::clone(&self.inner.account));
        SubscriptionBuilder::new(line, account, to, event.into())
    }

    /// Begins to publish a state of `to` at the server that tells it on: the presence of the account, say, with
    /// the account's own address; [`PublicationBuilder::start`] sends it.
    pub fn publish(
        &self,
        to: Uri<'static>,
        event: impl Into<String>,
        state: Body,
    ) -> PublicationBuilder {
        let (line, account) = (Arc::clone(&self.inner.line), Arc::clone(&self.inner.account));
        PublicationBuilder::new(line, account, (to, event.into(), state))
    }

    /// Registers the user agent's own account and waits for the registrar's word. From then on the
    /// registration is kept alive until its handle is dropped.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Failed`] if the registrar refused or did not answer; nothing is tried again then.
    /// To go on trying, use [`registration`](Self::registration).
    pub async fn register(&self) -> Result<Registration, RegisterError> {
        let mut registration = self.registration(self.account()).await?;
        registration.registered().await?;
        Ok(registration)
    }

    /// Begins to register `account` and does not wait: the handle tells how it goes, and failures are
    /// tried again with growing pauses.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Refused`] if a limit is reached.
    pub async fn registration(
        &self,
        account: &Arc<Account>,
    ) -> Result<Registration, RegisterError> {
        let (line, account) = (&self.inner.line, Arc::clone(account));
        line.ask(|begun| Command::Register { account, begun }).await?.map_err(Into::into)
    }

    /// The next call or request that comes in; `None` once the user agent has shut down. Several tasks may
    /// wait: each thing goes to one of them. Cancel safe.
    ///
    /// At most [`incoming_queue`](UserAgentBuilder::incoming_queue) wait here; what comes on top is
    /// answered 503 with Retry-After.
    pub async fn incoming(&self) -> Option<Incoming> {
        self.inner.incoming.lock().await.recv().await
    }

    /// Says that the networks of this machine have changed: another Wi-Fi, a cable pulled, a VPN begun. To be
    /// called when the system says so, as often as it does.
    ///
    /// Connections are dropped, and what listens on all addresses is named anew; registrations begin anew at
    /// once, over new flows. Then each call gets [`CallEvent::NetworkChanged`](crate::CallEvent::NetworkChanged),
    /// and is to be offered anew, since the media have moved as well. Gives the listeners whose
    /// addresses this machine does not have any more: they work again when those are back, and a user agent
    /// that is to listen elsewhere has to be started anew.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn network_changed(&self) -> Result<Vec<Local>, Stopped> {
        self.inner.line.ask(|lost| Command::NetworkChanged { lost }).await
    }

    /// How much of everything lives.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn live(&self) -> Result<LiveCounts, Stopped> {
        self.inner.line.ask(|counts| Command::Live { counts }).await
    }

    /// Ends everything in order: un-registers, hangs up every call, refuses what comes, and waits until
    /// all that is answered, but at most [`shutdown_limit`](UserAgentBuilder::shutdown_limit). All handles
    /// are [`Stopped`] afterwards. Gives whether everything ended in time.
    pub async fn shutdown(&self) -> bool {
        let limit = self.inner.shutdown_limit;
        let begun = Instant::now();
        self.inner.stopper.stop(limit);
        // Nothing is ever sent: it changes when its sender is dropped, with the shard.
        let _ = self.inner.ended.clone().changed().await;
        begun.elapsed() < limit
    }
}
