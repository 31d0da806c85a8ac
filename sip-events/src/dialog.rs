//! `dialog`: the dialogs of a user agent (RFC 4235), as lamps on other phones show them.

use std::time::Duration;

use crate::merge::{Merged, Version};
use crate::xml::{Element, Writer};
use crate::{BodyError, EventPackage};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:dialog-info";

/// How many dialogs a [`Dialogs`] keeps.
const MAX_DIALOGS: usize = 4_096;

/// A dialog-info document (RFC 4235 §4.1). What other namespaces add is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogInfo {
    /// Its place among the documents of the subscription.
    pub version: u32,
    /// Whether it names every dialog, and not only those that changed.
    pub full: bool,
    /// Whose dialogs.
    pub entity: String,
    /// The dialogs.
    pub dialogs: Vec<WatchedDialog>,
}

/// One dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedDialog {
    /// Tells it from the others of the subscription.
    pub id: String,
    /// Call-ID, and the tags as this user agent sees them: what Replaces and Join need.
    pub call_id: Option<String>,
    /// The tag of the user agent.
    pub local_tag: Option<String>,
    /// The tag of its peer.
    pub remote_tag: Option<String>,
    /// Whether the user agent called (`initiator`), or was called (`recipient`).
    pub initiator: Option<bool>,
    /// How far it has come.
    pub state: DialogState,
    /// What ended it, or moved it on.
    pub event: Option<DialogEnd>,
    /// The status that did.
    pub code: Option<u16>,
    /// How old it is, in seconds.
    pub duration: Option<u32>,
    /// The user agent's side.
    pub local: DialogParty,
    /// The peer's side.
    pub remote: DialogParty,
}

/// One side of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogParty {
    /// Its address.
    pub identity: Option<String>,
    /// Its name, for people.
    pub display: Option<String>,
    /// Where its requests go.
    pub target: Option<String>,
}

/// How far a dialog has come (RFC 4235 §3.7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DialogState {
    /// The INVITE is out.
    #[default]
    Trying,
    /// A response without a tag came.
    Proceeding,
    /// A response with a tag came: it rings.
    Early,
    /// It was accepted.
    Confirmed,
    /// It is over.
    Terminated,
}

/// What moved a dialog to its state (RFC 4235 §4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialogEnd {
    /// It was given up.
    Cancelled,
    /// It was refused.
    Rejected,
    /// Another took its place.
    Replaced,
    /// The user agent ended it by BYE.
    LocalBye,
    /// The peer ended it by BYE.
    RemoteBye,
    /// An error ended it.
    Error,
    /// Nobody answered in time.
    Timeout,
}

impl DialogState {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Trying, "trying"),
        (Self::Proceeding, "proceeding"),
        (Self::Early, "early"),
        (Self::Confirmed, "confirmed"),
        (Self::Terminated, "terminated"),
    ];
}

impl DialogEnd {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Cancelled, "cancelled"),
        (Self::Rejected, "rejected"),
        (Self::Replaced, "replaced"),
        (Self::LocalBye, "local-bye"),
        (Self::RemoteBye, "remote-bye"),
        (Self::Error, "error"),
        (Self::Timeout, "timeout"),
    ];
}

/// The value of this name in a list.
pub(crate) fn of_name<T: Copy>(all: &[(T, &str)], name: &str) -> Option<T> {
    all.iter().find(|(_, other)| *other == name).map(|(value, _)| *value)
}

/// The name of this value in a list.
pub(crate) fn name_of<T: PartialEq>(all: &[(T, &'static str)], value: &T) -> &'static str {
    all.iter().find(|(other, _)| other == value).map_or("", |(_, name)| name)
}

impl EventPackage for DialogInfo {
    const NAME: &'static str = "dialog";
    // RFC 4235 §3.4: "The default is one hour for these subscriptions."
    const DEFAULT_EXPIRES: u32 = 3600;
    const CONTENT_TYPE: &'static str = "application/dialog-info+xml";
    // RFC 4235 §3.10: "It is RECOMMENDED that the server
    // not generate notifications for a single subscriber faster than once
    // every 1 second."
    const LEAST_INTERVAL: Option<Duration> = Some(Duration::from_secs(1));
    const FORKS: bool = true;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document(body, NAMESPACE, "dialog-info")?;
        Ok(Self {
            version: root.number("version")?.ok_or(BodyError::Missing("version"))?,
            full: is_full(&root)?,
            // Its own example leaves it out (RFC 4235 §4.2).
            entity: root.attribute("entity").unwrap_or_default().to_owned(),
            dialogs: root.all("dialog").map(WatchedDialog::read).collect::<Result<_, _>>()?,
        })
    }

    fn render(&self) -> String {
        let mut writer = Writer::new();
        let version = self.version.to_string();
        let state = if self.full { "full" } else { "partial" };
        writer.begin(
            "dialog-info",
            &[
                ("xmlns", Some(NAMESPACE)),
                ("version", Some(&version)),
                ("state", Some(state)),
                ("entity", Some(&self.entity)),
            ],
        );
        for dialog in &self.dialogs {
            dialog.write(&mut writer);
        }
        writer.finish()
    }
}

/// Whether the `state` of a document is full.
pub(crate) fn is_full(root: &Element) -> Result<bool, BodyError> {
    match root.required("state")? {
        "full" => Ok(true),
        "partial" => Ok(false),
        _ => Err(BodyError::Invalid("state")),
    }
}

impl WatchedDialog {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let state = element.child("state").ok_or(BodyError::Missing("state"))?;
        let owned = |name| element.attribute(name).map(str::to_owned);
        let code = state.attribute("code").map(|code| code.trim().parse());
        let duration = element.child_text("duration").map(str::parse);
        Ok(Self {
            id: element.required("id")?.to_owned(),
            call_id: owned("call-id"),
            local_tag: owned("local-tag"),
            remote_tag: owned("remote-tag"),
            initiator: element.attribute("direction").map(|direction| direction == "initiator"),
            state: of_name(&DialogState::ALL, state.text()).ok_or(BodyError::Invalid("state"))?,
            event: state.attribute("event").and_then(|event| of_name(&DialogEnd::ALL, event)),
            code: code.transpose().map_err(|_| BodyError::Invalid("code"))?,
            duration: duration.transpose().map_err(|_| BodyError::Invalid("duration"))?,
            local: element.child("local").map(DialogParty::read).unwrap_or_default(),
            remote: element.child("remote").map(DialogParty::read).unwrap_or_default(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        let direction = self.initiator.map(|ours| if ours { "initiator" } else { "recipient" });
        writer.begin(
            "dialog",
            &[
                ("id", Some(&self.id)),
                ("call-id", self.call_id.as_deref()),
                ("local-tag", self.local_tag.as_deref()),
                ("remote-tag", self.remote_tag.as_deref()),
                ("direction", direction),
            ],
        );
        let event = self.event.map(|event| name_of(&DialogEnd::ALL, &event));
        let code = self.code.map(|code| code.to_string());
        let attributes = [("event", event), ("code", code.as_deref())];
        writer.leaf("state", &attributes, name_of(&DialogState::ALL, &self.state));
        writer.leaf_if("duration", self.duration.map(|seconds| seconds.to_string()).as_deref());
        for (name, party) in [("local", &self.local), ("remote", &self.remote)] {
            party.write(name, writer);
        }
        writer.end();
    }
}

impl DialogParty {
    fn read(element: &Element) -> Self {
        let identity = element.child("identity");
        let target = element.child("target").and_then(|target| target.attribute("uri"));
        Self {
            identity: identity.map(|identity| identity.text().to_owned()),
            display: identity.and_then(|it| it.attribute("display")).map(str::to_owned),
            target: target.map(str::to_owned),
        }
    }

    fn write(&self, name: &'static str, writer: &mut Writer) {
        if *self == Self::default() {
            return;
        }
        writer.begin(name, &[]);
        if let Some(identity) = &self.identity {
            writer.leaf("identity", &[("display", self.display.as_deref())], identity);
        }
        if let Some(target) = &self.target {
            writer.leaf("target", &[("uri", Some(target))], "");
        }
        writer.end();
    }
}

/// The dialogs of one subscription, put together of its documents (RFC 4235 §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialogs {
    version: Version,
    rows: Vec<WatchedDialog>,
}

impl Dialogs {
    /// Takes a document. At most 4,096 dialogs are kept; with more, the answer is [`Merged::Gap`].
    pub fn merge(&mut self, info: DialogInfo) -> Merged {
        let mut merged = self.version.meets(info.version, info.full);
        if merged == Merged::Stale {
            return merged;
        }
        // RFC 4235 §4.3: "If it contains full state,
        // indicated by the value of the "state" attribute in the "dialog-info"
        // element, the contents of the table are flushed and then repopulated
        // from the document."
        if info.full {
            self.rows.clear();
        }
        for dialog in info.dialogs {
            // RFC 4235 §4.3: "If a row is updated or created, such
            // that its state is now terminated, that entry MAY be removed from the
            // table at any time."
            self.rows.retain(|row| row.id != dialog.id);
            if dialog.state == DialogState::Terminated {
                continue;
            }
            if self.rows.len() < MAX_DIALOGS {
                self.rows.push(dialog);
            } else {
                merged = Merged::Gap;
            }
        }
        merged
    }

    /// The dialogs that are not over.
    pub fn iter(&self) -> impl Iterator<Item = &WatchedDialog> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4235 §4.2
    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
   <dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
     xsi:schemaLocation="urn:ietf:params:xml:ns:dialog-info"
     version="1" state="full">
     <dialog id="123456">
        <state>confirmed</state>
        <duration>274</duration>
        <local>
          <identity display="Alice">sip:alice@example.com</identity>
          <target uri="sip:alice@pc33.example.com">
            <param pname="isfocus" pval="true"/>
            <param pname="class" pval="personal"/>
          </target>
        </local>
        <remote>
          <identity display="Bob">sip:bob@example.org</identity>
          <target uri="sip:bobster@phone21.example.org"/>
        </remote>
     </dialog>
   </dialog-info>"#;

    #[test]
    fn the_rfcs_own() {
        let info = DialogInfo::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!((info.version, info.full), (1, true));
        let [dialog] = info.dialogs.as_slice() else { panic!() };
        assert_eq!((dialog.id.as_str(), dialog.state), ("123456", DialogState::Confirmed));
        assert_eq!(dialog.duration, Some(274));
        assert_eq!(dialog.local.display.as_deref(), Some("Alice"));
        assert_eq!(dialog.remote.identity.as_deref(), Some("sip:bob@example.org"));
        assert_eq!(dialog.remote.target.as_deref(), Some("sip:bobster@phone21.example.org"));
        assert_eq!(DialogInfo::parse(info.render().as_bytes()), Ok(info));
    }

    // RFC 4235 §6.1: the partial documents of a call, one after the other.
    #[test]
    fn a_call_on_a_lamp() {
        let document = |version: u32, full: &str, inner: &str| {
            let text = format!(
                "<dialog-info xmlns='{NAMESPACE}' version='{version}' state='{full}' \
                 entity='sip:alice@example.com'>{inner}</dialog-info>"
            );
            DialogInfo::parse(text.as_bytes()).unwrap()
        };
        let dialog = |state: &str| {
            format!(
                "<dialog id='as7d900as8' call-id='a84b4c76e66710' local-tag='1928301774' direction='initiator'>{state}</dialog>"
            )
        };
        let mut dialogs = Dialogs::default();
        assert_eq!(dialogs.merge(document(0, "full", "")), Merged::Applied);
        assert_eq!(dialogs.iter().count(), 0);
        for (version, state, is) in [
            (1, "<state>trying</state>", Some(DialogState::Trying)),
            (2, "<state>early</state>", Some(DialogState::Early)),
            (3, "<state code='200'>confirmed</state>", Some(DialogState::Confirmed)),
            (4, "<state event='remote-bye'>terminated</state>", None),
        ] {
            let info = document(version, "partial", &dialog(state));
            if version == 4 {
                assert_eq!(info.dialogs[0].event, Some(DialogEnd::RemoteBye));
            }
            assert_eq!(dialogs.merge(info.clone()), Merged::Applied);
            assert_eq!(dialogs.iter().next().map(|dialog| dialog.state), is);
            assert_eq!(dialogs.merge(info), Merged::Stale);
        }
        let late = document(9, "partial", &dialog("<state>early</state>"));
        assert_eq!(dialogs.merge(late), Merged::Gap);
        assert_eq!(dialogs.iter().count(), 1);
        assert_eq!(dialogs.merge(document(10, "full", "")), Merged::Applied);
        assert_eq!(dialogs.iter().count(), 0);
    }

    #[test]
    fn what_is_missing_or_odd() {
        let wrap = |attributes: &str, inner: &str| {
            format!("<dialog-info xmlns='{NAMESPACE}' {attributes}>{inner}</dialog-info>")
        };
        let good = "version='0' state='full' entity='a'";
        for (body, error) in [
            (wrap("state='full'", ""), BodyError::Missing("version")),
            (wrap("version='0'", ""), BodyError::Missing("state")),
            (wrap("version='-1' state='full'", ""), BodyError::Invalid("version")),
            (wrap("version='4294967296' state='full'", ""), BodyError::Invalid("version")),
            (wrap("version='0' state='whole'", ""), BodyError::Invalid("state")),
            (wrap(good, "<dialog/>"), BodyError::Missing("state")),
            (wrap(good, "<dialog><state>early</state></dialog>"), BodyError::Missing("id")),
            (
                wrap(good, "<dialog id='1'><state>late</state></dialog>"),
                BodyError::Invalid("state"),
            ),
        ] {
            assert_eq!(DialogInfo::parse(body.as_bytes()), Err(error), "{body}");
        }
    }
}
