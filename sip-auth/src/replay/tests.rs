use super::*;

use alloc::vec::Vec;

use crate::nonce::{Keys, Scope};
use crate::{Algorithm, NonceKey};

const LIFE: Duration = Duration::from_secs(10);

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A nonce that was made at this second.
fn nonce(made: u64) -> NonceId {
    let keys = Keys { current: NonceKey::new(&[1; 32]).unwrap(), previous: None };
    let scope =
        Scope { realm: "r", algorithm: Algorithm::MD5, call_id: b"", source: b"", asked: b"" };
    let text = NonceId::make(&keys, &scope, second(made), 7);
    NonceId::judge(&text, &keys, &scope, second(made), LIFE).unwrap()
}

fn used(made: u64, nc: u32) -> NonceUse {
    let nonce = nonce(made);
    NonceUse { nonce, nc, expires: nonce.made() + LIFE }
}

#[test]
fn a_count_is_good_once_in_any_order() {
    let mut store = UsedNonces::new(10, Duration::ZERO);
    let mut judge = |nc| store.record(&used(1, nc), second(1));
    for (nc, verdict) in [
        (3, Use::First),
        (3, Use::Repeated),
        (1, Use::First),
        (2, Use::First),
        (1, Use::Repeated),
        (66, Use::First),
        (4, Use::First),
        (3, Use::Repeated),
        (2, Use::Repeated),
        (130, Use::First),
        (67, Use::First),
        (66, Use::Repeated),
        (u32::MAX, Use::First),
        (u32::MAX, Use::Repeated),
        (u32::MAX - 63, Use::First),
        (u32::MAX - 64, Use::Repeated),
        (131, Use::Repeated),
    ] {
        assert_eq!(judge(nc), verdict, "{nc}");
    }
}

#[test]
fn nonces_count_apart() {
    let mut store = UsedNonces::new(10, Duration::ZERO);
    assert!(store.is_empty());
    assert_eq!(store.record(&used(1, 1), second(1)), Use::First);
    assert_eq!(store.record(&used(2, 1), second(2)), Use::First);
    assert_eq!(store.record(&used(1, 1), second(2)), Use::Repeated);
    assert_eq!(store.len(), 2);
    let use_of = used(1, 5);
    assert_eq!((use_of.nc(), use_of.expires(), use_of.nonce()), (5, second(11), &nonce(1)));
}

#[test]
fn those_that_have_run_out_make_room() {
    let mut store = UsedNonces::new(3, Duration::ZERO);
    for made in [1, 2, 3] {
        assert_eq!(store.record(&used(made, 1), second(made)), Use::First);
    }
    assert_eq!(store.record(&used(12, 1), second(12)), Use::First);
    assert_eq!(store.len(), 3, "the first has run out, the second has this second left");
    assert_eq!(store.record(&used(2, 1), second(12)), Use::Repeated);
    assert_eq!(store.record(&used(2, 2), second(12)), Use::First);
}

#[test]
fn what_is_forgotten_is_not_let_through_again() {
    let mut store = UsedNonces::new(3, Duration::ZERO);
    for made in [3, 4, 5, 6] {
        assert_eq!(store.record(&used(made, 1), second(6)), Use::First);
    }
    assert_eq!(store.len(), 3);
    assert_eq!(store.record(&used(3, 1), second(6)), Use::Repeated, "its record is gone");
    assert_eq!(store.record(&used(3, 2), second(6)), Use::Repeated);
    assert_eq!(store.record(&used(2, 1), second(6)), Use::Repeated, "older than what is gone");
    assert_eq!(store.record(&used(4, 2), second(6)), Use::First, "held");
}

#[test]
fn what_was_made_before_the_start_is_not_known() {
    let mut store = UsedNonces::new(3, second(5));
    assert_eq!(store.record(&used(4, 1), second(6)), Use::Repeated);
    assert_eq!(store.record(&used(5, 1), second(6)), Use::First);
}

proptest::proptest! {
    /// Against a list of all that was used: nothing twice; nothing refused that is new and near.
    #[test]
    fn nothing_is_let_through_twice(uses in proptest::collection::vec((0_u64..6, 1_u32..100), 1..200)) {
        let mut store = UsedNonces::new(4, Duration::ZERO);
        let mut first: Vec<(u64, u32)> = Vec::new();
        for (made, nc) in uses {
            let seen = first.contains(&(made, nc));
            match store.record(&used(made, nc), second(6)) {
                Use::First => {
                    proptest::prop_assert!(!seen);
                    first.push((made, nc));
                }
                Use::Repeated => {
                    let highest = first.iter().filter(|(m, _)| *m == made).map(|(_, nc)| *nc).max();
                    let held = store.used.contains_key(&nonce(made));
                    proptest::prop_assert!(seen || !held || highest.is_some_and(|high| high - nc >= WINDOW));
                }
            }
            proptest::prop_assert!(store.len() <= 4);
        }
    }
}
