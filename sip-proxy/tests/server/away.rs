//! A store that takes its time, or is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sip_message::{StatusCode, Transport};
use sip_proxy::location::{
    Commit, Located, Memory, MemoryLimits, Store, StoreError, Version, Watch,
};
use sip_proxy::{Aor, Binding, RegEventsConfig};
use sip_ua::{EndReason, RegisterError, RegistrationFailure, SubscriptionEnd};

use crate::registrations::Watcher;
use crate::{SDP, builder, invitation, phone, registered, user, within};

/// A store whose every answer comes later, and that can be cut off.
struct Far {
    memory: Memory,
    is_away: AtomicBool,
}

impl Far {
    fn new() -> Arc<Self> {
        let memory = Memory::new(MemoryLimits::default(), [1, 2]);
        Arc::new(Self { memory, is_away: AtomicBool::new(false) })
    }

    async fn reach(&self) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.is_away.load(Ordering::Relaxed) { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl Store for Far {
    async fn load(&self, aor: &Aor) -> Result<Located, StoreError> {
        self.reach().await?;
        self.memory.load(aor).await
    }

    async fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> Result<Commit, StoreError> {
        self.reach().await?;
        self.memory.commit(aor, bindings, if_version).await
    }

    async fn of_instance(&self, instance: &str) -> Result<Vec<Aor>, StoreError> {
        self.reach().await?;
        self.memory.of_instance(instance).await
    }

    fn watch(&self) -> Watch {
        self.memory.watch()
    }
}

#[tokio::test]
async fn requests_wait_for_a_store_that_is_far() {
    within(async {
        let server = builder().start_with_store(Far::new()).await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        let (bob, _of_bob) = registered(&server, "bob", Transport::Udp).await;
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        let called = invitation(&bob).await.accept(SDP).await.unwrap();
        called.hang_up();
        assert!(matches!(calling.ended().await, EndReason::Remote));
    })
    .await;
}

#[tokio::test]
async fn registrations_are_told_from_a_store_that_is_far() {
    within(async {
        let store = Far::new();
        let server =
            builder().reg_events(RegEventsConfig::default().least_interval(Duration::ZERO));
        let server = server.start_with_store(Arc::clone(&store)).await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        let mut watcher = Watcher::of(&alice, "alice").await;
        assert_eq!(watcher.events().await, ["registered"]);
        let (_again, _of_again) = registered(&server, "alice", Transport::Tcp).await;
        assert_eq!(watcher.events().await, ["registered"]);
        store.is_away.store(true, Ordering::Relaxed);
        let reason = Watcher::of(&alice, "alice").await.ended().await;
        assert_eq!(reason, SubscriptionEnd::Refused(StatusCode::SERVICE_UNAVAILABLE));
    })
    .await;
}

#[tokio::test]
async fn without_its_store_a_server_promises_nothing() {
    within(async {
        let store = Far::new();
        let server = builder().start_with_store(Arc::clone(&store)).await.unwrap();
        let (alice, _of_alice) = registered(&server, "alice", Transport::Udp).await;
        store.is_away.store(true, Ordering::Relaxed);

        let bob = phone(&server, "bob", "bob's secret", Transport::Udp).await;
        match bob.register().await {
            Err(RegisterError::Failed(failure)) => {
                let unavailable = RegistrationFailure::Status(StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(failure, unavailable);
            }
            other => panic!("{other:?}"),
        }
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        match calling.ended().await {
            EndReason::Rejected(response) => {
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(response.headers().contains(sip_message::HeaderName::RetryAfter));
            }
            other => panic!("{other:?}"),
        }
        store.is_away.store(false, Ordering::Relaxed);
        let (_bob, _of_bob) = registered(&server, "bob", Transport::Udp).await;
    })
    .await;
}
