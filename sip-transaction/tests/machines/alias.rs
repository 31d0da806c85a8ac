//! The alias table of RFC 5923: which requests go back over a connection that the other side opened.

use core::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::Transport;
use sip_transaction::{Config, ConnectionReuse, Endpoint, NextHop, Output};
use sip_transport::locate::Zone;
use sip_transport::tls::Peer;
use sip_transport::{ConnectionId, Destination, Flow, Input, ListenerId, Local, Locals, Target};

use crate::script::{Recorder, header, incoming, outgoing};

const TLS: Transport = Transport::Tls;
const TCP: Transport = Transport::Tcp;

struct World {
    start: Instant,
    endpoint: Endpoint<Recorder>,
}

impl World {
    fn new(reuse: ConnectionReuse) -> Self {
        let of = |transport, addr: &str| {
            Local::new(ListenerId::new(0), transport, addr.parse().unwrap())
        };
        let locals = Locals::new([of(TLS, "192.0.2.1:5061"), of(TCP, "192.0.2.1:5060")]);
        let start = Instant::now();
        let config = Config::default().seed([1, 2]).connection_reuse(reuse);
        let endpoint = Endpoint::new(config, locals, start, Recorder::default()).unwrap();
        Self { start, endpoint }
    }

    /// A connection from an ephemeral port of the peer, which shows a certificate of these domains.
    fn connected(&mut self, transport: Transport, number: u32, domains: &[&str]) -> Flow {
        let connection = Some(ConnectionId::new(NonZeroU32::new(number).unwrap()));
        let listener = ListenerId::new(u16::from(transport == TCP));
        let remote = format!("192.0.2.2:{}", 49_000 + number).parse().unwrap();
        let flow = Flow { transport, listener, connection, remote };
        if !domains.is_empty() {
            let domains = domains.iter().map(|domain| (*domain).into());
            let peer = Arc::new(Peer::new(domains, Bytes::new()));
            self.endpoint.handle_input(self.start, Input::Authenticated { flow, peer });
        }
        flow
    }

    /// A request came over it whose Via has that sent-by and parameter.
    fn asked(&mut self, flow: Flow, sent_by: &str, param: &str) {
        let branch = format!("z9hG4bK{sent_by}{};rport{param}", flow.remote.port());
        let text = incoming("OPTIONS", &branch, "", flow.transport);
        let text = text.replace("192.0.2.2:5060;branch", &format!("{sent_by};branch"));
        let payload = Bytes::from(text);
        self.endpoint.handle_input(self.start, Input::Message { flow, payload });
        while self.endpoint.poll_output().is_some() {}
    }

    /// Where a request to that URI goes, and its Via.
    fn asks(&mut self, uri: &str) -> (Target, String) {
        let zone = Zone::default()
            .host("example.com", [192, 0, 2, 2].into())
            .host("example.net", [192, 0, 2, 2].into())
            .host("elsewhere.example.com", [192, 0, 2, 3].into());
        let (now, hop) = (self.start, NextHop::Uri(uri.parse().unwrap()));
        self.endpoint.with(now, |_, it| it.request(now, outgoing("OPTIONS"), hop)).unwrap();
        loop {
            match self.endpoint.poll_output().unwrap() {
                Output::Resolve { id, number, question } => {
                    let result = zone.answer(&question);
                    self.endpoint.handle_input(now, Input::Resolved { id, number, result });
                }
                Output::Transmit(transmit) => {
                    let Destination::Target(target) = transmit.destination else { panic!() };
                    let via = header(&transmit.payload, "Via")[0].to_owned();
                    return (target, via);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn connection(&mut self, uri: &str) -> Option<u32> {
        self.asks(uri).0.connection.map(ConnectionId::number)
    }
}

#[test]
fn a_request_goes_back_over_the_connection_of_who_is_of_its_domain() {
    for (case, domains, sent_by, param, uri, is_reused) in [
        (
            "as it should be",
            &["example.com"][..],
            "p1.example.com:5061",
            ";alias",
            "sips:example.com:5061",
            true,
        ),
        (
            "5061 if none is named",
            &["example.com"],
            "p1.example.com",
            ";alias",
            "sips:example.com",
            true,
        ),
        (
            "a transport parameter",
            &["example.com"],
            "p1",
            ";alias",
            "sip:example.com:5061;transport=tls",
            true,
        ),
        (
            "another of its domains",
            &["example.com", "example.net"],
            "p1",
            ";alias",
            "sips:example.net",
            true,
        ),
        ("in capitals", &["example.com"], "p1", ";alias", "sips:EXAMPLE.com", true),
        ("a subdomain", &["example.com"], "p1", ";alias", "sips:elsewhere.example.com", false),
        ("not of its domain", &["example.com"], "p1", ";alias", "sips:example.net", false),
        ("not at that port", &["example.com"], "p1:5071", ";alias", "sips:example.com", false),
        ("another port", &["example.com"], "p1:5071", ";alias", "sips:example.com:5071", true),
        ("no alias", &["example.com"], "p1", "", "sips:example.com", false),
        ("no certificate", &[], "p1", ";alias", "sips:example.com", false),
        ("an address proves nothing", &["example.com"], "p1", ";alias", "sips:192.0.2.2", false),
        (
            "another transport",
            &["example.com"],
            "p1",
            ";alias",
            "sip:example.com:5061;transport=tcp",
            false,
        ),
    ] {
        let mut world = World::new(ConnectionReuse::Authenticated);
        let flow = world.connected(TLS, 1, domains);
        world.asked(flow, sent_by, param);
        let expected = is_reused.then_some(1);
        assert_eq!(world.connection(uri), expected, "{case}");
    }
}

// RFC 5923 §6: "A connection sharing mechanism must prevent unauthorized hijacking of other connections."
#[test]
fn who_claims_the_address_of_another_gets_nothing_of_it() {
    let mut world = World::new(ConnectionReuse::Authenticated);
    let right = world.connected(TLS, 1, &["example.com"]);
    let wrong = world.connected(TLS, 2, &["example.net"]);
    world.asked(right, "p1.example.com", ";alias");
    // The same advertised address, later; and one with the right domain in its Via alone.
    world.asked(wrong, "p1.example.com", ";alias");
    assert_eq!(world.connection("sips:example.com"), Some(1));
    assert_eq!(world.connection("sips:example.net"), Some(2));
    // The sent-by names another host: it is the address that the connection came from which counts.
    world.asked(wrong, "elsewhere.example.com", ";alias");
    assert_eq!(world.connection("sips:elsewhere.example.com"), None);
}

#[test]
fn an_alias_ends_with_its_connection_and_the_newest_comes_first() {
    let mut world = World::new(ConnectionReuse::Authenticated);
    let first = world.connected(TLS, 1, &["example.com"]);
    let second = world.connected(TLS, 2, &["example.com"]);
    world.asked(first, "p1", ";alias");
    world.asked(second, "p1", ";alias");
    assert_eq!(world.connection("sips:example.com"), Some(2));
    world.endpoint.handle_input(world.start, Input::Closed { flow: second, error: None });
    assert_eq!(world.connection("sips:example.com"), Some(1));
    world.endpoint.handle_input(world.start, Input::Closed { flow: first, error: None });
    let (target, _) = world.asks("sips:example.com");
    assert_eq!((target.connection, target.remote), (None, "192.0.2.2:5061".parse().unwrap()));
}

#[test]
fn over_tcp_only_where_that_is_configured() {
    for (reuse, tls, tcp) in [
        (ConnectionReuse::Off, None, None),
        (ConnectionReuse::Authenticated, Some(1), None),
        (ConnectionReuse::Any, Some(1), Some(2)),
    ] {
        let mut world = World::new(reuse);
        let over_tls = world.connected(TLS, 1, &["example.com"]);
        let over_tcp = world.connected(TCP, 2, &[]);
        world.asked(over_tls, "p1", ";alias");
        world.asked(over_tcp, "p1:5070", ";alias");
        let (target, via) = world.asks("sips:example.com");
        assert_eq!(target.connection.map(ConnectionId::number), tls, "{reuse:?}");
        assert_eq!(via.contains(";alias"), tls.is_some(), "{via}");
        let (target, via) = world.asks("sip:example.com:5070;transport=tcp");
        assert_eq!(target.connection.map(ConnectionId::number), tcp, "{reuse:?}");
        assert_eq!(via.contains(";alias"), tcp.is_some(), "{via}");
    }
}

#[test]
fn who_listens_nowhere_offers_no_alias() {
    let addr = "192.0.2.1:0".parse().unwrap();
    let local = Local::new(ListenerId::new(0), TLS, addr).dial_only();
    let start = Instant::now();
    let config = Config::default().seed([1, 2]);
    let endpoint = Endpoint::new(config, Locals::new([local]), start, Recorder::default()).unwrap();
    let (_, via) = World { start, endpoint }.asks("sips:example.com");
    assert!(!via.contains("alias"), "{via}");
}
