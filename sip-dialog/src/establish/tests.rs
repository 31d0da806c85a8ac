use super::*;
use crate::test_support::{invite, request};
use std::format;
use std::vec::Vec;

#[test]
fn record_routes_are_copied_and_contact_added() {
    let routes = "Record-Route: <sip:p3;lr;x=1>;y=2, \"P\" <sip:p2;lr>
                  record-route: <sip:p1;lr>";
    let contact = "sip:bob@192.0.2.2".parse().unwrap();
    let response = establishing_response(&invite(routes), StatusCode::RINGING, "b1", &contact);
    let response = response.build().unwrap();
    let copied: Vec<_> = response.headers().raw_all(HeaderName::RecordRoute).collect();
    let expected: [&[u8]; 2] = [b"<sip:p3;lr;x=1>;y=2, \"P\" <sip:p2;lr>", b"<sip:p1;lr>"];
    assert_eq!(copied, expected);
    assert_eq!(response.raw(HeaderName::Contact), Some(&b"<sip:bob@192.0.2.2>"[..]));
    assert_eq!(response.headers().to_tag(), Some("b1"));
    assert_eq!(response.headers().from_tag(), Some("a1"));
}

/// RFC 3261 §12.1.1: Request-URI, else the top Record-Route, else Contact.
#[test]
fn when_contact_must_be_a_sips_uri() {
    for (uri, routes, contact, expected) in [
        ("sips:b@h", "", "sip:a@h", true),
        ("sip:b@h", "", "sip:a@h", false),
        ("sip:b@h", "", "sips:a@h", true),
        ("sip:b@h", "Record-Route: <sip:p2>, <sips:p1>", "sips:a@h", false),
        ("sip:b@h", "Record-Route: <sips:p2>, <sip:p1>", "sip:a@h", true),
    ] {
        let request = request(&format!(
            "INVITE {uri} SIP/2.0
             From: <sip:a@h>;tag=1
             To: <sip:b@h>
             Call-ID: 1
             CSeq: 1 INVITE
             {routes}
             Contact: <{contact}>"
        ));
        assert_eq!(wants_sips_contact(&request), expected, "{uri} {routes} {contact}");
    }
}
