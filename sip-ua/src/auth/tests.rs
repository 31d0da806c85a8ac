use super::*;

use bytes::Bytes;
use sip_message::{Limits, Message, Method};

const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";

fn response(status: u16, challenges: &[&str]) -> Response {
    let mut text = format!("SIP/2.0 {status} No\r\n");
    for challenge in challenges {
        text += &format!("{challenge}\r\n");
    }
    text += "CSeq: 1 REGISTER\r\n\r\n";
    Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_response().unwrap()
}

fn www(parameters: &str) -> String {
    format!("WWW-Authenticate: Digest {parameters}")
}

fn request() -> Request {
    Request::builder(Method::Register, &"sip:biloxi.com".parse().unwrap())
        .raw(HeaderName::From, "<sip:bob@biloxi.com>;tag=1")
        .raw(HeaderName::To, "<sip:bob@biloxi.com>")
        .raw(HeaderName::CallId, "1")
        .raw(HeaderName::CSeq, "2 REGISTER")
        .build()
        .unwrap()
}

fn bob() -> Vec<Credentials> {
    vec![Credentials::new("bob", "zanzibar")]
}

/// A request authorized with draws of `cnonce`.
fn authorized(authenticator: &mut Authenticator, credentials: &[Credentials]) -> Request {
    let mut request = request();
    authenticator.authorize(&mut request, credentials, || 0x0a4f_113b);
    // What goes out must come in again.
    let parsed = Message::parse(request.to_bytes(), &Limits::default()).unwrap();
    parsed.into_request().unwrap()
}

/// The parameter of the only Authorization header field.
fn param(request: &Request, name: &str) -> Option<String> {
    let header = request.get::<sip_message::Authorization>().unwrap().unwrap();
    assert_eq!(request.headers().raw_all(HeaderName::Authorization).count(), 1);
    header.param(name).map(|param| String::from_utf8_lossy(param.raw_value()).into_owned())
}

/// The example of RFC 2617 §3.5, carried over to SIP: every parameter in its form.
#[test]
fn the_answer_to_a_challenge() {
    let mut authenticator = Authenticator::default();
    let challenge = www(&format!(
        "realm=\"biloxi.com\", qop=\"auth,auth-int\", nonce=\"{NONCE}\", opaque=\"5ccc069c\""
    ));
    assert_eq!(authenticator.challenged(&response(401, &[&challenge]), &bob()), Ok(()));
    let request = authorized(&mut authenticator, &bob());

    let hash = |text: &str| {
        use sha2::Digest;
        md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ha1 = hash("bob:biloxi.com:zanzibar");
    let ha2 = hash("REGISTER:sip:biloxi.com");
    let expected = hash(&format!("{ha1}:{NONCE}:00000001:000000000a4f113b:auth:{ha2}"));
    assert_eq!(
        core::str::from_utf8(request.raw(HeaderName::Authorization).unwrap()).unwrap(),
        format!(
            "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"{NONCE}\", \
             uri=\"sip:biloxi.com\", response=\"{expected}\", qop=auth, nc=00000001, \
             cnonce=\"000000000a4f113b\", opaque=\"5ccc069c\""
        )
    );
    assert_eq!(request.raw(HeaderName::ProxyAuthorization), None);
}

#[test]
fn nothing_is_added_before_a_challenge() {
    let request = authorized(&mut Authenticator::default(), &bob());
    assert_eq!(request.raw(HeaderName::Authorization), None);
}

/// RFC 2069: no qop, so no nc and no cnonce.
#[test]
fn a_server_that_knows_no_qop() {
    let mut authenticator = Authenticator::default();
    let challenge = www(&format!("realm=\"r\", nonce=\"{NONCE}\""));
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    for absent in ["qop", "nc", "cnonce", "algorithm", "opaque"] {
        assert_eq!(param(&request, absent), None, "{absent}");
    }
    assert_eq!(param(&request, "response").unwrap().len(), 34);
}

#[test]
fn the_nonce_count_goes_up_and_begins_anew_with_the_nonce() {
    let mut authenticator = Authenticator::default();
    let first = www("realm=\"r\", nonce=\"1\", qop=\"auth\"");
    authenticator.challenged(&response(401, &[&first]), &bob()).unwrap();
    for nc in ["00000001", "00000002", "00000003"] {
        let request = authorized(&mut authenticator, &bob());
        assert_eq!(param(&request, "nc").unwrap(), nc);
        assert_eq!(param(&request, "nonce").unwrap(), "\"1\"");
    }
    let second = www("realm=\"r\", nonce=\"2\", qop=\"auth\", stale=TRUE");
    authenticator.challenged(&response(401, &[&second]), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    assert_eq!(param(&request, "nc").unwrap(), "00000001");
    assert_eq!(param(&request, "nonce").unwrap(), "\"2\"");
}

/// RFC 8760 §2.4: the topmost that is known.
#[test]
fn the_first_known_algorithm_of_a_realm_is_taken() {
    for (order, expected) in [
        (["SHA-256", "MD5"], "SHA-256"),
        (["MD5", "SHA-256"], "MD5"),
        (["SHA3-999", "sha-256-SESS"], "SHA-256-sess"),
        (["AKAv1-MD5", "MD5"], "MD5"),
    ] {
        let lines = order.map(|algorithm| {
            www(&format!("realm=\"r\", nonce=\"1\", qop=\"auth\", algorithm={algorithm}"))
        });
        let mut authenticator = Authenticator::default();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        authenticator.challenged(&response(401, &lines), &bob()).unwrap();
        let request = authorized(&mut authenticator, &bob());
        assert_eq!(param(&request, "algorithm").unwrap(), expected);
    }
}

#[test]
fn challenges_that_are_not_understood() {
    for (challenge, error) in [
        ("Subject: none", AuthError::NoChallenge),
        ("WWW-Authenticate: Basic realm=\"r\"", AuthError::Unsupported),
        ("WWW-Authenticate: Digest realm=\"r\"", AuthError::Unsupported),
        ("WWW-Authenticate: Digest nonce=\"n\"", AuthError::Unsupported),
        ("WWW-Authenticate: Digest", AuthError::Unsupported),
        ("WWW-Authenticate: \"", AuthError::Unsupported),
        (
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"token\"",
            AuthError::Unsupported,
        ),
        ("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=X", AuthError::Unsupported),
        // `-sess` wants a cnonce, which wants a qop.
        (
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess",
            AuthError::Unsupported,
        ),
    ] {
        let mut authenticator = Authenticator::default();
        let result = authenticator.challenged(&response(401, &[challenge]), &bob());
        assert_eq!(result, Err(error), "{challenge}");
        assert!(authenticator.answering.is_empty());
    }
}

#[test]
fn integrity_protection_where_nothing_else_is_offered() {
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"r\", nonce=\"1\", qop=auth-int");
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    assert_eq!(param(&authorized(&mut authenticator, &bob()), "qop").unwrap(), "auth-int");
}

/// RFC 3261 §22.3: servers and proxies, several realms, in one response and in several.
#[test]
fn several_realms_are_answered_at_once() {
    let credentials = [
        Credentials::new("any", "x"),
        Credentials::new("alice", "a").for_realm("atlanta.com"),
        Credentials::new("bob", "b").for_realm("biloxi.com"),
    ];
    let mut authenticator = Authenticator::default();
    let server = www("realm=\"biloxi.com\", nonce=\"1\", qop=\"auth\"");
    authenticator
        .challenged(
            &response(
                407,
                &[
                    "Proxy-Authenticate: Digest realm=\"atlanta.com\", nonce=\"2\"",
                    &server,
                    "Proxy-Authenticate: Digest realm=\"other.com\", nonce=\"3\"",
                ],
            ),
            &credentials,
        )
        .unwrap();
    let request = authorized(&mut authenticator, &credentials);
    assert_eq!(param(&request, "username").unwrap(), "\"bob\"");
    let proxies: Vec<String> = request
        .headers()
        .raw_all(HeaderName::ProxyAuthorization)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!(proxies.len(), 2);
    assert!(
        proxies[0].starts_with("Digest username=\"alice\", realm=\"atlanta.com\", nonce=\"2\"")
    );
    assert!(proxies[1].starts_with("Digest username=\"any\", realm=\"other.com\", nonce=\"3\""));

    // A further proxy, in a further 407: the others are still answered, their counts go on.
    let more = "Proxy-Authenticate: Digest realm=\"biloxi.com\", nonce=\"9\"";
    authenticator.challenged(&response(407, &[more]), &credentials).unwrap();
    let request = authorized(&mut authenticator, &credentials);
    assert_eq!(param(&request, "nc").unwrap(), "00000002");
    assert_eq!(request.headers().raw_all(HeaderName::ProxyAuthorization).count(), 3);
}

/// RFC 3261 §22.3: two proxies of one realm that a fork reached.
#[test]
fn equal_realms_with_unlike_nonces_are_each_answered() {
    let mut authenticator = Authenticator::default();
    let lines = [
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"1\"",
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"2\"",
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"2\"",
    ];
    authenticator.challenged(&response(407, &lines), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    assert_eq!(request.headers().raw_all(HeaderName::ProxyAuthorization).count(), 2);
}

#[test]
fn no_credentials_for_the_realm() {
    let only = [Credentials::new("alice", "a").for_realm("atlanta.com")];
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"bil\\\"oxi\", nonce=\"1\"");
    assert_eq!(
        authenticator.challenged(&response(401, &[&challenge]), &only),
        Err(AuthError::NoCredentials { realm: "bil\"oxi".into() })
    );
    assert_eq!(
        authenticator.challenged(&response(401, &[&challenge]), &[]),
        Err(AuthError::NoCredentials { realm: "bil\"oxi".into() })
    );
    // One of two can be answered: that one is.
    let other = www("realm=\"atlanta.com\", nonce=\"2\"");
    authenticator.challenged(&response(401, &[&challenge, &other]), &only).unwrap();
    assert_eq!(param(&authorized(&mut authenticator, &only), "username").unwrap(), "\"alice\"");
}

#[test]
fn refused_credentials_are_not_offered_again() {
    for (second, why) in [
        ("realm=\"r\", nonce=\"1\", qop=\"auth\"", "the same nonce"),
        ("realm=\"r\", nonce=\"1\", qop=\"auth\", stale=true", "the same nonce, called stale"),
        ("realm=\"r\", nonce=\"2\", qop=\"auth\"", "a new nonce, not stale"),
        ("realm=\"r\", nonce=\"2\", qop=\"auth\", stale=false", "a new nonce, not stale"),
    ] {
        let mut authenticator = Authenticator::default();
        let first = www("realm=\"r\", nonce=\"1\", qop=\"auth\"");
        authenticator.challenged(&response(401, &[&first]), &bob()).unwrap();
        authorized(&mut authenticator, &bob());
        assert_eq!(
            authenticator.challenged(&response(401, &[&www(second)]), &bob()),
            Err(AuthError::Refused { realm: "r".into() }),
            "{why}"
        );
    }
}

#[test]
fn a_nonce_that_was_of_use_may_run_out_unannounced() {
    let mut authenticator = Authenticator::default();
    authenticator.challenged(&response(401, &[&www("realm=\"r\", nonce=\"1\"")]), &bob()).unwrap();
    authorized(&mut authenticator, &bob());
    authorized(&mut authenticator, &bob());
    let second = response(401, &[&www("realm=\"r\", nonce=\"2\"")]);
    assert_eq!(authenticator.challenged(&second, &bob()), Ok(()));
    authorized(&mut authenticator, &bob());
    let third = response(401, &[&www("realm=\"r\", nonce=\"3\"")]);
    assert!(authenticator.challenged(&third, &bob()).is_err());
}

/// Runs against a server that challenges every request with what `next` makes of the round. How many
/// requests it gets.
fn rounds(mut next: impl FnMut(usize) -> String) -> usize {
    let mut authenticator = Authenticator::default();
    for round in 0.. {
        assert!(round < 1000, "no end");
        if authenticator.challenged(&response(401, &[&next(round)]), &bob()).is_err() {
            return round;
        }
        authorized(&mut authenticator, &bob());
    }
    unreachable!()
}

/// Whatever the server does, it comes to an end.
#[test]
fn there_is_no_loop() {
    assert_eq!(rounds(|_| www("realm=\"r\", nonce=\"1\"")), 1);
    assert_eq!(rounds(|n| www(&format!("realm=\"r\", nonce=\"{n}\""))), 1);
    let stale = |n| www(&format!("realm=\"r\", nonce=\"{n}\", stale=true"));
    assert_eq!(rounds(stale), usize::from(MAX_STALE) + 1);
    assert_eq!(rounds(|n| www(&format!("realm=\"{n}\", nonce=\"1\""))), MAX_CHALLENGES);
    let turns = |n: usize| www(&format!("realm=\"{}\", nonce=\"{n}\"", n % 2));
    assert!(rounds(turns) <= usize::from(MAX_ROUNDS));
    let turns = |n: usize| www(&format!("realm=\"{}\", nonce=\"{n}\", stale=true", n % 3));
    assert!(rounds(turns) <= usize::from(MAX_ROUNDS));
}

/// A server whose nonces serve once only: each request is challenged once, for as long as one likes.
#[test]
fn one_time_nonces_go_on_for_ever() {
    let mut authenticator = Authenticator::default();
    for round in 0..100 {
        authorized(&mut authenticator, &bob());
        let challenge = www(&format!("realm=\"r\", nonce=\"{round}\", stale=true"));
        assert_eq!(authenticator.challenged(&response(401, &[&challenge]), &bob()), Ok(()));
        authorized(&mut authenticator, &bob());
    }
}

#[test]
fn credentials_are_replaced_not_added() {
    let mut authenticator = Authenticator::default();
    authenticator.challenged(&response(401, &[&www("realm=\"r\", nonce=\"1\"")]), &bob()).unwrap();
    let mut request = request();
    for _ in 0..2 {
        authenticator.authorize(&mut request, &bob(), || 1);
        assert_eq!(request.headers().raw_all(HeaderName::Authorization).count(), 1);
    }
}

#[test]
fn odd_characters_stay_inside_their_quotes() {
    let odd = [Credentials::new("b\"o\\b\r\nX: y", "p\"w")];
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"a \\\"b\\\\ c\", nonce=\"n,=;\"");
    authenticator.challenged(&response(401, &[&challenge]), &odd).unwrap();
    let request = authorized(&mut authenticator, &odd);
    assert_eq!(param(&request, "username").unwrap(), r#""b\"o\\bX: y""#);
    assert_eq!(param(&request, "realm").unwrap(), r#""a \"b\\ c""#);
    assert_eq!(param(&request, "nonce").unwrap(), r#""n,=;""#);
}

#[test]
fn secrets_are_not_in_errors() {
    let mut authenticator = Authenticator::default();
    authenticator.challenged(&response(401, &[&www("realm=\"r\", nonce=\"1\"")]), &bob()).unwrap();
    authorized(&mut authenticator, &bob());
    let error = authenticator
        .challenged(&response(401, &[&www("realm=\"r\", nonce=\"1\"")]), &bob())
        .unwrap_err();
    assert_eq!(error.to_string(), "the realm \"r\" refused the credentials");
    assert!(!format!("{authenticator:?}").contains("zanzibar"));
}
