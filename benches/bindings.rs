//! What a binding costs in the memory store, and what a lookup costs among few and among many:
//! `cargo run --release -p benches --bin bindings [MANY]`.
//!
//! The bindings are made as a registrar makes them, of whole REGISTERs. A lookup is what a proxy does with a
//! Request-URI: it reads it, finds the bindings of its address-of-record, and has the URI of the one that can be
//! reached. The addresses are drawn at random, each as likely as any other: nothing of them is in the processor's
//! caches, unless all are. The share of the store in that is printed beside it.
#![allow(
    clippy::expect_used,
    reason = "its messages are its own; one that cannot be read ends the run aloud"
)]

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use sip_message::{Limits, Message, Uri};
use sip_proxy::location::{Memory, MemoryLimits};
use sip_proxy::{Aor, Register, Registrar};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FEW: u32 = 1_000;
/// In each of the rounds, of which the fastest counts.
const LOOKUPS: u32 = 500_000;
const ROUNDS: usize = 7;
const NOW: Duration = Duration::from_secs(1_800_000_000);

fn main() {
    let many = std::env::args().nth(1).map_or(1_000_000, |many| many.parse().expect("a number"));
    let few = filled(FEW);
    let region = Region::new(ALLOCATOR);
    let begin = Instant::now();
    let store = filled(many);
    let took = begin.elapsed();
    let change = region.change();
    let held = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    let each = held.checked_div(store.bindings()).unwrap_or(0);
    println!("{} bindings of as many addresses-of-record: {each} B each", store.bindings());
    let each = took.as_nanos().checked_div(many.into()).unwrap_or(0);
    println!("a REGISTER, read, applied and committed: {each} ns");

    let mut best = [[f64::MAX; 2]; 2];
    for _ in 0..ROUNDS {
        for ((store, number), best) in [(&few, FEW), (&store, many)].into_iter().zip(&mut best) {
            best[0] = best[0].min(timed(number, |uri| target(store, uri)));
            best[1] = best[1].min(timed(number, |uri| usize::from(aor(uri).as_str().len() > 3)));
        }
    }
    let [[few, few_read], [many_all, many_read]] = best;
    let (few_store, many_store) = (few - few_read, many_all - many_read);
    println!("| bindings | a lookup, ns | of that, not reading the URI |");
    println!("| --- | --- | --- |");
    println!("| {FEW} | {few:.0} | {few_store:.0} |");
    println!("| {many} | {many_all:.0} | {many_store:.0} |");
    println!("among many: {:+.0} %", (many_all / few - 1.0) * 100.0);
}

/// Nanoseconds for each of many addresses drawn at random.
fn timed(of: u32, mut look_up: impl FnMut(&str) -> usize) -> f64 {
    let mut dice = 1_u64;
    let mut found = 0;
    let mut uri = String::new();
    let begin = Instant::now();
    for _ in 0..LOOKUPS {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = ((dice >> 33) as u32).checked_rem(of).unwrap_or(0);
        uri.clear();
        write_uri(&mut uri, number);
        found += black_box(look_up(&uri));
    }
    let took = begin.elapsed();
    assert_eq!(found, LOOKUPS as usize, "every one is there");
    took.as_secs_f64() * 1e9 / f64::from(LOOKUPS)
}

fn target(store: &Memory, uri: &str) -> usize {
    let located = store.find(&aor(uri));
    let targets = located.reachable(NOW, store).filter_map(|binding| binding.uri());
    targets.map(black_box).count()
}

fn aor(uri: &str) -> Aor {
    let uri = Uri::parse(uri.as_bytes()).expect("a URI");
    Aor::of(&uri).expect("an address-of-record")
}

fn write_uri(to: &mut String, number: u32) {
    use core::fmt::Write as _;
    let _ = write!(to, "sip:user-{number:07}@example.com");
}

/// A store with so many phones, one of each user.
fn filled(many: u32) -> Memory {
    let store = Memory::new(MemoryLimits::default().aors(many as usize), [1, 2]);
    let registrar = Registrar::default();
    let mut user = String::new();
    for number in 0..many {
        user.clear();
        write_uri(&mut user, number);
        let (high, low) = (number >> 16, number & 0xffff);
        let text = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <{user}>;tag=1\r\nTo: <{user}>\r\n\
             Call-ID: {number:08x}-58cc-4372-a567-0e02b2c3d479\r\nCSeq: 7 REGISTER\r\n\
             Contact: <sip:user-{number:07}@198.51.100.{}:5060;transport=udp>;+sip.instance=\
             \"<urn:uuid:f81d4fae-{high:04x}-{low:04x}-a765-00a0c91e6bf6>\"\r\nExpires: 3600\r\n\r\n",
            number & 0xff
        );
        let message = Message::parse(text.into_bytes().into(), &Limits::default());
        let request = message.ok().and_then(Message::into_request).expect("a REGISTER");
        let register = Register::read(&request).expect("a REGISTER");
        let located = store.find(register.aor());
        let change = registrar.apply(&located.bindings, &register, NOW, number);
        let bindings = change.expect("it is in order").bindings;
        let committed = store.replace(register.aor(), bindings, located.version);
        let _ = committed.expect("there is room");
    }
    store
}
