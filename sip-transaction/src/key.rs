//! The keys by which transactions are named, and maps over them.

use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::slots::SlotKey;

/// A client transaction. A key of one that is over finds nothing, also when its slot is in use again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub(crate) SlotKey);

/// A server transaction. A key of one that is over finds nothing, also when its slot is in use again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(pub(crate) SlotKey);

/// A transaction of either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A client transaction.
    Client(ClientKey),
    /// A server transaction.
    Server(ServerKey),
}

impl ClientKey {
    /// The key as one number, for logs and tables; never 0.
    pub fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl ServerKey {
    /// The key as one number, for logs and tables; never 0.
    pub fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl From<ClientKey> for Key {
    fn from(key: ClientKey) -> Self {
        Self::Client(key)
    }
}

impl From<ServerKey> for Key {
    fn from(key: ServerKey) -> Self {
        Self::Server(key)
    }
}

impl SlotKey {
    fn as_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl Key {
    /// The key with its side as one number, which [`from_u64`](Self::from_u64) reads: the token of a
    /// [`Transmit`](sip_transport::Transmit), or of a timer that belongs to a transaction. Never 0, since no
    /// generation is.
    pub fn as_u64(self) -> u64 {
        let (key, side) = match self {
            Self::Client(ClientKey(key)) => (key, 0),
            Self::Server(ServerKey(key)) => (key, 1),
        };
        u64::from(key.generation) << 32 | u64::from(key.slot) << 1 | side
    }

    /// The key that [`as_u64`](Self::as_u64) wrote. Any other number makes a key that finds nothing.
    pub fn from_u64(token: u64) -> Self {
        let generation = (token >> 32) as u32;
        let slot = (token as u32) >> 1;
        let key = SlotKey { slot, generation };
        if token & 1 == 0 { Self::Client(ClientKey(key)) } else { Self::Server(ServerKey(key)) }
    }
}

/// A map over the keys of transactions. They are numbers that this side counts, not the peer, so that a
/// plain mixing of their bits will do.
pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// The hasher of a [`KeyMap`].
#[derive(Clone, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        // The high bits of the product are the well mixed ones, and hashbrown uses both ends.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_one_transaction_each() {
        for slot in [0, 1, 77, (1 << 28) - 1] {
            for generation in [1, 2, u32::MAX] {
                let key = SlotKey { slot, generation };
                for key in [Key::from(ClientKey(key)), Key::from(ServerKey(key))] {
                    assert_eq!(Key::from_u64(key.as_u64()), key);
                    assert_ne!(key.as_u64(), 0);
                }
            }
        }
    }
}
