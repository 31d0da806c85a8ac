use super::*;

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = contents.len();
    let mut text = vec![tag];
    match len {
        0..0x80 => text.push(len as u8),
        0x80..0x100 => text.extend([0x81, len as u8]),
        _ => text.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    text.extend_from_slice(contents);
    text
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// As much of a certificate as is read; the lengths of the names take each form.
fn certificate(common_names: &[&str], alternative: Option<&[(u8, &[u8])]>) -> Vec<u8> {
    let subject: Vec<_> = common_names
        .iter()
        .map(|name| {
            let id = element(OBJECT_IDENTIFIER, COMMON_NAME);
            element(SET, &sequence(&[id, element(0x0c, name.as_bytes())]))
        })
        .collect();
    let mut fields = vec![
        element(VERSION, &element(INTEGER, &[2])),
        element(INTEGER, &[1]),
        sequence(&[]),
        sequence(&[]),
        sequence(&[]),
        sequence(&subject),
        sequence(&[]),
    ];
    if let Some(alternative) = alternative {
        let names: Vec<_> = alternative.iter().map(|(tag, name)| element(*tag, name)).collect();
        let other = [element(OBJECT_IDENTIFIER, &[0x55, 0x1d, 0x0f]), element(OCTET_STRING, &[])];
        let extension = [
            element(OBJECT_IDENTIFIER, SUBJECT_ALTERNATIVE_NAME),
            element(0x01, &[0xff]), // critical
            element(OCTET_STRING, &sequence(&names)),
        ];
        let extensions = sequence(&[sequence(&other), sequence(&extension)]);
        fields.push(element(EXTENSIONS, &extensions));
    }
    sequence(&[sequence(&fields), sequence(&[]), element(0x03, &[0])])
}

fn domains(certificate: &[u8]) -> Vec<String> {
    Identities::of(certificate).into_domains().map(String::from).collect()
}

#[test]
fn names_of_each_kind() {
    let long = format!("{}.example.com", ["a23456789"; 20].join("."));
    let both = certificate(
        &["cn.example.com"],
        Some(&[(DNS_NAME, b"A.example.com"), (DNS_NAME, long.as_bytes())]),
    );
    assert_eq!(domains(&both), ["a.example.com".to_owned(), long]);
    let uris: [(u8, &[u8]); 4] = [
        (URI, b"sip:b.example.com:5061;transport=tls"),
        (URI, b"sip:c@example.com"),
        (URI, b"sips:d.example.com"),
        (DNS_NAME, b"e.example.com"),
    ];
    assert_eq!(domains(&certificate(&[], Some(&uris))), ["b.example.com"]);
    assert_eq!(domains(&certificate(&["one.test", "two.test"], None)), ["two.test"]);
    for no_name in ["Example Inc.", "*.example.com", "", "a\0b.example.com"] {
        assert_eq!(domains(&certificate(&[no_name], None)), [""; 0], "{no_name:?}");
    }
    assert_eq!(domains(&certificate(&["cn.example.com"], Some(&[]))), [""; 0], "it appears");
}

#[test]
fn a_wildcard_fits_only_itself() {
    let wild = Identities::of(&certificate(&[], Some(&[(DNS_NAME, b"*.example.com")])));
    assert_eq!(wild.prove("a.example.com"), Err(TlsError::Wildcard));
    assert_eq!(wild.prove("example.com"), Err(TlsError::WrongDomain));
    assert_eq!(wild.prove("*.example.com"), Ok(()));
    assert_eq!(wild.into_domains().count(), 0, "no domain that a peer could be of");
}

#[test]
fn a_final_dot_makes_no_difference() {
    let own = Identities::of(&certificate(&[], Some(&[(DNS_NAME, b"example.com")])));
    assert_eq!(own.prove("Example.com."), Ok(()));
    assert_eq!(own.prove("example.com.."), Err(TlsError::WrongDomain));
}

#[test]
fn a_certificate_cut_or_changed_anywhere_names_nothing_else() {
    let whole = certificate(&[], Some(&[(DNS_NAME, b"example.com"), (URI, b"sip:example.com")]));
    for len in 0..whole.len() {
        assert_eq!(domains(&whole[..len]), [""; 0], "{len}");
    }
    for at in 0..whole.len() {
        for bits in [0x01, 0x02, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= bits;
            let _ = Identities::of(&changed).prove("example.com");
        }
    }
}
