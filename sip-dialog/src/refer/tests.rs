use super::*;
use ReferrerAction::{None as Nothing, Outcome, Progress};

const T1: Duration = Duration::from_millis(500);
const TIMER_N: Option<Duration> = Some(Duration::from_secs(32));

fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap()
}

fn response(code: u16) -> ReferrerInput {
    ReferrerInput::Response { status: status(code), subscribed: true }
}

fn notify(code: u16, left: Option<u64>) -> ReferrerInput {
    ReferrerInput::Notify { status: Some(status(code)), left: left.map(Duration::from_secs) }
}

/// Each input in turn with what comes of it; whether it is over then.
fn referrer(steps: &[(ReferrerInput, ReferrerAction, Option<Duration>)], over: bool) {
    let mut referrer = Referrer::new(T1);
    for (n, (input, action, wait)) in steps.iter().enumerate() {
        assert_eq!(referrer.handle(*input), (*action, *wait), "step {n}: {input:?}");
    }
    assert_eq!(referrer.is_over(), over);
}

/// RFC 3515 §4.1: 202, NOTIFY 100, NOTIFY 200.
#[test]
fn a_reference_that_succeeds() {
    let done = Outcome(ReferOutcome::Reported(StatusCode::OK));
    referrer(
        &[
            (response(202), Nothing, TIMER_N),
            (notify(100, Some(60)), Progress(status(100)), Some(PATIENCE)),
            (notify(180, Some(600)), Progress(status(180)), Some(Duration::from_secs(600))),
            (notify(200, None), done, None),
            (notify(200, None), Nothing, None),
        ],
        true,
    );
    assert!(ReferOutcome::Reported(StatusCode::OK).is_success());
}

#[test]
fn a_notify_overtakes_the_response() {
    let busy = Outcome(ReferOutcome::Reported(status(486)));
    referrer(
        &[
            (notify(100, Some(60)), Progress(status(100)), Some(PATIENCE)),
            (response(202), Nothing, None),
            (notify(486, None), busy, None),
        ],
        true,
    );
    referrer(&[(notify(486, None), busy, None), (response(202), Nothing, None)], true);
}

/// A referee that leaves the subscription active after the outcome, and one that never ends it.
#[test]
fn an_outcome_in_a_subscription_that_goes_on() {
    let done = Outcome(ReferOutcome::Reported(StatusCode::OK));
    let begin = [(response(202), Nothing, TIMER_N), (notify(200, Some(60)), done, TIMER_N)];
    referrer(&begin, false);
    let [one, two] = begin;
    referrer(&[one, two, (notify(200, Some(9)), Nothing, None)], false);
    referrer(&[one, two, (notify(200, None), Nothing, None)], true);
    referrer(&[one, two, (ReferrerInput::Timer, Nothing, None)], true);
}

#[test]
fn a_refusal_and_reports_that_never_come() {
    let unreported = Outcome(ReferOutcome::Unreported);
    referrer(&[(response(603), Outcome(ReferOutcome::Refused(status(603))), None)], true);
    referrer(&[(response(202), Nothing, TIMER_N), (ReferrerInput::Timer, unreported, None)], true);
    referrer(
        &[
            (response(202), Nothing, TIMER_N),
            (notify(180, Some(60)), Progress(status(180)), Some(PATIENCE)),
            (ReferrerInput::Timer, unreported, None),
        ],
        true,
    );
    referrer(&[(response(202), Nothing, TIMER_N), (notify(100, None), unreported, None)], true);
    let unreadable = ReferrerInput::Notify { status: None, left: None };
    referrer(&[(response(202), Nothing, TIMER_N), (unreadable, unreported, None)], true);
    let no_reports = ReferrerInput::Response { status: status(200), subscribed: false };
    referrer(&[(no_reports, unreported, None)], true);
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn report(code: u16, state: ReportState) -> Option<Report> {
    Some(Report { status: status(code), state })
}

#[test]
fn reports_go_out_one_at_a_time() {
    let (mut reporter, first) = Reporter::new(secs(0), secs(60), true);
    assert_eq!(Some(first), report(100, ReportState::Active(secs(60))));
    let ringing = ReporterInput::Status(StatusCode::RINGING);
    assert_eq!(reporter.handle(secs(1), ringing), None);
    assert_eq!(reporter.handle(secs(1), ReporterInput::Status(status(183))), None);
    let heard = ReporterInput::Heard;
    assert_eq!(reporter.handle(secs(2), heard), report(183, ReportState::Active(secs(58))));
    assert_eq!(reporter.handle(secs(3), heard), None, "nothing new");
    assert_eq!(reporter.handle(secs(3), ReporterInput::Status(status(183))), None);
    let ok = ReporterInput::Status(StatusCode::OK);
    assert_eq!(reporter.handle(secs(4), ok), report(200, ReportState::Done));
    assert_eq!(reporter.handle(secs(4), ReporterInput::Status(status(486))), None);
    assert!(!reporter.is_over());
    assert_eq!(reporter.handle(secs(5), heard), None);
    assert!(reporter.is_over());
}

/// RFC 3515 §2.4.4: unsubscribing ends the reports and not the reference.
#[test]
fn a_referrer_that_leaves() {
    let (mut reporter, _) = Reporter::new(secs(0), secs(60), true);
    reporter.handle(secs(0), ReporterInput::Heard);
    let refresh = ReporterInput::Subscribe(secs(90));
    assert_eq!(reporter.handle(secs(10), refresh), report(100, ReportState::Active(secs(90))));
    assert_eq!(reporter.expires_at(), secs(100));
    let leave = ReporterInput::Subscribe(Duration::ZERO);
    assert_eq!(reporter.handle(secs(11), leave), None, "one is out");
    assert_eq!(reporter.handle(secs(12), ReporterInput::Heard), report(100, ReportState::Expired));
    assert_eq!(reporter.handle(secs(13), ReporterInput::Status(StatusCode::OK)), None);
    assert_eq!(reporter.handle(secs(14), ReporterInput::Heard), None);
    assert!(reporter.is_over());
}

#[test]
fn a_reference_that_nobody_allows_in_time() {
    let (mut reporter, first) = Reporter::new(secs(0), secs(60), false);
    assert_eq!(Some(first), report(100, ReportState::Pending(secs(60))));
    reporter.handle(secs(1), ReporterInput::Heard);
    let late = reporter.handle(secs(60), ReporterInput::Timer);
    assert_eq!(late, report(100, ReportState::Expired));
    reporter.handle(secs(92), ReporterInput::Lost);
    assert!(reporter.is_over());
    assert_eq!(reporter.handle(secs(93), ReporterInput::Status(StatusCode::OK)), None);
}
