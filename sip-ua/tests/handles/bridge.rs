//! Bridges through the handles: Alice over UDP, Bob over TCP, and between them one that ties their calls.

use std::sync::Arc;

use sip_message::{Method, StatusCode};
use sip_ua::{
    Bridge, BridgeOptions, BridgeUpdate, Call, CallEvent, EndReason, Leg, OutgoingCall, UserAgent,
};

use crate::{CHANGED, SDP, answered, at_rest, builder, invitation, ua, uri, within};

struct Three {
    alice: UserAgent,
    bob: UserAgent,
    pbx: UserAgent,
}

impl Three {
    async fn start() -> Self {
        let pbx = builder("pbx", "udp:127.0.0.1:0").listen("tcp:127.0.0.1:0".parse().unwrap());
        Self {
            alice: ua("alice", "udp:127.0.0.1:0").await,
            bob: ua("bob", "tcp:127.0.0.1:0").await,
            pbx: pbx.start().await.unwrap(),
        }
    }

    /// Alice calls, Bob picks up.
    async fn established(&self) -> (Call, Call, Bridge) {
        let mut calling = self.alice.call(uri(&self.pbx)).offer(SDP).start().await.unwrap();
        let options = Arc::new(BridgeOptions::default());
        let came = invitation(&self.pbx).await;
        let mut bridge = self.pbx.bridge(came, uri(&self.bob), options).await.unwrap();
        let mut called = invitation(&self.bob).await.accept(SDP).await.unwrap();
        answered(&mut calling).await;
        assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));
        assert!(matches!(bridge.next().await, Some(BridgeUpdate::Answered)));
        (calling, called, bridge)
    }

    async fn at_rest(&self) {
        for ua in [&self.alice, &self.bob, &self.pbx] {
            at_rest(ua).await;
        }
    }
}

#[tokio::test]
async fn what_one_says_the_other_hears() {
    within(async {
        let three = Three::start().await;
        let (mut calling, mut called, mut bridge) = three.established().await;
        let control = calling.control();
        let change = async {
            let response = control.reinvite(CHANGED).await.unwrap();
            assert_eq!(response.body(), SDP.as_bytes());
            control.send(Method::Info, None, &[]).await.unwrap()
        };
        let agree = async {
            loop {
                match called.next().await {
                    Some(CallEvent::Modification(change)) => {
                        assert_eq!(change.offer(), CHANGED.as_bytes());
                        change.accept(SDP).await.unwrap();
                    }
                    Some(CallEvent::Request(request)) => {
                        return request.reply(StatusCode::OK).await.unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        let (response, ()) = tokio::join!(change, agree);
        assert_eq!(response.status(), StatusCode::OK);
        called.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Remote));
        assert!(matches!(bridge.ended().await, (Leg::B, EndReason::Remote)));
        assert!(bridge.next().await.is_none());
        three.at_rest().await;
    })
    .await;
}

#[tokio::test]
async fn dropping_a_bridge_hangs_up_and_letting_it_go_does_not() {
    within(async {
        let three = Three::start().await;
        let (mut calling, mut called, bridge) = three.established().await;
        drop(bridge);
        assert!(matches!(calling.ended().await, EndReason::Remote));
        assert!(matches!(called.ended().await, EndReason::Remote));
        let (mut calling, mut called, bridge) = three.established().await;
        bridge.detach();
        // What is asked after it has been seen, so that it was not hung up.
        assert!(three.pbx.live().await.unwrap().agent.active_calls == 2);
        assert!(calling.end_reason().is_none());
        calling.hang_up();
        assert!(matches!(called.ended().await, EndReason::Remote));
        assert!(matches!(calling.ended().await, EndReason::Local));
        three.at_rest().await;
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_ends_what_is_tied() {
    within(async {
        let three = Three::start().await;
        let (mut calling, mut called, mut bridge) = three.established().await;
        assert!(three.pbx.shutdown().await);
        assert!(matches!(calling.ended().await, EndReason::Remote));
        assert!(matches!(called.ended().await, EndReason::Remote));
        bridge.ended().await;
    })
    .await;
}

/// Two calls that the application has placed itself, and two that it has placed for it.
#[tokio::test]
async fn two_are_called_and_tied() {
    within(async {
        let three = Three::start().await;
        for dialled in [true, false] {
            let alice = async {
                let mut call = invitation(&three.alice).await.accept(SDP).await.unwrap();
                loop {
                    match call.next().await {
                        Some(CallEvent::Modification(change)) => {
                            change.accept(CHANGED).await.unwrap();
                        }
                        Some(CallEvent::Ended(reason)) => return reason,
                        other => assert!(other.is_some()),
                    }
                }
            };
            let bob = async {
                let mut call = invitation(&three.bob).await.accept(SDP).await.unwrap();
                loop {
                    match call.next().await {
                        Some(CallEvent::Modification(change)) => {
                            change.accept(CHANGED).await.unwrap();
                            return call.hang_up();
                        }
                        Some(CallEvent::Confirmed { ack }) if dialled => {
                            assert_eq!(ack.unwrap().body(), CHANGED.as_bytes());
                            return call.hang_up();
                        }
                        Some(CallEvent::Confirmed { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            };
            let pbx = async {
                let options = BridgeOptions::default();
                let mut bridge = if dialled {
                    let first = OutgoingCall::to(uri(&three.alice));
                    let second = OutgoingCall::to(uri(&three.bob));
                    let first = first.body(sip_ua::Body::no_media());
                    three.pbx.dial(first, second, options).await.unwrap()
                } else {
                    let mut calls = Vec::new();
                    for to in [uri(&three.alice), uri(&three.bob)] {
                        let mut call = three.pbx.call(to).offer(SDP).start().await.unwrap();
                        answered(&mut call).await;
                        calls.push(call);
                    }
                    let (second, first) = (calls.pop().unwrap(), calls.pop().unwrap());
                    three.pbx.join(first, second, options).await.unwrap()
                };
                bridge.ended().await
            };
            let (reason, (), (leg, _)) = tokio::join!(alice, bob, pbx);
            assert!(matches!(reason, EndReason::Remote), "{reason}");
            assert_eq!(leg, Leg::B);
            three.at_rest().await;
        }
    })
    .await;
}
