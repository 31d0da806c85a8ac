use super::*;
use crate::test_support::{answer, from_bob, invite, request, response};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const CONTACT: &str = "Contact: <sip:bob@192.0.2.2>";

fn uac(status: &str, more: &str) -> Dialog {
    Dialog::uac(&invite(""), &answer(status, "b1", more), Transport::Udp).unwrap()
}

fn uas(more: &str) -> Dialog {
    Dialog::uas(&invite(more), "b1", Transport::Udp).unwrap()
}

fn built(builder: RequestBuilder) -> Request {
    builder.build().unwrap()
}

fn uri(request: &Request) -> String {
    String::from_utf8(request.uri_bytes().to_vec()).unwrap()
}

/// The header field's value; "" if there is none.
fn header<'a>(request: &'a Request, name: HeaderName<'a>) -> &'a str {
    assert!(request.headers().raw_all(name).count() <= 1);
    core::str::from_utf8(request.raw(name).unwrap_or(b"")).unwrap()
}

// Making a dialog: §12.1.

/// RFC 3261 §12.1.2, piece by piece.
#[test]
fn the_state_at_the_uac() {
    let rr = "Record-Route: <sip:p3;lr;x=1>;y=2, <sip:p2;lr>\nrecord-route: <sip:p1;lr>";
    let dialog = uac("200 OK", &format!("Contact: \"B\" <sip:bob@192.0.2.2;ob>;q=1\n{rr}"));
    let id = DialogId { call_id: "call@alice", local_tag: "a1", remote_tag: "b1" };
    assert_eq!(dialog.id(), id);
    assert_eq!(dialog.state(), State::Confirmed);
    assert_eq!(dialog.role(), Role::Uac);
    assert_eq!(dialog.route_set(), "<sip:p1;lr>,<sip:p2;lr>,<sip:p3;lr;x=1>");
    assert_eq!(dialog.remote_target().as_str(), "sip:bob@192.0.2.2;ob");
    assert_eq!(dialog.local_cseq(), Some(10));
    assert_eq!(dialog.remote_cseq(), None);
    assert_eq!(dialog.local_party(), "\"Alice\" <sip:alice@example.com>");
    assert_eq!(dialog.remote_party(), "Bob <sip:bob@example.com>");
    assert!(!dialog.is_secure());
}

/// RFC 3261 §12.1.1, piece by piece.
#[test]
fn the_state_at_the_uas() {
    let mut dialog = uas("Record-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>");
    let id = DialogId { call_id: "call@alice", local_tag: "b1", remote_tag: "a1" };
    assert_eq!(dialog.id(), id);
    assert_eq!(dialog.role(), Role::Uas);
    assert_eq!(dialog.route_set(), "<sip:p2;lr>,<sip:p1;lr>");
    assert_eq!(dialog.remote_target().as_str(), "sip:alice@192.0.2.1");
    assert_eq!(dialog.local_cseq(), None);
    assert_eq!(dialog.remote_cseq(), Some(10));
    assert_eq!(dialog.local_party(), "Bob <sip:bob@example.com>");
    assert_eq!(dialog.remote_party(), "\"Alice\" <sip:alice@example.com>");

    assert_eq!(dialog.state(), State::Early);
    dialog.accepted(&invite(""));
    assert_eq!(dialog.state(), State::Confirmed);
}

#[test]
fn which_responses_make_a_dialog() {
    let make = |status: &str, tag: &str| {
        Dialog::uac(&invite(""), &answer(status, tag, CONTACT), Transport::Udp)
            .map(|dialog| dialog.state())
    };
    assert_eq!(make("101 Dialog", "b1"), Ok(State::Early));
    assert_eq!(make("180 Ringing", "b1"), Ok(State::Early));
    assert_eq!(make("199 Gone", "b1"), Ok(State::Early));
    assert_eq!(make("200 OK", "b1"), Ok(State::Confirmed));
    assert_eq!(make("202 Accepted", "b1"), Ok(State::Confirmed));
    assert_eq!(make("100 Trying", "b1"), Err(DialogError::NoDialog));
    assert_eq!(make("180 Ringing", ""), Err(DialogError::NoTag));
    for status in ["302 Moved", "401 Unauthorized", "486 Busy", "503 No", "603 Decline"] {
        assert_eq!(make(status, "b1"), Err(DialogError::NoDialog), "{status}");
    }
}

/// RFC 3261 §12.1.1, §12.1.2, §12.2.1.1: tags that are null are left out.
#[test]
fn peers_without_tags() {
    let mut dialog =
        Dialog::uac(&invite(""), &answer("200 OK", "", CONTACT), Transport::Udp).unwrap();
    assert_eq!(dialog.id().remote_tag, "");
    let bye = built(dialog.request(Method::Bye).unwrap());
    assert_eq!(header(&bye, HeaderName::To), "Bob <sip:bob@example.com>");
    assert_eq!(header(&bye, HeaderName::From), "\"Alice\" <sip:alice@example.com>;tag=a1");

    let old = request(
        "INVITE sip:bob@example.com SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1
         From: sip:alice@example.com
         To: sip:bob@example.com
         Call-ID: 1
         CSeq: 1 INVITE
         Contact: sip:alice@192.0.2.1",
    );
    let mut dialog = Dialog::uas(&old, "b1", Transport::Udp).unwrap();
    assert_eq!(dialog.id(), DialogId { call_id: "1", local_tag: "b1", remote_tag: "" });
    let bye = built(dialog.request(Method::Bye).unwrap());
    assert_eq!(header(&bye, HeaderName::To), "<sip:alice@example.com>");
    assert_eq!(header(&bye, HeaderName::From), "<sip:bob@example.com>;tag=b1");
}

#[test]
fn a_uas_refuses_what_it_could_not_answer_in_the_dialog() {
    for contact in
        ["", "Contact: *", "Contact: <tel:+123>", "Contact: <sip:", "Contact: <mailto:a@b>"]
    {
        let text = format!(
            "INVITE sip:bob@example.com SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
             From: <sip:alice@example.com>;tag=1
             To: <sip:bob@example.com>
             Call-ID: 1
             CSeq: 1 INVITE
             {contact}"
        );
        let error = Dialog::uas(&request(&text), "b1", Transport::Udp).unwrap_err();
        assert_eq!(error, DialogError::Missing(HeaderName::Contact), "{contact}");
        assert_eq!(error.rejection(), Rejection::new(StatusCode::BAD_REQUEST));
        assert_eq!(error.to_string(), "Contact is missing or unfit");
    }
    let error = Dialog::uas(&invite("Record-Route: sip:p1;lr"), "b1", Transport::Udp).unwrap_err();
    assert!(matches!(error, DialogError::Header(_)), "{error:?}");
    assert_eq!(error.rejection().status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_uac_falls_back_on_the_request_uri() {
    for contact in ["", "Contact: *", "Contact: <tel:+123>", "Contact: <sip:"] {
        let dialog = uac("183 Progress", contact);
        assert_eq!(dialog.remote_target().as_str(), "sip:bob@example.com", "{contact}");
    }
}

#[test]
fn what_may_not_stand_in_a_request_uri_is_taken_off_the_contact() {
    let dialog = uac("200 OK", "Contact: <sip:bob@h;method=INVITE;transport=tcp?Subject=x>");
    assert_eq!(dialog.remote_target().as_str(), "sip:bob@h;transport=tcp");
}

/// RFC 3261 §12.1.1, §12.1.2: over TLS and with a SIPS Request-URI, not with one of the two.
#[test]
fn the_secure_flag() {
    let sips = request(
        "INVITE sips:bob@example.com SIP/2.0
         Via: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1
         From: <sips:alice@example.com>;tag=a1
         To: <sips:bob@example.com>
         Call-ID: 1
         CSeq: 1 INVITE
         Contact: <sips:alice@192.0.2.1>",
    );
    let secure = |request: &Request, transport| {
        let at_uas = Dialog::uas(request, "b1", transport).unwrap().is_secure();
        let ok = answer("200 OK", "b1", CONTACT);
        assert_eq!(Dialog::uac(request, &ok, transport).unwrap().is_secure(), at_uas);
        at_uas
    };
    assert!(secure(&sips, Transport::Tls));
    assert!(!secure(&sips, Transport::Tcp));
    assert!(!secure(&invite(""), Transport::Tls));
}

#[test]
fn is_compact() {
    /// What a dialog without a route set may take, heap included.
    const LIMIT: usize = 400;
    let call_id = "1f3c9b7e5a2d4c6f8091a2b3c4d5e6f7@192.0.2.1";
    let invite = request(&format!(
        "INVITE sip:service@192.0.2.200:5060 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK-1-1-0
         From: sipp <sip:sipp@192.0.2.100:5061>;tag=9f86d081884c7d65
         To: service <sip:service@192.0.2.200:5060>
         Call-ID: {call_id}
         CSeq: 1 INVITE
         Contact: sip:sipp@192.0.2.100:5061"
    ));
    let dialog = Dialog::uas(&invite, "0123456789abcdef", Transport::Udp).unwrap();
    let bytes = size_of::<Dialog>() + dialog.heap_bytes();
    std::println!("Dialog: {} + {} heap", size_of::<Dialog>(), dialog.heap_bytes());
    assert!(bytes <= LIMIT, "{bytes}");
    assert!(size_of::<Dialog>() <= 176, "{}", size_of::<Dialog>());
}

// Requests in the dialog: §12.2.1.1.

#[test]
fn a_request_in_the_dialog() {
    let mut dialog = uac("200 OK", CONTACT);
    let info = built(dialog.request(Method::Info).unwrap());
    assert_eq!(info.method(), &Method::Info);
    assert_eq!(uri(&info), "sip:bob@192.0.2.2");
    assert_eq!(header(&info, HeaderName::Route), "");
    assert_eq!(header(&info, HeaderName::MaxForwards), "70");
    assert_eq!(header(&info, HeaderName::From), "\"Alice\" <sip:alice@example.com>;tag=a1");
    assert_eq!(header(&info, HeaderName::To), "Bob <sip:bob@example.com>;tag=b1");
    assert_eq!(header(&info, HeaderName::CallId), "call@alice");
    assert_eq!(header(&info, HeaderName::CSeq), "11 INFO");
    assert_eq!(dialog.next_hop().as_str(), "sip:bob@192.0.2.2");
}

#[test]
fn cseq_numbers_go_up_by_one_except_for_ack() {
    let mut dialog = uac("200 OK", CONTACT);
    assert_eq!(header(&built(dialog.ack(10)), HeaderName::CSeq), "10 ACK");
    assert_eq!(
        header(&built(dialog.request(Method::Options).unwrap()), HeaderName::CSeq),
        "11 OPTIONS"
    );
    assert_eq!(
        header(&built(dialog.request(Method::Invite).unwrap()), HeaderName::CSeq),
        "12 INVITE"
    );
    assert_eq!(header(&built(dialog.ack(12)), HeaderName::CSeq), "12 ACK");
    assert_eq!(dialog.next_cseq(), Ok(13), "the INVITE again, with credentials");
    assert_eq!(header(&built(dialog.request(Method::Bye).unwrap()), HeaderName::CSeq), "14 BYE");
    for method in [Method::Ack, Method::Cancel] {
        assert_eq!(dialog.request(method).err(), Some(DialogError::NoOwnCSeq));
    }
    assert_eq!(dialog.local_cseq(), Some(14));

    let mut dialog = uas("");
    assert_eq!(header(&built(dialog.request(Method::Bye).unwrap()), HeaderName::CSeq), "1 BYE");
    assert_eq!(dialog.local_cseq(), Some(1));
}

/// RFC 3261 §8.1.1.5: below 2^31.
#[test]
fn cseq_numbers_end_before_2_to_the_31() {
    let mut dialog = uac("200 OK", CONTACT);
    dialog.local_cseq = Some((1 << 31) - 2);
    let last = built(dialog.request(Method::Info).unwrap());
    assert_eq!(header(&last, HeaderName::CSeq), "2147483647 INFO");
    assert_eq!(dialog.request(Method::Info).err(), Some(DialogError::CSeqExhausted));
    assert_eq!(dialog.next_cseq(), Err(DialogError::CSeqExhausted));
    assert_eq!(dialog.local_cseq(), Some((1 << 31) - 1));
}

/// RFC 3261 §13.2.2.4: the INVITE's number, credentials and nothing else of it.
#[test]
fn the_ack_carries_the_credentials_of_the_invite() {
    let credentials = "Authorization: Digest username=\"a\", realm=\"r\"
        Proxy-Authorization: Digest username=\"a\", realm=\"p1\"
        Proxy-Authorization: Digest username=\"a\", realm=\"p2\"
        Subject: x";
    let invite = invite(credentials);
    let dialog = uac("200 OK", CONTACT);
    let ack = built(dialog.ack_to(&invite));
    assert_eq!(ack.method(), &Method::Ack);
    assert_eq!(header(&ack, HeaderName::CSeq), "10 ACK");
    assert_eq!(header(&ack, HeaderName::Authorization), "Digest username=\"a\", realm=\"r\"");
    let proxies: Vec<_> = ack.headers().raw_all(HeaderName::ProxyAuthorization).collect();
    assert_eq!(
        proxies,
        [b"Digest username=\"a\", realm=\"p1\"", b"Digest username=\"a\", realm=\"p2\""]
    );
    assert_eq!(header(&ack, HeaderName::Subject), "");
    assert_eq!(header(&ack, HeaderName::To), "Bob <sip:bob@example.com>;tag=b1");
}

/// RFC 3261 §16.12.1.1: the basic trapezoid, both ends.
#[test]
fn the_trapezoid() {
    let routes = "Record-Route: <sip:p2.domain.com;lr>
                  Record-Route: <sip:p1.example.com;lr>";
    let at_u2 = uas(routes);
    assert_eq!(at_u2.route_set(), "<sip:p2.domain.com;lr>,<sip:p1.example.com;lr>");
    assert_eq!(at_u2.next_hop().as_str(), "sip:p2.domain.com;lr");

    let mut at_u1 = uac("200 OK", &format!("Contact: sip:callee@u2.domain.com\n{routes}"));
    let bye = built(at_u1.request(Method::Bye).unwrap());
    assert_eq!(uri(&bye), "sip:callee@u2.domain.com");
    assert_eq!(header(&bye, HeaderName::Route), "<sip:p1.example.com;lr>,<sip:p2.domain.com;lr>");
    assert_eq!(at_u1.next_hop().as_str(), "sip:p1.example.com;lr");
}

/// RFC 3261 §16.12.1.2: a strict router in the middle of the path is the proxies' affair.
#[test]
fn traversing_a_strict_routing_proxy() {
    let mut at_u2 = Dialog::uas(
        &request(
            "INVITE sip:callee@u2.domain.com SIP/2.0
             Via: SIP/2.0/UDP p4;branch=z9hG4bK1
             From: <sip:caller@example.com>;tag=1
             To: <sip:callee@domain.com>
             Call-ID: 1
             CSeq: 1 INVITE
             Contact: sip:caller@u1.example.com
             Record-Route: <sip:p4.domain.com;lr>
             Record-Route: <sip:p3.middle.com>
             Record-Route: <sip:p2.example.com;lr>
             Record-Route: <sip:p1.example.com;lr>",
        ),
        "2",
        Transport::Udp,
    )
    .unwrap();
    let bye = built(at_u2.request(Method::Bye).unwrap());
    assert_eq!(uri(&bye), "sip:caller@u1.example.com");
    assert_eq!(
        header(&bye, HeaderName::Route),
        "<sip:p4.domain.com;lr>,<sip:p3.middle.com>,<sip:p2.example.com;lr>,<sip:p1.example.com;lr>"
    );
    assert_eq!(at_u2.next_hop().as_str(), "sip:p4.domain.com;lr");
}

/// RFC 3261 §16.12.1.3: each end knows the gateway by its own name.
#[test]
fn rewritten_record_route_values() {
    let mut at_u1 = uac(
        "200 OK",
        "Contact: <sip:callee@u2.rightprivatespace.com>
         Record-Route: <sip:gateway.leftprivatespace.com;lr>",
    );
    let bye = built(at_u1.request(Method::Bye).unwrap());
    assert_eq!(uri(&bye), "sip:callee@u2.rightprivatespace.com");
    assert_eq!(header(&bye, HeaderName::Route), "<sip:gateway.leftprivatespace.com;lr>");
}

/// RFC 3261 §12.2.1.1: the example of a first hop that is a strict router.
#[test]
fn a_strict_router_first() {
    let mut dialog = uac(
        "200 OK",
        "Contact: <sip:user@remoteua>
         Record-Route: <sip:proxy4>,<sip:proxy3;lr>,<sip:proxy2>,<sip:proxy1;method=INVITE?a=b>",
    );
    let bye = built(dialog.request(Method::Bye).unwrap());
    assert_eq!(uri(&bye), "sip:proxy1", "stripped of what a Request-URI may not have");
    assert_eq!(
        header(&bye, HeaderName::Route),
        "<sip:proxy2>,<sip:proxy3;lr>,<sip:proxy4>,<sip:user@remoteua>"
    );

    let mut only = uac("200 OK", "Contact: <sip:user@remoteua>\nRecord-Route: <sip:proxy1>");
    let bye = built(only.request(Method::Bye).unwrap());
    assert_eq!(uri(&bye), "sip:proxy1");
    assert_eq!(header(&bye, HeaderName::Route), "<sip:user@remoteua>");
    let ack = built(only.ack(10));
    assert_eq!(
        (uri(&ack).as_str(), header(&ack, HeaderName::Route)),
        ("sip:proxy1", "<sip:user@remoteua>")
    );
}

#[test]
fn odd_names_and_folded_headers_are_written_in_one_line() {
    let invite = request(
        "INVITE sip:b@h SIP/2.0
         Via: SIP/2.0/UDP h;branch=z9hG4bK1
         From: \"A \\\"the\\\" B,
         ~C\"
         ~<sip:a@h;x=y>;epid=1
         ~;tag=a1
         To: Bob
         ~B. <sip:b@h>
         Call-ID: c
         CSeq: 1 INVITE
         Contact: <sip:a@h>",
    );
    let mut dialog = Dialog::uas(&invite, "b1", Transport::Udp).unwrap();
    let bye = built(dialog.request(Method::Bye).unwrap());
    assert_eq!(header(&bye, HeaderName::To), "\"A \\\"the\\\" B, C\" <sip:a@h;x=y>;tag=a1");
    assert_eq!(header(&bye, HeaderName::From), "\"Bob B.\" <sip:b@h>;tag=b1");
}

// Requests that come: §12.2.2.

#[test]
fn cseq_numbers_of_the_peer() {
    let mut dialog = uac("200 OK", CONTACT);
    // Empty: any number is the first.
    assert_eq!(dialog.receive(&from_bob("INFO", 0, "")), Ok(()));
    assert_eq!(dialog.remote_cseq(), Some(0));
    assert_eq!(dialog.receive(&from_bob("INFO", 1, "")), Ok(()));
    // A gap is no error.
    assert_eq!(dialog.receive(&from_bob("INFO", 2_147_483_000, "")), Ok(()));
    let out_of_order = Err(Rejection::new(StatusCode::SERVER_INTERNAL_ERROR));
    assert_eq!(dialog.receive(&from_bob("INFO", 5, "")), out_of_order);
    assert_eq!(dialog.receive(&from_bob("BYE", 2_147_483_000, "")), out_of_order);
    assert_eq!(dialog.remote_cseq(), Some(2_147_483_000));
    // ACK and CANCEL have the number of their INVITE.
    assert_eq!(dialog.receive(&from_bob("ACK", 3, "")), Ok(()));
    assert_eq!(dialog.receive(&from_bob("CANCEL", 3, "")), Ok(()));
    assert_eq!(dialog.remote_cseq(), Some(2_147_483_000));

    let mut dialog = uas("");
    let lower = request(
        "INFO sip:bob@h SIP/2.0
         From: <sip:alice@example.com>;tag=a1
         To: <sip:bob@example.com>;tag=b1
         Call-ID: call@alice
         CSeq: 9 INFO",
    );
    assert_eq!(dialog.receive(&lower), out_of_order, "lower than the INVITE's");
}

/// RFC 3261 §12.2.2: the target moves when the request is accepted, and by target refresh requests only.
#[test]
fn target_refresh_by_the_peer() {
    let mut dialog = uac("200 OK", CONTACT);
    let moved = "Contact: <sip:bob@new.example.com>";
    let reinvite = from_bob("INVITE", 1, moved);
    dialog.receive(&reinvite).unwrap();
    assert_eq!(dialog.remote_target().as_str(), "sip:bob@192.0.2.2", "not accepted yet");
    dialog.accepted(&reinvite);
    assert_eq!(dialog.remote_target().as_str(), "sip:bob@new.example.com");

    for method in ["UPDATE", "NOTIFY", "SUBSCRIBE", "REFER"] {
        dialog.accepted(&from_bob(method, 2, "Contact: <sip:x@h>"));
        assert_eq!(dialog.remote_target().as_str(), "sip:x@h", "{method}");
        dialog.accepted(&from_bob(method, 2, CONTACT));
    }
    for method in ["ACK", "OPTIONS", "INFO", "BYE", "MESSAGE", "PRACK"] {
        dialog.accepted(&from_bob(method, 3, moved));
        assert_eq!(dialog.remote_target().as_str(), "sip:bob@192.0.2.2", "{method}");
    }
    for contact in ["", "Contact: *", "Contact: <tel:+1>"] {
        dialog.accepted(&from_bob("INVITE", 4, contact));
        assert_eq!(dialog.remote_target().as_str(), "sip:bob@192.0.2.2", "{contact}");
    }
    // The route set never moves in a confirmed dialog.
    dialog.accepted(&from_bob("INVITE", 5, "Contact: <sip:y@h>\nRecord-Route: <sip:p1;lr>"));
    assert_eq!(dialog.route_set(), "");
}

/// RFC 3261 §12.2.1.2.
#[test]
fn target_refresh_by_a_2xx() {
    let answered = |method: &str, status: &str| {
        let mut dialog = uac("200 OK", CONTACT);
        dialog.refresh(&response(&format!(
            "SIP/2.0 {status}
             From: <sip:alice@example.com>;tag=a1
             To: <sip:bob@example.com>;tag=b1
             Call-ID: call@alice
             CSeq: 11 {method}
             Record-Route: <sip:p1;lr>
             Contact: <sip:bob@new>"
        )));
        assert_eq!(dialog.route_set(), "");
        dialog.remote_target().to_string()
    };
    assert_eq!(answered("INVITE", "200 OK"), "sip:bob@new");
    assert_eq!(answered("UPDATE", "200 OK"), "sip:bob@new");
    assert_eq!(answered("INVITE", "180 Ringing"), "sip:bob@192.0.2.2");
    assert_eq!(answered("INVITE", "302 Moved"), "sip:bob@192.0.2.2");
    assert_eq!(answered("INFO", "200 OK"), "sip:bob@192.0.2.2");
}

/// RFC 3261 §13.2.2.4: route set and state, nothing else; and once.
#[test]
fn a_2xx_confirms_an_early_dialog() {
    let mut dialog = uac("180 Ringing", "Contact: <sip:bob@early>");
    assert_eq!((dialog.state(), dialog.route_set()), (State::Early, ""));
    dialog.next_cseq().unwrap();
    dialog.receive(&from_bob("UPDATE", 7, "")).unwrap();

    let ok =
        answer("200 OK", "b1", "Contact: <sip:bob@late>\nRecord-Route: <sip:p2;lr>,<sip:p1;lr>");
    dialog.confirm(&ok).unwrap();
    assert_eq!(dialog.state(), State::Confirmed);
    assert_eq!(dialog.route_set(), "<sip:p1;lr>,<sip:p2;lr>");
    assert_eq!(dialog.remote_target().as_str(), "sip:bob@late");
    assert_eq!((dialog.local_cseq(), dialog.remote_cseq()), (Some(11), Some(7)));

    dialog.confirm(&answer("200 OK", "b1", "Record-Route: <sip:p9;lr>")).unwrap();
    assert_eq!(dialog.route_set(), "<sip:p1;lr>,<sip:p2;lr>", "a repeat changes nothing");
}

#[test]
fn what_confirms_no_dialog() {
    let mut dialog = uac("180 Ringing", CONTACT);
    let before = dialog.clone();
    for status in ["183 Progress", "486 Busy"] {
        assert_eq!(dialog.confirm(&answer(status, "b1", CONTACT)), Err(DialogError::NoDialog));
    }
    assert_eq!(dialog, before);

    let mut dialog = uac("180 Ringing", &format!("{CONTACT}\nRecord-Route: <sip:p1;lr>"));
    let bad = answer("200 OK", "b1", "Contact: <sip:x@h>\nRecord-Route: <sip:p2");
    assert!(matches!(dialog.confirm(&bad), Err(DialogError::Header(_))));
    assert_eq!((dialog.state(), dialog.route_set()), (State::Confirmed, "<sip:p1;lr>"));
    assert_eq!(dialog.remote_target().as_str(), "sip:x@h");

    let mut dialog = uas("");
    dialog.accepted(&request(
        "OPTIONS sip:bob@h SIP/2.0
         From: <sip:alice@example.com>;tag=a1
         To: <sip:bob@example.com>;tag=b1
         Call-ID: call@alice
         CSeq: 11 OPTIONS",
    ));
    assert_eq!(dialog.state(), State::Early);
}
