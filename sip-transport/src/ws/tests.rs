use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Limits, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::upgrade::answer;
use super::*;
use crate::TransportError;
use crate::sockets::{Layered, Read};

const REMOTE: &str = "192.0.2.4:51234";

/// A request that RFC 7118 §4.1 gives as its example, with these lines in place of some.
fn request(changes: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("Host", "sip-ws.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://www.example.com"),
        ("Sec-WebSocket-Protocol", "sip"),
        ("Sec-WebSocket-Version", "13"),
    ];
    let mut line = "GET / HTTP/1.1";
    for &(name, value) in changes {
        match fields.iter_mut().find(|field| field.0 == name) {
            _ if name == "line" => line = value,
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let fields: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n")
}

fn verdict_of(request: &str, policy: &WsConfig) -> Result<String, WsRefusal> {
    answer(request.as_bytes(), REMOTE.parse().unwrap(), policy).map(|(used, granted)| {
        assert_eq!(used, request.len());
        granted
    })
}

/// 101, or the status of the refusal.
fn status(changes: &[(&str, &str)], policy: &WsConfig) -> u16 {
    verdict_of(&request(changes), policy).map_or_else(|refusal| refusal.status(), |_| 101)
}

// ---- the handshake ----

#[test]
fn the_example_of_the_rfc_is_granted() {
    // RFC 7118 §4.1, with the key and its answer of RFC 6455 §1.3.
    let granted = verdict_of(&request(&[]), &WsConfig::default()).unwrap();
    assert!(granted.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(granted.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(granted.contains("\r\nSec-WebSocket-Protocol: sip\r\n"));
    assert!(granted.ends_with("\r\n\r\n"));
}

#[test]
fn what_browsers_write_is_granted() {
    let any = WsConfig::default();
    for changes in [
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Protocol", "msrp, sip"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Cookie", "session=1"),
        ("line", "GET /sip?user=alice HTTP/1.1"),
        ("Origin", ""),
    ] {
        assert_eq!(status(&[changes], &any), 101, "{changes:?}");
    }
    let deflate = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let granted = verdict_of(&request(&deflate), &any).unwrap();
    assert!(!granted.to_lowercase().contains("extensions"), "none is spoken here");
}

#[test]
fn what_asks_for_something_else_gets_the_status_for_it() {
    let any = WsConfig::default();
    for (changes, expected) in [
        (("Upgrade", ""), 426),
        (("Upgrade", "h2c"), 426),
        (("Sec-WebSocket-Version", "8"), 426),
        (("Sec-WebSocket-Version", ""), 400),
        (("Sec-WebSocket-Protocol", ""), 400),
        (("Sec-WebSocket-Protocol", "msrp, sips"), 400),
        (("Sec-WebSocket-Key", ""), 400),
        (("Sec-WebSocket-Key", "c2hvcnQ="), 400),
        (("Connection", "close"), 400),
        (("Host", ""), 400),
        (("line", "POST / HTTP/1.1"), 405),
        (("line", "GET / HTTP/1.0"), 505),
        (("line", "OPTIONS sip:alice@example.com SIP/2.0"), 400),
        (("line", "GET nonsense"), 400),
    ] {
        assert_eq!(status(&[changes], &any), expected, "{changes:?}");
    }
    let twice = request(&[]).replacen("Host:", "Host: other.example.com\r\nHost:", 1);
    assert_eq!(verdict_of(&twice, &any).unwrap_err().status(), 400);
    let many = request(&[]).replacen("Host:", &("A: b\r\n".repeat(200) + "Host:"), 1);
    assert_eq!(verdict_of(&many, &any).unwrap_err().status(), 431);
}

#[test]
fn a_refusal_says_what_would_do() {
    let refusal = |changes: &[(&str, &str)]| {
        let refusal = verdict_of(&request(changes), &WsConfig::default()).unwrap_err();
        String::from_utf8(refusal.to_bytes()).unwrap().to_lowercase()
    };
    let plain = refusal(&[("Upgrade", "")]);
    assert!(plain.starts_with("http/1.1 426 upgrade required\r\n"), "{plain}");
    assert!(plain.contains("\r\nupgrade: websocket\r\n"));
    assert!(plain.contains("\r\nconnection: close\r\n"));
    let (head, body) = plain.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())));
    assert!(
        refusal(&[("Sec-WebSocket-Version", "12")]).contains("\r\nsec-websocket-version: 13\r\n")
    );
    assert!(refusal(&[("line", "PUT / HTTP/1.1")]).contains("\r\nallow: get\r\n"));
}

#[test]
fn path_host_and_origin_are_checked() {
    let policy = WsConfig::default()
        .path("/sip")
        .host("sip.example.com")
        .host("[2001:db8::1]")
        .origin("https://phone.example.com");
    let of = |path: &str, host: &str, origin: &str| {
        let line = format!("GET {path} HTTP/1.1");
        status(&[("line", &line), ("Host", host), ("Origin", origin)], &policy)
    };
    assert_eq!(of("/sip", "sip.example.com", "https://phone.example.com"), 101);
    assert_eq!(of("/sip?a=b", "SIP.example.com:8443", "https://Phone.Example.Com"), 101);
    assert_eq!(of("/sip", "[2001:db8::1]:8443", "https://phone.example.com"), 101);
    assert_eq!(of("/sip", "[2001:DB8::1]", "https://phone.example.com"), 101);
    assert_eq!(of("/sip", "sip.example.com", ""), 101, "no browser");
    assert_eq!(of("/", "sip.example.com", "https://phone.example.com"), 404);
    assert_eq!(of("/sip/", "sip.example.com", "https://phone.example.com"), 404);
    assert_eq!(of("/sip", "rebound.example.net", "https://phone.example.com"), 421);
    for origin in ["http://phone.example.com", "https://evil.example.net", "null"] {
        assert_eq!(of("/sip", "sip.example.com", origin), 403, "{origin}");
    }
}

#[test]
fn the_hook_has_the_last_word_and_sees_what_it_needs() {
    let policy = WsConfig::default().check(|request| {
        assert_eq!((request.path(), request.query()), ("/sip", Some("token=1")));
        assert_eq!(request.host(), "sip-ws.example.com");
        assert_eq!(request.origin(), Some("http://www.example.com"));
        assert_eq!(request.remote().to_string(), REMOTE);
        match request.header("cookie") {
            Some("session=1") => Ok(()),
            // RFC 7118 §7: "A SIP WebSocket Server SHOULD be able to reject a WebSocket handshake request
            // with an HTTP 401 status code by providing a Basic/Digest challenge as defined for the HTTP
            // protocol."
            _ => {
                let refusal = WsRefusal::new(401).with_header("WWW-Authenticate", "Basic realm=x");
                Err(refusal.with_header("X", "a\r\nSet-Cookie: b").with_header("no name", "c"))
            }
        }
    });
    let line = ("line", "GET /sip?token=1 HTTP/1.1");
    assert_eq!(status(&[line, ("Cookie", "session=1")], &policy), 101);
    let refusal = verdict_of(&request(&[line]), &policy).unwrap_err();
    let text = String::from_utf8(refusal.to_bytes()).unwrap();
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    assert!(text.contains("\r\nwww-authenticate: Basic realm=x\r\n"));
    assert!(!text.contains("Set-Cookie") && !text.contains("no name"));
    assert_eq!(WsRefusal::new(200).status(), 403, "a refusal is none that grants");
}

async fn served(
    client: DuplexStream,
    limits: Limits,
) -> Result<Frames<DuplexStream>, TransportError> {
    accept(client, REMOTE.parse().unwrap(), &WsConfig::default(), &limits).await
}

#[tokio::test]
async fn a_request_in_pieces_is_answered_and_what_follows_it_is_kept() {
    let (mut client, server) = duplex(64);
    let serving = tokio::spawn(served(server, Limits::default()));
    let mut bytes = request(&[]).into_bytes();
    bytes.extend(frame(0x81, b"OPTIONS"));
    for byte in bytes {
        client.write_all(&[byte]).await.unwrap();
    }
    read_head(&mut client).await;
    let mut frames = serving.await.unwrap().unwrap();
    assert_eq!(message(&mut frames).await.as_deref(), Some(&b"OPTIONS"[..]));
}

#[tokio::test]
async fn a_head_without_an_end_is_refused_at_the_limit() {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(b"GET / HTTP/1.1\r\nA: ").await.unwrap();
    client.write_all(&[b'a'; 100_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let served = served(server, Limits::default()).await;
    assert_eq!(served.err(), Some(TransportError::WsRefused(431)));
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn our_client_and_our_server_agree() {
    let (client, server) = duplex(4096);
    let limits = Limits::default();
    let asks = WsConfig::default()
        .dial_path("/sip?x=1")
        .dial_header("Origin", "https://phone.example.com");
    let grants = WsConfig::default().path("/sip").host("sip.example.com").check(|request| {
        assert_eq!(request.header("host"), Some("sip.example.com:8080"));
        assert_eq!(request.origin(), Some("https://phone.example.com"));
        Ok(())
    });
    let (dialled, accepted) = tokio::join!(
        dial(client, "sip.example.com:8080", &asks, &limits),
        accept(server, REMOTE.parse().unwrap(), &grants, &limits)
    );
    let (mut client, mut server) = (dialled.unwrap(), accepted.unwrap());
    let text = Bytes::from_static(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n");
    let binary = Bytes::from_static(b"MESSAGE \xff\xfe");
    let large = Bytes::from(vec![b'a'; 60_000]);
    for sent in [text, binary, large] {
        let (outcome, received) = tokio::join!(send(&mut client, &sent), message(&mut server));
        assert_eq!((outcome, received), (Ok(()), Some(sent.clone())));
        let (outcome, received) = tokio::join!(send(&mut server, &sent), message(&mut client));
        assert_eq!((outcome, received), (Ok(()), Some(sent)));
    }
    // A double CRLF is a ping, of which only the pong is told.
    send(&mut client, &Bytes::from_static(b"\r\n\r\n")).await.unwrap();
    assert!(within_a_moment(receive(&mut server)).await.is_none());
    assert!(matches!(receive(&mut client).await, Read::Pong));
}

#[test]
fn host_names_the_server_as_it_was_asked_for() {
    for (domain, remote, transport, expected) in [
        (Some("sip.example.com"), "192.0.2.1:80", Transport::Ws, "sip.example.com"),
        (Some("sip.example.com"), "192.0.2.1:8080", Transport::Ws, "sip.example.com:8080"),
        (Some("sip.example.com"), "192.0.2.1:443", Transport::Wss, "sip.example.com"),
        (Some("sip.example.com"), "192.0.2.1:443", Transport::Ws, "sip.example.com:443"),
        (Some("2001:db8::1"), "[2001:db8::1]:80", Transport::Ws, "[2001:db8::1]"),
        (Some("[2001:db8::1]"), "[2001:db8::1]:81", Transport::Ws, "[2001:db8::1]:81"),
        (None, "192.0.2.1:8080", Transport::Ws, "192.0.2.1:8080"),
        (None, "[2001:db8::1]:80", Transport::Ws, "[2001:db8::1]"),
    ] {
        assert_eq!(authority(domain, remote.parse().unwrap(), transport), expected);
    }
}

#[tokio::test]
async fn a_server_that_answers_otherwise_is_no_peer() {
    let answered = async |rest: fn(&str) -> String| {
        let (client, mut server) = duplex(4096);
        let asks = WsConfig::default().dial_header("Authorization", "Basic YTpi");
        let limits = Limits::default();
        let serve = async {
            let mut head = vec![0; 4096];
            let len = server.read(&mut head).await.unwrap();
            let head = String::from_utf8(head[..len].to_vec()).unwrap();
            assert!(head.starts_with("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n"), "{head}");
            assert!(head.contains("\r\nSec-WebSocket-Protocol: sip\r\n"), "{head}");
            assert!(head.contains("\r\nauthorization: Basic YTpi\r\n"), "{head}");
            let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap();
            let key = key.split("\r\n").next().unwrap();
            let key = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            server.write_all(rest(&key).as_bytes()).await.unwrap();
            server
        };
        let (dialled, _server) = tokio::join!(dial(client, "192.0.2.1", &asks, &limits), serve);
        dialled.err()
    };
    let refused = Some(TransportError::WsRefused(401));
    let none =
        |_: &str| "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\r\n".into();
    assert_eq!(answered(none).await, refused);
    fn accepted(key: &str, more: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n{more}\r\n"
        )
    }
    let failed = Some(TransportError::WsHandshake);
    assert_eq!(answered(|key| accepted(key, "Sec-WebSocket-Protocol: sip\r\n")).await, None);
    assert_eq!(answered(|key| accepted(key, "")).await, failed, "no subprotocol");
    assert_eq!(answered(|key| accepted(key, "Sec-WebSocket-Protocol: msrp\r\n")).await, failed);
    assert_eq!(
        answered(|_| accepted("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: sip\r\n"))
            .await,
        failed
    );
    const EXTENDED: &str =
        "Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    assert_eq!(answered(|key| accepted(key, EXTENDED)).await, failed);
    assert_eq!(answered(|_| "SIP/2.0 200 OK\r\n\r\n".into()).await, failed);
}

// ---- frames ----

/// A frame as a client sends it, masked by zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(0x80 | len as u8),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// What comes next that is more than a part.
async fn receive(frames: &mut Frames<DuplexStream>) -> Read {
    loop {
        match poll_fn(|cx| frames.poll_read(cx)).await {
            Read::Part => {}
            read => return read,
        }
    }
}

/// The next message, if it is one that comes next.
async fn message(frames: &mut Frames<DuplexStream>) -> Option<Bytes> {
    match receive(frames).await {
        Read::Message(message) => Some(message),
        _ => None,
    }
}

/// Only for what is there already, or never comes.
async fn within_a_moment<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(100), future).await.ok()
}

async fn send(frames: &mut Frames<DuplexStream>, payload: &Bytes) -> Result<(), TransportError> {
    let mut payload = payload.clone();
    poll_fn(|cx| frames.poll_send(cx, &mut payload)).await?;
    poll_fn(|cx| frames.poll_flush(cx)).await
}

/// Reads the 101 of a server, and no byte of what follows.
async fn read_head(client: &mut DuplexStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
}

/// A server, and the raw end of its client, both past the handshake.
async fn opened() -> (DuplexStream, Frames<DuplexStream>) {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(request(&[]).as_bytes()).await.unwrap();
    let mut limits = Limits::default();
    limits.message_bytes = 4096;
    let frames = served(server, limits).await.unwrap();
    read_head(&mut client).await;
    (client, frames)
}

/// What the server makes of these bytes, and how it closes then.
async fn told(bytes: &[u8]) -> (Read, [u8; 4]) {
    let (mut client, mut frames) = opened().await;
    client.write_all(bytes).await.unwrap();
    let read = receive(&mut frames).await;
    let closing = async {
        poll_fn(|cx| frames.poll_close(cx)).await.unwrap();
        while !matches!(receive(&mut frames).await, Read::End(None)) {}
    };
    let reading = async {
        let mut close = [0; 4];
        client.read_exact(&mut close).await.unwrap();
        client.write_all(&frame(0x88, &close[2..])).await.unwrap();
        client.shutdown().await.unwrap();
        close
    };
    let ((), close) = tokio::join!(closing, reading);
    (read, close)
}

const CLOSE: u8 = 0x88;

#[tokio::test]
async fn text_and_binary_and_fragments_are_messages() {
    let (mut client, mut frames) = opened().await;
    for (first, payload) in [(0x81, &b"text"[..]), (0x82, b"binary \xff")] {
        client.write_all(&frame(first, payload)).await.unwrap();
        assert_eq!(message(&mut frames).await.as_deref(), Some(payload));
    }
    client.write_all(&frame(0x01, b"frag")).await.unwrap();
    assert!(!frames.is_amid_message());
    assert!(within_a_moment(receive(&mut frames)).await.is_none());
    assert!(frames.is_amid_message());
    client.write_all(&frame(0x89, b"ping within")).await.unwrap();
    assert!(within_a_moment(receive(&mut frames)).await.is_none());
    client.write_all(&frame(0x00, b"men")).await.unwrap();
    assert!(within_a_moment(receive(&mut frames)).await.is_none());
    assert!(frames.is_amid_message());
    client.write_all(&frame(0x80, b"ted")).await.unwrap();
    assert_eq!(message(&mut frames).await.as_deref(), Some(&b"fragmented"[..]));
    assert!(!frames.is_amid_message());
    let mut pong = [0; 13];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x0bping within");
}

#[tokio::test]
async fn keep_alives_are_told_apart_from_messages() {
    let (mut client, mut frames) = opened().await;
    for first in [0x81, 0x82] {
        client.write_all(&frame(first, b"\r\n\r\n")).await.unwrap();
        assert!(matches!(receive(&mut frames).await, Read::Ping));
    }
    for pong in [frame(0x81, b"\r\n"), frame(0x81, b""), frame(0x8a, b"unasked")] {
        client.write_all(&pong).await.unwrap();
        assert!(matches!(receive(&mut frames).await, Read::Pong));
        assert!(!frames.is_amid_message());
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_out_after_silence() {
    let (mut client, mut frames) = opened().await;
    let start = tokio::time::Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let reading = async {
        loop {
            match receive(&mut frames).await {
                Read::End(_) => break,
                read => assert!(matches!(read, Read::Pong)),
            }
        }
    };
    let looking = async {
        let mut ping = [0; 2];
        client.read_exact(&mut ping).await.unwrap();
        assert_eq!((ping, tokio::time::Instant::now()), ([0x89, 0], at(30)));
        tokio::time::sleep_until(at(50)).await;
        client.write_all(&frame(0x8a, b"")).await.unwrap();
        // It was heard of between 30 s and 60 s.
        client.read_exact(&mut ping).await.unwrap();
        assert_eq!((ping, tokio::time::Instant::now()), ([0x89, 0], at(90)));
        client.read_exact(&mut ping).await.unwrap();
        assert_eq!((ping, tokio::time::Instant::now()), ([0x89, 0], at(120)));
        drop(client);
    };
    tokio::join!(reading, looking);
}

#[tokio::test]
async fn what_is_sent_is_text_where_it_can_be() {
    let (mut client, mut frames) = opened().await;
    for (payload, first) in [
        (&b"SIP/2.0 200 OK"[..], 0x81),
        ("SIP/2.0 200 schön".as_bytes(), 0x81),
        (b"SIP/2.0 200 sch\xf6n", 0x82),
        (b"\r\n", 0x81),
    ] {
        send(&mut frames, &Bytes::copy_from_slice(payload)).await.unwrap();
        let mut bytes = vec![0; payload.len() + 2];
        client.read_exact(&mut bytes).await.unwrap();
        assert_eq!((bytes[0], &bytes[2..]), (first, payload));
    }
}

#[tokio::test]
async fn what_breaks_the_rules_is_refused_with_a_code() {
    use TransportError::{Malformed, TooLarge};
    // A length of 2^63, for which nobody makes room, and of one byte more than a message may have.
    let huge = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = frame(0x81, &[b'a'; 4097]);
    let fragments = [frame(0x01, &[b'a'; 4000]), frame(0x80, &[b'a'; 97])].concat();
    for (bytes, expected, code) in [
        (&huge[..], TooLarge, 1009),
        (&long, TooLarge, 1009),
        (&fragments, TooLarge, 1009),
        (&frame(0x81, b"\xff"), Malformed, 1007),
        (b"\x81\x01a", Malformed, 1002), // not masked
        (&frame(0xc1, b"compressed"), Malformed, 1002),
        (&frame(0x83, b"of no kind"), Malformed, 1002),
        (&frame(0x80, b"continues nothing"), Malformed, 1002),
        (&frame(0x89, &[0; 126]), Malformed, 1002),
        (b"OPTIONS sip:a@example.com SIP/2.0\r\n\r\n", Malformed, 1002),
    ] {
        let (read, close) = told(bytes).await;
        assert!(matches!(read, Read::Refused(error) if error == expected), "{bytes:?}: {read:?}");
        assert_eq!(close[..2], [CLOSE, 2], "{bytes:?}");
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), code, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_of_the_size_allowed_is_taken() {
    let (mut client, mut frames) = opened().await;
    client.write_all(&frame(0x81, &[b'a'; 4096])).await.unwrap();
    assert_eq!(message(&mut frames).await, Some(Bytes::from(vec![b'a'; 4096])));
}

#[tokio::test]
async fn a_close_is_answered_and_ours_says_that_we_go() {
    let (mut client, mut frames) = opened().await;
    client.write_all(&frame(CLOSE, &1000_u16.to_be_bytes())).await.unwrap();
    assert!(matches!(receive(&mut frames).await, Read::End(None)));
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [CLOSE, 2, 3, 232]);

    // RFC 6455 §7.4.1: "1001 indicates that an endpoint is "going away", such as a server going down"
    let (read, close) = told(&frame(0x81, b"\r\n")).await;
    assert!(matches!(read, Read::Pong));
    assert_eq!(close, [CLOSE, 2, 3, 233]);
}

#[tokio::test]
async fn an_end_without_a_close_is_a_broken_connection() {
    let (client, mut frames) = opened().await;
    drop(client);
    assert!(matches!(receive(&mut frames).await, Read::End(Some(TransportError::Closed))));
}
