//! RFC 5359: services. The RFC has them over TLS; here it is UDP, in the same messages.

use std::time::Duration;

use sip_message::StatusCode;

use super::Flow;
use super::acts::sdp;
use super::cast::{
    ALICE, AT_ALICE, AT_CAROL, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, PROXY, TO_BOB, alice, biloxi,
    bob, carol, serves, someone,
};
use super::domain::Domain;
use super::stage::{Done, Stage, proxy_realm, uri};

/// RFC 5359 §2.7: "a proxy cannot generate non-100 provisional
/// responses."
const NO_181: &str = "no 181, which a proxy cannot send";

/// Why a proxy says 199 where the RFC's diagram has nothing.
const TELLS_199: &str =
    "Alice's phone wants to know that an early dialog is over (RFC 6228), and the proxy tells it";

/// How long a phone rings before its owner is looked for elsewhere.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "hold",
        section: "RFC 5359 §2.1",
        title: "Bob puts Alice on hold, and takes her back",
        differs: "",
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> Bob: INVITE
                  Proxy -> Alice: 100
                  Bob -> Proxy -> Alice: 180
                  Bob -> Proxy -> Alice: 200
                  Alice -> Proxy -> Bob: ACK
                  Bob -> Proxy: INVITE
                  Proxy -> Bob: 100
                  Proxy -> Alice: INVITE
                  Alice -> Proxy -> Bob: 200
                  Bob -> Proxy -> Alice: ACK
                  Bob -> Proxy: INVITE
                  Proxy -> Bob: 100
                  Proxy -> Alice: INVITE
                  Alice -> Proxy -> Bob: 200
                  Bob -> Proxy -> Alice: ACK
                  Alice -> Proxy -> Bob: BYE
                  Bob -> Proxy -> Alice: 200",
        play: |stage| {
            alice_and_bob(stage)?;
            let (at_alice, at_bob) = stage.talk(ALICE, TO_BOB, BOB)?;
            stage.hold((BOB, at_bob), (ALICE, at_alice))?;
            stage.unhold((BOB, at_bob), (ALICE, at_alice))?;
            stage.hang_up(ALICE, at_alice)?;
            stage.ended(BOB)
        },
    },
    Flow {
        name: "consultation-hold",
        section: "RFC 5359 §2.2",
        title: "Bob puts Alice on hold to ask Carol something",
        differs: "",
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> Bob: INVITE
                  Proxy -> Alice: 100
                  Bob -> Proxy -> Alice: 180
                  Bob -> Proxy -> Alice: 200
                  Alice -> Proxy -> Bob: ACK
                  Bob -> Proxy: INVITE
                  Proxy -> Bob: 100
                  Proxy -> Alice: INVITE
                  Alice -> Proxy -> Bob: 200
                  Bob -> Proxy -> Alice: ACK
                  Bob -> Proxy: INVITE
                  Proxy -> Carol: INVITE
                  Proxy -> Bob: 100
                  Carol -> Proxy -> Bob: 180
                  Carol -> Proxy -> Bob: 200
                  Bob -> Proxy -> Carol: ACK
                  Bob -> Proxy -> Carol: BYE
                  Carol -> Proxy -> Bob: 200
                  Bob -> Proxy: INVITE
                  Proxy -> Bob: 100
                  Proxy -> Alice: INVITE
                  Alice -> Proxy -> Bob: 200
                  Bob -> Proxy -> Alice: ACK
                  Alice -> Proxy -> Bob: BYE
                  Bob -> Proxy -> Alice: 200",
        play: |stage| {
            alice_and_bob(stage)?;
            stage.phone(CAROL, AT_CAROL, carol()?)?;
            let (at_alice, at_bob) = stage.talk(ALICE, TO_BOB, BOB)?;
            stage.hold((BOB, at_bob), (ALICE, at_alice))?;
            let question = stage.talk(BOB, "sip:carol@biloxi.example.com", CAROL)?.0;
            stage.bye((BOB, question), CAROL)?;
            stage.unhold((BOB, at_bob), (ALICE, at_alice))?;
            stage.hang_up(ALICE, at_alice)?;
            stage.settle();
            Ok(())
        },
    },
    Flow {
        name: "forwarding-unconditional",
        section: "RFC 5359 §2.7",
        title: "all calls for Bob go to a gateway",
        differs: NO_181,
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> Alice: 100
                  Proxy -> Gateway: INVITE
                  Gateway -> Proxy -> Alice: 180
                  Gateway -> Proxy -> Alice: 200
                  Alice -> Proxy -> Gateway: ACK
                  Alice -> Proxy -> Gateway: BYE
                  Gateway -> Proxy -> Alice: 200",
        play: |stage| {
            const GATEWAY: &str = "Gateway";
            let number = "sip:+1-972-555-0198@gw.biloxi.example.com";
            proxy(stage, Domain::default().user("bob", number))?;
            stage.phone(ALICE, AT_ALICE, alice()?)?;
            let host = ("gw.biloxi.example.com", 230);
            stage.phone(GATEWAY, host, someone("sip:gw.biloxi.example.com")?)?;
            let call = stage.talk(ALICE, TO_BOB, GATEWAY)?.0;
            stage.hang_up(ALICE, call)?;
            stage.ended(GATEWAY)
        },
    },
    Flow {
        name: "forwarding-busy",
        section: "RFC 5359 §2.8",
        title: "Bob's first phone is busy, and his second rings",
        differs: NO_181,
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> B1: INVITE
                  Proxy -> Alice: 100
                  B1 -> Proxy: 486
                  Proxy -> B1: ACK
                  Proxy -> B2: INVITE
                  B2 -> Proxy -> Alice: 180
                  B2 -> Proxy -> Alice: 200
                  Alice -> Proxy -> B2: ACK
                  Alice -> Proxy -> B2: BYE
                  B2 -> Proxy -> Alice: 200",
        play: |stage| {
            phones(stage, &["B1", "B2"])?;
            let call = stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let first = stage.invited("B1")?;
            stage.reject("B1", first, StatusCode::BUSY_HERE)?;
            stage.picks_up("B2", ALICE)?;
            stage.hang_up(ALICE, call)?;
            stage.ended("B2")
        },
    },
    Flow {
        name: "forwarding-no-answer",
        section: "RFC 5359 §2.9",
        title: "nobody answers Bob's first phone, and his second rings",
        differs: "no 181, which a proxy cannot send; Alice's phone wants to know that an early dialog is over (RFC 6228), \
                  and the proxy tells it",
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> B1: INVITE
                  Proxy -> Alice: 100
                  B1 -> Proxy -> Alice: 180
                  Proxy -> B1: CANCEL
                  B1 -> Proxy: 200
                  B1 -> Proxy: 487
                  Proxy -> B1: ACK
                  + Proxy -> Alice: 199
                  Proxy -> B2: INVITE
                  B2 -> Proxy -> Alice: 180
                  B2 -> Proxy -> Alice: 200
                  Alice -> Proxy -> B2: ACK
                  Alice -> Proxy -> B2: BYE
                  B2 -> Proxy -> Alice: 200",
        play: |stage| {
            phones(stage, &["B1", "B2"])?;
            let call = stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let first = stage.invited("B1")?;
            stage.ring("B1", first)?;
            stage.ringing(ALICE)?;
            stage.picks_up("B2", ALICE)?;
            stage.hang_up(ALICE, call)?;
            stage.ended("B2")
        },
    },
    Flow {
        name: "find-me",
        section: "RFC 5359 §2.12",
        title: "Bob is looked for at four places, one after the other",
        differs: TELLS_199,
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> B1: INVITE
                  Proxy -> Alice: 100
                  B1 -> Proxy -> Alice: 180
                  Proxy -> B1: CANCEL
                  B1 -> Proxy: 200
                  B1 -> Proxy: 487
                  Proxy -> B1: ACK
                  + Proxy -> Alice: 199
                  Proxy -> B2: INVITE
                  B2 -> Proxy: 480
                  Proxy -> B2: ACK
                  Proxy -> B3: INVITE
                  B3 -> Proxy: 486
                  Proxy -> B3: ACK
                  Proxy -> B4: INVITE
                  B4 -> Proxy -> Alice: 180
                  B4 -> Proxy -> Alice: 200
                  Alice -> Proxy -> B4: ACK
                  B4 -> Proxy -> Alice: BYE
                  Alice -> Proxy -> B4: 200",
        play: |stage| {
            phones(stage, &["B1", "B2", "B3", "B4"])?;
            stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let first = stage.invited("B1")?;
            stage.ring("B1", first)?;
            stage.ringing(ALICE)?;
            let second = stage.invited("B2")?;
            stage.reject("B2", second, StatusCode::TEMPORARILY_UNAVAILABLE)?;
            let third = stage.invited("B3")?;
            stage.reject("B3", third, StatusCode::BUSY_HERE)?;
            let fourth = stage.picks_up("B4", ALICE)?;
            stage.hang_up("B4", fourth)?;
            stage.ended(ALICE)
        },
    },
    Flow {
        name: "screening-incoming",
        section: "RFC 5359 §2.13",
        title: "Bob takes calls from his proxy only, and that does not let Alice through",
        differs: "",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 305
                  Alice -> Bob: ACK
                  Alice -> Proxy: INVITE
                  Proxy -> Alice: 407
                  Alice -> Proxy: ACK
                  Alice -> Proxy: INVITE
                  Proxy -> Alice: 403
                  Alice -> Proxy: ACK
                  Alice -> Announcement Server: INVITE
                  Announcement Server -> Alice: 200
                  Alice -> Announcement Server: ACK
                  Announcement Server -> Alice: BYE
                  Alice -> Announcement Server: 200",
        play: screened,
    },
    Flow {
        name: "screening-outgoing",
        section: "RFC 5359 §2.14",
        title: "Alice's proxy does not let her call Bob",
        differs: "",
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> Alice: 407
                  Alice -> Proxy: ACK
                  Alice -> Proxy: INVITE
                  Proxy -> Alice: 403
                  Alice -> Proxy: ACK",
        play: |stage| {
            screening_proxy(stage)?;
            let account = alice()?.outbound_proxy(uri("sip:biloxi.example.com")?);
            stage.phone(ALICE, AT_ALICE, account)?;
            stage.call(ALICE, TO_BOB, Some(sdp()))?;
            stage.ended(ALICE)
        },
    },
];

fn proxy(stage: &mut Stage, domain: Domain) -> Done {
    stage.proxy(PROXY, ("biloxi.example.com", 222), serves("biloxi.example.com"), domain)
}

fn alice_and_bob(stage: &mut Stage) -> Done {
    proxy(stage, biloxi().user("carol", CAROLS_PHONE))?;
    stage.alice_and_bob()
}

/// Alice, and phones of Bob that ring one after the other.
fn phones(stage: &mut Stage, names: &[&'static str]) -> Done {
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    let mut domain = Domain::default().one_by_one(PATIENCE);
    for (name, last) in names.iter().zip(201..) {
        let host = format!("{}.biloxi.example.com", name.to_ascii_lowercase());
        stage.phone(name, (&host, last), bob()?)?;
        domain = domain.user("bob", &format!("sip:bob@{host}"));
    }
    proxy(stage, domain)
}

const ANNOUNCEMENT: &str = "<sip:screening-failure-term-ann@announcement.example.com>";

fn screening_proxy(stage: &mut Stage) -> Done {
    let gate = stage.gate(proxy_realm("biloxi.example.com"), "alice")?;
    proxy(stage, Domain::default().gate(gate).screens("alice", ANNOUNCEMENT))
}

fn screened(stage: &mut Stage) -> Done {
    const SERVER: &str = "Announcement Server";
    screening_proxy(stage)?;
    stage.alice_and_bob()?;
    let host = ("announcement.example.com", 240);
    stage.phone(SERVER, host, someone("sip:announcement.example.com")?)?;
    stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
    let call = stage.invited(BOB)?;
    let proxy = [("Contact".to_owned(), "<sip:biloxi.example.com>".to_owned())];
    stage
        .with(BOB, |now, agent, tx| agent.reject(now, tx, call, StatusCode::USE_PROXY, &proxy))?
        .map_err(|error| error.to_string())?;
    stage.ended(ALICE)?;
    stage.call(ALICE, TO_BOB, Some(sdp()))?;
    let refusal = stage.refused(ALICE)?;
    let info = refusal.raw(sip_message::HeaderName::ErrorInfo).ok_or("no Error-Info")?;
    let info = String::from_utf8_lossy(info);
    let server = info.trim_matches(['<', '>']);
    stage.call(ALICE, server, Some(sdp()))?;
    let call = stage.answers(SERVER, ALICE)?;
    stage.hang_up(SERVER, call)?;
    stage.ended(ALICE)
}
