//! Whatever a peer sends and an application does, the agent keeps the rules: see `sequence.rs`, which the fuzz target
//! `dialogs` runs as well.

// The helpers of tests may panic as the tests themselves do: that is how they fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

mod sequence;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_comes_the_agent_keeps_the_rules(
        data in prop::collection::vec(any::<u8>(), 0..600)
    ) {
        sequence::run(&data);
    }
}
