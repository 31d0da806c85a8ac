//! The examples of RFC 3264 §10 and of others, message by message: what the RFC prints is what the peer says, and
//! what its other side answers is held against ours.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what panics here is a failed test"
)]

use sip_sdp::{Address, Change, Changes, Codec, Direction, MediaSession, Medium, capabilities};

/// The lines of a description from the first m= on, sorted within each medium: their order among attributes says
/// nothing. The default direction is left out, as the RFC leaves it out.
fn media(sdp: &[u8]) -> Vec<Vec<String>> {
    let text = str::from_utf8(sdp).unwrap();
    let mut all: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("m="), all.last_mut()) {
            (Some(_), _) => all.push(vec![line.to_owned()]),
            (None, Some(_)) if line == "a=sendrecv" => {}
            (None, Some(lines)) => lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    all.iter_mut().for_each(|lines| lines[1..].sort());
    all
}

fn version(sdp: &[u8]) -> u64 {
    let text = str::from_utf8(sdp).unwrap();
    let origin = text.lines().find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim_start).collect();
    lines.join("\r\n") + "\r\n"
}

fn changes(changes: &Changes) -> Vec<(usize, Change)> {
    assert_eq!(changes.breaches, []);
    changes.streams.iter().map(|stream| (stream.slot, stream.change)).collect()
}

/// The offer of §10.1.
const ALICE_1: &str = "
    v=0
    o=alice 2890844526 2890844526 IN IP4 host.anywhere.com
    s=
    c=IN IP4 host.anywhere.com
    t=0 0
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 51372 RTP/AVP 31
    a=rtpmap:31 H261/90000
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000";

const BOB_1: &str = "
    v=0
    o=bob 2890844730 2890844730 IN IP4 host.example.com
    s=
    c=IN IP4 host.example.com
    t=0 0
    m=audio 49920 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000";

const BOB_2: &str = "
    v=0
    o=bob 2890844730 2890844731 IN IP4 host.example.com
    s=
    c=IN IP4 host.example.com
    t=0 0
    m=audio 65422 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000
    m=audio 51434 RTP/AVP 110
    a=rtpmap:110 telephone-events/8000
    a=recvonly";

const ALICE_2: &str = "
    v=0
    o=alice 2890844526 2890844527 IN IP4 host.anywhere.com
    s=
    c=IN IP4 host.anywhere.com
    t=0 0
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000
    m=audio 53122 RTP/AVP 110
    a=rtpmap:110 telephone-events/8000
    a=sendonly";

fn audio() -> Medium {
    Medium::audio().codec(Codec::PCMU)
}

fn video(name: &'static str) -> Medium {
    Medium::video().codec(Codec::new(name, 90_000))
}

/// By the name that the example prints, which is not that of RFC 4733.
fn events() -> Medium {
    Medium::audio().codec(Codec::new("telephone-events", 8000).payload_type(110))
}

#[test]
fn section_10_1_as_bob() {
    let mut bob = MediaSession::new(2 * 2_890_844_730, [192, 0, 2, 2].into())
        .name("bob")
        .version(2_890_844_730)
        .stream(audio().at(49_920))
        .stream(video("MPV").at(53_000));
    let (answer, new) = bob.answer(lines(ALICE_1).as_bytes()).unwrap();
    assert_eq!(media(&answer), media(lines(BOB_1).as_bytes()));
    assert!(answer.starts_with(b"v=0\r\no=bob 2890844730 2890844730 IN IP4 192.0.2.2\r\n"));
    assert_eq!(changes(&new), [(0, Change::Added), (1, Change::Refused), (2, Change::Added)]);
    let remote = &bob.agreed(0).unwrap().remote;
    assert_eq!(remote.address, Address::Name("host.anywhere.com".to_owned()));
    assert_eq!((remote.port, remote.rtcp_port), (49_170, 49_171));

    bob.modify(0, |stream| stream.port(65_422)).unwrap();
    bob.add(events().at(51_434).direction(Direction::RecvOnly));
    let offer = bob.offer().unwrap();
    assert_eq!(media(&offer), media(lines(BOB_2).as_bytes()));
    assert_eq!(version(&offer), 2_890_844_731);
}

// RFC 3264 §5: "an SDP message used in the offer/answer model MUST contain
// exactly one session description."
// RFC 3264 §7: "It MUST send using a media format listed in the answer,
// and it SHOULD use the first media format listed in the answer when it
// does send."
#[test]
fn section_10_1_as_alice() {
    let mut alice = MediaSession::new(2 * 2_890_844_526, [192, 0, 2, 1].into())
        .name("alice")
        .version(2_890_844_526)
        .stream(audio().at(49_170))
        .stream(video("H261").at(51_372))
        .stream(video("MPV").at(53_000));
    let offer = alice.offer().unwrap();
    assert_eq!(media(&offer), media(lines(ALICE_1).as_bytes()));
    let new = alice.take_answer(lines(BOB_1).as_bytes()).unwrap();
    assert_eq!(changes(&new), [(0, Change::Added), (1, Change::Refused), (2, Change::Added)]);
    assert!(alice.agreed(1).is_none());

    alice.add(events().at(53_122));
    let (answer, new) = alice.answer(lines(BOB_2).as_bytes()).unwrap();
    let mut expected = media(lines(ALICE_2).as_bytes());
    // §8.2: "the answer MAY omit all attributes present previously", and ours does.
    expected[1].truncate(1);
    assert_eq!(media(&answer), expected);
    assert_eq!(version(&answer), 2_890_844_527);
    let [(0, Change::Changed(moved)), second] = changes(&new)[..] else { panic!("{new:?}") };
    assert!(moved.remote && !moved.local && !moved.send && !moved.receive && !moved.direction);
    assert_eq!(second, (3, Change::Added));
    let events = alice.agreed(3).unwrap();
    assert_eq!((events.direction, events.remote.port), (Direction::SendOnly, 51_434));
    assert_eq!(events.send[0].payload_type, 110);
}

#[test]
fn section_10_2() {
    const OFFER: &str = "
        v=0
        o=alice 2890844526 2890844526 IN IP4 host.anywhere.com
        s=
        c=IN IP4 host.anywhere.com
        t=0 0
        m=audio 62986 RTP/AVP 0 4 18
        a=rtpmap:0 PCMU/8000
        a=rtpmap:4 G723/8000
        a=rtpmap:18 G729/8000
        a=inactive";
    const ANSWER: &str = "
        v=0
        o=bob 2890844730 2890844731 IN IP4 host.example.com
        s=
        c=IN IP4 host.example.com
        t=0 0
        m=audio 54344 RTP/AVP 0 4
        a=rtpmap:0 PCMU/8000
        a=rtpmap:4 G723/8000
        a=inactive";
    const LOCKED: &str = "
        v=0
        o=alice 2890844526 2890844527 IN IP4 host.anywhere.com
        s=
        c=IN IP4 host.anywhere.com
        t=0 0
        m=audio 62986 RTP/AVP 4
        a=rtpmap:4 G723/8000
        a=sendrecv";
    const ACCEPTED: &str = "
        v=0
        o=bob 2890844730 2890844732 IN IP4 host.example.com
        s=
        c=IN IP4 host.example.com
        t=0 0
        m=audio 54344 RTP/AVP 4
        a=rtpmap:4 G723/8000
        a=sendrecv";
    let g723 = || Codec::new("G723", 8000);
    let mut bob = MediaSession::new(2 * 2_890_844_730, [192, 0, 2, 2].into())
        .version(2_890_844_731)
        .stream(Medium::audio().codec(Codec::PCMU).codec(g723()).at(54_344));
    let (answer, _) = bob.answer(lines(OFFER).as_bytes()).unwrap();
    assert_eq!(media(&answer), media(lines(ANSWER).as_bytes()));
    let (answer, new) = bob.answer(lines(LOCKED).as_bytes()).unwrap();
    assert_eq!(media(&answer), media(lines(ACCEPTED).as_bytes()));
    assert_eq!(version(&answer), 2_890_844_732);
    assert_eq!(new.breaches, []);
    assert!(matches!(
        new.streams[0].change,
        Change::Changed(aspects) if aspects.direction && aspects.send && aspects.receive && !aspects.remote
    ));

    let dsp = Medium::audio().codec(Codec::PCMU).codec(g723()).codec(Codec::G729);
    let mut alice = MediaSession::new(2 * 2_890_844_526, [192, 0, 2, 1].into())
        .stream(dsp.at(62_986).direction(Direction::Inactive));
    let offer = alice.offer().unwrap();
    assert_eq!(media(&offer), media(lines(OFFER).as_bytes()));
    alice.take_answer(lines(ANSWER).as_bytes()).unwrap();
    let locked = Medium::audio().codec(g723());
    alice.modify(0, |audio| audio.medium(locked).direction(Direction::SendRecv)).unwrap();
    let offer = alice.offer().unwrap();
    assert_eq!(media(&offer), media(lines(LOCKED).as_bytes()));
    alice.take_answer(lines(ACCEPTED).as_bytes()).unwrap();
    let agreed = alice.agreed(0).unwrap();
    assert_eq!(agreed.codec().unwrap().codec.name(), "G723");
    assert_eq!(agreed.direction, Direction::SendRecv);
}

/// RFC 3264 §9, figure 1.
#[test]
fn capabilities_of_section_9() {
    let audio = ["PCMU", "1016", "GSM"].map(|name| Codec::new(name, 8000));
    let audio = audio.into_iter().fold(Medium::audio(), Medium::codec);
    let video = ["H261", "H263"].map(|name| Codec::new(name, 90_000));
    let video = video.into_iter().fold(Medium::video(), Medium::codec);
    let text = capabilities(8, [192, 0, 2, 4].into(), &[audio.at(0), video.at(0)]);
    // 1016 lost its number 1 when RFC 3551 replaced RFC 1890, and has a dynamic one.
    let expected = "v=0\r\no=- 4 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
        m=audio 0 RTP/AVP 0 96 3\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 1016/8000\r\na=rtpmap:3 GSM/8000\r\n\
        m=video 0 RTP/AVP 31 34\r\na=rtpmap:31 H261/90000\r\na=rtpmap:34 H263/90000\r\n";
    assert_eq!(str::from_utf8(&text).unwrap(), expected);
}

/// RFC 4733 §2.4.1 and §2.5.1.1: events alone in a stream, and those that both know.
#[test]
fn events_are_those_that_both_know() {
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 12346 RTP/AVP 100\r\na=rtpmap:100 telephone-event/8000\r\na=fmtp:100 0-15,66,70\r\n";
    let ours = Medium::audio().codec(Codec::telephone_event(8000, "32-66,3,1,2"));
    let mut session = MediaSession::new(1, [192, 0, 2, 2].into()).stream(ours.at(4000));
    let (answer, _) = session.answer(offer.as_bytes()).unwrap();
    assert!(media(&answer)[0].contains(&"a=fmtp:100 1-3,66".to_owned()));
    let sent = session.agreed(0).unwrap().telephone_event().unwrap().codec.events().unwrap();
    assert!(sent.contains(70) && sent.contains(15) && !sent.contains(16), "what the peer takes");
}

/// RFC 5888 §9.2.1: the stream that is refused leaves the group; FID is not ours to answer.
#[test]
fn streams_keep_their_names_and_the_group_goes() {
    let offer = "v=0\r\no=Laura 289083124 289083124 IN IP4 thirteen.example.com\r\nc=IN IP4 192.0.2.1\r\n\
        t=0 0\r\na=group:FID 1 2 3\r\nm=audio 30000 RTP/AVP 0\r\na=mid:1\r\nm=audio 30002 RTP/AVP 8\r\n\
        a=mid:2\r\nm=audio 30004 RTP/AVP 3\r\na=mid:3\r\n";
    let gsm = Medium::audio().codec(Codec::new("GSM", 8000));
    let mut bob = MediaSession::new(1, [192, 0, 2, 3].into())
        .bundle()
        .stream(audio().at(20_000))
        .stream(gsm.at(20_002));
    let (answer, _) = bob.answer(offer.as_bytes()).unwrap();
    let expected = [
        vec!["m=audio 20000 RTP/AVP 0", "a=mid:1", "a=rtpmap:0 PCMU/8000"],
        vec!["m=audio 0 RTP/AVP 8", "a=mid:2"],
        vec!["m=audio 20002 RTP/AVP 3", "a=mid:3", "a=rtpmap:3 GSM/8000"],
    ];
    assert_eq!(media(&answer), expected);
    assert!(!String::from_utf8(answer.to_vec()).unwrap().contains("a=group"));
}
