//! Any bytes, as a subscription over a lossy wire: see the module, which says the rules that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../sip-dialog/tests/operations/subscription.rs"]
mod subscription;

fuzz_target!(|data: &[u8]| subscription::run(data));
