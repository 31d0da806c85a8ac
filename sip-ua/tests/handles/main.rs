//! Two user agents of one process over loopback: what the handles promise.
#![cfg(all(feature = "udp", feature = "tcp"))]
// The helpers of tests are tests too, but clippy knows only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authentication;
mod bridge;
mod calls;
mod drops;
mod identity;
mod limits;
#[cfg(feature = "sdp")]
mod media;
mod publications;
mod refusals;
mod registration;
mod requests;
mod subscriptions;
#[cfg(feature = "tls")]
mod tls;
mod transfer;
#[cfg(feature = "ws")]
mod ws;

use std::future::Future;
use std::time::Duration;

use sip_message::Uri;
use sip_ua::{Account, Call, CallEvent, Incoming, Invitation, UserAgent, UserAgentBuilder};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
/// Another session description.
const CHANGED: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n";

/// Runs a test, but not for ever.
async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), test).await.expect("it takes too long")
}

/// A user agent named `name` that listens on a free port of loopback.
fn builder(name: &str, listen: &str) -> UserAgentBuilder {
    let account = Account::new(format!("sip:{name}@example.com").parse().unwrap());
    UserAgent::builder().listen(listen.parse().unwrap()).account(account)
}

async fn ua(name: &str, listen: &str) -> UserAgent {
    builder(name, listen).start().await.unwrap()
}

/// Alice and Bob over UDP.
async fn pair() -> (UserAgent, UserAgent) {
    (ua("alice", "udp:127.0.0.1:0").await, ua("bob", "udp:127.0.0.1:0").await)
}

/// Where `ua` is reached.
fn uri(ua: &UserAgent) -> Uri<'static> {
    let local = ua.locals().iter().next().unwrap();
    format!("sip:somebody@{};transport={}", local.addr, local.transport.as_str()).parse().unwrap()
}

/// The next thing that comes in, which must be a call.
async fn invitation(ua: &UserAgent) -> Invitation {
    match ua.incoming().await {
        Some(Incoming::Invitation(invitation)) => invitation,
        other => panic!("not a call: {other:?}"),
    }
}

/// A call from `alice` to `bob`, confirmed on both sides; all events are read.
async fn established(alice: &UserAgent, bob: &UserAgent) -> (Call, Call) {
    let mut calling = alice.call(uri(bob)).offer(SDP).start().await.unwrap();
    let mut called = invitation(bob).await.accept(SDP).await.unwrap();
    answered(&mut calling).await;
    match called.next().await {
        Some(CallEvent::Confirmed { ack: None }) => {}
        other => panic!("not confirmed: {other:?}"),
    }
    (calling, called)
}

/// Reads up to the answer.
async fn answered(call: &mut Call) {
    loop {
        match call.next().await {
            Some(CallEvent::Answered { response, answer_owed: false }) => {
                assert_eq!(response.body(), SDP.as_bytes());
                return;
            }
            Some(CallEvent::Ringing { .. } | CallEvent::Progress { .. }) => {}
            other => panic!("not answered: {other:?}"),
        }
    }
}

/// Waits until nothing goes on at `ua`: what may be left for 64*T1 absorbs repetitions.
async fn at_rest(ua: &UserAgent) {
    while ua.live().await.unwrap().under_way > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
