//! As much SDP as an example needs: one audio stream, offered, answered, put on hold (RFC 8866,
//! RFC 3264). The stack itself carries session descriptions and does not look inside.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

/// Who sends: what hold and resume change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// Only who says this: it holds the other.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// As the attribute says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }
}

/// Where our audio would go: a port that is really ours, though nobody listens to what comes there.
#[derive(Debug)]
pub struct Media {
    port: String,
    /// The lines before the streams, but for the version in their midst.
    before_version: String,
    after_version: String,
    /// Kept so that the port stays ours; what arrives is left to the kernel to throw away.
    _socket: UdpSocket,
    versions: AtomicU32,
}

/// RTP without more.
const PLAIN: &str = "RTP/AVP";

/// What a browser offers: RTP keyed by DTLS, over what ICE finds.
const BROWSER: &str = "UDP/TLS/RTP/SAVPF";

/// What a browser must be told before it takes an answer. It is well-formed, and that is all: nobody is behind
/// it, as nobody listens on the port of any other answer from here.
const NOBODY: &str = "a=rtcp-mux\r\na=ice-lite\r\na=ice-ufrag:none\r\na=ice-pwd:nobodyListensHereAtAll\r\n\
    a=setup:passive\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

/// The payload types known here: the two kinds of G.711.
const KNOWN: [&str; 2] = ["0", "8"];

impl Media {
    /// Takes a free port at `address`.
    ///
    /// # Errors
    ///
    /// No port is free, or the address is not ours.
    pub fn at(address: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        let port = socket.local_addr()?.port().to_string();
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        Ok(Self {
            before_version: format!("v=0\r\no=- {port} "),
            after_version: format!(
                " IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
            ),
            port,
            _socket: socket,
            versions: AtomicU32::new(1),
        })
    }

    /// An offer of one audio stream, G.711.
    #[must_use]
    pub fn offer(&self, direction: Direction) -> Bytes {
        let mut text = self.session();
        self.audio(&mut text, PLAIN, &KNOWN, direction);
        text.into()
    }

    /// The answer to an offer, its direction mirrored; `None` if there is no audio in it that we know
    /// (488 is owed then). An empty offer asks for ours, and gets it.
    #[must_use]
    pub fn answer(&self, offer: &[u8]) -> Option<Bytes> {
        if offer.is_empty() {
            return Some(self.offer(Direction::SendRecv));
        }
        let offer = str::from_utf8(offer).ok()?;
        let streams: Vec<Stream<'_>> = streams(offer);
        let taken = streams.iter().position(Stream::is_known)?;
        let mut text = self.session();
        for (index, stream) in streams.iter().enumerate() {
            if index == taken {
                let formats: Vec<&str> = stream
                    .formats
                    .iter()
                    .copied()
                    .filter(|format| KNOWN.contains(format))
                    .collect();
                self.audio(&mut text, stream.protocol, &formats, stream.direction.mirrored());
                if stream.is_of_a_browser() {
                    stream.take_browser(&mut text);
                }
            } else {
                // A port of zero refuses it.
                // RFC 3264 §6: "For each "m=" line in the offer, there MUST be a corresponding "m=" line
                // in the answer."
                let format = stream.formats.first().unwrap_or(&"0");
                text.extend(["m=", stream.kind, " 0 ", stream.protocol, " ", format, "\r\n"]);
            }
        }
        Some(text.into())
    }

    fn session(&self) -> String {
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let mut text = String::with_capacity(256);
        text.push_str(&self.before_version);
        let _ = write!(text, "{version}");
        text.push_str(&self.after_version);
        text
    }

    fn audio(&self, text: &mut String, protocol: &str, formats: &[&str], direction: Direction) {
        text.extend(["m=audio ", &self.port, " ", protocol]);
        for format in formats {
            text.extend([" ", format]);
        }
        text.push_str("\r\n");
        for (format, name) in KNOWN.iter().zip(["PCMU", "PCMA"]) {
            if formats.contains(format) {
                text.extend(["a=rtpmap:", format, " ", name, "/8000\r\n"]);
            }
        }
        text.extend(["a=", direction.as_str(), "\r\n"]);
    }
}

/// The direction of the first stream of a session description.
#[must_use]
pub fn direction(sdp: &[u8]) -> Direction {
    let text = str::from_utf8(sdp).unwrap_or_default();
    streams(text).first().map_or(Direction::SendRecv, |stream| stream.direction)
}

/// One `m=` line and what belongs to it.
struct Stream<'a> {
    kind: &'a str,
    protocol: &'a str,
    formats: Vec<&'a str>,
    direction: Direction,
    /// What the streams of a browser are told apart by.
    mid: Option<&'a str>,
    refused: bool,
}

impl Stream<'_> {
    fn is_of_a_browser(&self) -> bool {
        self.protocol == BROWSER
    }

    /// Adds to the answer what makes a browser take it.
    fn take_browser(&self, text: &mut String) {
        if let Some(mid) = self.mid {
            text.extend(["a=mid:", mid, "\r\n"]);
        }
        text.push_str(NOBODY);
    }

    fn is_known(&self) -> bool {
        self.kind == "audio"
            && (self.protocol == PLAIN || self.is_of_a_browser())
            && !self.refused
            && self.formats.iter().any(|format| KNOWN.contains(format))
    }
}

fn streams(sdp: &str) -> Vec<Stream<'_>> {
    let mut session = Direction::SendRecv;
    let mut streams: Vec<Stream<'_>> = Vec::new();
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split_ascii_whitespace();
            streams.push(Stream {
                kind: words.next().unwrap_or_default(),
                refused: words.next() == Some("0"),
                protocol: words.next().unwrap_or_default(),
                formats: words.collect(),
                direction: session,
                mid: None,
            });
        } else if let (Some(mid), Some(stream)) = (line.strip_prefix("a=mid:"), streams.last_mut())
        {
            stream.mid = Some(mid.trim_end());
        } else if let Some(attribute) = line.strip_prefix("a=") {
            let said =
                Direction::ALL.into_iter().find(|known| known.as_str() == attribute.trim_end());
            if let Some(said) = said {
                match streams.last_mut() {
                    Some(stream) => stream.direction = said,
                    None => session = said,
                }
            }
        }
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> Media {
        Media::at([127, 0, 0, 1].into()).unwrap()
    }

    #[test]
    fn a_browser_is_answered_in_its_terms() {
        let offer = b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n";
        let answer = String::from_utf8(media().answer(offer).unwrap().to_vec()).unwrap();
        assert!(answer.contains(" UDP/TLS/RTP/SAVPF 0 8\r\n"), "{answer}");
        for line in ["a=mid:0", "a=rtcp-mux", "a=setup:passive", "a=sendrecv"] {
            assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line}: {answer}");
        }
    }

    #[test]
    fn an_answer_mirrors_the_hold() {
        let (ours, theirs) = (media(), media());
        for (said, answered) in [
            (Direction::SendRecv, Direction::SendRecv),
            (Direction::SendOnly, Direction::RecvOnly),
            (Direction::RecvOnly, Direction::SendOnly),
            (Direction::Inactive, Direction::Inactive),
        ] {
            let answer = ours.answer(&theirs.offer(said)).unwrap();
            assert_eq!(direction(&answer), answered);
        }
    }

    #[test]
    fn every_stream_is_answered_and_video_is_refused() {
        let offer = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=sendonly\r\n\
            m=video 4000 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 96 8\r\n";
        let media = media();
        let answer = String::from_utf8(media.answer(offer).unwrap().to_vec()).unwrap();
        assert!(answer.contains("m=video 0 RTP/AVP 31\r\n"), "{answer}");
        assert!(answer.contains(&format!("m=audio {} RTP/AVP 8\r\n", media.port)), "{answer}");
        assert!(answer.contains("a=recvonly\r\n"), "{answer}");
    }

    #[test]
    fn what_we_do_not_know_has_no_answer() {
        let offer = b"v=0\r\nm=audio 4002 RTP/AVP 96\r\n";
        assert_eq!(media().answer(offer), None);
        assert_eq!(media().answer(b"\xff"), None);
        assert!(media().answer(b"").is_some(), "no offer: we make one");
    }
}
