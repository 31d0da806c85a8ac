//! A registrar and proxy for one domain: phones register with digest, and call one another.
//!
//!     cargo run --release --example server -- --user alice:secret --user bob:secret \
//!         --domain example.com --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::{Console, Resolving, Securing, Tapping, advertised, journal, user};
use sip_auth::{Algorithm, Credentials};
use sip_proxy::Server;
use sip_transport::ListenAddr;
use tokio::signal::unix::{SignalKind, signal};

/// Serves the phones of a domain: takes their registrations, and passes on their calls and messages.
///
/// Phones are set up with this server's address as registrar and outbound proxy, and with a user and password of
/// --user. They reach one another through the server, whatever transport each speaks, behind NAT boxes and in browsers
/// too; the media flows between the phones. Who is no user reaches the users, and nobody else.
///
/// It prints a line for each request that it has answered. At SIGTERM or ctrl-c it takes on nothing new (503 with
/// Retry-After), waits until what is under way has ended, and ends; a second signal ends it at once. The exit code is 0
/// then, and 1 if it could not start.
#[derive(Parser)]
#[command(name = "server", version)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT, with udp, tcp, tls, ws or wss; may be given several times. Address
    /// 0.0.0.0 is all of this machine, port 0 a free one
    #[arg(long, value_name = "ADDR", default_values = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"])]
    listen: Vec<ListenAddr>,
    /// The name or address by which phones reach this machine, if it is not the one that it listens on: its host name,
    /// or the outside of a NAT box
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The domain of the users' addresses (alice is sip:alice@DOMAIN), which is the realm of the digest too
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// Who may register and call, as NAME:PASSWORD; may be given several times
    #[arg(long, value_name = "USER", value_parser = user, required = true)]
    user: Vec<Credentials>,
    /// The algorithm of the digest; by default SHA-256 and MD5. May be given several times. Some phones know MD5 and
    /// give up at the sight of another: --algorithm MD5 is for them
    #[arg(long, value_name = "NAME")]
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
    #[cfg(feature = "redis")]
    #[command(flatten)]
    sharing: examples::Sharing,
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
    let console = Arc::new(Console::new(options.quiet));
    let mut taps = options.tapping.taps()?;
    if !options.quiet {
        taps.push(Box::new(journal(Arc::clone(&console))));
    }
    if !taps.is_empty() {
        builder = builder.tap(taps);
    }
    for listener in options.listen {
        builder = builder.listen(match &options.advertise {
            Some(host) => advertised(listener, host)?,
            None => listener,
        });
    }
    #[cfg(feature = "redis")]
    let server = options.sharing.start(builder).await?;
    #[cfg(not(feature = "redis"))]
    let server = builder.start().await?;
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
