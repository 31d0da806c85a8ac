//! `parse-loop LEVEL MESSAGE TIMES`: parses one message again and again, and nothing else.
//!
//! `benches/instructions` runs it under callgrind with two counts: the difference is what a parse
//! costs, free of start-up, of the clock and of the neighbours on the machine.

use std::{env, hint::black_box, process::ExitCode};

use benches::{MESSAGES, ours};
use bytes::Bytes;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [level, message, times] = arguments.as_slice() else {
        eprintln!("usage: parse-loop LEVEL MESSAGE TIMES");
        return ExitCode::from(2);
    };
    let found = MESSAGES.iter().find(|(name, _)| name == message);
    let (Some((_, bytes)), Ok(times)) = (found, times.parse::<u32>()) else {
        eprintln!("no such message, or not a number of times");
        return ExitCode::from(2);
    };
    let Some((_, work)) = ours::LEVELS.iter().find(|(name, _)| name == level) else {
        eprintln!("no such level");
        return ExitCode::from(2);
    };
    let shared = Bytes::from_static(bytes);
    for _ in 0..times {
        if black_box(work(black_box(&shared))).is_none() {
            eprintln!("{message} is refused");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
