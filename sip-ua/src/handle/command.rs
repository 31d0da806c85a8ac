//! What handles say to the shard, and the two ways it gets there.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sip_message::{Method, NameAddr, Reason, Response, SessionId, StatusCode, Uri};
use sip_transaction::ServerKey;
use sip_transport::Local;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{
    Call, LiveCounts, Notifier, Publication, Reference, Registration, Stopped, Subscription,
};
use crate::{
    Account, AgentError, Body, BridgeKey, BridgeOptions, CallKey, CallSnapshot, EarlyId, Grant,
    LookedUp, NotifierKey, OutgoingCall, PublicationKey, PublicationWish, ReferKey,
    RegistrationKey, RequestFailure, SubscriptionKey, SubscriptionWish, TerminationReason,
};

/// Header fields to add: names and values.
pub(super) type Fields = Vec<(String, String)>;

/// The outcome of a request, for the task that waits for it.
pub(super) type Answer = oneshot::Sender<Result<Response, SendFailure>>;

/// A command that waits for room.
pub(super) type Wait = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send>>;

/// Why a request that waits for its outcome has none.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// It was never sent.
    Refused(AgentError),
    /// It was sent.
    Failed(RequestFailure),
}

/// An order to the shard. Whoever gives one waits for room in a bounded channel, and for an answer only
/// where the answer is the point.
#[derive(Debug)]
pub(super) enum Command {
    Call {
        account: Arc<Account>,
        call: Box<OutgoingCall>,
        placed: oneshot::Sender<Result<Call, AgentError>>,
    },
    Restore {
        account: Arc<Account>,
        snapshot: Box<CallSnapshot>,
        passed: Duration,
        placed: oneshot::Sender<Result<Call, AgentError>>,
    },
    Snapshot {
        call: CallKey,
        taken: oneshot::Sender<Result<CallSnapshot, AgentError>>,
    },
    SessionId {
        call: CallKey,
        told: oneshot::Sender<Option<SessionId<'static>>>,
    },
    ChangeIdentity {
        call: CallKey,
        identity: Box<NameAddr<'static>>,
        sent: oneshot::Sender<Result<(), AgentError>>,
    },
    Ring {
        call: CallKey,
        status: StatusCode,
        body: Option<Body>,
        headers: Fields,
    },
    Accept {
        call: CallKey,
        body: Option<Body>,
        headers: Fields,
    },
    Reject {
        call: CallKey,
        status: StatusCode,
        body: Option<Body>,
        headers: Fields,
    },
    Acknowledge {
        call: CallKey,
        body: Option<Body>,
        sent: oneshot::Sender<Result<(), AgentError>>,
    },
    Reinvite {
        call: CallKey,
        body: Option<Body>,
        answer: Answer,
    },
    Modify {
        call: CallKey,
        body: Option<Body>,
        answer: Answer,
    },
    Update {
        call: CallKey,
        early: Option<EarlyId>,
        body: Option<Body>,
        answer: Answer,
    },
    OfferEarly {
        call: CallKey,
        early: Option<EarlyId>,
        body: Body,
        answer: Answer,
    },
    AnswerEarly {
        call: CallKey,
        early: Option<EarlyId>,
        body: Option<Body>,
        sent: oneshot::Sender<Result<(), AgentError>>,
    },
    AnswerModification {
        call: CallKey,
        status: StatusCode,
        body: Option<Body>,
    },
    Send {
        call: CallKey,
        request: Box<RequestParts>,
        answer: Answer,
    },
    Info {
        call: CallKey,
        package: String,
        body: Option<Body>,
        answer: Answer,
    },
    Reply {
        request: ServerKey,
        status: StatusCode,
        body: Option<Body>,
        headers: Fields,
    },
    Request {
        account: Arc<Account>,
        to: Box<Uri<'static>>,
        request: Box<RequestParts>,
        answer: Answer,
    },
    Refer {
        call: CallKey,
        target: ReferTarget,
        headers: Fields,
        begun: oneshot::Sender<Result<Reference, AgentError>>,
    },
    /// A REFER outside of any call.
    ReferTo {
        account: Arc<Account>,
        to: Box<Uri<'static>>,
        target: Box<Uri<'static>>,
        begun: oneshot::Sender<Result<Reference, AgentError>>,
    },
    Bindings {
        account: Arc<Account>,
        answer: Answer,
    },
    Follow {
        refer: ReferKey,
        account: Option<Arc<Account>>,
        body: Option<Body>,
        placed: oneshot::Sender<Result<Call, AgentError>>,
    },
    Report {
        refer: ReferKey,
        status: StatusCode,
    },
    Decline {
        refer: ReferKey,
        status: StatusCode,
    },
    Tie {
        ends: Box<super::bridge::Ends>,
        account: super::bridge::Caller,
        options: Arc<BridgeOptions>,
        tied: super::bridge::Tied,
    },
    Register {
        account: Arc<Account>,
        begun: oneshot::Sender<Result<Registration, AgentError>>,
    },
    Refresh {
        registration: RegistrationKey,
    },
    Subscribe {
        account: Arc<Account>,
        wish: Box<SubscriptionWish>,
        begun: oneshot::Sender<Result<Subscription, AgentError>>,
    },
    RefreshSubscription {
        subscription: SubscriptionKey,
    },
    AcceptSubscription {
        request: ServerKey,
        grant: Box<Grant>,
        accepted: oneshot::Sender<Result<Notifier, AgentError>>,
    },
    Notify {
        notifier: NotifierKey,
        state: Body,
        entity_tag: Option<String>,
    },
    Grant {
        notifier: NotifierKey,
    },
    Terminate {
        notifier: NotifierKey,
        reason: TerminationReason,
        retry_after: Option<u32>,
    },
    Publish {
        account: Arc<Account>,
        wish: Box<PublicationWish>,
        begun: oneshot::Sender<Result<Publication, AgentError>>,
    },
    ModifyPublication {
        publication: PublicationKey,
        state: Body,
    },
    LookedUp {
        request: ServerKey,
        found: LookedUp,
    },
    /// The networks have changed; the listeners that are lost.
    NetworkChanged {
        lost: oneshot::Sender<Vec<Local>>,
    },
    Live {
        counts: oneshot::Sender<LiveCounts>,
    },
    /// There are releases to look at.
    Released,
}

/// Whom the peer of a call is referred to.
#[derive(Debug)]
pub(super) enum ReferTarget {
    Uri(Box<Uri<'static>>),
    /// The peer of another call of ours, whose place there it takes, if it can.
    PeerOf(CallKey),
}

/// A request as its sender describes it.
#[derive(Debug)]
pub(super) struct RequestParts {
    pub(super) method: Method,
    pub(super) body: Option<Body>,
    pub(super) headers: Fields,
}

/// The end of something that a handle stood for.
#[derive(Debug)]
pub(super) enum Release {
    /// An invitation was dropped unanswered.
    Invitation(CallKey),
    /// Hang up; the handle stays and waits for the end.
    HangUp(CallKey),
    HangUpWith(CallKey, Box<Reason<'static>>),
    /// A call was dropped: hang up, and nobody listens any more.
    Call(CallKey),
    /// A re-INVITE was dropped unanswered.
    Modification(CallKey),
    /// A request was dropped unanswered.
    Request(ServerKey),
    /// A referral was dropped undecided, or undone: what is to be said of it.
    Referral(ReferKey, StatusCode),
    /// A reference was dropped: nobody listens any more.
    Reference(ReferKey),
    /// End both calls of a bridge; the handle stays and waits for the end.
    HangUpBridge(BridgeKey),
    /// A bridge was dropped: the same, and nobody listens any more.
    Bridge(BridgeKey),
    /// A bridge was let go: nobody listens any more.
    LeaveBridge(BridgeKey),
    /// Un-register; the handle stays and waits for the end.
    Unregister(RegistrationKey),
    /// A registration was dropped: un-register, and nobody listens any more.
    Registration(RegistrationKey),
    /// End a subscription of ours; the handle stays and waits for the end.
    Unsubscribe(SubscriptionKey),
    /// A subscription of ours was dropped: end it, and nobody listens any more.
    Subscription(SubscriptionKey),
    /// A subscription of a peer was dropped: the same.
    Notifier(NotifierKey),
    /// Remove a published state; the handle stays and waits for the end.
    Unpublish(PublicationKey),
    /// A publication was dropped: remove the state, and nobody listens any more.
    Publication(PublicationKey),
    /// A registration was let go: the binding stays, and nobody listens any more.
    Leave(RegistrationKey),
}

/// The way from the handles to the shard. All handles share it; when the last is gone the shard winds up
/// and ends.
#[derive(Debug)]
pub(super) struct Line {
    commands: mpsc::Sender<Command>,
    releases: Arc<Releases>,
}

/// What was released and not yet looked at. A handle may be dropped where nothing can wait, so this is
/// a list and not a bounded channel; it is bounded by the handles that there are.
#[derive(Debug, Default)]
pub(super) struct Releases {
    list: Mutex<Vec<Release>>,
    any: AtomicBool,
}

impl Line {
    pub(super) fn new(commands: mpsc::Sender<Command>, releases: Arc<Releases>) -> Self {
        Self { commands, releases }
    }

    /// Hands the command over if there is room, as there nearly always is; else gives what waits for it.
    ///
    /// The future of a channel's `send` holds the command, and each `async fn` around it holds that again:
    /// a user's task would pay a kilobyte for each held call to be ready for what hardly ever happens.
    pub(super) fn send(&self, command: Command) -> Result<Option<Wait>, Stopped> {
        match self.commands.try_send(command) {
            Ok(()) => Ok(None),
            Err(TrySendError::Closed(_)) => Err(Stopped),
            Err(TrySendError::Full(command)) => {
                let commands = self.commands.clone();
                Ok(Some(Box::pin(async move { commands.send(command).await.map_err(|_| Stopped) })))
            }
        }
    }

    /// Hands the command over and waits for what comes back.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        if let Some(wait) = self.send(command(sender))? {
            wait.await?;
        }
        receiver.await.map_err(|_| Stopped)
    }

    /// Never waits and never fails: the shard sees it at its next turn.
    pub(super) fn release(&self, release: Release) {
        if self.releases.push(release) {
            // With the channel full there are commands to come, and the list is looked at with each.
            let _ = self.commands.try_send(Command::Released);
        }
    }
}

impl Releases {
    /// Whether it was empty before, so that the shard is to be woken.
    fn push(&self, release: Release) -> bool {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(release);
        !self.any.swap(true, Ordering::Release)
    }

    pub(super) fn take(&self) -> Vec<Release> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new(); // nearly always: no lock
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut *list)
    }
}
