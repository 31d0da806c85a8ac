//! Whom a user agent serves: challenges for what comes in, lookups that take their time, and the proof that it
//! gives in return (RFC 3261 §22.2, §20.6).

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sip_auth::{Authenticator, Confirmation, UsedNonces};
use sip_message::{HeaderName, Method, Request, Response, StatusCode};
use sip_ua::{
    AgentEvent, Authority, Claim, Credentials, LookedUp, Lookup, NonceKey, NonceUse, Qop,
    ServerAuthentication, SharedNonces, Use, Users,
};

use crate::challenges::account;
use crate::harness::*;

fn guard() -> ServerAuthentication {
    let authority = Authority::server("callee", NonceKey::new(&[7; 32]).unwrap()).unwrap();
    ServerAuthentication::new(authority, vec![Credentials::new("alice", "secret")])
}

const YEAR_2025: Duration = Duration::from_secs(1_735_689_600);

fn lone(guard: ServerAuthentication) -> Lone {
    let mut lone = Lone::new();
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard)));
    lone
}

fn guarded(guard: ServerAuthentication) -> Pair {
    let mut pair = Pair::new();
    pair.tell(BOB, |agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard)));
    pair
}

// RFC 3261 §22.2: "When a UAS receives a request from a UAC, the UAS MAY authenticate
// the originator before the request is processed."
#[test]
fn a_caller_is_known_before_the_callee_is_disturbed() {
    for within in [false, true] {
        let mut pair = guarded(if within { guard().within_dialogs() } else { guard() });
        let call =
            pair.tell(ALICE, |agent, now, tx| agent.call(now, tx, &account(), to_bob())).unwrap();
        pair.run(ms(15));
        pair.expect(BOB, &[]);
        pair.run(ms(50));
        pair.expect(BOB, &["invitation"]);
        let of_bob = *pair.calls[BOB].last().unwrap();
        pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, of_bob, Some(&sdp()), &[])).unwrap();
        pair.run(ms(50));
        let flow = pair.flow();
        assert_eq!(flow[..4], ["alice: INVITE", "bob: 401 INVITE", "alice: ACK", "alice: INVITE"]);
        // The BYE carries credentials that count on.
        pair.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        pair.run(ms(50));
        assert_eq!(pair.flow(), ["alice: BYE", "bob: 200 BYE"], "within dialogs: {within}");
        pair.expect(ALICE, &["answered", "ended: we hung up"]);
        pair.nothing_left();
    }
}

/// The called side ends the call: its BYE comes to the caller, who asks nobody.
#[test]
fn what_comes_within_a_dialog_is_challenged_if_so_told() {
    for (within, flow) in
        [(false, &["bob: BYE", "alice: 200 BYE"][..]), (true, &["bob: BYE", "alice: 401 BYE"][..])]
    {
        let mut pair = Pair::new();
        let guard = if within { guard().within_dialogs() } else { guard() };
        pair.tell(ALICE, |agent, now, _| agent.set_authentication(now, YEAR_2025, Some(guard)));
        let (_, of_bob) = pair.established();
        pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, of_bob)).unwrap();
        pair.run(ms(50));
        assert_eq!(pair.flow(), flow);
    }
}

/// Requests within dialogs are not challenged unless it is so told; to say that one is in a dialog is not
/// enough.
#[test]
fn a_tag_that_was_made_up_is_no_way_in() {
    let mut lone = lone(guard());
    for (n, method) in ["INVITE", "MESSAGE", "OPTIONS", "BYE", "INFO"].into_iter().enumerate() {
        let n = u32::try_from(n).unwrap();
        let text = asked(n, method, "");
        let text = text.replace("To: <sip:alice@192.0.2.1>", "To: <sip:alice@192.0.2.1>;tag=a");
        lone.receive_text(&text, "");
        lone.sent_response(481);
    }
    lone.expect(&[]);
}

fn asked(n: u32, method: &str, more: &str) -> String {
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{n}
        Max-Forwards: 70
        From: <sip:bob@192.0.2.2>;tag=b
        To: <sip:alice@192.0.2.1>
        Call-ID: {method}
        CSeq: {n} {method}
        Contact: <sip:bob@192.0.2.2>{}{more}",
        if more.is_empty() { "" } else { "\n" }
    )
}

// RFC 3261 §22.1: "Servers MUST NOT attempt to challenge an ACK."
// RFC 3261 §22.1: "servers MUST NOT attempt to challenge CANCEL requests since these requests cannot
// be resubmitted."
#[test]
fn every_method_is_challenged_but_ack_and_cancel() {
    let mut lone = lone(guard());
    for method in ["INVITE", "OPTIONS", "MESSAGE", "INFO", "BYE"] {
        lone.receive_text(&asked(1, method, ""), "");
        let refusal = lone.sent_response(401);
        let challenges: Vec<_> = refusal.headers().raw_all(HeaderName::WwwAuthenticate).collect();
        assert_eq!(challenges.len(), 2, "{method}");
        assert!(challenges[0].starts_with(b"Digest realm=\"callee\", nonce=\""), "{method}");
        assert!(refusal.headers().to_tag().is_some());
    }
    lone.receive_text(&asked(1, "ACK", ""), "");
    // It finds no transaction: nothing was asked.
    lone.receive_text(&asked(2, "CANCEL", ""), "");
    lone.sent_response(481);
    lone.expect(&[]);
    // Without a guard everybody is served again.
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, None));
    lone.receive_text(&asked(2, "OPTIONS", ""), "");
    lone.sent_response(200);
    lone.run(secs(70));
    lone.nothing_left();
}

/// One who answers challenges by the client's side of the same stack.
struct Bob {
    credentials: [Credentials; 1],
    authenticator: Authenticator,
}

impl Bob {
    fn new(user: &str, password: &str) -> Self {
        Self {
            credentials: [Credentials::new(user, password)],
            authenticator: Authenticator::default(),
        }
    }

    fn challenged(user: &str, password: &str, refusal: &Response) -> Self {
        let mut bob = Self::new(user, password);
        bob.authenticator.challenged(refusal, &bob.credentials).unwrap();
        bob
    }

    /// The request with its next credentials.
    fn ask(&mut self, n: u32, method: Method, more: &str) -> String {
        let uri = "sip:alice@192.0.2.1".parse().unwrap();
        let mut request = Request::builder(method.clone(), &uri)
            .raw(HeaderName::From, b"<sip:bob@192.0.2.2>;tag=b")
            .raw(HeaderName::To, b"<sip:alice@192.0.2.1>")
            .raw(HeaderName::CallId, b"1")
            .raw(HeaderName::CSeq, format!("1 {method}").as_bytes())
            .build()
            .unwrap();
        self.authenticator.authorize(&mut request, &self.credentials, || n.into());
        let value = request.headers().raw(HeaderName::Authorization).unwrap();
        let value = std::str::from_utf8(value).unwrap();
        asked(n, method.as_str(), &format!("Authorization: {value}{more}"))
    }

    fn confirmed(&mut self, response: &Response) -> Result<Confirmation, sip_ua::AuthError> {
        self.authenticator.confirmed(response, &self.credentials)
    }
}

/// A MESSAGE that answers the challenge of `refusal`.
fn answered(refusal: &Response, n: u32, user: &str, password: &str) -> String {
    Bob::challenged(user, password, refusal).ask(n, Method::Message, "")
}

#[test]
fn replays_strangers_and_old_nonces() {
    let mut lone = lone(guard());
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    let is_stale = |response: &Response| {
        response.get::<sip_message::WwwAuthenticate>().unwrap().unwrap().stale()
    };
    assert!(!is_stale(&refusal));
    for (n, user, password) in [(2, "alice", "guess"), (3, "mallory", "secret")] {
        lone.receive_text(&answered(&refusal, n, user, password), "");
        assert!(!is_stale(&lone.sent_response(401)), "{user} {password}");
        lone.expect(&[]);
    }
    lone.receive_text(&answered(&refusal, 4, "alice", "secret"), "");
    lone.expect(&["request MESSAGE"]);
    // The same credentials once more, in a new transaction: the application hears nothing.
    lone.receive_text(&answered(&refusal, 5, "alice", "secret"), "");
    assert!(is_stale(&lone.sent_response(401)));
    lone.run(secs(301));
    lone.sent();
    lone.receive_text(&answered(&refusal, 6, "alice", "secret"), "");
    assert!(is_stale(&lone.sent_response(401)));
    lone.expect(&[]);
}

/// A gateway that answers challenges for those behind it does not count CSeq up: it would have to do so in all that
/// follows. It is not taken for a fork.
#[test]
fn a_cseq_that_stands_still_is_borne_with() {
    let mut lone = lone(guard());
    let first = asked(1, "MESSAGE", "");
    lone.receive_text(&first, "");
    let refusal = lone.sent_response(401);
    let again = answered(&refusal, 1, "alice", "secret");
    lone.receive_text(&again.replace("branch=z9hG4bK1", "branch=z9hG4bKagain"), "");
    lone.expect(&["request MESSAGE"]);
}

/// RFC 3261 §8.2.2.2: what a fork sends here a second time is refused by 482, not challenged for the
/// credentials that the first one used.
#[test]
fn a_merged_request_is_no_replay() {
    let mut lone = lone(guard());
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    let first = answered(&refusal, 2, "alice", "secret");
    lone.receive_text(&first, "");
    lone.expect(&["request MESSAGE"]);
    lone.receive_text(&first.replace("branch=z9hG4bK2", "branch=z9hG4bKother"), "");
    lone.sent_response(482);
}

#[test]
fn the_answer_proves_that_this_side_knows_the_secret() {
    for qop in [Qop::Auth, Qop::AuthInt] {
        let key = NonceKey::new(&[7; 32]).unwrap();
        let authority = Authority::server("callee", key).unwrap().qop([qop]);
        let users = vec![Credentials::new("alice", "secret")];
        let mut lone = lone(ServerAuthentication::new(authority, users));
        lone.receive_text(&asked(1, "MESSAGE", ""), "");
        let refusal = lone.sent_response(401);
        assert!(!refusal.headers().contains(HeaderName::AuthenticationInfo));
        let mut bob = Bob::challenged("alice", "secret", &refusal);

        // By the application, with a body.
        lone.receive_text(&bob.ask(2, Method::Message, ""), "");
        let [AgentEvent::Request { key, .. }] = lone.take()[..] else { panic!() };
        let body = sip_ua::Body::text("got it");
        lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, Some(&body), &[]))
            .unwrap();
        let ok = lone.sent_response(200);
        assert_eq!(bob.confirmed(&ok), Ok(Confirmation::Proven), "{qop:?}");

        // By the agent itself.
        lone.receive_text(&bob.ask(3, Method::Options, ""), "");
        assert_eq!(bob.confirmed(&lone.sent_response(200)), Ok(Confirmation::Proven));

        // In no other.
        // RFC 3261 §20.6: "A UAS MAY include this header field in a 2xx response to a request"
        lone.receive_text(&bob.ask(4, Method::Message, ""), "");
        let [AgentEvent::Request { key, .. }] = lone.take()[..] else { panic!() };
        let status = StatusCode::new(480).unwrap();
        lone.tell(|agent, now, tx| agent.reply(now, tx, key, status, None, &[])).unwrap();
        let refused = lone.sent_response(480);
        assert!(!refused.headers().contains(HeaderName::AuthenticationInfo));

        // The 2xx to an INVITE, and its repeats.
        lone.receive_text(&bob.ask(5, Method::Invite, ""), "");
        lone.expect(&["invitation"]);
        let call = lone.last_invitation.unwrap();
        lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
        let ok = lone.sent_response(200);
        lone.run(ms(600));
        assert_eq!(lone.sent_response(200).to_bytes(), ok.to_bytes());
        assert_eq!(bob.confirmed(&ok), Ok(Confirmation::Proven));
    }
}

/// Nobody is challenged again who asks for something every two minutes, though nonces live for five.
#[test]
fn an_ageing_nonce_is_replaced_in_time() {
    let mut lone = lone(guard());
    lone.receive_text(&asked(1, "OPTIONS", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &lone.sent_response(401));
    let mut renewed = 0;
    for n in 2..30 {
        lone.run(secs(120));
        lone.receive_text(&bob.ask(n, Method::Options, ""), "");
        let ok = lone.sent_response(200);
        let info = ok.get::<sip_message::AuthenticationInfo<'_>>().unwrap().unwrap();
        renewed += u32::from(info.nextnonce().is_some());
        assert_eq!(bob.confirmed(&ok), Ok(Confirmation::Proven));
    }
    assert_eq!(renewed, 14);
}

/// Users that are looked up elsewhere; what they are asked, and what they are to say.
#[derive(Clone, Default)]
struct Elsewhere(Arc<Mutex<Option<Credentials>>>);

impl Elsewhere {
    fn with(user: &str, password: &str) -> Self {
        Self(Arc::new(Mutex::new(Some(Credentials::new(user, password)))))
    }
}

impl Users for Elsewhere {
    fn find(&self, _: &Claim) -> Lookup<Option<Credentials>> {
        let users = self.clone();
        Lookup::later(async move { Ok(users.0.lock().unwrap().clone()) })
    }
}

fn elsewhere(users: Elsewhere) -> ServerAuthentication {
    let authority = Authority::server("callee", NonceKey::new(&[7; 32]).unwrap()).unwrap();
    ServerAuthentication::new(authority, users)
}

/// Takes the lookup that is asked for, and makes it; the caller says when it is told of.
#[track_caller]
fn look_up(lone: &mut Lone) -> (sip_transaction::ServerKey, LookedUp) {
    let mut events = lone.take();
    assert_eq!(events.iter().map(words).collect::<Vec<_>>(), ["lookup"]);
    let Some(AgentEvent::Lookup { key, pending }) = events.pop() else { panic!() };
    let mut pending = pin!(pending);
    match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => (key, found),
        Poll::Pending => panic!("nothing to wait for here"),
    }
}

fn tell(lone: &mut Lone, (key, found): (sip_transaction::ServerKey, LookedUp)) {
    lone.tell(|agent, now, tx| agent.looked_up(now, tx, key, found));
}

#[test]
fn a_request_waits_for_the_lookup_of_its_sender() {
    for (user, password, known) in
        [("alice", "secret", true), ("alice", "guess", false), ("mallory", "secret", false)]
    {
        let mut lone = lone(elsewhere(Elsewhere::with("alice", "secret")));
        lone.receive_text(&asked(1, "MESSAGE", ""), "");
        // Without credentials there is nobody to look up.
        let refusal = lone.sent_response(401);
        lone.expect(&[]);
        let message = answered(&refusal, 2, user, password);
        lone.receive_text(&message, "");
        assert_eq!(lone.live().lookups, 1);
        let found = look_up(&mut lone);
        // It comes again meanwhile, and is not looked up again.
        lone.receive_text(&message, "");
        lone.expect(&[]);
        assert!(!lone.has_sent());
        tell(&mut lone, found);
        assert_eq!(lone.live().lookups, 0);
        if known {
            let [AgentEvent::Request { key, .. }] = lone.take()[..] else { panic!() };
            lone.tell(|agent, now, tx| agent.reply(now, tx, key, StatusCode::OK, None, &[]))
                .unwrap();
            assert!(lone.sent_response(200).headers().contains(HeaderName::AuthenticationInfo));
        } else {
            lone.sent_response(401);
            lone.expect(&[]);
        }
        lone.nothing_left();
    }
    // Nobody of that name.
    let mut lone = lone(elsewhere(Elsewhere::default()));
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    lone.receive_text(&answered(&refusal, 2, "alice", "secret"), "");
    let found = look_up(&mut lone);
    tell(&mut lone, found);
    lone.sent_response(401);
    lone.nothing_left();
}

#[test]
fn a_lookup_that_takes_too_long_or_is_one_too_many() {
    let limits = elsewhere(Elsewhere::with("alice", "secret")).lookups(1).lookup_limit(secs(3));
    let mut lone = lone(limits);
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &lone.sent_response(401));
    lone.receive_text(&bob.ask(2, Method::Message, ""), "");
    let found = look_up(&mut lone);
    lone.receive_text(&bob.ask(3, Method::Message, ""), "");
    assert_eq!(header(lone.sent_response(503).headers(), "Retry-After"), Some("5"));
    lone.expect(&[]);
    lone.run(ms(2_999));
    assert!(!lone.has_sent());
    lone.run(ms(1));
    assert_eq!(header(lone.sent_response(503).headers(), "Retry-After"), Some("5"));
    // It comes at last: nobody waits.
    tell(&mut lone, found);
    lone.expect(&[]);
    assert!(!lone.has_sent());
    lone.nothing_left();
}

#[test]
fn an_invite_that_waits_can_be_cancelled() {
    let mut lone = lone(elsewhere(Elsewhere::with("alice", "secret")));
    lone.receive_text(&asked(1, "INVITE", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &lone.sent_response(401));
    lone.receive_text(&asked(1, "ACK", ""), "");
    lone.receive_text(&bob.ask(2, Method::Invite, ""), "");
    let found = look_up(&mut lone);
    // RFC 3261 §17.2.1: a 100 within 200 ms, so that the INVITE is not repeated meanwhile.
    lone.run(ms(300));
    lone.sent_response(100);
    lone.receive_text(&asked(2, "CANCEL", ""), "");
    lone.expect_sent(&["200 CANCEL", "487 INVITE"]);
    tell(&mut lone, found);
    lone.expect(&[]);
    assert!(!lone.has_sent());
    lone.receive_text(&asked(2, "ACK", ""), "");
    lone.nothing_left();
}

#[test]
fn whoever_winds_up_answers_what_waits() {
    let mut lone = lone(elsewhere(Elsewhere::with("alice", "secret")));
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &lone.sent_response(401));
    for n in 2..4 {
        lone.receive_text(&bob.ask(n, Method::Message, ""), "");
    }
    assert_eq!(lone.live().lookups, 2);
    lone.tell(|agent, now, tx| agent.end_lookups(now, tx));
    lone.expect_sent(&["503 MESSAGE", "503 MESSAGE"]);
    lone.nothing_left();
}

/// A guard that is gone when the lookup comes lets everybody in, as it would have without the lookup.
#[test]
fn a_lookup_for_a_guard_that_is_gone() {
    let mut lone = lone(elsewhere(Elsewhere::default()));
    lone.receive_text(&asked(1, "MESSAGE", ""), "");
    let refusal = lone.sent_response(401);
    lone.receive_text(&answered(&refusal, 2, "alice", "secret"), "");
    let found = look_up(&mut lone);
    lone.tell(|agent, now, _| agent.set_authentication(now, YEAR_2025, None));
    tell(&mut lone, found);
    lone.expect(&["request MESSAGE"]);
}

/// What two servers with one key share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<Used>>>);

/// A nonce and a count of it.
type Used = (Vec<u8>, u32);

impl SharedNonces for Shared {
    fn record(&self, used: &NonceUse, now: Duration) -> Lookup<Use> {
        assert!(used.expires() > now);
        let entry = (used.nonce().as_bytes().to_vec(), used.nc());
        let shared = self.clone();
        Lookup::later(async move {
            let mut all = shared.0.lock().unwrap();
            let known = all.contains(&entry);
            all.push(entry);
            Ok(if known { Use::Repeated } else { Use::First })
        })
    }
}

#[test]
fn servers_of_one_process_share_what_was_used_in_memory() {
    let shared = Arc::new(Mutex::new(UsedNonces::new(100, Duration::ZERO)));
    let mut one = lone(guard().shared_nonces(Arc::clone(&shared)));
    let mut other = lone(guard().shared_nonces(shared));
    one.receive_text(&asked(1, "MESSAGE", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &one.sent_response(401));
    let first = bob.ask(2, Method::Message, "");
    other.receive_text(&first, "");
    other.expect(&["request MESSAGE"]);
    // Somebody recorded it.
    one.receive_text(&first, "");
    one.sent_response(401);
    one.expect(&[]);
    one.receive_text(&bob.ask(3, Method::Message, ""), "");
    one.expect(&["request MESSAGE"]);
}

/// A nonce of one server is good at another with the same key, but not for the same request.
#[test]
fn servers_with_one_key_share_what_was_used() {
    let shared = Shared::default();
    let mut one = lone(guard().shared_nonces(shared.clone()));
    let mut other = lone(guard().shared_nonces(shared));
    one.receive_text(&asked(1, "MESSAGE", ""), "");
    let mut bob = Bob::challenged("alice", "secret", &one.sent_response(401));
    let first = bob.ask(2, Method::Message, "");
    other.receive_text(&first, "");
    let judged = look_up(&mut other);
    tell(&mut other, judged);
    other.expect(&["request MESSAGE"]);
    // Somebody recorded it.
    one.receive_text(&first, "");
    let judged = look_up(&mut one);
    tell(&mut one, judged);
    let refusal = one.sent_response(401);
    assert!(refusal.get::<sip_message::WwwAuthenticate<'_>>().unwrap().unwrap().stale());
    one.expect(&[]);
    one.receive_text(&bob.ask(3, Method::Message, ""), "");
    let judged = look_up(&mut one);
    tell(&mut one, judged);
    one.expect(&["request MESSAGE"]);
}
