//! Figure 5 of RFC 3261 as replaced by RFC 6026 §8.4: a test for each arrow.

use crate::script;
use crate::script::{header, what};

#[test]
fn calling_timer_a_sends_the_invite_again_and_doubles() {
    let run = script! {
        client over udp
        at     0 ms  from_tu INVITE  => send INVITE
        at   500 ms                  => send INVITE
        at  1500 ms                  => send INVITE
        at  3500 ms                  => send INVITE
        at  7500 ms                  => send INVITE
        at 15500 ms                  => send INVITE
        at 31500 ms                  => send INVITE
        at    32 s                   => to_tu timeout, ended
    };
    let sent = run.sent_as("INVITE");
    assert!(sent.iter().all(|invite| *invite == sent[0]), "a repeat is the message itself");
}

#[test]
fn calling_timer_b_ends_without_an_ack_over_a_reliable_transport_too() {
    let run = script! {
        client over tcp
        at  0 ms  from_tu INVITE  => send INVITE
        at 32 s                   => to_tu timeout, ended
    };
    assert!(run.sent_as("ACK").is_empty());
}

#[test]
fn calling_transport_error_ends() {
    script! {
        client over udp
        at   0 ms  from_tu INVITE   => send INVITE
        at 500 ms                   => send INVITE
        at 600 ms  transport_error  => to_tu transport_error, ended
    };
}

#[test]
fn calling_1xx_to_proceeding_stops_timers_a_and_b() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 100        => to_tu 100
        at  400 s   recv 486        => send ACK, to_tu 486
        at  432 s                   => ended
    };
}

#[test]
fn calling_2xx_to_accepted() {
    let run = script! {
        client over udp
        at   0 ms  from_tu INVITE  => send INVITE
        at 100 ms  recv 200        => to_tu 200
        at  32.1 s                 => ended
    };
    assert!(run.sent_as("ACK").is_empty(), "the ACK to a 2xx is the user's");
}

#[test]
fn calling_300_to_699_to_completed() {
    for code in [300, 404, 503, 699] {
        let mut run = crate::script::Run::new("udp");
        run = run.play(&format!(
            "at 0 ms from_tu INVITE => send INVITE
             at 1 ms recv {code} => send ACK, to_tu {code}
             at 32001 ms => ended"
        ));
        assert_eq!(run.sent.len(), 2);
    }
}

#[test]
fn proceeding_1xx_goes_up_each_time() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 100        => to_tu 100
        at  200 ms  recv 180        => to_tu 180
        at  300 ms  recv 180        => to_tu 180
        at  400 ms  recv 199        => to_tu 199
        at  500 ms  recv 200        => to_tu 200
        at 32.5 s                   => ended
    };
}

#[test]
fn proceeding_2xx_to_accepted() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at    9 s   recv 200        => to_tu 200
        at   41 s                   => ended
    };
}

#[test]
fn proceeding_300_to_699_to_completed() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at 9000 ms  recv 486        => send ACK, to_tu 486
        at 9100 ms  recv 486        => send ACK
        at   41 s                   => ended
    };
}

#[test]
fn proceeding_transport_error_of_an_earlier_copy_is_no_news() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE   => send INVITE
        at  100 ms  recv 180         => to_tu 180
        at  110 ms  transport_error  => nothing
        at  200 ms  recv 486         => send ACK, to_tu 486
        at 32.2 s                    => ended
    };
}

#[test]
fn completed_300_to_699_sends_the_ack_again_and_tells_nobody() {
    let run = script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 486        => send ACK, to_tu 486
        at  600 ms  recv 486        => send ACK
        at 1600 ms  recv 486        => send ACK
        at 1700 ms  recv 600        => send ACK
        at 32.1 s                   => ended
    };
    let acks = run.sent_as("ACK");
    assert!(acks.iter().all(|ack| *ack == acks[0]), "re-passed, not made anew");
}

#[test]
fn completed_passes_nothing_else_up() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 486        => send ACK, to_tu 486
        at  200 ms  recv 180        => nothing
        at  300 ms  recv 200        => nothing
        at 32.1 s                   => ended
    };
}

#[test]
fn completed_transport_error_ends() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE   => send INVITE
        at  100 ms  recv 486         => send ACK, to_tu 486
        at  110 ms  transport_error  => to_tu transport_error, ended
    };
}

#[test]
fn completed_lasts_no_time_over_a_reliable_transport() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at  200 ms  recv 486        => send ACK, to_tu 486, ended
        at  300 ms  recv 486        => nothing
    };
}

#[test]
fn accepted_passes_every_2xx_up_and_nothing_else() {
    let run = script! {
        client over udp
        at    0 ms  from_tu INVITE   => send INVITE
        at  100 ms  recv 200         => to_tu 200
        at  600 ms  recv 200         => to_tu 200
        at  700 ms  recv 180         => nothing
        at  800 ms  recv 486         => nothing
        at  900 ms  transport_error  => nothing
        at   32 s   recv 202         => to_tu 202
        at 32.1 s                    => ended
        at 32.2 s   recv 200         => nothing
    };
    assert!(run.sent_as("ACK").is_empty());
}

#[test]
fn the_ack_is_made_of_the_invite_and_the_response() {
    let run = script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 486        => send ACK, to_tu 486
        at 32.1 s                   => ended
    };
    let (invite, ack) = (run.sent_as("INVITE")[0], run.sent_as("ACK")[0]);
    let line = |message: &[u8]| String::from_utf8_lossy(message).lines().next().unwrap().to_owned();
    assert_eq!(line(ack), line(invite).replace("INVITE", "ACK"), "the same Request-URI");
    for name in ["Call-ID", "From", "Via", "Route"] {
        assert_eq!(header(ack, name), header(invite, name), "{name}");
    }
    assert_eq!(header(ack, "Via").len(), 1);
    assert_eq!(header(ack, "Route").len(), 2);
    assert_eq!(header(ack, "To"), ["Bob <sip:bob@192.0.2.2>;tag=them"]);
    assert_eq!(header(ack, "CSeq"), ["7 ACK"]);
    assert_eq!(header(ack, "Max-Forwards"), ["70"]);
    assert_eq!(header(ack, "Content-Length"), ["0"]);
    assert_eq!(run.destinations()[0], run.destinations()[1], "where the INVITE went");
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let run = script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  from_tu cancel  => nothing
        at  500 ms                  => send INVITE
        at  600 ms  recv 180        => send CANCEL, to_tu 180
        at 1100 ms                  => send CANCEL
        at 1200 ms  recv 487        => send ACK, to_tu 487
        at 2100 ms                  => send CANCEL
        at 4100 ms                  => send CANCEL
        at 8100 ms                  => send CANCEL
        at 12.1 s                   => send CANCEL
        at 16.1 s                   => send CANCEL
        at 20.1 s                   => send CANCEL
        at 24.1 s                   => send CANCEL
        at 28.1 s                   => send CANCEL
        at 32.1 s                   => send CANCEL
        at 33.2 s                   => ended
    };
    let (invite, cancel) = (run.sent_as("INVITE")[0], run.sent_as("CANCEL")[0]);
    for name in ["Call-ID", "To", "From", "Via", "Route"] {
        assert_eq!(header(cancel, name), header(invite, name), "{name}");
    }
    assert_eq!(header(cancel, "CSeq"), ["7 CANCEL"]);
    assert!(header(cancel, "Require").is_empty() && header(cancel, "Proxy-Require").is_empty());
    let destinations = run.destinations();
    assert!(destinations.iter().all(|destination| *destination == destinations[0]));
}

#[test]
fn the_answer_to_a_cancel_stays_in_the_layer() {
    let mut run = crate::script::Run::new("udp");
    let at = |ms| std::time::Duration::from_millis(ms);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    run.input(at(0), &words("from_tu INVITE"));
    run.input(at(10), &words("recv 180"));
    assert_eq!(run.input(at(20), &words("from_tu cancel")), ["send CANCEL"]);
    let cancel = run.sent_as("CANCEL")[0].to_vec();
    let ok = crate::script::answer(&cancel, 200, "them");
    let now = run.start + at(30);
    run.endpoint.handle_input(now, crate::script::input(run.transport, &ok));
    assert_eq!(run.drain(), [] as [&str; 0]);
    assert_eq!(run.input(at(40), &words("recv 487")), ["send ACK", "to_tu 487"]);
    // A CANCEL that was answered is not sent again: nothing but the end comes.
    run.endpoint.handle_timeout(run.start + at(32_040));
    assert_eq!(run.drain(), ["ended"]);
    run.assert_over();
}

#[test]
fn a_cancel_in_proceeding_goes_at_once_and_only_once() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at  200 ms  from_tu cancel  => send CANCEL
        at  300 ms  from_tu cancel  => nothing
        at  400 ms  recv 487        => send ACK, to_tu 487, ended
    };
}

#[test]
fn a_cancel_after_a_final_response_is_not_sent() {
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 200        => to_tu 200
        at  200 ms  from_tu cancel  => nothing
        at 32.1 s                   => ended
    };
    script! {
        client over udp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 404        => send ACK, to_tu 404
        at  200 ms  from_tu cancel  => nothing
        at 32.1 s                   => ended
    };
}

#[test]
fn a_2xx_that_crosses_the_cancel_goes_up() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at  200 ms  from_tu cancel  => send CANCEL
        at  300 ms  recv 200        => to_tu 200
        at 32.3 s                   => ended
    };
}

#[test]
fn an_invite_wanted_cancelled_that_is_never_answered_times_out() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  from_tu cancel  => nothing
        at   32 s                   => to_tu timeout, ended
    };
}

#[test]
fn a_cancelled_invite_without_a_final_response_ends_after_64_t1() {
    script! {
        client over tcp
        at    0 ms  from_tu INVITE  => send INVITE
        at  100 ms  recv 180        => to_tu 180
        at   60 s   from_tu cancel  => send CANCEL
        at   92 s                   => to_tu timeout, ended
    };
}

#[test]
fn a_lost_cancel_ends_with_its_invite() {
    let run = script! {
        client over udp
        at    0 ms  from_tu INVITE   => send INVITE
        at  100 ms  recv 180         => to_tu 180
        at  200 ms  from_tu cancel   => send CANCEL
        at  210 ms  transport_error  => nothing
        at  300 ms  recv 180         => to_tu 180
        at 32.2 s                    => to_tu timeout, ended
    };
    assert_eq!(what(&run.sent[1].payload), "CANCEL");
}
