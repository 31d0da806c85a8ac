//! Digest authentication of a client: answers to 401 and 407 (RFC 3261 §22, RFC 8760, RFC 7616).
//!
//! An [`Authenticator`] belongs to one call, one registration or one request outside of both. It is told of
//! every 401 and 407 ([`Authenticator::challenged`]) and then adds credentials to the request that is sent
//! again, and to all later ones ([`Authenticator::authorize`]).

use std::borrow::Cow;
use std::fmt::Write;

use sip_message::{HeaderName, ProxyAuthenticate, Request, Response, WwwAuthenticate};

use crate::Credentials;
use digest::{Algorithm, Inputs, Qop};

mod digest;

/// The most realms (counted apart for servers and proxies) that one authenticator answers: a server that
/// asks for another realm each time is not followed further.
const MAX_CHALLENGES: usize = 8;

/// How many requests in a row may be challenged: realms that take turns with new nonces are not followed further.
const MAX_ROUNDS: u8 = 10;

/// How often in a row a nonce that was never of use may be called stale.
const MAX_STALE: u8 = 3;

/// What the servers and proxies on the way of a request asked for, and what was answered.
///
/// RFC 3261 §22.3: "If a UA receives a Proxy-Authenticate header field value in a 401/407
/// response to a request with a particular Call-ID, it should
/// incorporate credentials for that realm in all subsequent requests
/// that contain the same Call-ID.  These credentials MUST NOT be cached
/// across dialogs"
#[derive(Debug, Clone, Default)]
pub(crate) struct Authenticator {
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
}

/// Who asks: it decides which header field answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// WWW-Authenticate, answered by Authorization.
    Server,
    /// Proxy-Authenticate, answered by Proxy-Authorization.
    Proxy,
}

/// A challenge as it is read.
#[derive(Debug, Clone)]
struct Challenge {
    asker: Asker,
    // As they came, escapes included: so they are sent back, and so the digest is computed.
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the challenge named the algorithm: then the answer does.
    algorithm_named: bool,
    qop: Option<Qop>,
    stale: bool,
}

impl Challenge {
    /// The realm as people read it.
    fn shown_realm(&self) -> String {
        unescaped(&self.realm).into_owned()
    }

    /// Those for this realm alone come before those for any.
    fn credentials<'a>(&self, all: &'a [Credentials]) -> Option<&'a Credentials> {
        let realm = unescaped(&self.realm);
        let for_realm = |wanted: Option<&str>| all.iter().find(|some| some.realm() == wanted);
        for_realm(Some(&realm)).or_else(|| for_realm(None))
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
    /// The client's nonce of the first of them.
    first_cnonce: String,
    /// How many nonces in a row were called stale at their first use.
    stale: u8,
}

impl Authenticator {
    /// A 401 or 407 came: takes its challenges up, to be answered by [`Authenticator::authorize`].
    ///
    /// # Errors
    /// None of them can be answered, or one of them was answered and refused: the request has failed.
    pub(crate) fn challenged(
        &mut self,
        response: &Response,
        credentials: &[Credentials],
    ) -> Result<(), AuthError> {
        let mut chosen: Vec<Challenge> = Vec::new();
        let mut why_not = AuthError::NoChallenge;
        for challenge in challenges(response) {
            // RFC 8760 §2.4: "The client MUST ignore any challenge it does not understand."
            let Some(challenge) = challenge else {
                if why_not == AuthError::NoChallenge {
                    why_not = AuthError::Unsupported;
                }
                continue;
            };
            if challenge.credentials(credentials).is_none() {
                why_not = AuthError::NoCredentials { realm: challenge.shown_realm() };
                continue;
            }
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
            if !alternative {
                chosen.push(challenge);
            }
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
        if self.answering.len() + answering.len() > MAX_CHALLENGES {
            return Err(AuthError::TooManyChallenges);
        }
        self.answering.append(&mut answering);
        Ok(())
    }

    /// Judges a challenge by what was answered to its realm before.
    fn take_up(&self, challenge: Challenge) -> Result<Answering, AuthError> {
        let fresh = |challenge, stale| Answering {
            challenge,
            nonce_count: 0,
            first_cnonce: String::new(),
            stale,
        };
        // Of several proxies of one realm the one with the same nonce is meant, else any.
        let mut known =
            self.answering.iter().filter(|known| known.challenge.same_place(&challenge));
        let same_nonce = known.clone().find(|known| known.challenge.nonce == challenge.nonce);
        let Some(known) = same_nonce.or_else(|| known.next()) else {
            return Ok(fresh(challenge, 0));
        };
        let refused = AuthError::Refused { realm: challenge.shown_realm() };
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
        if known.nonce_count > 1 {
            // The old nonce has been of use, so the secret is right and the nonce has run out, whether
            // or not the server says so.
            return Ok(fresh(challenge, 0));
        }
        // RFC 7616 §3.3: "If stale is true, the client may wish to simply retry the
        // request with a new encrypted response, without re-prompting the
        // user for a new username and password."
        if challenge.stale && known.stale < MAX_STALE {
            return Ok(fresh(challenge, known.stale + 1));
        }
        Err(refused)
    }

    /// Adds the credentials for every challenge known so far to `request`, in place of those that it has.
    /// Does nothing before the first challenge. `draw` gives random bits for the client's nonces.
    ///
    /// RFC 3261 §22.2 asks for a new CSeq when a request is sent again; that is the caller's.
    pub(crate) fn authorize(
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
            let value = answering.answer(request, with, &mut draw);
            let name = match answering.challenge.asker {
                Asker::Server => HeaderName::Authorization,
                Asker::Proxy => HeaderName::ProxyAuthorization,
            };
            let pushed = request.headers_mut().push_raw(name, value.as_bytes());
            debug_assert!(pushed.is_ok(), "{value}");
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
    ) -> String {
        let challenge = &self.challenge;
        // RFC 7616 §3.4: "The nc value is the
        // hexadecimal count of the number of requests (including the current
        // request) that the client has sent with the nonce value in this
        // request."
        self.nonce_count = self.nonce_count.saturating_add(1);
        let nc = format!("{:08x}", self.nonce_count);
        let cnonce = format!("{:016x}", draw());
        if self.first_cnonce.is_empty() {
            self.first_cnonce.clone_from(&cnonce);
        }
        // RFC 3261 §22.4: "digest-uri-value  =  Request-URI ; as defined in Section 25"
        let uri = String::from_utf8_lossy(request.uri_bytes());
        // RFC 7616 §3.4: the digest is computed of what stands between the quotes.
        let username = escaped(with.username());
        let response = Inputs {
            algorithm: challenge.algorithm,
            qop: challenge.qop,
            username: &username,
            password: with.password(),
            realm: &challenge.realm,
            nonce: &challenge.nonce,
            nc: &nc,
            cnonce: &cnonce,
            session_cnonce: &self.first_cnonce,
            method: request.method().as_str(),
            uri: &uri,
            body: request.body(),
        }
        .response();

        let mut value = String::with_capacity(256);
        // RFC 3261 §22.4: "For SIP, the 'uri' MUST be enclosed in quotation marks."
        let Challenge { realm, nonce, .. } = challenge;
        let _ = write!(
            value,
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\""
        );
        if challenge.algorithm_named {
            let _ = write!(value, ", algorithm={}", challenge.algorithm.name());
        }
        // RFC 3261 §22.4: "If a client
        // receives a "qop" parameter in a challenge header field, it
        // MUST send the "qop" parameter in any resulting authorization
        // header field."
        // RFC 3261 §22.4: "RFC 2617 notes that a cnonce value MUST NOT be sent in an
        // Authorization (and by extension Proxy-Authorization) header
        // field if no qop directive has been sent."
        if let Some(qop) = challenge.qop {
            let _ = write!(value, ", qop={}, nc={nc}, cnonce=\"{cnonce}\"", qop.name());
        }
        if let Some(opaque) = &challenge.opaque {
            let _ = write!(value, ", opaque=\"{opaque}\"");
        }
        value
    }
}

/// The text of a quoted string, for one: what cannot stand in it is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        if !character.is_control() {
            out.push(character);
        }
    }
    out
}

/// What the text of a quoted string stands for.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut characters = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
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
    let text = |name: &str| {
        let value = header.param(name)?;
        Some(String::from_utf8_lossy(value.unquoted()).replace(['\r', '\n'], ""))
    };
    let algorithm_name = text("algorithm");
    let algorithm = Algorithm::named(algorithm_name.as_deref())?;
    let qop = match text("qop") {
        None => None,
        Some(options) => {
            let offers = |name: &str| {
                options.split(',').any(|option| option.trim().eq_ignore_ascii_case(name))
            };
            if offers("auth") {
                Some(Qop::Auth)
            } else if offers("auth-int") {
                Some(Qop::AuthInt)
            } else if options.trim().is_empty() {
                None
            } else {
                return None;
            }
        }
    };
    // RFC 3261 §22.4: "any
    // algorithms that have a dependency on the cnonce (including
    // "MD5-Sess") require that the qop directive be sent."
    if algorithm.is_session() && qop.is_none() {
        return None;
    }
    Some(Challenge {
        asker,
        realm: text("realm")?,
        nonce: text("nonce")?,
        opaque: text("opaque"),
        algorithm,
        algorithm_named: algorithm_name.is_some(),
        qop,
        stale: text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

#[cfg(test)]
mod tests;
