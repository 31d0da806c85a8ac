//! Who may register and call, and as whom.

use sip_auth::Credentials;
use sip_message::{StatusCode, Transport, Uri};
use sip_proxy::Server;
use sip_ua::{Account, EndReason, RegisterError, RegistrationFailure, UserAgent};

use crate::{SDP, at, builder, phone, registered, user, within};

/// A user agent that says to be `identity` and knows the secret of `name`.
async fn pretender(server: &Server, identity: &str, name: &str) -> UserAgent {
    let account = Account::new(identity.parse().unwrap())
        .credentials(Credentials::new(name, format!("{name}'s secret")))
        .outbound_proxy(at(server, Transport::Udp));
    let builder = UserAgent::builder().listen("udp:127.0.0.1:0".parse().unwrap());
    builder.account(account).start().await.unwrap()
}

async fn registers(phone: &UserAgent) -> Result<(), RegistrationFailure> {
    match phone.register().await {
        Ok(_) => Ok(()),
        Err(RegisterError::Failed(failure)) => Err(failure),
        Err(other) => panic!("{other}"),
    }
}

async fn told(phone: &UserAgent, to: Uri<'static>) -> u16 {
    phone.message(to, "hello").send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_registration_needs_its_users_own_secret() {
    within(async {
        let server = builder().start().await.unwrap();
        let wrong = phone(&server, "alice", "a guess", Transport::Udp).await;
        assert!(matches!(registers(&wrong).await, Err(RegistrationFailure::Authentication(_))));
        // RFC 3261 §10.3 step 4: bob is who he says, and may not register alice.
        let bob = pretender(&server, "sip:alice@example.com", "bob").await;
        let forbidden = RegistrationFailure::Status(StatusCode::FORBIDDEN);
        assert_eq!(registers(&bob).await, Err(forbidden));
        // RFC 3261 §10.3 step 5: nobody lives there.
        let elsewhere = Account::new("sip:alice@example.net".parse().unwrap())
            .registrar("sip:example.com".parse().unwrap())
            .outbound_proxy(at(&server, Transport::Udp));
        let listen = UserAgent::builder().listen("udp:127.0.0.1:0".parse().unwrap());
        let elsewhere = listen.account(elsewhere).start().await.unwrap();
        let missing = RegistrationFailure::Status(StatusCode::NOT_FOUND);
        assert_eq!(registers(&elsewhere).await, Err(missing));
    })
    .await;
}

#[tokio::test]
async fn a_user_calls_by_its_own_name() {
    within(async {
        let server = builder().start().await.unwrap();
        let (bob, _of_bob) = registered(&server, "bob", Transport::Udp).await;
        let wrong = phone(&server, "alice", "a guess", Transport::Udp).await;
        let mut calling = wrong.call(user("bob")).offer(SDP).start().await.unwrap();
        match calling.ended().await {
            EndReason::Rejected(response) => {
                assert_eq!(response.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED);
            }
            other => panic!("{other:?}"),
        }
        let as_alice = pretender(&server, "sip:alice@example.com", "carol").await;
        assert_eq!(told(&as_alice, user("bob")).await, 403);
        drop(bob);
    })
    .await;
}

#[tokio::test]
async fn strangers_reach_users_and_nobody_else() {
    within(async {
        let server = builder().start().await.unwrap();
        let stranger = pretender(&server, "sip:eve@example.net", "eve").await;
        assert_eq!(told(&stranger, user("carol")).await, 480);
        let elsewhere = "sip:victim@192.0.2.9".parse().unwrap();
        assert_eq!(told(&stranger, elsewhere).await, 403);
    })
    .await;
}
