//! A router that needs time.

use std::time::Duration;

use sip_proxy::{ProxyEvent, Route};

use crate::scene::{Scene, phone};

fn waiting() -> Scene {
    let mut scene = Scene::new(2, |_| Route::Later);
    scene.call();
    scene.run(Duration::from_millis(100));
    assert_eq!(scene.asked.len(), 1);
    scene
}

fn decide(scene: &mut Scene, route: Route) {
    let ProxyEvent::Routing { key, .. } = scene.asked.pop().unwrap() else { panic!("a request") };
    let node = scene.proxy;
    scene.network.with(node, |now, node, tx| node.b().unwrap().routed(now, tx, key, route));
    scene.run(Duration::from_millis(300));
}

#[test]
fn a_request_waits_for_the_decision() {
    let mut scene = waiting();
    assert_eq!(scene.ladder(), ["10 > 1: INVITE", "1 > 10: 100 INVITE"]);
    decide(&mut scene, Route::to(phone(11)));
    scene.accept(1);
    assert_eq!(scene.told(0), ["answered"]);
    let call = scene.invited(1);
    scene.hang_up(1, call);
    scene.finish();
}

#[test]
fn a_decision_that_does_not_come_is_a_500() {
    let mut scene = waiting();
    scene.run(Duration::from_secs(6));
    assert_eq!(scene.told(0), ["ended: rejected with 500 Server Internal Error"]);
    // One that is too late changes nothing.
    decide(&mut scene, Route::to(phone(11)));
    assert!(scene.told(1).is_empty());
    scene.finish();
}

#[test]
fn who_gives_up_while_nothing_is_decided_is_told_so() {
    let mut scene = Scene::new(2, |_| Route::Later);
    let call = scene.call();
    scene.run(Duration::from_millis(100));
    scene.hang_up(0, call);
    assert_eq!(scene.told(0), ["ended: cancelled"]);
    decide(&mut scene, Route::to(phone(11)));
    assert!(scene.told(1).is_empty());
    scene.finish();
}
