use super::*;

fn cursor(text: &[u8]) -> Cursor<'_> {
    Cursor::new(text).expect("short")
}

#[test]
fn token_is_the_grammars() {
    let token: std::vec::Vec<u8> = (0..=255).filter(|&b| is(b, TOKEN)).collect();
    let expected =
        b"!%'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcdefghijklmnopqrstuvwxyz~".to_vec();
    assert_eq!(token, expected);
}

#[test]
fn what_a_builder_writes_a_parser_reads() {
    for (built, read) in [
        (USER_BUILT, USER),
        (PASSWORD_BUILT, USER),
        (URI_PARAM_BUILT, URI_PARAM),
        (URI_HEADER_BUILT, URI_HEADER),
        (TOKEN, VALUE),
        (TOKEN, DISPLAY),
        (HOST, VALUE),
    ] {
        for byte in 0..=255 {
            assert!(!is(byte, built) || is(byte, read), "{byte:#x}");
        }
    }
}

#[test]
fn lws_passes_folds_and_no_line_ends() {
    for (text, passed) in [
        (&b"  \tx"[..], 3),
        (b"\r\n x", 3),
        (b" \r\n\t x", 5),
        (b"\n x", 2),
        (b"\r\nx", 0),
        (b" \r\n", 1),
        (b"\r x", 0),
        (b"\n\n x", 0),
        (b"", 0),
    ] {
        let mut cursor = cursor(text);
        cursor.skip_lws();
        assert_eq!(cursor.at(), passed, "{text:?}");
    }
}

#[test]
fn line_ends_that_fold_nothing_are_found() {
    for (text, bad) in [
        (&b"a"[..], None),
        (b"a\r\n b\n\tc", None),
        (b"a\r\nb", Some(1)),
        (b"a\r\n b\r", Some(5)),
        (b"\ra", Some(0)),
        (b"a\n", Some(1)),
    ] {
        assert_eq!(folds_only(text).err().map(|fault| fault.at), bad, "{text:?}");
    }
}

#[test]
fn quoted_strings() {
    for (text, end) in [
        (&br#""""#[..], Ok(2)),
        (br#""a" b"#, Ok(3)),
        (br#""a\"b""#, Ok(6)),
        (br#""a\\""#, Ok(5)),
        (b"\"a\r\n b\"", Ok(7)),
        (b"\"\\\x00\"", Ok(4)),
        (br#""a"#, Err((HeaderErrorKind::QuotedString, 0))),
        (br#""a\"#, Err((HeaderErrorKind::QuotedString, 0))),
        (br#""a\""#, Err((HeaderErrorKind::QuotedString, 0))),
        (b"a", Err((HeaderErrorKind::QuotedString, 0))),
        (b"\"a\r\nb\"", Err((HeaderErrorKind::Character, 2))),
        (b"\"a\\\r\n b\"", Err((HeaderErrorKind::Character, 3))),
    ] {
        let found = cursor(text).quoted().map(|span| span.end).map_err(|f| (f.kind, f.at));
        assert_eq!(found, end, "{text:?}");
    }
}

#[test]
fn commas_part_values_outside_of_quotes_and_brackets() {
    for (text, comma) in [
        (&b"a, b"[..], Some(1)),
        (b"a", None),
        (b",", Some(0)),
        (br#""a,b" <sip:x>, c"#, Some(13)),
        (br#""a\",b" <sip:x>"#, None),
        (b"<sip:a,b@c>,d", Some(11)),
        (br#"<sip:a"b>,d"#, Some(9)),
        (br#"a;x="b,c"#, None),
        (b"<sip:a,b", None),
    ] {
        assert_eq!(first_comma(text), comma, "{text:?}");
    }
}

#[test]
fn numbers_have_limits() {
    for (text, number) in [
        ("0", Some(0)),
        ("00017", Some(17)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("99999999999999999999999999", None),
        ("", None),
        ("-1", None),
        ("1x", None),
        (" 1", None),
    ] {
        assert_eq!(whole_number(text.as_bytes()), number, "{text:?}");
    }
}

#[test]
fn a_text_longer_than_spans_reach_is_refused() {
    assert!(Cursor::new(&[b'a'; MAX_TEXT]).is_ok());
    let fault = Cursor::new(&[b'a'; MAX_TEXT + 1]).expect_err("too long");
    assert_eq!(fault, Fault { kind: HeaderErrorKind::TooLong, at: MAX_TEXT });
}

#[test]
fn trimming() {
    assert_eq!(trim(b" \t a b \r\n "), (&b"a b"[..], 3));
    assert_eq!(trim(b"  "), (&b""[..], 2));
}
