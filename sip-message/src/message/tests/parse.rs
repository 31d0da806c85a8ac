use super::{INVITE, OK, invite_with, parse, refusal, request, response};
use crate::message::{Headers, Message, Request, Response};
use crate::{
    Contact, HeaderName, Limits, Method, ParseErrorKind, RefusalKind, StatusCode, Subject, Via,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;

#[test]
fn the_routing_core_of_a_request() {
    let request = request(INVITE);
    assert_eq!(request.method(), &Method::Invite);
    assert_eq!(request.uri_bytes(), b"sip:bob@example.com");
    assert_eq!(request.version(), (2, 0));
    let headers = request.headers();
    assert_eq!(headers.call_id(), Some("a84b4c76e66710@pc33.example.com"));
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method()), (314_159, Method::Invite));
    assert_eq!(headers.from_tag(), Some("1928301774"));
    assert_eq!(headers.to_tag(), None, "neither the display name nor the URI has To's tag");
    assert_eq!(headers.branch(), Some("z9hG4bKaaa"));
    assert_eq!(headers.max_forwards(), Some(70));
    assert_eq!(headers.top_via().unwrap().branch(), Some("z9hG4bKaaa"));
    assert_eq!(request.body(), b"v=0\n");
    request.validate().unwrap();
}

#[test]
fn the_routing_core_of_a_response() {
    let response = response(OK);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.reason(), b"OK");
    assert_eq!(response.headers().to_tag(), Some("a6c85cf"));
    assert_eq!(response.headers().max_forwards(), None);
    response.validate().unwrap();
}

#[test]
fn what_was_not_edited_is_printed_as_it_came() {
    for text in [INVITE, OK] {
        assert_eq!(parse(text).to_bytes(), text.as_bytes());
    }
}

#[test]
fn fields_come_in_wire_order_with_their_names_as_they_came() {
    let request = request(INVITE);
    let names: Vec<_> = request.headers().iter().map(|field| field.name()).collect();
    use HeaderName as N;
    assert_eq!(
        names,
        [
            N::Via,
            N::Via,
            N::MaxForwards,
            N::To,
            N::From,
            N::Other("X-Tenant"),
            N::CallId,
            N::CSeq,
            N::Other("X-Tenant"),
            N::Contact,
            N::ContentType,
            N::ContentLength
        ]
    );
    let as_they_came: Vec<_> = request.headers().iter().map(|field| field.name_bytes()).collect();
    assert_eq!(as_they_came[1], b"v");
    assert_eq!(as_they_came[8], b"x-tenant");
    let tenants: Vec<_> = request.headers().raw_all(N::Other("X-TENANT")).collect();
    assert_eq!(tenants, [b"one", b"two"]);
    assert!(!request.headers().contains(N::Route));
}

#[test]
fn typed_access_sees_every_value_of_a_list() {
    let request = request(INVITE);
    let branches: Vec<_> =
        request.get_all::<Via>().map(|via| via.unwrap().branch().unwrap().to_string()).collect();
    assert_eq!(branches, ["z9hG4bKaaa", "z9hG4bKbbb", "z9hG4bKccc"]);
    assert_eq!(request.get::<Via>().unwrap().unwrap().branch(), Some("z9hG4bKaaa"));
    assert!(request.get::<Contact>().unwrap().is_some());
    assert!(request.get::<Subject>().unwrap().is_none());
}

#[test]
fn white_space_around_the_colon_and_folds() {
    let head = "Subject  \t:\r\n\t  I know you're there,\r\n pick up!  \r\n";
    let request = request(format!("OPTIONS sip:a@b SIP/2.0\r\n{head}\r\n"));
    let subject = request.raw(HeaderName::Subject).unwrap();
    assert_eq!(subject, b"I know you're there,\r\n pick up!");
}

#[test]
fn an_empty_value_is_a_value() {
    let request = request("OPTIONS sip:a@b SIP/2.0\r\nSupported:\r\nSubject: \r\n\r\n");
    assert_eq!(request.raw(HeaderName::Supported), Some(&b""[..]));
    assert_eq!(request.raw(HeaderName::Subject), Some(&b""[..]));
}

#[test]
fn a_bare_lf_ends_a_line_and_a_bare_cr_does_not() {
    let text = INVITE.replace("\r\n", "\n");
    let request = request(&text);
    request.validate().unwrap();
    assert_eq!(request.body(), b"v=0\n");
    assert_eq!(request.to_bytes(), text.as_bytes());

    let refusal = refusal(invite_with("X-Tenant: one", "X-Tenant: one\rRoute: <sip:evil>"));
    assert_eq!(refusal.kind(), RefusalKind::BareCr);
    assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
    assert_eq!(INVITE.find("one").unwrap() + 3, refusal.offset());
}

#[test]
fn line_ends_before_a_message_are_not_part_of_it() {
    let message = parse(format!("\r\n\r\n{OK}"));
    assert_eq!(message.to_bytes(), OK.as_bytes());
}

#[test]
fn bytes_after_the_body_are_not_part_of_the_message() {
    let message = parse(format!("{INVITE}INVITE sip:evil@example.com SIP/2.0\r\n\r\n"));
    assert_eq!(message.to_bytes(), INVITE.as_bytes());
    assert_eq!(message.body(), b"v=0\n");
}

#[test]
fn a_datagram_without_content_length_is_body_to_its_end() {
    let message = parse(invite_with("Content-Length: 4\r\n", ""));
    message.validate().unwrap();
    assert_eq!(message.body(), b"v=0\n");
}

#[test]
fn start_lines_that_are_read() {
    let uri = |text: &str| request(text).uri_bytes().to_vec();
    assert_eq!(uri("FLY tel:+1 SIP/2.0\r\n\r\n"), b"tel:+1");
    assert_eq!(
        uri("FLY\t sip:a@b;x=\" y\"  sip/2.0 \r\n\r\n".replace('\t', " ").as_str()),
        b"sip:a@b;x=\" y\""
    );
    assert_eq!(uri("FLY SIP/2.0\r\n\r\n"), b"");
    assert_eq!(request("FLY sip:a SIP/3.14\r\n\r\n").version(), (3, 14));
    for (line, reason) in
        [("SIP/2.0 200 ", ""), ("SIP/2.0 200", ""), ("sip/2.0 200 \u{1F600} :)", "\u{1F600} :)")]
    {
        let response = response(format!("{line}\r\n\r\n"));
        assert_eq!(response.status(), StatusCode::OK, "{line}");
        assert_eq!(response.reason(), reason.as_bytes(), "{line}");
    }
}

#[test]
fn what_is_no_sip_is_no_message() {
    use ParseErrorKind as K;
    for (bytes, kind, offset) in [
        (&b""[..], K::Empty, 0),
        (b"\r\n\r\n", K::Empty, 4),
        (b"\0\0\0\0", K::StartLine, 0),
        (b"GET / HTTP/1.1\r\n\r\n", K::StartLine, 3),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", K::StartLine, 5),
        (b"INVITE sip:a@b\r\n\r\n", K::StartLine, 6),
        (b"INVITE\r\n\r\n", K::StartLine, 0),
        (b"IN(VITE sip:a@b SIP/2.0\r\n\r\n", K::StartLine, 0),
        (b"INVITE sip:a@b SIP/2\r\n\r\n", K::StartLine, 6),
        (b"INVITE sip:a@b SIP/a.b\r\n\r\n", K::StartLine, 6),
        (b" INVITE sip:a@b SIP/2.0\r\n\r\n", K::StartLine, 0),
        (b"SIP/2.0 4294967301 better not break\r\n\r\n", K::StatusCode, 8),
        (b"SIP/2.0 099 low\r\n\r\n", K::StatusCode, 8),
        (b"SIP/2.0 700 high\r\n\r\n", K::StatusCode, 8),
        (b"SIP/2.0 20 short\r\n\r\n", K::StatusCode, 8),
        (b"SIP/2.0 200OK\r\n\r\n", K::StatusCode, 8),
        (b"SIP/2.0 \r\n\r\n", K::StatusCode, 8),
    ] {
        let error = Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{}", bytes.escape_ascii());
        assert_eq!(error.status(), None);
    }
}

#[test]
fn tags_and_branches_in_odd_places() {
    let to = |value: &str| {
        request(format!("A sip:a@b SIP/2.0\r\nTo:{value}\r\n\r\n"))
            .headers()
            .to_tag()
            .map(ToString::to_string)
    };
    assert_eq!(to("sip:b@c;tag=1").as_deref(), Some("1"));
    assert_eq!(to("<sip:b@c>;x=\";tag=no\";TAG=2").as_deref(), Some("2"));
    assert_eq!(to("\"a\\\";tag=no\" <sip:b@c>;tag=3;y").as_deref(), Some("3"));
    assert_eq!(to("B <sip:b@c>\r\n ;\r\n tag\r\n =\r\n 4").as_deref(), Some("4"));
    assert_eq!(to("<sip:b@c>;tagged=no;tag=5").as_deref(), Some("5"));
    for none in [
        "<sip:b@c;tag=no>",
        "<sip:b@c>;tag",
        "<sip:b@c>;tag=",
        "\"",
        "<",
        "",
        ";",
        "<sip:b@c>;x=\"",
    ] {
        assert_eq!(to(none), None, "{none}");
    }
    let via = |value: &str| {
        request(format!("A sip:a@b SIP/2.0\r\nVia:{value}\r\n\r\n"))
            .headers()
            .branch()
            .map(ToString::to_string)
    };
    assert_eq!(via("SIP/2.0/UDP [::1]:5060;Branch = x").as_deref(), Some("x"));
    assert_eq!(via("SIP/2.0/UDP a, SIP/2.0/UDP b;branch=second"), None);
    assert_eq!(via("SIP/2.0/UDP a;x=\",\";branch=first, SIP/2.0/UDP b").as_deref(), Some("first"));
}

#[test]
fn core_values_that_cannot_be_read_are_not_there() {
    let core = |line: &str| request(format!("A sip:a@b SIP/2.0\r\n{line}\r\n\r\n"));
    for bad in [
        "CSeq: 2147483648 A",
        "CSeq: A",
        "CSeq: 1",
        "CSeq: 1A",
        "CSeq: 1 A B",
        "CSeq: -1 A",
        "CSeq:",
    ] {
        assert_eq!(core(bad).headers().cseq(), None, "{bad}");
    }
    assert_eq!(core("CSeq: 2147483647 A").headers().cseq().unwrap().number, 2_147_483_647);
    for bad in ["256", "-1", "", "7 0", "99999999999999999999999"] {
        assert_eq!(core(&format!("Max-Forwards: {bad}")).headers().max_forwards(), None, "{bad}");
    }
    assert_eq!(core("Max-Forwards: 0255").headers().max_forwards(), Some(255));
    for bad in ["", "a b", "a\r\n b"] {
        assert_eq!(core(&format!("Call-ID: {bad}")).headers().call_id(), None, "{bad}");
    }
}

#[test]
fn more_fields_than_are_kept_inline() {
    let many: alloc::string::String = (0..200).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let text = invite_with("X-Tenant: one\r\n", &many);
    let request = request(&text);
    assert_eq!(request.headers().len(), 211);
    assert_eq!(request.raw(HeaderName::Other("x-199")), Some(&b"199"[..]));
    assert_eq!(request.to_bytes(), text.as_bytes());
    request.validate().unwrap();
}

#[test]
fn a_very_long_field_within_the_limit() {
    let limits = Limits::default().header_bytes(200_000).head_bytes(200_000).message_bytes(200_000);
    let value = "x".repeat(100_000);
    let text = invite_with("X-Tenant: one", &format!("X-Tenant: {value}"));
    let message = Message::parse(text.clone().into(), &limits).unwrap();
    message.validate().unwrap();
    assert_eq!(message.headers().raw(HeaderName::Other("X-Tenant")), Some(value.as_bytes()));
}

#[test]
fn messages_go_from_thread_to_thread_and_are_no_larger_than_need_be() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Message>();
    send_and_sync::<Headers>();
    assert!(size_of::<Request>() <= 672, "{}", size_of::<Request>());
    assert!(size_of::<Response>() <= 672, "{}", size_of::<Response>());
}

#[test]
fn what_was_read_once_is_kept_and_may_be_read_by_threads_at_once() {
    let read = |message: &Request| {
        let headers = message.headers();
        let cseq = headers.cseq().map(|cseq| (cseq.number, String::from(cseq.method)));
        let words = [headers.branch(), headers.from_tag(), headers.to_tag(), headers.call_id()];
        (words.map(|word| word.map(String::from)), cseq, message.validate().is_ok())
    };
    let request = request(INVITE);
    let other = request.clone();
    let first = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(|| read(&request)));
        threads.map(|thread| thread.join().unwrap())
    });
    let words = ["z9hG4bKaaa", "1928301774", "", "a84b4c76e66710@pc33.example.com"];
    let words = words.map(|word| Some(String::from(word)).filter(|word| !word.is_empty()));
    let expected = (words, Some((314_159, String::from("INVITE"))), true);
    assert!(first.iter().all(|read| *read == expected), "{first:?}");
    // A second time, and from clones of before and after.
    assert!(
        [&request, &other, &request.clone()].into_iter().all(|message| read(message) == expected)
    );
}
