//! What idle connections cost: `cargo run --release -p benches --features tls --bin idle TRANSPORT [COUNT]`, where
//! TRANSPORT is tcp, tls, ws or wss.
//!
//! 10,000 connections (or COUNT) shake hands, ask once and are answered, so that every buffer was used; then
//! they say nothing more. Printed is what this process holds for each, counted by an allocator that counts, and
//! what the system says of its memory; ends with a failure above 24 KiB each, or if a connection does not end in
//! time. The far ends are another process, because both together need more descriptors than one may have.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here fails on this machine, and ends the run aloud"
)]

use std::alloc::System;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sip_message::Transport;
use sip_transport::tls::{Certificate, Tls};
use sip_transport::{
    Config, Destination, Input, ListenAddr, Sockets, Transmit, TransportError, WsConfig,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 10_000;
const LIMIT: usize = 24 * 1024;
const IDLE: Duration = Duration::from_secs(90);

const TO: &str = "IDLE_TO";
const BY: &str = "IDLE_BY";
const COUNT: &str = "IDLE_COUNT";
const ROOT: &str = "IDLE_ROOT";

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

const DOMAIN: &str = "example.com";
const REQUEST: &[u8] = b"OPTIONS sip:b@example.com SIP/2.0\r\nContent-Length: 0\r\n\r\n";
const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Ok(to) = std::env::var(TO) {
        far_ends(to.parse().unwrap()).await;
        return ExitCode::SUCCESS;
    }
    let mut args = std::env::args().skip(1);
    let named = args.next().and_then(|name| name.parse().ok());
    let Some(transport @ (Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss)) =
        named
    else {
        eprintln!("idle: say tcp, tls, ws or wss");
        return ExitCode::FAILURE;
    };
    let asked_for = args.next().map_or(CONNECTIONS, |count| count.parse().unwrap());
    let count = descriptors().saturating_sub(200).min(asked_for);
    let (tls, root) = set_up();
    let config = Config::default()
        .tls(Some(tls))
        // A ping would be something said.
        .ws(WsConfig::default().ping(Duration::ZERO))
        .idle_timeout(IDLE)
        .connections(count)
        .connections_per_peer(count);
    let listen = ListenAddr::new(transport, (Ipv4Addr::LOCALHOST, 0).into());
    let mut sockets = Sockets::bind(&[listen], config).unwrap();
    let to = sockets.locals().first(transport).unwrap().addr;
    let (heap, resident) = (Region::new(ALLOCATOR), resident());
    let begun = Instant::now();
    let mut far_ends = Command::new(std::env::current_exe().unwrap())
        .envs([(TO, to.to_string()), (BY, transport.to_string())])
        .envs([(COUNT, count.to_string()), (ROOT, root)])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();

    let (mut answered, mut ended, mut early) = (0, 0, 0);
    let mut inputs = Vec::new();
    let mut each = None;
    let mut open_after = Duration::ZERO;
    while answered < count || sockets.connections() > 0 {
        tokio::select! {
            () = poll_fn(|cx| sockets.poll_recv(cx, &mut inputs)) => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                // All is quiet.
                if answered == count && each.is_none() {
                    let held = heap.change();
                    each = Some((held.bytes_allocated - held.bytes_deallocated) / count);
                    open_after = begun.elapsed();
                    let resident = (self::resident() - resident) / count;
                    println!(
                        "{count} idle {transport} connections: {} bytes each on the heap, {resident} resident",
                        each.unwrap_or_default(),
                    );
                }
            }
        }
        for input in inputs.drain(..) {
            match input {
                Input::Message { flow, .. } => {
                    answered += 1;
                    sockets.send(Transmit {
                        destination: Destination::Flow(flow),
                        fallback: None,
                        payload: Bytes::from_static(RESPONSE),
                        domain: None,
                        token: 0,
                    });
                }
                Input::Closed { error: Some(TransportError::Idle), .. } => {
                    ended += 1;
                    early += usize::from(begun.elapsed() < IDLE);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(begun.elapsed() < 4 * IDLE, "{} are still open", sockets.connections());
    }
    let over = begun.elapsed();
    let each = each.expect("they were all open at once");
    println!(
        "all open and answered after {open_after:.1?}; {ended} ended for their idleness, {early} of them early, \
         the last after {over:.1?}"
    );
    drop(far_ends.stdin.take());
    let peers = far_ends.wait().unwrap();
    // Each ends between once and twice the time, counted from its last message.
    let in_time = ended == count && early == 0 && over < open_after + 2 * IDLE + IDLE / 4;
    if each <= LIMIT && in_time && peers.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn set_up() -> (Tls, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([DOMAIN.to_owned()]).unwrap().signed_by(&key, &issuer);
    let (own, key) = (own.unwrap().pem(), key.serialize_pem());
    let own = Certificate::from_pem(own.as_bytes(), key.as_bytes()).unwrap();
    let tls = Tls::builder().certificate(own).roots_pem(root.as_bytes()).unwrap();
    (tls.build().unwrap(), root)
}

/// The other process: opens them one after the other, asks once on each, and waits.
async fn far_ends(to: SocketAddr) {
    descriptors();
    let count: usize = std::env::var(COUNT).unwrap().parse().unwrap();
    let mut roots = RootCertStore::empty();
    let root = std::env::var(ROOT).unwrap();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let transport: Transport = std::env::var(BY).unwrap().parse().unwrap();
    let is_web = matches!(transport, Transport::Ws | Transport::Wss);
    let mut open = Vec::new();
    for number in 0..count {
        let host = u8::try_from(2 + number / 5_000).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
        let stream = socket.connect(to).await.unwrap();
        let mut stream: Box<dyn Stream> = if matches!(transport, Transport::Tls | Transport::Wss) {
            Box::new(connector.connect(DOMAIN.try_into().unwrap(), stream).await.unwrap())
        } else {
            Box::new(stream)
        };
        if is_web {
            stream.write_all(UPGRADE).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "));
            // A text frame, masked by zeros; in one piece, or the system waits before it sends the second.
            let len = u8::try_from(REQUEST.len()).unwrap();
            assert!(len < 126);
            let head = [0x81, 0x80 | len, 0, 0, 0, 0];
            stream.write_all(&[&head, REQUEST].concat()).await.unwrap();
        } else {
            stream.write_all(REQUEST).await.unwrap();
        }
        let mut answer = vec![0; RESPONSE.len() + if is_web { 2 } else { 0 }];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.ends_with(RESPONSE));
        open.push(stream);
    }
    for mut stream in open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What the system says this process has in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Raises the limit of descriptors as far as it goes; gives it.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let current = getrlimit(Resource::Nofile).current;
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX)
}
