//! Transfers and digits through the handles, over UDP.

use sip_message::StatusCode;
use sip_ua::{Call, CallEvent, EndReason, Incoming, ReferOutcome, Referral, UserAgent};

use crate::{SDP, at_rest, established, invitation, ua, uri, within};

const UDP: &str = "udp:127.0.0.1:0";

async fn referral(call: &mut Call) -> Referral {
    loop {
        match call.next().await {
            Some(CallEvent::Referred(referral)) => return referral,
            Some(CallEvent::Ended(reason)) => panic!("{reason}"),
            Some(_) => {}
            None => panic!("the call is over"),
        }
    }
}

async fn three() -> [UserAgent; 3] {
    [ua("alice", UDP).await, ua("bob", UDP).await, ua("carol", UDP).await]
}

async fn all_at_rest(all: &[UserAgent; 3]) {
    for one in all {
        at_rest(one).await;
    }
}

/// Alice sends Bob to Carol, who takes the call, and then does not.
#[tokio::test]
async fn a_blind_transfer() {
    within(async {
        let all = three().await;
        let [alice, bob, carol] = &all;
        for answers in [false, true] {
            let (mut to_bob, mut at_bob) = established(alice, bob).await;
            let transfer = to_bob.control();
            let transfer = transfer.transfer(uri(carol));
            let bob_follows = async {
                let referral = referral(&mut at_bob).await;
                assert_eq!(referral.target(), Some(uri(carol)));
                assert_eq!(referral.referred_by().unwrap().user(), Some("alice"));
                referral.follow(SDP).await.unwrap()
            };
            let carol_answers = async {
                let invitation = invitation(carol).await.ring().await.unwrap();
                if answers {
                    return Some(invitation.accept(SDP).await.unwrap());
                }
                invitation.reject(StatusCode::BUSY_HERE).await.unwrap();
                None
            };
            let (outcome, to_carol, at_carol) = tokio::join!(transfer, bob_follows, carol_answers);
            let outcome = outcome.unwrap();
            if answers {
                assert_eq!(outcome, ReferOutcome::Reported(StatusCode::OK));
                assert!(matches!(to_bob.ended().await, EndReason::Local));
                assert!(matches!(at_bob.ended().await, EndReason::Remote));
            } else {
                assert_eq!(outcome, ReferOutcome::Reported(StatusCode::BUSY_HERE));
                assert!(to_bob.end_reason().is_none(), "the call is as it was");
                to_bob.hang_up();
                to_bob.ended().await;
            }
            drop((to_carol, at_carol, at_bob));
        }
        all_at_rest(&all).await;
    })
    .await;
}

/// Bob's phone is asked to dial, outside of any call, and Alice hears how that goes (RFC 5359 §2.18).
#[tokio::test]
async fn a_phone_is_asked_to_call() {
    within(async {
        let all = three().await;
        let [alice, bob, carol] = &all;
        let mut reference = alice.refer(uri(bob), uri(carol)).await.unwrap();
        let bob_follows = async {
            match bob.incoming().await {
                Some(Incoming::Referral(referral)) => referral.follow(SDP).await.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let carol_answers = async { invitation(carol).await.accept(SDP).await.unwrap() };
        let outcome = reference.outcome();
        let (outcome, to_carol, at_carol) = tokio::join!(outcome, bob_follows, carol_answers);
        assert_eq!(outcome, ReferOutcome::Reported(StatusCode::OK));
        drop((to_carol, at_carol));
        all_at_rest(&all).await;
    })
    .await;
}

/// Alice has a call with Bob and one with Carol, and lets them have each other.
#[tokio::test]
async fn an_attended_transfer() {
    within(async {
        let all = three().await;
        let [alice, bob, carol] = &all;
        let (mut to_bob, mut at_bob) = established(alice, bob).await;
        let (mut to_carol, mut at_carol) = established(alice, carol).await;
        let (one, other) = (to_bob.control(), to_carol.control());
        let bob_follows = async { referral(&mut at_bob).await.follow(SDP).await.unwrap() };
        let carol_answers = async {
            let invitation = invitation(carol).await;
            assert_eq!(invitation.replaces(), Some(at_carol.key()));
            invitation.accept(SDP).await.unwrap()
        };
        let (outcome, new, at_carol_new) =
            tokio::join!(one.transfer_to(&other), bob_follows, carol_answers);
        assert_eq!(outcome.unwrap(), ReferOutcome::Reported(StatusCode::OK));
        assert!(matches!(at_carol.ended().await, EndReason::Replaced));
        assert!(matches!(to_carol.ended().await, EndReason::Remote));
        assert!(matches!(to_bob.ended().await, EndReason::Local));
        assert!(matches!(at_bob.ended().await, EndReason::Remote));
        drop((new, at_carol_new));
        all_at_rest(&all).await;
    })
    .await;
}

/// RFC 5589 §7.6: Carol only rings when Alice lets go.
#[tokio::test]
async fn a_semi_attended_transfer() {
    within(async {
        let all = three().await;
        let [alice, bob, carol] = &all;
        let (mut to_bob, mut at_bob) = established(alice, bob).await;
        let mut to_carol = alice.call(uri(carol)).offer(SDP).start().await.unwrap();
        let mut ringing = invitation(carol).await.ring().await.unwrap();
        assert!(matches!(to_carol.next().await, Some(CallEvent::Ringing { .. })));
        let (one, other) = (to_bob.control(), to_carol.control());
        let bob_follows = async { referral(&mut at_bob).await.follow(SDP).await.unwrap() };
        let carol_answers = async {
            assert!(matches!(ringing.ended().await, EndReason::CancelledByPeer));
            let again = invitation(carol).await;
            assert_eq!(again.replaces(), None);
            again.accept(SDP).await.unwrap()
        };
        let (outcome, new, at_carol) =
            tokio::join!(one.transfer_to(&other), bob_follows, carol_answers);
        assert_eq!(outcome.unwrap(), ReferOutcome::Reported(StatusCode::OK));
        assert!(matches!(to_carol.ended().await, EndReason::Cancelled));
        assert!(matches!(to_bob.ended().await, EndReason::Local));
        drop((new, at_carol, at_bob));
        all_at_rest(&all).await;
    })
    .await;
}

/// Who does not look at a referral declines it, and by hand it can be anything.
#[tokio::test]
async fn a_referral_is_dropped_or_done_by_hand() {
    within(async {
        let all = three().await;
        let [alice, bob, carol] = &all;
        let (to_bob, mut at_bob) = established(alice, bob).await;
        let (outcome, ()) = tokio::join!(to_bob.transfer(uri(carol)), async {
            drop(referral(&mut at_bob).await);
        });
        assert_eq!(outcome.unwrap(), ReferOutcome::Refused(StatusCode::DECLINE));
        let (outcome, ()) = tokio::join!(to_bob.transfer(uri(carol)), async {
            let mut errand = referral(&mut at_bob).await.by_hand();
            errand.report(StatusCode::RINGING).await.unwrap();
            drop(errand); // and then it does not work out
        });
        assert_eq!(outcome.unwrap(), ReferOutcome::Reported(StatusCode::SERVICE_UNAVAILABLE));
        to_bob.hang_up();
        at_bob.ended().await;
        drop((to_bob, at_bob));
        all_at_rest(&all).await;
    })
    .await;
}

/// Digits go one by one, in the body that devices know.
#[tokio::test]
async fn digits_by_info() {
    within(async {
        let all = three().await;
        let [alice, bob, _] = &all;
        let (to_bob, mut at_bob) = established(alice, bob).await;
        let (last, heard) = tokio::join!(to_bob.dtmf("1 2#"), async {
            let mut heard = String::new();
            while heard.len() < 3 {
                match at_bob.next().await {
                    Some(CallEvent::Request(info)) => {
                        let body = String::from_utf8_lossy(info.body()).into_owned();
                        heard.push_str(body["Signal=".len()..=7].trim_end());
                        info.reply(StatusCode::OK).await.unwrap();
                    }
                    other => assert!(other.is_some(), "the call is over"),
                }
            }
            heard
        });
        assert_eq!(heard, "12#");
        assert_eq!(last.unwrap().unwrap().status(), StatusCode::OK);
        assert!(to_bob.dtmf("x").await.unwrap().is_none());
        drop((to_bob, at_bob));
        all_at_rest(&all).await;
    })
    .await;
}
