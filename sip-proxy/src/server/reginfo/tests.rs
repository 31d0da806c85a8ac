//! Lists of bindings in, documents out.

use std::sync::Arc;
use std::time::Duration;

use sip_events::{EventPackage, Merged, RegInfo, Registrations};
use sip_message::{Limits, Message};

use super::{Known, Told};
use crate::{Aor, Binding, Register, Registrar};

const START: Duration = Duration::from_secs(1_800_000_000);

/// The registrar's bindings of bob, and what one subscriber is told of them.
struct Stage {
    bindings: Vec<Binding>,
    now: Duration,
    told: Told,
    /// What the subscriber has put together.
    seen: Registrations,
}

impl Stage {
    fn new() -> Self {
        let aor = Aor::of(&"sip:bob@example.com".parse().unwrap()).unwrap();
        let told = Told::new(&aor, true);
        Self { bindings: Vec::new(), now: START, told, seen: Registrations::default() }
    }

    fn register(&mut self, cseq: u32, contact: &str) {
        let text = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{cseq}\r\n\
             From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@phone\r\n\
             CSeq: {cseq} REGISTER\r\nSupported: path, outbound\r\nContact: {contact}\r\n\r\n"
        );
        let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
        let request = message.into_request().unwrap();
        let register = Register::read(&request).unwrap();
        let registrar = Registrar::default().jitter(0);
        self.bindings = registrar.apply(&self.bindings, &register, self.now, 0).unwrap().bindings;
    }

    fn known(&self) -> Known {
        Known { bindings: Arc::from(self.bindings.clone()), stranded: Vec::new() }
    }

    /// The next document, and the state of the registration and each event that it tells.
    fn told(&mut self) -> (RegInfo, String, Vec<(String, String)>) {
        let known = self.known();
        let info = self.told.next(&known, self.now);
        assert!(self.told.is_current(&known, self.now));
        let read = RegInfo::parse(info.render().as_bytes()).unwrap();
        assert_eq!(read, info);
        assert_eq!(self.seen.merge(read), Merged::Applied);
        let [registration] = info.registrations.as_slice() else { panic!() };
        let events = registration.contacts.iter();
        let events = events.map(|it| (it.event.clone(), it.uri.clone())).collect();
        (info.clone(), registration.state.clone(), events)
    }

    fn events(&mut self) -> Vec<(String, String)> {
        self.told().2
    }
}

fn event(event: &str, uri: &str) -> (String, String) {
    (event.to_owned(), uri.to_owned())
}

#[test]
fn what_happens_to_a_contact() {
    let mut stage = Stage::new();
    let (info, state, events) = stage.told();
    assert_eq!((info.version, info.full, state.as_str()), (0, true, "init"));
    assert_eq!(events, []);
    stage.register(1, "<sip:bob@192.0.2.7>;expires=600");
    let (info, state, events) = stage.told();
    assert_eq!((info.version, info.full, state.as_str()), (1, false, "active"));
    assert_eq!(events, [event("registered", "sip:bob@192.0.2.7")]);
    stage.now += Duration::from_secs(10);
    stage.register(2, "<sip:bob@192.0.2.7>;expires=600");
    assert_eq!(stage.events(), [event("refreshed", "sip:bob@192.0.2.7")]);
    stage.register(3, "<sip:bob@192.0.2.7>;expires=90");
    let (info, _, events) = stage.told();
    assert_eq!(events, [event("shortened", "sip:bob@192.0.2.7")]);
    assert_eq!(info.registrations[0].contacts[0].expires, Some(90));
    stage.register(4, "<sip:bob@192.0.2.8>;q=0.5");
    assert_eq!(stage.events(), [event("registered", "sip:bob@192.0.2.8")]);
    stage.now += Duration::from_secs(90);
    assert_eq!(stage.events(), [event("expired", "sip:bob@192.0.2.7")]);
    stage.register(5, "<sip:bob@192.0.2.8>;expires=0");
    let (_, state, events) = stage.told();
    assert_eq!(state, "terminated");
    assert_eq!(events, [event("unregistered", "sip:bob@192.0.2.8")]);
    // The step from there to the first state is told to nobody.
    assert!(stage.told.is_current(&stage.known(), stage.now));
    assert_eq!(stage.seen.iter().count(), 0);
}

#[test]
fn a_full_document_has_all_with_their_last_events() {
    let mut stage = Stage::new();
    stage.register(1, "<sip:bob@192.0.2.7>");
    stage.told();
    stage.now += Duration::from_secs(5);
    stage.register(2, "<sip:bob@192.0.2.7>");
    stage.register(3, "\"Bob\" <sip:bob@192.0.2.8>;q=0.5");
    stage.told();
    stage.told.tell_all();
    let (info, state, events) = stage.told();
    assert_eq!((info.full, state.as_str()), (true, "active"));
    let second = event("registered", "sip:bob@192.0.2.8");
    assert_eq!(events, [event("refreshed", "sip:bob@192.0.2.7"), second]);
    let [first, second] = info.registrations[0].contacts.as_slice() else { panic!() };
    assert_ne!(first.id, second.id);
    assert_eq!((first.q.as_deref(), second.q.as_deref()), (None, Some("0.5")));
    assert_eq!(second.display_name.as_deref(), Some("Bob"));
    assert_eq!((second.call_id.as_deref(), second.cseq), (Some("1@phone"), Some(3)));
}

#[test]
fn a_flow_that_is_gone_is_told_from_one_that_left() {
    const CONTACT: &str = "<sip:bob@192.0.2.7>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    let mut stage = Stage::new();
    stage.register(1, CONTACT);
    let (info, ..) = stage.told();
    let contact = &info.registrations[0].contacts[0];
    assert_eq!(contact.pub_gruu.as_deref(), Some("sip:bob@example.com;gr=urn:uuid:1"));
    let instance = ("+sip.instance".to_owned(), "\"<urn:uuid:1>\"".to_owned());
    assert_eq!(contact.params, [("reg-id".to_owned(), "1".to_owned()), instance]);
    // The node that has its connection has lost its lease: the binding is there, and leads nowhere.
    let stranded = Known { stranded: vec![true], ..stage.known() };
    assert!(!stage.told.is_current(&stranded, stage.now));
    let info = stage.told.next(&stranded, stage.now);
    let contact = &info.registrations[0].contacts[0];
    assert_eq!((contact.active, contact.event.as_str()), (false, "deactivated"));
}
