//! The P- header fields of 3GPP.

use super::*;

#[test]
fn p_called_party_id() -> Result<(), HeaderError> {
    // RFC 7315 §4.2
    let called: PCalledPartyId<'_> = good("<sip:user1-business@example.com>");
    assert_eq!(called.uri().as_str(), "sip:user1-business@example.com");
    let built = PCalledPartyId::new(&called.uri()).with_param("x", Some("1"))?;
    assert_eq!(built.to_string(), "<sip:user1-business@example.com>;x=1");
    assert_eq!(built.param("x").and_then(|x| x.value()).as_deref(), Some("1"));
    bad::<PCalledPartyId<'_>>(&[
        ("", Empty, 0),
        ("sip:a@b", AngleBrackets, 0),
        ("<sip:a@b>, <sip:c@d>", Trailing, 9),
    ]);
    Ok(())
}

#[test]
fn p_served_user() -> Result<(), HeaderError> {
    use SessionCase::{Originating, OriginatingDiverted, Terminating};
    for (text, case, registered) in [
        // RFC 5502 §6
        ("<sip:user@example.com>; sescase=orig; regstate=reg", Some(Originating), Some(true)),
        // RFC 8498 §6.2
        ("<sip:user@example.com>; orig-cdiv; regstate=reg", Some(OriginatingDiverted), Some(true)),
        ("<sip:user@example.com>; orig-cdiv", Some(OriginatingDiverted), None),
        ("<sip:user@example.com>; sescase=term; regstate=unreg", Some(Terminating), Some(false)),
        ("sip:user@example.com;sescase=TERM;regstate=x", Some(Terminating), None),
        ("<sip:user@example.com>;sescase=x;regstate", None, None),
    ] {
        let served: PServedUser<'_> = good(text);
        assert_eq!((served.session_case(), served.is_registered()), (case, registered), "{text}");
        assert_eq!(served.uri().as_str(), "sip:user@example.com");
        assert_eq!(served.to_static().to_string(), text);
    }
    let built =
        PServedUser::new(&"sip:a@b".parse().expect("a URI")).with_param("sescase", Some("term"))?;
    assert_eq!(built.to_string(), "<sip:a@b>;sescase=term");
    bad::<PServedUser<'_>>(&[("", Empty, 0), ("<sip:a@b>, <sip:c@d>", Trailing, 9)]);
    Ok(())
}

#[test]
fn p_early_media() -> Result<(), HeaderError> {
    for (text, params) in [
        ("", &[][..]),
        ("supported", &["supported"]),
        ("sendrecv, SendOnly,, inactive , gated", &["sendrecv", "SendOnly", "inactive", "gated"]),
    ] {
        let early: PEarlyMedia<'_> = good(text);
        assert_eq!(early.iter().collect::<Vec<_>>(), params);
        assert_eq!(early.is_empty(), params.is_empty());
        assert_eq!(early.to_static().to_string(), text);
    }
    assert!(PEarlyMedia::new(["sendrecv", "gated"])?.contains("GATED"));
    bad::<PEarlyMedia<'_>>(&[("sendrecv;x", Token, 8), ("a b", Token, 2)]);
    Ok(())
}

#[test]
fn p_associated_uri() -> Result<(), HeaderError> {
    for (text, uris) in [
        ("", &[][..]),
        ("<sip:user1@example.com>", &["sip:user1@example.com"]),
        (
            ", \"A, B\" <sip:a,b@example.com>;x=\",\" ,\r\n <tel:+1>,",
            &["sip:a,b@example.com", "tel:+1"],
        ),
    ] {
        let known: PAssociatedUri<'_> = good(text);
        let read: Vec<_> = known.addresses().map(|address| address.uri().to_string()).collect();
        assert_eq!(read, uris);
        assert_eq!(known.is_empty(), uris.is_empty());
        assert_eq!(known.to_static().to_string(), text);
    }
    let sip: crate::Uri<'_> = "sip:a@b".parse().expect("a URI");
    let plain: To<'_> = good("sip:c@d");
    let built = PAssociatedUri::new([NameAddr::new(&sip), plain.into_name_addr()])?;
    assert_eq!(built.to_string(), "<sip:a@b>, <sip:c@d>");
    assert!(PAssociatedUri::new([])?.is_empty());
    bad::<PAssociatedUri<'_>>(&[
        ("sip:a@b", AngleBrackets, 0),
        ("<sip:a@b>, sip:c@d", AngleBrackets, 11),
        (",<sip:a@b> x", Trailing, 11),
        ("<sip:a@b>,,<sip:c@d>;", Parameter, 21),
        ("<sip:a@b", AngleBrackets, 0),
    ]);
    Ok(())
}

#[test]
fn p_access_network_info() -> Result<(), HeaderError> {
    let access: PAccessNetworkInfo<'_> = good("3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11");
    assert_eq!(
        (access.access_type(), access.cell().as_deref()),
        ("3GPP-UTRAN-TDD", Some("234151D0FCE11"))
    );
    assert!(!access.is_network_provided());
    for (text, kind, cell, location) in [
        ("ADSL2+;dsl-location=\"a b\";network-provided", "ADSL2+", None, Some("a b")),
        ("3GPP-GERAN;cgi-3gpp=1;i-wlan-node-id=2", "3GPP-GERAN", Some("1"), Some("1")),
        ("IEEE-802.11;i-wlan-node-id=0c-1a;CI-3GPP2=x", "IEEE-802.11", Some("x"), Some("0c-1a")),
        ("3GPP2-1X-Femto;ci-3gpp2-femto=\"7\"", "3GPP2-1X-Femto", Some("7"), Some("7")),
        ("GSTN;gstn-location=x", "GSTN", None, Some("x")),
        ("DVB-RCS2;dvb-rcs2-node-id=\"y\"", "DVB-RCS2", None, Some("y")),
        ("IEEE-802.3;eth-location=z", "IEEE-802.3", None, Some("z")),
        ("GPON;fiber-location=z", "GPON", None, Some("z")),
        ("3GPP-UTRAN;utran-sai-3gpp=s", "3GPP-UTRAN", None, Some("s")),
        ("x-new", "x-new", None, None),
    ] {
        let access: PAccessNetworkInfo<'_> = good(text);
        assert_eq!((access.access_type(), access.cell().as_deref()), (kind, cell), "{text}");
        assert_eq!(access.location().as_deref(), location, "{text}");
        assert_eq!(access.to_static().to_string(), text);
    }
    let timed: PAccessNetworkInfo<'_> =
        good("3GPP-E-UTRAN-FDD;network-provided;local-time-zone=\"UTC+01:00\"");
    assert!(timed.is_network_provided());
    assert_eq!(timed.local_time_zone().as_deref(), Some("UTC+01:00"));
    let both = values::<PAccessNetworkInfo<'_>>(
        b"3GPP-E-UTRAN-FDD;x=\",\", 3GPP-E-UTRAN;network-provided",
    );
    assert_eq!(both.count(), 2);
    assert_eq!(PAccessNetworkInfo::new("ADSL")?.with_param("np", None)?.to_string(), "ADSL;np");
    bad::<PAccessNetworkInfo<'_>>(&[
        ("", Empty, 0),
        ("\"ADSL\"", Token, 0),
        ("ADSL;network-provided=1", Parameter, 5),
        ("ADSL;network-provided;network-provided", DuplicateParameter, 22),
        ("ADSL VDSL", Trailing, 5),
    ]);
    Ok(())
}

#[test]
fn p_visited_network_id() -> Result<(), HeaderError> {
    // RFC 7315 §4.3.2.3
    let passed: Vec<_> = values::<PVisitedNetworkId<'_>>(b"other.net,\"Visited network number 1\"")
        .collect::<Result<_, _>>()?;
    let ids: Vec<_> = passed.iter().map(|id| id.network_id()).collect();
    assert_eq!(ids, ["other.net", "Visited network number 1"]);
    let escaped: PVisitedNetworkId<'_> = good("\"a \\\"b\\\", c\";x=1");
    assert_eq!((&*escaped.network_id(), escaped.params().count()), ("a \"b\", c", 1));
    assert_eq!(escaped.to_static(), escaped);
    assert_eq!(PVisitedNetworkId::new("other.net")?.to_string(), "other.net");
    assert_eq!(PVisitedNetworkId::new("a b")?.to_string(), "\"a b\"");
    assert_eq!(PVisitedNetworkId::new("\r\n").map_err(|e| e.kind()), Err(Character));
    bad::<PVisitedNetworkId<'_>>(&[
        ("", Empty, 0),
        ("a b", Trailing, 2),
        ("\"a", QuotedString, 0),
        ("<a>", Token, 0),
    ]);
    Ok(())
}

#[test]
fn p_private_network_indication() -> Result<(), HeaderError> {
    // RFC 7316 §7
    let network: PPrivateNetworkIndication<'_> = good("example.com");
    assert_eq!(network.domain(), "example.com");
    assert!(network.is("EXAMPLE.com") && !network.is("example.net"));
    let more: PPrivateNetworkIndication<'_> = good("a.example;x=1");
    assert_eq!((more.domain(), more.params().count()), ("a.example", 1));
    assert_eq!(PPrivateNetworkIndication::new("b.example")?.to_static().to_string(), "b.example");
    const HOST: HeaderErrorKind = HeaderErrorKind::Host;
    assert_eq!(PPrivateNetworkIndication::new("a b").map_err(|e| e.kind()), Err(Trailing));
    bad::<PPrivateNetworkIndication<'_>>(&[
        ("", Empty, 0),
        ("192.0.2.1", HOST, 0),
        ("[2001:db8::1]", HOST, 0),
        ("\"example.com\"", HOST, 0),
        ("example.com:5060", Trailing, 11),
        ("a.example, b.example", Trailing, 9),
    ]);
    Ok(())
}

#[test]
fn p_charging_vector() -> Result<(), HeaderError> {
    // RFC 7315 §4.6.2.3
    let vector: PChargingVector<'_> =
        good("icid-value=1234bc9876e;\r\n icid-generated-at=192.0.6.8;\r\n orig-ioi=home1.net");
    assert_eq!(
        (&*vector.icid_value(), vector.orig_ioi().as_deref()),
        ("1234bc9876e", Some("home1.net"))
    );
    assert_eq!(vector.icid_generated_at(), Host::parse("192.0.6.8"));
    assert_eq!(
        (vector.term_ioi(), vector.transit_ioi(), vector.related_icid()),
        (None, None, None)
    );
    assert_eq!(vector.related_icid_generated_at(), None);
    assert_eq!(
        vector.params().map(|p| p.name()).collect::<Vec<_>>(),
        ["icid-value", "icid-generated-at", "orig-ioi"]
    );
    let text = "ICID-value = \"a b\" ;term-ioi=\"home 2\";transit-ioi=\"op1.1, void, op3.3\";related-icid=c;related-icid-generated-at=[2001:db8::1];icid-generated-at=\"x\"";
    let vector: PChargingVector<'_> = good(text);
    assert_eq!((&*vector.icid_value(), vector.term_ioi().as_deref()), ("a b", Some("home 2")));
    assert_eq!(vector.transit_ioi().as_deref(), Some("op1.1, void, op3.3"));
    assert_eq!(vector.related_icid().as_deref(), Some("c"));
    assert_eq!(vector.related_icid_generated_at(), Host::parse("[2001:db8::1]"));
    assert_eq!(vector.icid_generated_at(), None);
    assert_eq!(vector.to_static().as_bytes(), text.as_bytes());
    let built = PChargingVector::new("a b")?
        .with_param("icid-generated-at", Some("192.0.6.8"))?
        .with_param("term-ioi", Some("x"))?
        .with_param("Icid-Value", Some("c"))?;
    assert_eq!(built.to_string(), "Icid-Value=c;icid-generated-at=192.0.6.8;term-ioi=x");
    assert_eq!(built.with_param("icid-value", None).map_err(|e| e.kind()), Err(Parameter));
    assert_eq!(PChargingVector::new("\r\n").map_err(|e| e.kind()), Err(Character));
    bad::<PChargingVector<'_>>(&[
        ("", Empty, 0),
        ("icid-value", Parameter, 0),
        (" icid-value=", Parameter, 1),
        ("orig-ioi=a;icid-value=b", Parameter, 0),
        (";icid-value=b", Parameter, 0),
        ("icid-value=\"b", QuotedString, 11),
        ("icid-value=b;", Parameter, 13),
        ("icid-value=b, icid-value=c", Trailing, 12),
    ]);
    Ok(())
}

#[test]
fn p_charging_function_addresses() -> Result<(), HeaderError> {
    // RFC 7315 §4.5.2.3
    let collectors: Vec<_> = values::<PChargingFunctionAddresses<'_>>(
        b"ccf=192.0.8.1; ecf=192.0.8.3,\r\n ccf-2=192.0.8.2; ecf-2=192.0.8.4",
    )
    .collect::<Result<_, _>>()?;
    let read: Vec<_> =
        collectors.iter().map(|c| [c.ccf(), c.ecf(), c.ccf_2(), c.ecf_2()]).collect();
    let some = |text: &'static str| Some(Cow::Borrowed(text));
    assert_eq!(
        read,
        [
            [some("192.0.8.1"), some("192.0.8.3"), None, None],
            [None, None, some("192.0.8.2"), some("192.0.8.4")]
        ]
    );
    let uri: PChargingFunctionAddresses<'_> = good("ccf=\"aaa://ccf.home1.net;transport=tcp\";x");
    assert_eq!(uri.ccf().as_deref(), Some("aaa://ccf.home1.net;transport=tcp"));
    assert_eq!(uri.to_static().params().count(), 2);
    let built = PChargingFunctionAddresses::new("ccf", "192.0.8.1")?
        .with_param("ecf", Some("[2001:db8::1]"))?;
    assert_eq!(built.to_string(), "ccf=192.0.8.1;ecf=[2001:db8::1]");
    assert_eq!(PChargingFunctionAddresses::new("c f", "x").map_err(|e| e.kind()), Err(Parameter));
    bad::<PChargingFunctionAddresses<'_>>(&[
        ("", Empty, 0),
        (";ccf=a", Parameter, 0),
        ("ccf=a;", Parameter, 6),
        ("ccf=a ecf=b", Trailing, 6),
        ("ccf=\"a", QuotedString, 4),
        ("ccf=a, ecf=b", Trailing, 5),
    ]);
    Ok(())
}
