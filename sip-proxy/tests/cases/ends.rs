//! What the element takes itself, or passes over.

use std::time::Duration;

use sip_message::{Method, Response, StatusCode};
use sip_proxy::{ProxyEvent, Route};

use crate::stage::{BOB, Stage, request};

#[test]
fn a_request_that_is_processed_is_answered_by_those_above() {
    let mut stage = Stage::new(|_| Route::Process);
    assert!(stage.recv(10, request(&Method::Register, "sip:example.com", "")).is_empty());
    let events = stage.events();
    let [ProxyEvent::Process { key, request, .. }] = &events[..] else { panic!("{events:?}") };
    let ok = Response::to_request(request, StatusCode::OK).to_tag("1").build().unwrap();
    let now = std::time::Instant::now();
    stage.endpoint.with(now, |_, tx| tx.respond(now, *key, ok)).unwrap();
    assert_eq!(stage.wait(Duration::from_secs(1)), ["200 REGISTER > 10"]);
    stage.finish();
}

#[test]
fn the_cancel_of_an_invite_that_is_processed_is_told() {
    let mut stage = Stage::new(|_| Route::Process);
    stage.invite("");
    let key = match &stage.events()[..] {
        [ProxyEvent::Process { key, .. }] => *key,
        events => panic!("{events:?}"),
    };
    assert_eq!(stage.cancel(), ["200 CANCEL > 10"]);
    let events = stage.events();
    assert!(matches!(&events[..], [ProxyEvent::Cancelled { key: it }] if *it == key), "{events:?}");
}

#[test]
fn a_request_that_is_dropped_leaves_nothing() {
    let mut stage = Stage::new(|_| Route::Drop);
    for method in [Method::Invite, Method::Message] {
        assert!(stage.recv(10, request(&method, BOB, "")).is_empty());
        assert!(stage.wait(Duration::from_secs(40)).is_empty(), "{method}");
    }
    stage.finish();
}
