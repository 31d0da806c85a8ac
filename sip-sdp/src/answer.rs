//! Our answer to an offer of the peer (RFC 3264 §6).

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::agreed::{Agreed, Changes, Remote, Security};
use crate::codec::is_dynamic;
use crate::compose::{self, Line};
use crate::description::{Description, MediaDescription, Setup};
use crate::error::{Breach, Reason, SdpError};
use crate::session::{MediaSession, Received, Spare};
use crate::slot::{Slot, Wish};
use crate::stream::{Crypto, Keying, is_rtp};
use crate::{Direction, Format, Stream};

/// What is answered to one m= line.
enum Verdict {
    /// It was offered with a port of zero.
    Unwanted,
    Refused(Reason),
    Taken(Box<Taken>),
}

/// A stream that is accepted.
struct Taken {
    /// Which of those at hand it was; `None` for the one of the slot.
    spare: Option<usize>,
    wish: Arc<Wish>,
    /// What the answer lists, with its numbers: those of the offer.
    receive: Vec<Format>,
    /// The same by the parameters of the offer.
    send: Vec<Format>,
    other_formats: Vec<String>,
    direction: Direction,
    security: Security,
    setup: Option<Setup>,
}

impl MediaSession {
    /// The answer to an offer, and what it changes. A stream that fits none of ours is refused in it.
    ///
    /// An empty `offer` is none at all: what is given is an offer of [all](Self::offer_all) that we can do, as a
    /// request without an offer is owed.
    ///
    /// # Errors
    ///
    /// What is [owed](SdpError::status) in place of the answer: the offer is malformed or illegal, an offer of ours
    /// waits, or nothing in it is what we can do. Where an offer cannot be refused, because it came in a
    /// response, see [`refuse_all`](Self::refuse_all).
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Bytes, Changes), SdpError> {
        self.answer_with(offer, |_, stream| Some(stream))
    }

    /// The same, with a say in each stream: `decide` is told what is offered and what we would answer, may change
    /// it (its port, attributes of ICE, codecs, direction), and refuses the stream with `None`.
    ///
    /// # Errors
    ///
    /// Those of [`answer`](Self::answer).
    pub fn answer_with(
        &mut self,
        offer: &[u8],
        mut decide: impl FnMut(&MediaDescription, Stream) -> Option<Stream>,
    ) -> Result<(Bytes, Changes), SdpError> {
        if offer.is_empty() {
            return Ok((self.offer_all()?, Changes::default()));
        }
        let (description, breaches) = self.read_offer(offer)?;
        let mut used = vec![false; self.spare.len()];
        let mut verdicts = Vec::with_capacity(description.media.len());
        for (index, offered) in description.media.iter().enumerate() {
            let bundled = self.bundle && description.is_bundled(offered);
            verdicts.push(self.judge(index, offered, bundled, &mut used, &mut decide));
        }
        // RFC 3264 §6.1: "If there are no media formats in common for all streams, the entire offered session
        // is rejected."
        let taken = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Taken(_)));
        let refused = description.media.iter().zip(&verdicts).find_map(|(offered, verdict)| {
            let Verdict::Refused(reason) = verdict else { return None };
            Some(SdpError::Unacceptable { line: offered.line, reason: *reason })
        });
        match refused {
            Some(refused) if !taken => Err(refused),
            _ => Ok(self.give_answer(offer, description, verdicts, breaches)),
        }
    }

    /// The answer that refuses every stream of an offer: for one in a response, which nothing else can refuse
    /// (RFC 6337 §5.2.4).
    ///
    /// # Errors
    ///
    /// The offer is malformed or illegal, or an offer of ours waits.
    pub fn refuse_all(&mut self, offer: &[u8]) -> Result<(Bytes, Changes), SdpError> {
        let (description, breaches) = self.read_offer(offer)?;
        let verdict = |offered: &MediaDescription| match offered.is_wanted() {
            true => Verdict::Refused(Reason::Declined),
            false => Verdict::Unwanted,
        };
        let verdicts = description.media.iter().map(verdict).collect();
        Ok(self.give_answer(offer, description, verdicts, breaches))
    }

    /// Reads an offer and holds it against the peer's description before it.
    fn read_offer(&self, offer: &[u8]) -> Result<(Description, Vec<SdpError>), SdpError> {
        // RFC 3264 §4: "If an agent receives an offer after having sent one, but before receiving an answer to
        // it, this is considered a "glare" condition."
        if self.waiting.is_some() {
            return Err(SdpError::Glare);
        }
        let description = self.read(offer)?;
        let mut breaches = Vec::new();
        let same = self.check_version(&description, offer, &mut breaches);
        // RFC 3264 §8: "if the previous SDP had N "m=" lines, the new SDP MUST have at least N "m=" lines."
        if description.media.len() < self.slots.len() {
            let line = description.media.last().map_or(1, |last| last.line);
            let shrunk = SdpError::Illegal { line, breach: Breach::Shrunk };
            // Another session in the place of the old: a transfer by an intermediary that kept the dialog. There
            // is nothing left for what follows to be matched with.
            match same {
                true => return Err(shrunk),
                false => breaches.push(shrunk),
            }
        }
        Ok((description, breaches))
    }

    /// Whether the peer's o= line is still that of its last description; what is wrong with it is no reason to
    /// end the session.
    pub(crate) fn check_version(
        &self,
        description: &Description,
        text: &[u8],
        breaches: &mut Vec<SdpError>,
    ) -> bool {
        let Some(before) = &self.received else { return true };
        let (old, new) = (&before.origin, &description.origin);
        let line = 2;
        // RFC 6337 §5.2.5: "Changing the "o=" line, except version number value, during the session is an error
        // case. The behavior when receiving such a non-compliant offer/answer SDP body is implementation
        // dependent."
        let same = (&old.username, &old.sess_id, &old.unicast_address)
            == (&new.username, &new.sess_id, &new.unicast_address);
        if !same {
            breaches.push(SdpError::Illegal { line, breach: Breach::Origin });
            return false;
        }
        let next = old.sess_version.checked_add(1) == Some(new.sess_version);
        let repeated = old.sess_version == new.sess_version && before.text == text;
        if !next && !repeated {
            breaches.push(SdpError::Illegal { line, breach: Breach::Version });
        }
        true
    }

    /// What is answered to one m= line.
    fn judge(
        &self,
        index: usize,
        offered: &MediaDescription,
        bundled: bool,
        used: &mut [bool],
        decide: &mut impl FnMut(&MediaDescription, Stream) -> Option<Stream>,
    ) -> Verdict {
        // RFC 3264 §8.2: "A stream that is offered with a port of zero MUST be marked with port zero in the
        // answer."
        // But for those that BUNDLE alone carries.
        let carried = offered.bundle_only && bundled && !offered.is_multicast();
        if offered.port == 0 && !carried {
            return Verdict::Unwanted;
        }
        let slot = self.slots.get(index);
        let own = slot.and_then(|slot| slot.wanted.as_ref()).map(|wish| (None, wish));
        // A stream that we have ended stays so until we add it again.
        let ended = slot.is_some_and(|slot| slot.wanted.is_none() && slot.settled.is_some());
        if ended {
            return Verdict::Refused(Reason::Declined);
        }
        let spare = self.spare.iter().enumerate().map(|(at, spare)| (Some(at), &spare.wish));
        let mut closest = Reason::MediaType;
        for (spare, wish) in own.into_iter().chain(spare) {
            if spare.is_some_and(|at| used.get(at) != Some(&false)) {
                continue;
            }
            // Asked only about what is worth asking.
            let fits = self.fit(&wish.stream, offered).and_then(|()| {
                let decided = decide(offered, wish.stream.clone()).ok_or(Reason::Declined)?;
                let wish = match decided == wish.stream {
                    true => wish.clone(),
                    false => Arc::new(wish.changed(decided)),
                };
                self.take(spare, wish, offered)
            });
            match fits {
                Ok(taken) => {
                    if let Some(used) = spare.and_then(|at| used.get_mut(at)) {
                        *used = true;
                    }
                    return Verdict::Taken(Box::new(taken));
                }
                Err(Reason::Declined) => return Verdict::Refused(Reason::Declined),
                Err(reason) => closest = closest.max(reason),
            }
        }
        Verdict::Refused(closest)
    }

    /// Whether a stream of ours may answer, as far as formats do not tell; the reasons come in the order of
    /// their `Ord`.
    fn fit(&self, stream: &Stream, offered: &MediaDescription) -> Result<(), Reason> {
        if !offered.kind.eq_ignore_ascii_case(stream.of().kind()) {
            return Err(Reason::MediaType);
        }
        if !stream.speaks(&offered.protocol) {
            return Err(Reason::Transport);
        }
        if offered.is_multicast() && !stream.of().abilities().multicast {
            return Err(Reason::Multicast);
        }
        let from: IpAddr = stream.address.unwrap_or(self.address);
        offered.unreachable(from).map_or(Ok(()), Err)
    }

    fn take(
        &self,
        spare: Option<usize>,
        wish: Arc<Wish>,
        offered: &MediaDescription,
    ) -> Result<Taken, Reason> {
        let stream = &wish.stream;
        let (security, setup) = secure(stream, offered).ok_or(Reason::Attribute)?;
        let (mut receive, mut send, mut other_formats) = (Vec::new(), Vec::new(), Vec::new());
        if is_rtp(&offered.protocol) {
            (receive, send) = common(stream, offered);
            // RFC 3264 §6.1: "If the answerer has no media formats in common for a particular offered stream, the
            // answerer MUST reject that media stream by setting the port to zero."
            if receive.is_empty() {
                return Err(Reason::Format);
            }
        } else {
            let ours = &stream.of().abilities().formats;
            let common = offered.format_list.split_ascii_whitespace();
            other_formats.extend(
                common
                    .filter(|format| ours.is_empty() || ours.iter().any(|our| our == format))
                    .map(str::to_owned),
            );
            if other_formats.is_empty() {
                return Err(Reason::Format);
            }
        }
        let wanted = self.direction(stream);
        // RFC 3264 §6.2: "the directionality information in the answer (sendonly, recvonly, or sendrecv) MUST
        // equal that of the offer."
        let direction = match offered.is_multicast() {
            true => offered.direction,
            false => wanted.answering(offered.direction),
        };
        Ok(Taken { spare, wish, receive, send, other_formats, direction, security, setup })
    }

    /// Writes the answer and makes it so.
    fn give_answer(
        &mut self,
        offer: &[u8],
        description: Description,
        verdicts: Vec<Verdict>,
        mut breaches: Vec<SdpError>,
    ) -> (Bytes, Changes) {
        self.times = times(&description);
        let groups = description.bundles.clone();
        let mut offered_now = Vec::with_capacity(verdicts.len());
        let mut agreed = Vec::with_capacity(verdicts.len());
        let mut media = Vec::with_capacity(verdicts.len());
        let mut back: Vec<Spare> = Vec::new();
        let mut gone = Vec::new();
        for lost in self.slots.split_off(verdicts.len().min(self.slots.len())) {
            back.extend(lost.wanted.map(|wish| Spare { wish, asked: false }));
        }
        for (index, (offered, verdict)) in description.media.into_iter().zip(verdicts).enumerate() {
            if self.slots.len() <= index {
                self.slots.push(Slot::new(line(&offered)));
            }
            let session_address = self.address;
            let Some(slot) = self.slots.get_mut(index) else { continue };
            slot.line = Arc::new(line(&offered));
            slot.mid = offered.mid.as_deref().map(Arc::from);
            for format in &offered.formats {
                if slot.bind(format.payload_type, &format.codec) {
                    breaches
                        .push(SdpError::Illegal { line: offered.line, breach: Breach::Rebound });
                }
            }
            // A stream that we have ended just now comes to its end by this answer.
            offered_now.push(matches!(verdict, Verdict::Refused(_)));
            let taken = match verdict {
                Verdict::Taken(taken) => *taken,
                Verdict::Unwanted | Verdict::Refused(_) => {
                    back.extend(slot.wanted.take().map(|wish| Spare { wish, asked: false }));
                    let [kind, protocol, format] = &*slot.line;
                    media.push(compose::refused(kind, protocol, format, slot.mid.as_deref()));
                    agreed.push(None);
                    continue;
                }
            };
            if let Some(at) = taken.spare {
                gone.push(at);
                back.extend(slot.wanted.take().map(|wish| Spare { wish, asked: false }));
            }
            slot.wanted = Some(taken.numbered());
            let bundled = self.bundle && groups.iter().any(|group| offered.is_in(group));
            let one = Line {
                stream: &taken.wish.stream,
                protocol: &offered.protocol,
                formats: &taken.receive,
                other_formats: &taken.other_formats,
                direction: taken.direction,
                mid: slot.mid.as_deref(),
                crypto: taken.security.accepted(),
                setup: taken.setup,
                offered: Some(&offered),
            };
            media.push(one.media(session_address));
            agreed.push(Some(Box::new(taken.agreed(offered, bundled))));
        }
        let mut at = 0_usize;
        self.spare.retain(|_| {
            at = at.saturating_add(1);
            !gone.contains(&at.saturating_sub(1))
        });
        self.spare.extend(back);
        // RFC 5888 §9.2: "The identification-tags contained in this "a=group" line MUST be the same as those
        // received in the offer, or a subset of them"
        let group = (self.bundle && !groups.is_empty()).then(|| {
            let used = self.mids_in_use(|slot| slot.wanted.is_some());
            groups
                .into_iter()
                .next()
                .unwrap_or_default()
                .into_iter()
                .filter(|mid| used.contains(mid))
                .collect()
        });
        let text = self.publish(media, group);
        let received = Received { origin: description.origin, text: Bytes::copy_from_slice(offer) };
        self.received = Some(received);
        let changes = self.conclude(agreed, &offered_now, breaches);
        (text, changes)
    }
}

/// What an m= line of ours says while nothing is in it.
fn line(offered: &MediaDescription) -> [String; 3] {
    let format = offered.format_list.split_ascii_whitespace().next().unwrap_or("0");
    [offered.kind.clone(), offered.protocol.clone(), format.to_owned()]
}

/// The time that the answer repeats; 0 0 is what is written if there is none.
// RFC 3264 §6: "The "t=" line in the answer MUST equal that of the offer."
fn times(description: &Description) -> Vec<sdp_types::Time> {
    let usual = |time: &sdp_types::Time| {
        (time.start_time, time.stop_time) == (0, 0) && time.repeats.is_empty()
    };
    match description.times.as_slice() {
        [time] if usual(time) => Vec::new(),
        times => times.to_vec(),
    }
}

/// The formats that both know, by the numbers of the offer: what we say of them, and what the peer does.
fn common(stream: &Stream, offered: &MediaDescription) -> (Vec<Format>, Vec<Format>) {
    let abilities = stream.of().abilities();
    let mut found: Vec<(usize, Format, Format)> = Vec::new();
    for theirs in &offered.formats {
        let fitting = abilities.codecs.iter().enumerate().find_map(|(at, ours)| {
            let taken = found.iter().any(|(other, ..)| *other == at);
            let answer = ours.answering(&theirs.codec).filter(|_| !taken)?;
            Some((at, crate::Codec { parameters: answer, ..ours.clone() }))
        });
        if let Some((at, codec)) = fitting {
            // RFC 3264 §6.1: "if a particular codec was referenced with a specific payload type number in the
            // offer, that same payload type number SHOULD be used for that codec in the answer."
            found.push((at, Format { payload_type: theirs.payload_type, codec }, theirs.clone()));
        }
    }
    if abilities.own_order {
        found.sort_by_key(|(at, ..)| *at);
    }
    let is_main = |format: &Format| !format.codec.is_auxiliary();
    // Events alone carry no voice: not what was meant if there was more in the offer.
    if !found.iter().any(|(_, ours, _)| is_main(ours)) && offered.formats.iter().any(is_main) {
        return (Vec::new(), Vec::new());
    }
    if abilities.one_codec {
        let first = found.iter().position(|(_, ours, _)| is_main(ours));
        let mut at = 0_usize;
        found.retain(|(_, ours, _)| {
            at = at.saturating_add(1);
            !is_main(ours) || Some(at.saturating_sub(1)) == first
        });
    }
    found.into_iter().map(|(_, ours, theirs)| (ours, theirs)).unzip()
}

/// How the stream is encrypted if it is answered.
fn secure(stream: &Stream, offered: &MediaDescription) -> Option<(Security, Option<Setup>)> {
    match &stream.keying {
        Keying::None => Some((Security::None, None)),
        Keying::Sdes(ours) => {
            // RFC 4568 §5.1.2: "the answerer SHOULD select the most preferred crypto attribute it can support,
            // i.e., the first valid supported crypto attribute in the list"
            let fits = |theirs: &&Crypto| {
                theirs.is_plain() && ours.iter().any(|our| our.suite == theirs.suite)
            };
            let theirs = offered.crypto.iter().find(fits)?;
            let ours = ours.iter().find(|our| our.suite == theirs.suite)?;
            // RFC 4568 §5.1.2: "the crypto attribute in the answer MUST contain the following: * The tag and
            // crypto-suite from the accepted crypto attribute in the offer"
            let ours = Crypto { tag: theirs.tag, ..ours.clone() };
            Some((Security::Sdes { ours, theirs: theirs.clone() }, None))
        }
        Keying::Dtls { .. } => {
            if offered.fingerprints.is_empty() {
                return None;
            }
            // RFC 5763 §5: "The answerer MUST use either a setup attribute value of setup:active or
            // setup:passive. … setup:active is RECOMMENDED."
            let setup = match offered.setup {
                Some(Setup::Active) => Setup::Passive,
                Some(Setup::Passive | Setup::ActPass) | None => Setup::Active,
                Some(Setup::HoldConn) => return None,
            };
            let fingerprints = offered.fingerprints.clone();
            Some((Security::Dtls { client: setup == Setup::Active, fingerprints }, Some(setup)))
        }
    }
}

impl Security {
    fn accepted(&self) -> Option<(&Crypto, u32)> {
        match self {
            Self::Sdes { ours, .. } => Some((ours, ours.tag)),
            Self::None | Self::Dtls { .. } => None,
        }
    }
}

impl Taken {
    /// The wish, in which codecs without a number have those of the offer, so that our next offer repeats them.
    fn numbered(&self) -> Arc<Wish> {
        let mut wish = Wish::clone(&self.wish);
        let Wish { stream, numbers } = &mut wish;
        for Format { payload_type, codec } in &self.receive {
            let is_static = codec.static_number() == Some(*payload_type);
            if numbers.contains(&Some(*payload_type)) || !(is_static || is_dynamic(*payload_type)) {
                continue;
            }
            let named = |ours: &crate::Codec| crate::Codec { parameters: None, ..ours.clone() };
            let mut ours = stream.of().codecs().iter().zip(numbers.iter_mut());
            let fits = |(ours, number): &(&crate::Codec, &mut Option<u8>)| {
                number.is_none() && named(ours) == named(codec)
            };
            if let Some((_, number)) = ours.find(fits) {
                *number = Some(*payload_type);
            }
        }
        match wish == *self.wish {
            true => self.wish.clone(),
            false => Arc::new(wish),
        }
    }

    fn agreed(self, offered: MediaDescription, bundled: bool) -> Agreed {
        let mux = self.wish.stream.of().abilities().rtcp_mux && offered.rtcp_mux;
        let own = Own {
            direction: self.direction,
            local_port: self.wish.stream.port,
            send: self.send,
            receive: self.receive,
            formats: self.other_formats,
            security: self.security,
            rtcp_mux: mux,
            bundled,
        };
        agree(own, offered)
    }
}

/// What was found of a stream, next to what the peer says of it.
pub(crate) struct Own {
    pub(crate) direction: Direction,
    pub(crate) local_port: u16,
    pub(crate) send: Vec<Format>,
    pub(crate) receive: Vec<Format>,
    pub(crate) formats: Vec<String>,
    pub(crate) security: Security,
    pub(crate) rtcp_mux: bool,
    pub(crate) bundled: bool,
}

pub(crate) fn agree(own: Own, theirs: MediaDescription) -> Agreed {
    let next = theirs.port.saturating_add(1);
    let rtcp_port = match own.rtcp_mux {
        true => theirs.port,
        // RFC 3264 §5.1: "Unless there is an explicit indication otherwise, reports are sent to the port number
        // one higher than the number indicated."
        false => theirs.rtcp_port.unwrap_or(next),
    };
    Agreed {
        kind: theirs.kind,
        protocol: theirs.protocol,
        direction: own.direction,
        local_port: own.local_port,
        remote: Remote { address: theirs.address, port: theirs.port, rtcp_port },
        send: own.send,
        receive: own.receive,
        formats: own.formats,
        packet_time: theirs.packet_time,
        max_packet_time: theirs.max_packet_time,
        bandwidths: theirs.bandwidths,
        rtcp_mux: own.rtcp_mux,
        bundled: own.bundled,
        mid: theirs.mid,
        security: own.security,
        attributes: theirs.attributes,
    }
}

impl Description {
    pub(crate) fn is_bundled(&self, media: &MediaDescription) -> bool {
        self.bundles.iter().any(|group| media.is_in(group))
    }
}

impl MediaDescription {
    pub(crate) fn is_in(&self, group: &[String]) -> bool {
        self.mid.as_ref().is_some_and(|mid| group.contains(mid))
    }
}
