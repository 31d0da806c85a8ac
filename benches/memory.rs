//! What one message, transaction, dialog and registration cost: `cargo run --release -p benches --bin memory`.
//!
//! `size_of` is what a value takes in its owner; *allocated* is what it holds on the heap beside that,
//! counted by an allocator that counts.

use std::alloc::System;

use benches::MESSAGES;
use bytes::Bytes;
use sip_message::{Limits, Message, Request, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    println!("| what | size_of, B | allocations | allocated, B |");
    println!("| --- | --- | --- | --- |");
    row("`Request`", size_of::<Request>(), (0, 0));
    row("`Response`", size_of::<Response>(), (0, 0));
    for (name, bytes) in MESSAGES {
        let shared = Bytes::from_static(bytes);
        let (message, held) = counted(|| Message::parse(shared.clone(), &Limits::default()));
        assert!(message.is_ok(), "{name} is refused");
        let what = format!("{name}, {} B, parsed (beside its buffer)", bytes.len());
        row(&what, size_of::<Message>(), held);
    }
}

fn row(what: &str, size: usize, (allocations, bytes): (usize, usize)) {
    println!("| {what} | {size} | {allocations} | {bytes} |");
}

/// What `make` makes, how often it allocated, and how much of that it still holds.
fn counted<T>(make: impl FnOnce() -> T) -> (T, (usize, usize)) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    let held = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    (made, (change.allocations + change.reallocations, held))
}
