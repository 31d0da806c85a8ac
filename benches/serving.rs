//! The least server around `sip-proxy`: a registrar that keeps bindings in a map, and a stateful proxy with
//! Record-Route that forwards to them. What `benches/proxy/run` and `benches/register/run` measure beside Kamailio.
//!
//! `serving ADDRESS:PORT [SECRET]`: with a secret each REGISTER proves, by MD5, that it is of the user whom it is
//! about. The domain is `bench.example.com`. It prints `ready` and runs until killed.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::marker::PhantomData;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sip_auth::{Algorithm, Answer, Arrival, Authority, Checked, NonceKey, Secret, UsedNonces};
use sip_message::{Method, Request, Response, ResponseBuilder, StatusCode};
use sip_proxy::{
    Aor, Binding, Proxy, ProxyConfig, Register, Registrar, Route, RouteTarget, Router,
};
use sip_transaction::{Config, Endpoint, Event, ServerKey, Shard, TransactionUser, Transactions};
use sip_transport::{Flow, Sockets};
use tokio::sync::mpsc;

const DOMAIN: &str = "bench.example.com";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(address) = arguments.next() else {
        eprintln!("usage: serving ADDRESS:PORT [SECRET]");
        return ExitCode::from(2);
    };
    match serve(&address, arguments.next()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serving: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str, secret: Option<String>) -> Result<(), Box<dyn Error>> {
    let sockets =
        Sockets::bind(&[format!("udp:{address}").parse()?], sip_transport::Config::default())?;
    let (now, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let registrations = Registrations {
        registrar: Registrar::default(),
        bindings: HashMap::new(),
        door: secret.map(|secret| Door::new(&secret, unix)).transpose()?,
        epoch: (now, unix),
    };
    let proxy = Proxy::new(ProxyConfig::default().domain(DOMAIN), registrations);
    let locals = sockets.locals().clone();
    let endpoint = Endpoint::new(Config::default(), locals, now, Server(proxy))?;
    // Kept, since a shard ends when nobody can send it commands.
    let (_commands, receiver) = mpsc::channel(1);
    println!("ready");
    Shard::new(endpoint, sockets, PhantomData, receiver, None).run().await;
    Ok(())
}

/// Takes the REGISTERs out; what is left is the proxy's.
struct Server(Proxy<Registrations>);

impl TransactionUser for Server {
    type Event = sip_proxy::ProxyEvent;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        match event {
            Event::Request { key, request, .. } if *request.method() == Method::Register => {
                register(self.0.router(), now, key, &request, tx);
            }
            event => self.0.handle(now, event, tx),
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.0.poll_event()
    }
}

fn register(
    registrations: &mut Registrations,
    now: Instant,
    key: ServerKey,
    request: &Request,
    tx: &mut Transactions,
) {
    let dice = tx.random().next_u64();
    let builder = registrations.register(now, request, dice).to_tag(&tx.local_tag(key));
    if let Ok(response) = builder.build() {
        let _ = tx.respond(now, key, response);
    }
}

struct Registrations {
    registrar: Registrar,
    bindings: HashMap<Aor, Vec<Binding>>,
    door: Option<Door>,
    /// One moment by both clocks.
    epoch: (Instant, Duration),
}

impl Registrations {
    fn unix(&self, now: Instant) -> Duration {
        self.epoch.1 + now.saturating_duration_since(self.epoch.0)
    }

    /// RFC 3261 §10.3.
    fn register(&mut self, now: Instant, request: &Request, dice: u64) -> ResponseBuilder {
        let now = self.unix(now);
        let register = match Register::read(request) {
            Ok(register) => register,
            Err(refused) => return refused.answer(request),
        };
        if let Some(door) = &mut self.door {
            match door.user(now, dice, request) {
                Ok(user) if register.aor().as_str().split('@').next() == Some(&user) => {}
                Ok(_) => return Response::to_request(request, StatusCode::FORBIDDEN),
                Err(answer) => {
                    let builder = Response::to_request(request, answer.status);
                    return answer
                        .fields()
                        .fold(builder, |builder, (name, value)| builder.raw(name, value));
                }
            }
        }
        let known = self.bindings.get(register.aor()).map_or(&[][..], Vec::as_slice);
        match self.registrar.apply(known, &register, now, dice as u32) {
            Ok(change) => {
                let answer = change.answer(request, now);
                self.bindings.insert(register.aor().clone(), change.bindings.to_vec());
                answer
            }
            Err(refused) => refused.answer(request),
        }
    }
}

impl Router for Registrations {
    fn route(&mut self, now: Instant, request: &Request, _: &Flow, _: &Transactions) -> Route {
        let now = self.unix(now);
        let aor = request.uri().ok().and_then(|uri| Aor::of(&uri));
        let found = aor.and_then(|aor| self.bindings.get(&aor));
        let targets: Vec<RouteTarget> = found
            .into_iter()
            .flatten()
            .filter(|binding| binding.until() > now)
            .filter_map(|binding| Some(RouteTarget::new(binding.uri()?).via(binding.path())))
            .collect();
        if targets.is_empty() {
            return Route::reply(StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        Route::groups(vec![targets])
    }
}

/// Who is let in: everybody who knows the one secret.
struct Door {
    authority: Authority,
    secret: Secret,
    used: UsedNonces,
}

impl Door {
    fn new(secret: &str, unix: Duration) -> Result<Self, Box<dyn Error>> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let authority =
            Authority::server(DOMAIN, NonceKey::new(&key)?)?.algorithms([Algorithm::MD5]);
        Ok(Self {
            authority,
            secret: Secret::password(secret),
            used: UsedNonces::new(100_000, unix),
        })
    }

    fn user(&mut self, now: Duration, random: u64, request: &Request) -> Result<String, Answer> {
        let arrival = Arrival { request, source: b"", now };
        let refusal = match self.authority.check(&arrival) {
            // A REGISTER is never exempt.
            Ok(Checked::Exempt) => return Ok(String::new()),
            Ok(Checked::Claimed(claim)) => {
                let user = claim.username().unwrap_or_default().to_owned();
                let proof = claim.verify(&self.secret);
                match proof.and_then(|proof| proof.record(&mut self.used, now)) {
                    Ok(_) => return Ok(user),
                    Err(refusal) => refusal,
                }
            }
            Err(refusal) => refusal,
        };
        Err(self.authority.answer(&refusal, &arrival, random))
    }
}
