//! The event package `reg`: who is told of whose registrations (RFC 3680).

use std::sync::Arc;
use std::time::Duration;

use sip_auth::Credentials;
use sip_events::{EventPackage, Merged, RegInfo, Registrations};
use sip_message::{HeaderName, Request, StatusCode, Transport};
use sip_proxy::{RegEventsConfig, Registrar, Server, ServerBuilder};
use sip_ua::{
    Account, Subscription, SubscriptionEnd, SubscriptionEvent, SubscriptionUpdate, UserAgent,
};

use crate::{at, builder, phone, registered, user, within};

/// A server that tells every change at once.
fn eager() -> ServerBuilder {
    builder().reg_events(RegEventsConfig::default().least_interval(Duration::ZERO))
}

/// What one is told of one registration.
pub(crate) struct Watcher {
    subscription: Subscription,
    seen: Registrations,
}

impl Watcher {
    pub(crate) async fn of(phone: &UserAgent, of: &str) -> Self {
        let subscription = phone.subscribe(user(of), "reg").start().await.unwrap();
        Self { subscription, seen: Registrations::default() }
    }

    async fn notify(&mut self) -> Arc<Request> {
        loop {
            match self.subscription.next().await.expect("it has ended") {
                SubscriptionUpdate::Notify(notify) => return notify,
                SubscriptionUpdate::State(SubscriptionEvent::Ended { reason, .. }) => {
                    panic!("it has ended: {reason:?}")
                }
                _ => {}
            }
        }
    }

    /// The next document.
    pub(crate) async fn info(&mut self) -> RegInfo {
        let notify = self.notify().await;
        let media_type = notify.raw(HeaderName::ContentType);
        assert_eq!(media_type, Some(&b"application/reginfo+xml"[..]));
        let info = RegInfo::parse(notify.body()).unwrap();
        assert_eq!(self.seen.merge(info.clone()), Merged::Applied);
        info
    }

    /// The events that the next document tells.
    pub(crate) async fn events(&mut self) -> Vec<String> {
        let mut info = self.info().await;
        let registration = info.registrations.pop().unwrap();
        registration.contacts.into_iter().map(|contact| contact.event).collect()
    }

    pub(crate) async fn ended(&mut self) -> SubscriptionEnd {
        loop {
            let update = self.subscription.next().await.expect("it ends without a word");
            if let SubscriptionUpdate::State(SubscriptionEvent::Ended { reason, .. }) = update {
                return reason;
            }
        }
    }

    /// How many contacts are bound as far as it was told.
    fn bound(&self) -> usize {
        self.seen.iter().map(|registration| registration.contacts.len()).sum()
    }
}

async fn refused(watcher: &mut Watcher) -> StatusCode {
    match watcher.ended().await {
        SubscriptionEnd::Refused(status) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_is_told_of_its_own_phones() {
    within(async {
        let server = eager().start().await.unwrap();
        let (first, _of_first) = registered(&server, "alice", Transport::Udp).await;
        let mut watcher = Watcher::of(&first, "alice").await;
        let info = watcher.info().await;
        assert_eq!((info.version, info.full, watcher.bound()), (0, true, 1));
        assert_eq!(info.registrations[0].aor, "sip:alice@example.com");
        let (_second, of_second) = registered(&server, "alice", Transport::Tcp).await;
        assert_eq!(watcher.events().await, ["registered"]);
        assert_eq!(watcher.bound(), 2);
        assert!(of_second.unregister().await);
        assert_eq!(watcher.events().await, ["unregistered"]);
        assert_eq!(watcher.bound(), 1);
        // RFC 3680 §5.2: a refresh brings the whole.
        watcher.subscription.refresh().await.unwrap();
        let info = watcher.info().await;
        assert_eq!((info.version, info.full, watcher.bound()), (3, true, 1));
        assert_eq!(server.live().await.subscriptions, 1);
        watcher.subscription.unsubscribe().await;
        while server.live().await.subscriptions > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_is_told_of_another_unless_that_is_allowed() {
    within(async {
        let server = eager().start().await.unwrap();
        let bob = phone(&server, "bob", "bob's secret", Transport::Udp).await;
        assert_eq!(refused(&mut Watcher::of(&bob, "alice").await).await, StatusCode::FORBIDDEN);
        let account = Account::new("sip:eve@example.net".parse().unwrap())
            .credentials(Credentials::new("eve", "?"))
            .outbound_proxy(at(&server, Transport::Udp));
        let listen = UserAgent::builder().listen("udp:127.0.0.1:0".parse().unwrap());
        let eve = listen.account(account).start().await.unwrap();
        assert_eq!(refused(&mut Watcher::of(&eve, "alice").await).await, StatusCode::FORBIDDEN);
        let guess = phone(&server, "alice", "a guess", Transport::Udp).await;
        let mut guess = Watcher::of(&guess, "alice").await;
        assert!(!matches!(guess.ended().await, SubscriptionEnd::Terminated(_)));
        assert_eq!(server.live().await.subscriptions, 0);

        let config = RegEventsConfig::default()
            .may(|user, aor| user == Some("bob") && aor.as_str() == "alice@example.com");
        let server = builder().reg_events(config).start().await.unwrap();
        let bob = phone(&server, "bob", "bob's secret", Transport::Udp).await;
        let info = Watcher::of(&bob, "alice").await.info().await;
        assert_eq!((info.registrations[0].state.as_str(), info.full), ("init", true));
        assert_eq!(refused(&mut Watcher::of(&bob, "bob").await).await, StatusCode::FORBIDDEN);
        let picky = bob.subscribe(user("alice"), "reg").accept("text/plain").start().await.unwrap();
        let mut picky = Watcher { subscription: picky, seen: Registrations::default() };
        assert_eq!(refused(&mut picky).await, StatusCode::NOT_ACCEPTABLE);
    })
    .await;
}

/// A REGISTER of alice, for so many seconds.
fn register(contact: &str, seconds: u32) -> String {
    format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{seconds}\r\n\
         From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: {contact}\r\n\
         CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <{contact}>;expires={seconds}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn the_end_of_a_binding_is_told_whoever_brings_it() {
    use tokio::io::AsyncWriteExt as _;
    within(async {
        let mut brief = Registrar::default().jitter(0);
        brief.min_expires = 1;
        let server = Server::builder("example.com")
            .listen("udp:127.0.0.1:0".parse().unwrap())
            .listen("tcp:127.0.0.1:0".parse().unwrap())
            .reg_events(RegEventsConfig::default().least_interval(Duration::ZERO))
            .registrar(brief)
            .start()
            .await
            .unwrap();
        let watching = phone(&server, "alice", "", Transport::Tcp).await;
        let mut watcher = Watcher::of(&watching, "alice").await;
        assert_eq!(watcher.info().await.registrations[0].state, "init");
        let address = server.locals().first(Transport::Tcp).unwrap().addr;
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let first = register("sip:alice@127.0.0.1:9;transport=tcp", 1);
        connection.write_all(first.as_bytes()).await.unwrap();
        assert_eq!(watcher.events().await, ["registered"]);
        // Its time is over, and nobody refreshes it.
        let info = watcher.info().await;
        assert_eq!(info.registrations[0].state, "terminated");
        assert_eq!(info.registrations[0].contacts[0].event, "expired");
        // It is reached over its connection alone, and that goes.
        let second = register("sip:alice@192.0.2.1;transport=tcp", 600);
        connection.write_all(second.as_bytes()).await.unwrap();
        assert_eq!(watcher.events().await, ["registered"]);
        drop(connection);
        assert_eq!(watcher.events().await, ["deactivated"]);
        assert_eq!(watcher.bound(), 0);
    })
    .await;
}

#[tokio::test]
async fn there_are_so_many_subscriptions_and_no_more() {
    within(async {
        let config = RegEventsConfig::default().max_per_aor(1).max_subscriptions(2);
        let server = builder().reg_events(config).start().await.unwrap();
        let alice = phone(&server, "alice", "alice's secret", Transport::Udp).await;
        let bob = phone(&server, "bob", "bob's secret", Transport::Udp).await;
        let carol = phone(&server, "carol", "carol's secret", Transport::Udp).await;
        let mut first = Watcher::of(&alice, "alice").await;
        first.info().await;
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(refused(&mut Watcher::of(&alice, "alice").await).await, unavailable);
        let mut second = Watcher::of(&bob, "bob").await;
        second.info().await;
        assert_eq!(refused(&mut Watcher::of(&carol, "carol").await).await, unavailable);
        assert_eq!(server.live().await.subscriptions, 2);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_sends_who_watches_elsewhere() {
    within(async {
        let server: Server = eager().start().await.unwrap();
        let alice = phone(&server, "alice", "alice's secret", Transport::Udp).await;
        let subscription = alice.subscribe(user("alice"), "reg").resubscribe(false);
        let subscription = subscription.start().await.unwrap();
        let mut watcher = Watcher { subscription, seen: Registrations::default() };
        watcher.info().await;
        server.drain().await;
        let reason = sip_ua::TerminationReason::Deactivated;
        assert_eq!(watcher.ended().await, SubscriptionEnd::Terminated(reason));
        assert!(server.shutdown(Duration::from_secs(5)).await.is_idle());
    })
    .await;
}
