//! Registrations, wired to transactions and timers (RFC 3261 §10.2). The machine has tests of its own.

use std::sync::Arc;

use sip_message::{Method, Request};
use sip_ua::{Account, AgentConfig, AgentError, Credentials, RegistrationKey};

use crate::harness::*;

fn register(lone: &mut Lone) -> (RegistrationKey, Request) {
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .display_name("Alice")
        .registrar("sip:192.0.2.2".parse().unwrap())
        .credentials(Credentials::new("alice", "secret"));
    let key = lone.tell(|agent, now, tx| agent.register(now, tx, &Arc::new(account))).unwrap();
    (key, lone.sent_request(Method::Register))
}

#[test]
fn a_binding_is_made_refreshed_and_removed() {
    let mut lone = Lone::new();
    let (key, register) = register(&mut lone);
    assert_eq!(register.uri().unwrap().as_str(), "sip:192.0.2.2");
    assert_eq!(header(register.headers(), "To"), Some("\"Alice\" <sip:alice@example.com>"));
    let contact = header(register.headers(), "Contact").unwrap();
    assert!(contact.starts_with("<sip:alice@192.0.2.1:5060>"), "{contact}");

    let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
    lone.answer(&register, 401, "r", &[("WWW-Authenticate", challenge)]);
    let register = lone.sent_request(Method::Register);
    assert_eq!(register.headers().cseq().unwrap().number, 2);
    assert!(header(register.headers(), "Authorization").is_some());
    lone.answer(&register, 200, "r", &[("Contact", "<sip:alice@192.0.2.1:5060>;expires=600")]);
    lone.expect(&["Registered { expires: 600s }"]);
    assert_eq!(lone.live().registrations, 1);

    lone.run(secs(400));
    lone.expect_sent(&[]);
    lone.run(secs(150));
    let sent = lone.sent();
    let sip_message::Message::Request(refresh) = &sent[0].1 else { panic!() };
    assert_eq!(*refresh.method(), Method::Register);
    // Nobody answers: it is repeated, fails, and is tried again.
    lone.run(secs(33));
    let events = lone.take();
    assert!(
        words(&events[0]).starts_with("Failed { reason: TimedOut, retry_in: Some("),
        "{events:?}"
    );
    lone.sent();
    let retry = loop {
        lone.run(secs(1));
        if lone.has_sent() {
            let (_, sip_message::Message::Request(retry)) = lone.sent().remove(0) else { panic!() };
            break retry;
        }
    };
    lone.answer(&retry, 200, "r", &[("Contact", "<sip:alice@192.0.2.1:5060>;expires=600")]);
    lone.expect(&["Registered { expires: 600s }"]);

    lone.tell(|agent, now, tx| agent.refresh(now, tx, key)).unwrap();
    let refresh = lone.sent_request(Method::Register);
    lone.answer(&refresh, 200, "r", &[("Contact", "<sip:alice@192.0.2.1:5060>;expires=600")]);
    lone.expect(&["Registered { expires: 600s }"]);

    lone.tell(|agent, now, tx| agent.unregister(now, tx, key)).unwrap();
    let remove = lone.sent_request(Method::Register);
    assert_eq!(header(remove.headers(), "Expires"), Some("0"));
    lone.answer(&remove, 200, "r", &[]);
    lone.expect(&["Unregistered { confirmed: true }"]);
    assert!(matches!(
        lone.tell(|agent, now, tx| agent.unregister(now, tx, key)),
        Err(AgentError::Gone)
    ));
    lone.nothing_left();
}

#[test]
fn an_abandoned_registration_says_no_more() {
    let mut lone = Lone::new();
    let (key, register) = register(&mut lone);
    lone.answer(&register, 200, "r", &[("Contact", "<sip:alice@192.0.2.1:5060>;expires=600")]);
    lone.expect(&["Registered { expires: 600s }"]);
    lone.tell(|agent, _, tx| agent.abandon(tx, key));
    lone.run(secs(1000));
    lone.expect(&[]);
    lone.expect_sent(&[]);
    lone.nothing_left();
}

#[test]
fn the_number_of_registrations_is_limited() {
    let mut lone = Lone::with(AgentConfig::default().max_registrations(1));
    let (key, _) = register(&mut lone);
    let full = lone.tell(|agent, now, tx| agent.register(now, tx, &alice())).unwrap_err();
    assert!(matches!(full, AgentError::Full { what: "registrations" }), "{full}");
    lone.tell(|agent, _, tx| agent.abandon(tx, key));
    lone.nothing_left();
}

#[test]
fn a_registrar_that_cannot_be_reached_is_tried_again_later() {
    let mut lone = Lone::new();
    let account = Account::new("sip:alice@192.0.2.2;transport=tcp".parse().unwrap());
    let account = account.registrar("sip:192.0.2.2;transport=tcp".parse().unwrap());
    let key = lone.tell(|agent, now, tx| agent.register(now, tx, &Arc::new(account))).unwrap();
    let events = lone.take();
    let words: Vec<String> = events.iter().map(words).collect();
    assert_eq!(words.len(), 1);
    assert!(
        words[0].starts_with("Failed { reason: TransportError(NoListener), retry_in: Some("),
        "{words:?}"
    );
    lone.run(secs(61));
    assert_eq!(lone.take().len(), 1, "and again");
    lone.tell(|agent, now, tx| agent.unregister(now, tx, key)).unwrap();
    lone.expect(&["Unregistered { confirmed: true }"]);
    lone.nothing_left();
}
