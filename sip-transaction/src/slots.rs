//! A table of slots with generations: a key of something gone never finds what came after it.

/// Where a value stands: the number of its slot, and how often the slot was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// The first vacant slot; each vacant slot names the next.
    vacant: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Vacant { next: u32 },
    Full(T),
}

const NONE: u32 = u32::MAX;

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), vacant: NONE, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What one slot takes.
    #[cfg(test)]
    pub(crate) fn slot_bytes() -> usize {
        size_of::<Slot<T>>()
    }

    /// The key that the next insertion will give.
    pub(crate) fn next_key(&self) -> SlotKey {
        match self.slots.get(self.vacant as usize) {
            Some(found) => SlotKey { slot: self.vacant, generation: found.generation },
            None => SlotKey { slot: self.slots.len() as u32, generation: 1 },
        }
    }

    /// Puts a value into a vacant slot. The caller bounds how many there may be, far below 2³².
    pub(crate) fn insert(&mut self, value: T) -> SlotKey {
        self.len += 1;
        let slot = self.vacant;
        if let Some(found) = self.slots.get_mut(slot as usize) {
            if let Content::Vacant { next } = found.content {
                self.vacant = next;
            }
            found.content = Content::Full(value);
            return SlotKey { slot, generation: found.generation };
        }
        let slot = self.slots.len() as u32;
        self.slots.push(Slot { generation: 1, content: Content::Full(value) });
        SlotKey { slot, generation: 1 }
    }

    pub(crate) fn get(&self, key: SlotKey) -> Option<&T> {
        match self.slots.get(key.slot as usize) {
            Some(Slot { generation, content: Content::Full(value) })
                if *generation == key.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize) {
            Some(Slot { generation, content: Content::Full(value) })
                if *generation == key.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value in a slot, whatever its generation: for those who keep slot numbers only while the
    /// value lives (the match table).
    pub(crate) fn at(&self, slot: u32) -> Option<(SlotKey, &T)> {
        match self.slots.get(slot as usize) {
            Some(Slot { generation, content: Content::Full(value) }) => {
                Some((SlotKey { slot, generation: *generation }, value))
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<T> {
        let found = self.slots.get_mut(key.slot as usize)?;
        if found.generation != key.generation || matches!(found.content, Content::Vacant { .. }) {
            return None;
        }
        // Generation 0 is never given out, so that a key is never all zero.
        found.generation = found.generation.wrapping_add(1).max(1);
        let content = core::mem::replace(&mut found.content, Content::Vacant { next: self.vacant });
        self.vacant = key.slot;
        self.len -= 1;
        match content {
            Content::Full(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_does_not_find_the_next_value_of_its_slot() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let expected = slots.next_key();
        let second = slots.insert("second");
        assert_eq!(second, expected);
        assert_eq!(slots.next_key(), SlotKey { slot: 1, generation: 1 });
        assert_eq!(second.slot, first.slot);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.at(second.slot), Some((second, &"second")));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn vacant_slots_are_used_again_before_new_ones() {
        let mut slots = Slots::new();
        let keys: Vec<_> = (0..4).map(|n| slots.insert(n)).collect();
        for key in &keys {
            slots.remove(*key);
        }
        assert_eq!(slots.len(), 0);
        let again: Vec<u32> = (0..4).map(|n| slots.insert(n).slot).collect();
        assert_eq!(again, [3, 2, 1, 0]);
        assert_eq!(slots.at(4), None);
    }
}
