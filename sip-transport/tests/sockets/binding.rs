use std::net::SocketAddr;

use sip_message::Transport;
use sip_transport::{Config, Sockets};

use crate::node::Node;

#[tokio::test]
async fn udp_has_tcp_beside_it_on_the_same_port() {
    // RFC 3261 §18.2.1: "For any port and interface that a server listens on for UDP, it MUST
    // listen on that same port and interface for TCP."
    let node = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    assert_eq!(node.addr(Transport::Udp), node.addr(Transport::Tcp));
    let both = Node::bind(&["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], Config::default());
    assert_eq!(both.sockets.locals().len(), 2, "not twice");
    assert_eq!(both.addr(Transport::Udp), both.addr(Transport::Tcp));
    for local in node.sockets.locals().iter().chain(both.sockets.locals().iter()) {
        assert_eq!(local.sent_by.parse(), Ok(local.addr), "responses come where we listen");
    }
    let alone = Node::bind(&["udp:127.0.0.1:0"], Config::default().tcp_beside_udp(false));
    assert_eq!(alone.sockets.locals().first(Transport::Tcp), None);
}

#[tokio::test]
async fn a_bind_error_names_the_address() {
    let node = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    let port = node.addr(Transport::Udp).port();
    for text in [format!("udp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{port}")] {
        let error = Sockets::bind(&[text.parse().unwrap()], Config::default()).unwrap_err();
        assert!(error.to_string().contains(&format!("cannot listen on {text}: ")), "{error}");
    }
}

#[tokio::test]
async fn the_unspecified_address_is_named_by_one_that_can_be_reached() {
    let node = Node::bind(&["udp:0.0.0.0:0"], Config::default());
    let local = node.sockets.locals().first(Transport::Udp).unwrap();
    let named: SocketAddr = local.sent_by.parse().unwrap();
    assert!(!named.ip().is_unspecified());
    assert_eq!(named.port(), local.addr.port());
}

#[tokio::test]
async fn an_advertised_address_is_named_by_udp_and_by_the_tcp_beside_it() {
    let addr = "udp:127.0.0.1:0".parse::<sip_transport::ListenAddr>().unwrap();
    let addr = addr.with_advertised("sip.example.com:5070").unwrap();
    let sockets = Sockets::bind(&[addr], Config::default()).unwrap();
    assert_eq!(sockets.locals().len(), 2);
    assert!(sockets.locals().iter().all(|local| &*local.sent_by == "sip.example.com:5070"));
}
