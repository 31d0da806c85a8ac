//! MESSAGE (RFC 3428) and INFO with its packages (RFC 6086).

use std::sync::Arc;

use sip_message::{HeaderName, Method, StatusCode};
use sip_ua::{AgentConfig, AgentError, AgentEvent, Body, CallKey, RequestKey};

use super::harness::*;
use super::incoming::{established, in_dialog, request};

fn text(lone: &mut Lone, to: &str, body: &str) -> Result<RequestKey, AgentError> {
    let (account, to, body) = (alice(), to.parse().unwrap(), Body::text(body));
    lone.tell(|agent, now, tx| {
        agent.request(now, tx, &account, Method::Message, &to, Some(&body), &[])
    })
}

const BOBS: &str = "sip:bob@192.0.2.2";

// RFC 3428 §8: "The size of MESSAGE requests outside of a media session MUST NOT
// exceed 1300 bytes, unless the UAC has positive knowledge that the
// message will not traverse a congestion-unsafe link at any hop"
#[test]
fn a_message_has_its_size() {
    let mut lone = Lone::new();
    let long = "x".repeat(1_300);
    let refused = text(&mut lone, BOBS, &long);
    assert!(
        matches!(refused, Err(AgentError::TooLarge { size, limit: 1_300 }) if size > 1_300),
        "{refused:?}"
    );
    // The largest that is let through is no larger on the wire either.
    let fits = (0..1_300).rev().find(|size| text(&mut lone, BOBS, &long[..*size]).is_ok());
    let message = lone.sent_request(Method::Message);
    let size = message.to_bytes().len();
    assert!((1_200..=1_300).contains(&size), "{size} with a body of {fits:?}");
    // RFC 3428 §4: "User Agents MUST NOT
    // insert Contact header fields into MESSAGE requests."
    assert!(!message.headers().contains(HeaderName::Contact));

    // Within a call it belongs to a media session.
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    let body = Body::text(long.clone());
    lone.tell(|agent, now, tx| agent.send(now, tx, call, Method::Message, Some(&body), &[]))
        .unwrap();
    drop(tag);
    // And who knows the way knows better.
    let mut lone = Lone::with(AgentConfig::default().max_message(60_000));
    text(&mut lone, BOBS, &long).unwrap();
}

// RFC 3428 §8: "A UAC MUST NOT initiate a new out-of-dialog MESSAGE transaction to a
// given URI if there is a previous out-of-dialog transaction pending
// for the same URI."
#[test]
fn messages_wait_for_the_answer_to_the_one_before() {
    let mut lone = Lone::new();
    text(&mut lone, BOBS, "one").unwrap();
    let first = lone.sent_request(Method::Message);
    assert!(matches!(text(&mut lone, BOBS, "two"), Err(AgentError::MessagePending)));
    text(&mut lone, "sip:dave@192.0.2.2", "to another").unwrap();
    let other = lone.sent_request(Method::Message);
    lone.answer(&first, 200, "b", &[]);
    text(&mut lone, BOBS, "two").unwrap();
    let second = lone.sent_request(Method::Message);
    lone.answer(&other, 480, "b", &[]);
    lone.expect(&["response 200", "response 480"]);
    // One that is never answered is over in 64*T1, and one that cannot be built was never on its way.
    lone.run(secs(33));
    lone.sent();
    lone.expect(&["no response: no answer in time"]);
    drop(second);
    let third = text(&mut lone, BOBS, "three").unwrap();
    lone.tell(|agent, _, _| agent.forget(third));
    text(&mut lone, BOBS, "four").unwrap();
    lone.run(secs(33));
    lone.sent();
    lone.take();
    lone.run(secs(10));
    lone.nothing_left();
}

// RFC 3428 §7: "A 2xx response to a MESSAGE request MUST NOT contain a body."
#[test]
fn the_answer_to_a_message_says_no_more() {
    let mut lone = Lone::new();
    for (n, (kind, status, body)) in [
        ("text/plain", StatusCode::OK, &b""[..]),
        ("message/cpim", StatusCode::ACCEPTED, b""),
        ("text/plain", StatusCode::BUSY_HERE, b"no"),
    ]
    .into_iter()
    .enumerate()
    {
        let head = request("MESSAGE", n as u32, &format!("Content-Type: {kind}"));
        lone.receive_text(&head, "hello");
        let events = lone.take();
        let [AgentEvent::Request { key, .. }] = &events[..] else { panic!("{events:?}") };
        let (key, reply) = (*key, Body::text("no"));
        lone.tell(|agent, now, tx| agent.reply(now, tx, key, status, Some(&reply), &[])).unwrap();
        assert_eq!(lone.sent_response(status.as_u16()).body(), body);
    }
}

fn packages(names: &[&str]) -> AgentConfig {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    AgentConfig::default().info_packages(Some(names))
}

fn info(lone: &mut Lone, call: CallKey, package: &str) -> Result<RequestKey, AgentError> {
    let body = Body::new("application/dtmf-relay", "Signal=1\r\n");
    lone.tell(|agent, now, tx| agent.info(now, tx, call, package, Some(&body)))
}

/// RFC 6086 §5.2: each side says what it wants to hear, and hears no more.
#[test]
fn packages_are_agreed_on() {
    let mut lone = Lone::with(packages(&["conference", "dtmf"]));
    lone.receive_text(&request("INVITE", 1, "Recv-Info: foo, bar;x=1\nRecv-Info: dtmf"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    assert_eq!(header(ok.headers(), "Recv-Info"), Some("conference, dtmf"));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.expect(&["invitation", "confirmed"]);

    assert!(matches!(info(&mut lone, call, "conference"), Err(AgentError::Package)));
    // RFC 6086 §7.2: "the Info Package name is case sensitive"
    assert!(matches!(info(&mut lone, call, "DTMF"), Err(AgentError::Package)));
    info(&mut lone, call, "bar").unwrap();
    let sent = lone.sent_request(Method::Info);
    assert_eq!(header(sent.headers(), "Info-Package"), Some("bar"));
    assert!(!sent.headers().contains(HeaderName::RecvInfo));
    // RFC 6086 §4.2.1: "the UA MUST NOT terminate the invite
    // dialog usage"
    lone.answer(&sent, 469, "", &[("Recv-Info", "foo")]);
    lone.expect(&["response 469"]);

    let head = in_dialog("INFO", 2, &tag, "Info-Package: bar\nContent-Type: text/plain");
    lone.receive_text(&head, "x");
    // RFC 6086 §4.2.2: "469 (Bad Info Package) response (see Section 11.6), which contains a
    // Recv-Info header field with Info Packages for which the UA is willing
    // to receive INFO requests."
    let refused = lone.sent_response(469);
    assert_eq!(header(refused.headers(), "Recv-Info"), Some("conference, dtmf"));
    lone.receive_text(&in_dialog("INFO", 3, &tag, "Info-Package: @"), "");
    lone.sent_response(400);
    lone.receive_text(&in_dialog("INFO", 4, &tag, "Info-Package: dtmf"), "");
    lone.receive_text(&in_dialog("INFO", 5, &tag, ""), "");
    lone.expect(&["request INFO in call", "request INFO in call"]);
}

/// Without packages of our own the header fields mean nothing to us, and none of ours are sent.
#[test]
fn packages_are_opt_in() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    lone.receive_text(&in_dialog("INFO", 2, &tag, "Info-Package: foo"), "");
    lone.expect(&["request INFO in call"]);
    let account = alice();
    lone.tell(|agent, now, tx| agent.call(now, tx, &account, to_bob())).unwrap();
    assert!(!lone.sent_request(Method::Invite).headers().contains(HeaderName::RecvInfo));

    // The caller says it in the INVITE, an empty list included, and learns it from the 2xx.
    let mut lone = Lone::with(packages(&[]));
    let account: Arc<_> = alice();
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &account, to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    assert_eq!(header(invite.headers(), "Recv-Info"), Some(""));
    let contact = [("Contact", "<sip:bob@192.0.2.2>"), ("Recv-Info", "dtmf")];
    lone.answer(&invite, 200, "b", &contact);
    lone.sent_request(Method::Ack);
    info(&mut lone, call, "dtmf").unwrap();
    lone.sent_request(Method::Info);
}
