//! What one that floods does to another's calls: `cargo run --release -p benches --bin flood`.
//!
//! A server of calls on 127.0.0.1; a caller on 127.0.0.2 that places 100 calls a second, over UDP and over
//! TCP. For a third of the time nobody else is there. Then somebody on 127.0.0.3 sends 20,000 datagrams a second
//! that are no SIP or bad SIP; at last he sends good OPTIONS instead, over four connections, as fast as they are
//! taken. Printed are the median times from the call to its answer, without a flood and with each. It fails if a
//! call is lost, or if a median grows by a factor of 3 or more.
#![allow(
    clippy::expect_used,
    reason = "what cannot go wrong on one's own machine ends the run aloud"
)]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sip_message::Uri;
use sip_ua::{CallEvent, Incoming, UserAgent};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

const CALLS_PER_SECOND: u32 = 100;
const DATAGRAMS_PER_SECOND: u32 = 20_000;
const SECONDS: u32 = 10;
const WANTED: u32 = CALLS_PER_SECOND * SECONDS;
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];
const STREAMS: usize = 4;

/// How much the median may grow, at most.
const FACTOR: u32 = 3;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0\r\n";

/// What is sent in turn: the first is no SIP; the others get as far as SIP does that is refused.
const BAD: &[&str] = &[
    "\u{0}\u{1}\u{2}\u{3} this is no SIP, and no datagram that anybody wanted",
    "INVITE sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3:5060;branch=z9hG4bKx\r\n",
    "OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKx\r\n\
     From: <sip:a@127.0.0.3>;tag=1\r\nTo: <sip:100@127.0.0.1>\r\nCall-ID: x\r\nCSeq: many OPTIONS\r\n\
     Content-Length: 0\r\n\r\n",
    "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKy\r\n\
     From: <sip:a@127.0.0.3>;tag=1\r\nTo: <sip:a@127.0.0.3>\r\nCall-ID: y\r\nCSeq: 1 REGISTER\r\n\
     Content-Length: 18446744073709551615\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKz\r\nCSeq: 1 INVITE\r\n\r\n",
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let (at_sender, at) = oneshot::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(serve(at_sender))
    });
    let to = at.blocking_recv()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut is_well = true;
    let mut calm = Vec::new();
    for transport in TRANSPORTS {
        let calls = runtime.block_on(call(to, transport))?;
        println!("over {transport} without a flood: {calls}");
        is_well &= calls.answered == WANTED;
        calm.push(calls.median);
    }
    let mut flooded = |what: &str| -> Result<(), Box<dyn Error>> {
        for (transport, calm) in TRANSPORTS.into_iter().zip(&calm) {
            let calls = runtime.block_on(call(to, transport))?;
            let ratio = calls.median.as_secs_f64() / calm.as_secs_f64();
            println!("over {transport} under {what}: {calls}; the median is {ratio:.2} times that");
            is_well &= calls.answered == WANTED && ratio < f64::from(FACTOR);
        }
        Ok(())
    };
    let flood = Flood::start(to)?;
    flooded("bad datagrams")?;
    let sent = flood.stop();
    println!("{sent:.0} bad datagrams were sent a second");
    let streams = Streams::start(to)?;
    flooded("good OPTIONS of four connections")?;
    let answered = streams.stop();
    println!("{answered:.0} OPTIONS were answered a second");
    let is_flood = sent >= 0.95 * f64::from(DATAGRAMS_PER_SECOND) && answered >= 1_000.0;
    if !is_flood {
        println!("that is no flood: this machine is too busy to send as much");
    }
    Ok(is_flood && is_well)
}

/// Answers every call at once.
async fn serve(at: oneshot::Sender<SocketAddr>) {
    let listen = "udp:127.0.0.1:0".parse().expect("an address");
    let ua = UserAgent::builder().listen(listen).start().await.expect("a free port");
    let local = ua.locals().iter().next().expect("a listener").addr;
    at.send(local).expect("somebody waits for it");
    while let Some(incoming) = ua.incoming().await {
        if let Incoming::Invitation(invitation) = incoming {
            tokio::spawn(async move {
                let Ok(mut call) = invitation.accept(SDP).await else { return };
                while call.next().await.is_some() {}
            });
        }
    }
}

/// What came of the calls of one half.
struct Calls {
    answered: u32,
    median: Duration,
    /// The time that all but one in a hundred took at most.
    p99: Duration,
    worst: Duration,
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answered, median, p99, worst } = self;
        write!(
            f,
            "{answered} of {WANTED} calls answered; median {median:.0?}, 99 of 100 within {p99:.0?}, \
             worst {worst:.0?}"
        )
    }
}

/// Places calls at the rate, each a moment long.
async fn call(to: SocketAddr, transport: &str) -> Result<Calls, Box<dyn Error>> {
    let ua =
        UserAgent::builder().listen(format!("{transport}:127.0.0.2:0").parse()?).start().await?;
    let uri: Uri<'static> = format!("sip:100@{to};transport={transport}").parse()?;
    let (times_sender, mut times) = mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / CALLS_PER_SECOND);
    for _ in 0..WANTED {
        tick.tick().await;
        let (ua, uri, times) = (ua.clone(), uri.clone(), times_sender.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let Ok(mut call) = ua.call(uri).offer(SDP).start().await else { return };
            while let Some(event) = call.next().await {
                match event {
                    CallEvent::Answered { .. } => {
                        let _ = times.send(begun.elapsed());
                        call.hang_up();
                    }
                    CallEvent::Ended(_) => return,
                    _ => {}
                }
            }
        });
    }
    drop(times_sender);
    let mut answered = Vec::new();
    // Each that gets no answer ends by Timer B, and gives its sender up.
    while let Some(time) = times.recv().await {
        answered.push(time);
    }
    answered.sort_unstable();
    let at = |percent: usize| {
        let place = answered.len().saturating_sub(1) * percent / 100;
        answered.get(place).copied().unwrap_or_default()
    };
    let (median, p99, worst) = (at(50), at(99), at(100));
    Ok(Calls { answered: u32::try_from(answered.len())?, median, p99, worst })
}

/// Somebody who sends bad datagrams, till told to stop.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<f64>,
}

impl Flood {
    fn start(to: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.3:0")?;
        socket.connect(to)?;
        // What is answered to it goes nowhere.
        socket.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (begun, mut sent) = (Instant::now(), 0_u32);
            while !stopped.load(Ordering::Relaxed) {
                let due = begun.elapsed().as_secs_f64() * f64::from(DATAGRAMS_PER_SECOND);
                while f64::from(sent) < due {
                    let bad = BAD.iter().cycle().nth(sent as usize % BAD.len());
                    let _ = socket.send(bad.unwrap_or(&"").as_bytes());
                    sent += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
            f64::from(sent) / begun.elapsed().as_secs_f64()
        });
        Ok(Self { stop, thread })
    }

    /// Datagrams a second that were sent.
    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Somebody who asks over connections as fast as the server takes it, till told to stop.
struct Streams {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    begun: Instant,
}

impl Streams {
    fn start(to: SocketAddr) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU32::new(0));
        for number in 0..STREAMS {
            let stream = connect(to)?;
            let (mut reader, stopped) = (stream.try_clone()?, Arc::clone(&stop));
            thread::spawn(move || ask(stream, number, &stopped));
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let mut buffer = [0; 64 * 1024];
                while let Ok(len @ 1..) = reader.read(&mut buffer) {
                    let lines = buffer.get(..len).unwrap_or_default().split(|byte| *byte == b'\n');
                    let count = lines.filter(|line| line.starts_with(b"SIP/2.0 200")).count();
                    answered.fetch_add(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
                }
            });
        }
        Ok(Self { stop, answered, begun: Instant::now() })
    }

    /// How many were answered a second, about.
    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        f64::from(self.answered.load(Ordering::Relaxed)) / self.begun.elapsed().as_secs_f64()
    }
}

/// From 127.0.0.3.
fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, 3), 0).into())?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn ask(mut stream: TcpStream, number: usize, stop: &AtomicBool) {
    let mut cseq = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let mut batch = String::new();
        for _ in 0..16 {
            cseq += 1;
            batch += &format!(
                "OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.3:5060;branch=z9hG4bK{number}x{cseq}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.3>;tag={number}\r\nTo: <sip:100@127.0.0.1>\r\n\
                 Call-ID: {number}x{cseq}\r\nCSeq: {cseq} OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
        }
        if stream.write_all(batch.as_bytes()).is_err() {
            return;
        }
    }
}
