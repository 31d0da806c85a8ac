//! Answers calls: a test partner for any caller, and the shape of a server that takes calls.
//!
//!     cargo run --release --example uas -- --listen udp:127.0.0.1:5060 --listen tcp:127.0.0.1:5060
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use examples::sdp::{self, Media};
use examples::{
    Challenging, Console, Resolving, Securing, Tapping, grant, local_ip, parse_uri, shown,
};
use sip_message::{Method, Request, StatusCode, Uri};
use sip_sdp::MediaSession;
use sip_transport::ListenAddr;
use sip_ua::{AgentConfig, Call, CallError, CallEvent, EndReason, Incoming, Invitation, UserAgent};
use tokio::signal::unix::{SignalKind, signal};

/// Answers calls by 180 and 200 with an SDP answer, re-INVITEs (hold, resume) by 200, OPTIONS and MESSAGE
/// by 200, until ctrl-c or SIGTERM; then prints a summary. SIGUSR1 prints what is live.
#[derive(Parser)]
#[command(name = "uas", version)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. Port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_values = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"])]
    listen: Vec<ListenAddr>,
    /// Ring this long before answering, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    ring: u64,
    /// Refuse calls with this status (300 to 699) in place of answering
    #[arg(long, value_name = "CODE", value_parser = final_refusal)]
    reject: Option<StatusCode>,
    /// With --reject 3xx: where the caller shall try; may be given several times
    #[arg(long, value_name = "URI", value_parser = parse_uri, requires = "reject")]
    contact: Vec<Uri<'static>>,
    /// Hang up this long after the call was confirmed, in milliseconds
    #[arg(long, value_name = "MS")]
    bye_after: Option<u64>,
    /// Print no line for each event, only `ready`, the summary and `live:`
    #[arg(long)]
    quiet: bool,
    /// Take REGISTER too: the bindings are granted as they are asked for, and none is kept
    #[arg(long)]
    registrations: bool,
    #[command(flatten)]
    challenging: Challenging,
    #[command(flatten)]
    resolving: Resolving,
    #[command(flatten)]
    tapping: Tapping,
    #[command(flatten)]
    securing: Securing,
}

fn final_refusal(text: &str) -> Result<StatusCode, String> {
    let code = text.parse().ok().and_then(StatusCode::new);
    code.filter(|code| code.as_u16() >= 300).ok_or_else(|| "a status from 300 to 699".to_owned())
}

/// What every call's task needs.
struct Desk {
    options: Options,
    console: Console,
    media: Media,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    invitations: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    cancelled: AtomicU64,
    failed: AtomicU64,
    ended: AtomicU64,
    reinvites: AtomicU64,
    requests: AtomicU64,
}

fn main() -> ExitCode {
    examples::run("uas", serve(Options::parse()))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut report = signal(SignalKind::user_defined1())?;
    let builder = options.tapping.apply(UserAgent::builder())?;
    let builder =
        options.challenging.apply(options.resolving.apply(options.securing.apply(builder)?)?)?;
    let builder = options.listen.iter().cloned().fold(builder, |b, addr| b.listen(addr));
    let mut config = AgentConfig::default();
    if options.registrations {
        config.methods.push(Method::Register);
    }
    let ua = builder.config(config).start().await?;
    let media = Media::at(local_ip(ua.locals()))?;
    let console = Console::new(options.quiet);
    let desk = Arc::new(Desk { options, console, media, counts: Counts::default() });
    for local in ua.locals().iter() {
        desk.console.event(format_args!("listening on {} {}", local.transport, local.addr));
    }
    desk.console.line(format_args!("ready"));
    let mut accepting = tokio::spawn(accept(Arc::clone(&desk), ua.clone()));
    let mut second = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            _ = report.recv() => print_live(&desk, &ua).await?,
            _ = second.tick() => desk.console.progress(|| desk.counts.to_string()),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = &mut accepting => return Err("the user agent stopped".into()),
        }
    }
    accepting.abort();
    let live = ua.live().await?;
    let in_time = ua.shutdown().await;
    desk.console.line(format_args!("{}", desk.counts));
    if !in_time {
        desk.console.line(format_args!("not every call could be ended in time"));
    }
    desk.console.line(format_args!("{}", Live(live)));
    Ok(())
}

/// Takes what comes in, each call in a task of its own.
async fn accept(desk: Arc<Desk>, ua: UserAgent) {
    while let Some(incoming) = ua.incoming().await {
        match incoming {
            Incoming::Invitation(invitation) => {
                tokio::spawn(take(Arc::clone(&desk), invitation));
            }
            Incoming::Request(request) => {
                desk.counts.requests.fetch_add(1, Ordering::Relaxed);
                let (method, length) = (request.method(), request.body().len());
                desk.console.event(format_args!("{method} ({length} bytes): 200"));
                grant(request).await;
            }
            _ => {}
        }
    }
}

/// One call, from its INVITE to its end.
async fn take(desk: Arc<Desk>, invitation: Invitation) {
    let number = desk.counts.invitations.fetch_add(1, Ordering::Relaxed) + 1;
    if !desk.options.quiet {
        let from = invitation.from().ok().flatten().map(|from| shown(&from));
        let from = from.as_deref().unwrap_or("somebody");
        desk.console.event(format_args!("call {number}: INVITE from {from}"));
    }
    // Boxed, so that a held call does not keep the room that answering took.
    if let Some((call, session)) = Box::pin(welcome(&desk, number, invitation)).await {
        hold_line(&desk, number, call, session).await;
    }
}

/// Answers and counts how that went; gives the call if there is one.
async fn welcome(desk: &Desk, number: u64, invitation: Invitation) -> Option<Talk> {
    let (count, call) = match answer(desk, number, invitation).await {
        Ok(Some(call)) => (&desk.counts.answered, Some(call)),
        Ok(None) => (&desk.counts.refused, None),
        Err(error) => {
            desk.console.event(format_args!("call {number}: {error}"));
            match error {
                CallError::Ended(EndReason::CancelledByPeer) => (&desk.counts.cancelled, None),
                _ => (&desk.counts.failed, None),
            }
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
    call
}

/// A call, and its session: boxed, for there are thousands.
type Talk = (Call, Box<MediaSession>);

/// Rings, then accepts or refuses.
async fn answer(
    desk: &Desk,
    number: u64,
    invitation: Invitation,
) -> Result<Option<Talk>, CallError> {
    let mut invitation = if desk.options.reject.is_some() && desk.options.ring == 0 {
        invitation
    } else {
        invitation.ring().await?
    };
    if desk.options.ring > 0 {
        let ring = tokio::time::sleep(Duration::from_millis(desk.options.ring));
        tokio::select! {
            () = ring => {}
            reason = invitation.ended() => return Err(CallError::Ended(reason)),
        }
    }
    if let Some(status) = desk.options.reject {
        desk.console.event(format_args!("call {number}: refused with {}", status.as_u16()));
        let contacts: Vec<String> =
            desk.options.contact.iter().map(|contact| format!("<{contact}>")).collect();
        let headers: Vec<(&str, &str)> =
            contacts.iter().map(|contact| ("Contact", contact.as_str())).collect();
        invitation.reject_with(status, &headers).await?;
        return Ok(None);
    }
    let Ok(session) = desk.media.session() else {
        invitation.reject(StatusCode::SERVER_INTERNAL_ERROR).await?;
        return Ok(None);
    };
    let mut session = Box::new(session);
    match session.answer(invitation.offer()) {
        Ok((answer, _)) => {
            desk.console.event(format_args!("call {number}: answered"));
            Ok(Some((invitation.accept(answer).await?, session)))
        }
        Err(error) => {
            let status = error.status();
            let code = status.as_u16();
            desk.console.event(format_args!("call {number}: refused with {code}: {error}"));
            let warning = sdp::warning(&error, "uas");
            let headers: Vec<_> = warning.iter().map(|text| ("Warning", text.as_str())).collect();
            invitation.reject_with(status, &headers).await?;
            Ok(None)
        }
    }
}

/// Stays in the call until it is over.
async fn hold_line(desk: &Desk, number: u64, mut call: Call, mut session: Box<MediaSession>) {
    // Boxed when there is one: ten thousand held calls that wait for none shall not pay for it.
    let mut bye = None;
    loop {
        let event = match &mut bye {
            None => call.next().await,
            Some(timer) => tokio::select! {
                event = call.next() => event,
                () = timer => {
                    bye = None;
                    desk.console.event(format_args!("call {number}: hanging up"));
                    call.hang_up();
                    continue;
                }
            },
        };
        match event {
            Some(CallEvent::Confirmed { ack }) => {
                desk.console.event(format_args!("call {number}: confirmed"));
                // The offer was ours if the INVITE had none.
                if session.is_waiting() {
                    take_answer(desk, number, &call, &mut session, ack.as_ref());
                }
                bye = desk
                    .options
                    .bye_after
                    .map(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms))));
            }
            Some(CallEvent::Modification(modification)) => {
                desk.counts.reinvites.fetch_add(1, Ordering::Relaxed);
                // An error of either means that the call is over: the next event says so.
                let _ = match session.answer(modification.offer()) {
                    Ok((answer, _)) => {
                        let says = sdp::direction(&session);
                        desk.console.event(format_args!("call {number}: re-INVITE: {says}"));
                        modification.accept(answer).await
                    }
                    Err(error) => {
                        desk.console
                            .event(format_args!("call {number}: re-INVITE: refused: {error}"));
                        modification.reject(error.status()).await
                    }
                };
            }
            Some(CallEvent::ModificationConfirmed { ack }) => {
                take_answer(desk, number, &call, &mut session, ack.as_ref());
            }
            Some(CallEvent::Request(request)) => {
                desk.counts.requests.fetch_add(1, Ordering::Relaxed);
                desk.console.event(format_args!("call {number}: {}: 200", request.method()));
                let _ = request.reply(StatusCode::OK).await;
            }
            Some(CallEvent::Ended(reason)) => {
                desk.counts.ended.fetch_add(1, Ordering::Relaxed);
                desk.console.event(format_args!("call {number}: {reason}"));
            }
            Some(_) => {}
            None => return,
        }
    }
}

/// The peer's answer to our offer, in its ACK.
fn take_answer(
    desk: &Desk,
    number: u64,
    call: &Call,
    session: &mut MediaSession,
    ack: Option<&Request>,
) {
    let answer = ack.map(|ack| ack.body()).unwrap_or_default();
    if let Err(error) = session.take_answer(answer) {
        desk.console.event(format_args!("call {number}: no answer: {error}"));
        call.hang_up();
    }
}

async fn print_live(desk: &Desk, ua: &UserAgent) -> Result<(), Box<dyn Error>> {
    let live = ua.live().await?;
    desk.console.line(format_args!("{}", Live(live)));
    Ok(())
}

/// The line that says what the tables hold.
struct Live(sip_ua::LiveCounts);

impl std::fmt::Display for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(live) = self;
        write!(
            f,
            "live: transactions={} dialogs={} calls={} timers={}",
            live.transactions, live.agent.dialogs, live.agent.calls, live.timers
        )
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "invitations: {}, answered {}, ended {}, refused {}, cancelled {}, failed {}; re-INVITEs {}; requests {}",
            of(&self.invitations),
            of(&self.answered),
            of(&self.ended),
            of(&self.refused),
            of(&self.cancelled),
            of(&self.failed),
            of(&self.reinvites),
            of(&self.requests),
        )
    }
}
