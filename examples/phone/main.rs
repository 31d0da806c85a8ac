//! A phone without sound: commands come on standard input, a line each, and what happens goes to standard output.
//!
//!     cargo run --release --example phone -- --listen udp:127.0.0.1:5062
//!     call sip:bob@127.0.0.1:5060
//!     hold
//!     transfer sip:carol@127.0.0.1:5061
#![forbid(unsafe_code)]

mod line;
mod states;
mod timing;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::Parser;
use examples::sdp::Media;
use examples::{Console, Resolving, Securing, Tapping, grant, local_ip, parse_uri, shown};
use line::{Extension, Line, Order, Stage};
use sip_message::{Method, Uri};
use sip_sdp::MediaSession;
use sip_transport::ListenAddr;
use sip_ua::{
    Account, AgentConfig, Call, Credentials, Incoming, Invitation, Reliability, UserAgent,
};
use states::{Package, States};
use timing::Timing;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

/// A phone that does what it is told, until its input ends; then it hangs up.
#[derive(Parser)]
#[command(name = "phone", version, after_help = COMMANDS)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. Port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_values = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"])]
    listen: Vec<ListenAddr>,
    /// Who it is; by default `sip:phone@` and the address listened on
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
    /// Whether provisional responses are sent reliably
    #[arg(long, value_parser = reliability, default_value = "supported")]
    reliable: Reliability,
    /// Take REGISTER too: the bindings are granted as they are asked for, and none is kept
    #[arg(long)]
    registrations: bool,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    resolving: Resolving,
    #[command(flatten)]
    tapping: Tapping,
    #[command(flatten)]
    securing: Securing,
}

const COMMANDS: &str = "\
Commands:
  call URI            place a call, offering a session
  ask URI             place a call, and leave the offer to the callee
  message URI TEXT    send a text outside of any call
  watch URI PACKAGE   subscribe to `presence` or `message-summary`
  unwatch             end the latest subscription
  tell PACKAGE STATE  change what who subscribes to us is told:
                      `presence open NOTE`, `presence closed`, `message-summary NEW/OLD`
  quit                hang up all calls and end

Commands to a call, with its number in front if it is not the latest:
  ring                answer 180 to the call that comes in
  progress            answer 183, with our session description
  accept              take the call
  reject CODE         refuse it
  hang-up             end it: CANCEL, BYE or 480
  hold, resume        change the session, by UPDATE before the call is answered, by re-INVITE after
  reinvite, update    offer the session as it is by re-INVITE or UPDATE
  refer URI           have the peer call another, and stay in the call
  transfer URI        the same, and hang up when it has
  transfer N          connect the peer with that of call N
  follow, decline     do what the peer has asked for by REFER, or not
  text TEXT           send a text within the call
  dtmf DIGITS         send digits, by INFO";

fn reliability(text: &str) -> Result<Reliability, String> {
    match text {
        "never" => Ok(Reliability::Never),
        "supported" => Ok(Reliability::Supported),
        "required" => Ok(Reliability::Required),
        _ => Err("never, supported or required".to_owned()),
    }
}

fn main() -> ExitCode {
    examples::run("phone", serve(Options::parse()))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let builder = options.tapping.apply(UserAgent::builder())?;
    let builder = options.resolving.apply(options.securing.apply(builder)?)?;
    let builder = options.listen.iter().cloned().fold(builder, |b, addr| b.listen(addr));
    let mut config = AgentConfig::default()
        .reliable(options.reliable)
        .session_timer(options.timing.policy())
        .event_packages(Package::ALL.map(|package| package.name().to_owned()).into());
    if options.registrations {
        config.methods.push(Method::Register);
    }
    let ua = builder.config(config).start().await?;
    let console = Arc::new(Console::new(false));
    for local in ua.locals().iter() {
        console.line(format_args!("listening on {} {}", local.transport, local.addr));
    }
    let (placed_here, mut placed) = mpsc::unbounded_channel();
    let account = Arc::new(account(&options, &ua)?);
    let mut phone = Phone {
        states: States::new(Arc::clone(&console), Arc::clone(&account))?,
        account,
        media: Arc::new(Media::at(local_ip(ua.locals()))?),
        console,
        ua,
        lines: BTreeMap::new(),
        placed: placed_here,
    };
    phone.console.line(format_args!("ready"));
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = input.next_line() => match line? {
                Some(line) if line.trim() == "quit" => break,
                Some(line) => if let Err(why) = phone.obey(line.trim()).await {
                    phone.console.line(format_args!("{line}: {why}"));
                },
                None => break,
            },
            incoming = phone.ua.incoming() => match incoming {
                Some(incoming) => phone.take(incoming).await,
                None => return Err("the user agent stopped".into()),
            },
            Some((call, session)) = placed.recv() => phone.calls(call, session),
        }
    }
    if !phone.ua.shutdown().await {
        phone.console.line(format_args!("not every BYE was answered in time"));
    }
    Ok(())
}

fn account(options: &Options, ua: &UserAgent) -> Result<Account, Box<dyn Error>> {
    let identity = match (&options.from, ua.locals().iter().next()) {
        (Some(from), _) => from.clone(),
        (None, Some(local)) => format!("sip:phone@{}", local.sent_by).parse()?,
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

struct Phone {
    ua: UserAgent,
    account: Arc<Account>,
    media: Arc<Media>,
    console: Arc<Console>,
    states: States,
    /// By the number of the call; those that are over are removed when the next begins.
    lines: BTreeMap<u32, Extension>,
    /// Where a line puts a call that it has placed for its peer.
    placed: mpsc::UnboundedSender<(Call, MediaSession)>,
}

impl Phone {
    /// Does what a line of input says.
    async fn obey(&mut self, line: &str) -> Result<(), String> {
        let (command, rest) = split(line);
        match command {
            "" => Ok(()),
            "call" => self.call(parse_uri(rest)?, true).await,
            "ask" => self.call(parse_uri(rest)?, false).await,
            "message" => self.message(rest),
            "watch" => {
                let (uri, package) = split(rest);
                self.states.watch(&self.ua, parse_uri(uri)?, Package::read(package)?).await
            }
            "unwatch" => self.states.watch_no_more(),
            "tell" => {
                let (package, state) = split(rest);
                self.states.change(Package::read(package)?, state)
            }
            _ => match command.parse() {
                Ok(number) => self.pass_on(Some(number), rest),
                Err(_) => self.pass_on(None, line),
            },
        }
    }

    async fn call(&mut self, uri: Uri<'static>, offering: bool) -> Result<(), String> {
        let mut session = self.media.session().map_err(|error| error.to_string())?;
        let mut builder = self.ua.call(uri).account(&self.account);
        if offering {
            builder = builder.offer(session.offer().map_err(|error| error.to_string())?);
        }
        let call = builder.start().await.map_err(|error| error.to_string())?;
        self.calls(call, session);
        Ok(())
    }

    fn calls(&mut self, call: Call, session: MediaSession) {
        let number = self.add(Stage::Up(call), session);
        self.console.line(format_args!("call {number}: calling"));
    }

    fn message(&self, rest: &str) -> Result<(), String> {
        let (uri, text) = split(rest);
        let request = self.ua.message(parse_uri(uri)?, text).account(&self.account);
        let console = Arc::clone(&self.console);
        tokio::spawn(async move {
            match request.send().await {
                Ok(response) => {
                    console.line(format_args!("MESSAGE: {}", response.status().as_u16()));
                }
                Err(error) => console.line(format_args!("MESSAGE: {error}")),
            }
        });
        Ok(())
    }

    /// Hands an order to its line: the latest that is not over, if no number was given.
    fn pass_on(&self, number: Option<u32>, order: &str) -> Result<(), String> {
        let line = match number {
            Some(number) => self.lines.get(&number),
            None => self.lines.values().rev().find(|line| !line.orders.is_closed()),
        };
        let line = line.ok_or("there is no such call")?;
        let (command, rest) = split(order);
        let order = match (command, rest.parse::<u32>()) {
            ("transfer", Ok(other)) => {
                let other = self.lines.get(&other).and_then(|line| line.control.get());
                Order::TransferTo(other.ok_or("there is no such call")?.clone())
            }
            _ => Order::read(command, rest)?,
        };
        line.orders.send(order).map_err(|_| "the call is over".to_owned())
    }

    async fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Invitation(invitation) => self.be_called(invitation),
            Incoming::Request(request) => {
                let text = line::text_of(&request);
                self.console.line(format_args!("{}: {text}", request.method()));
                grant(request).await;
            }
            Incoming::Subscription(request) => self.states.be_watched(request).await,
            _ => {} // dropped, and thereby declined
        }
    }

    fn be_called(&mut self, invitation: Invitation) {
        let Ok(session) = self.media.session() else { return };
        let from = invitation.from().ok().flatten().map(|from| shown(&from));
        let from = from.unwrap_or_else(|| "somebody".to_owned());
        let instead = if invitation.replaces().is_some() { " in place of another" } else { "" };
        let number = self.add(Stage::Invited(invitation), session);
        self.console.line(format_args!("call {number}: INVITE from {from}{instead}"));
    }

    /// Begins a line for a call.
    fn add(&mut self, stage: Stage, session: MediaSession) -> u32 {
        let number = self.lines.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        self.lines.retain(|_, line| !line.orders.is_closed());
        let (orders, received) = mpsc::unbounded_channel();
        let control = Arc::new(OnceLock::new());
        self.lines.insert(number, Extension { orders, control: Arc::clone(&control) });
        let line = Line {
            number,
            session,
            console: Arc::clone(&self.console),
            media: Arc::clone(&self.media),
            account: Arc::clone(&self.account),
            control,
            placed: self.placed.clone(),
        };
        tokio::spawn(line.run(stage, received));
        number
    }
}

/// The first word, and what follows.
fn split(line: &str) -> (&str, &str) {
    line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}
