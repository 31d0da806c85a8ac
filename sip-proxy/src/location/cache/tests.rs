//! What may be kept of answers that come late.

use super::*;

fn aor(user: &str) -> Aor {
    Aor::of(&format!("sip:{user}@example.com").parse().unwrap()).unwrap()
}

fn at(version: u64) -> Located {
    Located { version: Version::new(version), ..Located::none() }
}

fn known(cache: &Cache, user: &str) -> Option<(Version, u64)> {
    cache.find(&aor(user)).map(|(located, epoch)| (located.version, epoch))
}

#[test]
fn an_answer_is_kept_until_a_change_is_told() {
    let cache = Cache::new(100, [1, 2]);
    let ticket = cache.begin(&aor("bob"), 1);
    assert_eq!(known(&cache, "bob"), None);
    cache.put(&aor("bob"), &at(3), ticket);
    assert_eq!(known(&cache, "bob"), Some((Version::new(3), 1)));
    cache.changed(&aor("bob"), Version::new(4), 1);
    assert_eq!(known(&cache, "bob"), None);
    let ticket = cache.begin(&aor("bob"), 1);
    cache.put(&aor("bob"), &at(4), ticket);
    cache.forget(&aor("bob"));
    assert_eq!(known(&cache, "bob"), None);
    cache.put(&aor("bob"), &at(3), ticket);
    assert_eq!(known(&cache, "bob"), None);
}

#[test]
fn an_answer_that_a_change_has_overtaken_is_not_kept() {
    let cache = Cache::new(100, [1, 2]);
    let ticket = cache.begin(&aor("bob"), 1);
    cache.changed(&aor("bob"), Version::new(4), 1);
    cache.put(&aor("bob"), &at(3), ticket);
    assert_eq!(known(&cache, "bob"), None);
    // Our own commit: the change is told before its answer comes.
    cache.put(&aor("bob"), &at(4), ticket);
    assert_eq!(known(&cache, "bob"), Some((Version::new(4), 1)));
    // Told once more, it is the same.
    cache.changed(&aor("bob"), Version::new(4), 1);
    assert_eq!(known(&cache, "bob"), Some((Version::new(4), 1)));
    // What was removed, and asked for before.
    cache.changed(&aor("bob"), Version::NONE, 1);
    cache.put(&aor("bob"), &at(4), ticket);
    assert_eq!(known(&cache, "bob"), None);
    cache.put(&aor("bob"), &Located::none(), ticket);
    assert_eq!(known(&cache, "bob"), Some((Version::NONE, 1)));
}

#[test]
fn of_two_answers_without_a_change_between_the_newer_stays() {
    let cache = Cache::new(100, [1, 2]);
    let ticket = cache.begin(&aor("bob"), 1);
    cache.put(&aor("bob"), &at(5), ticket);
    cache.put(&aor("bob"), &at(4), ticket);
    assert_eq!(known(&cache, "bob"), Some((Version::new(5), 1)));
}

#[test]
fn what_another_epoch_has_left_is_said_to_be_that() {
    let cache = Cache::new(100, [1, 2]);
    let before = cache.begin(&aor("bob"), 1);
    cache.put(&aor("bob"), &at(5), before);
    // The store was lost, and begins anew.
    let ticket = cache.begin(&aor("bob"), 2);
    assert_eq!(known(&cache, "bob"), Some((Version::new(5), 1)));
    cache.put(&aor("bob"), &at(2), ticket);
    assert_eq!(known(&cache, "bob"), Some((Version::new(2), 2)));
    // What was asked for in the old one and comes now is no answer of the new one.
    cache.put(&aor("bob"), &at(2), before);
    assert_eq!(known(&cache, "bob"), Some((Version::new(2), 2)));
    cache.changed(&aor("bob"), Version::new(6), 2);
    cache.put(&aor("bob"), &at(6), before);
    assert_eq!(known(&cache, "bob"), None);
}

#[test]
fn there_is_room_for_so_many_and_who_lost_their_place_keep_nothing() {
    let cache = Cache::new(640, [1, 2]);
    let first = cache.begin(&aor("first"), 1);
    for number in 0..10_000 {
        let aor = aor(&number.to_string());
        let ticket = cache.begin(&aor, 1);
        cache.put(&aor, &at(1), ticket);
    }
    let kept = (0..10_000).filter(|number| known(&cache, &number.to_string()).is_some()).count();
    assert_eq!(kept, 640);
    for stripe in &cache.stripes {
        let stripe = lock(stripe);
        assert_eq!((stripe.slots.len(), stripe.index.len()), (10, 10));
    }
    // A change may have been told that nobody has noted.
    cache.put(&aor("first"), &at(1), first);
    assert_eq!(known(&cache, "first"), None);
    cache.begin(&aor("first"), 1);
    cache.put(&aor("first"), &at(1), first);
    assert_eq!(known(&cache, "first"), None);
}
