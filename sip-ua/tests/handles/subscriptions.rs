//! Subscriptions over loopback, and what the drop of each of their handles means.

use sip_message::StatusCode;
use sip_ua::{
    AgentConfig, Body, Incoming, Notifier, NotifierConfig, NotifierEnd, NotifierUpdate,
    RequestError, Subscription, SubscriptionEnd, SubscriptionEvent, SubscriptionRequest,
    SubscriptionUpdate, TerminationReason, UserAgent,
};

use crate::{at_rest, builder, ua, uri, within};

async fn pair() -> (UserAgent, UserAgent) {
    let config = AgentConfig::default().event_packages(vec!["presence".into()]);
    let bob = builder("bob", "udp:127.0.0.1:0").config(config).start().await.unwrap();
    (ua("alice", "udp:127.0.0.1:0").await, bob)
}

async fn asked(bob: &UserAgent) -> SubscriptionRequest {
    match bob.incoming().await {
        Some(Incoming::Subscription(request)) => request,
        other => panic!("no SUBSCRIBE: {other:?}"),
    }
}

fn terms() -> NotifierConfig {
    NotifierConfig::new(3600)
}

/// The next state that is told.
async fn told(subscription: &mut Subscription) -> String {
    loop {
        match subscription.next().await {
            Some(SubscriptionUpdate::Notify(request)) => {
                return String::from_utf8(request.body().to_vec()).unwrap();
            }
            Some(SubscriptionUpdate::State(SubscriptionEvent::Ended { .. })) | None => {
                panic!("it has ended")
            }
            Some(_) => {}
        }
    }
}

/// Why it has ended, and whether it is tried again.
async fn end(subscription: &mut Subscription) -> (SubscriptionEnd, bool) {
    loop {
        if let Some(SubscriptionUpdate::State(SubscriptionEvent::Ended { reason, retry_in })) =
            subscription.next().await
        {
            return (reason, retry_in.is_some());
        }
    }
}

async fn subscribed(alice: &UserAgent, bob: &UserAgent) -> (Subscription, Notifier) {
    let mut subscription = alice.subscribe(uri(bob), "presence").start().await.unwrap();
    let request = asked(bob).await;
    assert_eq!(request.event_type(), "presence");
    let notifier = request.accept(terms(), Some(Body::text("here"))).await.unwrap();
    assert_eq!(told(&mut subscription).await, "here");
    (subscription, notifier)
}

#[tokio::test]
async fn told_granted_and_ended() {
    within(async {
        let (alice, bob) = pair().await;
        let mut subscription = alice.subscribe(uri(&bob), "presence").start().await.unwrap();
        let state = Some(Body::text("secret"));
        let mut notifier = asked(&bob).await.accept_pending(terms(), state).await.unwrap();
        assert_eq!(told(&mut subscription).await, "");
        assert!(!subscription.is_active());
        notifier.grant().await.unwrap();
        assert_eq!(told(&mut subscription).await, "secret");
        notifier.notify(Body::text("away")).await.unwrap();
        assert_eq!(told(&mut subscription).await, "away");
        assert!(subscription.is_active());
        subscription.refresh().await.unwrap();
        assert_eq!(told(&mut subscription).await, "away");
        assert_eq!(notifier.next().await, Some(NotifierUpdate::Refreshed));
        notifier.terminate(TerminationReason::NoResource, None).await.unwrap();
        let reason = TerminationReason::NoResource;
        assert_eq!(end(&mut subscription).await, (SubscriptionEnd::Terminated(reason), false));
        assert!(subscription.next().await.is_none());
        let ended = NotifierUpdate::Ended(NotifierEnd::Terminated);
        assert_eq!(notifier.next().await, Some(ended));
        assert_eq!(notifier.next().await, None);
        // Too late for anything, and no harm done.
        notifier.notify(Body::text("?")).await.unwrap();
        subscription.refresh().await.unwrap();
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_subscription_unsubscribes() {
    within(async {
        let (alice, bob) = pair().await;
        let (subscription, mut notifier) = subscribed(&alice, &bob).await;
        drop(subscription);
        let ended = NotifierUpdate::Ended(NotifierEnd::Unsubscribed);
        assert_eq!(notifier.next().await, Some(ended));
        assert_eq!(notifier.ended(), Some(NotifierEnd::Unsubscribed));
        at_rest(&alice).await;

        let (subscription, mut notifier) = subscribed(&alice, &bob).await;
        subscription.unsubscribe().await;
        assert_eq!(notifier.next().await, Some(ended));
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_notifier_sends_the_subscriber_away() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut subscription, notifier) = subscribed(&alice, &bob).await;
        drop(notifier);
        let reason = TerminationReason::Probation;
        assert_eq!(end(&mut subscription).await, (SubscriptionEnd::Terminated(reason), true));
        at_rest(&bob).await;
        drop(subscription);
        at_rest(&alice).await;
    })
    .await;
}

#[tokio::test]
async fn refused_or_not_answered() {
    within(async {
        let (alice, bob) = pair().await;
        let mut subscription = alice.subscribe(uri(&bob), "presence").start().await.unwrap();
        asked(&bob).await.reject(StatusCode::FORBIDDEN).await.unwrap();
        let refused = SubscriptionEnd::Refused(StatusCode::FORBIDDEN);
        assert_eq!(end(&mut subscription).await, (refused, false));
        let mut subscription = alice.subscribe(uri(&bob), "presence").start().await.unwrap();
        drop(asked(&bob).await);
        let refused = SubscriptionEnd::Refused(StatusCode::TEMPORARILY_UNAVAILABLE);
        assert_eq!(end(&mut subscription).await, (refused, true));
        drop(subscription);
        let mut subscription = alice.subscribe(uri(&bob), "dialog").start().await.unwrap();
        let refused = SubscriptionEnd::Refused(StatusCode::BAD_EVENT);
        assert_eq!(end(&mut subscription).await, (refused, false));
        let none = alice.subscribe(uri(&bob), "no event").start().await;
        assert!(matches!(none, Err(RequestError::Refused(_))));
    })
    .await;
}

#[tokio::test]
async fn shutting_down_ends_both_sides() {
    within(async {
        let (alice, bob) = pair().await;
        let (mut of_alice, mut of_bob) = subscribed(&alice, &bob).await;
        assert!(alice.shutdown().await);
        assert_eq!(end(&mut of_alice).await, (SubscriptionEnd::Unsubscribed, false));
        let ended = NotifierUpdate::Ended(NotifierEnd::Unsubscribed);
        assert_eq!(of_bob.next().await, Some(ended));
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let (mut of_alice, mut of_bob) = subscribed(&alice, &bob).await;
        assert!(bob.shutdown().await);
        let reason = TerminationReason::Probation;
        assert_eq!(end(&mut of_alice).await.0, SubscriptionEnd::Terminated(reason));
        assert_eq!(of_bob.next().await, Some(NotifierUpdate::Ended(NotifierEnd::Terminated)));
    })
    .await;
}
