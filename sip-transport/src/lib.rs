//! SIP transports: framing of streams, flows and their connection table, Via rules, UDP and TCP sockets (RFC 3261 §18)
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod config;
mod error;
mod flow;
mod listen;
mod locals;
mod mtu;
#[cfg(feature = "tokio")]
mod sockets;
mod tap;
mod via;

#[cfg(feature = "tokio")]
pub use config::Config;
pub use error::TransportError;
pub use flow::{ConnectionId, Destination, Flow, Input, ListenerId, Target, Transmit};
pub use listen::{ListenAddr, ListenAddrError};
pub use locals::{Local, Locals};
pub use mtu::{MAX_DATAGRAM, requires_congestion_control};
#[cfg(feature = "tokio")]
pub use sockets::Sockets;
pub use tap::{Tap, Tapped};
pub use via::{is_own_response, request_via, response_target, stamp};
