//! An INVITE that reaches several callees (RFC 3261 §13.2.2).

use sip_message::{HeaderName, Message, Method, Request};
use sip_transport::locate::{Srv, Zone};
use sip_ua::{AgentConfig, CallKey};

use crate::harness::*;

fn call(lone: &mut Lone) -> (CallKey, Request) {
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    (call, lone.sent_request(Method::Invite))
}

const BOB_1: &[(&str, &str)] = &[("Contact", "<sip:bob@192.0.2.21>")];
const BOB_2: &[(&str, &str)] = &[("Contact", "<sip:bob@192.0.2.22>")];

#[track_caller]
fn request_to(sent: &(std::net::SocketAddr, Message), method: Method, to: &str) -> Request {
    let Message::Request(request) = &sent.1 else { panic!("{sent:?}") };
    assert_eq!((request.method(), sent.0.to_string()), (&method, to.to_owned()));
    request.clone()
}

// RFC 3261 §13.2.2.4: "If, after acknowledging any 2xx response to an INVITE, the UAC does
// not want to continue with that dialog, then the UAC MUST terminate
// the dialog by sending a BYE request as described in Section 15."
#[test]
fn the_first_2xx_wins_and_others_are_acknowledged_and_ended() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.answer(&invite, 183, "two", BOB_2);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.expect(&["ringing 0", "progress 1", "ringing 0"]);
    assert_eq!(lone.live().dialogs, 2);

    lone.answer(&invite, 200, "two", BOB_2);
    lone.expect(&["answered"]);
    let sent = lone.sent();
    assert_eq!(sent.len(), 1);
    let ack = request_to(&sent[0], Method::Ack, "192.0.2.22:5060");
    assert_eq!(ack.headers().to_tag(), Some("two"));
    assert_eq!(ack.headers().cseq().unwrap().number, 1);

    lone.answer(&invite, 200, "one", BOB_1);
    let sent = lone.sent();
    assert_eq!(sent.len(), 2);
    let ack = request_to(&sent[0], Method::Ack, "192.0.2.21:5060");
    assert_eq!(ack.headers().to_tag(), Some("one"));
    let bye = request_to(&sent[1], Method::Bye, "192.0.2.21:5060");
    assert_eq!(bye.headers().to_tag(), Some("one"));
    assert_eq!(bye.headers().cseq().unwrap().number, 2);
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&[]);

    // Each repeat gets the ACK of its own dialog, and no second BYE.
    lone.answer(&invite, 200, "one", BOB_1);
    request_to(&lone.sent()[0], Method::Ack, "192.0.2.21:5060");
    lone.answer(&invite, 200, "two", BOB_2);
    request_to(&lone.sent()[0], Method::Ack, "192.0.2.22:5060");

    // A third callee that never rang.
    lone.answer(&invite, 200, "three", &[("Contact", "<sip:bob@192.0.2.23>")]);
    let sent = lone.sent();
    request_to(&sent[0], Method::Ack, "192.0.2.23:5060");
    let bye = request_to(&sent[1], Method::Bye, "192.0.2.23:5060");
    lone.answer(&bye, 200, "", &[]);

    // RFC 3261 §13.2.2.4: "The UAC core considers the INVITE transaction completed 64*T1 seconds
    // after the reception of the first 2xx response."
    lone.run(secs(33));
    assert_eq!((lone.live().calls, lone.live().dialogs), (1, 1));
    lone.answer(&invite, 200, "two", BOB_2);
    lone.expect_sent(&[]);

    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = request_to(&lone.sent()[0], Method::Bye, "192.0.2.22:5060");
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

// RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the
// non-2xx final response."
#[test]
fn a_refusal_ends_all_early_dialogs() {
    let mut lone = Lone::new();
    let (_, invite) = call(&mut lone);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.answer(&invite, 180, "two", BOB_2);
    lone.answer(&invite, 486, "one", &[]);
    lone.sent_request(Method::Ack);
    lone.expect(&["ringing 0", "ringing 1", "ended: rejected with 486 Busy Here"]);
    assert_eq!((lone.live().calls, lone.live().dialogs), (0, 0));
    // RFC 3261 §13.2.2.3: "Subsequent final responses (which would only arrive
    // under error conditions) MUST be ignored."
    lone.answer(&invite, 603, "two", BOB_2);
    lone.answer(&invite, 200, "two", BOB_2);
    lone.expect(&[]);
    lone.sent();
    lone.nothing_left();
}

#[test]
fn the_number_of_early_dialogs_is_limited() {
    let mut lone = Lone::with(AgentConfig::default().max_forks(2));
    let (call, invite) = call(&mut lone);
    for tag in ["one", "two", "three", "four"] {
        lone.answer(&invite, 180, tag, BOB_1);
    }
    lone.expect(&["ringing 0", "ringing 1", "ringing 2", "ringing 2"]);
    assert_eq!(lone.live().dialogs, 2);
    // One that is beyond the limit may answer all the same.
    lone.answer(&invite, 200, "four", BOB_2);
    lone.expect(&["answered"]);
    let ack = lone.sent_request(Method::Ack);
    assert_eq!(ack.headers().to_tag(), Some("four"));
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    lone.answer(&bye, 200, "", &[]);
    lone.nothing_left();
}

#[test]
fn a_2xx_after_the_call_was_given_up_and_ended_is_still_acknowledged() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 180, "one", BOB_1);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.answer(&cancel, 200, "p", &[]);
    lone.answer(&invite, 200, "one", BOB_1);
    lone.expect(&["ringing 0", "ended: cancelled"]);
    let sent = lone.sent();
    request_to(&sent[0], Method::Ack, "192.0.2.21:5060");
    let bye = request_to(&sent[1], Method::Bye, "192.0.2.21:5060");
    lone.answer(&invite, 200, "two", BOB_2);
    let sent = lone.sent();
    request_to(&sent[0], Method::Ack, "192.0.2.22:5060");
    let other = request_to(&sent[1], Method::Bye, "192.0.2.22:5060");
    lone.answer(&bye, 200, "", &[]);
    lone.answer(&other, 481, "", &[]);
    lone.expect(&[]);
    lone.nothing_left();
}

#[test]
fn the_ack_goes_by_the_route_of_the_2xx() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    let routed = [
        ("Contact", "<sip:bob@192.0.2.21>"),
        ("Record-Route", "<sip:192.0.2.31;lr>, <sip:192.0.2.30;lr>"),
    ];
    lone.answer(&invite, 180, "one", BOB_1);
    lone.answer(&invite, 200, "one", &routed);
    let ack = request_to(&lone.sent()[0], Method::Ack, "192.0.2.30:5060");
    assert_eq!(ack.uri().unwrap().as_str(), "sip:bob@192.0.2.21");
    assert_eq!(ack.headers().raw_all(HeaderName::Route).count(), 1, "the reverse of Record-Route");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = request_to(&lone.sent()[0], Method::Bye, "192.0.2.30:5060");
    lone.answer(&bye, 200, "", &[]);
    lone.nothing_left();
}

/// RFC 3263 holds within a dialog as well: its route set may name a domain with several servers.
#[test]
fn requests_within_a_call_go_to_a_server_of_its_route() {
    let mut lone = Lone::new();
    lone.zone = Zone::default()
        .srv("_sip._udp.edge.example.com", Srv::new(1, 0, 5061, "edge1.example.com"))
        .srv("_sip._udp.edge.example.com", Srv::new(2, 0, 5062, "edge2.example.com"))
        .host("edge1.example.com", [192, 0, 2, 41].into())
        .host("edge2.example.com", [192, 0, 2, 42].into());
    let (call, invite) = call(&mut lone);
    let routed =
        [("Contact", "<sip:bob@192.0.2.21>"), ("Record-Route", "<sip:edge.example.com;lr>")];
    lone.answer(&invite, 200, "one", &routed);
    request_to(&lone.sent()[0], Method::Ack, "192.0.2.41:5061");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let first = request_to(&lone.sent()[0], Method::Bye, "192.0.2.41:5061");
    // It stays silent.
    lone.run(secs(32));
    let sent = lone.sent();
    let second = request_to(sent.last().unwrap(), Method::Bye, "192.0.2.42:5062");
    assert_ne!(first.headers().branch(), second.headers().branch());
    assert_eq!(first.headers().cseq().unwrap().number, second.headers().cseq().unwrap().number);
    lone.answer(&second, 200, "one", &[]);
    lone.take();
    lone.nothing_left();
}

#[test]
fn a_callee_may_ask_within_its_early_dialog() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 183, "one", BOB_1);
    let call_id = invite.headers().call_id().unwrap();
    let tag = invite.headers().from_tag().unwrap();
    let message = |method: &str, n: u32, from: &str| {
        format!(
            "{method} sip:alice@192.0.2.1 SIP/2.0
            Via: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bK{method}{n}
            Max-Forwards: 70
            From: <sip:bob@192.0.2.2>;tag={from}
            To: <sip:alice@192.0.2.1>;tag={tag}
            Call-ID: {call_id}
            Contact: <sip:bob@192.0.2.21>
            CSeq: {n} {method}"
        )
    };
    lone.receive_text(&message("INFO", 1, "one"), "");
    lone.expect(&["progress 0", "request INFO in call"]);
    lone.receive_text(&message("INFO", 3, "two"), "");
    lone.sent_response(481);
    // RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent
    // on that dialog is in progress MUST return a 491 (Request Pending)"
    lone.receive_text(&message("INVITE", 2, "one"), "");
    lone.sent_response(491);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.answer(&invite, 487, "one", &[]);
    lone.expect(&["ended: cancelled"]);
    lone.run(secs(33));
    lone.sent();
    lone.nothing_left();
}
