use core::time::Duration;

use sip_transaction::{Category, Load};

use super::{Overload, OverloadConfig, room};

fn overload() -> Overload {
    Overload::new(OverloadConfig::default())
}

#[test]
fn nothing_is_asked_of_anybody_below_the_limit() {
    let mut overload = overload();
    for _ in 0..100 {
        assert_eq!(overload.loss_of(Load::busy(0.84), 0.79), 0);
    }
}

#[test]
fn a_busy_shard_asks_for_more_each_time_until_it_is_less_busy() {
    let mut overload = overload();
    // Always full, whatever is asked for: it takes some samples to be believed.
    let losses: Vec<u32> = (0..60).map(|_| overload.loss_of(Load::busy(1.0), 0.0)).collect();
    assert_eq!(losses[..5], [0, 0, 0, 0, 0]);
    assert!(losses[5..].windows(2).all(|two| two[0] <= two[1]), "{losses:?}");
    assert_eq!(losses.last(), Some(&98));
    let more: Vec<u32> = (0..60).map(|_| overload.loss_of(Load::busy(0.4), 0.0)).collect();
    assert!(more.windows(2).all(|two| two[0] >= two[1]), "{more:?}");
    assert_eq!(more.last(), Some(&0));
}

#[test]
fn one_busy_moment_is_none() {
    let mut overload = overload();
    for _ in 0..50 {
        assert_eq!(overload.loss_of(Load::busy(1.0), 0.0), 0);
        for _ in 0..5 {
            assert_eq!(overload.loss_of(Load::busy(0.7), 0.0), 0);
        }
    }
}

#[test]
fn the_loss_settles_where_the_load_is_at_its_aim() {
    let mut overload = overload();
    // Four times as much comes as can be done, and everybody obeys.
    let mut loss = 0;
    for _ in 0..100 {
        let offered = 4.0 * f64::from(100 - loss) / 100.0;
        loss = overload.loss_of(Load::busy(offered), 0.0);
    }
    assert!((76..=81).contains(&loss), "{loss}");
}

#[test]
fn a_long_wait_counts_where_the_time_does_not_show_it() {
    let mut overload = overload();
    let waits = |ms| Load::busy(0.5).delay(Duration::from_millis(ms));
    // A moment is no queue.
    assert_eq!(overload.loss_of(waits(10_000), 0.0), 0);
    assert_eq!(overload.loss_of(waits(80), 0.0), 0);
    assert_eq!(overload.loss_of(waits(90), 0.0), 38);
    // The least of three samples counts, and at most halves what passes.
    assert_eq!(overload.loss_of(waits(10_000), 0.0), 61);
    assert_eq!(overload.loss_of(waits(10_000), 0.0), 78);
    assert_eq!(overload.loss_of(waits(10_000), 0.0), 89);
}

#[test]
fn a_crowded_table_asks_for_less_in_proportion_and_some_requests_always_pass() {
    let mut overload = overload();
    assert_eq!(overload.loss_of(Load::busy(0.1), 0.8), 0);
    assert_eq!(overload.loss_of(Load::busy(0.1), 0.9), 50);
    assert_eq!(overload.loss_of(Load::busy(0.1), 1.1), 100);
    assert_eq!(overload.loss_of(Load::busy(0.1), 0.0), 0);
    for _ in 0..100 {
        overload.loss_of(Load::busy(1.0), 0.0);
    }
    assert_eq!(overload.loss_of(Load::busy(1.0), 0.0), 98);
    // A measurement that makes no sense does no harm.
    for _ in 0..100 {
        let odd = Load::busy(f64::NAN).delay(Duration::MAX);
        assert!(overload.loss_of(odd, f64::NAN) <= 100);
    }
    // And is forgotten.
    for _ in 0..100 {
        overload.loss_of(Load::busy(0.1), 0.0);
    }
    assert_eq!(overload.loss_of(Load::busy(0.1), 0.0), 0);
}

#[test]
fn what_is_preferred_has_an_eighth_more_room() {
    assert_eq!(room(800, Category::Reducible), 800);
    assert_eq!(room(800, Category::Preferred), 901);
    assert_eq!(room(0, Category::Preferred), 1);
}
