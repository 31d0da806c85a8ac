//! Any sequence of operations on the machines of this crate keeps the rules: see the modules, which the fuzz targets
//! `dialog` and `subscription` run as well.

// The helpers of tests may panic as the tests themselves do: that is how they fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

mod dialog;
mod subscription;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn two_ends_agree_on_the_session(data in prop::collection::vec(any::<u8>(), 0..300)) {
        dialog::run(&data);
    }

    #[test]
    fn a_subscriber_and_its_notifiers_agree(
        data in prop::collection::vec(any::<u8>(), 0..400)
    ) {
        subscription::run(&data);
    }
}
