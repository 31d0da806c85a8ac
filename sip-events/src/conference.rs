//! `conference` (RFC 4575): who takes part in a conference, told whole or in parts.
//!
//! Read are the description, the state and the users with their endpoints and media; URIs of the conference, its
//! host and sidebars are not.

use std::time::Duration;

use crate::dialog::{name_of, of_name};
use crate::xml::{Element, Writer};
use crate::{BodyError, EventPackage, Merged};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
/// How many users of a conference are kept, endpoints of a user, and media of an endpoint.
const MAX_USERS: usize = 4_096;
const MAX_ENDPOINTS: usize = 16;
const MAX_MEDIA: usize = 32;

/// What a part of a document says of what is known (RFC 4575 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Extent {
    /// It is all there is.
    // RFC 4575 §4.4: "The
    // default value of any 'state' attribute is "full"."
    #[default]
    Full,
    /// It is what has changed.
    Partial,
    /// It is there no more.
    Deleted,
}

/// One conference document (RFC 4575 §5.2): the whole of it, or what has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// Counts the documents of a subscription.
    pub version: u32,
    /// What it says. [`Extent::Deleted`]: the conference is over.
    pub extent: Extent,
    /// The conference: its URI.
    pub entity: String,
    /// What it is; a partial document that says nothing of it leaves it as it was.
    pub description: Option<ConferenceDescription>,
    /// How it is; likewise.
    pub state: Option<ConferenceState>,
    /// What the list of users says; `None` if the document has no such list.
    pub users_extent: Option<Extent>,
    /// The users.
    pub users: Vec<ConferenceUser>,
}

/// What a conference is (RFC 4575 §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceDescription {
    /// Its name, for people.
    pub display_text: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// How many users may be invited.
    pub maximum_user_count: Option<u32>,
}

/// How a conference is (RFC 4575 §5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceState {
    /// How many users there are; there may be more than the document names.
    pub user_count: Option<u32>,
    /// Whether it can be joined.
    pub active: Option<bool>,
    /// Whether no one can be added.
    pub locked: Option<bool>,
}

/// A participant (RFC 4575 §5.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceUser {
    /// Who: a URI that no other user has.
    pub entity: String,
    /// What is said of the user.
    pub extent: Extent,
    /// The name, for people.
    pub display_text: Option<String>,
    /// What the user may do there: `moderator`, say.
    pub roles: Vec<String>,
    /// The devices that take part.
    pub endpoints: Vec<ConferenceEndpoint>,
}

/// A device that takes part (RFC 4575 §5.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceEndpoint {
    /// Which: a URI that no other endpoint of the user has.
    pub entity: String,
    /// What is said of it.
    pub extent: Extent,
    /// Its name, for people.
    pub display_text: Option<String>,
    /// Where it stands.
    pub status: Option<EndpointStatus>,
    /// How it came there: `dialed-in`, `dialed-out` or `focus-owner`.
    pub joining_method: Option<String>,
    /// How it went: `departed`, `booted`, `failed` or `busy`.
    pub disconnection_method: Option<String>,
    /// Its media.
    pub media: Vec<ConferenceMedia>,
}

/// A media stream of an endpoint (RFC 4575 §5.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceMedia {
    /// Tells it from the others of the endpoint.
    pub id: String,
    /// Its name, for people.
    pub display_text: Option<String>,
    /// `audio`, `video`: what the `m=` line says.
    pub kind: Option<String>,
    /// Its label among all streams of the conference.
    pub label: Option<String>,
    /// Where it comes from: the SSRC of RTP.
    pub source: Option<String>,
    /// Its direction as the participant sees it: `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub status: Option<String>,
}

/// Where an endpoint stands (RFC 4575 §5.7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointStatus {
    /// It takes part.
    Connected,
    /// It does not, and nothing is under way.
    Disconnected,
    /// It is there, but hears and says nothing.
    OnHold,
    /// It hears, and is not heard.
    MutedViaFocus,
    /// It is expected.
    Pending,
    /// It rings there.
    Alerting,
    /// It is on its way in.
    DialingIn,
    /// It was called.
    DialingOut,
    /// It is being disconnected.
    Disconnecting,
}

impl Extent {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Full, "full"), (Self::Partial, "partial"), (Self::Deleted, "deleted")];

    fn read(element: &Element) -> Result<Self, BodyError> {
        let Some(name) = element.attribute("state") else { return Ok(Self::Full) };
        of_name(&Self::ALL, name).ok_or(BodyError::Invalid("state"))
    }

    fn name(self) -> Option<&'static str> {
        Some(name_of(&Self::ALL, &self))
    }
}

impl EndpointStatus {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Connected, "connected"),
        (Self::Disconnected, "disconnected"),
        (Self::OnHold, "on-hold"),
        (Self::MutedViaFocus, "muted-via-focus"),
        (Self::Pending, "pending"),
        (Self::Alerting, "alerting"),
        (Self::DialingIn, "dialing-in"),
        (Self::DialingOut, "dialing-out"),
        (Self::Disconnecting, "disconnecting"),
    ];
}

impl EventPackage for ConferenceInfo {
    const NAME: &'static str = "conference";
    // RFC 4575 §3.4: "the default
    // expiration time for a subscription to a conference is one hour."
    const DEFAULT_EXPIRES: u32 = 3600;
    const CONTENT_TYPE: &'static str = "application/conference-info+xml";
    // RFC 4575 §3.9: "it is RECOMMENDED
    // that the server does not generate notifications for a single
    // subscriber at a rate faster than once every 5 seconds."
    const LEAST_INTERVAL: Option<Duration> = Some(Duration::from_secs(5));
    // RFC 4575 §3.8: "If forking happens in the network, subscribers
    // to this package MUST NOT establish more than a single SIP dialog as a
    // result of a single SUBSCRIBE request."
    const FORKS: bool = false;

    fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let root = Element::document(body, NAMESPACE, "conference-info")?;
        let description = root.child("conference-description").map(ConferenceDescription::read);
        let state = root.child("conference-state").map(ConferenceState::read);
        let users = root.child("users");
        let of_users = users.map(|users| users.all("user").map(ConferenceUser::read).collect());
        let extent = Extent::read(&root)?;
        // RFC 4575 §4.3: "The 'version' attribute MUST be included in the root
        // <conference-info> element."
        let version = root.number("version")?.ok_or(BodyError::Missing("version"))?;
        let entity = root.required("entity")?.to_owned();
        if extent == Extent::Deleted {
            // RFC 4575 §4.4: "Any information
            // provided for child elements of a "deleted" parent MUST be ignored by
            // the package subscriber."
            return Ok(Self { version, extent, entity, ..Self::default() });
        }
        // What a whole document leaves out is not there.
        let is_full = extent == Extent::Full;
        Ok(Self {
            version,
            extent,
            entity,
            description: description.transpose()?.or(is_full.then(ConferenceDescription::default)),
            state: state.transpose()?,
            users_extent: users.map(Extent::read).transpose()?.or(is_full.then_some(Extent::Full)),
            users: of_users.transpose()?.unwrap_or_default(),
        })
    }

    fn render(&self) -> String {
        let mut writer = Writer::new();
        let version = self.version.to_string();
        writer.begin(
            "conference-info",
            &[
                ("xmlns", Some(NAMESPACE)),
                ("entity", Some(&self.entity)),
                ("state", self.extent.name()),
                ("version", Some(&version)),
            ],
        );
        let full = self.extent == Extent::Full;
        // RFC 4575 §5.2: "A "full"
        // conference document MUST at least include the
        // <conference-description> and <users> child elements."
        match &self.description {
            Some(description) => description.write(&mut writer),
            None if full => ConferenceDescription::default().write(&mut writer),
            None => {}
        }
        if let Some(state) = &self.state {
            state.write(&mut writer);
        }
        let extent = self.users_extent.or(full.then_some(Extent::Full));
        if let Some(extent) = extent {
            writer.begin("users", &[("state", extent.name())]);
            for user in &self.users {
                user.write(&mut writer);
            }
            writer.end();
        }
        writer.finish()
    }
}

impl ConferenceDescription {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let text = |name| element.child_text(name).map(str::to_owned);
        Ok(Self {
            display_text: text("display-text"),
            subject: text("subject"),
            maximum_user_count: count(element, "maximum-user-count")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.begin("conference-description", &[]);
        writer.leaf_if("display-text", self.display_text.as_deref());
        writer.leaf_if("subject", self.subject.as_deref());
        let maximum = self.maximum_user_count.map(|count| count.to_string());
        writer.leaf_if("maximum-user-count", maximum.as_deref());
        writer.end();
    }
}

impl ConferenceState {
    fn read(element: &Element) -> Result<Self, BodyError> {
        Ok(Self {
            user_count: count(element, "user-count")?,
            active: flag(element, "active")?,
            locked: flag(element, "locked")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let word = |flag: Option<bool>| flag.map(|flag| if flag { "true" } else { "false" });
        writer.begin("conference-state", &[]);
        let count = self.user_count.map(|count| count.to_string());
        writer.leaf_if("user-count", count.as_deref());
        writer.leaf_if("active", word(self.active));
        writer.leaf_if("locked", word(self.locked));
        writer.end();
    }
}

impl ConferenceUser {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let roles = element.child("roles").map(|roles| roles.all("entry"));
        let roles = roles.into_iter().flatten().map(|role| role.text().to_owned());
        let endpoints: Vec<_> =
            element.all("endpoint").map(ConferenceEndpoint::read).collect::<Result<_, _>>()?;
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(BodyError::TooMany("endpoints"));
        }
        Ok(Self {
            entity: element.required("entity")?.to_owned(),
            extent: Extent::read(element)?,
            display_text: element.child_text("display-text").map(str::to_owned),
            roles: roles.collect(),
            endpoints,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let attributes = [("entity", Some(self.entity.as_str())), ("state", self.extent.name())];
        writer.begin("user", &attributes);
        writer.leaf_if("display-text", self.display_text.as_deref());
        if !self.roles.is_empty() {
            writer.begin("roles", &[]);
            for role in &self.roles {
                writer.leaf("entry", &[], role);
            }
            writer.end();
        }
        for endpoint in &self.endpoints {
            endpoint.write(writer);
        }
        writer.end();
    }

    /// RFC 4575 §4.6, step 3.
    fn merge(&mut self, news: Self) -> bool {
        replace(&mut self.display_text, news.display_text);
        if !news.roles.is_empty() {
            self.roles = news.roles;
        }
        merge_rows(&mut self.endpoints, news.endpoints, MAX_ENDPOINTS)
    }
}

impl ConferenceEndpoint {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let text = |name| element.child_text(name).map(str::to_owned);
        let status = element.child_text("status");
        let status = status.map(|name| of_name(&EndpointStatus::ALL, name));
        let media: Vec<ConferenceMedia> =
            element.all("media").map(ConferenceMedia::read).collect::<Result<_, _>>()?;
        if media.len() > MAX_MEDIA {
            return Err(BodyError::TooMany("media"));
        }
        Ok(Self {
            entity: element.required("entity")?.to_owned(),
            extent: Extent::read(element)?,
            display_text: text("display-text"),
            status: status.map(|status| status.ok_or(BodyError::Invalid("status"))).transpose()?,
            joining_method: text("joining-method"),
            disconnection_method: text("disconnection-method"),
            media,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let attributes = [("entity", Some(self.entity.as_str())), ("state", self.extent.name())];
        writer.begin("endpoint", &attributes);
        writer.leaf_if("display-text", self.display_text.as_deref());
        writer.leaf_if("status", self.status.map(|status| name_of(&EndpointStatus::ALL, &status)));
        writer.leaf_if("joining-method", self.joining_method.as_deref());
        writer.leaf_if("disconnection-method", self.disconnection_method.as_deref());
        for media in &self.media {
            writer.begin("media", &[("id", Some(&media.id))]);
            writer.leaf_if("display-text", media.display_text.as_deref());
            writer.leaf_if("type", media.kind.as_deref());
            writer.leaf_if("label", media.label.as_deref());
            writer.leaf_if("src-id", media.source.as_deref());
            writer.leaf_if("status", media.status.as_deref());
            writer.end();
        }
        writer.end();
    }

    fn merge(&mut self, news: Self) -> bool {
        replace(&mut self.display_text, news.display_text);
        replace(&mut self.status, news.status);
        replace(&mut self.joining_method, news.joining_method);
        replace(&mut self.disconnection_method, news.disconnection_method);
        // A medium has no state of its own: it is replaced as a whole, or added.
        for media in news.media {
            let has_room = self.media.len() < MAX_MEDIA;
            match self.media.iter_mut().find(|known| known.id == media.id) {
                Some(known) => *known = media,
                None if has_room => self.media.push(media),
                None => return false,
            }
        }
        true
    }
}

impl ConferenceMedia {
    fn read(element: &Element) -> Result<Self, BodyError> {
        let text = |name| element.child_text(name).map(str::to_owned);
        Ok(Self {
            id: element.required("id")?.to_owned(),
            display_text: text("display-text"),
            kind: text("type"),
            label: text("label"),
            source: text("src-id"),
            status: text("status"),
        })
    }
}

/// What a partial document says anew takes the place of what was known.
fn replace<T>(known: &mut Option<T>, news: Option<T>) {
    if news.is_some() {
        *known = news;
    }
}

fn count(element: &Element, name: &'static str) -> Result<Option<u32>, BodyError> {
    let text = element.child_text(name);
    text.map(|text| text.parse().map_err(|_| BodyError::Invalid(name))).transpose()
}

/// A truth as XML writes it.
fn flag(element: &Element, name: &'static str) -> Result<Option<bool>, BodyError> {
    match element.child_text(name) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(BodyError::Invalid(name)),
    }
}

/// What has a key and a state of its own.
trait Row {
    fn key(&self) -> &str;
    fn extent(&self) -> Extent;
    /// Takes what has changed; gives whether there was room for it.
    fn merge(&mut self, news: Self) -> bool;
}

impl Row for ConferenceUser {
    fn key(&self) -> &str {
        &self.entity
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn merge(&mut self, news: Self) -> bool {
        Self::merge(self, news)
    }
}

impl Row for ConferenceEndpoint {
    fn key(&self) -> &str {
        &self.entity
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn merge(&mut self, news: Self) -> bool {
        Self::merge(self, news)
    }
}

/// Takes the rows of a partial list; gives whether there was room for all.
///
/// RFC 4575 §4.6: "If a key does not exist in the local table, a row is
/// added, and its content is set to the element
/// information from the update."
/// RFC 4575 §4.6: "Also, for each element with the state attribute set
/// to "deleted", the whole element is removed from the local
/// content."
fn merge_rows<R: Row>(rows: &mut Vec<R>, news: Vec<R>, most: usize) -> bool {
    let mut fits = true;
    for row in news {
        let place = rows.iter().position(|known| known.key() == row.key());
        match (place, row.extent()) {
            (Some(place), Extent::Deleted) => {
                rows.remove(place);
            }
            (None, Extent::Deleted) => {}
            (Some(place), Extent::Full) => {
                if let Some(known) = rows.get_mut(place) {
                    *known = row;
                }
            }
            (Some(place), Extent::Partial) => {
                fits &= rows.get_mut(place).is_none_or(|known| known.merge(row));
            }
            (None, _) if rows.len() < most => rows.push(row),
            (None, _) => fits = false,
        }
    }
    fits
}

/// A conference as one subscription knows it, put together of its documents (RFC 4575 §4.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conference {
    /// The latest document that was applied, the parts in it made whole.
    known: Option<ConferenceInfo>,
}

impl Conference {
    /// Takes a document. After [`Merged::Gap`] the state is as it was, and the whole is to be asked for by a refresh.
    /// At most 4,096 users with 16 endpoints each are kept; what more there is ends in `Gap` as well.
    pub fn merge(&mut self, mut info: ConferenceInfo) -> Merged {
        let known = self.known.as_ref().map(|known| known.version);
        // RFC 4575 §4.6: "If the value in the document is equal to or
        // less than the local version, the document is discarded without
        // processing."
        if known.is_some_and(|known| info.version <= known) {
            return Merged::Stale;
        }
        if info.extent != Extent::Partial {
            // RFC 4575 §4.6: "Otherwise, if the received NOTIFY contains a "full" or "deleted"
            // state, the conference package subscriber MUST set the local 'version'
            // number to the value of the 'version' attribute from the received
            // <conference-info> and replace the local information with the received
            // document."
            if info.users.len() > MAX_USERS {
                return Merged::Gap;
            }
            info.users.retain(|user| user.extent != Extent::Deleted);
            self.known = Some(info);
            return Merged::Applied;
        }
        // RFC 4575 §4.6: "if
        // the 'version' number in the received document is more than one number
        // higher than the previous local version number, the subscriber MUST
        // generate a subscription refresh request to trigger a full state
        // notification."
        // It is not applied: the full one may have the same number.
        let follows = known.is_some_and(|known| known.checked_add(1) == Some(info.version));
        let Some(known) = self.known.as_mut().filter(|_| follows) else { return Merged::Gap };
        known.version = info.version;
        // RFC 4575 §4.6: "For each
        // non-atomic element received in the schema with either no
        // 'state' attribute included or the state attribute is set to
        // "full", the element is replaced with the new information as a
        // whole."
        replace(&mut known.description, info.description);
        replace(&mut known.state, info.state);
        let fits = match info.users_extent {
            None => true,
            Some(Extent::Deleted) => {
                known.users.clear();
                true
            }
            // RFC 4575 §4.6: "If the element contains "full" state, the whole local element
            // content is flushed and repopulated from the document."
            Some(Extent::Full) => {
                known.users.clear();
                merge_rows(&mut known.users, info.users, MAX_USERS)
            }
            Some(Extent::Partial) => merge_rows(&mut known.users, info.users, MAX_USERS),
        };
        if fits { Merged::Applied } else { Merged::Gap }
    }

    /// What is known; `None` before the first whole document.
    pub fn info(&self) -> Option<&ConferenceInfo> {
        self.known.as_ref()
    }

    /// Whether the conference has ceased to exist: the subscription is to be ended.
    pub fn is_over(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.extent == Extent::Deleted)
    }
}

#[cfg(test)]
mod tests;
