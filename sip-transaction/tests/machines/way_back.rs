//! Where a response goes when the connection of its request is gone: RFC 3261 §18.2.2 and RFC 3263 §5.

use std::time::{Duration, Instant};

use sip_message::Transport;
use sip_transaction::{Config, Endpoint, Event, Key, Output, ServerKey};
use sip_transport::locate::{Srv, Zone};
use sip_transport::{Destination, Input, Target, Transmit, TransportError};

use crate::script::{Recorder, answer, incoming, input, locals, request, response};

const NOTHING: [&str; 0] = [];

struct World {
    start: Instant,
    endpoint: Endpoint<Recorder>,
    zone: Zone,
    sent: Vec<Transmit>,
    key: Option<ServerKey>,
    request: Vec<u8>,
}

/// The client of the peer's domain: two servers, of which the first is the peer itself; and a host.
fn zone() -> Zone {
    Zone::default()
        .srv("_sip._tcp.pbx.example.com", Srv::new(1, 0, 5060, "s2.example.com"))
        .srv("_sip._tcp.pbx.example.com", Srv::new(2, 0, 5070, "s3.example.com"))
        .srv("_sip._tcp.pbx.example.com", Srv::new(3, 0, 5070, "s4.example.com"))
        .srv("_sip._udp.pbx.example.com", Srv::new(3, 0, 5070, "s4.example.com"))
        .host("s2.example.com", [192, 0, 2, 2].into())
        .host("s3.example.com", [192, 0, 2, 3].into())
        .host("s4.example.com", [192, 0, 2, 4].into())
        .host("pbx.example.com", [192, 0, 2, 5].into())
}

impl World {
    /// An INVITE or another request came, whose Via names that.
    fn new(method: &str, transport: Transport, sent_by: &str) -> Self {
        let start = Instant::now();
        let config = Config::default().seed([1, 2]);
        let endpoint = Endpoint::new(config, locals(), start, Recorder::default()).unwrap();
        let text = incoming(method, "z9hG4bK-1", "", transport);
        let text = text.replace("192.0.2.2:5060;branch", &format!("{sent_by};branch"));
        let mut world = Self {
            start,
            endpoint,
            zone: zone(),
            sent: Vec::new(),
            key: None,
            request: Vec::new(),
        };
        world.request = request(&text).to_bytes().to_vec();
        world.endpoint.handle_input(start, input(transport, &text));
        assert_eq!(world.drain(), ["request"]);
        world
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }

    fn responds(&mut self, at: u64, code: u16) -> Vec<String> {
        let (now, key) = (self.at(at), self.key.unwrap());
        let response = response(&answer(&self.request, code, "us"));
        self.endpoint.with(now, |_, it| it.respond(now, key, response)).unwrap();
        self.drain()
    }

    /// The message sent last could not be.
    fn fails(&mut self, at: u64, error: TransportError) -> Vec<String> {
        let last = self.sent.last().unwrap();
        let target = last.fallback.unwrap_or(Target::from(last.destination));
        let (token, payload) = (last.token, last.payload.clone());
        let input = Input::SendFailed { token, target, error, payload };
        self.endpoint.handle_input(self.at(at), input);
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut happened = Vec::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let text = std::str::from_utf8(&transmit.payload).unwrap();
                    let code = text.split(' ').nth(1).unwrap();
                    let way = match transmit.destination {
                        Destination::Flow(_) => "back".to_owned(),
                        Destination::Target(target) => {
                            format!("to {} {}", target.transport, target.remote)
                        }
                    };
                    happened.push(format!("{code} {way}"));
                    self.sent.push(transmit);
                }
                Output::Resolve { id, number, question } => {
                    let result = self.zone.answer(&question);
                    let input = Input::Resolved { id, number, result };
                    self.endpoint.handle_input(self.start, input);
                }
                Output::Close(_) | Output::Blame(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let events = std::mem::take(&mut self.endpoint.user_mut().events);
        for event in events {
            happened.push(match event {
                Event::Request { key, .. } => {
                    self.key = Some(key);
                    "request".into()
                }
                Event::TransportError { key: Key::Server(key), error } => {
                    assert_eq!(Some(key), self.key);
                    format!("{error:?}")
                }
                Event::Terminated { .. } => "ended".into(),
                other => panic!("{other:?}"),
            });
        }
        happened
    }
}

#[test]
fn a_response_goes_to_each_server_of_the_sender_in_turn() {
    let mut world = World::new("INVITE", Transport::Tcp, "pbx.example.com");
    assert_eq!(world.responds(10, 180), ["180 back"]);
    let fallback = world.sent[0].fallback.unwrap();
    assert_eq!(fallback.remote, "192.0.2.2:5060".parse().unwrap(), "the address that it came from");
    // That was tried: it is left out.
    assert_eq!(world.fails(20, TransportError::Refused), ["180 to TCP 192.0.2.3:5070"]);
    assert_eq!(world.fails(30, TransportError::ConnectTimeout), ["180 to TCP 192.0.2.4:5070"]);
    // What comes next goes where the last one went.
    assert_eq!(world.responds(40, 486), ["486 to TCP 192.0.2.4:5070"]);
    assert_eq!(world.fails(50, TransportError::Refused), ["Refused"], "nothing is left to try");
}

#[test]
fn a_name_with_a_port_is_a_host() {
    let mut world = World::new("INVITE", Transport::Tcp, "pbx.example.com:5071");
    assert_eq!(world.responds(10, 486), ["486 back"]);
    assert_eq!(world.fails(20, TransportError::Closed), ["486 to TCP 192.0.2.5:5071"]);
    assert_eq!(world.fails(30, TransportError::Refused), ["Refused"]);
}

#[test]
fn an_address_behind_which_the_sender_is_not_is_tried_last() {
    // RFC 3263 §5: a numeric address needs no lookup.
    let mut world = World::new("INVITE", Transport::Tcp, "192.0.2.9");
    world.responds(10, 486);
    assert_eq!(world.fails(20, TransportError::Refused), ["486 to TCP 192.0.2.9:5060"]);
    assert_eq!(world.fails(30, TransportError::Refused), ["Refused"]);
    // The one that was tried already is not tried again.
    let mut world = World::new("INVITE", Transport::Tcp, "192.0.2.2");
    world.responds(10, 486);
    assert_eq!(world.fails(20, TransportError::Refused), ["Refused"]);
}

#[test]
fn a_2xx_takes_the_other_way_when_it_is_repeated() {
    let mut world = World::new("INVITE", Transport::Tcp, "pbx.example.com");
    assert_eq!(world.responds(10, 200), ["200 back"]);
    assert_eq!(world.fails(20, TransportError::Refused), ["Refused"]);
    assert_eq!(world.responds(510, 200), ["200 to TCP 192.0.2.3:5070"]);
    assert_eq!(world.responds(1_510, 200), ["200 to TCP 192.0.2.3:5070"]);
    assert_eq!(world.fails(1_520, TransportError::Refused), NOTHING);
    assert_eq!(world.responds(3_510, 200), ["200 to TCP 192.0.2.4:5070"]);
}

#[test]
fn datagrams_too() {
    let mut world = World::new("OPTIONS", Transport::Udp, "pbx.example.com");
    assert_eq!(world.responds(10, 200), ["200 back"]);
    assert_eq!(world.fails(20, TransportError::Unreachable), ["200 to UDP 192.0.2.4:5070"]);
    assert_eq!(world.fails(30, TransportError::Unreachable), ["Unreachable"]);
}

#[test]
fn what_is_no_fault_of_the_way_and_a_name_that_leads_nowhere_are_told() {
    let mut world = World::new("INVITE", Transport::Tcp, "pbx.example.com");
    world.responds(10, 486);
    assert_eq!(world.fails(20, TransportError::QueueFull), ["QueueFull"]);
    let mut world = World::new("INVITE", Transport::Tcp, "nowhere.example.com");
    world.responds(10, 486);
    assert_eq!(world.fails(20, TransportError::Refused), ["Refused"]);
    assert_eq!(world.endpoint.stats().live_lookups, 0);
}

#[test]
fn a_browser_has_no_other_way() {
    let mut world = World::new("INVITE", Transport::Ws, "pbx.example.com");
    assert_eq!(world.responds(10, 486), ["486 back"]);
    let last = world.sent.last().unwrap();
    assert_eq!(last.fallback, None);
    assert_eq!(world.fails(20, TransportError::Closed), ["Closed"]);
}

#[test]
fn a_newer_response_that_comes_while_the_way_is_sought_is_the_one_that_goes() {
    let mut world = World::new("INVITE", Transport::Tcp, "pbx.example.com");
    world.responds(10, 180);
    // The questions are left open.
    let last = world.sent.last().unwrap();
    let input = Input::SendFailed {
        token: last.token,
        target: last.fallback.unwrap(),
        error: TransportError::Refused,
        payload: last.payload.clone(),
    };
    world.endpoint.handle_input(world.at(20), input);
    let (now, key) = (world.at(30), world.key.unwrap());
    let response = response(&answer(&world.request, 486, "us"));
    world.endpoint.with(now, |_, it| it.respond(now, key, response)).unwrap();
    assert_eq!(world.drain(), ["486 to TCP 192.0.2.3:5070"]);
}

#[test]
fn a_final_response_that_ended_its_transaction_goes_another_way_too() {
    let mut world = World::new("OPTIONS", Transport::Tcp, "pbx.example.com");
    // Over a stream nothing is sent again: the transaction is over (Timer J is zero).
    assert_eq!(world.responds(10, 200), ["200 back", "ended"]);
    assert_eq!(world.endpoint.transactions().len(), 0);
    assert_eq!(world.fails(20, TransportError::Refused), ["200 to TCP 192.0.2.3:5070"]);
    assert_eq!(world.fails(30, TransportError::ConnectTimeout), ["200 to TCP 192.0.2.4:5070"]);
    assert_eq!(world.fails(40, TransportError::Refused), NOTHING, "nothing is left to try");
    assert_eq!(world.endpoint.stats().live_timers, 0);
}

#[test]
fn a_refusal_without_state_goes_another_way_too() {
    let mut world = World::new("OPTIONS", Transport::Tcp, "pbx.example.com");
    world.responds(0, 200);
    let text = incoming("OPTIONS", "z9hG4bK-2", "", Transport::Tcp);
    let text = text.replace("192.0.2.2:5060;branch", "pbx.example.com;branch");
    let text = text.replace("CSeq: 9 OPTIONS", "CSeq: 9 NOTIFY");
    world.endpoint.handle_input(world.start, input(Transport::Tcp, &text));
    let happened = world.drain();
    assert!(happened.contains(&"400 back".to_owned()), "{happened:?}");
    assert_eq!(world.fails(10, TransportError::Refused), ["400 to TCP 192.0.2.3:5070"]);
    // One that was sent and of which nothing more is heard is forgotten.
    world.endpoint.handle_timeout(world.at(40_000));
    assert_eq!(world.endpoint.stats().live_timers, 0);
    assert_eq!(world.fails(41_000, TransportError::Refused), NOTHING);
}

#[test]
fn a_refusal_that_leads_nowhere_and_one_to_a_browser_are_lost() {
    for (transport, sent_by, error) in [
        (Transport::Tcp, "nowhere.example.com", TransportError::Refused),
        (Transport::Tcp, "pbx.example.com", TransportError::QueueFull),
        (Transport::Ws, "pbx.example.com", TransportError::Closed),
    ] {
        let mut world = World::new("OPTIONS", transport, sent_by);
        world.responds(10, 200);
        assert_eq!(world.fails(20, error), NOTHING);
        assert_eq!(world.endpoint.stats().live_timers, 0);
        assert_eq!(world.endpoint.stats().live_lookups, 0);
    }
}

#[test]
fn only_so_many_seek_another_way_at_a_time() {
    const MAX: usize = 1_000;
    let mut world = World::new("OPTIONS", Transport::Tcp, "pbx.example.com");
    world.responds(10, 200);
    let last = world.sent.last().unwrap().clone();
    let fail = |world: &mut World| {
        let (target, payload) = (last.fallback.unwrap(), last.payload.clone());
        let error = TransportError::Refused;
        let input = Input::SendFailed { token: last.token, target, error, payload };
        world.endpoint.handle_input(world.start, input);
    };
    (0..MAX).for_each(|_| fail(&mut world));
    assert_eq!(world.endpoint.stats().live_strays, MAX);
    assert_eq!(world.drain().len(), MAX);
    fail(&mut world);
    assert_eq!(world.drain(), NOTHING);
    // They are forgotten in time.
    world.endpoint.handle_timeout(world.at(40_000));
    fail(&mut world);
    assert_eq!(world.drain().len(), 1);
}
