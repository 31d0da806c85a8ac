//! Thousands of bridged calls over a bad network: whatever the ends do and when, all three agree in the end, and nothing is
//! left in any table.
//!
//! `SIP_SIM_SEED=N` runs another seed; a run that fails prints its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, StatusCode, Transport};
use sip_sim::Link;
use sip_transaction::Random;
use sip_ua::{
    Account, AgentEvent, BridgeUpdate, CallKey, CallUpdate, EndReason, OutgoingCall, Reliability,
};

use crate::harness::{ALICE, BOB, PBX, World, host, ms, name_of, sdp};

/// What one end of a call saw.
#[derive(Debug, Default)]
struct End {
    key: Option<CallKey>,
    established: bool,
    ended: Option<EndReason>,
    /// What the session is, as this end sees it: its own description, and that of the other.
    session: [String; 2],
    /// What it has offered, and has no answer to.
    offered: Option<String>,
    /// It has answered a re-INVITE by an offer.
    owed: Option<String>,
    /// It may be that the other end sees it otherwise: a change is under way, or was given up.
    changed: Option<Instant>,
    changes: u32,
}

#[derive(Debug)]
struct Call {
    ends: [End; 2],
    plan: Plan,
}

/// What the two people at the ends do, and when.
#[derive(Clone, Debug)]
struct Plan {
    caller_hangs_up: Option<Duration>,
    callee_hangs_up: Option<Duration>,
    rings: Duration,
    answers: Option<(Duration, StatusCode)>,
    offers: bool,
    early_media: bool,
    reliable: Option<Reliability>,
    /// When, who and how.
    changes: Vec<(Duration, usize, Change)>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// A re-INVITE with an offer.
    Offer,
    /// One without.
    Ask,
    Update,
    Info,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let mut within = |seconds: u32| ms(random.below(seconds * 1000).into());
        let (rings, answer, caller, callee) = (within(1), within(8), within(30), within(30));
        let times: Vec<Duration> = (0..4).map(|_| within(30)).collect();
        let answers = match random.below(20) {
            0 => None,
            1..=3 => Some((answer, StatusCode::BUSY_HERE)),
            4 => Some((answer, StatusCode::DECLINE)),
            _ => Some((answer, StatusCode::OK)),
        };
        let count = usize::try_from(random.below(5)).unwrap();
        let mut changes = Vec::new();
        for at in times.into_iter().take(count) {
            let kind = match random.below(7) {
                0..=2 => Change::Offer,
                3 => Change::Ask,
                4 | 5 => Change::Update,
                _ => Change::Info,
            };
            let who = random.below(3);
            // Both at once collide.
            let who = if who == 2 { vec![0, 1] } else { vec![usize::try_from(who).unwrap()] };
            changes.extend(who.into_iter().map(|who| (at, who, kind)));
        }
        let who = random.below(10);
        Self {
            caller_hangs_up: (who < 6 || answers.is_none()).then_some(caller),
            callee_hangs_up: (who >= 4).then_some(answer + callee),
            rings,
            answers,
            offers: random.below(4) > 0,
            early_media: random.below(2) == 0,
            reliable: [None, None, Some(Reliability::Never), Some(Reliability::Required)]
                [random.below(4) as usize],
            changes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Place,
    Ring,
    Answer,
    HangUp(usize),
    Change(usize),
}

struct Run {
    world: World,
    transport: Transport,
    calls: Vec<Call>,
    by_key: HashMap<(usize, CallKey), (usize, usize)>,
    agenda: BinaryHeap<Reverse<(Instant, usize, Action)>>,
    account: Arc<Account>,
    names: u32,
    counts: BTreeMap<&'static str, usize>,
}

impl Run {
    fn new(seed: u64, calls: usize, transport: Transport, link: Link) -> Self {
        let world = World::new(seed, link, transport);
        let mut random = Random::new([seed, 2]);
        let start = world.network.now();
        let mut agenda = BinaryHeap::new();
        let spread = u32::try_from(calls * 10).unwrap();
        let calls = (0..calls)
            .map(|index| {
                let at = start + ms(random.below(spread).into());
                agenda.push(Reverse((at, index, Action::Place)));
                Call { ends: Default::default(), plan: Plan::draw(&mut random) }
            })
            .collect();
        let account = Arc::new(Account::new("sip:someone@example.com".parse().unwrap()));
        let (by_key, counts) = (HashMap::new(), BTreeMap::new());
        Self { world, transport, calls, by_key, agenda, account, names: 0, counts }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        self.names.to_string()
    }

    /// At which node an end of a call is.
    fn node(index: usize, side: usize) -> usize {
        if (index + side).is_multiple_of(2) { ALICE } else { BOB }
    }

    fn later(&mut self, after: Option<Duration>, index: usize, action: Action) {
        if let Some(after) = after {
            let at = self.world.network.now() + after;
            self.agenda.push(Reverse((at, index, action)));
        }
    }

    fn finish(&mut self) {
        loop {
            let next = self.agenda.peek().map(|Reverse((at, ..))| *at);
            let until = next.unwrap_or(self.world.network.now() + Duration::from_secs(300));
            match self.world.next(until) {
                Some((PBX, event)) => {
                    let AgentEvent::Invitation { sender, .. } = &event else {
                        panic!("{event:?} was not asked for")
                    };
                    let from_alice = sender.flow().remote.ip().to_string() == host(ALICE);
                    self.world.tie(&event, if from_alice { BOB } else { ALICE });
                }
                Some((end, event)) => self.event(end, event),
                None => match self.agenda.pop() {
                    Some(Reverse((_, index, action))) => self.act(index, action),
                    None => return,
                },
            }
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        let plan = self.calls[index].plan.clone();
        let key_of = |run: &Self, side: usize| run.calls[index].ends[side].key;
        match action {
            Action::Place => self.place(index),
            Action::Ring => {
                let Some(key) = key_of(self, 1) else { return };
                let media = plan.early_media.then(|| sdp(&self.calls[index].ends[1].session[0]));
                let _ = self.world.tell(Self::node(index, 1), |agent, now, tx| {
                    agent.ring(now, tx, key, StatusCode::RINGING, media.as_ref())
                });
            }
            Action::Answer => {
                let (Some(key), Some((_, status))) = (key_of(self, 1), plan.answers) else {
                    return;
                };
                let body = sdp(&self.calls[index].ends[1].session[0]);
                let _ = self.world.tell(Self::node(index, 1), |agent, now, tx| {
                    if status.is_success() {
                        agent.accept(now, tx, key, Some(&body), &[])
                    } else {
                        agent.reject(now, tx, key, status, &[])
                    }
                });
            }
            Action::HangUp(side) => {
                let Some(key) = key_of(self, side) else { return };
                self.check_session(index);
                let node = Self::node(index, side);
                let _ = self.world.tell(node, |agent, now, tx| agent.hang_up(now, tx, key));
            }
            Action::Change(number) => self.change(index, plan.changes[number]),
        }
    }

    fn change(&mut self, index: usize, (_, side, change): (Duration, usize, Change)) {
        let Some(key) = self.calls[index].ends[side].key else { return };
        let (node, name) = (Self::node(index, side), self.name());
        let offer = sdp(&name);
        let begun = self.world.tell(node, |agent, now, tx| match change {
            Change::Offer => agent.reinvite(now, tx, key, Some(&offer)),
            Change::Ask => agent.reinvite(now, tx, key, None),
            Change::Update => agent.update_session(now, tx, key, None, Some(&offer)),
            Change::Info => {
                let body = Some(&offer);
                agent.send(now, tx, key, Method::Info, body, &[]).map(drop)
            }
        });
        // It may be too early, or too late.
        if begun.is_err() {
            return;
        }
        let now = self.world.network.now();
        let end = &mut self.calls[index].ends[side];
        let kind = match change {
            Change::Offer => "re-INVITEs with an offer",
            Change::Ask => "re-INVITEs without",
            Change::Update => "UPDATEs",
            Change::Info => "INFOs",
        };
        *self.counts.entry(kind).or_default() += 1;
        if let Change::Offer | Change::Update = change {
            end.offered = Some(name);
        }
        if !matches!(change, Change::Info) {
            end.changed = Some(now);
            end.changes += 1;
        }
    }

    /// When all has been calm for long, the ends see the same session.
    fn check_session(&mut self, index: usize) {
        let now = self.world.network.now();
        let [caller, callee] = &self.calls[index].ends;
        let calm = |end: &End| {
            end.established
                && end.ended.is_none()
                && end.offered.is_none()
                && end.owed.is_none()
                && end.changed.is_some_and(|at| now > at + Duration::from_secs(8))
        };
        if calm(caller) && calm(callee) {
            let [mine, theirs] = &caller.session;
            assert_eq!([theirs, mine], [&callee.session[0], &callee.session[1]], "call {index}");
            *self.counts.entry("sessions compared").or_default() += 1;
            if caller.changes + callee.changes > 0 {
                *self.counts.entry("of them changed").or_default() += 1;
            }
        }
    }

    fn place(&mut self, index: usize) {
        let name = self.name();
        let plan = self.calls[index].plan.clone();
        let transport = self.transport.as_str().to_ascii_lowercase();
        let to = format!("sip:call-{index}@{};transport={transport}", host(PBX)).parse().unwrap();
        let mut outgoing = OutgoingCall::to(to).header("X-Call", index.to_string());
        outgoing.body = plan.offers.then(|| sdp(&name));
        outgoing.reliable = plan.reliable;
        self.calls[index].ends[0].session[0] = name;
        let (node, account) = (Self::node(index, 0), Arc::clone(&self.account));
        let key = self.world.tell(node, |agent, now, tx| agent.call(now, tx, &account, outgoing));
        let key = key.expect("the call is placed");
        self.calls[index].ends[0].key = Some(key);
        self.by_key.insert((node, key), (index, 0));
        self.later(plan.caller_hangs_up, index, Action::HangUp(0));
    }

    fn event(&mut self, node: usize, event: AgentEvent) {
        match event {
            AgentEvent::Invitation { call, request, .. } => {
                let header = request.headers().raw(HeaderName::Other("X-Call")).unwrap();
                let index: usize = std::str::from_utf8(header).unwrap().parse().unwrap();
                let plan = self.calls[index].plan.clone();
                assert!(self.calls[index].ends[1].key.is_none(), "call {index} came twice");
                let name = self.name();
                let end = &mut self.calls[index].ends[1];
                end.key = Some(call);
                end.session = [name, name_of(request.body())];
                self.by_key.insert((node, call), (index, 1));
                self.later(Some(plan.rings), index, Action::Ring);
                self.later(plan.answers.map(|(after, _)| after), index, Action::Answer);
                self.later(plan.callee_hangs_up, index, Action::HangUp(1));
                for (number, (after, ..)) in plan.changes.iter().enumerate() {
                    self.later(Some(*after), index, Action::Change(number));
                }
            }
            AgentEvent::Call { call, update } => self.update(node, call, update),
            AgentEvent::Request { key, request, .. } => {
                assert_eq!(*request.method(), Method::Info);
                *self.counts.entry("INFOs that arrived").or_default() += 1;
                let _ = self.world.tell(node, |agent, now, tx| {
                    agent.reply(now, tx, key, StatusCode::OK, None, &[])
                });
            }
            AgentEvent::Response { .. } => {}
            other => panic!("{other:?} was not asked for"),
        }
    }

    fn update(&mut self, node: usize, call: CallKey, update: CallUpdate) {
        let (index, side) = self.by_key[&(node, call)];
        let now = self.world.network.now();
        let mut fresh = self.name();
        let end = &mut self.calls[index].ends[side];
        assert!(end.ended.is_none(), "call {index}, {side}: {update:?} after its end");
        match update {
            CallUpdate::Answered { answer_owed, response } => {
                end.established = true;
                end.changed = Some(now);
                if !response.body().is_empty() {
                    end.session[1] = name_of(response.body());
                }
                if answer_owed {
                    let body = sdp(&end.session[0]);
                    self.world.tell(node, |agent, now, tx| {
                        agent.acknowledge(now, tx, call, Some(&body)).unwrap();
                    });
                }
            }
            CallUpdate::Confirmed { ack } => {
                end.established = true;
                end.changed = Some(now);
                if let Some(ack) = ack {
                    end.session[1] = name_of(ack.body());
                }
            }
            CallUpdate::Ringing { answer_owed, response, early }
            | CallUpdate::Progress { answer_owed, response, early } => {
                if !response.body().is_empty() {
                    end.session[1] = name_of(response.body());
                }
                if answer_owed {
                    let body = sdp(&end.session[0]);
                    self.world.tell(node, |agent, now, tx| {
                        agent.answer_early(now, tx, call, Some(early), Some(&body)).unwrap();
                    });
                }
            }
            CallUpdate::Acknowledged { prack } => {
                if let Some(prack) = prack {
                    end.session[1] = name_of(prack.body());
                }
                *self.counts.entry("PRACKs").or_default() += 1;
            }
            CallUpdate::Modified { response, answer_owed } => {
                *self.counts.entry("changes made").or_default() += 1;
                end.changed = Some(now);
                if answer_owed {
                    end.session = [fresh.clone(), name_of(response.body())];
                    let body = sdp(&fresh);
                    self.world.tell(node, |agent, now, tx| {
                        agent.acknowledge(now, tx, call, Some(&body)).unwrap();
                    });
                } else {
                    end.session = [end.offered.take().unwrap(), name_of(response.body())];
                }
            }
            CallUpdate::ModificationFailed { .. } => {
                *self.counts.entry("changes refused").or_default() += 1;
                end.offered = None;
                end.changed = Some(now);
            }
            CallUpdate::ModificationConfirmed { ack } => {
                // Whoever gives up a call whose other end has not answered acknowledges without an answer.
                if let (Some(own), Some(ack)) = (end.owed.take(), ack) {
                    end.session = [own, name_of(ack.body())];
                }
                end.changed = Some(now);
            }
            CallUpdate::Modification { request, .. } => {
                end.changed = Some(now);
                // One of them in eight is not liked.
                let status = match index % 8 {
                    0 => StatusCode::NOT_ACCEPTABLE_HERE,
                    _ => StatusCode::OK,
                };
                let offered = name_of(request.body());
                if status.is_success() {
                    if request.body().is_empty() {
                        end.owed = Some(fresh.clone());
                    } else {
                        end.session = [fresh.clone(), offered];
                    }
                } else {
                    fresh.clear();
                }
                let body = status.is_success().then(|| sdp(&fresh));
                self.world.tell(node, |agent, now, tx| {
                    agent.answer_modification(now, tx, call, status, body.as_ref()).unwrap();
                });
            }
            CallUpdate::ModificationWithdrawn => end.owed = None,
            CallUpdate::Ended(reason) => {
                end.ended = Some(reason);
                self.by_key.remove(&(node, call));
            }
            _ => {}
        }
    }

    /// How many calls ended in each way: caller's view / callee's view.
    fn check(&self) -> BTreeMap<String, usize> {
        let mut ways = BTreeMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            let [caller, callee] = &call.ends;
            let Some(caller) = &caller.ended else { panic!("call {index}: {call:?}") };
            assert!(callee.key.is_some() == callee.ended.is_some(), "call {index}: {call:?}");
            assert!(agree(call, caller, callee.ended.as_ref()), "call {index}: {call:?}");
            let callee = callee.ended.as_ref().map_or("never invited", EndReason::name);
            *ways.entry(format!("{} / {callee}", caller.name())).or_default() += 1;
        }
        assert!(self.by_key.is_empty());
        self.world.nothing_left();
        let ended = self.world.ended.iter();
        let ended = ended.filter(|(_, update)| matches!(update, BridgeUpdate::Ended { .. }));
        assert!(ended.count() <= self.calls.len());
        ways
    }
}

/// Whether what the two ends say of a call can both be true, with somebody between them.
fn agree(call: &Call, caller: &EndReason, callee: Option<&EndReason>) -> bool {
    use EndReason::*;
    let [one, two] = &call.ends;
    // Nobody is in a call with somebody who is not.
    if one.established
        && !two.established
        && !matches!(callee, Some(NoAck | Remote | PeerLost | Local))
    {
        return false;
    }
    let Some(callee) = callee else {
        return !one.established;
    };
    match caller {
        Local => one.established,
        Remote => one.established && matches!(callee, Local | Remote | NoAck | PeerLost | NoPrack),
        Cancelled => !one.established,
        Rejected(response) => match response.status() {
            StatusCode::BUSY_HERE | StatusCode::DECLINE => matches!(callee, Local),
            _ => !one.established,
        },
        TimedOut => !one.established,
        PeerLost => one.established,
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
    println!("seed {seed}");
    let mut run = Run::new(seed, calls, transport, link);
    run.finish();
    let ways = run.check();
    println!("{ways:#?}\n{:#?}", run.counts);
    for (what, count) in &run.counts {
        assert!(*count >= calls / 50, "{what}: {count}");
    }
    assert_eq!(run.counts.len(), 10, "{:?}", run.counts);
    (run.world.network.digest(), ways)
}

#[test]
fn thousands_of_calls_over_a_bad_network_end_alike_on_both_sides_and_leave_nothing() {
    let (_, ways) = run(seed(2026), 3_000, Transport::Udp, bad());
    for way in
        ["local / remote", "remote / local", "cancelled / cancelled_by_peer", "rejected / local"]
    {
        assert!(ways.get(way).is_some_and(|count| *count >= 10), "{way}: {ways:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| run(seed, 200, Transport::Udp, bad()).0;
    assert_eq!(digest(seed(7)), digest(seed(7)));
}

#[test]
fn calls_over_a_stream_fare_alike() {
    run(seed(3), 300, Transport::Tcp, bad());
}

#[test]
fn without_faults_every_call_ends_as_planned() {
    let (_, ways) = run(seed(4), 500, Transport::Udp, Link::default());
    let odd: Vec<_> = ways
        .keys()
        .filter(|way| ["timed", "no_ack", "lost", "no_prack"].iter().any(|odd| way.contains(odd)))
        .collect();
    assert!(odd.is_empty(), "{ways:#?}");
}
