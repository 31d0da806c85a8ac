//! Publications, wired to transactions and timers (RFC 3903 §4, §5). The machine has tests of its own.

use std::sync::Arc;

use sip_message::{Message, Method, Request};
use sip_transport::locate::Zone;
use sip_ua::{
    Account, AgentConfig, AgentError, Body, Credentials, PublicationKey, PublicationWish,
};

use crate::harness::*;

const PRESENTITY: &str = "sip:presentity@192.0.2.2";

fn wish(state: &str) -> PublicationWish {
    PublicationWish::new(PRESENTITY.parse().unwrap(), "presence", Body::text(state))
}

fn account() -> Arc<Account> {
    let account = Account::new("sip:alice@192.0.2.1".parse().unwrap());
    Arc::new(account.credentials(Credentials::new("alice", "secret")))
}

fn publish(lone: &mut Lone, wish: PublicationWish) -> PublicationKey {
    lone.tell(|agent, now, tx| agent.publish(now, tx, &account(), wish)).unwrap()
}

fn modify(lone: &mut Lone, key: PublicationKey, state: &str) {
    let state = Body::text(state);
    lone.tell(|agent, now, tx| agent.modify_publication(now, tx, key, state)).unwrap();
}

fn unpublish(lone: &mut Lone, key: PublicationKey) {
    lone.tell(|agent, now, tx| agent.unpublish(now, tx, key)).unwrap();
}

/// The PUBLISH that was sent: which entity-tag it names, for how long, and what state.
#[track_caller]
fn sent(lone: &mut Lone, tag: Option<&str>, expires: &str, state: &str) -> Request {
    let request = lone.sent_request(Method::Publish);
    assert_eq!(request.uri().unwrap().as_str(), PRESENTITY);
    assert_eq!(header(request.headers(), "Event"), Some("presence"));
    assert_eq!(header(request.headers(), "SIP-If-Match"), tag);
    assert_eq!(header(request.headers(), "Expires"), Some(expires));
    assert_eq!(std::str::from_utf8(request.body()).unwrap(), state);
    assert!(request.headers().to_tag().is_none() && header(request.headers(), "Contact").is_none());
    request
}

fn granted(lone: &mut Lone, request: &Request, tag: &str, expires: &str) {
    lone.answer(request, 200, "e", &[("SIP-ETag", tag), ("Expires", expires)]);
}

// RFC 3903 §15: M5 to M12, and the removal.
#[test]
fn published_refreshed_modified_and_removed() {
    let mut lone = Lone::new();
    // RFC 3903 §4.2: no entity-tag, and the state.
    let key = publish(&mut lone, wish("open"));
    let request = sent(&mut lone, None, "3600", "open");
    granted(&mut lone, &request, "dx200xyz", "1800");
    lone.expect(&["Published { expires: 1800s }"]);
    assert_eq!(lone.live().publications, 1);

    lone.run(secs(1300));
    lone.expect_sent(&[]);
    while !lone.has_sent() {
        lone.run(secs(1));
    }
    // RFC 3903 §4.3: the tag that came, and no state.
    let request = sent(&mut lone, Some("dx200xyz"), "3600", "");
    granted(&mut lone, &request, "kwj449x", "1800");
    lone.expect(&["Published { expires: 1800s }"]);

    modify(&mut lone, key, "busy");
    // RFC 3903 §4.1 and RFC 3903 §4.4: the tag that came, and the state.
    let request = sent(&mut lone, Some("kwj449x"), "3600", "busy");
    // One at a time: what changes meanwhile goes with the next, the latest of it.
    modify(&mut lone, key, "away");
    modify(&mut lone, key, "closed");
    lone.expect_sent(&[]);
    granted(&mut lone, &request, "qwi982ks", "3600");
    let request = sent(&mut lone, Some("qwi982ks"), "3600", "closed");
    granted(&mut lone, &request, "last", "3600");
    lone.expect(&["Published { expires: 3600s }", "Published { expires: 3600s }"]);

    unpublish(&mut lone, key);
    // RFC 3903 §4.5: the tag, Expires 0, and no state.
    let request = sent(&mut lone, Some("last"), "0", "");
    granted(&mut lone, &request, "gone", "0");
    lone.expect(&["Removed { confirmed: true }"]);
    let gone = lone.tell(|agent, now, tx| agent.unpublish(now, tx, key));
    assert!(matches!(gone, Err(AgentError::Gone)));
    lone.nothing_left();
}

// RFC 3903 §5, and RFC 3261 §22 before that.
#[test]
fn what_answers_lead_to() {
    let mut lone = Lone::new();
    let key = publish(&mut lone, wish("open"));
    let first = sent(&mut lone, None, "3600", "open");
    let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
    lone.answer(&first, 407, "e", &[("Proxy-Authenticate", challenge)]);
    let request = sent(&mut lone, None, "3600", "open");
    assert!(header(request.headers(), "Proxy-Authorization").is_some());
    assert_eq!(request.headers().call_id(), first.headers().call_id());
    assert_eq!(request.headers().cseq().unwrap().number, 2);
    lone.answer(&request, 423, "e", &[("Min-Expires", "7200")]);
    let request = sent(&mut lone, None, "7200", "open");
    assert!(header(request.headers(), "Proxy-Authorization").is_some(), "it knows by now");
    granted(&mut lone, &request, "a", "7200");
    lone.expect(&["Published { expires: 7200s }"]);

    // The compositor has lost it.
    modify(&mut lone, key, "busy");
    let request = sent(&mut lone, Some("a"), "7200", "busy");
    lone.answer(&request, 412, "e", &[]);
    let request = sent(&mut lone, None, "7200", "busy");
    lone.answer(&request, 503, "e", &[("Retry-After", "100")]);
    lone.expect(&["Failed { status: Some(StatusCode(503)), retry_in: Some(100s) }"]);
    lone.run(secs(99));
    lone.expect_sent(&[]);
    lone.run(secs(1));
    let request = sent(&mut lone, None, "7200", "busy");
    granted(&mut lone, &request, "b", "7200");
    lone.expect(&["Published { expires: 7200s }"]);

    // It says nothing to the removal: the state runs out.
    unpublish(&mut lone, key);
    lone.run(secs(33));
    lone.expect(&["Removed { confirmed: false }"]);
    lone.sent();
    lone.nothing_left();

    // And one that will never take it.
    publish(&mut lone, wish("open"));
    let request = sent(&mut lone, None, "3600", "open");
    lone.answer(&request, 489, "e", &[]);
    lone.expect(&["Failed { status: Some(StatusCode(489)), retry_in: None }"]);
    lone.nothing_left();
}

// RFC 3903 §4: of one Request-URI one at a time.
#[test]
fn two_of_one_address_take_turns() {
    let mut lone = Lone::new();
    let phone = publish(&mut lone, wish("phone"));
    let desk = publish(&mut lone, wish("desk"));
    let car = publish(&mut lone, wish("car"));
    let request = sent(&mut lone, None, "3600", "phone");
    // What is removed before its turn is published once, and then removed.
    unpublish(&mut lone, car);
    modify(&mut lone, desk, "desk, away");
    granted(&mut lone, &request, "a", "3600");
    let request = sent(&mut lone, None, "3600", "desk, away");
    modify(&mut lone, phone, "phone, away");
    lone.expect_sent(&[]);
    // One that has no answer holds nobody up for longer than its transaction.
    lone.run(secs(33));
    assert!(lone.has_sent());
    let next = lone.sent().into_iter().rev().find_map(|(_, message)| match message {
        Message::Request(request) if request.body() != &b"desk, away"[..] => Some(request),
        _ => None,
    });
    let next = next.expect("the next one");
    assert_eq!(next.body(), &b"car"[..]);
    drop(request);
    granted(&mut lone, &next, "c", "3600");
    let sent_now: Vec<Vec<u8>> = lone
        .sent()
        .into_iter()
        .map(|(_, message)| match message {
            Message::Request(request) => {
                let tag = header(request.headers(), "SIP-If-Match").map(str::to_owned);
                assert!(tag.is_some());
                request.body().to_vec()
            }
            Message::Response(_) => panic!("a response"),
        })
        .collect();
    assert_eq!(sent_now, [b"".to_vec()], "the removal of the third, and then the others");
    // Another address waits for nobody.
    let mut other = wish("other");
    other.to = "sip:other@192.0.2.2".parse().unwrap();
    publish(&mut lone, other);
    assert!(lone.has_sent());
}

#[test]
fn the_number_of_publications_is_limited() {
    let mut lone = Lone::with(AgentConfig::default().max_publications(1));
    let key = publish(&mut lone, wish("open"));
    let full = lone.tell(|agent, now, tx| agent.publish(now, tx, &account(), wish("two")));
    assert!(matches!(full, Err(AgentError::Full { what: "publications" })));
    let mut none = wish("three");
    none.event = "no event".into();
    let request = sent(&mut lone, None, "3600", "open");
    lone.answer(&request, 404, "e", &[]);
    lone.expect(&["Failed { status: Some(StatusCode(404)), retry_in: None }"]);
    let refused = lone.tell(|agent, now, tx| agent.publish(now, tx, &account(), none));
    assert!(matches!(refused, Err(AgentError::Address)));
    let gone = lone.tell(|agent, now, tx| agent.modify_publication(now, tx, key, Body::text("x")));
    assert!(matches!(gone, Err(AgentError::Gone)));
    lone.nothing_left();
}

// RFC 3263 §4.3: the next server, when one cannot be reached.
#[test]
fn the_next_server_takes_it() {
    let mut lone = Lone::new();
    lone.zone = Zone::default()
        .host("example.com", "192.0.2.8".parse().unwrap())
        .host("example.com", "192.0.2.9".parse().unwrap());
    let mut wish = wish("open");
    wish.to = "sip:presentity@example.com:5060".parse().unwrap();
    publish(&mut lone, wish);
    let (first, _) = lone.sent().remove(0);
    lone.run(secs(33));
    let servers: Vec<_> = lone.sent().into_iter().map(|(to, _)| to).collect();
    let second = servers.iter().find(|to| **to != first).expect("another server");
    assert_ne!(first.ip(), second.ip());
}
