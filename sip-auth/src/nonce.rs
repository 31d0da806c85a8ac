//! Nonces that need no memory: a time, random bits and a keyed hash over both and over what they are good for.
//!
//! In hexadecimal: 6 bytes of time (milliseconds since 1970), 8 random ones, and the first 16 of an
//! HMAC-SHA-256 over those, the realm, the algorithm, and the call or the source if so configured.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::Algorithm;
use crate::digest::hex_pair;

const TIME: usize = 6;
const RANDOM: usize = 8;
const MAC: usize = 16;
const LEN: usize = TIME + RANDOM + MAC;

/// How far ahead of this one the clocks of other servers with the same key may be.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// A key that nonces are made and known with. Servers that share it know each other's.
#[derive(Clone)]
pub struct NonceKey(Hmac<Sha256>);

/// A key of fewer bytes than 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce key has at least 32 bytes")]
pub struct ShortKey;

impl NonceKey {
    /// Of random bytes.
    ///
    /// # Errors
    /// They are fewer than 32.
    pub fn new(bytes: &[u8]) -> Result<Self, ShortKey> {
        if bytes.len() < 32 {
            return Err(ShortKey);
        }
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| ShortKey)
    }

    fn mac(&self, stamp: &[u8], scope: &Scope<'_>) -> [u8; MAC] {
        let mut mac = self.0.clone();
        // Texts of any length are told apart by their lengths before them.
        let texts = [
            scope.realm.as_bytes(),
            scope.algorithm.name().as_bytes(),
            scope.call_id,
            scope.source,
        ];
        for text in [stamp].into_iter().chain(texts) {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text);
        }
        if !scope.asked.is_empty() {
            mac.update(scope.asked);
        }
        let full = mac.finalize().into_bytes();
        let mut short = [0; MAC];
        for (to, from) in short.iter_mut().zip(full) {
            *to = from;
        }
        short
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(…)")
    }
}

/// The key in use, and the one before it, whose nonces are still known.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) current: NonceKey,
    pub(crate) previous: Option<NonceKey>,
}

/// What a nonce is good for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) realm: &'a str,
    pub(crate) algorithm: Algorithm,
    /// Empty: for any call.
    pub(crate) call_id: &'a [u8],
    /// Empty: from anywhere.
    pub(crate) source: &'a [u8],
    /// What a SIM is asked beside it; empty: nothing.
    pub(crate) asked: &'a [u8],
}

/// Why a nonce is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It was not made here, or for another algorithm, call or source.
    Foreign,
    /// It has run out.
    Old,
}

/// A nonce that was made here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonceId([u8; LEN]);

impl NonceId {
    /// As it is sent.
    pub(crate) fn make(keys: &Keys, scope: &Scope<'_>, now: Duration, random: u64) -> String {
        let mut text = String::with_capacity(LEN.saturating_mul(2));
        for byte in Self::fresh(keys, scope, now, random).0 {
            text.extend(hex_pair(byte).map(char::from));
        }
        text
    }

    /// A new one.
    pub(crate) fn fresh(keys: &Keys, scope: &Scope<'_>, now: Duration, random: u64) -> Self {
        let mut stamp = Vec::with_capacity(LEN);
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        stamp.extend_from_slice(millis.get(2..).unwrap_or_default());
        stamp.extend_from_slice(&random.to_be_bytes());
        let mac = keys.current.mac(&stamp, scope);
        stamp.extend_from_slice(&mac);
        let mut id = [0; LEN];
        for (to, from) in id.iter_mut().zip(stamp) {
            *to = from;
        }
        Self(id)
    }

    /// Of bytes that came back; whether they are one is still to be seen.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of a nonce that comes back.
    pub(crate) fn judge(
        text: &str,
        keys: &Keys,
        scope: &Scope<'_>,
        now: Duration,
        life: Duration,
    ) -> Result<Self, Bad> {
        let id = Self::from_hex(text).ok_or(Bad::Foreign)?;
        id.verify(keys, scope, now, life)?;
        Ok(id)
    }

    /// Whether it was made here for this, and is good still.
    pub(crate) fn verify(
        &self,
        keys: &Keys,
        scope: &Scope<'_>,
        now: Duration,
        life: Duration,
    ) -> Result<(), Bad> {
        let (stamp, mac) = self.0.split_at_checked(TIME + RANDOM).ok_or(Bad::Foreign)?;
        let known = [Some(&keys.current), keys.previous.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| key.mac(stamp, scope).ct_eq(mac).into());
        if !known {
            return Err(Bad::Foreign);
        }
        let made = self.made();
        if made > now.saturating_add(MAX_SKEW) || now > made.saturating_add(life) {
            return Err(Bad::Old);
        }
        Ok(())
    }

    fn from_hex(text: &str) -> Option<Self> {
        if text.len() != LEN.saturating_mul(2) {
            return None;
        }
        let mut bytes = [0; LEN];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            // Only as it was sent: another spelling would count as another nonce.
            if high.is_ascii_uppercase() || low.is_ascii_uppercase() {
                return None;
            }
            let high = char::from(*high).to_digit(16)?;
            let low = char::from(*low).to_digit(16)?;
            *byte = u8::try_from((high << 4) | low).ok()?;
        }
        Some(Self(bytes))
    }

    /// When it was made, since 1970.
    pub fn made(&self) -> Duration {
        let mut millis = [0; 8];
        for (to, from) in millis.iter_mut().skip(8 - TIME).zip(self.0) {
            *to = from;
        }
        Duration::from_millis(u64::from_be_bytes(millis))
    }

    /// What tells it from every other: a key for a shared store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NonceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nonces do not belong in logs.
        write!(f, "NonceId(made at {:?} …)", self.made())
    }
}

#[cfg(test)]
mod tests;
