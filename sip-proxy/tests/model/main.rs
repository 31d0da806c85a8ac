//! Three user agents and a forking proxy do at random what their API allows for, over a network that loses, doubles
//! and reorders; a small model says what must hold all the same: both ends agree on each call and on the session
//! that is in force, every message is one that the RFCs allow for at that moment (`wire.rs`), each wait has an end,
//! no command is carried out in a state that is not its own, and nothing is left in any table.
//!
//! A case that fails is made smaller and printed: what was done when, and the ladder of its messages.
//!
//! `MODEL_CASES=100000 cargo test --release -p sip-proxy --test model` runs more of them than CI does, and
//! `MODEL_SEED=N` others.

#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod script;
mod verdict;
mod wire;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use sip_sim::{Fate, Passage};
use sip_ua::{Ladder, Recorded};

use script::Script;
use world::{World, name_of};

/// What takes less than half a minute in the test profile on one core.
const CASES: u32 = 2_000;

#[test]
fn whatever_is_done_both_ends_agree_and_nothing_is_left() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("MODEL_CASES").map_or(CASES, |cases| cases as u32);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number("MODEL_SEED").unwrap_or(2026).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let began = Instant::now();
    let mut runner = TestRunner::new_with_rng(config, rng);
    let seen = RefCell::default();
    let case = |script: Script| play(&script, &seen).map_err(TestCaseError::fail);
    if let Err(failure) = runner.run(&script::script(), case) {
        panic!("{failure}");
    }
    let seen = seen.into_inner();
    println!("{cases} cases in {:.1} s: {seen:#?}", began.elapsed().as_secs_f64());
    // The scripts cover what they are meant to cover.
    assert_eq!(seen.len(), 15, "{seen:?}");
    assert!(seen.values().all(|count| *count >= cases / 200), "{seen:?}");
}

/// How often what happened, in all cases.
type Seen = BTreeMap<&'static str, u32>;

/// Plays one script; the error says all that is needed to understand what went wrong.
fn play(script: &Script, seen: &RefCell<Seen>) -> Result<(), String> {
    let mut world = World::new(script);
    let played =
        catch_unwind(AssertUnwindSafe(|| verdict::play(&mut world, script.is_connected())));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.fault(format!("panic: {}", text.unwrap_or_default()));
    }
    for (what, count) in &world.seen {
        *seen.borrow_mut().entry(what).or_default() += count;
    }
    if world.faults.is_empty() {
        return Ok(());
    }
    let lines = world.log.iter().map(|(at, what)| format!("{:>10.3} s  {what}", at.as_secs_f64()));
    let lines: Vec<_> = lines.collect();
    Err(format!(
        "What was done:\n{}\n\nThe messages:\n{}\n\nWhat is wrong:\n{}\n",
        lines.join("\n"),
        ladder(world.network.passages()),
        world.faults.join("\n")
    ))
}

/// The ladder of all messages; those that were lost end in `x`.
fn ladder(passages: &[Passage]) -> String {
    let start = Instant::now();
    let mut messages = Vec::new();
    for passage in passages {
        let at = start + passage.at;
        let node = |address| Arc::from(name_of(address).as_str());
        let (from, to) = (passage.from, passage.to);
        let payload = passage.payload.clone();
        let transport = passage.transport;
        messages.push(Recorded::new(at, node(from), true, transport, (from, to), payload.clone()));
        if passage.fate == Fate::Arrived {
            messages.push(Recorded::new(at, node(to), false, transport, (to, from), payload));
        }
    }
    Ladder::new(&messages).to_string()
}
