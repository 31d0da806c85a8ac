//! Any bytes, as a sequence of operations on an endpoint: see the module, which says the rules that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../sip-transaction/tests/operations/sequence.rs"]
mod sequence;

fuzz_target!(|data: &[u8]| sequence::run(data));
