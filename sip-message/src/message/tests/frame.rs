use super::{INVITE, OK, invite_with};
use crate::{
    Frame, FrameError, HeaderName, KeepAlive, Limits, RefusalKind, StatusCode, StreamFramer,
};
use alloc::vec::Vec;
use alloc::{format, vec};

/// What a stream holds, fed `step` bytes at a time.
fn frames(stream: &[u8], step: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = StreamFramer::new(Limits::default());
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for chunk in stream.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            match framer.next(&buffer) {
                Ok(Frame::NeedMore) => break,
                Ok(frame) => {
                    frames.push(frame);
                    let (Frame::Message { len } | Frame::KeepAlive { len, .. }) = frame else {
                        unreachable!()
                    };
                    buffer.drain(..len);
                }
                Err(error) => {
                    assert_eq!(framer.next(&buffer), Err(error), "it stays failed");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

fn error(stream: &str) -> FrameError {
    let errors: Vec<_> = (1..=stream.len()).map(|step| frames(stream.as_bytes(), step).1).collect();
    assert!(errors.windows(2).all(|pair| pair[0] == pair[1]), "{errors:?}");
    errors[0].unwrap()
}

#[test]
fn any_split_of_a_stream_gives_the_same_messages() {
    let folded = invite_with("Content-Length: 4", "Content-Length :\r\n \r\n\t4");
    let lf = INVITE.replace("\r\n", "\n");
    let stream = format!("{INVITE}{OK}{folded}{OK}{lf}{OK}");
    let expected = [INVITE.len(), OK.len(), folded.len(), OK.len(), lf.len(), OK.len()];
    let expected: Vec<_> = expected.iter().map(|&len| Frame::Message { len }).collect();
    for step in 1..=stream.len() {
        assert_eq!(frames(stream.as_bytes(), step), (expected.clone(), None), "{step}");
    }
}

#[test]
fn keep_alives_in_any_split() {
    let ping = |len| Frame::KeepAlive { kind: KeepAlive::Ping, len };
    let pong = |len| Frame::KeepAlive { kind: KeepAlive::Pong, len };
    assert_eq!(frames(b"\r\n\r\n", 4).0, [ping(4)]);
    assert_eq!(frames(b"\r\n\r\n", 1).0, [pong(2), ping(2)]);
    assert_eq!(frames(b"\r\n", 1).0, [pong(2)]);
    assert_eq!(frames(b"\r\n\r\n\r\n", 9).0, [ping(4), pong(2)]);
    assert_eq!(frames(b"\r\n\r\n\r\n\r\n", 2).0, [pong(2), ping(2), pong(2), ping(2)]);
    let stream = format!("\r\n{OK}\r\n{OK}\r\n\r\n");
    let message = Frame::Message { len: OK.len() };
    let expected = vec![pong(2), message, pong(2), message, ping(4)];
    assert_eq!(frames(stream.as_bytes(), stream.len()), (expected, None));
}

#[test]
fn a_stream_without_a_usable_content_length_cannot_be_framed() {
    use RefusalKind as K;
    for (line, kind) in [
        ("", K::Missing),
        ("Content-Length: -1\r\n", K::ContentLength),
        ("Content-Length:\r\n", K::ContentLength),
        ("Content-Length: 4\r\nl: 4\r\n", K::Repeated),
    ] {
        let stream = invite_with("Content-Length: 4\r\n", line);
        let error = error(&stream);
        assert_eq!(error.refusal().kind(), kind, "{line}");
        assert_eq!(error.refusal().status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.refusal().header(), Some(HeaderName::ContentLength));
        // The head can still be answered.
        let head = super::request(&stream.as_bytes()[..error.head_len()]);
        assert_eq!(head.headers().branch(), Some("z9hG4bKaaa"));
    }
}

#[test]
fn what_is_no_sip_is_refused_at_its_first_line() {
    for stream in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}\n", "SIP/2.0\r\n"] {
        let error = error(stream);
        assert_eq!(error.refusal().kind(), RefusalKind::StartLine);
        assert_eq!(error.head_len(), 0);
    }
    // A response of a status that is none is one message more to drop.
    let stream = OK.replacen("200 OK", "9999 x", 1) + OK;
    let message = |len| Frame::Message { len };
    let expected = vec![message(OK.len()), message(OK.len())];
    assert_eq!(frames(stream.as_bytes(), 7), (expected, None));
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let limits = Limits::default().message_bytes(INVITE.len());
    let mut framer = StreamFramer::new(limits.clone());
    assert_eq!(framer.next(INVITE.as_bytes()), Ok(Frame::Message { len: INVITE.len() }));
    let long = invite_with("Content-Length: 4", "Content-Length: 5");
    let error =
        framer.next(long.split_inclusive("\r\n\r\n").next().unwrap().as_bytes()).unwrap_err();
    assert_eq!(error.refusal().kind(), RefusalKind::MessageTooLarge);
    assert_eq!(error.refusal().status(), StatusCode::MESSAGE_TOO_LARGE);
    assert!(error.head_len() > 0);

    let huge = invite_with("Content-Length: 4", "Content-Length: 99999999999999999999999");
    let error = StreamFramer::new(Limits::default()).next(huge.as_bytes()).unwrap_err();
    assert_eq!(error.refusal().kind(), RefusalKind::MessageTooLarge);

    // A head that does not end, in one line and in many.
    for endless in ["INVITE sip:a@b", "INVITE sip:a@b SIP/2.0\r\nX: y\r\n z"] {
        let mut stream = endless.as_bytes().to_vec();
        stream.resize(100, b'z');
        let mut framer = StreamFramer::new(Limits::default().head_bytes(100));
        assert_eq!(framer.next(&stream), Ok(Frame::NeedMore));
        stream.push(b'z');
        let error = framer.next(&stream).unwrap_err();
        assert_eq!(error.refusal().kind(), RefusalKind::HeadTooLarge);
        assert_eq!(error.head_len(), 0);
    }
}
