//! Our side of one session: [`MediaSession`].
//!
//! ```text
//!                 offer                   take_answer
//!     +--------+ -------> +-------------+ ------------> +--------+
//!     | Stable |          | Offer waits |               | Stable |
//!     +--------+ <------- +-------------+               +--------+
//!       |    ^  roll_back        |
//!       +----+                   | an offer of the peer: glare, 491
//!       answer                   v
//! ```

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::Limits;
use crate::agreed::{Agreed, Changes};
use crate::compose::{self, Line};
use crate::description::Description;
use crate::error::{Misuse, SdpError};
use crate::slot::{self, Slot, Wish};
use crate::stream::{Hold, Stream};

/// Our side of one session as RFC 3264 describes it: the streams that we want, what the peer has agreed to, the
/// order of m= lines, the numbers of codecs and the version, which all hold for as long as the session lasts.
///
/// A stream is in one of two places. In a *slot* it is part of the session: its m= line keeps its place for
/// good. Else it is at hand: it is offered in the first offer, or answers an offer of its kind. A stream that the
/// peer does not want, or ends, is at hand again.
///
/// All that fails leaves the session as it was. When an INVITE forks, each early dialog has a session of its own:
/// `clone` the one that made the offer.
#[derive(Clone, Debug)]
pub struct MediaSession {
    pub(crate) name: Cow<'static, str>,
    pub(crate) id: u64,
    pub(crate) version: u64,
    /// Where we receive, unless a stream says otherwise.
    pub(crate) address: IpAddr,
    /// That of the o= line, which never changes.
    pub(crate) origin: IpAddr,
    pub(crate) limits: Limits,
    pub(crate) bundle: bool,
    pub(crate) held: Option<Hold>,
    settled_held: Option<Hold>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) times: Vec<Time>,
    pub(crate) spare: Vec<Spare>,
    pub(crate) slots: Vec<Slot>,
    /// The last description that we gave; empty before the first.
    pub(crate) sent: Bytes,
    /// The peer's last.
    pub(crate) received: Option<Received>,
    pub(crate) waiting: Option<Waiting>,
}

/// An offer of ours that waits for its answer; what it says of each stream is with the slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// How many slots the session had before.
    slots: usize,
    held: Option<Hold>,
}

/// A stream at hand that is in no slot.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    pub(crate) wish: Arc<Wish>,
    /// To be in our next offer.
    pub(crate) asked: bool,
}

/// What the peer's next description is held against.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) origin: Origin,
    pub(crate) text: Bytes,
}

impl MediaSession {
    /// A session with nothing in it yet. `id` tells it from our other sessions, and is best drawn at random;
    /// its highest bit is not used. `address` is where we receive.
    #[must_use]
    pub fn new(id: u64, address: IpAddr) -> Self {
        Self {
            name: Cow::Borrowed("-"),
            id: id >> 1,
            version: 1,
            address,
            origin: address,
            limits: Limits::default(),
            bundle: false,
            held: None,
            settled_held: None,
            attributes: Vec::new(),
            times: Vec::new(),
            spare: Vec::new(),
            slots: Vec::new(),
            sent: Bytes::new(),
            received: None,
            waiting: None,
        }
    }

    /// With a stream at hand: it is in our first offer, and answers an offer of its kind and protocol. Of several
    /// that fit, the first that was said does.
    #[must_use]
    pub fn stream(mut self, stream: Stream) -> Self {
        self.spare.push(Spare { wish: Arc::new(Wish::new(stream)), asked: false });
        self
    }

    /// With the user name of the o= line, which is `-` otherwise. White space in it becomes `_`.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        let visible =
            |char: char| if char.is_whitespace() || char.is_control() { '_' } else { char };
        Self { name: Cow::Owned(name.chars().map(visible).collect()), ..self }
    }

    /// With the version that its first description has, in place of 1; at most 2^62 - 2.
    #[must_use]
    pub fn version(self, version: u64) -> Self {
        // RFC 3264 §5: "The initial value of the version MUST be less than (2**62)-1, to avoid rollovers."
        Self { version: version.min((1 << 62) - 2), ..self }
    }

    /// All streams over one transport where the peer agrees (`a=group:BUNDLE`).
    #[must_use]
    pub fn bundle(self) -> Self {
        Self { bundle: true, ..self }
    }

    /// With an attribute at session level, such as `ice-lite`.
    #[must_use]
    pub fn attribute<'a>(mut self, name: &str, value: impl Into<Option<&'a str>>) -> Self {
        let value = value.into().map(str::to_owned);
        self.attributes.push(Attribute { attribute: name.to_owned(), value });
        self
    }

    /// With other limits for what the peer says.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// An offer of what we want now: all streams at hand if it is the first, else the streams of the session as
    /// they are wanted, and what was [added](Self::add). It has a new version only if something has changed.
    ///
    /// # Errors
    ///
    /// [`Misuse::OfferWaits`] before the answer to the last one, and when there is no room for another stream or
    /// codec.
    pub fn offer(&mut self) -> Result<Bytes, SdpError> {
        // RFC 3264 §4: "it MUST NOT generate a new offer if it has generated a prior offer for which it has not
        // yet received an answer or a rejection."
        if self.waiting.is_some() {
            return Err(Misuse::OfferWaits.into());
        }
        let first = self.slots.is_empty();
        self.waiting = Some(Waiting { slots: self.slots.len(), held: self.held });
        let placed = self.place(first).and_then(|()| slot::number(&mut self.slots, self.bundle));
        if let Err(misuse) = placed {
            self.undo();
            return Err(misuse.into());
        }
        self.name_streams();
        for index in 0..self.slots.len() {
            let wanted = self.slots.get(index).and_then(|slot| slot.wanted.clone());
            let offered = wanted.map(|wish| (self.direction(&wish.stream), wish));
            if let Some(slot) = self.slots.get_mut(index) {
                slot.offered = offered;
            }
        }
        let media = self.slots.iter().map(|slot| self.offered_line(slot)).collect();
        let group = self.bundle.then(|| self.mids_in_use(|slot| slot.wanted.is_some()));
        Ok(self.publish(media, group))
    }

    /// An offer of all that we can do: what the session has, and all streams at hand besides. It is what an
    /// INVITE without an offer is owed in the middle of a session.
    ///
    /// # Errors
    ///
    /// Those of [`offer`](Self::offer).
    pub fn offer_all(&mut self) -> Result<Bytes, SdpError> {
        // RFC 6337 §5.2.5: "When the new offer is sent in response to an offerless (re-)INVITE, it should be
        // constructed according to the General Principle for Constructing Offers and Answers (Section 5.1 ):
        // all codecs the UA is currently willing and able to use should be included, not just the ones that
        // were negotiated by previous offer/answer exchanges. The same is true for media types"
        if self.waiting.is_none() {
            self.spare.iter_mut().for_each(|spare| spare.asked = true);
        }
        self.offer()
    }

    /// Takes back the offer that waits for its answer: the peer has refused it, or the request that carried it
    /// has failed. Held or resumed, added and changed streams are again what they were when the last exchange
    /// was done; streams that the offer added are at hand.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoOffer`] if none waits.
    pub fn roll_back(&mut self) -> Result<(), SdpError> {
        // RFC 6337 §3.4: "the session parameters in effect prior to a re-INVITE remain unchanged if the
        // re-INVITE fails, as if no re-INVITE had been issued."
        if self.waiting.is_none() {
            return Err(Misuse::NoOffer.into());
        }
        self.undo();
        Ok(())
    }

    /// Whether an offer of ours waits for its answer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Holds the peer: all streams, from the next offer or answer on.
    pub fn hold(&mut self, hold: Hold) {
        self.held = Some(hold);
    }

    /// No longer holds the peer.
    pub fn resume(&mut self) {
        self.held = None;
        for slot in &mut self.slots {
            if let Some(wish) = slot.wanted.as_mut().filter(|wish| wish.stream.held.is_some()) {
                Arc::make_mut(wish).stream.held = None;
            }
        }
    }

    /// Whether we hold the peer.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Holds or resumes one stream of the session.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoStream`] if there is none in that slot.
    pub fn hold_stream(&mut self, slot: usize, hold: Option<Hold>) -> Result<(), SdpError> {
        // RFC 3264 §8.4: "Each stream is placed "on hold" independently."
        self.modify(slot, |stream| Stream { held: hold, ..stream })
    }

    /// Adds a stream: it is in our next offer, or answers the peer's if that has one of its kind. In the offer it
    /// takes the place of a stream that has ended, or comes last.
    pub fn add(&mut self, stream: Stream) {
        self.spare.push(Spare { wish: Arc::new(Wish::new(stream)), asked: true });
    }

    /// Ends a stream, with the next offer or answer.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoStream`] if there is none in that slot.
    pub fn remove(&mut self, slot: usize) -> Result<Stream, SdpError> {
        let slot = self.slots.get_mut(slot).ok_or(Misuse::NoStream)?;
        let wish = slot.wanted.take().ok_or(Misuse::NoStream)?;
        Ok(Arc::unwrap_or_clone(wish).stream)
    }

    /// Changes a stream of the session, with the next offer or answer: its port, address, codecs, direction, keys,
    /// even its medium. Codecs that stay keep their numbers.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoStream`] if there is none in that slot.
    pub fn modify(
        &mut self,
        slot: usize,
        change: impl FnOnce(Stream) -> Stream,
    ) -> Result<(), SdpError> {
        let slot = self.slots.get_mut(slot).ok_or(Misuse::NoStream)?;
        let wish = slot.wanted.as_ref().ok_or(Misuse::NoStream)?;
        let changed = wish.changed(change(wish.stream.clone()));
        slot.wanted = Some(Arc::new(changed));
        Ok(())
    }

    /// Receives at another address from the next offer or answer on, such as after a change of network.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = address;
    }

    /// The stream that we want in a slot.
    #[must_use]
    pub fn wanted(&self, slot: usize) -> Option<&Stream> {
        self.slots.get(slot)?.wanted.as_ref().map(|wish| &wish.stream)
    }

    /// What both sides have agreed on for a slot; `None` if there is no media in it.
    #[must_use]
    pub fn agreed(&self, slot: usize) -> Option<&Agreed> {
        self.slots.get(slot)?.agreed.as_deref()
    }

    /// All that both sides have agreed on, with the slots.
    pub fn streams(&self) -> impl Iterator<Item = (usize, &Agreed)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((index, slot.agreed.as_deref()?)))
    }

    /// The last description that we gave: what is sent again where the same is owed once more.
    #[must_use]
    pub fn local(&self) -> &Bytes {
        &self.sent
    }

    /// The last description that the peer gave.
    #[must_use]
    pub fn remote(&self) -> Option<&Bytes> {
        self.received.as_ref().map(|received| &received.text)
    }

    /// Puts into slots what our offer is to add.
    fn place(&mut self, all: bool) -> Result<(), Misuse> {
        let (asked, spare) = std::mem::take(&mut self.spare)
            .into_iter()
            .partition(|spare: &Spare| !spare.wish.stream.only_answers && (all || spare.asked));
        self.spare = spare;
        for Spare { wish, .. } in asked {
            let stream = &wish.stream;
            let kind = stream.of().kind();
            // RFC 3264 §8.1: "New media streams are created by new additional media descriptions below the
            // existing ones, or by reusing the "slot" used by an old media stream which had been disabled by
            // setting its port to zero."
            // Of another kind only where there is no room: a peer may not expect that.
            let room = self.slots.len() < self.limits.media;
            let fits = |slot: &&mut Slot| {
                let [before, ..] = &*slot.line;
                slot.is_free() && (before == kind || !room)
            };
            if let Some(slot) = self.slots.iter_mut().find(fits) {
                slot.wanted = Some(wish);
                continue;
            }
            if !room {
                self.spare.push(Spare { wish, asked: false });
                return Err(Misuse::NoRoom);
            }
            let mut slot = Slot::new(wish.line());
            slot.wanted = Some(wish);
            self.slots.push(slot);
        }
        Ok(())
    }

    /// Gives names to streams that have none, where they need some.
    fn name_streams(&mut self) {
        if !self.bundle {
            return;
        }
        for index in 0..self.slots.len() {
            if self.slots.get(index).is_none_or(|slot| slot.mid.is_some()) {
                continue;
            }
            let taken = |mid: &str| self.slots.iter().any(|slot| slot.mid.as_deref() == Some(mid));
            let free = (index..).map(|number| number.to_string()).find(|mid| !taken(mid));
            if let (Some(slot), Some(mid)) = (self.slots.get_mut(index), free) {
                slot.mid = Some(mid.into());
            }
        }
    }

    fn offered_line(&self, slot: &Slot) -> Media {
        let Some(wish) = &slot.wanted else {
            let [kind, protocol, format] = &*slot.line;
            return compose::refused(kind, protocol, format, slot.mid.as_deref());
        };
        let formats: Vec<_> = wish.formats().collect();
        let abilities = wish.stream.medium.abilities();
        let other_formats: Vec<String> =
            abilities.formats.iter().map(ToString::to_string).collect();
        let line = Line {
            stream: &wish.stream,
            protocol: wish.stream.protocol(),
            formats: &formats,
            other_formats: &other_formats,
            direction: self.direction(&wish.stream),
            mid: slot.mid.as_deref(),
            offered: None,
            crypto: None,
            setup: None,
        };
        line.media(self.address)
    }

    /// What we want of a stream now.
    pub(crate) fn direction(&self, stream: &Stream) -> crate::Direction {
        stream.direction_in(self.held)
    }

    /// The value of a BUNDLE group of the slots that are in use.
    pub(crate) fn mids_in_use(&self, in_use: impl Fn(&Slot) -> bool) -> Vec<String> {
        let used = self.slots.iter().filter(|slot| in_use(slot));
        used.filter_map(|slot| slot.mid.as_deref().map(str::to_owned)).collect()
    }

    /// Writes our description, with the next version if it is not what we last said.
    pub(crate) fn publish(&mut self, media: Vec<Media>, group: Option<Vec<String>>) -> Bytes {
        let mut attributes = Vec::with_capacity(self.attributes.len().saturating_add(1));
        if let Some(mids) = group.filter(|mids| !mids.is_empty()) {
            attributes.push(compose::attribute("group", format!("BUNDLE {}", mids.join(" "))));
        }
        attributes.extend(self.attributes.iter().cloned());
        let mut session = self.description(self.version, media, attributes);
        session.times.clone_from(&self.times);
        let mut text = compose::write(&session);
        // RFC 3264 §8: "the "o=" line of the new SDP MUST be identical to that in the previous SDP, except that
        // the version in the origin field MUST increment by one from the previous SDP. If the version in the
        // origin line does not increment, the SDP MUST be identical to the SDP with that version number."
        if !self.sent.is_empty() && self.sent != text {
            self.version = self.version.saturating_add(1);
            session.origin.sess_version = self.version;
            text = compose::write(&session);
        }
        self.sent = text.clone();
        text
    }

    fn description(&self, version: u64, media: Vec<Media>, attributes: Vec<Attribute>) -> Session {
        let mut origin = Origin::with_ip_addr(self.id, version, self.origin);
        origin.username = Some(self.name.to_string());
        Session {
            origin,
            // RFC 3264 §5: "For unicast sessions, it is RECOMMENDED that it consist of a single space
            // character (0x20) or a dash (-)."
            session_name: "-".to_owned(),
            session_description: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: Some(Connection::from_ip_addr(self.address)),
            bandwidths: Vec::new(),
            times: Vec::new(),
            time_zones: Vec::new(),
            key: None,
            attributes,
            medias: media,
        }
    }

    /// Takes back what an offer has put into slots.
    fn undo(&mut self) {
        let Some(before) = self.waiting.take() else { return };
        self.held = self.settled_held;
        let added = self.slots.split_off(before.slots.min(self.slots.len()));
        for slot in &mut self.slots {
            let wanted = slot.undo();
            if slot.settled.is_none() {
                self.spare.extend(wanted.map(|wish| Spare { wish, asked: false }));
            }
        }
        let wishes = added.into_iter().filter_map(|slot| slot.wanted);
        self.spare.extend(wishes.map(|wish| Spare { wish, asked: false }));
    }

    /// An exchange is done: what is wanted now is what an offer is rolled back to.
    pub(crate) fn settle(&mut self) {
        let waiting = self.waiting.take();
        self.settled_held = waiting.map_or(self.held, |waiting| waiting.held);
        for slot in &mut self.slots {
            slot.settle(waiting.is_some());
        }
    }

    /// The last to be said of an exchange: its changes, slot by slot.
    pub(crate) fn conclude(
        &mut self,
        agreed: Vec<Option<Box<Agreed>>>,
        offered: &[bool],
        breaches: Vec<SdpError>,
    ) -> Changes {
        let mut changes = Changes { breaches, ..Changes::default() };
        let found = agreed.into_iter().zip(offered.iter().copied());
        for (index, (slot, (agreed, offered))) in self.slots.iter_mut().zip(found).enumerate() {
            let change = crate::Change::between(slot.agreed.as_deref(), agreed.as_deref(), offered);
            changes
                .streams
                .extend(change.map(|change| crate::StreamChange { slot: index, change }));
            slot.agreed = agreed;
        }
        self.settle();
        changes
    }

    /// Reads a description of the peer.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Description, SdpError> {
        Description::parse(bytes, &self.limits)
    }
}

/// What we can do, told to who asks by OPTIONS, or with a 488: it is neither an offer nor an answer.
///
/// ```
/// use sip_sdp::{Codec, Medium, capabilities};
/// let audio = Medium::audio().codec(Codec::PCMU).codec(Codec::OPUS);
/// let text = capabilities(7, [192, 0, 2, 1].into(), &[audio.at(0)]);
/// assert!(text.ends_with(b"m=audio 0 RTP/AVP 0 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 opus/48000/2\r\n"));
/// ```
#[must_use]
pub fn capabilities(id: u64, address: IpAddr, streams: &[Stream]) -> Bytes {
    // RFC 3264 §9: "The "t=" line MUST be equal to "0 0". For each media type supported by the agent, there
    // MUST be a corresponding media description of that type. The session ID in the origin field MUST be unique
    // for each SDP constructed to indicate media capabilities. The port MUST be set to zero, but the connection
    // address is arbitrary."
    let session = streams
        .iter()
        .fold(MediaSession::new(id, address), |session, stream| session.stream(stream.clone()));
    session.capabilities()
}

impl MediaSession {
    fn capabilities(mut self) -> Bytes {
        let limits = self.limits;
        self.limits = Limits { media: usize::MAX, ..limits };
        // A codec that finds no number is left out.
        let _ = self.place(true).and_then(|()| slot::number(&mut self.slots, false));
        let media = self.slots.iter().map(|slot| {
            let mut media = self.offered_line(slot);
            media.port = 0;
            media.attributes.retain(|one| matches!(one.attribute.as_str(), "rtpmap" | "fmtp"));
            media
        });
        let media = media.collect();
        self.publish(media, None)
    }
}

#[cfg(test)]
mod tests;
