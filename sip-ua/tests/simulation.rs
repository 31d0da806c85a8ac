//! Thousands of calls at once over a bad network, on a virtual clock: both ends agree on how each
//! call ended, nothing is left in any table, and the same seed gives the same run.
//!
//! `SIP_SIM_SEED=N` runs another seed; a run that fails prints its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, StatusCode, Transport};
use sip_sim::{Link, Network, NodeId};
use sip_transaction::{Config, Random, ServerKey};
use sip_ua::{
    Account, Agent, AgentConfig, AgentEvent, Authority, Body, CallKey, CallUpdate, Claim,
    Credentials, EndReason, LookedUp, Lookup, NonceKey, OutgoingCall, ServerAuthentication, Users,
};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What one end of a call saw.
#[derive(Debug, Default)]
struct End {
    /// The caller had a 2xx, or the callee its ACK.
    established: bool,
    ended: Option<EndReason>,
}

#[derive(Debug)]
struct Call {
    caller: End,
    caller_key: Option<CallKey>,
    /// None until the INVITE came through.
    callee: Option<End>,
    callee_key: Option<(NodeId, CallKey)>,
    plan: Plan,
}

/// What the two people at the ends do, and when.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// After the call was placed.
    caller_hangs_up: Option<Duration>,
    /// After the INVITE came.
    rings: Duration,
    /// After the INVITE came.
    answers: Option<(Duration, StatusCode)>,
    /// After the INVITE came.
    callee_hangs_up: Option<Duration>,
    /// The INVITE holds an offer.
    offers: bool,
    /// What rings holds a session description, so that it is sent reliably.
    rings_early_media: bool,
    /// After the INVITE came: the session is to be modified, by UPDATE or re-INVITE, by the caller or the callee.
    modifies: Option<(Duration, Side)>,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let mut within = |seconds: u32| MILLISECOND * random.below(seconds * 1000);
        let (rings, answer, caller, callee) = (within(1), within(8), within(16), within(16));
        let modifies = within(12);
        let answers = match random.below(20) {
            0 => None,
            1..=3 => Some((answer, StatusCode::BUSY_HERE)),
            _ => Some((answer, StatusCode::OK)),
        };
        let modifies = match random.below(3) {
            0 => None,
            1 => Some((modifies, Side::Caller)),
            _ => Some((modifies, Side::Callee)),
        };
        let who = random.below(10);
        Self {
            offers: random.below(4) > 0,
            rings_early_media: random.below(2) == 0,
            modifies,
            // A callee who never answers leaves it to the caller.
            caller_hangs_up: (who < 6 || answers.is_none()).then_some(caller),
            rings,
            answers,
            callee_hangs_up: (who >= 4).then_some(answer + callee),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Place,
    CallerHangsUp,
    Ring,
    Answer,
    CalleeHangsUp,
    Modify,
    /// Not of a call but of a lookup.
    LookUp,
}

struct Run {
    network: Network<Agent>,
    nodes: [NodeId; 2],
    account: Arc<Account>,
    transport: Transport,
    calls: Vec<Call>,
    by_key: HashMap<(NodeId, CallKey), (usize, Side)>,
    agenda: BinaryHeap<Reverse<(Instant, usize, Action)>>,
    lookups: Vec<Option<(NodeId, ServerKey, LookedUp)>>,
    random: Random,
    /// How many changes were begun, provisional responses acknowledged, changes made, and UPDATEs answered.
    modified: [usize; 4],
}

/// Where both ends look their users up; how long that takes is drawn.
struct Subscribers;

impl Users for Subscribers {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let known = claim.is_user("someone").then(|| Credentials::new("someone", "secret"));
        Lookup::later(std::future::ready(Ok(known)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

impl Run {
    fn new(seed: u64, calls: usize, per_second: u32, transport: Transport, link: Link) -> Self {
        let mut network = Network::new(seed, link);
        let mut random = Random::new([seed, 1]);
        let nodes = [1, 2].map(|last: u8| {
            let address = (transport, ([192, 0, 2, last], 5060).into());
            let seed = [random.next_u64(), random.next_u64()];
            let agent = Agent::new(AgentConfig::default(), seed);
            network.add(&[address], Config::default(), agent).unwrap()
        });
        let start = network.now();
        let spread = Duration::from_secs(calls as u64) / per_second;
        let micros = u32::try_from(spread.as_micros()).unwrap();
        let mut agenda = BinaryHeap::new();
        let calls = (0..calls)
            .map(|index| {
                let at = start + Duration::from_micros(random.below(micros).into());
                agenda.push(Reverse((at, index, Action::Place)));
                let plan = Plan::draw(&mut random);
                Call {
                    caller: End::default(),
                    caller_key: None,
                    callee: None,
                    callee_key: None,
                    plan,
                }
            })
            .collect();
        let account = Arc::new(Account::new("sip:someone@example.com".parse().unwrap()));
        let by_key = HashMap::new();
        let lookups = Vec::new();
        let modified = [0; 4];
        Self {
            network,
            nodes,
            account,
            transport,
            calls,
            by_key,
            agenda,
            lookups,
            random,
            modified,
        }
    }

    /// Both ends serve nobody whom they do not know, within calls too.
    fn guarded(mut self) -> Self {
        let credentials = Credentials::new("someone", "secret");
        let account = Account::new("sip:someone@example.com".parse().unwrap());
        self.account = Arc::new(account.credentials(credentials));
        for (node, realm) in self.nodes.into_iter().zip(["one", "two"]) {
            let account = Arc::clone(&self.account);
            self.network.with(node, |now, agent, _| {
                let authority = Authority::server(realm, NonceKey::new(&[7; 32]).unwrap()).unwrap();
                let guard = ServerAuthentication::new(authority, Subscribers).within_dialogs();
                agent.set_authentication(now, Duration::from_secs(1_735_689_600), Some(guard));
                agent.set_account(Some(account));
            });
        }
        self
    }

    /// Runs until nothing is left to happen.
    fn finish(&mut self) {
        loop {
            let next = self.agenda.peek().map(|Reverse((at, ..))| *at);
            // The longest wait in the stack is that of a 2xx for its ACK and a BYE after it.
            let until = next.unwrap_or(self.network.now() + Duration::from_secs(200));
            match self.network.next_event(until) {
                Some((node, event)) => self.event(node, event),
                None => match self.agenda.pop() {
                    Some(Reverse((_, index, action))) => self.act(index, action),
                    None => return,
                },
            }
        }
    }

    /// Who places call `index`, and who takes it.
    fn ends(&self, index: usize) -> (NodeId, NodeId) {
        let [one, two] = self.nodes;
        if index.is_multiple_of(2) { (one, two) } else { (two, one) }
    }

    fn later(&mut self, after: Option<Duration>, index: usize, action: Action) {
        if let Some(after) = after {
            self.agenda.push(Reverse((self.network.now() + after, index, action)));
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        if action == Action::LookUp {
            if let Some((node, key, found)) = self.lookups[index].take() {
                self.network.with(node, |now, agent, tx| agent.looked_up(now, tx, key, found));
            }
            return;
        }
        let plan = self.calls[index].plan;
        let callee = self.calls[index].callee_key;
        match (action, callee) {
            (Action::Place, _) => self.place(index),
            (Action::CallerHangsUp, _) => {
                let (node, _) = self.ends(index);
                let key = self.calls[index].caller_key.unwrap();
                // It may have ended meanwhile.
                let _ = self.network.with(node, |now, agent, tx| agent.hang_up(now, tx, key));
            }
            (Action::Ring, Some((node, key))) => {
                let _ = self.network.with(node, |now, agent, tx| {
                    let media = Body::sdp("v=0\r\n");
                    let media = plan.rings_early_media.then_some(&media);
                    agent.ring(now, tx, key, StatusCode::RINGING, media)
                });
            }
            (Action::Answer, Some((node, key))) => {
                let (_, status) = plan.answers.unwrap();
                let _ = self.network.with(node, |now, agent, tx| {
                    if status.is_success() {
                        agent.accept(now, tx, key, Some(&Body::sdp("v=0\r\n")), &[])
                    } else {
                        agent.reject(now, tx, key, status, &[])
                    }
                });
            }
            (Action::CalleeHangsUp, Some((node, key))) => {
                let _ = self.network.with(node, |now, agent, tx| agent.hang_up(now, tx, key));
            }
            (Action::Modify, Some(callee)) => {
                let caller = (self.ends(index).0, self.calls[index].caller_key.unwrap());
                let (node, key) = match plan.modifies.unwrap().1 {
                    Side::Caller => caller,
                    Side::Callee => callee,
                };
                // It may be too early, or too late.
                let begun = self.network.with(node, |now, agent, tx| {
                    agent.modify(now, tx, key, Some(&Body::sdp("v=0\r\n")))
                });
                self.modified[0] += usize::from(begun.is_some_and(|begun| begun.is_ok()));
            }
            (Action::Ring | Action::Answer | Action::CalleeHangsUp | Action::Modify, None) => {}
            (Action::LookUp, _) => {}
        }
    }

    fn place(&mut self, index: usize) {
        let (node, peer) = self.ends(index);
        let host = if peer == self.nodes[0] { "192.0.2.1" } else { "192.0.2.2" };
        let transport = self.transport.as_str().to_ascii_lowercase();
        let to = format!("sip:call-{index}@{host};transport={transport}").parse().unwrap();
        let mut outgoing = OutgoingCall::to(to).header("X-Call", index.to_string());
        outgoing.body = self.calls[index].plan.offers.then(|| Body::sdp("v=0\r\n"));
        let account = Arc::clone(&self.account);
        let placed =
            self.network.with(node, |now, agent, tx| agent.call(now, tx, &account, outgoing));
        let key = placed.unwrap().expect("the call is placed");
        self.calls[index].caller_key = Some(key);
        self.by_key.insert((node, key), (index, Side::Caller));
        self.later(self.calls[index].plan.caller_hangs_up, index, Action::CallerHangsUp);
    }

    fn event(&mut self, node: NodeId, event: AgentEvent) {
        match event {
            AgentEvent::Invitation { call, request, .. } => {
                let header = request.headers().raw(HeaderName::Other("X-Call")).unwrap();
                let index: usize = std::str::from_utf8(header).unwrap().parse().unwrap();
                let plan = self.calls[index].plan;
                assert!(self.calls[index].callee.is_none(), "call {index} came twice");
                self.calls[index].callee = Some(End::default());
                self.calls[index].callee_key = Some((node, call));
                self.by_key.insert((node, call), (index, Side::Callee));
                self.later(Some(plan.rings), index, Action::Ring);
                self.later(plan.answers.map(|(after, _)| after), index, Action::Answer);
                self.later(plan.callee_hangs_up, index, Action::CalleeHangsUp);
                self.later(plan.modifies.map(|(after, _)| after), index, Action::Modify);
            }
            AgentEvent::Call { call, update } => {
                let (index, side) = self.by_key[&(node, call)];
                let record = &mut self.calls[index];
                let end = match side {
                    Side::Caller => &mut record.caller,
                    Side::Callee => record.callee.as_mut().unwrap(),
                };
                assert!(end.ended.is_none(), "call {index}, {side:?}: {update:?} after its end");
                let body = Some(Body::sdp("v=0\r\n"));
                match update {
                    CallUpdate::Answered { answer_owed, .. } => {
                        end.established = true;
                        if answer_owed {
                            self.network.with(node, |now, agent, tx| {
                                agent.acknowledge(now, tx, call, body.as_ref()).unwrap();
                            });
                        }
                    }
                    CallUpdate::Confirmed { .. } => end.established = true,
                    CallUpdate::Ringing { answer_owed: true, .. }
                    | CallUpdate::Progress { answer_owed: true, .. } => {
                        self.network.with(node, |now, agent, tx| {
                            agent.answer_early(now, tx, call, None, body.as_ref()).unwrap();
                        });
                    }
                    CallUpdate::Acknowledged { .. } => self.modified[1] += 1,
                    CallUpdate::Modified { .. } => self.modified[2] += 1,
                    CallUpdate::Modification { request, .. } => {
                        let is_update = *request.method() == Method::Update;
                        self.modified[3] += usize::from(is_update);
                        // One of them in eight is not liked.
                        let status = match index % 8 {
                            0 => StatusCode::NOT_ACCEPTABLE_HERE,
                            _ => StatusCode::OK,
                        };
                        let body = body.filter(|_| status.is_success());
                        self.network.with(node, |now, agent, tx| {
                            agent
                                .answer_modification(now, tx, call, status, body.as_ref())
                                .unwrap();
                        });
                    }
                    CallUpdate::Ended(reason) => {
                        end.ended = Some(reason);
                        self.by_key.remove(&(node, call));
                    }
                    _ => {}
                }
            }
            AgentEvent::Lookup { key, pending } => {
                let mut context = Context::from_waker(Waker::noop());
                let Poll::Ready(found) = pin!(pending).poll(&mut context) else {
                    panic!("it is ready")
                };
                self.lookups.push(Some((node, key, found)));
                let after = MILLISECOND * self.random.below(1_000);
                self.later(Some(after), self.lookups.len() - 1, Action::LookUp);
            }
            other => panic!("{other:?} was not asked for"),
        }
    }

    /// How many calls ended in each way: caller's view / callee's view.
    fn check(&self) -> BTreeMap<String, usize> {
        let mut ways = BTreeMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            let Some(caller) = &call.caller.ended else { panic!("call {index}: {call:?}") };
            let callee = call
                .callee
                .as_ref()
                .map(|end| end.ended.as_ref().unwrap_or_else(|| panic!("call {index}: {call:?}")));
            assert!(agree(call, caller, callee), "call {index}: {call:?}");
            let callee = callee.map_or("never invited", name);
            *ways.entry(format!("{} / {callee}", name(caller))).or_default() += 1;
        }
        assert!(self.by_key.is_empty());
        assert!(self.network.is_quiet(), "timers or messages are left");
        for &node in &self.nodes {
            let endpoint = self.network.endpoint(node).unwrap();
            assert_eq!(endpoint.user().live(), Default::default());
            assert_eq!(endpoint.transactions().len(), 0);
            assert_eq!(endpoint.transactions().timers(), 0);
        }
        ways
    }
}

fn name(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Local => "we hung up",
        EndReason::Remote => "the peer hung up",
        EndReason::Cancelled => "we cancelled",
        EndReason::CancelledByPeer => "the peer cancelled",
        EndReason::Rejected(_) => "rejected",
        EndReason::TimedOut => "timed out",
        EndReason::NoAck => "no ACK",
        EndReason::NoPrack => "no PRACK",
        EndReason::PeerLost => "peer lost",
        other => panic!("{other:?} has no place in this simulation"),
    }
}

/// Whether what the two ends say of a call can both be true.
fn agree(call: &Call, caller: &EndReason, callee: Option<&EndReason>) -> bool {
    use EndReason::*;
    let Some(callee) = callee else {
        // The INVITE never arrived: nobody can have answered.
        return !call.caller.established && matches!(caller, Cancelled | TimedOut);
    };
    match caller {
        // Our BYE, or both at once.
        Local => matches!(callee, Remote | Local | NoAck | PeerLost) && call.caller.established,
        // Their BYE.
        Remote => matches!(callee, Local | NoAck | PeerLost) && call.caller.established,
        // CANCEL reached them in time; or crossed with a 2xx, and BYE followed; or with a refusal.
        Cancelled => {
            matches!(
                callee,
                CancelledByPeer | Remote | Local | NoAck | NoPrack | TimedOut | PeerLost
            )
        }
        Rejected(response) => match response.status() {
            StatusCode::BUSY_HERE => matches!(callee, Local),
            StatusCode::SERVER_TIMEOUT => matches!(callee, NoPrack),
            _ => matches!(callee, Local | TimedOut | CancelledByPeer),
        },
        // None of the answers came through: so no ACK went back either.
        TimedOut => !call.callee.as_ref().is_some_and(|end| end.established),
        // The BYE of one end had no answer; the other has hung up, or has lost us likewise.
        PeerLost => matches!(callee, Local | Remote | PeerLost | NoAck),
        _ => false,
    }
}

fn bad() -> Link {
    Link::default().with_loss(0.20).with_duplication(0.05).with_jitter(Duration::from_millis(200))
}

fn seed(default: u64) -> u64 {
    std::env::var("SIP_SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default)
}

fn run(
    seed: u64,
    calls: usize,
    transport: Transport,
    link: Link,
) -> (u64, BTreeMap<String, usize>) {
    finished(Run::new(seed, calls, 100, transport, link), seed)
}

fn finished(mut run: Run, seed: u64) -> (u64, BTreeMap<String, usize>) {
    let started = Instant::now();
    let calls = run.calls.len();
    run.finish();
    let ways = run.check();
    println!(
        "seed {seed}: {calls} calls, {} virtual, {:.1} s real, {:?}\n{ways:#?}",
        run.network.elapsed().as_secs(),
        started.elapsed().as_secs_f64(),
        run.network.counts(),
    );
    let [begun, acknowledged, modified, updates] = run.modified;
    println!("{begun} changes begun, {modified} made, {updates} UPDATEs; {acknowledged} PRACKs");
    // The plan covers what it is meant to cover.
    for count in run.modified {
        assert!(count >= calls / 40, "{:?}", run.modified);
    }
    (run.network.digest(), ways)
}

#[test]
fn ten_thousand_calls_over_a_bad_network_end_alike_at_both_ends_and_leave_nothing() {
    let (_, ways) = run(seed(2026), 10_000, Transport::Udp, bad());
    // The plan covers what it is meant to cover.
    for way in [
        "we hung up / the peer hung up",
        "the peer hung up / we hung up",
        "we cancelled / the peer cancelled",
        "we cancelled / the peer hung up",
        "rejected / we hung up",
    ] {
        assert!(ways.get(way).is_some_and(|count| *count >= 10), "{way}: {ways:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| run(seed, 300, Transport::Udp, bad()).0;
    assert_eq!(digest(seed(7)), digest(seed(7)));
    assert_ne!(digest(7), digest(8));
}

#[test]
fn calls_over_a_stream_fare_alike() {
    run(seed(3), 300, Transport::Tcp, bad());
}

/// Each request is challenged, looked up for a while, and let in once: a call that came twice would fail
/// the run, and so would one whose ends disagree.
#[test]
fn calls_between_guarded_ends_over_a_bad_network() {
    let run = Run::new(seed(5), 2_000, 100, Transport::Udp, bad()).guarded();
    let (_, ways) = finished(run, seed(5));
    for way in ["we hung up / the peer hung up", "we cancelled / never invited"] {
        assert!(ways.get(way).is_some_and(|count| *count >= 10), "{way}: {ways:#?}");
    }
}

#[test]
fn without_faults_every_call_ends_as_planned() {
    let (_, ways) = run(seed(4), 300, Transport::Udp, Link::default());
    let odd: Vec<_> =
        ways.keys().filter(|way| way.contains("timed") || way.contains("no ACK")).collect();
    assert!(odd.is_empty(), "{ways:#?}");
}
