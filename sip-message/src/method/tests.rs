use super::Method;
use alloc::string::ToString;

#[test]
fn standard_methods_have_their_own_names() {
    for name in [
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "REGISTER",
        "PRACK",
        "UPDATE",
        "INFO",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "PUBLISH",
    ] {
        let method: Method = name.parse().unwrap();
        assert!(!matches!(method, Method::Other(_)), "{name}");
        assert_eq!(method.to_string(), name);
    }
}

#[test]
fn methods_are_case_sensitive() {
    assert_eq!(Method::from_bytes(b"Invite"), Some(Method::Other("Invite".into())));
    assert_ne!(Method::from_bytes(b"invite"), Some(Method::Invite));
}

#[test]
fn any_token_is_a_method_and_nothing_else_is() {
    // The method of RFC 4475 §3.1.1.2.
    let odd = b"!interesting-Method0123456789_*+`.%indeed'~";
    assert_eq!(Method::from_bytes(odd).unwrap().as_str().as_bytes(), odd);
    for not_token in [&b""[..], b"IN VITE", b"INVITE\r\n", b"A:B", b"A/B", b"A@B", b"\xc3\xa9"] {
        assert_eq!(Method::from_bytes(not_token), None, "{not_token:?}");
    }
}
