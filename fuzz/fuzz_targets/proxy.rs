//! Any bytes, as what happens to a proxy that is an edge: see the module, which says the rules that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../sip-proxy/tests/operations/sequence.rs"]
mod sequence;

fuzz_target!(|data: &[u8]| sequence::run(data));
