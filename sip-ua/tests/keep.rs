//! Keep-alives that are agreed on in Via (RFC 6223), in a simulated network: those of calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::Transport;
use sip_sim::{Fate, Link, Network, NodeId};
use sip_transaction::{Config, Transactions};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, KeepAlive, OutgoingCall,
};

const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    network: Network<Agent>,
    alice: NodeId,
    bob: NodeId,
    /// The calls as Alice knows them, and as Bob does.
    calls: [Vec<CallKey>; 2],
    ended: usize,
}

impl Scene {
    /// Alice at 192.0.2.1, and Bob at 192.0.2.2 with these settings.
    fn new(transport: Transport, bob: AgentConfig) -> Self {
        let mut network = Network::new(6223, Link::default().with_delay(20 * SECOND / 1000));
        network.record();
        let at = |last| [(transport, ([192, 0, 2, last], 5060).into())];
        let agent = |config, seed| Agent::new(config, [seed, 1]);
        let alice =
            network.add(&at(1), Config::default(), agent(AgentConfig::default(), 1)).unwrap();
        let bob = network.add(&at(2), Config::default(), agent(bob, 2)).unwrap();
        Self { network, alice, bob, calls: [Vec::new(), Vec::new()], ended: 0 }
    }

    fn tell<R>(
        &mut self,
        node: NodeId,
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions) -> R,
    ) -> R {
        self.network.with(node, command).unwrap()
    }

    fn call(&mut self, keep_alive: KeepAlive, transport: Transport) {
        let account = Account::new("sip:alice@example.com".parse().unwrap()).keep_alive(keep_alive);
        let by = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let to = OutgoingCall::to(format!("sip:bob@192.0.2.2{by}").parse().unwrap());
        let to = to.body(Body::sdp("v=0\r\n"));
        let call = self
            .tell(self.alice, |now, agent, tx| agent.call(now, tx, &Arc::new(account), to))
            .unwrap();
        self.calls[0].push(call);
        self.run(SECOND);
    }

    fn run(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            match event {
                AgentEvent::Invitation { call, .. } => {
                    self.calls[1].push(call);
                    let sdp = Body::sdp("v=0\r\n");
                    self.tell(node, |now, agent, tx| agent.accept(now, tx, call, Some(&sdp), &[]))
                        .unwrap();
                }
                AgentEvent::Call { call, update: CallUpdate::Modification { .. } } => {
                    let sdp = Body::sdp("v=0\r\n");
                    let status = sip_message::StatusCode::OK;
                    self.tell(node, |now, agent, tx| {
                        agent.answer_modification(now, tx, call, status, Some(&sdp))
                    })
                    .unwrap();
                }
                AgentEvent::Call { update: CallUpdate::Ended(_), .. } => self.ended += 1,
                _ => {}
            }
        }
    }

    /// When something of that kind arrived.
    fn times(&self, is_it: impl Fn(&[u8]) -> bool) -> Vec<Duration> {
        let arrived = self.network.passages().iter().filter(|one| one.fate == Fate::Arrived);
        arrived.filter(|one| is_it(&one.payload)).map(|one| one.at).collect()
    }

    fn text_of(&self, start: &str) -> String {
        let mut all = self.network.passages().iter().rev();
        let found = all.find(|one| one.payload.starts_with(start.as_bytes()));
        String::from_utf8(found.expect(start).payload.to_vec()).unwrap()
    }
}

fn is_binding_request(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 1])
}

fn is_ping(payload: &[u8]) -> bool {
    payload == b"\r\n\r\n"
}

/// RFC 6223 §7.3: Alice offers in the Via of her INVITE, the other side asks for one every 30 s at least.
#[test]
fn the_flow_of_a_call_is_kept_as_often_as_the_response_asks() {
    for (transport, is_it) in [
        (Transport::Udp, is_binding_request as fn(&[u8]) -> bool),
        (Transport::Tcp, is_ping as fn(&[u8]) -> bool),
    ] {
        let mut scene = Scene::new(transport, AgentConfig::default().keep(Some(30 * SECOND)));
        // Two calls over one flow are kept by the same keep-alives.
        scene.call(KeepAlive::Agreed, transport);
        scene.call(KeepAlive::Agreed, transport);
        assert!(scene.text_of("INVITE").contains(";rport;keep\r\n"));
        assert!(!scene.text_of("ACK").contains("keep"), "nobody answers an ACK");
        assert!(scene.text_of("SIP/2.0 200").contains(";keep=30"));
        scene.run(600 * SECOND);
        let times = scene.times(is_it);
        assert!((20..=26).contains(&times.len()), "{times:?}");
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            // RFC 6223 §5: "the interval
            // between each keep-alive is randomly distributed between 80% and 100%
            // of the recommended keep-alive frequency."
            // The clock runs on from the answer, which takes 40 ms.
            assert!((24 * SECOND..=31 * SECOND).contains(&between), "{between:?}");
        }

        // With the first call over the flow is kept for the second, with that over for none.
        let [first, second] = [scene.calls[0][0], scene.calls[0][1]];
        scene.tell(scene.alice, |now, agent, tx| agent.hang_up(now, tx, first)).unwrap();
        scene.run(100 * SECOND);
        let before = scene.times(is_it).len();
        assert!(before >= times.len() + 3, "{before}");
        scene.tell(scene.alice, |now, agent, tx| agent.hang_up(now, tx, second)).unwrap();
        scene.run(200 * SECOND);
        assert_eq!(scene.times(is_it).len(), before);
        assert_eq!(scene.ended, 4);
        assert!(scene.network.is_quiet());
    }
}

#[test]
fn without_an_offer_or_an_agreement_nothing_is_sent() {
    for (keep_alive, bob) in [
        (KeepAlive::Off, AgentConfig::default().keep(Some(30 * SECOND))),
        (KeepAlive::Agreed, AgentConfig::default()),
    ] {
        let mut scene = Scene::new(Transport::Udp, bob);
        scene.call(keep_alive, Transport::Udp);
        scene.run(600 * SECOND);
        assert_eq!(scene.times(is_binding_request), []);
        assert_eq!(scene.text_of("INVITE").contains("keep"), keep_alive == KeepAlive::Agreed);
        assert!(!scene.text_of("SIP/2.0 200").contains("keep="));
    }
}

/// RFC 6223 §4.3: what was agreed on is not offered again; what was not may be, in a re-INVITE.
#[test]
fn a_reinvite_offers_what_was_not_agreed_on() {
    for (keep, again) in [(Some(30 * SECOND), false), (None, true)] {
        let config = match keep {
            Some(_) => AgentConfig::default().keep(keep),
            None => AgentConfig::default(),
        };
        let mut scene = Scene::new(Transport::Udp, config);
        scene.call(KeepAlive::Agreed, Transport::Udp);
        let (call, sdp) = (scene.calls[0][0], Body::sdp("v=0\r\n"));
        scene
            .tell(scene.alice, |now, agent, tx| agent.reinvite(now, tx, call, Some(&sdp)))
            .unwrap();
        scene.run(SECOND);
        assert!(scene.text_of("INVITE").contains("CSeq: 2 INVITE"));
        assert_eq!(scene.text_of("INVITE").contains(";keep\r\n"), again);
    }
}

/// A far end that has gone silent is not asked for ever, and its connection is closed.
#[test]
fn a_flow_of_calls_that_has_failed_is_left_alone() {
    let config = AgentConfig::default().keep(Some(30 * SECOND));
    let mut scene = Scene::new(Transport::Udp, config);
    scene.call(KeepAlive::Agreed, Transport::Udp);
    scene.network.part(scene.alice, scene.bob);
    scene.run(120 * SECOND);
    let sent = |scene: &Scene| {
        let passages = scene.network.passages().iter();
        passages.filter(|one| is_binding_request(&one.payload)).count()
    };
    let asked = sent(&scene);
    assert!((1..=8).contains(&asked), "{asked}");
    scene.run(600 * SECOND);
    assert_eq!(sent(&scene), asked);
}

/// RFC 6223 §4.2.3: "Once negotiated, keep-
/// alives MUST be sent for the lifetime of the dialog"
#[test]
fn what_was_agreed_on_holds_for_the_flow_that_a_call_finds_next() {
    let config = AgentConfig::default().keep(Some(30 * SECOND));
    let mut scene = Scene::new(Transport::Tcp, config);
    scene.call(KeepAlive::Agreed, Transport::Tcp);
    scene.run(100 * SECOND);
    let before = scene.times(is_ping).len();
    assert!(before >= 3, "{before}");
    // The connection breaks, and nobody has reason to open another.
    scene.network.part(scene.alice, scene.bob);
    scene.network.heal(scene.alice, scene.bob);
    scene.run(100 * SECOND);
    assert_eq!(scene.times(is_ping).len(), before);

    let (call, sdp) = (scene.calls[0][0], Body::sdp("v=0\r\n"));
    scene.tell(scene.alice, |now, agent, tx| agent.reinvite(now, tx, call, Some(&sdp))).unwrap();
    scene.run(100 * SECOND);
    assert!(!scene.text_of("INVITE").contains("keep"), "it is not agreed on twice");
    assert!(scene.times(is_ping).len() >= before + 3);
    scene.tell(scene.alice, |now, agent, tx| agent.hang_up(now, tx, call)).unwrap();
    scene.run(200 * SECOND);
    assert!(scene.network.is_quiet());
}
