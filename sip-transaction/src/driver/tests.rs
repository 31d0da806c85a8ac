use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sip_message::{
    HeaderName, Limits, Message, Method, Request, Response, StatusCode, Transport, Uri,
};
use sip_transport::locate::{
    Answer, LocateError, Locator, LookupError, Preferences, Question, QuestionNumber, Srv, Zone,
};
use sip_transport::{ListenAddr, Target, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::{ClientKey, Config, Event, Key, NextHop, Transactions};

const PATIENCE: Duration = Duration::from_secs(10);

/// A transaction user that answers every request with 200 and tells how its own end.
#[derive(Default)]
struct User {
    outcomes: VecDeque<(ClientKey, Outcome)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered(StatusCode),
    Timeout,
    Failed(TransportError),
}

impl TransactionUser for User {
    type Event = (ClientKey, Outcome);

    fn handle(&mut self, now: Instant, event: Event, transactions: &mut Transactions) {
        match event {
            Event::Request { key, request, .. } => {
                let response = Response::to_request(&request, StatusCode::OK).to_tag("t");
                transactions.respond(now, key, response.build().unwrap()).unwrap();
            }
            Event::Response { key, response, .. } => {
                self.outcomes.push_back((key, Outcome::Answered(response.status())));
            }
            Event::Timeout { key } => self.outcomes.push_back((key, Outcome::Timeout)),
            Event::TransportError { key: Key::Client(key), error } => {
                self.outcomes.push_back((key, Outcome::Failed(error)));
            }
            _ => {}
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.outcomes.pop_front()
    }
}

/// Sends an OPTIONS for each command and answers with its outcome.
#[derive(Default)]
struct App {
    waiting: Vec<(ClientKey, oneshot::Sender<Outcome>)>,
    closed: Arc<Mutex<u32>>,
}

struct Ask {
    hop: NextHop,
    answer: oneshot::Sender<Outcome>,
}

impl Application for App {
    type User = User;
    type Command = Ask;

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint<User>, ask: Ask) {
        let key = endpoint.with(now, |_, transactions| {
            let call_id = transactions.random().token(64);
            transactions.request(now, options(&call_id), ask.hop)
        });
        self.waiting.push((key.unwrap(), ask.answer));
    }

    fn event(&mut self, _: Instant, _: &mut Endpoint<User>, (key, outcome): (ClientKey, Outcome)) {
        if let Some(place) = self.waiting.iter().position(|waiting| waiting.0 == key) {
            let _ = self.waiting.swap_remove(place).1.send(outcome);
        }
    }

    fn closed(&mut self, _: Instant, _: &mut Endpoint<User>) {
        *self.closed.lock().unwrap() += 1;
    }
}

fn options(call_id: &str) -> Request {
    let uri: Uri<'static> = "sip:bob@example.com".parse().unwrap();
    Request::builder(Method::Options, &uri)
        .raw(HeaderName::From, "<sip:alice@example.com>;tag=1")
        .raw(HeaderName::To, "<sip:bob@example.com>")
        .raw(HeaderName::CallId, call_id)
        .raw(HeaderName::CSeq, "1 OPTIONS")
        .build()
        .unwrap()
}

/// A shard that runs.
struct Node {
    commands: Option<mpsc::Sender<Ask>>,
    stopper: Stopper,
    task: tokio::task::JoinHandle<()>,
    udp: std::net::SocketAddr,
    tcp: std::net::SocketAddr,
    closed: Arc<Mutex<u32>>,
}

fn start(tap: Option<Box<dyn Tap>>) -> Node {
    let addr: ListenAddr = "udp:127.0.0.1:0".parse().unwrap();
    let sockets = Sockets::bind(&[addr], sip_transport::Config::default()).unwrap();
    let locals = sockets.locals().clone();
    let endpoint =
        Endpoint::new(Config::default(), locals.clone(), now(), User::default()).unwrap();
    let (commands, receiver) = mpsc::channel(16);
    let app = App::default();
    let closed = Arc::clone(&app.closed);
    let shard = Shard::new(endpoint, sockets, app, receiver, tap);
    Node {
        stopper: shard.stopper(),
        task: tokio::spawn(shard.run()),
        commands: Some(commands),
        udp: locals.first(Transport::Udp).unwrap().addr,
        tcp: locals.first(Transport::Tcp).unwrap().addr,
        closed,
    }
}

impl Node {
    async fn ask(&self, hop: NextHop) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let sent = self.commands.as_ref().unwrap().send(Ask { hop, answer }).await;
        assert!(sent.is_ok(), "the shard has ended");
        outcome
    }

    async fn outcome(&self, hop: NextHop) -> Outcome {
        let outcome = self.ask(hop).await;
        timeout(PATIENCE, outcome).await.expect("an outcome in time").unwrap()
    }
}

fn to(transport: Transport, addr: std::net::SocketAddr) -> NextHop {
    NextHop::Target(Target::new(transport, addr))
}

const OK: Outcome = Outcome::Answered(StatusCode::OK);

#[tokio::test]
async fn requests_are_answered_over_udp_and_tcp() {
    let (alice, bob) = (start(None), start(None));
    for _ in 0..50 {
        assert_eq!(alice.outcome(to(Transport::Udp, bob.udp)).await, OK);
        assert_eq!(alice.outcome(to(Transport::Tcp, bob.tcp)).await, OK);
        assert_eq!(bob.outcome(to(Transport::Tcp, alice.tcp)).await, OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_runs_on_the_threads_of_the_runtime_too() {
    let (alice, bob) = (start(None), start(None));
    let mut outcomes = Vec::new();
    for _ in 0..500 {
        outcomes.push(alice.ask(to(Transport::Udp, bob.udp)).await);
        outcomes.push(bob.ask(to(Transport::Tcp, alice.tcp)).await);
    }
    for outcome in outcomes {
        assert_eq!(timeout(PATIENCE, outcome).await.unwrap().unwrap(), OK);
    }
}

#[tokio::test]
async fn host_names_are_resolved() {
    let (alice, bob) = (start(None), start(None));
    let uri: Uri<'static> = format!("sip:localhost:{}", bob.udp.port()).parse().unwrap();
    assert_eq!(alice.outcome(NextHop::Uri(uri)).await, OK);
}

#[tokio::test]
async fn a_name_without_an_address_fails_the_request() {
    let alice = start(None);
    let label = "x".repeat(300);
    let uri: Uri<'static> = format!("sip:{label}").parse().unwrap();
    let outcome = alice.outcome(NextHop::Uri(uri)).await;
    assert_eq!(outcome, Outcome::Failed(TransportError::NotLocated(LocateError::NoAddress)));
}

#[tokio::test]
async fn a_refused_connection_fails_the_request() {
    let alice = start(None);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = alice.outcome(to(Transport::Tcp, nobody)).await;
    assert_eq!(outcome, Outcome::Failed(TransportError::Refused));
}

#[tokio::test]
async fn a_connection_that_closes_fails_the_requests_that_wait_on_it_and_no_others() {
    let alice = start(None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = || to(Transport::Tcp, listener.local_addr().unwrap());
    let answered = alice.ask(hop()).await;
    let waiting = alice.ask(hop()).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; 4000];
    let len = peer.read(&mut bytes).await.unwrap();
    bytes.truncate(len);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    bytes.truncate(end);
    let request = match Message::parse(bytes.into(), &Limits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    };
    let response = Response::to_request(&request, StatusCode::OK).to_tag("t").build().unwrap();
    peer.write_all(&response.to_bytes()).await.unwrap();
    assert_eq!(timeout(PATIENCE, answered).await.unwrap().unwrap(), OK);
    drop(peer);
    // Not Timeout, and long before Timer F.
    let outcome = timeout(PATIENCE, waiting).await.expect("an outcome in time").unwrap();
    assert_eq!(outcome, Outcome::Failed(TransportError::Closed));
}

#[tokio::test(start_paused = true)]
async fn the_timers_of_the_endpoint_run_on_one_sleep() {
    let alice = start(None);
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let begun = now();
    let outcome = alice.ask(to(Transport::Udp, silent.local_addr().unwrap())).await;
    // RFC 3261 table 4: Timer E from T1 doubling to T2, Timer F at 64·T1.
    let mut buffer = [0; 2000];
    let mut times = Vec::new();
    let mut outcome = pin!(outcome);
    let ended = loop {
        tokio::select! {
            biased;
            _ = silent.recv(&mut buffer) => times.push((now() - begun).as_millis()),
            outcome = &mut outcome => break outcome.unwrap(),
        }
    };
    assert_eq!(ended, Outcome::Timeout);
    // Waking up a millisecond late is allowed: that is what the runtime's clock resolves.
    let due = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times.len(), due.len(), "{times:?}");
    for (time, due) in times.iter().zip(due) {
        assert!((due..due + 20).contains(time), "{times:?}");
    }
    assert!((now() - begun).as_millis() >= 32_000);
}

#[tokio::test]
async fn a_tap_sees_each_message_once_on_either_side() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tap = {
        let seen = Arc::clone(&seen);
        move |tapped: Tapped<'_>| {
            let line = tapped.bytes.split(|&byte| byte == b'\r').next().unwrap().to_vec();
            let line = String::from_utf8(line).unwrap();
            seen.lock().unwrap().push((tapped.sent, tapped.local, tapped.remote, line));
        }
    };
    let (alice, bob) = (start(Some(Box::new(tap))), start(None));
    assert_eq!(alice.outcome(to(Transport::Udp, bob.udp)).await, OK);
    let request = "OPTIONS sip:bob@example.com SIP/2.0".to_owned();
    let response = "SIP/2.0 200 OK".to_owned();
    let expected = [(true, alice.udp, bob.udp, request), (false, alice.udp, bob.udp, response)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn the_shard_ends_when_the_commands_end_and_nothing_is_owed() {
    let (mut alice, bob) = (start(None), start(None));
    // Asked before the end: still done.
    let outcome = alice.ask(to(Transport::Udp, bob.udp)).await;
    alice.commands = None;
    assert_eq!(timeout(PATIENCE, outcome).await.unwrap().unwrap(), OK);
    timeout(PATIENCE, alice.task).await.expect("the shard ends").unwrap();
    assert_eq!(*alice.closed.lock().unwrap(), 1);
    assert!(!bob.task.is_finished());
    // His transaction has answered, and stays for 64·T1 (Timer J) only to answer repeats.
    bob.stopper.stop(10 * PATIENCE);
    timeout(PATIENCE, bob.task).await.expect("the shard ends").unwrap();
}

#[tokio::test]
async fn stop_ends_the_shard_while_handles_exist() {
    let alice = start(None);
    alice.stopper.stop(PATIENCE);
    alice.stopper.stop(PATIENCE);
    timeout(PATIENCE, alice.task).await.expect("the shard ends").unwrap();
    assert_eq!(*alice.closed.lock().unwrap(), 1);
    assert!(alice.commands.unwrap().is_closed());
}

#[tokio::test]
async fn stop_waits_no_longer_than_its_limit() {
    let alice = start(None);
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outcome = alice.ask(to(Transport::Udp, silent.local_addr().unwrap())).await;
    silent.recv(&mut [0; 2000]).await.unwrap();
    let begun = Instant::now();
    alice.stopper.stop(Duration::from_millis(100));
    timeout(PATIENCE, alice.task).await.expect("the shard ends").unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100), "it owed an outcome");
    assert!(outcome.await.is_err(), "and never had it");
}

/// A host that the system knows without asking anyone.
fn host(n: usize) -> Question {
    Question::Host(format!("127.0.{}.{}", n / 256, n % 256).into())
}

#[tokio::test]
async fn lookups_are_limited() {
    let mut lookups = Lookups::new(Resolver::System);
    let number = first_number();
    let limit = lookup::LIMIT;
    for id in 0..=limit {
        lookups.start(id as u64, number, host(id));
    }
    let mut inputs = Vec::new();
    while inputs.len() < limit + 1 {
        poll_fn(|cx| lookups.poll(cx, &mut inputs)).await;
    }
    let refused: Vec<_> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Resolved { id, result: Err(error), .. } => Some((*id, *error)),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [(limit as u64, LookupError::Busy)]);
    lookups.start(7, number, host(1));
    inputs.clear();
    poll_fn(|cx| lookups.poll(cx, &mut inputs)).await;
    let result = Ok(Answer::Host(vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(inputs, [Input::Resolved { id: 7, number, result }]);
}

/// After a start a thousand calls may go to one domain before its first answer is there.
#[tokio::test]
async fn those_who_ask_the_same_wait_for_one_answer() {
    let mut lookups = Lookups::new(Resolver::System);
    let number = first_number();
    let many = 4 * lookup::LIMIT;
    for id in 0..many {
        lookups.start(id as u64, number, host(1));
    }
    let mut inputs = Vec::new();
    poll_fn(|cx| lookups.poll(cx, &mut inputs)).await;
    let result = Ok(Answer::Host(vec!["127.0.0.1".parse().unwrap()]));
    let expected: Vec<_> =
        (0..many as u64).map(|id| Input::Resolved { id, number, result: result.clone() }).collect();
    assert_eq!(inputs, expected);
}

#[cfg(feature = "dns")]
#[tokio::test]
async fn answers_of_the_dns_are_kept_and_so_is_its_silence_for_a_while() {
    use sip_transport::locate::{Dns, FAILURE_VALID};
    // A name server that never answers: nobody reads there.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = Dns::with_servers([silent.local_addr().unwrap()]).unwrap();
    let dns = dns.with_hosts(&b"192.0.2.1 pbx\n"[..]).unwrap();
    let mut lookups = Lookups::new(Resolver::Dns(dns.into()));
    let number = first_number();
    let pbx = Ok(Answer::Host(vec!["192.0.2.1".parse().unwrap()]));
    let rows = [("pbx", pbx), ("example.com", Err(LookupError::Timeout))];
    tokio::time::pause();
    for (name, result) in &rows {
        for id in 0..2 {
            lookups.start(id, number, Question::Host((*name).into()));
            let mut inputs = Vec::new();
            if id == 0 {
                poll_fn(|cx| lookups.poll(cx, &mut inputs)).await;
            } else {
                // No waiting the second time.
                let polled = poll_fn(|cx| Poll::Ready(lookups.poll(cx, &mut inputs))).await;
                assert_eq!(polled, Poll::Ready(()), "{name}");
            }
            assert_eq!(inputs, [Input::Resolved { id, number, result: result.clone() }]);
        }
    }
    tokio::time::advance(FAILURE_VALID).await;
    for (name, result) in rows {
        lookups.start(2, number, Question::Host(name.into()));
        let mut inputs = Vec::new();
        let polled = poll_fn(|cx| Poll::Ready(lookups.poll(cx, &mut inputs))).await;
        assert_eq!(polled.is_ready(), result.is_ok(), "{name} is asked for again: it may be back");
    }
}

#[tokio::test]
async fn the_system_knows_no_records_of_services_and_a_table_only_its_own() {
    let number = first_number();
    let zone = Zone::default().srv("_sip._udp.d", Srv::new(0, 0, 1, "h"));
    let services = vec![Srv::new(0, 0, 1, "h")];
    let rows = [
        (Resolver::System, Question::Naptr("d".into()), Ok(Answer::Naptr(Vec::new()))),
        (Resolver::System, Question::Srv("_sip._udp.d".into()), Ok(Answer::Srv(Vec::new()))),
        (Resolver::Zone(zone.clone().into()), Question::Srv("_sip._udp.d".into()), {
            Ok(Answer::Srv(services))
        }),
        (Resolver::Zone(zone.into()), Question::Host("localhost".into()), {
            Err(LookupError::NoSuchName)
        }),
    ];
    for (resolver, question, result) in rows {
        let mut lookups = Lookups::new(resolver);
        lookups.start(7, number, question);
        let mut inputs = Vec::new();
        poll_fn(|cx| lookups.poll(cx, &mut inputs)).await;
        assert_eq!(inputs, [Input::Resolved { id: 7, number, result }]);
    }
}

/// The number of the first question of a lookup.
fn first_number() -> QuestionNumber {
    let uri: Uri<'_> = "sip:example.com:5060".parse().unwrap();
    let preferences = Preferences::new([Transport::Udp]);
    Locator::new(&uri, preferences, 0).unwrap().poll_question().unwrap().0
}

#[test]
fn a_shard_is_busy_for_as_long_as_it_does_not_sleep() {
    let ms = Duration::from_millis;
    let start = Instant::now();
    let mut gauge = Gauge::new(start);
    // Nothing is said before the interval is over.
    gauge.sleeps(start + ms(20));
    gauge.wakes(start + ms(60));
    assert_eq!(gauge.read(start + ms(99)), None);
    gauge.lag = ms(7);
    // Of 160 ms it slept 40: a second look into an empty queue is no second sleep.
    gauge.sleeps(start + ms(160));
    gauge.sleeps(start + ms(165));
    gauge.wakes(start + ms(200));
    let load = gauge.read(start + ms(200)).unwrap();
    assert!((load.busy - 0.6).abs() < 0.001, "{load:?}");
    assert_eq!(load.delay, ms(7));
    // The next interval begins with nothing.
    let load = gauge.read(start + ms(300)).unwrap();
    assert_eq!((load.busy, load.delay), (1.0, Duration::ZERO));
    gauge.sleeps(start + ms(300));
    gauge.wakes(start + ms(500));
    assert_eq!(gauge.read(start + ms(500)).unwrap().busy, 0.0);
}
