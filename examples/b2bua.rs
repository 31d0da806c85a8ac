//! A back-to-back user agent: ties each call that comes in to one to `--to`. Without that it serves itself: alice calls
//! over UDP, the call goes on to bob over TCP, she puts him on hold, and hangs up.
//!
//!     cargo run --release --example b2bua -- --listen udp:127.0.0.1:5060 --to sip:bob@127.0.0.1:5070
#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::Arc;

use clap::Parser;
use examples::local::{uri_of, user_agent};
use examples::parse_uri;
use sip_message::Uri;
use sip_transport::ListenAddr;
use sip_ua::{Bridge, BridgeOptions, CallEvent, Incoming, Recorder, UserAgent};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times
    #[arg(long, value_name = "ADDR", default_values = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"])]
    listen: Vec<ListenAddr>,
    /// Who is called when a call comes in
    #[arg(long, value_name = "URI", value_parser = parse_uri)]
    to: Option<Uri<'static>>,
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let (Options { listen, to }, recorder) = (Options::parse(), Recorder::new());
    let builder = listen.into_iter().fold(UserAgent::builder(), |b, addr| b.listen(addr));
    let builder = if to.is_none() { builder.tap(recorder.tap("b2bua")) } else { builder };
    let (ua, mut terminate) = (builder.start().await?, signal(SignalKind::terminate())?);
    println!("ready");
    if let Some(to) = to {
        tokio::select! { _ = terminate.recv() => {}, done = tie_all(&ua, to) => done? }
    } else {
        let bob = user_agent("tcp", "bob", &recorder).await?;
        let (to, alice) = (uri_of(&bob)?, user_agent("udp", "alice", &recorder).await?);
        tokio::spawn(pick_up(bob));
        tokio::select! { done = call(&alice, uri_of(&ua)?) => done?, done = tie_all(&ua, to) => done? }
        println!("{}", recorder.ladder());
    }
    ua.shutdown().await;
    Ok(())
}

async fn tie_all(ua: &UserAgent, to: Uri<'static>) -> Outcome {
    let options = Arc::new(BridgeOptions::default());
    while let Some(incoming) = ua.incoming().await {
        let Incoming::Invitation(invitation) = incoming else { continue };
        let _ = ua.bridge(invitation, to.clone(), options.clone()).await.map(Bridge::detach);
    }
    Ok(())
}

async fn call(alice: &UserAgent, to: Uri<'static>) -> Outcome {
    let mut call = alice.call(to).offer(SDP).start().await?;
    while !matches!(call.next().await.ok_or("not answered")?, CallEvent::Answered { .. }) {}
    call.reinvite(format!("{SDP}a=sendonly\r\n")).await?;
    call.hang_up();
    alice.shutdown().await; // waits for the answer to the BYE
    Ok(())
}

async fn pick_up(bob: UserAgent) -> Outcome {
    let Some(Incoming::Invitation(invitation)) = bob.incoming().await else { return Ok(()) };
    let mut call = invitation.ring().await?.accept(SDP).await?;
    while let Some(event) = call.next().await {
        if let CallEvent::Modification(change) = event {
            change.accept(format!("{SDP}a=recvonly\r\n")).await?;
        }
    }
    Ok(())
}
