//! The media of the example programs: one stream of G.711 and DTMF, to a port where nobody listens. `sip-sdp` makes
//! the offers and answers of it; the user agent carries them and does not look inside.

use std::io;
use std::net::{IpAddr, UdpSocket};

use sip_message::Warning;
use sip_sdp::{Codec, Direction, Keying, MediaSession, Medium, SdpError, Stream};

/// Where our audio would go: a port that is really ours, though nobody listens to what comes there. All calls of a
/// program share it.
#[derive(Debug)]
pub struct Media {
    address: IpAddr,
    plain: Stream,
    browser: Stream,
    /// Kept so that the port stays ours; what arrives is left to the kernel to throw away.
    _socket: UdpSocket,
}

impl Media {
    /// Takes a free port at `address`.
    ///
    /// # Errors
    ///
    /// No port is free, or the address is not ours.
    pub fn at(address: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        let port = socket.local_addr()?.port();
        let events = Codec::telephone_event(8000, "0-15").payload_type(101);
        let audio = Medium::audio().codec(Codec::PCMU).codec(Codec::PCMA).codec(events);
        // What a browser must be told before it takes an answer. It is well-formed, and that is all: nobody is
        // behind it, as nobody listens on the port of any other answer from here.
        let nobody = "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
            00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
        let browser = audio
            .clone()
            .rtcp_mux()
            .at(port)
            .only_answers()
            .keying(Keying::Dtls { fingerprint: nobody.to_owned() })
            .attribute("ice-lite", None)
            .attribute("ice-ufrag", "none")
            .attribute("ice-pwd", "nobodyListensHereAtAll");
        Ok(Self { address, plain: audio.at(port), browser, _socket: socket })
    }

    /// Our side of the session of one call.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn session(&self) -> io::Result<MediaSession> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        Ok(MediaSession::new(u64::from_ne_bytes(id), self.address)
            .stream(self.plain.clone())
            .stream(self.browser.clone()))
    }
}

/// Which way the audio of a call flows, as we see it.
#[must_use]
pub fn direction(session: &MediaSession) -> Direction {
    session.streams().next().map_or(Direction::Inactive, |(_, audio)| audio.direction)
}

/// The Warning that goes with a refusal, from `agent`.
#[must_use]
pub fn warning(error: &SdpError, agent: &str) -> Option<String> {
    let (code, text) = error.warning()?;
    Warning::new(code, agent, &text).ok().map(|warning| warning.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> MediaSession {
        Media::at([127, 0, 0, 1].into()).unwrap().session().unwrap()
    }

    #[test]
    fn a_browser_is_answered_in_its_terms() {
        let offer = b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n\
            a=rtcp-mux\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\na=setup:actpass\r\na=fingerprint:sha-256 00\r\n";
        let (answer, _) = session().answer(offer).unwrap();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert!(answer.contains(" UDP/TLS/RTP/SAVPF 0 8\r\n"), "{answer}");
        for line in ["a=mid:0", "a=rtcp-mux", "a=setup:active", "a=ice-ufrag:none", "a=sendrecv"] {
            assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line}: {answer}");
        }
    }

    #[test]
    fn what_is_offered_is_plain() {
        let offer = session().offer().unwrap();
        let offer = String::from_utf8(offer.to_vec()).unwrap();
        assert!(offer.contains(" RTP/AVP 0 8 101\r\n") && !offer.contains("SAVP"), "{offer}");
    }

    #[test]
    fn a_refusal_says_why() {
        let error =
            session().answer(b"v=0\r\no=- 1 1 IN IP4 h\r\nm=video 1 RTP/AVP 31\r\nc=IN IP4 h\r\n");
        let warning = warning(&error.unwrap_err(), "uas");
        assert_eq!(warning.as_deref(), Some("304 uas \"Media type not available\""));
    }
}
