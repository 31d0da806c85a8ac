//! Provisional responses that are sent reliably, and PRACK (RFC 3262).

use sip_message::{HeaderName, Message, Method, Request, Response, StatusCode};
use sip_ua::{
    Account, AgentConfig, AgentError, AgentEvent, Body, CallKey, CallUpdate, Credentials,
    OutgoingCall, Reliability,
};

use crate::harness::*;
use crate::incoming::{in_dialog, request};

const PROGRESS: StatusCode = StatusCode::SESSION_PROGRESS;
const SDP: &str = "Content-Type: application/sdp";
const BODY: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\n";

fn without_offer() -> OutgoingCall {
    OutgoingCall { body: None, ..to_bob() }
}

/// Alice calls Bob, who says 183 with a session description; nothing has arrived back.
fn early(pair: &mut Pair, call: OutgoingCall) -> (CallKey, CallKey) {
    let ours = pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["invitation"]);
    let theirs = *pair.calls[BOB].last().unwrap();
    pair.log.clear();
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, PROGRESS, Some(&sdp()))).unwrap();
    (ours, theirs)
}

fn accept(pair: &mut Pair, call: CallKey, body: Option<&Body>) {
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, call, body, &[])).unwrap();
}

fn hang_up(mut pair: Pair, call: CallKey) {
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    pair.nothing_left();
}

// RFC 3262 §5: "Once an answer has been sent or received, the UA SHOULD establish the
// session based on the parameters of the offer and answer, even if the
// original INVITE itself has not been responded to."
#[test]
fn an_early_answer_is_sent_reliably_and_the_2xx_holds_none() {
    let mut pair = Pair::new();
    let (ours, theirs) = early(&mut pair, to_bob());
    pair.run(secs(3));
    pair.expect(ALICE, &["progress 0"]);
    pair.expect(BOB, &["acknowledged"]);
    assert_eq!(pair.flow(), ["bob: 183 INVITE", "alice: PRACK", "bob: 200 PRACK"]);
    // RFC 6337 §3.1.1: "After the UAS has sent the answer in a reliable provisional
    // response to the INVITE, the UAS should not include any SDPs in
    // subsequent responses to the INVITE."
    accept(&mut pair, theirs, Some(&sdp()));
    pair.run(ms(50));
    let events = pair.take(ALICE);
    match &events[..] {
        [
            AgentEvent::Call {
                update: CallUpdate::Answered { response, answer_owed: false }, ..
            },
        ] => {
            assert!(response.body().is_empty());
        }
        other => panic!("{other:?}"),
    }
    pair.expect(BOB, &["confirmed"]);
    hang_up(pair, ours);
}

#[test]
fn a_call_that_was_refused_before_the_prack_is_not_accepted_after_it() {
    let mut pair = Pair::new();
    let (_, theirs) = early(&mut pair, to_bob());
    let busy = StatusCode::BUSY_HERE;
    pair.tell(BOB, |agent, now, tx| agent.reject(now, tx, theirs, busy, &[])).unwrap();
    let accepted = pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, None, &[]));
    assert!(matches!(accepted, Err(AgentError::Gone)), "{accepted:?}");
    pair.nothing_left();
}

// RFC 3262 §5: "the UAS MUST delay sending the 2xx until the provisional
// response is acknowledged."
#[test]
fn the_2xx_waits_for_the_prack() {
    let mut pair = Pair::new();
    let (ours, theirs) = early(&mut pair, to_bob());
    accept(&mut pair, theirs, None);
    // It is accepted: nothing else can be done with it.
    let again = pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, None, &[]));
    assert!(matches!(again, Err(AgentError::State { .. })));
    let ring = pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, PROGRESS, None));
    assert!(matches!(ring, Err(AgentError::State { .. })));
    pair.run(ms(100));
    pair.expect(ALICE, &["progress 0", "answered"]);
    pair.expect(BOB, &["acknowledged", "confirmed"]);
    let flow = pair.flow();
    let expected =
        ["bob: 183 INVITE", "alice: PRACK", "bob: 200 PRACK", "bob: 200 INVITE", "alice: ACK"];
    assert_eq!(flow, expected);
    hang_up(pair, ours);
}

// RFC 3262 §3: "The reliable provisional response is passed to the transaction layer
// periodically with an interval that starts at T1 seconds and doubles
// for each retransmission"
// RFC 3262 §4: "a UAC SHOULD NOT retransmit the PRACK request
// when it receives a retransmission of the provisional response being
// acknowledged"
#[test]
fn what_is_lost_comes_again() {
    let mut pair = Pair::new();
    pair.lose(BOB, "183 INVITE", 2);
    let ours = pair.call();
    pair.run(ms(300)); // The 100 is there.
    let theirs = pair.calls[BOB][0];
    pair.log.clear();
    pair.tell(BOB, |agent, now, tx| agent.ring(now, tx, theirs, PROGRESS, Some(&sdp()))).unwrap();
    pair.run(secs(8));
    assert_eq!(
        pair.log,
        [
            "300 bob: 183 INVITE (lost)",
            "800 bob: 183 INVITE (lost)",
            "1800 bob: 183 INVITE",
            "1810 alice: PRACK",
            "1820 bob: 200 PRACK"
        ]
    );
    pair.log.clear();
    accept(&mut pair, theirs, None);
    pair.run(secs(3));
    pair.expect(ALICE, &["progress 0", "answered"]);
    hang_up(pair, ours);

    // Where the PRACK is lost it is its transaction that sends it again.
    let mut pair = Pair::new();
    pair.lose(ALICE, "PRACK", 1);
    let (ours, _) = early(&mut pair, to_bob());
    pair.run(secs(2));
    let kinds = pair.flow();
    assert_eq!(kinds.iter().filter(|line| *line == "alice: PRACK").count(), 1, "{kinds:?}");
    pair.expect(ALICE, &["progress 0"]);
    pair.expect(BOB, &["acknowledged"]);
    hang_up(pair, ours);
}

// RFC 3262 §3: "If a reliable provisional response is retransmitted for 64*T1 seconds
// without reception of a corresponding PRACK, the UAS SHOULD reject the
// original request with a 5xx response."
#[test]
fn without_any_prack_the_call_is_refused() {
    let mut pair = Pair::new();
    pair.lose(ALICE, "PRACK", usize::MAX);
    let (_, theirs) = early(&mut pair, to_bob());
    accept(&mut pair, theirs, None);
    pair.run(secs(33));
    pair.expect(BOB, &["ended: the caller did not acknowledge that it rings"]);
    pair.expect(ALICE, &["progress 0", "ended: rejected with 504 Server Time-out"]);
    let sent = pair.log.iter().filter(|line| line.ends_with("bob: 183 INVITE")).count();
    assert_eq!(sent, 7, "{}", pair.wire_log());
    pair.nothing_left();
}

// RFC 3262 §3: "The UAS MUST NOT send a second reliable provisional
// response until the first is acknowledged."
#[test]
fn one_after_the_other() {
    let config = || AgentConfig::default().reliable(Reliability::Required);
    let mut pair = Pair::with(config(), config());
    let (ours, theirs) = early(&mut pair, to_bob());
    pair.tell(BOB, |agent, now, tx| {
        agent.ring(now, tx, theirs, StatusCode::RINGING, None).unwrap();
        agent.ring(now, tx, theirs, StatusCode::QUEUED, None).unwrap();
        agent.accept(now, tx, theirs, None, &[]).unwrap();
    });
    pair.run(ms(200));
    pair.expect(ALICE, &["progress 0", "ringing 0", "progress 0", "answered"]);
    pair.expect(BOB, &["acknowledged", "acknowledged", "acknowledged", "confirmed"]);
    let flow = pair.flow();
    let expected = [
        "bob: 183 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "bob: 180 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "bob: 182 INVITE",
        "alice: PRACK",
        "bob: 200 PRACK",
        "bob: 200 INVITE",
        "alice: ACK",
    ];
    assert_eq!(flow, expected);
    hang_up(pair, ours);
}

#[test]
fn so_many_may_wait() {
    let config = AgentConfig::default().reliable(Reliability::Required);
    let mut pair = Pair::with(AgentConfig::default(), config);
    let (ours, theirs) = early(&mut pair, to_bob());
    pair.tell(BOB, |agent, now, tx| {
        for _ in 0..8 {
            agent.ring(now, tx, theirs, StatusCode::RINGING, None).unwrap();
        }
        let full = agent.ring(now, tx, theirs, StatusCode::RINGING, None);
        assert!(matches!(full, Err(AgentError::Full { .. })));
    });
    hang_up(pair, ours);
}

// RFC 3262 §5: "it MUST generate an answer in the PRACK."
#[test]
fn an_offer_in_a_reliable_response_is_answered_in_the_prack() {
    let mut pair = Pair::new();
    let (ours, theirs) = early(&mut pair, without_offer());
    pair.run(secs(2));
    pair.expect(ALICE, &["progress 0 with an offer"]);
    assert!(pair.flow().iter().all(|line| line == "bob: 183 INVITE"), "the PRACK waits");
    pair.tell(ALICE, |agent, now, tx| agent.answer_early(now, tx, ours, None, Some(&sdp())))
        .unwrap();
    let again = pair.tell(ALICE, |agent, now, tx| agent.answer_early(now, tx, ours, None, None));
    assert!(matches!(again, Err(AgentError::NoOffer)));
    pair.run(ms(50));
    pair.expect(BOB, &["acknowledged with body"]);
    accept(&mut pair, theirs, None);
    pair.run(ms(50));
    pair.expect(ALICE, &["answered"]);
    pair.expect(BOB, &["confirmed"]);
    hang_up(pair, ours);
}

#[test]
fn an_offer_that_nobody_answers_early_cancels_the_call() {
    let mut pair = Pair::new();
    early(&mut pair, without_offer());
    pair.run(secs(21));
    pair.expect(ALICE, &["progress 0 with an offer", "ended: nobody answered in time"]);
    pair.expect(BOB, &["acknowledged with body", "ended: cancelled by the caller"]);
    pair.nothing_left();
}

/// Alice's call whose PRACKs wait, answered early by Bob.
fn held(pair: &mut Pair) -> (CallKey, CallKey) {
    let calls = early(pair, to_bob().hold_pracks());
    pair.run(ms(100));
    pair.expect(ALICE, &["progress 0", "prack held 0"]);
    assert_eq!(pair.flow(), ["bob: 183 INVITE"]);
    calls
}

// RFC 3262 §5: "If the UAC receives a reliable provisional response with an answer, it MAY generate an
// additional offer in the PRACK."
#[test]
fn a_new_offer_goes_in_the_prack() {
    let mut pair = Pair::new();
    let (ours, theirs) = held(&mut pair);
    // Until it is gone no UPDATE can be.
    let early =
        pair.tell(ALICE, |agent, now, tx| agent.update_session(now, tx, ours, None, Some(&sdp())));
    assert!(matches!(early, Err(AgentError::Offer(_))), "{early:?}");
    pair.tell(ALICE, |agent, now, tx| agent.offer_early(now, tx, ours, None, &sdp())).unwrap();
    let again = pair.tell(ALICE, |agent, now, tx| agent.offer_early(now, tx, ours, None, &sdp()));
    assert!(matches!(again, Err(AgentError::NoOffer)), "{again:?}");
    pair.run(ms(50));
    pair.expect(BOB, &["PRACK with an offer"]);
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp())).unwrap();
    });
    pair.run(ms(50));
    pair.expect(ALICE, &["reinvite answered"]);
    assert_eq!(pair.flow(), ["alice: PRACK", "bob: 200 PRACK"]);
    // The next exchange may begin.
    pair.tell(ALICE, |agent, now, tx| agent.update_session(now, tx, ours, None, Some(&sdp())))
        .unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["UPDATE with an offer"]);
    hang_up(pair, ours);
}

// RFC 6337 §2.3: "In that case, UAC may send again a PRACK
// request without an offer"
#[test]
fn an_offer_in_a_prack_that_is_refused_is_followed_by_a_prack_without() {
    let mut pair = Pair::new();
    let (ours, theirs) = held(&mut pair);
    pair.tell(ALICE, |agent, now, tx| agent.offer_early(now, tx, ours, None, &sdp())).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["PRACK with an offer"]);
    let status = StatusCode::NOT_ACCEPTABLE_HERE;
    pair.tell(BOB, |agent, now, tx| agent.answer_modification(now, tx, theirs, status, None))
        .unwrap();
    pair.run(ms(100));
    pair.expect(ALICE, &["reinvite failed: refused with 488"]);
    pair.expect(BOB, &["acknowledged"]);
    let flow = pair.flow();
    assert_eq!(flow, ["alice: PRACK", "bob: 488 PRACK", "alice: PRACK", "bob: 200 PRACK"]);
    accept(&mut pair, theirs, None);
    pair.run(ms(50));
    pair.expect(ALICE, &["answered"]);
    hang_up(pair, ours);
}

#[test]
fn a_prack_that_waits_goes_without_an_offer_all_the_same() {
    // By word of the application, by itself, and when the call is given up.
    for how in 0..3 {
        let mut pair = Pair::new();
        let (ours, theirs) = held(&mut pair);
        match how {
            0 => {
                let body = sdp();
                let no = pair.tell(ALICE, |agent, now, tx| {
                    agent.answer_early(now, tx, ours, None, Some(&body))
                });
                assert!(matches!(no, Err(AgentError::NoOffer)), "{no:?}");
                pair.tell(ALICE, |agent, now, tx| agent.answer_early(now, tx, ours, None, None))
                    .unwrap();
            }
            1 => pair.run(secs(20)),
            _ => pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap(),
        }
        pair.run(ms(100));
        let told = pair.take(BOB).iter().map(words).collect::<Vec<_>>();
        if how == 2 {
            assert!(pair.log.iter().any(|line| line.ends_with("200 PRACK")), "{}", pair.wire_log());
            assert!(told.contains(&"ended: cancelled by the caller".to_owned()), "{told:?}");
        } else {
            assert_eq!(told, ["acknowledged"]);
            accept(&mut pair, theirs, None);
            pair.run(ms(50));
            pair.expect(ALICE, &["answered"]);
            pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
        }
        pair.nothing_left();
    }
}

/// Bob's offer in a 183 waits for an answer, and Alice gives the call up.
// RFC 3262 §5: "it MUST generate an answer in the PRACK."
#[test]
fn giving_up_refuses_every_stream_of_an_early_offer() {
    let mut pair = Pair::new();
    let (ours, _) = early(&mut pair, without_offer());
    pair.run(ms(50));
    pair.expect(ALICE, &["progress 0 with an offer"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.run(ms(100));
    let events = pair.take(BOB);
    let answer = events.iter().find_map(|event| match event {
        AgentEvent::Call { update: CallUpdate::Acknowledged { prack: Some(prack) }, .. } => {
            Some(String::from_utf8_lossy(prack.body()).into_owned())
        }
        _ => None,
    });
    let refuses = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";
    assert_eq!(answer.as_deref(), Some(refuses), "{events:?}");
    pair.nothing_left();
}

/// RFC 6337, pattern 5.
// RFC 3262 §5: "If the UAS receives a PRACK with an
// offer, it MUST place the answer in the 2xx to the PRACK."
#[test]
fn an_offer_in_a_prack_is_answered_in_its_2xx() {
    let mut lone = Lone::new();
    let (call, tag, rseq) = rung(&mut lone, "Supported: 100rel\nAllow: UPDATE");
    lone.receive_text(&prack(2, &tag, &format!("{rseq} 1 INVITE"), SDP), BODY);
    lone.expect(&["PRACK with an offer"]);
    lone.expect_sent(&[]);
    // The 2xx comes after that.
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, None, &[])).unwrap();
    lone.expect_sent(&[]);
    lone.tell(|agent, now, tx| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp())).unwrap();
    });
    let sent = lone.expect_sent(&["200 PRACK", "200 INVITE"]);
    let [Message::Response(prack), Message::Response(ok)] = &sent[..] else { panic!() };
    assert_eq!((prack.body(), ok.body()), (OFFER, &b""[..]));
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.receive_text(&in_dialog("BYE", 3, &tag, ""), "");
    lone.expect(&["confirmed", "ended: the peer hung up"]);
    lone.sent();
    lone.nothing_left();
}

/// Bob calls; Alice says 183 with an answer, which Bob does not acknowledge yet.
fn rung(lone: &mut Lone, more: &str) -> (CallKey, String, u32) {
    lone.receive_text(&request("INVITE", 1, &format!("{more}\n{SDP}")), BODY);
    lone.expect(&["invitation"]);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, PROGRESS, Some(&sdp()))).unwrap();
    let response = lone.sent_response(183);
    assert_eq!(header(response.headers(), "Require"), Some("100rel"));
    let rseq = header(response.headers(), "RSeq").unwrap().parse().unwrap();
    (call, response.headers().to_tag().unwrap().to_owned(), rseq)
}

fn prack(cseq: u32, tag: &str, rack: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!("\n{more}") };
    in_dialog("PRACK", cseq, tag, &format!("RAck: {rack}{more}"))
}

// RFC 3262 §3: "If a PRACK request is received by the UA core that does not match any
// unacknowledged reliable provisional response, the UAS MUST respond to
// the PRACK with a 481 response."
#[test]
fn a_prack_that_acknowledges_nothing_is_refused() {
    let mut lone = Lone::new();
    let (call, tag, rseq) = rung(&mut lone, "Supported: 100rel");
    let wrong = [
        (format!("{} 1 INVITE", rseq ^ 1), 481),
        (format!("{rseq} 2 INVITE"), 481),
        (format!("{rseq} 1 UPDATE"), 481),
        ("0 1 INVITE".into(), 400),
        ("4294967296 1 INVITE".into(), 400),
        (format!("{rseq} 4294967296 INVITE"), 400),
        (format!("{rseq}"), 400),
    ];
    for (n, (rack, status)) in (2..).zip(wrong) {
        lone.receive_text(&prack(n, &tag, &rack, ""), "");
        let response = lone.sent_response(status);
        assert_eq!(response.headers().cseq().unwrap().number, n, "{rack}");
    }
    lone.receive_text(&in_dialog("PRACK", 20, &tag, ""), "");
    lone.sent_response(400);
    // None of them has ended what was well.
    lone.run(ms(500));
    lone.sent_response(183);
    let rack = format!("{rseq} 1 INVITE");
    lone.receive_text(&prack(21, &tag, &rack, ""), "");
    lone.sent_response(200);
    lone.expect(&["acknowledged"]);
    lone.receive_text(&prack(22, &tag, &rack, ""), "");
    lone.sent_response(481);
    // And where no dialog is.
    lone.receive_text(&request("PRACK", 9, "RAck: 1 1 INVITE"), "");
    lone.sent_response(481);
    lone.tell(|agent, now, tx| agent.reject(now, tx, call, StatusCode::BUSY_HERE, &[])).unwrap();
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}

// RFC 3262 §3: "If the UAS does send a
// final response when reliable responses are still unacknowledged, it
// SHOULD NOT continue to retransmit the unacknowledged reliable
// provisional responses, but it MUST be prepared to process PRACK
// requests for those outstanding responses."
#[test]
fn a_prack_after_the_refusal_is_taken() {
    for cancelled in [false, true] {
        let mut lone = Lone::new();
        let (call, tag, rseq) = rung(&mut lone, "Supported: 100rel");
        if cancelled {
            let cancel = request("CANCEL", 1, "").replace("CANCEL1", "INVITE1");
            lone.receive_text(&cancel.replace("CANCEL-1", "INVITE-1"), "");
            lone.expect(&["ended: cancelled by the caller"]);
            lone.expect_sent(&["200 CANCEL", "487 INVITE"]);
        } else {
            let busy = StatusCode::BUSY_HERE;
            lone.tell(|agent, now, tx| agent.reject(now, tx, call, busy, &[])).unwrap();
            lone.expect(&["ended: we hung up"]);
            lone.expect_sent(&["486 INVITE"]);
        }
        let rack = format!("{rseq} 1 INVITE");
        lone.receive_text(&prack(2, &tag, &rack, ""), "");
        lone.sent_response(200);
        lone.receive_text(&prack(3, &tag, &rack, ""), "");
        lone.sent_response(481);
        lone.expect(&[]);
        lone.run(secs(33));
        lone.sent();
        lone.nothing_left();
    }
}

// RFC 3262 §3: "The UAS MAY send a final response to the initial request before
// having received PRACKs for all unacknowledged reliable provisional
// responses, unless the final response is 2xx and any of the
// unacknowledged reliable provisional responses contained a session
// description."
#[test]
fn the_2xx_does_not_wait_where_nothing_was_described() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, &format!("Require: 100rel\n{SDP}")), BODY);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None)).unwrap();
    let response = lone.sent_response(180);
    let tag = response.headers().to_tag().unwrap().to_owned();
    let rseq = header(response.headers(), "RSeq").unwrap().to_owned();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    assert_eq!(lone.sent_response(200).body(), OFFER);
    lone.receive_text(&prack(2, &tag, &format!("{rseq} 1 INVITE"), ""), "");
    lone.sent_response(200);
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.expect(&["invitation", "acknowledged", "confirmed"]);
    lone.run(secs(40));
    lone.expect_sent(&[]);
    lone.receive_text(&in_dialog("BYE", 3, &tag, ""), "");
    lone.sent();
    lone.nothing_left();
}

// RFC 3262 §5: "if a reliable provisional
// response is the first reliable message sent back to the UAC, and the
// INVITE did not contain an offer, one MUST appear in that reliable
// provisional response."
#[test]
fn the_first_reliable_response_to_an_invite_without_an_offer_needs_one() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, "Require: 100rel"), "");
    let call = lone.last_invitation.unwrap();
    let ring = lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None));
    assert!(matches!(ring, Err(AgentError::Offer(_))));
    lone.expect_sent(&[]);
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, PROGRESS, Some(&sdp()))).unwrap();
    lone.sent_response(183);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

#[test]
fn who_wants_it_gets_it_and_who_does_not_does_not() {
    use Reliability::{Never, Required, Supported};
    for (policy, invite, ring) in [
        // RFC 3262 §3: "If the UAS is unwilling to do so, it MUST reject the initial
        // request with a 420 (Bad Extension) and include an Unsupported header
        // field containing the option tag 100rel."
        (Never, "Require: 100rel", Err((420, "Unsupported"))),
        (Never, "Supported: 100rel", Ok(false)),
        (Supported, "Supported: 100rel", Ok(false)),
        (Supported, "k: timer ,100REL", Ok(false)),
        (Supported, "Require: 100rel", Ok(true)),
        (Supported, "Supported: 199", Ok(false)),
        (Required, "Supported: 100rel", Ok(true)),
        // RFC 3261 §21.4.16: "Responses with this status code MUST contain a Require header field
        // listing the required extensions."
        (Required, "Supported: 199", Err((421, "Require"))),
    ] {
        let mut lone = Lone::with(AgentConfig::default().reliable(policy));
        lone.receive_text(&request("INVITE", 1, &format!("{invite}\n{SDP}")), BODY);
        match ring {
            Err((status, field)) => {
                let response = lone.sent_response(status);
                assert_eq!(header(response.headers(), field), Some("100rel"), "{invite}");
                lone.expect(&[]);
            }
            Ok(reliably) => {
                let call = lone.last_invitation.unwrap();
                let ringing = StatusCode::RINGING;
                lone.tell(|agent, now, tx| agent.ring(now, tx, call, ringing, None)).unwrap();
                let response = lone.sent_response(180);
                assert_eq!(response.headers().contains(HeaderName::RSeq), reliably, "{invite}");
                let gone = StatusCode::TEMPORARILY_UNAVAILABLE;
                lone.tell(|agent, now, tx| agent.reject(now, tx, call, gone, &[])).unwrap();
            }
        }
        lone.run(secs(40));
        lone.sent();
        lone.nothing_left();
    }
}

#[test]
fn what_an_invite_says_of_it() {
    use Reliability::{Never, Required, Supported};
    for (ours, of_account, of_call, supported, require) in [
        (Supported, None, None, "100rel, 199, ", None),
        (Never, None, None, "199, ", None),
        (Never, Some(Required), None, "100rel, 199, ", Some("100rel")),
        (Supported, Some(Required), Some(Never), "199, ", None),
    ] {
        let mut lone = Lone::with(AgentConfig::default().reliable(ours));
        let mut account = Account::new("sip:alice@192.0.2.1".parse().unwrap());
        if let Some(reliable) = of_account {
            account = account.reliable(reliable);
        }
        let account = std::sync::Arc::new(account);
        let call = OutgoingCall { reliable: of_call, ..to_bob() };
        lone.tell(|agent, now, tx| agent.call(now, tx, &account, call)).unwrap();
        let invite = lone.sent_request(Method::Invite);
        assert!(header(invite.headers(), "Supported").unwrap().starts_with(supported));
        assert_eq!(header(invite.headers(), "Require"), require);
        let prack = header(invite.headers(), "Allow").unwrap().contains("PRACK");
        assert_eq!(prack, ours != Never);
    }
}

/// A reliable provisional response of Bob's.
fn reliably(invite: &Request, status: u16, tag: &str, rseq: &str, body: &str) -> Vec<u8> {
    let status = StatusCode::new(status).unwrap();
    let mut response = Response::to_request(invite, status);
    if !tag.is_empty() {
        response = response.to_tag(tag);
    }
    response = response
        .raw(HeaderName::Contact, b"<sip:bob@192.0.2.21>")
        .raw(HeaderName::Allow, b"INVITE, ACK, BYE, PRACK, UPDATE")
        .raw(HeaderName::Require, b"100rel");
    if !rseq.is_empty() {
        response = response.raw(HeaderName::RSeq, rseq.as_bytes());
    }
    if !body.is_empty() {
        response = response.body(b"application/sdp", body.to_owned());
    }
    response.build().unwrap().to_bytes().to_vec()
}

fn call(lone: &mut Lone) -> (CallKey, Request) {
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    (call, lone.sent_request(Method::Invite))
}

/// The RAck of the one PRACK that was sent, which Bob answers.
#[track_caller]
fn acknowledged(lone: &mut Lone) -> String {
    let prack = lone.sent_request(Method::Prack);
    lone.answer(&prack, 200, "", &[]);
    header(prack.headers(), "RAck").unwrap().to_owned()
}

// RFC 3262 §4: "if the UAC receives another reliable provisional
// response to the same request, and its RSeq value is not one higher
// than the value of the sequence number, that response MUST NOT be
// acknowledged with a PRACK, and MUST NOT be processed further by the
// UAC."
#[test]
fn they_are_acknowledged_in_order_for_each_callee() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.receive(reliably(&invite, 180, "one", "41", ""));
    assert_eq!(acknowledged(&mut lone), "41 1 INVITE");
    for (rseq, tag) in [("41", "one"), ("43", "one"), ("40", "one"), ("4294967295", "one")] {
        lone.receive(reliably(&invite, 180, tag, rseq, ""));
        lone.expect_sent(&[]);
    }
    // Another callee has numbers of its own.
    lone.receive(reliably(&invite, 183, "two", "7", BODY));
    assert_eq!(acknowledged(&mut lone), "7 1 INVITE");
    lone.receive(reliably(&invite, 183, "one", "42", BODY));
    assert_eq!(acknowledged(&mut lone), "42 1 INVITE");
    lone.expect(&["ringing 0", "progress 1", "progress 0"]);
    // Numbers that are none, or no number: nobody can acknowledge that.
    for rseq in ["0", "4294967296", "x", ""] {
        lone.receive(reliably(&invite, 183, "three", rseq, ""));
        lone.expect_sent(&[]);
        lone.expect(&[]);
    }
    // RFC 3262 §4: "If the response is
    // a 100 (Trying) (as opposed to 101 to 199), this option tag MUST be
    // ignored"
    lone.receive(reliably(&invite, 100, "one", "43", ""));
    lone.expect_sent(&[]);
    lone.answer(&invite, 486, "one", &[]);
    lone.expect(&["ended: rejected with 486 Busy Here"]);
    lone.tell(|agent, _, _| assert!(agent.state(call).is_none()));
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// A PRACK goes out for what arrives after the CANCEL, too: its sender need not repeat it.
#[test]
fn a_reliable_response_that_crosses_the_cancel_is_acknowledged() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.receive(reliably(&invite, 180, "one", "41", ""));
    acknowledged(&mut lone);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.receive(reliably(&invite, 183, "one", "42", BODY));
    assert_eq!(acknowledged(&mut lone), "42 1 INVITE");
    lone.answer(&cancel, 200, "one", &[]);
    lone.answer(&invite, 487, "one", &[]);
    lone.expect(&["ringing 0", "ended: cancelled"]);
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

// RFC 3262 §9: "PRACK messages SHOULD be
// authenticated as any other request."
#[test]
fn a_prack_that_is_challenged_goes_again() {
    let mut lone = Lone::new();
    let account = Account::new("sip:alice@192.0.2.1".parse().unwrap())
        .credentials(Credentials::new("alice", "secret"));
    let account = std::sync::Arc::new(account);
    lone.tell(|agent, now, tx| agent.call(now, tx, &account, to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.receive(reliably(&invite, 183, "one", "41", BODY));
    let prack = lone.sent_request(Method::Prack);
    let challenge = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    lone.answer(&prack, 401, "", &[("WWW-Authenticate", challenge)]);
    let again = lone.sent_request(Method::Prack);
    assert!(again.headers().contains(HeaderName::Authorization));
    assert_eq!(header(again.headers(), "RAck"), Some("41 1 INVITE"));
    assert_eq!(again.headers().cseq().unwrap().number, 3);
    lone.answer(&again, 200, "", &[]);
    lone.answer(&invite, 486, "one", &[]);
    lone.expect(&["progress 0", "ended: rejected with 486 Busy Here"]);
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// The rules are of every INVITE.
#[test]
fn a_reliable_response_to_a_reinvite_is_acknowledged() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 200, "one", &[("Contact", "<sip:bob@192.0.2.21>")]);
    lone.sent_request(Method::Ack);
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, None)).unwrap();
    let reinvite = lone.sent_request(Method::Invite);
    lone.receive(reliably(&reinvite, 183, "", "5", BODY));
    lone.expect(&["answered", "progress 0 with an offer"]);
    lone.expect_sent(&[]);
    lone.tell(|agent, now, tx| agent.answer_early(now, tx, call, None, Some(&sdp()))).unwrap();
    let prack = lone.sent_request(Method::Prack);
    assert_eq!(prack.body(), OFFER);
    assert_eq!(header(prack.headers(), "RAck"), Some("5 2 INVITE"));
    lone.answer(&prack, 200, "", &[]);
    lone.answer(&reinvite, 200, "", &[("Contact", "<sip:bob@192.0.2.21>")]);
    lone.sent_request(Method::Ack);
    lone.expect(&["reinvite answered"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

// RFC 6228 §4: "The 199 response does not affect other early dialogs
// associated with the session establishment."
#[test]
fn a_199_ends_one_early_dialog() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    let contact: &[(&str, &str)] = &[("Contact", "<sip:bob@192.0.2.21>"), ("Allow", "UPDATE")];
    lone.answer(&invite, 199, "zero", contact);
    lone.expect(&[]);
    lone.receive(reliably(&invite, 183, "one", "1", BODY));
    acknowledged(&mut lone);
    lone.answer(&invite, 180, "two", contact);
    lone.answer(&invite, 199, "one", contact);
    lone.expect(&["progress 0", "ringing 1", "early ended 0"]);
    // RFC 6228 §7: "A UAC that receives a 199 response for an
    // early dialog MUST NOT send any further requests on that dialog,
    // except for requests that acknowledge reliable responses."
    let early = Some(sip_ua::EarlyId(0));
    let update =
        lone.tell(|agent, now, tx| agent.update_session(now, tx, call, early, Some(&sdp())));
    assert!(matches!(update, Err(AgentError::NotAllowed(_))));
    // RFC 6228 §4: "If a
    // UAC receives a reliably sent 199 response on a dialog that has not
    // previously been created, it MUST acknowledge the 199 response"
    lone.receive(reliably(&invite, 199, "three", "9", ""));
    assert_eq!(acknowledged(&mut lone), "9 1 INVITE");
    lone.expect(&["early ended 2"]);
    lone.answer(&invite, 200, "two", contact);
    lone.sent_request(Method::Ack);
    lone.expect(&["answered"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

/// RFC 6228 §5: nobody may send it who was not asked to, and nobody has to.
#[test]
fn we_send_no_199() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, "Supported: 199"), "");
    let call = lone.last_invitation.unwrap();
    let status = StatusCode::EARLY_DIALOG_TERMINATED;
    let ring = lone.tell(|agent, now, tx| agent.ring(now, tx, call, status, None));
    assert!(matches!(ring, Err(AgentError::Status(_))));
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.run(secs(40));
    lone.sent();
    lone.nothing_left();
}

/// The early dialog of a call that rings here, ended by a 199.
fn ended_early(lone: &mut Lone, call: CallKey) -> Result<(), AgentError> {
    let reason = sip_message::Reason::sip(StatusCode::BUSY_HERE);
    lone.tell(|agent, now, tx| agent.end_early(now, tx, call, &reason))
}

// RFC 6228 §5: "the response MUST contain a To
// header field tag parameter [RFC3261], in order for other entities to
// identify the early dialog that has been terminated."
#[test]
fn a_199_says_that_an_early_dialog_is_over() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, &format!("Supported: 199\n{SDP}")), BODY);
    let call = lone.last_invitation.unwrap();
    // Before there is an early dialog none can end.
    assert!(matches!(ended_early(&mut lone, call), Err(AgentError::State { .. })));
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None)).unwrap();
    let ringing = lone.sent_response(180);
    ended_early(&mut lone, call).unwrap();
    let ended = lone.sent_response(199);
    assert_eq!(ended.headers().to_tag(), ringing.headers().to_tag());
    // RFC 6228 §5: "The UAS MUST
    // also insert a Reason header field [RFC3326] that contains a response
    // code describing the reason why the early dialog was terminated."
    assert_eq!(header(ended.headers(), "Reason"), Some("SIP;cause=486"));
    // RFC 6228 §5: "The UAS MUST NOT insert a "199" option-tag in the Supported, Require, or
    // Proxy-Require header field of the 199 response."
    for name in ["Supported", "Require", "Proxy-Require"] {
        assert_eq!(header(ended.headers(), name), None);
    }
    // RFC 6228 §5: "A 199 response SHOULD NOT contain a Session Description Protocol
    // (SDP) offer/answer message body"
    assert!(ended.body().is_empty());
    // What is left is to refuse.
    let ring = lone.tell(|agent, now, tx| agent.ring(now, tx, call, PROGRESS, None));
    assert!(matches!(ring, Err(AgentError::State { .. })));
    let accept = lone.tell(|agent, now, tx| agent.accept(now, tx, call, None, &[]));
    assert!(matches!(accept, Err(AgentError::State { .. })));
    assert!(matches!(ended_early(&mut lone, call), Err(AgentError::State { .. })));
    // RFC 6228 §7: "it MUST act in the same way as if
    // it had received the request after sending the final non-2xx response
    // to the INVITE request"
    let tag = ended.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("UPDATE", 2, &tag, ""), "");
    lone.sent_response(481);
    lone.run(secs(70));
    lone.expect_sent(&[]);
    lone.tell(|agent, now, tx| agent.reject(now, tx, call, StatusCode::BUSY_HERE, &[])).unwrap();
    lone.sent_response(486);
    lone.receive_text(&in_dialog("ACK", 1, &tag, "").replace("ACK-1", "INVITE-1"), "");
    lone.take();
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}

#[test]
fn a_199_is_said_only_to_who_knows_it_and_reliably_only_if_that_is_wanted() {
    let mut lone = Lone::new();
    let (call, ..) = rung(&mut lone, "Supported: 100rel");
    let no = ended_early(&mut lone, call).unwrap_err();
    assert!(matches!(no, AgentError::Status(status) if status.as_u16() == 199), "{no}");

    // Without an offer, and all is to be reliable: the 199 has to offer, and offers nothing.
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, "Supported: 199\nRequire: 100rel"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, PROGRESS, Some(&sdp()))).unwrap();
    let first = lone.sent_response(183);
    let tag = first.headers().to_tag().unwrap().to_owned();
    let rseq = header(first.headers(), "RSeq").unwrap().to_owned();
    lone.receive_text(&prack(2, &tag, &format!("{rseq} 1 INVITE"), SDP), BODY);
    lone.sent_response(200);
    ended_early(&mut lone, call).unwrap();
    let ended = lone.sent_response(199);
    assert_eq!(header(ended.headers(), "Require"), Some("100rel"));
    assert!(header(ended.headers(), "RSeq").is_some() && ended.body().is_empty());
    // RFC 6228 §5: "The UAS MUST NOT insert a "199" option-tag in the Supported, Require, or
    // Proxy-Require header field of the 199 response."
    let supported = header(ended.headers(), "Supported").unwrap_or_default();
    assert!(!supported.contains("199"), "{supported}");
}
