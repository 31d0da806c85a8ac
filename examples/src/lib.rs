//! What the example programs share: a line of output an event, a little SDP, addresses.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::{ExitCode, Termination};

mod address;
mod challenging;
mod console;
pub mod flows;
pub mod http;
mod journal;
pub mod local;
#[cfg(feature = "metrics")]
pub mod metrics;
mod registrations;
mod resolving;
pub mod sdp;
mod securing;
#[cfg(feature = "redis")]
mod sharing;
mod tapping;
mod users;
pub mod web;

pub use address::{advertised, free_listeners, local_ip, parse_uri, shown};
pub use challenging::Challenging;
pub use console::Console;
pub use journal::journal;
pub use registrations::grant;
pub use resolving::Resolving;
pub use securing::Securing;
#[cfg(feature = "redis")]
pub use sharing::Sharing;
pub use tapping::Tapping;
pub use users::user;

/// Runs a program to its end, on one thread: enough for thousands of calls a second. An error goes to
/// standard error, after the name of the program.
pub fn run<T: Termination>(
    name: &str,
    program: impl Future<Output = Result<T, Box<dyn Error>>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(program)) {
        Ok(outcome) => outcome.report(),
        Err(error) => {
            eprintln!("{name}: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what it came from, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
