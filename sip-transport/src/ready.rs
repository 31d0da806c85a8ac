//! Which of a task's many sources have something, so that a turn asks only those.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(test)]
mod tests;

/// The sources of one task, each with a waker of its own.
///
/// A task that waits for many things (listeners, channels, a timer) and is woken by one of them would
/// have to ask them all, and each that has nothing takes its lock to remember the waker once more.
/// Here a source that said `Pending` is not asked again before it woke the task.
///
/// Each turn begins with [`begin`](Self::begin); then every source is asked by
/// [`poll`](Self::poll). A source that may have something for another reason than its waker is
/// [`mark`](Self::mark)ed.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use sip_transport::ReadySet;
///
/// let mut sources = ReadySet::new(2);
/// sources.begin(&mut Context::from_waker(Waker::noop()));
/// let mut asked = 0;
/// for _ in 0..3 {
///     let _: Poll<()> = sources.poll(1, |_| {
///         asked += 1;
///         Poll::Pending
///     });
/// }
/// assert_eq!(asked, 1);
/// ```
#[derive(Debug)]
pub struct ReadySet {
    shared: Arc<Shared>,
    wakers: Box<[Waker]>,
    /// A bit for each source to ask.
    ready: u64,
    /// The task's waker, as `shared` has it.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    woken: AtomicU64,
    task: Mutex<Option<Waker>>,
}

#[derive(Debug)]
struct Source {
    shared: Arc<Shared>,
    bit: u64,
}

impl Wake for Source {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Who set the first bit since the last turn has woken the task.
        if self.shared.woken.fetch_or(self.bit, Ordering::AcqRel) != 0 {
            return;
        }
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl ReadySet {
    /// A set of that many sources, 0 the first; all are to be asked. Beyond 64, the last share one
    /// waker.
    #[must_use]
    pub fn new(sources: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let wakers = (0..sources)
            .map(|index| {
                Waker::from(Arc::new(Source { shared: Arc::clone(&shared), bit: bit(index) }))
            })
            .collect();
        Self { shared, wakers, ready: u64::MAX, task: None }
    }

    /// Begins a turn of the task that `cx` is of: takes in which sources woke it.
    pub fn begin(&mut self, cx: &Context<'_>) {
        // First, so that whoever sets a bit from here on wakes this task.
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            let task = cx.waker().clone();
            self.task = Some(task.clone());
            *self.shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        self.ready |= self.shared.woken.swap(0, Ordering::AcqRel);
    }

    /// Asks a source, if it may have something; else it is pending. `ask` must register the waker of
    /// its context wherever it gives [`Poll::Pending`].
    #[inline]
    pub fn poll<T>(
        &mut self,
        source: usize,
        ask: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let bit = bit(source);
        if self.ready & bit == 0 {
            return Poll::Pending;
        }
        let Some(waker) = self.wakers.get(source) else { return Poll::Pending };
        let result = ask(&mut Context::from_waker(waker));
        // Those that share the last bit are all asked until each has said it has nothing.
        if result.is_pending() && source < SHARED {
            self.ready &= !bit;
        }
        result
    }

    /// The source is to be asked in any case.
    pub fn mark(&mut self, source: usize) {
        self.ready |= bit(source);
    }
}

/// From here on sources share a bit.
const SHARED: usize = 63;

fn bit(source: usize) -> u64 {
    1 << source.min(SHARED)
}
