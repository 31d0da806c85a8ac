//! Only known users are served, and they are looked up elsewhere.

use std::time::Duration;

use sip_message::{HeaderName, StatusCode};
use sip_ua::{
    Account, Authority, Claim, Credentials, Ha1, Hash, Incoming, Lookup, NonceKey,
    ServerAuthentication, UserAgent, Users,
};

use crate::{builder, established, uri, within};

/// A subscriber table that keeps HA1s and takes its time; of one user it never has an answer.
struct Subscribers;

impl Users for Subscribers {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let name = claim.username().unwrap().to_owned();
        let hash = claim.algorithm().hash();
        Lookup::later(async move {
            if name == "nobody knows" {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let ha1 = [Hash::Md5, Hash::Sha256].map(|h| Ha1::new(h, "alice", "bob", "secret"));
            let ha1 = ha1.into_iter().find(|ha1| ha1.hash() == hash);
            let ha1 = ha1.filter(|_| name == "alice");
            Ok(ha1.map(|ha1| Credentials::new(name, ha1)))
        })
    }
}

async fn bob() -> UserAgent {
    let authority = Authority::server("bob", NonceKey::new(&[7; 32]).unwrap()).unwrap();
    let authentication = ServerAuthentication::new(authority, Subscribers).within_dialogs();
    builder("bob", "udp:127.0.0.1:0").authentication(authentication).start().await.unwrap()
}

async fn calling(user: &str, password: &str) -> UserAgent {
    let account = Account::new("sip:alice@example.com".parse().unwrap())
        .credentials(Credentials::new(user, password));
    builder("alice", "udp:127.0.0.1:0").account(account).start().await.unwrap()
}

#[tokio::test]
async fn a_user_is_served_when_it_is_found() {
    within(async {
        let (alice, bob) = (calling("alice", "secret").await, bob().await);
        let (calling, mut called) = established(&alice, &bob).await;
        calling.hang_up();
        while called.next().await.is_some() {}
        let (response, ()) = tokio::join!(alice.message(uri(&bob), "hello").send(), async {
            let Some(Incoming::Request(request)) = bob.incoming().await else { panic!() };
            assert_eq!(request.sender().user(), Some("alice"));
            assert!(request.sender().flow().remote.ip().is_loopback());
            request.reply(StatusCode::OK).await.unwrap();
        });
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains(HeaderName::AuthenticationInfo));
    })
    .await;
}

#[tokio::test]
async fn others_are_not() {
    within(async {
        let bob = bob().await;
        for (user, password) in [("alice", "guess"), ("mallory", "secret")] {
            let other = calling(user, password).await;
            let response = other.options(uri(&bob)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{user}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_lookup_that_never_ends_does_not_hold_up_the_end() {
    within(async {
        let (alice, bob) = (calling("nobody knows", "secret").await, bob().await);
        let asked = alice.options(uri(&bob));
        let asked = tokio::spawn(async move { asked.send().await });
        while bob.live().await.unwrap().agent.lookups == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(bob.shutdown().await);
        let response = asked.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    })
    .await;
}
