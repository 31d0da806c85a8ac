//! The way from the shard to a handle: a small bounded queue of events that ends with one last word.
//!
//! Ten thousand held calls are ten thousand of these, nearly all empty: an empty one owns no memory
//! beside itself (a channel of tokio keeps a block of 32 slots). It knows no runtime either: a mutex
//! held for a few instructions and a waker.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[cfg(test)]
mod tests;

/// How many events may wait in a mailbox before informational ones are dropped.
pub(crate) const CAPACITY: usize = 64;

/// Events of type `T` for one reader, and at last one `E` that never lacks room.
#[derive(Debug)]
pub(super) struct Mailbox<T, E> {
    state: Mutex<State<T, E>>,
}

#[derive(Debug)]
struct State<T, E> {
    queue: VecDeque<T>,
    end: Option<E>,
    end_was_read: bool,
    dropped: u32,
    reader: Option<Waker>,
}

/// What a reader takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letter<T, E> {
    Event(T),
    /// The last: comes once.
    End(E),
}

impl<T, E: Clone> Mailbox<T, E> {
    pub(super) fn new() -> Self {
        let state = State {
            queue: VecDeque::new(),
            end: None,
            end_was_read: false,
            dropped: 0,
            reader: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// Puts an event in that the reader can live without. A full mailbox gives it back, and counts.
    pub(super) fn offer(&self, event: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(event);
        }
        if state.queue.len() >= CAPACITY {
            state.dropped = state.dropped.saturating_add(1);
            return Err(event);
        }
        state.queue.push_back(event);
        wake(state);
        Ok(())
    }

    /// Puts an event in that the reader must see. The protocol bounds how many of these there are.
    pub(super) fn push(&self, event: T) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.queue.push_back(event);
            wake(state);
        }
    }

    /// Puts an event in; a full mailbox lets its oldest one go for it.
    pub(super) fn push_latest(&self, event: T) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        if state.queue.len() >= CAPACITY {
            state.dropped = state.dropped.saturating_add(1);
            state.queue.pop_front();
        }
        state.queue.push_back(event);
        wake(state);
    }

    /// Says the last word; the first one counts.
    pub(super) fn end(&self, end: E) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
            wake(state);
        }
    }

    /// The next event, or the end once, then `None`. One reader at a time: the latest is woken.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Letter<T, E>>> {
        let mut state = self.lock();
        if let Some(event) = state.queue.pop_front() {
            if state.queue.is_empty() {
                // The state of rest of a call that goes on for an hour: give the memory back.
                state.queue = VecDeque::new();
            }
            return Poll::Ready(Some(Letter::Event(event)));
        }
        if let Some(end) = &state.end {
            let end = (!state.end_was_read).then(|| Letter::End(end.clone()));
            state.end_was_read = true;
            return Poll::Ready(end);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The last word, if it was said, whether or not it was read.
    pub(super) fn ended(&self) -> Option<E> {
        self.lock().end.clone()
    }

    /// How many events were dropped for lack of room.
    pub(super) fn dropped(&self) -> u32 {
        self.lock().dropped
    }

    /// Throws away what waits. The caller drops it: events may hold handles, and their drop may want
    /// this mailbox.
    pub(super) fn take_all(&self) -> VecDeque<T> {
        std::mem::take(&mut self.lock().queue)
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        // No code of a user runs under the lock, and every state between two lines is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the reader, after the lock is let go: a waker may run anything.
fn wake<T, E>(mut state: MutexGuard<'_, State<T, E>>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}
