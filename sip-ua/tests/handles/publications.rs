//! Publications over loopback, and what the drop of one means.

use sip_message::{HeaderName, Method, Request, StatusCode};
use sip_ua::{
    AgentConfig, Body, Incoming, IncomingRequest, Publication, PublicationEvent, UserAgent,
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
