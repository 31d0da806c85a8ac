//! Who may ask this user agent for something: challenges for requests that come in (RFC 3261 §22.2), and the
//! proof in the answers (§20.6).
//!
//! A request whose sender is looked up elsewhere is kept until [`Agent::looked_up`]; `TimerKind::Held` answers
//! 503 in its place.

use std::time::{Duration, Instant};

use sip_auth::{
    Arrival, Authenticated, LookedUp, PendingLookup, Refusal, Unavailable, Verdict, Verifier,
    Waiting,
};
use sip_message::{HeaderName, Response, StatusCode};
use sip_transaction::{ServerKey, TimerKey, Transactions};

use super::key::RawKey;
use super::table::TimerKind;
use super::{Agent, Received, Served, ServerUse};
use crate::{AgentEvent, ServerAuthentication};

/// The settings at work.
pub(super) struct Guard {
    authentication: ServerAuthentication,
    verifier: Verifier,
    /// One moment by both clocks.
    epoch: (Instant, Duration),
}

/// A request that waits until somebody knows whose it is.
pub(super) struct Held {
    received: Received,
    waiting: Waiting,
    timer: TimerKey,
}

/// Who sent a request, for the proof in the answer, and the nonce for the next one.
pub(super) struct Admitted {
    authenticated: Authenticated,
    next: Option<String>,
}

impl Admitted {
    /// Who it proved to be.
    pub(super) fn username(&self) -> Option<&str> {
        self.authenticated.claim().username()
    }
}

impl Guard {
    fn unix(&self, now: Instant) -> Duration {
        let (then, unix) = self.epoch;
        unix.saturating_add(now.saturating_duration_since(then))
    }
}

impl Agent {
    /// Sets who is to prove who they are from now on; `unix` is the time since 1970 at `now`. Requests that
    /// wait for a lookup are judged by what is set when it comes.
    pub fn set_authentication(
        &mut self,
        now: Instant,
        unix: Duration,
        authentication: Option<ServerAuthentication>,
    ) {
        self.guard = authentication.map(|authentication| {
            let verifier = authentication.verifier(unix);
            Box::new(Guard { authentication, verifier, epoch: (now, unix) })
        });
    }

    /// Gives the request back if it may be served; if not, it is answered, or kept.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: Received,
    ) -> Option<Received> {
        let Some(guard) = &mut self.guard else { return Some(received) };
        let request = &received.request;
        if request.headers().to_tag().is_some() && !guard.authentication.within_dialogs {
            return Some(received);
        }
        let arrival = Arrival { request, source: b"", now: guard.unix(now) };
        let verdict = guard.verifier.check(&arrival);
        self.obey(now, tx, received, verdict)
    }

    /// What [`AgentEvent::Lookup`] asked for is there: the request goes on, or is refused. Nothing happens if
    /// the request is gone by now.
    pub fn looked_up(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        found: LookedUp,
    ) {
        let usage = self.servers.get(&key).map(|served| served.usage);
        let Some(ServerUse::Held(raw)) = usage else { return };
        let Some(Held { received, waiting, .. }) = self.release_held(tx, raw) else { return };
        let verdict = match &mut self.guard {
            None => Verdict::Exempt,
            Some(guard) => {
                let now = guard.unix(now);
                guard.verifier.resume(waiting, found, now)
            }
        };
        if let Some(received) = self.obey(now, tx, received, verdict) {
            self.admitted(now, tx, received);
        }
    }

    fn obey(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: Received,
        verdict: Verdict,
    ) -> Option<Received> {
        match verdict {
            Verdict::Exempt => Some(received),
            Verdict::User(authenticated) => {
                self.note_sender(now, tx, &received, authenticated);
                Some(received)
            }
            Verdict::Refused(refusal) => {
                self.challenge(now, tx, &received, refusal);
                None
            }
            Verdict::Unavailable(why) => {
                self.cannot_tell(now, tx, &received, &why);
                None
            }
            Verdict::Waits(waiting, pending) => {
                self.hold(now, tx, received, waiting, pending);
                None
            }
        }
    }

    fn note_sender(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        Received { server, request, .. }: &Received,
        authenticated: Authenticated,
    ) {
        let Some(guard) = &self.guard else { return };
        let now = guard.unix(now);
        let ages = authenticated.claim().nonce_use().is_ageing(now);
        let next = ages.then(|| {
            let arrival = Arrival { request, source: b"", now };
            let random = tx.random().next_u64();
            guard.verifier.authority().next_nonce(&authenticated, &arrival, random)
        });
        let admitted = Admitted { authenticated, next: next.flatten() };
        self.served(*server).sender = Some(Box::new(admitted));
    }

    fn challenge(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        Received { server, request, .. }: &Received,
        refusal: Refusal,
    ) {
        // Some that answer for their clients, Kamailio for one, send the request again with the same CSeq.
        if let Some(merged) = self.served(*server).merged.take() {
            self.merged.leave(merged);
        }
        // RFC 7616 §3.4: "If the response is
        // invalid, then a login failure SHOULD be logged, since repeated login
        // failures from a single client may indicate an attacker attempting to
        // guess passwords."
        if refusal == Refusal::Wrong {
            tracing::debug!(method = %request.method(), "a wrong username or secret");
        }
        let Some(guard) = &self.guard else { return };
        let arrival = Arrival { request, source: b"", now: guard.unix(now) };
        let random = tx.random().next_u64();
        let answer = guard.verifier.authority().answer(&refusal, &arrival, random);
        let tag = match request.headers().to_tag() {
            Some(_) => String::new(),
            None => tx.local_tag(*server),
        };
        let mut builder = self.response(request, answer.status, &tag);
        for (name, value) in answer.fields() {
            builder = builder.raw(name, value.as_bytes());
        }
        self.respond(now, tx, *server, request, builder);
    }

    /// Those who would know cannot be asked: that is not the sender's fault.
    fn cannot_tell(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        Received { server, request, .. }: &Received,
        why: &Unavailable,
    ) {
        tracing::warn!(%why, "a user cannot be looked up");
        self.refuse_for_now(now, tx, *server, request);
    }

    fn hold(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: Received,
        waiting: Waiting,
        pending: PendingLookup,
    ) {
        let limits = self.guard.as_ref().map(|guard| &guard.authentication);
        let Some(limits) = limits.filter(|limits| self.held.len() < limits.lookups) else {
            return self.refuse_for_now(now, tx, received.server, &received.request);
        };
        let server = received.server;
        let limit = limits.lookup_limit;
        let raw = self.held.insert_with(|raw| {
            let timer = tx.arm(now, limit, TimerKind::Held.token(raw));
            Held { received, waiting, timer }
        });
        // A full table of 2^32 is beyond any limit above.
        let Some(raw) = raw else { return };
        self.served(server).usage = ServerUse::Held(raw);
        self.events.push_back(AgentEvent::Lookup { key: server, pending });
    }

    fn release_held(&mut self, tx: &mut Transactions, raw: RawKey) -> Option<Held> {
        let held = self.held.remove(raw)?;
        tx.disarm(held.timer);
        self.server_answered(held.received.server);
        Some(held)
    }

    /// The lookup takes too long.
    pub(super) fn held_timer(&mut self, now: Instant, tx: &mut Transactions, raw: RawKey) {
        if let Some(Held { received, .. }) = self.release_held(tx, raw) {
            self.refuse_for_now(now, tx, received.server, &received.request);
        }
    }

    /// An INVITE that waits for a lookup was cancelled.
    pub(super) fn held_cancelled(&mut self, now: Instant, tx: &mut Transactions, raw: RawKey) {
        if let Some(Held { received, .. }) = self.release_held(tx, raw) {
            let status = StatusCode::REQUEST_TERMINATED;
            self.answer(now, tx, received.server, &received.request, status);
        }
    }

    /// The transaction of a request that waits for a lookup is gone.
    pub(super) fn held_lost(&mut self, tx: &mut Transactions, raw: RawKey) {
        self.release_held(tx, raw);
    }

    /// Answers 503 to every request that waits for a lookup: nobody does lookups any more.
    pub fn end_lookups(&mut self, now: Instant, tx: &mut Transactions) {
        let waiting: Vec<ServerKey> = self.held.values().map(|held| held.received.server).collect();
        for server in waiting {
            let usage = self.servers.get(&server).map(|served| served.usage);
            if let Some(ServerUse::Held(raw)) = usage {
                self.held_timer(now, tx, raw);
            }
        }
    }

    /// Adds to a 2xx the proof that this side knows the secret of whoever asked.
    // RFC 3261 §20.6: "A UAS MAY include this header field
    // in a 2xx response to a request that was successfully authenticated
    // using digest based on the Authorization header field."
    pub(super) fn proven(&self, server: ServerKey, mut response: Response) -> Response {
        if let Some(guard) = &self.guard
            && let Some(Served { sender: Some(sender), .. }) = self.servers.get(&server)
            && response.status().is_success()
            && !response.headers().contains(HeaderName::AuthenticationInfo)
        {
            let Admitted { authenticated, next } = &**sender;
            let authority = guard.verifier.authority();
            if let Some(info) = authority.info(authenticated, response.body(), next.as_deref()) {
                let value = info.to_string();
                // Quoted strings without control characters: it cannot be refused.
                let _ = response
                    .headers_mut()
                    .push_raw(HeaderName::AuthenticationInfo, value.as_bytes());
            }
        }
        response
    }
}
