//! Ten thousand connections that say nothing: what each costs, whether others are served, and whether
//! every one of them ends in time. Alone in its binary, since it counts what this process allocates; the
//! far ends are another process, because both together need more descriptors than one may have.
#![cfg(all(feature = "tcp", target_os = "linux"))]
// clippy.toml allows these in test functions; here are their helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::alloc::System;
use std::future::poll_fn;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sip_message::Transport;
use sip_transport::{Config, Destination, Input, Sockets, Transmit, TransportError};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 10_000;
const TO: &str = "IDLE_CONNECTIONS_TO";
const COUNT: &str = "IDLE_CONNECTIONS_COUNT";

const REQUEST: &[u8] = b"OPTIONS sip:b@example.com SIP/2.0\r\nContent-Length: 0\r\n\r\n";
const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn ten_thousand_idle_connections_are_cheap_hinder_nobody_and_end_in_time() {
    // As many as descriptors allow, which are 10,000 on any server that is set up to take them.
    let count = descriptors().saturating_sub(200).min(CONNECTIONS);
    assert!(count >= 500, "too few file descriptors for this test: {count}");
    let idle = Duration::from_secs(4);
    let config = Config::default().idle_timeout(idle).connections(count + 1);
    let mut sockets = Sockets::bind(&["tcp:127.0.0.1:0".parse().unwrap()], config).unwrap();
    let to = sockets.locals().first(Transport::Tcp).unwrap().addr;
    let before = Region::new(ALLOCATOR);
    let begun = Instant::now();

    let mut far_ends = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "far_ends", "--nocapture"])
        .envs([(TO, to.to_string()), (COUNT, count.to_string())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ended = 0;
    let all_open = |sockets: &Sockets, _: usize| sockets.connections() == count;
    run(&mut sockets, &mut ended, all_open).await;
    let open_after = begun.elapsed();
    let held = before.change();
    let each = (held.bytes_allocated - held.bytes_deallocated) / count;

    // Somebody else.
    let mut peer = TcpStream::connect(to).await.unwrap();
    let mut worst = Duration::ZERO;
    for _ in 0..100 {
        let asked = Instant::now();
        peer.write_all(REQUEST).await.unwrap();
        let mut answer = vec![0; RESPONSE.len()];
        tokio::select! {
            answered = peer.read_exact(&mut answer) => { answered.unwrap(); }
            () = run(&mut sockets, &mut ended, |_, _| false) => {}
        }
        assert_eq!(answer, RESPONSE);
        worst = worst.max(asked.elapsed());
    }
    drop(peer);

    run(&mut sockets, &mut ended, |sockets, _| sockets.connections() == 0).await;
    let all_closed = begun.elapsed();
    println!(
        "{count} idle connections, open after {open_after:.1?}: {each} bytes each; the worst of 100 \
         answers to another took {worst:.1?}; the last closed after {all_closed:.1?}"
    );
    assert_eq!(ended, count, "each is closed for its idleness");
    assert!(all_closed >= idle);
    // Without the buffers of the kernel.
    assert!(each < 4 * 1024, "{each} bytes each");

    drop(far_ends.stdin.take());
    let mut output = String::new();
    far_ends.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.contains(&format!("all open: {count}")), "{output}");
    assert!(far_ends.wait().unwrap().success());
}

/// Serves until it is so; counts the connections closed because they were idle.
async fn run(sockets: &mut Sockets, ended: &mut usize, is_it: impl Fn(&Sockets, usize) -> bool) {
    let patience = Instant::now() + Duration::from_secs(100);
    let mut inputs = Vec::new();
    while !is_it(sockets, *ended) {
        let some = timeout_at(patience, async {
            tokio::select! {
                () = poll_fn(|cx| sockets.poll_recv(cx, &mut inputs)) => {}
                // A new connection is no input.
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        });
        some.await.expect("it comes to pass");
        for input in inputs.drain(..) {
            match input {
                Input::Message { flow, .. } => sockets.send(Transmit {
                    destination: Destination::Flow(flow),
                    fallback: None,
                    domain: None,
                    payload: Bytes::from_static(RESPONSE),
                    token: 0,
                }),
                Input::Closed { error, .. } => {
                    *ended += usize::from(error == Some(TransportError::Idle));
                }
                _ => {}
            }
        }
    }
}

/// Not a test by itself: the other process.
#[tokio::test]
#[ignore = "run by the test of idle connections, in a process of its own"]
async fn far_ends() {
    descriptors();
    let variable = |name| std::env::var(name).expect("the variables of the test");
    let to: SocketAddr = variable(TO).parse().unwrap();
    let count: usize = variable(COUNT).parse().unwrap();
    let mut open = Vec::new();
    for number in 0..count {
        // No more from one address than the default allows.
        let host = u8::try_from(2 + number / 900).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
        open.push(socket.connect(to).await.unwrap());
    }
    println!("all open: {}", open.len());
    // Until the test has seen enough.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Raises the limit of file descriptors as far as it may go; how many there are then.
fn descriptors() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = getrlimit(Resource::Nofile).current;
    allowed.map_or(usize::MAX, |allowed| usize::try_from(allowed).unwrap_or(usize::MAX))
}
