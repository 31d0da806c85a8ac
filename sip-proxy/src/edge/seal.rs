//! Texts that only this cluster can make and read: what flow tokens and temporary GRUUs are made of.
//!
//! ```text
//!   tag  = first 12 bytes of HMAC-SHA-256(key 1, purpose, plain)
//!   text = base64url(tag, plain XOR HMAC-SHA-256(key 2, purpose, tag, 0, 1, …))
//! ```
//!
//! The tag is at once what proves the text and what its key stream starts from (as in RFC 5297, with HMAC as the
//! pseudo-random function): equal plain texts give equal sealed ones, and no random number has to be fresh.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const TAG: usize = 12;

/// The longest that is opened: more than anything that is sealed here needs.
const MAX_BYTES: usize = 384;

/// A secret from which flow tokens and temporary GRUUs are made, and the nonces of a server. The nodes of a cluster
/// share it.
#[derive(Clone)]
pub struct EdgeKey {
    tag: Hmac<Sha256>,
    stream: Hmac<Sha256>,
    /// What keys for elsewhere are derived from.
    #[cfg(feature = "tokio")]
    root: Hmac<Sha256>,
}

/// A key of fewer bytes than 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least 32 bytes")]
pub struct ShortKey;

impl EdgeKey {
    /// Of random bytes.
    ///
    /// # Errors
    /// They are fewer than 32.
    pub fn new(bytes: &[u8]) -> Result<Self, ShortKey> {
        if bytes.len() < 32 {
            return Err(ShortKey);
        }
        // What the secret may be used for elsewhere says nothing about these two.
        let secret = Hmac::<Sha256>::new_from_slice(bytes).map_err(|_| ShortKey)?;
        let derived = |label: &[u8]| {
            let key = secret.clone().chain_update(label).finalize().into_bytes();
            Hmac::new_from_slice(&key).map_err(|_| ShortKey)
        };
        Ok(Self {
            tag: derived(b"sip edge: tag")?,
            stream: derived(b"sip edge: stream")?,
            #[cfg(feature = "tokio")]
            root: derived(b"sip edge: root")?,
        })
    }

    /// A key of its own for what has this name.
    #[cfg(feature = "tokio")]
    pub(crate) fn derive(&self, name: &str) -> [u8; 32] {
        self.root.clone().chain_update(name).finalize().into_bytes().into()
    }

    /// Of texts that are told apart by their lengths.
    fn mac(&self, purpose: Purpose, texts: &[&[u8]]) -> [u8; TAG] {
        let mut mac = self.tag.clone().chain_update([purpose as u8]);
        for text in texts {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text);
        }
        short(&mac.finalize().into_bytes())
    }

    fn tag(&self, purpose: Purpose, plain: &[u8]) -> [u8; TAG] {
        let full = self.tag.clone().chain_update([purpose as u8]).chain_update(plain).finalize();
        short(&full.into_bytes())
    }

    /// Hides what is plain, and shows what was hidden.
    fn turn(&self, purpose: Purpose, tag: &[u8; TAG], text: &mut [u8]) {
        for (block, number) in text.chunks_mut(32).zip(0_u32..) {
            let stream = self.stream.clone().chain_update([purpose as u8]).chain_update(tag);
            let stream = stream.chain_update(number.to_be_bytes()).finalize().into_bytes();
            for (byte, mask) in block.iter_mut().zip(stream) {
                *byte ^= mask;
            }
        }
    }
}

fn short(full: &[u8]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    for (to, from) in tag.iter_mut().zip(full) {
        *to = *from;
    }
    tag
}

impl fmt::Debug for EdgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeKey(…)")
    }
}

/// The key in use, and the one before it, what of which is still known: so that a key can be changed while the
/// cluster runs. All nodes learn the new one as their previous first, then as their current one.
#[derive(Clone, Debug)]
pub struct EdgeKeys {
    current: EdgeKey,
    previous: Option<EdgeKey>,
}

/// What a sealed text is for: one of another kind is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Flow = 1,
    Gruu = 2,
    Vouch = 3,
}

impl EdgeKeys {
    /// With one key.
    #[must_use]
    pub fn new(current: EdgeKey) -> Self {
        Self { current, previous: None }
    }

    /// With one more, by which nothing is made any more, or nothing yet.
    #[must_use]
    pub fn or(mut self, previous: EdgeKey) -> Self {
        self.previous = Some(previous);
        self
    }

    /// The key in use.
    #[cfg(feature = "tokio")]
    pub(crate) fn current(&self) -> &EdgeKey {
        &self.current
    }

    fn all(&self) -> impl Iterator<Item = &EdgeKey> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten()
    }

    /// What proves that these texts were seen here; it needs no escape in a URI.
    pub(crate) fn prove(&self, purpose: Purpose, texts: &[&[u8]]) -> String {
        base64url(&self.current.mac(purpose, texts))
    }

    /// Whether it proves that.
    pub(crate) fn is_proof(&self, purpose: Purpose, texts: &[&[u8]], proof: &str) -> bool {
        let Some(proof) = bytes_of(proof) else { return false };
        self.all().any(|key| key.mac(purpose, texts).ct_eq(&proof).into())
    }

    /// A text that needs no escape in the user part of a URI.
    pub(crate) fn seal(&self, purpose: Purpose, plain: &[u8]) -> String {
        let tag = self.current.tag(purpose, plain);
        let mut bytes = Vec::with_capacity(TAG.saturating_add(plain.len()));
        bytes.extend_from_slice(&tag);
        bytes.extend_from_slice(plain);
        if let Some(text) = bytes.get_mut(TAG..) {
            self.current.turn(purpose, &tag, text);
        }
        base64url(&bytes)
    }

    /// What was sealed; `None` if it was not sealed here, or not for this.
    pub(crate) fn open(&self, purpose: Purpose, text: &str) -> Option<Vec<u8>> {
        let bytes = bytes_of(text)?;
        let (tag, hidden) = bytes.split_first_chunk::<TAG>()?;
        self.all().find_map(|key| {
            let mut plain = hidden.to_vec();
            key.turn(purpose, tag, &mut plain);
            bool::from(key.tag(purpose, &plain).ct_eq(tag)).then_some(plain)
        })
    }
}

/// RFC 4648 §5, without padding.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for chunk in bytes.chunks(3) {
        let word = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let word = word[0] << 16 | word[1] << 8 | word[2];
        for shift in [18, 12, 6, 0].into_iter().take(chunk.len().saturating_add(1)) {
            let place = usize::try_from(word >> shift & 63).unwrap_or(0);
            text.extend(ALPHABET.get(place).copied().map(char::from));
        }
    }
    text
}

/// Only as [`base64url`] writes them: one text has one spelling.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_BYTES.div_ceil(3).saturating_mul(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for at in 0..4 {
            let six = match chunk.get(at) {
                Some(byte) => ALPHABET.iter().position(|letter| letter == byte)?,
                None => 0,
            };
            word = word << 6 | u32::try_from(six).ok()?;
        }
        let [_, whole @ ..] = word.to_be_bytes();
        let (taken, rest) = whole.split_at_checked(chunk.len().checked_sub(1)?)?;
        // One letter alone is no byte, and the bits that are left over say nothing.
        if taken.is_empty() || rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(taken);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> EdgeKeys {
        EdgeKeys::new(EdgeKey::new(&[byte; 32]).unwrap())
    }

    #[test]
    fn what_is_sealed_is_opened_for_the_same_purpose() {
        let keys = keys(1);
        for length in 0..100_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let text = keys.seal(Purpose::Flow, &plain);
            assert_eq!(keys.open(Purpose::Flow, &text), Some(plain.clone()));
            assert_eq!(keys.open(Purpose::Gruu, &text), None);
            // Nothing of it is to be seen.
            assert!(
                length < 16
                    || !bytes_of(&text)
                        .unwrap()
                        .windows(8)
                        .any(|w| plain.windows(8).any(|p| p == w))
            );
        }
    }

    #[test]
    fn every_change_of_one_letter_is_noticed() {
        let keys = keys(1);
        let text = keys.seal(Purpose::Flow, b"some flow or other");
        for at in 0..text.len() {
            for letter in ALPHABET {
                let mut forged = text.clone().into_bytes();
                forged[at] = *letter;
                let forged = String::from_utf8(forged).unwrap();
                assert!(forged == text || keys.open(Purpose::Flow, &forged).is_none(), "{forged}");
            }
            assert_eq!(keys.open(Purpose::Flow, &text[..at]), None);
        }
        for forged in [format!("{text}A"), format!("{text}="), format!("{text}%41"), "é".repeat(20)]
        {
            assert_eq!(keys.open(Purpose::Flow, &forged), None, "{forged}");
        }
        assert_eq!(keys.open(Purpose::Flow, &"A".repeat(100_000)), None);
    }

    #[test]
    fn a_proof_is_of_these_texts_for_this_purpose() {
        let keys = keys(1);
        let proof = keys.prove(Purpose::Vouch, &[b"ab", b"c"]);
        assert!(keys.is_proof(Purpose::Vouch, &[b"ab", b"c"], &proof));
        assert!(!keys.is_proof(Purpose::Gruu, &[b"ab", b"c"], &proof));
        assert!(!keys.is_proof(Purpose::Vouch, &[b"a", b"bc"], &proof));
        assert!(!keys.is_proof(Purpose::Vouch, &[b"ab", b"c"], &proof[1..]));
        assert!(!keys.is_proof(Purpose::Vouch, &[b"ab", b"c"], ""));
        assert!(!super::tests::keys(2).is_proof(Purpose::Vouch, &[b"ab", b"c"], &proof));
    }

    #[test]
    fn a_key_is_changed_while_the_cluster_runs() {
        let (old, new) = (EdgeKey::new(&[1; 32]).unwrap(), EdgeKey::new(&[2; 32]).unwrap());
        let before = EdgeKeys::new(old.clone()).or(new.clone());
        let after = EdgeKeys::new(new.clone()).or(old);
        for (from, to) in [(&before, &after), (&after, &before)] {
            let text = from.seal(Purpose::Flow, b"a flow");
            assert_eq!(to.open(Purpose::Flow, &text).as_deref(), Some(&b"a flow"[..]));
        }
        let text = before.seal(Purpose::Flow, b"a flow");
        assert_eq!(EdgeKeys::new(new).open(Purpose::Flow, &text), None);
        assert_eq!(EdgeKey::new(&[1; 31]).unwrap_err(), ShortKey);
        assert!(!format!("{before:?}").contains('1'));
    }
}
