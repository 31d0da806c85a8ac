//! What servers that share one Redis see of each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails says so"
)]
#![cfg(feature = "redis")]

#[path = "linear/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::Server;
use sip_message::{Limits, Message, Request};
use sip_proxy::location::{
    Commit, Redis, RedisConfig, RegisterError, Store, StoreError, Version, Watch, Watched, register,
};
use sip_proxy::{Aor, Binding, Register, Registrar};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

fn aor(user: &str) -> Aor {
    Aor::of(&format!("sip:{user}@example.com").parse().unwrap()).unwrap()
}

async fn node(server: &Server, config: RedisConfig) -> Redis {
    let store = Redis::open(&server.url(), config, [1, 2]).unwrap();
    timeout(PATIENCE, store.connected()).await.unwrap();
    store
}

fn request(user: &str, cseq: u32, contact: &str) -> Request {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{cseq}\r\n\
         From: <sip:{user}@example.com>;tag=1\r\nTo: <sip:{user}@example.com>\r\nCall-ID: 1@phone\r\n\
         CSeq: {cseq} REGISTER\r\nContact: {contact}\r\n\r\n"
    );
    Message::parse(text.into_bytes().into(), &Limits::default()).unwrap().into_request().unwrap()
}

async fn bind(store: &Redis, user: &str, cseq: u32, contact: &str) -> Result<(), RegisterError> {
    bind_at(store, user, cseq, contact, "").await
}

async fn bind_at(
    store: &Redis,
    user: &str,
    cseq: u32,
    contact: &str,
    node: &str,
) -> Result<(), RegisterError> {
    let request = request(user, cseq, contact);
    let read = Register::read(&request).unwrap().held_by(node);
    register(store, &Registrar::default(), &read, now(), 0).await.map(drop)
}

fn uris<'a>(bindings: impl IntoIterator<Item = &'a Binding>) -> Vec<String> {
    bindings.into_iter().map(|binding| binding.uri().unwrap().to_string()).collect()
}

async fn found(store: &Redis, user: &str) -> Result<Vec<String>, StoreError> {
    Ok(uris(store.lookup(&aor(user)).await?.bindings.iter()))
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn told(watch: &mut Watch) -> Watched {
    timeout(PATIENCE, watch.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_one_node_commits_is_looked_up_by_another_without_asking() {
    let mut server = Server::start();
    let (a, b) =
        (node(&server, RedisConfig::default()).await, node(&server, RedisConfig::default()).await);
    let mut watch = b.watch();
    assert_eq!(found(&b, "bob").await, Ok(vec![]));
    bind(&a, "bob", 1, "<sip:bob@1>").await.unwrap();
    assert_eq!(told(&mut watch).await, Watched::Changed(aor("bob")));
    assert_eq!(found(&b, "bob").await.unwrap(), ["sip:bob@1"]);
    bind(&a, "bob", 2, "<sip:bob@2>").await.unwrap();
    assert_eq!(told(&mut watch).await, Watched::Changed(aor("bob")));
    assert_eq!(found(&b, "bob").await.unwrap(), ["sip:bob@1", "sip:bob@2"]);
    // Both know it now, each by itself: what it has committed, and what it has looked up.
    server.kill();
    for store in [&a, &b] {
        assert_eq!(found(store, "bob").await.unwrap(), ["sip:bob@1", "sip:bob@2"]);
    }
}

#[tokio::test]
async fn a_commit_is_by_version_and_the_last_removal_removes_the_key() {
    let server = Server::start();
    let store = node(&server, RedisConfig::default()).await;
    bind(&store, "bob", 1, "<sip:bob@1>").await.unwrap();
    let located = store.load(&aor("bob")).await.unwrap();
    let bindings = located.bindings.to_vec();
    assert_eq!(
        store.commit(&aor("bob"), bindings.clone(), Version::NONE).await,
        Ok(Commit::Conflict)
    );
    let Ok(Commit::Done(next)) = store.commit(&aor("bob"), bindings.clone(), located.version).await
    else {
        panic!("nobody else is here")
    };
    assert!(next > located.version);
    let gone = store.commit(&aor("bob"), Vec::new(), next).await;
    assert_eq!(gone, Ok(Commit::Done(Version::NONE)));
    assert_eq!(keys(&server), 0);
    assert_eq!(store.commit(&aor("bob"), bindings, next).await, Ok(Commit::Conflict));
    // What ends is forgotten by Redis.
    let request = request("bob", 2, "<sip:bob@1>");
    let change = Registrar::default().apply(
        &[],
        &Register::read(&request).unwrap(),
        now() - Duration::from_secs(7199),
        0,
    );
    assert!(matches!(
        store.commit(&aor("bob"), change.unwrap().bindings, Version::NONE).await,
        Ok(Commit::Done(_))
    ));
    until("the key ends", async || keys(&server) == 0).await;
}

/// How many there are, but for the leases.
fn keys(server: &Server) -> usize {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("sip:aor:*").query(&mut connection).unwrap();
    keys.len()
}

#[tokio::test]
async fn without_redis_lookups_answer_for_a_while_and_nothing_is_registered() {
    let mut server = Server::start();
    let patient = node(&server, RedisConfig::default()).await;
    let hasty = node(&server, RedisConfig::default().max_stale(Duration::ZERO)).await;
    bind(&patient, "bob", 1, "<sip:bob@1>").await.unwrap();
    assert_eq!(found(&hasty, "bob").await.unwrap(), ["sip:bob@1"]);
    let mut watch = patient.watch();
    server.kill();
    until("the loss is seen", async || !patient.is_connected() && !hasty.is_connected()).await;

    let begin = Instant::now();
    assert_eq!(found(&patient, "bob").await.unwrap(), ["sip:bob@1"]);
    assert_eq!(found(&patient, "alice").await, Err(StoreError::Unavailable));
    assert_eq!(found(&hasty, "bob").await, Err(StoreError::Unavailable));
    let refused = bind(&patient, "bob", 2, "<sip:bob@1>").await.unwrap_err();
    assert_eq!(refused, RegisterError::Store(StoreError::Unavailable));
    assert_eq!(StoreError::Unavailable.status(), sip_message::StatusCode::SERVICE_UNAVAILABLE);
    assert!(begin.elapsed() < Duration::from_millis(900), "nothing waits for Redis");

    server.run();
    until("all heals", async || bind(&patient, "bob", 3, "<sip:bob@2>").await.is_ok()).await;
    assert_eq!(told(&mut watch).await, Watched::Missed);
    until("all heals", async || hasty.is_connected()).await;
    assert_eq!(found(&hasty, "bob").await.unwrap(), ["sip:bob@1", "sip:bob@2"]);
}

#[tokio::test]
async fn what_changed_while_nobody_listened_is_not_taken_for_current() {
    let mut server = Server::start();
    let store = node(&server, RedisConfig::default()).await;
    bind(&store, "bob", 1, "<sip:bob@1>").await.unwrap();
    server.kill();
    until("the loss is seen", async || !store.is_connected()).await;
    server.run();
    // Somebody else is quicker.
    let other = node(&server, RedisConfig::default()).await;
    bind(&other, "bob", 2, "<sip:bob@2>").await.unwrap();
    timeout(PATIENCE, store.connected()).await.unwrap();
    assert_eq!(found(&store, "bob").await.unwrap(), ["sip:bob@1", "sip:bob@2"]);
}

#[tokio::test]
async fn the_connections_of_a_node_that_is_gone_are_not_routed_to() {
    let server = Server::start();
    let config = || RedisConfig::default().lease(Duration::from_secs(8));
    let a = node(&server, config().node("a-1")).await;
    let b = node(&server, config().node("b-1")).await;
    let watcher = node(&server, config()).await;
    bind(&a, "bob", 1, "<sip:bob@udp>").await.unwrap();
    bind_at(&a, "bob", 2, "<sip:bob@tcp>", "a-1").await.unwrap();
    bind_at(&b, "bob", 3, "<sip:bob@tls>", "b-1").await.unwrap();
    let reachable = async || {
        let located = watcher.lookup(&aor("bob")).await.unwrap();
        uris(located.reachable(now(), &watcher))
    };
    let all = ["sip:bob@udp", "sip:bob@tcp", "sip:bob@tls"];
    assert_eq!(reachable().await, all);
    // For longer than a lease: who lives renews it.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(9) {
        assert_eq!(reachable().await, all);
        sleep(Duration::from_millis(100)).await;
    }
    // One dies, and one says goodbye.
    drop(a);
    until("the lease ends", async || reachable().await == ["sip:bob@udp", "sip:bob@tls"]).await;
    b.leave().await.unwrap();
    until("the lease was given back", async || reachable().await == ["sip:bob@udp"]).await;
    assert!(b.is_alive("b-1"), "what is its own it can reach");
}

#[tokio::test]
async fn an_instance_is_found_on_any_node() {
    let server = Server::start();
    let (a, b) =
        (node(&server, RedisConfig::default()).await, node(&server, RedisConfig::default()).await);
    let phone = |user: &str| format!("<sip:{user}@1>;+sip.instance=\"<urn:uuid:00A0>\"");
    bind(&a, "bob", 1, &phone("bob")).await.unwrap();
    bind(&a, "alice", 1, &phone("alice")).await.unwrap();
    let instance = "urn:uuid:00a0";
    assert_eq!(b.of_instance(instance).await, Ok(vec![aor("alice"), aor("bob")]));
    bind(&b, "alice", 2, &format!("{};expires=0", phone("alice"))).await.unwrap();
    assert_eq!(a.of_instance(instance).await, Ok(vec![aor("bob")]));
}

#[tokio::test]
async fn commands_are_bounded_in_number() {
    let server = Server::start();
    let store = Arc::new(node(&server, RedisConfig::default().max_commands(2)).await);
    let asked: Vec<_> = (0..50)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.load(&aor(&number.to_string())).await.is_ok() })
        })
        .collect();
    let mut answered = 0;
    for asked in asked {
        answered += usize::from(asked.await.unwrap());
    }
    assert!((2..50).contains(&answered), "{answered}");
    assert!(store.load(&aor("bob")).await.is_ok());
}

#[tokio::test]
async fn what_somebody_else_has_put_there_is_an_error_and_not_a_binding() {
    let server = Server::start();
    let store = node(&server, RedisConfig::default()).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("SET").arg("sip:aor:bob@example.com").arg("nonsense").exec(&mut connection).unwrap();
    assert_eq!(found(&store, "bob").await, Err(StoreError::Unreadable));
    assert!(Redis::open("http://127.0.0.1", RedisConfig::default(), [1, 2]).is_err());
}

#[cfg(feature = "redis-tls")]
#[tokio::test]
async fn over_tls_the_certificate_of_redis_is_verified() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let issuer = || {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    };
    let ((root, issuer), (other_root, _)) = (issuer(), issuer());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let server = Server::start_with_tls(&certificate, &key.serialize_pem());
    let open = |host: &str, root: &str| {
        let url = format!("rediss://{host}:{}/", server.port());
        let config = RedisConfig::default().roots(root.as_bytes());
        Redis::open(&url, config, [1, 2])
    };
    let store = open("localhost", &root).unwrap();
    timeout(PATIENCE, store.connected()).await.unwrap();
    bind(&store, "bob", 1, "<sip:bob@1>").await.unwrap();
    assert_eq!(uris(store.load(&aor("bob")).await.unwrap().bindings.iter()), ["sip:bob@1"]);
    // Neither one of another issuer, nor one for another name, nor a connection without TLS.
    let strangers = [open("localhost", &other_root), open("127.0.0.1", &root)];
    let plain = Redis::open(&server.url(), RedisConfig::default(), [1, 2]);
    for store in strangers.into_iter().chain([plain]) {
        let store = store.unwrap();
        sleep(Duration::from_millis(500)).await;
        assert!(!store.is_connected());
        assert_eq!(found(&store, "bob").await, Err(StoreError::Unavailable));
    }
    assert!(open("localhost", "no certificate").is_err());
}
