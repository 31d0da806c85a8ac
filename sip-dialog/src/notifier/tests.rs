use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::format;

use super::*;
use crate::test_support::{request, response};

struct Script {
    machine: Notifier,
    now: Duration,
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn subscribe(more: &str) -> Request {
    request(&format!(
        "SUBSCRIBE sip:b@example.com SIP/2.0
         Via: SIP/2.0/UDP a;branch=z9hG4bK1
         From: <sip:a@example.com>;tag=a
         To: <sip:b@example.com>
         Call-ID: 1
         CSeq: 1 SUBSCRIBE
         {more}"
    ))
}

fn lines(actions: &[NotifierAction]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            NotifierAction::Answer { status, expires } => format!("{} {expires}", status.as_u16()),
            NotifierAction::Refuse(RefusedSubscribe::TooBrief(brief)) => {
                format!("423 {}", brief.min_expires)
            }
            NotifierAction::Refuse(RefusedSubscribe::Ended) => "481".into(),
            NotifierAction::Notify(told) if told.has_body() => format!("NOTIFY {told}"),
            NotifierAction::Notify(told) => format!("NOTIFY without body {told}"),
            NotifierAction::Over(end) => format!("over {end:?}"),
        })
        .collect()
}

impl Script {
    #[track_caller]
    fn new(config: NotifierConfig, more: &str, active: bool, expected: &[&str]) -> Script {
        let request = subscribe(more);
        let (machine, actions) =
            Notifier::accept(config, &request, active, Some("e1"), at(0.0)).unwrap();
        assert_eq!(lines(&actions), expected);
        Script { machine, now: at(0.0) }
    }

    #[track_caller]
    fn input(&mut self, input: NotifierInput<'_>, expected: &[&str]) {
        assert_eq!(lines(&self.machine.handle(self.now, input)), expected);
    }

    #[track_caller]
    fn answer(&mut self, status: u16, more: &str, expected: &[&str]) {
        let response = response(&format!(
            "SIP/2.0 {status} X
             Via: SIP/2.0/UDP b;branch=z9hG4bK1
             From: <sip:b@example.com>;tag=b
             To: <sip:a@example.com>;tag=a
             Call-ID: 1
             CSeq: 1 NOTIFY
             {more}"
        ));
        self.input(NotifierInput::Response(&response), expected);
    }

    #[track_caller]
    fn subscribe(&mut self, more: &str, expected: &[&str]) {
        let request = subscribe(more);
        self.input(NotifierInput::Subscribe(&request), expected);
    }

    #[track_caller]
    fn changed(&mut self, expected: &[&str]) {
        self.input(NotifierInput::Changed { entity_tag: Some("e2") }, expected);
    }

    #[track_caller]
    fn timer_at(&mut self, seconds: f64, expected: &[&str]) {
        assert_eq!(self.machine.deadline(), Some(at(seconds)));
        self.now = at(seconds);
        self.input(NotifierInput::Timer, expected);
    }
}

fn presence() -> NotifierConfig {
    NotifierConfig::new(3600)
}

/// An active subscription for ten minutes whose first NOTIFY is answered.
fn active(event: &str) -> Script {
    let more = format!("Event: {event}\nExpires: 600");
    let mut script =
        Script::new(presence(), &more, true, &["200 600", "NOTIFY active;expires=600"]);
    script.answer(200, "", &[]);
    script
}

// RFC 6665 §4.2.2: the figure
#[test]
fn pending_then_granted_then_run_out() {
    let mut script = Script::new(
        presence(),
        "Event: presence\nExpires: 600",
        false,
        &["200 600", "NOTIFY pending;expires=600"],
    );
    script.answer(200, "", &[]);
    script.now = at(10.0);
    script.changed(&[]);
    script.input(NotifierInput::Grant, &["NOTIFY active;expires=590"]);
    script.input(NotifierInput::Grant, &[]);
    script.answer(200, "", &[]);
    script.now = at(20.5);
    script.changed(&["NOTIFY active;expires=579"]);
    script.answer(200, "", &[]);
    script.timer_at(600.0, &["NOTIFY terminated;reason=timeout"]);
    assert_eq!(script.machine.deadline(), None);
    script.subscribe("Event: presence\nExpires: 600", &["481"]);
    script.answer(200, "", &["over Expired"]);
    assert!(script.machine.is_over());
    script.subscribe("Event: presence\nExpires: 600", &["481"]);
}

#[test]
fn how_long() {
    let config = presence().max_expires(7200).min_expires(300);
    for (more, granted) in [
        ("", Ok(3600)),
        ("Expires: 300", Ok(300)),
        ("Expires: 299", Err(300)),
        ("Expires: 0", Ok(0)),
        ("Expires: 7200", Ok(7200)),
        ("Expires: 4294967295", Ok(7200)),
        ("Expires: soon", Ok(3600)),
    ] {
        let judged = config.grant(&subscribe(more)).map_err(|brief| brief.min_expires);
        assert_eq!(judged, granted, "{more}");
    }
    // An hour is never too brief.
    assert_eq!(config.min_expires(9000).grant(&subscribe("Expires: 3600")), Ok(3600));
    let brief = Notifier::accept(config, &subscribe("Expires: 9"), true, None, at(0.0));
    assert_eq!(brief.unwrap_err().header(), MinExpires(300));
}

#[test]
fn refreshed_and_unsubscribed() {
    let mut script = active("presence");
    script.now = at(300.0);
    script.subscribe("Event: presence\nExpires: 600", &["200 600", "NOTIFY active;expires=600"]);
    // Another before the NOTIFY is answered: one after the other.
    script.subscribe("Event: presence\nExpires: 60", &["200 60"]);
    script.answer(200, "", &["NOTIFY active;expires=60"]);
    script.answer(200, "", &[]);
    assert_eq!(script.machine.deadline(), Some(at(360.0)));
    script.subscribe("Event: presence\nExpires: 5", &["423 60"]);
    assert_eq!(script.machine.deadline(), Some(at(360.0)), "nothing is changed");
    script.subscribe("Event: presence\nExpires: 0", &["200 0", "NOTIFY terminated;reason=timeout"]);
    script.answer(200, "", &["over Unsubscribed"]);

    // Fetched.
    let mut script = Script::new(
        presence(),
        "Event: presence\nExpires: 0",
        true,
        &["200 0", "NOTIFY terminated;reason=timeout"],
    );
    script.input(NotifierInput::TimedOut, &["over Lost"]);
}

#[test]
fn one_notify_at_a_time() {
    let mut script = active("presence");
    script.changed(&["NOTIFY active;expires=600"]);
    script.changed(&[]);
    script.changed(&[]);
    script.answer(200, "", &["NOTIFY active;expires=600"]);
    let reason = TerminationReason::Rejected;
    script.input(NotifierInput::Terminate { reason, retry_after: None }, &[]);
    script.changed(&[]);
    script.answer(200, "", &["NOTIFY terminated;reason=rejected"]);
    script.answer(500, "", &["over Terminated"]);

    let mut script = active("presence");
    script.input(
        NotifierInput::Terminate { reason: TerminationReason::Probation, retry_after: Some(60) },
        &["NOTIFY terminated;reason=probation;retry-after=60"],
    );
    script.input(NotifierInput::Unsent, &["over Lost"]);
    let mut script = active("presence");
    script.input(
        NotifierInput::Terminate { reason: TerminationReason::Other, retry_after: None },
        &["NOTIFY terminated"],
    );
}

// RFC 6665 §4.2.2
#[test]
fn what_the_answer_to_a_notify_ends() {
    for status in [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604] {
        let mut script = active("presence");
        script.changed(&["NOTIFY active;expires=600"]);
        let status_code = StatusCode::new(status).unwrap();
        let over = format!("over {:?}", NotifierEnd::Refused(status_code));
        script.answer(status, "", &[&over]);
        assert!(script.machine.is_over());
    }
    for status in [400, 403, 408, 500, 502, 503, 603] {
        let mut script = active("presence");
        script.changed(&["NOTIFY active;expires=600"]);
        script.answer(status, "", &[]);
        // It is told again when there is news, or when the subscriber says.
        assert_eq!(script.machine.deadline(), Some(at(600.0)), "{status}");
        script.changed(&["NOTIFY active;expires=600"]);
        script.answer(status, "Retry-After: 20", &[]);
        script.timer_at(20.0, &["NOTIFY active;expires=580"]);
    }
    let mut script = active("presence");
    script.changed(&["NOTIFY active;expires=600"]);
    script.input(NotifierInput::TimedOut, &["over Lost"]);
    let mut script = active("presence");
    script.changed(&["NOTIFY active;expires=600"]);
    script.input(NotifierInput::Unsent, &[]);
    script.timer_at(30.0, &["NOTIFY active;expires=570"]);
}

// RFC 6446 §5
#[test]
fn not_more_often_than_wanted() {
    let mut script = Script::new(
        presence(),
        "Event: presence;max-rate=0.05\nExpires: 600",
        true,
        &["200 600", "NOTIFY active;expires=600;max-rate=0.05"],
    );
    script.answer(200, "", &[]);
    script.now = at(1.0);
    script.changed(&[]);
    script.changed(&[]);
    script.timer_at(20.0, &["NOTIFY active;expires=580;max-rate=0.05"]);
    script.answer(200, "", &[]);
    script.now = at(45.0);
    script.changed(&["NOTIFY active;expires=555;max-rate=0.05"]);
    script.now = at(46.0);
    script.changed(&[]);
    script.answer(200, "", &[]);
    // A SUBSCRIBE is answered at once, and takes the rate away.
    script.subscribe("Event: presence\nExpires: 600", &["200 600", "NOTIFY active;expires=600"]);
    script.answer(200, "", &[]);
    script.changed(&["NOTIFY active;expires=600"]);
    // The 2xx to a NOTIFY may bring one.
    script.answer(200, "Event: presence;max-rate=0.1", &[]);
    script.changed(&[]);
    script.timer_at(56.0, &["NOTIFY active;expires=590;max-rate=0.1"]);
    // So rarely that there would be none: once before the end (§5.3).
    let mut script = Script::new(
        presence(),
        "Event: presence;max-rate=0.001\nExpires: 100",
        true,
        &["200 100", "NOTIFY active;expires=100;max-rate=0.01"],
    );
    script.answer(200, "", &[]);
    script.changed(&[]);
    script.timer_at(100.0, &["NOTIFY terminated;reason=timeout"]);
    // Our own limit.
    let config = presence().max_rate("0.2".parse().unwrap());
    let mut script =
        Script::new(config, "Event: a\nExpires: 60", true, &["200 60", "NOTIFY active;expires=60"]);
    script.answer(200, "", &[]);
    script.changed(&[]);
    script.timer_at(5.0, &["NOTIFY active;expires=55"]);
}

// RFC 6446 §6, §7
#[test]
fn as_often_as_wanted() {
    let rate = "min-rate=0.01";
    let more = format!("Event: presence;{rate}\nExpires: 600");
    let told = |expires| format!("NOTIFY active;expires={expires};{rate}");
    let mut script = Script::new(presence(), &more, true, &["200 600", &told(600)]);
    script.answer(200, "", &[]);
    script.timer_at(100.0, &[&told(500)]);
    script.now = at(101.0);
    script.answer(200, "", &[]);
    script.timer_at(200.0, &[&told(400)]);

    // The first of them adds one to a count of ten; with nothing more, the pace settles at the rate.
    let rate = "adaptive-min-rate=0.1";
    let more = format!("Event: presence;{rate}\nExpires: 600");
    let told = |expires| format!("NOTIFY active;expires={expires};{rate}");
    let mut script = Script::new(presence(), &more, true, &["200 600", &told(600)]);
    script.answer(200, "", &[]);
    assert_eq!(script.machine.deadline(), Some(at(11.0)));
    for _ in 0..20 {
        let due = script.machine.deadline().unwrap();
        let left = 600 - due.as_secs() - u64::from(due.subsec_nanos() > 0);
        let since = due - script.now;
        assert!((at(9.0)..at(12.0)).contains(&since), "{since:?}");
        script.now = due;
        script.input(NotifierInput::Timer, &[&told(left)]);
        script.answer(200, "", &[]);
    }
    // Many notifications of changes make the next one due later.
    for _ in 0..20 {
        let expires = (at(600.0) - script.now).as_secs();
        script.changed(&[&told(expires)]);
        script.answer(200, "", &[]);
    }
    let wait = script.machine.deadline().unwrap() - script.now;
    assert!((at(25.0)..at(35.0)).contains(&wait), "{wait:?}");
}

// RFC 5839 §6.4
#[test]
fn who_has_the_state_is_not_told_it_again() {
    let mut script = Script::new(
        presence(),
        "Event: presence\nExpires: 600\nSuppress-If-Match: e1",
        true,
        &["200 600", "NOTIFY without body active;expires=600"],
    );
    script.answer(200, "", &[]);
    assert_eq!(script.machine.entity_tag(), Some("e1"));
    script.changed(&["NOTIFY active;expires=600"]);
    script.answer(200, "", &[]);
    script.now = at(60.0);
    script.subscribe("Event: presence\nExpires: 600\nSuppress-If-Match: e2", &["204 600"]);
    assert_eq!(script.machine.deadline(), Some(at(660.0)));
    script.subscribe(
        "Event: presence\nExpires: 600\nSuppress-If-Match: e1",
        &["200 600", "NOTIFY active;expires=600"],
    );
    script.answer(200, "", &[]);
    // Quenched: only what concerns the subscription is told.
    script.subscribe("Event: presence\nExpires: 600\nSuppress-If-Match: *", &["204 600"]);
    script.changed(&[]);
    let reason = TerminationReason::NoResource;
    script.input(
        NotifierInput::Terminate { reason, retry_after: None },
        &["NOTIFY without body terminated;reason=noresource"],
    );
    let mut script = active("presence");
    script.subscribe(
        "Event: presence\nExpires: 0\nSuppress-If-Match: e1",
        &["204 0", "over Unsubscribed"],
    );
}

#[test]
fn implicit() {
    let (mut machine, actions) = Notifier::implicit(NotifierConfig::new(60), 60, at(3.0));
    assert_eq!(lines(&actions), ["NOTIFY active;expires=60"]);
    assert_eq!(machine.deadline(), Some(at(63.0)));
    let reason = TerminationReason::NoResource;
    let done = machine.handle(at(4.0), NotifierInput::Terminate { reason, retry_after: None });
    assert!(done.is_empty());
}

#[test]
fn which_event_is_told() {
    use sip_message::Header;
    for (asked, told) in [("presence;max-rate=1;id=7", "presence;id=7"), ("a.winfo;x=y", "a.winfo")]
    {
        assert_eq!(told_event(&Event::parse(asked.as_bytes()).unwrap()).to_string(), told);
    }
}

/// However the inputs come, a NOTIFY is out, a deadline stands, or it is over; and NOTIFYs go out one at a time.
#[test]
fn never_without_a_way_out() {
    use proptest::prelude::*;
    proptest!(|(inputs in proptest::collection::vec((0..12_u8, 0..200_u32), 1..40), active: bool)| {
        let first = subscribe("Event: a;max-rate=0.1;min-rate=0.01;adaptive-min-rate=0.05\nExpires: 600");
        let (mut machine, _) = Notifier::accept(presence(), &first, active, None, at(0.0)).unwrap();
        let (mut out, mut now) = (true, Duration::ZERO);
        for (input, wait) in inputs {
            now = now.saturating_add(Duration::from_secs(wait.into()));
            if let Some(deadline) = machine.deadline() {
                now = now.min(deadline.max(machine.last_sent));
            }
            let again = subscribe(match input { 0 => "Event: a\nExpires: 0", 1 => "Event: a;min-rate=0.1\nExpires: 60", _ => "Event: a\nExpires: 1" });
            let status = match input { 3 => "500", 4 => "200", 5 => "408", _ => "200" };
            let answer = response(&format!("SIP/2.0 {status} X
                Via: SIP/2.0/UDP b;branch=z9hG4bK1
                From: <sip:b@example.com>;tag=b
                To: <sip:a@example.com>;tag=a
                Call-ID: 1
                CSeq: 1 NOTIFY
                Retry-After: 7"));
            let input = match input {
                0..=2 => NotifierInput::Subscribe(&again),
                3..=6 if out => { out = false; NotifierInput::Response(&answer) }
                7 if out => { out = false; NotifierInput::Unsent }
                8 => NotifierInput::Grant,
                9 => NotifierInput::Changed { entity_tag: None },
                10 if wait > 150 => NotifierInput::Terminate { reason: TerminationReason::GiveUp, retry_after: None },
                _ => NotifierInput::Timer,
            };
            for action in machine.handle(now, input) {
                if let NotifierAction::Notify(_) = action {
                    prop_assert!(!out, "two are out");
                    out = true;
                }
            }
            prop_assert!(machine.is_over() || out || machine.deadline().is_some(), "{machine:?}");
        }
    });
}
