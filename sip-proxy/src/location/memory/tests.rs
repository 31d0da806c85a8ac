//! The memory store: versions, ends, instances, limits, and who watches.

use core::time::Duration;
use std::sync::atomic::Ordering;

use sip_message::{Limits, Message, Request};

use super::super::{Commit, StoreError, Version, Watched};
use super::*;
use crate::registrar::{Register, Registrar};

const START: Duration = Duration::from_secs(1_800_000_000);

fn store() -> Memory {
    Memory::new(MemoryLimits::default(), [1, 2])
}

fn aor(user: &str) -> Aor {
    Aor::of(&format!("sip:{user}@example.com").parse().unwrap()).unwrap()
}

fn request(contact: &str) -> Request {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
         From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@192.0.2.7\r\n\
         CSeq: 1 REGISTER\r\nContact: {contact}\r\n\r\n"
    );
    Message::parse(text.into_bytes().into(), &Limits::default()).unwrap().into_request().unwrap()
}

/// Bindings to these contacts, made at the start.
fn bound(contacts: &str) -> Vec<Binding> {
    let request = request(contacts);
    let register = Register::read(&request).unwrap();
    Registrar::default().apply(&[], &register, START, 0).unwrap().bindings
}

fn put(store: &Memory, user: &str, contacts: &str) -> Version {
    let version = store.find(&aor(user)).version;
    match store.replace(&aor(user), bound(contacts), version).unwrap() {
        Commit::Done(version) => version,
        Commit::Conflict => panic!("nobody else is here"),
    }
}

/// Everything that the indices say is so, and nothing is left in them.
fn check(store: &Memory) {
    let (mut aors, mut bindings) = (0, 0);
    for stripe in &store.stripes {
        let stripe = lock(stripe);
        let mut ends = BTreeSet::new();
        let mut instances = BTreeSet::new();
        for entry in &stripe.table {
            aors += 1;
            bindings += entry.bindings.len();
            assert_eq!(entry.id, store.id(&entry.aor));
            assert!(!entry.bindings.is_empty() && entry.due <= due(&entry.bindings));
            ends.insert(End { due: entry.due, hash: halves(entry.id.hash) });
            let names = entry.bindings.iter().filter_map(Binding::instance);
            instances.extend(names.map(|name| Instance {
                instance: hash_of_instance(store.seed, name),
                hash: halves(entry.id.hash),
            }));
        }
        assert_eq!((&stripe.ends, &stripe.instances), (&ends, &instances));
    }
    assert_eq!((store.aors(), store.bindings()), (aors, bindings));
}

fn expire_all(store: &Memory, now: Duration) {
    while store.expire(now) {}
    check(store);
}

#[test]
fn a_commit_wants_the_version_that_was_loaded() {
    let store = store();
    let bob = aor("bob");
    assert_eq!(store.find(&bob).version, Version::NONE);
    let first = put(&store, "bob", "<sip:bob@a>");
    assert_eq!(store.find(&bob).version, first);
    assert_eq!(store.replace(&bob, bound("<sip:bob@b>"), Version::NONE), Ok(Commit::Conflict));
    assert_eq!(store.find(&bob).bindings[..], bound("<sip:bob@a>"));
    let second = put(&store, "bob", "<sip:bob@b>");
    assert_ne!(first, second);
    // What is removed and made again is another: who loaded it before must not replace it.
    assert_eq!(store.replace(&bob, Vec::new(), second), Ok(Commit::Done(Version::NONE)));
    let third = put(&store, "bob", "<sip:bob@b>");
    assert!(third != first && third != second);
    assert_eq!(store.replace(&bob, Vec::new(), second), Ok(Commit::Conflict));
    check(&store);
}

#[test]
fn what_is_over_is_forgotten_when_it_is_due() {
    let store = store();
    put(&store, "alice", "<sip:alice@a>;expires=100");
    put(&store, "bob", "<sip:bob@a>;expires=100, <sip:bob@b>;expires=200");
    put(&store, "carol", "<sip:carol@a>;expires=150");
    let mut watch = store.watch();
    expire_all(&store, START + Duration::from_millis(99_999));
    assert_eq!((store.aors(), store.bindings(), watch.try_next()), (3, 4, None));

    expire_all(&store, START + Duration::from_secs(100));
    assert_eq!((store.aors(), store.bindings()), (2, 2));
    assert_eq!(store.find(&aor("bob")).bindings[..], bound("<sip:bob@b>;expires=200"));
    let mut told: Vec<_> = std::iter::from_fn(|| watch.try_next()).collect();
    told.sort_by_key(|told| format!("{told:?}"));
    assert_eq!(told, [Watched::Changed(aor("alice")), Watched::Changed(aor("bob"))]);

    // A refresh is seen when the old end comes; an earlier end at once.
    put(&store, "carol", "<sip:carol@a>;expires=1000");
    expire_all(&store, START + Duration::from_secs(150));
    assert_eq!(store.aors(), 2);
    put(&store, "carol", "<sip:carol@a>;expires=180");
    check(&store);
    expire_all(&store, START + Duration::from_secs(180));
    assert_eq!(store.find(&aor("carol")).version, Version::NONE);
    expire_all(&store, START + Duration::from_secs(5000));
    assert_eq!((store.aors(), store.bindings()), (0, 0));
}

#[test]
fn forgetting_goes_by_a_bounded_number_at_a_time() {
    let store = store();
    let binding = bound("<sip:bob@a>;expires=60");
    for number in 0..MAX_EXPIRED + 5 {
        let aor = aor(&number.to_string());
        assert!(store.replace(&aor, binding.clone(), Version::NONE).is_ok());
    }
    let later = START + Duration::from_secs(60);
    assert!(store.expire(later));
    assert_eq!(store.aors(), 5);
    assert!(!store.expire(later));
    assert_eq!(store.aors(), 0);
}

#[test]
fn limits_are_kept_and_what_there_is_can_be_refreshed() {
    let store = Memory::new(MemoryLimits::default().aors(2).bindings(3), [1, 2]);
    put(&store, "alice", "<sip:alice@a>");
    put(&store, "bob", "<sip:bob@a>, <sip:bob@b>");
    let full = Err(StoreError::Full);
    assert_eq!(store.replace(&aor("carol"), bound("<sip:carol@a>"), Version::NONE), full);
    let version = store.find(&aor("alice")).version;
    let two = bound("<sip:alice@a>, <sip:alice@b>");
    assert_eq!(store.replace(&aor("alice"), two, version), full);
    assert_eq!(store.find(&aor("alice")).version, version, "nothing is changed");
    put(&store, "alice", "<sip:alice@b>");
    put(&store, "bob", "<sip:bob@b>");
    // Room for a binding, and none for an address-of-record.
    assert_eq!(store.replace(&aor("carol"), bound("<sip:carol@a>"), Version::NONE), full);
    assert_eq!(store.bindings.load(Ordering::Relaxed), 2);
    let version = store.find(&aor("bob")).version;
    assert!(store.replace(&aor("bob"), Vec::new(), version).is_ok());
    put(&store, "carol", "<sip:carol@a>");
    check(&store);
}

fn of_instance(store: &Memory, instance: &str) -> Vec<String> {
    let found = super::super::tests::ready(store.of_instance(instance)).unwrap();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn an_instance_is_found_in_whatever_case_until_its_last_binding_goes() {
    let store = store();
    let phone = |host: &str, reg_id: u32| {
        format!("<sip:bob@{host}>;+sip.instance=\"<urn:uuid:00A0>\";reg-id={reg_id}")
    };
    put(&store, "bob", &phone("a", 1));
    put(&store, "alice", &phone("b", 2).to_lowercase());
    put(&store, "carol", "<sip:carol@a>");
    assert_eq!(of_instance(&store, "urn:uuid:00a0"), ["alice@example.com", "bob@example.com"]);
    assert!(of_instance(&store, "urn:uuid:00a1").is_empty());
    check(&store);
    put(&store, "alice", "<sip:alice@b>");
    assert_eq!(of_instance(&store, "urn:uuid:00A0"), ["bob@example.com"]);
    expire_all(&store, START + Duration::from_secs(7200));
    assert!(of_instance(&store, "urn:uuid:00a0").is_empty());
}

#[test]
fn who_watches_and_does_not_ask_is_told_that_something_was_missed() {
    let store = store();
    let mut watch = store.watch();
    let forgotten = store.watch();
    drop(forgotten);
    for _ in 0..super::super::watch::MAX_WAITING {
        store.watchers.changed(&aor("bob"));
    }
    put(&store, "bob", "<sip:bob@a>");
    put(&store, "alice", "<sip:alice@a>");
    assert_eq!(watch.try_next(), Some(Watched::Missed));
    assert_eq!(watch.try_next(), Some(Watched::Changed(aor("alice"))));
    assert_eq!(watch.try_next(), None);
    drop(store);
    assert_eq!(super::super::tests::ready(watch.next()), None);
}

#[test]
fn a_seed_says_where_an_address_of_record_is() {
    let one = Memory::new(MemoryLimits::default(), [1, 2]);
    let other = Memory::new(MemoryLimits::default(), [3, 4]);
    assert_ne!(one.id(&aor("bob")), other.id(&aor("bob")));
}
