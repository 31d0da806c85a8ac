//! The stage of a flow: its parties on a simulated network, what each of them does, and what passed.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_auth::{Authority, Credentials, NonceKey};
use sip_message::{Limits, Message, StatusCode, Transport, Uri};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent};
use sip_sim::{Either, Fate, Link, Network, NodeId};
use sip_transaction::{Config, Transactions};
use sip_transport::locate::Zone;
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, Ladder, OutgoingCall,
    Recorded, RegistrationKey,
};

use super::domain::Domain;
use crate::Gate;

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
        Self { network, parties: Vec::new(), told: VecDeque::new(), zone: Zone::default() }
    }

    /// A phone of `user@domain` at a host.
    pub(super) fn phone(
        &mut self,
        name: &'static str,
        (host, last): (&str, u8),
        account: Account,
    ) -> Done {
        let agent = Agent::new(AgentConfig::default(), [3665, u64::from(last)]);
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

    pub(super) fn call(&mut self, name: &str, to: &str, body: Option<Body>) -> Done<CallKey> {
        let account = self.party(name)?.account.clone().ok_or("no account")?;
        let mut outgoing = OutgoingCall::to(uri(to)?);
        outgoing.body = body;
        self.with(name, |now, agent, tx| agent.call(now, tx, &account, outgoing))?.map_err(said)
    }

    pub(super) fn ring(&mut self, name: &str, call: CallKey) -> Done {
        let ringing = StatusCode::RINGING;
        self.with(name, |now, agent, tx| agent.ring(now, tx, call, ringing, None))?.map_err(said)
    }

    pub(super) fn accept(&mut self, name: &str, call: CallKey) -> Done {
        let sdp = sdp();
        self.with(name, |now, agent, tx| agent.accept(now, tx, call, Some(&sdp), &[]))?
            .map_err(said)
    }

    pub(super) fn reject(&mut self, name: &str, call: CallKey, status: StatusCode) -> Done {
        self.with(name, |now, agent, tx| agent.reject(now, tx, call, status, &[]))?.map_err(said)
    }

    pub(super) fn hang_up(&mut self, name: &str, call: CallKey) -> Done {
        self.with(name, |now, agent, tx| agent.hang_up(now, tx, call))?.map_err(said)
    }

    pub(super) fn register(&mut self, name: &str) -> Done<RegistrationKey> {
        let account = self.party(name)?.account.clone().ok_or("no account")?;
        self.with(name, |now, agent, tx| agent.register(now, tx, &account))?.map_err(said)
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

    /// The call that comes in at a phone.
    pub(super) fn invited(&mut self, name: &str) -> Done<CallKey> {
        self.wait(name, "a call", |event| match event {
            AgentEvent::Invitation { call, .. } => Some(call),
            _ => None,
        })
    }

    /// What a phone is told of a call of its own.
    pub(super) fn updated<T>(
        &mut self,
        name: &str,
        what: &str,
        mut pick: impl FnMut(CallUpdate) -> Option<T>,
    ) -> Done<T> {
        self.wait(name, what, |event| match event {
            AgentEvent::Call { update, .. } => pick(update),
            _ => None,
        })
    }

    pub(super) fn ringing(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Ringing { .. }).then_some(());
        self.updated(name, "ringing", is)
    }

    pub(super) fn answered(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Answered { .. }).then_some(());
        self.updated(name, "the answer", is)
    }

    pub(super) fn confirmed(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Confirmed { .. }).then_some(());
        self.updated(name, "the ACK", is)
    }

    pub(super) fn ended(&mut self, name: &str) -> Done {
        let is = |update| matches!(update, CallUpdate::Ended(_)).then_some(());
        self.updated(name, "the end", is)
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

    /// `Alice -> Bob: INVITE`, for each message, in the order of sending.
    pub(super) fn passed(&self) -> Vec<String> {
        let lines = self.network.passages().iter().map(|passage| {
            let what = match Message::parse(passage.payload.clone(), &Limits::default()) {
                Ok(Message::Request(request)) => request.method().to_string(),
                Ok(Message::Response(response)) => response.status().as_u16().to_string(),
                Err(error) => error.to_string(),
            };
            format!("{} -> {}: {what}", self.name_of(passage.from), self.name_of(passage.to))
        });
        lines.collect()
    }

    fn name_of(&self, address: SocketAddr) -> &'static str {
        let party = self.parties.iter().find(|party| party.address == address.ip());
        party.map_or("?", |party| party.name)
    }

    /// The call flow.
    pub(super) fn ladder(&self) -> Ladder {
        let start = self.network.now() - self.network.elapsed();
        let mut messages = Vec::new();
        for passage in self.network.passages() {
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

    /// Compares what passed with what the RFC shows.
    pub(super) fn compare(&self, expected: &[String]) -> Done {
        let (passed, expected) = (in_order(&self.passed()), in_order(expected));
        if passed == expected {
            return Ok(());
        }
        let mut difference = String::from("not as the RFC shows it:\n");
        for line in 0..passed.len().max(expected.len()) {
            let of = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
            let (expected, passed) = (of(&expected), of(&passed));
            let sign = if expected == passed { ' ' } else { '*' };
            let _ = writeln!(difference, "{sign} F{:<3} {expected:32} | {passed}", line + 1);
        }
        Err(difference)
    }
}

/// The messages with each 100 right after the INVITE that it answers: whether a proxy says that it tries before or
/// after it does, nobody can tell (RFC 3261 §16.2).
fn in_order(lines: &[String]) -> Vec<String> {
    let mut ordered: Vec<String> = Vec::with_capacity(lines.len());
    for line in lines {
        let asked = line.strip_suffix(": 100").and_then(|parties| {
            let (from, to) = parties.split_once(" -> ")?;
            let invite = format!("{to} -> {from}: INVITE");
            ordered.iter().rposition(|earlier| *earlier == invite)
        });
        match asked {
            Some(at) => ordered.insert(at + 1, line.clone()),
            None => ordered.push(line.clone()),
        }
    }
    ordered
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

pub(super) fn sdp() -> Body {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                m=audio 49172 RTP/AVP 0\r\n";
    Body::sdp(text)
}

pub(super) fn said(error: impl ToString) -> String {
    error.to_string()
}
