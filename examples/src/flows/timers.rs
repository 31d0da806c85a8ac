//! RFC 4028 §13: a session timer that two proxies want longer, its refresh, and its end.

use std::time::Duration;

use sip_transport::locate::Srv;
use sip_ua::SessionTimerPolicy;

use super::Flow;
use super::cast::{
    ALICE, AT_ALICE, AT_BOB, BOB, PROXY_1, PROXY_2, TO_BOB, alice, biloxi, bob, serves,
};
use super::domain::Domain;
use super::stage::{Done, Stage, config, uri};

pub(super) const FLOWS: &[Flow] = &[Flow {
    name: "session-timer",
    section: "RFC 4028 §13",
    title: "two proxies want a longer interval, Alice refreshes once and is gone, and Bob hangs up",
    differs: "Alice asks for 90 s, for the 50 s of the diagram are less than RFC 4028 §4 allows; the BYEs are repeated, and no 408 but 100s answer them: RFC 4320 §4.1 and §4.2",
    diagram: "Alice -> Proxy 1: INVITE/422/ACK Session-Expires=90
              Alice -> Proxy 1: INVITE Session-Expires=3600 Min-SE=3600
              + Proxy 1 -> Alice: 100
              Proxy 1 -> Proxy 2: INVITE/422/ACK Session-Expires=3600 Min-SE=3600
              Proxy 1 -> Alice: 422 Min-SE=4000
              Alice -> Proxy 1: ACK
              Alice -> Proxy 1: INVITE Session-Expires=4000 Min-SE=4000
              + Proxy 1 -> Alice: 100
              Proxy 1 -> Proxy 2: INVITE Session-Expires=4000
              + Proxy 2 -> Proxy 1: 100
              Proxy 2 -> Bob: INVITE Session-Expires=4000
              Bob -> Proxy 2 -> Proxy 1 -> Alice: 200 Session-Expires=4000
              Alice -> Proxy 1 -> Bob: ACK
              Alice -> Proxy 1 -> Bob: UPDATE Session-Expires=4000
              Bob -> Proxy 1 -> Alice: 200 UPDATE Session-Expires=4000
              Bob -> Proxy 1: BYE
              ~ Proxy 1 -> Alice: BYE
              ~ + Bob -> Proxy 1: BYE
              ~ + Bob -> Proxy 1: BYE
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Bob -> Proxy 1: BYE/100
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE
              ~ + Proxy 1 -> Alice: BYE",
    play: timed,
}];

fn timed(stage: &mut Stage) -> Done {
    let mut brief = SessionTimerPolicy::default();
    brief.interval = Some(90);
    let account = alice()?.outbound_proxy(uri("sip:ss1.atlanta.example.com")?);
    stage.phone_with(ALICE, AT_ALICE, account, config().session_timer(Some(brief)))?;
    let first = Domain::default().wants_sessions_of(3600);
    let host = ("ss1.atlanta.example.com", 111);
    stage.proxy(PROXY_1, host, serves("atlanta.example.com").domain(host.0), first)?;
    let second = biloxi().wants_sessions_of(4000);
    let passes = serves("biloxi.example.com").record_route(false);
    stage.proxy(PROXY_2, ("ss2.biloxi.example.com", 222), passes, second)?;
    stage.record(|zone| {
        zone.srv("_sip._udp.biloxi.example.com", Srv::new(1, 0, 5060, "ss2.biloxi.example.com"))
    });
    // He agrees to no longer interval than this.
    let mut long = SessionTimerPolicy::default();
    long.interval = Some(4000);
    stage.phone_with(BOB, AT_BOB, bob()?, config().session_timer(Some(long)))?;
    stage.meet(ALICE, TO_BOB, BOB)?;
    // Half of the interval: Alice refreshes.
    stage.pass(Duration::from_secs(2010));
    stage.unplug(ALICE, PROXY_1)?;
    stage.pass(Duration::from_secs(4010));
    stage.ended(BOB)
}
