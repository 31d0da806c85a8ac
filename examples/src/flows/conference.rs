//! Conferences that begin as a call: RFC 5359 §2.10 and §2.11, and RFC 3911 §8.

use sip_message::{Join, StatusCode};
use sip_ua::{CallUpdate, EndReason, OutgoingCall};

use super::Flow;
use super::acts::{Leg, sdp};
use super::cast::{
    ALICE, AT_ALICE, AT_BOB, AT_CAROL, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, alice, bob, carol,
    someone,
};
use super::stage::{Done, Stage, config, said, uri};

const NO_FOCUS: &str = "there is no isfocus in Bob's Contact";

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "conference-added",
        section: "RFC 5359 §2.10",
        title: "Bob adds Carol to his call with Alice, and mixes the three",
        differs: NO_FOCUS,
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: INVITE/200/ACK sdp
                  Bob -> Carol: INVITE
                  Carol -> Bob: 180
                  Carol -> Bob: 200
                  Bob -> Carol: ACK",
        play: |stage| {
            stage.three()?;
            let (at_alice, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
            stage.unhold((BOB, at_bob), (ALICE, at_alice))?;
            stage.talk(BOB, CAROLS_PHONE, CAROL)?;
            Ok(())
        },
    },
    Flow {
        name: "conference-joined",
        section: "RFC 5359 §2.11",
        title: "Carol joins the call of Alice and Bob, who mixes the three",
        differs: NO_FOCUS,
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Carol -> Bob: INVITE Join
                  Bob -> Carol: 180
                  Bob -> Alice: INVITE/200/ACK sdp
                  Bob -> Carol: 200
                  Carol -> Bob: ACK",
        play: |stage| {
            let (at_alice, at_bob) = joinable(stage)?;
            joins(stage, (ALICE, at_alice))?;
            let joining = stage.invited(BOB)?;
            stage.ring(BOB, joining)?;
            stage.ringing(CAROL)?;
            stage.unhold((BOB, at_bob), (ALICE, at_alice))?;
            stage.accepts((BOB, joining), CAROL)
        },
    },
    Flow {
        name: "join-conference",
        section: "RFC 3911 §8.1",
        title: "A wants to join B's call with C, and B moves all three to a conference",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; B takes its time, so A is told 100",
        diagram: "C -> B: INVITE/200/ACK
                  A -> B: INVITE Join
                  + B -> A: 100
                  B -> Conference: INVITE/200/ACK
                  B -> A: 302 Contact
                  A -> B: ACK
                  A -> Conference: INVITE/200/ACK
                  B -> C: REFER/200 Refer-To
                  C -> B: NOTIFY/200 100
                  C -> Conference: INVITE/200/ACK
                  ~ C -> B: NOTIFY/200 200 terminated
                  B -> C: BYE/200",
        play: joined_at_a_conference,
    },
    Flow {
        name: "join-rejected",
        section: "RFC 3911 §8.2",
        title: "Bob does not want Carol in his call with Alice",
        differs: "the call that is to be joined is shown from its beginning",
        diagram: "+ Alice -> Bob: INVITE
                  + Bob -> Alice: 180
                  + Bob -> Alice: 200
                  + Alice -> Bob: ACK
                  Carol -> Bob: INVITE/486/ACK Join",
        play: |stage| {
            let (at_alice, _) = joinable(stage)?;
            joins(stage, (ALICE, at_alice))?;
            let joining = stage.invited(BOB)?;
            stage.reject(BOB, joining, StatusCode::BUSY_HERE)?;
            stage.refused(CAROL).map(drop)
        },
    },
];

/// Alice and Bob in a call, which Bob lets others join.
fn joinable(stage: &mut Stage) -> Done<(sip_ua::CallKey, sip_ua::CallKey)> {
    let mut joins = config();
    joins.supported.push("join".to_owned());
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone_with(BOB, AT_BOB, bob()?, joins)?;
    stage.phone(CAROL, AT_CAROL, carol()?)?;
    stage.talk(ALICE, BOBS_PHONE, BOB)
}

/// RFC 3911 §8.1.
fn joined_at_a_conference(stage: &mut Stage) -> Done {
    const CONFERENCE: &str = "Conference";
    const TO_B: &str = "sip:bob@b.example.org";
    const TO_CONFERENCE: &str = "sip:conf@conf.example.org";
    let mut joins = config();
    joins.supported.push("join".to_owned());
    stage.phone("A", ("a.example.org", 101), someone("sip:alice@example.org")?)?;
    stage.phone_with("B", ("b.example.org", 102), someone("sip:bob@example.org")?, joins)?;
    stage.phone("C", ("c.example.org", 103), someone("sip:carol@example.org")?)?;
    stage.phone(CONFERENCE, ("conf.example.org", 104), someone(TO_CONFERENCE)?)?;
    let (at_c, at_b) = stage.meet("C", TO_B, "B")?;

    let call = OutgoingCall::to(uri(TO_B)?).body(sdp()).with(&pointing_at(stage, ("C", at_c))?);
    stage.place("A", call)?;
    let joining = stage.invited("B")?;
    stage.meet("B", TO_CONFERENCE, CONFERENCE)?;
    let moved = [("Contact".to_owned(), format!("<{TO_CONFERENCE}>"))];
    let status = StatusCode::MOVED_TEMPORARILY;
    stage
        .with("B", |now, agent, tx| agent.reject(now, tx, joining, status, &moved))?
        .map_err(said)?;
    let places = stage.updated("A", "the redirection", |update| match update {
        CallUpdate::Ended(EndReason::Redirected(places)) => Some(places),
        _ => None,
    })?;
    stage.meet("A", &places.first().ok_or("no Contact")?.to_string(), CONFERENCE)?;

    stage.refer(("B", at_b), &uri(TO_CONFERENCE)?)?;
    stage.follows("C")?;
    stage.answers(CONFERENCE, "C")?;
    stage.succeeds("B")?;
    stage.bye(("B", at_b), "C")
}

/// What points at a call, to its peer. How who joins learns of it the RFC leaves open.
fn pointing_at(stage: &mut Stage, leg: Leg<'_>) -> Done<Join<'static>> {
    let id = stage.identifiers(leg)?;
    let (local, remote) = id.local_tag().zip(id.remote_tag()).ok_or("the dialog has no tags")?;
    Join::new(id.call_id(), local, remote).map_err(said)
}

/// Carol calls the peer of a call to join it.
fn joins(stage: &mut Stage, leg: Leg<'_>) -> Done {
    let join = pointing_at(stage, leg)?;
    let call = OutgoingCall::to(uri(BOBS_PHONE)?).body(sdp()).with(&join);
    stage.place(CAROL, call).map(drop)
}
