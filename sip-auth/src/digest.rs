//! The digest computation (RFC 2617 §3.2.2, RFC 7616 §3.4, RFC 8760 §2).

use core::fmt;

use md5::Md5;
use sha2::{Sha256, Sha512_256};
use subtle::ConstantTimeEq;

use crate::{Algorithm, Hash, Qop};

/// A digest in hexadecimal, as it is sent and as it is hashed again.
#[derive(Clone, Copy)]
pub(crate) struct Digest {
    text: [u8; 64],
    len: usize,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        // RFC 8760 §2.2: "Each set of four bits is represented by its familiar
        // hexadecimal notation from the characters 0123456789abcdef"
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&hex_pair(*byte));
        }
        // No function here gives more than 32 bytes.
        Self { text, len: bytes.len().saturating_mul(2).min(64) }
    }

    /// Of a text that somebody keeps: `None` if it is not of the length and the characters that the
    /// function gives. Upper case becomes lower.
    pub(crate) fn from_hex(hash: Hash, hex: &str) -> Option<Self> {
        let len = hash.hex_len();
        if hex.len() != len || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut text = [0; 64];
        text.get_mut(..len)?.copy_from_slice(hex.as_bytes());
        text.make_ascii_lowercase();
        Some(Self { text, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether the two are the same, in a time that does not tell where they differ.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two hexadecimal digits.
pub(crate) const fn hex_pair(byte: u8) -> [u8; 2] {
    const fn digit(nibble: u8) -> u8 {
        match nibble {
            0..=9 => b'0'.saturating_add(nibble),
            _ => b'a'.saturating_add(nibble.saturating_sub(10)),
        }
    }
    [digit(byte >> 4), digit(byte & 15)]
}

impl Hash {
    /// How many hexadecimal digits it gives.
    pub(crate) const fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 | Self::Sha512T256 => 64,
        }
    }

    /// H of the parts joined with colons.
    pub(crate) fn digest(self, parts: &[&[u8]]) -> Digest {
        match self {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
            Self::Sha512T256 => joined::<Sha512_256>(parts),
        }
    }
}

fn joined<D: sha2::Digest>(parts: &[&[u8]]) -> Digest {
    let mut digest = D::new();
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    Digest::of(&digest.finalize())
}

/// H(user:realm:password): what stands for the password in one realm.
pub(crate) fn user_key(hash: Hash, username: &str, realm: &str, password: &[u8]) -> Digest {
    // RFC 7616 §3.4.2: "A1       = unq(username) ":" unq(realm) ":" passwd"
    hash.digest(&[username.as_bytes(), realm.as_bytes(), password])
}

/// What stands for a user's name.
pub(crate) fn user_hash(hash: Hash, username: &str, realm: &str) -> Digest {
    // RFC 7616 §3.4.4: "username = H( unq(username) ":" unq(realm) )"
    hash.digest(&[username.as_bytes(), realm.as_bytes()])
}

/// What is signed: a request, or the response to one.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// A request of this method.
    Request(&'a str),
    /// The response to it.
    Response,
}

/// H(A2): what is signed. Without a `qop` and with `auth`, the body is no part of it.
pub(crate) fn signed(
    algorithm: Algorithm,
    qop: Option<Qop>,
    signed: Signed<'_>,
    uri: &str,
    body: &[u8],
) -> Digest {
    let hash = algorithm.hash();
    let method = match signed {
        Signed::Request(method) => method,
        // RFC 7616 §3.5: "The rspauth value is
        // calculated as for the response in the Authorization header field,
        // except that if qop is set to "auth" or is not specified in the
        // Authorization header field for the request, A2 is
        // A2       = ":" request-uri"
        Signed::Response => "",
    };
    match qop {
        // RFC 7616 §3.4.3: "A2       = Method ":" request-uri"
        None | Some(Qop::Auth) => hash.digest(&[method.as_bytes(), uri.as_bytes()]),
        // RFC 7616 §3.4.3: "A2       = Method ":" request-uri ":" H(entity-body)"
        // RFC 3261 §22.4: "implementers should assume, when the entity-body is
        // empty (that is, when SIP messages have no body) that the hash
        // of the entity-body resolves to the MD5 hash of an empty
        // string"
        Some(Qop::AuthInt) => {
            let body = hash.digest(&[body]);
            hash.digest(&[method.as_bytes(), uri.as_bytes(), body.as_bytes()])
        }
    }
}

/// What a digest is computed of, besides the user's key and what is signed.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) algorithm: Algorithm,
    /// `None` for a peer that knows RFC 2069 only.
    pub(crate) qop: Option<Qop>,
    pub(crate) nonce: &'a str,
    pub(crate) nc: u32,
    pub(crate) cnonce: &'a str,
    /// The nonce and the client's nonce that the session began with, for `-sess`.
    pub(crate) session: (&'a str, &'a str),
}

impl Inputs<'_> {
    /// The `response` or `rspauth`.
    pub(crate) fn response(&self, user_key: &Digest, signed: &Digest) -> Digest {
        let hash = self.algorithm.hash();
        let ha1 = if self.algorithm.is_session() {
            // RFC 7616 §3.4.2: "A1       = H( unq(username) ":" unq(realm) ":" passwd )
            // ":" unq(nonce-prime) ":" unq(cnonce-prime)"
            let (nonce, cnonce) = self.session;
            hash.digest(&[user_key.as_bytes(), nonce.as_bytes(), cnonce.as_bytes()])
        } else {
            *user_key
        };
        match self.qop {
            // RFC 2617 §3.2.2.1, for peers that know RFC 2069 only.
            None => hash.digest(&[ha1.as_bytes(), self.nonce.as_bytes(), signed.as_bytes()]),
            Some(qop) => hash.digest(&[
                ha1.as_bytes(),
                self.nonce.as_bytes(),
                &nonce_count(self.nc),
                self.cnonce.as_bytes(),
                qop.name().as_bytes(),
                signed.as_bytes(),
            ]),
        }
    }
}

/// `nc`: 8 hexadecimal digits.
pub(crate) fn nonce_count(nc: u32) -> [u8; 8] {
    let mut text = [0; 8];
    for (pair, byte) in text.chunks_exact_mut(2).zip(nc.to_be_bytes()) {
        pair.copy_from_slice(&hex_pair(byte));
    }
    text
}

#[cfg(test)]
mod tests;
