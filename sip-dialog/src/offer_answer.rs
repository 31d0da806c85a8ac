//! Offer/answer (RFC 3264) in one dialog: which message may carry an offer or an answer now (RFC 6337).
//!
//! Where an offer stands decides where its answer has to:
//!
//! ```text
//!             offer in      answer in                 initial   later   in an early dialog
//!   Invite    INVITE        2xx, or a reliable 1xx       x        x
//!   Ok        2xx           ACK                          x        x
//!   Reliable  reliable 1xx  PRACK                        x        x
//!   Prack     PRACK         2xx to PRACK                          x          x
//!   Update    UPDATE        2xx to UPDATE                         x          x
//!
//!                             +--------+
//!         INVITE without   +--| Stable |<-----------------------------------------+
//!            an offer      |  +--------+                                          |
//!           +--------------+     |                                                |
//!           V                    | INVITE, PRACK or UPDATE with an offer          | the answer, or
//!    +-------------+             V                                                | none where it
//!    | Wanted/Owed |  +--------------------------+  refused: as if never offered  | has to be
//!    +-------------+  | OfferSent, OfferReceived |--------------------------------+
//!           |         +--------------------------+
//!           |                    A
//!           +--------------------+
//!             first reliable 1xx or 2xx with an offer
//! ```
//!
//! `Wanted` is our INVITE without an offer, `Owed` the peer's. An unreliable 1xx never answers: what it holds is
//! a preview (RFC 6337 §3.1.1). Which INVITE may be sent when is the business of [`Session`](crate::Session).

use core::ops::RangeInclusive;

use sip_message::StatusCode;

use crate::Rejection;
use crate::dialog::Role;

/// The offer/answer exchange of one dialog. Each early dialog of a forked INVITE has its own.
///
/// It is told of every message of the usage that goes out ([`sends`](Self::sends)) and comes in
/// ([`receives`](Self::receives)), and of the requests that were refused. It sees no session description: the
/// caller says whether there is one (RFC 3261 §13.2.1: a body whose disposition is "session").
///
/// ```
/// use sip_dialog::{Carrier, Meaning, OfferAnswer, Role};
///
/// // The callee of an INVITE with an offer answers in a reliable 183.
/// let mut callee = OfferAnswer::new(Role::Uas, true);
/// assert_eq!(callee.sends(Carrier::Reliable, true), Ok(Meaning::Answer));
/// // Before that has its PRACK it offers nothing new; and the 200 holds no description any more.
/// assert!(callee.may_offer().is_err());
/// assert_eq!(callee.receives(Carrier::Prack, false, |_| 0), Ok(Meaning::Nothing));
/// assert_eq!(callee.sends(Carrier::PrackOk, false), Ok(Meaning::Nothing));
/// assert!(callee.may_offer().is_ok());
/// assert!(callee.sends(Carrier::Ok, true).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferAnswer {
    exchange: Exchange,
    /// The PRACK transaction of a reliable 1xx with an offer or an answer, while it is incomplete.
    prack: Option<Side>,
    /// Our UPDATE has no final response.
    our_update: bool,
    /// The peer's UPDATE has no final response.
    their_update: bool,
}

/// The messages of an INVITE usage that may carry an offer or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// INVITE, the initial one or a re-INVITE.
    Invite,
    /// A provisional response to INVITE that is not sent reliably.
    Unreliable,
    /// A provisional response to INVITE that is sent reliably (RFC 3262).
    Reliable,
    /// 2xx to INVITE.
    Ok,
    /// ACK to that.
    Ack,
    /// PRACK.
    Prack,
    /// 2xx to PRACK.
    PrackOk,
    /// UPDATE (RFC 3311).
    Update,
    /// 2xx to UPDATE.
    UpdateOk,
}

/// What a message says in the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It has no session description and needs none.
    Nothing,
    /// Its session description is an offer.
    Offer,
    /// Its session description is the answer.
    Answer,
    /// Its session description is what the answer will be.
    Preview,
    /// It has none, though the answer (or in a 2xx the offer) had to be here. Peers do that: the exchange is over, and
    /// the session is what it was.
    Missing,
    /// A session description that has no place here: it is to be ignored.
    Ignored,
}

/// Why a message must not be sent with, or without, a session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// It would be a new offer, and one of ours has no answer yet.
    #[error("our last offer has no answer yet")]
    OfferSent,
    /// It would be a new offer, and one of the peer waits for our answer.
    #[error("an offer of the peer waits for our answer")]
    OfferReceived,
    /// It would be a new offer, and a reliable provisional response has no PRACK, or that no answer.
    #[error("a reliable provisional response is not acknowledged yet")]
    Prack,
    /// An UPDATE has no final response.
    #[error("an UPDATE is in progress")]
    Update,
    /// What was offered in the INVITE is answered, or this message carries neither: send it without.
    #[error("a session description has no place in this message")]
    NoPlace,
    /// It has to hold an offer, or the answer.
    #[error("this message has to hold a session description")]
    Needed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// Nobody waits for anybody.
    Stable,
    OfferSent(OfferIn),
    OfferReceived(OfferIn),
    /// Our INVITE has no offer: one is to come.
    Wanted,
    /// The peer's INVITE has no offer: one is to be made.
    Owed,
}

/// Which message an offer stood in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfferIn {
    Invite,
    Reliable,
    Ok,
    Prack,
    Update,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// We send the PRACK.
    Ours,
    /// The peer does.
    Theirs,
}

/// What is in the way of a new offer of the peer.
enum Clash {
    /// Something that we began: 491.
    Ours,
    /// Something that the peer began: 500 with Retry-After.
    Theirs,
}

use Exchange::{OfferReceived, OfferSent, Owed, Stable, Wanted};
use Meaning::{Answer, Ignored, Missing, Nothing, Offer, Preview};
use OfferIn::{Invite, Ok as InOk, Prack, Reliable, Update};

impl OfferAnswer {
    /// The exchange of the dialog that an INVITE makes, at its caller ([`Role::Uac`]) or its callee; `offered` says
    /// whether the INVITE holds an offer.
    pub fn new(role: Role, offered: bool) -> OfferAnswer {
        // RFC 3261 §13.2.1: "The initial offer MUST be in either an INVITE or, if not there,
        // in the first reliable non-failure message from the UAS back to
        // the UAC."
        let exchange = match (role, offered) {
            (Role::Uac, true) => OfferSent(Invite),
            (Role::Uac, false) => Wanted,
            (Role::Uas, true) => OfferReceived(Invite),
            (Role::Uas, false) => Owed,
        };
        OfferAnswer { exchange, prack: None, our_update: false, their_update: false }
    }

    /// That of a dialog that was established before a restart, with no offer under way.
    pub fn restored() -> OfferAnswer {
        OfferAnswer { exchange: Stable, prack: None, our_update: false, their_update: false }
    }

    /// Whether a new offer may be sent in an UPDATE or a re-INVITE.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn may_offer(&self) -> Result<(), Unsendable> {
        // RFC 3264 §4: "However, it MUST NOT generate a new offer if it has
        // received an offer which it has not yet answered or rejected.
        // Furthermore, it MUST NOT generate a new offer if it has generated a
        // prior offer for which it has not yet received an answer or a
        // rejection."
        self.stable()?;
        // RFC 6337 §4.3: "While an INVITE transaction is incomplete, and an ACK or a
        // PRACK transaction associated with an offer/answer is
        // incomplete, a UA should not send an UPDATE request."
        if self.prack.is_some() {
            return Err(Unsendable::Prack);
        }
        self.no_update()
    }

    /// Whether a 2xx to the peer's INVITE may be sent, as far as reliable provisional responses go.
    pub fn may_accept(&self) -> bool {
        // RFC 3262 §5: "If the UAS had placed a session description in any reliable
        // provisional response that is unacknowledged when the INVITE is
        // accepted, the UAS MUST delay sending the 2xx until the provisional
        // response is acknowledged."
        self.prack != Some(Side::Theirs)
    }

    /// Whether the peer's offer waits for our answer, in whatever message that is to go.
    pub fn owes_answer(&self) -> bool {
        match self.exchange {
            OfferReceived(Invite | Reliable | InOk | Prack | Update) => true,
            Stable | OfferSent(Invite | Reliable | InOk | Prack | Update) | Wanted | Owed => false,
        }
    }

    /// Whether the peer's INVITE left the offer to us, and none was made.
    pub fn owes_offer(&self) -> bool {
        self.exchange == Owed
    }

    /// A message goes out, with a session description or without.
    ///
    /// # Errors
    /// Says why it must not; nothing is changed then.
    pub fn sends(&mut self, carrier: Carrier, described: bool) -> Result<Meaning, Unsendable> {
        match carrier {
            Carrier::Invite => self.sends_invite(described),
            Carrier::Unreliable => match (self.exchange, described) {
                // RFC 6337 §3.1.1: "A session description in an unreliable response that precedes a
                // reliable response can be considered a "preview" of the answer that
                // will be coming."
                (OfferReceived(Invite), true) => Ok(Preview),
                // RFC 6337 §3.1.1: "After the UAS has sent the answer in a reliable provisional
                // response to the INVITE, the UAS should not include any SDPs in
                // subsequent responses to the INVITE."
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Reliable | InOk | Prack | Update) | Wanted | Owed, true) => {
                    Err(Unsendable::NoPlace)
                }
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update), false)
                | (Wanted | Owed, false) => Ok(Nothing),
            },
            Carrier::Reliable => match (self.exchange, described) {
                // RFC 3262 §5: "If the INVITE contained an offer, the UAS MAY generate an answer in a
                // reliable provisional response"
                (OfferReceived(Invite), true) => Ok(self.described_reliably(Stable, Answer)),
                (Owed, true) => Ok(self.described_reliably(OfferSent(Reliable), Offer)),
                // RFC 3262 §5: "if a reliable provisional
                // response is the first reliable message sent back to the UAC, and the
                // INVITE did not contain an offer, one MUST appear in that reliable
                // provisional response."
                (Owed, false) => Err(Unsendable::Needed),
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Reliable | InOk | Prack | Update) | Wanted, true) => {
                    Err(Unsendable::NoPlace)
                }
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update) | Wanted, false) => {
                    Ok(Nothing)
                }
            },
            Carrier::Ok if !self.may_accept() => Err(Unsendable::Prack),
            Carrier::Ok => match (self.exchange, described) {
                (OfferReceived(Invite), true) => Ok(self.ends(Answer)),
                // RFC 3261 §13.3.1.4: "If the INVITE did not contain an offer, the
                // 2xx MUST contain an offer if the UAS had
                // not yet sent an offer."
                (Owed, true) => {
                    self.exchange = OfferSent(InOk);
                    Ok(Offer)
                }
                (OfferReceived(Invite) | Owed, false) => Ok(self.ends(Missing)),
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Reliable | InOk | Prack | Update) | Wanted, true) => {
                    Err(Unsendable::NoPlace)
                }
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Reliable | InOk | Prack | Update) | Wanted, false) => Ok(Nothing),
            },
            Carrier::Ack => self.answers(InOk, described),
            Carrier::Prack => match (self.exchange, described) {
                // RFC 3262 §5: "If the UAC receives a reliable provisional response with an offer
                // (this would occur if the UAC sent an INVITE without an offer, in
                // which case the first reliable provisional response will contain the
                // offer), it MUST generate an answer in the PRACK."
                (OfferReceived(Reliable), true) => Ok(self.ends(Answer)),
                (OfferReceived(Reliable), false) => Ok(self.ends(Missing)),
                // RFC 3262 §5: "If the UAC receives a reliable provisional response with an answer, it MAY generate an
                // additional offer in the PRACK."
                (Stable, true) => {
                    self.no_update()?;
                    self.exchange = OfferSent(Prack);
                    self.prack = Some(Side::Ours);
                    Ok(Offer)
                }
                (OfferSent(Invite | Reliable | InOk | Prack | Update) | Wanted, true) => {
                    Err(Unsendable::OfferSent)
                }
                (OfferReceived(Invite | InOk | Prack | Update) | Owed, true) => {
                    Err(Unsendable::OfferReceived)
                }
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | InOk | Prack | Update) | Wanted | Owed, false) => {
                    Ok(Nothing)
                }
            },
            Carrier::PrackOk => {
                let meaning = self.answers(Prack, described)?;
                self.prack = None;
                Ok(meaning)
            }
            // RFC 6337 §4.3: "While an UPDATE transaction is incomplete, a UA must not
            // send another UPDATE request."
            Carrier::Update if self.our_update => Err(Unsendable::Update),
            Carrier::Update => {
                if described {
                    self.may_offer()?;
                    self.exchange = OfferSent(Update);
                }
                self.our_update = true;
                Ok(if described { Offer } else { Nothing })
            }
            Carrier::UpdateOk => {
                let meaning = self.answers(Update, described)?;
                self.their_update = false;
                Ok(meaning)
            }
        }
    }

    /// A message came in, with a session description or without; `draw` gives a random number within the range it
    /// is handed, for Retry-After.
    ///
    /// # Errors
    /// The answer owed to a request that collides with what is in progress; nothing is changed then. Responses and ACK
    /// are never refused.
    pub fn receives(
        &mut self,
        carrier: Carrier,
        described: bool,
        draw: impl FnOnce(RangeInclusive<u32>) -> u32,
    ) -> Result<Meaning, Rejection> {
        match carrier {
            Carrier::Invite => {
                // Whether it has an offer or leaves that to us: it begins an exchange.
                // RFC 6337 §4.3: "While an UPDATE client transaction is incomplete, a UA
                // should reject a re-INVITE request with a 491 response."
                // RFC 6337 §4.3: "While an UPDATE server transaction is incomplete, a UA
                // should reject a re-INVITE request with a 500 response."
                match (self.our_update, self.their_update) {
                    (true, true | false) => return Err(Clash::Ours.rejection(draw)),
                    (false, true) => return Err(Clash::Theirs.rejection(draw)),
                    (false, false) => {}
                }
                self.clear(draw)?;
                self.exchange = if described { OfferReceived(Invite) } else { Owed };
                Ok(if described { Offer } else { Nothing })
            }
            Carrier::Unreliable => Ok(match (self.exchange, described) {
                (OfferSent(Invite), true) => Preview,
                // RFC 6337 §3.1.1: "After the UAC has received the answer in a reliable
                // provisional response to the INVITE, [RFC3261] requires that
                // any SDP in subsequent responses be ignored."
                (Stable | OfferSent(Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update), true)
                | (Wanted | Owed, true) => Ignored,
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update), false)
                | (Wanted | Owed, false) => Nothing,
            }),
            Carrier::Reliable => Ok(match (self.exchange, described) {
                (OfferSent(Invite), true) => {
                    self.prack = Some(Side::Ours);
                    self.ends(Answer)
                }
                (Wanted, true) => {
                    self.prack = Some(Side::Ours);
                    self.exchange = OfferReceived(Reliable);
                    Offer
                }
                (Stable | OfferSent(Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update) | Owed, true) => {
                    Ignored
                }
                // One without the answer may come before the one with it. One without the offer that had to be
                // in it is as good as unreliable: that may still come.
                (Stable | OfferSent(Invite | Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update), false)
                | (Wanted | Owed, false) => Nothing,
            }),
            Carrier::Ok => Ok(match (self.exchange, described) {
                (OfferSent(Invite), true) => self.ends(Answer),
                (Wanted, true) => {
                    self.exchange = OfferReceived(InOk);
                    Offer
                }
                (OfferSent(Invite) | Wanted, false) => self.ends(Missing),
                (Stable | OfferSent(Reliable | InOk | Prack | Update), true)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update) | Owed, true) => {
                    Ignored
                }
                (Stable | OfferSent(Reliable | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update) | Owed, false) => {
                    Nothing
                }
            }),
            Carrier::Ack => Ok(self.answered(InOk, described)),
            Carrier::Prack => match (self.exchange, described) {
                (OfferSent(Reliable), true) => Ok(self.ends(Answer)),
                (OfferSent(Reliable), false) => Ok(self.ends(Missing)),
                // RFC 6337 §4.2: "At best, it could
                // proceed on the assumption that the UPDATE will be rejected with
                // a 491."
                (Stable | OfferSent(Update), true) => {
                    self.exchange = OfferReceived(Prack);
                    self.prack = Some(Side::Theirs);
                    Ok(Offer)
                }
                (OfferSent(Invite | InOk | Prack) | Wanted, true)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update) | Owed, true) => {
                    let clash = self.clash().unwrap_or(Clash::Theirs);
                    Err(clash.rejection(draw))
                }
                (Stable | OfferSent(Invite | InOk | Prack | Update), false)
                | (OfferReceived(Invite | Reliable | InOk | Prack | Update), false)
                | (Wanted | Owed, false) => Ok(Nothing),
            },
            Carrier::PrackOk => {
                self.prack = None;
                Ok(self.answered(Prack, described))
            }
            Carrier::Update => {
                // RFC 3311 §5.2: "A UAS that receives an UPDATE before it has generated a final
                // response to a previous UPDATE on the same dialog MUST return a 500
                // response to the new UPDATE, and MUST include a Retry-After header
                // field with a randomly chosen value between 0 and 10 seconds."
                if self.their_update {
                    return Err(Clash::Theirs.rejection(draw));
                }
                if described {
                    // RFC 6337 §4.3: "While an UPDATE client transaction is incomplete, a UA must
                    // reject another UPDATE request with a 491 response."
                    if self.our_update {
                        return Err(Clash::Ours.rejection(draw));
                    }
                    self.clear(draw)?;
                    self.exchange = OfferReceived(Update);
                }
                self.their_update = true;
                Ok(if described { Offer } else { Nothing })
            }
            Carrier::UpdateOk => {
                self.our_update = false;
                Ok(self.answered(Update, described))
            }
        }
    }

    /// A request of ours ([`Carrier::Invite`], [`Carrier::Prack`] or [`Carrier::Update`]) was refused, or had no answer.
    /// True if an exchange is rolled back by it: the session is what it was before the offer.
    pub fn failed(&mut self, request: Carrier) -> bool {
        // RFC 3264 §4: "The offer/answer exchange is atomic; if
        // the answer is rejected, the session reverts to the state prior to the
        // offer (which may be absence of a session)."
        match request {
            Carrier::Invite => {
                self.prack = self.prack.filter(|side| *side != Side::Ours);
                self.rolls_back(&[
                    OfferSent(Invite),
                    OfferSent(Prack),
                    Wanted,
                    OfferReceived(Reliable),
                ])
            }
            Carrier::Prack => {
                self.prack = None;
                self.rolls_back(&[OfferSent(Prack)])
            }
            // RFC 3311 §5.3: "If a UA receives a non-2xx final response to a UPDATE, the session
            // parameters MUST remain unchanged, as if no UPDATE had been issued."
            Carrier::Update => {
                self.our_update = false;
                self.rolls_back(&[OfferSent(Update)])
            }
            // No requests that could be refused.
            Carrier::Unreliable | Carrier::Reliable | Carrier::Ok | Carrier::Ack => false,
            Carrier::PrackOk | Carrier::UpdateOk => false,
        }
    }

    /// We refuse a request of the peer ([`Carrier::Invite`], [`Carrier::Prack`] or [`Carrier::Update`]) that
    /// [`receives`](Self::receives) had let through. True if an exchange is rolled back by it.
    pub fn refuses(&mut self, request: Carrier) -> bool {
        match request {
            Carrier::Invite => {
                self.prack = self.prack.filter(|side| *side != Side::Theirs);
                self.rolls_back(&[
                    OfferReceived(Invite),
                    OfferReceived(Prack),
                    Owed,
                    OfferSent(Reliable),
                ])
            }
            Carrier::Prack => {
                self.prack = None;
                self.rolls_back(&[OfferReceived(Prack)])
            }
            Carrier::Update => {
                self.their_update = false;
                self.rolls_back(&[OfferReceived(Update)])
            }
            Carrier::Unreliable | Carrier::Reliable | Carrier::Ok | Carrier::Ack => false,
            Carrier::PrackOk | Carrier::UpdateOk => false,
        }
    }

    /// The 2xx of ours that held an offer will have no ACK.
    pub fn ack_missed(&mut self) {
        self.rolls_back(&[OfferSent(InOk)]);
    }

    fn sends_invite(&mut self, described: bool) -> Result<Meaning, Unsendable> {
        // RFC 6337 §4.3: "While an UPDATE transaction is incomplete, a UA should not
        // send a re-INVITE request."
        self.may_offer()?;
        self.exchange = if described { OfferSent(Invite) } else { Wanted };
        Ok(if described { Offer } else { Nothing })
    }

    /// Our answer, if the offer stood where this message answers it.
    fn answers(&mut self, offer: OfferIn, described: bool) -> Result<Meaning, Unsendable> {
        match (self.exchange == OfferReceived(offer), described) {
            (true, true) => Ok(self.ends(Answer)),
            (true, false) => Ok(self.ends(Missing)),
            (false, true) => Err(Unsendable::NoPlace),
            (false, false) => Ok(Nothing),
        }
    }

    /// The peer's answer, likewise.
    fn answered(&mut self, offer: OfferIn, described: bool) -> Meaning {
        match (self.exchange == OfferSent(offer), described) {
            (true, true) => self.ends(Answer),
            (true, false) => self.ends(Missing),
            (false, true) => Ignored,
            (false, false) => Nothing,
        }
    }

    fn ends(&mut self, meaning: Meaning) -> Meaning {
        self.exchange = Stable;
        meaning
    }

    fn described_reliably(&mut self, next: Exchange, meaning: Meaning) -> Meaning {
        self.exchange = next;
        self.prack = Some(Side::Theirs);
        meaning
    }

    fn rolls_back(&mut self, of: &[Exchange]) -> bool {
        let rolls_back = of.contains(&self.exchange);
        if rolls_back {
            self.exchange = Stable;
        }
        rolls_back
    }

    fn stable(&self) -> Result<(), Unsendable> {
        match self.exchange {
            Stable => Ok(()),
            OfferSent(Invite | Reliable | InOk | Prack | Update) | Wanted => {
                Err(Unsendable::OfferSent)
            }
            OfferReceived(Invite | Reliable | InOk | Prack | Update) | Owed => {
                Err(Unsendable::OfferReceived)
            }
        }
    }

    fn no_update(&self) -> Result<(), Unsendable> {
        if self.our_update || self.their_update { Err(Unsendable::Update) } else { Ok(()) }
    }

    /// Refuses a new offer of the peer unless there is nothing in its way.
    fn clear(&self, draw: impl FnOnce(RangeInclusive<u32>) -> u32) -> Result<(), Rejection> {
        match self.clash() {
            None => Ok(()),
            Some(clash) => Err(clash.rejection(draw)),
        }
    }

    fn clash(&self) -> Option<Clash> {
        match (self.exchange, self.prack) {
            // RFC 3311 §5.2: "If an UPDATE is received that contains an offer, and the UAS has
            // generated an offer (in an UPDATE, PRACK or INVITE) to which it has
            // not yet received an answer, the UAS MUST reject the UPDATE with a 491
            // response."
            (
                OfferSent(Invite | Prack | Update) | Wanted,
                Some(Side::Ours | Side::Theirs) | None,
            ) => Some(Clash::Ours),
            // RFC 3311 §5.2: "if an UPDATE is received that contains an
            // offer, and the UAS has received an offer (in an UPDATE, PRACK, or
            // INVITE) to which it has not yet generated an answer, the UAS MUST
            // reject the UPDATE with a 500 response, and MUST include a Retry-After
            // header field with a randomly chosen value between 0 and 10 seconds."
            (
                OfferReceived(Invite | Prack | Update) | Owed,
                Some(Side::Ours | Side::Theirs) | None,
            ) => Some(Clash::Theirs),
            // RFC 6337 §4.3: "While an INVITE client transaction is incomplete, and an
            // ACK or a PRACK transaction associated with an offer/answer
            // is incomplete, a UA should reject an UPDATE request with a
            // 491 response."
            (OfferReceived(Reliable | InOk), Some(Side::Ours | Side::Theirs) | None)
            | (Stable, Some(Side::Ours)) => Some(Clash::Ours),
            // RFC 6337 §4.3: "While an INVITE server transaction is incomplete, and an
            // ACK or a PRACK transaction associated with an offer/answer
            // is incomplete, a UA should reject an UPDATE request with a
            // 500 response."
            (OfferSent(Reliable | InOk), Some(Side::Ours | Side::Theirs) | None)
            | (Stable, Some(Side::Theirs)) => Some(Clash::Theirs),
            (Stable, None) => None,
        }
    }
}

impl Clash {
    fn rejection(self, draw: impl FnOnce(RangeInclusive<u32>) -> u32) -> Rejection {
        match self {
            Clash::Ours => Rejection::new(StatusCode::REQUEST_PENDING),
            Clash::Theirs => Rejection::new(StatusCode::SERVER_INTERNAL_ERROR)
                .with_retry_after(draw(0..=10).min(10)),
        }
    }
}

#[cfg(test)]
mod tests;
