use super::*;

#[test]
fn hosts() {
    let v4 = |text: &str| Host::V4(text.parse().expect("IPv4"));
    let v6 = |text: &str| Host::V6(text.parse().expect("IPv6"));
    for (text, host) in [
        ("example.com", Some(Host::Name("example.com"))),
        ("example.com.", Some(Host::Name("example.com."))),
        ("a_b-1", Some(Host::Name("a_b-1"))),
        ("1.2.3.4.example", Some(Host::Name("1.2.3.4.example"))),
        ("192.0.2.1", Some(v4("192.0.2.1"))),
        ("[2001:db8::1]", Some(v6("2001:db8::1"))),
        ("2001:db8::1", Some(v6("2001:db8::1"))),
        ("[::ffff:192.0.2.10]", Some(v6("::ffff:192.0.2.10"))),
        // RFC 5118 §4.10
        ("[2001:db8:::192.0.2.1]", Some(v6("2001:db8::192.0.2.1"))),
        ("[2001:db8::192.0.2.1]", Some(v6("2001:db8::192.0.2.1"))),
        ("", None),
        ("[]", None),
        ("[192.0.2.1]", None),
        ("[2001:db8::1", None),
        ("[1:2:3:4:5:6:7:8:9]", None),
        ("2001:db8::::1", None),
        ("a b", None),
        ("a@b", None),
        ("a:5060", None),
        ("é.example", None),
    ] {
        assert_eq!(Host::parse(text), host, "{text}");
    }
}

#[test]
fn names_compare_in_any_case_and_never_with_addresses() {
    assert_eq!(Host::parse("EXAMPLE.com"), Host::parse("example.COM"));
    assert_eq!(Host::parse("[2001:DB8:0::1]"), Host::parse("2001:db8::1"));
    assert_ne!(Host::parse("192.0.2.1"), Host::parse("[::ffff:192.0.2.1]"));
    assert_ne!(Host::parse("192.0.2.1"), Host::parse("192.0.2.1.example"));
}

#[test]
fn printed_with_brackets() {
    use std::string::ToString;
    for text in ["example.com", "192.0.2.1", "[2001:db8::1]"] {
        assert_eq!(Host::parse(text).expect("a host").to_string(), text);
    }
}

#[test]
fn received_takes_addresses_only() {
    assert_eq!(ip(b"2001:db8::9:255"), ip(b"[2001:db8::9:255]"));
    assert!(ip(b"192.0.2.1").is_some_and(|address| address.is_ipv4()));
    assert_eq!(ip(b"example.com"), None);
}
