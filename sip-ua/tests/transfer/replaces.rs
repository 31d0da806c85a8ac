//! RFC 3891 and RFC 3911: calls that take the place of another, or join it.

use sip_message::{Method, StatusCode};
use sip_ua::{AgentConfig, OutgoingCall, Related};

use super::harness::*;
use sip_sim::Link;

/// Carol calls Alice with this header field.
fn carol_calls(office: &mut Office, header: (String, String)) {
    let call = OutgoingCall::to(uri(ALICE)).body(sdp()).header(header.0, header.1);
    office.call_with(CAROL, call);
    office.run(ms(50));
}

// RFC 3891 §3: "Otherwise, it accepts the new INVITE by sending a 200-class response,
// and shuts down the replaced dialog by sending a BYE."
#[test]
fn an_established_call_is_replaced() {
    for [caller, callee] in [[ALICE, BOB], [BOB, ALICE]] {
        let mut office = Office::new();
        let (of_caller, of_callee) = office.established(caller, callee);
        let of_alice = if caller == ALICE { of_caller } else { of_callee };
        let replaces = office.pointer("Replaces", caller, callee, ALICE);
        carol_calls(&mut office, replaces);
        let new = office.latest(ALICE);
        assert_eq!(
            office.tell(ALICE, |agent, _, _| agent.related(new)),
            Some(Related::Replaces(of_alice))
        );
        office.expect(ALICE, &["invitation"]);
        office.accept(ALICE, new);
        office.run(ms(50));
        office.expect(ALICE, &["ended: replaced by another call", "confirmed"]);
        office.expect(BOB, &["ended: the peer hung up"]);
        office.expect(CAROL, &["answered"]);
        let mut flow = office.flow();
        flow.sort();
        assert_eq!(
            flow,
            [
                "alice -> bob: BYE",
                "alice -> carol: 200 INVITE",
                "bob -> alice: 200 BYE",
                "carol -> alice: ACK",
                "carol -> alice: INVITE",
            ]
        );
        office.hang_up(ALICE, new);
        office.nothing_left();
    }
}

// RFC 3891 §3: "If the UA cannot accept the new INVITE (for example: it cannot
// establish required QoS or keying, or it has incompatible media), the
// UA MUST return an appropriate error response and MUST leave the
// matched dialog unchanged."
#[test]
fn a_refused_replacement_changes_nothing() {
    let mut office = Office::new();
    let (of_alice, _) = office.established(ALICE, BOB);
    let replaces = office.pointer("Replaces", ALICE, BOB, ALICE);
    carol_calls(&mut office, replaces);
    let new = office.latest(ALICE);
    office.reject(ALICE, new, StatusCode::NOT_ACCEPTABLE_HERE);
    office.run(secs(40));
    office.expect(ALICE, &["invitation", "ended: we hung up"]);
    office.expect(CAROL, &["ended: 488"]);
    office.expect(BOB, &[]);
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    office.expect(BOB, &["ended: the peer hung up"]);
    office.nothing_left();
}

// RFC 3891 §3: "If the Replaces
// header field matches an early dialog that was initiated by the UA, it
// accepts the new INVITE by sending a 200-class response, and shuts
// down the replaced dialog by sending a CANCEL."
#[test]
fn a_call_that_we_place_is_replaced_while_it_rings() {
    let mut office = Office::new();
    let of_alice = office.call(ALICE, BOB);
    office.run(ms(50));
    let of_bob = office.latest(BOB);
    office.ring(BOB, of_bob);
    office.run(ms(50));
    let (name, value) = office.pointer("Replaces", ALICE, BOB, ALICE);
    office.flow();
    carol_calls(&mut office, (name, format!("{value};early-only")));
    let new = office.latest(ALICE);
    assert_eq!(
        office.tell(ALICE, |agent, _, _| agent.related(new)),
        Some(Related::Replaces(of_alice))
    );
    office.accept(ALICE, new);
    office.run(ms(100));
    office
        .expect(ALICE, &["ringing", "invitation", "confirmed", "ended: replaced by another call"]);
    office.expect(BOB, &["invitation", "ended: cancelled by the caller"]);
    let mut flow = office.flow();
    flow.sort();
    assert_eq!(
        flow,
        [
            "alice -> bob: ACK",
            "alice -> bob: CANCEL",
            "alice -> carol: 200 INVITE",
            "bob -> alice: 200 CANCEL",
            "bob -> alice: 487 INVITE",
            "carol -> alice: ACK",
            "carol -> alice: INVITE",
        ]
    );
    office.hang_up(ALICE, new);
    office.nothing_left();
}

/// The callee answers while the replacement, which is for an early dialog only, rings at the caller: the race
/// of RFC 3891 §7.1.
#[test]
fn early_only_is_looked_at_again_when_the_call_is_accepted() {
    let mut office = Office::new();
    let of_alice = office.call(ALICE, BOB);
    office.run(ms(50));
    let of_bob = office.latest(BOB);
    office.ring(BOB, of_bob);
    office.run(ms(50));
    let (name, value) = office.pointer("Replaces", ALICE, BOB, ALICE);
    let early_only = (name, format!("{value};early-only"));
    carol_calls(&mut office, early_only.clone());
    let new = office.latest(ALICE);
    office.accept(BOB, of_bob);
    office.run(ms(50));
    let accepted = office.tell(ALICE, |agent, now, tx| agent.accept(now, tx, new, None, &[]));
    assert!(accepted.is_err());
    office.run(ms(50));
    office.expect(ALICE, &["ringing", "invitation", "answered", "ended: we hung up"]);
    // RFC 3891 §3: "If the flag is
    // present, the UA rejects the request with a 486 Busy response."
    office.expect(CAROL, &["ended: 486"]);
    carol_calls(&mut office, early_only);
    office.expect(CAROL, &["ended: 486"]);
    office.expect(ALICE, &[]);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// Who wants to be replaced may hang up before the replacement is accepted.
#[test]
fn a_call_that_ends_while_its_replacement_rings() {
    let mut office = Office::new();
    let (_, of_bob) = office.established(ALICE, BOB);
    let replaces = office.pointer("Replaces", ALICE, BOB, ALICE);
    carol_calls(&mut office, replaces.clone());
    let new = office.latest(ALICE);
    office.hang_up(BOB, of_bob);
    office.run(ms(50));
    office.accept(ALICE, new);
    office.run(ms(50));
    office.expect(ALICE, &["invitation", "ended: the peer hung up", "confirmed"]);
    // RFC 3891 §3: "If the Replaces header field matches a dialog which has already
    // terminated, the UA SHOULD decline the request with a 603 Declined
    // response."
    carol_calls(&mut office, replaces);
    office.expect(CAROL, &["answered", "ended: 603"]);
    office.hang_up(ALICE, new);
    office.nothing_left();
}

#[test]
fn a_replacement_that_points_at_nothing_of_ours_is_refused() {
    let mut office = Office::new();
    let unknown = "nobody@192.0.2.9;to-tag=1;from-tag=2";
    carol_calls(&mut office, ("Replaces".into(), unknown.into()));
    office.expect(CAROL, &["ended: 481"]);
    // Another one rings here, which nobody but its caller may take away.
    let of_bob = office.call(BOB, ALICE);
    office.run(ms(50));
    let ringing = office.latest(ALICE);
    office.ring(ALICE, ringing);
    office.run(ms(50));
    let (name, value) = office.pointer("Replaces", BOB, ALICE, ALICE);
    carol_calls(&mut office, (name.clone(), value.clone()));
    office.expect(CAROL, &["ended: 481"]);
    carol_calls(&mut office, (name, format!("{value};to-tag=another")));
    office.expect(CAROL, &["ended: 400"]);
    // RFC 3891 §3: "or if
    // a Replaces header field is present in a request other than INVITE,
    // the UAS MUST reject the request with a 400 Bad Request response."
    let misplaced = [("Replaces".to_owned(), value)];
    office
        .tell(CAROL, |agent, now, tx| {
            let body = sip_ua::Body::text("hi");
            let to = uri(ALICE);
            agent.request(now, tx, &account(CAROL), Method::Message, &to, Some(&body), &misplaced)
        })
        .unwrap();
    office.run(ms(50));
    office.expect(CAROL, &["response 400"]);
    office.expect(ALICE, &["invitation"]);
    office.hang_up(BOB, of_bob);
    office.nothing_left();
}

/// Without the extension the header field means nothing (RFC 3261 §8.2.2).
#[test]
fn an_agent_that_knows_no_replaces_takes_it_for_a_new_call() {
    let config = |_| AgentConfig::default().supported(Vec::new());
    let mut office = Office::with(7, Link::default().with_delay(ms(10)), config);
    let (of_alice, _) = office.established(ALICE, BOB);
    let replaces = office.pointer("Replaces", ALICE, BOB, ALICE);
    carol_calls(&mut office, replaces);
    let new = office.latest(ALICE);
    assert_eq!(office.tell(ALICE, |agent, _, _| agent.related(new)), None);
    office.accept(ALICE, new);
    office.run(ms(50));
    office.expect(ALICE, &["invitation", "confirmed"]);
    office.expect(BOB, &[]);
    office.hang_up(ALICE, new);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// RFC 3911 §4: a call joins another, at every stage of that, and nothing is ended for it.
#[test]
fn a_call_joins_another() {
    let config = |_| AgentConfig::default().supported(vec!["join".into(), "replaces".into()]);
    let mut office = Office::with(7, Link::default().with_delay(ms(10)), config);
    let (of_alice, _) = office.established(ALICE, BOB);
    let join = office.pointer("Join", ALICE, BOB, ALICE);
    carol_calls(&mut office, join.clone());
    let new = office.latest(ALICE);
    assert_eq!(
        office.tell(ALICE, |agent, _, _| agent.related(new)),
        Some(Related::Joins(of_alice))
    );
    office.accept(ALICE, new);
    office.run(ms(50));
    office.expect(ALICE, &["invitation", "confirmed"]);
    office.expect(CAROL, &["answered"]);
    office.expect(BOB, &[]);
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    office.expect(ALICE, &["ended: we hung up"]);
    carol_calls(&mut office, join);
    office.expect(CAROL, &["ended: 603"]);
    let unknown = "nobody@192.0.2.9;to-tag=1;from-tag=2";
    carol_calls(&mut office, ("Join".into(), unknown.into()));
    office.expect(CAROL, &["ended: 481"]);
    office.hang_up(ALICE, new);
    office.nothing_left();
}
