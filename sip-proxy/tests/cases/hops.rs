//! Where a request comes from and where it goes next.

use sip_message::{Header, HeaderName, Method};
use sip_proxy::{Route, RouteTarget};
use sip_transaction::NextHop;
use sip_transport::Target;

use crate::stage::{BOB, Stage, phone, raw, request};

#[test]
fn a_route_to_the_proxy_itself_is_taken_off_by_address_and_by_name() {
    for route in [
        "<sip:192.0.2.1;lr>",
        "<sip:192.0.2.1:5060;lr>",
        "<sip:example.com;lr>",
        "<sip:EXAMPLE.com;lr>",
    ] {
        let mut stage = Stage::parallel(1);
        let out = stage.invite(&format!("Route: {route}\r\n"));
        assert_eq!(out, ["INVITE > 11", "100 > 10"], "{route}");
        let routes = raw(stage.request(11, &Method::Invite).headers(), HeaderName::Route);
        assert!(routes.is_empty(), "{routes:?}");
        stage.answer(11, 200);
        stage.finish();
    }
}

#[test]
fn a_route_that_is_left_decides_and_not_the_router() {
    let mut stage = Stage::new(|_| panic!("it must not be asked"));
    let out = stage.invite("Route: <sip:192.0.2.1;lr>, <sip:192.0.2.40;lr>\r\n");
    assert_eq!(out, ["INVITE > 40", "100 > 10"]);
    let forwarded = stage.request(40, &Method::Invite);
    assert_eq!(raw(forwarded.headers(), HeaderName::Route), ["<sip:192.0.2.40;lr>"]);
    assert_eq!(forwarded.uri_bytes(), BOB.as_bytes());
    stage.answer(40, 200);
    stage.finish();
}

#[test]
fn a_strict_router_gets_the_request_uri() {
    let mut stage = Stage::new(|_| panic!("it must not be asked"));
    stage.invite("Route: <sip:192.0.2.40>, <sip:192.0.2.41;lr>\r\n");
    let forwarded = stage.request(40, &Method::Invite);
    assert_eq!(forwarded.uri_bytes(), b"sip:192.0.2.40");
    let routes = raw(forwarded.headers(), HeaderName::Route).join(", ");
    assert_eq!(routes, "<sip:192.0.2.41;lr>, <sip:bob@example.com>");
    stage.answer(40, 200);
    stage.finish();
}

/// RFC 3261 §26.2.2: neither by an address that somebody names, nor because there is nothing better.
#[test]
fn a_sips_uri_leaves_by_nothing_that_is_not_secure() {
    let by_target = Stage::new(|_| {
        let hop = Target::new(sip_message::Transport::Udp, ([192, 0, 2, 11], 5060).into());
        let uri = "sips:bob@192.0.2.11".parse().unwrap();
        Route::groups(vec![vec![RouteTarget::new(uri).over(NextHop::Target(hop))]])
    });
    let by_uri = Stage::new(|_| Route::to("sips:bob@192.0.2.11".parse().unwrap()));
    for mut stage in [by_target, by_uri] {
        assert_eq!(stage.invite(""), ["500 > 10"]);
        stage.recv(10, request(&Method::Ack, BOB, ""));
        stage.finish();
    }
}

#[test]
fn an_emergency_call_comes_to_the_router() {
    let mut stage = Stage::parallel(1);
    let out = stage.recv(10, request(&Method::Invite, "urn:service:sos", ""));
    assert_eq!(out, ["INVITE > 11", "100 > 10"]);
    assert_eq!(stage.request(11, &Method::Invite).uri().unwrap(), phone(11));
    stage.answer(11, 200);
    stage.finish();
}

/// RFC 3261 §16.5: the domain is ours, and yet the maddr decides.
#[test]
fn a_maddr_of_somebody_else_decides_and_not_the_router() {
    let mut stage = Stage::new(|_| panic!("it must not be asked"));
    let uri = "sip:bob@example.com;maddr=192.0.2.33";
    let out = stage.recv(10, request(&Method::Invite, uri, ""));
    assert_eq!(out, ["INVITE > 33", "100 > 10"]);
    assert_eq!(stage.request(33, &Method::Invite).uri_bytes(), uri.as_bytes());
    stage.answer(33, 200);
    stage.finish();
}

/// RFC 5393 §4.2.2: each Via of ours is looked at, not the topmost of all alone.
#[test]
fn a_loop_by_way_of_another_proxy_is_found() {
    let mut stage = Stage::parallel(1);
    stage.invite("");
    let mut back = stage.request(11, &Method::Invite);
    back.set_uri(&BOB.parse().unwrap());
    let via = sip_message::Via::parse(b"SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKother").unwrap();
    back.headers_mut().push_front(&via);
    assert_eq!(stage.recv(11, back.to_bytes()), ["482 > 11"]);
    // By another name it is no loop: whoever was asked there has sent it on.
    back.set_uri(&"sip:carol@example.com".parse().unwrap());
    let via = sip_message::Via::parse(b"SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKmore").unwrap();
    back.headers_mut().pop_front(HeaderName::Via);
    back.headers_mut().push_front(&via);
    assert_eq!(stage.recv(11, back.to_bytes()), ["INVITE > 11", "100 > 11"]);
}
