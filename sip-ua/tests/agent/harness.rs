//! Two worlds for tests: a [`Pair`] of agents with a network between them, and [`Lone`], one agent whose peer is
//! the test itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport};
use sip_transaction::{Config, Endpoint, Output, Transactions};
use sip_transport::locate::Zone;
use sip_transport::{Flow, Input, ListenerId, Local, Locals, Target, TransportError};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, EndReason, Live,
    NotifierEnd, NotifierUpdate, OutgoingCall, SubscriptionEnd, SubscriptionEvent,
    SubscriptionUpdate,
};

pub const ALICE: usize = 0;
pub const BOB: usize = 1;
pub const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn sdp() -> Body {
    Body::sdp(OFFER)
}

pub fn alice() -> Arc<Account> {
    Arc::new(Account::new("sip:alice@192.0.2.1".parse().unwrap()).display_name("Alice"))
}

pub fn to_bob() -> OutgoingCall {
    OutgoingCall::to("sip:bob@192.0.2.2".parse().unwrap()).body(sdp())
}

fn addr(end: usize) -> SocketAddr {
    ([192, 0, 2, end as u8 + 1], 5060).into()
}

fn flow(to: usize, from: SocketAddr) -> Flow {
    let _ = to;
    Flow { transport: Transport::Udp, listener: ListenerId::new(0), connection: None, remote: from }
}

fn endpoint(end: usize, now: Instant, config: AgentConfig) -> Endpoint<Agent> {
    let seed = [end as u64 + 1, 7];
    let locals = Locals::new([Local::new(ListenerId::new(0), Transport::Udp, addr(end))]);
    Endpoint::new(Config::default().seed(seed), locals, now, Agent::new(config, seed)).unwrap()
}

pub fn parse(payload: &Bytes) -> Message {
    Message::parse(payload.clone(), &Limits::default()).expect("the agent sends SIP")
}

/// `INVITE`, or `200 INVITE`.
pub fn summary(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method().to_string(),
        Message::Response(response) => {
            let method = response.headers().cseq().unwrap().method();
            format!("{} {}", response.status().as_u16(), method)
        }
    }
}

/// What an event says, in few words.
pub fn words(event: &AgentEvent) -> String {
    match event {
        AgentEvent::Invitation { .. } => "invitation".into(),
        AgentEvent::Call { update, .. } => match update {
            CallUpdate::Ringing { early, answer_owed: true, .. } => {
                format!("ringing {} with an offer", early.0)
            }
            CallUpdate::Progress { early, answer_owed: true, .. } => {
                format!("progress {} with an offer", early.0)
            }
            CallUpdate::Ringing { early, .. } => format!("ringing {}", early.0),
            CallUpdate::Progress { early, .. } => format!("progress {}", early.0),
            CallUpdate::Redirected { to } => format!("redirected to {to}"),
            CallUpdate::Answered { answer_owed: false, .. } => "answered".into(),
            CallUpdate::Answered { answer_owed: true, .. } => "answered by an offer".into(),
            CallUpdate::Confirmed { ack: None } => "confirmed".into(),
            CallUpdate::Confirmed { ack: Some(_) } => "confirmed with body".into(),
            CallUpdate::EarlyEnded { early, .. } => format!("early ended {}", early.0),
            CallUpdate::Acknowledged { prack: None } => "acknowledged".into(),
            CallUpdate::Acknowledged { prack: Some(_) } => "acknowledged with body".into(),
            CallUpdate::Modification { request, .. } => match request.method() {
                Method::Invite => "reinvited".into(),
                method => format!("{method} with an offer"),
            },
            CallUpdate::PrackHeld { early } => format!("prack held {}", early.0),
            CallUpdate::ModificationConfirmed { ack: None } => "reinvite confirmed".into(),
            CallUpdate::ModificationConfirmed { ack: Some(_) } => {
                "reinvite confirmed with body".into()
            }
            CallUpdate::ModificationWithdrawn => "reinvite withdrawn".into(),
            CallUpdate::Modified { answer_owed: false, .. } => "reinvite answered".into(),
            CallUpdate::Modified { answer_owed: true, .. } => {
                "reinvite answered by an offer".into()
            }
            CallUpdate::ModificationFailed { failure } => format!("reinvite failed: {failure}"),
            CallUpdate::NetworkChanged => "network changed".into(),
            CallUpdate::Postponed { wait, .. } => format!("postponed for {} s", wait.as_secs()),
            CallUpdate::Connected { early, identity } => match early {
                Some(early) => format!("connected to {identity} at {}", early.0),
                None => format!("connected to {identity}"),
            },
            CallUpdate::Ended(EndReason::Redirected(contacts)) => {
                let contacts: Vec<&str> = contacts.iter().map(|uri| uri.as_str()).collect();
                format!("ended: redirected to {}", contacts.join(" "))
            }
            CallUpdate::Reason { reasons } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("because {}", reasons.join(", "))
            }
            CallUpdate::Ended(reason) => format!("ended: {reason}"),
            other => panic!("no words for {other:?}"),
        },
        AgentEvent::Request { request, call, .. } => {
            let place = if call.is_some() { " in call" } else { "" };
            format!("request {}{place}", request.method())
        }
        AgentEvent::Response { result: Ok(response), .. } => {
            format!("response {}", response.status().as_u16())
        }
        AgentEvent::Response { result: Err(failure), .. } => format!("no response: {failure}"),
        AgentEvent::Referred { call, .. } => {
            format!("referred{}", if call.is_some() { " in call" } else { "" })
        }
        AgentEvent::Refer { update, .. } => format!("{update:?}"),
        AgentEvent::Registration { event, .. } => format!("{event:?}"),
        AgentEvent::Publication { event, .. } => format!("{event:?}"),
        AgentEvent::Subscribe { .. } => "subscribe".into(),
        AgentEvent::Subscription { notifier, update, .. } => {
            let fork = if *notifier > 0 { format!("{notifier}: ") } else { String::new() };
            format!("{fork}{}", words_of_subscription(update))
        }
        AgentEvent::Notifier { update, .. } => match update {
            NotifierUpdate::Refreshed => "refreshed".into(),
            NotifierUpdate::Ended(NotifierEnd::Refused(status)) => {
                format!("ended Refused({})", status.as_u16())
            }
            NotifierUpdate::Ended(end) => format!("ended {end:?}"),
            other => panic!("no words for {other:?}"),
        },
        AgentEvent::Lookup { .. } => "lookup".into(),
        other => panic!("no words for {other:?}"),
    }
}

fn words_of_subscription(update: &SubscriptionUpdate) -> String {
    match update {
        SubscriptionUpdate::Notify(request) => {
            let state = header(request.headers(), "Subscription-State").unwrap();
            let body = String::from_utf8_lossy(request.body());
            format!("notify {state} {body}").trim_end().into()
        }
        SubscriptionUpdate::State(SubscriptionEvent::Ended { reason, retry_in }) => {
            let reason = match reason {
                SubscriptionEnd::Refused(status) => format!("Refused({})", status.as_u16()),
                other => format!("{other:?}"),
            };
            match retry_in {
                Some(wait) => format!("ended {reason}, again in {}", wait.as_secs()),
                None => format!("ended {reason}"),
            }
        }
        SubscriptionUpdate::State(event) => format!("{event:?}"),
        other => panic!("no words for {other:?}"),
    }
}

/// What the network does with a message.
pub enum Fate {
    Deliver,
    Lose,
    Delay(Duration),
}

type Network = Box<dyn FnMut(usize, &str) -> Fate>;

/// Alice at 192.0.2.1 and Bob at 192.0.2.2, 10 ms apart.
pub struct Pair {
    pub now: Instant,
    start: Instant,
    ends: [Endpoint<Agent>; 2],
    /// By time and then by order of sending.
    wire: BTreeMap<(Instant, u64), (usize, Bytes)>,
    sent: u64,
    network: Network,
    pub log: Vec<String>,
    events: [Vec<AgentEvent>; 2],
    /// The calls that each end's events named, in order.
    pub calls: [Vec<CallKey>; 2],
    ended: [Vec<CallKey>; 2],
}

impl Pair {
    pub fn new() -> Self {
        Self::with(AgentConfig::default(), AgentConfig::default())
    }

    pub fn with(alice: AgentConfig, bob: AgentConfig) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            ends: [endpoint(ALICE, now, alice), endpoint(BOB, now, bob)],
            wire: BTreeMap::new(),
            sent: 0,
            network: Box::new(|_, _| Fate::Deliver),
            log: Vec::new(),
            events: [Vec::new(), Vec::new()],
            calls: [Vec::new(), Vec::new()],
            ended: [Vec::new(), Vec::new()],
        }
    }

    /// One end starts anew: another agent at the same address, which knows of nothing.
    pub fn restart(&mut self, end: usize) {
        self.ends[end] = endpoint(end, self.now, AgentConfig::default());
        // Its keys are counted anew.
        self.ended[end].clear();
        self.calls[end].clear();
    }

    /// From now on this decides what becomes of each message: who sent it, and its [`summary`].
    pub fn network(&mut self, network: impl FnMut(usize, &str) -> Fate + 'static) {
        self.network = Box::new(network);
    }

    /// Loses the next `count` messages of that kind.
    pub fn lose(&mut self, from: usize, kind: &'static str, mut count: usize) {
        self.network(move |sender, what| {
            let hit = sender == from && what == kind && count > 0;
            count -= usize::from(hit);
            if hit { Fate::Lose } else { Fate::Deliver }
        });
    }

    /// Gives a command to one end.
    pub fn tell<T>(
        &mut self,
        end: usize,
        command: impl FnOnce(&mut Agent, Instant, &mut Transactions) -> T,
    ) -> T {
        let now = self.now;
        let result = self.ends[end].with(now, |agent, tx| command(agent, now, tx));
        self.drain();
        result
    }

    pub fn live(&self, end: usize) -> Live {
        self.ends[end].user().live()
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.drain();
            let wire = self.wire.keys().next().map(|(at, _)| *at);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let Some(next) = wire.into_iter().chain(timers).min().filter(|next| *next <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (to, payload) = entry.remove();
                let input = Input::Datagram { flow: flow(to, addr(1 - to)), payload };
                self.ends[to].handle_input(self.now, input);
            }
            for end in &mut self.ends {
                end.handle_timeout(self.now);
            }
        }
        self.now = until;
    }

    fn drain(&mut self) {
        for end in [ALICE, BOB] {
            while let Some(output) = self.ends[end].poll_output() {
                let transmit = match output {
                    Output::Transmit(transmit) => transmit,
                    Output::Blame(_) => continue,
                    other => panic!("nothing to resolve or close here: {other:?}"),
                };
                let to = usize::from(transmit.destination.remote() == addr(BOB));
                assert_eq!(transmit.destination.remote(), addr(to), "sent into the void");
                let what = summary(&parse(&transmit.payload));
                let name = ["alice", "bob"][end];
                let at = (self.now - self.start).as_millis();
                let (delay, mark) = match (self.network)(end, &what) {
                    Fate::Deliver => (Some(ms(10)), ""),
                    Fate::Lose => (None, " (lost)"),
                    Fate::Delay(more) => (Some(ms(10) + more), " (late)"),
                };
                self.log.push(format!("{at} {name}: {what}{mark}"));
                if let Some(delay) = delay {
                    self.sent += 1;
                    self.wire.insert((self.now + delay, self.sent), (to, transmit.payload));
                }
            }
            while let Some(event) = self.ends[end].poll_event() {
                self.note(end, &event);
                self.events[end].push(event);
            }
        }
    }

    /// RFC or not: one `Ended` for each call, and nothing of it afterwards.
    fn note(&mut self, end: usize, event: &AgentEvent) {
        let call = match event {
            AgentEvent::Invitation { call, .. } => *call,
            AgentEvent::Call { call, update } => {
                assert!(!self.ended[end].contains(call), "after the end: {}", words(event));
                if let CallUpdate::Ended(_) = update {
                    self.ended[end].push(*call);
                }
                *call
            }
            _ => return,
        };
        if !self.calls[end].contains(&call) {
            self.calls[end].push(call);
        }
    }

    /// The events of one end since the last look.
    pub fn take(&mut self, end: usize) -> Vec<AgentEvent> {
        std::mem::take(&mut self.events[end])
    }

    /// The same in words.
    #[track_caller]
    pub fn expect(&mut self, end: usize, events: &[&str]) {
        let got: Vec<String> = self.take(end).iter().map(words).collect();
        assert_eq!(
            got,
            events,
            "events of {}; the wire:\n{}",
            ["alice", "bob"][end],
            self.wire_log()
        );
    }

    pub fn wire_log(&self) -> String {
        self.log.join("\n")
    }

    /// The messages since the last look, without times.
    pub fn flow(&mut self) -> Vec<String> {
        let log = std::mem::take(&mut self.log);
        log.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// Alice calls Bob.
    pub fn call(&mut self) -> CallKey {
        self.tell(ALICE, |agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap()
    }

    /// Alice calls, Bob rings and accepts: the calls at both ends.
    pub fn established(&mut self) -> (CallKey, CallKey) {
        let of_alice = self.call();
        self.run(ms(50));
        let of_bob = *self.calls[BOB].last().expect("Bob was called");
        self.tell(BOB, |agent, now, tx| {
            agent.ring(now, tx, of_bob, StatusCode::RINGING, None).unwrap();
            agent.accept(now, tx, of_bob, Some(&sdp()), &[]).unwrap();
        });
        self.run(ms(50));
        self.expect(ALICE, &["ringing 0", "answered"]);
        self.expect(BOB, &["invitation", "confirmed"]);
        self.log.clear();
        (of_alice, of_bob)
    }

    /// After a while nothing is left in any table of either end.
    #[track_caller]
    pub fn nothing_left(&mut self) {
        self.run(secs(70));
        for end in [ALICE, BOB] {
            let log = self.wire_log();
            assert_eq!(self.live(end), Live::default(), "of {end}; the wire:\n{log}");
            let stats = self.ends[end].stats();
            assert_eq!(
                (stats.live_clients, stats.live_servers, stats.live_timers),
                (0, 0, 0),
                "of {end}; the wire:\n{log}"
            );
        }
        assert_eq!(self.ended.each_ref().map(Vec::len), self.calls.each_ref().map(Vec::len));
    }
}

/// Alice's agent at 192.0.2.1, and the test in the place of everyone else.
pub struct Lone {
    pub now: Instant,
    end: Endpoint<Agent>,
    sent: Vec<(SocketAddr, Message)>,
    /// The last thing that was sent: its token.
    token: u64,
    events: Vec<AgentEvent>,
    /// The call of the last invitation.
    pub last_invitation: Option<CallKey>,
    /// What stands in for the DNS.
    pub zone: Zone,
}

impl Lone {
    pub fn new() -> Self {
        Self::with(AgentConfig::default())
    }

    pub fn with(config: AgentConfig) -> Self {
        let now = Instant::now();
        Self {
            now,
            end: endpoint(ALICE, now, config),
            sent: Vec::new(),
            token: 0,
            events: Vec::new(),
            last_invitation: None,
            zone: Zone::default(),
        }
    }

    pub fn tell<T>(
        &mut self,
        command: impl FnOnce(&mut Agent, Instant, &mut Transactions) -> T,
    ) -> T {
        let now = self.now;
        let result = self.end.with(now, |agent, tx| command(agent, now, tx));
        self.drain();
        result
    }

    pub fn live(&self) -> Live {
        self.end.user().live()
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.end.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.end.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// A message arrives from Bob's address.
    pub fn receive(&mut self, payload: impl Into<Bytes>) {
        let input = Input::Datagram { flow: flow(0, addr(BOB)), payload: payload.into() };
        self.end.handle_input(self.now, input);
        self.drain();
    }

    /// A message arrives whose lines are parted by line feeds; its Content-Length is filled in.
    pub fn receive_text(&mut self, head: &str, body: &str) {
        self.receive(wire(head, body));
    }

    fn drain(&mut self) {
        while let Some(output) = self.end.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.token = transmit.token;
                    self.sent.push((transmit.destination.remote(), parse(&transmit.payload)));
                }
                Output::Resolve { id, number, question } => {
                    let result = self.zone.answer(&question);
                    self.end.handle_input(self.now, Input::Resolved { id, number, result });
                }
                Output::Blame(_) => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.end.poll_event() {
            if let AgentEvent::Invitation { call, .. } = &event {
                self.last_invitation = Some(*call);
            }
            self.events.push(event);
        }
    }

    pub fn take(&mut self) -> Vec<AgentEvent> {
        std::mem::take(&mut self.events)
    }

    #[track_caller]
    pub fn expect(&mut self, events: &[&str]) {
        let got: Vec<String> = self.take().iter().map(words).collect();
        assert_eq!(got, events);
    }

    /// The transport says that what was sent last was not.
    pub fn fail_to_send(&mut self) {
        assert_ne!(self.token, 0, "nobody wants to know");
        self.sent.clear();
        let target = Target::new(Transport::Udp, addr(BOB));
        let error = TransportError::Unreachable;
        let (token, payload) = (self.token, Bytes::new());
        self.end.handle_input(self.now, Input::SendFailed { token, target, error, payload });
        self.drain();
    }

    pub fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// What was sent since the last look, and where to.
    pub fn sent(&mut self) -> Vec<(SocketAddr, Message)> {
        std::mem::take(&mut self.sent)
    }

    #[track_caller]
    pub fn expect_sent(&mut self, kinds: &[&str]) -> Vec<Message> {
        let sent: Vec<Message> = self.sent().into_iter().map(|(_, message)| message).collect();
        assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), kinds);
        sent
    }

    /// The one request that was sent since the last look.
    #[track_caller]
    pub fn sent_request(&mut self, method: Method) -> Request {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        match sent.remove(0).1 {
            Message::Request(request) => {
                assert_eq!(*request.method(), method);
                request
            }
            Message::Response(response) => panic!("{response:?}"),
        }
    }

    /// The one response that was sent since the last look.
    #[track_caller]
    pub fn sent_response(&mut self, status: u16) -> Response {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        match sent.remove(0).1 {
            Message::Response(response) => {
                assert_eq!(response.status().as_u16(), status, "{response:?}");
                response
            }
            Message::Request(request) => panic!("{request:?}"),
        }
    }

    /// Bob answers a request.
    pub fn answer(&mut self, request: &Request, status: u16, tag: &str, headers: &[(&str, &str)]) {
        let response = response(request, status, tag, headers);
        self.receive(response);
    }

    #[track_caller]
    pub fn nothing_left(&mut self) {
        self.run(secs(70));
        assert_eq!(self.live(), Live::default());
        let stats = self.end.stats();
        assert_eq!((stats.live_clients, stats.live_servers, stats.live_timers), (0, 0, 0));
    }
}

/// A response to a request, with a To tag unless the tag is empty.
pub fn response(request: &Request, status: u16, tag: &str, headers: &[(&str, &str)]) -> Bytes {
    let mut builder = Response::to_request(request, StatusCode::new(status).unwrap());
    if !tag.is_empty() {
        builder = builder.to_tag(tag);
    }
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::Other(name));
        builder = builder.raw(name, value.as_bytes());
    }
    builder.build().unwrap().to_bytes()
}

/// A message as it is on the wire.
pub fn wire(head: &str, body: &str) -> Bytes {
    let head = head.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// The value of a header field.
pub fn header<'a>(headers: &'a sip_message::Headers, name: &'a str) -> Option<&'a str> {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::Other(name));
    headers.raw(name).map(|value| std::str::from_utf8(value).unwrap())
}
