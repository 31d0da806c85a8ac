//! The torture tests of RFC 4475 and RFC 5118: each message with the verdict that its paragraph asks
//! for, as a datagram and, where that differs, on a stream.
//!
//! What is said here is what every element owes. What a user agent owes besides (405, 416, 420 and
//! their like) is tested with the user agent.
#![allow(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the message")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "likewise")]

mod rfc4475 {
    mod invalid;
    mod semantics;
    mod valid;
}
mod rfc5118;
mod vectors;

use bytes::Bytes;
use sip_message::{
    Frame, FrameError, HeaderName, Limits, Message, ParseError, Refusal, RefusalKind, Request,
    Response, StreamFramer,
};
use vectors::Vector;

fn parse(vector: Vector) -> Result<Message, ParseError> {
    Message::parse(Bytes::from_static(vector.bytes), &Limits::default())
}

/// How a stream that begins with the message is framed.
fn frame(vector: Vector) -> Result<Frame, FrameError> {
    StreamFramer::new(Limits::default()).next(vector.bytes)
}

/// The message, accepted as a datagram and framed whole on a stream. It is printed as it came.
#[track_caller]
fn accepted(vector: Vector) -> Message {
    assert_eq!(frame(vector).unwrap(), Frame::Message { len: vector.bytes.len() });
    let message = datagram(vector);
    assert_eq!(message.to_bytes(), vector.bytes);
    message
}

/// The message, accepted as a datagram.
#[track_caller]
fn datagram(vector: Vector) -> Message {
    let message = parse(vector).unwrap();
    message.validate().unwrap_or_else(|refusal| panic!("{}: {refusal}", vector.name));
    message
}

#[track_caller]
fn request(vector: Vector) -> Request {
    accepted(vector).into_request().unwrap()
}

#[track_caller]
fn response(vector: Vector) -> Response {
    accepted(vector).into_response().unwrap()
}

/// Refused as a datagram with this status, for this header field, at the first byte of `at`, which
/// stands once in the message.
#[track_caller]
fn refused(
    vector: Vector,
    status: u16,
    header: Option<HeaderName<'_>>,
    kind: RefusalKind,
    at: &str,
) -> Refusal {
    let refusal = parse(vector).unwrap().validate().unwrap_err();
    assert_eq!(
        (refusal.status().as_u16(), refusal.header(), refusal.kind()),
        (status, header, kind),
        "{refusal}"
    );
    let found = |bytes: &[u8]| bytes.windows(at.len()).position(|window| window == at.as_bytes());
    let offset = found(vector.bytes).unwrap();
    assert_eq!(found(&vector.bytes[offset + 1..]), None, "{at} stands twice");
    assert_eq!(refusal.offset(), offset, "{refusal}");
    refusal
}

/// What the `parse` example prints of each message behind its file's name.
#[test]
fn each_message_has_its_verdict() {
    assert_eq!((vectors::RFC_4475.len(), vectors::RFC_5118.len()), (49, 12));
    for vector in vectors::RFC_4475.iter().chain(vectors::RFC_5118) {
        let verdict = match parse(*vector) {
            Err(error) => format!("reject\tdiscard\t{error}"),
            Ok(message) => match (message.validate(), &message) {
                (Ok(()), Message::Request(request)) => format!("ok\trequest {}", request.method()),
                (Ok(()), Message::Response(response)) => {
                    format!("ok\tresponse {}", response.status().as_u16())
                }
                (Err(refusal), Message::Request(_)) => {
                    format!("reject\t{}\t{refusal}", refusal.status().as_u16())
                }
                (Err(refusal), Message::Response(_)) => format!("reject\tdiscard\t{refusal}"),
            },
        };
        assert_eq!(verdict, vector.verdict, "{} ({})", vector.name, vector.section);
    }
}

/// However a stream is cut, each message is framed as it is when it comes whole.
#[test]
fn a_stream_byte_by_byte_is_framed_as_the_whole() {
    for vector in vectors::RFC_4475.iter().chain(vectors::RFC_5118) {
        let whole = frame(*vector);
        let mut framer = StreamFramer::new(Limits::default());
        let pieces = (1..=vector.bytes.len())
            .map(|len| framer.next(&vector.bytes[..len]))
            .find(|next| *next != Ok(Frame::NeedMore));
        assert_eq!(pieces.unwrap_or(Ok(Frame::NeedMore)), whole, "{}", vector.name);
    }
}

/// What was cut anywhere is read without a panic, and never as more than what is there.
#[test]
fn a_message_cut_anywhere_is_read() {
    for vector in vectors::RFC_4475.iter().chain(vectors::RFC_5118) {
        for len in 0..vector.bytes.len() {
            let bytes = Bytes::from_static(&vector.bytes[..len]);
            if let Ok(message) = Message::parse(bytes.clone(), &Limits::default()) {
                let _ = message.validate();
                assert!(bytes.starts_with(&message.to_bytes()), "{} at {len}", vector.name);
            }
        }
    }
}
