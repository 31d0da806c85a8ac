use super::{HeaderName, Id, TABLE};
use alloc::string::ToString;
use core::hash::{Hash, Hasher};

#[test]
fn every_standard_name_is_found_in_any_case() {
    for (name, text, _) in TABLE.iter() {
        assert_eq!(name.as_str(), *text);
        for spelling in [text.to_string(), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
            let found = HeaderName::from_bytes(spelling.as_bytes()).unwrap();
            assert_eq!(found, *name, "{spelling}");
            assert_ne!(found.id(), Id::OTHER, "{spelling}");
        }
    }
}

#[test]
fn all_of_rfc_3261_section_20_is_in_the_table() {
    let section_20 = "Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info \
        Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding \
        Content-Language Content-Length Content-Type CSeq Date Error-Info Expires From In-Reply-To \
        Max-Forwards Min-Expires MIME-Version Organization Priority Proxy-Authenticate \
        Proxy-Authorization Proxy-Require Record-Route Reply-To Require Retry-After Route Server \
        Subject Supported Timestamp To Unsupported User-Agent Via Warning WWW-Authenticate";
    assert_eq!(section_20.split_whitespace().count(), 44);
    for name in section_20.split_whitespace() {
        assert!(TABLE.iter().any(|entry| entry.1 == name), "{name}");
    }
}

#[test]
fn compact_forms_are_those_of_the_registry() {
    let registry = [
        ('a', "Accept-Contact"),
        ('b', "Referred-By"),
        ('c', "Content-Type"),
        ('d', "Request-Disposition"),
        ('e', "Content-Encoding"),
        ('f', "From"),
        ('i', "Call-ID"),
        ('j', "Reject-Contact"),
        ('k', "Supported"),
        ('l', "Content-Length"),
        ('m', "Contact"),
        ('o', "Event"),
        ('r', "Refer-To"),
        ('s', "Subject"),
        ('t', "To"),
        ('u', "Allow-Events"),
        ('v', "Via"),
        ('x', "Session-Expires"),
        ('y', "Identity"),
    ];
    for letter in 'a'..='z' {
        let expected = registry.iter().find(|entry| entry.0 == letter).map(|entry| entry.1);
        for spelling in [letter.to_string(), letter.to_ascii_uppercase().to_string()] {
            let name = HeaderName::from_bytes(spelling.as_bytes()).unwrap();
            assert_eq!(name.as_str(), expected.unwrap_or(&spelling));
            if expected.is_some() {
                assert_eq!(name.compact(), Some(letter as u8));
            }
        }
    }
    assert_eq!(TABLE.iter().filter(|entry| entry.0.compact().is_some()).count(), registry.len());
}

#[test]
fn other_names_keep_their_case_and_compare_without_it() {
    let name = HeaderName::from_bytes(b"X-Tenant").unwrap();
    assert_eq!(name.as_str(), "X-Tenant");
    assert_eq!(name, HeaderName::Other("x-tenant"));
    assert_ne!(name, HeaderName::Other("x-tenants"));
    assert_eq!(hash(name), hash(HeaderName::Other("x-TENANT")));
    assert_eq!(name.compact(), None);
}

#[test]
fn what_is_no_token_is_no_name() {
    for bad in [&b""[..], b"To ", b"T:o", b"a\rb", b"\xff", b"(x)"] {
        assert_eq!(HeaderName::from_bytes(bad), None, "{bad:?}");
    }
}

fn hash(name: HeaderName<'_>) -> u64 {
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn each_name_has_a_bucket_of_its_own() {
    let own = TABLE.iter().filter(|(name, text, _)| {
        let text = text.as_bytes();
        let (first, last) = (text[0], text[text.len() - 1]);
        let bucket = super::bucket(text.len(), first, text[text.len() / 2], last);
        super::BUCKETS[usize::from(bucket)] == name.id()
    });
    // A name that is added may share one: then it is time to look for another number.
    assert_eq!(own.count(), TABLE.len());
}
