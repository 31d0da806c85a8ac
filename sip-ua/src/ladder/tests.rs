use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::Transport;
use sip_transport::{Tap, Tapped};

use super::Ladder;
use crate::Recorder;

fn message(start: &str, cseq: &str, body: &str) -> Bytes {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = body.len();
    Bytes::from(format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\n\
         Call-ID: 1@b\r\nCSeq: {cseq}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// Two user agents and a recorder on both.
struct Wire {
    recorder: Recorder,
    taps: [Box<dyn Tap>; 2],
    start: Instant,
}

const PORTS: [u16; 2] = [5060, 5070];

impl Wire {
    fn new() -> Self {
        let recorder = Recorder::new();
        let taps: [Box<dyn Tap>; 2] =
            [Box::new(recorder.tap("alice")), Box::new(recorder.tap("bob"))];
        Self { recorder, taps, start: Instant::now() }
    }

    fn tap(&mut self, at: u64, node: usize, sent: bool, bytes: &Bytes) {
        let at = self.start + Duration::from_millis(at);
        let local = ([127, 0, 0, 1], PORTS[node]).into();
        let remote = ([127, 0, 0, 1], PORTS[1 - node]).into();
        let make = if sent { Tapped::sent } else { Tapped::received };
        self.taps[node].message(make(at, Transport::Udp, local, remote, bytes));
    }

    fn carry(&mut self, at: u64, from: usize, bytes: &Bytes) {
        self.tap(at, from, true, bytes);
        self.tap(at + 1, 1 - from, false, bytes);
    }

    fn lose(&mut self, at: u64, from: usize, bytes: &Bytes) {
        self.tap(at, from, true, bytes);
    }
}

#[test]
fn to_which_session_a_message_belongs_stands_beside_it() {
    let mut wire = Wire::new();
    let said = |cseq: &str, id: &str| format!("{cseq}\r\nSession-ID: {id}");
    let (a, b) = ("a".repeat(32), "b".repeat(32));
    let invite = said("1 INVITE", &format!("{a};remote={}", "0".repeat(32)));
    let ok = said("1 INVITE", &format!("{b};remote={a}"));
    wire.carry(0, 0, &message("INVITE sip:b@b SIP/2.0", &invite, ""));
    wire.carry(20, 1, &message("SIP/2.0 200 OK", &ok, ""));
    wire.carry(30, 0, &message("ACK sip:b@b SIP/2.0", &said("1 ACK", &a), ""));
    let text = Ladder::new(&wire.recorder.messages()).to_string();
    for expected in ["INVITE {A,N}", "200 OK (INVITE) {B,A}", "ACK {A}"] {
        assert!(text.contains(&format!(" {expected} ")), "{text}");
    }
    let below: Vec<&str> = text.lines().rev().take(2).map(str::trim).collect();
    assert_eq!(below, [format!("B = {b}"), format!("A = {a}")]);
}

#[test]
fn a_call_is_drawn_with_one_arrow_a_message() {
    let mut wire = Wire::new();
    wire.carry(0, 0, &message("INVITE sip:b@b SIP/2.0", "1 INVITE", "v=0\r\na=sendonly\r\n"));
    wire.carry(20, 1, &message("SIP/2.0 180 Ringing", "1 INVITE", ""));
    wire.carry(1500, 1, &message("SIP/2.0 200 OK", "1 INVITE", "v=0\r\n"));
    wire.carry(1510, 0, &message("ACK sip:b@b SIP/2.0", "1 ACK", ""));
    let drawn = wire.recorder.ladder().to_string();
    let expected = [
        "                   alice                         bob",
        "  0.000000  UDP      |-- INVITE (SDP sendonly) -->|",
        "  0.020000  UDP      |<-- 180 Ringing (INVITE) ---|",
        "  1.500000  UDP      |<-- 200 OK (INVITE, SDP) ---|",
        "  1.510000  UDP      |----------- ACK ----------->|",
    ];
    assert_eq!(drawn.lines().collect::<Vec<_>>(), expected, "\n{drawn}");
}

#[test]
fn a_lost_message_ends_in_a_cross_and_its_repetition_says_so() {
    let mut wire = Wire::new();
    let bye = message("BYE sip:b@b SIP/2.0", "2 BYE", "");
    wire.carry(0, 1, &message("OPTIONS sip:a@b SIP/2.0", "1 OPTIONS", "")); // so that bob's tap is known
    wire.lose(10, 0, &bye);
    wire.carry(510, 0, &bye);
    let drawn = wire.recorder.ladder().to_string();
    let arrows: Vec<&str> = drawn.lines().skip(2).collect();
    let expected = [
        "  0.010000  UDP     |x-------- BYE ---------|",
        "  0.510000  UDP     |<---- BYE (again) -----|",
    ];
    assert_eq!(arrows, expected, "\n{drawn}");
}

#[test]
fn a_drawing_has_an_arrow_a_message_and_the_messages_are_its_titles() {
    let mut wire = Wire::new();
    wire.carry(0, 0, &message("INVITE sip:b@b SIP/2.0", "1 INVITE", "v=0\r\n"));
    wire.carry(20, 1, &message("SIP/2.0 486 Busy \u{1}<&> Here", "1 INVITE", ""));
    wire.lose(30, 0, &message("ACK sip:b@b SIP/2.0", "1 ACK", ""));
    let ladder = wire.recorder.ladder();
    let svg = ladder.to_svg();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!((svg.matches("<g ").count(), svg.matches("</g>").count()), (3, ladder.len()));
    for party in [">alice</text>", ">bob</text>"] {
        assert_eq!(svg.matches(party).count(), 1, "{svg}");
    }
    // The text of messages is text: no element, and nothing that XML cannot hold.
    assert!(svg.contains("<title>INVITE sip:b@b SIP/2.0\nVia: "), "{svg}");
    assert!(svg.contains("From: &lt;sip:a@b&gt;;tag=1\n"), "{svg}");
    assert!(svg.contains(">486 Busy &lt;&amp;&gt; Here (INVITE)</text>"), "{svg}");
    let of = |start: &str| svg.lines().find(|line| line.contains(start)).unwrap();
    assert!(of("<title>INVITE").starts_with("<g stroke=\"#036\""), "{svg}");
    assert!(of("<title>SIP/2.0 486").starts_with("<g stroke=\"#060\""), "{svg}");
    assert!(of("<title>ACK").starts_with("<g stroke=\"#c00\""), "lost: {svg}");
}

#[test]
fn who_has_no_tap_is_shown_by_address() {
    let mut wire = Wire::new();
    wire.tap(0, 0, true, &message("OPTIONS sip:b@b SIP/2.0", "1 OPTIONS", ""));
    wire.tap(5, 0, false, &message("SIP/2.0 200 OK", "1 OPTIONS", ""));
    let drawn = wire.recorder.ladder().to_string();
    let heading = drawn.lines().next().unwrap();
    assert!(heading.contains("alice") && heading.contains("127.0.0.1:5070"), "\n{drawn}");
    assert!(drawn.contains("-- OPTIONS --") && drawn.contains("<"), "\n{drawn}");
}

#[test]
fn three_parties_have_three_columns_and_arrows_cross_the_middle_one() {
    let recorder = Recorder::new();
    let at = Instant::now();
    let address = |port: u16| ([192, 0, 2, 1], port).into();
    let bytes = message("INVITE sip:b@b SIP/2.0", "1 INVITE", "");
    let mut first = recorder.tap("a");
    first.message(Tapped::sent(at, Transport::Tcp, address(1), address(2), &bytes));
    first.message(Tapped::sent(at, Transport::Tcp, address(1), address(3), &bytes));
    let ladder = recorder.ladder();
    assert_eq!(ladder.len(), 2);
    let drawn = ladder.to_string();
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!(lines[1].matches('|').count(), 3, "\n{drawn}");
    assert_eq!(lines[2].matches('|').count(), 2, "the middle line is crossed\n{drawn}");
}

#[test]
fn what_is_no_sip_is_said_to_be_none_and_text_from_the_wire_is_harmless() {
    let mut wire = Wire::new();
    wire.tap(0, 0, false, &Bytes::from_static(b"\r\n\r\n"));
    wire.tap(1, 0, false, &Bytes::from_static(b"\x1b[31mnoise"));
    wire.tap(2, 0, false, &message("SIP/2.0 200 \x1b[31mred", "1 INVITE", ""));
    let drawn = wire.recorder.ladder().to_string();
    assert!(drawn.contains("(keep-alive)"), "\n{drawn}");
    assert!(drawn.contains("(not SIP: 10 bytes)"), "\n{drawn}");
    assert!(!drawn.contains('\x1b'), "\n{drawn}");
}

#[test]
fn a_recorder_keeps_the_newest_and_counts_the_rest() {
    let recorder = Recorder::with_limit(2);
    let mut tap = recorder.tap("a");
    let address = ([192, 0, 2, 1], 1).into();
    for number in 0..5_u8 {
        let at = Instant::now();
        tap.message(Tapped::sent(at, Transport::Udp, address, address, &[number]));
    }
    let kept: Vec<u8> = recorder.messages().iter().map(|message| message.bytes[0]).collect();
    assert_eq!((kept, recorder.forgotten()), (vec![3, 4], 3));
    recorder.clear();
    assert!(recorder.messages().is_empty() && recorder.ladder().is_empty());
    assert_eq!(Ladder::new(&[]).to_string().trim(), "");
}
