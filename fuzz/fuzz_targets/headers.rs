//! Any bytes as the value of every typed header: what is read is written, reads again as the same,
//! and holds no line end that would begin another header field.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sip_message::{
    Accept, Allow, Authorization, CSeq, CallId, Contact, ContentLength, ContentType, Date, Expires,
    From, Header, MaxForwards, MinExpires, NameAddr, Organization, Params, ProxyAuthenticate,
    ProxyAuthorization, ProxyRequire, RecordRoute, ReferTo, ReplyTo, Require, RetryAfter, Route,
    Server, Subject, Supported, Timestamp, To, Unsupported, UserAgent, Via, Warning,
    WwwAuthenticate, values,
};

macro_rules! read_write_read {
    ($field:expr; $($header:ident $see:expr),* $(,)?) => { $(
        for value in values::<$header>($field) {
            let value = match value {
                Ok(value) => value,
                Err(error) => {
                    assert!(error.offset() <= $field.len(), "{error}");
                    break;
                }
            };
            let mut out = BytesMut::new();
            value.write(&mut out);
            assert!(folds_only(&out), "{out:?}");
            assert_eq!($header::parse(&out).as_ref(), Ok(&value), "{out:?}");
            let see: fn(&$header) = $see;
            see(&value);
        }
    )* };
}

fuzz_target!(|data: &[u8]| {
    read_write_read!(data;
        Accept |a| { a.ranges().for_each(|range| params(range.params())); },
        Allow |a| assert_eq!(a.is_empty(), a.iter().count() == 0),
        Authorization |a| { let _ = (a.params().count(), a.username(), a.uri(), a.nc()); },
        CSeq |c| assert!(c.number() <= CSeq::MAX),
        CallId |c| assert!(!c.as_str().is_empty()),
        Contact |c| match c.as_name_addr() {
            Some(address) => { address_is_sound(address); let _ = (c.q(), c.expires()); }
            None => assert!(c.is_star()),
        },
        ContentLength |_| {},
        ContentType |c| { assert!(!c.kind().is_empty() && !c.subtype().is_empty()); params(c.params()); },
        Date |d| { let _ = d.unix(); },
        Expires |_| {},
        From |f| address_is_sound(f.as_name_addr()),
        MaxForwards |_| {},
        MinExpires |_| {},
        Organization |o| { let _ = o.text(); },
        ProxyAuthenticate |p| { let _ = (p.realm(), p.offers_qop("auth"), p.stale()); },
        ProxyAuthorization |p| { let _ = (p.realm(), p.opaque_text()); },
        ProxyRequire |p| { let _ = p.contains("x"); },
        RecordRoute |r| address_is_sound(r.as_name_addr()),
        ReferTo |r| address_is_sound(r.as_name_addr()),
        ReplyTo |r| address_is_sound(r.as_name_addr()),
        Require |r| { let _ = r.contains("x"); },
        RetryAfter |r| { let _ = (r.comment(), r.duration()); params(r.params()); },
        Route |r| address_is_sound(r.as_name_addr()),
        Server |s| { let _ = s.text(); },
        Subject |s| { let _ = s.text(); },
        Supported |s| { let _ = s.contains("x"); },
        Timestamp |t| { assert!(!t.time().is_empty()); let _ = t.delay(); },
        To |t| address_is_sound(t.as_name_addr()),
        Unsupported |u| { let _ = u.contains("x"); },
        UserAgent |u| { let _ = u.text(); },
        Via |v| {
            assert!(!v.sent_by().is_empty() && !v.transport_str().is_empty() && !v.host_str().is_empty());
            assert!(v.branch().is_none_or(|branch| !branch.is_empty()));
            let _ = (v.host(), v.received(), v.maddr(), v.ttl());
            params(v.params());
            let stamped = v.with_param("received", Some("2001:db8::1"));
            assert_eq!(stamped.expect("an address").received(), "2001:db8::1".parse().ok());
        },
        Warning |w| { assert!((100..1000).contains(&w.code()) && !w.agent().is_empty()); let _ = w.text(); },
        WwwAuthenticate |w| { let _ = (w.params().count(), w.domain(), w.algorithm()); },
    );
});

fn address_is_sound(address: &NameAddr<'_>) {
    assert_eq!(sip_message::Uri::parse(address.uri().as_bytes()), Ok(address.uri()));
    assert!(address.tag().is_none_or(|tag| !tag.is_empty()));
    let _ = address.display_name();
    params(address.params());
    let tagged = address.with_tag("fuzz").expect("a token");
    assert_eq!((tagged.tag(), tagged.uri()), (Some("fuzz"), address.uri()));
    let named = address.with_display_name("a\"b\\").expect("no line end");
    assert_eq!((named.display_name().as_deref(), named.uri()), (Some("a\"b\\"), address.uri()));
    assert_eq!(named.params().count(), address.params().count());
    assert_eq!(address.without_params().params().count(), 0);
}

fn params(params: Params<'_>) {
    for param in params {
        assert!(!param.name().is_empty());
        let _ = param.value();
    }
}

/// Whether every line end is followed by white space.
fn folds_only(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        rest = match &rest[at..] {
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] | [b'\n', b' ' | b'\t', tail @ ..] => tail,
            _ => return false,
        };
    }
    true
}
