//! The sockets over loopback, against plain sockets of the standard kind as peers.
#![cfg(feature = "tokio")]
// clippy.toml allows these in test functions; here are their helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Limits, Transport};
use sip_transport::{
    Config, ConnectionId, Destination, Flow, Input, Sockets, Target, Transmit, TransportError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

/// Sockets under test with what they said and nobody asked for yet.
struct Node {
    sockets: Sockets,
    inputs: VecDeque<Input>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Node {
    fn bind(addrs: &[&str], config: Config) -> Self {
        let addrs: Vec<_> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        Self { sockets: Sockets::bind(&addrs, config).unwrap(), inputs: VecDeque::new() }
    }

    fn addr(&self, transport: Transport) -> SocketAddr {
        self.sockets.locals().first(transport).unwrap().addr
    }

    /// The next input.
    async fn next(&mut self) -> Input {
        timeout(PATIENCE, self.wait()).await.expect("an input")
    }

    async fn wait(&mut self) -> Input {
        let mut inputs = Vec::new();
        while self.inputs.is_empty() {
            poll_fn(|cx| self.sockets.poll_recv(cx, &mut inputs)).await;
            self.inputs.extend(inputs.drain(..));
        }
        self.inputs.pop_front().unwrap()
    }

    /// Drives the sockets for a while and asserts that they say nothing.
    async fn quiet(&mut self, time: Duration) {
        if let Ok(input) = timeout(time, self.wait()).await {
            panic!("unexpected {input:?}");
        }
    }

    /// Drives the sockets while `other` goes on.
    async fn with<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        let both = poll_fn(|cx| {
            let mut inputs = Vec::new();
            while self.sockets.poll_recv(cx, &mut inputs).is_ready() {}
            self.inputs.extend(inputs);
            other.as_mut().poll(cx)
        });
        timeout(PATIENCE, both).await.expect("no answer in time")
    }

    async fn message(&mut self) -> (Flow, Bytes) {
        match self.next().await {
            Input::Datagram { flow, payload } | Input::Message { flow, payload } => (flow, payload),
            other => panic!("no message: {other:?}"),
        }
    }

    fn send(&mut self, destination: Destination, payload: &[u8], token: u64) {
        let payload = Bytes::copy_from_slice(payload);
        self.sockets.send(Transmit { destination, fallback: None, payload, token });
    }

    fn send_tcp(&mut self, remote: SocketAddr, payload: &[u8], token: u64) {
        let target = Target::new(Transport::Tcp, remote);
        self.send(Destination::Target(target), payload, token);
    }

    async fn failure(&mut self) -> (u64, TransportError) {
        match self.next().await {
            Input::SendFailed { token, error, .. } => (token, error),
            other => panic!("no failure: {other:?}"),
        }
    }

    async fn closed(&mut self) -> (ConnectionId, Option<TransportError>) {
        match self.next().await {
            Input::Closed { flow, error } => (flow.connection.unwrap(), error),
            other => panic!("not closed: {other:?}"),
        }
    }
}

fn options(number: usize) -> Vec<u8> {
    request(number, "")
}

fn request(number: usize, body: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.example.com;branch=z9hG4bK{number}\r\n\
         CSeq: {number} OPTIONS\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

// ---- UDP ----

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

// ---- binding ----

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

// ---- TCP: messages ----

async fn tcp_echo(listen: &str) {
    let mut node = Node::bind(&[listen], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&request(1, "hello")).await.unwrap();
    let (flow, payload) = node.message().await;
    assert_eq!(payload, request(1, "hello"));
    assert_eq!((flow.transport, flow.remote), (Transport::Tcp, peer.local_addr().unwrap()));
    // RFC 3261 §18.2.2: "the response MUST be sent using the existing connection to the source of
    // the original request that created the transaction, if that connection is still open"
    node.send(Destination::Flow(flow), RESPONSE, 0);
    let mut buffer = vec![0; RESPONSE.len()];
    node.with(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, RESPONSE);
}

#[tokio::test]
async fn tcp_over_ipv4() {
    tcp_echo("tcp:127.0.0.1:0").await;
}

#[tokio::test]
async fn tcp_over_ipv6() {
    tcp_echo("tcp:[::1]:0").await;
}

#[tokio::test]
async fn a_stream_may_be_split_at_every_byte() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let whole = [request(1, "body"), b"\r\n".to_vec(), request(2, "")].concat();
    for split in 1..whole.len() {
        let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
        peer.set_nodelay(true).unwrap();
        let (first, second) = whole.split_at(split);
        peer.write_all(first).await.unwrap();
        node.with(tokio::task::yield_now()).await;
        peer.write_all(second).await.unwrap();
        assert_eq!(node.message().await.1, request(1, "body"), "split at {split}");
        let (flow, second) = node.message().await;
        assert_eq!(second, request(2, ""), "split at {split}");
        node.sockets.close(flow.connection.unwrap());
        drop(peer);
        assert_eq!(node.closed().await.1, None, "split at {split}");
    }
    assert_eq!(node.sockets.connections(), 0);
}

#[tokio::test]
async fn a_byte_at_a_time() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.set_nodelay(true).unwrap();
    for byte in request(1, "body") {
        peer.write_all(&[byte]).await.unwrap();
        node.with(tokio::task::yield_now()).await;
    }
    assert_eq!(node.message().await.1, request(1, "body"));
}

#[tokio::test]
async fn many_messages_in_one_segment() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().inbound_queue(4));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    let all: Vec<u8> = (0..2000).flat_map(options).collect();
    let writer = tokio::spawn(async move {
        peer.write_all(&all).await.unwrap();
        peer
    });
    for number in 0..2000 {
        assert_eq!(node.message().await.1, options(number));
    }
    drop(writer.await);
    assert_eq!(node.sockets.connections(), 1);
}

#[tokio::test]
async fn many_messages_are_written_together_and_in_order() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().write_queue_bytes(1 << 20));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    for number in 0..1000 {
        node.send_tcp(remote, &options(number), 0);
    }
    let (mut peer, from) = node.with(listener.accept()).await.unwrap();
    assert_eq!(from.ip(), node.addr(Transport::Tcp).ip());
    let expected: Vec<u8> = (0..1000).flat_map(options).collect();
    let mut got = vec![0; expected.len()];
    node.with(peer.read_exact(&mut got)).await.unwrap();
    assert!(got == expected, "the bytes differ");
    assert_eq!(node.sockets.connections(), 1);
}

#[tokio::test]
async fn a_ping_is_answered_with_a_pong() {
    // RFC 5626 §5.4: "When a server receives a double CRLF sequence between SIP messages on a
    // connection-oriented transport such as TCP or SCTP, it MUST immediately respond with a single
    // CRLF over the same connection."
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    for _ in 0..3 {
        peer.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        node.with(peer.read_exact(&mut pong)).await.unwrap();
        assert_eq!(&pong, b"\r\n");
    }
    // One CRLF is a pong, or an empty line before a message: no answer, and the message is read.
    peer.write_all(&[b"\r\n".to_vec(), options(1)].concat()).await.unwrap();
    assert_eq!(node.message().await.1, options(1));
    let more = node.with(timeout(Duration::from_millis(50), peer.read_u8())).await;
    assert!(more.is_err(), "{more:?}");
}

// ---- TCP: connections ----

#[tokio::test]
async fn a_connection_is_reused_for_requests_and_responses_whoever_opened_it() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    // Theirs.
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(1)).await.unwrap();
    let (flow, _) = node.message().await;
    node.send_tcp(flow.remote, &options(2), 0);
    let mut buffer = vec![0; options(2).len()];
    node.with(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, options(2));
    // Ours.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    node.send_tcp(remote, &options(3), 0);
    let (mut peer, _) = node.with(listener.accept()).await.unwrap();
    peer.write_all(&options(4)).await.unwrap();
    let (flow, _) = node.message().await;
    assert_eq!(flow.remote, remote);
    node.send_tcp(remote, &options(5), 0);
    node.send(Destination::Flow(flow), RESPONSE, 0);
    let expected = [options(3), options(5), RESPONSE.to_vec()].concat();
    let mut buffer = vec![0; expected.len()];
    node.with(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, expected);
    assert_eq!(node.sockets.connections(), 2);
}

#[tokio::test]
async fn a_refused_connection_fails_every_message_that_waits_for_it() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    node.send_tcp(nobody, &options(1), 11);
    node.send_tcp(nobody, &options(2), 0);
    node.send_tcp(nobody, &options(3), 13);
    let mut failures = [node.failure().await, node.failure().await];
    failures.sort_by_key(|failure| failure.0);
    assert_eq!(failures, [(11, TransportError::Refused), (13, TransportError::Refused)]);
    node.quiet(Duration::from_millis(20)).await;
    assert_eq!(node.sockets.connections(), 0);
}

#[tokio::test]
async fn a_request_to_a_peer_that_closes_without_a_word_fails() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    node.send_tcp(remote, &options(1), 21);
    node.send_tcp(remote, RESPONSE, 22);
    let (peer, _) = node.with(listener.accept()).await.unwrap();
    drop(peer);
    let (token, _) = node.failure().await;
    assert_eq!(token, 21, "the request, not the response");
    node.closed().await;
    node.quiet(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn requests_fail_when_their_connection_closes_whatever_else_came_over_it() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    node.send_tcp(remote, &options(1), 21);
    node.send_tcp(remote, &options(2), 22);
    let (mut peer, _) = node.with(listener.accept()).await.unwrap();
    peer.write_all(RESPONSE).await.unwrap();
    node.message().await;
    drop(peer);
    // Whose response that was is not known here: its token means nothing to its owner any more.
    assert_eq!([node.failure().await.0, node.failure().await.0], [21, 22]);
    node.closed().await;
    node.quiet(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_peer_that_sends_no_more_still_gets_what_it_asked_for() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&[options(1), options(2)].concat()).await.unwrap();
    peer.shutdown().await.unwrap();
    let (flow, _) = node.message().await;
    node.message().await;
    node.quiet(Duration::from_millis(50)).await;
    let trying = b"SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n";
    for payload in [trying, RESPONSE] {
        node.send(Destination::Flow(flow), payload, 0);
        let mut buffer = vec![0; payload.len()];
        node.with(peer.read_exact(&mut buffer)).await.unwrap();
        assert_eq!(buffer, payload);
        node.quiet(Duration::from_millis(20)).await;
    }
    // No request goes over it, since nobody could answer it there.
    let destination = Destination::Flow(flow);
    let payload = Bytes::from(options(3));
    node.sockets.send(Transmit { destination, fallback: None, payload, token: 41 });
    assert_eq!(node.failure().await, (41, TransportError::Closed));
    // The last response owed, and then the end.
    node.send(Destination::Flow(flow), RESPONSE, 0);
    let mut rest = Vec::new();
    node.with(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, RESPONSE);
    drop(peer);
    assert_eq!(node.closed().await, (flow.connection.unwrap(), None));
    assert_eq!(node.sockets.connections(), 0);
}

#[tokio::test]
async fn a_peer_that_sends_no_more_and_gets_no_answer_is_closed_when_idle() {
    let idle = Duration::from_millis(100);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().idle_timeout(idle));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(1)).await.unwrap();
    peer.shutdown().await.unwrap();
    node.message().await;
    assert_eq!(node.closed().await.1, Some(TransportError::Idle));
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_owed_closes_with_its_peer_at_once() {
    let linger = 2 * PATIENCE;
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().linger(linger));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(
        &[options(1), b"ACK sip:b@example.com SIP/2.0\r\nContent-Length: 0\r\n\r\n".to_vec()]
            .concat(),
    )
    .await
    .unwrap();
    let (flow, _) = node.message().await;
    node.message().await;
    node.send(Destination::Flow(flow), RESPONSE, 0);
    node.with(peer.read_exact(&mut vec![0; RESPONSE.len()])).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(node.closed().await, (flow.connection.unwrap(), None));
}

#[tokio::test]
async fn requests_to_a_peer_that_sends_no_more_fail_though_it_still_reads() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    node.send_tcp(listener.local_addr().unwrap(), &options(1), 21);
    let (mut peer, _) = node.with(listener.accept()).await.unwrap();
    peer.write_all(&options(2)).await.unwrap();
    node.message().await;
    peer.shutdown().await.unwrap();
    assert_eq!(node.failure().await, (21, TransportError::Closed));
    assert_eq!(node.sockets.connections(), 1, "a response is owed");
}

#[tokio::test]
async fn a_response_goes_to_the_fallback_when_its_connection_is_gone() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(1)).await.unwrap();
    let (flow, _) = node.message().await;
    drop(peer);
    node.quiet(Duration::from_millis(20)).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fallback = Some(Target::new(Transport::Tcp, listener.local_addr().unwrap()));
    let payload = Bytes::from_static(RESPONSE);
    let destination = Destination::Flow(flow);
    node.sockets.send(Transmit { destination, fallback, payload: payload.clone(), token: 31 });
    let (mut peer, _) = node.with(listener.accept()).await.unwrap();
    let mut buffer = vec![0; RESPONSE.len()];
    node.with(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, RESPONSE);

    assert_eq!(node.closed().await, (flow.connection.unwrap(), Some(TransportError::Closed)));
    node.sockets.send(Transmit { destination, fallback: None, payload, token: 32 });
    assert_eq!(node.failure().await, (32, TransportError::Closed));
}

#[tokio::test]
async fn closing_writes_what_is_queued_first() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(1)).await.unwrap();
    let (flow, _) = node.message().await;
    node.send(Destination::Flow(flow), RESPONSE, 0);
    node.sockets.close(flow.connection.unwrap());
    // What is sent after closing does not go over it.
    node.send(Destination::Flow(flow), RESPONSE, 41);
    assert_eq!(node.failure().await, (41, TransportError::Closed));
    let mut got = Vec::new();
    node.with(peer.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, RESPONSE);
    drop(peer);
    assert_eq!(node.closed().await, (flow.connection.unwrap(), None));
}

// ---- TCP: bad input and limits ----

#[tokio::test]
async fn what_cannot_be_framed_is_shown_may_be_answered_once_and_closes() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(b"GARBAGE\r\nnot: sip\r\n\r\nmore").await.unwrap();
    let flow = match node.next().await {
        Input::Malformed { flow, payload, .. } => {
            assert!(payload.starts_with(b"GARBAGE"));
            flow
        }
        other => panic!("{other:?}"),
    };
    node.send(Destination::Flow(flow), b"SIP/2.0 400 Bad Request\r\n\r\n", 0);
    node.sockets.close(flow.connection.unwrap());
    let mut got = Vec::new();
    node.with(peer.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"SIP/2.0 400 Bad Request\r\n\r\n");
    drop(peer);
    assert_eq!(node.closed().await.1, Some(TransportError::Malformed));
}

#[tokio::test]
async fn what_cannot_be_framed_closes_by_itself() {
    let config = Config::default().linger(Duration::from_millis(50));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(b"GARBAGE\r\n\r\n").await.unwrap();
    assert!(matches!(node.next().await, Input::Malformed { .. }));
    assert_eq!(node.closed().await.1, Some(TransportError::Malformed));
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_oversized_message_is_malformed_before_it_is_read() {
    let limits = Limits::default().message_bytes(1000);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().message_limits(limits));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    let head = "OPTIONS sip:b@example.com SIP/2.0\r\nContent-Length: 4000000000\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    match node.next().await {
        Input::Malformed { payload, .. } => assert_eq!(payload, head),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_head_without_end_is_malformed_at_the_limit() {
    let limits = Limits::default().message_bytes(10_000);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().message_limits(limits));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(b"OPTIONS sip:b@example.com SIP/2.0\r\nX: ").await.unwrap();
    peer.write_all(&[b'x'; 20_000]).await.unwrap();
    assert!(matches!(node.next().await, Input::Malformed { .. }));
}

#[tokio::test]
async fn an_idle_connection_closes() {
    let config = Config::default().idle_timeout(Duration::from_millis(100));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    let begun = Instant::now();
    // Not while it is in use.
    for number in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        peer.write_all(&options(number)).await.unwrap();
        node.message().await;
    }
    assert_eq!(node.closed().await.1, Some(TransportError::Idle));
    assert!(begun.elapsed() >= Duration::from_millis(340));
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn writing_keeps_a_connection_from_being_idle() {
    let config = Config::default().idle_timeout(Duration::from_millis(100));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(0)).await.unwrap();
    let (flow, _) = node.message().await;
    for _ in 0..6 {
        node.send(Destination::Flow(flow), RESPONSE, 0);
        node.quiet(Duration::from_millis(60)).await;
    }
    assert_eq!(node.closed().await.1, Some(TransportError::Idle));
}

#[tokio::test]
async fn a_message_that_is_never_completed_closes_the_connection() {
    let config = Config::default().message_timeout(Duration::from_millis(100));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.set_nodelay(true).unwrap();
    // A byte now and then does not help.
    let slow = tokio::spawn(async move {
        for byte in request(1, "") {
            if peer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(node.closed().await.1, Some(TransportError::Incomplete));
    slow.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_is_bounded_and_then_served() {
    let config = Config::default().write_queue_bytes(100_000);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(0)).await.unwrap();
    let (flow, _) = node.message().await;
    let big = request(1, &"x".repeat(10_000));
    let mut sent = 0_u64;
    let full = loop {
        sent += 1;
        assert!(sent < 10_000, "the queue is never full");
        node.send(Destination::Flow(flow), &big, sent);
        if let Ok(input) = timeout(Duration::from_millis(1), node.wait()).await {
            break input;
        }
    };
    match full {
        Input::SendFailed { token, error, .. } => {
            assert_eq!((token, error), (sent, TransportError::QueueFull));
        }
        other => panic!("{other:?}"),
    }
    // All before the one refused arrives whole.
    let mut got = vec![0; big.len() * (usize::try_from(sent).unwrap() - 1)];
    node.with(peer.read_exact(&mut got)).await.unwrap();
    assert!(got.chunks(big.len()).all(|message| message == big), "the bytes differ");
    node.send(Destination::Flow(flow), RESPONSE, 1);
    let mut last = vec![0; RESPONSE.len()];
    node.with(peer.read_exact(&mut last)).await.unwrap();
    assert_eq!(last, RESPONSE);
}

#[tokio::test]
async fn connections_are_limited_in_all_and_per_peer() {
    for config in [Config::default().connections(2), Config::default().connections_per_peer(2)] {
        let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
        let to = node.addr(Transport::Tcp);
        let mut peers = Vec::new();
        for number in 0..2 {
            let mut peer = TcpStream::connect(to).await.unwrap();
            peer.write_all(&options(number)).await.unwrap();
            let (flow, _) = node.message().await;
            peers.push((peer, flow));
        }
        // An incoming one is closed at once.
        let mut third = TcpStream::connect(to).await.unwrap();
        let end = node.with(third.read(&mut [0; 1])).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        // An outgoing one fails.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        node.send_tcp(listener.local_addr().unwrap(), &options(3), 51);
        assert_eq!(node.failure().await, (51, TransportError::TooManyConnections));
        // Room is made by closing.
        let (peer, flow) = peers.pop().unwrap();
        node.send(Destination::Flow(flow), RESPONSE, 0);
        node.quiet(Duration::from_millis(20)).await;
        drop(peer);
        node.closed().await;
        node.send_tcp(listener.local_addr().unwrap(), &options(4), 52);
        node.with(listener.accept()).await.unwrap();
        assert_eq!(node.sockets.connections(), 2);
    }
}

#[tokio::test]
async fn another_peer_is_not_hindered_by_the_limit_of_one() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().connections_per_peer(1));
    let to = node.addr(Transport::Tcp);
    let mut peers = Vec::new();
    for ip in ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(ip.parse().unwrap()).unwrap();
        let mut peer = socket.connect(to).await.unwrap();
        peer.write_all(&options(1)).await.unwrap();
        assert_eq!(node.message().await.0.remote, peer.local_addr().unwrap());
        peers.push(peer);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_times_out() {
    let config = Config::default().connect_timeout(Duration::from_millis(50));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    // A listener whose backlog is full answers no SYN.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let remote = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), TcpStream::connect(remote)).await
    {
        fillers.push(stream);
    }
    node.send_tcp(remote, &options(1), 61);
    assert_eq!(node.failure().await, (61, TransportError::ConnectTimeout));
}

#[tokio::test]
async fn dropping_the_sockets_closes_everything() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(1)).await.unwrap();
    let (flow, _) = node.message().await;
    node.send(Destination::Flow(flow), RESPONSE, 0);
    let to = node.addr(Transport::Tcp);
    drop(node);
    let mut got = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, RESPONSE, "what was queued is offered once");
    assert!(TcpStream::connect(to).await.is_err());
}
