//! GRUUs at the registrar, by the example of RFC 5627 §9: what is handed out, what it stands for, and for how long.

use std::time::Duration;

use sip_message::{Contact, HeaderName, Limits, Message, Request, Response, Uri};
use sip_proxy::edge::{Addressed, EdgeKey, EdgeKeys, Gruus};
use sip_proxy::{Binding, Register, RegisterRefused, Registrar, Route};

const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const START: Duration = Duration::from_secs(1_800_000_000);

struct Home {
    registrar: Registrar,
    bindings: Vec<Binding>,
    now: Duration,
}

fn gruus() -> Gruus {
    Gruus::new(EdgeKeys::new(EdgeKey::new(&[7; 32]).unwrap()))
}

fn request(call_id: &str, cseq: u32, fields: &str) -> Request {
    let fields = fields.replace('\n', "\r\n");
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnashds7\r\n\
         Max-Forwards: 70\r\nFrom: Callee <sip:callee@example.com>;tag=a73kszlfl\r\n\
         To: Callee <sip:callee@example.com>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n\
         {fields}\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(text.into(), &Limits::default()).unwrap().into_request().unwrap()
}

/// A Contact of the callee's phone at this address.
fn at(address: &str, more: &str) -> String {
    format!("Supported: gruu\nContact: <sip:callee@{address}>;+sip.instance=\"<{INSTANCE}>\"{more}")
}

impl Home {
    fn new() -> Self {
        let registrar = Registrar::default().jitter(0).gruus(gruus());
        Self { registrar, bindings: Vec::new(), now: START }
    }

    fn try_register(
        &mut self,
        call_id: &str,
        cseq: u32,
        fields: &str,
    ) -> Result<Response, RegisterRefused> {
        self.now += Duration::from_secs(1);
        let request = request(call_id, cseq, fields);
        let register = Register::read(&request)?;
        let change = self.registrar.apply(&self.bindings, &register, self.now, cseq)?;
        self.bindings.clone_from(&change.bindings);
        Ok(change.answer(&request, self.now).build().unwrap())
    }

    fn register(&mut self, call_id: &str, cseq: u32, fields: &str) -> Response {
        self.try_register(call_id, cseq, fields).unwrap()
    }

    /// The addresses to which a request for this URI goes: one after the other, those of a group together.
    fn reached(&self, uri: &str) -> String {
        let uri: Uri<'_> = uri.parse().unwrap();
        let Some(addressed) = Addressed::of(&uri, self.registrar.gruus.as_ref()) else {
            return "404".into();
        };
        assert_eq!(addressed.aor().as_str(), "callee@example.com");
        let live = self.bindings.iter().filter(|binding| binding.until() > self.now);
        shown(&addressed.route(live))
    }
}

fn shown(route: &Route) -> String {
    let Route::Proxy { targets: groups, .. } = route else {
        let shown = format!("{route:?}");
        assert!(shown.contains("404"), "{shown}");
        return "404".into();
    };
    if groups.is_empty() {
        return "480".into();
    }
    let group = |group: &Vec<sip_proxy::RouteTarget>| {
        let targets: Vec<String> = group.iter().map(ToString::to_string).collect();
        targets.join(" + ")
    };
    groups.iter().map(group).collect::<Vec<_>>().join(" | ")
}

fn contacts(response: &Response) -> Vec<Contact<'_>> {
    response.headers().get_all::<Contact<'_>>().map(Result::unwrap).collect()
}

fn temporary(response: &Response) -> String {
    let contacts = contacts(response);
    let contact = contacts.iter().find(|it| it.instance().as_deref() == Some(INSTANCE));
    contact.unwrap().temp_gruu().unwrap().to_string()
}

/// RFC 5627 §9, messages 1, 2, 9, 10, 17 and 18.
#[test]
fn the_example_of_the_rfc() {
    let mut home = Home::new();
    let answer = home.register("1j9FpLxk3uxtm8tn@192.0.2.1", 1, &at("192.0.2.1", ""));
    let contact = &contacts(&answer)[0];
    let public = "sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    assert_eq!(contact.pub_gruu().unwrap().as_str(), public);
    assert_eq!(contact.instance().as_deref(), Some(INSTANCE));
    let first = temporary(&answer);
    assert!(first.starts_with("sip:tgruu.") && first.ends_with("@example.com;gr"), "{first}");
    // RFC 5627 §5.2: "The registrar SHOULD NOT include the "gruu" option tag in the Require
    // or Supported header field of the response."
    for name in [HeaderName::Require, HeaderName::Supported] {
        assert_eq!(answer.raw(name), None);
    }
    for gruu in [public, &first] {
        assert_eq!(home.reached(gruu), "sip:callee@192.0.2.1");
    }

    // The phone crashes, comes back at another address, and knows nothing of before.
    let answer = home.register("hf8asxzff8s7f@192.0.2.2", 1, &at("192.0.2.2", ""));
    let both = contacts(&answer);
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|contact| contact.pub_gruu().unwrap().as_str() == public));
    let second = temporary(&answer);
    assert_ne!(second, first);
    assert_eq!(both[1].temp_gruu().unwrap().as_str(), second);
    // The newest contact first, the old one only if that one fails; the old temporary GRUU is nobody's.
    for gruu in [public, &second] {
        assert_eq!(home.reached(gruu), "sip:callee@192.0.2.2 or sip:callee@192.0.2.1");
    }
    assert_eq!(home.reached(&first), "404");
    assert_eq!(home.reached("sip:callee@example.com"), home.reached(public));
}

#[test]
fn temporary_gruus_accumulate_until_the_call_id_changes_or_the_last_contact_goes() {
    let mut home = Home::new();
    let first = temporary(&home.register("1", 1, &at("192.0.2.1", "")));
    let second = temporary(&home.register("1", 2, &at("192.0.2.1", "")));
    assert_ne!(first, second);
    for gruu in [&first, &second] {
        assert_eq!(home.reached(gruu), "sip:callee@192.0.2.1");
    }
    // Another instance is another matter.
    let other = at("192.0.2.9", "").replace("f81d4fae", "00000000");
    home.register("2", 1, &other);
    assert_eq!(home.reached(&first), "sip:callee@192.0.2.1");
    assert_eq!(
        home.reached("sip:callee@example.com"),
        "sip:callee@192.0.2.9 + sip:callee@192.0.2.1"
    );

    // The last contact goes: the temporary ones go with it for good, the public one waits.
    home.register("1", 3, &at("192.0.2.1", ";expires=0"));
    assert_eq!(home.reached(&first), "404");
    let public = format!("sip:callee@example.com;gr={INSTANCE}");
    assert_eq!(home.reached(&public), "480");
    let third = temporary(&home.register("1", 4, &at("192.0.2.1", "")));
    assert_eq!((home.reached(&first), home.reached(&second)), ("404".into(), "404".into()));
    assert_eq!(
        (home.reached(&third), home.reached(&public)),
        ("sip:callee@192.0.2.1".into(), "sip:callee@192.0.2.1".into())
    );

    // One of two contacts goes, which had made them anew: those before do not come back.
    home.register("5", 1, &at("192.0.2.5", ""));
    home.register("5", 2, &at("192.0.2.5", ";expires=0"));
    assert_eq!(
        (home.reached(&third), home.reached(&public)),
        ("404".into(), "sip:callee@192.0.2.1".into())
    );
}

/// The flows of one instance have Call-IDs of their own (RFC 5626 §4.2).
#[test]
fn a_second_flow_leaves_the_gruus_of_the_first() {
    let flow = |number: u32| {
        at("192.0.2.1", &format!(";reg-id={number}")).replace("gruu", "gruu, path, outbound")
    };
    let mut home = Home::new();
    let first = temporary(&home.register("1", 1, &flow(1)));
    let second = temporary(&home.register("2", 1, &flow(2)));
    for gruu in [&first, &second] {
        assert_eq!(home.reached(gruu), "sip:callee@192.0.2.1 or sip:callee@192.0.2.1");
    }
    // The phone begins anew with one of them.
    home.register("3", 1, &flow(1));
    assert_eq!((home.reached(&first), home.reached(&second)), ("404".into(), "404".into()));
}

#[test]
fn who_is_given_gruus() {
    let mut home = Home::new();
    let none = |answer: &Response| {
        contacts(answer)
            .iter()
            .all(|it| it.param("pub-gruu").is_none() && it.param("temp-gruu").is_none())
    };
    // Not who does not know them, nor a contact without an instance.
    assert!(none(&home.register("1", 1, &at("192.0.2.1", "").replace("gruu", "path"))));
    home.bindings.clear();
    assert!(none(&home.register("1", 1, "Supported: gruu\nContact: <sip:callee@192.0.2.1>")));
    home.bindings.clear();
    // Nobody gives them to himself.
    let own = ";pub-gruu=\"sip:me@example.com;gr=x\";temp-gruu=\"sip:t@example.com;gr\";q=0.5";
    let answer = home.register("1", 1, &at("192.0.2.1", own));
    let contact = &contacts(&answer)[0];
    assert_eq!(
        contact.pub_gruu().unwrap().as_str(),
        format!("sip:callee@example.com;gr={INSTANCE}")
    );
    assert!(temporary(&answer).starts_with("sip:tgruu."));
    assert_eq!(
        contact.params().filter(|param| param.is("pub-gruu") || param.is("temp-gruu")).count(),
        2
    );
    assert_eq!(
        (contact.instance().as_deref(), contact.q().unwrap().to_string()),
        (Some(INSTANCE), "0.5".into())
    );
    let plain =
        home.register("1", 2, &at("192.0.2.1", own).replace("Supported: gruu", "Supported: path"));
    assert!(none(&plain));
    // A registrar that has no key for them.
    home.registrar.gruus = None;
    assert!(none(&home.register("1", 3, &at("192.0.2.1", own))));
}

#[test]
fn a_contact_that_is_a_gruu_of_its_own_user() {
    let mut home = Home::new();
    let temporary = temporary(&home.register("1", 1, &at("192.0.2.1", "")));
    for uri in [temporary, format!("sip:callee@example.com;gr={INSTANCE}")] {
        let fields = format!("Contact: <{uri}>");
        let refused = home.try_register("2", 1, &fields).unwrap_err();
        assert_eq!(refused.status().as_u16(), 403, "{uri}");
    }
    let fields = at("192.0.2.1", "").replace("sip:callee@192.0.2.1", "tel:+15551234");
    assert_eq!(home.try_register("2", 1, &fields).unwrap_err(), RegisterRefused::NotSip);
    // Without an instance it is nothing to GRUUs.
    assert!(home.try_register("2", 1, "Contact: <tel:+15551234>").is_ok());
}

/// RFC 3608 §6.3.
#[test]
fn the_way_out_is_told() {
    let mut home = Home::new();
    home.registrar = Registrar::default()
        .service_route("sip:p2.example.com;lr".parse().unwrap())
        .service_route("sip:hsp.example.com".parse().unwrap());
    let told = ["<sip:p2.example.com;lr>", "<sip:hsp.example.com;lr>"];
    let answers = [
        home.register("1", 1, &at("192.0.2.1", "")),
        home.register("1", 2, "Subject: what is there?"),
    ];
    for answer in answers {
        let routes: Vec<String> = answer
            .headers()
            .get_all::<sip_message::ServiceRoute<'_>>()
            .map(|route| route.unwrap().to_string())
            .collect();
        assert_eq!(routes, told);
    }
}
