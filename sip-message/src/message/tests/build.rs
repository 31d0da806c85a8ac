use super::{INVITE, lines, parse, request};
use crate::{
    BuildError, CSeq, CallId, From, Header, HeaderName, MaxForwards, Message, Method, Request,
    RequestBuilder, Response, StatusCode, Subject, To, Uri, Via,
};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

fn options() -> RequestBuilder {
    Request::builder(Method::Options, &Uri::parse(b"sip:bob@example.com").unwrap())
        .header(&Via::parse(b"SIP/2.0/UDP h;branch=z9hG4bK1").unwrap())
        .header(&From::parse(b"<sip:alice@example.com>;tag=88sja8x").unwrap())
        .header(&To::parse(b"<sip:bob@example.com>").unwrap())
        .header(&CallId::parse(b"a84b4c76e66710").unwrap())
        .header(&CSeq::new(63104, Method::Options).unwrap())
}

#[test]
fn a_request_is_written_in_the_order_given() {
    let request = options().raw(HeaderName::Other("X-Tenant"), "one").build().unwrap();
    let expected = "OPTIONS sip:bob@example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
        From: <sip:alice@example.com>;tag=88sja8x\r\n\
        To: <sip:bob@example.com>\r\n\
        Call-ID: a84b4c76e66710\r\n\
        CSeq: 63104 OPTIONS\r\n\
        X-Tenant: one\r\n\
        Max-Forwards: 70\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(request.to_bytes(), expected.as_bytes());
    request.validate().unwrap();
    assert_eq!(request.headers().from_tag(), Some("88sja8x"));
    assert_eq!(request.headers().branch(), Some("z9hG4bK1"));
    assert_eq!(request.headers().cseq().unwrap().number, 63104);
    assert_eq!(request.uri_bytes(), b"sip:bob@example.com");
}

#[test]
fn what_was_built_is_what_is_parsed() {
    let built = options().header(&MaxForwards(10)).body("text/plain", "hello").build().unwrap();
    let Message::Request(parsed) = parse(built.to_bytes()) else { panic!("a request") };
    assert_eq!(built, parsed);
    assert_eq!(parsed.body(), b"hello");
    assert_eq!(built.body(), b"hello");
    let tail = b"Max-Forwards: 10\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    assert!(built.to_bytes().ends_with(tail));
    let fields = |request: &Request| -> Vec<(String, Vec<u8>)> {
        request.headers().iter().map(|f| (f.name().as_str().into(), f.value().to_vec())).collect()
    };
    assert_eq!(fields(&built), fields(&parsed));
}

#[test]
fn no_builder_argument_can_break_a_line() {
    let evil = "x\r\nRoute: <sip:evil>";
    let refused = |builder: RequestBuilder| builder.build().unwrap_err();
    assert_eq!(refused(options().raw(HeaderName::Subject, evil)), BuildError::LineBreak);
    assert_eq!(refused(options().raw(HeaderName::Other(evil), "x")), BuildError::Name);
    assert_eq!(refused(options().raw(HeaderName::Other(""), "x")), BuildError::Name);
    assert_eq!(refused(options().body(evil, "x")), BuildError::LineBreak);
    let response = |builder: crate::ResponseBuilder| builder.build().unwrap_err();
    let ok = || Response::builder(StatusCode::OK);
    assert_eq!(response(ok().reason(evil)), BuildError::LineBreak);
    assert_eq!(response(ok().reason("x\ry")), BuildError::LineBreak);
    assert_eq!(response(ok().to_tag(evil)), BuildError::Tag);
    assert_eq!(response(ok().to_tag("")), BuildError::Tag);
    assert_eq!(response(ok().raw(HeaderName::Subject, "a\nb")), BuildError::LineBreak);
    // The only line ends that a typed value holds are folds, and they become spaces.
    let folded = options().header(&Subject::parse(b"one\r\n\ttwo").unwrap()).build().unwrap();
    assert!(lines(&folded.to_bytes()).contains(&"Subject: one  \ttwo".into()));
}

#[test]
fn a_request_without_what_it_must_have_is_not_built() {
    let uri = Uri::parse(b"sip:bob@example.com").unwrap();
    let new = || Request::builder(Method::Options, &uri);
    let missing = |builder: RequestBuilder| builder.build().unwrap_err();
    assert_eq!(missing(new()), BuildError::Missing(HeaderName::To));
    let to = || new().raw(HeaderName::To, "<sip:b@c>");
    assert_eq!(missing(to()), BuildError::Missing(HeaderName::From));
    let from = || to().raw(HeaderName::From, "<sip:b@c>;tag=1");
    assert_eq!(missing(from()), BuildError::Missing(HeaderName::CallId));
    let call_id = || from().raw(HeaderName::CallId, "7");
    assert_eq!(missing(call_id()), BuildError::Missing(HeaderName::CSeq));
    let cseq = |value| call_id().raw(HeaderName::CSeq, value);
    assert_eq!(missing(cseq("1 INVITE")), BuildError::MethodMismatch);
    assert!(matches!(missing(cseq("4294967296 OPTIONS")), BuildError::Header(_)));
    cseq("1 OPTIONS").build().unwrap();
    assert_eq!(
        missing(cseq("1 OPTIONS").raw(HeaderName::CallId, "8")),
        BuildError::Repeated(HeaderName::CallId)
    );
}

#[test]
fn content_length_is_the_builders_own() {
    for name in
        [HeaderName::ContentLength, HeaderName::Other("l"), HeaderName::Other("Content-length")]
    {
        assert_eq!(options().raw(name, "7").build().unwrap_err(), BuildError::ContentLength);
    }
    let typed = options().header(&crate::ContentLength(7)).build();
    assert_eq!(typed.unwrap_err(), BuildError::ContentLength);
    let copied =
        Response::builder(StatusCode::OK).copy(&request(INVITE), HeaderName::ContentLength);
    assert_eq!(copied.build().unwrap_err(), BuildError::ContentLength);
}

#[test]
fn a_response_copies_what_the_rfc_says() {
    let invite = request(INVITE);
    let response =
        Response::to_request(&invite, StatusCode::RINGING).to_tag("a6c85cf").build().unwrap();
    assert_eq!(
        lines(&response.to_bytes()),
        [
            "Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKaaa, SIP/2.0/TCP b.example.com;branch=z9hG4bKbbb",
            "v: SIP/2.0/UDP c.example.com;branch=z9hG4bKccc",
            "To: \"Bob; tag=no <x>\" <sip:bob@example.com;tag=no>;tag=a6c85cf",
            "f: Alice",
            " <sip:alice@example.com> ; Tag = 1928301774 ;x=y",
            "Call-ID: a84b4c76e66710@pc33.example.com",
            "CSeq: 0314159  INVITE",
            "Content-Length: 0",
        ]
    );
    assert!(response.to_bytes().starts_with(b"SIP/2.0 180 Ringing\r\n"));
    assert_eq!(response.headers().to_tag(), Some("a6c85cf"));
    response.validate().unwrap();
    let parsed = parse(response.to_bytes()).into_response().unwrap();
    assert_eq!(parsed, response);
    assert_eq!(parsed.headers().to_tag(), Some("a6c85cf"));
}

#[test]
fn a_to_that_has_a_tag_keeps_it() {
    let bye = request(super::invite_with(
        "<sip:bob@example.com;tag=no>\r\n",
        "<sip:bob@example.com>;tag=mine\r\n",
    ));
    let response = Response::to_request(&bye, StatusCode::OK).to_tag("other").build().unwrap();
    assert_eq!(response.headers().to_tag(), Some("mine"));
}

#[test]
fn to_tag_and_reason_may_come_late() {
    let response = Response::to_request(&request(INVITE), StatusCode::OK)
        .raw(HeaderName::Contact, "<sip:b@192.0.2.4>")
        .body("application/sdp", "v=0\n")
        .to_tag("late")
        .reason("Better than fine")
        .to_tag("ignored")
        .raw(HeaderName::Server, "s")
        .reason("")
        .reason("Sure")
        .build()
        .unwrap();
    assert_eq!(response.reason(), b"Sure");
    assert_eq!(response.headers().to_tag(), Some("late"));
    assert_eq!(response.headers().call_id(), Some("a84b4c76e66710@pc33.example.com"));
    assert_eq!(response.headers().raw(HeaderName::Server), Some(&b"s"[..]));
    let bytes = response.to_bytes();
    assert!(bytes.starts_with(b"SIP/2.0 200 Sure\r\nVia"), "{}", bytes.escape_ascii());
    assert_eq!(parse(bytes).into_response().unwrap(), response);
}

#[test]
fn only_a_100_copies_timestamp() {
    let stamped = request(super::invite_with("X-Tenant: one", "Timestamp: 54"));
    let raw = |status| {
        let response = Response::to_request(&stamped, status).build().unwrap();
        response.raw(HeaderName::Timestamp).map(<[u8]>::to_vec)
    };
    assert_eq!(raw(StatusCode::TRYING), Some(b"54".to_vec()));
    assert_eq!(raw(StatusCode::RINGING), None);
}

#[test]
fn copy_takes_every_field_of_the_name_as_it_came() {
    let invite = request(INVITE);
    let response = Response::builder(StatusCode::OK)
        .copy(&invite, HeaderName::Other("X-TENANT"))
        .copy(&invite, HeaderName::From)
        .copy(&invite, HeaderName::RecordRoute)
        .build()
        .unwrap();
    let expected = [
        "X-Tenant: one",
        "x-tenant: two",
        "f: Alice",
        " <sip:alice@example.com> ; Tag = 1928301774 ;x=y",
        "Content-Length: 0",
    ];
    assert_eq!(lines(&response.to_bytes()), expected);
}

#[test]
fn a_copied_line_that_had_no_end_gets_one() {
    let cut = request("OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 7\r\nVia: SIP/2.0/UDP h");
    let response = Response::to_request(&cut, StatusCode::BAD_REQUEST).build().unwrap();
    assert_eq!(
        response.to_bytes(),
        b"SIP/2.0 400 Bad Request\r\nCall-ID: 7\r\nVia: SIP/2.0/UDP h\r\nContent-Length: 0\r\n\r\n"
            [..]
    );
}

#[test]
fn a_tag_goes_before_the_line_end_of_an_empty_to() {
    for empty in ["To:\r\n", "To:  \r\n", "To :\r\n  \r\n"] {
        let bad = request(alloc::format!("A sip:b@c SIP/2.0\r\n{empty}Call-ID: 7\r\n\r\n"));
        let response =
            Response::to_request(&bad, StatusCode::BAD_REQUEST).to_tag("x").build().unwrap();
        let parsed = parse(response.to_bytes());
        assert_eq!(parsed.headers().call_id(), Some("7"), "{empty:?}");
        assert_eq!(parsed.headers().to_tag(), Some("x"), "{empty:?}");
    }
}

#[test]
fn every_line_of_a_response_ends_in_crlf_though_those_of_the_request_did_not() {
    // Lines, folds and the fold before a value; all of them, one of them, and a message cut short.
    let all = INVITE.replace("f: Alice\r\n ", "f:\r\n Alice\r\n ").replace("\r\n", "\n");
    let one = INVITE.replacen("Alice\r\n", "Alice\n", 1);
    let start = INVITE.replacen("SIP/2.0\r\n", "SIP/2.0\n", 1);
    let cut = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>";
    for text in [&all, &one, &start, cut] {
        let request = request(text);
        let response = Response::to_request(&request, StatusCode::OK).to_tag("t1").build().unwrap();
        let bytes = response.to_bytes();
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            assert_eq!(bytes[at - 1], b'\r', "{}", bytes.escape_ascii());
        }
        // What the builder knows of it is what a reader finds.
        let again = super::response(&bytes);
        let known = |response: &Response| {
            let headers = response.headers();
            let words = [headers.branch(), headers.from_tag(), headers.to_tag(), headers.call_id()];
            let fields: Vec<_> = headers.iter().map(|field| format!("{field:?}")).collect();
            (words.map(|word| word.map(String::from)), headers.cseq().map(|c| c.number), fields)
        };
        assert_eq!(known(&again), known(&response));
        assert_eq!(response.headers().to_tag(), Some("t1"));
    }
}
