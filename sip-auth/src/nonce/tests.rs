use super::*;

use alloc::format;

const NOW: Duration = Duration::from_millis(1_700_000_000_123);
const LIFE: Duration = Duration::from_secs(300);

fn keys(bytes: u8) -> Keys {
    Keys { current: NonceKey::new(&[bytes; 32]).unwrap(), previous: None }
}

fn scope<'a>(realm: &'a str, algorithm: Algorithm, call_id: &'a str, source: &'a str) -> Scope<'a> {
    Scope { realm, algorithm, call_id: call_id.as_bytes(), source: source.as_bytes(), asked: b"" }
}

#[test]
fn a_nonce_tells_when_it_was_made() {
    let (keys, scope) = (keys(1), scope("r", Algorithm::MD5, "", ""));
    let nonce = NonceId::make(&keys, &scope, NOW, 7);
    assert_eq!(nonce.len(), 60);
    let id = NonceId::judge(&nonce, &keys, &scope, NOW, LIFE).unwrap();
    assert_eq!(id.made(), NOW);
    assert_eq!(id.as_bytes().len(), 30);
    assert!(!format!("{id:?}").contains(&nonce[..20]));
    assert_ne!(nonce, NonceId::make(&keys, &scope, NOW, 8), "random bits");
    let judge = |now| NonceId::judge(&nonce, &keys, &scope, now, LIFE);
    assert_eq!(judge(NOW + LIFE), Ok(id));
    assert_eq!(judge(NOW + LIFE + Duration::from_millis(1)), Err(Bad::Old));
    // Another server's clock may be ahead, but not by an hour.
    assert_eq!(judge(NOW - MAX_SKEW), Ok(id));
    assert_eq!(judge(NOW - MAX_SKEW - Duration::from_millis(1)), Err(Bad::Old));
}

#[test]
fn a_nonce_is_good_for_one_thing() {
    let keys = keys(1);
    let all = [
        scope("r", Algorithm::MD5, "", ""),
        scope("r", Algorithm::SHA_256, "", ""),
        scope("r", Algorithm::MD5_SESS, "", ""),
        scope("s", Algorithm::MD5, "", ""),
        scope("r", Algorithm::MD5, "1", ""),
        scope("r", Algorithm::MD5, "", "1"),
        scope("r", Algorithm::MD5, "11", ""),
        scope("r", Algorithm::MD5, "1", "1"),
    ];
    for (made_for, made) in all.iter().enumerate() {
        let nonce = NonceId::make(&keys, made, NOW, 7);
        for (used_for, used) in all.iter().enumerate() {
            let judged = NonceId::judge(&nonce, &keys, used, NOW, LIFE);
            assert_eq!(judged.is_ok(), made_for == used_for, "{made_for} {used_for}");
            assert!(judged.is_ok() || judged == Err(Bad::Foreign));
        }
    }
}

#[test]
fn every_changed_digit_is_noticed() {
    let (keys, scope) = (keys(1), scope("r", Algorithm::MD5, "", ""));
    let nonce = NonceId::make(&keys, &scope, NOW, 0x0123_4567_89ab_cdef);
    let judge = |nonce: &str| NonceId::judge(nonce, &keys, &scope, NOW, LIFE);
    for at in 0..nonce.len() {
        for digit in ["0", "f", "F", "g", " "] {
            let mut changed = nonce.clone();
            changed.replace_range(at..=at, digit);
            assert_eq!(judge(&changed).is_ok(), changed == nonce, "{changed}");
        }
    }
    for other in
        ["", "0", &nonce[1..], &nonce.to_uppercase(), &format!("{nonce}0"), &"ö".repeat(30)]
    {
        assert_eq!(judge(other), Err(Bad::Foreign), "{other}");
    }
}

#[test]
fn keys_are_long_and_secret() {
    assert_eq!(NonceKey::new(&[1; 31]).err(), Some(ShortKey));
    assert_eq!(format!("{:?}", NonceKey::new(&[1; 100]).unwrap()), "NonceKey(…)");
    let (one, two) = (keys(1), keys(2));
    let scope = scope("r", Algorithm::MD5, "", "");
    let nonce = NonceId::make(&one, &scope, NOW, 7);
    assert_eq!(NonceId::judge(&nonce, &two, &scope, NOW, LIFE), Err(Bad::Foreign));
    let rotated = Keys { previous: Some(one.current), ..two };
    assert!(NonceId::judge(&nonce, &rotated, &scope, NOW, LIFE).is_ok());
}
