//! Three nodes over one Redis, of which one node is killed, and Redis itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sip_proxy::location::{Redis, RedisConfig};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::history::Asked;
use super::phones::{AORS, Dice, Scene};
use super::server::Server;

/// A node, its phones, and how many of their requests were answered.
struct Node {
    store: Arc<Redis>,
    phones: Vec<JoinHandle<()>>,
    answered: Arc<AtomicUsize>,
}

impl Node {
    async fn start(
        server: &Server,
        scene: &Arc<Scene>,
        number: u64,
        over: &Arc<AtomicBool>,
    ) -> Self {
        let store =
            Arc::new(Redis::open(&server.url(), RedisConfig::default(), [1, number]).unwrap());
        store.connected().await;
        let answered = Arc::new(AtomicUsize::new(0));
        let phone = |phone: u64| {
            let (scene, store) = (Arc::clone(scene), Arc::clone(&store));
            let (over, answered) = (Arc::clone(over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut dice = Dice(number * 100 + phone);
                while !over.load(Ordering::Relaxed) {
                    if scene.turn(&*store, &mut dice).await {
                        answered.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(dice.below(10).into())).await;
                    } else {
                        // As Retry-After says.
                        sleep(Duration::from_millis(200)).await;
                    }
                }
            })
        };
        let phones = (0..3).map(phone).collect();
        Self { store, phones, answered }
    }

    /// Waits until so many more were answered.
    async fn answers(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < wanted {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registers_on_three_nodes_are_as_if_one_came_after_the_other_whatever_dies() {
    let mut server = Server::start();
    let scene = Arc::new(Scene::default());
    let over = Arc::new(AtomicBool::new(false));
    let first = Node::start(&server, &scene, 1, &over).await;
    let second = Node::start(&server, &scene, 2, &over).await;
    let third = Node::start(&server, &scene, 3, &over).await;
    first.answers(100).await;
    second.answers(50).await;

    // A node dies with requests under way.
    third.answers(50).await;
    third.phones.iter().for_each(JoinHandle::abort);
    drop(third);
    first.answers(50).await;

    // Redis dies without a word, twice; nobody is told to connect again.
    for _ in 0..2 {
        server.kill();
        sleep(Duration::from_millis(300)).await;
        server.run();
        first.answers(100).await;
        second.answers(100).await;
    }

    over.store(true, Ordering::Relaxed);
    for phone in first.phones.into_iter().chain(second.phones) {
        phone.await.unwrap();
    }
    for store in [&first.store, &second.store] {
        for aor in 0..AORS {
            assert!(scene.ask(&**store, aor, Asked::Query, 0).await);
        }
    }
    let [done, late, unknown] = scene.judge().unwrap();
    assert!(done > 500 && late > 0, "{done} done, {late} too late");
    assert!(unknown > 0, "nothing was interrupted");
}
