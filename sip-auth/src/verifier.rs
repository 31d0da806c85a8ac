//! From a request to who sent it: one way for every server, registrar and proxy.
//!
//! ```text
//! check --> claim --> user looked up --> secret compared --> use of the nonce recorded --> User
//!   |         |          |     |                |                   |      |
//! Exempt   Refused     Waits  Unavailable    Refused             Waits  Refused, Unavailable
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::{
    Arrival, Authenticated, Authority, Checked, Claim, Credentials, Lookup, Proof, Refusal,
    SharedNonces, Unavailable, Use, UsedNonces, Users,
};

/// An [`Authority`] with the users it knows and the nonces that they used.
///
/// Sans-IO as everything here: what is not at hand is handed out as a [`PendingLookup`], to be awaited wherever the
/// caller likes, and what comes of it is handed in again.
///
/// ```
/// use std::time::Duration;
/// use sip_auth::{Arrival, Authority, Credentials, NonceKey, UsedNonces, Verdict, Verifier};
/// # use sip_message::{Limits, Message};
/// # let text = "OPTIONS sip:example.com SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
/// # let request = Message::parse(text.into(), &Limits::default())?.into_request().unwrap();
/// let authority = Authority::server("example.com", NonceKey::new(&[7; 32])?)?;
/// let users = vec![Credentials::new("alice", "wonderland")];
/// let mut verifier = Verifier::new(authority, users, UsedNonces::new(10_000, Duration::ZERO));
///
/// let arrival =
///     Arrival { request: &request, source: b"", now: Duration::from_secs(1_700_000_000) };
/// let Verdict::Refused(refusal) = verifier.check(&arrival) else { panic!() };
/// // Nobody was named in this request: a 401 with a challenge for each algorithm.
/// let answer = verifier.authority().answer(&refusal, &arrival, 0x5eed);
/// assert_eq!(answer.status.as_u16(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    authority: Authority,
    users: Arc<dyn Users>,
    shared: Option<Arc<dyn SharedNonces>>,
    used: UsedNonces,
    /// Somebody's, which whoever is unknown is measured against: that takes as long as for those who are known.
    decoy: Option<Credentials>,
}

/// How far a request has come.
#[derive(Debug)]
pub enum Verdict {
    /// ACK and CANCEL: nobody may ask whose they are.
    Exempt,
    /// To the end: it is this user's, and no replay.
    User(Authenticated),
    /// It is owed [`Authority::answer`].
    Refused(Refusal),
    /// Nobody can tell at present: it is to come again later (503).
    Unavailable(Unavailable),
    /// It waits: what comes of the lookup goes to [`Verifier::resume`].
    Waits(Waiting, PendingLookup),
}

/// A request that waits until somebody knows whose it is.
#[derive(Debug)]
pub struct Waiting(Stage);

/// What is being looked up.
#[derive(Debug)]
enum Stage {
    /// The user.
    Finding(Box<Claim>),
    /// Whether the nonce was used before.
    Recording(Proof),
}

impl Verifier {
    /// Users may be several verifiers' ([`Arc`]); the memory of nonces is this one's.
    pub fn new(authority: Authority, users: impl Users + 'static, used: UsedNonces) -> Self {
        Self { authority, users: Arc::new(users), shared: None, used, decoy: None }
    }

    /// Records used nonces here, and not in a memory of its own: for several with one nonce key.
    #[must_use]
    pub fn shared_nonces(mut self, shared: impl SharedNonces + 'static) -> Self {
        self.shared = Some(Arc::new(shared));
        self
    }

    /// Who asks: for challenges ([`Authority::answer`]), and the proofs in responses ([`Authority::info`]).
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Who asks, to change its key ([`Authority::rotate`]).
    pub fn authority_mut(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// Whose request this is.
    pub fn check(&mut self, arrival: &Arrival<'_>) -> Verdict {
        match self.authority.check(arrival) {
            Err(refusal) => Verdict::Refused(refusal),
            Ok(Checked::Exempt) => Verdict::Exempt,
            Ok(Checked::Claimed(claim)) => match self.users.find(&claim) {
                Lookup::Ready(user) => self.found(claim, user, arrival.now),
                Lookup::Later(user) => Verdict::Waits(
                    Waiting(Stage::Finding(claim)),
                    PendingLookup::of(user, Found::User),
                ),
            },
        }
    }

    /// The same as soon as the lookup is over; it may have to wait once more.
    pub fn resume(&mut self, waiting: Waiting, found: LookedUp, now: Duration) -> Verdict {
        match (waiting.0, found.0) {
            (Stage::Finding(claim), Found::User(user)) => self.found(claim, user, now),
            (Stage::Recording(proof), Found::Use(judged)) => settled(proof, judged),
            (_, Found::Nothing(why)) => Verdict::Unavailable(why),
            // The answer to another question.
            (Stage::Finding(_), Found::Use(_)) | (Stage::Recording(_), Found::User(_)) => {
                Verdict::Unavailable(Unavailable::new("the answer is to another question"))
            }
        }
    }

    fn found(
        &mut self,
        claim: Box<Claim>,
        user: Result<Option<Credentials>, Unavailable>,
        now: Duration,
    ) -> Verdict {
        let user = match user {
            Ok(Some(user)) => user,
            Ok(None) => {
                let decoy = self.decoy.as_ref().map(Credentials::secret);
                return Verdict::Refused(claim.unknown_among(decoy));
            }
            Err(why) => return Verdict::Unavailable(why),
        };
        if self.decoy.is_none() {
            self.decoy = Some(user.clone());
        }
        let proof = match claim.named(user.username()).and_then(|c| c.verify(user.secret())) {
            Ok(proof) => proof,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        match &self.shared {
            None => proof.record(&mut self.used, now).into(),
            Some(shared) => match shared.record(proof.nonce_use(), now) {
                Lookup::Ready(judged) => settled(proof, judged),
                Lookup::Later(judged) => Verdict::Waits(
                    Waiting(Stage::Recording(proof)),
                    PendingLookup::of(judged, Found::Use),
                ),
            },
        }
    }
}

fn settled(proof: Proof, judged: Result<Use, Unavailable>) -> Verdict {
    match judged {
        Ok(judged) => proof.settle(judged).into(),
        Err(why) => Verdict::Unavailable(why),
    }
}

impl From<Result<Authenticated, Refusal>> for Verdict {
    fn from(judged: Result<Authenticated, Refusal>) -> Self {
        match judged {
            Ok(authenticated) => Self::User(authenticated),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A lookup that a request waits for: whoever drives the verifier awaits it, and gives what comes of it to
/// [`Verifier::resume`].
pub struct PendingLookup(Pin<Box<dyn Future<Output = LookedUp> + Send>>);

/// What came of a [`PendingLookup`].
pub struct LookedUp(Found);

enum Found {
    User(Result<Option<Credentials>, Unavailable>),
    Use(Result<Use, Unavailable>),
    /// It was given up.
    Nothing(Unavailable),
}

impl PendingLookup {
    fn of<T: 'static>(
        answer: Pin<Box<dyn Future<Output = T> + Send>>,
        found: fn(T) -> Found,
    ) -> Self {
        Self(Box::pin(async move { LookedUp(found(answer.await)) }))
    }
}

impl LookedUp {
    /// Nothing came of it: it took too long, say.
    pub fn unavailable(why: Unavailable) -> Self {
        Self(Found::Nothing(why))
    }
}

impl Future for PendingLookup {
    type Output = LookedUp;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookedUp> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for PendingLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLookup(…)")
    }
}

impl fmt::Debug for LookedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Found::User(Ok(Some(_))) => "LookedUp(a user)",
            Found::User(Ok(None)) => "LookedUp(nobody)",
            Found::Use(Ok(Use::First)) => "LookedUp(the first use)",
            Found::Use(Ok(Use::Repeated)) => "LookedUp(a repeated use)",
            Found::User(Err(_)) | Found::Use(Err(_)) | Found::Nothing(_) => "LookedUp(unavailable)",
        })
    }
}

#[cfg(test)]
mod tests;
