//! Two servers that share their registrations by a Redis: who is registered at one is reached through the other.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use sip_auth::{Authenticator, Credentials};
use sip_message::{HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport};
use sip_proxy::edge::{EdgeKey, EdgeKeys};
use sip_proxy::location::{Redis, RedisConfig, Store};
use sip_proxy::{Aor, Server};
use sip_ua::{Account, CallEvent, EndReason, Incoming, Registration, UserAgent};

use crate::redis_server::Server as RedisServer;
use crate::{SDP, at, builder, invitation, registered, user, within};

const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

async fn node(redis: &RedisServer, name: &str) -> (Server, Arc<Redis>) {
    let keys = EdgeKeys::new(EdgeKey::new(&[7; 32]).unwrap());
    let config = RedisConfig::default().node(&format!("{name}/1"));
    let store = Arc::new(Redis::open(&redis.url(), config, [1, 2]).unwrap());
    store.connected().await;
    let builder = builder().node(name, keys);
    (builder.start_with_store(Arc::clone(&store)).await.unwrap(), store)
}

/// Bob's phone, which takes no connections: it is reached by the one that it has made, and by nothing else.
async fn bob_at(server: &Server) -> (UserAgent, Registration) {
    let account = Account::new(user("bob"))
        .credentials(Credentials::new("bob", "bob's secret"))
        .outbound(INSTANCE, 1)
        .outbound_proxy(at(server, Transport::Tcp));
    let builder = UserAgent::builder().listen("tcp:127.0.0.1:0".parse().unwrap());
    let phone = builder.account(account).start().await.unwrap();
    let registration = phone.register().await.unwrap();
    (phone, registration)
}

#[tokio::test]
async fn who_is_registered_at_one_node_is_called_through_another() {
    within(async {
        let redis = RedisServer::start();
        let ((a, _), (b, _)) = (node(&redis, "a").await, node(&redis, "b").await);
        let (bob, _of_bob) = bob_at(&a).await;
        let (alice, _of_alice) = registered(&b, "alice", Transport::Udp).await;
        for hangs_up in ["alice", "bob"] {
            let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
            let invitation = invitation(&bob).await;
            let request = invitation.request();
            assert!(!request.headers().contains(HeaderName::Route), "bob is told of no node");
            let mut called = invitation.accept(SDP).await.unwrap();
            assert!(matches!(calling.next().await, Some(CallEvent::Answered { .. })));
            assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));
            let ended = if hangs_up == "alice" {
                calling.hang_up();
                called.ended().await
            } else {
                called.hang_up();
                calling.ended().await
            };
            assert!(matches!(ended, EndReason::Remote), "{ended:?}");
        }
        let sent = tokio::spawn(async move { alice.message(user("bob"), "hello").send().await });
        match bob.incoming().await {
            Some(Incoming::Request(request)) => request.reply(StatusCode::OK).await.unwrap(),
            other => panic!("not a message: {other:?}"),
        }
        assert_eq!(sent.await.unwrap().unwrap().status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn only_a_node_lets_others_in() {
    within(async {
        let redis = RedisServer::start();
        let (a, store) = node(&redis, "a").await;
        let (bob, _of_bob) = bob_at(&a).await;
        let located = store.load(&Aor::of(&user("bob")).unwrap()).await.unwrap();
        let path = located.bindings[0].path()[0].to_string();
        for (number, vouched) in ["", ";vouched", ";vouched=", ";vouched=AAAAAAAAAAAAAAAA"].iter().enumerate() {
            for from in ["sip:alice@example.com", "sip:eve@192.0.2.66"] {
                let call = format!("{number}-{}", from.len());
                let text = format!(
                    "MESSAGE {} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{call}\r\n\
                     Route: <{path}{vouched}>\r\nMax-Forwards: 70\r\nFrom: <{from}>;tag=1\r\n\
                     To: <sip:bob@example.com>\r\nCall-ID: {call}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
                    located.bindings[0].uri().unwrap()
                );
                let answer = exchange(&a, &text).await;
                let status = match from.contains("example.com") {
                    true => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                    false => StatusCode::FORBIDDEN,
                };
                assert_eq!(answer.status(), status, "{text}");
            }
        }
        drop(bob);
    })
    .await;
}

#[tokio::test]
async fn a_challenge_of_one_node_may_be_answered_to_another_but_not_twice() {
    within(async {
        let redis = RedisServer::start();
        let ((a, _), (b, _)) = (node(&redis, "a").await, node(&redis, "b").await);
        let (mut client, bob) =
            (Authenticator::default(), [Credentials::new("bob", "bob's secret")]);
        let challenge = exchange(&a, &register(1, "")).await;
        assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
        let mut answer = request(&register(2, ""));
        client.challenged(&challenge, &bob).unwrap();
        client.authorize(&mut answer, &bob, || 7);
        let authorization = answer.headers().raw(HeaderName::Authorization).unwrap();
        let authorization = String::from_utf8(authorization.to_vec()).unwrap();
        let line = format!("Authorization: {authorization}\r\n");
        assert_eq!(exchange(&b, &register(2, &line)).await.status(), StatusCode::OK);
        let repeated = exchange(&b, &register(3, &line)).await;
        assert_eq!(repeated.status(), StatusCode::UNAUTHORIZED);
        // Started anew, it cannot know what was used before.
        let (c, _) = node(&redis, "b").await;
        assert_eq!(exchange(&c, &register(4, &line)).await.status(), StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_ends_says_goodbye_first() {
    within(async {
        let redis = RedisServer::start();
        let ((a, _), (b, seen_by_b)) = (node(&redis, "a").await, node(&redis, "b").await);
        let (bob, _of_bob) = bob_at(&a).await;
        let (alice, _of_alice) = registered(&b, "alice", Transport::Udp).await;
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        let ringing = invitation(&bob).await.ring().await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Ringing { .. })));

        a.drain().await;
        while seen_by_b.is_alive("a/1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = alice.request(Method::Options, user("bob")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARILY_UNAVAILABLE);
        // What is under way goes on.
        let mut called = ringing.accept(SDP).await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Answered { .. })));
        assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));
        called.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Remote));
        assert!(a.shutdown(Duration::from_secs(10)).await.is_idle());
    })
    .await;
}

fn register(cseq: u32, authorization: &str) -> String {
    format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: 1\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:bob@127.0.0.1>\r\n{authorization}Content-Length: 0\r\n\r\n"
    )
}

fn request(text: &str) -> Request {
    let message = Message::parse(text.as_bytes().to_vec().into(), &Limits::default());
    message.unwrap().into_request().unwrap()
}

/// The final answer to a request by UDP.
async fn exchange(server: &Server, text: &str) -> Response {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let to = server.locals().first(Transport::Udp).unwrap().addr;
    socket.send_to(text.as_bytes(), to).await.unwrap();
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).await.unwrap();
        let message = Message::parse(bytes[..length].to_vec().into(), &Limits::default());
        let response = message.unwrap().into_response().unwrap();
        if response.status().is_final() {
            return response;
        }
    }
}
