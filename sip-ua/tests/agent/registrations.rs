//! Registrations, wired to transactions and timers (RFC 3261 §10.2). The machine has tests of its own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use sip_message::{Message, Method, Request, Transport};
use sip_transaction::{Config, Endpoint, Output};
use sip_transport::locate::Zone;
use sip_transport::{ConnectionId, Destination, Flow, Input, ListenerId, Local, Locals};
use sip_ua::{Account, Agent, AgentConfig, AgentError, Credentials, RegistrationKey};

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

/// RFC 3261 §10.2.3.
#[test]
fn the_bindings_are_asked_for() {
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .registrar("sip:192.0.2.2".parse().unwrap())
        .credentials(Credentials::new("alice", "secret"));
    let account = Arc::new(account);
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.bindings(now, tx, &account)).unwrap();
    let query = lone.sent_request(Method::Register);
    assert_eq!(query.uri().unwrap().as_str(), "sip:192.0.2.2");
    assert_eq!(header(query.headers(), "To"), Some("<sip:alice@example.com>"));
    assert_eq!(header(query.headers(), "Contact"), None);
    let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
    lone.answer(&query, 401, "r", &[("WWW-Authenticate", challenge)]);
    let query = lone.sent_request(Method::Register);
    assert_eq!(query.uri().unwrap().as_str(), "sip:192.0.2.2");
    assert!(header(query.headers(), "Authorization").is_some());
    let bound = "<sip:alice@192.0.2.7>;expires=600, <sip:alice@192.0.2.8>;expires=60";
    lone.answer(&query, 200, "r", &[("Contact", bound)]);
    let events = lone.take();
    let [sip_ua::AgentEvent::Response { result: Ok(answer), .. }] = &*events else {
        panic!("{events:?}")
    };
    assert_eq!(answer.get_all::<sip_message::Contact<'_>>().count(), 2);
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

/// RFC 5626 §11.5: "If an endpoint
/// receives a 430 response, it should treat it as a 400 (Bad Request)
/// per normal procedures"
#[test]
fn flow_failed_is_a_refusal_as_any() {
    let mut lone = Lone::new();
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 430, "e", &[]);
    lone.expect_sent(&["ACK"]);
    lone.expect(&["ended: rejected with 430 Flow Failed"]);

    // A registration finds its server anew, after a wait.
    let (_, register) = register(&mut lone);
    let outbound = [("Contact", "<sip:alice@192.0.2.1:5060>;expires=600")];
    lone.answer(&register, 200, "r", &outbound);
    lone.take();
    lone.run(secs(550));
    let (_, Message::Request(refresh)) = lone.sent().remove(0) else { panic!() };
    lone.answer(&refresh, 430, "r", &[]);
    let failed = words(&lone.take()[0]);
    assert!(failed.starts_with("Failed { reason: Status(StatusCode(430)"), "{failed}");
    assert!(failed.contains("retry_in: Some("), "{failed}");
    lone.sent();
    lone.run(secs(61));
    assert!(lone.has_sent(), "tried again");
}

/// RFC 5626 §4.2.2: the connection of the flow may just have closed. Then a new one is dialled, and who takes it
/// has to prove the domain that was asked for.
#[test]
fn a_refresh_over_a_flow_of_tls_names_the_domain_to_be_proven() {
    let local = Local::new(ListenerId::new(0), Transport::Tls, "192.0.2.1:5061".parse().unwrap());
    let now = Instant::now();
    let agent = Agent::new(AgentConfig::default(), [1, 2]);
    let config = Config::default().seed([1, 2]);
    let mut end = Endpoint::new(config, Locals::new([local]), now, agent).unwrap();
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .registrar("sip:example.com;transport=tls".parse().unwrap())
        .outbound("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1);
    let key = end.with(now, |agent, tx| agent.register(now, tx, &Arc::new(account))).unwrap();
    let zone = Zone::default().host("example.com", "192.0.2.9".parse().unwrap());
    let sent = |end: &mut Endpoint<Agent>| loop {
        match end.poll_output().expect("something to do") {
            Output::Resolve { id, number, question } => {
                let result = zone.answer(&question);
                end.handle_input(now, Input::Resolved { id, number, result });
            }
            Output::Transmit(transmit) => return transmit,
            _ => {}
        }
    };
    let first = sent(&mut end);
    assert_eq!(first.domain.as_deref(), Some("example.com"));
    let Message::Request(register) = parse(&first.payload) else { panic!() };
    let flow = Flow {
        transport: Transport::Tls,
        listener: ListenerId::new(0),
        connection: Some(ConnectionId::new(NonZeroU32::MIN)),
        remote: "192.0.2.9:5061".parse().unwrap(),
    };
    let contact = header(register.headers(), "Contact").unwrap().to_owned();
    let headers = [("Contact", contact.as_str()), ("Require", "outbound")];
    let payload = response(&register, 200, "r", &headers);
    end.handle_input(now, Input::Message { flow, payload });
    end.with(now, |agent, tx| agent.refresh(now, tx, key)).unwrap();
    let refresh = sent(&mut end);
    let Destination::Target(target) = refresh.destination else { panic!("{refresh:?}") };
    assert_eq!((target.connection, target.remote), (flow.connection, flow.remote));
    assert_eq!(refresh.domain.as_deref(), Some("example.com"));
}

/// The Contact of the REGISTER that follows a challenge whose Via shows another address.
fn contact_after_being_seen(local: Local, account: Account, seen: &str) -> String {
    let now = Instant::now();
    let agent = Agent::new(AgentConfig::default(), [1, 2]);
    let config = Config::default().seed([1, 2]);
    let transport = local.transport;
    let mut end = Endpoint::new(config, Locals::new([local]), now, agent).unwrap();
    end.with(now, |agent, tx| agent.register(now, tx, &Arc::new(account))).unwrap();
    let sent = |end: &mut Endpoint<Agent>| match end.poll_output() {
        Some(Output::Transmit(transmit)) => match parse(&transmit.payload) {
            Message::Request(register) => register,
            Message::Response(_) => panic!("a response"),
        },
        other => panic!("{other:?}"),
    };
    let mut register = sent(&mut end);
    sip_transport::stamp(&mut register, seen.parse().unwrap());
    let challenge = [("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")];
    let payload = response(&register, 401, "r", &challenge);
    let (remote, listener) = ("192.0.2.9:5060".parse().unwrap(), ListenerId::new(0));
    let connection = transport.is_reliable().then(|| ConnectionId::new(NonZeroU32::MIN));
    let flow = Flow { transport, listener, connection, remote };
    end.handle_input(
        now,
        match connection {
            Some(_) => Input::Message { flow, payload },
            None => Input::Datagram { flow, payload },
        },
    );
    let again = sent(&mut end);
    header(again.headers(), "Contact").unwrap().split(['<', '>']).nth(1).unwrap().to_owned()
}

#[test]
fn a_name_that_was_given_is_not_replaced_by_what_others_see() {
    let local =
        |transport, addr: &str| Local::new(ListenerId::new(0), transport, addr.parse().unwrap());
    let account = |by: &str| {
        Account::new("sip:alice@example.com".parse().unwrap())
            .registrar(format!("sip:192.0.2.9{by}").parse().unwrap())
            .credentials(Credentials::new("alice", "secret"))
    };
    let (udp, seen) = (|| local(Transport::Udp, "10.0.0.2:5060"), "203.0.113.1:20001");
    let contact = contact_after_being_seen;
    assert_eq!(contact(udp(), account(""), seen), "sip:alice@203.0.113.1:20001");
    assert_eq!(contact(udp(), account(""), "[2001:db8::1]:7"), "sip:alice@[2001:db8::1]:7");
    // What nobody has translated stays as it is.
    assert_eq!(contact(udp(), account(""), "10.0.0.2:5060"), "sip:alice@10.0.0.2:5060");

    let advertised = udp().with_sent_by("sip.example.com:5070");
    assert_eq!(contact(advertised, account(""), seen), "sip:alice@sip.example.com:5070");
    let off = account("").learn_contact(false);
    assert_eq!(contact(udp(), off, seen), "sip:alice@10.0.0.2:5060");
    let own = account("").contact("sip:alice@pbx.example.com".parse().unwrap());
    assert_eq!(contact(udp(), own, seen), "sip:alice@pbx.example.com");
    let flow = account("").outbound("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1);
    assert_eq!(contact(udp(), flow, seen), "sip:alice@10.0.0.2:5060");

    // Over a stream another port of our own host is that of the connection, while others may connect to us.
    let tcp = || local(Transport::Tcp, "10.0.0.2:5060");
    let by_tcp = account(";transport=tcp");
    let same_host = contact(tcp(), by_tcp.clone(), "10.0.0.2:40000");
    assert_eq!(same_host, "sip:alice@10.0.0.2:5060;transport=tcp");
    let dialled = contact(tcp().dial_only(), by_tcp.clone(), "10.0.0.2:40000");
    assert_eq!(dialled, "sip:alice@10.0.0.2:40000;transport=tcp");
    let behind = contact(tcp(), by_tcp, seen);
    assert_eq!(behind, "sip:alice@203.0.113.1:20001;transport=tcp");
}
