//! SIP transports: framing of streams, flows and their connection table, Via rules, UDP and TCP
//! sockets (RFC 3261 §18).
//!
//! The part without features does no I/O: it names the ends ([`Local`], [`Flow`], [`Target`]),
//! what passes between a transport and the machine above it ([`Transmit`] down, [`Input`] up), and
//! holds the rules of RFC 3261 §18 and RFC 3581 as functions: [`stamp`], [`response_target`],
//! [`request_via`], [`is_own_response`], [`requires_congestion_control`].
//!
//! [`locate`] finds the servers of a domain (RFC 3263), with the answers of the DNS as its inputs.
//!
//! The features `udp` and `tcp` (on by default) add [`Sockets`] on tokio: UDP and TCP over IPv4 and IPv6,
//! with a table of connections. Every queue and table is bounded ([`Config`]). `stun` (on by default) adds the
//! STUN messages of the SIP port.
//!
//! The feature `ws` adds WebSocket (RFC 7118), client and server: listeners such as `ws:0.0.0.0:80`, and
//! `WsConfig` for who may connect. A client needs no listener: [`ListenAddr::dial_only`].
//!
//! What ICMP says of a datagram does not come up, although RFC 3261 §18.4 would have it: the system tells
//! which datagram it was about only through its error queue, and reading that takes a dependency for
//! each system and trust in whoever can forge such a message. A request over UDP to a port where nobody
//! listens ends by its timer.
//!
//! # A server without state that answers 501
//!
//! ```no_run
//! use sip_message::{Limits, Message, Method, Response, StatusCode};
//! use sip_transport::{Config, Input, Sockets, Transmit, response_target, stamp};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sockets = Sockets::bind(&["udp:127.0.0.1:5060".parse()?], Config::default())?;
//! let mut inputs = Vec::new();
//! loop {
//!     std::future::poll_fn(|cx| sockets.poll_recv(cx, &mut inputs)).await;
//!     for input in inputs.drain(..) {
//!         let (Input::Datagram { flow, payload } | Input::Message { flow, payload }) = input else {
//!             continue;
//!         };
//!         let Ok(Message::Request(mut request)) = Message::parse(payload, &Limits::default())
//!         else {
//!             continue;
//!         };
//!         if *request.method() == Method::Ack {
//!             continue; // nothing answers an ACK
//!         }
//!         stamp(&mut request, flow.remote);
//!         let Some(via) = request.headers().top_via() else { continue };
//!         let (destination, fallback) = response_target(&via, &flow);
//!         let response = Response::to_request(&request, StatusCode::NOT_IMPLEMENTED).build()?;
//!         let payload = response.to_bytes();
//!         sockets.send(Transmit { destination, fallback, payload, token: 0, domain: None });
//!     }
//! }
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
#[cfg_attr(
    not(any(feature = "udp", feature = "tcp")),
    allow(dead_code, reason = "nothing comes in without a transport")
)]
mod admission;
#[cfg(feature = "tokio")]
mod config;
mod error;
mod flow;
mod listen;
mod locals;
pub mod locate;
mod mtu;
#[cfg(feature = "tokio")]
mod ready;
#[cfg(feature = "tokio")]
mod sockets;
#[cfg(feature = "stun")]
mod stun;
mod tap;
pub mod tls;
mod via;
#[cfg(feature = "ws")]
mod ws;

#[cfg(feature = "tokio")]
pub use admission::{Entry, Gate};
#[cfg(feature = "tokio")]
pub use config::Config;
pub use error::TransportError;
pub use flow::{ConnectionId, Destination, Flow, Input, ListenerId, StunId, Target, Transmit};
pub use listen::{ListenAddr, ListenAddrError};
pub use locals::{Local, Locals};
pub use mtu::{MAX_DATAGRAM, requires_congestion_control};
#[cfg(feature = "tokio")]
pub use ready::ReadySet;
#[cfg(feature = "tokio")]
pub use sockets::{ByReason, ByTransport, SocketStats, Sockets};
#[cfg(feature = "stun")]
pub use stun::{Stun, is_stun};
#[cfg(feature = "hep")]
pub use tap::hep::{HepCollector, HepCollectorError, HepStats, HepTap};
#[cfg(feature = "pcap")]
pub use tap::pcap::PcapTap;
pub use tap::{Tap, Tapped};
pub use via::{
    ask_for_rport, is_own_response, is_own_via, request_via, request_via_with, response_target,
    stamp,
};
#[cfg(feature = "ws")]
pub use ws::{WsConfig, WsRefusal, WsRequest};
