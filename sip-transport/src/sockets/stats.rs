//! What the sockets counted.

use sip_message::Transport;

use crate::TransportError;
use crate::admission::Refused;

/// What the sockets turned away, opened and closed since they were bound, and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Datagrams and connections that the [`Gate`](crate::Gate) refused.
    pub refused_by_gate: u64,
    /// Datagrams and connections of sources that were over their ration
    /// ([`Config::source_rate`](crate::Config::source_rate)).
    pub refused_over_rate: u64,
    /// Pauses in the reading of connections whose source was over its ration.
    pub paused_over_rate: u64,
    /// Datagrams dropped because they were larger than a message may be.
    pub dropped_too_large: u64,
    /// Incoming connections closed at once, because as many are open as may be, in all or with that
    /// address.
    pub refused_connections: u64,
    /// Idle connections closed to make room for another.
    pub spared_connections: u64,
    /// Connections that came in, their handshakes done.
    pub accepted: ByTransport,
    /// Connections that were opened from here, their handshakes done.
    pub dialled: ByTransport,
    /// Connections that were open and ended.
    pub closed: ByReason,
    /// Connections that did not come about: nobody accepted, or a handshake failed. Those that came in and were
    /// closed amid their handshakes because too many were under way are among them as
    /// [`TooManyConnections`](TransportError::TooManyConnections).
    pub failed: ByReason,
    /// Connections open, opening or closing now.
    pub live_connections: usize,
    /// Messages and reports of streams that wait to be taken in now.
    pub live_inbound: usize,
    /// How many of those may wait.
    pub inbound_queue: usize,
    /// Bytes that wait to be sent by the fullest UDP socket now.
    pub live_udp_bytes: usize,
    /// How many bytes of those may wait.
    pub udp_queue_bytes: usize,
}

impl SocketStats {
    /// One more that did not come in.
    pub(super) fn refused(&mut self, why: Refused) {
        match why {
            Refused::Gate => self.refused_by_gate += 1,
            Refused::Ration => self.refused_over_rate += 1,
        }
    }

    /// A connection came about.
    #[cfg(feature = "tcp")]
    pub(super) fn opened(&mut self, transport: Transport, is_ours: bool) {
        if is_ours { &mut self.dialled } else { &mut self.accepted }.count(transport);
    }

    /// A connection ended, or never came about.
    #[cfg(feature = "tcp")]
    pub(super) fn ended(&mut self, was_open: bool, error: Option<TransportError>) {
        if was_open { &mut self.closed } else { &mut self.failed }.count(error);
    }
}

/// A count for each transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByTransport([u64; Self::TRANSPORTS.len()]);

impl ByTransport {
    const TRANSPORTS: [Transport; 6] = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Sctp,
        Transport::Ws,
        Transport::Wss,
    ];

    /// One more.
    pub fn count(&mut self, transport: Transport) {
        self.add(transport, 1);
    }

    /// So many more.
    pub fn add(&mut self, transport: Transport, count: u64) {
        for (known, sum) in Self::TRANSPORTS.into_iter().zip(&mut self.0) {
            if known == transport {
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// Every transport with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Transport, u64)> + '_ {
        Self::TRANSPORTS.into_iter().zip(self.0)
    }

    /// Of all transports.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }
}

/// A count for each reason why connections end, or messages are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByReason([u64; TransportError::NAMES.len() + 1]);

impl Default for ByReason {
    fn default() -> Self {
        Self([0; TransportError::NAMES.len() + 1])
    }
}

/// The name of the end that is no error.
const IN_ORDER: &str = "in_order";

impl ByReason {
    /// One more; without an error it ended in order.
    pub fn count(&mut self, error: Option<TransportError>) {
        let name = error.map_or(IN_ORDER, |error| error.name());
        for (known, sum) in Self::names().zip(&mut self.0) {
            if known == name {
                *sum = sum.saturating_add(1);
            }
        }
    }

    /// Every reason, by [`TransportError::name`] or as `in_order`, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::names().zip(self.0)
    }

    /// For this reason.
    pub fn of(&self, name: &str) -> u64 {
        self.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        core::iter::once(IN_ORDER).chain(TransportError::NAMES)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::locate::LocateError;
    use crate::tls::TlsError;

    #[test]
    fn every_reason_has_a_place() {
        use TransportError as E;
        let all = [
            E::Refused,
            E::ProtocolUnsupported,
            E::ConnectTimeout,
            E::HandshakeTimeout,
            E::Tls(TlsError::NotTls),
            E::Unreachable,
            E::Closed,
            E::Idle,
            E::Stalled,
            E::Incomplete,
            E::Malformed,
            E::QueueFull,
            E::TooManyConnections,
            E::TooLarge,
            E::Throttled,
            E::NoListener,
            E::NotLocated(LocateError::NotSip),
            E::WsRefused(403),
            E::WsHandshake,
            E::Io(io::ErrorKind::Other),
        ];
        let mut counts = ByReason::default();
        for (before, error) in all.into_iter().enumerate() {
            counts.count(Some(error));
            assert_eq!(counts.of(error.name()), 1, "{error}");
            let sum: u64 = counts.iter().map(|(_, count)| count).sum();
            assert_eq!(usize::try_from(sum).unwrap(), before + 1);
        }
        counts.count(None);
        assert!(counts.iter().all(|(_, count)| count == 1), "{counts:?}");
    }

    #[test]
    fn every_transport_has_a_place() {
        let mut counts = ByTransport::default();
        for transport in ByTransport::TRANSPORTS {
            counts.count(transport);
        }
        assert!(counts.iter().all(|(_, count)| count == 1), "{counts:?}");
        assert_eq!(counts.total(), 6);
    }
}
