use std::time::{Duration, Instant};

use sip_message::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn recorded(at: Instant, sent: bool, text: &str) -> Recorded {
    let ends = (([127, 0, 0, 1], 5060).into(), ([127, 0, 0, 1], 5070).into());
    let bytes = text.replace('\n', "\r\n").into_bytes().into();
    Recorded::new(at, "here".into(), sent, Transport::Udp, ends, bytes)
}

fn request(method: &str, call_id: &str, from: &str, to_tag: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: {from};tag=1\n\
         To: <sip:bob@example.com>{to_tag}\nCall-ID: {call_id}\nCSeq: 1 {method}\nContent-Length: 0\n\n"
    )
}

fn response(status: &str, method: &str, call_id: &str, more: &str) -> String {
    format!(
        "SIP/2.0 {status}\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:bob@example.com>;tag=2\n\
         Call-ID: {call_id}\nCSeq: 1 {method}\n{more}Content-Length: 0\n\n"
    )
}

#[test]
fn a_call_is_followed_from_its_invite_to_its_end() {
    let now = Instant::now();
    let mut board = Board::new(now);
    let mut see = |text: String, state: &str| {
        board.see(recorded(now, false, &text));
        assert_eq!(board.calls[0].state, state);
    };
    see(request("INVITE", "1", "<sip:a@b>", ""), "calling");
    see(response("100 Trying", "INVITE", "1", ""), "calling");
    see(response("180 Ringing", "INVITE", "1", ""), "ringing");
    see(response("200 OK", "INVITE", "1", ""), "answered");
    see(request("ACK", "1", "<sip:a@b>", ";tag=2"), "answered");
    // A change that is refused ends no call.
    see(response("488 Not Acceptable Here", "INVITE", "1", ""), "answered");
    see(request("BYE", "1", "<sip:a@b>", ";tag=2"), "ended");
    see(response("200 OK", "BYE", "1", ""), "ended");
    let ladder = board.ladder(1).unwrap();
    assert!(ladder.contains("180 Ringing (INVITE)") && ladder.contains("BYE"), "{ladder}");
    assert!(board.state(now).contains("\"state\":\"ended\",\"over\":true"), "{}", board.state(now));
    assert!(board.ladder(2).is_none());
}

#[test]
fn a_call_that_is_refused_challenged_or_cancelled_says_so() {
    let now = Instant::now();
    let mut board = Board::new(now);
    for (call_id, then, state) in [
        ("busy", response("486 Busy Here", "INVITE", "busy", ""), "486 Busy Here"),
        (
            "who",
            response("407 Proxy Authentication Required", "INVITE", "who", ""),
            "407 Proxy Authentication Required",
        ),
        ("gone", request("CANCEL", "gone", "<sip:a@b>", ""), "cancelled"),
    ] {
        board.see(recorded(now, false, &request("INVITE", call_id, "<sip:a@b>", "")));
        board.see(recorded(now, true, &then));
        assert_eq!(board.calls.back().unwrap().state, state);
    }
    // The 487 of a call that was cancelled is no news, the next INVITE of one that was challenged is.
    board.see(recorded(now, true, &response("487 Request Terminated", "INVITE", "gone", "")));
    assert_eq!(board.calls[2].state, "cancelled");
    board.see(recorded(now, false, &request("INVITE", "who", "<sip:a@b>", "")));
    assert_eq!(board.calls[1].state, "calling");
    assert_eq!(board.calls.len(), 3);
}

#[test]
fn registrations_are_what_our_answers_say_and_end_with_their_time() {
    let now = Instant::now();
    let mut board = Board::new(now);
    let bound = response("200 OK", "REGISTER", "r", "Contact: <sip:bob@192.0.2.1>;expires=60\n");
    // What another registrar says to us is not ours.
    board.see(recorded(now, false, &bound));
    assert!(board.registrations.is_empty());
    board.see(recorded(now, true, &bound));
    let state = board.state(now + Duration::from_secs(10));
    let one = "{\"aor\":\"sip:bob@example.com\",\"contact\":\"sip:bob@192.0.2.1\",\"left\":50}";
    assert!(state.contains(one), "{state}");
    assert!(!board.state(now + Duration::from_secs(60)).contains("bob"));
    board.see(recorded(now, true, &response("200 OK", "REGISTER", "r", "")));
    assert!(board.registrations.is_empty());
}

#[test]
fn a_hostile_name_is_a_string_like_any_other() {
    let now = Instant::now();
    let mut board = Board::new(now);
    let name = "\"</script><img src=x onerror=alert(1)>\\\"&'\u{2028}\" <sip:a@b>";
    board.see(recorded(now, false, &request("INVITE", "1", name, "")));
    let state = board.state(now);
    for bad in ["<", ">", "&", "'", "\u{2028}", "\n\""] {
        assert!(!state.contains(bad), "{state}");
    }
    assert!(state.contains("\\u003c/script\\u003e\\u003cimg"), "{state}");
    assert_eq!(json("a\"\\\0\u{7f}é"), "\"a\\u0022\\u005c\\u0000\\u007fé\"");
    // The page itself puts nothing together but text.
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!PAGE.contains(sink), "{sink}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let now = Instant::now();
    let mut board = Board::new(now);
    for number in 0..CALLS + 50 {
        board.see(recorded(now, false, &request("INVITE", &number.to_string(), "<sip:a@b>", "")));
    }
    assert_eq!((board.calls.len(), board.calls[0].number), (CALLS, 51));
    for _ in 0..MESSAGES + 50 {
        board.see(recorded(now, false, &request("OPTIONS", "149", "<sip:a@b>", ";tag=2")));
    }
    let call = board.calls.back().unwrap();
    assert_eq!((call.messages.len(), call.more), (MESSAGES, 51));
    assert!(board.ladder(150).unwrap().ends_with("and 51 more\n"));
    let kept: usize = board.calls.iter().map(Call::size).sum();
    assert_eq!(board.bytes, kept);
    // A few calls of long messages push the others out.
    let long = "x".repeat(60_000);
    for number in 0..4 {
        let call_id = format!("long{number}");
        board.see(recorded(now, false, &request("INVITE", &call_id, "<sip:a@b>", "")));
        for _ in 0..MESSAGES {
            let text = request("INFO", &call_id, "<sip:a@b>", ";tag=2");
            board.see(recorded(
                now,
                false,
                &text.replacen("Content", &format!("X: {long}\nContent"), 1),
            ));
        }
        assert!(board.bytes <= BYTES);
    }
    for number in 0..REGISTRATIONS + 5 {
        let text = response("200 OK", "REGISTER", "r", "Contact: <sip:bob@192.0.2.1>\n");
        let text = text.replace("bob@example", &format!("b{number}@example"));
        board.see(recorded(now, true, &text));
    }
    assert_eq!(board.registrations.len(), REGISTRATIONS);
}

#[tokio::test]
async fn the_page_its_state_and_its_events_are_served() {
    let (mut tap, at) = open(([127, 0, 0, 1], 0).into()).unwrap();
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let whole = async |path: &str| {
        let mut text = String::new();
        get(path).await.read_to_string(&mut text).await.unwrap();
        text
    };
    let page = whole("/").await;
    let mark = page.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(mark.len() == 32 && page.contains(&format!("<script nonce=\"{mark}\">")), "{page}");
    assert!(page.contains("default-src 'none'"), "{page}");
    assert!(whole("/nothing").await.starts_with("HTTP/1.1 404 "));
    assert!(whole("/calls/1").await.starts_with("HTTP/1.1 404 "));
    let mut events = get("/events").await;
    let mut buffer = [0; 1024];
    let said = async |events: &mut TcpStream, buffer: &mut [u8; 1024]| {
        let read = events.read(buffer).await.unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    };
    assert!(said(&mut events, &mut buffer).await.ends_with("data: 0\n\n"));
    let text = request("INVITE", "1", "<sip:alice@example.com>", "").replace('\n', "\r\n");
    let (local, remote) = (([127, 0, 0, 1], 5060).into(), ([127, 0, 0, 1], 5070).into());
    tap.message(Tapped::received(Instant::now(), Transport::Udp, local, remote, text.as_bytes()));
    assert_eq!(said(&mut events, &mut buffer).await, "data: 1\n\n");
    assert!(whole("/state").await.contains("alice@example.com"));
    assert!(whole("/calls/1").await.contains("INVITE"));
}
