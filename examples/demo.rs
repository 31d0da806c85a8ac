//! Two user agents in one process call each other, over UDP and again over TCP: ring, answer, hold and
//! resume, a message within the call, hang up. Needs no network beyond loopback and no other program.
//!
//!     cargo run --release --example demo
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::local::{uri_of, user_agent};
use examples::sdp::{self, Media};
use sip_message::{Method, StatusCode, Uri};
use sip_sdp::{Direction, Hold};
use sip_ua::{Call, CallEvent, EndReason, Incoming, Recorder, UserAgent};
use tokio::time::timeout;

/// Shows a whole call between two user agents of this process, over UDP and again over TCP, and prints who
/// sent what when. Succeeds only if all of it happened.
#[derive(Parser)]
#[command(name = "demo", version)]
struct Options {}

/// How long one call may take in all. It takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    Options::parse();
    for transport in ["udp", "tcp"] {
        println!("\n=== alice calls bob over {} ===\n", transport.to_uppercase());
        let recorder = Recorder::new();
        let outcome = timeout(LIMIT, conversation(transport, &recorder)).await;
        println!("\n{}", recorder.ladder());
        match outcome {
            Ok(Ok(())) => println!("All of it happened."),
            Ok(Err(error)) => return failed(&examples::chain(&*error)),
            Err(_) => return failed("it took too long"),
        }
    }
    ExitCode::SUCCESS
}

fn failed(why: &str) -> ExitCode {
    eprintln!("demo: {why}");
    ExitCode::FAILURE
}

async fn conversation(transport: &str, recorder: &Recorder) -> Outcome<()> {
    let alice = user_agent(transport, "alice", recorder).await?;
    let bob = user_agent(transport, "bob", recorder).await?;
    let callee = tokio::spawn({
        let bob = bob.clone();
        async move { be_bob(&bob).await }
    });
    be_alice(&alice, &uri_of(&bob)?).await?;
    callee.await??;
    let (alice, bob) = (alice.shutdown().await, bob.shutdown().await);
    expect(alice && bob, "both user agents wind up in time")
}

/// Alice places the call and says when it ends.
async fn be_alice(alice: &UserAgent, bob: &Uri<'static>) -> Outcome<()> {
    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let mut session = media.session()?;
    let mut call = alice.call(bob.clone()).offer(session.offer()?).start().await?;
    say("alice", format_args!("calling {bob}"));
    let mut rang = false;
    loop {
        match call.next().await {
            Some(CallEvent::Ringing { .. }) => {
                rang = true;
                say("alice", format_args!("it rings"));
            }
            Some(CallEvent::Answered { response, .. }) => {
                session.take_answer(response.body())?;
                expect(sdp::direction(&session) == Direction::SendRecv, "bob answers with audio")?;
                say("alice", format_args!("bob answered"));
                break;
            }
            Some(CallEvent::Ended(reason)) => {
                return Err(format!("the call ended: {reason}").into());
            }
            Some(_) => {}
            None => return Err("the call ended without a word".into()),
        }
    }
    expect(rang, "it rings before it is answered")?;
    for held in [true, false] {
        if held {
            session.hold(Hold::Music)
        } else {
            session.resume()
        }
        let response = call.reinvite(session.offer()?).await?;
        session.take_answer(response.body())?;
        let (says, wanted) = match held {
            true => ("held", Direction::SendOnly),
            false => ("resumed", Direction::SendRecv),
        };
        say("alice", format_args!("{says}: the audio is {}", sdp::direction(&session)));
        expect(sdp::direction(&session) == wanted, "bob's answer fits the offer")?;
    }
    let response = call.message("See you at eight?").await?;
    say("alice", format_args!("message: {}", response.status().as_u16()));
    expect(response.status() == StatusCode::OK, "bob takes the message")?;
    call.hang_up();
    ends_as(&mut call, |reason| matches!(reason, EndReason::Local)).await?;
    say("alice", format_args!("hung up"));
    Ok(())
}

/// Bob answers, and goes along with what Alice wants.
async fn be_bob(bob: &UserAgent) -> Outcome<()> {
    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let Some(Incoming::Invitation(invitation)) = bob.incoming().await else {
        return Err("the first thing that comes is no call".into());
    };
    let mut session = media.session()?;
    let (answer, _) = session.answer(invitation.offer())?;
    let invitation = invitation.ring().await?;
    let mut call = invitation.accept(answer).await?;
    say("bob", format_args!("picked up"));
    let (mut confirmed, mut directions, mut messages) = (false, Vec::new(), 0);
    while let Some(event) = call.next().await {
        match event {
            CallEvent::Confirmed { .. } => confirmed = true,
            CallEvent::Modification(modification) => {
                let (answer, _) = session.answer(modification.offer())?;
                directions.push(sdp::direction(&session));
                modification.accept(answer).await?;
            }
            CallEvent::Request(request) => {
                expect(*request.method() == Method::Message, "what comes is a MESSAGE")?;
                let text = String::from_utf8_lossy(request.body()).into_owned();
                say("bob", format_args!("alice writes {text:?}"));
                messages += 1;
                request.reply(StatusCode::OK).await?;
            }
            CallEvent::Ended(reason) => {
                say("bob", format_args!("{reason}"));
                expect(matches!(reason, EndReason::Remote), "alice hangs up")?;
            }
            other => return Err(format!("something else happened: {other:?}").into()),
        }
    }
    expect(confirmed, "the call is confirmed")?;
    expect(directions == [Direction::RecvOnly, Direction::SendRecv], "a hold and a resume come")?;
    expect(messages == 1, "a message comes")
}

async fn ends_as(call: &mut Call, expected: impl Fn(&EndReason) -> bool) -> Outcome<()> {
    let reason = call.ended().await;
    expect(expected(&reason), &format!("the call ends as it should, not: {reason}"))
}

fn say(who: &str, what: std::fmt::Arguments<'_>) {
    println!("{who:>6}: {what}");
}

fn expect(happened: bool, what: &str) -> Outcome<()> {
    if happened { Ok(()) } else { Err(format!("this should be so, and is not: {what}").into()) }
}
