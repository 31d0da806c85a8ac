//! Connected identity (RFC 4916): From changes in a dialog, which goes on by its tags.

use std::sync::Arc;

use sip_message::{Method, NameAddr, Privacy, StatusCode};
use sip_ua::{Account, AgentConfig, AgentError};

use crate::harness::*;
use crate::incoming::{established, in_dialog, request};

fn willing() -> AgentConfig {
    AgentConfig::default().connected_identity(true)
}

fn carol() -> Account {
    Account::new("sip:carol@example.com".parse().unwrap()).display_name("Carol")
}

/// A call of Bob's, who supports that, is answered by this account; its To tag.
fn answered_by(account: Account, more: &str) -> (Lone, String) {
    let mut lone = Lone::with(willing());
    lone.tell(|agent, _, _| agent.set_account(Some(Arc::new(account))));
    lone.receive_text(&request("INVITE", 1, more), "");
    let call = lone.last_invitation.unwrap();
    lone.tell(|agent, now, tx| agent.accept(now, tx, call, Some(&sdp()), &[])).unwrap();
    let ok = lone.sent_response(200);
    // RFC 4916 §4.2: "After receiving an INVITE request, a UA compliant with this
    // specification MUST include the "from-change" option tag in the
    // Supported header field of any dialog-forming response."
    assert!(header(ok.headers(), "Supported").unwrap().contains("from-change"));
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.receive_text(&in_dialog("ACK", 1, &tag, ""), "");
    lone.expect(&["invitation", "confirmed"]);
    (lone, tag)
}

const SUPPORTED: &str = "Supported: from-change\nAllow: INVITE, ACK, BYE, UPDATE";

// RFC 4916 §4.2: "In either case, the UPDATE request MUST contain the
// callee's (or potential callee's) identity in the URI of the From
// header field (or an anonymous identity if anonymity is required)."
#[test]
fn the_caller_is_told_who_has_answered() {
    for (account, who) in [
        (carol(), "\"Carol\" <sip:carol@example.com>"),
        (
            carol().private(Privacy::new(["id"]).unwrap()),
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        ),
    ] {
        let (mut lone, tag) = answered_by(account, SUPPORTED);
        let call = lone.last_invitation.unwrap();
        let update = lone.sent_request(Method::Update);
        let from = format!("{who};tag={tag}");
        assert_eq!(header(update.headers(), "From"), Some(&*from));
        assert_eq!(header(update.headers(), "To"), Some("<sip:bob@192.0.2.2>;tag=b"));
        assert!(update.body().is_empty());
        lone.answer(&update, 200, "", &[("Contact", "<sip:bob@192.0.2.2>")]);
        lone.expect(&[]);
        // RFC 4916 §4.4.1: "the UA MUST send the same URI in the From header field of any future
        // requests on the same dialog, unless the identity changes again."
        lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
        let bye = lone.sent_request(Method::Bye);
        assert_eq!(header(bye.headers(), "From"), Some(&*from));
        lone.answer(&bye, 200, "", &[]);
        lone.take();
        lone.nothing_left();
    }
}

#[test]
fn a_caller_that_does_not_want_to_know_is_not_told() {
    for more in ["Allow: INVITE, ACK, BYE, UPDATE", "Supported: timer, from-changes"] {
        let (mut lone, _) = answered_by(carol(), more);
        assert!(!lone.has_sent(), "{more}");
        let call = lone.last_invitation.unwrap();
        let dora = NameAddr::new(&"sip:dora@example.com".parse().unwrap());
        let refused = lone.tell(|agent, now, tx| agent.change_identity(now, tx, call, &dora));
        assert!(matches!(refused, Err(AgentError::NoFromChange)), "{refused:?}");
    }
}

// RFC 4916 §4.4.1: "If the UAC
// receives a 428, 436, 437, or 438 response to a mid-dialog request it
// SHOULD regard the dialog as terminated in the case of a dialog-
// terminating request and SHOULD take no action in the case of any
// other request."
#[test]
fn who_we_are_changes_and_a_refusal_of_that_changes_nothing_else() {
    let (mut lone, tag) = answered_by(carol(), SUPPORTED);
    let call = lone.last_invitation.unwrap();
    let update = lone.sent_request(Method::Update);
    let dora = NameAddr::new(&"sip:dora@example.com".parse().unwrap());
    let early = lone.tell(|agent, now, tx| agent.change_identity(now, tx, call, &dora));
    assert!(matches!(early, Err(AgentError::Busy)), "{early:?}");
    lone.answer(&update, 428, "", &[]);
    lone.expect(&[]);
    lone.tell(|agent, now, tx| agent.change_identity(now, tx, call, &dora)).unwrap();
    let update = lone.sent_request(Method::Update);
    let from = format!("<sip:dora@example.com>;tag={tag}");
    assert_eq!(header(update.headers(), "From"), Some(&*from));
    lone.answer(&update, 200, "", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.expect(&[]);
    // RFC 4916 §4.4.1: "the UA MUST be prepared to receive the revised URI in the To
    // header field of subsequent mid-dialog requests and MUST also continue
    // to be prepared to receive the old URI"
    for (cseq, to) in [(2, "<sip:alice@192.0.2.1>"), (3, "<sip:dora@example.com>")] {
        let asked = in_dialog("OPTIONS", cseq, &tag, "").replace("<sip:alice@192.0.2.1>", to);
        lone.receive_text(&asked, "");
        lone.sent_response(200);
    }
}

// RFC 4916 §4.4.2: "If any other final response is sent the UA
// MUST NOT update the remote URI for this dialog."
#[test]
fn the_peer_is_somebody_else_once_that_is_accepted() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    let named = |text: String, name: &str| text.replace("<sip:bob@192.0.2.2>;tag=b", name);
    let dora = "\"Dora\" <sip:dora@example.com>;tag=b";
    // Refused.
    let change = in_dialog("INVITE", 2, &tag, "Content-Type: application/sdp");
    lone.receive_text(&named(change, dora), "v=0\r\no=- 9 9 IN IP4 192.0.2.2\r\ns=-\r\n");
    let no = StatusCode::NOT_ACCEPTABLE_HERE;
    lone.tell(|agent, now, tx| agent.answer_modification(now, tx, call, no, None)).unwrap();
    lone.sent_response(488);
    lone.receive_text(&in_dialog("ACK", 2, &tag, ""), "");
    lone.expect(&["reinvited"]);
    assert_eq!(
        lone.tell(|agent, _, _| agent.address_of_peer(call)).unwrap().as_str(),
        "sip:bob@192.0.2.2"
    );
    // Accepted: by an UPDATE that changes nothing else.
    lone.receive_text(&named(in_dialog("UPDATE", 3, &tag, ""), dora), "");
    let ok = lone.sent_response(200);
    assert!(header(ok.headers(), "From").unwrap().contains("dora"), "as it came");
    lone.expect(&["connected to \"Dora\" <sip:dora@example.com>"]);
    // Without its display name it is nobody else.
    let unnamed = "<sip:dora@example.com>;tag=b";
    lone.receive_text(&named(in_dialog("UPDATE", 4, &tag, ""), unnamed), "");
    lone.sent_response(200);
    lone.expect(&[]);
    // RFC 4916 §4.4.1: "a UA MUST populate the To
    // header field URI with the current value of the remote URI for that dialog"
    lone.tell(|agent, now, tx| agent.hang_up(now, tx, call)).unwrap();
    let bye = lone.sent_request(Method::Bye);
    assert_eq!(
        header(bye.headers(), "To"),
        Some("\"Dora\" <sip:dora@example.com>;tag=b"),
        "the tags are as they were"
    );
}

/// RFC 4916 §5.1 from both ends.
#[test]
fn a_call_is_answered_by_somebody_else() {
    let mut pair = Pair::with(willing(), willing());
    pair.tell(BOB, |agent, _, _| agent.set_account(Some(Arc::new(carol()))));
    let ours = pair.call();
    pair.run(ms(50));
    let theirs = pair.calls[BOB][0];
    pair.tell(BOB, |agent, now, tx| agent.accept(now, tx, theirs, Some(&sdp()), &[])).unwrap();
    pair.run(ms(100));
    pair.expect(ALICE, &["answered", "connected to \"Carol\" <sip:carol@example.com>"]);
    pair.expect(BOB, &["invitation", "confirmed"]);
    let flow =
        ["alice: INVITE", "bob: 200 INVITE", "alice: ACK", "bob: UPDATE", "alice: 200 UPDATE"];
    assert_eq!(pair.flow(), flow);
    let dora = NameAddr::new(&"sip:dora@example.com".parse().unwrap());
    pair.tell(ALICE, |agent, now, tx| agent.change_identity(now, tx, ours, &dora)).unwrap();
    pair.run(ms(50));
    pair.expect(BOB, &["connected to <sip:dora@example.com>"]);
    pair.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, theirs)).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended: the peer hung up"]);
    pair.expect(BOB, &["ended: we hung up"]);
    pair.nothing_left();
}
