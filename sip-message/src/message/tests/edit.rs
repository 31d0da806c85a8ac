use super::{INVITE, OK, invite_with, lines, request, response};
use crate::Header;
use crate::{BuildError, HeaderName, MaxForwards, RecordRoute, Request, Route, Subject, Uri, Via};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// The printed message must have the length that was told, and read the same again.
fn printed(request: &Request) -> Vec<String> {
    let bytes = request.to_bytes();
    assert_eq!(bytes.len(), request.wire_len());
    let mut written = BytesMut::new();
    request.write_to(&mut written);
    assert_eq!(written, bytes);
    let again = super::request(&bytes);
    again.validate().unwrap();
    let (a, b) = (request.headers(), again.headers());
    assert_eq!((a.branch(), a.from_tag(), a.to_tag()), (b.branch(), b.from_tag(), b.to_tag()));
    assert_eq!(
        (a.call_id(), a.cseq(), a.max_forwards()),
        (b.call_id(), b.cseq(), b.max_forwards())
    );
    assert_eq!(request.uri_bytes(), again.uri_bytes());
    assert_eq!(request.body(), again.body());
    lines(&bytes)
}

fn original() -> Vec<String> {
    lines(INVITE.as_bytes())
}

#[test]
fn set_replaces_in_place() {
    let mut request = request(INVITE);
    request.headers_mut().set(&MaxForwards(69));
    assert_eq!(request.headers().max_forwards(), Some(69));
    let mut expected = original();
    expected[2] = "Max-Forwards: 69".into();
    assert_eq!(printed(&request), expected);
}

#[test]
fn set_replaces_all_of_the_name() {
    let mut request = request(INVITE);
    request.headers_mut().set_raw(HeaderName::Other("X-TENANT"), b"three").unwrap();
    let mut expected = original();
    let at = expected.iter().position(|line| line.starts_with("X-Tenant")).unwrap();
    expected[at] = "X-TENANT: three".into();
    expected.retain(|line| !line.starts_with("x-tenant"));
    assert_eq!(printed(&request), expected);

    request.headers_mut().set(&Via::parse(b"SIP/2.0/UDP d;branch=z9hG4bKd").unwrap());
    assert_eq!(request.headers().branch(), Some("z9hG4bKd"));
    expected.retain(|line| !line.starts_with("v:"));
    expected[0] = "Via: SIP/2.0/UDP d;branch=z9hG4bKd".into();
    assert_eq!(printed(&request), expected);
}

#[test]
fn what_is_new_goes_before_a_last_content_length() {
    let mut request = request(INVITE);
    request.headers_mut().set_raw(HeaderName::Subject, b"lunch").unwrap();
    request.headers_mut().push_raw(HeaderName::Other("X-New"), b"").unwrap();
    let mut expected = original();
    expected.insert(expected.len() - 1, "Subject: lunch".into());
    expected.insert(expected.len() - 1, "X-New: ".into());
    assert_eq!(printed(&request), expected);
    assert!(request.get::<Subject>().unwrap().is_some());
}

#[test]
fn push_goes_after_the_last_and_push_front_before_the_first() {
    let mut request = request(INVITE);
    request.headers_mut().push(&Via::parse(b"SIP/2.0/UDP last").unwrap());
    request.headers_mut().push_front(&Via::parse(b"SIP/2.0/UDP first;branch=z9hG4bK1").unwrap());
    assert_eq!(request.headers().branch(), Some("z9hG4bK1"));
    request.headers_mut().push_front(&RecordRoute::parse(b"<sip:p;lr>").unwrap());
    let mut expected = original();
    expected.insert(2, "Via: SIP/2.0/UDP last".into());
    expected.insert(0, "Via: SIP/2.0/UDP first;branch=z9hG4bK1".into());
    expected.insert(0, "Record-Route: <sip:p;lr>".into());
    assert_eq!(printed(&request), expected);
}

#[test]
fn pop_front_takes_one_value_at_a_time() {
    let mut request = request(INVITE);
    let mut expected = original();
    assert!(request.headers_mut().pop_front(HeaderName::Via));
    assert_eq!(request.headers().branch(), Some("z9hG4bKbbb"));
    expected[0] = "Via: SIP/2.0/TCP b.example.com;branch=z9hG4bKbbb".into();
    assert_eq!(printed(&request), expected);

    assert!(request.headers_mut().pop_front(HeaderName::Via));
    assert_eq!(request.headers().branch(), Some("z9hG4bKccc"));
    expected.remove(0);
    assert_eq!(printed(&request), expected);

    assert!(request.headers_mut().pop_front(HeaderName::Via));
    assert_eq!(request.headers().branch(), None);
    assert!(!request.headers_mut().pop_front(HeaderName::Via));
    expected.remove(0);
    assert_eq!(lines(&request.to_bytes()), expected);
}

#[test]
fn pop_front_of_a_single_value_takes_the_line_with_its_comma() {
    let date = "Date: Sat, 13 Nov 2010 23:29:00 GMT";
    let mut request = request(invite_with("X-Tenant: one", date));
    assert!(request.headers_mut().pop_front(HeaderName::Date));
    assert!(!request.headers().contains(HeaderName::Date));
}

#[test]
fn remove_takes_all_of_the_name() {
    let mut request = request(INVITE);
    assert_eq!(request.headers_mut().remove(HeaderName::Other("x-Tenant")), 2);
    assert_eq!(request.headers_mut().remove(HeaderName::Route), 0);
    let mut expected = original();
    expected.retain(|line| !line.to_ascii_lowercase().starts_with("x-tenant"));
    assert_eq!(printed(&request), expected);
    assert_eq!(request.headers_mut().remove(HeaderName::CallId), 1);
    assert_eq!(request.headers().call_id(), None);
}

#[test]
fn the_edits_of_a_proxy() {
    let mut request = request(invite_with("X-Tenant: one", "Route: <sip:p1;lr>, <sip:p2;lr>"));
    assert!(request.headers_mut().pop_front(HeaderName::Route));
    request.headers_mut().set(&MaxForwards(69));
    request.headers_mut().push_front(&Via::parse(b"SIP/2.0/TCP p;branch=z9hG4bKp").unwrap());
    request.set_uri(&Uri::parse(b"sip:bob@192.0.2.4").unwrap());
    assert_eq!(request.uri().unwrap().host_str(), Some("192.0.2.4"));
    assert_eq!(request.get_all::<Route>().count(), 1);
    let printed = printed(&request);
    assert_eq!(printed[0], "Via: SIP/2.0/TCP p;branch=z9hG4bKp");
    assert!(printed.contains(&"Route: <sip:p2;lr>".into()));
    assert!(request.to_bytes().starts_with(b"INVITE sip:bob@192.0.2.4 SIP/2.0\r\nVia"));
}

#[test]
fn a_new_body_sets_content_length() {
    let mut request = request(invite_with("Content-Length: 4", "l: 4"));
    request.set_body(Bytes::from_static(b"hello"));
    assert_eq!(request.body(), b"hello");
    assert_eq!(request.body_bytes(), b"hello"[..]);
    let mut expected = original();
    *expected.last_mut().unwrap() = "Content-Length: 5".into();
    assert_eq!(printed(&request), expected);
    request.set_body(Bytes::new());
    *expected.last_mut().unwrap() = "Content-Length: 0".into();
    assert_eq!(printed(&request), expected);
}

#[test]
fn content_length_is_added_where_it_is_owed() {
    let mut request = request(invite_with("Content-Length: 4\r\n", ""));
    request.headers_mut().ensure_content_length();
    assert_eq!(printed(&request), original());
    let mut whole = super::request(INVITE);
    whole.headers_mut().ensure_content_length();
    assert_eq!(whole.to_bytes(), INVITE.as_bytes());
}

#[test]
fn content_length_is_nobody_elses_to_edit() {
    let mut request = request(INVITE);
    let length = HeaderName::ContentLength;
    request.headers_mut().set(&crate::ContentLength(99));
    request.headers_mut().push(&crate::ContentLength(99));
    request.headers_mut().push_front(&crate::ContentLength(99));
    assert_eq!(request.headers_mut().remove(length), 0);
    assert!(!request.headers_mut().pop_front(length));
    for name in [length, HeaderName::Other("content-length"), HeaderName::Other("L")] {
        let edited = request.headers_mut().set_raw(name, b"99");
        assert_eq!(edited, Err(BuildError::ContentLength));
    }
    assert_eq!(request.to_bytes(), INVITE.as_bytes());
}

#[test]
fn no_edit_can_break_a_line() {
    let mut request = request(INVITE);
    for value in [&b"x\r\nRoute: <sip:evil>"[..], b"x\ny", b"x\ry", b"x\r\n y"] {
        let edited = request.headers_mut().push_raw(HeaderName::Subject, value);
        assert_eq!(edited, Err(BuildError::LineBreak));
    }
    for name in ["", "a b", "a:b", "a\r\nb"] {
        let edited = request.headers_mut().push_raw(HeaderName::Other(name), b"x");
        assert_eq!(edited, Err(BuildError::Name));
    }
    assert_eq!(request.to_bytes(), INVITE.as_bytes());
    // A value that was read with a fold is written without it.
    let folded = Subject::parse(b"one\r\n two").unwrap();
    request.headers_mut().set(&folded);
    assert!(printed(&request).contains(&"Subject: one   two".into()));
}

#[test]
fn edits_of_a_message_with_bare_line_feeds_and_of_one_without_end() {
    let mut request = request(INVITE.replace("\r\n", "\n"));
    request.headers_mut().set(&MaxForwards(1));
    let bytes = request.to_bytes();
    // The body is nobody's to change.
    let expected = INVITE.replace("Max-Forwards: 70", "Max-Forwards: 1");
    assert_eq!(bytes, expected.as_bytes());
    assert_eq!(request.wire_len(), bytes.len());
    super::request(bytes).validate().unwrap();
    // A fold within a value too.
    let mut folded = super::request("OPTIONS sip:a@b SIP/2.0\r\nSubject: x\n y\r\n\r\n");
    folded.headers_mut().set(&MaxForwards(1));
    let expected = "OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r\n y\r\nMax-Forwards: 1\r\n\r\n";
    assert_eq!(folded.to_bytes(), expected.as_bytes());
    assert_eq!(folded.wire_len(), expected.len());
    let mut cut = super::request("OPTIONS sip:a@b SIP/2.0\r\nSubject: x");
    cut.headers_mut().set(&MaxForwards(1));
    let expected = "OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r\nMax-Forwards: 1\r\n\r\n";
    assert_eq!(cut.to_bytes(), expected.as_bytes());
    assert_eq!(cut.wire_len(), expected.len());
    // Cut off within the line end of the start line, and of the last header field.
    for (text, expected) in [
        ("OPTIONS sip:a@b SIP/2.0\r", "OPTIONS sip:a@b SIP/2.0\r\nMax-Forwards: 1\r\n\r\n"),
        (
            "OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r",
            "OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r\nMax-Forwards: 1\r\n\r\n",
        ),
    ] {
        let mut cut = super::request(text);
        cut.headers_mut().set(&MaxForwards(1));
        assert_eq!(cut.to_bytes(), expected.as_bytes());
        assert_eq!(cut.wire_len(), expected.len());
        assert!(cut.fragment().build().ends_with(b"SIP/2.0\r\n"));
    }
    let mut bare = super::request("OPTIONS sip:a@b SIP/2.0");
    bare.headers_mut().set(&MaxForwards(1));
    assert_eq!(bare.to_bytes(), b"OPTIONS sip:a@b SIP/2.0\r\nMax-Forwards: 1\r\n\r\n"[..]);
    assert_eq!(bare.wire_len(), bare.to_bytes().len());
}

#[test]
fn a_response_is_edited_alike() {
    let mut response = response(OK);
    assert!(response.headers_mut().pop_front(HeaderName::Via));
    response.set_body("hi");
    let expected = OK
        .replace("Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKaaa\r\n", "")
        .replace("Content-Length: 0", "Content-Length: 2");
    assert_eq!(response.to_bytes(), format!("{expected}hi").as_bytes());
    assert_eq!(response.wire_len(), expected.len() + 2);
}

#[test]
fn an_edit_is_seen_though_the_field_was_read_before() {
    let mut request = request(INVITE);
    request.validate().unwrap();
    let headers = request.headers_mut();
    headers.pop_front(HeaderName::Via);
    assert_eq!(headers.branch(), Some("z9hG4bKbbb"));
    headers.set_raw(HeaderName::From, b"<sip:x@example.com>;tag=other").unwrap();
    headers.set_raw(HeaderName::To, b"<sip:y@example.com>;tag=new").unwrap();
    assert_eq!((headers.from_tag(), headers.to_tag()), (Some("other"), Some("new")));
    headers.set_raw(HeaderName::CSeq, b"7 OPTIONS").unwrap();
    assert_eq!(headers.cseq().map(|cseq| (cseq.number, cseq.method)), Some((7, "OPTIONS")));
    headers.set_raw(HeaderName::CallId, b"two words").unwrap();
    assert_eq!(headers.call_id(), None);
    assert_eq!(request.validate().unwrap_err().header(), Some(HeaderName::CallId));
    request.headers_mut().set_raw(HeaderName::From, b"<sip:x").unwrap();
    assert_eq!(request.validate().unwrap_err().header(), Some(HeaderName::From));
}
