//! Overload control (RFC 7339): what an endpoint says of it, and what it does about it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{Response, StatusCode, Transport};
use sip_transaction::{Config, Endpoint, Event, NextHop, Output, RequestError};
use sip_transport::{Flow, Input, ListenerId, TransportError};

use crate::script::{Recorder, header, locals, outgoing};

fn endpoint(config: Config, start: Instant) -> Endpoint<Recorder> {
    Endpoint::new(config.seed([1, 2]), locals(), start, Recorder::default()).unwrap()
}

fn taking_part() -> Config {
    Config::default().overload_control(true)
}

fn flow() -> Flow {
    let remote = ([192, 0, 2, 9], 5060).into();
    Flow { transport: Transport::Udp, listener: ListenerId::new(0), connection: None, remote }
}

fn incoming(method: &str, number: u32, via: &str) -> Input {
    let text = format!(
        "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{number}{via}\r\n\
         Via: SIP/2.0/UDP other;branch=z9hG4bKx;oc;oc-algo=\"loss\"\r\nMax-Forwards: 70\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:us@c>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    );
    Input::Datagram { flow: flow(), payload: Bytes::from(text.into_bytes()) }
}

/// The Vias of what is sent next.
fn sent(endpoint: &mut Endpoint<Recorder>) -> Option<Vec<String>> {
    let Output::Transmit(transmit) = endpoint.poll_output()? else { panic!("no message") };
    Some(header(&transmit.payload, "Via").into_iter().map(String::from).collect())
}

const OFFER: &str = ";oc;oc-algo=\"A,loss\"";
const NO_DEMAND: &str = ";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=0.00000";

#[test]
fn every_response_to_who_offers_it_says_what_is_demanded() {
    let start = Instant::now();
    let mut endpoint = endpoint(taking_part(), start);
    endpoint.handle_input(start, incoming("INVITE", 1, OFFER));
    let event = endpoint.user_mut().events.pop_back().unwrap();
    let Event::Request { key, request, .. } = event else { panic!("{event:?}") };
    assert!(endpoint.transactions().obeys_demands(key));
    // It is between the client and us.
    let top = request.headers().top_via().unwrap().to_string();
    assert_eq!(top, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1");
    // The 100 of this layer, and the first response that is the user's.
    endpoint.handle_timeout(start + Duration::from_millis(200));
    let trying = sent(&mut endpoint).unwrap();
    assert_eq!(trying[0], format!("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1{NO_DEMAND}"));
    let now = start + Duration::from_secs(2);
    endpoint.with(now, |_, tx| {
        tx.demand_loss(now, 20, Duration::from_millis(700));
        assert_eq!(tx.demanded_loss(), 20);
        let ringing = Response::to_request(&request, StatusCode::RINGING).to_tag("2");
        tx.respond(now, key, ringing.build().unwrap()).unwrap();
    });
    let demand = ";oc=20;oc-algo=\"loss\";oc-validity=700;oc-seq=2.00000";
    let ringing = sent(&mut endpoint).unwrap();
    assert_eq!(ringing[0], format!("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1{demand}"));
    // What others say to one another is not ours to change in a response that we make.
    assert_eq!(ringing.len(), 2);
}

#[test]
fn a_refusal_without_a_transaction_says_it_too() {
    let start = Instant::now();
    let mut endpoint = endpoint(taking_part().transactions(1), start);
    endpoint.handle_input(start, incoming("OPTIONS", 1, ""));
    endpoint.handle_input(start, incoming("OPTIONS", 2, OFFER));
    let refused = sent(&mut endpoint).unwrap();
    assert_eq!(refused[0], format!("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2{NO_DEMAND}"));
}

#[test]
fn who_offers_nothing_or_another_algorithm_is_told_nothing() {
    let start = Instant::now();
    for (config, via) in
        [(taking_part(), ""), (taking_part(), ";oc;oc-algo=\"rate\""), (Config::default(), OFFER)]
    {
        let mut endpoint = endpoint(config, start);
        endpoint.handle_input(start, incoming("OPTIONS", 1, via));
        let event = endpoint.user_mut().events.pop_back().unwrap();
        let Event::Request { key, request, .. } = event else { panic!("{event:?}") };
        assert!(!endpoint.transactions().obeys_demands(key));
        endpoint.with(start, |_, tx| {
            tx.demand_loss(start, 20, Duration::from_secs(1));
            let ok = Response::to_request(&request, StatusCode::OK).to_tag("2");
            tx.respond(start, key, ok.build().unwrap()).unwrap();
        });
        let vias = sent(&mut endpoint).unwrap();
        assert!(!vias[0].contains("oc="), "{vias:?}");
    }
}

#[test]
fn a_next_hop_that_asks_for_fewer_requests_gets_fewer() {
    let start = Instant::now();
    let mut endpoint = endpoint(taking_part(), start);
    let hop = || NextHop::Uri("sip:192.0.2.9".parse().unwrap());
    let request = |endpoint: &mut Endpoint<Recorder>, now, method| {
        endpoint.with(now, |_, tx| tx.request(now, outgoing(method), hop()))
    };
    request(&mut endpoint, start, "OPTIONS").unwrap();
    let Some(Output::Transmit(transmit)) = endpoint.poll_output() else { panic!("no request") };
    let text = String::from_utf8(transmit.payload.to_vec()).unwrap();
    assert!(header(&transmit.payload, "Via")[0].ends_with(";oc;oc-algo=\"loss\""), "{text}");
    // RFC 7339 §4.1: "When a SIP client receives a response with the value in the "oc"
    // parameter filled in, it MUST reduce, as indicated by the "oc" and
    // "oc-algo" parameters, the number of requests going downstream to the
    // SIP server from which it received the response"
    let answer = crate::script::answer(&transmit.payload, 200, "them");
    let answer = answer.replace(";oc;", ";oc=100;oc-seq=1.1;oc-validity=1000;");
    let payload = Bytes::from(answer.into_bytes());
    endpoint.handle_input(start, Input::Datagram { flow: flow(), payload });
    assert_eq!(endpoint.stats().live_throttled, 1);
    let throttled = RequestError::Transport(TransportError::Throttled);
    assert_eq!(request(&mut endpoint, start, "OPTIONS"), Err(throttled));
    assert_eq!(endpoint.stats().throttled, 1);
    // Another port of the same host is another server.
    let other = NextHop::Uri("sip:192.0.2.9:5070".parse().unwrap());
    endpoint.with(start, |_, tx| tx.request(start, outgoing("OPTIONS"), other)).unwrap();
    let later = start + Duration::from_secs(1);
    request(&mut endpoint, later, "OPTIONS").unwrap();
}

/// RFC 7339 §5.9: a server that took part and is gone.
#[test]
fn a_next_hop_that_is_gone_gets_no_more_until_it_answers() {
    let start = Instant::now();
    let mut endpoint = endpoint(taking_part(), start);
    let hop = || NextHop::Uri("sip:192.0.2.9".parse().unwrap());
    let request = |endpoint: &mut Endpoint<Recorder>, now| {
        let sent = endpoint.with(now, |_, tx| tx.request(now, outgoing("OPTIONS"), hop()));
        let mut first = None;
        while let Some(output) = endpoint.poll_output() {
            let Output::Transmit(transmit) = output else { panic!("no request") };
            first.get_or_insert(transmit.payload);
        }
        sent.map(|_| first.unwrap())
    };
    let answer = |request: &Bytes| {
        let text = crate::script::answer(request, 200, "them");
        let text = text.replace(";oc;", ";oc=0;oc-seq=1.1;oc-validity=0;");
        Input::Datagram { flow: flow(), payload: Bytes::from(text.into_bytes()) }
    };
    let first = request(&mut endpoint, start).unwrap();
    endpoint.handle_input(start, answer(&first));
    for _ in 0..3 {
        request(&mut endpoint, start).unwrap();
    }
    let mut now = start;
    while let Some(at) = endpoint.poll_timeout().filter(|at| *at <= start + Duration::from_secs(33))
    {
        now = at;
        endpoint.handle_timeout(now);
        while endpoint.poll_output().is_some() {}
    }
    let throttled = RequestError::Transport(TransportError::Throttled);
    assert_eq!(request(&mut endpoint, now).unwrap_err(), throttled);
    let later = now + Duration::from_secs(2);
    let probe = request(&mut endpoint, later).unwrap();
    assert_eq!(request(&mut endpoint, later).unwrap_err(), throttled);
    endpoint.handle_input(later, answer(&probe));
    request(&mut endpoint, later).unwrap();
}
