//! How a server ends.

use std::time::Duration;

use sip_message::{StatusCode, Transport};
use sip_ua::{CallEvent, EndReason};

use crate::{SDP, builder, invitation, registered, user, within};

#[tokio::test]
async fn what_is_new_is_refused_and_what_is_under_way_goes_on() {
    within(async {
        let server = builder().start().await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        let (bob, _of_bob) = registered(&server, "bob", Transport::Udp).await;
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        let ringing = invitation(&bob).await.ring().await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Ringing { .. })));

        server.drain().await;
        let mut another = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        match another.ended().await {
            EndReason::Rejected(response) => {
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(response.headers().contains(sip_message::HeaderName::RetryAfter));
            }
            other => panic!("{other:?}"),
        }
        assert!(server.live().await.contexts > 0);

        let mut called = ringing.accept(SDP).await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Answered { .. })));
        assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));
        called.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Remote));
        let begun = tokio::time::Instant::now();
        assert!(server.shutdown(Duration::from_secs(15)).await.is_idle());
        // Transactions that only absorb what comes late, 32 s long, are not waited for.
        assert!(begun.elapsed() < Duration::from_secs(15));
    })
    .await;
}

#[tokio::test]
async fn a_server_at_rest_ends_at_once() {
    within(async {
        let server = builder().start().await.unwrap();
        assert!(server.shutdown(Duration::from_secs(5)).await.is_idle());
    })
    .await;
}
