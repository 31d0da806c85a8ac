//! What is known of a store elsewhere, so that a lookup needs no round trip. Without clock or socket.
//!
//! Changes are told in the order in which they happened, and answers come when they like: an answer that was asked
//! for before a change, and comes after it, must not be kept. So who asks takes a [`Ticket`] first. A change of the
//! address-of-record makes the ticket void, unless the answer is of the very version that the change told of.
//!
//! All of this holds within one *epoch*, the time in which changes are told without a gap: one connection. What is
//! known from another epoch is given with its number, for who has nothing better.

use core::hash::Hasher;
use std::sync::Mutex;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use super::watch::lock;
use super::{Located, Version};
use crate::registrar::Aor;

#[derive(Debug)]
pub(super) struct Cache {
    stripes: Box<[Mutex<Stripe>]>,
    seed: [u64; 2],
}

const STRIPES: usize = 64;

/// What is known of some addresses-of-record. What came first goes first.
#[derive(Debug)]
struct Stripe {
    slots: Vec<Slot>,
    index: HashTable<usize>,
    limit: usize,
    /// Which slot is used next when all are.
    hand: usize,
    /// How many tickets there were.
    tickets: u64,
}

#[derive(Debug)]
struct Slot {
    aor: Aor,
    hash: u64,
    /// What is known, and from which epoch.
    known: Option<(Located, u64)>,
    /// The ticket that counts: another since each change, and never that of another slot.
    ticket: u64,
    /// The version that the last change told of, and its epoch.
    told: Option<(Version, u64)>,
}

/// To be taken before a store is asked, and handed back with its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    number: u64,
    epoch: u64,
}

impl Cache {
    /// For about so many addresses-of-record; `seed` keys the hashes of what peers choose.
    pub(super) fn new(limit: usize, seed: [u64; 2]) -> Self {
        let limit = limit.div_ceil(STRIPES).max(1);
        Self { stripes: (0..STRIPES).map(|_| Mutex::new(Stripe::new(limit))).collect(), seed }
    }

    /// What is known, and from which epoch.
    pub(super) fn find(&self, aor: &Aor) -> Option<(Located, u64)> {
        self.with(aor, |stripe, hash| stripe.slot(hash, aor)?.known.clone())
    }

    /// Before the store is asked, or told.
    pub(super) fn begin(&self, aor: &Aor, epoch: u64) -> Ticket {
        let number = self.with(aor, |stripe, hash| Some(stripe.claim(hash, aor)));
        Ticket { number: number.unwrap_or_default(), epoch }
    }

    /// What the store has answered.
    pub(super) fn put(&self, aor: &Aor, located: &Located, ticket: Ticket) {
        self.with(aor, |stripe, hash| {
            let slot = stripe.slot(hash, aor)?;
            let is_newer = slot.known.as_ref().is_none_or(|(known, epoch)| {
                *epoch < ticket.epoch || located.version > known.version
            });
            let is_told = slot.told == Some((located.version, ticket.epoch));
            if is_told || slot.ticket == ticket.number && is_newer {
                slot.known = Some((located.clone(), ticket.epoch));
            }
            Some(())
        });
    }

    /// A change was told of: what is known is another version, unless it is this one.
    pub(super) fn changed(&self, aor: &Aor, version: Version, epoch: u64) {
        self.with(aor, |stripe, hash| {
            let ticket = stripe.next_ticket();
            let slot = stripe.slot(hash, aor)?;
            slot.ticket = ticket;
            slot.told = Some((version, epoch));
            let is_same = |known: &(Located, u64)| known.0.version == version && known.1 == epoch;
            slot.known = slot.known.take().filter(is_same);
            Some(())
        });
    }

    /// What is known is wrong.
    pub(super) fn forget(&self, aor: &Aor) {
        self.with(aor, |stripe, hash| {
            let ticket = stripe.next_ticket();
            let slot = stripe.slot(hash, aor)?;
            (slot.known, slot.ticket) = (None, ticket);
            Some(())
        });
    }

    fn with<T>(&self, aor: &Aor, act: impl FnOnce(&mut Stripe, u64) -> Option<T>) -> Option<T> {
        let mut hasher = SipHasher13::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write(aor.as_str().as_bytes());
        let hash = hasher.finish();
        // The table uses the low bits and the highest.
        let stripe = self.stripes.get((hash >> 32) as usize % STRIPES)?;
        act(&mut lock(stripe), hash)
    }
}

impl Stripe {
    fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), index: HashTable::new(), limit, hand: 0, tickets: 0 }
    }

    fn slot(&mut self, hash: u64, aor: &Aor) -> Option<&mut Slot> {
        let slots = &self.slots;
        let place = *self.index.find(hash, |place| {
            slots.get(*place).is_some_and(|slot| slot.hash == hash && slot.aor == *aor)
        })?;
        self.slots.get_mut(place)
    }

    /// The ticket of this address-of-record, which has a slot from now on.
    fn claim(&mut self, hash: u64, aor: &Aor) -> u64 {
        if let Some(slot) = self.slot(hash, aor) {
            return slot.ticket;
        }
        let ticket = self.next_ticket();
        let slot = Slot { aor: aor.clone(), hash, known: None, ticket, told: None };
        let is_full = self.slots.len() >= self.limit;
        let place = match self.slots.get_mut(self.hand) {
            Some(oldest) if is_full => {
                let place = self.hand;
                self.hand = place.wrapping_add(1).checked_rem(self.limit).unwrap_or(0);
                let old = core::mem::replace(oldest, slot);
                if let Ok(entry) = self.index.find_entry(old.hash, |other| *other == place) {
                    entry.remove();
                }
                place
            }
            _ => {
                self.slots.push(slot);
                self.slots.len().saturating_sub(1)
            }
        };
        let slots = &self.slots;
        let hasher = |place: &usize| slots.get(*place).map_or(0, |slot| slot.hash);
        self.index.insert_unique(hash, place, hasher);
        ticket
    }

    fn next_ticket(&mut self) -> u64 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }
}

#[cfg(test)]
mod tests;
