use super::*;

use alloc::string::ToString;

#[test]
fn algorithms_are_known_by_name_in_any_case() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.to_string();
        assert_eq!(name.parse(), Ok(algorithm));
        assert_eq!(name.to_ascii_lowercase().parse(), Ok(algorithm));
        assert_eq!(name.ends_with("-sess"), algorithm.is_session());
        assert_eq!(name.starts_with("AKA"), algorithm.is_aka());
        assert_eq!(Algorithm::of_param(Some(&name)), Ok(algorithm));
    }
    assert_eq!(Algorithm::of_param(None), Ok(Algorithm::MD5));
    for unknown in ["", "-sess", "SHA-1", "MD5-session", "ÄMD5-sess", "AKAv2-MD5", "AKAv1-MD5-sess"]
    {
        assert_eq!(unknown.parse::<Algorithm>(), Err(UnknownAlgorithm), "{unknown}");
        assert!(Algorithm::of_param(Some(unknown)).is_err(), "{unknown}");
    }
}

#[test]
fn the_stronger_hash_is_the_greater() {
    let hashes = Algorithm::ALL.map(Algorithm::hash);
    assert!(hashes.is_sorted());
    assert_eq!(hashes[0], Hash::Md5);
    assert_eq!(hashes[6], Hash::Sha512T256);
}

#[test]
fn qualities_are_known_by_name_in_any_case() {
    assert_eq!(Qop::named("AUTH"), Some(Qop::Auth));
    assert_eq!(Qop::named("Auth-Int"), Some(Qop::AuthInt));
    assert_eq!(Qop::named("auth-conf"), None);
    assert_eq!(Qop::named(""), None);
}
