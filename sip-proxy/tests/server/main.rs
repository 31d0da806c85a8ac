//! A server and user agents of one process over loopback: what registers is reached.
#![cfg(all(feature = "udp", feature = "tcp"))]
// The helpers of tests are tests too, but clippy knows only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod away;
mod calls;
mod end;
mod lookups;
#[cfg(feature = "redis")]
mod nodes;
#[cfg(feature = "redis")]
#[path = "../linear/server.rs"]
mod redis_server;
mod registrations;
mod rights;
mod wrapped;

use std::future::Future;
use std::time::Duration;

use sip_auth::Credentials;
use sip_message::{Transport, Uri};
use sip_proxy::{Server, ServerBuilder};
use sip_ua::{Account, Incoming, Invitation, Registration, UserAgent};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Runs a test, but not for ever.
async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), test).await.expect("it takes too long")
}

/// A server for alice, bob and carol.
fn builder() -> ServerBuilder {
    let user = |name: &str| Credentials::new(name, format!("{name}'s secret"));
    Server::builder("example.com")
        .listen("udp:127.0.0.1:0".parse().unwrap())
        .listen("tcp:127.0.0.1:0".parse().unwrap())
        .users([user("alice"), user("bob"), user("carol")])
}

/// The URI of the server by a transport.
fn at(server: &Server, transport: Transport) -> Uri<'static> {
    let local = server.locals().first(transport).unwrap();
    let name = transport.as_str().to_ascii_lowercase();
    format!("sip:{};transport={name};lr", local.addr).parse().unwrap()
}

/// A user agent of this user, all of whose requests go by the server.
async fn phone(server: &Server, name: &str, secret: &str, transport: Transport) -> UserAgent {
    let account = Account::new(format!("sip:{name}@example.com").parse().unwrap())
        .credentials(Credentials::new(name, secret))
        .outbound_proxy(at(server, transport));
    let builder = UserAgent::builder().listen("udp:127.0.0.1:0".parse().unwrap());
    let builder = builder.listen("tcp:127.0.0.1:0".parse().unwrap());
    builder.account(account).start().await.unwrap()
}

/// The same, registered.
async fn registered(
    server: &Server,
    name: &str,
    transport: Transport,
) -> (UserAgent, Registration) {
    let phone = phone(server, name, &format!("{name}'s secret"), transport).await;
    let registration = phone.register().await.unwrap();
    (phone, registration)
}

fn user(name: &str) -> Uri<'static> {
    format!("sip:{name}@example.com").parse().unwrap()
}

/// The next thing that comes in, which must be a call.
async fn invitation(ua: &UserAgent) -> Invitation {
    match ua.incoming().await {
        Some(Incoming::Invitation(invitation)) => invitation,
        other => panic!("not a call: {other:?}"),
    }
}
