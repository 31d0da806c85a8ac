use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const INTERVALS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(4_000),
    Duration::from_millis(0),
];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn timers_fire_in_time_and_in_order() {
    let start = Instant::now();
    let mut store = TimerStore::new(start, &INTERVALS);
    store.arm_nth(start, 2, "4 s");
    store.arm_nth(start, 0, "500 ms");
    store.arm(start, ms(700), "700 ms");
    store.arm_nth(start + ms(100), 0, "600 ms");
    assert_eq!(store.next(), Some(start + ms(500)));
    assert_eq!(store.pop(start + ms(499)), None);
    assert_eq!(store.pop(start + ms(700)), Some("500 ms"));
    assert_eq!(store.pop(start + ms(700)), Some("600 ms"));
    assert_eq!(store.next(), Some(start + ms(700)));
    assert_eq!(store.pop(start + ms(700)), Some("700 ms"));
    assert_eq!(store.pop(start + ms(3_999)), None);
    assert_eq!(store.pop(start + ms(4_000)), Some("4 s"));
    assert_eq!((store.next(), store.len()), (None, 0));
}

#[test]
fn an_old_key_cancels_nothing() {
    let start = Instant::now();
    let mut store = TimerStore::new(start, &INTERVALS);
    let old = store.arm_nth(start, 0, 1);
    assert_eq!(store.cancel(old), Some(1));
    let new = store.arm_nth(start, 0, 2);
    assert_eq!(new.slot, old.slot);
    assert_eq!(store.cancel(old), None);
    assert_eq!(store.cancel(new), Some(2));
    assert_eq!(store.cancel(new), None);
}

#[test]
fn a_duration_that_has_a_list_uses_it() {
    let start = Instant::now();
    let mut store = TimerStore::new(start, &INTERVALS);
    store.arm(start, ms(4_000), ());
    assert!(store.ordered.is_empty());
    store.arm(start, ms(4_001), ());
    assert_eq!(store.ordered.len(), 1);
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let start = Instant::now();
    let mut store = TimerStore::new(start, &INTERVALS);
    assert_eq!(store.pop(start + ms(1_000)), None);
    store.arm_nth(start, 0, ());
    assert_eq!(store.next(), Some(start + ms(1_500)));
}

#[test]
fn the_farthest_deadline_does_not_overflow() {
    let start = Instant::now();
    let mut store = TimerStore::new(start, &INTERVALS);
    store.arm(start + ms(5), Duration::MAX, ());
    assert_eq!(store.pop(start + ms(1 << 40)), None);
    assert_eq!(store.len(), 1);
}

#[derive(Clone, Debug)]
enum Operation {
    ArmNth(usize),
    Arm(u64),
    Cancel(usize),
    Pass(u64),
    PopAll,
    PopOne,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..INTERVALS.len()).prop_map(Operation::ArmNth),
        2 => (0..6_000_u64).prop_map(Operation::Arm),
        3 => any::<usize>().prop_map(Operation::Cancel),
        3 => (0..900_u64).prop_map(Operation::Pass),
        1 => Just(Operation::PopAll),
        2 => Just(Operation::PopOne),
    ]
}

proptest! {
    /// The store against a sorted map: the same timers fire at the same times.
    #[test]
    fn it_does_what_a_sorted_map_does(operations in prop::collection::vec(operation(), 1..200)) {
        let start = Instant::now();
        let mut store = TimerStore::new(start, &INTERVALS);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut keys: Vec<(TimerKey, u32)> = Vec::new();
        let (mut now, mut number) = (0_u64, 0_u32);
        for operation in operations {
            match operation {
                Operation::ArmNth(nth) => {
                    keys.push((store.arm_nth(start + ms(now), nth, number), number));
                    model.insert(number, now + INTERVALS[nth].as_millis() as u64);
                    number += 1;
                }
                Operation::Arm(after) => {
                    keys.push((store.arm(start + ms(now), ms(after), number), number));
                    model.insert(number, now + after);
                    number += 1;
                }
                Operation::Cancel(which) => {
                    // Fired and cancelled keys stay in the list: they must find nothing.
                    if let Some((key, number)) = keys.get(which % keys.len().max(1)) {
                        let was = model.remove(number).map(|_| *number);
                        prop_assert_eq!(store.cancel(*key), was);
                    }
                }
                Operation::Pass(time) => now += time,
                Operation::PopAll => {
                    let mut last = 0;
                    while let Some(fired) = store.pop(start + ms(now)) {
                        let deadline = model.remove(&fired);
                        prop_assert!(deadline.is_some_and(|at| at >= last && at <= now));
                        last = deadline.unwrap_or(last);
                    }
                    prop_assert!(model.values().all(|deadline| *deadline > now));
                }
                Operation::PopOne => {
                    let soonest = model.values().min().copied().filter(|at| *at <= now);
                    let fired = store.pop(start + ms(now));
                    prop_assert_eq!(fired.and_then(|fired| model.remove(&fired)), soonest);
                }
            }
            prop_assert_eq!(store.len(), model.len());
            let next = model.values().min().map(|at| start + ms(*at));
            prop_assert_eq!(store.next(), next);
        }
    }
}
