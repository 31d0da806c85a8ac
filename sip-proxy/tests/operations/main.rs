//! Any sequence of operations on a proxy keeps the rules: see `sequence.rs`, which the fuzz target
//! `proxy` runs as well.

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
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_sequence_of_operations_keeps_the_rules(
        data in prop::collection::vec(any::<u8>(), 0..400)
    ) {
        sequence::run(&data);
    }
}

#[test]
fn the_empty_sequence_leaves_nothing() {
    sequence::run(&[]);
}
