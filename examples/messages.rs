//! Two user agents in one process send each other texts, outside of a call and within one, and digits.
//!
//!     cargo run --release --example messages
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use examples::local::{uri_of, user_agent};
use examples::sdp::Media;
use sip_message::{Method, StatusCode};
use sip_ua::{AgentError, CallEvent, Incoming, IncomingRequest, Recorder, RequestError, UserAgent};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let recorder = Recorder::new();
    let alice = user_agent("udp", "alice", &recorder).await?;
    let bob = user_agent("udp", "bob", &recorder).await?;
    tokio::spawn(be_bob(bob.clone()));
    let to = uri_of(&bob)?;

    let response = alice.message(to.clone(), "Are you there?").send().await?;
    expect(response.status() == StatusCode::OK, "bob takes a text")?;
    // What fits no datagram on its way does not go as a text (RFC 3428 §8).
    let long = alice.message(to.clone(), "x".repeat(2_000)).send().await;
    let refused = matches!(long, Err(RequestError::Refused(AgentError::TooLarge { .. })));
    expect(refused, "a long text is not sent")?;

    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let mut call = alice.call(to).offer(media.session()?.offer()?).start().await?;
    while !matches!(call.next().await.ok_or("not answered")?, CallEvent::Answered { .. }) {}
    let response = call.message("I call you.").await?;
    expect(response.status() == StatusCode::OK, "bob takes a text within the call")?;
    let last = call.dtmf("12#").await?.ok_or("no digit")?;
    expect(last.status() == StatusCode::OK, "bob takes digits")?;
    call.hang_up();
    call.ended().await;
    for ua in [alice, bob] {
        ua.shutdown().await;
    }
    println!("\n{}", recorder.ladder());
    Ok(())
}

async fn be_bob(bob: UserAgent) -> Outcome<()> {
    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    while let Some(incoming) = bob.incoming().await {
        match incoming {
            Incoming::Request(request) => read(request).await?,
            Incoming::Invitation(invitation) => {
                let (answer, _) = media.session()?.answer(invitation.offer())?;
                let mut call = invitation.accept(answer).await?;
                while let Some(event) = call.next().await {
                    if let CallEvent::Request(request) = event {
                        read(request).await?;
                    }
                }
            }
            _ => {} // a dropped referral is declined
        }
    }
    Ok(())
}

async fn read(request: IncomingRequest) -> Outcome<()> {
    let text = String::from_utf8_lossy(request.body()).trim().replace("\r\n", ", ");
    let kind = if *request.method() == Method::Info { "info" } else { "text" };
    println!("bob reads a {kind}: {text}");
    Ok(request.reply(StatusCode::OK).await?)
}

fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}
