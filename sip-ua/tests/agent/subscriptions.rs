//! Subscriptions, both ends of them, wired to transactions and dialogs (RFC 6665). The machines have tests of
//! their own.

use std::sync::Arc;

use sip_message::{Message, Method, Request, StatusCode};
use sip_transaction::ServerKey;
use sip_ua::{
    Account, AgentConfig, AgentError, AgentEvent, Body, Credentials, Grant, NotifierConfig,
    NotifierKey, SubscriberConfig, SubscriptionKey, SubscriptionUpdate, SubscriptionWish,
    TerminationReason,
};

use crate::harness::*;

const BOB_URI: &str = "sip:bob@192.0.2.2";

fn wish() -> SubscriptionWish {
    SubscriptionWish::new(BOB_URI.parse().unwrap(), "presence")
}

fn notifies() -> AgentConfig {
    AgentConfig::default().event_packages(vec!["presence".into()])
}

fn state(text: &str) -> Option<Body> {
    Some(Body::text(text))
}

fn terms() -> NotifierConfig {
    NotifierConfig::new(3600)
}

impl Pair {
    /// Alice subscribes to Bob's presence.
    fn subscribe(&mut self, wish: SubscriptionWish) -> SubscriptionKey {
        self.tell(ALICE, |agent, now, tx| agent.subscribe(now, tx, &alice(), wish)).unwrap()
    }

    /// The SUBSCRIBE that Bob has to answer.
    fn asked(&mut self) -> ServerKey {
        let events = self.take(BOB);
        let key = events.iter().find_map(|event| match event {
            AgentEvent::Subscribe { key, .. } => Some(*key),
            _ => None,
        });
        key.expect("a SUBSCRIBE came")
    }

    fn accept(&mut self, grant: Grant) -> NotifierKey {
        let key = self.asked();
        self.tell(BOB, |agent, now, tx| agent.accept_subscription(now, tx, key, grant)).unwrap()
    }

    fn notify(&mut self, notifier: NotifierKey, text: &str) {
        self.tell(BOB, |agent, now, tx| agent.notify(now, tx, notifier, state(text), None))
            .unwrap();
    }

    fn unsubscribe(&mut self, subscription: SubscriptionKey) {
        self.tell(ALICE, |agent, now, tx| agent.unsubscribe(now, tx, subscription)).unwrap();
    }

    /// The two in a subscription that is granted, with nothing under way.
    fn subscribed(&mut self) -> (SubscriptionKey, NotifierKey) {
        let subscription = self.subscribe(wish());
        self.run(ms(20));
        let notifier = self.accept(Grant::active(terms(), state("here")));
        self.run(ms(50));
        self.expect(ALICE, &["notify active;expires=3600 here", "Active"]);
        self.flow();
        (subscription, notifier)
    }
}

// RFC 6665 §4.1.2, §4.2.2: the figures from end to end.
#[test]
fn subscribed_told_and_unsubscribed() {
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    let (subscription, notifier) = pair.subscribed();
    pair.notify(notifier, "away");
    pair.run(ms(50));
    pair.expect(ALICE, &["notify active;expires=3599 away"]);
    assert_eq!(pair.flow(), ["bob: NOTIFY", "alice: 200 NOTIFY"]);
    pair.tell(ALICE, |agent, now, tx| agent.refresh_subscription(now, tx, subscription)).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["notify active;expires=3600 away"]);
    pair.expect(BOB, &["refreshed"]);
    assert_eq!(
        pair.flow(),
        ["alice: SUBSCRIBE", "bob: 200 SUBSCRIBE", "bob: NOTIFY", "alice: 200 NOTIFY"]
    );
    pair.unsubscribe(subscription);
    pair.run(ms(50));
    pair.expect(ALICE, &["notify terminated;reason=timeout away", "ended Unsubscribed"]);
    pair.expect(BOB, &["ended Unsubscribed"]);
    assert_eq!(
        pair.flow(),
        ["alice: SUBSCRIBE", "bob: 200 SUBSCRIBE", "bob: NOTIFY", "alice: 200 NOTIFY"]
    );
    pair.nothing_left();
}

#[test]
fn pending_then_granted_then_rejected() {
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    pair.subscribe(wish());
    pair.run(ms(20));
    let notifier = pair.accept(Grant::pending(terms(), state("secret")));
    pair.run(ms(50));
    // RFC 6665 §6.2: nothing of the state before it is granted.
    pair.expect(ALICE, &["notify pending;expires=3600", "Pending"]);
    pair.notify(notifier, "still secret");
    pair.run(ms(50));
    pair.expect(ALICE, &[]);
    pair.tell(BOB, |agent, now, tx| agent.grant(now, tx, notifier)).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["notify active;expires=3599 still secret", "Active"]);
    let rejected = TerminationReason::Rejected;
    pair.tell(BOB, |agent, now, tx| agent.terminate(now, tx, notifier, rejected, None)).unwrap();
    pair.run(ms(50));
    pair.expect(
        ALICE,
        &["notify terminated;reason=rejected still secret", "ended Terminated(Rejected)"],
    );
    pair.expect(BOB, &["ended Terminated"]);
    pair.nothing_left();
}

#[test]
fn refreshed_for_days_and_run_out() {
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    let (_, notifier) = pair.subscribed();
    pair.run(secs(2 * 86_400));
    let refreshes = pair.flow().iter().filter(|line| *line == "alice: SUBSCRIBE").count();
    assert!((50..=70).contains(&refreshes), "{refreshes}");
    pair.take(ALICE);
    pair.take(BOB);
    // Alice falls silent: Bob waits for a refresh in vain, or for an answer.
    pair.network(|from, _| if from == ALICE { Fate::Lose } else { Fate::Deliver });
    pair.notify(notifier, "anyone?");
    pair.run(secs(40));
    pair.expect(BOB, &["ended Lost"]);
    pair.run(secs(4000));
    let told: Vec<String> = pair.take(ALICE).iter().map(words).collect();
    assert!(told.iter().any(|line| line.starts_with("ended NoNotify, again")), "{told:?}");
}

// RFC 6665 §4.4.3
#[test]
fn fetched_once() {
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    let mut fetch = wish();
    fetch.terms = SubscriberConfig::new(0);
    pair.subscribe(fetch);
    pair.run(ms(20));
    pair.accept(Grant::active(terms(), state("here")));
    pair.run(ms(50));
    pair.expect(ALICE, &["notify terminated;reason=timeout here", "ended Unsubscribed"]);
    pair.expect(BOB, &["ended Unsubscribed"]);
    pair.nothing_left();
}

// RFC 5839 §5.6
#[test]
fn nothing_is_told_twice_to_who_knows_it() {
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    pair.subscribe(wish());
    pair.run(ms(20));
    let mut grant = Grant::active(terms(), state("here"));
    grant.entity_tag = Some("e1".into());
    pair.accept(grant);
    pair.run(ms(50));
    pair.expect(ALICE, &["notify active;expires=3600 here", "Active"]);
    pair.flow();
    pair.run(secs(3300));
    assert_eq!(pair.flow(), ["alice: SUBSCRIBE", "bob: 204 SUBSCRIBE"]);
    pair.expect(ALICE, &[]);
}

#[test]
fn refused() {
    // Who is no notifier says so.
    let mut pair = Pair::new();
    pair.subscribe(wish());
    pair.run(ms(50));
    pair.expect(ALICE, &["ended Refused(405)"]);
    // One that knows another package.
    let mut pair = Pair::with(
        AgentConfig::default(),
        AgentConfig::default().event_packages(vec!["dialog".into()]),
    );
    pair.subscribe(wish());
    pair.run(ms(50));
    pair.expect(ALICE, &["ended Refused(489)"]);
    pair.nothing_left();
    // One that does not want it, too short a time, and one that says nothing.
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    pair.subscribe(wish());
    pair.run(ms(20));
    let key = pair.asked();
    let reply = |status| {
        move |agent: &mut sip_ua::Agent, now, tx: &mut sip_transaction::Transactions| {
            agent.reply(now, tx, key, status, None, &[])
        }
    };
    assert!(matches!(pair.tell(BOB, reply(StatusCode::OK)), Err(AgentError::Status(_))));
    pair.tell(BOB, reply(StatusCode::FORBIDDEN)).unwrap();
    pair.run(ms(50));
    pair.expect(ALICE, &["ended Refused(403)"]);
    let mut brief = wish();
    brief.terms = SubscriberConfig::new(10);
    pair.subscribe(brief);
    pair.run(ms(20));
    let key = pair.asked();
    let grant = Grant::active(terms(), None);
    let refused =
        pair.tell(BOB, |agent, now, tx| agent.accept_subscription(now, tx, key, grant.clone()));
    assert!(matches!(refused, Err(AgentError::Status(StatusCode::INTERVAL_TOO_BRIEF))));
    pair.run(ms(20));
    // Asked again with what was wanted, by the same Call-ID.
    pair.accept(grant);
    pair.run(ms(50));
    pair.expect(ALICE, &["notify active;expires=60", "Active"]);
    let mut pair = Pair::with(AgentConfig::default(), notifies());
    pair.subscribe(wish());
    pair.run(secs(21));
    pair.expect(BOB, &["subscribe"]);
    let told: Vec<String> = pair.take(ALICE).iter().map(words).collect();
    assert!(told[0].starts_with("ended Refused(500), again in"), "{told:?}");
}

#[test]
fn as_many_as_there_may_be() {
    let bob = notifies().max_notifiers_per_peer(2);
    let mut pair = Pair::with(AgentConfig::default().max_subscriptions(4), bob);
    for _ in 0..2 {
        pair.subscribe(wish());
        pair.run(ms(20));
        pair.accept(Grant::active(terms(), None));
        pair.run(ms(50));
    }
    pair.take(ALICE);
    let third = pair.subscribe(wish());
    pair.run(ms(50));
    pair.expect(BOB, &[]);
    let told: Vec<String> = pair.take(ALICE).iter().map(words).collect();
    assert!(told[0].starts_with("ended Refused(503), again in 5"), "{told:?}");
    pair.subscribe(wish());
    let fifth = pair.tell(ALICE, |agent, now, tx| agent.subscribe(now, tx, &alice(), wish()));
    assert!(matches!(fifth, Err(AgentError::Full { .. })));
    // One that waits for its next try is ended at once.
    pair.unsubscribe(third);
    pair.tell(ALICE, |agent, now, tx| agent.subscribe(now, tx, &alice(), wish())).unwrap();

    // However many peers they are of.
    let mut pair = Pair::with(AgentConfig::default(), notifies().max_notifiers(1));
    for (accepts, told) in [(true, "200"), (false, "503")] {
        pair.subscribe(wish());
        pair.run(ms(20));
        if accepts {
            pair.accept(Grant::active(terms(), None));
        }
        pair.run(ms(50));
        assert!(pair.log.iter().any(|line| line.contains(told)), "{told}: {:?}", pair.log);
    }
}

/// A NOTIFY of the subscription that `subscribe` asks for.
fn notify(subscribe: &Request, from_tag: &str, cseq: u32, more: &str) -> String {
    let headers = subscribe.headers();
    format!(
        "NOTIFY sip:alice@192.0.2.1:5060 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{from_tag}{cseq}{}
         Max-Forwards: 70
         From: <sip:bob@192.0.2.2>;tag={from_tag}
         To: <sip:alice@192.0.2.1>;tag={}
         Call-ID: {}
         CSeq: {cseq} NOTIFY
         Contact: <sip:bob@192.0.2.2>
         {more}",
        more.len(),
        headers.from_tag().unwrap(),
        headers.call_id().unwrap(),
    )
}

const ACTIVE: &str = "Event: presence\nSubscription-State: active;expires=600";

fn subscribing(wish: SubscriptionWish) -> (Lone, SubscriptionKey, Request) {
    let mut lone = Lone::new();
    let key = lone.tell(|agent, now, tx| agent.subscribe(now, tx, &alice(), wish)).unwrap();
    let request = lone.sent_request(Method::Subscribe);
    (lone, key, request)
}

#[test]
fn what_a_subscribe_says() {
    let mut wish = wish();
    wish.event = "presence;id=7".into();
    wish.accept = "application/pidf+xml".into();
    wish.rates = wish.rates.max("0.05".parse().unwrap());
    wish.headers.push(("Subject".into(), "x".into()));
    let (mut lone, key, subscribe) = subscribing(wish);
    let said = |name| header(subscribe.headers(), name);
    assert_eq!(said("Event"), Some("presence;id=7;max-rate=0.05"));
    assert_eq!(said("Expires"), Some("3600"));
    assert_eq!(said("Accept"), Some("application/pidf+xml"));
    assert_eq!(said("Subject"), Some("x"));
    assert_eq!(said("Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    // RFC 4028 §4: a session has a timer, and this is none.
    assert_eq!(said("Session-Expires"), None);
    // The NOTIFY before the 2xx; its route set is that of the dialog.
    let more = "Record-Route: <sip:192.0.2.2;lr>, <sip:far.example.com;lr>\n";
    let more = format!("{more}Event: presence;id=7\nSubscription-State: active;expires=600");
    lone.receive_text(&notify(&subscribe, "b", 1, &more), "here");
    lone.sent_response(200);
    lone.answer(&subscribe, 200, "c", &[("Expires", "3600"), ("Contact", "<sip:x@192.0.2.9>")]);
    lone.expect(&["notify active;expires=600 here", "Active"]);
    lone.tell(|agent, now, tx| agent.unsubscribe(now, tx, key)).unwrap();
    let last = lone.sent_request(Method::Subscribe);
    assert_eq!(last.uri().unwrap().as_str(), "sip:bob@192.0.2.2");
    assert_eq!(
        header(last.headers(), "Route"),
        Some("<sip:192.0.2.2;lr>,<sip:far.example.com;lr>")
    );
    assert_eq!(header(last.headers(), "Event"), Some("presence;id=7;max-rate=0.05"));
    assert_eq!(header(last.headers(), "Expires"), Some("0"));
    assert_eq!(last.headers().cseq().unwrap().number, 2);
    assert_eq!(last.headers().to_tag(), Some("b"));
}

// RFC 6665 §4.1.3: what a NOTIFY is owed that fits no subscription, and none of it ends what is well.
#[test]
fn notifies_that_do_not_fit() {
    let (mut lone, _, subscribe) = subscribing(wish());
    lone.answer(&subscribe, 200, "b", &[("Expires", "600")]);
    lone.receive_text(&notify(&subscribe, "b", 5, ACTIVE), "");
    lone.sent_response(200);
    lone.expect(&["notify active;expires=600", "Active"]);
    let mut owed = |text: String, status| {
        lone.receive_text(&text, "");
        lone.sent_response(status);
        lone.expect(&[]);
        assert_eq!((lone.live().subscriptions, lone.live().dialogs), (1, 1));
    };
    owed(notify(&subscribe, "b", 6, "Event: dialog\nSubscription-State: active"), 489);
    owed(notify(&subscribe, "b", 7, "Event: presence;id=1\nSubscription-State: active"), 489);
    owed(notify(&subscribe, "b", 8, "Subscription-State: active"), 489);
    owed(notify(&subscribe, "b", 9, "Event: presence"), 400);
    owed(notify(&subscribe, "b", 10, "Event: presence\nSubscription-State: active;expires=x"), 400);
    // CSeq backwards.
    owed(notify(&subscribe, "b", 3, ACTIVE), 500);
    owed(notify(&subscribe, "b", 10, &format!("{ACTIVE}\nX: y")), 500);
    // Another notifier, where one is all there may be; a Call-ID, a tag that are none of ours.
    owed(notify(&subscribe, "c", 1, ACTIVE), 481);
    let other = notify(&subscribe, "b", 20, ACTIVE);
    owed(other.replace("Call-ID: ", "Call-ID: x"), 481);
    owed(other.replace("To: <sip:alice@192.0.2.1>;tag=", "To: <sip:alice@192.0.2.1>;tag=x"), 481);
    let tag = format!(";tag={}", subscribe.headers().from_tag().unwrap());
    owed(other.replace(&tag, ""), 481);
    // What fits is taken, whatever came before.
    lone.receive_text(&notify(&subscribe, "b", 30, ACTIVE), "");
    lone.sent_response(200);
    lone.expect(&["notify active;expires=600"]);
    // And one for which there never was a subscription.
    let mut alone = Lone::new();
    alone.receive_text(&notify(&subscribe, "b", 1, ACTIVE), "");
    alone.sent_response(481);
    alone.nothing_left();
}

// RFC 6665 §4.1.4
#[test]
fn forked() {
    let mut forks = wish();
    forks.forks = true;
    let (mut lone, key, subscribe) = subscribing(forks);
    for (tag, events) in [
        ("b", ["notify active;expires=600 b", "Active"]),
        ("c", ["1: notify active;expires=600 c", "1: Active"]),
    ] {
        lone.receive_text(&notify(&subscribe, tag, 1, ACTIVE), tag);
        lone.sent_response(200);
        lone.expect(&events);
    }
    lone.answer(&subscribe, 200, "c", &[("Expires", "600")]);
    assert_eq!((lone.live().subscriptions, lone.live().dialogs), (2, 2));
    lone.tell(|agent, now, tx| agent.unsubscribe(now, tx, key)).unwrap();
    let sent = lone.expect_sent(&["SUBSCRIBE", "SUBSCRIBE"]);
    let tags: Vec<_> = sent
        .iter()
        .map(|message| match message {
            Message::Request(request) => request.headers().to_tag().unwrap().to_owned(),
            Message::Response(_) => panic!(),
        })
        .collect();
    assert_eq!(tags, ["b", "c"]);
    let gone = "Event: presence\nSubscription-State: terminated;reason=timeout";
    lone.receive_text(&notify(&subscribe, "c", 2, gone), "");
    lone.receive_text(&notify(&subscribe, "b", 2, gone), "");
    lone.expect(&[
        "1: notify terminated;reason=timeout",
        "1: ended Unsubscribed",
        "notify terminated;reason=timeout",
        "ended Unsubscribed",
    ]);
    // After Timer N no other is taken.
    let mut forks = wish();
    forks.forks = true;
    let (mut lone, _, subscribe) = subscribing(forks);
    lone.receive_text(&notify(&subscribe, "b", 1, ACTIVE), "");
    lone.sent_response(200);
    lone.answer(&subscribe, 200, "b", &[("Expires", "600")]);
    lone.run(secs(32));
    lone.receive_text(&notify(&subscribe, "c", 1, ACTIVE), "");
    lone.sent_response(481);
}

#[test]
fn with_credentials() {
    let account = Account::new("sip:alice@192.0.2.1".parse().unwrap())
        .credentials(Credentials::new("alice", "secret"));
    let account = Arc::new(account);
    let mut lone = Lone::new();
    let key = lone.tell(|agent, now, tx| agent.subscribe(now, tx, &account, wish())).unwrap();
    let challenge = [("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")];
    let first = lone.sent_request(Method::Subscribe);
    lone.answer(&first, 401, "b", &challenge);
    let second = lone.sent_request(Method::Subscribe);
    assert!(header(second.headers(), "Authorization").is_some());
    assert_eq!(second.headers().cseq().unwrap().number, 2);
    assert_eq!(second.headers().call_id(), first.headers().call_id());
    lone.answer(&second, 423, "b", &[("Min-Expires", "7200")]);
    let third = lone.sent_request(Method::Subscribe);
    assert_eq!(header(third.headers(), "Expires"), Some("7200"));
    assert_eq!(third.headers().cseq().unwrap().number, 3);
    lone.answer(&third, 200, "b", &[("Expires", "7200")]);
    lone.receive_text(&notify(&third, "b", 1, "Event: presence\nSubscription-State: active"), "");
    lone.sent_response(200);
    lone.expect(&["notify active", "Active"]);
    // Within the dialog too; the first has the nonce already.
    lone.tell(|agent, now, tx| agent.unsubscribe(now, tx, key)).unwrap();
    let fourth = lone.sent_request(Method::Subscribe);
    assert_eq!(fourth.headers().cseq().unwrap().number, 4);
    assert!(header(fourth.headers(), "Authorization").is_some());
    lone.answer(
        &fourth,
        401,
        "b",
        &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"m\", qop=\"auth\", stale=true")],
    );
    let fifth = lone.sent_request(Method::Subscribe);
    assert_eq!(fifth.headers().cseq().unwrap().number, 5);
    assert!(header(fifth.headers(), "Authorization").unwrap().contains("nonce=\"m\""));
}

/// A SUBSCRIBE of Bob to Alice.
fn subscribe(cseq: u32, to_tag: &str, more: &str) -> String {
    let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "SUBSCRIBE sip:alice@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKs{cseq}{}
         Max-Forwards: 70
         From: <sip:bob@192.0.2.2>;tag=b
         To: <sip:alice@192.0.2.1>{tag}
         Call-ID: s@bob
         CSeq: {cseq} SUBSCRIBE
         Contact: <sip:bob@192.0.2.2>
         {more}",
        more.len(),
    )
}

/// Alice with one subscriber, and her tag.
fn notifying() -> (Lone, NotifierKey, String) {
    let mut lone = Lone::with(notifies());
    lone.receive_text(&subscribe(1, "", "Event: presence\nExpires: 600"), "");
    let events = lone.take();
    let [AgentEvent::Subscribe { key, .. }] = events.as_slice() else { panic!("{events:?}") };
    let grant = Grant::active(terms(), state("here"));
    let key = lone.tell(|agent, now, tx| agent.accept_subscription(now, tx, *key, grant)).unwrap();
    let sent = lone.expect_sent(&["200 SUBSCRIBE", "NOTIFY"]);
    let (Message::Response(ok), Message::Request(notify)) = (&sent[0], &sent[1]) else { panic!() };
    assert_eq!(header(ok.headers(), "Expires"), Some("600"));
    assert_eq!(header(ok.headers(), "Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    assert_eq!(header(notify.headers(), "Event"), Some("presence"));
    assert_eq!(header(notify.headers(), "Subscription-State"), Some("active;expires=600"));
    assert_eq!(header(notify.headers(), "Contact"), Some("<sip:alice@192.0.2.1:5060>"));
    assert_eq!(notify.headers().to_tag(), Some("b"));
    assert_eq!(notify.headers().from_tag(), ok.headers().to_tag());
    let tag = ok.headers().to_tag().unwrap().to_owned();
    lone.answer(notify, 200, "", &[]);
    (lone, key, tag)
}

#[test]
fn subscribes_that_do_not_fit() {
    let mut lone = Lone::with(notifies());
    for (more, status) in [
        ("Event: dialog", 489),
        ("Event: presence.winfo", 489),
        ("Event: a b", 489),
        ("Expires: 600", 489),
    ] {
        let text = subscribe(1, "", more).replace("s@bob", &format!("{}@bob", more.len()));
        lone.receive_text(&text, "");
        let response = lone.sent_response(status);
        assert_eq!(header(response.headers(), "Allow-Events"), Some("presence"));
    }
    let no_contact =
        subscribe(1, "", "Event: presence").replace("Contact: <sip:bob@192.0.2.2>", "X: y");
    lone.receive_text(&no_contact, "");
    lone.sent_response(400);
    lone.receive_text(&subscribe(2, "unknown", "Event: presence"), "");
    lone.sent_response(481);
    lone.expect(&[]);
    lone.nothing_left();

    let (mut lone, key, tag) = notifying();
    let mut owed = |text: String, status| {
        lone.receive_text(&text, "");
        lone.sent_response(status);
        lone.expect(&[]);
        assert_eq!((lone.live().notifiers, lone.live().dialogs), (1, 1));
    };
    owed(subscribe(2, &tag, "Event: presence;id=1\nExpires: 600"), 481);
    owed(subscribe(3, &tag, "Expires: 600"), 481);
    owed(subscribe(4, &tag, "Event: presence\nExpires: 5"), 423);
    owed(subscribe(4, &tag, "Event: presence\nExpires: 0\nX: backwards"), 500);
    owed(notify_in(&tag), 481);
    lone.receive_text(&subscribe(15, &tag, "Event: presence\nExpires: 0"), "");
    let sent = lone.expect_sent(&["200 SUBSCRIBE", "NOTIFY"]);
    let Message::Request(last) = &sent[1] else { panic!() };
    // While the last NOTIFY is out the subscription is no more.
    lone.receive_text(&subscribe(16, &tag, "Event: presence\nExpires: 600"), "");
    lone.sent_response(481);
    lone.answer(last, 200, "", &[]);
    lone.expect(&["ended Unsubscribed"]);
    let gone = lone.tell(|agent, now, tx| agent.notify(now, tx, key, None, None));
    assert!(matches!(gone, Err(AgentError::Gone)));
    lone.nothing_left();
}

/// A NOTIFY in Bob's own dialog, of a subscription that Alice never made.
fn notify_in(tag: &str) -> String {
    subscribe(9, tag, "Event: presence\nSubscription-State: active").replace("SUBSCRIBE", "NOTIFY")
}

// RFC 6665 §4.2.2
#[test]
fn a_refused_notify_ends_the_subscription() {
    for (status, ends) in [(481, true), (489, true), (500, false), (603, false)] {
        let (mut lone, key, _) = notifying();
        lone.tell(|agent, now, tx| agent.notify(now, tx, key, state("away"), None)).unwrap();
        let notify = lone.sent_request(Method::Notify);
        assert_eq!(notify.headers().cseq().unwrap().number, 2);
        assert_eq!(notify.body(), b"away");
        lone.answer(&notify, status, "", &[]);
        if ends {
            lone.expect(&[&format!("ended Refused({status})")]);
            lone.nothing_left();
        } else {
            lone.expect(&[]);
            assert_eq!(lone.live().notifiers, 1);
        }
    }
    let (mut lone, key, _) = notifying();
    lone.tell(|agent, now, tx| agent.notify(now, tx, key, state("away"), None)).unwrap();
    lone.run(secs(33));
    lone.expect(&["ended Lost"]);
    lone.nothing_left();
}

// RFC 6665 §4.5.2
#[test]
fn no_subscription_in_the_dialog_of_a_call() {
    let mut pair = Pair::with(notifies(), notifies());
    let (of_alice, _) = pair.established();
    // The command does not exist; what a peer sends all the same is refused, and the call goes on.
    let sent = pair
        .tell(ALICE, |agent, now, tx| agent.send(now, tx, of_alice, Method::Subscribe, None, &[]));
    assert!(matches!(sent, Err(AgentError::Method(_))));
    let mut lone = Lone::with(notifies());
    let key = lone.tell(|agent, now, tx| agent.call(now, tx, &alice(), to_bob())).unwrap();
    let invite = lone.sent_request(Method::Invite);
    lone.answer(&invite, 200, "b", &[("Contact", "<sip:bob@192.0.2.2>")]);
    lone.expect_sent(&["ACK"]);
    lone.take();
    let text =
        notify(&invite, "b", 1, "Event: presence\nExpires: 600").replace("NOTIFY", "SUBSCRIBE");
    lone.receive_text(&text, "");
    assert_eq!(lone.sent_response(403).reason(), b"Dialog Sharing Not Supported");
    lone.receive_text(&notify(&invite, "b", 2, ACTIVE), "");
    lone.sent_response(481);
    assert_eq!(lone.tell(|agent, _, _| agent.state(key)), Some(sip_ua::CallState::Established));
}

/// Messages are lost and overtake each other: at the end both sides agree, and nothing is left.
#[test]
fn agreed_under_loss_and_reordering() {
    for seed in 1..60_u64 {
        let mut pair = Pair::with(AgentConfig::default(), notifies());
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = move |many: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % many
        };
        let mut weather = below;
        pair.network(move |_, _| match weather(10) {
            0 | 1 => Fate::Lose,
            2..=4 => Fate::Delay(ms(weather(1500))),
            _ => Fate::Deliver,
        });
        let subscription = pair.subscribe(wish());
        pair.run(secs(3));
        let asked = pair.take(BOB).into_iter().find_map(|event| match event {
            AgentEvent::Subscribe { key, .. } => Some(key),
            _ => None,
        });
        let grant = Grant::active(terms(), state("0"));
        let notifier = asked.and_then(|key| {
            pair.tell(BOB, |agent, now, tx| agent.accept_subscription(now, tx, key, grant)).ok()
        });
        let mut told = 0;
        for _ in 0..20 {
            pair.run(ms(below(4000)));
            let Some(notifier) = notifier else { break };
            told += 1;
            let body = state(&told.to_string());
            let known =
                pair.tell(BOB, |agent, now, tx| agent.notify(now, tx, notifier, body, None));
            if known.is_err() {
                told -= 1;
                break;
            }
        }
        pair.network(|_, _| Fate::Deliver);
        pair.run(secs(40));
        let last = pair.take(ALICE).into_iter().rev().find_map(|event| match event {
            AgentEvent::Subscription { update: SubscriptionUpdate::Notify(request), .. } => {
                Some(String::from_utf8(request.body().to_vec()).unwrap())
            }
            _ => None,
        });
        if pair.live(BOB).notifiers == 1 && pair.live(ALICE).subscriptions == 1 {
            let told = told.to_string();
            assert_eq!(last.as_deref(), Some(told.as_str()), "seed {seed}\n{}", pair.wire_log());
        }
        let _ = pair.tell(ALICE, |agent, now, tx| agent.unsubscribe(now, tx, subscription));
        pair.run(secs(4000));
        pair.nothing_left();
    }
}
