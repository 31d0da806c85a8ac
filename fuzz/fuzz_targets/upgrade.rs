//! Any bytes, as the head of an HTTP request that asks for a WebSocket (RFC 6455 §4.2).

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sip_transport::WsConfig;

static OPEN: LazyLock<WsConfig> = LazyLock::new(WsConfig::default);
static CLOSED: LazyLock<WsConfig> = LazyLock::new(|| {
    WsConfig::default().path("/sip").host("sip.example.com").origin("https://phone.example.com")
});

fuzz_target!(|head: &[u8]| {
    let remote = ([192, 0, 2, 7], 49_152).into();
    let granted = match OPEN.answer(head, remote) {
        Ok(granted) => granted,
        Err(refusal) => {
            assert!((300..600).contains(&refusal.status()));
            assert!(CLOSED.answer(head, remote).is_err(), "who asks wrongly is let in nowhere");
            return;
        }
    };
    let (used, response) = &granted;
    let asked = head.get(..*used).expect("no more than there is");
    assert!(asked.ends_with(b"\n"), "a head ends with a line");
    // Nothing that was asked gets into the response as a line of its own.
    assert!(response.starts_with("HTTP/1.1 101 ") && response.ends_with("\r\n\r\n"));
    assert_eq!(response.lines().count(), 6, "{response}");
    let lower = asked.to_ascii_lowercase();
    let has = |part: &[u8]| lower.windows(part.len()).any(|window| window == part);
    assert!(has(b"websocket") && has(b"sec-websocket-key") && has(b"sip"));
    // What follows the head is frames, and changes nothing; a part of the head grants nothing.
    assert_eq!(OPEN.answer(asked, remote).as_ref(), Ok(&granted));
    assert!(OPEN.answer(&asked[..used - 1], remote).is_err());
    if CLOSED.answer(head, remote).is_ok() {
        assert!(has(b"/sip") && has(b"sip.example.com"));
    }
});
