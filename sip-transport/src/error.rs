//! Why a message was not sent or a connection ended.

use std::io;

use crate::tls::TlsError;

use crate::locate::LocateError;

/// Why a message was not sent or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The far end refuses: a reset to the attempt to connect, or ICMP port unreachable.
    #[error("the far end refuses the connection")]
    Refused,
    /// The far end or the network does not know the protocol (ICMP protocol unreachable).
    #[error("the far end does not support the transport protocol")]
    ProtocolUnsupported,
    /// No answer to the attempt to connect within the time configured.
    #[error("no answer to the attempt to connect")]
    ConnectTimeout,
    /// The handshake above TCP (TLS, WebSocket) was not completed within the time configured.
    #[error("the handshake was not completed in time")]
    HandshakeTimeout,
    /// TLS did not come about, or broke.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// No route to the far end: ICMP host or network unreachable, or none from here.
    #[error("the far end cannot be reached")]
    Unreachable,
    /// The connection was reset, or closed before the message was written.
    #[error("the connection is closed")]
    Closed,
    /// Nothing was sent or received for the time configured, and the connection was closed.
    #[error("the connection was idle for too long")]
    Idle,
    /// The far end read nothing for the time configured, though something waited for it.
    #[error("the far end does not read")]
    Stalled,
    /// A message was begun on the stream and not completed within the time configured.
    #[error("a message was not completed in time")]
    Incomplete,
    /// What the stream held cannot be framed.
    #[error("the stream holds what is no SIP message")]
    Malformed,
    /// A bounded queue is full: the far end reads too slowly, or too much is under way.
    #[error("too much waits to be sent")]
    QueueFull,
    /// As many connections are open, in all or to this peer, as the configuration allows.
    #[error("too many connections")]
    TooManyConnections,
    /// The message is larger than the transport carries.
    #[error("the message is too large for the transport")]
    TooLarge,
    /// The far end asked for fewer requests, and this is one of those kept back (RFC 7339).
    #[error("the far end asked for fewer requests")]
    Throttled,
    /// No address of ours has this transport and address family.
    #[error("no listener has this transport and address family")]
    NoListener,
    /// No server was located for the host name.
    #[error(transparent)]
    NotLocated(#[from] LocateError),
    /// The server answered the request for a WebSocket with this HTTP status; or so did we.
    #[error("no WebSocket was granted: HTTP status {0}")]
    WsRefused(u16),
    /// What came in answer to the request for a WebSocket is none that RFC 6455 and RFC 7118 know.
    #[error("the handshake of the WebSocket failed")]
    WsHandshake,
    /// Any other failure of the operating system.
    #[error("the operating system reports: {0}")]
    Io(io::ErrorKind),
}

impl TransportError {
    /// Whether a request that was moved from UDP to TCP for its size alone shall be tried again
    /// over UDP.
    pub const fn permits_retry_over_udp(&self) -> bool {
        // RFC 3261 §18.1.1: "if the attempt to establish the connection generates either an ICMP
        // Protocol Not Supported, or results in a TCP reset, the element SHOULD retry the request,
        // using UDP"
        matches!(self, Self::Refused | Self::ProtocolUnsupported)
    }
}

/// The name of each error, from one table.
macro_rules! names {
    ($($error:pat => $name:literal,)*) => {
        impl TransportError {
            /// All that [`name`](Self::name) gives.
            #[cfg(feature = "tokio")]
            pub(crate) const NAMES: [&'static str; [$($name),*].len()] = [$($name),*];

            /// A short name that stays the same through versions: what counters are labelled with.
            pub const fn name(&self) -> &'static str {
                match self {
                    $($error => $name,)*
                }
            }
        }
    };
}

names! {
    Self::Refused => "refused",
    Self::ProtocolUnsupported => "unsupported",
    Self::ConnectTimeout => "connect_timeout",
    Self::HandshakeTimeout => "handshake_timeout",
    Self::Tls(_) => "tls",
    Self::Unreachable => "unreachable",
    Self::Closed => "closed",
    Self::Idle => "idle",
    Self::Stalled => "stalled",
    Self::Incomplete => "incomplete",
    Self::Malformed => "malformed",
    Self::QueueFull => "queue_full",
    Self::TooManyConnections => "too_many_connections",
    Self::TooLarge => "too_large",
    Self::Throttled => "throttled",
    Self::NoListener => "no_listener",
    Self::NotLocated(_) => "not_located",
    Self::WsRefused(_) => "ws_refused",
    Self::WsHandshake => "ws_handshake",
    Self::Io(_) => "io",
}

impl From<&io::Error> for TransportError {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        #[cfg(feature = "tls")]
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Self::Tls(error.into());
        }
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::TimedOut => Self::ConnectTimeout,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
                Self::Unreachable
            }
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof => Self::Closed,
            kind => Self::Io(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_permits_the_retry_over_udp() {
        assert!(TransportError::Refused.permits_retry_over_udp());
        assert!(TransportError::ProtocolUnsupported.permits_retry_over_udp());
        assert!(!TransportError::ConnectTimeout.permits_retry_over_udp());
        assert!(!TransportError::Closed.permits_retry_over_udp());
    }

    #[test]
    fn errors_of_the_system_keep_their_meaning() {
        let of = |kind: io::ErrorKind| TransportError::from(&io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::ConnectionRefused), TransportError::Refused);
        assert_eq!(of(io::ErrorKind::BrokenPipe), TransportError::Closed);
        assert_eq!(of(io::ErrorKind::HostUnreachable), TransportError::Unreachable);
        assert_eq!(
            of(io::ErrorKind::PermissionDenied),
            TransportError::Io(io::ErrorKind::PermissionDenied)
        );
    }
}
