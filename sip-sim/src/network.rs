//! The network: nodes, what is under way between them, and the clock that all of them share.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::Transport;
use sip_transaction::{
    Config, ConfigError, Endpoint, Event, Output, Random, TransactionUser, Transactions,
};
use sip_transport::locate::Zone;
use sip_transport::{
    Destination, Flow, Input, ListenerId, Local, Locals, Target, Transmit, TransportError,
};

use crate::nat::NatBox;
use crate::streams::{Inside, Streams};
use crate::{Fate, Link, Nat, NatId, Passage};

/// RFC 5626 §3.5.1: what the sockets of a node answer by themselves, and the answer.
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

/// A node of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

/// N endpoints on a network that loses, doubles, delays and reorders by a seed, under one virtual
/// clock: nothing sleeps, and a minute of protocol takes as long as its messages take to handle.
///
/// Equal seeds and equal commands give equal runs, byte for byte ([`digest`](Self::digest)). A
/// network that is dropped while its thread panics prints its seed, so that the failing run can be
/// made again.
pub struct Network<U: TransactionUser> {
    seed: u64,
    random: Random,
    start: Instant,
    now: Instant,
    nodes: Vec<Node<U>>,
    /// Whose an address is. Those behind a NAT box are known behind it only.
    owners: HashMap<(Option<NatId>, Transport, SocketAddr), (NodeId, ListenerId)>,
    boxes: Vec<NatBox>,
    zone: Zone,
    link: Link,
    links: HashMap<(NodeId, NodeId), Link>,
    parted: BTreeSet<(NodeId, NodeId)>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sequence: u64,
    /// Counts what is sent and what arrives.
    turn: u64,
    streams: Streams,
    record: Option<Vec<Passage>>,
    digest: DefaultHasher,
    counts: Counts,
}

struct Node<U: TransactionUser> {
    endpoint: Endpoint<U>,
    locals: Locals,
    behind: Option<NatId>,
    /// Connections that were lost in a move, of which the endpoint does not know yet.
    lost: Vec<Flow>,
}

/// How much has passed over a [`Network`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages that the nodes sent.
    pub sent: u64,
    /// Messages that arrived, doubles included.
    pub arrived: u64,
    /// Messages that a link lost.
    pub lost: u64,
    /// Messages that arrived a second time.
    pub doubled: u64,
    /// Messages that a partition kept.
    pub parted: u64,
    /// Messages that a NAT box did not let in.
    pub blocked: u64,
}

/// Who gets a message.
struct Reached {
    peer: NodeId,
    listener: ListenerId,
    /// Whence it comes, for them.
    source: SocketAddr,
}

/// Something that will reach a node.
struct UnderWay {
    at: Instant,
    /// Breaks ties in the order of sending.
    sequence: u64,
    to: NodeId,
    what: Arrival,
}

enum Arrival {
    Input(Input),
    /// A message, with what the record says of it.
    Payload {
        flow: Flow,
        payload: Bytes,
        from: SocketAddr,
        to: SocketAddr,
        sent: u64,
    },
}

impl<U: TransactionUser> Network<U> {
    /// A network without nodes whose faults are drawn from `seed`.
    pub fn new(seed: u64, link: Link) -> Self {
        let start = Instant::now();
        Self {
            seed,
            random: Random::new([seed, 0x6e65_7477_6f72_6b00]),
            start,
            now: start,
            nodes: Vec::new(),
            owners: HashMap::new(),
            boxes: Vec::new(),
            zone: Zone::default(),
            link,
            links: HashMap::new(),
            parted: BTreeSet::new(),
            under_way: BinaryHeap::new(),
            sequence: 0,
            turn: 0,
            streams: Streams::default(),
            record: None,
            digest: DefaultHasher::new(),
            counts: Counts::default(),
        }
    }

    /// Adds a node that listens on `addresses`, with its own seed drawn from the network's.
    ///
    /// # Errors
    /// Another node has one of the addresses already, or the configuration is not valid.
    pub fn add(
        &mut self,
        addresses: &[(Transport, SocketAddr)],
        config: Config,
        user: U,
    ) -> Result<NodeId, AddError> {
        self.add_node(None, addresses, config, user)
    }

    /// Adds a NAT box. Nodes are put behind it by [`add_behind`](Self::add_behind).
    pub fn add_nat(&mut self, nat: Nat) -> NatId {
        self.boxes.push(NatBox::new(nat));
        NatId(self.boxes.len() - 1)
    }

    /// Adds a node behind a NAT box: its addresses are known to those behind the same box only, and may
    /// be the same as behind another.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_behind(
        &mut self,
        nat: NatId,
        addresses: &[(Transport, SocketAddr)],
        config: Config,
        user: U,
    ) -> Result<NodeId, AddError> {
        self.add_node(Some(nat), addresses, config, user)
    }

    /// Lets a NAT box forget all its mappings; new ones have other ports.
    pub fn reboot(&mut self, nat: NatId) {
        if let Some(nat) = self.boxes.get_mut(nat.0) {
            nat.reboot();
        }
    }

    /// Moves a node to other addresses, as many as it has and by the same transports in the same order,
    /// behind a NAT box or behind none. Nobody is told: its connections lead nowhere any more, and what
    /// the others send to the old addresses neither. The node's endpoint learns of it when it asks
    /// ([`Transactions::rebind`]).
    ///
    /// # Errors
    /// [`AddError::AddressTaken`], and nothing has changed then.
    pub fn relocate(
        &mut self,
        node: NodeId,
        behind: Option<NatId>,
        addresses: &[SocketAddr],
    ) -> Result<(), AddError> {
        let Some(moved) = self.nodes.get(node.0) else { return Ok(()) };
        let locals = Locals::new(
            moved
                .locals
                .iter()
                .zip(addresses)
                .map(|(local, &address)| Local::new(local.id, local.transport, address)),
        );
        for Local { transport, addr: address, .. } in locals.iter().cloned() {
            let owner = self.owners.get(&(behind, transport, address));
            if owner.is_some_and(|(owner, _)| *owner != node) {
                return Err(AddError::AddressTaken { transport, address });
            }
        }
        self.owners.retain(|_, (owner, _)| *owner != node);
        for local in locals.iter() {
            self.owners.insert((behind, local.transport, local.addr), (node, local.id));
        }
        let lost = self.streams.lose_all(node);
        if let Some(moved) = self.nodes.get_mut(node.0) {
            moved.locals = locals;
            moved.behind = behind;
            moved.lost.extend(lost);
        }
        Ok(())
    }

    fn rebind(&mut self, node: NodeId) {
        let mut lost = self.streams.lose_all(node);
        let Some(moved) = self.nodes.get_mut(node.0) else { return };
        lost.append(&mut moved.lost);
        let rebound = Input::Rebound { locals: moved.locals.clone(), lost: Vec::new() };
        let error = Some(TransportError::Closed);
        let closed = lost.into_iter().map(|flow| Input::Closed { flow, error });
        for input in [rebound].into_iter().chain(closed) {
            self.arrive(node, self.now, Arrival::Input(input));
        }
    }

    fn add_node(
        &mut self,
        behind: Option<NatId>,
        addresses: &[(Transport, SocketAddr)],
        config: Config,
        user: U,
    ) -> Result<NodeId, AddError> {
        let id = NodeId(self.nodes.len());
        for &(transport, address) in addresses {
            if self.owners.contains_key(&(behind, transport, address)) {
                return Err(AddError::AddressTaken { transport, address });
            }
        }
        let locals = Locals::new(addresses.iter().zip(0..).map(|(&(transport, addr), index)| {
            Local::new(ListenerId::new(index), transport, addr)
        }));
        let config = config.seed([self.random.next_u64(), self.random.next_u64()]);
        let endpoint = Endpoint::new(config, locals.clone(), self.now, user)?;
        for local in locals.iter() {
            self.owners.insert((behind, local.transport, local.addr), (id, local.id));
        }
        self.nodes.push(Node { endpoint, locals, behind, lost: Vec::new() });
        Ok(id)
    }

    /// Lets the nodes resolve `name` to `addresses`. A name that was never given does not resolve.
    pub fn host(&mut self, name: &str, addresses: &[IpAddr]) {
        let zone = core::mem::take(&mut self.zone);
        self.zone = addresses.iter().fold(zone, |zone, &address| zone.host(name, address));
    }

    /// Lets the nodes resolve what this table holds, and nothing else.
    pub fn set_zone(&mut self, zone: Zone) {
        self.zone = zone;
    }

    /// Sets what the network does to what goes from one node to another from now on, in that
    /// direction only.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Sets what the network does between all nodes that have no link of their own.
    pub fn set_default_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Parts two nodes: from now on nothing that either sends reaches the other, and streams
    /// between them break. What is under way already arrives.
    pub fn part(&mut self, one: NodeId, other: NodeId) {
        self.parted.insert((one, other));
        self.parted.insert((other, one));
        for (node, flow) in self.streams.break_between(one, other) {
            let error = Some(TransportError::Closed);
            self.arrive(node, self.now, Arrival::Input(Input::Closed { flow, error }));
        }
    }

    /// Ends the parting of two nodes.
    pub fn heal(&mut self, one: NodeId, other: NodeId) {
        self.parted.remove(&(one, other));
        self.parted.remove(&(other, one));
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The virtual time since the start of the run.
    pub fn elapsed(&self) -> Duration {
        self.now.duration_since(self.start)
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The endpoint of a node; none for an id of another network.
    pub fn endpoint(&self, node: NodeId) -> Option<&Endpoint<U>> {
        self.nodes.get(node.0).map(|node| &node.endpoint)
    }

    /// Gives a node's user a command, at the virtual time, and sends what comes of it. None for an
    /// id of another network.
    pub fn with<R>(
        &mut self,
        node: NodeId,
        command: impl FnOnce(Instant, &mut U, &mut Transactions) -> R,
    ) -> Option<R> {
        let now = self.now;
        let endpoint = &mut self.nodes.get_mut(node.0)?.endpoint;
        let result = endpoint.with(now, |user, transactions| command(now, user, transactions));
        self.drain(node);
        Some(result)
    }

    /// Runs until a node has an event for its application, and returns it; or until the virtual
    /// time is `until`, or until nothing is left that could happen, and returns none. In the last
    /// two cases the clock stands at `until`.
    pub fn next_event(&mut self, until: Instant) -> Option<(NodeId, U::Event)> {
        loop {
            for index in 0..self.nodes.len() {
                let event = self.nodes.get_mut(index).and_then(|n| n.endpoint.poll_event());
                if let Some(event) = event {
                    return Some((NodeId(index), event));
                }
            }
            if !self.step(until) {
                self.now = self.now.max(until);
                return None;
            }
        }
    }

    /// Whether nothing is under way and no node waits for a time.
    pub fn is_quiet(&self) -> bool {
        self.under_way.is_empty()
            && self.nodes.iter().all(|node| node.endpoint.poll_timeout().is_none())
    }

    /// Keeps every message from now on, to be read by [`passages`](Self::passages). Off at first.
    pub fn record(&mut self) {
        self.record.get_or_insert_default();
    }

    /// What was kept since [`record`](Self::record), in order of arrival.
    pub fn passages(&self) -> &[Passage] {
        self.record.as_deref().unwrap_or_default()
    }

    /// A digest of every message that was sent so far with its time, ends and fate: two runs with
    /// the same digest had the same trace.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// How much has passed.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next thing that happens no later than `until`: an arrival before a timer of the same
    /// time, nodes in the order they were added. False if there is none.
    fn step(&mut self, until: Instant) -> bool {
        let arrival = self.under_way.peek().map(|Reverse(next)| next.at);
        let timer = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| Some((node.endpoint.poll_timeout()?, index)))
            .min();
        let is_arrival = match (arrival, timer) {
            (Some(arrival), Some((timer, _))) => arrival <= timer,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return false,
        };
        if is_arrival {
            if arrival.is_some_and(|at| at > until) {
                return false;
            }
            let Some(Reverse(UnderWay { at, to, what, .. })) = self.under_way.pop() else {
                return false;
            };
            self.now = self.now.max(at);
            let input = match what {
                Arrival::Input(input) => Some(input),
                Arrival::Payload { flow, payload, from, to: at, sent } => {
                    self.counts.arrived += 1;
                    self.turn += 1;
                    self.note((flow.transport, from, at), sent, Fate::Arrived, payload.clone());
                    self.taken_in(to, flow, payload)
                }
            };
            if let (Some(node), Some(input)) = (self.nodes.get_mut(to.0), input) {
                node.endpoint.handle_input(self.now, input);
            }
            self.drain(to);
        } else if let Some((at, index)) = timer {
            if at > until {
                return false;
            }
            self.now = self.now.max(at);
            if let Some(node) = self.nodes.get_mut(index) {
                node.endpoint.handle_timeout(self.now);
            }
            self.drain(NodeId(index));
        }
        true
    }

    /// Takes what a node wants done, and does it.
    fn drain(&mut self, node: NodeId) {
        while let Some(output) =
            self.nodes.get_mut(node.0).and_then(|node| node.endpoint.poll_output())
        {
            match output {
                Output::Transmit(transmit) => self.transmit(node, transmit),
                Output::Resolve { id, number, question } => {
                    let result = self.zone.answer(&question);
                    let input = Input::Resolved { id, number, result };
                    self.arrive(node, self.now + self.link.delay, Arrival::Input(input));
                }
                Output::Close(connection) => {
                    for (node, flow) in self.streams.close(node, connection) {
                        let closed = Input::Closed { flow, error: None };
                        self.arrive(node, self.now, Arrival::Input(closed));
                    }
                }
                Output::Rebind => self.rebind(node),
                // A kind of output that this version does not know changes nothing on the network.
                _ => {}
            }
        }
    }

    fn transmit(&mut self, node: NodeId, transmit: Transmit) {
        self.counts.sent += 1;
        self.turn += 1;
        let transport = transmit.destination.transport();
        if transport.is_reliable() {
            self.transmit_stream(node, transmit);
        } else {
            self.transmit_datagram(node, transmit);
        }
    }

    fn transmit_datagram(&mut self, node: NodeId, transmit: Transmit) {
        let target = Target::from(transmit.destination);
        let Some((from, _)) = self.source(node, &target) else {
            return self.fail(node, &transmit, target, TransportError::NoListener);
        };
        let (transport, to) = (target.transport, target.remote);
        let Reached { peer, listener, source } = match self.route(node, transport, from, to) {
            Ok(reached) => reached,
            Err(fate) => {
                self.counts.blocked += u64::from(fate == Fate::Blocked);
                return self.note((transport, from, to), self.turn, fate, transmit.payload);
            }
        };
        if self.parted.contains(&(node, peer)) {
            self.counts.parted += 1;
            let sent = self.turn;
            return self.note((transport, from, to), sent, Fate::Parted, transmit.payload);
        }
        let link = self.link_between(node, peer);
        if self.chance(link.loss) {
            self.counts.lost += 1;
            let sent = self.turn;
            return self.note((transport, from, to), sent, Fate::Lost, transmit.payload);
        }
        let copies = if self.chance(link.duplication) { 2 } else { 1 };
        self.counts.doubled += copies - 1;
        for _ in 0..copies {
            let at = self.now + self.delay(&link);
            let flow = Flow { transport, listener, connection: None, remote: source };
            let payload = transmit.payload.clone();
            let sent = self.turn;
            self.arrive(peer, at, Arrival::Payload { flow, payload, from, to, sent });
        }
    }

    fn transmit_stream(&mut self, node: NodeId, transmit: Transmit) {
        // A response goes over its request's connection while that is open, else to the fall-back;
        // a request over a connection that is open to its target, else over a new one.
        let first = self.streams.find(node, &transmit.destination);
        if first.is_none()
            && let Some(flow) = self.streams.take_lost(node, &transmit.destination)
        {
            return self.reset(node, &transmit, flow);
        }
        let target = match (first, &transmit.destination, transmit.fallback) {
            (None, Destination::Target(target), _) if target.is_only_way => {
                return self.fail(node, &transmit, *target, TransportError::Closed);
            }
            (Some(_), destination, _) | (None, destination @ Destination::Target(_), _) => {
                Target::from(*destination)
            }
            (None, Destination::Flow(_), Some(fallback)) => fallback,
            (None, Destination::Flow(flow), None) => {
                return self.fail(node, &transmit, (*flow).into(), TransportError::Closed);
            }
        };
        let found = first.or_else(|| self.streams.find(node, &Destination::Target(target)));
        let stream = match found {
            Some(stream) => stream,
            None => {
                let Some((from, near)) = self.source(node, &target) else {
                    return self.fail(node, &transmit, target, TransportError::NoListener);
                };
                let Target { transport, remote, .. } = target;
                let reached = match self.route(node, transport, from, remote) {
                    Ok(reached) => reached,
                    Err(Fate::Nowhere) => {
                        return self.fail(node, &transmit, target, TransportError::Refused);
                    }
                    Err(_) => {
                        return self.fail(node, &transmit, target, TransportError::ConnectTimeout);
                    }
                };
                if self.parted.contains(&(node, reached.peer)) {
                    return self.fail(node, &transmit, target, TransportError::ConnectTimeout);
                }
                let nat = self.nodes.get(node.0).and_then(|node| node.behind);
                let inside = nat.filter(|_| reached.source != from).map(|nat| Inside {
                    nat,
                    address: from,
                    remote,
                });
                let far = (reached.peer, reached.listener, remote);
                self.streams.open(transport, (node, near, from), far, reached.source, inside)
            }
        };
        if let Some(Inside { nat, address, remote }) = stream.inside
            && let Some(nat) = self.boxes.get_mut(nat.0)
            && !nat.passes(self.now, target.transport, address, remote)
        {
            if let Some(flow) = self.streams.lose(stream.sending) {
                self.reset(node, &transmit, flow);
            }
            return;
        }
        let link = self.link_between(stream.near, stream.far);
        let mut delay = self.delay(&link);
        if self.chance(link.loss) {
            self.counts.lost += 1;
            delay += link.recovery;
        }
        let at = self.streams.in_order(stream.sending, self.now + delay);
        let (flow, from, to) = (stream.flow, stream.from, stream.to);
        let payload = transmit.payload;
        let sent = self.turn;
        self.arrive(stream.far, at, Arrival::Payload { flow, payload, from, to, sent });
    }

    /// What the node's endpoint hears of what arrived: its sockets keep what is no message.
    fn taken_in(&mut self, node: NodeId, flow: Flow, payload: Bytes) -> Option<Input> {
        if flow.connection.is_none() {
            let is_blank = payload.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            return (!is_blank).then_some(Input::Datagram { flow, payload });
        }
        if payload == PONG {
            return Some(Input::Pong { flow });
        }
        if payload == PING {
            let (destination, payload) = (Destination::Flow(flow), Bytes::from_static(PONG));
            let pong = Transmit { destination, fallback: None, payload, domain: None, token: 0 };
            self.transmit(node, pong);
            return None;
        }
        Some(Input::Message { flow, payload })
    }

    /// Who gets what is sent to an address, and the address that it comes from for them: that of the NAT
    /// boxes on the way.
    fn route(
        &mut self,
        node: NodeId,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Reached, Fate> {
        let behind = self.nodes.get(node.0).and_then(|node| node.behind);
        let mut source = from;
        if let Some(&(peer, listener)) = self.owners.get(&(behind, transport, to)) {
            return Ok(Reached { peer, listener, source });
        }
        if let Some(nat) = behind.and_then(|nat| self.boxes.get_mut(nat.0)) {
            source = nat.outbound(self.now, transport, from, to);
            if nat.nat.address == to.ip() && !nat.nat.hairpin {
                return Err(Fate::Blocked);
            }
        }
        if let Some(&(peer, listener)) = self.owners.get(&(None, transport, to)) {
            return Ok(Reached { peer, listener, source });
        }
        let boxes = self.boxes.iter().zip(0..);
        let mut boxes = boxes.filter(|(nat, _)| nat.nat.address == to.ip());
        let (nat, index) = boxes.next().ok_or(Fate::Nowhere)?;
        // Nobody inside listens on the port of a connection that was opened from there.
        let inside = (!transport.is_reliable())
            .then(|| nat.inbound(self.now, transport, to.port(), source))
            .flatten()
            .ok_or(Fate::Blocked)?;
        let owner = self.owners.get(&(Some(NatId(index)), transport, inside));
        let &(peer, listener) = owner.ok_or(Fate::Nowhere)?;
        Ok(Reached { peer, listener, source })
    }

    /// A stream is found to be gone by who sends over it.
    fn reset(&mut self, node: NodeId, transmit: &Transmit, flow: Flow) {
        self.fail(node, transmit, flow.into(), TransportError::Closed);
        let error = Some(TransportError::Closed);
        let closed = Arrival::Input(Input::Closed { flow, error });
        self.arrive(node, self.now + self.link.delay, closed);
    }

    /// The address that a node sends from to reach a target, and its listener.
    fn source(&self, node: NodeId, target: &Target) -> Option<(SocketAddr, ListenerId)> {
        let locals = &self.nodes.get(node.0)?.locals;
        let local = target
            .listener
            .and_then(|id| locals.get(id))
            .or_else(|| locals.select(target.transport, &target.remote))?;
        Some((local.addr, local.id))
    }

    fn fail(&mut self, node: NodeId, transmit: &Transmit, target: Target, error: TransportError) {
        if transmit.token != 0 {
            let (token, payload) = (transmit.token, transmit.payload.clone());
            let input = Input::SendFailed { token, target, error, payload };
            self.arrive(node, self.now + self.link.delay, Arrival::Input(input));
        }
    }

    fn arrive(&mut self, to: NodeId, at: Instant, what: Arrival) {
        self.sequence += 1;
        self.under_way.push(Reverse(UnderWay { at, sequence: self.sequence, to, what }));
    }

    fn link_between(&self, from: NodeId, to: NodeId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.link)
    }

    fn delay(&mut self, link: &Link) -> Duration {
        let micros = u32::try_from(link.jitter.as_micros()).unwrap_or(u32::MAX);
        let jitter = self.random.below(micros.saturating_add(1));
        link.delay + Duration::from_micros(jitter.into())
    }

    fn chance(&mut self, part: f64) -> bool {
        // Drawn even when nothing can come of it: so a run with other faults has the same delays.
        f64::from(self.random.below(1 << 30)) < part * f64::from(1 << 30)
    }

    fn note(
        &mut self,
        (transport, from, to): (Transport, SocketAddr, SocketAddr),
        sent: u64,
        fate: Fate,
        payload: Bytes,
    ) {
        let turn = self.turn;
        let at = self.elapsed();
        self.digest.write_u128(at.as_nanos());
        self.digest.write_u8(fate as u8);
        self.digest.write(from.to_string().as_bytes());
        self.digest.write(to.to_string().as_bytes());
        self.digest.write(&payload);
        if let Some(record) = &mut self.record {
            record.push(Passage { at, turn, sent, transport, from, to, fate, payload });
        }
    }
}

impl<U: TransactionUser> Drop for Network<U> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("sip-sim: this run had the seed {}", self.seed);
        }
    }
}

impl<U: TransactionUser> std::fmt::Debug for Network<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("elapsed", &self.elapsed())
            .field("nodes", &self.nodes.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// Why a node was not added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Two nodes may not have one address.
    #[error("another node listens on {}:{address} already", transport.as_str())]
    AddressTaken {
        /// The protocol below SIP.
        transport: Transport,
        /// The address.
        address: SocketAddr,
    },
    /// The configuration of the node's endpoint is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// A user of transactions that only hands on what it hears: for tests of the layers below one.
#[derive(Debug, Default)]
pub struct Listener {
    heard: std::collections::VecDeque<Event>,
}

impl TransactionUser for Listener {
    type Event = Event;

    fn handle(&mut self, _now: Instant, event: Event, _transactions: &mut Transactions) {
        self.heard.push_back(event);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.heard.pop_front()
    }
}
