//! RFC 5359: music on hold, call park, call pickup, automatic redial and click to dial (§2.3, §2.15 to §2.18), and the
//! flows of RFC 3891, which are their like. Music server and park server are user agents that do as they are asked.

use std::time::Duration;

use sip_events::DialogState;
use sip_message::StatusCode;
use sip_ua::{AgentConfig, EndReason};

use super::Flow;
use super::acts::{Leg, sdp, taking_place};
use super::cast::{
    ALICE, ALICES_PHONE, AT_ALICE, AT_BOB, AT_CAROL, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, NO_202,
    Place, alice, bob, carol, someone,
};
use super::stage::{Done, Stage, config, uri};

const MUSIC: &str = "Music Server";
const PARK: &str = "Park Server";
const BILL: &str = "Bill";
const PC: &str = "Bob's PC";
const SERVER: &str = "sip:server.example.com";
const AT_SERVER: Place<'_> = ("server.example.com", 240);
const AT_BILL: Place<'_> = ("bills.biloxi.example.com", 202);

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "music-on-hold",
        section: "RFC 5359 §2.3",
        title: "Bob has a music server take his place while he is away",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; there are no feature tags in Contact; Bob learns the dialog of the music server otherwise, for the NOTIFY reports its status only",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: INVITE/200/ACK sendonly
                  Bob -> Music Server: REFER/200 Refer-To=Replaces Referred-By
                  Music Server -> Bob: NOTIFY/200 100
                  Music Server -> Alice: INVITE/200/ACK Replaces
                  ~ Alice -> Bob: BYE/200
                  ~ Music Server -> Bob: NOTIFY/200 200 terminated
                  Bob -> Alice: INVITE/200/ACK Replaces
                  ~ Alice -> Music Server: BYE/200",
        play: |stage| {
            stage.alice_and_bob()?;
            stage.phone(MUSIC, AT_SERVER, someone(SERVER)?)?;
            let (at_alice, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
            stage.hold((BOB, at_bob), (ALICE, at_alice))?;
            let music = given_to(stage, MUSIC, (BOB, at_bob))?;
            let place = stage.place_in(music)?;
            stage.call_link(BOB, &place)?;
            stage.answers(ALICE, BOB)?;
            stage.ended(MUSIC)
        },
    },
    Flow {
        name: "park",
        section: "RFC 5359 §2.15",
        title: "Bob parks Alice at a server, from where Carol fetches her",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; there are no feature tags in Contact",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Park Server: REFER/200 Refer-To=Replaces Referred-By
                  Park Server -> Bob: NOTIFY/200 100
                  Park Server -> Alice: INVITE/200/ACK Replaces
                  ~ Alice -> Bob: BYE/200
                  ~ Park Server -> Bob: NOTIFY/200 200 terminated
                  Carol -> Park Server: SUBSCRIBE/200 Event=dialog Expires=0
                  Park Server -> Carol: NOTIFY/200 terminated Event=dialog
                  Carol -> Alice: INVITE/200/ACK Replaces
                  ~ Alice -> Park Server: BYE/200",
        play: |stage| {
            stage.three()?;
            stage.phone_with(PARK, AT_SERVER, someone(SERVER)?, watched())?;
            let (_, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
            let parked = given_to(stage, PARK, (BOB, at_bob))?;
            let parked = stage.dialog_info(parked, DialogState::Confirmed, ALICES_PHONE)?;
            stage.subscribe(CAROL, SERVER, "dialog", 0)?;
            stage.grants(PARK, parked)?;
            let told = stage.notified(CAROL)?;
            stage.call_link(CAROL, &taking_place(&told, "")?)?;
            stage.answers(ALICE, CAROL)?;
            stage.ended(PARK)
        },
    },
    Flow {
        name: "pickup",
        section: "RFC 5359 §2.16",
        title: "Bob's phone rings, and Bill takes the call",
        differs: "the ACK does not wait for the end of the call to Bob",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bill -> Bob: SUBSCRIBE/200 Event=dialog
                  Bob -> Bill: NOTIFY/200 Event=dialog
                  Bill -> Alice: INVITE/200/ACK Replaces=early-only
                  ~ Alice -> Bob: CANCEL/200
                  ~ Bob -> Alice: 487
                  ~ Alice -> Bob: ACK
                  Alice -> Bill: BYE/200",
        play: |stage| {
            let (at_alice, _) = picked_up(stage, BILL)?;
            stage.bye((ALICE, at_alice), BILL)
        },
    },
    Flow {
        name: "automatic-redial",
        section: "RFC 5359 §2.17",
        title: "Bob is busy, and Alice's phone calls again when he is not",
        differs: "",
        diagram: "Alice -> Bob: INVITE/486/ACK
                  Alice -> Bob: SUBSCRIBE/200 Event=dialog
                  Bob -> Alice: NOTIFY/200 active
                  Bob -> Alice: NOTIFY/200 active
                  Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: NOTIFY/200 active
                  Alice -> Bob: SUBSCRIBE/200 Expires=0
                  Bob -> Alice: NOTIFY/200 terminated",
        play: automatic_redial,
    },
    Flow {
        name: "click-to-dial",
        section: "RFC 5359 §2.18",
        title: "Bob's PC has his phone call Carol",
        differs: NO_202,
        diagram: "Bob's PC -> Bob: REFER/200 Refer-To Refer-Sub=false
                  Bob -> Carol: INVITE Referred-By
                  Carol -> Bob: 180
                  Carol -> Bob: 200
                  Bob -> Carol: ACK",
        play: |stage| {
            stage.phone(PC, ("pc.biloxi.example.com", 203), bob()?)?;
            stage.phone(BOB, AT_BOB, bob()?)?;
            stage.phone(CAROL, AT_CAROL, carol()?)?;
            let no_reports = ("Refer-Sub".to_owned(), "false".to_owned());
            stage.refer_to(PC, BOBS_PHONE, &uri(CAROLS_PHONE)?, &[no_reports])?;
            let refer = stage.referred(BOB)?;
            stage.pursues(BOB, refer)?;
            stage.picks_up(CAROL, BOB)?;
            Ok(())
        },
    },
    Flow {
        name: "replaces-parked",
        section: "RFC 3891 §1",
        title: "Alice transfers Bob to a parking place, and takes him back from another phone",
        differs: "",
        diagram: "Alice's Phone 1 -> Bob: INVITE/200/ACK
                  Alice's Phone 1 -> Bob: REFER/200 Refer-To
                  Bob -> Alice's Phone 1: NOTIFY/200 100
                  Bob -> Parking Place: INVITE/200/ACK Referred-By
                  ~ Bob -> Alice's Phone 1: NOTIFY/200 200 terminated
                  Alice's Phone 1 -> Bob: BYE/200
                  Alice's Phone 2 -> Bob: INVITE/200/ACK Replaces
                  ~ Bob -> Parking Place: BYE/200",
        play: |stage| {
            const PHONE_1: &str = "Alice's Phone 1";
            const PHONE_2: &str = "Alice's Phone 2";
            const PLACE: &str = "Parking Place";
            stage.phone(PHONE_1, AT_ALICE, alice()?)?;
            stage.phone(PHONE_2, ("lab.atlanta.example.com", 102), alice()?)?;
            stage.phone(BOB, AT_BOB, bob()?)?;
            stage.phone(PLACE, AT_SERVER, someone(SERVER)?)?;
            let at_alice = stage.meet(PHONE_1, BOBS_PHONE, BOB)?.0;
            stage.refer((PHONE_1, at_alice), &uri("sip:place@server.example.com")?)?;
            stage.follows(BOB)?;
            let parked = stage.answers(PLACE, BOB)?;
            stage.succeeds(PHONE_1)?;
            stage.bye((PHONE_1, at_alice), BOB)?;
            // Alice learns of the dialog by other means: RFC 3891 leaves it open by which.
            let place = stage.place_in((PLACE, parked))?;
            stage.call_link(PHONE_2, &place)?;
            stage.answers(BOB, PHONE_2)?;
            stage.ended(PLACE)
        },
    },
    Flow {
        name: "replaces-early",
        section: "RFC 3891 §7.1",
        title: "Bob hears his desk phone ring from the lab, and takes the call there",
        differs: "the state of the desk phone is fetched by a SUBSCRIBE, which the diagram leaves open",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob's Lab -> Bob: SUBSCRIBE/200 Event=dialog
                  Bob -> Bob's Lab: NOTIFY/200 Event=dialog
                  Bob's Lab -> Alice: INVITE/200/ACK Replaces=early-only
                  ~ Alice -> Bob: CANCEL/200
                  ~ Bob -> Alice: 487
                  ~ Alice -> Bob: ACK",
        play: |stage| picked_up(stage, "Bob's Lab").map(drop),
    },
];

/// A phone that tells of its calls.
fn watched() -> AgentConfig {
    config().event_packages(vec!["dialog".into()])
}

/// Bob has a server take his place in a call: the server's call.
fn given_to<'a>(stage: &mut Stage, server: &'a str, (who, call): Leg<'_>) -> Done<Leg<'a>> {
    let place = stage.place_in((who, call))?;
    stage.refer_to(who, SERVER, &place, &[])?;
    let taken = stage.follows(server)?;
    stage.answers(ALICE, server)?;
    stage.succeeds(who)?;
    Ok((server, taken))
}

/// Alice calls Bob, whose phone rings; someone else sees that, and takes the call: Alice's call, and theirs.
fn picked_up(stage: &mut Stage, other: &'static str) -> Done<(sip_ua::CallKey, sip_ua::CallKey)> {
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone_with(BOB, AT_BOB, bob()?, watched())?;
    stage.phone(other, AT_BILL, someone("sip:bill@biloxi.example.com")?)?;
    stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
    let at_bob = stage.invited(BOB)?;
    stage.ring(BOB, at_bob)?;
    stage.ringing(ALICE)?;
    let rings = stage.dialog_info((BOB, at_bob), DialogState::Early, ALICES_PHONE)?;
    stage.subscribe(other, BOBS_PHONE, "dialog", 0)?;
    stage.grants(BOB, rings)?;
    let told = stage.notified(other)?;
    let taken = stage.call_link(other, &taking_place(&told, ";early-only")?)?;
    let at_alice = stage.answers(ALICE, other)?;
    stage.updated(BOB, "the end", |update| match update {
        sip_ua::CallUpdate::Ended(EndReason::CancelledByPeer) => Some(()),
        _ => None,
    })?;
    Ok((at_alice, taken))
}

/// RFC 5359 §2.17.
fn automatic_redial(stage: &mut Stage) -> Done {
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone_with(BOB, AT_BOB, bob()?, watched())?;
    stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
    let call = stage.invited(BOB)?;
    stage.reject(BOB, call, StatusCode::BUSY_HERE)?;
    stage.refused(ALICE)?;
    let other = |state| sip_events::WatchedDialog { id: "7".into(), state, ..Default::default() };
    let watch = stage.subscribe(ALICE, BOBS_PHONE, "dialog", 3600)?;
    let busy = stage.dialogs(BOB, vec![other(DialogState::Confirmed)]);
    let watcher = stage.grants(BOB, busy)?;
    stage.notified(ALICE)?;
    stage.pass(Duration::from_secs(30));
    let free = stage.dialogs(BOB, vec![other(DialogState::Terminated)]);
    stage.notify(BOB, watcher, free)?;
    let told = stage.notified(ALICE)?;
    if !String::from_utf8_lossy(told.body()).contains("terminated") {
        return Err("Bob is still busy".into());
    }
    let (_, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
    let talks = stage.dialog_info((BOB, at_bob), DialogState::Confirmed, ALICES_PHONE)?;
    stage.notify(BOB, watcher, talks)?;
    stage.notified(ALICE)?;
    stage
        .with(ALICE, |now, agent, tx| agent.unsubscribe(now, tx, watch))?
        .map_err(super::stage::said)?;
    stage.notified(ALICE)?;
    Ok(())
}
