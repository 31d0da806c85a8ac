//! A proxy with several listeners: by which of them those on either side find it again (RFC 3261 §16.6 item 4,
//! RFC 5658).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Instant;

use sip_message::{HeaderName, Limits, Message, Method, Request, Transport, Uri};
use sip_proxy::{Proxy, ProxyConfig, Route, TlsRoute};
use sip_transaction::{Config, Endpoint, Output};
use sip_transport::{ConnectionId, Destination, Flow, Input, ListenerId, Local, Locals};

use crate::stage::{BOB, Decide, config, raw, reply, request};

const V4: u16 = 0;
const V6: u16 = 1;
const TLS: u16 = 2;

struct Doors {
    endpoint: Endpoint<Proxy<Decide>>,
    now: Instant,
}

impl Doors {
    fn new(config: ProxyConfig, target: &'static str) -> Self {
        let now = Instant::now();
        let decide: Decide = Box::new(move |_| Route::to(target.parse().unwrap()));
        let local = |id, transport, address: &str| {
            Local::new(ListenerId::new(id), transport, address.parse().unwrap())
        };
        let locals = Locals::new([
            local(V4, Transport::Udp, "192.0.2.1:5060"),
            local(V6, Transport::Udp, "[2001:db8::1]:5060"),
            local(TLS, Transport::Tls, "192.0.2.1:5061").with_sent_by("p.example.com:5061"),
        ]);
        let transactions = Config::default().seed([1, 2]);
        let proxy = Proxy::new(config, decide);
        Self { endpoint: Endpoint::new(transactions, locals, now, proxy).unwrap(), now }
    }

    /// What goes out when this comes in by that listener, each with where to.
    fn recv(&mut self, listener: u16, from: &str, text: &str) -> Vec<(SocketAddr, Message)> {
        let is_tls = listener == TLS;
        let flow = Flow {
            transport: if is_tls { Transport::Tls } else { Transport::Udp },
            listener: ListenerId::new(listener),
            connection: NonZeroU32::new(u32::from(is_tls)).map(ConnectionId::new),
            remote: from.parse().unwrap(),
        };
        let payload = text.as_bytes().to_vec().into();
        let input = if is_tls {
            Input::Message { flow, payload }
        } else {
            Input::Datagram { flow, payload }
        };
        self.endpoint.handle_input(self.now, input);
        let mut sent = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            let Output::Transmit(transmit) = output else { panic!("{output:?}") };
            let to = match transmit.destination {
                Destination::Flow(flow) => flow.remote,
                Destination::Target(target) => target.remote,
            };
            sent.push((to, Message::parse(transmit.payload, &Limits::default()).unwrap()));
        }
        sent
    }

    /// The request among what goes out.
    fn forwarded(&mut self, listener: u16, from: &str, text: &str) -> (SocketAddr, Request) {
        let mut requests =
            self.recv(listener, from, text).into_iter().filter_map(|(to, sent)| match sent {
                Message::Request(request) => Some((to, request)),
                Message::Response(_) => None,
            });
        requests.next().expect("a request")
    }
}

const ALICE: &str = "192.0.2.10:5060";

/// An INVITE of Alice's by that listener, to that URI.
fn recorded(config: ProxyConfig, by: u16, uri: &str, target: &'static str) -> Vec<String> {
    let text = request(&Method::Invite, uri, "");
    let text = if by == TLS { text.replace("SIP/2.0/UDP", "SIP/2.0/TLS") } else { text };
    let (_, invite) = Doors::new(config, target).forwarded(by, ALICE, &text);
    raw(invite.headers(), HeaderName::RecordRoute)
}

/// RFC 5658 §5, figure 3: each side finds the proxy by the addresses that it understands itself.
#[test]
fn a_dialog_across_address_families_comes_back_to_the_proxy_on_either_side() {
    let bob = "[2001:db8::33]:5060";
    let mut doors = Doors::new(config(), "sip:bob@[2001:db8::33]");
    let (to, invite) = doors.forwarded(V4, ALICE, &request(&Method::Invite, BOB, ""));
    assert_eq!(to, bob.parse().unwrap());
    let recorded = raw(invite.headers(), HeaderName::RecordRoute);
    assert_eq!(recorded, ["<sip:[2001:db8::1]:5060;lr>", "<sip:192.0.2.1:5060;lr>"]);
    let via = raw(invite.headers(), HeaderName::Via).remove(0);
    assert!(via.starts_with("SIP/2.0/UDP [2001:db8::1]:5060;"), "{via}");

    let contact = "Contact: <sip:bob@[2001:db8::33]>\r\n";
    let answers = doors.recv(V6, bob, &reply(&invite, 200, "b", contact));
    assert_eq!(answers[0].0, ALICE.parse().unwrap());

    // The route set of the caller is reversed; that of the callee is not.
    let ack = "Route: <sip:192.0.2.1:5060;lr>, <sip:[2001:db8::1]:5060;lr>\r\n";
    let ack = request(&Method::Ack, "sip:bob@[2001:db8::33]", ack).replace("alice;", "ack;");
    let (to, ack) = doors.forwarded(V4, ALICE, &ack);
    assert_eq!(to, bob.parse().unwrap());
    assert!(!ack.headers().contains(HeaderName::Route));

    let bye = "Route: <sip:[2001:db8::1]:5060;lr>, <sip:192.0.2.1:5060;lr>\r\n";
    let bye = request(&Method::Bye, "sip:alice@192.0.2.10", bye)
        .replace("192.0.2.10:5060;branch=z9hG4bKalice", "[2001:db8::33]:5060;branch=z9hG4bKbob");
    let (to, bye) = doors.forwarded(V6, bob, &bye);
    assert_eq!(to, ALICE.parse().unwrap());
    assert!(!bye.headers().contains(HeaderName::Route));
    let via = raw(bye.headers(), HeaderName::Via).remove(0);
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;"), "{via}");
}

/// RFC 5658 §6.2: as everybody reads it, and the two ways that it allows.
#[test]
fn what_leaves_by_tls_is_recorded_as_it_was_configured() {
    let bob = "sip:bob@192.0.2.33:5061;transport=tls";
    for (way, uri) in [
        (TlsRoute::Parameter, "<sip:p.example.com:5061;transport=tls;lr>"),
        (TlsRoute::Sips, "<sips:p.example.com:5061;lr>"),
        (TlsRoute::Name, "<sip:p.example.com;lr>"),
    ] {
        let recorded = recorded(config().tls_route(way), V4, BOB, bob);
        assert_eq!(recorded, [uri, "<sip:192.0.2.1:5060;lr>"], "{way:?}");
    }
}

/// Each of the three is taken off again as the proxy's own.
#[test]
fn a_route_of_either_kind_is_known_again() {
    for way in [TlsRoute::Parameter, TlsRoute::Sips, TlsRoute::Name] {
        let config = || config().tls_route(way);
        let recorded = recorded(config(), V4, BOB, "sip:bob@192.0.2.33:5061;transport=tls");
        let routes = format!("Route: {}\r\n", recorded.join(", "));
        let bye = request(&Method::Bye, "sip:alice@192.0.2.10", &routes)
            .replace("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/TLS 192.0.2.33:5061");
        let (to, bye) = Doors::new(config(), BOB).forwarded(TLS, "192.0.2.33:40000", &bye);
        assert_eq!(to, ALICE.parse().unwrap(), "{way:?}");
        assert!(!bye.headers().contains(HeaderName::Route), "{way:?}");
    }
}

/// RFC 3261 §16.6 item 4: where a call changes between TLS and something else the proxy stays in its path, whether
/// it does otherwise or not.
#[test]
fn a_call_that_comes_or_leaves_by_tls_alone_is_recorded_always() {
    let out = || config().record_route(false);
    // Comes by TLS, and is for no SIPS URI: by one that is none either.
    let uris = recorded(out(), TLS, BOB, "sip:bob@192.0.2.33");
    assert_eq!(uris, ["<sip:192.0.2.1:5060;lr>", "<sip:p.example.com:5061;transport=tls;lr>"]);
    // Comes by UDP, and is for a SIPS URI: by one that is one as well, of the one listener that has TLS.
    let sips = "sips:bob@example.com";
    assert_eq!(recorded(out(), V4, sips, "sips:bob@192.0.2.33"), ["<sips:p.example.com:5061;lr>"]);
    // Neither changes.
    assert!(recorded(out(), V4, BOB, "sip:bob@192.0.2.33").is_empty());
    assert!(recorded(out(), TLS, sips, "sips:bob@192.0.2.33").is_empty());
}

/// Every URI that is recorded leads to the listener that it names, by RFC 3263 alone.
#[test]
fn what_is_recorded_resolves_to_the_proxy() {
    for (by, target) in
        [(V4, "sip:bob@192.0.2.33"), (V4, "sip:bob@[2001:db8::33]"), (TLS, "sip:bob@192.0.2.33")]
    {
        for value in recorded(config(), by, BOB, target) {
            let route = sip_message::values::<sip_message::Route<'_>>(value.as_bytes());
            let uri: Uri<'static> = route.flatten().next().unwrap().uri().to_static();
            let host = uri.host_str().unwrap().to_owned();
            assert!(
                ["192.0.2.1", "[2001:db8::1]", "2001:db8::1", "p.example.com"].contains(&&*host)
            );
            let transport = uri.transport();
            let port = uri.port().unwrap();
            assert_eq!(port == 5061, transport == Some(Transport::Tls), "{uri}");
            assert!(uri.lr() && uri.is_sip(), "{uri}");
        }
    }
}
