//! RFC 5359: services. The RFC has them over TLS; here it is UDP, in the same messages.

use std::time::Duration;

use sip_auth::Credentials;
use sip_message::StatusCode;
use sip_proxy::ProxyConfig;
use sip_ua::{Account, Body, CallKey, CallUpdate};

use super::Flow;
use super::domain::Domain;
use super::stage::{Done, PASSWORD, Stage, proxy_realm, sdp, uri};

const ALICE: &str = "Alice";
const BOB: &str = "Bob";
const CAROL: &str = "Carol";
const PROXY: &str = "Proxy";

const AT_ALICE: (&str, u8) = ("client.atlanta.example.com", 101);
const AT_BOB: (&str, u8) = ("client.biloxi.example.com", 201);
const AT_CAROL: (&str, u8) = ("client.chicago.example.com", 211);

const TO_BOB: &str = "sip:bob@biloxi.example.com";
const BOBS_PHONE: &str = "sip:bob@client.biloxi.example.com";

/// RFC 5359 §2.7: "a proxy cannot generate non-100 provisional
/// responses."
const NO_181: &str = "no 181, which a proxy cannot send";

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
            let (at_alice, at_bob) = in_call(stage)?;
            modify(stage, (BOB, at_bob), (ALICE, at_alice), "sendonly", "recvonly")?;
            modify(stage, (BOB, at_bob), (ALICE, at_alice), "sendrecv", "sendrecv")?;
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
            let carol = Account::new(uri("sip:carol@chicago.example.com")?);
            stage.phone(CAROL, AT_CAROL, carol)?;
            let (at_alice, at_bob) = in_call(stage)?;
            modify(stage, (BOB, at_bob), (ALICE, at_alice), "sendonly", "recvonly")?;
            let question = stage.call(BOB, "sip:carol@biloxi.example.com", Some(sdp()))?;
            let at_carol = stage.invited(CAROL)?;
            stage.ring(CAROL, at_carol)?;
            stage.ringing(BOB)?;
            stage.accept(CAROL, at_carol)?;
            stage.answered(BOB)?;
            stage.confirmed(CAROL)?;
            stage.hang_up(BOB, question)?;
            stage.ended(CAROL)?;
            stage.settle();
            modify(stage, (BOB, at_bob), (ALICE, at_alice), "sendrecv", "sendrecv")?;
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
            stage.phone(GATEWAY, host, Account::new(uri("sip:gw.biloxi.example.com")?))?;
            let call = stage.call(ALICE, TO_BOB, Some(sdp()))?;
            let at_gateway = stage.invited(GATEWAY)?;
            stage.ring(GATEWAY, at_gateway)?;
            stage.ringing(ALICE)?;
            stage.accept(GATEWAY, at_gateway)?;
            stage.answered(ALICE)?;
            stage.confirmed(GATEWAY)?;
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
            answers(stage, "B2")?;
            stage.hang_up(ALICE, call)?;
            stage.ended("B2")
        },
    },
    Flow {
        name: "forwarding-no-answer",
        section: "RFC 5359 §2.9",
        title: "nobody answers Bob's first phone, and his second rings",
        differs: NO_181,
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> B1: INVITE
                  Proxy -> Alice: 100
                  B1 -> Proxy -> Alice: 180
                  Proxy -> B1: CANCEL
                  B1 -> Proxy: 200
                  B1 -> Proxy: 487
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
            stage.ring("B1", first)?;
            stage.ringing(ALICE)?;
            answers(stage, "B2")?;
            stage.hang_up(ALICE, call)?;
            stage.ended("B2")
        },
    },
    Flow {
        name: "find-me",
        section: "RFC 5359 §2.12",
        title: "Bob is looked for at four places, one after the other",
        differs: "",
        diagram: "Alice -> Proxy: INVITE
                  Proxy -> B1: INVITE
                  Proxy -> Alice: 100
                  B1 -> Proxy -> Alice: 180
                  Proxy -> B1: CANCEL
                  B1 -> Proxy: 200
                  B1 -> Proxy: 487
                  Proxy -> B1: ACK
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
            let fourth = answers(stage, "B4")?;
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

fn alice() -> Done<Account> {
    let account = Account::new(uri("sip:alice@atlanta.example.com")?).display_name("Alice");
    Ok(account.credentials(Credentials::new("alice", PASSWORD)))
}

fn bob() -> Done<Account> {
    Ok(Account::new(uri(TO_BOB)?).display_name("Bob"))
}

fn proxy(stage: &mut Stage, domain: Domain) -> Done {
    let config = ProxyConfig::default().domain("biloxi.example.com");
    stage.proxy(PROXY, ("biloxi.example.com", 222), config, domain)
}

fn alice_and_bob(stage: &mut Stage) -> Done {
    let carol = "sip:carol@client.chicago.example.com";
    proxy(stage, Domain::default().user("bob", BOBS_PHONE).user("carol", carol))?;
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone(BOB, AT_BOB, bob()?)
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

/// Alice calls Bob, who answers.
fn in_call(stage: &mut Stage) -> Done<(CallKey, CallKey)> {
    let at_alice = stage.call(ALICE, TO_BOB, Some(sdp()))?;
    Ok((at_alice, answers(stage, BOB)?))
}

/// A phone rings and is answered.
fn answers(stage: &mut Stage, name: &str) -> Done<CallKey> {
    let call = stage.invited(name)?;
    stage.ring(name, call)?;
    stage.ringing(ALICE)?;
    stage.accept(name, call)?;
    stage.answered(ALICE)?;
    stage.confirmed(name)?;
    Ok(call)
}

/// One end changes the direction of the media, and the other agrees.
fn modify(
    stage: &mut Stage,
    (who, call): (&str, CallKey),
    (peer, peers_call): (&str, CallKey),
    direction: &str,
    answer: &str,
) -> Done {
    let offer = direction_of(direction);
    stage
        .with(who, |now, agent, tx| agent.reinvite(now, tx, call, Some(&offer)))?
        .map_err(|error| error.to_string())?;
    stage.updated(peer, "the re-INVITE", |update| {
        matches!(update, CallUpdate::Modification { .. }).then_some(())
    })?;
    let answer = direction_of(answer);
    stage
        .with(peer, |now, agent, tx| {
            agent.answer_modification(now, tx, peers_call, StatusCode::OK, Some(&answer))
        })?
        .map_err(|error| error.to_string())?;
    stage.updated(who, "the answer to the re-INVITE", |update| {
        matches!(update, CallUpdate::Modified { .. }).then_some(())
    })?;
    // The ACK arrives.
    stage.settle();
    Ok(())
}

fn direction_of(direction: &str) -> Body {
    let text = String::from_utf8_lossy(&sdp().bytes).into_owned();
    Body::sdp(format!("{text}a={direction}\r\n"))
}

const ANNOUNCEMENT: &str = "<sip:screening-failure-term-ann@announcement.example.com>";

fn screening_proxy(stage: &mut Stage) -> Done {
    let gate = stage.gate(proxy_realm("biloxi.example.com"), "alice")?;
    proxy(stage, Domain::default().gate(gate).screens("alice", ANNOUNCEMENT))
}

fn screened(stage: &mut Stage) -> Done {
    const SERVER: &str = "Announcement Server";
    screening_proxy(stage)?;
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone(BOB, AT_BOB, bob()?)?;
    let host = ("announcement.example.com", 240);
    stage.phone(SERVER, host, Account::new(uri("sip:announcement.example.com")?))?;
    stage.call(ALICE, BOBS_PHONE, Some(sdp()))?;
    let call = stage.invited(BOB)?;
    let proxy = [("Contact".to_owned(), "<sip:biloxi.example.com>".to_owned())];
    stage
        .with(BOB, |now, agent, tx| agent.reject(now, tx, call, StatusCode::USE_PROXY, &proxy))?
        .map_err(|error| error.to_string())?;
    stage.ended(ALICE)?;
    stage.call(ALICE, TO_BOB, Some(sdp()))?;
    let refusal = stage.updated(ALICE, "the refusal", |update| match update {
        CallUpdate::Ended(sip_ua::EndReason::Rejected(response)) => Some(response),
        _ => None,
    })?;
    let info = refusal.raw(sip_message::HeaderName::ErrorInfo).ok_or("no Error-Info")?;
    let info = String::from_utf8_lossy(info);
    let server = info.trim_matches(['<', '>']);
    stage.call(ALICE, server, Some(sdp()))?;
    let call = stage.invited(SERVER)?;
    stage.accept(SERVER, call)?;
    stage.answered(ALICE)?;
    stage.confirmed(SERVER)?;
    stage.hang_up(SERVER, call)?;
    stage.ended(ALICE)
}
