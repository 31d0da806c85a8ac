//! Whom a user agent serves: what it asks for, and where users and the nonces they used are looked up.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use sip_auth::{Authority, Claim, Credentials, NonceStore, NonceUse, Use, UsedNonces};

/// An answer that is at hand, or one that is to be waited for.
pub enum Lookup<T> {
    /// Here it is.
    Ready(T),
    /// It comes from elsewhere.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Lookup<T> {
    /// One that is to be waited for.
    pub fn later(answer: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }
}

impl<T> From<T> for Lookup<T> {
    fn from(answer: T) -> Self {
        Self::Ready(answer)
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

/// Where the users of a server are looked up.
///
/// ```
/// use sip_ua::{Claim, Credentials, Ha1, Hash, Lookup, Users};
///
/// struct Subscribers(/* a pool of connections to a database */);
///
/// impl Users for Subscribers {
///     fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
///         let Some(name) = claim.username().map(str::to_owned) else { return None.into() };
///         Lookup::later(async move {
///             // … ask for the HA1 that is kept for this name …
///             let ha1 = Ha1::from_hex(Hash::Sha256, &"0".repeat(64)).ok()?;
///             Some(Credentials::new(name, ha1))
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
    /// An authority that accepts forwarded requests ([`Authority::accept_forwarded`]), as it must behind a
    /// proxy that puts a Contact in place of the URI that was called, leaves it to this to see whether
    /// [`Claim::uri`] is one to be served.
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>>;
}

/// In order; those for other realms are passed over.
impl Users for Vec<Credentials> {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let here = |user: &&Credentials| user.realm().is_none_or(|realm| realm == claim.realm());
        self.iter().filter(here).find(|user| claim.is_user(user.username())).cloned().into()
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
impl SharedNonces for Mutex<UsedNonces> {
    fn record(&self, used: &NonceUse, now: Duration) -> Lookup<Use> {
        // Whole at every step: a panic elsewhere left nothing half done.
        self.lock().unwrap_or_else(PoisonError::into_inner).record(used, now).into()
    }
}

/// Which requests are to prove whose they are, and how: see
/// [`UserAgentBuilder::authentication`](crate::UserAgentBuilder::authentication).
///
/// A request that reaches the application has proven it: its Authorization names the user. What From says is
/// another matter, which the application judges.
///
/// The 2xx to such a request proves in turn that this side knows the secret (Authentication-Info), and holds
/// the next nonce when the present one is past half of its life.
#[derive(Clone)]
pub struct ServerAuthentication {
    pub(super) authority: Authority,
    pub(super) users: Arc<dyn Users>,
    pub(super) shared: Option<Arc<dyn SharedNonces>>,
    pub(super) within_dialogs: bool,
    pub(super) used_nonces: usize,
    pub(super) lookups: usize,
    pub(super) lookup_limit: Duration,
}

impl ServerAuthentication {
    /// Challenges every request outside of a dialog, but ACK and CANCEL, which nobody may challenge.
    pub fn new(authority: Authority, users: impl Users + 'static) -> Self {
        Self {
            authority,
            users: Arc::new(users),
            shared: None,
            within_dialogs: false,
            used_nonces: 65_536,
            lookups: 1_000,
            lookup_limit: Duration::from_secs(10),
        }
    }

    /// Challenges requests within dialogs as well. The other end of a call that was placed from here is
    /// challenged too then: it must be among the users.
    #[must_use]
    pub fn within_dialogs(mut self) -> Self {
        self.within_dialogs = true;
        self
    }

    /// How many nonces in use are remembered, each with some 100 bytes; when there are more, the owners of the
    /// oldest are challenged once more. Default 65,536.
    #[must_use]
    pub fn used_nonces(mut self, limit: usize) -> Self {
        self.used_nonces = limit;
        self
    }

    /// Records used nonces here, and not in the memory of this user agent: for several with one nonce key.
    #[must_use]
    pub fn shared_nonces(mut self, shared: impl SharedNonces + 'static) -> Self {
        self.shared = Some(Arc::new(shared));
        self
    }

    /// How many requests may wait for a [`Lookup::Later`] at a time; what comes on top is answered 503 with
    /// Retry-After. Default 1,000.
    #[must_use]
    pub fn lookups(mut self, limit: usize) -> Self {
        self.lookups = limit;
        self
    }

    /// How long one may take before its request is answered 503 with Retry-After. Default 10 s.
    #[must_use]
    pub fn lookup_limit(mut self, limit: Duration) -> Self {
        self.lookup_limit = limit;
        self
    }
}

impl fmt::Debug for ServerAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAuthentication")
            .field("authority", &self.authority)
            .field("within_dialogs", &self.within_dialogs)
            .field("used_nonces", &self.used_nonces)
            .field("lookups", &self.lookups)
            .field("lookup_limit", &self.lookup_limit)
            .finish_non_exhaustive()
    }
}

/// A lookup that a request waits for: whoever drives the agent awaits it, wherever it likes, and gives what
/// comes of it to [`Agent::looked_up`](crate::Agent::looked_up).
pub struct PendingLookup(Pin<Box<dyn Future<Output = LookedUp> + Send>>);

/// What came of a [`PendingLookup`].
pub struct LookedUp(pub(super) Found);

pub(super) enum Found {
    User(Option<Credentials>),
    Use(Use),
}

impl PendingLookup {
    pub(super) fn of<T: 'static>(
        answer: Pin<Box<dyn Future<Output = T> + Send>>,
        found: fn(T) -> Found,
    ) -> Self {
        Self(Box::pin(async move { LookedUp(found(answer.await)) }))
    }
}

impl Future for PendingLookup {
    type Output = LookedUp;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookedUp> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for PendingLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLookup(…)")
    }
}

impl fmt::Debug for LookedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Found::User(Some(_)) => "LookedUp(a user)",
            Found::User(None) => "LookedUp(nobody)",
            Found::Use(Use::First) => "LookedUp(the first use)",
            Found::Use(Use::Repeated) => "LookedUp(a repeated use)",
        })
    }
}
