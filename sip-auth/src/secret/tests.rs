use super::*;

use alloc::format;

#[test]
fn secrets_are_not_printed() {
    let password = Secret::password("hush-hush");
    let ha1 = Ha1::new(Hash::Md5, "alice", "r", "hush-hush");
    let shown = format!("{password:?} {:?} {ha1:?}", Secret::from(ha1.clone()));
    assert_eq!(shown, "Secret(password …) Secret(HA1 …) Ha1(Md5 …)");
    let credentials = Credentials::new("alice", "hush-hush");
    assert!(!format!("{credentials:?}").contains("hush"));
}

/// RFC 7616 §3.4.5 names the text, RFC 2617 §3.5 the user.
#[test]
fn what_stands_for_a_password() {
    let ha1 = Ha1::new(Hash::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    assert_eq!(ha1.to_hex(), "939e7578ed9e3c518a452acee763bce9");
    assert_eq!(ha1.hash(), Hash::Md5);
    assert_eq!(Ha1::from_hex(Hash::Md5, "939E7578ed9e3c518a452acee763bce9"), Ok(ha1.clone()));
    assert_eq!(Ha1::from_hex(Hash::Sha256, &ha1.to_hex()), Err(BadHa1));
    assert_ne!(ha1, Ha1::new(Hash::Md5, "Mufasa", "testrealm@host.com", "circle of life"));
    let both = Secret::ha1([ha1.clone(), Ha1::new(Hash::Sha256, "Mufasa", "r", "x")]);
    assert!(both.user_key(Hash::Md5, "", "").is_some());
    assert!(both.user_key(Hash::Sha256, "", "").is_some());
    assert!(both.user_key(Hash::Sha512T256, "", "").is_none());
    assert_eq!(both, both.clone());
    assert_ne!(both, Secret::from(ha1));
    assert_ne!(both, Secret::password("x"));
}

#[test]
fn credentials_say_what_they_are_for() {
    let plain = Credentials::new("alice", "x");
    assert_eq!((plain.username(), plain.realm()), ("alice", None));
    assert_eq!(plain.secret(), &Secret::password("x"));
    assert_eq!(plain.preferred_qop(), Qop::Auth);
    assert!(plain.serves(Algorithm::MD5) && !plain.serves(Algorithm::AKAV1_MD5));
    let careful = plain.for_realm("r").only([Algorithm::SHA_256]).prefer_integrity();
    assert_eq!((careful.realm(), careful.preferred_qop()), (Some("r"), Qop::AuthInt));
    assert!(careful.serves(Algorithm::SHA_256) && !careful.serves(Algorithm::SHA_256_SESS));
}
