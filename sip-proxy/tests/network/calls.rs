//! One call through the proxy.

use std::time::Duration;

use sip_message::HeaderName;
use sip_proxy::Route;

use crate::scene::{Scene, phone, raw};

#[test]
fn a_call_passes_and_the_proxy_stays_in_its_path() {
    let mut scene = Scene::new(2, |_| Route::to(phone(11)));
    let call = scene.call();
    scene.run(Duration::from_millis(100));
    scene.ring(1);
    scene.accept(1);
    scene.hang_up(0, call);
    assert_eq!(scene.told(0), ["ringing 0", "answered", "ended: we hung up"]);
    assert_eq!(scene.told(1), ["invitation", "confirmed", "ended: the peer hung up"]);
    assert_eq!(
        scene.ladder(),
        [
            "10 > 1: INVITE",
            "1 > 11: INVITE",
            "1 > 10: 100 INVITE",
            "11 > 1: 180 INVITE",
            "1 > 10: 180 INVITE",
            "11 > 1: 200 INVITE",
            "1 > 10: 200 INVITE",
            "10 > 1: ACK",
            "1 > 11: ACK",
            "10 > 1: BYE",
            "1 > 11: BYE",
            "11 > 1: 200 BYE",
            "1 > 10: 200 BYE",
        ]
    );
    let invite = scene.message("1 > 11: INVITE");
    assert_eq!(raw(&invite, HeaderName::RecordRoute), ["<sip:192.0.2.1:5060;lr>"]);
    assert_eq!(raw(&invite, HeaderName::MaxForwards), ["69"]);
    assert_eq!(raw(&invite, HeaderName::MaxBreadth), ["60"]);
    assert_eq!(raw(&invite, HeaderName::Via).len(), 2);
    assert!(raw(&invite, HeaderName::Route).is_empty(), "its own Route is gone");
    let bye = scene.message("1 > 11: BYE");
    assert!(raw(&bye, HeaderName::Route).is_empty());
    scene.finish();
}

#[test]
fn who_does_not_live_here_is_not_found() {
    let mut scene = Scene::new(1, |_| Route::reply(sip_message::StatusCode::NOT_FOUND));
    scene.call();
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.told(0), ["ended: rejected with 404 Not Found"]);
    scene.finish();
}

#[test]
fn a_cancel_goes_all_the_way() {
    let mut scene = Scene::new(2, |_| Route::to(phone(11)));
    let call = scene.call();
    scene.run(Duration::from_millis(100));
    scene.ring(1);
    scene.hang_up(0, call);
    assert_eq!(scene.told(0), ["ringing 0", "ended: cancelled"]);
    assert_eq!(scene.told(1), ["invitation", "ended: cancelled by the caller"]);
    scene.finish();
}

/// The callee says nothing: the proxy gives up by Timer B, and says so.
#[test]
fn a_phone_that_is_gone_is_told_after_a_while() {
    let mut scene = Scene::new(1, |_| Route::to(phone(99)));
    scene.call();
    scene.run(Duration::from_secs(60));
    assert_eq!(scene.told(0), ["ended: rejected with 408 Request Timeout"]);
    scene.finish();
}

/// The phone rings for ever. RFC 3261 §16.8: Timer C ends it.
#[test]
fn timer_c_ends_what_rings_for_ever() {
    let config = sip_proxy::ProxyConfig::default().domain("example.com");
    let config = config.timer_c(Duration::from_secs(200));
    let mut scene = Scene::with(7, Default::default(), config, 2, |_| Route::to(phone(11)));
    scene.call();
    scene.run(Duration::from_millis(100));
    scene.ring(1);
    // Nobody repeats the 180: the phone is unplugged.
    let (proxy, bob) = (scene.proxy, scene.phones[1]);
    scene.network.part(proxy, bob);
    scene.run(Duration::from_secs(150));
    assert_eq!(scene.told(0), ["ringing 0"]);
    scene.run(Duration::from_secs(150));
    assert_eq!(scene.told(0).len(), 2, "{:?}", scene.told(0));
    scene.network.heal(proxy, bob);
    scene.finish();
}
