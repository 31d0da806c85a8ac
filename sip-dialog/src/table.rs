//! All dialogs of a user agent, found by what a message says.

use core::hash::Hasher;

use alloc::vec::Vec;

use hashbrown::HashTable;
use sip_message::{Request, Response};
use siphasher::sip::SipHasher13;

use crate::dialog::{Dialog, DialogId, State};
use crate::reference::Ended;

/// The dialogs of a user agent, each with a value `T` of its own (the call it belongs to, say).
///
/// A dialog is found by [`DialogKey`] without hashing, or by the identifiers of a message through one
/// index over (Call-ID, local tag). The dialogs that the forks of one INVITE make share an entry there and
/// are told apart by remote tag. The hash is keyed, since peers choose what is hashed. Slots are used again;
/// a key to a dialog that is gone finds nothing.
///
/// RFC 3261 §12.1.1: "This state MUST be
/// maintained for the duration of the dialog."
/// Nothing but [`Dialogs::remove`] takes a dialog out.
#[derive(Debug)]
pub struct Dialogs<T> {
    seed: [u64; 2],
    limit: usize,
    slots: Vec<Slot<T>>,
    /// Numbers of free slots.
    free: Vec<u32>,
    /// Slot numbers by the hash of (Call-ID, local tag).
    index: HashTable<u32>,
    /// The last that were taken out.
    ended: Ended,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    used: Option<(Dialog, T)>,
}

/// The place of one dialog in a [`Dialogs`]. It outlives the dialog harmlessly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogKey {
    slot: u32,
    generation: u32,
}

impl DialogKey {
    /// The key as one number, for timers and the like.
    pub fn to_u64(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.slot)
    }

    /// The key that [`DialogKey::to_u64`] made.
    pub fn from_u64(number: u64) -> DialogKey {
        DialogKey { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

/// Where an incoming request belongs ([`Dialogs::find`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In this dialog.
    Dialog(DialogKey),
    /// The request says that it belongs to a dialog, and there is no such dialog: 481 is owed (to an ACK,
    /// nothing).
    NoSuchDialog,
    /// It has no To tag: it stands outside of any dialog.
    Outside,
}

/// Why a dialog was not put into the table; it is given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError<T> {
    /// As many dialogs as the limit allows are there already.
    #[error("the table of dialogs is full")]
    Full(Dialog, T),
    /// There is a dialog with the same identifiers.
    #[error("there is a dialog with these identifiers already")]
    Duplicate(DialogKey, Dialog, T),
}

impl<T> Dialogs<T> {
    /// An empty table for at most `limit` dialogs (and never more than 2^32 - 1), its hash keyed with `seed`.
    pub fn new(seed: [u64; 2], limit: usize) -> Dialogs<T> {
        let limit = limit.min(u32::MAX as usize);
        Dialogs {
            seed,
            limit,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            ended: Ended::default(),
        }
    }

    /// Puts a dialog into the table.
    ///
    /// # Errors
    /// [`InsertError::Full`] at the limit, [`InsertError::Duplicate`] if the dialog is there already.
    #[expect(
        clippy::result_large_err,
        reason = "the dialog is given back; a box would cost where there is no memory"
    )]
    pub fn insert(&mut self, dialog: Dialog, value: T) -> Result<DialogKey, InsertError<T>> {
        if let Some(key) = self.find_id(&dialog.id()) {
            return Err(InsertError::Duplicate(key, dialog, value));
        }
        if self.len() >= self.limit {
            return Err(InsertError::Full(dialog, value));
        }
        let hash = hash(self.seed, dialog.id().call_id, dialog.id().local_tag);
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.slots.push(Slot { generation: 0, used: None });
                (self.slots.len() - 1) as u32
            }
        };
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return Err(InsertError::Full(dialog, value)); // A free slot always exists.
        };
        slot.used = Some((dialog, value));
        let key = DialogKey { slot: number, generation: slot.generation };
        let (slots, seed) = (&self.slots, self.seed);
        self.index.insert_unique(hash, number, |&other| hash_of_slot(slots, seed, other));
        Ok(key)
    }

    /// Takes a dialog out.
    pub fn remove(&mut self, key: DialogKey) -> Option<(Dialog, T)> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let (dialog, value) = slot.used.take()?;
        self.ended.note(self.seed, &dialog.id());
        let hash = hash(self.seed, dialog.id().call_id, dialog.id().local_tag);
        if let Ok(entry) = self.index.find_entry(hash, |&number| number == key.slot) {
            entry.remove();
        }
        // After 2^32 uses a slot is retired: no old key can ever mean a new dialog.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(key.slot);
        }
        Some((dialog, value))
    }

    /// The dialog of the key.
    pub fn get(&self, key: DialogKey) -> Option<(&Dialog, &T)> {
        let slot = self.slots.get(key.slot as usize)?;
        match &slot.used {
            Some((dialog, value)) if slot.generation == key.generation => Some((dialog, value)),
            _ => None,
        }
    }

    /// The dialog of the key, to be changed.
    pub fn get_mut(&mut self, key: DialogKey) -> Option<(&mut Dialog, &mut T)> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        match &mut slot.used {
            Some((dialog, value)) if slot.generation == key.generation => Some((dialog, value)),
            _ => None,
        }
    }

    /// Where an incoming request belongs.
    ///
    /// A request with a To tag and no dialog is owed the answer 481
    /// ([`Rejection::no_such_dialog`](crate::Rejection::no_such_dialog)), unless it is an ACK.
    pub fn find(&self, request: &Request) -> Found {
        // RFC 3261 §12.2.2: "If the
        // request has a tag in the To header field, the UAS core computes the
        // dialog identifier corresponding to the request and compares it with
        // existing dialogs.  If there is a match, this is a mid-dialog request."
        match DialogId::of_request(request) {
            None => Found::Outside,
            Some(id) => self.find_id(&id).map_or(Found::NoSuchDialog, Found::Dialog),
        }
    }

    /// The dialog that a response to one of our requests belongs to. `None` also for one without a To tag
    /// (a 100, say) unless an RFC 2543 peer made a dialog with no tag.
    pub fn find_response(&self, response: &Response) -> Option<DialogKey> {
        self.find_id(&DialogId::of_response(response)?)
    }

    /// The dialog with these identifiers.
    pub fn find_id(&self, id: &DialogId<'_>) -> Option<DialogKey> {
        let hash = hash(self.seed, id.call_id, id.local_tag);
        let number = *self.index.find(hash, |&number| {
            self.occupant(number).is_some_and(|(dialog, _)| dialog.id() == *id)
        })?;
        self.key_of(number)
    }

    /// Every dialog with this Call-ID and local tag: those that one INVITE of ours made through forks, early
    /// and confirmed.
    pub fn of_invite<'a>(
        &'a self,
        call_id: &'a str,
        local_tag: &'a str,
    ) -> impl Iterator<Item = (DialogKey, &'a Dialog, &'a T)> {
        self.index.iter_hash(hash(self.seed, call_id, local_tag)).filter_map(move |&number| {
            let (dialog, value) = self.occupant(number)?;
            let id = dialog.id();
            (id.call_id == call_id && id.local_tag == local_tag).then_some((
                self.key_of(number)?,
                dialog,
                value,
            ))
        })
    }

    /// The keys of the dialogs with this Call-ID and local tag that are still early. When the INVITE ends
    /// in a non-2xx, or 64*T1 after its first 2xx, these end.
    pub fn early_of_invite<'a>(
        &'a self,
        call_id: &'a str,
        local_tag: &'a str,
    ) -> impl Iterator<Item = DialogKey> + 'a {
        // RFC 3261 §12.3: "if a request outside of a dialog generates
        // a non-2xx final response, any early dialogs created through
        // provisional responses to that request are terminated."
        self.of_invite(call_id, local_tag)
            .filter(|(_, dialog, _)| dialog.state() == State::Early)
            .map(|(key, _, _)| key)
    }

    /// Every dialog, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (DialogKey, &Dialog, &T)> {
        self.slots.iter().enumerate().filter_map(|(number, slot)| {
            let (dialog, value) = slot.used.as_ref()?;
            Some((DialogKey { slot: number as u32, generation: slot.generation }, dialog, value))
        })
    }

    /// Whether a dialog with these identifiers was taken out, as one of the last 256.
    pub fn has_ended(&self, id: &DialogId<'_>) -> bool {
        self.ended.has(self.seed, id)
    }

    /// How many dialogs there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The most dialogs that are kept.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn occupant(&self, number: u32) -> Option<&(Dialog, T)> {
        self.slots.get(number as usize)?.used.as_ref()
    }

    fn key_of(&self, number: u32) -> Option<DialogKey> {
        let generation = self.slots.get(number as usize)?.generation;
        Some(DialogKey { slot: number, generation })
    }
}

fn hash_of_slot<T>(slots: &[Slot<T>], seed: [u64; 2], number: u32) -> u64 {
    match slots.get(number as usize).and_then(|slot| slot.used.as_ref()) {
        Some((dialog, _)) => hash(seed, dialog.id().call_id, dialog.id().local_tag),
        None => 0, // Only used slots are in the index.
    }
}

fn hash(seed: [u64; 2], call_id: &str, local_tag: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    hasher.write(call_id.as_bytes());
    hasher.write_u8(0); // In neither: the pair is unambiguous.
    hasher.write(local_tag.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests;
