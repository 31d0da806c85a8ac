//! The server's side: challenges, and what comes back (RFC 3261 §22, RFC 7616 §3, RFC 8760 §2.3).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use sip_message::{
    AuthenticationInfo, Authorization, Challenge, DigestChallenge, DigestInfo, Header, HeaderName,
    Method, ProxyAuthorization, Request, StatusCode, Uri,
};

use crate::digest::{self, Signed};
use crate::nonce::{Keys, Scope};
use crate::{Algorithm, Asker, NonceId, NonceKey, NonceUse, Qop};
use shown::Shown;

pub use aka::{AkaAuthority, AkaHome, AkaVector};
pub use claim::{Authenticated, Checked, Claim, Proof, User};
pub use refusal::{Answer, Refusal};

mod aka;
mod claim;
mod refusal;
mod shown;

/// How many credentials for its realm an authority looks at in one request.
const MAX_CREDENTIALS: usize = 8;

/// How long a username, a `uri` or a client's nonce may be.
const MAX_TEXT: usize = 2048;

/// Who asks for credentials in one realm: a user agent server, a registrar or a proxy.
///
/// It remembers nothing: a nonce tells when it was made and by whom. What comes and goes with each request
/// is in the arguments, clock and random numbers too. Where secrets are looked up, and uses of nonces
/// recorded, the caller may wait as long as it likes:
///
/// ```
/// use std::time::Duration;
/// use sip_auth::{Arrival, Authority, Checked, NonceKey, Refusal, Secret, UsedNonces};
/// # use sip_message::{HeaderName, Limits, Message};
/// # let text = "OPTIONS sip:example.com SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
/// # let request = Message::parse(text.into(), &Limits::default())?.into_request().unwrap();
/// let authority = Authority::server("example.com", NonceKey::new(&[7; 32])?)?;
/// let mut used = UsedNonces::new(10_000, Duration::ZERO);
///
/// let now = Duration::from_secs(1_700_000_000);
/// let arrival = Arrival { request: &request, source: b"", now };
/// let judged = match authority.check(&arrival) {
///     Ok(Checked::Exempt) => Ok(None),
///     Ok(Checked::Claimed(claim)) => match claim.username() {
///         Some("alice") => claim.verify(&Secret::password("wonderland")),
///         _ => Err(claim.unknown_user()),
///     }
///     .and_then(|proof| proof.record(&mut used, now))
///     .map(Some),
///     Err(refusal) => Err(refusal),
/// };
/// // Nobody was named in this request: a 401 with a challenge for each algorithm.
/// let refusal = judged.unwrap_err();
/// assert_eq!(refusal, Refusal::NoCredentials);
/// let answer = authority.answer(&refusal, &arrival, 0x5eed);
/// assert_eq!(answer.status.as_u16(), 401);
/// assert_eq!(answer.fields().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Authority {
    asker: Asker,
    realm: String,
    keys: Keys,
    /// The strongest first.
    algorithms: Vec<Algorithm>,
    qop: Vec<Qop>,
    requires_qop: bool,
    domain: Option<String>,
    opaque: Option<String>,
    life: Duration,
    by_call: bool,
    forwarded: bool,
    userhash: bool,
    forbids: bool,
    /// What SIMs answer is judged too.
    aka: bool,
}

/// A text that cannot stand in a challenge: it has control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("control characters cannot stand in a challenge")]
pub struct BadText;

fn sound(text: impl Into<String>) -> Result<String, BadText> {
    let text = text.into();
    if text.chars().any(char::is_control) { Err(BadText) } else { Ok(text) }
}

/// A request, where it came from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The request.
    pub request: &'a Request,
    /// What a nonce shall be good for alone, such as the bytes of the sender's address; empty for any. Users
    /// whose requests take different ways, or whose address changes, are challenged more often then.
    pub source: &'a [u8],
    /// The time since 1970.
    pub now: Duration,
}

impl Authority {
    /// A user agent server, a registrar or a redirect server: its challenges are 401.
    ///
    /// The realm should be a domain name, and no other's (RFC 3261 §22.1). It offers SHA-256 and MD5, with
    /// `auth`; nonces live for five minutes.
    ///
    /// # Errors
    /// Control characters in the realm.
    pub fn server(realm: impl Into<String>, key: NonceKey) -> Result<Self, BadText> {
        Self::new(Asker::Server, realm, key)
    }

    /// A proxy: its challenges are 407.
    ///
    /// # Errors
    /// As [`server`](Self::server).
    pub fn proxy(realm: impl Into<String>, key: NonceKey) -> Result<Self, BadText> {
        Self::new(Asker::Proxy, realm, key)
    }

    fn new(asker: Asker, realm: impl Into<String>, key: NonceKey) -> Result<Self, BadText> {
        Ok(Self {
            asker,
            realm: sound(realm)?,
            keys: Keys { current: key, previous: None },
            algorithms: Vec::from([Algorithm::SHA_256, Algorithm::MD5]),
            qop: Vec::from([Qop::Auth]),
            requires_qop: false,
            domain: None,
            opaque: None,
            life: Duration::from_secs(300),
            by_call: false,
            forwarded: false,
            userhash: false,
            forbids: false,
            aka: false,
        })
    }

    /// Offers these algorithms, the strongest first whatever their order here. `AKAv1-MD5` is passed over (its
    /// nonces come from a home network), and an empty list changes nothing.
    ///
    /// RFC 8760 §3: whoever is on the way can leave the stronger challenges out; only a server that does
    /// not offer MD5 is safe from that. One challenge cannot be made into another here, though: a nonce is good
    /// for its own algorithm only. Some clients that know MD5 only, SIPp 3.6 and baresip 1.0 among them, give
    /// up at the sight of another challenge beside it, which RFC 8760 §2.4 has them pass over: where those
    /// must be served, MD5 is to be offered alone.
    #[must_use]
    pub fn algorithms(mut self, offered: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut all: Vec<Algorithm> = Vec::new();
        for algorithm in offered {
            if !algorithm.is_aka() && !all.contains(&algorithm) {
                all.push(algorithm);
            }
        }
        // RFC 8760 §2.3: "The UAS
        // MUST add these header fields to the response in the order in which it
        // would prefer to see them used, starting with the most preferred
        // algorithm at the top."
        all.sort_by_key(|algorithm| Reverse(algorithm.hash()));
        if !all.is_empty() {
            self.algorithms = all;
        }
        self
    }

    /// Offers these qualities of protection; an empty list changes nothing.
    #[must_use]
    pub fn qop(mut self, offered: impl IntoIterator<Item = Qop>) -> Self {
        let mut all: Vec<Qop> = Vec::new();
        for qop in offered {
            if !all.contains(&qop) {
                all.push(qop);
            }
        }
        if !all.is_empty() {
            self.qop = all;
        }
        self
    }

    /// Refuses credentials without `qop`, as clients of RFC 2069 send them. RFC 3261 §22.4 wants them
    /// accepted: without this their nonces serve once. They never are where `auth-int` alone is offered.
    #[must_use]
    pub fn require_qop(mut self) -> Self {
        self.requires_qop = true;
        self
    }

    /// Names the URIs that the same credentials are good for, parted by spaces. Proxies do not say it.
    ///
    /// # Errors
    /// Control characters.
    pub fn domain(mut self, uris: impl Into<String>) -> Result<Self, BadText> {
        self.domain = Some(sound(uris)?);
        Ok(self)
    }

    /// A text that clients send back as it is. Nothing here relies on it.
    ///
    /// # Errors
    /// Control characters.
    pub fn opaque(mut self, opaque: impl Into<String>) -> Result<Self, BadText> {
        self.opaque = Some(sound(opaque)?);
        Ok(self)
    }

    /// How long a nonce is good; then its owner is given a new one.
    #[must_use]
    pub fn nonce_life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// Makes nonces that are good for one Call-ID only.
    #[must_use]
    pub fn nonce_for_each_call(mut self) -> Self {
        self.by_call = true;
        self
    }

    /// Accepts credentials that were computed for another URI than the Request-URI, as they come through
    /// proxies that changed it.
    ///
    /// RFC 8760 §2.6: "a UAS MUST check if the Request-URI in
    /// the Authorization/Proxy-Authorization header field value
    /// corresponds to a user for whom the UAS is willing to accept
    /// forwarded or direct requests"
    ///
    /// That is the caller's then: [`Claim::uri`].
    #[must_use]
    pub fn accept_forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    /// Lets clients hide usernames (`userhash=true`): a claim may then name a [`User::Hash`].
    #[must_use]
    pub fn offer_userhash(mut self) -> Self {
        self.userhash = true;
        self
    }

    /// Answers a wrong secret with 403, not with another challenge.
    #[must_use]
    pub fn forbid_wrong(mut self) -> Self {
        self.forbids = true;
        self
    }

    /// Makes nonces with a new key from now on. Those of the last one are still known, older ones are not.
    pub fn rotate(&mut self, key: NonceKey) {
        self.keys.previous = Some(core::mem::replace(&mut self.keys.current, key));
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// What the credentials of a request claim, if there are any for this realm.
    ///
    /// # Errors
    /// There are none, or none of use.
    pub fn check(&self, arrival: &Arrival<'_>) -> Result<Checked, Refusal> {
        let request = arrival.request;
        // RFC 3261 §22.1: "Servers MUST NOT attempt to challenge an ACK."
        // RFC 3261 §22.1: "servers MUST
        // NOT attempt to challenge CANCEL requests since these requests cannot
        // be resubmitted."
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(Checked::Exempt);
        }
        match self.asker {
            Asker::Server => {
                let all = request.get_all::<Authorization>().flatten();
                self.first_of_use(all.map(|header| self.read(&header.0, arrival)))
            }
            Asker::Proxy => {
                let all = request.get_all::<ProxyAuthorization>().flatten();
                self.first_of_use(all.map(|header| self.read(&header.0, arrival)))
            }
        }
    }

    /// Takes the credentials for this realm out of a request, as a proxy does before it passes the request
    /// on: how many there were. Those for others stay, in their order.
    pub fn consume(&self, request: &mut Request) -> usize {
        // RFC 3261 §22.3: "When multiple proxies are used in a chain, a Proxy-
        // Authorization header field value MUST NOT be consumed by any proxy
        // whose realm does not match the "realm" parameter specified in that
        // value."
        let name = match self.asker {
            Asker::Server => HeaderName::Authorization,
            Asker::Proxy => HeaderName::ProxyAuthorization,
        };
        let mut ours = 0_usize;
        let mut others: Vec<Vec<u8>> = Vec::new();
        for value in request.headers().raw_all(name) {
            // Both header fields have the same form.
            let is_ours = ProxyAuthorization::parse(value).is_ok_and(|shown| {
                shown.is_digest() && shown.realm().is_some_and(|realm| realm == self.realm)
            });
            if is_ours {
                ours = ours.saturating_add(1);
            } else {
                others.push(value.to_vec());
            }
        }
        if ours > 0 {
            request.headers_mut().remove(name);
            for value in others {
                // It stood there before.
                let _ = request.headers_mut().push_raw(name, &value);
            }
        }
        ours
    }

    fn first_of_use(
        &self,
        all: impl Iterator<Item = Option<Result<Claim, Refusal>>>,
    ) -> Result<Checked, Refusal> {
        let mut why_not = Refusal::NoCredentials;
        // Several for one realm are for several proxies of it (RFC 3261 §22.3): ours is among them.
        for claim in all.flatten().take(MAX_CREDENTIALS) {
            match claim {
                Ok(claim) => return Ok(Checked::Claimed(Box::new(claim))),
                Err(refusal) if refusal.rank() > why_not.rank() => why_not = refusal,
                Err(_) => {}
            }
        }
        Err(why_not)
    }

    /// `None` if these are for somebody else, or of a scheme that is not known here.
    fn read(
        &self,
        credentials: &sip_message::Credentials<'_>,
        arrival: &Arrival<'_>,
    ) -> Option<Result<Claim, Refusal>> {
        if !credentials.is_digest() {
            return None;
        }
        let shown = Shown::of(credentials);
        // RFC 3261 §22.3: "When multiple proxies are used in a chain, a Proxy-
        // Authorization header field value MUST NOT be consumed by any proxy
        // whose realm does not match the "realm" parameter specified in that
        // value."
        if shown.realm()? != self.realm {
            return None;
        }
        Some(self.claim(&shown, arrival))
    }

    fn claim(&self, shown: &Shown<'_>, arrival: &Arrival<'_>) -> Result<Claim, Refusal> {
        // RFC 8760 §2.7: "A parameter with an empty
        // value (empty string) is allowed when the UAC has not yet received a
        // challenge."
        let nonce =
            shown.nonce().filter(|nonce| !nonce.is_empty()).ok_or(Refusal::NoCredentials)?;
        let is_offered = |known: &Algorithm| match known.is_aka() {
            true => self.aka,
            false => self.algorithms.contains(known),
        };
        let algorithm = shown.algorithm().filter(is_offered).ok_or(Refusal::ForeignNonce)?;
        let (id, aka) = if algorithm.is_aka() {
            let (id, aka) = self.aka_nonce(&nonce, shown.auts()?, arrival)?;
            (id, Some(aka))
        } else {
            let scope = self.scope(algorithm, arrival);
            (NonceId::judge(&nonce, &self.keys, &scope, arrival.now, self.life)?, None)
        };
        // From here on it is the answer to a challenge of ours.
        shown.no_parameter_twice()?;
        let user = shown.user(self.userhash)?;
        let uri = shown.uri()?.into_owned();
        let qop = shown.qop()?;
        let (cnonce, nc) = match qop {
            // RFC 7616 §3.4: "Its value MUST be one of the alternatives the server
            // indicated it supports in the WWW-Authenticate header field."
            Some(qop) if !self.qop.contains(&qop) => {
                return Err(Refusal::Malformed("a qop that was not offered"));
            }
            Some(_) => (shown.cnonce()?.into_owned(), shown.nonce_count()?),
            None if self.requires_qop || !self.qop.contains(&Qop::Auth) => {
                return Err(Refusal::Malformed("no qop"));
            }
            // RFC 3261 §22.4: "any
            // algorithms that have a dependency on the cnonce (including
            // "MD5-Sess") require that the qop directive be sent."
            None if algorithm.is_session() => return Err(Refusal::Malformed("no qop")),
            // It does not count, so its nonce serves once.
            None => (String::new(), 1),
        };
        let response = shown.response(algorithm.hash())?;
        let request = arrival.request;
        let direct = same_resource(&uri, request.uri_bytes());
        if !direct && !self.forwarded {
            // RFC 7616 §3.4.6: "The authenticating server MUST assure that the resource designated by
            // the "uri" parameter is the same as the resource specified in the
            // Request-Line; if they are not, the server SHOULD return a 400 Bad
            // Request error."
            return Err(Refusal::OtherUri);
        }
        let method = Signed::Request(request.method().as_str());
        let signed = digest::signed(algorithm, qop, method, &uri, request.body());
        Ok(Claim {
            realm: self.realm.clone(),
            user,
            uri,
            direct,
            nonce: nonce.into_owned(),
            algorithm,
            qop,
            cnonce,
            signed,
            response,
            aka,
            used: NonceUse { nonce: id, nc, expires: id.made().saturating_add(self.life) },
        })
    }

    fn scope<'a>(&'a self, algorithm: Algorithm, arrival: &Arrival<'a>) -> Scope<'a> {
        let call_id = arrival.request.raw(HeaderName::CallId).filter(|_| self.by_call);
        Scope {
            realm: &self.realm,
            algorithm,
            call_id: call_id.unwrap_or_default(),
            source: arrival.source,
            asked: b"",
        }
    }

    /// What is owed to a request that is refused. `random` are random bits for the nonces.
    pub fn answer(&self, refusal: &Refusal, arrival: &Arrival<'_>, random: u64) -> Answer {
        let status = match refusal {
            Refusal::Malformed(_) | Refusal::OtherUri => StatusCode::BAD_REQUEST,
            Refusal::Wrong if self.forbids => StatusCode::FORBIDDEN,
            _ => match self.asker {
                Asker::Server => StatusCode::UNAUTHORIZED,
                Asker::Proxy => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            },
        };
        let challenges = match status {
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => Vec::new(),
            _ => self.challenges(refusal.is_stale(), arrival, random),
        };
        let header = match self.asker {
            Asker::Server => HeaderName::WwwAuthenticate,
            Asker::Proxy => HeaderName::ProxyAuthenticate,
        };
        Answer { status, challenges, header }
    }

    fn challenges(
        &self,
        stale: bool,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> Vec<Challenge<'static>> {
        // RFC 8760 §2.6: "A UAS MUST always send a "qop" parameter in WWW-Authenticate and
        // Proxy-Authenticate header field values"
        let qop: Vec<&str> = self.qop.iter().map(|qop| qop.name()).collect();
        // RFC 7616 §3.3: "This parameter is not meaningful in Proxy-Authenticate header
        // fields"
        let domain = self.domain.as_deref().filter(|_| self.asker == Asker::Server);
        let make = |algorithm: &Algorithm| {
            let scope = self.scope(*algorithm, arrival);
            // Texts with control characters are refused when they are set.
            Challenge::digest(&DigestChallenge {
                realm: &self.realm,
                nonce: &NonceId::make(&self.keys, &scope, arrival.now, random),
                opaque: self.opaque.as_deref(),
                algorithm: Some(algorithm.name()),
                qop: &qop,
                stale,
                domain,
                utf8: self.userhash,
                userhash: self.userhash,
            })
            .ok()
        };
        self.algorithms.iter().filter_map(make).collect()
    }

    /// Authentication-Info for the 2xx to a request whose sender is known: the proof that the server knows
    /// the secret too, over the body of the response if the client chose `auth-int`. With `next`, also
    /// the nonce for the next request.
    ///
    /// `None` for clients that do not know it (those of RFC 2069), and for proxies: SIP has no such
    /// header field of theirs.
    pub fn info(
        &self,
        authenticated: &Authenticated,
        body: &[u8],
        next: Option<&str>,
    ) -> Option<AuthenticationInfo<'static>> {
        let claim = &authenticated.claim;
        let qop = claim.qop.filter(|_| self.asker == Asker::Server)?;
        let signed = digest::signed(claim.algorithm, Some(qop), Signed::Response, &claim.uri, body);
        let rspauth = claim.inputs().response(&authenticated.user_key, &signed);
        AuthenticationInfo::new(&DigestInfo {
            nextnonce: next,
            qop: Some(qop.name()),
            rspauth: Some(rspauth.as_str()),
            cnonce: Some(&claim.cnonce),
            nc: Some(claim.used.nc),
        })
        .ok()
    }

    /// A nonce for the next request of a client that is known, to spare it a challenge when the present one
    /// runs out ([`NonceUse::is_ageing`]), or for each request another.
    ///
    /// `None` in a session: the next nonce would be used with A1 of the first one, which nobody here
    /// remembers.
    pub fn next_nonce(
        &self,
        authenticated: &Authenticated,
        arrival: &Arrival<'_>,
        random: u64,
    ) -> Option<String> {
        let algorithm = authenticated.claim.algorithm;
        let scope = self.scope(algorithm, arrival);
        (!algorithm.is_session()).then(|| NonceId::make(&self.keys, &scope, arrival.now, random))
    }
}

/// Whether two URIs name the same thing: letter for letter, or by RFC 3261 §19.1.4.
fn same_resource(shown: &str, asked: &[u8]) -> bool {
    if shown.as_bytes() == asked {
        return true;
    }
    match (Uri::parse(shown.as_bytes()), Uri::parse(asked)) {
        (Ok(shown), Ok(asked)) => shown.is_equivalent(&asked),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
