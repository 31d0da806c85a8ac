//! Offers and answers in all the messages that may carry them: RFC 6337, with the flows of RFC 3262 and 3311.
//!
//! Of RFC 6337 §4 the glare is played that two well-behaved ends can come to. In its other figures one end sends what
//! this stack does not let an application send (`AgentError::Busy`, `AgentError::Offer`): how it answers a peer that
//! does is in the tests of `sip-dialog` and `sip-ua`.

use std::time::Duration;

use sip_message::StatusCode;
use sip_ua::{Body, CallKey, CallUpdate, OutgoingCall, Reliability};

use super::Flow;
use super::acts::{Leg, sdp, sdp_of};
use super::cast::{ALICE, BOB, BOBS_PHONE};
use super::stage::{Done, Stage, said, uri};

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "prack-repeated",
        section: "RFC 3262 §3",
        title: "a reliable response is repeated until it has its PRACK",
        differs: "RFC 3262 says this in words",
        diagram: "Alice -> Bob: INVITE bare Supported=100rel
                  Bob -> Alice: 183 sdp RSeq Require=100rel
                  Bob -> Alice: 183 sdp RSeq
                  Bob -> Alice: 183 sdp RSeq
                  Alice -> Bob: PRACK/200 sdp RAck
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK",
        play: |stage| {
            let call = offerless(stage)?;
            stage.pass(Duration::from_secs(2));
            answers_early(stage, call.0)?;
            finishes(stage, call.1)
        },
    },
    Flow {
        name: "update",
        section: "RFC 3311 §8",
        title: "both change the session by UPDATE before the call is answered",
        differs: "",
        diagram: "Alice -> Bob: INVITE sdp
                  Bob -> Alice: 180 sdp RSeq
                  Alice -> Bob: PRACK/200 bare RAck
                  Alice -> Bob: UPDATE sendonly
                  Bob -> Alice: 200 UPDATE recvonly
                  Bob -> Alice: UPDATE inactive
                  Alice -> Bob: 200 UPDATE inactive
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (at_alice, at_bob) = early(stage)?;
            updates(stage, at_alice, at_bob, ("sendonly", "recvonly"))?;
            updates(stage, at_bob, at_alice, ("inactive", "inactive"))?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-invite",
        section: "RFC 6337 §2.2",
        title: "pattern 1: the offer in the INVITE, the answer in its 2xx",
        differs: "",
        diagram: "Alice -> Bob: INVITE sdp
                  Bob -> Alice: 200 INVITE sdp
                  Alice -> Bob: ACK bare",
        play: |stage| {
            stage.alice_and_bob()?;
            stage.meet(ALICE, BOBS_PHONE, BOB).map(drop)
        },
    },
    Flow {
        name: "offer-in-2xx",
        section: "RFC 6337 §2.2",
        title: "pattern 2: the offer in the 2xx, the answer in the ACK",
        differs: "",
        diagram: "Alice -> Bob: INVITE bare
                  Bob -> Alice: 200 INVITE sdp
                  Alice -> Bob: ACK sdp",
        play: |stage| offered_in_2xx(stage).map(drop),
    },
    Flow {
        name: "answer-in-1xx",
        section: "RFC 6337 §2.2",
        title: "pattern 3: the offer in the INVITE, the answer in a reliable provisional response",
        differs: "",
        diagram: "Alice -> Bob: INVITE sdp
                  Bob -> Alice: 180 sdp RSeq
                  Alice -> Bob: PRACK/200 bare RAck
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (_, at_bob) = early(stage)?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-1xx",
        section: "RFC 6337 §2.2",
        title: "pattern 4: the offer in a reliable provisional response, the answer in its PRACK",
        differs: "",
        diagram: "Alice -> Bob: INVITE bare
                  Bob -> Alice: 183 sdp RSeq
                  Alice -> Bob: PRACK sdp RAck
                  Bob -> Alice: 200 PRACK bare
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (at_alice, at_bob) = offerless(stage)?;
            answers_early(stage, at_alice)?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-prack",
        section: "RFC 6337 §2.2",
        title: "pattern 5: another offer in the PRACK, the answer in its 200",
        differs: "",
        diagram: "Alice -> Bob: INVITE sdp
                  Bob -> Alice: 180 sdp RSeq
                  Alice -> Bob: PRACK sendonly RAck
                  Bob -> Alice: 200 PRACK recvonly
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (_, at_bob) = offered_in_prack(stage, "recvonly")?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-update",
        section: "RFC 6337 §2.2",
        title: "pattern 6: offer and answer in an UPDATE of an established session",
        differs: "",
        diagram: "Alice -> Bob: INVITE/200/ACK
                  Bob -> Alice: UPDATE sendonly
                  Alice -> Bob: 200 UPDATE recvonly",
        play: |stage| {
            stage.alice_and_bob()?;
            let (at_alice, at_bob) = stage.meet(ALICE, BOBS_PHONE, BOB)?;
            updates(stage, (BOB, at_bob), (ALICE, at_alice), ("sendonly", "recvonly"))
        },
    },
    Flow {
        name: "offer-rejected",
        section: "RFC 6337 §2.3",
        title: "table 2, patterns 1 and 3: the offer in an INVITE is refused by 488",
        differs: "",
        diagram: "Alice -> Bob: INVITE/488/ACK sdp",
        play: |stage| {
            stage.alice_and_bob()?;
            stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
            let call = stage.invited(BOB)?;
            stage.reject(BOB, call, StatusCode::NOT_ACCEPTABLE_HERE)?;
            stage.refused(ALICE)?;
            stage.settle();
            Ok(())
        },
    },
    Flow {
        name: "offer-in-2xx-rejected",
        section: "RFC 6337 §2.3",
        title: "table 2, pattern 2: who does not like the offer in a 2xx answers it, and hangs up",
        differs: "",
        diagram: "Alice -> Bob: INVITE bare
                  Bob -> Alice: 200 INVITE sdp
                  Alice -> Bob: ACK inactive
                  Alice -> Bob: BYE/200",
        play: |stage| {
            let call = offered_in_2xx_and_answered(stage, &sdp_of("inactive"))?;
            stage.bye(call, BOB)
        },
    },
    Flow {
        name: "offer-in-1xx-rejected",
        section: "RFC 6337 §2.3",
        title: "table 2, pattern 4: who does not like the offer in a provisional response answers it, and offers something else",
        differs: "",
        diagram: "Alice -> Bob: INVITE bare
                  Bob -> Alice: 183 sdp RSeq
                  Alice -> Bob: PRACK/200 sdp RAck
                  Alice -> Bob: UPDATE sendonly
                  Bob -> Alice: 200 UPDATE recvonly
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (at_alice, at_bob) = offerless(stage)?;
            answers_early(stage, at_alice)?;
            updates(stage, at_alice, at_bob, ("sendonly", "recvonly"))?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-prack-rejected",
        section: "RFC 6337 §2.3",
        title: "table 2, pattern 5: who does not like the offer in a PRACK answers it, and offers something else",
        differs: "",
        diagram: "Alice -> Bob: INVITE sdp
                  Bob -> Alice: 180 sdp RSeq
                  Alice -> Bob: PRACK sendonly RAck
                  Bob -> Alice: 200 PRACK inactive
                  Bob -> Alice: UPDATE sendrecv
                  Alice -> Bob: 200 UPDATE sendrecv
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (at_alice, at_bob) = offered_in_prack(stage, "inactive")?;
            updates(stage, at_bob, at_alice, ("sendrecv", "sendrecv"))?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-in-update-rejected",
        section: "RFC 6337 §2.3",
        title: "table 2, pattern 6: the offer in an UPDATE is refused by 488, and the session stays as it is",
        differs: "",
        diagram: "Alice -> Bob: INVITE/200/ACK
                  Bob -> Alice: UPDATE sendonly
                  Alice -> Bob: 488 UPDATE",
        play: |stage| {
            stage.alice_and_bob()?;
            let (at_alice, at_bob) = stage.meet(ALICE, BOBS_PHONE, BOB)?;
            update(stage, (BOB, at_bob), "sendonly")?;
            let refusal = StatusCode::NOT_ACCEPTABLE_HERE;
            settles(stage, (ALICE, at_alice), refusal, None)?;
            fails(stage, BOB)
        },
    },
    Flow {
        name: "offer-answer-100rel",
        section: "RFC 6337 §3.1.1",
        title: "figure 1: reliable provisional responses before the answer, with it, and after it",
        differs: "no preview of the answer (F2): with a peer that knows PRACK, what holds a session description is sent reliably",
        diagram: "Alice -> Bob: INVITE sdp Require=100rel
                  Bob -> Alice: 180 bare RSeq
                  Alice -> Bob: PRACK/200 bare
                  Bob -> Alice: 183 sdp RSeq
                  Alice -> Bob: PRACK/200 bare
                  Bob -> Alice: 180 bare RSeq
                  Alice -> Bob: PRACK/200 bare
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (_, at_bob) = reliable(stage, Some(sdp()))?;
            progress(stage, at_bob, StatusCode::RINGING, None)?;
            progress(stage, at_bob, StatusCode::SESSION_PROGRESS, Some(&sdp()))?;
            progress(stage, at_bob, StatusCode::RINGING, None)?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "offer-answer-100rel-no-offer",
        section: "RFC 6337 §3.1.2",
        title: "figure 2: the INVITE has no offer, so the first reliable response has",
        differs: "no provisional response without an offer before it (F2): where reliable ones are required, each is",
        diagram: "Alice -> Bob: INVITE bare Require=100rel
                  Bob -> Alice: 183 sdp RSeq
                  Alice -> Bob: PRACK sdp
                  Bob -> Alice: 200 PRACK bare
                  Bob -> Alice: 180 bare RSeq
                  Alice -> Bob: PRACK/200 bare
                  Bob -> Alice: 200 INVITE bare
                  Alice -> Bob: ACK bare",
        play: |stage| {
            let (at_alice, at_bob) = reliable(stage, None)?;
            progress(stage, at_bob, StatusCode::SESSION_PROGRESS, Some(&sdp()))?;
            answers_early(stage, at_alice)?;
            progress(stage, at_bob, StatusCode::RINGING, None)?;
            finishes(stage, at_bob)
        },
    },
    Flow {
        name: "glare-invites",
        section: "RFC 6337 §4.2",
        title: "figure 10: two re-INVITEs cross, both are refused by 491, and tried again one after the other",
        differs: "RFC 3261 §14.1 adds when they are tried again",
        diagram: "Alice -> Bob: INVITE/200/ACK
                  Alice -> Bob: INVITE inactive
                  Bob -> Alice: INVITE sendonly
                  Bob -> Alice: 491 INVITE
                  Alice -> Bob: 491 INVITE
                  Alice -> Bob: ACK
                  Bob -> Alice: ACK
                  + Bob -> Alice: INVITE/200/ACK sendonly
                  + Alice -> Bob: INVITE/200/ACK inactive",
        play: |stage| {
            let (at_alice, at_bob) = talking(stage)?;
            for (leg, direction) in [(at_alice, "inactive"), (at_bob, "sendonly")] {
                offers(stage, leg, direction)?;
            }
            settles(stage, at_alice, StatusCode::OK, Some(&sdp_of("recvonly")))?;
            stage.modified(BOB)?;
            settles(stage, at_bob, StatusCode::OK, Some(&sdp_of("inactive")))?;
            stage.modified(ALICE)?;
            stage.settle();
            Ok(())
        },
    },
    Flow {
        name: "glare-updates",
        section: "RFC 6337 §4.3",
        title: "figure 14, UAC-UU and UAS-UcU: two UPDATEs cross, and both are refused by 491",
        differs: "RFC 3261 §14.1 adds when they are tried again",
        diagram: "Alice -> Bob: INVITE/200/ACK
                  Alice -> Bob: UPDATE inactive
                  Bob -> Alice: UPDATE sendonly
                  Bob -> Alice: 491 UPDATE
                  Alice -> Bob: 491 UPDATE
                  + Bob -> Alice: UPDATE/200 sendonly
                  + Alice -> Bob: UPDATE/200 inactive",
        play: |stage| {
            let (at_alice, at_bob) = talking(stage)?;
            update(stage, at_alice, "inactive")?;
            update(stage, at_bob, "sendonly")?;
            settles(stage, at_alice, StatusCode::OK, Some(&sdp_of("recvonly")))?;
            stage.modified(BOB)?;
            settles(stage, at_bob, StatusCode::OK, Some(&sdp_of("inactive")))?;
            stage.modified(ALICE)
        },
    },
    Flow {
        name: "glare-invite-update",
        section: "RFC 6337 §4.3",
        title: "table 4, UAS-IcU and UAS-UcI: a re-INVITE and an UPDATE cross, and both are refused by 491",
        differs: "RFC 3261 §14.1 adds when they are tried again",
        diagram: "Alice -> Bob: INVITE/200/ACK
                  Alice -> Bob: INVITE inactive
                  Bob -> Alice: UPDATE sendonly
                  Bob -> Alice: 491 INVITE
                  Alice -> Bob: 491 UPDATE
                  Alice -> Bob: ACK
                  + Bob -> Alice: UPDATE/200 sendonly
                  + Alice -> Bob: INVITE/200/ACK inactive",
        play: |stage| {
            let (at_alice, at_bob) = talking(stage)?;
            offers(stage, at_alice, "inactive")?;
            update(stage, at_bob, "sendonly")?;
            settles(stage, at_alice, StatusCode::OK, Some(&sdp_of("recvonly")))?;
            stage.modified(BOB)?;
            settles(stage, at_bob, StatusCode::OK, Some(&sdp_of("inactive")))?;
            stage.modified(ALICE)?;
            stage.settle();
            Ok(())
        },
    },
];

type Legs = (Leg<'static>, Leg<'static>);

fn legs((at_alice, at_bob): (CallKey, CallKey)) -> Legs {
    ((ALICE, at_alice), (BOB, at_bob))
}

fn talking(stage: &mut Stage) -> Done<Legs> {
    stage.alice_and_bob()?;
    stage.meet(ALICE, BOBS_PHONE, BOB).map(legs)
}

/// Alice calls without an offer, and Bob's comes in a reliable provisional response.
fn offerless(stage: &mut Stage) -> Done<Legs> {
    stage.alice_and_bob()?;
    let at_alice = stage.call(ALICE, BOBS_PHONE, None)?;
    let at_bob = stage.invited(BOB)?;
    progress(stage, (BOB, at_bob), StatusCode::SESSION_PROGRESS, Some(&sdp()))?;
    Ok(legs((at_alice, at_bob)))
}

/// Alice calls with an offer, and Bob's phone rings with the answer.
fn early(stage: &mut Stage) -> Done<Legs> {
    stage.alice_and_bob()?;
    let at_alice = stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
    let at_bob = stage.invited(BOB)?;
    progress(stage, (BOB, at_bob), StatusCode::RINGING, Some(&sdp()))?;
    Ok(legs((at_alice, at_bob)))
}

/// The same, and Alice makes another offer in her PRACK.
fn offered_in_prack(stage: &mut Stage, answer: &str) -> Done<Legs> {
    stage.alice_and_bob()?;
    let call = OutgoingCall::to(uri(BOBS_PHONE)?).body(sdp()).hold_pracks();
    let at_alice = stage.place(ALICE, call)?;
    let at_bob = stage.invited(BOB)?;
    progress(stage, (BOB, at_bob), StatusCode::RINGING, Some(&sdp()))?;
    stage.updated(ALICE, "that the PRACK waits", |update| {
        matches!(update, CallUpdate::PrackHeld { .. }).then_some(())
    })?;
    let offer = sdp_of("sendonly");
    stage
        .with(ALICE, |now, agent, tx| agent.offer_early(now, tx, at_alice, None, &offer))?
        .map_err(said)?;
    stage.agrees((BOB, at_bob), Some(&sdp_of(answer)))?;
    stage.modified(ALICE)?;
    Ok(legs((at_alice, at_bob)))
}

/// Alice calls, and wants all provisional responses reliably.
fn reliable(stage: &mut Stage, offer: Option<Body>) -> Done<Legs> {
    stage.alice_and_bob()?;
    let mut call = OutgoingCall::to(uri(BOBS_PHONE)?).reliable(Reliability::Required);
    call.body = offer;
    let at_alice = stage.place(ALICE, call)?;
    Ok(legs((at_alice, stage.invited(BOB)?)))
}

/// A provisional response, and what it brings about.
fn progress(stage: &mut Stage, leg: Leg<'_>, status: StatusCode, body: Option<&Body>) -> Done {
    let (who, call) = leg;
    stage.with(who, |now, agent, tx| agent.ring(now, tx, call, status, body))?.map_err(said)?;
    stage.pass(Duration::from_millis(100));
    Ok(())
}

/// The offer in a reliable provisional response is answered by a PRACK.
fn answers_early(stage: &mut Stage, (who, call): Leg<'_>) -> Done {
    let answer = sdp();
    stage
        .with(who, |now, agent, tx| agent.answer_early(now, tx, call, None, Some(&answer)))?
        .map_err(said)?;
    stage.settle();
    Ok(())
}

/// Bob answers a call whose session descriptions have all passed.
fn finishes(stage: &mut Stage, (who, call): Leg<'_>) -> Done {
    stage.accept_with(who, call, None)?;
    stage.answered(ALICE)?;
    stage.confirmed(who)
}

/// The offer is in the 2xx; the answer, which is in the ACK, is yet to come.
fn offered_in_2xx(stage: &mut Stage) -> Done<Leg<'static>> {
    offered_in_2xx_and_answered(stage, &sdp())
}

fn offered_in_2xx_and_answered(stage: &mut Stage, answer: &Body) -> Done<Leg<'static>> {
    stage.alice_and_bob()?;
    let call = stage.call(ALICE, BOBS_PHONE, None)?;
    let at_bob = stage.invited(BOB)?;
    stage.accept(BOB, at_bob)?;
    stage.answered(ALICE)?;
    stage
        .with(ALICE, |now, agent, tx| agent.acknowledge(now, tx, call, Some(answer)))?
        .map_err(said)?;
    stage.confirmed(BOB)?;
    Ok((ALICE, call))
}

/// Offers by a re-INVITE, without waiting.
fn offers(stage: &mut Stage, (who, call): Leg<'_>, direction: &str) -> Done {
    let offer = sdp_of(direction);
    stage.with(who, |now, agent, tx| agent.reinvite(now, tx, call, Some(&offer)))?.map_err(said)
}

/// Offers by an UPDATE, without waiting.
fn update(stage: &mut Stage, (who, call): Leg<'_>, direction: &str) -> Done {
    let offer = sdp_of(direction);
    stage
        .with(who, |now, agent, tx| agent.update_session(now, tx, call, None, Some(&offer)))?
        .map_err(said)
}

/// Offers by an UPDATE, which the peer accepts.
fn updates(stage: &mut Stage, leg: Leg<'_>, peer: Leg<'_>, (offer, answer): (&str, &str)) -> Done {
    update(stage, leg, offer)?;
    stage.agrees(peer, Some(&sdp_of(answer)))?;
    stage.modified(leg.0)?;
    stage.settle();
    Ok(())
}

/// Answers what the peer wants to change.
fn settles(
    stage: &mut Stage,
    (who, call): Leg<'_>,
    status: StatusCode,
    body: Option<&Body>,
) -> Done {
    stage.updated(who, "another offer", |update| {
        matches!(update, CallUpdate::Modification { .. }).then_some(())
    })?;
    stage
        .with(who, |now, agent, tx| agent.answer_modification(now, tx, call, status, body))?
        .map_err(said)
}

fn fails(stage: &mut Stage, name: &str) -> Done {
    stage.updated(name, "the refusal of an offer", |update| {
        matches!(update, CallUpdate::ModificationFailed { .. }).then_some(())
    })
}
