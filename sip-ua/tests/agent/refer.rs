//! REFER and its NOTIFYs from and to a peer that is played by hand: what is malformed, out of place or unwanted.

use sip_message::{HeaderName, Message, Method, Request, StatusCode};
use sip_ua::{AgentConfig, AgentError, AgentEvent, ReferKey};

use super::harness::*;
use super::incoming::{established, in_dialog, request};

const TO_CAROL: &str = "Refer-To: <sip:carol@192.0.2.3>";

fn referral(lone: &mut Lone) -> ReferKey {
    let events = lone.take();
    let [AgentEvent::Referred { refer, .. }] = &events[..] else { panic!("{events:?}") };
    *refer
}

fn report(lone: &mut Lone, refer: ReferKey, status: u16) -> Result<(), AgentError> {
    let status = StatusCode::new(status).unwrap();
    lone.tell(|agent, now, tx| agent.report(now, tx, refer, status))
}

/// The NOTIFY that was sent, answered by this status.
fn notified(lone: &mut Lone, status: u16) -> Request {
    let notify = lone.sent_request(Method::Notify);
    lone.answer(&notify, status, "", &[]);
    notify
}

/// The 200 to the REFER and the first NOTIFY, answered by this status.
fn accepted(lone: &mut Lone, status: u16) {
    let sent = lone.expect_sent(&["200 REFER", "NOTIFY"]);
    let Message::Request(notify) = &sent[1] else { unreachable!() };
    lone.answer(notify, status, "", &[]);
}

// RFC 3515 §2.4.2: "An agent responding to a REFER method MUST return a 400 (Bad Request)
// if the request contained zero or more than one Refer-To header field
// values."
#[test]
fn a_refer_names_one_target() {
    let mut lone = Lone::new();
    for (n, more) in [
        "",
        "Refer-To: <sip:carol@192.0.2.3>\nRefer-To: <sip:dave@192.0.2.4>",
        "Refer-To: <sip:carol@192.0.2.3>\nr: <sip:carol@192.0.2.3>",
        "Refer-To: <sip:carol@192.0.2.3>, <sip:dave@192.0.2.4>",
        "Refer-To: <sip:carol@192.0.2.3",
        "Refer-To:",
    ]
    .into_iter()
    .enumerate()
    {
        lone.receive_text(&request("REFER", n as u32, more), "");
        lone.sent_response(400);
    }
    let tag = established(&mut lone);
    lone.receive_text(&in_dialog("REFER", 2, &tag, ""), "");
    lone.sent_response(400);
    lone.expect(&[]);
    lone.receive_text(&in_dialog("BYE", 3, &tag, ""), "");
    lone.sent_response(200);
    lone.expect(&["ended: the peer hung up"]);
    lone.run(secs(33));
    lone.nothing_left();
}

/// A REFER in no dialog of ours, one whose dialog does not exist, and one that we do not serve.
#[test]
fn a_refer_out_of_nowhere() {
    let mut lone = Lone::new();
    let stale = request("REFER", 1, TO_CAROL).replace("192.0.2.1>", "192.0.2.1>;tag=gone");
    lone.receive_text(&stale, "");
    lone.sent_response(481);
    // RFC 3515 §2.2: it has a Contact, or could make no dialog.
    lone.receive_text(&request("REFER", 3, TO_CAROL).replace("Contact:", "X-Contact:"), "");
    lone.sent_response(400);
    lone.expect(&[]);
    lone.receive_text(&request("REFER", 2, TO_CAROL), "");
    let refer = referral(&mut lone);
    lone.tell(|agent, now, tx| agent.decline(now, tx, refer, StatusCode::DECLINE)).unwrap();
    lone.sent_response(603);
    lone.run(secs(33));
    lone.nothing_left();

    let mut lone = Lone::with(AgentConfig::default().methods(vec![Method::Message]));
    lone.receive_text(&request("REFER", 1, TO_CAROL), "");
    lone.sent_response(405);
    let mut lone = Lone::with(AgentConfig::default().max_refers(1));
    lone.receive_text(&request("REFER", 1, TO_CAROL), "");
    lone.receive_text(&request("REFER", 2, TO_CAROL), "");
    lone.sent_response(503);
    lone.expect(&["referred"]);
}

/// A REFER outside of any dialog makes one, in which its NOTIFYs pass (RFC 3515 §2.4.4).
#[test]
fn a_refer_outside_of_a_dialog() {
    let mut lone = Lone::new();
    lone.receive_text(&request("REFER", 1, TO_CAROL), "");
    let refer = referral(&mut lone);
    let call =
        lone.tell(|agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[])).unwrap();
    let sent = lone.expect_sent(&["200 REFER", "NOTIFY", "INVITE"]);
    let (ok, notify, invite) = (&sent[0], &sent[1], &sent[2]);
    assert!(ok.headers().contains(HeaderName::Contact));
    assert_eq!(notify.headers().from_tag(), ok.headers().to_tag());
    assert_eq!(notify.headers().to_tag(), Some("b"));
    assert_eq!(notify.headers().call_id(), Some("REFER-1"));
    let requests = [notify, invite].map(|message| match message {
        Message::Request(request) => request.clone(),
        Message::Response(_) => unreachable!(),
    });
    assert_eq!(requests[0].uri().unwrap().as_str(), "sip:bob@192.0.2.2");
    assert_eq!(requests[1].uri().unwrap().as_str(), "sip:carol@192.0.2.3");
    lone.answer(&requests[0], 200, "", &[]);
    lone.answer(&requests[1], 486, "c", &[]);
    let sent = lone.expect_sent(&["ACK", "NOTIFY"]);
    let Message::Request(last) = &sent[1] else { unreachable!() };
    lone.answer(last, 200, "", &[]);
    assert_eq!(last.body(), b"SIP/2.0 486 Busy Here\r\n");
    lone.expect(&["ended: rejected with 486 Busy Here"]);
    assert!(lone.tell(|agent, _, _| agent.state(call)).is_none_or(|s| s.to_string() == "over"));
    lone.run(secs(40));
    lone.nothing_left();
}

/// RFC 4538 §4, as RFC 5589 §6.1 has it: a REFER outside of the dialog that knows it is of that call.
#[test]
fn a_refer_with_a_target_dialog_is_of_the_call() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let knows = format!(
        "{TO_CAROL}\nRequire: tdialog\nTarget-Dialog: INVITE-1;local-tag={tag};remote-tag=b"
    );
    lone.receive_text(&request("REFER", 7, &knows), "");
    let guesses = format!("{TO_CAROL}\nTarget-Dialog: INVITE-1;local-tag=x;remote-tag=b");
    lone.receive_text(&request("REFER", 8, &guesses), "");
    lone.expect(&["referred in call", "referred"]);
}

/// What the Refer-To URI asks for beyond a call, and what it may not ask for.
#[test]
fn what_a_refer_to_may_say() {
    let mut lone = Lone::new();
    for (n, target) in
        ["http://www.ietf.org", "tel:+12015550123", "sip:carol@192.0.2.3;method=SUBSCRIBE"]
            .into_iter()
            .enumerate()
    {
        lone.receive_text(&request("REFER", n as u32, &format!("Refer-To: <{target}>")), "");
        let refer = referral(&mut lone);
        let followed = lone.tell(|agent, now, tx| agent.follow(now, tx, refer, None, None, &[]));
        assert!(matches!(followed, Err(AgentError::Address)), "{followed:?}");
        // By hand it can be done.
        report(&mut lone, refer, 200).unwrap();
        accepted(&mut lone, 200);
        assert_eq!(notified(&mut lone, 200).body(), b"SIP/2.0 200 OK\r\n");
        assert!(matches!(report(&mut lone, refer, 200), Err(AgentError::Gone)));
    }
    // A line end in a value makes no second header field: no call, and the referrer is told.
    let evil = "Refer-To: <sip:carol@192.0.2.3?Subject=a%0D%0AX-Evil:%20b>";
    lone.receive_text(&request("REFER", 9, evil), "");
    let refer = referral(&mut lone);
    let followed = lone.tell(|agent, now, tx| agent.follow(now, tx, refer, None, None, &[]));
    assert!(matches!(followed, Err(AgentError::Build(_))), "{followed:?}");
    accepted(&mut lone, 200);
    assert_eq!(notified(&mut lone, 200).body(), b"SIP/2.0 400 Bad Request\r\n");
    // The sender's own header fields are not for others to set; those about the call are.
    let more = "Refer-To: <sip:carol@192.0.2.3?Replaces=7%40a%3Bto-tag%3D1%3Bfrom-tag%3D2\
                &Contact=%3Csip:evil%3E&Route=%3Csip:evil%3E&From=%3Csip:evil%3E>";
    lone.receive_text(&request("REFER", 10, more), "");
    let refer = referral(&mut lone);
    lone.tell(|agent, now, tx| agent.follow(now, tx, refer, None, None, &[])).unwrap();
    let sent = lone.sent();
    let invite = sent.iter().map(|(_, message)| message).find(|m| summary(m) == "INVITE").unwrap();
    assert_eq!(header(invite.headers(), "Replaces"), Some("7@a;to-tag=1;from-tag=2"));
    assert!(!invite.headers().contains(HeaderName::Route));
    assert!(!format!("{invite:?}").contains("evil"));
}

/// RFC 6665 §4.1.3, RFC 3515 §2.4.5: NOTIFYs that fit no REFER of ours, and ones that say nothing.
#[test]
fn notifies_that_do_not_fit() {
    let mut lone = Lone::new();
    let tag = established(&mut lone);
    let call = lone.last_invitation.unwrap();
    let active =
        "Event: refer\nSubscription-State: active;expires=60\nContent-Type: message/sipfrag";
    let trying = "SIP/2.0 100 Trying\r\n";
    lone.receive_text(&in_dialog("NOTIFY", 2, &tag, active), trying);
    lone.sent_response(481);
    let carol = "sip:carol@192.0.2.3".parse().unwrap();
    lone.tell(|agent, now, tx| agent.refer(now, tx, call, &carol, &[])).unwrap();
    let refer = lone.sent_request(Method::Refer);
    // RFC 3515 §2.4.4: "the agent that issued the REFER MUST be prepared to
    // receive a NOTIFY before the REFER transaction completes."
    lone.receive_text(&in_dialog("NOTIFY", 3, &tag, active), trying);
    lone.sent_response(200);
    lone.answer(&refer, 202, "", &[("Contact", "<sip:bob@192.0.2.2>")]);
    let number = refer.headers().cseq().unwrap().number;
    for (cseq, change, status) in [
        (4, ("Event: refer", "Event: refer;id=77".to_owned()), 481),
        (5, ("Event: refer", "Event: refer;id=x".to_owned()), 481),
        (6, ("Event: refer", format!("Event: refer;id={number}")), 200),
        (7, ("message/sipfrag", "text/plain".to_owned()), 415),
        (8, ("Subscription-State: active;expires=60\n", String::new()), 400),
        (9, ("message/sipfrag", "message/sipfrag;version=2.0".to_owned()), 200),
    ] {
        let text = in_dialog("NOTIFY", cseq, &tag, &active.replace(change.0, &change.1));
        lone.receive_text(&text, "SIP/2.0 180 Ringing");
        lone.sent_response(status);
    }
    lone.expect(&[
        "Progress(StatusCode(100))",
        "Progress(StatusCode(180))",
        "Progress(StatusCode(180))",
    ]);
    // Nonsense in the body is no news.
    lone.receive_text(&in_dialog("NOTIFY", 10, &tag, active), "\u{1}\r\n\r\n");
    lone.sent_response(200);
    lone.expect(&[]);
    let last = active.replace("active;expires=60", "terminated;reason=noresource");
    lone.receive_text(&in_dialog("NOTIFY", 11, &tag, &last), "SIP/2.0 200 OK\r\n");
    lone.sent_response(200);
    lone.expect(&["Ended(Reported(StatusCode(200)))"]);
    lone.receive_text(&in_dialog("NOTIFY", 12, &tag, &last), "SIP/2.0 200 OK\r\n");
    lone.sent_response(481);
    lone.receive_text(&in_dialog("BYE", 13, &tag, ""), "");
    lone.sent_response(200);
    lone.expect(&["ended: the peer hung up"]);
    lone.run(secs(40));
    lone.nothing_left();
}

/// The referrer refuses a NOTIFY, or answers none: the reports end and the call goes on (RFC 3515 §2.4.4).
#[test]
fn a_referrer_that_does_not_listen() {
    for answer in [Some(481), None] {
        let mut lone = Lone::new();
        let tag = established(&mut lone);
        lone.receive_text(&in_dialog("REFER", 2, &tag, TO_CAROL), "");
        let refer = referral(&mut lone);
        report(&mut lone, refer, 180).unwrap();
        match answer {
            Some(status) => accepted(&mut lone, status),
            None => {
                lone.run(secs(33));
                lone.sent();
            }
        }
        assert_eq!(lone.live().references, 0);
        lone.expect(&[]);
        assert!(matches!(report(&mut lone, refer, 200), Err(AgentError::Gone)));
        lone.receive_text(&in_dialog("BYE", 3, &tag, ""), "");
        lone.sent_response(200);
        lone.expect(&["ended: the peer hung up"]);
        lone.run(secs(40));
        lone.sent();
        lone.nothing_left();
    }
}

/// The subscription is refreshed and ended as any other (RFC 3515 §2.4.4), and the call goes on.
#[test]
fn a_referrer_unsubscribes() {
    let methods = vec![Method::Refer, Method::Notify, Method::Subscribe];
    let mut lone = Lone::with(AgentConfig::default().methods(methods));
    let tag = established(&mut lone);
    lone.receive_text(&in_dialog("REFER", 2, &tag, TO_CAROL), "");
    let refer = referral(&mut lone);
    report(&mut lone, refer, 180).unwrap();
    accepted(&mut lone, 200);
    notified(&mut lone, 200);
    lone.receive_text(&in_dialog("SUBSCRIBE", 3, &tag, "Event: refer\nExpires: 50"), "");
    let sent = lone.expect_sent(&["200 SUBSCRIBE", "NOTIFY"]);
    assert_eq!(header(sent[0].headers(), "Expires"), Some("50"));
    let Message::Request(refreshed) = &sent[1] else { unreachable!() };
    lone.answer(refreshed, 200, "", &[]);
    assert_eq!(header(refreshed.headers(), "Subscription-State"), Some("active;expires=50"));
    lone.receive_text(&in_dialog("SUBSCRIBE", 4, &tag, "Event: refer;id=9\nExpires: 0"), "");
    lone.sent_response(481);
    lone.receive_text(&in_dialog("SUBSCRIBE", 5, &tag, "Event: refer\nExpires: 0"), "");
    let sent = lone.expect_sent(&["200 SUBSCRIBE", "NOTIFY"]);
    let Message::Request(last) = &sent[1] else { unreachable!() };
    lone.answer(last, 200, "", &[]);
    assert_eq!(header(last.headers(), "Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!(lone.live().references, 0);
    lone.receive_text(&in_dialog("BYE", 6, &tag, ""), "");
    lone.sent_response(200);
    lone.run(secs(40));
    lone.nothing_left();
}
