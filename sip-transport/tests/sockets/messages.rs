use std::time::Duration;

use sip_message::Transport;
use sip_transport::{Config, Destination, Input};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::node::{Node, RESPONSE, options, request};

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
    assert!(matches!(node.next().await, Input::Pong { .. }));
    let more = node.with(timeout(Duration::from_millis(50), peer.read_u8())).await;
    assert!(more.is_err(), "{more:?}");
}
