//! History-Info (RFC 7044) of calls that are redirected, forwarded and answered.

use std::sync::Arc;

use sip_message::{HeaderName, Method, Privacy, Request, StatusCode};
use sip_ua::{Account, AgentConfig, OutgoingCall};

use crate::harness::*;
use crate::incoming::request;

fn history(headers: &sip_message::Headers) -> String {
    let lines = headers.raw_all(HeaderName::HistoryInfo);
    lines.map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(", ")
}

fn place(lone: &mut Lone, call: OutgoingCall) -> Request {
    lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), call)).unwrap();
    lone.sent_request(Method::Invite)
}

fn next(lone: &mut Lone, invite: &Request, status: u16, headers: &[(&str, &str)]) -> Request {
    lone.answer(invite, status, "b", headers);
    match lone.sent().pop().unwrap().1 {
        sip_message::Message::Request(request) if *request.method() == Method::Invite => request,
        other => panic!("{other:?}"),
    }
}

// RFC 7044 §10.3: "For example, if the
// hi-index in the History-Info header field of the sent request is 1.2 and the response to the
// request is a 302"
// RFC 7044 §6.1: "If the UAC generates further forks of the initial request (either due
// to acting on a 3xx response or internally directed forking to
// multiple destinations), the successive requests will add hi-entries
// with hi-indexes of 2, 3, etc."
#[test]
fn each_address_of_a_redirection_is_added_with_what_came_of_the_one_before() {
    let mut lone = Lone::new();
    let first = place(&mut lone, to_bob().with_history().follow_redirects(5));
    assert_eq!(history(first.headers()), "<sip:bob@192.0.2.2>;index=1");
    let supported = first.headers().raw_all(HeaderName::Supported);
    assert!(supported.into_iter().any(|line| line == b"histinfo"));
    let to = "<sip:c@192.0.2.9>;mp=1, <sip:d@192.0.2.10>;q=0.5;rc=1, <sip:e@192.0.2.11>;q=0.1";
    // What the one that redirects knows besides.
    let more = "<sip:bob@192.0.2.2>;index=1, <sip:bob@10.0.0.1>;index=1.1;rc=1";
    let second = next(&mut lone, &first, 302, &[("Contact", to), ("History-Info", more)]);
    let one =
        "<sip:bob@192.0.2.2?Reason=SIP%3Bcause%3D302>;index=1, <sip:bob@10.0.0.1>;index=1.1;rc=1";
    assert_eq!(history(second.headers()), format!("{one}, <sip:c@192.0.2.9>;index=2;mp=1"));
    let busy = ("Reason", "Q.850;cause=17");
    let third = next(&mut lone, &second, 486, &[busy]);
    let said = history(third.headers());
    let last = "<sip:d@192.0.2.10>;index=3;rc=1";
    assert!(
        said.starts_with(&format!("{one}, <sip:c@192.0.2.9?Reason=SIP%3Bcause%3D486")),
        "{said}"
    );
    assert!(said.contains("Q.850%3Bcause%3D17"), "{said}");
    assert!(said.ends_with(last), "{said}");
    // RFC 7044 §10.2: "If a request has timed out (instead of being explicitly rejected),
    // the SIP entity MUST update the cache as if the request received a SIP
    // error response code of 408 "Request Timeout"."
    lone.run(secs(33));
    let sent = lone.sent();
    let fourth = sent.iter().rev().find_map(|(_, message)| match message {
        sip_message::Message::Request(request) => Some(history(request.headers())),
        sip_message::Message::Response(_) => None,
    });
    let fourth = fourth.unwrap();
    assert!(
        fourth.contains("<sip:d@192.0.2.10?Reason=SIP%3Bcause%3D408>;index=3;rc=1"),
        "{fourth}"
    );
    // RFC 7044 §10.4: "If the Contact header field
    // does not contain an "rc" or "mp" header field parameter, then the SIP
    // entity MUST NOT include an "rc" or "mp" header field parameter"
    assert!(fourth.ends_with("<sip:e@192.0.2.11>;index=4"), "{fourth}");
}

#[test]
fn who_does_not_ask_says_nothing() {
    let mut lone = Lone::new();
    let first = place(&mut lone, to_bob().follow_redirects(5));
    let second = next(&mut lone, &first, 302, &[("Contact", "<sip:c@192.0.2.9>;mp=1")]);
    assert_eq!(history(second.headers()), "");
}

// RFC 7044 §10.1.1: "If the UAC is including any priv-values other than "header" in the
// Privacy header field, then the UAC MUST also include a priv-value
// of "history" in the Privacy header field in the request."
#[test]
fn a_private_call_hides_its_history() {
    for (asked, said) in [("id", "id;history"), ("header", "header"), ("none", "none")] {
        let mut lone = Lone::new();
        let account = Account::new("sip:alice@example.com".parse().unwrap())
            .private(Privacy::new([asked]).unwrap());
        let account = Arc::new(account);
        for (call, said) in [(to_bob().with_history(), said), (to_bob(), asked)] {
            lone.tell(|agent, now, tx| agent.call(now, tx, &account, call)).unwrap();
            let invite = lone.sent_request(Method::Invite);
            assert_eq!(header(invite.headers(), "Privacy"), Some(said));
        }
    }
}

// RFC 7044 §9.4: "If
// the received request contained no hi-entries and there is no
// "histinfo" option tag in the Supported header field, the SIP entity
// MUST NOT include History-Info in the response."
#[test]
fn responses_say_what_is_known() {
    let own = "<sip:alice@192.0.2.1>";
    for (more, said) in [
        ("", String::new()),
        ("Supported: histinfo", format!("{own};index=1")),
        ("History-Info: <sip:alice@192.0.2.1>;index=1.1", format!("{own};index=1.1")),
        (
            "History-Info: <sip:a@example.com>;index=1\nHistory-Info: <sip:b@example.com>;index=1.1;mp=1",
            format!(
                "<sip:a@example.com>;index=1, <sip:b@example.com>;index=1.1;mp=1, {own};index=1.1.0"
            ),
        ),
        // What cannot be read is left out, and hinders nothing.
        ("History-Info: nonsense, <sip:a@example.com>;index=01", format!("{own};index=1")),
    ] {
        let tags = ["replaces", "histinfo"].map(str::to_owned).to_vec();
        for (config, expected) in
            [(AgentConfig::default().supported(tags), &*said), (AgentConfig::default(), "")]
        {
            let mut lone = Lone::with(config);
            lone.receive_text(&request("INVITE", 1, more), "");
            let call = lone.last_invitation.unwrap();
            let busy = StatusCode::BUSY_HERE;
            lone.tell(|agent, now, tx| agent.reject(now, tx, call, busy, &[])).unwrap();
            assert_eq!(history(lone.sent_response(486).headers()), expected, "{more}");
        }
    }
}

/// A call that came in is forwarded: RFC 7044 §9.2.
#[test]
fn a_forwarded_call_goes_on_with_the_history() {
    let mut lone = Lone::new();
    lone.receive_text(&request("INVITE", 1, "History-Info: <sip:x@example.com>;index=1"), "");
    let events = lone.take();
    let sip_ua::AgentEvent::Invitation { request, .. } = &events[0] else { panic!("{events:?}") };
    let before = "<sip:x@example.com>;index=1, <sip:alice@192.0.2.1>;index=1.0";
    for (is_mapped, how) in [(true, "mp"), (false, "rc")] {
        let invite = place(&mut lone, to_bob().with_history_of(request, is_mapped));
        assert_eq!(
            history(invite.headers()),
            format!("{before}, <sip:bob@192.0.2.2>;index=1.0.1;{how}=1.0")
        );
    }
}
