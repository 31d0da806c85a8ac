//! A registered user agent behind NAT boxes stays reachable: for a simulated day calls are placed to it at
//! random moments, over the flow that its REGISTER came by, and every one gets through.
//!
//! `SIP_SIM_SEED=N` runs another seed; a run that fails prints its own.

#![cfg(feature = "stun")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, Request, Response, ResponseBuilder, StatusCode, Transport};
use sip_sim::{Either, Link, Listener, Nat, NatId, NatKind, Network, NodeId};
use sip_transaction::{Config, Event, NextHop, Random, Transactions};
use sip_transport::Flow;
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, CallUpdate, Credentials, KeepAlive, OutgoingCall,
    RegistrationEvent, RegistrationFailure,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const OUTER: [u8; 4] = [203, 0, 113, 1];

/// A phone, or the registrar with the proxy beside it.
type Node = Either<Agent, Listener>;

struct Scene {
    network: Network<Node>,
    nat: NatId,
    phone: NodeId,
    registrar: NodeId,
    random: Random,
    /// Whether the registrar takes part in RFC 5626.
    outbound: bool,
    /// What the registrar says to an offer of keep-alives in Via (RFC 6223).
    keep: Option<u32>,
    /// Whether calls go to the address that is bound, and not over the flow of the REGISTER.
    by_contact: bool,
    /// Whether the registrar challenges what has no credentials.
    challenges: bool,
    /// What the registrar knows: where the phone is, and how often it was told.
    binding: Option<(Flow, String)>,
    registers: Vec<(Request, Flow)>,
    failures: Vec<RegistrationFailure>,
    calls: u32,
    /// Calls that were confirmed and ended at the phone.
    ended: u32,
}

fn seed() -> u64 {
    std::env::var("SIP_SIM_SEED").map_or(5626, |seed| seed.parse().expect("a number"))
}

impl Scene {
    fn new(nat: Nat, transport: Transport, keep_alive: KeepAlive, outbound: bool) -> Self {
        let instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
        let account = |account: Account| account.keep_alive(keep_alive).outbound(instance, 1);
        Self::with(nat, transport, outbound, account)
    }

    /// The phone does not ask for outbound, and the registrar sends to the address that is bound.
    fn by_contact(nat: Nat, transport: Transport, keep_alive: KeepAlive) -> Self {
        let mut scene = Self::with(nat, transport, false, |it| it.keep_alive(keep_alive));
        scene.by_contact = true;
        scene
    }

    fn with(
        nat: Nat,
        transport: Transport,
        outbound: bool,
        give: impl FnOnce(Account) -> Account,
    ) -> Self {
        let link = Link::default().with_delay(Duration::from_millis(30)).with_loss(0.02);
        let mut network = Network::new(seed(), link);
        let nat = network.add_nat(nat);
        let at = |ip: [u8; 4]| [(transport, (ip, 5060).into())];
        let listener = Node::B(Listener::default());
        let registrar = network.add(&at([192, 0, 2, 1]), Config::default(), listener).unwrap();
        let agent = Node::A(Agent::new(AgentConfig::default(), [seed(), 1]));
        let phone = network.add_behind(nat, &at([10, 0, 0, 2]), Config::default(), agent).unwrap();
        let mut scene = Self {
            network,
            nat,
            phone,
            registrar,
            random: Random::new([seed(), 2]),
            outbound,
            keep: None,
            by_contact: false,
            challenges: false,
            binding: None,
            registers: Vec::new(),
            failures: Vec::new(),
            calls: 0,
            ended: 0,
        };
        let by = if transport == Transport::Udp { "" } else { ";transport=tcp" };
        let account = Account::new("sip:alice@example.com".parse().unwrap())
            .registrar(format!("sip:192.0.2.1{by}").parse().unwrap())
            .credentials(Credentials::new("alice", "secret"));
        let given = Arc::new(give(account));
        scene.with_phone(|now, agent, tx| agent.register(now, tx, &given).unwrap());
        scene
    }

    fn with_phone<R>(
        &mut self,
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions) -> R,
    ) -> R {
        let done = self.network.with(self.phone, |now, node, tx| match node {
            Node::A(agent) => command(now, agent, tx),
            Node::B(_) => panic!("no phone"),
        });
        done.unwrap()
    }

    /// Runs for so long.
    fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((_, heard)) = self.network.next_event(until) {
            match heard {
                Either::A(event) => self.phone_heard(event),
                Either::B(event) => self.registrar_heard(event),
            }
        }
    }

    fn phone_heard(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Invitation { call, .. } => {
                self.with_phone(|now, agent, tx| agent.accept(now, tx, call, None, &[]).unwrap());
            }
            AgentEvent::Call { call, update: CallUpdate::Confirmed { .. } } => {
                self.with_phone(|now, agent, tx| agent.hang_up(now, tx, call).unwrap());
            }
            AgentEvent::Call { update: CallUpdate::Ended(_), .. } => self.ended += 1,
            AgentEvent::Registration {
                event: RegistrationEvent::Failed { reason, retry_in },
                ..
            } => {
                assert!(retry_in.is_some(), "given up: {reason}");
                self.failures.push(reason);
            }
            _ => {}
        }
    }

    fn registrar_heard(&mut self, event: Event) {
        match event {
            Event::Request { key, request, flow } => {
                if self.challenges
                    && *request.method() == Method::Register
                    && !request.headers().contains(HeaderName::Authorization)
                {
                    let challenge = b"Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
                    let refusal = Response::to_request(&request, StatusCode::UNAUTHORIZED)
                        .to_tag("r")
                        .raw(HeaderName::WwwAuthenticate, challenge)
                        .build()
                        .unwrap();
                    self.network.with(self.registrar, |now, _, tx| tx.respond(now, key, refusal));
                    return;
                }
                let mut ok = Response::to_request(&request, StatusCode::OK).to_tag("r");
                if *request.method() == Method::Invite {
                    ok = ok.raw(HeaderName::Contact, b"<sip:bob@192.0.2.1;transport=tcp>");
                }
                let is_register = *request.method() == Method::Register;
                if is_register {
                    let contact = request.headers().raw(HeaderName::Contact).unwrap();
                    let contact = String::from_utf8(contact.to_vec()).unwrap();
                    ok = self.accept_binding(ok, &contact);
                    let uri = contact.split(['<', '>']).nth(1).unwrap().to_owned();
                    self.binding = Some((flow, uri));
                    self.registers.push((request, flow));
                }
                let mut ok = ok.build().unwrap();
                if self.keep.is_some() && is_register {
                    let via = ok.headers().top_via().unwrap();
                    assert_eq!(via.keep(), Some(None), "it was not offered");
                    let via = via.with_keep(self.keep).unwrap();
                    ok.headers_mut().pop_front(HeaderName::Via);
                    ok.headers_mut().push_front(&via);
                }
                self.network.with(self.registrar, |now, _, tx| tx.respond(now, key, ok));
            }
            Event::Response { response, .. }
                if response.status().is_success()
                    && response.headers().cseq().unwrap().is(&Method::Invite) =>
            {
                let (_, bound) = self.binding.clone().unwrap();
                let contact = response.headers().raw(HeaderName::Contact).unwrap();
                let contact = String::from_utf8(contact.to_vec()).unwrap();
                let uri = contact.split(['<', '>']).nth(1).unwrap().to_owned();
                if self.by_contact {
                    assert_eq!(uri, bound, "the Contact of the call is the address that is bound");
                }
                let hop = self.hop();
                let call_id = response.headers().call_id().unwrap();
                let to = response.headers().raw(HeaderName::To).unwrap();
                let ack = request(Method::Ack, &uri, call_id, to);
                self.network.with(self.registrar, |now, _, tx| tx.send_request(now, ack, hop));
            }
            _ => {}
        }
    }

    fn accept_binding(&self, ok: ResponseBuilder, contact: &str) -> ResponseBuilder {
        let ok = ok.raw(HeaderName::Contact, contact.as_bytes());
        if self.outbound { ok.raw(HeaderName::Require, b"outbound") } else { ok }
    }

    /// Where requests for the phone go.
    fn hop(&self) -> NextHop {
        let (flow, uri) = self.binding.clone().unwrap();
        if self.by_contact { NextHop::Uri(uri.parse().unwrap()) } else { NextHop::Flow(flow) }
    }

    /// A call comes for the phone, and goes where it is registered.
    fn call(&mut self) {
        self.calls += 1;
        let (_, uri) = self.binding.clone().unwrap();
        let hop = self.hop();
        let call_id = format!("call-{}", self.calls);
        let invite = request(Method::Invite, &uri, &call_id, b"<sip:alice@example.com>");
        self.network.with(self.registrar, |now, _, tx| {
            tx.request(now, invite, hop).unwrap();
        });
    }

    /// A day with a call every few minutes, at moments by chance; how many got through.
    fn day(&mut self, reboots: bool) -> (u32, u32) {
        let end = self.network.now() + DAY;
        let mut next_reboot = self.network.now() + 3 * 3600 * SECOND;
        self.run(10 * SECOND);
        while self.network.now() < end {
            let gap = Duration::from_millis(self.random.below(900_000).into());
            self.run(gap);
            if reboots && self.network.now() >= next_reboot {
                next_reboot += 3 * 3600 * SECOND;
                self.network.reboot(self.nat);
                // As long as it may take to notice: an interval, and on streams what follows it.
                self.run(130 * SECOND);
            }
            self.call();
            self.run(40 * SECOND);
        }
        (self.calls, self.ended)
    }
}

fn request(method: Method, uri: &str, call_id: &str, to: &[u8]) -> Request {
    let cseq = format!("1 {}", method.as_str());
    Request::builder(method, &uri.parse().unwrap())
        .raw(HeaderName::From, b"<sip:bob@example.com>;tag=b")
        .raw(HeaderName::To, to)
        .raw(HeaderName::CallId, call_id.as_bytes())
        .raw(HeaderName::CSeq, cseq.as_bytes())
        .raw(HeaderName::MaxForwards, b"70")
        .raw(HeaderName::Contact, b"<sip:bob@192.0.2.1>")
        .build()
        .unwrap()
}

fn nat(kind: NatKind) -> Nat {
    Nat::new(kind, OUTER.into())
}

#[track_caller]
fn all_get_through(mut scene: Scene, reboots: bool) -> Scene {
    let (calls, ended) = scene.day(reboots);
    assert!(calls > 100, "{calls} calls");
    assert_eq!(ended, calls, "{:?}", scene.failures);
    let live = scene.with_phone(|_, agent, _| agent.live());
    assert_eq!((live.registrations, live.active_calls), (1, 0));
    scene
}

#[test]
fn a_day_behind_each_box_by_stun_on_the_sip_port() {
    for kind in NatKind::ALL {
        let scene = Scene::new(nat(kind), Transport::Udp, KeepAlive::Agreed, true);
        let scene = all_get_through(scene, false);
        assert_eq!(scene.failures, []);
        // An hour each, refreshed at 75 to 90 %: nothing but the refreshes.
        assert!((26..=33).contains(&scene.registers.len()), "{}", scene.registers.len());
    }
}

#[test]
fn a_day_behind_each_box_by_blank_lines_on_udp() {
    for kind in NatKind::ALL {
        all_get_through(Scene::new(nat(kind), Transport::Udp, KeepAlive::Blank, false), false);
    }
}

/// RFC 6223 §7.2: the registrar knows nothing of outbound, and says in our Via how often it wants keep-alives.
#[test]
fn a_day_behind_each_box_by_what_via_agrees_on() {
    for kind in NatKind::ALL {
        let mut scene = Scene::new(nat(kind), Transport::Udp, KeepAlive::Agreed, false);
        scene.keep = Some(25);
        let scene = all_get_through(scene, false);
        assert_eq!(scene.failures, []);
    }
}

// RFC 6223 §4.2.2: "When a subsequent registration
// refresh request is sent or forwarded, if a SIP entity is willing to
// continue sending keep-alives associated with the registration, usage
// of keep-alives MUST be re-negotiated."
#[test]
fn keep_alives_end_with_a_refresh_that_does_not_agree_on_them_again() {
    let mut scene = Scene::new(nat(NatKind::Symmetric), Transport::Udp, KeepAlive::Agreed, false);
    scene.keep = Some(10);
    scene.network.record();
    let asked = |scene: &Scene| {
        let passages = scene.network.passages().iter();
        passages.filter(|one| one.payload.starts_with(&[0, 1])).count()
    };
    scene.run(600 * SECOND);
    let while_agreed = asked(&scene);
    assert!(while_agreed >= 60, "{while_agreed} in 600 s, one every 8 to 10 s");
    scene.keep = None;
    scene.run(3600 * SECOND);
    assert!(scene.registers.len() >= 2, "refreshed");
    let at_the_refresh = asked(&scene);
    scene.run(600 * SECOND);
    assert_eq!(asked(&scene), at_the_refresh);
}

#[test]
fn a_day_behind_each_box_over_a_stream() {
    for kind in NatKind::ALL {
        let scene = Scene::new(nat(kind), Transport::Tcp, KeepAlive::Agreed, true);
        let scene = all_get_through(scene, false);
        assert_eq!(scene.failures, []);
        let (_, flow) = &scene.registers[0];
        assert!(scene.registers.iter().all(|(_, by)| by == flow), "one connection all day");
    }
}

#[test]
fn a_box_that_is_rebooted_all_day_is_noticed() {
    for (kind, transport) in [
        (NatKind::Symmetric, Transport::Udp),
        (NatKind::FullCone, Transport::Udp),
        (NatKind::PortRestricted, Transport::Tcp),
    ] {
        let scene = Scene::new(nat(kind), transport, KeepAlive::Agreed, true);
        let scene = all_get_through(scene, true);
        let failed =
            scene.failures.iter().filter(|why| **why == RegistrationFailure::FlowFailed).count();
        assert!((6..=8).contains(&failed), "{failed} of 7 reboots noticed by {transport:?}");
    }
}

/// The tests above can fail: without keep-alives the box closes.
#[test]
fn without_keep_alives_calls_are_lost() {
    let quiet = [
        (Transport::Udp, KeepAlive::Off, true),
        // The registrar does not say that it takes part, so that nothing may be sent.
        (Transport::Udp, KeepAlive::Agreed, false),
        (Transport::Tcp, KeepAlive::Off, true),
    ];
    for (transport, keep_alive, outbound) in quiet {
        let mut scene = Scene::new(nat(NatKind::FullCone), transport, keep_alive, outbound);
        let (calls, ended) = scene.day(false);
        assert!(ended < calls / 2, "{ended} of {calls}");
    }
}

#[test]
fn the_register_asks_for_outbound_and_says_which_flow_it_is() {
    let mut scene = Scene::new(nat(NatKind::Symmetric), Transport::Udp, KeepAlive::Agreed, true);
    scene.run(SECOND);
    let headers = scene.registers[0].0.headers();
    let supported = headers.raw(HeaderName::Supported).unwrap();
    assert!(supported.ends_with(b", outbound, path"), "{}", supported.escape_ascii());
    assert_eq!(
        headers.raw(HeaderName::Contact),
        Some(
            &b"<sip:alice@10.0.0.2:5060>;expires=3600\
               ;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1"[..]
        )
    );
}

/// RFC 5626 §4.3: "This will cause all subsequent requests in the
/// dialog to arrive over the flow instantiated by the dialog-forming
/// request."
#[test]
fn a_call_asks_for_the_peers_requests_over_its_own_flow() {
    let mut scene = Scene::new(nat(NatKind::Symmetric), Transport::Tcp, KeepAlive::Agreed, true);
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .outbound("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1);
    let call = OutgoingCall::to("sip:bob@192.0.2.1;transport=tcp".parse().unwrap());
    let call =
        scene.with_phone(|now, agent, tx| agent.call(now, tx, &Arc::new(account), call).unwrap());
    scene.network.record();
    scene.run(SECOND);
    let contact = "Contact: <sip:alice@10.0.0.2:5060;transport=tcp;ob>\r\n";
    let last_invite = |scene: &Scene| {
        let mut passages = scene.network.passages().iter().rev();
        let invite = passages.find(|one| one.payload.starts_with(b"INVITE")).unwrap();
        String::from_utf8(invite.payload.to_vec()).unwrap()
    };
    let text = last_invite(&scene);
    assert!(text.contains(contact), "{text}");

    // RFC 5626 §4.3: a re-INVITE, which refreshes the target, says the same.
    let sdp = sip_ua::Body::sdp("v=0\r\n");
    scene.with_phone(|now, agent, tx| agent.reinvite(now, tx, call, Some(&sdp)).unwrap());
    scene.run(SECOND);
    let text = last_invite(&scene);
    assert!(text.contains("CSeq: 2 INVITE") && text.contains(contact), "{text}");
}

/// Two flows of one instance by two edges are two registrations, and each looks after itself.
#[test]
fn one_of_two_flows_may_fail() {
    let mut network = Network::new(seed(), Link::default());
    let nat = network.add_nat(nat(NatKind::PortRestricted));
    let at = |ip: [u8; 4]| [(Transport::Tcp, (ip, 5060).into())];
    let edges = [1, 2].map(|last| {
        let edge = Node::B(Listener::default());
        network.add(&at([192, 0, 2, last]), Config::default(), edge).unwrap()
    });
    let agent = Node::A(Agent::new(AgentConfig::default(), [seed(), 1]));
    let phone = network.add_behind(nat, &at([10, 0, 0, 2]), Config::default(), agent).unwrap();
    let keys = [1, 2].map(|reg_id| {
        let account = Account::new("sip:alice@example.com".parse().unwrap())
            .outbound_proxy(format!("sip:192.0.2.{reg_id};transport=tcp;lr").parse().unwrap())
            .outbound("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", reg_id);
        let register = |now, node: &mut Node, tx: &mut Transactions| match node {
            Node::A(agent) => agent.register(now, tx, &Arc::new(account)).unwrap(),
            Node::B(_) => panic!("no phone"),
        };
        network.with(phone, register).unwrap()
    });

    // What each edge was asked, and what each registration told.
    let (mut asked, mut told) = ([0, 0], [Vec::new(), Vec::new()]);
    let mut run = |network: &mut Network<Node>, time: Duration, told: &mut [Vec<_>; 2]| {
        let until = network.now() + time;
        while let Some((node, heard)) = network.next_event(until) {
            match heard {
                Either::B(Event::Request { key, request, .. }) => {
                    let place = edges.iter().position(|edge| *edge == node).unwrap();
                    asked[place] += 1;
                    let contact = request.headers().raw(HeaderName::Contact).unwrap();
                    let text = String::from_utf8(contact.to_vec()).unwrap();
                    assert!(text.ends_with(&format!("reg-id={}", place + 1)), "{text}");
                    let ok = Response::to_request(&request, StatusCode::OK)
                        .to_tag("r")
                        .raw(HeaderName::Contact, contact)
                        .raw(HeaderName::Require, b"outbound")
                        .raw(HeaderName::Other("Flow-Timer"), b"60");
                    let ok = ok.build().unwrap();
                    network.with(node, |now, _, tx| tx.respond(now, key, ok));
                }
                Either::A(AgentEvent::Registration { registration, event }) => {
                    let place = keys.iter().position(|key| *key == registration).unwrap();
                    told[place].push(event);
                }
                _ => {}
            }
        }
        asked
    };
    assert_eq!(run(&mut network, 300 * SECOND, &mut told), [1, 1], "keep-alives are answered");
    assert_eq!(told.each_ref().map(Vec::len), [1, 1]);

    // The first edge is cut off: its flow is replaced at once, which fails, and then after 90 to 180 s.
    network.part(phone, edges[0]);
    assert_eq!(run(&mut network, 85 * SECOND, &mut told), [1, 1]);
    assert_eq!(told[1].len(), 1, "the other goes on");
    let waits: Vec<_> = told[0][1..]
        .iter()
        .map(|event| match event {
            RegistrationEvent::Failed { reason, retry_in } => (reason.clone(), retry_in.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waits[0], (RegistrationFailure::FlowFailed, Duration::ZERO));
    assert!(matches!(waits[1].0, RegistrationFailure::TransportError(_)), "{waits:?}");
    assert!((90 * SECOND..=180 * SECOND).contains(&waits[1].1), "{waits:?}");
    assert_eq!(waits.len(), 2);

    network.heal(phone, edges[0]);
    assert_eq!(run(&mut network, 100 * SECOND, &mut told), [2, 1], "it is back");
    assert!(matches!(told[0].last(), Some(RegistrationEvent::Registered { .. })));
}

/// What a phone without outbound needs: the registrar knows no flows, and sends to the address that is bound.
#[test]
fn a_day_behind_each_box_at_the_address_that_was_learned() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for (kind, challenges) in NatKind::ALL.into_iter().zip([false, true, false, true]) {
            let mut scene = Scene::by_contact(nat(kind), transport, KeepAlive::Blank);
            scene.challenges = challenges;
            let scene = all_get_through(scene, false);
            assert_eq!(scene.failures, []);
            let (_, uri) = scene.binding.clone().unwrap();
            assert!(uri.starts_with("sip:alice@203.0.113.1:2"), "{uri}");
            // The private address was bound only where nothing could be learned before.
            let private = |request: &Request| {
                let contact = request.headers().raw(HeaderName::Contact).unwrap();
                contact.starts_with(b"<sip:alice@10.0.0.2:5060")
            };
            let bound = scene.registers.iter().filter(|(request, _)| private(request)).count();
            assert_eq!(bound, usize::from(!challenges), "{kind:?}");
        }
    }
}

#[test]
fn without_a_learned_address_nobody_gets_through() {
    let mut scene = Scene::with(nat(NatKind::FullCone), Transport::Udp, false, |account| {
        account.keep_alive(KeepAlive::Blank).learn_contact(false)
    });
    scene.by_contact = true;
    let (calls, ended) = scene.day(false);
    assert_eq!(ended, 0, "of {calls}");
}

/// STUN tells of a new address at once, and it is bound at once.
#[test]
fn a_box_that_is_rebooted_all_day_gives_addresses_that_are_learned() {
    for (kind, transport) in
        [(NatKind::Symmetric, Transport::Udp), (NatKind::PortRestricted, Transport::Tcp)]
    {
        let scene = Scene::by_contact(nat(kind), transport, KeepAlive::Expected);
        all_get_through(scene, true);
    }
}

#[test]
fn the_address_before_is_removed_with_the_register_that_binds_the_learned_one() {
    let mut scene = Scene::by_contact(nat(NatKind::Symmetric), Transport::Udp, KeepAlive::Blank);
    scene.run(10 * SECOND);
    let contacts = |request: &Request| -> Vec<String> {
        let values = request.headers().raw_all(HeaderName::Contact);
        values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    };
    let all: Vec<_> = scene.registers.iter().map(|(request, _)| contacts(request)).collect();
    let private = "<sip:alice@10.0.0.2:5060>;expires=";
    let public = "<sip:alice@203.0.113.1:20001>;expires=3600";
    assert_eq!(
        all,
        [vec![format!("{private}3600")], vec![public.to_owned(), format!("{private}0")]]
    );
    // A refresh says the learned one alone.
    scene.run(3600 * SECOND);
    assert_eq!(contacts(&scene.registers[2].0), [public]);
}

/// A connection that the registrar closes takes the address with it.
#[test]
fn a_learned_address_of_a_connection_is_bound_anew_when_it_closes() {
    let nat = nat(NatKind::PortRestricted);
    let mut scene = Scene::by_contact(nat, Transport::Tcp, KeepAlive::Off);
    scene.run(60 * SECOND);
    let (flow, _) = scene.binding.clone().unwrap();
    scene.network.with(scene.registrar, |_, _, tx| tx.close(flow));
    scene.run(SECOND);
    let (after, _) = scene.binding.clone().unwrap();
    assert_ne!(flow, after);
    scene.call();
    scene.run(10 * SECOND);
    assert_eq!(scene.ended, 1);
}
