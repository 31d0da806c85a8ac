//! Subscriptions, publications and referrals.

use super::*;

#[test]
fn event() -> Result<(), HeaderError> {
    // text, event type, package, templates, id
    for (text, event_type, package, templates, id) in [
        ("presence", "presence", "presence", &[][..], None),
        ("presence.winfo", "presence.winfo", "presence", &["winfo"], None),
        ("a.b.winfo ; id = 7 ;x=y", "a.b.winfo", "a", &["b", "winfo"], Some("7")),
        ("foo;ID=abc", "foo", "foo", &[], Some("abc")),
    ] {
        let event: Event<'_> = good(text);
        assert_eq!((event.event_type(), event.package(), event.id()), (event_type, package, id));
        assert_eq!(event.templates().collect::<Vec<_>>(), templates);
        assert_eq!(written(&event), text);
    }
    // RFC 6665 §8.2.1
    let event: Event<'_> = good("foo; id=1234");
    for (other, matches) in [
        ("foo; param=abcd; id=1234", true),
        ("foo", false),
        ("Foo; id=1234", false),
        ("foo; id=1234", true),
        ("foo; id=12345", false),
        ("foo.bar; id=1234", false),
    ] {
        assert_eq!(event.matches(&good(other)), matches, "{other}");
        assert_eq!(good::<Event<'_>>(other).matches(&event), matches, "{other}");
    }
    assert!(good::<Event<'_>>("foo").matches(&good("foo;x=1")));
    assert_eq!(
        Event::new("refer")?.with_param("id", Some("93809824"))?.to_string(),
        "refer;id=93809824"
    );
    assert!(Event::new("").is_err() && Event::new("a b").is_err() && Event::new("a;id=1").is_err());
    assert!(event.with_param("id", Some("a b")).is_err() && event.with_param("id", None).is_err());
    bad::<Event<'_>>(&[
        ("", Empty, 0),
        ("foo bar", Trailing, 4),
        ("foo;id", Parameter, 4),
        ("foo;id=\"1\"", Parameter, 4),
        ("foo;id=1;Id=1", DuplicateParameter, 9),
        ("foo,bar", Trailing, 3),
    ]);
    Ok(())
}

#[test]
fn allow_events() {
    let events: AllowEvents<'_> = good("presence , dialog,,conference.winfo");
    assert_eq!(events.iter().collect::<Vec<_>>(), ["presence", "dialog", "conference.winfo"]);
    // Event types are told apart by case.
    assert!(events.contains("dialog") && !events.contains("Dialog"));
    assert_eq!(AllowEvents::new(["a.b", "c"]).map(|e| e.to_string()), Ok("a.b, c".into()));
    bad::<AllowEvents<'_>>(&[("presence;x", Token, 8), ("a b", Token, 2)]);
}

#[test]
fn subscription_state() -> Result<(), HeaderError> {
    for (text, substate, expires, reason, retry_after) in [
        ("active;expires=600", "active", Some(600), None, None),
        ("pending", "pending", None, None, None),
        ("Active ; Expires = 0", "Active", Some(0), None, None),
        ("terminated;reason=giveup;retry-after=5", "terminated", None, Some("giveup"), Some(5)),
        // RFC 6665 §4.1.3: "subscribers MUST ignore any such parameter"
        ("TERMINATED;expires=5;reason=timeout", "TERMINATED", None, Some("timeout"), None),
        ("waiting;x", "waiting", None, None, None),
    ] {
        let state: SubscriptionState<'_> = good(text);
        assert_eq!(
            (state.substate(), state.expires(), state.reason(), state.retry_after()),
            (substate, expires, reason, retry_after),
            "{text}"
        );
        assert!(state.is(&substate.to_ascii_lowercase()), "{text}");
        assert_eq!(state.to_static().to_string(), text);
    }
    let built = SubscriptionState::new("terminated")?.with_param("reason", Some("noresource"))?;
    assert_eq!(built.to_string(), "terminated;reason=noresource");
    assert!(built.with_param("expires", Some("soon")).is_err());
    assert!(SubscriptionState::new("active;expires=5").is_err());
    bad::<SubscriptionState<'_>>(&[
        ("", Empty, 0),
        ("active;expires=", Parameter, 7),
        ("active;expires=x", Parameter, 7),
        ("active;expires=4294967296", Parameter, 7),
        ("active;expires=-1", Parameter, 7),
        ("active;expires=1;expires=2", DuplicateParameter, 17),
        ("terminated;retry-after", Parameter, 11),
        ("terminated;reason=\"a\"", Parameter, 11),
        ("active, pending", Trailing, 6),
    ]);
    Ok(())
}

#[test]
fn entity_tags() {
    // RFC 3903 §11.3, RFC 5839
    assert_eq!(good::<SipEtag<'_>>(" dx200xyz ").as_str(), "dx200xyz");
    assert_ne!(good::<SipIfMatch<'_>>("a"), good::<SipIfMatch<'_>>("A"));
    assert_eq!(SipEtag::new("ffee2").map(|tag| tag.into_owned().to_string()), Ok("ffee2".into()));
    assert!(good::<SuppressIfMatch<'_>>("*").is_any());
    assert!(!good::<SuppressIfMatch<'_>>("b4cf7").is_any());
    assert_eq!(SuppressIfMatch::ANY, good("*"));
    assert_eq!(SuppressIfMatch::ANY.to_static().as_str(), "*");
    for tag in ["", "a b", "a ", "\"a\"", "a,b", "a\r\n"] {
        assert!(SipEtag::new(tag).is_err() && SipIfMatch::new(tag).is_err(), "{tag:?}");
    }
    assert_eq!(
        SipEtag::new(&"a".repeat(65_536)).map_err(|e| e.kind()),
        Err(HeaderErrorKind::TooLong)
    );
    bad::<SipEtag<'_>>(&[
        ("", Empty, 0),
        ("\"a\"", Token, 0),
        ("a;b", Trailing, 1),
        ("a, b", Trailing, 1),
    ]);
    bad::<SipIfMatch<'_>>(&[(" ", Empty, 1), ("*/*", Trailing, 1)]);
    bad::<SuppressIfMatch<'_>>(&[("a b", Trailing, 2), ("\r\n", Token, 0)]);
}

#[test]
fn referred_by() -> Result<(), HeaderError> {
    // RFC 3892 §3
    let plain: ReferredBy<'_> = good("sip:r@ref.example;cid=\"2UWQFN309shb3@ref.example\"");
    assert_eq!(plain.uri().as_str(), "sip:r@ref.example");
    assert_eq!(plain.cid().as_deref(), Some("2UWQFN309shb3@ref.example"));
    let named: ReferredBy<'_> = good("\"The \\\"Ref\\\"\" <sip:referrer@referrer.example>");
    assert_eq!((named.display_name().as_deref(), named.cid()), (Some("The \"Ref\""), None));
    let signed = named.with_param("cid", Some("2398@referrer.example"))?;
    assert_eq!(
        signed.to_string(),
        "\"The \\\"Ref\\\"\" <sip:referrer@referrer.example>;cid=\"2398@referrer.example\""
    );
    assert_eq!(signed.cid().as_deref(), Some("2398@referrer.example"));
    bad::<ReferredBy<'_>>(&[("", Empty, 0), ("<sip:a>, <sip:b>", Trailing, 7)]);
    Ok(())
}

#[test]
fn refer_sub() {
    for (text, subscribes) in
        [("true", true), ("false", false), ("False ;x=y", false), (" TRUE", true)]
    {
        assert_eq!(good::<ReferSub<'_>>(text).subscribes(), subscribes, "{text}");
    }
    for subscribes in [true, false] {
        let built = ReferSub::new(subscribes);
        assert_eq!(good::<ReferSub<'_>>(&built.to_string()), built);
        assert_eq!(built.to_string(), subscribes.to_string());
    }
    assert_eq!(
        ReferSub::new(false).with_param("x", Some("a b")).map(|r| r.to_string()),
        Ok("false;x=\"a b\"".into())
    );
    bad::<ReferSub<'_>>(&[
        ("", Empty, 0),
        ("yes", Token, 0),
        (" falsehood", Token, 1),
        ("true x", Trailing, 5),
        ("true, false", Trailing, 4),
        ("true;", Parameter, 5),
    ]);
}

#[test]
fn refer_events_at() {
    // RFC 7614 §4.8
    let events: ReferEventsAt<'_> = good("<sips:vPT3izGmo8NTxaPADRZvEAY22BKx@example.com;gr>;x=1");
    assert!(events.uri().param("gr").is_some());
    assert_eq!(events.params().count(), 1);
    bad::<ReferEventsAt<'_>>(&[
        ("sip:wsXa9mkHtPcGu8@example.com", HeaderErrorKind::AngleBrackets, 0),
        ("<sip:a>, <sip:b>", Trailing, 7),
        ("<http://a>", HeaderErrorKind::Uri(UriErrorKind::NotSip), 1),
    ]);
    let web: Uri<'_> = "http://a".parse().expect("a URI");
    assert!(ReferEventsAt::new(&web).is_err());
}

#[test]
fn refer_to_and_reply_to() {
    // RFC 3515 §2.1, but for the second, which has `Call-ID%3D`: that is no header, since a header of a
    // URI has its `=` as it is.
    for (text, scheme, host, headers) in [
        ("sip:alice@atlanta.example.com", "sip", Some("atlanta.example.com"), 0),
        (
            "<sip:bob@biloxi.example.net?Accept-Contact=sip:bobsdesk.biloxi.example.net&Call-ID=55432%40alicepc.atlanta.example.com>",
            "sip",
            Some("biloxi.example.net"),
            2,
        ),
        (
            "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>",
            "sip",
            Some("denver.example.org"),
            1,
        ),
        (
            "<sip:carol@cleveland.example.org;method=SUBSCRIBE>",
            "sip",
            Some("cleveland.example.org"),
            0,
        ),
        ("http://www.ietf.org", "http", None, 0),
    ] {
        let target: ReferTo<'_> = good(text);
        let uri = target.uri();
        assert_eq!((uri.host_str(), uri.headers().count()), (host, headers), "{text}");
        assert!(uri.as_str().starts_with(scheme));
        assert_eq!(target.to_static().to_string(), text);
    }
    bad::<ReferTo<'_>>(&[
        ("", Empty, 0),
        ("dave", HeaderErrorKind::Uri(UriErrorKind::Scheme), 0),
        ("sip:a@b?Replaces=1", HeaderErrorKind::AngleBrackets, 7),
        ("<sip:a@b>, <sip:c@d>", Trailing, 9),
    ]);
    // RFC 3261 §20.31
    let back: ReplyTo<'_> = good("Bob <sip:bob@biloxi.com>;x=1");
    assert_eq!((back.display_name().as_deref(), back.uri().user()), (Some("Bob"), Some("bob")));
    assert_eq!(back.params().count(), 1);
    assert_eq!(ReplyTo::new(&back.uri()).to_string(), "<sip:bob@biloxi.com>");
    bad::<ReplyTo<'_>>(&[
        ("", Empty, 0),
        ("<sip:a@b", HeaderErrorKind::AngleBrackets, 0),
        ("<sip:a@b>, <sip:c@d>", Trailing, 9),
    ]);
}
