//! The examples of RFC 3312 §13 line by line, and the rules that they do not show.

use super::*;
use crate::{MediaSession, Medium};

const AUDIO_A: &str = "m=audio 20000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n";
const AUDIO_B: &str = "m=audio 30000 RTP/AVP 0\r\nc=IN IP4 192.0.2.4\r\n";

fn says(description: &Bytes) -> &str {
    core::str::from_utf8(description).unwrap()
}

#[track_caller]
fn is(description: &Bytes, media: &str, lines: &str) {
    let lines: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    assert_eq!(says(description), format!("{media}{lines}"));
}

fn mandatory(status: StatusType) -> Precondition {
    Precondition::qos(status, Strength::Mandatory)
}

fn end_to_end() -> (Preconditions, Preconditions) {
    let qos = || mandatory(StatusType::EndToEnd);
    (Preconditions::caller().with(qos()), Preconditions::callee().with(qos()))
}

fn segmented(of: Preconditions) -> Preconditions {
    of.with(mandatory(StatusType::Local)).with(mandatory(StatusType::Remote))
}

fn reserve(of: &mut Preconditions) {
    of.set_reserved(0, StatusType::EndToEnd, Direction::SendOnly);
}

// RFC 3312 §6: "A user agent server that receives an offer with preconditions SHOULD
// NOT alert the user until all the mandatory preconditions are met;
// session establishment is suspended until that moment"
/// §13.1, figure 2.
#[test]
fn end_to_end_status() {
    let (mut a, mut b) = end_to_end();
    let sdp1 = a.offer(AUDIO_A.as_bytes());
    is(&sdp1, AUDIO_A, "a=curr:qos e2e none\na=des:qos mandatory e2e sendrecv");
    assert!(a.are_mandatory());
    let sdp2 = b.answer(&sdp1, AUDIO_B.as_bytes()).unwrap();
    is(
        &sdp2,
        AUDIO_B,
        "a=curr:qos e2e none\na=des:qos mandatory e2e sendrecv\na=conf:qos e2e recv",
    );
    a.take_answer(&sdp2);
    reserve(&mut b);
    assert!(!b.are_met() && !b.owes_offer() && !a.owes_offer());
    // RFC 3312 §7: "If a peer has requested confirmation on a particular stream, an agent
    // MUST mark that stream with a flag in its local status table."
    reserve(&mut a);
    assert!(a.owes_offer());
    let sdp3 = a.offer(AUDIO_A.as_bytes());
    is(&sdp3, AUDIO_A, "a=curr:qos e2e send\na=des:qos mandatory e2e sendrecv");
    assert!(!a.owes_offer(), "it is under way");
    let sdp4 = b.answer(&sdp3, AUDIO_B.as_bytes()).unwrap();
    is(&sdp4, AUDIO_B, "a=curr:qos e2e sendrecv\na=des:qos mandatory e2e sendrecv");
    a.take_answer(&sdp4);
    assert!(a.are_met() && b.are_met() && !a.owes_offer() && !b.owes_offer());
}

/// §13.1, figure 3: a re-INVITE moves a stream.
// RFC 4032 §4.1: "When a stream is being moved to a new transport address, the offerer
// MUST set all current status values about which it does not have local
// information about to "No"."
#[test]
fn a_stream_that_moves_begins_anew() {
    let (mut a, mut b) = end_to_end();
    for at in 0..2 {
        let sdp1 = a.offer(AUDIO_A.as_bytes());
        let sdp2 = b.answer(&sdp1, AUDIO_B.as_bytes()).unwrap();
        is(
            &sdp2,
            AUDIO_B,
            "a=curr:qos e2e none\na=des:qos mandatory e2e sendrecv\na=conf:qos e2e recv",
        );
        a.take_answer(&sdp2);
        assert!(!b.are_met(), "{at}");
        reserve(&mut a);
        reserve(&mut b);
        assert!(a.owes_offer());
        let sdp3 = a.offer(AUDIO_A.as_bytes());
        let sdp4 = b.answer(&sdp3, AUDIO_B.as_bytes()).unwrap();
        is(&sdp4, AUDIO_B, "a=curr:qos e2e sendrecv\na=des:qos mandatory e2e sendrecv");
        a.take_answer(&sdp4);
        assert!(b.are_met());
        a.moved(0);
        b.moved(0);
    }
}

/// §13.2, figure 4: both have reserved before they say so.
#[test]
fn segmented_status() {
    let mut a = segmented(Preconditions::caller());
    let mut b = segmented(Preconditions::callee());
    a.set_reserved(0, StatusType::Local, Direction::SendRecv);
    let sdp1 = a.offer(AUDIO_A.as_bytes());
    is(
        &sdp1,
        AUDIO_A,
        "a=curr:qos local sendrecv
         a=curr:qos remote none
         a=des:qos mandatory local sendrecv
         a=des:qos mandatory remote sendrecv",
    );
    b.set_reserved(0, StatusType::Local, Direction::SendRecv);
    let sdp2 = b.answer(&sdp1, AUDIO_B.as_bytes()).unwrap();
    let all = "a=curr:qos local sendrecv
         a=curr:qos remote sendrecv
         a=des:qos mandatory local sendrecv
         a=des:qos mandatory remote sendrecv";
    is(&sdp2, AUDIO_B, all);
    assert!(b.are_met());
    a.take_answer(&sdp2);
    assert!(a.are_met() && !a.owes_offer());
    let update = a.offer(AUDIO_A.as_bytes());
    is(&update, AUDIO_A, all);
    is(&b.answer(&update, AUDIO_B.as_bytes()).unwrap(), AUDIO_B, all);
}

/// §13.3, figure 5: the offer is the callee's.
// RFC 3312 §6: "If the offer and the answer
// contain preconditions, the user agent server SHOULD NOT alert the
// user until all the mandatory preconditions in the answer are met."
#[test]
fn an_offer_in_a_response() {
    let (mut a, mut b) = end_to_end();
    let sdp1 = b.offer(AUDIO_B.as_bytes());
    is(
        &sdp1,
        AUDIO_B,
        "a=curr:qos e2e none\na=des:qos mandatory e2e sendrecv\na=conf:qos e2e recv",
    );
    let sdp2 = a.answer(&sdp1, AUDIO_A.as_bytes()).unwrap();
    is(&sdp2, AUDIO_A, "a=curr:qos e2e none\na=des:qos mandatory e2e sendrecv");
    b.take_answer(&sdp2);
    reserve(&mut a);
    assert!(a.owes_offer() && !b.are_met());
    let sdp3 = a.offer(AUDIO_A.as_bytes());
    is(&sdp3, AUDIO_A, "a=curr:qos e2e send\na=des:qos mandatory e2e sendrecv");
    let sdp4 = b.answer(&sdp3, AUDIO_B.as_bytes()).unwrap();
    is(&sdp4, AUDIO_B, "a=curr:qos e2e recv\na=des:qos mandatory e2e sendrecv");
    a.take_answer(&sdp4);
    assert!(!b.are_met());
    reserve(&mut b);
    assert!(b.are_met());
}

// RFC 3312 §5.1.1: "If both tags are different, the user agent MUST include two desired
// status lines, one with the tag "send" and the other with the tag "recv"."
// RFC 3312 §5.1.1: "The user agent MUST add one or two desired status lines per segment (i.e., local and remote)."
/// Tables 1 and 2 of §5.1, as §5.1.1 writes them.
#[test]
fn two_strengths_are_two_lines() {
    let remote = Precondition::qos(StatusType::Remote, Strength::None);
    let mut one =
        Preconditions::caller().with(remote.strengths(Strength::Optional, Strength::None));
    is(
        &one.offer(AUDIO_A.as_bytes()),
        AUDIO_A,
        "a=curr:qos local none
         a=curr:qos remote none
         a=des:qos none local sendrecv
         a=des:qos optional remote send
         a=des:qos none remote recv",
    );
    assert!(one.are_met() && !one.are_mandatory());
}

// RFC 3312 §5.2: "An answerer MAY upgrade the desired strength in any entry of the
// transaction status table, but it MUST NOT downgrade it."
#[test]
fn an_answer_wants_as_much_or_more() {
    use Strength::{Mandatory, None, Optional};
    for (offered, wanted, agreed) in [
        (None, Mandatory, Mandatory),
        (Optional, None, Optional),
        (Mandatory, Optional, Mandatory),
        (None, None, None),
    ] {
        let mut a = Preconditions::caller().with(Precondition::qos(StatusType::EndToEnd, offered));
        let mut b = Preconditions::callee().with(Precondition::qos(StatusType::EndToEnd, wanted));
        let offer = a.offer(AUDIO_A.as_bytes());
        let answer = b.answer(&offer, AUDIO_B.as_bytes()).unwrap();
        let line = format!("a=des:qos {} e2e sendrecv\r\n", agreed.as_str());
        assert!(says(&answer).contains(&line), "{}", says(&answer));
        a.take_answer(&answer);
        assert_eq!(a.are_mandatory(), agreed == Mandatory);
        assert_eq!(b.are_met(), agreed < Mandatory);
    }
}

/// Table 3, as RFC 4032 §4.1 has it, and that of the offerer.
// RFC 4032 §4.1: "An answerer MUST downgrade the current status values received in the
// offer if it has local information about them or if the media stream
// is being moved to a new transport address."
#[test]
fn a_status_is_taken_back() {
    let (mut a, mut b) = end_to_end();
    reserve(&mut a);
    let offer = a.offer(AUDIO_A.as_bytes());
    // The callee knows of its sending only, which the peer says is reserved and is not.
    let offer = says(&offer).replace("e2e send\r\n", "e2e sendrecv\r\n");
    let answer = b.answer(offer.as_bytes(), AUDIO_B.as_bytes()).unwrap();
    assert!(says(&answer).contains("a=curr:qos e2e recv\r\n"), "{}", says(&answer));
    a.take_answer(&answer);
    // What the offer had said and the answer takes back is gone; what came since stays.
    let moved = says(&answer).replace("e2e recv", "e2e none");
    a.offer(AUDIO_A.as_bytes());
    a.take_answer(moved.as_bytes());
    let again = a.offer(AUDIO_A.as_bytes());
    assert!(says(&again).contains("a=curr:qos e2e none\r\n"), "{}", says(&again));
    reserve(&mut a);
    a.take_answer(moved.as_bytes());
    assert!(says(&a.offer(AUDIO_A.as_bytes())).contains("a=curr:qos e2e send\r\n"));
}

// RFC 3312 §7: "Later, if any of the rows with this flag transition to
// "No", a new offer MUST be sent as well."
#[test]
fn a_reservation_that_is_lost_is_told_too() {
    let (mut a, mut b) = end_to_end();
    let offer = a.offer(AUDIO_A.as_bytes());
    a.take_answer(&b.answer(&offer, AUDIO_B.as_bytes()).unwrap());
    reserve(&mut a);
    assert!(a.owes_offer());
    // An offer that was refused has told nothing.
    a.offer(AUDIO_A.as_bytes());
    a.roll_back();
    assert!(a.owes_offer());
    let offer = a.offer(AUDIO_A.as_bytes());
    let answer = b.answer(&offer, AUDIO_B.as_bytes()).unwrap();
    // Still to be confirmed, says the peer.
    let answer = format!("{}a=conf:qos e2e recv\r\n", says(&answer));
    a.take_answer(answer.as_bytes());
    assert!(!a.owes_offer());
    a.set_reserved(0, StatusType::EndToEnd, Direction::Inactive);
    assert!(a.owes_offer());
}

// RFC 3312 §11: "The lack of preconditions in the answer would indicate that the
// answerer did not support this extension."
#[test]
fn a_peer_without_preconditions_has_none() {
    let (mut a, mut b) = end_to_end();
    a.offer(AUDIO_A.as_bytes());
    a.take_answer(AUDIO_B.as_bytes());
    assert!(a.are_met() && !a.owes_offer());
    is(&a.offer(AUDIO_A.as_bytes()), AUDIO_A, "");
    let answer = b.answer(AUDIO_A.as_bytes(), AUDIO_B.as_bytes()).unwrap();
    is(&answer, AUDIO_B, "");
    assert!(b.are_met());
}

// RFC 3312 §8.1: "Both the offerer and the answerer MUST ignore all the preconditions
// that affect a stream with its port set to zero."
#[test]
fn a_stream_that_is_refused_has_none() {
    let (mut a, mut b) = end_to_end();
    let two = format!("{AUDIO_A}m=video 20002 RTP/AVP 31\r\n");
    let offer = a.offer(two.as_bytes());
    let answer = format!("{AUDIO_B}m=video 0 RTP/AVP 31\r\n");
    let answer = b.answer(&offer, answer.as_bytes()).unwrap();
    assert!(says(&answer).ends_with("m=video 0 RTP/AVP 31\r\n"), "{}", says(&answer));
    a.take_answer(&answer);
    reserve(&mut a);
    reserve(&mut b);
    let update = a.offer(two.as_bytes());
    b.answer(&update, format!("{AUDIO_B}m=video 0 RTP/AVP 31\r\n").as_bytes()).unwrap();
    assert!(b.are_met());
    // One that is offered with a port of zero likewise.
    let none = b.answer(b"m=audio 0 RTP/AVP 0\r\na=des:foo mandatory e2e sendrecv\r\n", b"");
    assert!(none.is_ok() && b.are_met());
}

// RFC 3312 §9: "A UA that receives an unknown
// precondition-type, with a "mandatory" strength-tag in an offer, MUST
// refuse the offer unless the only unknown mandatory preconditions have
// the "local" tag."
#[test]
fn what_is_unknown_is_refused() {
    let (_, mut b) = end_to_end();
    let offer = |lines: &str| format!("{AUDIO_A}{lines}m=video 1 RTP/AVP 31\r\n");
    for (lines, refused) in [
        ("a=des:foo mandatory e2e send\r\n", Some("a=des:foo unknown e2e recv\r\n")),
        ("a=des:foo mandatory remote sendrecv\r\n", Some("a=des:foo unknown local sendrecv\r\n")),
        ("a=des:foo mandatory local sendrecv\r\n", None),
        ("a=des:foo optional e2e sendrecv\r\n", None),
        ("a=des:qos mandatory e2e sendrecv\r\n", None),
        ("a=des:foo mandatory\r\na=des\r\na=des:foo failure e2e send\r\n", None),
    ] {
        let result = b.answer(offer(lines).as_bytes(), AUDIO_B.as_bytes());
        let Some(line) = refused else {
            result.expect(lines);
            continue;
        };
        let refusal = result.unwrap_err();
        assert_eq!(refusal.status, StatusCode::PRECONDITION_FAILURE);
        // RFC 3312 §8: "For each "m=" line in the last SDP description received, there MUST
        // be a corresponding "m=" line in the SDP description indicating
        // failure."
        let expected = format!(
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
             m=audio 0 RTP/AVP 0\r\n{line}m=video 0 RTP/AVP 31\r\n"
        );
        assert_eq!(says(refusal.description.as_ref().unwrap()), expected);
    }
    // RFC 3312 §9: "The UA will ask for confirmation
    // of the preconditions and, when the confirmation arrives, it will
    // resume session establishment."
    let local = offer("a=curr:foo local none\r\na=des:foo mandatory local sendrecv\r\n");
    let answer = b.answer(local.as_bytes(), AUDIO_B.as_bytes()).unwrap();
    assert!(says(&answer).ends_with("a=conf:foo remote sendrecv\r\n"), "{}", says(&answer));
    assert!(!b.are_met());
    b.answer(local.replace("none", "sendrecv").as_bytes(), AUDIO_B.as_bytes()).unwrap();
    assert!(b.are_met());
}

// RFC 3312 §8: "The desired status line corresponding to the precondition that
// triggered the failure MUST use the "failure" strength-tag"
#[test]
fn what_cannot_be_reserved_is_said() {
    let (mut a, mut b) = end_to_end();
    let offer = a.offer(AUDIO_A.as_bytes());
    b.answer(&offer, AUDIO_B.as_bytes()).unwrap();
    let refusal = b.failed(0, StatusType::EndToEnd, Direction::SendOnly);
    assert_eq!(refusal.status.as_u16(), 580);
    let description = refusal.description.unwrap();
    let end = "m=audio 0 RTP/AVP 0\r\na=des:qos failure e2e send\r\n";
    assert!(says(&description).ends_with(end), "{}", says(&description));
}

// RFC 3312 §10: "All the preconditions for a media stream MUST be met in order to
// resume session establishment."
#[test]
fn several_for_one_stream() {
    let both = |of: Preconditions| segmented(of).with(mandatory(StatusType::EndToEnd));
    let mut a = both(Preconditions::caller());
    let mut b = both(Preconditions::callee());
    a.set_reserved(0, StatusType::Local, Direction::SendRecv);
    b.set_reserved(0, StatusType::Local, Direction::SendRecv);
    reserve(&mut b);
    let offer = a.offer(AUDIO_A.as_bytes());
    a.take_answer(&b.answer(&offer, AUDIO_B.as_bytes()).unwrap());
    assert!(!b.are_met());
    reserve(&mut a);
    b.answer(&a.offer(AUDIO_A.as_bytes()), AUDIO_B.as_bytes()).unwrap();
    assert!(b.are_met());
}

// RFC 3312 §12: "These lines MUST have the "none" strength-tag"
#[test]
fn capabilities_name_the_types() {
    let known = segmented(Preconditions::callee())
        .with(Precondition::qos(StatusType::EndToEnd, Strength::Mandatory).of_type("foo"));
    let all = known.capabilities(b"v=0\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n");
    assert_eq!(
        says(&all),
        "v=0\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
         a=des:qos none local sendrecv\r\na=des:foo none e2e sendrecv\r\n"
    );
}

#[test]
fn nonsense_is_left_out_and_there_are_limits() {
    let (_, mut b) = end_to_end();
    for bad in [&b"\xff\xfe"[..], b"", b"m=", b"m=audio\r\n", b"o=1 2\r\nm=audio 1 RTP/AVP 0\r\n"] {
        b.answer(bad, bad).unwrap();
        assert!(b.are_met());
    }
    let many: String = (0..100).map(|n| format!("a=curr:x{n} e2e none\r\n")).collect();
    let answer = b.answer(format!("{AUDIO_A}{many}").as_bytes(), AUDIO_B.as_bytes()).unwrap();
    assert_eq!(says(&answer).matches("a=curr").count(), MAX_ENTRIES);
    let streams = AUDIO_A.repeat(1000);
    b.answer(streams.as_bytes(), streams.as_bytes()).unwrap();
    assert_eq!(b.streams.len(), MAX_STREAMS);
}

/// The version of the whole follows what it says, though the session itself does not change.
// RFC 3264 §8: "If the version in the
// origin line does not increment, the SDP MUST be identical to the SDP with that version number."
#[test]
fn a_session_with_preconditions() {
    let session = |at: u8, port: u16| {
        let audio = Medium::audio().codec(crate::Codec::PCMU).at(port);
        MediaSession::new(8, [192, 0, 2, at].into()).stream(audio)
    };
    let (a, b) = end_to_end();
    let mut a = Conditional::new(session(1, 20_000), a);
    let mut b = Conditional::new(session(4, 30_000), b);
    let answer = b.answer(&a.offer().unwrap()).unwrap();
    a.take_answer(&answer).unwrap();
    assert!(!b.may_alert() && !a.owes_offer());
    reserve(&mut a.preconditions);
    reserve(&mut b.preconditions);
    assert!(a.owes_offer());
    let update = a.offer().unwrap();
    assert_eq!(lines::version_of(&update), Some(2));
    a.roll_back();
    assert_eq!(a.offer().unwrap(), update, "it says the same");
    let answer = b.answer(&update).unwrap();
    assert_eq!(lines::version_of(&answer), Some(2));
    a.fork().unwrap().take_answer(&answer).unwrap();
    a.take_answer(&answer).unwrap();
    assert!(b.may_alert() && !a.owes_offer());
    // Without an offer of the peer's, ours is under the same conditions.
    let (_, callee) = end_to_end();
    let mut c = Conditional::new(session(5, 40_000), callee);
    let offer = c.answer(b"").unwrap();
    assert!(says(&offer).contains("a=conf:qos e2e recv\r\n"));
    assert!(!c.may_alert());
    // What is refused leaves the session as it was.
    let (_, callee) = end_to_end();
    let mut d = Conditional::new(session(6, 50_000), callee);
    let unknown = format!("{}a=des:foo mandatory e2e send\r\n", says(&update));
    let refusal = d.answer(unknown.as_bytes()).unwrap_err();
    assert_eq!(refusal.status.as_u16(), 580);
    assert!(d.answer(&update).is_ok());
}
