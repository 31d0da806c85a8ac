//! What a user agent is started with.

use std::fmt;
#[cfg(any(feature = "tls", feature = "ws"))]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(feature = "tls", feature = "ws"))]
use sip_message::Transport;
use sip_transaction::{Endpoint, Resolver, Shard};
use sip_transport::{Gate, ListenAddr, Sockets, Tap};
use tokio::sync::{mpsc, watch};

use super::command::{Line, Releases};
use super::desk::Desk;
use super::{StartError, UserAgent};
use crate::{Account, Agent, AgentConfig, ServerAuthentication};

/// How many commands may wait for the shard. Who gives one more waits for room.
const COMMANDS: usize = 1_024;

/// Sets up a [`UserAgent`]: see [`UserAgent::builder`].
#[must_use = "nothing happens before `start`"]
pub struct UserAgentBuilder {
    listen: Vec<ListenAddr>,
    account: Account,
    authentication: Option<ServerAuthentication>,
    tap: Option<Box<dyn Tap>>,
    gate: Option<Box<dyn Gate>>,
    config: AgentConfig,
    transactions: sip_transaction::Config,
    transport: sip_transport::Config,
    #[cfg(feature = "tls")]
    tls: Option<sip_transport::tls::Tls>,
    resolver: Resolver,
    incoming_queue: usize,
    shutdown_limit: Duration,
}

impl UserAgentBuilder {
    pub(super) fn new() -> Self {
        Self {
            listen: Vec::new(),
            account: Account::anonymous(),
            authentication: None,
            tap: None,
            gate: None,
            config: AgentConfig::default(),
            transactions: sip_transaction::Config::default(),
            transport: sip_transport::Config::default(),
            #[cfg(feature = "tls")]
            tls: None,
            resolver: Resolver::default(),
            incoming_queue: 1_024,
            shutdown_limit: Duration::from_secs(5),
        }
    }

    /// Listens on this address too: `"udp:0.0.0.0:5060".parse()?`. Port 0 takes a free one
    /// ([`UserAgent::locals`] tells which). Requests go out by the first listener that fits. Without any,
    /// it is UDP and TCP on a free port each, and what can be dialled without a
    /// listener: WebSocket, with its feature ([`ListenAddr::dial_only`]).
    pub fn listen(mut self, address: ListenAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Who calls, registers and sends where no other account is named. Without one it is
    /// [`Account::anonymous`].
    pub fn account(mut self, account: Account) -> Self {
        self.account = account;
        self
    }

    /// Challenges requests that come in, so that only known users are served. Without this everybody is.
    pub fn authentication(mut self, authentication: ServerAuthentication) -> Self {
        self.authentication = Some(authentication);
        self
    }

    /// Shows every message sent and received to this tap, a [`RecorderTap`](crate::RecorderTap) for one.
    /// The last one given counts.
    pub fn tap(mut self, tap: impl Tap + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Asks this gate about each datagram and each connection that comes in, before anything of it is
    /// looked at. The last one given counts.
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gate = Some(Box::new(gate));
        self
    }

    /// The settings of the user agent core: what it says it can do, how many calls it takes.
    pub fn config(mut self, config: AgentConfig) -> Self {
        self.config = config;
        self
    }

    /// The settings of the transaction layer: timers, limits, the seed.
    pub fn transactions(mut self, config: sip_transaction::Config) -> Self {
        self.transactions = config;
        self
    }

    /// The settings of the sockets.
    pub fn transport(mut self, config: sip_transport::Config) -> Self {
        self.transport = config;
        self
    }

    /// Speaks TLS, with this set-up: its certificates and whom it trusts. With a certificate, `tls:`
    /// addresses can be [listened](Self::listen) on. Without such a listener, connections are opened all the
    /// same, for `sips:` URIs and `transport=tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: sip_transport::tls::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Who is asked where a host or a domain is. Default: the system, which knows addresses only; with the
    /// feature `dns` it may be name servers, which know the services of a domain (RFC 3263).
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// How many calls and requests may wait for [`UserAgent::incoming`]; what comes on top is answered 503
    /// with Retry-After. At least 1; default 1,024.
    pub fn incoming_queue(mut self, length: usize) -> Self {
        self.incoming_queue = length.max(1);
        self
    }

    /// How long [`UserAgent::shutdown`] waits for the other ends. Default 5 s.
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown_limit = limit;
        self
    }

    /// Binds the sockets and starts the task that owns them, on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] if an address cannot be bound, [`StartError::Config`] if a setting makes no
    /// sense.
    pub async fn start(mut self) -> Result<UserAgent, StartError> {
        if self.listen.is_empty() {
            let any = ([0, 0, 0, 0], 0).into();
            self.listen.extend([ListenAddr::udp(any), ListenAddr::tcp(any)]);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.take() {
            self.transport.tls = Some(tls);
            dial(&mut self.listen, Transport::Tls);
            #[cfg(feature = "ws")]
            dial(&mut self.listen, Transport::Wss);
        }
        #[cfg(feature = "ws")]
        dial(&mut self.listen, Transport::Ws);
        self.transactions.validate()?; // before anything is bound
        let mut sockets = Sockets::bind(&self.listen, self.transport)?;
        if let Some(gate) = self.gate {
            sockets.set_gate(gate);
        }
        let locals = sockets.locals().clone();
        let account = Arc::new(self.account);
        let mut agent = Agent::new(self.config, self.transactions.seed);
        agent.set_account(Some(Arc::clone(&account)));
        let now = tokio::time::Instant::now().into_std();
        // A clock before 1970 is as good as any other, unless others share the key of the nonces.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        agent.set_authentication(now, unix, self.authentication);
        let endpoint = Endpoint::new(self.transactions, locals.clone(), now, agent)?;
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (incoming_sender, incoming) = mpsc::channel(self.incoming_queue);
        let releases = Arc::new(Releases::default());
        let line = Arc::new(Line::new(sender, Arc::clone(&releases)));
        let (alive, ended) = watch::channel(());
        let desk = Desk::new(&line, releases, incoming_sender, alive);
        let shard =
            Shard::new(endpoint, sockets, desk, commands, self.tap).with_resolver(self.resolver);
        let stopper = shard.stopper();
        tokio::spawn(shard.run());
        let limit = self.shutdown_limit;
        Ok(UserAgent::new(line, account, locals, incoming, stopper, ended, limit))
    }
}

/// Lets connections by this transport be opened, over each version of IP that is listened on.
#[cfg(any(feature = "tls", feature = "ws"))]
fn dial(listen: &mut Vec<ListenAddr>, transport: Transport) {
    for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let mut same =
            listen.iter().filter(|addr| addr.addr().is_ipv4() == any.is_ipv4()).peekable();
        let is_used = same.peek().is_some();
        if is_used && !same.any(|addr| addr.transport() == transport) {
            listen.push(ListenAddr::dial_only(transport, any));
        }
    }
}

impl fmt::Debug for UserAgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgentBuilder")
            .field("listen", &self.listen)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
