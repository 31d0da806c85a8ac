//! A simulated network with loss, duplication, reordering and delay, on a virtual clock, for testing SIP machines
#![forbid(unsafe_code)]
