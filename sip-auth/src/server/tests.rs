use super::*;

use alloc::string::ToString;
use alloc::{format, vec};

use bytes::Bytes;
use sip_message::{Limits, Message, Response};

use crate::{Authenticator, Confirmation, Credentials, Ha1, Hash, Secret, Use, UsedNonces};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn key(byte: u8) -> NonceKey {
    NonceKey::new(&[byte; 32]).unwrap()
}

fn authority() -> Authority {
    Authority::server("biloxi.com", key(1)).unwrap()
}

fn request_of(method: &str, uri: &str, fields: &str, body: &str) -> Request {
    let mut limits = Limits::default();
    limits.message_bytes = 1 << 20;
    limits.head_bytes = 1 << 20;
    limits.header_bytes = 1 << 20;
    let text = format!(
        "{method} {uri} SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Message::parse(Bytes::from(text), &limits).unwrap().into_request().unwrap()
}

fn plain() -> Request {
    request_of("INVITE", "sip:bob@biloxi.com", "", "v=0")
}

fn at(request: &Request, now: Duration) -> Arrival<'_> {
    Arrival { request, source: b"", now }
}

fn response(
    status: u16,
    fields: impl IntoIterator<Item = (HeaderName<'static>, String)>,
) -> Response {
    let mut text = format!("SIP/2.0 {status} x\r\nCSeq: 1 INVITE\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    let text = Bytes::from(text + "\r\n");
    Message::parse(text, &Limits::default()).unwrap().into_response().unwrap()
}

fn bob() -> Vec<Credentials> {
    vec![Credentials::new("bob", "zanzibar")]
}

fn zanzibar() -> Secret {
    Secret::password("zanzibar")
}

/// The request that a client sends once it was challenged.
fn answered(authority: &Authority, credentials: &[Credentials]) -> Request {
    let mut client = Authenticator::default();
    client.challenged(&challenge(authority, &plain()), credentials).unwrap();
    sent(&mut client, plain(), credentials)
}

fn challenge(authority: &Authority, request: &Request) -> Response {
    let refusal = authority.check(&at(request, NOW)).unwrap_err();
    let answer = authority.answer(&refusal, &at(request, NOW), 7);
    response(answer.status.as_u16(), answer.fields())
}

fn sent(client: &mut Authenticator, mut request: Request, credentials: &[Credentials]) -> Request {
    let mut draws = 1..;
    client.authorize(&mut request, credentials, || draws.next().unwrap());
    let text = request.to_bytes();
    Message::parse(text, &Limits::default()).unwrap().into_request().unwrap()
}

/// The same request with its Authorization changed.
fn changed(request: &Request, from: &str, to: &str) -> Request {
    let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    let text = Bytes::from(text.replacen(from, to, 1));
    Message::parse(text, &Limits::default()).unwrap().into_request().unwrap()
}

fn claim(authority: &Authority, request: &Request) -> Result<Box<Claim>, Refusal> {
    match authority.check(&at(request, NOW))? {
        Checked::Claimed(claim) => Ok(claim),
        Checked::Exempt => panic!("exempt"),
    }
}

#[test]
fn a_challenge_for_each_algorithm_the_strongest_first() {
    let authority = authority()
        .algorithms([
            Algorithm::MD5,
            Algorithm::SHA_512_256,
            Algorithm::AKAV1_MD5,
            Algorithm::SHA_256,
            Algorithm::MD5,
        ])
        .qop([Qop::Auth, Qop::AuthInt, Qop::Auth])
        .opaque("o\"p")
        .unwrap()
        .domain("sip:biloxi.com sip:b.example")
        .unwrap();
    let request = plain();
    let answer = authority.answer(&Refusal::NoCredentials, &at(&request, NOW), 7);
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let names: Vec<_> =
        answer.challenges.iter().map(|c| c.algorithm().unwrap().into_owned()).collect();
    assert_eq!(names, ["SHA-512-256", "SHA-256", "MD5"]);
    for (name, value) in answer.fields() {
        assert_eq!(name, HeaderName::WwwAuthenticate);
        assert!(
            value.starts_with(
                "Digest realm=\"biloxi.com\", domain=\"sip:biloxi.com sip:b.example\", nonce=\""
            ),
            "{value}"
        );
        assert!(value.contains(", opaque=\"o\\\"p\", algorithm="), "{value}");
        assert!(value.ends_with(", qop=\"auth,auth-int\""), "{value}");
    }
    assert!(answer.challenges.iter().all(|challenge| !challenge.stale()));
    let stale = authority.answer(&Refusal::OldNonce, &at(&request, NOW), 7);
    assert!(stale.challenges.iter().all(|challenge| challenge.stale()));

    // Nothing is changed by an offer of nothing.
    let authority = authority.algorithms([Algorithm::AKAV1_MD5]).qop([]);
    assert_eq!(authority.answer(&Refusal::NoCredentials, &at(&request, NOW), 7), answer);

    let proxy = Authority::proxy("r", key(1)).unwrap().domain("sip:x").unwrap().offer_userhash();
    let answer = proxy.answer(&Refusal::NoCredentials, &at(&request, NOW), 7);
    assert_eq!(answer.status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    for (name, value) in answer.fields() {
        assert_eq!(name, HeaderName::ProxyAuthenticate);
        assert!(!value.contains("domain"), "{value}");
        assert!(value.ends_with(", charset=UTF-8, userhash=true"), "{value}");
    }
    assert_eq!(proxy.realm(), "r");
}

#[test]
fn texts_that_cannot_stand_in_a_challenge() {
    assert_eq!(Authority::server("a\r\nb", key(1)).err(), Some(BadText));
    assert_eq!(Authority::proxy("a\0", key(1)).err(), Some(BadText));
    assert_eq!(authority().opaque("\n").err(), Some(BadText));
    assert_eq!(authority().domain("\t").err(), Some(BadText));
}

#[test]
fn ack_and_cancel_are_exempt() {
    for method in ["ACK", "CANCEL"] {
        let request = request_of(
            method,
            "sip:bob@biloxi.com",
            "Authorization: Digest realm=\"biloxi.com\"\r\n",
            "",
        );
        assert!(matches!(authority().check(&at(&request, NOW)), Ok(Checked::Exempt)), "{method}");
    }
}

#[test]
fn a_client_is_known_by_its_secret() {
    let authority = authority();
    let request = answered(&authority, &bob());
    let claim = claim(&authority, &request).unwrap();
    assert_eq!((claim.username(), claim.uri()), (Some("bob"), "sip:bob@biloxi.com"));
    assert_eq!((claim.algorithm(), claim.qop()), (Algorithm::SHA_256, Some(Qop::Auth)));
    assert!(claim.is_direct() && claim.is_user("bob") && !claim.is_user("Bob"));
    assert_eq!((claim.user(), claim.realm()), (&User::Name("bob".into()), "biloxi.com"));

    // A password, its HA1, but no other, and not by another function.
    let ha1 = |hash, realm| Secret::from(Ha1::new(hash, "bob", realm, "zanzibar"));
    for (secret, right) in [
        (zanzibar(), true),
        (ha1(Hash::Sha256, "biloxi.com"), true),
        (Secret::password("Zanzibar"), false),
        (Secret::password(""), false),
        (ha1(Hash::Sha256, "other.com"), false),
        (ha1(Hash::Md5, "biloxi.com"), false),
        (Secret::ha1([]), false),
    ] {
        match claim.clone().verify(&secret) {
            Ok(proof) => assert!(right, "{proof:?}"),
            Err(refusal) => assert!(!right && refusal == Refusal::Wrong, "{secret:?}"),
        }
    }
    assert_eq!(claim.unknown_user(), Refusal::Wrong);
    assert!(claim.named("alice").is_err());
}

#[test]
fn nothing_is_let_through_twice() {
    let authority = authority();
    let mut used = UsedNonces::new(10, Duration::ZERO);
    let request = answered(&authority, &bob());
    let mut serve = || claim(&authority, &request)?.verify(&zanzibar())?.record(&mut used, NOW);
    assert!(serve().is_ok());
    assert_eq!(serve().err(), Some(Refusal::Repeated));
    assert!(Refusal::Repeated.is_stale());
    let proof = claim(&authority, &request).unwrap().verify(&zanzibar()).unwrap();
    assert_eq!(proof.nonce_use().nc(), 1);
    assert_eq!(proof.nonce_use().expires(), NOW + Duration::from_secs(300));
    assert_eq!(proof.clone().settle(Use::Repeated).err(), Some(Refusal::Repeated));
    assert_eq!(proof.settle(Use::First).unwrap().claim().username(), Some("bob"));

    // The nonce of a client that does not count serves once.
    let mut client = Authenticator::default();
    let text = challenge(&authority, &plain()).to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap().replace(", qop=\"auth\"", "");
    let old =
        Message::parse(Bytes::from(text), &Limits::default()).unwrap().into_response().unwrap();
    client.challenged(&old, &bob()).unwrap();
    for first in [true, false] {
        let request = sent(&mut client, plain(), &bob());
        let claim = claim(&authority, &request).unwrap();
        assert_eq!(claim.qop(), None);
        let mut other = UsedNonces::new(10, Duration::ZERO);
        let store = if first { &mut other } else { &mut used };
        let judged = claim.verify(&zanzibar()).unwrap().record(store, NOW);
        assert_eq!(judged.is_ok(), first, "the counted one above was of the same nonce");
    }
    let request = sent(&mut client, plain(), &bob());
    for strict in [authority.clone().require_qop(), authority.clone().qop([Qop::AuthInt])] {
        assert_eq!(claim(&strict, &request).err(), Some(Refusal::Malformed("no qop")));
    }
}

#[test]
fn nonces_run_out_and_keys_change() {
    let mut authority = authority().nonce_life(Duration::from_secs(10));
    let request = answered(&authority, &bob());
    let check = |authority: &Authority, now| authority.check(&at(&request, now)).err();
    assert_eq!(check(&authority, NOW + Duration::from_secs(10)), None);
    assert_eq!(check(&authority, NOW + Duration::from_secs(11)), Some(Refusal::OldNonce));
    authority.rotate(key(2));
    assert_eq!(check(&authority, NOW), None);
    authority.rotate(key(3));
    assert_eq!(check(&authority, NOW), Some(Refusal::ForeignNonce));
    // A server of the cluster knows it.
    assert_eq!(check(&super::tests::authority(), NOW), None);
    // Another realm's is for somebody else.
    let other = Authority::server("atlanta.com", key(1)).unwrap();
    assert_eq!(check(&other, NOW), Some(Refusal::NoCredentials));
    // Nor does a proxy read what is for a server.
    let proxy = Authority::proxy("biloxi.com", key(1)).unwrap();
    assert_eq!(check(&proxy, NOW), Some(Refusal::NoCredentials));
}

#[test]
fn nonces_for_one_call_or_source() {
    let authority = authority().nonce_for_each_call();
    let request = answered(&authority, &bob());
    assert!(claim(&authority, &request).is_ok());
    let other = changed(&request, "Call-ID: 1", "Call-ID: 2");
    assert_eq!(claim(&authority, &other).err(), Some(Refusal::ForeignNonce));
    let elsewhere = Arrival { source: b"192.0.2.1", ..at(&request, NOW) };
    assert_eq!(authority.check(&elsewhere).err(), Some(Refusal::ForeignNonce));
    let answer = authority.answer(&Refusal::NoCredentials, &elsewhere, 7);
    let nonce = answer.challenges[0].nonce().unwrap();
    let shown = request.get::<Authorization>().unwrap().unwrap();
    let moved = changed(&request, &shown.nonce().unwrap(), &nonce);
    assert!(authority.check(&Arrival { request: &moved, ..elsewhere }).is_ok());
    assert_eq!(claim(&authority, &moved).err(), Some(Refusal::ForeignNonce));
}

/// Somebody on the way makes the challenge with SHA-256 one with MD5, whose answer is easier to break.
#[test]
fn a_challenge_is_not_made_into_a_weaker_one() {
    let authority = authority();
    let text = challenge(&authority, &plain()).to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let strong = text.lines().find(|line| line.contains("algorithm=SHA-256")).unwrap();
    let (name, value) = (HeaderName::WwwAuthenticate, strong.split_once(": ").unwrap().1);
    let weaker = response(401, [(name, value.replace("=SHA-256", "=MD5"))]);
    let mut client = Authenticator::default();
    client.challenged(&weaker, &bob()).unwrap();
    let request = sent(&mut client, plain(), &bob());
    assert_eq!(claim(&authority, &request).err(), Some(Refusal::ForeignNonce));
    // Where MD5 is not offered it is not taken either.
    let request = answered(&authority.clone().algorithms([Algorithm::MD5]), &bob());
    assert!(claim(&authority, &request).is_ok());
    assert_eq!(
        claim(&authority.algorithms([Algorithm::SHA_256]), &request).err(),
        Some(Refusal::ForeignNonce)
    );
}

#[test]
fn credentials_that_are_improper() {
    let authority = authority().offer_userhash();
    let good = answered(&super::tests::authority(), &bob());
    assert!(claim(&authority, &good).is_ok());
    let response = good.get::<Authorization>().unwrap().unwrap().response().unwrap().into_owned();
    let long = "x".repeat(MAX_TEXT + 1);
    for (from, to, why) in [
        ("username=\"bob\", ", "", "no username"),
        (
            "username=\"bob\"",
            "username=\"bob\", username*=UTF-8''bob",
            "both username and username*",
        ),
        ("username=\"bob\"", "username*=bob", "username*"),
        ("username=\"bob\"", "username*=UTF-8''bob, userhash=true", "userhash"),
        ("username=\"bob\"", "username=\"bob\", userhash=maybe", "userhash"),
        ("username=\"bob\"", &format!("username=\"{long}\""), "username"),
        ("uri=", "uro=", "no uri"),
        ("uri=\"", &format!("uri=\"{long}"), "uri"),
        ("qop=auth", "qop=auth-int", "a qop that was not offered"),
        ("qop=auth", "qop=x", "qop"),
        ("qop=auth, nc=00000001", "qop=auth", "no nc"),
        ("nc=00000001", "nc=1", "nc"),
        ("nc=00000001", "nc=00000000", "nc"),
        ("nc=00000001", "nc=+0000001", "nc"),
        ("nc=00000001", "nc=000000001", "nc"),
        ("cnonce=", "snonce=", "no cnonce"),
        ("cnonce=\"", &format!("cnonce=\"{long}"), "cnonce"),
        ("response=", "rasponse=", "no response"),
        (response.as_str(), "", "response"),
        (response.as_str(), &response[1..], "response"),
        (&response[..2], "zz", "response"),
        ("qop=auth", "qop=auth, URI=\"sip:x\"", "a parameter twice"),
    ] {
        let refused = claim(&authority, &changed(&good, from, to)).err();
        assert_eq!(refused, Some(Refusal::Malformed(why)), "{to:?} for {from:?}");
        let answer = authority.answer(&refused.unwrap(), &at(&good, NOW), 7);
        assert_eq!((answer.status, answer.fields().count()), (StatusCode::BAD_REQUEST, 0));
    }
    // A session needs the client's nonce.
    let session = super::tests::authority().algorithms([Algorithm::MD5_SESS]);
    let request = answered(&session, &bob());
    let bare = changed(&request, "qop=auth, ", "");
    assert_eq!(claim(&session, &bare).err(), Some(Refusal::Malformed("no qop")));
}

/// What is no answer to a challenge of ours is not judged by its form.
#[test]
fn credentials_that_are_for_nobody_here() {
    let authority = authority();
    for (fields, refusal) in [
        // RFC 4475 §3.3.10.
        ("NoOneKnowsThisScheme opaque-data=here", Refusal::NoCredentials),
        ("Basic Ym9iOnphbnppYmFy", Refusal::NoCredentials),
        ("\"", Refusal::NoCredentials),
        ("Digest", Refusal::NoCredentials),
        ("Digest username=\"bob\"", Refusal::NoCredentials),
        ("Digest realm=\"other\", nonce=\"1\"", Refusal::NoCredentials),
        ("Digest realm=\"biloxi.com\"", Refusal::NoCredentials),
        // RFC 8760 §2.7: before the first challenge.
        (
            "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"\", uri=\"sip:biloxi.com\", response=\"\"",
            Refusal::NoCredentials,
        ),
        ("Digest realm=\"biloxi.com\", nonce=\"1\"", Refusal::ForeignNonce),
        ("Digest realm=\"biloxi.com\", nonce=\"1\", algorithm=X", Refusal::ForeignNonce),
    ] {
        let request =
            request_of("REGISTER", "sip:biloxi.com", &format!("Authorization: {fields}\r\n"), "");
        assert_eq!(claim(&authority, &request).err(), Some(refusal), "{fields}");
        assert_eq!(
            authority.answer(&refusal, &at(&request, NOW), 7).status,
            StatusCode::UNAUTHORIZED
        );
    }
}

/// RFC 3261 §22.3: several for one realm; the one with a nonce of ours counts, within a limit.
#[test]
fn one_of_several_is_ours() {
    let authority = authority();
    let good = answered(&authority, &bob());
    let line = format!("Authorization: {}\r\n", good.get::<Authorization>().unwrap().unwrap());
    let other = "Authorization: Digest realm=\"biloxi.com\", nonce=\"1\"\r\n";
    let with = |before: usize| {
        let fields = other.repeat(before) + &line;
        claim(&authority, &request_of("INVITE", "sip:bob@biloxi.com", &fields, "v=0"))
    };
    assert!(with(0).is_ok());
    assert!(with(MAX_CREDENTIALS - 1).is_ok());
    assert_eq!(with(MAX_CREDENTIALS).err(), Some(Refusal::ForeignNonce));
}

/// RFC 3261 §22.3: what is for another proxy goes on to it.
#[test]
fn a_proxy_takes_out_what_is_for_itself() {
    let proxy = Authority::proxy("biloxi.com", key(1)).unwrap();
    let fields = "Proxy-Authorization: Digest realm=\"atlanta.com\", nonce=\"1\"\r\n\
        Proxy-Authorization: Digest realm=\"biloxi.com\", nonce=\"2\"\r\n\
        Proxy-Authorization: Basic realm=\"biloxi.com\"\r\n\
        Authorization: Digest realm=\"biloxi.com\", nonce=\"3\"\r\n\
        Proxy-Authorization: Digest realm=\"biloxi.com\", nonce=\"4\"\r\n\
        Proxy-Authorization: nonsense\r\n";
    let mut request = request_of("INVITE", "sip:bob@biloxi.com", fields, "v=0");
    assert_eq!(proxy.consume(&mut request), 2);
    let left: Vec<_> = request.headers().raw_all(HeaderName::ProxyAuthorization).collect();
    assert_eq!(
        left,
        [
            &b"Digest realm=\"atlanta.com\", nonce=\"1\""[..],
            b"Basic realm=\"biloxi.com\"",
            b"nonsense",
        ]
    );
    assert!(request.headers().contains(HeaderName::Authorization));
    assert_eq!(proxy.consume(&mut request), 0);
}

#[test]
fn the_uri_is_that_of_the_request() {
    let authority = authority();
    let good = answered(&authority, &bob());
    let to = |uri: &str| changed(&good, "INVITE sip:bob@biloxi.com", &format!("INVITE {uri}"));
    // RFC 3261 §19.1.4.
    for same in ["sip:bob@BILOXI.com", "sip:%62ob@biloxi.com", "sip:bob@biloxi.com;newparam=5"] {
        assert!(claim(&authority, &to(same)).unwrap().is_direct(), "{same}");
    }
    for other in
        ["sip:alice@biloxi.com", "sip:bob@biloxi.com:5060", "sips:bob@biloxi.com", "tel:+1"]
    {
        assert_eq!(claim(&authority, &to(other)).err(), Some(Refusal::OtherUri), "{other}");
        let claim = claim(&authority.clone().accept_forwarded(), &to(other)).unwrap();
        assert_eq!((claim.uri(), claim.is_direct()), ("sip:bob@biloxi.com", false));
        assert!(claim.verify(&zanzibar()).is_ok(), "{other}");
    }
    let answer = authority.answer(&Refusal::OtherUri, &at(&good, NOW), 7);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_wrong_secret_is_challenged_or_forbidden() {
    let request = plain();
    let (again, forbidden) = (authority(), authority().forbid_wrong());
    let answer = again.answer(&Refusal::Wrong, &at(&request, NOW), 7);
    assert_eq!((answer.status, answer.challenges.len()), (StatusCode::UNAUTHORIZED, 2));
    assert!(!answer.challenges[0].stale());
    let answer = forbidden.answer(&Refusal::Wrong, &at(&request, NOW), 7);
    assert_eq!((answer.status, answer.challenges.len()), (StatusCode::FORBIDDEN, 0));
}

#[test]
fn integrity_covers_the_body() {
    let authority = authority().qop([Qop::AuthInt]);
    let request = answered(&authority, &bob());
    assert!(claim(&authority, &request).unwrap().verify(&zanzibar()).is_ok());
    let other = changed(&request, "\r\n\r\nv=0", "\r\n\r\nv=1");
    assert_eq!(claim(&authority, &other).unwrap().verify(&zanzibar()).err(), Some(Refusal::Wrong));
}

/// RFC 7616 §3.9.2: the user is found by what stands for the name.
#[test]
fn hidden_usernames() {
    let authority = authority().offer_userhash();
    let name = "J\u{e4}s\u{f8}n Doe";
    let request = answered(&authority, &[Credentials::new(name, "Secret, or not?")]);
    let claim = claim(&authority, &request).unwrap();
    let User::Hash(hash) = claim.user() else { panic!("{claim:?}") };
    assert_eq!((hash.len(), claim.username()), (64, None));
    assert!(claim.is_user(name) && !claim.is_user("bob"));
    let ha1 = Secret::from(Ha1::new(Hash::Sha256, name, "biloxi.com", "Secret, or not?"));
    assert!(claim.clone().verify(&ha1).is_ok(), "an HA1 needs no name");
    assert_eq!(claim.clone().named("bob").err(), Some(Refusal::Wrong));
    let named = claim.named(name).unwrap();
    assert_eq!(named.username(), Some(name));
    assert!(named.verify(&Secret::password("Secret, or not?")).is_ok());
    let upper = changed(&request, &hash_of(&request)[..8], &hash_of(&request)[..8].to_uppercase());
    assert!(super::tests::claim(&authority, &upper).unwrap().is_user(name));
}

fn hash_of(request: &Request) -> String {
    request.get::<Authorization>().unwrap().unwrap().username().unwrap().into_owned()
}

/// A name that no quoted string holds, by `username*`.
#[test]
fn encoded_usernames() {
    let authority = authority();
    let request = answered(&authority, &[Credentials::new("b\r\no\"b", "x")]);
    let claim = claim(&authority, &request).unwrap();
    assert_eq!(claim.username(), Some("b\r\no\"b"));
    assert!(claim.verify(&Secret::password("x")).is_ok());
}

/// A client that draws another nonce for each request of a session: it begins a new session, unasked.
#[test]
fn a_session_that_is_not_known() {
    let authority = authority().algorithms([Algorithm::SHA_256_SESS]);
    let mut client = Authenticator::default();
    client.challenged(&challenge(&authority, &plain()), &bob()).unwrap();
    let first = sent(&mut client, plain(), &bob());
    assert!(claim(&authority, &first).unwrap().verify(&zanzibar()).is_ok());
    assert_eq!(
        claim(&authority, &first).unwrap().verify(&Secret::password("x")).err(),
        Some(Refusal::Wrong)
    );
    let second = sent(&mut client, plain(), &bob());
    assert!(claim(&authority, &second).unwrap().verify(&zanzibar()).is_ok());
    let other = changed(&second, "cnonce=\"0", "cnonce=\"1");
    let claim = claim(&authority, &other).unwrap();
    assert_eq!(claim.unknown_user(), Refusal::OtherSession);
    assert_eq!(claim.verify(&zanzibar()).err(), Some(Refusal::OtherSession));
    assert!(Refusal::OtherSession.is_stale());
}

#[test]
fn the_server_proves_itself_and_gives_the_next_nonce() {
    for (algorithm, renews) in [(Algorithm::SHA_512_256, true), (Algorithm::MD5_SESS, false)] {
        let authority = authority().algorithms([algorithm]).qop([Qop::AuthInt]);
        let mut used = UsedNonces::new(10, Duration::ZERO);
        let mut client = Authenticator::default();
        client.challenged(&challenge(&authority, &plain()), &bob()).unwrap();
        let mut nonces = Vec::new();
        for random in 100..105 {
            let request = sent(&mut client, plain(), &bob());
            let shown = request.get::<Authorization>().unwrap().unwrap();
            nonces.push(shown.nonce().unwrap().into_owned());
            let proof = claim(&authority, &request).unwrap().verify(&zanzibar()).unwrap();
            let known = proof.record(&mut used, NOW).unwrap();
            let next = authority.next_nonce(&known, &at(&request, NOW), random);
            let info = authority.info(&known, b"", next.as_deref()).unwrap();
            assert_eq!(info.nextnonce().is_some(), renews);
            let ok = response(200, [(HeaderName::AuthenticationInfo, info.to_string())]);
            assert_eq!(client.confirmed(&ok, &bob()), Ok(Confirmation::Proven));
            // Another body is another proof.
            let info = authority.info(&known, b"x", None).unwrap();
            assert_eq!(info.nextnonce(), None);
        }
        nonces.dedup();
        assert_eq!(nonces.len(), if renews { 5 } else { 1 });
    }
    // A proxy has no such header field, and a client of RFC 2069 does not know it.
    let proxy = Authority::proxy("biloxi.com", key(1)).unwrap();
    let mut client = Authenticator::default();
    client.challenged(&challenge(&proxy, &plain()), &bob()).unwrap();
    let request = sent(&mut client, plain(), &bob());
    let known = claim(&proxy, &request).unwrap().verify(&zanzibar()).unwrap().settle(Use::First);
    assert_eq!(proxy.info(&known.unwrap(), b"", None), None);
}

#[test]
fn secrets_are_not_printed() {
    let authority = authority();
    let request = answered(&authority, &bob());
    let claim = claim(&authority, &request).unwrap();
    let response =
        request.get::<Authorization>().unwrap().unwrap().response().unwrap().into_owned();
    let proof = claim.clone().verify(&zanzibar()).unwrap();
    let shown = format!("{claim:?} {proof:?} {:?} {authority:?}", proof.clone().settle(Use::First));
    assert!(shown.contains("bob") && !shown.contains(&response), "{shown}");
    assert!(!shown.contains(&Ha1::new(Hash::Sha256, "bob", "biloxi.com", "zanzibar").to_hex()));
}

#[test]
fn hostile_sizes() {
    let authority = authority();
    let many = "x=y, ".repeat(10_000);
    let params = "username=\"bob\", realm=\"biloxi.com\", nonce=";
    for value in [
        format!("Digest {many}{params}\"1\""),
        format!("Digest {params}\"{}\"", "f".repeat(50_000)),
        format!("Digest {params}\"{}\"", "\\\"".repeat(20_000)),
        format!("Digest {}", format!("{params}\"1\", ").repeat(1000)),
    ] {
        let request = request_of("INVITE", "sip:a", &format!("Authorization: {value}\r\n"), "");
        assert_eq!(claim(&authority, &request).err(), Some(Refusal::ForeignNonce));
    }
}
