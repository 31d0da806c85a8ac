//! The user agent core against itself and against a peer that is played by hand, on wire bytes and virtual time.

mod calls;
mod cancel;
mod harness;
