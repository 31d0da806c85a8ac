//! Two proxies, of which the second can do a hundred requests a second, and more than that comes.
//!
//! ```text
//!   caller --> edge (as fast as need be) --> core (100 requests/s) --> callee
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport, Uri, Via};
use sip_proxy::{Proxy, ProxyConfig, ProxyEvent, Route, RouteTarget, Router};
use sip_sim::{Either, Link, Listener, Network, NodeId};
use sip_transaction::{
    ClientKey, Config, Event, Load, NextHop, ServerKey, TransactionUser, Transactions,
};
use sip_transport::{Flow, Target};

const DOMAIN: &str = "example.com";
const CAPACITY: u32 = 100;

/// Sends everything of the domain to one place.
struct To(Target);

impl Router for To {
    fn route(&mut self, _: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        let target = RouteTarget::new(request.uri().unwrap().to_static());
        Route::groups(vec![vec![target.over(NextHop::Target(self.0))]])
    }
}

/// A proxy on a machine that takes its time: what comes while it is at work waits in a queue.
struct Slow {
    proxy: Proxy<To>,
    /// What a request takes, and what it takes to turn one away.
    cost: Duration,
    rejection: Duration,
    queue: VecDeque<Event>,
    busy_until: Option<Instant>,
    /// Work done since the last sample, and when that was.
    worked: Duration,
    sampled: Option<Instant>,
    measures: bool,
}

/// Timers of its own, of numbers that no transaction has.
const DONE: u64 = u64::MAX;
const SAMPLE: u64 = u64::MAX - 1;
const INTERVAL: Duration = Duration::from_millis(100);

impl Slow {
    fn new(proxy: Proxy<To>, per_second: Option<u32>, measures: bool) -> Self {
        let cost = per_second.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate);
        Self {
            proxy,
            cost,
            rejection: cost / 10,
            queue: VecDeque::new(),
            busy_until: None,
            worked: Duration::ZERO,
            sampled: None,
            measures,
        }
    }

    fn work(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        let is_request = matches!(event, Event::Request { .. });
        let rejected = self.proxy.rejected();
        self.proxy.handle(now, event, tx);
        if is_request {
            let cost = if self.proxy.rejected() > rejected { self.rejection } else { self.cost };
            self.worked += cost;
            self.busy_until = Some(now + cost);
            tx.arm(now, cost, DONE);
        }
    }

    fn sample(&mut self, now: Instant, tx: &mut Transactions) {
        let busy = self.worked.as_secs_f64() / INTERVAL.as_secs_f64();
        let waits = self.cost * u32::try_from(self.queue.len()).unwrap();
        if self.measures {
            self.proxy.sample(now, tx, Load::busy(busy).delay(waits));
        }
        self.worked = Duration::ZERO;
        self.sampled = Some(now);
        tx.arm(now, INTERVAL, SAMPLE);
    }
}

impl TransactionUser for Slow {
    type Event = ProxyEvent;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        if self.sampled.is_none() {
            self.sample(now, tx);
        }
        match event {
            Event::Timer { token: SAMPLE } => self.sample(now, tx),
            Event::Timer { token: DONE } => {
                self.busy_until = None;
                if let Some(event) = self.queue.pop_front() {
                    self.work(now, event, tx);
                }
            }
            event @ Event::Request { .. } if self.busy_until.is_some() => {
                self.queue.push_back(event);
            }
            event => self.work(now, event, tx),
        }
    }

    fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.proxy.poll_event()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    New,
    InDialog,
    Emergency,
    Urgent,
}

/// What became of the requests of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u32,
    /// Answered by 200 in time for anybody to care.
    served: u32,
    refused: u32,
    /// Of those, how many named a time to come back.
    retry_after: u32,
}

struct World {
    network: Network<Either<Listener, Slow>>,
    caller: NodeId,
    core: NodeId,
    callee: NodeId,
    number: u32,
    pending: HashMap<ClientKey, (Kind, Instant)>,
    tally: HashMap<Kind, Tally>,
    /// Each `oc` that the caller's side of the core showed, and each topmost Via of a request at the core.
    demands: Vec<u32>,
    /// What those get that are not served.
    refusal: StatusCode,
}

/// Longer than that nobody waits.
const PATIENCE: Duration = Duration::from_secs(2);

impl World {
    /// `edge`, `core`: whether they take part in overload control; `measures`: the core knows its load.
    fn new(edge: bool, core: bool, measures: bool) -> Self {
        let mut network = Network::new(3, Link::default().with_delay(Duration::from_millis(5)));
        let at = |last: u8| [(Transport::Udp, ([192, 0, 2, last], 5060).into())];
        let target = |last: u8| Target::new(Transport::Udp, ([192, 0, 2, last], 5060).into());
        let config = |part| Config::default().overload_control(part).prefer_resource("ets");
        let proxy = |to| Proxy::new(ProxyConfig::default().domain(DOMAIN), To(target(to)));
        let listener = || Either::A(Listener::default());
        let caller = network.add(&at(1), Config::default(), listener()).unwrap();
        let first = Slow::new(proxy(3), None, false);
        network.add(&at(2), config(edge), Either::B(first)).unwrap();
        let second = Slow::new(proxy(4), Some(CAPACITY), measures);
        let core = network.add(&at(3), config(core), Either::B(second)).unwrap();
        let callee = network.add(&at(4), Config::default(), listener()).unwrap();
        let (pending, tally, demands) = Default::default();
        let refusal = StatusCode::SERVICE_UNAVAILABLE;
        Self { network, caller, core, callee, number: 0, pending, tally, demands, refusal }
    }

    /// So many new requests a second, and of each other kind so many.
    fn run(&mut self, seconds: u32, new: u32, others: &[(Kind, u32)]) -> HashMap<Kind, Tally> {
        self.tally.clear();
        let start = self.network.now();
        let mut due: Vec<(Kind, Duration, Instant)> = [(Kind::New, new)]
            .iter()
            .chain(others)
            .map(|&(kind, rate)| (kind, Duration::from_secs(1) / rate, start))
            .collect();
        loop {
            let next = due.iter_mut().min_by_key(|(_, _, at)| *at).unwrap();
            let (kind, interval, at) = *next;
            next.2 = at + interval;
            let end = start + Duration::from_secs(seconds.into());
            self.until(at.min(end));
            if at >= end {
                return self.tally.clone();
            }
            self.send(kind);
        }
    }

    fn until(&mut self, end: Instant) {
        while let Some((node, event)) = self.network.next_event(end) {
            let Either::A(event) = event else { continue };
            match event {
                Event::Request { key, request, .. } if node == self.callee => {
                    assert_no_overload_control(&request);
                    self.answer(key, &request);
                }
                Event::Response { key, response, .. } if node == self.caller => {
                    self.answered(key, &response);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, key: ServerKey, request: &Request) {
        let ok = Response::to_request(request, StatusCode::OK).to_tag("2").build().unwrap();
        self.network.with(self.callee, |now, _, tx| tx.respond(now, key, ok)).unwrap().unwrap();
    }

    fn answered(&mut self, key: ClientKey, response: &Response) {
        // The edge speaks to a caller that takes no part: it says nothing of loss, its own or another's.
        assert!(response.get_all::<Via<'_>>().flatten().all(|via| !via.has_oc()));
        if response.status().is_provisional() {
            return;
        }
        let Some((kind, sent)) = self.pending.remove(&key) else { return };
        let tally = self.tally.entry(kind).or_default();
        let now = self.network.now();
        if response.status() == StatusCode::OK {
            tally.served += u32::from(now - sent <= PATIENCE);
        } else {
            assert_eq!(response.status(), self.refusal);
            tally.refused += 1;
            tally.retry_after += u32::from(response.headers().contains(HeaderName::RetryAfter));
        }
        let core = self.network.endpoint(self.core).unwrap();
        self.demands.push(core.transactions().demanded_loss());
    }

    fn send(&mut self, kind: Kind) {
        self.number += 1;
        let uri: Uri<'static> = "sip:bob@example.com".parse().unwrap();
        let tag = if kind == Kind::InDialog { ";tag=b" } else { "" };
        let to = match kind {
            Kind::Emergency => "<urn:service:sos.fire>".to_owned(),
            _ => format!("<sip:bob@example.com>{tag}"),
        };
        let mut builder = Request::builder(Method::Message, &uri)
            .raw(HeaderName::MaxForwards, "70")
            .raw(HeaderName::From, "<sip:alice@example.com>;tag=a")
            .raw(HeaderName::To, to)
            .raw(HeaderName::CallId, format!("{}@192.0.2.1", self.number))
            .raw(HeaderName::CSeq, "1 MESSAGE");
        if kind == Kind::Urgent {
            builder = builder.raw(HeaderName::ResourcePriority, "ets.1");
        }
        let request = builder.build().unwrap();
        let edge = Target::new(Transport::Udp, ([192, 0, 2, 2], 5060).into());
        let key = self
            .network
            .with(self.caller, |now, _, tx| tx.request(now, request, NextHop::Target(edge)))
            .unwrap()
            .unwrap();
        self.pending.insert(key, (kind, self.network.now()));
        self.tally.entry(kind).or_default().sent += 1;
    }
}

/// What the callee sees of a request holds no demand and no offer but that of the last hop.
fn assert_no_overload_control(request: &Request) {
    for (at, via) in request.get_all::<Via<'_>>().enumerate() {
        let via = via.unwrap();
        assert!(!via.has_oc() || at == 0 && via.oc() == Some(None), "{via}");
        // RFC 7339 §4.3: "it
        // MUST NOT be inserted by the SIP client in a request."
        assert!(via.param("oc-validity").is_none() && via.oc_seq().is_none(), "{via}");
    }
}

const PREFERRED: [(Kind, u32); 3] = [(Kind::InDialog, 10), (Kind::Emergency, 3), (Kind::Urgent, 3)];

#[test]
fn goodput_stays_flat_however_far_beyond_the_capacity_the_offer_is() {
    for offered in [150, 200, 400, 800] {
        let mut world = World::new(true, true, true);
        // In the first seconds the loss is found, and the shares of the categories.
        world.run(6, offered, &PREFERRED);
        let tally = world.run(20, offered, &PREFERRED);
        let served: u32 = tally.values().map(|tally| tally.served).sum();
        let goodput = served / 20;
        assert!((70..=CAPACITY).contains(&goodput), "{goodput} of {offered}: {tally:?}");
        for (kind, _) in PREFERRED {
            let Tally { sent, served, .. } = tally[&kind];
            assert!(served + 2 >= sent, "{kind:?} at {offered}: {served} of {sent}");
        }
        // RFC 7339 §5.10: "it will need to reject these requests with a "503
        // (Service Unavailable)" response without the Retry-After header."
        assert_eq!(tally[&Kind::New].retry_after, 0);
        assert!(tally[&Kind::New].refused > 20 * (offered - CAPACITY) / 2);
    }
}

#[test]
fn without_overload_control_hardly_anything_is_served_in_time() {
    let mut world = World::new(false, false, false);
    world.run(6, 400, &PREFERRED);
    let tally = world.run(20, 400, &PREFERRED);
    let served: u32 = tally.values().map(|tally| tally.served).sum();
    assert!(served / 20 < 10, "{tally:?}");
}

#[test]
fn below_the_capacity_nobody_is_refused_and_after_a_rush_nobody_is_any_more() {
    let mut world = World::new(true, true, true);
    let tally = world.run(10, 50, &PREFERRED);
    assert_eq!(tally.values().map(|tally| tally.refused).sum::<u32>(), 0, "{tally:?}");
    world.run(5, 400, &PREFERRED);
    assert!(world.demands.iter().any(|loss| *loss > 50), "{:?}", world.demands);
    world.run(10, 50, &PREFERRED);
    let tally = world.run(10, 50, &PREFERRED);
    assert_eq!(tally.values().map(|tally| tally.refused).sum::<u32>(), 0, "{tally:?}");
    assert_eq!(world.demands.last(), Some(&0));
}

#[test]
fn who_takes_no_part_is_turned_away_at_the_door_and_the_preferred_pass() {
    let mut world = World::new(false, true, true);
    // Of the 503 of the core the edge, which knows nothing of its load, makes this (RFC 3261 §16.7).
    world.refusal = StatusCode::SERVER_INTERNAL_ERROR;
    world.run(6, 300, &PREFERRED);
    let tally = world.run(20, 300, &PREFERRED);
    let served: u32 = tally.values().map(|tally| tally.served).sum();
    assert!(served / 20 >= 40, "{tally:?}");
    for (kind, _) in PREFERRED {
        let Tally { sent, served, .. } = tally[&kind];
        assert!(served + 2 >= sent, "{kind:?}: {served} of {sent}");
    }
    let new = tally[&Kind::New];
    assert!(new.refused > 0 && new.retry_after == 0, "{new:?}");
}
