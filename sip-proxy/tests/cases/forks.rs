//! Every class of response on every shape of fork, and what ends a branch without one.

use std::time::Duration;

use sip_message::{HeaderName, Method};
use sip_proxy::Route;

use crate::stage::{BOB, Stage, config, phone, raw, request};

fn serial(phones: u8) -> Stage {
    Stage::new(move |_| Route::serial((0..phones).map(|index| phone(11 + index))))
}

/// Bob's phones, `"11 12, 13"` being two at the same time and then one, each of which answers its final response;
/// what Alice is answered at last.
fn answered(groups: &'static str, finals: &[(u8, u16)]) -> u16 {
    let mut stage = Stage::new(move |_| {
        let target = |text: &str| sip_proxy::RouteTarget::new(phone(text.parse().unwrap()));
        let group = |group: &str| group.split_whitespace().map(target).collect();
        Route::groups(groups.split(',').map(group).collect())
    });
    stage.invite("");
    let mut told = Vec::new();
    for (from, status) in finals {
        told.extend(stage.answer(*from, *status));
    }
    let answers = told.iter().filter_map(|line| line.strip_suffix(" > 10")?.parse().ok());
    let answers: Vec<u16> = answers.collect();
    assert_eq!(answers.len(), 1, "{groups} {finals:?}: {told:?}");
    if answers[0] >= 300 {
        stage.recv(10, request(&Method::Ack, BOB, ""));
    }
    stage.finish();
    answers[0]
}

#[test]
fn each_class_of_response_passes_one_target() {
    for status in [200, 202, 302, 404, 486, 500, 504, 600, 603] {
        assert_eq!(answered("11", &[(11, status)]), status);
    }
}

#[test]
fn each_class_of_response_of_a_parallel_fork() {
    for (first, second, best) in [
        (404, 486, 404),
        (500, 486, 486),
        (302, 404, 302),
        (302, 500, 302),
        (404, 603, 603),
        (302, 600, 600),
        (486, 401, 401),
        (404, 407, 407),
        (404, 200, 200),
        (503, 500, 500),
        (503, 404, 404),
        (408, 480, 480),
        (487, 486, 486),
    ] {
        assert_eq!(answered("11 12", &[(11, first), (12, second)]), best, "{first} {second}");
        // Of equals the first is told; one that ends the search leaves nothing to come after it.
        if (first, second) != (404, 486) && second != 200 && second < 600 {
            assert_eq!(answered("11 12", &[(12, second), (11, first)]), best, "{second} {first}");
        }
    }
}

#[test]
fn each_class_of_response_of_a_serial_fork() {
    for (first, second, best) in
        [(404, 486, 404), (500, 486, 486), (302, 404, 302), (404, 603, 603), (486, 200, 200)]
    {
        assert_eq!(answered("11, 12", &[(11, first), (12, second)]), best, "{first} {second}");
    }
}

#[test]
fn each_class_of_response_of_serial_groups() {
    let finals = |third| [(11, 404), (12, 486), (13, third)];
    for (third, best) in [(200, 200), (603, 603), (500, 404), (302, 302), (407, 407)] {
        assert_eq!(answered("11 12, 13", &finals(third)), best, "{third}");
    }
}

#[test]
fn a_6xx_ends_the_search() {
    let mut stage = serial(2);
    stage.invite("");
    assert_eq!(stage.answer(11, 603), ["ACK > 11", "603 > 10"]);
    stage.finish();
}

/// RFC 3261 §16.7: the caller never gets a 6xx and then a 2xx.
#[test]
fn a_2xx_that_crosses_the_cancel_after_a_6xx_is_the_answer() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    stage.answer(12, 180);
    assert_eq!(stage.answer(11, 603), ["ACK > 11", "CANCEL > 12"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    stage.answer_to(12, &Method::Cancel, 200, "");
    stage.finish();
}

#[test]
fn a_6xx_waits_for_those_that_are_cancelled() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    stage.answer(12, 180);
    stage.answer(11, 603);
    stage.answer_to(12, &Method::Cancel, 200, "");
    assert_eq!(stage.answer(12, 487), ["ACK > 12", "603 > 10"]);
    stage.finish();
}

#[test]
fn a_2xx_cancels_the_others() {
    let mut stage = Stage::parallel(3);
    stage.invite("");
    stage.answer(11, 180);
    assert_eq!(stage.answer(12, 200), ["200 > 10", "CANCEL > 11"]);
    // One that has said nothing yet is cancelled as soon as it does.
    assert_eq!(stage.answer(13, 100), ["CANCEL > 13"]);
    for phone in [11, 13] {
        stage.answer_to(phone, &Method::Cancel, 200, "");
        assert_eq!(stage.answer(phone, 487), [format!("ACK > {phone}")]);
    }
    stage.finish();
}

#[test]
fn two_2xx_both_reach_the_caller_and_their_repeats() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    assert_eq!(stage.answer(11, 200), ["200 > 10"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    assert_eq!(stage.answer(11, 200), ["200 > 10"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    stage.finish();
}

/// RFC 6026 §7.3: what comes when the transaction is over is nobody's.
#[test]
fn a_2xx_that_comes_too_late_goes_nowhere() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    stage.answer(11, 200);
    stage.wait(Duration::from_secs(64));
    assert!(stage.answer(11, 200).is_empty());
    stage.finish();
}

#[test]
fn a_second_final_response_of_a_branch_is_acknowledged_and_no_more() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    assert_eq!(stage.answer(11, 486), ["ACK > 11", "486 > 10"]);
    assert_eq!(stage.answer(11, 486), ["ACK > 11"]);
    assert!(stage.answer(11, 200).is_empty());
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn challenges_of_all_branches_reach_the_caller() {
    let mut stage = Stage::parallel(3);
    stage.invite("");
    let (www, proxy) =
        ("WWW-Authenticate: Digest realm=\"a\"\r\n", "Proxy-Authenticate: Digest realm=\"b\"\r\n");
    stage.answer_to(11, &Method::Invite, 401, www);
    stage.answer(12, 486);
    assert_eq!(stage.answer_to(13, &Method::Invite, 407, proxy), ["ACK > 13", "401 > 10"]);
    let response = stage.response(10, 401);
    assert_eq!(raw(response.headers(), HeaderName::WwwAuthenticate).len(), 1);
    assert_eq!(raw(response.headers(), HeaderName::ProxyAuthenticate).len(), 1);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn a_503_alone_becomes_a_500() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    stage.answer_to(11, &Method::Invite, 503, "Retry-After: 5\r\n");
    assert_eq!(stage.answer(12, 503), ["ACK > 12", "500 > 10"]);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn one_branch_that_times_out_does_not_hide_the_answer_of_another() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    assert_eq!(stage.answer(12, 486), ["ACK > 12"]);
    let out = stage.wait(Duration::from_secs(33));
    assert_eq!(out.last().unwrap(), "486 > 10");
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn all_branches_that_time_out_are_a_408() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    let out = stage.wait(Duration::from_secs(33));
    assert_eq!(out.last().unwrap(), "408 > 10");
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn one_branch_that_cannot_be_reached_does_not_keep_the_other() {
    let mut stage = Stage::parallel(2);
    stage.gone.push(11);
    assert_eq!(stage.invite(""), ["INVITE > 12", "100 > 10"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    stage.finish();
}

#[test]
fn nobody_can_be_reached() {
    let mut stage = serial(2);
    stage.gone.extend([11, 12]);
    let out = stage.invite("");
    assert_eq!(out.last().unwrap(), "500 > 10", "{out:?}");
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

/// RFC 4320 §4.1, §4.2: nobody waits for a 408 any more, and a 100 comes only when the client slows down.
#[test]
fn a_message_that_is_never_answered_gets_no_408() {
    let mut stage = Stage::parallel(1);
    assert_eq!(stage.recv(10, request(&Method::Message, BOB, "")), ["MESSAGE > 11"]);
    let out = stage.wait(Duration::from_secs(40));
    assert!(!out.iter().any(|line| line.starts_with("408")), "{out:?}");
    stage.finish();
}

#[test]
fn a_message_to_two_phones_has_one_answer() {
    let mut stage = Stage::parallel(2);
    stage.recv(10, request(&Method::Message, BOB, ""));
    assert_eq!(stage.answer_to(12, &Method::Message, 200, ""), ["200 MESSAGE > 10"]);
    assert!(stage.answer_to(11, &Method::Message, 200, "").is_empty());
    stage.finish();
}

#[test]
fn every_provisional_response_but_100_passes() {
    let mut stage = Stage::parallel(2);
    stage.invite("");
    assert!(stage.answer(11, 100).is_empty());
    for status in [180, 181, 182, 183, 199] {
        assert_eq!(stage.answer(12, status), [format!("{status} > 10")]);
    }
    stage.answer(11, 200);
    assert!(stage.answer(12, 180).is_empty(), "not after the final one");
    stage.answer_to(12, &Method::Cancel, 200, "");
    stage.answer(12, 487);
    stage.finish();
}

#[test]
fn a_method_that_nobody_knows_is_forwarded_and_stays_in_the_path() {
    let mut stage = Stage::parallel(1);
    let dance = Method::from_bytes(b"DANCE").unwrap();
    assert_eq!(stage.recv(10, request(&dance, BOB, "")), ["DANCE > 11"]);
    let forwarded = stage.request(11, &dance);
    assert_eq!(raw(forwarded.headers(), HeaderName::RecordRoute).len(), 1);
    assert_eq!(stage.answer_to(11, &dance, 200, ""), ["200 DANCE > 10"]);
    stage.finish();
}

/// RFC 5393 §5.3.3.
#[test]
fn a_fork_beyond_the_breadth_goes_on_one_after_the_other() {
    let mut stage = Stage::parallel(3);
    assert_eq!(stage.invite("Max-Breadth: 2\r\n"), ["INVITE > 11", "INVITE > 12", "100 > 10"]);
    assert_eq!(stage.answer(11, 486), ["ACK > 11"]);
    assert_eq!(stage.answer(12, 486), ["ACK > 12", "INVITE > 13"]);
    assert_eq!(stage.answer(13, 200), ["200 > 10"]);
    stage.finish();
}

#[test]
fn early_dialogs_that_end_are_told_by_199_to_who_supports_it() {
    let mut stage = Stage::parallel(2);
    stage.invite("Supported: 199\r\n");
    stage.answer(11, 180);
    assert_eq!(stage.answer(11, 486), ["ACK > 11", "199 > 10"]);
    let ended = stage.response(10, 199);
    assert_eq!(ended.headers().to_tag(), Some("t11"));
    assert_eq!(raw(ended.headers(), HeaderName::Reason), ["SIP;cause=486"]);
    assert!(raw(ended.headers(), HeaderName::RecordRoute).is_empty());
    assert_eq!(
        stage.answer(12, 404),
        ["ACK > 12", "486 > 10"],
        "the last one is told by the answer"
    );
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

#[test]
fn no_199_for_who_does_not_support_it_or_wants_it_reliable() {
    for more in ["", "Supported: 199\r\nRequire: 100rel\r\n"] {
        let mut stage = Stage::parallel(2);
        stage.invite(more);
        stage.answer(11, 180);
        assert_eq!(stage.answer(11, 486), ["ACK > 11"], "{more}");
        stage.answer(12, 404);
        stage.recv(10, request(&Method::Ack, BOB, ""));
        stage.finish();
    }
}

#[test]
fn no_second_199_for_an_early_dialog_that_had_one() {
    let mut stage = Stage::parallel(2);
    stage.invite("Supported: 199\r\n");
    stage.answer(11, 180);
    assert_eq!(stage.answer(11, 199), ["199 > 10"]);
    assert_eq!(stage.answer(11, 486), ["ACK > 11"]);
    stage.answer(12, 404);
    stage.recv(10, request(&Method::Ack, BOB, ""));
    stage.finish();
}

/// Timer C of one branch (§16.8): a 408 like any other.
#[test]
fn a_branch_that_rings_for_ever_is_cancelled() {
    let mut stage = Stage::with(config().timer_c(Duration::from_secs(190)), |_| {
        Route::serial([phone(11), phone(12)])
    });
    stage.invite("");
    stage.answer(11, 180);
    assert!(stage.wait(Duration::from_secs(189)).is_empty());
    assert_eq!(stage.wait(Duration::from_secs(1)), ["CANCEL > 11"]);
    stage.answer_to(11, &Method::Cancel, 200, "");
    assert_eq!(stage.answer(11, 487), ["ACK > 11", "INVITE > 12"]);
    assert_eq!(stage.answer(12, 200), ["200 > 10"]);
    stage.finish();
}

/// RFC 3261 §16.6 item 11, wherever it is set.
#[test]
fn timer_c_is_never_shorter_than_three_minutes() {
    let second = Duration::from_secs(1);
    let mut short = config();
    short.timer_c = second;
    let mut options = sip_proxy::ProxyOptions::default();
    options.timer_c = Some(second);
    let by_options = Stage::new(move |_| Route::to(phone(11)).with_options(options));
    for mut stage in [Stage::with(short, |_| Route::to(phone(11))), by_options] {
        stage.invite("");
        stage.answer(11, 180);
        assert!(stage.wait(180 * second).is_empty());
        assert_eq!(stage.wait(second), ["CANCEL > 11"]);
        stage.answer_to(11, &Method::Cancel, 200, "");
        stage.answer(11, 487);
        stage.recv(10, request(&Method::Ack, BOB, ""));
        stage.finish();
    }
}
