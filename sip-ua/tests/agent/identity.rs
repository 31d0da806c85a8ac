//! Who calls, who may know it, and why a call ends.

use std::sync::Arc;

use sip_message::{
    AcceptContact, AnswerMode, Method, PPreferredIdentity, Privacy, Reason, Request, StatusCode,
    UserToUser,
};
use sip_ua::{Account, AgentConfig, AgentEvent, Caller, Sender};

use crate::harness::*;
use crate::incoming::{in_dialog, request};

fn place(lone: &mut Lone, account: Account) -> Request {
    let call = to_bob();
    lone.tell(|agent, now, tx| agent.call(now, tx, &Arc::new(account), call)).unwrap();
    lone.sent_request(Method::Invite)
}

fn account() -> Account {
    Account::new("sip:alice@example.com".parse().unwrap()).display_name("Alice")
}

// RFC 3323 §4.1.1.3: "The full recommended form of the From
// header for anonymity is (note that this From header, like all others,
// MUST contain a valid and unique 'tag=' parameter)"
#[test]
fn a_private_call_names_nobody() {
    let mut lone = Lone::new();
    let known = PPreferredIdentity::new(&"sip:alice@example.com".parse().unwrap());
    let private = account().private(Privacy::new(["id", "critical"]).unwrap()).with(&known);
    let invite = place(&mut lone, private);
    let from = header(invite.headers(), "From").unwrap();
    assert!(from.starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="), "{from}");
    assert_eq!(header(invite.headers(), "Privacy"), Some("id;critical"));
    assert_eq!(header(invite.headers(), "Contact"), Some("<sip:anonymous@192.0.2.1:5060>"));
    assert_eq!(header(invite.headers(), "P-Preferred-Identity"), Some("<sip:alice@example.com>"));
    let caller = Caller::new(&invite, true);
    assert!(caller.is_anonymous() && caller.identity().is_none());
    lone.answer(&invite, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    let ack = lone.sent_request(Method::Ack);
    assert!(header(ack.headers(), "From").unwrap().contains("anonymous.invalid"));
    let events = lone.take();
    let [AgentEvent::Call { call, .. }] = events[..] else { panic!("{events:?}") };
    lone.tell(|agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
    let change = lone.sent_request(Method::Invite);
    assert_eq!(header(change.headers(), "Contact"), Some("<sip:anonymous@192.0.2.1:5060>"));
    assert!(!std::str::from_utf8(&change.to_bytes()).unwrap().contains("alice"));
}

#[test]
fn an_account_says_how_it_wants_to_be_known_and_called_on() {
    let mut lone = Lone::new();
    let preferred = PPreferredIdentity::new(&"tel:+14085264000".parse().unwrap());
    let mobile: AcceptContact<'_> =
        sip_message::Header::parse(b"*;mobility=\"mobile\";require").unwrap();
    let account = Arc::new(account().with(&preferred).with(&mobile));
    let call =
        to_bob().with(&UserToUser::hex(&[0, 255]).unwrap()).with(&AnswerMode::new("Auto").unwrap());
    lone.tell(|agent, now, tx| agent.call(now, tx, &account, call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    assert_eq!(header(invite.headers(), "P-Preferred-Identity"), Some("<tel:+14085264000>"));
    assert_eq!(header(invite.headers(), "Accept-Contact"), Some("*;mobility=\"mobile\";require"));
    let caller = Caller::new(&invite, false);
    assert_eq!(caller.get::<UserToUser<'_>>().unwrap().decoded().unwrap(), [0, 255]);
    assert!(caller.get::<AnswerMode<'_>>().unwrap().is_auto());
    assert_eq!(caller.identity().unwrap().uri().as_str(), "sip:alice@example.com");
    let to = "sip:bob@192.0.2.2".parse().unwrap();
    lone.tell(|agent, now, tx| agent.request(now, tx, &account, Method::Message, &to, None, &[]))
        .unwrap();
    let message = lone.sent_request(Method::Message);
    assert_eq!(header(message.headers(), "P-Preferred-Identity"), Some("<tel:+14085264000>"));
}

fn invited(config: AgentConfig, more: &str) -> (Arc<Request>, bool) {
    let mut lone = Lone::with(config);
    lone.receive_text(&request("INVITE", 1, more), "");
    for event in lone.take() {
        if let AgentEvent::Invitation { request, sender, .. } = event {
            return (request, sender.is_trusted());
        }
    }
    panic!("no invitation");
}

fn neighbour(sender: &Sender) -> bool {
    sender.flow().remote.ip().to_string() == "192.0.2.2"
}

// RFC 3325 §8: "However, if a User Agent Server receives a message from a previous
// element that it does not trust, it MUST NOT use the P-Asserted-
// Identity header field in any way."
#[test]
fn an_asserted_identity_counts_from_those_that_are_trusted() {
    let asserted = "P-Asserted-Identity: \"Carol\" <sip:carol@example.com>, <tel:+15551234>";
    let (request, trusted) = invited(AgentConfig::default(), asserted);
    assert!(!trusted);
    let caller = Caller::new(&request, trusted);
    assert_eq!(caller.asserted().count(), 0);
    assert_eq!(caller.identity().unwrap().uri().user(), Some("bob"));
    let (request, trusted) = invited(AgentConfig::default().trust(Some(neighbour)), asserted);
    let caller = Caller::new(&request, trusted);
    let uris: Vec<String> = caller.asserted().map(|who| who.uri().to_string()).collect();
    assert_eq!(uris, ["sip:carol@example.com", "tel:+15551234"]);
    assert_eq!(caller.identity().unwrap().uri().user(), Some("carol"));
    // What is asserted may still not be shown.
    let private = format!("{asserted}\nPrivacy: id");
    let (request, _) = invited(AgentConfig::default(), &private);
    let caller = Caller::new(&request, true);
    assert!(caller.is_anonymous() && caller.identity().is_none());
    assert_eq!(caller.asserted().count(), 2);
    let (request, _) = invited(AgentConfig::default(), "Privacy: none");
    assert!(!Caller::new(&request, true).is_anonymous());
}

#[test]
fn the_callee_sees_by_which_ways_a_call_came() {
    let more =
        "History-Info: <sip:bob@a.example>;index=1, <sip:b@b.example?Privacy=history>;index=1.1
        History-Info: <sip:c@c.example?Reason=SIP%3Bcause%3D486>;index=1.2;mp=1
        Diversion: <sip:d@d.example>;reason=user-busy
        User-to-User: 56a390;encoding=hex
        History-Info: nonsense";
    let (request, _) = invited(AgentConfig::default(), more);
    let caller = Caller::new(&request, false);
    let history: Vec<String> =
        caller.history().map(|entry| entry.index().unwrap().to_string()).collect();
    assert_eq!(history, ["1", "1.2"], "what is private is nobody's business");
    let diversion = caller.diversions().next().unwrap();
    assert_eq!(diversion.reason().as_deref(), Some("user-busy"));
    assert_eq!(caller.get::<UserToUser<'_>>().unwrap().decoded().unwrap(), [0x56, 0xa3, 0x90]);
}

fn busy() -> Reason<'static> {
    Reason::q850(17).with_text("User busy").unwrap()
}

// RFC 3326 §2: "The
// Reason header field MAY appear in any request within a dialog, in any
// CANCEL request and in any response whose status code explicitly
// allows the presence of this header field."
#[test]
fn why_a_call_is_hung_up_is_told() {
    let said = "because Q.850;cause=17;text=\"User busy\"";
    // BYE.
    let mut pair = Pair::new();
    let (ours, _) = pair.established();
    pair.tell(ALICE, |agent, now, tx| agent.hang_up_with(now, tx, ours, &busy())).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended: we hung up"]);
    pair.expect(BOB, &[said, "ended: the peer hung up"]);
    pair.nothing_left();
    // CANCEL, before any provisional response and after.
    for wait in [0, 30] {
        let mut pair = Pair::new();
        let ours = pair.call();
        pair.run(ms(wait));
        let elsewhere = Reason::sip(StatusCode::OK).with_text("Call completed elsewhere").unwrap();
        pair.tell(ALICE, |agent, now, tx| agent.hang_up_with(now, tx, ours, &elsewhere)).unwrap();
        pair.run(ms(500));
        pair.expect(
            BOB,
            &[
                "invitation",
                "because SIP;cause=200;text=\"Call completed elsewhere\"",
                "ended: cancelled by the caller",
            ],
        );
        pair.expect(ALICE, &["ended: cancelled"]);
        pair.nothing_left();
    }
    // The refusal.
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.hang_up_with(now, tx, theirs, &busy())).unwrap();
    pair.run(ms(50));
    let events = pair.take(ALICE);
    let Some(AgentEvent::Call { update: sip_ua::CallUpdate::Ended(reason), .. }) = events.last()
    else {
        panic!("{events:?}")
    };
    assert_eq!(reason.reasons().first().and_then(Reason::cause), Some(17));
    pair.nothing_left();
}

#[test]
fn reasons_that_cannot_be_read_are_not_told() {
    let mut lone = Lone::new();
    let tag = crate::incoming::established(&mut lone);
    let reasons = format!("Reason: \nReason: ;cause\n{}", "Reason: SIP;cause=200\n".repeat(20));
    lone.receive_text(&in_dialog("BYE", 2, &tag, reasons.trim_end()), "");
    lone.sent_response(200);
    let all = ["SIP;cause=200"; 8].join(", ");
    lone.expect(&[&format!("because {all}"), "ended: the peer hung up"]);
    lone.nothing_left();
}

// RFC 3841 §5: "The Accept-Contact, Reject-Contact, and Request-Disposition header
// fields in an ACK for a non-2xx final response, or in a CANCEL
// request, MUST be equal to the values in the original request being
// acknowledged or cancelled."
#[test]
fn what_the_caller_prefers_is_said_again_by_cancel_and_ack() {
    let preferences = [
        ("Accept-Contact", "*;mobility=\"mobile\";require"),
        ("Reject-Contact", "*;actor=\"msg-taker\""),
        ("Request-Disposition", "no-fork, queue"),
    ];
    let mut lone = Lone::new();
    let call = preferences.iter().fold(to_bob(), |call, (name, value)| call.header(*name, *value));
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &Arc::new(account()), call)).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 180, "b", &[]);
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, key)).unwrap();
    let cancel = lone.sent_request(Method::Cancel);
    lone.answer(&cancel, 200, "b", &[]);
    lone.answer(&invite, 487, "b", &[]);
    let ack = lone.sent_request(Method::Ack);
    for request in [&invite, &cancel, &ack] {
        for (name, value) in preferences {
            assert_eq!(header(request.headers(), name), Some(value), "{}", request.method());
        }
    }
}
