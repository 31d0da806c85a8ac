//! A call that someone places to us, before it is answered.

use std::sync::Arc;

use bytes::Bytes;
use sip_message::{From, HeaderError, HeaderName, Request, Response, StatusCode, Uri};

use super::call::{CallBox, fields, sdp};
use super::command::{Command, Line, Release, Wait};
use super::{Call, CallControl, CallError, CallEvent, RequestError};
use crate::agent::lists;
use crate::{Body, CallKey, Caller, EndReason, Related, Sender};

/// Someone calls: ring, then accept or refuse. Each step consumes it, so that what cannot be done twice
/// cannot be written twice.
///
/// The 100 that stops the caller's retransmissions is sent without it, and so is the 480 after
/// [`AgentConfig::ringing_limit`](crate::AgentConfig::ringing_limit). When the caller gives up, the next
/// step gives [`CallError::Ended`] with [`EndReason::CancelledByPeer`]; [`ended`](Self::ended) waits for it.
///
/// **Dropping it refuses** the call by 480.
#[derive(Debug)]
#[must_use = "dropping an invitation refuses the call"]
pub struct Invitation {
    /// Taken when the invitation has its answer.
    control: Option<CallControl>,
    request: Arc<Request>,
    related: Option<Related>,
    sender: Sender,
}

impl Invitation {
    pub(super) fn new(
        call: Arc<CallBox>,
        request: Arc<Request>,
        sender: Sender,
        related: Option<Related>,
        line: Arc<Line>,
    ) -> Self {
        Self { control: Some(CallControl::new(call, line)), request, sender, related }
    }

    /// What is needed to answer it elsewhere.
    pub(super) fn parts(&self) -> Result<(CallKey, Arc<Request>, Sender), CallError> {
        // Answered before: not reached, since that consumes `self`.
        let control = self.control.as_ref().ok_or(CallError::Ended(EndReason::Local))?;
        if let Some(reason) = control.end_reason() {
            return Err(CallError::Ended(reason));
        }
        Ok((control.key(), Arc::clone(&self.request), self.sender.clone()))
    }

    /// It belongs to somebody else now.
    pub(super) fn answered_elsewhere(&mut self) {
        self.control = None;
    }

    /// The INVITE.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who sent the INVITE, whatever it says: from where, and who proved to be there.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Who calls and what may be shown of it: identity, privacy, diversions, and what else goes along with a call.
    pub fn caller(&self) -> Caller<'_> {
        Caller::new(&self.request, self.sender.is_trusted())
    }

    /// Who calls, as the INVITE says.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if From cannot be read as an address (its tag can).
    pub fn from(&self) -> Result<Option<From<'_>>, HeaderError> {
        self.request.get::<From<'_>>()
    }

    /// The call of ours that this one is to take the place of (RFC 3891): accepting this one ends that one, with
    /// [`EndReason::Replaced`]. Of the caller it is known that it knows the dialog, and
    /// [who it is](crate::UserAgentBuilder::authentication) where that is asked: if it takes more to be
    /// allowed to do this, refuse by 403.
    pub fn replaces(&self) -> Option<CallKey> {
        match self.related {
            Some(Related::Replaces(call)) => Some(call),
            _ => None,
        }
    }

    /// The call of ours that this one is to be joined with (RFC 3911), where `join` is among the supported
    /// extensions ([`AgentConfig::supported`](crate::AgentConfig::supported)). The mixing is the
    /// application's; one that cannot refuses by 488.
    pub fn joins(&self) -> Option<CallKey> {
        match self.related {
            Some(Related::Joins(call)) => Some(call),
            _ => None,
        }
    }

    /// Whether the caller supports an extension, or requires it: by its option tag, `100rel` or `precondition` say. Who
    /// cannot do without one refuses by 421, with a Require that names it (RFC 3261 §21.4.16).
    pub fn supports(&self, option_tag: &str) -> bool {
        let headers = self.request.headers();
        [HeaderName::Supported, HeaderName::Require]
            .into_iter()
            .any(|name| lists(headers, name, option_tag))
    }

    /// The session description that the caller offers; empty if it asks for ours.
    pub fn offer(&self) -> &[u8] {
        self.request.body()
    }

    /// What happens before the call is accepted: the caller acknowledges a provisional response
    /// ([`CallEvent::Acknowledged`]), or modifies the session by an UPDATE ([`CallEvent::Modification`]). The last is
    /// [`CallEvent::Ended`]; `None` after that. What is not asked for here comes from [`Call::next`]. Cancel safe.
    pub async fn next(&mut self) -> Option<CallEvent> {
        match &self.control {
            Some(control) => control.next_event().await,
            None => None,
        }
    }

    /// Offers the caller a change of the session by an UPDATE, as [`CallControl::update`] does: once its offer was
    /// answered reliably ([`progress`](Self::progress)), and if it takes UPDATE.
    ///
    /// # Errors
    ///
    /// As for [`CallControl::update`].
    pub async fn modify(&self, offer: impl Into<Bytes>) -> Result<Response, RequestError> {
        match &self.control {
            Some(control) => control.update(None, offer).await,
            None => Err(RequestError::Ended(EndReason::Local)),
        }
    }

    /// Says 180 Ringing.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn ring(self) -> Result<Self, CallError> {
        if let Some(wait) = self.say(StatusCode::RINGING, None)? {
            wait.await?;
        }
        Ok(self)
    }

    /// Says 183 Session Progress with this session description: early media. It is sent reliably if the caller supports
    /// that, and [`accept`](Self::accept) then needs no description.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn progress(self, answer: impl Into<Bytes>) -> Result<Self, CallError> {
        if let Some(wait) = self.say(StatusCode::SESSION_PROGRESS, sdp(answer))? {
            wait.await?;
        }
        Ok(self)
    }

    /// Says any provisional status from 101 to 199.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn provisional(
        self,
        status: StatusCode,
        body: Option<Body>,
    ) -> Result<Self, CallError> {
        if let Some(wait) = self.say(status, body)? {
            wait.await?;
        }
        Ok(self)
    }

    /// Says any provisional status from 101 to 199, with more header fields: Alert-Info, P-Early-Media (RFC 5009).
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn provisional_with(
        self,
        status: StatusCode,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Self, CallError> {
        if let Some(wait) = self.say_with(status, body, headers)? {
            wait.await?;
        }
        Ok(self)
    }

    fn say(&self, status: StatusCode, body: Option<Body>) -> Result<Option<Wait>, CallError> {
        self.say_with(status, body, &[])
    }

    fn say_with(
        &self,
        status: StatusCode,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Option<Wait>, CallError> {
        let Some(control) = &self.control else { return Ok(None) };
        let headers = fields(headers);
        control.order(Command::Ring { call: control.key(), status, body, headers })
    }

    /// Accepts by 200 with this session description: the answer, or the offer if the caller made none.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn accept(self, answer: impl Into<Bytes>) -> Result<Call, CallError> {
        let (call, wait) = self.pick_up(sdp(answer), &[])?;
        if let Some(wait) = wait {
            wait.await?;
        }
        Ok(call)
    }

    /// Accepts by 200 with a body of any type, or none, and more header fields.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn accept_with(
        self,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Call, CallError> {
        let (call, wait) = self.pick_up(body, headers)?;
        if let Some(wait) = wait {
            wait.await?;
        }
        Ok(call)
    }

    /// Orders the 200. Where there is no room yet, dropping the call refuses it, as it is not answered.
    fn pick_up(
        mut self,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<(Call, Option<Wait>), CallError> {
        // Answered before: not reached, since that consumes `self`.
        let control = self.control.take().ok_or(CallError::Ended(EndReason::Local))?;
        let headers = fields(headers);
        let wait = control.order(Command::Accept { call: control.key(), body, headers })?;
        Ok((Call::from_control(control), wait))
    }

    /// Refuses by this status, from 300 to 699.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn reject(self, status: StatusCode) -> Result<(), CallError> {
        self.reject_with(status, &[]).await
    }

    /// Refuses by this status, from 300 to 699, with more header fields (Retry-After, Warning).
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn reject_with(
        self,
        status: StatusCode,
        headers: &[(&str, &str)],
    ) -> Result<(), CallError> {
        self.reject_saying(status, None, headers).await
    }

    /// Refuses by this status, from 300 to 699, with a body: a 580 says by it which precondition cannot be met
    /// (RFC 3312 §8).
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn reject_saying(
        mut self,
        status: StatusCode,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<(), CallError> {
        if let Some(control) = &self.control {
            let (call, headers) = (control.key(), fields(headers));
            let command = Command::Reject { call, status, body, headers };
            if let Some(wait) = control.order(command)? {
                wait.await?;
            }
        }
        // Only now: a future that is dropped while it waits for room refuses, as a drop does.
        self.control = None;
        Ok(())
    }

    /// Sends the caller elsewhere: 302 with these addresses, the best first.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the caller has given up.
    pub async fn redirect(self, contacts: &[Uri<'_>]) -> Result<(), CallError> {
        let contacts: Vec<String> = contacts.iter().map(|contact| format!("<{contact}>")).collect();
        let headers: Vec<(&str, &str)> =
            contacts.iter().map(|contact| ("Contact", contact.as_str())).collect();
        self.reject_with(StatusCode::MOVED_TEMPORARILY, &headers).await
    }

    /// Waits until the call ends without our doing: the caller gave up, or it rang too long. Cancel safe.
    pub async fn ended(&mut self) -> EndReason {
        match &self.control {
            Some(control) => control.until_end().await,
            None => EndReason::Local,
        }
    }

    /// Why the call is over already; `None` while it waits for us.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.control.as_ref().and_then(CallControl::end_reason)
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.release(Release::Invitation(control.key()));
        }
    }
}
