//! What bodies are and which may come back.

use super::*;

#[test]
fn accept_encoding() {
    let accept: AcceptEncoding<'_> = good("gzip;q=1.0, IDENTITY; q=0.5, *;q=0");
    let q = |coding| accept.quality(coding).map(QValue::thousandths);
    assert_eq!((q("GZIP"), q("identity"), q("br")), (Some(1000), Some(500), Some(0)));
    assert!(accept.accepts("gzip") && accept.accepts("identity") && !accept.accepts("br"));
    for empty in ["", " ", ",", " , "] {
        let none: AcceptEncoding<'_> = good(empty);
        assert!(none.is_empty() && none.accepts("Identity") && !none.accepts("gzip"), "{empty:?}");
    }
    // RFC 3261 §20.2
    let gzip: AcceptEncoding<'_> = good("gzip");
    assert!(gzip.accepts("gzip") && gzip.accepts("identity") && !gzip.accepts("compress"));
    assert!(!good::<AcceptEncoding<'_>>("identity;q=0").accepts("identity"));
    assert!(!good::<AcceptEncoding<'_>>("*;q=0").accepts("identity"));
    let tokens: Vec<_> = accept.elements().map(|element| element.token()).collect();
    assert_eq!(tokens, ["gzip", "IDENTITY", "*"]);
    assert_eq!(
        accept.elements().nth(1).map(|e| format!("{e:?}")).as_deref(),
        Some("Element(IDENTITY; q=0.5)")
    );
    assert_eq!(accept.to_static().as_bytes(), accept.as_bytes());

    assert_eq!(
        AcceptEncoding::new(["gzip", "*;q=0"]).map(|a| a.to_string()),
        Ok("gzip, *;q=0".into())
    );
    assert_eq!(AcceptEncoding::new::<&str>([]).map(|a| a.is_empty()), Ok(true));
    for element in ["a b", "a\r\n", "a;", "\"a\""] {
        assert!(AcceptEncoding::new([element]).is_err(), "{element:?}");
    }
    bad::<AcceptEncoding<'_>>(&[
        ("gzip deflate", Trailing, 5),
        ("gzip, \"deflate\"", Token, 6),
        ("gzip;", Parameter, 5),
        ("gzip;=1", Parameter, 5),
        ("gzip;q=\"1", QuotedString, 7),
        ("gzip\r\n", Character, 4),
        (" gzip/1", Trailing, 5),
    ]);
}

#[test]
fn accept_language() {
    // RFC 3261 §20.3
    let accept: AcceptLanguage<'_> = good("da, en-gb;q=0.8, en;q=0.7");
    for (tag, q) in [
        ("da", Some(1000)),
        ("DA-DK", Some(1000)),
        ("en-GB", Some(800)),
        ("en-gb-oed", Some(800)),
        ("en", Some(700)),
        ("en-US", Some(700)),
        ("eng", None),
        ("e", None),
        ("", None),
    ] {
        assert_eq!(accept.quality(tag).map(QValue::thousandths), q, "{tag}");
        assert_eq!(accept.accepts(tag), q.is_some(), "{tag}");
    }
    let rest: AcceptLanguage<'_> = good("fr, *;q=0.1, de;q=0");
    assert!(rest.accepts("fr") && rest.accepts("pl") && !rest.accepts("de-AT"));
    assert!(!good::<AcceptLanguage<'_>>("").accepts("en"));
    // A tag that is cut within a character.
    assert_eq!(good::<AcceptLanguage<'_>>("a").quality("é"), None);
    bad::<AcceptLanguage<'_>>(&[("en_gb/1", Trailing, 5), ("é", Token, 0)]);
}

#[test]
fn content_disposition() {
    for (text, disposition_type, required) in [
        ("session", "session", true),
        ("Render ;\r\n handling = OPTIONAL", "Render", false),
        ("icon;handling=required", "icon", true),
        ("alert;handling=other;x=\"a;b\"", "alert", true),
    ] {
        let disposition: ContentDisposition<'_> = good(text);
        assert_eq!(disposition.disposition_type(), disposition_type);
        assert!(disposition.is(&disposition_type.to_ascii_uppercase()));
        assert_eq!(disposition.is_required(), required, "{text}");
        assert_eq!(written(&disposition), text);
        assert_eq!(disposition.to_static(), disposition);
    }
    let early = ContentDisposition::new("early-session").and_then(|d| d.with_handling(false));
    assert_eq!(early.as_ref().map(|d| d.to_string()), Ok("early-session;handling=optional".into()));
    let required = early.and_then(|d| d.with_handling(true)).map(|d| d.to_string());
    assert_eq!(required, Ok("early-session;handling=required".into()));
    for word in ["", "a b", "a;b", "a ", " a", "a\r\n", "\"a\"", "a,b"] {
        assert!(ContentDisposition::new(word).is_err(), "{word:?}");
    }
    let session: ContentDisposition<'_> = good("session");
    assert!(session.with_param("handling", Some("a b")).is_err());
    assert!(session.with_param("x", Some("\r\n")).is_err());
    bad::<ContentDisposition<'_>>(&[
        ("", Empty, 0),
        (";handling=optional", Token, 0),
        ("a/b", Trailing, 1),
        ("session;", Parameter, 8),
        ("session;handling", Parameter, 8),
        ("session;handling=", Parameter, 8),
        ("session;handling=\"optional\"", Parameter, 8),
        ("session;handling=a;HANDLING=b", DuplicateParameter, 19),
        ("session, render", Trailing, 7),
        ("session\r\nX: y", Trailing, 7),
    ]);
}

#[test]
fn content_codings_and_languages() {
    // RFC 3261 §20.12, §20.13
    let codings: ContentEncoding<'_> = good("deflate, GZIP");
    assert_eq!(codings.iter().collect::<Vec<_>>(), ["deflate", "GZIP"]);
    assert!(codings.contains("gzip") && !codings.contains("tar"));
    assert_eq!(ContentEncoding::new(["gzip"]).map(|c| c.to_string()), Ok("gzip".into()));
    assert!(good::<ContentLanguage<'_>>("fr, mi").contains("FR"));
    bad::<ContentEncoding<'_>>(&[("gzip;q=1", Token, 4)]);
    bad::<ContentLanguage<'_>>(&[("fr mi", Token, 3)]);
}

#[test]
fn mime_version() {
    assert_eq!(good::<MimeVersion>(" 1.0 "), MimeVersion::V1_0);
    let version: MimeVersion = good("12.034");
    assert_eq!((version.major, version.minor, version.to_string()), (12, 34, "12.34".into()));
    bad::<MimeVersion>(&[
        ("", Empty, 0),
        ("1", Number, 1),
        ("1.", Number, 2),
        (".0", Number, 0),
        ("1. 0", Number, 2),
        ("1.0.0", Trailing, 3),
        ("4294967296.0", Number, 0),
    ]);
}
