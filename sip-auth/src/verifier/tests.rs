use super::*;

use alloc::format;
use alloc::string::{String, ToString};
use core::future::{pending, ready};
use core::pin::pin;
use core::task::Waker;

use bytes::Bytes;
use sip_message::{Limits, Message, Request, Response};

use crate::{Authenticator, Hash, NonceKey, NonceUse, UserTable};

const NOW: Duration = Duration::from_secs(1_700_000_000);
const HASHES: [Hash; 3] = [Hash::Md5, Hash::Sha256, Hash::Sha512T256];

fn authority() -> Authority {
    Authority::server("biloxi.com", NonceKey::new(&[7; 32]).unwrap()).unwrap()
}

fn used() -> UsedNonces {
    UsedNonces::new(10, Duration::ZERO)
}

fn request(method: &str, fields: &str) -> Request {
    let text = format!(
        "{method} sip:biloxi.com SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n{fields}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_request().unwrap()
}

fn at(request: &Request) -> Arrival<'_> {
    Arrival { request, source: b"", now: NOW }
}

/// The same request with an answer to the challenge that it got.
fn answered(verifier: &mut Verifier, name: &str, password: &str) -> Request {
    let plain = request("OPTIONS", "");
    let Verdict::Refused(refusal) = verifier.check(&at(&plain)) else { panic!() };
    let mut text = String::from("SIP/2.0 401 x\r\nCSeq: 1 OPTIONS\r\n");
    for (name, value) in verifier.authority().answer(&refusal, &at(&plain), 1).fields() {
        text += &format!("{name}: {value}\r\n");
    }
    let text = Bytes::from(text + "\r\n");
    let response: Response =
        Message::parse(text, &Limits::default()).unwrap().into_response().unwrap();
    let known = [Credentials::new(name, password)];
    let mut client = Authenticator::default();
    client.challenged(&response, &known).unwrap();
    let mut request = plain;
    client.authorize(&mut request, &known, || 2);
    Message::parse(request.to_bytes(), &Limits::default()).unwrap().into_request().unwrap()
}

fn name(verdict: Verdict) -> String {
    match verdict {
        Verdict::User(user) => user.claim().username().unwrap().into(),
        Verdict::Exempt => "exempt".into(),
        Verdict::Refused(refusal) => format!("{refusal:?}"),
        Verdict::Unavailable(why) => why.to_string(),
        Verdict::Waits(waiting, _) => format!("{waiting:?}").chars().take(15).collect(),
    }
}

fn look_up(pending: PendingLookup) -> LookedUp {
    match pin!(pending).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => panic!("nothing to wait for here"),
    }
}

#[test]
fn users_in_memory_are_judged_at_once() {
    let alice = Credentials::new("alice", "secret");
    let bob = Credentials::new("bob", "secret").for_realm("elsewhere.com");
    let table = UserTable::from_iter([alice.clone(), bob.clone()]);
    assert_eq!(table.len(), 2);
    let digested = table.clone().digested("biloxi.com", HASHES);
    // What stands for the password is all that is left of it.
    assert_ne!(format!("{digested:?}"), format!("{table:?}"));
    assert_eq!(
        alice.clone().digested("biloxi.com", HASHES).digested("biloxi.com", HASHES),
        alice.clone().digested("biloxi.com", HASHES)
    );
    let verifier = |users: Arc<dyn Users>| Verifier::new(authority(), users, used());
    for users in [
        Arc::new(table) as Arc<dyn Users>,
        Arc::new(digested),
        Arc::new(alloc::vec::Vec::from([alice, bob])),
    ] {
        let mut verifier = verifier(users);
        let right = answered(&mut verifier, "alice", "secret");
        assert_eq!(name(verifier.check(&at(&right))), "alice");
        assert_eq!(name(verifier.check(&at(&right))), "Repeated");
        let wrong = answered(&mut verifier, "alice", "guess");
        assert_eq!(name(verifier.check(&at(&wrong))), "Wrong");
        let nobody = answered(&mut verifier, "carol", "secret");
        assert_eq!(name(verifier.check(&at(&nobody))), "Wrong");
        let of_another_realm = answered(&mut verifier, "bob", "secret");
        assert_eq!(name(verifier.check(&at(&of_another_realm))), "Wrong");
        assert_eq!(name(verifier.check(&at(&request("ACK", "")))), "exempt");
    }
}

/// Users and nonces that are looked up elsewhere.
struct Elsewhere(Result<Option<Credentials>, &'static str>);

impl Users for Elsewhere {
    fn find(&self, _: &Claim) -> Lookup<Option<Credentials>> {
        Lookup::later(ready(self.0.clone().map_err(Unavailable::new)))
    }
}

struct Nonces(Result<Use, &'static str>);

impl SharedNonces for Nonces {
    fn record(&self, _: &NonceUse, _: Duration) -> Lookup<Use> {
        Lookup::later(ready(self.0.map_err(Unavailable::new)))
    }
}

#[test]
fn a_request_waits_for_its_user_and_then_for_its_nonce() {
    let alice = Credentials::new("alice", "secret");
    for (user, nonce, verdict) in [
        (Ok(Some(alice.clone())), Ok(Use::First), "alice"),
        (Ok(Some(alice.clone())), Ok(Use::Repeated), "Repeated"),
        (Ok(Some(alice)), Err("no store"), "no store"),
        (Ok(None), Ok(Use::First), "Wrong"),
        (Err("no database"), Ok(Use::First), "no database"),
    ] {
        let verifier = Verifier::new(authority(), Elsewhere(user), used());
        let mut verifier = verifier.shared_nonces(Nonces(nonce));
        let request = answered(&mut verifier, "alice", "secret");
        let mut judged = verifier.check(&at(&request));
        let mut waits = 0;
        while let Verdict::Waits(waiting, pending) = judged {
            waits += 1;
            judged = verifier.resume(waiting, look_up(pending), NOW);
        }
        assert!((1..=2).contains(&waits));
        assert_eq!(name(judged), verdict);
    }
}

#[test]
fn a_lookup_that_is_given_up_or_is_anothers_says_nothing_about_a_user() {
    let alice = || Elsewhere(Ok(Some(Credentials::new("alice", "secret"))));
    let mut verifier =
        Verifier::new(authority(), alice(), used()).shared_nonces(Nonces(Ok(Use::First)));
    let request = answered(&mut verifier, "alice", "secret");
    let Verdict::Waits(waiting, _) = verifier.check(&at(&request)) else { panic!() };
    let late = LookedUp::unavailable(Unavailable::new("too late"));
    assert_eq!(name(verifier.resume(waiting, late, NOW)), "too late");

    let Verdict::Waits(finding, user) = verifier.check(&at(&request)) else { panic!() };
    let Verdict::Waits(recording, nonce) = verifier.resume(finding, look_up(user), NOW) else {
        panic!()
    };
    let Verdict::Waits(finding, user) = verifier.check(&at(&request)) else { panic!() };
    for (waiting, other) in [(finding, nonce), (recording, user)] {
        let judged = verifier.resume(waiting, look_up(other), NOW);
        assert_eq!(name(judged), "the answer is to another question");
    }
    let never = PendingLookup(Box::pin(pending()));
    assert!(pin!(never).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
