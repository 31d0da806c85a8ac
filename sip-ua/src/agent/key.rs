//! Keys of what the agent keeps, and the tables behind them.
//!
//! A key is a slot and the generation of what is in it, so that a key whose thing is gone finds nothing,
//! even when the slot has a new tenant. Both fit in 59 bits: a timer token holds a key and five bits of
//! what the timer is for.

use core::fmt;

/// Bits of a key that say the slot; the 27 above them are the generation.
const SLOT_BITS: u32 = 32;
const GENERATION_MASK: u32 = (1 << 27) - 1;
/// Bits of a key.
pub(crate) const KEY_BITS: u32 = SLOT_BITS + GENERATION_MASK.count_ones();

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The key as a number below 2^59, for logs and tables.
            pub fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl From<RawKey> for $name {
            fn from(raw: RawKey) -> Self {
                Self(raw.0)
            }
        }

        impl From<$name> for RawKey {
            fn from(key: $name) -> Self {
                Self(key.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let raw = RawKey(self.0);
                write!(f, concat!(stringify!($name), "({}.{})"), raw.slot(), raw.generation())
            }
        }
    };
}

key! {
    /// One call of an [`Agent`](crate::Agent), from its INVITE to its `Ended` event.
    CallKey
}
key! {
    /// One request that an [`Agent`](crate::Agent) sent for the application and whose answer it owes.
    RequestKey
}
key! {
    /// One subscription of an [`Agent`](crate::Agent): some state that it is told of.
    SubscriptionKey
}
key! {
    /// One subscription of a peer, whom an [`Agent`](crate::Agent) tells of some state.
    NotifierKey
}
key! {
    /// One REFER that an [`Agent`](crate::Agent) sent or received, and what comes of it.
    ReferKey
}
key! {
    /// One bridge between two calls, of those that [`Bridges`](crate::Bridges) keep.
    BridgeKey
}
key! {
    /// One registration that an [`Agent`](crate::Agent) keeps alive.
    RegistrationKey
}
key! {
    /// One state that an [`Agent`](crate::Agent) publishes and keeps so.
    PublicationKey
}

/// What all keys are underneath.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawKey(u64);

impl RawKey {
    fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation & GENERATION_MASK) << SLOT_BITS | u64::from(slot))
    }

    fn slot(self) -> u32 {
        self.0 as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> SLOT_BITS) as u32 & GENERATION_MASK
    }

    /// The number from which [`RawKey::from_bits`] makes the key again: below 2^59.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << KEY_BITS) - 1))
    }
}

/// A table of slots: insertion, look-up and removal are O(1); the memory of a removed entry is used again.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The first vacant slot; `u32::MAX` if none is.
    vacant: u32,
    len: usize,
}

struct Entry<T> {
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Vacant { next: u32 },
    Occupied(T),
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), vacant: NONE, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All values, in no order that means anything.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match &entry.content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        })
    }

    /// All keys with their values, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RawKey, &T)> {
        self.entries.iter().zip(0..).filter_map(|(entry, slot)| match &entry.content {
            Content::Occupied(value) => Some((RawKey::new(slot, entry.generation), value)),
            Content::Vacant { .. } => None,
        })
    }

    /// `make` is told the key that its value gets. With 2^32 - 1 entries the table is full and gives
    /// `None`; the limits of the configuration are far below.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(RawKey) -> T) -> Option<RawKey> {
        let slot = if self.vacant == NONE {
            let slot = u32::try_from(self.entries.len()).ok().filter(|slot| *slot != NONE)?;
            self.entries.push(Entry { generation: 0, content: Content::Vacant { next: NONE } });
            slot
        } else {
            self.vacant
        };
        let entry = self.entries.get_mut(slot as usize)?;
        if let Content::Vacant { next } = entry.content {
            self.vacant = next;
        }
        let key = RawKey::new(slot, entry.generation);
        entry.content = Content::Occupied(make(key));
        self.len += 1;
        Some(key)
    }

    pub(crate) fn get(&self, key: impl Into<RawKey>) -> Option<&T> {
        let key = key.into();
        match self.entries.get(key.slot() as usize) {
            Some(Entry { generation, content: Content::Occupied(value) })
                if *generation == key.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: impl Into<RawKey>) -> Option<&mut T> {
        let key = key.into();
        match self.entries.get_mut(key.slot() as usize) {
            Some(Entry { generation, content: Content::Occupied(value) })
                if *generation == key.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: impl Into<RawKey>) -> Option<T> {
        let key = key.into();
        let vacant = self.vacant;
        let entry = self.entries.get_mut(key.slot() as usize)?;
        if entry.generation != key.generation() || matches!(entry.content, Content::Vacant { .. }) {
            return None;
        }
        let content = core::mem::replace(&mut entry.content, Content::Vacant { next: vacant });
        entry.generation = entry.generation.wrapping_add(1) & GENERATION_MASK;
        self.vacant = key.slot();
        self.len -= 1;
        match content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_tenant_but_finds_no_other() {
        let mut slab = Slab::new();
        let first = slab.insert_with(|_| "first").unwrap();
        assert_eq!(slab.get(first), Some(&"first"));
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert_with(|_| "second").unwrap();
        assert_eq!(second.slot(), first.slot(), "the slot is used again");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.remove(second), Some("second"));
        assert_eq!((slab.remove(second), slab.len()), (None, 0));
    }

    #[test]
    fn slots_are_reused_last_out_first_in() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..4).map(|n| slab.insert_with(|_| n).unwrap()).collect();
        slab.remove(keys[1]);
        slab.remove(keys[3]);
        let again = [slab.insert_with(|_| 10).unwrap(), slab.insert_with(|_| 11).unwrap()];
        assert_eq!(again.map(|key| key.slot()), [3, 1]);
        assert_eq!(slab.insert_with(|_| 12).unwrap().slot(), 4);
        assert_eq!(slab.len(), 5);
    }

    #[test]
    fn a_key_survives_its_number() {
        let key = RawKey::new(7, GENERATION_MASK);
        assert!(key.bits() < 1 << KEY_BITS);
        assert!(RawKey::from_bits(key.bits()) == key);
        assert_eq!(format!("{:?}", CallKey::from(RawKey::new(7, 3))), "CallKey(7.3)");
    }
}
