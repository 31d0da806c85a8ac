//! What a call refers to, how urgent it is, where it may go.

use super::*;

#[test]
fn in_reply_to() {
    // RFC 3261 §20.21
    let calls: InReplyTo<'_> = good("70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com");
    let ids: Vec<_> = calls.call_ids().collect();
    assert_eq!(ids, ["70710@saturn.bell-tel.com", "17320@saturn.bell-tel.com"]);
    assert!(
        calls.contains("70710@saturn.bell-tel.com") && !calls.contains("70710@Saturn.bell-tel.com")
    );
    let odd: InReplyTo<'_> = good(" ,a\"<>@b ,,\r\n c,");
    assert_eq!(odd.call_ids().collect::<Vec<_>>(), ["a\"<>@b", "c"]);
    assert_eq!(odd.to_static(), odd);
    assert_eq!(InReplyTo::new(["a@b", "c"]).map(|c| c.to_string()), Ok("a@b, c".into()));
    for id in ["", "a b", "a;b", "a\r\n", "é"] {
        assert!(InReplyTo::new([id]).is_err(), "{id:?}");
    }
    bad::<InReplyTo<'_>>(&[
        ("", Empty, 0),
        (" ", Empty, 1),
        ("a b", Trailing, 2),
        ("a, ;b", Character, 3),
        ("a;b", Trailing, 1),
        ("a, é", Character, 3),
    ]);
}

#[test]
fn priority() {
    // RFC 3261 §20.26
    for text in ["emergency", "urgent", "normal", "non-urgent", "psap-callback"] {
        let priority: Priority<'_> = good(text);
        assert!(priority.as_str() == text && priority.is(&text.to_ascii_uppercase()));
        assert_eq!(Priority::new(text), Ok(priority));
    }
    assert!(Priority::new("very urgent").is_err() && Priority::new("").is_err());
    bad::<Priority<'_>>(&[("", Empty, 0), ("very urgent", Trailing, 5), ("<", Token, 0)]);
}

#[test]
fn numbers_of_extensions() {
    assert_eq!(good::<FlowTimer>("0120"), FlowTimer(120));
    assert_eq!(good::<MaxBreadth>("60"), MaxBreadth(60));
    bad::<FlowTimer>(&[("", Empty, 0), ("1.5", Trailing, 1), ("x", Number, 0)]);
    // RFC 5393 §5.3.1: "The Max-Breadth header field value takes no parameters."
    bad::<MaxBreadth>(&[("60;x=y", Trailing, 2), ("-1", Number, 0), ("4294967296", Number, 0)]);
}

#[test]
fn routes_of_registrations() {
    // RFC 3327 §5.5.1
    let path: Vec<Path<'_>> = values(b"<sip:P3.EXAMPLEHOME.COM;lr>,<sip:P1.EXAMPLEVISITED.COM;lr>")
        .collect::<Result<_, _>>()
        .expect("two");
    assert_eq!(
        path.last().map(|p| p.to_string()).as_deref(),
        Some("<sip:P1.EXAMPLEVISITED.COM;lr>")
    );
    // RFC 3608 §6.4.1
    let route: Vec<ServiceRoute<'_>> =
        values(b"<sip:P2.HOME.EXAMPLE.COM;lr>,\r\n    <sip:HSP.HOME.EXAMPLE.COM;lr>")
            .collect::<Result<_, _>>()
            .expect("two");
    assert!(route.len() == 2 && route.iter().all(|route| route.uri().lr()));
    let first = route.first().cloned().map(|route| Route::from(route.into_name_addr()));
    assert_eq!(first.map(|r| r.to_string()).as_deref(), Some("<sip:P2.HOME.EXAMPLE.COM;lr>"));
    bad::<Path<'_>>(&[
        ("sip:a", HeaderErrorKind::AngleBrackets, 0),
        ("<sip:a>,<sip:b>", Trailing, 7),
    ]);
    bad::<ServiceRoute<'_>>(&[("sip:a;lr", HeaderErrorKind::AngleBrackets, 0)]);
}

#[test]
fn authentication_info() -> Result<(), HeaderError> {
    // RFC 3261 §20.6
    let next: AuthenticationInfo<'_> = good("nextnonce=\"47364c23432d2e131a5fb210812c\"");
    assert_eq!(next.nextnonce().as_deref(), Some("47364c23432d2e131a5fb210812c"));
    assert!(next.qop().is_none() && next.nc().is_none() && next.rspauth().is_none());
    let text = "qop=auth,\r\n rspauth=\"6629\" , cnonce=\"0a\\\"b\", NC=00000001,new=x";
    let full: AuthenticationInfo<'_> = good(text);
    assert_eq!((full.qop().as_deref(), full.rspauth().as_deref()), (Some("auth"), Some("6629")));
    assert_eq!((full.cnonce().as_deref(), full.nc()), (Some("0a\"b"), Some(1)));
    assert_eq!(
        (full.params().count(), full.param("New").map(|p| p.value())),
        (5, Some("x".into()))
    );
    assert_eq!(written(&full.to_static()), text);
    assert!(!format!("{full:?}").contains("6629"), "digests stay out of logs");
    assert_eq!(good::<AuthenticationInfo<'_>>("nc=1").nc(), None);

    let info = DigestInfo {
        nextnonce: Some("n\"2"),
        qop: Some("auth"),
        rspauth: Some("66"),
        cnonce: Some("c"),
        nc: Some(31),
    };
    assert_eq!(
        AuthenticationInfo::new(&info)?.to_string(),
        r#"nextnonce="n\"2", qop=auth, rspauth="66", cnonce="c", nc=0000001f"#
    );
    for info in [
        DigestInfo::default(),
        DigestInfo { nextnonce: Some("a\r\nb"), ..Default::default() },
        DigestInfo { qop: Some("a b"), ..Default::default() },
    ] {
        assert!(AuthenticationInfo::new(&info).is_err(), "{info:?}");
    }
    bad::<AuthenticationInfo<'_>>(&[
        ("", Empty, 0),
        (" , ", Empty, 2),
        ("nextnonce", Parameter, 9),
        ("nextnonce=", Parameter, 10),
        ("nextnonce=\"a", QuotedString, 10),
        ("Digest nextnonce=\"a\"", Parameter, 7),
        ("a=1 b=2", Parameter, 4),
    ]);
    Ok(())
}
