//! Who called, on whose behalf, and what of it is to be hidden.

use super::*;

#[test]
fn asserted_and_preferred_identities() -> Result<(), HeaderError> {
    // RFC 3325 §10.1
    let both: Vec<_> = values::<PAssertedIdentity<'_>>(
        b"\"Cullen Jennings\" <sip:fluffy@cisco.com>, tel:+14085264000",
    )
    .collect::<Result<_, _>>()?;
    let read: Vec<_> = both.iter().map(|who| (who.display_name(), who.uri().to_string())).collect();
    assert_eq!(
        read,
        [
            (Some("Cullen Jennings".into()), "sip:fluffy@cisco.com".to_string()),
            (None, "tel:+14085264000".to_string())
        ]
    );
    let built =
        PAssertedIdentity::new(&"sip:a@b".parse().expect("a URI")).with_display_name("A")?;
    assert_eq!(built.to_string(), "\"A\" <sip:a@b>");
    assert_eq!(built.clone().into_owned(), built.to_static());
    // What was preferred may be asserted as it is.
    let preferred: PPreferredIdentity<'_> = good("\"C\" <sip:fluffy@cisco.com>");
    let asserted = PAssertedIdentity::from(preferred.into_name_addr());
    assert_eq!(asserted.to_string(), "\"C\" <sip:fluffy@cisco.com>");
    bad::<PAssertedIdentity<'_>>(&[
        ("", Empty, 0),
        ("fluffy", HeaderErrorKind::Uri(UriErrorKind::Scheme), 0),
        ("<sip:a@b", AngleBrackets, 0),
        ("sip:a@b?c", AngleBrackets, 7),
        ("<sip:a@b>, <tel:+1>", Trailing, 9),
    ]);
    bad::<PPreferredIdentity<'_>>(&[("", Empty, 0), ("A, B <sip:a@b>", DisplayName, 1)]);
    Ok(())
}

#[test]
fn privacy() -> Result<(), HeaderError> {
    for (text, values) in [
        ("id", &["id"][..]),
        ("none", &["none"]),
        ("header;session ; critical", &["header", "session", "critical"]),
        ("user,\r\n id", &["user", "id"]),
        ("x-new", &["x-new"]),
    ] {
        let privacy: Privacy<'_> = good(text);
        assert_eq!(privacy.iter().collect::<Vec<_>>(), values);
        assert_eq!(privacy.to_string(), text);
        assert_eq!(privacy.to_static(), privacy);
        assert_eq!(privacy.is_none(), values == ["none"]);
        assert_eq!(privacy.is_critical(), values.contains(&"critical"));
    }
    let privacy = Privacy::new(["header", "ID", "critical"])?;
    assert_eq!(privacy.to_string(), "header;ID;critical");
    assert!(privacy.contains("id") && !privacy.contains("i"));
    // RFC 3323 §5: "When the last priv-value (not counting 'critical') has been removed from the
    // Privacy header, the entire Privacy header MUST be removed from a message."
    let less = privacy.without("id").expect("header is left");
    assert_eq!(less.to_string(), "header;critical");
    assert_eq!(less.without("header"), None);
    assert_eq!(less.without("user"), Some(less.clone()));
    for (values, kind, at) in
        [(&[][..], Empty, 0), (&["id", ""], Token, 3), (&["id; none"], Token, 0)]
    {
        let error = Privacy::new(values).expect_err("not to be written");
        assert_eq!((error.kind(), error.offset()), (kind, at));
    }
    bad::<Privacy<'_>>(&[
        ("", Empty, 0),
        (" ", Empty, 1),
        (";id", Token, 0),
        ("id;", Token, 3),
        ("id;;user", Token, 3),
        ("id=1", Trailing, 2),
        ("\"id\"", Token, 0),
        ("id\r\nX: y", Character, 2),
    ]);
    Ok(())
}

#[test]
fn diversion() -> Result<(), HeaderError> {
    // RFC 5806 §9.2.5
    let both: Vec<Diversion<'_>> = [
        "<tel:+19195551002>\r\n ;reason=user-busy\r\n ;privacy=\"full\"\r\n ;counter=4",
        "<tel:+19195551001>\r\n ;reason=unconditional\r\n ;counter=1",
    ]
    .map(good)
    .into();
    let read: Vec<_> = both.iter().map(|from| (from.reason(), from.counter())).collect();
    assert_eq!(
        read,
        [(Some("user-busy".into()), Some(4)), (Some("unconditional".into()), Some(1))]
    );
    assert_eq!(both.iter().filter_map(|from| from.privacy()).collect::<Vec<_>>(), ["full"]);
    let from: Diversion<'_> = good(
        "\"Bob\" <sip:bob@p2.example>;reason=\"no-answer\";counter=04;limit=9;privacy=off;screen=yes;x=1",
    );
    assert_eq!(from.uri().as_str(), "sip:bob@p2.example");
    assert_eq!((from.reason().as_deref(), from.counter()), (Some("no-answer"), Some(4)));
    assert_eq!((from.limit(), from.privacy().as_deref()), (Some(9), Some("off")));
    assert_eq!(from.screen().as_deref(), Some("yes"));
    let bare: Diversion<'_> = good("<tel:+1>;counter=x;limit=\"1\"");
    assert_eq!((bare.reason(), bare.counter(), bare.limit()), (None, None, None));
    assert_eq!((bare.privacy(), bare.screen()), (None, None));
    let built = Diversion::new(&"sip:bob@p2.example".parse().expect("a URI"))
        .with_param("reason", Some("user-busy"))?
        .with_param("counter", Some("1"))?;
    assert_eq!(built.to_string(), "<sip:bob@p2.example>;reason=user-busy;counter=1");
    assert_eq!(values::<Diversion<'_>>(b"<sip:a@b>;reason=away, <sip:c@d>").count(), 2);
    bad::<Diversion<'_>>(&[
        ("", Empty, 0),
        ("sip:a@b;reason=away", AngleBrackets, 0),
        ("<sip:a@b>;;", Parameter, 10),
        ("<sip:a@b> reason", Trailing, 10),
    ]);
    Ok(())
}

#[test]
fn reason() -> Result<(), HeaderError> {
    for (text, protocol, cause, says) in [
        // RFC 3326 §2
        (
            "SIP ;cause=200 ;text=\"Call completed elsewhere\"",
            "SIP",
            200,
            "Call completed elsewhere",
        ),
        ("Q.850 ;cause=16 ;text=\"Terminated\"", "Q.850", 16, "Terminated"),
        ("SIP ;cause=600 ;text=\"Busy Everywhere\"", "SIP", 600, "Busy Everywhere"),
        ("SIP ;cause=580 ;text=\"Precondition Failure\"", "SIP", 580, "Precondition Failure"),
        ("sip;text=Busy;cause=0486", "sip", 486, "Busy"),
    ] {
        let reason: Reason<'_> = good(text);
        assert_eq!((reason.protocol(), reason.cause()), (protocol, Some(cause)));
        assert_eq!(reason.text().as_deref(), Some(says));
        assert_eq!(
            reason.status().map(|s| u32::from(s.as_u16())),
            reason.is("SIP").then_some(cause)
        );
        assert_eq!(reason.to_static().to_string(), text);
        assert_eq!(reason.location(), None);
    }
    // RFC 8606 §5
    let reason: Reason<'_> =
        good("Q.850;cause=1;text=\"Unallocated (unassigned) number\";\r\n location=LN");
    let location = reason.location().expect("it has one");
    assert_eq!((location.value(), location.as_str()), (2, "LN"));
    assert_eq!(reason.param("LOCATION").and_then(|l| l.value()).as_deref(), Some("LN"));
    // RFC 8606 §4: "The use of the location parameter is restricted to Q.850 cause values. Other
    // values MUST be ignored if present."
    assert_eq!(good::<Reason<'_>>("SIP;cause=404;location=LN").location(), None);
    assert_eq!(good::<Reason<'_>>("Q.850;location=LOC-5").location(), None);
    for value in 0..16 {
        let location = IsupLocation::new(value).expect("four bits");
        let text = Reason::q850(16).with_location(location)?.to_string();
        assert_eq!(text, format!("Q.850;cause=16;location={}", location.as_str()));
        assert_eq!(good::<Reason<'_>>(&text.to_lowercase()).location(), Some(location));
    }
    assert_eq!(IsupLocation::new(16), None);
    // Several values in one message.
    let both: Vec<_> = values::<Reason<'_>>(b"SIP;cause=503, Q.850;cause=34;text=\"a, b\"")
        .collect::<Result<_, _>>()?;
    assert_eq!(both.iter().map(|reason| reason.protocol()).collect::<Vec<_>>(), ["SIP", "Q.850"]);
    assert_eq!(
        both.iter().map(|reason| reason.status()).collect::<Vec<_>>(),
        [StatusCode::new(503), None]
    );

    assert_eq!(Reason::sip(StatusCode::OK).with_text("x")?.to_string(), "SIP;cause=200;text=\"x\"");
    assert_eq!(Reason::sip(StatusCode::OK), good("SIP;cause=200"));
    assert_eq!(Reason::new("X-new")?.with_cause(7)?.with_cause(8)?.to_string(), "X-new;cause=8");
    assert_eq!(Reason::new("a;cause=1").map_err(|e| (e.kind(), e.offset())), Err((Trailing, 1)));
    assert_eq!(Reason::new("").map_err(|e| e.kind()), Err(Empty));
    assert_eq!(Reason::q850(1).with_text("\r\n").map_err(|e| e.kind()), Err(Character));
    assert_eq!(Reason::q850(1).with_param("cause", None).map_err(|e| e.kind()), Err(Parameter));
    bad::<Reason<'_>>(&[
        ("", Empty, 0),
        (";cause=200", Token, 0),
        ("SIP;cause", Parameter, 4),
        ("SIP;cause=", Parameter, 4),
        ("SIP;cause=x", Parameter, 4),
        ("SIP;cause=4294967296", Parameter, 4),
        ("SIP;cause=\"200\"", Parameter, 4),
        ("SIP;text", Parameter, 4),
        ("SIP;text=\"x", QuotedString, 9),
        ("SIP;cause=1;cause=2", DuplicateParameter, 12),
        ("Q.850;location=", Parameter, 6),
        ("SIP cause=200", Trailing, 4),
    ]);
    Ok(())
}

#[test]
fn history_info() -> Result<(), HeaderError> {
    // RFC 7044 §5
    let first: HistoryInfo<'_> = good("<sip:UserA@ims.example.com>;index=1;foo=bar");
    assert_eq!(first.index(), Some(HistoryIndex::FIRST));
    assert_eq!(
        (first.same_user(), first.mapped_from(), first.unchanged_from()),
        (None, None, None)
    );
    assert_eq!((first.reasons().len(), first.privacy()), (0, None));
    let entries: Vec<_> = values::<HistoryInfo<'_>>(
        b"<sip:UserA@ims.example.com?Reason=SIP%3Bcause%3D302>;index=1.1,\
          <sip:UserB@example.com?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1.2;mp=1.1,\
          <sip:45432@192.168.0.3>;index=1.3;rc=1.2",
    )
    .collect::<Result<_, _>>()?;
    let index = |text: &'static str| HistoryIndex::parse(text);
    let read: Vec<_> =
        entries.iter().map(|e| (e.index(), e.mapped_from(), e.same_user())).collect();
    assert_eq!(
        read,
        [
            (index("1.1"), None, None),
            (index("1.2"), index("1.1"), None),
            (index("1.3"), None, index("1.2"))
        ]
    );
    let causes: Vec<_> =
        entries.iter().flat_map(HistoryInfo::reasons).map(|r| r.status()).collect();
    assert_eq!(causes, [StatusCode::new(302), StatusCode::new(486)]);
    let hidden: Vec<_> = entries.iter().map(|e| e.privacy().is_some()).collect();
    assert_eq!(hidden, [false, true, false]);
    // RFC 7044 §5.1
    let forwarded: HistoryInfo<'_> = good("<sip:bob@biloxi.example.com;p=x>;np=1;index=1.1");
    assert_eq!(forwarded.unchanged_from(), index("1"));

    let uri: crate::Uri<'_> = "sip:bob@biloxi.example.com;p=x".parse().expect("a URI");
    let built = HistoryInfo::new(&uri, &HistoryIndex::FIRST.child(2))?
        .with_same_user(&HistoryIndex::FIRST.child(1))?
        .with_reason(
            &Reason::sip(StatusCode::new(486).expect("a status")).with_text("Busy \"x\"")?,
        )?
        .with_privacy(&Privacy::new(["history"])?)?;
    assert_eq!(
        built.to_string(),
        "<sip:bob@biloxi.example.com;p=x?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%20%5C%22x%5C%22%22&Privacy=history>;index=1.2;rc=1.1"
    );
    assert_eq!(built.reasons(), [good::<Reason<'_>>("SIP;cause=486;text=\"Busy \\\"x\\\"\"")]);
    assert!(built.privacy().is_some_and(|privacy| privacy.contains("history")));
    let named: HistoryInfo<'_> = good("\"Bob\" <sip:b@c>;index=1;x=\"a b\"");
    assert_eq!(
        named.with_privacy(&Privacy::new(["history"])?)?.to_string(),
        "\"Bob\" <sip:b@c?Privacy=history>;index=1;x=\"a b\""
    );
    let moved = HistoryInfo::new(&uri, &HistoryIndex::FIRST)?
        .with_mapped_from(&HistoryIndex::FIRST)?
        .with_unchanged_from(&HistoryIndex::FIRST)?;
    assert_eq!((moved.mapped_from(), moved.unchanged_from()), (index("1"), index("1")));
    assert_eq!(moved.to_static().into_name_addr(), *moved.as_name_addr());
    // RFC 7044 §5: "these fields will not be available in the case that the hi-targeted-to-uri is a
    // Tel-URI"
    let tel: HistoryInfo<'_> = good("<tel:+1>;index=1");
    assert!(tel.with_privacy(&Privacy::new(["history"])?).is_err());
    assert!(tel.reasons().is_empty());
    // What is malformed within is as if it were not there.
    let odd: HistoryInfo<'_> = good(
        "<sip:a@b?Reason=%3B&Reason=SIP%3Bcause=1%2CQ.850&Privacy=%3B>;index=1.;rc=01;mp;np=x",
    );
    assert_eq!(odd.reasons().len(), 2);
    assert_eq!((odd.privacy(), odd.index(), odd.same_user()), (None, None, None));
    assert_eq!((odd.mapped_from(), odd.unchanged_from()), (None, None));
    bad::<HistoryInfo<'_>>(&[
        ("", Empty, 0),
        ("sip:a@b;index=1", AngleBrackets, 0),
        ("<sip:a@b>;index=1;", Parameter, 18),
        ("<sip:a@b index=1>", HeaderErrorKind::Uri(UriErrorKind::Character), 8),
    ]);
    Ok(())
}

#[test]
fn history_indices() {
    for bad in ["", ".", "1.", ".1", "1..2", "01", "1.02", "a", "1.-1", "+1", "4294967296"] {
        assert_eq!(HistoryIndex::parse(bad), None, "{bad:?}");
    }
    let index = |text: &'static str| HistoryIndex::parse(text).expect("well-formed");
    assert_eq!(index("1.10.0").numbers().collect::<Vec<_>>(), [1, 10, 0]);
    assert_eq!(index("1.10.2").parent(), Some(index("1.10")));
    assert_eq!(index("1").parent(), None);
    assert_eq!(index("1").child(2).into_owned().as_str(), "1.2");
    let mut tree = ["1.10", "1", "1.2", "1.2.1", "1.1.3"].map(index);
    tree.sort();
    assert_eq!(tree.map(|index| index.to_string()), ["1", "1.1.3", "1.2", "1.2.1", "1.10"]);
}

#[test]
fn identity() -> Result<(), HeaderError> {
    // RFC 8224 §4.1.1
    let full = "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0.rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w";
    let compact =
        "..rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w";
    for (digest, is_compact) in [(full, false), (compact, true)] {
        let text = format!("{digest};    \r\n info=<https://biloxi.example.org/biloxi.cert>");
        let identity: Identity<'_> = good(&text);
        assert_eq!((identity.digest(), identity.is_compact()), (digest, is_compact));
        assert_eq!(identity.info().as_str(), "https://biloxi.example.org/biloxi.cert");
        assert_eq!((&*identity.alg(), identity.ppt()), ("ES256", None));
        assert_eq!(identity.params().count(), 0);
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.to_static().as_bytes(), text.as_bytes());
    }
    let shaken: Identity<'_> =
        good("a.b.c;x=1 ;INFO = <https://c/?a=1;b,c> ; alg=ES384;ppt=\"shaken\"");
    assert_eq!(shaken.info().as_str(), "https://c/?a=1;b,c");
    assert_eq!((&*shaken.alg(), shaken.ppt().as_deref()), ("ES384", Some("shaken")));
    let names: Vec<_> = shaken.params().map(|param| param.name()).collect();
    assert_eq!(names, ["x", "alg", "ppt"]);
    assert_eq!(
        shaken.with_param("x", Some("2"))?.with_param("ppt", Some("div"))?.to_string(),
        "a.b.c;x=2 ;INFO = <https://c/?a=1;b,c> ; alg=ES384;ppt=div"
    );
    assert_eq!(values::<Identity<'_>>(b"a;info=<a:b,c>, b;info=<c:d>;ppt=div").count(), 2);

    let info: crate::Uri<'_> = "https://c.example/x.cer".parse().expect("a URI");
    let built = Identity::new("a.b.c", &info)?.with_param("ppt", Some("shaken"))?;
    assert_eq!(built.to_string(), "a.b.c;info=<https://c.example/x.cer>;ppt=shaken");
    assert_eq!(built.with_param("INFO", None).map_err(|e| e.kind()), Err(DuplicateParameter));
    for (digest, kind, at) in
        [("", HeaderErrorKind::Base64, 0), ("a;b", HeaderErrorKind::Base64, 1)]
    {
        let error = Identity::new(digest, &info).expect_err("no Base64");
        assert_eq!((error.kind(), error.offset()), (kind, at));
    }
    bad::<Identity<'_>>(&[
        ("", Empty, 0),
        (";info=<a:b>", HeaderErrorKind::Base64, 0),
        ("\"abc=\";info=<a:b>", HeaderErrorKind::Base64, 0),
        ("abc", Parameter, 3),
        ("abc;alg=ES256", Parameter, 13),
        ("abc;info", AngleBrackets, 8),
        ("abc;info=", AngleBrackets, 9),
        ("abc;info=a:b", AngleBrackets, 12),
        ("abc;info=<a:b", AngleBrackets, 9),
        ("abc;info=<:b>", HeaderErrorKind::Uri(UriErrorKind::Scheme), 10),
        ("abc;info=<a:b>;info=<a:b>", DuplicateParameter, 15),
        ("abc;info=<a:b>;", Parameter, 15),
        ("abc= ;info=<a:b>", Parameter, 3),
    ]);
    Ok(())
}

#[test]
fn session_id() {
    // RFC 7989 §5
    let text = "ab30317f1a784dc48ff824d0d3715d86;\r\n remote=47755a9de7794ba387653f2099600ef2";
    let id: SessionId<'_> = good(text);
    assert_eq!(id.local(), 0xab30_317f_1a78_4dc4_8ff8_24d0_d371_5d86);
    assert_eq!(id.remote(), Some(0x4775_5a9d_e779_4ba3_8765_3f20_9960_0ef2));
    assert_eq!(id.to_static().to_string(), text);
    let built = SessionId::new(1, SessionId::NIL);
    assert_eq!((built.local(), built.remote()), (1, Some(0)));
    assert_eq!(
        built,
        good("00000000000000000000000000000001;remote=00000000000000000000000000000000")
    );
    let old: SessionId<'_> = good("ab30317f1a784dc48ff824d0d3715d86;x=1");
    assert_eq!((old.remote(), old.param("x").is_some()), (None, true));
    const UUID: HeaderErrorKind = HeaderErrorKind::Uuid;
    bad::<SessionId<'_>>(&[
        ("", Empty, 0),
        ("ab30317f1a784dc48ff824d0d3715d8", UUID, 0),
        (" ab30317f1a784dc48ff824d0d3715d866", UUID, 1),
        ("AB30317f1a784dc48ff824d0d3715d86", UUID, 0),
        ("ab30317f-1a78-4dc4-8ff8-24d0d371", UUID, 0),
        ("\"ab30317f1a784dc48ff824d0d3715d86\"", UUID, 0),
        ("ab30317f1a784dc48ff824d0d3715d86;remote", Parameter, 33),
        ("ab30317f1a784dc48ff824d0d3715d86;remote=0", Parameter, 33),
        (
            "ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2;remote=47755a9de7794ba387653f2099600ef2",
            DuplicateParameter,
            73,
        ),
        ("ab30317f1a784dc48ff824d0d3715d86, b", Trailing, 32),
    ]);
}

#[test]
fn user_to_user() -> Result<(), HeaderError> {
    // RFC 7433 §4.1
    let uui: UserToUser<'_> = good("56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar");
    assert_eq!((uui.encoding(), uui.purpose(), uui.content()), (Some("hex"), "foo", Some("bar")));
    assert_eq!(uui.data(), "56a390f3d2b7310023a2");
    assert_eq!(
        uui.decoded(),
        Some(vec![0x56, 0xa3, 0x90, 0xf3, 0xd2, 0xb7, 0x31, 0x00, 0x23, 0xa2])
    );
    // RFC 7433 §4.2: "the "quoted-string" construction is permitted, in which case the quotes MUST
    // be ignored"
    assert_eq!(good::<UserToUser<'_>>("\"0aFf\";encoding=HEX").decoded(), Some(vec![10, 255]));
    // RFC 7434 §9: "The default and only encoding defined for this package is "hex"."
    let isdn: UserToUser<'_> = good("00");
    assert_eq!((isdn.purpose(), isdn.decoded()), ("isdn-uui", Some(vec![0])));
    for other in ["0", "0g", "00;purpose=foo", "00;encoding=base64", "\"\\\"00\";encoding=hex"] {
        assert_eq!(good::<UserToUser<'_>>(other).decoded(), None, "{other}");
    }
    assert_eq!(values::<UserToUser<'_>>(b"00;encoding=hex, \"a, b\";purpose=x").count(), 2);
    assert_eq!(UserToUser::hex(&[0, 0xab])?.to_string(), "00AB;encoding=hex");
    assert_eq!(UserToUser::hex(&[]).map_err(|e| (e.kind(), e.offset())), Err((Token, 0)));
    assert_eq!(UserToUser::hex(&[0; 40_000]).map_err(|e| e.kind()), Err(HeaderErrorKind::TooLong));
    let said = UserToUser::new("a \"b\"")?.with_param("purpose", Some("x"))?;
    assert_eq!((said.to_string(), &*said.data()), ("\"a \\\"b\\\"\";purpose=x".into(), "a \"b\""));
    assert_eq!(UserToUser::new("a")?.to_static().to_string(), "a");
    assert_eq!(UserToUser::new("\n").map_err(|e| e.kind()), Err(Character));
    bad::<UserToUser<'_>>(&[
        ("", Empty, 0),
        (";encoding=hex", Token, 0),
        ("\"00", QuotedString, 0),
        ("00;encoding", Parameter, 3),
        ("00;encoding=\"hex\"", Parameter, 3),
        ("00;purpose=a;purpose=b", DuplicateParameter, 13),
        ("00;content=", Parameter, 3),
        ("00 01", Trailing, 3),
    ]);
    Ok(())
}

proptest! {
    #[test]
    fn reasons_that_are_built_are_read_back(text in "[^\r\n]{0,16}", cause: u32) {
        let built = Reason::new("X").and_then(|r| r.with_cause(cause)).and_then(|r| r.with_text(&text));
        let built = built.expect("all of it can be written");
        let line = built.to_string();
        let read: Reason<'_> = good(&line);
        prop_assert_eq!(read.cause(), Some(cause));
        prop_assert_eq!(read.text(), Some(Cow::Borrowed(&text[..])));
        // The same within the headers of a URI.
        let uri = Uri::parse(b"sip:a@b;lr").expect("a URI");
        let entry = HistoryInfo::new(&uri, &HistoryIndex::FIRST).and_then(|e| e.with_reason(&built));
        let line = entry.expect("all of it can be written").to_string();
        prop_assert_eq!(good::<HistoryInfo<'_>>(&line).reasons(), [built]);
    }

    #[test]
    fn user_to_user_data_are_read_back(data in prop::collection::vec(any::<u8>(), 1..64), text in "[^\r\n]{0,16}") {
        let line = UserToUser::hex(&data).expect("some data").to_string();
        prop_assert_eq!(good::<UserToUser<'_>>(&line).decoded(), Some(data));
        let line = UserToUser::new(&text).expect("no line end").to_string();
        let read: UserToUser<'_> = good(&line);
        prop_assert_eq!(read.data(), Cow::Borrowed(&text[..]));
    }

    #[test]
    fn session_ids_are_read_back(local: u128, remote: u128) {
        let line = SessionId::new(local, remote).to_string();
        let read: SessionId<'_> = good(&line);
        prop_assert_eq!((read.local(), read.remote()), (local, Some(remote)));
    }
}
