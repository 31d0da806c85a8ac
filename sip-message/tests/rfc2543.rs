//! What peers of RFC 2543 send, accepted as far as RFC 3261 says to: a test for each kind.
#![allow(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the message")]

use sip_message::{
    Authorization, CSeq, Contact, Expires, From, HeaderErrorKind, HeaderName, Host, Limits,
    Message, RecordRoute, RefusalKind, Request, Response, RetryAfter, StatusCode, To, Via,
};

/// As an implementation of 1999 writes it.
const INVITE: &str = "INVITE sip:watson@boston.bell-tel.com SIP/2.0\r\n\
    v: SIP/2.0/UDP kton.bell-tel.com\r\n\
    f: A. Bell <sip:a.g.bell@bell-tel.com>\r\n\
    t: T. Watson <sip:watson@bell-tel.com>\r\n\
    i: 662606876@kton.bell-tel.com\r\n\
    CSeq: 1 INVITE\r\n\
    c: application/sdp\r\n\
    \r\n\
    v=0\r\n";

const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP kton.bell-tel.com\r\n\
    From: A. Bell <sip:a.g.bell@bell-tel.com>\r\n\
    To: T. Watson <sip:watson@bell-tel.com>\r\n\
    Call-ID: 662606876@kton.bell-tel.com\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: sip:watson@boston.bell-tel.com\r\n\
    \r\n";

fn parse(text: &str) -> Message {
    Message::parse(text.to_owned().into(), &Limits::default()).unwrap()
}

fn accepted(text: &str) -> Message {
    let message = parse(text);
    message.validate().unwrap();
    message
}

fn request(text: &str) -> Request {
    accepted(text).into_request().unwrap()
}

fn response(text: &str) -> Response {
    accepted(text).into_response().unwrap()
}

fn with(line: &str) -> String {
    INVITE.replacen("CSeq", &format!("{line}\r\nCSeq"), 1)
}

// RFC 3261 §20.42: "Even though this specification mandates that the branch parameter be
// present in all requests, the BNF for the header field indicates that
// it is optional.  This allows interoperation with RFC 2543 elements,
// which did not have to insert the branch parameter."
#[test]
fn a_via_without_a_branch_or_with_one_of_another_kind() {
    assert_eq!(request(INVITE).headers().branch(), None);
    // RFC 3261 §8.1.1.7: "These
    // 7 characters are used as a magic cookie (7 is deemed sufficient to
    // ensure that an older RFC 2543 implementation would not pick such a
    // value)"
    let other = INVITE.replace("kton.bell-tel.com\r\nf", "kton.bell-tel.com;branch=1.2\r\nf");
    assert_eq!(request(&other).headers().branch(), Some("1.2"));
    // `hidden` was a parameter without a value.
    let hidden = INVITE.replace("UDP kton.bell-tel.com", "UDP 7f5a2c;hidden");
    let request = request(&hidden);
    let via = request.get::<Via>().unwrap().unwrap();
    assert_eq!((via.sent_by(), via.param("hidden").unwrap().value()), ("7f5a2c", None));
}

// RFC 3261 §12.1.1: "A UAS MUST be prepared to receive a
// request without a tag in the From field, in which case the tag is
// considered to have a value of null."
#[test]
fn a_from_without_a_tag() {
    let invite = request(INVITE);
    assert_eq!((invite.headers().from_tag(), invite.headers().to_tag()), (None, None));
    assert_eq!(invite.get::<From>().unwrap().unwrap().display_name().as_deref(), Some("A. Bell"));
    // It can be answered.
    let busy = Response::to_request(&invite, StatusCode::BUSY_HERE).to_tag("1").build().unwrap();
    busy.validate().unwrap();
    assert_eq!((busy.headers().from_tag(), busy.headers().to_tag()), (None, Some("1")));
}

// RFC 3261 §12.1.2: "A
// UAC MUST be prepared to receive a response without a tag in the To
// field, in which case the tag is considered to have a value of null."
#[test]
fn a_response_without_a_to_tag() {
    let ok = response(OK);
    assert_eq!(ok.headers().to_tag(), None);
    let contact = ok.get::<Contact>().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().as_str(), "sip:watson@boston.bell-tel.com");
    assert_eq!(ok.get::<To>().unwrap().unwrap().uri().user(), Some("watson"));
}

/// Whether it can make a dialog is the user agent's to say.
#[test]
fn an_invite_without_a_contact() {
    assert_eq!(request(INVITE).get::<Contact>().unwrap(), None);
}

// RFC 3261 §16.3: "If the request does not contain a Max-Forwards header field, this check
// is passed."
#[test]
fn a_request_without_max_forwards() {
    assert_eq!(request(INVITE).headers().max_forwards(), None);
}

// RFC 3261 §18.3: "If the message has no Content-Length header field, the message body is
// assumed to end at the end of the transport packet."
#[test]
fn a_datagram_without_a_content_length() {
    assert_eq!(request(INVITE).body(), b"v=0\r\n");
    assert_eq!(response(OK).body(), b"");
}

// RFC 3261 §7.3.3: "Implementations MUST accept both the long and short forms of each header name."
#[test]
fn short_names() {
    let invite = request(INVITE);
    let long = INVITE.replace("\r\nv: ", "\r\nVia: ").replace("\r\nf: ", "\r\nFrom: ");
    let long = long.replace("\r\nt: ", "\r\nTo: ").replace("\r\ni: ", "\r\nCall-ID: ");
    let long = request(&long.replace("\r\nc: ", "\r\nContent-Type: "));
    for name in [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::ContentType,
    ] {
        assert!(invite.raw(name).is_some() && invite.raw(name) == long.raw(name), "{name}");
    }
}

// RFC 3261 §8.1.3.4: "If an
// absolute time is received, it will be treated as malformed, and
// then default to 3600."
#[test]
fn dates_in_expires_and_retry_after() {
    let date = "Thu, 01 Dec 1994 16:00:00 GMT";
    let invite = request(&with(&format!("Expires: {date}")));
    let error = invite.get::<Expires>().unwrap_err();
    assert_eq!(error.kind(), HeaderErrorKind::Number);
    let contact = format!("m: <sip:a.g.bell@bell-tel.com>;expires=\"{date}\";action=proxy");
    let invite = request(&with(&contact));
    let contact = invite.get::<Contact>().unwrap().unwrap();
    assert_eq!(contact.expires(), Some(3600));
    assert_eq!(contact.param("action").unwrap().value().as_deref(), Some("proxy"));
    let busy = OK
        .replace("200 OK", "486 Busy Here")
        .replace("CSeq", &format!("Retry-After: {date}\r\nCSeq"));
    assert!(response(&busy).get::<RetryAfter>().is_err());
}

// RFC 3261 §16.12.1.2: a strict router puts itself in without `lr`.
#[test]
fn routes_of_strict_routers() {
    let line = "Record-Route: <sip:watson@bell-tel.com;maddr=ss1.bell-tel.com>";
    let invite = request(&with(line));
    let route = invite.get::<RecordRoute>().unwrap().unwrap();
    assert_eq!(
        (route.uri().lr(), route.uri().maddr()),
        (false, Some(Host::Name("ss1.bell-tel.com")))
    );
}

/// Basic credentials, PGP, Hide, Encryption and Response-Key: read as any other, and ignored.
// RFC 3261 §22: "servers MUST NOT accept
// credentials using the "Basic" authorization scheme"
#[test]
fn deprecated_header_fields_and_schemes() {
    let lines = "Hide: route\r\nEncryption: PGP version=2.6.2,encoding=ascii\r\n\
        Response-Key: pgp version=\"2.6.2\"\r\nAuthorization: Basic QWxhZGRpbjpvcGVu";
    let invite = request(&with(lines));
    let authorization = invite.get::<Authorization>().unwrap().unwrap();
    assert_eq!((authorization.scheme(), authorization.username()), ("Basic", None));
    assert_eq!(invite.raw(HeaderName::Other("hide")), Some(&b"route"[..]));
}

// RFC 3261 §28.1: "In RFC 2543, lines in a message could be terminated with CR, LF,
// or CRLF.  This specification only allows CRLF."
#[test]
fn other_line_ends() {
    // A bare LF is unmistakable.
    let invite = request(&INVITE.replace("\r\n", "\n"));
    assert_eq!(invite.get::<CSeq>().unwrap().unwrap().number(), 1);
    assert_eq!(invite.body(), b"v=0\n");
    // A bare CR is not: the next element may see a line end, or none.
    let bare = parse(&INVITE.replace(">\r\nt:", ">\rt:"));
    assert_eq!(bare.validate().unwrap_err().kind(), RefusalKind::BareCr);
}

// RFC 3261 §28.1: "RFC 2543 allowed multiple requests in a single UDP packet.  This
// usage has been removed."
#[test]
fn a_second_request_in_a_datagram_is_not_read() {
    let first = INVITE.replace("CSeq", "l: 5\r\nCSeq");
    let both = format!("{first}{INVITE}");
    assert_eq!(request(&both).to_bytes(), first.as_bytes());
}
