use core::time::Duration;
use std::time::Instant;

use sip_message::{Limits, Message};

use super::{Attempt, LONGEST, Measure, Measures};

/// Plays `SECONDS REQUEST` and `SECONDS STATUS METHOD` of one Call-ID; `+` has a To tag.
fn play(script: &str) -> Vec<Measure> {
    let (mut measures, start) = (Measures::new(10), Instant::now());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, what) = line.split_once(' ').unwrap();
        step(&mut measures, start + Duration::from_secs(at.parse().unwrap()), "1", what);
    }
    assert!(measures.is_empty(), "something is left: {measures:?}");
    std::iter::from_fn(|| measures.poll()).collect()
}

fn step(measures: &mut Measures, now: Instant, call_id: &str, what: &str) {
    let (what, tag) = match what.strip_suffix('+') {
        Some(what) => (what, ";tag=2"),
        None => (what, ""),
    };
    let (line, method) = match what.split_once(' ') {
        Some((status, method)) => (format!("SIP/2.0 {status} x"), method),
        None => (format!("{what} sip:b@c SIP/2.0"), what),
    };
    let text =
        format!("{line}\r\nTo: <sip:b@c>{tag}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n");
    match Message::parse(text.into_bytes().into(), &Limits::default()).unwrap() {
        Message::Request(request) => measures.received(now, &request),
        Message::Response(response) => measures.sent(now, &response),
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_registration_takes_from_its_first_request_through_the_challenge() {
    let found = play("0 REGISTER\n 1 REGISTER\n 2 401 REGISTER\n 3 REGISTER\n 5 200 REGISTER");
    assert_eq!(found, [Measure::RegistrationDelay(secs(5))]);
    // Its refresh is another.
    let found = play("0 REGISTER\n 1 200 REGISTER\n 60 REGISTER\n 63 200 REGISTER");
    assert_eq!(found, [Measure::RegistrationDelay(secs(1)), Measure::RegistrationDelay(secs(3))]);
    for status in [403, 423, 500, 503, 604] {
        let found = play(&format!("0 REGISTER\n 1 100 REGISTER\n 2 {status} REGISTER"));
        assert_eq!(found, [Measure::RegistrationIneffective], "{status}");
    }
    assert_eq!(play("0 REGISTER\n 1 302 REGISTER"), []);
}

#[test]
fn a_session_is_measured_from_its_invite_to_the_end_of_its_bye() {
    let found = play(
        "0 INVITE
         1 100 INVITE
         2 407 INVITE
         3 INVITE
         5 180 INVITE
         8 183 INVITE
         10 200 INVITE
         11 200 INVITE
         12 ACK+
         20 INVITE+
         21 488 INVITE
         40 BYE+
         41 BYE+
         43 200 BYE",
    );
    assert_eq!(
        found,
        [
            Measure::RequestDelay { delay: secs(5), successful: true },
            Measure::Attempt(Attempt::Established),
            Measure::SessionDuration(secs(30)),
            Measure::DisconnectDelay(secs(3)),
        ]
    );
    // Answered at once.
    let found = play("0 INVITE\n 4 200 INVITE\n 5 BYE+\n 6 500 BYE");
    assert_eq!(found[0], Measure::RequestDelay { delay: secs(4), successful: true });
    assert_eq!(found.last(), Some(&Measure::SessionDuration(secs(1))), "no 2xx, no delay");
}

#[test]
fn a_session_that_fails_says_how() {
    for (status, attempt) in [
        (486, Attempt::Failed),
        (487, Attempt::Failed),
        (603, Attempt::Failed),
        (408, Attempt::Ineffective),
        (500, Attempt::Ineffective),
        (503, Attempt::Ineffective),
        (504, Attempt::Ineffective),
    ] {
        let found = play(&format!("0 INVITE\n 2 180 INVITE\n 9 {status} INVITE"));
        let delay = Measure::RequestDelay { delay: secs(2), successful: false };
        assert_eq!(found, [delay, Measure::Attempt(attempt)], "{status}");
    }
    assert_eq!(play("0 INVITE\n 1 302 INVITE"), [Measure::Attempt(Attempt::Redirected)]);
}

#[test]
fn what_is_under_way_is_bounded_and_what_nobody_answers_makes_room() {
    let (mut measures, start) = (Measures::new(10), Instant::now());
    for number in 0..12 {
        step(&mut measures, start, &number.to_string(), "REGISTER");
    }
    assert_eq!((measures.len(), measures.missed()), (10, 2));
    // A session that stands is never swept away.
    step(&mut measures, start, "0", "200 REGISTER");
    step(&mut measures, start, "0", "INVITE");
    step(&mut measures, start, "0", "200 INVITE");
    step(&mut measures, start + LONGEST, "20", "INVITE");
    assert_eq!(measures.len(), 2);
    // Nobody takes the measures: they do not pile up.
    for _ in 0..5_000 {
        step(&mut measures, start, "x", "REGISTER");
        step(&mut measures, start, "x", "200 REGISTER");
    }
    assert_eq!(std::iter::from_fn(|| measures.poll()).count(), super::MOST);
}
