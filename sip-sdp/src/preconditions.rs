//! Preconditions (RFC 3312, RFC 4032): what has to be reserved for a stream before anybody is alerted.
//!
//! ```text
//!   caller                                              callee
//!     offer()  -- a=curr a=des --------------------->  answer(): may it be?  580, or
//!     take_answer()  <------------ a=curr a=des a=conf -- suspended until are_met()
//!     set_reserved(), owes_offer()
//!     offer()  -- UPDATE: a=curr as it is now ------>  answer(), are_met(): 180
//! ```
//!
//! | table of the RFC          | here                                                                       |
//! | ------------------------- | -------------------------------------------------------------------------- |
//! | local status table        | [`Entry`]: `current` and `strength` of each direction, from our point of view |
//! | transaction status table  | `offered`: what our offer said; that of the peer's offer is made in passing  |
//! | local information         | `reserved`, for the directions of which we know (`known`)                   |

mod lines;

use std::borrow::Cow;

use bytes::Bytes;
use sip_message::StatusCode;

use crate::{Direction, OfferAnswer, Refusal};

use lines::{Line, What, sections};

/// Streams of one description that are looked at, and entries of one of them: what is said beyond is ignored.
const MAX_STREAMS: usize = 64;
const MAX_ENTRIES: usize = 16;

/// How much a precondition is wanted, in rising order (RFC 3312 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// No reservation is needed.
    #[default]
    None,
    /// Reservation is tried, and the session goes on without.
    Optional,
    /// Without reservation nobody is alerted.
    Mandatory,
}

/// Whose network a status is of, from the point of view of who says it (RFC 3312 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusType {
    /// All the way.
    EndToEnd,
    /// The access network of who says this.
    Local,
    /// That of the other side.
    Remote,
}

/// A precondition that we want for every stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    kind: Cow<'static, str>,
    status: StatusType,
    strength: [Strength; 2],
    known: [bool; 2],
}

impl Precondition {
    /// Quality of service, wanted so much in both directions.
    ///
    /// Of a status end to end it is taken that we come to know the direction in which we send, as with RSVP; of our
    /// access network both; of the peer's none: [`known`](Self::known) says it otherwise.
    #[must_use]
    pub fn qos(status: StatusType, strength: Strength) -> Self {
        let known = match status {
            StatusType::EndToEnd => [true, false],
            StatusType::Local => [true, true],
            StatusType::Remote => [false, false],
        };
        Self { kind: Cow::Borrowed("qos"), status, strength: [strength; 2], known }
    }

    /// Of another type than `qos`, such as `sec` (RFC 5027).
    #[must_use]
    pub fn of_type(self, kind: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// Wanted so much in the two directions.
    #[must_use]
    pub fn strengths(self, send: Strength, receive: Strength) -> Self {
        Self { strength: [send, receive], ..self }
    }

    /// The directions in which we come to know by ourselves whether there is a reservation.
    #[must_use]
    pub fn known(self, known: Direction) -> Self {
        Self { known: ways(known), ..self }
    }
}

/// The preconditions of one session, as a machine over its descriptions.
///
/// ```
/// use sip_sdp::{Direction, Precondition, Preconditions, StatusType, Strength};
///
/// let qos = || Precondition::qos(StatusType::EndToEnd, Strength::Mandatory);
/// let mut caller = Preconditions::caller().with(qos());
/// let mut callee = Preconditions::callee().with(qos());
/// let audio = |port: u16| {
///     format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n")
/// };
///
/// // INVITE, and the 183 with the answer: nobody is alerted, and the callee asks to be told.
/// let offer = caller.offer(audio(20_000).as_bytes());
/// let answer = callee.answer(&offer, audio(30_000).as_bytes()).unwrap();
/// assert!(answer.ends_with(
///     b"a=curr:qos e2e none\r\na=des:qos mandatory e2e sendrecv\r\na=conf:qos e2e recv\r\n"
/// ));
/// caller.take_answer(&answer);
/// assert!(!callee.are_met() && !caller.owes_offer());
///
/// // Both have their reservations: an UPDATE says so, and now it may ring.
/// callee.set_reserved(0, StatusType::EndToEnd, Direction::SendOnly);
/// caller.set_reserved(0, StatusType::EndToEnd, Direction::SendOnly);
/// assert!(caller.owes_offer() && !callee.are_met());
/// let update = caller.offer(audio(20_000).as_bytes());
/// callee.answer(&update, audio(30_000).as_bytes()).unwrap();
/// assert!(callee.are_met());
/// ```
#[derive(Clone, Debug)]
pub struct Preconditions {
    /// Whether we are called, and so wait with alerting.
    callee: bool,
    wanted: Vec<Precondition>,
    streams: Vec<Stream>,
    /// Something was offered.
    begun: bool,
    /// An offer of ours has no answer.
    waits: bool,
    /// The m= lines of the peer's last description: what a failure is reported on.
    theirs: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    entries: Vec<Entry>,
    /// Whether the peer has last been told that all it wants confirmed is there.
    announced: bool,
    /// The stream has been in an exchange: what is wanted of a new one is settled.
    negotiated: bool,
}

/// The two rows of one type and status type.
#[derive(Clone, Debug)]
struct Entry {
    kind: Cow<'static, str>,
    status: StatusType,
    known: [bool; 2],
    rows: [Row; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    strength: Strength,
    current: bool,
    /// As we know it ourselves.
    reserved: bool,
    /// What our last offer said.
    offered: bool,
    /// The peer wants to be told.
    confirm: bool,
}

impl Preconditions {
    /// Those of a session that we ask for.
    #[must_use]
    pub fn caller() -> Self {
        Self::new(false)
    }

    /// Those of a session that we are asked for, in which we alert nobody until they are met.
    #[must_use]
    pub fn callee() -> Self {
        Self::new(true)
    }

    fn new(callee: bool) -> Self {
        let (wanted, streams, theirs) = (Vec::new(), Vec::new(), Vec::new());
        Self { callee, wanted, streams, begun: false, waits: false, theirs }
    }

    /// With this one for every stream. A status of one access network brings that of the other with it, not wanted
    /// unless it is said.
    #[must_use]
    pub fn with(mut self, precondition: Precondition) -> Self {
        let Precondition { kind, status, .. } = &precondition;
        self.wanted.retain(|wanted| (&wanted.kind, wanted.status) != (kind, *status));
        let other = match status {
            StatusType::EndToEnd => None,
            // RFC 3312 §5.1.1: "For the segmented status type, the user agent MUST generate two
            // current status lines: one with the tag "local" and the other with the
            // tag "remote"."
            StatusType::Local => Some(StatusType::Remote),
            StatusType::Remote => Some(StatusType::Local),
        };
        if let Some(other) = other
            && !self.wanted.iter().any(|wanted| wanted.kind == *kind && wanted.status == other)
        {
            let none = Precondition::qos(other, Strength::None).of_type(kind.clone());
            self.wanted.push(none);
        }
        self.wanted.push(precondition);
        self
    }

    /// Writes into an offer of ours what is wanted and what there is.
    pub fn offer(&mut self, description: &[u8]) -> Bytes {
        let streams = sections(description, MAX_STREAMS);
        self.streams.resize_with(streams.len(), Stream::default);
        for (stream, theirs) in self.streams.iter_mut().zip(&streams) {
            // RFC 3312 §5.1: "Before generating an offer, the offerer MUST build a transaction
            // status table with the current and the desired status, for each media
            // stream."
            if theirs.is_used {
                stream.begin(&self.wanted);
            } else {
                stream.entries.clear();
            }
            for row in stream.entries.iter_mut().flat_map(|entry| &mut entry.rows) {
                row.offered = row.current;
            }
        }
        (self.begun, self.waits) = (true, true);
        self.write(description)
    }

    /// Reads the peer's offer, and writes into our answer to it what both want and what there is.
    ///
    /// # Errors
    ///
    /// 580 with its description if the peer insists on what we know nothing of; nothing is changed then.
    pub fn answer(&mut self, offer: &[u8], description: &[u8]) -> Result<Bytes, Refusal> {
        self.check(offer)?;
        self.begun = true;
        self.note_media(offer);
        let offered = sections(offer, MAX_STREAMS);
        self.streams.resize_with(offered.len(), Stream::default);
        for (stream, theirs) in self.streams.iter_mut().zip(&offered) {
            stream.answer(theirs.lines(), &self.wanted, theirs.is_used);
        }
        Ok(self.write(description))
    }

    /// Whether an offer may be answered, as far as preconditions go.
    ///
    /// # Errors
    ///
    /// 580, as [`answer`](Self::answer).
    // RFC 3312 §9: "A UA that receives an unknown
    // precondition-type, with a "mandatory" strength-tag in an offer, MUST
    // refuse the offer unless the only unknown mandatory preconditions have
    // the "local" tag."
    pub fn check(&self, offer: &[u8]) -> Result<(), Refusal> {
        let knows = |kind: &str| kind == "qos" || self.wanted.iter().any(|one| one.kind == kind);
        let mut refused = Vec::new();
        for (slot, theirs) in sections(offer, MAX_STREAMS).iter().enumerate() {
            for line in theirs.lines().filter(|_| theirs.is_used) {
                // What is local to the peer is remote to us.
                if line.what == What::Desired(Strength::Mandatory)
                    && !knows(line.kind)
                    && line.status != StatusType::Remote
                {
                    refused.push((slot, line.written("unknown")));
                }
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refusal(&media_of(offer), &refused)) }
    }

    /// Reads the peer's answer to our offer.
    pub fn take_answer(&mut self, answer: &[u8]) {
        self.waits = false;
        self.note_media(answer);
        let mut answered = sections(answer, MAX_STREAMS).into_iter();
        for stream in &mut self.streams {
            match answered.next() {
                Some(theirs) => stream.take_answer(theirs.lines(), theirs.is_used),
                None => stream.entries.clear(),
            }
        }
    }

    /// The offer of ours that waits for its answer has none: the peer knows no more than before.
    pub fn roll_back(&mut self) {
        self.waits = false;
    }

    /// What is reserved for a stream now, as we know it: of [a status](Precondition::known) that is not ours to know
    /// nothing changes.
    // RFC 3312 §5.2: "Therefore, both user
    // agents MUST keep their local status tables up to date, using local
    // information throughout the duration of the session."
    pub fn set_reserved(&mut self, slot: usize, status: StatusType, reserved: Direction) {
        let reserved = ways(reserved);
        if slot >= self.streams.len() && slot < MAX_STREAMS {
            // Reserved before anything is offered.
            self.streams.resize_with(slot.saturating_add(1), Stream::default);
        }
        if let Some(stream) = self.streams.get_mut(slot) {
            stream.begin(&self.wanted);
        }
        let entries = self.streams.get_mut(slot).into_iter().flat_map(|stream| &mut stream.entries);
        for entry in entries.filter(|entry| entry.status == status) {
            for ((row, known), reserved) in entry.rows.iter_mut().zip(entry.known).zip(reserved) {
                if known {
                    (row.reserved, row.current) = (reserved, reserved);
                }
            }
        }
    }

    /// The stream is moved to another address with our next offer or answer: nothing is reserved for it any more.
    // RFC 4032 §4.1: "When a stream is being moved to a new transport address, the offerer
    // MUST set all current status values about which it does not have local
    // information about to "No"."
    pub fn moved(&mut self, slot: usize) {
        let entries = self.streams.get_mut(slot).into_iter().flat_map(|stream| &mut stream.entries);
        for row in entries.flat_map(|entry| &mut entry.rows) {
            (row.reserved, row.current) = (false, false);
        }
    }

    /// Whether all is reserved that is mandatory, so that the user may be alerted and the session begun.
    // RFC 3312 §6: "A user agent server knows that all the preconditions are met for a
    // media line when its local status table has a value of "yes" in all
    // the rows whose strength-tag is "mandatory"."
    #[must_use]
    pub fn are_met(&self) -> bool {
        if !self.begun {
            // What the peer says of them is not known yet.
            let mut wanted = self.wanted.iter().flat_map(|wanted| wanted.strength);
            return wanted.all(|strength| strength < Strength::Mandatory);
        }
        // RFC 3312 §10: "All the preconditions for a media stream MUST be met in order to
        // resume session establishment."
        let entries = self.streams.iter().flat_map(|stream| &stream.entries);
        entries
            .flat_map(|entry| &entry.rows)
            .all(|row| row.current || row.strength < Strength::Mandatory)
    }

    /// Whether a new offer is to be sent as soon as one may be, since the peer wants to know that something is
    /// reserved, or no longer.
    // RFC 3312 §7: "When this threshold is reached or surpassed, the user agent MUST send
    // an offer to the peer user agent, reflecting the new current status of
    // the media line as soon as allowed by the SIP offer/answer rules."
    #[must_use]
    pub fn owes_offer(&self) -> bool {
        !self.waits && self.streams.iter().any(Stream::has_news)
    }

    /// Whether something is mandatory: offers say `Require: precondition` then.
    #[must_use]
    pub fn are_mandatory(&self) -> bool {
        let entries = self.streams.iter().flat_map(|stream| &stream.entries);
        entries.flat_map(|entry| &entry.rows).any(|row| row.strength == Strength::Mandatory)
    }

    /// The 580 that is owed if what is mandatory cannot be reserved: for these directions of this stream.
    #[must_use]
    pub fn failed(&self, slot: usize, status: StatusType, failed: Direction) -> Refusal {
        let entries = self.streams.get(slot).into_iter().flat_map(|stream| &stream.entries);
        let kind = entries
            .filter(|entry| entry.status == status)
            .map(|entry| &*entry.kind)
            .next()
            .unwrap_or("qos");
        let line = lines::desired(kind, "failure", status, ways(failed));
        refusal(&self.theirs, &[(slot, line)])
    }

    /// Writes into a description of what we can do (the answer to OPTIONS) which preconditions we know.
    // RFC 3312 §12: "A UA that supports preconditions
    // SHOULD add desired status lines indicating the precondition-types
    // supported for each media stream.  These lines MUST have the "none"
    // strength-tag"
    #[must_use]
    pub fn capabilities(&self, description: &[u8]) -> Bytes {
        let wanted = self.wanted.iter().filter(|wanted| wanted.status != StatusType::Remote);
        let line =
            |wanted: &Precondition| lines::desired(&wanted.kind, "none", wanted.status, [true; 2]);
        let lines: String = wanted.map(line).collect();
        lines::insert(description, |_, _| lines.clone())
    }

    fn note_media(&mut self, description: &[u8]) {
        self.theirs = media_of(description);
    }

    fn write(&self, description: &[u8]) -> Bytes {
        lines::insert(description, |slot, is_used| match self.streams.get(slot) {
            // RFC 3312 §8.1: "Both the offerer and the answerer MUST ignore all the preconditions
            // that affect a stream with its port set to zero."
            Some(stream) if is_used => stream.written(self.callee),
            Some(_) | None => String::new(),
        })
    }
}

impl Stream {
    /// What is wanted of a stream that was in no exchange yet.
    fn begin(&mut self, wanted: &[Precondition]) {
        if !self.negotiated && self.entries.is_empty() {
            self.entries = wanted.iter().map(Entry::of).collect();
        }
    }

    fn answer<'a>(
        &mut self,
        lines: impl Iterator<Item = Line<'a>> + Clone,
        wanted: &[Precondition],
        is_used: bool,
    ) {
        let before = core::mem::take(&mut self.entries);
        if !is_used {
            return;
        }
        for line in lines.clone() {
            let is = |entry: &Entry| entry.kind == line.kind && entry.status == line.status;
            if line.what == What::Confirm || self.entries.iter().any(is) {
                continue;
            }
            if self.entries.len() >= MAX_ENTRIES {
                break;
            }
            let known = before.iter().find(|entry| is(entry)).cloned();
            let wish = wanted.iter().find(|one| one.kind == line.kind && one.status == line.status);
            let mut entry = known
                .or_else(|| wish.map(Entry::of))
                .unwrap_or_else(|| Entry::unknown(line.kind, line.status));
            let strength = wish.map_or([Strength::None; 2], |wish| wish.strength);
            for (row, strength) in entry.rows.iter_mut().zip(strength) {
                *row = Row { strength, reserved: row.reserved, ..Row::default() };
            }
            self.entries.push(entry);
        }
        for line in lines {
            let is = |entry: &&mut Entry| entry.kind == line.kind && entry.status == line.status;
            let Some(entry) = self.entries.iter_mut().find(is) else { continue };
            for (row, says) in entry.rows.iter_mut().zip(line.ways) {
                match line.what {
                    // RFC 3312 §5.2: "If the answerer does not have
                    // local information about that current status, the "Current"
                    // field of the local status table MUST be set to "No"."
                    What::Current => row.current = says,
                    // RFC 3312 §5.2: "An answerer MAY upgrade the
                    // desired strength in any entry of the transaction status
                    // table, but it MUST NOT downgrade it."
                    What::Desired(strength) if says => row.strength = row.strength.max(strength),
                    What::Desired(_) => {}
                    What::Confirm => row.confirm = says,
                }
            }
        }
        for entry in &mut self.entries {
            for (row, known) in entry.rows.iter_mut().zip(entry.known) {
                // RFC 4032 §4.1: "An answerer MUST downgrade the current status values received in the
                // offer if it has local information about them or if the media stream
                // is being moved to a new transport address."
                if known {
                    row.current = row.reserved;
                }
            }
        }
        self.negotiated = true;
        self.announced = self.is_confirmed();
    }

    fn take_answer<'a>(&mut self, lines: impl Iterator<Item = Line<'a>> + Clone, is_used: bool) {
        self.negotiated = true;
        // RFC 3312 §11: "The lack of preconditions in the answer would indicate that the
        // answerer did not support this extension."
        if !is_used || lines.clone().next().is_none() {
            return self.entries.clear();
        }
        for entry in &mut self.entries {
            let mut answered = [false; 2];
            for row in &mut entry.rows {
                row.confirm = false;
            }
            let of_entry = |line: &Line<'_>| entry.kind == line.kind && entry.status == line.status;
            for line in lines.clone().filter(of_entry) {
                for ((row, answered), says) in
                    entry.rows.iter_mut().zip(&mut answered).zip(line.ways)
                {
                    match line.what {
                        What::Current => *answered = says,
                        What::Desired(strength) if says => {
                            row.strength = row.strength.max(strength);
                        }
                        What::Desired(_) => {}
                        // RFC 3312 §7: "Confirmation attributes are not negotiated.  The answerer uses the
                        // value of the confirm-status attribute in the offer, and the offerer
                        // uses the value of this attribute in the answer."
                        What::Confirm => row.confirm |= says,
                    }
                }
            }
            for ((row, known), answered) in entry.rows.iter_mut().zip(entry.known).zip(answered) {
                // What we have said is taken back: the stream is moved (RFC 4032 §4.1, table of the offerer).
                if row.offered && !answered {
                    (row.reserved, row.current) = (false, false);
                } else if !known {
                    row.current = answered;
                }
            }
        }
        self.announced = self.is_told(|row| row.offered);
    }

    /// Whether all is there that the peer wants to be told of, and there is such.
    // RFC 3312 §7: "When
    // all the rows with this flag have a "Current" value of "yes", the user
    // agent MUST send a new offer to the peer."
    fn is_confirmed(&self) -> bool {
        self.is_told(|row| row.current)
    }

    /// Whether the peer wants to be told of something, and of all that this holds.
    fn is_told(&self, holds: impl Fn(&Row) -> bool) -> bool {
        let rows = self.entries.iter().flat_map(|entry| &entry.rows);
        let mut wanted = rows.filter(|row| row.confirm).peekable();
        wanted.peek().is_some() && wanted.all(holds)
    }

    // RFC 3312 §7: "Later, if any of the rows with this flag transition to
    // "No", a new offer MUST be sent as well."
    fn has_news(&self) -> bool {
        self.is_confirmed() != self.announced
    }

    /// Our lines, those of one type and of both access networks together.
    fn written(&self, callee: bool) -> String {
        let mut text = String::new();
        for (place, first) in self.entries.iter().enumerate() {
            let of_family = |entry: &&Entry| {
                entry.kind == first.kind
                    && (entry.status == StatusType::EndToEnd)
                        == (first.status == StatusType::EndToEnd)
            };
            if self.entries.iter().take(place).any(|entry| of_family(&entry)) {
                continue;
            }
            let order = [StatusType::EndToEnd, StatusType::Local, StatusType::Remote];
            let family = || {
                order.iter().flat_map(|status| {
                    self.entries.iter().filter(of_family).filter(|entry| entry.status == *status)
                })
            };
            // RFC 3312 §5.1.1: "For the end-to-end status type, the user agent MUST generate one
            // current status line with the tag "e2e" for the media stream."
            for entry in family() {
                lines::current(
                    &mut text,
                    &entry.kind,
                    entry.status,
                    entry.rows.map(|it| it.current),
                );
            }
            for Entry { kind, status, rows, .. } in family() {
                let [send, receive] = rows.map(|row| row.strength);
                // RFC 3312 §5.1.1: "If the strength-tags for both directions are equal (e.g., both "mandatory")
                // in the transaction status table, the user agent MUST add one desired
                // status line with the tag "sendrecv".  If both tags are different, the
                // user agent MUST include two desired status lines, one with the tag
                // "send" and the other with the tag "recv"."
                if send == receive {
                    text += &lines::desired(kind, send.as_str(), *status, [true; 2]);
                } else {
                    text += &lines::desired(kind, send.as_str(), *status, [true, false]);
                    text += &lines::desired(kind, receive.as_str(), *status, [false, true]);
                }
            }
            // RFC 3312 §6: "A UAS that is not capable of unilaterally meeting all of the
            // mandatory preconditions MUST include a confirm-status attribute in
            // the SDP (offer or answer) that it sends (see Section 7)."
            for entry in family().filter(|_| callee) {
                let [send, receive] = entry.rows;
                let [knows_send, knows_receive] = entry.known;
                let asks = |row: Row, known: bool| {
                    row.strength == Strength::Mandatory && !row.current && !known
                };
                let asked = [asks(send, knows_send), asks(receive, knows_receive)];
                if asked != [false; 2] {
                    lines::confirm(&mut text, &entry.kind, entry.status, asked);
                }
            }
        }
        text
    }
}

impl Entry {
    fn of(wanted: &Precondition) -> Self {
        let row = |strength| Row { strength, ..Row::default() };
        Self {
            kind: wanted.kind.clone(),
            status: wanted.status,
            known: wanted.known,
            rows: wanted.strength.map(row),
        }
    }

    /// What only the peer wants.
    fn unknown(kind: &str, status: StatusType) -> Self {
        let usual = Precondition::qos(status, Strength::None);
        let known = if kind == "qos" { usual.known } else { [false; 2] };
        Self { kind: kind.to_owned().into(), status, known, rows: [Row::default(); 2] }
    }
}

/// A [session](OfferAnswer) whose descriptions have preconditions.
#[derive(Clone, Debug)]
pub struct Conditional<M> {
    /// The session without them.
    pub media: M,
    /// They.
    pub preconditions: Preconditions,
    /// What we said last, and its version.
    sent: Bytes,
    version: Option<u64>,
}

impl<M: OfferAnswer> Conditional<M> {
    /// A session under these preconditions.
    pub fn new(media: M, preconditions: Preconditions) -> Self {
        Self { media, preconditions, sent: Bytes::new(), version: None }
    }

    /// With the version that it needs: the lines of preconditions change where the session itself may not.
    fn publish(&mut self, text: Bytes) -> Bytes {
        let version = self.version.or_else(|| lines::version_of(&text)).unwrap_or(1);
        let mut said = lines::with_version(&text, version);
        self.version = Some(version);
        if !self.sent.is_empty() && self.sent != said {
            let next = version.saturating_add(1);
            self.version = Some(next);
            said = lines::with_version(&text, next);
        }
        self.sent = said.clone();
        said
    }
}

impl<M: OfferAnswer> OfferAnswer for Conditional<M> {
    fn offer(&mut self) -> Result<Bytes, Refusal> {
        let text = self.media.offer()?;
        let text = self.preconditions.offer(&text);
        Ok(self.publish(text))
    }

    fn answer(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        self.preconditions.check(offer)?;
        let text = self.media.answer(offer)?;
        let text = if offer.is_empty() {
            self.preconditions.offer(&text)
        } else {
            self.preconditions.answer(offer, &text)?
        };
        Ok(self.publish(text))
    }

    fn take_answer(&mut self, answer: &[u8]) -> Result<(), Refusal> {
        self.media.take_answer(answer)?;
        self.preconditions.take_answer(answer);
        Ok(())
    }

    fn roll_back(&mut self) {
        self.media.roll_back();
        self.preconditions.roll_back();
    }

    fn fork(&self) -> Option<Self> {
        let (preconditions, sent) = (self.preconditions.clone(), self.sent.clone());
        Some(Self { media: self.media.fork()?, preconditions, sent, version: self.version })
    }

    fn may_alert(&self) -> bool {
        self.media.may_alert() && self.preconditions.are_met()
    }

    fn owes_offer(&self) -> bool {
        self.media.owes_offer() || self.preconditions.owes_offer()
    }
}

impl Strength {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Mandatory => "mandatory",
        }
    }
}

/// Sending and receiving.
fn ways(direction: Direction) -> [bool; 2] {
    [direction.sends(), direction.receives()]
}

/// The m= lines of a description, each of a stream that is refused.
fn media_of(description: &[u8]) -> Vec<String> {
    sections(description, MAX_STREAMS).iter().filter_map(|theirs| theirs.refused()).collect()
}

// RFC 3312 §8: "580 (Precondition Failure) responses and BYE and CANCEL requests,
// indicating failure to meet certain preconditions, SHOULD contain an
// SDP description, indicating which desired status triggered the
// failure."
fn refusal(media: &[String], failed: &[(usize, String)]) -> Refusal {
    let mut text =
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n".to_owned();
    // RFC 3312 §8: "This SDP description MUST contain exactly the same number
    // of "m=" lines as the last SDP description received.  The port number
    // of every "m=" line MUST be set to zero, but the connection address is
    // arbitrary."
    for (slot, line) in media.iter().enumerate() {
        text += line;
        failed.iter().filter(|(of, _)| *of == slot).for_each(|(_, line)| text += line);
    }
    Refusal::new(StatusCode::PRECONDITION_FAILURE).description(text.into_bytes())
}

#[cfg(test)]
mod tests;
