//! Reads SIP messages from files and says of each whether an element would take it.
//!
//!     cargo run --release --example parse -- capture/*.sip
//!     cargo run --release --example parse -- --stream tcp-stream.bin
//!
//! It shows the two steps of reading: `Message::parse` is liberal, `validate` is strict and names
//! the status that the sender is owed.

mod report;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use report::Report;

/// Read SIP messages and print a line for each: accepted, or refused with the status that is owed.
///
/// PATH<TAB>ok<TAB>request METHOD, PATH<TAB>ok<TAB>response CODE, or
/// PATH<TAB>reject<TAB>STATUS<TAB>REASON. STATUS is `discard` for what gets no answer: a response, or
/// bytes that are no message. On a terminal the line at fault follows, with a caret under the place.
#[derive(Parser)]
#[command(
    after_help = "Exit status: 0 if all files could be read, 1 otherwise, 2 for a wrong option."
)]
struct Options {
    /// Each file is a stream of messages, one behind the other, as TCP carries them
    #[arg(long)]
    stream: bool,
    /// Files to read, `-` for standard input; without --stream each holds one message, as a datagram does
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let stdout = io::stdout();
    let mut report = Report { carets: stdout.is_terminal(), out: stdout.lock() };
    let mut code = ExitCode::SUCCESS;
    for path in &options.files {
        let name = path.display();
        let printed = match read(path) {
            Ok(bytes) if options.stream => report.stream(&name, &bytes),
            Ok(bytes) => report.message(&name, &bytes),
            Err(error) => {
                eprintln!("parse: {name}: {error}");
                code = ExitCode::FAILURE;
                Ok(())
            }
        };
        // Whoever reads our output may stop early (`| head`): that is no error of ours.
        if printed.is_err() {
            break;
        }
    }
    code
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(path)
}
