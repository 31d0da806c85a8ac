//! The offer in the 2xx and the answer in the ACK (RFC 3261 §13.2.1).

use sip_message::{Message, Method, Request, Response, StatusCode};
use sip_ua::{AgentConfig, AgentError, Body, CallKey, CallState, Credentials, OutgoingCall};

use crate::harness::*;

const BOB_1: &[(&str, &str)] = &[("Contact", "<sip:bob@192.0.2.21>")];

fn answer() -> Body {
    Body::sdp(&b"v=0\r\ns=the answer\r\n"[..])
}

/// A call without an offer.
fn call(lone: &mut Lone) -> (CallKey, Request) {
    let to = OutgoingCall::to("sip:bob@192.0.2.2".parse().unwrap());
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    assert!(invite.body().is_empty());
    (call, invite)
}

/// Bob's 200 with his offer.
fn offers(request: &Request, tag: &str, port: u16) -> Vec<u8> {
    let mut ok = Response::to_request(request, StatusCode::OK);
    if !tag.is_empty() {
        ok = ok.to_tag(tag);
    }
    let contact = format!("<sip:bob@192.0.2.{port}>");
    let ok = ok.raw(sip_message::HeaderName::Contact, contact.as_bytes());
    ok.body(b"application/sdp", OFFER.to_vec()).build().unwrap().to_bytes().to_vec()
}

/// The call is answered by an offer, which waits.
fn offered(lone: &mut Lone) -> (CallKey, Request) {
    let (call, invite) = call(lone);
    lone.receive(offers(&invite, "one", 21));
    lone.expect(&["answered by an offer"]);
    lone.expect_sent(&[]);
    (call, invite)
}

fn acknowledge(lone: &mut Lone, call: CallKey) -> Result<(), AgentError> {
    lone.tell(|agent, now, tx| agent.acknowledge(now, tx, call, Some(&answer())))
}

fn end(mut lone: Lone, call: CallKey) {
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

// RFC 3261 §13.2.2.4: "If the offer in the 2xx response is not acceptable, the UAC core
// MUST generate a valid answer in the ACK and then send a BYE
// immediately."
#[track_caller]
fn declines(lone: &mut Lone) -> Request {
    ends_it(lone, b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n")
}

#[track_caller]
fn ends_it(lone: &mut Lone, answer: &[u8]) -> Request {
    let sent = lone.expect_sent(&["ACK", "BYE"]);
    let [Message::Request(ack), Message::Request(bye)] = &sent[..] else { panic!() };
    assert_eq!(ack.body(), answer);
    assert_eq!(ack.headers().to_tag(), bye.headers().to_tag());
    bye.clone()
}

// RFC 3261 §13.2.2.4: "If the 2xx contains an offer (based on the rules above), the ACK MUST
// carry an answer in its body."
#[test]
fn the_ack_waits_for_the_answer_and_carries_it() {
    let mut lone = Lone::new();
    let (call, invite) = offered(&mut lone);
    let state = lone.tell(|agent, _, _| agent.state(call));
    assert_eq!(state, Some(CallState::Established));
    // Bob repeats what has no ACK yet.
    for _ in 0..3 {
        lone.run(secs(1));
        lone.receive(offers(&invite, "one", 21));
        lone.expect_sent(&[]);
        lone.expect(&[]);
    }
    acknowledge(&mut lone, call).unwrap();
    let ack = lone.sent_request(Method::Ack);
    assert_eq!(ack.body(), &answer().bytes);
    assert_eq!(header(ack.headers(), "Content-Type"), Some("application/sdp"));
    assert_eq!(ack.uri().unwrap().as_str(), "sip:bob@192.0.2.21");
    assert_eq!((ack.headers().cseq().unwrap().number, ack.headers().to_tag()), (1, Some("one")));
    // RFC 3261 §13.2.2.4: "The ACK MUST be passed to the client transport every time a
    // retransmission of the 2xx final response that triggered the ACK arrives."
    lone.receive(offers(&invite, "one", 21));
    assert_eq!(lone.sent_request(Method::Ack).body(), &answer().bytes);
    // Once.
    let again = acknowledge(&mut lone, call).unwrap_err();
    assert!(matches!(again, AgentError::NoOffer), "{again}");
    lone.run(secs(60));
    end(lone, call);
}

#[test]
fn where_we_offered_or_the_2xx_does_not_no_answer_is_owed() {
    let mut lone = Lone::new();
    let offering = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    assert!(matches!(acknowledge(&mut lone, offering), Err(AgentError::NoOffer)));
    let invite = lone.sent_request(Method::Invite);
    lone.receive(offers(&invite, "one", 21));
    lone.expect(&["answered"]);
    assert!(lone.sent_request(Method::Ack).body().is_empty());
    assert!(matches!(acknowledge(&mut lone, offering), Err(AgentError::NoOffer)));
    end(lone, offering);

    let mut lone = Lone::new();
    let (bare, invite) = call(&mut lone);
    lone.answer(&invite, 200, "one", BOB_1);
    lone.expect(&["answered"]);
    lone.sent_request(Method::Ack);
    assert!(matches!(acknowledge(&mut lone, bare), Err(AgentError::NoOffer)));
    end(lone, bare);
    // Of a call that is over nothing is owed either.
    let mut lone = Lone::new();
    let (over, _) = offered(&mut lone);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, over)).unwrap();
    assert!(matches!(acknowledge(&mut lone, over), Err(AgentError::Gone)));
}

#[test]
fn an_offer_that_nobody_answers_ends_the_call() {
    for (guard, after) in [(secs(10), secs(10)), (secs(600), secs(30))] {
        let mut lone = Lone::with(AgentConfig::default().answer_guard(guard));
        let (_, invite) = offered(&mut lone);
        lone.run(after - ms(1));
        lone.expect_sent(&[]);
        lone.run(ms(2));
        let bye = declines(&mut lone);
        lone.expect(&["ended: nobody answered in time"]);
        // The repeats have their ACK all the same.
        lone.receive(offers(&invite, "one", 21));
        lone.sent_request(Method::Ack);
        lone.answer(&bye, 200, "", &[]);
        lone.nothing_left();
    }
}

#[test]
fn hanging_up_instead_of_answering_refuses_every_stream_in_the_ack() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    let ok = Response::to_request(&invite, StatusCode::OK).to_tag("one");
    let ok = ok.raw(sip_message::HeaderName::Contact, b"<sip:bob@192.0.2.21>");
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 31 34\r\n";
    lone.receive(ok.body(b"application/sdp", offer).build().unwrap().to_bytes());
    lone.expect(&["answered by an offer"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = ends_it(
        &mut lone,
        b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
          m=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 31 34\r\n",
    );
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

/// What nobody but the application can read, it answers itself.
#[test]
fn an_offer_that_cannot_be_read_is_answered_by_the_application_or_not() {
    for answered in [false, true] {
        let mut lone = Lone::new();
        let (call, invite) = call(&mut lone);
        let ok = Response::to_request(&invite, StatusCode::OK).to_tag("one");
        let ok = ok.raw(sip_message::HeaderName::Contact, b"<sip:bob@192.0.2.21>");
        let kind = b"multipart/encrypted;boundary=x";
        lone.receive(ok.body(kind, "--x\r\n\r\n?\r\n--x--").build().unwrap().to_bytes());
        lone.expect(&["answered by an offer"]);
        let expected: &[u8] = if answered {
            acknowledge(&mut lone, call).unwrap();
            &answer().bytes.clone()
        } else {
            b""
        };
        lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        let bye = ends_it(&mut lone, expected);
        lone.answer(&bye, 200, "", &[]);
        lone.expect(&["ended: we hung up"]);
        lone.nothing_left();
    }
}

#[test]
fn a_bye_of_the_peer_ends_the_wait() {
    let mut lone = Lone::new();
    let (_, invite) = offered(&mut lone);
    let call_id = invite.headers().call_id().unwrap();
    let tag = invite.headers().from_tag().unwrap();
    lone.receive_text(
        &format!(
            "BYE sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bKbye
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag=one
            To: <sip:alice@192.0.2.1>;tag={tag}
            Call-ID: {call_id}
            CSeq: 1 BYE"
        ),
        "",
    );
    lone.expect_sent(&["200 BYE", "ACK"]);
    lone.expect(&["ended: the peer hung up"]);
    lone.nothing_left();
}

#[test]
fn a_second_callee_that_offers_is_acknowledged_and_ended_while_the_first_waits() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 180, "two", BOB_1);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.receive(offers(&invite, "one", 21));
    lone.expect(&["ringing 0", "ringing 1", "answered by an offer"]);
    lone.receive(offers(&invite, "two", 22));
    let bye = declines(&mut lone);
    assert_eq!(bye.headers().to_tag(), Some("two"));
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&[]);
    acknowledge(&mut lone, call).unwrap();
    let ack = lone.sent_request(Method::Ack);
    assert_eq!((ack.headers().to_tag(), ack.body()), (Some("one"), &answer().bytes[..]));
    lone.receive(offers(&invite, "two", 22));
    assert_eq!(lone.sent_request(Method::Ack).headers().to_tag(), Some("two"));
    end(lone, call);
}

#[test]
fn the_dialog_that_waits_makes_no_room_for_another_callee() {
    let mut lone = Lone::with(AgentConfig::default().max_forks(1));
    let (call, invite) = offered(&mut lone);
    lone.receive(offers(&invite, "two", 22));
    lone.expect_sent(&[]);
    acknowledge(&mut lone, call).unwrap();
    assert_eq!(lone.sent_request(Method::Ack).headers().to_tag(), Some("one"));
    end(lone, call);
}

// RFC 3261 §15: "The UAC MAY continue with the sessions
// established by any 2xx responses, or MAY terminate them with BYE."
#[test]
fn an_offer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.answer(&cancel, 200, "one", &[]);
    lone.receive(offers(&invite, "one", 21));
    let bye = declines(&mut lone);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ringing 0", "ended: cancelled"]);
    lone.nothing_left();
}

// RFC 3261 §13.2.2.4: "The ACK MUST contain the same credentials as the INVITE."
#[test]
fn a_late_ack_has_the_credentials_of_the_invite() {
    let mut lone = Lone::new();
    let account = sip_ua::Account::new("sip:alice@192.0.2.1".parse().unwrap())
        .credentials(Credentials::new("alice", "secret"));
    let account = std::sync::Arc::new(account);
    let to = OutgoingCall::to("sip:bob@192.0.2.2".parse().unwrap());
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &account, to)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    let challenge = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    lone.answer(&invite, 401, "p", &[("WWW-Authenticate", challenge)]);
    let sent = lone.expect_sent(&["ACK", "INVITE"]);
    let Message::Request(invite) = &sent[1] else { panic!() };
    lone.receive(offers(invite, "one", 21));
    acknowledge(&mut lone, call).unwrap();
    let ack = lone.sent_request(Method::Ack);
    assert!(header(ack.headers(), "Authorization").is_some());
    assert_eq!(header(ack.headers(), "Authorization"), header(invite.headers(), "Authorization"));
    assert_eq!(ack.headers().cseq().unwrap().number, 2);
    lone.take();
    end(lone, call);
}

/// A call of ours in which Bob answered a re-INVITE without an offer by his.
fn reoffered(lone: &mut Lone) -> (CallKey, Request) {
    let (call, _) = offered(lone);
    acknowledge(lone, call).unwrap();
    lone.sent_request(Method::Ack);
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, None)).unwrap();
    let reinvite = lone.sent_request(Method::Invite);
    lone.receive(offers(&reinvite, "", 31));
    lone.expect(&["reinvite answered by an offer"]);
    lone.expect_sent(&[]);
    (call, reinvite)
}

// RFC 3261 §14.1: "The rules for transmitting a re-INVITE and for generating an ACK for
// a 2xx response to re-INVITE are the same as for the initial INVITE"
#[test]
fn the_ack_to_a_change_waits_for_the_answer_too() {
    let mut lone = Lone::new();
    let (call, reinvite) = reoffered(&mut lone);
    lone.run(secs(5));
    lone.receive(offers(&reinvite, "", 31));
    lone.expect_sent(&[]);
    // RFC 3261 §14.1: "Note that a UAC MUST NOT initiate a new INVITE transaction within a
    // dialog while another INVITE transaction is in progress in either direction."
    let busy = lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, None)).unwrap_err();
    assert!(matches!(busy, AgentError::Busy), "{busy}");
    acknowledge(&mut lone, call).unwrap();
    let ack = lone.sent_request(Method::Ack);
    assert_eq!((ack.headers().cseq().unwrap().number, ack.body()), (2, &answer().bytes[..]));
    assert_eq!(ack.uri().unwrap().as_str(), "sip:bob@192.0.2.31", "the target moved");
    lone.receive(offers(&reinvite, "", 31));
    assert_eq!(lone.sent_request(Method::Ack).body(), &answer().bytes);
    assert!(matches!(acknowledge(&mut lone, call), Err(AgentError::NoOffer)));
    // The guard is off, and the next change may come.
    lone.run(secs(25));
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, None)).unwrap();
    let next = lone.sent_request(Method::Invite);
    lone.answer(&next, 488, "", &[]);
    lone.sent_request(Method::Ack);
    lone.take();
    end(lone, call);
}

#[test]
fn a_change_whose_offer_nobody_answers_ends_the_call() {
    let mut lone = Lone::new();
    let (_, reinvite) = reoffered(&mut lone);
    lone.run(ms(20_100));
    let bye = declines(&mut lone);
    lone.expect(&["ended: nobody answered in time"]);
    lone.receive(offers(&reinvite, "", 31));
    lone.sent_request(Method::Ack);
    lone.answer(&bye, 200, "", &[]);
    lone.nothing_left();
}

#[test]
fn hanging_up_instead_of_answering_a_change() {
    let mut lone = Lone::new();
    let (call, _) = reoffered(&mut lone);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = declines(&mut lone);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

// RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent
// on that dialog is in progress MUST return a 491 (Request Pending)"
#[test]
fn the_peers_change_has_to_wait_for_our_answer() {
    let mut pair = Pair::new();
    let to = OutgoingCall::to("sip:bob@192.0.2.2".parse().unwrap());
    let ours = pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &alice(), to)).unwrap();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(secs(2));
    pair.expect(ALICE, &["answered by an offer"]);
    pair.expect(BOB, &["invitation"]);
    pair.tell(ALICE, |agent, now, tx| agent.acknowledge(now, tx, ours, Some(&answer()))).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["confirmed with body"]);
    // Now a change: Bob's own comes before Alice has answered the offer in his 2xx.
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["reinvite answered by an offer"]);
    let busy = pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, None)).unwrap_err();
    assert!(matches!(busy, AgentError::Busy), "{busy}");
    pair.tell(ALICE, |agent, now, tx| agent.acknowledge(now, tx, ours, Some(&answer()))).unwrap();
    pair.run(ms(50));
    pair.tell(BOB, |agent, now, tx| agent.reinvite(now, tx, theirs, Some(&answer()))).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["reinvited"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn an_invite_of_the_peer_before_our_answer_is_491() {
    let mut lone = Lone::new();
    let (call, invite) = offered(&mut lone);
    let call_id = invite.headers().call_id().unwrap();
    let tag = invite.headers().from_tag().unwrap();
    lone.receive_text(
        &format!(
            "INVITE sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bKre
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag=one
            To: <sip:alice@192.0.2.1>;tag={tag}
            Call-ID: {call_id}
            Contact: <sip:bob@192.0.2.21>
            CSeq: 1 INVITE"
        ),
        "",
    );
    lone.sent_response(491);
    acknowledge(&mut lone, call).unwrap();
    lone.sent_request(Method::Ack);
    lone.run(secs(33));
    lone.sent();
    end(lone, call);
}

/// A re-INVITE without an offer: ours is in the 2xx, and the answer in the ACK reaches the application.
// RFC 3261 §13.2.1: "If the initial offer is in the first reliable non-failure
// message from the UAS back to UAC, the answer MUST be in the
// acknowledgement for that message"
#[test]
fn the_answer_in_the_ack_to_a_change_is_told() {
    for answers in [true, false] {
        let mut pair = Pair::new();
        let (ours, theirs) = pair.established();
        pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, None)).unwrap();
        pair.run(ms(50));
        pair.tell(BOB, |agent, now, tx| {
            agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp())).unwrap();
        });
        pair.run(ms(50));
        pair.expect(ALICE, &["reinvite answered by an offer"]);
        pair.expect(BOB, &["reinvited"]);
        let body = answers.then(answer);
        pair.tell(ALICE, |agent, now, tx| agent.acknowledge(now, tx, ours, body.as_ref())).unwrap();
        pair.run(ms(50));
        let told = if answers { "reinvite confirmed with body" } else { "reinvite confirmed" };
        pair.expect(BOB, &[told]);
        // Of an ACK that answers nothing nothing is told.
        let other = Body::sdp(&b"v=0\r\ns=another\r\n"[..]);
        pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&other))).unwrap();
        pair.run(ms(50));
        pair.tell(BOB, |agent, now, tx| {
            agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp())).unwrap();
        });
        pair.run(ms(50));
        pair.expect(BOB, &["reinvited"]);
        pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
        pair.nothing_left();
    }
}
