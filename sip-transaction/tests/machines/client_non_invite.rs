//! Figure 6 of RFC 3261: a test for each arrow.

use crate::script;

#[test]
fn trying_timer_e_sends_again_and_doubles_up_to_t2() {
    let run = script! {
        client over udp
        at     0 ms  from_tu OPTIONS  => send OPTIONS
        at   500 ms                   => send OPTIONS
        at  1500 ms                   => send OPTIONS
        at  3500 ms                   => send OPTIONS
        at  7500 ms                   => send OPTIONS
        at  11.5 s                    => send OPTIONS
        at  15.5 s                    => send OPTIONS
        at  19.5 s                    => send OPTIONS
        at  23.5 s                    => send OPTIONS
        at  27.5 s                    => send OPTIONS
        at  31.5 s                    => send OPTIONS
        at    32 s                    => to_tu timeout, ended
    };
    let sent = run.sent_as("OPTIONS");
    assert!(sent.iter().all(|options| *options == sent[0]));
}

#[test]
fn trying_timer_f_ends_over_a_reliable_transport() {
    script! {
        client over tcp
        at  0 ms  from_tu BYE  => send BYE
        at 32 s                => to_tu timeout, ended
    };
}

#[test]
fn trying_transport_error_ends() {
    script! {
        client over tcp
        at  0 ms  from_tu BYE      => send BYE
        at 10 ms  transport_error  => to_tu transport_error, ended
    };
}

#[test]
fn trying_1xx_to_proceeding_where_timer_e_is_t2() {
    script! {
        client over udp
        at    0 ms  from_tu MESSAGE  => send MESSAGE
        at  100 ms  recv 100         => to_tu 100
        at  500 ms                   => send MESSAGE
        at 4500 ms                   => send MESSAGE
        at 8500 ms                   => send MESSAGE
        at 9000 ms  recv 200         => to_tu 200
        at   14 s                    => ended
    };
}

#[test]
fn trying_200_to_699_to_completed() {
    for code in [200, 202, 302, 404, 503, 603] {
        crate::script::Run::new("udp").play(&format!(
            "at 0 ms from_tu BYE => send BYE
             at 1 ms recv {code} => to_tu {code}
             at 5001 ms => ended"
        ));
    }
}

#[test]
fn proceeding_1xx_goes_up_each_time() {
    script! {
        client over tcp
        at    0 ms  from_tu MESSAGE  => send MESSAGE
        at  100 ms  recv 100         => to_tu 100
        at  200 ms  recv 100         => to_tu 100
        at  300 ms  recv 183         => to_tu 183
        at  400 ms  recv 200         => to_tu 200, ended
    };
}

#[test]
fn proceeding_timer_f_ends() {
    script! {
        client over tcp
        at  0 ms  from_tu MESSAGE  => send MESSAGE
        at 10 ms  recv 100         => to_tu 100
        at 32 s                    => to_tu timeout, ended
    };
}

#[test]
fn proceeding_transport_error_ends() {
    script! {
        client over udp
        at   0 ms  from_tu MESSAGE  => send MESSAGE
        at  10 ms  recv 100         => to_tu 100
        at 500 ms                   => send MESSAGE
        at 510 ms  transport_error  => to_tu transport_error, ended
    };
}

#[test]
fn proceeding_200_to_699_to_completed() {
    script! {
        client over udp
        at    0 ms  from_tu MESSAGE  => send MESSAGE
        at  100 ms  recv 100         => to_tu 100
        at  200 ms  recv 404         => to_tu 404
        at 5200 ms                   => ended
    };
}

#[test]
fn completed_absorbs_everything() {
    script! {
        client over udp
        at    0 ms  from_tu MESSAGE  => send MESSAGE
        at  100 ms  recv 200         => to_tu 200
        at  200 ms  recv 200         => nothing
        at  300 ms  recv 404         => nothing
        at  400 ms  recv 100         => nothing
        at  500 ms  transport_error  => nothing
        at 5100 ms                   => ended
        at 5200 ms  recv 200         => nothing
    };
}

#[test]
fn completed_lasts_no_time_over_a_reliable_transport() {
    script! {
        client over tcp
        at   0 ms  from_tu MESSAGE  => send MESSAGE
        at 100 ms  recv 200         => to_tu 200, ended
        at 200 ms  recv 200         => nothing
    };
}

#[test]
fn a_cancel_of_anything_but_an_invite_does_nothing() {
    script! {
        client over tcp
        at   0 ms  from_tu MESSAGE  => send MESSAGE
        at  10 ms  recv 100         => to_tu 100
        at  20 ms  from_tu cancel   => nothing
        at 100 ms  recv 200         => to_tu 200, ended
    };
}
