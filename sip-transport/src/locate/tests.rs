//! The decision table of RFC 3263 §4.1, §4.2 and §5, row by row.

use super::*;
use sip_message::{Header, Uri, Via};

const ALL: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Wss];
const PLAIN: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// What a run asks, in order, and what it ends with: `TCP 192.0.2.1:5060`, or the error.
fn run(locator: Result<Locator, LocateError>, zone: &Zone) -> (Vec<String>, Vec<String>) {
    let mut asked = Vec::new();
    let mut locator = match locator {
        Ok(locator) => locator,
        Err(error) => return (asked, vec![format!("{error:?}")]),
    };
    loop {
        match locator.outcome() {
            Some(Ok(located)) => {
                let targets = located.targets.iter();
                let words = targets.map(|it| format!("{} {}", it.transport.as_str(), it.remote));
                return (asked, words.collect());
            }
            Some(Err(error)) => return (asked, vec![format!("{error:?}")]),
            None => {}
        }
        // All at once, and answered last first: the order of the answers may not matter.
        let mut open: Vec<_> = core::iter::from_fn(|| locator.poll_question()).collect();
        assert!(!open.is_empty(), "no outcome and no question after {asked:?}");
        asked.extend(open.iter().map(|(_, question)| words(question)));
        open.reverse();
        for (number, question) in open {
            locator.answer(number, zone.answer(&question));
        }
    }
}

fn words(question: &Question) -> String {
    let kind = match question {
        Question::Naptr(_) => "NAPTR",
        Question::Srv(_) => "SRV",
        Question::Host(_) => "host",
    };
    format!("{kind} {}", question.name())
}

fn locator(uri: &str, transports: &[Transport]) -> Result<Locator, LocateError> {
    let uri: Uri<'_> = uri.parse().unwrap();
    Locator::new(&uri, Preferences::new(transports.iter().copied()), 1)
}

/// One row: the URI, our transports, the questions asked, the outcome.
#[track_caller]
fn row(zone: &Zone, uri: &str, transports: &[Transport], questions: &[&str], outcome: &[&str]) {
    let (asked, ended) = run(locator(uri, transports), zone);
    assert_eq!(asked, questions, "questions for {uri} with {transports:?}");
    assert_eq!(ended, outcome, "outcome of {uri} with {transports:?}");
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The domain of the example in RFC 3263 §4.1, with its servers, and their addresses.
fn example() -> Zone {
    Zone::default()
        .naptr("example.com", Naptr::new(50, 50, "SIPS+D2T", "_sips._tcp.example.com."))
        .naptr("example.com", Naptr::new(90, 50, "SIP+D2T", "_sip._tcp.example.com"))
        .naptr("example.com", Naptr::new(100, 50, "SIP+D2U", "_sip._udp.example.com."))
        .srv("_sips._tcp.example.com", Srv::new(0, 1, 5061, "secure.example.com"))
        .srv("_sip._tcp.example.com", Srv::new(0, 1, 5070, "server1.example.com"))
        .srv("_sip._tcp.example.com", Srv::new(1, 1, 5071, "server2.example.com"))
        .srv("_sip._udp.example.com", Srv::new(0, 1, 5080, "server2.example.com"))
        .host("server1.example.com", ip("192.0.2.1"))
        .host("server1.example.com", ip("2001:db8::1"))
        .host("server2.example.com", ip("192.0.2.2"))
        .host("secure.example.com", ip("192.0.2.3"))
        .host("example.com", ip("192.0.2.9"))
        .host("example.com", ip("192.0.2.10"))
}

#[test]
fn a_numeric_address_asks_nothing() {
    let rows = [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sip:u@192.0.2.1:5080", "UDP 192.0.2.1:5080"),
        ("sip:192.0.2.1;transport=tcp", "TCP 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=TLS", "TLS 192.0.2.1:5061"),
        ("sip:[2001:db8::1]", "UDP [2001:db8::1]:5060"),
        ("sip:[2001:db8::1]:5080;transport=tcp", "TCP [2001:db8::1]:5080"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1:5080", "TLS 192.0.2.1:5080"),
        ("sips:192.0.2.1;transport=tcp", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1;transport=ws", "WSS 192.0.2.1:443"),
        // The maddr is the TARGET, whatever the host is.
        ("sip:example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060"),
        ("sip:example.com:5070;maddr=192.0.2.7;transport=tcp", "TCP 192.0.2.7:5070"),
    ];
    for (uri, target) in rows {
        row(&example(), uri, &ALL, &[], &[target]);
    }
}

#[test]
fn a_port_leads_to_addresses_and_to_no_service() {
    let both = |transport: &str| {
        ["192.0.2.9", "192.0.2.10"].map(|address| format!("{transport} {address}:5060"))
    };
    for (uri, transport) in [
        ("sip:example.com:5060", "UDP"),
        ("sip:example.com:5060;transport=tcp", "TCP"),
        ("sips:example.com:5060", "TLS"),
        ("sip:192.0.2.1:5060;maddr=example.com", "UDP"),
    ] {
        let targets = both(transport);
        let targets = targets.each_ref().map(String::as_str);
        row(&example(), uri, &ALL, &["host example.com"], &targets);
    }
}

#[test]
fn a_transport_leads_to_its_service() {
    row(
        &example(),
        "sip:example.com;transport=tcp",
        &ALL,
        &["SRV _sip._tcp.example.com", "host server1.example.com", "host server2.example.com"],
        &["TCP 192.0.2.1:5070", "TCP [2001:db8::1]:5070", "TCP 192.0.2.2:5071"],
    );
    row(
        &example(),
        "sip:example.com;transport=udp",
        &ALL,
        &["SRV _sip._udp.example.com", "host server2.example.com"],
        &["UDP 192.0.2.2:5080"],
    );
    for uri in ["sips:example.com;transport=tcp", "sip:example.com;transport=tls"] {
        row(
            &example(),
            uri,
            &ALL,
            &["SRV _sips._tcp.example.com", "host secure.example.com"],
            &["TLS 192.0.2.3:5061"],
        );
    }
    // Without records of the service: the addresses of the domain, at the default port.
    row(
        &example(),
        "sips:example.com;transport=wss",
        &ALL,
        &["SRV _sips._ws.example.com", "host example.com"],
        &["WSS 192.0.2.9:443", "WSS 192.0.2.10:443"],
    );
    let sctp = [Transport::Sctp, Transport::Ws];
    row(
        &example(),
        "sip:example.com;transport=sctp",
        &sctp,
        &["SRV _sip._sctp.example.com", "host example.com"],
        &["SCTP 192.0.2.9:5060", "SCTP 192.0.2.10:5060"],
    );
    row(
        &example(),
        "sip:example.com;transport=ws",
        &sctp,
        &["SRV _sip._ws.example.com", "host example.com"],
        &["WS 192.0.2.9:80", "WS 192.0.2.10:80"],
    );
}

#[test]
fn naptr_records_choose_the_transport() {
    let naptr = "NAPTR example.com";
    let tls = &["TLS 192.0.2.3:5061"];
    let tls_questions = &[naptr, "SRV _sips._tcp.example.com", "host secure.example.com"];
    // A SIP URI keeps the records of SIPS if we have TLS.
    row(&example(), "sip:example.com", &ALL, tls_questions, tls);
    row(&example(), "sips:example.com", &ALL, tls_questions, tls);
    // The example of RFC 3263 §4.1: a client with TCP and UDP.
    row(
        &example(),
        "sip:user@example.com",
        &PLAIN,
        &[
            naptr,
            "SRV _sip._tcp.example.com",
            "host server1.example.com",
            "host server2.example.com",
        ],
        &["TCP 192.0.2.1:5070", "TCP [2001:db8::1]:5070", "TCP 192.0.2.2:5071"],
    );
    row(
        &example(),
        "sip:example.com",
        &[Transport::Udp],
        &[naptr, "SRV _sip._udp.example.com", "host server2.example.com"],
        &["UDP 192.0.2.2:5080"],
    );
}

#[test]
fn naptr_records_are_taken_by_order_and_then_by_preference() {
    let zone = |tcp: (u16, u16), udp: (u16, u16)| {
        Zone::default()
            .naptr("d", Naptr::new(tcp.0, tcp.1, "sip+d2t", "tcp.d"))
            .naptr("d", Naptr::new(udp.0, udp.1, "Sip+D2U", "udp.d"))
            .srv("tcp.d", Srv::new(0, 0, 1, "h"))
            .srv("udp.d", Srv::new(0, 0, 2, "h"))
            .host("h", ip("192.0.2.1"))
    };
    let rows = [
        ((1, 9), (2, 1), "tcp.d"),
        ((2, 1), (1, 9), "udp.d"),
        ((1, 1), (1, 2), "tcp.d"),
        ((1, 2), (1, 1), "udp.d"),
        // Nothing between them: what we like best.
        ((1, 1), (1, 1), "udp.d"),
    ];
    for (tcp, udp, service) in rows {
        let (asked, _) = run(locator("sip:d", &PLAIN), &zone(tcp, udp));
        assert_eq!(asked[1], format!("SRV {service}"), "{tcp:?} {udp:?}");
    }
}

#[test]
fn naptr_records_that_do_not_apply_are_discarded() {
    let other_transport = Naptr::new(1, 1, "SIP+D2S", "x.d");
    let other_service = Naptr::new(1, 1, "E2U+sip", "x.d");
    let no_protocol = Naptr::new(1, 1, "SIP", "x.d");
    let secure_datagrams = Naptr::new(1, 1, "SIPS+D2U", "x.d");
    let by_pattern = Naptr::new(1, 1, "SIP+D2U", "x.d").with_regexp("!^.*$!sip:x@d!");
    let address = Naptr::new(1, 1, "SIP+D2U", "x.d").with_flags("a");
    let not_terminal = Naptr::new(1, 1, "SIP+D2U", "x.d").with_flags("");
    let nowhere = Naptr::new(1, 1, "SIP+D2U", ".");
    let records = [
        other_transport,
        other_service,
        no_protocol,
        secure_datagrams,
        by_pattern,
        address,
        not_terminal,
        nowhere,
    ];
    for record in records {
        let zone = Zone::default()
            .naptr("d", record.clone())
            .naptr("d", Naptr::new(9, 9, "SIP+D2T", "tcp.d").with_flags("S"))
            .srv("tcp.d", Srv::new(0, 0, 7, "h"))
            .srv("x.d", Srv::new(0, 0, 6, "h"))
            .host("h", ip("192.0.2.1"));
        let questions = ["NAPTR d", "SRV tcp.d", "host h"];
        row(&zone, "sip:d", &PLAIN, &questions, &["TCP 192.0.2.1:7"]);
        // None is left: as if there were none.
        let zone = Zone::default().naptr("d", record).host("d", ip("192.0.2.1"));
        let questions = ["NAPTR d", "SRV _sip._udp.d", "SRV _sip._tcp.d", "host d"];
        row(&zone, "sip:d", &PLAIN, &questions, &["UDP 192.0.2.1:5060"]);
    }
}

#[test]
fn a_sips_uri_never_takes_a_record_of_sip() {
    let zone = Zone::default()
        .naptr("d", Naptr::new(1, 1, "SIP+D2T", "_sip._tcp.d"))
        .srv("_sip._tcp.d", Srv::new(0, 0, 1, "h"))
        .host("h", ip("192.0.2.1"))
        .host("d", ip("192.0.2.2"));
    let questions = ["NAPTR d", "SRV _sips._tcp.d", "SRV _sips._ws.d", "host d"];
    row(&zone, "sips:d", &ALL, &questions, &["TLS 192.0.2.2:5061"]);
}

#[test]
fn a_naptr_record_may_lead_into_another_domain() {
    let zone = Zone::default()
        .naptr("example.com", Naptr::new(1, 1, "SIPS+D2T", "_sips._tcp.school.edu"))
        .srv("_sips._tcp.school.edu", Srv::new(0, 0, 5061, "host.school.edu"))
        .host("host.school.edu", ip("192.0.2.1"));
    let located = zone.locate(locator("sips:example.com", &ALL)).unwrap();
    assert_eq!(located.targets.len(), 1);
    assert_eq!(&*located.domain, "example.com", "that is whom the certificate must name");
}

#[test]
fn a_naptr_record_without_its_services_leads_to_the_addresses_of_the_domain() {
    let zone = Zone::default()
        .naptr("d", Naptr::new(1, 1, "SIP+D2T", "_sip._tcp.d"))
        .srv("_sip._udp.d", Srv::new(0, 0, 1, "h"))
        .host("d", ip("192.0.2.2"));
    let questions = ["NAPTR d", "SRV _sip._tcp.d", "host d"];
    row(&zone, "sip:d", &PLAIN, &questions, &["TCP 192.0.2.2:5060"]);
}

#[test]
fn without_naptr_records_each_transport_is_asked_for() {
    let questions = |last: &'static str| {
        ["NAPTR example.org", "SRV _sip._udp.example.org", "SRV _sip._tcp.example.org", last]
    };
    let hosts = Zone::default().host("h.example.org", ip("192.0.2.1"));
    let tcp = hosts.clone().srv("_sip._tcp.example.org", Srv::new(0, 0, 5065, "h.example.org"));
    let both = tcp.clone().srv("_sip._udp.example.org", Srv::new(9, 0, 5066, "h.example.org"));
    let host = questions("host h.example.org");
    row(&tcp, "sip:example.org", &ALL, &host, &["TCP 192.0.2.1:5065"]);
    // Ours is the choice, and the priorities of different services are not compared.
    row(&both, "sip:example.org", &ALL, &host, &["UDP 192.0.2.1:5066"]);
    let turned = [Transport::Tcp, Transport::Udp];
    let asked = ["NAPTR example.org", "SRV _sip._tcp.example.org", "SRV _sip._udp.example.org"];
    let (questions, targets) = run(locator("sip:example.org", &turned), &both);
    assert_eq!(questions[..3], asked);
    assert_eq!(targets, ["TCP 192.0.2.1:5065"]);
    // For a SIP URI the service of SIPS is not asked for, unless we have nothing else.
    let secure = hosts.srv("_sips._tcp.example.org", Srv::new(0, 0, 5061, "h.example.org"));
    let (_, ended) = run(locator("sip:example.org", &ALL), &secure);
    assert_eq!(ended, ["NoAddress"]);
    row(
        &secure,
        "sip:example.org",
        &[Transport::Tls],
        &["NAPTR example.org", "SRV _sips._tcp.example.org", "host h.example.org"],
        &["TLS 192.0.2.1:5061"],
    );
    row(
        &secure,
        "sips:example.org",
        &ALL,
        &[
            "NAPTR example.org",
            "SRV _sips._tcp.example.org",
            "SRV _sips._ws.example.org",
            "host h.example.org",
        ],
        &["TLS 192.0.2.1:5061"],
    );
}

#[test]
fn without_any_record_but_addresses_the_default_is_udp_or_tls() {
    let zone = Zone::default().host("d", ip("192.0.2.1"));
    let questions = ["NAPTR d", "SRV _sip._udp.d", "SRV _sip._tcp.d", "host d"];
    row(&zone, "sip:d", &ALL, &questions, &["UDP 192.0.2.1:5060"]);
    // The order of our liking does not change the default.
    let turned = [Transport::Tcp, Transport::Udp];
    let questions = ["NAPTR d", "SRV _sip._tcp.d", "SRV _sip._udp.d", "host d"];
    row(&zone, "sip:d", &turned, &questions, &["UDP 192.0.2.1:5060"]);
    let questions = ["NAPTR d", "SRV _sips._tcp.d", "SRV _sips._ws.d", "host d"];
    row(&zone, "sips:d", &ALL, &questions, &["TLS 192.0.2.1:5061"]);
    // Without UDP a request goes by what there is.
    let questions = ["NAPTR d", "SRV _sip._tcp.d", "host d"];
    row(&zone, "sip:d", &[Transport::Tcp], &questions, &["TCP 192.0.2.1:5060"]);
    row(&zone, "sip:d:5070", &[Transport::Tcp], &["host d"], &["TCP 192.0.2.1:5070"]);
    row(&zone, "sip:192.0.2.1", &[Transport::Tcp], &[], &["TCP 192.0.2.1:5060"]);
}

#[test]
fn a_domain_may_say_that_it_has_no_such_service() {
    let refused = |name: &str| Zone::default().srv(name, Srv::new(0, 0, 0, "."));
    let zone = refused("_sip._udp.d").host("d", ip("192.0.2.1"));
    row(&zone, "sip:d;transport=udp", &PLAIN, &["SRV _sip._udp.d"], &["ServiceUnavailable"]);
    // Not by UDP, and nothing said of TCP: UDP would be the default.
    let questions = ["NAPTR d", "SRV _sip._udp.d", "SRV _sip._tcp.d"];
    row(&zone, "sip:d", &PLAIN, &questions, &["ServiceUnavailable"]);
    // Not by UDP, but by TCP.
    let zone = zone.srv("_sip._tcp.d", Srv::new(0, 0, 7, "d"));
    let questions = ["NAPTR d", "SRV _sip._udp.d", "SRV _sip._tcp.d", "host d"];
    row(&zone, "sip:d", &PLAIN, &questions, &["TCP 192.0.2.1:7"]);
    // A refusal beside a host means nothing.
    let zone = zone.srv("_sip._tcp.d", Srv::new(9, 0, 0, "."));
    row(&zone, "sip:d", &PLAIN, &questions, &["TCP 192.0.2.1:7"]);
}

#[test]
fn a_uri_that_leads_nowhere_says_why_at_once() {
    let rows: [(&str, &[Transport], &str); 9] = [
        ("tel:+4930123456", &ALL, "NotSip"),
        ("im:juliet@example.com", &ALL, "NotSip"),
        ("sip:example.com;transport=pigeon", &ALL, "UnknownTransport"),
        ("sips:example.com;transport=udp", &ALL, "NotSecure"),
        ("sips:example.com;transport=sctp", &ALL, "NotSecure"),
        ("sips:example.com", &PLAIN, "NoSupportedTransport"),
        ("sips:192.0.2.1", &PLAIN, "NoSupportedTransport"),
        ("sip:example.com;transport=ws", &ALL, "NoSupportedTransport"),
        ("sip:example.com", &[], "NoSupportedTransport"),
    ];
    for (uri, transports, error) in rows {
        row(&example(), uri, transports, &[], &[error]);
    }
}

#[test]
fn hosts_without_addresses_are_passed_over() {
    let zone = Zone::default()
        .srv("_sip._udp.d", Srv::new(0, 0, 1, "gone"))
        .srv("_sip._udp.d", Srv::new(1, 0, 2, "broken"))
        .srv("_sip._udp.d", Srv::new(2, 0, 3, "h"))
        .failure("broken", LookupError::Timeout);
    let questions = ["SRV _sip._udp.d", "host gone", "host broken", "host h"];
    let found = zone.clone().host("h", ip("192.0.2.1"));
    row(&found, "sip:d;transport=udp", &PLAIN, &questions, &["UDP 192.0.2.1:3"]);
    // Where records name hosts the addresses of the domain are not asked for.
    let only = zone.host("d", ip("192.0.2.5"));
    row(&only, "sip:d;transport=udp", &PLAIN, &questions, &["Lookup(Timeout)"]);
    row(&Zone::default(), "sip:d:5060", &PLAIN, &["host d"], &["NoAddress"]);
}

#[test]
fn a_name_server_that_fails_is_told_from_a_name_that_does_not_exist() {
    let zone = Zone::default().failure("d", LookupError::Failed);
    let questions = ["NAPTR d", "SRV _sip._udp.d", "SRV _sip._tcp.d", "host d"];
    row(&zone, "sip:d", &PLAIN, &questions, &["Lookup(Failed)"]);
    row(&Zone::default(), "sip:d", &PLAIN, &questions, &["NoAddress"]);
    // Where only the records of services fail, what can be found is found.
    let zone = Zone::default()
        .failure("_sip._udp.d", LookupError::Timeout)
        .failure("_sip._tcp.d", LookupError::Failed)
        .host("d", ip("192.0.2.1"));
    row(&zone, "sip:d", &PLAIN, &questions, &["UDP 192.0.2.1:5060"]);
}

#[test]
fn a_record_that_names_an_address_is_understood() {
    let zone = Zone::default()
        .srv("_sip._udp.d", Srv::new(0, 0, 1, "192.0.2.1"))
        .srv("_sip._udp.d", Srv::new(1, 0, 2, "h"))
        .srv("_sip._udp.d", Srv::new(2, 0, 3, "192.0.2.3."))
        .host("h", ip("192.0.2.2"));
    row(
        &zone,
        "sip:d;transport=udp",
        &PLAIN,
        &["SRV _sip._udp.d", "host h"],
        &["UDP 192.0.2.1:1", "UDP 192.0.2.2:2", "UDP 192.0.2.3:3"],
    );
    let zone = Zone::default().srv("_sip._udp.d", Srv::new(0, 0, 1, "192.0.2.1"));
    let questions = ["SRV _sip._udp.d"];
    row(&zone, "sip:d;transport=udp", &PLAIN, &questions, &["UDP 192.0.2.1:1"]);
}

#[test]
fn names_compare_without_case_and_without_a_dot_at_the_end() {
    let zone = Zone::default().host("Example.COM.", ip("192.0.2.1"));
    row(&zone, "sip:exAmple.com.:5060", &PLAIN, &["host example.com"], &["UDP 192.0.2.1:5060"]);
}

#[test]
fn the_families_come_in_the_order_that_was_configured() {
    let zone = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]
        .into_iter()
        .fold(Zone::default(), |zone, address| zone.host("d", ip(address)));
    let (v4, v6) = (["192.0.2.1", "192.0.2.2", "192.0.2.3"], ["2001:db8::1", "2001:db8::2"]);
    let rows = [
        (FamilyOrder::AsGiven, [v4[0], v4[1], v4[2], v6[0], v6[1]]),
        (FamilyOrder::Ipv6First, [v6[0], v6[1], v4[0], v4[1], v4[2]]),
        (FamilyOrder::Interleaved, [v6[0], v4[0], v6[1], v4[1], v4[2]]),
    ];
    for (order, expected) in rows {
        let uri: Uri<'_> = "sip:d:5060".parse().unwrap();
        let preferences = Preferences::new(PLAIN).with_families(order);
        let located = zone.locate(Locator::new(&uri, preferences, 1)).unwrap();
        let found: Vec<_> = located.targets.iter().map(|target| target.remote.ip()).collect();
        assert_eq!(found, expected.map(ip), "{order:?}");
    }
}

#[test]
fn a_target_is_tried_once_and_the_list_has_an_end() {
    let zone = Zone::default()
        .srv("_sip._udp.d", Srv::new(0, 0, 5060, "h1"))
        .srv("_sip._udp.d", Srv::new(1, 0, 5060, "h2"))
        .srv("_sip._udp.d", Srv::new(2, 0, 5061, "h2"))
        .host("h1", ip("192.0.2.1"))
        .host("h2", ip("192.0.2.1"));
    let (_, targets) = run(locator("sip:d;transport=udp", &PLAIN), &zone);
    assert_eq!(targets, ["UDP 192.0.2.1:5060", "UDP 192.0.2.1:5061"]);

    let mut zone = Zone::default();
    for n in 0..100_u8 {
        let host = format!("h{n}");
        zone = zone.srv("_sip._udp.d", Srv::new(u16::from(n), 0, 5060, &host));
        for m in 0..4 {
            zone = zone.host(&host, IpAddr::from([10, 0, n, m]));
        }
    }
    let (asked, targets) = run(locator("sip:d;transport=udp", &PLAIN), &zone);
    assert_eq!(asked.len(), 1 + MAX_HOSTS);
    assert_eq!(targets.len(), MAX_TARGETS);
    assert_eq!((&*targets[0], &*targets[31]), ("UDP 10.0.0.0:5060", "UDP 10.0.7.3:5060"));
}

#[test]
fn what_is_known_before_all_is() {
    let mut locator = locator("sip:example.com;transport=tcp", &PLAIN).unwrap();
    assert_eq!(locator.known(), None);
    let (number, question) = locator.poll_question().unwrap();
    locator.answer(number, example().answer(&question));
    let (first, _) = locator.poll_question().unwrap();
    let (second, question) = locator.poll_question().unwrap();
    assert_eq!(locator.known(), None);
    locator.answer(second, example().answer(&question));
    let words = |located: Option<Located>| -> Vec<String> {
        located.unwrap().targets.iter().map(|it| it.remote.to_string()).collect()
    };
    assert_eq!(words(locator.known()), ["192.0.2.2:5071"]);
    assert_eq!(locator.outcome(), None);
    locator.answer(first, Ok(Answer::Host(vec![ip("192.0.2.1")])));
    let all = ["192.0.2.1:5070", "192.0.2.2:5071"];
    assert_eq!(words(locator.known()), all);
    assert_eq!(words(locator.outcome().unwrap().ok()), all);
}

/// Whatever a resolver says, the work and the memory for it are bounded.
#[test]
fn ten_thousand_records_are_no_work() {
    const MANY: u16 = 10_000;
    let naptr = |n: u16| Naptr::new(n % 100, n, "SIP+D2U", "_sip._udp.d");
    let srv = |n: u16| Srv::new(n % 7, n, 5060, &format!("h{n}"));
    let address = |n: u16| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    let begun = std::time::Instant::now();
    let mut locator = locator("sip:d", &PLAIN).unwrap();
    let (number, _) = locator.poll_question().unwrap();
    locator.answer(number, Ok(Answer::Naptr((0..MANY).map(naptr).collect())));
    let (number, _) = locator.poll_question().unwrap();
    locator.answer(number, Ok(Answer::Srv((0..MANY).map(srv).collect())));
    let hosts: Vec<_> = core::iter::from_fn(|| locator.poll_question()).collect();
    assert_eq!(hosts.len(), MAX_HOSTS);
    for (number, _) in hosts {
        locator.answer(number, Ok(Answer::Host((0..MANY).map(address).collect())));
    }
    let located = locator.outcome().unwrap().unwrap();
    assert_eq!(located.targets.len(), MAX_TARGETS);
    let took = begun.elapsed();
    assert!(took < core::time::Duration::from_secs(5), "{took:?}");
}

#[test]
fn one_seed_gives_one_list() {
    let zone = (0..8_u8).fold(Zone::default(), |zone, n| {
        let host = format!("h{n}");
        let address = IpAddr::from([192, 0, 2, n]);
        zone.srv("_sip._udp.d", Srv::new(0, 10, 5060, &host)).host(&host, address)
    });
    let list = |seed| {
        let uri: Uri<'_> = "sip:d;transport=udp".parse().unwrap();
        zone.locate(Locator::new(&uri, Preferences::new(PLAIN), seed)).unwrap()
    };
    assert_eq!(list(5), list(5));
    assert!((0..8).any(|seed| list(seed) != list(5)));
}

#[test]
fn the_better_service_is_not_held_up_by_the_others() {
    let zone = example().srv("_sip._udp.d", Srv::new(0, 0, 1, "server1.example.com"));
    let mut locator = locator("sip:d", &PLAIN).unwrap();
    let (naptr, question) = locator.poll_question().unwrap();
    assert_eq!(locator.poll_question(), None, "nothing else before its answer");
    locator.answer(naptr, zone.answer(&question));
    let (udp, question) = locator.poll_question().unwrap();
    let (tcp, _) = locator.poll_question().unwrap();
    locator.answer(udp, zone.answer(&question));
    let (host, question) = locator.poll_question().unwrap();
    assert_eq!(words(&question), "host server1.example.com");
    assert!(locator.outcome().is_none());
    // The answers to what is no longer open change nothing: to another step, or to one of the same again.
    locator.answer(tcp, Ok(Answer::Srv(vec![Srv::new(0, 0, 9, "x")])));
    locator.answer(naptr, Ok(Answer::none(&question)));
    locator.answer(QuestionNumber(99), Ok(Answer::none(&question)));
    assert!(locator.outcome().is_none());
    locator.answer(host, zone.answer(&question));
    let located = locator.outcome().unwrap().unwrap();
    assert_eq!(located.targets.len(), 2);
    locator.answer(host, Ok(Answer::none(&question)));
    assert_eq!(locator.outcome(), Some(Ok(located)));
    assert_eq!(locator.poll_question(), None);
}

#[test]
fn records_of_another_kind_are_no_answer() {
    let mut locator = locator("sip:d", &[Transport::Udp]).unwrap();
    let mut asked = Vec::new();
    while let Some((number, question)) = locator.poll_question() {
        let other = match question {
            Question::Naptr(_) => Answer::Host(vec![ip("192.0.2.1")]),
            Question::Srv(_) => Answer::Naptr(vec![Naptr::new(0, 0, "SIP+D2U", "x")]),
            Question::Host(_) => Answer::Srv(vec![Srv::new(0, 0, 1, "x")]),
        };
        asked.push(words(&question));
        locator.answer(number, Ok(other));
    }
    assert_eq!(asked, ["NAPTR d", "SRV _sip._udp.d", "host d"]);
    assert_eq!(locator.outcome(), Some(Err(LocateError::NoAddress)));
}

#[test]
fn the_domain_to_verify_is_the_one_that_was_asked_for() {
    let rows = [
        ("sips:bob@example.com", "example.com"),
        ("sips:bob@example.com:5061", "example.com"),
        ("sips:192.0.2.1", "192.0.2.1"),
        ("sips:[2001:db8::1]:5061", "2001:db8::1"),
        // The maddr says where to go, not whom to trust.
        ("sips:example.com;maddr=192.0.2.1", "example.com"),
        ("sips:example.net;maddr=example.com", "example.net"),
    ];
    for (uri, domain) in rows {
        let locator = locator(uri, &ALL);
        assert_eq!(locator.as_ref().unwrap().domain(), domain);
        assert_eq!(&*example().locate(locator).unwrap().domain, domain, "{uri}");
    }
}

#[test]
fn a_multicast_target_has_the_time_to_live_of_its_uri() {
    let ttl = |uri| Zone::default().locate(locator(uri, &PLAIN)).unwrap().targets[0].ttl;
    assert_eq!(ttl("sip:example.com;maddr=239.255.255.1;ttl=15"), Some(15));
    assert_eq!(ttl("sip:example.com;maddr=239.255.255.1"), None);
    assert_eq!(ttl("sip:example.com;maddr=192.0.2.1;ttl=15"), None);
}

#[test]
fn a_response_goes_where_the_via_says() {
    let zone = example()
        .srv("_sips._tcp.example.org", Srv::new(0, 0, 5062, "server1.example.com"))
        .host("example.org", ip("192.0.2.20"));
    let rows: [(&str, &[&str], &[&str]); 9] = [
        ("UDP 192.0.2.7", &[], &["UDP 192.0.2.7:5060"]),
        ("TCP [2001:db8::7]:5070", &[], &["TCP [2001:db8::7]:5070"]),
        ("TLS 192.0.2.7", &[], &["TLS 192.0.2.7:5061"]),
        (
            "UDP example.com:5090",
            &["host example.com"],
            &["UDP 192.0.2.9:5090", "UDP 192.0.2.10:5090"],
        ),
        ("TLS example.org:5090", &["host example.org"], &["TLS 192.0.2.20:5090"]),
        (
            "UDP example.com",
            &["SRV _sip._udp.example.com", "host server2.example.com"],
            &["UDP 192.0.2.2:5080"],
        ),
        (
            "TLS example.org",
            &["SRV _sips._tcp.example.org", "host server1.example.com"],
            &["TLS 192.0.2.1:5062", "TLS [2001:db8::1]:5062"],
        ),
        (
            "TCP example.org",
            &["SRV _sip._tcp.example.org", "host example.org"],
            &["TCP 192.0.2.20:5060"],
        ),
        ("SCTP 192.0.2.7", &[], &["NoSupportedTransport"]),
    ];
    for (sent_by, questions, outcome) in rows {
        let text = format!("SIP/2.0/{sent_by};branch=z9hG4bK1");
        let via = Via::parse(text.as_bytes()).unwrap();
        let (asked, ended) = run(Locator::for_response(&via, Preferences::new(ALL), 1), &zone);
        assert_eq!(asked, questions, "{sent_by}");
        assert_eq!(ended, outcome, "{sent_by}");
    }
    let via = Via::parse(b"SIP/2.0/PIGEON example.com;branch=z9hG4bK1").unwrap();
    let refused = Locator::for_response(&via, Preferences::new(ALL), 1);
    assert_eq!(refused.unwrap_err(), LocateError::UnknownTransport);
}

#[test]
fn a_transport_that_is_named_twice_is_asked_for_once() {
    let preferences = Preferences::new([Transport::Tcp, Transport::Udp, Transport::Tcp]);
    assert_eq!(preferences.transports, [Transport::Tcp, Transport::Udp]);
}

#[test]
fn nobody_is_asked_for_a_name_that_a_websocket_client_made_up() {
    let all = Preferences::new([Transport::Udp, Transport::Ws, Transport::Wss]);
    for uri in [
        "sip:alice@df7jal23ls0d.invalid;transport=ws",
        "sips:alice@df7jal23ls0d.Invalid.;transport=ws",
        "sip:df7jal23ls0d.invalid:5060",
        "sip:invalid",
    ] {
        let uri: Uri<'_> = uri.parse().unwrap();
        assert_eq!(Locator::new(&uri, all.clone(), 1).err(), Some(LocateError::NoAddress), "{uri}");
    }
    let valid: Uri<'_> = "sip:invalid.example.com;transport=ws".parse().unwrap();
    assert!(Locator::new(&valid, all, 1).unwrap().poll_question().is_some());
}
