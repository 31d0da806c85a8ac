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

use sip_auth::{
    Algorithm, Arrival, Authority, Claim, Credentials, Lookup, NonceKey, Secret, UsedNonces, Users,
    Verdict, Verifier,
};
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
        verifier: secret.map(|secret| verifier(&secret, unix)).transpose()?,
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
    verifier: Option<Verifier>,
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
        if let Some(verifier) = &mut self.verifier {
            let arrival = Arrival { request, source: b"", now };
            match verifier.check(&arrival) {
                Verdict::User(user)
                    if register.aor().as_str().split('@').next() == user.claim().username() => {}
                Verdict::Refused(refusal) => {
                    let answer = verifier.authority().answer(&refusal, &arrival, dice);
                    let builder = Response::to_request(request, answer.status);
                    return answer
                        .fields()
                        .fold(builder, |builder, (name, value)| builder.raw(name, value));
                }
                // Another's address-of-record. Nobody is looked up elsewhere, and no REGISTER is exempt.
                _ => return Response::to_request(request, StatusCode::FORBIDDEN),
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

/// Everybody who knows the one secret.
struct Anybody(Secret);

impl Users for Anybody {
    fn find(&self, claim: &Claim) -> Lookup<Option<Credentials>> {
        claim.username().map(|name| Credentials::new(name, self.0.clone())).into()
    }
}

fn verifier(secret: &str, unix: Duration) -> Result<Verifier, Box<dyn Error>> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    let authority = Authority::server(DOMAIN, NonceKey::new(&key)?)?.algorithms([Algorithm::MD5]);
    Ok(Verifier::new(authority, Anybody(Secret::password(secret)), UsedNonces::new(100_000, unix)))
}
