use super::*;

#[test]
fn the_first_line_says_what_it_is() {
    let name = |bytes: &[u8]| {
        kind(bytes).map(|kind| METHODS.iter().chain(&CLASSES).nth(kind).copied().unwrap())
    };
    for (bytes, expected) in [
        (&b"INVITE sip:a@b SIP/2.0\r\n"[..], Some("INVITE")),
        (b"PUBLISH sip:a@b SIP/2.0\r\n", Some("PUBLISH")),
        // Nobody makes labels for us.
        (b"FLY sip:a@b SIP/2.0\r\n", Some("other")),
        (b"invite sip:a@b SIP/2.0\r\n", Some("other")),
        (b"SIP/2.0 100 Trying\r\n", Some("1xx")),
        (b"SIP/2.0 486 Busy Here\r\n", Some("4xx")),
        (b"SIP/2.0 603 Decline\r\n", Some("6xx")),
        (b"SIP/2.0 700 What\r\n", None),
        (b"SIP/2.0 /00 What\r\n", None),
        (b"SIP/2.0 ", None),
        (b"\r\n\r\n", None),
        (b"", None),
        (b"hello", None),
        (b"\xff\xfe\x00 sip:a@b SIP/2.0\r\n", None),
        (b"AVERYLONGMETHODTHATGOESONANDONANDON sip:a@b SIP/2.0\r\n", None),
    ] {
        assert_eq!(name(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn nothing_is_due_while_nothing_happens() {
    let (mut meter, begun) = (Meter::default(), Instant::now());
    assert_eq!(meter.due(), None);
    assert!(!meter.turn(begun));
    assert_eq!(meter.due(), Some(begun + PERIOD));
    assert!(!meter.turn(begun + PERIOD / 2));
    assert!(meter.turn(begun + PERIOD));
    meter.tell(Stats::default(), SocketStats::default(), (0, 8));
    assert_eq!(meter.due(), None);
}
