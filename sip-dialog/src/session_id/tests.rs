use super::*;
use crate::test_support::{answer, from_bob, invite};
use crate::{Dialog, DialogSnapshot};
use sip_message::{HeaderName, Method, Transport};
use std::format;
use std::string::{String, ToString as _};

const A: u128 = 0xab30317f_1a784dc4_8ff824d0_d3715d86;
const B: u128 = 0x47755a9d_e7794ba3_87653f20_99600ef2;
const C: u128 = 0xccd6fdcc_cccc4ccc_8ccccccc_cccccccc;

fn said(local: u128, remote: u128) -> String {
    format!("Session-ID: {}", SessionId::new(local, remote))
}

fn pair(id: &SessionIdentifier) -> String {
    id.to_header().to_string()
}

/// What Alice has after an answer with this header field to her INVITE.
fn after(line: &str) -> SessionIdentifier {
    let mut alice = SessionIdentifier::new(A);
    alice.hear_response(answer("200 OK", "b1", line).headers());
    alice
}

// RFC 7989 §6: "If an endpoint receives a SIP response with a non-nil "local-uuid"
// that is not 32 octets long, this response comes from a misbehaving
// implementation, and its Session-ID header field MUST be discarded."
// RFC 7989 §6: "That is, the
// endpoint MUST NOT change the internally maintained "remote-uuid"
// value for the peer."
#[test]
fn what_cannot_be_read_or_is_nil_says_nothing() {
    let nil = "0".repeat(32);
    for line in [
        "",
        "Session-ID: 47755a9d;remote=ab30317f1a784dc48ff824d0d3715d86",
        "Session-ID: 47755a9de7794ba387653f2099600ef2ff;remote=ab30317f1a784dc48ff824d0d3715d86",
        "Session-ID: 47755A9DE7794BA387653F2099600EF2;remote=ab30317f1a784dc48ff824d0d3715d86",
        "Session-ID: ;remote=ab30317f1a784dc48ff824d0d3715d86",
        &format!("Session-ID: {nil};remote={A:032x}"),
    ] {
        assert_eq!(after(line), SessionIdentifier::new(A), "{line}");
        let mut known = after(&said(B, A));
        known.hear_response(answer("200 OK", "b1", line).headers());
        known.hear_request(from_bob("INFO", 2, line).headers());
        assert_eq!(known.remote(), Some(B), "{line}");
        let asked = SessionIdentifier::asked(B, invite(line).headers());
        assert_eq!(asked, SessionIdentifier::new(B), "{line}");
    }
}

// RFC 7989 §6: "Endpoints MUST include this received UUID value as the "remote"
// parameter when transmitting subsequent messages, making sure not to
// change this UUID value in the process of moving the value internally
// from the "local-uuid" field to the "remote-uuid" field."
#[test]
fn the_last_word_of_the_peer_counts() {
    let mut alice = after(&said(B, A));
    assert_eq!(pair(&alice), format!("{A:032x};remote={B:032x}"));
    // What the peer takes us for does not matter.
    alice.hear_response(answer("200 OK", "b1", &said(C, B)).headers());
    assert_eq!(alice.remote(), Some(C));
    let change = from_bob("INVITE", 2, &said(B, A));
    assert_eq!(alice.answer(change.headers()).to_string(), said(A, B).split_off(12));
    assert_eq!(alice.remote(), Some(C), "it is not accepted yet");
    alice.hear_request(change.headers());
    assert_eq!(alice.remote(), Some(B));
    assert_eq!(alice.named(C).to_header().to_string(), said(C, B).split_off(12));
}

#[test]
fn a_peer_from_before_the_rfc_has_one_uuid_for_both() {
    let line = format!("Session-ID: {A:032x}");
    // It asks.
    let mut bob = SessionIdentifier::asked(B, invite(&line).headers());
    assert_eq!(pair(&bob), format!("{A:032x}"));
    assert_eq!(bob.remote(), None);
    bob.hear_request(from_bob("INFO", 2, &line).headers());
    assert_eq!(bob.answer(from_bob("INFO", 3, &line).headers()).to_string(), format!("{A:032x}"));
    assert_eq!(bob.named(C), bob);
    // It answers.
    let alice = after(&line);
    assert_eq!(pair(&alice), format!("{A:032x}"));
    // It gives back what it got.
    let mut alice = after(&said(A, SessionId::NIL));
    alice.hear_request(from_bob("INFO", 2, &said(A, SessionId::NIL)).headers());
    assert_eq!(pair(&alice), said(A, SessionId::NIL).split_off(12));
    let answer = alice.answer(from_bob("INFO", 3, &said(A, SessionId::NIL)).headers());
    assert_eq!(answer.to_string(), said(A, SessionId::NIL).split_off(12));
}

#[test]
fn a_dialog_says_it_in_all_its_requests_and_after_a_restart() {
    let sent = invite(&said(A, SessionId::NIL));
    let contact = "Contact: <sip:bob@192.0.2.4>";
    let ringing = answer("180 Ringing", "b1", &format!("{}\n{contact}", said(B, A)));
    let mut dialog = Dialog::uac(&sent, &ringing, Transport::Udp).unwrap();
    let mut other = Dialog::uac(
        &sent,
        &answer("180 Ringing", "b2", &format!("{}\n{contact}", said(C, A))),
        Transport::Udp,
    )
    .unwrap();
    let line = |request: sip_message::Request| {
        String::from_utf8(request.headers().raw(HeaderName::SessionId).unwrap().to_vec()).unwrap()
    };
    let bye = |dialog: &mut Dialog| line(dialog.request(Method::Bye).unwrap().build().unwrap());
    assert_eq!(bye(&mut dialog), said(A, B).split_off(12));
    assert_eq!(bye(&mut other), said(A, C).split_off(12), "each fork has its own");
    assert_eq!(line(dialog.ack_to(&sent).build().unwrap()), said(A, B).split_off(12));
    let ok = answer("200 OK", "b1", contact);
    dialog.confirm(&ok).unwrap();
    dialog.heard(&ok);
    let snapshot = dialog.snapshot().unwrap();
    let mut again = Dialog::restored(&snapshot).unwrap();
    assert_eq!(again.session_id(), dialog.session_id());
    assert_eq!(bye(&mut again), said(A, B).split_off(12));
    let broken = DialogSnapshot { session_id: Some("x".into()), ..snapshot };
    assert_eq!(Dialog::restored(&broken).unwrap().session_id(), None);
    // The peer is another now.
    again.accepted(&from_bob("INVITE", 20, &format!("{}\n{contact}", said(C, A))));
    assert_eq!(bye(&mut again), said(A, C).split_off(12));
}
