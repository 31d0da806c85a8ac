//! What a digest is computed with, and what it protects (RFC 7616 §3.3, RFC 8760 §2.1, RFC 3310 §3.1).

use core::fmt;
use core::str::FromStr;

/// A hash function of RFC 8760 §2.1. Their order is that of their strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// MD5, of 128 bits: for old peers only.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512T256,
}

/// The `algorithm` of a challenge and of credentials.
///
/// ```
/// use sip_auth::Algorithm;
/// assert_eq!("sha-256".parse(), Ok(Algorithm::SHA_256));
/// assert_eq!(Algorithm::SHA_512_256_SESS.to_string(), "SHA-512-256-sess");
/// assert!("SHA-1".parse::<Algorithm>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm {
    hash: Hash,
    session: bool,
    aka: bool,
}

/// The name of an algorithm that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no algorithm of that name is known")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// `MD5`.
    pub const MD5: Self = Self { hash: Hash::Md5, session: false, aka: false };
    /// `MD5-sess`.
    pub const MD5_SESS: Self = Self { hash: Hash::Md5, session: true, aka: false };
    /// `SHA-256`.
    pub const SHA_256: Self = Self { hash: Hash::Sha256, session: false, aka: false };
    /// `SHA-256-sess`.
    pub const SHA_256_SESS: Self = Self { hash: Hash::Sha256, session: true, aka: false };
    /// `SHA-512-256`.
    pub const SHA_512_256: Self = Self { hash: Hash::Sha512T256, session: false, aka: false };
    /// `SHA-512-256-sess`.
    pub const SHA_512_256_SESS: Self = Self { hash: Hash::Sha512T256, session: true, aka: false };
    /// `AKAv1-MD5`: MD5, the password being what a SIM makes of the nonce (RFC 3310).
    pub const AKAV1_MD5: Self = Self { hash: Hash::Md5, session: false, aka: true };

    /// Every one, the weakest first.
    pub const ALL: [Self; 7] = [
        Self::AKAV1_MD5,
        Self::MD5,
        Self::MD5_SESS,
        Self::SHA_256,
        Self::SHA_256_SESS,
        Self::SHA_512_256,
        Self::SHA_512_256_SESS,
    ];

    /// Its hash function.
    pub const fn hash(self) -> Hash {
        self.hash
    }

    /// Whether A1 is made once a session, of both nonces (`-sess`).
    pub const fn is_session(self) -> bool {
        self.session
    }

    /// Whether the password is what a SIM makes of the nonce (RFC 3310).
    pub const fn is_aka(self) -> bool {
        self.aka
    }

    /// The name as the standards write it.
    pub const fn name(self) -> &'static str {
        match (self.hash, self.session, self.aka) {
            (_, _, true) => "AKAv1-MD5",
            (Hash::Md5, false, _) => "MD5",
            (Hash::Md5, true, _) => "MD5-sess",
            (Hash::Sha256, false, _) => "SHA-256",
            (Hash::Sha256, true, _) => "SHA-256-sess",
            (Hash::Sha512T256, false, _) => "SHA-512-256",
            (Hash::Sha512T256, true, _) => "SHA-512-256-sess",
        }
    }

    /// What an `algorithm` parameter names, and what is meant where there is none.
    pub(crate) fn of_param(name: Option<&str>) -> Result<Self, UnknownAlgorithm> {
        // RFC 7616 §3.3: "If this is not present, it is assumed to be "MD5"."
        name.map_or(Ok(Self::MD5), str::parse)
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// In any case.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let known = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name));
        known.ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The quality of protection (`qop`). Without one, the digest is that of RFC 2069.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qop {
    /// `auth`: method and URI.
    Auth,
    /// `auth-int`: the body as well.
    AuthInt,
}

impl Qop {
    /// The name as the standards write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    /// The quality of that name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|qop| qop.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests;
