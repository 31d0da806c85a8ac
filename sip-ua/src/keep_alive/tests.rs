use super::*;

const MILLI: Duration = Duration::from_millis(1);

/// A keeper at work under a virtual clock; every range gives its least.
struct Run {
    keeper: Keeper,
    now: Duration,
    timer: Duration,
}

impl Run {
    fn new(method: Method, interval: Interval) -> Self {
        let (keeper, timer) = Keeper::new(method, interval, &mut least);
        Self { keeper, now: Duration::ZERO, timer }
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        for action in self.keeper.handle(input, &mut least) {
            match action {
                Action::Arm(after) => self.timer = self.now + after,
                other => actions.push(other),
            }
        }
        actions
    }

    /// Waits for the timer; when it fired, in milliseconds, and what came of it.
    fn fire(&mut self) -> (u128, Vec<Action>) {
        self.now = self.timer;
        (self.now.as_millis(), self.feed(Input::Timer))
    }

    fn ask(&mut self) -> StunId {
        match self.fire().1[..] {
            [Action::Ask(id)] => id,
            ref other => panic!("{other:?}"),
        }
    }
}

fn least(range: std::ops::RangeInclusive<u32>) -> u32 {
    *range.start()
}

fn datagrams() -> Interval {
    Interval::new(false, None, None)
}

#[test]
fn a_ping_that_is_answered_is_followed_by_the_next() {
    let mut run = Run::new(Method::Ping, Interval::new(true, None, None));
    for turn in 1..=3 {
        let before = run.now;
        let (at, actions) = run.fire();
        assert_eq!((at - before.as_millis(), actions), (95_000, vec![Action::Ping]));
        run.now += 9_999 * MILLI;
        let expected = if turn == 1 { vec![Action::Proven] } else { vec![] };
        assert_eq!(run.feed(Input::Pong), expected);
        assert!(run.keeper.is_proven());
    }
}

#[test]
fn a_ping_without_an_answer_in_ten_seconds_fails_the_flow() {
    let mut run = Run::new(Method::Ping, Interval::new(true, None, None));
    assert_eq!(run.feed(Input::Pong), [], "nothing was asked");
    assert!(!run.keeper.is_proven());
    run.fire();
    assert_eq!(run.fire(), (105_000, vec![Action::Fail]));
    for input in [Input::Timer, Input::Pong] {
        assert_eq!(run.feed(input), []);
    }
}

#[test]
fn a_binding_request_is_repeated_as_stun_has_it_and_then_the_flow_has_failed() {
    let mut run = Run::new(Method::Stun, datagrams());
    let mut sent = Vec::new();
    let failed = loop {
        match run.fire() {
            (at, actions) if actions == [Action::Fail] => break at,
            (at, actions) => {
                assert!(matches!(actions[..], [Action::Ask(_)]), "{actions:?}");
                sent.push(at - 24_000);
            }
        }
    };
    // RFC 8489 §6.2.1: "For example, assuming an
    // RTO of 500 ms, requests would be sent at times 0 ms, 500 ms, 1500 ms,
    // 3500 ms, 7500 ms, 15500 ms, and 31500 ms.  If the client has not
    // received a response after 39500 ms, the client will consider the
    // transaction to have timed out."
    assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(failed - 24_000, 39_500);
}

#[test]
fn another_mapped_address_or_an_error_fails_the_flow() {
    let (here, there) = ("192.0.2.1:1".parse().ok(), "192.0.2.1:2".parse().ok());
    for then in [there, None] {
        let mut run = Run::new(Method::Stun, datagrams());
        let id = run.ask();
        assert_eq!(run.feed(Input::Binding { id, mapped: here }), [Action::Proven]);
        assert_eq!(run.feed(Input::Binding { id, mapped: there }), [], "answered before");
        let id = run.ask();
        let other = [0xff; 12];
        assert_ne!(id, other);
        assert_eq!(run.feed(Input::Binding { id: other, mapped: there }), [], "not ours");
        assert_eq!(run.feed(Input::Binding { id, mapped: here }), []);
        let id = run.ask();
        assert_eq!(run.feed(Input::Binding { id, mapped: then }), [Action::Fail]);
    }
}

#[test]
fn blank_lines_go_on_unanswered() {
    let mut run = Run::new(Method::Blank, datagrams());
    for turn in 1..=100 {
        assert_eq!(run.fire(), (24_000 * turn, vec![Action::Ping]));
    }
    assert!(run.keeper.is_proven());
}

#[test]
fn the_server_and_the_user_shorten_the_interval_and_none_makes_it_nothing() {
    let of = |stream, server: Option<u64>, user: Option<u64>| {
        let seconds = |s: Option<u64>| s.map(Duration::from_secs);
        let Interval { least, most } = Interval::new(stream, seconds(server), seconds(user));
        (least, most)
    };
    assert_eq!(of(true, None, None), (95_000, 120_000));
    assert_eq!(of(false, None, None), (24_000, 29_000));
    assert_eq!(of(true, Some(30), None), (24_000, 30_000));
    assert_eq!(of(true, Some(30), Some(840)), (24_000, 30_000), "the server waits no longer");
    assert_eq!(of(false, Some(30), Some(10)), (8_000, 10_000));
    assert_eq!(of(true, None, Some(840)), (672_000, 840_000));
    assert_eq!(of(true, Some(0), None), (800, 1_000));
    assert_eq!(of(true, Some(u64::MAX), None).1, u32::MAX);
}
