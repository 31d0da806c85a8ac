//! What a request claims, its proof, and who sent it then.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use super::Refusal;
use super::aka::AkaClaim;
use crate::digest::{self, Digest, Inputs};
use crate::{Algorithm, NonceStore, NonceUse, Qop, Secret, Use};

/// What a request claims.
#[derive(Debug, Clone)]
pub enum Checked {
    /// ACK and CANCEL are not to be challenged.
    Exempt,
    /// There are credentials: their secret is to be looked up.
    Claimed(Box<Claim>),
}

/// Who a client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// The username.
    Name(String),
    /// What stands for it (RFC 7616 §3.4.4), in lower-case hexadecimal.
    Hash(String),
}

/// Credentials for our realm, with a nonce of ours, not yet proven.
#[derive(Clone)]
pub struct Claim {
    pub(super) realm: String,
    pub(super) user: User,
    pub(super) uri: String,
    pub(super) direct: bool,
    pub(super) nonce: String,
    pub(super) algorithm: Algorithm,
    pub(super) qop: Option<Qop>,
    pub(super) cnonce: String,
    pub(super) signed: Digest,
    pub(super) response: Digest,
    /// What a SIM was asked.
    pub(super) aka: Option<Box<AkaClaim>>,
    pub(super) used: NonceUse,
}

impl core::fmt::Debug for Claim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Claim")
            .field("user", &self.user)
            .field("realm", &self.realm)
            .field("uri", &self.uri)
            .field("algorithm", &self.algorithm)
            .field("qop", &self.qop)
            .finish_non_exhaustive()
    }
}

impl Claim {
    /// Who it is said to be.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The username, unless it is hidden.
    pub fn username(&self) -> Option<&str> {
        match &self.user {
            User::Name(name) => Some(name),
            User::Hash(_) => None,
        }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether it is said to be this user, hidden or not.
    pub fn is_user(&self, name: &str) -> bool {
        match &self.user {
            User::Name(said) => said == name,
            User::Hash(hash) => {
                digest::user_hash(self.algorithm.hash(), name, &self.realm).as_str() == hash
            }
        }
    }

    /// The algorithm: which HA1 to look for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The use of the nonce.
    pub fn nonce_use(&self) -> &NonceUse {
        &self.used
    }

    /// The quality of protection; `None` for a client of RFC 2069.
    pub fn qop(&self) -> Option<Qop> {
        self.qop
    }

    /// The URI that the credentials were computed for.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether that is the Request-URI.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The same for a user whose name was hidden and has been found. A password cannot be checked without.
    ///
    /// # Errors
    /// It is not this user.
    pub fn named(mut self: Box<Self>, name: &str) -> Result<Box<Self>, Refusal> {
        if !self.is_user(name) {
            return Err(Refusal::Wrong);
        }
        if let User::Hash(_) = self.user {
            self.user = User::Name(name.to_owned());
        }
        Ok(self)
    }

    /// Compares what the client computed with what the secret gives.
    ///
    /// # Errors
    /// They differ, or the secret does not serve the algorithm.
    pub fn verify(self: Box<Self>, secret: &Secret) -> Result<Proof, Refusal> {
        let name = match &self.user {
            User::Name(name) | User::Hash(name) => name,
        };
        let Some(user_key) = secret.user_key(self.algorithm.hash(), name, &self.realm) else {
            return Err(self.unknown_user());
        };
        if self.is_proven_by(&user_key) {
            return Ok(Proof(Authenticated { claim: self, user_key }));
        }
        // A client may begin a session with one nonce of its own and go on with others; nobody here remembers
        // the first. So it begins another.
        if self.algorithm.is_session() && self.used.nc > 1 {
            return Err(Refusal::OtherSession);
        }
        Err(Refusal::Wrong)
    }

    /// There is no such user: refused like a wrong secret, after as long a time.
    pub fn unknown_user(&self) -> Refusal {
        self.unknown_among(None)
    }

    /// The same where secrets are such as this one: what stands for a password need not be computed.
    pub(crate) fn unknown_among(&self, decoy: Option<&Secret>) -> Refusal {
        let hash = self.algorithm.hash();
        let nobody = decoy
            .and_then(|secret| secret.user_key(hash, &self.uri, &self.realm))
            .unwrap_or_else(|| digest::user_key(hash, &self.uri, &self.realm, b""));
        core::hint::black_box(self.is_proven_by(&nobody));
        if self.algorithm.is_session() && self.used.nc > 1 {
            return Refusal::OtherSession;
        }
        Refusal::Wrong
    }

    fn is_proven_by(&self, user_key: &Digest) -> bool {
        self.inputs().response(user_key, &self.signed).matches(&self.response)
    }

    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            algorithm: self.algorithm,
            qop: self.qop,
            nonce: &self.nonce,
            nc: self.used.nc,
            cnonce: &self.cnonce,
            session: (&self.nonce, &self.cnonce),
        }
    }
}

/// Credentials whose secret is right. Whether they are used for the first time is still to be seen.
#[derive(Debug, Clone)]
#[must_use = "a replay is as well proven as the original"]
pub struct Proof(Authenticated);

impl Proof {
    /// The use of the nonce that is to be recorded.
    pub fn nonce_use(&self) -> &NonceUse {
        &self.0.claim.used
    }

    /// Records the use in a store at hand.
    ///
    /// # Errors
    /// It is not the first.
    pub fn record(
        self,
        store: &mut impl NonceStore,
        now: Duration,
    ) -> Result<Authenticated, Refusal> {
        let judged = store.record(self.nonce_use(), now);
        self.settle(judged)
    }

    /// Takes the verdict of a store that was asked elsewhere about [`nonce_use`](Self::nonce_use).
    ///
    /// # Errors
    /// It is not the first.
    pub fn settle(self, judged: Use) -> Result<Authenticated, Refusal> {
        match judged {
            Use::First => Ok(self.0),
            Use::Repeated => Err(Refusal::Repeated),
        }
    }
}

/// Who sent a request: proven, and not by a replay.
#[derive(Clone)]
pub struct Authenticated {
    pub(super) claim: Box<Claim>,
    pub(super) user_key: Digest,
}

impl Authenticated {
    /// The credentials that proved it.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }
}

impl core::fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Authenticated").field(&self.claim).finish()
    }
}
