//! The stage of a flow: its parties on a simulated network, what each of them does, and what passed.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_auth::{Authority, Credentials, NonceKey};
use sip_message::{Limits, Message, Transport, Uri};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent};
use sip_sim::{Either, Fate, Link, Network, NodeId, Passage};
use sip_transaction::{Config, Transactions};
use sip_transport::locate::Zone;
use sip_ua::{Account, Agent, AgentConfig, AgentEvent, Ladder, Recorded};

use super::diagram::{self, Passed};
use super::domain::Domain;
use super::gate::Gate;

/// What went wrong in a flow: something was awaited that did not come, or could not be done.
pub(super) type Done<T = ()> = Result<T, String>;

/// Nothing in a flow takes longer, by the clock of the simulated network.
const PATIENCE: Duration = Duration::from_secs(120);

/// Long enough for what is under way to arrive.
const SOON: Duration = Duration::from_millis(400);

/// One way takes so long, so that what is sent first arrives first.
const DELAY: Duration = Duration::from_millis(5);

/// 2026-01-01, for the nonces.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

pub(super) struct Stage {
    network: Network<Either<Agent, Proxy<Domain>>>,
    parties: Vec<Party>,
    /// Who is unplugged, and since when.
    unplugged: Vec<(&'static str, Duration)>,
    told: VecDeque<(NodeId, AgentEvent)>,
    zone: Zone,
}

/// Who has a column in the ladder.
struct Party {
    name: &'static str,
    address: IpAddr,
    /// None for one that is out of service.
    node: Option<NodeId>,
    account: Option<Arc<Account>>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut network = Network::new(3665, Link::default().with_delay(DELAY));
        network.record();
        Self {
            network,
            parties: Vec::new(),
            unplugged: Vec::new(),
            told: VecDeque::new(),
            zone: Zone::default(),
        }
    }

    /// A phone of `user@domain` at a host.
    pub(super) fn phone(
        &mut self,
        name: &'static str,
        (host, last): (&str, u8),
        account: Account,
    ) -> Done {
        self.phone_with(name, (host, last), account, config())
    }

    /// The same with settings of its own.
    pub(super) fn phone_with(
        &mut self,
        name: &'static str,
        (host, last): (&str, u8),
        account: Account,
        config: AgentConfig,
    ) -> Done {
        let agent = Agent::new(config, [3665, u64::from(last)]);
        let account = Arc::new(account);
        self.add(name, (host, last), Either::A(agent), Some(account))
    }

    /// A proxy or registrar for a domain.
    pub(super) fn proxy(
        &mut self,
        name: &'static str,
        (host, last): (&str, u8),
        config: ProxyConfig,
        domain: Domain,
    ) -> Done {
        self.add(name, (host, last), Either::B(Proxy::new(config, domain)), None)
    }

    /// A host that is out of service.
    pub(super) fn dead(&mut self, name: &'static str, (host, last): (&str, u8)) {
        let address = self.host(host, last);
        self.parties.push(Party { name, address, node: None, account: None });
    }

    fn add(
        &mut self,
        name: &'static str,
        (host, last): (&str, u8),
        user: Either<Agent, Proxy<Domain>>,
        account: Option<Arc<Account>>,
    ) -> Done {
        let address = self.host(host, last);
        let listens = [(Transport::Udp, SocketAddr::new(address, 5060))];
        let node = self.network.add(&listens, Config::default(), user).map_err(said)?;
        self.parties.push(Party { name, address, node: Some(node), account });
        Ok(())
    }

    fn host(&mut self, host: &str, last: u8) -> IpAddr {
        let address = IpAddr::from([192, 0, 2, last]);
        self.record(|zone| zone.host(host, address));
        address
    }

    /// Changes what names mean.
    pub(super) fn record(&mut self, change: impl FnOnce(Zone) -> Zone) {
        self.zone = change(core::mem::take(&mut self.zone));
        self.network.set_zone(self.zone.clone());
    }

    /// A gate for one user, in front of a proxy or a registrar.
    pub(super) fn gate(&self, authority: Done<Authority>, user: &str) -> Done<Gate> {
        let users = vec![Credentials::new(user, PASSWORD)];
        Ok(Gate::new(authority?, users, (self.network.now(), EPOCH)))
    }

    pub(super) fn account(&self, name: &str) -> Done<Arc<Account>> {
        self.party(name)?.account.clone().ok_or_else(|| format!("{name} has no account"))
    }

    fn party(&self, name: &str) -> Done<&Party> {
        self.parties.iter().find(|party| party.name == name).ok_or_else(|| format!("no {name}"))
    }

    /// Lets a phone do something.
    pub(super) fn with<T>(
        &mut self,
        name: &str,
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions) -> T,
    ) -> Done<T> {
        let node = self.party(name)?.node.ok_or("it is out of service")?;
        let done =
            self.network.with(node, |now, user, tx| user.a().map(|agent| command(now, agent, tx)));
        done.flatten().ok_or_else(|| format!("{name} is no phone"))
    }

    /// Waits until a phone is told what `pick` is after; what else it is told meanwhile is passed over.
    pub(super) fn wait<T>(
        &mut self,
        name: &str,
        what: &str,
        mut pick: impl FnMut(AgentEvent) -> Option<T>,
    ) -> Done<T> {
        let node = self.party(name)?.node.ok_or("it is out of service")?;
        let until = self.network.now() + PATIENCE;
        let mut others = VecDeque::new();
        let found = loop {
            match self.told.pop_front() {
                Some((at, event)) if at == node => {
                    if let Some(found) = pick(event) {
                        break Ok(found);
                    }
                }
                Some(other) => others.push_back(other),
                None => match self.network.next_event(until) {
                    Some((at, Either::A(event))) => self.told.push_back((at, event)),
                    // No router of a flow needs time.
                    Some((_, Either::B(ProxyEvent::Routing { .. } | _))) => {}
                    None => break Err(format!("{name} never saw: {what}")),
                },
            }
        };
        others.append(&mut self.told);
        self.told = others;
        found
    }

    /// From now on someone hears nothing of the other, and what they send themselves does not count.
    pub(super) fn unplug(&mut self, name: &'static str, other: &str) -> Done {
        let nodes = self.party(name)?.node.zip(self.party(other)?.node);
        let (one, other) = nodes.ok_or("one of them is out of service")?;
        self.network.part(one, other);
        self.unplugged.push((name, self.network.elapsed()));
        Ok(())
    }

    /// Whether it was sent by someone who was not unplugged by then.
    fn counts(&self, passage: &Passage) -> bool {
        let from = self.name_of(passage.from);
        self.unplugged.iter().all(|(name, since)| *name != from || passage.at < *since)
    }

    /// Lets so much time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            if let Either::A(event) = event {
                self.told.push_back((node, event));
            }
        }
    }

    /// Lets what is under way arrive.
    pub(super) fn settle(&mut self) {
        self.pass(SOON);
    }

    /// Each message, in the order of sending.
    fn passed(&self) -> Vec<Passed> {
        let passages = self.network.passages().iter().filter(|passage| self.counts(passage));
        let passed = passages.map(|passage| Passed {
            from: self.name_of(passage.from),
            to: self.name_of(passage.to),
            message: Message::parse(passage.payload.clone(), &Limits::default()).map_err(said),
        });
        passed.collect()
    }

    fn name_of(&self, address: SocketAddr) -> &'static str {
        let party = self.parties.iter().find(|party| party.address == address.ip());
        party.map_or("?", |party| party.name)
    }

    /// The call flow.
    pub(super) fn ladder(&self) -> Ladder {
        let start = self.network.now() - self.network.elapsed();
        let mut messages = Vec::new();
        for passage in self.network.passages().iter().filter(|passage| self.counts(passage)) {
            let mut saw = |node: SocketAddr, sent| {
                let ends = if sent { (node, passage.to) } else { (node, passage.from) };
                messages.push(Recorded::new(
                    start + passage.at,
                    self.name_of(node).into(),
                    sent,
                    passage.transport,
                    ends,
                    passage.payload.clone(),
                ));
            };
            saw(passage.from, true);
            if passage.fate == Fate::Arrived {
                saw(passage.to, false);
            }
        }
        Ladder::new(&messages)
    }

    /// Compares what passed with the diagram.
    pub(super) fn compare(&self, diagram: &str) -> Done {
        diagram::compare(diagram, &self.passed())
    }
}

/// The settings of a phone: only what a flow is about is in its messages.
pub(super) fn config() -> AgentConfig {
    AgentConfig::default()
}

pub(super) const PASSWORD: &str = "secret";

/// The realm of a proxy.
pub(super) fn proxy_realm(realm: &str) -> Done<Authority> {
    Authority::proxy(realm, NonceKey::new(&[1; 32]).map_err(said)?).map_err(said)
}

/// The realm of a registrar.
pub(super) fn realm(realm: &str) -> Done<Authority> {
    Authority::server(realm, NonceKey::new(&[2; 32]).map_err(said)?).map_err(said)
}

pub(super) fn uri(text: &str) -> Done<Uri<'static>> {
    text.parse().map_err(said)
}

pub(super) fn said(error: impl ToString) -> String {
    error.to_string()
}
