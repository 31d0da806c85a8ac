//! The peer's answer to our offer (RFC 3264 §7).

use std::sync::Arc;

use bytes::Bytes;

use crate::agreed::{Agreed, Changes, Security};
use crate::answer::{Own, agree};
use crate::description::{Description, MediaDescription, Setup};
use crate::error::{Breach, Misuse, SdpError};
use crate::session::{MediaSession, Received, Spare};
use crate::slot::Wish;
use crate::stream::{Keying, is_rtp, is_same_protocol};
use crate::{Direction, Format};

impl MediaSession {
    /// Takes the answer to our offer, and says what it changes.
    ///
    /// A direction that does not fit the offer is taken for what is left of it: no media flows that our offer
    /// ruled out, and [`Changes::breaches`] says so.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoOffer`] if none waits: the second of two answers, of which only the first counts
    /// (RFC 6337 §3.1.1). Else the answer is malformed or illegal: the offer still waits, and what is left is to
    /// [roll it back](Self::roll_back) or to end the session.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<Changes, SdpError> {
        if self.waiting.is_none() {
            return Err(Misuse::NoOffer.into());
        }
        let description = self.read(answer)?;
        // RFC 3264 §6: "The answer MUST contain exactly the same number of "m=" lines as the offer."
        if description.media.len() != self.slots.len() {
            let line = description.media.last().map_or(1, |last| last.line);
            return Err(SdpError::Illegal { line, breach: Breach::Count });
        }
        let mut breaches = Vec::new();
        self.check_version(&description, answer, &mut breaches);
        if let Some(group) = description.bundles.first() {
            let offered = |mid| self.slots.iter().any(|slot| slot.mid.as_deref() == Some(mid));
            if !self.bundle || !group.iter().all(|mid| offered(mid)) {
                breaches.push(SdpError::Illegal { line: 1, breach: Breach::Group });
            }
        }
        let mut found = Vec::with_capacity(self.slots.len());
        for (slot, answered) in self.slots.iter().zip(&description.media) {
            let illegal = |breach| SdpError::Illegal { line: answered.line, breach };
            let one = match &slot.offered {
                None if answered.is_wanted() => Err(Breach::Revived),
                None => Ok(None),
                Some((direction, wish)) => {
                    let bundled = self.bundle && description.is_bundled(answered);
                    taken(wish, *direction, answered, bundled)
                }
            };
            found.push(one.map_err(illegal)?);
        }
        Ok(self.accept(answer, description, found, breaches))
    }

    fn accept(
        &mut self,
        answer: &[u8],
        description: Description,
        found: Vec<Option<(Agreed, bool)>>,
        mut breaches: Vec<SdpError>,
    ) -> Changes {
        let mut agreed = Vec::with_capacity(found.len());
        let mut offered = Vec::with_capacity(found.len());
        let mut back = Vec::new();
        for (slot, (answered, found)) in
            self.slots.iter_mut().zip(description.media.iter().zip(found))
        {
            offered.push(slot.offered.is_some());
            for format in &answered.formats {
                if slot.bind(format.payload_type, &format.codec) && answered.port != 0 {
                    let breach = Breach::Rebound;
                    breaches.push(SdpError::Illegal { line: answered.line, breach });
                }
            }
            if let Some((_, wish)) = &slot.offered {
                slot.line = Arc::new(wish.line());
            }
            if found.is_none() {
                // Not wanted by the peer, or ended by us: the latter is not at hand any more.
                back.extend(slot.wanted.take().map(|wish| Spare { wish, asked: false }));
                slot.offered = None;
            } else if answered.mid.is_some() && slot.mid.is_none() {
                slot.mid = answered.mid.as_deref().map(Into::into);
            }
            if found.as_ref().is_some_and(|(_, fits)| !fits) {
                let breach = Breach::Direction;
                breaches.push(SdpError::Illegal { line: answered.line, breach });
            }
            agreed.push(found.map(|(agreed, _)| Box::new(agreed)));
        }
        self.spare.extend(back);
        let received =
            Received { origin: description.origin, text: Bytes::copy_from_slice(answer) };
        self.received = Some(received);
        self.conclude(agreed, &offered, breaches)
    }
}

/// What is agreed on for a stream that we have offered, and whether the direction of the answer fits; `None` if
/// it is refused.
fn taken(
    wish: &Wish,
    direction: Direction,
    answered: &MediaDescription,
    bundled: bool,
) -> Result<Option<(Agreed, bool)>, Breach> {
    let stream = &wish.stream;
    let abilities = stream.of().abilities();
    // RFC 3264 §6.1: "The media type of the stream in the answer MUST match that of the offer."
    if !answered.kind.eq_ignore_ascii_case(&abilities.kind) {
        return Err(Breach::Kind);
    }
    // RFC 3264 §6: "Any media formats listed are ignored."
    if answered.port == 0 {
        return Ok(None);
    }
    if !is_same_protocol(stream.protocol(), &answered.protocol) {
        return Err(Breach::Protocol);
    }
    // RFC 3264 §6.1: "If a stream is offered with a unicast address, the answer for that stream MUST contain a
    // unicast address."
    if answered.is_multicast() {
        return Err(Breach::Multicast);
    }
    let (mut send, mut receive, mut formats) = (Vec::new(), Vec::new(), Vec::new());
    if is_rtp(&answered.protocol) {
        (send, receive) = common(wish, answered);
    } else {
        let listed = answered.format_list.split_ascii_whitespace().map(str::to_owned);
        let ours = &abilities.formats;
        formats.extend(listed.filter(|one| ours.is_empty() || ours.iter().any(|our| our == one)));
    }
    if send.is_empty() && formats.is_empty() {
        return Err(Breach::Formats);
    }
    let security = security(&stream.keying, answered).ok_or(Breach::Keying)?;
    // RFC 3264 §6.1, seen from the other side. What is more than we offered is cut off.
    let fits = answered.direction == answered.direction.answering(direction);
    let own = Own {
        direction: direction.answering(answered.direction),
        local_port: stream.port,
        send,
        receive,
        formats,
        security,
        rtcp_mux: abilities.rtcp_mux && answered.rtcp_mux,
        bundled,
    };
    Ok(Some((agree(own, answered.clone()), fits)))
}

/// The formats of the answer that we have offered: by its numbers and parameters, and by ours.
fn common(wish: &Wish, answered: &MediaDescription) -> (Vec<Format>, Vec<Format>) {
    let offered: Vec<Format> = wish.formats().collect();
    let pairs = answered.formats.iter().filter_map(|theirs| {
        let named = |ours: &&Format| ours.codec.is_named_as(&theirs.codec);
        // One number for both is meant to be one format, whatever its parameters; else they tell.
        let same = |ours: &&Format| named(ours) && ours.payload_type == theirs.payload_type;
        let fits = |ours: &&Format| ours.codec.answering(&theirs.codec).is_some();
        let ours = offered.iter().find(same).or_else(|| offered.iter().find(fits))?;
        Some((theirs.clone(), ours.clone()))
    });
    pairs.unzip()
}

fn security(keying: &Keying, answered: &MediaDescription) -> Option<Security> {
    match keying {
        Keying::None => Some(Security::None),
        Keying::Sdes(all) => {
            // RFC 4568 §5.1.3: "the offerer MUST verify that one of the initially offered crypto suites and its
            // accompanying tag were accepted and echoed in the answer."
            let [theirs] = answered.crypto.as_slice() else { return None };
            let ours = all.iter().find(|our| our.tag == theirs.tag && our.suite == theirs.suite)?;
            let plain = theirs.is_plain();
            plain.then(|| Security::Sdes { ours: ours.clone(), theirs: theirs.clone() })
        }
        Keying::Dtls { .. } => {
            let client = match answered.setup {
                Some(Setup::Passive) => true,
                Some(Setup::Active) => false,
                _ => return None,
            };
            let fingerprints = answered.fingerprints.clone();
            (!fingerprints.is_empty()).then_some(Security::Dtls { client, fingerprints })
        }
    }
}
