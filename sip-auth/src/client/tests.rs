use super::*;

use alloc::string::ToString;
use alloc::{format, vec};

use bytes::Bytes;
use sip_message::{Limits, Message, Method};

use crate::{Aka, Ha1, Hash, Secret};

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
    assert_eq!(param(&request, "username"), None);
    assert_eq!(param(&request, "username*").unwrap(), "UTF-8''b%22o%5Cb%0D%0AX%3A%20y");
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

/// What the only Authorization of a request must say for this secret, spelt out with the digest's functions.
fn expected(
    request: &Request,
    algorithm: Algorithm,
    password: &str,
    session: (&str, &str),
) -> String {
    let header = request.get::<sip_message::Authorization>().unwrap().unwrap();
    let text = |name: &str| header.param(name).map(|param| param.value().into_owned());
    let qop = text("qop").map(|qop| Qop::named(&qop).unwrap());
    let (uri, realm) = (text("uri").unwrap(), text("realm").unwrap());
    let key = digest::user_key(algorithm.hash(), "bob", &realm, password.as_bytes());
    let method = Signed::Request(request.method().as_str());
    let signed = digest::signed(algorithm, qop, method, &uri, request.body());
    let inputs = Inputs {
        algorithm,
        qop,
        nonce: &text("nonce").unwrap(),
        nc: header.nc().unwrap_or(0),
        cnonce: &text("cnonce").unwrap_or_default(),
        session,
    };
    inputs.response(&key, &signed).as_str().into()
}

/// RFC 7616 §3.4.2: the session's key is made of both nonces it began with. Servers that remember neither
/// take those at hand, so the client's stays.
#[test]
fn a_session_keeps_its_first_client_nonce() {
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"r\", nonce=\"1\", qop=\"auth\", algorithm=SHA-256-sess");
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    let mut draws = 1..;
    for nc in ["00000001", "00000002"] {
        let mut request = request();
        authenticator.authorize(&mut request, &bob(), || draws.next().unwrap());
        assert_eq!(param(&request, "cnonce").unwrap(), "\"0000000000000001\"");
        assert_eq!(param(&request, "nc").unwrap(), nc);
        let session = ("1", "0000000000000001");
        let due = expected(&request, Algorithm::SHA_256_SESS, "zanzibar", session);
        assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
    }
    // The next nonce does not end the session: its key stays.
    let ok = response(200, &["Authentication-Info: nextnonce=\"2\""]);
    assert_eq!(authenticator.confirmed(&ok, &bob()), Ok(Confirmation::Silent));
    let request = authorized(&mut authenticator, &bob());
    assert_eq!(param(&request, "nonce").unwrap(), "\"2\"");
    assert_eq!(param(&request, "nc").unwrap(), "00000001");
    let due = expected(&request, Algorithm::SHA_256_SESS, "zanzibar", ("1", "0000000000000001"));
    assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
    // A challenge does.
    let challenge = www("realm=\"r\", nonce=\"3\", qop=\"auth\", algorithm=SHA-256-sess");
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    let due = expected(&request, Algorithm::SHA_256_SESS, "zanzibar", ("3", "000000000a4f113b"));
    assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
}

#[test]
fn the_quality_that_is_preferred_among_those_offered() {
    for (offered, careful, taken) in [
        ("auth", false, Some("auth")),
        ("auth", true, Some("auth")),
        ("auth-int", false, Some("auth-int")),
        ("auth,auth-int", false, Some("auth")),
        ("auth-int, auth", true, Some("auth-int")),
        ("AUTH-INT,x", false, Some("auth-int")),
        ("", true, None),
    ] {
        let mut credentials = Credentials::new("bob", "zanzibar");
        if careful {
            credentials = credentials.prefer_integrity();
        }
        let credentials = [credentials];
        let mut authenticator = Authenticator::default();
        let challenge = www(&format!("realm=\"r\", nonce=\"1\", qop=\"{offered}\""));
        authenticator.challenged(&response(401, &[&challenge]), &credentials).unwrap();
        let request = authorized(&mut authenticator, &credentials);
        assert_eq!(param(&request, "qop").as_deref(), taken, "{offered}");
        let due = expected(&request, Algorithm::MD5, "zanzibar", ("", ""));
        assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
    }
}

/// An HA1 opens its realm with its function; others are passed over.
#[test]
fn credentials_choose_among_the_algorithms() {
    let lines = ["SHA-512-256", "SHA-256", "MD5"]
        .map(|name| www(&format!("realm=\"r\", nonce=\"{name}\", qop=\"auth\", algorithm={name}")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let ha1 = |hash| Ha1::new(hash, "bob", "r", "zanzibar");
    let take = |credentials: Credentials| {
        let mut authenticator = Authenticator::default();
        let credentials = [credentials];
        authenticator.challenged(&response(401, &lines), &credentials)?;
        let request = authorized(&mut authenticator, &credentials);
        let taken: Algorithm = param(&request, "algorithm").unwrap().parse().unwrap();
        let due = expected(&request, taken, "zanzibar", ("", ""));
        assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
        Ok(taken)
    };
    let bob = |secret: Secret| Credentials::new("bob", secret);
    assert_eq!(take(bob("zanzibar".into())), Ok(Algorithm::SHA_512_256));
    assert_eq!(take(bob(ha1(Hash::Sha256).into())), Ok(Algorithm::SHA_256));
    let both = Secret::ha1([ha1(Hash::Md5), ha1(Hash::Sha256)]);
    assert_eq!(take(bob(both.clone())), Ok(Algorithm::SHA_256));
    assert_eq!(take(bob(both.clone()).only([Algorithm::MD5])), Ok(Algorithm::MD5));
    assert_eq!(
        take(bob(both).only([Algorithm::SHA_512_256])),
        Err(AuthError::Unsupported),
        "there are credentials, but none that serve"
    );
}

/// RFC 7616 §3.9.2, with the digests that SHA-512/256 gives (see `digest/tests.rs`).
#[test]
fn hidden_usernames() {
    let jason = [Credentials::new("J\u{e4}s\u{f8}n Doe", "Secret, or not?")];
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
         nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", charset=UTF-8, userhash=true");
    authenticator.challenged(&response(401, &[&challenge]), &jason).unwrap();
    let request = authorized(&mut authenticator, &jason);
    assert_eq!(param(&request, "userhash").unwrap(), "true");
    assert_eq!(
        param(&request, "username").unwrap(),
        "\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\""
    );
    // Without, the name is sent as it is: SIP's quoted strings hold UTF-8.
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"r\", nonce=\"1\", userhash=false");
    authenticator.challenged(&response(401, &[&challenge]), &jason).unwrap();
    let request = authorized(&mut authenticator, &jason);
    assert_eq!(param(&request, "username").unwrap(), "\"J\u{e4}s\u{f8}n Doe\"");
    assert_eq!(param(&request, "userhash"), None);
}

/// RFC 7616 §3.3 removes quoting slashes before it hashes; the texts go back as they came.
#[test]
fn escapes_are_sent_back_but_not_hashed() {
    let mut authenticator = Authenticator::default();
    let challenge = www(r#"realm="a \"b\" c", nonce="n\\1", opaque="o\"p", qop="auth""#);
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    assert_eq!(param(&request, "realm").unwrap(), r#""a \"b\" c""#);
    assert_eq!(param(&request, "opaque").unwrap(), r#""o\"p""#);
    let due = expected(&request, Algorithm::MD5, "zanzibar", ("", ""));
    assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
}

/// Texts that should have had quotes: what is in them does not end ours.
#[test]
fn texts_without_quotes_stay_inside_ours() {
    let mut authenticator = Authenticator::default();
    let challenge = www(r"realm=r\, nonce=n\, opaque=o\, qop=auth");
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    let request = authorized(&mut authenticator, &bob());
    for (name, value) in [("realm", r#""r\\""#), ("nonce", r#""n\\""#), ("opaque", r#""o\\""#)] {
        assert_eq!(param(&request, name).unwrap(), value);
    }
    assert_eq!(param(&request, "qop").unwrap(), "auth");
}

fn rspauth(nonce: &str, nc: u32, qop: Qop, body: &[u8], password: &str) -> String {
    let algorithm = Algorithm::MD5;
    let key = digest::user_key(algorithm.hash(), "bob", "r", password.as_bytes());
    let signed = digest::signed(algorithm, Some(qop), Signed::Response, "sip:biloxi.com", body);
    let cnonce = "000000000a4f113b";
    let inputs = Inputs { algorithm, qop: Some(qop), nonce, nc, cnonce, session: ("", "") };
    let proof = inputs.response(&key, &signed);
    let qop = qop.name();
    format!("Authentication-Info: qop={qop}, rspauth=\"{proof}\", cnonce=\"{cnonce}\", nc={nc:08x}")
}

#[test]
fn a_server_that_proves_itself() {
    let begin = |offered: &str| {
        let mut authenticator = Authenticator::default();
        let challenge = www(&format!("realm=\"r\", nonce=\"1\", qop=\"{offered}\""));
        authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
        authorized(&mut authenticator, &bob());
        authenticator
    };
    let proof = rspauth("1", 1, Qop::Auth, b"", "zanzibar");
    let next = format!("{proof}, nextnonce=\"2\"");
    let impostor = Err(AuthError::Impostor { realm: "r".into() });
    for (offered, line, verdict) in [
        ("auth", proof.clone(), Ok(Confirmation::Proven)),
        ("auth-int", rspauth("1", 1, Qop::AuthInt, b"", "zanzibar"), Ok(Confirmation::Proven)),
        ("auth", rspauth("1", 1, Qop::AuthInt, b"", "zanzibar"), Ok(Confirmation::Proven)),
        ("auth", rspauth("1", 1, Qop::Auth, b"", "guess"), impostor.clone()),
        ("auth", proof.replace("rspauth=\"", "rspauth=\"0"), impostor.clone()),
        // Less protection than was asked for, a body that was changed, a quality that is not known.
        ("auth-int", rspauth("1", 1, Qop::Auth, b"", "zanzibar"), impostor.clone()),
        ("auth-int", rspauth("1", 1, Qop::AuthInt, b"x", "zanzibar"), impostor.clone()),
        ("auth", proof.replace("qop=auth,", "qop=x,"), impostor.clone()),
        // Of another request: nothing is said.
        ("auth", rspauth("1", 2, Qop::Auth, b"", "zanzibar"), Ok(Confirmation::Silent)),
        ("auth", proof.replace("0a4f113b", "00000000"), Ok(Confirmation::Silent)),
        ("auth", "Subject: none".into(), Ok(Confirmation::Silent)),
        ("auth", "Authentication-Info: \"".into(), Ok(Confirmation::Silent)),
        ("auth", next.clone(), Ok(Confirmation::Proven)),
    ] {
        let mut authenticator = begin(offered);
        assert_eq!(authenticator.confirmed(&response(200, &[&line]), &bob()), verdict, "{line}");
        let nonce = param(&authorized(&mut authenticator, &bob()), "nonce").unwrap();
        assert_eq!(nonce, if line == next { "\"2\"" } else { "\"1\"" }, "{line}");
    }
}

/// One-time nonces by nextnonce: no request but the first is challenged, and one that runs out unannounced
/// does not mean that the password is wrong.
#[test]
fn the_next_nonce_is_taken() {
    let mut authenticator = Authenticator::default();
    let challenge = www("realm=\"r\", nonce=\"0\", qop=\"auth\"");
    authenticator.challenged(&response(401, &[&challenge]), &bob()).unwrap();
    for n in 0..20 {
        let request = authorized(&mut authenticator, &bob());
        assert_eq!(param(&request, "nonce").unwrap(), format!("\"{n}\""));
        assert_eq!(param(&request, "nc").unwrap(), "00000001");
        let line = format!("Authentication-Info: nextnonce=\"{}\"", n + 1);
        let told = authenticator.confirmed(&response(200, &[&line]), &bob());
        assert_eq!(told, Ok(Confirmation::Silent));
    }
    authorized(&mut authenticator, &bob());
    let challenge = www("realm=\"r\", nonce=\"x\", qop=\"auth\"");
    assert_eq!(authenticator.challenged(&response(401, &[&challenge]), &bob()), Ok(()));
}

/// Which of two servers it is of cannot be told without a proof.
#[test]
fn a_next_nonce_of_one_of_two_servers_is_left() {
    let mut authenticator = Authenticator::default();
    let lines = [www("realm=\"a\", nonce=\"1\""), www("realm=\"b\", nonce=\"2\"")];
    authenticator.challenged(&response(401, &[&lines[0], &lines[1]]), &bob()).unwrap();
    authorized(&mut authenticator, &bob());
    let told = response(200, &["Authentication-Info: nextnonce=\"3\""]);
    assert_eq!(authenticator.confirmed(&told, &bob()), Ok(Confirmation::Silent));
    let mut request = request();
    authenticator.authorize(&mut request, &bob(), || 1);
    let values: Vec<_> = request.headers().raw_all(HeaderName::Authorization).collect();
    assert!(values.iter().all(|value| !String::from_utf8_lossy(value).contains("nonce=\"3\"")));
}

/// A SIM that says what it is told to, and counts.
#[derive(Debug)]
struct Sim(AkaAnswer, core::sync::atomic::AtomicU32);

impl Aka for Sim {
    fn answer(&self, challenge: &AkaChallenge) -> AkaAnswer {
        assert_eq!(challenge.to_nonce().trim_end_matches('='), AKA_NONCE.trim_end_matches('='));
        self.1.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        self.0.clone()
    }
}

/// RFC 3310 §4.
const AKA_NONCE: &str = "CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz==";

fn sim(answer: AkaAnswer) -> (alloc::sync::Arc<Sim>, Vec<Credentials>) {
    let sim = alloc::sync::Arc::new(Sim(answer, 0.into()));
    (sim.clone(), vec![Credentials::new("bob", Secret::aka(sim))])
}

#[test]
fn a_sim_answers_once_for_each_challenge() {
    let (sim, bob) = sim(AkaAnswer::Res(b"\0\xffres".to_vec()));
    let mut authenticator = Authenticator::default();
    let challenge = www(&format!(
        "realm=\"RoamingUsers@mobile.biz\", nonce=\"{AKA_NONCE}\", qop=\"auth,auth-int\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", algorithm=AKAv1-MD5"
    ));
    let md5 = www("realm=\"RoamingUsers@mobile.biz\", nonce=\"1\", qop=\"auth\"");
    authenticator.challenged(&response(401, &[&md5, &challenge]), &bob).unwrap();
    for nc in 1..=2 {
        let request = authorized(&mut authenticator, &bob);
        assert_eq!(param(&request, "algorithm").unwrap(), "AKAv1-MD5");
        assert_eq!(param(&request, "nonce").unwrap(), format!("\"{AKA_NONCE}\""));
        assert_eq!(param(&request, "auts"), None);
        let key = digest::user_key(Hash::Md5, "bob", "RoamingUsers@mobile.biz", b"\0\xffres");
        let algorithm = Algorithm::AKAV1_MD5;
        let method = Signed::Request("REGISTER");
        let signed = digest::signed(algorithm, Some(Qop::Auth), method, "sip:biloxi.com", b"");
        let cnonce = "000000000a4f113b";
        let qop = Some(Qop::Auth);
        let nonce = AKA_NONCE;
        let due = Inputs { algorithm, qop, nonce, nc, cnonce, session: ("", "") };
        let due = due.response(&key, &signed);
        assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
    }
    // Challenged with the same nonce: refused, and the SIM is not asked again.
    let again = authenticator.challenged(&response(401, &[&challenge]), &bob);
    assert_eq!(again, Err(AuthError::Refused { realm: "RoamingUsers@mobile.biz".into() }));
    assert_eq!(sim.1.load(core::sync::atomic::Ordering::Relaxed), 1);
    assert!(!format!("{authenticator:?}").contains("res"), "{authenticator:?}");
}

#[test]
fn a_sim_out_of_step_says_so_with_an_empty_password() {
    let (_, bob) = sim(AkaAnswer::OutOfSync(*b"\xe4\xf6\x312\xe5\xf64\xe4\xf65\xe4\0\0\0"));
    let mut authenticator = Authenticator::default();
    let line = format!("realm=\"r\", nonce=\"{AKA_NONCE}\", qop=\"auth\", algorithm=AKAv1-MD5");
    authenticator.challenged(&response(401, &[&www(&line)]), &bob).unwrap();
    let request = authorized(&mut authenticator, &bob);
    assert_eq!(param(&request, "auts").unwrap(), "\"5PYxMuX2NOT2NeQAAAA=\"");
    let due = expected(&request, Algorithm::AKAV1_MD5, "", ("", ""));
    assert_eq!(param(&request, "response").unwrap(), format!("\"{due}\""));
    // RFC 3310 §3.4: the network catches up and asks anew, with another nonce and without `stale`.
    let other = line.replace("PZz==", "PZz");
    let taken = authenticator.challenged(&response(401, &[&www(&other)]), &bob);
    assert_eq!(taken, Ok(()));
}

#[test]
fn challenges_that_a_sim_does_not_take() {
    let (_, bob) = sim(AkaAnswer::Refused);
    for nonce in [AKA_NONCE, "short", "", "no base64: ö"] {
        let line = www(&format!("realm=\"r\", nonce=\"{nonce}\", algorithm=AKAv1-MD5"));
        let refused = Authenticator::default().challenged(&response(401, &[&line]), &bob);
        assert_eq!(refused, Err(AuthError::Impostor { realm: "r".into() }), "{nonce}");
    }
    // Nor does it answer other algorithms, nor a password this one.
    let md5 = response(401, &[&www("realm=\"r\", nonce=\"1\"")]);
    let refused = Authenticator::default().challenged(&md5, &bob);
    assert_eq!(refused, Err(AuthError::Unsupported));
    let aka = www(&format!("realm=\"r\", nonce=\"{AKA_NONCE}\", algorithm=AKAv1-MD5"));
    let passwords = [Credentials::new("bob", "zanzibar")];
    let refused = Authenticator::default().challenged(&response(401, &[&aka]), &passwords);
    assert_eq!(refused, Err(AuthError::Unsupported));
    let v2 = response(401, &[&aka.replace("v1", "v2")]);
    assert_eq!(Authenticator::default().challenged(&v2, &bob), Err(AuthError::Unsupported));
}

/// What goes back in every request has a limit, and so has what is looked at.
#[test]
fn giant_challenges_are_not_answered() {
    let mut limits = Limits::default();
    limits.message_bytes = 1 << 20;
    limits.head_bytes = 1 << 20;
    limits.header_bytes = 1 << 20;
    let parse = |lines: &str| {
        let text = format!("SIP/2.0 401 No\r\n{lines}CSeq: 1 REGISTER\r\n\r\n");
        Message::parse(Bytes::from(text), &limits).unwrap().into_response().unwrap()
    };
    for (size, taken) in [(MAX_ECHO - 1, Ok(())), (MAX_ECHO, Err(AuthError::Unsupported))] {
        let line = www(&format!("realm=\"r\", nonce=\"{}\"\r\n", "n".repeat(size)));
        assert_eq!(Authenticator::default().challenged(&parse(&line), &bob()), taken);
    }
    let many = "x=y, ".repeat(10_000);
    let line = www(&format!("{many}realm=\"r\", nonce=\"1\"\r\n"));
    assert_eq!(Authenticator::default().challenged(&parse(&line), &bob()), Ok(()));
    let bad = www("realm=\"r\"\r\n").repeat(MAX_READ) + &www("realm=\"r\", nonce=\"1\"\r\n");
    let refused = Authenticator::default().challenged(&parse(&bad), &bob());
    assert_eq!(refused, Err(AuthError::Unsupported));
}
