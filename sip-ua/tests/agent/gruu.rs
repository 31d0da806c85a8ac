//! GRUUs of the user agent (RFC 5627): learned by registration, named by Contact.

use std::sync::Arc;

use sip_message::{Method, Privacy, Request};
use sip_ua::{Account, AgentConfig, RegistrationKey};

use crate::harness::*;
use crate::incoming::request;

const URN: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const PUBLIC: &str = "sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const TEMPORARY: &str = "sip:tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5@example.com;gr";

fn account() -> Account {
    Account::new("sip:alice@example.com".parse().unwrap())
        .outbound_proxy("sip:192.0.2.2;lr".parse().unwrap())
        .instance(URN)
}

fn private() -> Account {
    account().private(Privacy::new(["id"]).unwrap())
}

fn registers(lone: &mut Lone) -> (RegistrationKey, Request) {
    let account = Arc::new(account());
    let key = lone.tell(|agent, now, tx| agent.register(now, tx, &account)).unwrap();
    (key, lone.sent_request(Method::Register))
}

fn granted(lone: &mut Lone, register: &Request, gruus: &str, expires: u32) {
    let contact = format!(
        "<sip:other@192.0.2.9>;+sip.instance=\"<urn:uuid:1>\";pub-gruu=\"sip:x@example.com;gr=1\",\
         <sip:alice@192.0.2.1:5060>;+sip.instance=\"<{URN}>\"{gruus};expires={expires}"
    );
    lone.answer(register, 200, "r", &[("Contact", &contact)]);
}

fn both() -> String {
    format!(";pub-gruu=\"{PUBLIC}\";temp-gruu=\"{TEMPORARY}\"")
}

fn registered() -> (Lone, RegistrationKey) {
    let mut lone = Lone::with(AgentConfig::default().gruu(true));
    let (key, register) = registers(&mut lone);
    // RFC 5627 §4.1: "The value of that header field MUST include
    // "gruu" as one of the option tags."
    assert!(header(register.headers(), "Supported").unwrap().contains("gruu"));
    let contact = header(register.headers(), "Contact").unwrap();
    assert!(contact.contains(&format!(";+sip.instance=\"<{URN}>\"")), "{contact}");
    granted(&mut lone, &register, &both(), 3600);
    lone.take();
    (lone, key)
}

/// The Contact of a call that is placed.
fn contact_of_call(lone: &mut Lone, account: Account) -> String {
    let call = to_bob();
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &Arc::new(account), call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    let contact = header(invite.headers(), "Contact").unwrap().to_owned();
    lone.answer(&invite, 486, "b", &[]);
    lone.sent();
    lone.take();
    let _ = lone.tell(|agent, now, tx| agent.hang_up(now, tx, key));
    contact
}

// RFC 5627 §4.4: "A UA SHOULD use a GRUU when populating the Contact header field of
// dialog-forming and target refresh requests and responses."
#[test]
fn calls_name_the_public_gruu_and_private_ones_the_temporary() {
    let (mut lone, _) = registered();
    assert_eq!(contact_of_call(&mut lone, account()), format!("<{PUBLIC}>"));
    assert_eq!(contact_of_call(&mut lone, private()), format!("<{TEMPORARY}>"));
    // Another address-of-record, or another device, has none.
    let other = Account::new("sip:bob@example.com".parse().unwrap())
        .outbound_proxy("sip:192.0.2.2;lr".parse().unwrap())
        .instance(URN);
    assert_eq!(contact_of_call(&mut lone, other), "<sip:bob@192.0.2.1:5060>");
    // A call that comes in, and a change of it.
    lone.tell(|agent, _, _| agent.set_account(Some(Arc::new(account()))));
    lone.receive_text(&request("INVITE", 1, ""), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    assert_eq!(header(ok.headers(), "Contact"), Some(&*format!("<{PUBLIC}>")));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&crate::incoming::in_dialog("ACK", 1, &tag, ""), "");
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let change = lone.sent_request(Method::Invite);
    assert_eq!(header(change.headers(), "Contact"), Some(&*format!("<{PUBLIC}>")));
    // A subscription.
    let wish = sip_ua::SubscriptionWish::new("sip:bob@192.0.2.2".parse().unwrap(), "presence");
    lone.tell(|agent, now, tx| agent.subscribe(now, tx, &Arc::new(account()), wish)).unwrap();
    let subscribe = lone.sent_request(Method::Subscribe);
    assert_eq!(header(subscribe.headers(), "Contact"), Some(&*format!("<{PUBLIC}>")));
}

// RFC 5626 §4.3: "If the UAC is not using
// such a GRUU, then the UAC adds an "ob" parameter to its Contact
// header field value."
#[test]
fn one_of_the_two_is_enough_and_ob_is_not_needed() {
    let (mut lone, _) = registered();
    let outbound = account().outbound(URN, 1);
    assert_eq!(contact_of_call(&mut lone, outbound), format!("<{PUBLIC}>"));
    let (_, register) = registers(&mut lone);
    granted(&mut lone, &register, &format!(";temp-gruu=\"{TEMPORARY}\""), 3600);
    assert_eq!(contact_of_call(&mut lone, account()), format!("<{TEMPORARY}>"));
    let (_, register) = registers(&mut lone);
    granted(&mut lone, &register, &format!(";pub-gruu=\"{PUBLIC}\""), 3600);
    assert_eq!(contact_of_call(&mut lone, private()), "<sip:anonymous@192.0.2.1:5060>");
    let (_, register) = registers(&mut lone);
    granted(&mut lone, &register, ";pub-gruu=\"nonsense\";temp-gruu", 3600);
    assert_eq!(contact_of_call(&mut lone, account()), "<sip:alice@192.0.2.1:5060>");
}

// RFC 5627 §4.4: "It MUST NOT reuse a GRUU learned
// through a previous registration that has lapsed (in other words, one
// obtained when registering a contact that has expired)."
#[test]
fn without_the_registration_there_is_no_gruu() {
    let (mut lone, key) = registered();
    lone.tell(|agent, now, tx| agent.unregister(now, tx, key)).unwrap();
    let register = lone.sent_request(Method::Register);
    lone.answer(&register, 200, "r", &[]);
    lone.take();
    assert_eq!(contact_of_call(&mut lone, account()), "<sip:alice@192.0.2.1:5060>");
    // It lapses while refreshes are refused. RFC 5627 §4.2: "A non-2xx response to the REGISTER request has no impact on any
    // existing GRUUs previously provided to the UA."
    let (mut lone, key) = registered();
    lone.tell(|agent, now, tx| agent.refresh(now, tx, key)).unwrap();
    let register = lone.sent_request(Method::Register);
    lone.answer(&register, 500, "r", &[]);
    assert_eq!(contact_of_call(&mut lone, account()), format!("<{PUBLIC}>"));
    lone.run(secs(3700));
    lone.sent();
    assert_eq!(contact_of_call(&mut lone, account()), "<sip:alice@192.0.2.1:5060>");
}

// RFC 5627 §4.2: "If a UA changed
// its Call-ID in this REGISTER request compared to a previous REGISTER
// request for the same contact or reg-id, the UA MUST discard all
// temporary GRUUs learned through prior REGISTER responses."
#[test]
fn under_another_call_id_the_temporary_gruu_is_void() {
    let (mut lone, key) = registered();
    lone.tell(|agent, now, tx| agent.refresh(now, tx, key)).unwrap();
    let refresh = lone.sent_request(Method::Register);
    assert_eq!(contact_of_call(&mut lone, private()), format!("<{TEMPORARY}>"));
    granted(&mut lone, &refresh, &both(), 3600);
    let (_, again) = registers(&mut lone);
    assert_ne!(again.headers().call_id(), refresh.headers().call_id());
    assert_eq!(contact_of_call(&mut lone, private()), "<sip:anonymous@192.0.2.1:5060>");
    assert_eq!(contact_of_call(&mut lone, account()), format!("<{PUBLIC}>"));
    granted(&mut lone, &again, &both(), 3600);
    assert_eq!(contact_of_call(&mut lone, private()), format!("<{TEMPORARY}>"));
}

#[test]
fn who_does_not_ask_gets_none() {
    let mut lone = Lone::new();
    let (_, register) = registers(&mut lone);
    assert!(!header(register.headers(), "Supported").unwrap().contains("gruu"));
    granted(&mut lone, &register, &both(), 3600);
    assert_eq!(contact_of_call(&mut lone, account()), "<sip:alice@192.0.2.1:5060>");
}
