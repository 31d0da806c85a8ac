//! A presence server: `presence_server [LISTEN]` takes what is published (RFC 3903), composes it and tells it to who
//! subscribes. The example `presence` publishes here, and watches.

use std::error::Error;
use std::time::Duration;

use sip_events::{EventPackage, Presence};
use sip_message::Method;
use sip_transaction::Config;
use sip_ua::{
    AgentConfig, Body, Compositor, CompositorConfig, Incoming, Notifier, NotifierConfig, UserAgent,
};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or("udp:127.0.0.1:5070".into());
    let config = AgentConfig::default()
        .methods(vec![Method::Publish])
        .accept(vec![Presence::CONTENT_TYPE.into()])
        .event_packages(vec![Presence::NAME.into()]);
    let ua = UserAgent::builder().listen(listen.parse()?).config(config).start().await?;
    let taken = CompositorConfig::default().package(Presence::NAME, &[Presence::CONTENT_TYPE]);
    let mut published = Compositor::new(taken, Config::default().seed);
    let (started, mut watchers) = (Instant::now(), Vec::<(String, Notifier)>::new());
    loop {
        let due = started + published.deadline().unwrap_or(Duration::from_secs(86_400));
        let whose = tokio::select! {
            incoming = ua.incoming() => match incoming {
                Some(Incoming::Request(publish)) => {
                    let whose = publish.request().uri()?.to_string();
                    let at = started.elapsed();
                    let changed = publish.publish_in(&mut published, at, &whose).await;
                    changed.is_ok_and(|changed| changed).then_some(whose)
                }
                Some(Incoming::Subscription(request)) => {
                    let whose = request.request().uri()?.to_string();
                    let terms = NotifierConfig::new(Presence::DEFAULT_EXPIRES);
                    let state = Some(state(&published, &whose));
                    // Who has gone meanwhile is nobody else's trouble.
                    watchers.extend(request.accept(terms, state).await.ok().map(|it| (whose, it)));
                    None
                }
                Some(_) => None, // Dropped, and thereby refused.
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(due) => {
                published.expire(started.elapsed()).map(|expired| expired.resource().to_owned())
            }
        };
        watchers.retain(|(_, watcher)| watcher.ended().is_none());
        for (_, watcher) in watchers.iter().filter(|(of, _)| Some(of) == whose.as_ref()) {
            let _ = watcher.notify(state(&published, whose.as_deref().unwrap_or_default())).await;
        }
    }
}

fn state(published: &Compositor, whose: &str) -> Body {
    let documents = published.documents(whose, Presence::NAME);
    let read = documents.filter_map(|document| Presence::parse(document.body()).ok());
    Body::new(Presence::CONTENT_TYPE, Presence::composed(whose, read).render())
}
