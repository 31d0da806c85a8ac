//! The sockets over loopback, against plain sockets of the standard kind as peers.
#![cfg(all(feature = "udp", feature = "tcp"))]
// clippy.toml allows these in test functions; here are their helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod binding;
mod connections;
mod limits;
mod messages;
mod node;
#[cfg(feature = "tls")]
mod pki;
#[cfg(feature = "tls")]
mod tls;
mod udp;
#[cfg(feature = "ws")]
mod ws;
