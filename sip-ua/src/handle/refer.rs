//! References and transfers: REFER, sent and received (RFC 3515, RFC 5589).

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use sip_message::{ReferTo, ReferredBy, Request, StatusCode, Uri};

use super::call::{CallControl, sdp};
use super::command::{Command, Fields, Line, ReferTarget, Release, Wait};
use super::mailbox::{Letter, Mailbox};
use super::{Call, CallError, Stopped};
use crate::{Account, Body, ReferKey, ReferOutcome, ReferUpdate, Sender};

/// What a [`Reference`] shares with the shard.
#[derive(Debug)]
pub(super) struct ReferBox {
    key: ReferKey,
    mail: Mailbox<StatusCode, ReferOutcome>,
}

impl ReferBox {
    pub(super) fn new(key: ReferKey) -> Arc<Self> {
        Arc::new(Self { key, mail: Mailbox::new() })
    }

    /// Posts what happened; gives whether it is the last.
    pub(super) fn post(&self, update: ReferUpdate) -> bool {
        match update {
            ReferUpdate::Progress(status) => self.mail.push_latest(status),
            ReferUpdate::Ended(outcome) => self.mail.end(outcome),
        }
        matches!(update, ReferUpdate::Ended(_))
    }
}

/// A REFER of ours on its way: see [`CallControl::refer`](crate::CallControl::refer) and
/// [`UserAgent::refer`](crate::UserAgent::refer).
///
/// **Dropping it** means nothing: what was asked for goes on, and nobody hears of it.
#[derive(Debug)]
pub struct Reference {
    refer: Arc<ReferBox>,
    line: Arc<Line>,
}

impl Reference {
    pub(super) fn new(refer: Arc<ReferBox>, line: Arc<Line>) -> Self {
        Self { refer, line }
    }

    /// What happened next; `None` after [`ReferUpdate::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<ReferUpdate> {
        Some(match poll_fn(|cx| self.refer.mail.poll_next(cx)).await? {
            Letter::Event(status) => ReferUpdate::Progress(status),
            Letter::End(outcome) => ReferUpdate::Ended(outcome),
        })
    }

    /// Waits for what comes of it. Cancel safe.
    pub async fn outcome(&mut self) -> ReferOutcome {
        loop {
            match self.next().await {
                Some(ReferUpdate::Ended(outcome)) => return outcome,
                Some(ReferUpdate::Progress(_)) => {}
                // Told before: the last word is kept.
                None => return self.refer.mail.ended().unwrap_or(ReferOutcome::Unreported),
            }
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.line.release(Release::Reference(self.refer.key));
    }
}

impl CallControl {
    /// Asks the peer to call `target` (REFER), and to report how that goes. The call itself goes on.
    ///
    /// # Errors
    ///
    /// [`AgentError::State`](crate::AgentError::State) unless the call is established.
    pub async fn refer(&self, target: Uri<'_>) -> Result<Reference, CallError> {
        self.refer_to(ReferTarget::Uri(Box::new(target.to_static())), Vec::new()).await
    }

    /// Transfers the call to `target` without asking there first (blind transfer, RFC 5589 §6): the peer calls
    /// it, and when it has answered, this call is hung up. With any other outcome the call is as it was, so
    /// that what was put on hold for this can be resumed.
    ///
    /// # Errors
    ///
    /// [`AgentError::State`](crate::AgentError::State) unless the call is established.
    pub async fn transfer(&self, target: Uri<'_>) -> Result<ReferOutcome, CallError> {
        let reference = self.refer(target).await?;
        Ok(self.hand_over(reference).await)
    }

    /// Transfers the call to the peer of `other`, another call of ours (attended transfer, RFC 5589 §7.3): the
    /// peer of this one takes our place in `other`, which ends thereby, and then this one is hung up. With any
    /// other outcome both calls are as they were.
    ///
    /// If `other` is still ringing at its callee, no one can take our place in it: it is cancelled first, and
    /// the transfer is a blind one to its callee (RFC 5589 §7.6).
    ///
    /// # Errors
    ///
    /// [`AgentError::State`](crate::AgentError::State) unless this call is established and `other` was placed
    /// or is established.
    pub async fn transfer_to(&self, other: &CallControl) -> Result<ReferOutcome, CallError> {
        let reference = self.refer_to(ReferTarget::PeerOf(other.key()), Vec::new()).await?;
        Ok(self.hand_over(reference).await)
    }

    async fn hand_over(&self, mut reference: Reference) -> ReferOutcome {
        let outcome = reference.outcome().await;
        if outcome.is_success() {
            self.hang_up();
        }
        outcome
    }

    async fn refer_to(&self, target: ReferTarget, headers: Fields) -> Result<Reference, CallError> {
        if let Some(reason) = self.end_reason() {
            return Err(CallError::Ended(reason));
        }
        let call = self.key();
        let begun =
            self.line().ask(|begun| Command::Refer { call, target, headers, begun }).await?;
        Ok(begun?)
    }
}

/// Someone asks us to call someone else (REFER): follow, do it by hand, or decline.
///
/// Nobody is called before the application has said so. One that waits too long is accepted towards its sender,
/// as the protocol wants it, and can still be followed or declined.
///
/// **Dropping it declines** by 603.
#[derive(Debug)]
#[must_use = "dropping a referral declines it"]
pub struct Referral {
    refer: ReferKey,
    request: Arc<Request>,
    sender: Sender,
    /// Taken when it has its answer.
    line: Option<Arc<Line>>,
}

impl Referral {
    pub(super) fn new(
        refer: ReferKey,
        request: Arc<Request>,
        sender: Sender,
        line: Arc<Line>,
    ) -> Self {
        Self { refer, request, sender, line: Some(line) }
    }

    /// The REFER.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who sent it: over which transport, and proven how.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Whom we are to call.
    pub fn target(&self) -> Option<Uri<'static>> {
        let target = self.request.get::<ReferTo<'_>>().ok().flatten()?;
        Some(target.uri().to_static())
    }

    /// Who says that they ask for it (RFC 3892). Nothing proves that.
    pub fn referred_by(&self) -> Option<Uri<'static>> {
        let by = self.request.get::<ReferredBy<'_>>().ok().flatten()?;
        Some(by.uri().to_static())
    }

    /// Calls whom the REFER names, offering this session description, and lets the one who asked know how it
    /// goes. What the Refer-To URI asks to be in the INVITE, Replaces above all, is in it.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if it does not ask for a call to a SIP URI, or the call cannot be placed; it is
    /// declined then.
    pub async fn follow(self, offer: impl Into<Bytes>) -> Result<Call, CallError> {
        self.follow_with(sdp(offer), None).await
    }

    /// The same with a body of any type, or none, and under another account.
    ///
    /// # Errors
    ///
    /// As for [`follow`](Self::follow).
    pub async fn follow_with(
        mut self,
        body: Option<Body>,
        account: Option<&Arc<Account>>,
    ) -> Result<Call, CallError> {
        let (refer, account) = (self.refer, account.cloned());
        let Some(line) = self.line.clone() else { return Err(Stopped.into()) };
        let placed = line.ask(|placed| Command::Follow { refer, account, body, placed }).await?;
        let call = placed?;
        self.line = None;
        Ok(call)
    }

    /// Accepts it for an application that does what is asked by itself.
    #[must_use = "dropping it reports a failure"]
    pub fn by_hand(mut self) -> Errand {
        Errand { refer: self.refer, line: self.line.take() }
    }

    /// Declines by this status, from 300 to 699; 603 is the usual one.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn decline(mut self, status: StatusCode) -> Result<(), Stopped> {
        if let Some(line) = &self.line
            && let Some(wait) = line.send(Command::Decline { refer: self.refer, status })?
        {
            wait.await?;
        }
        self.line = None;
        Ok(())
    }
}

impl Drop for Referral {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.release(Release::Referral(self.refer, StatusCode::DECLINE));
        }
    }
}

/// What a REFER asks for, while the application does it: see [`Referral::by_hand`].
///
/// **Dropping it** without a final status reports 503, the failure of RFC 3515 §2.4.5.
#[derive(Debug)]
pub struct Errand {
    refer: ReferKey,
    line: Option<Arc<Line>>,
}

impl Errand {
    /// Lets the one who asked know how far it has come. A final status is the last word.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn report(&mut self, status: StatusCode) -> Result<(), Stopped> {
        if let Some(wait) = self.say(status)? {
            wait.await?;
        }
        if status.is_final() {
            self.line = None;
        }
        Ok(())
    }

    fn say(&self, status: StatusCode) -> Result<Option<Wait>, Stopped> {
        let Some(line) = &self.line else { return Ok(None) };
        line.send(Command::Report { refer: self.refer, status })
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.release(Release::Referral(self.refer, StatusCode::SERVICE_UNAVAILABLE));
        }
    }
}
