use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sip_message::Transport;
use sip_transport::{
    Config, Destination, Flow, ListenAddr, Sockets, Target, TransportError, WsConfig, WsRefusal,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::{Node, RESPONSE, options};

fn server(config: Config) -> (Node, SocketAddr) {
    let node = Node::bind(&["ws:127.0.0.1:0"], config);
    let addr = node.addr(Transport::Ws);
    (node, addr)
}

fn client(config: WsConfig) -> Node {
    let from = ListenAddr::dial_only(Transport::Ws, Ipv4Addr::LOCALHOST.into());
    let sockets = Sockets::bind(&[from], Config::default().ws(config)).unwrap();
    Node { sockets, inputs: Default::default() }
}

fn to(remote: SocketAddr) -> Destination {
    Destination::Target(Target::new(Transport::Ws, remote))
}

const ASK: &str = "GET /sip HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A frame as a client sends it, masked by zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[first, 0x80 | 126], &len[..], &[0; 4], payload].concat()
}

/// A client past the handshake.
async fn connected(node: &mut Node, addr: SocketAddr) -> TcpStream {
    let mut peer = TcpStream::connect(addr).await.unwrap();
    peer.write_all(ASK.as_bytes()).await.unwrap();
    let head = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(peer.read_u8().await.unwrap());
        }
        head
    };
    let head = node.with(head).await;
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    peer
}

/// The payload of the next frame, which is small, and its first byte.
async fn read_frame(node: &mut Node, peer: &mut TcpStream) -> (u8, Vec<u8>) {
    let reading = async {
        let (first, len) = (peer.read_u8().await.unwrap(), peer.read_u8().await.unwrap());
        let len = if len < 126 { u16::from(len) } else { peer.read_u16().await.unwrap() };
        let mut payload = vec![0; len.into()];
        peer.read_exact(&mut payload).await.unwrap();
        (first, payload)
    };
    node.with(reading).await
}

#[tokio::test]
async fn requests_and_responses_go_both_ways_over_the_client_s_connection() {
    let (mut server, addr) = server(Config::default());
    let mut client = client(WsConfig::default());
    let local = client.sockets.locals().first(Transport::Ws).unwrap().clone();
    assert!(local.sent_by.ends_with(".invalid") && !local.listens, "{local:?}");
    client.send(to(addr), &options(1), 1);
    let (flow, payload) = client.with(server.message()).await;
    assert_eq!((flow.transport, &*payload), (Transport::Ws, &*options(1)));
    server.send(Destination::Flow(flow), RESPONSE, 2);
    server.send(Destination::Target(flow.into()), &options(2), 3);
    let (back, payload) = server.with(client.message()).await;
    assert_eq!((back.remote, &*payload), (addr, RESPONSE));
    let (_, payload) = server.with(client.message()).await;
    assert_eq!(*payload, *options(2));
    client.send(to(addr), &options(3), 4);
    client.with(server.message()).await;
    assert_eq!((client.sockets.connections(), server.sockets.connections()), (1, 1));
}

#[tokio::test]
async fn a_client_that_is_gone_is_not_connected_to() {
    let (mut node, addr) = server(Config::default());
    let mut peer = connected(&mut node, addr).await;
    peer.write_all(&frame(0x81, &options(1))).await.unwrap();
    let (flow, _) = node.message().await;
    drop(peer);
    node.closed().await;
    node.send(Destination::Flow(flow), RESPONSE, 1);
    assert_eq!(node.failure().await, (1, TransportError::Closed));
    node.send(Destination::Target(Target::from(flow)), &options(2), 2);
    assert_eq!(node.failure().await, (2, TransportError::Closed));
    assert_eq!(node.sockets.connections(), 0);
}

#[tokio::test]
async fn a_client_opens_a_new_connection_when_its_own_is_gone() {
    let (mut first, addr) = server(Config::default());
    let mut client = client(WsConfig::default());
    client.send(to(addr), &options(1), 1);
    let (there, _) = client.with(first.message()).await;
    first.send(Destination::Flow(there), RESPONSE, 0);
    let (flow, _) = first.with(client.message()).await;
    drop(first);
    assert_eq!(client.failure().await.0, 1, "answered or not, the connection it went by is gone");
    client.closed().await;
    let mut second = Node::bind(&[&format!("ws:{addr}")], Config::default());
    client.send(Destination::Target(Target::from(flow)), &options(2), 2);
    let (_, payload) = client.with(second.message()).await;
    assert_eq!(*payload, *options(2));
}

#[tokio::test]
async fn content_length_may_be_left_out() {
    let (mut node, addr) = server(Config::default());
    let mut peer = connected(&mut node, addr).await;
    let message = b"MESSAGE sip:b@example.com SIP/2.0\r\nCSeq: 1 MESSAGE\r\n\r\nhello";
    peer.write_all(&frame(0x82, message)).await.unwrap();
    assert_eq!(*node.message().await.1, *message);
}

#[tokio::test]
async fn a_double_crlf_is_answered_by_one() {
    let (mut node, addr) = server(Config::default());
    let mut peer = connected(&mut node, addr).await;
    peer.write_all(&frame(0x81, b"\r\n\r\n")).await.unwrap();
    assert_eq!(read_frame(&mut node, &mut peer).await, (0x81, b"\r\n".to_vec()));
    peer.write_all(&frame(0x89, b"are you there")).await.unwrap();
    assert_eq!(read_frame(&mut node, &mut peer).await, (0x8a, b"are you there".to_vec()));
    node.quiet(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn what_is_no_request_for_a_websocket_gets_an_answer_and_no_connection() {
    let (mut node, addr) = server(Config::default());
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP/1.1 426 "),
        ("OPTIONS sip:b@example.com SIP/2.0\r\n\r\n", "HTTP/1.1 400 "),
        ("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 405 "),
    ] {
        let mut peer = TcpStream::connect(addr).await.unwrap();
        peer.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        node.with(peer.read_to_string(&mut text)).await.unwrap();
        assert!(text.starts_with(expected), "{text}");
        drop(peer);
    }
    node.quiet(Duration::from_millis(50)).await;
    assert_eq!(node.sockets.connections(), 0);
}

#[tokio::test]
async fn the_client_learns_what_the_server_says_to_its_request() {
    let grants = WsConfig::default().path("/sip").check(|request| match request.header("cookie") {
        Some("a=b") => Ok(()),
        _ => Err(WsRefusal::new(401).with_header("WWW-Authenticate", "Basic realm=x")),
    });
    let (mut server, addr) = server(Config::default().ws(grants));
    for (asks, expected) in [
        (WsConfig::default(), 404),
        (WsConfig::default().dial_path("/sip"), 401),
        (WsConfig::default().dial_path("/sip").dial_header("Cookie", "a=c"), 401),
    ] {
        let mut client = client(asks);
        client.send(to(addr), &options(1), 7);
        let failure = server.with(client.failure()).await;
        assert_eq!(failure, (7, TransportError::WsRefused(expected)));
    }
    let mut client = client(WsConfig::default().dial_path("/sip").dial_header("Cookie", "a=b"));
    client.send(to(addr), &options(1), 8);
    client.with(server.message()).await;
}

#[tokio::test]
async fn who_does_not_ask_is_closed_and_delays_nobody() {
    let time = Duration::from_millis(300);
    let (mut node, addr) = server(Config::default().handshake_timeout(time).handshakes(2));
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(addr).await.unwrap());
        node.quiet(Duration::from_millis(10)).await;
    }
    // The third took the place of the first.
    assert_eq!(node.with(silent[0].read(&mut [0; 10])).await.unwrap_or(0), 0);
    assert_eq!(node.sockets.connections(), 2);
    let mut peer = connected(&mut node, addr).await;
    // And this one that of the second; the others go when their time is over.
    for peer in &mut silent[1..] {
        assert_eq!(node.with(peer.read(&mut [0; 10])).await.unwrap_or(0), 0);
    }
    peer.write_all(&frame(0x81, &options(1))).await.unwrap();
    node.message().await;
    assert_eq!(node.sockets.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_told_that_we_go() {
    let quiet = WsConfig::default().ping(Duration::ZERO);
    let config = Config::default().ws(quiet).idle_timeout(Duration::from_millis(200));
    let (mut node, addr) = server(config);
    let mut peer = connected(&mut node, addr).await;
    assert_eq!(read_frame(&mut node, &mut peer).await, (0x88, 1001_u16.to_be_bytes().to_vec()));
    peer.write_all(&frame(0x88, &1001_u16.to_be_bytes())).await.unwrap();
    assert_eq!(node.closed().await.1, Some(TransportError::Idle));
}

#[tokio::test]
async fn a_peer_that_answers_pings_is_not_idle() {
    let pings = WsConfig::default().ping(Duration::from_millis(50));
    let config = Config::default().ws(pings).idle_timeout(Duration::from_millis(400));
    let (mut node, addr) = server(config);
    let mut peer = connected(&mut node, addr).await;
    for _ in 0..20 {
        assert_eq!(read_frame(&mut node, &mut peer).await, (0x89, Vec::new()));
        peer.write_all(&frame(0x8a, b"")).await.unwrap();
    }
    assert_eq!(node.sockets.connections(), 1);
    // It answers no more.
    let (first, _) = loop {
        let read = read_frame(&mut node, &mut peer).await;
        if read.0 != 0x89 {
            break read;
        }
    };
    assert_eq!(first, 0x88);
}

#[tokio::test]
async fn a_message_in_endless_pieces_runs_out_of_time() {
    let config = Config::default().message_timeout(Duration::from_millis(200));
    let (mut node, addr) = server(config);
    let mut peer = connected(&mut node, addr).await;
    let pieces = async {
        peer.write_all(&frame(0x01, b"OPTIONS")).await.unwrap();
        while peer.write_all(&frame(0x00, b" ")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    node.with(pieces).await;
    assert_eq!(node.closed().await.1, Some(TransportError::Incomplete));
}

#[tokio::test]
async fn a_frame_of_2_to_the_63_ends_the_connection_and_no_other() {
    let (mut node, addr) = server(Config::default());
    let mut good = connected(&mut node, addr).await;
    let mut bad = connected(&mut node, addr).await;
    let huge = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bad.write_all(&huge).await.unwrap();
    assert_eq!(read_frame(&mut node, &mut bad).await, (0x88, 1009_u16.to_be_bytes().to_vec()));
    drop(bad);
    assert_eq!(node.closed().await.1, Some(TransportError::TooLarge));
    good.write_all(&frame(0x81, &options(1))).await.unwrap();
    let (flow, _): (Flow, _) = node.message().await;
    node.send(Destination::Flow(flow), RESPONSE, 0);
    assert_eq!(read_frame(&mut node, &mut good).await, (0x81, RESPONSE.to_vec()));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls_the_server_proves_its_domain_and_is_asked_by_it() {
    use crate::pki::Pki;
    use sip_transport::{Input, Transmit};

    let pki = Pki::new();
    let grants = WsConfig::default().host("example.com");
    let config = Config::default().ws(grants);
    let shown = pki.showing(&pki.of("example.com")).build().unwrap();
    let mut server = Node::bind(&["wss:127.0.0.1:0"], config.tls(Some(shown)));
    let addr = server.addr(Transport::Wss);
    let from = ListenAddr::dial_only(Transport::Wss, Ipv4Addr::LOCALHOST.into());
    let trusting = Config::default().tls(Some(pki.trusting().build().unwrap()));
    let sockets = Sockets::bind(&[from], trusting).unwrap();
    let mut client = Node { sockets, inputs: Default::default() };
    let ask = |client: &mut Node, domain: &str, token| {
        let destination = Destination::Target(Target::new(Transport::Wss, addr));
        let (payload, domain) = (options(1).into(), Some(domain.into()));
        client.sockets.send(Transmit { destination, fallback: None, payload, token, domain });
    };
    ask(&mut client, "example.net", 1);
    let (token, error) = server.with(client.failure()).await;
    assert!(token == 1 && matches!(error, TransportError::Tls(_)), "{error:?}");
    ask(&mut client, "example.com", 2);
    let (flow, payload) = client.with(server.message()).await;
    assert_eq!((flow.transport, &*payload), (Transport::Wss, &*options(1)));
    server.send(Destination::Flow(flow), RESPONSE, 0);
    let Input::Authenticated { peer, .. } = server.with(client.next()).await else { panic!() };
    assert!(peer.is_of("example.com"));
    assert_eq!(*server.with(client.message()).await.1, *RESPONSE);
}
