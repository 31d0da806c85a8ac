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

/// RFC 5393 §4.2: what has no transaction is known again as well when it comes back.
#[test]
fn a_stateless_loop_is_found_at_the_second_pass() {
    for method in [Method::Invite, Method::Message, Method::Cancel, Method::Ack] {
        let mut stage = stateless();
        stage.recv(10, request(&Method::Options, BOB, ""));
        let first = request(&method, BOB, "Max-Forwards: 70\r\n");
        stage.recv(10, first.replace("alice;", "x;"));
        let mut looped = stage.request(11, &method);
        // As it was when it came to the proxy, with the Via of the proxy on top.
        looped.set_uri(&BOB.parse().unwrap());
        looped.headers_mut().remove(HeaderName::RecordRoute);
        let out = stage.recv(11, looped.to_bytes());
        let answer = match &method {
            Method::Ack => Vec::new(),
            Method::Cancel => vec!["481 CANCEL > 11".to_owned()],
            Method::Invite => vec!["482 > 11".to_owned()],
            _ => vec![format!("482 {method} > 11")],
        };
        assert_eq!(out, answer, "{method}");
    }
}

/// RFC 5393 §4.2.2: one that comes back for somebody else, as after a forwarding, goes on.
#[test]
fn a_stateless_spiral_is_no_loop() {
    let mut stage = stateless();
    stage.invite("");
    let mut spiral = stage.request(11, &Method::Invite);
    spiral.set_uri(&"sip:carol@example.com".parse().unwrap());
    assert_eq!(stage.recv(11, spiral.to_bytes()), ["INVITE > 11"]);
}

/// RFC 3261 §16.11: one target of all, each time the same, and each time the same bytes to it: Record-Route, Route
/// and branch among them.
#[test]
fn a_stateless_forwarding_has_one_target_and_changes_each_repeat_alike() {
    let options = ProxyOptions::default().stateless(true);
    let mut stage = Stage::new(move |_| {
        let via = |last: u8| format!("sip:192.0.2.{last};lr").parse().unwrap();
        let target = |last| sip_proxy::RouteTarget::new(phone(last)).via([via(40)]);
        Route::groups(vec![vec![target(11), target(12)], vec![target(13)]]).with_options(options)
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(stage.invite("Record-Route: <sip:192.0.2.60;lr>\r\n"), ["INVITE > 40"]);
        seen.push(stage.request(40, &Method::Invite));
    }
    let recorded = raw(seen[0].headers(), HeaderName::RecordRoute).join(", ");
    assert_eq!(recorded, "<sip:192.0.2.1:5060;lr>, <sip:192.0.2.60;lr>");
    assert_eq!(raw(seen[0].headers(), HeaderName::Route), ["<sip:192.0.2.40;lr>"]);
    assert_eq!(seen[0].uri_bytes(), phone(11).as_bytes());
    assert!(seen.iter().all(|again| again.to_bytes() == seen[0].to_bytes()));
}

/// RFC 5393 §5.3.3: one value, and no more than the proxy allows.
#[test]
fn what_has_no_transaction_has_a_breadth() {
    for (more, breadth) in [
        ("", "60"),
        ("Max-Breadth: 7\r\n", "7"),
        ("Max-Breadth: 500\r\n", "60"),
        ("Max-Breadth: 500\r\nMax-Breadth: 9\r\n", "60"),
    ] {
        let mut stage = stateless();
        stage.invite(more);
        let copy = stage.request(11, &Method::Invite);
        assert_eq!(raw(copy.headers(), HeaderName::MaxBreadth), [breadth], "{more}");
    }
}

/// RFC 3261 §16.3 holds without a transaction as well, and so does what a Route says.
#[test]
fn a_stateless_proxy_checks_and_routes_as_any_other() {
    let mut stage = stateless();
    assert_eq!(stage.invite("Max-Forwards: 0\r\n"), ["483 > 10"]);
    let mut stage = stateless();
    let out = stage.invite("Proxy-Require: unknown\r\n");
    assert_eq!(out, ["420 > 10"]);
    let mut stage = stateless();
    assert_eq!(stage.invite("Route: <sip:192.0.2.1;lr>\r\n"), ["INVITE > 11"]);
    assert!(!stage.request(11, &Method::Invite).headers().contains(HeaderName::Route));
    assert_eq!(stage.cancel(), ["CANCEL > 11"]);
}

/// RFC 3261 §16.11: whatever is in it but the Via of the proxy stays, and what is for another is dropped.
#[test]
fn a_stateless_response_is_passed_as_it_is_and_one_for_another_is_not() {
    let mut stage = stateless();
    stage.invite("");
    let more = "X-Odd: 1\r\nServer: bob\r\nX-Odd: 2\r\nContent-Type: text/plain\r\n";
    let text = reply(&stage.request(11, &Method::Invite), 200, "2", more)
        .replace("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nabc");
    let other = text.replacen("192.0.2.1:5060", "192.0.2.2:5060", 1);
    assert_ne!(other, text);
    assert!(stage.recv(11, other).is_empty());
    assert_eq!(stage.recv(11, &text), ["200 > 10"]);
    let passed = stage.response(10, 200).to_bytes();
    let passed = core::str::from_utf8(&passed).unwrap().to_owned();
    let own = text.lines().find(|line| line.contains("192.0.2.1:5060")).unwrap();
    assert_eq!(passed, text.replacen(&format!("{own}\r\n"), "", 1));
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
