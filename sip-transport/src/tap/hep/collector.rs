//! Where a collector is.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;

/// A collector's address, and how it is spoken to. In text `udp:192.0.2.9:9060` or `tcp:192.0.2.9:9061`;
/// without a word before it, over UDP.
///
/// ```
/// use sip_transport::HepCollector;
/// let collector: HepCollector = "tcp:192.0.2.9:9061".parse()?;
/// assert_eq!(collector, HepCollector::Tcp(([192, 0, 2, 9], 9061).into()));
/// # Ok::<(), sip_transport::HepCollectorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HepCollector {
    /// A datagram for each message.
    Udp(SocketAddr),
    /// All messages over one connection.
    Tcp(SocketAddr),
}

/// What is no collector's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a collector's address: udp:ADDRESS:PORT or tcp:ADDRESS:PORT")]
pub struct HepCollectorError;

impl FromStr for HepCollector {
    type Err = HepCollectorError;

    fn from_str(text: &str) -> Result<Self, HepCollectorError> {
        let at = |addr: &str| addr.parse().map_err(|_| HepCollectorError);
        match text.split_once(':') {
            Some(("tcp", addr)) => at(addr).map(Self::Tcp),
            Some(("udp", addr)) => at(addr).map(Self::Udp),
            _ => at(text).map(Self::Udp),
        }
    }
}

impl fmt::Display for HepCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(at) => write!(f, "udp:{at}"),
            Self::Tcp(at) => write!(f, "tcp:{at}"),
        }
    }
}

impl From<SocketAddr> for HepCollector {
    fn from(at: SocketAddr) -> Self {
        Self::Udp(at)
    }
}
