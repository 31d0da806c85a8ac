//! Where the sender is, and which security its next hop is asked for.

use super::*;

#[test]
fn geolocation() -> Result<(), HeaderError> {
    // RFC 6442 §5.1
    let inside: Geolocation<'_> = good("<cid:target123@atlanta.example.com>");
    assert_eq!(inside.content_id().as_deref(), Some("target123@atlanta.example.com"));
    let outside: Geolocation<'_> = good("<sips:target123@server5.atlanta.example.com>;x=1");
    assert_eq!((outside.content_id(), outside.uri().user()), (None, Some("target123")));
    assert_eq!(outside.param("x").and_then(|x| x.value()).as_deref(), Some("1"));
    assert_eq!(good::<Geolocation<'_>>("<CID:a%25b@c>").content_id().as_deref(), Some("a%b@c"));
    let both = b"<cid:a@b>, <https://lis.example/a,b;c?d>";
    assert_eq!(values::<Geolocation<'_>>(both).count(), 2);
    let built = Geolocation::new(&outside.uri())?.with_param("y", Some("a b"))?;
    assert_eq!(built.to_string(), "<sips:target123@server5.atlanta.example.com>;y=\"a b\"");
    assert_eq!(built.to_static(), built);
    bad::<Geolocation<'_>>(&[
        ("", Empty, 0),
        ("cid:a@b", AngleBrackets, 0),
        ("\"here\" <cid:a@b>", AngleBrackets, 0),
        ("<cid:a@b", AngleBrackets, 0),
        ("<>", HeaderErrorKind::Uri(UriErrorKind::Scheme), 1),
        ("<cid:a@b>;", Parameter, 10),
        ("<cid:a@b> x", Trailing, 10),
    ]);
    Ok(())
}

#[test]
fn geolocation_error() -> Result<(), HeaderError> {
    for (text, code, says) in [
        // RFC 6442 §4.4
        ("100 ; code=\"Cannot Process Location\"", 100, "Cannot Process Location"),
        ("300 ; code=\"Dereference Failure\"", 300, "Dereference Failure"),
        (
            "201 ; code=\"Permission To Retransmit Location\r\n Information to a Third Party\"",
            201,
            "Permission To Retransmit Location Information to a Third Party",
        ),
    ] {
        let error: GeolocationError<'_> = good(text);
        assert_eq!((error.code(), error.text().as_deref()), (code, Some(says)));
        assert_eq!(error.top_level(), code / 100 * 100);
        assert_eq!(error.to_static().to_string(), text);
    }
    assert_eq!(good::<GeolocationError<'_>>("7").text(), None);
    assert_eq!(GeolocationError::new(202)?.with_text("x")?.to_string(), "202;code=\"x\"");
    assert_eq!(GeolocationError::new(1000).map_err(|e| (e.kind(), e.offset())), Err((Number, 0)));
    assert_eq!(GeolocationError::new(202)?.with_text("\n").map_err(|e| e.kind()), Err(Character));
    bad::<GeolocationError<'_>>(&[
        ("", Empty, 0),
        ("x", Number, 0),
        ("0100", Number, 0),
        ("100x", Trailing, 3),
        ("100;code", Parameter, 4),
        ("100;code=x", Parameter, 4),
        ("100;code=\"a\";code=\"b\"", DuplicateParameter, 13),
        ("100, 200", Trailing, 3),
    ]);
    Ok(())
}

#[test]
fn geolocation_routing() {
    for (text, allowed) in
        [("yes", true), ("YES", true), ("no", false), ("yes=1", false), ("x=\"y\"", false)]
    {
        let routing: GeolocationRouting<'_> = good(text);
        assert_eq!((routing.is_allowed(), routing.to_static().to_string()), (allowed, text.into()));
    }
    assert!(GeolocationRouting::YES.is_allowed() && !GeolocationRouting::NO.is_allowed());
    // RFC 6442 §4.2: "The Geolocation-Routing header field cannot appear without a header-value in
    // a SIP request or response (i.e., a null value is not allowed)."
    bad::<GeolocationRouting<'_>>(&[
        ("", Empty, 0),
        ("=1", Token, 0),
        ("yes;x", Trailing, 3),
        ("yes no", Trailing, 4),
        ("x=\"y", QuotedString, 2),
    ]);
}

#[test]
fn security_agreement() -> Result<(), HeaderError> {
    // RFC 3329 §4.1
    let client: SecurityClient<'_> = good("digest");
    assert_eq!((client.mechanism(), client.q()), ("digest", None));
    let server: SecurityServer<'_> = good("ipsec-ike;q=0.1");
    assert_eq!((server.is("IPSEC-IKE"), server.q()), (true, QValue::new(100)));
    let verify: SecurityVerify<'_> = good("tls;q=0.2");
    assert_eq!(verify.q().map(QValue::thousandths), Some(200));
    assert_eq!(SecurityVerify::from(server.to_static()), good("ipsec-ike;q=0.1"));

    let digest = "0123456789abcdef0123456789abcdef";
    let text = format!("digest;d-alg=MD5;d-qop=auth;d-ver=\"{digest}\";q=1.");
    let verify: SecurityVerify<'_> = good(&text);
    assert_eq!(verify.digest_algorithm().as_deref(), Some("MD5"));
    assert_eq!(verify.digest_qop().as_deref(), Some("auth"));
    assert_eq!((verify.digest_verify().as_deref(), verify.q()), (Some(digest), Some(QValue::ONE)));
    assert_eq!(verify.to_static().to_string(), text);
    // RFC 3329 §A: what the mechanism of 3GPP adds is kept.
    let gpp: Vec<_> = values::<SecurityClient<'_>>(
        b"ipsec-3gpp; alg=hmac-md5-96; prot=esp; mod=trans; ealg=null; spi=0000000001; port1=5060, tls",
    )
    .collect::<Result<_, _>>()?;
    assert_eq!(gpp.iter().map(|m| m.mechanism()).collect::<Vec<_>>(), ["ipsec-3gpp", "tls"]);
    let values: Vec<_> = gpp.iter().flat_map(|m| m.params()).filter_map(|p| p.value()).collect();
    assert_eq!(values, ["hmac-md5-96", "esp", "trans", "null", "0000000001", "5060"]);

    let q = QValue::new(250).expect("at most 1000");
    assert_eq!(SecurityClient::new("tls")?.with_q(q)?.to_string(), "tls;q=0.25");
    let built = SecurityServer::new("digest")?.with_digest_verify(digest)?;
    assert_eq!(built.to_string(), format!("digest;d-ver=\"{digest}\""));
    assert_eq!(
        SecurityVerify::new("x")?.with_digest_verify("0").map_err(|e| e.kind()),
        Err(Parameter)
    );
    assert_eq!(SecurityClient::new("a b").map_err(|e| (e.kind(), e.offset())), Err((Trailing, 2)));
    let table = [
        ("", Empty, 0),
        (";q=0.1", Token, 0),
        ("tls;q", Parameter, 4),
        ("tls;q=2", Parameter, 4),
        ("tls;q=0.1;q=0.1", DuplicateParameter, 10),
        ("digest;d-alg=\"MD5\"", Parameter, 7),
        ("digest;d-qop", Parameter, 7),
        ("digest;d-ver=0123456789abcdef0123456789abcdef", Parameter, 7),
        ("digest;d-ver=\"0123456789ABCDEF0123456789ABCDEF\"", Parameter, 7),
        ("digest;d-ver=\"0123456789abcdef\"", Parameter, 7),
    ];
    bad::<SecurityClient<'_>>(&table);
    bad::<SecurityServer<'_>>(&table);
    bad::<SecurityVerify<'_>>(&table);
    Ok(())
}
