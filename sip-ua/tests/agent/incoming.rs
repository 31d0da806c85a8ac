//! Requests that come in, and what is answered without asking anybody (RFC 3261 §8.2, §11, §12.2.2).

use sip_message::{HeaderName, Method, StatusCode};
use sip_ua::{AgentConfig, AgentEvent, Body};

use crate::harness::*;

/// A request of Bob's outside of any dialog. Each `{n}` needs a branch and Call-ID of its own.
pub fn request(method: &str, n: u32, more: &str) -> String {
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{method}{n}
        Max-Forwards: 70
        From: <sip:bob@192.0.2.2>;tag=b
        To: <sip:alice@192.0.2.1>
        Call-ID: {method}-{n}
        CSeq: 1 {method}
        Contact: <sip:bob@192.0.2.2>{}{more}",
        if more.is_empty() { "" } else { "\n" }
    )
}

fn settle(lone: &mut Lone) {
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}

// RFC 3261 §8.2.1: "If the UAS recognizes
// but does not support the method of a request, it MUST generate a 405
// (Method Not Allowed) response."
#[test]
fn a_known_method_that_is_not_served_is_405() {
    let mut lone = Lone::new();
    for (n, method) in ["SUBSCRIBE", "REGISTER", "PUBLISH"].into_iter().enumerate() {
        lone.receive_text(&request(method, n as u32, ""), "");
        let response = lone.sent_response(405);
        assert_eq!(
            header(response.headers(), "Allow"),
            Some("INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE, INFO, REFER, PRACK, UPDATE")
        );
        // RFC 3261 §8.2.6.2: "the UAS MUST add a tag to the To header field in the response"
        assert!(response.headers().to_tag().is_some());
    }
    lone.expect(&[]);
    settle(&mut lone);
}

// RFC 3261 §21.5.2: "This is the appropriate response when a UAS does not recognize the request
// method and is not capable of supporting it for any user."
#[test]
fn an_unknown_method_is_501() {
    let mut lone = Lone::new();
    lone.receive_text(&request("JUGGLE", 1, ""), "");
    lone.sent_response(501);
    settle(&mut lone);
}

// RFC 3261 §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS,
// it SHOULD reject the request with a 416 (Unsupported URI Scheme) response."
#[test]
fn an_unknown_scheme_is_416() {
    let mut lone = Lone::new();
    let tel =
        request("INVITE", 1, "").replace("INVITE sip:alice@192.0.2.1", "INVITE tel:+12015550123");
    lone.receive_text(&tel, "");
    lone.sent_response(416);
    settle(&mut lone);
}

// RFC 3261 §8.2.2.3: "The UAS MUST add an Unsupported
// header field, and list in it those options it does not understand
// amongst those in the Require header field of the request."
#[test]
fn an_unknown_extension_is_420() {
    let mut lone = Lone::with(AgentConfig::default().supported(vec!["timer".into()]));
    lone.receive_text(
        &request("INVITE", 1, "Require: 100rel, Timer, nothing\nRequire: replaces"),
        "",
    );
    let response = lone.sent_response(420);
    assert_eq!(header(response.headers(), "Unsupported"), Some("nothing, replaces"));
    lone.receive_text(&request("INVITE", 2, "Require: timer"), "");
    lone.expect(&["invitation"]);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.reject(now, tx, call, StatusCode::BUSY_HERE, &[])).unwrap();
    settle(&mut lone);
}

// RFC 3261 §8.2.3: "The response MUST contain an
// Accept header field listing the types of all bodies it understands,
// in the event the request contained bodies of types not supported by the UAS."
#[test]
fn an_unknown_body_is_415() {
    let mut lone = Lone::new();
    lone.receive_text(&request("MESSAGE", 1, "Content-Type: text/html"), "<p>hello");
    let response = lone.sent_response(415);
    assert_eq!(
        header(response.headers(), "Accept"),
        Some("application/sdp, text/plain, message/cpim, application/dtmf-relay, application/dtmf")
    );
    let gzip = "Content-Type: text/plain\nContent-Encoding: gzip";
    lone.receive_text(&request("MESSAGE", 2, gzip), "zzz");
    let response = lone.sent_response(415);
    assert_eq!(header(response.headers(), "Accept-Encoding"), Some("identity"));
    // RFC 3261 §8.2.3: "and that body part is not optional (as indicated by the Content-
    // Disposition header field)"
    let optional = "Content-Type: image/png\nContent-Disposition: icon; handling=optional";
    lone.receive_text(&request("MESSAGE", 3, optional), "png");
    lone.receive_text(&request("MESSAGE", 4, "Content-Type: Text/Plain;charset=utf-8"), "hi");
    lone.expect(&["request MESSAGE", "request MESSAGE"]);
    lone.expect_sent(&[]);
    settle(&mut lone);
}

// RFC 3261 §8.2.2.2: "The UAS processes
// the first such request received and responds with a 482 (Loop
// Detected) to the rest of them."
#[test]
fn the_same_request_by_another_path_is_482() {
    let mut lone = Lone::new();
    let first = request("INVITE", 1, "");
    lone.receive_text(&first, "");
    lone.receive_text(&first, "");
    lone.receive_text(&first.replace("z9hG4bKINVITE1", "z9hG4bKother"), "");
    lone.sent_response(482);
    lone.expect(&["invitation"]);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.reject(now, tx, call, StatusCode::BUSY_HERE, &[])).unwrap();
    lone.expect(&["ended: we hung up"]);
    settle(&mut lone);
    // After the transactions it is a new request.
    lone.receive_text(&first.replace("z9hG4bKINVITE1", "z9hG4bKlater"), "");
    lone.expect(&["invitation"]);
}

// RFC 3261 §12.2.2: "If the UAS wishes to reject the request because it does not wish to
// recreate the dialog, it MUST respond to the request with a 481"
#[test]
fn a_request_in_no_known_dialog_is_481() {
    let mut lone = Lone::new();
    for (n, method) in ["INVITE", "BYE", "MESSAGE", "OPTIONS", "INFO"].into_iter().enumerate() {
        let request = request(method, n as u32, "").replace("192.0.2.1>", "192.0.2.1>;tag=gone");
        lone.receive_text(&request, "");
        let response = lone.sent_response(481);
        assert_eq!(response.headers().to_tag(), Some("gone"));
    }
    // RFC 3261 §15.1.2: "This rule means that a BYE sent without tags by a UAC will be rejected."
    lone.receive_text(&request("BYE", 9, ""), "");
    lone.sent_response(481);
    let ack = request("ACK", 10, "").replace("192.0.2.1>", "192.0.2.1>;tag=gone");
    lone.receive_text(&ack, "");
    lone.expect_sent(&[]);
    lone.expect(&[]);
    settle(&mut lone);
}

#[test]
fn an_invite_without_contact_is_400() {
    let mut lone = Lone::new();
    let invite = request("INVITE", 1, "").replace("Contact: <sip:bob@192.0.2.2>", "Subject: hi");
    lone.receive_text(&invite, "");
    lone.sent_response(400);
    lone.expect(&[]);
    settle(&mut lone);
}

// RFC 3261 §11.2: "Allow, Accept, Accept-Encoding, Accept-Language, and Supported header
// fields SHOULD be present in a 200 (OK) response to an OPTIONS request."
#[test]
fn options_are_answered() {
    let mut lone = Lone::with(AgentConfig::default().max_calls(1));
    lone.receive_text(&request("OPTIONS", 1, ""), "");
    let response = lone.sent_response(200);
    for name in ["Allow", "Accept", "Accept-Encoding", "Accept-Language", "Supported", "Server"] {
        assert!(header(response.headers(), name).is_some(), "{name}");
    }
    // RFC 3261 §11.2: "The response code chosen MUST be the same that would have been chosen had the request
    // been an INVITE."
    lone.receive_text(&request("INVITE", 1, ""), "");
    lone.receive_text(&request("OPTIONS", 2, ""), "");
    let response = lone.sent_response(503);
    assert_eq!(header(response.headers(), "Retry-After"), Some("5"));
    lone.receive_text(&request("INVITE", 2, ""), "");
    let response = lone.sent_response(503);
    assert_eq!(header(response.headers(), "Retry-After"), Some("5"));
    lone.expect(&["invitation"]);
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    settle(&mut lone);
}

#[test]
fn the_application_answers_options_if_it_wants_to() {
    let mut lone = Lone::with(AgentConfig::default().answer_options(false));
    lone.receive_text(&request("OPTIONS", 1, ""), "");
    lone.expect_sent(&[]);
    let events = lone.take();
    let [AgentEvent::Request { key, call: None, .. }] = &events[..] else { panic!("{events:?}") };
    let key = *key;
    lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, None, &[])).unwrap();
    lone.sent_response(200);
    assert!(
        lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, None, &[])).is_err(),
        "once is enough"
    );
    settle(&mut lone);
}

#[test]
fn a_request_is_answered_by_the_application() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INFO", 1, "Content-Type: text/plain"), "hello");
    let events = lone.take();
    let [AgentEvent::Request { key, request, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(request.body(), b"hello");
    assert_eq!(lone.live().owed_replies, 1);
    let key = *key;
    let early =
        lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::RINGING, None, &[]));
    assert!(early.is_err(), "a provisional response to what is no INVITE");
    let body = Body::text("and to you");
    let headers = [("Subject".to_owned(), "greetings".to_owned())];
    lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, Some(&body), &headers))
        .unwrap();
    let response = lone.sent_response(200);
    assert_eq!(response.body(), b"and to you");
    assert_eq!(header(response.headers(), "Subject"), Some("greetings"));
    settle(&mut lone);
}

#[test]
fn a_message_that_nobody_replies_to_is_answered_500() {
    let mut lone = Lone::with(AgentConfig::default().reply_guard(secs(15)));
    lone.receive_text(&request("MESSAGE", 1, ""), "");
    lone.run(secs(14));
    let sent = lone.sent().len();
    lone.run(secs(2));
    let answers = lone.sent();
    assert_eq!(summary(&answers.last().unwrap().1), "500 MESSAGE", "after {sent} before");
    lone.expect(&["request MESSAGE"]);
    settle(&mut lone);
}

#[test]
fn too_many_unanswered_requests_are_503() {
    let mut lone = Lone::with(AgentConfig::default().max_owed_replies(2));
    for n in 0..3 {
        lone.receive_text(&request("MESSAGE", n, ""), "");
    }
    let response = lone.sent_response(503);
    assert_eq!(header(response.headers(), "Retry-After"), Some("5"));
    lone.expect(&["request MESSAGE", "request MESSAGE"]);
    settle(&mut lone);
}

/// An established call that Bob made: its To tag.
pub fn established(lone: &mut Lone) -> String {
    lone.receive_text(&request("INVITE", 1, "Record-Route: <sip:192.0.2.7;lr>"), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let response = lone.sent_response(200);
    // RFC 3261 §12.1.1: "the UAS MUST copy all Record-Route header field values from the request"
    assert_eq!(header(response.headers(), "Record-Route"), Some("<sip:192.0.2.7;lr>"));
    assert_eq!(header(response.headers(), "Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    assert!(response.headers().contains(HeaderName::Allow));
    let tag = response.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.expect(&["invitation", "confirmed"]);
    lone.expect_sent(&[]);
    tag
}

/// A request of Bob's within the call.
pub fn in_dialog(method: &str, cseq: u32, tag: &str, more: &str) -> String {
    request(method, 100 + cseq, more)
        .replace("192.0.2.1>", &format!("192.0.2.1>;tag={tag}"))
        .replace(&format!("{method}-{}", 100 + cseq), "INVITE-1")
        .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
}

#[test]
fn requests_within_a_call() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    lone.receive_text(
        &in_dialog("INFO", 2, &tag, "Content-Type: application/dtmf-relay"),
        "Signal=1",
    );
    let events = lone.take();
    let [AgentEvent::Request { key, call: Some(of), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*of, call);
    let key = *key;
    lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, None, &[])).unwrap();
    lone.sent_response(200);
    // RFC 3261 §12.2.2: "the request is out of order and MUST be rejected with a 500 (Server Internal
    // Error) response."
    lone.receive_text(&in_dialog("MESSAGE", 1, &tag, ""), "");
    lone.sent_response(500);
    lone.receive_text(&in_dialog("OPTIONS", 7, &tag, ""), "");
    lone.sent_response(200);
    lone.receive_text(&in_dialog("PUBLISH", 8, &tag, ""), "");
    lone.sent_response(405);
    lone.receive_text(&in_dialog("BYE", 9, &tag, ""), "");
    lone.sent_response(200);
    lone.expect(&["ended: the peer hung up"]);
    lone.receive_text(&in_dialog("INFO", 10, &tag, ""), "");
    lone.sent_response(481);
    settle(&mut lone);
}

#[test]
fn requests_within_a_call_wait_in_limits() {
    let mut lone = Lone::with(AgentConfig::default().max_owed_replies_per_call(1));
    let tag = established(&mut lone);
    lone.receive_text(&in_dialog("MESSAGE", 2, &tag, ""), "");
    lone.receive_text(&in_dialog("MESSAGE", 3, &tag, ""), "");
    lone.sent_response(503);
    lone.expect(&["request MESSAGE in call"]);
    lone.receive_text(&in_dialog("BYE", 4, &tag, ""), "");
    lone.sent_response(200);
    settle(&mut lone);
}

// RFC 3261 §12.2.1.1: "If the route set is not empty, and its first URI does not contain the
// lr parameter, the UAC MUST place the first URI from the route set into the Request-URI"
#[test]
fn a_strict_router_is_obeyed() {
    let mut lone = Lone::new();
    lone.receive_text(
        &request("INVITE", 1, "Record-Route: <sip:192.0.2.8>, <sip:192.0.2.9;lr>"),
        "",
    );
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, None, &[])).unwrap();
    let tag = lone.sent_response(200).headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let sent = lone.sent();
    let (to, sip_message::Message::Request(bye)) = &sent[0] else { panic!("{sent:?}") };
    assert_eq!(to.to_string(), "192.0.2.8:5060");
    assert_eq!(*bye.method(), Method::Bye);
    assert_eq!(bye.uri().unwrap().as_str(), "sip:192.0.2.8");
    assert_eq!(
        header(bye.headers(), "Route").map(|route| route.replace(' ', "")),
        Some("<sip:192.0.2.9;lr>,<sip:bob@192.0.2.2>".into())
    );
    lone.answer(bye, 200, "", &[]);
    settle(&mut lone);
}
