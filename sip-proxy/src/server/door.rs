//! Who is let in: digest, and what a user who is known may say about itself.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sip_auth::{
    Algorithm, Answer, Arrival, Authority, BadText, LookedUp, NonceKey, PendingLookup, UsedNonces,
    Users, Verdict, Verifier, Waiting,
};
use sip_message::{From, HeaderName, Request, StatusCode, Uri};

use super::unavailable;
use crate::{Aor, Reply};

/// How many nonces in use are remembered by the registrar and by the proxy, each with some 100 bytes. Beyond, the
/// owners of the oldest are challenged once more.
const NONCES: usize = 65_536;

/// Asks for proof, and judges it.
pub(super) struct Door {
    registrar: Verifier,
    proxy: Verifier,
    retry_after: u32,
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) enum Asks<'a> {
    /// To change what this address-of-record is bound to.
    Register(&'a Aor),
    /// To be forwarded, as from a user of ours.
    Forward,
}

/// Whether it gets it.
pub(super) enum Entry {
    /// Yes; who sent it, unless nobody may ask.
    Open(Option<Arc<str>>),
    /// No.
    Shut(Reply),
    /// It is known when the lookup is over, by [`Door::resume`].
    Waits(Waiting, PendingLookup),
}

impl Door {
    /// Nonces from before `since` count as used.
    pub(super) fn new(
        realm: &str,
        key: (NonceKey, NonceKey),
        since: Duration,
        algorithms: &[Algorithm],
        users: Arc<dyn Users>,
        retry_after: u32,
    ) -> Result<Self, BadText> {
        let verifier = |authority: Authority| {
            let offering = authority.algorithms(algorithms.iter().copied());
            let used = UsedNonces::new(NONCES, since);
            Verifier::new(offering, Arc::clone(&users), used)
        };
        let registrar = verifier(Authority::server(realm, key.0)?);
        let proxy = verifier(Authority::proxy(realm, key.1)?);
        Ok(Self { registrar, proxy, retry_after })
    }

    /// Whether this request gets what it asks for.
    pub(super) fn check(
        &mut self,
        request: &Request,
        asks: Asks<'_>,
        (now, random): (Duration, u64),
    ) -> Entry {
        let arrival = Arrival { request, source: b"", now };
        let verdict = self.of(asks).check(&arrival);
        self.judge(verdict, &arrival, asks, random)
    }

    /// The same as soon as what it waited for is there.
    pub(super) fn resume(
        &mut self,
        (waiting, found): (Waiting, LookedUp),
        request: &Request,
        asks: Asks<'_>,
        (now, random): (Duration, u64),
    ) -> Entry {
        let arrival = Arrival { request, source: b"", now };
        let verdict = self.of(asks).resume(waiting, found, now);
        self.judge(verdict, &arrival, asks, random)
    }

    /// Takes out what a request showed to this proxy, so that nobody behind it can guess secrets by it.
    pub(super) fn consume(&self, request: &mut Request) {
        if request.headers().contains(HeaderName::ProxyAuthorization) {
            self.proxy.authority().consume(request);
        }
    }

    fn of(&mut self, asks: Asks<'_>) -> &mut Verifier {
        match asks {
            Asks::Register(_) => &mut self.registrar,
            Asks::Forward => &mut self.proxy,
        }
    }

    fn judge(
        &mut self,
        mut verdict: Verdict,
        arrival: &Arrival<'_>,
        asks: Asks<'_>,
        random: u64,
    ) -> Entry {
        loop {
            return match verdict {
                Verdict::Exempt => Entry::Open(None),
                Verdict::User(user) => {
                    entitled(user.claim().username().unwrap_or_default(), arrival.request, asks)
                }
                Verdict::Refused(refusal) => {
                    let authority = self.of(asks).authority();
                    Entry::Shut(reply(&authority.answer(&refusal, arrival, random)))
                }
                Verdict::Unavailable(why) => {
                    tracing::warn!(%why, "a user cannot be looked up");
                    Entry::Shut(unavailable(self.retry_after))
                }
                Verdict::Waits(waiting, mut pending) => {
                    // Whoever polls it next leaves a waker that wakes.
                    let context = &mut Context::from_waker(Waker::noop());
                    match Future::poll(std::pin::Pin::new(&mut pending), context) {
                        Poll::Ready(found) => {
                            verdict = self.of(asks).resume(waiting, found, arrival.now);
                            continue;
                        }
                        Poll::Pending => Entry::Waits(waiting, pending),
                    }
                }
            };
        }
    }
}

/// A user may speak for itself only.
fn entitled(user: &str, request: &Request, asks: Asks<'_>) -> Entry {
    let is_own = match asks {
        // RFC 3261 §10.3: "If the
        // authenticated user is not authorized to modify bindings, the
        // registrar MUST return a 403 (Forbidden) and skip the remaining
        // steps."
        Asks::Register(aor) => aor.as_str().rsplit_once('@').is_some_and(|(of, _)| of == user),
        Asks::Forward => {
            let from = request.get::<From<'_>>().ok().flatten();
            from.is_some_and(|from| from.uri().user_decoded().as_deref() == Some(user))
        }
    };
    match asks {
        _ if !is_own => Entry::Shut(Reply::new(StatusCode::FORBIDDEN)),
        Asks::Register(_) => Entry::Open(None),
        Asks::Forward => Entry::Open(Some(user.into())),
    }
}

fn reply(answer: &Answer) -> Reply {
    answer
        .fields()
        .fold(Reply::new(answer.status), |reply, (name, value)| reply.header(name.as_str(), &value))
}

/// Whether the URI of From is of this domain.
pub(super) fn is_from(request: &Request, serves: impl Fn(&Uri<'_>) -> bool) -> bool {
    request.get::<From<'_>>().ok().flatten().is_some_and(|from| serves(&from.uri()))
}
