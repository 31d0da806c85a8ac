//! The store of a server that is alone.

use core::future::{Future, ready};
use core::hash::Hasher;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as WideHasher};

use super::watch::{Watchers, lock};
use super::{Commit, Located, Store, StoreError, Version, Watch};
use crate::registrar::{Aor, Binding};

/// How much a [`Memory`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// How many addresses-of-record may have bindings. Default 1,000,000.
    pub aors: usize,
    /// How many bindings there may be in all. Default 2,000,000; a typical one takes less than 500 bytes.
    pub bindings: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { aors: 1_000_000, bindings: 2_000_000 }
    }
}

impl MemoryLimits {
    /// Sets how many addresses-of-record may have bindings.
    #[must_use]
    pub fn aors(mut self, aors: usize) -> Self {
        self.aors = aors;
        self
    }

    /// Sets how many bindings there may be in all.
    #[must_use]
    pub fn bindings(mut self, bindings: usize) -> Self {
        self.bindings = bindings;
        self
    }
}

/// The store of a server that is alone: in memory, for any number of shards.
///
/// - What was committed is seen by every call that begins after that ([`lookup`](Store::lookup) too), and lost when
///   the process ends: phones come back when they refresh.
/// - Its futures are ready at once.
/// - Beyond its limits [`commit`](Store::commit) gives [`StoreError::Full`]; what there is can be refreshed and
///   removed.
/// - Bindings that are over are given until [`expire`](Store::expire) was called; that costs by how many are due, not
///   by how many there are.
#[derive(Debug)]
pub struct Memory {
    /// Each under its own lock, which is held for as long as it takes to copy a pointer or to replace a list. Shards
    /// that work at once mostly meet different ones.
    stripes: Box<[Mutex<Stripe>]>,
    seed: [u64; 2],
    limits: MemoryLimits,
    aors: AtomicUsize,
    bindings: AtomicUsize,
    watchers: Watchers,
}

const STRIPES: usize = 64;

/// How many addresses-of-record one call of `expire` looks at.
const MAX_EXPIRED: usize = 10_000;

/// How many addresses-of-record `of_instance` gives at most.
const MAX_OF_INSTANCE: usize = 100;

/// A part of the addresses-of-record.
#[derive(Debug, Default)]
struct Stripe {
    table: HashTable<Entry>,
    /// When which entry is to be looked at next: one for each.
    ends: BTreeSet<End>,
    /// Ordered, since any number of phones may say that they are the same one.
    instances: BTreeSet<Instance>,
    /// How many versions there were.
    versions: u64,
}

/// One address-of-record.
#[derive(Debug)]
struct Entry {
    id: Id,
    aor: Aor,
    bindings: Arc<[Binding]>,
    version: Version,
    /// The second at which it is in `Stripe::ends`: never after its first binding is over, maybe before.
    due: u32,
}

/// An address-of-record, hashed by a key that nobody knows to so many bits that no two are the same. What is looked
/// up need not touch the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    /// Its place in the table.
    hash: u64,
    /// Its stripe, and to tell it from others.
    rest: u64,
}

/// A second, and the `Id::hash` of an entry in halves: so it takes 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    due: u32,
    hash: [u32; 2],
}

/// An instance, and who has a binding of it: hashes of both. Different ones may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Instance {
    instance: u32,
    hash: [u32; 2],
}

impl Memory {
    /// An empty one. `seed` keys the hashes of what peers choose: it is to be random and secret.
    #[must_use]
    pub fn new(limits: MemoryLimits, seed: [u64; 2]) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            seed,
            limits,
            aors: AtomicUsize::new(0),
            bindings: AtomicUsize::new(0),
            watchers: Watchers::default(),
        }
    }

    /// How many addresses-of-record have bindings.
    #[must_use]
    pub fn aors(&self) -> usize {
        self.aors.load(Ordering::Relaxed)
    }

    /// How many bindings there are, with those that are over and not yet forgotten.
    #[must_use]
    pub fn bindings(&self) -> usize {
        self.bindings.load(Ordering::Relaxed)
    }

    /// [`Store::load`], without a future.
    #[must_use]
    pub fn find(&self, aor: &Aor) -> Located {
        let id = self.id(aor);
        let found = self.stripe(id).and_then(|stripe| {
            let stripe = lock(stripe);
            let entry = stripe.table.find(id.hash, |entry| entry.id == id)?;
            Some(Located { bindings: Arc::clone(&entry.bindings), version: entry.version })
        });
        found.unwrap_or_else(Located::none)
    }

    /// [`Store::commit`], without a future.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub fn replace(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> Result<Commit, StoreError> {
        let id = self.id(aor);
        let Some(stripe) = self.stripe(id) else { return Err(StoreError::Full) };
        let mut stripe = lock(stripe);
        let found = stripe.table.find(id.hash, |entry| entry.id == id);
        let (version, before) = found.map_or((Version::NONE, None), |entry| {
            (entry.version, Some(Arc::clone(&entry.bindings)))
        });
        if version != if_version {
            return Ok(Commit::Conflict);
        }
        let had = before.as_ref().map_or(0, |before| before.len());
        self.make_room(before.is_none(), had, bindings.len())?;
        let version = stripe.put(id, aor, bindings.into(), self.seed);
        drop(stripe);
        self.watchers.changed(aor);
        Ok(Commit::Done(version))
    }

    /// Counts what an address-of-record has now.
    fn make_room(&self, is_new: bool, had: usize, has: usize) -> Result<(), StoreError> {
        let take = |count: &AtomicUsize, more: usize, limit: usize| {
            let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                count.checked_add(more).filter(|count| *count <= limit)
            });
            taken.map(drop).map_err(|_| StoreError::Full)
        };
        let more = has.saturating_sub(had);
        if more > 0 {
            take(&self.bindings, more, self.limits.bindings)?;
        }
        if is_new && has > 0 {
            take(&self.aors, 1, self.limits.aors).inspect_err(|_| {
                self.bindings.fetch_sub(more, Ordering::Relaxed);
            })?;
        }
        self.freed(!is_new && has == 0, had.saturating_sub(has));
        Ok(())
    }

    fn freed(&self, aor: bool, bindings: usize) {
        self.aors.fetch_sub(usize::from(aor), Ordering::Relaxed);
        self.bindings.fetch_sub(bindings, Ordering::Relaxed);
    }

    fn id(&self, aor: &Aor) -> Id {
        let mut hasher = WideHasher::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write(aor.as_str().as_bytes());
        let wide = hasher.finish128();
        Id { hash: wide.h1, rest: wide.h2 }
    }

    fn stripe(&self, id: Id) -> Option<&Mutex<Stripe>> {
        self.stripes.get(id.rest as usize % STRIPES)
    }
}

impl Store for Memory {
    fn load(&self, aor: &Aor) -> impl Future<Output = Result<Located, StoreError>> + Send {
        ready(Ok(self.find(aor)))
    }

    fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send {
        ready(self.replace(aor, bindings, if_version))
    }

    fn of_instance(
        &self,
        instance: &str,
    ) -> impl Future<Output = Result<Vec<Aor>, StoreError>> + Send {
        let wanted = hash_of_instance(self.seed, instance);
        let mut found = Vec::new();
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            let from = Instance { instance: wanted, hash: [0; 2] };
            let to = Instance { instance: wanted, hash: [u32::MAX; 2] };
            for place in stripe.instances.range(from..=to).take(MAX_OF_INSTANCE) {
                let hash = joined(place.hash);
                let of_it = stripe.table.iter_hash(hash).filter(|entry| {
                    entry.id.hash == hash && has_instance(&entry.bindings, instance)
                });
                found.extend(of_it.map(|entry| entry.aor.clone()));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(MAX_OF_INSTANCE);
        ready(Ok(found))
    }

    fn watch(&self) -> Watch {
        self.watchers.watch()
    }

    fn expire(&self, now: Duration) -> bool {
        let mut left = MAX_EXPIRED;
        for stripe in &self.stripes {
            while left > 0 {
                let mut stripe = lock(stripe);
                let Some(end) = stripe.due(now) else { break };
                left = left.saturating_sub(1);
                // More than one only if their hashes and ends are the same.
                while let Some((aor, expired, is_gone)) = stripe.expire(end, now, self.seed) {
                    if expired > 0 {
                        self.freed(is_gone, expired);
                        self.watchers.changed(&aor);
                    }
                }
            }
        }
        left == 0
    }
}

impl Stripe {
    /// Gives an address-of-record other bindings, and says of which version they are.
    fn put(&mut self, id: Id, aor: &Aor, bindings: Arc<[Binding]>, seed: [u64; 2]) -> Version {
        let entry = self.table.entry(id.hash, |entry| entry.id == id, |entry| entry.id.hash);
        if bindings.is_empty() {
            if let Place::Occupied(place) = entry {
                let (entry, _) = place.remove();
                self.disarm(id, entry.due);
                self.index(id, &entry.bindings, &[], seed);
            }
            return Version::NONE;
        }
        self.versions = self.versions.saturating_add(1);
        let version = Version::new(self.versions);
        let due = due(&bindings);
        match entry {
            Place::Occupied(mut place) => {
                let entry = place.get_mut();
                let before = core::mem::replace(&mut entry.bindings, Arc::clone(&bindings));
                entry.version = version;
                // A later end is seen when the time of the earlier comes: a refresh touches no tree.
                let was_due = entry.due;
                entry.due = was_due.min(due);
                if due < was_due {
                    self.disarm(id, was_due);
                    self.ends.insert(End { due, hash: halves(id.hash) });
                }
                self.index(id, &before, &bindings, seed);
            }
            Place::Vacant(place) => {
                let entry =
                    Entry { id, aor: aor.clone(), bindings: Arc::clone(&bindings), version, due };
                place.insert(entry);
                self.ends.insert(End { due, hash: halves(id.hash) });
                self.index(id, &[], &bindings, seed);
            }
        }
        version
    }

    /// Takes the entry out of `ends`, from where it was.
    fn disarm(&mut self, id: Id, due: u32) {
        let same = |entry: &Entry| entry.id.hash == id.hash && entry.due == due;
        if !self.table.iter_hash(id.hash).any(same) {
            self.ends.remove(&End { due, hash: halves(id.hash) });
        }
    }

    fn due(&self, now: Duration) -> Option<End> {
        self.ends.first().copied().filter(|end| u64::from(end.due) <= now.as_secs())
    }

    /// Takes out what is over of one entry that is due: whose, how many, and whether none is left.
    fn expire(&mut self, end: End, now: Duration, seed: [u64; 2]) -> Option<(Aor, usize, bool)> {
        let hash = joined(end.hash);
        let is_due = |entry: &Entry| entry.id.hash == hash && entry.due == end.due;
        let Some(entry) = self.table.find_mut(hash, is_due) else {
            self.ends.remove(&end);
            return None;
        };
        let (id, aor, had) = (entry.id, entry.aor.clone(), entry.bindings.len());
        let live = |binding: &&Binding| binding.until() > now;
        let left = entry.bindings.iter().filter(live).count();
        if left == had {
            let due = due(&entry.bindings);
            entry.due = due;
            self.ends.insert(End { due, hash: end.hash });
            return Some((aor, 0, false));
        }
        let live = entry.bindings.iter().filter(live).cloned().collect();
        // It stays due at this end until its new one is known, so that `put` takes it out of there.
        self.put(id, &aor, live, seed);
        if let Some(entry) = self.table.find_mut(hash, |entry| entry.id == id) {
            let due = due(&entry.bindings);
            entry.due = due;
            self.ends.insert(End { due, hash: end.hash });
        }
        Some((aor, had.saturating_sub(left), left == 0))
    }

    /// Brings the index of instances from some bindings to others.
    fn index(&mut self, id: Id, before: &[Binding], after: &[Binding], seed: [u64; 2]) {
        let place = |instance: &str| Instance {
            instance: hash_of_instance(seed, instance),
            hash: halves(id.hash),
        };
        for instance in before.iter().filter_map(Binding::instance) {
            if !has_instance(after, instance) {
                self.instances.remove(&place(instance));
            }
        }
        for instance in after.iter().filter_map(Binding::instance) {
            if !has_instance(before, instance) {
                self.instances.insert(place(instance));
            }
        }
    }
}

/// The second by which the first of these is over.
fn due(bindings: &[Binding]) -> u32 {
    let first = bindings.iter().map(Binding::until).min().unwrap_or_default();
    let second = first.as_secs().saturating_add(u64::from(first.subsec_nanos() > 0));
    u32::try_from(second).unwrap_or(u32::MAX)
}

fn has_instance(bindings: &[Binding], instance: &str) -> bool {
    bindings
        .iter()
        .any(|binding| binding.instance().is_some_and(|of_it| of_it.eq_ignore_ascii_case(instance)))
}

fn hash_of_instance(seed: [u64; 2], instance: &str) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    for byte in instance.bytes() {
        hasher.write_u8(byte.to_ascii_lowercase());
    }
    hasher.finish() as u32
}

fn halves(hash: u64) -> [u32; 2] {
    [(hash >> 32) as u32, hash as u32]
}

fn joined([high, low]: [u32; 2]) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

#[cfg(test)]
mod tests;
