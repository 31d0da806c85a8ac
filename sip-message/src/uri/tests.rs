mod schemes;

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The parts of a SIP URI as they are written.
type Parts<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    &'a str,
    Option<u16>,
    Vec<(&'a str, Option<&'a str>)>,
    usize,
);

fn parts<'a>(uri: &'a Uri<'_>) -> Parts<'a> {
    let params = uri.params().map(|param| (param.name(), param.value())).collect();
    let host = uri.host_str().expect("a SIP URI");
    (uri.user(), uri.password(), host, uri.port(), params, uri.headers().count())
}

#[test]
fn parts_of_sip_uris() {
    let table: &[(&str, Parts<'_>)] = &[
        ("sip:example.com", (None, None, "example.com", None, vec![], 0)),
        ("SIP:alice@example.com", (Some("alice"), None, "example.com", None, vec![], 0)),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            (
                Some("alice"),
                Some("secretword"),
                "atlanta.com",
                None,
                vec![("transport", Some("tcp"))],
                0,
            ),
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            (Some("alice"), None, "atlanta.com", None, vec![], 2),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            (
                Some("+1-212-555-1212"),
                Some("1234"),
                "gateway.com",
                None,
                vec![("user", Some("phone"))],
                0,
            ),
        ),
        (
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            (None, None, "atlanta.com", None, vec![("method", Some("REGISTER"))], 1),
        ),
        (
            "sip:alice;day=tuesday@atlanta.com",
            (Some("alice;day=tuesday"), None, "atlanta.com", None, vec![], 0),
        ),
        ("sip:[2001:db8::10]:5070", (None, None, "[2001:db8::10]", Some(5070), vec![], 0)),
        ("sip:[2001:db8::10:5070]", (None, None, "[2001:db8::10:5070]", None, vec![], 0)),
        (
            "sip:user@[2001:db8:::192.0.2.1]",
            (Some("user"), None, "[2001:db8:::192.0.2.1]", None, vec![], 0),
        ),
        (
            "sip:a@192.0.2.4:05060;lr;x=",
            (Some("a"), None, "192.0.2.4", Some(5060), vec![("lr", None), ("x", Some(""))], 0),
        ),
        ("sip:*21#@pbx", (Some("*21#"), None, "pbx", None, vec![], 0)),
        (
            "sip:u@h:5060;x=a@b?y=c@d",
            (Some("u"), None, "h", Some(5060), vec![("x", Some("a@b"))], 1),
        ),
        ("sip:u:@h", (Some("u"), Some(""), "h", None, vec![], 0)),
        ("sip:u:a:b%3A@h", (Some("u"), Some("a:b%3A"), "h", None, vec![], 0)),
        // RFC 4475 §3.1.1.2, §3.1.1.3, §3.1.1.4, §3.1.1.9
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            (
                Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"),
                Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"),
                "example.com",
                None,
                vec![],
                0,
            ),
        ),
        (
            "sip:sips%3Auser%40example.com@example.net",
            (Some("sips%3Auser%40example.com"), None, "example.net", None, vec![], 0),
        ),
        (
            "sip:null-%00-null@example.com",
            (Some("null-%00-null"), None, "example.com", None, vec![], 0),
        ),
        (
            "sip:user;par=u%40example.net@example.com",
            (Some("user;par=u%40example.net"), None, "example.com", None, vec![], 0),
        ),
    ];
    for (text, expected) in table {
        let uri = uri(text);
        assert_eq!(&parts(&uri), expected, "{text}");
        assert!(uri.is_sip());
        assert_eq!(uri.to_string(), *text);
        assert_eq!(parts(&uri.to_static()), *expected);
    }
}

#[test]
fn other_schemes_are_kept_whole() {
    for (text, scheme, opaque) in [
        (
            "tel:+1-201-555-0123;phone-context=example.com",
            Scheme::Tel,
            "+1-201-555-0123;phone-context=example.com",
        ),
        (
            "nobodyKnowsThisScheme:totallyopaquecontent",
            Scheme::Other("nobodyKnowsThisScheme"),
            "totallyopaquecontent",
        ),
        ("soap.beep://192.0.2.103:3002", Scheme::Other("soap.beep"), "//192.0.2.103:3002"),
        ("isbn:2983792873", Scheme::Other("isbn"), "2983792873"),
        ("http://www.example.com", Scheme::Other("http"), "//www.example.com"),
        ("name:John_Smith", Scheme::Other("name"), "John_Smith"),
        ("urn:service:sos", Scheme::Urn, "service:sos"),
        ("URN:uuid:f81d4fae", Scheme::Urn, "uuid:f81d4fae"),
        ("im:fred@example.com", Scheme::Im, "fred@example.com"),
        ("Pres:fred@example.com", Scheme::Pres, "fred@example.com"),
        ("image:fred", Scheme::Other("image"), "fred"),
        ("sipx:a@b", Scheme::Other("sipx"), "a@b"),
    ] {
        let uri = uri(text);
        assert_eq!((uri.scheme(), uri.opaque()), (scheme, opaque), "{text}");
        assert!(
            !uri.is_sip()
                && uri.host().is_none()
                && uri.host_str().is_none()
                && uri.user().is_none()
        );
    }
    let tel = uri("tel:7042;phone-context=example.com;ext=2");
    assert_eq!(tel.param("ext").and_then(|param| param.value()), Some("2"));
}

#[test]
fn bad_uris_are_refused_with_kind_and_place() {
    use UriErrorKind::{Character, Escape, Header, Host, Parameter, Port, Scheme, User};
    for (text, kind, offset) in [
        ("", Scheme, 0),
        ("alice", Scheme, 5),
        ("1sip:a", Scheme, 0),
        (":a", Scheme, 0),
        ("sip:", Host, 4),
        ("sip:alice@", Host, 10),
        ("sip:@example.com", User, 4),
        ("sip::pw@example.com", User, 4),
        ("sip:a@b@c", Character, 7),
        ("sip:h:5060;x=a@b", Character, 14),
        ("sip:a%4@b", Escape, 5),
        ("sip:a%ZZ@b", Escape, 5),
        ("sip:a:%@b", Escape, 6),
        ("sip:a@b;x=%4", Escape, 10),
        ("sip:a@b?x=%", Escape, 10),
        ("sip:a@b:", Port, 8),
        ("sip:a@b:65536", Port, 8),
        ("sip:a@b:5x", Character, 9),
        ("sip:a@b;", Parameter, 8),
        ("sip:a@b;;x", Parameter, 8),
        ("sip:a@b;=x", Parameter, 8),
        ("sip:a@b?", Header, 8),
        ("sip:a@b?x", Header, 8),
        ("sip:a@b?=x", Header, 8),
        ("sip:a@b?x=1&", Header, 12),
        // RFC 4475 §3.1.2.7, §3.1.2.8, §3.1.2.14
        ("<sip:user@example.com>", Scheme, 0),
        ("sip:user@example.com; lr", Parameter, 21),
        (" sip:t.watson@example.org ", Scheme, 0),
        ("sip:t.watson@example.org ", Character, 24),
        // RFC 5118 §4.2; a zone (RFC 4007 §11) means nothing on another host, and the grammar of
        // RFC 5954 §4.1 has none.
        ("sip:[fe80::1%eth0]", Host, 4),
        ("sip:[fe80::1%25eth0]", Host, 4),
        ("sip:a@[::ffff:192.0.2.300]", Host, 6),
        ("sip:[]", Host, 4),
        ("sip:[192.0.2.1]", Host, 4),
        ("sip:b%61r.com", Character, 5),
        ("sip:2001:db8::10", Port, 9),
        ("sip:[2001:db8::10", Host, 4),
        ("sip:[not-an-address]", Host, 4),
        ("sip:a\"b@c", Character, 5),
        ("sip:a@b\r\n", Character, 7),
        ("sip:ü@example.com", Host, 4),
        ("tel:", Character, 4),
        ("tel:1 2", Character, 5),
        ("http://a>b", Character, 8),
    ] {
        let error = Uri::parse(text.as_bytes()).expect_err(text);
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{text}");
    }
    let long = [&b"sip:"[..], &vec![b'a'; 65_532]].concat();
    assert_eq!(Uri::parse(&long).expect_err("long").kind(), UriErrorKind::TooLong);
}

#[test]
fn known_parameters() {
    let a = uri(
        "sip:alice@example.com;maddr=239.255.255.1;ttl=15;Transport=TLS;user=phone;method=INVITE;LR",
    );
    assert_eq!(a.maddr(), Host::parse("239.255.255.1"));
    assert_eq!((a.ttl(), a.transport(), a.lr()), (Some(15), Some(Transport::Tls), true));
    assert_eq!(
        (a.user_param().as_deref(), a.method_param().as_deref()),
        (Some("phone"), Some("INVITE"))
    );
    let b = uri("sip:example.com;ttl=256;transport=carrier-pigeon;maddr");
    assert_eq!((b.ttl(), b.transport(), b.maddr(), b.lr()), (None, None, None, false));
}

#[test]
fn names_and_values_may_be_escaped() {
    // RFC 4475 §3.1.1.3
    let uri = uri("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
    assert_eq!(uri.user_decoded().as_deref(), Some("caller"));
    assert!(uri.lr());
    assert_eq!(uri.param("name").and_then(|p| p.value_decoded()).as_deref(), Some("value%41"));
    let null = self::uri("sip:%00%C3%BC%FF@host");
    assert_eq!(null.user_decoded().as_deref(), Some("\0ü\u{FFFD}"));
}

// RFC 3261 §19.1.4: "The URIs within each of the following sets are equivalent:"
#[test]
fn equivalent_uris_of_the_section() {
    for set in [
        &["sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"][..],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;security=on"],
        &["sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"],
        &[
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ],
        &[
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;security=off"],
        // RFC 5954 §4.2 adds these.
        &["sip:bob@[::ffff:192.0.2.128]", "sip:bob@[::ffff:c000:280]"],
        &["sip:bob@[2001:db8::9:1]", "sip:bob@[2001:db8::9:01]"],
        &["sip:bob@[0:0:0:0:0:FFFF:129.144.52.38]", "sip:bob@[::FFFF:129.144.52.38]"],
        // Beyond the section's own.
        &["sip:[2001:db8::1]", "sip:[2001:DB8:0:0::1]"],
        &["sip:a@b?x=%61%3a", "sip:a@b?X=a%3A"],
        &["ISBN:2983792873", "isbn:2983792873"],
    ] {
        for a in set {
            for b in set {
                assert!(uri(a).is_equivalent(&uri(b)), "{a} and {b}");
            }
        }
    }
}

// RFC 3261 §19.1.4: "The URIs within each of the following sets are not equivalent:"
#[test]
fn different_uris_of_the_section() {
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        // Beyond the section's own examples: each of its rules.
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:biloxi.com", "sip:bob@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:bob:pw@biloxi.com"),
        ("sip:bob:PW@biloxi.com", "sip:bob:pw@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;maddr=192.0.2.1"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;ttl=1"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;user=ip"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;method=INVITE"),
        ("sip:bob@biloxi.com;x", "sip:bob@biloxi.com;x=1"),
        ("sip:bob@biloxi.com;x=%3A", "sip:bob@biloxi.com;x=:"),
        ("sip:a%3Bb@biloxi.com", "sip:a;b@biloxi.com"),
        ("sip:a@b?x=1&x=1", "sip:a@b?x=1"),
        ("sip:a@b?x=1&x=1&x=2", "sip:a@b?x=1&x=2&x=2"),
        ("sip:carol@chicago.com?Subject=a", "sip:carol@chicago.com?Subject=b"),
        ("ISBN:a", "isbn:A"),
        ("tel:1", "isbn:1"),
        ("tel:1", "tel:2"),
    ] {
        assert!(!uri(a).is_equivalent(&uri(b)), "{a} and {b}");
        assert!(!uri(b).is_equivalent(&uri(a)), "{b} and {a}");
    }
}

#[test]
fn comparison_has_its_limit() {
    let many =
        |n: usize| format!("sip:h{}", (0..n).map(|i| format!(";p{i}=1")).collect::<String>());
    let (a, b) = (many(32), format!("{};last", many(31)));
    assert!(uri(&a).is_equivalent(&uri(&b)));
    let (a, b) = (many(33), format!("{};last", many(33)));
    assert!(!uri(&a).is_equivalent(&uri(&b)));
    assert!(uri(&a).is_equivalent(&uri(&a)));
}

#[test]
fn builders_escape_what_needs_it() -> Result<(), UriError> {
    let base = Uri::sip("example.com", None)?;
    let cases = [
        (base.with_user("a b")?, "sip:a%20b@example.com"),
        (base.with_user("a@b:c;d?e")?, "sip:a%40b%3Ac;d?e@example.com"),
        (base.with_user("ü#\r\n")?, "sip:%C3%BC%23%0D%0A@example.com"),
        (base.with_user("50%41")?, "sip:50%2541@example.com"),
        (base.with_user("a")?.with_password(Some("p:w;"))?, "sip:a:p%3Aw%3B@example.com"),
        (base.with_user("a")?.with_password(Some("p"))?.with_user("")?, "sip:example.com"),
        (base.with_param("x", Some("a;b=c d"))?, "sip:example.com;x=a%3Bb%3Dc%20d"),
        (base.with_param("x=y", None)?, "sip:example.com;x%3Dy"),
        (base.with_param("lr", None)?.with_param("LR", Some("on"))?, "sip:example.com;LR=on"),
        (
            base.with_header("Replaces", "a@b;to-tag=1")?.with_header("x", "")?,
            "sip:example.com?Replaces=a%40b%3Bto-tag%3D1&x=",
        ),
        (base.with_host("2001:db8::1")?.with_port(5070)?, "sip:[2001:db8::1]:5070"),
        (Uri::sips("[2001:db8::1]", 5061)?, "sips:[2001:db8::1]:5061"),
    ];
    for (built, expected) in cases {
        assert_eq!(built.as_str(), expected);
    }
    let odd = uri("sip:u@h;x=a@b?y=c@d");
    assert_eq!(odd.with_user("")?.as_str(), "sip:h;x=a%40b?y=c%40d");
    let full = uri("sip:a:b@c:1;d=e;f;d=g?h=i");
    assert_eq!(full.without_params()?.without_headers()?.with_port(None)?.as_str(), "sip:a:b@c");
    assert_eq!(full.without_param("D")?.as_str(), "sip:a:b@c:1;f?h=i");
    assert_eq!(full.with_param("d", None)?.as_str(), "sip:a:b@c:1;d;f?h=i");
    Ok(())
}

#[test]
fn what_cannot_be_built_is_refused() {
    let kind = |result: Result<Uri<'static>, UriError>| result.map_err(|error| error.kind());
    for host in ["", "a b", "a@b", "a;lr", "a:5060", "a\r\nb", "[::1", "é"] {
        assert_eq!(kind(Uri::sip(host, None)), Err(UriErrorKind::Host), "{host:?}");
    }
    let base = uri("sip:example.com");
    assert_eq!(kind(base.with_param("", Some("x"))), Err(UriErrorKind::Parameter));
    assert_eq!(kind(base.with_header("", "x")), Err(UriErrorKind::Header));
    assert_eq!(kind(base.with_password(Some("x"))), Err(UriErrorKind::User));
    assert_eq!(kind(base.with_user(&"a".repeat(70_000))), Err(UriErrorKind::TooLong));
    assert_eq!(kind(uri("tel:1").with_user("a")), Err(UriErrorKind::NotSip));
}

#[test]
fn parameters_of_extensions() {
    // RFC 5627 §3.1.1, §3.1.2; RFC 5626 §9.1; RFC 8599 §4.1.5
    let public = uri("sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    let instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    assert_eq!(public.gruu(), Some(Gruu::Public(instance.into())));
    assert_eq!(uri("sip:tgruu.7hs@example.com;gr").gruu(), Some(Gruu::Temporary));
    assert_eq!((uri("sip:a@b").gruu(), uri("sip:a@b").ob()), (None, false));
    assert!(uri("sip:a@b;transport=tcp;OB").ob());
    let push = uri(
        "sip:alice@alicemobile.example.com;pn-provider=acme;pn-param=acme-param;pn-prid=ZTY4ZDJlMzODE1NmUgKi0K;pn-purr=a%3Bb",
    );
    assert_eq!(push.pn_provider(), Some(Some("acme".into())));
    assert_eq!(push.pn_param().as_deref(), Some("acme-param"));
    assert_eq!(push.pn_prid().as_deref(), Some("ZTY4ZDJlMzODE1NmUgKi0K"));
    assert_eq!(push.pn_purr().as_deref(), Some("a;b"));
    assert_eq!(uri("sip:a@b;pn-provider").pn_provider(), Some(None));
    assert_eq!((uri("sip:a@b").pn_provider(), uri("sip:a@b").pn_prid()), (None, None));
    let replaces = uri("sip:a@b?Replaces=1%40x%3Bto-tag%3D7&Subject=hi");
    let value = replaces.header("replaces").and_then(|header| header.value_decoded());
    assert_eq!(value.as_deref(), Some("1@x;to-tag=7"));
    assert_eq!(replaces.header("Priority"), None);
}

/// Texts near to URIs: pieces of them in any order.
fn near_uris() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("sip:"),
        Just("sips:"),
        Just("tel:"),
        Just("@"),
        Just(":"),
        Just(";"),
        Just("?"),
        Just("&"),
        Just("="),
        Just("%41"),
        Just("%"),
        Just("[::1]"),
        Just("["),
        Just("5060"),
        Just("a"),
        Just("example.com"),
        Just("lr"),
        Just("transport"),
        Just("tcp"),
        Just(" "),
        Just("\r\n "),
        Just("\""),
        Just("<"),
        Just("é"),
        Just(","),
    ];
    (
        prop_oneof![Just("sip:"), Just("sip:a@b"), Just("x:"), Just("")],
        prop::collection::vec(piece, 0..8),
    )
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(uri.as_bytes(), &text[..]);
        }
    }

    #[test]
    fn what_is_read_is_printed_as_it_came(text in near_uris()) {
        if let Ok(uri) = Uri::parse(text.as_bytes()) {
            prop_assert_eq!(uri.to_string(), &text[..]);
            prop_assert!(uri.is_equivalent(&uri.to_static()));
            prop_assert!(!text.contains(['\r', '\n', ' ', '<', '"']));
            if uri.is_sip() {
                prop_assert!(uri.host().is_some());
                prop_assert!(uri.params().chain(uri.headers()).all(|p| !p.name().is_empty()));
                // Its parts, put together again, are the URI: nothing is lost or taken twice.
                let same = uri.with_port(uri.port()).expect("as before");
                let decoded = |uri: &Uri<'_>| -> Vec<_> {
                    let owned = |text: Cow<'_, str>| text.into_owned();
                    let all = uri.params().chain(uri.headers());
                    all.map(|p| (owned(p.name_decoded()), p.value_decoded().map(owned))).collect()
                };
                prop_assert_eq!(decoded(&same), decoded(&uri));
                prop_assert_eq!((same.user(), same.password()), (uri.user(), uri.password()));
                prop_assert_eq!((same.host_str(), same.port()), (uri.host_str(), uri.port()));
            }
        }
    }

    #[test]
    fn what_is_built_is_read_back(
        user in "\\PC{1,12}", password in proptest::option::of("\\PC{0,8}"), port: Option<u16>,
        name in "\\PC{1,8}", value in proptest::option::of("\\PC{0,8}"), header in "\\PC{1,8}", text in "\\PC{0,12}",
    ) {
        let uri = Uri::sip("example.com", port)
            .and_then(|uri| uri.with_user(&user))
            .and_then(|uri| uri.with_password(password.as_deref()))
            .and_then(|uri| uri.with_param(&name, value.as_deref()))
            .and_then(|uri| uri.with_header(&header, &text))
            .expect("all of it can be escaped");
        prop_assert_eq!(uri.user_decoded(), Some(Cow::Borrowed(&user[..])));
        prop_assert_eq!(uri.password().map(|p| escape::decode(p.as_bytes())), password.as_deref().map(Cow::Borrowed));
        prop_assert_eq!((uri.host_str(), uri.port()), (Some("example.com"), port));
        let param = uri.params().next().expect("one");
        prop_assert_eq!(param.name_decoded(), &name[..]);
        prop_assert_eq!(param.value_decoded(), value.as_deref().map(Cow::Borrowed));
        let found = uri.headers().next().expect("one");
        prop_assert_eq!((found.name_decoded(), found.value_decoded()), (Cow::Borrowed(&header[..]), Some(Cow::Borrowed(&text[..]))));
        prop_assert_eq!((uri.params().count(), uri.headers().count()), (1, 1));
    }

    #[test]
    fn equivalence_is_symmetric(a in near_uris(), b in near_uris()) {
        if let (Ok(a), Ok(b)) = (Uri::parse(a.as_bytes()), Uri::parse(b.as_bytes())) {
            prop_assert_eq!(a.is_equivalent(&b), b.is_equivalent(&a));
        }
    }
}
