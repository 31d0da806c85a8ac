//! `reg`: who is registered, and where (RFC 3680), and by which GRUUs (RFC 5628).

use std::time::Duration;

use crate::dialog::is_full;
use crate::merge::{Merged, Version};
use crate::xml::{Element, Writer};
use crate::{BodyError, EventPackage};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:reginfo";
const GRUUS: &str = "urn:ietf:params:xml:ns:gruuinfo";

/// How many addresses-of-record, and how many contacts of each, a [`Registrations`] keeps.
const MAX_ROWS: usize = 4_096;

/// A reginfo document (RFC 3680 §5.1). What other namespaces add is not read, but for public GRUUs (RFC 5628).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegInfo {
    /// Its place among the documents of the subscription.
    pub version: u32,
    /// Whether it names every registration, and not only those that changed.
    pub full: bool,
    /// The registrations.
    pub registrations: Vec<WatchedRegistration>,
}

/// What is registered for one address-of-record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedRegistration {
    /// The address-of-record.
    pub aor: String,
    /// Tells it from the others of the subscription.
    pub id: String,
    /// `init`, `active` or `terminated`.
    pub state: String,
    /// Its contacts.
    pub contacts: Vec<BoundContact>,
}

/// One contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundContact {
    /// Tells it from the others of the subscription.
    pub id: String,
    /// Whether it is bound; otherwise the event says why not.
    pub active: bool,
    /// `registered`, `created`, `refreshed`, `shortened`, `expired`, `deactivated`, `probation`, `unregistered`
    /// or `rejected`.
    pub event: String,
    /// The URI.
    pub uri: String,
    /// The name that goes with it.
    pub display_name: Option<String>,
    /// For how many seconds it has been bound.
    pub duration_registered: Option<u32>,
    /// For how many seconds it yet is.
    pub expires: Option<u32>,
    /// In how many seconds its owner is to register again.
    pub retry_after: Option<u32>,
    /// How much it is preferred, as Contact writes it.
    pub q: Option<String>,
    /// The Call-ID of the REGISTER that made or refreshed it last.
    pub call_id: Option<String>,
    /// The CSeq number of that REGISTER.
    pub cseq: Option<u32>,
    /// The parameters of the Contact that RFC 3261 does not know, each with its value as it was written; an empty one
    /// if it has none.
    pub params: Vec<(String, String)>,
    /// The public GRUU of its instance (RFC 5628 §5).
    pub pub_gruu: Option<String>,
}

impl EventPackage for RegInfo {
    const NAME: &'static str = "reg";
    // RFC 3680 §4.4
    const DEFAULT_EXPIRES: u32 = 3761;
    const CONTENT_TYPE: &'static str = "application/reginfo+xml";
    // RFC 3680 §4.10: "it is RECOMMENDED
    // that the server not generate notifications for a single subscriber at
    // a rate faster than once every 5 seconds."
    const LEAST_INTERVAL: Option<Duration> = Some(Duration::from_secs(5));
    const FORKS: bool = false;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document_of(body, &[NAMESPACE, GRUUS], "reginfo")?;
        let registrations = root.all("registration").map(WatchedRegistration::read);
        Ok(Self {
            version: root.number("version")?.ok_or(BodyError::Missing("version"))?,
            full: is_full(&root)?,
            registrations: registrations.collect::<Result<_, _>>()?,
        })
    }

    fn render(&self) -> String {
        let mut writer = Writer::new();
        let version = self.version.to_string();
        let state = if self.full { "full" } else { "partial" };
        let mut contacts = self.registrations.iter().flat_map(|row| &row.contacts);
        let has_gruus = contacts.any(|contact| contact.pub_gruu.is_some());
        let attributes = [
            ("xmlns", Some(NAMESPACE)),
            ("xmlns:gr", has_gruus.then_some(GRUUS)),
            ("version", Some(&version)),
            ("state", Some(state)),
        ];
        writer.begin("reginfo", &attributes);
        for registration in &self.registrations {
            registration.write(&mut writer);
        }
        writer.finish()
    }
}

impl WatchedRegistration {
    fn read(element: &Element) -> Result<Self, BodyError> {
        Ok(Self {
            aor: element.required("aor")?.to_owned(),
            id: element.required("id")?.to_owned(),
            state: element.required("state")?.to_owned(),
            contacts: element.all("contact").map(BoundContact::read).collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let Self { aor, id, state, contacts } = self;
        let attributes = [("aor", Some(aor.as_str())), ("id", Some(id)), ("state", Some(state))];
        writer.begin("registration", &attributes);
        for contact in contacts {
            contact.write(writer);
        }
        writer.end();
    }
}

impl BoundContact {
    fn read(element: &Element) -> Result<Self, BodyError> {
        Ok(Self {
            id: element.required("id")?.to_owned(),
            active: match element.required("state")? {
                "active" => true,
                "terminated" => false,
                _ => return Err(BodyError::Invalid("state")),
            },
            event: element.required("event")?.to_owned(),
            uri: element.child_text("uri").ok_or(BodyError::Missing("uri"))?.to_owned(),
            display_name: element.child_text("display-name").map(str::to_owned),
            duration_registered: element.number("duration-registered")?,
            expires: element.number("expires")?,
            retry_after: element.number("retry-after")?,
            q: element.attribute("q").map(str::to_owned),
            call_id: element.attribute("callid").map(str::to_owned),
            cseq: element.number("cseq")?,
            params: element
                .all("unknown-param")
                .map(|param| Ok((param.required("name")?.to_owned(), param.text().to_owned())))
                .collect::<Result<_, _>>()?,
            pub_gruu: element
                .child("pub-gruu")
                .map(|gruu| gruu.required("uri").map(str::to_owned))
                .transpose()?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let duration = number(self.duration_registered);
        let (expires, retry_after) = (number(self.expires), number(self.retry_after));
        let cseq = number(self.cseq);
        writer.begin(
            "contact",
            &[
                ("id", Some(&self.id)),
                ("state", Some(if self.active { "active" } else { "terminated" })),
                ("event", Some(&self.event)),
                ("duration-registered", duration.as_deref()),
                ("expires", expires.as_deref()),
                ("retry-after", retry_after.as_deref()),
                ("q", self.q.as_deref()),
                ("callid", self.call_id.as_deref()),
                ("cseq", cseq.as_deref()),
            ],
        );
        writer.leaf("uri", &[], &self.uri);
        writer.leaf_if("display-name", self.display_name.as_deref());
        for (name, value) in &self.params {
            writer.leaf("unknown-param", &[("name", Some(name))], value);
        }
        // RFC 5628 §5: "When present, the <pub-gruu> element MUST be positioned as a
        // child of the <contact> element."
        if let Some(uri) = &self.pub_gruu {
            writer.leaf("gr:pub-gruu", &[("uri", Some(uri))], "");
        }
        writer.end();
    }
}

/// The registrations of one subscription, put together of its documents (RFC 3680 §5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registrations {
    version: Version,
    rows: Vec<WatchedRegistration>,
}

impl Registrations {
    /// Takes a document. At most 4,096 addresses and as many contacts of each are kept; with more, the answer is
    /// [`Merged::Gap`].
    pub fn merge(&mut self, info: RegInfo) -> Merged {
        let mut merged = self.version.meets(info.version, info.full);
        if merged == Merged::Stale {
            return merged;
        }
        if info.full {
            self.rows.clear();
        }
        for mut registration in info.registrations {
            let contacts = std::mem::take(&mut registration.contacts);
            let known = self.rows.iter().position(|row| row.id == registration.id);
            let place = known.unwrap_or(self.rows.len());
            if known.is_none() {
                if self.rows.len() >= MAX_ROWS {
                    merged = Merged::Gap;
                    continue;
                }
                self.rows.push(WatchedRegistration::default());
            }
            let Some(row) = self.rows.get_mut(place) else { continue }; // It is there now.
            let before = std::mem::take(&mut row.contacts);
            *row = WatchedRegistration { contacts: before, ..registration };
            for contact in contacts {
                row.contacts.retain(|known| known.id != contact.id);
                if !contact.active {
                    continue;
                }
                if row.contacts.len() < MAX_ROWS {
                    row.contacts.push(contact);
                } else {
                    merged = Merged::Gap;
                }
            }
        }
        self.rows.retain(|row| row.state != "terminated");
        merged
    }

    /// The registrations that are not terminated, each with the contacts that are bound.
    pub fn iter(&self) -> impl Iterator<Item = &WatchedRegistration> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 3680 §5.3
    const SAMPLE: &str = r#"<?xml version="1.0"?>
       <reginfo xmlns="urn:ietf:params:xml:ns:reginfo"
           xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
                    version="0" state="full">
         <registration aor="sip:user@example.com" id="as9"
                       state="active">
           <contact id="76" state="active" event="registered"
                    duration-registered="7322"
                    q="0.8">
                    <uri>sip:user@pc887.example.com</uri>
           </contact>
           <contact id="77" state="terminated" event="expired"
                    duration-registered="3600"
                    q="0.5">
                    <uri>sip:user@university.edu</uri>
           </contact>
         </registration>
       </reginfo>"#;

    #[test]
    fn the_rfcs_own() {
        let info = RegInfo::parse(SAMPLE.as_bytes()).unwrap();
        let [registration] = info.registrations.as_slice() else { panic!() };
        assert_eq!(
            (registration.aor.as_str(), registration.id.as_str()),
            ("sip:user@example.com", "as9")
        );
        let [first, second] = registration.contacts.as_slice() else { panic!() };
        assert_eq!((first.uri.as_str(), first.active), ("sip:user@pc887.example.com", true));
        assert_eq!((first.duration_registered, first.q.as_deref()), (Some(7322), Some("0.8")));
        assert_eq!((second.event.as_str(), second.active), ("expired", false));
        assert_eq!(RegInfo::parse(info.render().as_bytes()), Ok(info));
    }

    // RFC 5628 §7, without its line folds
    #[test]
    fn with_gruus() {
        let sample = r#"<?xml version="1.0"?>
         <reginfo xmlns="urn:ietf:params:xml:ns:reginfo"
             xmlns:gr="urn:ietf:params:xml:ns:gruuinfo"
             version="0" state="full">
           <registration aor="sip:user@example.com" id="as9"
                state="active">
             <contact id="76" state="active" event="registered"
                duration-registered="36001" expires="3599"
                callid="1j9FpLxk3uxtm8tn@192.0.2.1" cseq="54321"
                q="0.8">
                  <uri>sip:user@192.0.2.1</uri>
                  <unknown-param name="+sip.instance">
     "&lt;urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6&gt;"
     </unknown-param>
                  <gr:pub-gruu uri="sip:user@example.com;gr=hha9s8d-999a"/>
                  <gr:temp-gruu uri="sip:8ffkas08af7fasklzi9@example.com;gr" first-cseq="54301"/>
             </contact>
           </registration>
         </reginfo>"#;
        let info = RegInfo::parse(sample.as_bytes()).unwrap();
        let [contact] = info.registrations[0].contacts.as_slice() else { panic!() };
        assert_eq!(contact.pub_gruu.as_deref(), Some("sip:user@example.com;gr=hha9s8d-999a"));
        assert_eq!(contact.call_id.as_deref(), Some("1j9FpLxk3uxtm8tn@192.0.2.1"));
        assert_eq!((contact.cseq, contact.expires), (Some(54321), Some(3599)));
        let instance = "\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\"";
        assert_eq!(contact.params, [("+sip.instance".to_owned(), instance.to_owned())]);
        assert_eq!(RegInfo::parse(info.render().as_bytes()), Ok(info));
    }

    // RFC 3680 §5.2
    #[test]
    fn put_together() {
        let mut registrations = Registrations::default();
        let full = RegInfo::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(registrations.merge(full.clone()), Merged::Applied);
        let bound = |registrations: &Registrations| -> Vec<String> {
            registrations.iter().flat_map(|row| &row.contacts).map(|c| c.id.clone()).collect()
        };
        assert_eq!(bound(&registrations), ["76"]);
        let contact = |id: &str, active| BoundContact {
            id: id.into(),
            active,
            event: "created".into(),
            uri: "sip:user@192.0.2.1".into(),
            ..BoundContact::default()
        };
        let partial = |version, state: &str, contacts| RegInfo {
            version,
            full: false,
            registrations: vec![WatchedRegistration {
                aor: "sip:user@example.com".into(),
                id: "as9".into(),
                state: state.into(),
                contacts,
            }],
        };
        let added = partial(1, "active", vec![contact("78", true)]);
        assert_eq!(registrations.merge(added.clone()), Merged::Applied);
        assert_eq!(bound(&registrations), ["76", "78"]);
        assert_eq!(registrations.merge(added), Merged::Stale);
        let gone = partial(2, "active", vec![contact("76", false)]);
        assert_eq!(registrations.merge(gone), Merged::Applied);
        assert_eq!(bound(&registrations), ["78"]);
        assert_eq!(registrations.merge(partial(5, "terminated", vec![])), Merged::Gap);
        assert_eq!(registrations.iter().count(), 0);
    }

    #[test]
    fn what_is_missing_or_odd() {
        for (from, to, error) in [
            ("version=\"0\"", "", BodyError::Missing("version")),
            ("aor=\"sip:user@example.com\"", "", BodyError::Missing("aor")),
            ("id=\"76\"", "", BodyError::Missing("id")),
            ("state=\"terminated\"", "state=\"gone\"", BodyError::Invalid("state")),
            ("\"7322\"", "\"long\"", BodyError::Invalid("duration-registered")),
            ("<uri>sip:user@university.edu</uri>", "", BodyError::Missing("uri")),
        ] {
            assert!(SAMPLE.contains(from));
            let body = SAMPLE.replace(from, to);
            assert_eq!(RegInfo::parse(body.as_bytes()), Err(error), "{from}");
        }
    }
}
