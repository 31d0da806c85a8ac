//! RFC 5118 §4: IPv6 in SIP, each message with its verdict and what must be seen.

use std::net::{IpAddr, Ipv6Addr};

use sip_message::{Contact, HeaderName, Host, RefusalKind, To, Transport, UriErrorKind, Via};

use crate::vectors::ipv6::*;
use crate::{refused, request};

fn v6(text: &str) -> Host<'static> {
    Host::V6(text.parse().unwrap())
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

// RFC 5118 §4.1: "The request below is well-formatted according to the grammar in
// [RFC3261]."
#[test]
fn ipv6_good() {
    let register = request(IPV6_GOOD);
    assert_eq!(register.uri().unwrap().host(), Some(v6("2001:db8::10")));
    assert_eq!(register.headers().top_via().unwrap().host(), v6("2001:db8::9:1"));
    let contact: Contact = register.get().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().host(), Some(v6("2001:db8::1")));
    assert_eq!(contact.uri().unwrap().user(), Some("caller"));
}

// RFC 5118 §4.2: "A SIP implementation receiving this request should respond with a 400
// Bad Request error."
#[test]
fn ipv6_bad() {
    let kind = RefusalKind::RequestUri(UriErrorKind::Port);
    refused(IPV6_BAD, 400, None, kind, "db8::10 SIP/2.0");
}

// RFC 5118 §4.3: "From a parsing perspective, the request below is well-formed."
#[test]
fn port_ambiguous() {
    let register = request(PORT_AMBIGUOUS);
    let uri = register.uri().unwrap();
    assert_eq!((uri.host(), uri.port()), (Some(v6("2001:db8::10:5070")), None));
}

// RFC 5118 §4.4: "the following REGISTER
// request leaves no ambiguity whatsoever on where the IPv6 address ends
// and the port number begins."
#[test]
fn port_unambiguous() {
    let register = request(PORT_UNAMBIGUOUS);
    let uri = register.uri().unwrap();
    assert_eq!((uri.host(), uri.port()), (Some(v6("2001:db8::10")), Some(5070)));
}

// RFC 5118 §4.5: "A SIP
// implementation receiving either of these messages must parse them
// successfully."
#[test]
fn via_received_param() {
    for vector in [VIA_RECEIVED_PARAM_WITH_DELIM, VIA_RECEIVED_PARAM_NO_DELIM] {
        let request = request(vector);
        let via = request.headers().top_via().unwrap();
        assert_eq!(via.host(), v6("2001:db8::9:1"));
        assert_eq!(via.received(), ip("2001:db8::9:255"));
        assert!(via.branch().unwrap().starts_with("z9hG4bKas3"));
    }
    // RFC 5118 §4.5: "When sending a request,
    // implementations must not put the delimiting "[" and "]" tokens."
    let via = Via::new(Transport::Udp, "[2001:db8::9:1]", "z9hG4bKas3").unwrap();
    let address: Ipv6Addr = "2001:db8::9:255".parse().unwrap();
    let via = via.with_param("received", Some(&address.to_string())).unwrap();
    assert!(via.to_string().ends_with(";received=2001:db8::9:255"));
}

// RFC 5118 §4.6: "Note that the IPv6 addresses in the SDP [RFC4566] body
// do not have the delimiting "[" and "]"."
#[test]
fn ipv6_in_sdp() {
    let invite = request(IPV6_IN_SDP);
    let to: To = invite.get().unwrap().unwrap();
    assert_eq!((to.uri().user(), to.uri().host()), (Some("user"), Some(v6("2001:db8::10"))));
    assert!(std::str::from_utf8(invite.body()).unwrap().contains("c=IN IP6 2001:db8::20\r\n"));
}

// RFC 5118 §4.7: "The Via list contains a mix of IPv4 addresses and IPv6
// references."
#[test]
fn mult_ip_in_header() {
    let bye = request(MULT_IP_IN_HEADER);
    let vias: Vec<Via<'_>> = bye.get_all().map(Result::unwrap).collect();
    let seen: Vec<_> = vias.iter().map(|v| (v.host(), v.port(), v.received())).collect();
    assert_eq!(
        seen,
        [
            (v6("2001:db8::9:1"), Some(6050), None),
            (Host::V4([192, 0, 2, 1].into()), None, None),
            (v6("2001:db8::9:255"), None, ip("192.0.2.200")),
        ]
    );
    assert_eq!(bye.headers().branch(), Some("z9hG4bKas3-111"));
}

// RFC 5118 §4.8: "The SDP contains multiple media lines, and each media
// line is identified by a different network connection address."
#[test]
fn mult_ip_in_sdp() {
    let invite = request(MULT_IP_IN_SDP);
    let body = std::str::from_utf8(invite.body()).unwrap();
    assert!(body.contains("c=IN IP4 192.0.2.1\r\n") && body.contains("c=IN IP6 2001:db8::1\r\n"));
    assert_eq!(invite.raw(HeaderName::ContentType), Some(&b"application/sdp"[..]));
}

// RFC 5118 §4.9: "A SIP implementation receiving a message that contains
// such a mapped address must be prepared to parse it successfully."
#[test]
fn ipv4_mapped_ipv6() {
    let invite = request(IPV4_MAPPED_IPV6);
    let vias: Vec<Via<'_>> = invite.get_all().map(Result::unwrap).collect();
    let seen: Vec<_> = vias.iter().map(|v| (v.host(), v.port())).collect();
    assert_eq!(seen, [(v6("::ffff:192.0.2.10"), Some(19823)), (v6("::ffff:192.0.2.2"), None)]);
    let contact: Contact = invite.get().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().host(), Some(v6("::ffff:192.0.2.2")));
    let name = contact.as_name_addr().unwrap().display_name();
    assert_eq!(name.as_deref(), Some("T. desk phone"));
}

// RFC 5118 §4.10: "following the
// Robustness Principle [RFC1122], an implementation must tolerate both
// of the above constructs"
#[test]
fn ipv6_bug_abnf() {
    for vector in [IPV6_BUG_ABNF_3_COLONS, IPV6_CORRECT_ABNF_2_COLONS] {
        let options = request(vector);
        // RFC 5118 §4.10: "it can choose to ignore the
        // extra colon when parsing the IPv6 reference"
        assert_eq!(options.uri().unwrap().host(), Some(v6("2001:db8::192.0.2.1")));
        let to: To = options.get().unwrap().unwrap();
        assert_eq!(to.uri().host(), Some(v6("2001:db8::192.0.2.1")));
    }
}
