//! A million calls through two user agents in a simulated network, and what a call costs when as many others
//! stand: `cargo run --release -p benches --bin million [-- CALLS]`. With `-- CALLS STANDING SAMPLE` it is one row, so
//! that instructions can be counted: `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*'`.
//!
//! Both ends and the network between them are in one thread; the times are that thread's own, and not the clock's.
//! Each call is INVITE, 180, 200, ACK, BYE, 200 over UDP, with session timers as they are by default.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot set up its scene has nothing to tell"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{StatusCode, Transport, Uri};
use sip_sim::{Link, Network, NodeId};
use sip_transaction::Config;
use sip_ua::{Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, OutgoingCall};

const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";

/// Virtual time between two calls.
const BETWEEN: Duration = Duration::from_micros(500);
/// How long a call lasts that is hung up.
const TALK: Duration = Duration::from_secs(1);
/// In this time every transaction ends, and no session is refreshed.
const REST: Duration = Duration::from_secs(70);
/// How many calls are placed to see what one costs.
const SAMPLE: usize = 50_000;

fn main() {
    let given: Vec<usize> =
        std::env::args().skip(1).map(|number| number.parse().expect("a number")).collect();
    let most = given.first().copied().unwrap_or(1_000_000);
    println!("| dialogs that stand | calls placed | CPU, s | CPU a call, µs |");
    println!("| --- | --- | --- | --- |");
    if let [_, standing, sample] = given[..] {
        let mut scene = Scene::new(most);
        scene.stand(standing);
        scene.measured(standing, sample);
        return;
    }
    let all = Scene::new(most).measured(0, most);
    // Both ends of a call are here, so a call that stands is two dialogs.
    let costs = [500, most / 2, most].map(|standing| {
        let mut scene = Scene::new(most);
        scene.stand(standing);
        // So that each finds the memory of calls that are over.
        scene.place(SAMPLE);
        (scene.answered, scene.ended) = (0, 0);
        (2 * standing, scene.measured(standing, SAMPLE))
    });
    println!();
    println!("{most} calls: {:.1} s of CPU", all.as_secs_f64());
    let [(few, least), more @ ..] = costs;
    for (dialogs, cost) in more {
        let growth = (cost.as_secs_f64() / least.as_secs_f64() - 1.0) * 100.0;
        println!("among {dialogs} dialogs a call costs {growth:+.1} % of what it does among {few}");
    }
}

struct Scene {
    network: Network<Agent>,
    alice: NodeId,
    bob: NodeId,
    account: Arc<Account>,
    to: Uri<'static>,
    body: Body,
    /// Calls of Alice's, to be hung up at their time.
    talking: VecDeque<(Instant, CallKey)>,
    /// What becomes of calls that are answered.
    hangs_up: bool,
    answered: usize,
    ended: usize,
}

impl Scene {
    fn new(most: usize) -> Self {
        let mut network = Network::new(1, Link::default().with_delay(Duration::from_millis(1)));
        let mut add = |last: u8| {
            let address = (Transport::Udp, ([192, 0, 2, last], 5060).into());
            let config = AgentConfig::default().max_calls(most.saturating_mul(2));
            let config = config.max_subscriptions(0).max_notifiers(0);
            let agent = Agent::new(config, [1, last.into()]);
            let transactions = Config::default();
            network.add(&[address], transactions, agent).expect("a free address")
        };
        let (alice, bob) = (add(1), add(2));
        let account = Account::new("sip:alice@192.0.2.1".parse().expect("a URI"));
        Self {
            network,
            alice,
            bob,
            account: Arc::new(account),
            to: "sip:bob@192.0.2.2".parse().expect("a URI"),
            body: Body::sdp(SDP),
            talking: VecDeque::new(),
            hangs_up: true,
            answered: 0,
            ended: 0,
        }
    }

    /// Makes so many calls that stand, and waits until all is quiet but for them.
    fn stand(&mut self, calls: usize) {
        self.hangs_up = false;
        self.place(calls);
        assert_eq!(self.answered, calls);
        self.hangs_up = true;
        (self.answered, self.ended) = (0, 0);
    }

    /// Places so many calls that are hung up after a while, and says what they cost.
    fn measured(&mut self, standing: usize, calls: usize) -> Duration {
        let began = cpu();
        self.place(calls);
        let cost = cpu() - began;
        assert_eq!((self.answered, self.ended), (calls, 2 * calls), "a call was lost");
        for node in [self.alice, self.bob] {
            let endpoint = self.network.endpoint(node).expect("a node");
            assert_eq!(endpoint.user().live().dialogs, standing);
        }
        let (cost_s, each) = (cost.as_secs_f64(), cost.as_secs_f64() * 1e6 / calls as f64);
        println!("| {} | {calls} | {cost_s:.2} | {each:.2} |", 2 * standing);
        cost
    }

    fn place(&mut self, calls: usize) {
        for _ in 0..calls {
            let outgoing = OutgoingCall::to(self.to.clone()).body(self.body.clone());
            let account = Arc::clone(&self.account);
            self.network
                .with(self.alice, |now, agent, tx| agent.call(now, tx, &account, outgoing))
                .expect("a node")
                .expect("room for a call");
            self.run(BETWEEN);
        }
        self.run(REST);
    }

    fn run(&mut self, time: Duration) {
        let end = self.network.now() + time;
        loop {
            let due = self.talking.front().map(|(at, _)| *at).filter(|at| *at <= end);
            match self.network.next_event(due.unwrap_or(end)) {
                Some((node, event)) => self.event(node, event),
                None if due.is_none() => return,
                None => {
                    let Some((_, call)) = self.talking.pop_front() else { return };
                    let hung_up = self
                        .network
                        .with(self.alice, |now, agent, tx| agent.hang_up(now, tx, call));
                    hung_up.expect("a node").expect("a call that stands");
                }
            }
        }
    }

    fn event(&mut self, node: NodeId, event: AgentEvent) {
        match event {
            AgentEvent::Invitation { call, .. } => {
                let body = self.body.clone();
                let answered = self.network.with(node, |now, agent, tx| {
                    agent.ring(now, tx, call, StatusCode::RINGING, None)?;
                    agent.accept(now, tx, call, Some(&body), &[])
                });
                answered.expect("a node").expect("an open invitation");
            }
            AgentEvent::Call { call, update: CallUpdate::Answered { .. } } => {
                self.answered += 1;
                if self.hangs_up {
                    self.talking.push_back((self.network.now() + TALK, call));
                }
            }
            AgentEvent::Call { update: CallUpdate::Ended(_), .. } => self.ended += 1,
            _ => {}
        }
    }
}

/// The time that this thread has had a processor; the clock's where the system does not say.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|text| text.split(' ').next()?.parse().ok());
    match nanos {
        Some(nanos) => Duration::from_nanos(nanos),
        None => {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970")
        }
    }
}
