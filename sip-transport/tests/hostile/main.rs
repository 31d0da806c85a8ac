//! Streams of those who mean harm. Each test shows what becomes of the stream, that what is held for it
//! is bounded, and that others are served meanwhile; it prints the memory and the delay
//! (`cargo test -p sip-transport --test hostile -- --nocapture`). A program of its own, since the memory is that of
//! the process.
#![cfg(all(feature = "udp", feature = "tcp"))]
// clippy.toml allows these in test functions; here are their helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

#[allow(dead_code, reason = "another test program uses the rest")]
#[path = "../sockets/node.rs"]
mod node;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Limits, StatusCode, Transport};
use sip_transport::{Config, Destination, Input, Sockets, Transmit, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::node::{Node, PATIENCE, RESPONSE, options, request};

/// What a stream must come to: a message with this body, or this status and the end.
type Verdict = Result<&'static str, StatusCode>;

const BAD: Verdict = Err(StatusCode::BAD_REQUEST);
const TOO_LARGE: Verdict = Err(StatusCode::MESSAGE_TOO_LARGE);

/// Header fields, and what becomes of a request with them that is followed by the body `hide` and a
/// second request.
const CONTENT_LENGTHS: &[(&str, Verdict)] = &[
    ("Content-Length: 4", Ok("hide")),
    ("content-LENGTH:4", Ok("hide")),
    ("l: 4", Ok("hide")),
    ("Content-Length : 4", Ok("hide")),
    ("Content-Length\t \t:\t 4 \t", Ok("hide")),
    ("l : 4", Ok("hide")),
    ("Content-Length:\r\n 4", Ok("hide")),
    ("Content-Length: 0000000000000000000000000000000004", Ok("hide")),
    ("X: Content-Length: 9\r\nContent-Length: 4", Ok("hide")),
    ("X: a\r\n Content-Length: 9\r\nContent-Length: 4", Ok("hide")),
    ("X: none", BAD),
    ("Content-Length:", BAD),
    ("Content-Length: 4\r\nContent-Length: 4", BAD),
    ("Content-Length: 4\r\nContent-Length: 0", BAD),
    ("Content-Length: 4\r\nl: 4", BAD),
    ("Content-Length: 4, 4", BAD),
    ("Content-Length: 4 4", BAD),
    ("Content-Length: 4;x=y", BAD),
    ("Content-Length: -1", BAD),
    ("Content-Length: -0", BAD),
    ("Content-Length: +4", BAD),
    ("Content-Length: 0x4", BAD),
    ("Content-Length: 4e0", BAD),
    ("Content-Length: \"4\"", BAD),
    ("Content-Length: four", BAD),
    ("Content-Length: 4\r\n 0", BAD),
    ("Content-Length: 65536", TOO_LARGE),
    ("Content-Length: 4294967296", TOO_LARGE),
    ("Content-Length: 9223372036854775807", TOO_LARGE),
    ("Content-Length: 18446744073709551615", TOO_LARGE),
    ("Content-Length: 18446744073709551616", TOO_LARGE),
    ("Content-Length: 99999999999999999999999999999999999999", TOO_LARGE),
];

#[tokio::test]
async fn a_content_length_is_one_number_or_the_end_of_the_stream() {
    // The application does not answer, so that each stream is closed when that has lasted long enough.
    let config = Config::default().linger(Duration::from_millis(20));
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], config);
    for &(field, verdict) in CONTENT_LENGTHS {
        let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
        let head = format!("OPTIONS sip:b@example.com SIP/2.0\r\n{field}\r\n\r\n");
        let stream = [head.as_bytes(), b"hide", &options(2)].concat();
        peer.write_all(&stream).await.unwrap();
        match (node.next().await, verdict) {
            (Input::Message { flow, payload }, Ok(body)) => {
                assert_eq!(payload, format!("{head}{body}"), "{field:?}");
                assert_eq!(node.message().await, (flow, options(2).into()), "{field:?}");
            }
            (Input::Malformed { payload, error, .. }, Err(status)) => {
                assert_eq!(error.refusal().status(), status, "{field:?}: {error}");
                assert_eq!(payload, head, "{field:?}");
                peer.shutdown().await.unwrap();
                drop(peer);
                // The second request is never seen: nobody knows where it begins.
                assert_eq!(node.closed().await.1, Some(TransportError::Malformed), "{field:?}");
            }
            (input, _) => panic!("{field:?} led to {input:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_may_be_split_at_every_byte_and_its_lines_are_no_head() {
    // A body that looks like heads and line ends.
    let body = "\r\n\r\nContent-Length: 99\r\n\r\nINVITE sip:x@y SIP/2.0\r\n\r\n";
    let whole = [request(1, body), request(2, body)].concat();
    let first_body = request(1, body).len() - body.len();
    let mut node = Node::bind(&["tcp:127.0.0.1:0"], Config::default());
    let mut peer = TcpStream::connect(node.addr(Transport::Tcp)).await.unwrap();
    peer.set_nodelay(true).unwrap();
    for split in first_body..request(1, body).len() {
        let (first, second) = whole.split_at(split);
        peer.write_all(first).await.unwrap();
        // Over loopback it has arrived, so that this reads it.
        node.with(tokio::task::yield_now()).await;
        peer.write_all(second).await.unwrap();
        assert_eq!(node.message().await.1, request(1, body), "split at {split}");
        assert_eq!(node.message().await.1, request(2, body), "split at {split}");
    }
}

// ---- what others feel of it ----

/// A server that answers every message, for tests that attack it while others are served.
struct Server {
    config: Config,
    to: std::net::SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    malformed: Vec<StatusCode>,
    ended: Vec<Option<TransportError>>,
    connections: usize,
}

impl Server {
    fn start(config: Config) -> Self {
        let mut sockets =
            Sockets::bind(&["tcp:127.0.0.1:0".parse().unwrap()], config.clone()).unwrap();
        let to = sockets.locals().first(Transport::Tcp).unwrap().addr;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut inputs = Vec::new();
            loop {
                std::future::poll_fn(|cx| sockets.poll_recv(cx, &mut inputs)).await;
                let mut seen = shared.lock().unwrap();
                for input in inputs.drain(..) {
                    match input {
                        Input::Message { flow, .. } => sockets.send(Transmit {
                            destination: Destination::Flow(flow),
                            fallback: None,
                            domain: None,
                            payload: Bytes::from_static(RESPONSE),
                            token: 0,
                        }),
                        Input::Malformed { error, .. } => {
                            seen.malformed.push(error.refusal().status());
                        }
                        Input::Closed { error, .. } => seen.ended.push(error),
                        // Half of a ping, until the other half is read.
                        Input::Pong { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                seen.connections = sockets.connections();
            }
        });
        Self { config, to, seen, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.to).await.unwrap()
    }

    /// Attacks, asking for something over another connection all the while; prints the worst time
    /// that this took, and the memory before and at its highest.
    async fn under(&self, name: &str, attack: impl Future<Output = ()> + Send + 'static) {
        let _alone = ALONE.lock().await;
        let before = resident_kib();
        let (mut most, mut worst, mut asked) = (before, Duration::ZERO, 0_u32);
        let mut other = self.connect().await;
        let attack = tokio::spawn(attack);
        let mut answer = vec![0; RESPONSE.len()];
        while !attack.is_finished() || asked == 0 {
            let begun = Instant::now();
            other.write_all(&options(1)).await.unwrap();
            let answered = timeout(PATIENCE, other.read_exact(&mut answer)).await;
            answered.expect("another connection is not served").unwrap();
            assert_eq!(answer, RESPONSE);
            worst = worst.max(begun.elapsed());
            asked += 1;
            if asked.is_multiple_of(16) {
                most = most.max(resident_kib());
            }
        }
        attack.await.unwrap();
        most = most.max(resident_kib());
        println!(
            "{name}: {before} KiB before, {most} KiB at most; the worst of {asked} answers to another \
             took {worst:.1?}"
        );
        // What is sent is up to 64 MiB; what is held of it is far less.
        assert!(most < before + 32 * 1024, "{name}: from {before} to {most} KiB");
    }

    /// Waits till it has seen what is asked for.
    async fn until(&self, mut is_it: impl FnMut(&Seen) -> bool) {
        let waiting = async {
            while !is_it(&self.seen.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "with {:?}: {:?}", self.config, self.seen.lock().unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Attacks come one at a time, so that the memory is that of one.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Memory of this process that is in use. The other tests of this binary share it, so that it says
/// something about orders of magnitude only.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Writes until the far end has had enough, at most so much.
async fn pour(mut peer: TcpStream, head: &[u8], again: &[u8], most: usize) {
    if peer.write_all(head).await.is_err() {
        return;
    }
    let chunk = again.repeat(64 * 1024 / again.len());
    let mut poured = 0;
    while poured < most {
        match timeout(Duration::from_millis(500), peer.write_all(&chunk)).await {
            Ok(Ok(())) => poured += chunk.len(),
            Ok(Err(_)) | Err(_) => return, // closed, or not read any more
        }
    }
}

const START: &[u8] = b"OPTIONS sip:b@example.com SIP/2.0\r\n";
const MANY: usize = 64 * 1024 * 1024;

async fn a_head_without_end(name: &str, line: &'static [u8], again: &'static [u8]) {
    let server = Server::start(Config::default());
    let peer = server.connect().await;
    let attack = async move { pour(peer, &[START, line].concat(), again, MANY).await };
    server.under(name, attack).await;
    server.until(|seen| seen.malformed == [StatusCode::MESSAGE_TOO_LARGE]).await;
    server.until(|seen| seen.connections <= 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_fields_without_end_are_malformed_at_the_limit() {
    a_head_without_end("header fields without end", b"", b"X: y\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_line_without_end_is_malformed_at_the_limit() {
    a_head_without_end("a line without end", b"X: ", b"xxxx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fold_without_end_is_malformed_at_the_limit() {
    a_head_without_end("a fold without end", b"X: y\r\n", b" \r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_header_fields_in_larger_limits_are_one_message() {
    const FIELDS: usize = 100_000;
    let limits = Limits::default().message_bytes(1 << 20).head_bytes(1 << 20);
    let server = Server::start(Config::default().message_limits(limits.clone()));
    let mut peer = server.connect().await;
    let message = [START, &b"X: y\r\n".repeat(FIELDS), b"Content-Length: 0\r\n\r\n"].concat();
    let bytes = Bytes::from(message.clone());
    let attack = async move {
        let mut answer = vec![0; RESPONSE.len()];
        for _ in 0..20 {
            peer.write_all(&message).await.unwrap();
            peer.read_exact(&mut answer).await.unwrap();
        }
    };
    server.under("100,000 header fields, 20 times", attack).await;
    // What parsing makes of it: so many are looked at, and no more are kept.
    let parsed = sip_message::Message::parse(bytes, &limits).unwrap();
    assert_eq!(parsed.headers().iter().count(), limits.header_fields);
    let sip_message::Message::Request(request) = parsed else { panic!("a response") };
    assert_eq!(request.validate().unwrap_err().status(), StatusCode::MESSAGE_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_without_end_hold_up_nobody() {
    // The pongs are never read. That ends the connection or not; it is bounded, and others are served.
    let server = Server::start(Config::default());
    let peer = server.connect().await;
    let attack = async move { pour(peer, b"", b"\r\n\r\n", MANY / 4).await };
    server.under("line ends without end", attack).await;
    assert_eq!(server.seen.lock().unwrap().malformed, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_whose_answers_are_never_read_are_bounded() {
    let server = Server::start(Config::default().write_queue_bytes(64 * 1024));
    let peer = server.connect().await;
    let attack = async move { pour(peer, b"", &options(1), MANY / 4).await };
    server.under("answers that nobody reads", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_now_and_then_ends_the_stream_and_delays_nobody() {
    // As one byte a second with the defaults: the time of a message is short, not that of a byte.
    let config = Config::default().message_timeout(Duration::from_millis(200));
    let server = Server::start(config);
    let peers = {
        let mut peers = Vec::new();
        for _ in 0..100 {
            peers.push(server.connect().await);
        }
        peers
    };
    let attack = async move {
        let mut drips = Vec::new();
        for mut peer in peers {
            drips.push(tokio::spawn(async move {
                for byte in request(1, &"x".repeat(10_000)) {
                    if peer.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                panic!("never closed");
            }));
        }
        for drip in drips {
            drip.await.unwrap();
        }
    };
    server.under("a byte now and then, 100 times", attack).await;
    let incomplete = |seen: &Seen| {
        seen.ended.iter().filter(|end| **end == Some(TransportError::Incomplete)).count()
    };
    server.until(|seen| incomplete(seen) == 100).await;
}
