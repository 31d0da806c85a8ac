//! What happened on a simulated network, short enough to compare and long enough to read.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_message::Transport;

/// What became of a message on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// The link lost it.
    Lost,
    /// A partition kept it.
    Parted,
    /// Nobody has the address it went to.
    Nowhere,
    /// A NAT box did not let it in.
    Blocked,
}

/// One message on the network, as [`Network::record`](crate::Network::record) keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passage {
    /// When it arrived, or when it was sent if it never did; since the start of the run.
    pub at: Duration,
    /// Its place among all that was sent and arrived in the run: when it arrived, or when it was sent if it never
    /// did.
    pub turn: u64,
    /// The place of its sending. A message that was doubled has it in common with its double.
    pub sent: u64,
    /// The protocol below SIP.
    pub transport: Transport,
    /// Whence.
    pub from: SocketAddr,
    /// Whither.
    pub to: SocketAddr,
    /// What became of it.
    pub fate: Fate,
    /// The whole message.
    pub payload: Bytes,
}

impl fmt::Display for Passage {
    /// One line: time, addresses, fate, and the message's start line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.payload.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let fate = match self.fate {
            Fate::Arrived => "->",
            Fate::Lost => "-x lost",
            Fate::Parted => "-x parted",
            Fate::Nowhere => "-x nowhere",
            Fate::Blocked => "-x blocked",
        };
        write!(
            f,
            "{:>10.3} ms {} {} {fate} {}: {}",
            self.at.as_secs_f64() * 1e3,
            self.transport.as_str(),
            self.from,
            self.to,
            String::from_utf8_lossy(line),
        )
    }
}
