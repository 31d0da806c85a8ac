//! What a server is started with.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sip_auth::{Algorithm, Credentials, Hash, NonceKey, UserTable, Users};
use sip_transaction::{Endpoint, Resolver, Shard};
use sip_transport::{Gate, ListenAddr, Sockets, Tap};
use tokio::sync::{mpsc, watch};

use super::Server;
use super::desk::{Desk, Patience};
use super::door::Door;
use super::routing::{Home, Routing};
use super::service::{Gateway, Service};
use super::watchers::{RegEventsConfig, Watchers};
use crate::edge::{Edge, EdgeKey, EdgeKeys, FlowTokens, Gruus};
use crate::location::{Memory, MemoryLimits, Store};
use crate::{Proxy, ProxyConfig, Registrar};

/// How many results and commands may wait for the shard.
const COMMANDS: usize = 1_024;

/// How often a store is asked to forget what is over.
const EXPIRY: Duration = Duration::from_secs(1);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    #[error("cannot listen")]
    Listen(#[from] io::Error),
    /// A setting of the transaction layer makes no sense.
    #[error("a setting makes no sense")]
    Config(#[from] sip_transaction::ConfigError),
    /// The name of the node cannot stand in a flow token.
    #[error("the name of the node cannot stand in a flow token")]
    Node,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
    /// The domain is no name for a realm.
    #[error("the domain cannot be a realm")]
    Realm,
}

/// Sets up a [`Server`]: see [`Server::builder`].
#[must_use = "nothing happens before `start`"]
pub struct ServerBuilder {
    domain: Box<str>,
    listen: Vec<ListenAddr>,
    users: Option<Arc<dyn Users>>,
    algorithms: Vec<Algorithm>,
    lookups: usize,
    max_processing: usize,
    registrar: Registrar,
    config: ProxyConfig,
    transactions: sip_transaction::Config,
    transport: sip_transport::Config,
    tap: Option<Box<dyn Tap>>,
    gate: Option<Box<dyn Gate>>,
    resolver: Resolver,
    node: Option<(String, EdgeKeys)>,
    reg_events: Option<RegEventsConfig>,
}

impl ServerBuilder {
    pub(super) fn new(domain: &str) -> Self {
        Self {
            domain: domain.into(),
            listen: Vec::new(),
            users: None,
            algorithms: Vec::new(),
            lookups: 1_000,
            max_processing: 10_000,
            registrar: Registrar::default(),
            config: ProxyConfig::default().domain(domain),
            transactions: sip_transaction::Config::default().overload_control(true),
            transport: sip_transport::Config::default(),
            tap: None,
            gate: None,
            resolver: Resolver::default(),
            node: None,
            reg_events: Some(RegEventsConfig::default()),
        }
    }

    /// Listens on this address too: `"udp:0.0.0.0:5060".parse()?`. Port 0 takes a free one ([`Server::locals`] tells
    /// which).
    pub fn listen(mut self, address: ListenAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Serves these users, each by its own name in the domain: who registers, and who says in From to be of the
    /// domain, proves by digest to be one of them, and may use no other's name. Without users everybody may
    /// register as anybody, and call through the server to anywhere: for a closed network.
    ///
    /// Of their passwords only what stands for them is kept ([`UserTable::digested`]).
    pub fn users(self, users: impl IntoIterator<Item = Credentials>) -> Self {
        let hashes = [Hash::Md5, Hash::Sha256, Hash::Sha512T256];
        let table = users.into_iter().collect::<UserTable>().digested(&self.domain, hashes);
        self.known_by(table)
    }

    /// As [`users`](Self::users), for those that are kept elsewhere: in a database, say. A request whose sender has to
    /// be waited for waits ([`lookups`](Self::lookups)) and holds up nobody else; one whose sender cannot be looked up
    /// is answered 503 with Retry-After.
    pub fn known_by(mut self, users: impl Users + 'static) -> Self {
        self.users = Some(Arc::new(users));
        self
    }

    /// Offers these algorithms of digest. Default SHA-256 and MD5.
    pub fn algorithms(mut self, offered: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = offered.into_iter().collect();
        self
    }

    /// How many requests may wait for the lookup of their senders; what comes on top is answered 503 with Retry-After.
    /// Default 1,000. Each may take as long as [`ProxyConfig::admission_limit`] says.
    pub fn lookups(mut self, limit: usize) -> Self {
        self.lookups = limit;
        self
    }

    /// How many requests [`Routing::process`] may be about to answer; what comes on top is answered 503 with
    /// Retry-After, and one that was cancelled counts until that is over. Default 10,000.
    pub fn max_processing(mut self, limit: usize) -> Self {
        self.max_processing = limit;
        self
    }

    /// The rules of the registrar.
    pub fn registrar(mut self, registrar: Registrar) -> Self {
        self.registrar = registrar;
        self
    }

    /// The settings of the proxy core. The domain of the server is added to its own.
    pub fn proxy(mut self, config: ProxyConfig) -> Self {
        self.config = config.domain(&self.domain);
        self
    }

    /// The settings of the transaction layer. Overload control (RFC 7339) is on without them.
    pub fn transactions(mut self, config: sip_transaction::Config) -> Self {
        self.transactions = config;
        self
    }

    /// The settings of the sockets, TLS among them.
    pub fn transport(mut self, config: sip_transport::Config) -> Self {
        self.transport = config;
        self
    }

    /// Shows every message sent and received to this tap.
    pub fn tap(mut self, tap: impl Tap + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Asks this gate about each datagram and each connection before anything of it is looked at.
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gate = Some(Box::new(gate));
        self
    }

    /// Who is asked where a host or a domain is.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Makes it one of several servers that share a store: its name among them, and the keys of flow tokens and GRUUs
    /// and of the nonces of digest, which all of them have. By default both are random.
    ///
    /// Under keys that are shared a nonce of one node is good at all of them, so that a phone may go from one to another
    /// without being asked again. Which nonces were used each node knows for itself: whoever can read what a phone
    /// sends to one node can repeat it to another, once to each, for as long as the nonce lives.
    pub fn node(mut self, name: impl Into<String>, keys: EdgeKeys) -> Self {
        self.node = Some((name.into(), keys));
        self
    }

    /// Whether and how it tells who is registered to those who subscribe to `reg` (RFC 3680). By default users are
    /// told of their own registrations. With `None` such subscriptions are routed as any other request.
    pub fn reg_events(mut self, config: impl Into<Option<RegEventsConfig>>) -> Self {
        self.reg_events = config.into();
        self
    }

    /// Starts it with bindings in memory, routing requests to those who are registered ([`Home`]).
    ///
    /// # Errors
    /// An address cannot be bound, or a setting makes no sense.
    pub async fn start(self) -> Result<Server, StartError> {
        let seed = self.transactions.seed;
        let store = Arc::new(Memory::new(MemoryLimits::default(), seed));
        self.start_with_store(store).await
    }

    /// The same with bindings in this store.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with_store<S: Store>(mut self, store: Arc<S>) -> Result<Server, StartError> {
        let (node, keys) = match self.node.take() {
            Some(node) => node,
            None => (name()?, EdgeKeys::new(edge_key()?)),
        };
        let gruus = Gruus::new(keys.clone());
        self.node = Some((node, keys));
        self.registrar = self.registrar.gruus(gruus.clone());
        let home = Home::new(Arc::clone(&store)).gruus(gruus);
        let home = match &self.users {
            Some(users) => home.only(Arc::clone(users)),
            None => home,
        };
        self.start_with(store, home).await
    }

    /// The same with routing of your own; [`Home`] can stand behind it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with<S: Store, R: Routing>(
        self,
        store: Arc<S>,
        routing: R,
    ) -> Result<Server, StartError> {
        self.transactions.validate()?; // before anything is bound
        let mut sockets = Sockets::bind(&self.listen, self.transport)?;
        if let Some(gate) = self.gate {
            sockets.set_gate(gate);
        }
        let locals = sockets.locals().clone();
        let now = tokio::time::Instant::now().into_std();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (keys, since) = match &self.node {
            // What was used of the time before is not known; nonces are dated by milliseconds.
            Some((_, keys)) => {
                let millis = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
                (derived_nonce_keys(keys)?, Duration::from_millis(millis))
            }
            // Under keys that are new no nonce is older than this.
            None => ((nonce_key()?, nonce_key()?), Duration::ZERO),
        };
        let retry_after = self.config.retry_after;
        let door = self.users.map(|users| {
            Door::new(&self.domain, keys, since, &self.algorithms, users, retry_after)
                .map_err(|_| StartError::Realm)
        });
        let patience =
            Patience { lookup: self.config.admission_limit, routing: self.config.routing_limit };
        let gateway = Gateway {
            routing: Arc::new(routing),
            domains: self.config.domains.clone(),
            door: door.transpose()?,
            epoch: (now, unix),
            draining: false,
            retry_after,
            user: None,
            tells_registrations: self.reg_events.is_some(),
            watching: None,
            max_processing: self.max_processing,
            lookups: self.lookups,
            asking: None,
            deciding: None,
        };
        let (node, keys) = match self.node {
            Some(node) => node,
            None => (name()?, EdgeKeys::new(edge_key()?)),
        };
        // Tells the tokens of this start from those of others.
        let epoch = u32::try_from(unix.as_secs()).unwrap_or(u32::MAX);
        let tokens = FlowTokens::new(&node, epoch, keys).map_err(|_| StartError::Node)?;
        let watchers = self.reg_events.map(|config| {
            let has_gruus = self.registrar.gruus.is_some();
            Watchers::new(config, has_gruus, self.config.retry_after, self.transactions.seed)
        });
        let proxy = Proxy::new(self.config, gateway).with_edge(Edge::new(tokens));
        let service = Service::new(proxy, self.registrar, Arc::clone(&store));
        let service = match watchers {
            Some(watchers) => service.telling(watchers),
            None => service,
        };
        let endpoint = Endpoint::new(self.transactions, locals.clone(), now, service)?;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (alive, ended) = watch::channel(());
        let desk = Desk::new(commands.downgrade(), alive, patience);
        let shard =
            Shard::new(endpoint, sockets, desk, receiver, self.tap).with_resolver(self.resolver);
        let stopper = shard.stopper();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(shard.run());
        tasks.spawn(expire(store, (now, unix)));
        Ok(Server { commands, stopper, locals, ended, _tasks: tasks })
    }
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}

fn nonce_key() -> Result<NonceKey, StartError> {
    NonceKey::new(&random::<32>()?).map_err(|_| StartError::Random)
}

/// For REGISTERs, and for what is proxied: the same on all nodes.
fn derived_nonce_keys(keys: &EdgeKeys) -> Result<(NonceKey, NonceKey), StartError> {
    let derived = |name| NonceKey::new(&keys.current().derive(name));
    let keys = derived("nonces: registrar").and_then(|key| Ok((key, derived("nonces: proxy")?)));
    keys.map_err(|_| StartError::Random)
}

fn edge_key() -> Result<EdgeKey, StartError> {
    EdgeKey::new(&random::<32>()?).map_err(|_| StartError::Random)
}

/// A name for a node that no other has.
fn name() -> Result<String, StartError> {
    Ok(format!("{:08x}", u32::from_be_bytes(random()?)))
}

async fn expire<S: Store>(store: Arc<S>, (then, unix): (std::time::Instant, Duration)) {
    let mut clock = tokio::time::interval(EXPIRY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let now = tokio::time::Instant::now().into_std();
        let now = unix.saturating_add(now.saturating_duration_since(then));
        while store.expire(now) {
            tokio::task::yield_now().await;
        }
    }
}
