//! Session timers at work (RFC 4028). The rules by themselves are tested in `sip-dialog`.

use sip_message::{HeaderName, Headers, Message, Method, Request, StatusCode, Supported};
use sip_ua::{AgentConfig, AgentError, Body, CallKey, SessionTimerPolicy, Side};

use crate::harness::*;
use crate::incoming::{in_dialog, request};

fn with(policy: SessionTimerPolicy) -> AgentConfig {
    AgentConfig::default().session_timer(Some(policy))
}

fn policy() -> SessionTimerPolicy {
    SessionTimerPolicy::default()
}

/// Whether Supported lists `timer`.
fn supports(headers: &Headers) -> bool {
    let supported = headers.get::<Supported<'_>>().unwrap();
    supported.is_some_and(|supported| supported.contains("timer"))
}

/// The times and messages since the last look.
fn log(pair: &mut Pair) -> Vec<String> {
    std::mem::take(&mut pair.log)
}

/// Alice's call to a callee of the test, whose 200 has these header fields.
fn answered(lone: &mut Lone, headers: &[(&str, &str)]) -> (CallKey, Request) {
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    let mut all = vec![("Contact", "<sip:bob@192.0.2.2>")];
    all.extend(headers);
    lone.answer(&invite, 200, "b", &all);
    lone.sent_request(Method::Ack);
    lone.expect(&["answered"]);
    (call, invite)
}

const BY_US: (&str, &str) = ("Session-Expires", "1800;refresher=uac");
const BY_THEM: (&str, &str) = ("Session-Expires", "1800;refresher=uas");

/// The 200 to a refresh of ours.
fn refreshed(lone: &mut Lone, refresh: &Request) {
    lone.answer(refresh, 200, "", &[("Contact", "<sip:bob@192.0.2.2>"), BY_US]);
    lone.sent_request(Method::Ack);
}

#[test]
fn the_caller_refreshes_and_nobody_is_asked() {
    let mut pair = Pair::new();
    let (ours, _) = pair.established();
    pair.run(secs(900));
    // RFC 4028 §7.4: "If
    // a UAC knows that its peer supports the UPDATE method, it is
    // RECOMMENDED that UPDATE be used instead of a re-INVITE."
    assert_eq!(pair.flow(), ["alice: UPDATE", "bob: 200 UPDATE"]);
    pair.run(secs(3601));
    assert_eq!(pair.flow().len(), 4 * 2, "every quarter of an hour");
    pair.expect(ALICE, &[]);
    pair.expect(BOB, &[]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["ended: the peer hung up"]);
    pair.nothing_left();
}

#[test]
fn the_callee_refreshes_where_it_wants_to() {
    let mut pair = Pair::with(AgentConfig::default(), with(policy().refresher(Some(Side::Local))));
    let (_, theirs) = pair.established();
    pair.run(secs(901));
    assert_eq!(pair.flow(), ["bob: UPDATE", "alice: 200 UPDATE"]);
    pair.run(secs(3600));
    pair.expect(ALICE, &[]);
    pair.expect(BOB, &[]);
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.nothing_left();
}

// RFC 4028 §10: "If the session refresh request transaction times out or generates a
// 408 or 481 response, then the UAC sends a BYE request as per Section
// 12.2.1.2 of RFC 3261 [2]."
#[test]
fn a_peer_that_vanished_is_noticed_within_the_interval() {
    let mut pair = Pair::new();
    pair.established();
    pair.run(secs(100));
    pair.network(|_, _| Fate::Lose);
    pair.run(secs(900));
    pair.expect(ALICE, &["ended: the peer no longer answers"]);
    pair.expect(BOB, &[]);
    pair.run(secs(1800 - 1001));
    pair.expect(BOB, &["ended: the session was not refreshed in time"]);
    // RFC 4028 §10: "The minimum of 32 seconds and one third of the session
    // interval is RECOMMENDED."
    let log = log(&mut pair);
    assert_eq!(
        log.iter().find(|line| line.contains("bob: BYE")).unwrap(),
        "1768050 bob: BYE (lost)"
    );
    pair.nothing_left();
}

// RFC 4028 §7.4: "When present, it SHOULD be equal to the maximum of the Min-SE header
// field (recall that its default value when not present is 90 seconds)
// and the current session interval."
#[test]
fn a_refresh_offers_the_same_session_again() {
    let mut lone = Lone::new();
    let (call, invite) = answered(&mut lone, &[("Require", "timer"), BY_US]);
    assert!(supports(invite.headers()));
    assert_eq!(header(invite.headers(), "Session-Expires"), Some("1800"));
    assert!(!invite.headers().contains(HeaderName::MinSe));
    for _ in 0..3 {
        lone.run(secs(899));
        lone.expect_sent(&[]);
        lone.run(secs(1));
        let refresh = lone.sent_request(Method::Invite);
        assert_eq!(refresh.body(), OFFER);
        assert_eq!(header(refresh.headers(), "Content-Type"), Some("application/sdp"));
        assert_eq!(header(refresh.headers(), "Session-Expires"), Some("1800;refresher=uac"));
        refreshed(&mut lone, &refresh);
    }
    // A change refreshes as well, and is what is offered from then on.
    let hold = Body::sdp(&b"v=0\r\na=sendonly\r\n"[..]);
    lone.run(secs(800));
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&hold))).unwrap();
    let change = lone.sent_request(Method::Invite);
    assert_eq!(header(change.headers(), "Session-Expires"), Some("1800;refresher=uac"));
    refreshed(&mut lone, &change);
    lone.expect(&["reinvite answered"]);
    lone.run(secs(899));
    lone.expect_sent(&[]);
    lone.run(secs(1));
    let refresh = lone.sent_request(Method::Invite);
    assert_eq!(refresh.body(), &hold.bytes[..]);
    refreshed(&mut lone, &refresh);
    lone.expect(&[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    // RFC 4028 §7.1: "A UAC that supports the session timer extension defined here MUST
    // include a Supported header field in each request (except ACK),
    // listing the option tag 'timer' [2]."
    assert!(supports(bye.headers()));
    lone.answer(&bye, 200, "", &[]);
    lone.take();
    lone.nothing_left();
}

#[test]
fn what_did_not_change_is_answered_as_before() {
    let mut lone = Lone::new();
    let (_, invite) = answered(&mut lone, &[("Require", "timer"), BY_THEM]);
    // The peer's own description is known from its first change.
    let tag = invite.headers().from_tag().unwrap();
    let call_id = invite.headers().call_id().unwrap();
    let reinvite = |cseq: u32, x: &str| {
        format!(
            "INVITE sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKre{cseq}
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag=b
            To: <sip:alice@192.0.2.1>;tag={tag}
            Call-ID: {call_id}
            CSeq: {cseq} INVITE
            Contact: <sip:bob@192.0.2.2>
            Supported: timer
            Session-Expires: {x}
            Content-Type: application/sdp"
        )
    };
    let ack = |cseq: u32| reinvite(cseq, "1800").replace("INVITE", "ACK").replace("re", "ack");
    let offer = "v=0\r\na=sendrecv\r\n";
    lone.receive_text(&reinvite(1, "1800;refresher=uac"), offer);
    let events = lone.take();
    let [sip_ua::AgentEvent::Call { call, .. }] = events[..] else { panic!("{events:?}") };
    let ours = Body::sdp(&b"v=0\r\na=ours\r\n"[..]);
    lone.tell(|agent, now, tx| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&ours))
    })
    .unwrap();
    let ok = lone.sent_response(200);
    assert_eq!(header(ok.headers(), "Session-Expires"), Some("1800;refresher=uac"));
    assert_eq!(header(ok.headers(), "Require"), Some("timer"));
    lone.receive_text(&ack(1), "");
    for cseq in 2..5 {
        lone.run(secs(900));
        lone.receive_text(&reinvite(cseq, "1800;refresher=uac"), offer);
        let ok = lone.sent_response(200);
        assert_eq!(ok.body(), &ours.bytes[..]);
        lone.receive_text(&ack(cseq), "");
        lone.expect(&[]);
    }
    // Another one is the application's.
    lone.receive_text(&reinvite(5, "1800;refresher=uac"), "v=0\r\na=sendonly\r\n");
    lone.expect(&["reinvited"]);
    lone.run(secs(20));
    lone.expect_sent(&["100 INVITE", "500 INVITE"]);
    lone.receive_text(&reinvite(5, "1800").replace("INVITE", "ACK"), "");
    // None in time.
    lone.run(secs(1768 - 21));
    lone.expect_sent(&[]);
    lone.run(secs(1));
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: the session was not refreshed in time"]);
    lone.nothing_left();
}

// RFC 4028 §9: "When
// sending the 422 response, the UAS MUST include a Min-SE header field
// with the value of its minimum interval."
// RFC 4028 §6: "The 422 response MUST contain a
// Min-SE header field with the minimum timer for that server."
// RFC 4028 §7.3: "If the response to a session refresh request is a 422 (Session
// Interval Too Small) response message, then the UAC MAY retry the
// request."
#[test]
fn a_call_with_too_short_an_interval_is_placed_again() {
    let alice = with(policy().interval(Some(120)));
    let mut pair = Pair::with(alice, with(policy().min_se(3600).interval(Some(3600))));
    let ours = pair.call();
    pair.run(ms(50));
    let expected =
        ["alice: INVITE", "bob: 422 INVITE", "alice: ACK", "alice: INVITE", "bob: 100 INVITE"];
    let flow = pair.flow();
    assert_eq!(flow[..4], expected[..4], "{flow:?}");
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(secs(1799));
    pair.flow();
    pair.run(secs(2));
    assert_eq!(pair.flow(), ["alice: UPDATE", "bob: 200 UPDATE"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_422_that_asks_for_nothing_more_ends_the_call() {
    for min_se in [None, Some("90"), Some("1800"), Some("soon")] {
        let mut lone = Lone::new();
        lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
        let invite = lone.sent_request(Method::Invite);
        let headers: Vec<_> = min_se.map(|least| ("Min-SE", least)).into_iter().collect();
        lone.answer(&invite, 422, "b", &headers);
        lone.sent_request(Method::Ack);
        lone.expect(&["ended: rejected with 422 Session Interval Too Small"]);
        lone.nothing_left();
    }
    // One that asks for ever more is not followed for ever.
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let mut tries = 0;
    let mut invite = lone.sent_request(Method::Invite);
    loop {
        tries += 1;
        lone.answer(&invite, 422, "b", &[("Min-SE", &(1800 + tries).to_string())]);
        match lone.expect_sent(if tries < 5 { &["ACK", "INVITE"] } else { &["ACK"] }).pop() {
            Some(Message::Request(again)) if *again.method() == Method::Invite => {
                let least = (1800 + tries).to_string();
                assert_eq!(header(again.headers(), "Min-SE"), Some(&least[..]));
                assert_eq!(header(again.headers(), "Session-Expires"), Some(&least[..]));
                invite = again;
            }
            _ => break,
        }
    }
    lone.expect(&["ended: rejected with 422 Session Interval Too Small"]);
    lone.nothing_left();
}

// RFC 4028 §10: "The UA will still have to send a session refresh
// request before the session expiration (which has not changed), even
// though this request will contain a value of the Session-Expires that
// is much larger than the current session interval."
#[test]
fn a_refresh_and_a_change_that_are_too_short_are_raised() {
    let mut lone = Lone::new();
    let (call, _) = answered(&mut lone, &[("Require", "timer"), BY_US]);
    lone.run(secs(900));
    let refresh = lone.sent_request(Method::Invite);
    lone.answer(&refresh, 422, "", &[("Min-SE", "2400")]);
    let sent = lone.expect_sent(&["ACK", "INVITE"]);
    let Message::Request(raised) = &sent[1] else { panic!("{sent:?}") };
    assert_eq!(header(raised.headers(), "Session-Expires"), Some("2400;refresher=uac"));
    assert_eq!(header(raised.headers(), "Min-SE"), Some("2400"));
    let cseq = |request: &Request| request.headers().cseq().unwrap().number;
    assert_eq!(cseq(raised), cseq(&refresh) + 1);
    let longer = ("Session-Expires", "2400;refresher=uac");
    lone.answer(raised, 200, "", &[("Contact", "<sip:bob@192.0.2.2>"), longer]);
    lone.sent_request(Method::Ack);
    lone.run(secs(1199));
    lone.expect_sent(&[]);
    // The application's change likewise, of which it hears once.
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let change = lone.sent_request(Method::Invite);
    lone.answer(&change, 422, "", &[("Min-SE", "3000")]);
    let sent = lone.expect_sent(&["ACK", "INVITE"]);
    let Message::Request(raised) = &sent[1] else { panic!("{sent:?}") };
    assert_eq!(header(raised.headers(), "Min-SE"), Some("3000"));
    lone.expect(&[]);
    refreshed(&mut lone, raised);
    lone.expect(&["reinvite answered"]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.sent();
    lone.take();
    lone.nothing_left();
}

#[test]
fn a_refresh_by_update_is_raised_refused_and_answered_like_any_other() {
    let mut lone = Lone::new();
    let allow = ("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE");
    let (call, _) = answered(&mut lone, &[("Require", "timer"), BY_US, allow]);
    lone.run(secs(900));
    let refresh = lone.sent_request(Method::Update);
    assert!(refresh.body().is_empty());
    assert_eq!(header(refresh.headers(), "Session-Expires"), Some("1800;refresher=uac"));
    lone.answer(&refresh, 422, "", &[("Min-SE", "2400")]);
    let refresh = lone.sent_request(Method::Update);
    assert_eq!(header(refresh.headers(), "Session-Expires"), Some("2400;refresher=uac"));
    lone.answer(&refresh, 500, "", &[("Retry-After", "60")]);
    lone.run(secs(59));
    lone.expect_sent(&[]);
    lone.run(secs(1));
    let refresh = lone.sent_request(Method::Update);
    let longer = ("Session-Expires", "2400;refresher=uac");
    lone.answer(&refresh, 200, "", &[("Contact", "<sip:bob@192.0.2.2>"), longer]);
    lone.run(secs(1199));
    lone.expect_sent(&[]);
    lone.expect(&[]);
    lone.run(secs(1));
    let refresh = lone.sent_request(Method::Update);
    lone.answer(&refresh, 481, "", &[]);
    lone.sent_request(Method::Bye);
    lone.expect(&["ended: the peer no longer answers"]);
    lone.nothing_left();
    let _ = call;
}

#[test]
fn refreshes_that_cross_are_sorted_out() {
    let mut pair = Pair::with(
        AgentConfig::default(),
        with(policy().refresher(Some(Side::Local)).interval(Some(1800))),
    );
    let (ours, _) = pair.established();
    // Bob refreshes at 900 s; Alice changes the session at that very moment.
    let hold = Body::sdp(&b"v=0\r\na=sendonly\r\n"[..]);
    pair.run(ms(900_000 - 50 - 5));
    pair.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, ours, Some(&hold))).unwrap();
    pair.run(ms(50));
    let flow = pair.flow();
    // The refresh offers nothing, so that it is no hindrance; the change comes again.
    for crossed in ["alice: 200 UPDATE", "bob: 491 INVITE"] {
        assert!(flow.iter().any(|line| line == crossed), "{flow:?}");
    }
    pair.run(secs(5));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| {
        agent.answer_modification(now, tx, theirs, StatusCode::OK, Some(&sdp()))
    })
    .unwrap();
    pair.run(secs(5));
    pair.expect(ALICE, &["reinvite answered"]);
    pair.expect(BOB, &["reinvited"]);
    // And the calls go on for hours.
    pair.run(secs(10_000));
    pair.expect(ALICE, &[]);
    pair.expect(BOB, &[]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn a_refresh_waits_for_a_change_that_is_under_way() {
    let mut lone = Lone::new();
    let (call, _) = answered(&mut lone, &[("Require", "timer"), BY_US]);
    lone.run(secs(895));
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let change = lone.sent_request(Method::Invite);
    lone.answer(&change, 100, "", &[]);
    lone.run(secs(10));
    lone.expect_sent(&[]);
    lone.answer(&change, 488, "", &[]);
    lone.sent_request(Method::Ack);
    lone.expect(&["reinvite failed: refused with 488"]);
    lone.run(ms(1_100));
    let refresh = lone.sent_request(Method::Invite);
    refreshed(&mut lone, &refresh);
    lone.expect(&[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.sent();
    lone.take();
    lone.nothing_left();
}

// RFC 4028 §7.2: "This means that the session
// timer can be 'turned-off' in mid dialog by receiving a response
// without a Session-Expires header field."
#[test]
fn a_timer_that_is_turned_off_stays_off() {
    let mut lone = Lone::new();
    let (call, _) = answered(&mut lone, &[("Require", "timer"), BY_US]);
    lone.run(secs(900));
    let refresh = lone.sent_request(Method::Invite);
    let supported = ("Supported", "timer");
    lone.answer(&refresh, 200, "", &[("Contact", "<sip:bob@192.0.2.2>"), supported]);
    lone.sent_request(Method::Ack);
    lone.run(secs(100_000));
    lone.expect_sent(&[]);
    lone.expect(&[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.sent();
    lone.take();
    lone.nothing_left();
}

#[test]
fn a_peer_that_knows_no_timers_is_refreshed_all_the_same() {
    let mut lone = Lone::new();
    let (call, _) = answered(&mut lone, &[]);
    lone.run(secs(900));
    let refresh = lone.sent_request(Method::Invite);
    lone.answer(&refresh, 488, "", &[]);
    lone.sent_request(Method::Ack);
    // It was there to refuse.
    lone.run(secs(900));
    let refresh = lone.sent_request(Method::Invite);
    lone.answer(&refresh, 481, "", &[]);
    lone.expect_sent(&["ACK", "BYE"]);
    lone.expect(&["ended: the peer no longer answers"]);
    lone.nothing_left();
    let _ = call;

    let mut lone = Lone::with(with(policy().without_support(false)));
    let (call, _) = answered(&mut lone, &[]);
    lone.run(secs(100_000));
    lone.expect_sent(&[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.sent();
    lone.take();
    lone.nothing_left();
}

/// RFC 4028 §9, the first row of table 2: a proxy asked, and the caller knows of nothing.
#[test]
fn the_callee_refreshes_for_a_caller_that_cannot() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, "Session-Expires: 300"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    assert_eq!(header(ok.headers(), "Session-Expires"), Some("300;refresher=uas"));
    assert_eq!(header(ok.headers(), "Require"), None);
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.expect(&["invitation", "confirmed"]);
    lone.run(secs(150));
    let refresh = lone.sent_request(Method::Invite);
    assert_eq!(header(refresh.headers(), "Session-Expires"), Some("300;refresher=uac"));
    assert_eq!(refresh.body(), OFFER);
    lone.answer(&refresh, 500, "", &[]);
    lone.sent_request(Method::Ack);
    // Once more before it is too late, and then the session is over.
    lone.run(secs(75));
    let refresh = lone.sent_request(Method::Invite);
    lone.answer(&refresh, 500, "", &[("Retry-After", "1000")]);
    lone.sent_request(Method::Ack);
    lone.run(secs(300 - 225));
    let messages = lone.sent();
    let kinds: Vec<String> = messages.iter().map(|(_, message)| summary(message)).collect();
    assert_eq!(kinds.last().map(String::as_str), Some("BYE"), "{kinds:?}");
    lone.nothing_left();
}

#[test]
fn what_is_off_is_not_known_of() {
    let off = || AgentConfig::default().session_timer(None);
    let mut lone = Lone::with(off());
    lone.receive_text(&request("INVITE", 1, "Require: timer"), "");
    let response = lone.sent_response(420);
    assert_eq!(header(response.headers(), "Unsupported"), Some("timer"));
    lone.receive_text(&request("ACK", 1, ""), "");
    lone.receive_text(&request("INVITE", 2, "Supported: timer\nSession-Expires: 20"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    assert!(!supports(ok.headers()));
    for name in ["Session-Expires", "Require"] {
        assert_eq!(header(ok.headers(), name), None);
    }
    let mut lone = Lone::with(off());
    let (call, invite) = answered(&mut lone, &[BY_US]);
    assert!(!supports(invite.headers()));
    for name in ["Session-Expires", "Min-SE"] {
        assert_eq!(header(invite.headers(), name), None);
    }
    lone.run(secs(100_000));
    lone.expect_sent(&[]);
    let over =
        lone.tell(|agent, now, tx| agent.answer_modification(now, tx, call, StatusCode::OK, None));
    assert!(matches!(over, Err(AgentError::State { .. })));
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.sent();
    lone.take();
    lone.nothing_left();
}

#[test]
fn an_interval_that_is_too_short_is_refused_in_a_call_too() {
    let mut lone = Lone::with(with(policy().min_se(600)));
    lone.receive_text(&request("INVITE", 1, "Supported: timer\nSession-Expires: 599"), "");
    let response = lone.sent_response(422);
    assert_eq!(header(response.headers(), "Min-SE"), Some("600"));
    lone.expect(&[]);
    lone.receive_text(&request("INVITE", 2, "Supported: timer\nSession-Expires: 600"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    assert_eq!(header(ok.headers(), "Session-Expires"), Some("600;refresher=uac"));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    let dialog = |method, cseq, more: &str| {
        in_dialog(method, cseq, &tag, more).replace("INVITE-1", "INVITE-2")
    };
    lone.receive_text(&dialog("ACK", 1, ""), "");
    lone.take();
    let short = "Supported: timer\nSession-Expires: 300;refresher=uac";
    lone.receive_text(&dialog("INVITE", 2, short), "");
    let response = lone.sent_response(422);
    assert_eq!(header(response.headers(), "Min-SE"), Some("600"));
    lone.receive_text(&dialog("BYE", 3, ""), "");
    lone.sent_response(200);
    lone.expect(&["ended: the peer hung up"]);
    lone.nothing_left();
}
