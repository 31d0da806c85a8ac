//! The headers that are a URI in angle brackets.

use super::*;

#[test]
fn alert_info() {
    // RFC 7462 §8.2.1, RFC 3261 §20.4
    let tones: Vec<AlertInfo<'_>> = values(
        b"<urn:alert:service:call-waiting>;a=\",\" , <http://www.example.com/sounds/moo.wav,x>",
    )
    .collect::<Result<_, _>>()
    .expect("two");
    let uris: Vec<_> = tones.iter().map(|tone| tone.uri().to_string()).collect();
    assert_eq!(uris, ["urn:alert:service:call-waiting", "http://www.example.com/sounds/moo.wav,x"]);
    let a = tones.first().and_then(|tone| tone.param("A")).and_then(|a| a.value());
    assert_eq!(a.as_deref(), Some(","));

    let uri: Uri<'_> = "http://www.example.com/a;b?c".parse().expect("a URI");
    let built = AlertInfo::new(&uri).and_then(|tone| tone.with_param("x", Some("a b")));
    let built = built.expect("fit");
    assert_eq!(built.to_string(), "<http://www.example.com/a;b?c>;x=\"a b\"");
    assert_eq!((built.uri(), built.params().count()), (uri, 1));
    assert_eq!(built.to_static().as_bytes(), built.as_bytes());
    assert!(built.with_param("a b", None).is_err());
    let long = format!("http:{}", "a".repeat(65_530));
    let long: Uri<'_> = Uri::parse(long.as_bytes()).expect("just fits");
    assert_eq!(AlertInfo::new(&long).map_err(|e| e.kind()), Err(HeaderErrorKind::TooLong));
    bad::<AlertInfo<'_>>(&[
        ("", Empty, 0),
        ("http://www.example.com/", HeaderErrorKind::AngleBrackets, 0),
        ("\"Moo\" <http://a>", HeaderErrorKind::AngleBrackets, 0),
        ("<http://a", HeaderErrorKind::AngleBrackets, 0),
        ("<>", HeaderErrorKind::Uri(UriErrorKind::Scheme), 1),
        ("<sip:a:x>", HeaderErrorKind::Uri(UriErrorKind::Port), 7),
        ("<http://a b>", HeaderErrorKind::Uri(UriErrorKind::Character), 9),
        ("<http://a>b", Trailing, 10),
        ("<http://a>;", Parameter, 11),
        ("<http://a>, <http://b>", Trailing, 10),
    ]);
}

#[test]
fn call_info() {
    let field = b"<http://wwww.example.com/alice/photo.jpg> ;purpose=icon,\r\n     <http://www.example.com/alice/> ;purpose=info, <sip:a>";
    let purposes: Vec<_> = values::<CallInfo<'_>>(field)
        .map(|info| info.map(|info| info.purpose().map(Cow::into_owned)))
        .collect::<Result<_, _>>()
        .expect("three");
    assert_eq!(purposes, [Some("icon".to_string()), Some("info".to_string()), None]);
    bad::<CallInfo<'_>>(&[
        ("<sip:a>;purpose=icon;Purpose=info", DuplicateParameter, 21),
        ("<sip:a>;purpose", Parameter, 8),
        ("<sip:a>;purpose=\"icon\"", Parameter, 8),
    ]);
    let info: CallInfo<'_> = good("<sip:a>");
    assert_eq!(info.with_param("purpose", Some("a b")).expect_err("no token").kind(), Parameter);
}

#[test]
fn error_info() {
    // RFC 3261 §20.18
    let info: ErrorInfo<'_> = good("<sip:not-in-service-recording@atlanta.com>");
    assert_eq!(info.uri().user(), Some("not-in-service-recording"));
    bad::<ErrorInfo<'_>>(&[("sip:a@b", HeaderErrorKind::AngleBrackets, 0)]);
}
