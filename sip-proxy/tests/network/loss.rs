//! Calls to two phones at once over a bad network.

use std::time::Duration;

use sip_proxy::{ProxyConfig, Route};
use sip_sim::{Either, Link};
use sip_transaction::Random;
use sip_ua::{AgentEvent, Body, CallUpdate};

use crate::scene::{Scene, phone};

/// Every call has one end at the caller, at most one phone is in a call with her when all is said, and nothing is
/// left in any table.
#[test]
fn forked_calls_over_a_bad_network_leave_nothing() {
    let link = Link::default()
        .with_loss(0.2)
        .with_duplication(0.05)
        .with_jitter(Duration::from_millis(200));
    for seed in 0..100 {
        let config = ProxyConfig::default().domain("example.com");
        let decide = |_: &_| Route::parallel([phone(11), phone(12)]);
        let mut scene = Scene::with(seed, link, config, 3, decide);
        let mut random = Random::new([seed, 3]);
        let call = scene.call();
        let (mut ends, mut in_call) = (0, [false; 3]);
        // What each phone does with its invitation, and when she gives up or hangs up.
        let until = scene.network.now() + Duration::from_secs(40);
        let gives_up = scene.network.now() + Duration::from_millis(u64::from(random.below(20_000)));
        let mut gave_up = false;
        loop {
            let wait = if gave_up { until } else { gives_up };
            let Some((node, event)) = scene.network.next_event(wait) else {
                if gave_up {
                    break;
                }
                gave_up = true;
                let alice = scene.phones[0];
                scene.network.with(alice, |now, node, tx| {
                    let _ = node.a().unwrap().hang_up(now, tx, call);
                });
                continue;
            };
            let at = scene.phones.iter().position(|phone| *phone == node);
            let (Some(at), Either::A(event)) = (at, event) else { continue };
            match event {
                AgentEvent::Invitation { call, .. } => {
                    let choice = random.below(3);
                    scene.network.with(node, |now, node, tx| {
                        let agent = node.a().unwrap();
                        let _ = agent.ring(now, tx, call, sip_message::StatusCode::RINGING, None);
                        match choice {
                            0 => {
                                let busy = sip_message::StatusCode::BUSY_HERE;
                                agent.reject(now, tx, call, busy, &[]).unwrap();
                            }
                            1 => {
                                let sdp = Body::sdp("v=0\r\n");
                                agent.accept(now, tx, call, Some(&sdp), &[]).unwrap();
                            }
                            _ => {}
                        }
                    });
                }
                AgentEvent::Call { update, .. } => match update {
                    CallUpdate::Answered { .. } | CallUpdate::Confirmed { .. } => {
                        in_call[at] = true
                    }
                    CallUpdate::Ended(_) => {
                        in_call[at] = false;
                        ends += usize::from(at == 0);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        assert_eq!(ends, 1, "seed {seed}");
        scene.finish();
        assert!(!in_call[0], "seed {seed}");
    }
}
