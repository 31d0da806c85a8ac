//! Transport protocols (RFC 3261 §18, RFC 4168, RFC 7118).

use core::fmt;
use core::str::FromStr;

/// A transport protocol that SIP runs over.
///
/// ```
/// use sip_message::Transport;
/// assert_eq!("tcp".parse(), Ok(Transport::Tcp));
/// assert!(Transport::Tls.is_reliable() && Transport::Tls.is_secure());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// SCTP (RFC 4168).
    Sctp,
    /// WebSocket (RFC 7118).
    Ws,
    /// Secure WebSocket (RFC 7118).
    Wss,
}

impl Transport {
    /// The transport that `text` names in any case, as in Via or in a `transport` parameter.
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        // In the order in which they are met.
        [Self::Udp, Self::Tcp, Self::Tls, Self::Wss, Self::Ws, Self::Sctp]
            .into_iter()
            .find(|transport| text.eq_ignore_ascii_case(transport.as_str().as_bytes()))
    }

    /// As Via writes it: in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Sctp => "SCTP",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Whether the transport itself delivers or reports a failure (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether the transport encrypts: the ones that a `sips` URI may use.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether the transport itself keeps messages apart, so that Content-Length is not needed for it
    /// (RFC 3261 §18.3, RFC 7118 §5, RFC 4168).
    pub const fn is_message_oriented(self) -> bool {
        // RFC 7118 §5: "Because the WebSocket transport preserves message boundaries, the use of the
        // Content-Length header in SIP messages is not necessary when they are transported using the
        // WebSocket subprotocol."
        matches!(self, Self::Udp | Self::Sctp | Self::Ws | Self::Wss)
    }

    /// Whether the transport is WebSocket. Its clients can be reached only over the connections that they
    /// opened.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port where none is given: 5060, for TLS 5061 (RFC 3261 §18.2.1 and §19.1.2), for
    /// WebSocket 80 and 443.
    pub const fn default_port(self) -> u16 {
        // RFC 7118 §5.5: "the default port for a SIP URI using the "sip" scheme and the "ws" transport
        // parameter is 80, and the default port for a SIP URI using the "sips" scheme and the "ws"
        // transport parameter is 443."
        match self {
            Self::Udp | Self::Tcp | Self::Sctp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes()).ok_or(UnknownTransport)
    }
}

/// The name is of no transport known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTransport;

impl fmt::Display for UnknownTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a transport: UDP, TCP, TLS, SCTP, WS or WSS")
    }
}

impl core::error::Error for UnknownTransport {}

#[cfg(test)]
mod tests;
