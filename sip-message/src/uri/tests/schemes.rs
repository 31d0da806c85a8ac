//! `tel`, `urn`, `im` and `pres`.

use super::*;

fn number(text: &str) -> TelephoneSubscriber<'_> {
    TelephoneSubscriber::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn tel(text: &str) -> TelephoneSubscriber<'static> {
    match uri(text).telephone_subscriber() {
        Ok(Some(number)) => number.to_static(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn telephone_numbers() {
    // The first three: RFC 3966 §6.
    type Row<'a> = (&'a str, bool, &'a str, Option<PhoneContext<'a>>, Option<&'a str>, usize);
    let table: &[Row<'_>] = &[
        ("tel:+1-201-555-0123", true, "+12015550123", None, None, 0),
        (
            "tel:7042;phone-context=example.com",
            false,
            "7042",
            Some(PhoneContext::Domain("example.com")),
            None,
            1,
        ),
        (
            "tel:863-1234;phone-context=+1-914-555",
            false,
            "8631234",
            Some(PhoneContext::Global("+1-914-555")),
            None,
            1,
        ),
        ("TEL:+(44).20;EXT=1-2;x", true, "+4420", None, Some("1-2"), 2),
        ("tel:*21#;phone-context=a", false, "*21#", Some(PhoneContext::Domain("a")), None, 1),
        ("tel:%2A21%23;phone-context=a", false, "*21#", Some(PhoneContext::Domain("a")), None, 1),
        ("tel:12aF", false, "12aF", None, None, 0),
        (
            "sips:+358-555-1234567;postd=pp22@foo.com;user=phone",
            true,
            "+3585551234567",
            None,
            None,
            1,
        ),
        ("sip:%2B1@foo.com;User=Phone", false, "", None, None, 0),
        ("sip:1212:secret@gateway.com;user=phone", false, "1212", None, None, 0),
    ];
    for &(text, global, digits, context, extension, params) in table {
        let uri = uri(text);
        let Ok(Some(number)) = uri.telephone_subscriber() else {
            // `+` is reserved: escaped, it is no `+`.
            assert_eq!(digits, "", "{text}");
            assert_eq!(
                uri.telephone_subscriber(),
                Err(UriError::new(UriErrorKind::Number, 4)),
                "{text}"
            );
            continue;
        };
        assert_eq!((number.is_global(), &*number.digits()), (global, digits), "{text}");
        assert_eq!((number.phone_context(), number.extension()), (context, extension), "{text}");
        assert_eq!(number.params().count(), params, "{text}");
        assert!(text.contains(number.as_str()) && number.as_str().starts_with(number.number()));
        assert_eq!(number.to_string(), number.as_str());
        assert_eq!(number.clone().into_owned(), number);
    }
    let mandatory = number("+1;m-a=1;M-b;mb=2");
    assert_eq!(mandatory.mandatory_params().map(|p| p.name()).collect::<Vec<_>>(), ["m-a", "M-b"]);
    assert_eq!(number("+1;isub=a%20b").isdn_subaddress().as_deref(), Some("a b"));
    assert_eq!(number("+1;X=1").param("x").and_then(|param| param.value()), Some("1"));
    for text in ["sip:+1@foo.com", "sip:foo.com;user=phone", "sip:+1@a;user=ip", "mailto:a@b"] {
        assert_eq!(uri(text).telephone_subscriber(), Ok(None), "{text}");
    }
}

#[test]
fn bad_telephone_numbers() {
    use UriErrorKind::{Character, Escape, Number, Parameter, TooLong};
    for (text, kind, at) in [
        ("", Number, 0),
        (";ext=1", Number, 0),
        ("+", Number, 1),
        ("+-.", Number, 3),
        ("()", Number, 2),
        // RFC 3966 §5.1.2: no letters that stand for digits; §5.1.3: none in global numbers.
        ("+1-800-FLOWERS", Number, 7),
        ("+1*2", Number, 2),
        ("+12#", Number, 3),
        ("+1%232", Number, 2),
        ("12g", Number, 2),
        ("1 2", Character, 1),
        ("1<2", Character, 1),
        ("1\r\n2", Character, 1),
        ("1%2", Escape, 1),
        ("1,2", Number, 1),
        ("+1;", Parameter, 3),
        ("+1;;x", Parameter, 3),
        ("+1;x;", Parameter, 5),
        ("+1;=x", Parameter, 3),
        ("+1;x=", Parameter, 3),
        ("+1;x_y=1", Parameter, 3),
        ("+1;%78=1", Parameter, 3),
        ("+1;ext=", Parameter, 3),
        ("+1;ext", Parameter, 3),
        ("+1;ext=a", Parameter, 3),
        ("+1;ext=-", Parameter, 3),
        ("+1;isub", Parameter, 3),
        ("+1;isub=", Parameter, 3),
        ("1;phone-context", Parameter, 2),
        ("1;phone-context=", Parameter, 2),
        ("1;phone-context=+", Parameter, 2),
        ("1;phone-context=+1a", Parameter, 2),
        ("1;phone-context=a/b", Parameter, 2),
        ("1;phone-context=192.0.2.1", Parameter, 2),
        ("+1;a=1;b=2;A=1", Parameter, 11),
        ("+1;ext=1;ext=1", Parameter, 9),
        ("+1;ext=1;isub=1", Parameter, 9),
        ("+1;isub=1;x;ext=1", Parameter, 12),
    ] {
        let error = TelephoneSubscriber::parse(text.as_bytes()).expect_err(text);
        assert_eq!((error.kind(), error.offset()), (kind, at), "{text}");
    }
    let long = "1".repeat(65_536);
    assert_eq!(TelephoneSubscriber::parse(long.as_bytes()), Err(UriError::new(TooLong, 65_535)));
    let many = |n: usize| format!("1{}", (0..n).map(|i| format!(";p{i}")).collect::<String>());
    assert_eq!(number(&many(32)).params().count(), 32);
    let text = many(33);
    let error = TelephoneSubscriber::parse(text.as_bytes()).map_err(|error| error.kind());
    assert_eq!(error, Err(Parameter));
    // The offset is one into the URI.
    let at = |text: &str| uri(text).telephone_subscriber().err().map(|error| error.offset());
    assert_eq!(at("tel:+1;x="), Some(7));
    assert_eq!(at("sip:+1;x=@a;user=phone"), Some(7));
    assert_eq!(at("sips:alice@a;user=phone"), Some(6));
}

// RFC 3966 §4: "URI comparisons are case-insensitive."
#[test]
fn equivalent_telephone_numbers() {
    for (a, b) in [
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:(7042);phone-context=Example.com", "TEL:70.42;Phone-Context=example.COM"),
        ("tel:1;phone-context=+1-914", "tel:1;phone-context=+19.14"),
        ("tel:+1;ext=1-2", "tel:+1;ext=12"),
        ("tel:aB*#", "tel:Ab%2A%23"),
        ("tel:+1;x=%41%3b", "tel:+1;x=a%3B"),
        // RFC 3261 §19.1.6
        ("tel:+358-555-1234567;postd=pp22", "tel:+358-555-1234567;POSTD=PP22"),
        ("tel:+358-555-1234567;postd=pp22;isub=1411", "tel:+358-555-1234567;isub=1411;postd=pp22"),
    ] {
        assert!(uri(a).is_equivalent(&uri(b)) && uri(b).is_equivalent(&uri(a)), "{a} and {b}");
        assert_eq!(tel(a), tel(b));
        let canonical = |text| tel(text).canonical().as_str().replace(['-', '.', '(', ')'], "");
        assert_eq!(canonical(a), canonical(b));
    }
    for (a, b) in [
        ("tel:+1", "tel:1"),
        ("tel:+1", "tel:+2"),
        ("tel:+1", "tel:+1;x"),
        ("tel:+1;x", "tel:+1;y"),
        ("tel:+1;x", "tel:+1;x=1"),
        ("tel:+1;x=1", "tel:+1;x=2"),
        ("tel:+1;ext=1", "tel:+1;isub=1"),
        ("tel:+1;x=1-2", "tel:+1;x=12"),
        ("tel:+1;x=%3A", "tel:+1;x=:"),
        ("tel:1;phone-context=a.b", "tel:1;phone-context=ab"),
        ("tel:1;phone-context=+1", "tel:1;phone-context=a"),
        ("tel:+1;x=", "tel:+1;X="),
    ] {
        assert!(!uri(a).is_equivalent(&uri(b)) && !uri(b).is_equivalent(&uri(a)), "{a} and {b}");
    }
}

#[test]
fn telephone_numbers_to_sip_and_back() -> Result<(), UriError> {
    // RFC 3261 §19.1.6
    let foo = Uri::sip("foo.com", None)?;
    for (from, to) in [
        ("tel:+358-555-1234567;postd=pp22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        ("tel:+358-555-1234567;POSTD=PP22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        (
            "tel:+358-555-1234567;postd=pp22;isub=1411",
            "sip:+358-555-1234567;isub=1411;postd=pp22@foo.com;user=phone",
        ),
        (
            "tel:+358-555-1234567;isub=1411;postd=pp22",
            "sip:+358-555-1234567;isub=1411;postd=pp22@foo.com;user=phone",
        ),
        (
            "tel:+358-555-1234567;tsp=a.b;phone-context=5",
            "sip:+358-555-1234567;phone-context=5;tsp=a.b@foo.com;user=phone",
        ),
        (
            "tel:+358-555-1234567;phone-context=5;tsp=a.b",
            "sip:+358-555-1234567;phone-context=5;tsp=a.b@foo.com;user=phone",
        ),
        ("tel:*21#;x=[a:b]", "sip:*21%23;x=%5Ba%3Ab%5D@foo.com;user=phone"),
    ] {
        let sip = foo.with_telephone_subscriber(&tel(from))?;
        assert_eq!(sip.as_str(), to);
        let sips = Uri::sips("foo.com", None)?.with_telephone_subscriber(&tel(from))?;
        assert_eq!(sips.as_str(), to.replacen("sip:", "sips:", 1));
    }
    for (from, to) in [
        ("sip:+358-555-1234567;POSTD=pp22@foo.com;user=phone", "tel:+358-555-1234567;postd=pp22"),
        ("sips:*21%23;phone-context=A.b@foo.com:5061;lr;user=phone", "tel:*21#;phone-context=a.b"),
        ("tel:+1;b=%41%3B;a", "tel:+1;a;b=a%3B"),
    ] {
        assert_eq!(Uri::tel(&tel(from))?.as_str(), to);
    }
    // A user and password that were there are replaced, and so is another user parameter.
    let other =
        uri("sip:bob:pw@foo.com:5070;user=ip;lr").with_telephone_subscriber(&number("+1"))?;
    assert_eq!(other.as_str(), "sip:+1@foo.com:5070;user=phone;lr");
    let error = uri("im:a@b").with_telephone_subscriber(&number("+1"));
    assert_eq!(error.map_err(|error| error.kind()), Err(UriErrorKind::NotSip));
    let long = "1".repeat(65_535);
    let error = Uri::tel(&number(&long)).map_err(|error| error.kind());
    assert_eq!(error, Err(UriErrorKind::TooLong));
    Ok(())
}

#[test]
fn telephone_numbers_are_built_well_formed() -> Result<(), UriError> {
    let global = TelephoneSubscriber::global("+1-201-555-0123")?;
    let local = TelephoneSubscriber::local("7042", "Example.com")?;
    assert_eq!(local.as_str(), "7042;phone-context=example.com");
    for (built, expected) in [
        (global.with_extension("12")?.with_extension("34")?, "+1-201-555-0123;ext=34"),
        (global.with_isdn_subaddress("a;b+c=d?")?, "+1-201-555-0123;isub=a%3Bb%2Bc%3Dd%3F"),
        (
            local.with_param("Zone", Some("a b"))?.with_param("area", None)?.with_extension("1")?,
            "7042;ext=1;phone-context=example.com;area;zone=a%20b",
        ),
        (local.with_param("phone-context", Some("+1-914"))?, "7042;phone-context=+1-914"),
    ] {
        assert_eq!(built.as_str(), expected);
        assert_eq!(number(built.as_str()), built);
    }
    use UriErrorKind::{Number, Parameter};
    let kind = |result: Result<TelephoneSubscriber<'static>, UriError>| {
        result.map(|number| number.to_string()).map_err(|error| error.kind())
    };
    for (result, expected) in [
        (TelephoneSubscriber::global("1"), Number),
        (TelephoneSubscriber::global("+1;x"), Number),
        (TelephoneSubscriber::global("+%31"), Number),
        (TelephoneSubscriber::local("+1", "a"), Number),
        (TelephoneSubscriber::local("1;ext=1", "a"), Number),
        (TelephoneSubscriber::local("1", ""), Parameter),
        (TelephoneSubscriber::local("1", "a;x"), Parameter),
        (TelephoneSubscriber::local("1", "a b"), UriErrorKind::Character),
        (global.with_extension("x"), Parameter),
        (global.with_extension("1;x"), Parameter),
        (global.with_isdn_subaddress(""), Parameter),
        (global.with_extension("1")?.with_isdn_subaddress("1"), Parameter),
        (global.with_param("a;b", None), Parameter),
        (global.with_param("", Some("1")), Parameter),
        (global.with_param("x", Some("")), Parameter),
        (global.with_param("ext", None), Parameter),
    ] {
        assert_eq!(kind(result), Err(expected));
    }
    Ok(())
}

#[test]
fn services() -> Result<(), UriError> {
    // RFC 5031 §4.2, §4.3
    let police = uri("URN:Service:SOS.police");
    let police = police.service()?.expect("a service");
    let sos = ServiceUrn::new("sos")?;
    assert_eq!(police.labels().collect::<Vec<_>>(), ["SOS", "police"]);
    assert_eq!((police.top_level(), police.as_str()), ("SOS", "SOS.police"));
    assert_eq!(police.sub_services().collect::<Vec<_>>(), ["police"]);
    assert!(police.is_within(&sos) && !sos.is_within(&police) && police.is_within(&police));
    assert!(police.is_emergency() && !ServiceUrn::new("counseling.children")?.is_emergency());
    assert!(!ServiceUrn::new("sos-x")?.is_within(&sos) && !ServiceUrn::new("sosx")?.is_emergency());
    assert_eq!((police.parent(), sos.parent()), (Some(sos.clone()), None));
    assert_eq!(police, ServiceUrn::new("sos.POLICE")?);
    assert_eq!(Uri::urn_service(&police)?.as_str(), "urn:service:sos.police");
    assert_eq!(police.clone().into_owned().to_string(), "SOS.police");
    for text in ["urn:uuid:f81d", "tel:service:sos", "urn:service", "urn:servicex:sos"] {
        assert_eq!(uri(text).service(), Ok(None), "{text}");
    }
    for (labels, at) in [
        ("", 0),
        (".sos", 0),
        ("sos.", 4),
        ("sos..fire", 4),
        ("-sos", 0),
        ("sos-", 3),
        ("sos.fi_re", 6),
        ("sos?x", 3),
        ("a234567890123456789012345678", 27),
    ] {
        let text = format!("urn:service:{labels}");
        let uri = uri(&text);
        let error = uri.service().map_err(|error| (error.kind(), error.offset()));
        assert_eq!(error, Err((UriErrorKind::Urn, at + 12)), "{text}");
        assert!(ServiceUrn::new(labels).is_err(), "{text}");
    }
    let longest = "a23456789012345678901234567";
    assert_eq!(ServiceUrn::new(longest)?.top_level(), longest);
    Ok(())
}

#[test]
fn urns_are_compared_by_namespace() {
    // RFC 8141 §3.2; the last two sets: RFC 5031 §3, RFC 9562 §4.
    let sets: &[&[&str]] = &[
        &[
            "urn:example:a123,z456",
            "URN:example:a123,z456",
            "urn:EXAMPLE:a123,z456",
            "urn:example:a123,z456?+abc",
            "urn:example:a123,z456?=xyz",
            "urn:example:a123,z456#789",
        ],
        &["urn:example:a123,z456/foo"],
        &["urn:example:a123,z456/bar"],
        &["urn:example:a123,z456/baz"],
        &["urn:example:a123%2Cz456", "URN:EXAMPLE:a123%2cz456"],
        &["urn:example:A123,z456"],
        &["urn:example:a123,Z456"],
        &["urn:example:%D0%B0123,z456"],
        &["urn:service:sos.fire", "urn:SERVICE:SOS.Fire"],
        &["urn:uuid:f81d4fae-7dec-11d0", "urn:uuid:F81D4FAE-7DEC-11D0"],
        &["urn:nothing"],
        &["urn:NOTHING"],
    ];
    for (i, set) in sets.iter().enumerate() {
        for (j, other) in sets.iter().enumerate() {
            for (a, b) in set.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                assert_eq!(uri(a).is_equivalent(&uri(b)), i == j, "{a} and {b}");
            }
        }
    }
}

#[test]
fn mailboxes() -> Result<(), UriError> {
    let im = uri("im:fred@Example.com");
    let mailbox = im.mailbox()?.expect("one");
    assert_eq!((&*mailbox.local_part(), mailbox.domain()), ("fred", "Example.com"));
    assert_eq!(mailbox.headers().count(), 0);
    assert_eq!(uri("pres:a%40b@[::1]?x=1&y=2").mailbox()?.expect("one").local_part(), "a@b");
    for text in ["im:?subject=x", "mailto:a@b", "sip:a@b"] {
        assert_eq!(uri(text).mailbox(), Ok(None), "{text}");
    }
    use UriErrorKind::{Escape, Host, User};
    for (text, kind, at) in [
        ("im:@b", User, 3),
        ("im:a@b@c", User, 3),
        ("im:fred", Host, 7),
        ("im:fred?x=y", Host, 7),
        ("pres:fred@", Host, 10),
        ("pres:fred@a_/b", Host, 10),
        ("im:fred%4@a", Escape, 7),
        ("im:fred@a?x=%", Escape, 12),
    ] {
        let uri = uri(text);
        let error = uri.mailbox().map_err(|error| (error.kind(), error.offset()));
        assert_eq!(error, Err((kind, at)), "{text}");
    }
    assert_eq!(Uri::im("fred b", "example.com")?.as_str(), "im:fred%20b@example.com");
    assert_eq!(Uri::pres("a@b", "::1")?.as_str(), "pres:a%40b@[::1]");
    let kind = |result: Result<Uri<'static>, UriError>| result.map_err(|error| error.kind());
    assert_eq!(kind(Uri::im("", "a")), Err(User));
    assert_eq!(kind(Uri::pres("a", "b c")), Err(Host));
    for (a, b, same) in [
        ("im:fred@example.com", "IM:fre%64@Example.COM", true),
        ("im:Fred@example.com", "im:fred@example.com", false),
        ("im:fred@example.com", "pres:fred@example.com", false),
        ("im:fred@example.com", "im:fred@example.org", false),
        ("im:fred@example.com", "im:fred@example.com?x=y", false),
        ("im:fred", "im:FRED", false),
    ] {
        assert_eq!(uri(a).is_equivalent(&uri(b)), same, "{a} and {b}");
    }
    Ok(())
}

/// Texts near to telephone numbers.
fn near_numbers() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "+",
        "1",
        "23",
        "a",
        "-",
        "#",
        "%23",
        ";",
        "ext=1",
        "isub=x",
        "isub=%20",
        "X=%41",
        "b",
        "phone-context=+1",
        "phone-context=A.b",
        "=",
        "%3B",
        "[",
        "\u{e9}",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..8).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn telephone_numbers_keep_their_meaning(text in near_numbers()) {
        if let Ok(number) = TelephoneSubscriber::parse(text.as_bytes()) {
            prop_assert_eq!(number.as_str(), &*text);
            let canonical = number.canonical();
            prop_assert_eq!(&number, &canonical);
            prop_assert_eq!(canonical.canonical().to_string(), canonical.as_str());
            let tel = Uri::tel(&number).expect("short");
            prop_assert_eq!(tel.telephone_subscriber(), Ok(Some(number.clone())));
            let base = Uri::sip("example.com", None).expect("a host");
            let sip = base.with_telephone_subscriber(&number).expect("escaped");
            let back = sip.telephone_subscriber().expect("what was put there").expect("a number");
            prop_assert_eq!(back.digits().to_ascii_lowercase(), number.digits().to_ascii_lowercase());
            prop_assert_eq!(back.params().count(), number.params().count());
        }
    }

    #[test]
    fn equality_of_numbers_is_an_equivalence(texts in prop::array::uniform3(near_numbers())) {
        let [a, b, c] = &texts;
        let parse = |text: &str| TelephoneSubscriber::parse(text.as_bytes()).map(|n| n.to_static());
        if let (Ok(a), Ok(b), Ok(c)) = (parse(a), parse(b), parse(c)) {
            prop_assert_eq!(a == b, b == a);
            prop_assert!(!(a == b && b == c) || a == c);
        }
    }
}
