//! 401 and 407, for every kind of request (RFC 3261 §22).

use std::sync::Arc;

use sip_message::{HeaderName, Method, Request};
use sip_ua::{Account, CallKey, Credentials};

use crate::harness::*;
use crate::incoming::{established, in_dialog};

const CONTACT: (&str, &str) = ("Contact", "<sip:bob@192.0.2.2>");

pub fn account() -> Arc<Account> {
    let account = Account::new("sip:alice@192.0.2.1".parse().unwrap());
    Arc::new(account.credentials(Credentials::new("alice", "secret")))
}

fn challenge(realm: &str, nonce: &str) -> String {
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5")
}

fn credentials<'a>(request: &'a Request, name: &'a str) -> &'a str {
    header(request.headers(), name).unwrap_or_else(|| panic!("no {name} in {request:?}"))
}

fn call(lone: &mut Lone) -> (CallKey, Request) {
    let call = lone.tell(|agent, now, tx| agent.call(now, tx, &account(), to_bob())).unwrap();
    (call, lone.sent_request(Method::Invite))
}

/// The ACK to the refusal, and the request again.
#[track_caller]
fn again(lone: &mut Lone, method: Method) -> Request {
    let sent = lone.sent();
    let mut requests = sent.into_iter().filter_map(|(_, message)| match message {
        sip_message::Message::Request(request) if *request.method() != Method::Ack => Some(request),
        _ => None,
    });
    let request = requests.next().expect("it is sent again");
    assert_eq!(*request.method(), method);
    assert!(requests.next().is_none());
    request
}

// RFC 3261 §22.2: "When a UAC resubmits a request with its credentials after receiving a
// 401 (Unauthorized) or 407 (Proxy Authentication Required) response,
// it MUST increment the CSeq header field value as it would normally when sending an updated request."
#[test]
fn an_invite_is_challenged_by_a_proxy_and_by_the_callee() {
    let mut lone = Lone::new();
    let (call, first) = call(&mut lone);
    lone.answer(&first, 407, "p", &[("Proxy-Authenticate", &challenge("proxy", "n1"))]);
    let second = again(&mut lone, Method::Invite);
    assert_eq!(second.headers().cseq().unwrap().number, 2);
    assert_eq!(second.headers().call_id(), first.headers().call_id());
    assert_eq!(second.headers().from_tag(), first.headers().from_tag());
    assert_ne!(second.headers().branch(), first.headers().branch());
    assert!(credentials(&second, "Proxy-Authorization").contains("nonce=\"n1\""));

    lone.answer(&second, 401, "b", &[("WWW-Authenticate", &challenge("callee", "n2"))]);
    let third = again(&mut lone, Method::Invite);
    assert_eq!(third.headers().cseq().unwrap().number, 3);
    assert!(credentials(&third, "Proxy-Authorization").contains("nc=00000002"));
    assert!(credentials(&third, "Authorization").contains("realm=\"callee\""));

    lone.answer(&third, 200, "b", &[CONTACT]);
    lone.expect(&["answered"]);
    let ack = lone.sent_request(Method::Ack);
    assert_eq!(ack.headers().cseq().unwrap().number, 3);
    // RFC 3261 §13.2.2.4: "The ACK MUST contain the same credentials as the INVITE."
    for name in ["Authorization", "Proxy-Authorization"] {
        assert_eq!(credentials(&ack, name), credentials(&third, name));
    }

    // What was learned serves the BYE; a nonce that ran out is replaced.
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    assert!(credentials(&bye, "Proxy-Authorization").contains("nc=00000003"));
    let stale = format!("{}, stale=true", challenge("proxy", "n3"));
    lone.answer(&bye, 407, "", &[("Proxy-Authenticate", &stale)]);
    let bye = again(&mut lone, Method::Bye);
    assert_eq!(bye.headers().cseq().unwrap().number, 5);
    assert!(credentials(&bye, "Proxy-Authorization").contains("nonce=\"n3\""));
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}

#[test]
fn a_wrong_password_ends_the_call() {
    let mut lone = Lone::new();
    let (_, invite) = call(&mut lone);
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n1"))]);
    let invite = again(&mut lone, Method::Invite);
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n2"))]);
    lone.expect(&["ended: rejected with 401 Unauthorized"]);
    lone.sent_request(Method::Ack);
    lone.nothing_left();
}

#[test]
fn a_stale_nonce_is_replaced() {
    let mut lone = Lone::new();
    let (_, invite) = call(&mut lone);
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n1"))]);
    let invite = again(&mut lone, Method::Invite);
    let stale = format!("{}, stale=TRUE", challenge("r", "n2"));
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &stale)]);
    let invite = again(&mut lone, Method::Invite);
    assert!(credentials(&invite, "Authorization").contains("nonce=\"n2\""));
    lone.answer(&invite, 486, "b", &[]);
    lone.expect(&["ended: rejected with 486 Busy Here"]);
    lone.sent_request(Method::Ack);
    lone.nothing_left();
}

#[test]
fn a_peer_that_challenges_for_ever_is_given_up() {
    let mut lone = Lone::new();
    let (_, mut invite) = call(&mut lone);
    for n in 0.. {
        let realm = format!("realm {n}");
        lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge(&realm, "n"))]);
        if !lone.take().is_empty() {
            break;
        }
        assert!(n < 10, "still at it");
        invite = again(&mut lone, Method::Invite);
    }
    lone.sent();
    lone.nothing_left();
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n1"))]);
    lone.expect(&["ended: rejected with 401 Unauthorized"]);
    lone.nothing_left();
}

#[test]
fn a_cancelled_call_does_not_try_again() {
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n1"))]);
    lone.expect(&["ended: cancelled"]);
    lone.sent_request(Method::Ack);
    lone.nothing_left();
}

#[test]
fn a_message_is_challenged() {
    let mut lone = Lone::new();
    let to = "sip:bob@192.0.2.2".parse().unwrap();
    let body = sip_ua::Body::text("hello");
    lone.tell(|agent, now, tx| {
        agent.request(now, tx, &account(), Method::Message, &to, Some(&body), &[])
    })
    .unwrap();
    let message = lone.sent_request(Method::Message);
    lone.answer(&message, 407, "p", &[("Proxy-Authenticate", &challenge("p", "n1"))]);
    let message = again(&mut lone, Method::Message);
    assert_eq!(message.headers().cseq().unwrap().number, 2);
    assert_eq!(message.body(), b"hello");
    assert!(message.headers().contains(HeaderName::ProxyAuthorization));
    lone.answer(&message, 202, "b", &[]);
    lone.expect(&["response 202"]);
    lone.nothing_left();
}

#[test]
fn requests_within_a_call_are_challenged() {
    let mut lone = Lone::new();
    lone.tell(|agent, _, _| agent.set_account(Some(account())));
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();

    lone.tell(|agent, now, tx| agent.send(now, tx, call, Method::Info, None, &[])).unwrap();
    let info = lone.sent_request(Method::Info);
    lone.answer(&info, 407, "", &[("Proxy-Authenticate", &challenge("p", "n1"))]);
    let info = again(&mut lone, Method::Info);
    assert_eq!(info.headers().cseq().unwrap().number, 2);
    lone.answer(&info, 200, "", &[]);
    lone.expect(&["response 200"]);

    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let invite = lone.sent_request(Method::Invite);
    assert!(credentials(&invite, "Proxy-Authorization").contains("nc=00000002"));
    let stale = format!("{}, stale=true", challenge("p", "n2"));
    lone.answer(&invite, 407, "", &[("Proxy-Authenticate", &stale)]);
    let invite = again(&mut lone, Method::Invite);
    assert_eq!(invite.headers().cseq().unwrap().number, 4);
    assert_eq!(invite.body(), OFFER);
    lone.answer(&invite, 200, "", &[CONTACT]);
    let ack = lone.sent_request(Method::Ack);
    assert_eq!(ack.headers().cseq().unwrap().number, 4);
    lone.expect(&["reinvite answered"]);

    lone.receive_text(&in_dialog("BYE", 2, &tag, ""), "");
    lone.sent_response(200);
    lone.expect(&["ended: the peer hung up"]);
    lone.nothing_left();
}

/// A 2xx may hold the nonce for the next request: nobody is challenged any more.
#[test]
fn the_next_nonce_serves_what_follows_in_the_call() {
    let next = |n: u32| ("Authentication-Info", format!("nextnonce=\"n{n}\""));
    let uses = |request: &Request, nonce: &str, nc: &str| {
        let shown = credentials(request, "Authorization");
        assert!(shown.contains(&format!("nonce=\"{nonce}\"")), "{shown}");
        assert!(shown.contains(&format!("nc={nc}")), "{shown}");
    };
    let mut lone = Lone::new();
    let (call, invite) = call(&mut lone);
    lone.answer(&invite, 401, "b", &[("WWW-Authenticate", &challenge("r", "n1"))]);
    let invite = again(&mut lone, Method::Invite);
    let (name, value) = next(2);
    lone.answer(&invite, 200, "b", &[CONTACT, (name, &value)]);
    lone.expect(&["answered"]);
    uses(&lone.sent_request(Method::Ack), "n1", "00000001");

    lone.tell(|agent, now, tx| agent.send(now, tx, call, Method::Info, None, &[])).unwrap();
    let info = lone.sent_request(Method::Info);
    uses(&info, "n2", "00000001");
    // The 2xx to the INVITE once more: what it gives has been taken.
    lone.answer(&invite, 200, "b", &[CONTACT, (name, &value)]);
    lone.sent_request(Method::Ack);
    let (name, value) = next(3);
    lone.answer(&info, 200, "", &[(name, &value)]);
    lone.expect(&["response 200"]);

    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let invite = lone.sent_request(Method::Invite);
    uses(&invite, "n3", "00000001");
    // Without another the same goes on.
    lone.answer(&invite, 200, "", &[CONTACT]);
    lone.expect(&["reinvite answered"]);
    uses(&lone.sent_request(Method::Ack), "n3", "00000001");
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    uses(&bye, "n3", "00000002");
    lone.answer(&bye, 200, "", &[]);
    lone.expect(&["ended: we hung up"]);
    lone.nothing_left();
}
