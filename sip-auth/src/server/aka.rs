//! The server's side of `AKAv1-MD5` (RFC 3310): a home network's vectors in place of passwords.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use sip_message::{Authorization, Challenge, DigestChallenge, Method, Request, StatusCode};

use super::shown::Shown;
use super::{Answer, Arrival, Authenticated, Authority, Checked};
use crate::aka::AkaChallenge;
use crate::nonce::{NonceId, Scope};
use crate::{Algorithm, Asker, Refusal, Secret, UsedNonces};

#[cfg(test)]
mod tests;

/// What a home network gives to authenticate one user once: of an authentication vector (3GPP TS 33.102) what
/// digest needs.
#[derive(Clone, PartialEq, Eq)]
pub struct AkaVector {
    /// RAND: the random challenge, never the same twice.
    pub rand: [u8; 16],
    /// AUTN: the token by which the network proves itself to the SIM.
    pub autn: [u8; 16],
    /// XRES: what the SIM will answer.
    pub xres: Vec<u8>,
}

impl fmt::Debug for AkaVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AkaVector(…)")
    }
}

/// A home network's authentication centre, or the way to one.
///
/// It is asked while a request waits, so it must not block: one that is elsewhere keeps vectors in stock.
pub trait AkaHome {
    /// A fresh vector for the user; `None` if there is no such user.
    fn vector(&mut self, username: &str) -> Option<AkaVector>;

    /// The SIM finds the sequence number of the vector with this RAND out of range: checks AUTS, catches up,
    /// and gives a fresh vector. `None` if AUTS is not the SIM's.
    fn resynchronize(
        &mut self,
        username: &str,
        rand: &[u8; 16],
        auts: &[u8; 14],
    ) -> Option<AkaVector>;

    /// Whose request this is, if it holds no credentials that say so. Without another opinion nobody can tell.
    fn username(&mut self, request: &Request) -> Option<String> {
        let _ = request;
        None
    }
}

/// Who challenges the SIMs of a home network in one realm.
///
/// In contrast to an [`Authority`] it remembers what it asked: what a SIM is to answer is told to nobody, and no
/// vector serves twice. It offers `AKAv1-MD5` alone, so that nobody on the way can choose less.
///
/// Each request without an answer costs the home network a vector: who is rationed, and how, is up to the
/// caller.
#[derive(Debug)]
pub struct AkaAuthority<H> {
    authority: Authority,
    home: H,
    /// What was asked, in order of time.
    expected: BTreeMap<NonceId, Expected>,
    limit: usize,
    used: UsedNonces,
}

struct Expected {
    username: String,
    xres: Secret,
    expires: Duration,
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expected(…)")
    }
}

/// What the credentials of a claim say of AKA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AkaClaim {
    rand: [u8; 16],
    auts: Option<[u8; 14]>,
}

impl<H: AkaHome> AkaAuthority<H> {
    /// Challenges as this authority does, with its realm, qop and nonce life, but by vectors of `home`. At most
    /// `limit` vectors wait for their answers, or go on being used by those who answered (each some 200 bytes):
    /// beyond it the oldest is forgotten, and its owner challenged again.
    pub fn new(authority: Authority, home: H, limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            authority: Authority { algorithms: Vec::new(), aka: true, ..authority },
            home,
            expected: BTreeMap::new(),
            limit,
            used: UsedNonces::new(limit, Duration::ZERO),
        }
    }

    /// Who sent a request; `None` for ACK and CANCEL, which nobody may challenge. `random` are random bits for
    /// the nonce.
    ///
    /// # Errors
    /// What is owed to the request: a challenge with a fresh vector, 403 if the home network has none for this
    /// user, 400 if the credentials are malformed.
    pub fn judge(
        &mut self,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> Result<Option<Authenticated>, Answer> {
        let claim = match self.authority.check(arrival) {
            Ok(Checked::Exempt) => return Ok(None),
            Ok(Checked::Claimed(claim)) => claim,
            Err(refusal) => {
                let user = self.authority.said_user(arrival.request);
                let user = user.or_else(|| self.home.username(arrival.request));
                return Err(self.challenge(&refusal, user.as_deref(), arrival, random));
            }
        };
        let id = *claim.nonce_use().nonce();
        let Some(username) = claim.username().map(ToOwned::to_owned) else {
            return Err(self.challenge(&Refusal::Wrong, None, arrival, random));
        };
        let expected = self.expected.get(&id).filter(|known| known.username == username);
        let Some(xres) = expected.map(|expected| expected.xres.clone()) else {
            // It has run out of our memory, or was for somebody else.
            return Err(self.challenge(&Refusal::ForeignNonce, Some(&username), arrival, random));
        };
        let refusal = match claim.aka.as_deref().cloned() {
            Some(AkaClaim { rand, auts: Some(auts) }) => {
                // It is answered, if by a refusal.
                self.expected.remove(&id);
                // RFC 3310 §3.2: "Note that when the AUTS is present, the included "response"
                // parameter is calculated using an empty password (password of ""),
                // instead of a RES."
                match claim.verify(&Secret::password("")) {
                    // RFC 3310 §3.2: "If the server receives a client authentication containing the "auts"
                    // parameter defined in Section 3.4, that includes a valid AKA AUTS
                    // parameter, the server MUST use it to generate a new challenge to the
                    // client."
                    Ok(_) => {
                        let vector = self.home.resynchronize(&username, &rand, &auts);
                        return Err(self.ask(vector, &username, false, arrival, random));
                    }
                    Err(refusal) => refusal,
                }
            }
            _ => match claim.verify(&xres) {
                Ok(proof) => match proof.record(&mut self.used, arrival.now) {
                    Ok(authenticated) => return Ok(Some(authenticated)),
                    Err(refusal) => refusal,
                },
                Err(refusal) => {
                    // One guess for each vector.
                    self.expected.remove(&id);
                    refusal
                }
            },
        };
        Err(self.challenge(&refusal, Some(&username), arrival, random))
    }

    /// The proof for the 2xx to a request whose sender is known: see [`Authority::info`].
    pub fn info(
        &self,
        authenticated: &Authenticated,
        body: &[u8],
    ) -> Option<sip_message::AuthenticationInfo<'static>> {
        self.authority.info(authenticated, body, None)
    }

    /// The home network.
    pub fn home(&mut self) -> &mut H {
        &mut self.home
    }

    fn challenge(
        &mut self,
        refusal: &Refusal,
        username: Option<&str>,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> Answer {
        let answer = self.authority.answer(refusal, arrival, random);
        match username {
            _ if answer.status == StatusCode::BAD_REQUEST => answer,
            Some(username) => {
                let vector = self.home.vector(username);
                self.ask(vector, username, refusal.is_stale(), arrival, random)
            }
            None => Answer { status: StatusCode::FORBIDDEN, ..answer },
        }
    }

    fn ask(
        &mut self,
        vector: Option<AkaVector>,
        username: &str,
        stale: bool,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> Answer {
        let empty = self.authority.answer(&Refusal::NoCredentials, arrival, random);
        let Some(vector) = vector else {
            return Answer { status: StatusCode::FORBIDDEN, ..empty };
        };
        let (id, challenge) = self.authority.aka_challenge(&vector, stale, arrival, random);
        self.make_room(arrival.now);
        let expires = arrival.now.saturating_add(self.authority.life);
        let xres = Secret::password(vector.xres);
        self.expected.insert(id, Expected { username: username.to_owned(), xres, expires });
        Answer { challenges: challenge.into_iter().collect(), ..empty }
    }

    fn make_room(&mut self, now: Duration) {
        // They are in order of their making.
        while let Some(first) = self.expected.first_entry() {
            if first.get().expires >= now {
                break;
            }
            first.remove();
        }
        while self.expected.len() >= self.limit {
            self.expected.pop_first();
        }
    }
}

impl Authority {
    /// The challenge that asks a SIM, and the part of its nonce that is ours: RFC 3310 §3.2 leaves room for data
    /// of the server, which here tell as in every nonce when it was made and by whom.
    fn aka_challenge(
        &self,
        vector: &AkaVector,
        stale: bool,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> (NonceId, Option<Challenge<'static>>) {
        let AkaVector { rand, autn, .. } = *vector;
        let asked = [rand, autn].concat();
        let scope = Scope { asked: &asked, ..self.scope(Algorithm::AKAV1_MD5, arrival) };
        let id = NonceId::fresh(&self.keys, &scope, arrival.now, random);
        let asked = AkaChallenge { rand, autn, server_data: id.as_bytes().to_vec() };
        let qop: Vec<&str> = self.qop.iter().map(|qop| qop.name()).collect();
        let challenge = Challenge::digest(&DigestChallenge {
            realm: &self.realm,
            nonce: &asked.to_nonce(),
            opaque: self.opaque.as_deref(),
            algorithm: Some(Algorithm::AKAV1_MD5.name()),
            qop: &qop,
            stale,
            domain: self.domain.as_deref().filter(|_| self.asker == Asker::Server),
            utf8: false,
            userhash: false,
        });
        (id, challenge.ok())
    }

    /// The nonce of credentials for `AKAv1-MD5`, if it was made here, and what it asked.
    pub(super) fn aka_nonce(
        &self,
        nonce: &str,
        auts: Option<[u8; 14]>,
        arrival: &Arrival<'_>,
    ) -> Result<(NonceId, Box<AkaClaim>), Refusal> {
        let asked = AkaChallenge::from_nonce(nonce).ok_or(Refusal::ForeignNonce)?;
        let id = NonceId::from_bytes(&asked.server_data).ok_or(Refusal::ForeignNonce)?;
        let bound = [asked.rand, asked.autn].concat();
        let scope = Scope { asked: &bound, ..self.scope(Algorithm::AKAV1_MD5, arrival) };
        id.verify(&self.keys, &scope, arrival.now, self.life)?;
        Ok((id, Box::new(AkaClaim { rand: asked.rand, auts })))
    }

    /// Who the credentials for this realm name, whatever else they hold: a client that was not challenged yet
    /// says who it is with an empty nonce (RFC 3310 §4, RFC 8760 §2.7).
    fn said_user(&self, request: &Request) -> Option<String> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return None;
        }
        let all = request.get_all::<Authorization>().flatten();
        all.filter(|header| header.0.is_digest()).take(super::MAX_CREDENTIALS).find_map(|header| {
            let shown = Shown::of(&header.0);
            let is_ours = shown.realm().is_some_and(|realm| realm == self.realm);
            let user = is_ours.then(|| shown.user(false).ok()).flatten()?;
            match user {
                super::User::Name(name) => Some(name),
                super::User::Hash(_) => None,
            }
        })
    }
}
