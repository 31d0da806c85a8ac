use super::{INVITE, OK, invite_with, parse, refusal, response};
use crate::message::Message;
use crate::{
    HeaderErrorKind, HeaderName, Limits, Refusal, RefusalKind, Response, StatusCode, UriErrorKind,
};
use alloc::format;
use alloc::string::ToString;

fn assert_refused(
    text: &str,
    status: StatusCode,
    header: Option<HeaderName<'static>>,
    kind: RefusalKind,
) {
    let refusal = refusal(text);
    assert_eq!(
        (refusal.status(), refusal.header(), refusal.kind()),
        (status, header, kind),
        "{text}"
    );
}

const BAD: StatusCode = StatusCode::BAD_REQUEST;

#[test]
fn missing_header_fields_are_400() {
    for (line, name) in [
        ("To: ", HeaderName::To),
        ("f: ", HeaderName::From),
        ("Call-ID: ", HeaderName::CallId),
        ("CSeq: ", HeaderName::CSeq),
    ] {
        let text = INVITE.replacen(&format!("\r\n{line}"), "\r\nX: ", 1);
        assert_refused(&text, BAD, Some(name), RefusalKind::Missing);
        assert_eq!(
            refusal(&text).to_string(),
            format!("400 Bad Request: {name} is missing (RFC 3261 §8.1.1)")
        );
    }
    let no_via = INVITE.replace("Via: ", "X: ").replace("v: ", "X: ");
    assert_refused(&no_via, BAD, Some(HeaderName::Via), RefusalKind::Missing);
    let no_max_forwards = invite_with("Max-Forwards: 70\r\n", "");
    parse(no_max_forwards).validate().unwrap();
}

#[test]
fn a_second_of_what_may_stand_once_is_400() {
    for (line, name) in [
        ("t: <sip:b@c>", HeaderName::To),
        ("From: <sip:b@c>;tag=1", HeaderName::From),
        ("i: 7", HeaderName::CallId),
        ("cseq: 314159 INVITE", HeaderName::CSeq),
        ("Max-Forwards: 70", HeaderName::MaxForwards),
        ("c: text/plain", HeaderName::ContentType),
        ("l: 4", HeaderName::ContentLength),
    ] {
        let text = INVITE.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1);
        assert_refused(&text, BAD, Some(name), RefusalKind::Repeated);
    }
}

#[test]
fn cseq_must_be_of_the_request() {
    let other = invite_with("CSeq: 0314159  INVITE", "CSeq: 314159 OPTIONS");
    assert_refused(&other, BAD, Some(HeaderName::CSeq), RefusalKind::MethodMismatch);
    let too_large = invite_with("0314159", "2147483648");
    let number = RefusalKind::Value(HeaderErrorKind::Number);
    assert_refused(&too_large, BAD, Some(HeaderName::CSeq), number);
    let at = INVITE.find("0314159").unwrap();
    assert!(
        refusal(&too_large)
            .to_string()
            .starts_with(&format!("400 Bad Request: CSeq at byte {at}: "))
    );
    // A response tells no method but that of its CSeq.
    response(OK.replace("314159 INVITE", "1 OPTIONS")).validate().unwrap();
}

#[test]
fn max_forwards_out_of_range_is_400() {
    let number = RefusalKind::Value(HeaderErrorKind::Number);
    for value in ["256", "-1", "lots"] {
        let text = invite_with("Max-Forwards: 70", &format!("Max-Forwards: {value}"));
        assert_refused(&text, BAD, Some(HeaderName::MaxForwards), number);
    }
}

#[test]
fn what_routes_must_be_right_wherever_it_stands() {
    let bad = |line: &str| refusal(invite_with("X-Tenant: one", line));
    let address = RefusalKind::Value(HeaderErrorKind::AngleBrackets);
    for (line, name) in [
        ("Route: <sip:a@b>, sip:c@d", HeaderName::Route),
        ("Record-Route: <sip:a@b>\r\nRecord-Route: sip:c@d", HeaderName::RecordRoute),
        ("m: <sip:a@b>, <sip:c@d", HeaderName::Contact),
    ] {
        let refusal = bad(line);
        assert_eq!((refusal.header(), refusal.kind()), (Some(name), address), "{line}");
        let at = INVITE.find("X-Tenant").unwrap() + line.rfind(['s', '<']).unwrap();
        // Where a bracket does not close it is the bracket that is named.
        assert!([at, at - 1].contains(&refusal.offset()), "{line}: {refusal}");
    }
}

#[test]
fn a_malformed_field_that_routes_nothing_is_not_refused() {
    for line in [
        "Date: Fri, 01 Jan 2010 16:00:00 EST",
        "Accept: ;;",
        "Subject: \"",
        "Allow: a b",
        "Expires: 10000000000000000000000000000000",
        // Of responses.
        "Retry-After: soon",
        "Warning: none",
    ] {
        parse(invite_with("X-Tenant: one", line)).validate().unwrap();
    }
    // RFC 3261 §7.3.2: "If a header field appears in a message not matching its category (such as a
    // request header field in a response), it MUST be ignored."
    for line in ["Max-Forwards: 300", "Route: sip:a", "Retry-After: 1e3", "Warning: 1812 o \"\""] {
        let text = OK.replacen("\r\nTo", &format!("\r\n{line}\r\nTo"), 1);
        response(text).validate().unwrap();
    }
}

#[test]
fn versions_other_than_2_0_are_505() {
    for version in ["SIP/7.0", "SIP/2.1", "SIP/1.0", "SIP/99999999999999.0"] {
        let text = INVITE.replacen("SIP/2.0", version, 1);
        assert_refused(&text, StatusCode::VERSION_NOT_SUPPORTED, None, RefusalKind::Version);
    }
    parse(INVITE.replacen("SIP/2.0", "sip/2.0", 1)).validate().unwrap();
    parse(INVITE.replacen("SIP/2.0", "SIP/02.00", 1)).validate().unwrap();
    assert!(parse(OK.replacen("SIP/2.0", "SIP/3.0", 1)).validate().is_err());
}

#[test]
fn request_uris_that_are_none_are_400() {
    let uri = |uri: &str| refusal(invite_with("sip:bob@example.com SIP", &format!("{uri} SIP")));
    for space in ["sip:bob@ example.com", " sip:bob@example.com", "sip:bob@example.com ", " "] {
        assert_eq!(uri(space).kind(), RefusalKind::StartLineSpace, "{space:?}");
    }
    assert_eq!(uri("sip:bob@ example.com").offset(), "INVITE sip:bob@".len());
    let trailing = refusal(invite_with("SIP/2.0\r\nVia", "SIP/2.0  \r\nVia"));
    assert_eq!(trailing.kind(), RefusalKind::StartLineSpace);
    assert!(matches!(uri("<sip:bob@example.com>").kind(), RefusalKind::RequestUri(_)));
    assert!(matches!(uri("sip:bob@").kind(), RefusalKind::RequestUri(_)));
    assert!(matches!(uri("").kind(), RefusalKind::RequestUri(_) | RefusalKind::StartLineSpace));
    assert_eq!(uri("sip:bob@example.com?Route=x").kind(), RefusalKind::RequestUriHeaders);
    // Whether a scheme is supported is the user agent's to say (416).
    parse(invite_with("sip:bob@example.com SIP", "nobodyKnowsThisScheme:opaque SIP"))
        .validate()
        .unwrap();
}

#[test]
fn lines_that_are_no_header_fields_are_400() {
    for line in ["no colon", ": no name", "two words: x", "\u{e9}: x", "a(b): x"] {
        let text = invite_with("X-Tenant: one", line);
        assert_refused(&text, BAD, None, RefusalKind::FieldLine);
        assert_eq!(refusal(&text).offset(), INVITE.find("X-Tenant").unwrap());
    }
    let long_name = "x".repeat(256);
    let text = invite_with("X-Tenant: one", &format!("{long_name}: x"));
    assert_refused(&text, BAD, None, RefusalKind::FieldLine);
    let folded_start = INVITE.replacen("\r\nVia", "\r\n Via", 1);
    assert_refused(&folded_start, BAD, None, RefusalKind::FieldLine);
}

#[test]
fn a_head_without_its_end_is_400() {
    let head = INVITE.split("\r\n\r\n").next().unwrap();
    for end in ["", "\r", "\n", "\r\n"] {
        let text = format!("{head}{end}");
        let kind = refusal(&text).kind();
        assert!(
            matches!(kind, RefusalKind::HeadNotEnded | RefusalKind::BodyTooShort),
            "{end:?} {kind:?}"
        );
    }
    assert_eq!(refusal("OPTIONS sip:a@b SIP/2.0").kind(), RefusalKind::HeadNotEnded);
}

#[test]
fn content_length_is_one_decision() {
    use RefusalKind as K;
    for (line, kind) in [
        ("Content-Length: 5", K::BodyTooShort),
        ("Content-Length: 99999999999999999999999999", K::BodyTooShort),
        ("Content-Length: -1", K::ContentLength),
        ("Content-Length: +4", K::ContentLength),
        ("Content-Length: 4 4", K::ContentLength),
        ("Content-Length: 0x4", K::ContentLength),
        ("Content-Length: 4, 4", K::ContentLength),
        ("Content-Length:", K::ContentLength),
        ("Content-Length: 4\r\nContent-Length: 4", K::Repeated),
        ("Content-Length: 4\r\nl: 0", K::Repeated),
    ] {
        let text = invite_with("Content-Length: 4", line);
        assert_refused(&text, BAD, Some(HeaderName::ContentLength), kind);
        // A response of the kind is refused, so discarded.
        let text = OK.replacen("Content-Length: 0", line, 1);
        assert_eq!(refusal(&text).kind(), kind, "{line}");
    }
    for line in ["Content-Length : 4", "l:4", "CONTENT-LENGTH\t:\r\n  0004 ", "Content-Length: 3"] {
        let message = parse(invite_with("Content-Length: 4", line));
        message.validate().unwrap();
        assert!(b"v=0\n".starts_with(message.body()), "{line}");
    }
}

#[test]
fn each_limit_has_its_status() {
    use RefusalKind as K;
    let too_large = StatusCode::MESSAGE_TOO_LARGE;
    let line = |start: &str| {
        let from = INVITE.find(start).unwrap();
        INVITE[from..].find("\r\n").unwrap() + 2
    };
    let longest = INVITE.split_inclusive("\r\n").map(str::len).max().unwrap();
    assert_eq!(longest, line("Via"));
    let head = INVITE.find("\r\n\r\n").unwrap() + 4;
    let limits = Limits::default;
    let cases: [(Limits, Limits, K, StatusCode); 5] = [
        (
            limits().message_bytes(INVITE.len()),
            limits().message_bytes(INVITE.len() - 1),
            K::MessageTooLarge,
            too_large,
        ),
        (limits().head_bytes(head), limits().head_bytes(head - 1), K::HeadTooLarge, too_large),
        (limits().header_fields(12), limits().header_fields(11), K::TooManyFields, too_large),
        (
            limits().header_bytes(longest),
            limits().header_bytes(longest - 1),
            K::FieldTooLong,
            too_large,
        ),
        (
            limits().uri_bytes(19),
            limits().uri_bytes(18),
            K::RequestUriTooLong,
            StatusCode::REQUEST_URI_TOO_LONG,
        ),
    ];
    for (within, beyond, kind, status) in cases {
        let parse = |limits| Message::parse(INVITE.into(), &limits).unwrap();
        parse(within).validate().unwrap();
        let refusal: Refusal = parse(beyond).validate().unwrap_err();
        assert_eq!((refusal.kind(), refusal.status()), (kind, status));
    }
    let limits = Limits::default();
    assert_eq!((limits.message_bytes, limits.head_bytes), (65_535, 65_535));
    assert_eq!((limits.header_fields, limits.header_bytes, limits.uri_bytes), (256, 8_192, 4_096));
}

#[test]
fn what_is_refused_can_be_answered_with_what_is_there() {
    let text = invite_with("CSeq: 0314159  INVITE", "CSeq: 0314159  BYE");
    let text = text.replacen("X-Tenant: one", "no colon here\r\nTo: <sip:second@example.com>", 1);
    let request = parse(text).into_request().unwrap();
    let status = request.validate().unwrap_err().status();
    let response = Response::to_request(&request, status).build().unwrap();
    let printed = super::lines(&response.to_bytes());
    assert_eq!(
        printed,
        [
            "Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKaaa, SIP/2.0/TCP b.example.com;branch=z9hG4bKbbb",
            "v: SIP/2.0/UDP c.example.com;branch=z9hG4bKccc",
            "To: \"Bob; tag=no <x>\" <sip:bob@example.com;tag=no>",
            "f: Alice",
            " <sip:alice@example.com> ; Tag = 1928301774 ;x=y",
            "Call-ID: a84b4c76e66710@pc33.example.com",
            "CSeq: 0314159  BYE",
            "Content-Length: 0",
        ]
    );
}

#[test]
fn a_refusal_names_header_field_place_and_rule() {
    use RefusalKind as K;
    // What is put in place of what; the text at fault; the rule.
    for (kind, line, new, at, rule) in [
        (K::StartLineSpace, "INVITE ", "INVITE  ", "  sip:", "RFC 3261 §7"),
        (K::RequestUriHeaders, "example.com SIP", "b?c=d SIP", "?c=d", "RFC 3261 §19.1.1"),
        (K::RequestUri(UriErrorKind::Host), "@example.com SIP", "@ SIP", " SIP", "RFC 3261 §7.1"),
        (K::Version, "com SIP/2.0", "com SIP/2.1", "INVITE", "RFC 3261 §7.1"),
        (K::FieldLine, "X-Tenant: one", "X-Tenant", "X-Tenant\r\n", "RFC 3261 §7.3.1"),
        (K::BareCr, "X-Tenant: one", "X-Tenant: o\rne", "\rne", "RFC 3261 §7"),
        (K::Repeated, "X-Tenant: one", "To: <sip:b@c>", "<sip:b@c>", "RFC 3261 §7.3.1"),
        (K::MethodMismatch, "9  INVITE", "9 BYE", "0314159 BYE", "RFC 3261 §8.1.1.5"),
        (K::ContentLength, "Content-Length: 4", "l: four", "l: four", "RFC 3261 §20.14"),
        (K::BodyTooShort, "Content-Length: 4", "l: 5", "l: 5", "RFC 3261 §18.3"),
        (K::Missing, "CSeq", "X", "v=0\n", "RFC 3261 §8.1.1"),
        (
            K::Value(HeaderErrorKind::DuplicateParameter),
            ";x=y",
            ";tag=2",
            "tag=2",
            "RFC 3261 §7.3.1",
        ),
        (K::Value(HeaderErrorKind::Number), ": 70", ": 700", "700", "RFC 3261 §20.22"),
    ] {
        let text = invite_with(line, new);
        let refusal = refusal(&text);
        assert_eq!((refusal.kind(), refusal.rule()), (kind, Some(rule)), "{new}");
        assert!(text[refusal.offset()..].starts_with(at), "{refusal}");
        let (status, detail) = (refusal.status(), refusal.detail().to_string());
        assert_eq!(refusal.to_string(), format!("{status}: {detail} ({rule})"));
        assert!(detail.is_ascii());
        if let Some(header) = refusal.header().filter(|_| kind != K::Missing) {
            assert!(detail.starts_with(&format!("{header} at byte {}: ", refusal.offset())));
        }
    }
    // A limit is no rule of an RFC.
    let limits = Limits::default().header_fields(3);
    let message = Message::parse(INVITE.into(), &limits).unwrap();
    let refusal = message.validate().unwrap_err();
    let at = INVITE.find("To: ").unwrap();
    let expected = format!("513 Message Too Large: byte {at}: too many header fields");
    assert_eq!((refusal.to_string(), refusal.rule()), (expected, None));
}
