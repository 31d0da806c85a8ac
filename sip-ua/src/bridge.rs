//! Two calls tied together: a back-to-back user agent (RFC 3261 §6, RFC 7092).
//!
//! ```text
//!    caller            leg A [ Bridge ] leg B            callee
//!      |  INVITE, offer   |    Call    |  INVITE, offer    |
//!      |----------------->|----------->|------------------>|
//!      |  183, answer     |    Ring    |  183, answer      |
//!      |<-----------------|<-----------|<------------------|
//!      |  200, answer     |   Accept   |  200              |
//!      |<-----------------|<-----------|<------------------|
//!      |  ACK             |            |  ACK              |
//!      |----------------->|            |------------------>|
//! ```
//!
//! [`BridgeCore`] is a machine without sockets, clock or table: it is told what happens in its two calls, and says what is to be
//! done in them. [`Bridges`] keeps those of an [`Agent`](crate::Agent) and carries their orders out, in a simulated network
//! or in the task that owns the sockets. With handles it is [`UserAgent::bridge`](crate::UserAgent::bridge).
//!
//! Each leg is a whole user agent: retransmissions, ACK, PRACK, CANCEL, session timers, challenges and their
//! races are its own. What crosses is the session: **one offer at a time**, in whatever message either side may carry it.
//!
//! | the offer comes in          | it goes on in                         | its answer goes back in     |
//! | --------------------------- | ------------------------------------- | --------------------------- |
//! | INVITE                      | INVITE                                | 1xx, 2xx                    |
//! | 2xx, reliable 1xx           | 2xx, reliable 1xx; or a re-INVITE     | ACK, PRACK                  |
//! | re-INVITE                   | re-INVITE                             | 2xx                         |
//! | UPDATE, PRACK               | UPDATE, or a re-INVITE                | 2xx                         |
//! | 2xx to an empty re-INVITE   | 2xx to an empty re-INVITE             | ACK                         |
//!
//! While one crosses, another is refused by 491, on either side; its sender tries again.

mod headers;
mod options;
mod origin;
mod status;
mod table;
mod transfer;

use std::sync::Arc;

use sip_message::{HeaderName, Headers, Method, Reason, Request, Require, Response, StatusCode};

use self::origin::Origin;
use crate::agent::{declined, describes_session};
use crate::{Body, CallUpdate, EarlyId, EndReason};

pub use headers::{BadHeaderName, HeaderPass};
pub use options::{BridgeIdentity, BridgeMedia, BridgeOptions, BridgeRefer, MediaFactory};
pub use table::{BridgeUpdate, Bridges};

/// One of the two calls of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// The first: with the caller; or whom we called first.
    A,
    /// The second: with the callee.
    B,
}

impl Leg {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a bridge wants done in one of its calls.
#[derive(Debug)]
pub struct Order {
    /// In which.
    pub leg: Leg,
    /// What.
    pub action: Action,
}

/// The commands of a bridge: each is one of the [`Agent`](crate::Agent)'s.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// [`Agent::call`](crate::Agent::call).
    Call {
        /// What the INVITE holds.
        body: Option<Body>,
    },
    /// [`Agent::ring`](crate::Agent::ring).
    Ring {
        /// From 101 to 198.
        status: StatusCode,
        /// Early media.
        body: Option<Body>,
    },
    /// [`Agent::accept`](crate::Agent::accept).
    Accept {
        /// The answer, or the offer.
        body: Option<Body>,
        /// What crosses of the other 2xx.
        headers: Vec<(String, String)>,
    },
    /// [`Agent::reject`](crate::Agent::reject).
    Reject {
        /// From 300 to 699.
        status: StatusCode,
        /// What crosses of the other refusal.
        headers: Vec<(String, String)>,
    },
    /// [`Agent::hang_up_for`](crate::Agent::hang_up_for).
    HangUp {
        /// Why; nothing if nobody said.
        reasons: Vec<Reason<'static>>,
    },
    /// [`Agent::acknowledge`](crate::Agent::acknowledge).
    Acknowledge {
        /// The answer.
        body: Option<Body>,
    },
    /// [`Agent::answer_early`](crate::Agent::answer_early).
    AnswerEarly {
        /// Which of the callees.
        early: EarlyId,
        /// The answer.
        body: Option<Body>,
    },
    /// [`Agent::update_session`](crate::Agent::update_session) or [`Agent::reinvite`](crate::Agent::reinvite). If
    /// neither is possible now, [`BridgeCore::refused`] wants to know.
    Modify {
        /// By an UPDATE if the peer takes one; before the call is answered by nothing else.
        update: bool,
        /// The offer; `None` asks for one.
        body: Option<Body>,
    },
    /// [`Agent::answer_modification`](crate::Agent::answer_modification).
    AnswerModification {
        /// A final one.
        status: StatusCode,
        /// The answer, or the offer.
        body: Option<Body>,
    },
}

impl Action {
    fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            Self::Call { body }
            | Self::Ring { body, .. }
            | Self::Accept { body, .. }
            | Self::Acknowledge { body }
            | Self::AnswerEarly { body, .. }
            | Self::Modify { body, .. }
            | Self::AnswerModification { body, .. } => body.as_mut(),
            Self::Reject { .. } | Self::HangUp { .. } => None,
        }
    }
}

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is yet to be called.
    Unborn,
    /// Its INVITE came and has no final response.
    Invited,
    /// Our INVITE has no final response.
    Calling,
    /// We have accepted, and its ACK is not there.
    Accepted,
    Established,
    Over,
}

/// The offer that crosses, or the wish for one.
enum Crossing {
    /// It was made by `from`, and waits for the other leg's answer, which goes back by `back`.
    Offer { from: Leg, back: Back },
    /// `by` sent a re-INVITE without one, so that the other leg is asked for it.
    Wanted { by: Leg },
    /// We have asked `at` for one ourselves.
    Sync { at: Leg },
    /// `at` is asked for a change that the other leg has taken back.
    Orphan { at: Leg },
}

/// Where an answer goes. What only an answer can end keeps the offer, so that it can be declined.
enum Back {
    /// In the responses to the INVITE.
    Invitation,
    /// In the 2xx to a re-INVITE, an UPDATE or a PRACK.
    Modification,
    /// In the PRACK.
    Prack(EarlyId, Body),
    /// In the ACK.
    Ack(Body),
}

/// Two calls that are one.
pub struct BridgeCore {
    options: Arc<BridgeOptions>,
    phases: [Phase; 2],
    crossing: Option<Crossing>,
    /// The early media of each callee, until one has answered.
    early: Vec<Early>,
    /// The two sessions may have come apart: this leg is to be asked for an offer.
    sync: Option<Leg>,
    /// Why the peer of a leg hangs up, as it has said.
    reasons: Vec<Reason<'static>>,
    end: Option<(Leg, EndReason)>,
    media: Option<Box<dyn BridgeMedia>>,
    /// Where a leg gets descriptions of several others, or of us.
    origins: Option<Box<[Origin; 2]>>,
}

/// What a callee that rings has said of its session.
struct Early {
    tag: Box<str>,
    body: Body,
}

/// How many callees of a fork are remembered.
const MAX_EARLY: usize = 16;

impl BridgeCore {
    fn new(options: Arc<BridgeOptions>, phases: [Phase; 2]) -> Self {
        let media = options.media.as_ref().map(|make| make());
        Self {
            options,
            phases,
            crossing: None,
            early: Vec::new(),
            sync: None,
            reasons: Vec::new(),
            end: None,
            media,
            origins: None,
        }
    }

    /// A bridge from a call that has come in to one that is to be placed.
    pub fn of_invitation(
        options: Arc<BridgeOptions>,
        invite: &Request,
        orders: &mut Vec<Order>,
    ) -> Self {
        let mut bridge = Self::new(options, [Phase::Invited, Phase::Calling]);
        match bridge.description(Leg::A, invite.headers(), invite.body()) {
            Ok(offer) => {
                if offer.is_some() {
                    let (from, back) = (Leg::A, Back::Invitation);
                    bridge.crossing = Some(Crossing::Offer { from, back });
                }
                // What describes no session crosses as it is.
                let body = offer.or_else(|| copied(invite.headers(), invite.body()));
                bridge.order(orders, Leg::B, Action::Call { body });
            }
            Err(status) => {
                bridge.set(Leg::B, Phase::Over);
                bridge.order(orders, Leg::A, Action::Reject { status, headers: Vec::new() });
            }
        }
        bridge
    }

    /// No bridge: the call that has come in is refused.
    pub(crate) fn refusing(
        options: Arc<BridgeOptions>,
        status: StatusCode,
        orders: &mut Vec<Order>,
    ) -> Self {
        let mut bridge = Self::new(options, [Phase::Invited, Phase::Over]);
        bridge.order(orders, Leg::A, Action::Reject { status, headers: Vec::new() });
        bridge
    }

    /// A bridge between two whom we call: the first now, with this body, the second when that has answered. Without a body
    /// the first makes the offer and waits for the answer of the second (RFC 3725 §4.1, flow I); with one that
    /// has no media the second makes it, and the first is offered that anew (§4.4, flow IV).
    pub fn of_two(
        options: Arc<BridgeOptions>,
        body: Option<Body>,
        orders: &mut Vec<Order>,
    ) -> Self {
        let mut bridge = Self::new(options, [Phase::Calling, Phase::Unborn]);
        bridge.origins = Some(Box::default());
        bridge.order(orders, Leg::A, Action::Call { body });
        bridge
    }

    /// A bridge between two calls that are established: the first is asked for its offer, and the second gets it.
    pub fn of_established(options: Arc<BridgeOptions>, orders: &mut Vec<Order>) -> Self {
        let mut bridge = Self::new(options, [Phase::Established; 2]);
        bridge.sync = Some(Leg::A);
        bridge.settle(orders);
        bridge
    }

    /// A bridge with a new call in this leg, which is yet to be answered.
    fn of_transfer(options: Arc<BridgeOptions>, leg: Leg) -> Self {
        let mut bridge = Self::new(options, [Phase::Established; 2]);
        bridge.set(leg, Phase::Calling);
        bridge
    }

    /// The sessions of the legs are two as yet: this one is asked for an offer as soon as that can be.
    fn agree_anew(&mut self, leg: Leg) {
        self.sync = Some(leg);
    }

    /// Whether both calls are over.
    pub fn is_over(&self) -> bool {
        self.phases == [Phase::Over; 2]
    }

    /// Whether both are established.
    pub fn is_established(&self) -> bool {
        self.phases == [Phase::Established; 2]
    }

    /// Which leg ended first, and why.
    pub fn end(&self) -> Option<(Leg, &EndReason)> {
        self.end.as_ref().map(|(leg, reason)| (*leg, reason))
    }

    /// Ends both calls, however far they have come.
    pub fn hang_up(&mut self, reasons: &[Reason<'static>], orders: &mut Vec<Order>) {
        for leg in [Leg::A, Leg::B] {
            self.hang_up_leg(leg, reasons.to_vec(), orders);
        }
    }

    fn hang_up_leg(&mut self, leg: Leg, reasons: Vec<Reason<'static>>, orders: &mut Vec<Order>) {
        match self.phase(leg) {
            Phase::Unborn => self.set(leg, Phase::Over),
            Phase::Invited | Phase::Calling | Phase::Accepted | Phase::Established => {
                self.order(orders, leg, Action::HangUp { reasons });
            }
            Phase::Over => {}
        }
    }

    /// Something happened in one of the calls.
    pub fn handle(&mut self, leg: Leg, update: CallUpdate, orders: &mut Vec<Order>) {
        match update {
            CallUpdate::Ringing { early, response, answer_owed }
            | CallUpdate::Progress { early, response, answer_owed } => {
                self.progress(leg, early, &response, answer_owed, orders);
            }
            // The caller has one dialog with us, whoever else still rings.
            CallUpdate::EarlyEnded { .. } => {}
            CallUpdate::Redirected { .. } => self.early.clear(),
            // Ours are not held.
            CallUpdate::PrackHeld { .. } => {}
            CallUpdate::Answered { response, answer_owed } => {
                self.answered(leg, &response, answer_owed, orders);
            }
            // One without a body acknowledges that it rings, and no more.
            CallUpdate::Acknowledged { prack: Some(prack) } => {
                self.answer_in(leg, &prack, orders);
            }
            CallUpdate::Acknowledged { prack: None } => {}
            CallUpdate::Confirmed { ack } => {
                if self.phase(leg) == Phase::Accepted {
                    self.set(leg, Phase::Established);
                }
                match ack {
                    Some(ack) => self.answer_in(leg, &ack, orders),
                    None => self.unanswered(leg, orders),
                }
            }
            CallUpdate::Modification { early: _, request } => {
                self.modification(leg, &request, orders);
            }
            CallUpdate::ModificationConfirmed { ack: Some(ack) } => {
                self.answer_in(leg, &ack, orders);
            }
            CallUpdate::ModificationConfirmed { ack: None } => self.unanswered(leg, orders),
            CallUpdate::ModificationWithdrawn => self.withdrawn(leg),
            CallUpdate::Modified { response, answer_owed } => {
                self.modified(leg, &response, answer_owed, orders);
            }
            CallUpdate::ModificationFailed { failure } => {
                self.refused(leg, failure.as_status(), orders);
            }
            // Who is at the other end, and when a leg is placed again, is that leg's own matter.
            CallUpdate::Connected { .. } | CallUpdate::Postponed { .. } => {}
            CallUpdate::NetworkChanged => self.sync = Some(leg),
            CallUpdate::Reason { reasons } => self.reasons = reasons,
            CallUpdate::Ended(reason) => self.ended(leg, reason, orders),
        }
        self.settle(orders);
    }

    /// A provisional response.
    fn progress(
        &mut self,
        leg: Leg,
        early: EarlyId,
        response: &Response,
        answer_owed: bool,
        orders: &mut Vec<Order>,
    ) {
        let other = leg.other();
        let status = response.status();
        let body = self.description(leg, response.headers(), response.body());
        if answer_owed {
            let offer = copied(response.headers(), response.body());
            let back = offer.map(|offer| Back::Prack(early, offer));
            let free = self.crossing.is_none();
            return match (body, self.phase(other), back) {
                (Ok(Some(body)), Phase::Invited, Some(back)) if free => {
                    self.crossing = Some(Crossing::Offer { from: leg, back });
                    self.order(orders, other, Action::Ring { status, body: Some(body) });
                }
                // RFC 3725 §8: "The only difference is that user B generates a reliable
                // provisional response (5) [6] instead of a final response, and answer2
                // is carried in a PRACK (9) instead of an ACK."
                (Ok(Some(body)), Phase::Established, Some(back)) if free => {
                    self.crossing = Some(Crossing::Offer { from: leg, back });
                    self.modify(orders, other, false, Some(body));
                }
                // Another callee of a fork was first.
                _ => {
                    let body = declined(response.body());
                    self.order(orders, leg, Action::AnswerEarly { early, body });
                }
            };
        }
        let body = body.unwrap_or_default();
        if let (Some(body), Some(tag)) = (&body, response.headers().to_tag()) {
            self.note_early(tag, body);
        }
        match self.phase(other) {
            Phase::Invited => {
                if body.is_some() && is_reliable(response) {
                    self.initial_answer_given();
                }
                self.order(orders, other, Action::Ring { status, body });
            }
            // Its ACK waits for this answer, and need not wait any longer.
            Phase::Established if body.is_some() && is_reliable(response) => {
                self.answer(leg, body, orders);
            }
            _ => {}
        }
    }

    /// The 2xx to an INVITE of ours.
    fn answered(&mut self, leg: Leg, response: &Response, owed: bool, orders: &mut Vec<Order>) {
        let other = leg.other();
        self.set(leg, Phase::Established);
        let body = match self.description(leg, response.headers(), response.body()) {
            Ok(body) => body,
            Err(status) => {
                if owed {
                    let body = declined(response.body());
                    self.order(orders, leg, Action::Acknowledge { body });
                }
                return self.give_up(status, orders);
            }
        };
        let tag = response.headers().to_tag().unwrap_or_default();
        let early = std::mem::take(&mut self.early);
        let known = early.iter().find(|early| *early.tag == *tag).map(|early| early.body.clone());
        let first = early.into_iter().next();
        if owed && let Some(offer) = copied(response.headers(), response.body()) {
            let back = Back::Ack(offer);
            self.crossing = Some(Crossing::Offer { from: leg, back });
        }
        match self.phase(other) {
            Phase::Invited => {
                if !owed {
                    self.initial_answer_given();
                }
                let body = body.or(known);
                // The caller has the answer of a callee that is not the one who picked up.
                let apart = |first: &Early| {
                    body.as_ref().is_some_and(|body| *first.tag != *tag && first.body != *body)
                };
                if first.as_ref().is_some_and(apart) {
                    self.sync = Some(other);
                }
                let headers = self.options.pass.of(response.headers(), false);
                self.set(other, Phase::Accepted);
                self.order(orders, other, Action::Accept { body, headers });
            }
            Phase::Unborn => {
                self.set(other, Phase::Calling);
                let body = body.filter(|_| owed);
                self.order(orders, other, Action::Call { body });
            }
            Phase::Established if owed => self.modify(orders, other, false, body),
            Phase::Established | Phase::Accepted | Phase::Calling => {
                self.answer(leg, body.or(known), orders);
            }
            // It gave up while this one picked up.
            Phase::Over => self.hang_up_leg(leg, Vec::new(), orders),
        }
    }

    /// A request that wants to change the session.
    fn modification(&mut self, leg: Leg, request: &Request, orders: &mut Vec<Order>) {
        let other = leg.other();
        let described = describes_session(request.headers(), request.body());
        let body = match self.description(leg, request.headers(), request.body()) {
            Ok(body) => body,
            Err(status) => {
                return self.order(orders, leg, refusing(status));
            }
        };
        let early = match self.phase(other) {
            Phase::Established => false,
            // Before the answer there is UPDATE, and that only where an offer is answered.
            Phase::Invited | Phase::Calling if described => true,
            _ => return self.order(orders, leg, refusing(StatusCode::REQUEST_PENDING)),
        };
        // RFC 3725 §6: "However, the controller cannot pass this offer on
        // to B, since it has an INVITE transaction pending with it.  As a
        // result, the controller needs to reject the request.  It is
        // RECOMMENDED that a 491 response be used."
        if self.crossing.is_some() {
            return self.order(orders, leg, refusing(StatusCode::REQUEST_PENDING));
        }
        self.crossing = Some(match described {
            true => Crossing::Offer { from: leg, back: Back::Modification },
            false => Crossing::Wanted { by: leg },
        });
        // RFC 3725 §7: "Similarly, if it receives a re-INVITE from one of the participants,
        // it can forward it to the other participant."
        let update = early || *request.method() == Method::Update;
        self.modify(orders, other, update, body);
    }

    /// The peer of a leg has taken its re-INVITE back: what was begun for it is not its any more.
    fn withdrawn(&mut self, leg: Leg) {
        let is_its = match self.crossing {
            Some(Crossing::Offer { from, back: Back::Modification }) => from == leg,
            Some(Crossing::Wanted { by }) => by == leg,
            _ => false,
        };
        if is_its {
            self.crossing = Some(Crossing::Orphan { at: leg.other() });
        }
    }

    /// The 2xx to a re-INVITE or UPDATE of ours.
    fn modified(&mut self, leg: Leg, response: &Response, owed: bool, orders: &mut Vec<Order>) {
        let body = self.description(leg, response.headers(), response.body());
        let offer = copied(response.headers(), response.body()).filter(|_| owed);
        let back = offer.map(Back::Ack);
        match (self.crossing.take(), body, back) {
            // What it offers is of use to who has asked.
            (Some(Crossing::Wanted { by }), Ok(Some(body)), Some(back)) => {
                self.crossing = Some(Crossing::Offer { from: leg, back });
                let (status, body) = (StatusCode::OK, Some(body));
                self.order(orders, by, Action::AnswerModification { status, body });
            }
            (Some(Crossing::Sync { at } | Crossing::Orphan { at }), Ok(Some(body)), Some(back)) => {
                self.crossing = Some(Crossing::Offer { from: at, back });
                self.modify(orders, at.other(), false, Some(body));
            }
            // Nobody else can answer it.
            (crossing, body, Some(_)) => {
                let action = Action::Acknowledge { body: declined(response.body()) };
                self.order(orders, leg, action);
                self.crossing = crossing;
                let status = body.err().unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
                self.refused(leg, status, orders);
            }
            // It has agreed to what the other one took back.
            (Some(Crossing::Orphan { at }), _, None) => self.sync = Some(at.other()),
            (Some(Crossing::Sync { .. }), _, None) => {}
            (crossing, body, None) => {
                self.crossing = crossing;
                match body {
                    Ok(body) => self.answer(leg, body, orders),
                    Err(status) => {
                        self.refused(leg, status, orders);
                        self.give_up(status, orders);
                    }
                }
            }
        }
    }

    /// An ACK or PRACK may hold the answer of this leg.
    fn answer_in(&mut self, leg: Leg, request: &Request, orders: &mut Vec<Order>) {
        match self.description(leg, request.headers(), request.body()) {
            Ok(body) => self.answer(leg, body, orders),
            Err(status) => self.refused(leg, status, orders),
        }
    }

    /// This leg had to answer with its ACK, and has not.
    fn unanswered(&mut self, leg: Leg, orders: &mut Vec<Order>) {
        if matches!(&self.crossing, Some(Crossing::Offer { from, back: Back::Ack(_) }) if *from != leg)
        {
            self.refused(leg, StatusCode::NOT_ACCEPTABLE_HERE, orders);
        }
    }

    /// This leg answers the offer of the other one.
    fn answer(&mut self, leg: Leg, body: Option<Body>, orders: &mut Vec<Order>) {
        let (from, back) = match self.crossing.take() {
            Some(Crossing::Offer { from, back }) if from != leg => (from, back),
            crossing => {
                self.crossing = crossing;
                return;
            }
        };
        match (back, body) {
            // The response is on its way.
            (Back::Invitation, _) => {}
            (Back::Modification, Some(body)) => {
                let (status, body) = (StatusCode::OK, Some(body));
                self.order(orders, from, Action::AnswerModification { status, body });
            }
            (Back::Prack(early, _), body @ Some(_)) => {
                self.order(orders, from, Action::AnswerEarly { early, body });
            }
            (Back::Ack(_), body @ Some(_)) => {
                self.order(orders, from, Action::Acknowledge { body });
            }
            (back, None) => {
                self.crossing = Some(Crossing::Offer { from, back });
                self.refused(leg, StatusCode::NOT_ACCEPTABLE_HERE, orders);
            }
        }
    }

    /// This leg does not do what it was asked by [`Action::Modify`], or does not answer what it was offered.
    pub fn refused(&mut self, leg: Leg, status: StatusCode, orders: &mut Vec<Order>) {
        match self.crossing.take() {
            Some(Crossing::Offer { from, back }) if from != leg => match back {
                Back::Invitation => {}
                Back::Modification => self.order(orders, from, refusing(status)),
                // RFC 3261 §13.2.2.4: "If the offer in the 2xx response is not acceptable, the UAC core
                // MUST generate a valid answer in the ACK and then send a BYE
                // immediately."
                Back::Prack(early, offer) => {
                    let body = declined(&offer.bytes);
                    self.order(orders, from, Action::AnswerEarly { early, body });
                    self.give_up(status, orders);
                }
                Back::Ack(offer) => {
                    let body = declined(&offer.bytes);
                    self.order(orders, from, Action::Acknowledge { body });
                    self.give_up(status, orders);
                }
            },
            Some(Crossing::Wanted { by }) if by != leg => {
                self.order(orders, by, refusing(status));
            }
            // The session is what it was; if that is wrong it will be tried again with the next change.
            Some(Crossing::Sync { at } | Crossing::Orphan { at }) if at == leg => {}
            crossing => self.crossing = crossing,
        }
    }

    /// There is no session that both legs agree to.
    fn give_up(&mut self, status: StatusCode, orders: &mut Vec<Order>) {
        self.hang_up(&[Reason::sip(status)], orders);
    }

    fn ended(&mut self, leg: Leg, reason: EndReason, orders: &mut Vec<Order>) {
        self.set(leg, Phase::Over);
        let other = leg.other();
        let said = std::mem::take(&mut self.reasons);
        // RFC 3725 §7: "If it receives a BYE from one of
        // the participants, it can create a new BYE and hang up with the other
        // participant."
        match self.phase(other) {
            Phase::Invited => {
                let (status, mut headers) = status::refusal(&reason, &self.options.pass);
                for reason in said {
                    headers.push(("Reason".to_owned(), reason.to_string()));
                }
                self.order(orders, other, Action::Reject { status, headers });
            }
            _ => {
                let said = if said.is_empty() { status::reasons(&reason) } else { said };
                self.hang_up_leg(other, said, orders);
            }
        }
        self.end.get_or_insert((leg, reason));
    }

    /// Asks one leg for its offer, if the sessions have come apart and nothing else is in the way.
    fn settle(&mut self, orders: &mut Vec<Order>) {
        if self.is_established()
            && self.crossing.is_none()
            && let Some(at) = self.sync.take()
        {
            self.crossing = Some(Crossing::Sync { at });
            self.modify(orders, at, false, None);
        }
    }

    /// A session description, as the other leg is to see it.
    fn description(
        &mut self,
        from: Leg,
        headers: &Headers,
        body: &[u8],
    ) -> Result<Option<Body>, StatusCode> {
        let body = copied(headers, body).filter(|_| describes_session(headers, body));
        match (body, &mut self.media) {
            (Some(body), Some(media)) => media.cross(from, body).map(Some),
            (body, _) => Ok(body),
        }
    }

    /// The offer in the INVITE is answered.
    fn initial_answer_given(&mut self) {
        if matches!(self.crossing, Some(Crossing::Offer { back: Back::Invitation, .. })) {
            self.crossing = None;
        }
    }

    fn note_early(&mut self, tag: &str, body: &Body) {
        let body = body.clone();
        if let Some(early) = self.early.iter_mut().find(|early| *early.tag == *tag) {
            early.body = body;
        } else if self.early.len() < MAX_EARLY {
            self.early.push(Early { tag: tag.into(), body });
        }
    }

    fn modify(&mut self, orders: &mut Vec<Order>, leg: Leg, update: bool, body: Option<Body>) {
        self.order(orders, leg, Action::Modify { update, body });
    }

    fn order(&mut self, orders: &mut Vec<Order>, leg: Leg, mut action: Action) {
        if let (Some(origins), Some(body)) = (&mut self.origins, action.body_mut()) {
            let [a, b] = &mut **origins;
            let origin = match leg {
                Leg::A => a,
                Leg::B => b,
            };
            *body = origin.kept(body.clone());
        }
        orders.push(Order { leg, action });
    }

    fn phase(&self, leg: Leg) -> Phase {
        let [a, b] = self.phases;
        match leg {
            Leg::A => a,
            Leg::B => b,
        }
    }

    fn set(&mut self, leg: Leg, phase: Phase) {
        let [a, b] = &mut self.phases;
        *match leg {
            Leg::A => a,
            Leg::B => b,
        } = phase;
    }
}

/// The refusal of a change.
fn refusing(status: StatusCode) -> Action {
    Action::AnswerModification { status: status::within_dialog(status), body: None }
}

/// A body that does not pin the message it came in.
fn copied(headers: &Headers, body: &[u8]) -> Option<Body> {
    let bytes = bytes::Bytes::copy_from_slice(body);
    (!body.is_empty()).then(|| match headers.raw(HeaderName::ContentType).unwrap_or_default() {
        b"application/sdp" => Body::sdp(bytes),
        kind => Body::new(String::from_utf8_lossy(kind).into_owned(), bytes),
    })
}

/// Whether a provisional response was sent reliably (RFC 3262 §4).
fn is_reliable(response: &Response) -> bool {
    let mut lines = response.get_all::<Require<'_>>().flatten();
    lines.any(|line| line.contains("100rel"))
}
