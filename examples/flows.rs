//! Plays the call flows of RFC 3665, RFC 5359 and others between user agents and proxies of this stack, in a simulated network.
//!
//!     cargo run --release --example flows -- --list
//!     cargo run --release --example flows -- two-proxies
//!     cargo run --release --example flows -- --all
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use examples::flows::{Flow, all};

/// Plays call flows, prints their ladders, and compares each message with the diagram of the RFC.
#[derive(Parser)]
#[command(name = "flows", version)]
struct Options {
    /// The flows to play
    #[arg(value_name = "NAME", required_unless_present_any = ["list", "all"])]
    names: Vec<String>,
    /// Names every flow
    #[arg(long)]
    list: bool,
    /// Plays all of them
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for Flow { name, section, title, .. } in all() {
            println!("{name:30} {section:16} {title}");
        }
        return ExitCode::SUCCESS;
    }
    let is_unknown = |name: &&String| all().iter().all(|flow| flow.name != **name);
    if let Some(unknown) = options.names.iter().find(is_unknown) {
        eprintln!("flows: no flow is called {unknown}; --list names them");
        return ExitCode::FAILURE;
    }
    let (mut played, mut failed) = (BTreeMap::<u32, u32>::new(), 0_u32);
    let wanted = |flow: &&Flow| options.all || options.names.iter().any(|name| name == flow.name);
    for flow in all().into_iter().filter(wanted) {
        let (ladder, result) = flow.run();
        println!("{} ({}): {}", flow.name, flow.section, flow.title);
        if !flow.differs.is_empty() {
            println!("differs from the diagram: {}", flow.differs);
        }
        println!("\n{ladder}");
        *played.entry(flow.rfc()).or_default() += 1;
        match result {
            Ok(()) => println!("as {} shows it\n", flow.section),
            Err(reason) => {
                println!("{reason}\n");
                failed += 1;
            }
        }
    }
    if options.all {
        for (rfc, flows) in &played {
            println!("RFC {rfc}: {flows} flows");
        }
        println!(
            "{} flows played, {failed} not as the RFC shows them",
            played.values().sum::<u32>()
        );
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
