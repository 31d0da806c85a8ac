//! How the cost of a message grows: `cargo run --release -p benches --bin growth [--features peers]`.
//!
//! Each row is one message; of each kind there are several sizes, and the time a byte says whether the
//! cost follows the bytes. The hostile ones are what somebody sends who looks for a loop inside a loop.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "its messages are its own; one that cannot be read ends the run aloud"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_message::{
    Contact, Frame, From, HeaderError, HeaderName, Limits, Message, RecordRoute, Request, Route,
    StreamFramer, Subject, Supported, Via,
};

fn main() {
    println!("| message | size | bytes | ours, ns (a byte) | httparse, ns (a byte) |");
    println!("| --- | --- | --- | --- | --- |");
    for fields in [1, 10, 50, 100, 200] {
        growth("header fields beside the first six", fields, &with_fields(fields));
    }
    for body in [0, 1_024, 8_192, 65_536] {
        growth("bytes of body", body, &with_body(body));
    }
    println!();
    println!(
        "| message | size | bytes | parsed and read, ns (a byte) | parsed and validated | framed 16 bytes at a time |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (what, line, part, most, read) in hostile() {
        for count in [most / 10, most] {
            let bytes = Bytes::from(with_line(line, part, count));
            let len = bytes.len();
            print!("| {what} | {count} | {len} | {} ", time(len, || read(&request(&bytes))));
            print!("| {} ", time(len, || request(&bytes).validate().is_ok()));
            println!("| {} |", time(len, || framed(&bytes)));
        }
    }
}

/// A row of a message that is framed.
fn growth(what: &str, size: usize, text: &str) {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let len = bytes.len();
    let ours = time(len, || request(&bytes).headers().len());
    println!("| {what} | {size} | {len} | {ours} | {} |", httparse(&bytes));
}

#[cfg(feature = "peers")]
fn httparse(bytes: &Bytes) -> String {
    use benches::peers::http;
    let message = http::acceptable(bytes);
    // Its bench has room for 64 header fields.
    match http::framing(&message) {
        Some(_) => time(bytes.len(), || http::framing(&message)),
        None => "-".to_owned(),
    }
}

#[cfg(not(feature = "peers"))]
fn httparse(_: &Bytes) -> String {
    "-".to_owned()
}

/// What is measured of a hostile message: how many values it found.
type Read = fn(&Request) -> usize;

/// A name, how a line begins, what is repeated in it, how often at most, and how it is read.
fn hostile() -> [(&'static str, &'static str, &'static str, usize, Read); 11] {
    [
        ("Contact values", "Contact: <a:b>", ",<a:b>", 10_000, |request| {
            good(request.get_all::<Contact<'_>>())
        }),
        ("Route values", "Route: <a:b>", ",<a:b>", 10_000, |request| {
            good(request.get_all::<Route<'_>>())
        }),
        ("Record-Route values", "Record-Route: <a:b>", ",<a:b>", 10_000, |request| {
            good(request.get_all::<RecordRoute<'_>>())
        }),
        ("Via values", "Via: SIP/2.0/UDP a", ",SIP/2.0/UDP a", 4_000, |request| {
            good(request.get_all::<Via<'_>>())
        }),
        ("Via values, one taken off", "v: SIP/2.0/UDP a", ",SIP/2.0/UDP a", 4_000, pop),
        ("commas", "Supported: a", ",", 10_000, |request| {
            request.get::<Supported<'_>>().map_or(0, |found| usize::from(found.is_some()))
        }),
        ("parameters", "From: <sip:a@b>", ";a=b", 10_000, |request| {
            let from = request.get::<From<'_>>().expect("well-formed").expect("there");
            from.params().count()
        }),
        ("URI parameters", "Contact: <sip:a@b", ";a=b", 10_000, |request| {
            // Without its bracket at the end: refused, and that is to cost no more either.
            usize::from(request.get::<Contact<'_>>().is_err())
        }),
        ("quoted pairs", "From: \"", "\\\"", 30_000, |request| {
            usize::from(request.get::<From<'_>>().is_err())
        }),
        ("folds", "Subject: a", "\r\n a", 15_000, |request| {
            let subject = request.get::<Subject<'_>>().expect("well-formed").expect("there");
            subject.to_string().len()
        }),
        ("folds of parameters", "Contact: <sip:a@b>", "\r\n ;a", 12_000, |request| {
            good(request.get_all::<Contact<'_>>())
        }),
    ]
}

fn good<H>(values: impl Iterator<Item = Result<H, HeaderError>>) -> usize {
    values.filter(Result::is_ok).count()
}

fn pop(request: &Request) -> usize {
    let mut request = request.clone();
    // The Via that every message here has, and then the first of the list.
    request.headers_mut().pop_front(HeaderName::Via);
    request.headers_mut().pop_front(HeaderName::Via);
    request.to_bytes().len()
}

/// A request with that many header fields beside those that it must have.
fn with_fields(count: usize) -> String {
    let mut text = START.to_owned();
    for n in 0..count {
        write!(text, "X-Field-{n}: a value of the length that most have\r\n").expect("room");
    }
    text + "Content-Length: 0\r\n\r\n"
}

fn with_body(len: usize) -> String {
    format!("{START}Content-Length: {len}\r\n\r\n{}", "a".repeat(len))
}

fn with_line(line: &str, part: &str, count: usize) -> String {
    let from =
        if line.starts_with("From") { "" } else { "From: <sip:alice@example.com>;tag=1\r\n" };
    format!("{START}{from}{line}{}\r\nContent-Length: 0\r\n\r\n", part.repeat(count))
}

const START: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK776asdhds\r\n\
    Max-Forwards: 70\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: a84b4c76e66710@pc33.example.com\r\n\
    CSeq: 314159 INVITE\r\n";

/// As large as a value may be; with the default limits most of these would be refused at once.
fn limits() -> Limits {
    Limits::default()
        .message_bytes(1 << 20)
        .head_bytes(1 << 20)
        .header_bytes(1 << 16)
        .header_fields(1_000)
}

fn request(bytes: &Bytes) -> Request {
    let message = Message::parse(bytes.clone(), &limits()).expect("SIP");
    message.into_request().expect("a request")
}

/// What the framer says of a stream of which sixteen bytes more arrive at a time.
fn framed(bytes: &Bytes) -> usize {
    let mut framer = StreamFramer::new(limits());
    for end in (16..bytes.len()).step_by(16).chain([bytes.len()]) {
        if let Ok(Frame::Message { len }) = framer.next(&bytes[..end]) {
            return len;
        }
    }
    panic!("no message in {} bytes", bytes.len());
}

/// Nanoseconds, and how many that is a byte.
fn time<T>(len: usize, work: impl FnMut() -> T) -> String {
    let time = nanoseconds(work);
    format!("{time:.0} ({:.2})", time / len as f64)
}

/// The least of several times, for what disturbs only adds.
fn nanoseconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut times = 1u32;
    let mut least = f64::INFINITY;
    let end = Instant::now() + Duration::from_millis(100);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        let elapsed = start.elapsed();
        if elapsed < Duration::from_millis(1) {
            times = times.saturating_mul(2);
        } else {
            least = least.min(elapsed.as_nanos() as f64 / f64::from(times));
        }
    }
    least
}
