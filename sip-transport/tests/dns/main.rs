//! The procedure of RFC 3263 with a real name server on loopback: its decision table row by row, and what
//! happens when the name server is slow, lies or is not there.
#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod server;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use sip_message::{Header, Transport, Uri, Via};
use sip_transport::locate::{
    Answer, Dns, FamilyOrder, Found, LocateError, Located, Locator, LookupError, Naptr,
    Preferences, Question, Srv, VALID_AT_MOST,
};

use server::{Manner, Records, Server};

const PLAIN: [Transport; 2] = [Transport::Udp, Transport::Tcp];
const ALL: [Transport; 5] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

/// Several domains: as RFC 3263 wants them, and as they are.
fn records() -> Records {
    Records::new()
        // The example of RFC 3263 §4.1.
        .naptr("example.com", (50, 50), "SIPS+D2T", "_sips._tcp.example.com")
        .naptr("example.com", (90, 50), "SIP+D2T", "_sip._tcp.example.com")
        .naptr("example.com", (100, 50), "SIP+D2U", "_sip._udp.example.com")
        .srv("_sips._tcp.example.com", (0, 1, 5061), "server1.example.com")
        .srv("_sip._tcp.example.com", (0, 1, 5060), "server1.example.com")
        .srv("_sip._tcp.example.com", (1, 2, 5070), "server2.example.com")
        .srv("_sip._udp.example.com", (0, 1, 5060), "server1.example.com")
        .srv("_sip._udp.example.com", (1, 1, 5062), "server2.example.com")
        .host("server1.example.com", "192.0.2.1")
        .host("server1.example.com", "2001:db8::1")
        .host("server2.example.com", "192.0.2.2")
        .host("example.com", "192.0.2.9")
        // Services without NAPTR records; one of them decidedly not offered.
        .srv("_sip._udp.example.org", (0, 0, 0), ".")
        .srv("_sip._tcp.example.org", (10, 0, 5070), "a.example.org")
        .srv("_sips._tcp.example.org", (10, 0, 5071), "a.example.org")
        .host("a.example.org", "192.0.2.20")
        // Addresses and nothing else.
        .host("example.net", "192.0.2.30")
        .host("example.net", "192.0.2.31")
        // A NAPTR record that leads into another domain, and some that nobody here can follow.
        .naptr("example.edu", (10, 10), "SIP+D2S", "_sip._sctp.example.edu")
        .naptr_with("example.edu", (11, 10), ["u", "E2U+sip", "!^.*$!sip:x@example.edu!"], ".")
        .naptr_with("example.edu", (12, 10), ["a", "SIP+D2U", ""], "host.school.example")
        .naptr("example.edu", (20, 10), "SIP+D2T", "_sip._tcp.school.example")
        .srv("_sip._tcp.school.example", (0, 0, 5080), "host.school.example")
        .host("host.school.example", "192.0.2.40")
        // A NAPTR record whose services are missing.
        .naptr("bare.example", (1, 1), "SIP+D2T", "_sip._tcp.bare.example")
        .host("bare.example", "192.0.2.50")
        // Over WebSocket.
        .naptr("web.example", (1, 1), "SIPS+D2W", "_sips._ws.web.example")
        .srv("_sips._ws.web.example", (0, 0, 8443), "a.example.org")
        // Aliases.
        .alias("alias.example", "other.example")
        .alias("other.example", "example.net")
        .alias("_sip._udp.alias.example", "_sip._udp.example.com")
        // A service whose host does not exist.
        .srv("_sip._udp.dead.example", (0, 0, 5060), "nowhere.dead.example")
}

async fn dns(server: &Server) -> Dns {
    Dns::with_servers([server.addr]).unwrap().with_hosts(&b""[..]).unwrap()
}

async fn locate(dns: &Dns, locator: Result<Locator, LocateError>) -> Result<Located, LocateError> {
    let mut locator = locator?;
    loop {
        if let Some(outcome) = locator.outcome() {
            return outcome;
        }
        let open: Vec<_> = std::iter::from_fn(|| locator.poll_question()).collect();
        assert!(!open.is_empty(), "a question, or an outcome");
        for (number, question) in open {
            locator.answer(number, dns.find(&question).await.result);
        }
    }
}

fn locator(uri: &str, transports: &[Transport], seed: u64) -> Result<Locator, LocateError> {
    let uri: Uri<'_> = uri.parse().unwrap();
    Locator::new(&uri, Preferences::new(transports.iter().copied()), seed)
}

fn words(found: Result<Located, LocateError>) -> Vec<String> {
    match found {
        Ok(found) => {
            let targets = found.targets.iter();
            targets.map(|it| format!("{} {}", it.transport.as_str(), it.remote)).collect()
        }
        Err(error) => vec![format!("{error:?}")],
    }
}

/// A URI, our transports, what the name server is asked, and where that leads.
type Row = (&'static str, &'static [Transport], &'static [&'static str], &'static [&'static str]);

/// The decision table of RFC 3263 §4.1 and §4.2.
const TABLE: &[Row] = &[
    // §4.2: a numeric TARGET; the port of the URI, else that of the transport. §4.1: the transport of the URI,
    // else UDP, TLS over TCP for SIPS.
    ("sip:192.0.2.7", &ALL, &[], &["UDP 192.0.2.7:5060"]),
    ("sip:192.0.2.7:5080", &ALL, &[], &["UDP 192.0.2.7:5080"]),
    ("sip:192.0.2.7;transport=tcp", &ALL, &[], &["TCP 192.0.2.7:5060"]),
    ("sip:[2001:db8::7];transport=tcp", &ALL, &[], &["TCP [2001:db8::7]:5060"]),
    ("sips:192.0.2.7", &ALL, &[], &["TLS 192.0.2.7:5061"]),
    ("sips:192.0.2.7;transport=udp", &ALL, &[], &["NotSecure"]),
    ("sips:192.0.2.7", &PLAIN, &[], &["NoSupportedTransport"]),
    // §4: the TARGET is the maddr, if there is one.
    ("sip:example.com;maddr=192.0.2.7", &ALL, &[], &["UDP 192.0.2.7:5060"]),
    (
        "sip:example.com:5070;maddr=example.net",
        &ALL,
        &["A example.net.", "AAAA example.net."],
        &["UDP 192.0.2.30:5070", "UDP 192.0.2.31:5070"],
    ),
    // §4.2: a port: addresses only, each with that port.
    (
        "sip:example.com:5060",
        &ALL,
        &["A example.com.", "AAAA example.com."],
        &["UDP 192.0.2.9:5060"],
    ),
    (
        "sip:server1.example.com:5075;transport=tcp",
        &ALL,
        &["A server1.example.com.", "AAAA server1.example.com."],
        &["TCP [2001:db8::1]:5075", "TCP 192.0.2.1:5075"],
    ),
    (
        "sips:example.com:5075",
        &ALL,
        &["A example.com.", "AAAA example.com."],
        &["TLS 192.0.2.9:5075"],
    ),
    // §4.2: a transport and no port: its SRV records, _sips under SIPS and for TLS.
    (
        "sip:example.com;transport=udp",
        &ALL,
        &[
            "A server1.example.com.",
            "A server2.example.com.",
            "AAAA server1.example.com.",
            "AAAA server2.example.com.",
            "SRV _sip._udp.example.com.",
        ],
        &["UDP [2001:db8::1]:5060", "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5062"],
    ),
    (
        "sips:example.com;transport=tcp",
        &ALL,
        &["A server1.example.com.", "AAAA server1.example.com.", "SRV _sips._tcp.example.com."],
        &["TLS [2001:db8::1]:5061", "TLS 192.0.2.1:5061"],
    ),
    (
        "sip:example.org;transport=tls",
        &ALL,
        &["A a.example.org.", "AAAA a.example.org.", "SRV _sips._tcp.example.org."],
        &["TLS 192.0.2.20:5071"],
    ),
    // §4.2: no SRV records: the addresses of the domain, at the default port of the transport.
    (
        "sip:example.net;transport=tcp",
        &ALL,
        &["A example.net.", "AAAA example.net.", "SRV _sip._tcp.example.net."],
        &["TCP 192.0.2.30:5060", "TCP 192.0.2.31:5060"],
    ),
    (
        "sips:example.net;transport=tcp",
        &ALL,
        &["A example.net.", "AAAA example.net.", "SRV _sips._tcp.example.net."],
        &["TLS 192.0.2.30:5061", "TLS 192.0.2.31:5061"],
    ),
    // §4.1: neither: the best NAPTR record that we can follow.
    (
        "sip:example.com",
        &ALL,
        &[
            "A server1.example.com.",
            "AAAA server1.example.com.",
            "NAPTR example.com.",
            "SRV _sips._tcp.example.com.",
        ],
        &["TLS [2001:db8::1]:5061", "TLS 192.0.2.1:5061"],
    ),
    (
        "sip:user@example.com",
        &PLAIN,
        &[
            "A server1.example.com.",
            "A server2.example.com.",
            "AAAA server1.example.com.",
            "AAAA server2.example.com.",
            "NAPTR example.com.",
            "SRV _sip._tcp.example.com.",
        ],
        &["TCP [2001:db8::1]:5060", "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070"],
    ),
    (
        "sip:example.edu",
        &PLAIN,
        &[
            "A host.school.example.",
            "AAAA host.school.example.",
            "NAPTR example.edu.",
            "SRV _sip._tcp.school.example.",
        ],
        &["TCP 192.0.2.40:5080"],
    ),
    (
        "sip:bare.example",
        &PLAIN,
        &[
            "A bare.example.",
            "AAAA bare.example.",
            "NAPTR bare.example.",
            "SRV _sip._tcp.bare.example.",
        ],
        &["TCP 192.0.2.50:5060"],
    ),
    (
        "sips:web.example",
        &ALL,
        &[
            "A a.example.org.",
            "AAAA a.example.org.",
            "NAPTR web.example.",
            "SRV _sips._ws.web.example.",
        ],
        &["WSS 192.0.2.20:8443"],
    ),
    // §4.1: NAPTR records, none of which is for SIPS: as if there were none.
    (
        "sips:example.edu",
        &[Transport::Tls],
        &[
            "A example.edu.",
            "AAAA example.edu.",
            "NAPTR example.edu.",
            "SRV _sips._tcp.example.edu.",
        ],
        &["NoAddress"],
    ),
    // §4.1: no NAPTR records: SRV records of each transport of ours. A target of "." is no service.
    (
        "sip:example.org",
        &PLAIN,
        &[
            "A a.example.org.",
            "AAAA a.example.org.",
            "NAPTR example.org.",
            "SRV _sip._tcp.example.org.",
            "SRV _sip._udp.example.org.",
        ],
        &["TCP 192.0.2.20:5070"],
    ),
    (
        "sips:example.org",
        &[Transport::Tls, Transport::Wss],
        &[
            "A a.example.org.",
            "AAAA a.example.org.",
            "NAPTR example.org.",
            "SRV _sips._tcp.example.org.",
            "SRV _sips._ws.example.org.",
        ],
        &["TLS 192.0.2.20:5071"],
    ),
    (
        "sip:example.org;transport=udp",
        &PLAIN,
        &["SRV _sip._udp.example.org."],
        &["ServiceUnavailable"],
    ),
    // §4.1: no SRV records either: UDP, TLS over TCP for SIPS.
    (
        "sip:example.net",
        &PLAIN,
        &[
            "A example.net.",
            "AAAA example.net.",
            "NAPTR example.net.",
            "SRV _sip._tcp.example.net.",
            "SRV _sip._udp.example.net.",
        ],
        &["UDP 192.0.2.30:5060", "UDP 192.0.2.31:5060"],
    ),
    (
        "sips:example.net",
        &[Transport::Udp, Transport::Tls],
        &[
            "A example.net.",
            "AAAA example.net.",
            "NAPTR example.net.",
            "SRV _sips._tcp.example.net.",
        ],
        &["TLS 192.0.2.30:5061", "TLS 192.0.2.31:5061"],
    ),
    // Aliases are followed, of domains and of services.
    (
        "sip:alias.example:5060",
        &PLAIN,
        &["A alias.example.", "AAAA alias.example.", "AAAA example.net."],
        &["UDP 192.0.2.30:5060", "UDP 192.0.2.31:5060"],
    ),
    (
        "sip:ALIAS.example.;transport=udp",
        &PLAIN,
        &[
            "A server1.example.com.",
            "A server2.example.com.",
            "AAAA server1.example.com.",
            "AAAA server2.example.com.",
            "CNAME _sip._udp.alias.example.",
            "SRV _sip._udp.alias.example.",
            "SRV _sip._udp.example.com.",
            "SRV server2.example.com.",
        ],
        &["UDP [2001:db8::1]:5060", "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5062"],
    ),
    // Nothing there.
    (
        "sip:nowhere.example:5060",
        &PLAIN,
        &["A nowhere.example.", "AAAA nowhere.example."],
        &["NoAddress"],
    ),
    (
        "sip:dead.example;transport=udp",
        &PLAIN,
        &["A nowhere.dead.example.", "AAAA nowhere.dead.example.", "SRV _sip._udp.dead.example."],
        &["NoAddress"],
    ),
    ("sip:example.com;transport=sctp", &ALL, &[], &["NoSupportedTransport"]),
    ("sip:example.com;transport=pigeon", &ALL, &[], &["UnknownTransport"]),
    ("tel:+4930123456", &ALL, &[], &["NotSip"]),
];

#[tokio::test]
async fn the_decision_table_row_by_row() {
    let server = Server::start(records()).await;
    let dns = dns(&server).await;
    for (uri, transports, asked, targets) in TABLE {
        let found = locate(&dns, locator(uri, transports, 1)).await;
        assert_eq!(words(found), *targets, "{uri} with {transports:?}");
        let mut asked = asked.to_vec();
        asked.sort();
        assert_eq!(server.asked(), asked, "{uri} with {transports:?}");
    }
}

#[tokio::test]
async fn a_response_goes_where_its_via_says() {
    let server = Server::start(records()).await;
    let dns = dns(&server).await;
    // RFC 3263 §5.
    let rows: [(&str, &[&str]); 5] = [
        ("SIP/2.0/TCP 192.0.2.7;branch=z9hG4bK1", &["TCP 192.0.2.7:5060"]),
        ("SIP/2.0/TLS 192.0.2.7:5071;branch=z9hG4bK1", &["TLS 192.0.2.7:5071"]),
        (
            "SIP/2.0/TCP example.net:5071;branch=z9hG4bK1",
            &["TCP 192.0.2.30:5071", "TCP 192.0.2.31:5071"],
        ),
        (
            "SIP/2.0/TLS example.com;branch=z9hG4bK1",
            &["TLS [2001:db8::1]:5061", "TLS 192.0.2.1:5061"],
        ),
        ("SIP/2.0/TCP example.org;branch=z9hG4bK1", &["TCP 192.0.2.20:5070"]),
    ];
    for (via, targets) in rows {
        let via = Via::parse(via.as_bytes()).unwrap();
        let locator = Locator::for_response(&via, Preferences::new(ALL), 1);
        assert_eq!(words(locate(&dns, locator).await), targets, "{via:?}");
    }
}

/// Weights from a real answer: shares within five standard deviations of a binomial distribution, by seed.
#[tokio::test]
async fn weights_share_the_requests() {
    let service = "_sip._udp.example.com";
    let weights = [("a", 10_u16), ("b", 30), ("c", 60)];
    let zone = weights.iter().fold(Records::new(), |zone, (host, weight)| {
        zone.srv(service, (0, *weight, 5060), &format!("{host}.example.com"))
    });
    let zone = zone.srv(service, (1, 500, 5060), "spare.example.com");
    let server = Server::start(zone).await;
    let found = dns(&server).await.find(&Question::Srv(service.into())).await;
    const ROUNDS: u32 = 10_000;
    let mut firsts = [0_u32; 3];
    for seed in 0..u64::from(ROUNDS) {
        let mut locator = locator("sip:example.com;transport=udp", &PLAIN, seed).unwrap();
        let (number, _) = locator.poll_question().unwrap();
        locator.answer(number, found.result.clone());
        let (_, first) = locator.poll_question().unwrap();
        let place = weights.iter().position(|(host, _)| first.name().starts_with(host));
        firsts[place.unwrap()] += 1;
    }
    for (count, (host, weight)) in firsts.into_iter().zip(weights) {
        let share = f64::from(weight) / 100.0;
        let deviation = (f64::from(ROUNDS) * share * (1.0 - share)).sqrt();
        let mean = f64::from(ROUNDS) * share;
        let distance = (f64::from(count) - mean).abs();
        assert!(distance < 5.0 * deviation, "{host}: {count} of {ROUNDS}, {mean} are expected");
    }
}

#[tokio::test]
async fn each_kind_of_answer_is_told_apart_and_says_how_long_it_is_valid() {
    let server = Server::start(records().ttl(77)).await;
    let dns = dns(&server).await;
    let valid = Duration::from_secs(77);
    let known = |result| Found { result, valid_for: valid };
    let no_such_name = || Err(LookupError::NoSuchName);
    let impossible = Found { result: no_such_name(), valid_for: Duration::ZERO };
    let rows = [
        (Question::Host("nowhere.example".into()), known(no_such_name())),
        (Question::Srv("_sip._udp.nowhere.example".into()), known(no_such_name())),
        (Question::Naptr("nowhere.example".into()), known(no_such_name())),
        (Question::Naptr("example.net".into()), known(Ok(Answer::Naptr(Vec::new())))),
        (Question::Srv("example.net".into()), known(Ok(Answer::Srv(Vec::new())))),
        (Question::Host("web.example".into()), known(Ok(Answer::Host(Vec::new())))),
        (
            Question::Host("alias.example".into()),
            known(Ok(Answer::Host(vec![
                "192.0.2.30".parse().unwrap(),
                "192.0.2.31".parse().unwrap(),
            ]))),
        ),
        (
            Question::Srv("_sip._tcp.example.org.".into()),
            known(Ok(Answer::Srv(vec![Srv::new(10, 0, 5070, "a.example.org.")]))),
        ),
        (
            Question::Naptr("bare.example".into()),
            known(Ok(Answer::Naptr(vec![Naptr::new(1, 1, "SIP+D2T", "_sip._tcp.bare.example.")]))),
        ),
        // Names that cannot be.
        (Question::Host("x".repeat(64).into()), impossible.clone()),
        (Question::Host("x.".repeat(200).into()), impossible.clone()),
        (Question::Host("a..example.com".into()), impossible),
    ];
    for (question, found) in rows {
        assert_eq!(dns.find(&question).await, found, "{question:?}");
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_no_domain_is_put_behind_a_name() {
    let server = Server::start(records()).await;
    let file = "# a comment\n192.0.2.77 pbx PBX.example.com\n2001:db8::77 pbx\n\n192.0.2.78\n";
    let dns = Dns::with_servers([server.addr]).unwrap().with_hosts(file.as_bytes()).unwrap();
    let both = vec!["2001:db8::77".parse().unwrap(), "192.0.2.77".parse().unwrap()];
    let rows = [("pbx", both), ("pbx.example.com", vec!["192.0.2.77".parse().unwrap()])];
    for (name, addresses) in rows {
        let found = dns.find(&Question::Host(name.into())).await;
        let result = Ok(Answer::Host(addresses));
        assert_eq!(found, Found { result, valid_for: VALID_AT_MOST }, "{name}");
    }
    assert_eq!(server.count(), 0, "nobody is asked for what the file knows");
    let found = dns.find(&Question::Host("switch".into())).await;
    assert_eq!(found.result, Err(LookupError::NoSuchName));
    assert_eq!(server.asked(), ["A switch.", "AAAA switch."]);
    // The file has no services: who asks for those goes by what the DNS has, and then by the file.
    let located = locate(&dns, locator("sip:pbx", &PLAIN, 1)).await;
    assert_eq!(words(located), ["UDP [2001:db8::77]:5060", "UDP 192.0.2.77:5060"]);
}

/// Such an answer is taken over TCP, and the best of its records are kept.
#[tokio::test]
async fn as_many_records_as_a_message_holds_are_bounded() {
    let service = "_sip._udp.big.example";
    let mut zone = Records::new();
    // A message of the DNS ends at 65,535 bytes.
    for n in (1..=1_200_u16).rev() {
        zone = zone.srv(service, (n, 0, 5060), "h.example");
    }
    for n in 0..2_500_u16 {
        let [high, low] = n.to_be_bytes();
        zone = zone.host("h.example", &format!("10.0.{high}.{low}"));
    }
    let server = Server::start(zone).await;
    let dns = dns(&server).await;
    let started = Instant::now();
    let found = dns.find(&Question::Srv(service.into())).await.result;
    let Ok(Answer::Srv(records)) = found else { panic!("{found:?}") };
    let priorities: Vec<_> = records.iter().map(|record| record.priority).collect();
    assert_eq!(priorities, (1..=64).collect::<Vec<_>>());
    let found = dns.find(&Question::Host("h.example".into())).await.result;
    let Ok(Answer::Host(addresses)) = found else { panic!("{found:?}") };
    assert_eq!(addresses.len(), 64);
    server.count();
    let located = locate(&dns, locator("sip:big.example;transport=udp", &PLAIN, 1)).await.unwrap();
    assert_eq!(located.targets.len(), sip_transport::locate::MAX_TARGETS);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_name_server_that_is_wrong_costs_bounded_time_and_says_so() {
    let at_once = Duration::from_secs(3);
    let limit = Duration::from_secs(11);
    let (failed, timeout) = (LookupError::Failed, LookupError::Timeout);
    let rows = [
        (Manner::Failing, at_once, vec![failed]),
        (Manner::Silent, limit, vec![timeout]),
        (Manner::OtherId, limit, vec![timeout, failed]),
        (Manner::OtherQuestion, limit, vec![timeout, failed]),
        (Manner::Garbage, limit, vec![timeout, failed]),
        (Manner::CutShort, limit, vec![timeout, failed]),
    ];
    let runs = rows.map(|(manner, limit, errors)| async move {
        let server = Server::start(records().manner(manner)).await;
        let dns = dns(&server).await;
        for question in [
            Question::Host("example.net".into()),
            Question::Srv("_sip._udp.example.com".into()),
            Question::Naptr("example.com".into()),
        ] {
            let started = Instant::now();
            let found = dns.find(&question).await;
            let took = started.elapsed();
            let Err(error) = found.result else { panic!("{manner:?}: {found:?}") };
            assert!(errors.contains(&error), "{manner:?}: {error:?}");
            assert!(took < limit, "{manner:?}: {took:?}");
            // Nor is it asked without end.
            let count = server.count();
            assert!(count <= 60, "{manner:?}: {count} questions");
        }
    });
    let mut all = tokio::task::JoinSet::new();
    runs.into_iter().for_each(|run| drop(all.spawn(run)));
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn aliases_without_end_are_no_address() {
    let circle = Records::new().alias("a.example", "b.example").alias("b.example", "a.example");
    let endless = Records::new().manner(Manner::EndlessAliases);
    for zone in [circle, endless] {
        let server = Server::start(zone).await;
        let dns = dns(&server).await;
        let started = Instant::now();
        for question in [
            Question::Host("a.example".into()),
            Question::Srv("a.example".into()),
            Question::Naptr("a.example".into()),
        ] {
            let found = dns.find(&question).await.result;
            let is_nothing = match &found {
                Ok(answer) => answer.is_empty(),
                Err(error) => *error != LookupError::Timeout,
            };
            assert!(is_nothing, "{question:?}: {found:?}");
            let count = server.count();
            assert!((1..=120).contains(&count), "{question:?}: {count} questions");
        }
        let error = locate(&dns, locator("sip:a.example", &PLAIN, 1)).await.unwrap_err();
        assert!(matches!(error, LocateError::NoAddress | LocateError::Lookup(_)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

/// There are name servers that never answer a question for AAAA.
#[tokio::test]
async fn one_family_waits_for_the_other_but_not_for_long() {
    let server = Server::start(records().manner(Manner::SilentAboutIpv6)).await;
    let dns = dns(&server).await;
    let started = Instant::now();
    let found = dns.find(&Question::Host("server2.example.com".into())).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(found.result, Ok(Answer::Host(vec!["192.0.2.2".parse().unwrap()])));
    assert_eq!(found.valid_for, Duration::from_secs(60), "it is asked again soon");
}

#[tokio::test]
async fn without_a_name_server_there_is_a_clear_error() {
    // A port where nobody listens.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dns = Dns::with_servers([closed]).unwrap().with_hosts(&b""[..]).unwrap();
    let started = Instant::now();
    let error = locate(&dns, locator("sip:example.net:5060", &PLAIN, 1)).await.unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(11), "{took:?}");
    let expected = [LookupError::Failed, LookupError::Timeout].map(LocateError::Lookup);
    assert!(expected.contains(&error), "{error:?}");
    assert!(error.to_string().starts_with("the lookup failed: "), "{error}");
}

#[tokio::test]
async fn a_second_name_server_stands_in_for_the_first() {
    let silent = Server::start(records().manner(Manner::Silent)).await;
    let honest = Server::start(records()).await;
    let dns = Dns::with_servers([silent.addr, honest.addr]).unwrap();
    let dns = dns.with_hosts(&b""[..]).unwrap();
    let question = Question::Srv("_sip._tcp.example.org".into());
    for _ in 0..3 {
        let found = dns.find(&question).await.result.unwrap();
        assert_eq!(found, Answer::Srv(vec![Srv::new(10, 0, 5070, "a.example.org.")]));
    }
    // And what changes is seen as soon as it is asked for again.
    honest.set(Records::new());
    assert_eq!(dns.find(&question).await.result, Err(LookupError::NoSuchName));
}

#[tokio::test]
async fn the_families_come_in_the_order_that_is_wanted() {
    let zone = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
        .iter()
        .fold(Records::new(), |zone, address| zone.host("h.example", address));
    let server = Server::start(zone).await;
    let dns = dns(&server).await;
    let rows = [
        (FamilyOrder::AsGiven, "6644"),
        (FamilyOrder::Ipv6First, "6644"),
        (FamilyOrder::Interleaved, "6464"),
    ];
    for (families, expected) in rows {
        let uri: Uri<'_> = "sip:h.example:5060".parse().unwrap();
        let preferences = Preferences::new(PLAIN).with_families(families);
        let located = locate(&dns, Locator::new(&uri, preferences, 1)).await.unwrap();
        let targets = located.targets.iter();
        let order: String = targets.map(|it| if it.remote.is_ipv6() { '6' } else { '4' }).collect();
        assert_eq!(order, expected, "{families:?}");
    }
}
