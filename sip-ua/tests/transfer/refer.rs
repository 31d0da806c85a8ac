//! REFER and transfers: RFC 3515, RFC 5589, message by message.

use sip_message::{HeaderName, Method, ReferTo, StatusCode};
use sip_sim::Link;
use sip_ua::{AgentEvent, Body, CallKey, ReferKey, ReferUpdate};

use super::harness::*;

/// One asks the peer of its call to call another.
fn refer(office: &mut Office, who: usize, call: CallKey, to: usize) -> ReferKey {
    office.tell(who, |agent, now, tx| agent.refer(now, tx, call, &uri(to), &[])).unwrap()
}

/// The REFER that came, which is followed.
fn follow(office: &mut Office, who: usize) -> CallKey {
    let refer = referral(office, who);
    office.tell(who, |agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[])).unwrap()
}

fn referral(office: &mut Office, who: usize) -> ReferKey {
    let events = office.take(who);
    let found = events.iter().find_map(|event| match event {
        AgentEvent::Referred { refer, call: Some(_), .. } => Some(*refer),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("a REFER came: {events:?}"))
}

/// Another session description than that of the call.
fn held() -> Body {
    Body::sdp("v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\na=sendonly\r\n")
}

/// RFC 5589 §6.2, and RFC 3515 §4.1 in a dialog: Bob is transferred to Carol, who rings first.
#[test]
fn a_blind_transfer() {
    let mut office = Office::new();
    let (_, of_alice) = office.established(BOB, ALICE);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(15));
    let to_carol = follow(&mut office, BOB);
    office.run(ms(50));
    let at_carol = office.latest(CAROL);
    office.ring(CAROL, at_carol);
    office.run(ms(50));
    office.accept(CAROL, at_carol);
    office.run(ms(50));
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    office.expect_flow(&[
        "alice -> bob: REFER",
        "bob -> alice: 200 REFER",
        "bob -> alice: NOTIFY",
        "bob -> carol: INVITE",
        "alice -> bob: 200 NOTIFY",
        "carol -> bob: 180 INVITE",
        "bob -> alice: NOTIFY",
        "alice -> bob: 200 NOTIFY",
        "carol -> bob: 200 INVITE",
        "bob -> carol: ACK",
        "bob -> alice: NOTIFY",
        "alice -> bob: 200 NOTIFY",
        "alice -> bob: BYE",
        "bob -> alice: 200 BYE",
    ]);
    office.expect(
        ALICE,
        &["refer: 100", "refer: 180", "refer came to Reported(200 OK)", "ended: we hung up"],
    );
    office.expect(BOB, &["ringing", "answered", "ended: the peer hung up"]);
    office.expect(CAROL, &["invitation", "confirmed"]);
    let refer = office.last_request(ALICE, "REFER");
    let target = refer.get::<ReferTo<'_>>().unwrap().unwrap();
    assert_eq!(target.uri().as_str(), "sip:carol@192.0.2.3");
    // RFC 3892 §2.2: "MUST copy any Referred-By header field
    // value and token into the referenced request without modification."
    let by = refer.raw(HeaderName::ReferredBy).unwrap();
    assert_eq!(by, b"<sip:alice@192.0.2.1>");
    assert_eq!(office.last_request(BOB, "INVITE").raw(HeaderName::ReferredBy), Some(by));
    let last = office.last_request(BOB, "NOTIFY");
    // RFC 3515 §2.4.5: "Each NOTIFY MUST contain a body of type "message/sipfrag""
    assert_eq!(last.raw(HeaderName::ContentType), Some(&b"message/sipfrag"[..]));
    assert_eq!(last.body(), b"SIP/2.0 200 OK\r\n");
    assert_eq!(last.raw(HeaderName::Event), Some(&b"refer"[..]));
    // RFC 3515 §2.4.7: "The final NOTIFY sent in response to a REFER MUST indicate
    // the subscription has been "terminated" with a reason of "noresource"."
    let state = last.raw(HeaderName::SubscriptionState);
    assert_eq!(state, Some(&b"terminated;reason=noresource"[..]));
    office.hang_up(BOB, to_carol);
    office.nothing_left();
}

/// RFC 5589 §6.3.1: the target is busy, and the call with the transferor is as it was.
#[test]
fn a_blind_transfer_to_someone_busy() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(50));
    follow(&mut office, BOB);
    office.run(ms(50));
    let at_carol = office.latest(CAROL);
    office.reject(CAROL, at_carol, StatusCode::BUSY_HERE);
    office.run(ms(50));
    office.expect(ALICE, &["refer: 100", "refer came to Reported(486 Busy Here)"]);
    office.expect(BOB, &["ended: 486"]);
    // The session is still there to be changed.
    office.tell(ALICE, |agent, now, tx| agent.reinvite(now, tx, of_alice, Some(&held()))).unwrap();
    office.run(ms(50));
    office.expect(BOB, &["reinvited"]);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

#[test]
fn a_transfer_that_is_declined() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(50));
    let refer = referral(&mut office, BOB);
    office.tell(BOB, |agent, now, tx| agent.decline(now, tx, refer, StatusCode::DECLINE)).unwrap();
    office.run(ms(50));
    office.expect_flow(&["alice -> bob: REFER", "bob -> alice: 603 REFER"]);
    office.expect(ALICE, &["refer came to Refused(603 Decline)"]);
    assert!(
        office.tell(BOB, |agent, now, tx| agent.follow(now, tx, refer, None, None, &[])).is_err()
    );
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// RFC 5589 §7.3, figure 7: Alice knows Carol and Bob, and puts Bob in her place at Carol's.
#[test]
fn an_attended_transfer() {
    let mut office = Office::new();
    let (_, of_alice) = office.established(BOB, ALICE);
    let (to_carol, at_carol) = office.established(ALICE, CAROL);
    let target = office.tell(ALICE, |agent, _, _| agent.place_in(to_carol)).unwrap();
    // RFC 5589 §7.3: "The Contact URI of the Transfer Target SHOULD be used by the
    // Transferor as the Refer-To URI"
    assert!(target.as_str().starts_with("sip:carol@192.0.2.3:5060?Replaces="), "{target}");
    office.tell(ALICE, |agent, now, tx| agent.refer(now, tx, of_alice, &target, &[])).unwrap();
    office.run(ms(15));
    let new = follow(&mut office, BOB);
    office.run(ms(50));
    let events = office.take(CAROL);
    let [AgentEvent::Invitation { call, .. }] = &events[..] else { panic!("{events:?}") };
    let call = *call;
    let related = office.tell(CAROL, |agent, _, _| agent.related(call));
    assert_eq!(related, Some(sip_ua::Related::Replaces(at_carol)));
    office.accept(CAROL, call);
    office.run(ms(15));
    office.run(ms(50));
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    office.expect_flow(&[
        "alice -> bob: REFER",
        "bob -> alice: 200 REFER",
        "bob -> alice: NOTIFY",
        "bob -> carol: INVITE",
        "alice -> bob: 200 NOTIFY",
        "carol -> bob: 200 INVITE",
        "carol -> alice: BYE",
        "bob -> carol: ACK",
        "bob -> alice: NOTIFY",
        "alice -> carol: 200 BYE",
        "alice -> bob: 200 NOTIFY",
        "alice -> bob: BYE",
        "bob -> alice: 200 BYE",
    ]);
    office.expect(
        ALICE,
        &[
            "refer: 100",
            "ended: the peer hung up",
            "refer came to Reported(200 OK)",
            "ended: we hung up",
        ],
    );
    office.expect(BOB, &["answered", "ended: the peer hung up"]);
    office.expect(CAROL, &["ended: replaced by another call", "confirmed"]);
    office.hang_up(BOB, new);
    office.nothing_left();
}

// RFC 3515 §2.4.6: "Thus, for the second and subsequent REFER requests a UA receives in a
// given dialog, it MUST include an id parameter[2] in the Event header
// field of each NOTIFY containing the sequence number (the number from
// the CSeq header field value) of the REFER this NOTIFY is associated
// with."
#[test]
fn two_references_in_one_dialog() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    let first = refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(50));
    let one = referral(&mut office, BOB);
    office.tell(BOB, |agent, now, tx| agent.report(now, tx, one, StatusCode::TRYING)).unwrap();
    office.run(ms(50));
    assert_eq!(office.last_request(BOB, "NOTIFY").raw(HeaderName::Event), Some(&b"refer"[..]));
    let second = refer(&mut office, ALICE, of_alice, CAROL);
    assert_ne!(first, second);
    office.run(ms(50));
    let two = referral(&mut office, BOB);
    let number = office.last_request(ALICE, "REFER").headers().cseq().unwrap().number;
    let say = |office: &mut Office, refer, status| {
        office.tell(BOB, |agent, now, tx| agent.report(now, tx, refer, status)).unwrap();
        office.run(ms(50));
    };
    say(&mut office, two, StatusCode::BUSY_HERE);
    let event = format!("refer;id={number}");
    assert_eq!(office.last_request(BOB, "NOTIFY").raw(HeaderName::Event), Some(event.as_bytes()));
    say(&mut office, one, StatusCode::OK);
    let updates: Vec<(ReferKey, ReferUpdate)> = office
        .take(ALICE)
        .into_iter()
        .filter_map(|event| match event {
            AgentEvent::Refer { refer, update } => Some((refer, update)),
            _ => None,
        })
        .collect();
    let reported = |status| ReferUpdate::Ended(sip_ua::ReferOutcome::Reported(status));
    assert!(updates.contains(&(second, reported(StatusCode::BUSY_HERE))), "{updates:?}");
    assert!(updates.contains(&(first, reported(StatusCode::OK))), "{updates:?}");
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// RFC 3515 §2.4.2: who is asked and says nothing has accepted; RFC 3515 §2.4.5: and may decline afterwards.
#[test]
fn a_reference_that_waits_for_its_user() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(secs(25));
    let state = office.last_request(BOB, "NOTIFY");
    let state = state.raw(HeaderName::SubscriptionState).unwrap();
    assert!(state.starts_with(b"pending;expires="), "{state:?}");
    let refer = referral(&mut office, BOB);
    office.tell(BOB, |agent, now, tx| agent.decline(now, tx, refer, StatusCode::DECLINE)).unwrap();
    office.run(ms(50));
    office.expect(ALICE, &["refer: 100", "refer came to Reported(603 Decline)"]);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

// RFC 4488 §4: "it MUST insert the "Refer-Sub" header field set to
// "false" in the 2xx response to the REFER-Issuer.  In this case, no
// implicit subscription is created."
#[test]
fn a_reference_without_reports() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    for header in [("Refer-Sub", "false"), ("Require", "nosub")] {
        let headers = [(header.0.to_owned(), header.1.to_owned())];
        office
            .tell(ALICE, |agent, now, tx| agent.refer(now, tx, of_alice, &uri(CAROL), &headers))
            .unwrap();
        office.run(ms(50));
        let call = follow(&mut office, BOB);
        office.run(ms(50));
        office.hang_up(BOB, call);
        office.run(secs(33));
        assert!(!office.flow().iter().any(|line| line.contains("NOTIFY")), "{}", office.wire());
        office.expect(ALICE, &["refer came to Unreported"]);
        office.take(CAROL);
    }
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// linphone 5.1 ends its reports by a reason that is none: what it reports counts, and a state that is none does not.
#[test]
fn a_report_whose_reason_cannot_be_read() {
    let mut office = Office::new();
    let (of_alice, of_bob) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(50));
    let body = Body::new("message/sipfrag", "SIP/2.0 200 OK\r\n");
    for (state, answer) in [
        ("active;expires=x=60", "alice -> bob: 400 NOTIFY"),
        ("terminated;reason=reason=noresource", "alice -> bob: 200 NOTIFY"),
    ] {
        office.flow();
        let headers = [("Event", "refer"), ("Subscription-State", state)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        office
            .tell(BOB, |agent, now, tx| {
                agent.send(now, tx, of_bob, Method::Notify, Some(&body), &headers)
            })
            .unwrap();
        office.run(ms(50));
        office.expect_flow(&["bob -> alice: NOTIFY", answer]);
    }
    office.expect(ALICE, &["refer came to Reported(200 OK)"]);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// The transferee hangs up on the transferor before it reports: reports still come in the dialog, which lives as
/// long as its last usage (RFC 5057).
#[test]
fn a_transferee_that_hangs_up_first() {
    let mut office = Office::new();
    let (of_alice, of_bob) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.run(ms(50));
    let call = follow(&mut office, BOB);
    office.run(ms(50));
    office.hang_up(BOB, of_bob);
    office.run(ms(50));
    let at_carol = office.latest(CAROL);
    office.accept(CAROL, at_carol);
    office.run(ms(50));
    office.expect(
        ALICE,
        &["refer: 100", "ended: the peer hung up", "refer came to Reported(200 OK)"],
    );
    office.hang_up(BOB, call);
    office.nothing_left();
}

/// A BYE crosses the REFER: the REFER finds no call, and all is over at both ends.
#[test]
fn a_bye_crosses_the_refer() {
    let mut office = Office::new();
    let (of_alice, of_bob) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    office.hang_up(BOB, of_bob);
    office.run(ms(100));
    office.expect(
        ALICE,
        &["ended: the peer hung up", "refer came to Refused(481 Call/Transaction Does Not Exist)"],
    );
    office.expect(BOB, &["ended: we hung up"]);
    office.nothing_left();
}

/// Both ends of a call want to transfer the other at the same moment, and both do.
#[test]
fn refers_cross() {
    let mut office = Office::new();
    let (of_alice, of_bob) = office.established(ALICE, BOB);
    refer(&mut office, ALICE, of_alice, CAROL);
    refer(&mut office, BOB, of_bob, CAROL);
    office.run(ms(50));
    let calls = [ALICE, BOB].map(|who| (who, follow(&mut office, who)));
    office.run(ms(50));
    for call in office.calls[CAROL].clone() {
        office.reject(CAROL, call, StatusCode::BUSY_HERE);
    }
    office.run(ms(50));
    for (who, _) in calls {
        let came = office.take(who);
        let words: Vec<String> = came.iter().map(words).collect();
        assert!(words.contains(&"refer came to Reported(486 Busy Here)".to_owned()), "{words:?}");
        assert!(words.contains(&"ended: 486".to_owned()), "{words:?}");
    }
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// A re-INVITE of either end crosses the REFER: neither disturbs the other.
#[test]
fn a_reinvite_crosses_the_refer() {
    for inviter in [ALICE, BOB] {
        let mut office = Office::new();
        let (of_alice, of_bob) = office.established(ALICE, BOB);
        let of_inviter = if inviter == ALICE { of_alice } else { of_bob };
        let invitee = ALICE + BOB - inviter;
        office
            .tell(inviter, |agent, now, tx| agent.reinvite(now, tx, of_inviter, Some(&held())))
            .unwrap();
        refer(&mut office, ALICE, of_alice, CAROL);
        office.run(ms(15));
        let of_invitee = if inviter == ALICE { of_bob } else { of_alice };
        office
            .tell(invitee, |agent, now, tx| {
                let ok = StatusCode::OK;
                agent.answer_modification(now, tx, of_invitee, ok, Some(&sdp()))
            })
            .unwrap();
        follow(&mut office, BOB);
        office.run(ms(50));
        let at_carol = office.latest(CAROL);
        office.accept(CAROL, at_carol);
        office.run(ms(100));
        let words: Vec<String> = office.take(ALICE).iter().map(words).collect();
        assert!(words.contains(&"refer came to Reported(200 OK)".to_owned()), "{words:?}");
        office.hang_up(ALICE, of_alice);
        office.hang_up(CAROL, at_carol);
        office.nothing_left();
    }
}

/// The transferee gives the referenced call up while it rings, and the target answers at that moment.
#[test]
fn the_referenced_call_is_cancelled() {
    for answers in [false, true] {
        let mut office = Office::new();
        let (of_alice, _) = office.established(ALICE, BOB);
        refer(&mut office, ALICE, of_alice, CAROL);
        office.run(ms(50));
        let call = follow(&mut office, BOB);
        office.run(ms(50));
        let at_carol = office.latest(CAROL);
        office.ring(CAROL, at_carol);
        office.run(ms(50));
        office.hang_up(BOB, call);
        if answers {
            office.accept(CAROL, at_carol);
        }
        office.run(ms(200));
        // What became of it for the transferee: nothing it wanted.
        office.expect(
            ALICE,
            &["refer: 100", "refer: 180", "refer came to Reported(487 Request Terminated)"],
        );
        office.hang_up(ALICE, of_alice);
        office.nothing_left();
    }
}

/// The network loses a third of everything: the transferor hears of the outcome all the same, and nothing stays.
#[test]
fn transfers_over_a_bad_network() {
    let mut transferred = 0;
    for seed in 0..60 {
        let link = Link::default().with_delay(ms(10)).with_loss(0.2).with_duplication(0.1);
        let link = link.with_jitter(ms(30));
        let mut office = Office::with(seed, link, |_| sip_ua::AgentConfig::default());
        let of_alice = office.call(ALICE, BOB);
        office.run(secs(8));
        let Some(&of_bob) = office.calls[BOB].last() else { continue };
        let accepted = office
            .tell(BOB, |agent, now, tx| agent.accept(now, tx, of_bob, Some(&sdp()), &[]).is_ok());
        office.run(secs(8));
        let reference = office
            .tell(ALICE, |agent, now, tx| agent.refer(now, tx, of_alice, &uri(CAROL), &[]).ok());
        office.run(secs(10));
        let came = office.take(BOB);
        let referred = came.iter().find_map(|event| match event {
            AgentEvent::Referred { refer, .. } => Some(*refer),
            _ => None,
        });
        if let Some(refer) = referred {
            let call = office
                .tell(BOB, |agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[]));
            office.run(secs(10));
            if let Some(&at_carol) = office.calls[CAROL].last() {
                let _ =
                    office.tell(CAROL, |agent, now, tx| agent.accept(now, tx, at_carol, None, &[]));
            }
            office.run(secs(40));
            let ended =
                office.take(ALICE).iter().map(words).filter(|w| w.contains("came to")).count();
            assert_eq!(ended, 1, "seed {seed}: one outcome\n{}", office.wire());
            transferred += 1;
            if let Ok(call) = call {
                let _ = office.tell(BOB, |agent, now, tx| agent.hang_up(now, tx, call));
            }
        }
        let _ = (accepted, reference);
        for who in [ALICE, BOB, CAROL] {
            for call in office.calls[who].clone() {
                let _ = office.tell(who, |agent, now, tx| agent.hang_up(now, tx, call));
            }
        }
        office.run(secs(330));
        office.nothing_left();
    }
    assert!(transferred > 40, "{transferred}");
}
