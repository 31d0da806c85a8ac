//! REFER outside of any dialog: RFC 3515 §4.1, RFC 7647 §4, RFC 4538.

use sip_message::{HeaderName, ReferTo, StatusCode, TargetDialog};
use sip_ua::{AgentConfig, AgentEvent, CallKey, ReferKey};

use super::harness::*;

/// One asks another to call a third.
fn refer(office: &mut Office, who: usize, to: usize, headers: &[(String, String)]) -> ReferKey {
    let target = uri(CAROL);
    let asked = office.tell(who, |agent, now, tx| {
        agent.refer_to(now, tx, &account(who), &uri(to), &target, headers)
    });
    asked.unwrap()
}

/// The REFER that came, and the call that it names.
fn referral(office: &mut Office, who: usize) -> (ReferKey, Option<CallKey>) {
    let events = office.take(who);
    let found = events.iter().find_map(|event| match event {
        AgentEvent::Referred { refer, call, .. } => Some((*refer, *call)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("a REFER came: {events:?}"))
}

fn follow(office: &mut Office, who: usize, refer: ReferKey) {
    office
        .tell(who, |agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[]))
        .unwrap();
}

/// RFC 3515 §4.1: the NOTIFYs pass in a dialog of their own, which the first of them makes.
#[test]
fn without_a_call() {
    let mut office = Office::new();
    refer(&mut office, ALICE, BOB, &[]);
    office.run(ms(15));
    let (asked, call) = referral(&mut office, BOB);
    assert_eq!(call, None);
    follow(&mut office, BOB, asked);
    office.run(ms(50));
    let at_carol = office.latest(CAROL);
    office.accept(CAROL, at_carol);
    office.run(ms(100));
    office.expect_flow(&[
        "alice -> bob: REFER",
        "bob -> alice: 200 REFER",
        "bob -> alice: NOTIFY",
        "bob -> carol: INVITE",
        "alice -> bob: 200 NOTIFY",
        "carol -> bob: 200 INVITE",
        "bob -> carol: ACK",
        "bob -> alice: NOTIFY",
        "alice -> bob: 200 NOTIFY",
    ]);
    office.expect(ALICE, &["refer: 100", "refer came to Reported(200 OK)"]);
    let refer = office.last_request(ALICE, "REFER");
    // RFC 7647 §4: "Thus, the REFER request will have no tag parameter in its
    // To: header field."
    assert_eq!(refer.headers().to_tag(), None);
    assert_eq!(refer.get::<ReferTo<'_>>().unwrap().unwrap().uri(), uri(CAROL));
    assert_eq!(refer.raw(HeaderName::ReferredBy), Some(&b"<sip:alice@192.0.2.1>"[..]));
    assert!(refer.headers().contains(HeaderName::Contact));
    let report = office.last_request(BOB, "NOTIFY");
    assert_eq!(report.headers().call_id(), refer.headers().call_id());
    assert_eq!(report.headers().to_tag(), refer.headers().from_tag());
    office.hang_up(CAROL, at_carol);
    office.nothing_left();
}

/// RFC 4538 §3: a call with the one who is asked is named, and known there.
#[test]
fn with_a_call_that_it_names() {
    let mut office = Office::new();
    let (of_bob, of_alice) = office.established(BOB, ALICE);
    let named = office.tell(ALICE, |agent, _, _| agent.target_dialog(of_alice)).unwrap();
    refer(&mut office, ALICE, BOB, &[named]);
    office.run(ms(15));
    let (asked, call) = referral(&mut office, BOB);
    assert_eq!(call, Some(of_bob));
    let sent = office.last_request(ALICE, "REFER");
    let invite = office.last_request(BOB, "INVITE");
    let target = sent.get::<TargetDialog<'_>>().unwrap().unwrap();
    // RFC 4538 §3: "MUST be present and MUST contain
    // the tag that would be viewed as the local tag from the perspective of
    // the recipient of the new request."
    assert_eq!(target.local_tag(), invite.headers().from_tag());
    assert_ne!(sent.headers().call_id(), invite.headers().call_id());
    // The call may end before the reports do.
    office.tell(BOB, |agent, now, tx| agent.report(now, tx, asked, StatusCode::RINGING)).unwrap();
    office.run(ms(50));
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    office.tell(BOB, |agent, now, tx| agent.report(now, tx, asked, StatusCode::OK)).unwrap();
    office.run(ms(50));
    office.expect(
        ALICE,
        &["refer: 100", "refer: 180", "ended: we hung up", "refer came to Reported(200 OK)"],
    );
    office.nothing_left();
}

/// RFC 4488 §4: no reports are asked for, and none come.
#[test]
fn without_reports() {
    let mut office = Office::new();
    refer(&mut office, ALICE, BOB, &[("Refer-Sub".to_owned(), "false".to_owned())]);
    office.run(ms(15));
    let (asked, _) = referral(&mut office, BOB);
    follow(&mut office, BOB, asked);
    office.run(ms(50));
    let at_carol = office.latest(CAROL);
    office.reject(CAROL, at_carol, StatusCode::BUSY_HERE);
    office.run(ms(50));
    office.expect_flow(&[
        "alice -> bob: REFER",
        "bob -> alice: 200 REFER",
        "bob -> carol: INVITE",
        "carol -> bob: 486 INVITE",
        "bob -> carol: ACK",
    ]);
    office.expect(ALICE, &["refer came to Unreported"]);
    office.nothing_left();
}

/// Refused, or never reported: each has its outcome, and leaves nothing.
#[test]
fn that_comes_to_nothing() {
    let deaf = |who| {
        let config = AgentConfig::default();
        if who == BOB { config.methods(Vec::new()) } else { config }
    };
    let mut office = Office::with(7, sip_sim::Link::default().with_delay(ms(10)), deaf);
    refer(&mut office, ALICE, BOB, &[]);
    office.run(ms(50));
    office.expect(ALICE, &["refer came to Refused(405 Method Not Allowed)"]);
    refer(&mut office, ALICE, CAROL, &[]);
    assert_eq!(office.live(ALICE).references, 1);
    office.run(ms(15));
    let (asked, _) = referral(&mut office, CAROL);
    office
        .tell(CAROL, |agent, now, tx| agent.decline(now, tx, asked, StatusCode::DECLINE))
        .unwrap();
    office.run(ms(50));
    office.expect(ALICE, &["refer came to Refused(603 Decline)"]);
    office.nothing_left();
}

/// No more are under way than the configuration allows.
#[test]
fn there_is_a_limit() {
    let few = |_| AgentConfig::default().max_refers(1);
    let mut office = Office::with(7, sip_sim::Link::default().with_delay(ms(10)), few);
    refer(&mut office, ALICE, BOB, &[]);
    let again = office.tell(ALICE, |agent, now, tx| {
        agent.refer_to(now, tx, &account(ALICE), &uri(BOB), &uri(CAROL), &[])
    });
    assert!(matches!(again, Err(sip_ua::AgentError::Full { what: "references" })));
}
