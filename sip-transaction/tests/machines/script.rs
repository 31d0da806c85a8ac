//! Scripts: what goes in at which time, and what comes out of it, in full.
//!
//! ```text
//! script! {
//!     client over udp
//!     at    0 ms  from_tu INVITE  => send INVITE
//!     at  500 ms                  => send INVITE
//!     at  600 ms  recv 486        => send ACK, to_tu 486
//!     at 32.6 s                   => ended
//! }
//! ```
//!
//! A line without an input says that a timer fires then. Between the lines nothing may happen; after
//! the last one nothing may ever happen, and no transaction and no timer may be left.
//!
//! Inputs: `from_tu METHOD` (a request), `from_tu CODE` (a response), `from_tu cancel`; `recv CODE`, `recv METHOD`
//! (the same request again if it was received before; the ACK as it belongs to a response other than
//! 2xx), `recv ACK_2xx` (with a branch of its own); `transport_error` (of what was sent last), `refused` (the
//! connection for it). Outcomes: `send WHAT`, `to_tu WHAT`, `ended`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{Message, Method, Request, Response, Transport};
use sip_transaction::{
    ClientKey, Config, Endpoint, Event, Key, NextHop, Output, ServerKey, TransactionUser,
    Transactions,
};
use sip_transport::{
    ConnectionId, Destination, Flow, Input, ListenerId, Local, Locals, Target, Transmit,
    TransportError,
};

/// See the page of this module.
#[macro_export]
macro_rules! script {
    ($side:ident over $transport:ident with $config:block $($line:tt)*) => {
        $crate::script::Run::with(stringify!($transport), $config).play(stringify!($($line)*))
    };
    ($side:ident over $transport:ident $($line:tt)*) => {
        $crate::script::Run::new(stringify!($transport)).play(stringify!($($line)*))
    };
}

/// A transaction user that only remembers.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) events: VecDeque<Event>,
}

impl TransactionUser for Recorder {
    type Event = Event;

    fn handle(&mut self, _now: Instant, event: Event, _transactions: &mut Transactions) {
        self.events.push_back(event);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

pub(crate) const US: &str = "192.0.2.1:5060";
pub(crate) const PEER: &str = "192.0.2.2:5060";

pub(crate) fn locals() -> Locals {
    let of = |transport| Local::new(ListenerId::new(0), transport, US.parse().unwrap());
    Locals::new([of(Transport::Udp), of(Transport::Tcp)])
}

pub(crate) fn peer() -> SocketAddr {
    PEER.parse().unwrap()
}

/// The flow by which the peer sends.
pub(crate) fn flow(transport: Transport) -> Flow {
    let (listener, connection) = match transport {
        Transport::Udp => (0, None),
        _ => (1, Some(ConnectionId::new(core::num::NonZeroU32::MIN))),
    };
    Flow { transport, listener: ListenerId::new(listener), connection, remote: peer() }
}

pub(crate) fn input(transport: Transport, text: &str) -> Input {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    match transport {
        Transport::Udp => Input::Datagram { flow: flow(transport), payload },
        _ => Input::Message { flow: flow(transport), payload },
    }
}

pub(crate) fn request(text: &str) -> Request {
    match Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Default::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}\n{text}"),
    }
}

pub(crate) fn response(text: &str) -> Response {
    match Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Default::default()) {
        Ok(Message::Response(response)) => response,
        other => panic!("no response: {other:?}\n{text}"),
    }
}

/// A request of ours, without a Via.
pub(crate) fn outgoing(method: &str) -> Request {
    request(&format!(
        "{method} sip:bob@192.0.2.2 SIP/2.0\r\nMax-Forwards: 70\r\n\
         Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r\nRoute: <sip:p3.example.com;lr>\r\n\
         From: Alice <sip:alice@192.0.2.1>;tag=a1\r\nTo: Bob <sip:bob@192.0.2.2>\r\n\
         Call-ID: call-1@192.0.2.1\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// A request of the peer.
pub(crate) fn incoming(method: &str, branch: &str, to_tag: &str, transport: Transport) -> String {
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/{} 192.0.2.2:5060;branch={branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@192.0.2.2>;tag=b1\r\nTo: <sip:alice@192.0.2.1>{to_tag}\r\n\
         Call-ID: call-2@192.0.2.2\r\nCSeq: 9 {method}\r\nContent-Length: 0\r\n\r\n",
        transport.as_str()
    )
}

/// The peer's answer to a request that we sent.
pub(crate) fn answer(request: &[u8], code: u16, tag: &str) -> String {
    let text = std::str::from_utf8(request).unwrap();
    let mut answer = format!("SIP/2.0 {code} Whatever\r\n");
    for line in text.split("\r\n").skip(1) {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" => answer += &format!("{line}\r\n"),
            "To" if code > 100 && !line.contains("tag=") => {
                answer += &format!("{line};tag={tag}\r\n");
            }
            "To" => answer += &format!("{line}\r\n"),
            _ => {}
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}

pub(crate) fn header<'a>(message: &'a [u8], name: &str) -> Vec<&'a str> {
    let text = std::str::from_utf8(message).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

pub(crate) struct Run {
    pub(crate) start: Instant,
    pub(crate) endpoint: Endpoint<Recorder>,
    pub(crate) transport: Transport,
    pub(crate) client: Option<ClientKey>,
    /// The last transaction that the peer began, and all that live.
    pub(crate) server: Option<ServerKey>,
    pub(crate) servers: Vec<ServerKey>,
    /// Everything sent, in order.
    pub(crate) sent: Vec<Transmit>,
    /// What came with `Event::Request`, to answer it.
    pub(crate) received: Option<Request>,
    pub(crate) other_outputs: Vec<Output>,
}

impl Run {
    pub(crate) fn new(transport: &str) -> Self {
        Self::with(transport, Config::default())
    }

    pub(crate) fn with(transport: &str, config: Config) -> Self {
        let start = Instant::now();
        let config = config.seed([1, 2]);
        Self {
            start,
            endpoint: Endpoint::new(config, locals(), start, Recorder::default()).unwrap(),
            transport: transport.parse().unwrap(),
            client: None,
            server: None,
            servers: Vec::new(),
            sent: Vec::new(),
            received: None,
            other_outputs: Vec::new(),
        }
    }

    pub(crate) fn play(mut self, script: &str) -> Self {
        for line in lines(script) {
            self.line(&line);
        }
        self.assert_over();
        self
    }

    /// Nothing more happens, and nothing is left.
    pub(crate) fn assert_over(&mut self) {
        let end = self.endpoint.poll_timeout();
        let late = self.advance(Duration::from_secs(100_000), true);
        assert_eq!(
            late,
            [] as [String; 0],
            "after the script ended, at {:?}",
            end.map(|e| e - self.start)
        );
        self.assert_empty();
    }

    pub(crate) fn assert_empty(&self) {
        let stats = self.endpoint.stats();
        let live = (stats.live_clients, stats.live_servers, stats.live_timers, stats.live_lookups);
        assert_eq!(live, (0, 0, 0, 0), "clients, servers, timers, lookups left");
    }

    fn line(&mut self, line: &Line) {
        let early = self.advance(line.at, line.input.is_none());
        let (mut happened, when) = match &line.input {
            None => (early, line.at),
            Some(input) => {
                assert_eq!(early, [] as [String; 0], "before {line:?}");
                (self.input(line.at, input), line.at)
            }
        };
        let mut expected = line.outcome.clone();
        // What is sent and what is told leave by different doors.
        expected.sort_by_key(|what| !what.starts_with("send"));
        happened.sort_by_key(|what| !what.starts_with("send"));
        assert_eq!(happened, expected, "at {when:?}: {line:?}");
        if self.endpoint.transactions().is_empty() {
            assert_eq!(self.endpoint.transactions().timers(), 0, "timers of nobody after {line:?}");
        }
    }

    /// Lets the time pass; what happened. Each outcome before the end is marked with its time.
    fn advance(&mut self, until: Duration, inclusive: bool) -> Vec<String> {
        let end = self.start + until;
        let mut happened = Vec::new();
        while let Some(next) = self.endpoint.poll_timeout() {
            if next > end || next == end && !inclusive {
                break;
            }
            self.endpoint.handle_timeout(next);
            let mark =
                if next < end { format!(" at {:?}", next - self.start) } else { String::new() };
            happened.extend(self.drain().into_iter().map(|what| what + &mark));
        }
        happened
    }

    pub(crate) fn input(&mut self, at: Duration, input_words: &[String]) -> Vec<String> {
        let now = self.start + at;
        let words: Vec<&str> = input_words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["from_tu", "cancel"] => {
                let key = self.client.unwrap();
                self.endpoint.with(now, |_, transactions| transactions.cancel(now, key));
            }
            ["from_tu", what] => match what.parse::<u16>() {
                Ok(code) => {
                    let (key, request) = (self.server.unwrap(), self.received.as_ref().unwrap());
                    let bytes = request.to_bytes();
                    let response = response(&answer(&bytes, code, "us"));
                    self.endpoint
                        .with(now, |_, transactions| transactions.respond(now, key, response))
                        .unwrap();
                }
                Err(_) => {
                    let (request, transport) = (outgoing(what), self.transport);
                    let hop = NextHop::Target(Target::new(transport, peer()));
                    let key = self
                        .endpoint
                        .with(now, |_, transactions| transactions.request(now, request, hop));
                    self.client = Some(key.unwrap());
                }
            },
            ["recv", "ACK_2xx"] => {
                let ack = incoming("ACK", "z9hG4bK-2xx", ";tag=us", self.transport);
                self.endpoint.handle_input(now, input(self.transport, &ack));
            }
            ["recv", what] => {
                let text = match what.parse::<u16>() {
                    Ok(code) => {
                        let is_request = |sent: &&Transmit| {
                            !sent.payload.starts_with(b"SIP/2.0")
                                && !sent.payload.starts_with(b"ACK")
                                && !sent.payload.starts_with(b"CANCEL")
                        };
                        let request = self.sent.iter().rfind(is_request).unwrap();
                        answer(&request.payload, code, "them")
                    }
                    Err(_) => {
                        let tag = if *what == "ACK" { ";tag=us" } else { "" };
                        incoming(what, "z9hG4bK-1", tag, self.transport)
                    }
                };
                self.endpoint.handle_input(now, input(self.transport, &text));
            }
            ["transport_error"] => self.fail(now, TransportError::Closed),
            ["refused"] => self.fail(now, TransportError::Refused),
            other => panic!("no such input: {other:?}"),
        }
        self.drain()
    }

    fn fail(&mut self, now: Instant, error: TransportError) {
        let last = self.sent.last().unwrap();
        let (token, target) = (last.token, Target::from(last.destination));
        let payload = last.payload.clone();
        assert_ne!(token, 0, "nobody asked for news of this message");
        self.endpoint.handle_input(now, Input::SendFailed { token, target, error, payload });
    }

    pub(crate) fn drain(&mut self) -> Vec<String> {
        let mut happened = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    happened.push(format!("send {}", what(&transmit.payload)));
                    assert_eq!(transmit.destination.remote().ip(), peer().ip());
                    self.sent.push(transmit);
                }
                Output::Resolve { .. } => {
                    happened.push("resolve".into());
                    self.other_outputs.push(output);
                }
                Output::Close(_) => {
                    happened.push("close".into());
                    self.other_outputs.push(output);
                }
                Output::Blame(_) => happened.push("blame".into()),
                _ => panic!("unknown output"),
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            happened.push(match event {
                Event::Request { key, request, .. } => {
                    self.server = Some(key);
                    self.servers.push(key);
                    let told = format!("to_tu {}", request.method());
                    self.received = Some(request);
                    told
                }
                Event::Ack { .. } => "to_tu ACK".into(),
                Event::Cancelled { key, request } => {
                    assert_eq!((Some(key), request.method()), (self.server, &Method::Cancel));
                    "to_tu cancelled".into()
                }
                Event::Response { key, response, .. } => {
                    assert_eq!(Some(key), self.client);
                    format!("to_tu {}", response.status().as_u16())
                }
                Event::Timeout { key } => {
                    assert_eq!(Some(key), self.client);
                    "to_tu timeout".into()
                }
                Event::Confirmed { key } => {
                    assert_eq!(Some(key), self.server);
                    "to_tu confirmed".into()
                }
                Event::NoAck { key } => {
                    assert_eq!(Some(key), self.server);
                    "to_tu no_ack".into()
                }
                Event::TransportError { .. } => "to_tu transport_error".into(),
                Event::Terminated { key: Key::Client(key) } => {
                    assert_eq!(Some(key), self.client);
                    "ended".into()
                }
                Event::Terminated { key: Key::Server(key) } => {
                    assert!(self.servers.contains(&key), "an end without a beginning");
                    self.servers.retain(|live| *live != key);
                    "ended".into()
                }
                Event::Timer { token } => format!("to_tu timer{token}"),
                Event::Closed { .. } => "to_tu closed".into(),
                _ => panic!("unknown event"),
            });
        }
        happened
    }

    /// The messages sent that are of this method or status.
    pub(crate) fn sent_as(&self, kind: &str) -> Vec<&[u8]> {
        let payloads = self.sent.iter().map(|sent| sent.payload.as_ref());
        payloads.filter(|payload| what(payload) == kind).collect()
    }

    /// Where all messages went.
    pub(crate) fn destinations(&self) -> Vec<Destination> {
        self.sent.iter().map(|sent| sent.destination).collect()
    }
}

/// The method of a request, the status of a response.
pub(crate) fn what(message: &[u8]) -> &str {
    let text = std::str::from_utf8(message).unwrap();
    let mut words = text.split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or_default(),
        first => first.unwrap_or_default(),
    }
}

#[derive(Debug)]
struct Line {
    at: Duration,
    input: Option<Vec<String>>,
    outcome: Vec<String>,
}

fn lines(script: &str) -> Vec<Line> {
    let spaced = script.replace(',', " , ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words
        .split(|word| *word == "at")
        .filter(|words| !words.is_empty())
        .map(|words| {
            let [number, unit, rest @ ..] = words else { panic!("a time after `at`: {words:?}") };
            let number: f64 = number.parse().unwrap_or_else(|_| panic!("a time: {words:?}"));
            let at = match *unit {
                "ms" => Duration::from_micros((number * 1_000.0).round() as u64),
                "s" => Duration::from_micros((number * 1_000_000.0).round() as u64),
                other => panic!("a unit of time: {other}"),
            };
            let arrow = rest.iter().position(|word| *word == "=>").expect("an arrow");
            let (input, outcome) = (&rest[..arrow], &rest[arrow + 1..]);
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            Line {
                at,
                input: (!input.is_empty()).then(|| owned(input)),
                outcome: outcome
                    .split(|word| *word == ",")
                    .map(|words| words.join(" "))
                    .filter(|what| what != "nothing" && !what.is_empty())
                    .collect(),
            }
        })
        .collect()
}
