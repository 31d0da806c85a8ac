//! Reads SIP messages from files and says of each whether an element would take it.
//!
//!     cargo run --release --example parse -- capture/*.sip
//!     cargo run --release --example parse -- --stream tcp-stream.bin
//!
//! It shows the two steps of reading: `Message::parse` is liberal, `validate` is strict and names
//! the status that the sender is owed.

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytes::Bytes;
use clap::Parser;
use sip_message::{Frame, Limits, Message, Refusal, StreamFramer};

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
    let mut printer = Printer { carets: stdout.is_terminal(), out: stdout.lock() };
    let mut code = ExitCode::SUCCESS;
    for path in &options.files {
        let printed = match read(path) {
            Ok(bytes) if options.stream => parse_stream(&mut printer, path, &bytes),
            Ok(bytes) => parse_message(&mut printer, path, bytes),
            Err(error) => {
                eprintln!("parse: {}: {error}", path.display());
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

fn read(path: &Path) -> io::Result<Bytes> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes.into());
    }
    fs::read(path).map(Bytes::from)
}

/// One message, as a datagram brings it.
fn parse_message(printer: &mut Printer<'_>, path: &Path, bytes: Bytes) -> io::Result<()> {
    match Message::parse(bytes.clone(), &Limits::default()) {
        Ok(message) => match message.validate() {
            Ok(()) => printer.accepted(path, &message),
            Err(refusal) => printer.refused(path, &message, &refusal, &bytes),
        },
        Err(error) => {
            let status = error.status().map(|status| status.as_u16());
            printer.rejected(path, status, &error, error.offset(), &bytes)
        }
    }
}

/// Message after message, as TCP brings them, until the end or until nobody can tell where the next
/// one begins.
fn parse_stream(printer: &mut Printer<'_>, path: &Path, mut bytes: &[u8]) -> io::Result<()> {
    let mut framer = StreamFramer::new(Limits::default());
    while !bytes.is_empty() {
        let length = match framer.next(bytes) {
            Ok(Frame::Message { len }) => {
                let message = bytes.get(..len).unwrap_or(bytes);
                parse_message(printer, path, Bytes::copy_from_slice(message))?;
                len
            }
            Ok(Frame::KeepAlive { len, .. }) => len,
            Ok(Frame::NeedMore) => {
                let why =
                    format!("the stream ends inside a message, {} bytes into it", bytes.len());
                return printer.rejected(path, None, &why, bytes.len(), bytes);
            }
            Err(error) => {
                let refusal = error.refusal();
                // Only a head that is whole can be answered, and only if it is a request's.
                let head = bytes.get(..error.head_len()).unwrap_or_default();
                let request = Message::parse(Bytes::copy_from_slice(head), &Limits::default())
                    .ok()
                    .and_then(Message::into_request);
                let status = request.map(|_| refusal.status().as_u16());
                return printer.rejected(path, status, refusal, refusal.offset(), bytes);
            }
        };
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(())
}

struct Printer<'a> {
    carets: bool,
    out: io::StdoutLock<'a>,
}

impl Printer<'_> {
    fn accepted(&mut self, path: &Path, message: &Message) -> io::Result<()> {
        match message {
            Message::Request(request) => {
                writeln!(self.out, "{}\tok\trequest {}", path.display(), request.method())
            }
            Message::Response(response) => {
                writeln!(
                    self.out,
                    "{}\tok\tresponse {}",
                    path.display(),
                    response.status().as_u16()
                )
            }
        }
    }

    /// A request is answered with the status, a response is dropped.
    fn refused(
        &mut self,
        path: &Path,
        message: &Message,
        refusal: &Refusal,
        bytes: &[u8],
    ) -> io::Result<()> {
        let status = match message {
            Message::Request(_) => Some(refusal.status().as_u16()),
            Message::Response(_) => None,
        };
        self.rejected(path, status, refusal, refusal.offset(), bytes)
    }

    fn rejected(
        &mut self,
        path: &Path,
        status: Option<u16>,
        why: &dyn std::fmt::Display,
        offset: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        let status = status.map_or_else(|| "discard".to_owned(), |status| status.to_string());
        writeln!(self.out, "{}\treject\t{status}\t{why}", path.display())?;
        if self.carets {
            let (line, column) = line_around(bytes, offset);
            writeln!(self.out, "    {line}\n    {:column$}^", "")?;
        }
        Ok(())
    }
}

/// The line that holds the byte at `offset`, printable, and the column of that byte in it.
fn line_around(bytes: &[u8], offset: usize) -> (String, usize) {
    let (before, after) = bytes.split_at(offset.min(bytes.len()));
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let before = printable(before.get(start..).unwrap_or_default());
    let after = after.split(|&byte| byte == b'\n' || byte == b'\r').next().unwrap_or_default();
    let column = before.chars().count();
    (before + &printable(after), column)
}

/// One column a character: no control characters, which would move the caret or the cursor.
fn printable(bytes: &[u8]) -> String {
    let shown = |c: char| if c.is_control() { '·' } else { c };
    String::from_utf8_lossy(bytes).chars().map(shown).collect()
}
