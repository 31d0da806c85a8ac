//! Contact and Via parameters of extensions.

use super::*;

#[test]
fn outbound() -> Result<(), HeaderError> {
    // RFC 5626 §9.2
    let contact: Contact<'_> = good(
        "<sip:bob@192.0.2.2;transport=tcp>;reg-id=1\r\n ;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"",
    );
    assert_eq!(contact.reg_id(), Some(1));
    assert_eq!(
        contact.instance().as_deref(),
        Some("urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF")
    );
    for (text, reg_id, instance) in [
        ("<sip:a>", None, None),
        ("<sip:a>;reg-id", None, None),
        ("<sip:a>;reg-id=0", None, None),
        ("<sip:a>;reg-id=2147483647", Some(2_147_483_647), None),
        ("<sip:a>;reg-id=2147483648", None, None),
        ("<sip:a>;reg-id=\"1\"", None, None),
        ("<sip:a>;+sip.instance", None, None),
        ("<sip:a>;+sip.instance=\"urn:x:y\"", None, None),
        ("<sip:a>;+SIP.Instance=\"<urn:x:\\y>\"", None, Some("urn:x:y")),
        ("*", None, None),
    ] {
        let contact: Contact<'_> = good(text);
        assert_eq!((contact.reg_id(), contact.instance().as_deref()), (reg_id, instance), "{text}");
    }
    let built = good::<Contact<'_>>("<sip:a>").with_instance("urn:uuid:1")?.with_reg_id(2)?;
    assert_eq!(built.to_string(), "<sip:a>;+sip.instance=\"<urn:uuid:1>\";reg-id=2");
    assert_eq!((built.reg_id(), built.instance().as_deref()), (Some(2), Some("urn:uuid:1")));
    for urn in ["", "urn", "urn:a b", "urn:a>;x=\"", "urn:\"", "urn:a\r\n"] {
        assert!(built.with_instance(urn).is_err(), "{urn:?}");
    }
    assert_eq!(built.with_reg_id(0).expect_err("0").kind(), Number);
    assert_eq!(built.with_reg_id(1 << 31).expect_err("2^31").kind(), Number);
    assert!(Contact::STAR.with_reg_id(1).is_err() && Contact::STAR.with_instance("urn:x").is_err());
    Ok(())
}

#[test]
fn gruus() -> Result<(), HeaderError> {
    // RFC 5627 §3.2
    let contact: Contact<'_> = good(
        "<sip:callee@192.0.2.2>\r\n  ;pub-gruu=\"sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"\r\n  ;temp-gruu=\"sip:tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5@example.com;gr\"\r\n  ;expires=3600",
    );
    let public = contact.pub_gruu().expect("a SIP URI");
    assert!(public.param("gr").is_some_and(|gr| gr.value().is_some()));
    let temporary = contact.temp_gruu().expect("a SIP URI");
    assert_eq!(temporary.user(), Some("tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5"));
    assert!(temporary.param("gr").is_some_and(|gr| gr.value().is_none()));
    // RFC 5627 §7: "MUST contain a SIP URI"
    for text in ["x", "\"\"", "\"tel:+1\"", "\"sip:a b\""] {
        let odd = format!("<sip:a>;pub-gruu={text};temp-gruu={text}");
        let odd: Contact<'_> = good(&odd);
        assert!(odd.pub_gruu().is_none() && odd.temp_gruu().is_none(), "{text}");
    }
    let escaped: Contact<'_> = good("<sip:a>;pub-gruu=\"sip:\\a@b;gr\"");
    assert_eq!(escaped.pub_gruu().map(|uri| uri.to_string()).as_deref(), Some("sip:a@b;gr"));

    let built = Contact::new(&public).with_pub_gruu(&public)?.with_temp_gruu(&temporary)?;
    assert_eq!((built.pub_gruu(), built.temp_gruu()), (Some(public), Some(temporary)));
    assert!(built.to_string().contains(";temp-gruu=\"sip:tgruu.7hs=="));
    let tel: Uri<'_> = "tel:+1".parse().expect("a URI");
    assert!(built.with_pub_gruu(&tel).is_err() && built.with_temp_gruu(&tel).is_err());
    Ok(())
}

#[test]
fn features() -> Result<(), HeaderError> {
    // RFC 3840 §6
    let contact: Contact<'_> = good(
        "<sip:user@host.example.com>;audio;video\r\n     ;actor=\"msg-taker\";automata;mobility=\"fixed\"\r\n     ;methods=\"INVITE,BYE,OPTIONS,ACK,CANCEL\";expires=60;x=y",
    );
    let names: Vec<_> = contact.params().features().map(|feature| feature.name()).collect();
    assert_eq!(names, ["audio", "video", "actor", "automata", "mobility", "methods"]);
    assert!(contact.feature("Audio").is_some_and(|audio| audio.is_true()));
    let methods = contact.feature("methods").expect("it is there");
    assert_eq!(methods.values().count(), 5);
    assert!(methods.allows("bye") && !methods.allows("REFER") && !methods.is_true());
    assert!(contact.feature("expires").is_none() && contact.feature("x").is_none());

    // text, values with their `!`, string, is it true
    let table: &[(&str, &[&str], Option<&str>, bool)] = &[
        ("+a", &[], None, true),
        ("+a=\"TRUE\"", &["TRUE"], None, true),
        ("+a=\"FALSE\"", &["FALSE"], None, false),
        ("+a=\"!TRUE\"", &["!TRUE"], None, false),
        ("+a=\"en, !de,,#>=5,#-1.5:+2\"", &["en", "!de", "#>=5", "#-1.5:+2"], None, false),
        ("+a=true", &["true"], None, true),
        ("+a=\"<a,\\\"b\\\">\"", &[], Some("a,\"b\""), false),
        ("+a=\"<a>b\"", &[], None, false),
        ("+a=\"\"", &[], None, false),
        ("+a=\"!\"", &[], None, false),
    ];
    for (text, values, string, is_true) in table {
        let text = format!("<sip:a>;{text}");
        let contact: Contact<'_> = good(&text);
        let feature = contact.feature("+A").expect("it is there");
        let found = feature.values().map(|value| {
            format!("{}{}", if value.is_negated() { "!" } else { "" }, value.as_str())
        });
        assert_eq!(found.collect::<Vec<_>>(), *values, "{text}");
        assert_eq!((feature.string().as_deref(), feature.is_true()), (*string, *is_true), "{text}");
    }
    let shown: Contact<'_> = good("<sip:a>;audio;class=\"a,b\"");
    let shown: Vec<_> = shown.params().features().map(|feature| format!("{feature:?}")).collect();
    assert_eq!(shown, ["Feature(audio)", "Feature(class=\"a,b\")"]);

    let plain: Contact<'_> = good("<sip:a>");
    for (name, values, text) in [
        ("isfocus", &[][..], "<sip:a>;isfocus"),
        ("mobility", &["fixed"], "<sip:a>;mobility=\"fixed\""),
        ("+sip.pnsreg", &["#=121"], "<sip:a>;+sip.pnsreg=\"#=121\""),
        ("language", &["en", "!de"], "<sip:a>;language=\"en,!de\""),
        ("priority", &["#>=1.", "#<=+10", "#-1:2.5"], "<sip:a>;priority=\"#>=1.,#<=+10,#-1:2.5\""),
    ] {
        let built = plain.with_feature(name, values)?;
        assert_eq!(built.to_string(), text);
        assert_eq!(built.feature(name).map(|f| f.values().count()), Some(values.len()));
    }
    for (name, values) in [
        ("q", &["a"][..]),
        ("+", &[]),
        ("+1", &[]),
        ("+a b", &[]),
        ("", &[]),
        ("audio", &[""]),
        ("audio", &["!"]),
        ("audio", &["!!a"]),
        ("audio", &["a,b"]),
        ("audio", &["a\"b"]),
        ("audio", &["a b"]),
        ("audio", &["<a>"]),
        ("audio", &["#5"]),
        ("audio", &["#>=x"]),
        ("audio", &["#=.5"]),
        ("audio", &["#a:1"]),
        ("audio", &["#1:1.x"]),
        ("audio", &["#="]),
        ("audio", &["a\r\n"]),
    ] {
        assert!(plain.with_feature(name, values).is_err(), "{name} {values:?}");
    }
    assert!(Contact::STAR.with_feature("audio", &[]).is_err());
    assert!(Contact::STAR.feature("audio").is_none());
    // The parameters of list elements have them too.
    let list: AcceptEncoding<'_> = good("*;+sip.x=\"a\";q=1");
    let found: Vec<_> = list.elements().flat_map(|e| e.params().features()).collect();
    assert!(found.len() == 1 && found.iter().all(|feature| feature.allows("A")));
    Ok(())
}

#[test]
fn connections_and_keep_alives() -> Result<(), HeaderError> {
    let via: Via<'_> = good("SIP/2.0/TLS h;branch=z9hG4bK1;Alias;keep");
    assert!(via.is_alias());
    assert_eq!(via.keep(), Some(None));
    for (text, keep) in [
        ("", None),
        (";keep=30", Some(Some(30))),
        (";keep=0", Some(Some(0))),
        (";keep=x", None),
        (";keep=", None),
        (";keep=4294967296", None),
    ] {
        let via = format!("SIP/2.0/UDP h{text}");
        let via: Via<'_> = good(&via);
        assert!(via.keep() == keep && !via.is_alias(), "{text}");
    }
    let plain: Via<'_> = good("SIP/2.0/UDP h");
    let offer = plain.with_alias()?.with_keep(None)?;
    assert_eq!(offer.to_string(), "SIP/2.0/UDP h;alias;keep");
    let answer = offer.with_keep(Some(30))?;
    assert_eq!(answer.to_string(), "SIP/2.0/UDP h;alias;keep=30");
    Ok(())
}

#[test]
fn overload_control() -> Result<(), HeaderError> {
    // RFC 7339 §6
    let offer: Via<'_> =
        good("SIP/2.0/TLS p1.example.net;\r\n  branch=z9hG4bK2d4790.1;oc;oc-algo=\"loss,A\"");
    assert_eq!(offer.oc(), Some(None));
    assert_eq!(offer.oc_algo().collect::<Vec<_>>(), ["loss", "A"]);
    assert_eq!((offer.oc_validity(), offer.oc_seq()), (None, None));
    let answer: Via<'_> = good(
        "SIP/2.0/TLS p1.example.net;\r\n  branch=z9hG4bK2d4790.1;received=192.0.2.111;\r\n  oc=20;oc-algo=\"loss\";oc-validity=1500;\r\n  oc-seq=1282321615.782",
    );
    assert_eq!(answer.oc(), Some(Some(20)));
    assert_eq!(answer.oc_algo().collect::<Vec<_>>(), ["loss"]);
    assert_eq!(answer.oc_validity(), Some(Duration::from_millis(1500)));
    assert_eq!(answer.oc_seq(), OcSeq::new(1_282_321_615, 78_200));

    for (text, oc, validity) in [
        ("", None, None),
        (";oc=x", None, None),
        (";oc=", None, None),
        (";oc", Some(None), None),
        (";oc;oc-validity=100", Some(None), None),
        (";oc-validity=100", None, None),
        (";oc-validity=0", None, Some(0)),
        (";oc=5", Some(Some(5)), Some(500)),
        (";oc=5;oc-validity", Some(Some(5)), Some(500)),
        (";oc=5;oc-validity=x", Some(Some(5)), Some(500)),
        (";oc=0;oc-validity=0", Some(Some(0)), Some(0)),
    ] {
        let via = format!("SIP/2.0/UDP h{text}");
        let via: Via<'_> = good(&via);
        assert_eq!((via.oc(), via.oc_validity().map(|v| v.as_millis())), (oc, validity), "{text}");
    }
    for (text, algorithms) in
        [("", &[][..]), ("=loss", &["loss"]), ("=\" loss , ,B\"", &["loss", "B"]), ("=\"\"", &[])]
    {
        let via = format!("SIP/2.0/UDP h;oc-algo{text}");
        assert_eq!(good::<Via<'_>>(&via).oc_algo().collect::<Vec<_>>(), algorithms, "{text}");
    }
    for (text, seq) in [
        ("1.5", OcSeq::new(1, 50_000)),
        ("000000000001.00001", OcSeq::new(1, 1)),
        ("999999999999.99999", OcSeq::new(999_999_999_999, 99_999)),
        ("1000000000000.1", None),
        ("1.000001", None),
        ("1", None),
        ("1.", None),
        (".1", None),
        ("+1.1", None),
        ("1.-1", None),
    ] {
        let via = format!("SIP/2.0/UDP h;oc-seq={text}");
        assert_eq!(good::<Via<'_>>(&via).oc_seq(), seq, "{text}");
    }
    assert!(OcSeq::new(1_000_000_000_000, 0).is_none() && OcSeq::new(0, 100_000).is_none());
    // As numbers, not as texts.
    assert!(OcSeq::new(9, 0) < OcSeq::new(10, 0) && OcSeq::new(1, 2) < OcSeq::new(1, 10_000));

    let seq = OcSeq::new(7, 42).expect("few digits");
    let plain: Via<'_> = good("SIP/2.0/UDP h");
    let built = plain.with_oc(Some(20))?.with_oc_algo(&["loss"])?;
    let built = built.with_oc_validity(Duration::from_micros(250_900))?.with_oc_seq(seq)?;
    assert_eq!(
        built.to_string(),
        "SIP/2.0/UDP h;oc=20;oc-algo=\"loss\";oc-validity=250;oc-seq=7.00042"
    );
    assert_eq!(built.oc_seq(), Some(seq));
    assert_eq!(plain.with_oc(None)?.with_oc_algo(&["loss", "A"])?.oc_algo().count(), 2);
    // All of a demand at once, in place of the offer; and without any of it.
    let offer = Via::new_with(Transport::Udp, "h", "b", ";x=\"a;b\";oc;oc-algo=\"A,loss\";y")?;
    assert!(offer.has_oc() && !plain.has_oc());
    let demand = offer.with_oc_demand(20, Duration::from_millis(700), OcSeq::new(1, 5).unwrap())?;
    assert_eq!(
        demand.to_string(),
        "SIP/2.0/UDP h;branch=b;x=\"a;b\";y;oc=20;oc-algo=\"loss\";oc-validity=700;oc-seq=1.00005"
    );
    assert_eq!(demand.without_oc().to_string(), "SIP/2.0/UDP h;branch=b;x=\"a;b\";y");
    for params in ["x", ";branch=c", ";a, SIP/2.0/UDP i", ";a\r\nX: y", "."] {
        assert!(Via::new_with(Transport::Udp, "h", "b", params).is_err(), "{params}");
    }
    assert_eq!(
        plain.with_oc_validity(Duration::MAX)?.to_string(),
        "SIP/2.0/UDP h;oc-validity=4294967295"
    );
    for algorithms in [&[][..], &[""], &["a b"], &["a,b"], &["a\""], &["loss", "é"]] {
        assert!(plain.with_oc_algo(algorithms).is_err(), "{algorithms:?}");
    }
    Ok(())
}
