//! The timers of a shard: hundreds of thousands live, ten operations a transaction.
//!
//! SIP's intervals are a finite set (T1·2ⁿ, T2, T4, 64·T1 …). Timers of one interval fire in the order
//! they were armed, so each interval has a first-in-first-out list and needs no sorting: arming
//! appends, cancelling unlinks, both O(1). The few other durations (a session timer, an Expires) go
//! through an ordered map. All timers stand in one slab; the lists are links within it.

use core::time::Duration;
use std::collections::BTreeSet;
use std::time::Instant;

/// A timer that was armed. Of no use after it fired or was cancelled, and harmless then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    slot: u32,
    generation: u32,
}

/// Nanoseconds since the store was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticks(u64);

#[derive(Debug)]
pub(crate) struct TimerStore<T> {
    start: Instant,
    /// The latest time seen. Time that goes backwards counts as standing still, so that the lists
    /// stay sorted.
    latest: Ticks,
    slots: Vec<Slot<T>>,
    vacant: u32,
    lists: Vec<List>,
    ordered: BTreeSet<(Ticks, u32)>,
    /// The soonest deadline of all, and where it stands.
    next: Option<(Ticks, u32)>,
    len: usize,
}

#[derive(Debug)]
struct List {
    interval: u64,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Slot<T> {
    deadline: Ticks,
    generation: u32,
    /// Neighbours in the list; `next` also chains the vacant slots.
    previous: u32,
    next: u32,
    home: Home,
    content: Option<T>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    List(u8),
    Ordered,
}

const NONE: u32 = u32::MAX;

impl<T> TimerStore<T> {
    /// A store with a list for each of the intervals, which [`arm_nth`](Self::arm_nth) names by
    /// their place. At most 255 of them.
    pub(crate) fn new(start: Instant, intervals: &[Duration]) -> Self {
        let lists = intervals.iter().take(usize::from(u8::MAX));
        Self {
            start,
            latest: Ticks(0),
            slots: Vec::new(),
            vacant: NONE,
            lists: lists
                .map(|interval| List { interval: nanos(*interval), first: NONE, last: NONE })
                .collect(),
            ordered: BTreeSet::new(),
            next: None,
            len: 0,
        }
    }

    /// What one timer takes.
    #[cfg(test)]
    pub(crate) fn slot_bytes() -> usize {
        size_of::<Slot<T>>()
    }

    /// How many timers are armed.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next.and_then(|(at, _)| self.start.checked_add(Duration::from_nanos(at.0)))
    }

    /// Arms a timer of the interval at this place of the list given to [`new`](Self::new).
    pub(crate) fn arm_nth(&mut self, now: Instant, interval: usize, value: T) -> TimerKey {
        let now = self.advance(now);
        let Some(list) = self.lists.get_mut(interval) else {
            return self.arm_ordered(now, value);
        };
        let (deadline, previous) = (Ticks(now.0.saturating_add(list.interval)), list.last);
        let key = self.insert(deadline, Home::List(interval as u8), previous, value);
        match self.slots.get_mut(previous as usize) {
            Some(before) => before.next = key.slot,
            None => self.set_first(interval, key.slot),
        }
        if let Some(list) = self.lists.get_mut(interval) {
            list.last = key.slot;
        }
        key
    }

    /// Arms a timer of any duration.
    pub(crate) fn arm(&mut self, now: Instant, after: Duration, value: T) -> TimerKey {
        let after = nanos(after);
        match self.lists.iter().position(|list| list.interval == after) {
            Some(interval) => self.arm_nth(now, interval, value),
            None => {
                let deadline = Ticks(self.advance(now).0.saturating_add(after));
                self.arm_ordered(deadline, value)
            }
        }
    }

    /// Takes a timer back; what it carried, unless it fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation != key.generation || slot.content.is_none() {
            return None;
        }
        self.take(key.slot)
    }

    /// The timer that was to fire first, if its time has come. Timers of one interval come in the order they
    /// were armed; how timers of different intervals but one deadline are ordered is the same in
    /// every run.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        let now = self.advance(now);
        match self.next {
            Some((deadline, slot)) if deadline <= now => self.take(slot),
            _ => None,
        }
    }

    fn arm_ordered(&mut self, deadline: Ticks, value: T) -> TimerKey {
        let key = self.insert(deadline, Home::Ordered, NONE, value);
        self.ordered.insert((deadline, key.slot));
        key
    }

    fn insert(&mut self, deadline: Ticks, home: Home, previous: u32, value: T) -> TimerKey {
        self.len += 1;
        let slot = self.vacant;
        let key = match self.slots.get_mut(slot as usize) {
            Some(found) => {
                self.vacant = found.next;
                *found = Slot {
                    deadline,
                    generation: found.generation,
                    previous,
                    next: NONE,
                    home,
                    content: Some(value),
                };
                TimerKey { slot, generation: found.generation }
            }
            None => {
                let slot = self.slots.len() as u32;
                let content = Some(value);
                self.slots.push(Slot {
                    deadline,
                    generation: 0,
                    previous,
                    next: NONE,
                    home,
                    content,
                });
                TimerKey { slot, generation: 0 }
            }
        };
        if self.next.is_none_or(|(soonest, _)| deadline < soonest) {
            self.next = Some((deadline, key.slot));
        }
        key
    }

    /// Empties a slot and unlinks it.
    fn take(&mut self, slot: u32) -> Option<T> {
        let vacant = self.vacant;
        let found = self.slots.get_mut(slot as usize)?;
        let content = found.content.take()?;
        let (deadline, home) = (found.deadline, found.home);
        let (previous, next) = (found.previous, found.next);
        found.generation = found.generation.wrapping_add(1);
        found.next = vacant;
        self.vacant = slot;
        self.len -= 1;
        match home {
            Home::Ordered => {
                self.ordered.remove(&(deadline, slot));
            }
            Home::List(list) => {
                let list = usize::from(list);
                match self.slots.get_mut(previous as usize) {
                    Some(before) => before.next = next,
                    None => self.set_first(list, next),
                }
                match self.slots.get_mut(next as usize) {
                    Some(after) => after.previous = previous,
                    None => {
                        if let Some(list) = self.lists.get_mut(list) {
                            list.last = previous;
                        }
                    }
                }
            }
        }
        if self.next.is_some_and(|(_, soonest)| soonest == slot) {
            self.next = self.soonest();
        }
        Some(content)
    }

    fn set_first(&mut self, list: usize, slot: u32) {
        if let Some(list) = self.lists.get_mut(list) {
            list.first = slot;
        }
    }

    /// The soonest of the lists' heads and of the map: a look at each, a dozen in all.
    fn soonest(&self) -> Option<(Ticks, u32)> {
        let heads = self.lists.iter().filter_map(|list| {
            self.slots.get(list.first as usize).map(|slot| (slot.deadline, list.first))
        });
        heads.chain(self.ordered.first().copied()).min_by_key(|(deadline, _)| *deadline)
    }

    fn advance(&mut self, now: Instant) -> Ticks {
        let now = Ticks(nanos(now.saturating_duration_since(self.start)));
        self.latest = self.latest.max(now);
        self.latest
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
