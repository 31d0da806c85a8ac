//! Conferences that begin as a call: RFC 5359 §2.10 and §2.11, and RFC 3911 §8.

use sip_message::{Join, StatusCode};
use sip_ua::OutgoingCall;

use super::Flow;
use super::acts::{Leg, sdp};
use super::cast::{
    ALICE, AT_ALICE, AT_BOB, AT_CAROL, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, alice, bob, carol,
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

/// Carol calls the peer of a call to join it. How she learns of the dialog the RFC leaves open.
fn joins(stage: &mut Stage, leg: Leg<'_>) -> Done {
    let id = stage.identifiers(leg)?;
    let tags = id.local_tag().zip(id.remote_tag()).ok_or("the dialog has no tags")?;
    let join = Join::new(id.call_id(), tags.0, tags.1).map_err(said)?;
    let call = OutgoingCall::to(uri(BOBS_PHONE)?).body(sdp()).with(&join);
    stage.place(CAROL, call).map(drop)
}
