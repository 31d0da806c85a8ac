//! Any bytes, as what peers send to a user agent and what its application does meanwhile: see the module, which says
//! the rules that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../sip-ua/tests/operations/sequence.rs"]
mod sequence;

fuzz_target!(|data: &[u8]| sequence::run(data));
