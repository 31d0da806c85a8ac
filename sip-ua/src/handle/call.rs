//! A call: its events and what can be done with it.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Method, NameAddr, Reason, Request, Response, SessionId, StatusCode, Uri};
use sip_transaction::ServerKey;
use tokio::sync::oneshot;

use super::command::{Command, Fields, Line, Release, RequestParts, SendFailure, Wait};
use super::mailbox::{Letter, Mailbox};
use super::{CallError, IncomingRequest, Referral, RequestError};
use crate::{
    Account, Body, CallKey, CallSnapshot, CallUpdate, EarlyId, EndReason, OutgoingCall, ReferKey,
    Reliability, RequestFailure, Sender,
};

/// Something happened in a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallEvent {
    /// 180: the callee is being alerted.
    Ringing {
        /// Which of the callees, if a proxy forked the call.
        early: EarlyId,
        /// The response; with a body it brings early media.
        response: Response,
        /// As in [`CallEvent::Progress`].
        answer_owed: bool,
    },
    /// Another provisional response, 101 to 199 (183, say).
    Progress {
        /// Which of the callees, if a proxy forked the call.
        early: EarlyId,
        /// The response; with a body it brings early media.
        response: Response,
        /// Its body is an offer, for the call was placed without one: the callee waits for
        /// [`CallControl::answer_early`]. Without that the call is cancelled after
        /// [`AgentConfig::answer_guard`](crate::AgentConfig::answer_guard).
        answer_owed: bool,
    },
    /// 199: this callee rings no more, while others may (RFC 6228). Its early media is over.
    EarlyEnded {
        /// Which of the callees.
        early: EarlyId,
        /// The response; its Reason says why.
        response: Response,
    },
    /// The caller acknowledged a provisional response of ours that was sent reliably (RFC 3262).
    Acknowledged {
        /// The PRACK if it has a body: the answer, where the offer was ours.
        prack: Option<Request>,
    },
    /// The peer says why it hangs up (RFC 3326): the end follows.
    Reason {
        /// The Reason values of its BYE or CANCEL: at least one.
        reasons: Vec<Reason<'static>>,
    },
    /// The call goes on to another address, for it [follows redirections](CallBuilder::follow_redirects).
    Redirected {
        /// The address that is tried now; of a 305 still the same.
        to: Uri<'static>,
    },
    /// The PRACK to the provisional response that was told just before waits for a new offer, since the call was placed
    /// to [hold PRACKs](CallBuilder::hold_pracks): [`CallControl::offer_early`] sends it, and so does
    /// [`CallControl::answer_early`] with nothing to say.
    PrackHeld {
        /// Which of the callees.
        early: EarlyId,
    },
    /// The call was refused for now, and is placed again by itself when the refusal says
    /// ([`CallBuilder::retry_after`]). To hang up ends it at once.
    Postponed {
        /// When: Retry-After.
        wait: Duration,
        /// The refusal.
        response: Arc<Response>,
    },
    /// The callee accepted; its body is the answer to our offer, or its offer.
    Answered {
        /// The 2xx. It is acknowledged already, unless an answer is owed.
        response: Response,
        /// The call was placed without an offer, so that the callee makes one: it waits for
        /// [`CallControl::answer`]. Without that the call ends after
        /// [`AgentConfig::answer_guard`](crate::AgentConfig::answer_guard).
        answer_owed: bool,
    },
    /// The caller acknowledged that we accepted: now both know.
    Confirmed {
        /// The ACK if it has a body: the answer, where the offer was ours.
        ack: Option<Request>,
    },
    /// The peer wants to modify the session: hold, resume, another codec.
    Modification(Modification),
    /// The peer took its re-INVITE back before it was answered.
    ModificationWithdrawn,
    /// The peer acknowledged that we accepted its re-INVITE, which had no offer: ours was in what
    /// [`Modification::accept`] was given, and this is the answer.
    ModificationConfirmed {
        /// The ACK if it has a session description. `None` if the peer gave none, and then the session is what it was
        /// before.
        ack: Option<Request>,
    },
    /// The other end is somebody else now, or the one who answered says who that is (RFC 4916).
    Connected {
        /// Which of the callees, where a call of ours is not answered yet.
        early: Option<EarlyId>,
        /// Who From of their request says it is.
        identity: NameAddr<'static>,
    },
    /// The networks of this machine have changed ([`UserAgent::network_changed`](crate::UserAgent::network_changed)):
    /// offer the session anew by [`CallControl::reinvite`], with the addresses where media are received now.
    /// That also tells the peer where its requests reach us from now on; till then they may be lost.
    NetworkChanged,
    /// The peer sent a request within the call: MESSAGE, INFO and the like.
    Request(IncomingRequest),
    /// The peer asks us to call someone else: a transfer.
    Referred(Referral),
    /// The call is over. This is the last event, and it always comes.
    Ended(EndReason),
}

/// What waits in a call's mailbox: plain, so that a mailbox holds no handle on itself.
#[derive(Debug)]
pub(super) enum CallLetter {
    Update(CallUpdate),
    Request { key: ServerKey, request: Arc<Request>, sender: Sender },
    Referred { refer: ReferKey, request: Arc<Request>, sender: Sender },
}

/// What a call's handles share with the shard.
#[derive(Debug)]
pub(super) struct CallBox {
    pub(super) key: CallKey,
    pub(super) mail: Mailbox<CallLetter, EndReason>,
}

impl CallBox {
    pub(super) fn new(key: CallKey) -> Arc<Self> {
        Arc::new(Self { key, mail: Mailbox::new() })
    }
}

/// A call, placed by [`UserAgent::call`](crate::UserAgent::call) or accepted by
/// [`Invitation::accept`](crate::Invitation::accept).
///
/// [`next`](Self::next) tells what happens. Whether or not anyone asks, the protocol goes on: what must be
/// acknowledged, repeated or given up is. Only what asks for a decision waits for one
/// ([`CallEvent::Modification`], [`CallEvent::Request`]), and is refused when none comes. At most 64 events
/// wait; those on top are dropped ([`missed`](CallControl::missed)) or, if they are requests, refused. `Answered`,
/// `Confirmed` and `Ended` are never dropped.
///
/// What can be done with it is in [`CallControl`], to which this derefs.
///
/// **Dropping it hangs up**: a call that is not answered yet is cancelled.
#[derive(Debug)]
pub struct Call {
    control: CallControl,
}

impl Call {
    pub(super) fn new(call: Arc<CallBox>, line: Arc<Line>) -> Self {
        Self { control: CallControl { call, line } }
    }

    pub(super) fn from_control(control: CallControl) -> Self {
        Self { control }
    }

    /// The next event; `None` after [`CallEvent::Ended`]. May be dropped at any time without losing an
    /// event (it is cancel safe).
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.control.next_event().await
    }

    /// Waits until the call is over. Events until then are dropped unseen: re-INVITEs are refused by 488
    /// and other requests by 480,
    /// and references are declined.
    pub async fn ended(&mut self) -> EndReason {
        self.control.until_end().await
    }

    /// A handle for another task, to act on the call while this one waits for events.
    pub fn control(&self) -> CallControl {
        self.control.clone()
    }
}

impl Deref for Call {
    type Target = CallControl;

    fn deref(&self) -> &CallControl {
        &self.control
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.control.line.release(Release::Call(self.control.call.key));
    }
}

/// What can be done with a call. Cheap to clone; dropping it means nothing.
#[derive(Clone, Debug)]
pub struct CallControl {
    call: Arc<CallBox>,
    line: Arc<Line>,
}

impl CallControl {
    pub(super) fn new(call: Arc<CallBox>, line: Arc<Line>) -> Self {
        Self { call, line }
    }

    /// Ends the call the way its state wants: CANCEL before the answer, BYE after it. Asks and does not
    /// wait: the end comes as [`CallEvent::Ended`]. Of a call that is over nothing comes.
    pub fn hang_up(&self) {
        if self.end_reason().is_none() {
            self.line.release(Release::HangUp(self.call.key));
        }
    }

    /// The same, and says why in what ends the call, be it CANCEL, BYE or a refusal (RFC 3326).
    ///
    /// ```no_run
    /// # fn end(call: &sip_ua::CallControl) -> Result<(), sip_message::HeaderError> {
    /// use sip_message::{Reason, StatusCode};
    ///
    /// call.hang_up_with(&Reason::sip(StatusCode::OK).with_text("Call completed elsewhere")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hang_up_with(&self, reason: &Reason<'_>) {
        if self.end_reason().is_none() {
            let reason = Box::new(reason.to_static());
            self.line.release(Release::HangUpWith(self.call.key, reason));
        }
    }

    /// What is needed to go on with the established call after a restart:
    /// [`UserAgent::restore`](crate::UserAgent::restore).
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] unless the call is established and no re-INVITE is in progress.
    pub async fn snapshot(&self) -> Result<CallSnapshot, CallError> {
        let call = self.call.key;
        Ok(self.line.ask(|taken| Command::Snapshot { call, taken }).await??)
    }

    /// Which communication session the call belongs to (Session-ID, RFC 7989): our UUID and the peer's, as the next
    /// request of ours would say it. `None` where none is said
    /// ([`AgentConfig::session_ids`](crate::AgentConfig::session_ids)), or the call is over.
    ///
    /// # Errors
    ///
    /// [`CallError::Stopped`] if the user agent is gone.
    pub async fn session_id(&self) -> Result<Option<SessionId<'static>>, CallError> {
        let call = self.call.key;
        Ok(self.line.ask(|told| Command::SessionId { call, told }).await?)
    }

    /// Names this as our end of the call from now on, and says so to the peer (RFC 4916): who was transferred to us, say,
    /// or the one of several who answered.
    ///
    /// # Errors
    ///
    /// [`AgentError::NoFromChange`](crate::AgentError::NoFromChange) if the peer has not said that it is ready for that,
    /// or we do not ([`AgentConfig::connected_identity`](crate::AgentConfig::connected_identity));
    /// [`AgentError::State`](crate::AgentError::State) while the call is not established, and
    /// [`AgentError::Busy`](crate::AgentError::Busy) while another request of ours modifies the session.
    pub async fn change_identity(&self, identity: &NameAddr<'_>) -> Result<(), CallError> {
        let (call, identity) = (self.call.key, Box::new(identity.to_static()));
        self.deliver(|sent| Command::ChangeIdentity { call, identity, sent }).await
    }

    /// Offers a change of the session by a re-INVITE with this session description (hold, resume), or
    /// asks the peer for its offer when `offer` is empty. Gives the 2xx; if its body is the peer's offer,
    /// that waits for [`answer`](Self::answer). A collision with a re-INVITE of the peer (491) is tried again
    /// by itself (RFC 3261 §14.1).
    ///
    /// # Errors
    ///
    /// [`RequestFailure::Refused`] holds the response when the peer refused: the session is as it was.
    /// [`AgentError::State`](crate::AgentError::State) while the call is not established, and
    /// [`AgentError::Busy`](crate::AgentError::Busy) while another re-INVITE is in progress, one of the peer
    /// that we answered or refused and whose ACK has not come included.
    pub async fn reinvite(&self, offer: impl Into<Bytes>) -> Result<Response, RequestError> {
        let body = sdp(offer);
        let call = self.call.key;
        self.ask(|answer| Command::Reinvite { call, body, answer }).await
    }

    /// Offers a change of the session in the way that fits: by a re-INVITE once the call is answered, as
    /// [`reinvite`](Self::reinvite) does, and by an UPDATE before, as [`update`](Self::update) does.
    ///
    /// # Errors
    ///
    /// As theirs.
    pub async fn modify(&self, offer: impl Into<Bytes>) -> Result<Response, RequestError> {
        let (call, body) = (self.call.key, sdp(offer));
        self.ask(|answer| Command::Modify { call, body, answer }).await
    }

    /// Offers a change of the session by an UPDATE (RFC 3311), which the peer answers at once and without asking
    /// anybody; with an empty `offer` it says no more than where we are reached. Before the call is answered `early`
    /// says to which callee; `None` is the first that can take it. A collision (491) is tried again by itself.
    ///
    /// # Errors
    ///
    /// [`RequestFailure::Refused`] holds the response when the peer refused: the session is as it was.
    /// [`AgentError::NotAllowed`](crate::AgentError::NotAllowed) if the peer does not know UPDATE,
    /// [`AgentError::Offer`](crate::AgentError::Offer) while the last offer has no answer, and
    /// [`AgentError::Busy`](crate::AgentError::Busy) while another request of ours modifies the session.
    pub async fn update(
        &self,
        early: Option<EarlyId>,
        offer: impl Into<Bytes>,
    ) -> Result<Response, RequestError> {
        let (call, body) = (self.call.key, sdp(offer));
        self.ask(|answer| Command::Update { call, early, body, answer }).await
    }

    /// Answers the offer in a provisional response ([`CallEvent::Progress`] with `answer_owed`) to a call of ours that
    /// made none: the answer goes in the PRACK. `early` says which callee; `None` is the one that has waited longest.
    ///
    /// # Errors
    ///
    /// [`AgentError::NoOffer`](crate::AgentError::NoOffer) if no answer is owed, [`CallError::Ended`] if the
    /// call is over.
    pub async fn answer_early(
        &self,
        early: Option<EarlyId>,
        answer: impl Into<Bytes>,
    ) -> Result<(), CallError> {
        let (call, body) = (self.call.key, sdp(answer));
        self.deliver(|sent| Command::AnswerEarly { call, early, body, sent }).await
    }

    /// Makes a new offer in the PRACK that waits for one ([`CallEvent::PrackHeld`]), and gives the 2xx with the answer.
    /// `early` says to which callee; `None` is the one that has waited longest.
    ///
    /// # Errors
    ///
    /// [`RequestFailure::Refused`] holds the response when the peer refused: the session is as it was.
    /// [`AgentError::NoOffer`](crate::AgentError::NoOffer) if no PRACK waits,
    /// [`AgentError::Busy`](crate::AgentError::Busy) while another request of ours modifies the session.
    pub async fn offer_early(
        &self,
        early: Option<EarlyId>,
        offer: impl Into<Bytes>,
    ) -> Result<Response, RequestError> {
        let (call, body) = (self.call.key, Body::sdp(offer));
        self.ask(|answer| Command::OfferEarly { call, early, body, answer }).await
    }

    /// Answers the peer's offer in the 2xx to a call or re-INVITE of ours that made none: the answer goes with
    /// the ACK, for which the peer waits (RFC 3261 §13.2.1). Who does not like the offer answers it all the
    /// same and hangs up.
    ///
    /// # Errors
    ///
    /// [`AgentError::NoOffer`](crate::AgentError::NoOffer) if no answer is owed, [`CallError::Ended`] if the
    /// call is over.
    pub async fn answer(&self, answer: impl Into<Bytes>) -> Result<(), CallError> {
        let (call, body) = (self.call.key, sdp(answer));
        self.deliver(|sent| Command::Acknowledge { call, body, sent }).await
    }

    async fn deliver(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), crate::AgentError>>) -> Command,
    ) -> Result<(), CallError> {
        if let Some(reason) = self.end_reason() {
            return Err(CallError::Ended(reason));
        }
        let sent = self.line.ask(command).await?;
        sent.map_err(|error| match (error, self.end_reason()) {
            (crate::AgentError::Gone, Some(reason)) => CallError::Ended(reason),
            (error, _) => error.into(),
        })
    }

    /// Sends a request within the call and waits for its final response, whatever its status.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why no response came.
    pub async fn send(
        &self,
        method: Method,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Response, RequestError> {
        let request = Box::new(RequestParts { method, body, headers: fields(headers) });
        let call = self.call.key;
        self.ask(|answer| Command::Send { call, request, answer }).await
    }

    /// Sends a text within the call (MESSAGE, RFC 3428) and waits for the final response.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub async fn message(&self, text: impl Into<String>) -> Result<Response, RequestError> {
        self.send(Method::Message, Some(Body::text(text)), &[]).await
    }

    /// Sends an INFO of this package (RFC 6086) and waits for the final response.
    ///
    /// # Errors
    ///
    /// [`AgentError::Package`](crate::AgentError::Package) if the peer has not said that it wants it; else as for
    /// [`send`](Self::send).
    pub async fn info(
        &self,
        package: impl Into<String>,
        body: Option<Body>,
    ) -> Result<Response, RequestError> {
        let (call, package) = (self.call.key, package.into());
        self.ask(|answer| Command::Info { call, package, body, answer }).await
    }

    /// Sends these digits, one INFO each, as devices do it: `application/dtmf-relay`, of the package `dtmf`
    /// where the peer wants that. What is no digit (0-9, `*`, `#`, A-D) is left out. Waits for the answer to
    /// each before the next goes, and stops at the first that is refused; gives the last answer, or `None`
    /// where there was no digit.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub async fn dtmf(&self, digits: &str) -> Result<Option<Response>, RequestError> {
        let mut last = None;
        for digit in digits.chars().filter(|digit| is_dtmf(*digit)) {
            let text = format!("Signal={}\r\nDuration=160\r\n", digit.to_ascii_uppercase());
            let body = || Some(Body::new("application/dtmf-relay", text.clone().into_bytes()));
            let response = match self.info("dtmf", body()).await {
                Err(RequestError::Refused(crate::AgentError::Package)) => {
                    self.send(Method::Info, body(), &[]).await?
                }
                other => other?,
            };
            let refused = !response.status().is_success();
            last = Some(response);
            if refused {
                break;
            }
        }
        Ok(last)
    }

    /// Why the call is over; `None` while it is not.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.call.mail.ended()
    }

    /// How many events were dropped because 64 of them waited.
    pub fn missed(&self) -> u32 {
        self.call.mail.dropped()
    }

    /// The number of the call, for logs: unique among the calls that live.
    pub fn key(&self) -> CallKey {
        self.call.key
    }

    /// Hands the command over, unless the call is over; what is given waits for room.
    pub(super) fn order(&self, command: Command) -> Result<Option<Wait>, CallError> {
        if let Some(reason) = self.end_reason() {
            return Err(CallError::Ended(reason));
        }
        Ok(self.line.send(command)?)
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub(super) fn release(&self, release: Release) {
        self.line.release(release);
    }

    /// For the one reader that there is: the owner of the [`Call`] or [`Invitation`](crate::Invitation).
    pub(super) async fn next_event(&self) -> Option<CallEvent> {
        let letter = poll_fn(|cx| self.call.mail.poll_next(cx)).await?;
        Some(match letter {
            Letter::Event(letter) => self.open(letter),
            Letter::End(reason) => CallEvent::Ended(reason),
        })
    }

    pub(super) async fn until_end(&self) -> EndReason {
        loop {
            match self.next_event().await {
                Some(CallEvent::Ended(reason)) => return reason,
                Some(_) => {}
                // Over before: the last word is kept.
                None => return self.end_reason().unwrap_or(EndReason::Failed),
            }
        }
    }

    async fn ask(
        &self,
        command: impl FnOnce(super::command::Answer) -> Command,
    ) -> Result<Response, RequestError> {
        if let Some(reason) = self.end_reason() {
            return Err(RequestError::Ended(reason));
        }
        let answer = self.line.ask(command).await?;
        answer.map_err(|failure| match (failure, self.end_reason()) {
            (
                SendFailure::Failed(RequestFailure::CallEnded)
                | SendFailure::Refused(crate::AgentError::Gone),
                Some(reason),
            ) => RequestError::Ended(reason),
            (failure, _) => failure.into(),
        })
    }

    /// Makes of what lay in the mailbox what the user gets.
    fn open(&self, letter: CallLetter) -> CallEvent {
        match letter {
            CallLetter::Update(update) => match update {
                CallUpdate::Redirected { to } => CallEvent::Redirected { to },
                CallUpdate::Reason { reasons } => CallEvent::Reason { reasons },
                CallUpdate::Ringing { early, response, answer_owed } => {
                    CallEvent::Ringing { early, response, answer_owed }
                }
                CallUpdate::Progress { early, response, answer_owed } => {
                    CallEvent::Progress { early, response, answer_owed }
                }
                CallUpdate::EarlyEnded { early, response } => {
                    CallEvent::EarlyEnded { early, response }
                }
                CallUpdate::PrackHeld { early } => CallEvent::PrackHeld { early },
                CallUpdate::Acknowledged { prack } => CallEvent::Acknowledged { prack },
                CallUpdate::Answered { response, answer_owed } => {
                    CallEvent::Answered { response, answer_owed }
                }
                CallUpdate::Confirmed { ack } => CallEvent::Confirmed { ack },
                CallUpdate::Modification { early, request } => {
                    CallEvent::Modification(Modification::new(self.clone(), early, request))
                }
                CallUpdate::ModificationConfirmed { ack } => {
                    CallEvent::ModificationConfirmed { ack }
                }
                CallUpdate::ModificationWithdrawn => CallEvent::ModificationWithdrawn,
                CallUpdate::NetworkChanged => CallEvent::NetworkChanged,
                CallUpdate::Postponed { wait, response } => CallEvent::Postponed { wait, response },
                CallUpdate::Connected { early, identity } => {
                    CallEvent::Connected { early, identity }
                }
                CallUpdate::Ended(reason) => CallEvent::Ended(reason),
                // The desk hands these to the task that waits for them, and posts neither.
                CallUpdate::Modified { .. } | CallUpdate::ModificationFailed { .. } => {
                    CallEvent::ModificationWithdrawn
                }
            },
            CallLetter::Referred { refer, request, sender } => {
                let line = Arc::clone(&self.line);
                CallEvent::Referred(Referral::new(refer, request, sender, line))
            }
            CallLetter::Request { key, request, sender } => {
                let line = Arc::clone(&self.line);
                CallEvent::Request(IncomingRequest::new(key, request, sender, line))
            }
        }
    }
}

/// The peer's wish to modify the session (RFC 3261 §14), waiting for an answer.
///
/// **Dropping it refuses** by 488: the session stays as it was. An answer that comes later than
/// [`AgentConfig::modification_guard`](crate::AgentConfig::modification_guard) is too late and has no effect.
#[derive(Debug)]
pub struct Modification {
    control: Option<CallControl>,
    early: Option<EarlyId>,
    request: Arc<Request>,
}

impl Modification {
    fn new(control: CallControl, early: Option<EarlyId>, request: Arc<Request>) -> Self {
        Self { control: Some(control), early, request }
    }

    /// Which of the callees asks, where a call of ours is not answered yet.
    pub fn early(&self) -> Option<EarlyId> {
        self.early
    }

    /// The request that asks for it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// How the peer asks: by a re-INVITE, an UPDATE or a PRACK. The answer to the last two must not wait for a
    /// person (RFC 3311 §5.2).
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// The session description that the peer offers; empty if it asks for ours.
    pub fn offer(&self) -> &[u8] {
        self.request.body()
    }

    /// Accepts by 200 with this session description.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the call is over.
    pub async fn accept(mut self, answer: impl Into<Bytes>) -> Result<(), CallError> {
        if let Some(wait) = self.answer(StatusCode::OK, sdp(answer))? {
            wait.await?;
        }
        self.control = None;
        Ok(())
    }

    /// Refuses by this status: the session stays as it was. 488 is the usual one.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the call is over.
    pub async fn reject(self, status: StatusCode) -> Result<(), CallError> {
        self.reject_saying(status, None).await
    }

    /// Refuses by this status with a body: a 580 says by it which precondition cannot be met (RFC 3312 §8).
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] if the call is over.
    pub async fn reject_saying(
        mut self,
        status: StatusCode,
        body: Option<Body>,
    ) -> Result<(), CallError> {
        if let Some(wait) = self.answer(status, body)? {
            wait.await?;
        }
        self.control = None;
        Ok(())
    }

    /// Orders the answer. The caller takes `control` when that is done and not before: a future that is
    /// dropped while it waits for room refuses, as a drop does.
    fn answer(&self, status: StatusCode, body: Option<Body>) -> Result<Option<Wait>, CallError> {
        let Some(control) = &self.control else { return Ok(None) };
        let call = control.call.key;
        control.order(Command::AnswerModification { call, status, body })
    }
}

impl Drop for Modification {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.release(Release::Modification(control.call.key));
        }
    }
}

/// A call about to be placed: see [`UserAgent::call`](crate::UserAgent::call).
#[derive(Debug)]
#[must_use = "nothing is sent before `start`"]
pub struct CallBuilder {
    line: Arc<Line>,
    account: Arc<Account>,
    call: Box<OutgoingCall>,
}

impl CallBuilder {
    pub(super) fn new(line: Arc<Line>, account: Arc<Account>, to: Uri<'static>) -> Self {
        Self { line, account, call: Box::new(OutgoingCall::to(to)) }
    }

    /// The session description to offer. Without one the callee is asked for its offer, and waits for
    /// [`CallControl::answer`].
    pub fn offer(self, sdp: impl Into<Bytes>) -> Self {
        self.body(Body::sdp(sdp))
    }

    /// A body of any type.
    pub fn body(mut self, body: Body) -> Self {
        self.call.body = Some(body);
        self
    }

    /// One more header field for the INVITE, by its type: see [`OutgoingCall::with`].
    pub fn with<'h, H: sip_message::Header<'h>>(mut self, header: &H) -> Self {
        *self.call = (*self.call).with(header);
        self
    }

    /// One more header field for the INVITE.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.headers.push((name.into(), value.into()));
        self
    }

    /// Whether provisional responses are wanted reliably (RFC 3262), if not as the account has it.
    pub fn reliable(mut self, reliable: Reliability) -> Self {
        self.call.reliable = Some(reliable);
        self
    }

    /// Has PRACKs wait for new offers: see [`OutgoingCall::hold_pracks`].
    pub fn hold_pracks(mut self) -> Self {
        self.call.hold_pracks = true;
        self
    }

    /// Places the call again by itself when a refusal says when: see [`OutgoingCall::retry_after`].
    pub fn retry_after(mut self, times: u8, longest: Duration) -> Self {
        self.call.retry_after = Some((times, longest));
        self
    }

    /// Says where the call is sent (History-Info, RFC 7044): see [`OutgoingCall::with_history`].
    pub fn with_history(mut self) -> Self {
        *self.call = (*self.call).with_history();
        self
    }

    /// Follows redirections to as many addresses as this: see [`OutgoingCall::follow_redirects`].
    pub fn follow_redirects(mut self, addresses: u8) -> Self {
        self.call.redirects = addresses;
        self
    }

    /// One more body to offer where one is refused by 413 or 415: see [`OutgoingCall::alternative`].
    pub fn alternative(mut self, body: Body) -> Self {
        self.call.alternatives.push(body);
        self
    }

    /// The account that calls, if it is not the user agent's own.
    pub fn account(mut self, account: &Arc<Account>) -> Self {
        self.account = Arc::clone(account);
        self
    }

    /// Places the call: the INVITE is on its way when this returns. If it is dropped before, there is no
    /// call.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if the address or a header field cannot be sent, or a limit is reached.
    pub async fn start(self) -> Result<Call, CallError> {
        let Self { line, account, call } = self;
        let placed = line.ask(|placed| Command::Call { account, call, placed }).await?;
        Ok(placed?)
    }
}

/// Whether this is a key of a telephone.
fn is_dtmf(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d')
}

/// A session description as a body; no bytes are no body.
pub(super) fn sdp(bytes: impl Into<Bytes>) -> Option<Body> {
    let bytes = bytes.into();
    (!bytes.is_empty()).then(|| Body::sdp(bytes))
}

pub(super) fn fields(headers: &[(&str, &str)]) -> Fields {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl From<SendFailure> for RequestError {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Refused(error) => Self::Refused(error),
            SendFailure::Failed(failure) => Self::Failed(failure),
        }
    }
}
