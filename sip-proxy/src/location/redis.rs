//! The store of servers that share one Redis or Valkey.
//!
//! One connection carries everything: what is asked, and what Redis tells of changes by itself. It does both in one
//! order, so that an answer never hides a change that was told before it, and the answer to a *beat*, once a second,
//! says that every change before it has been heard. A connection that does not answer a beat in time counts as lost;
//! while there is none, nothing waits for one.

mod link;

use core::future::Future;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use super::cache::Ticket;
use super::{Commit, Located, Store, StoreError, Version, Watch};
use crate::registrar::{Aor, Binding};

use link::{Link, Shared};

/// How a [`Redis`] is used. Plain values with setters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisConfig {
    /// What all keys and the channel of a location service begin with. Default `sip:`.
    pub prefix: Box<str>,
    /// The name under which this node keeps a lease, if it holds connections for bindings ([`Register::held_by`]). To
    /// be another each time that the program starts, since its connections end with it. Default none.
    ///
    /// [`Register::held_by`]: crate::Register::held_by
    pub node: Option<Box<str>>,
    /// After how long without a word a node is taken for dead, on every node. Default 15 s, at least 4 s.
    pub lease: Duration,
    /// How long one command may take before it is given up. Default 1 s.
    pub command_timeout: Duration,
    /// How many commands may be under way; what is beyond is [`StoreError::Unavailable`]. Default 1,000.
    pub max_commands: usize,
    /// How long connecting may take. Default 2 s.
    pub connect_timeout: Duration,
    /// The longest time between two attempts to connect, which grows from 100 ms. Default 5 s.
    pub max_backoff: Duration,
    /// Of how many addresses-of-record the bindings are kept here for lookups. Default 100,000.
    pub cached: usize,
    /// How old an answer from there may be while Redis is away. Default 5 min.
    pub max_stale: Duration,
    /// The roots to trust of a `rediss://`, certificates in PEM. Default none: those of the system.
    #[cfg(feature = "redis-tls")]
    pub roots: Option<Box<[u8]>>,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            prefix: "sip:".into(),
            node: None,
            lease: Duration::from_secs(15),
            command_timeout: Duration::from_secs(1),
            max_commands: 1_000,
            connect_timeout: Duration::from_secs(2),
            max_backoff: Duration::from_secs(5),
            cached: 100_000,
            max_stale: Duration::from_secs(300),
            #[cfg(feature = "redis-tls")]
            roots: None,
        }
    }
}

impl RedisConfig {
    /// Sets what all keys begin with.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the name of this node.
    #[must_use]
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Sets after how long without a word a node is taken for dead.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(BEAT.saturating_mul(4));
        self
    }

    /// Sets how long one command may take.
    #[must_use]
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Sets how many commands may be under way.
    #[must_use]
    pub fn max_commands(mut self, commands: usize) -> Self {
        self.max_commands = commands.max(1);
        self
    }

    /// Sets of how many addresses-of-record the bindings are kept here.
    #[must_use]
    pub fn cached(mut self, aors: usize) -> Self {
        self.cached = aors;
        self
    }

    /// Sets how old an answer may be while Redis is away.
    #[must_use]
    pub fn max_stale(mut self, age: Duration) -> Self {
        self.max_stale = age;
        self
    }

    /// Sets the roots to trust of a `rediss://`, certificates in PEM.
    #[cfg(feature = "redis-tls")]
    #[must_use]
    pub fn roots(mut self, pem: impl Into<Box<[u8]>>) -> Self {
        self.roots = Some(pem.into());
        self
    }
}

/// How often Redis is asked whether it is there, and the lease renewed.
const BEAT: Duration = Duration::from_secs(1);

/// How many addresses-of-record `of_instance` looks at.
const MAX_OF_INSTANCE: usize = 100;

/// The store of servers that share one Redis (6.2 or later) or Valkey: one key for each address-of-record.
///
/// - [`commit`](Store::commit) is one script, atomic at Redis; [`load`](Store::load) asks Redis. What was committed is
///   seen by every `load` that begins after that, on any node. What was acknowledged is lost only if Redis loses it:
///   with `appendfsync always` that needs its disk, with its default up to a second of commits when its machine dies,
///   and with a failover to a replica what had not got there.
/// - [`lookup`](Store::lookup) answers from memory, where other nodes' commits arrive by publish and subscribe: in
///   milliseconds; later by at most a second and [`command_timeout`](RedisConfig::command_timeout), or the connection
///   counts as lost. While it is, lookups answer what is known, at most [`max_stale`](RedisConfig::max_stale) old,
///   else [`StoreError::Unavailable`]; `load` and `commit` give that at once. Nothing that was known before is taken
///   for current when the connection is back.
/// - Redis forgets a key when its last binding is over; that is not told to those who [`watch`](Store::watch).
/// - A node is dead for all others when it has not been heard of for [`lease`](RedisConfig::lease). For as long after
///   a connection was made, nobody is taken for dead by who made it.
/// - Redis' clock makes the versions. Set back while an address-of-record has no bindings, it could make one twice, if
///   the new binding met the old one's microsecond.
///
/// It works in a task of the runtime that it was opened in, which ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What was given is no URL of a Redis, or its roots are no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no URL of a Redis: {0}")]
pub struct RedisUrlError(String);

impl Redis {
    /// For the Redis at this URL, `redis://[[user]:password@]host[:port][/database]`; `rediss://` with the feature
    /// `redis-tls`. It connects by itself, and again when the connection is lost; until it has,
    /// everything is [`StoreError::Unavailable`]. `seed` keys hashes: it is to be random and secret.
    ///
    /// # Errors
    /// The URL is none, or [`roots`](RedisConfig) are no certificates.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(url: &str, config: RedisConfig, seed: [u64; 2]) -> Result<Self, RedisUrlError> {
        let shared = Shared::new(url, config, seed)?;
        let task = tokio::spawn(Arc::clone(&shared).keep_connected());
        Ok(Self { shared, _task: Arc::new(Task(task)) })
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.link().is_some()
    }

    /// Waits until there is a connection.
    pub async fn connected(&self) {
        self.shared.connected().await;
    }

    fn link(&self) -> Result<Arc<Link>, StoreError> {
        self.shared.link().ok_or(StoreError::Unavailable)
    }

    /// As [`Store::load`], and keeps the answer.
    async fn fetch(&self, aor: &Aor) -> Result<Located, StoreError> {
        let link = self.link()?;
        let ticket = self.shared.cache.begin(aor, link.epoch);
        let mut connection = link.connection.clone();
        let mut command = ::redis::cmd("GET");
        command.arg(self.shared.aor_key(aor));
        let reply = command.query_async::<Option<Vec<u8>>>(&mut connection);
        let located = match self.shared.run(reply).await? {
            Some(value) => read(&value).ok_or(StoreError::Unreadable)?,
            None => Located::none(),
        };
        self.shared.cache.put(aor, &located, ticket);
        Ok(located)
    }

    async fn replace(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> Result<Commit, StoreError> {
        let link = self.link()?;
        let ticket = self.shared.cache.begin(aor, link.epoch);
        self.index(&link, aor, &bindings, if_version).await?;
        let mut connection = link.connection.clone();
        let last = bindings.iter().map(Binding::until).max().unwrap_or_default();
        let mut script = self.shared.commit.key(self.shared.aor_key(aor));
        script.arg(if_version.to_string()).arg(write(&bindings));
        script.arg(last.as_millis().to_string()).arg(self.shared.channel()).arg(aor.as_str());
        let reply = script.invoke_async::<Option<String>>(&mut connection);
        match self.shared.run(reply).await? {
            None => {
                self.shared.cache.forget(aor);
                Ok(Commit::Conflict)
            }
            Some(version) => {
                let version = version.parse().map_err(|_| StoreError::Unreadable)?;
                self.committed(aor, bindings, Version::new(version), ticket);
                Ok(Commit::Done(Version::new(version)))
            }
        }
    }

    fn committed(&self, aor: &Aor, bindings: Vec<Binding>, version: Version, ticket: Ticket) {
        let located = Located { bindings: bindings.into(), version };
        self.shared.cache.put(aor, &located, ticket);
    }

    /// Notes under their instances whose these bindings are; before they are committed, so that what is committed is
    /// found. What is noted and was not committed, or is over, is seen when it is looked up.
    async fn index(
        &self,
        link: &Link,
        aor: &Aor,
        bindings: &[Binding],
        if_version: Version,
    ) -> Result<(), StoreError> {
        let before = self.shared.cache.find(aor);
        let before = before.filter(|(located, epoch)| {
            *epoch == link.epoch && located.version == if_version && if_version != Version::NONE
        });
        for binding in bindings {
            let Some(instance) = binding.instance() else { continue };
            let is_noted = |known: &Binding| {
                day(known) == day(binding)
                    && known.instance().is_some_and(|of| of.eq_ignore_ascii_case(instance))
            };
            if before.as_ref().is_some_and(|(known, _)| known.bindings.iter().any(is_noted)) {
                continue;
            }
            let key = self.shared.instance_key(instance);
            let mut pipeline = ::redis::pipe();
            pipeline.cmd("SADD").arg(&key).arg(aor.as_str()).ignore();
            // The day after the next: another address-of-record of the instance may have a binding that ends later.
            let end = day(binding).saturating_add(3).saturating_mul(DAY);
            pipeline.cmd("EXPIREAT").arg(&key).arg(end).ignore();
            let mut connection = link.connection.clone();
            self.shared.run(pipeline.query_async::<()>(&mut connection)).await?;
        }
        Ok(())
    }
}

const DAY: u64 = 86_400;

/// The day of its end.
fn day(binding: &Binding) -> u64 {
    binding.until().as_secs() / DAY
}

impl Store for Redis {
    fn load(&self, aor: &Aor) -> impl Future<Output = Result<Located, StoreError>> + Send {
        self.fetch(aor)
    }

    async fn lookup(&self, aor: &Aor) -> Result<Located, StoreError> {
        let known = self.shared.cache.find(aor);
        let link = self.shared.link();
        if let (Some((located, epoch)), Some(link)) = (&known, &link)
            && *epoch == link.epoch
        {
            return Ok(located.clone());
        }
        let failed = match self.fetch(aor).await {
            Ok(located) => return Ok(located),
            Err(failed) => failed,
        };
        match known {
            Some((located, epoch)) if self.shared.is_young(epoch, Instant::now()) => Ok(located),
            _ => Err(failed),
        }
    }

    fn commit(
        &self,
        aor: &Aor,
        bindings: Vec<Binding>,
        if_version: Version,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send {
        self.replace(aor, bindings, if_version)
    }

    async fn of_instance(&self, instance: &str) -> Result<Vec<Aor>, StoreError> {
        let mut connection = self.link()?.connection.clone();
        let mut command = ::redis::cmd("SRANDMEMBER");
        command.arg(self.shared.instance_key(instance)).arg(MAX_OF_INSTANCE);
        let noted = self.shared.run(command.query_async::<Vec<String>>(&mut connection)).await?;
        let mut found = Vec::new();
        for aor in noted.iter().map(|aor| Aor::from_kept(aor)) {
            let located = self.fetch(&aor).await?;
            let of_it = |binding: &Binding| {
                binding.instance().is_some_and(|of| of.eq_ignore_ascii_case(instance))
            };
            if located.bindings.iter().any(of_it) {
                found.push(aor);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn watch(&self) -> Watch {
        self.shared.watchers.watch()
    }

    fn is_alive(&self, node: &str) -> bool {
        self.shared.is_alive(node)
    }

    fn node(&self) -> Option<&str> {
        self.shared.node()
    }

    async fn leave(&self) -> Result<(), StoreError> {
        let Some(node) = self.shared.leave() else { return Ok(()) };
        let mut connection = self.link()?.connection.clone();
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("ZREM").arg(self.shared.leases_key()).arg(node).ignore();
        pipeline.cmd("PUBLISH").arg(self.shared.channel()).arg(format!("{GONE} {node}")).ignore();
        self.shared.run(pipeline.query_async::<()>(&mut connection)).await
    }
}

/// Replaces what is kept of an address-of-record, KEYS[1], if it is of the version ARGV[1], by ARGV[2] until ARGV[3],
/// in milliseconds since the Unix epoch; removes it if that is nothing. Tells the channel ARGV[4] of the version that
/// ARGV[5] has now, and gives it.
///
/// A version is a number of microseconds since the Unix epoch, and higher than the one before. Lua's numbers are exact
/// up to the year 2255.
const COMMIT: &str = r"
local old = redis.call('GET', KEYS[1])
local version = old and string.match(old, '^%d+') or '0'
if version ~= ARGV[1] then return false end
local new = '0'
if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
else
    local time = redis.call('TIME')
    local number = math.max(time[1] * 1000000 + time[2], tonumber(version) + 1)
    new = string.format('%.0f', number)
    redis.call('SET', KEYS[1], new .. '\n' .. ARGV[2], 'PXAT', ARGV[3])
end
redis.call('PUBLISH', ARGV[4], new .. ' ' .. ARGV[5])
return new
";

/// Renews the lease of node ARGV[1], if it is one, for ARGV[2] milliseconds, in the set KEYS[1], and gives all nodes that
/// have one.
const RENEW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
return redis.call('ZRANGE', KEYS[1], 0, -1)
";

/// What the channel says in place of a version if a node has given its lease back.
const GONE: &str = "gone";

fn write(bindings: &[Binding]) -> String {
    let mut text = String::new();
    for binding in bindings {
        binding.write(&mut text);
    }
    text
}

/// What the script has written: the version, and on the next line what [`write`] made.
fn read(value: &[u8]) -> Option<Located> {
    let (version, mut rest) = core::str::from_utf8(value).ok()?.split_once('\n')?;
    let version = Version::new(version.parse().ok()?);
    let mut bindings = Vec::new();
    while !rest.is_empty() {
        let (binding, left) = Binding::read(rest)?;
        bindings.push(binding);
        rest = left;
    }
    Some(Located { bindings: bindings.into(), version })
}
