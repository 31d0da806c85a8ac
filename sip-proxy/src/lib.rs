//! A SIP proxy core, sans-IO (RFC 3261 §16): it forwards requests, forks them, and says which response is the best.
//!
//! | | |
//! | --- | --- |
//! | [`Proxy`] | the proxy core of one shard, a [`TransactionUser`](sip_transaction::TransactionUser) |
//! | [`Router`] | decides where the requests of the proxy's own domains go |
//! | [`Registrar`] | what a REGISTER makes of the bindings of an address-of-record: rules without a store |
//! | [`Preferences`] | which of a callee's user agents the caller wants (RFC 3841) |
//! | [`location`] | where bindings are kept: in memory, or in Redis with the feature `redis` (`redis-tls` for TLS) |
//! | `Server` | all of these with sockets, digest and the event package `reg` (RFC 3680), in a task; with the feature `tokio` |
//! | [`edge`] | flow tokens, outbound, Path, GRUUs, and phones behind NAT boxes |
//! | [`ResponseContext`] | the pure machine of one forked request, for those who build another kind |
//!
//! Nothing but `Server` touches a socket, a clock or a thread: an [`Endpoint`](sip_transaction::Endpoint) runs it, in a
//! simulated network as well.
//!
//! ```
//! use sip_message::{StatusCode, Transport};
//! use sip_proxy::{Proxy, ProxyConfig, Route};
//! use sip_sim::{Link, Network};
//! use sip_transaction::Config;
//!
//! // Bob has two phones, which ring at the same time; nobody else lives here.
//! let router = |request: &sip_message::Request| match request.uri().ok().and_then(|uri| uri.user().map(String::from)) {
//!     Some(user) if user == "bob" => Route::parallel([
//!         "sip:bob@192.0.2.2".parse().unwrap(),
//!         "sip:bob@192.0.2.3".parse().unwrap(),
//!     ]),
//!     _ => Route::reply(StatusCode::NOT_FOUND),
//! };
//! let proxy = Proxy::new(ProxyConfig::default().domain("example.com"), router);
//! let mut network = Network::new(1, Link::default());
//! let address = (Transport::Udp, ([192, 0, 2, 1], 5060).into());
//! network.add(&[address], Config::default(), proxy)?;
//! # Ok::<(), sip_sim::AddError>(())
//! ```
#![forbid(unsafe_code)]

mod config;
mod context;
pub mod edge;
pub mod location;
mod measures;
mod overload;
mod preferences;
mod proxy;
mod registrar;
mod route;
mod router;
#[cfg(feature = "tokio")]
mod server;

pub use config::{ProxyConfig, TlsRoute};
pub use context::{Action, BranchId, Input, ResponseContext};
pub use measures::{Attempt, Measure, Measures};
pub use overload::OverloadConfig;
pub use preferences::Preferences;
pub use proxy::{Proxy, ProxyEvent, ProxyLive};
pub use registrar::{
    Aor, AtLimit, Binding, BindingChange, BindingEvent, Register, RegisterRefused, Registrar,
};
pub use router::{Admission, ProxyOptions, Reply, Route, RouteTarget, Router};
#[cfg(feature = "tokio")]
pub use server::{
    Asked, Home, RegEventsConfig, Routing, Server, ServerBuilder, ServerLive, StartError,
};
#[cfg(feature = "tokio")]
pub use sip_auth::{UserTable, Users};
