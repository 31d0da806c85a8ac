use super::*;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// The times at which the 2xx is repeated, and when it is given up, in milliseconds after it was sent first.
fn trace(t1: Duration, t2: Duration) -> (std::vec::Vec<u128>, u128) {
    let (mut repeat, mut next) = Repeat2xx::start(t1, t2);
    let mut now = Duration::ZERO;
    let mut repeats = std::vec::Vec::new();
    loop {
        now += next;
        match repeat.fired() {
            RepeatStep::Again { next: more } => {
                assert!(more > Duration::ZERO && more <= t2);
                repeats.push(now.as_millis());
                next = more;
            }
            RepeatStep::GiveUp => return (repeats, now.as_millis()),
        }
    }
}

/// RFC 3261 §13.3.1.4 with the default timers.
#[test]
fn doubles_from_t1_to_t2_and_ends_at_64_t1() {
    let (repeats, end) = trace(T1, T2);
    assert_eq!(repeats, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(end, 32_000);
}

#[test]
fn ends_at_64_t1_whatever_the_timers() {
    for (t1, t2) in [(100, 4000), (500, 500), (1000, 700), (2000, 4000), (1, 100_000)] {
        let (repeats, end) = trace(Duration::from_millis(t1), Duration::from_millis(t2));
        assert_eq!(end, u128::from(64 * t1), "T1 {t1} T2 {t2}");
        assert_eq!(repeats[0], u128::from(t1.min(t2)));
    }
}

#[test]
fn giving_up_is_final() {
    let (mut repeat, _) = Repeat2xx::start(T1, T2);
    while repeat.fired() != RepeatStep::GiveUp {}
    assert_eq!(repeat.fired(), RepeatStep::GiveUp);
}
