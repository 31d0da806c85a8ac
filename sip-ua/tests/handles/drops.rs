use sip_message::{Method, StatusCode};
use sip_ua::{Body, CallEvent, EndReason, Incoming, RequestError, RequestFailure};

use crate::{CHANGED, SDP, at_rest, established, invitation, pair, uri, within};

#[tokio::test]
async fn a_dropped_call_hangs_up() {
    within(async {
        let (alice, bob) = pair().await;
        let (calling, mut called) = established(&alice, &bob).await;
        drop(calling);
        assert!(matches!(called.ended().await, EndReason::Remote));
        let (mut calling, called) = established(&alice, &bob).await;
        drop(called);
        assert!(matches!(calling.ended().await, EndReason::Remote));
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_call_that_rings_is_cancelled() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let mut ringing = invitation(&bob).await.ring().await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Ringing { .. })));
        drop(calling);
        assert!(matches!(ringing.ended().await, EndReason::CancelledByPeer));
        at_rest(&alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_invitation_refuses() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        drop(invitation(&bob).await.ring().await.unwrap());
        let reason = calling.ended().await;
        assert_eq!(reason.status(), Some(StatusCode::TEMPORARILY_UNAVAILABLE), "{reason:?}");
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_modification_refuses_and_the_call_goes_on() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, mut called) = established(&alice, &bob).await;
        let (refused, ()) = tokio::join!(called.reinvite(CHANGED), async {
            match calling.next().await {
                Some(CallEvent::Modification(modification)) => drop(modification),
                other => panic!("{other:?}"),
            }
        });
        match refused {
            Err(RequestError::Failed(RequestFailure::Refused(response))) => {
                assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE_HERE);
            }
            other => panic!("{other:?}"),
        }
        calling.hang_up();
        assert!(matches!(called.ended().await, EndReason::Remote));
    })
    .await;
}

#[tokio::test]
async fn a_dropped_request_is_refused() {
    within(async {
        let (alice, bob) = pair().await;
        let (calling, mut called) = established(&alice, &bob).await;
        let (within_call, ()) = tokio::join!(calling.message("anyone?"), async {
            match called.next().await {
                Some(CallEvent::Request(request)) => drop(request),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(within_call.unwrap().status(), StatusCode::TEMPORARILY_UNAVAILABLE);
        let (outside, ()) = tokio::join!(alice.message(uri(&bob), "anyone?").send(), async {
            match bob.incoming().await {
                Some(Incoming::Request(request)) => drop(request),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(outside.unwrap().status(), StatusCode::TEMPORARILY_UNAVAILABLE);
    })
    .await;
}

#[tokio::test]
async fn requests_left_unread_in_a_dropped_call_are_refused() {
    within(async {
        let (alice, bob) = pair().await;
        let (calling, called) = established(&alice, &bob).await;
        let (answer, ()) =
            tokio::join!(calling.send(Method::Info, Some(Body::text("1")), &[]), async {
                while bob.live().await.unwrap().agent.owed_replies == 0 {
                    tokio::task::yield_now().await;
                }
                drop(called);
            });
        // The BYE may overtake the refusal: either way there is an end to it, and soon.
        match answer {
            Ok(response) => assert!(response.status().is_final()),
            Err(RequestError::Ended(EndReason::Remote)) => {}
            Err(other) => panic!("{other:?}"),
        }
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn calls_outlive_the_user_agents_handle() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, called) = established(&alice, &bob).await;
        drop((alice, bob));
        assert_eq!(
            tokio::join!(calling.message("still there?"), async {
                let mut called = called;
                match called.next().await {
                    Some(CallEvent::Request(request)) => {
                        request.reply(StatusCode::OK).await.unwrap()
                    }
                    other => panic!("{other:?}"),
                }
                called.hang_up();
                called.ended().await;
            })
            .0
            .unwrap()
            .status(),
            StatusCode::OK
        );
        assert!(matches!(calling.ended().await, EndReason::Remote));
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_refused_when_the_last_user_agent_handle_goes() {
    within(async {
        let (alice, bob) = pair().await;
        let mut waiting = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        while bob.live().await.unwrap().agent.calls == 0 {
            tokio::task::yield_now().await;
        }
        drop(bob);
        let reason = waiting.ended().await;
        assert_eq!(reason.status(), Some(StatusCode::TEMPORARILY_UNAVAILABLE), "{reason:?}");
    })
    .await;
}

#[tokio::test]
async fn shutdown_ends_everything_in_order() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, mut called) = established(&alice, &bob).await;
        let mut ringing = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let mut rung = invitation(&bob).await.ring().await.unwrap();
        assert!(matches!(ringing.next().await, Some(CallEvent::Ringing { .. })));
        assert!(alice.shutdown().await, "the other end answers, so it is in time");
        assert!(matches!(calling.ended().await, EndReason::Local));
        assert!(matches!(called.ended().await, EndReason::Remote));
        assert!(matches!(ringing.ended().await, EndReason::Cancelled));
        assert!(matches!(rung.ended().await, EndReason::CancelledByPeer));
        assert!(alice.incoming().await.is_none());
        assert!(alice.live().await.is_err());
        assert!(alice.call(uri(&bob)).start().await.is_err());
        assert!(alice.shutdown().await, "again it is nothing to do");
        at_rest(&bob).await;
    })
    .await;
}
