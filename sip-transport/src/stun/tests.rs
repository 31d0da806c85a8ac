use super::*;

const ID: StunId = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// RFC 5769 §2.2.
const IPV4: &str = "01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
    80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
    00 20 00 08 00 01 a1 47 e1 12 a6 43
    00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7
    80 28 00 04 c0 7d 4c 96";

/// RFC 5769 §2.3.
const IPV6: &str = "01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
    80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
    00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9
    00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41
    80 28 00 04 c8 fb 0b 4c";

#[test]
fn the_vectors_of_rfc_5769_say_where_the_client_is() {
    let mapped = |hex| match Stun::parse(&bytes(hex)) {
        Some(Stun::Success { id: ID, mapped }) => mapped.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(mapped(IPV4), "192.0.2.1:32853");
    assert_eq!(mapped(IPV6), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

#[test]
fn a_request_is_answered_with_where_it_came_from() {
    let request = Stun::request(ID);
    assert_eq!(request.len(), 20);
    assert!(is_stun(&request));
    let read = Stun::parse(&request).unwrap();
    assert_eq!(read, Stun::Request { id: ID, unknown: vec![] });
    for source in ["192.0.2.1:32853", "[2001:db8::7]:5060", "[::ffff:192.0.2.1]:1"] {
        let source: SocketAddr = source.parse().unwrap();
        let answer = Stun::parse(&read.answer(source).unwrap());
        let mapped = SocketAddr::new(source.ip().to_canonical(), source.port());
        assert_eq!(answer, Some(Stun::Success { id: ID, mapped }));
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_named() {
    // RFC 3489's CHANGE-REQUEST, twice a number of no meaning, and one that may be passed over.
    let attributes = bytes(
        "00 03 00 04 00 00 00 00  7f fe 00 01 aa 00 00 00  7f fe 00 00  80 99 00 02 01 02 00 00",
    );
    let request = Stun::parse(&message(REQUEST, ID, &attributes)).unwrap();
    assert_eq!(request, Stun::Request { id: ID, unknown: vec![0x0003, 0x7ffe, 0x7ffe] });
    let answer = request.answer("192.0.2.1:5060".parse().unwrap()).unwrap();
    assert_eq!(Stun::parse(&answer), Some(Stun::Failure { id: ID }));
    let shown = bytes("00 09 00 15 00 00 04 14");
    assert!(answer.windows(8).any(|window| window == shown));
    assert!(answer.windows(10).any(|window| window == bytes("00 0a 00 06 00 03 7f fe 7f fe")));
    assert_eq!(answer.len() % 4, 0);
    // A success that says what we do not understand is none.
    let success = [attribute(XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 1, 2, 3, 4]), attributes].concat();
    assert_eq!(Stun::parse(&message(SUCCESS, ID, &success)), Some(Stun::Failure { id: ID }));
}

#[test]
fn what_is_not_a_whole_binding_message_is_nothing() {
    let whole = bytes(IPV4);
    for len in 0..whole.len() {
        assert_eq!(Stun::parse(&whole[..len]), None, "{len}");
    }
    for (place, byte) in [(0, 0x41), (1, 0x03), (3, 0x3b), (3, 0x40), (4, 0x22), (23, 0xff)] {
        let mut other = whole.clone();
        other[place] = byte;
        assert_eq!(Stun::parse(&other), None, "{place}");
    }
    assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0"));
    assert!(!is_stun(b""));
    // Without an address, or with one of no family, a success says nothing.
    for attributes in [vec![], attribute(XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4])] {
        let success = message(SUCCESS, ID, &attributes);
        assert_eq!(Stun::parse(&success), Some(Stun::Failure { id: ID }));
    }
    let indication = Stun::parse(&message(INDICATION, ID, &[])).unwrap();
    assert_eq!(
        (indication.answer("192.0.2.1:1".parse().unwrap()), indication),
        (None, Stun::Indication)
    );
}

#[test]
fn the_unknown_are_counted_to_a_limit() {
    let many = attribute(0x7000, &[]).repeat(300);
    let Some(Stun::Request { unknown, .. }) = Stun::parse(&message(REQUEST, ID, &many)) else {
        panic!("a request");
    };
    assert_eq!(unknown.len(), MAX_UNKNOWN);
}
