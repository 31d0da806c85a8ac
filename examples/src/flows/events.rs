//! Subscriptions: RFC 6665, which shows one flow and says the others in words, and RFC 3515, whose REFER brings one about.

use std::time::Duration;

use sip_message::StatusCode;
use sip_ua::{Body, NotifierKey, SubscriptionKey, TerminationReason};

use super::Flow;
use super::cast::{NO_202, Place, someone};
use super::stage::{Done, Stage, config, said, uri};

const SUBSCRIBER: &str = "Subscriber";
const NOTIFIER: &str = "Notifier";
const AT_SUBSCRIBER: Place<'_> = ("watcher.example.com", 101);
const AT_NOTIFIER: Place<'_> = ("host.example.com", 201);
const RESOURCE: &str = "sip:resource@host.example.com";

const AGENT_A: &str = "Agent A";
const AGENT_B: &str = "Agent B";
const TO_B: &str = "sip:b@agentb.atlanta.example.com";
const WHATEVER: &str = "sip:whatever@atlanta.example.com";

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "subscribe",
        section: "RFC 6665 §1.1",
        title: "a subscription, its state, and the state when it changes",
        differs: "",
        diagram: "Subscriber -> Notifier: SUBSCRIBE/200 Event=presence Expires
                  Notifier -> Subscriber: NOTIFY/200 active
                  Notifier -> Subscriber: NOTIFY/200 active",
        play: |stage| subscribed(stage).map(drop),
    },
    Flow {
        name: "subscribe-refresh",
        section: "RFC 6665 §4.1.2.2",
        title: "a subscription is refreshed before it runs out: half an hour of an hour is left",
        differs: "RFC 6665 says this in words",
        diagram: "Subscriber -> Notifier: SUBSCRIBE/200 Event=presence
                  Notifier -> Subscriber: NOTIFY/200 active
                  Notifier -> Subscriber: NOTIFY/200 active
                  Subscriber -> Notifier: SUBSCRIBE/200 Event=presence Expires
                  Notifier -> Subscriber: NOTIFY/200 active",
        play: |stage| {
            let (subscription, _) = subscribed(stage)?;
            stage.pass(Duration::from_secs(1800));
            stage
                .with(SUBSCRIBER, |now, agent, tx| {
                    agent.refresh_subscription(now, tx, subscription)
                })?
                .map_err(said)?;
            stage.notified(SUBSCRIBER).map(drop)
        },
    },
    Flow {
        name: "unsubscribe",
        section: "RFC 6665 §4.1.2.3",
        title: "the subscriber ends it, by a SUBSCRIBE for no time; a last NOTIFY follows",
        differs: "RFC 6665 says this in words",
        diagram: "Subscriber -> Notifier: SUBSCRIBE/200 Event=presence
                  Notifier -> Subscriber: NOTIFY/200 active
                  Notifier -> Subscriber: NOTIFY/200 active
                  Subscriber -> Notifier: SUBSCRIBE/200 Expires=0
                  Notifier -> Subscriber: NOTIFY/200 terminated",
        play: |stage| {
            let (subscription, _) = subscribed(stage)?;
            stage
                .with(SUBSCRIBER, |now, agent, tx| agent.unsubscribe(now, tx, subscription))?
                .map_err(said)?;
            stage.notified(SUBSCRIBER).map(drop)
        },
    },
    Flow {
        name: "subscribe-terminated",
        section: "RFC 6665 §4.2.2",
        title: "the notifier ends it, and says why",
        differs: "RFC 6665 says this in words",
        diagram: "Subscriber -> Notifier: SUBSCRIBE/200 Event=presence
                  Notifier -> Subscriber: NOTIFY/200 active
                  Notifier -> Subscriber: NOTIFY/200 active
                  Notifier -> Subscriber: NOTIFY/200 terminated Subscription-State=noresource",
        play: |stage| {
            let (_, notifier) = subscribed(stage)?;
            let reason = TerminationReason::NoResource;
            stage
                .with(NOTIFIER, |now, agent, tx| agent.terminate(now, tx, notifier, reason, None))?
                .map_err(said)?;
            stage.notified(SUBSCRIBER).map(drop)
        },
    },
    Flow {
        name: "fetch",
        section: "RFC 6665 §4.4.3",
        title: "the state is asked for once",
        differs: "RFC 6665 says this in words",
        diagram: "Subscriber -> Notifier: SUBSCRIBE/200 Event=presence Expires=0
                  Notifier -> Subscriber: NOTIFY/200 terminated",
        play: |stage| {
            watchers(stage)?;
            stage.subscribe(SUBSCRIBER, RESOURCE, "presence", 0)?;
            stage.grants(NOTIFIER, Body::text("here"))?;
            stage.notified(SUBSCRIBER).map(drop)
        },
    },
    Flow {
        name: "refer",
        section: "RFC 3515 §4.1",
        title: "REFER outside of any dialog, and what came of it",
        differs: NO_202,
        diagram: "Agent A -> Agent B: REFER/200 Refer-To
                  Agent B -> Agent A: NOTIFY/200 100 active
                  Agent B -> Agent A: NOTIFY/200 200 terminated",
        play: |stage| {
            agents(stage)?;
            stage.refer_to(AGENT_A, TO_B, &uri(WHATEVER)?, &[])?;
            does_whatever(stage)
        },
    },
    Flow {
        name: "refer-twice",
        section: "RFC 3515 §4.2",
        title: "two REFERs, one after the other",
        differs: "REFER is answered 200: RFC 7647 §5 forbids the 202; the second is outside of the dialog of the first, as RFC 7647 §4 wants it",
        diagram: "Agent A -> Agent B: REFER/200 Refer-To
                  Agent B -> Agent A: NOTIFY/200 100 active
                  Agent B -> Agent A: NOTIFY/200 200 terminated
                  Agent A -> Agent B: REFER/200 Refer-To
                  Agent B -> Agent A: NOTIFY/200 100 active
                  Agent B -> Agent A: NOTIFY/200 200 terminated",
        play: |stage| {
            agents(stage)?;
            for _ in 0..2 {
                stage.refer_to(AGENT_A, TO_B, &uri(WHATEVER)?, &[])?;
                does_whatever(stage)?;
            }
            Ok(())
        },
    },
];

fn watchers(stage: &mut Stage) -> Done {
    let watched = config().event_packages(vec!["presence".into()]);
    stage.phone(SUBSCRIBER, AT_SUBSCRIBER, someone("sip:watcher@example.com")?)?;
    stage.phone_with(NOTIFIER, AT_NOTIFIER, someone(RESOURCE)?, watched)
}

/// A subscription that was told twice.
fn subscribed(stage: &mut Stage) -> Done<(SubscriptionKey, NotifierKey)> {
    watchers(stage)?;
    let subscription = stage.subscribe(SUBSCRIBER, RESOURCE, "presence", 3600)?;
    let notifier = stage.grants(NOTIFIER, Body::text("here"))?;
    stage.notified(SUBSCRIBER)?;
    stage.pass(Duration::from_secs(10));
    stage.notify(NOTIFIER, notifier, Body::text("away"))?;
    stage.notified(SUBSCRIBER)?;
    Ok((subscription, notifier))
}

fn agents(stage: &mut Stage) -> Done {
    let at_a = ("agenta.atlanta.example.com", 101);
    stage.phone(AGENT_A, at_a, someone("sip:a@atlanta.example.com")?)?;
    stage.phone(AGENT_B, ("agentb.atlanta.example.com", 102), someone(TO_B)?)
}

/// Agent B does what it was asked: here the RFC says no more than "whatever".
fn does_whatever(stage: &mut Stage) -> Done {
    let refer = stage.heeds(AGENT_B)?;
    let ok = StatusCode::OK;
    stage.with(AGENT_B, |now, agent, tx| agent.report(now, tx, refer, ok))?.map_err(said)?;
    stage.succeeds(AGENT_A)?;
    stage.settle();
    Ok(())
}
