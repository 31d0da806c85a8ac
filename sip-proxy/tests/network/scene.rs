//! Alice and some phones around a proxy that serves example.com.

use std::sync::Arc;
use std::time::Duration;

use sip_message::{HeaderName, Limits, Message, Method, Request, StatusCode, Transport};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent, Route};
use sip_sim::{Either, Link, Network, NodeId};
use sip_transaction::Config;
use sip_ua::{Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, OutgoingCall};

pub type Decide = Box<dyn FnMut(&Request) -> Route>;
type Node = Either<Agent, Proxy<Decide>>;

pub const PROXY: &str = "192.0.2.1";

pub struct Scene {
    pub network: Network<Node>,
    pub proxy: NodeId,
    /// The phones at 192.0.2.10 and on; the first is Alice's.
    pub phones: Vec<NodeId>,
    pub events: Vec<(NodeId, AgentEvent)>,
    pub asked: Vec<ProxyEvent>,
}

pub fn udp(last: u8) -> [(Transport, std::net::SocketAddr); 1] {
    [(Transport::Udp, ([192, 0, 2, last], 5060).into())]
}

/// `sip:NAME@192.0.2.LAST`.
pub fn phone(last: u8) -> sip_message::Uri<'static> {
    format!("sip:bob@192.0.2.{last}").parse().unwrap()
}

impl Scene {
    pub fn new(phones: u8, decide: impl FnMut(&Request) -> Route + 'static) -> Self {
        let config = ProxyConfig::default().domain("example.com");
        Self::with(7, Link::default(), config, phones, decide)
    }

    pub fn with(
        seed: u64,
        link: Link,
        config: ProxyConfig,
        phones: u8,
        decide: impl FnMut(&Request) -> Route + 'static,
    ) -> Self {
        let mut network = Network::new(seed, link);
        network.record();
        let decide: Decide = Box::new(decide);
        let proxy = Either::B(Proxy::new(config, decide));
        let proxy = network.add(&udp(1), Config::default(), proxy).unwrap();
        network.host("example.com", &[PROXY.parse().unwrap()]);
        let phones = (0..phones).map(|index| {
            let agent = Agent::new(AgentConfig::default(), [seed, u64::from(index)]);
            network.add(&udp(10 + index), Config::default(), Either::A(agent)).unwrap()
        });
        let phones = phones.collect();
        Self { network, proxy, phones, events: Vec::new(), asked: Vec::new() }
    }

    /// Alice calls Bob through her outbound proxy.
    pub fn call(&mut self) -> CallKey {
        let account = Account::new("sip:alice@example.com".parse().unwrap())
            .outbound_proxy(format!("sip:{PROXY}").parse().unwrap());
        let outgoing =
            OutgoingCall::to("sip:bob@example.com".parse().unwrap()).body(Body::sdp("v=0\r\n"));
        let account = Arc::new(account);
        let alice = self.phones[0];
        let placed = self.network.with(alice, |now, node, tx| {
            node.a().unwrap().call(now, tx, &account, outgoing).unwrap()
        });
        placed.unwrap()
    }

    /// Runs for so long, and keeps the events.
    pub fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            match event {
                Either::A(event) => self.events.push((node, event)),
                Either::B(event) => self.asked.push(event),
            }
        }
    }

    /// The call that came in at a phone.
    pub fn invited(&self, phone: usize) -> CallKey {
        let node = self.phones[phone];
        let mut calls = self.events.iter().filter_map(|(at, event)| match event {
            AgentEvent::Invitation { call, .. } if *at == node => Some(*call),
            _ => None,
        });
        calls.next().expect("an invitation")
    }

    pub fn agent<R>(
        &mut self,
        phone: usize,
        command: impl FnOnce(std::time::Instant, &mut Agent, &mut sip_transaction::Transactions) -> R,
    ) -> R {
        let node = self.phones[phone];
        let result = self.network.with(node, |now, node, tx| command(now, node.a().unwrap(), tx));
        let result = result.unwrap();
        self.run(Duration::from_millis(300));
        result
    }

    pub fn ring(&mut self, phone: usize) {
        let call = self.invited(phone);
        self.agent(phone, |now, agent, tx| agent.ring(now, tx, call, StatusCode::RINGING, None))
            .unwrap();
    }

    pub fn accept(&mut self, phone: usize) {
        let call = self.invited(phone);
        let sdp = Body::sdp("v=0\r\n");
        self.agent(phone, |now, agent, tx| agent.accept(now, tx, call, Some(&sdp), &[])).unwrap();
    }

    pub fn reject(&mut self, phone: usize, status: u16) {
        let call = self.invited(phone);
        let status = StatusCode::new(status).unwrap();
        self.agent(phone, |now, agent, tx| agent.reject(now, tx, call, status, &[])).unwrap();
    }

    pub fn hang_up(&mut self, phone: usize, call: CallKey) {
        self.agent(phone, |now, agent, tx| agent.hang_up(now, tx, call)).unwrap();
    }

    /// What a phone was told, in few words.
    pub fn told(&self, phone: usize) -> Vec<String> {
        let node = self.phones[phone];
        let of_phone = self.events.iter().filter(|(at, _)| *at == node);
        of_phone
            .map(|(_, event)| match event {
                AgentEvent::Invitation { .. } => "invitation".into(),
                AgentEvent::Call { update, .. } => match update {
                    CallUpdate::Ringing { early, .. } => format!("ringing {}", early.0),
                    CallUpdate::EarlyEnded { early, .. } => format!("early {} ended", early.0),
                    CallUpdate::Answered { .. } => "answered".into(),
                    CallUpdate::Confirmed { .. } => "confirmed".into(),
                    CallUpdate::Ended(reason) => format!("ended: {reason}"),
                    other => format!("{other:?}"),
                },
                other => format!("{other:?}"),
            })
            .collect()
    }

    /// `10 > 1: INVITE`: who sent what to whom, from the last part of each address.
    pub fn ladder(&self) -> Vec<String> {
        let last = |address: std::net::SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => panic!("IPv4 only"),
        };
        let passages = self.network.passages().iter();
        passages
            .map(|passage| {
                let message = Message::parse(passage.payload.clone(), &Limits::default()).unwrap();
                let what = match &message {
                    Message::Request(request) => request.method().to_string(),
                    Message::Response(response) => {
                        let method = response.headers().cseq().unwrap().method();
                        format!("{} {method}", response.status().as_u16())
                    }
                };
                format!("{} > {}: {what}", last(passage.from), last(passage.to))
            })
            .collect()
    }

    /// The first message of that kind on the way from one to another.
    pub fn message(&self, line: &str) -> Message {
        let at = self.ladder().iter().position(|it| it == line).expect(line);
        Message::parse(self.network.passages()[at].payload.clone(), &Limits::default()).unwrap()
    }

    /// Lets every transaction end, and looks whether anything is left.
    pub fn finish(&mut self) {
        self.run(Duration::from_secs(400));
        assert!(self.network.is_quiet(), "timers or messages are left");
        let endpoint =
            |scene: &Self, node| scene.network.endpoint(node).unwrap().transactions().len();
        assert_eq!(endpoint(self, self.proxy), 0);
        let live = self.network.with(self.proxy, |_, node, _| node.b().unwrap().live()).unwrap();
        assert_eq!(live, Default::default());
        for phone in self.phones.clone() {
            assert_eq!(endpoint(self, phone), 0);
            let live = self.network.with(phone, |_, node, _| node.a().unwrap().live()).unwrap();
            assert_eq!(live, Default::default());
        }
    }
}

pub fn raw(message: &Message, name: HeaderName<'_>) -> Vec<String> {
    let values = message.headers().raw_all(name);
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// A request of Alice's from outside of any user agent, as it is on the wire.
pub fn plain(method: &Method, uri: &str, more: &str) -> Request {
    let text = format!(
        "{method} {uri} SIP/2.0\r\n{more}From: <sip:alice@example.com>;tag=1\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: 1@192.0.2.10\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n",
        method = method.as_str(),
    );
    match Message::parse(text.into(), &Limits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}
