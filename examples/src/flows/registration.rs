//! RFC 3665 §2: registration. The RFC has it over TLS; here it is UDP, in the same messages.

use std::time::Duration;

use sip_auth::Credentials;
use sip_message::Contact;
use sip_proxy::ProxyConfig;
use sip_ua::{Account, AgentEvent, RegistrationEvent};

use super::Flow;
use super::domain::Domain;
use super::stage::{Done, PASSWORD, Stage, realm, uri};

const BOB: &str = "Bob";

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "registration",
        section: "RFC 3665 §2.1",
        title: "successful new registration",
        differs: "",
        diagram: "Bob -> SIP Server: REGISTER
                  SIP Server -> Bob: 401
                  Bob -> SIP Server: REGISTER
                  SIP Server -> Bob: 200",
        play: |stage| registers(stage, PASSWORD).map(drop),
    },
    Flow {
        name: "registration-update",
        section: "RFC 3665 §2.2",
        title: "update of the contact list, with the credentials of before",
        differs: "the diagram begins after the registration",
        diagram: "+ Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 401
                  + Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 200
                  Bob -> SIP Server: REGISTER Authorization Contact
                  SIP Server -> Bob: 200",
        play: |stage| {
            let registration = registers(stage, PASSWORD)?;
            stage.pass(Duration::from_secs(60));
            stage
                .with(BOB, |now, agent, tx| agent.refresh(now, tx, registration))?
                .map_err(|error| error.to_string())?;
            registered(stage)
        },
    },
    Flow {
        name: "registration-query",
        section: "RFC 3665 §2.3",
        title: "request for the current contact list",
        differs: "the diagram begins after the registration; the query does not know its credentials, and is challenged",
        diagram: "+ Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 401
                  + Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 200
                  + Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 401
                  Bob -> SIP Server: REGISTER Authorization
                  SIP Server -> Bob: 200 Contact=expires",
        play: |stage| {
            registers(stage, PASSWORD)?;
            let account = stage.account(BOB)?;
            stage
                .with(BOB, |now, agent, tx| agent.bindings(now, tx, &account))?
                .map_err(|error| error.to_string())?;
            let listed = stage.wait(BOB, "the bindings", |event| match event {
                AgentEvent::Response { result, .. } => Some(result),
                _ => None,
            })?;
            let listed = listed.map_err(|error| error.to_string())?;
            match listed.get_all::<Contact<'_>>().count() {
                1 => Ok(()),
                count => Err(format!("{count} bindings are listed")),
            }
        },
    },
    Flow {
        name: "registration-cancelled",
        section: "RFC 3665 §2.4",
        title: "cancellation of a registration",
        differs: "the diagram begins after the registration; one binding is removed, not all of them by a star",
        diagram: "+ Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 401
                  + Bob -> SIP Server: REGISTER
                  + SIP Server -> Bob: 200
                  Bob -> SIP Server: REGISTER Authorization Contact
                  SIP Server -> Bob: 200",
        play: |stage| {
            let registration = registers(stage, PASSWORD)?;
            stage
                .with(BOB, |now, agent, tx| agent.unregister(now, tx, registration))?
                .map_err(|error| error.to_string())?;
            told(stage, "the end of the registration", |event| {
                matches!(event, RegistrationEvent::Unregistered { .. })
            })
        },
    },
    Flow {
        name: "registration-unsuccessful",
        section: "RFC 3665 §2.5",
        title: "a wrong password",
        differs: "",
        diagram: "Bob -> SIP Server: REGISTER
                  SIP Server -> Bob: 401
                  Bob -> SIP Server: REGISTER
                  SIP Server -> Bob: 401",
        play: |stage| {
            server(stage, "wrong")?;
            stage.register(BOB)?;
            told(stage, "the failure", |event| matches!(event, RegistrationEvent::Failed { .. }))
        },
    },
];

/// The server, and Bob with this password.
fn server(stage: &mut Stage, password: &str) -> Done {
    let gate = stage.gate(realm("biloxi.example.com"), "bob")?;
    let config = ProxyConfig::default().domain("ss2.biloxi.example.com");
    let host = ("ss2.biloxi.example.com", 222);
    stage.proxy("SIP Server", host, config, Domain::default().gate(gate))?;
    let account = Account::new(uri("sip:bob@biloxi.example.com")?)
        .credentials(Credentials::new("bob", password))
        .registrar(uri("sip:ss2.biloxi.example.com")?);
    stage.phone(BOB, ("client.biloxi.example.com", 201), account)
}

fn registers(stage: &mut Stage, password: &str) -> Done<sip_ua::RegistrationKey> {
    server(stage, password)?;
    let registration = stage.register(BOB)?;
    registered(stage)?;
    Ok(registration)
}

fn registered(stage: &mut Stage) -> Done {
    told(stage, "the registration", |event| matches!(event, RegistrationEvent::Registered { .. }))
}

fn told(stage: &mut Stage, what: &str, is: impl Fn(&RegistrationEvent) -> bool) -> Done {
    stage.wait(BOB, what, |event| match event {
        AgentEvent::Registration { event, .. } if is(&event) => Some(()),
        _ => None,
    })
}
