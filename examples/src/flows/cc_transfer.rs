//! RFC 5589: transfer, in all its flows.
//!
//! Where the Contacts of the phones are GRUUs, a REFER goes outside of the dialog of the call, which Target-Dialog names
//! (RFC 7647 §4); where they are not, it goes in that dialog.
//!
//! Figure 13 is not played: the transferor gives up, the target answers all the same, and the transfer goes on with that
//! call. The RFC does not recommend it, and an agent of this stack ends a call that was given up by BYE.

use sip_message::{HeaderName, Method, StatusCode, Uri};
use sip_ua::{AgentConfig, AgentEvent, Body, OutgoingCall, ReferOutcome, TerminationReason};

use super::Flow;
use super::acts::{Leg, sdp};
use super::cast::{
    ALICE, AT_ALICE, AT_BOB, AT_CAROL, BOB, BOBS_PHONE, CAROL, CAROLS_PHONE, NO_202, PROXY, Place,
    alice, bob, carol, serves, someone,
};
use super::domain::Domain;
use super::stage::{Done, Stage, config, said, uri};

const TRANSFEROR: &str = "Transferor";
const TRANSFEREE: &str = "Transferee";
const TARGET: &str = "Target";

const AT_TRANSFEROR: Place<'_> = ("pc33.atlanta.example.com", 101);
const AT_TRANSFEREE: Place<'_> = ("client.biloxi.example.com", 201);
const AT_TARGET: Place<'_> = ("client.chicago.example.com", 211);

const TO_TRANSFEROR: &str = "sip:transferor@pc33.atlanta.example.com";
const TO_TRANSFEREE: &str = "sip:transferee@client.biloxi.example.com";
const TO_TARGET: &str = "sip:target@client.chicago.example.com";

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "cc-transfer",
        section: "RFC 5589 §6.1",
        title: "basic transfer: the transferor stays until it has succeeded",
        differs: NO_202,
        diagram: BASIC,
        play: basic,
    },
    Flow {
        name: "cc-transfer-dialog-reuse",
        section: "RFC 5589 §6.2",
        title: "basic transfer, by a REFER in the dialog of the call",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Transferee: REFER/200 Refer-To Referred-By
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK Referred-By
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, _) = held_in(stage, Contacts::Plain)?;
            stage.refer(transferor, &uri(TO_TARGET)?)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-target-busy",
        section: "RFC 5589 §6.3.1",
        title: "the target is busy, and the transferor comes back",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To Referred-By
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/486/ACK
                  ~ Transferee -> Transferor: NOTIFY/200 486 terminated
                  Transferor -> Transferee: INVITE/200/ACK sendrecv
                  Transferor -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, transferee) = held(stage)?;
            ask(stage, transferor, &uri(TO_TARGET)?)?;
            stage.follows(TRANSFEREE)?;
            let call = stage.invited(TARGET)?;
            stage.reject(TARGET, call, StatusCode::BUSY_HERE)?;
            fails(stage, StatusCode::BUSY_HERE)?;
            stage.unhold(transferor, transferee)?;
            stage.bye(transferor, TRANSFEREE)
        },
    },
    Flow {
        name: "cc-transfer-no-answer",
        section: "RFC 5589 §6.3.2",
        title: "nobody answers at the target, and the transferee gives up",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; that the target rings is reported too",
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To Referred-By
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE
                  Target -> Transferee: 180
                  + Transferee -> Transferor: NOTIFY/200 180
                  Transferee -> Target: CANCEL/200
                  Target -> Transferee: 487
                  Transferee -> Target: ACK
                  ~ Transferee -> Transferor: NOTIFY/200 487 terminated
                  Transferor -> Transferee: INVITE/200/ACK sendrecv
                  Transferor -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, transferee) = held(stage)?;
            ask(stage, transferor, &uri(TO_TARGET)?)?;
            let call = stage.follows(TRANSFEREE)?;
            let at_target = stage.invited(TARGET)?;
            stage.ring(TARGET, at_target)?;
            stage.ringing(TRANSFEREE)?;
            stage.settle();
            stage.hang_up(TRANSFEREE, call)?;
            fails(stage, StatusCode::REQUEST_TERMINATED)?;
            stage.settle();
            stage.unhold(transferor, transferee)?;
            stage.bye(transferor, TRANSFEREE)
        },
    },
    Flow {
        name: "cc-transfer-exposing-target",
        section: "RFC 5589 §7.1",
        title: "the transferor asks the target first, and hangs up there",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/200/ACK
                  Transferor -> Target: BYE/200
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To Referred-By
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK Referred-By
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, _) = held(stage)?;
            let question = stage.meet(TRANSFEROR, TO_TARGET, TARGET)?.0;
            stage.bye((TRANSFEROR, question), TARGET)?;
            ask(stage, transferor, &uri(TO_TARGET)?)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-protecting-target",
        section: "RFC 5589 §7.2",
        title: "the target is asked to call the transferee, who does not learn its address before",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/200/ACK
                  Transferor -> Target: INVITE/200/ACK sendonly
                  Transferor -> Target: REFER/200 Target-Dialog Refer-To=Replaces Referred-By
                  Target -> Transferor: NOTIFY/200 100
                  Target -> Transferee: INVITE/200/ACK Replaces Referred-By
                  ~ Transferee -> Transferor: BYE/200
                  ~ Target -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Target: BYE/200
                  Transferee -> Target: BYE/200",
        play: |stage| {
            let (transferor, _) = held(stage)?;
            let question = consults(stage)?;
            let place = stage.place_in(transferor)?;
            ask(stage, question, &place)?;
            protected(stage, question)
        },
    },
    Flow {
        name: "cc-transfer-attended",
        section: "RFC 5589 §7.3",
        title: "attended transfer: the transferee takes the transferor's place at the target",
        differs: NO_202,
        diagram: ATTENDED,
        play: attended,
    },
    Flow {
        name: "cc-transfer-recovery",
        section: "RFC 5589 §7.4",
        title: "the transferee knows no REFER, so the target is asked",
        differs: "the refusal of REFER is a 405, which the RFC allows for, and the 202 a 200, for RFC 7647 forbids it",
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/200/ACK
                  Transferor -> Target: INVITE/200/ACK sendonly
                  Transferor -> Transferee: REFER/405 Target-Dialog Refer-To=Replaces
                  Transferor -> Target: REFER/200 Target-Dialog Refer-To=Replaces
                  Target -> Transferor: NOTIFY/200 100
                  Target -> Transferee: INVITE/200/ACK Replaces
                  ~ Transferee -> Transferor: BYE/200
                  ~ Target -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Target: BYE/200
                  Transferee -> Target: BYE/200",
        play: |stage| {
            let deaf = config().methods(vec![Method::Message, Method::Info, Method::Notify]);
            let (transferor, _) = held_with(stage, Contacts::Gruus, deaf)?;
            let question = consults(stage)?;
            let target = stage.place_in(question)?;
            ask(stage, transferor, &target)?;
            fails_by(stage, ReferOutcome::Refused(StatusCode::METHOD_NOT_ALLOWED))?;
            let place = stage.place_in(transferor)?;
            ask(stage, question, &place)?;
            protected(stage, question)
        },
    },
    Flow {
        name: "cc-transfer-by-aor",
        section: "RFC 5589 §7.5",
        title: "the target's Contact may not route, so the REFER says its address of record (figure 9)",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Proxy: INVITE
                  Proxy -> Target: INVITE
                  Proxy -> Transferor: 100
                  Target -> Proxy -> Transferor: 200
                  Transferor -> Proxy -> Target: ACK
                  Transferor -> Proxy: INVITE sendonly
                  Proxy -> Target: INVITE
                  Proxy -> Transferor: 100
                  Target -> Proxy -> Transferor: 200
                  Transferor -> Proxy -> Target: ACK
                  Transferor -> Transferee: REFER/200 Refer-To=Require
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Proxy: INVITE Replaces Require=replaces
                  Proxy -> Target: INVITE
                  Proxy -> Transferee: 100
                  Target -> Proxy -> Transferee: 200
                  ~ Target -> Proxy -> Transferor: BYE
                  ~ Transferee -> Proxy -> Target: ACK
                  ~ Transferor -> Proxy -> Target: 200
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Proxy -> Transferee: BYE
                  Transferee -> Proxy -> Target: 200",
        play: |stage| {
            screening_proxy(stage, Domain::default())?;
            let (transferor, question) = consults_by_aor(stage)?;
            let target = stage.place_in(question)?;
            stage.refer(transferor, &target)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-aor-screened",
        section: "RFC 5589 §7.5",
        title: "the target's domain does not let the transferee in, and the Contact is tried (figure 10)",
        differs: "the REFERs are answered 200; the Contact routes past the proxy, which screens who comes by the address of record",
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Proxy: INVITE
                  Proxy -> Target: INVITE
                  Proxy -> Transferor: 100
                  Target -> Proxy -> Transferor: 200
                  Transferor -> Proxy -> Target: ACK
                  Transferor -> Proxy: INVITE sendonly
                  Proxy -> Target: INVITE
                  Proxy -> Transferor: 100
                  Target -> Proxy -> Transferor: 200
                  Transferor -> Proxy -> Target: ACK
                  Transferor -> Transferee: REFER/200 Refer-To=Require
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Proxy: INVITE/403/ACK Replaces Require=replaces
                  ~ Transferee -> Transferor: NOTIFY/200 403 terminated
                  Transferor -> Transferee: REFER/200 Refer-To=Replaces
                  Transferee -> Transferor: NOTIFY/200 100 Event=id
                  Transferee -> Target: INVITE/200/ACK Replaces
                  ~ Target -> Proxy -> Transferor: BYE
                  ~ Transferor -> Proxy -> Target: 200
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated Event=id
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            screening_proxy(stage, Domain::default().keeps_out("transferee"))?;
            let (transferor, question) = consults_by_aor(stage)?;
            let target = stage.place_in(question)?;
            stage.refer(transferor, &target)?;
            stage.follows(TRANSFEREE)?;
            fails(stage, StatusCode::FORBIDDEN)?;
            let mut fields = target.honoured_headers().into_iter();
            let (name, value) = fields.find(|(name, _)| name == "Replaces").ok_or("no Replaces")?;
            let contact = uri(TO_TARGET)?.with_header(&name, &value).map_err(said)?;
            stage.refer(transferor, &contact)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-semi-attended",
        section: "RFC 5589 §7.6",
        title: "the transferor hangs up while it rings, and the user agent goes on (figure 11)",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/180
                  Target -> Transferor: 200
                  Transferor -> Target: ACK
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To=Replaces
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK Replaces
                  ~ Target -> Transferor: BYE/200
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, _) = held(stage)?;
            let question = stage.talk(TRANSFEROR, TO_TARGET, TARGET)?.0;
            let target = stage.place_in((TRANSFEROR, question))?;
            ask(stage, transferor, &target)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-semi-attended-blind",
        section: "RFC 5589 §7.6",
        title: "the transferor gives up waiting, and refers the transferee (figure 12, not recommended)",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/180
                  Transferor -> Target: CANCEL/200
                  Target -> Transferor: 487
                  Transferor -> Target: ACK
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            let (transferor, _) = held(stage)?;
            let question = stage.call(TRANSFEROR, TO_TARGET, Some(sdp()))?;
            let at_target = stage.invited(TARGET)?;
            stage.ring(TARGET, at_target)?;
            stage.ringing(TRANSFEROR)?;
            stage.bye((TRANSFEROR, question), TARGET)?;
            ask(stage, transferor, &uri(TO_TARGET)?)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-fallback-require",
        section: "RFC 5589 §7.7",
        title: "the target knows no Replaces, and the transfer becomes a basic one (figure 14)",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; the INVITE is tried without what was required, as RFC 3261 §8.1.3.5 wants it, and given up",
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: OPTIONS/200
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/420/ACK Require=replaces
                  + Transferor -> Target: INVITE/100
                  + Transferor -> Target: CANCEL/200
                  + Target -> Transferor: 487
                  + Transferor -> Target: ACK
                  Transferor -> Transferee: REFER/200 Refer-To
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            parties(stage, Contacts::Plain, config(), without_replaces())?;
            let (transferor, transferee) = called(stage)?;
            if !options(stage, transferor)? {
                return Err("the transferee knows no Replaces".into());
            }
            stage.hold(transferor, transferee)?;
            let question = OutgoingCall::to(uri(TO_TARGET)?).body(sdp());
            let question = stage.place(TRANSFEROR, question.header("Require", "replaces"))?;
            let (_, invite) = stage.invitation(TARGET)?;
            if invite.headers().contains(HeaderName::Require) {
                return Err("the target knows what is required".into());
            }
            stage.settle();
            stage.bye((TRANSFEROR, question), TARGET)?;
            stage.refer(transferor, &uri(TO_TARGET)?)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-fallback-options",
        section: "RFC 5589 §7.7",
        title: "OPTIONS tells that the target knows no Replaces, and the transfer becomes a basic one (figure 15)",
        differs: NO_202,
        diagram: "Transferee -> Transferor: INVITE/200/ACK
                  Transferor -> Transferee: OPTIONS/200
                  Transferor -> Transferee: INVITE/200/ACK sendonly
                  Transferor -> Target: INVITE/200/ACK
                  Transferor -> Target: OPTIONS/200
                  Transferor -> Target: BYE/200
                  Transferor -> Transferee: REFER/200 Target-Dialog Refer-To
                  Transferee -> Transferor: NOTIFY/200 100
                  Transferee -> Target: INVITE/200/ACK
                  ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                  Transferor -> Transferee: BYE/200
                  Target -> Transferee: BYE/200",
        play: |stage| {
            parties(stage, Contacts::Gruus, config(), without_replaces())?;
            let (transferor, transferee) = called(stage)?;
            if !options(stage, transferor)? {
                return Err("the transferee knows no Replaces".into());
            }
            stage.hold(transferor, transferee)?;
            let question = stage.meet(TRANSFEROR, TO_TARGET, TARGET)?.0;
            if options(stage, (TRANSFEROR, question))? {
                return Err("the target knows Replaces".into());
            }
            stage.bye((TRANSFEROR, question), TARGET)?;
            ask(stage, transferor, &uri(TO_TARGET)?)?;
            completes(stage, transferor)
        },
    },
    Flow {
        name: "cc-transfer-referred-by",
        section: "RFC 5589 §8",
        title: "attended transfer, where the target learns by whom",
        differs: NO_202,
        diagram: ATTENDED,
        play: attended,
    },
    Flow {
        name: "cc-transfer-conference",
        section: "RFC 5589 §9",
        title: "attended transfer out of a conference of two, whose state both watch",
        differs: "REFER is answered 200: RFC 7647 forbids the 202; there is no isfocus in Bob's Contact",
        diagram: "Alice -> Bob: INVITE
                  Bob -> Alice: 180
                  Bob -> Alice: 200
                  Alice -> Bob: ACK
                  Bob -> Alice: INVITE/200/ACK sendonly
                  Alice -> Bob: SUBSCRIBE/200 Event=conference
                  Bob -> Alice: NOTIFY/200 active
                  Bob -> Carol: INVITE
                  Carol -> Bob: 180
                  Carol -> Bob: 200
                  Bob -> Carol: ACK
                  Carol -> Bob: SUBSCRIBE/200 Event=conference
                  Bob -> Carol: NOTIFY/200 active
                  Bob -> Alice: NOTIFY/200 active
                  Bob -> Carol: INVITE/200/ACK sendonly
                  Bob -> Alice: NOTIFY/200 active
                  Bob -> Alice: REFER/200 Refer-To=Replaces
                  Alice -> Bob: NOTIFY/200 100
                  Alice -> Carol: INVITE/200/ACK Replaces
                  ~ Carol -> Bob: BYE/200
                  ~ Alice -> Bob: NOTIFY/200 200
                  Bob -> Alice: BYE/200
                  Bob -> Carol: NOTIFY/200 terminated
                  Bob -> Alice: NOTIFY/200 terminated",
        play: out_of_a_conference,
    },
    Flow {
        name: "cc-transfer-multiple-parties",
        section: "RFC 5589 §10",
        title: "an originator's call, a facilitator and a screener on the way to the recipient",
        differs: "REFER is answered 200: RFC 7647 forbids the 202 of the diagram",
        diagram: "Originator -> Facilitator: INVITE/200/ACK
                  Facilitator -> Originator: INVITE/200/ACK sendonly
                  Facilitator -> Screener: INVITE/200/ACK
                  Screener -> Facilitator: INVITE/200/ACK sendonly
                  Screener -> Recipient: INVITE/200/ACK
                  Screener -> Recipient: INVITE/200/ACK sendonly
                  Screener -> Facilitator: REFER/200 Refer-To
                  Facilitator -> Screener: NOTIFY/200 100
                  Facilitator -> Recipient: INVITE/200/ACK
                  ~ Facilitator -> Screener: NOTIFY/200 200
                  Screener -> Facilitator: BYE/200
                  Screener -> Recipient: BYE/200
                  Facilitator -> Recipient: INVITE/200/ACK sendonly
                  Facilitator -> Originator: REFER/200 Refer-To
                  Originator -> Facilitator: NOTIFY/200 100
                  Originator -> Recipient: INVITE/200/ACK
                  ~ Originator -> Facilitator: NOTIFY/200 200
                  Facilitator -> Originator: BYE/200
                  Facilitator -> Recipient: BYE/200
                  Recipient -> Originator: BYE/200",
        play: multiple_parties,
    },
];

const BASIC: &str = "Transferee -> Transferor: INVITE/200/ACK
                     Transferor -> Transferee: INVITE/200/ACK sendonly
                     Transferor -> Transferee: REFER/200 Target-Dialog Refer-To Referred-By
                     Transferee -> Transferor: NOTIFY/200 100
                     Transferee -> Target: INVITE/200/ACK Referred-By
                     ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                     Transferor -> Transferee: BYE/200
                     Target -> Transferee: BYE/200";

const ATTENDED: &str = "Transferee -> Transferor: INVITE/200/ACK
                        Transferor -> Transferee: INVITE/200/ACK sendonly
                        Transferor -> Target: INVITE/200/ACK
                        Transferor -> Target: INVITE/200/ACK sendonly
                        Transferor -> Transferee: REFER/200 Target-Dialog Refer-To=Replaces Referred-By
                        Transferee -> Transferor: NOTIFY/200 100
                        Transferee -> Target: INVITE/200/ACK Replaces Referred-By
                        ~ Target -> Transferor: BYE/200
                        ~ Transferee -> Transferor: NOTIFY/200 200 terminated
                        Transferor -> Transferee: BYE/200
                        Target -> Transferee: BYE/200";

fn without_replaces() -> AgentConfig {
    config().supported(Vec::new())
}

/// What the Contacts of the phones are.
#[derive(Clone, Copy, PartialEq)]
enum Contacts {
    Gruus,
    Plain,
}

/// What names one instance of a user, anywhere (RFC 5627).
fn gruu(address: &str) -> String {
    format!("{address};gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
}

fn parties(
    stage: &mut Stage,
    contacts: Contacts,
    transferee: AgentConfig,
    target: AgentConfig,
) -> Done {
    let account = |address: &str| match contacts {
        Contacts::Gruus => Ok(someone(address)?.contact(uri(&gruu(address))?)),
        Contacts::Plain => someone(address),
    };
    stage.phone(TRANSFEROR, AT_TRANSFEROR, account(TO_TRANSFEROR)?)?;
    stage.phone_with(TRANSFEREE, AT_TRANSFEREE, account(TO_TRANSFEREE)?, transferee)?;
    stage.phone_with(TARGET, AT_TARGET, account(TO_TARGET)?, target)
}

/// The transferee has called the transferor.
fn called(stage: &mut Stage) -> Done<(Leg<'static>, Leg<'static>)> {
    let (transferee, transferor) = stage.meet(TRANSFEREE, TO_TRANSFEROR, TRANSFEROR)?;
    Ok(((TRANSFEROR, transferor), (TRANSFEREE, transferee)))
}

/// The same, and is on hold.
fn held_with(
    stage: &mut Stage,
    contacts: Contacts,
    transferee: AgentConfig,
) -> Done<(Leg<'static>, Leg<'static>)> {
    parties(stage, contacts, transferee, config())?;
    let (transferor, transferee) = called(stage)?;
    stage.hold(transferor, transferee)?;
    Ok((transferor, transferee))
}

fn held_in(stage: &mut Stage, contacts: Contacts) -> Done<(Leg<'static>, Leg<'static>)> {
    held_with(stage, contacts, config())
}

fn held(stage: &mut Stage) -> Done<(Leg<'static>, Leg<'static>)> {
    held_in(stage, Contacts::Gruus)
}

/// The peer of a call of the transferor's is asked, outside of its dialog, to call someone.
fn ask(stage: &mut Stage, leg: Leg<'_>, target: &Uri<'_>) -> Done<sip_ua::ReferKey> {
    let peer = stage.with(leg.0, |_, agent, _| agent.address_of_peer(leg.1))?.map_err(said)?;
    stage.refer_of(leg, &gruu(&peer.to_string()), target)
}

/// The transferor asks the target, and puts it on hold.
fn consults(stage: &mut Stage) -> Done<Leg<'static>> {
    consults_at(stage, TO_TARGET)
}

fn consults_at(stage: &mut Stage, address: &str) -> Done<Leg<'static>> {
    let (question, at_target) = stage.meet(TRANSFEROR, address, TARGET)?;
    stage.hold((TRANSFEROR, question), (TARGET, at_target))?;
    Ok((TRANSFEROR, question))
}

/// The target's domain, which keeps its phones behind a proxy.
fn screening_proxy(stage: &mut Stage, domain: Domain) -> Done {
    let domain = domain.user("target", TO_TARGET);
    stage.proxy(PROXY, ("chicago.example.com", 222), serves("chicago.example.com"), domain)
}

/// The transferee is on hold, and the target was asked by its address of record: the transferor's two calls.
fn consults_by_aor(stage: &mut Stage) -> Done<(Leg<'static>, Leg<'static>)> {
    let (transferor, _) = held_in(stage, Contacts::Plain)?;
    Ok((transferor, consults_at(stage, "sip:target@chicago.example.com")?))
}

/// The transferee does as it was asked, the transferor hears of it and leaves, and later the target hangs up.
fn completes(stage: &mut Stage, transferor: Leg<'_>) -> Done {
    stage.follows(TRANSFEREE)?;
    let at_target = stage.answers(TARGET, TRANSFEREE)?;
    stage.succeeds(TRANSFEROR)?;
    stage.bye(transferor, TRANSFEREE)?;
    stage.bye((TARGET, at_target), TRANSFEREE)
}

/// The target does as it was asked, and calls the transferee.
fn protected(stage: &mut Stage, question: Leg<'_>) -> Done {
    stage.follows(TARGET)?;
    let call = stage.answers(TRANSFEREE, TARGET)?;
    stage.succeeds(TRANSFEROR)?;
    stage.bye(question, TARGET)?;
    stage.bye((TRANSFEREE, call), TARGET)
}

/// The transferor learns that nothing came of the reference.
fn fails(stage: &mut Stage, status: StatusCode) -> Done {
    fails_by(stage, ReferOutcome::Reported(status))
}

fn fails_by(stage: &mut Stage, expected: ReferOutcome) -> Done {
    let outcome = stage.reported(TRANSFEROR)?;
    stage.settle();
    if outcome == expected { Ok(()) } else { Err(format!("the reference came to {outcome:?}")) }
}

fn basic(stage: &mut Stage) -> Done {
    let (transferor, _) = held(stage)?;
    ask(stage, transferor, &uri(TO_TARGET)?)?;
    completes(stage, transferor)
}

fn attended(stage: &mut Stage) -> Done {
    let (transferor, _) = held(stage)?;
    let question = consults(stage)?;
    let target = stage.place_in(question)?;
    ask(stage, transferor, &target)?;
    completes(stage, transferor)
}

/// Asks the peer of a call what it can do: whether it knows Replaces.
fn options(stage: &mut Stage, (who, call): Leg<'_>) -> Done<bool> {
    stage
        .with(who, |now, agent, tx| agent.send(now, tx, call, Method::Options, None, &[]))?
        .map_err(said)?;
    let response = stage.wait(who, "what the peer can do", |event| match event {
        AgentEvent::Response { result, .. } => Some(result),
        _ => None,
    })?;
    let response = response.map_err(said)?;
    let supported = response.raw(HeaderName::Supported).unwrap_or_default();
    Ok(String::from_utf8_lossy(supported).contains("replaces"))
}

/// RFC 5589 §10.
fn multiple_parties(stage: &mut Stage) -> Done {
    const ORIGINATOR: &str = "Originator";
    const FACILITATOR: &str = "Facilitator";
    const SCREENER: &str = "Screener";
    const RECIPIENT: &str = "Recipient";
    let parties = [(ORIGINATOR, 101), (FACILITATOR, 102), (SCREENER, 103), (RECIPIENT, 104)];
    let address = |name: &str| format!("sip:{0}@{0}.example.com", name.to_ascii_lowercase());
    for (name, last) in parties {
        let host = format!("{}.example.com", name.to_ascii_lowercase());
        stage.phone(name, (&host, last), someone(&address(name))?)?;
    }
    let (originator, facilitator) = stage.meet(ORIGINATOR, &address(FACILITATOR), FACILITATOR)?;
    stage.hold((FACILITATOR, facilitator), (ORIGINATOR, originator))?;
    let (asking, asked) = stage.meet(FACILITATOR, &address(SCREENER), SCREENER)?;
    stage.hold((SCREENER, asked), (FACILITATOR, asking))?;
    let (announcing, announced) = stage.meet(SCREENER, &address(RECIPIENT), RECIPIENT)?;
    stage.hold((SCREENER, announcing), (RECIPIENT, announced))?;

    stage.refer((SCREENER, asked), &uri(&address(RECIPIENT))?)?;
    let through = stage.follows(FACILITATOR)?;
    let at_recipient = stage.answers(RECIPIENT, FACILITATOR)?;
    stage.succeeds(SCREENER)?;
    stage.bye((SCREENER, asked), FACILITATOR)?;
    stage.bye((SCREENER, announcing), RECIPIENT)?;
    stage.hold((FACILITATOR, through), (RECIPIENT, at_recipient))?;

    stage.refer((FACILITATOR, facilitator), &uri(&address(RECIPIENT))?)?;
    stage.follows(ORIGINATOR)?;
    let at_last = stage.answers(RECIPIENT, ORIGINATOR)?;
    stage.succeeds(FACILITATOR)?;
    stage.bye((FACILITATOR, facilitator), ORIGINATOR)?;
    stage.bye((FACILITATOR, through), RECIPIENT)?;
    stage.bye((RECIPIENT, at_last), ORIGINATOR)
}

/// RFC 5589 §9.
fn out_of_a_conference(stage: &mut Stage) -> Done {
    let focus = config().event_packages(vec!["conference".into()]);
    stage.phone(ALICE, AT_ALICE, alice()?)?;
    stage.phone_with(BOB, AT_BOB, bob()?, focus)?;
    stage.phone(CAROL, AT_CAROL, carol()?)?;
    let (at_alice, at_bob) = stage.talk(ALICE, BOBS_PHONE, BOB)?;
    stage.hold((BOB, at_bob), (ALICE, at_alice))?;
    stage.subscribe(ALICE, BOBS_PHONE, "conference", 3600)?;
    let watched_by_alice = stage.grants(BOB, conference(1))?;
    stage.notified(ALICE)?;
    let (consulted, at_carol) = stage.talk(BOB, CAROLS_PHONE, CAROL)?;
    stage.subscribe(CAROL, BOBS_PHONE, "conference", 3600)?;
    let watched_by_carol = stage.grants(BOB, conference(2))?;
    stage.notified(CAROL)?;
    stage.notify(BOB, watched_by_alice, conference(2))?;
    stage.notified(ALICE)?;
    stage.hold((BOB, consulted), (CAROL, at_carol))?;
    stage.notify(BOB, watched_by_alice, conference(3))?;
    stage.notified(ALICE)?;

    let target = stage.place_in((BOB, consulted))?;
    stage.refer((BOB, at_bob), &target)?;
    stage.follows(ALICE)?;
    stage.answers(CAROL, ALICE)?;
    stage.succeeds(BOB)?;
    stage.bye((BOB, at_bob), ALICE)?;
    for (watcher, watched) in [(CAROL, watched_by_carol), (ALICE, watched_by_alice)] {
        let over = TerminationReason::NoResource;
        stage
            .with(BOB, |now, agent, tx| agent.terminate(now, tx, watched, over, None))?
            .map_err(said)?;
        stage.notified(watcher)?;
    }
    Ok(())
}

/// As little as a document of RFC 4575 may say: who takes part is of no matter here.
fn conference(version: u32) -> Body {
    let text = format!(
        "<?xml version=\"1.0\"?>\r\n<conference-info \
         xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{BOBS_PHONE}\" state=\"full\" \
         version=\"{version}\"/>\r\n"
    );
    Body::new("application/conference-info+xml", text)
}
