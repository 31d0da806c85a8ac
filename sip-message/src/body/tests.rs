use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use std::format;

use proptest::prelude::*;

use super::*;
use crate::{BuildError, Message, Response, StatusCode};
use BodyErrorKind::{
    Boundary, FieldLine, NoPart, TooDeep, TooManyParts, TransferEncoding as BadEncoding,
    Unterminated,
};

fn message(content_type: &str, body: impl AsRef<[u8]>) -> Message {
    let head = format!("INVITE sip:b@c SIP/2.0\r\nContent-Type: {content_type}\r\n\r\n");
    let bytes = [head.as_bytes(), body.as_ref()].concat();
    Message::parse(bytes.into(), &Limits::default()).unwrap()
}

/// What the parts of a multipart with the boundary `b` hold, and the error that ends it.
fn parts_of(body: &str) -> (Vec<String>, Option<BodyError>) {
    let message = message("multipart/mixed;boundary=b", body);
    let parts = match message.content().parts() {
        Ok(parts) => parts.expect("a multipart"),
        Err(error) => return (vec![], Some(error)),
    };
    let (mut seen, mut error) = (vec![], None);
    for part in parts {
        match part {
            Ok(part) => {
                let (at, bytes) = (part.offset(), part.bytes());
                assert_eq!(&message.body()[at..at + bytes.len()], bytes);
                seen.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            Err(found) => error = Some(found),
        }
    }
    (seen, error)
}

// RFC 4475 §3.1.1.11
#[test]
fn the_torture_message_with_a_binary_part() {
    const SIGNED: &[u8] =
        b"0\x82\x01R\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x02\xa0\x82\x01C0\x82\x01?\x02\x01\x011\
    \x090\x07\x06\x05+\x0e\x03\x02\x1a0\x0b\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x011\x82\
    \x01 0\x82\x01\x1c\x02\x01\x010|0p1\x0b0\x09\x06\x03U\x04\x06\x13\x02US1\x130\x11\
    \x06\x03U\x04\x08\x13\x0aCalifornia1\x110\x0f\x06\x03U\x04\x07\x13\x08San Jose1\x0e0\
    \x0c\x06\x03U\x04\x0a\x13\x05sipit1)0'\x06\x03U\x04\x0b\x13 Sipit Test Certificate A\
    uthority\x02\x08\x01\x95\x00q\x023\x01\x130\x07\x06\x05+\x0e\x03\x02\x1a0\x0d\x06\
    \x09*\x86H\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x81\x80\x8e\xf4f\xf9H\xf0R-\xd2\xe5\
    \x97\x8e\x9d\x95\xaa\xe9\xf2\xfe\x15\xa0fYqb\x92\xe8\xda*\xa8\xd85\x0ah\xce\xff\xae<\
    \xbd+\xff\x16u\xdd\xd5d\x8eY=\xd6G(\xf2b \xf7\xe9At\x9e3\x0d\x9a\x15\xed\xab\xdb\x93\
    \xd1\x0cB\x10.{r\x89\xd2\x9c\xc0\xc9\xae.\xfb\xc7\xc0\xcf\xf9\x17/;\x02~O\xc0'\xe1Tm\
    \xe4\xb6\xaa:\xbb>f\xcc\xcb]\xd6\xc6K\x83\x83\x14\x9c\xb8\xe6\xff\x18-\x94O\xe5{e\
    \xbc\x99\xd0\x05";
    const BOUNDARY: &str = "7a9cbec02ceef655";
    let plain = format!(
        "--{BOUNDARY}\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n\
         --{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let body = [plain.as_bytes(), SIGNED, end.as_bytes()].concat();
    assert_eq!(body.len(), 553, "its Content-Length");
    let message = message(&format!("multipart/mixed;boundary={BOUNDARY}"), &body);
    let parts = message.content().parts().unwrap().expect("a multipart");
    let parts: Vec<_> = parts.collect::<Result<_, _>>().unwrap();
    let [hello, signed] = &parts[..] else { panic!("{parts:?}") };
    assert!(hello.is("text", "plain") && hello.bytes() == b"Hello");
    assert!(signed.is("application", "octet-stream") && signed.bytes() == SIGNED);
    assert_eq!(signed.decoded().as_deref(), Ok(SIGNED));
    assert_eq!(signed.headers().count(), 2);
}

const SDP: &str = "v=0\r\n\
    o=alice 2890844526 2890842807 IN IP4 atlanta.example.com\r\n\
    s=-\r\n\
    c=IN IP4 192.0.2.1\r\n\
    t=0 0\r\n\
    m=audio 20000 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    m=video 20002 RTP/AVP 31\r\n\
    a=rtpmap:31 H261/90000\r\n";

// RFC 5621 §3.1, figures 1 and 2
#[test]
fn bodies_of_rfc_5621() {
    let limits = Limits::default();
    let plain = message("application/sdp", SDP);
    let found = plain.content().session_description(&limits).unwrap().expect("the body");
    assert_eq!((found.bytes(), found.offset()), (SDP.as_bytes(), 0));
    assert!(found.disposition().unwrap().is("session") && found.is_required());

    let list = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\r\n\
        \x20 <list>\r\n\
        \x20   <entry uri=\"sip:bill@example.com\"/>\r\n\
        \x20   <entry uri=\"sip:randy@example.net\"/>\r\n\
        \x20   <entry uri=\"sip:joe@example.org\"/>\r\n\
        \x20 </list>\r\n\
        </resource-lists>";
    let body = format!(
        "--boundary1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n\
         --boundary1\r\nContent-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list\r\n\r\n{list}\r\n--boundary1--\r\n"
    );
    let both = message("multipart/mixed;boundary=\"boundary1\"", &body);
    let found = both.content().session_description(&limits).unwrap().expect("the first part");
    assert_eq!(found.bytes(), SDP.as_bytes());
    let parts: Vec<_> = both.content().parts().unwrap().expect("two").map(Result::unwrap).collect();
    assert_eq!(parts[1].bytes(), list.as_bytes());
    assert_eq!(parts[1].disposition().unwrap().disposition_type(), "recipient-list");
    let understood = |content: &Content<'_>| content.is("application", "sdp");
    let refused = both.content().unsupported(&limits, understood).unwrap().expect("the list");
    assert_eq!(refused.offset(), parts[1].offset());
}

#[test]
fn where_parts_begin_and_end() {
    // body, parts
    for (body, parts) in [
        ("--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", &["one", "two"][..]),
        ("--b\r\n\r\none\r\n--b--", &["one"]),
        // The line end before a boundary is the boundary's, and only that one.
        ("--b\r\n\r\none\r\n\r\n--b--", &["one\r\n"]),
        ("--b\r\n\r\n\r\n--b--", &[""]),
        ("--b\r\n\r\n--b--", &[""]),
        ("--b\r\n--b--", &[""]),
        ("--b\r\n--b\r\n--b--", &["", ""]),
        ("--b\r\nA: b\r\n--b--", &[""]),
        // Preamble, epilogue, white space after a boundary.
        ("pre\r\n--b \t\r\n\r\none\r\n--b-- \r\npost\r\n--b\r\n\r\nno\r\n", &["one"]),
        ("\r\n--b\r\n\r\none\r\n--b--", &["one"]),
        ("pre --b\r\n--b\r\n\r\none\r\n--b--", &["one"]),
        // What is no boundary.
        (
            "--b\r\n\r\n--bb\r\n--b-\r\n--b--x\r\n -- b\r\nx--b\r\n--b--",
            &["--bb\r\n--b-\r\n--b--x\r\n -- b\r\nx--b"],
        ),
        ("--b\r\n\r\none\n--b\r\n\r\ntwo\r\n--b--", &["one\n--b\r\n\r\ntwo"]),
        ("--b\r\n\r\none\r\n--b\nx\r\n--b--", &["one\r\n--b\nx"]),
        ("--b\r\n\r\none\r\n--B\r\n\r\n--b--", &["one\r\n--B\r\n"]),
        // A sender that writes bare LFs.
        ("--b\nA: b\n\none\n--b\n\ntwo\r\n--b--\n", &["one", "two"]),
        ("pre\n--b\r\n\r\none\r\n--b--", &["one"]),
        // Folded and odd header fields.
        ("--b\r\nA: b\r\n c\r\nB :d\r\n\r\none\r\n--b--", &["one"]),
    ] {
        assert_eq!(
            parts_of(body),
            (parts.iter().map(|p| p.to_string()).collect(), None),
            "{body:?}"
        );
    }
    let body = "pre\r\n--b\r\n\r\none\r\n--b-- \r\npost";
    let message = message("multipart/mixed;boundary=b", body);
    let mut parts = message.content().parts().unwrap().expect("a multipart");
    assert_eq!((parts.preamble(), parts.epilogue()), (&b"pre"[..], None));
    assert_eq!(parts.by_ref().count(), 1);
    assert_eq!(parts.epilogue(), Some(&b"post"[..]));
    assert!(parts.next().is_none());
}

#[test]
fn bad_multiparts() {
    // body, parts that are read nevertheless, what is wrong, where
    for (body, parts, kind, at) in [
        ("", &[][..], NoPart, 0),
        ("no boundary", &[], NoPart, 0),
        ("--b--", &[], NoPart, 0),
        ("--b--\r\n--b\r\n\r\none\r\n--b--", &[], NoPart, 0),
        ("--b", &[], NoPart, 0),
        ("--b\r\n\r\none", &["one"], Unterminated, 10),
        ("--b\r\n\r\none\r\n--b", &["one\r\n--b"], Unterminated, 15),
        ("--b\r\n\r\none\r\n--b\r\n", &["one", ""], Unterminated, 17),
        ("--b\r\nhello\r\n--b\r\n\r\ntwo\r\n--b--", &["two"], FieldLine, 5),
        ("--b\r\n\r\none\r\n--b\r\nA: b\r\n: c\r\n\r\n--b--", &["one"], FieldLine, 23),
        ("--b\r\n folded: x\r\n\r\none\r\n--b--", &[], FieldLine, 5),
    ] {
        let (seen, error) = parts_of(body);
        assert_eq!(seen, parts, "{body:?}");
        assert_eq!(error.map(|e| (e.kind(), e.offset())), Some((kind, at)), "{body:?}");
        assert_eq!(error.map(|e| e.status()), Some(StatusCode::BAD_REQUEST));
    }
    let long = "b".repeat(71);
    for (content_type, kind) in [
        ("multipart/mixed", Boundary),
        ("multipart/mixed;boundary=\"\"", Boundary),
        ("multipart/mixed;boundary=\"b \"", Boundary),
        ("multipart/mixed;boundary=\"b\tb\"", Boundary),
        (&*format!("multipart/mixed;boundary={long}"), Boundary),
        (&*format!("multipart/mixed;boundary={}", &long[1..]), NoPart),
        ("multipart/", BodyErrorKind::ContentType),
    ] {
        let message = message(content_type, "--b\r\n\r\none\r\n--b--");
        let error = message.content().parts().expect_err(content_type);
        assert_eq!((error.kind(), error.offset()), (kind, 0), "{content_type}");
    }
    for content_type in ["text/plain", "multi/part;boundary=b", "multipartx/mixed;boundary=b"] {
        let message = message(content_type, "--b\r\n\r\none\r\n--b--");
        assert!(message.content().parts().unwrap().is_none(), "{content_type}");
    }
    let folded = message("MultiPart/Mixed\r\n ; Boundary = \"a b\"", "--a b\r\n\r\none\r\n--a b--");
    assert_eq!(folded.content().parts().unwrap().expect("a multipart").count(), 1);
    // All of it encoded, in one way or the other.
    let body = "--b\r\n\r\none\r\n--b--";
    let encoded = message("multipart/mixed;boundary=b\r\nContent-Transfer-Encoding: base64", body);
    let error = encoded.content().parts().expect_err("encoded");
    assert_eq!((error.kind(), error.status().as_u16()), (BadEncoding, 415));
    let packed = message("multipart/mixed;boundary=b\r\nContent-Encoding: gzip", body);
    assert!(packed.content().parts().unwrap().is_none());
}

#[test]
fn what_describes_a_part() {
    let body = "--b\r\n\
        c: text/plain\r\n\
        Content-Type: Image/PNG\r\n\
        Content-Disposition: icon;\r\n handling=Optional\r\n\
        Content-ID: <id%1@example.com>\r\n\
        content-transfer-encoding: BASE64\r\n\
        X-Y: y\r\n\r\nAQI=\r\n\
        --b\r\n\r\nplain\r\n\
        --b\r\nContent-Type: application/SDP\r\nContent-Disposition: @\r\nContent-ID: id@x\r\n\r\nv=0\r\n\
        --b--";
    let message = message("multipart/mixed;boundary=b", body);
    let parts = message.content().parts().unwrap().expect("a multipart");
    let parts: Vec<_> = parts.map(Result::unwrap).collect();
    let [icon, plain, sdp] = &parts[..] else { panic!("{parts:?}") };
    // In MIME `c` is a name like any other, but it is SIP that carries it.
    assert_eq!(icon.raw(HeaderName::ContentType), Some(&b"text/plain"[..]));
    assert!(icon.is("TEXT", "plain") && !icon.is("text", "html"));
    assert_eq!(icon.raw(HeaderName::Other("x-y")), Some(&b"y"[..]));
    assert!(icon.is_disposition("ICON") && !icon.is_required());
    assert_eq!(icon.id(), Some("id%1@example.com"));
    let cid = |text: &str| icon.is_referenced_by(&Uri::parse(text.as_bytes()).unwrap());
    assert!(cid("cid:id%251@example.com") && cid("CID:id%251@example%2Ecom"));
    assert!(!cid("cid:other@example.com") && !cid("sip:id%251@example.com"));
    assert_eq!(icon.transfer_encoding(), TransferEncoding::Base64);
    assert_eq!(icon.decoded().as_deref(), Ok(&[1, 2][..]));
    assert_eq!(icon.headers().count(), 6);

    assert_eq!((plain.content_type(), plain.id()), (Ok(None), None));
    assert!(plain.is_disposition("render") && plain.is_required() && !plain.is_empty());
    assert_eq!(plain.transfer_encoding(), TransferEncoding::Identity);

    // Nobody knows what a malformed disposition is for: not the session.
    assert!(sdp.disposition().is_err() && sdp.is_required() && !sdp.is_disposition("session"));
    assert_eq!((sdp.id(), sdp.get::<ContentType<'_>>().unwrap().is_some()), (None, true));
    assert!(message.content().session_description(&Limits::default()).unwrap().is_none());

    let none = Message::parse(b"BYE sip:b SIP/2.0\r\n\r\n"[..].into(), &Limits::default()).unwrap();
    assert!(none.content().is_empty() && none.content().parts().unwrap().is_none());
    assert_eq!(none.content().headers().count(), 0);
}

#[test]
fn transfer_encodings() {
    for (encoding, text, expected) in [
        ("binary", "a=\r\n", Ok("a=\r\n")),
        ("8BIT", "a", Ok("a")),
        ("7bit", "a", Ok("a")),
        ("base64", "", Ok("")),
        ("base64", "TWFu", Ok("Man")),
        ("base64", "TW\r\nFu IA==\r\n", Ok("Man ")),
        ("base64", "+/+/", Err(())),
        ("base64", "TWE=", Ok("Ma")),
        ("base64", "TQ=\t=", Ok("M")),
        ("base64", "TQ", Err(())),
        ("base64", "TQ=", Err(())),
        ("base64", "T", Err(())),
        ("base64", "=", Err(())),
        ("base64", "T===", Err(())),
        ("base64", "TWE==", Err(())),
        ("base64", "TWE=TWE=", Err(())),
        ("base64", "TW-u", Err(())),
        ("quoted-printable", "a=20b=3D=\r\nc \t\r\nd=0d", Ok("a b=c\r\nd\r")),
        ("quoted-printable", "a\nb=\n", Ok("a\nb")),
        ("quoted-printable", "a=2", Err(())),
        ("quoted-printable", "a=GG", Err(())),
        ("x-uuencode", "a", Err(())),
    ] {
        let message =
            message(&format!("text/plain\r\nContent-Transfer-Encoding: {encoding}"), text);
        let decoded = message.content().decoded();
        match expected {
            Ok(expected) => assert_eq!(decoded.as_deref(), Ok(expected.as_bytes()), "{text:?}"),
            Err(()) if text == "+/+/" => assert_eq!(decoded.as_deref(), Ok(&b"\xFB\xFF\xBF"[..])),
            Err(()) => assert_eq!(decoded.map_err(|e| e.kind()), Err(BadEncoding), "{text:?}"),
        }
    }
    let at = |encoding, text| {
        let message =
            message(&format!("text/plain\r\nContent-Transfer-Encoding: {encoding}"), text);
        message.content().decoded().map_err(|error| error.offset()).err()
    };
    assert_eq!(
        (at("base64", "TWFu\r\n!"), at("base64", "TW"), at("x", "a")),
        (Some(6), Some(2), Some(0))
    );
    assert_eq!(at("quoted-printable", "one\r\ntwo=0x"), Some(8));
}

/// A multipart of these parts, each a head and a body.
fn multipart(subtype: &str, boundary: &str, parts: &[(&str, &str)]) -> (String, String) {
    let mut body = String::new();
    for (head, text) in parts {
        body += &format!("--{boundary}\r\n{head}\r\n\r\n{text}\r\n");
    }
    (format!("multipart/{subtype};boundary={boundary}"), format!("{body}--{boundary}--\r\n"))
}

#[test]
fn the_session_description_wherever_it_is() {
    let find = |(content_type, body): (String, String)| {
        let message = message(&content_type, body);
        let found = message.content().session_description(&Limits::default());
        found.unwrap().map(|sdp| String::from_utf8(sdp.bytes().to_vec()).unwrap())
    };
    const SDP: &str = "Content-Type: application/sdp";
    // RFC 5621 §4.1: a location object beside alternatives.
    let (kind, inner) =
        multipart("alternative", "in", &[(SDP, "old"), ("Content-Type: a/new", "new")]);
    let kind = format!("Content-Type: {kind}");
    assert_eq!(
        find(multipart("mixed", "out", &[("Content-Type: a/location", "x"), (&kind, &inner)]))
            .as_deref(),
        Some("old")
    );
    // Of two that are understood: the last alternative, the first of others.
    let two = [(SDP, "one"), (SDP, "two")];
    assert_eq!(find(multipart("alternative", "b", &two)).as_deref(), Some("two"));
    for subtype in ["mixed", "related", "x-unknown"] {
        assert_eq!(find(multipart(subtype, "b", &two)).as_deref(), Some("one"), "{subtype}");
    }
    for (head, found) in [
        ("Content-Type: application/sdp\r\nContent-Disposition: session;handling=optional", true),
        ("Content-Type: application/sdp\r\nContent-Disposition: early-session", false),
        ("Content-Type: application/sdp\r\nContent-Disposition: render", false),
        ("Content-Type: application/sdp\r\nContent-Encoding: gzip", false),
        ("Content-Type: application/sdp\r\nContent-Encoding: Identity", true),
        ("Content-Type: application/sdp\r\nContent-Encoding:", true),
        ("Content-Type: text/plain\r\nContent-Disposition: session", false),
        ("Content-Type: application/sdp;x=\"", false),
    ] {
        assert_eq!(find(multipart("mixed", "b", &[(head, "v=0")])).is_some(), found, "{head}");
    }
    assert_eq!(find(("application/sdp".into(), "".into())), None);
    assert_eq!(find(("message/sipfrag".into(), "v=0".into())), None);
}

#[test]
fn what_a_415_is_owed_for() {
    let refused = |(content_type, body): (String, String)| {
        let message = message(&content_type, body);
        let text =
            |content: &Content<'_>| content.is("text", "plain") && content.is_disposition("render");
        let found = message.content().unsupported(&Limits::default(), text);
        found
            .map(|found| {
                found.map(|content| {
                    content.raw(HeaderName::ContentType).map(<[u8]>::to_vec).unwrap_or_default()
                })
            })
            .map(|found| found.map(|text| String::from_utf8(text).unwrap()))
            .map_err(|error| error.kind())
    };
    const TEXT: &str = "Content-Type: text/plain";
    const HTML: &str = "Content-Type: text/html";
    const OPTIONAL: &str =
        "Content-Type: text/html\r\nContent-Disposition: render;handling=optional";
    let html = || Ok(Some("text/html".into()));
    assert_eq!(refused(("text/plain".into(), "x".into())), Ok(None));
    assert_eq!(refused(("text/html".into(), "x".into())), html());
    assert_eq!(
        refused((
            "text/html\r\nContent-Disposition: render ; handling=optional".into(),
            "x".into()
        )),
        Ok(None)
    );
    assert_eq!(
        refused(("text/plain\r\nContent-Disposition: alert".into(), "x".into())),
        Ok(Some("text/plain".into()))
    );
    // RFC 5621 §8.2: the parts of a mixed body each by itself.
    assert_eq!(
        refused(multipart("mixed", "b", &[(TEXT, ""), (OPTIONAL, ""), (TEXT, "")])),
        Ok(None)
    );
    assert_eq!(refused(multipart("mixed", "b", &[(TEXT, ""), (HTML, "")])), html());
    assert_eq!(refused(multipart("unknown", "b", &[(OPTIONAL, ""), (HTML, "")])), html());
    // Of alternatives one will do, whatever their handling.
    assert_eq!(refused(multipart("alternative", "b", &[(TEXT, ""), (HTML, "")])), Ok(None));
    assert_eq!(refused(multipart("alternative", "b", &[(OPTIONAL, ""), (TEXT, "")])), Ok(None));
    let (kind, body) = multipart("alternative", "b", &[(OPTIONAL, ""), (HTML, "")]);
    assert_eq!(refused((kind.clone(), body.clone())), Ok(Some(kind.clone())));
    // An optional whole is not looked into, whatever is wrong with it.
    let optional = |kind: &str| format!("{kind}\r\nContent-Disposition: render;handling=optional");
    assert_eq!(refused((optional(&kind), body.clone())), Ok(None));
    assert_eq!(refused((optional(&kind), "".into())), Ok(None));
    assert_eq!(refused((kind.clone(), "x".into())), Err(NoPart));
    // Nested.
    let kind = format!("Content-Type: {kind}");
    assert_eq!(
        refused(multipart("mixed", "out", &[(TEXT, ""), (&kind, &body)])),
        Ok(Some(kind[14..].into()))
    );
    let (kind, body) = multipart("mixed", "in", &[(HTML, "")]);
    let kind = format!("Content-Type: {kind}");
    assert_eq!(refused(multipart("alternative", "out", &[(&kind, &body), (TEXT, "")])), Ok(None));
    assert_eq!(refused(multipart("mixed", "out", &[(&kind, &body), (TEXT, "")])), html());
    let none = Message::parse(b"BYE sip:b SIP/2.0\r\n\r\n"[..].into(), &Limits::default()).unwrap();
    assert!(none.content().unsupported(&Limits::default(), |_| false).unwrap().is_none());
}

#[test]
fn limits_of_walks() {
    let nested = |levels: usize| {
        let mut inner = ("text/plain".to_string(), "x".to_string());
        for level in 0..levels {
            let head = format!("Content-Type: {}", inner.0);
            inner = multipart("mixed", &format!("b{level}"), &[(&head, &inner.1)]);
        }
        message(&inner.0, inner.1)
    };
    let plain = |content: &Content<'_>| content.is("text", "plain");
    let limits = Limits::default();
    for (levels, result) in [(8, Ok(true)), (9, Err(TooDeep))] {
        let message = nested(levels);
        let found = message.content().find(&limits, plain).map(|found| found.is_some());
        assert_eq!(found.map_err(|error| error.kind()), result);
        let refused = message.content().unsupported(&limits, plain).map(|found| found.is_none());
        assert_eq!(refused.map_err(|error| error.kind()), result);
    }
    let shallow = limits.clone().body_depth(0);
    let error = nested(1).content().find(&shallow, plain).expect_err("too deep");
    assert_eq!((error.kind(), error.offset(), error.status().as_u16()), (TooDeep, 0, 513));
    assert!(nested(0).content().find(&shallow, plain).unwrap().is_some());

    let many = |parts: usize| {
        let (kind, body) = multipart("mixed", "b", &vec![("Content-Type: a/b", ""); parts]);
        message(&kind, body)
    };
    for (parts, result) in [(64, Ok(false)), (65, Err(TooManyParts))] {
        let found = many(parts).content().find(&limits, plain).map(|found| found.is_some());
        assert_eq!(found.map_err(|error| error.kind()), result);
    }
    let few = limits.body_parts(2);
    let error = many(3).content().unsupported(&few, |_| true).expect_err("too many");
    assert_eq!((error.kind(), error.status().as_u16()), (TooManyParts, 513));
}

#[test]
fn multiparts_are_built() -> Result<(), BuildError> {
    let inner = MultipartBuilder::alternative()
        .part(PartBuilder::new("application/sdp", "v=0\r\n"))
        .part(PartBuilder::new("text/plain", ""));
    let (content_type, body) = MultipartBuilder::mixed()
        .part(PartBuilder::nested(inner)?)
        .part(
            PartBuilder::new("text/plain", "--boundary-0001\r\n--boundary-00023")
                .header(&ContentDisposition::new("render")?.with_handling(false)?)
                .raw(HeaderName::Other("Content-ID"), "<a@b>"),
        )
        .build()?;
    // 0000 is the inner one's, 0001 and 0002 stand in a part.
    assert_eq!(content_type.to_string(), "multipart/mixed;boundary=boundary-0003");
    let response = Response::builder(StatusCode::OK).body(&content_type, body).build()?;
    let content = response.content();
    let parts: Vec<_> = content.parts().unwrap().expect("two").map(Result::unwrap).collect();
    assert_eq!((parts.len(), parts[1].id(), parts[1].is_required()), (2, Some("a@b"), false));
    let sdp = content.session_description(&Limits::default()).unwrap().expect("nested");
    assert_eq!(sdp.bytes(), b"v=0\r\n");

    let error = |builder: MultipartBuilder| builder.build().expect_err("ill-formed");
    let part = || PartBuilder::new("a/b", "");
    assert_eq!(error(MultipartBuilder::mixed()), BuildError::NoPart);
    assert_eq!(error(MultipartBuilder::new("mi xed").part(part())), BuildError::Name);
    let raw =
        |name, value| MultipartBuilder::mixed().part(part().raw(HeaderName::Other(name), value));
    assert_eq!(error(raw("a b", "x")), BuildError::Name);
    assert_eq!(error(raw("A", "x\r\nB: y")), BuildError::LineBreak);
    assert_eq!(error(raw("content-length", "1")), BuildError::ContentLength);
    assert_eq!(
        error(MultipartBuilder::mixed().part(PartBuilder::new("a/b\r\n", ""))),
        BuildError::LineBreak
    );
    Ok(())
}

#[test]
fn a_boundary_is_found_in_one_pass() -> Result<(), BuildError> {
    // Every boundary that would be tried first stands in the part.
    let taken: String = (0..10_050).map(|number| format!("boundary-{number:04}\n")).collect();
    let (content_type, body) =
        MultipartBuilder::mixed().part(PartBuilder::new("a/b", taken.clone())).build()?;
    assert_eq!(content_type.to_string(), "multipart/mixed;boundary=boundary-10050");
    let message = message(&content_type.to_string(), &body);
    let parts: Vec<_> =
        message.content().parts().unwrap().expect("one").map(Result::unwrap).collect();
    assert_eq!((parts.len(), parts[0].bytes()), (1, taken.as_bytes()));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..5)) {
        let mut builder = MultipartBuilder::mixed();
        for body in &bodies {
            builder = builder.part(PartBuilder::new("application/octet-stream", body.clone()));
        }
        let (content_type, body) = builder.build().expect("well-formed");
        let message = message(&content_type.to_string(), &body);
        let parts: Result<Vec<_>, _> = message.content().parts().unwrap().expect("a multipart").collect();
        let read: Vec<_> = parts.unwrap().iter().map(|part| part.bytes().to_vec()).collect();
        prop_assert_eq!(read, bodies);
    }

    #[test]
    fn any_body_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(NEAR), 0..24)) {
        let body = pieces.concat();
        let message = message("multipart/alternative;boundary=b", &body);
        let limits = Limits::default();
        if let Ok(Some(parts)) = message.content().parts() {
            let mut end = parts.preamble().len();
            for part in parts {
                match part {
                    Ok(part) => {
                        prop_assert!(part.offset() >= end);
                        end = part.offset() + part.bytes().len();
                        prop_assert!(end <= body.len());
                        let _ = (part.decoded(), part.id(), part.disposition());
                    }
                    Err(error) => prop_assert!(error.offset() <= body.len()),
                }
            }
        }
        let _ = message.content().session_description(&limits);
        let _ = message.content().unsupported(&limits, |content| content.is("a", "b"));
    }
}

/// Pieces of multipart bodies.
const NEAR: &[&str] = &[
    "--b",
    "--b--",
    "\r\n",
    "\n",
    "\r",
    " ",
    "--",
    "b",
    "A: b",
    "Content-Type: a/b",
    "Content-Type: multipart/mixed;boundary=c",
    "--c",
    "--c--",
    "\r\n\r\n",
    "\r\n--b\r\n",
    "Content-Transfer-Encoding: base64",
    "QUI=",
    "Content-Disposition: x;handling=optional",
    "Content-ID: <x>",
];
