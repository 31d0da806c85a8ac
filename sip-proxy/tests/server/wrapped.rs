//! A routing of the application's own, before that of the location store.

use std::sync::Arc;
use std::time::Duration;

use sip_message::{Method, StatusCode, Transport};
use sip_proxy::location::{Memory, MemoryLimits};
use sip_proxy::{Asked, Home, ProxyConfig, Reply, Route, Routing};
use sip_ua::EndReason;
use tokio::sync::Semaphore;

use crate::{SDP, builder, phone, registered, user, within};

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

/// Takes everything, and answers when it is let: a text; an INVITE never.
#[derive(Clone)]
struct Slow(Arc<Semaphore>);

impl Routing for Slow {
    async fn route(&self, _: &Asked) -> Route {
        Route::Process
    }

    async fn process(&self, _: &Asked) -> Reply {
        self.0.acquire().await.unwrap().forget();
        Reply::new(StatusCode::ACCEPTED)
    }
}

#[tokio::test]
async fn what_the_application_answers_is_limited() {
    within(async {
        let answers = Arc::new(Semaphore::new(0));
        let store = Arc::new(Memory::new(MemoryLimits::default(), [3, 4]));
        let builder = builder().max_processing(1);
        let server = builder.start_with(store, Slow(Arc::clone(&answers))).await.unwrap();
        let alice = phone(&server, "alice", "alice's secret", Transport::Udp).await;
        let text = async || {
            let response = alice.message(user("bob"), "hello").send().await.unwrap();
            response.status().as_u16()
        };
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        while server.live().await.processing == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(text().await, 503);
        calling.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Cancelled));
        // It is answered, but the application is still at it.
        assert_eq!(text().await, 503);
        answers.add_permits(1);
        while server.live().await.processing > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answers.add_permits(1);
        assert_eq!(text().await, 202);
    })
    .await;
}

/// Never decides; holds what it was given.
struct Hangs(Arc<()>);

impl Routing for Hangs {
    async fn route(&self, _: &Asked) -> Route {
        let _held = Arc::clone(&self.0);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_decision_that_hangs_is_given_up() {
    within(async {
        let store = Arc::new(Memory::new(MemoryLimits::default(), [3, 4]));
        let held = Arc::new(());
        let config = ProxyConfig::default().routing_limit(Duration::from_millis(50));
        let routing = Hangs(Arc::clone(&held));
        let server = builder().proxy(config).start_with(store, routing).await.unwrap();
        let alice = phone(&server, "alice", "alice's secret", Transport::Udp).await;
        let response = alice.message(user("bob"), "hello").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVER_INTERNAL_ERROR);
        // This one's and the routing's.
        while Arc::strong_count(&held) > 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
