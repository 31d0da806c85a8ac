//! What a peer's description says, checked: the syntax of RFC 8866 where `sdp-types` leaves it open, the
//! [`Limits`], and the attributes that offers and answers are made of.
//!
//! Read liberally where no harm can come of it: the order of lines, a missing or empty s=, a missing t=, bare
//! line feeds, other character sets in what is for people.

use std::net::IpAddr;

use sdp_types::{AddrType, Attribute, Bandwidth, Connection, NetType, Origin, ParserError, Time};

use crate::codec::is_token;
use crate::error::{Fault, Reason, SdpError};
use crate::stream::{Crypto, is_rtp};
use crate::{Codec, Direction, Format, Limits};

/// A description as a whole.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) origin: Origin,
    pub(crate) times: Vec<Time>,
    /// The streams of each BUNDLE group.
    pub(crate) bundles: Vec<Vec<String>>,
    pub(crate) media: Vec<MediaDescription>,
}

/// What a peer says of one stream: an m= line and what belongs to it, what the session says for all included.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MediaDescription {
    /// Where its m= line is, counted from 1.
    pub line: u32,
    /// The kind of medium: `audio`.
    pub kind: String,
    /// Where the peer receives; 0 means that the stream is not wanted.
    pub port: u16,
    /// The transport protocol: `RTP/AVP`.
    pub protocol: String,
    /// The formats as they stand in the m= line.
    pub format_list: String,
    /// The formats of RTP that say what they are, in order of preference.
    pub formats: Vec<Format>,
    /// Where media goes.
    pub address: Address,
    /// The port of RTCP if it is not the one after that of RTP.
    pub rtcp_port: Option<u16>,
    /// Which way the peer wants it to flow, as the peer sees it.
    pub direction: Direction,
    /// Milliseconds of sound that the peer wants in a packet.
    pub packet_time: Option<u16>,
    /// Milliseconds of sound that the peer takes in a packet.
    pub max_packet_time: Option<u16>,
    /// What the peer wants to receive at most.
    pub bandwidths: Vec<Bandwidth>,
    /// The stream's name among the streams.
    pub mid: Option<String>,
    /// RTCP on the port of RTP.
    pub rtcp_mux: bool,
    /// Whether a port of 0 means that it is taken only together with others (BUNDLE).
    pub bundle_only: bool,
    /// Whether the peer does ICE.
    pub ice: bool,
    /// Who begins the DTLS handshake (RFC 4145 §4).
    pub setup: Option<Setup>,
    /// Of the peer's certificates: hash function and hash.
    pub fingerprints: Vec<String>,
    /// The keys of RFC 4568.
    pub crypto: Vec<Crypto>,
    /// All other attributes of the stream, and the session's `ice-` ones, as they came.
    pub attributes: Vec<Attribute>,
    connections: Vec<Connection>,
    ports: Option<u16>,
}

/// Where media goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// To an address.
    Ip(IpAddr),
    /// To a host by its name: to be looked up by who sends.
    Name(String),
    /// Nowhere: 0.0.0.0 or ::, and the same for RTCP.
    Nowhere,
    /// There is none, or none of the Internet.
    Foreign,
}

/// Who begins a DTLS handshake, as the one says it who writes the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// I do.
    Active,
    /// You do.
    Passive,
    /// Either: the answer says.
    ActPass,
    /// Nobody for now.
    HoldConn,
}

impl Setup {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }

    fn parse(value: &str) -> Option<Self> {
        let all = [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn];
        all.into_iter().find(|setup| setup.as_str() == value)
    }
}

impl Description {
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        let media_lines = measure(bytes, limits)?;
        // RFC 8866 §6.10: text may be in another character set. None of it matters here.
        let text = String::from_utf8_lossy(bytes);
        let parsed = sdp_types::Session::parse(text.as_bytes()).map_err(malformed)?;
        let at = |attribute| line_of(bytes, 0, attribute);
        let mut session = Level::default();
        session.read(&parsed.attributes, at)?;
        check_origin(&parsed.origin, bytes)?;
        bandwidths(&parsed.bandwidths, bytes, 0)?;

        let mut media: Vec<MediaDescription> = Vec::with_capacity(parsed.medias.len());
        for (index, (one, line)) in parsed.medias.into_iter().zip(media_lines).enumerate() {
            let section = index.saturating_add(1);
            let at = |attribute| line_of(bytes, section, attribute);
            bandwidths(&one.bandwidths, bytes, section)?;
            let described = read_media(one, line, &session, parsed.connection.as_ref(), at)?;
            let is_taken = |mid: &String| media.iter().any(|other| other.mid.as_ref() == Some(mid));
            if described.mid.as_ref().is_some_and(is_taken) {
                return Err(SdpError::Malformed { line, fault: Fault::Mid });
            }
            media.push(described);
        }
        Ok(Self { origin: parsed.origin, times: parsed.times, bundles: session.bundles, media })
    }
}

/// Holds the text to the limits before any of it is kept, and finds the m= lines.
fn measure(bytes: &[u8], limits: &Limits) -> Result<Vec<u32>, SdpError> {
    if bytes.len() > limits.size {
        return Err(SdpError::TooLarge { line: 0, limit: "size" });
    }
    let mut media = Vec::new();
    let (mut attributes, mut others) = (0_usize, 0_usize);
    let mut has_origin = false;
    for (line, kind, value) in lines(bytes) {
        let count = match kind {
            b'm' => {
                (attributes, others) = (0, 0);
                media.push(line);
                // The spaces but for those before and after the port are before formats.
                let spaces = value.iter().filter(|byte| **byte == b' ').count();
                if spaces.saturating_sub(2) > limits.formats {
                    return Err(SdpError::TooLarge { line, limit: "formats" });
                }
                if media.len() > limits.media {
                    return Err(SdpError::TooLarge { line, limit: "media" });
                }
                continue;
            }
            b'a' => {
                let name = value.split(|byte| *byte == b':').next().unwrap_or_default();
                if !str::from_utf8(name).is_ok_and(is_token) {
                    return Err(SdpError::Malformed { line, fault: Fault::AttributeName });
                }
                &mut attributes
            }
            _ => {
                has_origin |= kind == b'o';
                &mut others
            }
        };
        *count = count.saturating_add(1);
        if attributes > limits.attributes {
            return Err(SdpError::TooLarge { line, limit: "attributes" });
        }
        if others > limits.lines {
            return Err(SdpError::TooLarge { line, limit: "lines" });
        }
    }
    if !has_origin {
        return Err(SdpError::Malformed { line: 0, fault: Fault::NoOrigin });
    }
    Ok(media)
}

/// Number, type and value of each line that has them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u32, u8, &[u8])> {
    bytes.split(|byte| *byte == b'\n').zip(1_u32..).filter_map(|(line, number)| match line {
        [kind, b'=', value @ ..] => Some((number, *kind, value.trim_ascii_end())),
        _ => None,
    })
}

/// Where an attribute of a section is, 0 being the session and the m= lines counting from 1.
fn line_of(bytes: &[u8], section: usize, attribute: usize) -> u32 {
    nth_line(bytes, section, b'a', attribute)
}

fn nth_line(bytes: &[u8], section: usize, kind: u8, nth: usize) -> u32 {
    let mut at = 0_usize;
    let within = lines(bytes).filter(|(_, kind, _)| {
        at = at.saturating_add(usize::from(*kind == b'm'));
        at == section
    });
    let mut found = within.filter(|(_, found, _)| *found == kind).map(|(line, ..)| line);
    found.nth(nth).unwrap_or(0)
}

fn check_origin(origin: &Origin, bytes: &[u8]) -> Result<(), SdpError> {
    // RFC 3264 §5: "The numeric value of the session id and version in the o line MUST be representable with
    // a 64 bit signed integer."
    // The version is counted here; the id is only ever compared, so that one of a peer that draws 64 bits does
    // no harm.
    let fits = i64::try_from(origin.sess_version).is_ok()
        && origin.sess_id.bytes().all(|byte| byte.is_ascii_digit())
        && origin.sess_id.parse::<u64>().is_ok();
    match fits {
        true => Ok(()),
        false => {
            Err(SdpError::Malformed { line: nth_line(bytes, 0, b'o', 0), fault: Fault::Origin })
        }
    }
}

fn bandwidths(all: &[Bandwidth], bytes: &[u8], section: usize) -> Result<(), SdpError> {
    match all.iter().position(|one| !is_token(&one.bwtype)) {
        None => Ok(()),
        Some(nth) => {
            let line = nth_line(bytes, section, b'b', nth);
            Err(SdpError::Malformed { line, fault: Fault::Bandwidth })
        }
    }
}

/// What attributes say that hold for the session or for one stream.
#[derive(Default)]
struct Level {
    direction: Option<Direction>,
    bundles: Vec<Vec<String>>,
    setup: Option<Setup>,
    fingerprints: Vec<String>,
    ice: bool,
    /// Those that are not understood here.
    others: Vec<Attribute>,
}

impl Level {
    fn read(
        &mut self,
        attributes: &[Attribute],
        at: impl Fn(usize) -> u32,
    ) -> Result<(), SdpError> {
        for (index, attribute) in attributes.iter().enumerate() {
            let fault = |fault| SdpError::Malformed { line: at(index), fault };
            if !self.take(attribute).map_err(fault)? && is_of_ice(&attribute.attribute) {
                self.others.push(attribute.clone());
            }
        }
        Ok(())
    }

    /// Takes an attribute that may stand at both levels; `false` if it is none.
    fn take(&mut self, attribute: &Attribute) -> Result<bool, Fault> {
        let value = attribute.value.as_deref().unwrap_or_default();
        match attribute.attribute.as_str() {
            "group" => {
                let mut words = value.split_ascii_whitespace();
                if words.next() == Some("BUNDLE") {
                    self.bundles.push(words.map(str::to_owned).collect());
                }
            }
            "setup" => self.setup = Some(Setup::parse(value).ok_or(Fault::Setup)?),
            "fingerprint" => self.fingerprints.push(value.to_owned()),
            name => {
                self.ice |= name == "ice-ufrag";
                let Some(direction) = Direction::named(name) else { return Ok(false) };
                // RFC 8866 §6.7: "At most one occurrence of "a=recvonly", "a=sendrecv", "a=sendonly", or
                // "a=inactive" MAY appear at session level, and at most one MAY appear in each media
                // description."
                // One that is said twice is still one.
                if self.direction.replace(direction).is_some_and(|before| before != direction) {
                    return Err(Fault::Directions);
                }
            }
        }
        Ok(true)
    }
}

/// Attributes of ICE (RFC 8839), which make sense only if both sides do ICE.
pub(crate) fn is_of_ice(name: &str) -> bool {
    name.starts_with("ice-")
        || matches!(name, "candidate" | "remote-candidates" | "end-of-candidates")
}

fn read_media(
    media: sdp_types::Media,
    line: u32,
    session: &Level,
    connection: Option<&Connection>,
    at: impl Fn(usize) -> u32,
) -> Result<MediaDescription, SdpError> {
    let malformed = |line, fault| SdpError::Malformed { line, fault };
    let is_protocol = media.proto.split('/').all(is_token);
    if !is_token(&media.media) || !is_protocol || media.fmt.trim().is_empty() {
        return Err(malformed(line, Fault::Media));
    }
    let mut own = Level::default();
    let mut described = MediaDescription {
        line,
        kind: media.media,
        port: media.port,
        protocol: media.proto,
        format_list: media.fmt,
        formats: Vec::new(),
        address: Address::Foreign,
        rtcp_port: None,
        direction: Direction::SendRecv,
        packet_time: None,
        max_packet_time: None,
        bandwidths: media.bandwidths,
        mid: None,
        rtcp_mux: false,
        bundle_only: false,
        ice: false,
        setup: None,
        fingerprints: Vec::new(),
        crypto: Vec::new(),
        attributes: Vec::new(),
        connections: media.connections,
        ports: media.num_ports,
    };
    let mut codecs = Codecs::default();
    for (index, attribute) in media.attributes.into_iter().enumerate() {
        let taken = match own.take(&attribute) {
            Ok(false) => take_own(&mut described, &mut codecs, &attribute),
            taken => taken,
        };
        if !taken.map_err(|fault| malformed(at(index), fault))? {
            described.attributes.push(attribute);
        }
    }
    if is_rtp(&described.protocol) {
        described.formats =
            codecs.formats(&described.format_list).ok_or(malformed(line, Fault::PayloadType))?;
    }
    // RFC 8866 §6.7: "If none appears in a media description, then the one from session level, if any,
    // applies to that media description."
    described.direction = own.direction.or(session.direction).unwrap_or_default();
    described.setup = own.setup.or(session.setup);
    described.fingerprints = own.fingerprints;
    if described.fingerprints.is_empty() {
        described.fingerprints.clone_from(&session.fingerprints);
    }
    described.ice = own.ice || session.ice;
    described.attributes.extend(session.others.iter().cloned());
    described.address = match described.connections.first().or(connection) {
        Some(connection) => read_address(connection).map_err(|fault| malformed(line, fault))?,
        // RFC 8866 §5.7: "A session description MUST contain either at least one "c=" line in each media
        // description or a single "c=" line at the session level."
        // A stream that is not wanted needs none.
        None if described.port == 0 => Address::Foreign,
        None => return Err(malformed(line, Fault::NoConnection)),
    };
    Ok(described)
}

fn take_own(
    described: &mut MediaDescription,
    codecs: &mut Codecs,
    attribute: &Attribute,
) -> Result<bool, Fault> {
    let value = attribute.value.as_deref().unwrap_or_default();
    match attribute.attribute.as_str() {
        "rtpmap" => codecs.map(value).ok_or(Fault::RtpMap)?,
        "fmtp" => codecs.parameters(value),
        "ptime" => described.packet_time = Some(packet_time(value)?),
        "maxptime" => described.max_packet_time = Some(packet_time(value)?),
        "mid" => {
            let mid = Some(value.trim()).filter(|mid| is_token(mid) && described.mid.is_none());
            described.mid = Some(mid.ok_or(Fault::Mid)?.to_owned());
        }
        "rtcp-mux" => described.rtcp_mux = true,
        "bundle-only" => described.bundle_only = true,
        "rtcp" => {
            let port = value.split(' ').next().and_then(|port| port.parse().ok());
            described.rtcp_port = Some(port.ok_or(Fault::Value)?);
        }
        "crypto" => {
            let crypto = Crypto::parse(value).ok_or(Fault::Crypto)?;
            // RFC 4568 §4.1: "The tag MUST be unique among all crypto attributes for a given media line."
            if described.crypto.iter().any(|other| other.tag == crypto.tag) {
                return Err(Fault::Crypto);
            }
            described.crypto.push(crypto);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn packet_time(value: &str) -> Result<u16, Fault> {
    // RFC 3264 §5.1: "The ptime attribute MUST be greater than zero."
    // Some write fractions of milliseconds.
    let whole = value.trim().split('.').next().unwrap_or_default();
    whole.parse().ok().filter(|time| *time > 0).ok_or(Fault::PacketTime)
}

fn read_address(connection: &Connection) -> Result<Address, Fault> {
    let text = connection.connection_address.as_str();
    if connection.nettype != NetType::In {
        return Ok(Address::Foreign);
    }
    let is_v4 = match connection.addrtype {
        AddrType::Ip4 => true,
        AddrType::Ip6 => false,
        AddrType::Other(_) => return Ok(Address::Foreign),
    };
    let name = text.split('/').next().unwrap_or_default();
    match name.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Ok(Address::Nowhere),
        Ok(ip) if ip.is_ipv4() == is_v4 => {
            // RFC 8866 §5.7: "The slash notation for multiple addresses described above MUST NOT be used for
            // IP unicast addresses."
            // What follows the slash of a multicast one must be numbers.
            let plain = name.len() == text.len();
            let numbers = ip.is_multicast() && connection.try_address().is_ok();
            (plain || numbers).then_some(Address::Ip(ip)).ok_or(Fault::Connection)
        }
        Ok(_) => Err(Fault::Connection),
        Err(_) => {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            let named = !text.is_empty() && text.bytes().all(is_name);
            named.then(|| Address::Name(text.to_owned())).ok_or(Fault::Connection)
        }
    }
}

impl MediaDescription {
    /// Whether the peer wants the stream.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.port != 0 || self.bundle_only
    }

    pub(crate) fn is_multicast(&self) -> bool {
        matches!(self.address, Address::Ip(ip) if ip.is_multicast())
    }

    /// The c= lines and the port as they came: an answer of multicast repeats them.
    pub(crate) fn place(&self) -> (&[Connection], Option<u16>) {
        (&self.connections, self.ports)
    }

    /// Why nothing can be sent there from an address of ours.
    pub(crate) fn unreachable(&self, from: IpAddr) -> Option<Reason> {
        match &self.address {
            Address::Foreign => Some(Reason::Network),
            // Candidates of ICE may be of either family.
            Address::Ip(ip) if ip.is_ipv4() != from.is_ipv4() && !self.ice => {
                Some(Reason::AddressFormat)
            }
            Address::Ip(_) | Address::Name(_) | Address::Nowhere => None,
        }
    }
}

/// The codecs that the attributes of one stream name.
#[derive(Default)]
struct Codecs {
    maps: Vec<(u8, Codec)>,
    parameters: Vec<(u8, String)>,
}

impl Codecs {
    fn map(&mut self, value: &str) -> Option<()> {
        let (number, encoding) = value.trim().split_once(' ')?;
        let number = number.parse().ok().filter(|number| *number < 128)?;
        let codec = Codec::parse(encoding.trim())?;
        // The first counts if there are two.
        if self.maps.iter().all(|(mapped, _)| *mapped != number) {
            self.maps.push((number, codec));
        }
        Some(())
    }

    /// What is no number is a format of what is not RTP, and not looked at here.
    fn parameters(&mut self, value: &str) {
        if let Some((number, parameters)) = value.split_once(' ')
            && let Ok(number) = number.parse()
            && self.parameters.iter().all(|(of, _)| *of != number)
        {
            self.parameters.push((number, parameters.trim().to_owned()));
        }
    }

    /// The formats of the m= line; those with a dynamic number and no a=rtpmap say nothing and are left out.
    fn formats(mut self, list: &str) -> Option<Vec<Format>> {
        let mut seen = 0_u128;
        let mut formats = Vec::new();
        for word in list.split_ascii_whitespace() {
            let number: u8 = word.parse().ok().filter(|number| *number < 128)?;
            let bit = 1_u128.checked_shl(number.into())?;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            let mapped = self.maps.iter().position(|(mapped, _)| *mapped == number);
            // RFC 3264 §5.1: "If there is no "a=rtpmap", the default payload type mapping, as defined by the
            // current profile in use (for example, RFC 1890 [5]) is to be used."
            let codec = match mapped {
                Some(at) => Some(self.maps.swap_remove(at).1),
                None => Codec::of_static(number),
            };
            let Some(codec) = codec else { continue };
            let said = self.parameters.iter().position(|(of, _)| *of == number);
            let codec = match said {
                Some(at) => codec.parameters(self.parameters.swap_remove(at).1),
                None => codec,
            };
            formats.push(Format { payload_type: number, codec });
        }
        Some(formats)
    }
}

fn malformed(error: ParserError) -> SdpError {
    let (line, fault) = match error {
        ParserError::InvalidVersion(line, _) | ParserError::MultipleVersions(line) => {
            (line, Fault::Version)
        }
        ParserError::NoVersion => (1, Fault::Version),
        ParserError::InvalidLineFormat(line, _) => (line, Fault::Line),
        ParserError::MultipleOrigins(line)
        | ParserError::MultipleSessionNames(line)
        | ParserError::MultipleSessionDescription(line)
        | ParserError::MultipleUris(line)
        | ParserError::MultipleConnections(line)
        | ParserError::MultipleTimeZones(line)
        | ParserError::MultipleMediaTitles(line)
        | ParserError::MultipleKeys(line) => (line, Fault::Repeated),
        ParserError::RepeatWithoutTime(line) => (line, Fault::Value),
        ParserError::InvalidFieldEncoding(line, field)
        | ParserError::InvalidFieldFormat(line, field)
        | ParserError::MissingField(line, field)
        | ParserError::FieldTrailingData(line, field) => (line, of_field(field)),
        // Those that are no longer made.
        _ => (0, Fault::Line),
    };
    SdpError::Malformed { line: u32::try_from(line).unwrap_or(u32::MAX), fault }
}

/// The names of fields begin with the line that they are of.
fn of_field(field: &str) -> Fault {
    match field.split(' ').next() {
        Some("Origin") => Fault::Origin,
        Some("Connection") => Fault::Connection,
        Some("Media") => Fault::Media,
        Some("Bandwidth") => Fault::Bandwidth,
        Some("Attribute") => Fault::AttributeName,
        _ => Fault::Value,
    }
}

#[cfg(test)]
mod tests;
