//! Scripts on a virtual clock. A line is a second, what happens then, what comes of it, and what is due next:
//!
//! ```text
//!   0 accepted timer x=1800 / timer require x=1800;uac    => next 900
//! 900 timer                                               => refresh, next 1800
//! ```
//!
//! `timer` and `require` stand for the option tag in Supported and Require, `x=` for Session-Expires with its
//! refresher, `min=` for Min-SE. What stands behind `accepted` is what our request said, and behind the slash what
//! its 2xx says; `answered` tells the peer's request, and behind the slash what our 2xx has to say.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::test_support::{answer, invite};

fn fields(words: &str) -> TimerFields {
    let mut fields = TimerFields::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            None if word == "timer" => fields.supported = true,
            None if word == "require" => fields.required = true,
            Some(("min", seconds)) => fields.min_se = Some(seconds.parse().unwrap()),
            Some(("x", value)) => {
                let (seconds, refresher) = value.split_once(';').unwrap_or((value, ""));
                fields.session_expires = Some(seconds.parse().unwrap());
                fields.refresher = match refresher {
                    "uac" => Some(Refresher::Uac),
                    "uas" => Some(Refresher::Uas),
                    "" => None,
                    other => panic!("{other}"),
                };
            }
            _ => panic!("{word}"),
        }
    }
    fields
}

fn words(fields: &TimerFields) -> String {
    let mut words = Vec::new();
    words.extend(fields.supported.then(|| "timer".to_owned()));
    words.extend(fields.required.then(|| "require".to_owned()));
    words.extend(fields.session_expires.map(|seconds| {
        let refresher =
            fields.refresher.map_or(String::new(), |side| format!(";{}", side.as_str()));
        format!("x={seconds}{refresher}")
    }));
    words.extend(fields.min_se.map(|seconds| format!("min={seconds}")));
    words.join(" ")
}

/// Runs a script; the timer at its end.
fn script(policy: SessionTimerPolicy, script: &str) -> SessionTimer {
    let mut timer = SessionTimer::new(policy);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (happens, expected) = line.split_once("=>").unwrap();
        let (at, happens) = happens.trim().split_once(' ').unwrap();
        let happens = happens.trim();
        let now = Duration::from_secs(at.parse().unwrap());
        let (kind, more) = happens.split_once(' ').unwrap_or((happens, ""));
        let input = match kind {
            "accepted" => {
                let (asked, answer) = more.split_once('/').unwrap();
                TimerInput::Accepted { asked: fields(asked), answer: fields(answer) }
            }
            "answered" => {
                let (asked, answer) = more.split_once('/').unwrap();
                let asked = fields(asked);
                assert_eq!(timer.policy.too_small(&asked), None, "{line}");
                let said = timer.answer(&asked);
                assert_eq!(words(&said), answer.trim(), "{line}");
                TimerInput::Answered { asked, answer: said }
            }
            "refused" => {
                let (status, more) = more.split_once(' ').unwrap_or((more, ""));
                let retry_after = more.strip_prefix("after ").map(|after| after.parse().unwrap());
                TimerInput::Refused {
                    status: StatusCode::new(status.parse().unwrap()).unwrap(),
                    min_se: fields(if retry_after.is_some() { "" } else { more }).min_se,
                    retry_after: retry_after.map(Duration::from_secs),
                }
            }
            "timer" => TimerInput::Timer,
            "ended" => TimerInput::Ended,
            other => panic!("{other}"),
        };
        let mut came = Vec::new();
        came.extend(timer.handle(now, input).map(|action| match action {
            TimerAction::Refresh => "refresh".to_owned(),
            TimerAction::Bye => "bye".to_owned(),
        }));
        came.extend(timer.deadline().map(|next| format!("next {}", next.as_secs())));
        assert_eq!(came.join(", "), expected.trim(), "{line}");
    }
    timer
}

fn default() -> SessionTimerPolicy {
    SessionTimerPolicy::default()
}

// RFC 4028 §7.2: "It is
// RECOMMENDED that this refresh be sent once half the session interval
// has elapsed."
#[test]
fn the_caller_refreshes_at_half_the_interval() {
    let timer = script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uac        => next 900
          899 timer                                            => next 900
          900 timer                                            => refresh, next 1800
          901 accepted timer x=1800;uac / require x=1800;uac   => next 1801
         1801 timer                                            => refresh, next 2701",
    );
    assert_eq!(timer.refresher(), Some(Side::Local));
    assert_eq!(timer.interval(), Some(Duration::from_secs(1800)));
}

// RFC 4028 §10: "The minimum of 32 seconds and one third of the session
// interval is RECOMMENDED."
#[test]
fn who_watches_gives_up_shortly_before_the_expiry() {
    script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uas   => next 1768
         1767 timer                                       => next 1768
         1768 timer                                       => bye
         1769 accepted timer x=1800 / x=1800;uac          => ",
    );
    script(
        default(),
        "   0 accepted timer x=90 / require x=90;uas   => next 60
           60 timer                                   => bye",
    );
}

/// RFC 4028 §9, table 2, row by row; where the callee may choose, by each policy.
#[test]
fn the_callee_settles_who_refreshes() {
    let ours = default().refresher(Some(Side::Local));
    let theirs = default().refresher(Some(Side::Remote));
    for policy in [default(), ours, theirs] {
        script(policy, "0 answered x=1800 / timer x=1800;uas               => next 900");
        // These two should not happen; what the table has for a caller without support holds.
        script(policy, "0 answered x=1800;uac / timer x=1800;uas           => next 900");
        script(policy, "0 answered x=1800;uas / timer x=1800;uas           => next 900");
        script(policy, "0 answered timer x=1800;uac / timer require x=1800;uac => next 1768");
        script(policy, "0 answered timer x=1800;uas / timer require x=1800;uas => next 900");
    }
    script(default(), "0 answered timer x=1800 / timer require x=1800;uac => next 1768");
    script(theirs, "0 answered timer x=1800 / timer require x=1800;uac => next 1768");
    script(ours, "0 answered timer x=1800 / timer require x=1800;uas => next 900");
}

// RFC 4028 §9: "The UAS MUST
// NOT increase the value of the Session-Expires header field."
#[test]
fn the_callee_may_shorten_the_interval_down_to_min_se() {
    script(default(), "0 answered timer x=900;uac / timer require x=900;uac => next 868");
    script(default(), "0 answered timer x=7200;uac / timer require x=1800;uac => next 1768");
    script(
        default(),
        "0 answered timer x=7200;uac min=3600 / timer require x=3600;uac => next 3568",
    );
    script(
        default(),
        "0 answered timer x=7200;uac min=9000 / timer require x=7200;uac => next 7168",
    );
    let any = default().interval(None);
    script(any, "0 answered timer x=7200;uac / timer require x=7200;uac => next 7168");
    let patient = default().interval(Some(600)).min_se(1200);
    script(patient, "0 answered timer x=7200;uac / timer require x=1200;uac => next 1168");
}

// RFC 4028 §9: "The UAS may request a session timer in the 2XX response by
// including a Session-Expires header field."
#[test]
fn the_callee_asks_for_a_timer_where_the_caller_knows_of_them() {
    script(default(), "0 answered timer / timer require x=1800;uac => next 1768");
    script(default(), "0 answered timer min=2400 / timer require x=2400;uac => next 2368");
    script(default(), "0 answered / timer => ");
    script(default().interval(None), "0 answered timer / timer => ");
}

#[test]
fn a_short_interval_is_refused_where_the_caller_can_ask_again() {
    let too_small = |policy: SessionTimerPolicy, asked| policy.too_small(&fields(asked));
    assert_eq!(too_small(default(), "timer x=89"), Some(90));
    assert_eq!(too_small(default(), "timer x=90"), None);
    assert_eq!(too_small(default().min_se(1), "timer x=89"), Some(90));
    assert_eq!(too_small(default().min_se(600), "timer x=599 min=90"), Some(600));
    assert_eq!(too_small(default().min_se(600), "timer"), None);
    // RFC 4028 §8.1: "If the request doesn't indicate support for the session timer but
    // contains a session interval that is too small, the proxy cannot
    // usefully reject the request, as this would result in a call failure."
    assert_eq!(too_small(default().min_se(600), "x=100"), None);
    script(default().min_se(600), "0 answered x=100 / timer x=100;uas => next 50");
    // Nor is a call lost, or refreshed all the time, for what is no interval.
    script(default(), "0 answered x=2 / timer => ");
}

#[test]
fn what_the_first_invite_asks_for() {
    assert_eq!(words(&default().ask()), "timer x=1800");
    assert_eq!(words(&default().interval(None).ask()), "timer");
    assert_eq!(words(&default().interval(None).refresher(Some(Side::Local)).ask()), "timer");
    assert_eq!(words(&default().refresher(Some(Side::Local)).ask()), "timer x=1800;uac");
    assert_eq!(words(&default().refresher(Some(Side::Remote)).ask()), "timer x=1800;uas");
    assert_eq!(words(&default().min_se(3600).ask()), "timer x=3600 min=3600");
    assert_eq!(words(&default().interval(Some(10)).ask()), "timer x=90");
}

// RFC 4028 §7.4: "if no dialog has been
// established yet, a UAC MUST insert the Min-SE header field into an
// INVITE request if it has ever received a 422 response to a previous
// INVITE request with the same Call-ID."
#[test]
fn the_first_invite_is_raised_until_that_changes_nothing() {
    let first = default().ask();
    let second = first.raised(2000).unwrap();
    assert_eq!(words(&second), "timer x=2000 min=2000");
    let third = second.raised(3000).unwrap();
    assert_eq!(words(&third), "timer x=3000 min=3000");
    assert_eq!(third.raised(2500), None, "more was asked for");
    assert_eq!(third.raised(3000), None);
    assert_eq!(first.raised(90), None);
    assert_eq!(default().interval(None).ask().raised(90), None, "nothing was asked for");
}

// RFC 4028 §7.2: "This means that the session
// timer can be 'turned-off' in mid dialog by receiving a response
// without a Session-Expires header field."
#[test]
fn the_timer_is_turned_off_in_mid_dialog() {
    script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uac   => next 900
          900 timer                                       => refresh, next 1800
          901 accepted timer x=1800;uac / timer           =>
         5000 timer                                       =>
         6000 accepted timer x=1800 / require x=1800;uas  => next 7768",
    );
    // By us, when the peer no longer asks for one and we never did.
    script(
        default().interval(None),
        "0 answered timer x=1800;uac / timer require x=1800;uac => next 1768
         9 answered / timer                                     => ",
    );
}

/// RFC 4028 §7.2: the timer of one side.
#[test]
fn a_peer_without_support_is_refreshed_for_our_own_sake() {
    let timer = script(
        default(),
        "   0 accepted timer x=1800 /        => next 900
          900 timer                         => refresh, next 1800
          901 refused 488                   => next 1801
         1801 timer                         => refresh, next 2701
         1802 accepted timer x=1800;uac /   => next 2702
         2000 answered / timer              => next 2900
         2900 timer                         => refresh, next 3800
         2932 refused 408                   => bye",
    );
    assert_eq!(timer.refresher(), None);
    script(default().without_support(false), "0 accepted timer x=1800 / => ");
    script(default(), "0 accepted timer x=1800 / timer => ");
    script(default().interval(None), "0 accepted timer / => ");
}

/// A proxy asked for the timer: RFC 4028 §8.2 has it insert the interval into the 2xx, for the caller to refresh.
#[test]
fn a_proxy_asks_for_a_timer() {
    script(default().interval(None), "0 accepted timer / require x=3600;uac => next 1800");
    script(default().interval(None), "0 answered x=3600 / timer x=3600;uas => next 1800");
}

#[test]
fn a_refresh_that_is_refused_is_tried_again_before_the_expiry() {
    script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uac       => next 900
          900 timer                                           => refresh, next 1800
          900 refused 500                                     => next 1350
         1350 timer                                           => refresh, next 1800
         1350 refused 503 after 10                            => next 1360
         1360 timer                                           => refresh, next 1800
         1360 refused 503 after 4000                          => next 1768
         1768 timer                                           => refresh, next 1800
         1769 refused 500                                     => next 1800
         1800 timer                                           => bye",
    );
    script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uac       => next 900
          900 timer                                           => refresh, next 1800
          901 refused 491 after 0                             => next 903
          903 timer                                           => refresh, next 1800
          904 accepted timer x=1800;uac / require x=1800;uac  => next 1804",
    );
}

// RFC 4028 §10: "If the session refresh request transaction times out or generates a
// 408 or 481 response, then the UAC sends a BYE request as per Section
// 12.2.1.2 of RFC 3261 [2]."
#[test]
fn a_refresh_that_finds_nobody_ends_the_session() {
    for status in [408, 481] {
        script(
            default(),
            &format!(
                "  0 accepted timer x=1800 / require x=1800;uac  => next 900
                 900 timer                                      => refresh, next 1800
                 932 refused {status}                           => bye"
            ),
        );
    }
    script(
        default(),
        "   0 accepted timer x=90 / require x=90;uac   => next 45
           45 timer                                   => refresh, next 90
           89 timer                                   => next 90
           90 timer                                   => bye",
    );
}

// RFC 4028 §7.4: "The UAC MUST insert the Min-SE header field into a session refresh
// request for a particular dialog if it has ever received a 422
// response to a previous session refresh request on the same dialog"
#[test]
fn a_refresh_that_is_too_short_is_raised_at_once() {
    let timer = script(
        default(),
        "  0 accepted timer x=1800 / require x=1800;uac  => next 900
         900 timer                                      => refresh, next 1800
         901 refused 422 min=2000                       => refresh, next 1800
         902 refused 422 min=2400                       => refresh, next 1800",
    );
    assert_eq!(words(&timer.ask()), "timer x=2400;uac min=2400");
    // RFC 4028 §10: "Note that only a 2xx response to a session
    // refresh request extends the session expiration."
    assert_eq!(timer.deadline(), Some(Duration::from_secs(1800)));
    let timer = script(
        default(),
        "  0 accepted timer x=1800 / require x=1800;uac          => next 900
         900 timer                                              => refresh, next 1800
         901 refused 422 min=2400                               => refresh, next 1800
         902 accepted timer x=2400;uac min=2400 / x=2400;uac    => next 2102",
    );
    assert_eq!(words(&timer.ask()), "timer x=2400;uac min=2400");
    // Whoever raises for ever, or not at all, is asked again later.
    script(
        default(),
        "  0 accepted timer x=1800 / require x=1800;uac  => next 900
         900 timer                                      => refresh, next 1800
         900 refused 422 min=1900                       => refresh, next 1800
         900 refused 422 min=1901                       => refresh, next 1800
         900 refused 422 min=1902                       => refresh, next 1800
         900 refused 422 min=1903                       => refresh, next 1800
         900 refused 422 min=1904                       => next 1350
        1350 timer                                      => refresh, next 1800
        1350 refused 422                                => next 1575",
    );
}

// RFC 4028 §7.4: "or
// if it has received a session refresh request on that dialog that
// contained a Min-SE header field."
#[test]
fn the_largest_min_se_of_the_dialog_is_kept() {
    let timer = script(
        default(),
        "0 answered timer x=1800;uas min=300 / timer require x=1800;uas   => next 900
         9 answered timer x=1800;uac min=120 / timer require x=1800;uac   => next 1777",
    );
    assert_eq!(words(&timer.ask()), "timer x=1800;uas min=300");
    let timer = script(
        default().min_se(600),
        "0 answered timer x=1800;uas min=300 / timer require x=1800;uas   => next 900",
    );
    assert_eq!(words(&timer.ask()), "timer x=1800;uac min=600");
}

#[test]
fn roles_stay_or_change_by_what_a_2xx_says() {
    let timer = script(
        default(),
        "   0 answered timer x=1800;uac / timer require x=1800;uac   => next 1768
          500 accepted timer x=1800;uas / require x=1800;uas        => next 2268
          600 accepted timer x=1800;uas / require x=1800;uac        => next 1500
          700 answered timer x=1800 / timer require x=1800;uas      => next 1600
          800 answered timer x=1800;uac / timer require x=1800;uac  => next 2568",
    );
    assert_eq!(timer.refresher(), Some(Side::Remote));
    assert_eq!(words(&timer.ask()), "timer x=1800;uas");
}

/// The peer's refresh overtakes ours, which it refuses by 491.
#[test]
fn a_refresh_that_was_overtaken_is_not_repeated() {
    script(
        default(),
        "   0 accepted timer x=1800 / require x=1800;uac              => next 900
          900 timer                                                  => refresh, next 1800
          900 answered timer x=1800;uac / timer require x=1800;uac   => next 2668
          901 refused 491                                            => next 2668
          902 refused 481                                            => bye",
    );
}

#[test]
fn a_peer_that_asks_for_less_than_allowed_does_not_hurry_us() {
    script(
        default(),
        "  0 accepted timer x=1800 / require x=1;uac   => next 45
          45 timer                                    => refresh, next 90
          45 accepted timer x=90;uac / x=0;uas        => next 105",
    );
    // RFC 4028 §7.2: "The 'refresher'
    // parameter will be present in the Session-Expires header field,
    // indicating who will perform the refreshes."
    script(default(), "0 accepted timer x=1800 / x=1800 => next 900");
    script(default(), "0 accepted timer x=1800 / x=4294967295;uac => next 2147483647");
}

#[test]
fn after_the_end_there_is_silence() {
    for before in ["", "0 accepted timer x=1800 / x=1800;uac => next 900\n"] {
        let lines = [
            before,
            "1 ended => ",
            "2 timer => ",
            "3 refused 481 => ",
            "4 accepted timer x=1800 / x=1800;uac => ",
            "5 answered timer x=1800;uac / timer require x=1800;uac => ",
            "6 ended => ",
        ];
        script(default(), &lines.join("\n"));
    }
}

#[test]
fn a_timer_is_taken_up_elsewhere() {
    let from = |at: u64, timer: &SessionTimer| {
        timer.counted_from(Duration::from_secs(at)).deadline().map(|next| next.as_secs())
    };
    let waiting = script(default(), "10 accepted timer x=1800 / x=1800;uac => next 910");
    assert_eq!((from(10, &waiting), from(500, &waiting)), (Some(900), Some(410)));
    assert_eq!(from(9000, &waiting), Some(0));
    let watching = script(default(), "10 accepted timer x=1800 / x=1800;uas => next 1778");
    assert_eq!(from(110, &watching), Some(1668));
    let refreshing = script(
        default(),
        " 10 accepted timer x=1800 / x=1800;uac => next 910
         910 timer                             => refresh, next 1810",
    );
    let mut again = refreshing.counted_from(Duration::from_secs(911));
    assert_eq!(again.handle(Duration::ZERO, TimerInput::Timer), Some(TimerAction::Refresh));
    assert_eq!(again.deadline(), Some(Duration::from_secs(899)));
    assert_eq!(from(1, &SessionTimer::new(default())), None);
}

#[test]
fn a_timer_outlives_a_restart() {
    let waiting = script(
        default(),
        "10 accepted timer x=1800;uac min=120 / x=1800;uac => next 910
         20 answered timer x=1800;uas min=300 / timer require x=1800;uas => next 920",
    );
    let watching = script(default(), "10 accepted timer x=1800 / x=1800;uas => next 1778");
    for (timer, due) in [(waiting, 420), (watching, 1278)] {
        let snapshot = timer.snapshot(Duration::from_secs(500)).unwrap();
        let again = SessionTimer::restored(default(), &snapshot);
        assert_eq!(again.deadline(), Some(Duration::from_secs(due)));
        assert_eq!((again.refresher(), again.ask()), (timer.refresher(), timer.ask()));
    }
    assert_eq!(SessionTimer::new(default()).snapshot(Duration::ZERO), None);
}

#[test]
fn fields_are_read_and_written() {
    let request = invite(
        "Supported: 100rel, timer
         x: 4000;refresher=UAS
         Min-SE: 120",
    );
    let read = TimerFields::of(request.headers());
    assert_eq!(words(&read), "timer x=4000;uas min=120");
    let lines: Vec<String> = read.lines().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(lines, ["Session-Expires: 4000;refresher=uas", "Min-SE: 120"]);
    let ok = answer("200 OK", "b", "Require: 100rel\nRequire: timer\nSession-Expires: 90");
    let read = TimerFields::of(ok.headers());
    assert_eq!(words(&read), "require x=90");
    let lines: Vec<String> = read.lines().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(lines, ["Session-Expires: 90", "Require: timer"]);
    let odd = invite("Session-Expires: soon\nMin-SE: -1\nSupported: timers");
    assert_eq!(TimerFields::of(odd.headers()), TimerFields::default());
}

#[test]
fn is_small() {
    assert!(size_of::<SessionTimer>() <= 80, "{}", size_of::<SessionTimer>());
}
