//! Sequences of operations on a proxy that is an edge as well, read from bytes: any bytes are some sequence. Both the
//! property test and the fuzz target run them.
//!
//! Whatever happens: nothing panics; what is sent can be read, and a request among it has as many copies as the
//! breadth allows and no more; and when whoever stands above has decided what it owes and time has passed, nothing is
//! left.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{
    Contact, HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport, Uri,
};
use sip_proxy::edge::{Edge, EdgeKey, EdgeKeys, FlowTokens, PathPolicy};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent, ProxyOptions, Reply, Route, RouteTarget, Router};
use sip_transaction::{Config, Endpoint, Load, NextHop, Output, ServerKey, Transactions};
use sip_transport::locate::{Answer, LookupError, QuestionNumber};
use sip_transport::{
    ConnectionId, Flow, Input, ListenerId, Local, Locals, Target, Transmit, TransportError,
};

/// Most of what one request may become at a time (`Max-Breadth`), here.
const BREADTH: u32 = 4;

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

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> Option<T> {
        let byte = usize::from(self.byte());
        choices.get(byte.checked_rem(choices.len())?).cloned()
    }
}

/// Decides by the user part.
struct ByUser;

impl Router for ByUser {
    fn route(&mut self, _: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        let uri = request.uri().ok();
        decide(uri.as_ref().and_then(Uri::user).unwrap_or_default())
    }
}

fn decide(user: &str) -> Route {
    let phone = |last: u8| -> Uri<'static> { format!("sip:p@192.0.2.{last}").parse().unwrap() };
    match user {
        "one" => Route::to(phone(2)),
        "both" => Route::parallel([phone(2), phone(3)]),
        "many" => Route::parallel((2..12).map(phone)),
        "each" => Route::serial([phone(2), phone(3)]),
        "further" => {
            let options = ProxyOptions::default().recurse(true).record_route(true);
            Route::parallel([phone(2), phone(3)]).with_options(options)
        }
        "stateless" => Route::to(phone(2)).with_options(ProxyOptions::default().stateless(true)),
        "self" => Route::to("sip:self@example.com".parse().unwrap()),
        "named" => Route::to("sips:p@peer.example".parse().unwrap()),
        "tcp" => Route::groups(vec![vec![RouteTarget::new(phone(2)).over(NextHop::Flow(flow(1)))]]),
        "asked" => Route::Later,
        "here" => Route::Process,
        "moved" => Route::Redirect(vec![Contact::new(&phone(9))]),
        "dropped" => Route::Drop,
        "nobody" => Route::parallel([]),
        _ => Route::Reply(Reply::new(StatusCode::NOT_FOUND).header("Reason", "Q.850;cause=1")),
    }
}

struct World {
    now: Instant,
    endpoint: Endpoint<Proxy<ByUser>>,
    /// What waits for a decision, and what is to be answered by those above the proxy.
    asked: Vec<ServerKey>,
    owed: Vec<(ServerKey, Arc<Request>)>,
    sent: Vec<Transmit>,
    lookups: Vec<(u64, QuestionNumber)>,
    /// Routes that were seen in what was sent: flow tokens are among them.
    routes: Vec<String>,
}

const METHODS: [&str; 8] =
    ["INVITE", "INVITE", "BYE", "OPTIONS", "ACK", "CANCEL", "REGISTER", "FROBNICATE"];
const USERS: [&str; 16] = [
    "one",
    "both",
    "many",
    "each",
    "further",
    "stateless",
    "self",
    "named",
    "tcp",
    "asked",
    "here",
    "moved",
    "dropped",
    "nobody",
    "%00",
    "",
];
const HOSTS: [&str; 6] = [
    "example.com",
    "192.0.2.1",
    "192.0.2.1:5061",
    "elsewhere.example",
    "[2001:db8::9]",
    "192.0.2.3",
];
const BRANCHES: [&str; 5] = [
    ";branch=z9hG4bKa",
    ";branch=z9hG4bKb;rport",
    ";branch=1",
    "",
    ";maddr=192.0.2.99;branch=z9hG4bKd",
];
const ROUTES: [&str; 9] = [
    "",
    "Route: <sip:192.0.2.1;lr>\r\n",
    "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.3;lr>\r\n",
    "Route: <sip:strict@192.0.2.3>\r\n",
    "Route: <sip:192.0.2.1;transport=tcp;lr>, <sip:192.0.2.1;lr>\r\n",
    "Route: <sip:f~AAAA@192.0.2.1;lr;ob>\r\n",
    "Route: <sip:f~@192.0.2.1;lr>\r\n",
    "Route: <sips:192.0.2.1;lr>\r\n",
    "Route: nonsense\r\n",
];
const MORE: [&str; 14] = [
    "",
    "Max-Forwards: 0\r\n",
    "Max-Forwards: 1\r\n",
    "Max-Forwards: 999\r\n",
    "Max-Breadth: 1\r\n",
    "Max-Breadth: 0\r\n",
    "Proxy-Require: foo\r\n",
    "Request-Disposition: no-fork, sequential, no-recurse\r\n",
    "Accept-Contact: *;audio;require;explicit\r\nReject-Contact: *;video\r\n",
    "Supported: outbound, path, 199\r\nContact: <sip:c@192.0.2.77;ob>;reg-id=1;+sip.instance=\"<urn:x:1>\"\r\n",
    "Supported: path\r\nContact: <sip:c@192.0.2.77>;expires=60\r\n",
    "Require: 100rel\r\n",
    "Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKx;oc;oc-algo=\"loss\"\r\n",
    "Resource-Priority: esnet.0\r\nIdentity: x\r\n",
];
const CODES: [u16; 18] =
    [100, 180, 183, 199, 200, 202, 302, 305, 401, 407, 408, 430, 481, 487, 500, 503, 600, 603];
const STEPS: [u64; 7] = [0, 1, 199, 500, 3_500, 32_000, 200_000];

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let local = |listener, transport, addr: &str| {
            Local::new(ListenerId::new(listener), transport, addr.parse().unwrap())
        };
        let locals = Locals::new([
            local(0, Transport::Udp, "192.0.2.1:5060"),
            local(1, Transport::Tcp, "192.0.2.1:5060"),
            local(2, Transport::Udp, "[2001:db8::1]:5060"),
        ]);
        let config = ProxyConfig::default()
            .domain("example.com")
            .max_breadth(BREADTH)
            .max_contexts(12)
            .record_route(true);
        let keys = EdgeKeys::new(EdgeKey::new(&[7; 32]).unwrap());
        let tokens = FlowTokens::new("a", 1, keys).unwrap();
        let edge = Edge::new(tokens).path_policy(PathPolicy::Always);
        let edge = edge.node("b", "sip:192.0.2.4;lr".parse().unwrap());
        let proxy = Proxy::new(config, ByUser).with_edge(edge);
        let transactions = Config::default().seed([1, 2]).transactions(32).overload_control(true);
        Self {
            now,
            endpoint: Endpoint::new(transactions, locals, now, proxy).unwrap(),
            asked: Vec::new(),
            owed: Vec::new(),
            sent: Vec::new(),
            lookups: Vec::new(),
            routes: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, bytes: &mut Reader<'_>) {
        let now = self.now;
        match operation % 13 {
            0..=2 => {
                let (flow, text) = self.incoming(bytes);
                self.receive(flow, text.into_bytes());
            }
            3..=5 => {
                let Some(sent) = bytes.one_of(&self.sent) else { return };
                let code = bytes.one_of(&CODES).unwrap();
                let tag = bytes.byte() % 3;
                let Some(answer) = answer(&sent.payload, code, tag) else { return };
                self.receive(
                    flow(u8::from(sent.destination.transport() != Transport::Udp)),
                    answer,
                );
            }
            6 => {
                // What was sent comes back, as it was or with a byte changed.
                let Some(sent) = bytes.one_of(&self.sent) else { return };
                let mut text = sent.payload.to_vec();
                let place = usize::from(bytes.byte()) * text.len() / 256;
                if bytes.byte() % 2 == 1 {
                    text[place] = bytes.byte();
                }
                self.receive(flow(bytes.byte()), text);
            }
            7 => {
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
            8 => {
                let Some(sent) = bytes.one_of(&self.sent) else { return };
                let error =
                    bytes.one_of(&[TransportError::Refused, TransportError::Closed]).unwrap();
                let (token, target) = (sent.token, Target::from(sent.destination));
                let payload = sent.payload;
                self.endpoint
                    .handle_input(now, Input::SendFailed { token, target, error, payload });
            }
            9 => {
                let Some((id, number)) = bytes.one_of(&self.lookups) else { return };
                let result = match bytes.byte() % 3 {
                    0 => Err(LookupError::Timeout),
                    1 => Ok(Answer::Host(vec![
                        "192.0.2.5".parse().unwrap(),
                        "2001:db8::5".parse().unwrap(),
                    ])),
                    _ => Ok(Answer::Host(Vec::new())),
                };
                self.endpoint.handle_input(now, Input::Resolved { id, number, result });
            }
            10 => {
                let Some(key) = bytes.one_of(&self.asked) else { return };
                self.asked.retain(|waiting| *waiting != key);
                let route = decide(bytes.one_of(&USERS).unwrap());
                self.endpoint.with(now, |proxy, tx| proxy.routed(now, tx, key, route));
            }
            11 => {
                let Some((key, request)) = bytes.one_of(&self.owed) else { return };
                self.respond(key, &request, bytes.one_of(&CODES).unwrap());
            }
            _ => match bytes.byte() % 3 {
                0 => self.endpoint.handle_input(now, Input::Closed { flow: flow(1), error: None }),
                1 => {
                    let mut load = Load::default();
                    load.busy = f64::from(bytes.byte()) / 255.0;
                    self.endpoint.with(now, |proxy, tx| proxy.sample(now, tx, load));
                }
                _ => {
                    let (flow, text) = self.incoming(bytes);
                    let mut text = text.into_bytes();
                    let place = usize::from(bytes.byte()) * text.len() / 256;
                    text[place] = bytes.byte();
                    self.receive(flow, text);
                }
            },
        }
    }

    fn incoming(&self, bytes: &mut Reader<'_>) -> (Flow, String) {
        let method = bytes.one_of(&METHODS).unwrap();
        let (user, host) = (bytes.one_of(&USERS).unwrap(), bytes.one_of(&HOSTS).unwrap());
        let flow = flow(bytes.byte());
        let route = match bytes.byte() {
            byte @ 0..=127 => ROUTES[usize::from(byte) % ROUTES.len()].to_owned(),
            _ => {
                bytes.one_of(&self.routes).map_or_else(String::new, |it| format!("Route: {it}\r\n"))
            }
        };
        let more = format!("{}{}", bytes.one_of(&MORE).unwrap(), bytes.one_of(&MORE).unwrap());
        let at = if user.is_empty() { "" } else { "@" };
        let text = format!(
            "{method} sip:{user}{at}{host} SIP/2.0\r\nVia: SIP/2.0/{} {}{}\r\n{route}{more}\
             From: <sip:alice@192.0.2.10>;tag=a\r\nTo: <sip:{user}{at}{host}>{}\r\n\
             Call-ID: call-{}\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
            flow.transport.as_str(),
            flow.remote,
            bytes.one_of(&BRANCHES).unwrap(),
            bytes.one_of(&["", ";tag=b"]).unwrap(),
            bytes.byte() % 2,
            bytes.byte() % 2,
        );
        (flow, text)
    }

    fn respond(&mut self, key: ServerKey, request: &Request, code: u16) {
        let status = StatusCode::new(code).unwrap();
        let response = Response::to_request(request, status).to_tag("us").build().unwrap();
        if code >= 200 {
            self.owed.retain(|(owed, _)| *owed != key);
        }
        let now = self.now;
        // A transaction that is gone needs no answer.
        let _ = self.endpoint.with(now, |_, tx| tx.respond(now, key, response));
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
        let mut requests = 0;
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let sent = Message::parse(transmit.payload.clone(), &Limits::default());
                    let sent = sent.expect("what is sent can be read");
                    requests += u32::from(
                        matches!(&sent, Message::Request(it) if *it.method() != Method::Cancel),
                    );
                    for name in [HeaderName::RecordRoute, HeaderName::Path, HeaderName::Route] {
                        let seen = sent.headers().raw_all(name);
                        self.routes.extend(seen.map(|it| String::from_utf8_lossy(it).into_owned()));
                    }
                    let begin = self.routes.len().saturating_sub(16);
                    self.routes.drain(..begin);
                    self.sent.push(transmit);
                    let begin = self.sent.len().saturating_sub(64);
                    self.sent.drain(..begin);
                }
                Output::Resolve { id, number, .. } => self.lookups.push((id, number)),
                _ => {}
            }
        }
        // One operation is one message, one decision, or up to eight timers of each of the transactions.
        assert!(requests <= 8 * 32 * BREADTH, "{requests} at once");
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                ProxyEvent::Routing { key, .. } => self.asked.push(key),
                ProxyEvent::Process { key, request, .. } => self.owed.push((key, request)),
                ProxyEvent::Cancelled { key } => {
                    let owed = self.owed.iter().find(|(owed, _)| *owed == key).cloned();
                    if let Some((key, request)) = owed {
                        self.respond(key, &request, 487);
                    }
                }
                _ => {}
            }
        }
        let live = self.endpoint.user().live();
        let stats = self.endpoint.stats();
        assert!(live.contexts <= 12, "{live:?}");
        assert!(live.branches <= stats.live_clients, "{live:?} of {stats:?}");
    }

    /// What is owed is decided and answered, and time passes: nothing is left.
    fn finish(&mut self) {
        let now = self.now;
        for key in std::mem::take(&mut self.asked) {
            let route = Route::reply(StatusCode::NOT_FOUND);
            self.endpoint.with(now, |proxy, tx| proxy.routed(now, tx, key, route));
            self.drain();
        }
        // Ringing for as long as Timer C lets it, each branch after the other.
        for _ in 0..1_000 {
            for (key, request) in self.owed.clone() {
                self.respond(key, &request, 500);
            }
            self.drain();
            let Some(next) = self.endpoint.poll_timeout() else { break };
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.endpoint.poll_timeout(), None, "it comes to no end");
        let stats = self.endpoint.stats();
        let left = (stats.live_clients, stats.live_servers, stats.live_timers, stats.live_lookups);
        assert_eq!(left, (0, 0, 0, 0), "clients, servers, timers, lookups left");
        assert_eq!(self.endpoint.user().live(), Default::default());
    }
}

/// By UDP from one of three peers, or by one of two connections.
fn flow(number: u8) -> Flow {
    let number = number % 5;
    let connection = match number {
        0 | 3 | 4 => None,
        _ => NonZeroU32::new(number.into()).map(ConnectionId::new),
    };
    let (transport, listener, remote) = match number {
        1 | 2 => (Transport::Tcp, 1, format!("192.0.2.{}:40000", 1 + number)),
        3 => (Transport::Udp, 2, "[2001:db8::3]:5060".to_owned()),
        _ => (Transport::Udp, 0, format!("192.0.2.{}:5060", 2 + number)),
    };
    let remote = remote.parse().unwrap();
    Flow { transport, listener: ListenerId::new(listener), connection, remote }
}

/// The answer to a request that was sent.
fn answer(request: &[u8], code: u16, tag: u8) -> Option<Vec<u8>> {
    let request = Message::parse(Bytes::copy_from_slice(request), &Limits::default()).ok()?;
    let request = request.into_request()?;
    let status = StatusCode::new(code).unwrap();
    let builder = Response::to_request(&request, status).to_tag(&format!("t{tag}"));
    let builder = match code {
        300..=399 => {
            builder.raw(HeaderName::Contact, "<sip:p@192.0.2.8>, <sip:one@example.com>;q=0.5")
        }
        401 => builder.raw(HeaderName::WwwAuthenticate, "Digest realm=\"a\", nonce=\"b\""),
        407 => builder.raw(HeaderName::ProxyAuthenticate, "Digest realm=\"c\", nonce=\"d\""),
        503 => builder.raw(HeaderName::RetryAfter, "5"),
        _ => builder,
    };
    Some(builder.build().ok()?.to_bytes().to_vec())
}
