//! Bad input, from the wire to a running [`UserAgent`] and back: what is not SIP is dropped, or closes its
//! connection; what is SIP and not acceptable gets the status that RFC 3261 owes it; and all the while calls go on
//! and nothing is left behind.
#![cfg(all(feature = "udp", feature = "tcp"))]
// The helpers of tests are tests too, but clippy knows only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_message::{HeaderName, Limits, Message, Method, Response, Transport, Uri};
use sip_transaction::Config;
use sip_ua::{Account, CallEvent, EndReason, Incoming, Live, UserAgent, UserAgentBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use Owed::{Answer, Nothing};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n";

/// What is owed to some bytes.
enum Owed {
    Nothing,
    /// A response with this status, in which each of these header fields holds this text.
    Answer(u16, &'static [(&'static str, &'static str)]),
}

/// What they are, the bytes, what they are owed.
type Row = (&'static str, Vec<u8>, Owed);

const BAD_REQUEST: Owed = Answer(400, &[]);
const ALLOW: &[(&str, &str)] =
    &[("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE, INFO, REFER")];

/// A request that nothing is wrong with. `{n}` becomes the number of its row.
fn good(method: &str) -> String {
    format!(
        "{method} sip:bob@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/{{via}};branch=z9hG4bK-{{n}}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:mallory@127.0.0.1>;tag=m\r\n\
         To: <sip:bob@127.0.0.1>\r\n\
         Call-ID: bad-{{n}}\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:mallory@127.0.0.1>\r\n\
         Content-Length: 0\r\n\
         \r\n"
    )
}

/// The same with one thing changed.
#[track_caller]
fn with(method: &str, from: &str, to: &str) -> Vec<u8> {
    let good = good(method);
    assert!(good.contains(from), "{from:?} is not in it");
    good.replace(from, to).into()
}

/// The same without the field of this name.
fn without(method: &str, name: &str) -> Vec<u8> {
    let start = format!("\r\n{name}:");
    let good = good(method);
    let at = good.find(&start).expect("it has no such field");
    let end = at + 2 + good[at + 2..].find("\r\n").unwrap();
    format!("{}{}", &good[..at], &good[end..]).into()
}

fn with_body(method: &str, fields: &str, body: &str) -> Vec<u8> {
    let framed = format!("{fields}Content-Length: {}\r\n\r\n{body}", body.len());
    with(method, "Content-Length: 0\r\n\r\n", &framed)
}

fn fields(count: usize, each: &str) -> String {
    each.repeat(count) + "Content-Length: 0"
}

/// What is neither answered over UDP nor over TCP.
fn rubbish() -> Vec<Row> {
    vec![
        ("a word", b"hello\r\n\r\n".to_vec(), Nothing),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n".to_vec(), Nothing),
        ("bytes of no text", [0xff, 0xfe, 0x80, b'\n'].repeat(300), Nothing),
        ("zeros", vec![0; 64].into_iter().chain(*b"\r\n\r\n").collect(), Nothing),
        ("a version and no more", b"SIP/2.0\r\n\r\n".to_vec(), Nothing),
    ]
}

/// What is SIP, well framed, and owed an answer or silence whatever it came by.
fn unacceptable() -> Vec<Row> {
    let response = |status: &str| {
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/{{via}};branch=z9hG4bK-{{n}}\r\n\
             From: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:mallory@127.0.0.1>;tag=m\r\n\
             Call-ID: bad-{{n}}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    vec![
        // RFC 4475 §3.1.2.19: "An element receiving this response should simply drop it."
        ("a status code of four digits", response("2000 OK"), Nothing),
        ("a status code that is none", response("999 What"), Nothing),
        // RFC 3261 §8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the
        // following header fields: To, From, CSeq, Call-ID, Max-Forwards, and Via"
        ("no To", without("OPTIONS", "To"), BAD_REQUEST),
        ("no From", without("OPTIONS", "From"), BAD_REQUEST),
        ("no CSeq", without("OPTIONS", "CSeq"), BAD_REQUEST),
        ("no Call-ID", without("OPTIONS", "Call-ID"), BAD_REQUEST),
        // Of RFC 2543, and of no interest to who forwards nothing.
        ("no Max-Forwards", without("OPTIONS", "Max-Forwards"), Answer(200, &[])),
        ("Max-Forwards 0", with("OPTIONS", "Forwards: 70", "Forwards: 0"), Answer(200, ALLOW)),
        ("Max-Forwards of a kind", with("OPTIONS", "Forwards: 70", "Forwards: lots"), BAD_REQUEST),
        // Nobody could tell whom to answer.
        ("no Via", without("OPTIONS", "Via"), Nothing),
        // RFC 4475 §3.1.2.1: "An element receiving this request should respond with a 400 Bad
        // Request error."
        ("a Via that is none", with("OPTIONS", ";branch", ";;,branch"), BAD_REQUEST),
        ("two To", with("OPTIONS", "To:", "To: <sip:eve@127.0.0.1>\r\nTo:"), BAD_REQUEST),
        ("two Call-IDs", with("INVITE", "Call-ID:", "i: x\r\nCall-ID:"), BAD_REQUEST),
        ("a CSeq of another method", with("OPTIONS", "1 OPTIONS", "1 INVITE"), BAD_REQUEST),
        ("a CSeq without end", with("OPTIONS", "1 OPT", "99999999999 OPT"), BAD_REQUEST),
        ("a negative CSeq", with("OPTIONS", "1 OPT", "-1 OPT"), BAD_REQUEST),
        (
            "a field nobody knows",
            with("OPTIONS", "To:", "X-Files: (\\;,=\r\nTo:"),
            Answer(200, ALLOW),
        ),
        (
            "a Date that is none",
            with("OPTIONS", "To:", "Date: tomorrow\r\nTo:"),
            Answer(200, ALLOW),
        ),
        ("an open quote", with("OPTIONS", "From: ", "From: \"Mal "), BAD_REQUEST),
        ("a Contact that is none", with("INVITE", "<sip:mallory@127.0.0.1>\r\nC", "<<>\r\nC"), {
            BAD_REQUEST
        }),
        ("a URI in brackets", with("OPTIONS", "OPTIONS sip:bob@127.0.0.1", "OPTIONS <sip:b@c>"), {
            BAD_REQUEST
        }),
        ("a URI with fields", with("INVITE", "127.0.0.1 SIP/", "127.0.0.1?a=b SIP/"), BAD_REQUEST),
        ("two spaces", with("OPTIONS", "OPTIONS sip", "OPTIONS  sip"), BAD_REQUEST),
        ("a field without a colon", with("OPTIONS", "Max-Forwards: ", "nonsense "), BAD_REQUEST),
        // RFC 3261 §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or
        // SIPS URI in any request that can result in the establishment of a dialog."
        ("an INVITE without Contact", without("INVITE", "Contact"), BAD_REQUEST),
        ("another version", with("OPTIONS", "1 SIP/2.0", "1 SIP/3.0"), Answer(505, &[])),
        (
            "an endless URI",
            with("OPTIONS", "127.0.0.1 SIP/", &format!("{}.com SIP/", "a".repeat(5_000))),
            Answer(414, &[]),
        ),
        (
            "a field of 9 kB",
            with(
                "OPTIONS",
                "Content-Length: 0",
                &fields(1, &format!("X: {}\r\n", "x".repeat(9_000))),
            ),
            Answer(513, &[]),
        ),
        (
            "three hundred fields",
            with("OPTIONS", "Content-Length: 0", &fields(300, "X: y\r\n")),
            Answer(513, &[]),
        ),
        // RFC 3261 §8.2.1: "The UAS MUST also add an Allow
        // header field to the 405 (Method Not Allowed) response."
        ("a method that is not served", good("SUBSCRIBE").into(), Answer(405, ALLOW)),
        ("a method nobody knows", good("JUGGLE").into(), Answer(501, &[])),
        ("a method in small letters", good("options").into(), Answer(501, &[])),
        ("a number to dial", with("INVITE", "INVITE sip:bob@127.0.0.1", "INVITE tel:+1"), {
            Answer(416, &[])
        }),
        (
            "a scheme nobody knows",
            with("OPTIONS", "OPTIONS sip:", "OPTIONS nob:"),
            Answer(416, &[]),
        ),
        // RFC 3261 §8.2.2.3: "The UAS MUST add an Unsupported
        // header field, and list in it those options it does not understand"
        (
            "extensions",
            with("INVITE", "Contact:", "Require: 100rel, nothing\r\nContact:"),
            Answer(420, &[("Unsupported", "nothing")]),
        ),
        // RFC 3261 §8.2.3: "The response MUST contain an
        // Accept header field listing the types of all bodies it understands"
        (
            "a body of another type",
            with_body("INVITE", "Content-Type: application/x-cards\r\n", "queen"),
            Answer(415, &[("Accept", "application/sdp")]),
        ),
        (
            "a body of no type",
            with_body("MESSAGE", "", "queen"),
            Answer(415, &[("Accept", "text/")]),
        ),
        (
            "a packed body",
            with_body("INVITE", "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", "?"),
            Answer(415, &[("Accept-Encoding", "identity")]),
        ),
        ("a BYE to nothing", good("BYE").into(), Answer(481, &[])),
        // Neither exists outside of a dialog.
        ("an UPDATE to nothing", good("UPDATE").into(), Answer(481, &[])),
        ("a PRACK to nothing", with("PRACK", "To:", "RAck: 1 1 INVITE\r\nTo:"), Answer(481, &[])),
        ("a PRACK without RAck", good("PRACK").into(), Answer(481, &[])),
        (
            "a PRACK of a number too large",
            with("PRACK", "To:", "RAck: 4294967296 1 INVITE\r\nTo:"),
            Answer(481, &[]),
        ),
        ("a CANCEL of nothing", good("CANCEL").into(), Answer(481, &[])),
        (
            "an INFO in a dialog that is not",
            with("INFO", "To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=b"),
            Answer(481, &[]),
        ),
        (
            "an INVITE in a dialog that is not",
            with("INVITE", "To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=b"),
            Answer(481, &[]),
        ),
        // RFC 3261 §17.1.1.3 and §8.2: nothing answers an ACK, whatever is wrong with it.
        ("an ACK to nothing", good("ACK").into(), Nothing),
        ("an ACK of another method", with("ACK", "1 ACK", "1 INVITE"), Nothing),
        ("an ACK of another version", with("ACK", "1 SIP/2.0", "1 SIP/7.0"), Nothing),
        ("an ACK that requires", with("ACK", "Contact:", "Require: x\r\nContact:"), Nothing),
        ("an ACK to a number", with("ACK", "ACK sip:bob@127.0.0.1", "ACK tel:+1"), Nothing),
        ("an ACK without Call-ID", without("ACK", "Call-ID"), Nothing),
        // RFC 6026 §8.9: "Otherwise, any element other than a stateless proxy MUST silently discard the
        // response."
        (
            "a response to nothing",
            with("OPTIONS", "OPTIONS sip:bob@127.0.0.1 SIP/2.0", "SIP/2.0 200 OK"),
            Nothing,
        ),
        (
            "a response to nothing, broken",
            with("OPTIONS", "OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\nVia:", "SIP/2.0 200 OK\r\nX:"),
            Nothing,
        ),
    ]
}

/// What a datagram may have wrong besides.
fn datagrams() -> Vec<Row> {
    let whole = good("INVITE");
    // A whole one is answered, in STUN.
    let stun = b"\x00\x01\x00\x04\x21\x12\xa4\x42twelve bytes".to_vec();
    vec![
        ("nothing at all", Vec::new(), Nothing),
        ("a keep-alive", b"\r\n\r\n".to_vec(), Nothing),
        ("another keep-alive", vec![0; 4], Nothing),
        ("a keep-alive of STUN, cut off", stun, Nothing),
        ("half a start line", whole.as_bytes()[..12].to_vec(), Nothing),
        ("cut before Via", whole.as_bytes()[..50].to_vec(), Nothing),
        // RFC 3261 §18.3: "If the transport packet ends before the end of the message body, this is considered
        // an error. If the message is a response, it MUST be discarded. If the message is a request, the
        // element SHOULD generate a 400 (Bad Request) response."
        ("cut in a field", whole.as_bytes()[..whole.len() - 30].to_vec(), BAD_REQUEST),
        ("cut before the empty line", whole.as_bytes()[..whole.len() - 2].to_vec(), BAD_REQUEST),
        ("a body that is cut", with("INVITE", "Length: 0", "Length: 10"), BAD_REQUEST),
        (
            "an endless body",
            with("INVITE", "Length: 0", "Length: 99999999999999999999"),
            BAD_REQUEST,
        ),
        ("a negative body", with("INVITE", "Length: 0", "Length: -1"), BAD_REQUEST),
        ("a body of two lengths", with("INVITE", "Contact:", "l: 7\r\nContact:"), BAD_REQUEST),
        ("a body of some length", with("INVITE", "Length: 0", "Length: 0 or so"), BAD_REQUEST),
        // RFC 3261 §18.3: "If there are additional bytes in the transport packet beyond the end of the
        // body, they MUST be discarded."
        (
            "more than was announced",
            [good("OPTIONS").into_bytes(), good("INVITE").into_bytes()].concat(),
            Answer(200, ALLOW),
        ),
    ]
}

/// What breaks a stream: what is owed, and then the end of the connection. The OPTIONS behind it is not heard.
fn streams() -> Vec<Row> {
    let head_without_end = format!("{}X: {}", &good("INVITE").trim_end(), "x".repeat(70_000));
    vec![
        ("half a start line", b"INVITE sip:bob\r\n".to_vec(), Nothing),
        // RFC 3261 §18.3: "In the case of stream-oriented transports such as TCP, the Content-Length header
        // field indicates the size of the body."
        ("no length", without("INVITE", "Content-Length"), BAD_REQUEST),
        ("a negative body", with("INVITE", "Length: 0", "Length: -1"), BAD_REQUEST),
        ("a body of two lengths", with("INVITE", "Contact:", "l: 7\r\nContact:"), BAD_REQUEST),
        ("an ACK of no length", without("ACK", "Content-Length"), Nothing),
        (
            "a response of no length",
            {
                let response = String::from_utf8(without("INVITE", "Content-Length")).unwrap();
                response.replace("INVITE sip:bob@127.0.0.1 SIP/2.0", "SIP/2.0 200 OK").into()
            },
            Nothing,
        ),
        ("a body beyond all limits", with("INVITE", "Length: 0", "Length: 99999999"), {
            Answer(513, &[])
        }),
        ("an endless body", with("INVITE", "Length: 0", "Length: 99999999999999999999"), {
            Answer(513, &[])
        }),
        ("a head without end", head_without_end.into(), Answer(513, &[])),
    ]
}

/// Bob, who answers every call and takes down how many came, and Alice, who calls him.
struct World {
    alice: UserAgent,
    bob: UserAgent,
    answering: tokio::task::JoinHandle<usize>,
    calls: usize,
}

/// Timers a tenth of the usual, so that a test can see the tables empty.
fn hurried() -> Config {
    let ms = Duration::from_millis;
    let config = Config::default().t1(ms(50)).t2(ms(200)).t4(ms(250));
    config.trying_after(ms(20)).seed([1, 2])
}

fn builder(name: &str) -> UserAgentBuilder {
    let account = Account::new(format!("sip:{name}@example.com").parse().unwrap());
    let builder = UserAgent::builder().account(account).transactions(hurried());
    builder.listen("udp:127.0.0.1:0".parse().unwrap()).listen("tcp:127.0.0.1:0".parse().unwrap())
}

fn addr(ua: &UserAgent, transport: Transport) -> SocketAddr {
    ua.locals().iter().find(|local| local.transport == transport).unwrap().addr
}

fn uri(ua: &UserAgent) -> Uri<'static> {
    format!("sip:bob@{}", addr(ua, Transport::Udp)).parse().unwrap()
}

async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("it takes too long")
}

impl World {
    async fn new() -> Self {
        let (alice, bob) =
            (builder("alice").start().await.unwrap(), builder("bob").start().await.unwrap());
        let taking = bob.clone();
        let answering = tokio::spawn(async move {
            let mut calls = 0;
            while let Some(Incoming::Invitation(invitation)) = taking.incoming().await {
                calls += 1;
                let mut call = invitation.accept(SDP).await.unwrap();
                tokio::spawn(async move { call.ended().await });
            }
            calls
        });
        Self { alice, bob, answering, calls: 0 }
    }

    /// A call goes through as if nothing were.
    async fn a_normal_call(&mut self) {
        self.calls += 1;
        let mut call = self.alice.call(uri(&self.bob)).offer(SDP).start().await.unwrap();
        match call.next().await {
            Some(CallEvent::Answered { .. }) => {}
            other => panic!("{other:?}"),
        }
        call.hang_up();
        assert!(matches!(call.ended().await, EndReason::Local));
    }

    /// Nothing is left at Bob's but so many transactions with a timer each, and he was called by nobody but
    /// Alice.
    async fn at_rest(mut self, left: usize) {
        self.a_normal_call().await;
        loop {
            let live = self.bob.live().await.unwrap();
            if (live.agent, live.transactions, live.timers) == (Live::default(), left, left) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.bob.shutdown().await;
        assert_eq!(self.answering.await.unwrap(), self.calls);
    }
}

/// The number and the address of the sender put in.
fn fill(bytes: &[u8], n: usize, via: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    text.replace("{n}", &n.to_string()).replace("{via}", via).into()
}

fn parse(bytes: &[u8]) -> Response {
    let bytes = Bytes::copy_from_slice(bytes);
    match Message::parse(bytes.clone(), &Limits::default()) {
        Ok(Message::Response(response)) => response,
        other => panic!("not a response: {other:?}: {}", String::from_utf8_lossy(&bytes)),
    }
}

/// The answer to a row is the one that is owed; gives the ACK if it needs one.
#[track_caller]
fn check(what: &str, response: &Response, owed: &Owed) -> Option<Vec<u8>> {
    let Answer(status, fields) = owed else { panic!("{what}: answered by {response:?}") };
    assert_eq!(response.status().as_u16(), *status, "{what}: {response:?}");
    response.validate().unwrap_or_else(|refusal| {
        // What the request lacks the response lacks too.
        assert_eq!(*status, 400, "{what}: {refusal}");
    });
    if response.headers().contains(HeaderName::To) {
        assert!(response.headers().to_tag().is_some(), "{what}: {response:?}");
    }
    for (name, text) in *fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = response.headers().raw(name).map(String::from_utf8_lossy);
        assert!(value.as_ref().is_some_and(|value| value.contains(text)), "{what}: {value:?}");
    }
    let cseq = response.headers().cseq().filter(|cseq| cseq.method() == Method::Invite)?;
    let mut ack = String::from("ACK sip:bob@127.0.0.1 SIP/2.0\r\n");
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        let value = String::from_utf8_lossy(response.headers().raw(name)?);
        write!(ack, "{}: {value}\r\n", name.as_str()).unwrap();
    }
    write!(ack, "CSeq: {} ACK\r\nContent-Length: 0\r\n\r\n", cseq.number).unwrap();
    Some(ack.into())
}

#[tokio::test]
async fn datagrams_get_what_they_are_owed() {
    within(async {
        let mut world = World::new().await;
        let mallory = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        mallory.connect(addr(&world.bob, Transport::Udp)).await.unwrap();
        let via = format!("UDP {}", mallory.local_addr().unwrap());
        let mut buffer = vec![0; 65_536];
        let rows = [rubbish(), unacceptable(), datagrams()];
        for (n, (what, bytes, owed)) in rows.into_iter().flatten().enumerate() {
            mallory.send(&fill(&bytes, n, &via)).await.unwrap();
            if let Answer(..) = owed {
                let len = mallory.recv(&mut buffer).await.unwrap();
                if let Some(ack) = check(what, &parse(&buffer[..len]), &owed) {
                    mallory.send(&ack).await.unwrap();
                }
            }
            // Bob answers in order, so that whatever else he said would be here before this.
            let probe = fill(good("OPTIONS").as_bytes(), 1_000 + n, &via);
            mallory.send(&probe).await.unwrap();
            loop {
                let len = mallory.recv(&mut buffer).await.unwrap();
                let response = parse(&buffer[..len]);
                if response.headers().call_id() == Some(&format!("bad-{}", 1_000 + n)) {
                    assert_eq!(response.status().as_u16(), 200);
                    break;
                }
                // What Timer G repeated before the ACK was there.
                let is_late =
                    response.headers().cseq().is_some_and(|c| c.method() == Method::Invite);
                assert!(is_late, "{what}: one answer too many: {response:?}");
                check(what, &response, &owed);
            }
            if n % 10 == 0 {
                world.a_normal_call().await;
            }
        }
        world.at_rest(0).await;
    })
    .await;
}

/// A connection to Bob.
struct Line {
    stream: TcpStream,
    via: String,
    read: Vec<u8>,
}

impl Line {
    async fn to(bob: &UserAgent) -> Self {
        let stream = TcpStream::connect(addr(bob, Transport::Tcp)).await.unwrap();
        let via = format!("TCP {}", stream.local_addr().unwrap());
        Self { stream, via, read: Vec::new() }
    }

    async fn send(&mut self, bytes: &[u8], n: usize) {
        // Bob may have closed by now.
        let _ = self.stream.write_all(&fill(bytes, n, &self.via)).await;
    }

    /// The next response; none if the connection ends.
    async fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let response = parse(&self.read[..end + 4]);
                assert!(response.body().is_empty());
                self.read.drain(..end + 4);
                return Some(response);
            }
            if self.stream.read_buf(&mut self.read).await.unwrap() == 0 {
                assert_eq!(String::from_utf8_lossy(&self.read), "", "left over");
                return None;
            }
        }
    }
}

#[tokio::test]
async fn streams_get_what_they_are_owed() {
    within(async {
        let mut world = World::new().await;
        // What ends a connection.
        for (n, (what, bytes, owed)) in [rubbish(), streams()].into_iter().flatten().enumerate() {
            let mut line = Line::to(&world.bob).await;
            line.send(&[bytes, good("OPTIONS").into()].concat(), n).await;
            if let Answer(..) = owed {
                let response = line.response().await.unwrap_or_else(|| panic!("{what}: nothing"));
                check(what, &response, &owed);
            }
            if let Some(more) = line.response().await {
                panic!("{what}: answered by {more:?}");
            }
            if n % 5 == 0 {
                world.a_normal_call().await;
            }
        }
        // What does not: the messages can be told apart, and the next is heard.
        let mut line = Line::to(&world.bob).await;
        for (n, (what, bytes, owed)) in unacceptable().into_iter().enumerate() {
            line.send(&bytes, 100 + n).await;
            if let Answer(..) = owed {
                let response = line.response().await.unwrap_or_else(|| panic!("{what}: closed"));
                if let Some(ack) = check(what, &response, &owed) {
                    line.send(&ack, 0).await;
                }
            }
            line.send(good("OPTIONS").as_bytes(), 1_000 + n).await;
            let response = line.response().await.unwrap_or_else(|| panic!("{what}: closed"));
            assert_eq!(response.status().as_u16(), 200, "{what}: {response:?}");
            assert_eq!(response.headers().call_id(), Some(&*format!("bad-{}", 1_000 + n)));
        }
        world.at_rest(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_may_come_in_pieces_with_keep_alives_and_end_anywhere() {
    within(async {
        let mut world = World::new().await;
        let mut line = Line::to(&world.bob).await;
        // RFC 3261 §7.5: "Implementations processing SIP messages over stream-oriented transports MUST
        // ignore any CRLF appearing before the start-line"
        line.send(b"\r\n", 0).await;
        for byte in fill(good("OPTIONS").as_bytes(), 1, &line.via) {
            line.stream.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(line.response().await.unwrap().status().as_u16(), 200);
        line.send(b"\r\n\r\n", 0).await;
        let mut pong = [0; 2];
        line.stream.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\r\n");
        world.a_normal_call().await;
        for cut in [1, 20, 100, good("INVITE").len() - 1] {
            let mut line = Line::to(&world.bob).await;
            line.send(&good("INVITE").as_bytes()[..cut], cut).await;
            line.stream.shutdown().await.unwrap();
            assert!(line.response().await.is_none(), "cut at {cut}");
        }
        drop(line);
        world.at_rest(0).await;
    })
    .await;
}

/// Alice calls Mallory: gives the call and the INVITE.
async fn called(world: &World, mallory: &UdpSocket) -> (sip_ua::Call, sip_message::Request) {
    let to = format!("sip:mallory@{}", mallory.local_addr().unwrap()).parse().unwrap();
    let call = world.bob.call(to).offer(SDP).start().await.unwrap();
    let mut buffer = vec![0; 65_536];
    let len = mallory.recv(&mut buffer).await.unwrap();
    match Message::parse(Bytes::copy_from_slice(&buffer[..len]), &Limits::default()).unwrap() {
        Message::Request(invite) if *invite.method() == Method::Invite => (call, invite),
        other => panic!("{other:?}"),
    }
}

// RFC 3261 §18.1.2: "If the value of the "sent-by" parameter in that header field value does not correspond to a
// value that the client transport is configured to insert into requests, the response MUST be silently discarded."
// What is not well-formed goes the same way.
#[tokio::test]
async fn responses_that_are_not_acceptable_change_nothing() {
    within(async {
        let world = World::new().await;
        let mallory = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        mallory.connect(addr(&world.bob, Transport::Udp)).await.unwrap();
        let (mut call, invite) = called(&world, &mallory).await;
        let contact = b"<sip:mallory@127.0.0.1>";
        let answer = |status: u16| {
            let status = sip_message::StatusCode::new(status).unwrap();
            let response = Response::to_request(&invite, status).to_tag("m");
            let response = response.raw(HeaderName::Contact, contact).build().unwrap();
            String::from_utf8(response.to_bytes().to_vec()).unwrap()
        };
        let (ok, busy) = (answer(200), answer(486));
        let sent_by = addr(&world.bob, Transport::Udp).to_string();
        let call_id = invite.headers().call_id().unwrap();
        for bad in [
            ok.replace("\r\nCSeq", "\r\nX-CSeq"),
            ok.replace("1 INVITE", "1 OPTIONS"),
            ok.replace("1 INVITE", "INVITE"),
            ok.replace("\r\nTo", "\r\nX-To"),
            ok.replace("\r\nFrom", "\r\nX-From"),
            ok.replace("\r\nVia", "\r\nX-Via"),
            ok.replace(&sent_by, "192.0.2.99:5060"),
            ok.replace("branch=z9hG4bK", "branch=z9hG4bKx"),
            ok.replace("SIP/2.0 200", "SIP/2.0 700"),
            ok.replace("SIP/2.0 200", "SIP/4.0 200"),
            ok.replace("Content-Length: 0", "Content-Length: 4000"),
            ok.replace("Content-Length: 0", "Content-Length: -5"),
            busy.replace(call_id, "a b c"),
            busy[..busy.len() - 20].to_owned(),
            answer(180).replacen("Via:", "Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKq\r\nVia:", 1),
        ] {
            assert!(bad != ok && bad != busy, "nothing was changed");
            mallory.send(bad.as_bytes()).await.unwrap();
        }
        mallory.send(busy.as_bytes()).await.unwrap();
        match call.next().await {
            Some(CallEvent::Ended(EndReason::Rejected(response))) => {
                assert_eq!(response.status().as_u16(), 486);
            }
            other => panic!("{other:?}"),
        }
        // Timer D, which absorbs repeats of the 486 for 32 s.
        world.at_rest(1).await;
    })
    .await;
}

// RFC 3261 §8.2.2.2: "The UAS core SHOULD generate a 482 (Loop Detected)
// response and pass it to the server transaction."
#[tokio::test]
async fn a_request_that_comes_by_two_ways_is_482() {
    within(async {
        let bob = builder("bob").start().await.unwrap();
        let mallory = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        mallory.connect(addr(&bob, Transport::Udp)).await.unwrap();
        let via = format!("UDP {}", mallory.local_addr().unwrap());
        let message = with_body("MESSAGE", "Content-Type: text/plain\r\n", "hello");
        mallory.send(&fill(&message, 1, &via)).await.unwrap();
        let Some(Incoming::Request(first)) = bob.incoming().await else { panic!() };
        let other = String::from_utf8(fill(&message, 1, &via)).unwrap();
        let other = other.replace("z9hG4bK-1", "z9hG4bK-2");
        mallory.send(other.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 65_536];
        let len = mallory.recv(&mut buffer).await.unwrap();
        let looped = parse(&buffer[..len]);
        assert_eq!(looped.status().as_u16(), 482);
        assert_eq!(looped.headers().branch(), Some("z9hG4bK-2"));
        first.reply(sip_message::StatusCode::OK).await.unwrap();
        let len = mallory.recv(&mut buffer).await.unwrap();
        assert_eq!(parse(&buffer[..len]).status().as_u16(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_answers_503_with_retry_after_and_lets_calls_end() {
    within(async {
        let bob = builder("bob").incoming_queue(2).start().await.unwrap();
        let mallory = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        mallory.connect(addr(&bob, Transport::Udp)).await.unwrap();
        let via = format!("UDP {}", mallory.local_addr().unwrap());
        let mut buffer = vec![0; 65_536];
        // Two wait, and nobody looks.
        for n in 0..2 {
            mallory.send(&fill(good("INVITE").as_bytes(), n, &via)).await.unwrap();
        }
        let message = with_body("MESSAGE", "Content-Type: text/plain\r\n", "hello");
        let full = Answer(503, &[("Retry-After", "")]);
        for (n, bytes) in [good("INVITE").into(), message.clone(), good("INVITE").into(), message]
            .into_iter()
            .enumerate()
        {
            mallory.send(&fill(&bytes, 10 + n, &via)).await.unwrap();
            let id = format!("bad-{}", 10 + n);
            let response = loop {
                let len = mallory.recv(&mut buffer).await.unwrap();
                let response = parse(&buffer[..len]);
                // The two that wait have a 100 by and by.
                if response.headers().call_id() == Some(&id) {
                    break response;
                }
                assert!(response.status().as_u16() == 100 || response.status().as_u16() == 503);
            };
            if let Some(ack) = check("one too many", &response, &full) {
                mallory.send(&ack).await.unwrap();
            }
        }
        // What asks for nothing new is served: those who wait may give up.
        for n in 0..2 {
            // RFC 3261 §8.2.2.3: "These header fields MUST be ignored if they are present
            // in these requests."
            let cancel = with("CANCEL", "To:", "Require: nothing\r\nTo:");
            mallory.send(&fill(&cancel, n, &via)).await.unwrap();
        }
        let mut seen = BTreeSet::new();
        let wanted =
            ["bad-0 200 CANCEL", "bad-0 487 INVITE", "bad-1 200 CANCEL", "bad-1 487 INVITE"];
        while !wanted.iter().all(|line| seen.contains(*line)) {
            let len = mallory.recv(&mut buffer).await.unwrap();
            let response = parse(&buffer[..len]);
            let (status, headers) = (response.status().as_u16(), response.headers());
            let (id, method) = (headers.call_id().unwrap(), headers.cseq().unwrap().method());
            seen.insert(format!("{id} {status} {method}"));
            if status == 487 {
                let ack = check("cancelled", &response, &Answer(487, &[])).unwrap();
                mallory.send(&ack).await.unwrap();
            }
        }
        // And room is made by whoever looks.
        for _ in 0..2 {
            let Some(Incoming::Invitation(_)) = bob.incoming().await else { panic!() };
        }
        mallory.send(&fill(good("INVITE").as_bytes(), 50, &via)).await.unwrap();
        let Some(Incoming::Invitation(invitation)) = bob.incoming().await else { panic!() };
        assert_eq!(invitation.request().headers().call_id(), Some("bad-50"));
    })
    .await;
}

/// What comes in a call that is well: what, its method and CSeq, what is added, its body, and what is owed.
type InCall = (&'static str, &'static str, u64, &'static str, &'static str, u16);

// RFC 3261 §12.2.2: "If the remote sequence number was not empty, but the sequence number
// of the request is lower than the remote sequence number, the request
// is out of order and MUST be rejected with a 500 (Server Internal
// Error) response."
// RFC 3262 §3: "the UAS MUST respond to
// the PRACK with a 481 response."
#[tokio::test]
async fn what_is_wrong_in_a_call_is_refused_and_the_call_goes_on() {
    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    const SHRUNK: &str =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    const MULTIPLE: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 300\r\n";
    const RACK: &str = "RAck: 1 10 INVITE\r\n";
    let rows: [InCall; 16] = [
        ("a CSeq that goes back", "MESSAGE", 9, "", "", 500),
        ("a CSeq that was there", "MESSAGE", 10, "", "", 500),
        ("a CSeq of 2^31", "MESSAGE", 1 << 31, "", "", 400),
        ("a CSeq of 2^32", "MESSAGE", 1 << 32, "", "", 400),
        ("an unknown extension", "MESSAGE", 11, "Require: nothing\r\n", "", 420),
        ("an unknown extension", "UPDATE", 12, "Require: nothing\r\n", OFFER, 420),
        ("a PRACK of nothing", "PRACK", 13, RACK, "", 481),
        ("a PRACK that does not say of what", "PRACK", 14, "", "", 400),
        ("a PRACK of half a response", "PRACK", 15, "RAck: 1 10\r\n", "", 400),
        ("a PRACK of number 0", "PRACK", 16, "RAck: 0 10 INVITE\r\n", "", 400),
        ("an offer that is none", "UPDATE", 17, "", "hello\r\n", 400),
        ("an offer with fewer streams", "UPDATE", 18, "", SHRUNK, 488),
        ("the same in a re-INVITE", "INVITE", 19, "", SHRUNK, 488),
        ("an offer that cannot be read", "INVITE", 20, "", MULTIPLE, 400),
        ("nothing wrong", "UPDATE", 21, "", OFFER, 200),
        ("nothing wrong", "MESSAGE", 22, "", "", 200),
    ];
    within(async {
        let bob = builder("bob").start().await.unwrap();
        let mallory = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        mallory.connect(addr(&bob, Transport::Udp)).await.unwrap();
        let via = format!("UDP {}", mallory.local_addr().unwrap());
        let audio = sip_sdp::Medium::audio().codec(sip_sdp::Codec::PCMU).at(4002);
        let mut media = sip_sdp::MediaSession::new(2, [127, 0, 0, 1].into()).stream(audio);
        let taking = bob.clone();
        let answering = tokio::spawn(async move {
            let Some(Incoming::Invitation(invitation)) = taking.incoming().await else { panic!() };
            let (answer, _) = media.answer(invitation.offer()).unwrap();
            let mut call = invitation.accept(answer).await.unwrap();
            loop {
                match call.next().await {
                    Some(CallEvent::Modification(change)) => match media.answer(change.offer()) {
                        Ok((answer, _)) => change.accept(answer).await.unwrap(),
                        Err(error) => change.reject(error.status()).await.unwrap(),
                    },
                    Some(CallEvent::Request(request)) => {
                        request.reply(sip_message::StatusCode::OK).await.unwrap();
                    }
                    Some(CallEvent::Ended(reason)) => return reason,
                    Some(_) => {}
                    None => panic!("no end"),
                }
            }
        });
        let mut buffer = vec![0; 65_536];
        let request = |method: &str, cseq: u64, tag: &str, more: &str, body: &str| {
            let fields = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
            let text = with_body(method, &format!("{more}{fields}"), body);
            let text = String::from_utf8(fill(&text, 7, &via)).unwrap();
            text.replace("z9hG4bK-7", &format!("z9hG4bK-{method}-{cseq}"))
                .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
                .replace("To: <sip:bob@127.0.0.1>", &format!("To: <sip:bob@127.0.0.1>{tag}"))
        };
        mallory.send(request("INVITE", 10, "", "", OFFER).as_bytes()).await.unwrap();
        let ok = loop {
            let len = mallory.recv(&mut buffer).await.unwrap();
            let response = parse(&buffer[..len]);
            if response.status().as_u16() == 200 {
                break response;
            }
        };
        let tag = format!(";tag={}", ok.headers().to_tag().unwrap());
        let ack = request("ACK", 10, &tag, "", "");
        mallory.send(ack.as_bytes()).await.unwrap();
        for (what, method, cseq, more, body, status) in rows {
            mallory.send(request(method, cseq, &tag, more, body).as_bytes()).await.unwrap();
            let response = loop {
                let len = mallory.recv(&mut buffer).await.unwrap();
                let response = parse(&buffer[..len]);
                let late = response.headers().cseq().is_some_and(|c| u64::from(c.number) < cseq);
                if response.status().as_u16() >= 200 && (!late || status == 400) {
                    break response;
                }
            };
            let got = response.status().as_u16();
            assert_eq!(got, status, "{what}: {response:?}");
            if status == 420 {
                let unsupported = response.headers().raw(HeaderName::Unsupported);
                assert_eq!(unsupported, Some(&b"nothing"[..]), "{what}");
            }
            if method == "INVITE" {
                let refused = format!("z9hG4bK-INVITE-{cseq}");
                let ack = request("ACK", cseq, &tag, "", "");
                let ack = ack.replace(&format!("z9hG4bK-ACK-{cseq}"), &refused);
                mallory.send(ack.as_bytes()).await.unwrap();
            }
        }
        mallory.send(request("BYE", 30, &tag, "", "").as_bytes()).await.unwrap();
        assert!(matches!(answering.await.unwrap(), EndReason::Remote));
    })
    .await;
}
