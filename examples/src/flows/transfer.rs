//! RFC 5359 §2.4 to §2.6: calls that are handed over to somebody else.

use sip_message::{Method, StatusCode};
use sip_ua::{AgentEvent, Body};

use super::Flow;
use super::cast::{ALICE, ALICES_PHONE, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, NO_202};
use super::stage::{Done, Stage, said, uri};

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "transfer-unattended",
        section: "RFC 5359 §2.4",
        title: "Alice hands Bob over to Carol, and hangs up at once",
        differs: "REFER is answered 200: RFC 7647 forbids the 202 of the diagram; that Carol's phone rings is reported too",
        diagram: "Bob -> Alice: INVITE
                  Alice -> Bob: 180
                  Alice -> Bob: 200
                  Bob -> Alice: ACK
                  Alice -> Bob: REFER/200 Refer-To Referred-By
                  Bob -> Alice: NOTIFY/200 100 active
                  Alice -> Bob: BYE/200
                  Bob -> Carol: INVITE Referred-By
                  Carol -> Bob: 180
                  + Bob -> Alice: NOTIFY/200 180 active
                  Carol -> Bob: 200
                  Bob -> Carol: ACK
                  ~ Bob -> Alice: NOTIFY/200 200 terminated",
        play: |stage| {
            stage.three()?;
            let (_, at_alice) = stage.talk(BOB, ALICES_PHONE, ALICE)?;
            stage.refer((ALICE, at_alice), &uri(CAROLS_PHONE)?)?;
            let refer = stage.heeds(BOB)?;
            stage.bye((ALICE, at_alice), BOB)?;
            stage.pursues(BOB, refer)?;
            let at_carol = stage.invited(CAROL)?;
            stage.ring(CAROL, at_carol)?;
            stage.ringing(BOB)?;
            stage.settle();
            stage.accepts((CAROL, at_carol), BOB)?;
            stage.succeeds(ALICE)
        },
    },
    Flow {
        name: "transfer-attended",
        section: "RFC 5359 §2.5",
        title: "Bob asks Carol first, then hands Alice over to her",
        differs: NO_202,
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: INVITE/200/ACK sendonly
                  Bob -> Carol: INVITE
                  Carol -> Bob: 180
                  Carol -> Bob: 200
                  Bob -> Carol: ACK
                  Bob -> Carol: INVITE/200/ACK sendonly
                  Bob -> Alice: REFER/200 Refer-To=Replaces Referred-By
                  Alice -> Bob: NOTIFY/200 100
                  Alice -> Carol: INVITE/200/ACK Replaces Referred-By
                  ~ Carol -> Bob: BYE/200
                  ~ Alice -> Bob: NOTIFY/200 200 terminated
                  Bob -> Alice: BYE/200",
        play: |stage| {
            stage.three()?;
            let (at_alice, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
            stage.hold((BOB, at_bob), (ALICE, at_alice))?;
            let (question, at_carol) = stage.talk(BOB, CAROLS_PHONE, CAROL)?;
            stage.hold((BOB, question), (CAROL, at_carol))?;
            let target = stage.place_in((BOB, question))?;
            stage.refer((BOB, at_bob), &target)?;
            stage.follows(ALICE)?;
            stage.answers(CAROL, ALICE)?;
            stage.succeeds(BOB)?;
            stage.bye((BOB, at_bob), ALICE)
        },
    },
    Flow {
        name: "transfer-by-message",
        section: "RFC 5359 §2.6",
        title: "Bob sends Carol a message with the address by which she takes his place in his call with Alice",
        differs: "",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Carol: MESSAGE/200
                  Carol -> Alice: INVITE/200/ACK Replaces
                  ~ Alice -> Bob: BYE/200",
        play: |stage| {
            stage.three()?;
            let (_, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
            let place = stage.place_in((BOB, at_bob))?;
            let (bob, carol) = (stage.account(BOB)?, uri(CAROLS_PHONE)?);
            let text = Body::text(format!("Please take this call: <{place}>"));
            stage
                .with(BOB, |now, agent, tx| {
                    agent.request(now, tx, &bob, Method::Message, &carol, Some(&text), &[])
                })?
                .map_err(said)?;
            let text = read_message(stage)?;
            let link = text.split(['<', '>']).nth(1).ok_or("no address in the message")?;
            stage.call_link(CAROL, &uri(link)?)?;
            stage.answers(ALICE, CAROL)?;
            stage.ended(BOB)
        },
    },
];

/// Carol reads the message.
fn read_message(stage: &mut Stage) -> Done<String> {
    let (key, text) = stage.wait(CAROL, "a message", |event| match event {
        AgentEvent::Request { key, request, .. } => {
            Some((key, String::from_utf8_lossy(request.body()).into_owned()))
        }
        _ => None,
    })?;
    let ok = StatusCode::OK;
    stage.with(CAROL, |now, agent, tx| agent.reply(now, tx, key, ok, None, &[]))?.map_err(said)?;
    stage.settle();
    Ok(text)
}
