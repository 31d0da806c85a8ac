//! The procedure of RFC 3263 with a real name server: dnsmasq on loopback, which serves the same records as
//! the table beside it. Both have to lead to the same targets.
#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sip_message::{Transport, Uri};
use sip_transport::locate::{
    Answer, Dns, LocateError, Located, Locator, LookupError, Naptr, Preferences, Question, Srv,
    Zone,
};

/// A name server that ends with the test.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The domains of the table: what a name server does not know of them does not exist.
const DOMAINS: [&str; 5] =
    ["example.com", "example.org", "example.net", "example.edu", "school.example"];

/// One record, for the table and for the command line of dnsmasq.
enum Record {
    Naptr(&'static str, Naptr),
    Srv(&'static str, Srv),
    Host(&'static str, &'static str),
}

fn records() -> Vec<Record> {
    let naptr = |name, order, preference, services, replacement| {
        Record::Naptr(name, Naptr::new(order, preference, services, replacement))
    };
    let srv = |name, priority, weight, port, target| {
        Record::Srv(name, Srv::new(priority, weight, port, target))
    };
    vec![
        // The example of RFC 3263 §4.1.
        naptr("example.com", 50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
        naptr("example.com", 90, 50, "SIP+D2T", "_sip._tcp.example.com"),
        naptr("example.com", 100, 50, "SIP+D2U", "_sip._udp.example.com"),
        srv("_sips._tcp.example.com", 0, 1, 5061, "server1.example.com"),
        srv("_sip._tcp.example.com", 0, 1, 5060, "server1.example.com"),
        srv("_sip._tcp.example.com", 0, 2, 5060, "server2.example.com"),
        srv("_sip._udp.example.com", 0, 1, 5060, "server1.example.com"),
        srv("_sip._udp.example.com", 1, 1, 5062, "server2.example.com"),
        Record::Host("server1.example.com", "192.0.2.1"),
        Record::Host("server1.example.com", "2001:db8::1"),
        Record::Host("server2.example.com", "192.0.2.2"),
        Record::Host("example.com", "192.0.2.9"),
        // Services without NAPTR, and one that is not offered.
        Record::Srv("_sip._udp.example.org", Srv::new(0, 0, 0, ".")),
        srv("_sip._tcp.example.org", 10, 0, 5070, "a.example.org"),
        Record::Host("a.example.org", "192.0.2.20"),
        // An address, and nothing else.
        Record::Host("example.net", "192.0.2.30"),
        // A NAPTR record that leads into another domain, and one that nobody here can follow.
        naptr("example.edu", 10, 10, "SIP+D2S", "_sip._sctp.example.edu"),
        naptr("example.edu", 20, 10, "SIP+D2T", "_sip._tcp.school.example"),
        srv("_sip._tcp.school.example", 0, 0, 5080, "host.school.example"),
        Record::Host("host.school.example", "192.0.2.40"),
    ]
}

fn zone() -> Zone {
    records().into_iter().fold(Zone::default(), |zone, record| match record {
        Record::Naptr(name, record) => zone.naptr(name, record),
        Record::Srv(name, record) => zone.srv(name, record),
        Record::Host(name, address) => zone.host(name, address.parse().unwrap()),
    })
}

/// Starts dnsmasq with those records; `None`, said aloud, where it is not installed.
fn server() -> Option<Server> {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-resolv"]);
    command.args(["--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1"]);
    command.args([&format!("--port={port}"), "--local-ttl=60"]);
    command.args(DOMAINS.map(|domain| format!("--local=/{domain}/")));
    command.arg("--cname=alias.example.org,a.example.org");
    for record in records() {
        command.arg(match record {
            Record::Naptr(name, it) => format!(
                "--naptr-record={name},{},{},{},{},,{}",
                it.order, it.preference, it.flags, it.services, it.replacement
            ),
            Record::Srv(name, it) if &*it.target == "." => format!("--srv-host={name}"),
            Record::Srv(name, it) => {
                format!("--srv-host={name},{},{},{},{}", it.target, it.port, it.priority, it.weight)
            }
            Record::Host(name, address) => format!("--host-record={name},{address}"),
        });
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let process = match command.spawn() {
        Ok(process) => process,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: dnsmasq is not installed (Debian: dnsmasq-base)");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    Some(Server { process, addr: (Ipv4Addr::LOCALHOST, port).into() })
}

/// A client of that server, when the server answers.
async fn client(server: &Server) -> Dns {
    for _ in 0..100 {
        let dns = Dns::with_servers([server.addr]).unwrap();
        let question = Question::Host("example.net".into());
        let asked = tokio::time::timeout(Duration::from_millis(200), dns.answer(&question)).await;
        if matches!(asked, Ok(Ok(Answer::Host(found))) if !found.is_empty()) {
            return dns;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the name server does not answer");
}

async fn locate(dns: &Dns, mut locator: Locator) -> Result<Located, LocateError> {
    loop {
        if let Some(outcome) = locator.outcome() {
            return outcome;
        }
        let (number, question) = locator.poll_question().expect("a question, or an outcome");
        locator.answer(number, dns.answer(&question).await);
    }
}

fn locator(uri: &str, seed: u64) -> Locator {
    let uri: Uri<'_> = uri.parse().unwrap();
    let preferences = Preferences::new([Transport::Udp, Transport::Tcp])
        .with_families(sip_transport::locate::FamilyOrder::Ipv6First);
    Locator::new(&uri, preferences, seed).unwrap()
}

#[tokio::test]
async fn the_dns_leads_where_the_table_does() {
    let Some(server) = server() else { return };
    let dns = client(&server).await;
    let uris = [
        ("sip:example.com", 3),
        ("sip:example.com;transport=udp", 3),
        ("sip:example.com;transport=tcp", 3),
        ("sip:example.com:5060", 1),
        ("sip:example.org", 1),
        ("sip:example.net", 1),
        ("sip:example.edu", 1),
        ("sip:server1.example.com:5060", 2),
    ];
    for (uri, targets) in uris {
        for seed in 0..8 {
            let found = locate(&dns, locator(uri, seed)).await.unwrap();
            assert_eq!(found.targets.len(), targets, "{uri}");
            assert_eq!(Ok(found), zone().locate(Ok(locator(uri, seed))), "{uri}");
        }
    }
    for uri in
        ["sip:example.org;transport=udp", "sip:nowhere.example.com", "sip:nowhere.example.com:5060"]
    {
        let error = locate(&dns, locator(uri, 0)).await.unwrap_err();
        assert_eq!(Err(error), zone().locate(Ok(locator(uri, 0))), "{uri}");
    }
}

#[tokio::test]
async fn each_kind_of_answer_is_told_apart() {
    let Some(server) = server() else { return };
    let dns = client(&server).await;
    let rows = [
        (Question::Host("nowhere.example.com".into()), Err(LookupError::NoSuchName)),
        (Question::Srv("_sip._udp.nowhere.example.com".into()), Err(LookupError::NoSuchName)),
        (Question::Naptr("nowhere.example.com".into()), Err(LookupError::NoSuchName)),
        (Question::Naptr("server2.example.com".into()), Ok(Answer::Naptr(Vec::new()))),
        (Question::Srv("server2.example.com".into()), Ok(Answer::Srv(Vec::new()))),
        // Names that cannot be.
        (Question::Host("x".repeat(64).into()), Err(LookupError::NoSuchName)),
        (Question::Host("x.".repeat(200).into()), Err(LookupError::NoSuchName)),
        (Question::Host("a..example.com".into()), Err(LookupError::NoSuchName)),
        // An alias is followed by the resolver.
        (
            Question::Host("alias.example.org".into()),
            Ok(Answer::Host(vec!["192.0.2.20".parse().unwrap()])),
        ),
        (
            Question::Srv("_sip._tcp.example.org.".into()),
            Ok(Answer::Srv(vec![Srv::new(10, 0, 5070, "a.example.org.")])),
        ),
    ];
    for (question, answer) in rows {
        assert_eq!(dns.answer(&question).await, answer, "{question:?}");
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_to_live() {
    let Some(server) = server() else { return };
    let dns = client(&server).await;
    let question = Question::Srv("_sip._tcp.example.org".into());
    let found = dns.answer(&question).await.unwrap();
    drop(server);
    assert_eq!(dns.answer(&question).await.unwrap(), found, "nobody is there to be asked");
    let other = dns.answer(&Question::Srv("_sip._tcp.example.com".into()));
    assert!(matches!(
        tokio::time::timeout(Duration::from_secs(30), other).await.unwrap(),
        Err(LookupError::Failed | LookupError::Timeout)
    ));
}

#[tokio::test]
async fn a_silent_name_server_is_told_from_a_name_that_does_not_exist() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = Dns::with_servers([silent.local_addr().unwrap()]).unwrap();
    let question = Question::Naptr("example.com".into());
    let answer = tokio::time::timeout(Duration::from_secs(60), dns.answer(&question)).await;
    assert!(matches!(answer.unwrap(), Err(LookupError::Timeout | LookupError::Failed)));
}
