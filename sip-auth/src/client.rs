//! The client's side: answers to 401 and 407, and what servers say when they are content (RFC 3261 §22,
//! RFC 7616, RFC 8760, RFC 3310).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use sip_message::{
    AuthParam, AuthenticationInfo, HeaderName, ProxyAuthenticate, Request, Response,
    WwwAuthenticate,
};

use crate::aka::{AkaAnswer, AkaChallenge, to_base64};
use crate::digest::{self, Digest, Inputs, Signed};
use crate::{Algorithm, Asker, Credentials, Qop};

/// The most realms (counted apart for servers and proxies) that one authenticator answers: a server that
/// asks for another realm each time is not followed further.
const MAX_CHALLENGES: usize = 8;

/// How many challenges of one response are looked at.
const MAX_READ: usize = 64;

/// How long the texts of a challenge may be together that go back in every request.
const MAX_ECHO: usize = 8192;

/// How many requests in a row may be challenged: realms that take turns with new nonces are not followed further.
const MAX_ROUNDS: u8 = 10;

/// How often in a row a nonce that was never of use may be called stale.
const MAX_STALE: u8 = 3;

/// What the servers and proxies on the way of a request asked for, and what was answered.
///
/// One belongs to one call, one registration or one request outside of both. It is told of every 401 and 407
/// ([`challenged`](Self::challenged)), adds credentials to the request that is sent again and to all later
/// ones ([`authorize`](Self::authorize)), and reads what comes with a 2xx ([`confirmed`](Self::confirmed)).
///
/// It comes to an end with every server: at most 8 realms, 10 challenges in a row without a request
/// let through, 3 nonces in a row called stale at their first use.
///
/// RFC 3261 §22.3: "If a UA receives a Proxy-Authenticate header field value in a 401/407
/// response to a request with a particular Call-ID, it should
/// incorporate credentials for that realm in all subsequent requests
/// that contain the same Call-ID.  These credentials MUST NOT be cached
/// across dialogs"
#[derive(Debug, Clone, Default)]
pub struct Authenticator {
    answering: Vec<Answering>,
    /// How many requests in a row were challenged.
    rounds: u8,
    /// Whether a request was sent since the last challenge. If another one is, that one was let through.
    sent: bool,
}

/// Why a challenge cannot be answered: the request has failed with its 401 or 407.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The response holds no challenge.
    #[error("the response holds no challenge")]
    NoChallenge,
    /// The scheme, algorithm or quality of protection that is asked for is not known here.
    #[error("no challenge asks for a digest that is known here")]
    Unsupported,
    /// There are no credentials for the realm.
    #[error("there are no credentials for the realm \"{realm}\"")]
    NoCredentials {
        /// The realm that asks.
        realm: String,
    },
    /// The credentials were given and refused: username or password are wrong.
    #[error("the realm \"{realm}\" refused the credentials")]
    Refused {
        /// The realm that refuses.
        realm: String,
    },
    /// More realms want credentials, or a request is challenged more often, than is borne with.
    #[error("too many realms want credentials")]
    TooManyChallenges,
    /// The server did not prove that it knows the secret: its `rspauth` is wrong, or a SIM does not
    /// take the challenge for one of its network.
    #[error("the server of the realm \"{realm}\" does not know the secret")]
    Impostor {
        /// The realm it claims.
        realm: String,
    },
    /// The server was to prove that it knows the secret, and its 2xx holds no proof, or not of the last
    /// request. Perhaps it never asked for credentials.
    #[error("the server did not prove that it knows the secret")]
    Unproven,
}

/// What a response said about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing that could be checked.
    Silent,
    /// It knows the secret (RFC 7616 §3.5).
    Proven,
}

/// A challenge as it is read.
#[derive(Debug, Clone)]
struct Challenge {
    asker: Asker,
    // As they came, escapes included: so they are sent back.
    raw_realm: String,
    raw_nonce: String,
    raw_opaque: Option<String>,
    // What they stand for: of this the digest is computed.
    realm: String,
    nonce: String,
    algorithm: Algorithm,
    /// Whether the challenge named the algorithm: then the answer does.
    algorithm_named: bool,
    offer: Offer,
    userhash: bool,
    stale: bool,
    /// What a SIM answers to it.
    sim: Option<AkaAnswer>,
}

/// Which qualities a challenge offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// That of RFC 2069: it says nothing of them.
    None,
    One(Qop),
    Both,
}

impl Challenge {
    /// Those to answer with: those for this realm alone come before those for any.
    fn credentials<'a>(&self, all: &'a [Credentials]) -> Option<&'a Credentials> {
        self.for_realm(all).find(|some| some.serves(self.algorithm))
    }

    fn for_realm<'a>(&self, all: &'a [Credentials]) -> impl Iterator<Item = &'a Credentials> {
        let own = all.iter().filter(|some| some.realm() == Some(&self.realm));
        own.chain(all.iter().filter(|some| some.realm().is_none()))
    }

    fn qop(&self, with: &Credentials) -> Option<Qop> {
        match self.offer {
            Offer::None => None,
            Offer::One(qop) => Some(qop),
            Offer::Both => Some(with.preferred_qop()),
        }
    }

    /// What stands for the password.
    fn user_key(&self, with: &Credentials) -> Option<Digest> {
        let (hash, username, realm) = (self.algorithm.hash(), with.username(), &self.realm);
        match &self.sim {
            None => with.secret().user_key(hash, username, realm),
            // RFC 3310 §3.3: "The resulting AKA RES parameter is treated as a "password" when
            // calculating the response directive of RFC 2617."
            Some(AkaAnswer::Res(res)) => Some(digest::user_key(hash, username, realm, res)),
            // RFC 3310 §3.4: "Instead, the client MUST calculate
            // its credentials using an empty password (password of "")."
            Some(AkaAnswer::OutOfSync(_)) => Some(digest::user_key(hash, username, realm, b"")),
            Some(AkaAnswer::Refused) => None,
        }
    }

    /// Whether the two come from the same place, as far as can be told.
    fn same_place(&self, other: &Challenge) -> bool {
        self.asker == other.asker && self.realm == other.realm
    }
}

/// A challenge that is answered in every request.
#[derive(Debug, Clone)]
struct Answering {
    challenge: Challenge,
    /// How many requests were sent with this nonce.
    nonce_count: u32,
    /// What the session began with: the nonce of the challenge, and the client's of the first answer.
    session: Option<(String, String)>,
    /// What was sent last.
    last: Option<Sent>,
    /// How many nonces in a row were called stale at their first use.
    stale: u8,
    /// Whether a nonce before this one, which the server itself replaced, has been of use.
    of_use: bool,
}

/// What is needed of a request to judge the response to it.
#[derive(Debug, Clone)]
struct Sent {
    cnonce: String,
    uri: String,
}

impl Authenticator {
    /// A 401 or 407 came: takes its challenges up, to be answered by [`Authenticator::authorize`].
    ///
    /// # Errors
    /// None of them can be answered, or one of them was answered and refused: the request has failed.
    pub fn challenged(
        &mut self,
        response: &Response,
        credentials: &[Credentials],
    ) -> Result<(), AuthError> {
        let mut chosen: Vec<Challenge> = Vec::new();
        let mut why_not = AuthError::NoChallenge;
        for challenge in challenges(response).take(MAX_READ) {
            // RFC 8760 §2.4: "The client MUST ignore any challenge it does not understand."
            let Some(mut challenge) = challenge else {
                if why_not == AuthError::NoChallenge {
                    why_not = AuthError::Unsupported;
                }
                continue;
            };
            let Some(with) = challenge.credentials(credentials) else {
                // There may be some that are for other algorithms.
                let known = challenge.for_realm(credentials).next().is_some();
                why_not = if known {
                    AuthError::Unsupported
                } else {
                    AuthError::NoCredentials { realm: challenge.realm }
                };
                continue;
            };
            // RFC 8760 §2.4: "When the UAC receives a response with multiple WWW-Authenticate/
            // Proxy-Authenticate header fields with the same realm, it SHOULD use
            // the topmost header field that it supports unless a local policy
            // dictates otherwise."
            // Equal realms with equal algorithms, though, are two proxies of one domain that a fork reached:
            // RFC 3261 §22.3: "When it retries a request, a UAC MAY therefore
            // supply multiple credentials in Authorization or Proxy-Authorization
            // header fields with the same "realm" parameter value."
            let alternative = chosen.iter().any(|other| {
                other.same_place(&challenge)
                    && (other.algorithm != challenge.algorithm || other.nonce == challenge.nonce)
            });
            if alternative {
                continue;
            }
            if let Some(sim) = with.secret().sim().filter(|_| !self.has_answered(&challenge)) {
                let asked = AkaChallenge::from_nonce(&challenge.nonce);
                let answer = asked.map_or(AkaAnswer::Refused, |asked| sim.answer(&asked));
                if answer == AkaAnswer::Refused {
                    why_not = AuthError::Impostor { realm: challenge.realm };
                    continue;
                }
                challenge.sim = Some(answer);
            }
            chosen.push(challenge);
        }
        if chosen.is_empty() {
            return Err(why_not);
        }

        self.sent = false;
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > MAX_ROUNDS {
            return Err(AuthError::TooManyChallenges);
        }

        // What this response asks for replaces what its realms asked for before; other realms stay.
        let mut answering: Vec<Answering> = Vec::with_capacity(chosen.len());
        for challenge in chosen {
            answering.push(self.take_up(challenge)?);
        }
        self.answering.retain(|known| {
            !answering.iter().any(|new| new.challenge.same_place(&known.challenge))
        });
        if self.answering.len().saturating_add(answering.len()) > MAX_CHALLENGES {
            return Err(AuthError::TooManyChallenges);
        }
        self.answering.append(&mut answering);
        Ok(())
    }

    /// Whether this nonce has been answered: it was of no use then.
    fn has_answered(&self, challenge: &Challenge) -> bool {
        self.answering.iter().any(|known| {
            known.challenge.same_place(challenge)
                && known.challenge.nonce == challenge.nonce
                && known.nonce_count > 0
        })
    }

    /// Judges a challenge by what was answered to its realm before.
    fn take_up(&self, challenge: Challenge) -> Result<Answering, AuthError> {
        let fresh = |challenge, stale| Answering {
            challenge,
            nonce_count: 0,
            session: None,
            last: None,
            stale,
            of_use: false,
        };
        // Of several proxies of one realm the one with the same nonce is meant, else any.
        let mut known =
            self.answering.iter().filter(|known| known.challenge.same_place(&challenge));
        let same_nonce = known.clone().find(|known| known.challenge.nonce == challenge.nonce);
        let Some(known) = same_nonce.or_else(|| known.next()) else {
            return Ok(fresh(challenge, 0));
        };
        let refused = AuthError::Refused { realm: challenge.realm.clone() };
        if known.nonce_count == 0 {
            // Taken up but never sent.
            return Ok(fresh(challenge, known.stale));
        }
        if known.challenge.nonce == challenge.nonce {
            // The nonce is as before, so what was wrong is the secret.
            // RFC 3261 §22.1: "A UAC MUST NOT re-attempt requests with the credentials that have
            // just been rejected (though the request may be retried if the nonce
            // was stale)."
            return Err(refused);
        }
        if known.nonce_count > 1 || known.of_use {
            // The old nonce, or the one before it, has been of use, so the secret is right and the nonce has run out, whether
            // or not the server says so.
            return Ok(fresh(challenge, 0));
        }
        // RFC 7616 §3.3: "If stale is true, the client may wish to simply retry the
        // request with a new encrypted response, without re-prompting the
        // user for a new username and password."
        // RFC 3310 §3.4: "The
        // synchronized SQN is then used to generate a fresh authentication
        // vector AV, with which the client is then re-challenged."
        let resynchronized = matches!(known.challenge.sim, Some(AkaAnswer::OutOfSync(_)));
        if (challenge.stale || resynchronized) && known.stale < MAX_STALE {
            return Ok(fresh(challenge, known.stale.saturating_add(1)));
        }
        Err(refused)
    }

    /// Adds the credentials for every challenge known so far to `request`, in place of those that it has.
    /// Does nothing before the first challenge. `draw` gives random bits for the client's nonces.
    ///
    /// RFC 3261 §22.2 asks for a new CSeq when a request is sent again; that is the caller's.
    pub fn authorize(
        &mut self,
        request: &mut Request,
        credentials: &[Credentials],
        mut draw: impl FnMut() -> u64,
    ) {
        if self.sent {
            self.rounds = 0;
        }
        self.sent = true;
        if self.answering.is_empty() {
            return;
        }
        request.headers_mut().remove(HeaderName::Authorization);
        request.headers_mut().remove(HeaderName::ProxyAuthorization);
        for answering in &mut self.answering {
            let Some(with) = answering.challenge.credentials(credentials) else {
                continue;
            };
            let Some(value) = answering.answer(request, with, &mut draw) else {
                continue;
            };
            let name = match answering.challenge.asker {
                Asker::Server => HeaderName::Authorization,
                Asker::Proxy => HeaderName::ProxyAuthorization,
            };
            let pushed = request.headers_mut().push_raw(name, value.as_bytes());
            debug_assert!(pushed.is_ok(), "{value}");
        }
    }

    /// A 2xx came: takes the next nonce up that it may hold, and judges the server's proof.
    ///
    /// RFC 7616 §3.5: "If the nextnonce field is present, the
    /// client SHOULD use it when constructing the Authorization header
    /// field for its next request."
    ///
    /// A proof is checked that answers the last request that was authorized; of another nothing is said.
    ///
    /// # Errors
    /// The proof is wrong: whoever answered does not know the secret.
    pub fn confirmed(
        &mut self,
        response: &Response,
        credentials: &[Credentials],
    ) -> Result<Confirmation, AuthError> {
        let Some(Ok(info)) = response.get::<AuthenticationInfo>().transpose() else {
            return Ok(Confirmation::Silent);
        };
        // It does not name its realm; a proxy has no such header field in SIP.
        let mut servers = self.answering.iter_mut().filter(|a| a.challenge.asker == Asker::Server);
        let Some(rspauth) = info.rspauth() else {
            if let (Some(only), None) = (servers.next(), servers.next()) {
                only.renew(&info);
            }
            return Ok(Confirmation::Silent);
        };
        // RFC 7616 §3.5: "The cnonce value and nc value MUST be the ones for the client
        // request to which this message is the response."
        let cnonce = info.cnonce();
        let Some(answering) = servers.find(|server| match (&server.last, &cnonce) {
            (Some(last), Some(cnonce)) => {
                last.cnonce == *cnonce && info.nc() == Some(server.nonce_count)
            }
            (Some(_), None) => server.challenge.offer == Offer::None,
            (None, _) => false,
        }) else {
            return Ok(Confirmation::Silent);
        };
        let Some(with) = answering.challenge.credentials(credentials) else {
            return Ok(Confirmation::Silent);
        };
        let said = Digest::from_hex(answering.challenge.algorithm.hash(), &rspauth);
        let due = answering.rspauth(with, info.qop().as_deref(), response.body());
        match (said, due) {
            (Some(said), Some(due)) if said.matches(&due) => {
                answering.renew(&info);
                Ok(Confirmation::Proven)
            }
            _ => Err(AuthError::Impostor { realm: answering.challenge.realm.clone() }),
        }
    }
}

impl Confirmation {
    /// For who demands a proof.
    ///
    /// # Errors
    /// [`AuthError::Unproven`] if there is none.
    pub fn required(self) -> Result<(), AuthError> {
        match self {
            Self::Proven => Ok(()),
            Self::Silent => Err(AuthError::Unproven),
        }
    }
}

impl Answering {
    /// The value of the header field that answers, for one more request with this nonce.
    fn answer(
        &mut self,
        request: &Request,
        with: &Credentials,
        draw: &mut impl FnMut() -> u64,
    ) -> Option<String> {
        let challenge = &self.challenge;
        let (algorithm, qop) = (challenge.algorithm, challenge.qop(with));
        let user_key = challenge.user_key(with)?;
        // RFC 7616 §3.4: "The nc value is the
        // hexadecimal count of the number of requests (including the current
        // request) that the client has sent with the nonce value in this
        // request."
        self.nonce_count = self.nonce_count.saturating_add(1);
        let mut drawn = || alloc::format!("{:016x}", draw());
        // A server that does not remember the first client's nonce computes A1 from the present one: in
        // a session they are the same.
        let cnonce = match &self.session {
            Some((_, first)) if algorithm.is_session() => first.clone(),
            _ => drawn(),
        };
        let (nonce, first) =
            self.session.get_or_insert_with(|| (challenge.nonce.clone(), cnonce.clone()));
        // RFC 3261 §22.4: "digest-uri-value  =  Request-URI ; as defined in Section 25"
        let uri = String::from_utf8_lossy(request.uri_bytes()).into_owned();
        let method = request.method();
        let signed =
            digest::signed(algorithm, qop, Signed::Request(method.as_str()), &uri, request.body());
        let response = Inputs {
            algorithm,
            qop,
            nonce: &challenge.nonce,
            nc: self.nonce_count,
            cnonce: &cnonce,
            session: (nonce, first),
        }
        .response(&user_key, &signed);

        let mut value = String::with_capacity(256);
        value.push_str("Digest ");
        write_username(&mut value, challenge, with.username());
        let Challenge { raw_realm, raw_nonce, raw_opaque, .. } = challenge;
        // RFC 3261 §22.4: "For SIP, the 'uri' MUST be enclosed in quotation marks."
        let _ = write!(
            value,
            ", realm=\"{raw_realm}\", nonce=\"{raw_nonce}\", uri=\"{}\", response=\"{response}\"",
            escaped(&uri)
        );
        if challenge.algorithm_named {
            let _ = write!(value, ", algorithm={algorithm}");
        }
        // RFC 3261 §22.4: "If a client
        // receives a "qop" parameter in a challenge header field, it
        // MUST send the "qop" parameter in any resulting authorization
        // header field."
        // RFC 3261 §22.4: "RFC 2617 notes that a cnonce value MUST NOT be sent in an
        // Authorization (and by extension Proxy-Authorization) header
        // field if no qop directive has been sent."
        if let Some(qop) = qop {
            let nc = self.nonce_count;
            let _ = write!(value, ", qop={}, nc={nc:08x}, cnonce=\"{cnonce}\"", qop.name());
        }
        if let Some(opaque) = raw_opaque {
            let _ = write!(value, ", opaque=\"{opaque}\"");
        }
        if let Some(AkaAnswer::OutOfSync(auts)) = &challenge.sim {
            let _ = write!(value, ", auts=\"{}\"", to_base64(auts));
        }
        self.last = Some(Sent { cnonce, uri });
        Some(value)
    }

    /// What a server that knows the secret says of its response to the last request.
    fn rspauth(&self, with: &Credentials, qop: Option<&str>, body: &[u8]) -> Option<Digest> {
        let challenge = &self.challenge;
        let (Some(last), Some(session)) = (&self.last, &self.session) else {
            return None;
        };
        let asked = challenge.qop(with);
        // RFC 7616 §3.5: "The server SHOULD use the same value for
        // the qop parameter in the response as was sent by the client in the
        // corresponding request."
        // One that says nothing means that; less protection than was asked for is none.
        let qop = match (qop.map(Qop::named), asked) {
            (None, asked) => asked,
            (Some(Some(Qop::AuthInt)), Some(_)) => Some(Qop::AuthInt),
            (Some(Some(Qop::Auth)), Some(Qop::Auth)) => Some(Qop::Auth),
            _ => return None,
        };
        let algorithm = challenge.algorithm;
        let signed = digest::signed(algorithm, qop, Signed::Response, &last.uri, body);
        let inputs = Inputs {
            algorithm,
            qop,
            nonce: &challenge.nonce,
            nc: self.nonce_count,
            cnonce: &last.cnonce,
            session: (&session.0, &session.1),
        };
        Some(inputs.response(&challenge.user_key(with)?, &signed))
    }

    /// Takes the next nonce up, if there is one. The session goes on: it ends with the next challenge.
    fn renew(&mut self, info: &AuthenticationInfo<'_>) {
        let Some(param) = info.param("nextnonce") else { return };
        let raw = echo(&param);
        // What a SIM answered is bound to its nonce. And a repeated response says nothing new.
        if raw == self.challenge.raw_nonce
            || raw.is_empty()
            || raw.len() > MAX_ECHO
            || self.challenge.algorithm.is_aka()
        {
            return;
        }
        self.challenge.raw_nonce = raw;
        self.challenge.nonce = param.value().into_owned();
        self.nonce_count = 0;
        self.last = None;
        self.of_use = true;
    }
}

/// The parameter that names the user.
fn write_username(value: &mut String, challenge: &Challenge, username: &str) {
    if challenge.userhash {
        // RFC 7616 §3.4.4: "the client MUST calculate a hash of the username after
        // any other hash calculation and include the userhash parameter with
        // the value of "true" in the Authorization header field."
        let hash = digest::user_hash(challenge.algorithm.hash(), username, &challenge.realm);
        let _ = write!(value, "username=\"{hash}\", userhash=true");
    } else if username.chars().any(char::is_control) {
        // RFC 7616 §3.4: "If the username contains characters not allowed inside
        // the ABNF quoted-string production, the username* parameter can be
        // used."
        value.push_str("username*=UTF-8''");
        for byte in username.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                    value.push(char::from(byte));
                }
                _ => {
                    let _ = write!(value, "%{byte:02X}");
                }
            }
        }
    } else {
        let _ = write!(value, "username=\"{}\"", escaped(username));
    }
}

/// The text of a quoted string, for one without control characters.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['"', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        Cow::Borrowed(text)
    }
}

/// What goes back between quotes as it came; line ends of a folded text would end the header field.
fn echo(param: &AuthParam<'_>) -> String {
    if param.raw_value().starts_with(b"\"") {
        String::from_utf8_lossy(param.unquoted()).replace(['\r', '\n'], "")
    } else {
        // What had no quotes had no escapes: a backslash is one.
        escaped(&param.value()).into_owned()
    }
}

/// Every challenge of the response in order; `None` for one that is not understood.
///
/// A 401 may hold challenges of proxies too, and a 407 of servers, when a fork brought them together.
fn challenges(response: &Response) -> impl Iterator<Item = Option<Challenge>> {
    let servers = response
        .get_all::<WwwAuthenticate>()
        .map(|header| header.ok().and_then(|header| read(Asker::Server, &header)));
    let proxies = response
        .get_all::<ProxyAuthenticate>()
        .map(|header| header.ok().and_then(|header| read(Asker::Proxy, &header)));
    servers.chain(proxies)
}

/// What the challenge says, if it can be answered.
fn read(asker: Asker, header: &sip_message::Challenge<'_>) -> Option<Challenge> {
    // RFC 8760 §2.6: "SIP clients and servers MUST NOT accept or request Basic authentication."
    if !header.is_digest() {
        return None;
    }
    let text = |name: &str| header.param(name).map(|param| param.value());
    let raw = |name: &str| header.param(name).map(|param| echo(&param));
    let algorithm = Algorithm::of_param(header.algorithm().as_deref()).ok()?;
    // RFC 7616 §3.3: "Unrecognized options MUST be ignored."
    let offer = match (header.offers_qop("auth"), header.offers_qop("auth-int")) {
        (true, true) => Offer::Both,
        (true, false) => Offer::One(Qop::Auth),
        (false, true) => Offer::One(Qop::AuthInt),
        (false, false) if text("qop").is_none_or(|all| all.trim().is_empty()) => Offer::None,
        (false, false) => return None,
    };
    // RFC 3261 §22.4: "any
    // algorithms that have a dependency on the cnonce (including
    // "MD5-Sess") require that the qop directive be sent."
    if algorithm.is_session() && offer == Offer::None {
        return None;
    }
    let challenge = Challenge {
        asker,
        raw_realm: raw("realm")?,
        raw_nonce: raw("nonce")?,
        raw_opaque: raw("opaque"),
        realm: text("realm")?.into_owned(),
        nonce: text("nonce")?.into_owned(),
        algorithm,
        algorithm_named: header.algorithm().is_some(),
        offer,
        userhash: text("userhash").is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
        stale: header.stale(),
        sim: None,
    };
    let echoed =
        [&challenge.raw_realm, &challenge.raw_nonce].into_iter().chain(&challenge.raw_opaque);
    let len = echoed.fold(0_usize, |len, text| len.saturating_add(text.len()));
    (len <= MAX_ECHO).then_some(challenge)
}

#[cfg(test)]
mod tests;
