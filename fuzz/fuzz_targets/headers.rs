//! Any bytes as the value of every typed header: what is read is written, reads again as the same,
//! and holds no line end that would begin another header field.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sip_message::{
    Accept, AcceptEncoding, AcceptLanguage, AlertInfo, Allow, AllowEvents, AuthenticationInfo,
    Authorization, CSeq, CallId, CallInfo, Contact, ContentDisposition, ContentEncoding,
    ContentLanguage, ContentLength, ContentType, Date, ErrorInfo, Event, Expires, FlowTimer, From,
    Header, InReplyTo, Join, MaxBreadth, MaxForwards, MimeVersion, MinExpires, MinSe, NameAddr,
    Organization, Params, Path, Priority, ProxyAuthenticate, ProxyAuthorization, ProxyRequire,
    RAck, RSeq, RecordRoute, ReferEventsAt, ReferSub, ReferTo, ReferredBy, Replaces, ReplyTo,
    Require, RetryAfter, Route, Server, ServiceRoute, SessionExpires, SipEtag, SipIfMatch, Subject,
    SubscriptionState, Supported, SuppressIfMatch, TargetDialog, Timestamp, To, Unsupported, Uri,
    UserAgent, Via, Warning, WwwAuthenticate, values,
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
        AcceptEncoding |a| { a.elements().for_each(|element| params(element.params())); let _ = a.accepts("gzip"); },
        AcceptLanguage |a| { assert_eq!(a.is_empty(), a.elements().count() == 0); let _ = a.quality("en-gb"); },
        AlertInfo |a| { uri_is_sound(&a.uri()); params(a.params()); },
        Allow |a| assert_eq!(a.is_empty(), a.iter().count() == 0),
        AllowEvents |a| { let _ = a.contains("x"); },
        AuthenticationInfo |a| { assert!(a.params().count() > 0); let _ = (a.nextnonce(), a.rspauth(), a.nc()); },
        Authorization |a| { let _ = (a.params().count(), a.username(), a.uri(), a.nc()); },
        CSeq |c| assert!(c.number() <= CSeq::MAX),
        CallId |c| assert!(!c.as_str().is_empty()),
        CallInfo |c| { uri_is_sound(&c.uri()); assert!(c.purpose().is_none_or(|purpose| !purpose.is_empty())); },
        Contact |c| match c.as_name_addr() {
            Some(address) => { address_is_sound(address); let _ = (c.q(), c.expires()); }
            None => assert!(c.is_star()),
        },
        ContentDisposition |c| { assert!(!c.disposition_type().is_empty()); let _ = c.is_required(); params(c.params()); },
        ContentEncoding |c| { let _ = c.contains("gzip"); },
        ContentLanguage |c| { let _ = c.contains("fr"); },
        ContentLength |_| {},
        ContentType |c| { assert!(!c.kind().is_empty() && !c.subtype().is_empty()); params(c.params()); },
        Date |d| { let _ = d.unix(); },
        ErrorInfo |e| uri_is_sound(&e.uri()),
        Event |e| { assert!(e.matches(e) && e.event_type().starts_with(e.package())); let _ = e.templates().count(); },
        Expires |_| {},
        FlowTimer |_| {},
        From |f| address_is_sound(f.as_name_addr()),
        InReplyTo |i| i.call_ids().for_each(|id| assert!(!id.is_empty())),
        Join |j| assert!(j.matches(j.call_id(), Some(j.to_tag()), Some(j.from_tag()))),
        MaxBreadth |_| {},
        MaxForwards |_| {},
        MimeVersion |_| {},
        MinExpires |_| {},
        MinSe |m| { let _ = m.seconds(); params(m.params()); },
        Organization |o| { let _ = o.text(); },
        Path |p| address_is_sound(p.as_name_addr()),
        Priority |p| assert!(!p.as_str().is_empty()),
        ProxyAuthenticate |p| { let _ = (p.realm(), p.offers_qop("auth"), p.stale()); },
        ProxyAuthorization |p| { let _ = (p.realm(), p.opaque_text()); },
        ProxyRequire |p| { let _ = p.contains("x"); },
        RAck |r| assert!(r.cseq().number() <= CSeq::MAX),
        RSeq |_| {},
        RecordRoute |r| address_is_sound(r.as_name_addr()),
        ReferEventsAt |r| uri_is_sound(&r.uri()),
        ReferSub |r| assert_eq!(r.subscribes(), r.as_bytes()[0].eq_ignore_ascii_case(&b't')),
        ReferTo |r| address_is_sound(r.as_name_addr()),
        ReferredBy |r| { address_is_sound(r.as_name_addr()); let _ = r.cid(); },
        Replaces |r| assert!(r.matches(r.call_id(), Some(r.to_tag()), Some(r.from_tag()))),
        ReplyTo |r| address_is_sound(r.as_name_addr()),
        Require |r| { let _ = r.contains("x"); },
        RetryAfter |r| { let _ = (r.comment(), r.duration()); params(r.params()); },
        Route |r| address_is_sound(r.as_name_addr()),
        Server |s| { let _ = s.text(); },
        ServiceRoute |s| address_is_sound(s.as_name_addr()),
        SessionExpires |s| { assert_eq!(s.refresher().is_some(), s.param("refresher").is_some()); let _ = s.seconds(); },
        SipEtag |s| assert!(!s.as_str().is_empty()),
        SipIfMatch |s| assert!(!s.as_str().is_empty()),
        Subject |s| { let _ = s.text(); },
        SubscriptionState |s| { let _ = (s.expires(), s.reason(), s.retry_after()); },
        Supported |s| { let _ = s.contains("x"); },
        SuppressIfMatch |s| assert!(!s.as_str().is_empty()),
        TargetDialog |t| { assert!(!t.call_id().is_empty()); let _ = (t.local_tag(), t.remote_tag()); },
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
    uri_is_sound(&address.uri());
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

fn uri_is_sound(uri: &Uri<'_>) {
    assert_eq!(Uri::parse(uri.as_bytes()).as_ref(), Ok(uri));
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
