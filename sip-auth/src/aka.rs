//! Digest with a SIM's password (RFC 3310): the nonce holds what the SIM is asked.
//!
//! `AKAv2-MD5` (RFC 4169) is not understood: its challenges are passed over.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A SIM, or what stands for it: runs the AKA algorithms.
///
/// It is asked once for each challenge.
pub trait Aka: fmt::Debug + Send + Sync {
    /// Judges the network's token and computes the answer.
    fn answer(&self, challenge: &AkaChallenge) -> AkaAnswer;
}

/// What the nonce of an `AKAv1-MD5` challenge holds (RFC 3310 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AkaChallenge {
    /// RAND: the random challenge.
    pub rand: [u8; 16],
    /// AUTN: the token by which the network proves itself.
    pub autn: [u8; 16],
    /// What else the server put there.
    pub server_data: Vec<u8>,
}

/// What a SIM says to a challenge.
#[derive(Clone, PartialEq, Eq)]
pub enum AkaAnswer {
    /// RES: the password for this challenge.
    Res(Vec<u8>),
    /// The token is genuine, its sequence number is out of range: AUTS, for the network to catch up with.
    OutOfSync([u8; 14]),
    /// The token is not the network's: the challenge is not answered.
    Refused,
}

impl fmt::Debug for AkaAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Res(_) => "Res(…)",
            Self::OutOfSync(_) => "OutOfSync(…)",
            Self::Refused => "Refused",
        })
    }
}

impl AkaChallenge {
    /// Of a nonce; `None` if it is no base64 or does not hold both.
    pub fn from_nonce(nonce: &str) -> Option<Self> {
        let bytes = from_base64(nonce)?;
        let (rand, rest) = bytes.split_first_chunk()?;
        let (autn, server_data) = rest.split_first_chunk()?;
        Some(Self { rand: *rand, autn: *autn, server_data: server_data.to_vec() })
    }

    /// The nonce that holds this.
    pub fn to_nonce(&self) -> String {
        let mut bytes = Vec::with_capacity(self.server_data.len().saturating_add(32));
        bytes.extend_from_slice(&self.rand);
        bytes.extend_from_slice(&self.autn);
        bytes.extend_from_slice(&self.server_data);
        to_base64(&bytes)
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 §4).
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = match chunk.len() {
            1 => bits << 16,
            2 => bits << 8,
            _ => bits,
        };
        for (place, shift) in [18_u32, 12, 6, 0].into_iter().enumerate() {
            let digit = BASE64.get((bits >> shift) as usize & 63).copied().unwrap_or_default();
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// Base64, whatever its padding: the examples of RFC 3310 §4 have two characters too many.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len());
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in chunk {
            let value = BASE64.iter().position(|known| known == digit)?;
            bits = (bits << 6) | u32::try_from(value).ok()?;
        }
        let [_, one, two, three] = bits.to_be_bytes();
        match chunk.len() {
            4 => bytes.extend_from_slice(&[one, two, three]),
            3 => bytes.extend_from_slice((bits >> 2).to_be_bytes().get(2..)?),
            2 => bytes.extend_from_slice((bits >> 4).to_be_bytes().get(3..)?),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
