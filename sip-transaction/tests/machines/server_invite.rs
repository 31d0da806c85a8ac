//! Figure 7 of RFC 3261 as replaced by RFC 6026 §8.6: a test for each arrow.

use crate::script;
use crate::script::header;

#[test]
fn proceeding_sends_100_when_the_user_is_silent_for_200_ms() {
    let run = script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  200 ms                => send 100
        at  500 ms  recv INVITE   => send 100
        at  600 ms  from_tu 180   => send 180
        at  700 ms  recv INVITE   => send 180
        at  800 ms  from_tu 404   => send 404
        at  900 ms  recv ACK      => to_tu confirmed
        at 5900 ms                => ended
    };
    let trying = run.sent_as("100")[0];
    assert_eq!(header(trying, "To"), ["<sip:alice@192.0.2.1>"], "no tag in a 100");
    assert_eq!(header(trying, "CSeq"), ["9 INVITE"]);
    assert_eq!(header(trying, "Via").len(), 1);
}

#[test]
fn proceeding_sends_no_100_when_the_user_is_quick() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  199 ms  from_tu 180   => send 180
        at    2 s   from_tu 200   => send 200
        at   34 s                 => ended
    };
}

#[test]
fn proceeding_101_to_199_are_sent_and_the_last_is_repeated() {
    let run = script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at   10 ms  recv INVITE   => nothing
        at  100 ms  from_tu 180   => send 180
        at  200 ms  from_tu 183   => send 183
        at  500 ms  recv INVITE   => send 183
        at  600 ms  from_tu 486   => send 486
        at  700 ms  recv ACK      => to_tu confirmed
        at 5700 ms                => ended
    };
    let progress = run.sent_as("183");
    assert_eq!(progress[0], progress[1]);
}

#[test]
fn proceeding_2xx_to_accepted() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 200   => send 200
        at 32.1 s                 => ended
    };
}

#[test]
fn proceeding_300_to_699_to_completed() {
    for code in [302, 486, 500, 603] {
        crate::script::Run::new("tcp").play(&format!(
            "at 0 ms recv INVITE => to_tu INVITE
             at 1 ms from_tu {code} => send {code}
             at 2 ms recv ACK => to_tu confirmed, ended"
        ));
    }
}

#[test]
fn proceeding_transport_error_is_told_and_changes_nothing() {
    script! {
        server over udp
        at    0 ms  recv INVITE      => to_tu INVITE
        at  100 ms  from_tu 180      => send 180
        at  110 ms  transport_error  => to_tu transport_error
        at  500 ms  recv INVITE      => send 180
        at  600 ms  from_tu 200      => send 200
        at 32.6 s                    => ended
    };
}

#[test]
fn proceeding_ignores_an_ack() {
    script! {
        server over udp
        at    0 ms  recv INVITE  => to_tu INVITE
        at  100 ms  from_tu 180  => send 180
        at  110 ms  recv ACK     => nothing
        at  120 ms  from_tu 200  => send 200
        at 32.12 s               => ended
    };
}

#[test]
fn completed_timer_g_doubles_up_to_t2_and_timer_h_gives_up() {
    let run = script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at    0 ms  from_tu 486   => send 486
        at  500 ms                => send 486
        at 1500 ms                => send 486
        at 3500 ms                => send 486
        at 7500 ms                => send 486
        at 11.5 s                 => send 486
        at 15.5 s                 => send 486
        at 19.5 s                 => send 486
        at 23.5 s                 => send 486
        at 27.5 s                 => send 486
        at 31.5 s                 => send 486
        at   32 s                 => to_tu no_ack, ended
    };
    let sent = run.sent_as("486");
    assert!(sent.iter().all(|busy| *busy == sent[0]));
}

#[test]
fn completed_invite_is_answered_again() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 486   => send 486
        at  200 ms  recv INVITE   => send 486
        at  300 ms  recv ACK      => to_tu confirmed
        at 5300 ms                => ended
    };
}

#[test]
fn completed_ack_to_confirmed_stops_the_repeats() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 486   => send 486
        at  600 ms                => send 486
        at  700 ms  recv ACK      => to_tu confirmed
        at 5700 ms                => ended
    };
}

#[test]
fn completed_transport_error_is_told_and_changes_nothing() {
    script! {
        server over udp
        at    0 ms  recv INVITE      => to_tu INVITE
        at  100 ms  from_tu 486      => send 486
        at  110 ms  transport_error  => to_tu transport_error
        at  600 ms                   => send 486
        at  700 ms  recv ACK         => to_tu confirmed
        at 5700 ms                   => ended
    };
}

#[test]
fn completed_discards_what_the_user_says_next() {
    script! {
        server over tcp
        at   0 ms  recv INVITE   => to_tu INVITE
        at 100 ms  from_tu 486   => send 486
        at 110 ms  from_tu 180   => nothing
        at 120 ms  from_tu 200   => nothing
        at 130 ms  from_tu 603   => nothing
        at 200 ms  recv ACK      => to_tu confirmed, ended
    };
}

#[test]
fn completed_sends_nothing_again_over_a_reliable_transport() {
    script! {
        server over tcp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 486   => send 486
        at 32.1 s                 => to_tu no_ack, ended
    };
}

#[test]
fn confirmed_absorbs_acks_and_invites() {
    script! {
        server over udp
        at    0 ms  recv INVITE      => to_tu INVITE
        at  100 ms  from_tu 486      => send 486
        at  200 ms  recv ACK         => to_tu confirmed
        at  300 ms  recv ACK         => nothing
        at  400 ms  recv INVITE      => nothing
        at  500 ms  from_tu 500      => nothing
        at  600 ms  transport_error  => nothing
        at 5200 ms                   => ended
        at 5300 ms  recv ACK         => to_tu ACK
    };
}

#[test]
fn confirmed_lasts_no_time_over_a_reliable_transport() {
    script! {
        server over tcp
        at   0 ms  recv INVITE   => to_tu INVITE
        at 100 ms  from_tu 486   => send 486
        at 200 ms  recv ACK      => to_tu confirmed, ended
    };
}

#[test]
fn accepted_absorbs_invites_and_sends_only_what_the_user_says() {
    let run = script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 200   => send 200
        at  500 ms  recv INVITE   => nothing
        at  600 ms  from_tu 200   => send 200
        at  700 ms  from_tu 180   => nothing
        at  800 ms  from_tu 486   => nothing
        at 1600 ms  from_tu 200   => send 200
        at 32.1 s                 => ended
    };
    let sent = run.sent_as("200");
    assert!(sent.iter().all(|ok| *ok == sent[0]));
}

#[test]
fn accepted_passes_acks_up() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 200   => send 200
        at  200 ms  recv ACK      => to_tu ACK
        at  300 ms  recv ACK_2xx  => to_tu ACK
        at  400 ms  recv ACK_2xx  => to_tu ACK
        at 32.1 s                 => ended
    };
}

#[test]
fn accepted_transport_error_is_told_and_changes_nothing() {
    script! {
        server over tcp
        at    0 ms  recv INVITE      => to_tu INVITE
        at  100 ms  from_tu 200      => send 200
        at  110 ms  transport_error  => to_tu transport_error
        at  200 ms  recv INVITE      => nothing
        at 32.1 s                    => ended
    };
}

#[test]
fn a_cancel_is_answered_and_told_once() {
    let run = script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 180   => send 180
        at  200 ms  recv CANCEL   => send 200, to_tu cancelled
        at  700 ms  recv CANCEL   => send 200
        at  800 ms  from_tu 487   => send 487
        at  900 ms  recv ACK      => to_tu confirmed
        at 5900 ms                => ended
    };
    let (ringing, ok) = (run.sent_as("180")[0], run.sent_as("200")[0]);
    assert_eq!(header(ok, "To"), header(ringing, "To"), "one tag in both");
    assert_eq!(header(ok, "CSeq"), ["9 CANCEL"]);
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    script! {
        server over udp
        at    0 ms  recv INVITE   => to_tu INVITE
        at  100 ms  from_tu 200   => send 200
        at  200 ms  recv CANCEL   => send 200
        at 32.1 s                 => ended
    };
}

#[test]
fn a_cancel_that_matches_nothing_gets_481() {
    let run = script! {
        server over udp
        at    0 ms  recv CANCEL   => send 481
        at  100 ms  recv CANCEL   => send 481
    };
    let refused = run.sent_as("481");
    assert_eq!(refused[0], refused[1], "the tag of a stateless answer is always the same");
    assert!(header(refused[0], "To")[0].contains("tag="));
}
