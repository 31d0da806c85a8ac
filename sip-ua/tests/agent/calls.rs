//! Calls from end to end, with what the network loses.

use std::time::Duration;

use sip_message::{Method, StatusCode};
use sip_ua::{AgentConfig, AgentError, CallState};

use crate::harness::*;

#[test]
fn a_call_from_invite_to_bye() {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    pair.expect(BOB, &["invitation"]);
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, StatusCode::RINGING, None))
        .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ringing 0"]);
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["answered"]);
    pair.expect(BOB, &["confirmed"]);
    assert_eq!((pair.live(ALICE).active_calls, pair.live(BOB).active_calls), (1, 1));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.expect(ALICE, &["ended: we hung up"]);
    pair.run(ms(50));
    pair.expect(BOB, &["ended: the peer hung up"]);
    // Alice's INVITE lives on for repeats of its 2xx; Bob has nothing more to wait for.
    let live = [pair.live(ALICE), pair.live(BOB)].map(|live| (live.calls, live.active_calls));
    assert_eq!(live, [(1, 0), (0, 0)]);
    assert_eq!(
        pair.flow(),
        [
            "alice: INVITE",
            "bob: 180 INVITE",
            "bob: 200 INVITE",
            "alice: ACK",
            "alice: BYE",
            "bob: 200 BYE"
        ]
    );
    pair.nothing_left();
}

#[test]
fn the_callee_hangs_up() {
    let mut pair = Pair::new();
    let (_, theirs) = pair.established();
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["ended: we hung up"]);
    pair.expect(ALICE, &["ended: the peer hung up"]);
    assert_eq!(pair.flow(), ["bob: BYE", "alice: 200 BYE"]);
    pair.nothing_left();
}

#[test]
fn a_call_is_refused() {
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    let refused = pair
        .tell(BOB, |agent, now, tx| agent.reject(now, tx, theirs, StatusCode::OK, &[]))
        .unwrap_err();
    assert!(matches!(refused, AgentError::Status(StatusCode::OK)), "{refused}");
    pair.tell(BOB, |agent, now, tx| agent.reject(now, tx, theirs, StatusCode::BUSY_HERE, &[]))
        .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended: rejected with 486 Busy Here"]);
    pair.expect(BOB, &["invitation", "ended: we hung up"]);
    assert_eq!(pair.flow(), ["alice: INVITE", "bob: 486 INVITE", "alice: ACK"]);
    pair.nothing_left();
}

#[test]
fn a_call_is_redirected_to_the_most_wanted_first() {
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    let contacts =
        "<sip:b@192.0.2.9>;q=0.3, <sip:c@192.0.2.10>;q=0.7, <sip:d@192.0.2.11>;q=0.7".to_owned();
    pair.tell(BOB, |agent, now, tx| {
        let headers = [("Contact".to_owned(), contacts)];
        agent.reject(now, tx, theirs, StatusCode::MOVED_TEMPORARILY, &headers)
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended: redirected to sip:c@192.0.2.10 sip:d@192.0.2.11 sip:b@192.0.2.9"]);
    pair.nothing_left();
}

// RFC 3261 §13.2.2.4: "The ACK MUST be passed to the client transport every time a
// retransmission of the 2xx final response that triggered the ACK arrives."
#[test]
fn a_lost_ack_is_sent_again_for_the_repeated_2xx() {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.lose(ALICE, "ACK", 2);
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(secs(5));
    pair.expect(ALICE, &["answered"]);
    pair.expect(BOB, &["invitation", "confirmed"]);
    // RFC 3261 §13.3.1.4: an interval that starts at T1 and doubles.
    assert_eq!(
        pair.log[1..],
        [
            "50 bob: 200 INVITE",
            "60 alice: ACK (lost)",
            "550 bob: 200 INVITE",
            "560 alice: ACK (lost)",
            "1550 bob: 200 INVITE",
            "1560 alice: ACK",
        ]
    );
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_lost_2xx_is_repeated() {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.lose(BOB, "200 INVITE", 3);
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(secs(10));
    pair.expect(ALICE, &["answered"]);
    pair.expect(BOB, &["invitation", "confirmed"]);
    assert_eq!(pair.log.last().unwrap(), "3560 alice: ACK", "{}", pair.wire_log());
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.nothing_left();
}

// RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without
// receiving an ACK, the dialog is confirmed, but the session SHOULD be terminated."
#[test]
fn without_any_ack_the_callee_says_bye() {
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.lose(ALICE, "ACK", usize::MAX);
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(secs(31));
    pair.expect(BOB, &["invitation"]);
    pair.run(secs(2));
    pair.expect(BOB, &["ended: the caller did not acknowledge"]);
    pair.expect(ALICE, &["answered", "ended: the peer hung up"]);
    assert_eq!(pair.log[pair.log.len() - 2..], ["32050 bob: BYE", "32060 alice: 200 BYE"]);
    pair.nothing_left();
}

// RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog
// until it has received an ACK for its 2xx response or until the server transaction times out."
#[test]
fn the_callee_waits_for_the_ack_before_bye() {
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.lose(ALICE, "ACK", 1);
    pair.tell(BOB, |agent, now, tx| {
        agent.accept(now, tx, theirs, None, &[]).unwrap();
        agent.hang_up(now, tx, theirs).unwrap();
    });
    pair.run(ms(400));
    pair.expect(BOB, &["invitation"]);
    pair.run(ms(400));
    pair.expect(BOB, &["ended: we hung up"]);
    pair.expect(ALICE, &["answered", "ended: the peer hung up"]);
    assert_eq!(
        pair.log[1..],
        [
            "50 bob: 200 INVITE",
            "60 alice: ACK (lost)",
            "550 bob: 200 INVITE",
            "560 alice: ACK",
            "570 bob: BYE",
            "580 alice: 200 BYE",
        ]
    );
    pair.nothing_left();
}

#[test]
fn the_caller_says_bye_before_its_ack_arrives() {
    let mut pair = Pair::new();
    let call = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.network(|_, what| match what {
        "ACK" => Fate::Delay(ms(300)),
        _ => Fate::Deliver,
    });
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, None, &[])).unwrap();
    pair.run(ms(20));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.run(secs(1));
    pair.expect(BOB, &["invitation", "ended: the peer hung up"]);
    assert_eq!(
        pair.flow()[1..],
        ["bob: 200 INVITE", "alice: ACK (late)", "alice: BYE", "bob: 200 BYE"],
        "the 2xx is repeated no more"
    );
    pair.nothing_left();
}

#[test]
fn byes_cross() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended: we hung up"]);
    pair.expect(BOB, &["ended: we hung up"]);
    assert_eq!(pair.flow(), ["alice: BYE", "bob: BYE", "alice: 200 BYE", "bob: 200 BYE"]);
    pair.nothing_left();
}

// RFC 3261 §15.1.1: "no response at all is received for the BYE (that is, a timeout is
// returned by the client transaction), the UAC MUST consider the session and the dialog terminated."
#[test]
fn a_bye_that_nobody_answers_ends_the_call_all_the_same() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    pair.network(|_, _| Fate::Lose);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.run(secs(33));
    pair.expect(ALICE, &["ended: we hung up"]);
    pair.network(|_, _| Fate::Deliver);
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.run(ms(50));
    assert_eq!(pair.flow().last().unwrap(), "alice: 481 BYE");
    pair.nothing_left();
}

#[test]
fn nobody_answers_the_invite() {
    let mut pair = Pair::new();
    pair.network(|_, _| Fate::Lose);
    pair.call();
    pair.run(secs(33));
    pair.expect(ALICE, &["ended: nobody answered in time"]);
    pair.nothing_left();
}

#[test]
fn the_callee_lets_it_ring_until_the_limit() {
    let bob = AgentConfig::default().ringing_limit(secs(90));
    let mut pair = Pair::with(AgentConfig::default(), bob);
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, StatusCode::RINGING, None))
        .unwrap();
    pair.run(secs(85));
    // RFC 3261 §13.3.1.1: every minute.
    assert_eq!(pair.flow(), ["alice: INVITE", "bob: 180 INVITE", "bob: 180 INVITE"]);
    pair.run(secs(10));
    pair.expect(BOB, &["invitation", "ended: nobody answered in time"]);
    pair.expect(
        ALICE,
        &["ringing 0", "ringing 0", "ended: rejected with 480 Temporarily Unavailable"],
    );
    pair.nothing_left();
}

#[test]
fn the_caller_lets_it_ring_until_the_limit() {
    let alice = AgentConfig::default().ringing_limit(secs(30));
    let mut pair = Pair::with(alice, AgentConfig::default());
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, StatusCode::RINGING, None))
        .unwrap();
    pair.run(secs(31));
    pair.expect(ALICE, &["ringing 0", "ended: nobody answered in time"]);
    pair.expect(BOB, &["invitation", "ended: cancelled by the caller"]);
    pair.nothing_left();
}

// RFC 3261 §13.3.1: "If the invitation expires before the UAS has
// generated a final response, a 487 (Request Terminated) response SHOULD be generated."
#[test]
fn an_invitation_expires() {
    let mut pair = Pair::new();
    pair.tell(ALICE, |agent, now, tx| {
        agent.call(now, tx, &alice(), to_bob().header("Expires", "10"))
    })
    .unwrap();
    // Alice's own clock cancels at the same time; let it be late.
    pair.network(|_, what| match what {
        "CANCEL" => Fate::Delay(ms(50)),
        _ => Fate::Deliver,
    });
    pair.run(secs(11));
    pair.expect(BOB, &["invitation", "ended: nobody answered in time"]);
    pair.expect(ALICE, &["ended: nobody answered in time"]);
    assert_eq!(pair.log.iter().filter(|line| line.ends_with("bob: 487 INVITE")).count(), 1);
    pair.nothing_left();
}

// RFC 3261 §13.2.1: "If the time indicated in the Expires
// header field is reached and no final answer for the INVITE has been
// received, the UAC core SHOULD generate a CANCEL request for the INVITE, as per Section 9."
#[test]
fn a_call_expires_at_the_caller() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob().header("Expires", "10")))
        .unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "b", &[]);
    lone.run(secs(9));
    lone.expect(&["ringing 0"]);
    lone.expect_sent(&[]);
    lone.run(secs(2));
    let sent = lone.sent();
    assert_eq!(summary(&sent[0].1), "CANCEL");
    lone.answer(&invite, 487, "b", &[]);
    lone.expect(&["ended: nobody answered in time"]);
    lone.nothing_left();
}

#[test]
fn what_cannot_be_sent_ends_the_call() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    lone.fail_to_send();
    lone.expect(&["ended: a message could not be sent: the far end cannot be reached"]);
    lone.nothing_left();
}

#[test]
fn what_cannot_be_sent_within_a_call() {
    let mut lone = Lone::new();
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.expect(&["answered"]);
    lone.sent();
    // Another try may do better: the call goes on.
    lone.tell(|agent, now, tx| agent.send(now, tx, call, Method::Info, None, &[])).unwrap();
    lone.fail_to_send();
    lone.expect(&["no response: it could not be sent: the far end cannot be reached"]);
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, None)).unwrap();
    lone.fail_to_send();
    lone.expect(&["reinvite failed: it could not be sent: the far end cannot be reached"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.fail_to_send();
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

#[test]
fn a_caller_that_cannot_be_told_that_it_rings() {
    let mut lone = Lone::new();
    lone.receive_text(
        "INVITE sip:alice@192.0.2.1 SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKring
        Max-Forwards: 70
        From: <sip:bob@192.0.2.2>;tag=b
        To: <sip:alice@192.0.2.1>
        Call-ID: ring
        CSeq: 1 INVITE
        Contact: <sip:bob@192.0.2.2>",
        "",
    );
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None)).unwrap();
    lone.fail_to_send();
    lone.expect(&["invitation", "ended: a message could not be sent: the connection is closed"]);
    lone.nothing_left();
}

#[test]
fn commands_in_the_wrong_state_change_nothing() {
    let mut pair = Pair::new();
    let ours = pair.call();
    let early = pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap_err();
    assert_eq!(
        early.to_string(),
        "the call is being placed, so it is not possible to change the session"
    );
    let wrong =
        pair.tell(ALICE, |agent, now, tx| agent.accept(now, tx, ours, None, &[])).unwrap_err();
    assert!(matches!(wrong, AgentError::State { state: CallState::Calling, .. }), "{wrong}");
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
    let gone = pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap_err();
    assert!(matches!(gone, AgentError::Gone), "{gone}");
}

#[test]
fn what_is_left_of_an_established_call_is_small() {
    let mut pair = Pair::new();
    let (_, theirs) = pair.established();
    pair.run(Duration::from_secs(40));
    let live = pair.live(BOB);
    assert_eq!((live.calls, live.dialogs, live.transactions), (1, 1, 0));
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.nothing_left();
}

/// A NOTIFY that was sent after the BYE may come before it: the BYE is then refused for its number.
#[test]
fn a_bye_that_was_overtaken_is_sent_again() {
    let mut lone = Lone::new();
    crate::incoming::established(&mut lone);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.expect(&["ended: we hung up"]);
    let first = lone.sent_request(Method::Bye);
    lone.answer(&first, 500, "", &[]);
    let second = lone.sent_request(Method::Bye);
    let number = |bye: &sip_message::Request| bye.headers().cseq().unwrap().number;
    assert_eq!(number(&second), number(&first) + 1);
    lone.answer(&second, 200, "", &[]);
    lone.expect_sent(&[]);
    lone.nothing_left();
}
