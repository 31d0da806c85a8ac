//! The catalogue of what a proxy meets: `docs/proxy-cases.md` names each case and its test here.
//!
//! The proxy stands alone, and its peers are scripted: a message in, the messages out, at a virtual time.

#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod cancels;
mod copies;
mod doors;
mod ends;
mod forks;
mod hops;
mod redirects;
mod stage;
mod stateless;
