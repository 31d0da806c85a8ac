//! Presence as its owner and its watchers see it: `presence tell URI` publishes at URI that we are here, and each line
//! that is typed; `presence watch URI` prints what is told. The example `presence_server` stands between them.

use std::error::Error;

use sip_events::{EventPackage, Presence};
use sip_ua::{Body, SubscriptionUpdate, UserAgent};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tell", uri] => tell(uri).await,
        ["watch", uri] => watch(uri).await,
        _ => Err("presence tell URI | presence watch URI".into()),
    }
}

async fn tell(uri: &str) -> Result<(), Box<dyn Error>> {
    let ua = UserAgent::builder().start().await?;
    let body = |presence: Presence| Body::new(Presence::CONTENT_TYPE, presence.render());
    let here = body(Presence::of(uri, true));
    let publication = ua.publish(uri.parse()?, Presence::NAME, here).start().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        publication.modify(body(Presence::of(uri, line != "away").note(line))).await?;
    }
    publication.remove().await;
    Ok(())
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
            SubscriptionUpdate::Notify(_) => {}
            SubscriptionUpdate::State(state) => println!("{state:?}"),
            _ => {}
        }
    }
    Ok(())
}
