//! A table of good and bad values for each header, and what holds for all of them.

use alloc::borrow::Cow;
use core::fmt::Debug;
use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use bytes::BytesMut;
use proptest::prelude::*;

use crate::HeaderErrorKind::{
    self, AngleBrackets, Character, Comment, DisplayName, DuplicateParameter, Empty, MediaType,
    Number, Parameter, Port, Protocol, QuotedString, Token, Trailing,
};
use crate::*;

mod all;
mod body;
mod calls;
mod dialogs;
mod events;
mod extensions;
mod identity;
mod list;
mod location;
mod p_headers;
mod preferences;
mod uris;

/// The value that `text` is.
fn good<'a, H: Header<'a>>(text: &'a str) -> H {
    H::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Each is refused with this kind at this place.
fn bad<'a, H: Header<'a> + Debug>(table: &[(&'a str, HeaderErrorKind, usize)]) {
    for (text, kind, offset) in table {
        match H::parse(text.as_bytes()) {
            Ok(value) => panic!("{text:?} was read as {value:?}"),
            Err(error) => {
                assert_eq!((error.kind(), error.offset()), (*kind, *offset), "{text:?}");
                assert_eq!(error.header(), H::NAME);
            }
        }
    }
}

fn written<'a>(header: &impl Header<'a>) -> String {
    let mut out = BytesMut::new();
    header.write(&mut out);
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

#[test]
fn via() {
    // text, transport, sent-by, host, port, branch
    for (text, transport, sent_by, host, port, branch) in [
        ("SIP/2.0/UDP 192.0.2.1", "UDP", "192.0.2.1", "192.0.2.1", None, None),
        (
            "SIP/2.0/TCP a.example:5070;branch=z9hG4bK1",
            "TCP",
            "a.example:5070",
            "a.example",
            Some(5070),
            Some("z9hG4bK1"),
        ),
        (
            "sip/2.0/udp [2001:db8::9:1]:6050 ;branch=z",
            "udp",
            "[2001:db8::9:1]:6050",
            "[2001:db8::9:1]",
            Some(6050),
            Some("z"),
        ),
        ("SIP/2.0/UDP h : 5060;branch=z", "UDP", "h : 5060", "h", Some(5060), Some("z")),
        (
            "SIP/2.0/UNKNOWN h;branch=\tz9hG4bK-.!%66*_+`'~",
            "UNKNOWN",
            "h",
            "h",
            None,
            Some("z9hG4bK-.!%66*_+`'~"),
        ),
        // RFC 4475 §3.1.1.1
        (
            "SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw",
            "UDP",
            "192.0.2.2",
            "192.0.2.2",
            None,
            Some("390skdjuw"),
        ),
        (
            "SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ",
            "TCP",
            "spindle.example.com",
            "spindle.example.com",
            None,
            Some("z9hG4bK9ikj8"),
        ),
    ] {
        let via: Via<'_> = good(text);
        assert_eq!(
            (via.transport_str(), via.sent_by(), via.host_str()),
            (transport, sent_by, host),
            "{text:?}"
        );
        assert_eq!((via.port(), via.branch()), (port, branch), "{text:?}");
        assert_eq!(via.host().to_string(), host);
        assert!(via.is_sip());
        assert_eq!(written(&via), text.trim_end());
        assert_eq!(via.to_static().branch(), branch);
    }
    assert!(!good::<Via<'_>>("FOO/1.0/UDP h").is_sip());

    bad::<Via<'_>>(&[
        ("", Empty, 0),
        ("SIP/2.0/UDP", Protocol, 11),
        ("SIP/2.0 UDP h", Protocol, 8),
        ("SIP/2.0/ h", Protocol, 10),
        ("/2.0/UDP h", Protocol, 0),
        ("SIP/2.0/UDP ;branch=z", HeaderErrorKind::Host, 12),
        ("SIP/2.0/UDP [::1", HeaderErrorKind::Host, 12),
        ("SIP/2.0/UDP 2001:db8::1", Port, 17),
        ("SIP/2.0/UDP h:", Port, 14),
        ("SIP/2.0/UDP h:70000", Port, 14),
        ("SIP/2.0/UDP h x", Trailing, 14),
        ("SIP/2.0/UDP h;branch", Parameter, 14),
        ("SIP/2.0/UDP h;branch=", Parameter, 14),
        ("SIP/2.0/UDP h;branch=\"z\"", Parameter, 14),
        ("SIP/2.0/UDP h;branch=z;branch=z", DuplicateParameter, 23),
        ("SIP/2.0/UDP h;rport=x", Parameter, 14),
        ("SIP/2.0/UDP h;rport=1;rport", DuplicateParameter, 22),
        ("SIP/2.0/UDP h;received=::1;received=::1", DuplicateParameter, 27),
        ("SIP/2.0/UDP h, SIP/2.0/UDP i", Trailing, 13),
        ("SIP/2.0/UDP h\r\nX: y", Trailing, 13),
        // RFC 4475 §3.1.2.1
        ("SIP/2.0/UDP 192.0.2.15;;,;,,", Parameter, 23),
    ]);
}

#[test]
fn via_parameters() {
    let via: Via<'_> =
        good("SIP/2.0/UDP h;received=192.0.2.9;RPORT=4711;maddr=[2001:db8::1];ttl=16;x=\"a;b\"");
    assert_eq!(via.received(), "192.0.2.9".parse().ok());
    assert_eq!((via.rport(), via.ttl()), (Some(Some(4711)), Some(16)));
    assert_eq!(via.maddr(), Host::parse("2001:db8::1"));
    assert_eq!(via.param("X").and_then(|x| x.value()).as_deref(), Some("a;b"));

    // RFC 5118 §4.5
    for text in [
        "SIP/2.0/UDP h;received=2001:db8::9:255;branch=z",
        "SIP/2.0/UDP h;received=[2001:db8::9:255];branch=z",
    ] {
        let via: Via<'_> = good(text);
        assert_eq!((via.received(), via.branch()), ("2001:db8::9:255".parse().ok(), Some("z")));
    }
    for (text, rport) in
        [("", None), (";rport", Some(None)), (";rport=", Some(None)), (";rport=9", Some(Some(9)))]
    {
        assert_eq!(good::<Via<'_>>(&format!("SIP/2.0/UDP h{text}")).rport(), rport);
    }
    let odd: Via<'_> = good("SIP/2.0/UDP h;received=unknown;ttl=300;maddr");
    assert_eq!((odd.received(), odd.ttl(), odd.maddr()), (None, None, None));
}

#[test]
fn via_building() -> Result<(), HeaderError> {
    let via = Via::new(Transport::Tcp, "[2001:db8::1]:5070", "z9hG4bKx")?.with_rport();
    assert_eq!(via.to_string(), "SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKx;rport");
    let stamped =
        via.with_param("received", Some("2001:db8::2"))?.with_param("rport", Some("1"))?;
    assert_eq!(
        stamped.to_string(),
        "SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKx;rport=1;received=2001:db8::2"
    );
    let spaced: Via<'_> = good("SIP/2.0/UDP h ; rport ; x");
    assert_eq!(spaced.with_param("rport", Some("1"))?.to_string(), "SIP/2.0/UDP h ; rport=1 ; x");
    for (sent_by, branch) in [
        ("", "z"),
        ("a b", "z"),
        ("a;x=1", "z"),
        ("a, SIP/2.0/UDP b", "z"),
        ("a\r\nb", "z"),
        ("a ", "z"),
        (" a", "z"),
        ("::1", "z"),
        ("a:x", "z"),
        ("a", ""),
        ("a", "x;y"),
        ("a", "x\r\n"),
        ("a", "x y"),
    ] {
        assert!(Via::new(Transport::Udp, sent_by, branch).is_err(), "{sent_by:?} {branch:?}");
    }
    assert!(via.with_param("a b", None).is_err() && via.with_param("a", Some("\r\n")).is_err());
    assert_eq!(via.with_param("rport", Some("x")).expect_err("no port").kind(), Parameter);
    Ok(())
}

#[test]
fn lists_are_read_value_by_value() {
    let all = |text: &str| -> Vec<Result<String, (HeaderErrorKind, usize)>> {
        let vias = values::<Via<'_>>(text.as_bytes());
        vias.map(|via| via.map(|v| v.host_str().to_string()).map_err(|e| (e.kind(), e.offset())))
            .collect()
    };
    assert_eq!(
        all("SIP/2.0/UDP a;x=\",\" , SIP/2.0/UDP b ,SIP/2.0/UDP c"),
        [Ok("a".into()), Ok("b".into()), Ok("c".into())]
    );
    assert_eq!(all("SIP/2.0/UDP a, "), [Ok("a".into()), Err((Empty, 15))]);
    assert_eq!(all("SIP/2.0/UDP a,, SIP/2.0/UDP c"), [Ok("a".into()), Err((Protocol, 14))]);
    assert_eq!(
        all("SIP/2.0/UDP a, SIP/2.0/UDP b:x, SIP/2.0/UDP c"),
        [Ok("a".into()), Err((Port, 29))]
    );
    assert_eq!(all(""), [Err((Empty, 0))]);
    let routes: Vec<_> = values::<Route<'_>>(b"<sip:a;lr>,\r\n \"x,\" <sip:b,c@d;lr>").collect();
    assert_eq!(routes.len(), 2);
    assert!(routes.iter().all(|route| route.as_ref().is_ok_and(|route| route.uri().lr())));
}

#[test]
fn from_and_to_are_one_address() {
    bad::<From<'_>>(&[("<sip:a@b>, <sip:c@d>", Trailing, 9), ("<sip:a@b>;tag=1,x", Trailing, 15)]);
    bad::<To<'_>>(&[("sip:a@b,sip:c@d", Trailing, 7), ("", Empty, 0)]);
    let to: To<'_> = good("<sip:a@b>");
    assert_eq!(to.with_tag("7").map(|to| to.to_string()), Ok("<sip:a@b>;tag=7".into()));
    let error = to.with_tag("\r\n").expect_err("no token");
    assert_eq!((error.header(), error.kind()), (HeaderName::To, Token));
}

#[test]
fn contact() {
    let contact: Contact<'_> = good(
        "\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33",
    );
    assert_eq!(contact.q().map(QValue::thousandths), Some(330));
    assert_eq!(
        contact.uri().map(|uri| uri.to_string()).as_deref(),
        Some("sip:jdrosen@example.com")
    );
    assert_eq!((contact.params().count(), contact.is_star()), (3, false));
    // RFC 4475 §3.3.12, §3.3.13
    let plain: Contact<'_> = good("sip:+19725552222@gw1.example.net;unknownparam");
    assert_eq!((plain.params().count(), plain.uri().map(|u| u.params().count())), (1, Some(0)));
    let inside: Contact<'_> = good("<sip:+19725552222@gw1.example.net;unknownparam>");
    assert_eq!((inside.params().count(), inside.uri().map(|u| u.params().count())), (0, Some(1)));

    for (text, expires) in [
        ("<sip:a>", None),
        ("<sip:a>;expires=60", Some(60)),
        ("<sip:a>;expires=0", Some(0)),
        // RFC 4475 §3.1.2.4 and RFC 3261 §10.2.1.1
        ("<sip:a>;expires=280297596632815", Some(3600)),
        ("<sip:a>;expires=\"Thu, 01 Dec 1994 16:00:00 GMT\"", Some(3600)),
        ("<sip:a>;expires", Some(3600)),
    ] {
        assert_eq!(good::<Contact<'_>>(text).expires(), expires, "{text}");
    }

    for text in ["*", " * "] {
        let star: Contact<'_> = good(text);
        assert!(star.is_star() && star.uri().is_none() && star.expires().is_none());
        assert_eq!(star.to_string(), "*");
    }
    assert!(!good::<Contact<'_>>("*bob <sip:bob@b>").is_star());
    bad::<Contact<'_>>(&[
        ("*;expires=0", Trailing, 1),
        ("*, <sip:a>", Trailing, 1),
        ("* x", HeaderErrorKind::Uri(UriErrorKind::Scheme), 0),
        ("<sip:a>, <sip:b>", Trailing, 7),
    ]);
    assert!(Contact::STAR.with_param("expires", Some("0")).is_err());
}

#[test]
fn qvalues() {
    for (text, thousandths) in [
        ("0", Some(0)),
        ("1", Some(1000)),
        ("0.", Some(0)),
        ("1.000", Some(1000)),
        ("0.5", Some(500)),
        ("0.333", Some(333)),
        ("0.05", Some(50)),
        ("1.001", None),
        ("2", None),
        ("0.1234", None),
        (".5", None),
        ("0.x", None),
        ("", None),
        ("-1", None),
        ("00.5", None),
    ] {
        assert_eq!(QValue::parse(text.as_bytes()).map(QValue::thousandths), thousandths, "{text}");
    }
    for thousandths in 0..=1000 {
        let q = QValue::new(thousandths).expect("in range");
        assert_eq!(QValue::parse(q.to_string().as_bytes()), Some(q));
    }
    assert_eq!(QValue::new(1001), None);
    assert_eq!(QValue::new(50).map(|q| q.to_string()).as_deref(), Some("0.05"));
}

#[test]
fn cseq() {
    for (text, number, method) in [
        ("1 INVITE", 1, "INVITE"),
        ("0009\r\n  INVITE", 9, "INVITE"),
        ("2147483647 x", CSeq::MAX, "x"),
        (
            "139122385 !interesting-Method0123456789_*+`.%indeed'~",
            139_122_385,
            "!interesting-Method0123456789_*+`.%indeed'~",
        ),
    ] {
        let cseq: CSeq = good(text);
        assert_eq!((cseq.number(), cseq.method().as_str()), (number, method));
    }
    bad::<CSeq>(&[
        ("", Empty, 0),
        ("INVITE", Number, 0),
        ("-1 INVITE", Number, 0),
        ("1", HeaderErrorKind::Method, 1),
        ("1INVITE", HeaderErrorKind::Method, 1),
        ("1 <", HeaderErrorKind::Method, 2),
        ("1 INVITE x", Trailing, 9),
        ("1 INVITE, 2 INVITE", Trailing, 8),
        (" 2147483648 INVITE", Number, 1),
        // RFC 4475 §3.1.2.4
        ("36893488147419103232 REGISTER", Number, 0),
    ]);
    assert!(
        CSeq::new(CSeq::MAX, Method::Bye).is_ok() && CSeq::new(CSeq::MAX + 1, Method::Bye).is_err()
    );
}

#[test]
fn call_id() {
    for text in
        ["a", "f81d4fae@192.0.2.1", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "Y2Q==@x"]
    {
        assert_eq!(good::<CallId<'_>>(text).as_str(), text);
        assert_eq!(CallId::new(text).map(|id| id.to_string()).as_deref(), Ok(text));
    }
    bad::<CallId<'_>>(&[
        ("", Empty, 0),
        (" ", Empty, 1),
        ("a b", Trailing, 2),
        ("é", Character, 0),
        ("a\r\nb", Character, 1),
    ]);
    assert!(
        CallId::new("").is_err()
            && CallId::new("a b").is_err()
            && CallId::new(&"a".repeat(65_536)).is_err()
    );
}

#[test]
fn numbers() {
    assert_eq!(good::<MaxForwards>(" 0068\r\n "), MaxForwards(68));
    assert_eq!(good::<ContentLength>("4294967295"), ContentLength(u32::MAX));
    assert_eq!(good::<Expires>("0"), Expires(0));
    bad::<MaxForwards>(&[
        ("", Empty, 0),
        ("256", Number, 0),
        ("300", Number, 0),
        ("7x", Trailing, 1),
        ("70, 70", Trailing, 2),
    ]);
    bad::<ContentLength>(&[
        ("-999", Number, 0),
        ("4294967296", Number, 0),
        ("1.5", Trailing, 1),
        ("1\r\n", Character, 1),
    ]);
    bad::<Expires>(&[
        ("10000000000000000000000000000000000000000", Number, 0),
        ("Thu, 01 Dec 1994 16:00:00 GMT", Number, 0),
    ]);
    bad::<MinExpires>(&[("x", Number, 0)]);
}

#[test]
fn content_type() {
    let mixed: ContentType<'_> = good("multipart / mixed ; boundary=\"a;b\" ;x=y");
    assert!(mixed.is("Multipart", "MIXED"));
    assert_eq!(mixed.param("boundary").and_then(|b| b.value()).as_deref(), Some("a;b"));
    assert_eq!((ContentType::SDP.kind(), ContentType::SDP.subtype()), ("application", "sdp"));
    assert_eq!(ContentType::SDP, good("application/sdp"));
    assert_eq!(
        ContentType::new("multipart", "mixed")
            .and_then(|c| c.with_param("boundary", "a b"))
            .map(|c| c.to_string()),
        Ok("multipart/mixed;boundary=\"a b\"".into())
    );
    assert!(ContentType::new("a b", "c").is_err() && ContentType::new("a", "").is_err());
    assert!(ContentType::SDP.with_param("x", "\r\n").is_err());
    bad::<ContentType<'_>>(&[
        ("", Empty, 0),
        ("text", MediaType, 4),
        ("text/", MediaType, 5),
        ("/x", MediaType, 0),
        ("a/b;", Parameter, 4),
        ("a/b, c/d", Trailing, 3),
    ]);
}

#[test]
fn accept() {
    let accept: Accept<'_> =
        good("text/*;q=0.3, text/html;level=1;q=0.7 ,*/*;q=0, application/sdp;charset=\"a,b\"");
    let q = |kind, subtype| accept.quality(kind, subtype).map(QValue::thousandths);
    assert_eq!(q("TEXT", "Html"), Some(700));
    assert_eq!(q("text", "plain"), Some(300));
    assert_eq!(q("application", "sdp"), Some(1000));
    assert_eq!(q("image", "png"), Some(0));
    assert!(!accept.accepts("image", "png") && accept.accepts("text", "x"));
    assert_eq!(accept.ranges().count(), 4);
    assert_eq!(
        accept.ranges().last().and_then(|r| r.param("charset")?.value()).as_deref(),
        Some("a,b")
    );
    assert!(!good::<Accept<'_>>("").accepts("application", "sdp"));
    assert_eq!(good::<Accept<'_>>("a/b,\r\n c/d, ,").ranges().count(), 2);
    assert_eq!(
        Accept::new(["application/sdp", "text/plain;q=0.5"]).map(|a| a.to_string()),
        Ok("application/sdp, text/plain;q=0.5".into())
    );
    assert!(Accept::new(["application"]).is_err() && Accept::new(["a/b\r\nX: y"]).is_err());
    bad::<Accept<'_>>(&[("text", MediaType, 4), ("a/b c/d", Trailing, 4), ("a/b;", Parameter, 4)]);
}

#[test]
fn token_lists() {
    let supported: Supported<'_> = good("100rel ,\r\n timer,, path,");
    assert_eq!(supported.iter().collect::<Vec<_>>(), ["100rel", "timer", "path"]);
    assert!(supported.contains("TIMER") && !supported.contains("time") && !supported.is_empty());
    assert!(good::<Supported<'_>>("").is_empty());
    let allow: Allow<'_> = good("INVITE,ACK");
    assert!(allow.contains("ACK") && !allow.contains("ack"));
    assert_eq!(Require::new(["a", "b"]).map(|r| r.to_string()), Ok("a, b".into()));
    assert_eq!(Unsupported::new(Vec::<String>::new()).map(|r| r.to_string()), Ok(String::new()));
    for token in ["", "a b", "a,b", "a\r\nb", "é"] {
        assert!(ProxyRequire::new([token]).is_err(), "{token:?}");
    }
    bad::<Require<'_>>(&[
        ("a b", Token, 2),
        ("\"a\"", Token, 0),
        ("a;b", Token, 1),
        ("a\r\nb", Character, 1),
    ]);
}

#[test]
fn texts() {
    for (text, read) in
        [("", ""), ("a  b", "a  b"), ("a \r\n\t b", "a b"), ("a\r\n \r\n b", "a b"), ("é", "é")]
    {
        assert_eq!(good::<Subject<'_>>(text).text(), read, "{text:?}");
    }
    assert_eq!(Subject::parse(b"\xE9").map(|s| s.text().into_owned()), Ok("\u{FFFD}".into()));
    assert_eq!(UserAgent::new(" a ").map(|u| u.to_string()), Ok("a".into()));
    for text in ["a\r\nb", "a\nb", "\0", &"a".repeat(65_536)] {
        assert!(Server::new(text).is_err());
    }
    bad::<Organization<'_>>(&[("a\r\nb", Character, 1), ("a\r", Character, 1)]);
}

#[test]
fn retry_after() {
    for (text, seconds, comment, duration) in [
        ("18000;duration=3600", 18000, None, Some(3600)),
        ("120 (I'm in a meeting)", 120, Some("I'm in a meeting"), None),
        ("5(a (nested \\) one)) ; duration = 9 ;x", 5, Some("a (nested \\) one)"), Some(9)),
        ("0", 0, None, None),
        ("5;duration=x", 5, None, None),
    ] {
        let retry: RetryAfter<'_> = good(text);
        assert_eq!(
            (retry.seconds(), retry.comment().as_deref(), retry.duration()),
            (seconds, comment, duration),
            "{text}"
        );
        assert_eq!(retry.to_string(), text);
        assert_eq!(retry.into_owned().duration(), duration);
    }
    assert_eq!(RetryAfter::new(7).to_string(), "7");
    assert_eq!(
        RetryAfter::new(7).with_param("duration", "60").map(|r| (r.to_string(), r.duration())),
        Ok(("7;duration=60".into(), Some(60)))
    );
    bad::<RetryAfter<'_>>(&[
        ("", Empty, 0),
        ("x", Number, 0),
        ("-1", Number, 0),
        ("4294967296", Number, 0),
        ("5 (x", Comment, 2),
        ("5 (x\\)", Comment, 2),
        ("5 x", Trailing, 2),
        ("5;;", Parameter, 2),
    ]);
}

#[test]
fn warning() -> Result<(), HeaderError> {
    let all: Vec<_> = values::<Warning<'_>>(b"301 isi.edu:5060 \"a, \\\"b\\\"\",  399 p \"\"")
        .collect::<Result<_, _>>()?;
    let read: Vec<_> = all.iter().map(|w| (w.code(), w.agent(), w.text().into_owned())).collect();
    assert_eq!(read, [(301, "isi.edu:5060", "a, \"b\"".to_string()), (399, "p", String::new())]);
    assert_eq!(
        Warning::new(399, "[::1]:5060", "a \"b\"")?.to_string(),
        "399 [::1]:5060 \"a \\\"b\\\"\""
    );
    for (code, agent, text) in [
        (99, "a", ""),
        (1000, "a", ""),
        (399, "", ""),
        (399, "a b", ""),
        (399, "a,b", ""),
        (399, "a", "\r\n"),
        (399, "a\r\n", ""),
    ] {
        assert!(Warning::new(code, agent, text).is_err(), "{code} {agent:?} {text:?}");
    }
    bad::<Warning<'_>>(&[
        ("", Empty, 0),
        ("30 a \"b\"", Number, 0),
        ("0301 a \"b\"", Number, 0),
        ("301a \"b\"", Number, 4),
        ("301 \"b\"", HeaderErrorKind::Host, 4),
        ("301 a b", QuotedString, 6),
        ("301 a \"b", QuotedString, 6),
        ("301 a \"b\" c", Trailing, 10),
    ]);
    Ok(())
}

#[test]
fn date() {
    for (text, unix) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
        ("Tue, 29 Feb 2000 12:34:56 GMT", 951_827_696),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 1_795_330_800),
    ] {
        let date: Date = good(text);
        assert_eq!(date.unix(), unix, "{text}");
        assert_eq!(Date::from_unix(unix), Some(date), "{text}");
        assert_eq!(date.to_string(), text);
    }
    let date: Date = good("Sat,  13 Nov\r\n 2010 23:29:01 gmt");
    assert_eq!((date.year(), date.month(), date.day()), (2010, 11, 13));
    assert_eq!(
        (date.hour(), date.minute(), date.second(), date.weekday()),
        (23, 29, 1, Weekday::Saturday)
    );
    assert_eq!(good::<Date>("Wed, 31 Dec 1969 23:59:59 GMT").unix(), 0);
    assert_eq!(Date::from_unix(253_402_300_800), None);
    assert_eq!(Date::from_unix(u64::MAX), None);
    const D: HeaderErrorKind = HeaderErrorKind::Date;
    bad::<Date>(&[
        ("", Empty, 0),
        // RFC 4475 §3.1.2.12
        ("Fri, 01 Jan 2010 16:00:00 EST", D, 26),
        ("Fri, 01 Jan 2010 16:00:00 +0000", D, 26),
        ("Fri, 01 Jan 2010 16:00:00", D, 25),
        ("Fri, 01 Jan 10 16:00:00 GMT", D, 12),
        ("Friday, 01 Jan 2010 16:00:00 GMT", D, 3),
        ("Fri, 1 Jan 2010 16:00:00 GMT", D, 5),
        ("Fri, 29 Feb 2010 16:00:00 GMT", D, 8),
        ("Fri, 00 Jan 2010 16:00:00 GMT", D, 8),
        ("Fri, 01 Foo 2010 16:00:00 GMT", D, 8),
        ("Fri, 01 Jan 2010 24:00:00 GMT", D, 17),
        ("Fri, 01 Jan 2010 16:60:00 GMT", D, 20),
        ("Fri, 01 Jan 2010 16:00:61 GMT", D, 23),
        ("Fri, 01 Jan 2010 16:00:00 GMT x", Trailing, 30),
    ]);
}

#[test]
fn timestamp() {
    for (text, time, delay) in [
        ("54", "54", None),
        ("54.", "54.", None),
        ("54.21 .5", "54.21", Some(Duration::from_millis(500))),
        ("1 2", "1", Some(Duration::from_secs(2))),
        ("1 0.1234567891", "1", Some(Duration::from_nanos(123_456_789))),
        ("1 99999999999999999999999", "1", None),
    ] {
        let timestamp: Timestamp<'_> = good(text);
        assert_eq!((timestamp.time(), timestamp.delay()), (time, delay), "{text}");
        assert_eq!(timestamp.into_owned().to_string(), text);
    }
    let built = Timestamp::new(Duration::from_millis(1_020)).with_delay(Duration::from_millis(5));
    assert_eq!(built.to_string(), "1.020 0.005");
    assert_eq!(good::<Timestamp<'_>>(&built.to_string()).delay(), Some(Duration::from_millis(5)));
    bad::<Timestamp<'_>>(&[
        ("", Empty, 0),
        (".5", Number, 0),
        ("x", Number, 0),
        ("1 x", Number, 2),
        ("1 2 3", Trailing, 4),
        ("1x", Trailing, 1),
    ]);
}

#[test]
fn challenges() -> Result<(), HeaderError> {
    let ask: WwwAuthenticate<'_> = good(
        "digest REALM=\"a \\\"b\\\", c\",\r\n domain=\"sip:x.com /y\", nonce=\"n==\" ,opaque=\"\", stale=TRUE, algorithm=SHA-256, qop=\"auth, auth-int\", new=\"x\"",
    );
    assert!(ask.is_digest() && ask.stale() && ask.has_qop());
    assert_eq!(ask.realm().as_deref(), Some("a \"b\", c"));
    assert_eq!(ask.param("realm").map(|r| r.unquoted()), Some(&b"a \\\"b\\\", c"[..]));
    assert_eq!((ask.nonce().as_deref(), ask.opaque().as_deref()), (Some("n=="), Some("")));
    assert_eq!(
        (ask.algorithm().as_deref(), ask.domain().as_deref()),
        (Some("SHA-256"), Some("sip:x.com /y"))
    );
    assert!(ask.offers_qop("auth") && ask.offers_qop("AUTH-INT") && !ask.offers_qop("aut"));
    assert_eq!(ask.params().count(), 8);

    let plain: ProxyAuthenticate<'_> = good("Digest realm=\"r\",nonce=\"n\"");
    assert!(!plain.has_qop() && !plain.stale() && plain.algorithm().is_none());
    let other: WwwAuthenticate<'_> = good("Negotiate YII=");
    assert_eq!(
        (other.scheme(), &*other.opaque_text(), other.params().count()),
        ("Negotiate", "YII=", 0)
    );
    assert_eq!(good::<WwwAuthenticate<'_>>("NTLM").params().count(), 0);

    let full = Challenge::digest(&DigestChallenge {
        realm: "a \"b\"",
        nonce: "n",
        opaque: Some("o"),
        algorithm: Some("SHA-256"),
        qop: &["auth", "auth-int"],
        stale: true,
        domain: Some("sip:x"),
        utf8: true,
        userhash: true,
    })?;
    assert_eq!(
        WwwAuthenticate(full).to_string(),
        r#"Digest realm="a \"b\"", domain="sip:x", nonce="n", opaque="o", stale=true, algorithm=SHA-256, qop="auth,auth-int", charset=UTF-8, userhash=true"#
    );
    for challenge in [
        DigestChallenge { realm: "\r\n", ..Default::default() },
        DigestChallenge { algorithm: Some("a b"), ..Default::default() },
        DigestChallenge { qop: &["a,b"], ..Default::default() },
    ] {
        assert!(Challenge::digest(&challenge).is_err(), "{challenge:?}");
    }
    bad::<WwwAuthenticate<'_>>(&[
        ("", Empty, 0),
        ("\"Digest\"", Token, 0),
        ("Digest,realm=\"a\"", Token, 6),
        ("Digest realm", Parameter, 12),
        ("Digest realm=", Parameter, 13),
        ("Digest realm=\"a", QuotedString, 13),
        ("Digest realm=\"a\" nonce=\"b\"", Parameter, 17),
        ("Digest realm=\"a\", Digest realm=\"b\"", Parameter, 25),
        ("Digest realm=\"a\r\nX: y\"", Character, 15),
    ]);
    Ok(())
}

#[test]
fn credentials() -> Result<(), HeaderError> {
    let shown: Authorization<'_> = good(
        "Digest username=\"bob\", realm=\"r\", nonce=\"n\", uri=\"sip:a,b\", qop=auth, nc=0000001F, cnonce=\"c\", response=\"66\", opaque=\"o\", algorithm=MD5",
    );
    let text = |value: Option<Cow<'_, str>>| value.map(|v| v.into_owned()).unwrap_or_default();
    assert_eq!(text(shown.username()) + &text(shown.realm()) + &text(shown.nonce()), "bobrn");
    assert_eq!(text(shown.uri()) + &text(shown.qop()) + &text(shown.cnonce()), "sip:a,bauthc");
    assert_eq!(text(shown.response()) + &text(shown.opaque()) + &text(shown.algorithm()), "66oMD5");
    assert_eq!(shown.nc(), Some(31));
    for nc in ["1", "+0000001", "0000000g", "\"000000001\""] {
        assert_eq!(good::<Authorization<'_>>(&format!("Digest nc={nc}")).nc(), None, "{nc}");
    }
    // RFC 4475 §3.3.7
    let other: Authorization<'_> = good("NoOneKnowsThisScheme opaque-data=here");
    assert_eq!(other.param("opaque-data").map(|p| p.value()).as_deref(), Some("here"));

    let built = Credentials::digest(&DigestResponse {
        username: "b\"ob",
        realm: "r",
        nonce: "n",
        uri: "sip:x",
        response: "66",
        algorithm: Some("MD5"),
        cnonce: Some("c"),
        opaque: Some("o"),
        qop: Some("auth"),
        nc: Some(1),
    })?;
    assert_eq!(
        ProxyAuthorization(built).to_string(),
        r#"Digest username="b\"ob", realm="r", nonce="n", uri="sip:x", response="66", algorithm=MD5, cnonce="c", opaque="o", qop=auth, nc=00000001"#
    );
    assert!(
        Credentials::digest(&DigestResponse { username: "a\nb", ..Default::default() }).is_err()
    );
    assert!(Credentials::digest(&DigestResponse { qop: Some(""), ..Default::default() }).is_err());
    assert!(!format!("{:?}", *shown).contains("66"), "responses stay out of logs");
    Ok(())
}

#[test]
fn errors_say_what_and_where() {
    let error = CSeq::parse(b"x").expect_err("no number");
    assert_eq!(
        error.to_string(),
        "CSeq at byte 0: not a number, or one out of range (RFC 3261 §20.16)"
    );
    let error = To::parse(b"<sip:a:b:c>").expect_err("no port");
    assert_eq!(error.to_string(), "To at byte 7: URI: not a port (RFC 3261 §20.39)");
}

/// Values near to those of headers: pieces of them in any order.
fn near_values() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"SIP/2.0/UDP ",
        b"h",
        b"[::1]",
        b":5060",
        b";",
        b"=",
        b",",
        b" ",
        b"\r\n ",
        b"\r\n",
        b"\"",
        b"\\",
        b"<",
        b">",
        b"sip:a@b",
        b"tag=1",
        b"to-tag=1;from-tag=2",
        b"<http://a>",
        b"true",
        b"handling=x",
        b"branch=z",
        b"rport",
        b"*",
        b"q=0.5",
        b"Digest ",
        b"realm=\"r\"",
        b"a",
        b"1",
        b"300 ",
        b"(",
        b")",
        b"text/plain",
        b"/",
        b"Sat, 13 Nov 2010 23:29:00 GMT",
        b"INVITE",
        b"\xE9",
        b"\0",
        b".5",
        b"%41",
        b"*;",
        b"!",
        b"#>=1",
        b"audio",
        b"info=<",
        b"index=1.1",
        b"icid-value=",
        b"dsn.flash",
        b"?Reason=Q.850%3Bcause%3D16",
        b"ab30317f1a784dc48ff824d0d3715d86",
        b"?",
        b"@",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_header_keeps_its_promises(text in near_values()) {
        all::check(&text);
    }

    #[test]
    fn on_any_bytes_too(text in prop::collection::vec(any::<u8>(), 0..48)) {
        all::check(&text);
    }

    #[test]
    fn addresses_that_are_built_are_read_back(name in "\\PC{0,16}", param in "[a-z]{1,4}", value in proptest::option::of("[^\r\n]{0,12}"), tag in "[a-zA-Z0-9.!%*_+`'~-]{1,12}") {
        prop_assume!(param != "tag");
        let uri = Uri::parse(b"sip:a,b;c@d;lr").expect("a URI");
        let built = From::new(&uri).with_tag(&tag).and_then(|f| f.with_display_name(&name)).and_then(|f| f.with_param(&param, value.as_deref())).expect("all of it can be written");
        let text = built.to_string();
        let read: From<'_> = good(&text);
        prop_assert_eq!(read.display_name().unwrap_or_default(), &name[..]);
        prop_assert_eq!(read.uri(), uri);
        prop_assert_eq!(read.tag(), Some(&tag[..]));
        prop_assert_eq!(read.param(&param).and_then(|p| p.value()), value.as_deref().map(Cow::Borrowed));
        prop_assert_eq!(read.params().count(), 2);
        prop_assert_eq!(crate::scan::first_comma(text.as_bytes()), None);
    }

    #[test]
    fn dates_go_to_text_and_back(unix in 0u64..253_402_300_800) {
        let date = Date::from_unix(unix).expect("before the year 10000");
        prop_assert_eq!(date.unix(), unix);
        prop_assert_eq!(Date::parse(date.to_string().as_bytes()), Ok(date));
    }

    #[test]
    fn credentials_that_are_built_are_read_back(username in "[^\r\n]{0,12}", realm in "[^\r\n]{0,12}", nc: u32) {
        let response = DigestResponse { username: &username, realm: &realm, nc: Some(nc), ..Default::default() };
        let text = Credentials::digest(&response).expect("all of it can be written").to_string();
        let read: Authorization<'_> = good(&text);
        prop_assert_eq!(read.username(), Some(Cow::Borrowed(&username[..])));
        prop_assert_eq!(read.realm(), Some(Cow::Borrowed(&realm[..])));
        prop_assert_eq!(read.nc(), Some(nc));
    }
}
