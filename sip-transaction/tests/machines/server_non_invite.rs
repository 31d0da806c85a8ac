//! Figure 8 of RFC 3261, with RFC 4320 and RFC 6026 §8.8: a test for each arrow.

use crate::script;
use crate::script::header;

#[test]
fn trying_discards_repeats() {
    script! {
        server over udp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at  500 ms  recv MESSAGE   => nothing
        at 1500 ms  recv MESSAGE   => nothing
        at 1600 ms  from_tu 200    => send 200
        at 33.6 s                  => ended
    };
}

#[test]
fn trying_200_to_699_to_completed() {
    for code in [200, 302, 404, 500, 603] {
        crate::script::Run::new("udp").play(&format!(
            "at 0 ms recv BYE => to_tu BYE
             at 1 ms from_tu {code} => send {code}
             at 32001 ms => ended"
        ));
    }
}

#[test]
fn trying_100_from_the_user_over_a_reliable_transport_to_proceeding() {
    script! {
        server over tcp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at   10 ms  from_tu 100    => send 100
        at   20 ms  from_tu 100    => send 100
        at   30 ms  recv MESSAGE   => send 100
        at   40 ms  from_tu 200    => send 200, ended
    };
}

#[test]
fn trying_100_from_the_user_over_udp_waits_until_the_client_slowed_down() {
    script! {
        server over udp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at   10 ms  from_tu 100    => nothing
        at 3500 ms                 => send 100
        at 3600 ms  from_tu 100    => send 100
        at 3700 ms  from_tu 200    => send 200
        at 35.7 s                  => ended
    };
}

#[test]
fn silence_is_broken_by_a_100_over_any_transport() {
    let run = script! {
        server over tcp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at 3500 ms                 => send 100
        at 5000 ms  from_tu 200    => send 200, ended
    };
    assert_eq!(header(run.sent_as("100")[0], "To"), ["<sip:alice@192.0.2.1>"]);
}

#[test]
fn no_other_provisional_response_is_sent() {
    script! {
        server over tcp
        at   0 ms  recv MESSAGE   => to_tu MESSAGE
        at  10 ms  from_tu 180    => nothing
        at  20 ms  from_tu 100    => send 100
        at  30 ms  from_tu 183    => nothing
        at  40 ms  from_tu 200    => send 200, ended
    };
}

#[test]
fn no_408_is_sent() {
    script! {
        server over udp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at   10 ms  from_tu 408    => nothing
        at  500 ms  recv MESSAGE   => nothing
        at 32.01 s                 => ended
    };
    script! {
        server over tcp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at 3500 ms                 => send 100
        at 9000 ms  from_tu 408    => ended
    };
}

#[test]
fn proceeding_sends_the_100_again() {
    let run = script! {
        server over udp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at 3500 ms                 => send 100
        at 7500 ms  recv MESSAGE   => send 100
        at   11 s   recv MESSAGE   => send 100
        at   12 s   from_tu 200    => send 200
        at   44 s                  => ended
    };
    assert_eq!(run.sent_as("100")[0], run.sent_as("100")[1]);
}

#[test]
fn proceeding_transport_error_is_told_and_changes_nothing() {
    script! {
        server over udp
        at    0 ms  recv MESSAGE     => to_tu MESSAGE
        at 3500 ms                   => send 100
        at 3600 ms  transport_error  => to_tu transport_error
        at 7500 ms  recv MESSAGE     => send 100
        at 8000 ms  from_tu 200      => send 200
        at   40 s                    => ended
    };
}

#[test]
fn proceeding_ends_when_no_answer_can_be_of_use() {
    script! {
        server over udp
        at    0 ms  recv MESSAGE   => to_tu MESSAGE
        at 3500 ms                 => send 100
        at 35.5 s                  => ended
    };
}

#[test]
fn completed_answers_repeats_and_discards_what_the_user_says_next() {
    let run = script! {
        server over udp
        at    0 ms  recv BYE       => to_tu BYE
        at  100 ms  from_tu 200    => send 200
        at  500 ms  recv BYE       => send 200
        at  600 ms  from_tu 404    => nothing
        at  700 ms  from_tu 100    => nothing
        at  800 ms  from_tu 180    => nothing
        at  900 ms  from_tu 408    => nothing
        at 1500 ms  recv BYE       => send 200
        at 32.1 s                  => ended
        at 32.2 s   recv BYE       => to_tu BYE
        at 32.2 s   from_tu 481    => send 481
        at 64.2 s                  => ended
    };
    let sent = run.sent_as("200");
    assert!(sent.iter().all(|ok| *ok == sent[0]));
}

#[test]
fn completed_transport_error_is_told_and_changes_nothing() {
    script! {
        server over udp
        at    0 ms  recv BYE         => to_tu BYE
        at  100 ms  from_tu 200      => send 200
        at  110 ms  transport_error  => to_tu transport_error
        at  500 ms  recv BYE         => send 200
        at 32.1 s                    => ended
    };
}

#[test]
fn completed_lasts_no_time_over_a_reliable_transport() {
    script! {
        server over tcp
        at   0 ms  recv BYE       => to_tu BYE
        at 100 ms  from_tu 200    => send 200, ended
    };
}
