//! What a caller wishes of servers and callees.

use super::*;

#[test]
fn request_disposition() -> Result<(), HeaderError> {
    // RFC 3841 §9.1
    let wish: RequestDisposition<'_> = good("proxy, recurse, parallel");
    let read: Vec<_> = wish.directives().collect();
    assert_eq!(read, [Directive::Proxy, Directive::Recurse, Directive::Parallel]);
    assert!(wish.contains(Directive::Recurse) && !wish.contains(Directive::NoRecurse));
    assert_eq!(wish.to_static(), wish);
    let odd: RequestDisposition<'_> = good("FORK ,, x-new,\r\n no-fork, Queue");
    assert_eq!(odd.directives().count(), 3);
    assert!(!odd.contains(Directive::Fork) && !odd.contains(Directive::NoFork));
    assert!(odd.contains(Directive::Queue));

    let every = [
        ("proxy", "redirect"),
        ("cancel", "no-cancel"),
        ("fork", "no-fork"),
        ("recurse", "no-recurse"),
        ("parallel", "sequential"),
        ("queue", "no-queue"),
    ];
    for (one, other) in every {
        for (text, opposite) in [(one, other), (other, one)] {
            let read: Vec<_> = good::<RequestDisposition<'_>>(text).directives().collect();
            let [directive] = read[..] else { panic!("{text}: {read:?}") };
            assert_eq!((directive.as_str(), directive.opposite().as_str()), (text, opposite));
        }
    }
    let built = RequestDisposition::new([Directive::NoFork, Directive::NoQueue])?;
    assert_eq!(built.to_string(), "no-fork, no-queue");
    for (directives, kind) in [
        (&[][..], Empty),
        (&[Directive::Fork, Directive::Fork], DuplicateParameter),
        (&[Directive::Fork, Directive::NoFork], DuplicateParameter),
    ] {
        let error = RequestDisposition::new(directives.iter().copied()).expect_err("ill-formed");
        assert_eq!((error.kind(), error.offset()), (kind, 0));
    }
    bad::<RequestDisposition<'_>>(&[
        ("proxy;x", Token, 5),
        ("\"proxy\"", Token, 0),
        ("a b", Token, 2),
    ]);
    Ok(())
}

#[test]
fn accept_and_reject_contact() -> Result<(), HeaderError> {
    // RFC 3841 §7.2.5
    let reject: RejectContact<'_> = good("*;actor=\"msg-taker\";video");
    let names: Vec<_> = reject.params().features().map(|feature| feature.name()).collect();
    assert_eq!(names, ["actor", "video"]);
    for (text, require, explicit, features) in [
        ("*;audio;require", true, false, 1),
        ("*;video;explicit", false, true, 1),
        ("*;methods=\"BYE\";class=\"business\";q=1.0", false, false, 2),
        ("*", false, false, 0),
        ("* ; Require ;EXPLICIT", true, true, 0),
    ] {
        let accept: AcceptContact<'_> = good(text);
        assert_eq!((accept.require(), accept.explicit()), (require, explicit), "{text}");
        assert_eq!(accept.params().features().count(), features, "{text}");
        assert_eq!(accept.to_static().to_string(), text);
    }
    let built = AcceptContact::ANY
        .with_feature("audio", &[])?
        .with_feature("methods", &["INVITE"])?
        .with_feature("Methods", &["INVITE", "!BYE"])?
        .with_param("require", None)?;
    assert_eq!(built.to_string(), "*;audio;Methods=\"INVITE,!BYE\";require");
    let built = RejectContact::ANY.with_feature("+a.b", &["TRUE"])?;
    assert_eq!(built.to_string(), "*;+a.b=\"TRUE\"");
    for (name, values) in
        [("q", &[][..]), ("a b", &[]), ("require", &[]), ("audio", &["\r\n"]), ("+x", &["#5"])]
    {
        let error = AcceptContact::ANY.with_feature(name, values).expect_err("no feature");
        assert_eq!((error.kind(), error.offset()), (Parameter, 1), "{name} {values:?}");
        assert_eq!(error.header(), HeaderName::AcceptContact);
    }
    assert!(AcceptContact::ANY.with_param("require", Some("1")).is_err());
    assert_eq!(values::<AcceptContact<'_>>(b"*;audio, *;description=\"<a, b>\"").count(), 2);
    bad::<AcceptContact<'_>>(&[
        ("", Empty, 0),
        ("audio", Token, 0),
        ("**", Trailing, 1),
        ("*audio", Trailing, 1),
        ("*;require=1", Parameter, 2),
        ("*;explicit;explicit", DuplicateParameter, 11),
        ("*;audio=\"", QuotedString, 8),
        ("*;", Parameter, 2),
    ]);
    bad::<RejectContact<'_>>(&[("", Empty, 0), ("<sip:a@b>", Token, 0), ("*;;", Parameter, 2)]);
    Ok(())
}

#[test]
fn feature_values() {
    // RFC 3841 §8
    let wanted: AcceptContact<'_> = good(
        "*;mobility=\"fixed\"\r\n ;events=\"!presence,message-summary\"\r\n ;language=\"en,de\";description=\"<PC>\";+sip.newparam\r\n ;+rangeparam=\"#-4:+5.125\"",
    );
    use FeatureKind::{AtLeast, AtMost, Between, Boolean, Equal};
    const fn token(text: &str) -> FeatureKind<'_> {
        FeatureKind::Token(text)
    }
    let kinds = |name: &str| {
        let feature = wanted.feature(name).expect("it is there");
        feature.values().map(|v| (v.is_negated(), v.kind())).collect::<Vec<_>>()
    };
    assert_eq!(wanted.params().features().count(), 6);
    assert_eq!(kinds("mobility"), [(false, token("fixed"))]);
    assert_eq!(kinds("events"), [(true, token("presence")), (false, token("message-summary"))]);
    assert_eq!(kinds("language"), [(false, token("en")), (false, token("de"))]);
    assert_eq!(kinds("+rangeparam"), [(false, Between(-4.0, 5.125))]);
    assert!(kinds("description").is_empty() && kinds("+sip.newparam").is_empty());
    let string = |name: &str| wanted.feature(name).and_then(|f| f.string()).map(String::from);
    assert_eq!((string("description"), string("mobility")), (Some("PC".into()), None));
    assert!(wanted.feature("+sip.newparam").is_some_and(|feature| feature.is_true()));

    let huge = format!("#={}", "9".repeat(400));
    for (text, kind) in [
        ("TRUE", Boolean(true)),
        ("false", Boolean(false)),
        ("#=5", Equal(5.0)),
        ("#>=-0.5", AtLeast(-0.5)),
        ("#<=+1.", AtMost(1.0)),
        ("#1:2", Between(1.0, 2.0)),
        ("#5", token("#5")),
        ("#=", token("#=")),
        ("#=1e3", token("#=1e3")),
        ("#=inf", token("#=inf")),
        ("#=.5", token("#=.5")),
        ("#=--1", token("#=--1")),
        ("#1:", token("#1:")),
        // RFC 3840 §9: "Any numbers present in a feature parameter MUST be representable using an
        // ANSI C double."
        (&*huge, token(&huge)),
    ] {
        let line = format!("*;+x=\"{text}\"");
        let set: RejectContact<'_> = good(&line);
        let feature = set.feature("+X").expect("it is there");
        assert_eq!(feature.values().map(|v| v.kind()).collect::<Vec<_>>(), [kind], "{text}");
    }
    for tag in [
        "audio",
        "automata",
        "class",
        "duplex",
        "data",
        "control",
        "mobility",
        "description",
        "events",
        "priority",
        "methods",
        "schemes",
        "application",
        "video",
        "language",
        "type",
        "isfocus",
        "actor",
        "text",
        "extensions",
    ] {
        assert!(AcceptContact::ANY.with_feature(tag, &[]).is_ok(), "{tag}");
    }
}

#[test]
fn feature_caps() -> Result<(), HeaderError> {
    let caps: FeatureCaps<'_> = good("*;+g.3gpp.srvcc;+sip.x=\"<sip:a@b>\"");
    let names: Vec<_> = caps.params().features().map(|feature| feature.name()).collect();
    assert_eq!(names, ["+g.3gpp.srvcc", "+sip.x"]);
    let string = caps.feature("+sip.x").and_then(|feature| feature.string());
    assert_eq!(string.as_deref(), Some("sip:a@b"));
    assert_eq!(FeatureCaps::ANY.with_feature("+a", &["1"])?.to_string(), "*;+a=\"1\"");
    assert_eq!(caps.to_static(), caps);
    assert_eq!(values::<FeatureCaps<'_>>(b"*;+a, *;+b").count(), 2);
    bad::<FeatureCaps<'_>>(&[
        ("", Empty, 0),
        ("+a", Token, 0),
        ("*,", Trailing, 1),
        ("*;+a=\"", QuotedString, 5),
    ]);
    Ok(())
}

#[test]
fn resource_priority() -> Result<(), HeaderError> {
    // RFC 4412 §3.1: `dsn.flash, wps.3` is the same as `wps.3, dsn.flash`.
    let one: ResourcePriority<'_> = good("dsn.flash, wps.3");
    let other: ResourcePriority<'_> = good("WPS.3 ,, DSN.Flash");
    assert_eq!(one, other);
    assert_ne!(one, good::<ResourcePriority<'_>>("dsn.flash"));
    assert_ne!(one, good::<ResourcePriority<'_>>("dsn.flash, wps.4"));
    assert_eq!(one.values().collect::<Vec<_>>(), [("dsn", "flash"), ("wps", "3")]);
    assert_eq!((other.priority("dsn"), other.priority("q735")), (Some("Flash"), None));
    assert!(one.contains("DSN.flash") && !one.contains("dsn"));
    assert_eq!(ResourcePriority::new(["a.b", "c.d"])?.to_string(), "a.b, c.d");
    assert_eq!(one.to_static().to_string(), "dsn.flash, wps.3");
    assert_eq!(ResourcePriority::new::<&str>([]).map_err(|e| e.kind()), Err(Empty));
    bad::<ResourcePriority<'_>>(&[
        ("", Empty, 0),
        (" , ", Empty, 2),
        ("dsn", Token, 0),
        ("wps.3, dsn.", Token, 7),
        (".flash", Token, 0),
        ("a.b.c", Token, 0),
        ("\"a.b\"", Token, 0),
        ("a.b;c", Trailing, 3),
    ]);

    // RFC 4412 §3.2
    let accepted: AcceptResourcePriority<'_> =
        good("dsn.flash-override,\r\n dsn.flash, dsn.immediate, dsn.priority, dsn.routine");
    assert_eq!(accepted.values().count(), 5);
    assert!(accepted.contains("dsn.Routine"));
    assert_eq!(good::<AcceptResourcePriority<'_>>("").values().count(), 0);
    assert_eq!(AcceptResourcePriority::new(["a.b"])?, good("A.B"));
    assert_eq!(accepted.to_static().priority("dsn"), Some("flash-override"));
    bad::<AcceptResourcePriority<'_>>(&[("dsn", Token, 0), ("a.b c.d", Trailing, 4)]);
    Ok(())
}

#[test]
fn answer_modes() -> Result<(), HeaderError> {
    // RFC 5373 §4.3.3 lists these four.
    for (text, auto, require) in [
        ("Manual", false, false),
        ("Manual;require", false, true),
        ("Auto", true, false),
        ("Auto;require", true, true),
    ] {
        let mode: AnswerMode<'_> = good(text);
        assert_eq!((mode.is_auto(), mode.is_manual(), mode.require()), (auto, !auto, require));
        let privileged: PrivAnswerMode<'_> = good(text);
        assert_eq!((privileged.is_auto(), privileged.is_manual()), (auto, !auto));
        assert_eq!(
            (privileged.require(), privileged.to_static().to_string()),
            (require, text.into())
        );
    }
    // RFC 5373 §2: "SIP header field names and values are always compared in a case-insensitive
    // manner."
    assert!(good::<AnswerMode<'_>>("AUTO ; REQUIRE").require());
    let other: AnswerMode<'_> = good("later;x=1");
    assert_eq!((other.mode(), other.is_auto(), other.is_manual()), ("later", false, false));
    assert_eq!(AnswerMode::new("Auto")?.with_param("require", None)?.to_string(), "Auto;require");
    assert_eq!(PrivAnswerMode::new("Manual")?.mode(), "Manual");
    assert_eq!(AnswerMode::new("Auto;require").map_err(|e| e.kind()), Err(Trailing));
    let table = [
        ("", Empty, 0),
        (";require", Token, 0),
        ("Auto;require=1", Parameter, 5),
        ("Auto;require;require", DuplicateParameter, 13),
        ("Auto, Manual", Trailing, 4),
    ];
    bad::<AnswerMode<'_>>(&table);
    bad::<PrivAnswerMode<'_>>(&table);
    Ok(())
}

#[test]
fn info_packages() -> Result<(), HeaderError> {
    // RFC 6086 §12.2.1 and §12.1.1
    assert_eq!(good::<InfoPackage<'_>>("foo").name(), "foo");
    let package: InfoPackage<'_> = good("foo;a=1;b");
    assert_eq!((package.name(), package.params().count()), ("foo", 2));
    assert_eq!(InfoPackage::new("bar")?.to_static().to_string(), "bar");
    bad::<InfoPackage<'_>>(&[
        ("", Empty, 0),
        ("foo, bar", Trailing, 3),
        (";a", Token, 0),
        ("foo;", Parameter, 4),
    ]);

    for (text, packages) in [("P, R", &["P", "R"][..]), ("", &[]), ("R;x=\"a, b\",T", &["R", "T"])]
    {
        let willing: RecvInfo<'_> = good(text);
        assert_eq!(willing.elements().map(|e| e.token()).collect::<Vec<_>>(), packages);
        assert_eq!(willing.is_empty(), packages.is_empty());
        assert_eq!(willing.to_static().to_string(), text);
        assert!(packages.iter().all(|package| willing.contains(package)));
    }
    // RFC 6086 §7.2: "the Info Package name is case sensitive"
    assert!(!good::<RecvInfo<'_>>("P").contains("p"));
    assert_eq!(RecvInfo::new(["P", "R"])?.to_string(), "P, R");
    bad::<RecvInfo<'_>>(&[("P R", Trailing, 2), ("\"P\"", Token, 0), ("P;", Parameter, 2)]);
    Ok(())
}
