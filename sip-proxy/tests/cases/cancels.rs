//! CANCEL, ACK and repeats in every order.

use std::time::Duration;

use sip_message::{HeaderName, Method};

use crate::stage::{BOB, Stage, raw, reply, request};

#[test]
fn a_cancel_before_any_response_waits_for_one() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    assert_eq!(stage.cancel(), ["200 CANCEL > 10"]);
    assert_eq!(stage.answer(11, 100), ["CANCEL > 11"]);
    stage.answer_to(11, &Method::Cancel, 200, "");
    assert_eq!(stage.answer(11, 487), ["ACK > 11", "487 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn a_cancel_between_1xx_and_2xx_goes_on() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    stage.answer(11, 180);
    stage.answer(12, 180);
    assert_eq!(stage.cancel(), ["200 CANCEL > 10", "CANCEL > 11", "CANCEL > 12"]);
    for phone in [11, 12] {
        stage.answer_to(phone, &Method::Cancel, 200, "");
    }
    assert_eq!(stage.answer(11, 487), ["ACK > 11"]);
    assert_eq!(stage.answer(12, 487), ["ACK > 12", "487 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn a_2xx_after_the_cancel_is_the_answer() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 180);
    stage.cancel();
    assert_eq!(stage.answer(11, 200), ["200 > 10"]);
    assert_eq!(stage.answer_to(11, &Method::Cancel, 200, ""), [""; 0]);
    stage.finish();
}

#[test]
fn a_cancel_after_the_2xx_changes_nothing() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 200);
    assert_eq!(stage.cancel(), ["200 CANCEL > 10"]);
    stage.finish();
}

#[test]
fn a_cancelled_branch_that_says_nothing_ends() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 180);
    stage.cancel();
    stage.answer_to(11, &Method::Cancel, 200, "");
    let out = stage.wait(Duration::from_secs(40));
    assert!(out.last().unwrap().ends_with(" > 10"), "{out:?}");
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn after_a_cancel_no_further_target_is_tried() {
    let mut stage = Stage::new(|_| sip_proxy::Route::serial([11, 12].map(crate::stage::phone)));
    stage.invite("");
    stage.answer(11, 180);
    stage.cancel();
    stage.answer_to(11, &Method::Cancel, 200, "");
    assert_eq!(stage.answer(11, 487), ["ACK > 11", "487 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn a_cancel_while_the_router_thinks_ends_the_request() {
    let mut stage = Stage::new(|_| sip_proxy::Route::Later);
    stage.invite("");
    assert_eq!(stage.cancel(), ["200 CANCEL > 10", "487 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn a_repeated_invite_is_answered_by_the_last_response_alone() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    assert_eq!(stage.invite(""), ["100 > 10"]);
    stage.answer(11, 180);
    assert_eq!(stage.invite(""), ["180 > 10"]);
    stage.answer(11, 486);
    assert_eq!(stage.invite(""), ["486 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    assert!(stage.invite("").is_empty());
    stage.finish();
}

#[test]
fn a_repeated_cancel_is_answered_again_and_goes_no_further() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 180);
    stage.cancel();
    assert_eq!(stage.cancel(), ["200 CANCEL > 10"]);
    stage.answer_to(11, &Method::Cancel, 200, "");
    stage.answer(11, 487);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn repeated_requests_other_than_invite_are_absorbed() {
    let mut stage = Stage::parallel(1);
    let message = request(&Method::Message, BOB, "");
    stage.recv(10, &message);
    assert!(stage.recv(10, &message).is_empty());
    stage.answer_to(11, &Method::Message, 200, "");
    assert_eq!(stage.recv(10, &message), ["200 MESSAGE > 10"]);
    stage.finish();
}

/// The refusal is sent until its ACK comes, and then no more.
#[test]
fn a_lost_ack_has_the_refusal_sent_again() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 486);
    assert_eq!(stage.wait(Duration::from_millis(1_600)), ["486 > 10", "486 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    assert!(stage.wait(Duration::from_secs(40)).is_empty());
    stage.finish();
}

#[test]
fn the_ack_to_a_2xx_goes_by_its_route() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 200);
    let ack = request(&Method::Ack, "sip:bob@192.0.2.11", "Route: <sip:192.0.2.1:5060;lr>\r\n");
    let ack = ack.replace("z9hG4bKalice", "z9hG4bKack");
    assert_eq!(stage.recv(10, &ack), ["ACK > 11"]);
    assert!(raw(stage.request(11, &Method::Ack).headers(), HeaderName::Route).is_empty());
    // The 2xx was lost on the way and came again, and so does its ACK.
    assert_eq!(stage.recv(10, &ack), ["ACK > 11"]);
    stage.finish();
}

#[test]
fn an_ack_to_nothing_for_a_name_of_ours_goes_nowhere() {
    let mut stage = Stage::parallel(1);
    assert!(stage.recv(10, request(&Method::Ack, BOB, "")).is_empty());
    stage.finish();
}

/// RFC 6026 §7.3: a response is matched, or not forwarded.
#[test]
fn a_response_to_what_was_never_sent_goes_nowhere() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    let text = reply(&stage.request(11, &Method::Invite), 200, "2", "");
    let branch = stage.request(11, &Method::Invite).headers().branch().unwrap().to_owned();
    let mut other = branch.clone();
    other.pop();
    other.push(if branch.ends_with('a') { 'b' } else { 'a' });
    for (of, by) in [
        (branch.as_str(), other.as_str()),
        (branch.as_str(), "z9hG4bKreflected"),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE"),
    ] {
        let altered = text.replace(of, by);
        assert_ne!(altered, text);
        assert!(stage.recv(66, altered).is_empty(), "{by}");
    }
    stage.answer(11, 404);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

/// Our request comes back as a response would: with our Via on top and none below.
#[test]
fn a_response_without_another_via_goes_nowhere() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    let text = reply(&stage.request(11, &Method::Invite), 200, "2", "");
    let line = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKalice\r\n";
    let short: String = text.split_inclusive("\r\n").filter(|it| *it != line).collect();
    assert_ne!(short, text);
    assert!(stage.recv(11, short).is_empty());
    stage.answer(11, 404);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}
