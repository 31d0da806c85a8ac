//! `message/sipfrag` (RFC 3420).

use alloc::format;

use bytes::Bytes;

use super::*;
use crate::{
    Contact, HeaderErrorKind, HeaderName, Method, ParseErrorKind, RefusalKind, SipFrag, StatusCode,
    Warning,
};

fn fragment(text: &str) -> SipFrag {
    SipFrag::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

// RFC 3420 §3.1
#[test]
fn valid_fragments_of_the_section() {
    let invite = fragment("INVITE sip:alice@atlanta.com SIP/2.0");
    assert_eq!((invite.method(), invite.status()), (Some(&Method::Invite), None));
    let declined = fragment("SIP/2.0 603 Declined");
    assert_eq!((declined.method(), declined.status()), (None, StatusCode::new(603)));
    let register = fragment(
        "REGISTER sip:atlanta.com SIP/2.0\r\nTo: sip:alice@atlanta.com\r\n\
         Contact: <sip:alicepc@atlanta.com>;q=0.9,\r\n         <sip:alicemobile@atlanta.com>;q=0.1\r\n",
    );
    assert_eq!(register.headers().get_all::<Contact<'_>>().filter_map(Result::ok).count(), 2);
    let bad = fragment(
        "SIP/2.0 400 Bad Request\r\nWarning: 399 atlanta.com Your Event header field was malformed",
    );
    assert!(bad.headers().raw(HeaderName::Warning).unwrap().ends_with(b"malformed"));
    let fields = fragment(
        "From: Alice <sip:alice@atlanta.com>\r\nTo: Bob <sip:bob@biloxi.com>\r\n\
         Contact: <sip:alice@pc33.atlanta.com>\r\nDate: Thu, 21 Feb 2002 13:02:03 GMT\r\n\
         Call-ID: a84b4c76e66710\r\nCseq: 314159 INVITE",
    );
    assert!(fields.message().is_none() && fields.method().is_none());
    assert_eq!(fields.headers().call_id(), Some("a84b4c76e66710"));
    assert_eq!(fields.headers().cseq().map(|cseq| cseq.number), Some(314_159));
    let sdp = "v=0\r\n\
        o=alice 2890844526 2890844526 IN IP4 host.anywhere.com\r\n\
        s=\r\n\
        c=IN IP4 host.anywhere.com\r\n\
        t=0 0\r\n\
        m=audio 49170 RTP/AVP 0\r\n\
        a=rtpmap:0 PCMU/8000\r\n\
        m=video 51372 RTP/AVP 31\r\n\
        a=rtpmap:31 H261/90000\r\n\
        m=video 53000 RTP/AVP 32\r\n\
        a=rtpmap:32 MPV/90000\r\n";
    // The section counts one byte more.
    let ok = fragment(&format!(
        "SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    ));
    assert_eq!(ok.body(), sdp.as_bytes());
    let hi = fragment("Content-Type: text/plain\r\nContent-Length: 11\r\n\r\nHi There!\r\n");
    assert_eq!((hi.body(), hi.headers().len()), (&b"Hi There!\r\n"[..], 2));
    for valid in [invite, declined, register, bad, fields, ok, hi] {
        assert_eq!(valid.validate(), Ok(()), "{valid:?}");
    }
}

// RFC 3420 §3.2
#[test]
fn invalid_fragments_of_the_section() {
    use ParseErrorKind::{Empty, StartLine, StatusCode};
    for (text, kind, offset) in [
        ("INVITE", StartLine, 0),
        ("SIP/2.0", StartLine, 0),
        ("404 Not Found", StartLine, 3),
        // Not of the section.
        ("", Empty, 0),
        ("\r\n", Empty, 2),
        ("\r\nFrom: <sip:a@b>\r\n", StartLine, 2),
        ("SIP/2.0 99 Few\r\n", StatusCode, 8),
        ("no field: x\r\n", StartLine, 2),
    ] {
        let error = SipFrag::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default());
        let error = error.map(|_| ()).map_err(|error| (error.kind(), error.offset()));
        assert_eq!(error, Err((kind, offset)), "{text:?}");
    }
    let invite = "INVITE sip:alice@atlanta.com SIP/2.0\r\n";
    let value = |kind| RefusalKind::Value(kind);
    for (text, header, kind, offset) in [
        ("INVITE sip:alice@atlanta.com SIP/1.09", None, RefusalKind::Version, 0),
        (
            &*format!("{invite}Via: SIP/2.0/UDP ;branch=z9hG4bK29342a\r\nTo: <>;tag=39234\r\n"),
            Some(HeaderName::To),
            value(HeaderErrorKind::Uri(crate::UriErrorKind::Scheme)),
            83,
        ),
        (
            &*format!("{invite}Via: SIP/2.0/UDP ;branch=z9hG4bK29342a\r\n"),
            Some(HeaderName::Via),
            value(HeaderErrorKind::Host),
            55,
        ),
        (
            "To: sip:alice@atlanta.com\r\nFrom: sip:bob@biloxi.com;tag=1992312\r\n\
             Call-ID: this is invalid\r\n",
            Some(HeaderName::CallId),
            value(HeaderErrorKind::Trailing),
            79,
        ),
        (
            &*format!("{invite}From: <sip:bob@biloxi.com>;tag=z9hG4bK2912;tag=z9hG4bK99234\r\n"),
            Some(HeaderName::From),
            value(HeaderErrorKind::DuplicateParameter),
            81,
        ),
        (
            "MESSAGE sip:alice@atlanta.com SIP/2.0\r\nHi There!\r\n",
            None,
            RefusalKind::FieldLine,
            39,
        ),
        // Not of the section.
        ("INVITE sip:a@ SIP/2.0", None, RefusalKind::RequestUri(crate::UriErrorKind::Host), 13),
        ("SIP/3.0 200 OK\r\n", None, RefusalKind::Version, 0),
        ("To: <sip:a@b>\r\nt: <sip:a@b>\r\n", Some(HeaderName::To), RefusalKind::Repeated, 18),
        (
            "ACK sip:a@b SIP/2.0\r\nCSeq: 1 BYE\r\n",
            Some(HeaderName::CSeq),
            RefusalKind::MethodMismatch,
            27,
        ),
        ("Subject: x\r\n\r\nbody", Some(HeaderName::ContentType), RefusalKind::Missing, 14),
        (
            "Content-Type: a/b\r\nContent-Length: 9\r\n\r\nbody",
            Some(HeaderName::ContentLength),
            RefusalKind::BodyTooShort,
            19,
        ),
        ("Max-Forwards: x\r\n", Some(HeaderName::MaxForwards), value(HeaderErrorKind::Number), 14),
    ] {
        let refusal = fragment(text).validate().expect_err(text);
        assert_eq!(
            (refusal.header(), refusal.kind(), refusal.offset()),
            (header, kind, offset),
            "{text:?}"
        );
    }
    // What is left when a valid message loses its body, or its empty line with it.
    for text in [
        "SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 142\r\n",
        "SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 142\r\n\r\n",
    ] {
        assert_eq!(fragment(text).validate(), Ok(()), "{text:?}");
    }
}

#[test]
fn fragments_are_built() {
    let ok = response(OK);
    assert_eq!(&ok.fragment().build()[..], b"SIP/2.0 200 OK\r\n");
    let some = ok.fragment().header(HeaderName::CSeq).header(HeaderName::To).build();
    assert_eq!(
        &some[..],
        b"SIP/2.0 200 OK\r\nTo: <sip:bob@example.com>;tag=a6c85cf\r\nCSeq: 314159 INVITE\r\n"
    );
    let invite = request(INVITE);
    let other =
        invite.fragment().without_start_line().header(HeaderName::Other("x-tenant")).build();
    assert_eq!(&other[..], b"X-Tenant: one\r\nx-tenant: two\r\n");
    let body = invite.fragment().without_start_line().body().build();
    assert_eq!(&body[..], b"Content-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n");
    let read = SipFrag::parse(body, &Limits::default()).unwrap();
    assert_eq!((read.validate(), read.body()), (Ok(()), &b"v=0\n"[..]));
    assert_eq!(invite.fragment().all_headers().body().build(), invite.to_bytes());

    // What was edited comes as it would go out; a last line without its end gets one.
    let mut edited = response("SIP/2.0 400 Bad Request\r\nX: y");
    edited.headers_mut().push(&Warning::new(399, "atlanta.com", "malformed").unwrap());
    let text = edited.fragment().all_headers().build();
    assert_eq!(
        &text[..],
        b"SIP/2.0 400 Bad Request\r\nX: y\r\nWarning: 399 atlanta.com \"malformed\"\r\n"
    );
    assert_eq!(&SipFrag::status_line(StatusCode::new(299).unwrap())[..], b"SIP/2.0 299 \r\n");
    let read = SipFrag::parse(SipFrag::status_line(StatusCode::OK), &Limits::default()).unwrap();
    assert_eq!((read.status(), read.validate()), (Some(StatusCode::OK), Ok(())));
}
