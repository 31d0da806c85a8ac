//! Session-ID (RFC 7989), where the peer is played by hand: forks, refusals, peers that say it badly or another way.

use sip_message::{Method, Request, Response, SessionId, StatusCode};
use sip_ua::{AgentConfig, CallKey, SessionIds};

use crate::harness::*;
use crate::incoming::{in_dialog, request};

const B: u128 = 0x47755a9d_e7794ba3_87653f20_99600ef2;
const C: u128 = 0xccd6fdcc_cccc4ccc_8ccccccc_cccccccc;

fn always() -> Lone {
    Lone::with(AgentConfig::default().session_ids(SessionIds::Always))
}

fn call(lone: &mut Lone) -> (CallKey, Request) {
    let call = to_bob().follow_redirects(3);
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    (key, lone.sent_request(Method::Invite))
}

fn said(headers: &sip_message::Headers) -> (u128, u128) {
    let id = headers.get::<SessionId<'_>>().unwrap().expect("it says it");
    (id.local(), id.remote().expect("both"))
}

fn of(request: &Request) -> (u128, u128) {
    said(request.headers())
}

fn line(local: u128, remote: u128) -> String {
    SessionId::new(local, remote).to_string()
}

// RFC 7989 §6: "Endpoints MUST
// ensure that the correct UUID value is returned in the "remote"
// parameter when interacting with each endpoint."
#[test]
fn each_callee_of_a_forked_call_is_told_its_own_uuid() {
    let mut lone = always();
    let (key, invite) = call(&mut lone);
    let (a, nil) = of(&invite);
    assert_eq!(nil, SessionId::NIL);
    // RFC 4122 §4.4: version 4, and the variant.
    assert_eq!((a >> 76 & 0xf, a >> 62 & 3), (4, 2));
    let contact = ("Contact", "<sip:bob@192.0.2.2>");
    for (tag, uuid) in [("b", B), ("c", C)] {
        let id = line(uuid, a);
        lone.answer(&invite, 180, tag, &[contact, ("Session-ID", &id)]);
    }
    lone.answer(&invite, 200, "b", &[contact]);
    assert_eq!(of(&lone.sent_request(Method::Ack)), (a, B));
    // The other one is hung up, who has said who it is by now.
    lone.answer(&invite, 200, "c", &[contact, ("Session-ID", &line(C, a))]);
    let sent: Vec<(u128, u128)> =
        lone.sent().iter().map(|(_, message)| said(message.headers())).collect();
    assert_eq!(sent, [(a, C), (a, C)]);
    let id = lone.tell(|agent, _, _| agent.session_id(key)).unwrap();
    assert_eq!((id.local(), id.remote()), (a, Some(B)));
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, key)).unwrap();
    assert_eq!(of(&lone.sent_request(Method::Bye)), (a, B));
}

// RFC 7989 §6: "the endpoint originating the request MUST NOT change that UUID value
// for the duration of the session, including when: … communication attempts are retried due to receipt of 4xx messages
// or request timeouts; … the session is redirected in response to a 3xx message;"
#[test]
fn the_uuid_outlives_refusals_and_redirections() {
    let mut lone = always();
    let (_, invite) = call(&mut lone);
    let (a, _) = of(&invite);
    let id = line(B, a);
    let min = [("Min-SE", "7200"), ("Session-ID", &*id)];
    lone.answer(&invite, 422, "b", &min);
    let sent = lone.sent();
    let pairs: Vec<(u128, u128)> = sent.iter().map(|(_, m)| said(m.headers())).collect();
    assert_eq!(pairs, [(a, B), (a, B)], "the ACK, and the INVITE to the same place");
    let sip_message::Message::Request(again) = &sent[1].1 else { panic!() };
    let to = ("Contact", "<sip:carol@192.0.2.9>");
    lone.answer(again, 302, "b", &[to, ("Session-ID", &id)]);
    let sent = lone.sent();
    let pairs: Vec<(u128, u128)> = sent.iter().map(|(_, m)| said(m.headers())).collect();
    // RFC 7989 §6: "it MUST NOT use the
    // current peer's UUID value when sending the first message to what it
    // believes may be a new peer endpoint"
    assert_eq!(pairs, [(a, B), (a, SessionId::NIL)]);
}

fn answered(lone: &mut Lone, id: &str) -> Response {
    lone.receive_text(&request("INVITE", 1, &format!("Session-ID: {id}")), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    lone.sent_response(200)
}

// RFC 7989 §8: "If the endpoint or intermediary sends a failure (4xx, 5xx, or 6xx)
// response, it MUST NOT accept the new UUID value"
#[test]
fn a_new_uuid_of_the_peer_counts_when_its_request_was_accepted() {
    let mut lone = Lone::new();
    let ok = answered(&mut lone, &line(B, 0));
    let (a, peer) = said(ok.headers());
    assert_eq!(peer, B);
    let tag = ok.headers().to_tag().unwrap().to_owned();
    let call = lone.last_invitation.unwrap();
    let say = |uuid: u128| format!("Session-ID: {}", line(uuid, a));
    lone.receive_text(&in_dialog("ACK", 1, &tag, &say(B)), "");
    for (cseq, status, uuid, after) in [(2, 488, C, B), (3, 200, C, C), (4, 200, B, B)] {
        let kind = "Content-Type: application/dtmf-relay";
        lone.receive_text(&in_dialog("INFO", cseq, &tag, &format!("{}\n{kind}", say(uuid))), "x");
        let key = lone.take().into_iter().find_map(|event| match event {
            sip_ua::AgentEvent::Request { key, .. } => Some(key),
            _ => None,
        });
        let status = StatusCode::new(status).unwrap();
        lone.tell(|agent, now, tx| agent.reply(now, tx, key.unwrap(), status, None, &[])).unwrap();
        // RFC 7989 §8: "Note that the
        // failure response itself will contain the new UUID value from the
        // request in the "remote" parameter."
        assert_eq!(said(lone.sent_response(status.as_u16()).headers()), (a, uuid));
        let id = lone.tell(|agent, _, _| agent.session_id(call)).unwrap();
        assert_eq!(id.remote(), Some(after));
    }
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    assert_eq!(of(&lone.sent_request(Method::Bye)), (a, B));
}

// RFC 7989 §8: "When an endpoint or intermediary receives an ACK for a successful
// (2xx) or redirection (3xx) response with a new UUID value, it MUST
// accept the peer's new UUID value"
#[test]
fn an_ack_says_who_the_peer_is() {
    let mut lone = Lone::new();
    let ok = answered(&mut lone, &line(B, 0));
    let (a, _) = said(ok.headers());
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, &format!("Session-ID: {}", line(C, a))), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    assert_eq!(of(&lone.sent_request(Method::Bye)), (a, C));
}

#[test]
fn a_peer_from_before_the_rfc_is_answered_as_it_speaks() {
    let mut lone = Lone::new();
    let id = format!("{B:032x}");
    let ok = answered(&mut lone, &id);
    assert_eq!(header(ok.headers(), "Session-ID"), Some(&*id));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, &format!("Session-ID: {id}")), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    assert_eq!(header(bye.headers(), "Session-ID"), Some(&*id));
}

// RFC 7989 §6: "That said, the response might still be valid according to the rules
// within SIP [RFC3261], and it SHOULD be checked further."
#[test]
fn what_cannot_be_read_hinders_nothing() {
    for bad in ["", "x", "47755a9d;remote=1", "47755A9DE7794BA387653F2099600EF2;remote=", ";;;"] {
        let mut lone = Lone::new();
        let ok = answered(&mut lone, bad);
        assert!(header(ok.headers(), "Session-ID").is_none(), "{bad}");
        let tag = ok.headers().to_tag().unwrap().to_owned();
        lone.receive_text(&in_dialog("ACK", 1, &tag, &format!("Session-ID: {bad}")), "");
        lone.expect(&["invitation", "confirmed"]);
        let mut lone = always();
        let (key, invite) = call(&mut lone);
        let (a, _) = of(&invite);
        let contact = ("Contact", "<sip:bob@192.0.2.2>");
        lone.answer(&invite, 200, "b", &[contact, ("Session-ID", bad)]);
        assert_eq!(of(&lone.sent_request(Method::Ack)), (a, SessionId::NIL), "{bad}");
        assert!(lone.tell(|agent, _, _| agent.session_id(key)).is_some());
    }
    let mut lone = Lone::with(AgentConfig::default().session_ids(SessionIds::Never));
    let ok = answered(&mut lone, &line(B, 0));
    assert!(header(ok.headers(), "Session-ID").is_none());
}

/// What belongs to no call: each request is a session of its own, but a registration is none.
#[test]
fn requests_outside_of_calls() {
    let mut lone = always();
    let to = "sip:bob@192.0.2.2".parse().unwrap();
    for method in [Method::Options, Method::Message] {
        lone.tell(|agent, now, tx| {
            agent.request(now, tx, &alice(), method.clone(), &to, None, &[]).unwrap()
        });
        let sent = lone.sent_request(method);
        assert_eq!(of(&sent).1, SessionId::NIL);
        lone.answer(&sent, 200, "b", &[("Session-ID", &line(B, of(&sent).0))]);
    }
    lone.receive_text(&request("OPTIONS", 1, &format!("Session-ID: {}", line(B, 0))), "");
    assert_eq!(said(lone.sent_response(200).headers()).1, B);
    lone.tell(|agent, now, tx| agent.register(now, tx, &alice())).unwrap();
    assert!(header(lone.sent_request(Method::Register).headers(), "Session-ID").is_none());
}

/// A session that there is already goes on: a conference, or another end that we speak for.
#[test]
fn the_application_may_name_its_end() {
    let mut lone = always();
    let call = to_bob().session_uuid(C);
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    assert_eq!(of(&lone.sent_request(Method::Invite)), (C, SessionId::NIL));
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, &format!("Session-ID: {}", line(B, 0))), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, _, _| agent.set_session_uuid(call, C)).unwrap();
    lone.tell(|agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None)).unwrap();
    assert_eq!(said(lone.sent_response(180).headers()), (C, B));
}

#[test]
fn a_call_that_was_taken_up_again_belongs_to_the_same_session() {
    let mut lone = Lone::new();
    let ok = answered(&mut lone, &line(B, 0));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    let call = lone.last_invitation.unwrap();
    let snapshot = lone.tell(|agent, now, _| agent.snapshot(now, call)).unwrap();
    let mut again = Lone::new();
    let call =
        again.tell(|agent, now, tx| agent.restore(now, tx, &alice(), &snapshot, secs(1))).unwrap();
    again.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    assert_eq!(of(&again.sent_request(Method::Bye)), said(ok.headers()));
}
