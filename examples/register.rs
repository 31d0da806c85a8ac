//! Registers an address and keeps it registered.
//!
//!     cargo run --release --example register -- sip:alice@example.com --registrar sip:example.com \
//!         --username alice --password secret
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::{Console, Resolving, Securing, Tapping, free_listeners, parse_uri};
use sip_message::Uri;
use sip_transport::ListenAddr;
use sip_ua::{
    Account, Credentials, Registration, RegistrationEvent, RegistrationFailure, UserAgent,
};
use tokio::signal::unix::{SignalKind, signal};

/// Registers an address-of-record and refreshes it until ctrl-c or SIGTERM, then removes it.
#[derive(Parser)]
#[command(name = "register", version)]
struct Options {
    /// The address-of-record
    #[arg(value_parser = parse_uri)]
    aor: Uri<'static>,
    /// Where to register; by default the domain of the address
    #[arg(long, value_name = "URI", value_parser = parse_uri)]
    registrar: Option<Uri<'static>>,
    /// Register by this flow (RFC 5626): the edge proxy or registrar that a connection leads to. Given twice,
    /// what comes in finds another way when one breaks
    #[arg(long, value_name = "URI", value_parser = parse_uri, requires = "instance")]
    flow: Vec<Uri<'static>>,
    /// The URN that names this device for all time, such as urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6
    #[arg(long, value_name = "URN", requires = "flow")]
    instance: Option<String>,
    /// The username to answer a 401 or 407 with
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// The password to it
    #[arg(long, requires = "username")]
    password: Option<String>,
    /// The life of the binding to ask for, in seconds
    #[arg(long, value_name = "S", default_value_t = 3600)]
    expires: u32,
    /// Register once and leave the binding there: success if the registrar took it
    #[arg(long)]
    once: bool,
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. By default UDP and TCP on
    /// free ports
    #[arg(long, value_name = "ADDR")]
    listen: Vec<ListenAddr>,
    /// What to bind to the address in place of this program: another program's URI
    #[arg(long, value_name = "URI", value_parser = parse_uri)]
    contact: Option<Uri<'static>>,
    #[command(flatten)]
    resolving: Resolving,
    #[command(flatten)]
    tapping: Tapping,
    #[command(flatten)]
    securing: Securing,
}

fn main() -> ExitCode {
    let options = Options::parse();
    examples::run("register", async {
        let good = run(options).await?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn run(options: Options) -> Result<bool, Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let registrar = options.registrar.as_ref().unwrap_or(&options.aor);
    let listen =
        if options.listen.is_empty() { free_listeners(registrar) } else { options.listen.clone() };
    let builder = options.tapping.apply(UserAgent::builder())?;
    let builder = options.resolving.apply(options.securing.apply(builder)?)?;
    let ua = listen.into_iter().fold(builder, |b, addr| b.listen(addr)).start().await?;
    let console = Console::new(false);
    let mut accounts = accounts(&options).into_iter();
    let first = accounts.next().ok_or("nothing to register")?;
    let mut registration = ua.registration(&Arc::new(first)).await?;
    // They are kept alive without anybody's doing.
    let mut others = Vec::new();
    for account in accounts {
        others.push(ua.registration(&Arc::new(account)).await?);
    }
    loop {
        let event = tokio::select! {
            event = registration.next() => event,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        match event {
            Some(RegistrationEvent::Registered { expires }) => {
                console.line(format_args!(
                    "registered {} expires={}",
                    options.aor,
                    expires.as_secs()
                ));
                if options.once {
                    registration.leave(); // dropping it would un-register
                    return Ok(true);
                }
            }
            Some(RegistrationEvent::Failed { reason, retry_in }) => {
                let again = retry_in
                    .map_or(String::new(), |wait| format!(", again in {} s", wait.as_secs()));
                console.line(format_args!("failed {}{again}", failure(&reason)));
                if options.once || retry_in.is_none() {
                    return Ok(false);
                }
            }
            Some(RegistrationEvent::Unregistered { .. }) | None => return Ok(false),
            Some(_) => {}
        }
    }
    for registration in others.into_iter().chain([registration]) {
        unregister(&console, &options, registration).await;
    }
    ua.shutdown().await;
    Ok(true)
}

async fn unregister(console: &Console, options: &Options, registration: Registration) {
    let limit = Duration::from_secs(5);
    match tokio::time::timeout(limit, registration.unregister()).await {
        Ok(true) => console.line(format_args!("un-registered {}", options.aor)),
        Ok(false) | Err(_) => console.line(format_args!("the binding will run out by itself")),
    }
}

/// The status alone where there is one, for who reads this by program.
fn failure(reason: &RegistrationFailure) -> String {
    match reason {
        RegistrationFailure::Status(status) => status.as_u16().to_string(),
        reason => reason.to_string(),
    }
}

/// One for each flow, or the only one.
fn accounts(options: &Options) -> Vec<Account> {
    let account = account(options);
    let Some(instance) = &options.instance else { return vec![account] };
    let flows = options.flow.iter().zip(1..);
    flows
        .map(|(flow, number)| {
            account.clone().registrar(flow.clone()).outbound(instance.clone(), number)
        })
        .collect()
}

fn account(options: &Options) -> Account {
    let mut account =
        Account::new(options.aor.clone()).expires(Duration::from_secs(options.expires.into()));
    if let Some(registrar) = &options.registrar {
        account = account.registrar(registrar.clone());
    }
    if let (Some(username), Some(password)) = (&options.username, &options.password) {
        account = account.credentials(Credentials::new(username, password));
    }
    if let Some(contact) = &options.contact {
        account = account.contact(contact.clone());
    }
    account
}
