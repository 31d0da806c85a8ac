//! A simulated network for SIP machines: N endpoints, loss, duplication, reordering, delay and
//! partitions by a seed, and a virtual clock.
//!
//! The layers of this stack are sans-IO, so a whole user agent, or your own application on one,
//! runs here unchanged: the [`Network`] stands where sockets and the clock would. An hour of
//! protocol takes as long as its messages take to handle, and a run that failed once is made again
//! from its seed, which a failing run prints.
//!
//! ```
//! use std::time::Duration;
//!
//! use sip_message::{CallId, CSeq, From, Method, Request, Response, StatusCode, To, Transport};
//! use sip_sim::{Link, Listener, Network};
//! use sip_transaction::{Config, Event, NextHop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A third of the datagrams is lost, and they overtake one another.
//! let link = Link::default().with_loss(0.33).with_jitter(Duration::from_millis(200));
//! let mut network = Network::new(7, link);
//! let udp = |last: u8| [(Transport::Udp, ([192, 0, 2, last], 5060).into())];
//! let alice = network.add(&udp(1), Config::default(), Listener::default())?;
//! let bob = network.add(&udp(2), Config::default(), Listener::default())?;
//!
//! // Alice asks. Her transaction sends again until Bob's answer comes through.
//! let uri = "sip:bob@192.0.2.2".parse()?;
//! let options = Request::builder(Method::Options, &uri)
//!     .header(&From::new(&"sip:alice@192.0.2.1".parse()?).with_tag("1")?)
//!     .header(&To::new(&uri))
//!     .header(&CallId::new("7@192.0.2.1")?)
//!     .header(&CSeq::new(1, Method::Options)?)
//!     .build()?;
//! network.with(alice, |now, _, transactions| {
//!     transactions.request(now, options, NextHop::Uri(uri))
//! });
//!
//! let end = network.now() + Duration::from_secs(60);
//! let mut answered = false;
//! while let Some((node, event)) = network.next_event(end) {
//!     match event {
//!         Event::Request { key, request, .. } if node == bob => {
//!             let ok = Response::to_request(&request, StatusCode::OK).to_tag("2").build()?;
//!             network.with(bob, |now, _, transactions| transactions.respond(now, key, ok));
//!         }
//!         Event::Response { response, .. } => answered |= response.status() == StatusCode::OK,
//!         _ => {}
//!     }
//! }
//! assert!(answered && network.is_quiet());
//! # Ok(())
//! # }
//! ```
//!
//! What a test of yours should hold at the end of each run: every call ended the same on both
//! sides, [`Network::is_quiet`], and no endpoint's table holds anything.
#![forbid(unsafe_code)]

mod either;
mod link;
mod nat;
mod network;
mod streams;
mod trace;

pub use either::Either;
pub use link::Link;
pub use nat::{Nat, NatId, NatKind};
pub use network::{AddError, Counts, Listener, Network, NodeId};
pub use trace::{Fate, Passage};
