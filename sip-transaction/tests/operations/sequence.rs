//! Sequences of operations on an endpoint, read from bytes: any bytes are some sequence. Both the
//! property test and the fuzz target run them.
//!
//! Whatever happens: nothing panics; every key ends with exactly one `Terminated` and is silent after
//! it; the counts of what lives agree with what was told; and when the user has answered what it
//! owes and time has passed, nothing is left.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{Message, Method, Request, Response, StatusCode, Transport};
use sip_transaction::{
    ClientKey, Config, Endpoint, Event, Key, NextHop, Output, ServerKey, TimerKey, TransactionUser,
    Transactions,
};
use sip_transport::locate::{Answer, LookupError, Naptr, QuestionNumber, Srv};
use sip_transport::{
    ConnectionId, Flow, Input, ListenerId, Local, Locals, Target, Transmit, TransportError,
};

/// Runs one sequence.
///
/// # Panics
///
/// If one of the rules above is broken.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    let mut bytes = Reader(data);
    while let Some(operation) = bytes.next() {
        world.operate(operation, &mut bytes);
        world.drain();
    }
    world.finish();
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, or 0 at the end.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let byte = usize::from(self.byte());
        choices.get(byte.checked_rem(choices.len())?).copied()
    }
}

#[derive(Default)]
struct Recorder {
    events: Vec<Event>,
}

impl TransactionUser for Recorder {
    type Event = ();

    fn handle(&mut self, _now: Instant, event: Event, _transactions: &mut Transactions) {
        self.events.push(event);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

struct World {
    now: Instant,
    endpoint: Endpoint<Recorder>,
    clients: Vec<ClientKey>,
    servers: HashMap<ServerKey, Request>,
    /// The servers in the order in which they came, so that a sequence means the same each time.
    order: Vec<ServerKey>,
    sent: Vec<Transmit>,
    lookups: Vec<(u64, QuestionNumber)>,
    timers: Vec<TimerKey>,
    over: Vec<Key>,
}

const METHODS: [&str; 8] =
    ["INVITE", "BYE", "OPTIONS", "ACK", "CANCEL", "MESSAGE", "PRACK", "FROBNICATE"];
const BRANCHES: [&str; 7] = [
    ";branch=z9hG4bKa",
    ";branch=z9hG4bKb",
    ";branch=z9hG4bK",
    "",
    ";branch=1",
    ";rport;branch=z9hG4bKc",
    ";maddr=192.0.2.99;branch=z9hG4bKd",
];
const CODES: [u16; 12] = [100, 180, 183, 199, 200, 202, 302, 401, 408, 487, 503, 600];
const STEPS: [u64; 7] = [0, 1, 199, 500, 3_500, 32_000, 100_000];

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let local = |transport, addr: &str| {
            Local::new(ListenerId::new(0), transport, addr.parse().unwrap())
        };
        let locals = Locals::new([
            local(Transport::Udp, "192.0.2.1:5060"),
            local(Transport::Tcp, "192.0.2.1:5060"),
        ]);
        let config = Config::default().seed([1, 2]).transactions(24).timers_per_call(3);
        Self {
            now,
            endpoint: Endpoint::new(config, locals, now, Recorder::default()).unwrap(),
            clients: Vec::new(),
            servers: HashMap::new(),
            order: Vec::new(),
            sent: Vec::new(),
            lookups: Vec::new(),
            timers: Vec::new(),
            over: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, bytes: &mut Reader<'_>) {
        let now = self.now;
        match operation % 13 {
            0 | 1 => {
                let method = bytes.one_of(&METHODS).unwrap();
                let hop = hop(bytes);
                let Some(request) = outgoing(method, usize::from(bytes.byte()) * 8) else { return };
                let key = self.endpoint.with(now, |_, t| t.request(now, request, hop));
                self.clients.extend(key.ok());
            }
            2 => {
                let Some(key) = bytes.one_of(&self.clients) else { return };
                self.endpoint.with(now, |_, transactions| transactions.cancel(now, key));
            }
            3 => {
                let Some(key) = bytes.one_of(&self.order) else { return };
                self.respond(key, bytes.one_of(&CODES).unwrap());
            }
            4 | 5 => {
                let Some(index) = bytes.one_of(&Vec::from_iter(0..self.sent.len())) else { return };
                let code = bytes.one_of(&CODES).unwrap();
                let answer = answer(&self.sent[index].payload, code);
                let flow = flow(self.sent[index].destination.transport());
                self.receive(flow, answer.into_bytes());
            }
            6 | 7 => {
                let (flow, text) = incoming(bytes);
                self.receive(flow, text.into_bytes());
            }
            8 => {
                // Time passes: so long, or until the next timer.
                let step = match bytes.byte() {
                    255 => self
                        .endpoint
                        .poll_timeout()
                        .map_or(0, |next| next.saturating_duration_since(now).as_millis() as u64),
                    byte => STEPS[usize::from(byte) % STEPS.len()],
                };
                self.now += Duration::from_millis(step);
                for _ in 0..=bytes.byte() % 8 {
                    self.endpoint.handle_timeout(self.now);
                }
            }
            9 => {
                let Some(index) = bytes.one_of(&Vec::from_iter(0..self.sent.len())) else { return };
                let errors = [TransportError::Refused, TransportError::Closed];
                let error = bytes.one_of(&errors).unwrap();
                let sent = &self.sent[index];
                let (token, target) = (sent.token, Target::from(sent.destination));
                let payload = sent.payload.clone();
                self.endpoint
                    .handle_input(now, Input::SendFailed { token, target, error, payload });
            }
            10 => {
                let Some((id, number)) = bytes.one_of(&self.lookups) else { return };
                let host = |text: &str| Answer::Host(vec![text.parse().unwrap()]);
                let srv = Srv::new(0, 0, 5060, "host.example.com");
                let result = match bytes.byte() % 8 {
                    0 => Err(LookupError::Timeout),
                    1 => Ok(host("2001:db8::1")),
                    2 => Ok(Answer::Naptr(vec![Naptr::new(0, 0, "SIP+D2T", "_sip._tcp.d")])),
                    3 => Ok(Answer::Srv(vec![srv, Srv::new(0, 9, 5061, "192.0.2.2")])),
                    4 => Ok(host("192.0.2.2")),
                    // To a question of another kind: none.
                    _ => Ok(Answer::Host(Vec::new())),
                };
                self.endpoint.handle_input(now, Input::Resolved { id, number, result });
            }
            11 => {
                // A message with a byte changed: still most of a message.
                let (flow, text) = incoming(bytes);
                let mut text = text.into_bytes();
                let place = usize::from(bytes.byte()) * text.len() / 256;
                text[place] = bytes.byte();
                self.receive(flow, text);
            }
            _ => match bytes.byte() % 4 {
                0 => {
                    let after = Duration::from_millis(u64::from(bytes.byte()) * 100);
                    let timer = self.endpoint.with(now, |_, t| t.arm(now, after, 7));
                    self.timers.push(timer);
                }
                1 => {
                    let Some(timer) = bytes.one_of(&self.timers) else { return };
                    self.endpoint.with(now, |_, transactions| transactions.disarm(timer));
                }
                2 => {
                    let (Some(ack), hop) = (outgoing("ACK", 0), hop(bytes)) else { return };
                    self.endpoint.with(now, |_, t| t.send_request(now, ack, hop)).ok();
                }
                _ => {
                    let flow = flow(Transport::Tcp);
                    self.endpoint.handle_input(now, Input::Closed { flow, error: None });
                }
            },
        }
    }

    fn respond(&mut self, key: ServerKey, code: u16) {
        let Some(request) = self.servers.get(&key) else { return };
        let status = StatusCode::new(code).unwrap();
        let Ok(response) = Response::to_request(request, status).to_tag("us").build() else {
            return;
        };
        let now = self.now;
        let result = self.endpoint.with(now, |_, t| t.respond(now, key, response));
        assert_eq!(result, Ok(()), "a transaction that lives takes responses");
    }

    fn receive(&mut self, flow: Flow, payload: Vec<u8>) {
        let payload = Bytes::from(payload);
        let input = match flow.transport {
            Transport::Udp => Input::Datagram { flow, payload },
            _ => Input::Message { flow, payload },
        };
        self.endpoint.handle_input(self.now, input);
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let sent = Message::parse(transmit.payload.clone(), &Default::default());
                    // A refusal can only repeat what the refused request had.
                    let is_refusal = transmit.token <= u64::from(u32::MAX);
                    assert!(sent.unwrap().validate().is_ok() || is_refusal, "{transmit:?}");
                    self.sent.push(transmit);
                }
                Output::Resolve { id, number, .. } => self.lookups.push((id, number)),
                _ => {}
            }
        }
        for event in std::mem::take(&mut self.endpoint.user_mut().events) {
            let key = match &event {
                Event::Request { key, .. } | Event::Cancelled { key, .. } => Some(Key::from(*key)),
                Event::NoAck { key } | Event::Confirmed { key } => Some(Key::from(*key)),
                Event::Response { key, .. } | Event::Timeout { key } => Some(Key::from(*key)),
                Event::TransportError { key, .. } | Event::Terminated { key } => Some(*key),
                Event::Ack { key, .. } => key.map(Key::from),
                _ => None,
            };
            if let Some(key) = key {
                assert!(!self.over.contains(&key), "after its end: {event:?}");
            }
            match event {
                Event::Request { key, request, .. } => {
                    assert!(!matches!(request.method(), Method::Ack | Method::Cancel));
                    self.order.push(key);
                    assert!(self.servers.insert(key, request).is_none(), "a key given twice");
                }
                Event::Terminated { key } => {
                    self.over.push(key);
                    match key {
                        Key::Client(key) => {
                            assert!(self.clients.contains(&key), "an end without a beginning");
                            self.clients.retain(|live| *live != key);
                        }
                        Key::Server(key) => {
                            assert!(self.servers.remove(&key).is_some());
                            self.order.retain(|live| *live != key);
                        }
                    }
                }
                _ => {}
            }
        }
        // The layer's own CANCEL transactions come on top of those that the user knows.
        let stats = self.endpoint.stats();
        assert!(stats.live_clients >= self.clients.len());
        assert!(stats.live_servers >= self.servers.len());
        let live = stats.live_clients + stats.live_servers;
        // At most two timers a transaction, one a lookup and one a stray; none of something that is over.
        let most = 2 * live + stats.live_lookups + stats.live_strays + self.timers.len();
        assert!(stats.live_timers <= most, "{} timers of {live} transactions", stats.live_timers);
        assert!(self.endpoint.transactions().unfinished() <= live);
    }

    /// The user answers what it owes, and time passes: nothing is left.
    fn finish(&mut self) {
        for key in self.order.clone() {
            self.respond(key, 500);
            self.drain();
        }
        for _ in 0..4 {
            let now = self.now;
            for key in self.clients.clone() {
                self.endpoint.with(now, |_, transactions| transactions.cancel(now, key));
            }
            self.drain();
            while let Some(next) = self.endpoint.poll_timeout() {
                self.now = self.now.max(next);
                self.endpoint.handle_timeout(self.now);
                self.drain();
            }
        }
        let stats = self.endpoint.stats();
        let left = (stats.live_clients, stats.live_servers, stats.live_timers, stats.live_lookups);
        assert_eq!(left, (0, 0, 0, 0), "clients, servers, timers, lookups left");
        assert_eq!(stats.live_strays, 0);
        assert_eq!((self.clients.len(), self.servers.len()), (0, 0), "ends that were not told");
        assert_eq!(self.endpoint.transactions().unfinished(), 0);
    }
}

fn flow(transport: Transport) -> Flow {
    let (listener, connection) = match transport {
        Transport::Udp => (0, None),
        _ => (1, Some(ConnectionId::new(NonZeroU32::MIN))),
    };
    let remote = "192.0.2.2:5060".parse().unwrap();
    Flow { transport, listener: ListenerId::new(listener), connection, remote }
}

fn hop(bytes: &mut Reader<'_>) -> NextHop {
    let uri = |text: &str| NextHop::Uri(text.parse().unwrap());
    match bytes.byte() % 6 {
        0 => NextHop::Target(Target::new(Transport::Udp, "192.0.2.2:5060".parse().unwrap())),
        1 => NextHop::Target(Target::new(Transport::Tcp, "192.0.2.2:5060".parse().unwrap())),
        2 => NextHop::Flow(flow(Transport::Tcp)),
        3 => uri("sip:bob@example.com"),
        4 => uri("sip:[2001:db8::1]"),
        _ => uri("tel:110"),
    }
}

fn outgoing(method: &str, body: usize) -> Option<Request> {
    let text = format!(
        "{method} sip:bob@192.0.2.2 SIP/2.0\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@192.0.2.1>;tag=a1\r\nTo: <sip:bob@192.0.2.2>\r\nCall-ID: call-1\r\n\
         CSeq: 7 {method}\r\nContent-Length: {body}\r\n\r\n{}",
        "x".repeat(body)
    );
    Message::parse(Bytes::from(text), &Default::default()).ok()?.into_request()
}

fn incoming(bytes: &mut Reader<'_>) -> (Flow, String) {
    let method = bytes.one_of(&METHODS).unwrap();
    let branch = bytes.one_of(&BRANCHES).unwrap();
    let transport = bytes.one_of(&[Transport::Udp, Transport::Tcp]).unwrap();
    let tag = bytes.one_of(&["", ";tag=us"]).unwrap();
    let text = format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/{} 192.0.2.2{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@192.0.2.2>;tag=b1\r\nTo: <sip:alice@192.0.2.1>{tag}\r\n\
         Call-ID: call-2\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
        transport.as_str(),
        bytes.byte() % 2,
    );
    (flow(transport), text)
}

fn answer(request: &[u8], code: u16) -> String {
    let text = String::from_utf8_lossy(request);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let mut answer = format!("SIP/2.0 {code} Whatever\r\n");
    for line in head.split("\r\n").skip(1) {
        let name = line.split([':', ' ']).next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" => answer += &format!("{line}\r\n"),
            "to" if line.contains("tag=") => answer += &format!("{line}\r\n"),
            "to" => answer += &format!("{line};tag=us\r\n"),
            _ => {}
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}
