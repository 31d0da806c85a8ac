//! Three user agents in one process: alice talks to bob, asks carol, and transfers bob to her; then once more
//! without asking.
//!
//!     cargo run --release --example transfer
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use examples::local::{uri_of, user_agent};
use examples::sdp::Media;
use sip_message::Uri;
use sip_ua::{Call, CallEvent, Incoming, Recorder, UserAgent};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let recorder = Recorder::new();
    let [alice, bob, carol] = [
        user_agent("udp", "alice", &recorder).await?,
        user_agent("udp", "bob", &recorder).await?,
        user_agent("udp", "carol", &recorder).await?,
    ];
    for ua in [&bob, &carol] {
        tokio::spawn(pick_up(ua.clone()));
    }
    for attended in [true, false] {
        let to_bob = call(&alice, uri_of(&bob)?).await?;
        let outcome = if attended {
            let to_carol = call(&alice, uri_of(&carol)?).await?;
            to_bob.transfer_to(&to_carol).await?
        } else {
            to_bob.transfer(uri_of(&carol)?).await?
        };
        println!("attended: {attended}, outcome: {outcome:?}");
        if !outcome.is_success() {
            return Err("bob does not reach carol".into());
        }
    }
    for ua in [alice, bob, carol] {
        ua.shutdown().await;
    }
    println!("\n{}", recorder.ladder());
    Ok(())
}

/// Takes every call, and goes wherever its peer wants.
async fn pick_up(ua: UserAgent) -> Outcome<()> {
    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    while let Some(incoming) = ua.incoming().await {
        let Incoming::Invitation(invitation) = incoming else { continue };
        // If it replaces a call, accepting it ends that one.
        let (answer, _) = media.session()?.answer(invitation.offer())?;
        let mut call = invitation.accept(answer).await?;
        let offer = media.session()?.offer()?;
        tokio::spawn(async move {
            let mut next = None;
            while let Some(event) = call.next().await {
                if let CallEvent::Referred(referral) = event {
                    // Placed, and reported about, until the other end hangs up.
                    next = referral.follow(offer.clone()).await.ok();
                }
            }
            if let Some(mut next) = next {
                next.ended().await;
            }
        });
    }
    Ok(())
}

async fn call(ua: &UserAgent, to: Uri<'static>) -> Outcome<Call> {
    let media = Media::at(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let mut call = ua.call(to).offer(media.session()?.offer()?).start().await?;
    while !matches!(call.next().await.ok_or("not answered")?, CallEvent::Answered { .. }) {}
    Ok(call)
}
