//! Calls that point at other calls, among three user agents on a simulated network: each flow message by message.
#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod harness;
mod refer;
mod refer_out;
mod replaces;
mod session_ids;
