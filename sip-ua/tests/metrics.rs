//! The `metrics` facade is told what `docs/metrics.md` says, and nothing else.
#![cfg(feature = "metrics")]
// The helpers of tests are tests too, but clippy knows only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also within its helpers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use sip_message::{HeaderName, Limits, Message, Response, StatusCode, Transport};
use sip_transaction::Resolver;
use sip_transport::Entry;
use sip_transport::locate::{Srv, Zone};
use sip_ua::{Account, CallEvent, Incoming, UserAgent, UserAgentBuilder};
use tokio::net::{TcpStream, UdpSocket};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Runs a test, but not for ever.
async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), test).await.expect("it takes too long")
}

/// Keeps what it is told: the sum of each counter and gauge, and how often each histogram was used.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<BTreeMap<(&'static str, Series), f64>>>);

/// A name with its labels.
type Series = (String, Vec<(String, String)>);

impl Kept {
    fn cell(&self, kind: &'static str, key: &Key) -> Arc<Cell> {
        let mut labels: Vec<_> =
            key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        labels.sort();
        Arc::new(Cell { kept: self.clone(), series: (kind, (key.name().to_owned(), labels)) })
    }

    /// The sum over all series of this name that have these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &Series| {
            labels
                .iter()
                .all(|(key, value)| series.1.contains(&((*key).to_owned(), (*value).to_owned())))
        };
        let all = self.0.lock().unwrap();
        let found = all.iter().filter(|((_, series), _)| series.0 == name && has(series));
        found.map(|(_, value)| value).sum()
    }

    /// What was told: the kind of each name, and its labels.
    fn told(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let mut told = BTreeMap::<_, (String, BTreeSet<String>)>::new();
        for (kind, (name, labels)) in self.0.lock().unwrap().keys() {
            let entry = told.entry(name.clone()).or_default();
            entry.0 = (*kind).to_owned();
            entry.1.extend(labels.iter().map(|(key, _)| key.clone()));
        }
        told
    }
}

#[derive(Debug)]
struct Cell {
    kept: Kept,
    series: (&'static str, Series),
}

impl Cell {
    fn add(&self, value: f64) {
        *self.kept.0.lock().unwrap().entry(self.series.clone()).or_default() += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {
        panic!("several user agents would not add up");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {
        panic!("several user agents would not add up");
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        assert!((0.0..20.0).contains(&value), "{value} s");
        self.add(1.0);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell("histogram", key))
    }
}

/// What the page says: the kind of each name, and its labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `sip_"));
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, _, labels, _] = cells[..] else { panic!("{row}") };
        // Names of labels are written small, names of types are not.
        let labels = quoted(labels).into_iter().filter(|label| !label.contains(char::is_uppercase));
        (quoted(name).remove(0), (kind.to_owned(), labels.collect()))
    })
    .collect()
}

fn builder(name: &str) -> UserAgentBuilder {
    let account = Account::new(format!("sip:{name}@example.com").parse().unwrap());
    builder_of(account)
}

fn builder_of(account: Account) -> UserAgentBuilder {
    let mut fast = sip_transaction::Config::default();
    fast.t1 = Duration::from_millis(10);
    UserAgent::builder()
        .listen("udp:127.0.0.1:0".parse().unwrap())
        .account(account)
        .transactions(fast)
        .shutdown_limit(Duration::from_secs(10))
}

fn at(ua: &UserAgent, transport: Transport) -> SocketAddr {
    ua.locals().first(transport).unwrap().addr
}

/// A registrar of a few lines: every request is answered 200, with the Contact that it had.
async fn registrar() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            let bytes = bytes::Bytes::copy_from_slice(&buffer[..len]);
            let message = Message::parse(bytes, &Limits::default()).unwrap();
            let request = message.into_request().unwrap();
            let mut response = Response::to_request(&request, StatusCode::OK);
            for contact in request.headers().raw_all(HeaderName::Contact) {
                let contact = format!("{};expires=600", std::str::from_utf8(contact).unwrap());
                response = response.raw(HeaderName::Contact, contact);
            }
            let response = response.build().unwrap();
            socket.send_to(&response.to_bytes(), from).await.unwrap();
        }
    });
    at
}

/// A call that is answered, and ended by the caller.
async fn call(alice: &UserAgent, bob: &UserAgent, transport: Transport) {
    let to = format!("sip:bob@{};transport={}", at(bob, transport), transport.as_str());
    let mut calling = alice.call(to.parse().unwrap()).offer(SDP).start().await.unwrap();
    let Some(Incoming::Invitation(invitation)) = bob.incoming().await else { panic!() };
    let mut called = invitation.ring().await.unwrap().accept(SDP).await.unwrap();
    while !matches!(calling.next().await, Some(CallEvent::Answered { .. })) {}
    assert!(matches!(called.next().await, Some(CallEvent::Confirmed { .. })));
    calling.hang_up();
    called.ended().await;
    calling.ended().await;
}

#[tokio::test]
async fn every_documented_name_is_told_and_no_other() {
    let kept = Kept::default();
    let _recorder = metrics::set_default_local_recorder(&kept);
    within(async {
        let barred = UdpSocket::bind("127.0.0.9:0").await.unwrap();
        let from = barred.local_addr().unwrap();
        let gate = move |_: Transport, _: SocketAddr, remote: SocketAddr| match remote == from {
            true => Entry::Refused,
            false => Entry::Rationed,
        };
        let bob = builder("bob").gate(gate).start().await.unwrap();
        let (udp, tcp) = (at(&bob, Transport::Udp), at(&bob, Transport::Tcp));
        // Nobody listens at the first server of the domain.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let zone = Zone::default()
            .srv("_sip._tcp.example.com", Srv::new(1, 0, nobody.port(), "one.example.com"))
            .srv("_sip._tcp.example.com", Srv::new(2, 0, tcp.port(), "two.example.com"))
            .host("one.example.com", nobody.ip())
            .host("two.example.com", tcp.ip());
        let registrar = format!("sip:{}", registrar().await).parse().unwrap();
        let account = Account::new("sip:alice@example.com".parse().unwrap()).registrar(registrar);
        let alice =
            builder_of(account).resolver(Resolver::Zone(zone.into())).start().await.unwrap();

        let registration = alice.register().await.unwrap();
        call(&alice, &bob, Transport::Udp).await;
        call(&alice, &bob, Transport::Tcp).await;
        // Refused.
        let to = format!("sip:bob@{udp}").parse().unwrap();
        let mut calling = alice.call(to).offer(SDP).start().await.unwrap();
        let Some(Incoming::Invitation(invitation)) = bob.incoming().await else { panic!() };
        invitation.reject(StatusCode::BUSY_HERE).await.unwrap();
        calling.ended().await;
        // Over the second server of the domain.
        let to = "sip:bob@example.com;transport=tcp".parse().unwrap();
        let (response, ()) = tokio::join!(alice.message(to, "hello").send(), async {
            let Some(Incoming::Request(request)) = bob.incoming().await else { panic!() };
            request.reply(StatusCode::OK).await.unwrap();
        });
        assert_eq!(response.unwrap().status(), StatusCode::OK);
        // Nobody answers.
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = format!("sip:x@{}", silent.local_addr().unwrap()).parse().unwrap();
        assert!(alice.message(to, "hello").send().await.is_err());
        // No SIP, one who is not let in, and a request that comes twice.
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = stranger.local_addr().unwrap().port();
        let options = format!(
            "OPTIONS sip:bob@{udp} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK1\r\n\
             From: <sip:s@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@s\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        barred.send_to(options.as_bytes(), udp).await.unwrap();
        for bytes in [b"hello", options.as_bytes(), options.as_bytes()] {
            stranger.send_to(bytes, udp).await.unwrap();
        }
        for _ in 0..2 {
            let len = stranger.recv(&mut [0; 2048]).await.unwrap();
            assert!(len > 100);
        }
        // A connection that its far end closes.
        drop(TcpStream::connect(tcp).await.unwrap());
        while kept.sum("sip_connections_closed_total", &[("reason", "in_order")]) < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(registration);
        assert!(alice.shutdown().await && bob.shutdown().await);
    })
    .await;
    assert_eq!(kept.told(), documented());
    for (name, labels, expected) in [
        ("sip_calls_started_total", vec![("direction", "outgoing")], 3.0),
        ("sip_calls_started_total", vec![("direction", "incoming")], 3.0),
        ("sip_calls_ended_total", vec![("direction", "outgoing"), ("reason", "local")], 2.0),
        ("sip_calls_ended_total", vec![("direction", "incoming"), ("reason", "remote")], 2.0),
        ("sip_calls_ended_total", vec![("direction", "outgoing"), ("reason", "rejected_4xx")], 1.0),
        ("sip_call_setup_seconds", vec![("direction", "outgoing"), ("until", "alerting")], 2.0),
        ("sip_call_setup_seconds", vec![("direction", "incoming"), ("until", "answer")], 2.0),
        ("sip_requests_total", vec![("direction", "received"), ("method", "BYE")], 2.0),
        ("sip_requests_total", vec![("transport", "tcp"), ("method", "MESSAGE")], 3.0),
        ("sip_responses_total", vec![("direction", "received"), ("class", "4xx")], 1.0),
        ("sip_registrations_total", vec![("outcome", "registered")], 1.0),
        ("sip_registrations_total", vec![("outcome", "unregistered")], 1.0),
        ("sip_messages_refused_total", vec![("reason", "not_sip")], 1.0),
        ("sip_admissions_refused_total", vec![("reason", "gate")], 1.0),
        ("sip_requests_absorbed_total", vec![], 1.0),
        ("sip_failovers_total", vec![], 1.0),
        ("sip_connections_failed_total", vec![("reason", "refused")], 1.0),
        ("sip_transactions_timed_out_total", vec![("side", "client")], 1.0),
    ] {
        assert_eq!(kept.sum(name, &labels), expected, "{name} {labels:?}");
    }
    for side in ["client", "server"] {
        let started = kept.sum("sip_transactions_started_total", &[("side", side)]);
        let ended = kept.sum("sip_transactions_ended_total", &[("side", side)]);
        assert!(started >= 6.0 && ended <= started, "{side}: {started} started, {ended} ended");
    }
}

#[tokio::test]
async fn what_has_ended_leaves_nothing_in_the_gauges() {
    const GAUGES: [&str; 9] = [
        "sip_transactions",
        "sip_timers",
        "sip_lookups",
        "sip_connections",
        "sip_queue_fill_ratio",
        "sip_calls",
        "sip_dialogs",
        "sip_requests_waiting",
        "sip_registrations",
    ];
    let kept = Kept::default();
    let _recorder = metrics::set_default_local_recorder(&kept);
    within(async {
        let registrar = format!("sip:{}", registrar().await).parse().unwrap();
        let account = Account::new("sip:alice@example.com".parse().unwrap()).registrar(registrar);
        let alice = builder_of(account).start().await.unwrap();
        let bob = builder("bob").start().await.unwrap();
        let _registration = alice.register().await.unwrap();
        let to = format!("sip:bob@{};transport=tcp", at(&bob, Transport::Tcp)).parse().unwrap();
        let _calling = alice.call(to).offer(SDP).start().await.unwrap();
        let Some(Incoming::Invitation(invitation)) = bob.incoming().await else { panic!() };
        // It is told within a second or so.
        while kept.sum("sip_calls", &[("state", "early")]) < 2.0
            || kept.sum("sip_registrations", &[("state", "registered")]) < 1.0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(kept.sum("sip_connections", &[]) >= 2.0);
        assert!(kept.sum("sip_dialogs", &[]) >= 1.0);
        assert!(kept.sum("sip_transactions", &[("side", "server")]) >= 1.0);
        assert!(kept.sum("sip_timers", &[]) >= 2.0);
        let _called = invitation.accept(SDP).await.unwrap();
        while kept.sum("sip_calls", &[("state", "answered")]) < 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(kept.sum("sip_calls", &[("state", "early")]), 0.0);
        assert!(alice.shutdown().await && bob.shutdown().await);
    })
    .await;
    for name in GAUGES {
        let left = kept.sum(name, &[]);
        assert!(left.abs() < 1e-9, "{name}: {left}");
    }
    let gauges = documented().into_iter().filter(|(_, (kind, _))| kind == "gauge");
    let gauges: BTreeSet<String> = gauges.map(|(name, _)| name).collect();
    assert_eq!(gauges, GAUGES.map(str::to_owned).into());
}
