//! Messages for the tests, from their text.

use std::format;
use std::string::String;

use bytes::Bytes;
use sip_message::{Limits, Message, Request, Response};

fn parse(text: &str) -> Message {
    let text = format!("{}\r\n\r\n", text.trim().replace("\r\n", "\n").replace('\n', "\r\n"));
    Message::parse(Bytes::from(text), &Limits::default()).unwrap()
}

/// A request from its text with any indentation; the empty line at its end may be left out.
pub(crate) fn request(text: &str) -> Request {
    match parse(&unindent(text)) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

/// A response from its text; see [`request`].
pub(crate) fn response(text: &str) -> Response {
    match parse(&unindent(text)) {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// A line that begins with `~` is folded: it goes on from the line before.
fn unindent(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| line.strip_prefix('~').map_or(line.into(), |rest| format!(" {rest}")))
        .collect::<std::vec::Vec<_>>()
        .join("\n")
}

/// An INVITE of alice to bob with these further header lines.
pub(crate) fn invite(more: &str) -> Request {
    request(&format!(
        "INVITE sip:bob@example.com SIP/2.0
         Via: SIP/2.0/UDP alice.example.com;branch=z9hG4bK1
         Max-Forwards: 70
         From: \"Alice\" <sip:alice@example.com>;tag=a1
         To: Bob <sip:bob@example.com>
         Call-ID: call@alice
         CSeq: 10 INVITE
         Contact: <sip:alice@192.0.2.1>
         {more}
         Content-Length: 0"
    ))
}

/// Bob's answer to [`invite`].
pub(crate) fn answer(status: &str, to_tag: &str, more: &str) -> Response {
    let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    response(&format!(
        "SIP/2.0 {status}
         Via: SIP/2.0/UDP alice.example.com;branch=z9hG4bK1
         From: \"Alice\" <sip:alice@example.com>;tag=a1
         To: Bob <sip:bob@example.com>{tag}
         Call-ID: call@alice
         CSeq: 10 INVITE
         {more}
         Content-Length: 0"
    ))
}

/// A request of bob in the dialog that [`invite`] and an answer with the tag `b1` made.
pub(crate) fn from_bob(method: &str, cseq: u32, more: &str) -> Request {
    request(&format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP bob.example.com;branch=z9hG4bK{method}{cseq}
         Max-Forwards: 70
         From: Bob <sip:bob@example.com>;tag=b1
         To: \"Alice\" <sip:alice@example.com>;tag=a1
         Call-ID: call@alice
         CSeq: {cseq} {method}
         {more}
         Content-Length: 0"
    ))
}
