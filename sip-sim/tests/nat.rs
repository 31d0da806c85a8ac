//! Nodes behind NAT boxes: what they reach, and what reaches them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::net::SocketAddr;
use std::time::Duration;

use sip_message::{CSeq, CallId, From, Method, Request, Response, StatusCode, To, Transport, Uri};
use sip_sim::{Fate, Link, Listener, Nat, NatId, NatKind, Network, NodeId};
use sip_transaction::{Config, Event, NextHop};
use sip_transport::{Flow, Target};

const SECOND: Duration = Duration::from_secs(1);
const OUTER: [u8; 4] = [203, 0, 113, 1];

/// A server on the public side, another one beside it, and a phone behind a box.
struct Scene {
    network: Network<Listener>,
    nat: NatId,
    phone: NodeId,
    server: NodeId,
    other: NodeId,
    requests: u32,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It came by this flow, and its answer came back.
    Answered(Flow),
    Lost,
    /// The transport refused it.
    Failed,
}

impl Scene {
    fn new(nat: Nat) -> Self {
        let mut network = Network::new(11, Link::default());
        let nat = network.add_nat(nat);
        let both = |at: &str| {
            let at: SocketAddr = at.parse().unwrap();
            [(Transport::Udp, at), (Transport::Tcp, at)]
        };
        let mut add = |at| network.add(&both(at), Config::default(), Listener::default()).unwrap();
        let (server, other) = (add("192.0.2.1:5060"), add("192.0.2.2:5060"));
        let phone = network
            .add_behind(nat, &both("10.0.0.2:5060"), Config::default(), Listener::default())
            .unwrap();
        Self { network, nat, phone, server, other, requests: 0 }
    }

    /// A node sends a request, and whoever gets it answers it.
    fn ask(&mut self, from: NodeId, hop: NextHop) -> Outcome {
        self.requests += 1;
        let number = self.requests;
        let uri: Uri<'static> = "sip:you@example.com".parse().unwrap();
        let request = Request::builder(Method::Options, &uri)
            .header(&From::new(&uri).with_tag("1").unwrap())
            .header(&To::new(&uri))
            .header(&CallId::new(&format!("{number}")).unwrap())
            .header(&CSeq::new(1, Method::Options).unwrap())
            .build()
            .unwrap();
        let sent = self.network.with(from, |now, _, tx| tx.request(now, request, hop));
        sent.unwrap().unwrap();
        let end = self.network.now() + 3 * SECOND;
        let mut came_by = None;
        while let Some((node, event)) = self.network.next_event(end) {
            match event {
                Event::Request { key, request, flow } => {
                    came_by = Some(flow);
                    let ok = Response::to_request(&request, StatusCode::OK).to_tag("2");
                    let ok = ok.build().unwrap();
                    self.network.with(node, |now, _, tx| tx.respond(now, key, ok));
                }
                Event::Response { .. } => return Outcome::Answered(came_by.unwrap()),
                Event::TransportError { .. } => return Outcome::Failed,
                _ => {}
            }
        }
        Outcome::Lost
    }

    fn answered(&mut self, from: NodeId, hop: NextHop) -> Flow {
        match self.ask(from, hop) {
            Outcome::Answered(flow) => flow,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass in which nobody sends a request.
    fn wait(&mut self, seconds: u32) {
        let end = self.network.now() + SECOND * seconds;
        while self.network.next_event(end).is_some() {}
    }
}

fn to(transport: Transport, remote: &str) -> NextHop {
    NextHop::Target(Target::new(transport, remote.parse().unwrap()))
}

#[test]
fn a_request_from_behind_a_box_comes_from_its_outer_address_and_is_answered_there() {
    for kind in NatKind::ALL {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut scene = Scene::new(Nat::new(kind, OUTER.into()));
            let flow = scene.answered(scene.phone, to(transport, "192.0.2.1:5060"));
            assert_eq!(flow.remote.ip(), SocketAddr::from((OUTER, 0)).ip(), "{kind:?}");
        }
    }
}

#[test]
fn who_sends_to_the_flow_reaches_the_phone_as_long_as_the_mapping_lives() {
    for kind in NatKind::ALL {
        let mut scene = Scene::new(Nat::new(kind, OUTER.into()));
        let flow = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
        scene.wait(28);
        let back = scene.answered(scene.server, NextHop::Flow(flow));
        assert_eq!(back.remote, "192.0.2.1:5060".parse().unwrap());
        // The phone's answer has refreshed the mapping.
        scene.wait(25);
        scene.answered(scene.server, NextHop::Flow(flow));
        scene.wait(31);
        assert_eq!(scene.ask(scene.server, NextHop::Flow(flow)), Outcome::Lost, "{kind:?}");
        assert!(scene.network.counts().blocked > 0);
        // The address that the phone has behind the box means nothing outside.
        let inside = to(Transport::Udp, "10.0.0.2:5060");
        assert_eq!(scene.ask(scene.server, inside), Outcome::Lost);
    }
}

#[test]
fn a_stranger_reaches_the_phone_through_a_full_cone_only() {
    for kind in NatKind::ALL {
        let mut scene = Scene::new(Nat::new(kind, OUTER.into()));
        let flow = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
        let there = NextHop::Target(Target::new(Transport::Udp, flow.remote));
        let outcome = scene.ask(scene.other, there);
        assert_eq!(matches!(outcome, Outcome::Answered(_)), kind == NatKind::FullCone);
        // No box lets a connection in.
        let there = NextHop::Target(Target::new(Transport::Tcp, flow.remote));
        assert_eq!(scene.ask(scene.other, there), Outcome::Failed);
    }
}

#[test]
fn a_rebooted_box_has_forgotten_the_flow() {
    let mut scene = Scene::new(Nat::new(NatKind::FullCone, OUTER.into()));
    let before = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
    scene.network.reboot(scene.nat);
    assert_eq!(scene.ask(scene.server, NextHop::Flow(before)), Outcome::Lost);
    let after = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
    assert_ne!(before.remote, after.remote);
}

#[test]
fn a_silent_stream_is_forgotten_and_only_who_sends_learns_of_it() {
    for from_inside in [true, false] {
        let nat = Nat::new(NatKind::PortRestricted, OUTER.into());
        let mut scene = Scene::new(nat.with_stream_timeout(60 * SECOND));
        let by_tcp = to(Transport::Tcp, "192.0.2.1:5060");
        let flow = scene.answered(scene.phone, by_tcp.clone());
        scene.wait(50);
        assert_eq!(scene.answered(scene.phone, by_tcp.clone()), flow, "the same connection");
        scene.wait(50);
        scene.answered(scene.server, NextHop::Flow(flow));
        scene.wait(61);
        let (from, hop) =
            if from_inside { (scene.phone, by_tcp) } else { (scene.server, NextHop::Flow(flow)) };
        assert_eq!(scene.ask(from, hop), Outcome::Failed);
        // The phone opens another; the server has none to the phone until then.
        if from_inside {
            let again = scene.answered(scene.phone, to(Transport::Tcp, "192.0.2.1:5060"));
            assert_ne!(again.connection, flow.connection);
        } else {
            assert_eq!(scene.ask(scene.server, NextHop::Flow(flow)), Outcome::Failed);
        }
    }
}

#[test]
fn two_behind_one_box_meet_directly_and_by_its_outer_address_if_it_turns_round() {
    for hairpin in [true, false] {
        let nat = Nat::new(NatKind::FullCone, OUTER.into());
        let mut scene = Scene::new(if hairpin { nat.with_hairpin() } else { nat });
        let at: SocketAddr = "10.0.0.3:5060".parse().unwrap();
        let at = [(Transport::Udp, at)];
        let second =
            scene.network.add_behind(scene.nat, &at, Config::default(), Listener::default());
        let second = second.unwrap();
        let direct = scene.answered(second, to(Transport::Udp, "10.0.0.2:5060"));
        assert_eq!(direct.remote, "10.0.0.3:5060".parse().unwrap());

        let flow = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
        let outside = NextHop::Target(Target::new(Transport::Udp, flow.remote));
        let outcome = scene.ask(second, outside);
        assert_eq!(matches!(outcome, Outcome::Answered(_)), hairpin);
    }
}

#[test]
fn two_boxes_may_have_the_same_addresses_behind_them() {
    let mut scene = Scene::new(Nat::new(NatKind::Symmetric, OUTER.into()));
    let other_box = scene.network.add_nat(Nat::new(NatKind::Symmetric, [203, 0, 113, 2].into()));
    let at: SocketAddr = "10.0.0.2:5060".parse().unwrap();
    let at = [(Transport::Udp, at)];
    let namesake =
        scene.network.add_behind(other_box, &at, Config::default(), Listener::default()).unwrap();
    let taken = scene.network.add_behind(other_box, &at, Config::default(), Listener::default());
    assert!(taken.is_err());
    scene.network.record();
    let one = scene.answered(scene.phone, to(Transport::Udp, "192.0.2.1:5060"));
    let two = scene.answered(namesake, to(Transport::Udp, "192.0.2.1:5060"));
    assert_ne!(one.remote.ip(), two.remote.ip());
    scene.answered(scene.server, NextHop::Flow(two));
    assert!(scene.network.passages().iter().all(|passage| passage.fate == Fate::Arrived));
}
