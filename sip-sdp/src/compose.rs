//! Our descriptions, written.

use std::net::IpAddr;

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, Session};

use crate::description::{MediaDescription, Setup, is_of_ice};
use crate::stream::{Crypto, Keying, is_rtp};
use crate::{Direction, Format, Stream};

/// One m= line of ours that is in use.
pub(crate) struct Line<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) protocol: &'a str,
    pub(crate) formats: &'a [Format],
    /// Of what is not RTP.
    pub(crate) other_formats: &'a [String],
    pub(crate) direction: Direction,
    pub(crate) mid: Option<&'a str>,
    /// What is answered to; `None` for an offer.
    pub(crate) offered: Option<&'a MediaDescription>,
    /// The accepted key of an answer, and its tag.
    pub(crate) crypto: Option<(&'a Crypto, u32)>,
    pub(crate) setup: Option<Setup>,
}

impl Line<'_> {
    pub(crate) fn media(&self, session: IpAddr) -> Media {
        let stream = self.stream;
        let abilities = stream.medium.abilities();
        let mut media = Media {
            media: abilities.kind.to_string(),
            port: stream.port,
            num_ports: None,
            proto: self.protocol.to_owned(),
            fmt: self.format_list(),
            media_title: None,
            connections: Vec::new(),
            bandwidths: abilities.bandwidths.clone(),
            key: None,
            attributes: Vec::new(),
        };
        if let Some(address) = stream.address.filter(|address| *address != session) {
            media.connections.push(Connection::from_ip_addr(address));
        }
        let mut packet_time = abilities.packet_time;
        if let Some(offered) = self.offered.filter(|offered| offered.is_multicast()) {
            // RFC 3264 §6.2: "If a multicast stream is accepted, the address and port information in the
            // answer MUST match that of the offer."
            let (connections, ports) = offered.place();
            media.connections = connections.to_vec();
            (media.port, media.num_ports) = (offered.port, ports);
            // RFC 3264 §6.2: "The ptime and bandwidth attributes in the answer MUST equal the ones in the
            // offer, if present."
            packet_time = offered.packet_time.or(packet_time);
            if !offered.bandwidths.is_empty() {
                media.bandwidths.clone_from(&offered.bandwidths);
            }
        }
        let out = &mut media.attributes;
        for Format { payload_type, codec } in self.formats {
            // RFC 3264 §6.1: "the answer MUST contain rtpmap attributes to define the payload type mappings
            // for dynamic payload types, and SHOULD contain mappings for static payload types."
            out.push(attribute("rtpmap", format!("{payload_type} {codec}")));
            if let Some(parameters) = codec.fmtp() {
                out.push(attribute("fmtp", format!("{payload_type} {parameters}")));
            }
        }
        let times = [("ptime", packet_time), ("maxptime", abilities.max_packet_time)];
        for (name, time) in times {
            out.extend(time.map(|time| attribute(name, time.to_string())));
        }
        out.extend(stream.rtcp_port.map(|port| attribute("rtcp", port.to_string())));
        if abilities.rtcp_mux && self.offered.is_none_or(|offered| offered.rtcp_mux) {
            out.push(flag("rtcp-mux"));
        }
        out.extend(self.mid.map(|mid| attribute("mid", mid.to_owned())));
        self.keys(out);
        out.push(flag(self.direction.as_str()));
        let ice = self.offered.is_none_or(|offered| offered.ice);
        let said = stream.attributes.iter().filter(|one| ice || !is_of_ice(&one.attribute));
        out.extend(said.cloned());
        media
    }

    fn keys(&self, out: &mut Vec<Attribute>) {
        match (&self.stream.keying, self.crypto) {
            (Keying::None, _) => {}
            (Keying::Sdes(_), Some((accepted, tag))) => out.push(accepted.attribute(tag)),
            (Keying::Sdes(all), None) => out.extend(all.iter().map(|one| one.attribute(one.tag))),
            (Keying::Dtls { fingerprint }, _) => {
                // RFC 5763 §5: "The endpoint that is the offerer MUST use the setup attribute value of
                // setup:actpass"
                let setup = self.setup.unwrap_or(Setup::ActPass);
                out.push(attribute("setup", setup.as_str().to_owned()));
                out.push(attribute("fingerprint", fingerprint.clone()));
            }
        }
    }

    fn format_list(&self) -> String {
        let mut list = String::new();
        let mut push = |format: &str| {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(format);
        };
        if is_rtp(self.protocol) {
            self.formats.iter().for_each(|format| push(&format.payload_type.to_string()));
        } else {
            self.other_formats.iter().for_each(|format| push(format));
        }
        // RFC 3264 §6: "At least one MUST be present, as specified by SDP."
        match list.is_empty() {
            true => "0".to_owned(),
            false => list,
        }
    }
}

/// An m= line that is not in use: what the peer's said, or ours did, with a port of zero.
pub(crate) fn refused(kind: &str, protocol: &str, format: &str, mid: Option<&str>) -> Media {
    // RFC 3264 §8.2: "The stream description MAY omit all attributes present previously, and MAY list just a
    // single media format."
    Media {
        media: kind.to_owned(),
        port: 0,
        num_ports: None,
        proto: protocol.to_owned(),
        fmt: format.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        // RFC 5888 §9.2: "the "mid" lines MUST still be present in the answer."
        attributes: mid.iter().map(|mid| attribute("mid", (*mid).to_owned())).collect(),
    }
}

pub(crate) fn attribute(name: &str, value: String) -> Attribute {
    Attribute { attribute: name.to_owned(), value: Some(value) }
}

fn flag(name: &str) -> Attribute {
    Attribute { attribute: name.to_owned(), value: None }
}

pub(crate) fn write(session: &Session) -> Bytes {
    let mut text = Vec::with_capacity(512);
    // Writing to memory cannot fail.
    let _ = session.write(&mut text);
    text.into()
}
