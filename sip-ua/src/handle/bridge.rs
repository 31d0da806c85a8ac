//! Two calls that are one, while others may do without: see [`UserAgent::bridge`].

use std::future::poll_fn;
use std::sync::Arc;

use sip_message::{Request, Uri};

use super::command::{Command, Line, Release};
use super::mailbox::{Letter, Mailbox};
use super::{Call, CallError, Invitation, UserAgent};
use crate::{Account, BridgeKey, BridgeOptions, BridgeUpdate, CallKey, EndReason, Leg};
use crate::{AgentError, OutgoingCall, Sender};

/// What a [`Bridge`] shares with the shard.
#[derive(Debug)]
pub(super) struct BridgeBox {
    pub(super) key: BridgeKey,
    mail: Mailbox<BridgeUpdate, (Leg, EndReason)>,
}

impl BridgeBox {
    pub(super) fn new(key: BridgeKey) -> Arc<Self> {
        Arc::new(Self { key, mail: Mailbox::new() })
    }

    /// Posts what happened; gives whether it is the last.
    pub(super) fn post(&self, update: BridgeUpdate) -> bool {
        match update {
            BridgeUpdate::Ended { leg, reason } => {
                self.mail.end((leg, reason));
                true
            }
            update => {
                self.mail.push_latest(update);
                false
            }
        }
    }

    /// The shard has ended.
    pub(super) fn stop(&self) {
        self.mail.end((Leg::A, EndReason::Failed));
    }
}

/// What is to be tied together.
#[derive(Debug)]
pub(super) enum Ends {
    /// A call that came in, and one that is placed.
    Invitation { call: CallKey, request: Arc<Request>, sender: Sender, target: Uri<'static> },
    /// Two that are placed.
    Outgoing(Box<[OutgoingCall; 2]>),
    /// Two that are established.
    Established([CallKey; 2]),
}

/// Two calls tied together: see [`UserAgent::bridge`], [`UserAgent::dial`] and [`UserAgent::join`].
///
/// Whether or not anyone asks, what happens in one call goes on in the other.
///
/// **Dropping it hangs both up**, unless it was [let go](Self::detach).
#[derive(Debug)]
pub struct Bridge {
    bridge: Arc<BridgeBox>,
    line: Arc<Line>,
    detached: bool,
}

impl Bridge {
    pub(super) fn new(bridge: Arc<BridgeBox>, line: Arc<Line>) -> Self {
        Self { bridge, line, detached: false }
    }

    /// What happened next; `None` after [`BridgeUpdate::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<BridgeUpdate> {
        Some(match poll_fn(|cx| self.bridge.mail.poll_next(cx)).await? {
            Letter::Event(update) => update,
            Letter::End((leg, reason)) => BridgeUpdate::Ended { leg, reason },
        })
    }

    /// Waits until both calls are over: which leg ended first, and why. Cancel safe.
    pub async fn ended(&mut self) -> (Leg, EndReason) {
        loop {
            match self.next().await {
                Some(BridgeUpdate::Ended { leg, reason }) => return (leg, reason),
                Some(_) => {}
                // Over before: the last word is kept.
                None => return self.bridge.mail.ended().unwrap_or((Leg::A, EndReason::Failed)),
            }
        }
    }

    /// Ends both calls, however far they have come. Asks and does not wait.
    pub fn hang_up(&self) {
        self.line.release(Release::HangUpBridge(self.bridge.key));
    }

    /// Lets it go: the calls stay tied until one of their peers hangs up, and nobody here hears of it.
    pub fn detach(mut self) {
        self.detached = true;
        self.line.release(Release::LeaveBridge(self.bridge.key));
    }

    /// The number of the bridge, for logs: unique among those that live.
    pub fn key(&self) -> BridgeKey {
        self.bridge.key
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if !self.detached {
            self.line.release(Release::Bridge(self.bridge.key));
        }
    }
}

impl UserAgent {
    /// Ties a call that has come in to one that is placed to `target` now: a back-to-back user agent (RFC 7092). How it
    /// rings, early media, the answer, hold, texts, digits, and the end cross from one to the other; each leg keeps its
    /// own dialog, session timer and credentials. [`BridgeOptions`] says what else crosses.
    ///
    /// ```no_run
    /// # async fn serve(ua: sip_ua::UserAgent) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use sip_ua::{BridgeOptions, Incoming};
    ///
    /// let options = Arc::new(BridgeOptions::default());
    /// while let Some(incoming) = ua.incoming().await {
    ///     if let Incoming::Invitation(invitation) = incoming {
    ///         let target = "sip:bob@192.0.2.4;transport=tcp".parse()?;
    ///         ua.bridge(invitation, target, Arc::clone(&options)).await?.detach();
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the other call cannot be placed, the caller is told so, and the bridge is over at once.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] or [`CallError::Refused`] if the caller has given up.
    pub async fn bridge(
        &self,
        mut invitation: Invitation,
        target: Uri<'static>,
        options: impl Into<Arc<BridgeOptions>>,
    ) -> Result<Bridge, CallError> {
        let (call, request, sender) = invitation.parts()?;
        let tied =
            self.tie(Ends::Invitation { call, request, sender, target }, options.into()).await;
        if tied.is_ok() {
            invitation.answered_elsewhere();
        }
        tied
    }

    /// Calls two people and ties the calls together, the second when the first has answered (third party call control,
    /// RFC 3725). Where both are without a body, the first makes an offer that the second answers: flow I, for a
    /// second that answers at once. Where the first has a body without media ([`Body::no_media`](crate::Body::no_media)),
    /// the second makes the offer when it answers: flow IV, for people.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if the first cannot be called.
    pub async fn dial(
        &self,
        first: OutgoingCall,
        second: OutgoingCall,
        options: impl Into<Arc<BridgeOptions>>,
    ) -> Result<Bridge, CallError> {
        self.tie(Ends::Outgoing(Box::new([first, second])), options.into()).await
    }

    /// Ties two established calls together: the first is asked for an offer, which the second answers.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] unless both are established; both are hung up then.
    pub async fn join(
        &self,
        first: Call,
        second: Call,
        options: impl Into<Arc<BridgeOptions>>,
    ) -> Result<Bridge, CallError> {
        // Their handles are dropped when this is done: what belongs to a bridge is not hung up by that.
        self.tie(Ends::Established([first.key(), second.key()]), options.into()).await
    }

    async fn tie(&self, ends: Ends, options: Arc<BridgeOptions>) -> Result<Bridge, CallError> {
        let (ends, account) = (Box::new(ends), Arc::clone(self.account()));
        let tied = |tied| Command::Tie { ends, account, options, tied };
        let tied: Result<Bridge, AgentError> = self.line().ask(tied).await?;
        Ok(tied?)
    }
}

/// What the shard is told.
pub(super) type Tied = tokio::sync::oneshot::Sender<Result<Bridge, AgentError>>;

/// Who calls.
pub(super) type Caller = Arc<Account>;
