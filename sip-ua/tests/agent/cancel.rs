//! CANCEL and its races (RFC 3261 §9, §15).

use sip_message::{Method, StatusCode};

use crate::harness::*;

fn hang_up(pair: &mut Pair) {
    let call = pair.call();
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
}

// RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST
// NOT be sent; rather, the client MUST wait for the arrival of a
// provisional response before sending the request."
#[test]
fn before_a_provisional_response() {
    let mut pair = Pair::new();
    hang_up(&mut pair);
    pair.run(secs(1));
    assert_eq!(
        pair.flow(),
        [
            "alice: INVITE",
            "bob: 100 INVITE",
            "alice: CANCEL",
            "bob: 200 CANCEL",
            "bob: 487 INVITE",
            "alice: ACK"
        ]
    );
    pair.expect(ALICE, &["ended: cancelled"]);
    pair.expect(BOB, &["invitation", "ended: cancelled by the caller"]);
    pair.nothing_left();
}

#[test]
fn after_a_provisional_response() {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, StatusCode::RINGING, None))
        .unwrap();
    pair.run(ms(50));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    assert!(pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).is_ok(), "twice");
    pair.run(ms(100));
    assert_eq!(
        pair.flow()[2..],
        ["alice: CANCEL", "bob: 200 CANCEL", "bob: 487 INVITE", "alice: ACK"]
    );
    pair.expect(ALICE, &["ringing 0", "ended: cancelled"]);
    pair.expect(BOB, &["invitation", "ended: cancelled by the caller"]);
    pair.nothing_left();
}

/// The answer is on its way when the CANCEL leaves.
fn crossing(answer: StatusCode) -> Pair {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, StatusCode::RINGING, None))
        .unwrap();
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| match answer.is_success() {
        true => agent.accept(now, tx, theirs, None, &[]),
        false => agent.reject(now, tx, theirs, answer, &[]),
    })
    .unwrap();
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.run(ms(100));
    pair
}

// RFC 3261 §15: "The UAC MAY continue with the sessions
// established by any 2xx responses, or MAY terminate them with BYE."
#[test]
fn crossing_a_2xx() {
    let mut pair = crossing(StatusCode::OK);
    assert_eq!(
        pair.flow()[2..],
        [
            "bob: 200 INVITE",
            "alice: CANCEL",
            "alice: ACK",
            "alice: BYE",
            "bob: 200 CANCEL",
            "bob: 200 BYE"
        ]
    );
    pair.expect(ALICE, &["ringing 0", "ended: cancelled"]);
    // The CANCEL had no effect.
    pair.expect(BOB, &["invitation", "confirmed", "ended: the peer hung up"]);
    pair.nothing_left();
}

#[test]
fn crossing_a_refusal() {
    let mut pair = crossing(StatusCode::BUSY_HERE);
    assert_eq!(
        pair.flow()[2..],
        ["bob: 486 INVITE", "alice: CANCEL", "alice: ACK", "bob: 200 CANCEL"]
    );
    pair.expect(ALICE, &["ringing 0", "ended: rejected with 486 Busy Here"]);
    pair.expect(BOB, &["invitation", "ended: we hung up"]);
    pair.nothing_left();
}

#[test]
fn a_callee_that_never_answers_the_cancelled_invite() {
    let mut lone = Lone::new();
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "b", &[]);
    lone.expect(&["ringing 0"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.answer(&cancel, 200, "b", &[]);
    lone.run(secs(31));
    lone.expect(&[]);
    lone.run(secs(2));
    lone.expect(&["ended: cancelled"]);
    lone.nothing_left();
}

#[test]
fn nobody_ever_answers_anything() {
    let mut pair = Pair::new();
    pair.network(|_, _| Fate::Lose);
    hang_up(&mut pair);
    pair.run(secs(40));
    pair.expect(ALICE, &["ended: cancelled"]);
    assert!(pair.flow().iter().all(|line| line == "alice: INVITE (lost)"));
    pair.nothing_left();
}

// RFC 3261 §15.1.2: "The UAS MUST still respond to any pending requests received for that
// dialog.  It is RECOMMENDED that a 487 (Request Terminated) response be generated to those pending requests."
#[test]
fn a_bye_in_the_early_dialog() {
    let mut lone = Lone::new();
    lone.receive_text(INVITE, "");
    lone.expect(&["invitation"]);
    lone.run(ms(250));
    let trying = lone.sent_response(100);
    assert_eq!(trying.headers().cseq().unwrap().number, 1);
    let call = incoming_call(&mut lone);
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None)).unwrap();
    let ringing = lone.sent_response(180);
    let tag = ringing.headers().to_tag().unwrap().to_owned();
    lone.receive_text(
        &format!(
            "BYE sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKbye
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag=b
            To: <sip:alice@192.0.2.1>;tag={tag}
            Call-ID: early
            CSeq: 2 BYE"
        ),
        "",
    );
    lone.expect_sent(&["200 BYE", "487 INVITE"]);
    lone.expect(&["ended: cancelled by the caller"]);
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}

const INVITE: &str = "INVITE sip:alice@192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKearly
    Max-Forwards: 70
    From: <sip:bob@192.0.2.2>;tag=b
    To: <sip:alice@192.0.2.1>
    Call-ID: early
    CSeq: 1 INVITE
    Contact: <sip:bob@192.0.2.2>";

/// The first call of an agent that had no other: its key is known.
fn incoming_call(lone: &mut Lone) -> sip_ua::CallKey {
    lone.last_invitation.expect("an invitation came")
}
