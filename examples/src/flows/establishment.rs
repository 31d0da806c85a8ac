//! RFC 3665 §3: session establishment.

use std::time::Duration;

use sip_message::StatusCode;
use sip_transport::locate::Srv;
use sip_ua::{Body, CallKey, CallUpdate, EndReason};

use super::Flow;
use super::acts::sdp;
use super::cast::{
    ALICE, AT_ALICE, AT_BOB, BOB, PROXY_1, PROXY_2, Place, TO_BOB, alice, atlanta_gate, biloxi,
    bob, serves,
};
use super::domain::Domain;
use super::stage::{Done, Stage, proxy_realm, uri};

/// Where the proxies are: RFC 3665 §1.2.
const AT_PROXY_1: Place<'_> = ("ss1.atlanta.example.com", 111);
const AT_PROXY_2: Place<'_> = ("ss2.biloxi.example.com", 222);

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "call",
        section: "RFC 3665 §3.1",
        title: "successful session establishment, without a proxy",
        differs: "",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: BYE
                  Alice -> Bob: 200",
        play: |stage| {
            stage.alice_and_bob()?;
            let call = rings(stage, "sip:bob@client.biloxi.example.com")?.1;
            answers(stage, call)?;
            bob_hangs_up(stage, call)
        },
    },
    Flow {
        name: "two-proxies",
        section: "RFC 3665 §3.2",
        title: "session establishment through two proxies, the first of which asks who calls",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Alice: 407
                  Alice -> Proxy 1: ACK
                  Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: 180
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: 200
                  Alice -> Proxy 1 -> Proxy 2 -> Bob: ACK
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: BYE
                  Alice -> Proxy 1 -> Proxy 2 -> Bob: 200",
        play: |stage| {
            let asks = Domain::default().gate(atlanta_gate(stage)?);
            two_proxies(stage, asks, Domain::default())?;
            let call = rings(stage, TO_BOB)?.1;
            answers(stage, call)?;
            bob_hangs_up(stage, call)
        },
    },
    Flow {
        name: "two-challenges",
        section: "RFC 3665 §3.3",
        title: "both proxies ask who calls",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Alice: 407
                  Alice -> Proxy 1: ACK
                  Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Proxy 1: 407
                  Proxy 1 -> Proxy 2: ACK
                  Proxy 1 -> Alice: 407
                  Alice -> Proxy 1: ACK
                  Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: 200
                  Alice -> Proxy 1 -> Proxy 2 -> Bob: ACK",
        play: |stage| {
            let asks = Domain::default().gate(atlanta_gate(stage)?);
            let biloxi = stage.gate(proxy_realm("biloxi.example.com"), "alice")?;
            two_proxies(stage, asks, Domain::default().gate(biloxi))?;
            stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let call = stage.invited(BOB)?;
            answers(stage, call)
        },
    },
    Flow {
        name: "proxy-failure",
        section: "RFC 3665 §3.4",
        title: "the first of a domain's two proxies is out of service",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 1: INVITE
                  Alice -> Proxy 2: INVITE
                  Proxy 2 -> Alice: 407
                  Alice -> Proxy 2: ACK
                  Alice -> Proxy 2: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Alice: 100
                  Bob -> Proxy 2 -> Alice: 180
                  Bob -> Proxy 2 -> Alice: 200
                  Alice -> Proxy 2 -> Bob: ACK
                  Bob -> Proxy 2 -> Alice: BYE
                  Alice -> Proxy 2 -> Bob: 200",
        play: |stage| {
            stage.dead(PROXY_1, AT_PROXY_1);
            let asks = stage.gate(proxy_realm("biloxi.example.com"), "alice")?;
            let config = serves("biloxi.example.com").domain("proxies.atlanta.example.com");
            stage.proxy(PROXY_2, AT_PROXY_2, config, biloxi().gate(asks))?;
            stage.record(|zone| {
                let service = "_sip._udp.proxies.atlanta.example.com";
                zone.srv(service, Srv::new(1, 0, 5060, AT_PROXY_1.0))
                    .srv(service, Srv::new(2, 0, 5060, AT_PROXY_2.0))
            });
            let account = alice()?.outbound_proxy(uri("sip:proxies.atlanta.example.com")?);
            stage.phone(ALICE, AT_ALICE, account)?;
            stage.phone(BOB, AT_BOB, bob()?)?;
            let call = rings(stage, TO_BOB)?.1;
            answers(stage, call)?;
            bob_hangs_up(stage, call)
        },
    },
    Flow {
        name: "alg",
        section: "RFC 3665 §3.5",
        title: "a call through an application layer gateway, by a Route that Alice knows",
        differs: "the gateway is a proxy that stays in the path: it leaves the session descriptions as they are",
        diagram: "Alice -> ALG: INVITE Route
                  ALG -> Proxy 2: INVITE Record-Route
                  ALG -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> ALG: 100
                  Bob -> Proxy 2 -> ALG -> Alice: 180
                  Bob -> Proxy 2 -> ALG -> Alice: 200
                  Alice -> ALG -> Bob: ACK
                  Alice -> ALG -> Bob: BYE
                  Bob -> ALG -> Alice: 200",
        play: |stage| {
            const ALG: &str = "ALG";
            let account = alice()?.outbound_proxy(uri("sip:alg1.atlanta.example.com;lr")?);
            stage.phone(ALICE, AT_ALICE, account)?;
            let host = ("alg1.atlanta.example.com", 128);
            stage.proxy(ALG, host, serves(host.0), Domain::default())?;
            let passes = serves("biloxi.example.com").record_route(false);
            stage.proxy(PROXY_2, ("biloxi.example.com", 222), passes, biloxi())?;
            stage.phone(BOB, AT_BOB, bob()?)?;
            let (at_alice, at_bob) = rings(stage, TO_BOB)?;
            answers(stage, at_bob)?;
            stage.hang_up(ALICE, at_alice)?;
            stage.ended(BOB)
        },
    },
    Flow {
        name: "redirect",
        section: "RFC 3665 §3.6",
        title: "a redirect server and a proxy; the answer is in the ACK",
        differs: "",
        diagram: "Alice -> Redirect Server: INVITE
                  Redirect Server -> Alice: 302
                  Alice -> Redirect Server: ACK
                  Alice -> Proxy 3: INVITE
                  Proxy 3 -> Bob: INVITE
                  Proxy 3 -> Alice: 100
                  Bob -> Proxy 3 -> Alice: 180
                  Bob -> Proxy 3 -> Alice: 200
                  Alice -> Proxy 3 -> Bob: ACK
                  Bob -> Proxy 3 -> Alice: BYE
                  Alice -> Proxy 3 -> Bob: 200",
        play: redirected,
    },
    Flow {
        name: "reinvite",
        section: "RFC 3665 §3.7",
        title: "Bob changes the session by a re-INVITE; the proxy is no longer there",
        differs: "Bob's media moves, not his signalling address",
        diagram: "Alice -> Proxy 2: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Alice: 100
                  Bob -> Proxy 2 -> Alice: 180
                  Bob -> Proxy 2 -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: INVITE
                  Alice -> Bob: 200
                  Bob -> Alice: ACK
                  Alice -> Bob: BYE
                  Bob -> Alice: 200",
        play: reinvited,
    },
    Flow {
        name: "no-answer",
        section: "RFC 3665 §3.8",
        title: "Alice gives up before Bob answers",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: 180
                  Alice -> Proxy 1: CANCEL
                  Proxy 1 -> Alice: 200
                  Proxy 1 -> Proxy 2: CANCEL
                  Proxy 2 -> Proxy 1: 200
                  Proxy 2 -> Bob: CANCEL
                  Bob -> Proxy 2: 200
                  Bob -> Proxy 2: 487
                  Proxy 2 -> Bob: ACK
                  Proxy 2 -> Proxy 1: 487
                  Proxy 1 -> Proxy 2: ACK
                  Proxy 1 -> Alice: 487
                  Alice -> Proxy 1: ACK",
        play: |stage| {
            two_proxies(stage, Domain::default(), Domain::default())?;
            let (call, _) = rings(stage, TO_BOB)?;
            stage.hang_up(ALICE, call)?;
            stage.ended(ALICE)
        },
    },
    Flow {
        name: "busy",
        section: "RFC 3665 §3.9",
        title: "Bob is busy",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Bob -> Proxy 2: 486
                  Proxy 2 -> Bob: ACK
                  Proxy 2 -> Proxy 1: 486
                  Proxy 1 -> Proxy 2: ACK
                  Proxy 1 -> Alice: 486
                  Alice -> Proxy 1: ACK",
        play: |stage| {
            two_proxies(stage, Domain::default(), Domain::default())?;
            stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let call = stage.invited(BOB)?;
            stage.reject(BOB, call, StatusCode::BUSY_HERE)?;
            stage.ended(ALICE)
        },
    },
    Flow {
        name: "no-response",
        section: "RFC 3665 §3.10",
        title: "Bob's phone is unplugged",
        differs: "the proxy answers 408, which RFC 3261 §16.7 asks for, where the diagram has 480",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 408
                  Proxy 1 -> Proxy 2: ACK
                  Proxy 1 -> Alice: 408
                  Alice -> Proxy 1: ACK",
        play: |stage| {
            proxies(stage, Domain::default(), Domain::default())?;
            stage.dead(BOB, AT_BOB);
            stage.call(ALICE, TO_BOB, Some(sdp()))?;
            stage.ended(ALICE)
        },
    },
    Flow {
        name: "unavailable",
        section: "RFC 3665 §3.11",
        title: "Bob's phone rings, and Bob does not come to it",
        differs: "",
        diagram: "Alice -> Proxy 1: INVITE
                  Proxy 1 -> Proxy 2: INVITE
                  Proxy 1 -> Alice: 100
                  Proxy 2 -> Bob: INVITE
                  Proxy 2 -> Proxy 1: 100
                  Bob -> Proxy 2 -> Proxy 1 -> Alice: 180
                  Bob -> Proxy 2: 480
                  Proxy 2 -> Bob: ACK
                  Proxy 2 -> Proxy 1: 480
                  Proxy 1 -> Proxy 2: ACK
                  Proxy 1 -> Alice: 480
                  Alice -> Proxy 1: ACK",
        play: |stage| {
            two_proxies(stage, Domain::default(), Domain::default())?;
            let (_, call) = rings(stage, TO_BOB)?;
            stage.reject(BOB, call, StatusCode::TEMPORARILY_UNAVAILABLE)?;
            stage.ended(ALICE)
        },
    },
];

/// Alice with her proxy, and the proxy of Bob's domain.
fn proxies(stage: &mut Stage, atlanta: Domain, biloxi: Domain) -> Done {
    let account = alice()?.outbound_proxy(uri("sip:ss1.atlanta.example.com")?);
    stage.phone(ALICE, AT_ALICE, account)?;
    let config = serves("atlanta.example.com").domain(AT_PROXY_1.0);
    stage.proxy(PROXY_1, AT_PROXY_1, config, atlanta)?;
    let biloxi = biloxi.user("bob", "sip:bob@client.biloxi.example.com");
    stage.proxy(PROXY_2, AT_PROXY_2, serves("biloxi.example.com"), biloxi)?;
    stage.record(|zone| {
        let service = "_sip._udp.biloxi.example.com";
        zone.srv(service, Srv::new(1, 0, 5060, AT_PROXY_2.0))
    });
    Ok(())
}

fn two_proxies(stage: &mut Stage, atlanta: Domain, biloxi: Domain) -> Done {
    proxies(stage, atlanta, biloxi)?;
    stage.phone(BOB, AT_BOB, bob()?)
}

/// Alice calls, and Bob's phone rings: the call at either end.
fn rings(stage: &mut Stage, to: &str) -> Done<(CallKey, CallKey)> {
    let at_alice = stage.call(ALICE, to, Some(sdp()))?;
    let at_bob = stage.invited(BOB)?;
    stage.ring(BOB, at_bob)?;
    stage.ringing(ALICE)?;
    Ok((at_alice, at_bob))
}

/// Bob answers.
fn answers(stage: &mut Stage, at_bob: CallKey) -> Done {
    stage.accept(BOB, at_bob)?;
    stage.answered(ALICE)?;
    stage.confirmed(BOB)
}

fn bob_hangs_up(stage: &mut Stage, at_bob: CallKey) -> Done {
    stage.hang_up(BOB, at_bob)?;
    stage.ended(ALICE)
}

fn redirected(stage: &mut Stage) -> Done {
    const REDIRECT: &str = "Redirect Server";
    const PROXY_3: &str = "Proxy 3";
    let moved = Domain::default().redirects().user("bob", "sip:bob@chicago.example.com");
    let chicago = Domain::default().user("bob", "sip:bob@client.chicago.example.com");
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    let host = ("biloxi.example.com", 222);
    stage.proxy(REDIRECT, host, serves("biloxi.example.com"), moved)?;
    let host = ("chicago.example.com", 233);
    stage.proxy(PROXY_3, host, serves("chicago.example.com"), chicago)?;
    stage.phone(BOB, ("client.chicago.example.com", 201), bob()?)?;
    stage.call(ALICE, TO_BOB, None)?;
    let contacts = stage.updated(ALICE, "the redirection", |update| match update {
        CallUpdate::Ended(EndReason::Redirected(contacts)) => Some(contacts),
        _ => None,
    })?;
    let next = contacts.first().ok_or("no contact")?.to_string();
    let at_alice = stage.call(ALICE, &next, None)?;
    let at_bob = stage.invited(BOB)?;
    stage.ring(BOB, at_bob)?;
    stage.ringing(ALICE)?;
    stage.accept(BOB, at_bob)?;
    stage.answered(ALICE)?;
    let answer = sdp();
    stage
        .with(ALICE, |now, agent, tx| agent.acknowledge(now, tx, at_alice, Some(&answer)))?
        .map_err(|error| error.to_string())?;
    stage.confirmed(BOB)?;
    bob_hangs_up(stage, at_bob)
}

fn reinvited(stage: &mut Stage) -> Done {
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    let passes = serves("biloxi.example.com").record_route(false);
    stage.proxy(PROXY_2, ("biloxi.example.com", 222), passes, biloxi())?;
    stage.phone(BOB, AT_BOB, bob()?)?;
    let (at_alice, at_bob) = rings(stage, TO_BOB)?;
    answers(stage, at_bob)?;
    let text = String::from_utf8_lossy(&sdp().bytes).replace("192.0.2.1", "192.0.2.202");
    let offer = Body::sdp(text.replace("- 1 1", "- 1 2"));
    stage
        .with(BOB, |now, agent, tx| agent.reinvite(now, tx, at_bob, Some(&offer)))?
        .map_err(|error| error.to_string())?;
    stage.agrees((ALICE, at_alice), Some(&sdp()))?;
    stage.modified(BOB)?;
    stage.pass(Duration::from_millis(100));
    stage.hang_up(ALICE, at_alice)?;
    stage.ended(BOB)
}
