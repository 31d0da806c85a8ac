//! Publications over loopback, and what the drop of one means.

use std::time::Duration;

use sip_message::{HeaderName, Method, Request, StatusCode};
use sip_ua::{
    AgentConfig, Body, Compositor, CompositorConfig, Incoming, IncomingRequest, Publication,
    PublicationEvent, UserAgent,
};

use crate::{at_rest, builder, ua, uri, within};

async fn pair() -> (UserAgent, UserAgent) {
    let config = AgentConfig::default().methods(vec![Method::Publish]);
    let bob = builder("bob", "udp:127.0.0.1:0").config(config).start().await.unwrap();
    (ua("alice", "udp:127.0.0.1:0").await, bob)
}

async fn asked(bob: &UserAgent) -> IncomingRequest {
    match bob.incoming().await {
        Some(Incoming::Request(request)) if *request.method() == Method::Publish => request,
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn tag(request: &Request) -> Option<&[u8]> {
    request.headers().raw(HeaderName::SipIfMatch)
}

async fn granted(request: IncomingRequest, tag: &str) {
    let fields = [("SIP-ETag", tag), ("Expires", "60")];
    request.reply_with(StatusCode::OK, None, &fields).await.unwrap();
}

async fn published(alice: &UserAgent, bob: &UserAgent) -> Publication {
    let state = Body::text("here");
    let mut publication = alice.publish(uri(bob), "presence", state).start().await.unwrap();
    let request = asked(bob).await;
    assert_eq!((request.body(), tag(request.request())), (&b"here"[..], None));
    granted(request, "one").await;
    assert!(matches!(publication.next().await, Some(PublicationEvent::Published { .. })));
    assert!(publication.is_published());
    publication
}

#[tokio::test]
async fn published_modified_and_removed() {
    within(async {
        let (alice, bob) = pair().await;
        let mut publication = published(&alice, &bob).await;
        publication.modify(Body::text("away")).await.unwrap();
        let request = asked(&bob).await;
        assert_eq!((request.body(), tag(request.request())), (&b"away"[..], Some(&b"one"[..])));
        granted(request, "two").await;
        assert!(matches!(publication.next().await, Some(PublicationEvent::Published { .. })));
        let removed = tokio::spawn(publication.remove());
        let request = asked(&bob).await;
        assert_eq!(request.request().headers().raw(HeaderName::Expires), Some(&b"0"[..]));
        assert_eq!((request.body(), tag(request.request())), (&b""[..], Some(&b"two"[..])));
        granted(request, "three").await;
        assert!(removed.await.unwrap());
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_publication_is_removed() {
    within(async {
        let (alice, bob) = pair().await;
        drop(published(&alice, &bob).await);
        let request = asked(&bob).await;
        assert_eq!(request.request().headers().raw(HeaderName::Expires), Some(&b"0"[..]));
        granted(request, "two").await;
        at_rest(&alice).await;

        // Those that are left go with the user agent.
        let mut publication = published(&alice, &bob).await;
        let end = tokio::spawn(async move { alice.shutdown().await });
        granted(asked(&bob).await, "two").await;
        assert!(end.await.unwrap());
        let removed = PublicationEvent::Removed { confirmed: true };
        assert_eq!(publication.next().await, Some(removed));
        assert_eq!(publication.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_refused_publication_is_over() {
    within(async {
        let (alice, bob) = pair().await;
        let state = Body::text("here");
        let builder = alice.publish(uri(&bob), "presence", state);
        let mut publication = builder.start().await.unwrap();
        asked(&bob).await.reply(StatusCode::FORBIDDEN).await.unwrap();
        let failed =
            PublicationEvent::Failed { status: Some(StatusCode::FORBIDDEN), retry_in: None };
        assert_eq!(publication.next().await, Some(failed));
        assert_eq!(publication.next().await, None);
        assert!(!publication.remove().await);
        at_rest(&alice).await;
    })
    .await;
}

// RFC 3903 §6: a user agent with a compositor behind it, and one that publishes there.
#[tokio::test]
async fn composed_at_the_other_end() {
    within(async {
        let (alice, bob) = pair().await;
        let config = CompositorConfig::default().package("presence", &["text/plain"]);
        let mut compositor = Compositor::new(config, [1, 2]);
        let mut at = Duration::ZERO;
        let states = |compositor: &Compositor| -> Vec<Vec<u8>> {
            compositor.documents("alice", "presence").map(|it| it.body().to_vec()).collect()
        };
        let mut desk =
            alice.publish(uri(&bob), "presence", Body::text("desk")).start().await.unwrap();
        assert!(asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        let hour = Duration::from_secs(3600);
        assert_eq!(desk.next().await, Some(PublicationEvent::Published { expires: hour }));
        let phone =
            alice.publish(uri(&bob), "presence", Body::text("phone")).start().await.unwrap();
        assert!(asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert_eq!(states(&compositor), [b"desk".to_vec(), b"phone".to_vec()]);
        desk.modify(Body::text("gone")).await.unwrap();
        assert!(asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert_eq!(states(&compositor), [b"phone".to_vec(), b"gone".to_vec()]);
        desk.next().await;
        // All is lost there: the next PUBLISH is answered 412, and followed by one that begins anew.
        at += hour;
        while compositor.expire(at).is_some() {}
        desk.modify(Body::text("back")).await.unwrap();
        assert!(!asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert!(asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert_eq!(states(&compositor), [b"back".to_vec()]);
        let removed = tokio::spawn(desk.remove());
        assert!(asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert!(removed.await.unwrap() && compositor.is_empty());
        let removed = tokio::spawn(phone.remove());
        assert!(!asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        assert!(removed.await.unwrap(), "what is not there needs no removal");
        // Another event type.
        let mut wrong = alice.publish(uri(&bob), "dialog", Body::text("x")).start().await.unwrap();
        assert!(!asked(&bob).await.publish_in(&mut compositor, at, "alice").await.unwrap());
        let failed =
            PublicationEvent::Failed { status: Some(StatusCode::BAD_EVENT), retry_in: None };
        assert_eq!(wrong.next().await, Some(failed));
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}
