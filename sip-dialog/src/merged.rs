//! The same request arriving twice over different paths (RFC 3261 §8.2.2.2).

use core::hash::Hasher;

use hashbrown::HashTable;
use sip_message::{Method, Request, StatusCode};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::Rejection;

/// The ongoing server transactions by From tag, Call-ID and CSeq, to find requests that a fork sent here
/// more than once.
///
/// Each entry is a keyed 128-bit hash of the three, 16 bytes in all, since peers choose what is hashed.
/// Who enters a request must take it out again when its server transaction ends.
#[derive(Debug)]
pub struct MergedRequests {
    seed: [u64; 2],
    ongoing: HashTable<u128>,
}

/// The place of one ongoing request in [`MergedRequests`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "the entry stays until it is given back to `MergedRequests::leave`"]
pub struct MergedKey(u128);

impl MergedRequests {
    /// An empty set whose hash is keyed with `seed`.
    pub fn new(seed: [u64; 2]) -> MergedRequests {
        MergedRequests { seed, ongoing: HashTable::new() }
    }

    /// A request began a new server transaction. Keep the key with the transaction.
    ///
    /// `None` for what the rule does not speak of: requests within a dialog, ACK, CANCEL, and requests
    /// without Call-ID or CSeq (which are answered 400 anyway).
    ///
    /// # Errors
    /// 482 when the same request is being served in another transaction.
    pub fn enter(&mut self, request: &Request) -> Result<Option<MergedKey>, Rejection> {
        let headers = request.headers();
        let (Some(call_id), Some(cseq)) = (headers.call_id(), headers.cseq()) else {
            return Ok(None);
        };
        if headers.to_tag().is_some() || matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(None);
        }
        let mut hasher = SipHasher24::new_with_keys(self.seed[0], self.seed[1]);
        for part in [headers.from_tag().unwrap_or(""), call_id, cseq.method] {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.write_u32(cseq.number);
        let key: u128 = hasher.finish128().as_u128();

        // RFC 3261 §8.2.2.2: "If the request has no tag in the To header field, the UAS core MUST
        // check the request against ongoing transactions.  If the From tag,
        // Call-ID, and CSeq exactly match those associated with an ongoing
        // transaction, but the request does not match that transaction (based
        // on the matching rules in Section 17.2.3), the UAS core SHOULD
        // generate a 482 (Loop Detected) response"
        match self.ongoing.entry(key as u64, |known| *known == key, |known| *known as u64) {
            hashbrown::hash_table::Entry::Occupied(_) => {
                Err(Rejection::new(StatusCode::LOOP_DETECTED))
            }
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(key);
                Ok(Some(MergedKey(key)))
            }
        }
    }

    /// The server transaction of the request ended.
    pub fn leave(&mut self, key: MergedKey) {
        if let Ok(entry) = self.ongoing.find_entry(key.0 as u64, |known| *known == key.0) {
            entry.remove();
        }
    }

    /// How many requests are entered.
    pub fn len(&self) -> usize {
        self.ongoing.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ongoing.is_empty()
    }
}

#[cfg(test)]
mod tests;
