//! SIP over WebSocket (RFC 7118): who may open a connection, the handshake, and one message a frame.

mod config;
mod frames;
mod upgrade;

#[cfg(test)]
mod tests;

pub use config::{WsConfig, WsRefusal, WsRequest};

pub(crate) use frames::Frames;
pub(crate) use upgrade::{accept, authority, dial};
