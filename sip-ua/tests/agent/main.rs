//! The user agent core against itself and against a peer that is played by hand, on wire bytes and virtual time.
#![allow(unreachable_pub, reason = "the modules of a test are one program")]

mod calls;
mod cancel;
mod challenges;
mod changes;
mod forks;
mod harness;
mod incoming;
mod registrations;
mod requests;
