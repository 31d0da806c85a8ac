//! Three user agents that can all call each other, 10 ms apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{Limits, Message, Request, StatusCode, Transport};
use sip_sim::{Fate, Link, Network, NodeId};
use sip_transaction::{Config, Transactions};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, EndReason, Live,
    OutgoingCall, ReferOutcome, ReferUpdate,
};

pub const ALICE: usize = 0;
pub const BOB: usize = 1;
pub const CAROL: usize = 2;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn sdp() -> Body {
    Body::sdp("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n")
}

fn addr(who: usize) -> SocketAddr {
    ([192, 0, 2, who as u8 + 1], 5060).into()
}

pub fn uri(who: usize) -> sip_message::Uri<'static> {
    format!("sip:{}@{}", NAMES[who], addr(who).ip()).parse().unwrap()
}

pub fn account(who: usize) -> Arc<Account> {
    Arc::new(Account::new(uri(who)))
}

pub struct Office {
    pub network: Network<Agent>,
    nodes: [NodeId; 3],
    events: [Vec<AgentEvent>; 3],
    /// The calls that each one's events named, in order.
    pub calls: [Vec<CallKey>; 3],
    ended: [Vec<CallKey>; 3],
    /// How much of the record was read.
    read: usize,
}

impl Office {
    pub fn new() -> Self {
        Self::with(7, Link::default().with_delay(ms(10)), |_| AgentConfig::default())
    }

    pub fn with(seed: u64, link: Link, config: impl Fn(usize) -> AgentConfig) -> Self {
        let mut network = Network::new(seed, link);
        network.record();
        let nodes = [ALICE, BOB, CAROL].map(|who| {
            let mut agent = Agent::new(config(who), [seed, who as u64]);
            agent.set_account(Some(account(who)));
            network.add(&[(Transport::Udp, addr(who))], Config::default(), agent).unwrap()
        });
        let (events, calls, ended) = Default::default();
        Self { network, nodes, events, calls, ended, read: 0 }
    }

    pub fn tell<T>(
        &mut self,
        who: usize,
        command: impl FnOnce(&mut Agent, Instant, &mut Transactions) -> T,
    ) -> T {
        self.network.with(self.nodes[who], |now, agent, tx| command(agent, now, tx)).unwrap()
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            let who = self.nodes.iter().position(|other| *other == node).unwrap();
            self.note(who, &event);
            self.events[who].push(event);
        }
    }

    /// One `Ended` for each call, and nothing of it afterwards.
    fn note(&mut self, who: usize, event: &AgentEvent) {
        let call = match event {
            AgentEvent::Invitation { call, .. } => *call,
            AgentEvent::Call { call, update } => {
                assert!(!self.ended[who].contains(call), "after the end: {event:?}");
                if let CallUpdate::Ended(_) = update {
                    self.ended[who].push(*call);
                }
                *call
            }
            _ => return,
        };
        if !self.calls[who].contains(&call) {
            self.calls[who].push(call);
        }
    }

    pub fn take(&mut self, who: usize) -> Vec<AgentEvent> {
        std::mem::take(&mut self.events[who])
    }

    #[track_caller]
    pub fn expect(&mut self, who: usize, events: &[&str]) {
        let got: Vec<String> = self.take(who).iter().map(words).collect();
        assert_eq!(got, events, "events of {}; the wire:\n{}", NAMES[who], self.wire());
    }

    /// Everything that was on the network so far.
    pub fn wire(&self) -> String {
        self.network.passages().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What was on the network since the last look, without 100s.
    pub fn flow(&mut self) -> Vec<String> {
        let lines = self.network.passages()[self.read..].iter().map(line);
        let lines = lines.filter(|line| !line.contains(" 100 ")).collect();
        self.read = self.network.passages().len();
        lines
    }

    #[track_caller]
    pub fn expect_flow(&mut self, lines: &[&str]) {
        assert_eq!(self.flow(), lines);
    }

    /// The last request with this method that `from` sent.
    pub fn last_request(&self, from: usize, method: &str) -> Request {
        let sent = self.network.passages().iter().rev().filter(|p| p.from == addr(from));
        let mut requests = sent.filter_map(|passage| match parse(&passage.payload) {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        });
        requests.find(|request| request.method().as_str() == method).expect("it was sent")
    }

    pub fn call(&mut self, from: usize, to: usize) -> CallKey {
        self.call_with(from, OutgoingCall::to(uri(to)).body(sdp()))
    }

    pub fn call_with(&mut self, from: usize, call: OutgoingCall) -> CallKey {
        let key = self.tell(from, |agent, now, tx| agent.call(now, tx, &account(from), call));
        key.unwrap()
    }

    /// The last call that this one's events named.
    pub fn latest(&self, who: usize) -> CallKey {
        *self.calls[who].last().expect("a call")
    }

    pub fn ring(&mut self, who: usize, call: CallKey) {
        self.tell(who, |agent, now, tx| agent.ring(now, tx, call, StatusCode::RINGING, None))
            .unwrap();
    }

    pub fn accept(&mut self, who: usize, call: CallKey) {
        self.tell(who, |agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    }

    pub fn reject(&mut self, who: usize, call: CallKey, status: StatusCode) {
        self.tell(who, |agent, now, tx| agent.reject(now, tx, call, status, &[])).unwrap();
    }

    pub fn hang_up(&mut self, who: usize, call: CallKey) {
        self.tell(who, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    }

    /// One calls another, which accepts: the calls at both.
    pub fn established(&mut self, from: usize, to: usize) -> (CallKey, CallKey) {
        let caller = self.call(from, to);
        self.run(ms(50));
        let callee = self.latest(to);
        self.accept(to, callee);
        self.run(ms(100));
        self.expect(from, &["answered"]);
        self.expect(to, &["invitation", "confirmed"]);
        self.flow();
        (caller, callee)
    }

    /// The identifiers of the dialog that the last INVITE of `from` made with its 2xx or 180, as `of` sees
    /// them, in a header field of this name.
    pub fn pointer(&self, name: &str, from: usize, to: usize, of: usize) -> (String, String) {
        let invite = self.last_request(from, "INVITE");
        let call_id = invite.headers().call_id().unwrap();
        let mut answers = self.network.passages().iter().filter(|p| p.from == addr(to));
        let to_tag = answers.find_map(|passage| match parse(&passage.payload) {
            Message::Response(response) if response.headers().call_id() == Some(call_id) => {
                response.headers().to_tag().map(str::to_owned)
            }
            _ => None,
        });
        let (caller, callee) = (invite.headers().from_tag().unwrap(), to_tag.unwrap());
        let (own, other) = if of == from { (caller, &*callee) } else { (&*callee, caller) };
        (name.to_owned(), format!("{call_id};to-tag={own};from-tag={other}"))
    }

    pub fn live(&self, who: usize) -> Live {
        self.network.endpoint(self.nodes[who]).unwrap().user().live()
    }

    /// After a while nothing is left in any table.
    #[track_caller]
    pub fn nothing_left(&mut self) {
        self.run(secs(80));
        for (who, name) in NAMES.iter().enumerate() {
            assert_eq!(self.live(who), Live::default(), "of {name}; the wire:\n{}", self.wire());
        }
        assert!(self.network.is_quiet(), "the wire:\n{}", self.wire());
        let count = |calls: &[Vec<CallKey>; 3]| calls.each_ref().map(Vec::len);
        assert_eq!(count(&self.ended), count(&self.calls));
    }
}

pub fn parse(payload: &bytes::Bytes) -> Message {
    Message::parse(payload.clone(), &Limits::default()).expect("agents send SIP")
}

pub fn line(passage: &sip_sim::Passage) -> String {
    let name = |of: SocketAddr| NAMES[(0..3).find(|who| addr(*who) == of).unwrap()];
    let what = match parse(&passage.payload) {
        Message::Request(request) => request.method().to_string(),
        Message::Response(response) => {
            let method = response.headers().cseq().unwrap().method();
            format!("{} {method}", response.status().as_u16())
        }
    };
    let mark = if passage.fate == Fate::Arrived { "" } else { " (lost)" };
    format!("{} -> {}: {what}{mark}", name(passage.from), name(passage.to))
}

/// What an event says, in few words.
pub fn words(event: &AgentEvent) -> String {
    match event {
        AgentEvent::Invitation { .. } => "invitation".into(),
        AgentEvent::Call { update, .. } => match update {
            CallUpdate::Ringing { .. } => "ringing".into(),
            CallUpdate::Answered { .. } => "answered".into(),
            CallUpdate::Confirmed { .. } => "confirmed".into(),
            CallUpdate::Modification { .. } => "reinvited".into(),
            CallUpdate::Modified { .. } => "reinvite answered".into(),
            CallUpdate::ModificationFailed { failure } => format!("reinvite failed: {failure}"),
            CallUpdate::Ended(EndReason::Rejected(response)) => {
                format!("ended: {}", response.status().as_u16())
            }
            CallUpdate::Ended(reason) => format!("ended: {reason}"),
            other => panic!("no words for {other:?}"),
        },
        AgentEvent::Referred { .. } => "referred".into(),
        AgentEvent::Refer { update: ReferUpdate::Progress(status), .. } => {
            format!("refer: {}", status.as_u16())
        }
        AgentEvent::Refer { update: ReferUpdate::Ended(outcome), .. } => {
            let (what, status) = match outcome {
                ReferOutcome::Reported(status) => ("Reported", status),
                ReferOutcome::Refused(status) => ("Refused", status),
                _ => return "refer came to Unreported".into(),
            };
            format!("refer came to {what}({status})")
        }
        AgentEvent::Request { request, .. } => format!("request {}", request.method()),
        AgentEvent::Response { result: Ok(response), .. } => {
            format!("response {}", response.status().as_u16())
        }
        AgentEvent::Response { result: Err(failure), .. } => format!("no response: {failure}"),
        other => panic!("no words for {other:?}"),
    }
}
