//! Which counts of which nonces have been used: nothing is let through twice.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::NonceId;

/// How many counts behind the highest may still come: requests overtake each other on UDP.
const WINDOW: u32 = 64;

/// One use of a nonce, proven to be its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceUse {
    pub(crate) nonce: NonceId,
    pub(crate) nc: u32,
    pub(crate) expires: Duration,
}

impl NonceUse {
    /// The nonce.
    pub fn nonce(&self) -> &NonceId {
        &self.nonce
    }

    /// Its count. Of a client that does not count (RFC 2069) always 1: its nonces serve once.
    pub fn nc(&self) -> u32 {
        self.nc
    }

    /// Whether more than half of the nonce's life is over: time to give its owner the next one
    /// ([`Authority::next_nonce`](crate::Authority::next_nonce)).
    pub fn is_ageing(&self, now: Duration) -> bool {
        let life = self.expires.saturating_sub(self.nonce.made());
        now.saturating_sub(self.nonce.made()) > life.checked_div(2).unwrap_or_default()
    }

    /// When the nonce runs out, since 1970: then it may be forgotten.
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

/// Whether a use is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nobody has used this count of this nonce.
    First,
    /// Somebody has, or nobody can tell any more.
    Repeated,
}

/// What remembers uses of nonces: [`UsedNonces`], or a store that the servers of a cluster share.
///
/// A shared store must record and judge in one step, so that two servers do not both find a use to be the
/// first. One that is asked over a network can be awaited: see
/// [`Proof::settle`](crate::Proof::settle).
pub trait NonceStore {
    /// Records a use and judges it.
    fn record(&mut self, used: &NonceUse, now: Duration) -> Use;
}

/// Uses of nonces in the memory of one server.
///
/// It holds no more nonces than it is told. Those that have run out make room first; if there are none,
/// the oldest is forgotten, and from then on it, and every other nonce as old that is not held, counts as
/// used: its owner is given a new one (`stale=true`), a replay gets nothing. Only who proved to know a secret
/// gets a nonce in here.
#[derive(Debug, Clone)]
pub struct UsedNonces {
    used: BTreeMap<NonceId, Counts>,
    limit: usize,
    /// Nonces that were made before and are not held are forgotten, not new.
    forgotten: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    highest: u32,
    /// Bit n: whether `highest - n` was used.
    below: u64,
    expires: Duration,
}

impl UsedNonces {
    /// For at most so many nonces (about 100 bytes each). Nonces that were made before `start`, as by this
    /// server before it was started anew, count as used.
    pub fn new(limit: usize, start: Duration) -> Self {
        Self { used: BTreeMap::new(), limit: limit.max(1), forgotten: start }
    }

    /// How many nonces are held.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    fn make_room(&mut self, now: Duration) {
        // They are in order of their making.
        while let Some(first) = self.used.first_entry() {
            if first.get().expires >= now {
                break;
            }
            first.remove();
        }
        while self.used.len() >= self.limit {
            let Some((oldest, _)) = self.used.pop_first() else { break };
            // Others may have been made within the same millisecond.
            let after = oldest.made().saturating_add(Duration::from_millis(1));
            self.forgotten = self.forgotten.max(after);
        }
    }
}

impl NonceStore for UsedNonces {
    fn record(&mut self, used: &NonceUse, now: Duration) -> Use {
        if let Some(counts) = self.used.get_mut(&used.nonce) {
            return counts.record(used.nc);
        }
        if used.nonce.made() < self.forgotten {
            return Use::Repeated;
        }
        self.make_room(now);
        let counts = Counts { highest: used.nc, below: 1, expires: used.expires };
        self.used.insert(used.nonce, counts);
        Use::First
    }
}

impl Counts {
    fn record(&mut self, nc: u32) -> Use {
        if let Some(ahead) = nc.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.below = self.below.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = nc;
            return Use::First;
        }
        let behind = self.highest.saturating_sub(nc);
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        if behind >= WINDOW || self.below & bit != 0 {
            return Use::Repeated;
        }
        self.below |= bit;
        Use::First
    }
}

#[cfg(test)]
mod tests;
