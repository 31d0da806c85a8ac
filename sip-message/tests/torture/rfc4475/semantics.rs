//! RFC 4475 §3.2 to §3.4: what every element owes to messages that ask for more than a parser.

use sip_message::{
    Accept, Authorization, Contact, From, HeaderName, Host, Limits, Message, ProxyRequire,
    RecordRoute, RefusalKind, Require, Scheme, StatusCode, To, Uri, Via,
};

use crate::vectors::semantics::*;
use crate::{datagram, frame, parse, refused, request, response};

// RFC 4475 §3.2.1: "A parser must not break when
// receiving this message."
#[test]
fn badbranch() {
    // The transaction layer falls back to what RFC 2543 told transactions apart by.
    assert_eq!(request(BADBRANCH).headers().branch(), Some("z9hG4bK"));
}

// RFC 4475 §3.3.1: "An element receiving this message must not break because of the
// missing information.  Ideally, it will respond with a 400 Bad Request
// error."
#[test]
fn insuf() {
    // What is missing is missing at the end of the head.
    let name = Some(HeaderName::To);
    let refusal = refused(INSUF, 400, name, RefusalKind::Missing, "v=0\r\n");
    assert_eq!(refusal.to_string(), "400 Bad Request: To is missing (RFC 3261 §8.1.1)");
    let headers = parse(INSUF).unwrap();
    let headers = headers.headers();
    assert_eq!((headers.call_id(), headers.from_tag(), headers.to_tag()), (None, None, None));
}

// RFC 4475 §3.3.2: "A
// parser must accept this as a well-formed SIP request."
#[test]
fn unkscm() {
    let options = request(UNKSCM);
    let uri = options.uri().unwrap();
    assert_eq!(uri.scheme(), Scheme::Other("nobodyKnowsThisScheme"));
    assert_eq!((uri.opaque(), uri.host()), ("totallyopaquecontent", None));
}

// RFC 4475 §3.3.3: "A
// parser must accept this as a well-formed SIP request."
#[test]
fn novelsc() {
    let options = request(NOVELSC);
    let uri = options.uri().unwrap();
    assert_eq!(uri.scheme(), Scheme::Other("soap.beep"));
    assert_eq!((uri.opaque(), uri.is_sip()), ("//192.0.2.103:3002", false));
}

// RFC 4475 §3.3.4: "The message is syntactically valid.
// Parsers must not fail when receiving this message."
#[test]
fn unksm2() {
    let register = request(UNKSM2);
    let to: To = register.get().unwrap().unwrap();
    assert_eq!((to.uri().scheme(), to.uri().opaque()), (Scheme::Other("isbn"), "2983792873"));
    let from: From = register.get().unwrap().unwrap();
    assert_eq!(from.uri().as_str(), "http://www.example.com");
    assert_eq!(from.tag(), Some("3234233"));
    let contact: Contact = register.get().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().scheme(), Scheme::Other("name"));
}

// RFC 4475 §3.3.5: "Any element receiving this request will respond with a 420 Bad
// Extension response, containing an Unsupported header field listing
// these features from either the Require or Proxy-Require header field"
#[test]
fn bext01() {
    let options = request(BEXT01);
    let require: Require = options.get().unwrap().unwrap();
    let tags: Vec<_> = require.iter().collect();
    assert_eq!(tags, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    let require: ProxyRequire = options.get().unwrap().unwrap();
    let tags: Vec<_> = require.iter().collect();
    assert_eq!(tags, ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]);
}

// RFC 4475 §3.3.6: "It is
// syntactically valid.  A parser must not fail when receiving it."
#[test]
fn invut() {
    let invite = request(INVUT);
    assert_eq!(invite.raw(HeaderName::ContentType), Some(&b"application/unknownformat"[..]));
    assert_eq!(invite.body(), b"<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n");
}

// RFC 4475 §3.3.7: "The request is well formed.  A parser must not fail
// when receiving it."
#[test]
fn regaut01() {
    let register = request(REGAUT01);
    let authorization: Authorization = register.get().unwrap().unwrap();
    assert_eq!(authorization.scheme(), "NoOneKnowsThisScheme");
    let data = authorization.param("opaque-data").unwrap();
    assert_eq!(data.value(), "here");
    assert_eq!(authorization.username(), None);
}

// RFC 4475 §3.3.8: "An element receiving this request would respond with a 400 Bad
// Request error."
#[test]
fn multi01() {
    let name = Some(HeaderName::To);
    refused(MULTI01, 400, name, RefusalKind::Repeated, "sip:other@example.net");
    // Each of the other repetitions alone is refused as well.
    let text = std::str::from_utf8(MULTI01.bytes).unwrap();
    let seconds = [
        ("CSeq", "CSeq: 59 INVITE\r\n"),
        ("Call-ID", "Call-ID: multi01.98asdh@192.0.2.2\r\n"),
        ("From", "From: sip:caller@example.net;tag=2923420123\r\n"),
        ("To", "To: sip:other@example.net\r\n"),
        ("Max-Forwards", "Max-Forwards: 5\r\n"),
    ];
    for (name, _) in seconds {
        let others = seconds.iter().filter(|(other, _)| *other != name);
        let text = others.fold(text.to_owned(), |text, (_, line)| text.replacen(line, "", 1));
        let message = Message::parse(text.into(), &Limits::default()).unwrap();
        let refusal = message.validate().unwrap_err();
        assert_eq!(refusal.header().unwrap().as_str(), name);
        assert_eq!(refusal.kind(), RefusalKind::Repeated);
    }
}

// RFC 4475 §3.3.9: "An element receiving this message should respond with an error."
#[test]
fn mcl01() {
    let name = Some(HeaderName::ContentLength);
    refused(MCL01, 400, name, RefusalKind::Repeated, "Content-Length: 5");
    // RFC 4475 §3.3.9: "If a request like this arrives over TCP, the
    // framing error is not recoverable, and the connection should be
    // closed."
    let error = frame(MCL01).unwrap_err();
    assert_eq!((error.refusal().header(), error.refusal().kind()), (name, RefusalKind::Repeated));
}

// RFC 4475 §3.3.10: "The message is well formed; parsers
// must not fail when receiving it."
#[test]
fn bcast() {
    let ok = response(BCAST);
    assert_eq!(ok.status(), StatusCode::OK);
    let vias: Vec<Via<'_>> = ok.get_all().map(Result::unwrap).collect();
    let hosts: Vec<Host<'_>> = vias.iter().map(Via::host).collect();
    assert_eq!(hosts, [Host::V4([192, 0, 2, 198].into()), Host::V4([255; 4].into())]);
}

// RFC 4475 §3.3.11: "This is a legal SIP request with the Max-Forwards header field value
// set to zero."
#[test]
fn zeromf() {
    assert_eq!(request(ZEROMF).headers().max_forwards(), Some(0));
}

// RFC 4475 §3.3.12: "This register request contains a contact where the 'unknownparam'
// parameter must be interpreted as a contact-param and not a url-param."
#[test]
fn cparam01() {
    let register = request(CPARAM01);
    let contact: Contact = register.get().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().as_str(), "sip:+19725552222@gw1.example.net");
    assert_eq!(contact.uri().unwrap().param("unknownparam"), None);
    assert_eq!(contact.param("unknownparam").unwrap().value(), None);
}

// RFC 4475 §3.3.13: "The register should succeed, and a subsequent retrieval of the
// registration must include "unknownparam" as a url-parameter."
#[test]
fn cparam02() {
    let register = request(CPARAM02);
    let contact: Contact = register.get().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().param("unknownparam").unwrap().value(), None);
    assert_eq!(contact.param("unknownparam"), None);
    assert_eq!(contact.uri().unwrap().user(), Some("+19725552222"));
}

// RFC 4475 §3.3.14: "The register should succeed, and a subsequent retrieval of the
// registration must include the escaped Route header in the contact URI
// for this binding."
#[test]
fn regescrt() {
    let register = request(REGESCRT);
    let contact: Contact = register.get().unwrap().unwrap();
    let uri = contact.uri().unwrap();
    let headers: Vec<_> = uri.headers().map(|h| (h.name(), h.value_decoded().unwrap())).collect();
    assert_eq!(headers, [("Route", "<sip:sip.example.com>".into())]);
    assert!(!uri.is_equivalent(&Uri::parse(b"sip:user@example.com").unwrap()));
}

// RFC 4475 §3.3.15: "This request indicates that the response must contain a body in an
// unknown type."
#[test]
fn sdp01() {
    let invite = request(SDP01);
    let accept: Accept = invite.get().unwrap().unwrap();
    assert!(!accept.accepts("application", "sdp") && accept.accepts("text", "nobodyKnowsThis"));
}

// RFC 4475 §3.4.1: "This is a legal message per RFC 2543 (and several bis versions) that
// should be accepted by RFC 3261 elements that want to maintain
// backwards compatibility."
#[test]
fn inv2543() {
    let invite = datagram(INV2543).into_request().unwrap();
    let headers = invite.headers();
    // "no branch parameter at all", "no From tag", "no Max-Forwards header field"
    assert_eq!((headers.branch(), headers.from_tag(), headers.max_forwards()), (None, None, None));
    assert_eq!(headers.top_via().unwrap().sent_by(), "iftgw.example.com");
    let to: To = invite.get().unwrap().unwrap();
    assert_eq!(to.uri().as_str(), "sip:+16505552222@ss1.example.net");
    assert_eq!(to.param("user").unwrap().value().as_deref(), Some("phone"));
    let route: RecordRoute = invite.get().unwrap().unwrap();
    assert_eq!(route.uri().maddr(), Some(Host::Name("ss1.example.com")));
    assert!(!route.uri().lr());
    // RFC 4475 §3.4.1: "The body is assumed to be
    // all octets in the datagram after the null-line."
    assert_eq!(invite.body().len(), 105);
    // RFC 3261 §18.3: "The Content-Length header field MUST be used with stream oriented
    // transports."
    let error = frame(INV2543).unwrap_err();
    let name = Some(HeaderName::ContentLength);
    assert_eq!((error.refusal().header(), error.refusal().kind()), (name, RefusalKind::Missing));
}
