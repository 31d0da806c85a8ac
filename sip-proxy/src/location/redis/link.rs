//! The connection to Redis: made, heard, and made again.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisResult, Script,
};
#[cfg(feature = "redis-tls")]
use ::redis::{ConnectionAddr, ErrorKind, RedisError, TlsCertificates};
#[cfg(feature = "redis-tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::{BEAT, COMMIT, GONE, RENEW, RedisConfig, RedisUrlError};
use crate::location::cache::Cache;
use crate::location::lease::Leases;
use crate::location::watch::{Watchers, lock};
use crate::location::{StoreError, Version};
use crate::registrar::Aor;

/// What the store and its task share.
pub(super) struct Shared {
    client: Client,
    config: RedisConfig,
    pub(super) commit: Script,
    renew: Script,
    link: watch::Sender<Option<Arc<Link>>>,
    slots: Semaphore,
    pub(super) cache: Cache,
    pub(super) watchers: Watchers,
    leases: Mutex<Leases>,
    /// Whether the lease was given back.
    has_left: Mutex<bool>,
    /// Until when the last epochs were heard.
    heard: Mutex<VecDeque<(u64, Instant)>>,
}

/// One connection.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) epoch: u64,
}

/// How many connections are remembered, for the age of what they brought.
const MAX_EPOCHS: usize = 64;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);

impl Shared {
    pub(super) fn new(
        url: &str,
        config: RedisConfig,
        seed: [u64; 2],
    ) -> Result<Arc<Self>, RedisUrlError> {
        let wrong = |error: ::redis::RedisError| RedisUrlError(error.to_string());
        let info = url.into_connection_info().map_err(wrong)?;
        // What Redis tells by itself comes on the connection of the commands only in this protocol.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = client(info.set_redis_settings(settings), &config).map_err(wrong)?;
        Ok(Arc::new(Self {
            client,
            commit: Script::new(COMMIT),
            renew: Script::new(RENEW),
            link: watch::Sender::new(None),
            slots: Semaphore::new(config.max_commands),
            cache: Cache::new(config.cached, seed),
            watchers: Watchers::default(),
            leases: Mutex::new(Leases::new(config.lease)),
            has_left: Mutex::new(false),
            heard: Mutex::default(),
            config,
        }))
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone()
    }

    pub(super) async fn connected(&self) {
        // The sender is here: it does not go away.
        let _ = self.link.subscribe().wait_for(Option::is_some).await;
    }

    /// Does something with Redis, if there is room for it, and not for longer than a command may take.
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let Ok(_slot) = self.slots.try_acquire() else { return Err(StoreError::Unavailable) };
        match timeout(self.config.command_timeout, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Redis failed");
                Err(StoreError::Unavailable)
            }
            Err(_) => Err(StoreError::Unavailable),
        }
    }

    /// Has a connection as often as there is a Redis to connect to.
    pub(super) async fn keep_connected(self: Arc<Self>) {
        let mut backoff = FIRST_BACKOFF;
        for epoch in 1.. {
            let lost = Arc::new(Notify::new());
            let opened = timeout(self.config.connect_timeout, self.connect(epoch, &lost)).await;
            match opened {
                Ok(Ok(connection)) => {
                    tracing::info!("connected to Redis");
                    backoff = FIRST_BACKOFF;
                    self.serve(Arc::new(Link { connection, epoch }), &lost).await;
                    tracing::warn!("the connection to Redis is lost");
                }
                Ok(Err(error)) => tracing::debug!(%error, "Redis cannot be reached"),
                Err(_) => tracing::debug!("Redis cannot be reached in time"),
            }
            sleep(backoff).await;
            backoff = backoff.saturating_mul(2).min(self.config.max_backoff);
        }
    }

    /// A connection on which changes are told.
    async fn connect(
        self: &Arc<Self>,
        epoch: u64,
        lost: &Arc<Notify>,
    ) -> RedisResult<MultiplexedConnection> {
        // It runs where answers are read, between two of them: what is told before an answer is known before it.
        let (shared, lost) = (Arc::downgrade(self), Arc::clone(lost));
        let told = move |push: PushInfo| -> Result<(), ()> {
            match push.kind {
                PushKind::Disconnection => lost.notify_one(),
                PushKind::Message => told(&shared, epoch, &push),
                _ => {}
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.command_timeout))
            .set_pipeline_buffer_size(self.config.max_commands)
            .set_push_sender(told);
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(self.channel()).await?;
        Ok(connection)
    }

    /// Lets everybody use a connection until it is lost.
    async fn serve(&self, link: Arc<Link>, lost: &Notify) {
        let epoch = link.epoch;
        let mut connection = link.connection.clone();
        let mut link = Some(link);
        loop {
            let asked = Instant::now();
            let Ok(Ok(alive)) =
                timeout(self.config.command_timeout, self.beat(&mut connection)).await
            else {
                break;
            };
            self.hear(epoch, asked, alive);
            if let Some(link) = link.take() {
                // What happened while nobody listened is not known.
                self.watchers.missed();
                self.link.send_replace(Some(link));
            }
            if timeout(BEAT, lost.notified()).await.is_ok() {
                break;
            }
        }
        self.link.send_replace(None);
        lock(&self.leases).deafened();
    }

    /// Renews the lease, and asks who has one.
    async fn beat(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<String>> {
        let has_left = *lock(&self.has_left);
        let node = self.config.node.as_deref().filter(|_| !has_left).unwrap_or_default();
        // The others hear of it one beat later, or two if one is slow.
        let life = self.config.lease.saturating_sub(BEAT.saturating_mul(2));
        let mut script = self.renew.key(self.leases_key());
        script.arg(node).arg(life.as_millis().to_string());
        script.invoke_async(connection).await
    }

    fn hear(&self, epoch: u64, at: Instant, alive: Vec<String>) {
        lock(&self.leases).heard(at, alive);
        let mut heard = lock(&self.heard);
        match heard.back_mut().filter(|(of, _)| *of == epoch) {
            Some((_, last)) => *last = at,
            None => {
                if heard.len() >= MAX_EPOCHS {
                    heard.pop_front();
                }
                heard.push_back((epoch, at));
            }
        }
    }

    /// Whether what is known from an epoch may be given while there is nothing better.
    pub(super) fn is_young(&self, epoch: u64, now: Instant) -> bool {
        let heard = lock(&self.heard);
        let last = heard.iter().find(|(of, _)| *of == epoch);
        last.is_some_and(|(_, at)| now.saturating_duration_since(*at) <= self.config.max_stale)
    }

    pub(super) fn is_alive(&self, node: &str) -> bool {
        // Nobody knows better than the node itself.
        self.config.node.as_deref() == Some(node)
            || lock(&self.leases).is_alive(Instant::now(), node)
    }

    pub(super) fn node(&self) -> Option<&str> {
        self.config.node.as_deref()
    }

    /// Renews the lease no more; gives the name of this node, if it has one.
    pub(super) fn leave(&self) -> Option<&str> {
        *lock(&self.has_left) = true;
        self.node()
    }

    pub(super) fn aor_key(&self, aor: &Aor) -> String {
        format!("{}aor:{aor}", self.config.prefix)
    }

    pub(super) fn instance_key(&self, instance: &str) -> String {
        format!("{}instance:{}", self.config.prefix, instance.to_ascii_lowercase())
    }

    pub(super) fn leases_key(&self) -> String {
        format!("{}leases", self.config.prefix)
    }

    pub(super) fn channel(&self) -> String {
        format!("{}changes", self.config.prefix)
    }
}

#[cfg(not(feature = "redis-tls"))]
fn client(info: ConnectionInfo, _: &RedisConfig) -> RedisResult<Client> {
    Client::open(info)
}

#[cfg(feature = "redis-tls")]
fn client(info: ConnectionInfo, config: &RedisConfig) -> RedisResult<Client> {
    match &config.roots {
        Some(roots) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
            // By no roots at all nobody would be trusted, and nobody would be told why.
            if !matches!(CertificateDer::pem_slice_iter(roots).next(), Some(Ok(_))) {
                let kind = ErrorKind::InvalidClientConfig;
                return Err(RedisError::from((kind, "the roots are no certificates in PEM")));
            }
            let root_cert = Some(roots.to_vec());
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
        _ => Client::open(info),
    }
}

/// A message of the channel: `version aor`, or `gone node`.
fn told(shared: &Weak<Shared>, epoch: u64, push: &PushInfo) {
    let Some(shared) = shared.upgrade() else { return };
    let text = push.data.get(1).and_then(|text| String::from_redis_value_ref(text).ok());
    let Some((version, aor)) = text.as_deref().and_then(|text| text.split_once(' ')) else {
        return;
    };
    if version == GONE {
        return lock(&shared.leases).gone(aor);
    }
    let Ok(version) = version.parse() else { return };
    let aor = Aor::from_kept(aor);
    shared.cache.changed(&aor, Version::new(version), epoch);
    shared.watchers.changed(&aor);
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}
