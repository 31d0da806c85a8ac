//! The text form of an address to listen on: `udp:127.0.0.1:5060`, `tcp:[::1]:0`.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use sip_message::Transport;

/// An address to listen on, such as `udp:127.0.0.1:5060`, `tcp:[::1]:0` or `udp:0.0.0.0`.
///
/// Port 0 lets the system choose; without a port it is that of the transport: 5060, for TLS 5061.
///
/// ```
/// use sip_transport::ListenAddr;
///
/// let addr: ListenAddr = "udp:0.0.0.0".parse()?;
/// assert_eq!(addr.to_string(), "udp:0.0.0.0:5060");
/// let behind_nat = addr.with_advertised("sip.example.com:5070")?;
/// assert_eq!(behind_nat.advertised(), Some("sip.example.com:5070"));
/// # Ok::<(), sip_transport::ListenAddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    transport: Transport,
    addr: SocketAddr,
    advertised: Option<Box<str>>,
    dial_only: bool,
}

impl ListenAddr {
    /// To listen on `addr` by `transport`.
    pub const fn new(transport: Transport, addr: SocketAddr) -> Self {
        Self { transport, addr, advertised: None, dial_only: false }
    }

    /// UDP on `addr`.
    pub const fn udp(addr: SocketAddr) -> Self {
        Self::new(Transport::Udp, addr)
    }

    /// TCP on `addr`.
    pub const fn tcp(addr: SocketAddr) -> Self {
        Self::new(Transport::Tcp, addr)
    }

    /// No address to listen on: connections by `transport` are opened from `ip`, and none are accepted.
    /// So a client of TLS does without a certificate, and a client of WebSocket without a server.
    ///
    /// Via and Contact name `ip` without a port, so that what comes back to us comes over the
    /// connection that we opened; for WebSocket they name a random host under `.invalid`
    /// (RFC 7118 Appendix B.1).
    pub const fn dial_only(transport: Transport, ip: IpAddr) -> Self {
        Self { transport, addr: SocketAddr::new(ip, 0), advertised: None, dial_only: true }
    }

    /// The same, named in Via and Contact by `advertised` (`host`, `host:port`; an IPv6 address in
    /// brackets): the public side of a NAT, or a host name. Without it, the address itself is
    /// named.
    ///
    /// # Errors
    ///
    /// If it is no host with or without a port.
    pub fn with_advertised(mut self, advertised: &str) -> Result<Self, ListenAddrError> {
        if !is_sent_by(advertised) {
            return Err(ListenAddrError::Advertised(advertised.into()));
        }
        self.advertised = Some(advertised.into());
        Ok(self)
    }

    /// The protocol below SIP.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The address to bind.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether connections are only opened from here.
    pub const fn is_dial_only(&self) -> bool {
        self.dial_only
    }

    /// The name for Via and Contact, if it differs from the address.
    pub fn advertised(&self) -> Option<&str> {
        self.advertised.as_deref()
    }
}

impl FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transport, addr) = match text.split_once(':') {
            Some((transport, addr)) if transport.chars().all(|c| c.is_ascii_alphabetic()) => {
                (transport, addr)
            }
            _ => return Err(ListenAddrError::NoTransport(text.into())),
        };
        let transport = match transport.parse::<Transport>() {
            Ok(Transport::Sctp) | Err(_) => {
                return Err(ListenAddrError::Transport(transport.into()));
            }
            Ok(transport) => transport,
        };
        if let Ok(addr) = addr.parse::<SocketAddr>() {
            return Ok(Self::new(transport, addr));
        }
        let host = addr.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(addr);
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv4() == (host == addr) => {
                Ok(Self::new(transport, SocketAddr::new(ip, transport.default_port())))
            }
            _ => Err(ListenAddrError::Address(addr.into())),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str().to_ascii_lowercase(), self.addr)
    }
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenAddrError {
    /// It does not begin with a transport and a colon.
    #[error(
        "`{0}` names no transport: write udp:ADDRESS:PORT or tcp:ADDRESS:PORT, such as udp:0.0.0.0:5060"
    )]
    NoTransport(Box<str>),
    /// The transport is unknown, or one that cannot be listened on.
    #[error("`{0}` is no transport that can be listened on: use udp, tcp, tls, ws or wss")]
    Transport(Box<str>),
    /// What follows is no IP address with or without a port.
    #[error(
        "`{0}` is no IP address and port: write 192.0.2.1:5060, or [2001:db8::1]:5060 with brackets; a host name goes into the advertised address"
    )]
    Address(Box<str>),
    /// The advertised address is no host with or without a port.
    #[error("`{0}` cannot be advertised: write HOST or HOST:PORT, an IPv6 address in brackets")]
    Advertised(Box<str>),
}

/// Whether `text` is a `sent-by` of RFC 3261 §25.1: a host, and perhaps a port.
fn is_sent_by(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ipv6, port)) if ipv6.parse::<core::net::Ipv6Addr>().is_ok() => ("v6", port),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    !host.is_empty()
        && host.chars().all(name)
        && (port.is_empty()
            || port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .is_some_and(|p: u16| p > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListenAddr, ListenAddrError> {
        text.parse()
    }

    #[test]
    fn transport_address_and_port() {
        let udp = parse("udp:127.0.0.1:5062").unwrap();
        assert_eq!(udp, ListenAddr::udp("127.0.0.1:5062".parse().unwrap()));
        let tcp = parse("TCP:[::1]:0").unwrap();
        assert_eq!(tcp, ListenAddr::tcp("[::1]:0".parse().unwrap()));
        assert_eq!(tcp.to_string(), "tcp:[::1]:0");
    }

    #[test]
    fn the_port_is_5060_unless_given() {
        assert_eq!(parse("udp:192.0.2.1").unwrap().addr().port(), 5060);
        assert_eq!(parse("tcp:[2001:db8::1]").unwrap().addr().port(), 5060);
        assert_eq!(parse("tls:192.0.2.1").unwrap().addr().port(), 5061);
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("127.0.0.1:5060").contains("udp:0.0.0.0:5060"));
        assert!(error("").contains("names no transport"));
        assert!(error("sctp:127.0.0.1:5060").contains("use udp, tcp"));
        assert!(error("carrier:127.0.0.1").contains("`carrier`"));
        assert!(error("udp:example.com:5060").contains("`example.com:5060`"));
        assert!(error("udp:::1").contains("brackets"));
        assert!(error("udp:[127.0.0.1]:5060").contains("no IP address"));
        assert!(error("udp:127.0.0.1:70000").contains("no IP address and port"));
    }

    #[test]
    fn advertised_is_a_host_with_or_without_a_port() {
        let addr = parse("udp:0.0.0.0:5060").unwrap();
        for good in
            ["sip.example.com", "sip.example.com:5070", "203.0.113.1:1", "[2001:db8::1]:5060"]
        {
            assert_eq!(addr.clone().with_advertised(good).unwrap().advertised(), Some(good));
        }
        for bad in
            ["", ":5060", "a b", "a:0", "a:x", "a:70000", "[x]", "[::1", "::1", "a;b", "a\r\n"]
        {
            assert!(addr.clone().with_advertised(bad).is_err(), "{bad:?}");
        }
    }
}
