//! Who is let in: digest, and what a user who is known may say about itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sip_auth::{
    Answer, Arrival, Authority, BadText, Checked, Claim, Credentials, NonceKey, UsedNonces,
};
use sip_message::{From, Request, StatusCode, Uri};

use crate::{Aor, Reply};

/// How many nonces in use are remembered, each with some 100 bytes. Beyond, the owners of the oldest are challenged
/// once more.
const NONCES: usize = 65_536;

/// The users of a server.
pub trait Users: fmt::Debug + Send + Sync + 'static {
    /// The user that a request claims to be from. It is asked on the task that serves everybody, and must not block.
    fn find(&self, claim: &Claim) -> Option<Credentials>;

    /// Whether there is a user of that name.
    fn knows(&self, user: &str) -> bool;
}

/// Users in memory, found by their names.
#[derive(Clone, Debug, Default)]
pub struct UserTable(HashMap<Box<str>, Credentials>);

impl FromIterator<Credentials> for UserTable {
    fn from_iter<I: IntoIterator<Item = Credentials>>(users: I) -> Self {
        Self(users.into_iter().map(|user| (user.username().into(), user)).collect())
    }
}

impl Users for UserTable {
    fn find(&self, claim: &Claim) -> Option<Credentials> {
        match claim.username() {
            Some(name) => self.0.get(name).cloned(),
            // A hashed name: only trying finds it.
            None => self.0.values().find(|user| claim.is_user(user.username())).cloned(),
        }
    }

    fn knows(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }
}

/// Asks for proof, and judges it.
pub(super) struct Door {
    registrar: Authority,
    proxy: Authority,
    users: Arc<dyn Users>,
    used: UsedNonces,
}

impl Door {
    /// Nonces from before `since` count as used.
    pub(super) fn new(
        realm: &str,
        key: (NonceKey, NonceKey),
        since: Duration,
        algorithms: &[sip_auth::Algorithm],
        users: Arc<dyn Users>,
    ) -> Result<Self, BadText> {
        let offering = |authority: Authority| match algorithms {
            [] => authority,
            some => authority.algorithms(some.iter().copied()),
        };
        Ok(Self {
            registrar: offering(Authority::server(realm, key.0)?),
            proxy: offering(Authority::proxy(realm, key.1)?),
            users,
            used: UsedNonces::new(NONCES, since),
        })
    }

    /// Who sent this REGISTER, if it is about the address-of-record of who did.
    pub(super) fn registering(
        &mut self,
        request: &Request,
        aor: &Aor,
        (now, random): (Duration, u64),
    ) -> Result<(), Reply> {
        let arrival = Arrival { request, source: b"", now };
        let user = proven(&self.registrar, &*self.users, &mut self.used, &arrival)
            .map_err(|refusal| reply(&self.registrar.answer(&refusal, &arrival, random)))?;
        // RFC 3261 §10.3: "If the
        // authenticated user is not authorized to modify bindings, the
        // registrar MUST return a 403 (Forbidden) and skip the remaining
        // steps."
        match user {
            Some(user) if aor.as_str().rsplit_once('@').is_some_and(|(of, _)| of == user) => Ok(()),
            _ => Err(Reply::new(StatusCode::FORBIDDEN)),
        }
    }

    /// Who sent this request, if it says in From that it is of a user of ours; a user may say of itself only what it
    /// is.
    pub(super) fn calling(
        &mut self,
        request: &Request,
        (now, random): (Duration, u64),
    ) -> Result<Option<String>, Reply> {
        let arrival = Arrival { request, source: b"", now };
        let user = proven(&self.proxy, &*self.users, &mut self.used, &arrival)
            .map_err(|refusal| reply(&self.proxy.answer(&refusal, &arrival, random)))?;
        let from = request.get::<From<'_>>().ok().flatten();
        let claimed = from.and_then(|from| Some(from.uri().user_decoded()?.into_owned()));
        match user {
            Some(user) if claimed.as_deref() == Some(user.as_str()) => Ok(Some(user)),
            Some(_) => Err(Reply::new(StatusCode::FORBIDDEN)),
            // ACK and CANCEL, which nobody may challenge.
            None => Ok(None),
        }
    }
}

/// The name of who has proven to have sent the request; none for a request that is never asked.
fn proven(
    authority: &Authority,
    users: &dyn Users,
    used: &mut UsedNonces,
    arrival: &Arrival<'_>,
) -> Result<Option<String>, sip_auth::Refusal> {
    let claim = match authority.check(arrival)? {
        Checked::Exempt => return Ok(None),
        Checked::Claimed(claim) => claim,
    };
    let Some(user) = users.find(&claim) else { return Err(claim.unknown_user()) };
    let proof = claim.named(user.username())?.verify(user.secret())?;
    proof.record(used, arrival.now)?;
    Ok(Some(user.username().to_owned()))
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
