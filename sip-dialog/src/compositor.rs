//! The event state compositor (RFC 3903 §6): keeps what is published, judges each PUBLISH, and says what has changed.
//! A machine without clock or socket.
//!
//! It keeps the documents of each resource and event type, each under an entity-tag, for as long as they are
//! refreshed. What they make together is for the event package to say: [`Compositor::documents`] gives them, the one
//! that changed last at the end, and whoever tells subscribers makes one state of them.
//!
//! ```
//! use core::time::Duration;
//! use sip_dialog::{Compositor, CompositorConfig};
//! use sip_message::{Limits, Message, StatusCode};
//!
//! let config = CompositorConfig::default().package("presence", &["application/pidf+xml"]);
//! let mut compositor = Compositor::new(config, [0x5eed, 0x5ec2e7]); // a random seed that nobody knows
//! let publish = "PUBLISH sip:alice@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
//!     From: <sip:alice@example.com>;tag=a1\r\n\
//!     To: <sip:alice@example.com>\r\n\
//!     Call-ID: 4711\r\n\
//!     CSeq: 1 PUBLISH\r\n\
//!     Event: presence\r\n\
//!     Content-Type: application/pidf+xml\r\n\
//!     Content-Length: 11\r\n\r\n<presence/>";
//! let Message::Request(publish) = Message::parse(publish.into(), &Limits::default())? else {
//!     panic!("a request")
//! };
//!
//! // Whose state that is, and who may publish it, is decided before.
//! let answer = compositor.publish(Duration::ZERO, "sip:alice@example.com", &publish);
//! assert_eq!((answer.status, answer.changed), (StatusCode::OK, true));
//! let state = compositor.documents("sip:alice@example.com", "presence").next_back().unwrap();
//! assert_eq!(&state.body()[..], b"<presence/>");
//!
//! // Nobody refreshes it.
//! let hour = compositor.deadline().unwrap();
//! assert_eq!(compositor.expire(hour).unwrap().resource(), "sip:alice@example.com");
//! assert!(compositor.is_empty());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::Hasher;
use core::time::Duration;

use bytes::Bytes;
use hashbrown::HashTable;
use sip_message::{Event, Expires, Header, HeaderName, Request, SipIfMatch, StatusCode};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher24};
use smallvec::{SmallVec, smallvec};

/// What a [`Compositor`] takes, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompositorConfig {
    /// The event types that are composed, each with the types of body that are taken for it; a PUBLISH for another
    /// is answered 489, one with another body 415. Default none.
    pub packages: Vec<(String, Vec<String>)>,
    /// The life of a document whose PUBLISH says nothing, in seconds. Default an hour.
    pub default_expires: u32,
    /// The shortest life, in seconds; below, the answer is 423. Default 60.
    pub min_expires: u32,
    /// The longest life that is granted, in seconds. Default an hour.
    pub max_expires: u32,
    /// How many documents are kept at a time; one on top is answered 503. Default 100,000.
    pub max_documents: usize,
    /// How many of them one resource may have of one event type: its devices; one on top is answered 503. Default 16.
    pub max_documents_per_resource: usize,
    /// How large a document may be, in bytes; above, the answer is 413. Default 16,384.
    pub max_body: usize,
    /// Retry-After of a 503, in seconds. Default 60.
    pub retry_after: u32,
}

impl Default for CompositorConfig {
    fn default() -> CompositorConfig {
        CompositorConfig {
            packages: Vec::new(),
            default_expires: 3600,
            min_expires: 60,
            max_expires: 3600,
            max_documents: 100_000,
            max_documents_per_resource: 16,
            max_body: 16_384,
            retry_after: 60,
        }
    }
}

impl CompositorConfig {
    /// Adds an event type to [`CompositorConfig::packages`], with the types of body that are taken for it.
    #[must_use]
    pub fn package(mut self, event: &str, types: &[&str]) -> CompositorConfig {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        self.packages.push((event.to_owned(), types));
        self
    }
}

/// What a PUBLISH is answered, and whether it changed anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishAnswer {
    /// The status.
    pub status: StatusCode,
    /// Header fields of the response: names and values.
    pub headers: SmallVec<[(&'static str, String); 2]>,
    /// Whether the state of the resource is another now, so that its subscribers are to be told.
    pub changed: bool,
}

impl PublishAnswer {
    fn refused(status: StatusCode) -> PublishAnswer {
        PublishAnswer { status, headers: SmallVec::new(), changed: false }
    }

    fn with(mut self, name: &'static str, value: String) -> PublishAnswer {
        self.headers.push((name, value));
        self
    }
}

/// All that is published: see the module.
#[derive(Debug)]
pub struct Compositor {
    config: CompositorConfig,
    seed: [u64; 2],
    /// How many entity-tags there were.
    tags: u64,
    /// By entity-tag. They are our own random numbers and need no hash.
    documents: HashTable<Document>,
    /// By what peers choose: the hash is keyed.
    resources: HashTable<Resource>,
    /// When which document runs out.
    ends: BTreeSet<(Duration, u128)>,
}

/// One published document.
#[derive(Debug, Clone)]
pub struct Document {
    tag: u128,
    resource: Arc<str>,
    package: u16,
    content_type: Arc<str>,
    body: Bytes,
    until: Duration,
}

impl Document {
    /// Whose state it is part of.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Its Content-Type, parameters included.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// What it says. A copy of its own, that pins no message.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// The documents of one event type of a resource.
#[derive(Debug)]
struct Resource {
    name: Arc<str>,
    package: u16,
    /// The one that changed last at the end.
    tags: SmallVec<[u128; 1]>,
}

/// A document that has run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    resource: Arc<str>,
    event: String,
}

impl Expired {
    /// Whose state is another now.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The event type.
    pub fn event(&self) -> &str {
        &self.event
    }
}

impl Compositor {
    /// One that keeps nothing yet. `seed` keys the entity-tags, so that nobody can guess one, and the hash of what
    /// peers choose: it is to be random and secret.
    pub fn new(config: CompositorConfig, seed: [u64; 2]) -> Compositor {
        Compositor {
            config,
            seed,
            tags: 0,
            documents: HashTable::new(),
            resources: HashTable::new(),
            ends: BTreeSet::new(),
        }
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The documents of this event type that make the state of a resource, the one that changed last at the end.
    pub fn documents(
        &self,
        resource: &str,
        event: &str,
    ) -> impl DoubleEndedIterator<Item = &Document> {
        let found = self.package_of(event).and_then(|package| self.resource(resource, package));
        let tags: &[u128] = found.map_or(&[], |resource| &resource.tags);
        tags.iter().filter_map(|tag| self.document(*tag))
    }

    /// When the next document runs out: [`expire`](Self::expire) is due then. It changes with each PUBLISH.
    pub fn deadline(&self) -> Option<Duration> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Removes one document that has run out, and says whose state changed by that; `None` if none has. To be called
    /// until it says so. A document that is due and not removed yet is still among [`documents`](Self::documents),
    /// but cannot be refreshed.
    pub fn expire(&mut self, now: Duration) -> Option<Expired> {
        let (until, tag) = *self.ends.first()?;
        if until > now {
            return None;
        }
        let document = self.remove(tag)?;
        let event = self.config.packages.get(usize::from(document.package))?.0.clone();
        Some(Expired { resource: document.resource, event })
    }

    /// Judges a PUBLISH for the state of `resource`, and does what it asks for, wholly or not at all. `now` counts
    /// from a moment that the caller chooses, always the same.
    ///
    /// RFC 3903 §6, step 1, is the caller's: to decide by the Request-URI what the resource is, by a name that is the
    /// same for all that means the same, whether it is one of ours (404), and whether the sender may publish it.
    pub fn publish(&mut self, now: Duration, resource: &str, request: &Request) -> PublishAnswer {
        match self.judge(now, resource, request) {
            Ok(wanted) => self.obey(now, resource, request, wanted),
            Err(refused) => refused,
        }
    }

    /// RFC 3903 §6, steps 2 to 5, as far as nothing is changed.
    fn judge(
        &self,
        now: Duration,
        resource: &str,
        request: &Request,
    ) -> Result<Wanted, PublishAnswer> {
        let refused = PublishAnswer::refused;
        // RFC 3903 §6: "If the Event header field is missing or contains an event package
        // which the ESC does not support, the ESC MUST respond to the
        // PUBLISH request with a 489 (Bad Event) response, and skip the
        // remaining steps."
        let event = request.get::<Event<'_>>().ok().flatten();
        let package =
            event.and_then(|event| self.package_of(event.event_type())).ok_or_else(|| {
                let known: Vec<&str> =
                    self.config.packages.iter().map(|(event, _)| event.as_str()).collect();
                let bad = refused(StatusCode::BAD_EVENT);
                if known.is_empty() { bad } else { bad.with("Allow-Events", known.join(", ")) }
            })?;
        let replaced = match if_match(request)? {
            None => None,
            // RFC 3903 §6: "matches that entity-tag against all
            // locally stored entity-tags for this resource and event package.
            // If no match is found, the ESC MUST reject the publication with
            // a response of 412 (Conditional Request Failed), and skip the
            // remaining steps."
            Some(tag) => {
                let found = tag.and_then(|tag| self.document(tag)).filter(|document| {
                    document.package == package
                        && *document.resource == *resource
                        && document.until > now
                });
                let found = found.ok_or(refused(StatusCode::CONDITIONAL_REQUEST_FAILED))?;
                Some(found.tag)
            }
        };
        // RFC 3903 §6: "If the request has an Expires header field, that value MUST be
        // taken as the requested expiration."
        // RFC 3903 §6: "Else, a locally-configured default value MUST be taken as the
        // requested expiration."
        let asked = request.get::<Expires>().ok().flatten();
        let asked = asked.map_or(self.config.default_expires, |expires| expires.0);
        let least = self.config.min_expires;
        // RFC 3903 §6: "Only if the requested expiration interval
        // is greater than zero and less than a locally-configured
        // minimum, the ESC MAY reject the publication with a response of
        // 423 (Interval Too Brief), and skip the remaining steps.  This
        // response MUST contain a Min-Expires header field that states
        // the minimum expiration interval the ESC is willing to honor."
        if asked > 0 && asked < least {
            let brief = refused(StatusCode::INTERVAL_TOO_BRIEF);
            return Err(brief.with("Min-Expires", least.to_string()));
        }
        let expires = asked.min(self.config.max_expires.max(least));
        if expires > 0 {
            self.judge_body(package, replaced.is_some(), request)?;
        }
        if expires > 0 && replaced.is_none() && !self.has_room(resource, package) {
            let full = refused(StatusCode::SERVICE_UNAVAILABLE);
            return Err(full.with("Retry-After", self.config.retry_after.to_string()));
        }
        Ok(Wanted { package, replaced, expires })
    }

    fn judge_body(
        &self,
        package: u16,
        replaces: bool,
        request: &Request,
    ) -> Result<(), PublishAnswer> {
        if request.body().is_empty() {
            // RFC 3903 §6: "If the request has no message body and contained no entity-tag,
            // the ESC SHOULD reject the request with an appropriate response,
            // such as 400 (Invalid Request), and skip the remainder of the
            // steps."
            let fine = replaces.then_some(());
            return fine.ok_or(PublishAnswer::refused(StatusCode::BAD_REQUEST));
        }
        let unread = PublishAnswer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let encoding = request.headers().raw(HeaderName::ContentEncoding).map(<[u8]>::trim_ascii);
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            return Err(unread.with("Accept-Encoding", "identity".to_owned()));
        }
        // RFC 3903 §6: "If the content type of the request does
        // not match the event package, or is not understood by the ESC, the
        // ESC MUST reject the request with an appropriate response, such as
        // 415 (Unsupported Media Type), and skip the remainder of the steps."
        let types = self.config.packages.get(usize::from(package)).map(|(_, types)| types);
        let types = types.map_or(&[][..], Vec::as_slice);
        let kind = content_type(request).split(';').next().unwrap_or_default().trim();
        if !types.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(unread.with("Accept", types.join(", ")));
        }
        if request.body().len() > self.config.max_body {
            return Err(PublishAnswer::refused(StatusCode::REQUEST_ENTITY_TOO_LARGE));
        }
        Ok(())
    }

    fn obey(
        &mut self,
        now: Duration,
        resource: &str,
        request: &Request,
        Wanted { package, replaced, expires }: Wanted,
    ) -> PublishAnswer {
        // RFC 3903 §6: "The ESC MUST generate a new entity-tag for each successful
        // publication, replacing any previous entity-tag associated with
        // that event state."
        let tag = self.fresh_tag();
        let until = now.saturating_add(Duration::from_secs(expires.into()));
        let changed = match replaced {
            // RFC 3903 §6: "If the chosen expiration interval has a special value of "0",
            // the event state identified by the entity-tag MUST be
            // immediately removed.  The ESC MUST NOT store any event state as
            // a result of such a request."
            Some(old) if expires == 0 => self.remove(old).is_some(),
            None if expires == 0 => false,
            Some(old) => self.renew(old, tag, until, request),
            None => {
                self.insert(resource, package, tag, until, request);
                true
            }
        };
        // RFC 3903 §6: "The response MUST contain an
        // Expires header field indicating the expiration interval chosen by
        // the ESC.  The response MUST also contain a SIP-ETag header field
        // that contains a single entity-tag identifying the publication."
        PublishAnswer {
            status: StatusCode::OK,
            headers: smallvec![
                ("SIP-ETag", format!("{tag:032x}")),
                ("Expires", expires.to_string())
            ],
            changed,
        }
    }

    fn insert(&mut self, name: &str, package: u16, tag: u128, until: Duration, request: &Request) {
        let seed = self.seed;
        let hash = hash(seed, name, package);
        let found = self.resources.find_mut(hash, |other| other.is(name, package));
        let resource = match found {
            Some(resource) => {
                resource.tags.push(tag);
                Arc::clone(&resource.name)
            }
            None => {
                let name: Arc<str> = name.into();
                let resource = Resource { name: Arc::clone(&name), package, tags: smallvec![tag] };
                self.resources.insert_unique(hash, resource, |other| {
                    self::hash(seed, &other.name, other.package)
                });
                name
            }
        };
        let content_type = content_type(request).into();
        let body = Bytes::copy_from_slice(request.body());
        let document = Document { tag, resource, package, content_type, body, until };
        self.documents.insert_unique(short(tag), document, |other| short(other.tag));
        self.ends.insert((until, tag));
    }

    /// Gives a document another tag and life, and what the request carries; gives whether it says another thing now.
    fn renew(&mut self, old: u128, tag: u128, until: Duration, request: &Request) -> bool {
        let Ok(entry) = self.documents.find_entry(short(old), |other| other.tag == old) else {
            return false; // It was there a moment ago.
        };
        let (mut document, _) = entry.remove();
        self.ends.remove(&(document.until, old));
        (document.tag, document.until) = (tag, until);
        let body = request.body();
        let kind = content_type(request);
        let changed =
            !body.is_empty() && (body[..] != document.body[..] || *kind != *document.content_type);
        if changed {
            document.body = Bytes::copy_from_slice(body);
            document.content_type = kind.into();
        }
        let hash = hash(self.seed, &document.resource, document.package);
        let is = |other: &Resource| other.is(&document.resource, document.package);
        if let Some(resource) = self.resources.find_mut(hash, is) {
            if changed {
                resource.tags.retain(|other| *other != old);
                resource.tags.push(tag);
            } else if let Some(place) = resource.tags.iter_mut().find(|other| **other == old) {
                *place = tag;
            }
        }
        self.documents.insert_unique(short(tag), document, |other| short(other.tag));
        self.ends.insert((until, tag));
        changed
    }

    fn remove(&mut self, tag: u128) -> Option<Document> {
        let entry = self.documents.find_entry(short(tag), |other| other.tag == tag).ok()?;
        let (document, _) = entry.remove();
        self.ends.remove(&(document.until, tag));
        let hash = hash(self.seed, &document.resource, document.package);
        let is = |other: &Resource| other.is(&document.resource, document.package);
        if let Ok(mut entry) = self.resources.find_entry(hash, is) {
            entry.get_mut().tags.retain(|other| *other != tag);
            if entry.get().tags.is_empty() {
                entry.remove();
            }
        }
        Some(document)
    }

    /// RFC 3903 §6: "The generated entity-tag MUST be unique from any
    /// other entity-tags currently assigned to event state associated
    /// with that Request-URI, and MUST be different from any entity-tag
    /// assigned previously to event state for that Request-URI."
    /// A number that is counted and enciphered comes twice with a chance of one in 2^128, and is known to nobody before.
    fn fresh_tag(&mut self) -> u128 {
        loop {
            self.tags = self.tags.wrapping_add(1);
            let mut hasher = SipHasher24::new_with_keys(self.seed[0], self.seed[1]);
            hasher.write_u64(self.tags);
            let tag = hasher.finish128().as_u128();
            if self.document(tag).is_none() {
                return tag;
            }
        }
    }

    fn has_room(&self, resource: &str, package: u16) -> bool {
        let of_it = self.resource(resource, package).map_or(0, |resource| resource.tags.len());
        self.documents.len() < self.config.max_documents
            && of_it < self.config.max_documents_per_resource
    }

    fn package_of(&self, event: &str) -> Option<u16> {
        let place = self.config.packages.iter().position(|(known, _)| known == event)?;
        u16::try_from(place).ok()
    }

    fn document(&self, tag: u128) -> Option<&Document> {
        self.documents.find(short(tag), |document| document.tag == tag)
    }

    fn resource(&self, name: &str, package: u16) -> Option<&Resource> {
        self.resources.find(hash(self.seed, name, package), |other| other.is(name, package))
    }
}

impl Resource {
    fn is(&self, name: &str, package: u16) -> bool {
        self.package == package && *self.name == *name
    }
}

/// What a PUBLISH that is in order asks for.
struct Wanted {
    package: u16,
    /// The document that it names.
    replaced: Option<u128>,
    expires: u32,
}

/// The entity-tag in SIP-If-Match: none, one of ours, or one that cannot be.
fn if_match(request: &Request) -> Result<Option<Option<u128>>, PublishAnswer> {
    let mut values = request.headers().raw_all(HeaderName::SipIfMatch);
    let Some(value) = values.next() else { return Ok(None) };
    // RFC 3903 §6: "Else, if the request has a SIP-If-Match header field, the ESC
    // checks whether the header field contains a single entity-tag.
    // If not, the request is invalid, and the ESC MUST return with a
    // 400 (Invalid Request) response and skip the remaining steps."
    let (Ok(tag), None) = (SipIfMatch::parse(value), values.next()) else {
        return Err(PublishAnswer::refused(StatusCode::BAD_REQUEST));
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let text = tag.as_str();
    let could_be = text.len() == 32 && text.bytes().all(is_digit);
    Ok(Some(could_be.then(|| u128::from_str_radix(text, 16).ok()).flatten()))
}

fn content_type(request: &Request) -> &str {
    let value = request.headers().raw(HeaderName::ContentType).unwrap_or_default();
    core::str::from_utf8(value).unwrap_or_default().trim()
}

fn hash(seed: [u64; 2], name: &str, package: u16) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    hasher.write(name.as_bytes());
    hasher.write_u16(package);
    hasher.finish()
}

/// The low half of an entity-tag.
fn short(tag: u128) -> u64 {
    tag as u64
}

#[cfg(test)]
mod tests;
