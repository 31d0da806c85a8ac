//! Against a registrar made of our own parts: a user agent that takes REGISTER as any other request.

use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use sip_message::{HeaderName, Method, Request, StatusCode, Uri};
use sip_ua::{
    Account, AgentConfig, Credentials, Incoming, IncomingRequest, RegisterError, RegistrationEvent,
    RegistrationFailure, UserAgent,
};

use crate::{at_rest, builder, ua, uri, within};

const REALM: &str = "example.com";
const NONCE: &str = "8a1f";

async fn registrar() -> UserAgent {
    let config = AgentConfig::default().methods(vec![Method::Register]);
    builder("registrar", "udp:127.0.0.1:0").config(config).start().await.unwrap()
}

fn account(registrar: &UserAgent) -> Account {
    Account::new("sip:alice@example.com".parse::<Uri<'static>>().unwrap())
        .registrar(uri(registrar))
        .credentials(Credentials::new("alice", "secret"))
        .expires(Duration::from_secs(600))
}

async fn register(registrar: &UserAgent) -> IncomingRequest {
    match registrar.incoming().await {
        Some(Incoming::Request(request)) => {
            assert_eq!(*request.method(), Method::Register);
            request
        }
        other => panic!("no REGISTER: {other:?}"),
    }
}

fn raw(request: &Request, name: HeaderName<'_>) -> String {
    let value = request.headers().raw(name).unwrap_or_else(|| panic!("no {}", name.as_str()));
    String::from_utf8(value.to_vec()).unwrap()
}

/// The seconds that a REGISTER asks for: of Expires, or of the parameter of Contact.
fn asked(request: &Request) -> u32 {
    if let Some(value) = request.headers().raw(HeaderName::Expires) {
        return std::str::from_utf8(value).unwrap().trim().parse().unwrap();
    }
    let contact = raw(request, HeaderName::Contact);
    contact.split("expires=").nth(1).and_then(|text| text.trim().parse().ok()).unwrap()
}

async fn challenge(request: IncomingRequest) {
    assert!(request.request().headers().raw(HeaderName::Authorization).is_none());
    let challenge =
        format!("Digest realm=\"{REALM}\", nonce=\"{NONCE}\", qop=\"auth\", algorithm=MD5");
    request
        .reply_with(StatusCode::UNAUTHORIZED, None, &[("WWW-Authenticate", &challenge)])
        .await
        .unwrap();
}

/// Takes the binding as it is asked for.
async fn accept(request: IncomingRequest) {
    let contact = raw(request.request(), HeaderName::Contact);
    let expires = asked(request.request());
    let uri = contact.split_once('>').map_or(contact.as_str(), |(uri, _)| uri);
    let contact = format!("{uri}>;expires={expires}");
    let fields: &[(&str, &str)] = if expires == 0 { &[] } else { &[("Contact", &contact)] };
    request.reply_with(StatusCode::OK, None, fields).await.unwrap();
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 2617 §3.2.2.1, worked out without the code under test.
fn assert_authorized(request: &Request, password: &str) {
    let authorization = raw(request, HeaderName::Authorization);
    let of = |name: &str| {
        let start = authorization
            .find(&format!("{name}="))
            .unwrap_or_else(|| panic!("no {name}: {authorization}"));
        let value = &authorization[start + name.len() + 1..];
        value.split([',', ' ']).next().unwrap().trim_matches('"').to_owned()
    };
    let secret = hex(&format!("alice:{REALM}:{password}"));
    let what = hex(&format!("REGISTER:{}", of("uri")));
    let expected = hex(&format!("{secret}:{NONCE}:{}:{}:auth:{what}", of("nc"), of("cnonce")));
    assert_eq!(of("response"), expected, "{authorization}");
    assert_eq!(
        (of("username"), of("realm"), of("nonce")),
        ("alice".into(), REALM.into(), NONCE.into())
    );
}

#[tokio::test]
async fn a_challenge_is_answered_and_a_drop_unregisters() {
    within(async {
        let registrar = registrar().await;
        let alice =
            builder("alice", "udp:127.0.0.1:0").account(account(&registrar)).start().await.unwrap();
        let (registration, ()) = tokio::join!(alice.register(), async {
            challenge(register(&registrar).await).await;
            let second = register(&registrar).await;
            assert_authorized(second.request(), "secret");
            assert_eq!(asked(second.request()), 600);
            accept(second).await;
        });
        let registration = registration.unwrap();
        assert!(registration.is_registered());
        drop(registration);
        let last = register(&registrar).await;
        assert_eq!(asked(last.request()), 0, "this removes the binding");
        accept(last).await;
        at_rest(&alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_brief_interval_is_made_longer_as_the_registrar_wants() {
    within(async {
        let registrar = registrar().await;
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let account = Arc::new(account(&registrar).expires(Duration::from_secs(10)));
        let mut registration = alice.registration(&account).await.unwrap();
        let brief = register(&registrar).await;
        assert_eq!(asked(brief.request()), 10);
        let too_brief = StatusCode::new(423).unwrap();
        brief.reply_with(too_brief, None, &[("Min-Expires", "90")]).await.unwrap();
        let longer = register(&registrar).await;
        assert_eq!(asked(longer.request()), 90);
        accept(longer).await;
        assert_eq!(registration.registered().await, Ok(Duration::from_secs(90)));

        let (confirmed, ()) = tokio::join!(registration.unregister(), async {
            accept(register(&registrar).await).await;
        });
        assert!(confirmed);
        at_rest(&alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_on_demand_asks_again() {
    within(async {
        let registrar = registrar().await;
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let mut registration = alice.registration(&Arc::new(account(&registrar))).await.unwrap();
        accept(register(&registrar).await).await;
        registration.registered().await.unwrap();
        registration.refresh().await.unwrap();
        accept(register(&registrar).await).await;
        registration.registered().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_a_failure_with_a_reason() {
    within(async {
        let registrar = registrar().await;
        let account = Account::new("sip:alice@example.com".parse::<Uri<'static>>().unwrap())
            .registrar(uri(&registrar))
            .credentials(Credentials::new("alice", "wrong"));
        let alice = builder("alice", "udp:127.0.0.1:0").account(account).start().await.unwrap();
        let (outcome, ()) = tokio::join!(alice.register(), async {
            challenge(register(&registrar).await).await;
            let second = register(&registrar).await;
            assert_authorized(second.request(), "wrong");
            second.reply(StatusCode::FORBIDDEN).await.unwrap();
        });
        match outcome {
            Err(RegisterError::Failed(RegistrationFailure::Status(status))) => {
                assert_eq!(status, StatusCode::FORBIDDEN);
            }
            other => panic!("{other:?}"),
        }
        at_rest(&alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_binding_may_be_left_behind_and_may_be_anothers() {
    within(async {
        let registrar = registrar().await;
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let account = account(&registrar)
            .contact("sip:phone@192.0.2.7:5070".parse::<Uri<'static>>().unwrap());
        let mut registration = alice.registration(&Arc::new(account)).await.unwrap();
        let request = register(&registrar).await;
        let contact = raw(request.request(), HeaderName::Contact);
        assert!(contact.contains("<sip:phone@192.0.2.7:5070>"), "{contact}");
        accept(request).await;
        registration.registered().await.unwrap();
        registration.leave();
        at_rest(&alice).await;
        assert!(alice.shutdown().await);
        let nothing = tokio::time::timeout(Duration::from_millis(50), registrar.incoming()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    })
    .await;
}

#[tokio::test]
async fn shutdown_unregisters() {
    within(async {
        let registrar = registrar().await;
        let alice = ua("alice", "udp:127.0.0.1:0").await;
        let mut registration = alice.registration(&Arc::new(account(&registrar))).await.unwrap();
        accept(register(&registrar).await).await;
        registration.registered().await.unwrap();
        let (in_time, ()) = tokio::join!(alice.shutdown(), async {
            let last = register(&registrar).await;
            assert_eq!(asked(last.request()), 0);
            accept(last).await;
        });
        assert!(in_time);
        let last = registration.next().await;
        assert_eq!(last, Some(RegistrationEvent::Unregistered { confirmed: true }));
    })
    .await;
}
