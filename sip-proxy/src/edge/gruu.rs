//! GRUUs (RFC 5627): addresses of one instance of a user agent, that work from anywhere for as long as it is
//! registered.
//!
//! ```text
//!   public      sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6
//!   temporary   sip:tgruu.SEALED@example.com;gr
//!                         moment 6 | salt 4 | kind 1 | instance 16, or 1 and its length | address-of-record
//! ```
//!
//! No table is kept: a temporary GRUU says itself what it stands for and when it was made, to those who have the
//! key. Since when those of an instance count is kept with its bindings: from that moment on until the last one ends.

use core::time::Duration;
use std::sync::Arc;

use sip_message::{Gruu, Uri};

use super::seal::{EdgeKeys, Purpose};
use crate::Aor;

const PREFIX: &str = "tgruu.";

/// How the instance is written in a temporary GRUU: as 16 bytes, or as text.
const UUID: u8 = 0;
const TEXT: u8 = 1;

/// Makes temporary GRUUs and reads them, for all nodes that share the keys.
#[derive(Clone, Debug)]
pub struct Gruus {
    keys: Arc<EdgeKeys>,
}

/// Whom a Request-URI of a domain of ours is for: everything that is registered for an address-of-record, or one
/// instance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    aor: Aor,
    pub(super) instance: Option<Box<str>>,
    /// When a temporary GRUU was made.
    pub(super) made: Option<Duration>,
}

impl Addressed {
    /// Whom this URI is for; `None` for a scheme that names no address-of-record, and for a temporary GRUU that was
    /// not made with a key that is known: 404 is owed.
    // RFC 5627 §6.1: "If it contains the "gr" URI
    // parameter but is not equivalent, based on URI comparison, to a
    // currently valid GRUU within the domain, it SHOULD be rejected with a
    // 404 (Not Found) response"
    #[must_use]
    pub fn of(uri: &Uri<'_>, gruus: Option<&Gruus>) -> Option<Self> {
        match uri.gruu() {
            None => Some(Self { aor: Aor::of(uri)?, instance: None, made: None }),
            Some(Gruu::Public(instance)) => {
                Some(Self { aor: Aor::of(uri)?, instance: Some((&*instance).into()), made: None })
            }
            Some(Gruu::Temporary) => gruus?.read(uri),
        }
    }

    /// The address-of-record whose bindings are to be looked up.
    #[must_use]
    pub fn aor(&self) -> &Aor {
        &self.aor
    }

    /// The instance that a GRUU is for.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
}

/// The public GRUU of an instance; `None` if it cannot be written as one.
// RFC 5627 §5.1: "The public GRUU MUST be
// constructed by adding the "gr" URI parameter, with a value, to the
// AOR."
pub(crate) fn public(aor: &Aor, instance: &str, is_secure: bool) -> Option<Uri<'static>> {
    aor.uri(is_secure)?.with_param("gr", Some(instance)).ok()
}

impl Gruus {
    /// With these keys. While temporary GRUUs of a key are in use, it must stay known.
    #[must_use]
    pub fn new(keys: EdgeKeys) -> Self {
        Self { keys: Arc::new(keys) }
    }

    /// Another temporary GRUU of an instance, made at this moment; `None` if it cannot be written as one.
    // RFC 5627 §5.1: "Given a pair of GRUUs, it MUST be computationally infeasible to
    // determine whether they were issued for the same AOR or instance
    // ID or for different AORs and instance IDs."
    pub(crate) fn temporary(
        &self,
        aor: &Aor,
        instance: &str,
        made: Duration,
        salt: u32,
        is_secure: bool,
    ) -> Option<Uri<'static>> {
        let millis = u64::try_from(made.as_millis()).ok()?.to_be_bytes();
        let mut plain = Vec::with_capacity(96);
        plain.extend_from_slice(millis.get(2..)?);
        plain.extend_from_slice(&salt.to_be_bytes());
        match uuid_of(instance) {
            Some(uuid) => {
                plain.push(UUID);
                plain.extend_from_slice(&uuid);
            }
            None => {
                plain.push(TEXT);
                plain.push(u8::try_from(instance.len()).ok()?);
                plain.extend_from_slice(instance.as_bytes());
            }
        }
        plain.extend_from_slice(aor.as_str().as_bytes());
        let user = format!("{PREFIX}{}", self.keys.seal(Purpose::Gruu, &plain));
        aor.uri(is_secure)?.with_user(&user).ok()?.with_param("gr", None).ok()
    }

    fn read(&self, uri: &Uri<'_>) -> Option<Addressed> {
        let sealed = uri.user()?.strip_prefix(PREFIX)?;
        let plain = self.keys.open(Purpose::Gruu, sealed)?;
        let (millis, rest) = plain.split_first_chunk::<6>()?;
        let made = millis.iter().fold(0, |made, byte| made << 8 | u64::from(*byte));
        let (_salt, rest) = rest.split_first_chunk::<4>()?;
        let (instance, aor) = match rest.split_first()? {
            (&UUID, rest) => {
                let (uuid, aor) = rest.split_first_chunk::<16>()?;
                (urn_of(*uuid), aor)
            }
            (&TEXT, rest) => {
                let (length, rest) = rest.split_first()?;
                let (instance, aor) = rest.split_at_checked(usize::from(*length))?;
                (core::str::from_utf8(instance).ok()?.to_owned(), aor)
            }
            _ => return None,
        };
        let aor = Aor::from_kept(core::str::from_utf8(aor).ok()?);
        let made = Some(Duration::from_millis(made));
        Some(Addressed { aor, instance: Some(instance.into()), made })
    }
}

/// The number of `urn:uuid:…`, if it is written as [`urn_of`] writes it.
fn uuid_of(instance: &str) -> Option<[u8; 16]> {
    let digits: String = instance.strip_prefix("urn:uuid:")?.split('-').collect();
    let uuid = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    (urn_of(uuid) == instance).then_some(uuid)
}

/// RFC 4122 §3.
fn urn_of(uuid: [u8; 16]) -> String {
    let mut text = String::from("urn:uuid:");
    for (byte, at) in uuid.into_iter().zip(0..) {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::seal::EdgeKey;
    use super::*;

    const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    const AT: Duration = Duration::from_millis(1_800_000_000_123);

    fn gruus(key: u8) -> Gruus {
        Gruus::new(EdgeKeys::new(EdgeKey::new(&[key; 32]).unwrap()))
    }

    fn aor(uri: &str) -> Aor {
        Aor::of(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_public_gruu_is_the_aor_with_the_instance() {
        let uri = public(&aor("sip:callee@example.com"), INSTANCE, false).unwrap();
        assert_eq!(uri.to_string(), format!("sip:callee@example.com;gr={INSTANCE}"));
        let addressed = Addressed::of(&uri, None).unwrap();
        assert_eq!(
            (addressed.aor().as_str(), addressed.instance()),
            ("callee@example.com", Some(INSTANCE))
        );
        // What needs an escape, in either place.
        let odd = public(&aor("sip:a%3bb@[2001:db8::1]:5070"), "urn:x:a b;c", true).unwrap();
        assert_eq!(odd.to_string(), "sips:a;b@[2001:db8::1]:5070;gr=urn:x:a%20b%3Bc");
        assert_eq!(Addressed::of(&odd, None).unwrap().instance(), Some("urn:x:a b;c"));
    }

    #[test]
    fn a_temporary_gruu_says_all_to_us_and_nothing_to_others() {
        let gruus = gruus(1);
        for (of, instance) in [
            ("sip:callee@example.com", INSTANCE),
            ("sip:callee@example.com", "urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6"),
            ("sip:a%40b@example.com:5070", "urn:imei:90420156-025763-0"),
            ("sip:example.com", INSTANCE),
        ] {
            let uri = gruus.temporary(&aor(of), instance, AT, 7, false).unwrap();
            let addressed = Addressed::of(&uri, Some(&gruus)).unwrap();
            assert_eq!(
                addressed,
                Addressed { aor: aor(of), instance: Some(instance.into()), made: Some(AT) }
            );
            assert!(uri.to_string().starts_with("sip:tgruu.") && uri.to_string().ends_with(";gr"));
            assert!(!uri.to_string().contains("callee") && uri.as_str().len() < 160, "{uri}");
        }
    }

    /// RFC 5627 §5.1: the two properties.
    #[test]
    fn no_two_temporary_gruus_are_equal_or_alike() {
        let gruus = gruus(1);
        let mut seen = std::collections::HashSet::new();
        for of in ["sip:callee@example.com", "sip:calles@example.com"] {
            for salt in 0..50 {
                for later in 0..5 {
                    let at = AT + Duration::from_millis(later);
                    let uri = gruus.temporary(&aor(of), INSTANCE, at, salt, false).unwrap();
                    let user = uri.user().unwrap().to_owned();
                    // Nothing of one is in the same place of another, beyond chance.
                    assert!(
                        seen.insert(user[6..26].to_owned()) && seen.insert(user[26..46].to_owned())
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_forged_is_nobodys() {
        let gruus = gruus(1);
        let uri = gruus.temporary(&aor("sip:callee@example.com"), INSTANCE, AT, 7, false).unwrap();
        assert_eq!(Addressed::of(&uri, None), None);
        assert_eq!(Addressed::of(&uri, Some(&self::gruus(2))), None);
        for forged in ["tgruu.", "tgruu.AAAA", "callee", &uri.user().unwrap()[..40]] {
            let uri = format!("sip:{forged}@example.com;gr").parse().unwrap();
            assert_eq!(Addressed::of(&uri, Some(&gruus)), None, "{forged}");
        }
        // Under another name it is still what it is.
        let elsewhere = uri.with_host("other.example").unwrap();
        assert_eq!(
            Addressed::of(&elsewhere, Some(&gruus)).unwrap().aor().as_str(),
            "callee@example.com"
        );
        assert_eq!(Addressed::of(&"tel:+1555".parse().unwrap(), Some(&gruus)), None);
    }
}
