//! What every typed header promises of any bytes.

use super::list::every_header;
use super::*;

/// Whatever is read can be written and read again, and is then the same; nothing written holds a
/// line end that folds nothing. A macro, since each `$header` is read with several lifetimes.
macro_rules! promises {
    ($text:expr; $($header:ident),* $(,)?) => { $({
        let field: &[u8] = $text;
        let mut next = Some(0);
        while let Some(start) = next.take() {
            let rest = field.get(start..).expect("a value begins within its field");
            let (value, after) = match $header::parse_first(rest) {
                Ok(found) => found,
                Err(error) => {
                    assert!(error.offset() <= rest.len(), "{error:?} in {rest:?}");
                    assert_eq!(error.header(), $header::NAME);
                    break;
                }
            };
            let mut out = BytesMut::new();
            value.write(&mut out);
            assert!(crate::scan::folds_only(&out).is_ok(), "{out:?}");
            assert_eq!($header::parse(&out).as_ref(), Ok(&value), "{out:?}");
            let cut = crate::scan::first_comma(rest);
            if let Some(after) = after {
                // A proxy that takes the first value off must cut where the parser does.
                assert!($header::LIST);
                assert_eq!(cut.and_then(|comma| comma.checked_add(1)), Some(after), "{rest:?}");
                next = start.checked_add(after);
            } else if $header::LIST {
                assert_eq!(cut, None, "{rest:?}");
            }
        }
    })* };
}

/// The name that each stands for.
macro_rules! names {
    (; $($header:ident),* $(,)?) => { [$(<$header as Header>::NAME),*] };
}

pub(super) fn check(text: &[u8]) {
    every_header!(promises!(text));
}

#[test]
fn every_standard_name_has_its_type() {
    let typed = every_header!(names!());
    let bare: Vec<_> = HeaderName::standard().filter(|name| !typed.contains(name)).collect();
    assert_eq!(bare, []);
    for (at, name) in typed.iter().enumerate() {
        assert!(!typed.iter().skip(at + 1).any(|other| other == name), "{name} twice");
    }
    let of_rfc_3261 = "Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info \
        Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding \
        Content-Language Content-Length Content-Type CSeq Date Error-Info Expires From \
        In-Reply-To Max-Forwards Min-Expires MIME-Version Organization Priority \
        Proxy-Authenticate Proxy-Authorization Proxy-Require Record-Route Reply-To Require \
        Retry-After Route Server Subject Supported Timestamp To Unsupported User-Agent Via \
        Warning WWW-Authenticate";
    assert_eq!(of_rfc_3261.split_whitespace().count(), 44);
    for name in of_rfc_3261.split_whitespace() {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a token");
        assert!(typed.contains(&name), "{name}");
    }
}
