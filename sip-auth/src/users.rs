//! Where a server looks up its users, and the nonces that they used: in memory, or elsewhere.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use crate::{Claim, Credentials, Hash, NonceUse, Use};

/// An answer that is at hand, or one that is to be waited for.
pub enum Lookup<T> {
    /// Here it is.
    Ready(Result<T, Unavailable>),
    /// It comes from elsewhere.
    Later(Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send>>),
}

impl<T> Lookup<T> {
    /// One that is to be waited for.
    pub fn later(answer: impl Future<Output = Result<T, Unavailable>> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }

    /// The answer, however long it takes.
    ///
    /// # Errors
    /// Who knows it cannot be asked.
    pub async fn wait(self) -> Result<T, Unavailable> {
        match self {
            Self::Ready(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

impl<T> From<T> for Lookup<T> {
    fn from(answer: T) -> Self {
        Self::Ready(Ok(answer))
    }
}

impl<T: fmt::Debug> fmt::Debug for Lookup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(…)"),
        }
    }
}

/// Why nobody can tell: the database is away, say. It says nothing about the user, and a request that it happens to is
/// to be sent again later (503), not refused.
///
/// Every error becomes one, so that a lookup can use `?`; it is none itself.
pub struct Unavailable(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Unavailable {
    fn from(why: E) -> Self {
        Self(Box::new(why))
    }
}

impl Unavailable {
    /// For this reason.
    pub fn new(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unavailable").field(&self.0).finish()
    }
}

/// The users of a server.
///
/// ```
/// use sip_auth::{Claim, Credentials, Ha1, Lookup, Unavailable, Users};
///
/// struct Subscribers(/* a pool of connections to a database */);
///
/// impl Users for Subscribers {
///     fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
///         let Some(name) = claim.username().map(str::to_owned) else { return None.into() };
///         let hash = claim.algorithm().hash();
///         Lookup::later(async move {
///             // … ask for the HA1 that is kept for this name …
///             let ha1 = Ha1::from_hex(hash, &"0".repeat(64))?;
///             Ok(Some(Credentials::new(name, ha1)))
///         })
///     }
/// }
/// ```
pub trait Users: Send + Sync {
    /// The user that a request claims to be from, if there is one, with the name exactly as it is claimed.
    ///
    /// It is asked on the task that serves everybody, so it must not block: what is not in memory comes by
    /// [`Lookup::Later`], and the request waits for it.
    ///
    /// An authority that accepts forwarded requests
    /// ([`Authority::accept_forwarded`](crate::Authority::accept_forwarded)), as it must behind a proxy that puts a
    /// Contact in place of the URI that was called, leaves it to this to see whether [`Claim::uri`] is one to be
    /// served.
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>>;

    /// Whether there is a user of that name, for those who ask about somebody else: everybody is one, unless this
    /// says otherwise.
    fn knows(&self, name: &str) -> Lookup<bool> {
        let _ = name;
        true.into()
    }
}

/// Several who share them.
impl<T: Users + ?Sized> Users for Arc<T> {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        (**self).find(claim)
    }

    fn knows(&self, name: &str) -> Lookup<bool> {
        (**self).knows(name)
    }
}

/// In order; those for other realms are passed over.
impl Users for Vec<Credentials> {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let here = |user: &&Credentials| user.is_for(claim.realm());
        self.iter().filter(here).find(|user| claim.is_user(user.username())).cloned().into()
    }

    fn knows(&self, name: &str) -> Lookup<bool> {
        self.iter().any(|user| user.username() == name).into()
    }
}

/// Users in memory, found by their names, of which each has one.
#[derive(Clone, Debug, Default)]
pub struct UserTable(BTreeMap<Box<str>, Credentials>);

impl FromIterator<Credentials> for UserTable {
    fn from_iter<I: IntoIterator<Item = Credentials>>(users: I) -> Self {
        Self(users.into_iter().map(|user| (user.username().into(), user)).collect())
    }
}

impl UserTable {
    /// The same with what stands for the passwords in this realm, by these functions: see
    /// [`Credentials::digested`]. Those who are for another realm stay as they are.
    #[must_use]
    pub fn digested(mut self, realm: &str, hashes: impl IntoIterator<Item = Hash> + Clone) -> Self {
        for user in self.0.values_mut().filter(|user| user.is_for(realm)) {
            *user = user.clone().digested(realm, hashes.clone());
        }
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Users for UserTable {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let found = match claim.username() {
            Some(name) => self.0.get(name),
            // A hidden name: only trying finds it.
            None => self.0.values().find(|user| claim.is_user(user.username())),
        };
        found.filter(|user| user.is_for(claim.realm())).cloned().into()
    }

    fn knows(&self, name: &str) -> Lookup<bool> {
        self.0.contains_key(name).into()
    }
}

/// Where servers that share a nonce key record which counts of which nonces were used.
///
/// Each server alone remembers only what was used with itself: a request that somebody recorded could be
/// played once to each of the others. Servers with keys of their own do not need this, but challenge clients
/// that change from one to another.
pub trait SharedNonces: Send + Sync {
    /// Records a use and judges it in one step, so that two servers never both find it to be the first.
    /// The nonce may be forgotten when it has run out ([`NonceUse::expires`]).
    fn record(&self, used: &NonceUse, now: Duration) -> Lookup<Use>;
}

/// Several handles on one store.
impl<T: SharedNonces + ?Sized> SharedNonces for Arc<T> {
    fn record(&self, used: &NonceUse, now: Duration) -> Lookup<Use> {
        (**self).record(used, now)
    }
}

/// For servers in one process: each holds an `Arc` of it.
#[cfg(feature = "std")]
impl SharedNonces for std::sync::Mutex<crate::UsedNonces> {
    fn record(&self, used: &NonceUse, now: Duration) -> Lookup<Use> {
        // Whole at every step: a panic elsewhere left nothing half done.
        let mut store = self.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        crate::NonceStore::record(&mut *store, used, now).into()
    }
}
