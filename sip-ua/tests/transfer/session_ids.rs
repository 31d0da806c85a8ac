//! Session-ID (RFC 7989) in calls and transfers: who the two ends are in each message, in the RFC's notation.

use std::collections::HashMap;

use sip_message::{SessionId, StatusCode};
use sip_sim::Link;
use sip_ua::{AgentConfig, AgentEvent, OutgoingCall, SessionIds};

use super::harness::*;

fn office() -> Office {
    let link = Link::default().with_delay(ms(10));
    Office::with(7, link, |_| AgentConfig::default().session_ids(SessionIds::Always))
}

/// What was sent since the last look, each with its pair: every UUID has the letter of who said it of themselves first.
fn pairs(office: &mut Office) -> Vec<String> {
    let passages = office.network.passages();
    let mut letters: HashMap<u128, char> = HashMap::from([(SessionId::NIL, 'N')]);
    let mut lines = Vec::new();
    for (line, message) in passages.iter().map(|passage| (line(passage), parse(&passage.payload))) {
        let id = message.headers().get::<SessionId<'_>>().unwrap();
        let pair = id.map(|id| {
            let who = line.chars().next().unwrap().to_ascii_uppercase();
            letters.entry(id.local()).or_insert(who);
            let name = |uuid: u128| letters.get(&uuid).copied().unwrap_or('?');
            format!(" {{{},{}}}", name(id.local()), name(id.remote().unwrap()))
        });
        lines.push(format!("{line}{}", pair.unwrap_or_default()));
    }
    let read = office.flow().len();
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.contains(" 100 ")).collect();
    lines[lines.len() - read..].to_vec()
}

// RFC 7989 §6: "The locally
// generated UUID of the transmitter of the message MUST appear in the
// "local-uuid" portion of the Session-ID header field value.  The UUID
// of the peer device, if known, MUST appear as the "remote" parameter
// following the transmitter's UUID."
#[test]
fn every_message_of_a_call_says_to_which_session_it_belongs() {
    let mut office = office();
    let of_alice = office.call(ALICE, BOB);
    office.run(ms(50));
    let of_bob = office.latest(BOB);
    office.ring(BOB, of_bob);
    office.run(ms(50));
    office.accept(BOB, of_bob);
    office.run(ms(50));
    for (who, call) in [(ALICE, of_alice), (BOB, of_bob)] {
        office.tell(who, |agent, now, tx| agent.reinvite(now, tx, call, Some(&sdp()))).unwrap();
        office.run(ms(50));
        office.tell(1 - who, |agent, now, tx| {
            let other = if who == ALICE { of_bob } else { of_alice };
            let _ = agent.answer_modification(now, tx, other, StatusCode::OK, Some(&sdp()));
        });
        office.run(ms(50));
    }
    office.tell(BOB, |agent, now, tx| {
        agent.send(now, tx, of_bob, sip_message::Method::Options, None, &[]).unwrap();
    });
    office.run(ms(50));
    office.hang_up(BOB, of_bob);
    office.run(ms(50));
    assert_eq!(
        pairs(&mut office),
        [
            "alice -> bob: INVITE {A,N}",
            "bob -> alice: 180 INVITE {B,A}",
            "bob -> alice: 200 INVITE {B,A}",
            "alice -> bob: ACK {A,B}",
            "alice -> bob: INVITE {A,B}",
            "bob -> alice: 200 INVITE {B,A}",
            "alice -> bob: ACK {A,B}",
            "bob -> alice: INVITE {B,A}",
            "alice -> bob: 200 INVITE {A,B}",
            "bob -> alice: ACK {B,A}",
            "bob -> alice: OPTIONS {B,A}",
            "alice -> bob: 200 OPTIONS {A,B}",
            "bob -> alice: BYE {B,A}",
            "alice -> bob: 200 BYE {A,B}",
        ]
    );
    office.nothing_left();
}

// RFC 7989 §6: "The one exception is
// when the endpoint sends a CANCEL request, in which case the Session-
// ID header field value MUST be identical to the Session-ID header
// field value sent in the original request."
#[test]
fn a_cancelled_call_says_what_its_invite_said() {
    let mut office = office();
    let of_alice = office.call(ALICE, BOB);
    office.run(ms(250));
    let of_bob = office.latest(BOB);
    let said = office.tell(ALICE, |agent, _, _| agent.session_id(of_alice)).unwrap();
    office.ring(BOB, of_bob);
    office.run(ms(50));
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    let all: Vec<String> = office.network.passages().iter().map(line).collect();
    assert_eq!(all[1], "bob -> alice: 100 INVITE");
    // RFC 7989 §10.8.1: "any 100 Trying response includes Alice's
    // UUID in the "remote-uuid" portion of the Session-ID header-value
    // with a nil "local-uuid" value in the response."
    let trying = parse(&office.network.passages()[1].payload);
    let trying = trying.headers().get::<SessionId<'_>>().unwrap().unwrap().to_string();
    assert_eq!(trying, format!("{:032x};remote={:032x}", 0, said.local()));
    assert_eq!(
        pairs(&mut office),
        [
            "alice -> bob: INVITE {A,N}",
            "bob -> alice: 180 INVITE {B,A}",
            "alice -> bob: CANCEL {A,N}",
            "bob -> alice: 200 CANCEL {B,A}",
            "bob -> alice: 487 INVITE {B,A}",
            "alice -> bob: ACK {A,B}",
        ]
    );
    office.nothing_left();
}

/// RFC 7989 §10.9: Bob is transferred to Carol, and stays the same end of the session.
// RFC 7989 §6: "it MUST NOT use the
// current peer's UUID value when sending the first message to what it
// believes may be a new peer endpoint (even if the exchange results in
// communicating with the same physical or logical entity).  The
// endpoint MUST retain its own UUID value, however, as described above."
#[test]
fn who_is_transferred_keeps_its_uuid() {
    let mut office = office();
    let (_, of_alice) = office.established(BOB, ALICE);
    let target = uri(CAROL);
    office.tell(ALICE, |agent, now, tx| agent.refer(now, tx, of_alice, &target, &[])).unwrap();
    office.run(ms(15));
    let events = office.take(BOB);
    let [AgentEvent::Referred { refer, .. }] = events[..] else { panic!("{events:?}") };
    office
        .tell(BOB, |agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[]))
        .unwrap();
    office.run(ms(50));
    office.accept(CAROL, office.latest(CAROL));
    office.run(ms(50));
    office.hang_up(ALICE, of_alice);
    office.run(ms(50));
    assert_eq!(
        pairs(&mut office),
        [
            "alice -> bob: REFER {A,B}",
            "bob -> alice: 200 REFER {B,A}",
            "bob -> alice: NOTIFY {B,A}",
            "bob -> carol: INVITE {B,N}",
            "alice -> bob: 200 NOTIFY {A,B}",
            "carol -> bob: 200 INVITE {C,B}",
            "bob -> carol: ACK {B,C}",
            "bob -> alice: NOTIFY {B,A}",
            "alice -> bob: 200 NOTIFY {A,B}",
            "alice -> bob: BYE {A,B}",
            "bob -> alice: 200 BYE {B,A}",
        ]
    );
    office.hang_up(CAROL, office.latest(CAROL));
    office.nothing_left();
}

/// The same by a REFER outside of the dialog that it names, as RFC 7989 §10.9 has it.
#[test]
fn a_refer_outside_of_the_call_belongs_to_its_session() {
    let mut office = office();
    let (_, of_alice) = office.established(BOB, ALICE);
    let named = office.tell(ALICE, |agent, _, _| agent.target_dialog(of_alice)).unwrap();
    let (to, target) = (uri(BOB), uri(CAROL));
    office.tell(ALICE, |agent, now, tx| {
        agent.refer_to(now, tx, &account(ALICE), &to, &target, &[named]).unwrap();
    });
    office.run(ms(15));
    let events = office.take(BOB);
    let [AgentEvent::Referred { refer, .. }] = events[..] else { panic!("{events:?}") };
    office
        .tell(BOB, |agent, now, tx| agent.follow(now, tx, refer, None, Some(sdp()), &[]))
        .unwrap();
    office.run(ms(50));
    assert_eq!(
        pairs(&mut office),
        [
            "alice -> bob: REFER {A,B}",
            "bob -> alice: 200 REFER {B,A}",
            "bob -> alice: NOTIFY {B,A}",
            "bob -> carol: INVITE {B,N}",
            "alice -> bob: 200 NOTIFY {A,B}",
        ]
    );
    office.reject(CAROL, office.latest(CAROL), StatusCode::BUSY_HERE);
    office.hang_up(ALICE, of_alice);
    office.nothing_left();
}

/// Carol takes Bob's place at Alice, who stays the same end of the session.
#[test]
fn whose_peer_is_replaced_keeps_its_uuid() {
    let mut office = office();
    office.established(ALICE, BOB);
    let (name, value) = office.pointer("Replaces", ALICE, BOB, ALICE);
    let call = OutgoingCall::to(uri(ALICE)).body(sdp()).header(name, value);
    office.call_with(CAROL, call);
    office.run(ms(50));
    let new = office.latest(ALICE);
    office.accept(ALICE, new);
    office.run(ms(50));
    let mut lines = pairs(&mut office);
    lines.sort();
    assert_eq!(
        lines,
        [
            "alice -> bob: BYE {A,B}",
            "alice -> carol: 200 INVITE {A,C}",
            "bob -> alice: 200 BYE {B,A}",
            "carol -> alice: ACK {C,A}",
            "carol -> alice: INVITE {C,N}",
        ]
    );
    office.hang_up(ALICE, new);
    office.nothing_left();
}

#[test]
fn without_the_setting_nothing_is_said_by_itself() {
    let mut office = Office::new();
    let (of_alice, of_bob) = office.established(ALICE, BOB);
    office.hang_up(BOB, of_bob);
    office.run(ms(50));
    for passage in office.network.passages() {
        let said = parse(&passage.payload).headers().contains(sip_message::HeaderName::SessionId);
        assert!(!said, "{}", line(passage));
    }
    assert!(office.tell(ALICE, |agent, _, _| agent.session_id(of_alice)).is_none());
    office.nothing_left();
}
