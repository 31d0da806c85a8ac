use std::time::Duration;

use sip_message::{Limits, Transport};
use std::net::{Ipv4Addr, SocketAddr};

use sip_transport::{Config, Destination, Entry, Input, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::node::{Node, PATIENCE, RESPONSE, options, request};

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

#[tokio::test]
async fn who_does_not_read_what_waits_for_it_is_closed() {
    let config = Config::default().stall_timeout(Duration::from_millis(300));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config.write_queue_bytes(16 << 20));
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.write_all(&options(0)).await.unwrap();
    let (flow, _) = node.message().await;
    // More than the system's buffers take.
    let big = request(1, &"x".repeat(60_000));
    for _ in 0..200 {
        node.send(Destination::Flow(flow), &big, 0);
    }
    // That it goes on asking does not help.
    let asking = tokio::spawn(async move {
        let mut number = 1;
        while peer.write_all(&options(number)).await.is_ok() {
            number += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let error = loop {
        match node.next().await {
            Input::Message { .. } => {}
            Input::Closed { error, .. } => break error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(error, Some(TransportError::Stalled));
    asking.await.unwrap();
}

/// A peer that asked for something and was answered.
async fn known(node: &mut Node) -> (TcpStream, SocketAddr) {
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    asks(node, &mut peer).await;
    let addr = peer.local_addr().unwrap();
    (peer, addr)
}

async fn asks(node: &mut Node, peer: &mut TcpStream) {
    peer.write_all(&options(1)).await.unwrap();
    let (flow, _) = node.message().await;
    node.send(Destination::Flow(flow), RESPONSE, 0);
    node.with(peer.read_exact(&mut vec![0; RESPONSE.len()])).await.unwrap();
}

async fn spared(node: &mut Node) -> SocketAddr {
    match node.next().await {
        Input::Closed { flow, error: Some(TransportError::Idle) } => flow.remote,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_one_that_never_said_anything() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().connections(3));
    let (mut first, _) = known(&mut node).await;
    let to = node.addr(Transport::Tcp);
    let (silent, later) =
        (TcpStream::connect(to).await.unwrap(), TcpStream::connect(to).await.unwrap());
    node.quiet(Duration::from_millis(1100)).await;
    assert_eq!(node.sockets.connections(), 3);
    let mut newcomer = TcpStream::connect(to).await.unwrap();
    assert_eq!(spared(&mut node).await, silent.local_addr().unwrap(), "the oldest of those");
    asks(&mut node, &mut newcomer).await;
    // Who was in the middle of something, and who is known, go on.
    asks(&mut node, &mut first).await;
    assert_eq!(node.sockets.connections(), 3);
    assert_eq!(node.sockets.stats().spared_connections, 1);
    drop(later);
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_the_one_that_was_idle_the_longest() {
    let spare_after = Duration::from_millis(200);
    let config = Config::default().connections(3).spare_after(spare_after);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let (mut first, _) = known(&mut node).await;
    let (mut second, second_addr) = known(&mut node).await;
    // Something is owed on this one, however long it takes.
    let mut owed = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    owed.write_all(&options(9)).await.unwrap();
    node.message().await;
    // Nobody has been idle for long enough.
    let mut refused = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    assert!(matches!(node.with(refused.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    assert_eq!(node.sockets.stats().refused_connections, 1);

    node.quiet(2 * spare_after).await;
    asks(&mut node, &mut first).await;
    let mut third = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    assert_eq!(spared(&mut node).await, second_addr);
    asks(&mut node, &mut third).await;
    assert_eq!(node.with(second.read(&mut [0; 1])).await.unwrap(), 0);
    // A connection of ours takes a place as well.
    node.quiet(2 * spare_after).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    node.send_tcp(listener.local_addr().unwrap(), &options(4), 71);
    assert_eq!(spared(&mut node).await, first.local_addr().unwrap());
    node.with(listener.accept()).await.unwrap();
    assert_eq!(node.sockets.connections(), 3);
    drop(owed);
}

#[tokio::test]
async fn datagrams_over_the_ration_of_their_source_are_dropped_and_others_are_not() {
    let config = Config::default().source_rate(10).bad_message_weight(5);
    let mut node = Node::bind(&["udp:127.0.0.1:0"], config);
    let to = node.addr(Transport::Udp);
    let flooder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for number in 0..100 {
        flooder.send_to(&options(number), to).await.unwrap();
    }
    let mut from_flooder = 0;
    while from_flooder + node.sockets.stats().refused_over_rate < 100 {
        if timeout(Duration::from_millis(10), node.wait()).await.is_ok() {
            from_flooder += 1;
        }
    }
    assert!((10..=30).contains(&from_flooder), "{from_flooder}");
    // By TCP it comes in no more than by UDP.
    let mut refused = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    assert!(matches!(node.with(refused.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    // Another address has a ration of its own, which bad messages use up sooner.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    for number in 0..2 {
        other.send_to(&options(number), to).await.unwrap();
        while node.message().await.0.remote != other.local_addr().unwrap() {}
        node.sockets.blame(other.local_addr().unwrap().ip());
    }
    let before = node.sockets.stats().refused_over_rate;
    other.send_to(&options(3), to).await.unwrap();
    node.quiet(Duration::from_millis(20)).await;
    assert_eq!(node.sockets.stats().refused_over_rate, before + 1);
}

#[tokio::test]
async fn the_gate_decides_before_anything_is_looked_at() {
    let mut node = Node::bind(&["udp:127.0.0.1:0"], Config::default().source_rate(1));
    node.sockets.set_gate(|_, _: SocketAddr, remote: SocketAddr| match remote.ip().to_string() {
        ip if ip == "127.0.0.2" => Entry::Refused,
        ip if ip == "127.0.0.3" => Entry::Trusted,
        _ => Entry::Rationed,
    });
    let to = node.addr(Transport::Udp);
    let refused = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    refused.send_to(&options(1), to).await.unwrap();
    let trusted = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    for number in 0..10 {
        trusted.send_to(&options(number), to).await.unwrap();
    }
    for number in 0..10 {
        assert_eq!(node.message().await.1, options(number));
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    assert!(matches!(node.with(stream.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    assert_eq!(node.sockets.stats().refused_by_gate, 2);
}

/// A connection from that address, known to the node.
async fn from(node: &mut Node, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let addr = node.addr(Transport::Tcp);
    let mut peer = node.with(socket.connect(addr)).await.unwrap();
    peer.write_all(&options(0)).await.unwrap();
    node.message().await;
    peer
}

#[tokio::test]
async fn nobody_waits_behind_all_that_another_sends_over_streams() {
    let config = Config::default().inbound_per_peer(8);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let (mut one, mut other) = (from(&mut node, 3).await, from(&mut node, 3).await);
    let mut honest = from(&mut node, 2).await;
    let flood = options(1).repeat(100);
    one.write_all(&flood).await.unwrap();
    other.write_all(&flood).await.unwrap();
    // The tasks of the connections read, and the node does not take it in.
    tokio::time::sleep(Duration::from_millis(50)).await;
    honest.write_all(&options(2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut order = Vec::new();
    for _ in 0..201 {
        order.push(node.message().await.0.remote);
    }
    let of = |peer: &TcpStream| peer.local_addr().unwrap();
    let place = order.iter().position(|remote| *remote == of(&honest)).unwrap();
    assert!(place <= 8, "behind {place} of another");
    // Those of one address take turns.
    let half = order.iter().take(100).filter(|remote| **remote == of(&one)).count();
    assert!((30..=70).contains(&half), "{half} of the first 100 are of one of two");
}

#[tokio::test]
async fn a_stream_over_the_ration_of_its_source_is_read_later_and_whole() {
    // The connection and its first message are two of the hundred.
    let config = Config::default().source_rate(100).inbound_per_peer(1);
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    let mut hasty = from(&mut node, 3).await;
    let begun = Instant::now();
    hasty.write_all(&options(1).repeat(150)).await.unwrap();
    for _ in 0..90 {
        node.message().await;
    }
    let mut honest = from(&mut node, 2).await;
    for _ in 90..150 {
        node.message().await;
    }
    // Fifty too many, but for what leaked and a message that was under way.
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    assert!(node.sockets.stats().paused_over_rate >= 20, "{:?}", node.sockets.stats());
    honest.write_all(&options(2)).await.unwrap();
    assert_eq!(node.message().await.1, options(2), "another is within its ration");
}

#[tokio::test]
async fn who_is_trusted_is_not_held_up_on_a_stream() {
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default().source_rate(1));
    node.sockets.set_gate(|_, _, _| Entry::Trusted);
    let mut trunk = from(&mut node, 3).await;
    trunk.write_all(&options(1).repeat(100)).await.unwrap();
    for _ in 0..100 {
        node.message().await;
    }
    assert_eq!(node.sockets.stats().paused_over_rate, 0);
}
