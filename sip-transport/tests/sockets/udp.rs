use std::net::SocketAddr;
use std::time::Duration;

use sip_message::{Limits, Message, Transport};
use sip_transport::{Config, Destination, Target, TransportError};
use tokio::net::UdpSocket;

use crate::node::{Node, RESPONSE, options};

async fn udp_echo(listen: &str, peer: &str) {
    let mut node = Node::bind(&[listen], Config::default());
    let peer = UdpSocket::bind(peer).await.unwrap();
    let to = node.addr(Transport::Udp);
    assert_ne!(to.port(), 0, "the real port");
    for number in 0..100 {
        peer.send_to(&options(number), to).await.unwrap();
    }
    for number in 0..100 {
        let (flow, payload) = node.message().await;
        assert_eq!(payload, options(number));
        assert_eq!((flow.transport, flow.remote), (Transport::Udp, peer.local_addr().unwrap()));
        assert_eq!(flow.connection, None);
        node.send(Destination::Flow(flow), &payload, 0);
    }
    let mut buffer = [0; 2000];
    for number in 0..100 {
        let (len, from) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from), (&*options(number), to));
    }
}

#[tokio::test]
async fn udp_over_ipv4() {
    udp_echo("udp:127.0.0.1:0", "127.0.0.1:0").await;
}

#[tokio::test]
async fn udp_over_ipv6() {
    udp_echo("udp:[::1]:0", "[::1]:0").await;
}

/// The first link-local address of this machine, with the number of its link.
fn link_local() -> Option<String> {
    let known = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    known.lines().find_map(|line| {
        let [address, link, _, scope] = line.split_whitespace().take(4).collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let address = u128::from_str_radix(address, 16).ok().filter(|_| scope == "20")?;
        let link = u32::from_str_radix(link, 16).ok()?;
        Some(format!("[{}%{link}]:0", std::net::Ipv6Addr::from(address)))
    })
}

/// RFC 4007 §6: the flow says on which link the peer is, and the answer goes there.
#[tokio::test]
async fn a_peer_with_a_link_local_address_is_answered_on_its_link() {
    let Some(address) = link_local() else {
        eprintln!("not tested: this machine has no link-local address");
        return;
    };
    let mut node = Node::bind(&[&format!("udp:{address}")], Config::default());
    let to = node.addr(Transport::Udp);
    let peer = UdpSocket::bind(&address).await.unwrap();
    let from = peer.local_addr().unwrap();
    peer.send_to(&options(1), to).await.unwrap();
    let (flow, _) = node.message().await;
    assert_eq!(flow.remote, from);
    let SocketAddr::V6(named) = flow.remote else { panic!("{flow:?}") };
    assert_ne!(named.scope_id(), 0);
    // By what the Via says, which knows no links.
    let text = format!(
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP [{}]:{};branch=z9hG4bK1\r\n\r\n",
        named.ip(),
        named.port()
    );
    let request = Message::parse(text.into(), &Limits::default()).unwrap();
    let via = request.headers().top_via().unwrap();
    let (destination, _) = sip_transport::response_target(&via, &flow);
    node.send(destination, RESPONSE, 0);
    let mut buffer = [0; 2000];
    assert_eq!(peer.recv_from(&mut buffer).await.unwrap(), (RESPONSE.len(), to));
    let sent_by = &node.sockets.locals().first(Transport::Udp).unwrap().sent_by;
    assert!(!sent_by.contains('%'), "{sent_by}");
}

// RFC 3261 §18.1.1: "However, implementations MUST be able to handle messages up to the maximum
// datagram packet size."
#[tokio::test]
async fn the_largest_datagram_goes_both_ways_and_a_larger_one_fails() {
    let mut node = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let largest = vec![b'x'; sip_transport::MAX_DATAGRAM];
    peer.send_to(&largest, node.addr(Transport::Udp)).await.unwrap();
    let (flow, payload) = node.message().await;
    assert_eq!(payload, largest);
    node.send(Destination::Flow(flow), &largest, 1);
    let mut buffer = vec![0; 65_536];
    assert_eq!(peer.recv(&mut buffer).await.unwrap(), largest.len());

    node.send(Destination::Flow(flow), &vec![b'x'; sip_transport::MAX_DATAGRAM + 1], 2);
    assert_eq!(node.failure().await, (2, TransportError::TooLarge));
}

#[tokio::test]
async fn keep_alives_and_oversized_datagrams_are_dropped() {
    let limits = Limits::default().message_bytes(200);
    let mut node = Node::bind(&["udp:127.0.0.1:0"], Config::default().message_limits(limits));
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = node.addr(Transport::Udp);
    for datagram in [&b""[..], b"\r\n\r\n", &[b'x'; 201], &[b'y'; 200]] {
        peer.send_to(datagram, to).await.unwrap();
    }
    assert_eq!(node.message().await.1, vec![b'y'; 200]);
}

#[tokio::test]
async fn what_is_dropped_does_not_put_the_sockets_to_sleep() {
    let mut node = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    let to = node.addr(Transport::Udp);
    let peer = tokio::spawn(async move {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for datagram in [&b"\r\n\r\n"[..], b"\r\n\r\n", b"hello"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            peer.send_to(datagram, to).await.unwrap();
        }
    });
    assert_eq!(node.message().await.1, "hello");
    peer.await.unwrap();
}

#[tokio::test]
async fn several_listeners_keep_their_flows_apart() {
    let addrs = ["udp:127.0.0.1:0", "udp:127.0.0.1:0", "udp:[::1]:0"];
    let mut node = Node::bind(&addrs, Config::default().tcp_beside_udp(false));
    let locals: Vec<_> = node.sockets.locals().iter().cloned().collect();
    assert_eq!(locals.len(), 3);
    for local in locals {
        let any = SocketAddr::new(local.addr.ip(), 0);
        let peer = UdpSocket::bind(any).await.unwrap();
        peer.send_to(b"hello", local.addr).await.unwrap();
        let (flow, _) = node.message().await;
        assert_eq!(flow.listener, local.id);
        // RFC 3581 §4: "The response MUST be sent from the same address and port that the
        // corresponding request was received on."
        node.send(Destination::Flow(flow), RESPONSE, 0);
        let (_, from) = peer.recv_from(&mut [0; 100]).await.unwrap();
        assert_eq!(from, local.addr);
    }
}

#[tokio::test]
async fn a_target_without_a_listener_of_its_family_fails() {
    let mut node = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    let v6 = "[::1]:5060".parse().unwrap();
    node.send(Destination::Target(Target::new(Transport::Udp, v6)), b"x", 7);
    assert_eq!(node.failure().await, (7, TransportError::NoListener));
    node.send_tcp(v6, b"x", 8);
    assert_eq!(node.failure().await, (8, TransportError::NoListener));
    node.send(Destination::Target(Target::new(Transport::Sctp, v6)), b"x", 9);
    assert_eq!(node.failure().await, (9, TransportError::ProtocolUnsupported));
}
