//! Who may ask this user agent for something: challenges for requests that come in (RFC 3261 §22.2).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_auth::{Arrival, Authority, Checked, Claim, Credentials, Refusal, UsedNonces};
use sip_message::Request;
use sip_transaction::{ServerKey, Transactions};

use super::Agent;

/// How many nonces in use are remembered, unless something else is said: about 6 MB.
const USED_NONCES: usize = 65_536;

/// Where the users of a server are looked up.
pub trait Users: Send + Sync {
    /// The user that a request claims to be from, if there is one.
    ///
    /// It is asked on the task that serves everybody: what takes long belongs in memory.
    fn find(&self, claim: &Claim) -> Option<Credentials>;
}

/// In order; those for other realms are passed over.
impl Users for Vec<Credentials> {
    fn find(&self, claim: &Claim) -> Option<Credentials> {
        let here = |user: &&Credentials| user.realm().is_none_or(|realm| realm == claim.realm());
        self.iter().filter(here).find(|user| claim.is_user(user.username())).cloned()
    }
}

/// Which requests are to prove whose they are, and how: see
/// [`UserAgentBuilder::authentication`](crate::UserAgentBuilder::authentication).
///
/// A request that reaches the application has proven it: its Authorization names the user.
#[derive(Clone)]
pub struct ServerAuthentication {
    authority: Authority,
    users: Arc<dyn Users>,
    within_dialogs: bool,
    used_nonces: usize,
}

impl ServerAuthentication {
    /// Challenges every request outside of a dialog, but ACK and CANCEL, which nobody may challenge.
    pub fn new(authority: Authority, users: impl Users + 'static) -> Self {
        Self { authority, users: Arc::new(users), within_dialogs: false, used_nonces: USED_NONCES }
    }

    /// Challenges requests within dialogs as well. The other end of a call that was placed from here is
    /// challenged too then: it must be among the users.
    #[must_use]
    pub fn within_dialogs(mut self) -> Self {
        self.within_dialogs = true;
        self
    }

    /// How many nonces in use are remembered; when there are more, the owners of the oldest are challenged
    /// once more. Default 65,536.
    #[must_use]
    pub fn used_nonces(mut self, limit: usize) -> Self {
        self.used_nonces = limit;
        self
    }
}

impl fmt::Debug for ServerAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAuthentication")
            .field("authority", &self.authority)
            .field("within_dialogs", &self.within_dialogs)
            .field("used_nonces", &self.used_nonces)
            .finish_non_exhaustive()
    }
}

/// The same at work.
pub(super) struct Guard {
    authentication: ServerAuthentication,
    used: UsedNonces,
    /// One moment by both clocks.
    epoch: (Instant, Duration),
}

impl Guard {
    fn judge(&mut self, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let authority = &self.authentication.authority;
        let Checked::Claimed(claim) = authority.check(arrival)? else { return Ok(()) };
        let Some(user) = self.authentication.users.find(&claim) else {
            return Err(claim.unknown_user());
        };
        let proof = claim.named(user.username())?.verify(user.secret())?;
        proof.record(&mut self.used, arrival.now).map(drop)
    }
}

impl Agent {
    /// Sets who is to prove who they are from now on; `unix` is the time since 1970 at `now`.
    pub fn set_authentication(
        &mut self,
        now: Instant,
        unix: Duration,
        authentication: Option<ServerAuthentication>,
    ) {
        self.guard = authentication.map(|authentication| {
            let used = UsedNonces::new(authentication.used_nonces, unix);
            Box::new(Guard { authentication, used, epoch: (now, unix) })
        });
    }

    /// Whether a request may be served; if not, it is answered.
    pub(super) fn is_admitted(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
    ) -> bool {
        let Some(guard) = &mut self.guard else { return true };
        if request.headers().to_tag().is_some() && !guard.authentication.within_dialogs {
            return true;
        }
        let (then, unix) = guard.epoch;
        let now_unix = unix.saturating_add(now.saturating_duration_since(then));
        let arrival = Arrival { request, source: b"", now: now_unix };
        let Err(refusal) = guard.judge(&arrival) else { return true };
        // RFC 7616 §3.4: "If the response is
        // invalid, then a login failure SHOULD be logged, since repeated login
        // failures from a single client may indicate an attacker attempting to
        // guess passwords."
        if refusal == Refusal::Wrong {
            tracing::info!(method = %request.method(), "a request with a wrong username or secret");
        }
        let answer =
            guard.authentication.authority.answer(&refusal, &arrival, tx.random().next_u64());
        let tag = match request.headers().to_tag() {
            Some(_) => String::new(),
            None => tx.local_tag(server),
        };
        let mut builder = self.response(request, answer.status, &tag);
        for (name, value) in answer.fields() {
            builder = builder.raw(name, value.as_bytes());
        }
        self.respond(now, tx, server, request, builder);
        false
    }
}
