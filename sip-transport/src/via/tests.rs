use bytes::Bytes;
use core::num::NonZeroU32;
use sip_message::{Header, Limits, Message};

use super::*;
use crate::{ConnectionId, ListenerId};

const LISTENER: ListenerId = ListenerId::new(3);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn request(vias: &str) -> Request {
    let text = format!("OPTIONS sip:b@example.com SIP/2.0\r\n{vias}\r\nContent-Length: 0\r\n\r\n");
    Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_request().unwrap()
}

/// The top Via line after a request with the Via `via` came from `source`.
fn stamped_line(via: &str, source: &str) -> String {
    let mut request = request(&format!("Via: {via}"));
    stamp(&mut request, addr(source));
    let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    text.lines().nth(1).unwrap().strip_prefix("Via: ").unwrap().to_owned()
}

// ---- RFC 3261 §18.2.1, RFC 3581 §4 ----

#[test]
fn a_via_that_says_the_source_is_left_alone() {
    for via in ["SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK1", "SIP/2.0/TCP 192.0.2.4"] {
        assert_eq!(stamped_line(via, "192.0.2.4:9999"), via);
    }
    let via = "SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bK1";
    assert_eq!(stamped_line(via, "[2001:db8::9]:5060"), via);
}

#[test]
fn an_untouched_request_is_not_copied() {
    let mut request = request("Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK1");
    let before = request.to_bytes();
    stamp(&mut request, addr("192.0.2.4:5060"));
    assert_eq!(request.to_bytes().as_ptr(), before.as_ptr());
}

#[test]
fn a_domain_name_or_another_address_gets_received() {
    assert_eq!(
        stamped_line("SIP/2.0/UDP bobspc.biloxi.com:5060", "192.0.2.4:5060"),
        "SIP/2.0/UDP bobspc.biloxi.com:5060;received=192.0.2.4"
    );
    assert_eq!(
        stamped_line("SIP/2.0/TCP 10.1.1.1:5060;branch=z9hG4bK1", "192.0.2.4:5060"),
        "SIP/2.0/TCP 10.1.1.1:5060;branch=z9hG4bK1;received=192.0.2.4"
    );
}

#[test]
fn an_ipv6_received_has_no_brackets() {
    // RFC 3261 §25.1: via-received is an IPv6address, not an IPv6reference.
    assert_eq!(
        stamped_line("SIP/2.0/UDP host.example.com;branch=z9hG4bK1", "[2001:db8::9]:5060"),
        "SIP/2.0/UDP host.example.com;branch=z9hG4bK1;received=2001:db8::9"
    );
}

#[test]
fn a_name_that_a_websocket_client_made_up_gets_received_as_any_name() {
    assert_eq!(
        stamped_line("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks", "192.0.2.4:51234"),
        "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks;received=192.0.2.4"
    );
    assert_eq!(
        stamped_line("SIP/2.0/WS df7jal23ls0d.invalid;rport;branch=z9hG4bK1", "192.0.2.4:51234"),
        "SIP/2.0/WS df7jal23ls0d.invalid;rport=51234;branch=z9hG4bK1;received=192.0.2.4"
    );
}

#[test]
fn rport_gets_the_source_port_and_received_even_if_equal() {
    assert_eq!(
        stamped_line("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff", "192.0.2.1:9988"),
        "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=192.0.2.1"
    );
    assert_eq!(
        stamped_line("SIP/2.0/TCP 192.0.2.1:4540;branch=z9hG4bK1;rport", "192.0.2.1:4540"),
        "SIP/2.0/TCP 192.0.2.1:4540;branch=z9hG4bK1;rport=4540;received=192.0.2.1"
    );
}

#[test]
fn a_claimed_source_is_overwritten() {
    assert_eq!(
        stamped_line(
            "SIP/2.0/UDP 192.0.2.1;received=198.51.100.7;branch=z9hG4bK1",
            "192.0.2.1:5060"
        ),
        "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1;branch=z9hG4bK1"
    );
    assert_eq!(
        stamped_line("SIP/2.0/UDP 192.0.2.1;rport=53;branch=z9hG4bK1", "192.0.2.1:5060"),
        "SIP/2.0/UDP 192.0.2.1;rport=5060;branch=z9hG4bK1;received=192.0.2.1"
    );
}

#[test]
fn only_the_top_via_is_stamped() {
    for vias in [
        "Via: SIP/2.0/UDP a.example.com\r\nVia: SIP/2.0/UDP b.example.com",
        "Via: SIP/2.0/UDP a.example.com, SIP/2.0/UDP b.example.com",
        "v: SIP/2.0/UDP a.example.com,SIP/2.0/UDP b.example.com",
    ] {
        let mut request = request(vias);
        stamp(&mut request, addr("192.0.2.4:5060"));
        let bytes = request.to_bytes();
        let printed = Message::parse(bytes, &Limits::default()).unwrap();
        let values: Vec<_> = printed
            .headers()
            .get_all::<Via<'_>>()
            .map(|via| String::from_utf8(via.unwrap().as_bytes().to_vec()).unwrap())
            .collect();
        let top = "SIP/2.0/UDP a.example.com;received=192.0.2.4";
        assert_eq!(values, [top, "SIP/2.0/UDP b.example.com"], "{vias}");
    }
}

#[test]
fn a_request_without_a_readable_via_is_left_alone() {
    for vias in ["Via: nonsense", "X: y"] {
        let mut request = request(vias);
        let before = request.to_bytes();
        stamp(&mut request, addr("192.0.2.4:5060"));
        assert_eq!(request.to_bytes(), before);
    }
}

// ---- RFC 3261 §18.2.2 ----

fn udp_flow(remote: &str) -> Flow {
    let transport = Transport::Udp;
    Flow { transport, listener: LISTENER, connection: None, remote: addr(remote) }
}

fn route(via: &str, flow: &Flow) -> (Destination, Option<Target>) {
    response_target(&Via::parse(via.as_bytes()).unwrap(), flow)
}

/// Where the response to a request over UDP goes.
fn over_udp(via: &str, source: &str) -> String {
    let (destination, fallback) = route(via, &udp_flow(source));
    assert_eq!(fallback, None);
    assert_eq!(Target::from(destination).listener, Some(LISTENER), "from where it was received");
    destination.remote().to_string()
}

#[test]
fn over_udp_to_received_and_rport() {
    let via = "SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bK1";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.1:9988");
}

#[test]
fn over_udp_to_received_and_the_port_of_sent_by() {
    let via = "SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;branch=z9hG4bK1";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.1:4540");
    let via = "SIP/2.0/UDP a.example.com;received=192.0.2.1;branch=z9hG4bK1";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.1:5060");
    let via = "SIP/2.0/UDP a.example.com;received=2001:db8::1;branch=z9hG4bK1";
    assert_eq!(over_udp(via, "[2001:db8::1]:9988"), "[2001:db8::1]:5060");
}

#[test]
fn over_udp_to_sent_by_if_it_was_not_tagged() {
    let via = "SIP/2.0/UDP 192.0.2.1:4540;branch=z9hG4bK1";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.1:4540");
    assert_eq!(over_udp("SIP/2.0/UDP 192.0.2.1", "192.0.2.1:9988"), "192.0.2.1:5060");
}

#[test]
fn over_udp_maddr_comes_first() {
    let via = "SIP/2.0/UDP 10.1.1.1:4540;maddr=192.0.2.200;received=192.0.2.1;rport=9988";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.200:4540");
    let via = "SIP/2.0/UDP 10.1.1.1;maddr=192.0.2.200;received=192.0.2.1";
    assert_eq!(over_udp(via, "192.0.2.1:9988"), "192.0.2.200:5060");
    let named = "SIP/2.0/UDP 10.1.1.1;maddr=group.example.com;received=192.0.2.1;rport=9988";
    assert_eq!(over_udp(named, "192.0.2.1:9988"), "192.0.2.1:9988", "no names are looked up");
}

#[test]
fn a_multicast_maddr_brings_its_ttl() {
    let ttl = |via: &str| match route(via, &udp_flow("192.0.2.1:5060")).0 {
        Destination::Target(target) => (target.remote.to_string(), target.ttl),
        Destination::Flow(flow) => panic!("{flow:?}"),
    };
    let group = "224.0.1.75:5060".to_owned();
    assert_eq!(ttl("SIP/2.0/UDP 192.0.2.1;maddr=224.0.1.75;ttl=16"), (group.clone(), Some(16)));
    assert_eq!(ttl("SIP/2.0/UDP 192.0.2.1;maddr=224.0.1.75"), (group, Some(1)));
}

#[test]
fn a_response_over_udp_to_the_very_source_is_a_flow() {
    let flow = udp_flow("192.0.2.1:5060");
    let via = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1";
    assert_eq!(route(via, &flow), (Destination::Flow(flow), None));
}

#[test]
fn over_tcp_by_the_same_connection_else_by_a_new_one_to_sent_by() {
    let flow = Flow {
        transport: Transport::Tcp,
        listener: LISTENER,
        connection: NonZeroU32::new(7).map(ConnectionId::new),
        remote: addr("192.0.2.1:40000"),
    };
    let fallback = |via: &str| {
        let (destination, fallback) = route(via, &flow);
        assert_eq!(destination, Destination::Flow(flow));
        fallback.map(|target| (target.remote.to_string(), target.transport, target.connection))
    };
    let to = |text: &str| Some((text.to_owned(), Transport::Tcp, None));
    // rport is for unreliable transports: the connection's own port accepts nothing.
    let via = "SIP/2.0/TCP 10.1.1.1:5062;received=192.0.2.1;rport=40000;branch=z9hG4bK1";
    assert_eq!(fallback(via), to("192.0.2.1:5062"));
    assert_eq!(fallback("SIP/2.0/TCP a.example.com;received=192.0.2.1"), to("192.0.2.1:5060"));
    assert_eq!(fallback("SIP/2.0/TCP 192.0.2.1:5064"), to("192.0.2.1:5064"));
}

#[test]
fn over_websocket_by_the_same_connection_or_not_at_all() {
    for transport in [Transport::Ws, Transport::Wss] {
        let flow = Flow { transport, ..udp_flow("192.0.2.1:40000") };
        for via in ["df7jal23ls0d.invalid", "192.0.2.1:5060;received=192.0.2.1;rport=40000"] {
            let via = format!("SIP/2.0/{transport} {via};branch=z9hG4bK56sdasks");
            assert_eq!(route(&via, &flow), (Destination::Flow(flow), None));
        }
    }
}

#[test]
fn over_tls_the_default_port_is_5061() {
    let flow = Flow { transport: Transport::Tls, ..udp_flow("192.0.2.1:40000") };
    let (_, fallback) = route("SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1", &flow);
    assert_eq!(fallback.unwrap().remote, addr("192.0.2.1:5061"));
}

// ---- RFC 3261 §18.1.2 ----

fn locals(sent_by: &str) -> Locals {
    let local = Local::new(ListenerId::new(0), Transport::Udp, addr("127.0.0.1:5070"));
    Locals::new([local.with_sent_by(sent_by)])
}

fn accepts(sent_by: &str, via: &str) -> bool {
    let text = format!("SIP/2.0 200 OK\r\nVia: {via}\r\nContent-Length: 0\r\n\r\n");
    let response = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
    is_own_response(&locals(sent_by), &response.into_response().unwrap())
}

#[test]
fn a_response_with_our_sent_by_is_ours() {
    assert!(accepts("192.0.2.1:5070", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1"));
    assert!(accepts("192.0.2.1:5070", "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK1"));
    assert!(accepts("pc.example.com", "SIP/2.0/UDP PC.Example.COM:5060;branch=z9hG4bK1"));
    assert!(accepts("pc.example.com:5060", "SIP/2.0/UDP pc.example.com ;branch=z9hG4bK1"));
    assert!(accepts("pc.example.com:5060", "SIP/2.0/UDP pc.example.com : 5060"));
    assert!(accepts("[2001:db8::1]:5070", "SIP/2.0/UDP [2001:DB8:0::1]:5070"));
    assert!(accepts("[2001:db8::1]", "SIP/2.0/UDP [2001:db8::1]:5060"));
}

#[test]
fn a_response_over_websocket_is_ours_with_received_and_without() {
    // RFC 7118 §5.3: "Therefore, SIP WebSocket Clients MUST accept responses without such a parameter in the
    // top Via header regardless of whether the Via "sent-by" field contains a domain name."
    assert!(accepts("df7jal23ls0d.invalid", "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1"));
    assert!(accepts(
        "df7jal23ls0d.invalid",
        "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1;received=192.0.2.4"
    ));
    assert!(!accepts("df7jal23ls0d.invalid", "SIP/2.0/WSS other.invalid;branch=z9hG4bK1"));
}

#[test]
fn a_response_with_another_sent_by_is_dropped() {
    assert!(!accepts("192.0.2.1:5070", "SIP/2.0/UDP 192.0.2.1:5071;branch=z9hG4bK1"));
    assert!(!accepts("192.0.2.1:5070", "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK1"));
    assert!(!accepts("pc.example.com:5060", "SIP/2.0/UDP pc.example.com:5061"));
    assert!(!accepts("192.0.2.1:5070", "nonsense"));
}

// ---- RFC 3261 §18.1.1, RFC 3581 §3 ----

fn sent_via(sent_by: &str, transport: Transport, remote: &str) -> String {
    let locals = locals(sent_by);
    let local = locals.first(Transport::Udp).unwrap();
    let via = request_via(local, &Target::new(transport, addr(remote)), "z9hG4bK1", false).unwrap();
    String::from_utf8(via.as_bytes().to_vec()).unwrap()
}

#[test]
fn a_request_gets_sent_by_the_transport_it_takes_and_an_empty_rport() {
    assert_eq!(
        sent_via("192.0.2.1:5070", Transport::Udp, "192.0.2.9:5060"),
        "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport"
    );
    assert_eq!(
        sent_via("pc.example.com", Transport::Tcp, "192.0.2.9:5060"),
        "SIP/2.0/TCP pc.example.com;branch=z9hG4bK1;rport"
    );
}

#[test]
fn a_request_to_a_multicast_group_gets_maddr_and_ttl() {
    assert_eq!(
        sent_via("192.0.2.1", Transport::Udp, "224.0.1.75:5060"),
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport;maddr=224.0.1.75;ttl=1"
    );
    assert_eq!(
        sent_via("[2001:db8::1]", Transport::Udp, "[ff02::1]:5060"),
        "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1;rport;maddr=[ff02::1]"
    );
}

#[test]
fn an_offer_of_keep_alives_is_a_keep_without_a_value() {
    let locals = locals("192.0.2.1");
    let local = locals.first(Transport::Udp).unwrap();
    let to = |remote| {
        let via = request_via(local, &Target::new(Transport::Udp, addr(remote)), "z9hG4bK1", true);
        String::from_utf8(via.unwrap().as_bytes().to_vec()).unwrap()
    };
    assert_eq!(to("192.0.2.9:5060"), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport;keep");
    assert!(!to("224.0.1.75:5060").contains("keep"), "nobody in particular could agree");
}

#[test]
fn a_branch_that_is_no_token_is_refused() {
    let locals = locals("192.0.2.1");
    let local = locals.first(Transport::Udp).unwrap();
    let target = Target::new(Transport::Udp, addr("192.0.2.9:5060"));
    assert!(request_via(local, &target, "a;b", false).is_err());
}

// ---- IPv6 ----

/// Where a response goes over UDP to a request with this Via, that came from `source`.
fn over_udp_from(via: &str, source: &str) -> (Destination, Option<Target>) {
    let flow = Flow {
        transport: Transport::Udp,
        listener: LISTENER,
        connection: None,
        remote: addr(source),
    };
    let mut request = request(&format!("Via: {via}"));
    stamp(&mut request, flow.remote);
    response_target(&request.headers().top_via().unwrap(), &flow)
}

#[test]
fn a_response_to_a_link_local_address_goes_back_on_its_link() {
    for via in [
        "SIP/2.0/UDP [fe80::2]:5060;branch=z9hG4bK1",
        "SIP/2.0/UDP [fe80::2]:5060;branch=z9hG4bK1;rport",
        "SIP/2.0/UDP host.example.com:5060;branch=z9hG4bK1",
    ] {
        let (to, _) = over_udp_from(via, "[fe80::2%7]:5060");
        assert!(matches!(to, Destination::Flow(_)), "{via}");
        assert_eq!(to.remote(), addr("[fe80::2%7]:5060"), "{via}");
    }
    // To another port, and by a stream that is gone: on that link as well.
    let (to, _) = over_udp_from("SIP/2.0/UDP [fe80::2]:5080;branch=z9hG4bK1", "[fe80::2%7]:5060");
    assert_eq!(to.remote(), addr("[fe80::2%7]:5080"));
    let connection = ConnectionId::new(NonZeroU32::MIN);
    let remote = addr("[fe80::2%7]:49152");
    let flow = Flow {
        transport: Transport::Tcp,
        listener: LISTENER,
        connection: Some(connection),
        remote,
    };
    let mut request = request("Via: SIP/2.0/TCP [fe80::2]:5060;branch=z9hG4bK1");
    stamp(&mut request, remote);
    let (_, fallback) = response_target(&request.headers().top_via().unwrap(), &flow);
    assert_eq!(fallback.unwrap().remote, addr("[fe80::2%7]:5060"));
    // What is not of the link has no scope.
    let (to, _) = over_udp_from(
        "SIP/2.0/UDP a.example.com;maddr=[2001:db8::9];branch=z9hG4bK1",
        "[fe80::2%7]:5060",
    );
    assert_eq!(to.remote(), addr("[2001:db8::9]:5060"));
}

/// A socket that takes IPv4 and IPv6 says so of a peer; ours take one of the two.
#[test]
fn a_response_to_an_ipv4_mapped_source_goes_back_over_its_flow() {
    for via in [
        "SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK1",
        "SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK1;rport",
        "SIP/2.0/UDP [::ffff:192.0.2.4]:5060;branch=z9hG4bK1",
    ] {
        let (to, _) = over_udp_from(via, "[::ffff:192.0.2.4]:5060");
        assert!(matches!(to, Destination::Flow(_)), "{via}: {to:?}");
        assert_eq!(to.remote(), addr("[::ffff:192.0.2.4]:5060"), "{via}");
    }
}
