//! Stores that are broken on purpose, each in one way: the checker must see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sip_proxy::location::{
    Commit, Located, Memory, MemoryLimits, Store, StoreError, Version, Watch,
};
use sip_proxy::{Aor, Binding};

use super::history::Asked;
use super::phones::{Scene, crowd};

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Replaces whatever is there.
    IgnoresVersions,
    /// Says that it has replaced, one time in ten, and has not.
    Forgets,
    /// Lists what was there one commit ago, one time in ten.
    IsBehind,
}

struct Broken {
    memory: Memory,
    fault: Fault,
    count: AtomicU32,
}

impl Broken {
    fn new(fault: Fault) -> Arc<Self> {
        let memory = Memory::new(MemoryLimits::default(), [1, 2]);
        Arc::new(Self { memory, fault, count: AtomicU32::new(0) })
    }

    fn fails(&self, fault: Fault) -> bool {
        self.fault == fault && self.count.fetch_add(1, Ordering::Relaxed) % 10 == 9
    }
}

impl Store for Broken {
    async fn load(&self, aor: &Aor) -> Result<Located, StoreError> {
        let located = self.memory.load(aor).await;
        // Somebody else's turn.
        tokio::task::yield_now().await;
        if self.fails(Fault::IsBehind) {
            return Ok(Located::none());
        }
        located
    }

    async fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> Result<Commit, StoreError> {
        if self.fails(Fault::Forgets) {
            return Ok(Commit::Done(if_version));
        }
        let version = match self.fault {
            Fault::IgnoresVersions => self.memory.find(aor).version,
            _ => if_version,
        };
        self.memory.commit(aor, bindings, version).await
    }

    async fn of_instance(&self, instance: &str) -> Result<Vec<Aor>, StoreError> {
        self.memory.of_instance(instance).await
    }

    fn watch(&self) -> Watch {
        self.memory.watch()
    }
}

async fn verdict(fault: Fault) -> Result<[usize; 3], String> {
    let scene = Arc::new(Scene::default());
    let store = Broken::new(fault);
    crowd(&scene, &store, 4, 50).await;
    for aor in 0..super::phones::AORS {
        scene.ask(&*store, aor, Asked::Query, 0).await;
    }
    scene.judge()
}

#[tokio::test]
async fn a_broken_store_is_rejected_and_a_whole_one_is_not() {
    let [done, late, unknown] = verdict(Fault::None).await.unwrap();
    assert!(done > 100 && done + late == 203 && unknown == 0, "{done} done, {late} too late");
    for fault in [Fault::IgnoresVersions, Fault::Forgets, Fault::IsBehind] {
        assert!(verdict(fault).await.is_err());
    }
}
