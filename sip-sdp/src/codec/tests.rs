use super::*;

fn answer(ours: &str, theirs: &str, name: &'static str) -> Option<String> {
    let codec = |text: &str| {
        let codec = Codec::new(name, 8000);
        if text.is_empty() { codec } else { codec.parameters(text.to_owned()) }
    };
    let answer = codec(ours).answering(&codec(theirs))?;
    Some(answer.map(Cow::into_owned).unwrap_or_default())
}

#[test]
fn parameters_that_are_part_of_the_format_are_compared() {
    for (name, ours, theirs, answered) in [
        ("opus", "stereo=1", "useinbandfec=1", Some("stereo=1")),
        ("G729", "", "annexb=no", None),
        ("G729", "annexb=no", "annexb=no", Some("annexb=no")),
        ("G729", "", "annexb=yes", Some("annexb=yes")),
        (
            "H264",
            "profile-level-id=42e01f;packetization-mode=1",
            "packetization-mode=1; profile-level-id=42E00D",
            Some("packetization-mode=1;profile-level-id=42E00D"),
        ),
        ("H264", "profile-level-id=42e01f;packetization-mode=1", "profile-level-id=42e01f", None),
        ("H264", "profile-level-id=42e01f", "profile-level-id=640c1f", None),
        ("H264", "profile-level-id=x", "profile-level-id=x", None),
        ("AMR", "octet-align=1;mode-set=7", "octet-align=1", Some("octet-align=1;mode-set=7")),
        ("AMR", "octet-align=1", "", None),
        ("rtx", "apt=96", "apt=97", None),
        ("telephone-event", "0-15", "", Some("0-15")),
        ("telephone-event", "0-11", "0-15,66", Some("0-11")),
        ("telephone-event", "0-9", "32-49", None),
        ("telephone-event", "0-15", "a-b", None),
        ("telephone-event", "0-15", "256", None),
    ] {
        assert_eq!(answer(ours, theirs, name).as_deref(), answered, "{name}: {ours} and {theirs}");
    }
}

#[test]
fn a_rule_of_ones_own_decides() {
    fn only_fec(_: Option<&str>, theirs: Option<&str>) -> Option<Option<String>> {
        theirs?.contains("useinbandfec=1").then(|| Some("useinbandfec=1".to_owned()))
    }
    let ours = Codec::OPUS.comparing(ParameterRule::By(only_fec));
    assert_eq!(ours.answering(&Codec::OPUS), None);
    let theirs = Codec::OPUS.parameters("useinbandfec=1;stereo=1");
    assert_eq!(ours.answering(&theirs), Some(Some("useinbandfec=1".into())));
}

#[test]
fn names_have_no_case_and_rates_and_channels_count() {
    let parse = |text| Codec::parse(text).unwrap();
    assert!(parse("OPUS/48000/2").is_named_as(&Codec::OPUS));
    assert!(!parse("opus/48000").is_named_as(&Codec::OPUS));
    assert!(parse("pcmu/8000/1").is_named_as(&Codec::PCMU));
    assert!(parse("PCMU/8000/").is_named_as(&Codec::PCMU));
    for bad in [
        "",
        "PCMU",
        "PCMU/",
        "PCMU/0",
        "PCMU/8000/0",
        "PCMU/8000/1/1",
        "PC MU/8000",
        "/8000",
        "x/-1",
    ] {
        assert_eq!(Codec::parse(bad), None, "{bad}");
    }
}

#[test]
fn static_numbers_are_those_of_rfc_3551() {
    assert_eq!(Codec::PCMU.static_number(), Some(0));
    assert_eq!(Codec::new("L16", 44_100).channels(2).static_number(), Some(10));
    assert_eq!(Codec::new("PCMU", 16_000).static_number(), None);
    assert_eq!(Codec::of_static(9).unwrap().to_string(), "G722/8000");
    assert_eq!(Codec::of_static(2), None, "reserved");
    for (number, ..) in STATIC {
        assert_eq!(Codec::of_static(number).unwrap().static_number(), Some(number));
    }
}

#[test]
fn events_are_printed_as_ranges() {
    for (said, printed) in
        [("0-15", "0-15"), ("66,70,1,0", "0-1,66,70"), ("255,0", "0,255"), ("254-255", "254-255")]
    {
        assert_eq!(Events::parse(Some(said)).unwrap().to_string(), printed);
    }
    assert!(Events::parse(Some("9-1")).unwrap().is_empty());
}
