//! Any text as a challenge, as credentials and as an Authentication-Info: through client and server.
//!
//! The first byte picks which; what follows is the value of the header field.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sip_auth::{
    Algorithm, Arrival, Authenticator, Authority, Checked, Credentials, NonceKey, Qop, Secret,
    UsedNonces,
};
use sip_message::{HeaderName, Limits, Message, Method, Request, Response, StatusCode};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((&first, value)) = data.split_first() else { return };
    match first % 3 {
        0 => challenged(value),
        1 => claimed(value),
        _ => confirmed(value),
    }
});

fn request() -> Request {
    let uri = "sip:bob@biloxi.com".parse().expect("a URI");
    Request::builder(Method::Message, &uri)
        .raw(HeaderName::From, "<sip:alice@biloxi.com>;tag=a")
        .raw(HeaderName::To, "<sip:bob@biloxi.com>")
        .raw(HeaderName::CallId, "1")
        .raw(HeaderName::CSeq, "1 MESSAGE")
        .build()
        .expect("a request")
}

fn response(status: StatusCode, name: HeaderName<'_>, value: &[u8]) -> Option<Response> {
    let mut response = Response::to_request(&request(), status).build().ok()?;
    response.headers_mut().push_raw(name, value).ok()?;
    Some(response)
}

fn bob() -> [Credentials; 1] {
    [Credentials::new("bob", "zanzibar")]
}

fn authority() -> Authority {
    let key = NonceKey::new(&[7; 32]).expect("long enough");
    Authority::server("biloxi.com", key)
        .expect("a realm")
        .algorithms(Algorithm::ALL)
        .qop([Qop::Auth, Qop::AuthInt])
        .offer_userhash()
}

/// What answers any challenge is a message still, and grows no further than its limits let it.
fn challenged(value: &[u8]) {
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        let Some(response) = response(StatusCode::UNAUTHORIZED, name, value) else { return };
        let mut client = Authenticator::default();
        if client.challenged(&response, &bob()).is_err() {
            continue;
        }
        let mut request = request();
        client.authorize(&mut request, &bob(), || 7);
        let mut limits = Limits::default();
        limits.message_bytes = 1 << 20;
        limits.head_bytes = 1 << 20;
        limits.header_bytes = 1 << 20;
        let again = Message::parse(request.to_bytes(), &limits).expect("a message");
        let Message::Request(again) = again else { panic!("a request") };
        assert_eq!(again.headers().iter().count(), request.headers().iter().count());
        let shown =
            again.get_all::<sip_message::Authorization>().map(|a| a.expect("credentials").0);
        let proxy = again.get_all::<sip_message::ProxyAuthorization>();
        let mut all = shown.chain(proxy.map(|a| a.expect("credentials").0));
        let one = all.next().expect("an answer");
        assert!(one.is_digest() && one.response().is_some() && all.next().is_none());
        // The same challenge again: refused, whatever it says.
        assert!(client.challenged(&response, &bob()).is_err());
    }
}

/// Nobody gets in without the secret. Where the text says `@`, it holds a nonce of ours: so what comes
/// behind the nonce is reached.
fn claimed(value: &[u8]) {
    let authority = authority();
    let mut request = request();
    let arrival = Arrival { request: &request, source: b"", now: NOW };
    let answer = authority.answer(&sip_auth::Refusal::NoCredentials, &arrival, 7);
    let md5 =
        answer.challenges.iter().find(|challenge| challenge.algorithm().as_deref() == Some("MD5"));
    let nonce = md5.and_then(|md5| Some(md5.nonce()?.into_owned())).expect("a nonce");
    let mut text = Vec::new();
    for byte in value {
        match byte {
            b'@' => text.extend_from_slice(nonce.as_bytes()),
            other => text.push(*other),
        }
    }
    if request.headers_mut().push_raw(HeaderName::Authorization, &text).is_err() {
        return;
    }
    let arrival = Arrival { request: &request, source: b"", now: NOW };
    match authority.check(&arrival) {
        Ok(Checked::Claimed(claim)) => {
            assert!(claim.uri().len() < 4096);
            let mut used = UsedNonces::new(1, Duration::ZERO);
            // 32 bytes that no input holds.
            let proof = claim.verify(&Secret::password("0c1d7b9a5e3f48261b0d9c7e5a3f1826"));
            assert!(proof.and_then(|proof| proof.record(&mut used, NOW)).is_err());
        }
        Ok(Checked::Exempt) => panic!("a MESSAGE is not exempt"),
        Err(refusal) => {
            let answer = authority.answer(&refusal, &arrival, 7);
            assert_eq!(answer.status == StatusCode::BAD_REQUEST, answer.challenges.is_empty());
        }
    }
}

/// No proof is right by chance, and the next request can still be written.
fn confirmed(value: &[u8]) {
    let challenge = b"Digest realm=\"biloxi.com\", nonce=\"1\", qop=\"auth\"";
    let challenge = response(StatusCode::UNAUTHORIZED, HeaderName::WwwAuthenticate, challenge);
    let mut client = Authenticator::default();
    client.challenged(&challenge.expect("a response"), &bob()).expect("a challenge");
    client.authorize(&mut request(), &bob(), || 7);
    let Some(ok) = response(StatusCode::OK, HeaderName::AuthenticationInfo, value) else { return };
    assert_ne!(client.confirmed(&ok, &bob()), Ok(sip_auth::Confirmation::Proven));
    let mut request = request();
    client.authorize(&mut request, &bob(), || 8);
    assert!(request.get::<sip_message::Authorization>().expect("credentials").is_some());
}
