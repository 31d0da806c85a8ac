//! What we want: media, and streams of them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use sdp_types::{Attribute, Bandwidth};

use crate::{Codec, Direction};

/// What we can do in one kind of medium: the part of a stream that all sessions share.
///
/// Streams are made of it by [`at`](Self::at): each takes a port of its own, and all of them share the codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium(Arc<Abilities>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// As in the m= line: `audio`.
    pub(crate) kind: Cow<'static, str>,
    pub(crate) protocol: Option<Cow<'static, str>>,
    /// Of RTP, the preferred first.
    pub(crate) codecs: Vec<Codec>,
    /// Of what is not RTP.
    pub(crate) formats: Vec<Cow<'static, str>>,
    pub(crate) packet_time: Option<u16>,
    pub(crate) max_packet_time: Option<u16>,
    pub(crate) bandwidths: Vec<Bandwidth>,
    pub(crate) rtcp_mux: bool,
    pub(crate) one_codec: bool,
    pub(crate) own_order: bool,
    pub(crate) multicast: bool,
}

impl Medium {
    /// Sound over RTP.
    #[must_use]
    pub fn audio() -> Self {
        Self::of("audio")
    }

    /// Pictures over RTP.
    #[must_use]
    pub fn video() -> Self {
        Self::of("video")
    }

    /// A medium by the name that its m= line has, such as `text`, over RTP unless
    /// [`protocol`](Self::protocol) says otherwise.
    pub fn of(kind: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Abilities {
            kind: kind.into(),
            protocol: None,
            codecs: Vec::new(),
            formats: Vec::new(),
            packet_time: None,
            max_packet_time: None,
            bandwidths: Vec::new(),
            rtcp_mux: false,
            one_codec: false,
            own_order: false,
            multicast: false,
        }))
    }

    /// Adds a codec, less preferred than those before it.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        self.with(|medium| medium.codecs.push(codec))
    }

    /// Adds a format of what is not RTP, such as `t38`.
    #[must_use]
    pub fn format(self, format: impl Into<Cow<'static, str>>) -> Self {
        self.with(|medium| medium.formats.push(format.into()))
    }

    /// The transport protocol of its m= lines, such as `udptl`. Unsaid it is RTP by the
    /// [`Keying`] of the stream: `RTP/AVP`, `RTP/SAVP` or `UDP/TLS/RTP/SAVPF`.
    #[must_use]
    pub fn protocol(self, protocol: impl Into<Cow<'static, str>>) -> Self {
        self.with(|medium| medium.protocol = Some(protocol.into()))
    }

    /// How many milliseconds of sound we want in a packet (`a=ptime`); 0 says nothing.
    #[must_use]
    pub fn packet_time(self, milliseconds: u16) -> Self {
        // RFC 3264 §5.1: "The ptime attribute MUST be greater than zero."
        self.with(|medium| medium.packet_time = Some(milliseconds).filter(|time| *time > 0))
    }

    /// How many milliseconds of sound we take in a packet (`a=maxptime`); 0 says nothing.
    #[must_use]
    pub fn max_packet_time(self, milliseconds: u16) -> Self {
        self.with(|medium| medium.max_packet_time = Some(milliseconds).filter(|time| *time > 0))
    }

    /// Adds the bandwidth that we want to receive: a modifier such as `AS` (kbit/s) or `TIAS` (bit/s), and how
    /// much.
    #[must_use]
    pub fn bandwidth(self, modifier: &str, value: u64) -> Self {
        let bandwidth = Bandwidth { bwtype: modifier.to_owned(), bandwidth: value };
        self.with(|medium| medium.bandwidths.push(bandwidth))
    }

    /// RTCP on the port of RTP: offered, and agreed to where it is offered.
    #[must_use]
    pub fn rtcp_mux(self) -> Self {
        self.with(|medium| medium.rtcp_mux = true)
    }

    /// Answers with one codec only, and what is auxiliary to it: for those who cannot change codecs while media
    /// flows (RFC 3264 §10.2).
    #[must_use]
    pub fn one_codec(self) -> Self {
        self.with(|medium| medium.one_codec = true)
    }

    /// Answers in our order of preference, not in the offer's.
    #[must_use]
    pub fn own_order(self) -> Self {
        self.with(|medium| medium.own_order = true)
    }

    /// Accepts streams of this medium at multicast addresses (RFC 3264 §6.2). Without this they are refused.
    #[must_use]
    pub fn multicast(self) -> Self {
        self.with(|medium| medium.multicast = true)
    }

    /// A stream of it that receives at a port of ours, with the RTCP port after it.
    #[must_use]
    pub fn at(&self, port: u16) -> Stream {
        Stream {
            medium: self.clone(),
            port,
            address: None,
            rtcp_port: None,
            direction: Direction::SendRecv,
            held: None,
            keying: Keying::None,
            attributes: Vec::new(),
            only_answers: false,
        }
    }

    /// As its m= lines say it: `audio`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Its codecs, the preferred first.
    #[must_use]
    pub fn codecs(&self) -> &[Codec] {
        &self.0.codecs
    }

    pub(crate) fn abilities(&self) -> &Abilities {
        &self.0
    }

    fn with(mut self, change: impl FnOnce(&mut Abilities)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// One media stream as we want it: a medium, where we receive it, which way it flows, how it is keyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub(crate) medium: Medium,
    pub(crate) port: u16,
    pub(crate) address: Option<IpAddr>,
    pub(crate) rtcp_port: Option<u16>,
    pub(crate) direction: Direction,
    pub(crate) held: Option<Hold>,
    pub(crate) keying: Keying,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) only_answers: bool,
}

/// How we hold the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// We take nothing, and may send music: `sendonly` for what was `sendrecv`, `inactive` for what was
    /// `recvonly` (RFC 3264 §8.4).
    #[default]
    Music,
    /// Nothing flows: `inactive` (RFC 6337 §5.3).
    Silent,
}

/// How the media of a stream is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keying {
    /// It is not.
    #[default]
    None,
    /// Keys in the description (RFC 4568). What we offer, the preferred first; an answer takes the first of the
    /// offer whose suite is one of these.
    Sdes(Vec<Crypto>),
    /// Keys by a DTLS handshake (RFC 5763).
    Dtls {
        /// Of our certificate: the hash function and the hash, `sha-256 4A:AD:…`.
        fingerprint: String,
    },
}

/// One `a=crypto` line (RFC 4568 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Tells the lines of one stream apart, and says which of them is answered.
    pub tag: u32,
    /// Such as `AES_CM_128_HMAC_SHA1_80`.
    pub suite: String,
    /// The key: `inline:…`.
    pub key: String,
    /// Session parameters, as they stand there.
    pub parameters: Option<String>,
}

impl Crypto {
    /// A line without session parameters.
    pub fn new(tag: u32, suite: impl Into<String>, key: impl Into<String>) -> Self {
        Self { tag, suite: suite.into(), key: key.into(), parameters: None }
    }

    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut words = value.splitn(4, ' ');
        let tag = words.next()?;
        // RFC 4568 §4.1: "The tag is a decimal number used as an identifier for a particular crypto
        // attribute"
        // At most nine digits, by its grammar.
        let tag = tag.parse().ok().filter(|_| (1..=9).contains(&tag.len()))?;
        let suite = words.next().filter(|suite| !suite.is_empty())?;
        let key = words.next().filter(|key| key.contains(':'))?;
        let parameters = words.next().map(str::trim).filter(|text| !text.is_empty());
        Some(Self { parameters: parameters.map(str::to_owned), ..Self::new(tag, suite, key) })
    }

    pub(crate) fn attribute(&self, tag: u32) -> Attribute {
        let (space, more) = self.parameters.as_deref().map_or(("", ""), |more| (" ", more));
        let value = format!("{tag} {} {}{space}{more}", self.suite, self.key);
        Attribute { attribute: "crypto".to_owned(), value: Some(value) }
    }

    /// Whether all of its session parameters may be ignored.
    pub(crate) fn is_plain(&self) -> bool {
        // RFC 4568 §6.3.7: "If an SDP crypto attribute is received with an unknown session parameter that is
        // not prefixed with a "-" character, that crypto attribute MUST be considered invalid."
        // Of those that are known, the hint at a window size (§6.3.6) may be ignored too.
        let ignored = |one: &str| one.is_empty() || one.starts_with('-') || one.starts_with("WSH=");
        self.parameters.iter().flat_map(|text| text.split(' ')).all(ignored)
    }
}

impl Stream {
    /// Receives at an address other than the session's.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Receives at another port: how a stream in a session is moved.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Receives RTCP at a port that is not the one after that of RTP (`a=rtcp`).
    #[must_use]
    pub fn rtcp_port(self, port: u16) -> Self {
        Self { rtcp_port: Some(port), ..self }
    }

    /// Which way we want media to flow.
    #[must_use]
    pub fn direction(self, direction: Direction) -> Self {
        Self { direction, ..self }
    }

    /// How its media is encrypted.
    #[must_use]
    pub fn keying(self, keying: Keying) -> Self {
        Self { keying, ..self }
    }

    /// Of another medium or with other codecs: how those of a stream in a session are changed (RFC 3264 §8.3.2,
    /// §8.3.3).
    #[must_use]
    pub fn medium(self, medium: Medium) -> Self {
        Self { medium, ..self }
    }

    /// Answers an offer that has its like, and is never offered itself: what we take from those who ask for it, as
    /// encrypted media where plain is the rule.
    #[must_use]
    pub fn only_answers(self) -> Self {
        Self { only_answers: true, ..self }
    }

    /// Adds an attribute that is said as it is, after those made here: what a media engine wants to tell the
    /// other. Those of ICE are left out of an answer to an offer without ICE.
    #[must_use]
    pub fn attribute<'a>(mut self, name: &str, value: impl Into<Option<&'a str>>) -> Self {
        let value = value.into().map(str::to_owned);
        self.attributes.push(Attribute { attribute: name.to_owned(), value });
        self
    }

    /// Takes away all attributes of that name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.attributes.retain(|attribute| attribute.attribute != name);
        self
    }

    /// The medium that it is a stream of.
    #[must_use]
    pub fn of(&self) -> &Medium {
        &self.medium
    }

    /// Where we receive.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.port
    }

    /// Whether we hold the peer.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Which way we want media to flow now: less than its direction while we hold the peer.
    #[must_use]
    pub fn wanted_direction(&self) -> Direction {
        self.direction_in(None)
    }

    /// The same in a session that holds the peer.
    pub(crate) fn direction_in(&self, session: Option<Hold>) -> Direction {
        // RFC 3264 §8.4: "If the stream to be placed on hold was previously a sendrecv media stream, it is
        // placed on hold by marking it as sendonly. If the stream to be placed on hold was previously a
        // recvonly media stream, it is placed on hold by marking it inactive."
        match self.held.or(session) {
            None => self.direction,
            Some(Hold::Music) => self.direction.held(),
            Some(Hold::Silent) => Direction::Inactive,
        }
    }

    pub(crate) fn protocol(&self) -> &str {
        match (&self.medium.0.protocol, &self.keying) {
            (Some(protocol), _) => protocol,
            (None, Keying::None) => "RTP/AVP",
            (None, Keying::Sdes(_)) => "RTP/SAVP",
            (None, Keying::Dtls { .. }) => "UDP/TLS/RTP/SAVPF",
        }
    }

    /// Whether an offered protocol is one that we answer with: ours, with or without the feedback of AVPF.
    pub(crate) fn speaks(&self, offered: &str) -> bool {
        let ours = self.protocol();
        // Before RFC 5764 had its way, DTLS was offered under the name of RTP/SAVP.
        let older = matches!(self.keying, Keying::Dtls { .. })
            && without_feedback(offered).eq_ignore_ascii_case("RTP/SAVP");
        older || is_same_protocol(ours, offered)
    }
}

/// Whether two protocols are equal but for the feedback profile.
pub(crate) fn is_same_protocol(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (is_rtp(one) && without_feedback(one).eq_ignore_ascii_case(without_feedback(other)))
}

pub(crate) fn is_rtp(protocol: &str) -> bool {
    protocol.split('/').any(|part| part.eq_ignore_ascii_case("RTP"))
}

fn without_feedback(protocol: &str) -> &str {
    protocol.strip_suffix(['F', 'f']).unwrap_or(protocol)
}
