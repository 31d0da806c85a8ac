//! Three nodes, and what each of them is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{Limits, Message, ReferTo, StatusCode};
use sip_sim::{Link, Network, NodeId};
use sip_transaction::{Config, Random, Transactions};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, BridgeKey, BridgeOptions, BridgeUpdate, Bridges,
    CallKey, CallUpdate, HeaderPass, Live, OutgoingCall,
};

pub(crate) const ALICE: usize = 0;
pub(crate) const PBX: usize = 1;
pub(crate) const BOB: usize = 2;
pub(crate) const CAROL: usize = 3;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn host(end: usize) -> String {
    format!("192.0.2.{}", end + 1)
}

/// A session description that is told from others by its name.
pub(crate) fn sdp(name: &str) -> Body {
    Body::sdp(format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns={name}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    ))
}

/// The name of a session description.
pub(crate) fn name_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().find_map(|line| line.strip_prefix("s="));
    line.unwrap_or_default().to_owned()
}

/// Nodes at 192.0.2.1 and up: alice, the back-to-back user agent, bob and carol.
pub(crate) struct World {
    pub(crate) network: Network<Agent>,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) bridges: Bridges,
    pub(crate) options: Arc<BridgeOptions>,
    pub(crate) account: Arc<Account>,
    pub(crate) ended: Vec<(BridgeKey, BridgeUpdate)>,
}

impl World {
    pub(crate) fn new(seed: u64, link: Link, transport: sip_message::Transport) -> Self {
        Self::with(seed, link, transport, |_| AgentConfig::default())
    }

    pub(crate) fn with(
        seed: u64,
        link: Link,
        transport: sip_message::Transport,
        config: impl Fn(usize) -> AgentConfig,
    ) -> Self {
        let mut network = Network::new(seed, link);
        let mut random = Random::new([seed, 1]);
        let nodes = (0..4).map(|end: usize| {
            let last = u8::try_from(end + 1).unwrap();
            let address = (transport, ([192, 0, 2, last], 5060).into());
            let seed = [random.next_u64(), random.next_u64()];
            network.add(&[address], Config::default(), Agent::new(config(end), seed)).unwrap()
        });
        let nodes = nodes.collect();
        let pass = HeaderPass::default().and("X-Call").unwrap();
        Self {
            network,
            nodes,
            bridges: Bridges::default(),
            options: Arc::new(BridgeOptions::default().pass(pass)),
            account: Arc::new(Account::new("sip:pbx@192.0.2.2".parse().unwrap())),
            ended: Vec::new(),
        }
    }

    /// Gives a command to one end.
    pub(crate) fn tell<T>(
        &mut self,
        end: usize,
        command: impl FnOnce(&mut Agent, Instant, &mut Transactions) -> T,
    ) -> T {
        let told = self.network.with(self.nodes[end], |now, agent, tx| command(agent, now, tx));
        told.unwrap()
    }

    /// Gives a command to the bridges.
    pub(crate) fn bridge<T>(
        &mut self,
        command: impl FnOnce(&mut Bridges, &mut Agent, Instant, &mut Transactions) -> T,
    ) -> T {
        let bridges = &mut self.bridges;
        let told = self
            .network
            .with(self.nodes[PBX], |now, agent, tx| command(bridges, agent, now, tx))
            .unwrap();
        self.note_updates();
        told
    }

    fn note_updates(&mut self) {
        while let Some(update) = self.bridges.poll_update() {
            self.ended.push(update);
        }
    }

    /// The next thing that an end is told, bridges being served; `None` if nothing more happens until then.
    pub(crate) fn next(&mut self, until: Instant) -> Option<(usize, AgentEvent)> {
        loop {
            let (node, event) = self.network.next_event(until)?;
            let end = self.nodes.iter().position(|known| *known == node).unwrap();
            if end != PBX {
                return Some((end, event));
            }
            let event =
                self.bridge(|bridges, agent, now, tx| bridges.handle(now, agent, tx, event));
            let Some(event) = event else { continue };
            return Some((PBX, event));
        }
    }

    /// Ties a call that came in at the back-to-back user agent to one to this end.
    pub(crate) fn tie(&mut self, event: &AgentEvent, to: usize) -> BridgeKey {
        let AgentEvent::Invitation { call, request, sender } = event else {
            panic!("{event:?} is no invitation")
        };
        let user = request.uri().unwrap().user().unwrap_or("bob").to_owned();
        let transport = sender.flow().transport.as_str().to_ascii_lowercase();
        let target = format!("sip:{user}@{};transport={transport}", host(to)).parse().unwrap();
        let (account, options) = (Arc::clone(&self.account), Arc::clone(&self.options));
        self.bridge(|bridges, agent, now, tx| {
            let from = (&**request, sender);
            bridges.bridge(now, agent, tx, *call, from, target, &account, &options).unwrap()
        })
    }

    /// Nothing is left in any table.
    #[track_caller]
    pub(crate) fn nothing_left(&self) {
        assert!(self.bridges.is_empty());
        assert!(self.network.is_quiet(), "timers or messages are left");
        for &node in &self.nodes {
            let endpoint = self.network.endpoint(node).unwrap();
            assert_eq!(endpoint.user().live(), Live::default());
            assert_eq!(endpoint.transactions().len(), 0);
            assert_eq!(endpoint.transactions().timers(), 0);
        }
    }
}

/// A [`World`] without faults, in which calls to the back-to-back user agent go on to Bob, and what ends are told is kept.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) events: Vec<(usize, AgentEvent)>,
    /// The last call of each end.
    pub(crate) calls: [Option<CallKey>; 4],
    read: usize,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(|_| AgentConfig::default())
    }

    pub(crate) fn with(config: impl Fn(usize) -> AgentConfig) -> Self {
        let mut world = World::with(7, Link::default(), sip_message::Transport::Udp, config);
        world.network.record();
        Self { world, events: Vec::new(), calls: [None; 4], read: 0 }
    }

    pub(crate) fn options(mut self, options: BridgeOptions) -> Self {
        self.world.options = Arc::new(options);
        self
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.world.network.now() + time;
        while let Some((end, event)) = self.world.next(until) {
            match &event {
                AgentEvent::Invitation { call, .. } if end != PBX => self.calls[end] = Some(*call),
                AgentEvent::Invitation { request, .. } => {
                    let user = request.uri().unwrap().user().unwrap_or_default().to_owned();
                    self.world.tie(&event, if user == "carol" { CAROL } else { BOB });
                    continue;
                }
                _ => {}
            }
            self.events.push((end, event));
        }
    }

    /// An end calls somebody by way of the back-to-back user agent.
    pub(crate) fn call(&mut self, end: usize, call: OutgoingCall) -> CallKey {
        let account = format!("sip:{}@example.com", NAMES[end]).parse().unwrap();
        let account = Arc::new(Account::new(account).display_name("Alice"));
        let key = self.world.tell(end, |agent, now, tx| agent.call(now, tx, &account, call));
        let key = key.unwrap();
        self.calls[end] = Some(key);
        key
    }

    pub(crate) fn tell<T>(
        &mut self,
        end: usize,
        command: impl FnOnce(&mut Agent, Instant, &mut Transactions, CallKey) -> T,
    ) -> T {
        let call = self.calls[end].expect("it has a call");
        self.world.tell(end, |agent, now, tx| command(agent, now, tx, call))
    }

    /// Alice calls, and Bob picks up: both are in a call.
    pub(crate) fn established(&mut self) {
        self.call(ALICE, to("bob").body(sdp("alice")));
        self.run(ms(500));
        self.tell(BOB, |agent, now, tx, call| {
            agent.ring(now, tx, call, StatusCode::RINGING, None).unwrap();
            agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
        });
        self.run(ms(500));
        self.sent();
        self.events.clear();
    }

    /// The messages since the last look that arrived, without repeats: `alice>pbx INVITE`, `pbx>bob 200 INVITE`.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let passages = &self.world.network.passages()[self.read..];
        let name = |address: std::net::SocketAddr| {
            let last = address.ip().to_string().rsplit('.').next().unwrap().parse::<usize>();
            NAMES[last.unwrap() - 1]
        };
        let sent = passages.iter().map(|passage| {
            let what = match parsed(&passage.payload) {
                Message::Request(request) => request.method().to_string(),
                Message::Response(response) => {
                    let method = response.headers().cseq().unwrap().method();
                    format!("{} {method}", response.status().as_u16())
                }
            };
            format!("{}>{} {what}", name(passage.from), name(passage.to))
        });
        let sent = sent.filter(|line| !line.contains(" 100 ")).collect();
        self.read = self.world.network.passages().len();
        sent
    }

    /// The last message of all that passed there and looks like that.
    pub(crate) fn last(&self, to: usize, what: &str) -> Message {
        let found = self.world.network.passages().iter().rev().find(|passage| {
            passage.to.ip().to_string() == host(to)
                && String::from_utf8_lossy(&passage.payload).starts_with(what)
        });
        parsed(&found.unwrap_or_else(|| panic!("no {what} to {}", NAMES[to])).payload)
    }

    /// What an end was told of its call since the last look.
    pub(crate) fn told(&mut self, end: usize) -> Vec<String> {
        let (its, others) = self.events.drain(..).partition(|(of, _)| *of == end);
        self.events = others;
        let its: Vec<(usize, AgentEvent)> = its;
        its.iter().map(|(_, event)| words(event)).collect()
    }

    #[track_caller]
    pub(crate) fn over(&mut self) {
        self.run(secs(300));
        self.world.nothing_left();
    }
}

pub(crate) const NAMES: [&str; 4] = ["alice", "pbx", "bob", "carol"];

pub(crate) fn to(user: &str) -> OutgoingCall {
    OutgoingCall::to(format!("sip:{user}@{}", host(PBX)).parse().unwrap())
}

fn parsed(payload: &bytes::Bytes) -> Message {
    Message::parse(payload.clone(), &Limits::default()).unwrap()
}

fn words(event: &AgentEvent) -> String {
    let said = |body: &[u8]| match body.is_empty() {
        true => String::new(),
        false => format!(" {}", name_of(body)),
    };
    match event {
        AgentEvent::Invitation { request, .. } => format!("invitation{}", said(request.body())),
        AgentEvent::Request { request, .. } => format!("request {}", request.method()),
        AgentEvent::Response { result, .. } => match result {
            Ok(response) => format!("response {}", response.status().as_u16()),
            Err(failure) => failure.to_string(),
        },
        AgentEvent::Referred { request, .. } => {
            let to = request.get::<ReferTo<'_>>().unwrap().unwrap();
            format!("referred to {}", to.uri().without_headers().unwrap())
        }
        AgentEvent::Refer { update, .. } => format!("{update:?}"),
        AgentEvent::Call { update, .. } => match update {
            CallUpdate::Ringing { response, .. } => format!("ringing{}", said(response.body())),
            CallUpdate::Progress { response, .. } => {
                format!("{}{}", response.status().as_u16(), said(response.body()))
            }
            CallUpdate::Answered { response, .. } => format!("answered{}", said(response.body())),
            CallUpdate::Acknowledged { prack } => {
                format!("prack{}", said(prack.as_ref().map_or(b"", |prack| prack.body())))
            }
            CallUpdate::Confirmed { ack } | CallUpdate::ModificationConfirmed { ack } => {
                format!("ack{}", said(ack.as_ref().map_or(b"", |ack| ack.body())))
            }
            CallUpdate::Modification { request, .. } => {
                format!("{}{}", request.method(), said(request.body()))
            }
            CallUpdate::Modified { response, .. } => format!("modified{}", said(response.body())),
            CallUpdate::ModificationFailed { failure } => failure.to_string(),
            CallUpdate::Reason { reasons } => format!("because {}", reasons[0]),
            CallUpdate::Ended(reason) => format!("ended: {reason}"),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}
