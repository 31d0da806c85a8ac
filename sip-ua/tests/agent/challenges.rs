//! 401 and 407, for every kind of request (RFC 3261 §22).

use std::sync::Arc;
use std::time::Duration;

use sip_message::{HeaderName, Method, Request};
use sip_ua::{Account, Authority, CallKey, Credentials, NonceKey, ServerAuthentication};

use crate::harness::*;
use crate::incoming::{established, in_dialog};

const CONTACT: (&str, &str) = ("Contact", "<sip:bob@192.0.2.2>");

fn account() -> Arc<Account> {
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

fn guard() -> ServerAuthentication {
    let authority = Authority::server("callee", NonceKey::new(&[7; 32]).unwrap()).unwrap();
    ServerAuthentication::new(authority, vec![Credentials::new("alice", "secret")])
}

const YEAR_2025: Duration = Duration::from_secs(1_735_689_600);

fn guarded(guard: ServerAuthentication) -> Pair {
    let mut pair = Pair::new();
    pair.tell(BOB, |agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard)));
    pair
}

// RFC 3261 §22.2: "When a UAS receives a request from a UAC, the UAS MAY authenticate
// the originator before the request is processed."
#[test]
fn a_caller_is_known_before_the_callee_is_disturbed() {
    for within in [false, true] {
        let mut pair = guarded(if within { guard().within_dialogs() } else { guard() });
        let call =
            pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &account(), to_bob())).unwrap();
        pair.run(ms(15));
        pair.expect(BOB, &[]);
        pair.run(ms(50));
        pair.expect(BOB, &["invitation"]);
        let of_bob = *pair.calls[BOB].last().unwrap();
        pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, of_bob, Some(&sdp()), &[])).unwrap();
        pair.run(ms(50));
        let flow = pair.flow();
        assert_eq!(flow[..4], ["alice: INVITE", "bob: 401 INVITE", "alice: ACK", "alice: INVITE"]);
        // The BYE carries credentials that count on.
        pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        pair.run(ms(50));
        assert_eq!(pair.flow(), ["alice: BYE", "bob: 200 BYE"], "within dialogs: {within}");
        pair.expect(ALICE, &["answered", "ended: we hung up"]);
        pair.nothing_left();
    }
}

/// The called side ends the call: its BYE comes to the caller, who asks nobody.
#[test]
fn what_comes_within_a_dialog_is_challenged_if_so_told() {
    for (within, flow) in
        [(false, &["bob: BYE", "alice: 200 BYE"][..]), (true, &["bob: BYE", "alice: 401 BYE"][..])]
    {
        let mut pair = Pair::new();
        let guard = if within { guard().within_dialogs() } else { guard() };
        pair.tell(ALICE, |agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard)));
        let (_, of_bob) = pair.established();
        pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, of_bob)).unwrap();
        pair.run(ms(50));
        assert_eq!(pair.flow(), flow);
    }
}

fn asked(n: u32, method: &str, more: &str) -> String {
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{n}
        Max-Forwards: 70
        From: <sip:bob@192.0.2.2>;tag=b
        To: <sip:alice@192.0.2.1>
        Call-ID: {method}
        CSeq: {n} {method}
        Contact: <sip:bob@192.0.2.2>{}{more}",
        if more.is_empty() { "" } else { "\n" }
    )
}

// RFC 3261 §22.1: "Servers MUST NOT attempt to challenge an ACK."
// RFC 3261 §22.1: "servers MUST NOT attempt to challenge CANCEL requests since these requests cannot
// be resubmitted."
#[test]
fn every_method_is_challenged_but_ack_and_cancel() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard())));
    for method in ["INVITE", "OPTIONS", "MESSAGE", "INFO", "BYE"] {
        lone.receive_text(&asked(1, method, ""), "");
        let refusal = lone.sent_response(401);
        let challenges: Vec<_> = refusal.headers().raw_all(HeaderName::WwwAuthenticate).collect();
        assert_eq!(challenges.len(), 2, "{method}");
        assert!(challenges[0].starts_with(b"Digest realm=\"callee\", nonce=\""), "{method}");
        assert!(refusal.headers().to_tag().is_some());
    }
    lone.receive_text(&asked(1, "ACK", ""), "");
    // It finds no transaction: nothing was asked.
    lone.receive_text(&asked(2, "CANCEL", ""), "");
    lone.sent_response(481);
    lone.expect(&[]);
    // Without a guard everybody is served again.
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, None));
    lone.receive_text(&asked(2, "OPTIONS", ""), "");
    lone.sent_response(200);
    lone.run(secs(70));
    lone.nothing_left();
}

/// Answers the challenge of `refusal` in a MESSAGE, by the client's side of the same stack.
fn answered(refusal: &sip_message::Response, n: u32, user: &str, password: &str) -> String {
    let credentials = [Credentials::new(user, password)];
    let mut client = sip_auth::Authenticator::default();
    client.challenged(refusal, &credentials).unwrap();
    let uri = "sip:alice@192.0.2.1".parse().unwrap();
    let mut request = Request::builder(Method::Message, &uri)
        .raw(HeaderName::From, b"<sip:bob@192.0.2.2>;tag=b")
        .raw(HeaderName::To, b"<sip:alice@192.0.2.1>")
        .raw(HeaderName::CallId, b"MESSAGE")
        .raw(HeaderName::CSeq, b"1 MESSAGE")
        .build()
        .unwrap();
    client.authorize(&mut request, &credentials, || 7);
    let value = request.headers().raw(HeaderName::Authorization).unwrap();
    asked(n, "MESSAGE", &format!("Authorization: {}", std::str::from_utf8(value).unwrap()))
}

#[test]
fn replays_strangers_and_old_nonces() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard())));
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    let is_stale = |response: &sip_message::Response| {
        response.get::<sip_message::WwwAuthenticate>().unwrap().unwrap().stale()
    };
    assert!(!is_stale(&refusal));
    for (n, user, password) in [(2, "alice", "guess"), (3, "mallory", "secret")] {
        lone.receive_text(&answered(&refusal, n, user, password), "");
        assert!(!is_stale(&lone.sent_response(401)), "{user} {password}");
        lone.expect(&[]);
    }
    lone.receive_text(&answered(&refusal, 4, "alice", "secret"), "");
    lone.expect(&["request MESSAGE"]);
    // The same credentials once more, in a new transaction: the application hears nothing.
    lone.receive_text(&answered(&refusal, 5, "alice", "secret"), "");
    assert!(is_stale(&lone.sent_response(401)));
    lone.run(secs(301));
    lone.sent();
    lone.receive_text(&answered(&refusal, 6, "alice", "secret"), "");
    assert!(is_stale(&lone.sent_response(401)));
    lone.expect(&[]);
}

/// A gateway that answers challenges for those behind it does not count CSeq up: it would have to do so in all that
/// follows. It is not taken for a fork.
#[test]
fn a_cseq_that_stands_still_is_borne_with() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard())));
    let first = asked(1, "MESSAGE", "");
    lone.receive_text(&first, "");
    let refusal = lone.sent_response(401);
    let again = answered(&refusal, 1, "alice", "secret");
    lone.receive_text(&again.replace("branch=z9hG4bK1", "branch=z9hG4bKagain"), "");
    lone.expect(&["request MESSAGE"]);
}

/// RFC 3261 §8.2.2.2: what a fork sends here a second time is refused by 482, not challenged for the
/// credentials that the first one used.
#[test]
fn a_merged_request_is_no_replay() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard())));
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    let first = answered(&refusal, 2, "alice", "secret");
    lone.receive_text(&first, "");
    lone.expect(&["request MESSAGE"]);
    lone.receive_text(&first.replace("branch=z9hG4bK2", "branch=z9hG4bKother"), "");
    lone.sent_response(482);
}
