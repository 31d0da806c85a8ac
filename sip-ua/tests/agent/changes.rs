//! re-INVITE, both ways (RFC 3261 §14).

use sip_message::{HeaderName, Message, Method, StatusCode};
use sip_ua::{AgentConfig, AgentError, Body};

use crate::harness::*;
use crate::incoming::{established, in_dialog};

fn hold() -> Body {
    Body::sdp(&b"v=0\r\na=sendonly\r\n"[..])
}

fn resume() -> Body {
    Body::sdp(&b"v=0\r\na=sendrecv\r\n"[..])
}

fn both_ways(change: usize) {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    let calls = [ours, theirs];
    let other = 1 - change;
    let name = ["alice", "bob"];
    pair.tell(change, |agent, now, tx| agent.reinvite(now, tx, calls[change], Some(&hold())))
        .unwrap();
    let busy = pair
        .tell(change, |agent, now, tx| agent.reinvite(now, tx, calls[change], None))
        .unwrap_err();
    assert!(matches!(busy, AgentError::Busy), "{busy}");
    pair.run(ms(50));
    pair.expect(other, &["reinvited"]);
    pair.tell(other, |agent, now, tx| {
        agent.answer_modification(now, tx, calls[other], StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(change, &["reinvite answered"]);
    let expected = ["{c}: INVITE", "{o}: 200 INVITE", "{c}: ACK"]
        .map(|line| line.replace("{c}", name[change]).replace("{o}", name[other]));
    assert_eq!(pair.flow(), expected);
    // And resume, from the other side.
    pair.tell(other, |agent, now, tx| agent.reinvite(now, tx, calls[other], Some(&resume())))
        .unwrap();
    pair.run(ms(50));
    pair.expect(change, &["reinvited"]);
    pair.tell(change, |agent, now, tx| {
        agent.answer_modification(now, tx, calls[change], StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(other, &["reinvite answered"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn the_caller_changes_the_session() {
    both_ways(ALICE);
}

#[test]
fn the_callee_changes_the_session() {
    both_ways(BOB);
}

// RFC 3261 §14.1: "If a UA receives a non-2xx final response to a re-INVITE, the session
// parameters MUST remain unchanged, as if no re-INVITE had been issued."
#[test]
fn a_refused_change_leaves_the_session() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    for _ in 0..2 {
        // The second follows at once: the refusal of the first is behind both sides.
        pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
        pair.run(ms(50));
        pair.expect(BOB, &["reinvited"]);
        let status = StatusCode::NOT_ACCEPTABLE_HERE;
        pair.tell(BOB, |agent, now, tx| agent.answer_modification(now, tx, theirs, status, None))
            .unwrap();
        pair.run(ms(50));
        pair.expect(ALICE, &["reinvite failed: refused with 488"]);
    }
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["ended: the peer hung up"]);
    pair.nothing_left();
}

// RFC 3261 §14.1: "If there is an ongoing INVITE server transaction, the TU MUST
// wait until the transaction reaches the confirmed or terminated state before initiating the new INVITE."
#[test]
fn our_own_change_may_follow_the_ack_to_our_refusal() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.lose(ALICE, "ACK", 1);
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
    pair.run(ms(50));
    let status = StatusCode::NOT_ACCEPTABLE_HERE;
    pair.tell(BOB, |agent, now, tx| agent.answer_modification(now, tx, theirs, status, None))
        .unwrap();
    // The first ACK is lost: Completed, not Confirmed.
    pair.run(ms(400));
    let busy = pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).unwrap_err();
    assert!(matches!(busy, AgentError::Busy), "{busy}");
    // Timer G repeats the refusal, and its ACK arrives. Timer I, 5 s, need not be waited for.
    pair.run(ms(150));
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, Some(&resume()))).unwrap();
    pair.run(ms(50));
    pair.tell(ALICE, |agent, now, tx| {
        agent.answer_modification(now, tx, ours, StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["reinvite failed: refused with 488", "reinvited"]);
    pair.expect(BOB, &["reinvited", "reinvite answered"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn without_an_ack_to_our_refusal_our_own_change_waits_for_timer_h() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.lose(ALICE, "ACK", usize::MAX);
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
    pair.run(ms(50));
    let status = StatusCode::NOT_ACCEPTABLE_HERE;
    pair.tell(BOB, |agent, now, tx| agent.answer_modification(now, tx, theirs, status, None))
        .unwrap();
    pair.run(secs(31));
    assert!(pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).is_err());
    pair.run(secs(2));
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).unwrap();
    pair.network(|_, _| Fate::Deliver);
    pair.run(ms(50));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

// RFC 3261 §14.1: "If a UAC receives a 491 response to a re-INVITE, it SHOULD start a
// timer with a value T chosen as follows"
#[test]
fn re_invites_that_collide_are_tried_again() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, Some(&hold()))).unwrap();
    pair.run(ms(20));
    assert_eq!(
        pair.flow(),
        [
            "alice: INVITE",
            "bob: INVITE",
            "alice: 491 INVITE",
            "bob: 491 INVITE",
            "alice: ACK",
            "bob: ACK"
        ]
    );
    // Bob, who does not own the Call-ID, waits 0 to 2 s; Alice 2.1 to 4 s.
    pair.run(ms(2030));
    pair.expect(ALICE, &["reinvited"]);
    pair.expect(BOB, &[]);
    pair.tell(ALICE, |agent, now, tx| {
        agent.answer_modification(now, tx, ours, StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(secs(3));
    pair.expect(BOB, &["reinvite answered", "reinvited"]);
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["reinvite answered"]);
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.nothing_left();
}

#[test]
fn glare_without_end_is_given_up() {
    let mut pair = Pair::with(AgentConfig::default().glare_retries(2), AgentConfig::default());
    let (ours, theirs) = pair.established();
    // Bob's own re-INVITE never arrives, so that he answers 491 for as long as it lasts.
    pair.network(|from, what| match (from, what) {
        (BOB, "INVITE") => Fate::Lose,
        _ => Fate::Deliver,
    });
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).unwrap();
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(secs(15));
    pair.expect(ALICE, &["reinvite failed: it collided with the peer's re-INVITE too often"]);
    let tries = pair.flow().iter().filter(|line| *line == "alice: INVITE").count();
    assert_eq!(tries, 3);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn the_back_off_ends_with_the_call() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).unwrap();
    pair.run(ms(25));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.run(ms(50));
    pair.log.clear();
    // RFC 3261 §14.1: "if the call was already hung up with a BYE, the re-INVITE would not take place."
    pair.nothing_left();
    assert_eq!(pair.flow(), Vec::<String>::new());
}

// RFC 3261 §14.2: "If a UAS generates a 2xx response and never receives an ACK, it
// SHOULD generate a BYE to terminate the dialog."
#[test]
fn a_change_without_ack_ends_the_call() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.lose(ALICE, "ACK", usize::MAX);
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, None)
    })
    .unwrap();
    pair.run(secs(33));
    pair.expect(BOB, &["reinvited", "ended: the caller did not acknowledge"]);
    pair.expect(ALICE, &["reinvite answered", "ended: the peer hung up"]);
    pair.nothing_left();
}

#[test]
fn a_lost_ack_to_a_change_is_sent_again() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.lose(ALICE, "ACK", 1);
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, None)
    })
    .unwrap();
    pair.run(secs(3));
    assert_eq!(
        pair.flow(),
        ["alice: INVITE", "bob: 200 INVITE", "alice: ACK (lost)", "bob: 200 INVITE", "alice: ACK"]
    );
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_change_that_the_application_does_not_answer_is_refused() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(secs(19));
    pair.expect(ALICE, &[]);
    pair.run(secs(2));
    // Alice's own guard is as long, and her CANCEL crosses.
    let events = pair.take(ALICE);
    assert_eq!(events.len(), 1);
    assert!(words(&events[0]).starts_with("reinvite failed: refused with "), "{events:?}");
    let late = pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, None)
    });
    assert!(late.is_err());
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_change_that_hangs_is_withdrawn() {
    let alice = AgentConfig::default().modification_guard(secs(5));
    let mut pair = Pair::with(alice, AgentConfig::default());
    let (ours, _) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(secs(6));
    pair.expect(BOB, &["reinvited", "reinvite withdrawn"]);
    pair.expect(ALICE, &["reinvite failed: refused with 487"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

// RFC 3261 §14.1: "or no response at all is received for the re-
// INVITE (that is, a timeout is returned by the INVITE client transaction), the UAC will terminate the dialog."
// RFC 3261 §9.1: "A CANCEL request SHOULD NOT be sent to cancel a request other than
// INVITE."
#[test]
fn a_change_is_taken_back() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    let withdraw = |pair: &mut Pair| {
        pair.tell(ALICE, |agent, now, tx| agent.withdraw_modification(now, tx, ours))
    };
    assert!(matches!(withdraw(&mut pair), Err(AgentError::State { .. })));
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
    pair.run(ms(300));
    pair.expect(BOB, &["reinvited"]);
    withdraw(&mut pair).unwrap();
    pair.run(ms(100));
    pair.expect(ALICE, &["reinvite failed: refused with 487"]);
    pair.expect(BOB, &["reinvite withdrawn"]);
    let expected = [
        "alice: INVITE",
        "bob: 100 INVITE",
        "alice: CANCEL",
        "bob: 200 CANCEL",
        "bob: 487 INVITE",
        "alice: ACK",
    ];
    assert_eq!(pair.flow(), expected);
    // One that waits after a 491 is not sent again.
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold()))).unwrap();
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, Some(&hold()))).unwrap();
    pair.run(ms(25));
    withdraw(&mut pair).unwrap();
    pair.expect(ALICE, &["reinvite failed: it collided with the peer's re-INVITE too often"]);
    pair.flow();
    pair.run(secs(3));
    assert!(!pair.flow().contains(&"alice: INVITE".to_owned()));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_change_that_nobody_answers_ends_the_call() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.network(|_, _| Fate::Lose);
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(secs(33));
    pair.expect(
        ALICE,
        &["reinvite failed: no answer in time", "ended: the peer no longer answers"],
    );
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.nothing_left();
}

#[test]
fn hanging_up_while_a_change_is_asked_for() {
    for who in [ALICE, BOB] {
        let mut pair = Pair::new();
        let (ours, theirs) = pair.established();
        pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
        pair.run(ms(50));
        pair.expect(BOB, &["reinvited"]);
        let call = [ours, theirs][who];
        pair.tell(who, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        pair.run(ms(50));
        // RFC 3261 §15.1.2: "It is RECOMMENDED that a 487 (Request Terminated) response
        // be generated to those pending requests."
        let flow = pair.flow();
        assert!(flow.contains(&"bob: 487 INVITE".to_owned()), "{flow:?}");
        pair.expect(who, &["ended: we hung up"]);
        pair.nothing_left();
    }
}

// RFC 3261 §14.2: "A UAS that receives a second INVITE before it sends the final
// response to a first INVITE with a lower CSeq sequence number on the
// same dialog MUST return a 500 (Server Internal Error) response"
#[test]
fn a_second_change_before_the_first_is_answered_is_500() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    lone.receive_text(&in_dialog("INVITE", 2, &tag, ""), "");
    lone.receive_text(&in_dialog("INVITE", 3, &tag, ""), "");
    let response = lone.sent_response(500);
    // RFC 3261 §14.2: "MUST include a Retry-After header field with a
    // randomly chosen value of between 0 and 10 seconds."
    let after: u32 = header(response.headers(), "Retry-After").unwrap().parse().unwrap();
    assert!(after <= 10);
    lone.expect(&["reinvited"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let sent = lone.expect_sent(&["BYE", "487 INVITE"]);
    let Message::Request(bye) = &sent[0] else { panic!() };
    assert!(bye.headers().contains(HeaderName::Route));
    lone.answer(bye, 200, "", &[]);
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}

// RFC 3261 §12.2.2: "When a UAS receives a target refresh request, it MUST replace the
// dialog's remote target URI with the URI from the Contact header field in that request, if present."
#[test]
fn a_change_moves_the_target() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    let moved = in_dialog("INVITE", 2, &tag, "")
        .replace("Contact: <sip:bob@192.0.2.2>", "Contact: <sip:bob@192.0.2.55>");
    lone.receive_text(&moved, "");
    lone.tell(|agent, now, tx| agent.answer_modification(now, tx, call, StatusCode::OK, None))
        .unwrap();
    lone.sent_response(200);
    lone.receive_text(&in_dialog("ACK", 2, &tag, ""), "");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    assert_eq!(bye.uri().unwrap().as_str(), "sip:bob@192.0.2.55");
    lone.answer(&bye, 200, "", &[]);
    lone.nothing_left();
}
