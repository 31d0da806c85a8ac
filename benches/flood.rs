//! What one that floods does to another's calls: `cargo run --release -p benches --bin flood`.
//!
//! A server of calls on 127.0.0.1; a caller on 127.0.0.2 that places 100 calls a second; after half of the
//! time somebody on 127.0.0.3 sends 20,000 datagrams a second that are no SIP or bad SIP. Printed are the
//! median times from the call to its answer, without the flood and with it. It fails if a call is
//! lost, or if the median grows by a factor of 3 or more.
#![allow(
    clippy::expect_used,
    reason = "what cannot go wrong on one's own machine ends the run aloud"
)]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sip_message::Uri;
use sip_ua::{CallEvent, Incoming, UserAgent};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

const CALLS_PER_SECOND: u32 = 100;
const DATAGRAMS_PER_SECOND: u32 = 20_000;
const SECONDS: u32 = 10;

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
    let calm = runtime.block_on(call(to))?;
    let flood = Flood::start(to)?;
    let flooded = runtime.block_on(call(to))?;
    let sent = flood.stop();
    let wanted = CALLS_PER_SECOND * SECONDS;
    println!("without the flood: {calm}");
    println!("under {sent:.0} bad datagrams a second: {flooded}");
    let ratio = flooded.median.as_secs_f64() / calm.median.as_secs_f64();
    println!("the median time to the answer grew by a factor of {ratio:.2}");
    let lost = 2 * wanted - calm.answered - flooded.answered;
    let is_flood = sent >= 0.95 * f64::from(DATAGRAMS_PER_SECOND);
    if !is_flood {
        println!(
            "that is no flood: this machine is too busy to send {DATAGRAMS_PER_SECOND} a second"
        );
    }
    Ok(is_flood && lost == 0 && ratio < f64::from(FACTOR))
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
        let wanted = CALLS_PER_SECOND * SECONDS;
        write!(
            f,
            "{answered} of {wanted} calls answered; median {median:.0?}, 99 of 100 within {p99:.0?}, \
             worst {worst:.0?}"
        )
    }
}

/// Places calls at the rate, each a moment long.
async fn call(to: SocketAddr) -> Result<Calls, Box<dyn Error>> {
    let ua = UserAgent::builder().listen("udp:127.0.0.2:0".parse()?).start().await?;
    let uri: Uri<'static> = format!("sip:100@{to}").parse()?;
    let (times_sender, mut times) = mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / CALLS_PER_SECOND);
    for _ in 0..CALLS_PER_SECOND * SECONDS {
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
