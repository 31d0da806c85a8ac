use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use std::sync::Mutex;

use sip_message::{HeaderName, Limits, Message, Response};

use super::*;
use crate::{Aka, AkaAnswer, AuthError, Authenticator, Confirmation, Credentials, NonceKey, Qop};

const NOW: Duration = Duration::from_secs(1_700_000_000);
const REALM: &str = "home.example.net";

/// What SIM and home network have in common here: AUTN holds a sequence number, RES is RAND turned round.
#[derive(Debug, Default)]
struct Sim(Mutex<u8>);

impl Aka for Sim {
    fn answer(&self, challenge: &AkaChallenge) -> AkaAnswer {
        let mut highest = self.0.lock().unwrap();
        match challenge.autn {
            [b'N', sequence, ..] if sequence > *highest => {
                *highest = sequence;
                AkaAnswer::Res(challenge.rand.iter().rev().copied().collect())
            }
            [b'N', ..] => AkaAnswer::OutOfSync([*highest; 14]),
            _ => AkaAnswer::Refused,
        }
    }
}

#[derive(Debug, Default)]
struct Home {
    sequence: u8,
    given: usize,
    resynchronized: usize,
}

impl AkaHome for Home {
    fn vector(&mut self, username: &str) -> Option<AkaVector> {
        (username == "alice").then(|| {
            self.sequence += 1;
            self.given += 1;
            let mut autn = [0; 16];
            autn[..2].copy_from_slice(&[b'N', self.sequence]);
            let rand = core::array::from_fn(|place| self.sequence.wrapping_add(place as u8));
            AkaVector { rand, autn, xres: rand.iter().rev().copied().collect() }
        })
    }

    fn resynchronize(
        &mut self,
        username: &str,
        rand: &[u8; 16],
        auts: &[u8; 14],
    ) -> Option<AkaVector> {
        assert_eq!(rand[0], self.sequence, "that which was asked");
        // Only the SIM could have made it.
        auts.iter().all(|byte| *byte == auts[0]).then_some(())?;
        self.resynchronized += 1;
        self.sequence = auts[0];
        self.vector(username)
    }
}

fn authority(limit: usize) -> AkaAuthority<Home> {
    let authority = Authority::server(REALM, NonceKey::new(&[7; 32]).unwrap()).unwrap();
    AkaAuthority::new(authority.qop([Qop::Auth]), Home::default(), limit)
}

fn request(fields: &str) -> Request {
    let text = format!(
        "REGISTER sip:{REALM} SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n{fields}Content-Length: 0\r\n\r\n"
    );
    Message::parse(text.into(), &Limits::default()).unwrap().into_request().unwrap()
}

fn response(answer: &Answer) -> Response {
    let mut text = format!("SIP/2.0 {} x\r\nCSeq: 1 REGISTER\r\n", answer.status.as_u16());
    for (name, value) in answer.fields() {
        text += &format!("{name}: {value}\r\n");
    }
    Message::parse((text + "\r\n").into(), &Limits::default()).unwrap().into_response().unwrap()
}

/// A request that says who it is and no more, as IMS has it.
fn first(username: &str) -> Request {
    request(&format!(
        "Authorization: Digest username=\"{username}\", realm=\"{REALM}\", nonce=\"\", \
         uri=\"sip:{REALM}\", response=\"\"\r\n"
    ))
}

fn judged(
    authority: &mut AkaAuthority<Home>,
    request: &Request,
    now: Duration,
) -> Result<Authenticated, Answer> {
    let arrival = Arrival { request, source: b"", now };
    authority.judge(&arrival, 0x5eed).map(Option::unwrap)
}

struct Client {
    sim: Vec<Credentials>,
    auth: Authenticator,
}

impl Client {
    fn new(highest: u8) -> Self {
        let sim = Secret::aka(Arc::new(Sim(Mutex::new(highest))));
        Self { sim: vec![Credentials::new("alice", sim)], auth: Authenticator::default() }
    }

    fn challenged(&mut self, answer: &Answer) -> Result<(), AuthError> {
        self.auth.challenged(&response(answer), &self.sim)
    }

    fn answering(&mut self) -> Request {
        let mut request = request("");
        let mut draw = 0;
        self.auth.authorize(&mut request, &self.sim, || {
            draw += 1;
            draw
        });
        request
    }
}

#[test]
fn a_sim_is_asked_by_a_vector_and_both_prove_themselves() {
    let (mut authority, mut client) = (authority(10), Client::new(0));
    let answer = judged(&mut authority, &first("alice"), NOW).unwrap_err();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let (_, challenge) = answer.fields().next().unwrap();
    assert!(challenge.contains("algorithm=AKAv1-MD5"), "{challenge}");
    assert_eq!(answer.fields().count(), 1, "nothing weaker beside it");
    client.challenged(&answer).unwrap();
    // The answer serves as often as it is counted on, and each count once.
    for _ in 0..3 {
        let request = client.answering();
        let authenticated = judged(&mut authority, &request, NOW).unwrap();
        assert_eq!(authenticated.claim().username(), Some("alice"));
        let info = authority.info(&authenticated, b"").unwrap();
        let ok =
            format!("SIP/2.0 200 x\r\nCSeq: 1 REGISTER\r\nAuthentication-Info: {info}\r\n\r\n");
        let ok = Message::parse(ok.into(), &Limits::default()).unwrap().into_response().unwrap();
        assert_eq!(client.auth.confirmed(&ok, &client.sim), Ok(Confirmation::Proven));
        let replay = judged(&mut authority, &request, NOW).unwrap_err();
        assert!(replay.fields().next().unwrap().1.contains("stale=true"));
    }
    // One for the first challenge, and one for each replay.
    assert_eq!(authority.home().given, 4);
}

// RFC 3310 §3.4: "A valid AUTS parameter is used to re-synchronize the SQN in the AuC."
#[test]
fn a_sim_that_is_out_of_step_is_caught_up_with() {
    let (mut authority, mut client) = (authority(10), Client::new(40));
    let answer = judged(&mut authority, &first("alice"), NOW).unwrap_err();
    client.challenged(&answer).unwrap();
    let behind = client.answering();
    let answer = judged(&mut authority, &behind, NOW).unwrap_err();
    assert_eq!((authority.home().resynchronized, authority.home().sequence), (1, 41));
    client.challenged(&answer).unwrap();
    judged(&mut authority, &client.answering(), NOW).unwrap();
    // The AUTS of before moves nothing any more.
    let again = judged(&mut authority, &behind, NOW).unwrap_err();
    assert_eq!((again.status, authority.home().resynchronized), (StatusCode::UNAUTHORIZED, 1));
}

#[test]
fn an_auts_that_is_not_the_sims_opens_nothing() {
    let mut authority = authority(10);
    for (forged, status) in [
        // Of 14 bytes, but another; too short; no base64.
        ("AAECAwQFBgcICQoLDA0=", StatusCode::FORBIDDEN),
        ("AAECAw==", StatusCode::BAD_REQUEST),
        ("!", StatusCode::BAD_REQUEST),
    ] {
        let answer = judged(&mut authority, &first("alice"), NOW).unwrap_err();
        let mut client = Client::new(40);
        client.challenged(&answer).unwrap();
        let genuine = client.answering();
        let value = genuine.raw(HeaderName::Authorization).unwrap();
        let text = core::str::from_utf8(value).unwrap();
        let before = text.split_once("auts=\"").unwrap().0;
        let forged = request(&format!("Authorization: {before}auts=\"{forged}\"\r\n"));
        let answer = judged(&mut authority, &forged, NOW).unwrap_err();
        assert_eq!((answer.status, answer.fields().count()), (status, 0));
    }
    assert_eq!(authority.home().resynchronized, 0);
}

#[test]
fn a_wrong_answer_costs_its_vector() {
    let (mut authority, mut client) = (authority(10), Client::new(0));
    let answer = judged(&mut authority, &first("alice"), NOW).unwrap_err();
    client.challenged(&answer).unwrap();
    let genuine = client.answering();
    let value = core::str::from_utf8(genuine.raw(HeaderName::Authorization).unwrap()).unwrap();
    let place = value.find("response=\"").unwrap() + 10;
    let mut forged = value.to_string();
    forged.replace_range(place..place + 32, &"0".repeat(32));
    let forged = request(&format!("Authorization: {forged}\r\n"));
    let answer = judged(&mut authority, &forged, NOW).unwrap_err();
    assert!(!answer.fields().next().unwrap().1.contains("stale=true"));
    // Guessing goes no further on this one, and the owner is asked anew.
    let answer = judged(&mut authority, &genuine, NOW).unwrap_err();
    client.challenged(&answer).unwrap();
    judged(&mut authority, &client.answering(), NOW).unwrap();
}

#[test]
fn who_is_unknown_or_says_nothing_gets_no_vector() {
    let mut authority = authority(10);
    for stranger in [first("mallory"), request("")] {
        let answer = judged(&mut authority, &stranger, NOW).unwrap_err();
        assert_eq!((answer.status, answer.fields().count()), (StatusCode::FORBIDDEN, 0));
    }
    assert_eq!(authority.home().given, 0);
    let ack = "ACK sip:a SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\n\r\n";
    let ack = Message::parse(ack.into(), &Limits::default()).unwrap().into_request().unwrap();
    let arrival = Arrival { request: &ack, source: b"", now: NOW };
    assert!(authority.judge(&arrival, 1).unwrap().is_none());
}

#[test]
fn vectors_are_forgotten_in_time_and_when_there_are_too_many() {
    let mut authority = authority(2);
    let mut clients: Vec<(Client, Request)> = Vec::new();
    for after in 0..3 {
        let now = NOW + Duration::from_millis(after);
        let answer = judged(&mut authority, &first("alice"), now).unwrap_err();
        let mut client = Client::new(0);
        client.challenged(&answer).unwrap();
        let request = client.answering();
        clients.push((client, request));
    }
    assert_eq!(authority.expected.len(), 2);
    // The first of the three gave way, and so does the second for the new challenge to the first.
    let (client, request) = &mut clients[0];
    let answer = judged(&mut authority, request, NOW).unwrap_err();
    assert!(answer.fields().next().unwrap().1.contains("stale=true"));
    client.challenged(&answer).unwrap();
    judged(&mut authority, &client.answering(), NOW).unwrap();
    // Nonces run out as all do.
    let late = NOW + Duration::from_secs(301);
    let answer = judged(&mut authority, &client.answering(), late).unwrap_err();
    assert!(answer.fields().next().unwrap().1.contains("stale=true"));
    assert_eq!(authority.expected.len(), 1);
}

#[test]
fn another_realms_or_somebody_elses_nonce_is_foreign() {
    let mut authority = authority(10);
    let answer = judged(&mut authority, &first("alice"), NOW).unwrap_err();
    let mut client = Client::new(0);
    client.challenged(&answer).unwrap();
    let genuine = client.answering();
    let value = core::str::from_utf8(genuine.raw(HeaderName::Authorization).unwrap()).unwrap();
    let nonce = value.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut other = AkaChallenge::from_nonce(nonce).unwrap();
    other.rand[0] ^= 1;
    let other = value.replace(nonce, &other.to_nonce());
    let forged = request(&format!("Authorization: {other}\r\n"));
    let answer = judged(&mut authority, &forged, NOW).unwrap_err();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // A password authority knows nothing of SIMs.
    let plain = Authority::server(REALM, NonceKey::new(&[7; 32]).unwrap()).unwrap();
    let arrival = Arrival { request: &genuine, source: b"", now: NOW };
    assert_eq!(plain.check(&arrival).unwrap_err(), Refusal::ForeignNonce);
}
