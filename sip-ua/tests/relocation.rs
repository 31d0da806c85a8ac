//! A phone changes its network amid a call, in a simulated network: it registers anew, and the call goes on and
//! is ended from either side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, Response, StatusCode, Transport};
use sip_sim::{Either, Link, Listener, Nat, NatId, NatKind, Network, NodeId};
use sip_transaction::{Config, Event, Transactions};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, KeepAlive, OutgoingCall,
    RegistrationEvent,
};

const SECOND: Duration = Duration::from_secs(1);

/// A phone, or the registrar.
type Node = Either<Agent, Listener>;

struct Scene {
    network: Network<Node>,
    alice: NodeId,
    bob: NodeId,
    registrar: NodeId,
    /// The values of Contact of each REGISTER.
    registers: Vec<Vec<String>>,
    /// The calls that Alice and Bob have.
    calls: [Option<CallKey>; 2],
    /// What Alice and Bob heard, in few words.
    heard: [Vec<String>; 2],
    /// Whether Alice's application does what it is asked to when the network changes.
    offers_anew: bool,
}

fn sdp() -> Body {
    Body::sdp("v=0\r\n")
}

impl Scene {
    /// Bob at 192.0.2.2, the registrar at 192.0.2.9, Alice where it says; a call between Alice and Bob.
    fn new(transport: Transport, at: SocketAddr, nat: Option<Nat>, alice_calls: bool) -> Self {
        let mut network = Network::new(14, Link::default().with_delay(SECOND / 50));
        network.record();
        let public = |last: u8| [(transport, ([192, 0, 2, last], 5060).into())];
        let phone = |seed| Node::A(Agent::new(AgentConfig::default(), [seed, 1]));
        let alice = match nat.map(|nat| network.add_nat(nat)) {
            Some(nat) => network.add_behind(nat, &[(transport, at)], Config::default(), phone(1)),
            None => network.add(&[(transport, at)], Config::default(), phone(1)),
        };
        let alice = alice.unwrap();
        let bob = network.add(&public(2), Config::default(), phone(2)).unwrap();
        let registrar = Node::B(Listener::default());
        let registrar = network.add(&public(9), Config::default(), registrar).unwrap();
        let mut scene = Self {
            network,
            alice,
            bob,
            registrar,
            registers: Vec::new(),
            calls: [None, None],
            heard: [Vec::new(), Vec::new()],
            offers_anew: true,
        };
        let by = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let account = |name: &str| {
            let account = Account::new(format!("sip:{name}@example.com").parse().unwrap());
            Arc::new(
                account
                    .registrar(format!("sip:192.0.2.9{by}").parse().unwrap())
                    .keep_alive(KeepAlive::Blank),
            )
        };
        scene.tell(alice, |now, agent, tx| agent.register(now, tx, &account("alice")).unwrap());
        scene.run(SECOND);
        if alice_calls {
            let to = OutgoingCall::to(format!("sip:bob@192.0.2.2{by}").parse().unwrap());
            let call = scene.tell(alice, |now, agent, tx| {
                agent.call(now, tx, &account("alice"), to.body(sdp())).unwrap()
            });
            scene.calls[0] = Some(call);
        } else {
            let contact = scene.registers.last().unwrap()[0].clone();
            let uri = contact.split(['<', '>']).nth(1).unwrap();
            let to = OutgoingCall::to(uri.parse().unwrap());
            let call = scene.tell(bob, |now, agent, tx| {
                agent.call(now, tx, &account("bob"), to.body(sdp())).unwrap()
            });
            scene.calls[1] = Some(call);
        }
        scene.run(5 * SECOND);
        scene.heard = [Vec::new(), Vec::new()];
        scene
    }

    fn tell<R>(
        &mut self,
        node: NodeId,
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions) -> R,
    ) -> R {
        let done = self.network.with(node, |now, node, tx| match node {
            Node::A(agent) => command(now, agent, tx),
            Node::B(_) => panic!("no phone"),
        });
        done.unwrap()
    }

    fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, heard)) = self.network.next_event(until) {
            match heard {
                Either::B(Event::Request { key, request, .. }) => {
                    assert_eq!(*request.method(), Method::Register);
                    let values = request.headers().raw_all(HeaderName::Contact);
                    let values: Vec<String> =
                        values.map(|it| String::from_utf8(it.to_vec()).unwrap()).collect();
                    let ok = Response::to_request(&request, StatusCode::OK)
                        .to_tag("r")
                        .raw(HeaderName::Contact, values[0].as_bytes());
                    self.registers.push(values);
                    let ok = ok.build().unwrap();
                    self.network.with(self.registrar, |now, _, tx| tx.respond(now, key, ok));
                }
                Either::B(_) => {}
                Either::A(event) => self.phone_heard(node, event),
            }
        }
    }

    fn phone_heard(&mut self, node: NodeId, event: AgentEvent) {
        let who = usize::from(node == self.bob);
        let words = match event {
            AgentEvent::Invitation { call, .. } => {
                self.calls[who] = Some(call);
                self.tell(node, |now, agent, tx| {
                    agent.accept(now, tx, call, Some(&sdp()), &[]).unwrap();
                });
                "invited".to_owned()
            }
            AgentEvent::NetworkChanged { lost } => {
                assert_eq!(lost, []);
                "network".to_owned()
            }
            AgentEvent::Registration { event, .. } => match event {
                RegistrationEvent::Registered { .. } => "registered".to_owned(),
                RegistrationEvent::Failed { .. } => "failed".to_owned(),
                other => panic!("{other:?}"),
            },
            AgentEvent::Call { call, update } => match update {
                CallUpdate::NetworkChanged => {
                    if self.offers_anew {
                        self.tell(node, |now, agent, tx| {
                            let moved = Body::sdp("v=0\r\no=- 1 2 IN IP4 198.51.100.7\r\n");
                            agent.reinvite(now, tx, call, Some(&moved)).unwrap();
                        });
                    }
                    "call".to_owned()
                }
                CallUpdate::Modification { .. } => {
                    self.tell(node, |now, agent, tx| {
                        let ok = StatusCode::OK;
                        agent.answer_modification(now, tx, call, ok, Some(&sdp())).unwrap();
                    });
                    "modification".to_owned()
                }
                CallUpdate::Modified { .. } => "modified".to_owned(),
                CallUpdate::Ended(reason) => format!("ended: {reason}"),
                _ => return,
            },
            other => panic!("{other:?}"),
        };
        self.heard[who].push(words);
    }

    fn moves(&mut self, behind: Option<NatId>, to: SocketAddr) {
        self.network.relocate(self.alice, behind, &[to]).unwrap();
        self.tell(self.alice, |_, agent, tx| agent.network_changed(tx));
        self.run(5 * SECOND);
    }

    /// One side hangs up: what each has heard then.
    fn ends(&mut self, who: usize) -> [Vec<String>; 2] {
        self.heard = [Vec::new(), Vec::new()];
        let (node, call) = ([self.alice, self.bob][who], self.calls[who].unwrap());
        self.tell(node, |now, agent, tx| agent.hang_up(now, tx, call).unwrap());
        self.run(40 * SECOND);
        std::mem::take(&mut self.heard)
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const OVER: [&str; 2] = ["ended: we hung up", "ended: the peer hung up"];

#[test]
fn a_call_goes_on_when_the_phone_changes_its_address() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for (alice_calls, who_ends) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            let mut scene = Scene::new(transport, at("192.0.2.1:5060"), None, alice_calls);
            scene.moves(None, at("198.51.100.7:5060"));
            assert_eq!(scene.heard[0], ["network", "registered", "call", "modified"]);
            assert_eq!(scene.heard[1], ["modification"]);
            // The new address is bound by one REGISTER, which removes the one before.
            let last = scene.registers.last().unwrap();
            assert!(last[0].starts_with("<sip:alice@198.51.100.7:5060"), "{last:?}");
            assert!(last[1].starts_with("<sip:alice@192.0.2.1:5060"), "{last:?}");
            assert!(last[1].ends_with(";expires=0"), "{last:?}");
            assert_eq!(scene.registers.len(), 2);
            let ended = scene.ends(who_ends);
            assert_eq!(ended[who_ends], OVER[..1]);
            assert_eq!(ended[1 - who_ends], OVER[1..]);
            for node in [scene.alice, scene.bob] {
                let live = scene.tell(node, |_, agent, _| agent.live());
                assert_eq!((live.calls, live.dialogs), (0, 0));
            }
        }
    }
}

/// The boxes give the same private address: only the registrar can tell where the phone is seen now, and the call is
/// moved when it has.
#[test]
fn a_call_goes_on_when_the_phone_comes_to_stand_behind_another_box() {
    let outer = |last: u8| Nat::new(NatKind::FullCone, [203, 0, 113, last].into());
    for transport in [Transport::Udp, Transport::Tcp] {
        for who_ends in [0, 1] {
            let inside = at("10.0.0.2:5060");
            let mut scene = Scene::new(transport, inside, Some(outer(1)), true);
            let other = scene.network.add_nat(outer(2));
            scene.moves(Some(other), inside);
            assert_eq!(scene.heard[0], ["network", "registered", "call", "modified"]);
            let last = scene.registers.last().unwrap();
            assert!(last[0].starts_with("<sip:alice@203.0.113.2:"), "{last:?}");
            if who_ends == 1 && transport == Transport::Tcp {
                // The box lets no connection in, and the one that Alice opened is to Bob: over that.
                scene.run(SECOND);
            }
            let ended = scene.ends(who_ends);
            assert_eq!(ended[who_ends], OVER[..1], "{transport:?}");
            assert_eq!(ended[1 - who_ends], OVER[1..], "{transport:?}");
        }
    }
}

/// The tests above can fail: without the new offer the peer's BYE goes where nobody is.
#[test]
fn without_a_new_offer_the_peer_does_not_find_the_phone() {
    let mut scene = Scene::new(Transport::Udp, at("192.0.2.1:5060"), None, true);
    scene.offers_anew = false;
    scene.moves(None, at("198.51.100.7:5060"));
    assert_eq!(scene.heard[0], ["network", "registered", "call"]);
    let ended = scene.ends(1);
    assert_eq!(ended[0], Vec::<String>::new());
}

/// A REGISTER that is out over a network that is gone is not waited for longer than it takes to know.
#[test]
fn a_change_amid_a_registration_is_followed_by_another() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut scene = Scene::new(transport, at("192.0.2.1:5060"), None, true);
        // Out and unanswered.
        scene.network.part(scene.alice, scene.registrar);
        scene.tell(scene.alice, |_, agent, tx| agent.network_changed(tx));
        scene.run(SECOND);
        scene.network.heal(scene.alice, scene.registrar);
        scene.registers.clear();
        scene.moves(None, at("198.51.100.7:5060"));
        scene.run(40 * SECOND);
        let last = scene.registers.last().unwrap();
        assert!(last[0].starts_with("<sip:alice@198.51.100.7:5060"), "{last:?}");
        let changed = scene.heard[0].iter().filter(|word| *word == "modified").count();
        assert!(changed >= 1, "{:?}", scene.heard[0]);
        let ended = scene.ends(1);
        assert_eq!(ended[0], OVER[1..]);
    }
}
