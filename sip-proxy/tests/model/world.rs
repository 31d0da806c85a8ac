//! Plays a script: three phones around a forking proxy, and what each of their users saw.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_message::{HeaderName, Method, Request, StatusCode, Transport, Uri};
use sip_proxy::{Proxy, ProxyConfig, Route};
use sip_sim::{Either, Link, Network, NodeId};
use sip_transaction::{Config, Random, ServerKey, Transactions};
use sip_ua::{
    Account, Agent, AgentConfig, AgentError, AgentEvent, Body, CallKey, CallState, CallUpdate,
    EarlyId, EndReason, Grant, NotifierConfig, NotifierKey, NotifierUpdate, OutgoingCall, ReferKey,
    ReferOutcome, ReferUpdate, Reliability, RequestKey, SessionTimerPolicy, SubscriberConfig,
    SubscriptionEvent, SubscriptionKey, SubscriptionUpdate, SubscriptionWish, TerminationReason,
};

use crate::script::{
    Act, Answers, Manner, NAMES, PHONES, Pick, Reliable, Script, Step, To, Weather, What,
};

type Decide = Box<dyn FnMut(&Request) -> Route>;
type Node = Either<Agent, Proxy<Decide>>;

const PROXY: u8 = 1;
const DOMAIN: &str = "example.com";
const EVENT: &str = "x-state";
/// After the last step: longer than anything may ring, wait for an answer or last without a refresh.
const REST: Duration = Duration::from_secs(260);

pub struct World {
    pub network: Network<Node>,
    proxy: NodeId,
    pub phones: Vec<Phone>,
    script: Script,
    random: Random,
    agenda: BinaryHeap<Reverse<(Instant, usize)>>,
    duties: Vec<Duty>,
    pub calls: Vec<Call>,
    by_key: HashMap<(usize, CallKey), usize>,
    pub subscriptions: Vec<Subscribed>,
    pub notifiers: Vec<Notifying>,
    refers: HashMap<(usize, ReferKey), bool>,
    requests: HashMap<(usize, RequestKey), bool>,
    numbers: u32,
    pub log: Vec<(Duration, String)>,
    pub faults: Vec<String>,
    /// How often what happened: a plan that covers nothing shows nothing.
    pub seen: BTreeMap<&'static str, u32>,
}

pub struct Phone {
    node: NodeId,
    manner: Manner,
    account: Arc<Account>,
    /// Every address that it ever had.
    pub addresses: Vec<SocketAddr>,
}

/// What one user knows of one call.
pub struct Call {
    pub phone: usize,
    pub key: CallKey,
    /// The same at both ends.
    pub number: u32,
    pub placed: bool,
    /// Of the INVITE that came.
    cseq: Option<u32>,
    pub established: bool,
    pub ended: Option<EndReason>,
    /// The peer has yet to be told of another address.
    pub relocates: bool,
    /// It is being told.
    relocating: bool,
    owed: Vec<Duty>,
}

/// A subscription at the one who is told.
pub struct Subscribed {
    pub phone: usize,
    pub key: SubscriptionKey,
    pub number: u32,
    pub is_active: bool,
    pub is_over: bool,
    pub told: Option<String>,
}

/// And at the one who tells.
pub struct Notifying {
    pub phone: usize,
    pub key: NotifierKey,
    pub number: u32,
    pub is_over: bool,
    pub state: String,
}

/// What somebody owes, or what is to happen by itself.
#[derive(Clone, Debug)]
enum Duty {
    Acknowledge { call: usize },
    AnswerEarly { call: usize, early: EarlyId },
    Modification { call: usize, refuse: bool },
    Reply { phone: usize, key: ServerKey },
    Grant { phone: usize, key: ServerKey, number: u32 },
    Referral { phone: usize, refer: ReferKey, way: u32 },
    Relocate { call: usize },
    Heal { one: NodeId, other: NodeId },
}

pub fn home(phone: usize) -> SocketAddr {
    ([192, 0, 2, 10 + phone as u8], 5060).into()
}

fn away(phone: usize) -> SocketAddr {
    ([192, 0, 2, 100 + phone as u8], 5060).into()
}

pub fn name_of(address: SocketAddr) -> String {
    let phone = (0..PHONES).find(|phone| [home(*phone), away(*phone)].contains(&address));
    match phone {
        Some(phone) => NAMES[phone].to_owned(),
        None => "proxy".to_owned(),
    }
}

/// Of the phones that a user of the domain has.
fn decide(request: &Request) -> Route {
    let at = |phone: usize| -> Uri<'static> {
        format!("sip:{}@{}", NAMES[phone], home(phone).ip()).parse().unwrap()
    };
    let user = request.uri().ok().and_then(|uri| uri.user().map(str::to_owned)).unwrap_or_default();
    if let Some(phone) = NAMES.iter().position(|name| *name == user) {
        return Route::to(at(phone));
    }
    let others = |of: &str| {
        let caller = of.parse::<usize>().unwrap_or(0);
        (0..PHONES).filter(move |phone| *phone != caller).map(at)
    };
    match user.split_once('-') {
        Some(("team", of)) => Route::parallel(others(of)),
        Some(("hunt", of)) => Route::serial(others(of)),
        _ => Route::reply(StatusCode::NOT_FOUND),
    }
}

fn link(weather: Weather) -> Link {
    let fair = Link::default().with_jitter(Duration::from_millis(15));
    match weather {
        Weather::Fair => fair,
        Weather::Rain => {
            fair.with_loss(0.05).with_duplication(0.03).with_jitter(Duration::from_millis(80))
        }
        Weather::Storm => {
            fair.with_loss(0.20).with_duplication(0.05).with_jitter(Duration::from_millis(400))
        }
    }
}

fn config(manner: &Manner) -> AgentConfig {
    let timer = SessionTimerPolicy::default();
    let timer = if manner.short_sessions { timer.interval(Some(90)) } else { timer };
    AgentConfig::default()
        .reliable(match manner.reliable {
            Reliable::Supported => Reliability::Supported,
            Reliable::Never => Reliability::Never,
            Reliable::Required => Reliability::Required,
        })
        .supported(
            ["replaces", "join", "norefersub", "nosub", "tdialog"].map(str::to_owned).to_vec(),
        )
        .event_packages(vec![EVENT.to_owned()])
        .ringing_limit(Duration::from_secs(70))
        .session_timer(Some(timer))
}

impl World {
    pub fn new(script: &Script) -> Self {
        let mut network = Network::new(script.seed, link(script.weather));
        network.record();
        let udp = |address: SocketAddr| [(Transport::Udp, address)];
        let decide: Decide = Box::new(decide);
        let proxy = Either::B(Proxy::new(ProxyConfig::default().domain(DOMAIN), decide));
        let address: SocketAddr = ([192, 0, 2, PROXY], 5060).into();
        let proxy = network.add(&udp(address), Config::default(), proxy).unwrap();
        network.host(DOMAIN, &[address.ip()]);
        let mut phones = Vec::new();
        for (index, manner) in script.manners.iter().enumerate() {
            let identity = format!("sip:{}@{DOMAIN}", NAMES[index]).parse().unwrap();
            let account = Arc::new(Account::new(identity));
            let mut agent = Agent::new(config(manner), [script.seed, index as u64]);
            agent.set_account(Some(Arc::clone(&account)));
            let node = network.add(&udp(home(index)), Config::default(), Either::A(agent)).unwrap();
            let addresses = vec![home(index), away(index)];
            phones.push(Phone { node, manner: *manner, account, addresses });
        }
        Self {
            network,
            proxy,
            phones,
            script: script.clone(),
            random: Random::new([script.seed, 2]),
            agenda: BinaryHeap::new(),
            duties: Vec::new(),
            calls: Vec::new(),
            by_key: HashMap::new(),
            subscriptions: Vec::new(),
            notifiers: Vec::new(),
            refers: HashMap::new(),
            requests: HashMap::new(),
            numbers: 0,
            log: Vec::new(),
            faults: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The script, and then a while in which the weather is fair and nobody does anything.
    pub fn play(&mut self) {
        for Step { at, act } in self.script.steps.clone() {
            let wait = Duration::from_millis(at.into()).saturating_sub(self.network.elapsed());
            self.run(wait);
            self.act(act);
        }
        self.note("from here on nobody does anything".to_owned());
        self.network.set_default_link(link(Weather::Fair));
        for one in 0..self.phones.len() {
            self.network.heal(self.phones[one].node, self.proxy);
            for other in 0..self.phones.len() {
                self.network.heal(self.phones[one].node, self.phones[other].node);
            }
        }
        self.run(REST);
    }

    /// A request in every call that stands: it shows both ends whether the other still is there.
    pub fn probe(&mut self) {
        for index in 0..self.calls.len() {
            if self.state(index) == Some(CallState::Established) {
                let Call { phone, key, .. } = self.calls[index];
                let sent = self.agent(phone, |now, agent, tx| {
                    agent.send(now, tx, key, Method::Options, None, &[])
                });
                if let Ok(request) = sent {
                    self.requests.insert((phone, request), false);
                }
            }
        }
        self.run(Duration::from_secs(60));
    }

    /// Every handle is dropped, and time passes.
    pub fn close(&mut self) {
        for phone in 0..self.phones.len() {
            self.drop_all(phone);
        }
        self.run(Duration::from_secs(500));
    }

    fn run(&mut self, time: Duration) {
        let end = self.network.now() + time;
        loop {
            let next = self.agenda.peek().map(|Reverse((at, _))| *at).filter(|at| *at <= end);
            match self.network.next_event(next.unwrap_or(end)) {
                Some((node, Either::A(event))) => {
                    let phone = self.phones.iter().position(|phone| phone.node == node);
                    self.event(phone.expect("an agent is a phone"), event);
                }
                Some((_, Either::B(event))) => self.fault(format!("the proxy asked: {event:?}")),
                None if next.is_some() => {
                    if let Some(Reverse((_, duty))) = self.agenda.pop() {
                        let duty = self.duties[duty].clone();
                        self.do_duty(duty);
                    }
                }
                None => return,
            }
        }
    }

    pub fn fault(&mut self, what: String) {
        self.note(format!("*** {what}"));
        self.faults.push(what);
    }

    pub fn note(&mut self, what: String) {
        self.log.push((self.network.elapsed(), what));
    }

    fn agent<R>(
        &mut self,
        phone: usize,
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions) -> R,
    ) -> R {
        let node = self.phones[phone].node;
        let result = self.network.with(node, |now, node, tx| {
            let Either::A(agent) = node else { unreachable!("a phone") };
            command(now, agent, tx)
        });
        result.expect("a node of this network")
    }

    pub fn state(&self, call: usize) -> Option<CallState> {
        let Call { phone, key, .. } = self.calls[call];
        let endpoint = self.network.endpoint(self.phones[phone].node)?;
        match endpoint.user() {
            Either::A(agent) => agent.state(key),
            Either::B(_) => None,
        }
    }

    fn sdp(&mut self) -> Body {
        self.numbers += 1;
        Body::sdp(format!("v=0\r\ns={}\r\n", self.numbers))
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// A call by the choice of the script: for which it is the right time, or any.
    fn choose(&self, pick: Pick, fits: impl Fn(CallState, &Call) -> bool) -> Option<usize> {
        let suited = |index: &usize| {
            self.state(*index).is_some_and(|state| fits(state, &self.calls[*index]))
        };
        let all = (0..self.calls.len()).rev();
        let found: Vec<_> = all.filter(|index| pick.any || suited(index)).collect();
        found.get(usize::from(pick.nth) % found.len().max(1)).copied()
    }

    fn uri(&self, from: usize, to: To) -> Uri<'static> {
        let text = match to {
            To::Phone(phone) => {
                let phone = usize::from(phone);
                format!("sip:{}@{}", NAMES[phone], home(phone).ip())
            }
            To::User(phone) => format!("sip:{}@{DOMAIN}", NAMES[usize::from(phone)]),
            To::Team => format!("sip:team-{from}@{DOMAIN}"),
            To::Hunt => format!("sip:hunt-{from}@{DOMAIN}"),
            To::Nobody => format!("sip:nobody@{DOMAIN}"),
        };
        text.parse().unwrap()
    }

    /// Nobody calls himself: then it is the next one.
    fn other(&self, from: usize, to: To) -> To {
        let next = |phone: u8| {
            if usize::from(phone) == from { (phone + 1) % PHONES as u8 } else { phone }
        };
        match to {
            To::Phone(phone) => To::Phone(next(phone)),
            To::User(phone) => To::User(next(phone)),
            To::Team | To::Hunt | To::Nobody => to,
        }
    }

    fn act(&mut self, act: Act) {
        use CallState::{Accepted, Calling, Established, Invited, Over};
        match act {
            Act::Call { from, to, offers } => {
                let from = usize::from(from);
                let to = self.other(from, to);
                let outgoing = OutgoingCall::to(self.uri(from, to));
                self.place(from, outgoing, offers, &format!("{to:?}"));
            }
            Act::Talk { from, to, offers, rings } => {
                self.act(Act::Call { from, to, offers });
                let number = self.calls.last().map(|call| call.number);
                self.run(Duration::from_millis(120));
                let called = |call: &Call| Some(call.number) == number && !call.placed;
                if let Some(index) = self.calls.iter().rposition(called) {
                    if rings {
                        self.ring(index, StatusCode::RINGING, true);
                        self.run(Duration::from_millis(100));
                    }
                    if self.state(index) == Some(Invited) {
                        self.accept(index);
                        self.run(Duration::from_millis(100));
                    }
                }
            }
            Act::RingAll { describes } => {
                for index in 0..self.calls.len() {
                    if self.state(index) == Some(Invited) {
                        self.ring(index, StatusCode::RINGING, describes);
                    }
                }
            }
            Act::Ring { call, progress, describes } => {
                let Some(index) = self.choose(call, |state, _| state == Invited) else { return };
                let status =
                    if progress { StatusCode::SESSION_PROGRESS } else { StatusCode::RINGING };
                self.ring(index, status, describes);
            }
            Act::Accept { call } => {
                let Some(index) = self.choose(call, |state, _| state == Invited) else { return };
                self.accept(index);
            }
            Act::Refuse { call, busy } => {
                let Some(index) = self.choose(call, |state, _| state == Invited) else { return };
                let status = if busy { StatusCode::BUSY_HERE } else { StatusCode::DECLINE };
                self.command(index, "refuse", &[Invited], |now, agent, tx, key| {
                    agent.reject(now, tx, key, status, &[])
                });
            }
            Act::HangUp { call } => {
                let Some(index) = self.choose(call, |state, _| state != Over) else { return };
                self.hang_up(index);
            }
            Act::Reinvite { call, offers } => {
                let found = self.choose(call, |state, _| state == Established);
                let Some(index) = found else { return };
                let body = offers.then(|| self.sdp());
                let what = if offers { "re-INVITE" } else { "re-INVITE without an offer" };
                self.command(index, what, &[Established], |now, agent, tx, key| {
                    agent.reinvite(now, tx, key, body.as_ref())
                });
            }
            Act::Update { call, offers } => {
                let fits = [Established, Calling, Invited, Accepted];
                let Some(index) = self.choose(call, |state, _| fits.contains(&state)) else {
                    return;
                };
                let body = offers.then(|| self.sdp());
                let what = if offers { "UPDATE" } else { "UPDATE without an offer" };
                self.command(index, what, &fits, |now, agent, tx, key| {
                    agent.update_session(now, tx, key, None, body.as_ref())
                });
            }
            Act::Answer { call } => {
                let Some(index) = self.choose(call, |_, call| !call.owed.is_empty()) else {
                    return;
                };
                for duty in std::mem::take(&mut self.calls[index].owed) {
                    self.do_duty(duty);
                }
            }
            Act::Refer { call, to } => {
                let fits = [Established, Accepted];
                let found = self.choose(call, |state, _| fits.contains(&state));
                let Some(index) = found else { return };
                let (phone, peer) = (self.calls[index].phone, self.peer(index));
                // To whoever is neither of the two.
                let others = (0..PHONES).filter(|other| *other != phone && Some(*other) != peer);
                let Some(third) = others.cycle().nth(to.into()) else { return };
                let to = To::Phone(third as u8);
                let target = self.uri(phone, to);
                self.refer(index, &target, &format!("REFER to {to:?}"));
            }
            Act::Transfer { call, other } => {
                let fits = |state, _: &Call| state == Established;
                let (Some(index), Some(other)) =
                    (self.choose(call, fits), self.choose(other, fits))
                else {
                    return;
                };
                let Call { phone, key, .. } = self.calls[other];
                let same = self.peer(index) == self.peer(other);
                if self.calls[index].phone != phone || same {
                    return;
                }
                let place = self.agent(phone, |_, agent, _| agent.place_in(key));
                let Ok(target) = place else { return };
                self.refer(
                    index,
                    &target,
                    &format!("transfer into call {}", self.calls[other].number),
                );
            }
            Act::Replace { call, by } => self.point(call, by, "Replaces"),
            Act::Join { call, by } => self.point(call, by, "Join"),
            Act::Send { call, what } => {
                let found = self.choose(call, |state, _| state == Established);
                let Some(index) = found else { return };
                let method = match what {
                    What::Message => Method::Message,
                    What::Info => Method::Info,
                    What::Options => Method::Options,
                };
                let phone = self.calls[index].phone;
                let body = Body::text("hello");
                let fits = [Established, Accepted];
                let sent = self.command(index, method.as_str(), &fits, |now, agent, tx, key| {
                    agent.send(now, tx, key, method.clone(), Some(&body), &[])
                });
                if let Some(request) = sent {
                    self.requests.insert((phone, request), false);
                }
            }
            Act::Text { from, to } => {
                let from = usize::from(from);
                let to = self.other(from, to);
                let (uri, account) = (self.uri(from, to), Arc::clone(&self.phones[from].account));
                let body = Body::text("hello");
                let sent = self.agent(from, |now, agent, tx| {
                    agent.request(now, tx, &account, Method::Message, &uri, Some(&body), &[])
                });
                self.note(format!("{} sends a text to {to:?}: {}", NAMES[from], outcome(&sent)));
                if let Ok(request) = sent {
                    self.requests.insert((from, request), false);
                }
            }
            Act::Subscribe { from, to, short } => {
                let from = usize::from(from);
                let to = self.other(from, to);
                let (uri, account) = (self.uri(from, to), Arc::clone(&self.phones[from].account));
                let number = self.number();
                let mut wish = SubscriptionWish::new(uri, EVENT);
                wish.terms = SubscriberConfig::new(if short { 60 } else { 120 });
                wish.headers = vec![("X-Subscription".to_owned(), number.to_string())];
                let begun =
                    self.agent(from, |now, agent, tx| agent.subscribe(now, tx, &account, wish));
                self.note(format!(
                    "{} subscribes to {to:?}, number {number}: {}",
                    NAMES[from],
                    outcome(&begun)
                ));
                if let Ok(key) = begun {
                    let (is_active, is_over, told) = (false, false, None);
                    let subscribed =
                        Subscribed { phone: from, key, number, is_active, is_over, told };
                    self.subscriptions.push(subscribed);
                }
            }
            Act::Refresh { nth } => {
                self.on_subscription(nth, "refreshes", |now, agent, tx, key| {
                    agent.refresh_subscription(now, tx, key)
                })
            }
            Act::Unsubscribe { nth } => {
                self.on_subscription(nth, "ends", |now, agent, tx, key| {
                    agent.unsubscribe(now, tx, key)
                });
            }
            Act::Notify { nth } => {
                let state = self.number().to_string();
                let body = Body::text(state.clone());
                let told = self.on_notifier(nth, "tells a state", |now, agent, tx, key| {
                    agent.notify(now, tx, key, Some(body), None)
                });
                if let Some(index) = told {
                    self.notifiers[index].state = state;
                }
            }
            Act::Terminate { nth, retry } => {
                let reason = match retry {
                    true => TerminationReason::Deactivated,
                    false => TerminationReason::NoResource,
                };
                self.on_notifier(nth, "ends", |now, agent, tx, key| {
                    agent.terminate(now, tx, key, reason, None)
                });
            }
            Act::DropAll { phone } => self.drop_all(usize::from(phone)),
            Act::NetworkChanged { phone, moves } => {
                let phone = usize::from(phone);
                let what = if moves { "moves to another network" } else { "has a new network" };
                self.note(format!("{} {what}", NAMES[phone]));
                if moves {
                    let node = self.phones[phone].node;
                    let away_now = self.network.endpoint(node).is_some_and(|endpoint| {
                        let mut locals = endpoint.transactions().locals().iter();
                        locals.any(|local| local.addr == away(phone))
                    });
                    let address = if away_now { home(phone) } else { away(phone) };
                    self.network.relocate(node, None, &[address]).unwrap();
                }
                self.agent(phone, |_, agent, tx| agent.network_changed(tx));
            }
            Act::Part { phone, other, seconds } => {
                let (phone, other) = (usize::from(phone), usize::from(other));
                let one = self.phones[phone].node;
                let (other, name) = match phone == other {
                    true => (self.proxy, "the proxy"),
                    false => (self.phones[other].node, NAMES[other]),
                };
                self.note(format!("{} and {name} are parted for {seconds} s", NAMES[phone]));
                self.network.part(one, other);
                self.later(Duration::from_secs(seconds.into()), Duty::Heal { one, other });
            }
        }
    }

    fn ring(&mut self, index: usize, status: StatusCode, describes: bool) {
        let body = describes.then(|| self.sdp());
        self.command(index, "ring", &[CallState::Invited], |now, agent, tx, key| {
            agent.ring(now, tx, key, status, body.as_ref())
        });
    }

    fn accept(&mut self, index: usize) {
        let body = self.sdp();
        self.command(index, "accept", &[CallState::Invited], |now, agent, tx, key| {
            agent.accept(now, tx, key, Some(&body), &[])
        });
    }

    /// At whose phone the other end of a call is.
    fn peer(&self, index: usize) -> Option<usize> {
        let Call { number, placed, .. } = self.calls[index];
        let mut ends = self.calls.iter().filter(|end| end.number == number);
        ends.find(|end| end.placed != placed && end.ended.is_none()).map(|end| end.phone)
    }

    fn place(&mut self, from: usize, mut outgoing: OutgoingCall, offers: bool, to: &str) {
        let number = self.number();
        outgoing = outgoing.header("X-Call", number.to_string());
        outgoing.body = offers.then(|| self.sdp());
        let account = Arc::clone(&self.phones[from].account);
        let placed = self.agent(from, |now, agent, tx| agent.call(now, tx, &account, outgoing));
        let how = if offers { "" } else { " without an offer" };
        let name = NAMES[from];
        self.note(format!("{name} calls {to}{how}, call {number}: {}", outcome(&placed)));
        if let Ok(key) = placed {
            self.add_call(from, key, number, true);
        }
    }

    fn add_call(&mut self, phone: usize, key: CallKey, number: u32, placed: bool) {
        self.by_key.insert((phone, key), self.calls.len());
        self.calls.push(Call {
            phone,
            key,
            number,
            placed,
            cseq: None,
            established: false,
            ended: None,
            relocates: false,
            relocating: false,
            owed: Vec::new(),
        });
    }

    /// A command for a call; what comes of it must be what its state allows for.
    fn command<R>(
        &mut self,
        index: usize,
        what: &str,
        fits: &[CallState],
        command: impl FnOnce(Instant, &mut Agent, &mut Transactions, CallKey) -> Result<R, AgentError>,
    ) -> Option<R> {
        let before = self.state(index);
        let Call { phone, key, number, .. } = self.calls[index];
        let result = self.agent(phone, |now, agent, tx| command(now, agent, tx, key));
        let name = NAMES[phone];
        self.note(format!("{name}, call {number}: {what}: {}", outcome(&result)));
        let wrong = match (&result, before) {
            (Ok(_), Some(state)) => !fits.contains(&state),
            (Ok(_), None) => true,
            (Err(AgentError::State { state, .. }), _) => {
                // A call that is being accepted is still waiting for our answer.
                let held = *state == CallState::Invited && ["accept", "ring"].contains(&what);
                let early = what.starts_with("UPDATE");
                Some(*state) != before || (fits.contains(state) && !held && !early)
            }
            (Err(AgentError::Gone), Some(state)) => {
                // What it was to replace was answered meanwhile.
                state != CallState::Over && what != "accept"
            }
            (Err(AgentError::Gone), None) => false,
            (Err(_), None | Some(CallState::Over)) => true,
            (Err(_), Some(_)) => false,
        };
        if wrong {
            let came = outcome(&result);
            self.fault(format!("{name}, call {number}, {before:?}: {what} came to: {came}"));
        }
        result.ok()
    }

    fn hang_up(&mut self, index: usize) {
        use CallState::{Accepted, Calling, Cancelling, Established, Invited, Over};
        let all = [Accepted, Calling, Cancelling, Established, Invited, Over];
        self.command(index, "hang up", &all, |now, agent, tx, key| agent.hang_up(now, tx, key));
    }

    fn refer(&mut self, index: usize, target: &Uri<'static>, what: &str) {
        let fits = [CallState::Established, CallState::Accepted];
        let phone = self.calls[index].phone;
        let sent = self.command(index, what, &fits, |now, agent, tx, key| {
            agent.refer(now, tx, key, target, &[])
        });
        if let Some(refer) = sent {
            self.refers.insert((phone, refer), false);
        }
    }

    /// Somebody calls the peer of a call, and points at that call.
    fn point(&mut self, pick: Pick, by: u8, header: &str) {
        let found = self.choose(pick, |state, _| state == CallState::Established);
        let Some(index) = found else { return };
        let Call { phone, key, number, .. } = self.calls[index];
        // Nobody calls himself.
        let by = if self.peer(index) == Some(by.into()) { phone } else { by.into() };
        let Ok(uri) = self.agent(phone, |_, agent, _| agent.place_in(key)) else { return };
        let text = uri.to_string();
        let Some((address, value)) = text.split_once("?Replaces=") else {
            return self.fault(format!("no Replaces in {text}"));
        };
        let value = unescaped(value);
        let mut outgoing = OutgoingCall::to(address.parse().unwrap());
        outgoing = outgoing.header(header, value);
        let what = format!("{address} with {header} of call {number}");
        self.place(by, outgoing, true, &what);
    }

    fn on_subscription(
        &mut self,
        nth: u8,
        what: &str,
        command: impl FnOnce(
            Instant,
            &mut Agent,
            &mut Transactions,
            SubscriptionKey,
        ) -> Result<(), AgentError>,
    ) {
        let len = self.subscriptions.len();
        if len == 0 {
            return;
        }
        let index = len - 1 - usize::from(nth) % len;
        let Subscribed { phone, key, number, is_over, .. } = self.subscriptions[index];
        let result = self.agent(phone, |now, agent, tx| command(now, agent, tx, key));
        self.note(format!("{} {what} subscription {number}: {}", NAMES[phone], outcome(&result)));
        let gone = matches!(result, Err(AgentError::Gone));
        if is_over && !gone {
            self.fault(format!("subscription {number} is over, and {what}: {}", outcome(&result)));
        }
    }

    fn on_notifier(
        &mut self,
        nth: u8,
        what: &str,
        command: impl FnOnce(
            Instant,
            &mut Agent,
            &mut Transactions,
            NotifierKey,
        ) -> Result<(), AgentError>,
    ) -> Option<usize> {
        let len = self.notifiers.len();
        if len == 0 {
            return None;
        }
        let index = len - 1 - usize::from(nth) % len;
        let Notifying { phone, key, number, is_over, .. } = self.notifiers[index];
        let result = self.agent(phone, |now, agent, tx| command(now, agent, tx, key));
        let name = NAMES[phone];
        self.note(format!("{name} {what} in subscription {number}: {}", outcome(&result)));
        if is_over && !matches!(result, Err(AgentError::Gone)) {
            self.fault(format!("subscription {number} is over at {name}, and it {what}"));
        }
        result.is_ok().then_some(index)
    }

    fn drop_all(&mut self, phone: usize) {
        self.note(format!("{} drops every handle", NAMES[phone]));
        for index in 0..self.calls.len() {
            if self.calls[index].phone == phone && self.calls[index].ended.is_none() {
                self.hang_up(index);
            }
        }
        for index in 0..self.subscriptions.len() {
            let Subscribed { phone: of, key, .. } = self.subscriptions[index];
            if of == phone {
                // It may be over.
                let _ = self.agent(phone, |now, agent, tx| agent.unsubscribe(now, tx, key));
            }
        }
        for index in 0..self.notifiers.len() {
            let Notifying { phone: of, key, .. } = self.notifiers[index];
            if of == phone {
                let reason = TerminationReason::NoResource;
                let _ =
                    self.agent(phone, |now, agent, tx| agent.terminate(now, tx, key, reason, None));
            }
        }
        let of_phone = |(of, _): &&(usize, RequestKey)| *of == phone;
        let requests: Vec<_> = self.requests.keys().filter(of_phone).copied().collect();
        for (phone, key) in requests {
            self.requests.remove(&(phone, key));
            self.agent(phone, |_, agent, _| agent.forget(key));
        }
    }

    fn later(&mut self, after: Duration, duty: Duty) {
        self.agenda.push(Reverse((self.network.now() + after, self.duties.len())));
        self.duties.push(duty);
    }

    /// A user owes something: when it is done is a matter of manners.
    fn owe(&mut self, phone: usize, call: Option<usize>, duty: Duty) {
        let after = match self.phones[phone].manner.answers {
            Answers::AtOnce => return self.do_duty(duty),
            Answers::Late(millis) => Some(Duration::from_millis(millis.into())),
            Answers::Seldom => (self.random.below(3) > 0).then_some(Duration::from_millis(300)),
        };
        if let Some(call) = call {
            self.calls[call].owed.push(duty.clone());
        }
        if let Some(after) = after {
            self.later(after, duty);
        }
    }

    fn do_duty(&mut self, duty: Duty) {
        match duty {
            Duty::Acknowledge { call } => {
                let (phone, key, body) = (self.calls[call].phone, self.calls[call].key, self.sdp());
                let sent = self
                    .agent(phone, |now, agent, tx| agent.acknowledge(now, tx, key, Some(&body)));
                self.note_of(call, format!("answers in the ACK: {}", outcome(&sent)));
            }
            Duty::AnswerEarly { call, early } => {
                let (phone, key, body) = (self.calls[call].phone, self.calls[call].key, self.sdp());
                let sent = self.agent(phone, |now, agent, tx| {
                    agent.answer_early(now, tx, key, Some(early), Some(&body))
                });
                self.note_of(call, format!("answers in the PRACK: {}", outcome(&sent)));
            }
            Duty::Modification { call, refuse } => {
                let (phone, key, body) = (self.calls[call].phone, self.calls[call].key, self.sdp());
                let status = if refuse { StatusCode::NOT_ACCEPTABLE_HERE } else { StatusCode::OK };
                let body = (!refuse).then_some(&body);
                let sent = self.agent(phone, |now, agent, tx| {
                    agent.answer_modification(now, tx, key, status, body)
                });
                let status = status.as_u16();
                self.note_of(call, format!("answers the offer by {status}: {}", outcome(&sent)));
            }
            Duty::Reply { phone, key } => {
                let sent = self.agent(phone, |now, agent, tx| {
                    agent.reply(now, tx, key, StatusCode::OK, None, &[])
                });
                self.note(format!("{} replies: {}", NAMES[phone], outcome(&sent)));
            }
            Duty::Grant { phone, key, number } => {
                let state = self.number().to_string();
                let terms = NotifierConfig::new(120);
                let grant = Grant::active(terms, Some(Body::text(state.clone())));
                let done = self
                    .agent(phone, |now, agent, tx| agent.accept_subscription(now, tx, key, grant));
                let name = NAMES[phone];
                self.saw("subscriptions");
                self.note(format!("{name} grants subscription {number}: {}", outcome(&done)));
                if let Ok(key) = done {
                    let is_over = false;
                    self.notifiers.push(Notifying { phone, key, number, is_over, state });
                }
            }
            Duty::Referral { phone, refer, way } => self.referral(phone, refer, way),
            Duty::Relocate { call } if !self.calls[call].relocates => {}
            Duty::Relocate { call } => {
                let state = self.state(call);
                if state == Some(CallState::Established) {
                    let (fits, body) = ([CallState::Established], self.sdp());
                    let what = "tells its new address";
                    let told = self.command(call, what, &fits, |now, agent, tx, key| {
                        agent.reinvite(now, tx, key, Some(&body))
                    });
                    if told.is_some() {
                        self.calls[call].relocating = true;
                        return;
                    }
                }
                if !matches!(state, None | Some(CallState::Over)) {
                    self.later(Duration::from_secs(5), Duty::Relocate { call });
                }
            }
            Duty::Heal { one, other } => {
                self.note("those who were parted are not any more".to_owned());
                self.network.heal(one, other);
            }
        }
    }

    fn note_of(&mut self, call: usize, what: String) {
        let Call { phone, number, .. } = self.calls[call];
        self.note(format!("{}, call {number}: {what}", NAMES[phone]));
    }

    fn referral(&mut self, phone: usize, refer: ReferKey, way: u32) {
        let name = NAMES[phone];
        match way % 6 {
            0 => {
                let status = StatusCode::DECLINE;
                let done =
                    self.agent(phone, |now, agent, tx| agent.decline(now, tx, refer, status));
                self.note(format!("{name} declines the REFER: {}", outcome(&done)));
            }
            1 => {
                let status = StatusCode::OK;
                let done = self.agent(phone, |now, agent, tx| agent.report(now, tx, refer, status));
                self.note(format!("{name} reports success: {}", outcome(&done)));
            }
            2 => self.note(format!("{name} ignores the REFER")),
            _ => {
                let (number, body) = (self.number(), self.sdp());
                let headers = [("X-Call".to_owned(), number.to_string())];
                let done = self.agent(phone, |now, agent, tx| {
                    agent.follow(now, tx, refer, None, Some(body), &headers)
                });
                self.note(format!("{name} follows the REFER, call {number}: {}", outcome(&done)));
                if let Ok(key) = done {
                    self.add_call(phone, key, number, true);
                }
            }
        }
    }

    fn event(&mut self, phone: usize, event: AgentEvent) {
        let name = NAMES[phone];
        match event {
            AgentEvent::Invitation { call, request, .. } => {
                let number = header_number(&request, "X-Call");
                self.note(format!("{name} is called, call {number}"));
                // One that was refused may come again, under another number, without what it was refused for.
                let cseq = request.headers().cseq().map(|cseq| cseq.number);
                let twice = self
                    .calls
                    .iter()
                    .any(|other| (other.phone, other.number, other.cseq) == (phone, number, cseq));
                if twice {
                    self.fault(format!("call {number} came to {name} twice"));
                }
                self.add_call(phone, call, number, false);
                if let Some(call) = self.calls.last_mut() {
                    call.cseq = cseq;
                }
            }
            AgentEvent::Call { call, update } => match self.by_key.get(&(phone, call)) {
                Some(&index) => self.update(index, update),
                None => self.fault(format!("{name} was told of an unknown call: {update:?}")),
            },
            AgentEvent::Request { key, .. } => self.owe(phone, None, Duty::Reply { phone, key }),
            AgentEvent::Referred { refer, .. } => {
                self.note(format!("{name} is asked to call somebody"));
                let way = self.random.below(12);
                self.owe(phone, None, Duty::Referral { phone, refer, way });
            }
            AgentEvent::Refer { refer, update } => {
                if let ReferUpdate::Ended(ReferOutcome::Reported(_)) = update {
                    self.saw("REFERs reported");
                }
                self.note(format!("{name}, REFER: {update:?}"));
                match (self.refers.get_mut(&(phone, refer)), update) {
                    (Some(over), update) if !*over => {
                        *over = matches!(update, ReferUpdate::Ended(_));
                    }
                    (known, update) => {
                        let known = known.is_some();
                        self.fault(format!("{name}, REFER over or unknown ({known}): {update:?}"));
                    }
                }
            }
            AgentEvent::Response { key, result } => {
                let came = match &result {
                    Ok(response) => response.status().as_u16().to_string(),
                    Err(failure) => failure.to_string(),
                };
                self.note(format!("{name}, request: {came}"));
                match self.requests.get_mut(&(phone, key)) {
                    Some(answered) if !*answered => *answered = true,
                    _ => self.fault(format!("{name}: an answer to no request: {came}")),
                }
            }
            AgentEvent::NetworkChanged { .. } => {}
            AgentEvent::Subscribe { key, request, .. } => {
                let number = header_number(&request, "X-Subscription");
                self.note(format!("{name} is subscribed to, number {number}"));
                self.owe(phone, None, Duty::Grant { phone, key, number });
            }
            AgentEvent::Subscription { subscription, update, .. } => {
                let mut all = self.subscriptions.iter_mut();
                let found = all.find(|it| it.phone == phone && it.key == subscription);
                let Some(found) = found else {
                    return self.fault(format!("{name}: unknown subscription: {update:?}"));
                };
                let (number, was_over) = (found.number, found.is_over);
                let said = match update {
                    SubscriptionUpdate::Notify(request) => {
                        let body = String::from_utf8_lossy(request.body()).into_owned();
                        let said = format!("is told {body:?}");
                        found.told = Some(body);
                        said
                    }
                    SubscriptionUpdate::State(event) => {
                        found.is_active = matches!(event, SubscriptionEvent::Active);
                        if let SubscriptionEvent::Ended { retry_in, .. } = event {
                            found.is_over = retry_in.is_none();
                            found.told = None;
                        }
                        format!("{event:?}")
                    }
                    other => format!("{other:?}"),
                };
                self.note(format!("{name}, subscription {number}: {said}"));
                if was_over {
                    self.fault(format!("{name}, subscription {number} after its end: {said}"));
                }
            }
            AgentEvent::Notifier { notifier, update } => {
                let mut all = self.notifiers.iter_mut();
                let found = all.find(|it| it.phone == phone && it.key == notifier);
                let Some(found) = found else {
                    return self.fault(format!("{name}: unknown subscriber: {update:?}"));
                };
                let (number, was_over) = (found.number, found.is_over);
                found.is_over |= matches!(update, NotifierUpdate::Ended(_));
                self.note(format!("{name} tells subscription {number}: {update:?}"));
                if was_over {
                    self.fault(format!("{name}, subscriber {number} after its end: {update:?}"));
                }
            }
            other => self.fault(format!("{name}: nobody asked for {other:?}")),
        }
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn update(&mut self, index: usize, update: CallUpdate) {
        self.saw(match &update {
            CallUpdate::Ringing { early, .. } | CallUpdate::Progress { early, .. }
                if early.0 > 0 =>
            {
                "early dialogs by forking"
            }
            CallUpdate::Ringing { answer_owed: true, .. }
            | CallUpdate::Progress { answer_owed: true, .. } => "offers in reliable responses",
            CallUpdate::Ringing { .. } | CallUpdate::Progress { .. } => "provisional responses",
            CallUpdate::Acknowledged { .. } => "PRACKs",
            CallUpdate::Answered { answer_owed: true, .. } => "offers in 2xx",
            CallUpdate::Answered { .. } => "answers",
            CallUpdate::Modified { .. } => "modifications",
            CallUpdate::ModificationFailed { .. } => "modifications that failed",
            CallUpdate::Ended(EndReason::Replaced) => "calls replaced",
            CallUpdate::Ended(EndReason::Cancelled) => "calls cancelled",
            CallUpdate::Ended(EndReason::Remote) => "calls hung up by the peer",
            CallUpdate::Ended(EndReason::PeerLost) => "peers lost",
            _ => "others",
        });
        let call = &mut self.calls[index];
        let phone = call.phone;
        if let Some(reason) = &call.ended {
            let fault = format!(
                "{}, call {}, ended ({reason}), and then: {}",
                NAMES[phone],
                call.number,
                words(&update)
            );
            return self.fault(fault);
        }
        self.note_of(index, words(&update));
        let call = &mut self.calls[index];
        match update {
            CallUpdate::Answered { answer_owed, .. } => {
                if std::mem::replace(&mut call.established, true) {
                    self.fault(format!("{} was answered twice", NAMES[phone]));
                }
                if answer_owed {
                    self.owe(phone, Some(index), Duty::Acknowledge { call: index });
                }
            }
            CallUpdate::Confirmed { .. } => call.established = true,
            CallUpdate::Ringing { early, answer_owed: true, .. }
            | CallUpdate::Progress { early, answer_owed: true, .. } => {
                self.owe(phone, Some(index), Duty::AnswerEarly { call: index, early });
            }
            CallUpdate::Modification { .. } => {
                let refuse = self.random.below(8) == 0;
                self.owe(phone, Some(index), Duty::Modification { call: index, refuse });
            }
            CallUpdate::Modified { answer_owed: true, .. } => {
                call.relocates &= !std::mem::take(&mut call.relocating);
                self.owe(phone, Some(index), Duty::Acknowledge { call: index });
            }
            CallUpdate::NetworkChanged => {
                (call.relocates, call.relocating) = (true, false);
                self.do_duty(Duty::Relocate { call: index });
            }
            CallUpdate::Modified { .. } => {
                call.relocates &= !std::mem::take(&mut call.relocating);
            }
            CallUpdate::ModificationFailed { .. } if std::mem::take(&mut call.relocating) => {
                self.later(Duration::from_secs(5), Duty::Relocate { call: index });
            }
            CallUpdate::Ended(reason) => {
                call.ended = Some(reason);
                call.owed.clear();
                if !matches!(self.state(index), None | Some(CallState::Over)) {
                    self.fault("a call that has ended is not over".to_owned());
                }
            }
            _ => {}
        }
    }

    /// What nobody may still wait for when everything has had its time.
    pub fn check_settled(&mut self) {
        let open: Vec<_> = self.refers.iter().filter(|(_, over)| !**over).collect();
        let refers = open.len();
        if refers > 0 {
            self.fault(format!("{refers} REFERs came to nothing"));
        }
        let unanswered = self.requests.values().filter(|answered| !**answered).count();
        if unanswered > 0 {
            self.fault(format!("{unanswered} requests have no answer"));
        }
    }

    /// Every table is empty, and nothing waits for a time.
    pub fn check_empty(&mut self) {
        for (phone, name) in NAMES.iter().enumerate() {
            let live = self.agent(phone, |_, agent, _| agent.live());
            if live != Default::default() {
                self.fault(format!("something is left at {name}: {live:?}"));
            }
        }
        let proxy = self.network.with(self.proxy, |_, node, _| node.b().unwrap().live());
        if proxy.unwrap() != Default::default() {
            self.fault(format!("something is left at the proxy: {proxy:?}"));
        }
        let nodes: Vec<_> =
            self.phones.iter().map(|phone| phone.node).chain([self.proxy]).collect();
        for node in nodes {
            let transactions = self.network.endpoint(node).unwrap().transactions();
            let (len, timers) = (transactions.len(), transactions.timers());
            if (len, timers) != (0, 0) {
                self.fault(format!("{len} transactions and {timers} timers are left"));
            }
        }
        if !self.network.is_quiet() {
            self.fault("timers or messages are left".to_owned());
        }
        for index in 0..self.calls.len() {
            if self.calls[index].ended.is_none() {
                self.fault(format!("call {} has no end", self.calls[index].number));
            }
        }
    }
}

/// RFC 3261 §19.1.1: what stands in a URI's header fields is escaped.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        plain.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        plain.push_str(rest);
    }
    plain
}

fn outcome<R>(result: &Result<R, AgentError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("not done: {error}"),
    }
}

fn header_number(request: &Request, name: &str) -> u32 {
    let value = request.headers().raw(HeaderName::Other(name)).unwrap_or_default();
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn words(update: &CallUpdate) -> String {
    match update {
        CallUpdate::Ringing { early, answer_owed, .. } => {
            format!("it rings at {}{}", early.0, owed(*answer_owed))
        }
        CallUpdate::Progress { early, response, answer_owed } => {
            let status = response.status().as_u16();
            format!("{status} of {}{}", early.0, owed(*answer_owed))
        }
        CallUpdate::EarlyEnded { early, .. } => format!("{} rings no more", early.0),
        CallUpdate::Acknowledged { .. } => "PRACK came".to_owned(),
        CallUpdate::Redirected { to } => format!("redirected to {to}"),
        CallUpdate::Answered { answer_owed, .. } => format!("answered{}", owed(*answer_owed)),
        CallUpdate::Confirmed { .. } => "confirmed".to_owned(),
        CallUpdate::Modification { request, .. } => format!("{} came", request.method()),
        CallUpdate::ModificationWithdrawn => "it was withdrawn".to_owned(),
        CallUpdate::Modified { answer_owed, .. } => format!("modified{}", owed(*answer_owed)),
        CallUpdate::ModificationFailed { failure } => format!("not modified: {failure}"),
        CallUpdate::ModificationConfirmed { .. } => "our offer is answered".to_owned(),
        CallUpdate::NetworkChanged => "the network has changed".to_owned(),
        CallUpdate::Ended(reason) => format!("ended: {reason}"),
        other => format!("{other:?}"),
    }
}

fn owed(owed: bool) -> &'static str {
    if owed { ", with an offer" } else { "" }
}
