//! Several phones.

use std::time::Duration;

use sip_message::StatusCode;
use sip_proxy::{Route, RouteTarget};

use crate::scene::{Scene, phone};

fn parallel(phones: u8) -> Scene {
    Scene::new(phones + 1, move |_| Route::parallel((0..phones).map(|index| phone(11 + index))))
}

#[test]
fn all_phones_ring_and_the_first_to_answer_wins() {
    let mut scene = parallel(3);
    let call = scene.call();
    scene.run(Duration::from_millis(100));
    for phone in 1..=3 {
        scene.ring(phone);
    }
    scene.accept(2);
    assert_eq!(scene.told(0), ["ringing 0", "ringing 1", "ringing 2", "answered"]);
    for phone in [1, 3] {
        assert_eq!(scene.told(phone), ["invitation", "ended: cancelled by the caller"]);
    }
    scene.hang_up(0, call);
    assert_eq!(scene.told(2), ["invitation", "confirmed", "ended: the peer hung up"]);
    scene.finish();
}

/// Both phones answer before either CANCEL is there: both 2xx reach the caller, who keeps one.
#[test]
fn two_answers_at_once_reach_the_caller() {
    let mut scene = parallel(2);
    let call = scene.call();
    scene.run(Duration::from_millis(100));
    let calls = [scene.invited(1), scene.invited(2)];
    let sdp = sip_ua::Body::sdp("v=0\r\n");
    for (phone, call) in [(1, calls[0]), (2, calls[1])] {
        let node = scene.phones[phone];
        let accepted = scene
            .network
            .with(node, |now, node, tx| node.a().unwrap().accept(now, tx, call, Some(&sdp), &[]));
        accepted.unwrap().unwrap();
    }
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.told(0), ["answered"]);
    let two_hundreds = scene.ladder().iter().filter(|line| *line == "1 > 10: 200 INVITE").count();
    assert_eq!(two_hundreds, 2);
    let lost = [1, 2].into_iter().filter(|phone| scene.told(*phone).len() == 3).count();
    assert_eq!(lost, 1, "one of them was hung up");
    scene.hang_up(0, call);
    scene.finish();
}

#[test]
fn one_after_the_other_until_somebody_answers() {
    let mut scene = Scene::new(3, |_| Route::serial([phone(11), phone(12)]));
    scene.call();
    scene.run(Duration::from_millis(100));
    assert!(scene.told(2).is_empty(), "the second waits");
    scene.reject(1, 486);
    scene.accept(2);
    assert_eq!(scene.told(0), ["answered"]);
    let call = scene.invited(2);
    scene.hang_up(2, call);
    scene.finish();
}

#[test]
fn a_phone_that_is_gone_does_not_keep_the_next_from_ringing() {
    let mut scene = Scene::new(2, |_| Route::serial([phone(99), phone(11)]));
    scene.call();
    scene.run(Duration::from_secs(33));
    scene.accept(1);
    assert_eq!(scene.told(0), ["answered"]);
    let call = scene.invited(1);
    scene.hang_up(1, call);
    scene.finish();
}

#[test]
fn a_decline_everywhere_stops_the_others() {
    let mut scene = parallel(2);
    scene.call();
    scene.run(Duration::from_millis(100));
    scene.ring(2);
    scene.reject(1, 603);
    assert_eq!(scene.told(2), ["invitation", "ended: cancelled by the caller"]);
    assert_eq!(scene.told(0), ["ringing 0", "ended: rejected with 603 Decline"]);
    scene.finish();
}

#[test]
fn the_best_of_the_refusals_is_told() {
    let mut scene = parallel(3);
    scene.call();
    scene.run(Duration::from_millis(100));
    scene.reject(1, 500);
    scene.reject(2, 486);
    assert!(scene.told(0).is_empty());
    scene.reject(3, 503);
    let busy = StatusCode::BUSY_HERE;
    let (code, reason) = (busy.as_u16(), busy.reason());
    assert_eq!(scene.told(0), [format!("ended: rejected with {code} {reason}")]);
    scene.finish();
}

#[test]
fn nobody_at_all_is_unavailable() {
    let mut scene = Scene::new(1, |_| Route::parallel([]));
    scene.call();
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.told(0), ["ended: rejected with 480 Temporarily Unavailable"]);
    scene.finish();
}

/// However often the first phone says that it rings.
#[test]
fn a_call_that_nobody_answers_goes_on_to_the_next() {
    let mut scene = Scene::new(3, |_| {
        let first = RouteTarget::new(phone(11)).for_at_most(Duration::from_secs(20));
        Route::groups(vec![vec![first], vec![RouteTarget::new(phone(12))]])
    });
    scene.call();
    scene.run(Duration::from_secs(15));
    scene.ring(1);
    scene.run(Duration::from_secs(6));
    assert_eq!(scene.told(1), ["invitation", "ended: cancelled by the caller"]);
    scene.accept(2);
    assert_eq!(scene.told(0), ["ringing 0", "early 0 ended", "answered"]);
    let call = scene.invited(2);
    scene.hang_up(2, call);
    scene.finish();
}
