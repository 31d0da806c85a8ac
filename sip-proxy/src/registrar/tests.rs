//! A REGISTER in, the bindings and the answer out.

use std::time::Duration;

use sip_message::{Contact, HeaderName, Limits, Message, Request, Response};

use super::*;

const START: Duration = Duration::from_secs(1_800_000_000);

/// A registrar with the bindings of one user, and its clock.
struct Home {
    registrar: Registrar,
    bindings: Vec<Binding>,
    now: Duration,
}

impl Home {
    fn new(registrar: Registrar) -> Self {
        Self { registrar: registrar.jitter(0), bindings: Vec::new(), now: START }
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// What becomes of a REGISTER with these header fields: what was told, and the answer.
    fn register(
        &mut self,
        cseq: u32,
        fields: &str,
    ) -> Result<(Vec<BindingEvent>, Response), RegisterRefused> {
        self.register_as("1@phone", cseq, fields)
    }

    fn register_as(
        &mut self,
        call_id: &str,
        cseq: u32,
        fields: &str,
    ) -> Result<(Vec<BindingEvent>, Response), RegisterRefused> {
        let request = request("sip:example.com", call_id, cseq, fields);
        let register = Register::read(&request)?;
        let change = self.registrar.apply(&self.bindings, &register, self.now, 0)?;
        self.bindings.clone_from(&change.bindings);
        let events = change.events.iter().map(|(event, _)| *event).collect();
        Ok((events, change.answer(&request, self.now).build().unwrap()))
    }

    fn refused(&mut self, cseq: u32, fields: &str) -> Response {
        let before = self.bindings.clone();
        let refused = self.register(cseq, fields).unwrap_err();
        assert_eq!(self.bindings, before, "what is refused changes nothing");
        refused.answer(&request("sip:example.com", "1@phone", cseq, fields)).build().unwrap()
    }

    fn uris(&self) -> Vec<String> {
        self.bindings.iter().map(|binding| binding.uri().unwrap().to_string()).collect()
    }
}

fn request(uri: &str, call_id: &str, cseq: u32, fields: &str) -> Request {
    let fields = fields.replace('\n', "\r\n");
    let text = format!(
        "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} REGISTER\r\n{fields}\r\n\r\n"
    );
    let message = Message::parse(text.into_bytes().into(), &Limits::default()).unwrap();
    message.into_request().unwrap()
}

fn contacts(response: &Response) -> Vec<String> {
    response
        .headers()
        .get_all::<Contact<'_>>()
        .map(|contact| contact.unwrap().to_string())
        .collect()
}

fn status(response: &Response) -> u16 {
    response.status().as_u16()
}

#[test]
fn bindings_are_added_listed_refreshed_and_removed() {
    let mut home = Home::new(Registrar::default());
    let (events, answer) = home
        .register(1, "Contact: <sip:bob@a>, <sip:bob@b>;q=0.5;expires=120\nExpires: 600")
        .unwrap();
    assert_eq!(events, [BindingEvent::Registered; 2]);
    assert_eq!(contacts(&answer), ["<sip:bob@a>;expires=600", "<sip:bob@b>;q=0.5;expires=120"]);
    assert_eq!(answer.raw(HeaderName::Date), Some(&b"Fri, 15 Jan 2027 08:00:00 GMT"[..]));

    // A query changes nothing, and tells what time has left.
    let (events, answer) = home.after(100).register(2, "Subject: what is there?").unwrap();
    assert!(events.is_empty());
    assert_eq!(contacts(&answer), ["<sip:bob@a>;expires=500", "<sip:bob@b>;q=0.5;expires=20"]);

    let (events, _) = home
        .after(10)
        .register(3, "Contact: <sip:bob@a>;expires=700, <sip:bob@b>;expires=0")
        .unwrap();
    assert_eq!(events, [BindingEvent::Refreshed, BindingEvent::Unregistered]);
    let (events, _) = home.register(4, "Contact: <sip:bob@a>;expires=60").unwrap();
    assert_eq!(events, [BindingEvent::Shortened]);
    let (events, answer) = home.after(60).register(5, "Subject: anybody left?").unwrap();
    assert_eq!(events, [BindingEvent::Expired]);
    assert!(contacts(&answer).is_empty() && home.bindings.is_empty());
}

/// RFC 3261 §10.3 step 7: how long.
#[test]
fn the_time_that_is_granted() {
    let mut home = Home::new(Registrar::default().max_expires(1000).min_expires(100));
    for (fields, granted) in [
        ("Contact: <sip:bob@a>", 1000),
        ("Contact: <sip:bob@a>\nExpires: 400", 400),
        ("Contact: <sip:bob@a>;expires=300\nExpires: 400", 300),
        ("Contact: <sip:bob@a>;expires=99999", 1000),
        // RFC 3261 §10.2.1.1: "Malformed values SHOULD be treated as equivalent to 3600."
        ("Contact: <sip:bob@a>;expires=soon", 1000),
    ] {
        home.bindings.clear();
        let (_, answer) = home.register(1, fields).unwrap();
        assert_eq!(contacts(&answer).len(), 1);
        assert!(
            contacts(&answer)[0].ends_with(&format!("expires={granted}")),
            "{fields}: {:?}",
            contacts(&answer)
        );
    }
    let answer = home.refused(2, "Contact: <sip:bob@a>;expires=99");
    assert_eq!(status(&answer), 423);
    assert_eq!(answer.raw(HeaderName::MinExpires), Some(&b"100"[..]));

    // An hour is never too brief, whatever the minimum.
    let mut home = Home::new(Registrar::default().min_expires(7000));
    assert!(home.register(1, "Contact: <sip:bob@a>;expires=3600").is_ok());
    assert_eq!(status(&home.refused(2, "Contact: <sip:bob@a>;expires=3599")), 423);
}

#[test]
fn chance_shortens_a_time_within_its_bounds() {
    let registrar = Registrar::default().jitter(10);
    let request = request("sip:example.com", "1", 1, "Contact: <sip:bob@a>;expires=1000");
    let register = Register::read(&request).unwrap();
    let lives: Vec<u64> = (0..500)
        .map(|dice| {
            registrar.apply(&[], &register, START, dice).unwrap().bindings[0].until() - START
        })
        .map(|life| life.as_secs())
        .collect();
    assert_eq!((lives.iter().min(), lives.iter().max()), (Some(&900), Some(&1000)));

    // Never to less than what would be refused.
    let brief = self::request("sip:example.com", "1", 1, "Contact: <sip:bob@a>;expires=60");
    let register = Register::read(&brief).unwrap();
    for dice in 0..20 {
        let change = registrar.apply(&[], &register, START, dice).unwrap();
        assert_eq!(change.bindings[0].until(), START + Duration::from_secs(60));
    }
}

/// RFC 3261 §10.3 steps 6 and 7: by Call-ID and CSeq.
/// RFC 3261 §10.3: it changes neither what is bound nor what is answered.
#[test]
fn a_record_route_means_nothing_to_a_registrar() {
    let contact = "Contact: <sip:bob@192.0.2.7>";
    let (mut with, mut without) =
        (Home::new(Registrar::default()), Home::new(Registrar::default()));
    let routed = format!("Record-Route: <sip:192.0.2.60;lr>\n{contact}");
    let (events, answer) = with.register(1, &routed).unwrap();
    let (expected, plain) = without.register(1, contact).unwrap();
    assert_eq!((events, &with.bindings), (expected, &without.bindings));
    assert!(!answer.headers().contains(HeaderName::RecordRoute));
    assert_eq!(answer.to_bytes(), plain.to_bytes());
    assert_eq!(with.refused(1, &routed).headers().raw_all(HeaderName::RecordRoute).count(), 0);
}

#[test]
fn what_comes_late_is_refused() {
    let mut home = Home::new(Registrar::default());
    home.register(5, "Contact: <sip:bob@a>").unwrap();
    for cseq in [4, 5] {
        assert_eq!(status(&home.refused(cseq, "Contact: <sip:bob@a>;expires=0")), 500);
        assert_eq!(status(&home.refused(cseq, "Contact: *\nExpires: 0")), 500);
        // All or nothing: what is new in it does not count either.
        assert_eq!(status(&home.refused(cseq, "Contact: <sip:bob@new>, <sip:bob@a>")), 500);
    }
    // Another user agent, or the same after a restart: by another Call-ID any CSeq will do.
    let (events, _) = home.register_as("2@phone", 1, "Contact: <sip:bob@a>").unwrap();
    assert_eq!(events, [BindingEvent::Refreshed]);
    assert_eq!((home.bindings[0].call_id(), home.bindings[0].cseq()), ("2@phone", 1));

    let mut home = Home::new(Registrar::default().restarted_phones(true));
    home.register(5, "Contact: <sip:bob@a>").unwrap();
    assert_eq!(
        status(&home.refused(5, "Contact: <sip:bob@a>")),
        500,
        "the same again is no restart"
    );
    assert!(home.register(1, "Contact: <sip:bob@a>").is_ok());
}

#[test]
fn a_star_removes_all_or_is_refused() {
    let mut home = Home::new(Registrar::default());
    home.register(1, "Contact: <sip:bob@a>, <sip:bob@b>").unwrap();
    for fields in [
        "Contact: *",
        "Contact: *\nExpires: 1",
        "Contact: *\nContact: <sip:bob@a>\nExpires: 0",
        "Contact: *\nContact: *, <sip:bob@a>\nExpires: 0",
    ] {
        assert_eq!(status(&home.refused(2, fields)), 400, "{fields}");
    }
    let (events, answer) = home.register(3, "Contact: *\nExpires: 0").unwrap();
    assert_eq!(events, [BindingEvent::Unregistered; 2]);
    assert!(contacts(&answer).is_empty());
}

#[test]
fn a_contact_that_is_named_twice_is_bound_as_it_is_named_last() {
    let mut home = Home::new(Registrar::default());
    let (_, answer) =
        home.register(1, "Contact: <sip:bob@a>;expires=100, <sip:bob@A>;expires=200").unwrap();
    assert_eq!(contacts(&answer), ["<sip:bob@A>;expires=200"]);
}

#[test]
fn there_is_room_for_so_many() {
    let mut home = Home::new(Registrar::default().max_bindings(2, AtLimit::Refuse));
    home.register(1, "Contact: <sip:bob@a>, <sip:bob@b>").unwrap();
    assert_eq!(status(&home.refused(2, "Contact: <sip:bob@c>")), 403);
    // One for another is no more than before.
    assert!(home.register(3, "Contact: <sip:bob@c>, <sip:bob@a>;expires=0").is_ok());
    assert_eq!(home.uris(), ["sip:bob@b", "sip:bob@c"]);

    let mut home = Home::new(Registrar::default().max_bindings(2, AtLimit::ReplaceOldest));
    home.register(1, "Contact: <sip:bob@a>").unwrap();
    home.after(1).register(2, "Contact: <sip:bob@b>").unwrap();
    home.after(1).register(3, "Contact: <sip:bob@a>").unwrap();
    let (events, _) = home.after(1).register(4, "Contact: <sip:bob@c>").unwrap();
    assert_eq!(events, [BindingEvent::Registered, BindingEvent::Deactivated]);
    assert_eq!(home.uris(), ["sip:bob@a", "sip:bob@c"]);
    // What asks for more than there may be gets none of it.
    let many = "Contact: <sip:bob@1>, <sip:bob@2>, <sip:bob@3>";
    assert_eq!(status(&home.refused(5, many)), 403);

    let long = format!("Contact: <sip:{}@a>", "b".repeat(2100));
    assert_eq!(status(&home.refused(6, &long)), 400);
}

const FLOW: &str =
    "Supported: path, outbound\nContact: <sip:bob@a>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";

/// RFC 5626 §6.
#[test]
fn a_flow_is_bound_by_its_instance_and_number() {
    let mut home = Home::new(Registrar { flow_timer: 90, ..Registrar::default() });
    let (_, answer) = home.register(1, FLOW).unwrap();
    assert_eq!(answer.raw(HeaderName::Require), Some(&b"outbound"[..]));
    assert_eq!(answer.raw(HeaderName::FlowTimer), Some(&b"90"[..]));
    // From elsewhere, it is the same flow; by another number it is another.
    let moved = FLOW.replace("bob@a", "bob@elsewhere");
    let (events, _) = home.register(2, &moved).unwrap();
    assert_eq!(
        (events.as_slice(), home.uris()),
        (&[BindingEvent::Refreshed][..], vec!["sip:bob@elsewhere".into()])
    );
    home.register_as("2@phone", 1, &moved.replace("reg-id=1", "reg-id=2")).unwrap();
    assert_eq!(home.bindings.len(), 2);
    assert_eq!(home.bindings[1].flow(), Some(("urn:uuid:1", 2)));
    // A binding by URI beside them.
    let (events, answer) = home.register_as("3@phone", 1, "Contact: <sip:bob@elsewhere>").unwrap();
    assert_eq!((events, home.bindings.len()), (vec![BindingEvent::Registered], 3));
    assert_eq!(answer.raw(HeaderName::Require), None);

    // Without an instance the number does not count.
    let mut home = Home::new(Registrar::default());
    let (_, answer) =
        home.register(1, "Supported: outbound\nContact: <sip:bob@a>;reg-id=1").unwrap();
    assert_eq!((home.bindings[0].flow(), answer.raw(HeaderName::Require)), (None, None));
    // Two bindings at once, one of them a flow.
    let two = format!("{FLOW}, <sip:bob@b>");
    assert_eq!(status(&home.refused(2, &two)), 400);
    assert!(home.register(3, &format!("{FLOW}, <sip:bob@a>;expires=0")).is_ok());
}

#[test]
fn a_flow_wants_a_first_hop_that_keeps_it() {
    let mut home = Home::new(Registrar::default());
    let via = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa";
    assert_eq!(status(&home.refused(1, &format!("{via}\n{FLOW}"))), 439);
    assert_eq!(status(&home.refused(1, &format!("{via}\nPath: <sip:edge;lr>\n{FLOW}"))), 439);
    let kept = format!("{via}\nPath: <sip:token@edge;lr;ob>, <sip:inner;lr>\n{FLOW}");
    let (_, answer) = home.register(1, &kept).unwrap();
    assert_eq!(answer.raw(HeaderName::Path), Some(&b"<sip:token@edge;lr;ob>, <sip:inner;lr>"[..]));
    let path: Vec<String> = home.bindings[0].path().iter().map(ToString::to_string).collect();
    assert_eq!(path, ["sip:token@edge;lr;ob", "sip:inner;lr"]);

    // Who does not know of flows is bound by its URI all the same.
    let mut home = Home::new(Registrar::default());
    let plain = format!("{via}\n{}", FLOW.replace("path, outbound", "path"));
    home.register(1, &plain).unwrap();
    assert_eq!(home.bindings[0].flow(), None);
}

#[test]
fn this_element_is_first_on_the_path() {
    let request = request(
        "sip:example.com",
        "1",
        1,
        "Supported: path\nPath: <sip:edge;lr>\nContact: <sip:bob@a>",
    );
    let us = "sip:token@us;lr;ob".parse().unwrap();
    let register = Register::read(&request).unwrap().over(&us);
    let change = Registrar::default().apply(&[], &register, START, 0).unwrap();
    let path: Vec<String> = change.bindings[0].path().iter().map(ToString::to_string).collect();
    assert_eq!(path, ["sip:token@us;lr;ob", "sip:edge;lr"]);
    // What others have put there goes back as it came.
    let answer = change.answer(&request, START).build().unwrap();
    assert_eq!(answer.raw(HeaderName::Path), Some(&b"<sip:edge;lr>"[..]));
}

/// RFC 3327 §5.3.
#[test]
fn a_path_wants_a_user_agent_that_knows_it() {
    let mut home = Home::new(Registrar::default());
    let fields = "Path: <sip:edge;lr>\nContact: <sip:bob@a>";
    let answer = home.refused(1, fields);
    assert_eq!((status(&answer), answer.raw(HeaderName::Unsupported)), (420, Some(&b"path"[..])));
    let mut home = Home::new(Registrar::default().path_from_anyone(true));
    assert!(home.register(1, fields).is_ok());
}

#[test]
fn what_is_refused_says_why() {
    let mut home = Home::new(Registrar::default());
    for (fields, owed) in [
        ("Contact: <sip:bob@>", 400),
        ("Contact: bob", 400),
        ("Supported: path\nPath: sip:no-brackets\nContact: <sip:bob@a>", 400),
        // RFC 5630 §5.2: "If the URIs are not of the proper SIPS scheme, the
        // registrar MUST reject the REGISTER with a 400 (Bad Request)."
        ("Contact: <sips:bob@a>", 400),
        ("Contact: <sip:bob@EXAMPLE.com;user=phone>", 403),
    ] {
        assert_eq!(status(&home.refused(1, fields)), owed, "{fields}");
    }
    let secure = request(
        "sips:example.com",
        "1",
        1,
        "Supported: path\nPath: <sip:edge;lr>\nContact: <sips:bob@a>",
    );
    assert_eq!(Register::read(&secure).unwrap_err(), RegisterRefused::NotSecure);
    let secure = request(
        "sips:example.com",
        "1",
        1,
        "Supported: path\nPath: <sips:edge;lr>\nContact: <sips:bob@a>",
    );
    assert!(Register::read(&secure).is_ok());
    let answer = RegisterRefused::Star.answer(&secure).build().unwrap();
    assert_eq!(
        answer.reason(),
        b"Bad Request: a Contact of * wants Expires: 0 and no other Contact"
    );
}

#[test]
fn an_address_of_record_has_one_form() {
    let aor = |uri: &str| Aor::of(&uri.parse().unwrap()).map(|aor| aor.to_string());
    for uri in [
        "sip:bob@example.com",
        "sips:bob@EXAMPLE.com;user=phone",
        "sip:%62ob@example.com;transport=tcp",
    ] {
        assert_eq!(aor(uri).as_deref(), Some("bob@example.com"), "{uri}");
    }
    assert_eq!(aor("sip:Bob@example.com:5070").as_deref(), Some("Bob@example.com:5070"));
    assert_eq!(aor("sip:example.com").as_deref(), Some("example.com"));
    assert_eq!(aor("tel:+15551234"), None);
}
