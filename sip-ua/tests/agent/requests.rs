//! Requests of the application, within calls and outside.

use sip_message::{HeaderName, Method, StatusCode};
use sip_ua::{Account, AgentConfig, AgentError, AgentEvent, Body};
use std::sync::Arc;

use crate::harness::*;

fn bob() -> sip_message::Uri<'static> {
    "sip:bob@192.0.2.2".parse().unwrap()
}

#[test]
fn a_message_outside_of_a_call() {
    let mut pair = Pair::new();
    let body = Body::text("hello");
    let key = pair
        .tell(ALICE, |agent, now, tx| {
            agent.request(now, tx, &alice(), Method::Message, &bob(), Some(&body), &[])
        })
        .unwrap();
    pair.run(ms(50));
    let events = pair.take(BOB);
    let [AgentEvent::Request { key: theirs, request, call: None, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(request.body(), b"hello");
    let theirs = *theirs;
    pair.tell(BOB, |agent, now, tx| agent.reply(now, tx, theirs, StatusCode::OK, None, &[]))
        .unwrap();
    pair.run(ms(50));
    let events = pair.take(ALICE);
    let [AgentEvent::Response { key: of, result: Ok(response) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*of, response.status()), (key, StatusCode::OK));
    pair.nothing_left();
}

#[test]
fn options_outside_of_a_call() {
    let mut pair = Pair::new();
    pair.tell(ALICE, |agent, now, tx| {
        agent.request(now, tx, &alice(), Method::Options, &bob(), None, &[])
    })
    .unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["response 200"]);
    pair.expect(BOB, &[]);
    pair.nothing_left();
}

#[test]
fn requests_within_a_call_both_ways() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.established();
    let dtmf = Body::new("application/dtmf-relay", &b"Signal=5"[..]);
    pair.tell(ALICE, |agent, now, tx| agent.send(now, tx, ours, Method::Info, Some(&dtmf), &[]))
        .unwrap();
    pair.tell(BOB, |agent, now, tx| agent.send(now, tx, theirs, Method::Options, None, &[]))
        .unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["request INFO in call", "response 200"]);
    let invite =
        pair.tell(ALICE, |agent, now, tx| agent.send(now, tx, ours, Method::Invite, None, &[]));
    assert!(matches!(invite, Err(AgentError::Method(Method::Invite))));
    // The INFO is never replied to, and the guard answers it.
    pair.run(secs(21));
    pair.expect(ALICE, &["response 500"]);
    pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, ours)).unwrap();
    pair.nothing_left();
}

#[test]
fn nobody_answers() {
    let mut pair = Pair::new();
    pair.network(|_, _| Fate::Lose);
    let key = pair
        .tell(ALICE, |agent, now, tx| {
            agent.request(now, tx, &alice(), Method::Options, &bob(), None, &[])
        })
        .unwrap();
    pair.tell(ALICE, |agent, now, tx| {
        agent.request(now, tx, &alice(), Method::Options, &bob(), None, &[])
    })
    .unwrap();
    pair.tell(ALICE, |agent, _, _| agent.forget(key));
    pair.run(secs(33));
    pair.expect(ALICE, &["no response: no answer in time"]);
    pair.nothing_left();
}

// RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481
// (Call/Transaction Does Not Exist) or a 408 (Request Timeout), the UAC
// SHOULD terminate the dialog."
#[test]
fn a_peer_that_forgot_the_call_ends_it() {
    let mut lone = Lone::new();
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.sent_request(Method::Ack);
    lone.tell(|agent, now, tx| agent.send(now, tx, call, Method::Info, None, &[])).unwrap();
    let info = lone.sent_request(Method::Info);
    lone.answer(&info, 481, "", &[]);
    lone.expect(&["answered", "response 481", "ended: the peer no longer answers"]);
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 481, "", &[]);
    lone.nothing_left();
}

#[test]
fn an_unreachable_address_is_an_error_at_once() {
    let mut lone = Lone::new();
    let nowhere = sip_ua::OutgoingCall::to("sip:bob@192.0.2.2;transport=tcp".parse().unwrap());
    let error = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), nowhere)).unwrap_err();
    assert!(matches!(error, AgentError::Request(_)), "{error}");
    lone.expect(&[]);
    lone.nothing_left();
}

#[test]
fn limits_are_kept() {
    let mut lone = Lone::with(AgentConfig::default().max_calls(1).max_requests(1));
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let full = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap_err();
    assert!(matches!(full, AgentError::Full { what: "calls" }), "{full}");
    let options = |agent: &mut sip_ua::Agent, now, tx: &mut _| {
        agent.request(now, tx, &alice(), Method::Options, &bob(), None, &[])
    };
    lone.tell(options).unwrap();
    let full = lone.tell(options).unwrap_err();
    assert!(matches!(full, AgentError::Full { what: "requests" }), "{full}");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.run(secs(33));
    lone.expect(&["ended: cancelled", "no response: no answer in time"]);
    lone.nothing_left();
}

// RFC 3261 §8.1.2: an outbound proxy gets the request, by a Route of its own.
#[test]
fn an_outbound_proxy_is_the_first_hop() {
    let mut lone = Lone::new();
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .outbound_proxy("sip:192.0.2.77:5070".parse().unwrap());
    let account = Arc::new(account);
    lone.tell(|agent, now, tx| {
        let to = "sip:bob@example.com".parse().unwrap();
        agent.request(now, tx, &account, Method::Options, &to, None, &[])
    })
    .unwrap();
    let sent = lone.sent();
    assert_eq!(sent[0].0.to_string(), "192.0.2.77:5070");
    let sip_message::Message::Request(options) = &sent[0].1 else { panic!() };
    assert_eq!(options.uri().unwrap().as_str(), "sip:bob@example.com");
    assert_eq!(header(options.headers(), "Route"), Some("<sip:192.0.2.77:5070;lr>"));
    assert!(!options.headers().contains(HeaderName::Contact));
    lone.answer(options, 200, "p", &[]);
    lone.expect(&["response 200"]);
    lone.nothing_left();
}

#[test]
fn an_invite_says_who_calls_and_what_it_can_do() {
    let mut lone = Lone::with(AgentConfig::default().supported(vec!["timer".into()]));
    let odd = Account::new("sip:alice@192.0.2.1".parse().unwrap()).display_name("A \"B\" C");
    let call = to_bob().header("Subject", "lunch");
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &Arc::new(odd), call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    let from = header(invite.headers(), "From").unwrap();
    assert!(from.starts_with("\"A \\\"B\\\" C\" <sip:alice@192.0.2.1>;tag="), "{from}");
    for (name, value) in [
        ("To", "<sip:bob@192.0.2.2>"),
        ("Max-Forwards", "70"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:alice@192.0.2.1:5060>"),
        ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE, INFO, REFER, PRACK, UPDATE"),
        ("Supported", "100rel, 199, timer"),
        ("Subject", "lunch"),
        ("Content-Type", "application/sdp"),
    ] {
        assert_eq!(header(invite.headers(), name), Some(value), "{name}");
    }
    assert_eq!(invite.body(), OFFER);
    assert!(invite.validate().is_ok());
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, key)).unwrap();
    lone.nothing_left();
}

// RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the UAC
// SHOULD discard the message."
#[test]
fn a_response_for_someone_behind_us_is_discarded() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| {
        agent.request(now, tx, &alice(), Method::Options, &bob(), None, &[])
    })
    .unwrap();
    let options = lone.sent_request(Method::Options);
    let via = ("Via", "SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKbehind");
    lone.answer(&options, 200, "b", &[via]);
    lone.expect(&[]);
    lone.run(secs(33));
    lone.sent();
    // For the transaction below it was the final response all the same.
    lone.expect(&["no response: no answer in time"]);
    lone.nothing_left();
}
