//! Tests of messages, one file a concern.

mod build;
mod edit;
mod fragment;
mod frame;
mod from_uri;
mod parse;
mod validate;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Message, Request, Response};
use crate::{Limits, Refusal};

/// A request as RFC 3261 §8.1.1 wants it, with a list in one line and a fold.
const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKaaa, SIP/2.0/TCP b.example.com;branch=z9hG4bKbbb\r\n\
    v: SIP/2.0/UDP c.example.com;branch=z9hG4bKccc\r\n\
    Max-Forwards: 70\r\n\
    To: \"Bob; tag=no <x>\" <sip:bob@example.com;tag=no>\r\n\
    f: Alice\r\n <sip:alice@example.com> ; Tag = 1928301774 ;x=y\r\n\
    X-Tenant: one\r\n\
    Call-ID: a84b4c76e66710@pc33.example.com\r\n\
    CSeq: 0314159  INVITE\r\n\
    x-tenant: two\r\n\
    Contact: <sip:alice@pc33.example.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 4\r\n\
    \r\n\
    v=0\n";

const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKaaa\r\n\
    To: <sip:bob@example.com>;tag=a6c85cf\r\n\
    From: <sip:alice@example.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 314159 INVITE\r\n\
    Content-Length: 0\r\n\
    \r\n";

fn parse(text: impl AsRef<[u8]>) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_ref()), &Limits::default()).unwrap()
}

fn request(text: impl AsRef<[u8]>) -> Request {
    parse(text).into_request().unwrap()
}

fn response(text: impl AsRef<[u8]>) -> Response {
    parse(text).into_response().unwrap()
}

fn refusal(text: impl AsRef<[u8]>) -> Refusal {
    parse(text).validate().unwrap_err()
}

/// The invite with one line in place of another.
fn invite_with(line: &str, new: &str) -> String {
    assert!(INVITE.contains(line), "{line}");
    INVITE.replacen(line, new, 1)
}

/// The header field lines of a printed message.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    head.split("\r\n").skip(1).map(Into::into).collect()
}
