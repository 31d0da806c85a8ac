//! Requests formed from a URI (RFC 3261 §19.1.5).

use super::*;
use crate::{BuildError, HeaderName, Method, Uri};

/// The request that a URI asks for, with what every request must have besides.
fn formed(uri: &str) -> Result<Request, BuildError> {
    let uri = Uri::parse(uri.as_bytes()).unwrap();
    let builder = Request::builder_from(&uri, Method::Invite)?;
    let method = uri.method_param().unwrap_or("INVITE".into());
    builder
        .raw(HeaderName::From, "<sip:alice@atlanta.com>;tag=1")
        .raw(HeaderName::CallId, "7")
        .raw(HeaderName::CSeq, alloc::format!("1 {method}"))
        .build()
}

#[test]
fn what_the_uri_asks_for() {
    // RFC 3261 §19.1.3, §19.1.4
    let request = formed("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com").unwrap();
    assert_eq!(request.method(), &Method::Register);
    assert_eq!(request.uri_bytes(), b"sip:atlanta.com");
    assert_eq!(request.raw(HeaderName::To), Some(&b"alice@atlanta.com"[..]));

    let to = "to=%3Csip:b@c%3E";
    let request = formed(&alloc::format!(
        "sips:b@c:5061;transport=tcp;x=y;Method=FOO;ttl=1;lr?{to}&Priority=urgent&X-A=1&x-a=2"
    ));
    let request = request.unwrap();
    assert_eq!(
        (request.method().as_str(), request.uri_bytes()),
        ("FOO", &b"sips:b@c:5061;transport=tcp;x=y;ttl=1;lr"[..])
    );
    assert_eq!(request.raw(HeaderName::Priority), Some(&b"urgent"[..]));
    assert_eq!(
        request.headers().raw_all(HeaderName::Other("x-a")).collect::<Vec<_>>(),
        [b"1", b"2"]
    );

    let request =
        formed(&alloc::format!("sip:b@c?{to}&body=a%20b%0D%0A&Content-Type=text/plain&body=c"))
            .unwrap();
    assert_eq!(request.body(), b"a b\r\n");
    assert_eq!(request.raw(HeaderName::ContentType), Some(&b"text/plain"[..]));
    // A Content-Type that describes nothing is none.
    let request = formed(&alloc::format!("sip:b@c?{to}&Content-Type=text/plain")).unwrap();
    assert_eq!(request.raw(HeaderName::ContentType), None);
    // Of other schemes, all is the Request-URI.
    let uri = Uri::parse(b"tel:+1;method=BYE").unwrap();
    let builder = Request::builder_from(&uri, Method::Options).unwrap();
    let builder = builder.raw(HeaderName::To, "<tel:+1>").raw(HeaderName::From, "<sip:a@b>;tag=1");
    let request = builder.raw(HeaderName::CallId, "1").raw(HeaderName::CSeq, "1 OPTIONS").build();
    assert_eq!(request.unwrap().uri_bytes(), b"tel:+1;method=BYE");
}

#[test]
fn what_it_may_not_ask_for() {
    for name in [
        "From",
        "f",
        "Call-ID",
        "CSeq",
        "Via",
        "Record-Route",
        "Route",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Allow",
        "Contact",
        "m",
        "Organization",
        "Supported",
        "User-Agent",
        "Content-Encoding",
        "Content-Length",
        "Date",
        "MIME-Version",
        "Timestamp",
        "Max-Forwards",
        "Path",
        "Authorization",
        "Proxy-Authorization",
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Identity",
        "R%6Fute",
    ] {
        let request = formed(&alloc::format!("sip:b@c?to=%3Csip:b@c%3E&{name}=evil")).unwrap();
        assert!(!request.headers().iter().any(|field| field.value() == b"evil"), "{name}");
    }
    let to = "to=%3Csip:b@c%3E";
    for (rest, error) in [
        ("Subject=x%0D%0AVia:%20evil", BuildError::LineBreak),
        ("Subject=x%0Ay", BuildError::LineBreak),
        ("a%20b=x", BuildError::Name),
        ("Subject%0D%0AVia=x", BuildError::Name),
        ("body=x", BuildError::Missing(HeaderName::ContentType)),
        ("body=x&Content-Type=a/b%0D%0AVia:%20evil", BuildError::LineBreak),
        ("to=%3Csip:d@e%3E", BuildError::Repeated(HeaderName::To)),
    ] {
        assert_eq!(
            formed(&alloc::format!("sip:b@c?{to}&{rest}")).expect_err(rest),
            error,
            "{rest}"
        );
    }
    let uri = Uri::parse(b"sip:b@c;method=a%20b").unwrap();
    assert_eq!(
        Request::builder_from(&uri, Method::Invite).expect_err("no token"),
        BuildError::Method
    );
}
