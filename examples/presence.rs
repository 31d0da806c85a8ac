//! Presence, both sides of it: `presence tell [LISTEN]` tells whoever subscribes that we are here, and each line
//! that is typed; `presence watch URI` subscribes, and prints what is told.

use std::error::Error;

use sip_events::{EventPackage, Presence};
use sip_ua::{
    Account, AgentConfig, Body, Incoming, Notifier, NotifierConfig, SubscriptionEvent,
    SubscriptionUpdate, UserAgent,
};
use tokio::io::{AsyncBufReadExt, BufReader};

const ENTITY: &str = "sip:presence@example.com";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tell"] => tell("udp:127.0.0.1:5070").await,
        ["tell", listen] => tell(listen).await,
        ["watch", uri] => watch(uri).await,
        _ => Err("presence tell [LISTEN] | presence watch URI".into()),
    }
}

async fn tell(listen: &str) -> Result<(), Box<dyn Error>> {
    let config = AgentConfig::default().event_packages(vec![Presence::NAME.into()]);
    let account = Account::new(ENTITY.parse()?);
    let ua = UserAgent::builder()
        .listen(listen.parse()?)
        .account(account)
        .config(config)
        .start()
        .await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut state, mut typing) = (Presence::of(ENTITY, true), true);
    let body = |state: &Presence| Body::new(Presence::CONTENT_TYPE, state.render());
    let mut watchers: Vec<Notifier> = Vec::new();
    loop {
        tokio::select! {
            incoming = ua.incoming() => match incoming {
                Some(Incoming::Subscription(request)) => {
                    let terms = NotifierConfig::new(Presence::DEFAULT_EXPIRES);
                    watchers.retain(|watcher| watcher.ended().is_none());
                    watchers.push(request.accept(terms, Some(body(&state))).await?);
                    println!("{} watching", watchers.len());
                }
                Some(_) => {} // Dropped, and thereby refused.
                None => return Ok(()),
            },
            line = lines.next_line(), if typing => match line? {
                Some(line) => {
                    state = Presence::of(ENTITY, line != "away").note(line);
                    for watcher in &watchers {
                        watcher.notify(body(&state)).await?;
                    }
                }
                None => typing = false,
            },
        }
    }
}

async fn watch(uri: &str) -> Result<(), Box<dyn Error>> {
    let ua = UserAgent::builder().start().await?;
    let mut subscription = ua.subscribe(uri.parse()?, Presence::NAME).start().await?;
    while let Some(update) = subscription.next().await {
        match update {
            SubscriptionUpdate::Notify(notify) if !notify.body().is_empty() => {
                let presence = Presence::parse(notify.body())?;
                let note = presence.notes.first().map_or("", |note| note.text.as_str());
                println!("{} {note}", if presence.is_open() { "open" } else { "closed" });
            }
            SubscriptionUpdate::State(SubscriptionEvent::Ended { reason, retry_in }) => {
                println!("ended: {reason:?}, again in {retry_in:?}");
            }
            _ => {}
        }
    }
    Ok(())
}
