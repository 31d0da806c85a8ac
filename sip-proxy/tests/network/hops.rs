//! What a request must be to be forwarded (RFC 3261 §16.3), and what stops one that goes round in circles.

use std::time::Duration;

use sip_message::{HeaderName, Limits, Message, Method, StatusCode, Transport};
use sip_proxy::{Proxy, ProxyConfig, Route};
use sip_sim::{Either, Link, Network};
use sip_transaction::{Config, Event, NextHop};

use crate::scene::{Decide, PROXY, plain, raw, udp};

/// A client that only sends, and the proxy; what the client is answered.
fn answered(config: ProxyConfig, request: sip_message::Request, decide: Decide) -> Vec<Message> {
    let mut network: Network<Either<sip_sim::Listener, Proxy<Decide>>> =
        Network::new(3, Link::default());
    network.record();
    let proxy = Proxy::new(config.domain("example.com"), decide);
    let proxy = network.add(&udp(1), Config::default(), Either::B(proxy)).unwrap();
    let client = Either::A(sip_sim::Listener::default());
    let client = network.add(&udp(10), Config::default(), client).unwrap();
    network.host("example.com", &[PROXY.parse().unwrap()]);
    let hop = NextHop::Uri(format!("sip:{PROXY}").parse().unwrap());
    let sent = network.with(client, |now, _, tx| tx.request(now, request, hop));
    sent.unwrap().unwrap();
    let until = network.now() + Duration::from_secs(400);
    let mut answers = Vec::new();
    while let Some((node, event)) = network.next_event(until) {
        if let Either::A(Event::Response { response, .. }) = event
            && node == client
        {
            answers.push(Message::Response(response));
        }
    }
    assert!(network.is_quiet());
    let live = network.with(proxy, |_, node, _| node.b().unwrap().live()).unwrap();
    assert_eq!(live, Default::default());
    // Each forwarded request is three messages at most, its ACK included, and no test here needs many.
    assert!(network.passages().len() < 60, "{} messages", network.passages().len());
    answers
}

fn status(answers: &[Message]) -> Vec<u16> {
    let status = |message: &Message| match message {
        Message::Response(response) => response.status().as_u16(),
        Message::Request(_) => panic!("a response"),
    };
    answers.iter().map(status).filter(|status| *status != 100).collect()
}

fn nowhere() -> Decide {
    Box::new(|_| panic!("it must not be asked"))
}

const BOB: &str = "sip:bob@example.com";

#[test]
fn a_request_that_may_go_no_further_is_refused() {
    for method in [Method::Message, Method::Options, Method::Invite] {
        let request = plain(&method, BOB, "Max-Forwards: 0\r\n");
        let answers = answered(ProxyConfig::default(), request, nowhere());
        assert_eq!(status(&answers), [483], "{method}");
    }
}

#[test]
fn an_extension_that_proxies_must_know_and_this_does_not() {
    let request = plain(&Method::Message, BOB, "Proxy-Require: foo, known, bar\r\n");
    let config = ProxyConfig::default().proxy_require("known");
    let answers = answered(config, request, nowhere());
    assert_eq!(status(&answers), [420]);
    assert_eq!(raw(&answers[0], HeaderName::Unsupported), ["foo, bar"]);
}

#[test]
fn a_scheme_that_is_not_understood() {
    let request = plain(&Method::Message, "http://example.com/", "");
    assert_eq!(status(&answered(ProxyConfig::default(), request, nowhere())), [416]);
}

#[test]
fn a_breadth_of_zero_reaches_nobody() {
    let request = plain(&Method::Message, BOB, "Max-Breadth: 0\r\n");
    assert_eq!(status(&answered(ProxyConfig::default(), request, nowhere())), [440]);
}

#[test]
fn a_malformed_route_is_refused() {
    let request = plain(&Method::Message, BOB, "Route: sip:p.example.com;lr\r\n");
    assert_eq!(status(&answered(ProxyConfig::default(), request, nowhere())), [400]);
}

#[test]
fn a_malformed_proxy_require_is_refused() {
    let request = plain(&Method::Message, BOB, "Proxy-Require: a b\r\n");
    assert_eq!(status(&answered(ProxyConfig::default(), request, nowhere())), [400]);
}

#[test]
fn more_requests_than_there_is_room_for() {
    let config = ProxyConfig::default().max_contexts(0);
    let answers = answered(config, plain(&Method::Message, BOB, ""), nowhere());
    assert_eq!(status(&answers), [503]);
    assert_eq!(raw(&answers[0], HeaderName::RetryAfter), ["5"]);
}

/// The router sends Bob's requests back to where they are: the second time it is a loop.
#[test]
fn a_loop_is_found_at_the_second_pass() {
    let decide: Decide = Box::new(|_| Route::to(BOB.parse().unwrap()));
    let answers = answered(ProxyConfig::default(), plain(&Method::Message, BOB, ""), decide);
    assert_eq!(status(&answers), [482]);
}

/// A request that comes back with another Request-URI is none.
#[test]
fn a_spiral_is_no_loop() {
    let decide: Decide = Box::new(|request| match request.uri().unwrap().user() {
        Some("bob") => Route::to("sip:carol@example.com".parse().unwrap()),
        _ => Route::reply(StatusCode::NOT_FOUND),
    });
    let answers = answered(ProxyConfig::default(), plain(&Method::Invite, BOB, ""), decide);
    assert_eq!(status(&answers), [404]);
}

/// The attack of RFC 5393 §3: two users, each of whom is both of them at the same place. Without care it makes
/// 2^70 requests; with it each is forwarded once on each path that leads to it.
#[test]
fn two_users_that_fork_to_each_other_stay_few() {
    let decide: Decide = Box::new(|_| {
        Route::parallel(["a", "b"].map(|user| format!("sip:{user}@example.com").parse().unwrap()))
    });
    let request = plain(&Method::Invite, "sip:a@example.com", "");
    let answers = answered(ProxyConfig::default(), request, decide);
    assert_eq!(status(&answers), [482]);
}

#[test]
fn what_leaves_by_another_transport_records_both() {
    let mut network: Network<Either<sip_sim::Listener, Proxy<Decide>>> =
        Network::new(3, Link::default());
    network.record();
    let decide: Decide =
        Box::new(|_| Route::to("sip:bob@192.0.2.11;transport=tcp".parse().unwrap()));
    let proxy = Proxy::new(ProxyConfig::default().domain("example.com"), decide);
    let both = [udp(1)[0], (Transport::Tcp, ([192, 0, 2, 1], 5060).into())];
    network.add(&both, Config::default(), Either::B(proxy)).unwrap();
    let listener = || Either::A(sip_sim::Listener::default());
    let client = network.add(&udp(10), Config::default(), listener()).unwrap();
    let tcp = [(Transport::Tcp, ([192, 0, 2, 11], 5060).into())];
    network.add(&tcp, Config::default(), listener()).unwrap();
    let hop = NextHop::Uri(format!("sip:{PROXY}").parse().unwrap());
    let invite = plain(&Method::Invite, BOB, "");
    network.with(client, |now, _, tx| tx.request(now, invite, hop)).unwrap().unwrap();
    let until = network.now() + Duration::from_secs(1);
    while network.next_event(until).is_some() {}
    let passed = network.passages().iter().find(|passage| passage.transport == Transport::Tcp);
    let message = Message::parse(passed.unwrap().payload.clone(), &Limits::default()).unwrap();
    assert_eq!(
        raw(&message, HeaderName::RecordRoute),
        ["<sip:192.0.2.1:5060;transport=tcp;lr>", "<sip:192.0.2.1:5060;lr>"]
    );
}

/// RFC 3261 §16.6 item 7: the targets that a name leads to are tried one after the other, each by a transaction of its
/// own with a branch of its own, and it remains one branch of the call.
#[test]
fn a_host_of_two_servers_is_called_at_the_second_when_the_first_is_gone() {
    let mut network: Network<Either<sip_sim::Listener, Proxy<Decide>>> =
        Network::new(3, Link::default());
    network.record();
    let decide: Decide = Box::new(|_| Route::to("sip:bob@gateways.example:5060".parse().unwrap()));
    let proxy = Proxy::new(ProxyConfig::default().domain("example.com"), decide);
    network.add(&udp(1), Config::default(), Either::B(proxy)).unwrap();
    let listener = || Either::A(sip_sim::Listener::default());
    let client = network.add(&udp(10), Config::default(), listener()).unwrap();
    // Of the two only the second is there.
    let there = network.add(&udp(12), Config::default(), listener()).unwrap();
    network.host("gateways.example", &[[192, 0, 2, 11].into(), [192, 0, 2, 12].into()]);
    let hop = NextHop::Uri(format!("sip:{PROXY}").parse().unwrap());
    let invite = plain(&Method::Invite, BOB, "");
    network.with(client, |now, _, tx| tx.request(now, invite, hop)).unwrap().unwrap();
    let until = network.now() + Duration::from_secs(40);
    let mut invited = 0;
    while let Some((node, event)) = network.next_event(until) {
        if let Either::A(Event::Request { key, request, .. }) = event
            && node == there
        {
            invited += 1;
            let ok = sip_message::Response::to_request(&request, StatusCode::OK).to_tag("bob");
            let answer = ok.build().unwrap();
            network.with(there, |now, _, tx| tx.respond(now, key, answer)).unwrap().unwrap();
        }
    }
    let to = |last: u8| {
        let to = network
            .passages()
            .iter()
            .filter(move |it| it.to.ip() == std::net::IpAddr::from([192, 0, 2, last]));
        let messages = to.map(|it| Message::parse(it.payload.clone(), &Limits::default()).unwrap());
        messages.collect::<Vec<_>>()
    };
    let branch = |message: &Message| match message {
        Message::Request(request) => request.headers().branch().unwrap().to_owned(),
        Message::Response(_) => panic!("a request"),
    };
    let (first, second) = (to(11), to(12));
    assert_eq!((first.len() > 1, second.len(), invited), (true, 1, 1));
    assert!(first.iter().all(|message| branch(message) == branch(&first[0])));
    assert_ne!(branch(&first[0]), branch(&second[0]));
    let finals =
        to(10).into_iter().filter(|message| status(core::slice::from_ref(message)) == [200]);
    assert_eq!(finals.count(), 1);
}
