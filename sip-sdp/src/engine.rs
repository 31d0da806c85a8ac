use bytes::Bytes;
use sip_message::StatusCode;

use crate::{Changes, MediaSession, SdpError};

/// Who makes the offers and answers of one session: a [`MediaSession`], or a media engine that has SDP of its
/// own (one of WebRTC, say). Descriptions go in and out as bytes; whoever carries them looks at none.
///
/// What carries them keeps the order of RFC 3264 §4: one offer at a time. A carrier that is written against this
/// trait places calls for either:
///
/// ```
/// use sip_sdp::{OfferAnswer, Refusal};
///
/// /// A re-INVITE has come: the 200 with the answer, or the refusal.
/// fn reinvited(media: &mut impl OfferAnswer, offer: &[u8]) -> String {
///     match media.answer(offer) {
///         Ok(answer) => format!("200 OK with {} bytes", answer.len()),
///         Err(Refusal { status, .. }) => status.as_u16().to_string(),
///     }
/// }
///
/// struct Engine;
///
/// impl OfferAnswer for Engine {
///     fn offer(&mut self) -> Result<bytes::Bytes, Refusal> {
///         Ok("v=0\r\n…".into())
///     }
///     fn answer(&mut self, offer: &[u8]) -> Result<bytes::Bytes, Refusal> {
///         self.offer()
///     }
///     fn take_answer(&mut self, answer: &[u8]) -> Result<(), Refusal> {
///         Ok(())
///     }
///     fn roll_back(&mut self) {}
/// }
///
/// assert_eq!(reinvited(&mut Engine, b"v=0\r\n"), "200 OK with 8 bytes");
/// ```
pub trait OfferAnswer {
    /// An offer of what is wanted now.
    ///
    /// # Errors
    ///
    /// There is none: what went wrong.
    fn offer(&mut self) -> Result<Bytes, Refusal>;

    /// The answer to an offer; the offer of all that can be done if `offer` is empty.
    ///
    /// # Errors
    ///
    /// The status that the offer is refused with.
    fn answer(&mut self, offer: &[u8]) -> Result<Bytes, Refusal>;

    /// The answer to the offer that was made last.
    ///
    /// # Errors
    ///
    /// It is none: the session is to be ended.
    fn take_answer(&mut self, answer: &[u8]) -> Result<(), Refusal>;

    /// The offer that was made last is refused, or what carried it has failed: all is as it was before. Nothing
    /// if none waits.
    fn roll_back(&mut self);

    /// The same session with the same offer waiting, for another callee of a call that was forked: each answers for
    /// itself. `None`, as it is unless said otherwise, is an engine that has one session only: it is told the first
    /// answer that counts, and another one if another callee picks up.
    fn fork(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Whether the callee may be alerted. As a rule it may; [preconditions](crate::Conditional) have it wait.
    fn may_alert(&self) -> bool {
        true
    }

    /// Whether a new offer is to be sent without anybody asking for it, as soon as one may be.
    fn owes_offer(&self) -> bool {
        false
    }
}

/// What is owed in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status: 400, 413, 488, 491 or 500 of this crate's own.
    pub status: StatusCode,
    /// The warn-code and text of a Warning (RFC 3261 §20.43).
    pub warning: Option<(u16, String)>,
    /// A session description that says what is in the way: of a 580 (RFC 3312 §8), say.
    pub description: Option<Bytes>,
}

impl Refusal {
    /// A refusal by this status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, warning: None, description: None }
    }

    /// With a Warning.
    #[must_use]
    pub fn warning(self, code: u16, text: impl Into<String>) -> Self {
        Self { warning: Some((code, text.into())), ..self }
    }

    /// With a session description.
    #[must_use]
    pub fn description(self, sdp: impl Into<Bytes>) -> Self {
        Self { description: Some(sdp.into()), ..self }
    }
}

impl From<SdpError> for Refusal {
    fn from(error: SdpError) -> Self {
        Self { status: error.status(), warning: error.warning(), description: None }
    }
}

/// What has changed is read from [`MediaSession::streams`], or told to `F` by [`Watched`].
impl OfferAnswer for MediaSession {
    fn offer(&mut self) -> Result<Bytes, Refusal> {
        Ok(Self::offer(self)?)
    }

    fn answer(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        Ok(Self::answer(self, offer)?.0)
    }

    fn take_answer(&mut self, answer: &[u8]) -> Result<(), Refusal> {
        Self::take_answer(self, answer)?;
        Ok(())
    }

    fn roll_back(&mut self) {
        // None waits: as it was already.
        let _ = Self::roll_back(self);
    }

    fn fork(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A [`MediaSession`] that tells a media engine what each exchange changes: for who hands the session to a
/// carrier and sees no answer itself.
#[derive(Debug)]
pub struct Watched<F> {
    /// The session.
    pub session: MediaSession,
    /// Told after each exchange that changed something: the session as it is now, and what is new.
    pub watch: F,
}

impl<F: FnMut(&MediaSession, &Changes)> Watched<F> {
    fn tell(&mut self, changes: &Changes) {
        if *changes != Changes::default() {
            (self.watch)(&self.session, changes);
        }
    }
}

impl<F: FnMut(&MediaSession, &Changes)> OfferAnswer for Watched<F> {
    fn offer(&mut self) -> Result<Bytes, Refusal> {
        Ok(self.session.offer()?)
    }

    fn answer(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        let (answer, changes) = self.session.answer(offer)?;
        self.tell(&changes);
        Ok(answer)
    }

    fn take_answer(&mut self, answer: &[u8]) -> Result<(), Refusal> {
        let changes = self.session.take_answer(answer)?;
        self.tell(&changes);
        Ok(())
    }

    fn roll_back(&mut self) {
        OfferAnswer::roll_back(&mut self.session);
    }
}
