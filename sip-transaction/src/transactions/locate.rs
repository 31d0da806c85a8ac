//! Where a request goes, and where it goes next when that fails (RFC 3263).
//!
//! Failover stands above the machines: an attempt at another target is a client transaction of its own, with
//! a branch of its own, under the key that the transaction user knows.

use core::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use sip_message::{HeaderName, Message, Method, Request, Response, RetryAfter, StatusCode};
use sip_transport::locate::{
    Answer, Failure, LocateError, Locator, LookupError, Next, QuestionNumber, next, numeric_target,
};
use sip_transport::{Destination, Target, Transmit, TransportError};

use super::{Expiry, Transactions, trace_in};
use crate::branch::Branch;
use crate::machine::Interval;
use crate::slots::SlotKey;
use crate::{ClientKey, Event, NextHop, Output, RequestError, construct};

/// Where a request goes, as far as it is known.
pub(super) enum Hop {
    Known(Target),
    Name(Box<Locator>),
}

/// A request whose next hop is being located.
#[derive(Debug)]
pub(super) struct Lookup {
    request: Request,
    /// None for an ACK.
    transaction: Option<ClientKey>,
    locator: Box<Locator>,
    pub(super) running: crate::TimerKey,
}

/// What a request needs that has more targets than one.
#[derive(Debug)]
pub(super) struct Failover {
    /// Those that were not tried, the next one last.
    left: Vec<Target>,
    pub(super) is_cancelled: bool,
    /// INVITEs that a target answered with 503 over an unreliable transport.
    past: Vec<Past>,
}

/// An INVITE that failed: what absorbs a response that comes again.
#[derive(Debug)]
struct Past {
    nonce: u64,
    target: Target,
    ack: Bytes,
}

impl Transactions {
    pub(super) fn hop(&mut self, hop: NextHop) -> Result<Hop, RequestError> {
        let uri = match hop {
            NextHop::Target(target) => return Ok(Hop::Known(target)),
            NextHop::Flow(flow) => return Ok(Hop::Known(Target::from(flow))),
            NextHop::Uri(uri) => uri,
        };
        let refused = |error| match error {
            LocateError::NoSupportedTransport => TransportError::NoListener.into(),
            _ => RequestError::NextHop,
        };
        if let Some(target) = numeric_target(&uri, &self.preferences.transports).map_err(refused)? {
            return Ok(Hop::Known(target));
        }
        let seed = self.random.next_u64();
        let locator = Locator::new(&uri, self.preferences.clone(), seed).map_err(refused)?;
        Ok(Hop::Name(Box::new(locator)))
    }

    /// Lets the request wait for its targets.
    pub(super) fn look_up(
        &mut self,
        now: Instant,
        request: Request,
        transaction: Option<ClientKey>,
        locator: Box<Locator>,
    ) -> SlotKey {
        // A resolver that never answers must not keep the transaction for ever.
        let lifetime = Interval::Lifetime.list(&self.config);
        let expiry = Expiry::Lookup(self.lookups.next_key());
        let running = self.timers.arm_nth(now, lifetime, expiry);
        let key = self.lookups.insert(Lookup { request, transaction, locator, running });
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
        let Some(outcome) = lookup.locator.outcome() else {
            self.ask(key);
            return;
        };
        let mut targets = match outcome {
            Ok(located) => located.targets,
            Err(error) => {
                self.lookup_failed(now, key, Some(error.into()));
                return;
            }
        };
        // An IPv4-only host cannot use an IPv6 address.
        targets.retain(|target| self.listener(target).is_ok());
        self.bad.put_last(now, &mut targets);
        targets.reverse();
        let Some(target) = targets.pop() else {
            self.lookup_failed(now, key, Some(TransportError::NoListener));
            return;
        };
        let Some(lookup) = self.lookups.remove(key) else { return };
        self.timers.cancel(lookup.running);
        let Some(client) = lookup.transaction else {
            // Its listener was found just now; an ACK that is lost is asked for again.
            self.send_statelessly(lookup.request, target).ok();
            return;
        };
        if let Some(client) = self.clients.get_mut(client.0) {
            client.target = target;
            client.failover = (!targets.is_empty()).then(|| {
                Box::new(Failover { left: targets, is_cancelled: false, past: Vec::new() })
            });
        }
        if let Err(error) = self.send_first(now, client, lookup.request) {
            self.fail_client(client, error);
        }
    }

    /// A lookup ended without a target; without an error it was too slow.
    pub(super) fn lookup_failed(
        &mut self,
        _now: Instant,
        key: SlotKey,
        error: Option<TransportError>,
    ) {
        let Some(lookup) = self.lookups.remove(key) else { return };
        self.timers.cancel(lookup.running);
        let Some(key) = lookup.transaction else { return };
        match error {
            Some(error) => self.fail_client(key, error),
            None => {
                self.stats.timeouts += 1;
                self.events.push_back(Event::Timeout { key });
                self.end_client(key);
            }
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
        let (nonce, target) = (client.nonce, client.target);
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
            self.send_past_ack(target, ack.clone());
            if let Some(failover) =
                self.clients.get_mut(key.0).and_then(|client| client.failover.as_mut())
                && !target.transport.is_reliable()
            {
                failover.past.push(Past { nonce, target, ack });
            }
        }
        true
    }

    /// Acknowledges a 503 that came again, from a target that the request has left.
    pub(super) fn is_of_the_past(&mut self, response: &Response) -> bool {
        let headers = response.headers();
        let Some(branch) = headers.branch().and_then(Branch::decode) else { return false };
        let Some((_, client)) = self.clients.at(branch.slot) else { return false };
        let Some(failover) = &client.failover else { return false };
        let Some(past) = failover.past.iter().find(|past| past.nonce == branch.nonce) else {
            return false;
        };
        let status = response.status();
        if status.is_final() && !status.is_success() {
            let (target, ack) = (past.target, past.ack.clone());
            self.send_past_ack(target, ack);
            return true;
        }
        false
    }

    fn ack_of(&self, key: ClientKey, response: &Response) -> Option<Bytes> {
        let client = self.clients.get(key.0)?;
        client.failover.as_ref()?;
        match Message::parse(client.message.clone(), &self.config.message) {
            Ok(Message::Request(invite)) => construct::ack(&invite, response),
            _ => None,
        }
    }

    fn send_past_ack(&mut self, target: Target, payload: Bytes) {
        self.stats.requests_sent += 1;
        let destination = Destination::Target(target);
        self.outputs.push_back(Output::Transmit(Transmit {
            destination,
            fallback: None,
            payload,
            token: 0,
            domain: None,
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
        self.bad.note(now, &client.target, failure);
        let Some(failover) = client.failover.as_deref() else { return false };
        let Some(&target) = failover.left.last() else { return false };
        if next(failure, failover.is_cancelled, failover.left.len()) == Next::Report {
            return false;
        }
        let message = Message::parse(client.message.clone(), &self.config.message);
        let Ok(Message::Request(mut request)) = message else { return false };
        request.headers_mut().pop_front(HeaderName::Via);
        // RFC 3263 §4.3: "If a failure occurs, the client SHOULD create a new request, which is identical to
        // the previous, but has a different value of the Via branch ID than the previous (and therefore
        // constitutes a new SIP transaction).  That request is sent to the next element in the list as
        // specified by RFC 2782."
        let nonce = self.random.next_u64();
        let branch = Branch { slot: key.0.slot, nonce };
        let Ok((target, moved)) = self.dress(&mut request, target, branch) else { return false };
        let Some(client) = self.clients.get_mut(key.0) else { return false };
        trace_in!(client.span, ?failure, remote = %target.remote, "the next target");
        if let Some(failover) = &mut client.failover {
            failover.left.pop();
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
