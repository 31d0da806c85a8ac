//! Two calls tied together, over a simulated network: a caller, a callee, and between them the back-to-back user agent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod harness;
mod races;
mod simulation;
mod steps;
