//! Any texts as what a peer says in one session: split at NUL, the first is an offer, and after it they come in any
//! order as offers, and as answers to ours. What is answered obeys RFC 3264 by a reading of its own; what fails
//! changes nothing.
//!
//! The first byte picks who we are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_sdp::{Codec, Crypto, Hold, Keying, Limits, MediaSession, Medium, SdpError};

#[allow(dead_code, reason = "some of it is for other tests")]
#[path = "../../sip-sdp/tests/checker/mod.rs"]
mod checker;

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    let mut session = session(first);
    let mut side = checker::Side::default();
    // More turns than a call has, and few enough for many runs a second.
    for (text, turn) in rest.split(|byte| *byte == 0).zip(0_u8..32) {
        let before = state(&session);
        match session.answer(text) {
            Ok((answer, _)) if text.is_empty() => check(side.says(&answer), text, &answer),
            Ok((answer, _)) => {
                let mut wrong = checker::answer(text, &answer);
                // Our session identifier is the same in each run, so that the fuzzer comes to repeat our own o= line,
                // which we keep for the whole session (RFC 3264 §8). Other tests hold the two apart.
                wrong.retain(|what| what != "§6: another o=");
                check(wrong, text, &answer);
                check(side.says(&answer), text, &answer);
                agreed(&session);
            }
            Err(error) => {
                assert_eq!(state(&session), before, "{error}");
                assert!((400..500).contains(&error.status().as_u16()), "{error}");
            }
        }
        // What was ours waits for an answer: the same text may be one.
        if session.is_waiting() {
            match session.take_answer(text) {
                Ok(_) => agreed(&session),
                Err(_) => session.roll_back().expect("an offer waits"),
            }
        }
        match turn % 4 {
            0 => session.hold(Hold::Music),
            1 => session.resume(),
            2 => drop(session.remove(usize::from(turn) / 4)),
            _ => {}
        }
        match if turn % 2 == 0 { session.offer() } else { session.offer_all() } {
            Ok(offer) => check(side.says(&offer), text, &offer),
            Err(SdpError::Misuse(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if turn % 3 != 0 && session.is_waiting() {
            session.roll_back().expect("an offer waits");
        }
        if session.is_waiting() && session.take_answer(text).is_err() {
            session.roll_back().expect("an offer waits");
        }
    }
});

fn session(kind: u8) -> MediaSession {
    let audio = Medium::audio()
        .codec(Codec::OPUS)
        .codec(Codec::PCMU)
        .codec(Codec::G729)
        .codec(Codec::telephone_event(8000, "0-15"))
        .rtcp_mux();
    let audio = if kind & 1 == 0 { audio } else { audio.multicast().one_codec().own_order() };
    let video = Medium::video().codec(Codec::new("H264", 90_000));
    let sdes = Keying::Sdes(vec![Crypto::new(1, "AES_CM_128_HMAC_SHA1_80", "inline:eA==")]);
    let dtls = Keying::Dtls { fingerprint: "sha-256 AA:BB".to_owned() };
    let streams = [
        audio.at(4000),
        audio.at(4002).keying(sdes),
        audio.at(4004).keying(dtls).attribute("ice-ufrag", "u"),
        video.at(4006),
        Medium::of("image").protocol("udptl").format("t38").at(4008),
    ];
    let session = MediaSession::new(8, [192, 0, 2, 1].into()).limits(Limits::default().media(8));
    let session = streams.into_iter().fold(session, MediaSession::stream);
    if kind & 2 == 0 { session } else { session.bundle() }
}

/// What must be as it was after an error.
fn state(session: &MediaSession) -> (Option<Vec<u8>>, Vec<u8>, usize, bool) {
    let remote = session.remote().map(|text| text.to_vec());
    (remote, session.local().to_vec(), session.streams().count(), session.is_waiting())
}

/// What a media engine would be told makes sense.
fn agreed(session: &MediaSession) {
    for (slot, stream) in session.streams() {
        assert!(session.wanted(slot).is_some() || session.is_waiting(), "{slot}");
        assert!(!stream.send.is_empty() || !stream.formats.is_empty());
        assert_eq!(stream.send.len(), stream.receive.len());
        let _ = (stream.codec(), stream.telephone_event(), stream.is_held_by_peer());
    }
}

fn check(wrong: Vec<String>, theirs: &[u8], ours: &[u8]) {
    let (theirs, ours) = (String::from_utf8_lossy(theirs), String::from_utf8_lossy(ours));
    assert!(wrong.is_empty(), "{wrong:?}\n{theirs}\n{ours}");
}
