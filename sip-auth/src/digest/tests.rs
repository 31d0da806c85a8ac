use super::*;

use alloc::format;
use alloc::string::{String, ToString};

/// The example requests of the RFCs: `GET` by Mufasa.
fn mufasa(algorithm: &str, qop: Option<Qop>, password: &str, body: &[u8]) -> String {
    let algorithm: Algorithm = algorithm.parse().unwrap();
    let key = user_key(algorithm.hash(), "Mufasa", "http-auth@example.org", password.as_bytes());
    let get = Signed::Request("GET");
    let signed = signed(algorithm, qop, get, "/dir/index.html", body);
    inputs(algorithm, qop).response(&key, &signed).to_string()
}

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

fn inputs(algorithm: Algorithm, qop: Option<Qop>) -> Inputs<'static> {
    Inputs { algorithm, qop, nonce: NONCE, nc: 1, cnonce: CNONCE, session: (NONCE, CNONCE) }
}

/// RFC 2617 §3.5.
#[test]
fn rfc_2617_example() {
    let algorithm = Algorithm::MD5;
    let key = user_key(Hash::Md5, "Mufasa", "testrealm@host.com", b"Circle Of Life");
    let qop = Some(Qop::Auth);
    let signed = signed(algorithm, qop, Signed::Request("GET"), "/dir/index.html", b"");
    let inputs = Inputs {
        algorithm,
        qop,
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        nc: 1,
        cnonce: "0a4f113b",
        session: ("", ""),
    };
    assert_eq!(inputs.response(&key, &signed).as_str(), "6629fae49393a05397450978507c4ef1");
}

/// RFC 7616 §3.9.1.
#[test]
fn rfc_7616_examples() {
    let auth = Some(Qop::Auth);
    assert_eq!(mufasa("MD5", auth, "Circle of Life", b""), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(
        mufasa("SHA-256", auth, "Circle of Life", b""),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

/// RFC 7616 §3.9.2. Its digests were computed with SHA-512 cut to 256 bits, which is not SHA-512/256: so
/// both are shown, and that ours is the latter.
#[test]
fn rfc_7616_example_of_sha_512_256() {
    let (user, realm) = ("J\u{e4}s\u{f8}n Doe", "api@example.org");
    let nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK";
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
    assert_eq!(
        user_hash(Hash::Sha512T256, user, realm).as_str(),
        "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    );
    let (algorithm, qop) = (Algorithm::SHA_512_256, Some(Qop::Auth));
    let key = user_key(Hash::Sha512T256, user, realm, b"Secret, or not?");
    let signed = signed(algorithm, qop, Signed::Request("GET"), "/doe.json", b"");
    let inputs = Inputs { algorithm, qop, nonce, nc: 1, cnonce, session: ("", "") };
    assert_eq!(
        inputs.response(&key, &signed).as_str(),
        "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    );

    let cut = |text: &str| {
        use sha2::Digest as _;
        super::Digest::of(&sha2::Sha512::digest(text)[..32]).to_string()
    };
    assert_eq!(
        cut(&format!("{user}:{realm}")),
        "488869477bf257147b804c45308cd62ac4e25eb717b12b298c79e62dcea254ec"
    );
    let (a1, a2) = (cut(&format!("{user}:{realm}:Secret, or not?")), cut("GET:/doe.json"));
    assert_eq!(
        cut(&format!("{a1}:{nonce}:00000001:{cnonce}:auth:{a2}")),
        "ae66e67d6b427bd3f120414a82e4acff38e8ecd9101d6c861229025f607a79dd"
    );
}

/// No vectors in the RFCs: the definition of A1 is spelt out here a second time.
#[test]
fn session_variants_hash_a1_again_with_both_nonces() {
    for (name, hash) in [
        ("MD5-sess", Hash::Md5),
        ("SHA-256-sess", Hash::Sha256),
        ("SHA-512-256-sess", Hash::Sha512T256),
    ] {
        let h = |text: &str| hash.digest(&[text.as_bytes()]).to_string();
        let once = h("Mufasa:http-auth@example.org:Circle of Life");
        let a1 = h(&format!("{once}:{NONCE}:{CNONCE}"));
        let a2 = h("GET:/dir/index.html");
        let whole = format!("{a1}:{NONCE}:00000001:{CNONCE}:auth:{a2}");
        assert_eq!(mufasa(name, Some(Qop::Auth), "Circle of Life", b""), h(&whole));
        // A later request of the same session: its own cnonce, but A1 keeps that of the first.
        let algorithm: Algorithm = name.parse().unwrap();
        let later = Inputs { cnonce: "other", nc: 0xa2, ..inputs(algorithm, Some(Qop::Auth)) };
        let key = user_key(hash, "Mufasa", "http-auth@example.org", b"Circle of Life");
        let get = Signed::Request("GET");
        let signed = signed(algorithm, Some(Qop::Auth), get, "/dir/index.html", b"");
        let whole = format!("{a1}:{NONCE}:000000a2:other:auth:{a2}");
        assert_eq!(later.response(&key, &signed).to_string(), h(&whole));
    }
}

/// RFC 3261 §22.4 and RFC 8760 §2.6: the hash of an empty body.
#[test]
fn integrity_protection_hashes_the_body() {
    assert_eq!(Hash::Md5.digest(&[b""]).as_str(), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(
        Hash::Sha256.digest(&[b""]).as_str(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let int = Some(Qop::AuthInt);
    let h = |text: &str| Hash::Md5.digest(&[text.as_bytes()]).to_string();
    let a1 = h("Mufasa:http-auth@example.org:Circle of Life");
    for body in ["", "v=0"] {
        let a2 = h(&format!("GET:/dir/index.html:{}", h(body)));
        let whole = format!("{a1}:{NONCE}:00000001:{CNONCE}:auth-int:{a2}");
        assert_eq!(mufasa("MD5", int, "Circle of Life", body.as_bytes()), h(&whole));
    }
}

/// RFC 2069: neither count nor client's nonce.
#[test]
fn without_qop() {
    let h = |text: &str| Hash::Md5.digest(&[text.as_bytes()]).to_string();
    let (a1, a2) = (h("Mufasa:http-auth@example.org:x"), h("GET:/dir/index.html"));
    assert_eq!(mufasa("MD5", None, "x", b"body"), h(&format!("{a1}:{NONCE}:{a2}")));
}

#[test]
fn digests_that_somebody_keeps() {
    let kept = super::Digest::from_hex(Hash::Md5, "D41D8CD98F00B204E9800998ECF8427E").unwrap();
    assert_eq!(kept.as_str(), "d41d8cd98f00b204e9800998ecf8427e");
    assert!(kept.matches(&Hash::Md5.digest(&[b""])));
    assert!(!kept.matches(&Hash::Md5.digest(&[b"x"])));
    assert!(!kept.matches(&Hash::Sha256.digest(&[b""])));
    for bad in ["", "d41d", "d41d8cd98f00b204e9800998ecf8427g", "d41d8cd98f00b204e9800998ecf8427e0"]
    {
        assert!(super::Digest::from_hex(Hash::Md5, bad).is_none(), "{bad}");
    }
    assert!(super::Digest::from_hex(Hash::Sha256, kept.as_str()).is_none());
}
