use sip_message::{RetryAfter, StatusCode, Uri};
use sip_ua::{CallError, EndReason};

use crate::{SDP, at_rest, invitation, pair, uri, within};

#[tokio::test]
async fn a_refused_call_ends_with_the_response() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let ringing = invitation(&bob).await.ring().await.unwrap();
        ringing.reject_with(StatusCode::BUSY_HERE, &[("Retry-After", "60")]).await.unwrap();
        match calling.ended().await {
            EndReason::Rejected(response) => {
                assert_eq!(response.status(), StatusCode::BUSY_HERE);
                assert!(response.get::<RetryAfter<'_>>().unwrap().is_some());
            }
            other => panic!("{other:?}"),
        }
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_redirected_call_tells_where_to() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let elsewhere: [Uri<'static>; 2] =
            ["sip:bob@192.0.2.1;transport=tcp", "sip:voicemail@192.0.2.2"]
                .map(|uri| uri.parse().unwrap());
        invitation(&bob).await.redirect(&elsewhere).await.unwrap();
        match calling.ended().await {
            EndReason::Redirected(contacts) => assert_eq!(contacts[..], elsewhere[..]),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_at_once() {
    within(async {
        let (alice, bob) = pair().await;
        let placed = alice.call(uri(&bob)).header("Subject", "two\r\nlines").start().await;
        assert!(matches!(placed, Err(CallError::Refused(_))), "{placed:?}");
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_sent_does_not_leave_the_caller_waiting() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let accepted =
            invitation(&bob).await.accept_with(None, &[("Subject", "two\r\nlines")]).await;
        let mut called = accepted.unwrap();
        assert!(matches!(called.ended().await, EndReason::Local | EndReason::Failed));
        assert!(calling.ended().await.status().is_some());
        at_rest(&bob).await;
    })
    .await;
}
