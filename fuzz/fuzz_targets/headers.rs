//! Any bytes as the value of a typed header: what is read is written, reads again as the same, and
//! holds no line end that would begin another header field; its parts are sound.
//!
//! An input is a header field line. Where its name is that of no type, its first byte picks one.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use list::every_header;
use sip_message::*;

#[path = "../../sip-message/src/headers/tests/list.rs"]
mod list;

fuzz_target!(|data: &[u8]| {
    let colon = data.iter().position(|&byte| byte == b':').unwrap_or(data.len());
    let (name, value) = data.split_at(colon);
    let named = HeaderName::from_bytes(name)
        .and_then(|name| CHECKS.iter().find(|(header, _)| *header == name));
    let ((name, check), field) = match (named, data.split_first()) {
        (Some(check), _) => (check, value.get(1..).unwrap_or_default()),
        (None, Some((&first, rest))) => (&CHECKS[usize::from(first) % CHECKS.len()], rest),
        (None, None) => return,
    };
    check(field);
    for (_, look) in PARTS.iter().filter(|(header, _)| header == name) {
        look(field);
    }
});

type Check = (HeaderName<'static>, fn(&[u8]));

macro_rules! read_write_read {
    (; $($header:ident),* $(,)?) => {
        /// What every type promises.
        const CHECKS: &[Check] = &[$(($header::NAME, |field| {
            for value in values::<$header>(field) {
                let value = match value {
                    Ok(value) => value,
                    Err(error) => {
                        assert!(error.offset() <= field.len(), "{error}");
                        assert_eq!(error.header(), $header::NAME);
                        break;
                    }
                };
                let mut out = BytesMut::new();
                value.write(&mut out);
                assert!(folds_only(&out), "{out:?}");
                assert_eq!($header::parse(&out).as_ref(), Ok(&value), "{out:?}");
                let _ = format!("{value} {value:?}");
            }
        })),*];
    };
}

every_header!(read_write_read!());

macro_rules! parts {
    ($($header:ident $see:expr),* $(,)?) => {
        /// What the parts of some promise besides.
        const PARTS: &[Check] = &[$(($header::NAME, |field| {
            let see: fn(&$header) = $see;
            values::<$header>(field).filter_map(Result::ok).for_each(|value| see(&value));
        })),*];
    };
}

parts! {
    Accept |a| { a.ranges().for_each(|range| params(range.params())); },
    AcceptContact |a| { let _ = (a.require(), a.explicit()); features(a.params()); },
    AcceptEncoding |a| { a.elements().for_each(|element| params(element.params())); let _ = a.accepts("gzip"); },
    AcceptLanguage |a| { assert_eq!(a.is_empty(), a.elements().count() == 0); let _ = a.quality("en-gb"); },
    AcceptResourcePriority |a| assert!(a.values().all(|(namespace, priority)| !namespace.is_empty() && !priority.is_empty())),
    AlertInfo |a| { uri_is_sound(&a.uri()); params(a.params()); },
    Allow |a| assert_eq!(a.is_empty(), a.iter().count() == 0),
    AllowEvents |a| { let _ = a.contains("x"); },
    AnswerMode |a| { assert!(!a.mode().is_empty() && !(a.is_auto() && a.is_manual())); params(a.params()); },
    AuthenticationInfo |a| { assert!(a.params().count() > 0); let _ = (a.nextnonce(), a.rspauth(), a.nc()); },
    Authorization |a| { let _ = (a.params().count(), a.username(), a.uri(), a.nc()); },
    CSeq |c| assert!(c.number() <= CSeq::MAX),
    CallId |c| assert!(!c.as_str().is_empty()),
    CallInfo |c| { uri_is_sound(&c.uri()); assert!(c.purpose().is_none_or(|purpose| !purpose.is_empty())); },
    Contact |c| match c.as_name_addr() {
        Some(address) => { address_is_sound(address); contact_extensions(c); }
        None => assert!(c.is_star()),
    },
    ContentDisposition |c| { assert!(!c.disposition_type().is_empty()); let _ = c.is_required(); params(c.params()); },
    ContentEncoding |c| { let _ = c.contains("gzip"); },
    ContentLanguage |c| { let _ = c.contains("fr"); },
    ContentType |c| { assert!(!c.kind().is_empty() && !c.subtype().is_empty()); params(c.params()); },
    Date |d| { let _ = d.unix(); },
    Diversion |d| { address_is_sound(d.as_name_addr()); let _ = (d.reason(), d.counter(), d.limit(), d.privacy(), d.screen()); },
    ErrorInfo |e| uri_is_sound(&e.uri()),
    Event |e| { assert!(e.matches(e) && e.event_type().starts_with(e.package())); let _ = e.templates().count(); },
    FeatureCaps |f| features(f.params()),
    From |f| address_is_sound(f.as_name_addr()),
    Geolocation |g| { uri_is_sound(&g.uri()); let _ = g.content_id(); params(g.params()); },
    GeolocationError |g| { assert!(g.code() < 1000 && g.top_level() <= g.code()); let _ = g.text(); },
    GeolocationRouting |g| { let _ = g.is_allowed(); },
    HistoryInfo |h| {
        address_is_sound(h.as_name_addr());
        for index in [h.index(), h.same_user(), h.mapped_from(), h.unchanged_from()].into_iter().flatten() {
            assert!(index < index.child(1) && index.child(1).parent() == Some(index));
        }
        assert!(h.reasons().iter().all(|reason| !reason.protocol().is_empty()));
        if let Ok(marked) = h.with_reason(&Reason::q850(16)) {
            assert!(marked.reasons().last().is_some_and(|reason| reason.cause() == Some(16)));
            assert_eq!(marked.params().count(), h.params().count());
        }
        let _ = h.privacy();
    },
    Identity |i| {
        uri_is_sound(&i.info());
        assert!(!i.digest().is_empty() && !i.alg().is_empty() | i.param("alg").is_some());
        assert_eq!(i.with_param("ppt", Some("fuzz")).expect("a token").ppt().as_deref(), Some("fuzz"));
    },
    InReplyTo |i| i.call_ids().for_each(|id| assert!(!id.is_empty())),
    InfoPackage |i| { assert!(!i.name().is_empty()); params(i.params()); },
    Join |j| assert!(j.matches(j.call_id(), Some(j.to_tag()), Some(j.from_tag()))),
    MinSe |m| { let _ = m.seconds(); params(m.params()); },
    Organization |o| { let _ = o.text(); },
    PAccessNetworkInfo |p| { let _ = (p.cell(), p.location(), p.is_network_provided(), p.local_time_zone()); },
    PAssertedIdentity |p| address_is_sound(p.as_name_addr()),
    PAssociatedUri |p| p.addresses().for_each(|address| address_is_sound(&address)),
    PCalledPartyId |p| address_is_sound(p.as_name_addr()),
    PChargingFunctionAddresses |p| {
        assert!(p.params().next().is_some());
        let _ = (p.ccf(), p.ecf(), p.ccf_2(), p.ecf_2());
        let added = p.with_param("ecf", Some("fuzz")).expect("a token");
        assert_eq!(added.ecf().as_deref(), Some("fuzz"));
    },
    PChargingVector |p| {
        let _ = (p.icid_generated_at(), p.orig_ioi(), p.term_ioi(), p.transit_ioi(), p.related_icid());
        let named = p.with_param("icid-value", Some("fuzz")).expect("a token");
        assert_eq!((&*named.icid_value(), named.params().count()), ("fuzz", p.params().count()));
    },
    PEarlyMedia |p| { let _ = p.contains("gated"); },
    PPreferredIdentity |p| address_is_sound(p.as_name_addr()),
    PPrivateNetworkIndication |p| assert!(p.is(p.domain())),
    PServedUser |p| { address_is_sound(p.as_name_addr()); let _ = (p.session_case(), p.is_registered()); },
    PVisitedNetworkId |p| { let _ = p.network_id(); params(p.params()); },
    Path |p| address_is_sound(p.as_name_addr()),
    Priority |p| assert!(!p.as_str().is_empty()),
    PrivAnswerMode |p| { let _ = (p.mode(), p.require()); },
    Privacy |p| {
        assert!(p.iter().next().is_some());
        assert!(p.without("id").is_none_or(|less| !less.contains("id")));
    },
    ProxyAuthenticate |p| { let _ = (p.realm(), p.offers_qop("auth"), p.stale()); },
    ProxyAuthorization |p| { let _ = (p.realm(), p.opaque_text()); },
    ProxyRequire |p| { let _ = p.contains("x"); },
    RAck |r| assert!(r.cseq().number() <= CSeq::MAX),
    Reason |r| {
        assert!(r.status().is_none_or(|status| r.cause() == Some(status.as_u16().into())));
        let _ = (r.text(), r.location());
        assert_eq!(r.with_text("a\"b").expect("no line end").text().as_deref(), Some("a\"b"));
    },
    RecordRoute |r| address_is_sound(r.as_name_addr()),
    RecvInfo |r| assert!(r.elements().all(|element| r.contains(element.token()))),
    ReferEventsAt |r| uri_is_sound(&r.uri()),
    ReferSub |r| assert_eq!(r.subscribes(), r.as_bytes()[0].eq_ignore_ascii_case(&b't')),
    ReferTo |r| address_is_sound(r.as_name_addr()),
    ReferredBy |r| { address_is_sound(r.as_name_addr()); let _ = r.cid(); },
    RejectContact |r| features(r.params()),
    Replaces |r| assert!(r.matches(r.call_id(), Some(r.to_tag()), Some(r.from_tag()))),
    ReplyTo |r| address_is_sound(r.as_name_addr()),
    RequestDisposition |r| assert!(r.directives().all(|d| r.contains(d) || r.directives().any(|other| other == d.opposite()))),
    Require |r| { let _ = r.contains("x"); },
    ResourcePriority |r| assert!(r.values().all(|(namespace, _)| r.priority(namespace).is_some())),
    RetryAfter |r| { let _ = (r.comment(), r.duration()); params(r.params()); },
    Route |r| address_is_sound(r.as_name_addr()),
    SecurityClient |s| { let _ = (s.q(), s.digest_algorithm(), s.digest_qop(), s.digest_verify()); },
    SecurityServer |s| { let _ = (s.q(), s.mechanism()); params(s.params()); },
    SecurityVerify |s| { let _ = (s.q(), s.mechanism()); params(s.params()); },
    Server |s| { let _ = s.text(); },
    ServiceRoute |s| address_is_sound(s.as_name_addr()),
    SessionExpires |s| { assert_eq!(s.refresher().is_some(), s.param("refresher").is_some()); let _ = s.seconds(); },
    SessionId |s| { let remote = s.remote().unwrap_or(SessionId::NIL); assert_eq!(SessionId::new(s.local(), remote).local(), s.local()); },
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
    UserToUser |u| {
        let _ = (u.purpose(), u.content());
        assert!(u.decoded().is_none_or(|bytes| bytes.len() * 2 == u.data().len()));
    },
    Via |v| {
        assert!(!v.sent_by().is_empty() && !v.transport_str().is_empty() && !v.host_str().is_empty());
        assert!(v.branch().is_none_or(|branch| !branch.is_empty()));
        let _ = (v.host(), v.received(), v.maddr(), v.ttl(), v.keep(), v.oc(), v.oc_validity());
        assert!(v.oc_algo().all(|name| !name.is_empty()));
        if let Some(seq) = v.oc_seq() {
            assert_eq!(v.with_oc_seq(seq).expect("few digits").oc_seq(), Some(seq));
        }
        params(v.params());
        let stamped = v.with_param("received", Some("2001:db8::1"));
        assert_eq!(stamped.expect("an address").received(), "2001:db8::1".parse().ok());
    },
    Warning |w| { assert!((100..1000).contains(&w.code()) && !w.agent().is_empty()); let _ = w.text(); },
    WwwAuthenticate |w| { let _ = (w.params().count(), w.domain(), w.algorithm()); },
}

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

fn contact_extensions(contact: &Contact<'_>) {
    let _ = (contact.q(), contact.expires(), contact.instance());
    for gruu in [contact.pub_gruu(), contact.temp_gruu()].into_iter().flatten() {
        uri_is_sound(&gruu);
        assert_eq!(contact.with_pub_gruu(&gruu).expect("a SIP URI").pub_gruu(), Some(gruu));
    }
    if let Some(id) = contact.reg_id() {
        assert_eq!(contact.with_reg_id(id).expect("in range").reg_id(), Some(id));
    }
    for feature in contact.params().features() {
        let _ = (feature.is_true(), feature.string());
        assert!(feature.values().all(|value| !value.as_str().is_empty()));
    }
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

fn features(all: Params<'_>) {
    params(all.clone());
    for feature in all.features() {
        assert!(!feature.name().is_empty());
        let _ = (feature.is_true(), feature.string(), feature.values().map(|v| v.kind()).count());
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
