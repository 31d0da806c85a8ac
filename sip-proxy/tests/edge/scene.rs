//! Phones that are plain transaction users, edges, and a home of example.com, where proxy and registrar are one.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_message::{
    HeaderName, Headers, Limits, Message, Method, Request, Response, StatusCode, Transport,
};
use sip_proxy::edge::{Addressed, Edge, EdgeKey, EdgeKeys, FlowTokens, Gruus};
use sip_proxy::{
    Aor, Binding, BindingChange, Proxy, ProxyConfig, ProxyEvent, Register, Registrar, Route, Router,
};
use sip_sim::{Either, Link, Listener, NatId, Network, NodeId};
use sip_transaction::{Config, Event, NextHop, ServerKey, TransactionUser, Transactions};
use sip_transport::{Flow, Target};

pub const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF";
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// Decides where a home's requests go; an edge has nobody.
pub struct Desk {
    gruus: Option<Gruus>,
    pub bindings: HashMap<Aor, Vec<Binding>>,
    start: Instant,
}

impl Desk {
    fn now(&self, now: Instant) -> Duration {
        EPOCH + now.duration_since(self.start)
    }
}

impl Router for Desk {
    fn route(&mut self, now: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        let addressed = Addressed::of(&request.uri().unwrap(), self.gruus.as_ref());
        let Some(addressed) = addressed else { return Route::reply(StatusCode::NOT_FOUND) };
        match self.bindings.get(addressed.aor()) {
            Some(bindings) => {
                addressed.route(bindings.iter().filter(|binding| binding.until() > self.now(now)))
            }
            None => Route::reply(StatusCode::NOT_FOUND),
        }
    }
}

/// An edge, or a home.
pub struct Server {
    pub proxy: Proxy<Desk>,
    /// What makes it a home.
    pub registrar: Option<Registrar>,
}

impl Server {
    pub fn bindings(&mut self) -> &mut HashMap<Aor, Vec<Binding>> {
        &mut self.proxy.router().bindings
    }

    fn register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
        flow: &Flow,
    ) {
        let at = self.proxy.router().now(now);
        let answer = self.registered(at, tx, request, flow).to_tag("home").build().unwrap();
        tx.respond(now, key, answer).unwrap();
    }

    fn registered(
        &mut self,
        at: Duration,
        tx: &Transactions,
        request: &Request,
        flow: &Flow,
    ) -> sip_message::ResponseBuilder {
        let registrar = self.registrar.as_ref().unwrap();
        let mut register = match Register::read(request) {
            Ok(register) => register,
            Err(refused) => return refused.answer(request),
        };
        let path = self.proxy.edge_mut().and_then(|edge| edge.path(request, flow, tx));
        if let Some(path) = &path {
            register = register.over(path);
        }
        let bindings = self.proxy.router().bindings.entry(register.aor().clone()).or_default();
        match registrar.apply(bindings, &register, at, 1) {
            Ok(change) => {
                bindings.clone_from(&change.bindings);
                change.answer(request, at)
            }
            Err(refused) => refused.answer(request),
        }
    }
}

impl TransactionUser for Server {
    type Event = ();

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        match event {
            Event::Request { key, request, flow }
                if *request.method() == Method::Register && self.registrar.is_some() =>
            {
                self.register(now, tx, key, &request, &flow);
            }
            event => self.proxy.handle(now, event, tx),
        }
        while let Some(event) = self.proxy.poll_event() {
            let at = self.proxy.router().now(now);
            if let ProxyEvent::FlowClosed { aors, token } = event {
                for aor in aors {
                    if let Some(bindings) = self.bindings().get_mut(&aor) {
                        *bindings = BindingChange::without_flow(bindings, &token, at).bindings;
                    }
                }
            }
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

pub fn edge_key() -> EdgeKey {
    EdgeKey::new(&[5; 32]).unwrap()
}

pub fn edge(node: &str, epoch: u32) -> Edge {
    Edge::new(FlowTokens::new(node, epoch, EdgeKeys::new(edge_key())).unwrap())
}

pub type Node = Either<Listener, Server>;

pub struct Scene {
    pub network: Network<Node>,
    heard: HashMap<NodeId, VecDeque<Event>>,
}

pub fn address(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 5060).into()
}

pub fn both(last: u8) -> [(Transport, SocketAddr); 2] {
    [(Transport::Udp, address(last)), (Transport::Tcp, address(last))]
}

/// To that host by TCP.
pub fn tcp(last: u8) -> NextHop {
    NextHop::Target(Target::new(Transport::Tcp, address(last)))
}

pub fn udp(last: u8) -> NextHop {
    NextHop::Target(Target::new(Transport::Udp, address(last)))
}

impl Scene {
    pub fn new() -> Self {
        let mut network = Network::new(5626, Link::default());
        network.record();
        Self { network, heard: HashMap::new() }
    }

    fn server(
        &mut self,
        at: &[(Transport, SocketAddr)],
        config: ProxyConfig,
        edge: Option<Edge>,
        registrar: Option<Registrar>,
    ) -> NodeId {
        let gruus = registrar.as_ref().and_then(|registrar| registrar.gruus.clone());
        let start = self.network.now();
        let desk = Desk { gruus, bindings: HashMap::new(), start };
        let mut proxy = Proxy::new(config, desk);
        if let Some(edge) = edge {
            proxy = proxy.with_edge(edge);
        }
        let server = Server { proxy, registrar };
        self.network.add(at, Config::default(), Either::B(server)).unwrap()
    }

    /// An edge at 192.0.2.LAST, for UDP and TCP.
    pub fn edge(&mut self, last: u8, edge: Edge) -> NodeId {
        self.server(&both(last), ProxyConfig::default(), Some(edge), None)
    }

    /// The home of example.com at 192.0.2.20, for UDP, TCP and WebSocket on another port; an edge as well if so told.
    pub fn home(&mut self, edge: Option<Edge>) -> NodeId {
        self.network.host("example.com", &[address(20).ip()]);
        let registrar = Registrar::default()
            .jitter(0)
            .gruus(Gruus::new(EdgeKeys::new(EdgeKey::new(&[6; 32]).unwrap())));
        let ws = (Transport::Ws, ([192, 0, 2, 20], 8080).into());
        let at = [both(20)[0], both(20)[1], ws];
        self.server(&at, ProxyConfig::default().domain("example.com"), edge, Some(registrar))
    }

    /// A phone at 192.0.2.LAST.
    pub fn phone(&mut self, last: u8) -> NodeId {
        self.network.add(&both(last), Config::default(), Either::A(Listener::default())).unwrap()
    }

    pub fn phone_behind(&mut self, nat: NatId, transport: Transport, ip: [u8; 4]) -> NodeId {
        let at = [(transport, (ip, 5060).into())];
        self.network
            .add_behind(nat, &at, Config::default(), Either::A(Listener::default()))
            .unwrap()
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            if let Either::A(event) = event {
                self.heard.entry(node).or_default().push_back(event);
            }
        }
    }

    /// Sends a request; whatever it leads to is done after this.
    pub fn send(&mut self, from: NodeId, text: &str, hop: NextHop) {
        let request = request(text);
        let sent = self.network.with(from, |now, _, tx| {
            if *request.method() == Method::Ack {
                tx.send_request(now, request, hop).map_err(|error| error.to_string())
            } else {
                tx.request(now, request, hop).map(|_| ()).map_err(|error| error.to_string())
            }
        });
        sent.unwrap().unwrap();
        self.run(Duration::from_secs(2));
    }

    /// The final response that came to a node.
    pub fn answer(&mut self, node: NodeId) -> Response {
        let heard = self.heard.entry(node).or_default();
        let is_final = |event: &Event| matches!(event, Event::Response { response, .. } if response.status().is_final());
        let at = heard.iter().position(is_final).expect("a final response");
        match heard.remove(at) {
            Some(Event::Response { response, .. }) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The request that came to a node, and the flow it came by.
    pub fn request(&mut self, node: NodeId) -> (ServerKey, Request, Flow) {
        let heard = self.heard.entry(node).or_default();
        let at = heard.iter().position(|event| matches!(event, Event::Request { .. }));
        match heard.remove(at.expect("a request")) {
            Some(Event::Request { key, request, flow }) => (key, request, flow),
            other => panic!("{other:?}"),
        }
    }

    pub fn ack(&mut self, node: NodeId) -> Request {
        let heard = self.heard.entry(node).or_default();
        let at = heard.iter().position(|event| matches!(event, Event::Ack { .. }));
        match heard.remove(at.expect("an ACK")) {
            Some(Event::Ack { request, .. }) => request,
            other => panic!("{other:?}"),
        }
    }

    pub fn heard_nothing(&self, node: NodeId) -> bool {
        let requests =
            |heard: &VecDeque<Event>| heard.iter().any(|it| matches!(it, Event::Request { .. }));
        !self.heard.get(&node).is_some_and(requests)
    }

    /// Answers a request with this status and these header fields.
    pub fn respond(
        &mut self,
        node: NodeId,
        (key, request): (ServerKey, &Request),
        status: u16,
        fields: &str,
    ) {
        let status = StatusCode::new(status).unwrap();
        let mut builder = Response::to_request(request, status).to_tag("callee");
        for field in fields.lines() {
            let (name, value) = field.split_once(": ").unwrap();
            builder = builder.raw(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        builder = builder.copy(request, HeaderName::RecordRoute);
        let response = builder.build().unwrap();
        self.network.with(node, |now, _, tx| tx.respond(now, key, response)).unwrap().unwrap();
        self.run(Duration::from_secs(2));
    }

    pub fn on<R>(
        &mut self,
        node: NodeId,
        command: impl FnOnce(&mut Server, &mut Transactions) -> R,
    ) -> R {
        let done = self.network.with(node, |_, node, tx| match node {
            Either::B(server) => command(server, tx),
            Either::A(_) => panic!("a phone"),
        });
        done.unwrap()
    }

    /// `2 > 11: INVITE`, from the last parts of the addresses; without what was seen already.
    pub fn ladder(&self, from: usize) -> Vec<String> {
        let last =
            |address: SocketAddr| address.ip().to_string().rsplit('.').next().unwrap().to_owned();
        let passages = self.network.passages().iter().skip(from);
        let shown = passages.map(|passage| {
            let message = Message::parse(passage.payload.clone(), &Limits::default()).unwrap();
            let what = match &message {
                Message::Request(request) => request.method().to_string(),
                Message::Response(response) => response.status().as_u16().to_string(),
            };
            format!("{} > {}: {what}", last(passage.from), last(passage.to))
        });
        let mut lines: Vec<String> = shown.filter(|line| !line.ends_with(": 100")).collect();
        // What is repeated over UDP until it is answered.
        lines.dedup();
        lines
    }

    pub fn passed(&self) -> usize {
        self.network.passages().len()
    }

    /// Everything ends, and nothing is left.
    pub fn finish(&mut self, servers: &[NodeId]) {
        self.run(Duration::from_secs(400));
        assert!(self.network.is_quiet());
        for server in servers {
            assert_eq!(
                self.on(*server, |server, tx| (server.proxy.live(), tx.len())),
                Default::default()
            );
        }
    }
}

/// A request as it is written in an RFC: what does not matter there is added.
pub fn request(text: &str) -> Request {
    let (line, fields) = text.trim().split_once('\n').unwrap();
    let method = line.split(' ').next().unwrap();
    let mut text = format!("{line}\r\n");
    for field in fields.lines() {
        text.push_str(&format!("{}\r\n", field.trim()));
    }
    let has = |name: &str| fields.lines().any(|field| field.trim().starts_with(name));
    if !has("CSeq") {
        text.push_str(&format!("CSeq: 1 {method}\r\n"));
    }
    if !has("Max-Forwards") {
        text.push_str("Max-Forwards: 70\r\n");
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    Message::parse(text.into(), &Limits::default()).unwrap().into_request().unwrap()
}

/// All values of a header field, as they are written.
pub fn values(headers: &Headers, name: HeaderName<'_>) -> Vec<String> {
    let rows = headers.raw_all(name).map(|row| String::from_utf8_lossy(row).into_owned());
    rows.flat_map(|row| row.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The user part of the first URI in `<>`.
pub fn user_of(value: &str) -> &str {
    value.split_once(':').unwrap().1.split_once('@').unwrap().0
}
