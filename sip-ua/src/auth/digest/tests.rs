use super::*;

/// The example requests of the RFCs: `GET` by Mufasa.
fn mufasa(algorithm: &str, password: &str) -> Inputs<'static> {
    Inputs {
        algorithm: Algorithm::named(Some(algorithm)).unwrap(),
        qop: Some(Qop::Auth),
        username: "Mufasa",
        password: if password == "Circle Of Life" { "Circle Of Life" } else { "Circle of Life" },
        realm: "http-auth@example.org",
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc: "00000001",
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        session_cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        method: "GET",
        uri: "/dir/index.html",
        body: b"",
    }
}

/// RFC 2617 §3.5.
#[test]
fn rfc_2617_example() {
    let inputs = Inputs {
        realm: "testrealm@host.com",
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce: "0a4f113b",
        session_cnonce: "0a4f113b",
        ..mufasa("MD5", "Circle Of Life")
    };
    assert_eq!(inputs.response(), "6629fae49393a05397450978507c4ef1");
}

/// RFC 7616 §3.9.1.
#[test]
fn rfc_7616_examples() {
    assert_eq!(mufasa("MD5", "Circle of Life").response(), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(
        mufasa("SHA-256", "Circle of Life").response(),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

/// No vectors in the RFCs: the definition of A1 is spelt out here a second time.
#[test]
fn session_variants_hash_a1_again_with_both_nonces() {
    let inputs = mufasa("SHA-256-sess", "Circle of Life");
    let plain = inputs.algorithm;
    let once = plain.hash(&[b"Mufasa:http-auth@example.org:Circle of Life"]);
    let a1 = plain.hash(&[format!("{once}:{}:{}", inputs.nonce, inputs.cnonce).as_bytes()]);
    let a2 = plain.hash(&[b"GET:/dir/index.html"]);
    let whole = format!("{a1}:{}:00000001:{}:auth:{a2}", inputs.nonce, inputs.cnonce);
    assert_eq!(inputs.response(), plain.hash(&[whole.as_bytes()]));
    assert_ne!(inputs.response(), mufasa("SHA-256", "Circle of Life").response());

    // A later request of the same session: its own cnonce, but A1 keeps that of the first.
    let later =
        Inputs { cnonce: "other", nc: "00000002", ..mufasa("SHA-256-sess", "Circle of Life") };
    let whole = format!("{a1}:{}:00000002:other:auth:{a2}", later.nonce);
    assert_eq!(later.response(), plain.hash(&[whole.as_bytes()]));
}

/// RFC 3261 §22.4: the hash of an empty body.
#[test]
fn integrity_protection_hashes_the_body() {
    let md5 = Algorithm::named(None).unwrap();
    assert_eq!(md5.hash(&[b""]), "d41d8cd98f00b204e9800998ecf8427e");
    let sha = Algorithm::named(Some("sha-256")).unwrap();
    assert_eq!(
        sha.hash(&[b""]),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let empty = Inputs { qop: Some(Qop::AuthInt), ..mufasa("MD5", "Circle of Life") };
    let full = Inputs { body: b"v=0", ..mufasa("MD5", "Circle of Life") };
    let full = Inputs { qop: Some(Qop::AuthInt), ..full };
    assert_ne!(empty.response(), full.response());
}

#[test]
fn algorithms_are_known_by_name_in_any_case() {
    for name in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"] {
        assert_eq!(Algorithm::named(Some(name)).unwrap().name(), name);
        let lower = name.to_ascii_lowercase();
        assert_eq!(Algorithm::named(Some(&lower)), Algorithm::named(Some(name)));
    }
    assert_eq!(Algorithm::named(None).unwrap().name(), "MD5");
    for unknown in ["", "-sess", "SHA-1", "MD5-session", "ÄMD5-sess", "AKAv1-MD5"] {
        assert_eq!(Algorithm::named(Some(unknown)), None, "{unknown}");
    }
}
