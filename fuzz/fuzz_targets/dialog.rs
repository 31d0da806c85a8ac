//! Any bytes, as what the two ends of an INVITE usage send each other: see the module, which says the rules that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../sip-dialog/tests/operations/dialog.rs"]
mod dialog;

fuzz_target!(|data: &[u8]| dialog::run(data));
