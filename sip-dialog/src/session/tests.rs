use super::*;

const OK: StatusCode = StatusCode::OK;

/// The draw that must not be made.
fn never(_: RangeInclusive<u32>) -> u32 {
    panic!("nothing is to be drawn")
}

fn least(range: RangeInclusive<u32>) -> u32 {
    *range.start()
}

fn most(range: RangeInclusive<u32>) -> u32 {
    *range.end()
}

/// A caller whose INVITE with CSeq 1 was answered and acknowledged.
fn caller() -> Session {
    let mut session = Session::new(Role::Uac, 1);
    assert_eq!(session.answered(1, OK, never), Answer::Accepted);
    session.ack_sent(1);
    session
}

/// A callee who answered the INVITE with CSeq 1 and got the ACK.
fn callee() -> Session {
    let mut session = Session::new(Role::Uas, 1);
    session.final_sent(OK);
    assert!(session.ack_received(1));
    session
}

#[test]
fn is_small() {
    assert!(size_of::<Session>() <= 24, "{}", size_of::<Session>());
}

/// RFC 3261 §14.1: a UAC waits for INVITEs in either direction.
#[test]
fn one_invite_at_a_time() {
    let mut session = Session::new(Role::Uac, 1);
    assert_eq!(session.may_invite(), Err(Busy::OurInvite));
    session.answered(1, OK, never);
    assert_eq!(session.may_invite(), Err(Busy::OurInvite), "the ACK goes first");
    session.ack_sent(7);
    assert_eq!(session.may_invite(), Err(Busy::OurInvite), "an ACK to something else");
    session.ack_sent(1);
    assert_eq!(session.invite_sent(2), Ok(()));
    assert_eq!(session.invite_sent(3), Err(Busy::OurInvite));
    assert_eq!(session.answered(3, OK, never), Answer::Ignored);
    assert_eq!(session.answered(2, OK, never), Answer::Accepted);

    let mut session = Session::new(Role::Uas, 1);
    assert_eq!(session.may_invite(), Err(Busy::TheirInvite));
    session.final_sent(OK);
    assert_eq!(session.may_invite(), Err(Busy::TheirInvite), "the ACK is awaited");
    assert!(!session.ack_received(2), "an ACK to something else");
    assert_eq!(session.may_invite(), Err(Busy::TheirInvite));
    assert!(session.ack_received(1));
    assert_eq!(session.may_invite(), Ok(()));

    let mut session = callee();
    session.receive_invite(2, never).unwrap();
    assert_eq!(session.may_invite(), Err(Busy::TheirInvite));
    session.final_sent(StatusCode::NOT_ACCEPTABLE_HERE);
    assert_eq!(session.may_invite(), Err(Busy::TheirInvite), "until the transaction is confirmed");
    session.ack_missed();
    assert_eq!(session.may_invite(), Ok(()));
    session.end();
    assert_eq!(session.may_invite(), Err(Busy::Ended));
}

/// RFC 3261 §14.2: 491 while our INVITE is in progress, until its ACK is out.
#[test]
fn glare_is_answered_491() {
    let mut session = caller();
    session.invite_sent(2).unwrap();
    let rejection = session.receive_invite(1, never).unwrap_err();
    assert_eq!(rejection, Rejection::new(StatusCode::REQUEST_PENDING));
    session.answered(2, OK, never);
    assert_eq!(session.receive_invite(2, never).unwrap_err().status, StatusCode::REQUEST_PENDING);
    session.ack_sent(2);
    assert_eq!(session.receive_invite(3, never), Ok(()));
}

/// RFC 3261 §14.2: 500 with Retry-After while their first INVITE has no final response.
#[test]
fn a_second_invite_is_answered_500() {
    let mut session = callee();
    session.receive_invite(2, never).unwrap();
    for (draw, seconds) in [(least as fn(_) -> _, 0), (most, 10), (|_| 99, 10)] {
        let rejection = session.receive_invite(3, draw).unwrap_err();
        assert_eq!(rejection.status, StatusCode::SERVER_INTERNAL_ERROR);
        assert_eq!(rejection.retry_after, Some(seconds));
    }
    assert_eq!(session.unanswered(), Some(2));
    session.final_sent(OK);
    assert_eq!(session.unanswered(), None);
    assert_eq!(session.awaiting_ack(), Some(2));
    // RFC 5407 §3.1.5: the ACK is late.
    assert_eq!(session.receive_invite(3, never).unwrap_err().status, StatusCode::REQUEST_PENDING);
    assert!(session.ack_received(2));
    assert_eq!(session.receive_invite(3, never), Ok(()));
}

/// RFC 3261 §14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, by 10 ms.
#[test]
fn the_back_off_after_491() {
    let glare = |mut session: Session, draw: fn(RangeInclusive<u32>) -> u32| {
        session.invite_sent(2).unwrap();
        let answer = session.answered(2, StatusCode::REQUEST_PENDING, draw);
        assert_eq!(session.may_invite(), Ok(()));
        match answer {
            Answer::Glare { wait } => wait.as_millis(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(glare(caller(), least), 2100);
    assert_eq!(glare(caller(), most), 4000);
    assert_eq!(glare(caller(), |_| 333), 3330);
    assert_eq!(glare(caller(), |_| 1), 2100, "out of range");
    assert_eq!(glare(callee(), least), 0);
    assert_eq!(glare(callee(), most), 2000);
    assert_eq!(glare(callee(), |_| 1000), 2000, "out of range");
}

/// Two ends that send INVITE at once both refuse, and the one that waits less wins.
#[test]
fn glare_ends_well() {
    let (mut alice, mut bob) = (caller(), callee());
    alice.invite_sent(2).unwrap();
    bob.invite_sent(1).unwrap();
    let to_bob = bob.receive_invite(2, never).unwrap_err().status;
    let to_alice = alice.receive_invite(1, never).unwrap_err().status;
    let Answer::Glare { wait: alice_waits } = alice.answered(2, to_bob, least) else { panic!() };
    let Answer::Glare { wait: bob_waits } = bob.answered(1, to_alice, most) else { panic!() };
    assert!(bob_waits < alice_waits, "whatever is drawn");
    bob.invite_sent(2).unwrap();
    alice.receive_invite(2, never).unwrap();
    alice.final_sent(OK);
    assert_eq!(bob.answered(2, OK, never), Answer::Accepted);
    bob.ack_sent(2);
    assert!(alice.ack_received(2));
    assert_eq!((alice.may_invite(), bob.may_invite()), (Ok(()), Ok(())));
}

#[test]
fn a_refused_reinvite_leaves_the_session_as_it_was() {
    let mut session = caller();
    let before = session;
    session.invite_sent(2).unwrap();
    assert_eq!(session.answered(2, StatusCode::NOT_ACCEPTABLE_HERE, never), Answer::Refused);
    assert_eq!(session, before);
}

/// RFC 3261 §14.1, §12.2.1.2.
#[test]
fn a_reinvite_answered_481_or_408_ends_the_dialog() {
    for status in [StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, StatusCode::REQUEST_TIMEOUT] {
        let mut session = caller();
        session.invite_sent(2).unwrap();
        assert_eq!(session.answered(2, status, never), Answer::Terminated);
        assert!(ends_dialog(status));
        assert_eq!(session.may_bye(), Bye::Now, "terminating consists of sending a BYE");
    }
    assert!(!ends_dialog(StatusCode::SERVER_INTERNAL_ERROR));
    assert!(!ends_dialog(StatusCode::REQUEST_PENDING));
}

/// RFC 3261 §13.2.2.3: no dialog survives, whatever the status.
#[test]
fn a_refused_initial_invite_ends_the_session() {
    for status in [StatusCode::BUSY_HERE, StatusCode::REQUEST_PENDING, StatusCode::DECLINE] {
        let mut session = Session::new(Role::Uac, 1);
        assert_eq!(session.answered(1, status, never), Answer::Terminated);
        assert!(session.is_ended());
        assert_eq!(session.may_bye(), Bye::Ended);
        // "Subsequent final responses … MUST be ignored."
        assert_eq!(session.answered(1, OK, never), Answer::Ignored);
    }
    let mut session = Session::new(Role::Uas, 1);
    session.final_sent(StatusCode::BUSY_HERE);
    assert!(session.is_ended());
    assert_eq!(session.receive_invite(2, never).unwrap_err().status.as_u16(), 481);
}

#[test]
fn provisional_responses_and_repeats_change_nothing() {
    let mut session = Session::new(Role::Uac, 1);
    let before = session;
    assert_eq!(session.answered(1, StatusCode::RINGING, never), Answer::Ignored);
    assert_eq!(session, before);
    session.answered(1, OK, never);
    session.ack_sent(1);
    let before = session;
    assert_eq!(session.answered(1, OK, never), Answer::Ignored);
    assert_eq!(session, before);

    let mut session = Session::new(Role::Uas, 1);
    session.final_sent(StatusCode::RINGING);
    assert_eq!(session.unanswered(), Some(1));
    session.final_sent(OK);
    session.final_sent(StatusCode::BUSY_HERE);
    assert_eq!(session.may_bye(), Bye::AfterAck, "the second final response is none");
}

/// RFC 3261 §15: who may send a BYE when.
#[test]
fn when_a_bye_may_go() {
    // The caller: at any time, but after the ACK that is owed.
    let mut session = Session::new(Role::Uac, 1);
    assert_eq!(session.may_bye(), Bye::Now);
    session.answered(1, OK, never);
    assert_eq!(session.may_bye(), Bye::AckFirst);
    session.ack_sent(1);
    assert_eq!(session.may_bye(), Bye::Now);
    session.invite_sent(2).unwrap();
    assert_eq!(session.may_bye(), Bye::Now);
    assert!(session.end());
    assert!(!session.end());
    assert_eq!(session.may_bye(), Bye::Ended);

    // The callee: not in an early dialog, not before the ACK or the end of the wait for it.
    let mut session = Session::new(Role::Uas, 1);
    assert_eq!(session.may_bye(), Bye::Refuse);
    session.final_sent(OK);
    assert_eq!(session.may_bye(), Bye::AfterAck);
    assert!(session.is_established());
    let mut acknowledged = session;
    assert!(acknowledged.ack_received(1));
    assert_eq!(acknowledged.may_bye(), Bye::Now);
    session.ack_missed();
    assert_eq!(session.may_bye(), Bye::Now);

    // The rule is of the initial INVITE: a session that is up may be ended during a re-INVITE.
    let mut session = callee();
    session.receive_invite(2, never).unwrap();
    assert_eq!(session.may_bye(), Bye::Now);
    session.final_sent(OK);
    assert_eq!(session.may_bye(), Bye::Now);
}

#[test]
fn an_unanswered_invite_is_known_after_the_end() {
    let mut session = callee();
    session.receive_invite(2, never).unwrap();
    session.end();
    assert_eq!(session.unanswered(), Some(2), "a 487 is owed");
    session.final_sent(StatusCode::REQUEST_TERMINATED);
    assert_eq!(session.unanswered(), None);
}

#[test]
fn an_invite_sent_again_with_credentials_keeps_its_turn() {
    let mut session = caller();
    session.invite_sent(2).unwrap();
    session.invite_resent(3);
    assert_eq!(session.answered(2, OK, never), Answer::Ignored);
    assert_eq!(session.answered(3, OK, never), Answer::Accepted);
}
