use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;
use sip_transport::{Config, Destination, Input, Target, Transmit, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::node::{Node, PATIENCE, RESPONSE, options};

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
    node.sockets.send(Transmit { destination, fallback: None, payload, token: 41, domain: None });
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
    node.sockets.send(Transmit {
        destination,
        fallback,
        payload: payload.clone(),
        token: 31,
        domain: None,
    });
    let (mut peer, _) = node.with(listener.accept()).await.unwrap();
    let mut buffer = vec![0; RESPONSE.len()];
    node.with(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, RESPONSE);

    assert_eq!(node.closed().await, (flow.connection.unwrap(), Some(TransportError::Closed)));
    node.sockets.send(Transmit { destination, fallback: None, payload, token: 32, domain: None });
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

/// What leads nowhere any more is not used: what waits for an answer fails first, then the addresses are told, by
/// which new connections are opened, and at last which connections are gone.
#[tokio::test]
async fn a_change_of_networks_drops_all_connections() {
    let mut node = Node::bind(&["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], Config::default());
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = server.local_addr().unwrap();
    node.send_tcp(remote, &options(1), 7);
    let (mut peer, _) = node.with(server.accept()).await.unwrap();
    let mut buffer = [0; 2000];
    node.with(peer.read(&mut buffer)).await.unwrap();
    peer.write_all(&options(2)).await.unwrap();
    let (flow, _) = node.message().await;
    let udp = node.addr(Transport::Udp);

    node.sockets.rebind();
    assert_eq!(node.failure().await, (7, TransportError::Closed));
    match node.next().await {
        Input::Rebound { locals, lost } => {
            assert_eq!(&locals, node.sockets.locals());
            assert_eq!(lost, []);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node.closed().await, (flow.connection.unwrap(), Some(TransportError::Closed)));
    assert_eq!(node.sockets.connections(), 0);

    // The far end goes on over a new connection, and datagrams come as before.
    node.send_tcp(remote, &options(3), 8);
    let (mut peer, _) = node.with(server.accept()).await.unwrap();
    let len = node.with(peer.read(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..len], options(3));
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(&options(4), udp).await.unwrap();
    assert_eq!(node.message().await.1, options(4));
}
