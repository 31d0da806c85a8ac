//! Any bytes, as a stream: however it is cut, the same messages come out of it.
//!
//! The first byte says how long the pieces are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_message::{Frame, FrameError, Limits, Message, ParseErrorKind, StreamFramer};

fuzz_target!(|data: &[u8]| {
    let Some((&step, stream)) = data.split_first() else { return };
    let limits = Limits::default().message_bytes(4_096);
    let whole = messages(stream, stream.len().max(1), &limits);
    let pieces = messages(stream, usize::from(step).max(1), &limits);
    assert_eq!(whole, pieces);
    for message in &whole.0 {
        // What was framed is one message, and all of it.
        match Message::parse(message.clone().into(), &limits) {
            Ok(parsed) => assert_eq!(parsed.to_bytes(), message[..]),
            // A response of no status is dropped alone: the stream goes on.
            Err(error) => assert_eq!(error.kind(), ParseErrorKind::StatusCode),
        }
    }
});

/// The messages of a stream that comes `step` bytes at a time, and the error that ends it.
fn messages(stream: &[u8], step: usize, limits: &Limits) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut framer = StreamFramer::new(limits.clone());
    let (mut buffer, mut messages) = (Vec::new(), Vec::new());
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&buffer) {
                Ok(Frame::NeedMore) => break,
                Ok(Frame::KeepAlive { len, .. }) => drop(buffer.drain(..len)),
                Ok(Frame::Message { len }) => messages.push(buffer.drain(..len).collect()),
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
