//! A view of every message that passes.

use core::net::SocketAddr;
use std::time::Instant;

use sip_message::Transport;

#[cfg(feature = "hep")]
pub(crate) mod hep;
#[cfg(feature = "pcap")]
pub(crate) mod pcap;
#[cfg(any(feature = "hep", feature = "pcap"))]
mod wall;

/// Sees every message sent and received, in order, with its time, addresses and transport.
///
/// It is called on the path of the messages, so it shall be quick and not block: copy, count or
/// pass on through a bounded channel.
pub trait Tap: Send {
    /// One message was sent or received. What arrived is shown as it came, before anything is
    /// known of it: it may be no SIP message.
    fn message(&mut self, tapped: Tapped<'_>);
}

impl<F: FnMut(Tapped<'_>) + Send> Tap for F {
    fn message(&mut self, tapped: Tapped<'_>) {
        self(tapped);
    }
}

impl Tap for Box<dyn Tap> {
    fn message(&mut self, tapped: Tapped<'_>) {
        (**self).message(tapped);
    }
}

/// All of them, in order.
impl<T: Tap> Tap for Vec<T> {
    fn message(&mut self, tapped: Tapped<'_>) {
        for tap in self {
            tap.message(tapped);
        }
    }
}

/// One message as a [`Tap`] sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tapped<'a> {
    /// When it was handed to the transport, or taken from it.
    pub at: Instant,
    /// True if we sent it, false if it arrived.
    pub sent: bool,
    /// The protocol below SIP.
    pub transport: Transport,
    /// The address of ours: of the listener that it came to or goes from.
    pub local: SocketAddr,
    /// The far end.
    pub remote: SocketAddr,
    /// The whole message.
    pub bytes: &'a [u8],
}

impl<'a> Tapped<'a> {
    /// A message that arrived.
    pub const fn received(
        at: Instant,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &'a [u8],
    ) -> Self {
        Self { at, sent: false, transport, local, remote, bytes }
    }

    /// A message that was sent.
    pub const fn sent(
        at: Instant,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &'a [u8],
    ) -> Self {
        Self { at, sent: true, transport, local, remote, bytes }
    }
}
