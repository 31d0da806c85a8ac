//! Who is let in by digest: a verifier with a clock.

use std::time::{Duration, Instant};

use sip_auth::{Answer, Arrival, Authority, Credentials, Refusal, UsedNonces, Verdict, Verifier};
use sip_message::Request;

/// How many nonces are remembered, so that none of their counts is good twice.
const NONCES: usize = 10_000;

/// Judges requests by their credentials.
pub(super) struct Gate {
    verifier: Verifier,
    /// One moment by both clocks.
    epoch: (Instant, Duration),
}

impl Gate {
    /// A gate for these users; `unix` is the time since 1970 at `now`.
    pub(super) fn new(
        authority: Authority,
        users: Vec<Credentials>,
        (now, unix): (Instant, Duration),
    ) -> Self {
        let verifier = Verifier::new(authority, users, UsedNonces::new(NONCES, unix));
        Self { verifier, epoch: (now, unix) }
    }

    /// Whose request it is; nobody's if it is of a kind that is never asked (ACK and CANCEL). `random` are random
    /// bits for a nonce.
    ///
    /// # Errors
    /// What the request is owed instead of being served: a challenge as a rule.
    pub(super) fn user(
        &mut self,
        now: Instant,
        random: u64,
        request: &Request,
    ) -> Result<Option<String>, Answer> {
        let (then, unix) = self.epoch;
        let now = unix + now.saturating_duration_since(then);
        let arrival = Arrival { request, source: b"", now };
        let refusal = match self.verifier.check(&arrival) {
            Verdict::User(user) => return Ok(user.claim().username().map(str::to_owned)),
            Verdict::Refused(refusal) => refusal,
            Verdict::Exempt => return Ok(None),
            // Not with users in memory; if it were so, nobody would have proven anything.
            Verdict::Waits(..) | Verdict::Unavailable(_) => Refusal::NoCredentials,
        };
        Err(self.verifier.authority().answer(&refusal, &arrival, random))
    }
}
