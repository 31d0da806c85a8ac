//! The digest computation (RFC 2617 §3.2.2, RFC 7616 §3.4, RFC 8760 §2).

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A hash algorithm of RFC 8760 §2.1 and whether its A1 is made once a session (`-sess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithm {
    hash: Hash,
    session: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512T256,
}

impl Algorithm {
    /// The algorithm that a challenge names; MD5 if it names none. `None` for one that is not known.
    pub(super) fn named(name: Option<&str>) -> Option<Algorithm> {
        let Some(name) = name else {
            return Some(Algorithm { hash: Hash::Md5, session: false });
        };
        let (base, session) = match name.len().checked_sub("-sess".len()) {
            Some(at) if name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case("-sess")) => {
                (name.get(..at).unwrap_or(""), true)
            }
            _ => (name, false),
        };
        let hash = if base.eq_ignore_ascii_case("MD5") {
            Hash::Md5
        } else if base.eq_ignore_ascii_case("SHA-256") {
            Hash::Sha256
        } else if base.eq_ignore_ascii_case("SHA-512-256") {
            Hash::Sha512T256
        } else {
            return None;
        };
        Some(Algorithm { hash, session })
    }

    /// What Authorization says of it.
    pub(super) fn name(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512T256, false) => "SHA-512-256",
            (Hash::Sha512T256, true) => "SHA-512-256-sess",
        }
    }

    /// Whether A1 holds the client's nonce.
    pub(super) fn is_session(self) -> bool {
        self.session
    }

    /// H of the parts joined with colons, in hexadecimal.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self.hash {
            Hash::Md5 => hash::<Md5>(parts),
            Hash::Sha256 => hash::<Sha256>(parts),
            Hash::Sha512T256 => hash::<Sha512_256>(parts),
        }
    }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> String {
    let mut digest = D::new();
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    let digest = digest.finalize();
    // RFC 8760 §2.2: "Each set of four bits is represented by its familiar
    // hexadecimal notation from the characters 0123456789abcdef"
    let mut text = String::with_capacity(digest.len() * 2);
    for byte in digest.iter() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The quality of protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qop {
    Auth,
    AuthInt,
}

impl Qop {
    pub(super) fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

/// What a digest is computed of.
pub(super) struct Inputs<'a> {
    pub(super) algorithm: Algorithm,
    /// `None` for a server that knows RFC 2069 only.
    pub(super) qop: Option<Qop>,
    pub(super) username: &'a str,
    pub(super) password: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    /// `00000001` and on.
    pub(super) nc: &'a str,
    pub(super) cnonce: &'a str,
    /// The client's nonce of the first request with this nonce, for `-sess`.
    pub(super) session_cnonce: &'a str,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
}

impl Inputs<'_> {
    /// The `response` parameter.
    pub(super) fn response(&self) -> String {
        let algorithm = self.algorithm;
        // RFC 7616 §3.4.2: "A1       = unq(username) ":" unq(realm) ":" passwd"
        let mut ha1 = algorithm.hash(&[
            self.username.as_bytes(),
            self.realm.as_bytes(),
            self.password.as_bytes(),
        ]);
        if algorithm.session {
            // RFC 7616 §3.4.2: "A1       = H( unq(username) ":" unq(realm) ":" passwd )
            // ":" unq(nonce-prime) ":" unq(cnonce-prime)"
            ha1 = algorithm.hash(&[
                ha1.as_bytes(),
                self.nonce.as_bytes(),
                self.session_cnonce.as_bytes(),
            ]);
        }
        let ha2 = match self.qop {
            // RFC 7616 §3.4.3: "A2       = Method ":" request-uri"
            None | Some(Qop::Auth) => {
                algorithm.hash(&[self.method.as_bytes(), self.uri.as_bytes()])
            }
            // RFC 7616 §3.4.3: "A2       = Method ":" request-uri ":" H(entity-body)"
            Some(Qop::AuthInt) => algorithm.hash(&[
                self.method.as_bytes(),
                self.uri.as_bytes(),
                algorithm.hash(&[self.body]).as_bytes(),
            ]),
        };
        match self.qop {
            None => algorithm.hash(&[ha1.as_bytes(), self.nonce.as_bytes(), ha2.as_bytes()]),
            Some(qop) => algorithm.hash(&[
                ha1.as_bytes(),
                self.nonce.as_bytes(),
                self.nc.as_bytes(),
                self.cnonce.as_bytes(),
                qop.name().as_bytes(),
                ha2.as_bytes(),
            ]),
        }
    }
}

#[cfg(test)]
mod tests;
