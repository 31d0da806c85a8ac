//! What crosses a bridge, step by step.

use sip_message::{Message, Method, Reason, StatusCode};
use sip_ua::{
    AgentConfig, AgentEvent, Body, BridgeIdentity, BridgeMedia, BridgeOptions, BridgeRefer, Leg,
    OutgoingCall, Reliability, SessionIds,
};

use crate::harness::*;

fn head(message: &Message, name: &str) -> Option<String> {
    let headers = match message {
        Message::Request(request) => request.headers(),
        Message::Response(response) => response.headers(),
    };
    let name = sip_message::HeaderName::from_bytes(name.as_bytes()).unwrap();
    headers.raw(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_call_rings_is_answered_and_ends() {
    let mut scene = Scene::new();
    let call = to("bob").body(sdp("alice")).header("Subject", "tea").header("X-Other", "1");
    scene.call(ALICE, call.header("Priority", "urgent"));
    scene.run(ms(500));
    // RFC 7332 §5: "All B2BUA types MUST copy the received Max-Forwards header field from
    // the received SIP request on their UAS side, to any request(s) they
    // generate on their UAC side, and decrement the value, as if they were
    // a proxy following the requirements described in [RFC3261]."
    let invite = scene.last(BOB, "INVITE");
    assert_eq!(head(&invite, "Max-Forwards").as_deref(), Some("69"));
    // RFC 7332 §6: "All B2BUA types MUST copy the received Max-Breadth header field from
    // the received SIP request on their UAS side, to any request(s) they
    // generate on their UAC side, as if they were a proxy following the
    // requirements described in [RFC5393]."
    assert_eq!(head(&invite, "Max-Breadth").as_deref(), Some("60"));
    assert_eq!(head(&invite, "Subject").as_deref(), Some("tea"));
    assert_eq!(head(&invite, "Priority").as_deref(), Some("urgent"));
    assert_eq!(head(&invite, "X-Other"), None);
    assert!(head(&invite, "From").unwrap().starts_with("\"Alice\" <sip:alice@example.com>;tag="));
    assert_ne!(head(&invite, "Call-ID"), head(&scene.last(PBX, "INVITE"), "Call-ID"));
    scene.tell(BOB, |agent, now, tx, call| {
        agent.ring(now, tx, call, StatusCode::RINGING, None).unwrap();
    });
    scene.run(ms(500));
    scene.tell(BOB, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
    });
    scene.run(ms(500));
    scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.run(ms(500));
    assert_eq!(
        scene.sent(),
        [
            "alice>pbx INVITE",
            "pbx>bob INVITE",
            "bob>pbx 180 INVITE",
            "pbx>alice 180 INVITE",
            "bob>pbx 200 INVITE",
            "pbx>bob ACK",
            "pbx>alice 200 INVITE",
            "alice>pbx ACK",
            "bob>pbx BYE",
            "pbx>bob 200 BYE",
            "pbx>alice BYE",
            "alice>pbx 200 BYE",
        ]
    );
    assert_eq!(scene.told(ALICE), ["ringing", "answered bob", "ended: the peer hung up"]);
    scene.over();
}

#[test]
fn early_media_crosses_reliably_and_is_changed_by_update() {
    let mut scene = Scene::new();
    scene.call(ALICE, to("bob").body(sdp("alice")).reliable(Reliability::Required));
    scene.run(ms(500));
    scene.tell(BOB, |agent, now, tx, call| {
        let media = Some(&sdp("tone"));
        agent.ring(now, tx, call, StatusCode::SESSION_PROGRESS, media).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(ALICE), ["183 tone"]);
    assert_eq!(scene.told(BOB), ["invitation alice", "prack"]);
    let sent = scene.sent();
    for line in ["pbx>bob PRACK", "alice>pbx PRACK", "pbx>alice 200 PRACK"] {
        assert!(sent.iter().any(|sent| sent == line), "{line}: {sent:?}");
    }
    for (from, to) in [(ALICE, BOB), (BOB, ALICE)] {
        scene.tell(from, |agent, now, tx, call| {
            agent.update_session(now, tx, call, None, Some(&sdp("other"))).unwrap();
        });
        scene.run(ms(300));
        assert_eq!(scene.told(to), ["UPDATE other"]);
        scene.tell(to, |agent, now, tx, call| {
            let (ok, body) = (StatusCode::OK, sdp("yes"));
            agent.answer_modification(now, tx, call, ok, Some(&body)).unwrap();
        });
        scene.run(ms(300));
        assert_eq!(scene.told(from), ["modified yes"]);
    }
    scene.tell(BOB, |agent, now, tx, call| agent.accept(now, tx, call, None, &[])).unwrap();
    scene.run(ms(500));
    assert_eq!(scene.told(ALICE), ["answered"]);
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn a_call_without_an_offer_is_answered_by_one() {
    for reliably in [false, true] {
        let mut scene = Scene::new();
        scene.call(ALICE, to("bob"));
        scene.run(ms(500));
        scene.tell(BOB, |agent, now, tx, call| {
            if reliably {
                let media = Some(&sdp("bob"));
                agent.ring(now, tx, call, StatusCode::SESSION_PROGRESS, media).unwrap();
            } else {
                agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
            }
        });
        scene.run(ms(500));
        let offered = if reliably { "183 bob" } else { "answered bob" };
        assert_eq!(scene.told(ALICE), [offered]);
        scene.tell(ALICE, |agent, now, tx, call| {
            let answer = sdp("alice");
            match reliably {
                true => agent.answer_early(now, tx, call, None, Some(&answer)).unwrap(),
                false => agent.acknowledge(now, tx, call, Some(&answer)).unwrap(),
            }
        });
        scene.run(ms(500));
        let answered = if reliably { "prack alice" } else { "ack alice" };
        assert_eq!(scene.told(BOB), ["invitation", answered]);
        scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
        scene.over();
    }
}

/// What Bob says, and what Alice hears.
#[test]
fn refusals_cross_by_what_they_mean_to_the_caller() {
    for (said, heard) in [(486, 486), (603, 603), (404, 404), (503, 500), (401, 403), (487, 480)] {
        let mut scene = Scene::new();
        scene.call(ALICE, to("bob").body(sdp("alice")));
        scene.run(ms(500));
        let status = StatusCode::new(said).unwrap();
        let headers =
            [("Reason", "Q.850;cause=17"), ("Warning", "399 bob \"no\""), ("X-Other", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        scene
            .tell(BOB, |agent, now, tx, call| agent.reject(now, tx, call, status, &headers))
            .unwrap();
        scene.run(ms(500));
        let refusal = scene.last(ALICE, &format!("SIP/2.0 {heard}"));
        assert_eq!(head(&refusal, "Reason").as_deref(), Some("Q.850;cause=17"), "{said}");
        assert_eq!(head(&refusal, "Warning").as_deref(), Some("399 bob \"no\""));
        assert_eq!(head(&refusal, "X-Other"), None);
        scene.over();
    }
}

#[test]
fn a_redirection_is_told_or_followed() {
    for followed in [false, true] {
        let mut scene = Scene::new().options(BridgeOptions::default().redirects(followed.into()));
        scene.call(ALICE, to("bob").body(sdp("alice")));
        scene.run(ms(500));
        let contact = [("Contact".to_owned(), format!("<sip:carol@{}>", host(CAROL)))];
        scene
            .tell(BOB, |agent, now, tx, call| {
                agent.reject(now, tx, call, StatusCode::MOVED_TEMPORARILY, &contact)
            })
            .unwrap();
        scene.run(ms(500));
        if followed {
            assert_eq!(scene.told(CAROL), ["invitation alice"]);
            scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
        } else {
            assert_eq!(scene.told(ALICE), ["ended: redirected"]);
            let refusal = scene.last(ALICE, "SIP/2.0 302");
            assert_eq!(head(&refusal, "Contact"), Some(contact[0].1.clone()));
        }
        scene.over();
    }
}

// RFC 7332 §5: "Being a UAS, B2BUAs MUST also check the received Max-Forwards header
// field and reject or respond to the request if the value is zero, as
// defined in [RFC3261]."
#[test]
fn who_has_no_hops_left_goes_no_further() {
    for (name, value, status) in [("Max-Forwards", "0", 483), ("Max-Breadth", "0", 440)] {
        let mut scene = Scene::new();
        scene.call(ALICE, to("bob").body(sdp("alice")).header(name, value));
        scene.run(ms(500));
        let sent = scene.sent();
        assert_eq!(
            sent[..2],
            ["alice>pbx INVITE".to_owned(), format!("pbx>alice {status} INVITE")]
        );
        assert!(scene.told(BOB).is_empty());
        scene.over();
    }
}

#[test]
fn changes_cross_and_so_do_their_refusals() {
    let mut scene = Scene::new();
    scene.established();
    // What was agreed on before is answered by each leg itself.
    let mut fresh = 0;
    for (from, to) in [(ALICE, BOB), (BOB, ALICE)] {
        for (update, status) in [(false, 200), (false, 488), (true, 200), (true, 488)] {
            fresh += 1;
            let name = format!("hold {fresh}");
            scene.tell(from, |agent, now, tx, call| {
                let offer = sdp(&name);
                match update {
                    true => agent.update_session(now, tx, call, None, Some(&offer)).unwrap(),
                    false => agent.reinvite(now, tx, call, Some(&offer)).unwrap(),
                }
            });
            scene.run(ms(300));
            let method = if update { "UPDATE" } else { "INVITE" };
            assert_eq!(scene.told(to), [format!("{method} {name}")]);
            scene.tell(to, |agent, now, tx, call| {
                let status = StatusCode::new(status).unwrap();
                let body = status.is_success().then(|| sdp("held"));
                agent.answer_modification(now, tx, call, status, body.as_ref()).unwrap();
            });
            scene.run(secs(1));
            let told = if status == 200 { "modified held" } else { "refused with 488" };
            assert_eq!(scene.told(from), [told]);
        }
    }
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn a_re_invite_that_asks_for_an_offer_gets_that_of_the_other_end() {
    let mut scene = Scene::new();
    scene.established();
    scene.tell(ALICE, |agent, now, tx, call| agent.reinvite(now, tx, call, None)).unwrap();
    scene.run(ms(300));
    assert_eq!(scene.told(BOB), ["INVITE"]);
    scene.tell(BOB, |agent, now, tx, call| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp("new"))).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(ALICE), ["modified new"]);
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.acknowledge(now, tx, call, Some(&sdp("answer"))).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(BOB), ["ack answer"]);
    scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn texts_and_digits_cross_with_their_answers() {
    let mut scene = Scene::new();
    scene.established();
    for (method, status) in [(Method::Info, 200), (Method::Message, 200), (Method::Info, 486)] {
        scene.tell(ALICE, |agent, now, tx, call| {
            let body = Some(Body::text("1"));
            agent.send(now, tx, call, method.clone(), body.as_ref(), &[]).unwrap();
        });
        scene.run(ms(300));
        let (_, AgentEvent::Request { key, request, .. }) = scene.events.pop().unwrap() else {
            panic!("no request")
        };
        assert_eq!((request.method(), request.body()), (&method, &b"1"[..]));
        let status = StatusCode::new(status).unwrap();
        scene.tell(BOB, |agent, now, tx, _| agent.reply(now, tx, key, status, None, &[])).unwrap();
        scene.run(ms(300));
        assert_eq!(scene.told(ALICE), [format!("response {}", status.as_u16())]);
    }
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn why_somebody_hangs_up_crosses() {
    let mut scene = Scene::new();
    scene.established();
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.hang_up_for(now, tx, call, &[Reason::q850(16), Reason::sip(StatusCode::OK)]).unwrap();
    });
    scene.run(ms(500));
    let bye = scene.last(BOB, "BYE");
    assert_eq!(head(&bye, "Reason").as_deref(), Some("Q.850;cause=16, SIP;cause=200"));
    scene.over();
}

#[test]
fn a_refer_is_relayed_with_its_reports_or_refused() {
    for relayed in [true, false] {
        let refer = if relayed { BridgeRefer::Relay } else { BridgeRefer::Refuse };
        let mut scene = Scene::new().options(BridgeOptions::default().refer(refer));
        scene.established();
        let target = format!("sip:carol@{}", host(CAROL)).parse().unwrap();
        scene.tell(ALICE, |agent, now, tx, call| agent.refer(now, tx, call, &target, &[])).unwrap();
        scene.run(ms(300));
        if relayed {
            let place = scene.events.iter().position(|(end, _)| *end == BOB).unwrap();
            let (_, AgentEvent::Referred { refer, request, .. }) = scene.events.remove(place)
            else {
                panic!("not referred")
            };
            assert_eq!(
                head(&Message::Request((*request).clone()), "Refer-To"),
                Some(format!("<{target}>"))
            );
            scene.tell(BOB, |agent, now, tx, _| {
                agent.report(now, tx, refer, StatusCode::RINGING).unwrap();
                agent.report(now, tx, refer, StatusCode::OK).unwrap();
            });
            scene.run(secs(2));
            let told = scene.told(ALICE);
            assert_eq!(told.last().unwrap(), "Ended(Reported(StatusCode(200)))", "{told:?}");
        } else {
            assert_eq!(scene.told(ALICE), ["Ended(Refused(StatusCode(403)))"]);
        }
        scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
        scene.over();
    }
}

/// Alice has a call with Bob and one with Carol, both by way of the bridge, and brings the two together: what she knows of
/// her call with Carol means nothing to Bob, but the call behind it does to Carol.
#[test]
fn an_attended_transfer_names_the_call_behind_the_bridge() {
    let mut scene = Scene::new();
    scene.established();
    let to_bob = scene.calls[ALICE].unwrap();
    let to_carol = scene.call(ALICE, to("carol").body(sdp("alice")));
    scene.run(ms(500));
    scene.tell(CAROL, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("carol")), &[]).unwrap();
    });
    scene.run(ms(500));
    scene.tell(ALICE, |agent, now, tx, _| {
        let target = agent.place_in(to_carol).unwrap();
        agent.refer(now, tx, to_bob, &target, &[]).unwrap();
    });
    scene.run(ms(300));
    let place = scene.events.iter().position(|(_, it)| matches!(it, AgentEvent::Referred { .. }));
    let (BOB, AgentEvent::Referred { refer, .. }) = scene.events.remove(place.unwrap()) else {
        panic!("not referred")
    };
    let account = scene.world.account.clone();
    let body = Some(sdp("bob to carol"));
    scene.events.clear();
    scene
        .world
        .tell(BOB, |agent, now, tx| agent.follow(now, tx, refer, Some(&account), body, &[]))
        .unwrap();
    scene.run(ms(500));
    assert_eq!(scene.told(CAROL), ["invitation bob to carol"]);
    scene.tell(CAROL, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("carol")), &[]).unwrap();
    });
    scene.run(secs(1));
    assert!(scene.told(CAROL).contains(&"ended: replaced by another call".to_owned()));
    let told = scene.told(ALICE);
    assert!(told.contains(&"ended: the peer hung up".to_owned()), "{told:?}");
    scene.world.tell(ALICE, |agent, now, tx| agent.hang_up(now, tx, to_bob)).unwrap();
    scene.tell(CAROL, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

/// Alice sends Bob to Carol; Carol takes it, refuses, or is called though Alice has gone at once.
#[test]
fn a_refer_is_followed_here() {
    for (takes, leaves) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut scene = Scene::new().options(BridgeOptions::default().refer(BridgeRefer::Follow));
        scene.established();
        let target = format!("sip:carol@{}", host(CAROL)).parse().unwrap();
        scene.tell(ALICE, |agent, now, tx, call| agent.refer(now, tx, call, &target, &[])).unwrap();
        scene.run(ms(500));
        if leaves {
            scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
            scene.run(ms(500));
        }
        assert_eq!(scene.told(CAROL), ["invitation"]);
        scene.tell(CAROL, |agent, now, tx, call| {
            agent.ring(now, tx, call, StatusCode::RINGING, None).unwrap();
            match takes {
                true => agent.accept(now, tx, call, Some(&sdp("carol")), &[]).unwrap(),
                false => agent.reject(now, tx, call, StatusCode::BUSY_HERE, &[]).unwrap(),
            }
        });
        scene.run(ms(500));
        if takes {
            assert_eq!(scene.told(BOB), ["INVITE carol"], "leaves {leaves}");
            scene.tell(BOB, |agent, now, tx, call| {
                let ok = StatusCode::OK;
                agent.answer_modification(now, tx, call, ok, Some(&sdp("bob"))).unwrap();
            });
            scene.run(secs(1));
            assert_eq!(scene.told(CAROL), ["ack bob"]);
            if !leaves {
                let told = scene.told(ALICE);
                for line in ["Ended(Reported(StatusCode(200)))", "ended: the peer hung up"] {
                    assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
                }
            }
            scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
            scene.run(secs(1));
            assert_eq!(scene.told(CAROL), ["ended: the peer hung up"]);
        } else if leaves {
            // Nobody is left for Bob to talk to.
            assert_eq!(scene.told(BOB), ["because SIP;cause=486", "ended: the peer hung up"]);
        } else {
            let told = scene.told(ALICE);
            assert_eq!(told.last().unwrap(), "Ended(Reported(StatusCode(486)))", "{told:?}");
            scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
            scene.run(secs(1));
            assert_eq!(scene.told(BOB), ["ended: the peer hung up"]);
        }
        scene.over();
    }
}

/// Bob hangs up while Carol rings: she is not wanted any more.
#[test]
fn a_referee_who_hangs_up_ends_the_third_as_well() {
    let mut scene = Scene::new().options(BridgeOptions::default().refer(BridgeRefer::Follow));
    scene.established();
    let target = format!("sip:carol@{}", host(CAROL)).parse().unwrap();
    scene.tell(ALICE, |agent, now, tx, call| agent.refer(now, tx, call, &target, &[])).unwrap();
    scene.run(ms(500));
    scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.run(secs(1));
    assert_eq!(scene.told(CAROL), ["invitation", "ended: cancelled by the caller"]);
    assert!(scene.told(ALICE).contains(&"ended: the peer hung up".to_owned()));
    scene.over();
}

/// Alice brings Bob and Carol together, with both of whom she talks by way of a bridge: nobody is called.
#[test]
fn an_attended_transfer_makes_one_bridge_of_two() {
    let mut scene = Scene::new().options(BridgeOptions::default().refer(BridgeRefer::Follow));
    scene.established();
    let to_bob = scene.calls[ALICE].unwrap();
    let to_carol = scene.call(ALICE, to("carol").body(sdp("alice")));
    scene.run(ms(500));
    scene.tell(CAROL, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("carol")), &[]).unwrap();
    });
    scene.run(ms(500));
    scene.events.clear();
    scene.tell(ALICE, |agent, now, tx, _| {
        let target = agent.place_in(to_carol).unwrap();
        agent.refer(now, tx, to_bob, &target, &[]).unwrap();
    });
    scene.run(ms(500));
    let told = scene.told(ALICE);
    assert!(told.contains(&"Ended(Reported(StatusCode(200)))".to_owned()), "{told:?}");
    assert_eq!(
        told.iter().filter(|told| *told == "ended: the peer hung up").count(),
        2,
        "{told:?}"
    );
    // One of them is asked for an offer, which the other gets.
    assert_eq!((scene.told(CAROL), scene.told(BOB)), (vec!["INVITE".to_owned()], vec![]));
    let ok = StatusCode::OK;
    scene.tell(CAROL, |agent, now, tx, call| {
        agent.answer_modification(now, tx, call, ok, Some(&sdp("carol 2"))).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(BOB), ["INVITE carol 2"]);
    scene.tell(BOB, |agent, now, tx, call| {
        agent.answer_modification(now, tx, call, ok, Some(&sdp("bob 2"))).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(CAROL), ["ack bob 2"]);
    scene.tell(CAROL, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.run(secs(1));
    assert_eq!(scene.told(BOB), ["ended: the peer hung up"]);
    scene.over();
}

fn dialled(end: usize) -> OutgoingCall {
    OutgoingCall::to(format!("sip:{}@{}", NAMES[end], host(end)).parse().unwrap())
}

fn dial(first: OutgoingCall) -> Scene {
    let mut scene = Scene::new();
    let (account, options) = (scene.world.account.clone(), scene.world.options.clone());
    scene
        .world
        .bridge(|bridges, agent, now, tx| {
            bridges.dial(now, agent, tx, first, dialled(BOB), &account, &options)
        })
        .unwrap();
    scene.run(ms(500));
    scene
}

// RFC 3725 §5: "Flow I (Figure 1) represents the simplest and the most efficient
// flow."
#[test]
fn click_to_dial_by_flow_one() {
    let mut scene = dial(dialled(ALICE));
    assert_eq!(scene.told(ALICE), ["invitation"]);
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("alice")), &[]).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(BOB), ["invitation alice"]);
    scene.tell(BOB, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(ALICE), ["ack bob"]);
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

// RFC 3725 §5: "For calls to unknown entities, or to entities known to represent
// people, it is RECOMMENDED that Flow IV (Figure 4) be used for third
// party call control."
#[test]
fn click_to_dial_by_flow_four() {
    let mut scene = dial(dialled(ALICE).body(Body::no_media()));
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&Body::no_media()), &[]).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(ALICE), ["invitation -", "ack"]);
    assert_eq!(scene.told(BOB), ["invitation"]);
    scene.tell(BOB, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
    });
    scene.run(ms(300));
    assert_eq!(scene.told(ALICE), ["INVITE bob"]);
    // RFC 3725 §4.4: "the
    // origin lines, so that the origin line in offer2' is valid based on
    // the value in offer1 (validity requires that the version increments by
    // one, and that the other parameters remain unchanged)."
    let Message::Request(offer) = scene.last(ALICE, "INVITE") else { panic!("a response") };
    let offer = String::from_utf8_lossy(offer.body()).into_owned();
    assert!(offer.contains("\r\no=- 1 2 IN IP4 0.0.0.0\r\n"), "{offer}");
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.answer_modification(now, tx, call, StatusCode::OK, Some(&sdp("alice"))).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(BOB), ["ack alice"]);
    scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

#[test]
fn who_is_dialled_second_and_refuses_ends_the_first() {
    let mut scene = dial(dialled(ALICE).body(Body::no_media()));
    scene.tell(ALICE, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&Body::no_media()), &[]).unwrap();
    });
    scene.run(ms(300));
    let busy = StatusCode::BUSY_HERE;
    scene.tell(BOB, |agent, now, tx, call| agent.reject(now, tx, call, busy, &[])).unwrap();
    scene.run(ms(500));
    assert_eq!(head(&scene.last(ALICE, "BYE"), "Reason").as_deref(), Some("SIP;cause=486"));
    scene.over();
}

#[test]
fn the_account_hides_the_caller_where_that_is_wanted() {
    let mut scene =
        Scene::new().options(BridgeOptions::default().identity(BridgeIdentity::Account));
    scene.call(ALICE, to("bob").body(sdp("alice")));
    scene.run(ms(500));
    let from = head(&scene.last(BOB, "INVITE"), "From").unwrap();
    assert!(from.starts_with("<sip:pbx@192.0.2.2>"), "{from}");
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

// RFC 3325 §7: "If this token is present, proxies MUST remove all the P-Asserted-
// Identity header fields before forwarding messages to elements that
// are not trusted."
#[test]
fn identities_cross_from_whom_is_trusted_unless_they_are_private() {
    for (trusted, private, crosses) in
        [(false, false, false), (true, false, true), (true, true, false)]
    {
        let mut scene = Scene::with(|_| match trusted {
            true => AgentConfig::default().trust(Some(|_| true)),
            false => AgentConfig::default(),
        });
        let mut call = to("bob").header("P-Asserted-Identity", "<sip:alice@example.com>");
        if private {
            call = call.header("Privacy", "id");
        }
        scene.call(ALICE, call);
        scene.run(ms(500));
        let asserted = head(&scene.last(BOB, "INVITE"), "P-Asserted-Identity");
        assert_eq!(asserted.is_some(), crosses, "trusted {trusted}, private {private}");
        scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
        scene.over();
    }
}

/// Both ends see one session, though it has two dialogs.
#[test]
fn each_leg_speaks_for_the_other_end_of_the_session() {
    let mut scene = Scene::with(|end| match end {
        PBX => AgentConfig::default(),
        _ => AgentConfig::default().session_ids(SessionIds::Always),
    });
    scene.established();
    let session = |scene: &mut Scene, end: usize| {
        scene.tell(end, |agent, _, _, call| agent.session_id(call)).unwrap()
    };
    let (alice, bob) = (session(&mut scene, ALICE), session(&mut scene, BOB));
    assert_eq!((Some(alice.local()), alice.remote()), (bob.remote(), Some(bob.local())));
    scene.tell(ALICE, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}

/// Puts its name into every description; takes none of Bob's holds.
struct Relay;

impl BridgeMedia for Relay {
    fn cross(&mut self, from: Leg, description: Body) -> Result<Body, StatusCode> {
        let name = name_of(&description.bytes);
        match (from, &*name) {
            (Leg::B, "hold") => Err(StatusCode::NOT_ACCEPTABLE_HERE),
            _ => Ok(sdp(&format!("{name} relayed"))),
        }
    }
}

#[test]
fn a_media_relay_sees_every_description() {
    let mut scene = Scene::new().options(BridgeOptions::default().media(|| Box::new(Relay)));
    scene.call(ALICE, to("bob").body(sdp("alice")));
    scene.run(ms(500));
    assert_eq!(scene.told(BOB), ["invitation alice relayed"]);
    scene.tell(BOB, |agent, now, tx, call| {
        agent.accept(now, tx, call, Some(&sdp("bob")), &[]).unwrap();
    });
    scene.run(ms(500));
    assert_eq!(scene.told(ALICE), ["answered bob relayed"]);
    scene.events.clear();
    scene
        .tell(BOB, |agent, now, tx, call| agent.reinvite(now, tx, call, Some(&sdp("hold"))))
        .unwrap();
    scene.run(secs(1));
    assert_eq!(scene.told(BOB), ["refused with 488"]);
    assert!(scene.told(ALICE).is_empty());
    scene.tell(BOB, |agent, now, tx, call| agent.hang_up(now, tx, call)).unwrap();
    scene.over();
}
