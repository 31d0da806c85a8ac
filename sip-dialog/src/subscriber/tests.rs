use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::format;

use sip_message::Header;

use super::*;
use crate::test_support::{request, response};

/// A subscriber, and what it did: lines like `SUBSCRIBE 600 anew`.
struct Script {
    machine: Subscriber,
    now: Duration,
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Script {
    fn new(config: SubscriberConfig) -> Script {
        let mut script = Script { machine: Subscriber::new(config), now: at(0.0) };
        assert_eq!(script.machine.deadline(), None);
        let expires = config.expires;
        script.input(SubscriberInput::Start, &[&format!("SUBSCRIBE {expires} anew")]);
        script
    }

    #[track_caller]
    fn input(&mut self, input: SubscriberInput<'_>, expected: &[&str]) {
        // The least of each range.
        let actions = self.machine.handle(self.now, input, &mut |range| *range.start());
        let done: Vec<String> = actions.iter().map(line).collect();
        assert_eq!(done, expected);
    }

    #[track_caller]
    fn answer(&mut self, status: u16, more: &str, expected: &[&str]) {
        let response = response(&format!(
            "SIP/2.0 {status} X
             Via: SIP/2.0/UDP a;branch=z9hG4bK1
             From: <sip:a@example.com>;tag=a
             To: <sip:b@example.com>;tag=b
             Call-ID: 1
             CSeq: 1 SUBSCRIBE
             {more}"
        ));
        self.input(SubscriberInput::Response(&response), expected);
    }

    #[track_caller]
    fn notify(&mut self, state: &str, expected: &[&str]) {
        let state = SubscriptionState::parse(state.as_bytes()).unwrap();
        self.input(SubscriberInput::Notify(&state), expected);
    }

    /// Nothing happens before that moment, and then this.
    #[track_caller]
    fn timer_at(&mut self, seconds: f64, expected: &[&str]) {
        assert_eq!(self.machine.deadline(), Some(at(seconds)));
        self.now = at(seconds);
        self.input(SubscriberInput::Timer, expected);
    }
}

fn line(action: &SubscriberAction) -> String {
    match action {
        SubscriberAction::Subscribe { expires, anew: true } => format!("SUBSCRIBE {expires} anew"),
        SubscriberAction::Subscribe { expires, anew: false } => format!("SUBSCRIBE {expires}"),
        SubscriberAction::Event(SubscriptionEvent::Ended { reason, retry_in }) => {
            let reason = match reason {
                SubscriptionEnd::Terminated(reason) => reason.as_str().to_string(),
                SubscriptionEnd::Refused(status) => status.as_u16().to_string(),
                other => format!("{other:?}"),
            };
            match retry_in {
                Some(wait) => format!("ended {reason}, again in {}", wait.as_secs()),
                None => format!("ended {reason}"),
            }
        }
        SubscriberAction::Event(event) => format!("{event:?}"),
    }
}

/// An active subscription for ten minutes, at 0 s.
fn active() -> Script {
    let mut script = Script::new(SubscriberConfig::new(600));
    script.answer(200, "Expires: 600", &[]);
    script.notify("active;expires=600", &["Active"]);
    script
}

// RFC 6665 §4.1.2: the figure, by way of pending.
#[test]
fn pending_then_active_then_refreshed() {
    let mut script = Script::new(SubscriberConfig::new(600));
    assert_eq!(script.machine.deadline(), Some(at(32.0)), "Timer N");
    script.answer(200, "Expires: 600", &[]);
    assert!(!script.machine.is_established());
    script.notify("pending;expires=600", &["Pending"]);
    script.notify("pending;expires=600", &[]);
    script.notify("active;expires=600", &["Active"]);
    // 75 % of 600 s.
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.answer(200, "Expires: 300", &[]);
    script.notify("active;expires=300", &[]);
    script.timer_at(675.0, &["SUBSCRIBE 600"]);
    script.answer(200, "Expires: 600", &[]);
    script.notify("active", &[]);
    assert_eq!(script.machine.deadline(), Some(at(1125.0)));
}

#[test]
fn a_notify_overtakes_the_2xx() {
    let mut script = Script::new(SubscriberConfig::new(600));
    script.notify("active;expires=500", &["Active"]);
    script.answer(202, "Expires: 500", &[]);
    assert_eq!(script.machine.deadline(), Some(at(375.0)));
    // What the notifier cannot grant is not believed.
    let mut script = Script::new(SubscriberConfig::new(600));
    script.answer(200, "Expires: 6000", &[]);
    script.notify("active", &["Active"]);
    assert_eq!(script.machine.deadline(), Some(at(450.0)));
}

#[test]
fn nobody_notifies() {
    for answered in [true, false] {
        let mut script = Script::new(SubscriberConfig::new(600).resubscribe(false));
        if answered {
            script.answer(200, "Expires: 600", &[]);
        }
        script.timer_at(32.0, &["ended NoNotify"]);
        assert!(script.machine.is_over());
        assert_eq!(script.machine.deadline(), None);
    }
    // The waits double, from 30 s to half an hour, and half of each is chance.
    let mut script = Script::new(SubscriberConfig::new(600).t1(at(0.5)));
    let mut now = 0.0;
    for wait in [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0] {
        now += 32.0;
        script.timer_at(now, &[&format!("ended NoNotify, again in {wait}")]);
        now += wait;
        script.timer_at(now, &["SUBSCRIBE 600 anew"]);
    }
}

// RFC 6665 §4.1.2.2
#[test]
fn what_ends_a_subscription_that_is_refreshed() {
    for status in [404, 405, 410, 416, 480, 482, 483, 484, 485, 489, 501, 604] {
        let mut script = active();
        script.timer_at(450.0, &["SUBSCRIBE 600"]);
        let ended = format!("ended {status}, again in 15");
        script.answer(status, "", &[&ended]);
        script.timer_at(465.0, &["SUBSCRIBE 600 anew"]);
    }
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.answer(481, "", &["ended 481, again in 0", "SUBSCRIBE 600 anew"]);

    for status in [400, 403, 408, 487, 500, 502, 503, 600, 603] {
        let mut script = active();
        script.timer_at(450.0, &["SUBSCRIBE 600"]);
        script.answer(status, "", &[]);
        // Half of what is left, again and again, and then it is over.
        script.timer_at(525.0, &["SUBSCRIBE 600"]);
        script.answer(status, "", &[]);
        script.timer_at(562.5, &["SUBSCRIBE 600"]);
        script.answer(status, "Retry-After: 100", &[]);
        script.timer_at(600.0, &["ended Expired, again in 0", "SUBSCRIBE 600 anew"]);
    }
    // A refresh that nobody answers: Timer N, and the time-out of the transaction beside it.
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.now = at(482.0);
    script.input(SubscriberInput::NoResponse, &[]);
    script.timer_at(482.0, &["ended NoNotify, again in 15"]);
    // One that could not be sent.
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.input(SubscriberInput::NoResponse, &[]);
    script.timer_at(525.0, &["SUBSCRIBE 600"]);
    // One whose NOTIFY came and whose answer did not.
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.notify("active;expires=600", &[]);
    script.now = at(482.0);
    script.input(SubscriberInput::NoResponse, &[]);
    assert!(script.machine.is_established());
}

// RFC 5839 §5.6, §5.7
#[test]
fn no_notification_follows_a_204() {
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.answer(204, "Expires: 600", &[]);
    assert_eq!(script.machine.deadline(), Some(at(900.0)));
    script.input(SubscriberInput::Stop, &["SUBSCRIBE 0"]);
    script.answer(204, "Expires: 0", &["ended Unsubscribed"]);
    assert!(script.machine.is_over());
}

#[test]
fn unsubscribing() {
    let mut script = active();
    script.input(SubscriberInput::Stop, &["SUBSCRIBE 0"]);
    script.input(SubscriberInput::Stop, &[]);
    script.answer(200, "Expires: 0", &[]);
    // One that was on its way does not end the wait for the last.
    script.notify("active;expires=590", &[]);
    assert_eq!(script.machine.deadline(), Some(at(32.0)));
    script.notify("terminated;reason=timeout", &["ended Unsubscribed"]);
    assert!(script.machine.is_over());

    // The last NOTIFY is lost.
    let mut script = active();
    script.input(SubscriberInput::Stop, &["SUBSCRIBE 0"]);
    script.timer_at(32.0, &["ended Unsubscribed"]);
    // Or there is nothing to end.
    let mut script = active();
    script.input(SubscriberInput::Stop, &["SUBSCRIBE 0"]);
    script.answer(481, "", &["ended Unsubscribed"]);

    // While a refresh is out: two are never out together.
    let mut script = active();
    script.timer_at(450.0, &["SUBSCRIBE 600"]);
    script.input(SubscriberInput::Stop, &[]);
    script.answer(200, "Expires: 600", &["SUBSCRIBE 0"]);
    script.notify("terminated", &["ended Unsubscribed"]);

    // Before the first NOTIFY there is nothing to say it in.
    let mut script = Script::new(SubscriberConfig::new(600));
    script.input(SubscriberInput::Stop, &[]);
    script.answer(200, "Expires: 600", &[]);
    script.notify("active;expires=600", &["Active", "SUBSCRIBE 0"]);
    script.notify("terminated;reason=timeout", &["ended Unsubscribed"]);
    let mut script = Script::new(SubscriberConfig::new(600));
    script.input(SubscriberInput::Stop, &[]);
    script.timer_at(32.0, &["ended Unsubscribed"]);
}

// RFC 6665 §4.4.3
#[test]
fn fetching() {
    let mut script = Script::new(SubscriberConfig::new(0));
    script.answer(200, "Expires: 0", &[]);
    script.notify("terminated;reason=timeout", &["ended Unsubscribed"]);
    assert!(script.machine.is_over());
    // A notifier that tells and does not end it: Timer N does.
    let mut script = Script::new(SubscriberConfig::new(0));
    script.notify("active;expires=0", &["Active"]);
    script.answer(200, "Expires: 0", &[]);
    script.timer_at(32.0, &["ended NoNotify"]);
    assert!(script.machine.is_over());

    let mut script = active();
    script.input(SubscriberInput::Refresh, &["SUBSCRIBE 600"]);
    script.input(SubscriberInput::Refresh, &[]);
    script.answer(200, "Expires: 600", &["SUBSCRIBE 600"]);
}

// RFC 6665 §4.1.3
#[test]
fn what_follows_each_reason() {
    for (state, follows) in [
        ("terminated;reason=deactivated;retry-after=9", "ended deactivated, again in 0"),
        ("terminated;reason=probation", "ended probation, again in 15"),
        ("terminated;reason=probation;retry-after=77", "ended probation, again in 77"),
        ("terminated;reason=rejected;retry-after=7", "ended rejected"),
        ("terminated;reason=timeout;retry-after=7", "ended timeout, again in 0"),
        ("terminated;reason=giveup", "ended giveup, again in 15"),
        ("terminated;reason=giveup;retry-after=5", "ended giveup, again in 5"),
        ("terminated;reason=noresource", "ended noresource"),
        ("terminated;reason=invariant;retry-after=31536000", "ended invariant"),
        ("Terminated;reason=weather;retry-after=3;expires=9", "ended , again in 3"),
        ("terminated", "ended , again in 15"),
    ] {
        let mut script = active();
        let again = follows.ends_with(" 0");
        let expected = [follows, "SUBSCRIBE 600 anew"];
        script.notify(state, expected.get(..if again { 2 } else { 1 }).unwrap());
        assert_eq!(script.machine.is_over(), !follows.contains("again"), "{state}");
        let mut script = Script::new(SubscriberConfig::new(600).resubscribe(false));
        let ended = follows.split(',').next().unwrap();
        script.notify(state, &[ended.trim_end()].map(|_| ended));
        assert!(script.machine.is_over());
    }
}

#[test]
fn a_notifier_that_sends_us_away_each_time_is_not_asked_without_end() {
    let mut script = active();
    let deactivated = "terminated;reason=deactivated";
    script.notify(deactivated, &["ended deactivated, again in 0", "SUBSCRIBE 600 anew"]);
    script.notify(deactivated, &["ended deactivated, again in 30"]);
    script.timer_at(30.0, &["SUBSCRIBE 600 anew"]);
    script.notify(deactivated, &["ended deactivated, again in 60"]);
}

#[test]
fn too_brief() {
    let mut script = Script::new(SubscriberConfig::new(60));
    script.answer(423, "Min-Expires: 300", &["SUBSCRIBE 300"]);
    script.answer(200, "Expires: 300", &[]);
    script.notify("active;expires=300", &["Active"]);
    script.timer_at(225.0, &["SUBSCRIBE 300"]);
    script.answer(423, "Min-Expires: 600", &["SUBSCRIBE 600"]);
    // One that asks for nothing longer, and one that is never content.
    let mut script = Script::new(SubscriberConfig::new(60));
    script.answer(423, "Min-Expires: 60", &["ended 423, again in 15"]);
    let mut script = Script::new(SubscriberConfig::new(60));
    for least in [61, 62, 63] {
        let asks = format!("SUBSCRIBE {least}");
        script.answer(423, &format!("Min-Expires: {least}"), &[&asks]);
    }
    script.answer(423, "Min-Expires: 64", &["ended 423, again in 15"]);
}

#[test]
fn refused_from_the_start() {
    for (status, again) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (405, false),
        (406, false),
        (408, true),
        (480, true),
        (481, true),
        (486, true),
        (489, false),
        (500, true),
        (501, false),
        (503, true),
        (603, false),
        (604, false),
    ] {
        let mut script = Script::new(SubscriberConfig::new(600));
        let again = if again { ", again in 15" } else { "" };
        script.answer(status, "", &[&format!("ended {status}{again}")]);
        let mut script = Script::new(SubscriberConfig::new(600));
        let ended = format!("ended {status}, again in 40");
        script.answer(status, "Retry-After: 40", &[&ended]);
        script.input(SubscriberInput::Stop, &["ended Unsubscribed"]);
        assert!(script.machine.is_over());
    }
}

// RFC 6665 §4.1.4
#[test]
fn forks() {
    let mut script = active();
    let mut fork = script.machine.fork(at(31.9)).unwrap();
    let state = SubscriptionState::parse(b"active;expires=600").unwrap();
    let done = fork.handle(at(31.9), SubscriberInput::Notify(&state), &mut |r| *r.start());
    assert_eq!(done.as_slice(), [SubscriberAction::Event(SubscriptionEvent::Active)]);
    assert_eq!(fork.deadline(), Some(at(31.9 + 450.0)));
    // Each on its own: the end of one is not that of the other, and only the first begins anew.
    let gone = SubscriptionState::parse(b"terminated;reason=deactivated").unwrap();
    fork.handle(at(40.0), SubscriberInput::Notify(&gone), &mut |r| *r.start());
    assert!(fork.is_over() && script.machine.is_established());
    assert!(script.machine.fork(at(32.0)).is_none(), "Timer N has fired");
    script.notify("terminated;reason=rejected", &["ended rejected"]);
    assert!(script.machine.fork(at(1.0)).is_none());
}

// RFC 3515 §2.4.4
#[test]
fn implicit() {
    let mut machine = Subscriber::implicit(SubscriberConfig::new(60), at(5.0));
    assert_eq!(machine.deadline(), Some(at(37.0)));
    let state = SubscriptionState::parse(b"active;expires=60").unwrap();
    machine.handle(at(6.0), SubscriberInput::Notify(&state), &mut |r| *r.start());
    assert!(machine.is_established());
    let gone = SubscriptionState::parse(b"terminated;reason=noresource").unwrap();
    machine.handle(at(7.0), SubscriberInput::Notify(&gone), &mut |r| *r.start());
    assert!(machine.is_over());
}

#[test]
fn which_notify_fits() {
    let notify = |more: &str| {
        request(&format!(
            "NOTIFY sip:a@192.0.2.1 SIP/2.0
             Via: SIP/2.0/UDP b;branch=z9hG4bK1
             From: <sip:b@example.com>;tag=b
             To: <sip:a@example.com>;tag=a
             Call-ID: 1
             CSeq: 1 NOTIFY
             {more}"
        ))
    };
    let event = Event::parse(b"presence;id=1;max-rate=1").unwrap();
    for (more, owed) in [
        ("Event: presence;id=1\nSubscription-State: active", None),
        ("o: presence;id=1;x=y\nSubscription-State: waiting;expires=1", None),
        ("Subscription-State: active", Some(489)),
        ("Event: presence\nSubscription-State: active", Some(489)),
        ("Event: presence;id=2\nSubscription-State: active", Some(489)),
        ("Event: presence.winfo;id=1\nSubscription-State: active", Some(489)),
        ("Event: a b\nSubscription-State: active", Some(489)),
        ("Event: presence;id=1", Some(400)),
        ("Event: presence;id=1\nSubscription-State: active;expires=x", Some(400)),
    ] {
        let notify = notify(more);
        let judged = notification(&notify, &event).map_err(|owed| owed.status.as_u16());
        assert_eq!(judged.err(), owed, "{more}");
    }
}

/// However the inputs come, a SUBSCRIBE is out, a deadline stands, or it is over; and they go out one at a time.
#[test]
fn never_without_a_way_out() {
    use proptest::prelude::*;
    let input = 0..12_u8;
    proptest!(|(inputs in proptest::collection::vec((input, 0..700_u32), 1..40), fetch: bool)| {
        let expires = if fetch { 0 } else { 600 };
        let mut machine = Subscriber::new(SubscriberConfig::new(expires));
        let mut now = Duration::ZERO;
        let mut out = 0_u8;
        machine.handle(now, SubscriberInput::Start, &mut |r| *r.end());
        out += 1;
        for (input, wait) in inputs {
            now = now.saturating_add(Duration::from_secs(wait.into()));
            if let Some(deadline) = machine.deadline() {
                now = now.min(deadline);
            }
            let states = ["active;expires=300", "pending", "active", "terminated", "terminated;reason=timeout"];
            let state = states.get(usize::from(input)).map(|s| SubscriptionState::parse(s.as_bytes()).unwrap());
            let answer = match input { 5 => "200 OK\nExpires: 600", 6 => "481 X", 7 => "500 X", 8 => "423 X\nMin-Expires: 700", _ => "204 X" };
            let answer = response(&format!("SIP/2.0 {answer}
                Via: SIP/2.0/UDP a;branch=z9hG4bK1
                From: <sip:a@example.com>;tag=a
                To: <sip:b@example.com>;tag=b
                Call-ID: 1
                CSeq: 1 SUBSCRIBE"));
            let input = match (&state, input) {
                (Some(state), _) => SubscriberInput::Notify(state),
                (None, 5..=9) if out > 0 => { out -= 1; SubscriberInput::Response(&answer) }
                (None, 10) => SubscriberInput::Stop,
                (None, _) => SubscriberInput::Timer,
            };
            for action in machine.handle(now, input, &mut |r| *r.start()) {
                match action {
                    SubscriberAction::Subscribe { anew, .. } => out = if anew { 1 } else { out + 1 },
                    SubscriberAction::Event(SubscriptionEvent::Ended { .. }) => out = 0,
                    SubscriberAction::Event(_) => {}
                }
            }
            prop_assert!(out <= 1, "two are out");
            prop_assert!(machine.is_over() || out > 0 || machine.deadline().is_some(), "{machine:?}");
        }
    });
}
