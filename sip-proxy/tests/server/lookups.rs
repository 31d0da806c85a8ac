//! Users that are kept elsewhere: requests wait for them, and nobody else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sip_auth::{Claim, Credentials, Lookup, Unavailable, Users};
use sip_message::{HeaderName, StatusCode, Transport};
use sip_proxy::{ProxyConfig, Server, ServerBuilder};
use sip_ua::{EndReason, RegisterError, RegistrationFailure, UserAgent};
use tokio::sync::Semaphore;

use crate::{SDP, phone, registered, user, within};

/// A database that answers as often as it is let.
#[derive(Clone)]
struct Database {
    answers: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Database {
    fn new(answers: usize) -> Self {
        Self { answers: Arc::new(Semaphore::new(answers)), asked: Arc::default() }
    }

    async fn answer(&self) -> Result<(), Unavailable> {
        // Not at once.
        tokio::task::yield_now().await;
        self.answers.acquire().await?.forget();
        Ok(())
    }

    /// Waits until so many questions were put to it.
    async fn was_asked(&self, times: usize) {
        while self.asked.load(Ordering::Relaxed) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Users for Database {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        let (database, name) = (self.clone(), claim.username().unwrap().to_owned());
        self.asked.fetch_add(1, Ordering::Relaxed);
        Lookup::later(async move {
            database.answer().await?;
            let secret = format!("{name}'s secret");
            Ok(["alice", "bob"].contains(&&*name).then(|| Credentials::new(name, secret)))
        })
    }

    fn knows(&self, name: &str) -> Lookup<bool> {
        let (database, is_known) = (self.clone(), ["alice", "bob"].contains(&name));
        Lookup::later(async move {
            database.answer().await?;
            Ok(is_known)
        })
    }
}

fn builder(database: &Database) -> ServerBuilder {
    let listen = Server::builder("example.com").listen("udp:127.0.0.1:0".parse().unwrap());
    listen.known_by(database.clone())
}

async fn alice(server: &Server) -> UserAgent {
    phone(server, "alice", "alice's secret", Transport::Udp).await
}

async fn options(phone: &UserAgent, name: &str) -> (u16, Option<String>) {
    let response = phone.message(user(name), "hello").send().await.unwrap();
    let retry = response.headers().raw(HeaderName::RetryAfter);
    let retry = retry.map(|value| String::from_utf8(value.to_vec()).unwrap());
    (response.status().as_u16(), retry)
}

#[tokio::test]
async fn requests_wait_for_slow_users_and_are_then_judged() {
    within(async {
        let database = Database::new(0);
        let server = builder(&database).start().await.unwrap();
        let registering = tokio::spawn(async move {
            let (phone, registration) = registered(&server, "bob", Transport::Udp).await;
            (server, phone, registration)
        });
        database.was_asked(1).await;
        assert!(!registering.is_finished());
        database.answers.add_permits(1_000);
        let (server, bob, _of_bob) = registering.await.unwrap();
        let alice = alice(&server).await;
        let calling = alice.call(user("bob")).offer(SDP).start();
        let mut calling = calling.await.unwrap();
        let invitation = crate::invitation(&bob).await;
        // What alice showed to the server is nobody else's business.
        let headers = invitation.request().headers();
        assert!(!headers.contains(HeaderName::ProxyAuthorization));
        invitation.reject(StatusCode::BUSY_HERE).await.unwrap();
        match calling.ended().await {
            EndReason::Rejected(response) => assert_eq!(response.status(), StatusCode::BUSY_HERE),
            other => panic!("{other:?}"),
        }
        // Nobody of that name, nobody there, and nobody who knows the secret.
        assert_eq!(options(&alice, "carol").await, (404, None));
        assert_eq!(options(&alice, "alice").await, (480, None));
        for (name, secret) in [("alice", "a guess"), ("carol", "carol's secret")] {
            let wrong = phone(&server, name, secret, Transport::Udp).await;
            assert_eq!(options(&wrong, "bob").await.0, 407);
            let Err(RegisterError::Failed(failure)) = wrong.register().await else { panic!() };
            assert!(matches!(failure, RegistrationFailure::Authentication(_)), "{failure:?}");
        }
        assert_eq!(server.live().await.lookups, 0);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_refuses_nobody_for_good() {
    within(async {
        let database = Database::new(0);
        database.answers.close();
        let server = builder(&database).start().await.unwrap();
        let phone = alice(&server).await;
        let later = (503, Some("5".to_owned()));
        assert_eq!(options(&phone, "bob").await, later);
        let Err(RegisterError::Failed(failure)) = phone.register().await else { panic!() };
        let expected = RegistrationFailure::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failure, expected);
        // A stranger's request is let through to a user whom nobody can tell of.
        let stranger = UserAgent::builder().listen("udp:127.0.0.1:0".parse().unwrap());
        let account = sip_ua::Account::new("sip:eve@example.net".parse().unwrap())
            .outbound_proxy(crate::at(&server, Transport::Udp));
        let stranger = stranger.account(account).start().await.unwrap();
        assert_eq!(options(&stranger, "bob").await, later);
        assert_eq!(server.live().await.lookups, 0);
    })
    .await;
}

#[tokio::test]
async fn a_call_is_cancelled_while_its_caller_is_looked_up() {
    within(async {
        let database = Database::new(0);
        let server = builder(&database).start().await.unwrap();
        let alice = alice(&server).await;
        let mut calling = alice.call(user("bob")).offer(SDP).start().await.unwrap();
        database.was_asked(1).await;
        assert_eq!(server.live().await.lookups, 1);
        calling.hang_up();
        match calling.ended().await {
            EndReason::Cancelled => {}
            other => panic!("{other:?}"),
        }
        // The database still has the question: it counts until it is answered.
        assert_eq!(server.live().await.lookups, 1);
        database.answers.add_permits(1);
        while server.live().await.lookups > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(server.shutdown(Duration::from_secs(5)).await.lookups, 0);
    })
    .await;
}

#[tokio::test]
async fn senders_who_are_looked_up_are_limited() {
    within(async {
        let database = Database::new(0);
        let server = builder(&database).lookups(1).start().await.unwrap();
        let (first, second) = (alice(&server).await, alice(&server).await);
        let waiting = tokio::spawn(async move { options(&first, "carol").await });
        database.was_asked(1).await;
        let later = (503, Some("5".to_owned()));
        assert_eq!(options(&second, "carol").await, later);
        assert!(matches!(second.register().await, Err(RegisterError::Failed(_))));
        database.answers.add_permits(1_000);
        assert_eq!(waiting.await.unwrap().0, 404);
        assert_eq!(options(&second, "carol").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_lookup_that_never_ends_is_a_503() {
    within(async {
        let database = Database::new(0);
        let config = ProxyConfig::default().admission_limit(Duration::from_millis(50));
        let server = builder(&database).proxy(config).start().await.unwrap();
        let phone = alice(&server).await;
        assert_eq!(options(&phone, "bob").await, (503, Some("5".to_owned())));
        let Err(RegisterError::Failed(failure)) = phone.register().await else { panic!() };
        let expected = RegistrationFailure::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failure, expected);
        while server.live().await.lookups > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
