//! What the simulated network does to what is sent over it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip_message::{CSeq, CallId, From, Method, Request, Response, StatusCode, To, Transport, Uri};
use sip_sim::{AddError, Fate, Link, Listener, Network, NodeId};
use sip_transaction::{Config, Event, NextHop};
use sip_transport::Target;
use sip_transport::locate::{Srv, Zone};

const SECOND: Duration = Duration::from_secs(1);

fn address(node: u8) -> SocketAddr {
    ([192, 0, 2, node], 5060).into()
}

/// Two nodes that listen on both transports.
fn pair(seed: u64, link: Link) -> (Network<Listener>, NodeId, NodeId) {
    let mut network = Network::new(seed, link);
    let [one, two] = [1, 2].map(|node| {
        let both = [(Transport::Udp, address(node)), (Transport::Tcp, address(node))];
        network.add(&both, Config::default(), Listener::default()).unwrap()
    });
    (network, one, two)
}

fn options(number: u32) -> Request {
    let bob: Uri<'static> = "sip:bob@192.0.2.2".parse().unwrap();
    let alice = "sip:alice@192.0.2.1".parse().unwrap();
    Request::builder(Method::Options, &bob)
        .header(&From::new(&alice).with_tag("1").unwrap())
        .header(&To::new(&bob))
        .header(&CallId::new(&format!("{number}@192.0.2.1")).unwrap())
        .header(&CSeq::new(1, Method::Options).unwrap())
        .build()
        .unwrap()
}

fn ask(network: &mut Network<Listener>, from: NodeId, number: u32, hop: NextHop) {
    let key = network.with(from, |now, _, tx| tx.request(now, options(number), hop));
    key.expect("the node is there").expect("the request is taken");
}

fn by(transport: Transport) -> NextHop {
    NextHop::Target(Target::new(transport, address(2)))
}

/// Runs until `until`, answers what `two` is asked with 200, and gives the Call-IDs in the order in
/// which they came to it, those to which `one` got a 200, and how many transactions of it failed.
fn serve(network: &mut Network<Listener>, two: NodeId, until: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    let until = network.now() + until;
    while let Some((node, event)) = network.next_event(until) {
        match event {
            Event::Request { key, request, .. } => {
                assert_eq!(node, two);
                outcome.asked.push(request.headers().call_id().unwrap().to_owned());
                let ok = Response::to_request(&request, StatusCode::OK).to_tag("2").build();
                let sent = network.with(node, |now, _, tx| tx.respond(now, key, ok.unwrap()));
                sent.unwrap().unwrap();
            }
            Event::Response { response, .. } if response.status() == StatusCode::OK => {
                outcome.answered.push(response.headers().call_id().unwrap().to_owned());
            }
            Event::Timeout { .. } => outcome.timed_out += 1,
            Event::TransportError { .. } => outcome.errors += 1,
            _ => {}
        }
    }
    outcome
}

#[derive(Debug, Default)]
struct Outcome {
    asked: Vec<String>,
    answered: Vec<String>,
    timed_out: u32,
    errors: u32,
}

#[test]
fn a_clean_link_delivers_once_after_its_delay() {
    let (mut network, one, two) = pair(1, Link::default().with_delay(Duration::from_millis(40)));
    network.record();
    ask(&mut network, one, 1, by(Transport::Udp));
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!((outcome.asked.len(), outcome.answered.len()), (1, 1));
    let passed: Vec<_> = network.passages().iter().map(|p| (p.at, p.from, p.fate)).collect();
    let at = Duration::from_millis;
    assert_eq!(passed, [(at(40), address(1), Fate::Arrived), (at(80), address(2), Fate::Arrived)]);
    assert!(network.is_quiet());
    assert_eq!(network.elapsed(), 60 * SECOND);
    assert_eq!(
        network.passages()[0].to_string(),
        "    40.000 ms UDP 192.0.2.1:5060 -> 192.0.2.2:5060: OPTIONS sip:bob@192.0.2.2 SIP/2.0"
    );
}

#[test]
fn what_is_lost_is_counted_and_sent_again_by_the_transactions() {
    let (mut network, one, two) = pair(2, Link::default().with_loss(0.5));
    for number in 0..200 {
        ask(&mut network, one, number, by(Transport::Udp));
    }
    let outcome = serve(&mut network, two, 60 * SECOND);
    let counts = network.counts();
    let part = counts.lost as f64 / counts.sent as f64;
    assert!((0.45..0.55).contains(&part), "{counts:?}");
    // Eleven tries of a quarter each: a few of 200 may fail, most must not.
    assert!(outcome.answered.len() >= 180, "{}", outcome.answered.len());
    assert_eq!(outcome.answered.len() + outcome.timed_out as usize, 200);
}

#[test]
fn doubles_reach_the_transaction_layer_and_no_further() {
    let (mut network, one, two) = pair(3, Link::default().with_duplication(1.0));
    ask(&mut network, one, 1, by(Transport::Udp));
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!((outcome.asked.len(), outcome.answered.len()), (1, 1));
    assert!(network.counts().doubled >= 2);
    assert_eq!(network.counts().arrived, network.counts().sent + network.counts().doubled);
}

#[test]
fn jitter_reorders_datagrams_and_not_streams() {
    let jitter = Link::default().with_jitter(Duration::from_millis(200));
    for (transport, in_order) in [(Transport::Udp, false), (Transport::Tcp, true)] {
        let (mut network, one, two) = pair(4, jitter);
        for number in 0..50 {
            ask(&mut network, one, number, by(transport));
        }
        let outcome = serve(&mut network, two, 60 * SECOND);
        assert_eq!(outcome.answered.len(), 50, "{transport:?}");
        let numbers: Vec<u32> =
            outcome.asked.iter().map(|id| id.split('@').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers.is_sorted(), in_order, "{transport:?}: {numbers:?}");
    }
}

#[test]
fn a_stream_loses_time_where_a_datagram_is_lost() {
    let (mut network, one, two) = pair(5, Link::default().with_loss(1.0));
    network.record();
    ask(&mut network, one, 1, by(Transport::Tcp));
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!(outcome.answered.len(), 1);
    assert_eq!(network.passages()[0].at, Duration::from_millis(201));
}

#[test]
fn a_partition_keeps_everything_until_it_heals() {
    let (mut network, one, two) = pair(6, Link::default());
    network.part(one, two);
    ask(&mut network, one, 1, by(Transport::Udp));
    ask(&mut network, one, 2, by(Transport::Tcp));
    let outcome = serve(&mut network, two, SECOND);
    assert!(outcome.asked.is_empty());
    assert_eq!(outcome.errors, 1, "no connection comes about");
    assert!(network.counts().parted >= 2);
    network.heal(one, two);
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!(outcome.answered, ["1@192.0.2.1"]);
}

#[test]
fn a_partition_breaks_streams() {
    let (mut network, one, two) = pair(7, Link::default());
    ask(&mut network, one, 1, by(Transport::Tcp));
    assert_eq!(serve(&mut network, two, SECOND).answered.len(), 1);
    network.part(one, two);
    let until = network.now() + SECOND;
    let mut closed = Vec::new();
    while let Some((node, event)) = network.next_event(until) {
        if matches!(event, Event::Closed { .. }) {
            closed.push(node);
        }
    }
    closed.sort();
    assert_eq!(closed, [one, two]);
}

#[test]
fn an_address_that_nobody_has_refuses_streams_and_swallows_datagrams() {
    let (mut network, one, two) = pair(8, Link::default());
    network.record();
    for transport in [Transport::Udp, Transport::Tcp] {
        let hop = NextHop::Target(Target::new(transport, address(9)));
        ask(&mut network, one, 1, hop);
    }
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!((outcome.errors, outcome.timed_out), (1, 1));
    assert!(network.passages().iter().all(|passage| passage.fate == Fate::Nowhere));
}

#[test]
fn names_resolve_to_what_they_were_given() {
    let (mut network, one, two) = pair(9, Link::default());
    network.host("bob.example.com", &[IpAddr::from([192, 0, 2, 2])]);
    ask(&mut network, one, 1, NextHop::Uri("sip:bob@Bob.example.com".parse().unwrap()));
    ask(&mut network, one, 2, NextHop::Uri("sip:bob@nowhere.example.com".parse().unwrap()));
    let outcome = serve(&mut network, two, 60 * SECOND);
    assert_eq!((outcome.answered.len(), outcome.errors), (1, 1));
}

#[test]
fn a_domain_with_a_dead_first_server_is_served_by_the_second() {
    let (mut network, one, two) = pair(13, Link::default());
    let service = "_sip._udp.example.com";
    let zone = Zone::default()
        .srv(service, Srv::new(1, 0, 5060, "dead.example.com"))
        .srv(service, Srv::new(2, 0, 5060, "live.example.com"))
        .host("dead.example.com", address(9).ip())
        .host("live.example.com", address(2).ip());
    network.set_zone(zone);
    let hop = || NextHop::Uri("sip:example.com".parse().unwrap());
    ask(&mut network, one, 1, hop());
    // Timer F ends the first attempt: RFC 3261 gives it 64·T1.
    let outcome = serve(&mut network, two, 31 * SECOND);
    assert_eq!(outcome.answered.len(), 0);
    let outcome = serve(&mut network, two, 2 * SECOND);
    assert_eq!((outcome.answered.len(), outcome.errors, outcome.timed_out), (1, 0, 0));
    // From now on the live one comes first.
    ask(&mut network, one, 2, hop());
    let outcome = serve(&mut network, two, SECOND);
    assert_eq!(outcome.answered.len(), 1);
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let run = |seed| {
        let link = Link::default()
            .with_loss(0.2)
            .with_duplication(0.05)
            .with_jitter(Duration::from_millis(200));
        let (mut network, one, two) = pair(seed, link);
        for number in 0..50 {
            ask(&mut network, one, number, by(Transport::Udp));
        }
        serve(&mut network, two, 60 * SECOND);
        (network.digest(), network.counts())
    };
    assert_eq!(run(10), run(10));
    assert_ne!(run(10).0, run(11).0);
}

#[test]
fn an_address_has_one_node() {
    let (mut network, _, _) = pair(12, Link::default());
    let taken = [(Transport::Tcp, address(2))];
    let refused = network.add(&taken, Config::default(), Listener::default()).unwrap_err();
    let AddError::AddressTaken { address: at, .. } = refused else { panic!("{refused}") };
    assert_eq!(at, address(2));
}
