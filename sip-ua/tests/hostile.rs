//! Calls go through while others misuse their connections: the whole stack over loopback. Prints what the
//! calls felt of it (`cargo test -p sip-ua --test hostile -- --nocapture`).
#![cfg(all(feature = "udp", feature = "tcp"))]
// The helpers of tests are tests too, but clippy knows only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_message::{Transport, Uri};
use sip_ua::{CallEvent, EndReason, Incoming, UserAgent, UserAgentBuilder};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

const OPTIONS: &str = "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{n}\r\n\
    From: <sip:m@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\n\
    Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// How one misuses a connection.
#[derive(Clone, Copy, Debug)]
enum Misuse {
    /// Says nothing.
    Silence,
    /// The same bytes without end, and never reads.
    Pour(&'static str, &'static str),
    /// Good requests without end, whose answers are never read.
    Ask,
    /// A byte now and then.
    Drip,
    /// One bad stream after the other.
    Knock(&'static str),
}

const MISUSES: &[Misuse] = &[
    Misuse::Silence,
    Misuse::Pour("", "\r\n\r\n"),
    Misuse::Pour("INVITE sip:bob@example.com SIP/2.0\r\n", "X: y\r\n"),
    Misuse::Pour("INVITE sip:bob@example.com SIP/2.0\r\nX: ", "xxxxxx"),
    Misuse::Ask,
    Misuse::Drip,
    Misuse::Knock("GET / HTTP/1.1\r\n\r\n"),
    Misuse::Knock(
        "INVITE sip:bob@example.com SIP/2.0\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ),
    Misuse::Knock("OPTIONS sip:bob@example.com SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n"),
];

/// Misuses connections till it is ended.
async fn misuse(how: Misuse, to: SocketAddr) {
    let mut number = 0_u64;
    loop {
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        let mut number_of = |text: &str| {
            number += 1;
            text.replace("{n}", &number.to_string())
        };
        let written: std::io::Result<()> = async {
            match how {
                Misuse::Silence => std::future::pending().await,
                Misuse::Pour(head, again) => {
                    stream.write_all(head.as_bytes()).await?;
                    let chunk = again.repeat(1000);
                    loop {
                        stream.write_all(chunk.as_bytes()).await?;
                    }
                }
                Misuse::Ask => loop {
                    stream.write_all(number_of(OPTIONS).as_bytes()).await?;
                },
                Misuse::Drip => {
                    for byte in number_of(OPTIONS).into_bytes() {
                        stream.write_all(&[byte]).await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Ok(())
                }
                Misuse::Knock(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Ok(())
                }
            }
        }
        .await;
        drop(written); // closed by the server, or another turn
    }
}

fn builder() -> UserAgentBuilder {
    let ms = Duration::from_millis;
    let transport =
        sip_transport::Config::default().message_timeout(ms(300)).stall_timeout(ms(300));
    // Timers a tenth of the usual, so that the tables empty soon.
    let transactions = sip_transaction::Config::default().t1(ms(50)).t2(ms(200)).t4(ms(250));
    UserAgent::builder()
        .transactions(transactions.trying_after(ms(20)))
        .transport(transport.linger(ms(100)).write_queue_bytes(64 * 1024))
        .listen("udp:127.0.0.1:0".parse().unwrap())
        .listen("tcp:127.0.0.1:0".parse().unwrap())
}

fn addr(ua: &UserAgent, transport: Transport) -> SocketAddr {
    ua.locals().iter().find(|local| local.transport == transport).unwrap().addr
}

/// Calls, is answered, hangs up; how long it took to the answer.
async fn call(alice: &UserAgent, uri: &str) -> Duration {
    let uri: Uri<'static> = uri.parse().unwrap();
    let begun = Instant::now();
    let mut call = alice.call(uri).offer(SDP).start().await.unwrap();
    let answered = loop {
        match call.next().await {
            Some(CallEvent::Answered { .. }) => break begun.elapsed(),
            Some(CallEvent::Ringing { .. } | CallEvent::Progress { .. }) => {}
            other => panic!("not answered: {other:?}"),
        }
    };
    call.hang_up();
    assert!(matches!(call.ended().await, EndReason::Local));
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_through_while_others_misuse_their_connections() {
    let alice = builder().start().await.unwrap();
    let bob = builder().start().await.unwrap();
    let taking = bob.clone();
    let answering = tokio::spawn(async move {
        let mut calls = 0;
        while let Some(incoming) = taking.incoming().await {
            let Incoming::Invitation(invitation) = incoming else { panic!("{incoming:?}") };
            calls += 1;
            let mut call = invitation.accept(SDP).await.unwrap();
            tokio::spawn(async move { call.ended().await });
        }
        calls
    });
    let mut misusers = JoinSet::new();
    for &how in MISUSES {
        for _ in 0..4 {
            misusers.spawn(misuse(how, addr(&bob, Transport::Tcp)));
        }
    }
    let (over_udp, over_tcp) = (
        format!("sip:bob@{}", addr(&bob, Transport::Udp)),
        format!("sip:bob@{};transport=tcp", addr(&bob, Transport::Tcp)),
    );
    let begun = Instant::now();
    let (mut calls, mut times) = (0, [Vec::new(), Vec::new()]);
    while begun.elapsed() < Duration::from_secs(2) {
        for (times, uri) in times.iter_mut().zip([&over_udp, &over_tcp]) {
            let call = tokio::time::timeout(Duration::from_secs(20), call(&alice, uri));
            times.push(call.await.expect("a call is held up"));
            calls += 1;
        }
    }
    misusers.shutdown().await;
    for (mut times, name) in times.into_iter().zip(["UDP", "TCP"]) {
        times.sort_unstable();
        let (count, median) = (times.len(), times.get(times.len() / 2).unwrap());
        println!(
            "{count} calls over {name}: median {median:.1?}, worst {:.1?}",
            times.last().unwrap()
        );
    }
    // Nothing of all that is left, and nobody else called.
    loop {
        let live = bob.live().await.unwrap();
        if live.agent == sip_ua::Live::default() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bob.shutdown().await;
    assert_eq!(answering.await.unwrap(), calls);
}
