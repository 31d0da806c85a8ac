//! What one message, transaction, dialog and registration cost: `cargo run --release -p benches --bin memory`.
//!
//! `size_of` is what a value takes in its owner; *allocated* is what it holds on the heap beside that,
//! counted by an allocator that counts. Of what lives in tables there are 10,000 (of calls, subscriptions and documents
//! 100,000), and the columns say what one of them has: its part of the tables, of their room to grow, and of its timers
//! included.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "its messages are its own; one that cannot be read ends the run aloud"
)]

#[path = "memory/held.rs"]
mod held;

use std::alloc::System;

use benches::negotiated::{Abilities, BROWSER, PHONE};
use benches::{MESSAGES, ours};
use bytes::Bytes;
use sip_message::{Limits, Message, Request, Response, StatusCode};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// How many there are of what a server has many of.
const LOTS: usize = 100_000;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    println!("| what | size_of, B | allocations | allocated, B |");
    println!("| --- | --- | --- | --- |");
    println!("| `Request` | {} | 0 | 0 |", size_of::<Request>());
    println!("| `Response` | {} | 0 | 0 |", size_of::<Response>());
    for (name, bytes) in MESSAGES {
        let shared = Bytes::from_static(bytes);
        let (message, (allocations, held)) =
            counted(|| Message::parse(shared.clone(), &Limits::default()));
        assert!(message.is_ok(), "{name} is refused");
        let (length, size) = (bytes.len(), size_of::<Message>());
        println!(
            "| {name}, {length} B, parsed (beside its buffer) | {size} | {allocations} | {held} |"
        );
    }
    let (_, invite) = MESSAGES[2];
    let shared = Bytes::from_static(invite);
    let parsed = || Message::parse(shared.clone(), &Limits::default()).expect("the INVITE");
    let mut message = parsed();
    let (valid, cost) = counted(|| message.validate());
    assert_eq!(valid, Ok(()));
    row("the INVITE, validated", cost);
    let (edited, cost) = counted(|| ours::edit(&mut message));
    assert!(edited.is_some());
    row("the INVITE, edited as by a proxy", cost);
    let (printed, cost) = counted(|| message.to_bytes());
    row(&format!("the edited INVITE, printed to {} B", printed.len()), cost);
    let Message::Request(request) = parsed() else { panic!("the INVITE") };
    let (response, cost) = counted(|| {
        let response = Response::to_request(&request, StatusCode::RINGING).to_tag("a6c85cf");
        response.build().expect("a response")
    });
    let length = response.to_bytes().len();
    row(&format!("a response to the INVITE, built, its {length} B included"), cost);
    each("client transaction, OPTIONS unanswered (its bytes included)", held::client_transactions);
    each(
        "server transaction, OPTIONS answered (the response's bytes included)",
        held::server_transactions,
    );
    each("dialog in its table", held::dialogs);
    let calls = |timer| move |many| held::calls(many, timer);
    each_of(LOTS, "call taken by the agent, established and at rest", calls(false));
    each_of(LOTS, "the same with a session timer", calls(true));
    each("registration of the agent, at rest", held::registrations);
    each_of(LOTS, "subscription of ours, at rest", held::subscriptions);
    each_of(LOTS, "subscription of a peer, at rest, the state it was told shared", held::notifiers);
    each_of(LOTS, "published document of 300 B at the compositor", held::documents);
    let abilities = Abilities::default();
    for (name, offer) in [("phone", PHONE), ("browser", BROWSER)] {
        let (made, cost) = counted(|| abilities.answered(offer));
        assert!(made.is_some(), "{name} is refused");
        row(&format!("the offer of a {name}, {} B, answered", offer.len()), cost);
        each(&format!("session of SDP with a {name}, both descriptions included"), |many| {
            (0..many).map(|_| abilities.answered(offer)).collect::<Vec<_>>()
        });
    }
}

fn row(what: &str, (allocations, held): (usize, usize)) {
    println!("| {what} | - | {allocations} | {held} |");
}

/// The row of what one of many takes. How often it was allocated is mostly the making of the messages
/// that it takes to get there.
fn each<T>(what: &str, make: impl FnOnce(usize) -> T) {
    each_of(10_000, what, make);
}

/// The same of so many.
fn each_of<T>(many: usize, what: &str, make: impl FnOnce(usize) -> T) {
    let (made, (_, held)) = counted(|| make(many));
    println!("| {what} | - | - | {} |", held.div_ceil(many));
    drop(made);
}

/// What `make` makes, how often it allocated, and how much of that it still holds.
fn counted<T>(make: impl FnOnce() -> T) -> (T, (usize, usize)) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    let held = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    (made, (change.allocations + change.reallocations, held))
}
