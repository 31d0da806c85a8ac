//! Calls that last a day, on a virtual clock: over a lossy network their session timers keep them, and when one end
//! vanishes the other one is rid of all of them within the interval.
//!
//! `SIP_SIM_SEED=N` runs another seed; a run that fails prints its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::Transport;
use sip_sim::{Link, Network, NodeId};
use sip_transaction::{Config, Random};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Body, CallKey, CallUpdate, EndReason, OutgoingCall,
    SessionTimerPolicy, Side,
};

const CALLS: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);

struct Run {
    network: Network<Agent>,
    nodes: [NodeId; 2],
    /// Those of each end that are established and not over.
    calls: BTreeMap<(usize, CallKey), Instant>,
    ended: Vec<(usize, Instant, String)>,
}

impl Run {
    /// One call after the other is placed within the first hour, by either end.
    fn new(seed: u64, refreshers: [Option<Side>; 2]) -> Self {
        println!("seed {seed}");
        let link = Link::default().with_loss(0.1).with_duplication(0.05).with_jitter(MINUTE / 300);
        let mut network = Network::new(seed, link);
        let mut random = Random::new([seed, 2]);
        let mut last = 0;
        let nodes = refreshers.map(|refresher| {
            last += 1;
            let address = (Transport::Udp, ([192, 0, 2, last], 5060).into());
            let policy = SessionTimerPolicy::default().refresher(refresher);
            let config = AgentConfig::default().session_timer(Some(policy));
            let agent = Agent::new(config, [random.next_u64(), random.next_u64()]);
            network.add(&[address], Config::default(), agent).unwrap()
        });
        let mut run = Self { network, nodes, calls: BTreeMap::new(), ended: Vec::new() };
        for call in 0..CALLS {
            let [here, there] = [call % 2, 1 - call % 2];
            let to = format!("sip:someone@192.0.2.{}", there + 1).parse().unwrap();
            let account = Arc::new(Account::new("sip:caller@example.com".parse().unwrap()));
            let outgoing = OutgoingCall::to(to).body(Body::sdp("v=0\r\no=- 1 1\r\n"));
            run.network
                .with(run.nodes[here], |now, agent, tx| agent.call(now, tx, &account, outgoing))
                .unwrap()
                .unwrap();
            run.pass(3600 * Duration::from_secs(1) / CALLS as u32);
        }
        run
    }

    fn pass(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some((node, event)) = self.network.next_event(until) {
            let end = usize::from(node == self.nodes[1]);
            let now = self.network.now();
            match event {
                AgentEvent::Invitation { call, .. } => {
                    let body = Body::sdp("v=0\r\no=- 2 1\r\n");
                    let _ = self
                        .network
                        .with(node, |now, agent, tx| agent.accept(now, tx, call, Some(&body), &[]));
                }
                AgentEvent::Call { call, update } => match update {
                    CallUpdate::Answered { .. } | CallUpdate::Confirmed { .. } => {
                        self.calls.insert((end, call), now);
                    }
                    CallUpdate::Ended(reason) => {
                        self.calls.remove(&(end, call));
                        self.ended.push((end, now, reason.to_string()));
                    }
                    other => panic!("a refresh is nobody's business: {other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    fn counts(&self) -> [usize; 2] {
        [0, 1].map(|end| self.calls.keys().filter(|(of, _)| *of == end).count())
    }

    #[track_caller]
    fn nothing_left(&self) {
        assert!(self.network.is_quiet(), "timers or messages are left");
        for &node in &self.nodes {
            let endpoint = self.network.endpoint(node).unwrap();
            assert_eq!(endpoint.user().live(), Default::default());
            assert_eq!(endpoint.transactions().timers(), 0);
        }
    }
}

fn seed(default: u64) -> u64 {
    std::env::var("SIP_SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default)
}

/// A day over a lossy network, whoever refreshes.
#[test]
fn calls_last_a_day() {
    for refreshers in
        [[None, None], [Some(Side::Local), Some(Side::Local)], [None, Some(Side::Local)]]
    {
        let mut run = Run::new(seed(4028), refreshers);
        let [ours, theirs] = run.counts();
        assert!(ours > CALLS * 9 / 10, "{:?}", run.ended);
        let begun = run.ended.len();
        run.pass(MINUTE * 60 * 23);
        // By chance all tries of a refresh may be lost: RFC 4028 has the call end then.
        let lost = run.ended.len() - begun;
        assert!(lost <= 4, "{:?}", &run.ended[begun..]);
        assert_eq!(run.counts()[0].abs_diff(run.counts()[1]), 0, "both ends agree");
        println!("{ours} and {theirs} calls, {lost} ends lost in a day");
        for (end, call) in run.calls.keys().copied().collect::<Vec<_>>() {
            let _ = run.network.with(run.nodes[end], |now, agent, tx| agent.hang_up(now, tx, call));
        }
        run.pass(MINUTE * 3);
        run.nothing_left();
    }
}

#[test]
fn a_peer_that_vanished_is_noticed_by_all_calls_within_the_interval() {
    let mut run = Run::new(seed(4029), [None, Some(Side::Local)]);
    run.pass(MINUTE * 60 * 5);
    assert!(run.counts()[0] > CALLS * 9 / 10);
    let [one, other] = run.nodes;
    run.network.part(one, other);
    let parted = run.network.now();
    let begun = run.ended.len();
    // The interval and the last tries of who refreshes.
    run.pass(Duration::from_secs(1800));
    assert_eq!(run.counts(), [0, 0], "both sides are rid of their calls");
    for (_, at, reason) in &run.ended[begun..] {
        assert!(*at <= parted + Duration::from_secs(1800));
        let expected = [EndReason::Expired.to_string(), EndReason::PeerLost.to_string()];
        assert!(expected.contains(reason), "{reason}");
    }
    run.pass(MINUTE * 3);
    run.nothing_left();
}
