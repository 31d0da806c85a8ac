//! Other dialogs, session timers and reliable responses.

use core::num::NonZeroU32;

use super::*;

#[test]
fn replaces() -> Result<(), HeaderError> {
    // RFC 3891 §6.1
    for (text, call_id, to_tag, from_tag, early_only) in [
        (
            "98732@sip.example.com\r\n          ;from-tag=r33th4x0r\r\n          ;to-tag=ff87ff",
            "98732@sip.example.com",
            "ff87ff",
            "r33th4x0r",
            false,
        ),
        (
            "12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only",
            "12adf2f34456gs5",
            "12345",
            "54321",
            true,
        ),
        ("87134@171.161.34.23;to-tag=24796;from-tag=0", "87134@171.161.34.23", "24796", "0", false),
        ("a\"<>:@b ; To-Tag=1 ;FROM-TAG = 2;x=\",\"", "a\"<>:@b", "1", "2", false),
    ] {
        let replaces: Replaces<'_> = good(text);
        assert_eq!(
            (replaces.call_id(), replaces.to_tag(), replaces.from_tag(), replaces.is_early_only()),
            (call_id, to_tag, from_tag, early_only)
        );
        assert_eq!(written(&replaces), text);
    }
    let built = Replaces::new("a@b", "1", "2")?;
    assert_eq!(built.to_string(), "a@b;to-tag=1;from-tag=2");
    assert_eq!(
        built.with_param("early-only", None)?.to_string(),
        "a@b;to-tag=1;from-tag=2;early-only"
    );
    for (call_id, to_tag, from_tag) in [
        ("", "1", "2"),
        ("a;b", "1", "2"),
        ("a,b", "1", "2"),
        ("a b", "1", "2"),
        ("a\r\n", "1", "2"),
        ("a", "", "2"),
        ("a", "1;x", "2"),
        ("a", "1", "2 "),
        ("a", "1", "\"2\""),
    ] {
        assert!(Replaces::new(call_id, to_tag, from_tag).is_err(), "{call_id} {to_tag} {from_tag}");
        assert!(Join::new(call_id, to_tag, from_tag).is_err(), "{call_id} {to_tag} {from_tag}");
        assert!(TargetDialog::new(call_id, to_tag, from_tag).is_err(), "{call_id} {to_tag}");
    }
    let error = Replaces::new("a", "1", "x y").expect_err("no token");
    assert_eq!((error.header(), error.kind(), error.offset()), (HeaderName::Replaces, Token, 11));
    bad::<Replaces<'_>>(&[
        ("", Empty, 0),
        (";to-tag=1;from-tag=2", Character, 0),
        ("a", Parameter, 1),
        ("a;to-tag=1", Parameter, 10),
        ("a;from-tag=1;x=y", Parameter, 16),
        ("a;to-tag=1;from-tag=2;to-tag=1", DuplicateParameter, 22),
        ("a;to-tag=1;from-tag=2;from-tag=3", DuplicateParameter, 22),
        ("a;to-tag=1;from-tag=2;early-only=x", Parameter, 22),
        ("a;to-tag=1;from-tag=2;early-only;early-only", DuplicateParameter, 33),
        ("a;to-tag;from-tag=2", Parameter, 2),
        ("a;to-tag=\"1\";from-tag=2", Parameter, 2),
        ("a b;to-tag=1;from-tag=2", Trailing, 2),
        ("a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2", Trailing, 21),
        ("é;to-tag=1;from-tag=2", Character, 0),
    ]);
    Ok(())
}

#[test]
fn dialogs_are_matched_as_the_receiver_sees_them() {
    let replaces: Replaces<'_> = good("a@b;to-tag=1;from-tag=2");
    assert!(replaces.matches("a@b", Some("1"), Some("2")));
    for (call_id, local, remote) in [
        ("A@b", Some("1"), Some("2")),
        ("a@b", Some("2"), Some("1")),
        ("a@b", None, Some("2")),
        ("a@b", Some("1"), None),
        ("a@b", Some("1"), Some("2x")),
    ] {
        assert!(!replaces.matches(call_id, local, remote), "{call_id} {local:?} {remote:?}");
    }
    // RFC 3891 §6.1: "a tag of zero matches both tags of zero and null"
    for (local, remote) in
        [(Some("0"), Some("0")), (None, Some("0")), (Some("0"), None), (None, None)]
    {
        assert!(good::<Replaces<'_>>("a;to-tag=0;from-tag=0").matches("a", local, remote));
        assert!(good::<Join<'_>>("a;to-tag=0;from-tag=0").matches("a", local, remote));
    }
}

#[test]
fn join() -> Result<(), HeaderError> {
    // RFC 3911 §7.1
    let join: Join<'_> = good(
        "98732@sip.example.com\r\n             ;from-tag=r33th4x0r\r\n             ;to-tag=ff87ff",
    );
    assert_eq!(
        (join.call_id(), join.to_tag(), join.from_tag()),
        ("98732@sip.example.com", "ff87ff", "r33th4x0r")
    );
    assert_eq!(Join::new("a", "1", "2")?.to_static().to_string(), "a;to-tag=1;from-tag=2");
    // Of Join, this is a parameter like any other.
    assert!(good::<Join<'_>>("a;to-tag=1;from-tag=2;early-only=x").param("early-only").is_some());
    bad::<Join<'_>>(&[
        ("12adf2f34456gs5;to-tag=12345", Parameter, 28),
        ("a;from-tag=1", Parameter, 12),
        ("a;to-tag=1;from-tag=2;to-tag=1", DuplicateParameter, 22),
    ]);
    Ok(())
}

#[test]
fn target_dialog() -> Result<(), HeaderError> {
    // RFC 4538 §10
    let text =
        "fa77as7dad8-sd98ajzz@host.example.com\r\n     ;local-tag=kkaz-\r\n     ;remote-tag=6544";
    let target: TargetDialog<'_> = good(text);
    let call_id = "fa77as7dad8-sd98ajzz@host.example.com";
    assert_eq!(
        (target.call_id(), target.local_tag(), target.remote_tag()),
        (call_id, Some("kkaz-"), Some("6544"))
    );
    assert!(target.matches(call_id, "kkaz-", "6544") && !target.matches(call_id, "6544", "kkaz-"));
    assert!(!target.matches("x", "kkaz-", "6544"));
    // RFC 4538 §4: without both tags it is to be ignored, not refused.
    for partial in ["a;local-tag=1", "a;remote-tag=2", "a"] {
        let partial: TargetDialog<'_> = good(partial);
        assert!(!partial.matches("a", "1", "2") && !partial.matches("a", "1", ""));
    }
    assert_eq!(TargetDialog::new("a", "1", "2")?.to_string(), "a;local-tag=1;remote-tag=2");
    bad::<TargetDialog<'_>>(&[
        ("", Empty, 0),
        ("a;local-tag", Parameter, 2),
        ("a;remote-tag=1;remote-tag=1", DuplicateParameter, 15),
    ]);
    Ok(())
}

#[test]
fn session_expires() -> Result<(), HeaderError> {
    for (text, seconds, refresher) in [
        ("1800", 1800, None),
        ("0090 ; refresher = UAS", 90, Some(Refresher::Uas)),
        ("4294967295;x=y;refresher=uac", u32::MAX, Some(Refresher::Uac)),
    ] {
        let session: SessionExpires<'_> = good(text);
        assert_eq!((session.seconds(), session.refresher()), (seconds, refresher));
        assert_eq!(written(&session), text);
    }
    let built = SessionExpires::new(1800).with_refresher(Refresher::Uas)?;
    assert_eq!(built.to_string(), "1800;refresher=uas");
    assert_eq!(built.with_refresher(Refresher::Uac)?.to_string(), "1800;refresher=uac");
    assert_eq!(good::<SessionExpires<'_>>("1800;refresher=uas"), built);
    assert_eq!(SessionExpires::new(u32::MAX).seconds(), u32::MAX);
    bad::<SessionExpires<'_>>(&[
        ("", Empty, 0),
        ("x", Number, 0),
        ("-1", Number, 0),
        ("4294967296", Number, 0),
        ("90s", Trailing, 2),
        ("90;refresher", Parameter, 3),
        ("90;refresher=me", Parameter, 3),
        ("90;refresher=\"uac\"", Parameter, 3),
        ("90;refresher=uac;refresher=uas", DuplicateParameter, 17),
        ("90, 90", Trailing, 2),
    ]);
    Ok(())
}

#[test]
fn min_se() {
    let min: MinSe<'_> = good("3600;lr");
    assert_eq!((min.seconds(), min.params().count()), (3600, 1));
    assert_eq!(MinSe::new(MinSe::DEFAULT).to_string(), "90");
    assert_eq!(MinSe::new(90).seconds(), SessionExpires::MIN);
    bad::<MinSe<'_>>(&[("", Empty, 0), ("90 90", Trailing, 3), ("90;", Parameter, 3)]);
}

#[test]
fn rseq_and_rack() -> Result<(), HeaderError> {
    // RFC 3262 §7.1, §7.2
    let rseq: RSeq = good("988789");
    assert_eq!(rseq.to_string(), "988789");
    bad::<RSeq>(&[
        ("", Empty, 0),
        ("0", Number, 0),
        ("4294967296", Number, 0),
        ("1 2", Trailing, 2),
    ]);
    let rack: RAck = good("776656 1 INVITE");
    assert_eq!((rack.rseq().0.get(), rack.cseq().number()), (776_656, 1));
    assert_eq!(rack.cseq().method(), &Method::Invite);
    let spaced: RAck = good("0776656\r\n\t01 \t INVITE");
    assert_eq!((&spaced, spaced.to_string()), (&rack, "776656 1 INVITE".into()));
    let built = RAck::new(RSeq(NonZeroU32::MAX), CSeq::new(CSeq::MAX, Method::Update)?);
    assert_eq!(good::<RAck>(&built.to_string()), built);
    bad::<RAck>(&[
        ("", Empty, 0),
        ("x 1 INVITE", Number, 0),
        ("0 1 INVITE", Number, 0),
        ("1", Number, 1),
        ("1 INVITE", Number, 2),
        ("1 2", HeaderErrorKind::Method, 3),
        ("1 2147483648 INVITE", Number, 2),
        ("1 2INVITE", HeaderErrorKind::Method, 3),
        ("1 2 INVITE x", Trailing, 11),
    ]);
    Ok(())
}
