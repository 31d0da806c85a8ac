//! The keys by which transactions are named.

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

/// What a [`Transmit`](sip_transport::Transmit) carries, so that its failure finds the transaction
/// again: the key, with the side in its lowest bit. Never 0, since no generation is.
impl Key {
    pub(crate) fn token(self) -> u64 {
        let (key, side) = match self {
            Self::Client(ClientKey(key)) => (key, 0),
            Self::Server(ServerKey(key)) => (key, 1),
        };
        u64::from(key.generation) << 32 | u64::from(key.slot) << 1 | side
    }

    pub(crate) fn from_token(token: u64) -> Self {
        let generation = (token >> 32) as u32;
        let slot = (token as u32) >> 1;
        let key = SlotKey { slot, generation };
        if token & 1 == 0 { Self::Client(ClientKey(key)) } else { Self::Server(ServerKey(key)) }
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
                    assert_eq!(Key::from_token(key.token()), key);
                    assert_ne!(key.token(), 0);
                }
            }
        }
    }
}
