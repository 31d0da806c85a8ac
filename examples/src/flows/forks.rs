//! RFC 6228 §9.2: a call that is forked. The proxy of this stack does not make the 199 of §9.1 and §9.3 itself.

use super::Flow;
use super::acts::sdp;
use super::cast::{Place, serves, someone};
use super::domain::Domain;
use super::stage::{Done, Stage};

const UAC: &str = "UAC";
const P1: &str = "P1";
const UASS: [(&str, Place<'_>); 3] = [
    ("UAS_2", ("uas2.example.com", 202)),
    ("UAS_3", ("uas3.example.com", 203)),
    ("UAS_4", ("uas4.example.com", 204)),
];

pub(super) const FLOWS: &[Flow] = &[Flow {
    name: "forked",
    section: "RFC 6228 §9.2",
    title: "three phones ring, and one is answered: no 199 for those that may yet answer",
    differs: "the CANCELs of the proxy, which the text has and the diagram has not, are shown",
    diagram: "UAC -> P1: INVITE
              + P1 -> UAC: 100
              P1 -> UAS_2: INVITE
              ~ P1 -> UAS_3: INVITE
              ~ P1 -> UAS_4: INVITE
              UAS_2 -> P1 -> UAC: 180
              UAS_3 -> P1 -> UAC: 180
              UAS_4 -> P1 -> UAC: 180
              UAS_4 -> P1 -> UAC: 200
              ~ UAC -> P1 -> UAS_4: ACK
              ~ + P1 -> UAS_2: CANCEL/200
              ~ + UAS_2 -> P1: 487
              ~ + P1 -> UAS_2: ACK
              ~ + P1 -> UAS_3: CANCEL/200
              ~ + UAS_3 -> P1: 487
              ~ + P1 -> UAS_3: ACK",
    play: forked,
}];

fn forked(stage: &mut Stage) -> Done {
    stage.phone(UAC, ("uac.example.com", 101), someone("sip:uac@uac.example.com")?)?;
    let mut domain = Domain::default();
    for (name, at) in UASS {
        domain = domain.user("bob", &format!("sip:bob@{}", at.0));
        stage.phone(name, at, someone("sip:bob@example.com")?)?;
    }
    stage.proxy(P1, ("p1.example.com", 201), serves("example.com"), domain)?;
    stage.record(|zone| zone.host("example.com", std::net::IpAddr::from([192, 0, 2, 201])));
    stage.call(UAC, "sip:bob@example.com", Some(sdp()))?;
    let mut last = None;
    for (name, _) in UASS {
        let call = stage.invited(name)?;
        stage.ring(name, call)?;
        stage.ringing(UAC)?;
        last = Some((name, call));
    }
    stage.accepts(last.ok_or("nobody rings")?, UAC)
}
