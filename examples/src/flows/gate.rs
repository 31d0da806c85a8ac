//! Who is let in by digest: an authority and the users that it knows.

use std::time::{Duration, Instant};

use sip_auth::{Answer, Arrival, Authority, Checked, Credentials, UsedNonces};
use sip_message::Request;

/// How many nonces are remembered, so that none of their counts is good twice.
const NONCES: usize = 10_000;

/// Judges requests by their credentials.
pub(super) struct Gate {
    authority: Authority,
    users: Vec<Credentials>,
    used: UsedNonces,
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
        Self { authority, users, used: UsedNonces::new(NONCES, unix), epoch: (now, unix) }
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
        let refusal = match self.authority.check(&arrival) {
            Ok(Checked::Exempt) => return Ok(None),
            Ok(Checked::Claimed(claim)) => {
                match self.users.iter().find(|user| claim.is_user(user.username())) {
                    None => claim.unknown_user(),
                    Some(user) => {
                        let proof = claim.named(user.username());
                        let proof = proof.and_then(|claim| claim.verify(user.secret()));
                        match proof.and_then(|proof| proof.record(&mut self.used, now)) {
                            Ok(_) => return Ok(Some(user.username().to_owned())),
                            Err(refusal) => refusal,
                        }
                    }
                }
            }
            Err(refusal) => refusal,
        };
        Err(self.authority.answer(&refusal, &arrival, random))
    }
}
