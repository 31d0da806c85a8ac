//! What the example programs share: a line of output an event, a little SDP, addresses.
#![forbid(unsafe_code)]

mod address;
mod challenging;
mod console;
mod registrations;
mod resolving;
pub mod sdp;
mod securing;
mod tapping;

pub use address::{free_listeners, local_ip, parse_uri, shown};
pub use challenging::Challenging;
pub use console::Console;
pub use registrations::granted;
pub use resolving::Resolving;
pub use securing::Securing;
pub use tapping::Tapping;

/// An error and what it came from, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
