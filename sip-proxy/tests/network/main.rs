//! A proxy between user agents, on the simulated network.

#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod calls;
mod forks;
mod hops;
mod loss;
mod scene;
mod waits;
