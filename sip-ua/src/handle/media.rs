//! Calls whose offers and answers are made by a media engine, with no hand of the application in it: the feature `sdp`.
//!
//! ```text
//!   UserAgent::call() -> CallBuilder::start_with(engine) --> MediaCall --next()--> what is left for the application
//!   Incoming::Invitation -> Invitation::with(engine) --> MediaInvitation --accept()--> MediaCall
//! ```
//!
//! | what happens                                   | what the engine is asked                                     |
//! | ---------------------------------------------- | ----------------------------------------------------------- |
//! | a callee answers, early and reliably or by 2xx  | `take_answer`, of a `fork` where there may be other callees  |
//! | an unreliable answer, which is a preview        | `take_answer` of a `fork`; without forks the 2xx is waited for |
//! | re-INVITE, UPDATE or PRACK with an offer         | `answer`, and its refusal becomes the response               |
//! | re-INVITE without an offer                      | `answer` of nothing, then `take_answer` or `roll_back`       |
//! | our own change is answered, refused or lost      | `take_answer` or `roll_back`                                |
//! | `owes_offer` of the engine                      | `offer`, in an UPDATE or re-INVITE                          |
//!
//! The agent's core knows nothing of it: this is an application of the handles.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{HeaderName, Response, StatusCode};
use sip_sdp::{OfferAnswer, Refusal};

use super::{
    Call, CallBuilder, CallControl, CallError, CallEvent, Invitation, Modification, RequestError,
};
use crate::agent::{are_mandatory, describes_session, lists};
use crate::{AgentError, Body, EarlyId, EndReason};

/// Callees of one call whose early sessions are kept: the answers of those beyond are taken with the 2xx.
const MAX_EARLY: usize = 16;

/// How long an offer that nobody asked for waits at first where another exchange is under way, and at last.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a call with a media engine could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The engine has no offer or no answer, or does not take the peer's.
    #[error("the media engine refuses with {}", .0.status.as_u16())]
    Media(Refusal),
    /// Another change of the session is under way.
    #[error("another change of the session is under way")]
    Busy,
    /// The call could not be placed, or is over.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The change of the session failed: it is as it was.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A change of ours that is under way, and in which early session.
type Change = Pin<Box<dyn Future<Output = Result<Response, RequestError>> + Send>>;

/// A call whose offers and answers are made by a media engine: [`CallBuilder::start_with`] and
/// [`MediaInvitation::accept`] give one.
///
/// [`next`](Self::next) has to be awaited for the engine to be asked: what it can deal with is not told, all else is.
/// **Dropping it hangs up**, as it does with [`Call`], to whose [`CallControl`] this derefs. A change of the session
/// goes by [`modify`](Self::modify): who sends one past the engine confuses it.
///
/// ```no_run
/// use sip_sdp::{Codec, Hold, MediaSession, Medium};
/// use sip_ua::{CallEvent, MediaError, UserAgent};
///
/// # async fn talk(ua: UserAgent, bob: sip_message::Uri<'static>) -> Result<(), MediaError> {
/// let audio = Medium::audio().codec(Codec::PCMU).at(40_000);
/// let session = MediaSession::new(4711, [192, 0, 2, 1].into()).stream(audio);
/// let mut call = ua.call(bob).start_with(session).await?;
/// while let Some(event) = call.next().await {
///     if let CallEvent::Answered { .. } = event {
///         println!("media goes to {:?}", call.media().agreed(0).map(|audio| &audio.remote));
///         call.media_mut().hold(Hold::Silent);
///         call.modify().await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct MediaCall<M> {
    call: Call,
    media: M,
    /// The sessions of callees that have answered early, while there is no 2xx.
    early: Vec<Early<M>>,
    /// Our change that is under way, and with which callee.
    change: Option<(Option<EarlyId>, Change)>,
    /// Our first offer has no answer that counts.
    offering: bool,
    /// What the engine wants to say by itself was refused: it is not said again before something is new.
    refused: bool,
}

struct Early<M> {
    id: EarlyId,
    tag: String,
    /// Of an engine that has one session only it is the call's.
    media: Option<M>,
    /// The description was no more than a preview.
    preview: Option<Bytes>,
}

impl CallBuilder {
    /// Places the call with the offer of a media engine, which deals with all that comes of it.
    ///
    /// # Errors
    ///
    /// [`MediaError::Media`] if the engine has no offer, else as for [`start`](Self::start).
    pub async fn start_with<M: OfferAnswer>(
        self,
        mut media: M,
    ) -> Result<MediaCall<M>, MediaError> {
        let offer = media.offer().map_err(MediaError::Media)?;
        let call = self.offer(offer).start().await?;
        Ok(MediaCall::new(call, media, true))
    }
}

impl<M: OfferAnswer> MediaCall<M> {
    fn new(call: Call, media: M, offering: bool) -> Self {
        Self { call, media, early: Vec::new(), change: None, offering, refused: false }
    }

    /// The engine: once the call is answered that of its callee, before that the one whose offer waits.
    pub fn media(&self) -> &M {
        &self.media
    }

    /// The same, to be told what is wanted: [`modify`](Self::modify) makes it known to the peer.
    pub fn media_mut(&mut self) -> &mut M {
        self.refused = false;
        &mut self.media
    }

    /// The engine's session with one of the callees of a call that is not answered yet.
    pub fn early_media(&self, early: EarlyId) -> Option<&M> {
        let found = self.early.iter().find(|of| of.id == early)?;
        Some(found.media.as_ref().unwrap_or(&self.media))
    }

    /// The same, to be told what is reserved, say.
    pub fn early_media_mut(&mut self, early: EarlyId) -> Option<&mut M> {
        self.refused = false;
        let found = self.early.iter_mut().find(|of| of.id == early)?;
        Some(found.media.as_mut().unwrap_or(&mut self.media))
    }

    /// The next event that the engine could not deal with; `None` after [`CallEvent::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<CallEvent> {
        loop {
            self.offer_what_is_owed();
            let event = match self.next_of_both().await {
                Ok(event) => event,
                Err(result) => {
                    // What the engine makes of it, it has been told.
                    let _ = self.changed(result);
                    continue;
                }
            };
            if let Some(event) = self.deal_with(event?).await {
                return Some(event);
            }
        }
    }

    /// The next event, or what became of our change.
    async fn next_of_both(&mut self) -> Result<Option<CallEvent>, Result<Response, RequestError>> {
        let Some((_, change)) = &mut self.change else { return Ok(self.call.next().await) };
        let mut next = std::pin::pin!(self.call.next());
        poll_fn(|context| {
            if let Poll::Ready(event) = next.as_mut().poll(context) {
                return Poll::Ready(Ok(event));
            }
            change.as_mut().poll(context).map(Err)
        })
        .await
    }

    /// Offers the peer what the engine wants now, in the way that fits, and tells the engine what comes of it. If this is
    /// dropped before, [`next`](Self::next) does that.
    ///
    /// # Errors
    ///
    /// [`MediaError::Busy`] while another is under way, [`MediaError::Media`] if the engine has no offer or does not take
    /// the answer, else as for [`CallControl::modify`]: the session is then as it was.
    pub async fn modify(&mut self) -> Result<(), MediaError> {
        if self.change.is_some() {
            return Err(MediaError::Busy);
        }
        self.begin(None, false).map_err(MediaError::Media)?;
        let change = &mut self.change;
        let result = poll_fn(|context| match change {
            Some((_, change)) => change.as_mut().poll(context),
            None => Poll::Ready(Err(RequestError::Ended(EndReason::Local))),
        });
        let result = result.await;
        self.changed(result)
    }

    /// `patient` waits while another exchange is under way.
    fn begin(&mut self, early: Option<EarlyId>, patient: bool) -> Result<(), Refusal> {
        let control = self.call.control();
        let offer = self.session(early).offer()?;
        let change = async move {
            let mut pause = PAUSE;
            loop {
                let result = match early {
                    Some(_) => control.update(early, offer.clone()).await,
                    None => control.modify(offer.clone()).await,
                };
                match result {
                    // RFC 3312 §7: "as soon as allowed by the SIP offer/answer rules"
                    Err(RequestError::Refused(AgentError::Offer(_) | AgentError::Busy))
                        if patient && pause <= LONGEST_PAUSE =>
                    {
                        tokio::time::sleep(pause).await;
                        pause = pause.saturating_mul(2);
                    }
                    result => return result,
                }
            }
        };
        self.change = Some((early, Box::pin(change)));
        Ok(())
    }

    /// Sends by itself what the engine has to say.
    fn offer_what_is_owed(&mut self) {
        if self.refused || self.change.is_some() || self.call.end_reason().is_some() {
            return;
        }
        let owes = |of: &&Early<M>| of.media.as_ref().is_some_and(OfferAnswer::owes_offer);
        let early = self.early.iter().find(owes).map(|of| Some(of.id));
        let is_answered = !self.offering || self.early.iter().any(|of| of.media.is_none());
        let own = (is_answered && self.media.owes_offer()).then_some(None);
        if let Some(of) = early.or(own) {
            self.refused = self.begin(of, true).is_err();
        }
    }

    fn changed(&mut self, result: Result<Response, RequestError>) -> Result<(), MediaError> {
        let early = self.change.take().and_then(|(early, _)| early);
        let session = self.session(early);
        match result {
            Ok(response) => session.take_answer(response.body()).map_err(MediaError::Media),
            Err(error) => {
                session.roll_back();
                self.refused = true;
                Err(error.into())
            }
        }
    }

    /// The session with one callee, or the call's.
    fn session(&mut self, early: Option<EarlyId>) -> &mut M {
        let found = self.early.iter_mut().find(|of| Some(of.id) == early);
        found.and_then(|of| of.media.as_mut()).unwrap_or(&mut self.media)
    }

    /// What the engine can deal with; gives back what the application is to be told.
    async fn deal_with(&mut self, event: CallEvent) -> Option<CallEvent> {
        match &event {
            CallEvent::Ringing { early, response, answer_owed: false }
            | CallEvent::Progress { early, response, answer_owed: false } => {
                self.answered_early(*early, response);
            }
            CallEvent::EarlyEnded { early, .. } => self.early.retain(|of| of.id != *early),
            CallEvent::Answered { response, answer_owed: false } => self.answered(response),
            CallEvent::Confirmed { ack } if self.offering => {
                self.offering = false;
                self.take_answer(ack.as_ref().map(|ack| ack.body()));
            }
            CallEvent::ModificationConfirmed { ack } => {
                match ack {
                    Some(ack) => self.take_answer(Some(ack.body())),
                    None => self.media.roll_back(),
                }
                return None;
            }
            CallEvent::Modification(_) => {
                let CallEvent::Modification(modification) = event else { return None };
                self.refused = false;
                let session = self.session(modification.early());
                // An error means that the call is over, as the next event says.
                let _ = answer(session, modification).await;
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    fn answered_early(&mut self, early: EarlyId, response: &Response) {
        if !describes_session(response.headers(), response.body()) {
            return;
        }
        let is_reliable = lists(response.headers(), HeaderName::Require, "100rel");
        let known = self.early.iter().position(|of| of.id == early);
        if let Some(of) = known.and_then(|at| self.early.get_mut(at)) {
            match &of.preview {
                // Answered for good, or the same once more.
                None => return,
                Some(said) if *said == response.body() => {
                    if is_reliable {
                        of.preview = None;
                    }
                    return;
                }
                Some(_) => {}
            }
        } else if self.early.len() >= MAX_EARLY {
            return;
        }
        let mut forked = self.media.fork();
        let session = match &mut forked {
            Some(media) => media,
            // One session: the first answer that counts is for it.
            None if is_reliable && self.early.is_empty() => &mut self.media,
            None => return,
        };
        if session.take_answer(response.body()).is_err() {
            return; // The 2xx says whether it is a mistake for good.
        }
        let tag = response.headers().to_tag().unwrap_or_default().to_owned();
        let preview = (!is_reliable).then(|| Bytes::copy_from_slice(response.body()));
        let now = Early { id: early, tag, media: forked, preview };
        match known.and_then(|at| self.early.get_mut(at)) {
            Some(of) => *of = now,
            None => self.early.push(now),
        }
    }

    /// A callee has picked up: the session with it is the call's.
    fn answered(&mut self, response: &Response) {
        self.offering = false;
        let tag = response.headers().to_tag().unwrap_or_default();
        let found = self.early.iter().position(|of| of.tag == tag);
        let found = found.map(|at| self.early.swap_remove(at));
        self.early = Vec::new();
        let described = describes_session(response.headers(), response.body());
        let (media, counts) = match found {
            // RFC 6337 §3.1.1: "After the UAC has received the answer in a reliable
            // provisional response to the INVITE, [RFC3261] requires that
            // any SDP in subsequent responses be ignored."
            Some(Early { media, preview: None, .. }) => (media, true),
            Some(Early { media, preview: Some(said), .. }) => {
                (media, !described || said == response.body())
            }
            None => (None, false),
        };
        match media {
            _ if !counts => self.take_answer(described.then_some(response.body())),
            Some(media) => self.media = media,
            None => {}
        }
    }

    /// The answer to our offer; without one that fits there is no session.
    fn take_answer(&mut self, answer: Option<&[u8]>) {
        if self.media.take_answer(answer.unwrap_or_default()).is_err() {
            self.call.hang_up();
        }
    }
}

impl<M> Deref for MediaCall<M> {
    type Target = CallControl;

    fn deref(&self) -> &CallControl {
        &self.call
    }
}

impl<M> core::fmt::Debug for MediaCall<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MediaCall").field("call", &self.call).finish_non_exhaustive()
    }
}

/// The peer's wish to modify the session, answered by the engine.
async fn answer(media: &mut impl OfferAnswer, modification: Modification) -> Result<(), CallError> {
    match media.answer(modification.offer()) {
        Ok(answer) => modification.accept(answer).await,
        Err(refusal) => {
            let body = refusal.description.map(Body::sdp);
            modification.reject_saying(refusal.status, body).await
        }
    }
}

/// A call that comes in, and a media engine that answers its offer: [`Invitation::with`] gives one. What
/// [`OfferAnswer::may_alert`] says is kept: nobody is alerted before, and [`next`](Self::next) tells when to look again.
///
/// **Dropping it refuses** the call by 480.
#[derive(Debug)]
#[must_use = "dropping an invitation refuses the call"]
pub struct MediaInvitation<M> {
    invitation: Invitation,
    media: M,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was described yet.
    New,
    /// Our offer is out, for the caller made none.
    Offered,
    /// The exchange is done.
    Settled,
}

impl Invitation {
    /// Has a media engine answer the offer, and all others of the call.
    pub fn with<M: OfferAnswer>(self, media: M) -> MediaInvitation<M> {
        MediaInvitation { invitation: self, media, stage: Stage::New }
    }
}

impl<M: OfferAnswer> MediaInvitation<M> {
    /// The invitation itself: who calls, and what for.
    pub fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// The engine.
    pub fn media(&self) -> &M {
        &self.media
    }

    /// The engine, to be told what is wanted, or reserved.
    pub fn media_mut(&mut self) -> &mut M {
        &mut self.media
    }

    /// What happens before the call is accepted, as [`Invitation::next`] has it, less what the engine deals with: after
    /// each such step this gives [`CallEvent::Acknowledged`], so that the application looks at the engine again. Cancel
    /// safe but for that.
    pub async fn next(&mut self) -> Option<CallEvent> {
        let event = self.invitation.next().await?;
        match event {
            CallEvent::Modification(modification) => {
                // An error means that the call is over, as the next event says.
                let _ = answer(&mut self.media, modification).await;
                Some(CallEvent::Acknowledged { prack: None })
            }
            CallEvent::Acknowledged { prack: Some(prack) } if self.stage == Stage::Offered => {
                self.stage = Stage::Settled;
                if self.media.take_answer(prack.body()).is_err() {
                    self.media.roll_back();
                }
                Some(CallEvent::Acknowledged { prack: Some(prack) })
            }
            event => Some(event),
        }
    }

    /// Says 183 with the engine's answer, or its offer where the caller made none: early media, or the begin of what has
    /// to be reserved.
    ///
    /// # Errors
    ///
    /// [`MediaError::Media`] if the engine refuses; the call is then refused as it says.
    pub async fn progress(self) -> Result<Self, MediaError> {
        let (Self { invitation, media, stage }, body) = self.describe().await?;
        let body = body.map(Body::sdp);
        let invitation = invitation.provisional(StatusCode::SESSION_PROGRESS, body).await?;
        Ok(Self { invitation, media, stage })
    }

    /// Says 180, as soon as the engine may have somebody alerted: until then this waits for the caller, after a 183 if
    /// there was none. Who has something to tell the engine meanwhile awaits [`next`](Self::next) until
    /// [`OfferAnswer::may_alert`] is true, and then this.
    ///
    /// # Errors
    ///
    /// As for [`progress`](Self::progress); and [`CallError::Ended`] if the caller has given up.
    // RFC 3312 §6: "A user agent server that receives an offer with preconditions SHOULD
    // NOT alert the user until all the mandatory preconditions are met"
    pub async fn ring(mut self) -> Result<Self, MediaError> {
        let insists = are_mandatory(self.invitation.offer());
        if self.stage == Stage::New && (insists || !self.media.may_alert()) {
            self = self.progress().await?;
        }
        // RFC 3312 §5.1: "Otherwise, session establishment MUST NOT continue."
        while !self.media.may_alert() {
            if let Some(CallEvent::Ended(reason)) = self.next().await {
                return Err(CallError::Ended(reason).into());
            }
        }
        let Self { invitation, media, stage } = self;
        Ok(Self { invitation: invitation.ring().await?, media, stage })
    }

    /// Accepts with the engine's answer, or its offer, unless that was given before.
    ///
    /// # Errors
    ///
    /// [`MediaError::Media`] if the engine refuses; the call is then refused as it says.
    pub async fn accept(self) -> Result<MediaCall<M>, MediaError> {
        let (Self { invitation, media, stage }, body) = self.describe().await?;
        let call = invitation.accept(body.unwrap_or_default()).await?;
        Ok(MediaCall::new(call, media, stage == Stage::Offered))
    }

    /// Refuses by this status.
    ///
    /// # Errors
    ///
    /// As for [`Invitation::reject`].
    pub async fn reject(self, status: StatusCode) -> Result<(), MediaError> {
        Ok(self.invitation.reject(status).await?)
    }

    /// Our first description, if there was none.
    async fn describe(mut self) -> Result<(Self, Option<Bytes>), MediaError> {
        if self.stage != Stage::New {
            return Ok((self, None));
        }
        match self.media.answer(self.invitation.offer()) {
            Ok(body) => {
                self.stage = match self.invitation.offer() {
                    [] => Stage::Offered,
                    [..] => Stage::Settled,
                };
                Ok((self, Some(body)))
            }
            Err(refusal) => {
                let body = refusal.description.clone().map(Body::sdp);
                let warning = refusal.warning.as_ref().map(|(code, text)| {
                    format!("{code} sip-ua \"{}\"", text.replace(['"', '\\'], ""))
                });
                let headers: Vec<_> =
                    warning.iter().map(|text| ("Warning", text.as_str())).collect();
                self.invitation.reject_saying(refusal.status, body, &headers).await?;
                Err(MediaError::Media(refusal))
            }
        }
    }
}
