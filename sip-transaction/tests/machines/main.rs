//! The machines as the network and their user see them: a test for each arrow of RFC 3261's figures 5
//! to 8 as RFC 6026 corrected them, and for each row of the table of timers; then what stands around
//! them.

// The helpers of tests may panic as the tests themselves do: that is how they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alias;
mod client_invite;
mod client_non_invite;
mod endpoint;
mod failover;
mod matching;
mod next_hop;
mod overload;
mod script;
mod server_invite;
mod server_non_invite;
mod timer_table;
mod way_back;
