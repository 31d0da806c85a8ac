//! A routing of the application's own, before that of the location store.

use std::sync::Arc;
use std::time::Duration;

use sip_message::{Method, StatusCode, Transport};
use sip_proxy::location::{Memory, MemoryLimits};
use sip_proxy::{Asked, Home, Reply, Route, Routing};
use sip_ua::EndReason;

use crate::{SDP, builder, registered, user, within};

/// Texts are taken here, after a while.
struct Desk(Home<Memory>);

impl Routing for Desk {
    async fn route(&self, asked: &Asked) -> Route {
        match asked.request.method() {
            Method::Message => Route::Process,
            _ => self.0.route(asked).await,
        }
    }

    async fn process(&self, asked: &Asked) -> Reply {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(asked.request.body(), b"hello");
        Reply::new(StatusCode::ACCEPTED)
    }
}

#[tokio::test]
async fn an_application_answers_what_it_takes_and_leaves_the_rest() {
    within(async {
        let store = Arc::new(Memory::new(MemoryLimits::default(), [3, 4]));
        let routing = Desk(Home::new(Arc::clone(&store)));
        let server = builder().start_with(store, routing).await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        let answer = alice.message(user("bob"), "hello").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let answer = alice.request(Method::Options, user("bob")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARILY_UNAVAILABLE);
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        assert!(matches!(calling.ended().await, EndReason::Rejected(_)));
    })
    .await;
}
