//! Table 4 of RFC 3261 with the rows that RFC 6026 §8.11 added: a test for each row, with values of
//! T1, T2 and T4 that are not the usual ones, so that each is seen to come from the configuration.

use std::time::Duration;

use sip_transaction::Config;

use crate::script;

/// T1 200 ms, T2 1 s, T4 3 s, Timer D 40 s; 64·T1 is 12.8 s.
fn config() -> Config {
    let ms = Duration::from_millis;
    Config::default().t1(ms(200)).t2(ms(1_000)).t4(ms(3_000)).timer_d(ms(40_000))
}

#[test]
fn timers_a_and_b_are_t1_doubled_and_64_t1() {
    script! {
        client over udp with { config() }
        at     0 ms  from_tu INVITE  => send INVITE
        at   200 ms                  => send INVITE
        at   600 ms                  => send INVITE
        at  1400 ms                  => send INVITE
        at  3000 ms                  => send INVITE
        at  6200 ms                  => send INVITE
        at 12600 ms                  => send INVITE
        at 12800 ms                  => to_tu timeout, ended
    };
    script! {
        client over tcp with { config() }
        at     0 ms  from_tu INVITE  => send INVITE
        at 12800 ms                  => to_tu timeout, ended
    };
}

/// Timer C is a proxy's (RFC 3261 §16.6): an INVITE that got a provisional response waits for ever here.
#[test]
fn timer_c_is_not_of_this_layer() {
    script! {
        client over udp with { config() }
        at     0 ms  from_tu INVITE  => send INVITE
        at    10 ms  recv 180        => to_tu 180
        at 90000 s   recv 487        => send ACK, to_tu 487
        at 90040 s                   => ended
    };
}

#[test]
fn timer_d_is_at_least_32_s_over_udp_and_zero_over_tcp() {
    script! {
        client over udp with { config() }
        at   0 ms  from_tu INVITE  => send INVITE
        at 100 ms  recv 404        => send ACK, to_tu 404
        at 40.1 s                  => ended
    };
    script! {
        client over tcp with { config() }
        at   0 ms  from_tu INVITE  => send INVITE
        at 100 ms  recv 404        => send ACK, to_tu 404, ended
    };
}

#[test]
fn timers_e_and_f_are_t1_doubled_up_to_t2_and_64_t1() {
    script! {
        client over udp with { config() }
        at     0 ms  from_tu BYE  => send BYE
        at   200 ms               => send BYE
        at   600 ms               => send BYE
        at  1400 ms               => send BYE
        at  2400 ms               => send BYE
        at  3400 ms               => send BYE
        at  4400 ms               => send BYE
        at  5400 ms               => send BYE
        at  6400 ms               => send BYE
        at  7400 ms               => send BYE
        at  8400 ms               => send BYE
        at  9400 ms               => send BYE
        at 10400 ms               => send BYE
        at 11400 ms               => send BYE
        at 12400 ms               => send BYE
        at 12800 ms               => to_tu timeout, ended
    };
    script! {
        client over tcp with { config() }
        at     0 ms  from_tu BYE  => send BYE
        at 12800 ms               => to_tu timeout, ended
    };
}

#[test]
fn timers_g_and_h_are_t1_doubled_up_to_t2_and_64_t1() {
    script! {
        server over udp with { config() }
        at     0 ms  recv INVITE  => to_tu INVITE
        at     0 ms  from_tu 486  => send 486
        at   200 ms               => send 486
        at   600 ms               => send 486
        at  1400 ms               => send 486
        at  2400 ms               => send 486
        at  3400 ms               => send 486
        at  4400 ms               => send 486
        at  5400 ms               => send 486
        at  6400 ms               => send 486
        at  7400 ms               => send 486
        at  8400 ms               => send 486
        at  9400 ms               => send 486
        at 10400 ms               => send 486
        at 11400 ms               => send 486
        at 12400 ms               => send 486
        at 12800 ms               => to_tu no_ack, ended
    };
    script! {
        server over tcp with { config() }
        at     0 ms  recv INVITE  => to_tu INVITE
        at     0 ms  from_tu 486  => send 486
        at 12800 ms               => to_tu no_ack, ended
    };
}

#[test]
fn timer_i_is_t4_over_udp_and_zero_over_tcp() {
    script! {
        server over udp with { config() }
        at    0 ms  recv INVITE  => to_tu INVITE
        at   10 ms  from_tu 486  => send 486
        at   20 ms  recv ACK     => to_tu confirmed
        at 3020 ms               => ended
    };
    script! {
        server over tcp with { config() }
        at    0 ms  recv INVITE  => to_tu INVITE
        at   10 ms  from_tu 486  => send 486
        at   20 ms  recv ACK     => to_tu confirmed, ended
    };
}

#[test]
fn timer_j_is_64_t1_over_udp_and_zero_over_tcp() {
    script! {
        server over udp with { config() }
        at     0 ms  recv BYE     => to_tu BYE
        at    10 ms  from_tu 200  => send 200
        at 12810 ms               => ended
    };
    script! {
        server over tcp with { config() }
        at     0 ms  recv BYE     => to_tu BYE
        at    10 ms  from_tu 200  => send 200, ended
    };
}

#[test]
fn timer_k_is_t4_over_udp_and_zero_over_tcp() {
    script! {
        client over udp with { config() }
        at    0 ms  from_tu BYE  => send BYE
        at   10 ms  recv 200     => to_tu 200
        at 3010 ms               => ended
    };
    script! {
        client over tcp with { config() }
        at    0 ms  from_tu BYE  => send BYE
        at   10 ms  recv 200     => to_tu 200, ended
    };
}

#[test]
fn timer_l_is_64_t1_over_all_transports() {
    script! {
        server over udp with { config() }
        at     0 ms  recv INVITE  => to_tu INVITE
        at    10 ms  from_tu 200  => send 200
        at 12810 ms               => ended
    };
    script! {
        server over tcp with { config() }
        at     0 ms  recv INVITE  => to_tu INVITE
        at    10 ms  from_tu 200  => send 200
        at 12810 ms               => ended
    };
}

#[test]
fn timer_m_is_64_t1_over_all_transports() {
    script! {
        client over udp with { config() }
        at     0 ms  from_tu INVITE  => send INVITE
        at    10 ms  recv 200        => to_tu 200
        at 12810 ms                  => ended
    };
    script! {
        client over tcp with { config() }
        at     0 ms  from_tu INVITE  => send INVITE
        at    10 ms  recv 200        => to_tu 200
        at 12810 ms                  => ended
    };
}

/// RFC 4320 §4.1: the 100 to a non-INVITE comes when the client's Timer E is set to T2.
#[test]
fn the_100_to_a_non_invite_follows_t1_and_t2() {
    script! {
        server over udp with { config() }
        at     0 ms  recv MESSAGE  => to_tu MESSAGE
        at  1400 ms                => send 100
        at 14200 ms                => ended
    };
}
