//! The location service (RFC 3261 §10, §16.5): where the bindings are kept that a registrar makes and a proxy looks
//! up.
//!
//! ```text
//! REGISTER -> register --+-- Store::lookup, Registrar::apply, Store::commit -- Commit::Done -> 200
//!                        |          ^                            |
//!                        |          +------- Store::load <-------+ Commit::Conflict
//! INVITE ---> Store::lookup -> Located::reachable -> targets
//! ```
//!
//! | store | bindings live in | seen by |
//! | --- | --- | --- |
//! | [`Memory`] | this process, until it ends | this process: any number of shards |
//! | `Redis` (feature `redis`) | Redis or Valkey, as long as that keeps them | every node that has the same one |
//!
//! A store knows nothing of the rules of REGISTER, which are [`Registrar`]'s: it keeps lists of bindings under
//! addresses-of-record, each with a [`Version`], and replaces a list by another if nobody else did in between. No two
//! REGISTERs can so be mixed, however many shards and servers work at once.
//!
//! Time is the caller's. A store may go on to give bindings that are over: [`Located::reachable`] and
//! [`Registrar::apply`] leave them out.
//!
//! ```
//! use core::time::Duration;
//! use sip_message::{Limits, Message};
//! use sip_proxy::location::{Memory, MemoryLimits, Store, register};
//! use sip_proxy::{Aor, Register, Registrar};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Memory::new(MemoryLimits::default(), [0x5eed, 0x5ec2e7]); // a random seed that nobody knows
//! let request = b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
//!     From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@192.0.2.7\r\nCSeq: 1 REGISTER\r\n\
//!     Contact: <sip:bob@192.0.2.7>\r\n\r\n";
//! let request = Message::parse(request[..].into(), &Limits::default())?.into_request().unwrap();
//! let now = Duration::from_secs(1_800_000_000);
//!
//! let change = register(&store, &Registrar::default(), &Register::read(&request)?, now, 0).await?;
//! let answer = change.answer(&request, now).build()?;
//!
//! let located = store.lookup(&Aor::of(&"sip:bob@example.com".parse()?).unwrap()).await?;
//! let target = located.reachable(now, &store).next().unwrap();
//! assert_eq!(target.uri().unwrap().to_string(), "sip:bob@192.0.2.7");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "redis")]
mod cache;
#[cfg(feature = "redis")]
mod lease;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod watch;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use sip_message::StatusCode;

pub use memory::{Memory, MemoryLimits};
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisConfig, RedisUrlError};
pub use watch::{Watch, Watched};

use crate::registrar::{Aor, Binding, BindingChange, Register, RegisterRefused, Registrar};

/// Where bindings are kept. What each method promises holds for every store; what a store promises beyond that is
/// said where it is documented.
///
/// The futures of a store within the process are ready at once: who polls one once saves a task.
pub trait Store: Send + Sync + 'static {
    /// The bindings of an address-of-record as they are now: every [`commit`](Self::commit) that was done before,
    /// wherever that was, is in it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that cannot be found out.
    fn load(&self, aor: &Aor) -> impl Future<Output = Result<Located, StoreError>> + Send;

    /// The bindings of an address-of-record as they were a short while ago: for routing. How long ago at most is
    /// said by the store; here, and in [`Memory`], it is as [`load`](Self::load).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if nothing is known that is young enough.
    fn lookup(&self, aor: &Aor) -> impl Future<Output = Result<Located, StoreError>> + Send {
        self.load(aor)
    }

    /// Replaces the bindings of an address-of-record, if they are still of the version that was loaded. To keep none
    /// removes the address-of-record.
    ///
    /// # Errors
    /// After [`StoreError::Full`], nothing is changed. After [`StoreError::Unavailable`], it is unknown whether the
    /// bindings are replaced.
    fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send;

    /// The addresses-of-record that have a binding of this user agent instance, `urn:uuid:…` (RFC 5626 §4.1); case
    /// does not count.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that cannot be found out.
    fn of_instance(
        &self,
        instance: &str,
    ) -> impl Future<Output = Result<Vec<Aor>, StoreError>> + Send;

    /// Tells of every address-of-record whose bindings change from now on: for those who are notified of it (RFC
    /// 3680), and for caches.
    fn watch(&self) -> Watch;

    /// Whether this node still has its lease, as far as is known here; no round trip. A store that lives within one
    /// process says yes: its nodes end with it.
    fn is_alive(&self, node: &str) -> bool {
        let _ = node;
        true
    }

    /// The name under which this node keeps a lease, which bindings over its connections are marked with
    /// ([`Register::held_by`]). A store that lives within one process has none.
    fn node(&self) -> Option<&str> {
        None
    }

    /// Gives the lease back before the node ends, so that nobody routes to its connections any more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the lease runs out by itself.
    fn leave(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        core::future::ready(Ok(()))
    }

    /// Forgets bindings that are over, a bounded number of them, and says whether some are left: then it is to be
    /// called again, and otherwise about once a second. Stores that need no help do nothing.
    fn expire(&self, now: Duration) -> bool {
        let _ = now;
        false
    }
}

/// The bindings of an address-of-record, at a version.
#[derive(Clone, Debug)]
pub struct Located {
    /// In the order in which they were first made.
    pub bindings: Arc<[Binding]>,
    /// To commit under.
    pub version: Version,
}

impl Located {
    /// No bindings.
    #[must_use]
    pub fn none() -> Self {
        Self { bindings: Arc::new([]), version: Version::NONE }
    }

    /// The bindings that a request can be sent to: those that are not over, and are not reached by a connection of a
    /// node that has lost its lease.
    pub fn reachable<S: Store>(&self, now: Duration, store: &S) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| {
            binding.until() > now && binding.node().is_none_or(|node| store.is_alive(node))
        })
    }

    /// Of those, the ones of this instance: what a GRUU stands for (RFC 5627 §5.1), whose `gr` is the instance, or of
    /// which a temporary one is made. The one that was refreshed last comes first.
    // RFC 5627 §6.1: "The proxy MUST select the most recently refreshed
    // contact."
    pub fn reachable_instance<S: Store>(
        &self,
        instance: &str,
        now: Duration,
        store: &S,
    ) -> Vec<&Binding> {
        let of_it = |binding: &&Binding| {
            binding.instance().is_some_and(|of| of.eq_ignore_ascii_case(instance))
        };
        let mut found: Vec<_> = self.reachable(now, store).filter(of_it).collect();
        found.sort_by_key(|binding| core::cmp::Reverse(binding.refreshed()));
        found
    }
}

/// Tells one list of bindings of an address-of-record from those before and after. An address-of-record never has the
/// same version again with other bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    /// Of an address-of-record without bindings.
    pub const NONE: Self = Self(0);

    /// The version of this number, for stores; 0 is [`NONE`](Self::NONE).
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// The bindings are replaced, and are of this version now.
    Done(Version),
    /// They were of another version, and are as they were.
    Conflict,
}

/// Why a store could not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What keeps the bindings cannot be reached, is too slow, or has too much to do.
    #[error("the location store is not available")]
    Unavailable,
    /// There is no room for more.
    #[error("the location store is full")]
    Full,
    /// What is kept was not written by this program.
    #[error("the location store has an entry that cannot be read")]
    Unreadable,
}

impl StoreError {
    /// The status that the request is owed: 503, to be sent with Retry-After, or 500 where waiting does not help.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unavailable | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreadable => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }
}

/// Why a REGISTER was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] RegisterRefused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a REGISTER is carried out again because another of the same address-of-record came first, before it is
/// taken for more than the store can do.
const MAX_CONFLICTS: usize = 16;

/// Carries a REGISTER out on a store (RFC 3261 §10.3): applies the rules to the bindings, and commits what they make
/// of them. The change that it gives is committed, and may be answered.
///
/// What a store knows without a round trip is tried first: where it was out of date, the commit says so. A request
/// that is refused, or only asks, is judged by what [`Store::load`] gives.
///
/// # Errors
/// The request is refused, or the store fails: [`StoreError::Unavailable`] also after sixteen others of the same
/// address-of-record that came first.
// RFC 3261 §10.3: "The binding updates MUST be committed (that
// is, made visible to the proxy or redirect server) if and only if all
// binding updates and additions succeed."
pub async fn register<S: Store>(
    store: &S,
    registrar: &Registrar,
    register: &Register<'_>,
    now: Duration,
    dice: u32,
) -> Result<BindingChange, RegisterError> {
    let aor = register.aor();
    let mut known = store.lookup(aor).await.ok();
    for _ in 0..MAX_CONFLICTS {
        let (located, is_current) = match known.take() {
            Some(located) => (located, false),
            None => (store.load(aor).await?, true),
        };
        match registrar.apply(&located.bindings, register, now, dice) {
            Ok(change) if !change.is_empty() => {
                let commit = store.commit(aor, change.bindings.clone(), located.version);
                if let Commit::Done(_) = commit.await? {
                    return Ok(change);
                }
            }
            Ok(change) if is_current => return Ok(change),
            Err(refused) if is_current => return Err(refused.into()),
            Ok(_) | Err(_) => {} // Only what is current counts for these.
        }
    }
    Err(StoreError::Unavailable.into())
}

#[cfg(test)]
mod tests;
