//! The edge and the registrar behind it: flow tokens, Path, outbound, GRUUs, and phones behind NAT boxes.

#![allow(unreachable_pub, reason = "the modules of a test are one program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

mod attacks;
mod flows;
mod gruus;
mod nat;
mod path;
mod scene;
