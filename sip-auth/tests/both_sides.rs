//! Client against server: every algorithm, quality and session, through parsed messages.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what panics here is a failed test"
)]

use std::time::Duration;

use proptest::prelude::*;
use sip_auth::{
    Algorithm, Arrival, Authenticator, Authority, Checked, Confirmation, Credentials, Ha1,
    NonceKey, Qop, Refusal, Secret, Use, UsedNonces,
};
use sip_message::{Authorization, Header, HeaderName, Limits, Message, Request, Response};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn request(body: &[u8]) -> Request {
    let mut text = format!(
        "MESSAGE sip:bob@biloxi.com SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    Message::parse(text.into(), &Limits::default()).unwrap().into_request().unwrap()
}

fn response(
    status: u16,
    fields: impl IntoIterator<Item = (HeaderName<'static>, String)>,
) -> Response {
    let mut text = format!("SIP/2.0 {status} x\r\nCSeq: 1 MESSAGE\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    Message::parse((text + "\r\n").into(), &Limits::default()).unwrap().into_response().unwrap()
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(&Algorithm::ALL[1..])
}

fn qops() -> impl Strategy<Value = Vec<Qop>> {
    prop::sample::select(vec![vec![Qop::Auth], vec![Qop::AuthInt], vec![Qop::AuthInt, Qop::Auth]])
}

proptest! {
    #[test]
    fn the_right_secret_opens_and_no_other(
        algorithms in prop::collection::vec(algorithm(), 1..4),
        qops in qops(),
        careful: bool,
        hidden: bool,
        proxy: bool,
        kept_as_ha1: bool,
        realm in "[^\\p{C}]{1,20}",
        username in "[^\\p{C}]{1,20}|\\PC{0,5}[\\r\\n]",
        password in ".{0,20}",
        body in prop::collection::vec(any::<u8>(), 0..50),
        random: u64,
    ) {
        let key = NonceKey::new(&[3; 40]).unwrap();
        let authority = if proxy { Authority::proxy(&*realm, key) } else { Authority::server(&*realm, key) };
        let mut authority = authority.unwrap().algorithms(algorithms).qop(qops);
        if hidden {
            authority = authority.offer_userhash();
        }
        let mut credentials = Credentials::new(&*username, &*password);
        if careful {
            credentials = credentials.prefer_integrity();
        }
        let credentials = [credentials];
        let mut used = UsedNonces::new(10, Duration::ZERO);

        let plain = request(&body);
        let arrival = Arrival { request: &plain, source: b"", now: NOW };
        let refusal = authority.check(&arrival).unwrap_err();
        prop_assert_eq!(refusal, Refusal::NoCredentials);
        let answer = authority.answer(&refusal, &arrival, random);
        let mut client = Authenticator::default();
        client.challenged(&response(answer.status.as_u16(), answer.fields()), &credentials).unwrap();

        for _ in 0..3 {
            let mut request = request(&body);
            client.authorize(&mut request, &credentials, || random);
            let request = Message::parse(request.to_bytes(), &Limits::default()).unwrap();
            let request = request.into_request().unwrap();
            let arrival = Arrival { request: &request, source: b"", now: NOW };
            let Checked::Claimed(claim) = authority.check(&arrival).unwrap() else { panic!() };
            prop_assert!(claim.is_user(&username));
            let claim = claim.named(&username).unwrap();
            prop_assert_eq!(claim.username(), Some(&*username));
            let wrong = claim.clone().verify(&Secret::password(format!("{password}x")));
            prop_assert!(wrong.is_err());
            let secret = if kept_as_ha1 {
                Secret::from(Ha1::new(claim.algorithm().hash(), &username, &realm, &password))
            } else {
                Secret::password(&*password)
            };
            let proof = claim.verify(&secret).unwrap();
            prop_assert_eq!(proof.clone().record(&mut used, NOW).map(|_| ()), Ok(()));
            prop_assert_eq!(proof.clone().record(&mut used, NOW).map(|_| ()), Err(Refusal::Repeated));
            let known = proof.settle(Use::First).unwrap();
            let info = authority.info(&known, b"", None);
            prop_assert_eq!(info.is_none(), proxy);
            if let Some(info) = info {
                let ok = response(200, [(HeaderName::AuthenticationInfo, info.to_string())]);
                prop_assert_eq!(client.confirmed(&ok, &credentials), Ok(Confirmation::Proven));
                let other = [Credentials::new(&*username, format!("{password}x"))];
                prop_assert!(client.confirmed(&ok, &other).is_err());
            }
        }
    }

    /// Whatever letter is changed in an answer: if it still opens, it says the same.
    #[test]
    fn a_changed_answer_opens_nothing(algorithm in algorithm(), at: prop::sample::Index, byte in 0x20_u8..0x7f) {
        let authority = Authority::server("r", NonceKey::new(&[3; 32]).unwrap()).unwrap();
        let authority = authority.algorithms([algorithm]);
        let bob = [Credentials::new("bob", "zanzibar")];
        let plain = request(b"");
        let arrival = Arrival { request: &plain, source: b"", now: NOW };
        let answer = authority.answer(&Refusal::NoCredentials, &arrival, 7);
        let mut client = Authenticator::default();
        client.challenged(&response(401, answer.fields()), &bob).unwrap();
        let mut sent = plain.clone();
        client.authorize(&mut sent, &bob, || 7);
        let value = sent.raw(HeaderName::Authorization).unwrap().to_vec();
        let mut other = value.clone();
        other[at.index(value.len())] = byte;
        let mut sent = plain.clone();
        if sent.headers_mut().push_raw(HeaderName::Authorization, &other).is_err() {
            return Ok(());
        }
        let arrival = Arrival { request: &sent, source: b"", now: NOW };
        if let Ok(Checked::Claimed(claim)) = authority.check(&arrival)
            && let Ok(proof) = claim.verify(&Secret::password("zanzibar"))
        {
            let known = proof.settle(Use::First).unwrap();
            prop_assert_eq!(known.claim().username(), Some("bob"));
            let (was, is) = (Authorization::parse(&value).unwrap(), Authorization::parse(&other).unwrap());
            for name in ["username", "realm", "nonce", "uri", "cnonce"] {
                let of = |shown: &Authorization<'_>| shown.param(name).map(|param| param.value().into_owned());
                prop_assert_eq!(of(&was), of(&is), "{}", name);
            }
            // Hexadecimal digits and names of qualities in any case.
            for name in ["response", "qop", "nc"] {
                let of = |shown: &Authorization<'_>| shown.param(name).map(|param| param.value().to_lowercase());
                prop_assert_eq!(of(&was), of(&is), "{}", name);
            }
        }
    }
}
