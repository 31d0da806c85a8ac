//! A domain with several servers, some of them dead: RFC 3263 §4.3, in virtual time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::Transport;
use sip_transaction::{ClientKey, Config, Endpoint, Event, Key, NextHop, Output};
use sip_transport::locate::{LookupError, Srv, Zone};
use sip_transport::{
    Destination, Flow, Input, ListenerId, Local, Locals, Transmit, TransportError,
};

use crate::script::{Recorder, answer, header, locals, outgoing};

const NOTHING: [&str; 0] = [];

/// An endpoint, the table that stands in for the DNS, and all that was sent.
struct World {
    start: Instant,
    endpoint: Endpoint<Recorder>,
    zone: Zone,
    sent: Vec<Transmit>,
    key: Option<ClientKey>,
}

/// Three servers for UDP and two for TCP, in the order of their last octets.
fn zone() -> Zone {
    let mut zone = Zone::default();
    for n in [2, 3, 4_u8] {
        let host = format!("s{n}.example.com");
        zone = zone
            .srv("_sip._udp.example.com", Srv::new(u16::from(n), 0, 5060, &host))
            .host(&host, [192, 0, 2, n].into());
        if n < 4 {
            zone = zone.srv("_sip._tcp.example.com", Srv::new(u16::from(n), 0, 5060, &host));
        }
    }
    zone
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        let config = Config::default().seed([1, 2]);
        let endpoint = Endpoint::new(config, locals(), start, Recorder::default()).unwrap();
        Self { start, endpoint, zone: zone(), sent: Vec::new(), key: None }
    }

    fn requests(&mut self, at: u64, method: &str, uri: &str) -> Vec<String> {
        let now = self.at(at);
        let hop = NextHop::Uri(uri.parse().unwrap());
        let key = self.endpoint.with(now, |_, it| it.request(now, outgoing(method), hop)).unwrap();
        self.key = Some(key);
        self.drain(now)
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }

    /// Lets time pass, and says what happened when: `32000 send OPTIONS 3`.
    fn until(&mut self, milliseconds: u64) -> Vec<String> {
        let mut happened = Vec::new();
        while let Some(due) =
            self.endpoint.poll_timeout().filter(|due| *due <= self.at(milliseconds))
        {
            self.endpoint.handle_timeout(due);
            let when = (due - self.start).as_millis();
            happened.extend(self.drain(due).into_iter().map(|word| format!("{when} {word}")));
        }
        happened
    }

    /// The server that the message was sent to answers it.
    fn answers(&mut self, at: u64, index: usize, code: u16, fields: &str) -> Vec<String> {
        let sent = &self.sent[index];
        let text = answer(&sent.payload, code, "them");
        let text = text.replacen("\r\n", &format!("\r\n{fields}"), 1);
        let payload = Bytes::from(text.into_bytes());
        let transport = sent.destination.transport();
        let remote = sent.destination.remote();
        let listener = ListenerId::new(u16::from(transport == Transport::Tcp));
        let flow = Flow { transport, listener, connection: None, remote };
        self.endpoint.handle_input(
            self.at(at),
            match transport {
                Transport::Udp => Input::Datagram { flow, payload },
                _ => Input::Message { flow, payload },
            },
        );
        self.drain(self.at(at))
    }

    fn fails(&mut self, at: u64, index: usize, error: TransportError) -> Vec<String> {
        let sent = &self.sent[index];
        let Destination::Target(target) = sent.destination else { panic!() };
        let (token, payload) = (sent.token, sent.payload.clone());
        let input = Input::SendFailed { token, target, error, payload };
        self.endpoint.handle_input(self.at(at), input);
        self.drain(self.at(at))
    }

    fn cancels(&mut self, at: u64) -> Vec<String> {
        let (now, key) = (self.at(at), self.key.unwrap());
        self.endpoint.with(now, |_, transactions| transactions.cancel(now, key));
        self.drain(now)
    }

    /// What the endpoint does; questions are answered at once.
    fn drain(&mut self, now: Instant) -> Vec<String> {
        let mut happened = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let text = std::str::from_utf8(&transmit.payload).unwrap();
                    let method = text.split(' ').next().unwrap();
                    let server = transmit.destination.remote().to_string();
                    let server = server.trim_start_matches("192.0.2.").replace(":5060", "");
                    happened.push(format!("send {method} {server}"));
                    self.sent.push(transmit);
                }
                Output::Resolve { id, number, question } => {
                    let result = self.zone.answer(&question);
                    self.endpoint.handle_input(now, Input::Resolved { id, number, result });
                }
                other => panic!("{other:?}"),
            }
        }
        let events = std::mem::take(&mut self.endpoint.user_mut().events);
        let polled: Vec<_> = std::iter::from_fn(|| self.endpoint.poll_event()).collect();
        for event in events.into_iter().chain(polled) {
            let (key, word) = match event {
                Event::Response { key, response, .. } => {
                    (key, response.status().as_u16().to_string())
                }
                Event::Timeout { key } => (key, "timeout".into()),
                Event::TransportError { key: Key::Client(key), error } => {
                    (key, format!("{error:?}"))
                }
                Event::Terminated { key: Key::Client(key) } => (key, "ended".into()),
                other => panic!("{other:?}"),
            };
            assert_eq!(self.key, Some(key), "the user knows one key only");
            happened.push(word);
        }
        happened
    }

    fn branch(&self, index: usize) -> String {
        let via = header(&self.sent[index].payload, "Via")[0];
        via.split("branch=").nth(1).unwrap().split(';').next().unwrap().to_owned()
    }

    #[track_caller]
    fn assert_over(&mut self) {
        assert_eq!(self.until(u64::from(u32::MAX)), NOTHING);
        let stats = self.endpoint.transactions().stats();
        assert_eq!((stats.live_clients, stats.live_timers, stats.live_lookups), (0, 0, 0));
        assert_eq!(self.endpoint.transactions().unfinished(), 0);
    }
}

const UDP: &str = "sip:example.com;transport=udp";
const TCP: &str = "sip:example.com;transport=tcp";

#[test]
fn a_silent_first_server_costs_timer_f_and_no_more() {
    let mut world = World::new();
    assert_eq!(world.requests(0, "OPTIONS", UDP), ["send OPTIONS 2"]);
    let happened = world.until(32_000);
    assert_eq!(happened.last().unwrap(), "32000 send OPTIONS 3");
    assert!(happened[..10].iter().all(|word| word.ends_with("send OPTIONS 2")), "{happened:?}");
    assert_eq!(happened.len(), 11, "Timer E ten times, then Timer F");
    // The same request, with another branch.
    let (first, second) = (&world.sent[0].payload, &world.sent[11].payload);
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    let (was, is) = (world.branch(0), world.branch(11));
    assert_ne!(was, is);
    assert_eq!(text(first).replace(&was, &is), text(second));
    assert_eq!(world.answers(32_100, 11, 200, ""), ["200"]);
    // What the first server says now is nobody's.
    assert_eq!(world.answers(32_200, 0, 200, ""), NOTHING);
    assert_eq!(world.until(60_000), ["37100 ended"], "Timer K of the second");
    assert_eq!(world.endpoint.transactions().stats().failovers, 1);
    world.assert_over();
}

#[test]
fn a_silent_first_server_of_an_invite_costs_timer_b() {
    let mut world = World::new();
    assert_eq!(world.requests(0, "INVITE", UDP), ["send INVITE 2"]);
    assert_eq!(world.until(32_000).last().unwrap(), "32000 send INVITE 3");
    let second = world.sent.len() - 1;
    assert_eq!(world.answers(32_100, second, 180, ""), ["180"]);
    assert_eq!(world.answers(32_200, second, 486, ""), ["send ACK 3", "486"]);
    assert_eq!(world.branch(second), world.branch(second + 1), "the ACK is of the second");
    assert_eq!(world.until(70_000), ["64200 ended"]);
    world.assert_over();
}

#[test]
fn only_the_last_failure_is_told() {
    let mut world = World::new();
    world.requests(0, "OPTIONS", UDP);
    let happened = world.until(200_000);
    let told: Vec<_> = happened.iter().filter(|word| !word.contains("send")).collect();
    assert_eq!(told, ["96000 timeout", "96000 ended"]);
    let branches: HashSet<_> = (0..world.sent.len()).map(|n| world.branch(n)).collect();
    assert_eq!(branches.len(), 3, "a branch for each server");
    world.assert_over();
}

#[test]
fn a_transport_error_leads_to_the_next_server_at_once() {
    for method in ["INVITE", "OPTIONS"] {
        let mut world = World::new();
        world.requests(0, method, TCP);
        let to_next = world.fails(10, 0, TransportError::Refused);
        assert_eq!(to_next, [format!("send {method} 3")]);
        // News of the first attempt that comes late is no news of the second.
        assert_eq!(world.fails(20, 0, TransportError::Closed), NOTHING);
        assert_eq!(world.fails(30, 1, TransportError::ConnectTimeout), ["ConnectTimeout", "ended"]);
        world.assert_over();
    }
}

#[test]
fn a_503_leads_to_the_next_server_and_another_failure_does_not() {
    for (code, goes_on) in [(503, true), (500, false), (408, false), (600, false), (302, false)] {
        let mut world = World::new();
        world.requests(0, "OPTIONS", TCP);
        let happened = world.answers(10, 0, code, "");
        if goes_on {
            assert_eq!(happened, ["send OPTIONS 3"], "{code}");
            assert_eq!(world.answers(20, 1, 503, ""), ["503", "ended"], "the last is told");
        } else {
            assert_eq!(happened, [code.to_string(), "ended".into()]);
        }
        world.assert_over();
    }
}

#[test]
fn a_503_to_an_invite_is_acknowledged_as_often_as_it_comes() {
    let mut world = World::new();
    world.requests(0, "INVITE", UDP);
    assert_eq!(world.answers(10, 0, 100, ""), ["100"]);
    let mut happened = world.answers(20, 0, 503, "");
    happened.sort();
    assert_eq!(happened, ["send ACK 2", "send INVITE 3"]);
    let ack = world.sent.iter().position(|sent| sent.payload.starts_with(b"ACK")).unwrap();
    assert_eq!(world.branch(ack), world.branch(0));
    assert!(header(&world.sent[ack].payload, "To")[0].ends_with(";tag=them"));
    assert_eq!(world.answers(600, 0, 503, ""), ["send ACK 2"]);
    assert_eq!(world.answers(610, 0, 100, ""), NOTHING);
    let second = world.sent.iter().rposition(|sent| sent.payload.starts_with(b"INVITE")).unwrap();
    assert_eq!(world.answers(700, second, 200, ""), ["200"]);
    assert_eq!(world.answers(1_600, 0, 503, ""), ["send ACK 2"], "also when the call stands");
    assert_eq!(world.until(40_000), ["32700 ended"]);
    assert_eq!(world.answers(40_000, 0, 503, ""), NOTHING);
    world.assert_over();
}

#[test]
fn over_tcp_a_503_to_an_invite_is_acknowledged_once() {
    let mut world = World::new();
    world.requests(0, "INVITE", TCP);
    let mut happened = world.answers(20, 0, 503, "");
    happened.sort();
    assert_eq!(happened, ["send ACK 2", "send INVITE 3"]);
    assert_eq!(world.answers(600, 0, 503, ""), NOTHING);
    let second = world.sent.iter().rposition(|sent| sent.payload.starts_with(b"INVITE")).unwrap();
    assert_eq!(world.answers(700, second, 503, ""), ["send ACK 3", "503", "ended"]);
    world.assert_over();
}

#[test]
fn a_server_that_was_heard_is_not_left_for_its_silence() {
    let mut world = World::new();
    world.requests(0, "OPTIONS", UDP);
    assert_eq!(world.answers(10, 0, 100, ""), ["100"]);
    let happened = world.until(40_000);
    assert!(happened.iter().all(|word| !word.ends_with(" 3")), "{happened:?}");
    assert_eq!(happened[happened.len() - 2..], ["32000 timeout", "32000 ended"]);
    world.assert_over();
}

#[test]
fn who_cancels_does_not_want_another_server() {
    // Before anything was heard: the CANCEL waits, and Timer B ends it.
    let mut world = World::new();
    world.requests(0, "INVITE", UDP);
    assert_eq!(world.cancels(10), NOTHING);
    let happened = world.until(100_000);
    assert!(happened.iter().all(|word| !word.ends_with(" 3")), "{happened:?}");
    assert_eq!(happened[happened.len() - 2..], ["32000 timeout", "32000 ended"]);
    world.assert_over();
    // After: the CANCEL goes where the INVITE went, and a 503 is an end as any other.
    let mut world = World::new();
    world.requests(0, "INVITE", TCP);
    assert_eq!(world.fails(5, 0, TransportError::Refused), ["send INVITE 3"]);
    world.answers(10, 1, 180, "");
    assert_eq!(world.cancels(20), ["send CANCEL 3"]);
    assert_eq!(world.branch(2), world.branch(1));
    assert_eq!(world.answers(30, 1, 503, ""), ["send ACK 3", "503", "ended"]);
    world.assert_over();
}

#[test]
fn a_failure_is_remembered_for_a_time() {
    let mut world = World::new();
    world.requests(0, "OPTIONS", TCP);
    world.fails(10, 0, TransportError::Refused);
    assert_eq!(world.answers(20, 1, 200, ""), ["200", "ended"]);
    // The next request goes to the second server first, and to the first if that fails too.
    assert_eq!(world.requests(1_000, "OPTIONS", TCP), ["send OPTIONS 3"]);
    assert_eq!(world.fails(1_010, 2, TransportError::Refused), ["send OPTIONS 2"]);
    // It is back: its answer is remembered as well.
    assert_eq!(world.answers(1_020, 3, 200, ""), ["200", "ended"]);
    assert_eq!(world.requests(2_000, "OPTIONS", TCP), ["send OPTIONS 2"]);
    assert_eq!(world.answers(2_010, 4, 200, ""), ["200", "ended"]);
    // After a minute the second is as good as before, that is the second.
    world.requests(70_000, "OPTIONS", TCP);
    assert_eq!(world.fails(70_010, 5, TransportError::Refused), ["send OPTIONS 3"]);
    assert_eq!(world.answers(70_020, 6, 200, ""), ["200", "ended"]);
    assert_eq!(world.requests(131_000, "OPTIONS", TCP), ["send OPTIONS 2"]);
    world.answers(131_010, 7, 200, "");
    world.assert_over();
}

#[test]
fn a_server_that_says_when_to_come_back_is_passed_over_until_then() {
    for (fields, later) in [("Retry-After: 600\r\n", "send OPTIONS 3"), ("", "send OPTIONS 2")] {
        let mut world = World::new();
        world.requests(0, "OPTIONS", TCP);
        assert_eq!(world.answers(10, 0, 503, fields), ["send OPTIONS 3"]);
        assert_eq!(world.answers(20, 1, 200, ""), ["200", "ended"]);
        assert_eq!(world.requests(599_000, "OPTIONS", TCP), [later]);
        world.answers(599_010, 2, 200, "");
        assert_eq!(world.requests(601_000, "OPTIONS", TCP), ["send OPTIONS 2"]);
        world.answers(601_010, 3, 200, "");
        world.assert_over();
    }
}

/// Requests with one Call-ID go to one server, as long as it lives: after a challenge the server that gave the
/// nonce has the credentials, and a registrar its refreshes. Calls are shared out by weight.
#[test]
fn equal_servers_share_the_calls_and_each_call_stays_with_one() {
    let service = "_sip._udp.example.com";
    let mut zone = Zone::default();
    for (n, weight) in [(2, 20), (3, 30), (4, 50_u8)] {
        let host = format!("s{n}.example.com");
        zone = zone
            .srv(service, Srv::new(0, weight.into(), 5060, &host))
            .host(&host, [192, 0, 2, n].into());
    }
    let mut world = World::new();
    world.zone = zone;
    const CALLS: usize = 2_000;
    let mut shares = [0_usize; 3];
    for call in 0..CALLS {
        let id = format!("call-{call}@192.0.2.1");
        let mut servers = HashSet::new();
        for _ in 0..3 {
            let mut request = outgoing("OPTIONS");
            request.headers_mut().set_raw(sip_message::HeaderName::CallId, id.as_bytes()).unwrap();
            let now = world.start;
            let hop = NextHop::Uri(UDP.parse().unwrap());
            let key = world.endpoint.with(now, |_, it| it.request(now, request, hop)).unwrap();
            world.key = Some(key);
            world.drain(now);
            let last = world.sent.len() - 1;
            servers.insert(world.sent[last].destination.remote());
            world.answers(0, last, 200, "");
        }
        assert_eq!(servers.len(), 1, "{id} went to {servers:?}");
        let server = servers.into_iter().next().unwrap();
        let place = (2..5).position(|n| server.ip() == std::net::Ipv4Addr::new(192, 0, 2, n));
        shares[place.unwrap()] += 1;
    }
    for (share, weight) in shares.into_iter().zip([0.2, 0.3, 0.5_f64]) {
        let (calls, share) = (CALLS as f64, share as f64);
        let deviation = (calls * weight * (1.0 - weight)).sqrt();
        assert!((share - calls * weight).abs() < 5.0 * deviation, "{share} of {calls}: {weight}");
    }
}

#[test]
fn the_domain_that_was_asked_for_goes_along_where_it_has_to_be_proven() {
    let local = |id, transport| {
        Local::new(ListenerId::new(id), transport, "192.0.2.1:5061".parse().unwrap())
    };
    let locals = Locals::new([local(0, Transport::Tls), local(1, Transport::Tcp)]);
    let start = Instant::now();
    let config = Config::default().seed([1, 2]);
    let mut world = World::new();
    world.endpoint = Endpoint::new(config, locals, start, Recorder::default()).unwrap();
    world.start = start;
    world.zone = Zone::default()
        .srv("_sips._tcp.example.com", Srv::new(1, 0, 5061, "s2.example.net"))
        .srv("_sips._tcp.example.com", Srv::new(2, 0, 5061, "s3.example.net"))
        .srv("_sip._tcp.example.com", Srv::new(2, 0, 5060, "s3.example.net"))
        .host("s2.example.net", [192, 0, 2, 2].into())
        .host("s3.example.net", [192, 0, 2, 3].into());
    let rows = [
        ("sips:Example.COM", Some("example.com")),
        ("sips:192.0.2.2", Some("192.0.2.2")),
        ("sips:example.org;maddr=192.0.2.2", Some("example.org")),
        ("sip:example.com;transport=tcp", None),
        ("sip:192.0.2.2;transport=tcp", None),
    ];
    for (uri, domain) in rows {
        world.requests(0, "OPTIONS", uri);
        let last = world.sent.len() - 1;
        assert_eq!(world.sent[last].domain.as_deref(), domain, "{uri}");
        world.answers(0, last, 200, "");
    }
    // The next server has to prove the same; so for the CANCEL and the ACK.
    let first = world.sent.len();
    world.requests(0, "INVITE", "sips:example.com");
    world.fails(10, first, TransportError::Refused);
    world.answers(20, first + 1, 180, "");
    world.cancels(30);
    world.answers(40, first + 1, 487, "");
    let sent: Vec<_> = world.sent[first..].iter().map(|sent| sent.domain.as_deref()).collect();
    assert_eq!(sent, [Some("example.com"); 4]);
}

#[test]
fn a_domain_that_does_not_offer_the_service_is_a_transport_error_that_says_so() {
    let rows = [
        (Zone::default(), "NotLocated(NoAddress)"),
        (
            Zone::default().srv("_sip._udp.example.com", Srv::new(0, 0, 0, ".")),
            "NotLocated(ServiceUnavailable)",
        ),
        (
            Zone::default().failure("example.com", LookupError::Timeout),
            "NotLocated(Lookup(Timeout))",
        ),
    ];
    for (zone, error) in rows {
        let mut world = World::new();
        world.zone = zone;
        assert_eq!(world.requests(0, "OPTIONS", UDP), [error, "ended"]);
        world.assert_over();
    }
}

#[test]
fn a_server_that_asks_for_fewer_requests_is_passed_over_for_the_next() {
    let mut world = World::new();
    let config = Config::default().seed([1, 2]).overload_control(true);
    world.endpoint = Endpoint::new(config, locals(), world.start, Recorder::default()).unwrap();
    for (n, server) in ["2", "3", "4"].into_iter().enumerate() {
        assert_eq!(world.requests(0, "OPTIONS", UDP), [format!("send OPTIONS {server}")]);
        let sent = &world.sent[n];
        let text = answer(&sent.payload, 200, "them").replace(";oc;", ";oc=100;oc-seq=1.1;");
        let (remote, listener) = (sent.destination.remote(), ListenerId::new(0));
        let flow = Flow { transport: Transport::Udp, listener, connection: None, remote };
        let payload = Bytes::from(text.into_bytes());
        let now = world.at(0);
        world.endpoint.handle_input(now, Input::Datagram { flow, payload });
        assert_eq!(world.drain(now), ["200"]);
    }
    // Nobody is left.
    assert_eq!(world.requests(0, "OPTIONS", UDP), ["Throttled", "ended"]);
    // Until their half second is over.
    world.key = None;
    world.endpoint.user_mut().events.clear();
    assert_eq!(world.requests(500, "OPTIONS", UDP), ["send OPTIONS 2"]);
}
