//! Plays the call flows of RFC 3665 and RFC 5359 between user agents and proxies of this stack, in a simulated network.
//!
//!     cargo run --release --example flows -- --list
//!     cargo run --release --example flows -- two-proxies
//!     cargo run --release --example flows -- --all
#![forbid(unsafe_code)]

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
            println!("{name:26} {section:15} {title}");
        }
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    if let Some(unknown) = options.names.iter().find(|name| all().all(|flow| flow.name != **name)) {
        eprintln!("flows: no flow is called {unknown}; --list names them");
        return ExitCode::FAILURE;
    }
    for flow in all().filter(|flow| options.all || options.names.iter().any(|it| it == flow.name)) {
        let (ladder, result) = flow.run();
        println!("{} ({}): {}\n\n{ladder}", flow.name, flow.section, flow.title);
        if !flow.differs.is_empty() {
            println!("differs from the diagram: {}", flow.differs);
        }
        match result {
            Ok(()) => println!("as {} shows it\n", flow.section),
            Err(reason) => {
                println!("{reason}\n");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
