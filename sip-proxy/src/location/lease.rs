//! Which of the nodes that share a store live, as far as one of them knows. Without clock or socket.
//!
//! A binding that is reached only by a connection of a node ends with the node. Nobody says so when a node dies: each
//! renews a lease while it lives, and all hear who has one.
//!
//! Who cannot hear does not know: without the store, all are taken for what they were. After that nobody is taken for
//! dead before a whole lease has passed, since the others may come back to the store later, with leases that have run
//! out meanwhile.

use core::time::Duration;
use std::collections::HashSet;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Leases {
    alive: HashSet<String>,
    /// Those who said goodbye, until they are seen to be without a lease: a list from before may come after that.
    gone: HashSet<String>,
    /// From when on the list is believed: `None` while nothing is heard.
    counts_from: Option<Instant>,
    /// How long a node may be silent.
    lease: Duration,
}

impl Leases {
    pub(super) fn new(lease: Duration) -> Self {
        Self { alive: HashSet::new(), gone: HashSet::new(), counts_from: None, lease }
    }

    /// All who have a lease now.
    pub(super) fn heard(&mut self, now: Instant, alive: impl IntoIterator<Item = String>) {
        let list: HashSet<String> = alive.into_iter().collect();
        match self.counts_from {
            Some(from) if from <= now => {
                self.gone.retain(|node| list.contains(node));
                self.alive = list;
            }
            // Who was there is taken to be there still.
            Some(_) => self.alive.extend(list),
            None => {
                self.counts_from = now.checked_add(self.lease);
                self.alive.extend(list);
            }
        }
    }

    /// A node says that it ends. Its name does not come again.
    pub(super) fn gone(&mut self, node: &str) {
        self.gone.insert(node.to_owned());
    }

    /// The store is gone.
    pub(super) fn deafened(&mut self) {
        self.counts_from = None;
    }

    pub(super) fn is_alive(&self, now: Instant, node: &str) -> bool {
        let is_believed = self.counts_from.is_some_and(|from| from <= now);
        !self.gone.contains(node) && (self.alive.contains(node) || !is_believed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    #[test]
    fn a_node_is_dead_when_it_has_no_lease_and_not_because_we_cannot_hear() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut leases = Leases::new(LEASE);
        let both = || ["a".to_owned(), "b".to_owned()];
        let only_a = || ["a".to_owned()];
        assert!(leases.is_alive(at(0), "b"), "nothing is known yet");
        leases.heard(at(0), both());
        leases.heard(at(15), both());
        assert!(leases.is_alive(at(15), "b") && !leases.is_alive(at(15), "c"));
        leases.heard(at(20), only_a());
        assert!(leases.is_alive(at(20), "a") && !leases.is_alive(at(20), "b"));

        // The store goes away and comes back: those who are not back yet have a lease's time for it.
        leases.heard(at(21), both());
        leases.deafened();
        assert!(leases.is_alive(at(1000), "a") && leases.is_alive(at(1000), "b"));
        leases.heard(at(1001), []);
        assert!(leases.is_alive(at(1015), "a") && leases.is_alive(at(1015), "b"));
        leases.heard(at(1016), only_a());
        assert!(leases.is_alive(at(1016), "a") && !leases.is_alive(at(1016), "b"));
    }

    #[test]
    fn who_says_goodbye_is_dead_at_once_whatever_was_heard_before() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut leases = Leases::new(LEASE);
        let both = || ["a".to_owned(), "b".to_owned()];
        leases.heard(at(0), both());
        leases.gone("b");
        assert!(leases.is_alive(at(1), "a") && !leases.is_alive(at(1), "b"));
        for second in [1, 16] {
            // What was asked before it said so.
            leases.heard(at(second), both());
            assert!(leases.is_alive(at(17), "a") && !leases.is_alive(at(17), "b"));
        }
        leases.heard(at(18), ["a".to_owned()]);
        assert!(leases.gone.is_empty() && !leases.is_alive(at(18), "b"));
    }
}
