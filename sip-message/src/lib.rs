//! SIP messages: URIs, header fields, requests and responses; parse, build and print (RFC 3261 §7, §19, §20, §25)
#![forbid(unsafe_code)]
#![no_std]
#![warn(clippy::arithmetic_side_effects)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod header_name;
mod limits;
mod method;
mod status;

pub use header_name::HeaderName;
pub use limits::Limits;
pub use method::{InvalidMethod, Method};
pub use status::StatusCode;
