//! Writes what the fuzz targets begin with: every string in the tests and the documentation of
//! `sip-message`, `sip-auth`, `sip-sdp`, `sip-events` and the WebSocket of `sip-transport`, for each target that can read it.
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example seeds -- target/fuzz-seeds

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs, io};

use bytes::Bytes;
use list::every_header;
use sip_events::{
    ConferenceEndpoint, ConferenceInfo, ConferenceMedia, ConferenceUser, Cpim, DRegex, DialogInfo,
    EndpointStatus, EventPackage, Extent, IsComposing, KpmlRequest, KpmlResponse, MessageSummary,
    Presence, RegInfo, WatchedDialog,
};
use sip_message::*;

#[path = "../../sip-message/src/headers/tests/list.rs"]
mod list;

/// The most seeds of one header: their tables repeat themselves.
const MAX_OF_ONE: usize = 24;

/// Credentials with a nonce of the target's own, for its `@`.
const CLAIM: &[u8] = b"\x01Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"@\", \
    uri=\"sip:bob@biloxi.com\", response=\"00000000000000000000000000000000\", algorithm=MD5, \
    qop=auth, nc=00000001, cnonce=\"1\", userhash=false";

/// A bare request, the response of RFC 5769 §2.2, and a request with an attribute that must be understood and is not.
const STUN: [&str; 3] = [
    "000100002112a442b7e7a701bc34d686fa87dfae",
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599\
     fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
    "000100082112a442b7e7a701bc34d686fa87dfae7fff000401020304",
];

const UPGRADE: &[u8] = b"GET /sip?x=y HTTP/1.1\r\nHost: sip.example.com\r\nOrigin: https://phone.example.com\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, sip\r\nCookie: a=b\r\n\r\n";

/// The documents of XML that the target `events` begins with, each after the byte that says who reads it.
fn documents() -> Vec<(u8, String)> {
    let presence = Presence::of("sip:alice@example.com", true).note("away");
    let dialog = WatchedDialog { id: "1".into(), duration: Some(1), ..WatchedDialog::default() };
    let dialogs = DialogInfo { full: true, dialogs: vec![dialog], ..DialogInfo::default() };
    let registrations = RegInfo { full: true, ..RegInfo::default() };
    let endpoint = ConferenceEndpoint {
        status: Some(EndpointStatus::Connected),
        media: vec![ConferenceMedia { id: "1".into(), ..ConferenceMedia::default() }],
        ..ConferenceEndpoint::default()
    };
    let user = ConferenceUser {
        roles: vec!["moderator".into()],
        endpoints: vec![endpoint],
        ..ConferenceUser::default()
    };
    let whole = ConferenceInfo { users: vec![user], ..ConferenceInfo::default() };
    let part = ConferenceInfo { version: 1, extent: Extent::Partial, ..whole.clone() };
    let report = KpmlResponse { digits: "*67".into(), ..KpmlResponse::of(200) };
    let keys = KpmlRequest::one("*6[179#]x{3,}L#").map(|it| it.render()).unwrap_or_default();
    let writes = IsComposing { active: true, refresh: Some(90), ..IsComposing::default() };
    let several = [dialogs.render(), registrations.render(), whole.render(), part.render()];
    vec![
        (1, presence.render()),
        (2, dialogs.render()),
        (3, registrations.render()),
        (4, whole.render()),
        (5, report.render()),
        (6, keys),
        (7, writes.render()),
        (9, several.join("\0")),
    ]
}

/// An INVITE that is accepted and acknowledged, then another request in its dialog; a call of the agent's that is
/// answered.
const DIALOGS: [&[u8]; 3] = [
    &[0, 0, 0, 11, 0, 0, 9, 3, 0, 0, 2, 1, 0, 0, 0, 0, 5, 1, 11, 0, 0, 9, 11, 0],
    &[0, 0, 0, 11, 0, 0, 9, 1, 0, 0, 6, 1, 0, 0, 0, 9, 3, 0, 15, 40, 0, 3, 1, 0, 0, 0],
    &[9, 0, 6, 0, 1, 0, 1, 11, 0, 6, 0, 4, 0, 0, 11, 0, 9, 8, 0, 6, 0, 4, 0, 0, 11, 0, 9, 7, 0],
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn main() -> io::Result<()> {
    let out: PathBuf = env::args_os().nth(1).expect("a folder to write to").into();
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for of in ["sip-message", "sip-auth", "sip-sdp"] {
        collect(&sources.join(of).join("src"), &mut texts)?;
        collect(&sources.join(of).join("tests"), &mut texts)?;
    }
    collect(&sources.join("sip-events").join("src"), &mut texts)?;
    texts.sort();
    texts.dedup();

    let mut seeds: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut add = |target, seed: Vec<u8>| seeds.entry(target).or_default().push(seed);
    let limits = Limits::default();
    for (which, text) in documents() {
        add("events", [&[which][..], text.as_bytes()].concat());
    }
    for text in &texts {
        if MessageSummary::parse(text).is_ok() {
            add("events", [&b"\x00"[..], text].concat());
        }
        if Cpim::parse(text).is_ok() {
            add("events", [&b"\x08"[..], text].concat());
        }
        if text.len() < 64 && std::str::from_utf8(text).is_ok_and(|it| DRegex::parse(it).is_ok()) {
            add("events", [&b"\x0a"[..], text, &b"\n0123456789*# 12 *67"[..]].concat());
        }
        if Message::parse(Bytes::copy_from_slice(text), &limits).is_ok() {
            add("message", text.clone());
            add("stream", [&b"\x11"[..], text].concat());
            add("stream", [&b"\xff\r\n\r\n"[..], text, text].concat());
        }
        if Uri::parse(text).is_ok() {
            add("uri", text.clone());
        }
        let parts = holds(text, b"--b");
        if parts || SipFrag::parse(Bytes::copy_from_slice(text), &limits).is_ok() {
            add("body", [&b"multipart/mixed;boundary=b\n"[..], text].concat());
        }
    }
    for (name, reads) in HEADERS {
        let values = texts.iter().filter(|text| text.len() < 512 && reads(text));
        for value in values.take(MAX_OF_ONE) {
            add("headers", [name.as_str().as_bytes(), b": ", value].concat());
        }
    }
    let auth = texts.iter().filter(|text| text.len() < 1024);
    for text in auth.filter(|text| holds(text, b"nonce=") || holds(text, b"rspauth=")) {
        for kind in 0..3 {
            add("auth", [&[kind], text.as_slice()].concat());
        }
    }
    add("auth", CLAIM.to_vec());
    for vector in STUN {
        add("stun", bytes(vector));
    }
    let mut heads = Vec::new();
    collect(&sources.join("sip-transport/src/ws"), &mut heads)?;
    heads.push(UPGRADE.to_vec());
    for head in heads.into_iter().filter(|text| holds(text, b" HTTP/1.1\r\n")) {
        add("upgrade", head);
    }
    // Each description alone, twice, and as the answer to ours.
    for text in texts.iter().filter(|text| holds(text, b"m=") && text.len() < 4096) {
        let text: Vec<u8> = text.trim_ascii().iter().copied().filter(|byte| *byte != 0).collect();
        let head = b"v=0\r\no=- 9 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
        let head: &[u8] = if text.starts_with(b"v=0") { b"" } else { head };
        let whole = [head, &text, b"\r\n"].concat();
        for kind in 0..4 {
            add("sdp", [&[kind], whole.as_slice()].concat());
            add("sdp", [&[kind], whole.as_slice(), b"\0", &whole].concat());
            add("sdp", [&[kind, 0], whole.as_slice()].concat());
        }
    }
    for seed in DIALOGS {
        add("dialogs", seed.to_vec());
    }
    // Sequences of small numbers do what is done most; each begins another way and goes on in another step.
    for first in 0..8 {
        for step in [1, 3, 5, 7, 11, 13] {
            let bytes = (0..120u8).map(|at| at.wrapping_mul(step).wrapping_add(at / 8));
            let seed: Vec<u8> = std::iter::once(first).chain(bytes).collect();
            add("dialog", seed.clone());
            add("subscription", seed.clone());
            add("dialogs", seed);
        }
    }
    for (target, seeds) in seeds {
        let folder = out.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{number:04}")), seed)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}

macro_rules! readers {
    (; $($header:ident),* $(,)?) => {
        /// Whether a text is a value of each header that says something.
        const HEADERS: &[(HeaderName<'static>, fn(&[u8]) -> bool)] = &[$(
            ($header::NAME, |text| $header::parse(text).is_ok() && text.len() > 2)
        ),*];
    };
}

every_header!(readers!());

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The strings of all source files in a folder.
fn collect(folder: &PathBuf, texts: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            strings(&fs::read(&path)?, texts);
        }
    }
    Ok(())
}

/// The string literals of a source text: roughly, for a seed may be anything.
fn strings(source: &[u8], texts: &mut Vec<Vec<u8>>) {
    let mut rest = source;
    while let Some(at) = rest.iter().position(|&byte| byte == b'"') {
        let (text, after) = literal(&rest[at + 1..]);
        // A lone quote in a comment or a character must not swallow the rest of the file.
        if text.len() > 16_384 || rest[..at].ends_with(b"'") {
            rest = &rest[at + 1..];
            continue;
        }
        texts.push(text);
        rest = after;
    }
}

/// The bytes of a literal that begins here, and what follows its quote.
fn literal(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    loop {
        match rest {
            [] => return (text, rest),
            [b'"', after @ ..] => return (text, after),
            [b'\\', b'\n', after @ ..] => {
                // In an example of the documentation the next line is a comment's.
                rest = after.trim_ascii_start();
                rest = rest.strip_prefix(b"///").unwrap_or(rest);
                rest = rest.strip_prefix(b"//!").unwrap_or(rest).trim_ascii_start();
            }
            [b'\\', b'x', high, low, after @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0) as u8;
                text.push(digit(high) << 4 | digit(low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                text.push(match escaped {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                text.push(*byte);
                rest = after;
            }
        }
    }
}
