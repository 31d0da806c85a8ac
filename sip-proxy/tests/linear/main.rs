//! REGISTERs at once, on one store, on several threads and nodes: the answers must be such as if they had come one
//! after the other (RFC 3261 §10.3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails says so"
)]

mod broken;
mod history;
mod phones;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod server;

use std::sync::Arc;

use sip_proxy::location::{Memory, MemoryLimits};

// RFC 3261 §10.3: "REGISTER requests MUST also be processed atomically, meaning that a
// particular REGISTER request is either processed completely or not at
// all."
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registers_on_many_threads_are_as_if_one_came_after_the_other() {
    let scene = Arc::new(phones::Scene::default());
    let store = Arc::new(Memory::new(MemoryLimits::default(), [1, 2]));
    phones::crowd(&scene, &store, 8, 250).await;
    let [done, late, unknown] = scene.judge().unwrap();
    assert!(done > 1000 && late > 0, "{done} done, {late} too late");
    assert_eq!(unknown, 0);
}
