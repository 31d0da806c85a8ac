//! All transactions of one shard, with their timers and what they have to say.
//!
//! [`Transactions`] is what a transaction user calls. It owns the machines and carries out their actions:
//! the client side in `transactions/client.rs`, the server side in `transactions/server.rs`.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashTable;
use sip_message::{HeaderName, Request, Response, StatusCode};
use sip_transport::locate::{BadTargets, Preferences};
use sip_transport::tls::Peer;
use sip_transport::{
    ConnectionId, Destination, Flow, ListenerId, Locals, Target, Transmit, TransportError,
};
use tracing::Span;

use crate::machine::Interval;
use crate::overload::{self, Feedback, Throttle};
use crate::slots::{SlotKey, Slots};
use crate::timer::TimerStore;
use crate::{
    Category, ClientKey, Config, Event, Key, Output, Random, ServerKey, Stats, TimerKey,
    client_invite, client_non_invite, construct, server_invite, server_non_invite,
};

use self::alias::Aliases;
use self::client::Client;
use self::locate::Lookup;
use self::server::Server;
use self::stray::{StrayNumber, Strays};
use self::way_back::WayBack;

mod alias;
mod client;
mod locate;
mod server;
mod stateless;
mod stray;
mod way_back;

/// All transactions of one shard: what a [`TransactionUser`](crate::TransactionUser) calls.
///
/// It touches no socket and reads no clock. What it wants done it queues; the
/// [`Endpoint`](crate::Endpoint) that owns it hands that out.
#[derive(Debug)]
pub struct Transactions {
    config: Config,
    locals: Locals,
    /// Those before a change of networks, whose names are still in Via of requests that are under way.
    former: Locals,
    random: Random,
    clients: Slots<Client>,
    servers: Slots<Server>,
    /// The slots of `servers` by their match keys.
    matches: HashTable<u32>,
    lookups: Slots<Lookup>,
    /// The Reason of CANCELs that wait for a provisional response: few, if any.
    cancel_reasons: HashMap<ClientKey, Bytes>,
    /// What a lookup may choose from.
    preferences: Preferences,
    /// The targets that failed lately.
    bad: BadTargets,
    /// Of the servers whose responses cannot go the way that the request came: few, if any.
    ways_back: HashMap<ServerKey, WayBack>,
    /// The responses without a transaction whose way back was gone: few, if any.
    strays: Strays,
    /// Who proved to be at the far end of a connection that is open.
    peers: HashMap<ConnectionId, Arc<Peer>>,
    /// The connections by which requests may go back to who opened them.
    aliases: Aliases,
    /// What the next hops ask of us, and we of those who send to us (RFC 7339).
    throttle: Throttle,
    feedback: Feedback,
    timers: TimerStore<Expiry>,
    events: VecDeque<Event>,
    outputs: VecDeque<Output>,
    stats: Stats,
    /// How many transactions are unfinished.
    unfinished: usize,
    /// The user wants to see a CANCEL that matches nothing.
    takes_stray_cancels: bool,
}

/// What a timer was armed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    ClientInvite(ClientKey, client_invite::Timer),
    ClientNonInvite(ClientKey, client_non_invite::Timer),
    ServerInvite(ServerKey, server_invite::Timer),
    ServerNonInvite(ServerKey, server_non_invite::Timer),
    Lookup(SlotKey),
    Stray(StrayNumber),
    User(u64),
}

impl Transactions {
    pub(crate) fn new(config: Config, locals: Locals, now: Instant) -> Self {
        Self {
            random: Random::new(config.seed),
            preferences: Preferences::new(locals.iter().map(|local| local.transport))
                .with_families(config.families),
            bad: BadTargets::default(),
            ways_back: HashMap::new(),
            strays: Strays::default(),
            peers: HashMap::new(),
            aliases: Aliases::default(),
            throttle: Throttle::default(),
            feedback: Feedback::new(now),
            timers: TimerStore::new(now, &Interval::durations(&config)),
            config,
            locals,
            former: Locals::default(),
            clients: Slots::new(),
            servers: Slots::new(),
            matches: HashTable::new(),
            lookups: Slots::new(),
            cancel_reasons: HashMap::new(),
            events: VecDeque::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            unfinished: 0,
            takes_stray_cancels: false,
        }
    }

    /// Arms a timer of the transaction user's own; it comes back as [`Event::Timer`] with this token.
    pub fn arm(&mut self, now: Instant, after: Duration, token: u64) -> TimerKey {
        self.timers.arm(now, after, Expiry::User(token))
    }

    /// Takes a timer back; whether it was still to fire.
    pub fn disarm(&mut self, timer: TimerKey) -> bool {
        self.timers.cancel(timer).is_some()
    }

    /// The endpoint's source of random numbers.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Who proved to be at the far end of the flow, by a certificate; nobody if none was asked for or shown, or
    /// the connection is closed.
    ///
    /// RFC 5922 §7.4: "Nonetheless, server policies can use the set of SIP domain identities gathered from the
    /// certificate in Section 7.1 to make authorization decisions."
    pub fn peer(&self, flow: &Flow) -> Option<&Arc<Peer>> {
        self.peers.get(&flow.connection?)
    }

    /// Asks those who send requests here and take part in overload control to keep back so many of 100, for that
    /// long after they hear of it; 0 ends it. Every response to them says so, if
    /// [`Config::overload_control`] is set. To be called again within that time for as long as it shall hold:
    /// only a new demand prolongs it.
    pub fn demand_loss(&mut self, now: Instant, percent: u32, validity: Duration) {
        self.feedback.demand(now, percent, validity);
    }

    /// How many of 100 requests are to be kept back by [`demand_loss`](Self::demand_loss).
    pub fn demanded_loss(&self) -> u32 {
        self.feedback.loss()
    }

    /// Whether who sent this request keeps requests back when [`demand_loss`](Self::demand_loss) asks for it.
    pub fn obeys_demands(&self, key: ServerKey) -> bool {
        self.servers.get(key.0).is_some_and(|server| server.may_be_asked)
    }

    /// The addresses the endpoint listens on.
    pub fn locals(&self) -> &Locals {
        &self.locals
    }

    /// The endpoint's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many transactions live, client and server together.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many transactions somebody still waits for: requests without a final response, and final
    /// responses to an INVITE (other than a 2xx) without their ACK. The others live on only to absorb
    /// what comes late; a program that ends need not wait for them.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// How many timers are armed, those of the transaction user included.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Sends two line ends over a flow: the keep-alive of RFC 5626 §4.4.1 on a stream, where
    /// [`Event::Pong`] tells of the answer; on UDP a datagram that every receiver drops.
    pub fn ping(&mut self, flow: Flow) {
        self.outputs.push_back(over_flow(flow, Bytes::from_static(b"\r\n\r\n")));
    }

    /// Sends a STUN Binding request over a flow of UDP (RFC 5626 §4.4.2), once; [`Event::Binding`] tells of
    /// the answer. Only who said that they understand it may be asked.
    #[cfg(feature = "stun")]
    pub fn ask_binding(&mut self, flow: Flow, id: sip_transport::StunId) {
        self.outputs.push_back(over_flow(flow, sip_transport::Stun::request(id)));
    }

    /// Closes the connection of a flow after what is queued on it was written; [`Event::Closed`] follows.
    /// Does nothing for UDP.
    pub fn close(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.outputs.push_back(Output::Close(connection));
        }
    }

    /// Has the addresses of this machine looked at anew, after its networks have changed. Connections are
    /// dropped, and listeners named anew; [`Event::Rebound`] follows.
    pub fn rebind(&mut self) {
        self.outputs.push_back(Output::Rebind);
    }

    /// What was counted so far, and what lives now.
    pub fn stats(&self) -> Stats {
        Stats {
            live_clients: self.clients.len(),
            live_servers: self.servers.len(),
            live_timers: self.timers.len(),
            live_lookups: self.lookups.len(),
            live_strays: self.strays.len(),
            live_throttled: self.throttle.len(),
            ..self.stats
        }
    }

    /// A tag for the To of every response to this request, CANCEL included: always the same for
    /// one transaction, and not to be guessed.
    ///
    /// RFC 3261 §9.2: "noting that the To tag of the response to the CANCEL and the To tag in the
    /// response to the original request SHOULD be the same."
    pub fn local_tag(&self, key: ServerKey) -> String {
        construct::tag(self.config.seed, &[b"transaction", &key.as_u64().to_be_bytes()])
    }

    // What the endpoint calls.

    pub(crate) fn authenticated(&mut self, flow: Flow, peer: Arc<Peer>) {
        if let Some(connection) = flow.connection {
            self.peers.insert(connection, peer);
        }
    }

    pub(crate) fn rebound(&mut self, locals: Locals, lost: Vec<ListenerId>) {
        if locals != self.locals {
            self.former = core::mem::replace(&mut self.locals, locals);
        }
        self.events.push_back(Event::Rebound { lost });
    }

    /// Marks a request with where it came from, by which its responses go back.
    pub(crate) fn stamp(&self, request: &mut Request, flow: &Flow) {
        if self.config.force_rport && !flow.transport.is_reliable() {
            sip_transport::ask_for_rport(request);
        }
        sip_transport::stamp(request, flow.remote);
    }

    /// Whether a response answers a request of ours.
    pub(crate) fn is_own_response(&self, response: &Response) -> bool {
        let is_own = |locals| sip_transport::is_own_response(locals, response);
        is_own(&self.locals) || !self.former.is_empty() && is_own(&self.former)
    }

    pub(crate) fn closed(&mut self, flow: Flow, error: Option<TransportError>) {
        if let Some(connection) = flow.connection {
            self.peers.remove(&connection);
            self.aliases.remove(connection);
        }
        // Server transactions live on: RFC 3261 §18.2.2 sends responses over a new connection. Requests that
        // were or could not be written are reported each on its own.
        self.events.push_back(Event::Closed { flow, error });
    }

    #[cfg(feature = "stun")]
    pub(crate) fn receive_stun(&mut self, flow: Flow, datagram: &[u8]) {
        use sip_transport::Stun;

        match Stun::parse(datagram) {
            Some(request @ Stun::Request { .. }) => {
                let answer = request.answer(flow.remote);
                self.outputs.extend(answer.map(|answer| over_flow(flow, answer)));
            }
            Some(Stun::Success { id, mapped }) => {
                let mapped = Some(mapped);
                self.events.push_back(Event::Binding { flow, id, mapped });
            }
            Some(Stun::Failure { id }) => {
                self.events.push_back(Event::Binding { flow, id, mapped: None });
            }
            Some(_) => {}
            None => {
                self.stats.dropped_malformed += 1;
                self.blame(flow);
            }
        }
    }

    pub(crate) fn ponged(&mut self, flow: Flow) {
        self.events.push_back(Event::Pong { flow });
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    pub(crate) fn blame(&mut self, flow: Flow) {
        self.outputs.push_back(Output::Blame(flow));
    }

    /// Fires one timer whose time has come; whether there was one.
    pub(crate) fn fire(&mut self, now: Instant) -> bool {
        let Some(expiry) = self.timers.pop(now) else { return false };
        match expiry {
            Expiry::ClientInvite(key, timer) => self.client_invite_timer(now, key, timer),
            Expiry::ClientNonInvite(key, timer) => self.client_non_invite_timer(now, key, timer),
            Expiry::ServerInvite(key, timer) => self.server_invite_timer(now, key, timer),
            Expiry::ServerNonInvite(key, timer) => self.server_non_invite_timer(now, key, timer),
            Expiry::Lookup(key) => self.lookup_expired(now, key),
            Expiry::Stray(number) => self.strays.forget(number),
            Expiry::User(token) => self.events.push_back(Event::Timer { token }),
        }
        true
    }

    /// The transport could not send the message of that token.
    pub(crate) fn send_failed(
        &mut self,
        now: Instant,
        token: u64,
        target: Target,
        error: TransportError,
        payload: Bytes,
    ) {
        if let Some(number) = StrayNumber::from_token(token) {
            self.stats.send_failures += 1;
            return self.stray_failed(now, number, target, error, payload);
        }
        let key = Key::from_u64(token);
        // A connection that closed names all requests that went over it last, also those long answered.
        let is_live = match key {
            Key::Client(key) => self.clients.get(key.0).is_some(),
            Key::Server(key) => self.servers.get(key.0).is_some(),
        };
        self.stats.send_failures += u64::from(is_live);
        match key {
            Key::Client(key) => self.client_send_failed(now, key, target, error),
            Key::Server(key) if is_live => self.server_send_failed(now, key, target, error),
            // Over a stream the final response to anything but an INVITE ends its transaction.
            Key::Server(_) => self.stray_failed(now, StrayNumber::NEW, target, error, payload),
        }
    }

    /// Answers a request without a transaction.
    ///
    /// RFC 3261 §8.2.7: "A stateless UAS MUST NOT send provisional (1xx) responses."
    pub(crate) fn refuse(
        &mut self,
        request: &Request,
        flow: &Flow,
        status: StatusCode,
        reason: Option<&str>,
    ) {
        let retry_after =
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(self.config.retry_after);
        let tag = construct::request_tag(self.config.seed, request);
        let response = construct::refusal(request, status, reason, &tag, retry_after);
        if let Some(response) = response {
            self.respond_statelessly(&response, flow);
        }
    }

    fn respond_statelessly(&mut self, response: &Response, flow: &Flow) {
        let asked = self.with_demand(response);
        let response = asked.as_ref().unwrap_or(response);
        let (destination, fallback) = match response.headers().top_via() {
            Some(via) => sip_transport::response_target(&via, flow),
            // RFC 4475 §3.1.2.1: "An element receiving this request should respond with a 400 Bad
            // Request error."
            // What its Via says nobody can tell; where it came from we know.
            None if is_recognised(response) => (Destination::Flow(*flow), None),
            None => return,
        };
        self.stats.responses_sent += 1;
        let (payload, token) = (response.to_bytes(), StrayNumber::NEW.token());
        let transmit = Transmit { destination, fallback, payload, token, domain: None };
        self.outputs.push_back(Output::Transmit(transmit));
    }

    /// The response with what we ask of its receiver, if that may be asked.
    fn with_demand(&self, response: &Response) -> Option<Response> {
        let is_offered = |via| self.config.overload_control && overload::is_offered(&via);
        response.headers().top_via().filter(|via| is_offered(via.clone()))?;
        let mut response = response.clone();
        self.feedback.put_on(&mut response);
        Some(response)
    }

    /// Whether the next hop takes this request, or asked for fewer.
    fn may_go_to(&mut self, now: Instant, request: &Request, target: &Target) -> bool {
        if self.throttle.is_idle() {
            return true;
        }
        let category = Category::of(request, &self.config.preferred_resources);
        let dice = self.random.below(100);
        let may = self.throttle.passes(now, target.remote, category, dice);
        self.stats.throttled += u64::from(!may);
        may
    }

    /// Notes whether a transaction is unfinished.
    fn count_unfinished(count: &mut usize, was: &mut bool, is: bool) {
        match (core::mem::replace(was, is), is) {
            (false, true) => *count += 1,
            (true, false) => *count -= 1,
            (false, false) | (true, true) => {}
        }
    }

    /// Whether one more transaction may live.
    fn has_room(&self, eases_the_load: bool) -> bool {
        let spare = if eases_the_load { self.config.transactions / 8 + 1 } else { 0 };
        self.len() < self.config.transactions + spare
    }
}

/// What is said over a flow, or not at all.
fn over_flow(flow: Flow, payload: Bytes) -> Output {
    let destination = Destination::Flow(flow);
    Output::Transmit(Transmit { destination, fallback: None, payload, token: 0, domain: None })
}

/// Whether a response whose Via is malformed can be of use to who gets it.
fn is_recognised(response: &Response) -> bool {
    [HeaderName::Via, HeaderName::CallId, HeaderName::CSeq]
        .into_iter()
        .all(|name| response.headers().contains(name))
}

/// A span over the life of a transaction, for those who trace. It costs a word while nobody does.
type TransactionSpan = Option<Box<Span>>;

macro_rules! transaction_span {
    ($name:literal, $method:expr, $headers:expr) => {
        tracing::enabled!(tracing::Level::DEBUG).then(|| {
            Box::new(tracing::debug_span!(
                $name,
                method = $method.as_str(),
                call_id = $headers.call_id().unwrap_or_default(),
                branch = $headers.branch().unwrap_or_default(),
            ))
        })
    };
}
use transaction_span;

/// Notes what happened in a transaction.
macro_rules! trace_in {
    ($span:expr, $($what:tt)+) => {
        if let Some(span) = &$span {
            span.in_scope(|| tracing::debug!($($what)+));
        }
    };
}
use trace_in;

/// A name of a timer in one machine.
trait TimerName: Copy {
    /// A machine has at most two timers at a time: one that sends again and one that ends.
    fn nth(self) -> usize;
}

impl TimerName for client_invite::Timer {
    fn nth(self) -> usize {
        usize::from(self.is_retransmission())
    }
}

impl TimerName for client_non_invite::Timer {
    fn nth(self) -> usize {
        usize::from(self.is_retransmission())
    }
}

impl TimerName for server_invite::Timer {
    fn nth(self) -> usize {
        usize::from(self.is_retransmission())
    }
}

impl TimerName for server_non_invite::Timer {
    fn nth(self) -> usize {
        usize::from(self.is_retransmission())
    }
}

/// The timers that a transaction has running.
#[derive(Debug, Default)]
struct Running([Option<TimerKey>; 2]);

impl Running {
    fn start(
        &mut self,
        now: Instant,
        timers: &mut TimerStore<Expiry>,
        config: &Config,
        timer: impl TimerName,
        interval: Interval,
        expiry: Expiry,
    ) {
        self.stop(timers, timer);
        if let Some(running) = self.0.get_mut(timer.nth()) {
            *running = Some(timers.arm_nth(now, interval.list(config), expiry));
        }
    }

    fn stop(&mut self, timers: &mut TimerStore<Expiry>, timer: impl TimerName) {
        if let Some(timer) = self.0.get_mut(timer.nth()).and_then(Option::take) {
            timers.cancel(timer);
        }
    }

    fn stop_all(&mut self, timers: &mut TimerStore<Expiry>) {
        for timer in self.0.iter_mut().filter_map(Option::take) {
            timers.cancel(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a live transaction costs, without the bytes of its message: hundreds of thousands live.
    #[test]
    fn transactions_are_small() {
        const CLIENT_BYTES: usize = 192;
        const SERVER_BYTES: usize = 224;
        const TIMER_BYTES: usize = 40;
        let (client, server) = (Slots::<Client>::slot_bytes(), Slots::<Server>::slot_bytes());
        let timer = TimerStore::<Expiry>::slot_bytes();
        assert!(client <= CLIENT_BYTES, "a client transaction takes {client} bytes");
        assert!(server <= SERVER_BYTES, "a server transaction takes {server} bytes");
        assert!(timer <= TIMER_BYTES, "a timer takes {timer} bytes");
    }
}
