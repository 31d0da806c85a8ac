//! A registrar and proxy for one domain: phones register with digest, and call one another.
//!
//!     cargo run --release --example server -- --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060 \
//!         --domain example.com --user alice:secret --user bob:secret
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::{Console, Resolving, Securing, Tapping, algorithm, user};
use sip_auth::{Algorithm, Credentials};
use sip_proxy::Server;
use sip_transport::ListenAddr;
use tokio::signal::unix::{SignalKind, signal};

/// Serves a domain: takes the registrations of its users, and proxies what is for them, from them, and within their
/// dialogs.
///
/// At SIGTERM or ctrl-c it takes on nothing new (503 with Retry-After), waits until what is under way has ended, and
/// ends; a second signal ends it at once.
#[derive(Parser)]
#[command(name = "server", version)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. Port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_values = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"])]
    listen: Vec<ListenAddr>,
    /// The domain, which is the realm too
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// Who may register and call, as NAME:PASSWORD; may be given several times
    #[arg(long, value_name = "USER", value_parser = user, required = true)]
    user: Vec<Credentials>,
    /// The algorithm of the digest; by default SHA-256 and MD5. May be given several times
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Vec<Algorithm>,
    /// How long to wait at the end for what is under way, in seconds
    #[arg(long, value_name = "S", default_value_t = 40)]
    drain: u64,
    /// Print no line but where it listens, that it is ready, and how it ends
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    resolving: Resolving,
    #[command(flatten)]
    tapping: Tapping,
    #[command(flatten)]
    securing: Securing,
}

fn main() -> ExitCode {
    examples::run("server", serve(Options::parse()))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut builder = Server::builder(&options.domain)
        .users(options.user)
        .algorithms(options.algorithm)
        .transport(options.securing.transport()?)
        .resolver(options.resolving.resolver()?);
    let taps = options.tapping.taps()?;
    if !taps.is_empty() {
        builder = builder.tap(taps);
    }
    let server =
        options.listen.into_iter().fold(builder, |b, address| b.listen(address)).start().await?;
    let console = Console::new(options.quiet);
    for local in server.locals().iter() {
        console.line(format_args!("listening on {} {}", local.transport, local.addr));
    }
    console.line(format_args!("ready"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.drain().await;
    let live = server.live().await;
    console.line(format_args!(
        "ending: {} transactions and {} registrations are under way",
        live.transactions, live.registrations
    ));
    let left = tokio::select! {
        left = server.shutdown(Duration::from_secs(options.drain)) => Some(left),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    console.line(match left {
        Some(left) if left.is_idle() => format_args!("ended: nothing was left"),
        Some(_) => format_args!("ended: it took too long"),
        None => format_args!("ended at once"),
    });
    Ok(())
}
