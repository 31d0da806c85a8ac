//! Whatever is offered, the answer obeys RFC 3264; whatever two sides do, they agree.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what panics here is a failed test"
)]

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sip_sdp::{
    Codec, Crypto, Direction, Hold, Keying, MediaSession, Medium, Misuse, SdpError, Stream,
};

mod checker;

/// One that knows something of everything.
fn able() -> MediaSession {
    let audio = Medium::audio()
        .codec(Codec::OPUS)
        .codec(Codec::PCMU)
        .codec(Codec::PCMA)
        .codec(Codec::G729)
        .codec(Codec::telephone_event(8000, "0-15"))
        .rtcp_mux()
        .multicast();
    let video = Medium::video().codec(Codec::new("VP8", 90_000)).codec(Codec::new("H264", 90_000));
    let key = |suite: &str| Crypto::new(1, suite, "inline:b3Vycw==");
    let sdes = Keying::Sdes(vec![key("AES_CM_128_HMAC_SHA1_80"), key("F8_128_HMAC_SHA1_80")]);
    let dtls = Keying::Dtls { fingerprint: "sha-256 AA:BB".to_owned() };
    [
        audio.at(4000),
        audio.at(4002).direction(Direction::SendOnly),
        audio.at(4004).keying(sdes.clone()),
        audio.at(4006).keying(dtls.clone()).attribute("ice-ufrag", "x"),
        video.at(4008),
        video.at(4010).keying(dtls),
        Medium::of("image").protocol("udptl").format("t38").at(4012),
    ]
    .into_iter()
    .fold(MediaSession::new(6, [192, 0, 2, 2].into()).bundle(), MediaSession::stream)
}

fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec![
            "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive", "a=rtcp-mux", "a=bundle-only", "a=ptime:20",
            "a=maxptime:60", "a=setup:actpass", "a=setup:active", "a=setup:passive", "a=fingerprint:sha-1 00",
            "a=ice-ufrag:u", "a=candidate:1 1 udp 1 192.0.2.1 1 typ host", "a=fmtp:18 annexb=no",
            "a=fmtp:101 0-11,16", "a=fmtp:97 packetization-mode=1", "a=rtcp:53020", "a=x-unknown:1",
            "c=IN IP4 0.0.0.0", "c=IN IP4 192.0.2.9", "c=IN IP6 2001:db8::9", "c=IN IP4 233.252.0.1/127",
            "c=IN IP4 host.example.com", "b=AS:64", "i=text",
        ]).prop_map(str::to_owned),
        2 => (1..4_u8, select(vec!["AES_CM_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80", "OTHER"]))
            .prop_map(|(tag, suite)| format!("a=crypto:{tag} {suite} inline:dGhlaXJz")),
        2 => (select(vec![0_u8, 8, 18, 96, 97, 101, 111]), select(vec![
            "opus/48000/2", "PCMU/8000", "telephone-event/8000", "VP8/90000", "h264/90000", "x/1",
        ])).prop_map(|(number, codec)| format!("a=rtpmap:{number} {codec}")),
    ]
}

/// One m= line with what belongs to it.
fn medium(index: usize) -> impl Strategy<Value = String> {
    (
        select(vec!["audio", "audio", "video", "image", "text"]),
        select(vec![0_u16, 9, 5000, 5000, 65_535]),
        select(vec![
            "RTP/AVP",
            "RTP/AVP",
            "RTP/AVPF",
            "RTP/SAVP",
            "RTP/SAVPF",
            "UDP/TLS/RTP/SAVPF",
            "udptl",
            "TCP/MSRP",
        ]),
        subsequence(vec!["0", "8", "18", "96", "97", "101", "111"], 1..7).prop_shuffle(),
        any::<bool>(),
        proptest::collection::vec(attribute(), 0..8),
    )
        .prop_map(move |(kind, port, proto, formats, named, attributes)| {
            let formats = if proto == "udptl" { "t38".to_owned() } else { formats.join(" ") };
            let mid = if named { format!("a=mid:{index}\r\n") } else { String::new() };
            format!("m={kind} {port} {proto} {formats}\r\n{mid}{}\r\n", attributes.join("\r\n"))
        })
}

fn offer() -> impl Strategy<Value = String> {
    let session = select(vec![
        "",
        "a=sendonly\r\n",
        "a=inactive\r\n",
        "a=group:BUNDLE 0 1 2\r\n",
        "a=group:LS 0 1\r\n",
        "a=fingerprint:sha-256 00\r\na=setup:actpass\r\n",
    ]);
    let time = select(vec!["t=0 0", "t=0 0", "t=3724394400 3724398000"]);
    let media = prop_oneof![
        Just(Vec::new()).boxed(),
        (medium(0)).prop_map(|one| vec![one]).boxed(),
        (medium(0), medium(1)).prop_map(|(a, b)| vec![a, b]).boxed(),
        (medium(0), medium(1), medium(2), medium(3))
            .prop_map(|(a, b, c, d)| vec![a, b, c, d])
            .boxed(),
    ];
    (session, time, media).prop_map(|(session, time, media)| {
        let media = media.concat().replace("\r\n\r\n", "\r\n");
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n{time}\r\n{session}{media}")
    })
}

proptest! {
    #[test]
    fn any_offer_is_answered_by_the_rules(offers in proptest::collection::vec(offer(), 1..4)) {
        let (mut session, mut side) = (able(), checker::Side::default());
        let mut said = Vec::new();
        for offer in &offers {
            let before = format!("{session:?}");
            match session.answer(offer.as_bytes()) {
                Ok((answer, _)) => {
                    let text = String::from_utf8_lossy(&answer);
                    prop_assert_eq!(checker::answer(offer.as_bytes(), &answer), Vec::<String>::new(), "{}\n{}", offer, text);
                    prop_assert_eq!(side.says(&answer), Vec::<String>::new(), "{}", text);
                    said = answer.to_vec();
                }
                Err(error) => {
                    let status = error.status().as_u16();
                    prop_assert!(matches!(status, 400 | 413 | 488), "{error}");
                    prop_assert!(error.line().is_some() && error.warning().is_some(), "{error}");
                    prop_assert_eq!(format!("{session:?}"), before, "an error changes nothing");
                }
            }
        }
        // And what we offer after that is legal too.
        let next = session.offer_all().unwrap();
        prop_assert_eq!(side.says(&next), Vec::<String>::new(), "{}", String::from_utf8_lossy(&next));
        prop_assert!(checker::lines(&next) >= checker::lines(&said));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = able().answer(&bytes);
    }

    #[test]
    fn a_damaged_offer_does_not_panic(text in offer(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let (mut session, mut offerer) = (able(), able());
        if let Ok((answer, _)) = session.answer(&bytes) {
            let wrong = checker::answer(&bytes, &answer);
            prop_assert_eq!(wrong, Vec::<String>::new(), "{}\n{}", String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&answer));
        }
        offerer.offer().unwrap();
        let _ = offerer.take_answer(&bytes);
    }
}

/// What one side may do in a session.
#[derive(Clone, Debug)]
enum Step {
    Offer,
    OfferAll,
    /// The peer refuses it, and it is rolled back.
    Refused,
    Hold(Hold),
    HoldOne(usize),
    Resume,
    Add(usize, u16),
    Remove(usize),
    Move(usize, u16),
    Codecs(usize, Vec<usize>),
    Turn(usize, Direction),
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let slot = || 0..4_usize;
    let step = prop_oneof![
        6 => Just(Step::Offer),
        1 => Just(Step::OfferAll),
        2 => Just(Step::Refused),
        1 => select(vec![Hold::Music, Hold::Silent]).prop_map(Step::Hold),
        1 => slot().prop_map(Step::HoldOne),
        2 => Just(Step::Resume),
        2 => (0..3_usize, 1..u16::MAX).prop_map(|(kind, port)| Step::Add(kind, port)),
        2 => slot().prop_map(Step::Remove),
        2 => (slot(), 1..u16::MAX).prop_map(|(slot, port)| Step::Move(slot, port)),
        2 => (slot(), subsequence(vec![0, 1, 2, 3, 4, 5], 1..6).prop_shuffle())
            .prop_map(|(slot, codecs)| Step::Codecs(slot, codecs)),
        1 => (slot(), select(vec![Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]))
            .prop_map(|(slot, direction)| Step::Turn(slot, direction)),
    ];
    (any::<bool>(), step)
}

fn codecs(which: &[usize]) -> Medium {
    let all = [
        Codec::PCMU,
        Codec::OPUS,
        Codec::PCMA,
        Codec::telephone_event(8000, "0-15"),
        Codec::new("a", 8000).payload_type(100),
        Codec::new("b", 8000).payload_type(100),
    ];
    which.iter().fold(Medium::audio(), |medium, index| medium.codec(all[*index].clone()))
}

fn stream(kind: usize, port: u16) -> Stream {
    match kind {
        0 => codecs(&[0, 1, 3]).at(port),
        1 => codecs(&[4, 5, 2]).at(port),
        _ => Medium::video().codec(Codec::new("VP8", 90_000)).at(port),
    }
}

fn local(session: &mut MediaSession, step: Step) -> Option<bool> {
    let _: Result<(), SdpError> = match step {
        Step::Offer => return Some(false),
        Step::OfferAll => return Some(true),
        Step::Refused => {
            if session.offer().is_ok() {
                session.roll_back().unwrap();
            }
            Ok(())
        }
        Step::Hold(hold) => {
            session.hold(hold);
            Ok(())
        }
        Step::HoldOne(slot) => session.hold_stream(slot, Some(Hold::Music)),
        Step::Resume => {
            session.resume();
            Ok(())
        }
        Step::Add(kind, port) => {
            session.add(stream(kind, port));
            Ok(())
        }
        Step::Remove(slot) => session.remove(slot).map(|_| ()),
        Step::Move(slot, port) => session.modify(slot, |stream| stream.port(port)),
        Step::Codecs(slot, which) => session.modify(slot, |stream| stream.medium(codecs(&which))),
        Step::Turn(slot, direction) => session.modify(slot, |stream| stream.direction(direction)),
    };
    None
}

proptest! {
    #[test]
    fn two_sides_agree_whatever_they_do(bundle in any::<bool>(), steps in proptest::collection::vec(step(), 1..40)) {
        let session = |id, port| {
            let session = MediaSession::new(id, [192, 0, 2, id as u8].into()).stream(stream(0, port));
            if bundle { session.bundle() } else { session }
        };
        let mut both = [session(2, 4000), session(4, 5000)];
        let mut sides = [checker::Side::default(), checker::Side::default()];
        let mut bound = checker::Bound::new();
        let mut longest = 0;
        let first = std::iter::once((false, Step::Offer));
        for (who, step) in first.chain(steps) {
            let (one, other) = (usize::from(who), usize::from(!who));
            let before = both[one].local().clone();
            let refused = matches!(step, Step::Refused);
            let Some(all) = local(&mut both[one], step) else {
                // An offer that is refused has been said all the same.
                if refused && *both[one].local() != before {
                    let said = both[one].local().clone();
                    prop_assert_eq!(sides[one].says(&said), Vec::<String>::new());
                    let mut bound = bound.clone();
                    prop_assert_eq!(checker::bind(&mut bound, &said), Vec::<String>::new());
                }
                continue;
            };
            let offer = if all { both[one].offer_all() } else { both[one].offer() };
            let offer = match offer {
                Ok(offer) => offer,
                Err(error) => {
                    prop_assert!(matches!(error, SdpError::Misuse(Misuse::NoRoom | Misuse::NoPayloadType)));
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&offer).into_owned();
            prop_assert_eq!(sides[one].says(&offer), Vec::<String>::new(), "{}", text);
            // A stream that is refused binds nothing.
            let mut now = bound.clone();
            prop_assert_eq!(checker::bind(&mut now, &offer), Vec::<String>::new(), "{}", text);
            prop_assert!(checker::lines(&offer) >= longest, "§8: m= lines never go");
            match both[other].answer(&offer) {
                Err(error) => {
                    prop_assert!(matches!(error, SdpError::Unacceptable { .. }), "{error}\n{text}");
                    both[one].roll_back().unwrap();
                }
                Ok((answer, theirs)) => {
                    let wrong = checker::answer(&offer, &answer);
                    prop_assert_eq!(wrong, Vec::<String>::new(), "{}\n{}", text, String::from_utf8_lossy(&answer));
                    prop_assert_eq!(sides[other].says(&answer), Vec::<String>::new());
                    prop_assert_eq!(checker::bind(&mut now, &answer), Vec::<String>::new());
                    let ours = both[one].take_answer(&answer).unwrap();
                    // A refused offer leaves a hole in the versions that the other side has seen.
                    prop_assert!(ours.breaches.iter().chain(&theirs.breaches).all(|breach| breach.to_string().contains("version")));
                    bound = now;
                    longest = checker::lines(&answer);
                }
            }
            let [one, other] = &both;
            let (ours, theirs): (Vec<_>, Vec<_>) = (one.streams().collect(), other.streams().collect());
            prop_assert_eq!(ours.len(), theirs.len());
            for ((slot, ours), (same, theirs)) in ours.into_iter().zip(theirs) {
                prop_assert_eq!(slot, same);
                prop_assert_eq!(ours.direction, theirs.direction.mirrored());
                prop_assert_eq!((ours.remote.port, theirs.remote.port), (theirs.local_port, ours.local_port));
                let numbers = |formats: &[sip_sdp::Format]| -> Vec<(u8, String)> {
                    formats.iter().map(|format| (format.payload_type, format.codec.to_string())).collect()
                };
                prop_assert_eq!(numbers(&ours.send), numbers(&theirs.receive));
                prop_assert_eq!(numbers(&theirs.send), numbers(&ours.receive));
                prop_assert_eq!((&ours.mid, ours.bundled), (&theirs.mid, theirs.bundled));
            }
        }
    }
}
