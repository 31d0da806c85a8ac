//! What crosses a bridge at the same moment from both sides.

use sip_message::StatusCode;
use sip_ua::{AgentConfig, CallKey};

use crate::harness::*;

fn ringing() -> Scene {
    let mut scene = Scene::new();
    scene.call(ALICE, to("bob").body(sdp("alice")));
    scene.run(ms(500));
    scene.tell(BOB, |agent, now, tx, call| {
        agent.ring(now, tx, call, StatusCode::RINGING, None).unwrap();
    });
    scene.run(ms(500));
    scene.events.clear();
    scene.sent();
    scene
}

#[test]
fn a_cancel_crosses_with_its_reason() {
    let mut scene = ringing();
    scene.tell(ALICE, |agent, now, tx, call| {
        let reason = sip_message::Reason::sip(StatusCode::OK);
        agent.hang_up_with(now, tx, call, &reason).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(ALICE), ["ended: cancelled"]);
    assert_eq!(scene.told(BOB), ["because SIP;cause=200", "ended: cancelled by the caller"]);
    scene.over();
}

/// Both at once, and each a little earlier.
#[test]
fn a_cancel_against_a_200_ends_both() {
    for ahead in [0, 10, 30, 60] {
        for bob_first in [true, false] {
            let mut scene = ringing();
            let accept = |scene: &mut Scene| {
                scene.tell(BOB, |agent, now, tx, call| {
                    agent.accept(now, tx, call, Some(&sdp("bob")), &[])
                })
            };
            let hang_up = |scene: &mut Scene| {
                scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
            };
            if bob_first {
                accept(&mut scene).unwrap();
                scene.run(ms(ahead));
                hang_up(&mut scene);
            } else {
                hang_up(&mut scene);
                scene.run(ms(ahead));
                let _ = accept(&mut scene);
            }
            scene.run(secs(2));
            let (alice, bob) = (scene.told(ALICE), scene.told(BOB));
            assert!(alice.last().unwrap().starts_with("ended"), "{alice:?}");
            assert!(bob.last().unwrap().starts_with("ended"), "{bob:?}");
            scene.over();
        }
    }
}

/// Both sides want a change at once: each is told to try again, and does; in the end both have been made.
#[test]
fn glare_on_both_sides_is_over_after_a_while() {
    for ahead in [0, 5, 15, 25, 50] {
        let mut scene = Scene::new();
        scene.established();
        let ask = |scene: &mut Scene, end: usize, name: &str| {
            scene
                .tell(end, |agent, now, tx, call| agent.reinvite(now, tx, call, Some(&sdp(name))))
                .unwrap();
        };
        ask(&mut scene, ALICE, "from alice");
        scene.run(ms(ahead));
        let ready = scene.told(BOB).is_empty();
        if ready {
            ask(&mut scene, BOB, "from bob");
        }
        // Whoever is asked agrees.
        for _ in 0..200 {
            scene.run(ms(100));
            let asked: Vec<(usize, CallKey)> = scene
                .events
                .iter()
                .filter_map(|(end, event)| match event {
                    sip_ua::AgentEvent::Call {
                        call,
                        update: sip_ua::CallUpdate::Modification { .. },
                    } => Some((*end, *call)),
                    _ => None,
                })
                .collect();
            scene.events.retain(|(_, event)| {
                !matches!(
                    event,
                    sip_ua::AgentEvent::Call {
                        update: sip_ua::CallUpdate::Modification { .. },
                        ..
                    }
                )
            });
            for (end, call) in asked {
                let _ = scene.world.tell(end, |agent, now, tx| {
                    agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp("yes")))
                });
            }
        }
        if ready {
            assert_eq!(scene.told(BOB), ["modified yes"], "{ahead} ms");
            assert_eq!(scene.told(ALICE), ["modified yes"], "{ahead} ms");
        }
        scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
        scene.over();
    }
}

// RFC 3725 §6: "It is
// RECOMMENDED that a 491 response be used."
#[test]
fn a_change_while_another_crosses_is_refused_by_491() {
    let mut scene = Scene::with(|_| AgentConfig::default().glare_retries(0));
    scene.established();
    scene
        .tell(ALICE, |agent, now, tx, call| {
            agent.update_session(now, tx, call, None, Some(&sdp("one")))
        })
        .unwrap();
    scene.run(ms(300));
    assert_eq!(scene.told(BOB), ["UPDATE one"]);
    // Bob has not answered, and sends one of his own all the same: his agent is told 491 by the bridge's leg.
    scene.tell(BOB, |agent, now, tx, call| {
        agent.answer_modification(now, tx, call, StatusCode::REQUEST_PENDING, None).unwrap();
    });
    scene.run(secs(8));
    assert!(scene.sent().contains(&"pbx>alice 491 UPDATE".to_owned()));
    let told = scene.told(ALICE);
    assert_eq!(told, ["it collided with the peer's re-INVITE too often"]);
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn a_bye_against_a_re_invite_ends_both() {
    for (asks, hangs_up) in [(ALICE, BOB), (BOB, ALICE), (ALICE, ALICE)] {
        for after in [0, 20, 100] {
            let mut scene = Scene::new();
            scene.established();
            scene
                .tell(asks, |agent, now, tx, call| agent.reinvite(now, tx, call, Some(&sdp("new"))))
                .unwrap();
            scene.run(ms(after));
            scene.tell(hangs_up, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
            scene.run(secs(2));
            for end in [ALICE, BOB] {
                let told = scene.told(end);
                assert!(told.last().unwrap().starts_with("ended"), "{end}: {told:?}");
            }
            scene.over();
        }
    }
}

/// Nobody answers the change: the one who asked is refused when the time is up, and the call goes on.
#[test]
fn a_change_that_nobody_answers_fails_and_ends_nothing() {
    let mut scene = Scene::new();
    scene.established();
    scene
        .tell(ALICE, |agent, now, tx, call| agent.reinvite(now, tx, call, Some(&sdp("new"))))
        .unwrap();
    scene.run(secs(30));
    assert_eq!(scene.told(ALICE), ["refused with 500"]);
    assert_eq!(scene.told(BOB)[0], "INVITE new");
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}
