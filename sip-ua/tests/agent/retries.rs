//! What a refusal of our INVITE leads to: the rows of `docs/statuses.md`.

use std::net::SocketAddr;

use sip_message::{HeaderName, Message, Method, Request};
use sip_ua::{Body, OutgoingCall};

use crate::harness::*;

/// Alice calls; the INVITE.
fn place(lone: &mut Lone, call: OutgoingCall) -> Request {
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    lone.sent_request(Method::Invite)
}

/// The callee refuses; the INVITE that follows, and where it went.
#[track_caller]
fn refused(
    lone: &mut Lone,
    invite: &Request,
    status: u16,
    headers: &[(&str, &str)],
) -> (SocketAddr, Request) {
    lone.answer(invite, status, "b", headers);
    let mut sent = lone.sent();
    let kinds: Vec<String> = sent.iter().map(|(_, message)| summary(message)).collect();
    assert_eq!(kinds, ["ACK", "INVITE"]);
    match sent.remove(1) {
        (to, Message::Request(again)) => {
            for name in [HeaderName::CallId, HeaderName::From, HeaderName::To] {
                assert_eq!(again.headers().raw(name), invite.headers().raw(name));
            }
            let cseq = |request: &Request| request.headers().cseq().unwrap().number;
            assert_eq!(cseq(&again), cseq(invite) + 1);
            assert_ne!(again.headers().branch(), invite.headers().branch());
            assert!(again.validate().is_ok());
            (to, again)
        }
        (_, Message::Response(response)) => panic!("{response:?}"),
    }
}

/// The callee refuses, and that is the end.
#[track_caller]
fn ends(lone: &mut Lone, invite: &Request, status: u16, headers: &[(&str, &str)], events: &[&str]) {
    lone.answer(invite, status, "b", headers);
    lone.expect_sent(&["ACK"]);
    lone.expect(events);
    lone.nothing_left();
}

/// It is answered, and ended.
fn answered(lone: &mut Lone, invite: &Request) {
    lone.answer(invite, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    let sent = lone.sent();
    assert_eq!(sent.len(), 1);
    let events = lone.take();
    let Some(sip_ua::AgentEvent::Call { call, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(words(events.last().unwrap()), "answered");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, *call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.take();
    lone.nothing_left();
}

fn uri(request: &Request) -> String {
    request.uri().unwrap().as_str().to_owned()
}

// RFC 3261 §8.1.3.4: "Another is to perform only serial
// processing in decreasing q-value order, arbitrarily choosing between
// contacts of equal q-value."
#[test]
fn redirections_are_followed_by_their_q() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().header("Subject", "lunch").follow_redirects(5));
    let contacts = ("Contact", "<sip:b@192.0.2.9>;q=0.1, <sip:c@192.0.2.10;transport=udp>");
    let (to, second) = refused(&mut lone, &invite, 302, &[contacts]);
    assert_eq!(
        (uri(&second).as_str(), to.to_string().as_str()),
        ("sip:c@192.0.2.10;transport=udp", "192.0.2.10:5060")
    );
    // RFC 3261 §8.1.3.4: "In all other respects, requests sent upon receipt of a redirect
    // response SHOULD re-use the header fields and bodies of the original
    // request."
    for name in ["Subject", "Content-Type", "Session-Expires", "Allow", "Contact"] {
        assert_eq!(header(second.headers(), name), header(invite.headers(), name), "{name}");
    }
    assert_eq!(second.body(), OFFER);
    // RFC 3261 §8.1.3.4: "When a failure for a particular contact address is received, the
    // client SHOULD try the next contact address."
    let (to, third) = refused(&mut lone, &second, 480, &[]);
    assert_eq!(
        (uri(&third).as_str(), to.to_string().as_str()),
        ("sip:b@192.0.2.9", "192.0.2.9:5060")
    );
    let to = |uri: &str| format!("redirected to {uri}");
    lone.expect(&[&to("sip:c@192.0.2.10;transport=udp"), &to("sip:b@192.0.2.9")]);
    answered(&mut lone, &third);
}

// RFC 3261 §8.1.3.4: "Placing any given URI in the target set
// only once prevents infinite redirection loops."
#[test]
fn redirections_in_a_circle_end() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().follow_redirects(200));
    let (_, second) = refused(&mut lone, &invite, 301, &[("Contact", "<sip:c@192.0.2.2>")]);
    let back =
        ("Contact", "<sip:bob@192.0.2.2>, <SIP:c@192.0.2.2>, <tel:+1555>, <sip:d@192.0.2.2>");
    let (_, third) = refused(&mut lone, &second, 302, &[back]);
    assert_eq!(uri(&third), "sip:d@192.0.2.2");
    lone.take();
    ends(
        &mut lone,
        &third,
        302,
        &[back],
        &["ended: redirected to sip:bob@192.0.2.2 SIP:c@192.0.2.2 tel:+1555 sip:d@192.0.2.2"],
    );
}

#[test]
fn so_many_addresses_are_tried_and_no_more() {
    let mut lone = Lone::new();
    let mut invite = place(&mut lone, to_bob().follow_redirects(3));
    for number in 0..3 {
        let contact = format!("<sip:n{number}@192.0.2.2>");
        (_, invite) = refused(&mut lone, &invite, 302, &[("Contact", &contact)]);
    }
    lone.take();
    let last = &["ended: redirected to sip:n3@192.0.2.2"];
    ends(&mut lone, &invite, 302, &[("Contact", "<sip:n3@192.0.2.2>")], last);
    // None, if nobody said so.
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob());
    ends(&mut lone, &invite, 302, &[("Contact", "<sip:n3@192.0.2.2>")], last);
}

#[test]
fn an_address_that_does_not_answer_is_followed_by_the_next() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().follow_redirects(5));
    let contacts = ("Contact", "<sip:b@192.0.2.9>, <sip:c@192.0.2.10>");
    refused(&mut lone, &invite, 302, &[contacts]);
    lone.run(secs(33));
    let (to, Message::Request(third)) = lone.sent().pop().unwrap() else { panic!() };
    assert_eq!(
        (uri(&third).as_str(), to.to_string().as_str()),
        ("sip:c@192.0.2.10", "192.0.2.10:5060")
    );
    lone.take();
    ends(&mut lone, &third, 404, &[], &["ended: rejected with 404 Not Found"]);
}

// RFC 3261 §21.6: "6xx responses indicate that a server has definitive information about
// a particular user, not just the particular instance indicated in the
// Request-URI."
#[test]
fn the_last_word_of_a_user_ends_the_search() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().follow_redirects(5));
    let contacts = ("Contact", "<sip:b@192.0.2.9>, <sip:c@192.0.2.10>");
    let (_, second) = refused(&mut lone, &invite, 302, &[contacts]);
    lone.take();
    ends(&mut lone, &second, 603, &[], &["ended: rejected with 603 Decline"]);
}

// RFC 3261 §21.3.4: "The
// recipient is expected to repeat this single request via the
// proxy."
#[test]
fn a_proxy_that_must_be_used_is_used() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().follow_redirects(5));
    let proxy = ("Contact", "<sip:192.0.2.77:5070>");
    let (to, second) = refused(&mut lone, &invite, 305, &[proxy]);
    assert_eq!(to.to_string(), "192.0.2.77:5070");
    assert_eq!(uri(&second), "sip:bob@192.0.2.2");
    assert_eq!(header(second.headers(), "Route"), Some("<sip:192.0.2.77:5070;lr>"));
    lone.take();
    // Not for ever.
    let last = &["ended: redirected to sip:192.0.2.77:5070"];
    ends(&mut lone, &second, 305, &[proxy], last);
}

// RFC 3261 §21.3.5: "The alternative services are described in the message body of
// the response."
#[test]
fn an_alternative_service_is_for_people_to_choose() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().follow_redirects(5));
    let service = ("Contact", "<sip:voicemail@192.0.2.2>");
    ends(&mut lone, &invite, 380, &[service], &["ended: rejected with 380 Alternative Service"]);
}

// RFC 3261 §8.1.3.4: "It uses the "header" parameters to create header field values for the
// new request, overwriting header field values associated with the
// redirected request in accordance with the guidelines in Section
// 19.1.5."
#[test]
fn header_fields_of_the_new_address_are_taken_over() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().header("Subject", "lunch").follow_redirects(5));
    let contact =
        "<sip:c@192.0.2.9?Subject=dinner&Route=%3Csip:192.0.2.66%3E&From=%3Csip:e%40e%3E>";
    let (_, second) = refused(&mut lone, &invite, 302, &[("Contact", contact)]);
    assert_eq!(uri(&second), "sip:c@192.0.2.9");
    assert_eq!(header(second.headers(), "Subject"), Some("dinner"));
    // RFC 3261 §19.1.5: "An implementation SHOULD NOT honor these obviously dangerous header
    // fields: From, Call-ID, CSeq, Via, and Record-Route."
    assert_eq!(header(second.headers(), "Route"), None);
    lone.take();
    ends(&mut lone, &second, 486, &[], &["ended: rejected with 486 Busy Here"]);
}

// RFC 3261 §8.1.3.5: "The UAC SHOULD retry sending the request, this time only using
// content with types listed in the Accept header field in the response"
#[test]
fn another_body_is_offered_where_one_is_not_understood_or_too_large() {
    let plain = || Body::sdp(&b"v=0\r\n"[..]);
    let multipart = || Body::new("multipart/mixed;boundary=x", &b"--x\r\n\r\nv=0\r\n--x--\r\n"[..]);
    let call = || to_bob().body(multipart()).alternative(sdp()).alternative(plain());
    let mut lone = Lone::new();
    let invite = place(&mut lone, call());
    let (_, second) = refused(&mut lone, &invite, 415, &[("Accept", "application/*")]);
    assert_eq!(
        (second.body(), header(second.headers(), "Content-Type")),
        (OFFER, Some("application/sdp"))
    );
    let (_, third) = refused(&mut lone, &second, 413, &[]);
    assert_eq!(third.body(), b"v=0\r\n");
    ends(&mut lone, &third, 413, &[], &["ended: rejected with 413 Request Entity Too Large"]);
    let mut lone = Lone::new();
    let invite = place(&mut lone, call());
    let last = &["ended: rejected with 415 Unsupported Media Type"];
    ends(&mut lone, &invite, 415, &[("Accept", "text/plain")], last);
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob());
    ends(&mut lone, &invite, 415, &[("Accept", "application/sdp")], last);
}

// RFC 3261 §8.1.3.5: "The UAC SHOULD retry the request, this time omitting any extensions listed in
// the Unsupported header field in the response."
#[test]
fn extensions_that_are_not_supported_are_left_out() {
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob().header("Require", "gruu, answermode"));
    let unsupported = [("Unsupported", "gruu"), ("Unsupported", "timer")];
    let (_, second) = refused(&mut lone, &invite, 420, &unsupported);
    assert_eq!(header(second.headers(), "Require"), Some("answermode"));
    assert!(!header(second.headers(), "Supported").unwrap_or("").contains("timer"));
    assert_eq!(header(second.headers(), "Session-Expires"), None);
    assert_eq!(second.body(), OFFER);
    let (_, third) = refused(&mut lone, &second, 420, &[("Unsupported", "answermode")]);
    assert_eq!(header(third.headers(), "Require"), None);
    // What was not asked for cannot be left out.
    let last = &["ended: rejected with 420 Bad Extension"];
    ends(&mut lone, &third, 420, &[("Unsupported", "precondition")], last);
}

/// All other refusals are told as they came, with the next try that they suggest.
#[test]
fn what_has_no_remedy_is_told() {
    for status in (400..=699).filter(|status| *status != 401 && *status != 407) {
        let mut lone = Lone::new();
        let invite = place(&mut lone, to_bob().follow_redirects(5).alternative(sdp()));
        lone.answer(&invite, status, "b", &[("Retry-After", "30;duration=60")]);
        lone.expect_sent(&["ACK"]);
        let events = lone.take();
        let [sip_ua::AgentEvent::Call { update: sip_ua::CallUpdate::Ended(reason), .. }] =
            &events[..]
        else {
            panic!("{status}: {events:?}")
        };
        assert_eq!(reason.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(reason.retry_after(), Some(30));
    }
}

#[test]
fn a_call_that_is_given_up_goes_nowhere_else() {
    let mut lone = Lone::new();
    let key = lone
        .tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob().follow_redirects(5)))
        .unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "b", &[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, key)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.answer(&cancel, 200, "b", &[]);
    lone.take();
    ends(&mut lone, &invite, 302, &[("Contact", "<sip:c@192.0.2.9>")], &["ended: cancelled"]);
}

// RFC 3261 §20.33: "The Retry-After header field can be used with a 500 (Server Internal
// Error) or 503 (Service Unavailable) response to indicate how long the
// service is expected to be unavailable to the requesting client"
#[test]
fn a_call_is_placed_again_when_the_refusal_says_so() {
    let mut lone = Lone::new();
    let mut invite = place(&mut lone, to_bob().retry_after(2, secs(60)));
    for (status, after) in [(503, "30 (maintenance);duration=60"), (486, "10")] {
        lone.answer(&invite, status, "b", &[("Retry-After", after)]);
        lone.expect_sent(&["ACK"]);
        let wait = after[..2].parse().unwrap();
        lone.expect(&[&format!("postponed for {wait} s")]);
        lone.run(secs(wait) - ms(1));
        assert!(!lone.has_sent());
        lone.run(ms(2));
        let again = lone.sent_request(Method::Invite);
        let cseq = |request: &Request| request.headers().cseq().unwrap().number;
        assert_eq!(cseq(&again), cseq(&invite) + 1);
        assert_eq!(again.headers().call_id(), invite.headers().call_id());
        assert_eq!(again.body(), invite.body());
        invite = again;
    }
    let said = &["ended: rejected with 503 Service Unavailable"];
    ends(&mut lone, &invite, 503, &[("Retry-After", "1")], said);
}

#[test]
fn a_call_is_not_placed_again_too_late_or_without_a_word() {
    for (status, headers) in [
        (503, &[("Retry-After", "61")][..]),
        (503, &[]),
        (503, &[("Retry-After", "soon")]),
        (403, &[("Retry-After", "1")]),
    ] {
        let mut lone = Lone::new();
        let invite = place(&mut lone, to_bob().retry_after(2, secs(60)));
        lone.answer(&invite, status, "b", headers);
        lone.expect_sent(&["ACK"]);
        let events = lone.take();
        assert!(words(events.last().unwrap()).starts_with("ended: rejected"), "{events:?}");
        lone.nothing_left();
    }
    // By default it is told and no more.
    let mut lone = Lone::new();
    let invite = place(&mut lone, to_bob());
    let said = &["ended: rejected with 503 Service Unavailable"];
    ends(&mut lone, &invite, 503, &[("Retry-After", "1")], said);
}

#[test]
fn a_call_that_waits_to_be_placed_again_may_be_given_up() {
    let mut lone = Lone::new();
    let call = to_bob().retry_after(2, secs(60));
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 480, "b", &[("Retry-After", "20")]);
    lone.expect_sent(&["ACK"]);
    lone.run(secs(5));
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, key)).unwrap();
    lone.expect(&["postponed for 20 s", "ended: cancelled"]);
    lone.run(secs(30));
    lone.expect_sent(&[]);
    lone.nothing_left();
    // A ringing limit of before does not end it meanwhile, and it is challenged like any other.
    let account = sip_ua::Account::new("sip:alice@192.0.2.1".parse().unwrap())
        .credentials(sip_ua::Credentials::new("alice", "secret"));
    let call = to_bob().retry_after(1, secs(600));
    let account = std::sync::Arc::new(account);
    lone.tell(|agent, now, tx| agent.call(now, tx, &account, call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.answer(&invite, 480, "b", &[("Retry-After", "300")]);
    lone.sent();
    lone.run(secs(300) + ms(1));
    let again = lone.sent_request(Method::Invite);
    let challenge = ("WWW-Authenticate", "Digest realm=\"x\", nonce=\"n\"");
    let (_, with_credentials) = refused(&mut lone, &again, 401, &[challenge]);
    assert!(header(with_credentials.headers(), "Authorization").is_some());
    lone.answer(&with_credentials, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.sent_request(Method::Ack);
    lone.expect(&["ringing 0", "postponed for 300 s", "answered"]);
}
