//! Who is registered is reached.

use sip_auth::Credentials;
use sip_message::{Method, StatusCode, Transport};
use sip_transport::ListenAddr;
use sip_ua::{Account, Call, CallEvent, EndReason, Incoming, UserAgent};

use crate::{SDP, at, builder, invitation, phone, registered, user, within};

/// A call that rings, is answered, and is hung up by who was called.
async fn converse(alice: &UserAgent, bob: &UserAgent) {
    let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
    let ringing = invitation(bob).await.ring().await.unwrap();
    let called = ringing.accept(SDP).await.unwrap();
    confirmed(&mut calling).await;
    called.hang_up();
    assert!(matches!(calling.ended().await, EndReason::Remote));
}

async fn confirmed(call: &mut Call) {
    loop {
        match call.next().await {
            Some(CallEvent::Answered { .. }) => return,
            Some(CallEvent::Ringing { .. } | CallEvent::Progress { .. }) => {}
            other => panic!("not answered: {other:?}"),
        }
    }
}

#[tokio::test]
async fn phones_that_register_call_each_other() {
    within(async {
        let server = builder().start().await.unwrap();
        for (one, other) in [(Transport::Udp, Transport::Udp), (Transport::Tcp, Transport::Udp)] {
            let (alice, of_alice) = registered(&server, "alice", one).await;
            let (bob, of_bob) = registered(&server, "bob", other).await;
            converse(&alice, &bob).await;
            converse(&alice, &bob).await;
            drop((of_alice, of_bob));
            alice.shutdown().await;
            bob.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_reaches_every_device_of_who_it_is_for() {
    within(async {
        let server = builder().start().await.unwrap();
        let alice = phone(&server, "alice", "alice's secret", Transport::Udp).await;
        let (desk, _of_desk) = registered(&server, "bob", Transport::Udp).await;
        let (mobile, _of_mobile) = registered(&server, "bob", Transport::Udp).await;
        let sent = tokio::spawn(async move { alice.message(user("bob"), "hello").send().await });
        for bob in [&desk, &mobile] {
            match bob.incoming().await {
                Some(Incoming::Request(request)) => {
                    assert_eq!(request.body(), b"hello");
                    request.reply(StatusCode::OK).await.unwrap();
                }
                other => panic!("no message: {other:?}"),
            }
        }
        assert_eq!(sent.await.unwrap().unwrap().status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn who_is_not_there_is_told_apart_from_who_does_not_exist() {
    within(async {
        let server = builder().start().await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        for (callee, owed) in [("carol", 480), ("mallory", 404)] {
            let answer = alice.message(user(callee), "hello").send().await.unwrap();
            assert_eq!(answer.status().as_u16(), owed, "{callee}");
        }
        let domain = "sip:example.com".parse().unwrap();
        let answer = alice.request(Method::Options, domain).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_connected_to_is_reached_over_its_own_connection() {
    within(async {
        let server = builder().start().await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        // Nobody can open a connection to bob: his is to the server.
        let loopback = std::net::Ipv4Addr::LOCALHOST.into();
        let account = Account::new(user("bob"))
            .credentials(Credentials::new("bob", "bob's secret"))
            .outbound("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1)
            .outbound_proxy(at(&server, Transport::Tcp));
        let bob = UserAgent::builder()
            .listen(ListenAddr::dial_only(Transport::Tcp, loopback))
            .account(account)
            .start()
            .await
            .unwrap();
        let of_bob = bob.register().await.unwrap();
        converse(&alice, &bob).await;
        of_bob.leave();
        bob.shutdown().await;
        // The binding that was left there is gone with the connection.
        loop {
            let answer = alice.message(user("bob"), "hello").send().await.unwrap();
            if answer.status() == StatusCode::TEMPORARILY_UNAVAILABLE {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}
