use std::string::ToString;

use super::*;
use HeaderErrorKind::{
    AngleBrackets, DisplayName, DuplicateParameter, Empty, Parameter, QuotedString, Trailing,
};

fn parse(text: &str) -> NameAddr<'_> {
    match NameAddr::parse_first(text.as_bytes(), Form::Any) {
        Ok((address, None)) => address,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn forms_of_an_address() {
    // text, display name, URI, tag, number of parameters
    for (text, display, uri, tag, params) in [
        ("<sip:a@b>", None, "sip:a@b", None, 0),
        ("sip:a@b", None, "sip:a@b", None, 0),
        ("sip:a@b;tag=1;x", None, "sip:a@b", Some("1"), 2),
        ("<sip:a@b;lr;tag=2>;tag=1", None, "sip:a@b;lr;tag=2", Some("1"), 1),
        ("Bob <sip:a@b>", Some("Bob"), "sip:a@b", None, 0),
        ("Bob  B. <sip:a@b>;x", Some("Bob  B."), "sip:a@b", None, 1),
        ("\"Bob, \\\"B\\\" \\\\\"<sip:a@b>", Some("Bob, \"B\" \\"), "sip:a@b", None, 0),
        ("\"\" <sip:a@b>", Some(""), "sip:a@b", None, 0),
        ("\"<sip:x@y>\" <sip:a@b>", Some("<sip:x@y>"), "sip:a@b", None, 0),
        ("Bob (work) <sip:a@b>", Some("Bob (work)"), "sip:a@b", None, 0),
        ("a@b <sip:a@b>", Some("a@b"), "sip:a@b", None, 0),
        ("sip:a@b <sip:a@b>", Some("sip:a@b"), "sip:a@b", None, 0),
        ("José <sip:a@b>", Some("José"), "sip:a@b", None, 0),
        ("<sip:a,b;c?d@e>", None, "sip:a,b;c?d@e", None, 0),
        ("tel:+1", None, "tel:+1", None, 0),
        // RFC 4475 §3.1.1.1, §3.1.1.2, §3.1.1.6, §3.3.4
        (
            "\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            None,
            "sip:vivekg@chair-dnrc.example.com",
            Some("1918181833n"),
            1,
        ),
        (
            "\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8",
            Some("J Rosenberg \\\""),
            "sip:jdrosen@example.com",
            Some("98asjd8"),
            1,
        ),
        (
            "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
            Some("token1~` token2'+_ token3*%!.-"),
            "sip:mundane@example.com",
            Some("_token~1'+`*%!-."),
            2,
        ),
        (
            "caller<sip:caller@example.com>;tag=323",
            Some("caller"),
            "sip:caller@example.com",
            Some("323"),
            1,
        ),
        ("isbn:2983792873", None, "isbn:2983792873", None, 0),
        (
            "<http://www.example.com>;tag=3234233",
            None,
            "http://www.example.com",
            Some("3234233"),
            1,
        ),
    ] {
        let address = parse(text);
        assert_eq!(address.display_name().as_deref(), display, "{text:?}");
        assert_eq!(address.uri().as_str(), uri, "{text:?}");
        assert_eq!((address.tag(), address.params().count()), (tag, params), "{text:?}");
        assert_eq!(address.to_string(), text.trim(), "printed as it came");
        let owned = address.into_owned();
        assert_eq!((owned.uri().as_str(), owned.tag()), (uri, tag), "{text:?}");
    }
}

#[test]
fn bad_addresses() {
    let uri = |kind| HeaderErrorKind::Uri(kind);
    for (text, kind, at) in [
        ("", Empty, 0),
        ("  ", Empty, 2),
        ("bob", uri(UriErrorKind::Scheme), 0),
        ("bob;tag=1", uri(UriErrorKind::Scheme), 0),
        ("<sip:a@b", AngleBrackets, 0),
        ("\"Bob\" sip:a@b", AngleBrackets, 6),
        ("Bob \"B\" <sip:a@b>", DisplayName, 4),
        ("<sip:a@b>>", Trailing, 9),
        ("<sip:a@b> x", Trailing, 10),
        ("<>", uri(UriErrorKind::Scheme), 1),
        (" <sip:a@b>;;", Parameter, 11),
        ("<sip:a@b>;", Parameter, 10),
        ("<sip:a@b>;=x", Parameter, 10),
        ("<sip:a@b>;x=\"y", QuotedString, 12),
        ("<sip:a@b>;tag=", Parameter, 10),
        ("<sip:a@b>;tag", Parameter, 10),
        ("<sip:a@b>;tag=\"x\"", Parameter, 10),
        ("<sip:a@b>;tag=1;tag=1", DuplicateParameter, 16),
        ("<sip:a@b>\r\nEvil: 1", Trailing, 9),
        // RFC 4475 §3.1.2.1, §3.1.2.6, §3.1.2.13, §3.1.2.14, §3.1.2.15
        ("\"Joe\" <sip:joe@example.org>;;;;", Parameter, 28),
        ("\"Mr. J. User <sip:j.user@example.com>", QuotedString, 0),
        ("sip:user@example.com?Route=%3Csip:sip.example.com%3E", AngleBrackets, 20),
        ("\"Watson, Thomas\" < sip:t.watson@example.org >", uri(UriErrorKind::Scheme), 18),
        ("Bell, Alexander <sip:a.g.bell@example.com>;tag=43", DisplayName, 4),
    ] {
        let fault = NameAddr::parse_first(text.as_bytes(), Form::Any).expect_err(text);
        assert_eq!((fault.kind, fault.at), (kind, at), "{text:?}");
    }
}

#[test]
fn route_forms_need_their_brackets() {
    let fault = NameAddr::parse_first(b"sip:a@b;lr", Form::NameAddr).expect_err("no brackets");
    assert_eq!((fault.kind, fault.at), (AngleBrackets, 0));
    assert!(NameAddr::parse_first(b"P <sip:a@b;lr>", Form::NameAddr).is_ok());
}

#[test]
fn bytes_that_are_no_utf_8_are_kept() {
    let text = b"\"J\xF6rg\" <sip:a@b>";
    let (address, _) = NameAddr::parse_first(text, Form::Any).expect("an address");
    assert_eq!(address.display_name().as_deref(), Some("J\u{FFFD}rg"));
    assert_eq!(address.as_bytes(), text);
}

#[test]
fn building() -> Result<(), HeaderErrorKind> {
    let uri = Uri::parse(b"sip:a@b;x=1").expect("a URI");
    let plain = NameAddr::new(&uri);
    assert_eq!(plain.to_string(), "<sip:a@b;x=1>");
    assert_eq!(plain.uri().param("x").and_then(|x| x.value()), Some("1"));
    let full =
        plain.with_display_name("A \"b\" \\ c,<>")?.with_param("X", Some("a;b"))?.with_tag("t")?;
    assert_eq!(full.to_string(), r#""A \"b\" \\ c,<>" <sip:a@b;x=1>;X="a;b";tag=t"#);
    assert_eq!(full.display_name().as_deref(), Some("A \"b\" \\ c,<>"));
    assert_eq!(full.param("x").and_then(|x| x.value()).as_deref(), Some("a;b"));
    assert_eq!(
        full.with_param("x", None)?.with_display_name("")?.to_string(),
        "<sip:a@b;x=1>;X=\"a;b\";tag=t".replace("X=\"a;b\"", "x")
    );
    assert_eq!(full.without_params().to_string(), r#""A \"b\" \\ c,<>" <sip:a@b;x=1>"#);
    assert_eq!(full.without_params().tag(), None);
    assert_eq!(full.address_bytes(), full.without_params().as_bytes());
    assert_eq!(parse("A <sip:a@b> ;y").address_bytes(), b"A <sip:a@b>");
    assert_eq!(parse("sip:a@b;y").address_bytes(), b"sip:a@b");
    assert_eq!(full.with_tag("u")?.tag(), Some("u"));
    assert_eq!(parse("sip:a@b;y").with_tag("t")?.to_string(), "sip:a@b;y;tag=t");
    assert_eq!(parse("sip:a@b;y").with_display_name("A")?.to_string(), "\"A\" <sip:a@b>;y");
    assert_eq!(parse("sip:a@b;y").bracketed().to_string(), "<sip:a@b>;y");
    assert_eq!(parse("A <sip:a@b>;y").bracketed().to_string(), "A <sip:a@b>;y");
    Ok(())
}

#[test]
fn what_cannot_be_built_is_refused() {
    let plain = parse("<sip:a@b>");
    for name in ["a\r\nb", "\n", "\r"] {
        assert_eq!(plain.with_display_name(name), Err(HeaderErrorKind::Character), "{name:?}");
        assert_eq!(plain.with_param("x", Some(name)), Err(HeaderErrorKind::Character), "{name:?}");
        assert_eq!(plain.with_param(name, None), Err(Parameter), "{name:?}");
    }
    for tag in ["", "a b", "a;b", "a\"b", "a\r\n"] {
        assert_eq!(plain.with_tag(tag), Err(HeaderErrorKind::Token), "{tag:?}");
    }
    assert_eq!(plain.with_display_name(&"a".repeat(70_000)), Err(HeaderErrorKind::TooLong));
}
