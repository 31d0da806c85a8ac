//! A client over WebSocket, which takes no connections, as a browser takes none.

use sip_message::{HeaderName, StatusCode};
use sip_ua::{Account, EndReason, UserAgent};

use crate::calls::converse;
use crate::{at_rest, established, invitation, ua, uri, within};

/// Without a listener of its own for WebSocket.
async fn client() -> UserAgent {
    let account = Account::new("sip:alice@example.com".parse().unwrap());
    UserAgent::builder().account(account).start().await.unwrap()
}

#[tokio::test]
async fn a_conversation_goes_both_ways_over_the_connection_of_the_client() {
    within(async {
        let [alice, bob] = converse(client().await, ua("bob", "ws:127.0.0.1:0").await).await;
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn the_server_hangs_up_a_client_that_names_no_address() {
    within(async {
        let (alice, bob) = (client().await, ua("bob", "ws:127.0.0.1:0").await);
        let (mut calling, mut called) = established(&alice, &bob).await;
        called.hang_up();
        assert!(matches!(called.ended().await, EndReason::Local));
        assert!(matches!(calling.ended().await, EndReason::Remote));
    })
    .await;
}

#[tokio::test]
async fn a_client_names_itself_under_invalid() {
    within(async {
        let (alice, bob) = (client().await, ua("bob", "ws:127.0.0.1:0").await);
        let _calling = alice.call(uri(&bob)).start().await.unwrap();
        let invitation = invitation(&bob).await;
        let raw = |name| {
            let value = invitation.request().headers().raw(name).unwrap();
            String::from_utf8(value.to_vec()).unwrap()
        };
        let via = raw(HeaderName::Via);
        assert!(via.starts_with("SIP/2.0/WS ") && via.contains(".invalid;"), "{via}");
        let contact = raw(HeaderName::Contact);
        assert!(contact.ends_with(".invalid;transport=ws>"), "{contact}");
        // What anybody else makes of it: nothing, and at once.
        let to = contact.trim_matches(['<', '>']).parse().unwrap();
        bob.options(to).send().await.unwrap_err();
        invitation.reject(StatusCode::BUSY_HERE).await.unwrap();
    })
    .await;
}
