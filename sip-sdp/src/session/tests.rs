use super::*;
use crate::error::Reason;
use crate::{
    Address, Breach, Change, Codec, Crypto, Direction, Keying, Medium, Security, StreamChange,
};

use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

fn audio() -> Medium {
    Medium::audio().codec(Codec::PCMU).codec(Codec::telephone_event(8000, "0-15"))
}

fn video() -> Medium {
    Medium::video().codec(Codec::new("VP8", 90_000))
}

fn one(id: u8, streams: impl IntoIterator<Item = Stream>) -> MediaSession {
    let session = MediaSession::new(u64::from(id) << 1, [192, 0, 2, id].into());
    streams.into_iter().fold(session, MediaSession::stream)
}

/// The two have agreed on audio.
fn pair() -> (MediaSession, MediaSession) {
    let (mut alice, mut bob) = (one(1, [audio().at(4000)]), one(2, [audio().at(5000)]));
    exchange(&mut alice, &mut bob);
    (alice, bob)
}

/// An offer and its answer; what it changes on both sides.
fn exchange(offerer: &mut MediaSession, answerer: &mut MediaSession) -> (Changes, Changes) {
    let offer = offerer.offer().unwrap();
    let (answer, theirs) = answerer.answer(&offer).unwrap();
    (offerer.take_answer(&answer).unwrap(), theirs)
}

fn directions(one: &MediaSession, other: &MediaSession) -> (Direction, Direction) {
    (one.agreed(0).unwrap().direction, other.agreed(0).unwrap().direction)
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A description of another's, with one version.
fn theirs(version: u32, media: &str) -> Vec<u8> {
    format!(
        "v=0\r\no=- 9 {version} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{media}"
    )
    .into_bytes()
}

fn refused(session: &mut MediaSession, media: &str) -> (u32, Reason) {
    match session.answer(&theirs(1, media)) {
        Err(SdpError::Unacceptable { line, reason }) => (line, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hold_and_resume_as_rfc_6337_section_5_3_has_them() {
    let (mut alice, mut bob) = pair();
    assert_eq!(directions(&alice, &bob), (SendRecv, SendRecv));
    // UA1 holds UA2, and UA2 then holds UA1.
    alice.hold(Hold::Music);
    exchange(&mut alice, &mut bob);
    assert_eq!(directions(&alice, &bob), (SendOnly, RecvOnly));
    assert!(bob.agreed(0).unwrap().is_held_by_peer() && !bob.is_held());
    bob.hold(Hold::Music);
    let offer = bob.offer().unwrap();
    assert!(text(&offer).contains("a=sendonly"), "not inactive: {}", text(&offer));
    let (answer, _) = alice.answer(&offer).unwrap();
    bob.take_answer(&answer).unwrap();
    assert_eq!(directions(&alice, &bob), (Inactive, Inactive));
    // UA1 resumes first: UA2 goes on holding. Then UA2 does.
    alice.resume();
    exchange(&mut alice, &mut bob);
    assert_eq!(directions(&alice, &bob), (RecvOnly, SendOnly));
    bob.resume();
    exchange(&mut bob, &mut alice);
    assert_eq!(directions(&alice, &bob), (SendRecv, SendRecv));
}

#[test]
fn who_is_held_is_not_stuck() {
    let (mut alice, mut bob) = pair();
    alice.hold(Hold::Silent);
    exchange(&mut alice, &mut bob);
    assert_eq!(directions(&alice, &bob), (Inactive, Inactive));
    // RFC 6337 §5.3: "If it had not previously initiated "hold", then it should offer "a=sendrecv" attribute,
    // even if it had previously been forced to answer something else."
    let offer = bob.offer().unwrap();
    assert!(text(&offer).contains("a=sendrecv"));
}

// RFC 3264 §5.1: "If the offerer wishes to only send media on a stream to its peer, it
// MUST mark the stream as sendonly with the "a=sendonly" attribute."
#[test]
fn one_stream_is_held_alone() {
    let mut alice = one(1, [audio().at(4000), video().at(4002)]);
    let mut bob = one(2, [audio().at(5000), video().at(5002)]);
    exchange(&mut alice, &mut bob);
    alice.hold_stream(1, Some(Hold::Music)).unwrap();
    let (_, changes) = exchange(&mut alice, &mut bob);
    let slots: Vec<usize> = changes.streams.iter().map(|stream| stream.slot).collect();
    assert_eq!((slots, directions(&alice, &bob)), (vec![1], (SendRecv, SendRecv)));
    assert_eq!(bob.agreed(1).unwrap().direction, RecvOnly);
    alice.resume();
    exchange(&mut alice, &mut bob);
    assert_eq!(bob.agreed(1).unwrap().direction, SendRecv);
    assert_eq!(alice.hold_stream(2, None), Err(Misuse::NoStream.into()));
}

/// RFC 3264 §8.4 and RFC 6337 §5.4: nothing is sent there, and the direction is by the attribute.
#[test]
fn the_old_hold_is_understood() {
    let mut bob = one(2, [audio().at(5000)]);
    bob.answer(&theirs(1, "m=audio 4000 RTP/AVP 0\r\n")).unwrap();
    let held = "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n";
    let (answer, changes) = bob.answer(&theirs(2, held)).unwrap();
    assert!(text(&answer).contains("a=sendrecv") && text(&answer).contains("m=audio 5000 "));
    let agreed = bob.agreed(0).unwrap();
    assert_eq!((&agreed.remote.address, agreed.is_held_by_peer()), (&Address::Nowhere, true));
    assert!(matches!(changes.streams[0].change, Change::Changed(aspects) if aspects.remote));
}

// RFC 3264 §8: "When issuing an offer that modifies the session,
// the "o=" line of the new SDP MUST be identical to that in the
// previous SDP, except that the version in the origin field MUST
// increment by one from the previous SDP."
#[test]
fn the_version_grows_by_one_with_what_changes() {
    let (mut alice, mut bob) = pair();
    let first = alice.local().clone();
    // The same again: a refresh changes nothing.
    let (ours, theirs) = exchange(&mut alice, &mut bob);
    assert_eq!((ours, theirs), (Changes::default(), Changes::default()));
    assert_eq!(*alice.local(), first);
    alice.set_address([192, 0, 2, 11].into());
    alice.modify(0, |audio| audio.port(4004)).unwrap();
    let (_, changes) = exchange(&mut alice, &mut bob);
    assert!(
        text(alice.local())
            .starts_with("v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.11\r\n")
    );
    assert_eq!(changes.breaches, []);
    assert_eq!(bob.agreed(0).unwrap().remote.address, Address::Ip([192, 0, 2, 11].into()));
    assert_eq!(bob.agreed(0).unwrap().remote.port, 4004);
}

// RFC 3264 §4: "Furthermore, it MUST NOT generate a new offer if it has generated a
// prior offer for which it has not yet received an answer or a
// rejection."
#[test]
fn an_unanswered_offer_is_rolled_back() {
    let (mut alice, mut bob) = pair();
    alice.hold(Hold::Music);
    alice.add(video().at(4002));
    alice.modify(0, |audio| audio.port(4008)).unwrap();
    let offer = alice.offer().unwrap();
    assert_eq!(alice.offer(), Err(Misuse::OfferWaits.into()));
    assert_eq!(alice.answer(bob.local()), Err(SdpError::Glare));
    alice.roll_back().unwrap();
    assert_eq!(alice.roll_back(), Err(Misuse::NoOffer.into()));
    assert_eq!(alice.take_answer(bob.local()), Err(Misuse::NoOffer.into()));
    assert!(!alice.is_held() && alice.wanted(1).is_none());
    assert_eq!(alice.wanted(0).unwrap().local_port(), 4000);
    // What is offered next is what was, but not by a version that has been used for something else.
    let again = alice.offer().unwrap();
    assert!(text(&offer).contains("o=- 1 2 ") && text(&again).contains("o=- 1 3 "));
    assert!(!text(&again).contains("video") && text(&again).contains("a=sendrecv"));
    let (answer, _) = bob.answer(&again).unwrap();
    alice.take_answer(&answer).unwrap();
    assert_eq!(directions(&alice, &bob), (SendRecv, SendRecv));
    // The video is still at hand.
    assert!(text(&alice.offer_all().unwrap()).contains("m=video 4002 "));
}

#[test]
fn what_is_asked_while_an_offer_waits_is_for_the_next() {
    let (mut alice, mut bob) = pair();
    alice.hold(Hold::Music);
    let offer = alice.offer().unwrap();
    alice.resume();
    alice.modify(0, |audio| audio.port(4010)).unwrap();
    let (answer, _) = bob.answer(&offer).unwrap();
    alice.take_answer(&answer).unwrap();
    let agreed = alice.agreed(0).unwrap();
    assert_eq!((agreed.direction, agreed.local_port), (SendOnly, 4000));
    exchange(&mut alice, &mut bob);
    assert_eq!(directions(&alice, &bob), (SendRecv, SendRecv));
    assert_eq!(bob.agreed(0).unwrap().remote.port, 4010);
}

#[test]
fn a_forked_offer_is_answered_for_each() {
    let mut alice = one(1, [audio().at(4000)]);
    let offer = alice.offer().unwrap();
    for id in [2, 3] {
        let mut dialog = alice.clone();
        let (answer, _) = one(id, [audio().at(5000)]).answer(&offer).unwrap();
        dialog.take_answer(&answer).unwrap();
        assert_eq!(dialog.agreed(0).unwrap().remote.address, Address::Ip([192, 0, 2, id].into()));
    }
}

// RFC 3264 §8: "Deleted media streams from a previous SDP MUST NOT be removed in a new SDP;"
// RFC 3264 §8.1: "New media streams are created by new additional media descriptions
// below the existing ones, or by reusing the "slot" used by an old
// media stream which had been disabled by setting its port to zero."
// RFC 3264 §8.2: "A stream that is offered with a port of zero MUST be marked with port
// zero in the answer."
#[test]
fn streams_come_and_go_in_their_places() {
    let (mut alice, mut bob) = pair();
    alice.add(video().at(4002));
    let added = bob.clone().stream(video().at(5002));
    // Bob has no video: refused, and the line stays.
    let (changes, _) = exchange(&mut alice, &mut bob);
    assert_eq!(changes.streams, [StreamChange { slot: 1, change: Change::Refused }]);
    let offer = alice.offer().unwrap();
    assert!(text(&offer).contains("m=video 0 RTP/AVP 96\r\n"), "{}", text(&offer));
    alice.roll_back().unwrap();
    // A while later he has, and the line is used again.
    bob = MediaSession { spare: added.spare, ..bob };
    let offer = alice.offer_all().unwrap();
    let (answer, _) = bob.answer(&offer).unwrap();
    let changes = alice.take_answer(&answer).unwrap();
    assert_eq!(changes.streams, [StreamChange { slot: 1, change: Change::Added }]);
    assert_eq!(text(&answer).matches("m=").count(), 2);
    // Alice ends the audio.
    alice.remove(0).unwrap();
    let (_, changes) = exchange(&mut alice, &mut bob);
    assert_eq!(changes.streams, [StreamChange { slot: 0, change: Change::Removed }]);
    assert!(text(bob.local()).contains("m=audio 0 RTP/AVP 0\r\n"));
    // Bob brings it back.
    let offer = bob.offer_all().unwrap();
    assert!(text(&offer).contains("m=audio 5000 "));
    alice.add(audio().at(4000));
    let (answer, changes) = alice.answer(&offer).unwrap();
    bob.take_answer(&answer).unwrap();
    assert_eq!(changes.streams, [StreamChange { slot: 0, change: Change::Added }]);
    assert_eq!(directions(&alice, &bob), (SendRecv, SendRecv));
}

/// RFC 3264 §8.3.3: sound becomes fax in its place.
#[test]
fn the_kind_of_a_stream_changes() {
    let fax = || Medium::of("image").protocol("udptl").format("t38");
    let (mut alice, mut bob) = pair();
    bob = bob.stream(fax().at(5010).attribute("T38FaxVersion", "0"));
    alice.modify(0, |audio| audio.medium(fax()).attribute("T38FaxVersion", "0")).unwrap();
    let (ours, theirs) = exchange(&mut alice, &mut bob);
    assert_eq!(ours.streams, [StreamChange { slot: 0, change: Change::Replaced }]);
    assert_eq!(ours, theirs);
    assert_eq!(text(bob.local()).matches("m=").count(), 1);
    assert!(text(bob.local()).contains("m=image 5010 udptl t38\r\n"));
    assert_eq!(alice.agreed(0).unwrap().formats, ["t38"]);
    assert_eq!(alice.agreed(0).unwrap().attributes[0].attribute, "T38FaxVersion");
}

#[test]
fn numbers_stay_with_their_codecs() {
    let codec = |name: &'static str| Codec::new(name, 8000);
    let (a, b, c) = (codec("a"), codec("b"), codec("c"));
    let list = |codecs: &[&Codec]| {
        codecs.iter().fold(Medium::audio(), |medium, codec| medium.codec(Codec::clone(codec)))
    };
    let mut alice = one(1, [list(&[&a, &b]).at(4000)]);
    let mut bob = one(2, [list(&[&c, &b, &a]).at(5000)]);
    exchange(&mut alice, &mut bob);
    assert!(text(alice.local()).contains("RTP/AVP 96 97\r\n"));
    assert!(text(bob.local()).contains("RTP/AVP 96 97\r\n"), "the order and numbers of the offer");
    // Bob's own offer: his order, the numbers that are bound, a new one for c.
    let offer = bob.offer().unwrap();
    assert!(text(&offer).contains("RTP/AVP 98 97 96\r\n"), "{}", text(&offer));
    let (answer, changes) = alice.answer(&offer).unwrap();
    assert_eq!(changes.breaches, []);
    bob.take_answer(&answer).unwrap();
    // a goes and another comes: no number is used twice.
    alice.modify(0, |audio| audio.medium(list(&[&codec("d"), &b]))).unwrap();
    let offer = alice.offer().unwrap();
    assert!(text(&offer).contains("RTP/AVP 99 97\r\n"), "{}", text(&offer));
    alice.roll_back().unwrap();
    // A peer that binds one anew is told on, and goes on.
    let rebound = text(bob.local()).replace("98 c/", "98 e/").replace("o=- 2 2", "o=- 2 3");
    let (_, changes) = alice.answer(rebound.as_bytes()).unwrap();
    assert_eq!(changes.breaches, [SdpError::Illegal { line: 6, breach: Breach::Rebound }]);
}

#[test]
fn too_many_codecs_leave_the_session_as_it_was() {
    let many = |count: u32| {
        (1..=count).fold(Medium::audio(), |medium, rate| medium.codec(Codec::new("x", rate)))
    };
    let mut alice = one(1, [many(62).at(4000)]);
    assert_eq!(alice.offer(), Err(Misuse::NoPayloadType.into()));
    assert!(!alice.is_waiting());
    assert!(one(1, [many(61).at(4000)]).offer().is_ok());
    let mut full = one(1, [audio().at(4000), video().at(4002)]).limits(Limits::default().media(1));
    assert_eq!(full.offer(), Err(Misuse::NoRoom.into()));
}

#[test]
fn the_reason_of_a_refusal_is_the_nearest_miss() {
    let mut bob = one(2, [audio().at(5000), audio().at(5002).keying(Keying::Sdes(vec![]))]);
    for (media, line, reason, code) in [
        ("m=video 4000 RTP/AVP 31\r\n", 6, Reason::MediaType, 304),
        ("m=audio 4000 TCP/RTP/AVP 0\r\n", 6, Reason::Transport, 302),
        ("m=audio 4000 RTP/AVP 8\r\n", 6, Reason::Format, 305),
        ("m=audio 4000 RTP/AVP 96\r\n", 6, Reason::Format, 305),
        ("m=audio 4000 RTP/SAVP 0\r\n", 6, Reason::Attribute, 306),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n", 6, Reason::AddressFormat, 301),
        ("m=audio 4000 RTP/AVP 0\r\nc=ATM NSAP 47\r\n", 6, Reason::Network, 300),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127\r\n", 6, Reason::Multicast, 330),
        ("m=audio 0 RTP/AVP 0\r\nm=video 1 RTP/AVP 31\r\n", 7, Reason::MediaType, 304),
        // Events alone are not the voice that was offered.
        (
            "m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            6,
            Reason::Format,
            305,
        ),
    ] {
        assert_eq!(refused(&mut bob, media), (line, reason), "{media}");
        assert_eq!(reason.code(), code);
    }
    // None of it has touched the session.
    assert!(bob.local().is_empty() && bob.answer(&theirs(1, "m=audio 4000 RTP/AVP 0\r\n")).is_ok());
}

// RFC 3264 §6: "For each "m=" line in the offer, there MUST be a corresponding "m="
// line in the answer."
#[test]
fn an_offer_in_a_response_is_refused_line_by_line() {
    let mut bob = one(2, [audio().at(5000)]);
    let offer = theirs(1, "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 31\r\n");
    let (answer, changes) = bob.refuse_all(&offer).unwrap();
    assert!(text(&answer).ends_with("m=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n"));
    assert!(changes.streams.iter().all(|stream| stream.change == Change::Refused));
    assert!(
        text(&bob.offer_all().unwrap()).contains("m=audio 5000 "),
        "the stream is still at hand"
    );
}

// RFC 3264 §6: "This implies that if the offer contained
// zero "m=" lines, the answer MUST contain zero "m=" lines."
#[test]
fn an_offer_of_nothing_is_answered_with_nothing() {
    let mut bob = one(2, [audio().at(5000)]);
    let (answer, changes) = bob.answer(&theirs(1, "")).unwrap();
    assert!(!text(&answer).contains("m=") && changes == Changes::default());
    // None at all asks for ours.
    let mut carol = one(3, [audio().at(5000)]);
    assert!(text(&carol.answer(b"").unwrap().0).contains("m=audio 5000 "));
    assert!(carol.is_waiting());
}

#[test]
fn illegal_answers_change_nothing() {
    let ok = "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\n";
    for (answer, line, breach) in [
        ("m=audio 4000 RTP/AVP 0\r\n", 6, Breach::Count),
        ("m=video 4000 RTP/AVP 96\r\nm=video 0 RTP/AVP 96\r\n", 6, Breach::Kind),
        ("m=audio 4000 RTP/SAVP 0\r\nm=video 0 RTP/AVP 96\r\n", 6, Breach::Protocol),
        ("m=audio 4000 RTP/AVP 8\r\nm=video 0 RTP/AVP 96\r\n", 6, Breach::Formats),
        (
            "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/1\r\nm=video 0 RTP/AVP 96\r\n",
            6,
            Breach::Multicast,
        ),
        ("m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 96\r\n", 7, Breach::Revived),
    ] {
        let mut alice = one(1, [audio().at(4000), video().at(4002)]);
        alice.offer().unwrap();
        alice.take_answer(&theirs(1, ok)).unwrap();
        alice.offer().unwrap();
        let before = format!("{alice:?}");
        assert_eq!(
            alice.take_answer(&theirs(2, answer)),
            Err(SdpError::Illegal { line, breach }),
            "{answer}"
        );
        assert_eq!(format!("{alice:?}"), before);
        assert_eq!(alice.take_answer(&theirs(1, ok)).unwrap().streams, []);
    }
}

#[test]
fn what_is_plain_is_taken_and_told() {
    let (mut alice, _) = pair();
    alice.hold(Hold::Music);
    alice.offer().unwrap();
    // Answered by one who does not know hold, and who counts the version wrong, from another place.
    let odd = "v=0\r\no=- 7 9 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\na=sendrecv\r\n";
    let changes = alice.take_answer(odd.as_bytes()).unwrap();
    let breaches: Vec<_> = changes.breaches.iter().map(|breach| format!("{breach:?}")).collect();
    assert_eq!(
        breaches,
        ["Illegal { line: 2, breach: Origin }", "Illegal { line: 6, breach: Direction }",]
    );
    assert_eq!(alice.agreed(0).unwrap().direction, SendOnly, "we still take nothing");
}

#[test]
fn an_offer_never_shrinks_but_for_another_session() {
    let mut bob = one(2, [audio().at(5000), video().at(5002)]);
    let both = "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    bob.answer(&theirs(1, both)).unwrap();
    let fewer = theirs(2, "m=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(bob.answer(&fewer), Err(SdpError::Illegal { line: 6, breach: Breach::Shrunk }));
    // Transferred by one who keeps the dialog: another o= line, and other streams.
    let other = text(&fewer).replace("o=- 9 2", "o=- 77 1");
    let (answer, changes) = bob.answer(other.as_bytes()).unwrap();
    assert_eq!(text(&answer).matches("m=").count(), 1);
    assert_eq!(changes.breaches.len(), 2);
}

#[test]
fn keys_of_sdes_are_answered_by_tag_and_suite() {
    let key = |tag, suite: &str, key: &str| Crypto::new(tag, suite, format!("inline:{key}"));
    let (long, short) = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32");
    let alices = vec![key(1, long, "A80"), key(2, short, "A32")];
    let mut alice = one(1, [audio().at(4000).keying(Keying::Sdes(alices.clone()))]);
    let mut bob = one(2, [audio().at(5000).keying(Keying::Sdes(vec![key(1, short, "B32")]))]);
    exchange(&mut alice, &mut bob);
    assert!(text(bob.local()).contains("m=audio 5000 RTP/SAVP 0 96\r\n"));
    assert!(text(bob.local()).contains("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:B32\r\n"));
    let expected = Security::Sdes { ours: alices[1].clone(), theirs: key(2, short, "B32") };
    assert_eq!(alice.agreed(0).unwrap().security, expected);
    // A suite under the wrong tag is no answer; an unknown session parameter no offer.
    alice.offer().unwrap();
    let wrong = text(bob.local()).replace("crypto:2", "crypto:1");
    assert_eq!(
        alice.take_answer(wrong.as_bytes()),
        Err(SdpError::Illegal { line: 6, breach: Breach::Keying })
    );
    let mut carol = one(3, [audio().at(5000).keying(Keying::Sdes(vec![key(1, long, "C")]))]);
    let offer = |more: &str| {
        theirs(1, &format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 {long} inline:X {more}\r\n"))
    };
    assert!(matches!(
        carol.answer(&offer("FUTURE=1")),
        Err(SdpError::Unacceptable { reason: Reason::Attribute, .. })
    ));
    carol.answer(&offer("WSH=64 -FUTURE=1")).unwrap();
}

#[test]
fn a_browser_is_answered_in_its_terms() {
    let engine = audio()
        .rtcp_mux()
        .at(5000)
        .keying(Keying::Dtls { fingerprint: "sha-256 AA:BB".to_owned() })
        .attribute("ice-ufrag", "ours")
        .attribute("ice-pwd", "secret");
    let mut bob = one(2, [audio().at(5002), engine]).bundle().attribute("ice-lite", None);
    let offer = "v=0\r\no=- 9 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=fingerprint:sha-256 CC:DD\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtpmap:111 opus/48000/2\r\na=mid:0\r\na=setup:actpass\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
        a=rtcp-mux\r\na=candidate:1 1 udp 1 192.0.2.9 6000 typ host\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=bundle-only\r\na=rtpmap:96 VP8/90000\r\n";
    let (answer, _) = bob.answer(offer.as_bytes()).unwrap();
    let answer = text(&answer);
    for line in [
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 5000 UDP/TLS/RTP/SAVPF 0",
        "a=mid:0",
        "a=rtcp-mux",
        "a=setup:active",
        "a=fingerprint:sha-256 AA:BB",
        "a=ice-ufrag:ours",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "a=mid:1",
    ] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line}: {answer}");
    }
    let agreed = bob.agreed(0).unwrap();
    let fingerprints = vec!["sha-256 CC:DD".to_owned()];
    assert_eq!(agreed.security, Security::Dtls { client: true, fingerprints });
    assert!(agreed.bundled && agreed.rtcp_mux && agreed.remote.rtcp_port == 9);
    let candidate = agreed.attributes.iter().find(|one| one.attribute == "candidate");
    assert!(candidate.is_some(), "{:?}", agreed.attributes);
    // To one without ICE nothing of it is said.
    let mut carol =
        one(3, [audio().at(5002).attribute("ice-ufrag", "ours").attribute("label", "1")]);
    let (answer, _) = carol.answer(&theirs(1, "m=audio 4000 RTP/AVP 0\r\n")).unwrap();
    assert!(!text(&answer).contains("ice-") && text(&answer).contains("a=label:1"));
}

#[test]
fn what_only_answers_is_not_offered() {
    let secure = || audio().at(5002).keying(Keying::Sdes(vec![Crypto::new(1, "S", "inline:eA==")]));
    let mut bob = one(2, [audio().at(5000), secure().only_answers()]);
    assert!(!text(&bob.offer().unwrap()).contains("SAVP"));
    bob.roll_back().unwrap();
    assert!(!text(&bob.offer_all().unwrap()).contains("SAVP"));
    bob.roll_back().unwrap();
    let offer = theirs(1, "m=audio 4000 RTP/SAVP 0\r\na=crypto:7 S inline:eQ==\r\n");
    let (answer, _) = bob.answer(&offer).unwrap();
    assert!(text(&answer).contains("m=audio 5002 RTP/SAVP 0\r\n"));
    assert!(
        text(&bob.offer().unwrap()).contains("m=audio 5002 RTP/SAVP "),
        "once it is there it is"
    );
}

#[test]
fn streams_are_bundled_between_us() {
    let key = |value: &str| Keying::Dtls { fingerprint: format!("sha-256 {value}") };
    let streams = |name: &str, port| {
        [
            audio().rtcp_mux().at(port).keying(key(name)),
            video().rtcp_mux().at(port).keying(key(name)),
        ]
    };
    let (mut alice, mut bob) =
        (one(1, streams("A", 4000)).bundle(), one(2, streams("B", 5000)).bundle());
    exchange(&mut alice, &mut bob);
    for session in [&alice, &bob] {
        assert!(
            text(session.local()).contains("a=group:BUNDLE 0 1\r\n"),
            "{}",
            text(session.local())
        );
        assert!(session.agreed(1).unwrap().bundled);
    }
    // Numbers are shared by what goes over one transport.
    assert_eq!(alice.agreed(1).unwrap().send[0].payload_type, 97);
    assert!(matches!(alice.agreed(0).unwrap().security, Security::Dtls { client: false, .. }));
}

#[test]
fn the_user_has_a_say_in_each_stream() {
    let mut bob = one(2, [audio().at(0), video().at(0)]);
    let offer =
        theirs(1, "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    let mut next = 6000;
    let (answer, changes) = bob
        .answer_with(&offer, |offered, stream| {
            next += 2;
            (offered.kind != "video").then(|| stream.port(next))
        })
        .unwrap();
    assert!(text(&answer).contains("m=audio 6002 ") && text(&answer).contains("m=video 0 "));
    assert_eq!(changes.streams[1].change, Change::Refused);
    let none = one(3, [audio().at(1)]).answer_with(&offer, |_, _| None);
    assert!(matches!(none, Err(SdpError::Unacceptable { reason: Reason::Declined, line: 6 })));
}

/// RFC 3264 §6.2.
#[test]
fn a_multicast_stream_is_answered_as_it_is() {
    let mut bob = one(2, [audio().multicast().packet_time(20).at(5000)]);
    let offer = theirs(
        1,
        "m=audio 4000/2 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127/2\r\na=recvonly\r\na=ptime:40\r\n",
    );
    let (answer, _) = bob.answer(&offer).unwrap();
    let answer = text(&answer);
    assert!(
        answer.contains("m=audio 4000/2 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127/2\r\n"),
        "{answer}"
    );
    assert!(answer.contains("a=recvonly\r\n") && answer.contains("a=ptime:40\r\n"));
}

// RFC 3264 §6.1: "The media formats in the "m=" line MUST be listed in order of preference,
// with the first format listed being preferred."
#[test]
fn preferences_of_the_answer() {
    let offer = theirs(1, "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    let line = |medium: Medium| {
        let (answer, _) = one(2, [medium.at(5000)]).answer(&offer).unwrap();
        text(&answer).lines().find(|line| line.starts_with("m=")).unwrap().to_owned()
    };
    let both = || audio().codec(Codec::PCMA);
    assert_eq!(line(both()), "m=audio 5000 RTP/AVP 8 0 101");
    assert_eq!(line(both().own_order()), "m=audio 5000 RTP/AVP 0 101 8");
    assert_eq!(line(both().one_codec()), "m=audio 5000 RTP/AVP 8 101");
    assert_eq!(line(both().own_order().one_codec()), "m=audio 5000 RTP/AVP 0 101");
}

#[test]
fn nothing_said_by_us_breaks_out_of_its_line() {
    let mut alice = one(1, [audio().at(4000).attribute("x", "1\r\nm=video 1 RTP/AVP 0")])
        .name("al ice\r\no=x")
        .attribute("y\r\n", None);
    let offer = alice.offer().unwrap();
    assert_eq!(text(&offer).matches("\r\nm=").count(), 1);
    assert!(text(&offer).contains("o=al_ice__o=x "));
    assert!(one(2, [audio().at(5000)]).answer(&offer).is_ok());
}

#[test]
fn the_time_of_the_session_is_the_offers() {
    let offer =
        text(&theirs(1, "m=audio 4000 RTP/AVP 0\r\n")).replace("t=0 0", "t=3724394400 3724398000");
    let mut bob = one(2, [audio().at(5000)]);
    let (answer, _) = bob.answer(offer.as_bytes()).unwrap();
    assert!(text(&answer).contains("t=3724394400 3724398000\r\n"));
    assert!(text(&bob.offer().unwrap()).contains("t=3724394400 3724398000\r\n"));
}
