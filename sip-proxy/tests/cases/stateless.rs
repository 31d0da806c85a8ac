//! Forwarding without a transaction (RFC 3261 §16.11).

use sip_message::{HeaderName, Method};
use sip_proxy::{ProxyOptions, Route};

use crate::stage::{BOB, Stage, phone, raw, reply, request};

fn stateless() -> Stage {
    let options = ProxyOptions::default().stateless(true);
    Stage::new(move |_| Route::to(phone(11)).with_options(options))
}

#[test]
fn a_stateless_forwarding_keeps_nothing_and_repeats_have_one_branch() {
    let mut stage = stateless();
    assert_eq!(stage.invite(""), ["INVITE > 11"], "no 100");
    let first = stage.request(11, &Method::Invite);
    assert_eq!(stage.endpoint.transactions().len(), 0);
    assert_eq!(stage.invite(""), ["INVITE > 11"]);
    let again = stage.request(11, &Method::Invite);
    assert_eq!(first.to_bytes(), again.to_bytes());
    assert_eq!(stage.cancel(), ["CANCEL > 11"]);
    assert_eq!(stage.recv(10, request(&Method::Ack, BOB, "")), ["ACK > 11"]);
    let branch = |method| stage.request(11, &method).headers().branch().unwrap().to_owned();
    assert_eq!(branch(Method::Invite), branch(Method::Cancel));
    assert_eq!(branch(Method::Invite), branch(Method::Ack));
    stage.finish();
}

#[test]
fn responses_go_back_without_a_transaction() {
    let mut stage = stateless();
    stage.invite("");
    for status in [100, 180, 200] {
        assert_eq!(stage.answer(11, status), [format!("{status} > 10")]);
    }
    let ok = stage.response(10, 200);
    assert_eq!(raw(ok.headers(), HeaderName::Via).len(), 1);
    stage.finish();
}

/// Nobody gets it to send what it never forwarded a request for.
#[test]
fn an_altered_response_is_not_passed_back() {
    let mut stage = stateless();
    stage.invite("");
    let text = reply(&stage.request(11, &Method::Invite), 200, "2", "");
    for (of, by) in [
        ("Call-ID: 1@", "Call-ID: 2@"),
        ("CSeq: 1 ", "CSeq: 2 "),
        ("branch=z9hG4bKalice", "branch=z9hG4bKmallory"),
        ("192.0.2.10:5060", "192.0.2.66:5060"),
    ] {
        let altered = text.replace(of, by);
        assert_ne!(altered, text);
        assert!(stage.recv(11, altered).is_empty(), "{by}");
    }
    assert_eq!(stage.recv(11, text), ["200 > 10"]);
    stage.finish();
}

/// Who has no branch that another could be made of gets a transaction.
#[test]
fn a_request_without_a_branch_is_forwarded_with_a_transaction() {
    let mut stage = stateless();
    let old = request(&Method::Invite, BOB, "").replace(";branch=z9hG4bKalice", "");
    assert_eq!(stage.recv(10, old), ["INVITE > 11", "100 > 10"]);
    assert_eq!(stage.answer(11, 404), ["ACK > 11", "404 > 10"]);
    stage.finish();
}

/// §16.10: one that matches nothing.
#[test]
fn a_cancel_that_nobody_remembers_is_passed_on() {
    let mut stage = Stage::parallel(1);
    stage.recv(10, request(&Method::Options, "sip:example.com", ""));
    let cancel = request(&Method::Cancel, "sip:bob@192.0.2.30", "").replace("alice;", "other;");
    let cancel = cancel.replace("z9hG4bKalice", "z9hG4bKother");
    assert_eq!(stage.recv(10, cancel), ["CANCEL > 30"]);
    assert_eq!(stage.answer_to(30, &Method::Cancel, 481, ""), ["481 CANCEL > 10"]);
}

/// Where one for a name of ours went only its context knew.
#[test]
fn a_cancel_of_nothing_for_a_name_of_ours_is_481() {
    let mut stage = Stage::parallel(1);
    stage.recv(10, request(&Method::Options, "sip:example.com", ""));
    let cancel = request(&Method::Cancel, BOB, "").replace("z9hG4bKalice", "z9hG4bKother");
    assert_eq!(stage.recv(10, cancel), ["481 CANCEL > 10"]);
}
