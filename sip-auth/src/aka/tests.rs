use super::*;

/// RFC 4648 §10.
#[test]
fn base64_both_ways() {
    for (plain, coded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(to_base64(plain.as_bytes()), coded);
        assert_eq!(from_base64(coded).unwrap(), plain.as_bytes());
    }
    assert_eq!(from_base64("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    for bad in ["Z", "Zm9vY", "Zm 9", "Z=g=", "-_-_", "ö"] {
        assert_eq!(from_base64(bad), None, "{bad}");
    }
}

/// RFC 3310 §4 and §3.2.
#[test]
fn nonces_hold_what_the_sim_is_asked() {
    let asked = AkaChallenge::from_nonce("CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz==").unwrap();
    assert_eq!(asked.rand[..4], [0x0a, 0x33, 0xe4, 0xf6]);
    assert_eq!((asked.autn[0], asked.autn[15]), (0xe4, 0xf6));
    assert_eq!(asked.server_data, [0x73]);
    assert_eq!(AkaChallenge::from_nonce(&asked.to_nonce()), Some(asked));
    // 36 bytes: four of the server's own.
    let asked =
        AkaChallenge::from_nonce("MzQ0a2xrbGtmbGtsZm9wb2tsc2tqaHJzZXNy9uQyMzMzMzQK=").unwrap();
    assert_eq!(&asked.rand, b"344klklkflklfopo");
    assert_eq!(asked.server_data, b"334\n");
    for bad in ["", "CjPk", "no!", &to_base64(&[0; 31])] {
        assert_eq!(AkaChallenge::from_nonce(bad), None, "{bad}");
    }
    assert!(AkaChallenge::from_nonce(&to_base64(&[0; 32])).unwrap().server_data.is_empty());
}

#[test]
fn answers_are_not_printed() {
    use alloc::format;
    let answers =
        [AkaAnswer::Res(b"hush".to_vec()), AkaAnswer::OutOfSync([7; 14]), AkaAnswer::Refused];
    assert_eq!(format!("{answers:?}"), "[Res(…), OutOfSync(…), Refused]");
}
