use std::time::Duration;

use sip_message::{Response, StatusCode};
use sip_ua::{
    AgentError, Call, CallError, CallEvent, EndReason, LiveCounts, RequestError, UserAgent,
};

use crate::{CHANGED, SDP, at_rest, builder, established, invitation, pair, ua, uri, within};

/// Ring, early media, answer, hold from both sides, a message from both sides, hang up.
async fn conversation(listen: &str) {
    converse(ua("alice", listen).await, ua("bob", listen).await).await;
}

pub(crate) async fn converse(alice: UserAgent, bob: UserAgent) -> [UserAgent; 2] {
    let mut calling =
        alice.call(uri(&bob)).offer(SDP).header("Subject", "lunch").start().await.unwrap();

    let ringing = invitation(&bob).await;
    assert_eq!(ringing.offer(), SDP.as_bytes());
    let from = ringing.from().unwrap().unwrap();
    assert_eq!(from.uri().user(), Some("alice"));
    let ringing = ringing.ring().await.unwrap();
    assert!(matches!(calling.next().await, Some(CallEvent::Ringing { .. })));
    let ringing = ringing.progress(SDP).await.unwrap();
    match calling.next().await {
        Some(CallEvent::Progress { response, .. }) => {
            assert_eq!(response.status(), StatusCode::SESSION_PROGRESS);
            assert_eq!(response.body(), SDP.as_bytes());
        }
        other => panic!("{other:?}"),
    }
    let mut called = ringing.accept(SDP).await.unwrap();
    // The answer came early and for certain: the 200 does not repeat it.
    match calling.next().await {
        Some(CallEvent::Answered { response, answer_owed: false }) => {
            assert_eq!(response.body(), b"");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(called.next().await, Some(CallEvent::Acknowledged { prack: None })));
    assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));

    for (one, other) in [(&mut calling, &mut called)] {
        change(one, other, "a=sendonly\r\n").await;
        change(other, one, "a=sendrecv\r\n").await;
        message(one, other).await;
        message(other, one).await;
    }

    calling.hang_up();
    assert!(matches!(calling.ended().await, EndReason::Local));
    assert!(calling.next().await.is_none(), "the end is the last event");
    assert!(matches!(called.ended().await, EndReason::Remote));
    at_rest(&alice).await;
    at_rest(&bob).await;
    [alice, bob]
}

async fn change(one: &mut Call, other: &mut Call, sdp: &'static str) {
    let (response, ()) = tokio::join!(reinvite(one, sdp), async {
        match other.next().await {
            Some(CallEvent::Modification(modification)) => {
                assert_eq!(modification.offer(), sdp.as_bytes());
                modification.accept("a=recvonly\r\n").await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(response.body(), b"a=recvonly\r\n");
}

/// Busy means that the ACK to the change before this one is still on its way.
async fn reinvite(call: &Call, sdp: &'static str) -> Response {
    loop {
        match call.reinvite(sdp).await {
            Err(RequestError::Refused(AgentError::Busy)) => tokio::task::yield_now().await,
            outcome => return outcome.unwrap(),
        }
    }
}

async fn message(one: &mut Call, other: &mut sip_ua::Call) {
    let (response, ()) = tokio::join!(async { one.message("hello").await.unwrap() }, async {
        match other.next().await {
            Some(CallEvent::Request(request)) => {
                assert_eq!((request.method().as_str(), request.body()), ("MESSAGE", &b"hello"[..]));
                request.reply(StatusCode::ACCEPTED).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(response.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn over_udp() {
    within(conversation("udp:127.0.0.1:0")).await;
}

#[tokio::test]
async fn over_tcp() {
    within(conversation("tcp:127.0.0.1:0")).await;
}

#[tokio::test]
async fn over_udp_and_ipv6() {
    within(conversation("udp:[::1]:0")).await;
}

#[tokio::test]
async fn over_tcp_and_ipv6() {
    within(conversation("tcp:[::1]:0")).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_call_after_64_t1() {
    within(async {
        let ms = Duration::from_millis;
        let config = sip_transaction::Config::default().t1(ms(10)).t4(ms(20));
        for listen in ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"] {
            let start = |name| builder(name, listen).transactions(config.clone()).start();
            let pair = converse(start("alice").await.unwrap(), start("bob").await.unwrap()).await;
            for ua in pair {
                while ua.live().await.unwrap() != LiveCounts::default() {
                    tokio::time::sleep(ms(10)).await;
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads() {
    within(conversation("udp:127.0.0.1:0")).await;
}

#[tokio::test]
async fn the_callee_hangs_up() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, mut called) = established(&alice, &bob).await;
        called.hang_up();
        assert!(matches!(called.ended().await, EndReason::Local));
        assert!(matches!(calling.ended().await, EndReason::Remote));
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_cancels() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let mut ringing = invitation(&bob).await.ring().await.unwrap();
        assert!(matches!(calling.next().await, Some(CallEvent::Ringing { .. })));
        calling.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Cancelled));
        assert!(matches!(ringing.ended().await, EndReason::CancelledByPeer));
        let late = ringing.accept(SDP).await;
        assert!(matches!(late, Err(CallError::Ended(EndReason::CancelledByPeer))), "{late:?}");
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_over_says_why() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, called) = established(&alice, &bob).await;
        called.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Remote));
        assert!(matches!(calling.ended().await, EndReason::Remote), "and says it again");
        assert!(matches!(calling.end_reason(), Some(EndReason::Remote)));
        let late = calling.reinvite(SDP).await;
        assert!(matches!(late, Err(RequestError::Ended(EndReason::Remote))), "{late:?}");
        let late = calling.message("too late").await;
        assert!(matches!(late, Err(RequestError::Ended(EndReason::Remote))), "{late:?}");
        calling.hang_up(); // means nothing any more
    })
    .await;
}

#[tokio::test]
async fn another_task_may_act_on_a_call() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut calling, _called) = established(&alice, &bob).await;
        let control = calling.control();
        let other = tokio::spawn(async move { control.hang_up() });
        assert!(matches!(calling.ended().await, EndReason::Local));
        other.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_callee_offers_and_the_caller_answers() {
    within(async {
        let (alice, bob) = pair().await;
        let mut calling = alice.call(uri(&bob)).start().await.unwrap();
        let early = calling.answer(SDP).await.unwrap_err();
        assert!(matches!(early, CallError::Refused(AgentError::NoOffer)), "{early:?}");
        let mut called = invitation(&bob).await.accept(SDP).await.unwrap();
        match calling.next().await {
            Some(CallEvent::Answered { response, answer_owed: true }) => {
                assert_eq!(response.body(), SDP.as_bytes());
            }
            other => panic!("{other:?}"),
        }
        calling.answer("v=0\r\ns=answer\r\n").await.unwrap();
        match called.next().await {
            Some(CallEvent::Confirmed { ack: Some(ack) }) => {
                assert_eq!(ack.body(), b"v=0\r\ns=answer\r\n");
            }
            other => panic!("{other:?}"),
        }
        let twice = calling.answer(SDP).await.unwrap_err();
        assert!(matches!(twice, CallError::Refused(AgentError::NoOffer)), "{twice:?}");

        let (offer, ()) = tokio::join!(calling.reinvite(""), async {
            match called.next().await {
                Some(CallEvent::Modification(modification)) => {
                    assert_eq!(modification.offer(), b"");
                    modification.accept(SDP).await.unwrap();
                }
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(offer.unwrap().body(), SDP.as_bytes());
        calling.answer("v=0\r\ns=again\r\n").await.unwrap();

        calling.hang_up();
        assert!(matches!(called.ended().await, EndReason::Remote));
        calling.ended().await;
        let late = calling.answer(SDP).await.unwrap_err();
        assert!(matches!(late, CallError::Ended(EndReason::Local)), "{late:?}");
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

/// The networks of Alice's machine have changed: her connections are gone, she offers the call anew over a new one,
/// and either side ends it.
#[tokio::test]
async fn a_call_outlives_a_change_of_networks() {
    within(async {
        for (listen, who_ends) in
            [("udp:127.0.0.1:0", 0), ("tcp:127.0.0.1:0", 0), ("tcp:127.0.0.1:0", 1)]
        {
            let (alice, bob) = (ua("alice", listen).await, ua("bob", listen).await);
            let (mut calling, mut called) = established(&alice, &bob).await;
            assert_eq!(alice.network_changed().await.unwrap(), []);
            assert!(matches!(calling.next().await, Some(CallEvent::NetworkChanged)));
            change(&mut calling, &mut called, CHANGED).await;
            let (one, other) = if who_ends == 0 {
                (&mut calling, &mut called)
            } else {
                (&mut called, &mut calling)
            };
            one.hang_up();
            assert!(matches!(one.ended().await, EndReason::Local));
            assert!(matches!(other.ended().await, EndReason::Remote));
            at_rest(&alice).await;
            at_rest(&bob).await;
        }
    })
    .await;
}
