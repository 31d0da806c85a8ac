//! Who one is and how one proves it: passwords, what stands for them, and SIMs.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::digest::{self, Digest};
use crate::{Aka, Algorithm, Hash, Qop};

/// What proves who a user is: the password, or what a digest makes of it (RFC 7616 §3.6).
///
/// A server does well to keep [`Ha1`]s only: they open one realm, not whatever else the password opens.
/// It is printed without what is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    Password(Vec<u8>),
    Ha1(Vec<Ha1>),
    Aka(Arc<dyn Aka>),
}

impl Secret {
    /// A password in the clear: it serves every realm and algorithm.
    ///
    /// RFC 7616 §4 wants it in Unicode's normal form C; that is the caller's. The bytes that are the RES of
    /// a SIM may stand here as well: what a server of RFC 3310 expects.
    pub fn password(password: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Password(password.into()))
    }

    /// H(user:realm:password) by one hash function or several: it serves its user, its realm and
    /// those functions.
    pub fn ha1(hashes: impl IntoIterator<Item = Ha1>) -> Self {
        Self(Kind::Ha1(hashes.into_iter().collect()))
    }

    /// A SIM: it serves `AKAv1-MD5` only (RFC 3310).
    pub fn aka(sim: Arc<dyn Aka>) -> Self {
        Self(Kind::Aka(sim))
    }

    /// What stands for the password; `None` if this secret does not serve the algorithm.
    pub(crate) fn user_key(&self, hash: Hash, username: &str, realm: &str) -> Option<Digest> {
        match &self.0 {
            Kind::Password(password) => Some(digest::user_key(hash, username, realm, password)),
            Kind::Ha1(all) => all.iter().find(|ha1| ha1.hash == hash).map(|ha1| ha1.digest),
            Kind::Aka(_) => None,
        }
    }

    pub(crate) fn sim(&self) -> Option<&dyn Aka> {
        match &self.0 {
            Kind::Aka(sim) => Some(&**sim),
            Kind::Password(_) | Kind::Ha1(_) => None,
        }
    }

    /// Whether a challenge of this algorithm can be answered with it.
    fn serves(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Kind::Password(_) => !algorithm.is_aka(),
            Kind::Ha1(all) => {
                !algorithm.is_aka() && all.iter().any(|ha1| ha1.hash == algorithm.hash())
            }
            Kind::Aka(_) => algorithm.is_aka(),
        }
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Password(a), Self::Password(b)) => a == b,
            (Self::Ha1(a), Self::Ha1(b)) => a == b,
            (Self::Aka(a), Self::Aka(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Kind {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Password(_) => "Secret(password …)",
            Kind::Ha1(_) => "Secret(HA1 …)",
            Kind::Aka(_) => "Secret(SIM …)",
        })
    }
}

impl From<&str> for Secret {
    fn from(password: &str) -> Self {
        Self::password(password)
    }
}

impl From<String> for Secret {
    fn from(password: String) -> Self {
        Self::password(password)
    }
}

impl From<&String> for Secret {
    fn from(password: &String) -> Self {
        Self::password(password.as_str())
    }
}

impl From<Ha1> for Secret {
    fn from(ha1: Ha1) -> Self {
        Self::ha1([ha1])
    }
}

/// H(user:realm:password) by one hash function: what htdigest files and subscriber tables keep. It is as
/// secret as the password, within its realm.
///
/// ```
/// use sip_auth::{Ha1, Hash};
/// let kept = Ha1::from_hex(Hash::Md5, "939e7578ed9e3c518a452acee763bce9")?;
/// assert_eq!(kept, Ha1::new(Hash::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life"));
/// # Ok::<(), sip_auth::BadHa1>(())
/// ```
#[derive(Clone)]
pub struct Ha1 {
    hash: Hash,
    digest: Digest,
}

/// A text that is no HA1 of that function: 32 hexadecimal digits for MD5, 64 for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the hexadecimal digits that the hash function gives")]
pub struct BadHa1;

impl Ha1 {
    /// Of a user and a password.
    pub fn new(hash: Hash, username: &str, realm: &str, password: &str) -> Self {
        Self { hash, digest: digest::user_key(hash, username, realm, password.as_bytes()) }
    }

    /// As it is kept: in hexadecimal.
    ///
    /// # Errors
    /// The text is not of the length that the function gives, or not hexadecimal.
    pub fn from_hex(hash: Hash, hex: &str) -> Result<Self, BadHa1> {
        Digest::from_hex(hash, hex).map(|digest| Self { hash, digest }).ok_or(BadHa1)
    }

    /// The function.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// In lower-case hexadecimal, to be kept.
    pub fn to_hex(&self) -> String {
        self.digest.as_str().into()
    }
}

impl PartialEq for Ha1 {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.digest.matches(&other.digest)
    }
}

impl Eq for Ha1 {}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({:?} …)", self.hash)
    }
}

/// A user's name and secret, to answer challenges with (RFC 3261 §22).
///
/// ```
/// use sip_auth::{Algorithm, Credentials, Ha1, Hash};
/// let ha1 = Ha1::new(Hash::Sha256, "alice", "example.com", "secret");
/// let careful = Credentials::new("alice", ha1)
///     .for_realm("example.com")
///     .only([Algorithm::SHA_256, Algorithm::SHA_256_SESS]);
/// assert_eq!(careful.username(), "alice");
/// ```
///
/// A clone shares what is behind it, so that a table gives its users out for next to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials(Arc<Known>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    username: String,
    secret: Secret,
    realm: Option<String>,
    /// Empty: all.
    algorithms: Vec<Algorithm>,
    integrity: bool,
}

impl Credentials {
    /// For any realm, with a password or another [`Secret`].
    pub fn new(username: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self(Arc::new(Known {
            username: username.into(),
            secret: secret.into(),
            realm: None,
            algorithms: Vec::new(),
            integrity: false,
        }))
    }

    /// For this realm only.
    #[must_use]
    pub fn for_realm(mut self, realm: impl Into<String>) -> Self {
        self.change().realm = Some(realm.into());
        self
    }

    /// For challenges with these algorithms only. Without this, MD5 is answered too, and somebody on the way
    /// who leaves out the stronger challenges is not noticed (RFC 8760 §3).
    #[must_use]
    pub fn only(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.change().algorithms = algorithms.into_iter().collect();
        self
    }

    /// Protects the body too (`auth-int`) where a challenge leaves the choice. Without this `auth` is taken:
    /// some elements on the way change bodies.
    #[must_use]
    pub fn prefer_integrity(mut self) -> Self {
        self.change().integrity = true;
        self
    }

    /// For this realm only, with [`Ha1`]s by these functions in place of a password, which is forgotten: what a
    /// server keeps that need not compute them for each request. A secret that is no password stays as it is.
    #[must_use]
    pub fn digested(self, realm: &str, hashes: impl IntoIterator<Item = Hash>) -> Self {
        let mut digested = self.for_realm(realm);
        let Known { username, secret, .. } = digested.change();
        if let Kind::Password(password) = &secret.0 {
            let digest = |hash| digest::user_key(hash, username, realm, password);
            let all = hashes.into_iter().map(|hash| Ha1 { hash, digest: digest(hash) });
            *secret = Secret::ha1(all);
        }
        digested
    }

    fn change(&mut self) -> &mut Known {
        Arc::make_mut(&mut self.0)
    }

    /// The username.
    pub fn username(&self) -> &str {
        &self.0.username
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// The realm it is for; `None` means any.
    pub fn realm(&self) -> Option<&str> {
        self.0.realm.as_deref()
    }

    /// Whether it is for this realm.
    pub fn is_for(&self, realm: &str) -> bool {
        self.realm().is_none_or(|own| own == realm)
    }

    /// Whether a challenge of this algorithm may and can be answered.
    pub(crate) fn serves(&self, algorithm: Algorithm) -> bool {
        (self.0.algorithms.is_empty() || self.0.algorithms.contains(&algorithm))
            && self.secret().serves(algorithm)
    }

    /// The quality to take where both are offered.
    pub(crate) fn preferred_qop(&self) -> Qop {
        if self.0.integrity { Qop::AuthInt } else { Qop::Auth }
    }
}

#[cfg(test)]
mod tests;
