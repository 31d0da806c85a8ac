//! SIP transactions (RFC 3261 §17), sans-IO, and the driver that runs them on tokio.
//!
//! The layer makes requests and responses reliable: it repeats what may be lost, absorbs what comes
//! twice, gives up in time, and says so. It holds the four machines of RFC 3261 with the corrections of
//! RFC 6026 (Accepted states, Timers L and M) and RFC 4320 (non-INVITE), matches what comes to what is
//! known (also for clients of RFC 2543), answers CANCEL, makes the ACK to a non-2xx, and refuses what
//! is not acceptable.
//!
//! | | |
//! | --- | --- |
//! | [`Endpoint`] | the machine as the outside sees it: messages in, messages out, one time-out |
//! | [`Transactions`] | what the layer above calls: request, respond, cancel, timers |
//! | [`TransactionUser`] | the layer above: gets each [`Event`] |
//! | [`Config`] | T1, T2, T4, the limits, the seed |
//!
//! Nothing here touches a socket, a clock or a thread: time is an argument, randomness comes from the seed
//! in the configuration, and what is to be sent is polled for. Equal seeds and inputs give equal outputs.
//!
//! # Over a transport of one's own
//!
//! Two endpoints, and between them whatever carries bytes; here it is a function call.
//!
//! ```
//! use std::time::Instant;
//! use sip_message::{HeaderName, Method, Request, Response, StatusCode, Transport};
//! use sip_transaction::{Config, Endpoint, Event, NextHop, Output, TransactionUser, Transactions};
//! use sip_transport::{Flow, Input, ListenerId, Local, Locals};
//!
//! /// Answers every request with 200, and notes every status that it gets.
//! #[derive(Default)]
//! struct User(Vec<u16>);
//!
//! impl TransactionUser for User {
//!     type Event = ();
//!
//!     fn handle(&mut self, now: Instant, event: Event, transactions: &mut Transactions) {
//!         match event {
//!             Event::Request { key, request, .. } => {
//!                 let tag = transactions.local_tag(key);
//!                 let ok = Response::to_request(&request, StatusCode::OK).to_tag(&tag).build().unwrap();
//!                 transactions.respond(now, key, ok).unwrap();
//!             }
//!             Event::Response { response, .. } => self.0.push(response.status().as_u16()),
//!             _ => {}
//!         }
//!     }
//!
//!     fn poll_event(&mut self) -> Option<()> {
//!         None
//!     }
//! }
//!
//! let now = Instant::now();
//! let endpoint = |address: &str| {
//!     let local = Local::new(ListenerId::new(0), Transport::Udp, address.parse().unwrap());
//!     Endpoint::new(Config::default(), Locals::new([local]), now, User::default()).unwrap()
//! };
//! let (mut alice, mut bob) = (endpoint("192.0.2.1:5060"), endpoint("192.0.2.2:5060"));
//!
//! // Alice asks. The Via is added on the way down.
//! let uri = "sip:bob@192.0.2.2".parse()?;
//! let options = Request::builder(Method::Options, &uri)
//!     .raw(HeaderName::MaxForwards, "70")
//!     .raw(HeaderName::From, "<sip:alice@192.0.2.1>;tag=1928301774")
//!     .raw(HeaderName::To, "<sip:bob@192.0.2.2>")
//!     .raw(HeaderName::CallId, "a84b4c76e66710@192.0.2.1")
//!     .raw(HeaderName::CSeq, "1 OPTIONS")
//!     .build()?;
//! alice.with(now, |_, transactions| transactions.request(now, options, NextHop::Uri(uri)))?;
//!
//! // The network: each output of one is an input of the other.
//! let carry = |from: &mut Endpoint<User>, to: &mut Endpoint<User>, source: &str| {
//!     while let Some(Output::Transmit(transmit)) = from.poll_output() {
//!         let flow = Flow {
//!             transport: Transport::Udp,
//!             listener: ListenerId::new(0),
//!             connection: None,
//!             remote: source.parse().unwrap(),
//!         };
//!         to.handle_input(now, Input::Datagram { flow, payload: transmit.payload });
//!     }
//! };
//! carry(&mut alice, &mut bob, "192.0.2.1:5060");
//! carry(&mut bob, &mut alice, "192.0.2.2:5060");
//! assert_eq!(alice.user().0, [200]);
//!
//! // Both wait for stragglers (Timer K, Timer J); then nothing is left of it.
//! for endpoint in [&mut alice, &mut bob] {
//!     while let Some(time) = endpoint.poll_timeout() {
//!         endpoint.handle_timeout(time);
//!     }
//!     assert!(endpoint.transactions().is_empty());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # On tokio
//!
//! With the feature `udp` or `tcp` (both are on by default), `Shard` is one task that owns an endpoint and its sockets, and
//! an `Application` that stands between the endpoint's user and the rest of the program.
#![forbid(unsafe_code)]

mod branch;
mod client_invite;
mod client_non_invite;
mod config;
mod construct;
#[cfg(feature = "tokio")]
mod driver;
mod endpoint;
mod event;
mod key;
mod machine;
mod matching;
mod overload;
mod random;
mod server_invite;
mod server_non_invite;
mod slots;
mod stats;
mod timer;
mod transactions;

pub use branch::LoopMark;
pub use config::{Config, ConfigError, ConnectionReuse};
#[cfg(feature = "tokio")]
pub use driver::{Application, Resolver, Shard, Stopper};
pub use endpoint::Endpoint;
pub use event::{Event, Gone, NextHop, Output, RequestError, TransactionUser};
pub use key::{ClientKey, Key, KeyHasher, KeyMap, ServerKey};
pub use overload::{Category, Load, LossFilter};
pub use random::Random;
pub use stats::Stats;
pub use timer::TimerKey;
pub use transactions::Transactions;
