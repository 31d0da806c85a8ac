//! RFC 4475 §3.1.2: what is refused, with which status, for which byte of which header field.

use sip_message::{
    CSeq, Contact, Date, Expires, Frame, FrameError, Header, HeaderErrorKind, HeaderName, Limits,
    MaxForwards, Message, Method, ParseErrorKind, RefusalKind, RetryAfter, StreamFramer,
    UriErrorKind, Via, Warning,
};

use crate::vectors::invalid::*;
use crate::{accepted, frame, parse, refused};
use RefusalKind::Value;

/// The refusal of the framing of a stream, which has to be closed.
#[track_caller]
fn unframed(result: Result<Frame, FrameError>) -> (Option<HeaderName<'static>>, RefusalKind) {
    let refusal = *result.unwrap_err().refusal();
    assert_eq!(refusal.status().as_u16(), 400);
    (refusal.header(), refusal.kind())
}

// RFC 4475 §3.1.2.1: "An element receiving this request should respond with a 400 Bad
// Request error."
#[test]
fn badinv01() {
    let kind = Value(HeaderErrorKind::Parameter);
    refused(BADINV01, 400, Some(HeaderName::Via), kind, ";,;,,");
    // "additional semicolons without parameters" are as wrong in Contact.
    let error = Contact::parse(b"\"Joe\" <sip:joe@example.org>;;;;").unwrap_err();
    assert_eq!((error.kind(), error.offset()), (HeaderErrorKind::Parameter, 28));
}

// RFC 4475 §3.1.2.2: "When sent over UDP (as this message ostensibly was), the receiving
// element should respond with a 400 Bad Request error."
#[test]
fn clerr() {
    let name = HeaderName::ContentLength;
    refused(CLERR, 400, Some(name), RefusalKind::BodyTooShort, "Content-Length: 9999");
    // RFC 4475 §3.1.2.2: "there's not much
    // the receiving party could do but wait for more data on the stream"
    assert_eq!(frame(CLERR).unwrap(), Frame::NeedMore);
}

// RFC 4475 §3.1.2.3: "An element receiving this message should respond with an error."
#[test]
fn ncl() {
    let name = HeaderName::ContentLength;
    refused(NCL, 400, Some(name), RefusalKind::ContentLength, "Content-Length: -999");
    // RFC 4475 §3.1.2.3: "If a request like this arrives over TCP, the
    // framing error is not recoverable, and the connection should be
    // closed.  The same behavior is appropriate for messages that arrive
    // without a numeric value in the Content-Length header field"
    assert_eq!(unframed(frame(NCL)), (Some(name), RefusalKind::ContentLength));
    let five = std::str::from_utf8(NCL.bytes).unwrap().replace("-999", "five");
    let framed = StreamFramer::new(Limits::default()).next(five.as_bytes());
    assert_eq!(unframed(framed), (Some(name), RefusalKind::ContentLength));
}

// RFC 4475 §3.1.2.4: "An element receiving this request should respond with a 400 Bad
// Request due to the CSeq error."
#[test]
fn scalar02() {
    let number = Value(HeaderErrorKind::Number);
    refused(SCALAR02, 400, Some(HeaderName::CSeq), number, "36893488147419103232 REGISTER");
    let register = parse(SCALAR02).unwrap().into_request().unwrap();
    assert!(register.get::<CSeq>().is_err() && register.headers().cseq().is_none());
    assert!(register.get::<MaxForwards>().is_err() && register.headers().max_forwards().is_none());
    assert!(register.get::<Expires>().is_err());
    // RFC 4475 §3.1.2.4: "If only the expiry values were in error, the
    // element could treat them as if they contained the default values for
    // expiration (3600 in this case)."
    let contact: Contact = register.get().unwrap().unwrap();
    assert_eq!(contact.expires(), Some(3600));
    // RFC 4475 §3.1.2.4: "Other scalar request fields that may contain aberrant values include,
    // but are not limited to, the Contact q value, the Timestamp value, and
    // the Via ttl parameter."
    let contact = Contact::parse(b"<sip:user@host129.example.com>;q=1.1").unwrap();
    assert_eq!(contact.q(), None);
    let via = Via::parse(b"SIP/2.0/UDP 192.0.2.1;maddr=224.2.0.1;ttl=256").unwrap();
    assert_eq!(via.ttl(), None);
}

// RFC 4475 §3.1.2.5: "An element receiving this response will simply discard it."
#[test]
fn scalarlg() {
    let number = Value(HeaderErrorKind::Number);
    refused(SCALARLG, 400, Some(HeaderName::CSeq), number, "9292394834772304023312 OPTIONS");
    // Of the other two only who asks for them need know: a response that is discarded is one that
    // the client waits for in vain.
    let text = std::str::from_utf8(SCALARLG.bytes).unwrap();
    let text = text.replace("9292394834772304023312", "35");
    let message = Message::parse(text.into(), &Limits::default()).unwrap();
    message.validate().unwrap();
    let response = message.into_response().unwrap();
    let error = response.get::<RetryAfter>().unwrap_err();
    assert_eq!((error.header(), error.kind()), (HeaderName::RetryAfter, HeaderErrorKind::Number));
    let error = response.get::<Warning>().unwrap_err();
    assert_eq!((error.header(), error.kind()), (HeaderName::Warning, HeaderErrorKind::Number));
}

// RFC 4475 §3.1.2.6: "An element receiving this request should return a 400
// Bad Request error."
#[test]
fn quotbal() {
    let kind = Value(HeaderErrorKind::QuotedString);
    refused(QUOTBAL, 400, Some(HeaderName::To), kind, "\"Mr. J. User <");
}

// RFC 4475 §3.1.2.7: "It is reasonable always to reject a request with this error with a
// 400 Bad Request."
#[test]
fn ltgtruri() {
    let kind = RefusalKind::RequestUri(UriErrorKind::Scheme);
    refused(LTGTRURI, 400, None, kind, "<sip:user@example.com> SIP/2.0");
}

// RFC 4475 §3.1.2.8: "An element receiving this request should respond with a 400 Bad
// Request."
#[test]
fn lwsruri() {
    refused(LWSRURI, 400, None, RefusalKind::StartLineSpace, " lr SIP/2.0");
}

// RFC 4475 §3.1.2.9: "It is acceptable to reject this request as malformed."
#[test]
fn lwsstart() {
    refused(LWSSTART, 400, None, RefusalKind::StartLineSpace, "  sip:user@example.com  SIP");
}

// RFC 4475 §3.1.2.10: "It is acceptable to reject this request as malformed."
#[test]
fn trws() {
    refused(TRWS, 400, None, RefusalKind::StartLineSpace, "  \r\n");
}

// RFC 4475 §3.1.2.11: "It is acceptable for an element to reject this request with a 400 Bad
// Request."
#[test]
fn escruri() {
    refused(ESCRURI, 400, None, RefusalKind::RequestUriHeaders, "?Route=");
}

// RFC 4475 §3.1.2.12: "It is acceptable to reject this request as malformed (though an
// element shouldn't do that unless the contents of the Date header
// field were actually important to its processing)."
#[test]
fn baddate() {
    let invite = accepted(BADDATE).into_request().unwrap();
    // Who wants the date learns that it is none, and where.
    let error = invite.get::<Date>().unwrap_err();
    assert_eq!((error.header(), error.kind()), (HeaderName::Date, HeaderErrorKind::Date));
    // RFC 4475 §3.1.2.12: ""UT", while synonymous with GMT per [RFC2822], is not
    // valid.  "UTC" and "UCT" are also invalid."
    for zone in ["UT", "UTC", "UCT"] {
        assert!(Date::parse(format!("Fri, 01 Jan 2010 16:00:00 {zone}").as_bytes()).is_err());
    }
    assert!(Date::parse(b"Fri, 01 Jan 2010 16:00:00 GMT").is_ok());
}

// RFC 4475 §3.1.2.13: "It is reasonable for an element receiving this request to respond
// with a 400 Bad Request."
#[test]
fn regbadct() {
    let kind = Value(HeaderErrorKind::AngleBrackets);
    refused(REGBADCT, 400, Some(HeaderName::Contact), kind, "?Route=");
}

// RFC 4475 §3.1.2.14: "It
// is reasonable to reject this request with a 400 Bad Request response."
#[test]
fn badaspec() {
    let kind = Value(HeaderErrorKind::Uri(UriErrorKind::Scheme));
    refused(BADASPEC, 400, Some(HeaderName::To), kind, " sip:t.watson@example.org >");
}

// RFC 4475 §3.1.2.15: "It is reasonable always to reject this kind of error with a 400 Bad
// Request response."
#[test]
fn baddn() {
    // As the archive has it, the message lacks its empty line, too: what stands first is told.
    let kind = Value(HeaderErrorKind::DisplayName);
    refused(BADDN, 400, Some(HeaderName::To), kind, ", Thomas");
    assert_eq!(frame(BADDN).unwrap(), Frame::NeedMore);
    let whole = [BADDN.bytes, b"\r\n"].concat();
    let message = Message::parse(whole.into(), &Limits::default()).unwrap();
    assert_eq!(message.validate(), parse(BADDN).unwrap().validate());
    // Only the display names and the end are at fault.
    let text = std::str::from_utf8(BADDN.bytes).unwrap();
    let text = text.replace("Bell, Alexander", "\"Bell, A\"").replace("Watson, ", "Watson ");
    let message = Message::parse(text.clone().into(), &Limits::default()).unwrap();
    let refusal = message.validate().unwrap_err();
    assert_eq!((refusal.kind(), refusal.offset()), (RefusalKind::HeadNotEnded, text.len()));
}

// RFC 4475 §3.1.2.16: "The element should respond to the request with a 505 Version Not
// Supported error."
#[test]
fn badvers() {
    refused(BADVERS, 505, None, RefusalKind::Version, "OPTIONS sip:");
    assert_eq!(parse(BADVERS).unwrap().into_request().unwrap().version(), (7, 0));
}

// RFC 4475 §3.1.2.17: "Any element receiving this request will
// respond with a 400 Bad Request."
#[test]
fn mismatch01() {
    refused(MISMATCH01, 400, Some(HeaderName::CSeq), RefusalKind::MethodMismatch, "8 INVITE");
}

// RFC 4475 §3.1.2.18: "Any element receiving this response should respond with a 501 Not
// Implemented.  A 400 Bad Request is also acceptable, but choosing a
// 501 (particularly at proxies) has better future-proof
// characteristics."
#[test]
fn mismatch02() {
    refused(MISMATCH02, 501, Some(HeaderName::CSeq), RefusalKind::MethodMismatch, "8 INVITE");
    let request = parse(MISMATCH02).unwrap().into_request().unwrap();
    assert_eq!(*request.method(), Method::Other("NEWMETHOD".into()));
}

// RFC 4475 §3.1.2.19: "An element
// receiving this response should simply drop it."
#[test]
fn bigcode() {
    let error = parse(BIGCODE).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ParseErrorKind::StatusCode, "SIP/2.0 ".len()));
    assert_eq!(error.status(), None);
    // On a stream it is framed, so that what comes after it is found.
    assert_eq!(frame(BIGCODE).unwrap(), Frame::Message { len: BIGCODE.bytes.len() });
}

/// What is malformed and framed leaves the stream usable: RFC 4475 names the exceptions.
#[test]
fn all_others_are_framed() {
    for vector in crate::vectors::RFC_4475 {
        let whole = Frame::Message { len: vector.bytes.len() };
        let framed = frame(*vector).ok();
        let other = ["clerr", "ncl", "baddn", "mcl01", "dblreq", "inv2543"].contains(&vector.name);
        assert_eq!(framed == Some(whole), !other, "{}: {framed:?}", vector.name);
    }
}
