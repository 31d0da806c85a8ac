//! Places calls: one to look at, or many to put a load on somebody.
//!
//!     cargo run --release --example call -- sip:bob@127.0.0.1:5060 --duration 2000
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use examples::sdp::{self, Media};
use examples::{Console, Resolving, Securing, Tapping, free_listeners, local_ip, parse_uri};
use sip_message::{StatusCode, Uri};
use sip_sdp::{Hold, MediaSession};
use sip_transport::ListenAddr;
use sip_ua::{Account, Call, CallEvent, Credentials, EndReason, UserAgent};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

/// Places calls and hangs up after a while. Ends with `calls: N ok, M failed`, and with success only if M
/// is 0.
///
/// A call is ok when it was answered and ended as calls do, by a BYE from either side, or when it was
/// cancelled because --cancel-after said so. A redirection (3xx) is followed, to five more addresses at
/// most; a call that is redirected and reaches nobody failed.
#[derive(Parser)]
#[command(name = "call", version)]
struct Options {
    /// Whom to call
    #[arg(value_parser = parse_uri)]
    uri: Uri<'static>,
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. By default UDP and TCP on
    /// free ports
    #[arg(long, value_name = "ADDR")]
    listen: Vec<ListenAddr>,
    /// Who calls; by default `sip:call@` and the address listened on
    #[arg(long, value_name = "URI", value_parser = parse_uri)]
    from: Option<Uri<'static>>,
    /// The proxy that all calls go through
    #[arg(long, value_name = "URI", value_parser = parse_uri)]
    proxy: Option<Uri<'static>>,
    /// The username to answer a 401 or 407 with
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// The password to it
    #[arg(long, requires = "username")]
    password: Option<String>,
    /// Hang up this long after the answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    duration: u64,
    /// Give up if there is no answer after so long, in milliseconds
    #[arg(long, value_name = "MS")]
    cancel_after: Option<u64>,
    /// Put the peer on hold so long after the answer, in milliseconds, and resume half a second later
    #[arg(long, value_name = "MS")]
    hold_after: Option<u64>,
    /// How many calls to place
    #[arg(long, value_name = "N", default_value_t = 1)]
    calls: u64,
    /// How many calls to place in a second
    #[arg(long, value_name = "R", default_value_t = 10.0, value_parser = positive)]
    rate: f64,
    /// Print no line for each event, only failures and the summary
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    resolving: Resolving,
    #[command(flatten)]
    tapping: Tapping,
    #[command(flatten)]
    securing: Securing,
}

fn positive(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| "a number above 0, at most a million".to_owned())
}

/// How many addresses of redirections are tried for one call.
const REDIRECTIONS: u8 = 5;

/// What every call's task needs.
struct Caller {
    options: Options,
    ua: UserAgent,
    account: Arc<Account>,
    console: Console,
    media: Media,
    placed: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    examples::run("call", async {
        let good = run(options).await?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn run(options: Options) -> Result<bool, Box<dyn Error>> {
    let listen = if options.listen.is_empty() {
        free_listeners(&options.uri)
    } else {
        options.listen.clone()
    };
    let builder = options.tapping.apply(UserAgent::builder())?;
    let builder = options.resolving.apply(options.securing.apply(builder)?)?;
    let ua = listen.into_iter().fold(builder, |b, addr| b.listen(addr)).start().await?;
    let ip = local_ip(ua.locals());
    let caller = Arc::new(Caller {
        account: Arc::new(account(&options, &ua)?),
        console: Console::new(options.quiet),
        media: Media::at(ip)?,
        placed: AtomicU64::new(0),
        ok: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        options,
        ua,
    });
    place_all(&caller).await;
    let in_time = caller.ua.shutdown().await;
    let (ok, failed) = (caller.ok.load(Ordering::Relaxed), caller.failed.load(Ordering::Relaxed));
    if !in_time {
        caller.console.line(format_args!("not every BYE was answered in time"));
    }
    caller.console.line(format_args!("calls: {ok} ok, {failed} failed"));
    Ok(failed == 0)
}

fn account(options: &Options, ua: &UserAgent) -> Result<Account, Box<dyn Error>> {
    let identity = match (&options.from, ua.locals().iter().next()) {
        (Some(from), _) => from.clone(),
        (None, Some(local)) => format!("sip:call@{}", local.sent_by).parse()?,
        (None, None) => return Err("there is nothing to listen on".into()),
    };
    let mut account = Account::new(identity);
    if let (Some(username), Some(password)) = (&options.username, &options.password) {
        account = account.credentials(Credentials::new(username, password));
    }
    if let Some(proxy) = &options.proxy {
        account = account.outbound_proxy(proxy.clone());
    }
    Ok(account)
}

/// Starts a call at each beat and waits for all of them.
async fn place_all(caller: &Arc<Caller>) {
    let mut beat = interval(Duration::from_secs_f64(1.0 / caller.options.rate));
    // A beat that came late is made up for: the rate is kept on average.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for number in 1..=caller.options.calls {
        beat.tick().await;
        calls.spawn(place(Arc::clone(caller), number));
        while calls.try_join_next().is_some() {} // what is over takes no memory
        caller.console.progress(|| caller.progress());
    }
    let mut redraw = interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            over = calls.join_next() => if over.is_none() { break },
            _ = redraw.tick() => caller.console.progress(|| caller.progress()),
        }
    }
}

/// One call.
async fn place(caller: Arc<Caller>, number: u64) {
    caller.placed.fetch_add(1, Ordering::Relaxed);
    match place_one(&caller, number).await {
        Ok(()) => {
            caller.ok.fetch_add(1, Ordering::Relaxed);
        }
        Err(failure) => {
            caller.failed.fetch_add(1, Ordering::Relaxed);
            caller.console.line(format_args!("call {number}: failed: {failure}"));
        }
    }
}

async fn place_one(caller: &Caller, number: u64) -> Result<(), String> {
    let options = &caller.options;
    let mut session = caller.media.session().map_err(failed)?;
    let offer = session.offer().map_err(failed)?;
    let placed = caller
        .ua
        .call(options.uri.clone())
        .account(&caller.account)
        .offer(offer)
        .follow_redirects(REDIRECTIONS)
        .start()
        .await;
    let mut call = placed.map_err(failed)?;
    let mut cancel_at = options.cancel_after.map(|ms| Instant::now() + Duration::from_millis(ms));
    let mut hang_up_at = None;
    let mut answered = false;
    loop {
        // Whichever is next: giving up an unanswered call, or hanging up an answered one.
        let alarm = hang_up_at.or(cancel_at);
        let event = tokio::select! {
            event = call.next() => event,
            () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                caller.event(number, format_args!("{}", if answered { "hanging up" } else { "cancelling" }));
                (hang_up_at, cancel_at) = (None, None);
                call.hang_up();
                continue;
            }
        };
        match event {
            Some(CallEvent::Ringing { .. }) => caller.event(number, format_args!("ringing")),
            Some(CallEvent::Progress { response, .. }) => {
                caller.event(number, format_args!("{}", response.status().as_u16()));
            }
            Some(CallEvent::Redirected { to }) => {
                caller.event(number, format_args!("redirected to {to}"));
            }
            Some(CallEvent::Answered { response, .. }) => {
                answered = true;
                cancel_at = None;
                hang_up_at = Some(Instant::now() + Duration::from_millis(options.duration));
                caller.event(number, format_args!("answered with {}", response.status().as_u16()));
                // Who answers without a session description, or with one that is none, is let be.
                match session.take_answer(response.body()) {
                    Ok(_) => {}
                    Err(error) => {
                        caller.event(number, format_args!("no answer to the offer: {error}"));
                        let _ = session.roll_back();
                    }
                }
                if let Some(ms) = options.hold_after {
                    let after = Duration::from_millis(ms);
                    hold_and_resume(caller, number, &call, &mut session, after).await?;
                }
            }
            Some(CallEvent::Modification(modification)) => {
                // An error of either means that the call is over: the next event says so.
                let _ = match session.answer(modification.offer()) {
                    Ok((answer, _)) => {
                        let says = sdp::direction(&session);
                        caller.event(number, format_args!("re-INVITE: {says}"));
                        modification.accept(answer).await
                    }
                    Err(error) => {
                        caller.event(number, format_args!("re-INVITE: refused: {error}"));
                        modification.reject(error.status()).await
                    }
                };
            }
            Some(CallEvent::Request(request)) => {
                caller.event(number, format_args!("{}: 200", request.method()));
                let _ = request.reply(StatusCode::OK).await;
            }
            Some(CallEvent::Ended(reason)) => {
                caller.event(number, format_args!("{reason}"));
                return match reason {
                    EndReason::Local | EndReason::Remote if answered => Ok(()),
                    EndReason::Cancelled if options.cancel_after.is_some() => Ok(()),
                    EndReason::Redirected(_) => {
                        Err("redirected, but nobody was reached".to_owned())
                    }
                    other => Err(other.to_string()),
                };
            }
            Some(_) => {}
            None => return Err("the user agent stopped".to_owned()),
        }
    }
}

async fn hold_and_resume(
    caller: &Caller,
    number: u64,
    call: &Call,
    session: &mut MediaSession,
    after: Duration,
) -> Result<(), String> {
    sleep(after).await;
    for held in [true, false] {
        if held {
            session.hold(Hold::Music)
        } else {
            session.resume()
        }
        let answer = call.reinvite(session.offer().map_err(failed)?).await.map_err(failed)?;
        session.take_answer(answer.body()).map_err(failed)?;
        let done = if held { "held" } else { "resumed" };
        caller.event(number, format_args!("{done}: {}", sdp::direction(session)));
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn failed(error: impl Error) -> String {
    examples::chain(&error)
}

impl Caller {
    fn event(&self, number: u64, event: std::fmt::Arguments<'_>) {
        self.console.event(format_args!("call {number}: {event}"));
    }

    fn progress(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (placed, ok, failed) = (of(&self.placed), of(&self.ok), of(&self.failed));
        format!("{placed} of {} placed, {ok} ok, {failed} failed", self.options.calls)
    }
}
