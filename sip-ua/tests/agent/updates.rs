//! UPDATE, in early and confirmed dialogs (RFC 3311), and where it meets INVITE and PRACK (RFC 6337 §4).

use sip_message::{HeaderName, Method, Request, Response, StatusCode};
use sip_ua::{AgentError, Body, CallKey};

use crate::harness::*;
use crate::incoming::{established, in_dialog, request};

const SDP: &str = "Content-Type: application/sdp";
const BODY: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\n";

fn hold() -> Body {
    Body::sdp(&b"v=0\r\na=sendonly\r\n"[..])
}

/// Alice called Bob, whose answer came early and has its PRACK.
fn early() -> (Pair, [CallKey; 2]) {
    let mut pair = Pair::new();
    let ours = pair.call();
    pair.run(ms(50));
    let theirs = *pair.calls[BOB].last().unwrap();
    let progress = StatusCode::SESSION_PROGRESS;
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, progress, Some(&sdp()))).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["progress 0"]);
    pair.expect(BOB, &["invitation", "acknowledged"]);
    pair.log.clear();
    (pair, [ours, theirs])
}

fn modify(pair: &mut Pair, end: usize, call: CallKey) -> Result<(), AgentError> {
    pair.tell(end, |agent, now, tx| agent.modify(now, tx, call, Some(&hold())))
}

fn answer(pair: &mut Pair, end: usize, call: CallKey, status: StatusCode) {
    let body = sdp();
    let body = status.is_success().then_some(&body);
    pair.tell(end, |agent, now, tx| agent.answer_modification(now, tx, call, status, body))
        .unwrap();
}

/// RFC 3311 §8, figure 1.
#[test]
fn the_call_flow_of_rfc_3311() {
    let (mut pair, calls) = early();
    for (end, other) in [(ALICE, BOB), (BOB, ALICE)] {
        modify(&mut pair, end, calls[end]).unwrap();
        let busy = modify(&mut pair, end, calls[end]).unwrap_err();
        assert!(matches!(busy, AgentError::Busy | AgentError::Offer(_)), "{busy}");
        pair.run(ms(50));
        pair.expect(other, &["UPDATE with an offer"]);
        answer(&mut pair, other, calls[other], StatusCode::OK);
        pair.run(ms(50));
        pair.expect(end, &["reinvite answered"]);
    }
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, calls[BOB], None, &[])).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["answered"]);
    pair.expect(BOB, &["confirmed"]);
    let flow = pair.flow();
    let expected = [
        "alice: UPDATE",
        "bob: 200 UPDATE",
        "bob: UPDATE",
        "alice: 200 UPDATE",
        "bob: 200 INVITE",
        "alice: ACK",
    ];
    assert_eq!(flow, expected);
    // Once it is answered a change is asked for by a re-INVITE.
    modify(&mut pair, ALICE, calls[ALICE]).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["reinvited"]);
    answer(&mut pair, BOB, calls[BOB], StatusCode::OK);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, calls[ALICE])).unwrap();
    pair.nothing_left();
}

// RFC 3311 §5.3: "If a UA receives a non-2xx final response to a UPDATE, the session
// parameters MUST remain unchanged, as if no UPDATE had been issued."
#[test]
fn a_refused_update_changes_nothing() {
    let (mut pair, calls) = early();
    modify(&mut pair, BOB, calls[BOB]).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["UPDATE with an offer"]);
    answer(&mut pair, ALICE, calls[ALICE], StatusCode::NOT_ACCEPTABLE_HERE);
    pair.run(ms(50));
    pair.expect(BOB, &["reinvite failed: refused with 488"]);
    // RFC 3311 §5.2: "If the UAS cannot change
    // the session parameters without prompting the user, it SHOULD reject
    // the request with a 504 response."
    modify(&mut pair, BOB, calls[BOB]).unwrap();
    pair.run(secs(21));
    pair.expect(ALICE, &["UPDATE with an offer"]);
    pair.expect(BOB, &["reinvite failed: refused with 504"]);
    // And the next is served as if nothing had been.
    modify(&mut pair, BOB, calls[BOB]).unwrap();
    pair.run(ms(50));
    answer(&mut pair, ALICE, calls[ALICE], StatusCode::OK);
    pair.run(ms(50));
    pair.expect(BOB, &["reinvite answered"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, calls[ALICE])).unwrap();
    pair.nothing_left();
}

/// RFC 6337, figure 14, and the back-off that follows (RFC 3311 §5.3).
#[test]
fn two_updates_that_cross_are_both_refused_and_tried_again() {
    for confirmed in [false, true] {
        let (mut pair, calls) = if confirmed {
            let mut pair = Pair::new();
            let (ours, theirs) = pair.established();
            (pair, [ours, theirs])
        } else {
            early()
        };
        for end in [ALICE, BOB] {
            pair.tell(end, |agent, now, tx| {
                agent.update_session(now, tx, calls[end], None, Some(&hold())).unwrap();
            });
        }
        pair.run(ms(100));
        let flow = pair.flow();
        assert_eq!(flow.iter().filter(|line| line.ends_with("491 UPDATE")).count(), 2, "{flow:?}");
        pair.expect(ALICE, &[]);
        pair.expect(BOB, &[]);
        // Alice owns the Call-ID, and waits longer than Bob can.
        pair.run(ms(2_050));
        pair.expect(ALICE, &["UPDATE with an offer"]);
        answer(&mut pair, ALICE, calls[ALICE], StatusCode::OK);
        pair.run(ms(100));
        pair.expect(BOB, &["reinvite answered"]);
        pair.run(secs(3));
        pair.expect(BOB, &["UPDATE with an offer"]);
        answer(&mut pair, BOB, calls[BOB], StatusCode::OK);
        pair.run(ms(100));
        pair.expect(ALICE, &["reinvite answered"]);
        pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, calls[ALICE])).unwrap();
        pair.nothing_left();
    }
}

/// The call ends one way or the other while an UPDATE is in progress.
#[test]
fn a_call_that_ends_answers_what_waits() {
    let (mut pair, calls) = early();
    modify(&mut pair, BOB, calls[BOB]).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["UPDATE with an offer"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, calls[ALICE])).unwrap();
    pair.run(secs(2));
    pair.expect(ALICE, &["ended: cancelled"]);
    let log = pair.wire_log();
    assert!(log.contains("alice: 487 UPDATE"), "{log}");
    pair.nothing_left();
}

#[test]
fn what_is_not_in_order_is_not_sent() {
    // Without an answer in a reliable response nothing can be offered, by either side.
    let mut pair = Pair::new();
    let ours = pair.call();
    pair.run(ms(50));
    let theirs = *pair.calls[BOB].last().unwrap();
    let none = modify(&mut pair, ALICE, ours).unwrap_err();
    assert!(matches!(none, AgentError::State { .. }), "no dialog yet: {none}");
    let none = modify(&mut pair, BOB, theirs).unwrap_err();
    assert!(matches!(none, AgentError::State { .. }), "no dialog yet: {none}");
    let ringing = StatusCode::RINGING;
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, ringing, Some(&sdp()))).unwrap();
    let prack = modify(&mut pair, BOB, theirs).unwrap_err();
    assert!(matches!(prack, AgentError::Offer(_)), "{prack}");
    pair.run(ms(50));
    modify(&mut pair, BOB, theirs).unwrap();
    pair.run(ms(50));
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
    // And not to a peer that does not take it.
    // RFC 3311 §4: "If the response contains an Allow header field containing the value
    // "UPDATE", the UAC knows that the callee supports UPDATE"
    let mut lone = Lone::new();
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "one", &[("Contact", "<sip:bob@192.0.2.21>"), ("Allow", "INVITE")]);
    let update = lone.tell(|agent, now, tx| agent.modify(now, tx, call, Some(&hold())));
    assert!(matches!(update, Err(AgentError::NotAllowed(Method::Update))));
    lone.answer(&invite, 486, "one", &[]);
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// RFC 6337, figures 15, 17 and 19, at the side that must refuse; and what offers nothing is served.
#[test]
fn updates_and_invites_that_come_too_early() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    lone.receive_text(&in_dialog("UPDATE", 2, &tag, ""), "");
    let response = lone.sent_response(200);
    assert_eq!(header(response.headers(), "Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    lone.receive_text(&in_dialog("UPDATE", 3, &tag, SDP), BODY);
    lone.expect(&["UPDATE with an offer"]);
    for (cseq, method) in [(4, "UPDATE"), (5, "INVITE")] {
        lone.receive_text(&in_dialog(method, cseq, &tag, SDP), BODY);
        let response = lone.sent_response(500);
        let seconds: u32 = header(response.headers(), "Retry-After").unwrap().parse().unwrap();
        assert!(seconds <= 10);
    }
    lone.receive_text(&in_dialog("ACK", 5, &tag, ""), "");
    lone.tell(|agent, now, tx| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp())).unwrap();
    });
    assert_eq!(lone.sent_response(200).body(), OFFER);
    // A re-INVITE that is not answered yet, with an offer or without.
    for (cseq, more, body) in [(6, SDP, BODY), (8, "", "")] {
        lone.receive_text(&in_dialog("INVITE", cseq, &tag, more), body);
        lone.expect(&["reinvited"]);
        lone.receive_text(&in_dialog("UPDATE", cseq + 1, &tag, SDP), BODY);
        let response = lone.sent_response(500);
        assert!(response.headers().contains(HeaderName::RetryAfter));
        lone.tell(|agent, now, tx| {
            let status = StatusCode::NOT_ACCEPTABLE_HERE;
            agent.answer_modification(now, tx, call, status, None).unwrap();
        });
        lone.sent_response(488);
        lone.receive_text(&in_dialog("ACK", cseq, &tag, ""), "");
    }
    // RFC 6337, figure 16: our UPDATE meets their INVITE.
    lone.receive_text(&in_dialog("BYE", 20, &tag, ""), "");
    lone.expect(&["ended: the peer hung up"]);
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// Alice calls Bob, who answers and takes UPDATE.
fn answered(lone: &mut Lone) -> (CallKey, Request) {
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    let ok = Response::to_request(&invite, StatusCode::OK)
        .to_tag("b")
        .raw(HeaderName::Contact, b"<sip:bob@192.0.2.2>")
        .raw(HeaderName::Allow, b"INVITE, UPDATE")
        .body(b"application/sdp", OFFER.to_vec());
    lone.receive(ok.build().unwrap().to_bytes());
    lone.sent_request(Method::Ack);
    lone.expect(&["answered"]);
    (call, invite)
}

// RFC 3261 §12.2.1.1: "Requests within a dialog MUST contain strictly monotonically
// increasing and contiguous CSeq sequence numbers (increasing-by-one)
// in each direction"
#[test]
fn what_may_not_be_sent_uses_up_no_number() {
    let mut lone = Lone::new();
    let (call, invite) = answered(&mut lone);
    let (tag, id) = (invite.headers().from_tag().unwrap(), invite.headers().call_id().unwrap());
    let offer = in_dialog("UPDATE", 1, tag, SDP).replace("UPDATE-1", "INVITE-1");
    lone.receive_text(&offer.replace("INVITE-1", id), BODY);
    lone.expect(&["UPDATE with an offer"]);
    let early =
        lone.tell(|agent, now, tx| agent.update_session(now, tx, call, None, Some(&hold())));
    assert!(matches!(early, Err(AgentError::Offer(_))), "{early:?}");
    lone.tell(|agent, now, tx| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp())).unwrap();
    });
    lone.sent_response(200);
    // Nor has what cannot be built a number.
    let bad = [("X-Folded".to_owned(), "a\r\nb".to_owned())];
    lone.tell(|agent, now, tx| {
        let sent = agent.send(now, tx, call, Method::Info, None, &bad);
        assert!(matches!(sent, Err(AgentError::Build(_))), "{sent:?}");
        let carol = "sip:carol@192.0.2.3".parse().unwrap();
        let referred = agent.refer(now, tx, call, &carol, &bad);
        assert!(matches!(referred, Err(AgentError::Build(_))), "{referred:?}");
        agent.hang_up(now, tx, call).unwrap();
    });
    let bye = lone.sent_request(Method::Bye);
    let number = |request: &Request| request.headers().cseq().unwrap().number;
    assert_eq!(number(&bye), number(&invite) + 1);
    lone.answer(&bye, 200, "b", &[]);
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// RFC 6337, figures 14 and 16: our UPDATE has no answer.
#[test]
fn what_meets_our_update_is_491() {
    let mut lone = Lone::new();
    let (call, invite) = answered(&mut lone);
    lone.tell(|agent, now, tx| agent.update_session(now, tx, call, None, Some(&hold()))).unwrap();
    let update = lone.sent_request(Method::Update);
    assert_eq!(header(update.headers(), "Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    let from_bob = |method: &str, cseq: u32, more: &str| {
        let (tag, id) = (invite.headers().from_tag().unwrap(), invite.headers().call_id().unwrap());
        in_dialog(method, cseq, tag, more).replace("INVITE-1", id)
    };
    for (cseq, method) in [(1, "UPDATE"), (2, "INVITE")] {
        lone.receive_text(&from_bob(method, cseq, SDP), BODY);
        lone.sent_response(491);
    }
    lone.receive_text(&from_bob("ACK", 2, ""), "");
    // One that offers nothing collides with nothing.
    lone.receive_text(&from_bob("UPDATE", 3, ""), "");
    lone.sent_response(200);
    // RFC 3311 §5.1: "UPDATE is a target refresh request."
    lone.answer(&update, 200, "", &[("Contact", "<sip:bob@192.0.2.2:5070>")]);
    lone.expect(&["reinvite answered"]);
    // RFC 3311 §5.3: "the UAC will terminate the dialog."
    lone.tell(|agent, now, tx| agent.update_session(now, tx, call, None, Some(&hold()))).unwrap();
    let update = lone.sent_request(Method::Update);
    assert_eq!(update.uri().unwrap().port(), Some(5070));
    lone.answer(&update, 481, "", &[]);
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["reinvite failed: refused with 481", "ended: the peer no longer answers"]);
    lone.nothing_left();
}

#[test]
fn an_update_out_of_nowhere_is_481() {
    let mut lone = Lone::new();
    lone.receive_text(&request("UPDATE", 1, SDP), BODY);
    lone.sent_response(481);
    lone.receive_text(&in_dialog("UPDATE", 2, "none", SDP), BODY);
    lone.sent_response(481);
    lone.expect(&[]);
    lone.run(secs(40));
    lone.nothing_left();
}
