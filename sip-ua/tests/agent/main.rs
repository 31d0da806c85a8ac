//! The user agent core against itself and against a peer that is played by hand, on wire bytes and virtual time.
#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod admission;
mod calls;
mod cancel;
mod challenges;
mod changes;
mod connected;
mod forks;
mod gruu;
mod harness;
mod history;
mod identity;
mod incoming;
mod messages;
mod offers;
mod preconditions;
mod publications;
mod refer;
mod registrations;
mod reliable;
mod requests;
mod retries;
mod session_ids;
mod session_timers;
mod snapshots;
mod subscriptions;
mod torture;
mod updates;
