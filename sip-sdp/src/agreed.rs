//! What an exchange has agreed on, and what is new in it: what a media engine acts on.

use sdp_types::{Attribute, Bandwidth};

use crate::description::Address;
use crate::stream::Crypto;
use crate::{Direction, Format, SdpError};

/// One stream as both sides have agreed on it, seen from ours.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Agreed {
    /// The kind of medium: `audio`.
    pub kind: String,
    /// The transport protocol: `RTP/AVP`.
    pub protocol: String,
    /// What we may do: send, receive, both or neither.
    pub direction: Direction,
    /// Where we receive.
    pub local_port: u16,
    /// Where we send, and where RTCP goes. With ICE this is where it begins; under BUNDLE it is that of the first
    /// stream of the group.
    pub remote: Remote,
    /// What we may send, by the numbers that the peer wants, in the order in which it is to be preferred: the
    /// first for what is not auxiliary.
    pub send: Vec<Format>,
    /// What we may receive, by the numbers that we have said.
    pub receive: Vec<Format>,
    /// The formats of what is not RTP, as both sides know them.
    pub formats: Vec<String>,
    /// Milliseconds of sound that the peer wants in a packet.
    pub packet_time: Option<u16>,
    /// Milliseconds of sound that the peer takes in a packet.
    pub max_packet_time: Option<u16>,
    /// What the peer wants to receive at most: modifier and value.
    pub bandwidths: Vec<Bandwidth>,
    /// Whether RTCP goes over the port of RTP.
    pub rtcp_mux: bool,
    /// Whether it goes over the transport of the first stream of its BUNDLE group.
    pub bundled: bool,
    /// The stream's name among the streams.
    pub mid: Option<String>,
    /// How it is encrypted.
    pub security: Security,
    /// What else the peer says of it: candidates of ICE, feedback, and all that is not understood here.
    pub attributes: Vec<Attribute>,
}

/// Where media of a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// To whom. [`Address::Nowhere`]: neither RTP nor RTCP is sent.
    pub address: Address,
    /// To which port.
    pub port: u16,
    /// To which port RTCP goes.
    pub rtcp_port: u16,
}

/// How the media of a stream is encrypted, as agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// It is not.
    None,
    /// By keys of each side's description (RFC 4568).
    Sdes {
        /// What we encrypt with.
        ours: Crypto,
        /// What the peer encrypts with.
        theirs: Crypto,
    },
    /// By a DTLS handshake (RFC 5763).
    Dtls {
        /// Whether it is ours to begin.
        client: bool,
        /// One of these is of the certificate that the peer must show.
        fingerprints: Vec<String>,
    },
}

impl Agreed {
    /// The codec that we send with unless there is a reason for another: the first that is not auxiliary.
    ///
    /// RFC 3264 §7: "it SHOULD use the first media format listed in the answer when it does send".
    #[must_use]
    pub fn codec(&self) -> Option<&Format> {
        let main = self.send.iter().find(|format| !format.codec.is_auxiliary());
        main.or(self.send.first())
    }

    /// How telephone events (DTMF) are sent: the payload type, and the codec that tells the events which the
    /// peer takes.
    #[must_use]
    pub fn telephone_event(&self) -> Option<&Format> {
        let rate = self.codec().map(|format| format.codec.clock_rate());
        let all = || self.send.iter().filter(|format| format.codec.events().is_some());
        // RFC 4733 §2.5.1.2: events "MUST use the same sequence number and timestamp base as the regular
        // audio channel"
        all().find(|format| Some(format.codec.clock_rate()) == rate).or_else(|| all().next())
    }

    /// Whether the peer takes nothing from us now, though we would send: it may play music instead.
    #[must_use]
    pub fn is_held_by_peer(&self) -> bool {
        !self.direction.sends() || self.remote.address == Address::Nowhere
    }
}

/// What an exchange of offer and answer has changed.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// The streams in which something is new, in the order of their m= lines.
    pub streams: Vec<StreamChange>,
    /// What the peer did that the rules forbid, and that was taken all the same because it is plain what was
    /// meant. Who wants none of it ends the session.
    pub breaches: Vec<SdpError>,
}

/// What has changed in one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamChange {
    /// Which m= line it is, counted from 0.
    pub slot: usize,
    /// What is new.
    pub change: Change,
}

/// What is new in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is no longer there.
    Removed,
    /// It was offered, and one side does not want it; nothing was there before.
    Refused,
    /// Another kind of medium is in its place: one was removed and one added.
    Replaced,
    /// It is what it was but for these aspects.
    Changed(Aspects),
}

/// The aspects of a stream in which it has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aspects {
    /// Where the peer receives, or the transport protocol, or whether RTCP is on the same port.
    pub remote: bool,
    /// Where we receive.
    pub local: bool,
    /// Which way media flows.
    pub direction: bool,
    /// What may be sent.
    pub send: bool,
    /// What may be received.
    pub receive: bool,
    /// How it is packed: `ptime`, `maxptime`, bandwidth.
    pub packing: bool,
    /// How it is encrypted.
    pub security: bool,
    /// What else the peer says of it.
    pub attributes: bool,
}

impl Aspects {
    fn between(old: &Agreed, new: &Agreed) -> Self {
        Self {
            remote: old.remote != new.remote
                || old.protocol != new.protocol
                || old.rtcp_mux != new.rtcp_mux
                || old.bundled != new.bundled,
            local: old.local_port != new.local_port,
            direction: old.direction != new.direction,
            send: old.send != new.send || old.formats != new.formats,
            receive: old.receive != new.receive,
            packing: (old.packet_time, old.max_packet_time)
                != (new.packet_time, new.max_packet_time)
                || old.bandwidths != new.bandwidths,
            security: old.security != new.security,
            attributes: old.attributes != new.attributes || old.mid != new.mid,
        }
    }
}

impl Change {
    /// What is new in a stream that was `old` and is `new`; nothing if it was and is not there, unless one side
    /// has just asked for it.
    pub(crate) fn between(
        old: Option<&Agreed>,
        new: Option<&Agreed>,
        was_offered: bool,
    ) -> Option<Self> {
        match (old, new) {
            (None, None) => was_offered.then_some(Self::Refused),
            (None, Some(_)) => Some(Self::Added),
            (Some(_), None) => Some(Self::Removed),
            (Some(old), Some(new)) if old.kind != new.kind => Some(Self::Replaced),
            (Some(old), Some(new)) => {
                let aspects = Aspects::between(old, new);
                (aspects != Aspects::default()).then_some(Self::Changed(aspects))
            }
        }
    }
}
