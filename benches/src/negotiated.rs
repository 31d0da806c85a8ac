//! Offers and answers of `sip-sdp`: those of a phone, and of a browser with its candidates.

use bytes::Bytes;
use sip_sdp::{Codec, Keying, MediaSession, Medium, Stream};

/// What phones say: five codecs and DTMF.
pub const PHONE: &[u8] = b"v=0\r\no=alice 3724394400 3724394405 IN IP4 192.0.2.10\r\ns=-\r\n\
    c=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 49170 RTP/AVP 111 9 8 0 18 101\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// What browsers say.
pub const BROWSER: &[u8] = b"v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0\r\na=msid-semantic: WMS s\r\nm=audio 54609 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
    c=IN IP4 192.0.2.10\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=candidate:1467250027 1 udp 2122260223 192.0.2.10 46243 typ host generation 0\r\n\
    a=candidate:435653019 1 tcp 1845501695 192.0.2.10 9 typ host tcptype active generation 0\r\n\
    a=candidate:1853887674 1 udp 1518280447 203.0.113.5 36768 typ srflx raddr 192.0.2.10 rport 46243\r\n\
    a=ice-ufrag:ETEn\r\na=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\n\
    a=msid:s t\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n\
    a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n\
    a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
    a=ssrc:1001 cname:c\r\na=ssrc:1001 msid:s t\r\n";

/// What we can do: the part that all sessions share.
pub struct Abilities {
    plain: Stream,
    browser: Stream,
}

impl Default for Abilities {
    fn default() -> Self {
        let audio = Medium::audio()
            .codec(Codec::OPUS)
            .codec(Codec::PCMU)
            .codec(Codec::PCMA)
            .codec(Codec::telephone_event(8000, "0-15"));
        let fingerprint = "sha-256 00:11:22:33:44:55:66:77".to_owned();
        let browser = audio.clone().rtcp_mux().at(40_002).only_answers();
        Self {
            plain: audio.at(40_000),
            browser: browser.keying(Keying::Dtls { fingerprint }).attribute("ice-ufrag", "ours"),
        }
    }
}

impl Abilities {
    /// Our side of a new session.
    #[must_use]
    pub fn session(&self) -> MediaSession {
        MediaSession::new(8, [192, 0, 2, 1].into())
            .stream(self.plain.clone())
            .stream(self.browser.clone())
    }

    /// A session that has answered an offer.
    #[must_use]
    pub fn answered(&self, offer: &[u8]) -> Option<(MediaSession, Bytes)> {
        let mut session = self.session();
        let (answer, _) = session.answer(offer).ok()?;
        Some((session, answer))
    }

    /// An offer, its answer by another, and the answer taken.
    #[must_use]
    pub fn exchanged(&self) -> Option<(MediaSession, MediaSession)> {
        let mut caller = self.session();
        let offer = caller.offer().ok()?;
        let (callee, answer) = self.answered(&offer)?;
        caller.take_answer(&answer).ok()?;
        Some((caller, callee))
    }
}
