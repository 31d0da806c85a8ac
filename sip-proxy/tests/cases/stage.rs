//! A proxy at 192.0.2.1 that serves example.com, and scripted peers at 192.0.2.N.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_message::{
    HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport, Uri,
};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent, Route};
use sip_transaction::{Config, Endpoint, Output};
use sip_transport::{Destination, Flow, Input, ListenerId, Local, Locals, TransportError};

pub type Decide = Box<dyn FnMut(&Request) -> Route>;

pub const BOB: &str = "sip:bob@example.com";

pub struct Stage {
    pub endpoint: Endpoint<Proxy<Decide>>,
    now: Instant,
    pub sent: Vec<(u8, Message)>,
    /// Peers that cannot be reached.
    pub gone: Vec<u8>,
}

/// `sip:bob@192.0.2.LAST`.
pub fn phone(last: u8) -> Uri<'static> {
    format!("sip:bob@192.0.2.{last}").parse().unwrap()
}

pub fn config() -> ProxyConfig {
    ProxyConfig::default().domain("example.com")
}

fn address(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 5060).into()
}

impl Stage {
    pub fn new(decide: impl FnMut(&Request) -> Route + 'static) -> Self {
        Self::with(config(), decide)
    }

    pub fn with(config: ProxyConfig, decide: impl FnMut(&Request) -> Route + 'static) -> Self {
        let now = Instant::now();
        let decide: Decide = Box::new(decide);
        let locals = Locals::new([Local::new(ListenerId::new(0), Transport::Udp, address(1))]);
        let transactions = Config::default().seed([1, 2]);
        let proxy = Proxy::new(config, decide);
        let endpoint = Endpoint::new(transactions, locals, now, proxy).unwrap();
        Self { endpoint, now, sent: Vec::new(), gone: Vec::new() }
    }

    /// To phones 11, 12 and on at the same time.
    pub fn parallel(phones: u8) -> Self {
        Self::new(move |_| Route::parallel((0..phones).map(|index| phone(11 + index))))
    }

    /// A message comes in from a peer: what goes out at once, each as `INVITE > 11` or `180 > 10`; of responses to
    /// another method than INVITE also that.
    pub fn recv(&mut self, from: u8, text: impl AsRef<[u8]>) -> Vec<String> {
        let flow = Flow {
            transport: Transport::Udp,
            listener: ListenerId::new(0),
            connection: None,
            remote: address(from),
        };
        let payload = text.as_ref().to_vec().into();
        self.endpoint.handle_input(self.now, Input::Datagram { flow, payload });
        self.drain()
    }

    /// Time passes: what goes out meanwhile.
    pub fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut lines = self.drain();
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            lines.extend(self.drain());
        }
        self.now = end;
        lines
    }

    fn drain(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            let transmit = match output {
                Output::Transmit(transmit) => transmit,
                // Nothing that a peer sees.
                Output::Blame(_) => continue,
                other => panic!("{other:?}"),
            };
            let remote = match transmit.destination {
                Destination::Flow(flow) => flow.remote,
                Destination::Target(target) => target.remote,
            };
            let SocketAddr::V4(remote) = remote else { panic!("{remote}") };
            let to = remote.ip().octets()[3];
            let message = Message::parse(transmit.payload.clone(), &Limits::default()).unwrap();
            if self.gone.contains(&to) {
                let target = sip_transport::Target::new(Transport::Udp, address(to));
                let input = Input::SendFailed {
                    token: transmit.token,
                    target,
                    error: TransportError::Refused,
                    payload: transmit.payload,
                };
                self.endpoint.handle_input(self.now, input);
                continue;
            }
            lines.push(format!("{} > {to}", name_of(&message)));
            self.sent.push((to, message));
        }
        lines
    }

    /// Alice, at 192.0.2.10, calls Bob; with more header fields.
    pub fn invite(&mut self, more: &str) -> Vec<String> {
        self.recv(10, request(&Method::Invite, BOB, more))
    }

    /// Alice gives up.
    pub fn cancel(&mut self) -> Vec<String> {
        self.recv(10, request(&Method::Cancel, BOB, ""))
    }

    /// The last request of that method that went to a peer.
    pub fn request(&self, to: u8, method: &Method) -> Request {
        let mut requests = self.sent.iter().rev().filter_map(|(at, message)| match message {
            Message::Request(request) if *at == to && request.method() == method => Some(request),
            _ => None,
        });
        requests.next().expect("a request").clone()
    }

    /// The last response of that status that went to a peer.
    pub fn response(&self, to: u8, status: u16) -> Response {
        let mut responses = self.sent.iter().rev().filter_map(|(at, message)| match message {
            Message::Response(response) if *at == to && response.status().as_u16() == status => {
                Some(response)
            }
            _ => None,
        });
        responses.next().expect("a response").clone()
    }

    /// A peer answers its last request of that method.
    pub fn answer_to(&mut self, from: u8, method: &Method, status: u16, more: &str) -> Vec<String> {
        let text = reply(&self.request(from, method), status, &format!("t{from}"), more);
        self.recv(from, text)
    }

    /// A peer answers its INVITE.
    pub fn answer(&mut self, from: u8, status: u16) -> Vec<String> {
        self.answer_to(from, &Method::Invite, status, "")
    }

    pub fn events(&mut self) -> Vec<ProxyEvent> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// Lets all timers end: nothing is left.
    pub fn finish(mut self) {
        self.wait(Duration::from_secs(400));
        assert_eq!(self.endpoint.user().live(), Default::default());
        assert_eq!(self.endpoint.transactions().len(), 0);
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}

fn name_of(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method().to_string(),
        Message::Response(response) => {
            let status = response.status().as_u16();
            match response.headers().cseq().unwrap().method() {
                Method::Invite => status.to_string(),
                other => format!("{status} {other}"),
            }
        }
    }
}

/// A request of Alice's: each has the same branch, as an INVITE with its CANCEL and the ACK to its refusal do.
pub fn request(method: &Method, uri: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKalice\r\n\
         {more}From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: 1@192.0.2.10\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:alice@192.0.2.10>\r\nContent-Length: 0\r\n\r\n",
        method = method.as_str(),
    )
}

/// A response to a request, as it is on the wire.
pub fn reply(request: &Request, status: u16, tag: &str, more: &str) -> String {
    let response = Response::to_request(request, StatusCode::new(status).unwrap()).to_tag(tag);
    let bytes = response.build().unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.replacen("CSeq:", &format!("{more}CSeq:"), 1)
}

pub fn raw(headers: &sip_message::Headers, name: HeaderName<'_>) -> Vec<String> {
    let values = headers.raw_all(name);
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}
