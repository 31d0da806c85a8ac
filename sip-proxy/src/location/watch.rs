//! Telling those who watch a store which addresses-of-record change.

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::registrar::Aor;

/// How many changes wait for one who watches and does not ask.
pub(crate) const MAX_WAITING: usize = 10_000;

/// What one who watches a store is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The bindings of this address-of-record are others now, or some of them are over. What only runs out may not be
    /// told: who has the bindings has their ends.
    Changed(Aor),
    /// Changes may have been lost: what is known of any address-of-record may be out of date. Nobody asked while
    /// 10,000 changes came, or the store was cut off from where the bindings are.
    Missed,
}

/// The changes of a store, in order for each address-of-record, from when it was made ([`Store::watch`]). At most
/// 10,000 wait; if there would be more, all of them become one [`Watched::Missed`].
///
/// [`Store::watch`]: super::Store::watch
#[derive(Debug)]
pub struct Watch(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Watched>,
    waker: Option<Waker>,
    /// Nobody is left who could tell more.
    ended: bool,
}

impl Watch {
    /// What is told next, if there is something.
    pub fn try_next(&mut self) -> Option<Watched> {
        lock(&self.0).waiting.pop_front()
    }

    /// What is told next, once there is something; `None` when the store has ended.
    pub async fn next(&mut self) -> Option<Watched> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for who polls by hand.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Watched>> {
        let mut queue = lock(&self.0);
        match queue.waiting.pop_front() {
            Some(told) => Poll::Ready(Some(told)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// All who watch a store.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Weak<Mutex<Queue>>>>);

impl Watchers {
    pub(super) fn watch(&self) -> Watch {
        let queue = Arc::default();
        let mut watchers = lock(&self.0);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&queue));
        Watch(queue)
    }

    pub(super) fn changed(&self, aor: &Aor) {
        self.tell(|| Watched::Changed(aor.clone()));
    }

    #[cfg(feature = "redis")]
    pub(super) fn missed(&self) {
        self.tell(|| Watched::Missed);
    }

    fn tell(&self, told: impl Fn() -> Watched) {
        for watcher in lock(&self.0).iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&watcher);
            match told() {
                Watched::Changed(_) if queue.waiting.len() >= MAX_WAITING => {
                    queue.waiting.clear();
                    queue.waiting.push_back(Watched::Missed);
                }
                Watched::Missed => {
                    queue.waiting.clear();
                    queue.waiting.push_back(Watched::Missed);
                }
                changed => queue.waiting.push_back(changed),
            }
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for watcher in lock(&self.0).iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&watcher);
            queue.ended = true;
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}

/// What is behind these locks is whole at any time: nothing in between can panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
