//! A registrar for one domain, with digest, that relays requests such as MESSAGE and OPTIONS to whom it
//! knows: the shape of a server that works with transactions and not with calls.
//!
//!     cargo run --release --example registrar --features ws -- --listen ws:127.0.0.1:8080 \
//!         --user alice:secret --user bob:secret
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use examples::{Console, Gate, Securing, algorithm, user};
use sip_auth::{Algorithm, Authority, Credentials, NonceKey};
use sip_message::{Contact, Expires, HeaderName, Method, Request, Response, StatusCode, Uri};
use sip_transaction::{
    Application, ClientKey, Endpoint, Event, Key, NextHop, ServerKey, Shard, TransactionUser,
    Transactions,
};
use sip_transport::{Flow, ListenAddr, Sockets};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Takes registrations, each with the flow that it came by, and relays what is for those who are registered,
/// until ctrl-c or SIGTERM. What is for the domain itself gets 200, and a call 405.
#[derive(Parser)]
#[command(name = "registrar", version)]
struct Options {
    /// Where to listen, as TRANSPORT:ADDRESS:PORT; may be given several times. Port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "udp:127.0.0.1:5060")]
    listen: Vec<ListenAddr>,
    /// The domain, which is the realm too
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// Who may register, as NAME:PASSWORD; may be given several times
    #[arg(long, value_name = "USER", value_parser = user, required = true)]
    user: Vec<Credentials>,
    /// The algorithm of the digest; by default SHA-256 and MD5. May be given several times
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Vec<Algorithm>,
    #[command(flatten)]
    securing: Securing,
}

/// The longest life of a binding, and the one of who asks for none, in seconds.
const LONGEST: u32 = 3600;

/// Bindings of one user; the oldest goes for a new one.
const BINDINGS: usize = 10;

struct Registrar {
    gate: Gate,
    /// By the user's name. Only users have some, so there is a limit.
    bindings: HashMap<String, Vec<Binding>>,
    relayed: HashMap<ClientKey, ServerKey>,
    lines: VecDeque<String>,
}

struct Binding {
    contact: Uri<'static>,
    /// Where it was registered from; the only way to a browser.
    flow: Flow,
    until: Instant,
}

impl TransactionUser for Registrar {
    /// A line to print.
    type Event = String;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        match event {
            Event::Request { key, request, flow } => self.request(now, tx, key, request, flow),
            Event::Response { key, response, .. } => self.response(now, tx, key, response),
            Event::Timeout { key } | Event::TransportError { key: Key::Client(key), .. } => {
                self.no_response(now, tx, key);
            }
            Event::Terminated { key: Key::Client(key) } => {
                self.relayed.remove(&key);
            }
            Event::Closed { flow, .. } => {
                for bindings in self.bindings.values_mut() {
                    bindings.retain(|binding| binding.flow != flow);
                }
            }
            _ => {}
        }
    }

    fn poll_event(&mut self) -> Option<String> {
        self.lines.pop_front()
    }
}

impl Registrar {
    fn request(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: Request,
        flow: Flow,
    ) {
        let user = request.uri().ok().and_then(|uri| uri.user().map(str::to_owned));
        let verdict = match request.method() {
            Method::Register => self.register(now, tx, &request, flow),
            Method::Invite => Err(Response::to_request(&request, StatusCode::METHOD_NOT_ALLOWED)
                .raw(HeaderName::Allow, "REGISTER, OPTIONS, MESSAGE")),
            _ => match user.map(|user| self.relay(now, tx, key, &request, &user)) {
                Some(None) => return,
                Some(Some(refusal)) => Err(Response::to_request(&request, refusal)),
                None => Ok(Response::to_request(&request, StatusCode::OK)),
            },
        };
        let builder = match verdict {
            Ok(builder) | Err(builder) => builder.to_tag(&tx.local_tag(key)),
        };
        // What cannot be built is not sent: the client's timer ends it.
        if let Ok(response) = builder.build() {
            let status = response.status().as_u16();
            self.lines.push_back(format!("{}: {status}", request.method()));
            let _ = tx.respond(now, key, response);
        }
    }

    /// RFC 3261 §10.3, with the steps in their order.
    fn register(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        request: &Request,
        flow: Flow,
    ) -> Result<sip_message::ResponseBuilder, sip_message::ResponseBuilder> {
        let refused = |status| Response::to_request(request, status);
        let user = self.authenticate(now, tx, request)?;
        let to = request.headers().get::<sip_message::To<'_>>().ok().flatten();
        if to.as_ref().and_then(|to| to.uri().user().map(str::to_owned)).as_ref() != Some(&user) {
            return Err(refused(StatusCode::FORBIDDEN));
        }
        let bindings = self.bindings.entry(user).or_default();
        bindings.retain(|binding| binding.until > now);
        let asked = request.headers().get::<Expires>().ok().flatten().map(|expires| expires.0);
        let contacts: Result<Vec<Contact<'_>>, _> = request.headers().get_all().collect();
        for contact in contacts.map_err(|_| refused(StatusCode::BAD_REQUEST))? {
            let Some(uri) = contact.uri() else {
                bindings.clear(); // a star
                continue;
            };
            let life = contact.expires().or(asked).unwrap_or(LONGEST).min(LONGEST);
            bindings.retain(|binding| !binding.contact.is_equivalent(&uri));
            if life > 0 {
                let until = now + Duration::from_secs(life.into());
                bindings.push(Binding { contact: uri.to_static(), flow, until });
            }
        }
        while bindings.len() > BINDINGS {
            bindings.remove(0);
        }
        let mut builder = Response::to_request(request, StatusCode::OK);
        for binding in bindings {
            let left = binding.until.saturating_duration_since(now).as_secs();
            let text = format!("<{}>;expires={left}", binding.contact);
            builder = builder.raw(HeaderName::Contact, text);
        }
        Ok(builder)
    }

    /// Who it is, or the challenge.
    fn authenticate(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        request: &Request,
    ) -> Result<String, sip_message::ResponseBuilder> {
        match self.gate.user(now, tx.random().next_u64(), request) {
            Ok(Some(user)) => Ok(user),
            // A REGISTER is never exempt.
            Ok(None) => Err(Response::to_request(request, StatusCode::FORBIDDEN)),
            Err(answer) => {
                let builder = Response::to_request(request, answer.status);
                Err(answer
                    .fields()
                    .fold(builder, |builder, (name, value)| builder.raw(name, value)))
            }
        }
    }

    /// Sends a request on to its user; the status that it gets if that cannot be.
    fn relay(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ServerKey,
        request: &Request,
        user: &str,
    ) -> Option<StatusCode> {
        let bindings = self.bindings.get(user);
        let binding = bindings.and_then(|list| list.iter().rfind(|binding| binding.until > now));
        let Some(binding) = binding else { return Some(StatusCode::TEMPORARILY_UNAVAILABLE) };
        // RFC 3261 §16.3: "If the request contains a Max-Forwards header field with a field value of zero
        // (0), the element MUST NOT forward the request."
        let hops = match request.headers().max_forwards() {
            Some(0) => return Some(StatusCode::TOO_MANY_HOPS),
            Some(hops) => hops.saturating_sub(1),
            None => 70,
        };
        let mut request = request.clone();
        request.set_uri(&binding.contact);
        let hops = hops.to_string();
        let _ = request.headers_mut().set_raw(HeaderName::MaxForwards, hops.as_bytes());
        match tx.request(now, request, NextHop::Flow(binding.flow)) {
            Ok(client) => {
                self.relayed.insert(client, key);
                None
            }
            Err(error) => {
                self.lines.push_back(format!("not relayed to {user}: {error}"));
                Some(StatusCode::TEMPORARILY_UNAVAILABLE)
            }
        }
    }

    fn response(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: ClientKey,
        mut response: Response,
    ) {
        let Some(server) = self.relayed.get(&key) else { return };
        // RFC 3261 §16.7: "The proxy removes the topmost Via header field value from the response."
        response.headers_mut().pop_front(HeaderName::Via);
        self.lines.push_back(format!("relayed: {}", response.status().as_u16()));
        let _ = tx.respond(now, *server, response);
    }

    fn no_response(&mut self, _: Instant, _: &mut Transactions, key: ClientKey) {
        // RFC 4320 §4.2: a 408 to such a request would come too late for anybody to hear.
        if self.relayed.remove(&key).is_some() {
            self.lines.push_back("relayed: no answer".to_owned());
        }
    }
}

/// Prints what the registrar says.
struct Printer(Console);

impl Application for Printer {
    type User = Registrar;
    type Command = Infallible;

    fn command(&mut self, _: Instant, _: &mut Endpoint<Registrar>, command: Infallible) {
        match command {}
    }

    fn event(&mut self, _: Instant, _: &mut Endpoint<Registrar>, line: String) {
        self.0.line(format_args!("{line}"));
    }
}

fn main() -> ExitCode {
    examples::run("registrar", serve(Options::parse()))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let config = sip_transaction::Config::default();
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    let mut authority = Authority::server(options.domain, NonceKey::new(&key)?)?;
    if !options.algorithm.is_empty() {
        authority = authority.algorithms(options.algorithm);
    }
    let (now, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let registrar = Registrar {
        gate: Gate::new(authority, options.user, (now, unix)),
        bindings: HashMap::new(),
        relayed: HashMap::new(),
        lines: VecDeque::new(),
    };
    let sockets = Sockets::bind(&options.listen, options.securing.transport()?)?;
    let console = Console::new(false);
    for local in sockets.locals().iter() {
        console.line(format_args!("listening on {} {}", local.transport, local.addr));
    }
    console.line(format_args!("ready"));
    let endpoint = Endpoint::new(config, sockets.locals().clone(), now, registrar)?;
    // Kept, since a shard ends when nobody can send it commands.
    let (_commands, receiver) = mpsc::channel(1);
    let shard = Shard::new(endpoint, sockets, Printer(console), receiver, None);
    tokio::select! {
        () = shard.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
