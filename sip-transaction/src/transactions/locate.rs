//! Where a request goes, and where it goes next when that fails (RFC 3263).
//!
//! Failover stands above the machines: an attempt at another target is a client transaction of its own, with
//! a branch of its own, under the key that the transaction user knows.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_message::{
    HeaderName, Message, Method, Request, Response, RetryAfter, StatusCode, Transport, Uri,
};
use sip_transport::locate::{
    Answer, Failure, LocateError, Located, Locator, LookupError, Next, QuestionNumber, domain,
    next, numeric_target,
};
use sip_transport::{Destination, Target, Transmit, TransportError};

use super::client::Client;
use super::stray::StrayNumber;
use super::{Expiry, Transactions, trace_in};
use crate::branch::{Branch, LoopMark};
use crate::machine::Interval;
use crate::slots::SlotKey;
use crate::{ClientKey, NextHop, Output, RequestError, ServerKey, construct};

/// Where a request goes, as far as it is known.
pub(super) enum Hop {
    /// A target, and the domain that it has to prove.
    Known(Target, Option<Arc<str>>),
    Name(Box<Locator>),
}

/// Whether the far end is told, or has to prove, for which domain it is asked.
const fn names_the_domain(transport: Transport) -> bool {
    transport.is_secure() || matches!(transport, Transport::Ws)
}

/// The domain of the URI, where the far end is to hear of it.
fn domain_for(transport: Transport, uri: &Uri<'_>) -> Option<Arc<str>> {
    names_the_domain(transport).then(|| domain(uri)).flatten().map(Arc::from)
}

/// A message whose targets are being located.
#[derive(Debug)]
pub(super) struct Lookup {
    purpose: Purpose,
    locator: Box<Locator>,
    pub(super) running: crate::TimerKey,
    /// A target is known; the rest have little time left.
    is_hurried: bool,
}

/// What a lookup is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The first request of a client transaction.
    Request(ClientKey, Request),
    /// A message that has no transaction, an ACK say, and the nonce of its branch; a steady one takes no notice of
    /// which server failed lately.
    Pass { request: Request, nonce: u64, is_steady: bool },
    /// A response whose way back is gone.
    Response(ServerKey, Bytes),
    /// The same of a response that has no transaction.
    Stray(StrayNumber, Bytes),
}

/// What a request needs whose target has to prove its domain, or that has other targets as well.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// What [`Transmit::domain`] is of all that goes there.
    domain: Option<Arc<str>>,
    /// The targets that were not tried, the next one last.
    left: Vec<Target>,
    pub(super) is_cancelled: bool,
    /// INVITEs that a target answered with 503 over an unreliable transport.
    past: Vec<Past>,
}

impl Way {
    /// None for a numeric target over UDP or TCP, which needs nothing.
    pub(super) fn new(domain: Option<Arc<str>>, left: Vec<Target>) -> Option<Box<Self>> {
        let is_needed = domain.is_some() || !left.is_empty();
        is_needed.then(|| Box::new(Self { domain, left, ..Self::default() }))
    }
}

/// An INVITE that failed: what absorbs a response that comes again.
#[derive(Debug)]
struct Past {
    nonce: u64,
    target: Target,
    ack: Bytes,
}

impl Transactions {
    pub(super) fn hop(&self, hop: NextHop, request: &Request) -> Result<Hop, RequestError> {
        let uri = match hop {
            NextHop::Target(target) => return Ok(Hop::Known(target, None)),
            NextHop::Flow(flow) => return Ok(Hop::Known(Target::from(flow), None)),
            NextHop::FlowFor { flow, uri } => {
                return Ok(Hop::Known(flow.into(), domain_for(flow.transport, &uri)));
            }
            NextHop::Over(flow) => return Ok(Hop::Known(Target::from(flow).only(), None)),
            NextHop::Uri(uri) => uri,
        };
        let refused = |error| match error {
            LocateError::NoSupportedTransport => TransportError::NoListener.into(),
            _ => RequestError::NextHop,
        };
        if let Some(target) = numeric_target(&uri, &self.preferences.transports).map_err(refused)? {
            let domain = domain_for(target.transport, &uri);
            return Ok(Hop::Known(target, domain));
        }
        let seed = construct::lot(self.config.seed, request.headers());
        let locator = Locator::new(&uri, self.preferences.clone(), seed).map_err(refused)?;
        Ok(Hop::Name(Box::new(locator)))
    }

    /// Lets the message wait for its targets.
    pub(super) fn look_up(
        &mut self,
        now: Instant,
        purpose: Purpose,
        locator: Box<Locator>,
    ) -> SlotKey {
        // A resolver that never answers must not keep the transaction for ever.
        let lifetime = Interval::Lifetime.list(&self.config);
        let expiry = Expiry::Lookup(self.lookups.next_key());
        let running = self.timers.arm_nth(now, lifetime, expiry);
        let key = self.lookups.insert(Lookup { purpose, locator, running, is_hurried: false });
        self.ask(key);
        key
    }

    /// Asks what is to be asked by now.
    fn ask(&mut self, key: SlotKey) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        let id = u64::from(key.generation) << 32 | u64::from(key.slot);
        while let Some((number, question)) = lookup.locator.poll_question() {
            self.outputs.push_back(Output::Resolve { id, number, question });
        }
    }

    /// The answer to a question of a lookup.
    pub(crate) fn resolved(
        &mut self,
        now: Instant,
        id: u64,
        number: QuestionNumber,
        result: Result<Answer, LookupError>,
    ) {
        let key = SlotKey { slot: id as u32, generation: (id >> 32) as u32 };
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        lookup.locator.answer(number, result);
        self.settle(now, key);
    }

    /// Goes on with what is known by now.
    pub(super) fn settle(&mut self, now: Instant, key: SlotKey) {
        let Some(lookup) = self.lookups.get(key) else { return };
        match lookup.locator.outcome() {
            None => {
                self.ask(key);
                self.hurry(now, key);
            }
            Some(outcome) => self.located(now, key, outcome),
        }
    }

    /// One host whose name servers are slow must not keep requests from the others: as soon as there is a
    /// target, the addresses of the other hosts have T1 to come.
    fn hurry(&mut self, now: Instant, key: SlotKey) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        if !lookup.is_hurried && lookup.locator.known().is_some() {
            lookup.is_hurried = true;
            self.timers.cancel(lookup.running);
            let soon = Interval::Backoff(0).list(&self.config);
            lookup.running = self.timers.arm_nth(now, soon, Expiry::Lookup(key));
        }
    }

    /// A lookup took as long as it may.
    pub(super) fn lookup_expired(&mut self, now: Instant, key: SlotKey) {
        let Some(lookup) = self.lookups.get(key) else { return };
        let known = lookup.locator.known();
        self.located(now, key, known.ok_or(LookupError::Timeout.into()));
    }

    fn located(&mut self, now: Instant, key: SlotKey, outcome: Result<Located, LocateError>) {
        let Some(lookup) = self.lookups.remove(key) else { return };
        self.timers.cancel(lookup.running);
        let found = outcome.map_err(TransportError::from).and_then(|located| {
            let mut targets = located.targets;
            // An IPv4-only host cannot use an IPv6 address.
            targets.retain(|target| self.listener(target).is_ok());
            if targets.is_empty() {
                return Err(TransportError::NoListener);
            }
            // RFC 3261 §16.11: "In
            // particular, a retransmitted request MUST be forwarded to the
            // same destination each time it is processed."
            if !matches!(lookup.purpose, Purpose::Pass { is_steady: true, .. }) {
                self.bad.put_last(now, &mut targets);
            }
            // All go by one transport.
            let names = targets.first().is_some_and(|target| names_the_domain(target.transport));
            let domain: Option<Arc<str>> = names.then(|| located.domain.into());
            targets.reverse();
            Ok((targets, domain))
        });
        match (lookup.purpose, found) {
            (Purpose::Request(key, request), Ok((targets, domain))) => {
                self.begin_at(now, key, request, targets, domain);
            }
            (Purpose::Request(key, _), Err(error)) => self.fail_client(key, error),
            (Purpose::Pass { request, nonce, .. }, Ok((targets, domain))) => {
                if let Some(target) = targets.last() {
                    // Its listener was found just now; an ACK that is lost is asked for again.
                    self.send_statelessly(request, *target, domain, nonce).ok();
                }
            }
            (Purpose::Pass { .. }, Err(error)) => {
                tracing::debug!(%error, "a message without a transaction leads nowhere");
            }
            (Purpose::Response(key, payload), Ok((targets, domain))) => {
                self.found_way_back(now, key, payload, targets, domain);
            }
            (Purpose::Response(key, payload), Err(error)) => {
                tracing::debug!(%error, "a response leads nowhere");
                self.found_way_back(now, key, payload, Vec::new(), None);
            }
            (Purpose::Stray(number, payload), found) => {
                let (targets, domain) = found.unwrap_or_default();
                self.found_stray_way(number, payload, targets, domain);
            }
        }
    }

    /// Sends a request to the last of the targets, and remembers the others.
    fn begin_at(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: Request,
        mut targets: Vec<Target>,
        domain: Option<Arc<str>>,
    ) {
        // RFC 7339 §5.10: "The
        // client can accomplish this task by sending some of the requests that
        // would have gone to the overloaded element to a different destination."
        let mut target = targets.pop();
        while target.is_some_and(|target| !self.may_go_to(now, &request, &target)) {
            target = targets.pop();
        }
        let Some(target) = target else {
            return self.fail_client(key, TransportError::Throttled);
        };
        let Some(client) = self.clients.get_mut(key.0) else { return };
        client.target = target;
        client.way = Way::new(domain, targets);
        if let Err(error) = self.send_first(now, key, request) {
            self.fail_client(key, error);
        }
    }

    /// A response came, whose transaction is still without a final one: whether it made the request go
    /// elsewhere, so that nobody is to hear of it.
    pub(super) fn response_fails_over(
        &mut self,
        now: Instant,
        key: ClientKey,
        response: &Response,
    ) -> bool {
        let Some(client) = self.clients.get(key.0) else { return false };
        if !client.is_unfinished() {
            return false;
        }
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            self.bad.forget(&client.target);
            return false;
        }
        let retry_after = response.get::<RetryAfter>().ok().flatten();
        let retry_after = retry_after.map(|it| Duration::from_secs(u64::from(it.seconds())));
        let (nonce, target, domain) = (client.nonce, client.target, client.domain());
        let ack = match client.method {
            Method::Invite => self.ack_of(key, response),
            _ => None,
        };
        if !self.fails_over(now, key, Failure::Unavailable(retry_after)) {
            return false;
        }
        // RFC 3261 §17.1.1.2: "When in either the "Calling" or "Proceeding" states, reception of a response
        // with status code from 300-699 MUST cause the client transaction to transition to "Completed".  The
        // client transaction MUST pass the received response up to the TU, and the client transaction MUST
        // generate an ACK request, even if the transport is reliable"
        // It is this layer that takes the response, since it acts on it for the user.
        if let Some(ack) = ack {
            self.send_past_ack(target, domain, ack.clone());
            if let Some(way) = self.clients.get_mut(key.0).and_then(|client| client.way.as_mut())
                && !target.transport.is_reliable()
            {
                way.past.push(Past { nonce, target, ack });
            }
        }
        true
    }

    /// Acknowledges a 503 that came again, from a target that the request has left.
    pub(super) fn is_of_the_past(&mut self, response: &Response) -> bool {
        let headers = response.headers();
        let Some(branch) = headers.branch().and_then(Branch::decode) else { return false };
        let Some((_, client)) = self.clients.at(branch.slot) else { return false };
        let Some(way) = &client.way else { return false };
        let Some(past) = way.past.iter().find(|past| past.nonce == branch.nonce) else {
            return false;
        };
        let status = response.status();
        if status.is_final() && !status.is_success() {
            // Over an unreliable transport: no domain has to be proven there.
            let (target, ack) = (past.target, past.ack.clone());
            self.send_past_ack(target, None, ack);
            return true;
        }
        false
    }

    fn ack_of(&self, key: ClientKey, response: &Response) -> Option<Bytes> {
        let client = self.clients.get(key.0)?;
        client.way.as_ref().filter(|way| !way.left.is_empty())?;
        match Message::parse(client.message.clone(), &self.config.message) {
            Ok(Message::Request(invite)) => construct::ack(&invite, response),
            _ => None,
        }
    }

    fn send_past_ack(&mut self, target: Target, domain: Option<Arc<str>>, payload: Bytes) {
        self.stats.requests_sent += 1;
        let destination = Destination::Target(target);
        self.outputs.push_back(Output::Transmit(Transmit {
            destination,
            fallback: None,
            payload,
            token: 0,
            domain,
        }));
    }

    /// The last timer of a transaction fired: whether nothing was heard until then, and the request goes to
    /// another target now.
    pub(super) fn silence_fails_over(&mut self, now: Instant, key: ClientKey) -> bool {
        let Some(client) = self.clients.get(key.0) else { return false };
        let is_silent = client.awaits_an_answer();
        is_silent && self.fails_over(now, key, Failure::Timeout { was_heard: false })
    }

    /// The attempt at a target failed: whether the request goes to another one now.
    pub(super) fn fails_over(&mut self, now: Instant, key: ClientKey, failure: Failure) -> bool {
        let Some(client) = self.clients.get(key.0) else { return false };
        if !client.is_unfinished() {
            return false;
        }
        if self.config.overload_control && is_silence(failure) {
            self.throttle.failed(now, client.target.remote);
        }
        // Nothing is remembered of a target without an alternative: numeric ones are used all the same.
        let Some(way) = client.way.as_deref() else { return false };
        self.bad.note(now, &client.target, failure);
        let Some(&target) = way.left.last() else { return false };
        if next(failure, way.is_cancelled, way.left.len()) == Next::Report {
            return false;
        }
        let message = Message::parse(client.message.clone(), &self.config.message);
        let Ok(Message::Request(mut request)) = message else { return false };
        request.headers_mut().pop_front(HeaderName::Via);
        // RFC 3263 §4.3: "If a failure occurs, the client SHOULD create a new request, which is identical to
        // the previous, but has a different value of the Via branch ID than the previous (and therefore
        // constitutes a new SIP transaction).  That request is sent to the next element in the list as
        // specified by RFC 2782."
        // Of a forwarded request the mark stays.
        let nonce = LoopMark::of(client.nonce).nonce(self.random.next_u64());
        let branch = Branch { slot: key.0.slot, nonce };
        let (domain, keep) = (client.domain(), client.keep);
        if !self.may_go_to(now, &request, &target) {
            return false;
        }
        let target = self.by_alias(target, domain.as_deref());
        let dressed = self.dress(&mut request, target, branch, keep);
        let Ok((target, moved)) = dressed else { return false };
        let Some(client) = self.clients.get_mut(key.0) else { return false };
        trace_in!(client.span, ?failure, remote = %target.remote, "the next target");
        if let Some(way) = &mut client.way {
            way.left.pop();
        }
        client.running.stop_all(&mut self.timers);
        client.nonce = nonce;
        client.target = target;
        client.moved = moved;
        client.message = request.to_bytes();
        client.is_sent = false;
        self.stats.failovers += 1;
        self.start(now, key);
        true
    }
}

/// Whether the far end is not there, or not able to answer.
fn is_silence(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::Timeout { was_heard: false }
            | Failure::Transport(
                TransportError::Refused
                    | TransportError::ConnectTimeout
                    | TransportError::Unreachable
            )
    )
}

impl Client {
    /// The domain that the target has to prove.
    pub(super) fn domain(&self) -> Option<Arc<str>> {
        self.way.as_ref()?.domain.clone()
    }
}
