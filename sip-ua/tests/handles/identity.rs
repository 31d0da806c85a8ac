//! Who a call is with, which session it belongs to, where it came from, and another try: by the handles.

use sip_message::{HistoryInfo, NameAddr, StatusCode};
use sip_ua::{AgentConfig, AnswerRights, Answering, CallEvent, EndReason, SessionIds, UserAgent};

use crate::{SDP, at_rest, builder, invitation, pair, uri, within};

const LISTEN: &str = "udp:127.0.0.1:0";

async fn ua(name: &str, config: AgentConfig) -> UserAgent {
    builder(name, LISTEN).config(config).start().await.unwrap()
}

#[tokio::test]
async fn a_call_knows_its_session_and_who_is_at_the_other_end() {
    within(async {
        let config =
            || AgentConfig::default().session_ids(SessionIds::Always).connected_identity(true);
        let (alice, bob) = (ua("alice", config()).await, ua("bob", config()).await);
        let mut calling = alice.call(uri(&bob)).offer(SDP).with_history().start().await.unwrap();
        let ringing = invitation(&bob).await;
        let history: Vec<HistoryInfo<'_>> =
            ringing.request().headers().get_all::<HistoryInfo<'_>>().flatten().collect();
        assert_eq!(history.len(), 1);
        let called = ringing.accept(SDP).await.unwrap();
        crate::answered(&mut calling).await;
        // Bob was called as somebody, and says who he is.
        match calling.next().await {
            Some(CallEvent::Connected { early: None, identity }) => {
                assert_eq!(identity.uri().as_str(), "sip:bob@example.com");
            }
            other => panic!("{other:?}"),
        }
        let ours = calling.session_id().await.unwrap().unwrap();
        let theirs = called.session_id().await.unwrap().unwrap();
        assert_eq!((Some(ours.local()), ours.remote()), (theirs.remote(), Some(theirs.local())));
        let carol = NameAddr::new(&"sip:carol@example.com".parse().unwrap());
        calling.change_identity(&carol).await.unwrap();
        let mut called = called;
        loop {
            match called.next().await {
                Some(CallEvent::Confirmed { .. }) => {}
                Some(CallEvent::Connected { identity, .. }) => {
                    assert_eq!(identity.uri().as_str(), "sip:carol@example.com");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        calling.hang_up();
        assert!(matches!(called.ended().await, EndReason::Remote));
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_is_placed_again_a_second_later() {
    within(async {
        let (alice, bob) = pair().await;
        let longest = std::time::Duration::from_secs(2);
        let mut calling =
            alice.call(uri(&bob)).offer(SDP).retry_after(1, longest).start().await.unwrap();
        let refused = invitation(&bob).await;
        refused
            .reject_with(StatusCode::TEMPORARILY_UNAVAILABLE, &[("Retry-After", "1")])
            .await
            .unwrap();
        match calling.next().await {
            Some(CallEvent::Postponed { wait, response }) => {
                assert_eq!(wait.as_secs(), 1);
                assert_eq!(response.status(), StatusCode::TEMPORARILY_UNAVAILABLE);
            }
            other => panic!("{other:?}"),
        }
        let called = invitation(&bob).await.accept(SDP).await.unwrap();
        crate::answered(&mut calling).await;
        drop(calling);
        drop(called);
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

/// Paging: who may is answered at once, who insists and may not is refused.
#[tokio::test]
async fn a_caller_that_may_is_answered_without_the_user() {
    within(async {
        let (alice, bob) = pair().await;
        for (rights, is_answered) in [
            (AnswerRights { automatic: true, ..AnswerRights::NONE }, true),
            (AnswerRights::NONE, false),
        ] {
            let call = alice.call(uri(&bob)).offer(SDP).header("Answer-Mode", "Auto;require");
            let mut calling = call.start().await.unwrap();
            let ringing = invitation(&bob).await;
            match Answering::of(ringing.request(), rights) {
                Answering::Automatic => drop(ringing.accept(SDP).await.unwrap()),
                Answering::Forbidden => ringing.reject(StatusCode::FORBIDDEN).await.unwrap(),
                other => panic!("{other:?}"),
            }
            let end = calling.ended().await;
            assert_eq!(end.status(), (!is_answered).then_some(StatusCode::FORBIDDEN), "{end}");
        }
        at_rest(&bob).await;
    })
    .await;
}
