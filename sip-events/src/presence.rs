//! `presence` with PIDF (RFC 3856, RFC 3863).

use std::time::Duration;

use crate::xml::{Element, Writer};
use crate::{BodyError, EventPackage};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:pidf";

/// A presence document (RFC 3863 §4.1). What other namespaces add is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Whose presence: a `pres` or `sip` URI.
    pub entity: String,
    /// How each part of it is.
    pub tuples: Vec<Tuple>,
    /// Notes on the whole.
    pub notes: Vec<Note>,
}

/// One part of a presence: a device, a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Tells it from the others.
    pub id: String,
    /// Whether it is ready for communication, if it says.
    pub open: Option<bool>,
    /// Where it is reached.
    pub contact: Option<String>,
    /// How much that is preferred, in thousandths: 0 to 1000.
    pub priority: Option<u16>,
    /// Notes on it.
    pub notes: Vec<Note>,
    /// When this was so, as RFC 3339 writes it.
    pub timestamp: Option<String>,
}

/// A text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Its language.
    pub language: Option<String>,
    /// What it says.
    pub text: String,
}

impl Presence {
    /// A presence of one tuple.
    pub fn of(entity: impl Into<String>, open: bool) -> Self {
        let tuple = Tuple { id: "t1".into(), open: Some(open), ..Tuple::default() };
        Self { entity: entity.into(), tuples: vec![tuple], notes: Vec::new() }
    }

    /// The presence that several published documents make (RFC 3903): the parts of all of them, and the notes of the
    /// last. Where two parts have the same identifier, the one of the later document gets another.
    pub fn composed(entity: impl Into<String>, documents: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self { entity: entity.into(), ..Self::default() };
        let mut taken = std::collections::HashSet::new();
        for (number, document) in documents.into_iter().enumerate() {
            whole.notes = document.notes;
            for mut tuple in document.tuples {
                while !taken.insert(tuple.id.clone()) {
                    tuple.id.push_str(&format!("-{number}"));
                }
                whole.tuples.push(tuple);
            }
        }
        whole
    }

    /// Whether any part of it is open.
    pub fn is_open(&self) -> bool {
        self.tuples.iter().any(|tuple| tuple.open == Some(true))
    }

    /// With this note on the whole.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(Note { language: None, text: text.into() });
        self
    }
}

impl EventPackage for Presence {
    const NAME: &'static str = "presence";
    // RFC 3856 §6.4: "Therefore, the default expiration time
    // for subscriptions within this package is 3600 seconds."
    const DEFAULT_EXPIRES: u32 = 3600;
    const CONTENT_TYPE: &'static str = "application/pidf+xml";
    // RFC 3856 §6.10: "A PA SHOULD NOT generate notifications for a single
    // presentity at a rate of more than once every five seconds."
    const LEAST_INTERVAL: Option<Duration> = Some(Duration::from_secs(5));
    // RFC 3856 §6.9: "This specification only allows a single dialog to be constructed as a
    // result of emitting an initial SUBSCRIBE request."
    const FORKS: bool = false;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document(body, NAMESPACE, "presence")?;
        let tuples = root.all("tuple").map(Tuple::read).collect::<Result<_, _>>()?;
        // RFC 3863 §4.1.1: "The <presence> element MUST have an 'entity' attribute."
        Ok(Self { entity: root.required("entity")?.to_owned(), tuples, notes: notes(&root) })
    }

    fn render(&self) -> String {
        let mut writer = Writer::new();
        let entity = ("entity", Some(self.entity.as_str()));
        writer.begin("presence", &[("xmlns", Some(NAMESPACE)), entity]);
        for tuple in &self.tuples {
            tuple.write(&mut writer);
        }
        write_notes(&self.notes, &mut writer);
        writer.finish()
    }
}

impl Tuple {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let status = element.child("status").ok_or(BodyError::Missing("status"))?;
        // RFC 3863 §4.1.4: the values are open and closed; others are of those who know them.
        let open = match status.child_text("basic") {
            Some("open") => Some(true),
            Some("closed") => Some(false),
            Some(_) | None => None,
        };
        let contact = element.child("contact");
        let priority = contact.and_then(|contact| contact.attribute("priority"));
        Ok(Self {
            id: element.required("id")?.to_owned(),
            open,
            contact: contact.map(|contact| contact.text().to_owned()),
            priority: priority.map(thousandths).transpose()?,
            notes: notes(element),
            timestamp: element.child_text("timestamp").map(str::to_owned),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.begin("tuple", &[("id", Some(&self.id))]);
        writer.begin("status", &[]);
        writer.leaf_if("basic", self.open.map(|open| if open { "open" } else { "closed" }));
        writer.end();
        if let Some(contact) = &self.contact {
            let priority = self.priority.map(|q| format!("{}.{:03}", q / 1000, q % 1000));
            writer.leaf("contact", &[("priority", priority.as_deref())], contact);
        }
        write_notes(&self.notes, writer);
        writer.leaf_if("timestamp", self.timestamp.as_deref());
        writer.end();
    }
}

fn notes(element: &Element) -> Vec<Note> {
    let note = |note: &Element| Note {
        language: note.attribute("xml:lang").map(str::to_owned),
        text: note.text().to_owned(),
    };
    element.all("note").map(note).collect()
}

fn write_notes(notes: &[Note], writer: &mut Writer) {
    for note in notes {
        writer.leaf("note", &[("xml:lang", note.language.as_deref())], &note.text);
    }
}

/// The priority of a contact (RFC 3863 §4.1.5): 0 to 1, with at most three decimals.
fn thousandths(text: &str) -> Result<u16, BodyError> {
    let error = BodyError::Invalid("priority");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.len() <= 1 && part.len() <= 3;
    if !digits || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(error);
    }
    let whole: u16 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| error.clone())? };
    let part: u16 = format!("{part:0<3}").parse().map_err(|_| error.clone())?;
    match whole.saturating_mul(1000).saturating_add(part) {
        value @ 0..=1000 => Ok(value),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 3863 §4.3.1
    #[test]
    fn the_rfcs_own() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?>
   <presence xmlns="urn:ietf:params:xml:ns:pidf"
        xmlns:im="urn:ietf:params:xml:ns:pidf:im"
        xmlns:myex="http://id.example.com/presence/"
        entity="pres:someone@example.com">
     <tuple id="bs35r9">
       <status>
         <basic>open</basic>
         <im:im>busy</im:im>
         <myex:location>home</myex:location>
       </status>
       <contact priority="0.8">im:someone@mobilecarrier.net</contact>
       <note xml:lang="en">Don't Disturb Please!</note>
       <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
       <timestamp>2001-10-27T16:49:29Z</timestamp>
     </tuple>
     <tuple id="eg92n8">
       <status>
         <basic>open</basic>
       </status>
       <contact priority="1.0">mailto:someone@example.com</contact>
     </tuple>
     <note>I'll be in Tokyo next week</note>
   </presence>"#;
        let presence = Presence::parse(body.as_bytes()).unwrap();
        assert_eq!(presence.entity, "pres:someone@example.com");
        assert!(presence.is_open());
        let [first, second] = presence.tuples.as_slice() else { panic!() };
        assert_eq!(
            (first.id.as_str(), first.open, first.priority),
            ("bs35r9", Some(true), Some(800))
        );
        assert_eq!(first.notes[1].language.as_deref(), Some("fr"));
        assert_eq!(first.timestamp.as_deref(), Some("2001-10-27T16:49:29Z"));
        assert_eq!(second.contact.as_deref(), Some("mailto:someone@example.com"));
        assert_eq!(second.priority, Some(1000));
        assert_eq!(presence.notes[0].text, "I'll be in Tokyo next week");
        assert_eq!(Presence::parse(presence.render().as_bytes()), Ok(presence));
    }

    #[test]
    fn composed_of_several() {
        let documents = [
            Presence::of("a", false).note("one"),
            Presence::of("b", true).note("two"),
            Presence::of("c", true),
        ];
        let whole = Presence::composed("sip:a@example.com", documents);
        let ids: Vec<&str> = whole.tuples.iter().map(|tuple| tuple.id.as_str()).collect();
        assert_eq!(ids, ["t1", "t1-1", "t1-2"]);
        assert!(whole.is_open() && whole.notes.is_empty());
        assert_eq!(whole.entity, "sip:a@example.com");
        assert_eq!(Presence::composed("x", []).tuples, []);
    }

    #[test]
    fn what_is_missing_or_odd() {
        let wrap =
            |inner: &str| format!("<presence xmlns='{NAMESPACE}' entity='a'>{inner}</presence>");
        for (body, error) in [
            (format!("<presence xmlns='{NAMESPACE}'/>"), BodyError::Missing("entity")),
            (wrap("<tuple id='1'/>"), BodyError::Missing("status")),
            (wrap("<tuple><status/></tuple>"), BodyError::Missing("id")),
            (
                wrap("<tuple id='1'><status/><contact priority='1.1'>x</contact></tuple>"),
                BodyError::Invalid("priority"),
            ),
        ] {
            assert_eq!(Presence::parse(body.as_bytes()), Err(error), "{body}");
        }
        let odd = wrap("<tuple id='1'><status><basic>ajar</basic></status></tuple>");
        assert_eq!(Presence::parse(odd.as_bytes()).unwrap().tuples[0].open, None);
        assert!(Presence::parse(wrap("").as_bytes()).unwrap().tuples.is_empty());
        let away = Presence::of("sip:a@example.com", false).note("<away> & back");
        assert_eq!(Presence::parse(away.render().as_bytes()), Ok(away));
    }
}
