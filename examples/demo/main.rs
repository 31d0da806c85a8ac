//! The whole story in one process: a server, and three phones that register with it and call one another through it,
//! over UDP, TCP, TLS and WebSocket in turn. Needs no network beyond loopback and no other program.
//!
//!     cargo run --release --example demo
#![forbid(unsafe_code)]

mod phone;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sip_auth::Credentials;
use sip_message::{Limits, Message, StatusCode, Transport, Uri};
use sip_proxy::Server;
use sip_sdp::{Direction, Hold};
use sip_transport::tls::{Certificate, Tls};
use sip_ua::{EndReason, Incoming, Ladder, Recorded, Recorder};
use tokio::time::timeout;

use phone::Phone;

/// Shows a server and its phones: registrations, a call with hold and transfer, a message, over each transport. Prints
/// what happens and the ladder of one call, and draws that. Succeeds only if all of it happened.
#[derive(Parser)]
#[command(name = "demo", version)]
struct Options {
    /// Where to draw the ladder
    #[arg(long, value_name = "FILE", default_value = "target/demo.svg")]
    svg: PathBuf,
}

/// How long the story may take over one transport. It takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DOMAIN: &str = "example.com";
const USERS: [&str; 3] = ["alice", "bob", "carol"];

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", examples::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Outcome<()> {
    let (tls, recorder) = (certified()?, Recorder::new());
    let server = serve(&tls, &recorder).await?;
    println!(
        "A server for {DOMAIN}, and three phones. Whatever they send goes through the server."
    );
    let mut ladder = None;
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Wss] {
        println!("\nover {transport}");
        recorder.clear();
        let told = timeout(LIMIT, tell(&server, transport, &tls, &recorder)).await;
        told.map_err(|_| "it took too long")??;
        ladder = Some(ladder_of_alice(&recorder)?);
    }
    let left = server.shutdown(LIMIT).await;
    expect(left.is_idle(), "nothing is left at the server")?;

    let ladder = ladder.ok_or("no call was placed")?;
    println!("\nThe call of alice over WSS, each message that passed the server:\n\n{ladder}");
    if let Some(folder) = options.svg.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.svg, ladder.to_svg())?;
    println!("All of it happened. The ladder is drawn in {}.", options.svg.display());
    Ok(())
}

/// The story over one transport.
async fn tell(
    server: &Server,
    transport: Transport,
    tls: &Tls,
    recorder: &Recorder,
) -> Outcome<()> {
    let register = |name| Phone::register(name, server, transport, tls, recorder);
    let [alice, bob, carol] =
        [register("alice").await?, register("bob").await?, register("carol").await?];
    expect(challenged(recorder) == USERS.len(), "each phone is asked for its password")?;
    println!("  alice, bob and carol register, each with a password");

    let (placed, taken) = tokio::join!(alice.call("bob"), bob.answer());
    let ((mut of_alice, mut hers), (mut of_bob, mut his)) = (placed?, taken?);
    println!("  alice calls bob; it rings, and he answers");

    for (holds, she, he) in [
        (true, Direction::SendOnly, Direction::RecvOnly),
        (false, Direction::SendRecv, Direction::SendRecv),
    ] {
        match holds {
            true => hers.hold(Hold::Music),
            false => hers.resume(),
        }
        let offer = hers.offer()?;
        let (answer, flows) =
            tokio::join!(of_alice.reinvite(offer), Phone::go_along(&mut of_bob, &mut his));
        hers.take_answer(answer?.body())?;
        let seen = (examples::sdp::direction(&hers), flows?);
        expect(seen == (she, he), "the audio flows as alice wants it")?;
    }
    println!("  alice puts bob on hold, and comes back");

    let text = "Carol knows. I put you through to her.";
    let (answer, read) = tokio::join!(alice.ua.message(user("bob")?, text).send(), read(&bob));
    expect(answer?.status() == StatusCode::OK && read? == text, "bob reads what alice wrote")?;
    println!("  alice writes to bob: {text}");

    let to_carol = user("carol")?;
    let (outcome, followed, taken) =
        tokio::join!(of_alice.transfer(to_carol), bob.follow(&mut of_bob), carol.answer());
    expect(outcome?.is_success(), "alice hears that bob has reached carol")?;
    let (call, (mut of_carol, _)) = (followed?, taken?);
    expect(matches!(of_alice.ended().await, EndReason::Local), "alice is out of it")?;
    expect(matches!(of_bob.ended().await, EndReason::Remote), "bob is not with alice any more")?;
    println!("  alice transfers bob to carol, who answers");

    call.hang_up();
    expect(matches!(of_carol.ended().await, EndReason::Remote), "carol is told that bob hangs up")?;
    println!("  bob hangs up");

    for phone in [alice, bob, carol] {
        phone.leave().await?;
    }
    println!("  all take their registrations back");
    Ok(())
}

/// Waits for a text, and takes it.
async fn read(phone: &Phone) -> Outcome<String> {
    let Some(Incoming::Request(request)) = phone.ua.incoming().await else {
        return Err("what comes in is no text".into());
    };
    let text = String::from_utf8(request.body().to_vec())?;
    request.reply(StatusCode::OK).await?;
    Ok(text)
}

/// The server, on free ports.
async fn serve(tls: &Tls, recorder: &Recorder) -> Outcome<Server> {
    let mut builder = Server::builder(DOMAIN)
        .users(USERS.map(|name| Credentials::new(name, password_of(name))))
        .transport(sip_transport::Config::default().tls(Some(tls.clone())))
        .tap(recorder.tap("server"));
    for transport in ["udp", "tcp", "tls", "wss"] {
        builder = builder.listen(format!("{transport}:{HERE}:0").parse()?);
    }
    Ok(builder.start().await?)
}

/// A certificate for this machine that its own key signed, and trust in it alone.
fn certified() -> Outcome<Tls> {
    let made = rcgen::generate_simple_self_signed([HERE.to_string()])?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let ours = Certificate::from_pem(cert.as_bytes(), key.as_bytes())?;
    Ok(Tls::builder().certificate(ours).roots_pem(cert.as_bytes())?.build()?)
}

fn user(name: &str) -> Outcome<Uri<'static>> {
    Ok(format!("sip:{name}@{DOMAIN}").parse()?)
}

fn password_of(name: &str) -> String {
    format!("{name}'s secret")
}

/// How many requests the server has asked a password for.
fn challenged(recorder: &Recorder) -> usize {
    let messages = recorder.messages();
    let asks = |bytes: &[u8]| bytes.starts_with(b"SIP/2.0 401 ");
    messages.iter().filter(|it| &*it.node == "server" && it.sent && asks(&it.bytes)).count()
}

/// The ladder of the call that alice places; all that the server saw of it is in it.
fn ladder_of_alice(recorder: &Recorder) -> Outcome<Ladder> {
    let mut messages = recorder.messages();
    let invites = |it: &&Recorded| &*it.node == "alice" && it.bytes.starts_with(b"INVITE ");
    let call = messages.iter().find(invites).and_then(call_id_of).ok_or("alice calls nobody")?;
    messages.retain(|it| call_id_of(it).as_ref() == Some(&call));
    let ladder = Ladder::new(&messages);
    let seen = messages.iter().filter(|it| &*it.node == "server").count();
    expect(ladder.len() == seen, "the ladder has each message once")?;
    Ok(ladder)
}

fn call_id_of(recorded: &Recorded) -> Option<String> {
    let message = Message::parse(recorded.bytes.clone(), &Limits::default()).ok()?;
    message.headers().call_id().map(str::to_owned)
}

fn expect(happened: bool, what: &str) -> Outcome<()> {
    if happened { Ok(()) } else { Err(format!("this should be so, and is not: {what}").into()) }
}
