use sip_message::{RetryAfter, StatusCode};
use sip_ua::{AgentConfig, CallEvent, EndReason};

use crate::{SDP, builder, established, invitation, pair, ua, uri, within};

#[tokio::test]
async fn a_full_queue_answers_503_with_retry_after() {
    within(async {
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let bob = builder("bob", "udp:127.0.0.1:0").incoming_queue(1).start().await.unwrap();
        let mut first = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        while bob.live().await.unwrap().agent.calls == 0 {
            tokio::task::yield_now().await;
        }
        let mut second = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        match second.ended().await {
            EndReason::Rejected(response) => {
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(response.get::<RetryAfter<'_>>().unwrap().is_some());
            }
            other => panic!("{other:?}"),
        }
        let message = alice.message(uri(&bob), "and a message").send().await.unwrap();
        assert_eq!(message.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Who was in the queue is served when somebody comes.
        let _call = invitation(&bob).await.accept(SDP).await.unwrap();
        assert!(matches!(first.next().await, Some(CallEvent::Answered { .. })));
    })
    .await;
}

#[tokio::test]
async fn as_many_calls_as_the_configuration_allows() {
    within(async {
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let config = AgentConfig::default().max_calls(1);
        let bob = builder("bob", "udp:127.0.0.1:0").config(config).start().await.unwrap();
        let (_calling, _called) = established(&alice, &bob).await;
        let mut refused = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let reason = refused.ended().await;
        assert_eq!(reason.status(), Some(StatusCode::SERVICE_UNAVAILABLE), "{reason:?}");
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_that_overflows_keeps_the_answer_and_the_end() {
    within(async {
        let (alice, bob) = pair().await;
        let mut deaf = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let mut ringing = invitation(&bob).await;
        const SENT: u32 = 100;
        for _ in 0..SENT {
            ringing = ringing.ring().await.unwrap();
        }
        let mut called = ringing.accept(SDP).await.unwrap();
        assert!(
            matches!(called.next().await, Some(CallEvent::Confirmed { .. })),
            "without the deaf one's help"
        );
        called.hang_up();
        called.ended().await;
        while deaf.end_reason().is_none() {
            tokio::task::yield_now().await;
        }
        let (mut ringing, mut answered) = (0, 0);
        let reason = loop {
            match deaf.next().await.unwrap() {
                CallEvent::Ringing { .. } => ringing += 1,
                CallEvent::Answered { .. } => answered += 1,
                CallEvent::Ended(reason) => break reason,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(reason, EndReason::Remote), "{reason:?}");
        assert_eq!((ringing, answered, deaf.missed()), (64, 1, SENT - 64));
    })
    .await;
}

#[tokio::test]
async fn a_slow_task_holds_up_nobody_else() {
    within(async {
        let (alice, bob) = pair().await;
        let (_deaf, _mute) = established(&alice, &bob).await; // nobody ever reads these again
        for _ in 0..20 {
            let (mut calling, called) = established(&alice, &bob).await;
            drop(called);
            assert!(matches!(calling.ended().await, EndReason::Remote));
        }
    })
    .await;
}
