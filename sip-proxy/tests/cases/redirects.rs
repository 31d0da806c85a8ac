//! 3xx: told to the caller, or gone on with (RFC 3261 §16.5, §16.7 item 4).

use sip_message::{Contact, Header, HeaderName, Method};
use sip_proxy::{ProxyOptions, Route};

use crate::stage::{BOB, Stage, config, phone, raw, request};

fn recursing(phones: u8) -> Stage {
    Stage::with(config().recurse(true), move |_| {
        Route::parallel((0..phones).map(|index| phone(11 + index)))
    })
}

fn moved(stage: &mut Stage, from: u8, status: u16, contacts: &str) -> Vec<String> {
    stage.answer_to(from, &Method::Invite, status, &format!("Contact: {contacts}\r\n"))
}

#[test]
fn a_redirection_goes_to_the_caller_by_default() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    assert_eq!(moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>"), ["ACK > 11", "302 > 10"]);
    let response = stage.response(10, 302);
    assert_eq!(raw(response.headers(), HeaderName::Contact), ["<sip:bob@192.0.2.20>"]);
    stage.finish();
}

#[test]
fn the_contacts_of_redirections_are_gathered() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>");
    moved(&mut stage, 12, 301, "<sip:bob@192.0.2.20>, <sip:bob@192.0.2.21>");
    let contacts = raw(stage.response(10, 302).headers(), HeaderName::Contact).join("; ");
    assert!(contacts.contains("192.0.2.20") && contacts.contains("192.0.2.21"), "{contacts}");
    stage.finish();
}

#[test]
fn a_redirection_is_gone_on_with_by_q() {
    let mut stage = recursing(1);
    stage.invite("");
    let contacts =
        "<sip:bob@192.0.2.20>;q=0.3, <sip:bob@192.0.2.21>;q=0.7, <sip:c@192.0.2.22>;q=0.7";
    let out = moved(&mut stage, 11, 302, contacts);
    assert_eq!(out, ["ACK > 11", "INVITE > 21", "INVITE > 22"]);
    assert_eq!(stage.answer(21, 486), ["ACK > 21"]);
    assert_eq!(stage.answer(22, 404), ["ACK > 22", "INVITE > 20"]);
    assert_eq!(stage.answer(20, 200), ["200 > 10"]);
    stage.finish();
}

/// The others ring on meanwhile, and within the breadth of the one that is gone.
#[test]
fn a_redirection_within_a_fork_is_gone_on_with_at_once() {
    let mut stage = recursing(2);
    stage.invite("Max-Breadth: 2\r\n");
    stage.answer(12, 180);
    let out = moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>, <sip:bob@192.0.2.21>");
    assert_eq!(out, ["ACK > 11", "INVITE > 20"], "one place is free");
    let breadth = raw(stage.request(20, &Method::Invite).headers(), HeaderName::MaxBreadth);
    assert_eq!(breadth, ["1"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    assert_eq!(stage.answer(20, 100), ["CANCEL > 20"]);
    stage.answer_to(20, &Method::Cancel, 200, "");
    stage.answer(20, 487);
    stage.finish();
}

#[test]
fn a_redirection_to_where_it_was_already_is_not_followed() {
    let mut stage = recursing(1);
    stage.invite("");
    assert_eq!(
        moved(&mut stage, 11, 302, "<sip:bob@192.0.2.11:5060>, <SIP:bob@192.0.2.11>"),
        ["ACK > 11", "INVITE > 11"]
    );
    assert_eq!(moved(&mut stage, 11, 302, "<sip:bob@192.0.2.11>")[1], "302 > 10");
    stage.finish();
}

#[test]
fn redirections_without_end_are_cut_off() {
    let mut stage = Stage::with(config().recurse(true).max_redirects(3), |_| Route::to(phone(11)));
    stage.invite("");
    for (from, to) in [(11, 12), (12, 13), (13, 14)] {
        let out = moved(&mut stage, from, 302, &format!("<sip:bob@192.0.2.{to}>"));
        assert_eq!(out[1], format!("INVITE > {to}"));
    }
    let out = moved(&mut stage, 14, 302, "<sip:bob@192.0.2.15>");
    assert_eq!(out, ["ACK > 14", "302 > 10"]);
    stage.finish();
}

/// What it does not go to is left for the caller, and what it went to is taken out.
#[test]
fn a_contact_that_is_no_sip_uri_stays_in_the_response() {
    let mut stage = recursing(1);
    stage.invite("");
    let contacts = "<sip:bob@192.0.2.20>, <mailto:bob@example.com>";
    assert_eq!(moved(&mut stage, 11, 302, contacts), ["ACK > 11", "INVITE > 20"]);
    assert_eq!(stage.answer(20, 486), ["ACK > 20", "302 > 10"]);
    let response = stage.response(10, 302);
    assert_eq!(raw(response.headers(), HeaderName::Contact), ["<mailto:bob@example.com>"]);
    stage.finish();
}

#[test]
fn a_request_of_another_domain_is_never_gone_on_with() {
    let mut stage = recursing(1);
    stage.recv(10, request(&Method::Invite, "sip:bob@192.0.2.11", ""));
    assert_eq!(moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>"), ["ACK > 11", "302 > 10"]);
    stage.finish();
}

#[test]
fn the_router_says_for_one_request_whether_redirections_are_gone_on_with() {
    let options = ProxyOptions::default().recurse(true);
    let mut stage = Stage::new(move |_| Route::to(phone(11)).with_options(options));
    stage.invite("");
    assert_eq!(moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>"), ["ACK > 11", "INVITE > 20"]);
    assert_eq!(stage.answer(20, 603), ["ACK > 20", "603 > 10"]);
    stage.finish();
}

#[test]
fn after_a_cancel_a_redirection_is_not_followed() {
    let mut stage = recursing(1);
    stage.invite("");
    stage.answer(11, 180);
    assert_eq!(stage.cancel(), ["200 CANCEL > 10", "CANCEL > 11"]);
    assert_eq!(moved(&mut stage, 11, 302, "<sip:bob@192.0.2.20>"), ["ACK > 11", "302 > 10"]);
    stage.answer_to(11, &Method::Cancel, 200, "");
    stage.finish();
}

/// The router itself redirects (§8.3).
#[test]
fn the_router_redirects() {
    let contacts = ["<sip:bob@192.0.2.20>;q=0.5", "<sip:bob@192.0.2.21>"];
    let mut stage = Stage::new(move |_| {
        let contact = |text: &str| -> Contact<'static> {
            Contact::parse(text.as_bytes()).unwrap().to_static()
        };
        Route::Redirect(contacts.into_iter().map(contact).collect())
    });
    assert_eq!(stage.invite(""), ["302 > 10"]);
    assert_eq!(raw(stage.response(10, 302).headers(), HeaderName::Contact), contacts);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}
