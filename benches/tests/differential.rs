//! What others read of the same bytes: the routing core, field by field, as rsip and rsipstack see
//! it wherever they take the message and the field, and as we do.
//!
//!     cargo test -p benches --features peers --test differential
//!
//! The messages are the six of the benchmarks, those of RFC 4475 and RFC 5118 that we accept, and
//! those of the call flows, if `../shared/vectors` is at hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test's helpers too, a panic is the message"
)]

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;

use bytes::Bytes;
use sip_message::{Limits, Message, Uri};

#[allow(dead_code, reason = "the bytes alone are wanted here")]
#[path = "../../sip-message/tests/torture/vectors/mod.rs"]
mod vectors;

/// The routing core, by field; what one does not find, or does not take, is not there.
type Core = BTreeMap<&'static str, String>;

fn ours(message: &Message) -> Core {
    let headers = message.headers();
    let mut core = Core::new();
    let mut put = |field, value: Option<String>| value.map(|value| core.insert(field, value));
    match message {
        Message::Request(request) => {
            put("method", Some(request.method().to_string()));
            put("uri", Some(String::from_utf8(request.uri_bytes().to_vec()).unwrap()));
        }
        Message::Response(response) => {
            put("status", Some(response.status().as_u16().to_string()));
        }
    }
    let via = headers.top_via().unwrap();
    put("transport", Some(via.transport_str().to_owned()));
    put("sent-by", Some(via.sent_by().to_owned()));
    put("branch", headers.branch().map(str::to_owned));
    put("from tag", headers.from_tag().map(str::to_owned));
    put("to tag", headers.to_tag().map(str::to_owned));
    put("call-id", headers.call_id().map(str::to_owned));
    let cseq = headers.cseq().unwrap();
    put("cseq", Some(format!("{} {}", cseq.number, cseq.method)));
    put("max-forwards", headers.max_forwards().map(|hops| hops.to_string()));
    core
}

/// A field is there when the peer took the header field that it stands in: then an empty text says
/// that it found nothing.
macro_rules! reading {
    ($message:expr, $sip:ident :: $kind:ident, $via:ident) => {{
        let message = $message.ok()?;
        let mut core = Core::new();
        let mut put = |field, value: Option<String>| value.map(|value| core.insert(field, value));
        match &message {
            $sip::$kind::Request(request) => {
                put("method", Some(request.method.to_string()));
                put("uri", Some(request.uri.to_string()));
            }
            $sip::$kind::Response(response) => {
                put("status", Some(u16::from(response.status_code.clone()).to_string()));
            }
        }
        if let Some(via) = message.$via().ok().and_then(|via| via.typed().ok()) {
            put("transport", Some(via.transport.to_string()));
            put("sent-by", Some(via.uri.host_with_port.to_string()));
            put("branch", Some(via.branch().map(|b| b.value().to_owned()).unwrap_or_default()));
        }
        if let Some(from) = message.from_header().ok().and_then(|from| from.typed().ok()) {
            put("from tag", Some(from.tag().map(|t| t.value().to_owned()).unwrap_or_default()));
        }
        if let Some(to) = message.to_header().ok().and_then(|to| to.typed().ok()) {
            put("to tag", Some(to.tag().map(|t| t.value().to_owned()).unwrap_or_default()));
        }
        put("call-id", message.call_id_header().ok().map(|id| id.value().to_owned()));
        if let Some(cseq) = message.cseq_header().ok().and_then(|cseq| cseq.typed().ok()) {
            put("cseq", Some(format!("{} {}", cseq.seq, cseq.method)));
        }
        let hops = message.max_forwards_header().ok();
        put(
            "max-forwards",
            hops.and_then(|hops| Some(hops.value().trim().parse::<u32>().ok()?.to_string())),
        );
        Some(core)
    }};
}

fn rsip(bytes: &[u8]) -> Option<Core> {
    use rsip::{headers::UntypedHeader, message::HeadersExt, prelude::*};
    reading!(rsip::SipMessage::try_from(bytes), rsip::SipMessage, via_header)
}

fn rsipstack(bytes: &[u8]) -> Option<Core> {
    use rsipstack::sip::{self, prelude::*};
    reading!(sip::SipMessage::try_from(bytes), sip::SipMessage, top_via_header)
}

/// The messages that we accept, by name.
fn messages() -> Vec<(String, Bytes)> {
    let mut all: Vec<(String, Bytes)> = Vec::new();
    all.extend(benches::MESSAGES.map(|(name, bytes)| (name.to_owned(), Bytes::from_static(bytes))));
    let torture = vectors::RFC_4475.iter().chain(vectors::RFC_5118);
    all.extend(torture.map(|vector| (vector.name.to_owned(), Bytes::from_static(vector.bytes))));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/callflows");
    match folder.read_dir() {
        Ok(files) => {
            let paths = files.map(|file| file.unwrap().path());
            let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "sip"));
            all.extend(paths.map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read(path).unwrap().into())
            }));
        }
        Err(_) => println!("the call flows are not at hand in {}: skipped", folder.display()),
    }
    all.retain(|(_, bytes)| {
        Message::parse(bytes.clone(), &Limits::default())
            .is_ok_and(|message| message.validate().is_ok())
    });
    all
}

/// A peer, a message, a field: where the peer reads something else than we do.
const DISAGREEMENTS: &[(&str, &str, &str)] = &[
    // White space before the `=` of a parameter, and behind it:
    // RFC 3261 §25.1: "EQUAL   =  SWS "=" SWS ; equal"
    ("rsipstack", "wsinv", "from tag"),
    ("rsipstack", "wsinv", "to tag"),
    // `%3A` becomes `%253A`:
    // RFC 4475 §3.1.1.3: "The application
    // using the message must treat the % HEX HEX expansions as equivalent
    // to the character being encoded."
    ("rsipstack", "esc01", "uri"),
];

type Peer = (&'static str, fn(&[u8]) -> Option<Core>);

#[test]
fn the_routing_core_is_what_others_read() {
    let peers: [Peer; 2] = [("rsip", rsip), ("rsipstack", rsipstack)];
    let mut disagreements = Vec::new();
    for (peer, read) in peers {
        let (mut taken, mut fields) = (0, 0);
        for (name, bytes) in messages() {
            let message = Message::parse(bytes.clone(), &Limits::default()).unwrap();
            let ours = ours(&message);
            // Folds are more than some take; they mean no more than a space.
            let read = |bytes: &[u8]| catch_unwind(|| read(bytes)).ok().flatten();
            let Some(theirs) = read(&bytes).or_else(|| read(&unfolded(&bytes))) else { continue };
            taken += 1;
            for (field, theirs) in theirs {
                fields += 1;
                if !same(field, ours.get(field).map_or("", String::as_str), &theirs) {
                    println!("{peer} {name} {field}: {theirs:?}");
                    disagreements.push((peer, name.clone(), field));
                }
            }
        }
        println!("{peer}: {taken} messages, {fields} fields");
        assert!(taken >= 35 && fields > 8 * taken, "{peer} took {taken} messages, {fields} fields");
    }
    let found = disagreements.iter().map(|(peer, name, field)| (*peer, &name[..], *field));
    assert_eq!(found.collect::<Vec<_>>(), DISAGREEMENTS);
}

/// URIs are the same if they are equivalent: the peers print those that they read in a way of their
/// own.
fn same(field: &str, ours: &str, theirs: &str) -> bool {
    let parse = |text: &str| Uri::parse(text.as_bytes()).map(Uri::into_owned);
    match (field, parse(ours), parse(theirs)) {
        ("uri", Ok(ours), Ok(theirs)) => ours.is_equivalent(&theirs),
        _ => ours == theirs,
    }
}

/// The message with each fold of its head as one space.
fn unfolded(bytes: &[u8]) -> Vec<u8> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(head);
    let mut out: Vec<u8> = Vec::new();
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            out.truncate(out.trim_ascii_end().len());
            let more = line.trim_ascii_start();
            // Where a semicolon is, none need be.
            if !out.ends_with(b";") && !more.starts_with(b";") {
                out.push(b' ');
            }
            out.extend_from_slice(more);
        } else {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(body);
    out
}
