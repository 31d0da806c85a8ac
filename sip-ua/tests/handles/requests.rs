use sip_message::{Allow, StatusCode};
use sip_ua::{Body, Incoming, RequestError};

use crate::{pair, ua, uri, within};

#[tokio::test]
async fn options_are_answered_without_the_application() {
    within(async {
        for listen in ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"] {
            let (alice, bob) = (ua("alice", listen).await, ua("bob", listen).await);
            let response = alice.options(uri(&bob)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.get::<Allow<'_>>().unwrap().is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_reaches_the_application_and_its_reply_comes_back() {
    within(async {
        let (alice, bob) = pair().await;
        let (response, ()) = tokio::join!(
            alice.message(uri(&bob), "hello").header("Subject", "greetings").send(),
            async {
                let Some(Incoming::Request(request)) = bob.incoming().await else { panic!() };
                assert_eq!((request.method().as_str(), request.body()), ("MESSAGE", &b"hello"[..]));
                let body = Some(Body::text("not now"));
                request
                    .reply_with(StatusCode::BUSY_HERE, body, &[("X-Mood", "good")])
                    .await
                    .unwrap();
            }
        );
        let response = response.unwrap();
        assert_eq!((response.status(), response.body()), (StatusCode::BUSY_HERE, &b"not now"[..]));
        assert!(response.to_bytes().windows(12).any(|bytes| bytes == b"X-Mood: good"));
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_sender_lost_interest_does_no_harm() {
    within(async {
        let (alice, bob) = pair().await;
        let asked = tokio::spawn({
            let message = alice.message(uri(&bob), "hello");
            async move { message.send().await }
        });
        let Some(Incoming::Request(request)) = bob.incoming().await else { panic!() };
        asked.abort();
        request.reply(StatusCode::OK).await.unwrap();
        let response = alice.options(uri(&bob)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn nobody_there_is_a_failure_of_the_transport() {
    within(async {
        let alice = ua("alice", "tcp:127.0.0.1:0").await;
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let to = format!("sip:nobody@{gone};transport=tcp").parse().unwrap();
        let outcome = alice.options(to).send().await;
        assert!(matches!(outcome, Err(RequestError::Failed(_))), "{outcome:?}");
    })
    .await;
}
